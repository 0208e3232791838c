/* What: taking data away from a log: at its end (followers, repair), at its start (DeleteRecords,
 * retention).
 * Order: at the end, files go newest first, then memory follows; at the start the log start moves
 * before files go, so that nobody is sent to a file that is gone.
 * Threads: partition lock. */
#include "base/assert.h"
#include "log/log_priv.h"

/* The memory's side of a new end. */
static enum err
end_lowered(struct log *log, int64_t end)
{
    log->truncations++;
    log_cursors_clear(log);
    if (log_recovery_point(log) > end)
        atomic_store(&log->recovery_point, end);
    if (log->durable_offset > end)
        log->durable_offset = end;
    log->durable_segment = -1; /* the next flush syncs the segments */
    if (log_high_watermark(log) > end)
        atomic_store(&log->high_watermark, end);
    if (log_cleaned_end(log) > end) /* what comes there now was never cleaned */
        atomic_store(&log->cleaned_end, end);
    if (log_start_offset(log) > end)
        atomic_store(&log->start_offset, end);
    atomic_store_explicit(&log->end_offset, end, memory_order_release);
    log_changed(log);
    epoch_cache_truncate_end(&log->epochs, end);
    return log_producers_truncate(log, end);
}

/* Damage is over once all of it is cut off. */
static enum err
leave_corrupt(struct log *log)
{
    if (atomic_load(&log->state) != LOG_CORRUPT)
        return ERR_OK;
    enum err err = log_remove_hidden(log);
    if (err == ERR_OK)
        err = log_corrupt_marker_clear(log);
    if (err != ERR_OK)
        return err;
    log->corrupt_offset = -1;
    atomic_store(&log->state, LOG_OPEN);
    return ERR_OK;
}

static enum err
truncate_within(struct log *log, int64_t offset)
{
    int32_t i = log_segment_floor(log, offset);
    ASSERT(i >= 0);
    struct log_segment *seg = log->segments[i];
    struct segment_window w;
    struct batch_view batch;
    int64_t position = seg->size_bytes, end = offset;
    segment_window_init(&w, NULL);
    enum err err =
        seg->size_bytes == 0 ? ERR_RANGE : segment_find(seg, &w, offset, -1, &batch, &position);
    segment_window_fini(&w);
    if (err == ERR_OK && batch.base_offset < end)
        end = batch.base_offset;
    if (err == ERR_RANGE)
        position = seg->size_bytes;
    else if (err != ERR_OK)
        return err;
    if (i + 1 < log->segment_count) {
        err = log_segments_remove(log, i + 1, log->segment_count - i - 1);
        /* Durable before the next step, or a power cut could leave a hole between the two. */
        if (err == ERR_OK)
            err = env_sync_dir(log->env, log->home.dir);
        if (err != ERR_OK)
            return err;
    }
    int64_t before = seg->size_bytes;
    /* Also when nothing goes: CORRUPT has bytes beyond size_bytes. */
    err = segment_truncate(seg, position, end);
    if (err != ERR_OK)
        return err;
    atomic_fetch_sub(&log->size_bytes, before - seg->size_bytes);
    err = end_lowered(log, end);
    return err != ERR_OK ? err : leave_corrupt(log);
}

enum err
log_truncate(struct log *log, int64_t offset)
{
    ASSERT(offset >= 0);
    if (log_state(log) == LOG_FAILED)
        return ERR_FAILED;
    bool corrupt = atomic_load(&log->state) == LOG_CORRUPT;
    if (offset > log_end_offset(log) || (offset == log_end_offset(log) && !corrupt))
        return ERR_OK;
    if (offset < log->segments[0]->base_offset)
        return log_truncate_fully(log, offset);
    enum err err = truncate_within(log, offset);
    if (err != ERR_OK)
        return log_judge(log, err);
    log_check(log);
    return ERR_OK;
}

enum err
log_truncate_fully(struct log *log, int64_t offset)
{
    ASSERT(offset >= 0);
    if (log_state(log) == LOG_FAILED)
        return ERR_FAILED;
    /* Marked deleted first: the new segment may bear the name of an old one. */
    enum err err = log_segments_remove(log, 0, log->segment_count);
    if (err == ERR_OK)
        err = leave_corrupt(log);
    if (err == ERR_OK)
        err = log_segment_add_new(log, offset);
    if (err != ERR_OK)
        return log_fail(log, err); /* without a segment there is no log */
    epoch_cache_clear(&log->epochs);
    err = end_lowered(log, offset);
    if (err == ERR_OK && log->snapshot_count > 0)
        err = log_producers_truncate(log, -1);
    if (err != ERR_OK)
        return log_judge(log, err);
    atomic_store(&log->end_offset, offset);
    atomic_store(&log->start_offset, offset);
    atomic_store(&log->high_watermark, offset);
    atomic_store(&log->recovery_point, offset);
    atomic_store(&log->size_bytes, 0);
    log_changed(log);
    log_check(log);
    return ERR_OK;
}

enum err
log_start_advance(struct log *log, int64_t offset)
{
    if (log_state(log) == LOG_FAILED)
        return ERR_FAILED;
    if (offset > log_end_offset(log))
        return ERR_RANGE;
    log_set_start(log, offset);
    return ERR_OK;
}

/* ---- retention ---- */

struct retention {
    int64_t now_ms;
    int64_t excess_bytes; /* over retention.bytes */
};

static enum err
is_expired(struct log *log, int32_t i, struct retention *r, bool *out)
{
    struct log_segment *seg = log->segments[i];
    *out = log_segment_end(log, i) <= log_start_offset(log) &&
           (i + 1 < log->segment_count || seg->size_bytes > 0);
    if (*out || !log->config.cleanup_delete)
        return ERR_OK;
    if (log->config.retention_bytes >= 0 && r->excess_bytes >= seg->size_bytes) {
        *out = true;
        return ERR_OK;
    }
    if (log->config.retention_ms < 0)
        return ERR_OK;
    int64_t timestamp, ignored;
    enum err err = segment_max_timestamp(seg, &timestamp, &ignored);
    if (err != ERR_OK)
        return err;
    if (timestamp < 0)
        timestamp = seg->mtime_ms; /* records without time: the file's, as Kafka does */
    *out = r->now_ms - timestamp > log->config.retention_ms;
    return ERR_OK;
}

enum err
log_retain(struct log *log, int32_t *deleted)
{
    struct retention r = {.now_ms = env_wall_ms(log->env)};
    int32_t count = 0;
    enum err err = log_writable(log);
    *deleted = 0;
    if (err != ERR_OK)
        return err == ERR_CORRUPT ? ERR_OK : err; /* evidence is kept */
    if (log->config.retention_bytes >= 0)
        r.excess_bytes = log_size_bytes(log) - log->config.retention_bytes;
    while (count < log->segment_count) {
        struct log_segment *seg = log->segments[count];
        bool expired;
        if (log_segment_end(log, count) > log_high_watermark(log) ||
            (count + 1 == log->segment_count && seg->size_bytes == 0))
            break;
        err = is_expired(log, count, &r, &expired);
        if (err != ERR_OK)
            return log_judge(log, err);
        if (!expired)
            break;
        r.excess_bytes -= seg->size_bytes;
        count++;
    }
    if (count == log->segment_count) {
        err = log_roll_at(log, log_end_offset(log));
        if (err != ERR_OK)
            return err;
    }
    if (count == 0)
        return ERR_OK;
    log_set_start(log, log->segments[count]->base_offset);
    err = log_segments_remove(log, 0, count);
    if (err != ERR_OK)
        return err;
    *deleted = count;
    log_check(log);
    return ERR_OK;
}
