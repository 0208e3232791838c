/* client/producer_batch.c - gathering records of one partition into batches, and telling their
 * fate.
 *
 * Invariants: I1 only the last batch of a queue is open. I2 buffered_bytes counts each record of a
 * batch from add to end. I3 notes has one entry a record, in order of offset. Threads: the loop's.
 */
#include "base/alloc.h"
#include "base/assert.h"
#include "client/producer_priv.h"

enum { NOTES_FIRST = 16, BATCH_SLACK = 1 << 16 };

static struct producer_batch *
open_batch(struct producer_part *part)
{
    struct client_producer *producer = part->topic->producer;
    struct producer_batch *batch = mem_calloc(1, sizeof *batch);
    if (batch == NULL)
        return NULL;
    struct batch_builder_opts opts = BATCH_BUILDER_OPTS_DEFAULT;
    opts.codec = producer->opts.codec;
    opts.level = producer->opts.level;
    opts.ctx = producer->compress;
    batch->part = part;
    batch->base_sequence = BATCH_NO_SEQUENCE;
    batch->created_ms = env_now_ms(client_env(producer->opts.client));
    list_init(&batch->sent);
    buf_init(&batch->bytes, producer->opts.buffer_bytes + BATCH_SLACK);
    batch_builder_init(&batch->builder, &opts, &batch->bytes);
    list_push(&part->queue, &batch->link);
    return batch;
}

static bool
reserve_note(struct producer_batch *batch)
{
    if (batch->count < batch->note_capacity)
        return true;
    int32_t capacity = batch->note_capacity == 0 ? NOTES_FIRST : batch->note_capacity * 2;
    struct producer_note *notes =
        mem_realloc(batch->notes, (size_t)capacity * sizeof *batch->notes);
    if (notes == NULL)
        return false;
    batch->notes = notes;
    batch->note_capacity = capacity;
    return true;
}

static struct producer_batch *
last_open(struct producer_part *part)
{
    if (list_empty(&part->queue))
        return NULL;
    struct producer_batch *batch = LIST_ENTRY(part->queue.prev, struct producer_batch, link);
    return batch->sealed ? NULL : batch;
}

enum err
producer_batch_add(struct producer_part *part, const struct client_record *record)
{
    struct client_producer *producer = part->topic->producer;
    struct batch_builder_record one = {
        .timestamp = record->timestamp >= 0 ? record->timestamp
                                            : env_wall_ms(client_env(producer->opts.client)),
        .key = record->key,
        .value = record->value,
        .headers = record->headers,
        .header_count = record->header_count,
    };
    size_t size = batch_builder_record_size(&one);
    struct producer_batch *batch = last_open(part);
    if (BATCH_HEADER_SIZE + size > producer->opts.batch_bytes && producer->opts.codec == 0)
        return ERR_LIMIT;
    if (batch != NULL && batch_builder_size(&batch->builder) + size > producer->opts.batch_bytes) {
        enum err err = producer_batch_seal(batch);
        if (err != ERR_OK)
            return err;
        batch = NULL;
    }
    if (batch == NULL)
        batch = open_batch(part);
    if (batch == NULL || !reserve_note(batch))
        return ERR_NOMEM;
    batch_builder_append(&batch->builder, &one);
    batch->notes[batch->count++] = (struct producer_note){record->opaque, one.timestamp};
    producer->buffered_bytes += size;
    producer->outstanding++;
    producer->flushed = false;
    return ERR_OK;
}

enum err
producer_batch_seal(struct producer_batch *batch)
{
    ASSERT(!batch->sealed);
    ASSERT(batch->count > 0);
    batch->sealed = true;
    enum err err = batch_builder_finish(&batch->builder);
    if (err != ERR_OK)
        producer_batch_end(batch, err, 0, -1, -1);
    return err;
}

bool
producer_batch_due(const struct producer_batch *batch, int64_t now_ms)
{
    const struct client_producer *producer = batch->part->topic->producer;
    return now_ms >= batch->retry_ms && (batch->sealed || producer->pushing ||
                                            now_ms - batch->created_ms >= producer->opts.linger_ms);
}

void
producer_batch_end(struct producer_batch *batch, enum err err, int16_t code, int64_t base_offset,
    int64_t append_time)
{
    struct producer_part *part = batch->part;
    struct client_producer *producer = part->topic->producer;
    list_remove(&batch->link);
    list_remove(&batch->sent);
    for (int32_t i = 0; i < batch->count; i++) {
        struct client_delivery delivery = {
            .err = err,
            .error_code = code,
            .topic = str_of(part->topic->name),
            .partition = part->index,
            .offset = base_offset >= 0 ? base_offset + i : -1,
            .timestamp = append_time >= 0 ? append_time : batch->notes[i].timestamp,
            .opaque = batch->notes[i].opaque,
        };
        if (producer->opts.on_delivery != NULL)
            producer->opts.on_delivery(producer->opts.ctx, &delivery);
    }
    if (!batch->sealed)
        batch_builder_abort(&batch->builder);
    producer->outstanding -= batch->count;
    ASSERT(producer->outstanding >= 0);
    if (producer->outstanding == 0) {
        producer->buffered_bytes = 0;
        producer->pushing = false;
        producer->flushed = true;
    } else {
        size_t freed = batch->bytes.len;
        producer->buffered_bytes -=
            freed < producer->buffered_bytes ? freed : producer->buffered_bytes;
    }
    producer->room = true;
    client_wake(producer->opts.client);
    buf_fini(&batch->bytes);
    mem_free(batch->notes);
    mem_free(batch);
}
