/* client/producer.c - topics, partitioning, the producer id, and the public calls.
 *
 * Invariants: I1 a topic's parts never shrink. I2 at most one refresh and one InitProducerId are on
 * their way. Threads: the loop's. */
#include "client/producer.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/hash.h"
#include "client/producer_priv.h"
#include "proto/init_producer_id_request.h"
#include "proto/init_producer_id_response.h"

enum {
    BATCH_BYTES = 1000000,
    BUFFER_BYTES = 64 << 20,
    REQUEST_BYTES_MAX = 8 << 20,
    DELIVERY_TIMEOUT_MS = 120000,
    INIT_PRODUCER_ID_KEY = 22,
    INIT_ARENA = 1 << 16,
};

/* ---- metadata ---- */

static void
on_refresh(struct client_refresh *refresh, enum err err)
{
    struct client_producer *producer = CONTAINER_OF(refresh, struct client_producer, refresh);
    producer->refresh_err = err;
    producer->metadata_came = true;
    client_wake(producer->opts.client);
    producer_drain(producer);
}

void
producer_want_metadata(struct client_producer *producer, struct str topic)
{
    if (producer->refresh.waiting)
        return;
    producer->metadata_came = false;
    producer->refresh.done = on_refresh;
    client_refresh_topics(producer->opts.client, &topic, 1, true, &producer->refresh);
}

static enum err
topic_grow(struct producer_topic *topic, int32_t count)
{
    struct producer_part *parts = mem_calloc((size_t)count, sizeof *parts);
    if (parts == NULL)
        return ERR_NOMEM;
    for (int32_t i = 0; i < count; i++) {
        struct producer_part *part = &parts[i];
        list_init(&part->queue);
        list_init(&part->in_flight);
        if (i < topic->part_count) {
            struct producer_part *old = &topic->parts[i];
            part->in_flight_count = old->in_flight_count;
            part->sequence_next = old->sequence_next;
            part->retrying = old->retrying;
            list_splice(&part->queue, &old->queue);
            list_splice(&part->in_flight, &old->in_flight);
        }
        part->topic = topic;
        part->index = i;
        LIST_FOREACH (&part->queue, node)
            LIST_ENTRY(node, struct producer_batch, link)->part = part;
        LIST_FOREACH (&part->in_flight, node)
            LIST_ENTRY(node, struct producer_batch, link)->part = part;
    }
    mem_free(topic->parts);
    topic->parts = parts;
    topic->part_count = count;
    return ERR_OK;
}

static struct producer_topic *
topic_add(struct client_producer *producer, struct str name)
{
    struct producer_topic *topic = mem_calloc(1, sizeof *topic);
    if (topic == NULL)
        return NULL;
    topic->producer = producer;
    topic->sticky = -1;
    topic->name = mem_strndup(name.data, name.len);
    if (topic->name != NULL)
        HASH_ADD_KEYPTR(hh, producer->topics, topic->name, name.len, topic);
    if (topic->name == NULL || topic->hh.tbl == NULL) {
        mem_free(topic->name);
        mem_free(topic);
        return NULL;
    }
    return topic;
}

static enum err
topic_get(struct client_producer *producer, struct str name, struct producer_topic **out)
{
    const struct client_topic *known = client_topic_find(producer->opts.client, name);
    struct producer_topic *topic;
    bool refresh;
    if (known == NULL ||
        (known->error_code != 0 && client_error_is_retriable(known->error_code, &refresh))) {
        producer_want_metadata(producer, name);
        return ERR_AGAIN;
    }
    if (known->error_code != 0)
        return ERR_NOTFOUND;
    HASH_FIND(hh, producer->topics, name.data, name.len, topic);
    if (topic == NULL)
        topic = topic_add(producer, name);
    if (topic == NULL)
        return ERR_NOMEM;
    if (topic->part_count < known->partition_count) {
        enum err err = topic_grow(topic, known->partition_count);
        if (err != ERR_OK)
            return err;
    }
    *out = topic;
    return ERR_OK;
}

/* KIP-480: without a key stay with one partition until its batch is full. */
static struct producer_part *
pick_part(struct producer_topic *topic, const struct client_record *record)
{
    if (record->partition >= 0)
        return record->partition < topic->part_count ? &topic->parts[record->partition] : NULL;
    if (record->key.data != NULL) {
        uint32_t hash = hash_murmur2(record->key) & 0x7fffffffu;
        return &topic->parts[hash % (uint32_t)topic->part_count];
    }
    struct producer_part *part = topic->sticky >= 0 ? &topic->parts[topic->sticky] : NULL;
    if (part == NULL || list_empty(&part->queue) ||
        LIST_ENTRY(part->queue.prev, struct producer_batch, link)->sealed) {
        struct env *env = client_env(topic->producer->opts.client);
        topic->sticky = (int32_t)(env_random_u64(env) % (uint64_t)topic->part_count);
    }
    return &topic->parts[topic->sticky];
}

/* ---- producer id ---- */

static void
on_init(struct client_call *call)
{
    struct client_producer *producer = CONTAINER_OF(call, struct client_producer, init_call);
    const struct proto_init_producer_id_response *response = call->response;
    bool refresh;
    if (call->err == ERR_CANCELED)
        return;
    if (call->err == ERR_OK && response->error_code == 0) {
        producer->producer_id = response->producer_id;
        producer->producer_epoch = response->producer_epoch;
        producer_drain(producer);
        return;
    }
    producer->init_error = call->err == ERR_OK ? response->error_code : 0;
    producer->init_failed =
        call->err == ERR_UNSUPPORTED ||
        (call->err == ERR_OK && !client_error_is_retriable(response->error_code, &refresh));
    /* Otherwise the timer tries again. */
    if (loop_timer_start(&producer->timer, 100) != ERR_OK)
        producer->init_failed = true;
}

static void
start_init(struct client_producer *producer)
{
    static const struct proto_init_producer_id_request request = {
        .transactional_id = {NULL, 0},
        .transaction_timeout_ms = INT32_MAX,
        .producer_id = -1,
        .producer_epoch = -1,
    };
    producer->init_call.target = CLIENT_TARGET_ANY;
    producer->init_call.key = INIT_PRODUCER_ID_KEY;
    producer->init_call.request = &request;
    producer->init_call.done = on_init;
    client_call_start(producer->opts.client, &producer->init_call);
}

static void
on_timer(struct loop_timer *timer)
{
    struct client_producer *producer = CONTAINER_OF(timer, struct client_producer, timer);
    if (producer->opts.idempotent && producer->producer_id < 0 && !producer->init_failed &&
        !producer->init_call.active)
        start_init(producer);
    producer_drain(producer);
}

/* ---- public ---- */

enum err
client_producer_new(const struct client_producer_opts *opts, struct client_producer **out)
{
    ASSERT(!opts->idempotent || opts->acks == -1);
    struct client_producer *producer = mem_calloc(1, sizeof *producer);
    if (producer == NULL)
        return ERR_NOMEM;
    producer->opts = *opts;
    struct client_producer_opts *o = &producer->opts;
    o->batch_bytes = o->batch_bytes > 0 ? o->batch_bytes : BATCH_BYTES;
    o->buffer_bytes = o->buffer_bytes > 0 ? o->buffer_bytes : BUFFER_BYTES;
    o->request_bytes_max = o->request_bytes_max > 0 ? o->request_bytes_max : REQUEST_BYTES_MAX;
    o->delivery_timeout_ms =
        o->delivery_timeout_ms > 0 ? o->delivery_timeout_ms : DELIVERY_TIMEOUT_MS;
    producer->producer_id = BATCH_NO_PRODUCER_ID;
    producer->flushed = true;
    list_init(&producer->requests);
    loop_timer_init(&producer->timer, client_loop(opts->client), on_timer);
    client_call_init(&producer->init_call, INIT_ARENA);
    enum err err = compress_ctx_new(&producer->compress);
    if (err != ERR_OK) {
        client_producer_free(&producer);
        return err;
    }
    if (opts->idempotent)
        start_init(producer);
    *out = producer;
    return ERR_OK;
}

static void
end_all(struct list *batches)
{
    while (!list_empty(batches))
        producer_batch_end(
            LIST_ENTRY(batches->next, struct producer_batch, link), ERR_CANCELED, 0, -1, -1);
}

void
client_producer_free(struct client_producer **producer)
{
    struct client_producer *p = *producer;
    struct producer_topic *topic, *next;
    if (p == NULL)
        return;
    loop_timer_stop(&p->timer);
    client_refresh_cancel(&p->refresh);
    client_call_cancel(&p->init_call);
    producer_cancel_requests(p);
    HASH_ITER (hh, p->topics, topic, next) {
        for (int32_t i = 0; i < topic->part_count; i++) {
            end_all(&topic->parts[i].in_flight);
            end_all(&topic->parts[i].queue);
        }
        HASH_DEL(p->topics, topic);
        mem_free(topic->parts);
        mem_free(topic->name);
        mem_free(topic);
    }
    client_call_fini(&p->init_call);
    compress_ctx_free(&p->compress);
    mem_free(p);
    *producer = NULL;
}

enum err
client_producer_send(struct client_producer *producer, const struct client_record *record)
{
    struct producer_topic *topic;
    if (producer->init_failed)
        return ERR_FAILED;
    if (producer->buffered_bytes >= producer->opts.buffer_bytes) {
        producer->room = false;
        return ERR_FULL;
    }
    enum err err = topic_get(producer, record->topic, &topic);
    if (err != ERR_OK)
        return err;
    struct producer_part *part = pick_part(topic, record);
    if (part == NULL)
        return ERR_NOTFOUND;
    bool was_idle = list_empty(&part->queue);
    err = producer_batch_add(part, record);
    if (err != ERR_OK)
        return err;
    /* Full batches, and the first record of an idle partition, are worth a look. */
    if (was_idle || LIST_ENTRY(part->queue.next, struct producer_batch, link)->sealed)
        producer_drain(producer);
    return ERR_OK;
}

enum err
client_producer_send_wait(
    struct client_producer *producer, const struct client_record *record, int64_t timeout_ms)
{
    struct client *client = producer->opts.client;
    int64_t end_ms = env_now_ms(client_env(client)) + timeout_ms;
    for (;;) {
        enum err err = client_producer_send(producer, record);
        if (err != ERR_AGAIN && err != ERR_FULL)
            return err;
        int64_t left_ms = end_ms - env_now_ms(client_env(client));
        if (left_ms <= 0)
            return ERR_TIMEOUT;
        if (err == ERR_FULL) {
            producer_drain(producer);
            (void)client_run_until(client, &producer->room, left_ms < 100 ? left_ms : 100);
            continue;
        }
        (void)client_run_until(client, &producer->metadata_came, left_ms);
        if (producer->refresh_err != ERR_OK)
            return producer->refresh_err;
        if (client_topic_find(client, record->topic) != NULL &&
            client_topic_find(client, record->topic)->error_code != 0) {
            bool never = false;
            (void)client_run_until(client, &never, 50); /* being created */
        }
    }
}

void
client_producer_push(struct client_producer *producer)
{
    producer->pushing = producer->outstanding > 0;
    producer_drain(producer);
}

enum err
client_producer_flush(struct client_producer *producer, int64_t timeout_ms)
{
    client_producer_push(producer);
    if (producer->outstanding == 0)
        return ERR_OK;
    return client_run_until(producer->opts.client, &producer->flushed, timeout_ms) ? ERR_OK
                                                                                   : ERR_TIMEOUT;
}

int64_t
client_producer_outstanding(const struct client_producer *producer)
{
    return producer->outstanding;
}
