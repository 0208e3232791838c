/* client/conn.c - a connection's states, its output queue, and the matching of responses.
 *
 * What: frames are encoded into `out` and written as the socket takes them; input is gathered in
 * `in` until a frame is whole.
 * States: CONNECTING -> HANDSHAKE -> READY -> CLOSED; every state may go to CLOSED.
 * Invariants: I1 `pending` holds the requests in the order they were sent; responses come in that
 * order. I2 after CLOSED nothing is in flight and the socket is gone.
 * Threads: the loop's. Errors: the first one closes and is told to everybody waiting. */
#include "client/conn.h"

#include "base/alloc.h"
#include "base/arena.h"
#include "base/assert.h"
#include "base/buf.h"
#include "base/fsm.h"
#include "proto/api_versions_request.h"
#include "proto/api_versions_response.h"
#include "proto/request_header.h"
#include "proto/response_header.h"

enum {
    OUT_BYTES_MAX = 256 << 20,
    IN_BYTES_MAX = 256 << 20,
    READ_SIZE = 64 << 10,
    HANDSHAKE_ARENA = 1 << 20,
    API_KEY_COUNT = 128,
};

enum conn_state { CONN_CONNECTING, CONN_HANDSHAKE, CONN_READY, CONN_CLOSED };

static const struct fsm_state conn_states[] = {
    [CONN_CONNECTING] = {"connecting", FSM_BIT(CONN_HANDSHAKE) | FSM_BIT(CONN_CLOSED)},
    [CONN_HANDSHAKE] = {"handshake", FSM_BIT(CONN_READY) | FSM_BIT(CONN_CLOSED)},
    [CONN_READY] = {"ready", FSM_BIT(CONN_CLOSED)},
    [CONN_CLOSED] = {"closed", 0},
};
static const struct fsm_table conn_table = {"client_conn", conn_states, COUNT_OF(conn_states)};

struct version_range {
    int16_t min, max; /* max < min: not served */
};

struct client_conn {
    struct client_conn_opts opts;
    struct fsm fsm;
    struct sock *sock;
    struct loop_timer connect_timer;
    struct client_pending handshake;
    int16_t handshake_version;
    struct version_range versions[API_KEY_COUNT];
    struct list pending; /* I1 */
    int pending_count;
    int32_t correlation_next;
    struct buf out;
    size_t out_at; /* written so far */
    struct buf in;
    bool entered; /* inside the readable callback: free later */
    bool freed;
};

static void send_handshake(struct client_conn *conn);

/* ---- ending ---- */

static void
fail_pending(struct client_conn *conn, enum err err)
{
    struct list *node;
    while ((node = list_pop(&conn->pending)) != NULL) {
        struct client_pending *pending = LIST_ENTRY(node, struct client_pending, link);
        conn->pending_count--;
        loop_timer_stop(&pending->timer);
        pending->done(pending, err, BYTES_NULL);
    }
}

static void
conn_close(struct client_conn *conn, enum err err)
{
    if (conn->fsm.state == CONN_CLOSED)
        return;
    fsm_move(&conn->fsm, CONN_CLOSED);
    loop_timer_stop(&conn->connect_timer);
    sock_close(&conn->sock);
    fail_pending(conn, err);
    ASSERT(conn->pending_count == 0); /* I2 */
    conn->opts.on_state(conn->opts.ctx, conn, err);
}

static void
conn_destroy(struct client_conn *conn)
{
    buf_fini(&conn->out);
    buf_fini(&conn->in);
    mem_free(conn);
}

void
client_conn_free(struct client_conn **conn)
{
    struct client_conn *c = *conn;
    *conn = NULL;
    if (c == NULL)
        return;
    if (c->fsm.state != CONN_CLOSED) {
        fsm_move(&c->fsm, CONN_CLOSED);
        loop_timer_stop(&c->connect_timer);
        sock_close(&c->sock);
        fail_pending(c, ERR_CANCELED);
    }
    if (c->entered)
        c->freed = true;
    else
        conn_destroy(c);
}

/* ---- output ---- */

/* A hard error is left to the caller: from inside a send nothing may be closed, and the loop will
 * report the broken socket as readable. */
static enum err
flush_out(struct client_conn *conn)
{
    enum err err = ERR_OK;
    while (conn->out_at < conn->out.len) {
        struct bytes part = {conn->out.data + conn->out_at, conn->out.len - conn->out_at};
        size_t n;
        err = sock_writev(conn->sock, &part, 1, &n);
        if (err != ERR_OK)
            break;
        conn->out_at += n;
    }
    if (conn->out_at == conn->out.len) {
        buf_clear(&conn->out);
        conn->out_at = 0;
    }
    sock_want(conn->sock, true, err == ERR_AGAIN);
    return err == ERR_AGAIN ? ERR_OK : err;
}

static void
on_pending_timeout(struct loop_timer *timer)
{
    conn_close(CONTAINER_OF(timer, struct client_pending, timer)->conn, ERR_TIMEOUT);
}

/* Registers what will answer the frame just put into `out`. */
static enum err
expect(struct client_conn *conn, struct client_pending *pending, int64_t timeout_ms)
{
    pending->conn = conn;
    loop_timer_init(&pending->timer, conn->opts.loop, on_pending_timeout);
    enum err err = loop_timer_start(&pending->timer, timeout_ms);
    if (err != ERR_OK)
        return err;
    list_push(&conn->pending, &pending->link);
    conn->pending_count++;
    return ERR_OK;
}

static enum err
append_frame(struct client_conn *conn, const struct proto_api *api, int16_t version,
    const void *msg, int32_t correlation_id)
{
    struct proto_request_header header;
    struct writer w;
    enum err err;

    proto_init(&proto_request_header_schema, &header);
    header.request_api_key = api->key;
    header.request_api_version = version;
    header.correlation_id = correlation_id;
    header.client_id = conn->opts.client_id;

    writer_init(&w, OUT_BYTES_MAX);
    writer_i32(&w, 0);
    err = proto_encode(
        &proto_request_header_schema, proto_request_header_version(api, version), &header, &w);
    if (err == ERR_OK)
        err = proto_encode(api->request, version, msg, &w);
    if (err == ERR_OK && w.buf.err != ERR_OK)
        err = w.buf.err;
    if (err == ERR_OK) {
        ASSERT(w.splice_count == 0);
        store_be32(w.buf.data, (uint32_t)(w.buf.len - 4));
        if (buf_reserve(&conn->out, w.buf.len))
            buf_append(&conn->out, w.buf.data, w.buf.len);
        else
            err = conn->out.err;
    }
    writer_fini(&w);
    return err;
}

static enum err
send_now(struct client_conn *conn, const struct proto_api *api, int16_t version, const void *msg,
    int64_t timeout_ms, struct client_pending *pending)
{
    int32_t correlation_id = conn->correlation_next++;
    size_t before = conn->out.len;
    enum err err = append_frame(conn, api, version, msg, correlation_id);
    if (err == ERR_OK && pending != NULL) {
        pending->correlation_id = correlation_id;
        pending->response_header_version = proto_response_header_version(api, version);
        err = expect(conn, pending, timeout_ms);
        if (err != ERR_OK)
            conn->out.len = before;
    }
    if (err == ERR_OK)
        (void)flush_out(conn);
    return err;
}

enum err
client_conn_send(struct client_conn *conn, const struct proto_api *api, int16_t version,
    const void *msg, int64_t timeout_ms, struct client_pending *pending)
{
    if (conn->fsm.state != CONN_READY)
        return ERR_WRONG_STATE;
    return send_now(conn, api, version, msg, timeout_ms, pending);
}

enum err
client_conn_send_raw(struct client_conn *conn, struct bytes frame, int64_t timeout_ms,
    struct client_pending *pending)
{
    uint8_t size[4];
    if (conn->fsm.state != CONN_READY)
        return ERR_WRONG_STATE;
    ASSERT(frame.len >= 8);
    if (!buf_reserve(&conn->out, frame.len + sizeof size))
        return conn->out.err;
    if (pending != NULL) {
        const struct proto_api *api = proto_api_find((int16_t)load_be16(frame.data));
        ASSERT(api != NULL);
        pending->correlation_id = (int32_t)load_be32(frame.data + 4);
        pending->response_header_version =
            proto_response_header_version(api, (int16_t)load_be16(frame.data + 2));
        enum err err = expect(conn, pending, timeout_ms);
        if (err != ERR_OK)
            return err;
    }
    store_be32(size, (uint32_t)frame.len);
    buf_append(&conn->out, size, sizeof size);
    buf_append(&conn->out, frame.data, frame.len);
    (void)flush_out(conn);
    return ERR_OK;
}

/* Stands in the queue for a request that nobody waits for any more. */
static void
ghost_done(struct client_pending *pending, enum err err, struct bytes body)
{
    (void)err;
    (void)body;
    mem_free(pending);
}

void
client_conn_forget(struct client_pending *pending)
{
    struct client_conn *conn = pending->conn;
    struct client_pending *ghost = mem_calloc(1, sizeof *ghost);
    loop_timer_stop(&pending->timer);
    if (ghost != NULL) {
        ghost->conn = conn;
        ghost->correlation_id = pending->correlation_id;
        ghost->response_header_version = pending->response_header_version;
        ghost->done = ghost_done;
        loop_timer_init(&ghost->timer, conn->opts.loop, on_pending_timeout);
        list_insert_before(&pending->link, &ghost->link);
        list_remove(&pending->link);
        return;
    }
    /* Without a stand-in the order is lost: the connection goes, later, from its own event. */
    conn->pending_count--;
    list_remove(&pending->link);
}

/* ---- input ---- */

static enum err
take_frame(struct client_conn *conn, struct bytes frame)
{
    struct reader r;
    struct proto_response_header header;
    if (list_empty(&conn->pending))
        return ERR_CORRUPT;
    struct client_pending *pending = LIST_ENTRY(conn->pending.next, struct client_pending, link);
    reader_init(&r, frame);
    /* A response header has no field that would want an arena. */
    struct arena arena;
    arena_init(&arena, 0);
    enum err err = proto_decode(
        &proto_response_header_schema, pending->response_header_version, &r, &arena, &header);
    arena_fini(&arena);
    if (err != ERR_OK)
        return err;
    if (header.correlation_id != pending->correlation_id)
        return ERR_CORRUPT;
    list_remove(&pending->link);
    conn->pending_count--;
    loop_timer_stop(&pending->timer);
    pending->done(pending, ERR_OK, (struct bytes){r.at, reader_remaining(&r)});
    return ERR_OK;
}

/* Every whole frame in `in`; what is left moves to the front. */
static enum err
take_frames(struct client_conn *conn)
{
    size_t at = 0;
    enum err err = ERR_OK;
    while (err == ERR_OK && conn->fsm.state != CONN_CLOSED && conn->in.len - at >= 4) {
        uint32_t size = load_be32(conn->in.data + at);
        if (size > IN_BYTES_MAX)
            return ERR_CORRUPT;
        if (conn->in.len - at - 4 < size) {
            if (!buf_reserve(&conn->in, size))
                err = conn->in.err;
            break;
        }
        err = take_frame(conn, (struct bytes){conn->in.data + at + 4, size});
        at += 4 + (size_t)size;
    }
    if (at > 0 && conn->fsm.state != CONN_CLOSED) {
        memmove(conn->in.data, conn->in.data + at, conn->in.len - at);
        conn->in.len -= at;
    }
    return err;
}

static void
on_readable(void *ctx)
{
    struct client_conn *conn = ctx;
    conn->entered = true;
    while (conn->fsm.state != CONN_CLOSED) {
        size_t room = READ_SIZE;
        if (!buf_reserve(&conn->in, room)) {
            conn_close(conn, conn->in.err);
            break;
        }
        room = conn->in.capacity - conn->in.len;
        size_t n;
        enum err err = sock_read(conn->sock, conn->in.data + conn->in.len, room, &n);
        if (err == ERR_AGAIN)
            break;
        if (err == ERR_OK) {
            conn->in.len += n;
            err = take_frames(conn);
        }
        if (err != ERR_OK)
            conn_close(conn, err);
        else if (n < room)
            break;
    }
    conn->entered = false;
    if (conn->freed)
        conn_destroy(conn);
}

static void
on_writable(void *ctx)
{
    struct client_conn *conn = ctx;
    if (conn->fsm.state == CONN_CONNECTING) {
        enum err err = sock_connect_result(conn->sock);
        if (err == ERR_AGAIN)
            return;
        if (err != ERR_OK) {
            conn_close(conn, err);
            return;
        }
        fsm_move(&conn->fsm, CONN_HANDSHAKE);
        loop_timer_stop(&conn->connect_timer);
        send_handshake(conn);
        return;
    }
    enum err err = flush_out(conn);
    if (err != ERR_OK)
        conn_close(conn, err);
}

/* ---- handshake ---- */

static void
keep_versions(struct client_conn *conn, const struct proto_api_versions_response *response)
{
    for (int i = 0; i < API_KEY_COUNT; i++)
        conn->versions[i] = (struct version_range){0, -1};
    for (int32_t i = 0; i < response->api_keys.count; i++) {
        int16_t key = response->api_keys.items[i].api_key;
        if (key >= 0 && key < API_KEY_COUNT)
            conn->versions[key] = (struct version_range){
                response->api_keys.items[i].min_version, response->api_keys.items[i].max_version};
    }
}

/* A broker that does not know our version answers UNSUPPORTED_VERSION in version 0: ask again. */
static void
on_handshake(struct client_pending *pending, enum err err, struct bytes body)
{
    struct client_conn *conn = CONTAINER_OF(pending, struct client_conn, handshake);
    struct proto_api_versions_response response;
    struct arena arena;
    struct reader r;
    if (err != ERR_OK)
        return; /* conn_close is on its way and tells */
    arena_init(&arena, HANDSHAKE_ARENA);
    bool refused = body.len >= 2 && load_be16(body.data) == 35;
    reader_init(&r, body);
    err = proto_decode(&proto_api_versions_response_schema, refused ? 0 : conn->handshake_version,
        &r, &arena, &response);
    if (err == ERR_OK && refused && conn->handshake_version > 0) {
        conn->handshake_version = 0;
        send_handshake(conn);
    } else if (err == ERR_OK && response.error_code == 0) {
        keep_versions(conn, &response);
        fsm_move(&conn->fsm, CONN_READY);
        conn->opts.on_state(conn->opts.ctx, conn, ERR_OK);
    } else {
        conn_close(conn, err != ERR_OK ? err : ERR_UNSUPPORTED);
    }
    arena_fini(&arena);
}

static void
send_handshake(struct client_conn *conn)
{
    struct proto_api_versions_request request;
    const struct proto_api *api = proto_api_find_name("ApiVersions");
    ASSERT(api != NULL);
    proto_init(&proto_api_versions_request_schema, &request);
    request.client_software_name = STR("moldau");
    request.client_software_version = STR("0.1.0");
    conn->handshake.done = on_handshake;
    enum err err = send_now(conn, api, conn->handshake_version, &request,
        conn->opts.connect_timeout_ms, &conn->handshake);
    if (err != ERR_OK)
        conn_close(conn, err);
}

static void
on_connect_timeout(struct loop_timer *timer)
{
    conn_close(CONTAINER_OF(timer, struct client_conn, connect_timer), ERR_TIMEOUT);
}

/* ---- life ---- */

enum err
client_conn_open(const struct client_conn_opts *opts, struct client_conn **out)
{
    static const struct sock_events events = {on_readable, on_writable};
    struct client_conn *conn = mem_calloc(1, sizeof *conn);
    if (conn == NULL)
        return ERR_NOMEM;
    conn->opts = *opts;
    conn->handshake_version = 3;
    fsm_init(&conn->fsm, &conn_table, CONN_CONNECTING);
    list_init(&conn->pending);
    buf_init(&conn->out, OUT_BYTES_MAX);
    buf_init(&conn->in, IN_BYTES_MAX);
    loop_timer_init(&conn->connect_timer, opts->loop, on_connect_timeout);
    enum err err = loop_timer_start(&conn->connect_timer, opts->connect_timeout_ms);
    if (err == ERR_OK)
        err = sock_connect(opts->loop, &opts->addr, &events, conn, &conn->sock);
    if (err != ERR_OK) {
        loop_timer_stop(&conn->connect_timer);
        conn_destroy(conn);
        return err;
    }
    sock_want(conn->sock, true, true);
    *out = conn;
    return ERR_OK;
}

bool
client_conn_ready(const struct client_conn *conn)
{
    return conn->fsm.state == CONN_READY;
}

int
client_conn_in_flight(const struct client_conn *conn)
{
    return conn->pending_count;
}

int16_t
client_conn_version(const struct client_conn *conn, int16_t key, int16_t version_max)
{
    const struct proto_api *api = proto_api_find(key);
    ASSERT(conn->fsm.state == CONN_READY);
    if (api == NULL || key < 0 || key >= API_KEY_COUNT)
        return -1;
    int16_t high = conn->versions[key].max;
    int16_t low = conn->versions[key].min;
    if (api->version_max < high)
        high = api->version_max;
    if (version_max < high)
        high = version_max;
    if (api->version_min > low)
        low = api->version_min;
    return high >= low ? high : -1;
}
