/* What: making a log durable, in three steps so that the wait for the disk is outside the lock.
 *
 * Begin takes references to every file with data not yet synced; they are the very files that were
 * written through (segment.h, I4). The active segment's indexes are not synced: recovery does not
 * trust them above the recovery point. Leader epochs are written before the recovery point moves
 * over the batches that brought them.
 * Threads: begin and end under the partition lock, run without.
 * Errors: a failed sync fails the log for good; it is never tried again. Without a
 * descriptor for what has to be opened, or room for the epochs, nothing failed: LIMIT, and another
 * flush may be tried. */
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/buf.h"
#include "log/log_priv.h"

enum { EPOCHS_TEXT_MAX = 8 << 20 };
/* log_flush_file.size_bytes of files that are no data. */
enum { SIZE_OF_INDEX = -1, SIZE_OF_TXN_INDEX = -2 };

static bool
segment_is_dirty(const struct log_segment *seg, bool active)
{
    if (seg->dirty_file != NULL || seg->txn_unsynced)
        return true;
    return !active && (seg->index[0].unsynced || seg->index[1].unsynced);
}

bool
log_flush_needed(const struct log *log)
{
    return log_recovery_point(log) < log_end_offset(log) || log->dir_dirty ||
           segment_is_dirty(log_active(log), true);
}

static enum err
flush_add(struct log_flush *flush, struct env_file *file, const void *segment, int64_t size_bytes)
{
    if (flush->file_count == flush->file_capacity) {
        int capacity = flush->file_capacity * 2;
        struct log_flush_file *files = mem_alloc((size_t)capacity * sizeof *files);
        if (files == NULL)
            return ERR_NOMEM;
        memcpy(files, flush->files, (size_t)flush->file_count * sizeof *files);
        if (flush->files != flush->inline_files)
            mem_free(flush->files);
        flush->files = files;
        flush->file_capacity = capacity;
    }
    flush->files[flush->file_count++] =
        (struct log_flush_file){.file = file, .segment = (void *)segment, .size_bytes = size_bytes};
    return ERR_OK;
}

static enum err
flush_add_slot(struct log_flush *flush, struct log_segment *seg, struct file_slot *slot,
    enum log_file_kind kind)
{
    struct env_file *file = file_cache_get(seg->home->files, slot);
    enum err err = ERR_OK;
    if (file == NULL) {
        char path[LOG_PATH_MAX];
        if (!log_file_path(path, seg->home->dir, seg->base_offset, kind))
            return ERR_INVALID;
        err = env_open(seg->home->env, path, ENV_OPEN_WRITE, &file);
    }
    if (err == ERR_OK) {
        err = flush_add(
            flush, file, seg, kind == LOG_FILE_TXNINDEX ? SIZE_OF_TXN_INDEX : SIZE_OF_INDEX);
        if (err != ERR_OK)
            env_file_close(&file);
    }
    return err == ERR_NOTFOUND ? ERR_OK : err;
}

static enum err
flush_add_segment(struct log_flush *flush, struct log_segment *seg, bool active)
{
    enum err err = ERR_OK;
    if (!active && seg->index[SEGMENT_INDEX_OFFSET].unsynced)
        err = flush_add_slot(flush, seg, &seg->index[SEGMENT_INDEX_OFFSET].slot, LOG_FILE_INDEX);
    if (err == ERR_OK && !active && seg->index[SEGMENT_INDEX_TIME].unsynced)
        err = flush_add_slot(flush, seg, &seg->index[SEGMENT_INDEX_TIME].slot, LOG_FILE_TIMEINDEX);
    if (err == ERR_OK && seg->txn_unsynced)
        err = flush_add_slot(flush, seg, &seg->txn_slot, LOG_FILE_TXNINDEX);
    if (err != ERR_OK || seg->dirty_file == NULL)
        return err;
    struct env_file *file = seg->dirty_file;
    env_file_ref(file);
    err = flush_add(flush, file, seg, seg->size_bytes);
    if (err != ERR_OK)
        env_file_close(&file);
    return err;
}

static enum err
flush_add_epochs(struct log *log, struct log_flush *flush)
{
    char path[LOG_PATH_MAX];
    struct buf text;
    if (!epoch_cache_is_dirty(&log->epochs))
        return ERR_OK;
    if (!log_file_in(log, path, LOG_EPOCH_FILE))
        return ERR_INVALID;
    buf_init(&text, EPOCHS_TEXT_MAX);
    epoch_cache_encode(&log->epochs, &text);
    flush->epochs_path = mem_strdup(path);
    if (text.err != ERR_OK || flush->epochs_path == NULL) {
        buf_fini(&text);
        return ERR_NOMEM;
    }
    flush->epochs = (char *)text.data; /* taken over */
    flush->epochs_len = text.len;
    flush->epochs_version = log->epochs.version;
    return ERR_OK;
}

static enum err
flush_add_dirs(struct log *log, struct log_flush *flush)
{
    if (log->dir_dirty) {
        flush->dir_path = mem_strdup(log->home.dir);
        if (flush->dir_path == NULL)
            return ERR_NOMEM;
    }
    /* Many logs are made and then written to: one sync of what holds them serves all. */
    if (log->parent_dirty && log->name_number > atomic_load(&log->host->names_synced)) {
        flush->names_made = atomic_load(&log->host->names_made);
        flush->parent_path = mem_strdup(log->host->dir);
        if (flush->parent_path == NULL)
            return ERR_NOMEM;
    }
    flush->metadata_sync = log->metadata_dirty;
    return ERR_OK;
}

static void
flush_init(struct log *log, struct log_flush *flush)
{
    *flush = (struct log_flush){.file_capacity = LOG_FLUSH_FILES_INLINE,
        .offset = log_end_offset(log),
        .active_base = log_active(log)->base_offset,
        .active_size = log_active(log)->size_bytes,
        .truncations = log->truncations,
        .env = log->env};
    flush->files = flush->inline_files;
}

enum err
log_flush_begin(struct log *log, struct log_flush *flush)
{
    enum err err = log_state(log) == LOG_FAILED ? ERR_FAILED : ERR_OK;
    if (err != ERR_OK)
        return err;
    ASSERT(!log->flushing);
    flush_init(log, flush);
    for (int32_t i = log->segment_count - 1; i >= 0 && err == ERR_OK; i--) {
        bool active = i == log->segment_count - 1;
        if (!active && !segment_is_dirty(log->segments[i], false))
            break; /* older ones were synced with or before it */
        err = flush_add_segment(flush, log->segments[i], active);
    }
    if (err == ERR_OK)
        err = flush_add_epochs(log, flush);
    if (err == ERR_OK)
        err = flush_add_dirs(log, flush);
    if (err != ERR_OK) {
        log_flush_abandon(flush);
        return log_judge(log, err);
    }
    log->dir_dirty = false;
    log->parent_dirty = false;
    log->metadata_dirty = false;
    log->flushing = true;
    return ERR_OK;
}

static enum err
sync_metadata(struct log_flush *flush)
{
    char path[LOG_PATH_MAX];
    if (flush->dir_path == NULL || !log_path_join(path, flush->dir_path, LOG_METADATA_FILE))
        return ERR_OK;
    enum err err = env_sync_path(flush->env, path);
    return err == ERR_NOTFOUND ? ERR_OK : err;
}

enum err
log_flush_run(struct log_flush *flush)
{
    enum err err = ERR_OK;
    /* Oldest first: what is durable is then always a prefix. */
    for (int i = flush->file_count - 1; i >= 0 && err == ERR_OK; i--)
        err = env_sync(flush->files[i].file);
    if (err == ERR_OK && flush->metadata_sync)
        err = sync_metadata(flush);
    if (err == ERR_OK && flush->epochs_path != NULL) {
        err = env_write_file_atomic(flush->env, flush->epochs_path,
            (struct bytes){(const uint8_t *)flush->epochs, flush->epochs_len});
        if (err == ERR_NOSPACE)
            err = ERR_LIMIT; /* unlike a sync of data: the old file is still in place */
    }
    /* Naming the epochs synced the directory. */
    if (err == ERR_OK && flush->dir_path != NULL && flush->epochs_path == NULL)
        err = env_sync_dir(flush->env, flush->dir_path);
    if (err == ERR_OK && flush->parent_path != NULL)
        err = env_sync_dir(flush->env, flush->parent_path);
    return err;
}

void
log_flush_abandon(struct log_flush *flush)
{
    for (int i = 0; i < flush->file_count; i++)
        env_file_close(&flush->files[i].file);
    if (flush->files != flush->inline_files)
        mem_free(flush->files);
    mem_free(flush->dir_path);
    mem_free(flush->parent_path);
    mem_free(flush->epochs_path);
    mem_free(flush->epochs);
    *flush = (struct log_flush){0};
    flush->files = flush->inline_files;
}

/* Lets go of the files of segments to which nothing came since begin. */
static void
settle_segments(struct log *log, const struct log_flush *flush)
{
    for (int32_t i = log->segment_count - 1; i >= 0; i--) {
        struct log_segment *seg = log->segments[i];
        bool active = i == log->segment_count - 1;
        if (!active && !segment_is_dirty(seg, false))
            break;
        bool listed = false, indexes_listed = false;
        for (int f = 0; f < flush->file_count; f++) {
            if (flush->files[f].segment != seg)
                continue;
            listed = true;
            indexes_listed = indexes_listed || flush->files[f].size_bytes == SIZE_OF_INDEX;
            if (seg->dirty_file == flush->files[f].file &&
                seg->size_bytes == flush->files[f].size_bytes)
                env_file_close(&seg->dirty_file);
        }
        /* A segment that was sealed since begin keeps its index flags for the next flush. */
        if (seg->dirty_file == NULL && (listed || active)) {
            seg->txn_unsynced = false;
            if (!active && indexes_listed) {
                seg->index[0].unsynced = false;
                seg->index[1].unsynced = false;
            }
        }
    }
}

static void
note_durable(struct log *log, const struct log_flush *flush)
{
    ASSERT(flush->offset <= log_end_offset(log));
    if (flush->offset < log->durable_offset)
        return;
    log->durable_offset = flush->offset;
    log->durable_segment = flush->active_base;
    log->durable_position = flush->active_size;
}

/* Retention may have made the log shorter meanwhile. */
static void
note_risen(struct log *log)
{
    int64_t size = log_size_bytes(log);
    if (size > log->size_noted)
        atomic_fetch_add_explicit(
            &log->host->bytes_to_note, size - log->size_noted, memory_order_relaxed);
    log->size_noted = size;
}

void
log_host_names_synced(struct log_host *host, uint64_t made)
{
    uint64_t synced = atomic_load(&host->names_synced);
    while (synced < made && !atomic_compare_exchange_weak(&host->names_synced, &synced, made))
        ;
}

enum err
log_flush_end(struct log *log, struct log_flush *flush, enum err result)
{
    log->flushing = false;
    if (result == ERR_LIMIT) { /* no descriptor for a directory, no room for the epochs; no sync */
        log->dir_dirty = log->dir_dirty || flush->dir_path != NULL;
        log->parent_dirty = log->parent_dirty || flush->parent_path != NULL;
        log->metadata_dirty = log->metadata_dirty || flush->metadata_sync;
        log_flush_abandon(flush);
        return result;
    }
    if (result != ERR_OK) {
        log_flush_abandon(flush);
        return log_fail(log, result);
    }
    if (flush->epochs_path != NULL)
        log->epochs.version_written = flush->epochs_version;
    if (flush->parent_path != NULL)
        log_host_names_synced(log->host, flush->names_made);
    if (flush->truncations == log->truncations) {
        settle_segments(log, flush);
        if (flush->offset > log_recovery_point(log)) {
            atomic_store_explicit(&log->recovery_point, flush->offset, memory_order_release);
            log_changed(log);
            note_risen(log);
        }
        note_durable(log, flush);
        log_journal_let_go(log);
    }
    log->flushed_ms = env_now_ms(log->env);
    log_flush_abandon(flush);
    log_check(log);
    return log_state(log) == LOG_FAILED ? ERR_FAILED : ERR_OK;
}

/* ---- by way of the journal ---- */

bool
log_flush_may_journal(const struct log *log)
{
    const struct log_segment *active = log_active(log);
    if (log->host->journal == NULL || log_journal_is_full(log->host->journal))
        return false;
    if (log->dir_dirty || log->parent_dirty || log->metadata_dirty || active->txn_unsynced ||
        epoch_cache_is_dirty(&log->epochs))
        return false;
    /* All older segments are synced: a roll makes the directory dirty. */
    return log->durable_segment == active->base_offset &&
           active->size_bytes - log->durable_position <= LOG_JOURNAL_ENTRY_MAX;
}

enum err
log_flush_begin_journal(struct log *log, struct log_flush *flush)
{
    if (log_state(log) == LOG_FAILED)
        return ERR_FAILED;
    ASSERT(!log->flushing);
    if (!log_flush_may_journal(log))
        return ERR_LIMIT;
    flush_init(log, flush);
    flush->journaled = true;
    flush->journal_position = log->durable_position;
    flush->topic_id = log->topic_id;
    ASSERT(flush->journal_position <= flush->active_size);
    enum err err = flush_add_segment(flush, log_active(log), true);
    if (err != ERR_OK) {
        log_flush_abandon(flush);
        return err;
    }
    log->flushing = true;
    return ERR_OK;
}

enum err
log_flush_collect(
    const struct log_flush *flush, struct str topic, int32_t partition, struct buf *out)
{
    char key[LOG_NAME_MAX + 1];
    size_t n, len = (size_t)(flush->active_size - flush->journal_position), before = out->len;
    ASSERT(flush->journaled && len <= LOG_JOURNAL_ENTRY_MAX);
    if (len == 0)
        return ERR_OK;
    ASSERT(flush->file_count == 1);
    snprintf(key, sizeof key, "%.*s-%d", STR_FMT(topic), (int)partition);
    struct log_journal_entry entry = {.key = str_of(key),
        .topic_id = flush->topic_id,
        .segment_base = flush->active_base,
        .position = flush->journal_position,
        .len = len};
    uint8_t *data = log_journal_add(out, &entry);
    if (data == NULL)
        return out->err;
    enum err err = env_read_at(flush->files[0].file, flush->journal_position, data, len, &n);
    if (err == ERR_OK && n < len)
        err = ERR_IO;
    if (err != ERR_OK)
        out->len = before; /* no entry without its bytes */
    return err;
}

enum err
log_flush_end_journal(struct log *log, struct log_flush *flush, enum err result, uint64_t lap)
{
    bool wrote = flush->active_size > flush->journal_position;
    ASSERT(flush->journaled);
    log->flushing = false;
    if (result == ERR_OK && flush->truncations == log->truncations) {
        if (wrote && log->journal_lap == 0) {
            log_journal_hold(log->host->journal, lap);
            log->journal_lap = lap;
        }
        note_durable(log, flush);
    }
    log_flush_abandon(flush);
    if (result != ERR_OK && result != ERR_LIMIT && result != ERR_NOMEM)
        return log_fail(log, result);
    log->flushed_ms = env_now_ms(log->env);
    log_check(log);
    return log_state(log) == LOG_FAILED ? ERR_FAILED : result;
}

enum err
log_flush_now(struct log *log)
{
    struct log_flush flush;
    enum err err = log_flush_begin(log, &flush);
    if (err != ERR_OK)
        return err;
    return log_flush_end(log, &flush, log_flush_run(&flush));
}

bool
log_flush_due(const struct log *log)
{
    int64_t unflushed = log_end_offset(log) - log_durable_offset(log);
    if (unflushed <= 0)
        return false;
    return unflushed >= log->config.flush_messages ||
           (log->config.flush_ms != INT64_MAX &&
               env_now_ms(log->env) - log->flushed_ms >= log->config.flush_ms);
}
