/* client/producer_send.c - which batches go to which broker when, and what their answers mean.
 *
 * What: producer_drain makes one Produce request for each broker that leads partitions with a batch
 * that is due. A batch that failed in a way that may pass goes back to the front of its queue;
 * until the oldest of a partition has succeeded that partition sends one batch at a time, so order
 * stands. Invariants: I1 in_flight and queue of a partition, in this order, are in the order of
 * sending. I2 a batch keeps its sequence over retries. Threads: the loop's. */
#include "base/alloc.h"
#include "base/assert.h"
#include "client/producer_priv.h"
#include "proto/error_codes.h"
#include "proto/produce_request.h"
#include "proto/produce_response.h"

enum {
    RETRY_BACKOFF_MS = 100,
    REQUEST_ARENA = 16 << 20,
    RESPONSE_ARENA = 16 << 20,
    PRODUCE_KEY = 0,
    PRODUCE_VERSION_MAX = 12, /* by topic name */
    SERVER_TIMEOUT_MS = 30000,
};

struct producer_request {
    struct list link;
    struct client_producer *producer;
    struct client_call call;
    struct arena arena;
    struct proto_produce_request message;
    struct list batches; /* by `sent` */
    int32_t node_id;
    size_t size_bytes;
    int32_t topic_capacity;
};

/* ---- answers ---- */

static void
requeue(struct producer_batch *batch, int64_t now_ms)
{
    struct producer_part *part = batch->part;
    part->in_flight_count--;
    part->retrying = true;
    batch->retry_ms = now_ms + RETRY_BACKOFF_MS;
    list_remove(&batch->sent);
    list_remove(&batch->link);
    /* Behind those of lower sequence that came back before it. */
    struct list *at = part->queue.next;
    while (at != &part->queue) {
        struct producer_batch *other = LIST_ENTRY(at, struct producer_batch, link);
        if (other->base_sequence < 0 || other->base_sequence > batch->base_sequence)
            break;
        at = at->next;
    }
    list_insert_before(batch->base_sequence < 0 ? part->queue.next : at, &batch->link);
}

/* An earlier batch is on its way, or waits to be sent again. */
static bool
is_behind_retry(const struct producer_part *part, const struct producer_batch *batch)
{
    if (!part->retrying)
        return false;
    if (part->in_flight.next != &batch->link)
        return true;
    if (list_empty(&part->queue))
        return false;
    const struct producer_batch *first = LIST_ENTRY(part->queue.next, struct producer_batch, link);
    return first->base_sequence >= 0 && first->base_sequence < batch->base_sequence;
}

static void
batch_answered(struct producer_batch *batch, enum err err, int16_t code, int64_t base_offset,
    int64_t append_time)
{
    struct producer_part *part = batch->part;
    struct client_producer *producer = part->topic->producer;
    int64_t now_ms = env_now_ms(client_env(producer->opts.client));
    bool refresh = err != ERR_OK;
    bool retriable = err == ERR_OK ? client_error_is_retriable(code, &refresh)
                                   : err != ERR_CANCELED && err != ERR_NOMEM;
    if (code == PROTO_ERROR_DUPLICATE_SEQUENCE_NUMBER)
        code = 0;
    /* Out of order behind a batch that is being retried: its turn comes. */
    if (code == PROTO_ERROR_OUT_OF_ORDER_SEQUENCE_NUMBER && producer->opts.idempotent &&
        is_behind_retry(part, batch))
        retriable = true;
    if ((err != ERR_OK || code != 0) && retriable &&
        now_ms - batch->created_ms < producer->opts.delivery_timeout_ms) {
        requeue(batch, now_ms);
        if (refresh)
            producer_want_metadata(producer, str_of(part->topic->name));
        return;
    }
    part->in_flight_count--;
    if (err == ERR_OK && code == 0)
        part->retrying = false;
    producer_batch_end(batch, err, code, base_offset, append_time);
}

static const struct proto_produce_response_partition_produce_response *
find_answer(const struct proto_produce_response *response, const struct producer_batch *batch)
{
    for (int32_t i = 0; i < response->responses.count; i++) {
        if (!str_eq_z(response->responses.items[i].name, batch->part->topic->name))
            continue;
        for (int32_t j = 0; j < response->responses.items[i].partition_responses.count; j++)
            if (response->responses.items[i].partition_responses.items[j].index ==
                batch->part->index)
                return &response->responses.items[i].partition_responses.items[j];
    }
    return NULL;
}

static void
request_free(struct producer_request *request)
{
    list_remove(&request->link);
    client_call_fini(&request->call);
    arena_fini(&request->arena);
    mem_free(request);
}

/* The connection broke: what else is on its way to that broker will come back too, one answer after
 * the other. Nothing may overtake it on the next connection. */
static void
hold_back(struct client_producer *producer, int32_t node_id)
{
    LIST_FOREACH (&producer->requests, node) {
        struct producer_request *request = LIST_ENTRY(node, struct producer_request, link);
        if (request->node_id != node_id)
            continue;
        LIST_FOREACH (&request->batches, sent)
            LIST_ENTRY(sent, struct producer_batch, sent)->part->retrying = true;
    }
}

static void
on_produced(struct client_call *call)
{
    struct producer_request *request = CONTAINER_OF(call, struct producer_request, call);
    struct client_producer *producer = request->producer;
    const struct proto_produce_response *response = call->response;
    if (call->err != ERR_OK && call->err != ERR_CANCELED)
        hold_back(producer, request->node_id);
    while (!list_empty(&request->batches)) {
        struct producer_batch *batch =
            LIST_ENTRY(request->batches.next, struct producer_batch, sent);
        list_remove(&batch->sent);
        if (call->err != ERR_OK || call->no_response) {
            batch_answered(batch, call->err, 0, -1, -1);
            continue;
        }
        const struct proto_produce_response_partition_produce_response *answer =
            find_answer(response, batch);
        if (answer == NULL)
            batch_answered(batch, ERR_CORRUPT, 0, -1, -1);
        else
            batch_answered(
                batch, ERR_OK, answer->error_code, answer->base_offset, answer->log_append_time_ms);
    }
    bool canceled = call->err == ERR_CANCELED;
    request_free(request);
    if (!canceled)
        producer_drain(producer);
}

/* ---- requests ---- */

static struct producer_request *
request_new(struct client_producer *producer, int32_t node_id)
{
    struct producer_request *request = mem_calloc(1, sizeof *request);
    if (request == NULL)
        return NULL;
    request->producer = producer;
    request->node_id = node_id;
    list_init(&request->batches);
    arena_init(&request->arena, REQUEST_ARENA);
    client_call_init(&request->call, RESPONSE_ARENA);
    proto_init(&proto_produce_request_schema, &request->message);
    request->message.acks = producer->opts.acks;
    request->message.timeout_ms = SERVER_TIMEOUT_MS;
    list_push(&producer->requests, &request->link);
    return request;
}

/* Puts the batch's producer id, epoch and sequence into its header, once (I2). */
static void
stamp(struct client_producer *producer, struct producer_batch *batch)
{
    struct producer_part *part = batch->part;
    uint8_t *header = batch->bytes.data;
    if (!producer->opts.idempotent || batch->base_sequence >= 0)
        return;
    batch->base_sequence = part->sequence_next;
    part->sequence_next = batch_sequence_add(part->sequence_next, batch->count);
    store_be64(header + BATCH_AT_PRODUCER_ID, (uint64_t)producer->producer_id);
    store_be16(header + BATCH_AT_PRODUCER_EPOCH, (uint16_t)producer->producer_epoch);
    store_be32(header + BATCH_AT_BASE_SEQUENCE, (uint32_t)batch->base_sequence);
    batch_seal(header, batch->bytes.len);
}

static struct proto_produce_request_topic_produce_data *
request_topic(struct producer_request *request, const struct producer_topic *topic)
{
    struct proto_produce_request *message = &request->message;
    struct proto_produce_request_topic_produce_data *last =
        message->topic_data.count > 0 ? &message->topic_data.items[message->topic_data.count - 1]
                                      : NULL;
    if (last != NULL && str_eq_z(last->name, topic->name))
        return last;
    if (message->topic_data.count == request->topic_capacity) {
        int32_t capacity = request->topic_capacity == 0 ? 8 : request->topic_capacity * 2;
        void *items =
            arena_calloc(&request->arena, (size_t)capacity, sizeof *message->topic_data.items);
        if (items == NULL)
            return NULL;
        if (message->topic_data.count > 0)
            memcpy(items, message->topic_data.items,
                (size_t)message->topic_data.count * sizeof *message->topic_data.items);
        message->topic_data.items = items;
        request->topic_capacity = capacity;
    }
    last = &message->topic_data.items[message->topic_data.count];
    last->name = str_of(topic->name);
    last->partition_data.items = arena_calloc(
        &request->arena, (size_t)topic->part_count, sizeof *last->partition_data.items);
    if (last->partition_data.items == NULL)
        return NULL;
    message->topic_data.count++;
    return last;
}

static enum err
request_add(struct producer_request *request, struct producer_batch *batch)
{
    struct producer_part *part = batch->part;
    struct proto_produce_request_topic_produce_data *topic = request_topic(request, part->topic);
    if (topic == NULL)
        return ERR_NOMEM;
    stamp(request->producer, batch);
    topic->partition_data.items[topic->partition_data.count].index = part->index;
    topic->partition_data.items[topic->partition_data.count].records.bytes =
        buf_bytes(&batch->bytes);
    topic->partition_data.count++;
    list_remove(&batch->link);
    list_push(&part->in_flight, &batch->link);
    part->in_flight_count++;
    list_push(&request->batches, &batch->sent);
    request->size_bytes += batch->bytes.len;
    return ERR_OK;
}

/* The batch that the partition may send now, sealed; NULL when there is none. */
static struct producer_batch *
ready_batch(struct producer_part *part, int64_t now_ms)
{
    struct client_producer *producer = part->topic->producer;
    int in_flight_max = part->retrying ? 1 : PRODUCER_IN_FLIGHT_MAX;
    while (!list_empty(&part->queue) && part->in_flight_count < in_flight_max) {
        struct producer_batch *batch = LIST_ENTRY(part->queue.next, struct producer_batch, link);
        if (now_ms - batch->created_ms >= producer->opts.delivery_timeout_ms) {
            producer_batch_end(batch, ERR_TIMEOUT, 0, -1, -1);
            continue;
        }
        if (!producer_batch_due(batch, now_ms))
            return NULL;
        if (!batch->sealed && producer_batch_seal(batch) != ERR_OK)
            continue;
        return batch;
    }
    return NULL;
}

static void
request_start(struct producer_request *request)
{
    struct client_call *call = &request->call;
    call->target = CLIENT_TARGET_NODE;
    call->node_id = request->node_id;
    call->key = PRODUCE_KEY;
    call->version_max = PRODUCE_VERSION_MAX;
    call->request = &request->message;
    call->no_response = request->message.acks == 0;
    call->done = on_produced;
    client_call_start(request->producer->opts.client, call);
}

static struct producer_request *
find_open(struct list *open, int32_t node_id)
{
    LIST_FOREACH (open, node) {
        struct producer_request *request = LIST_ENTRY(node, struct producer_request, link);
        if (request->node_id == node_id)
            return request;
    }
    return NULL;
}

/* One request a broker, with the first ready batch of each partition; false when none was ready. */
static bool
drain_once(struct client_producer *producer, int64_t now_ms)
{
    struct list open;
    list_init(&open);
    for (struct producer_topic *topic = producer->topics; topic != NULL; topic = topic->hh.next) {
        const struct client_topic *known =
            client_topic_find(producer->opts.client, str_of(topic->name));
        for (int32_t i = 0; i < topic->part_count; i++) {
            struct producer_batch *batch = ready_batch(&topic->parts[i], now_ms);
            if (batch == NULL)
                continue;
            int32_t leader =
                known != NULL && i < known->partition_count ? known->partitions[i].leader : -1;
            if (leader < 0) {
                batch->retry_ms = now_ms + RETRY_BACKOFF_MS;
                producer_want_metadata(producer, str_of(topic->name));
                continue;
            }
            struct producer_request *request = find_open(&open, leader);
            if (request != NULL &&
                request->size_bytes + batch->bytes.len > producer->opts.request_bytes_max)
                continue;
            if (request == NULL && (request = request_new(producer, leader)) != NULL) {
                list_remove(&request->link);
                list_push(&open, &request->link);
            }
            if (request == NULL || request_add(request, batch) != ERR_OK)
                producer_batch_end(batch, ERR_NOMEM, 0, -1, -1);
        }
    }
    bool any = !list_empty(&open);
    struct list *node;
    while ((node = list_pop(&open)) != NULL) {
        struct producer_request *request = LIST_ENTRY(node, struct producer_request, link);
        list_push(&producer->requests, &request->link);
        request_start(request);
    }
    return any;
}

/* When the first batch that is not due yet will be. */
static void
arm_timer(struct client_producer *producer, int64_t now_ms)
{
    int64_t next_ms = INT64_MAX;
    for (struct producer_topic *topic = producer->topics; topic != NULL; topic = topic->hh.next)
        for (int32_t i = 0; i < topic->part_count; i++) {
            struct producer_part *part = &topic->parts[i];
            if (list_empty(&part->queue))
                continue;
            struct producer_batch *batch =
                LIST_ENTRY(part->queue.next, struct producer_batch, link);
            int64_t due_ms = batch->sealed || producer->pushing
                                 ? now_ms + 1
                                 : batch->created_ms + producer->opts.linger_ms;
            if (due_ms < batch->retry_ms)
                due_ms = batch->retry_ms;
            if (due_ms < next_ms)
                next_ms = due_ms;
        }
    if (next_ms == INT64_MAX) {
        loop_timer_stop(&producer->timer);
        return;
    }
    int64_t delay_ms = next_ms > now_ms ? next_ms - now_ms : 1;
    if (loop_timer_start(&producer->timer, delay_ms) != ERR_OK)
        producer->refresh_err = ERR_NOMEM;
}

void
producer_drain(struct client_producer *producer)
{
    int64_t now_ms = env_now_ms(client_env(producer->opts.client));
    if (producer->opts.idempotent && producer->producer_id < 0)
        return; /* the answer to InitProducerId drains */
    while (drain_once(producer, now_ms))
        continue;
    arm_timer(producer, now_ms);
}

void
producer_cancel_requests(struct client_producer *producer)
{
    LIST_FOREACH (&producer->requests, node) {
        struct producer_request *request = LIST_ENTRY(node, struct producer_request, link);
        client_call_cancel(&request->call);
    }
}
