#include "tests/unit/client/fake.h"

#include <stdio.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "proto/api_versions_request.h"
#include "proto/api_versions_response.h"
#include "proto/fetch_request.h"
#include "proto/find_coordinator_request.h"
#include "proto/find_coordinator_response.h"
#include "proto/heartbeat_request.h"
#include "proto/heartbeat_response.h"
#include "proto/list_offsets_request.h"
#include "proto/list_offsets_response.h"
#include "proto/metadata_request.h"
#include "proto/metadata_response.h"
#include "proto/request_header.h"
#include "proto/response_header.h"
#include "tests/lib/test.h"

enum { FRAME_MAX = 16 << 20, ARENA_MAX = 16 << 20, PORT = 9092, WAIT_MS = 60000, KEYS = 80 };

struct fake_conn {
    struct list link;
    struct fake_broker *broker;
    struct sock *sock;
    struct buf in, out;
    struct list slots; /* in the order of the requests, and so of the answers */
};

struct fake_slot {
    struct list link;
    int32_t correlation_id;
    struct buf answer; /* empty: not given yet */
};

/* ---- requests and answers ---- */

static void
request_free(struct fake_request *request)
{
    list_remove(&request->link);
    arena_fini(&request->arena);
    mem_free(request->frame);
    mem_free(request);
}

static void
conn_flush(struct fake_conn *conn)
{
    while (conn->out.len > 0) {
        struct bytes part = buf_bytes(&conn->out);
        size_t n;
        if (sock_writev(conn->sock, &part, 1, &n) != ERR_OK)
            break;
        memmove(conn->out.data, conn->out.data + n, conn->out.len - n);
        conn->out.len -= n;
    }
    sock_want(conn->sock, true, conn->out.len > 0);
}

/* Puts an answer into its place and sends what is at the front. */
static void
conn_answer(struct fake_conn *conn, int32_t correlation_id, struct bytes answer)
{
    LIST_FOREACH (&conn->slots, node) {
        struct fake_slot *slot = LIST_ENTRY(node, struct fake_slot, link);
        if (slot->correlation_id == correlation_id)
            buf_append(&slot->answer, answer.data, answer.len);
    }
    while (!list_empty(&conn->slots)) {
        struct fake_slot *slot = LIST_ENTRY(conn->slots.next, struct fake_slot, link);
        if (slot->answer.len == 0)
            break;
        buf_append(&conn->out, slot->answer.data, slot->answer.len);
        list_remove(&slot->link);
        buf_fini(&slot->answer);
        mem_free(slot);
    }
    conn_flush(conn);
}

/* Runs on the broker's loop. */
struct reply_task {
    struct loop_task task;
    struct fake_conn *conn;
    struct writer writer;
    int32_t correlation_id;
    bool drop, done;
};

static void
conn_close(struct fake_conn *conn)
{
    struct fake *fake = conn->broker->fake;
    LIST_FOREACH (&fake->held, node) {
        struct fake_request *request = LIST_ENTRY(node, struct fake_request, link);
        if (request->conn == conn)
            request_free(request);
    }
    while (!list_empty(&conn->slots)) {
        struct fake_slot *slot = LIST_ENTRY(conn->slots.next, struct fake_slot, link);
        list_remove(&slot->link);
        buf_fini(&slot->answer);
        mem_free(slot);
    }
    list_remove(&conn->link);
    sock_close(&conn->sock);
    buf_fini(&conn->in);
    buf_fini(&conn->out);
    mem_free(conn);
}

static void
write_reply(struct fake_request *request, const void *response, struct bytes body, struct writer *w)
{
    const struct proto_api *api = proto_api_find(request->key);
    struct proto_response_header header = {.correlation_id = request->correlation_id};
    writer_init(w, FRAME_MAX);
    writer_i32(w, 0);
    assert_int_equal(proto_encode(&proto_response_header_schema,
                         proto_response_header_version(api, request->version), &header, w),
        ERR_OK);
    if (response != NULL)
        assert_int_equal(proto_encode(api->response, request->version, response, w), ERR_OK);
    else
        writer_raw(w, body.data, body.len);
    store_be32(w->buf.data, (uint32_t)(w->buf.len - 4));
}

static void
run_reply(struct loop_task *task)
{
    struct reply_task *reply = CONTAINER_OF(task, struct reply_task, task);
    if (reply->drop) {
        conn_close(reply->conn);
    } else {
        conn_answer(reply->conn, reply->correlation_id, buf_bytes(&reply->writer.buf));
    }
    reply->done = true;
}

static bool
reply_is_done(void *ctx)
{
    return ((struct reply_task *)ctx)->done;
}

static void
post_reply(struct fake_request *request, const void *response, struct bytes body)
{
    struct fake_broker *broker = request->conn->broker;
    struct reply_task reply = {.conn = request->conn,
        .correlation_id = request->correlation_id,
        .drop = response == NULL && body.data == NULL};
    if (!reply.drop)
        write_reply(request, response, body, &reply.writer);
    request_free(request);
    loop_task_init(&reply.task, run_reply);
    loop_post(broker->loop, &reply.task);
    assert_true(sim_run_until(broker->fake->sim, reply_is_done, &reply, WAIT_MS));
    if (!reply.drop)
        writer_fini(&reply.writer);
}

void
fake_reply(struct fake_request *request, const void *response)
{
    assert_non_null(response);
    post_reply(request, response, BYTES_NULL);
}

void
fake_drop(struct fake_request *request)
{
    post_reply(request, NULL, BYTES_NULL);
}

void
fake_reply_bytes(struct fake_request *request, struct bytes body)
{
    assert_non_null(body.data);
    post_reply(request, NULL, body);
}

void
fake_ignore(struct fake_request *request)
{
    request_free(request);
}

/* ---- answers that nobody asked the test for ---- */

static void
answer_now(struct fake_request *request, const void *response)
{
    struct fake_conn *conn = request->conn;
    struct writer w;
    write_reply(request, response, BYTES_NULL, &w);
    conn_answer(conn, request->correlation_id, buf_bytes(&w.buf));
    writer_fini(&w);
    request_free(request);
}

static void
answer_api_versions(struct fake_request *request)
{
    struct proto_api_versions_response response;
    struct proto_api_versions_response_api_version versions[KEYS];
    proto_init(&proto_api_versions_response_schema, &response);
    response.api_keys.items = versions;
    for (int16_t key = 0; key < KEYS; key++) {
        const struct proto_api *api = proto_api_find(key);
        if (api == NULL || !api->on_broker)
            continue;
        struct proto_api_versions_response_api_version *one = &versions[response.api_keys.count++];
        proto_init(&proto_api_versions_response_api_version_schema, one);
        one->api_key = key;
        one->min_version = api->version_min;
        one->max_version = api->version_max;
    }
    answer_now(request, &response);
}

static void
fill_topic(struct fake *fake, struct str name, struct arena *arena,
    struct proto_metadata_response_metadata_response_topic *out)
{
    proto_init(&proto_metadata_response_metadata_response_topic_schema, out);
    out->name = name;
    out->error_code = 3;
    for (int t = 0; t < fake->topic_count; t++) {
        if (!str_eq_z(name, fake->topics[t].name))
            continue;
        int32_t count = fake->topics[t].partition_count;
        out->error_code = fake->topics[t].error_code;
        out->topic_id.b[15] = (uint8_t)(t + 1);
        out->partitions.items =
            arena_calloc(arena, (size_t)count + 1, sizeof *out->partitions.items);
        assert_non_null(out->partitions.items);
        for (int32_t p = 0; p < count; p++) {
            struct proto_metadata_response_metadata_response_partition *part =
                &out->partitions.items[p];
            proto_init(&proto_metadata_response_metadata_response_partition_schema, part);
            part->partition_index = p;
            part->leader_id = fake->topics[t].leader;
            part->leader_epoch = fake->leader_epoch;
            part->error_code = fake->topics[t].leader < 0 ? 5 : 0;
        }
        out->partitions.count = count;
    }
}

static void
answer_metadata(struct fake *fake, struct fake_request *request)
{
    const struct proto_metadata_request *message = request->message;
    struct proto_metadata_response response;
    struct proto_metadata_response_metadata_response_broker brokers[FAKE_BROKERS];
    char hosts[FAKE_BROKERS][16];
    proto_init(&proto_metadata_response_schema, &response);
    for (int i = 0; i < FAKE_BROKERS; i++) {
        proto_init(&proto_metadata_response_metadata_response_broker_schema, &brokers[i]);
        snprintf(hosts[i], sizeof hosts[i], "broker%d", i + 1);
        brokers[i].node_id = i + 1;
        brokers[i].host = str_of(hosts[i]);
        brokers[i].port = PORT;
    }
    response.brokers.items = brokers;
    response.brokers.count = FAKE_BROKERS;
    response.controller_id = 1;
    response.cluster_id = STR("fake");
    int32_t count = message->topics.count > 0 ? message->topics.count : 0;
    response.topics.items =
        arena_calloc(&request->arena, (size_t)count + 1, sizeof *response.topics.items);
    assert_non_null(response.topics.items);
    for (int32_t i = 0; i < count; i++)
        fill_topic(fake, message->topics.items[i].name, &request->arena, &response.topics.items[i]);
    response.topics.count = count;
    fake->metadata_count++;
    answer_now(request, &response);
}

static void
answer_coordinator(struct fake *fake, struct fake_request *request)
{
    struct proto_find_coordinator_response response;
    char host[16];
    proto_init(&proto_find_coordinator_response_schema, &response);
    snprintf(host, sizeof host, "broker%d", (int)fake->coordinator);
    response.error_code = fake->coordinator_error;
    response.node_id = fake->coordinator_error != 0 ? -1 : fake->coordinator;
    response.host = fake->coordinator_error != 0 ? STR("") : str_of(host);
    response.port = fake->coordinator_error != 0 ? -1 : PORT;
    fake->coordinator_count++;
    answer_now(request, &response);
}

static void
answer_list_offsets(struct fake *fake, struct fake_request *request)
{
    const struct proto_list_offsets_request *message = request->message;
    struct proto_list_offsets_response response;
    proto_init(&proto_list_offsets_response_schema, &response);
    response.topics.items = arena_calloc(
        &request->arena, (size_t)message->topics.count + 1, sizeof *response.topics.items);
    for (int32_t i = 0; i < message->topics.count; i++) {
        struct proto_list_offsets_response_list_offsets_partition_response *parts = arena_calloc(
            &request->arena, (size_t)message->topics.items[i].partitions.count + 1, sizeof *parts);
        response.topics.items[i].name = message->topics.items[i].name;
        response.topics.items[i].partitions.items = parts;
        response.topics.items[i].partitions.count = message->topics.items[i].partitions.count;
        for (int32_t j = 0; j < message->topics.items[i].partitions.count; j++) {
            parts[j].partition_index = message->topics.items[i].partitions.items[j].partition_index;
            parts[j].offset = message->topics.items[i].partitions.items[j].timestamp == -2
                                  ? fake->start_offset
                                  : fake->end_offset;
            parts[j].timestamp = -1;
        }
    }
    response.topics.count = message->topics.count;
    answer_now(request, &response);
}

static void
take_request(struct fake *fake, struct fake_request *request)
{
    if (request->key == PROTO_API_VERSIONS_REQUEST_KEY) {
        answer_api_versions(request);
    } else if (request->key == PROTO_METADATA_REQUEST_KEY && !fake->metadata_waits) {
        answer_metadata(fake, request);
    } else if (request->key == PROTO_FIND_COORDINATOR_REQUEST_KEY && !fake->coordinator_waits) {
        answer_coordinator(fake, request);
    } else if (request->key == PROTO_LIST_OFFSETS_REQUEST_KEY && !fake->list_offsets_waits) {
        answer_list_offsets(fake, request);
    } else if (request->key == PROTO_HEARTBEAT_REQUEST_KEY) {
        struct proto_heartbeat_response response;
        proto_init(&proto_heartbeat_response_schema, &response);
        response.error_code = fake->heartbeat_error;
        fake->heartbeat_count++;
        answer_now(request, &response);
    }
}

/* ---- connections ---- */

static void
take_frame(struct fake_conn *conn, struct bytes frame)
{
    struct fake *fake = conn->broker->fake;
    struct fake_request *request = mem_calloc(1, sizeof *request);
    struct proto_request_header header;
    struct reader r;
    assert_non_null(request);
    request->frame = mem_alloc(frame.len);
    assert_non_null(request->frame);
    memcpy(request->frame, frame.data, frame.len);
    request->conn = conn;
    request->broker = conn->broker->index;
    request->key = (int16_t)load_be16(frame.data);
    request->version = (int16_t)load_be16(frame.data + 2);
    arena_init(&request->arena, ARENA_MAX);
    const struct proto_api *api = proto_api_find(request->key);
    assert_non_null(api);
    reader_init(&r, (struct bytes){request->frame, frame.len});
    assert_int_equal(
        proto_decode(&proto_request_header_schema,
            proto_request_header_version(api, request->version), &r, &request->arena, &header),
        ERR_OK);
    request->correlation_id = header.correlation_id;
    void *message = arena_alloc(&request->arena, proto_schema_size(api->request));
    assert_non_null(message);
    assert_int_equal(
        proto_decode(api->request, request->version, &r, &request->arena, message), ERR_OK);
    request->message = message;
    struct fake_slot *slot = mem_calloc(1, sizeof *slot);
    assert_non_null(slot);
    slot->correlation_id = request->correlation_id;
    buf_init(&slot->answer, FRAME_MAX);
    list_push(&conn->slots, &slot->link);
    list_push(&fake->held, &request->link);
    take_request(fake, request);
}

static void
on_readable(void *ctx)
{
    struct fake_conn *conn = ctx;
    for (;;) {
        size_t n;
        uint8_t data[4096];
        enum err err = sock_read(conn->sock, data, sizeof data, &n);
        if (err == ERR_AGAIN)
            break;
        if (err != ERR_OK) {
            conn_close(conn);
            return;
        }
        buf_append(&conn->in, data, n);
    }
    while (conn->in.len >= 4 && conn->in.len >= 4 + (size_t)load_be32(conn->in.data)) {
        size_t len = load_be32(conn->in.data);
        take_frame(conn, (struct bytes){conn->in.data + 4, len});
        memmove(conn->in.data, conn->in.data + 4 + len, conn->in.len - 4 - len);
        conn->in.len -= 4 + len;
    }
}

static void
on_writable(void *ctx)
{
    conn_flush(ctx);
}

static void
on_accept(void *ctx, struct sock *sock)
{
    static const struct sock_events events = {on_readable, on_writable};
    struct fake_broker *broker = ctx;
    struct fake_conn *conn = mem_calloc(1, sizeof *conn);
    assert_non_null(conn);
    conn->broker = broker;
    conn->sock = sock;
    list_init(&conn->slots);
    buf_init(&conn->in, FRAME_MAX);
    buf_init(&conn->out, FRAME_MAX);
    list_push(&broker->conns, &conn->link);
    assert_int_equal(sock_attach(sock, broker->loop, &events, conn), ERR_OK);
    sock_want(sock, true, false);
    broker->fake->conn_count++;
}

/* ---- life ---- */

static void
broker_init(struct fake *fake, int index)
{
    struct fake_broker *broker = &fake->brokers[index];
    struct sock_addr addr;
    char name[16], ip[16];
    broker->fake = fake;
    broker->index = index;
    list_init(&broker->conns);
    snprintf(name, sizeof name, "broker%d", index + 1);
    snprintf(ip, sizeof ip, "10.0.0.%d", index + 1);
    assert_int_equal(sim_host_new(fake->sim, name, ip, &broker->host), ERR_OK);
    assert_int_equal(sim_host_boot(broker->host, &broker->env), ERR_OK);
    assert_int_equal(loop_new(broker->env, name, &broker->loop), ERR_OK);
    assert_int_equal(sock_addr_parse(str_of(ip), PORT, &addr), ERR_OK);
    assert_int_equal(
        sock_listen(broker->loop, &(struct sock_listen_opts){.addr = addr, .backlog = 16},
            on_accept, broker, &broker->listener),
        ERR_OK);
    assert_int_equal(loop_start(broker->loop), ERR_OK);
    struct sim_link_faults link = {.delay_min_us = 500, .delay_max_us = 1500};
    sim_link(fake->sim, fake->host, broker->host, &link);
}

void
fake_init(struct fake *fake, uint64_t seed)
{
    fake_init_at(fake, seed, "broker1:9092,broker2");
}

void
fake_init_at(struct fake *fake, uint64_t seed, const char *bootstrap)
{
    struct sim_opts opts = {.seed = seed, .level_min = DIAG_WARN, .wall_start_ms = 1700000000000};
    memset(fake, 0, sizeof *fake);
    list_init(&fake->held);
    fake->coordinator = 1;
    fake->leader_epoch = 1;
    assert_int_equal(sim_new(&opts, &fake->sim), ERR_OK);
    assert_int_equal(sim_host_new(fake->sim, "client", "10.0.0.100", &fake->host), ERR_OK);
    assert_int_equal(sim_host_boot(fake->host, &fake->env), ERR_OK);
    assert_int_equal(loop_new(fake->env, "client", &fake->loop), ERR_OK);
    for (int i = 0; i < FAKE_BROKERS; i++)
        broker_init(fake, i);
    struct client_opts client_opts = {
        .env = fake->env,
        .loop = fake->loop,
        .bootstrap = str_of(bootstrap),
        .request_timeout_ms = 5000,
        .connect_timeout_ms = 1000,
    };
    assert_int_equal(client_new(&client_opts, &fake->client), ERR_OK);
}

void
fake_add_topic(struct fake *fake, const char *name, int32_t partition_count, int32_t leader)
{
    assert_true(fake->topic_count < FAKE_TOPICS);
    fake->topics[fake->topic_count].name = name;
    fake->topics[fake->topic_count].partition_count = partition_count;
    fake->topics[fake->topic_count++].leader = leader;
}

void
fake_start(struct fake *fake)
{
    assert_int_equal(loop_start(fake->loop), ERR_OK);
}

void
fake_stop(struct fake *fake)
{
    loop_stop(fake->loop);
}

void
fake_fini(struct fake *fake)
{
    client_free(&fake->client);
    loop_free(&fake->loop);
    for (int i = 0; i < FAKE_BROKERS; i++) {
        struct fake_broker *broker = &fake->brokers[i];
        loop_stop(broker->loop);
        sock_listener_close(&broker->listener);
        while (!list_empty(&broker->conns))
            conn_close(LIST_ENTRY(broker->conns.next, struct fake_conn, link));
        loop_free(&broker->loop);
        env_free(&broker->env);
    }
    env_free(&fake->env);
    sim_free(&fake->sim);
}

/* ---- for tests ---- */

struct call_task {
    struct loop_task task;
    void (*fn)(void *ctx);
    void *ctx;
    bool done;
};

static void
run_call(struct loop_task *task)
{
    struct call_task *call = CONTAINER_OF(task, struct call_task, task);
    call->fn(call->ctx);
    call->done = true;
}

static bool
call_is_done(void *ctx)
{
    return ((struct call_task *)ctx)->done;
}

void
fake_on_loop(struct fake *fake, void (*fn)(void *ctx), void *ctx)
{
    struct call_task call = {.fn = fn, .ctx = ctx};
    loop_task_init(&call.task, run_call);
    loop_post(fake->loop, &call.task);
    assert_true(sim_run_until(fake->sim, call_is_done, &call, WAIT_MS));
}

struct wanted {
    struct fake *fake;
    int16_t key;
    struct fake_request *found;
};

static bool
is_held(void *ctx)
{
    struct wanted *wanted = ctx;
    LIST_FOREACH (&wanted->fake->held, node) {
        struct fake_request *request = LIST_ENTRY(node, struct fake_request, link);
        if (request->key == wanted->key) {
            wanted->found = request;
            return true;
        }
    }
    return false;
}

struct fake_request *
fake_expect(struct fake *fake, int16_t key)
{
    struct wanted wanted = {.fake = fake, .key = key};
    if (!sim_run_until(fake->sim, is_held, &wanted, WAIT_MS))
        fail_msg("no %s came", proto_api_find(key)->name);
    list_remove(&wanted.found->link);
    return wanted.found;
}

void
fake_expect_none(struct fake *fake, int16_t key, int64_t ms)
{
    struct wanted wanted = {.fake = fake, .key = key};
    if (sim_run_until(fake->sim, is_held, &wanted, ms))
        fail_msg("%s came", proto_api_find(key)->name);
}

void
fake_until(struct fake *fake, bool (*done)(void *ctx), void *ctx)
{
    assert_true(sim_run_until(fake->sim, done, ctx, WAIT_MS));
}
