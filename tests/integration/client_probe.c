/* client_probe: what libmoldau promises, tried against a broker. 030_client_library.py runs it.
 *
 *   client_probe BROKERS SCENARIO [NAME]
 *
 * Each scenario uses topics and groups named after itself (or NAME), so that one broker serves all.
 * Exits with 0, or prints what was not as promised and exits with 1. Only the public header. */
#include <moldau/client.h>

#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(condition)                                               \
    do {                                                               \
        if (!(condition))                                              \
            fail("%s:%d: not so: %s", __FILE__, __LINE__, #condition); \
    } while (0)
/* A call that must succeed. */
#define MUST(call) must((call), #call, __LINE__)

enum { LONG_MS = 30000, CODE_UNKNOWN_TOPIC = 3, CODE_OUT_OF_RANGE = 1 };

struct probe {
    const char *brokers;
    const char *name;
    struct moldau_options *options;
    struct moldau_client *client;
    /* of the delivery callback */
    int delivered, failed;
    enum moldau_err last_err;
    int16_t last_code;
    int64_t last_offset;
    int32_t last_partition;
    int per_partition[8];
    /* of the rebalance callback */
    int assigned, revoked, lost;
    enum moldau_err err_inside;
};

static void __attribute__((noreturn, format(printf, 1, 2))) fail(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vprintf(fmt, args);
    va_end(args);
    printf("\n");
    fflush(stdout);
    exit(1);
}

static struct moldau_client *client_now; /* for the text of a failure */

static void
must(enum moldau_err err, const char *what, int line)
{
    if (err != MOLDAU_OK)
        fail("line %d: %s: %s: %s", line, what, moldau_err_text(err),
            moldau_client_error(client_now));
}

static void
set(struct probe *probe, const char *name, const char *value)
{
    if (moldau_options_set(probe->options, name, value) != MOLDAU_OK)
        fail("%s", moldau_options_error(probe->options));
}

/* Brokers learn of a change a moment after the controller made it. */
static void
await_partitions(struct probe *probe, size_t count)
{
    const char *const names[] = {probe->name};
    size_t seen = 0;
    for (int i = 0; seen != count && i < 200; i++) {
        struct moldau_result *result = NULL;
        MUST(moldau_topic_describe(probe->client, names, 1, LONG_MS, &result));
        seen = moldau_result_topic(result, 0)->partition_count;
        for (size_t p = 0; p < seen && seen == count; p++)
            if (moldau_result_topic(result, 0)->partitions[p]->leader < 0)
                seen = 0;
        moldau_result_free(&result);
        if (seen != count)
            MUST(moldau_client_run(probe->client, 50));
    }
    CHECK(seen == count);
}

static void
make_topic(struct probe *probe, int32_t partitions)
{
    struct moldau_new_topic topic = MOLDAU_NEW_TOPIC_INIT;
    topic.name = probe->name;
    topic.partition_count = partitions;
    topic.replication_factor = 1;
    MUST(moldau_topic_create(probe->client, &topic, LONG_MS));
    await_partitions(probe, (size_t)partitions);
}

static void
on_delivery(void *ctx, const struct moldau_delivery *delivery)
{
    struct probe *probe = ctx;
    probe->delivered += delivery->err == MOLDAU_OK;
    probe->failed += delivery->err != MOLDAU_OK;
    probe->last_err = delivery->err;
    probe->last_code = delivery->error_code;
    probe->last_offset = delivery->offset;
    probe->last_partition = delivery->partition;
    if (delivery->partition >= 0 && delivery->partition < 8)
        probe->per_partition[delivery->partition]++;
    CHECK(strcmp(delivery->topic, probe->name) == 0);
}

static void
send_text(struct probe *probe, struct moldau_producer *producer, int32_t partition,
    const char *value, int64_t timestamp_ms)
{
    struct moldau_record record = MOLDAU_RECORD_INIT;
    record.topic = probe->name;
    record.partition = partition;
    record.value = value;
    record.value_len = value == NULL ? 0 : strlen(value);
    record.timestamp_ms = timestamp_ms;
    MUST(moldau_producer_send(producer, &record, LONG_MS));
}

/* count records "0", "1", ... to partition 0, at timestamps 1000, 1001, ... */
static void
fill(struct probe *probe, int count)
{
    struct moldau_producer *producer = NULL;
    MUST(moldau_producer_new(probe->client, NULL, &producer));
    for (int i = 0; i < count; i++) {
        char text[16];
        snprintf(text, sizeof text, "%d", i);
        send_text(probe, producer, 0, text, 1000 + i);
    }
    MUST(moldau_producer_close(&producer, LONG_MS));
    CHECK(producer == NULL && probe->delivered >= count);
}

static const struct moldau_message *
next(struct moldau_consumer *consumer)
{
    const struct moldau_message *message = NULL;
    MUST(moldau_consumer_poll(consumer, LONG_MS, &message));
    return message;
}

static void
expect(struct moldau_consumer *consumer, int64_t offset)
{
    const struct moldau_message *message = next(consumer);
    char text[24];
    snprintf(text, sizeof text, "%lld", (long long)offset);
    if (message->offset != offset)
        fail("offset %lld, not %lld", (long long)message->offset, (long long)offset);
    CHECK(message->value_len == strlen(text) && memcmp(message->value, text, strlen(text)) == 0);
}

/* ---- administration ---- */

static void
topics_are_made_grown_and_deleted(struct probe *probe)
{
    struct moldau_result *result = NULL;
    struct moldau_new_topic topic = MOLDAU_NEW_TOPIC_INIT;
    struct moldau_setting setting = {"retention.ms", "3600000"};
    const char *names[] = {probe->name, "client-probe-none"};
    topic.name = probe->name;
    topic.partition_count = 3;
    topic.settings = &setting;
    topic.setting_count = 1;
    topic.validate_only = true;
    MUST(moldau_topic_create(probe->client, &topic, LONG_MS));
    topic.validate_only = false;
    MUST(moldau_topic_create(probe->client, &topic, LONG_MS));
    CHECK(moldau_topic_create(probe->client, &topic, LONG_MS) == MOLDAU_ERR_BROKER);
    CHECK(moldau_client_error_code(probe->client) == 36); /* TOPIC_ALREADY_EXISTS */
    CHECK(strstr(moldau_client_error(probe->client), "TOPIC_ALREADY_EXISTS") != NULL);
    MUST(moldau_topic_add_partitions(probe->client, probe->name, 5, LONG_MS));
    CHECK(moldau_topic_add_partitions(probe->client, probe->name, 5, LONG_MS) == MOLDAU_ERR_BROKER);
    CHECK(moldau_client_error_code(probe->client) == 37); /* INVALID_PARTITIONS */
    await_partitions(probe, 5);
    MUST(moldau_topic_describe(probe->client, names, 2, LONG_MS, &result));
    CHECK(moldau_result_count(result) == 2 && moldau_result_broker(result, 0) == NULL);
    for (size_t i = 0; i < 2; i++) {
        const struct moldau_topic *found = moldau_result_topic(result, i);
        bool there = strcmp(found->name, probe->name) == 0;
        CHECK(found->error_code == (there ? 0 : CODE_UNKNOWN_TOPIC));
        CHECK(found->partition_count == (there ? 5u : 0u));
        for (size_t p = 0; p < found->partition_count; p++) {
            CHECK(found->partitions[p]->index == (int32_t)p);
            CHECK(found->partitions[p]->replica_count == 1 && found->partitions[p]->isr_count == 1);
        }
        CHECK(!there || strlen(found->id) == 22);
    }
    CHECK(moldau_result_topic(result, 2) == NULL);
    moldau_result_free(&result);
    MUST(moldau_topic_describe(probe->client, NULL, 0, LONG_MS, &result));
    CHECK(moldau_result_count(result) >= 1);
    moldau_result_free(&result);
    MUST(moldau_topic_delete(probe->client, probe->name, LONG_MS));
    CHECK(moldau_topic_delete(probe->client, probe->name, LONG_MS) == MOLDAU_ERR_BROKER);
    CHECK(moldau_client_error_code(probe->client) == CODE_UNKNOWN_TOPIC);
}

/* Until the setting of the topic has the value (NULL: any) and the source. */
static void
await_setting(struct probe *probe, const char *name, const char *value, const char *source)
{
    bool seen = false;
    for (int i = 0; !seen && i < 200; i++) {
        struct moldau_result *result = NULL;
        MUST(moldau_config_describe(
            probe->client, MOLDAU_RESOURCE_TOPIC, probe->name, LONG_MS, &result));
        for (size_t c = 0; c < moldau_result_count(result); c++) {
            const struct moldau_config *config = moldau_result_config(result, c);
            if (strcmp(config->name, name) == 0)
                seen = strcmp(config->source, source) == 0 &&
                       (value == NULL || strcmp(config->value, value) == 0);
        }
        moldau_result_free(&result);
        if (!seen)
            MUST(moldau_client_run(probe->client, 50));
    }
    CHECK(seen);
}

static void
settings_are_read_and_changed(struct probe *probe)
{
    struct moldau_result *result = NULL;
    struct moldau_setting change = {"retention.ms", "12345678"};
    char broker[16];
    make_topic(probe, 1);
    MUST(moldau_config_alter(
        probe->client, MOLDAU_RESOURCE_TOPIC, probe->name, &change, 1, LONG_MS));
    await_setting(probe, "retention.ms", "12345678", "topic");
    change.value = NULL;
    MUST(moldau_config_alter(
        probe->client, MOLDAU_RESOURCE_TOPIC, probe->name, &change, 1, LONG_MS));
    await_setting(probe, "retention.ms", NULL, "default");
    change.value = "soon";
    CHECK(moldau_config_alter(probe->client, MOLDAU_RESOURCE_TOPIC, probe->name, &change, 1,
              LONG_MS) == MOLDAU_ERR_BROKER);
    CHECK(moldau_client_error_code(probe->client) == 40); /* INVALID_CONFIG */
    MUST(moldau_cluster_describe(probe->client, LONG_MS, &result));
    CHECK(moldau_result_count(result) == 1 && moldau_result_cluster_id(result)[0] != '\0');
    CHECK(moldau_result_controller_id(result) == moldau_result_broker(result, 0)->id);
    snprintf(broker, sizeof broker, "%d", (int)moldau_result_broker(result, 0)->id);
    moldau_result_free(&result);
    MUST(moldau_config_describe(probe->client, MOLDAU_RESOURCE_BROKER, broker, LONG_MS, &result));
    CHECK(moldau_result_count(result) > 10);
    moldau_result_free(&result);
    CHECK(moldau_config_describe(probe->client, MOLDAU_RESOURCE_BROKER, "9999", LONG_MS, &result) ==
          MOLDAU_ERR_NOTFOUND);
    CHECK(moldau_config_describe(probe->client, MOLDAU_RESOURCE_TOPIC, "client-probe-none", LONG_MS,
              &result) == MOLDAU_ERR_BROKER);
    CHECK(result == NULL);
}

/* ---- producing ---- */

static void
records_come_back_as_they_went(struct probe *probe)
{
    struct moldau_producer *producer = NULL;
    struct moldau_consumer *consumer = NULL;
    struct moldau_header headers[] = {{"a", "1", 1}, {"a", "", 0}, {"null", NULL, 0}};
    struct moldau_record record = MOLDAU_RECORD_INIT;
    make_topic(probe, 2);
    MUST(moldau_producer_new(probe->client, NULL, &producer));
    record.topic = probe->name;
    record.partition = 1;
    record.timestamp_ms = 1234567890123;
    record.key = "k\0ey";
    record.key_len = 4;
    record.value = "value";
    record.value_len = 5;
    record.headers = headers;
    record.header_count = 3;
    MUST(moldau_producer_send(producer, &record, LONG_MS));
    record.key = "";
    record.key_len = 0;
    record.value = NULL;
    record.value_len = 0;
    record.header_count = 0;
    record.timestamp_ms = MOLDAU_TIMESTAMP_NOW;
    MUST(moldau_producer_send(producer, &record, LONG_MS));
    MUST(moldau_producer_flush(producer, LONG_MS));
    CHECK(probe->delivered == 2 && probe->last_offset == 1 && probe->last_partition == 1);
    CHECK(moldau_producer_outstanding(producer) == 0);
    MUST(moldau_producer_close(&producer, LONG_MS));
    MUST(moldau_consumer_new(probe->client, NULL, &consumer));
    MUST(moldau_consumer_assign(consumer, probe->name, 1, MOLDAU_OFFSET_EARLIEST));
    const struct moldau_message *message = next(consumer);
    CHECK(
        message->offset == 0 && message->partition == 1 && message->timestamp_ms == 1234567890123);
    CHECK(message->key_len == 4 && memcmp(message->key, "k\0ey", 4) == 0);
    CHECK(message->value_len == 5 && memcmp(message->value, "value", 5) == 0);
    CHECK(strcmp(message->topic, probe->name) == 0 && message->header_count == 3);
    CHECK(strcmp(message->headers[0].name, "a") == 0 && message->headers[0].value_len == 1);
    CHECK(message->headers[1].value != NULL && message->headers[1].value_len == 0);
    CHECK(strcmp(message->headers[2].name, "null") == 0 && message->headers[2].value == NULL);
    message = next(consumer);
    CHECK(message->offset == 1 && message->key != NULL && message->key_len == 0);
    CHECK(message->value == NULL && message->header_count == 0);
    CHECK(message->timestamp_ms > 1600000000000);
    MUST(moldau_consumer_close(&consumer, LONG_MS));
}

static void
every_codec_and_acks(struct probe *probe)
{
    static const char *const codecs[] = {"none", "gzip", "snappy", "lz4", "zstd"};
    static const char *const acks[] = {"all", "1", "0"};
    struct moldau_consumer *consumer = NULL;
    int sent = 0;
    make_topic(probe, 1);
    for (int c = 0; c < 5; c++) {
        struct moldau_producer *producer = NULL;
        set(probe, "compression.type", codecs[c]);
        set(probe, "acks", acks[c % 3]);
        MUST(moldau_producer_new(probe->client, probe->options, &producer));
        for (int i = 0; i < 200; i++, sent++) {
            char text[16];
            snprintf(text, sizeof text, "%d", sent);
            send_text(probe, producer, 0, text, MOLDAU_TIMESTAMP_NOW);
        }
        MUST(moldau_producer_close(&producer, LONG_MS));
        CHECK(probe->delivered == sent);
        CHECK(strcmp(acks[c % 3], "0") == 0 ? probe->last_offset == -1
                                            : probe->last_offset == sent - 1);
    }
    MUST(moldau_consumer_new(probe->client, NULL, &consumer));
    MUST(moldau_consumer_assign(consumer, probe->name, 0, 0));
    for (int i = 0; i < sent; i++)
        expect(consumer, i);
    MUST(moldau_consumer_close(&consumer, LONG_MS));
}

static int32_t
pick_last(void *ctx, const char *topic, const void *key, size_t key_len, int32_t partition_count)
{
    (void)ctx;
    (void)topic;
    if (key_len == 3 && memcmp(key, "bad", 3) == 0)
        return partition_count;
    return partition_count - 1;
}

static void
partitioners_pick(struct probe *probe)
{
    struct moldau_producer *producer = NULL;
    struct moldau_record record = MOLDAU_RECORD_INIT;
    make_topic(probe, 4);
    set(probe, "partitioner", "round_robin");
    MUST(moldau_producer_new(probe->client, probe->options, &producer));
    for (int i = 0; i < 40; i++)
        send_text(probe, producer, MOLDAU_PARTITION_ANY, "x", MOLDAU_TIMESTAMP_NOW);
    MUST(moldau_producer_close(&producer, LONG_MS));
    for (int p = 0; p < 4; p++)
        CHECK(probe->per_partition[p] == 10);
    set(probe, "partitioner", "default");
    moldau_options_partitioner(probe->options, pick_last, NULL);
    MUST(moldau_producer_new(probe->client, probe->options, &producer));
    send_text(probe, producer, MOLDAU_PARTITION_ANY, "x", MOLDAU_TIMESTAMP_NOW);
    MUST(moldau_producer_flush(producer, LONG_MS));
    CHECK(probe->per_partition[3] == 11);
    record.topic = probe->name;
    record.key = "bad";
    record.key_len = 3;
    CHECK(moldau_producer_send(producer, &record, LONG_MS) == MOLDAU_ERR_INVALID);
    MUST(moldau_producer_close(&producer, LONG_MS));
    moldau_options_partitioner(probe->options, NULL, NULL);
    /* As Java: murmur2("foo") is 0x23a256d0, which is 0 modulo 4. */
    MUST(moldau_producer_new(probe->client, probe->options, &producer));
    record.key = "foo";
    for (int i = 0; i < 2; i++) {
        MUST(moldau_producer_send(producer, &record, LONG_MS));
        MUST(moldau_producer_flush(producer, LONG_MS));
        CHECK(probe->last_partition == 0);
    }
    MUST(moldau_producer_close(&producer, LONG_MS));
}

static void
sends_that_cannot_be_are_refused(struct probe *probe)
{
    struct moldau_producer *producer = NULL;
    struct moldau_record record = MOLDAU_RECORD_INIT;
    size_t size = 2 << 20;
    char *large = calloc(1, size);
    CHECK(large != NULL);
    make_topic(probe, 1);
    MUST(moldau_producer_new(probe->client, NULL, &producer));
    record.topic = probe->name;
    record.value = large;
    record.value_len = size;
    CHECK(moldau_producer_send(producer, &record, LONG_MS) == MOLDAU_ERR_TOO_LARGE);
    record.value_len = 10;
    record.partition = 7;
    CHECK(moldau_producer_send(producer, &record, LONG_MS) == MOLDAU_ERR_NOTFOUND);
    record.partition = MOLDAU_PARTITION_ANY;
    record.topic = "no/such name";
    CHECK(moldau_producer_send(producer, &record, LONG_MS) == MOLDAU_ERR_BROKER);
    CHECK(moldau_client_error_code(probe->client) == 17); /* INVALID_TOPIC_EXCEPTION */
    MUST(moldau_producer_close(&producer, LONG_MS));
    /* A batch that the topic does not allow is refused in its report. */
    struct moldau_setting small = {"max.message.bytes", "1000"};
    MUST(
        moldau_config_alter(probe->client, MOLDAU_RESOURCE_TOPIC, probe->name, &small, 1, LONG_MS));
    MUST(moldau_producer_new(probe->client, NULL, &producer));
    record.topic = probe->name;
    record.value_len = 5000;
    MUST(moldau_producer_send(producer, &record, LONG_MS));
    MUST(moldau_producer_flush(producer, LONG_MS));
    CHECK(probe->failed == 1 && probe->last_err == MOLDAU_ERR_BROKER && probe->last_code == 10);
    /* What is not sent when the producer is freed is told so. */
    record.value_len = 10;
    set(probe, "linger.ms", "60000");
    MUST(moldau_producer_close(&producer, LONG_MS));
    MUST(moldau_producer_new(probe->client, probe->options, &producer));
    MUST(moldau_producer_send(producer, &record, LONG_MS));
    moldau_producer_free(&producer);
    CHECK(producer == NULL && probe->failed == 2 && probe->last_err == MOLDAU_ERR_CANCELED);
    free(large);
}

static void
a_full_buffer_waits_or_says_so(struct probe *probe)
{
    struct moldau_producer *producer = NULL;
    struct moldau_record record = MOLDAU_RECORD_INIT;
    enum { COUNT = 400, SIZE = 10000 };
    enum moldau_err err = MOLDAU_OK;
    char *value = calloc(1, SIZE);
    int accepted = 0;
    make_topic(probe, 1);
    set(probe, "max.request.size", "65536");
    set(probe, "buffer.memory", "131072");
    set(probe, "linger.ms", "1000");
    MUST(moldau_producer_new(probe->client, probe->options, &producer));
    record.topic = probe->name;
    record.value = value;
    record.value_len = SIZE;
    MUST(moldau_producer_send(producer, &record, LONG_MS)); /* now the topic is known */
    for (accepted = 1; err == MOLDAU_OK && accepted < COUNT; accepted += err == MOLDAU_OK)
        err = moldau_producer_send(producer, &record, 0);
    CHECK(err == MOLDAU_ERR_FULL || accepted == COUNT);
    for (int i = 0; i < COUNT; i++, accepted++)
        MUST(moldau_producer_send(producer, &record, LONG_MS));
    MUST(moldau_producer_close(&producer, LONG_MS));
    CHECK(probe->delivered == accepted && probe->failed == 0);
    free(value);
}

/* ---- consuming ---- */

static void
positions_move_as_told(struct probe *probe)
{
    struct moldau_consumer *consumer = NULL;
    const struct moldau_message *message = NULL;
    int64_t offset = -1;
    make_topic(probe, 2);
    fill(probe, 50);
    MUST(moldau_consumer_new(probe->client, NULL, &consumer));
    CHECK(moldau_consumer_seek(consumer, probe->name, 0, 3) == MOLDAU_ERR_NOTFOUND);
    MUST(moldau_consumer_assign(consumer, probe->name, 0, MOLDAU_OFFSET_EARLIEST));
    CHECK(moldau_consumer_position(consumer, probe->name, 0, &offset) == MOLDAU_ERR_AGAIN);
    expect(consumer, 0);
    expect(consumer, 1);
    MUST(moldau_consumer_position(consumer, probe->name, 0, &offset));
    CHECK(offset == 2);
    MUST(moldau_consumer_end(consumer, probe->name, 0, &offset));
    CHECK(offset == 50 && !moldau_consumer_at_end(consumer));
    MUST(moldau_consumer_seek(consumer, probe->name, 0, 40));
    expect(consumer, 40);
    MUST(moldau_consumer_seek(consumer, probe->name, 0, 10)); /* back, with data buffered */
    for (int i = 10; i < 20; i++)
        expect(consumer, i);
    MUST(moldau_consumer_pause(consumer, probe->name, 0));
    CHECK(moldau_consumer_poll(consumer, 300, &message) == MOLDAU_ERR_TIMEOUT);
    MUST(moldau_consumer_resume(consumer, probe->name, 0));
    for (int i = 20; i < 50; i++)
        expect(consumer, i);
    CHECK(moldau_consumer_poll(consumer, 200, &message) == MOLDAU_ERR_TIMEOUT);
    CHECK(moldau_consumer_at_end(consumer));
    /* By time: record i has timestamp 1000 + i. */
    MUST(moldau_consumer_assign_time(consumer, probe->name, 0, 1030, LONG_MS));
    expect(consumer, 30);
    MUST(moldau_consumer_assign_time(consumer, probe->name, 0, 99999, LONG_MS));
    CHECK(moldau_consumer_poll(consumer, 300, &message) == MOLDAU_ERR_TIMEOUT);
    CHECK(moldau_consumer_assign_time(consumer, probe->name, 9, 1030, LONG_MS) ==
          MOLDAU_ERR_NOTFOUND);
    size_t count = 0;
    const struct moldau_topic_partition *parts = moldau_consumer_assignment(consumer, &count);
    CHECK(count == 1 && parts[0].partition == 0 && strcmp(parts[0].topic, probe->name) == 0);
    MUST(moldau_consumer_unassign(consumer, probe->name, 0));
    CHECK(moldau_consumer_assignment(consumer, &count) == NULL && count == 0);
    MUST(moldau_consumer_close(&consumer, LONG_MS));
}

static void
offsets_out_of_range_are_reported(struct probe *probe)
{
    struct moldau_consumer *consumer = NULL;
    struct moldau_result *result = NULL;
    const struct moldau_message *message = NULL;
    struct moldau_topic_partition part = {probe->name, 0};
    int64_t low = -1;
    make_topic(probe, 2);
    fill(probe, 20);
    MUST(moldau_topic_delete_records(probe->client, &part, 5, LONG_MS, &low));
    CHECK(low == 5);
    CHECK(
        moldau_topic_delete_records(probe->client, &part, 500, LONG_MS, NULL) == MOLDAU_ERR_BROKER);
    CHECK(moldau_client_error_code(probe->client) == CODE_OUT_OF_RANGE);
    MUST(moldau_offset_list(probe->client, probe->name, MOLDAU_OFFSET_EARLIEST, LONG_MS, &result));
    CHECK(moldau_result_count(result) == 2 && moldau_result_offset(result, 0)->offset == 5);
    CHECK(moldau_result_offset(result, 1)->offset == 0);
    moldau_result_free(&result);
    MUST(moldau_offset_list(probe->client, probe->name, 1012, LONG_MS, &result));
    CHECK(moldau_result_offset(result, 0)->offset == 12);
    CHECK(moldau_result_offset(result, 0)->timestamp_ms == 1012);
    CHECK(moldau_result_offset(result, 1)->offset == -1);
    moldau_result_free(&result);
    CHECK(moldau_offset_list(probe->client, "client-probe-none", MOLDAU_OFFSET_LATEST, LONG_MS,
              &result) == MOLDAU_ERR_BROKER);
    set(probe, "auto.offset.reset", "none");
    MUST(moldau_consumer_new(probe->client, probe->options, &consumer));
    MUST(moldau_consumer_assign(consumer, probe->name, 0, 1));
    CHECK(moldau_consumer_poll(consumer, LONG_MS, &message) == MOLDAU_ERR_BROKER);
    CHECK(moldau_client_error_code(probe->client) == CODE_OUT_OF_RANGE);
    MUST(moldau_consumer_seek(consumer, probe->name, 0, 5)); /* and on it goes */
    expect(consumer, 5);
    MUST(moldau_consumer_close(&consumer, LONG_MS));
    set(probe, "auto.offset.reset", "earliest");
    MUST(moldau_consumer_new(probe->client, probe->options, &consumer));
    MUST(moldau_consumer_assign(consumer, probe->name, 0, 1));
    expect(consumer, 5);
    MUST(moldau_consumer_close(&consumer, LONG_MS));
}

static void
a_loop_of_ones_own_drives_it(struct probe *probe)
{
    struct moldau_consumer *consumer = NULL;
    int64_t wait_ms = 0;
    int taken = 0, rounds = 0;
    make_topic(probe, 1);
    fill(probe, 10);
    int fd = moldau_client_fd(probe->client, &wait_ms);
    CHECK(fd >= 0);
    MUST(moldau_consumer_new(probe->client, NULL, &consumer));
    MUST(moldau_consumer_assign(consumer, probe->name, 0, 0));
    while (taken < 10) {
        const struct moldau_message *message = NULL;
        CHECK(rounds++ < 1000);
        enum moldau_err err = moldau_consumer_poll(consumer, 0, &message);
        if (err == MOLDAU_OK) {
            CHECK(message->offset == taken++);
            continue;
        }
        CHECK(err == MOLDAU_ERR_TIMEOUT);
        CHECK(moldau_client_fd(probe->client, &wait_ms) == fd);
        struct pollfd wait = {.fd = fd, .events = POLLIN};
        CHECK(poll(&wait, 1, wait_ms < 0 || wait_ms > 10000 ? 10000 : (int)wait_ms) >= 0);
        MUST(moldau_client_run(probe->client, 0));
    }
    CHECK(rounds < 100); /* it slept in between */
    MUST(moldau_consumer_close(&consumer, LONG_MS));
}

/* ---- groups ---- */

static void
on_rebalance(void *ctx, struct moldau_consumer *consumer, enum moldau_rebalance event,
    const struct moldau_topic_partition *parts, size_t count)
{
    struct probe *probe = ctx;
    const struct moldau_message *message;
    if (event == MOLDAU_REBALANCE_ASSIGNED)
        probe->assigned += (int)count;
    else if (event == MOLDAU_REBALANCE_REVOKED)
        probe->revoked += (int)count;
    else
        probe->lost += (int)count;
    for (size_t i = 0; i < count; i++) {
        int64_t offset;
        CHECK(strcmp(parts[i].topic, probe->name) == 0);
        if (event == MOLDAU_REBALANCE_ASSIGNED)
            CHECK(moldau_consumer_position(consumer, parts[i].topic, parts[i].partition, &offset) !=
                  MOLDAU_ERR_NOTFOUND);
    }
    /* Nothing that waits is possible in here. */
    probe->err_inside = moldau_consumer_poll(consumer, 10, &message);
    CHECK(moldau_consumer_commit(consumer, NULL, 0, 10) == MOLDAU_ERR_STATE);
    CHECK(moldau_client_run(probe->client, 10) == MOLDAU_ERR_STATE);
    CHECK(moldau_client_fd(probe->client, NULL) == -1);
    moldau_consumer_free(&consumer);
    CHECK(consumer != NULL);
}

static void
on_commit(void *ctx, enum moldau_err err, int16_t code)
{
    int *told = ctx;
    CHECK(err == MOLDAU_OK && code == 0);
    ++*told;
}

static void
on_canceled(void *ctx, enum moldau_err err, int16_t code)
{
    int *told = ctx;
    CHECK(err == MOLDAU_ERR_CANCELED && code == 0);
    ++*told;
}

static void
a_group_is_read_once_and_committed(struct probe *probe)
{
    struct moldau_consumer *consumer = NULL;
    struct moldau_result *result = NULL;
    const char *topics[] = {probe->name};
    int told = 0;
    make_topic(probe, 1);
    fill(probe, 30);
    set(probe, "group.id", probe->name);
    set(probe, "enable.auto.commit", "false");
    set(probe, "auto.offset.reset", "earliest");
    moldau_options_on_rebalance(probe->options, on_rebalance, probe);
    MUST(moldau_consumer_new(probe->client, probe->options, &consumer));
    CHECK(moldau_consumer_commit_async(consumer, NULL, 0, NULL, NULL) == MOLDAU_ERR_STATE);
    MUST(moldau_consumer_subscribe(consumer, topics, 1));
    CHECK(moldau_consumer_assign(consumer, probe->name, 0, 0) == MOLDAU_ERR_STATE);
    for (int i = 0; i < 10; i++)
        expect(consumer, i);
    CHECK(probe->assigned == 1 && probe->err_inside == MOLDAU_ERR_STATE);
    MUST(moldau_consumer_commit(consumer, NULL, 0, LONG_MS));
    MUST(moldau_group_offsets(probe->client, probe->name, LONG_MS, &result));
    CHECK(moldau_result_count(result) == 1 && moldau_result_offset(result, 0)->offset == 10);
    moldau_result_free(&result);
    /* An offset of the program's own, with a note. */
    struct moldau_offset mark = {probe->name, 0, -1, 7, "seven"};
    MUST(moldau_consumer_commit_async(consumer, &mark, 1, on_commit, &told));
    for (int i = 0; told == 0 && i < 100; i++)
        MUST(moldau_client_run(probe->client, 50));
    CHECK(told == 1);
    MUST(moldau_group_offsets(probe->client, probe->name, LONG_MS, &result));
    CHECK(moldau_result_offset(result, 0)->offset == 7);
    CHECK(strcmp(moldau_result_offset(result, 0)->metadata, "seven") == 0);
    moldau_result_free(&result);
    /* While it has a member, the group is described and cannot be deleted. */
    MUST(moldau_group_describe(probe->client, probe->name, LONG_MS, &result));
    const struct moldau_group *group = moldau_result_group(result, 0);
    CHECK(strcmp(group->state, "Stable") == 0 && group->member_count == 1);
    CHECK(strcmp(group->protocol, "range") == 0 && group->members[0]->partition_count == 1);
    CHECK(strcmp(group->members[0]->client_id, "client_probe") == 0);
    CHECK(strcmp(group->members[0]->partitions[0].topic, probe->name) == 0);
    moldau_result_free(&result);
    MUST(moldau_group_list(probe->client, LONG_MS, &result));
    int listed = 0;
    for (size_t i = 0; i < moldau_result_count(result); i++)
        listed += strcmp(moldau_result_group(result, i)->group_id, probe->name) == 0;
    CHECK(listed == 1);
    moldau_result_free(&result);
    CHECK(moldau_group_delete(probe->client, probe->name, LONG_MS) == MOLDAU_ERR_BROKER);
    CHECK(moldau_client_error_code(probe->client) == 68); /* NON_EMPTY_GROUP */
    MUST(moldau_consumer_close(&consumer, LONG_MS));
    CHECK(probe->revoked == 1 && probe->lost == 0);
    /* The next member goes on at the commit. */
    moldau_options_on_rebalance(probe->options, NULL, NULL);
    MUST(moldau_consumer_new(probe->client, probe->options, &consumer));
    MUST(moldau_consumer_subscribe(consumer, topics, 1));
    expect(consumer, 7);
    /* A commit on its way when the consumer is freed is told so. */
    MUST(moldau_consumer_commit_async(consumer, &mark, 1, on_canceled, &told));
    moldau_consumer_free(&consumer);
    CHECK(told == 2);
}

static void
committed_offsets_serve_without_a_member(struct probe *probe)
{
    struct moldau_consumer *consumer = NULL;
    struct moldau_result *result = NULL;
    struct moldau_offset offset = {probe->name, 0, -1, 12, NULL};
    bool listed = false;
    make_topic(probe, 1);
    fill(probe, 20);
    set(probe, "group.id", probe->name);
    set(probe, "auto.offset.reset", "earliest");
    MUST(moldau_consumer_new(probe->client, probe->options, &consumer));
    MUST(moldau_consumer_assign(consumer, probe->name, 0, MOLDAU_OFFSET_COMMITTED));
    expect(consumer, 0); /* nothing committed yet */
    MUST(moldau_consumer_close(&consumer, LONG_MS));
    set(probe, "auto.offset.reset", "none");
    MUST(moldau_consumer_new(probe->client, probe->options, &consumer));
    CHECK(moldau_consumer_assign(consumer, probe->name, 0, MOLDAU_OFFSET_COMMITTED) ==
          MOLDAU_ERR_NOTFOUND);
    offset.offset = 0;
    MUST(moldau_group_alter_offsets(probe->client, probe->name, &offset, 1, LONG_MS));
    MUST(moldau_consumer_assign(consumer, probe->name, 0, MOLDAU_OFFSET_COMMITTED));
    expect(consumer, 0);
    offset.offset = 12;
    MUST(moldau_group_alter_offsets(probe->client, probe->name, &offset, 1, LONG_MS));
    MUST(moldau_consumer_assign(consumer, probe->name, 0, MOLDAU_OFFSET_COMMITTED));
    expect(consumer, 12);
    expect(consumer, 13);
    MUST(moldau_consumer_commit(consumer, NULL, 0, LONG_MS));
    MUST(moldau_consumer_close(&consumer, LONG_MS));
    MUST(moldau_group_offsets(probe->client, probe->name, LONG_MS, &result));
    CHECK(moldau_result_count(result) == 1 && moldau_result_offset(result, 0)->offset == 14);
    moldau_result_free(&result);
    MUST(moldau_group_list(probe->client, LONG_MS, &result));
    for (size_t i = 0; i < moldau_result_count(result); i++)
        listed = listed || strcmp(moldau_result_group(result, i)->group_id, probe->name) == 0;
    CHECK(listed);
    moldau_result_free(&result);
    MUST(moldau_group_delete(probe->client, probe->name, LONG_MS));
    CHECK(moldau_group_describe(probe->client, probe->name, LONG_MS, &result) == MOLDAU_ERR_BROKER);
    CHECK(moldau_client_error_code(probe->client) == 69); /* GROUP_ID_NOT_FOUND */
}

/* Two members with a client each, in one thread: every record is read by one of them. */
static void
two_members_share_the_partitions(struct probe *probe)
{
    struct moldau_client *clients[2] = {NULL, NULL};
    struct moldau_consumer *members[2] = {NULL, NULL};
    struct moldau_producer *producer = NULL;
    const char *topics[] = {probe->name};
    bool seen[400] = {false};
    int counts[2] = {0, 0}, total = 0;
    make_topic(probe, 4);
    set(probe, "group.id", probe->name);
    set(probe, "auto.offset.reset", "earliest");
    set(probe, "partition.assignment.strategy", "cooperative-sticky,range");
    set(probe, "heartbeat.interval.ms", "300");
    for (int m = 0; m < 2; m++) {
        CHECK(moldau_client_new(probe->options, &clients[m]) == MOLDAU_OK);
        MUST(moldau_consumer_new(clients[m], NULL, &members[m]));
        MUST(moldau_consumer_subscribe(members[m], topics, 1));
    }
    size_t held[2] = {0, 0};
    for (int i = 0; (held[0] != 2 || held[1] != 2) && i < 600; i++) {
        const struct moldau_message *message;
        enum moldau_err err = moldau_consumer_poll(members[i % 2], 50, &message);
        CHECK(err == MOLDAU_ERR_TIMEOUT);
        (void)moldau_consumer_assignment(members[i % 2], &held[i % 2]);
    }
    CHECK(held[0] == 2 && held[1] == 2);
    MUST(moldau_producer_new(probe->client, NULL, &producer));
    for (int i = 0; i < 400; i++) {
        char text[16];
        snprintf(text, sizeof text, "%d", i);
        send_text(probe, producer, i % 4, text, MOLDAU_TIMESTAMP_NOW);
    }
    MUST(moldau_producer_close(&producer, LONG_MS));
    for (int i = 0; total < 400 && i < 20000; i++) {
        const struct moldau_message *message;
        enum moldau_err err = moldau_consumer_poll(members[i % 2], 20, &message);
        CHECK(err == MOLDAU_OK || err == MOLDAU_ERR_TIMEOUT);
        if (err != MOLDAU_OK)
            continue;
        int number = atoi(message->value);
        CHECK(number >= 0 && number < 400 && !seen[number]);
        seen[number] = true;
        counts[i % 2]++;
        total++;
    }
    CHECK(counts[0] == 200 && counts[1] == 200);
    /* One leaves: the other gets everything. */
    MUST(moldau_consumer_close(&members[0], LONG_MS));
    for (int i = 0; held[1] != 4 && i < 600; i++) {
        const struct moldau_message *message;
        CHECK(moldau_consumer_poll(members[1], 50, &message) == MOLDAU_ERR_TIMEOUT);
        (void)moldau_consumer_assignment(members[1], &held[1]);
    }
    CHECK(held[1] == 4);
    MUST(moldau_consumer_close(&members[1], LONG_MS));
    moldau_client_free(&clients[0]);
    moldau_client_free(&clients[1]);
}

/* ---- threads ---- */

struct worker {
    struct probe *probe;
    struct moldau_client *client;
    pthread_t thread;
    int32_t partition;
};

/* A producer and a consumer on a client of its own. */
static void *
work(void *arg)
{
    struct worker *worker = arg;
    struct probe *probe = worker->probe;
    struct moldau_client *client = worker->client;
    struct moldau_producer *producer = NULL;
    struct moldau_consumer *consumer = NULL;
    struct moldau_record record = MOLDAU_RECORD_INIT;
    CHECK(moldau_producer_new(client, NULL, &producer) == MOLDAU_OK);
    record.topic = probe->name;
    record.partition = worker->partition;
    for (int i = 0; i < 1000; i++) {
        record.value = &i;
        record.value_len = sizeof i;
        CHECK(moldau_producer_send(producer, &record, LONG_MS) == MOLDAU_OK);
    }
    CHECK(moldau_producer_close(&producer, LONG_MS) == MOLDAU_OK);
    CHECK(moldau_consumer_new(client, NULL, &consumer) == MOLDAU_OK);
    CHECK(moldau_consumer_assign(consumer, probe->name, worker->partition, 0) == MOLDAU_OK);
    for (int i = 0; i < 1000; i++) {
        const struct moldau_message *message;
        CHECK(moldau_consumer_poll(consumer, LONG_MS, &message) == MOLDAU_OK);
        CHECK(message->offset == i && memcmp(message->value, &i, sizeof i) == 0);
    }
    CHECK(moldau_consumer_close(&consumer, LONG_MS) == MOLDAU_OK);
    moldau_client_free(&client);
    return NULL;
}

static void
threads_with_a_client_each_do_not_meet(struct probe *probe)
{
    struct worker workers[4];
    make_topic(probe, 4);
    moldau_options_on_delivery(probe->options, NULL, NULL);
    for (int32_t i = 0; i < 4; i++) {
        workers[i] = (struct worker){.probe = probe, .partition = i};
        CHECK(moldau_client_new(probe->options, &workers[i].client) == MOLDAU_OK);
        CHECK(pthread_create(&workers[i].thread, NULL, work, &workers[i]) == 0);
    }
    for (int i = 0; i < 4; i++)
        CHECK(pthread_join(workers[i].thread, NULL) == 0);
}

/* ---- for the tests of the examples: the name is given ---- */

static void
makes_a_topic_of_four_partitions(struct probe *probe)
{
    make_topic(probe, 4);
}

static void
prints_committed_offsets(struct probe *probe)
{
    struct moldau_result *result = NULL;
    MUST(moldau_group_offsets(probe->client, probe->name, LONG_MS, &result));
    for (size_t i = 0; i < moldau_result_count(result); i++)
        if (moldau_result_offset(result, i)->offset > 0)
            printf("%lld\n", (long long)moldau_result_offset(result, i)->offset);
    moldau_result_free(&result);
}

/* ---- trouble ---- */

/* BROKERS is an address where nobody listens. */
static void
nobody_there_is_a_network_error(struct probe *probe)
{
    struct moldau_result *result = NULL;
    struct moldau_producer *producer = NULL;
    struct moldau_consumer *consumer = NULL;
    const struct moldau_message *message = NULL;
    struct moldau_record record = MOLDAU_RECORD_INIT;
    record.topic = probe->name;
    CHECK(moldau_cluster_describe(probe->client, 500, &result) == MOLDAU_ERR_NETWORK);
    CHECK(strstr(moldau_client_error(probe->client), "refused") != NULL);
    MUST(moldau_producer_new(probe->client, NULL, &producer));
    CHECK(moldau_producer_send(producer, &record, 0) == MOLDAU_ERR_AGAIN);
    CHECK(moldau_producer_send(producer, &record, 500) == MOLDAU_ERR_NETWORK);
    MUST(moldau_producer_close(&producer, 500));
    MUST(moldau_consumer_new(probe->client, NULL, &consumer));
    MUST(moldau_consumer_assign(consumer, probe->name, 0, 0));
    CHECK(moldau_consumer_poll(consumer, 500, &message) == MOLDAU_ERR_TIMEOUT);
    CHECK(strstr(moldau_client_error(probe->client), "refused") != NULL);
    /* The client ends with the last thing made on it. */
    moldau_client_free(&probe->client);
    CHECK(moldau_consumer_poll(consumer, 100, &message) == MOLDAU_ERR_TIMEOUT);
    MUST(moldau_consumer_close(&consumer, 500));
}

static const struct {
    const char *name;
    void (*run)(struct probe *probe);
} scenarios[] = {
#define SCENARIO(name) \
    {                  \
#name, name    \
    }
    SCENARIO(topics_are_made_grown_and_deleted),
    SCENARIO(settings_are_read_and_changed),
    SCENARIO(records_come_back_as_they_went),
    SCENARIO(every_codec_and_acks),
    SCENARIO(partitioners_pick),
    SCENARIO(sends_that_cannot_be_are_refused),
    SCENARIO(a_full_buffer_waits_or_says_so),
    SCENARIO(positions_move_as_told),
    SCENARIO(offsets_out_of_range_are_reported),
    SCENARIO(a_loop_of_ones_own_drives_it),
    SCENARIO(a_group_is_read_once_and_committed),
    SCENARIO(committed_offsets_serve_without_a_member),
    SCENARIO(two_members_share_the_partitions),
    SCENARIO(threads_with_a_client_each_do_not_meet),
    SCENARIO(nobody_there_is_a_network_error),
    {"makes_a_topic_of_four_partitions", makes_a_topic_of_four_partitions},
    {"prints_committed_offsets", prints_committed_offsets},
};

int
main(int argc, char **argv)
{
    struct probe probe = {0};
    size_t i = 0;
    CHECK(argc == 3 || argc == 4);
    while (i < sizeof scenarios / sizeof scenarios[0] && strcmp(scenarios[i].name, argv[2]) != 0)
        i++;
    if (i == sizeof scenarios / sizeof scenarios[0])
        fail("no scenario %s", argv[2]);
    probe.brokers = argv[1];
    probe.name = argc == 4 ? argv[3] : argv[2];
    CHECK(moldau_options_new(&probe.options) == MOLDAU_OK);
    set(&probe, "bootstrap.servers", probe.brokers);
    set(&probe, "client.id", "client_probe");
    moldau_options_on_delivery(probe.options, on_delivery, &probe);
    if (moldau_client_new(probe.options, &probe.client) != MOLDAU_OK)
        fail("%s", moldau_options_error(probe.options));
    client_now = probe.client;
    scenarios[i].run(&probe);
    moldau_client_free(&probe.client);
    moldau_options_free(&probe.options);
    return 0;
}
