/* What: offsets by timestamp, with Kafka's meaning: the first record at or after the log start
 * whose timestamp is not below the target; and the record with the largest one (KIP-734). Threads:
 * partition lock; reads and unpacks a batch or a few. */
#include "base/assert.h"
#include "base/buf.h"
#include "log/log_priv.h"

/* Looks for the record within one whole batch. */
static enum err
record_in_batch(const struct batch_view *batch, int64_t target_ms, int64_t offset_min,
    struct log_time_offset *out)
{
    struct compress_ctx *ctx = NULL;
    struct buf scratch;
    struct batch_iter it;
    struct batch_record record;
    enum err err = compress_ctx_new(&ctx);
    if (err != ERR_OK)
        return err;
    buf_init(&scratch, compress_unpacked_max(batch->size_bytes));
    err = batch_iter_init(&it, batch, ctx, &scratch);
    while (err == ERR_OK && batch_iter_next(&it, &record)) {
        if (record.timestamp < target_ms || record.offset < offset_min)
            continue;
        *out = (struct log_time_offset){.offset = record.offset,
            .timestamp = record.timestamp,
            .leader_epoch = batch->leader_epoch};
        break;
    }
    if (err == ERR_OK)
        err = it.err;
    buf_fini(&scratch);
    compress_ctx_free(&ctx);
    return err;
}

static enum err
record_at(struct log_segment *seg, int64_t position, int64_t target_ms, int64_t offset_min,
    struct log_time_offset *out)
{
    struct segment_scan scan;
    struct batch_view batch;
    int64_t at;
    enum err err = segment_scan_begin(&scan, seg, position);
    if (err != ERR_OK)
        return err;
    err = segment_scan_next(&scan, &batch, &at);
    if (err == ERR_OK)
        err = record_in_batch(&batch, target_ms, offset_min, out);
    segment_scan_end(&scan);
    return err;
}

/* From the batch of `offset` on, by headers, to the first that can hold such a record. */
static enum err
search_segment(struct log_segment *seg, int64_t target_ms, int64_t offset, int64_t offset_min,
    struct log_time_offset *out)
{
    struct segment_window w;
    struct batch_view batch;
    int64_t at;
    segment_window_init(&w, NULL);
    enum err err = segment_find(seg, &w, offset, -1, &batch, &at);
    while (err == ERR_OK && out->offset < 0) {
        if (batch.max_timestamp >= target_ms && batch_last_offset(&batch) >= offset_min)
            err = record_at(seg, at, target_ms, offset_min, out);
        if (err != ERR_OK || out->offset >= 0)
            break;
        at += (int64_t)batch.size_bytes;
        err = segment_header(seg, &w, at, &batch);
    }
    segment_window_fini(&w);
    return err == ERR_RANGE ? ERR_OK : err;
}

enum err
log_offset_for_time(struct log *log, int64_t target_ms, struct log_time_offset *out)
{
    struct log_time_offset found = {.offset = -1, .timestamp = -1, .leader_epoch = -1};
    int64_t start = log_start_offset(log);
    int32_t i = log_segment_floor(log, start);
    for (i = i < 0 ? 0 : i; i < log->segment_count && found.offset < 0; i++) {
        struct log_segment *seg = log->segments[i];
        int64_t max_timestamp, ignored, offset;
        if (seg->size_bytes == 0)
            continue;
        enum err err = segment_max_timestamp(seg, &max_timestamp, &ignored);
        if (err == ERR_OK && max_timestamp < target_ms)
            continue;
        if (err == ERR_OK)
            err = segment_time_floor(seg, target_ms, &offset);
        if (err == ERR_OK)
            err = search_segment(seg, target_ms, offset > start ? offset : start, start, &found);
        if (err != ERR_OK)
            return err;
    }
    *out = found;
    return ERR_OK;
}

enum err
log_offset_for_max_timestamp(struct log *log, struct log_time_offset *out)
{
    struct log_time_offset found = {.offset = -1, .timestamp = -1, .leader_epoch = -1};
    struct log_segment *best = NULL;
    int64_t best_timestamp = BATCH_NO_TIMESTAMP, best_offset = -1, start = log_start_offset(log);
    for (int32_t i = 0; i < log->segment_count; i++) {
        int64_t timestamp, offset;
        if (log_segment_end(log, i) <= start)
            continue;
        enum err err = segment_max_timestamp(log->segments[i], &timestamp, &offset);
        if (err != ERR_OK)
            return err;
        if (timestamp > best_timestamp && offset >= start) {
            best = log->segments[i];
            best_timestamp = timestamp;
            best_offset = offset;
        }
    }
    if (best != NULL) {
        struct segment_window w;
        struct batch_view batch;
        int64_t at;
        segment_window_init(&w, NULL);
        enum err err = segment_find(best, &w, best_offset, -1, &batch, &at);
        segment_window_fini(&w);
        if (err == ERR_OK)
            err = record_at(best, at, batch.max_timestamp, start, &found);
        if (err != ERR_OK && err != ERR_RANGE)
            return err;
    }
    *out = found;
    return ERR_OK;
}
