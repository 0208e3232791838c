/* The input of a connection: bytes become frames.
 *
 * What     Sockets are read into the reactor's scratch block, so an idle connection holds no
 *          memory. A frame that is whole in there is copied to a small block of its own, or, from
 *          SHARE_MIN on, keeps the scratch block itself (the reactor then takes another one). A
 *          frame that has only begun gets a block of its size, and the socket is read straight
 *          into it.
 * I1       The size is checked before anything is allocated for it.
 * I2       While no frames are taken (conn.c I3), what was read already stands in `rest`, at most
 *          one scratch block of it, and nothing more is read.
 * Threads  The reactor's loop only. */
#include "base/alloc.h"
#include "base/assert.h"
#include "base/limits.h"
#include "net/server_priv.h"

enum {
    /* A pinned 64 KiB block for a frame of a quarter of it is the most that is wasted. */
    SHARE_MIN = NET_BLOCK_READ_SIZE / 4,
    READ_MAX = 128 << 10,
    READ_MAX_BRIEF = 32 << 10, /* while light connections are there: 10 us, or 30 of cold pages */
    CLOCK_MIN = 4096,          /* frames from here on are worth a look at the clock */
};

/* Hands one frame to the handler. Takes the block. */
static void
deliver(struct net_conn *conn, struct net_block *block, uint8_t *body, size_t len)
{
    struct net_reactor *reactor = conn->reactor;
    struct net_slot *slot = net_slot_new(conn);

    conn->frame_started_ms = 0;
    conn->head_len = 0;
    conn->frame_len = 0;
    if (slot == NULL) {
        net_block_unref(&block);
        net_conn_close(conn, "out of memory");
        return;
    }
    slot->block = block;
    slot->frame = body;
    slot->frame_len = len;
    slot->received_ns = conn->read_ns;
    conn->spent += LIMIT_TURN_REQUEST;
    if (conn->began_ns == 0)
        conn->began_ns = conn->seen_ns = env_now_ns(conn->server->env);
    net_count(&reactor->counters.frames, 1);
    conn->server->opts.handler->on_frame(conn->server->opts.ctx, conn, slot);
    if (len >= CLOCK_MIN) /* the handler tells when it answers, but not when it parks */
        conn->seen_ns = env_now_ns(conn->server->env);
}

/* A frame that lies whole at `body` inside `source` (NULL: cannot be shared). */
static void
deliver_whole(struct net_conn *conn, struct net_block *source, const uint8_t *body, size_t len)
{
    if (len >= SHARE_MIN && source != NULL) {
        net_block_ref(source);
        deliver(conn, source, source->data + (body - source->data), len);
        return;
    }
    struct net_block *block = net_block_get(&conn->reactor->blocks, len);
    if (block == NULL) {
        net_conn_close(conn, "out of memory");
        return;
    }
    memcpy(block->data, body, len);
    deliver(conn, block, block->data, len);
}

/* The four bytes are there: false when the connection was closed over them. */
static bool
head_check(struct net_conn *conn)
{
    int32_t size = (int32_t)load_be32(conn->head);
    if (size < 0 || (size_t)size > conn->frame_size_max) {
        net_count(&conn->reactor->counters.bad_frame, 1);
        diag_event(env_diag(conn->server->env), DIAG_WARN, "net", "frame_size_refused",
            DIAG_Z("peer", conn->peer_host), DIAG_I64("size", size),
            DIAG_I64("max", conn->frame_size_max));
        net_conn_close(conn, "frame size");
        return false;
    }
    conn->frame_len = (size_t)size;
    return true;
}

/* Starts a frame whose body is not whole yet. False: closed, or waits for memory. */
static bool
frame_begin(struct net_conn *conn)
{
    struct net_reactor *reactor = conn->reactor;
    if (!net_block_pool_has_room(&reactor->blocks, conn->frame_len)) {
        conn->starved = true;
        list_push(&reactor->starved[net_block_lane(conn->frame_len)], &conn->starved_link);
        return false;
    }
    conn->frame = net_block_get(&reactor->blocks, conn->frame_len);
    if (conn->frame == NULL) {
        net_conn_close(conn, "out of memory");
        return false;
    }
    conn->frame_filled = 0;
    return true;
}

static void
frame_finish(struct net_conn *conn)
{
    struct net_block *block = conn->frame;
    ASSERT(block != NULL && conn->frame_filled == conn->frame_len);
    conn->frame = NULL;
    deliver(conn, block, block->data, conn->frame_len);
}

static size_t
head_fill(struct net_conn *conn, const uint8_t *data, size_t len)
{
    size_t take = sizeof conn->head - conn->head_len;
    if (take > len)
        take = len;
    memcpy(conn->head + conn->head_len, data, take);
    conn->head_len += (uint8_t)take;
    if (conn->frame_started_ms == 0)
        conn->frame_started_ms = loop_now_ms(conn->reactor->loop);
    return take;
}

/* One step over the bytes at `data`: how many it used. Zero only when it must wait. */
static size_t
parse_step(struct net_conn *conn, struct net_block *source, const uint8_t *data, size_t len)
{
    size_t used = 0;
    if (conn->frame == NULL) {
        bool fresh = conn->head_len < sizeof conn->head;
        if (fresh) {
            used = head_fill(conn, data, len);
            if (conn->head_len < sizeof conn->head || !head_check(conn))
                return used;
        }
        if (len - used >= conn->frame_len) {
            size_t body = conn->frame_len;
            deliver_whole(conn, source, data + used, body);
            return used + body;
        }
        if (!frame_begin(conn))
            return used;
    }
    size_t take = conn->frame_len - conn->frame_filled;
    if (take > len - used)
        take = len - used;
    memcpy(conn->frame->data + conn->frame_filled, data + used, take);
    conn->frame_filled += take;
    if (conn->frame_filled == conn->frame_len)
        frame_finish(conn);
    return used + take;
}

/* True when frames are taken; tries to make room by sending when output stands in the way. */
static bool
room_make(struct net_conn *conn)
{
    if (net_conn_has_room(conn))
        return true;
    if (conn->fsm.state == NET_CONN_OPEN && !conn->blocked && conn->output_bytes > 0)
        net_conn_flush(conn);
    return net_conn_has_room(conn);
}

/* Returns how much was used; what remains stands behind a pause. */
static size_t
parse(struct net_conn *conn, struct net_block *source, const uint8_t *data, size_t len)
{
    size_t at = 0;
    ASSERT(!conn->parsing);
    conn->parsing = true;
    while (!net_conn_turn_is_over(conn) && room_make(conn)) {
        /* An empty body (size 0) after a whole head needs no more bytes. */
        if (at == len &&
            !(conn->head_len == sizeof conn->head && conn->frame == NULL && conn->frame_len == 0))
            break;
        size_t used = parse_step(conn, source, data + at, len - at);
        conn->spent += used;
        at += used;
    }
    conn->parsing = false;
    ASSERT(at <= len);
    return at;
}

static void
rest_keep(struct net_conn *conn, struct net_block *source, size_t at, size_t end)
{
    size_t len = end - at;
    ASSERT(conn->rest == NULL && len > 0 && len <= NET_BLOCK_READ_SIZE);
    if (len >= SHARE_MIN) {
        net_block_ref(source);
        conn->rest = source;
        conn->rest_at = at;
        conn->rest_end = end;
        return;
    }
    conn->rest = net_block_get(&conn->reactor->blocks, len);
    if (conn->rest == NULL) {
        net_conn_close(conn, "out of memory");
        return;
    }
    memcpy(conn->rest->data, source->data + at, len);
    conn->rest_at = 0;
    conn->rest_end = len;
}

/* Reads once. False: nothing more now. */
static bool
read_frame_body(struct net_conn *conn)
{
    size_t n = 0;
    size_t want = conn->frame_len - conn->frame_filled;
    size_t most = conn->brief || conn->reactor->watched ? READ_MAX_BRIEF : READ_MAX;
    if (want > most)
        want = most;
    enum err err =
        conn->filter.ops->read(&conn->filter, conn->frame->data + conn->frame_filled, want, &n);
    if (err == ERR_OK) {
        ASSERT(n > 0 && n <= want);
        conn->read_ns = conn->seen_ns = env_now_ns(conn->server->env);
        if (conn->began_ns == 0)
            conn->began_ns = conn->read_ns;
        conn->io_ms = loop_now_ms(conn->reactor->loop);
        net_count(&conn->reactor->counters.bytes_in, n);
        conn->frame_filled += n;
        conn->spent += n;
        if (conn->frame_filled == conn->frame_len)
            frame_finish(conn);
        return n == want;
    }
    if (err == ERR_AGAIN)
        return false;
    if (err != ERR_CLOSED)
        net_count(&conn->reactor->counters.error, 1);
    net_conn_close(conn, "ended inside a frame");
    return false;
}

static void
input_ended(struct net_conn *conn, enum err err)
{
    if (err != ERR_CLOSED) {
        net_count(&conn->reactor->counters.error, 1);
        net_conn_close(conn, "read failed");
        return;
    }
    /* A peer may close its sending side and still wait for its answers. */
    conn->eof = true;
    net_conn_drain(conn);
}

static bool
read_scratch(struct net_conn *conn)
{
    struct net_reactor *reactor = conn->reactor;
    if (reactor->scratch != NULL && reactor->scratch->refs > 1)
        net_block_unref(&reactor->scratch); /* frames live in it now */
    if (reactor->scratch == NULL)
        reactor->scratch = net_block_get(&reactor->blocks, NET_BLOCK_READ_SIZE);
    if (reactor->scratch == NULL) {
        net_conn_close(conn, "out of memory");
        return false;
    }
    struct net_block *scratch = reactor->scratch;
    size_t n = 0;
    size_t want = conn->brief ? LIMIT_TURN_LIGHT_QUANTUM : scratch->capacity;
    enum err err = conn->filter.ops->read(&conn->filter, scratch->data, want, &n);
    if (err == ERR_AGAIN)
        return false;
    if (err != ERR_OK) {
        input_ended(conn, err);
        return false;
    }
    ASSERT(n > 0 && n <= want && want <= scratch->capacity);
    conn->read_ns = env_now_ns(conn->server->env);
    conn->io_ms = loop_now_ms(reactor->loop);
    net_count(&reactor->counters.bytes_in, n);
    if (conn->began_ns == 0)
        conn->began_ns = conn->seen_ns = conn->read_ns;
    if (conn->fsm.state != NET_CONN_OPEN) {
        conn->spent += n;
        return n == want; /* thrown away */
    }
    size_t used = parse(conn, scratch, scratch->data, n);
    if (used < n && conn->fsm.state == NET_CONN_OPEN)
        rest_keep(conn, scratch, used, n);
    return n == want || conn->frame != NULL;
}

void
net_conn_read(struct net_conn *conn)
{
    bool more = true;
    while (more && conn->wants_read && !conn->eof && !net_conn_turn_is_over(conn)) {
        if (conn->sock == NULL)
            break;
        if (conn->fsm.state == NET_CONN_OPEN && (conn->rest != NULL || !room_make(conn)))
            break;
        if (conn->sock == NULL)
            break;
        more = conn->frame != NULL ? read_frame_body(conn) : read_scratch(conn);
    }
}

bool
net_conn_input_waits(const struct net_conn *conn)
{
    /* A head without its body waits for nothing of ours, but for an empty body. */
    return conn->rest != NULL ||
           (conn->head_len == sizeof conn->head && conn->frame == NULL && conn->frame_len == 0);
}

void
net_conn_input_resume(struct net_conn *conn)
{
    if (conn->fsm.state != NET_CONN_OPEN || conn->parsing)
        return;
    /* A head that waited for memory: its body may be on its way only. */
    bool waits = conn->head_len == sizeof conn->head && conn->frame == NULL;
    if (waits && conn->rest == NULL && net_conn_has_room(conn))
        (void)parse(conn, NULL, (const uint8_t *)"", 0);
    if (conn->rest != NULL && net_conn_has_room(conn)) {
        struct net_block *rest = conn->rest;
        conn->rest = NULL; /* ours now: a close inside must not free what we parse */
        size_t len = conn->rest_end - conn->rest_at;
        size_t used = parse(conn, rest, rest->data + conn->rest_at, len);
        if (used < len && conn->fsm.state == NET_CONN_OPEN) {
            conn->rest_at += used;
            conn->rest = rest;
        } else {
            net_block_unref(&rest);
        }
    }
}

void
net_conn_input_clear(struct net_conn *conn)
{
    net_block_unref(&conn->frame);
    net_block_unref(&conn->rest);
    conn->head_len = 0;
    conn->frame_len = 0;
    conn->frame_started_ms = 0;
    net_reactor_memory_freed(conn->reactor);
}
