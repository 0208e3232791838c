/* client/consumer.c - assignments, and handing out what was fetched record by record.
 *
 * Invariants: I1 a partition stands in `ready` exactly while it has bytes not handed out and is not
 * paused. I2 the position is one past the last record handed out or skipped. Threads: the loop's.
 */
#include "client/consumer.h"

#include <stdio.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "client/consumer_priv.h"
#include "proto/error_codes.h"

enum {
    MAX_WAIT_MS = 500,
    MAX_BYTES = 50 << 20,
    PARTITION_MAX_BYTES = 1 << 20,
    DATA_MAX = 256 << 20,
    SCRATCH_MAX = 256 << 20,
};

static void
on_timer(struct loop_timer *timer)
{
    consumer_drive(CONTAINER_OF(timer, struct client_consumer, timer));
}

enum err
client_consumer_new(const struct client_consumer_opts *opts, struct client_consumer **out)
{
    struct client_consumer *consumer = mem_calloc(1, sizeof *consumer);
    if (consumer == NULL)
        return ERR_NOMEM;
    consumer->opts = *opts;
    struct client_consumer_opts *o = &consumer->opts;
    o->max_wait_ms = o->max_wait_ms > 0 ? o->max_wait_ms : MAX_WAIT_MS;
    o->min_bytes = o->min_bytes > 0 ? o->min_bytes : 1;
    o->max_bytes = o->max_bytes > 0 ? o->max_bytes : MAX_BYTES;
    o->partition_max_bytes =
        o->partition_max_bytes > 0 ? o->partition_max_bytes : PARTITION_MAX_BYTES;
    list_init(&consumer->parts);
    list_init(&consumer->ready);
    list_init(&consumer->fetches);
    loop_timer_init(&consumer->timer, client_loop(opts->client), on_timer);
    enum err err = compress_ctx_new(&consumer->compress);
    if (err != ERR_OK) {
        mem_free(consumer);
        return err;
    }
    *out = consumer;
    return ERR_OK;
}

struct consumer_part *
consumer_find(const struct client_consumer *consumer, struct str topic, int32_t partition)
{
    LIST_FOREACH (&consumer->parts, node) {
        struct consumer_part *part = LIST_ENTRY(node, struct consumer_part, link);
        if (part->partition == partition && str_eq_z(topic, part->topic))
            return part;
    }
    return NULL;
}

void
consumer_drop_data(struct consumer_part *part)
{
    list_remove(&part->ready);
    buf_clear(&part->data);
    part->data_at = 0;
    part->in_batch = false;
    mem_free(part->aborted);
    part->aborted = NULL;
    part->aborted_count = 0;
}

void
consumer_part_ready(struct consumer_part *part)
{
    bool has_data = part->in_batch || part->data_at < part->data.len;
    if (has_data && !part->paused && list_empty(&part->ready))
        list_push(&part->consumer->ready, &part->ready);
}

static void
part_free(struct consumer_part *part)
{
    if (part->consumer->held == part)
        part->consumer->held = NULL;
    consumer_drop_data(part);
    list_remove(&part->link);
    buf_fini(&part->data);
    buf_fini(&part->scratch);
    mem_free(part->topic);
    mem_free(part);
}

void
client_consumer_free(struct client_consumer **consumer)
{
    struct client_consumer *c = *consumer;
    if (c == NULL)
        return;
    loop_timer_stop(&c->timer);
    consumer_cancel(c);
    client_refresh_cancel(&c->refresh);
    while (!list_empty(&c->parts))
        part_free(LIST_ENTRY(c->parts.next, struct consumer_part, link));
    compress_ctx_free(&c->compress);
    mem_free(c);
    *consumer = NULL;
}

enum err
client_consumer_assign(
    struct client_consumer *consumer, struct str topic, int32_t partition, int64_t offset)
{
    struct consumer_part *part = consumer_find(consumer, topic, partition);
    if (part == NULL) {
        part = mem_calloc(1, sizeof *part);
        if (part == NULL)
            return ERR_NOMEM;
        part->topic = mem_strndup(topic.data, topic.len);
        if (part->topic == NULL) {
            mem_free(part);
            return ERR_NOMEM;
        }
        part->consumer = consumer;
        part->partition = partition;
        list_init(&part->ready);
        buf_init(&part->data, DATA_MAX);
        buf_init(&part->scratch, SCRATCH_MAX);
        list_push(&consumer->parts, &part->link);
    }
    if (consumer->held == part)
        consumer->held = NULL;
    consumer_drop_data(part);
    part->position = offset;
    part->end_offset = -1;
    part->leader_epoch = -1;
    part->stopped = false;
    part->retry_ms = 0;
    return ERR_OK;
}

void
client_consumer_unassign(struct client_consumer *consumer, struct str topic, int32_t partition)
{
    struct consumer_part *part = consumer_find(consumer, topic, partition);
    if (part != NULL)
        part_free(part);
}

enum err
client_consumer_pause(
    struct client_consumer *consumer, struct str topic, int32_t partition, bool paused)
{
    struct consumer_part *part = consumer_find(consumer, topic, partition);
    if (part == NULL)
        return ERR_NOTFOUND;
    part->paused = paused;
    if (paused)
        list_remove(&part->ready);
    else
        consumer_part_ready(part); /* the next call drives */
    return ERR_OK;
}

bool
client_consumer_position(
    const struct client_consumer *consumer, struct str topic, int32_t partition, int64_t *offset)
{
    struct consumer_part *part = consumer_find(consumer, topic, partition);
    if (part == NULL || part->position < 0)
        return false;
    *offset = part->position;
    return true;
}

int64_t
client_consumer_end(const struct client_consumer *consumer, struct str topic, int32_t partition)
{
    struct consumer_part *part = consumer_find(consumer, topic, partition);
    return part == NULL ? -1 : part->end_offset;
}

bool
client_consumer_at_end(const struct client_consumer *consumer)
{
    LIST_FOREACH (&consumer->parts, node) {
        struct consumer_part *part = LIST_ENTRY(node, struct consumer_part, link);
        if (part->stopped || part->paused)
            continue;
        if (part->end_offset < 0 || part->position < part->end_offset)
            return false;
    }
    return true;
}

void
consumer_stop(
    struct client_consumer *consumer, struct consumer_part *part, enum err err, int16_t code)
{
    part->stopped = true;
    consumer->err = err;
    consumer->error_code = code;
    consumer->progress = true;
    snprintf(consumer->error_text, sizeof consumer->error_text, "%s [%d] at offset %lld: %s",
        part->topic, (int)part->partition, (long long)part->position,
        code != 0 ? proto_error_name(code) : err_text(err));
    client_wake(consumer->opts.client);
}

void
consumer_fail(struct client_consumer *consumer, enum err err, int16_t code, const char *text)
{
    ASSERT(err != ERR_OK);
    consumer->err = err;
    consumer->error_code = code;
    consumer->progress = true;
    snprintf(consumer->error_text, sizeof consumer->error_text, "%s", text);
    client_wake(consumer->opts.client);
}

int64_t
consumer_finished(const struct consumer_part *part)
{
    return part->consumer->held == part ? part->consumer->held_offset : part->position;
}

const char *
client_consumer_error(const struct client_consumer *consumer)
{
    return consumer->error_text;
}

int16_t
client_consumer_error_code(const struct client_consumer *consumer)
{
    return consumer->error_code;
}

/* ---- handing out ---- */

/* read_committed: a batch of an aborted transaction is skipped from the transaction's first offset
 * to its marker. */
static bool
batch_is_aborted(struct consumer_part *part, const struct batch_view *batch)
{
    bool aborted = false;
    if (!part->consumer->opts.read_committed || !batch_has_producer_id(batch))
        return false;
    for (int32_t i = 0; i < part->aborted_count; i++) {
        struct consumer_aborted *one = &part->aborted[i];
        if (one->producer_id != batch->producer_id)
            continue;
        if (!one->active && one->first_offset <= batch_last_offset(batch) && one->first_offset >= 0)
            one->active = true;
        if (one->active && batch_is_control(batch)) {
            one->active = false;
            one->first_offset = -1; /* used up */
            return true;
        }
        aborted = aborted || (one->active && batch_is_transactional(batch));
    }
    return aborted;
}

/* Moves to the next batch that has something for the reader; false when the data is used up. */
static enum err
next_batch(struct consumer_part *part, bool *found)
{
    *found = false;
    while (part->data_at < part->data.len) {
        struct bytes rest = {part->data.data + part->data_at, part->data.len - part->data_at};
        enum err err = batch_parse(rest, &part->batch);
        if (err == ERR_TRUNCATED)
            break; /* a partial batch at the end is normal */
        if (err != ERR_OK)
            return err;
        part->data_at += part->batch.size_bytes;
        if (part->consumer->opts.check_crcs && !batch_crc_ok(&part->batch))
            return ERR_CORRUPT;
        part->leader_epoch = part->batch.leader_epoch;
        int64_t next_offset = batch_last_offset(&part->batch) + 1;
        bool aborted = batch_is_aborted(part, &part->batch);
        if (aborted || batch_is_control(&part->batch) || next_offset <= part->position ||
            part->batch.record_count == 0) {
            if (next_offset > part->position)
                part->position = next_offset;
            continue;
        }
        err = batch_iter_init(&part->iter, &part->batch, part->consumer->compress, &part->scratch);
        if (err != ERR_OK)
            return err;
        part->in_batch = true;
        *found = true;
        return ERR_OK;
    }
    part->data_at = part->data.len;
    return ERR_OK;
}

static enum err
next_record(struct consumer_part *part, struct client_message *out, bool *found)
{
    struct batch_record record;
    *found = false;
    for (;;) {
        if (!part->in_batch) {
            enum err err = next_batch(part, found);
            if (err != ERR_OK || !*found)
                return err;
        }
        while (batch_iter_next(&part->iter, &record)) {
            if (record.offset < part->position)
                continue;
            part->position = record.offset + 1;
            *out = (struct client_message){
                .topic = str_of(part->topic),
                .partition = part->partition,
                .leader_epoch = part->leader_epoch,
                .offset = record.offset,
                .timestamp = record.timestamp,
                .log_append_time = batch_is_log_append_time(&part->batch),
                .key = record.key,
                .value = record.value,
                .headers = record.headers,
                .header_count = record.header_count,
            };
            *found = true;
            return ERR_OK;
        }
        if (part->iter.err != ERR_OK)
            return part->iter.err;
        part->in_batch = false;
        if (batch_last_offset(&part->batch) + 1 > part->position)
            part->position = batch_last_offset(&part->batch) + 1;
    }
}

enum err
client_consumer_next(struct client_consumer *consumer, struct client_message *out)
{
    consumer->held = NULL; /* its reader has come back for more */
    while (!list_empty(&consumer->ready)) {
        struct consumer_part *part = LIST_ENTRY(consumer->ready.next, struct consumer_part, ready);
        bool found;
        enum err err = next_record(part, out, &found);
        if (err != ERR_OK) {
            consumer_drop_data(part);
            consumer_stop(consumer, part, err, 0);
            break;
        }
        if (found) {
            consumer->held = part;
            consumer->held_offset = out->offset;
            return ERR_OK;
        }
        consumer_drop_data(part);
        consumer_drive(consumer);
    }
    consumer_drive(consumer); /* assignments since the last call want their requests */
    enum err err = consumer->err;
    consumer->err = ERR_OK;
    return err != ERR_OK ? err : ERR_AGAIN;
}

enum err
client_consumer_poll(
    struct client_consumer *consumer, int64_t timeout_ms, struct client_message *out)
{
    struct client *client = consumer->opts.client;
    int64_t end_ms = env_now_ms(client_env(client)) + timeout_ms;
    for (;;) {
        enum err err = client_consumer_next(consumer, out);
        if (err != ERR_AGAIN)
            return err;
        consumer_drive(consumer);
        int64_t left_ms = end_ms - env_now_ms(client_env(client));
        consumer->progress = false;
        if (left_ms <= 0 || !client_run_until(client, &consumer->progress, left_ms))
            return ERR_TIMEOUT;
    }
}
