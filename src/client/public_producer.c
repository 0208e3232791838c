/* client/public_producer.c - libmoldau's producer: arguments, partitioners, waits, delivery
 * reports.
 *
 * Threads: the client's. Errors: of a send, at once; of a record that was accepted, in its report.
 */
#include "base/alloc.h"
#include "base/assert.h"
#include "client/producer.h"
#include "client/producer_priv.h"
#include "client/public_priv.h"
#include "proto/error_codes.h"

enum {
    SEND_TURN_MS = 5,      /* how old answers may get while a program only sends */
    METADATA_WAIT_MS = 50, /* between looks at a topic that is being made */
    HEADERS_MAX = 100000,
};

struct moldau_producer {
    struct moldau_client *client;     /* counted */
    struct moldau_options *options;   /* owned */
    struct client_producer *producer; /* owned */
    struct batch_header *headers;     /* owned; of the record being sent */
    int32_t header_capacity;
    uint32_t turn; /* round robin */
};

static void
on_delivery(void *ctx, const struct client_delivery *from)
{
    struct moldau_producer *producer = ctx;
    if (producer->options->on_delivery == NULL)
        return;
    struct moldau_delivery delivery = {
        .err = from->err != ERR_OK     ? public_err_of(from->err)
               : from->error_code != 0 ? MOLDAU_ERR_BROKER
                                       : MOLDAU_OK,
        .error_code = from->error_code,
        .partition = from->partition,
        .offset = from->offset,
        .timestamp_ms = from->timestamp,
        .topic = from->topic.data,
        .opaque = from->opaque,
    };
    producer->client->callbacks++;
    producer->options->on_delivery(producer->options->delivery_ctx, &delivery);
    producer->client->callbacks--;
}

static enum moldau_err
producer_open(struct moldau_client *client, struct moldau_producer *producer)
{
    const struct moldau_options *options = producer->options;
    const int64_t *numbers = options->numbers;
    bool idempotent = numbers[OPTION_ENABLE_IDEMPOTENCE] != 0;
    if (idempotent && numbers[OPTION_ACKS] != -1) {
        if (public_option_is_set(options, OPTION_ENABLE_IDEMPOTENCE))
            return public_fail(client, MOLDAU_ERR_INVALID, 0,
                "enable.idempotence=true wants acks=all, not %d", (int)numbers[OPTION_ACKS]);
        idempotent = false;
    }
    enum compress_codec codec = (enum compress_codec)numbers[OPTION_COMPRESSION_TYPE];
    int level = COMPRESS_LEVEL_DEFAULT;
    if (codec == COMPRESS_GZIP)
        level = (int)numbers[OPTION_GZIP_LEVEL];
    else if (codec == COMPRESS_LZ4)
        level = (int)numbers[OPTION_LZ4_LEVEL];
    else if (codec == COMPRESS_ZSTD)
        level = (int)numbers[OPTION_ZSTD_LEVEL];
    if (!compress_level_valid(codec, level))
        return public_fail(client, MOLDAU_ERR_INVALID, 0, "%d is no level of compression.type=%s",
            level, compress_codec_name(codec));
    struct client_producer_opts opts = {
        .client = client->client,
        .acks = (int16_t)numbers[OPTION_ACKS],
        .idempotent = idempotent,
        .linger_ms = numbers[OPTION_LINGER_MS],
        .batch_bytes = (size_t)numbers[OPTION_MAX_REQUEST_SIZE],
        .buffer_bytes = (size_t)numbers[OPTION_BUFFER_MEMORY],
        .delivery_timeout_ms = numbers[OPTION_DELIVERY_TIMEOUT_MS],
        .codec = codec,
        .level = level,
        .on_delivery = on_delivery,
        .ctx = producer,
    };
    if (opts.buffer_bytes < opts.batch_bytes)
        return public_fail(client, MOLDAU_ERR_INVALID, 0,
            "buffer.memory is smaller than max.request.size (%lld)", (long long)opts.batch_bytes);
    return public_fail_err(client, client_producer_new(&opts, &producer->producer));
}

enum moldau_err
moldau_producer_new(struct moldau_client *client, const struct moldau_options *options,
    struct moldau_producer **out)
{
    if (out == NULL)
        return MOLDAU_ERR_INVALID;
    enum moldau_err err = public_enter(client);
    if (err != MOLDAU_OK)
        return err;
    struct moldau_producer *producer = mem_calloc(1, sizeof *producer);
    if (producer == NULL)
        return public_fail_err(client, ERR_NOMEM);
    producer->client = client;
    err = public_fail_err(client,
        public_options_copy(options != NULL ? options : client->options, &producer->options));
    if (err == MOLDAU_OK)
        err = producer_open(client, producer);
    if (err != MOLDAU_OK) {
        moldau_options_free(&producer->options);
        mem_free(producer);
        return err;
    }
    public_client_ref(client);
    *out = producer;
    return MOLDAU_OK;
}

void
moldau_producer_free(struct moldau_producer **producer)
{
    if (producer == NULL || *producer == NULL || (*producer)->client->callbacks > 0)
        return;
    struct moldau_producer *p = *producer;
    *producer = NULL;
    client_producer_free(&p->producer);
    moldau_options_free(&p->options);
    mem_free(p->headers);
    public_client_unref(p->client);
    mem_free(p);
}

enum moldau_err
moldau_producer_close(struct moldau_producer **producer, int64_t timeout_ms)
{
    if (producer == NULL || *producer == NULL)
        return MOLDAU_OK;
    enum moldau_err err = moldau_producer_flush(*producer, timeout_ms);
    moldau_producer_free(producer);
    return err;
}

int64_t
moldau_producer_outstanding(const struct moldau_producer *producer)
{
    return producer == NULL ? 0 : client_producer_outstanding(producer->producer);
}

enum moldau_err
moldau_producer_flush(struct moldau_producer *producer, int64_t timeout_ms)
{
    struct moldau_client *client = producer == NULL ? NULL : producer->client;
    enum moldau_err err = public_enter(client);
    if (err != MOLDAU_OK)
        return err;
    int64_t end_ms = public_end_ms(client, timeout_ms);
    client_producer_push(producer->producer);
    if (client_producer_outstanding(producer->producer) == 0)
        return MOLDAU_OK;
    if (timeout_ms == 0)
        public_turn(client);
    else
        (void)public_run_until(client, &producer->producer->flushed, end_ms);
    int64_t left = client_producer_outstanding(producer->producer);
    if (left == 0)
        return MOLDAU_OK;
    const char *why = public_trouble(client);
    return public_fail(client, MOLDAU_ERR_TIMEOUT, 0, "%lld records are not acknowledged yet%s%s",
        (long long)left, why[0] != '\0' ? ": " : "", why);
}

/* ---- sending ---- */

static enum moldau_err
take_headers(struct moldau_producer *producer, const struct moldau_record *record)
{
    struct moldau_client *client = producer->client;
    int32_t count = record->header_count;
    if (count < 0 || count > HEADERS_MAX || (count > 0 && record->headers == NULL))
        return public_fail(client, MOLDAU_ERR_INVALID, 0, "%d headers", (int)count);
    if (count > producer->header_capacity) {
        struct batch_header *grown = mem_realloc(producer->headers, (size_t)count * sizeof *grown);
        if (grown == NULL)
            return public_fail_err(client, ERR_NOMEM);
        producer->headers = grown;
        producer->header_capacity = count;
    }
    for (int32_t i = 0; i < count; i++) {
        const struct moldau_header *from = &record->headers[i];
        if (from->name == NULL || (from->value == NULL && from->value_len > 0))
            return public_fail(
                client, MOLDAU_ERR_INVALID, 0, "header %d has no name or no value", (int)i);
        if (from->value_len > INT32_MAX)
            return public_fail(client, MOLDAU_ERR_TOO_LARGE, 0, "header %s", from->name);
        producer->headers[i].key = (struct bytes){(const uint8_t *)from->name, strlen(from->name)};
        producer->headers[i].value = (struct bytes){from->value, from->value_len};
    }
    return MOLDAU_OK;
}

static enum moldau_err
check_record(struct moldau_producer *producer, const struct moldau_record *record)
{
    struct moldau_client *client = producer->client;
    size_t most = producer->producer->opts.buffer_bytes;
    if (record == NULL || record->struct_size < sizeof *record)
        return public_fail(
            client, MOLDAU_ERR_INVALID, 0, "no record: start from MOLDAU_RECORD_INIT");
    enum moldau_err err = public_check_topic(client, record->topic);
    if (err != MOLDAU_OK)
        return err;
    if (record->partition < MOLDAU_PARTITION_ANY)
        return public_fail(client, MOLDAU_ERR_INVALID, 0, "partition %d", (int)record->partition);
    if (record->timestamp_ms < MOLDAU_TIMESTAMP_NOW)
        return public_fail(
            client, MOLDAU_ERR_INVALID, 0, "timestamp %lld", (long long)record->timestamp_ms);
    if ((record->key == NULL && record->key_len > 0) ||
        (record->value == NULL && record->value_len > 0))
        return public_fail(client, MOLDAU_ERR_INVALID, 0, "a length, but no key or value");
    if (record->key_len > most || record->value_len > most - record->key_len)
        return public_fail(
            client, MOLDAU_ERR_TOO_LARGE, 0, "larger than buffer.memory (%zu)", most);
    return take_headers(producer, record);
}

/* What a partitioner of the program, or round robin, says; AGAIN while the topic is not known. */
static enum err
pick_partition(struct moldau_producer *producer, struct client_record *record)
{
    const struct moldau_options *options = producer->options;
    const struct client_topic *topic = client_topic_find(producer->client->client, record->topic);
    if (topic == NULL || topic->error_code != 0 || topic->partition_count <= 0)
        return ERR_OK; /* the send itself says what is the matter */
    if (options->partitioner == NULL) {
        record->partition = (int32_t)(producer->turn % (uint32_t)topic->partition_count);
        return ERR_OK;
    }
    producer->client->callbacks++;
    int32_t partition = options->partitioner(options->partitioner_ctx, record->topic.data,
        record->key.data, record->key.len, topic->partition_count);
    producer->client->callbacks--;
    if (partition < 0 || partition >= topic->partition_count)
        return ERR_RANGE;
    record->partition = partition;
    return ERR_OK;
}

static enum err
try_send(struct moldau_producer *producer, const struct client_record *record)
{
    struct client_record one = *record;
    const struct moldau_options *options = producer->options;
    bool picks = options->partitioner != NULL || options->numbers[OPTION_PARTITIONER] != 0;
    if (one.partition < 0 && picks) {
        enum err err = pick_partition(producer, &one);
        if (err != ERR_OK)
            return err;
        if (one.partition < 0 && client_topic_find(producer->client->client, one.topic) != NULL &&
            client_topic_find(producer->client->client, one.topic)->error_code == 0)
            return ERR_NOTFOUND;
    }
    enum err err = client_producer_send(producer->producer, &one);
    producer->turn += err == ERR_OK;
    return err;
}

/* Runs the loop for what the send wants; metadata that failed is asked for again. */
static void
wait_for(struct moldau_producer *producer, enum err err, struct str topic, int64_t end_ms)
{
    struct moldau_client *client = producer->client;
    struct client_producer *inner = producer->producer;
    int64_t now_ms = public_now_ms(client);
    if (err == ERR_FULL) {
        int64_t soon_ms = now_ms + PUBLIC_PAUSE_MS;
        producer_drain(inner);
        (void)public_run_until(client, &inner->room, soon_ms < end_ms ? soon_ms : end_ms);
        return;
    }
    (void)public_run_until(client, &inner->metadata_came, end_ms);
    const struct client_topic *known = client_topic_find(client->client, topic);
    if (inner->refresh_err != ERR_OK || (known != NULL && known->error_code != 0)) {
        int64_t soon_ms = public_now_ms(client) + METADATA_WAIT_MS;
        (void)public_run_until(client, NULL, soon_ms < end_ms ? soon_ms : end_ms);
    }
}

/* The text of a send that was not accepted. */
static enum moldau_err
fail_send(
    struct moldau_producer *producer, enum err err, const struct moldau_record *record, bool waited)
{
    struct moldau_client *client = producer->client;
    struct client_producer *inner = producer->producer;
    const struct client_topic *known = client_topic_find(client->client, str_of(record->topic));
    if (err == ERR_FAILED)
        return public_fail(client, MOLDAU_ERR_STATE, inner->init_error, "no producer id: %s",
            inner->init_error != 0 ? proto_error_name(inner->init_error)
                                   : client_error_text(client->client));
    if (err == ERR_RANGE)
        return public_fail(client, MOLDAU_ERR_INVALID, 0,
            "the partitioner picked none of the partitions of %s", record->topic);
    if (err == ERR_LIMIT)
        return public_fail(client, MOLDAU_ERR_TOO_LARGE, 0,
            "a record of %zu bytes is larger than max.request.size",
            record->key_len + record->value_len);
    if (err == ERR_FULL)
        return public_fail(client, waited ? MOLDAU_ERR_TIMEOUT : MOLDAU_ERR_FULL, 0,
            "buffer.memory is full of %lld records that are not acknowledged yet",
            (long long)client_producer_outstanding(inner));
    if (err != ERR_AGAIN && err != ERR_NOTFOUND)
        return public_fail_err(client, err);
    int16_t code = known != NULL ? known->error_code : 0;
    if (err == ERR_AGAIN && !waited)
        return public_fail(client, MOLDAU_ERR_AGAIN, code, "%s: not known yet", record->topic);
    if (code != 0 && code != PROTO_ERROR_UNKNOWN_TOPIC_OR_PARTITION)
        return public_fail_code(client, record->topic, code, STR_NULL);
    if (code != 0 || err == ERR_NOTFOUND)
        return public_fail(client, MOLDAU_ERR_NOTFOUND, code, "%s [%d]: no such topic or partition",
            record->topic, (int)record->partition);
    if (inner->refresh_err != ERR_OK)
        return public_fail_err(client, inner->refresh_err);
    return public_fail_err(client, ERR_TIMEOUT);
}

enum moldau_err
moldau_producer_send(
    struct moldau_producer *producer, const struct moldau_record *record, int64_t timeout_ms)
{
    struct moldau_client *client = producer == NULL ? NULL : producer->client;
    enum moldau_err checked = public_enter(client);
    if (checked == MOLDAU_OK)
        checked = check_record(producer, record);
    if (checked != MOLDAU_OK)
        return checked;
    public_turn_if_older(client, SEND_TURN_MS);
    struct client_record one = {
        .topic = str_of(record->topic),
        .partition = record->partition,
        .timestamp = record->timestamp_ms,
        .key = {record->key, record->key_len},
        .value = {record->value, record->value_len},
        .headers = producer->headers,
        .header_count = record->header_count,
        .opaque = record->opaque,
    };
    enum err err = try_send(producer, &one);
    if (err == ERR_OK)
        return MOLDAU_OK;
    int64_t end_ms = public_end_ms(client, timeout_ms);
    while ((err == ERR_AGAIN || err == ERR_FULL) && public_now_ms(client) < end_ms) {
        wait_for(producer, err, one.topic, end_ms);
        err = try_send(producer, &one);
    }
    return err == ERR_OK ? MOLDAU_OK : fail_send(producer, err, record, timeout_ms != 0);
}
