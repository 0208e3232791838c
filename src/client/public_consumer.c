/* client/public_consumer.c - libmoldau's consumer: assignments by hand, positions, and messages.
 *
 * What: a message is copied out of the fetch it came in, so that it stays whole while a rebalance
 * or a seek, inside whatever other call, takes its partition away.
 * Invariants: I1 a partition is assigned by hand or by the group, never both. Threads: the
 * client's. */
#include "base/alloc.h"
#include "base/assert.h"
#include "client/consumer_priv.h"
#include "client/public_consumer_priv.h"

enum {
    POLL_TURN_MS = 50, /* how late heartbeats may get while buffered messages are taken */
    MESSAGE_MAX = 1 << 30,
};

static enum moldau_err
consumer_open(struct moldau_client *client, struct moldau_consumer *consumer)
{
    const int64_t *numbers = consumer->options->numbers;
    struct client_consumer_opts opts = {
        .client = client->client,
        .read_committed = numbers[OPTION_ISOLATION_LEVEL] != 0,
        .max_wait_ms = (int32_t)numbers[OPTION_FETCH_MAX_WAIT_MS],
        .min_bytes = (int32_t)numbers[OPTION_FETCH_MIN_BYTES],
        .max_bytes = (int32_t)numbers[OPTION_FETCH_MAX_BYTES],
        .partition_max_bytes = (int32_t)numbers[OPTION_PARTITION_FETCH_BYTES],
        .check_crcs = numbers[OPTION_CHECK_CRCS] != 0,
        .reset = numbers[OPTION_AUTO_OFFSET_RESET],
    };
    if (numbers[OPTION_HEARTBEAT_INTERVAL_MS] >= numbers[OPTION_SESSION_TIMEOUT_MS])
        return public_fail(client, MOLDAU_ERR_INVALID, 0,
            "heartbeat.interval.ms must be below session.timeout.ms");
    return public_fail_err(client, client_consumer_new(&opts, &consumer->consumer));
}

enum moldau_err
moldau_consumer_new(struct moldau_client *client, const struct moldau_options *options,
    struct moldau_consumer **out)
{
    if (out == NULL)
        return MOLDAU_ERR_INVALID;
    enum moldau_err err = public_enter(client);
    if (err != MOLDAU_OK)
        return err;
    struct moldau_consumer *consumer = mem_calloc(1, sizeof *consumer);
    if (consumer == NULL)
        return public_fail_err(client, ERR_NOMEM);
    consumer->client = client;
    list_init(&consumer->commits);
    buf_init(&consumer->bytes, MESSAGE_MAX);
    arena_init(&consumer->names, CONSUMER_NAMES_MAX);
    err = public_fail_err(client,
        public_options_copy(options != NULL ? options : client->options, &consumer->options));
    if (err == MOLDAU_OK)
        err = consumer_open(client, consumer);
    if (err != MOLDAU_OK) {
        moldau_options_free(&consumer->options);
        mem_free(consumer);
        return err;
    }
    public_client_ref(client);
    *out = consumer;
    return MOLDAU_OK;
}

void
moldau_consumer_free(struct moldau_consumer **consumer)
{
    if (consumer == NULL || *consumer == NULL || (*consumer)->client->callbacks > 0)
        return;
    struct moldau_consumer *c = *consumer;
    *consumer = NULL;
    public_group_drop(c);
    client_consumer_free(&c->consumer);
    buf_fini(&c->bytes);
    arena_fini(&c->names);
    mem_free(c->headers);
    moldau_options_free(&c->options);
    public_client_unref(c->client);
    mem_free(c);
}

enum moldau_err
moldau_consumer_close(struct moldau_consumer **consumer, int64_t timeout_ms)
{
    if (consumer == NULL || *consumer == NULL)
        return MOLDAU_OK;
    enum moldau_err err = moldau_consumer_unsubscribe(*consumer, timeout_ms);
    moldau_consumer_free(consumer);
    return err;
}

/* ---- assignments ---- */

enum moldau_err
public_consumer_find(struct moldau_consumer *consumer, const char *topic, int32_t partition)
{
    if (consumer == NULL)
        return MOLDAU_ERR_INVALID;
    enum moldau_err err = public_check_topic(consumer->client, topic);
    if (err != MOLDAU_OK)
        return err;
    if (consumer_find(consumer->consumer, str_of(topic), partition) == NULL)
        return public_fail(consumer->client, MOLDAU_ERR_NOTFOUND, 0, "%s [%d] is not assigned",
            topic, (int)partition);
    return MOLDAU_OK;
}

static enum moldau_err
enter_by_hand(struct moldau_consumer *consumer, const char *topic, int32_t partition)
{
    struct moldau_client *client = consumer == NULL ? NULL : consumer->client;
    enum moldau_err err = public_enter(client);
    if (err == MOLDAU_OK)
        err = public_check_topic(client, topic);
    if (err == MOLDAU_OK && partition < 0)
        err = public_fail(client, MOLDAU_ERR_INVALID, 0, "partition %d", (int)partition);
    if (err == MOLDAU_OK && consumer->group != NULL)
        err = public_fail(client, MOLDAU_ERR_STATE, 0, "the consumer is subscribed"); /* I1 */
    return err;
}

static enum moldau_err
check_offset(struct moldau_client *client, int64_t offset)
{
    if (offset >= MOLDAU_OFFSET_EARLIEST)
        return MOLDAU_OK;
    return public_fail(client, MOLDAU_ERR_INVALID, 0, "offset %lld", (long long)offset);
}

enum moldau_err
moldau_consumer_assign(
    struct moldau_consumer *consumer, const char *topic, int32_t partition, int64_t offset)
{
    enum moldau_err err = enter_by_hand(consumer, topic, partition);
    if (err != MOLDAU_OK)
        return err;
    struct moldau_client *client = consumer->client;
    if (offset == MOLDAU_OFFSET_COMMITTED) {
        const char *group_id = public_option_str(consumer->options, OPTION_GROUP_ID).data;
        err = public_committed(client, group_id, topic, partition, &offset);
        if (err != MOLDAU_OK)
            return err;
        int64_t reset = consumer->options->numbers[OPTION_AUTO_OFFSET_RESET];
        if (offset < 0 && reset == 0)
            return public_fail(client, MOLDAU_ERR_NOTFOUND, 0,
                "%s [%d]: nothing committed, and auto.offset.reset=none", topic, (int)partition);
        if (offset < 0)
            offset = reset;
    }
    err = check_offset(client, offset);
    if (err != MOLDAU_OK)
        return err;
    return public_fail_err(
        client, client_consumer_assign(consumer->consumer, str_of(topic), partition, offset));
}

enum moldau_err
moldau_consumer_assign_time(struct moldau_consumer *consumer, const char *topic, int32_t partition,
    int64_t timestamp_ms, int64_t timeout_ms)
{
    struct moldau_result *result = NULL;
    enum moldau_err err = enter_by_hand(consumer, topic, partition);
    if (err != MOLDAU_OK)
        return err;
    struct moldau_client *client = consumer->client;
    if (timestamp_ms < 0)
        return public_fail(client, MOLDAU_ERR_INVALID, 0, "time %lld", (long long)timestamp_ms);
    err = moldau_offset_list(client, topic, timestamp_ms, timeout_ms, &result);
    if (err != MOLDAU_OK)
        return err;
    const struct moldau_partition_offset *found = moldau_result_offset(result, (size_t)partition);
    if (found == NULL)
        err = public_fail(
            client, MOLDAU_ERR_NOTFOUND, 0, "%s has no partition %d", topic, (int)partition);
    else
        err = public_fail_code(client, topic, found->error_code, STR_NULL);
    int64_t offset = found == NULL || found->offset < 0 ? MOLDAU_OFFSET_LATEST : found->offset;
    moldau_result_free(&result);
    return err != MOLDAU_OK ? err : moldau_consumer_assign(consumer, topic, partition, offset);
}

enum moldau_err
moldau_consumer_unassign(struct moldau_consumer *consumer, const char *topic, int32_t partition)
{
    enum moldau_err err = enter_by_hand(consumer, topic, partition);
    if (err == MOLDAU_OK)
        err = public_consumer_find(consumer, topic, partition);
    if (err == MOLDAU_OK)
        client_consumer_unassign(consumer->consumer, str_of(topic), partition);
    return err;
}

const struct moldau_topic_partition *
moldau_consumer_assignment(struct moldau_consumer *consumer, size_t *count)
{
    size_t n = 0;
    if (count != NULL)
        *count = 0;
    if (consumer == NULL)
        return NULL;
    LIST_FOREACH (&consumer->consumer->parts, node)
        n++;
    arena_reset(&consumer->names);
    struct moldau_topic_partition *parts = arena_calloc(&consumer->names, n, sizeof *parts);
    if (n == 0 || parts == NULL)
        return NULL;
    n = 0;
    LIST_FOREACH (&consumer->consumer->parts, node) {
        const struct consumer_part *part = LIST_ENTRY(node, struct consumer_part, link);
        parts[n].topic = arena_strndup(&consumer->names, part->topic, strlen(part->topic));
        if (parts[n].topic == NULL)
            return NULL;
        parts[n++].partition = part->partition;
    }
    if (count != NULL)
        *count = n;
    return parts;
}

/* ---- positions ---- */

enum moldau_err
moldau_consumer_seek(
    struct moldau_consumer *consumer, const char *topic, int32_t partition, int64_t offset)
{
    enum moldau_err err = public_consumer_find(consumer, topic, partition);
    if (err == MOLDAU_OK)
        err = check_offset(consumer->client, offset);
    if (err != MOLDAU_OK)
        return err;
    return public_fail_err(consumer->client,
        client_consumer_assign(consumer->consumer, str_of(topic), partition, offset));
}

enum moldau_err
moldau_consumer_position(
    const struct moldau_consumer *consumer, const char *topic, int32_t partition, int64_t *offset)
{
    if (consumer == NULL || topic == NULL || offset == NULL)
        return MOLDAU_ERR_INVALID;
    if (consumer_find(consumer->consumer, str_of(topic), partition) == NULL)
        return MOLDAU_ERR_NOTFOUND;
    bool known = client_consumer_position(consumer->consumer, str_of(topic), partition, offset);
    return known ? MOLDAU_OK : MOLDAU_ERR_AGAIN;
}

enum moldau_err
moldau_consumer_end(
    const struct moldau_consumer *consumer, const char *topic, int32_t partition, int64_t *offset)
{
    if (consumer == NULL || topic == NULL || offset == NULL)
        return MOLDAU_ERR_INVALID;
    if (consumer_find(consumer->consumer, str_of(topic), partition) == NULL)
        return MOLDAU_ERR_NOTFOUND;
    int64_t end = client_consumer_end(consumer->consumer, str_of(topic), partition);
    if (end < 0)
        return MOLDAU_ERR_AGAIN;
    *offset = end;
    return MOLDAU_OK;
}

static enum moldau_err
set_paused(struct moldau_consumer *consumer, const char *topic, int32_t partition, bool paused)
{
    enum moldau_err err = public_consumer_find(consumer, topic, partition);
    if (err != MOLDAU_OK)
        return err;
    return public_fail_err(consumer->client,
        client_consumer_pause(consumer->consumer, str_of(topic), partition, paused));
}

enum moldau_err
moldau_consumer_pause(struct moldau_consumer *consumer, const char *topic, int32_t partition)
{
    return set_paused(consumer, topic, partition, true);
}

enum moldau_err
moldau_consumer_resume(struct moldau_consumer *consumer, const char *topic, int32_t partition)
{
    return set_paused(consumer, topic, partition, false);
}

bool
moldau_consumer_at_end(const struct moldau_consumer *consumer)
{
    return consumer == NULL || client_consumer_at_end(consumer->consumer);
}

/* ---- messages ---- */

static const void *
keep_bytes(struct buf *buf, struct bytes from)
{
    size_t at = buf->len;
    if (from.data == NULL)
        return NULL;
    buf_append(buf, from.data, from.len);
    buf_append_byte(buf, 0); /* also keeps the empty ones apart from null */
    return buf->data + at;
}

/* The message with everything it points at into the consumer's own memory. */
static enum err
keep_message(struct moldau_consumer *consumer, const struct client_message *from)
{
    struct moldau_message *message = &consumer->message;
    struct bytes headers = from->headers;
    struct batch_header header;
    int32_t count = 0;
    size_t size = from->topic.len + from->key.len + from->value.len + headers.len + 3 +
                  2 * (size_t)from->header_count;
    buf_clear(&consumer->bytes);
    if (!buf_reserve(&consumer->bytes, size)) /* so that nothing moves below */
        return ERR_NOMEM;
    if (from->header_count > consumer->header_capacity) {
        struct moldau_header *grown =
            mem_realloc(consumer->headers, (size_t)from->header_count * sizeof *grown);
        if (grown == NULL)
            return ERR_NOMEM;
        consumer->headers = grown;
        consumer->header_capacity = from->header_count;
    }
    *message = (struct moldau_message){
        .partition = from->partition,
        .leader_epoch = from->leader_epoch,
        .offset = from->offset,
        .timestamp_ms = from->timestamp,
        .log_append_time = from->log_append_time,
        .key_len = from->key.len,
        .value_len = from->value.len,
        .headers = consumer->headers,
    };
    message->topic = keep_bytes(
        &consumer->bytes, (struct bytes){(const uint8_t *)from->topic.data, from->topic.len});
    message->key = keep_bytes(&consumer->bytes, from->key);
    message->value = keep_bytes(&consumer->bytes, from->value);
    while (count < from->header_count && batch_header_next(&headers, &header)) {
        consumer->headers[count].name = keep_bytes(&consumer->bytes, header.key);
        consumer->headers[count].value = keep_bytes(&consumer->bytes, header.value);
        consumer->headers[count++].value_len = header.value.len;
    }
    message->header_count = (size_t)count;
    ASSERT(consumer->bytes.err != ERR_OK || consumer->bytes.len <= size);
    return consumer->bytes.err;
}

static enum moldau_err
fail_poll(struct moldau_consumer *consumer, enum err err)
{
    struct moldau_client *client = consumer->client;
    int16_t code = client_consumer_error_code(consumer->consumer);
    if (err == ERR_TIMEOUT)
        return public_fail(client, MOLDAU_ERR_TIMEOUT, 0, "no message%s%s",
            public_trouble(client)[0] != '\0' ? ": " : "", public_trouble(client));
    if (err == ERR_NOMEM)
        return public_fail_err(client, err);
    if (consumer->group != NULL && client_group_state(consumer->group) == CLIENT_GROUP_FAILED)
        return public_group_failed(consumer);
    return public_fail(client, code != 0 ? MOLDAU_ERR_BROKER : public_err_of(err), code, "%s",
        client_consumer_error(consumer->consumer));
}

enum moldau_err
moldau_consumer_poll(
    struct moldau_consumer *consumer, int64_t timeout_ms, const struct moldau_message **out)
{
    struct client_message message;
    struct moldau_client *client = consumer == NULL ? NULL : consumer->client;
    enum moldau_err entered = public_enter(client);
    if (entered != MOLDAU_OK)
        return entered;
    if (out == NULL)
        return public_fail(client, MOLDAU_ERR_INVALID, 0, "nowhere to put the message");
    if (consumer->group != NULL && client_group_state(consumer->group) == CLIENT_GROUP_FAILED)
        return public_group_failed(consumer);
    public_turn_if_older(client, timeout_ms == 0 ? 0 : POLL_TURN_MS);
    enum err err = client_consumer_next(consumer->consumer, &message);
    if (err == ERR_AGAIN) { /* only a poll that waits reads the clock again */
        int64_t wait_ms = public_end_ms(client, timeout_ms) - public_now_ms(client);
        err = client_consumer_poll(consumer->consumer, wait_ms, &message);
    }
    if (err != ERR_OK)
        return fail_poll(consumer, err);
    err = keep_message(consumer, &message);
    if (err != ERR_OK) {
        /* It was not handed out: it comes again. */
        (void)!client_consumer_assign(
            consumer->consumer, message.topic, message.partition, message.offset);
        return public_fail_err(client, err);
    }
    *out = &consumer->message;
    return MOLDAU_OK;
}
