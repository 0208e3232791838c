/* What: offsets by timestamp, with Kafka's meaning: the first record at or after the log start
 * whose timestamp is not below the target; and the record with the largest one (KIP-734). Threads:
 * partition lock, but for log_time_look, which reads and unpacks a batch. */
#include "base/alloc.h"
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

enum err
log_time_look(const struct log_time_batch *batch, struct log_time_offset *out)
{
    struct log_time_offset found = {.offset = -1, .timestamp = -1, .leader_epoch = -1};
    struct batch_view view;
    uint8_t *data = mem_alloc(batch->size_bytes);
    size_t n = 0;
    if (data == NULL)
        return ERR_NOMEM;
    enum err err = env_read_at(batch->file, batch->position, data, batch->size_bytes, &n);
    if (err == ERR_OK)
        err = batch_parse((struct bytes){data, n}, &view) == ERR_OK ? ERR_OK : ERR_CORRUPT;
    if (err == ERR_OK)
        err = record_in_batch(&view, batch->target_ms, batch->offset_min, &found);
    mem_free(data);
    if (err == ERR_OK)
        *out = found;
    return err;
}

static enum err
batch_take(struct log_segment *seg, const struct batch_view *view, int64_t position,
    struct log_time_batch *out)
{
    out->position = position;
    out->size_bytes = view->size_bytes;
    out->next_offset = batch_last_offset(view) + 1;
    return segment_file(seg, &out->file);
}

/* From the batch of `offset` on, by headers, to the first that can hold such a record. */
static enum err
search_segment(struct log_segment *seg, int64_t offset, struct log_time_batch *out)
{
    struct segment_window w;
    struct batch_view view;
    int64_t at;
    segment_window_init(&w, NULL);
    enum err err = segment_find(seg, &w, offset, -1, &view, &at);
    while (err == ERR_OK && out->file == NULL) {
        if (view.max_timestamp >= out->target_ms && batch_last_offset(&view) >= offset) {
            err = batch_take(seg, &view, at, out);
            break;
        }
        at += (int64_t)view.size_bytes;
        err = segment_header(seg, &w, at, &view);
    }
    segment_window_fini(&w);
    return err == ERR_RANGE ? ERR_OK : err;
}

enum err
log_time_find(struct log *log, int64_t target_ms, int64_t from_offset, struct log_time_batch *out)
{
    int64_t start = log_start_offset(log), from = from_offset > start ? from_offset : start;
    struct log_time_batch found = {.target_ms = target_ms, .offset_min = start};
    int32_t i = log_segment_floor(log, from);
    for (i = i < 0 ? 0 : i; i < log->segment_count && found.file == NULL; i++) {
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
            err = search_segment(seg, offset > from ? offset : from, &found);
        if (err != ERR_OK)
            return err;
    }
    *out = found;
    return ERR_OK;
}

enum err
log_time_find_max(struct log *log, struct log_time_batch *out)
{
    struct log_time_batch found = {.offset_min = log_start_offset(log)};
    struct log_segment *best = NULL;
    int64_t best_timestamp = BATCH_NO_TIMESTAMP, best_offset = -1;
    for (int32_t i = 0; i < log->segment_count; i++) {
        int64_t timestamp, offset;
        if (log_segment_end(log, i) <= found.offset_min)
            continue;
        enum err err = segment_max_timestamp(log->segments[i], &timestamp, &offset);
        if (err != ERR_OK)
            return err;
        if (timestamp > best_timestamp && offset >= found.offset_min) {
            best = log->segments[i];
            best_timestamp = timestamp;
            best_offset = offset;
        }
    }
    if (best != NULL) {
        struct segment_window w;
        struct batch_view view;
        int64_t at;
        segment_window_init(&w, NULL);
        enum err err = segment_find(best, &w, best_offset, -1, &view, &at);
        segment_window_fini(&w);
        if (err == ERR_OK) {
            found.target_ms = view.max_timestamp;
            err = batch_take(best, &view, at, &found);
        }
        if (err != ERR_OK && err != ERR_RANGE)
            return err;
    }
    *out = found;
    return ERR_OK;
}

/* Looks into the batch and lets go of it. */
static enum err
look(struct log_time_batch *batch, struct log_time_offset *out)
{
    enum err err = log_time_look(batch, out);
    env_file_close(&batch->file);
    return err;
}

enum err
log_offset_for_time(struct log *log, int64_t target_ms, struct log_time_offset *out)
{
    struct log_time_offset found = {.offset = -1, .timestamp = -1, .leader_epoch = -1};
    struct log_time_batch batch = {.next_offset = 0};
    do {
        enum err err = log_time_find(log, target_ms, batch.next_offset, &batch);
        if (err == ERR_OK && batch.file == NULL)
            break;
        if (err == ERR_OK)
            err = look(&batch, &found);
        if (err != ERR_OK)
            return err;
    } while (found.offset < 0);
    *out = found;
    return ERR_OK;
}

enum err
log_offset_for_max_timestamp(struct log *log, struct log_time_offset *out)
{
    struct log_time_offset found = {.offset = -1, .timestamp = -1, .leader_epoch = -1};
    struct log_time_batch batch;
    enum err err = log_time_find_max(log, &batch);
    if (err == ERR_OK && batch.file != NULL)
        err = look(&batch, &found);
    if (err == ERR_OK)
        *out = found;
    return err;
}
