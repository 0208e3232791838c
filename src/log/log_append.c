/* What: appending to a log, as a leader (offsets and epochs are given here) and as a follower
 * (they are kept).
 * Order of effects: nothing is changed in memory before the write succeeded; what must not fail
 * afterwards is reserved before it.
 * Threads: partition lock, but for log_append_check. */
#include <string.h>

#include "base/assert.h"
#include "log/log_priv.h"

enum err
log_append_check(const struct log_config *config, int64_t wall_ms, uint8_t *batches, size_t len,
    const struct log_append_opts *opts, struct log_validate_result *checked)
{
    struct log_validate_opts v = {
        .origin = opts->origin,
        .batches_many = opts->batches_many,
        .compacted = config->cleanup_compact,
        .codec_keep = config->codec_keep,
        .codec = config->codec,
        .level = config->compression_level,
        .log_append_time = config->timestamp_log_append,
        .timestamp_before_max_ms = config->timestamp_before_max_ms,
        .timestamp_after_max_ms = config->timestamp_after_max_ms,
        .now_ms = wall_ms,
        .message_bytes_max = (size_t)config->max_message_bytes,
        .segment_bytes_max = (size_t)config->segment_bytes,
        .leader_epoch = opts->leader_epoch,
        .check_max = opts->check_max,
    };
    ASSERT(opts->validator != NULL);
    return log_validate_leader(opts->validator, &v, batches, len, checked);
}

static void
result_begin(const struct log *log, const struct log_validate_result *checked,
    struct log_append_result *result)
{
    *result = (struct log_append_result){
        .reject = checked->reject,
        .what = checked->what != NULL ? checked->what : "",
        .errors = checked->errors,
        .error_count = checked->error_count,
        .error_total = checked->error_total,
        .first_offset = -1,
        .last_offset = -1,
        .log_append_ms = checked->log_append_ms,
        .log_start_offset = log_start_offset(log),
        .last_leader_epoch = -1,
    };
}

/* True when the first batch would come into a segment that is too old for it (segment.ms). */
static enum err
over_age(struct log *log, int64_t max_timestamp, bool *out)
{
    struct log_segment *active = log_active(log);
    int64_t first_timestamp, waited;
    *out = false;
    if (active->size_bytes == 0)
        return ERR_OK;
    enum err err = segment_first_timestamp(active, &first_timestamp);
    if (err != ERR_OK)
        return err;
    if (first_timestamp >= 0)
        waited = max_timestamp - first_timestamp;
    else
        waited = env_wall_ms(log->env) - active->created_ms;
    int64_t age_ms_max = log->config.segment_ms;
    /* What is to be compacted in time may not stay in the active segment for longer (KIP-354). */
    if (log->config.cleanup_compact && log->config.max_compaction_lag_ms < age_ms_max)
        age_ms_max = log->config.max_compaction_lag_ms;
    *out = waited > age_ms_max - log->roll_jitter_ms;
    return ERR_OK;
}

static enum err
roll_if_needed(struct log *log, const struct log_validate_result *checked, bool *rolled)
{
    bool old;
    int64_t max_timestamp, ignored;
    struct log_segment *active = log_active(log);
    /* All that is read or needs memory comes before the write. */
    enum err err = segment_index_load(active, SEGMENT_INDEX_OFFSET);
    if (err == ERR_OK)
        err = segment_index_load(active, SEGMENT_INDEX_TIME);
    if (err == ERR_OK)
        err = segment_max_timestamp(active, &max_timestamp, &ignored);
    if (err == ERR_OK)
        err = over_age(log, checked->max_timestamp, &old);
    if (err != ERR_OK)
        return log_judge(log, err);
    *rolled = old || segment_is_full(active, checked->len, checked->last_offset);
    /* Named by the end, also when what a follower was sent leaves offsets out: a hole between two
     * segments is then always a loss (log_recover.c). */
    int64_t base = log_end_offset(log);
    if (checked->last_offset - base > INT32_MAX)
        base = checked->first_offset;
    return *rolled ? log_roll_at(log, base) : ERR_OK;
}

/* Producers' consent to each batch, and room for their epochs. */
static enum err
prepare_batches(struct log *log, const struct log_validate_result *checked,
    struct producer_append *producers, enum log_reject *reject)
{
    struct bytes rest = {checked->data, checked->len};
    int32_t epoch = epoch_cache_latest(&log->epochs), epochs = 0;
    while (rest.len > 0) {
        struct batch_view batch;
        enum err err = batch_parse(rest, &batch);
        ASSERT(err == ERR_OK); /* validated */
        err = producer_append_batch(producers, &batch, reject);
        if (err != ERR_OK || *reject != LOG_REJECT_NONE)
            return err;
        if (batch.leader_epoch > epoch) {
            epoch = batch.leader_epoch;
            epochs++;
        }
        rest.data += batch.size_bytes;
        rest.len -= batch.size_bytes;
    }
    enum err err = epoch_cache_reserve(&log->epochs, epochs);
    return err != ERR_OK ? err : producer_append_reserve(producers);
}

/* After the write: indexes, epochs, transactions. An index that cannot be written is a failure of
 * the log, because readers depend on it. */
static enum err
note_batches(struct log *log, const struct log_validate_result *checked, int64_t position)
{
    struct log_segment *active = log_active(log);
    struct bytes rest = {checked->data, checked->len};
    while (rest.len > 0) {
        struct batch_view batch;
        enum err err = batch_parse(rest, &batch);
        ASSERT(err == ERR_OK);
        epoch_cache_assign(&log->epochs, batch.leader_epoch, batch.base_offset);
        err = segment_note(active, &batch, position);
        if (err != ERR_OK)
            return err;
        position += (int64_t)batch.size_bytes;
        rest.data += batch.size_bytes;
        rest.len -= batch.size_bytes;
    }
    return ERR_OK;
}

static enum err
note_txn_ends(struct log *log, struct producer_append *producers)
{
    int32_t count;
    const struct producer_txn_end *ends = producer_append_txn_ends(producers, &count);
    for (int32_t i = 0; i < count; i++) {
        if (!ends[i].aborted)
            continue;
        struct txn_index_entry entry = {
            .producer_id = ends[i].producer_id,
            .first_offset = ends[i].first_offset,
            .last_offset = ends[i].last_offset,
            .last_stable_offset = producer_append_txn_lso(producers, &ends[i]),
        };
        enum err err = txn_index_append(log_active(log), &entry);
        if (err != ERR_OK)
            return err;
    }
    return ERR_OK;
}

/* The write and all that follows it. */
static enum err
commit(
    struct log *log, const struct log_validate_result *checked, struct producer_append *producers)
{
    struct log_segment *active = log_active(log);
    int64_t position = active->size_bytes;
    ASSERT(checked->last_offset >= checked->first_offset);
    ASSERT(checked->last_offset - active->base_offset <= INT32_MAX);
    enum err err = segment_write(active, (struct bytes){checked->data, checked->len});
    if (err != ERR_OK)
        return log_judge(log, err);
    err = note_batches(log, checked, position);
    if (err == ERR_OK)
        err = note_txn_ends(log, producers);
    if (err != ERR_OK)
        return log_fail(log, err);
    producer_append_commit(producers);
    producer_state_set_end_offset(log->producers, checked->last_offset + 1);
    log_cursor_note(log, true, checked->first_offset, active->base_offset, position);
    atomic_fetch_add(&log->size_bytes, (int64_t)checked->len);
    /* Last, so that whoever sees the offset finds the bytes (I3). */
    atomic_store_explicit(&log->end_offset, checked->last_offset + 1, memory_order_release);
    return ERR_OK;
}

static enum err
append(struct log *log, const struct log_validate_result *checked,
    const struct producer_append_opts *opts, struct log_append_result *result)
{
    struct producer_append producers;
    enum log_reject reject = LOG_REJECT_NONE;
    bool rolled = false;
    enum err err = log_producers_load(log);
    if (err != ERR_OK)
        return log_judge(log, err);
    producer_append_begin(&producers, log->producers, opts);
    err = prepare_batches(log, checked, &producers, &reject);
    if (err == ERR_OK && reject == LOG_REJECT_NONE)
        err = roll_if_needed(log, checked, &rolled);
    if (err == ERR_OK && reject == LOG_REJECT_NONE)
        err = commit(log, checked, &producers);
    if (err == ERR_OK && reject != LOG_REJECT_NONE) {
        result->reject = reject;
        result->what = producers.what != NULL ? producers.what : "";
        if (reject == LOG_REJECT_DUPLICATE) {
            result->last_offset = producers.duplicate.last_offset;
            result->first_offset = result->last_offset - producers.duplicate.offset_delta;
            result->log_append_ms = producers.duplicate.timestamp; /* as Kafka, always */
        }
    }
    producer_append_drop(&producers);
    if (err != ERR_OK || reject != LOG_REJECT_NONE)
        return err;
    result->first_offset = checked->first_offset;
    result->last_offset = checked->last_offset;
    result->last_leader_epoch = epoch_cache_latest(&log->epochs);
    result->rolled = rolled;
    log_check(log);
    return ERR_OK;
}

enum err
log_append_checked(struct log *log, struct log_validate_result *checked,
    const struct log_append_opts *opts, struct log_append_result *result)
{
    ASSERT(opts->leader_epoch >= 0);
    enum err err = log_writable(log);
    if (err != ERR_OK)
        return err;
    result_begin(log, checked, result);
    if (checked->reject != LOG_REJECT_NONE || checked->batch_count == 0)
        return ERR_OK;
    log_validate_assign(checked, log_end_offset(log), opts->leader_epoch);
    ASSERT(checked->first_offset == log_end_offset(log));
    struct producer_append_opts p = {
        .origin = opts->origin,
        .txn_version = opts->txn_version,
        .epoch_bump_supported = opts->epoch_bump_supported,
        .sequence_lowest = opts->sequence_lowest,
    };
    return append(log, checked, &p, result);
}

enum err
log_append(struct log *log, uint8_t *batches, size_t len, const struct log_append_opts *opts,
    struct log_append_result *result)
{
    struct log_validate_result checked;
    enum err err = log_writable(log);
    if (err == ERR_OK)
        err = log_append_check(&log->config, env_wall_ms(log->env), batches, len, opts, &checked);
    return err != ERR_OK ? err : log_append_checked(log, &checked, opts, result);
}

enum err
log_append_follower(struct log *log, uint8_t *batches, size_t len, int32_t epoch_max,
    struct log_append_result *result)
{
    struct log_validate_result checked;
    enum err err = log_writable(log);
    if (err != ERR_OK)
        return err;
    err = log_validate_follower(batches, len, log_end_offset(log), epoch_max, &checked);
    if (err != ERR_OK)
        return err;
    result_begin(log, &checked, result);
    result->log_append_ms = -1;
    if (checked.reject != LOG_REJECT_NONE || checked.batch_count == 0)
        return ERR_OK;
    if (checked.last_offset - checked.first_offset > INT32_MAX) {
        /* One fetch that spans more than a segment can address; a batch at a time would do. */
        result->reject = LOG_REJECT_OFFSETS_OUT_OF_ORDER;
        return ERR_OK;
    }
    struct producer_append_opts p = {
        .origin = LOG_ORIGIN_REPLICATION,
        .txn_version = PRODUCER_TXN_UNKNOWN,
        .sequence_lowest = -1,
    };
    return append(log, &checked, &p, result);
}
