/* What: the decision about each record of a batch, and the batch written again without the others.
 * A batch of which all stays is copied as it is. */
#include "log/clean_filter.h"

#include "base/assert.h"
#include "wire/batch_builder.h"

/* What becomes of a batch without records. */
enum clean_empty { CLEAN_EMPTY_DROP, CLEAN_EMPTY_KEEP };

struct verdict {
    enum clean_empty empty;
    bool discard_records;
    bool empty_txn; /* a marker, and nothing is left of its transaction */
};

struct content {
    int32_t kept, dropped;
    bool tombstones; /* among those that stay */
};

static const struct clean_producer *
find_producer(const struct clean_filter *filter, int64_t producer_id)
{
    int32_t low = 0, high = filter->producer_count;
    while (low < high) {
        int32_t middle = low + (high - low) / 2;
        if (filter->producers[middle].producer_id < producer_id)
            low = middle + 1;
        else
            high = middle;
    }
    return low < filter->producer_count && filter->producers[low].producer_id == producer_id
               ? &filter->producers[low]
               : NULL;
}

/* A batch that tells the sequences, or the epoch, of a producer that may still write. */
static bool
is_last_of_producer(const struct clean_filter *filter, const struct batch_view *batch)
{
    if (!batch_has_producer_id(batch))
        return false;
    const struct clean_producer *producer = find_producer(filter, batch->producer_id);
    if (producer == NULL)
        return false;
    for (int16_t i = 0; i < producer->batch_count; i++)
        if (producer->last_offsets[i] == batch_last_offset(batch))
            return true;
    return producer->batch_count == 0 && batch_is_control(batch) &&
           batch->producer_epoch == producer->producer_epoch;
}

static bool
horizon_is_over(const struct clean_filter *filter, const struct batch_view *batch)
{
    return batch_has_delete_horizon(batch) && batch->base_timestamp <= filter->now_ms;
}

static enum err
judge(struct clean_filter *filter, const struct batch_view *batch, struct verdict *verdict,
    struct clean_filter_result *result)
{
    bool discard = false;
    enum err err;
    if (batch_is_control(batch)) {
        err = clean_txn_control(filter->txn, batch, &discard, &result->keep_entry, &result->entry);
        verdict->discard_records = discard && horizon_is_over(filter, batch);
        verdict->empty_txn = discard;
    } else {
        err = clean_txn_data(filter->txn, batch, &discard);
        verdict->discard_records = discard;
        verdict->empty_txn = false;
    }
    if (is_last_of_producer(filter, batch) || batch_last_offset(batch) + 1 == filter->bound)
        verdict->empty = CLEAN_EMPTY_KEEP;
    else
        verdict->empty = CLEAN_EMPTY_DROP;
    return err;
}

static bool
stays(const struct clean_filter *filter, const struct batch_view *batch,
    const struct verdict *verdict, const struct batch_record *record)
{
    if (verdict->discard_records)
        return false;
    if (batch_is_control(batch) || record->offset >= filter->map_end)
        return true;
    if (record->key.data == NULL)
        return false; /* from before the topic was compacted */
    if (record->offset < clean_map_get(filter->map, record->key))
        return false;
    return record->value.data != NULL || !horizon_is_over(filter, batch);
}

/* Counts without writing: most batches stay whole, or go whole. */
static enum err
look(struct clean_filter *filter, const struct batch_view *batch, const struct verdict *verdict,
    struct content *content)
{
    struct batch_iter it;
    struct batch_record record;
    enum err err = batch_iter_init(&it, batch, filter->compress, &filter->unpacked);
    *content = (struct content){0};
    if (err != ERR_OK)
        return err;
    while (batch_iter_next(&it, &record)) {
        if (record.offset_delta < 0 || record.offset_delta > batch->last_offset_delta)
            return ERR_CORRUPT;
        if (!stays(filter, batch, verdict, &record)) {
            content->dropped++;
            continue;
        }
        content->kept++;
        content->tombstones = content->tombstones || record.value.data == NULL;
    }
    return it.err;
}

/* The header alone: first and last offset, the producer and its sequence. */
static void
write_empty(const struct batch_view *batch, struct buf *out)
{
    uint8_t *p = buf_extend(out, BATCH_HEADER_SIZE);
    int attributes = batch->attributes &
                     (BATCH_ATTR_LOG_APPEND_TIME | BATCH_ATTR_TRANSACTIONAL | BATCH_ATTR_CONTROL);
    if (p == NULL)
        return;
    memcpy(p, batch->whole.data, BATCH_HEADER_SIZE);
    store_be16(p + BATCH_AT_ATTRIBUTES, (uint16_t)attributes);
    store_be64(p + BATCH_AT_BASE_TIMESTAMP, (uint64_t)BATCH_NO_TIMESTAMP);
    store_be32(p + BATCH_AT_RECORD_COUNT, 0);
    batch_seal(p, BATCH_HEADER_SIZE);
}

static enum err
write_kept(struct clean_filter *filter, const struct batch_view *batch,
    const struct verdict *verdict, int64_t horizon_ms, struct buf *out)
{
    struct batch_iter it;
    struct batch_record record;
    struct batch_builder builder;
    struct batch_builder_opts opts = {.codec = (enum compress_codec)batch_codec(batch),
        .level = COMPRESS_LEVEL_DEFAULT,
        .ctx = filter->compress,
        .base_offset = batch->base_offset,
        .last_offset = batch_last_offset(batch),
        .producer_id = batch->producer_id,
        .log_append_ms = batch->max_timestamp,
        .delete_horizon_ms = horizon_ms,
        .leader_epoch = batch->leader_epoch,
        .base_sequence = batch->base_sequence,
        .producer_epoch = batch->producer_epoch,
        .log_append_time = batch_is_log_append_time(batch),
        .transactional = batch_is_transactional(batch),
        .control = batch_is_control(batch)};
    int64_t offset_next = batch->base_offset;
    struct batch_view plain = *batch;
    if (batch_codec(batch) != COMPRESS_NONE) { /* look unpacked it */
        plain.attributes = (int16_t)(plain.attributes & ~BATCH_ATTR_CODEC_MASK);
        plain.records = buf_bytes(&filter->unpacked);
    }
    enum err err = batch_iter_init(&it, &plain, NULL, NULL);
    if (err != ERR_OK)
        return err;
    batch_builder_init(&builder, &opts, out);
    while (batch_iter_next(&it, &record)) {
        if (!stays(filter, batch, verdict, &record))
            continue;
        if (record.offset < offset_next) { /* not in order: nobody wrote that */
            batch_builder_abort(&builder);
            return ERR_CORRUPT;
        }
        offset_next = record.offset + 1;
        batch_builder_append_at(&builder, record.offset,
            &(struct batch_builder_record){.timestamp = record.timestamp,
                .key = record.key,
                .value = record.value,
                .headers_raw = record.headers,
                .header_count = record.header_count});
    }
    if (it.err != ERR_OK) {
        batch_builder_abort(&builder);
        return it.err;
    }
    return batch_builder_finish(&builder);
}

enum err
clean_filter_batch(struct clean_filter *filter, const struct batch_view *batch, struct buf *out,
    struct clean_filter_result *result)
{
    struct verdict verdict;
    struct content content;
    ASSERT(batch->whole.data != NULL);
    *result = (struct clean_filter_result){0};
    enum err err = judge(filter, batch, &verdict, result);
    if (err != ERR_OK)
        return err;
    filter->records_read += batch->record_count;
    if (verdict.discard_records && verdict.empty == CLEAN_EMPTY_DROP)
        return ERR_OK;
    err = look(filter, batch, &verdict, &content);
    if (err != ERR_OK)
        return err;
    filter->records_kept += content.kept;
    if (content.kept == 0) {
        if (verdict.empty == CLEAN_EMPTY_KEEP)
            write_empty(batch, out);
        return out->err;
    }
    bool new_horizon =
        (content.tombstones || verdict.empty_txn) && !batch_has_delete_horizon(batch);
    if (content.dropped == 0 && !new_horizon) {
        buf_append(out, batch->whole.data, batch->whole.len);
        return out->err;
    }
    int64_t horizon_ms = -1;
    if (new_horizon)
        horizon_ms = filter->now_ms > INT64_MAX - filter->delete_retention_ms
                         ? INT64_MAX
                         : filter->now_ms + filter->delete_retention_ms;
    else if (batch_has_delete_horizon(batch))
        horizon_ms = batch->base_timestamp;
    return write_kept(filter, batch, &verdict, horizon_ms, out);
}
