/* What: making many logs durable by two syncs of the volume they lie on, where each log by itself
 * would sync its data, its epochs, its directory and the one above.
 *
 * Begin writes the leader epochs beside their file; after the first sync they get their name; after
 * the second everything is durable, and the recovery points may say so.
 * Threads: logs that nobody else uses, just opened or about to be closed; several at a time.
 * Errors: a sync that failed fails every log it was for, as each one's own would have. */
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/buf.h"
#include "log/log_manager_priv.h"
#include "log/log_priv.h"

enum { EPOCHS_TEXT_MAX = 8 << 20 };

static bool
epochs_paths(const struct log *log, char path[LOG_PATH_MAX], char aside[LOG_PATH_MAX + 4])
{
    if (!log_file_in(log, path, LOG_EPOCH_FILE))
        return false;
    snprintf(aside, LOG_PATH_MAX + 4, "%s.tmp", path);
    return true;
}

static enum err
write_epochs_aside(struct log *log)
{
    char path[LOG_PATH_MAX], aside[LOG_PATH_MAX + 4];
    struct env_file *file;
    struct buf text;
    if (!epochs_paths(log, path, aside))
        return ERR_INVALID;
    buf_init(&text, EPOCHS_TEXT_MAX);
    epoch_cache_encode(&log->epochs, &text);
    enum err err = text.err;
    if (err == ERR_OK)
        err =
            env_open(log->env, aside, ENV_OPEN_WRITE | ENV_OPEN_CREATE | ENV_OPEN_TRUNCATE, &file);
    if (err == ERR_OK) {
        err = env_write_at(file, 0, buf_bytes(&text));
        env_file_close(&file);
    }
    buf_fini(&text);
    log->epochs_aside = err == ERR_OK;
    return err;
}

static enum err
name_epochs(struct log *log)
{
    char path[LOG_PATH_MAX], aside[LOG_PATH_MAX + 4];
    ASSERT(log->epochs_aside);
    log->epochs_aside = false;
    enum err err = epochs_paths(log, path, aside) ? env_rename(log->env, aside, path) : ERR_INVALID;
    if (err == ERR_OK)
        log->epochs.version_written = log->epochs.version;
    return err;
}

static enum err
settled(struct log *log)
{
    for (int32_t i = 0; i < log->segment_count; i++) {
        struct log_segment *seg = log->segments[i];
        if (seg->dirty_file != NULL)
            env_file_close(&seg->dirty_file);
        seg->txn_unsynced = false;
        seg->index[SEGMENT_INDEX_OFFSET].unsynced = false;
        seg->index[SEGMENT_INDEX_TIME].unsynced = false;
    }
    log->dir_dirty = false;
    log->parent_dirty = false;
    log->metadata_dirty = false;
    log->unsettled = false;
    log->home.settle_later = false;
    atomic_store_explicit(&log->recovery_point, log_end_offset(log), memory_order_release);
    log_durable_reset(log);
    log_journal_let_go(log);
    log->flushed_ms = env_now_ms(log->env);
    log_changed(log);
    log_check(log);
    return log_unsynced_marker_clear(log);
}

/* What is not durable must not be served, a full disk or not; only this process's own want is no
 * failure of the log. */
static enum err
judge(struct log *log, enum err err)
{
    return err == ERR_OK || err == ERR_NOMEM || err == ERR_LIMIT ? err : log_fail(log, err);
}

/* ---- all of them ---- */

enum settle_step { SETTLE_BEGIN, SETTLE_NAME, SETTLE_END };

struct settling {
    struct log_manager *mgr;
    struct settle_item *items;
    enum settle_step step;
    _Atomic bool renamed;
};

static void
settle_one(void *ctx, int32_t i)
{
    struct settling *s = ctx;
    struct settle_item *item = &s->items[i];
    struct log *log = item->log;
    if (item->err == ERR_OK && log_state(log) == LOG_FAILED)
        item->err = ERR_FAILED;
    if (item->err != ERR_OK)
        return;
    switch (s->step) {
    case SETTLE_BEGIN:
        if (epoch_cache_has_news(&log->epochs, log_end_offset(log)))
            item->err = judge(log, write_epochs_aside(log));
        break;
    case SETTLE_NAME:
        if (log->epochs_aside) {
            item->err = judge(log, name_epochs(log));
            atomic_store(&s->renamed, true);
        }
        break;
    case SETTLE_END: item->err = judge(log, settled(log)); break;
    }
}

static void
settle_step(struct settling *s, int32_t count, enum settle_step step)
{
    s->step = step;
    if (log_manager_parallel(s->mgr, count, settle_one, s) == ERR_OK)
        return;
    for (int32_t i = 0; i < count; i++) /* no threads: one after the other */
        settle_one(s, i);
}

static void
sync_volumes(struct settling *s, int32_t count)
{
    for (int d = 0; d < s->mgr->dir_count; d++) {
        struct managed_dir *dir = &s->mgr->dirs[d];
        int32_t waiting = 0;
        for (int32_t i = 0; i < count; i++)
            waiting += s->items[i].dir == dir && s->items[i].err == ERR_OK;
        if (waiting == 0)
            continue;
        ASSERT(dir->volume != NULL);
        enum err err = env_sync(dir->volume);
        for (int32_t i = 0; i < count && err != ERR_OK; i++)
            if (s->items[i].dir == dir && s->items[i].err == ERR_OK)
                s->items[i].err = log_fail(s->items[i].log, err);
    }
}

void
log_manager_settle(struct log_manager *mgr, struct settle_item *items, int32_t count)
{
    struct settling s = {.mgr = mgr, .items = items};
    if (count == 0)
        return;
    settle_step(&s, count, SETTLE_BEGIN);
    sync_volumes(&s, count);
    settle_step(&s, count, SETTLE_NAME);
    if (atomic_load(&s.renamed))
        sync_volumes(&s, count);
    settle_step(&s, count, SETTLE_END);
}
