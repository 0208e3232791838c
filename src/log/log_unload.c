/* What: closing every log when the node stops, several at a time, and saying what was closed.
 * Invariants: I1 the checkpoints are written after everything they tell of is durable.
 * Threads: nobody uses a log any more.
 * Errors: a log that does not close well leaves its directory without the clean marker. */
#include <stdio.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/diag.h"
#include "log/log_manager_priv.h"
#include "log/log_priv.h"

struct closing {
    struct log_manager *mgr;
    struct closed_log *closed;  /* what the checkpoints will say */
    struct settle_item *items;  /* the same logs; those that need no settling are NULL */
    struct settle_item *settle; /* those that lie on a volume and need it */
    int32_t count, settle_count;
    _Atomic bool *dirty; /* by directory */
};

/* Takes the logs out of the manager. */
static void
take_logs(struct closing *c)
{
    struct log_manager *mgr = c->mgr;
    struct managed_log *entry, *next;
    HASH_ITER (hh, mgr->logs, entry, next) {
        struct closed_log *closed = &c->closed[c->count];
        closed->dir = entry->dir;
        closed->cleaned_end = log_cleaned_end(entry->log);
        snprintf(closed->key, LOG_KEY_SIZE, "%s", entry->key);
        c->items[c->count++] = (struct settle_item){.dir = entry->dir, .log = entry->log};
        HASH_DEL(mgr->logs, entry);
        mem_free(entry);
    }
    if (mgr->metadata_log != NULL) {
        struct closed_log *closed = &c->closed[c->count];
        closed->dir = &mgr->dirs[0];
        closed->cleaned_end = -1;
        snprintf(closed->key, LOG_KEY_SIZE, "%s-0", LOG_METADATA_TOPIC);
        c->items[c->count++] = (struct settle_item){.dir = closed->dir, .log = mgr->metadata_log};
        mgr->metadata_log = NULL;
    }
}

static void
begin_one(void *ctx, int32_t i)
{
    struct closing *c = ctx;
    struct closed_log *entry = &c->closed[i];
    struct log *log = c->items[i].log;
    entry->recovery_point = log_recovery_point(log);
    entry->start_offset = log_start_offset(log);
    entry->segment_start = log->segments[0]->base_offset;
    entry->high_watermark = log_high_watermark(log);
    entry->end_offset = log_end_offset(log);
    if (entry->cleaned_end > entry->end_offset)
        entry->cleaned_end = entry->end_offset;
    c->items[i].err = log_close_begin(log, &c->items[i].dirty);
}

static void
sync_one(void *ctx, int32_t i)
{
    struct closing *c = ctx;
    struct settle_item *item = &c->items[i];
    if (item->err == ERR_OK && item->dirty)
        item->err = log_close_sync(item->log);
}

static void
side_by_side(struct closing *c, void (*fn)(void *ctx, int32_t i))
{
    if (log_manager_parallel(c->mgr, c->count, fn, c) == ERR_OK)
        return;
    for (int32_t i = 0; i < c->count; i++)
        fn(c, i);
}

/* Of the directories with many dirty logs and a volume. */
static void
settle_volumes(struct closing *c)
{
    for (int d = 0; d < c->mgr->dir_count; d++) {
        struct managed_dir *dir = &c->mgr->dirs[d];
        int32_t from = c->settle_count;
        for (int32_t i = 0; i < c->count && dir->volume != NULL; i++) {
            struct settle_item *item = &c->items[i];
            if (item->dir != dir || item->err != ERR_OK || !item->dirty)
                continue;
            c->settle[c->settle_count] = *item;
            c->settle[c->settle_count++].place = i;
        }
        if (c->settle_count - from <= LOG_SETTLE_ALONE_MAX)
            c->settle_count = from;
    }
    log_manager_settle(c->mgr, c->settle, c->settle_count);
    for (int32_t i = 0; i < c->settle_count; i++) {
        struct settle_item *item = &c->items[c->settle[i].place];
        item->err = c->settle[i].err;
        item->dirty = false;
    }
}

static void
write_checkpoints(struct closing *c)
{
    for (int32_t i = 0; i < c->count; i++) {
        struct settle_item *item = &c->items[i];
        if (item->err == ERR_OK)
            c->closed[i].recovery_point = c->closed[i].end_offset;
        else
            atomic_store(&c->dirty[item->dir - c->mgr->dirs], true);
        log_abandon(&item->log);
    }
    for (int d = 0; d < c->mgr->dir_count; d++) {
        struct managed_dir *dir = &c->mgr->dirs[d];
        enum err err = atomic_load(&dir->host.offline) ? ERR_FAILED : ERR_OK;
        for (int kind = 0; kind < LOG_CHECKPOINT_KIND_COUNT && err == ERR_OK; kind++)
            err = log_checkpoint_write_closed(
                dir, (enum log_checkpoint_kind)kind, c->closed, c->count);
        if (err != ERR_OK)
            atomic_store(&c->dirty[d], true);
    }
}

static void
write_clean_markers(struct closing *c, int64_t broker_epoch)
{
    for (int d = 0; d < c->mgr->dir_count; d++) {
        struct managed_dir *dir = &c->mgr->dirs[d];
        if (atomic_load(&c->dirty[d]) || atomic_load(&dir->host.offline))
            continue;
        if (log_dir_write_clean(dir, broker_epoch) != ERR_OK)
            diag_event(env_diag(c->mgr->env), DIAG_WARN, "log", "clean_marker_failed",
                DIAG_Z("dir", dir->path));
    }
}

void
log_unload_all(struct log_manager *mgr, int64_t broker_epoch)
{
    size_t count = (size_t)HASH_COUNT(mgr->logs) + 1;
    struct closing c = {.mgr = mgr,
        .closed = mem_calloc(count, sizeof *c.closed),
        .items = mem_calloc(count, sizeof *c.items),
        .settle = mem_calloc(count, sizeof *c.settle),
        .dirty = mem_calloc((size_t)mgr->dir_count, sizeof *c.dirty)};
    if (c.closed != NULL && c.items != NULL && c.settle != NULL && c.dirty != NULL) {
        take_logs(&c);
        side_by_side(&c, begin_one);
        settle_volumes(&c);
        side_by_side(&c, sync_one);
        write_checkpoints(&c);
        write_clean_markers(&c, broker_epoch);
    } /* else as after a crash */
    mem_free(c.closed);
    mem_free(c.items);
    mem_free(c.settle);
    mem_free((void *)c.dirty);
}
