/* What: one partition's log: what its parts share, its fields, its segments list, roll.
 *
 * States: OPEN, CORRUPT (left by log_truncate), FAILED (never left).
 * Invariants:
 *   I1 There is at least one segment; base offsets strictly grow; the last one is the active one.
 *   I2 start <= end; recovery point <= end; start <= high watermark <= end.
 *   I3 Offsets handed out by an append are in the segments before end_offset tells of them.
 *   I4 After a failed write or sync nothing is appended and nothing called durable any more.
 * Threads: partition lock, but for the atomics.
 * Errors: log.h. */
#include "log/log.h"

#include <string.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/diag.h"
#include "log/log_priv.h"

void
log_check(const struct log *log)
{
    ASSERT(log->segment_count > 0);
    int64_t start = log_start_offset(log), end = log_end_offset(log), hw = log_high_watermark(log);
    ASSERT(start <= end);
    ASSERT(hw >= start && hw <= end);
    ASSERT(log_recovery_point(log) <= end);
    ASSERT(log->durable_offset <= end);
}

struct str
log_topic(const struct log *log)
{
    return str_of(log->topic);
}

int32_t
log_partition(const struct log *log)
{
    return log->partition;
}

const char *
log_dir_path(const struct log *log)
{
    return log->home.dir;
}

const char *
log_parent_dir(const struct log *log)
{
    return log->host->dir;
}

struct uuid
log_parent_dir_id(const struct log *log)
{
    return log->host->dir_id;
}

struct uuid
log_topic_id(const struct log *log)
{
    return log->topic_id;
}

enum log_state
log_state(const struct log *log)
{
    if (atomic_load(&log->host->offline))
        return LOG_FAILED;
    return (enum log_state)atomic_load(&log->state);
}

int64_t
log_corrupt_offset(const struct log *log)
{
    return atomic_load(&log->state) == LOG_CORRUPT ? log->corrupt_offset : -1;
}

int64_t
log_start_offset(const struct log *log)
{
    return atomic_load_explicit(&log->start_offset, memory_order_acquire);
}

int64_t
log_end_offset(const struct log *log)
{
    return atomic_load_explicit(&log->end_offset, memory_order_acquire);
}

int64_t
log_recovery_point(const struct log *log)
{
    return atomic_load_explicit(&log->recovery_point, memory_order_acquire);
}

int64_t
log_durable_offset(const struct log *log)
{
    int64_t synced = log_recovery_point(log);
    return log->durable_offset > synced ? log->durable_offset : synced;
}

void
log_durable_reset(struct log *log)
{
    struct log_segment *active = log_active(log);
    log->durable_offset = log_end_offset(log);
    log->durable_segment = active->base_offset;
    log->durable_position = active->size_bytes;
}

struct log_journal *
log_journal_of(const struct log *log)
{
    return log->host->journal;
}

bool
log_needs_journal(const struct log *log)
{
    return log->journal_lap != 0;
}

void
log_journal_let_go(struct log *log)
{
    if (log->journal_lap != 0)
        log_journal_release(log->host->journal, log->journal_lap);
    log->journal_lap = 0;
}

int64_t
log_high_watermark(const struct log *log)
{
    return atomic_load_explicit(&log->high_watermark, memory_order_acquire);
}

void
log_set_high_watermark(struct log *log, int64_t high_watermark)
{
    int64_t start = log_start_offset(log), end = log_end_offset(log);
    if (high_watermark < start)
        high_watermark = start;
    if (high_watermark > end)
        high_watermark = end;
    if (high_watermark != log_high_watermark(log)) {
        atomic_store_explicit(&log->high_watermark, high_watermark, memory_order_release);
        log_changed(log);
    }
    if (log->producers != NULL)
        producer_state_high_watermark(log->producers, high_watermark);
}

void
log_set_start(struct log *log, int64_t start_offset)
{
    ASSERT(start_offset <= log_end_offset(log));
    if (start_offset <= log_start_offset(log))
        return;
    atomic_store_explicit(&log->start_offset, start_offset, memory_order_release);
    if (log_high_watermark(log) < start_offset)
        log_set_high_watermark(log, start_offset);
    if (log_recovery_point(log) < start_offset)
        atomic_store(&log->recovery_point, start_offset);
    log_changed(log);
    epoch_cache_truncate_start(&log->epochs, start_offset);
    if (log->producers != NULL)
        producer_state_log_start(log->producers, start_offset);
}

int64_t
log_size_bytes(const struct log *log)
{
    return atomic_load_explicit(&log->size_bytes, memory_order_relaxed);
}

int64_t
log_cleaned_end(const struct log *log)
{
    return atomic_load_explicit(&log->cleaned_end, memory_order_relaxed);
}

int32_t
log_segment_count(const struct log *log)
{
    return log->segment_count;
}

struct log_config
log_get_config(const struct log *log)
{
    return log->config;
}

void
log_set_config(struct log *log, const struct log_config *config)
{
    ASSERT(config->segment_bytes > 0);
    ASSERT(config->segment_index_bytes > 0);
    log->config = *config;
}

enum err
log_writable(const struct log *log)
{
    switch (log_state(log)) {
    case LOG_OPEN: return ERR_OK;
    case LOG_CORRUPT: return ERR_CORRUPT;
    case LOG_FAILED: return ERR_FAILED;
    }
    UNREACHABLE();
}

/* After a failed sync the kernel takes the pages for clean: a process that starts again reads them,
 * and its own sync would succeed without writing them. This name tells it to write them once more.
 * It need not be durable itself: when the machine goes down the pages are gone with it. */
static void
leave_unsynced_marker(struct log *log)
{
    char path[LOG_PATH_MAX];
    struct env_file *file;
    if (!log_file_in(log, path, LOG_UNSYNCED_FILE))
        return;
    if (env_open(log->env, path, ENV_OPEN_WRITE | ENV_OPEN_CREATE, &file) == ERR_OK)
        env_file_close(&file);
    else if (log->host->cannot_mark != NULL)
        log->host->cannot_mark(log->host);
}

enum err
log_fail(struct log *log, enum err err)
{
    ASSERT(err != ERR_OK);
    if (atomic_load(&log->state) == LOG_FAILED)
        return err;
    bool first = !atomic_exchange(&log->host->offline, true);
    atomic_store(&log->state, LOG_FAILED); /* I4 */
    diag_event(env_diag(log->env), first ? DIAG_ERROR : DIAG_DEBUG, "log", "log_failed",
        DIAG_Z("dir", log->home.dir), DIAG_ERR("cause", err));
    leave_unsynced_marker(log);
    if (!first)
        return ERR_FAILED;
    if (log->host->failed != NULL)
        log->host->failed(log->host, err);
    return err;
}

enum err
log_judge(struct log *log, enum err err)
{
    if (err == ERR_OK || err == ERR_NOMEM || err == ERR_NOSPACE || err == ERR_AGAIN ||
        err == ERR_INVALID || err == ERR_CORRUPT || err == ERR_LIMIT)
        return err;
    return log_fail(log, err);
}

bool
log_file_in(const struct log *log, char out[LOG_PATH_MAX], const char *name)
{
    return log_path_join(out, log->home.dir, name);
}

/* ---- segments ---- */

int32_t
log_segment_floor(const struct log *log, int64_t offset)
{
    int32_t low = 0, high = log->segment_count;
    while (low < high) {
        int32_t middle = low + (high - low) / 2;
        if (log->segments[middle]->base_offset <= offset)
            low = middle + 1;
        else
            high = middle;
    }
    return low - 1;
}

int64_t
log_segment_end(const struct log *log, int32_t i)
{
    ASSERT(i >= 0 && i < log->segment_count);
    return i + 1 < log->segment_count ? log->segments[i + 1]->base_offset : log_end_offset(log);
}

enum err
log_segment_push(struct log *log, struct log_segment *seg)
{
    if (log->segment_count == log->segment_capacity) {
        int32_t capacity = log->segment_capacity == 0 ? 2 : log->segment_capacity * 2;
        void *grown = mem_realloc(log->segments, (size_t)capacity * sizeof(struct log_segment *));
        if (grown == NULL)
            return ERR_NOMEM;
        log->segments = grown;
        log->segment_capacity = capacity;
    }
    ASSERT(log->segment_count == 0 || log_active(log)->base_offset < seg->base_offset);
    log->segments[log->segment_count++] = seg;
    return ERR_OK;
}

enum err
log_segment_add_new(struct log *log, int64_t base_offset)
{
    struct log_segment *seg;
    enum err err = segment_create(&log->home, base_offset, &seg);
    if (err != ERR_OK)
        return err;
    err = log_segment_push(log, seg);
    if (err != ERR_OK) {
        enum err undone = segment_discard(&seg);
        return undone == ERR_OK ? err : undone;
    }
    log->dir_dirty = true;
    log->roll_jitter_ms =
        log->config.segment_jitter_ms <= 0
            ? 0
            : (int64_t)(env_random_u64(log->env) % (uint64_t)log->config.segment_jitter_ms);
    return ERR_OK;
}

void
log_file_gone(void *ctx, const char *path)
{
    struct log *log = ctx;
    if (log->host->delete_later != NULL) {
        log->host->delete_later(log->host, path, log->config.file_delete_delay_ms);
        return;
    }
    if (env_unlink(log->env, path) != ERR_OK) /* found again at the next open */
        diag_event(env_diag(log->env), DIAG_WARN, "log", "unlink_failed", DIAG_Z("path", path));
}

enum err
log_segments_remove(struct log *log, int32_t first, int32_t count)
{
    ASSERT(first >= 0 && count >= 0 && first + count <= log->segment_count);
    for (int32_t i = 0; i < count; i++) {
        struct log_segment *seg = log->segments[first];
        /* Newest first when the tail goes, oldest first at the head: either way no hole remains
         * should we be stopped in between. */
        int32_t at = first > 0 ? first + count - 1 - i : first;
        seg = log->segments[at];
        enum err err = segment_mark_deleted(seg, false, log_file_gone, log);
        if (err != ERR_OK)
            return log_judge(log, err);
        atomic_fetch_sub(&log->size_bytes, seg->size_bytes);
        log_snapshot_forget(log, seg->base_offset);
        memmove(&log->segments[at], &log->segments[at + 1],
            (size_t)(log->segment_count - at - 1) * sizeof(struct log_segment *));
        log->segment_count--;
        segment_free(&seg);
    }
    log->dir_dirty = true;
    log_cursors_clear(log);
    return ERR_OK;
}

enum err
log_roll_at(struct log *log, int64_t base_offset)
{
    struct log_segment *active = log_active(log);
    ASSERT(base_offset >= log_end_offset(log));
    if (active->size_bytes == 0) {
        if (active->base_offset == base_offset)
            return ERR_OK;
        /* Never written: its name was wrong. A second file for the new name comes first. */
        enum err err = log_segment_add_new(log, base_offset);
        return err != ERR_OK ? log_judge(log, err)
                             : log_segments_remove(log, log->segment_count - 2, 1);
    }
    enum err err = log_producers_load(log);
    if (err == ERR_OK)
        err = log_segment_add_new(log, base_offset);
    if (err != ERR_OK)
        return log_judge(log, err);
    err = segment_seal(active);
    if (err != ERR_OK && err != ERR_NOMEM)
        return log_fail(log, err);
    return log_snapshot_write(log, base_offset);
}

enum err
log_roll(struct log *log)
{
    enum err err = log_writable(log);
    return err != ERR_OK ? err : log_roll_at(log, log_end_offset(log));
}

/* ---- cursors ---- */

void
log_cursors_clear(struct log *log)
{
    for (int i = 0; i < LOG_CURSORS; i++)
        log->cursors[i].offset = -1;
}

void
log_cursor_note(struct log *log, bool append, int64_t offset, int64_t base, int64_t position)
{
    int *next = append ? &log->cursor_next_append : &log->cursor_next_read;
    int i = append ? LOG_CURSORS_READ + *next % LOG_CURSORS_APPEND : *next % LOG_CURSORS_READ;
    *next = (*next + 1) % LOG_CURSORS;
    log->cursors[i] =
        (struct log_cursor){.offset = offset, .segment_base = base, .position = position};
}

int64_t
log_cursor_hint(const struct log *log, const struct log_segment *seg, int64_t offset)
{
    for (int i = 0; i < LOG_CURSORS; i++) {
        const struct log_cursor *c = &log->cursors[i];
        if (c->offset == offset && c->segment_base == seg->base_offset)
            return c->position;
    }
    return -1;
}

/* ---- leader epochs ---- */

int32_t
log_latest_epoch(const struct log *log)
{
    return epoch_cache_latest(&log->epochs);
}

enum err
log_epoch_assign(struct log *log, int32_t epoch, int64_t offset)
{
    ASSERT(offset >= 0);
    enum err err = epoch_cache_reserve(&log->epochs, 1);
    if (err == ERR_OK)
        epoch_cache_assign(&log->epochs, epoch, offset);
    return err;
}

void
log_epoch_end(const struct log *log, int32_t epoch_asked, int32_t *epoch, int64_t *end_offset)
{
    epoch_cache_end_offset(&log->epochs, epoch_asked, log_end_offset(log), epoch, end_offset);
}

int32_t
log_epoch_for_offset(const struct log *log, int64_t offset)
{
    return epoch_cache_for_offset(&log->epochs, offset);
}
