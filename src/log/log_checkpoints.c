/* What: the text checkpoints of the log directories, written whole and atomically when they would
 * say something new.
 * Threads: any; one writes at a time, since two would take the temporary file from each other. */
#include <string.h>

#include "base/assert.h"
#include "base/buf.h"
#include "base/diag.h"
#include "log/checkpoint.h"
#include "log/cleaner_priv.h"
#include "log/log_manager_priv.h"
#include "log/log_priv.h"

enum { CHECKPOINT_TEXT_MAX = 32 << 20, CHECKPOINT_BYTES_DEFAULT = 128 << 20 };
_Static_assert((1u << LOG_CHECKPOINT_KIND_COUNT) - 1 == LOG_HOST_STALE_ALL, "a bit for each kind");

const char *
log_checkpoint_name(enum log_checkpoint_kind kind)
{
    switch (kind) {
    case LOG_CHECKPOINT_RECOVERY_POINT: return "recovery-point-offset-checkpoint";
    case LOG_CHECKPOINT_LOG_START: return "log-start-offset-checkpoint";
    case LOG_CHECKPOINT_HIGH_WATERMARK: return "replication-offset-checkpoint";
    case LOG_CHECKPOINT_CLEANED: return "cleaner-offset-checkpoint";
    case LOG_CHECKPOINT_KIND_COUNT: break;
    }
    UNREACHABLE();
}

/* The number a checkpoint says of a log; -1: no line. Reads only what is for any thread. */
static int64_t
checkpoint_value(const struct log *log, enum log_checkpoint_kind kind)
{
    switch (kind) {
    case LOG_CHECKPOINT_RECOVERY_POINT: return log_recovery_point(log);
    case LOG_CHECKPOINT_LOG_START:
        /* Kafka writes it only where it is above the first segment; zero says nothing either. */
        return log_start_offset(log) > 0 ? log_start_offset(log) : -1;
    case LOG_CHECKPOINT_HIGH_WATERMARK: return log_high_watermark(log);
    case LOG_CHECKPOINT_CLEANED:
        /* What is appended after a truncation was never cleaned. */
        return log_cleaned_end(log) < log_end_offset(log) ? log_cleaned_end(log)
                                                          : log_end_offset(log);
    case LOG_CHECKPOINT_KIND_COUNT: break;
    }
    UNREACHABLE();
}

static void
add_line(struct buf *lines, const char *key, int64_t value, int64_t *count)
{
    const char *dash = strrchr(key, '-');
    ASSERT(dash != NULL);
    if (value < 0)
        return;
    buf_printf(lines, "%.*s %s %lld\n", (int)(dash - key), key, dash + 1, (long long)value);
    (*count)++;
}

/* With a sync of its name, also when it says what it said; or when that is new, without one. */
enum how { HOW_NEW, HOW_ALWAYS, HOW_UNNAMED };

/* Never 0. */
static uint64_t
text_hash(const struct buf *lines)
{
    return hash_bytes(lines->data, lines->len) | 1;
}

static enum err
write_text(struct managed_dir *dir, enum log_checkpoint_kind kind, struct buf *lines, int64_t count,
    enum how how)
{
    char path[LOG_PATH_MAX];
    struct buf text;
    uint64_t hash = text_hash(lines);
    if (lines->err != ERR_OK)
        return lines->err;
    if (how != HOW_ALWAYS && dir->checkpoint_hashes[kind] == hash)
        return ERR_OK;
    if (!log_path_join(path, dir->path, log_checkpoint_name(kind)))
        return ERR_INVALID;
    buf_init(&text, CHECKPOINT_TEXT_MAX);
    checkpoint_begin(&text, count);
    buf_append(&text, lines->data, lines->len);
    enum err err = text.err;
    if (err == ERR_OK)
        err = how == HOW_UNNAMED ? env_put_file(dir->mgr->env, path, buf_bytes(&text))
                                 : env_write_file_atomic(dir->mgr->env, path, buf_bytes(&text));
    buf_fini(&text);
    if (err == ERR_OK)
        dir->checkpoint_hashes[kind] = hash;
    return err;
}

/* Initialises `lines`. */
static void
gather(struct log_manager *mgr, const struct managed_dir *dir, enum log_checkpoint_kind kind,
    struct buf *lines, int64_t *count)
{
    struct managed_log *entry, *next;
    *count = 0;
    buf_init(lines, CHECKPOINT_TEXT_MAX);
    mutex_lock(&mgr->mutex);
    HASH_ITER (hh, mgr->logs, entry, next) {
        if (entry->dir == dir)
            add_line(lines, entry->key, checkpoint_value(entry->log, kind), count);
    }
    if (mgr->metadata_log != NULL && mgr->metadata_log->host == &dir->host)
        add_line(lines, LOG_METADATA_TOPIC "-0", checkpoint_value(mgr->metadata_log, kind), count);
    mutex_unlock(&mgr->mutex);
}

static enum err
write_dir(struct managed_dir *dir, enum log_checkpoint_kind kind, enum how how)
{
    struct log_manager *mgr = dir->mgr;
    struct buf lines;
    int64_t count;
    unsigned bit = 1u << kind;
    mutex_lock(&mgr->checkpoint_mutex); /* before gathering: what is older is not written later */
    /* Idle, a checkpoint costs nothing however many logs there are. */
    if ((atomic_fetch_and(&dir->host.stale, ~bit) & bit) == 0) {
        mutex_unlock(&mgr->checkpoint_mutex);
        return ERR_OK;
    }
    if (kind == LOG_CHECKPOINT_RECOVERY_POINT)
        atomic_store(&dir->host.bytes_to_note, 0);
    gather(mgr, dir, kind, &lines, &count);
    enum err err = write_text(dir, kind, &lines, count, how);
    if (err != ERR_OK)
        atomic_fetch_or(&dir->host.stale, bit);
    mutex_unlock(&mgr->checkpoint_mutex);
    buf_fini(&lines);
    return err;
}

enum err
log_checkpoint_write_dir(struct managed_dir *dir, enum log_checkpoint_kind kind)
{
    return write_dir(dir, kind, HOW_NEW);
}

enum err
log_checkpoint_put_dir(struct managed_dir *dir, enum log_checkpoint_kind kind)
{
    return write_dir(dir, kind, HOW_UNNAMED);
}

void
log_checkpoint_take_as_written(
    struct log_manager *mgr, struct managed_dir *dir, enum log_checkpoint_kind kind)
{
    struct buf lines;
    int64_t count;
    gather(mgr, dir, kind, &lines, &count);
    dir->checkpoint_hashes[kind] = text_hash(&lines);
    buf_fini(&lines);
}

static void
checkpoint_dir(struct log_manager *mgr, struct managed_dir *dir, enum log_checkpoint_kind kind)
{
    enum err err = log_checkpoint_write_dir(dir, kind);
    if (err == ERR_OK)
        return;
    diag_event(env_diag(mgr->env), DIAG_ERROR, "log", "checkpoint_failed", DIAG_Z("dir", dir->path),
        DIAG_Z("file", log_checkpoint_name(kind)), DIAG_ERR("cause", err));
    if (err != ERR_NOMEM && err != ERR_NOSPACE && err != ERR_LIMIT &&
        !atomic_exchange(&dir->host.offline, true))
        dir->host.failed(&dir->host, err);
}

void
log_checkpoint_write(struct log_manager *mgr, enum log_checkpoint_kind kind)
{
    for (int i = 0; i < mgr->dir_count; i++)
        if (!atomic_load(&mgr->dirs[i].host.offline) &&
            (kind != LOG_CHECKPOINT_CLEANED || mgr->dirs[i].cleaned_known))
            checkpoint_dir(mgr, &mgr->dirs[i], kind);
}

static int64_t
closed_value(const struct closed_log *log, enum log_checkpoint_kind kind)
{
    switch (kind) {
    case LOG_CHECKPOINT_RECOVERY_POINT: return log->recovery_point;
    case LOG_CHECKPOINT_LOG_START:
        return log->start_offset > log->segment_start ? log->start_offset : -1;
    case LOG_CHECKPOINT_HIGH_WATERMARK: return log->high_watermark;
    case LOG_CHECKPOINT_CLEANED: return log->cleaned_end;
    case LOG_CHECKPOINT_KIND_COUNT: break;
    }
    UNREACHABLE();
}

enum err
log_checkpoint_write_closed(struct managed_dir *dir, enum log_checkpoint_kind kind,
    const struct closed_log *logs, int32_t count)
{
    struct buf lines;
    int64_t written = 0;
    if (kind == LOG_CHECKPOINT_CLEANED && !dir->cleaned_known)
        return ERR_OK;
    buf_init(&lines, CHECKPOINT_TEXT_MAX);
    for (int32_t i = 0; i < count; i++)
        if (logs[i].dir == dir)
            add_line(&lines, logs[i].key, closed_value(&logs[i], kind), &written);
    mutex_lock(&dir->mgr->checkpoint_mutex);
    enum err err = write_text(
        dir, kind, &lines, written, kind != LOG_CHECKPOINT_CLEANED ? HOW_ALWAYS : HOW_NEW);
    mutex_unlock(&dir->mgr->checkpoint_mutex);
    buf_fini(&lines);
    return err;
}

void
log_manager_checkpoint(struct log_manager *mgr)
{
    log_checkpoint_write(mgr, LOG_CHECKPOINT_RECOVERY_POINT);
    log_checkpoint_write(mgr, LOG_CHECKPOINT_LOG_START);
    log_checkpoint_write(mgr, LOG_CHECKPOINT_CLEANED);
}

void
log_manager_checkpoint_due(struct log_manager *mgr)
{
    int64_t most =
        mgr->opts.checkpoint_bytes > 0 ? mgr->opts.checkpoint_bytes : CHECKPOINT_BYTES_DEFAULT;
    for (int i = 0; i < mgr->dir_count; i++)
        if (atomic_load(&mgr->dirs[i].host.bytes_to_note) >= most &&
            !atomic_load(&mgr->dirs[i].host.offline))
            checkpoint_dir(mgr, &mgr->dirs[i], LOG_CHECKPOINT_RECOVERY_POINT);
}

void
log_manager_checkpoint_high_watermarks(struct log_manager *mgr)
{
    log_checkpoint_write(mgr, LOG_CHECKPOINT_HIGH_WATERMARK);
}

/* ---- for the cleaner ---- */

static struct managed_dir *
dir_of(const struct log_clean *clean)
{
    return CONTAINER_OF(clean->host, struct managed_dir, host);
}

enum err
log_manager_clean_begun(struct log_manager *mgr, const struct log_clean *clean)
{
    ASSERT(dir_of(clean)->mgr == mgr);
    return log_checkpoint_write_dir(dir_of(clean), LOG_CHECKPOINT_RECOVERY_POINT);
}

void
log_manager_clean_ended(struct log_manager *mgr, const struct log_clean *clean)
{
    struct managed_dir *dir = dir_of(clean);
    atomic_store(&dir->cleaned_known, true);
    if (!atomic_load(&dir->host.offline))
        checkpoint_dir(mgr, dir, LOG_CHECKPOINT_CLEANED);
}
