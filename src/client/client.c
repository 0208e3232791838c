/* client/client.c - brokers, connections, metadata, and calls on their way.
 *
 * What: a table of brokers (bootstrap addresses first, known ones as metadata names them), each
 * with at most one connection; calls wait in their broker's queue until it is ready. Invariants: I1
 * an active call is in exactly one place: a broker's queue, the queue for metadata, or in flight.
 * I2 at most one Metadata request is on its way. Threads: the loop's. */
#include "client/client.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/map.h"
#include "client/client_priv.h"
#include "proto/error_codes.h"

enum {
    CONNECT_TIMEOUT_MS = 10000,
    REQUEST_TIMEOUT_MS = 30000,
    DEFAULT_PORT = 9092,
    RESOLVE_MAX = 8,
};

/* ---- brokers ---- */

static void start_queue(struct client_broker *broker);

void
client_note_error(struct client *client, const struct client_broker *broker, enum err err)
{
    snprintf(client->error_text, sizeof client->error_text, "%s:%d: %s", broker->host,
        (int)broker->port, err_text(err));
}

static void
call_done(struct client_call *call, enum err err)
{
    ASSERT(call->active);
    call->active = false;
    call->err = err;
    list_remove(&call->link);
    call->done(call);
}

static void
fail_queue(struct client_broker *broker, enum err err)
{
    struct list queue;
    list_init(&queue);
    list_splice(&queue, &broker->queue);
    while (!list_empty(&queue))
        call_done(LIST_ENTRY(queue.next, struct client_call, link), err);
}

static void
on_conn_state(void *ctx, struct client_conn *conn, enum err err)
{
    struct client_broker *broker = ctx;
    if (err == ERR_OK) {
        start_queue(broker);
        return;
    }
    client_note_error(broker->client, broker, err);
    ASSERT(broker->conn == conn);
    client_conn_free(&broker->conn);
    /* A bootstrap address may stand for several hosts ("localhost"): try the next one. */
    if (broker->addr_next < broker->addr_count && !list_empty(&broker->queue)) {
        start_queue(broker);
        return;
    }
    broker->addr_next = 0;
    fail_queue(broker, err);
}

static enum err
broker_connect(struct client_broker *broker)
{
    struct client *client = broker->client;
    if (broker->addr_count == 0 || broker->addr_next == 0) {
        broker->addr_next = 0;
        enum err err = sock_addr_resolve(client->opts.env, str_of(broker->host), broker->port,
            broker->addrs, RESOLVE_MAX, &broker->addr_count);
        if (err != ERR_OK)
            return err;
    }
    struct client_conn_opts opts = {
        .loop = client->opts.loop,
        .addr = broker->addrs[broker->addr_next++],
        .client_id = client->opts.client_id,
        .connect_timeout_ms = client->opts.connect_timeout_ms,
        .on_state = on_conn_state,
        .ctx = broker,
    };
    return client_conn_open(&opts, &broker->conn);
}

struct client_broker *
client_broker_add(struct client *client, int32_t node_id, struct str host, uint16_t port)
{
    struct client_broker *broker = mem_calloc(1, sizeof *broker);
    if (broker == NULL)
        return NULL;
    broker->client = client;
    broker->node_id = node_id;
    broker->host = mem_strndup(host.data, host.len);
    broker->port = port;
    list_init(&broker->queue);
    if (broker->host == NULL) {
        mem_free(broker);
        return NULL;
    }
    list_push(&client->brokers, &broker->link);
    return broker;
}

void
client_broker_remove(struct client_broker *broker)
{
    client_conn_free(&broker->conn);
    fail_queue(broker, ERR_CANCELED);
    list_remove(&broker->link);
    mem_free(broker->host);
    mem_free(broker);
}

struct client_broker *
client_broker_find(struct client *client, int32_t node_id)
{
    LIST_FOREACH (&client->brokers, node) {
        struct client_broker *broker = LIST_ENTRY(node, struct client_broker, link);
        if (broker->node_id == node_id && broker->channel == 0)
            return broker;
    }
    return NULL;
}

static struct client_broker *
find_any_of(struct client *client, int32_t node_id)
{
    LIST_FOREACH (&client->brokers, node) {
        struct client_broker *broker = LIST_ENTRY(node, struct client_broker, link);
        if (broker->node_id == node_id)
            return broker;
    }
    return NULL;
}

void
client_broker_forget(struct client *client, int32_t node_id)
{
    struct client_broker *broker;
    while ((broker = find_any_of(client, node_id)) != NULL)
        client_broker_remove(broker);
}

/* The entry of a channel, made when first asked for. NULL: no such broker, or no memory. */
static struct client_broker *
broker_of_channel(struct client *client, int32_t node_id, int32_t channel)
{
    struct client_broker *common = client_broker_find(client, node_id);
    if (common == NULL || channel == 0)
        return common;
    LIST_FOREACH (&client->brokers, node) {
        struct client_broker *broker = LIST_ENTRY(node, struct client_broker, link);
        if (broker->node_id == node_id && broker->channel == channel)
            return broker;
    }
    struct client_broker *broker =
        client_broker_add(client, node_id, str_of(common->host), common->port);
    if (broker != NULL)
        broker->channel = channel;
    return broker;
}

int32_t
client_channel_new(struct client *client)
{
    return ++client->channel_last;
}

/* One entry that matches, or NULL. */
static struct client_broker *
find_of_channel(struct client *client, int32_t channel)
{
    LIST_FOREACH (&client->brokers, node) {
        struct client_broker *broker = LIST_ENTRY(node, struct client_broker, link);
        if (broker->channel == channel)
            return broker;
    }
    return NULL;
}

void
client_channel_free(struct client *client, int32_t channel)
{
    struct client_broker *broker;
    ASSERT(channel > 0);
    /* Removing one runs callbacks, so look again each time. */
    while ((broker = find_of_channel(client, channel)) != NULL)
        client_broker_remove(broker);
}

/* One that is connected if there is any, else the next in turn. */
struct client_broker *
client_broker_any(struct client *client)
{
    LIST_FOREACH (&client->brokers, node) {
        struct client_broker *broker = LIST_ENTRY(node, struct client_broker, link);
        if (broker->channel == 0 && broker->conn != NULL && client_conn_ready(broker->conn))
            return broker;
    }
    for (;;) { /* bootstrap addresses stay, so there is one of the common channel */
        struct list *first = list_pop(&client->brokers);
        ASSERT(first != NULL);
        list_push(&client->brokers, first);
        struct client_broker *broker = LIST_ENTRY(first, struct client_broker, link);
        if (broker->channel == 0)
            return broker;
    }
}

/* ---- calls ---- */

void
client_call_init(struct client_call *call, size_t arena_budget)
{
    memset(call, 0, sizeof *call);
    arena_init(&call->arena, arena_budget);
    list_init(&call->link);
    list_init(&call->pending.link);
    call->node_id = -1;
}

static void
call_release(struct client_call *call)
{
    mem_free((void *)(uintptr_t)call->body.data);
    call->body = BYTES_NULL;
    call->response = NULL;
    arena_reset(&call->arena);
}

void
client_call_fini(struct client_call *call)
{
    ASSERT(!call->active);
    call_release(call);
    arena_fini(&call->arena);
}

static enum err
decode_response(struct client_call *call, struct bytes body)
{
    const struct proto_api *api = proto_api_find(call->key);
    uint8_t *copy = mem_alloc(body.len + 1);
    struct reader r;
    if (copy == NULL)
        return ERR_NOMEM;
    memcpy(copy, body.data, body.len);
    call->body = (struct bytes){copy, body.len};
    void *response = arena_alloc(&call->arena, proto_schema_size(api->response));
    if (response == NULL)
        return ERR_NOMEM;
    reader_init(&r, call->body);
    enum err err = proto_decode(api->response, call->version, &r, &call->arena, response);
    if (err == ERR_OK)
        call->response = response;
    return err;
}

static void
on_response(struct client_pending *pending, enum err err, struct bytes body)
{
    struct client_call *call = CONTAINER_OF(pending, struct client_call, pending);
    if (err == ERR_OK)
        err = decode_response(call, body);
    call_done(call, err);
}

static void
send_call(struct client_broker *broker, struct client_call *call)
{
    const struct proto_api *api = proto_api_find(call->key);
    int16_t bound = call->version_max > 0 ? call->version_max : INT16_MAX;
    ASSERT(api != NULL);
    call->version = client_conn_version(broker->conn, call->key, bound);
    call->node_id_used = broker->node_id;
    if (call->version < 0) {
        snprintf(broker->client->error_text, sizeof broker->client->error_text,
            "%s:%d does not serve %s", broker->host, (int)broker->port, api->name);
        call_done(call, ERR_UNSUPPORTED);
        return;
    }
    call->pending.done = on_response;
    int64_t timeout_ms =
        call->timeout_ms > 0 ? call->timeout_ms : broker->client->opts.request_timeout_ms;
    enum err err = client_conn_send(broker->conn, api, call->version, call->request, timeout_ms,
        call->no_response ? NULL : &call->pending);
    if (err != ERR_OK || call->no_response)
        call_done(call, err);
}

static void
start_queue(struct client_broker *broker)
{
    enum err err = ERR_OK;
    if (broker->conn == NULL)
        err = broker_connect(broker);
    if (err != ERR_OK) {
        client_note_error(broker->client, broker, err);
        fail_queue(broker, err);
        return;
    }
    while (broker->conn != NULL && client_conn_ready(broker->conn) && !list_empty(&broker->queue)) {
        struct client_call *call = LIST_ENTRY(list_pop(&broker->queue), struct client_call, link);
        list_push(&broker->client->in_flight, &call->link);
        send_call(broker, call);
    }
}

void
client_call_send_to(struct client_broker *broker, struct client_call *call)
{
    list_push(&broker->queue, &call->link);
    start_queue(broker);
}

static void
call_start_now(struct client *client, struct client_call *call)
{
    struct client_broker *broker = NULL;
    int32_t node_id = call->target == CLIENT_TARGET_NODE         ? call->node_id
                      : call->target == CLIENT_TARGET_CONTROLLER ? client->controller_id
                                                                 : -1;
    if (node_id >= 0)
        broker = broker_of_channel(client, node_id, call->channel);
    if (broker == NULL && call->target == CLIENT_TARGET_NODE) {
        call_done(call, ERR_NOTFOUND);
        return;
    }
    if (broker == NULL)
        broker = client_broker_any(client);
    client_call_send_to(broker, call);
}

void
client_call_start(struct client *client, struct client_call *call)
{
    ASSERT(!call->active);
    ASSERT(call->done != NULL);
    call_release(call);
    call->client = client;
    call->active = true;
    call->err = ERR_OK;
    call_start_now(client, call);
}

void
client_call_cancel(struct client_call *call)
{
    if (!call->active)
        return;
    if (call->pending.conn != NULL && !list_empty(&call->pending.link))
        client_conn_forget(&call->pending);
    call_done(call, ERR_CANCELED);
}

/* ---- waiting on the loop ---- */

struct client_wait {
    struct loop_timer timer;
    struct loop *loop;
};

static void
on_wait_timeout(struct loop_timer *timer)
{
    loop_quit(CONTAINER_OF(timer, struct client_wait, timer)->loop);
}

bool
client_run_until(struct client *client, const bool *flag, int64_t timeout_ms)
{
    struct client_wait wait = {.loop = client->opts.loop};
    int64_t end_ms = env_now_ms(client->opts.env) + timeout_ms;
    loop_timer_init(&wait.timer, client->opts.loop, on_wait_timeout);
    client->waits++;
    while (!*flag) {
        int64_t left_ms = end_ms - env_now_ms(client->opts.env);
        if (left_ms <= 0 || loop_timer_start(&wait.timer, left_ms) != ERR_OK)
            break;
        loop_run_here(client->opts.loop);
    }
    client->waits--;
    loop_timer_stop(&wait.timer);
    return *flag;
}

void
client_wake(struct client *client)
{
    if (client->waits > 0)
        loop_quit(client->opts.loop);
}

static void
wake_waiter(struct client_call *call)
{
    *(bool *)call->ctx = true;
    client_wake(call->client);
}

enum err
client_call_wait(struct client *client, struct client_call *call)
{
    bool done = false;
    call->done = wake_waiter;
    call->ctx = &done;
    client_call_start(client, call);
    bool ended = client_run_until(client, &done, INT64_MAX / 4);
    ASSERT(ended);
    return call->err;
}

/* ---- life ---- */

/* "host", "host:port", "[v6]:port"; false when it is none. */
static bool
split_address(struct str text, struct str *host, uint16_t *port)
{
    const char *colon = NULL;
    *port = DEFAULT_PORT;
    if (text.len > 0 && text.data[0] == '[') {
        const char *end = memchr(text.data, ']', text.len);
        if (end == NULL)
            return false;
        *host = (struct str){text.data + 1, (size_t)(end - text.data) - 1};
        if (end + 1 < text.data + text.len && end[1] == ':')
            colon = end + 1;
    } else {
        colon = memrchr(text.data, ':', text.len);
        if (colon != NULL && memchr(text.data, ':', (size_t)(colon - text.data)) != NULL)
            colon = NULL; /* a bare v6 address */
        *host = (struct str){text.data, colon != NULL ? (size_t)(colon - text.data) : text.len};
    }
    if (colon != NULL) {
        char digits[8] = "";
        size_t len = text.len - (size_t)(colon + 1 - text.data);
        if (len == 0 || len >= sizeof digits)
            return false;
        memcpy(digits, colon + 1, len);
        char *end;
        long v = strtol(digits, &end, 10);
        if (*end != '\0' || v <= 0 || v > UINT16_MAX)
            return false;
        *port = (uint16_t)v;
    }
    return host->len > 0;
}

static enum err
add_bootstrap(struct client *client, struct str list)
{
    int32_t id = -2; /* bootstrap addresses count down from here */
    while (list.len > 0) {
        const char *comma = memchr(list.data, ',', list.len);
        size_t len = comma == NULL ? list.len : (size_t)(comma - list.data);
        struct str host;
        uint16_t port;
        if (len > 0) {
            if (!split_address((struct str){list.data, len}, &host, &port))
                return ERR_INVALID;
            if (client_broker_add(client, id--, host, port) == NULL)
                return ERR_NOMEM;
        }
        list.data += comma == NULL ? len : len + 1;
        list.len -= comma == NULL ? len : len + 1;
    }
    return list_empty(&client->brokers) ? ERR_INVALID : ERR_OK;
}

enum err
client_new(const struct client_opts *opts, struct client **out)
{
    struct client *client = mem_calloc(1, sizeof *client);
    if (client == NULL)
        return ERR_NOMEM;
    client->opts = *opts;
    if (client->opts.connect_timeout_ms == 0)
        client->opts.connect_timeout_ms = CONNECT_TIMEOUT_MS;
    if (client->opts.request_timeout_ms == 0)
        client->opts.request_timeout_ms = REQUEST_TIMEOUT_MS;
    if (str_is_null(client->opts.client_id))
        client->opts.client_id = STR("moldau");
    client->controller_id = -1;
    list_init(&client->brokers);
    list_init(&client->in_flight);
    client_metadata_init(client);
    enum err err = add_bootstrap(client, opts->bootstrap);
    if (err != ERR_OK) {
        client_free(&client);
        return err;
    }
    *out = client;
    return ERR_OK;
}

void
client_free(struct client **client)
{
    struct client *c = *client;
    if (c == NULL)
        return;
    while (!list_empty(&c->brokers))
        client_broker_remove(LIST_ENTRY(c->brokers.next, struct client_broker, link));
    client_metadata_fini(c);
    ASSERT(list_empty(&c->in_flight));
    mem_free(c);
    *client = NULL;
}

struct loop *
client_loop(const struct client *client)
{
    return client->opts.loop;
}

enum err
client_broker_address(struct client *client, int32_t node_id, struct sock_addr *out)
{
    struct client_broker *broker = client_broker_find(client, node_id);
    struct sock_addr found[RESOLVE_MAX];
    int count;
    if (broker == NULL)
        return ERR_NOTFOUND;
    enum err err = sock_addr_resolve(
        client->opts.env, str_of(broker->host), broker->port, found, RESOLVE_MAX, &count);
    if (err != ERR_OK)
        return err;
    *out = found[0];
    return ERR_OK;
}

struct env *
client_env(const struct client *client)
{
    return client->opts.env;
}

const char *
client_error_text(const struct client *client)
{
    return client->error_text;
}

bool
client_error_is_retriable(int16_t code, bool *refresh)
{
    *refresh =
        code == PROTO_ERROR_UNKNOWN_TOPIC_OR_PARTITION ||
        code == PROTO_ERROR_LEADER_NOT_AVAILABLE || code == PROTO_ERROR_NOT_LEADER_OR_FOLLOWER ||
        code == PROTO_ERROR_FENCED_LEADER_EPOCH || code == PROTO_ERROR_UNKNOWN_LEADER_EPOCH ||
        code == PROTO_ERROR_UNKNOWN_TOPIC_ID || code == PROTO_ERROR_INCONSISTENT_TOPIC_ID ||
        code == PROTO_ERROR_KAFKA_STORAGE_ERROR || code == PROTO_ERROR_REPLICA_NOT_AVAILABLE;
    return *refresh || code == PROTO_ERROR_REQUEST_TIMED_OUT ||
           code == PROTO_ERROR_CORRUPT_MESSAGE || code == PROTO_ERROR_NETWORK_EXCEPTION ||
           code == PROTO_ERROR_COORDINATOR_LOAD_IN_PROGRESS ||
           code == PROTO_ERROR_COORDINATOR_NOT_AVAILABLE || code == PROTO_ERROR_NOT_COORDINATOR ||
           code == PROTO_ERROR_NOT_ENOUGH_REPLICAS ||
           code == PROTO_ERROR_NOT_ENOUGH_REPLICAS_AFTER_APPEND ||
           code == PROTO_ERROR_NOT_CONTROLLER || code == PROTO_ERROR_OFFSET_NOT_AVAILABLE ||
           code == PROTO_ERROR_UNSTABLE_OFFSET_COMMIT ||
           code == PROTO_ERROR_CONCURRENT_TRANSACTIONS ||
           code == PROTO_ERROR_THROTTLING_QUOTA_EXCEEDED ||
           code == PROTO_ERROR_FETCH_SESSION_ID_NOT_FOUND ||
           code == PROTO_ERROR_INVALID_FETCH_SESSION_EPOCH;
}
