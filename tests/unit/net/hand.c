#include "tests/unit/net/hand.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/assert.h"

/* ---- the clock and the loop ---- */

static int64_t
hand_now_ns(struct env *env)
{
    return CONTAINER_OF(env, struct fixture, env)->now_ns;
}

static int64_t
hand_thread_ns(struct env *env)
{
    return CONTAINER_OF(env, struct fixture, env)->thread_ns;
}

static const struct env_ops hand_env_ops = {.now_ns = hand_now_ns, .thread_ns = hand_thread_ns};

static bool
hand_is_current(const struct loop *loop)
{
    (void)loop;
    return true;
}

static int64_t
hand_now_ms(const struct loop *loop)
{
    return CONTAINER_OF(loop, const struct fixture, loop)->now_ns / NS_PER_MS;
}

static void
hand_post(struct loop *loop, struct loop_task *task)
{
    list_push(&CONTAINER_OF(loop, struct fixture, loop)->posted, &task->link);
}

static void
hand_changed(struct loop *loop)
{
    (void)loop; /* the next turn looks */
}

static enum err
hand_listen(struct loop *loop, const struct sock_listen_opts *opts,
    void (*on_accept)(void *ctx, struct sock *sock), void *ctx, struct sock_listener **out)
{
    struct fixture *f = CONTAINER_OF(loop, struct fixture, loop);
    (void)opts;
    f->listener.on_accept = on_accept;
    f->listener.ctx = ctx;
    *out = &f->listener;
    return ERR_OK;
}

static const struct loop_ops hand_loop_ops = {
    .is_current = hand_is_current,
    .may_touch = hand_is_current,
    .now_ms = hand_now_ms,
    .post = hand_post,
    .deferred = hand_changed,
    .timer_changed = hand_changed,
    .listen = hand_listen,
};

static void
hand_listener_pause(struct sock_listener *listener, bool paused)
{
    (void)listener;
    (void)paused;
}

static void
hand_listener_close(struct sock_listener *listener)
{
    listener->on_accept = NULL;
}

static const struct sock_listener_ops hand_listener_ops = {
    hand_listener_pause, hand_listener_close};

static void
hand_file_free(struct env_file *file)
{
    (void)file; /* the fixture's */
}

static enum err
hand_read_at(struct env_file *file, int64_t position, void *data, size_t len, size_t *n)
{
    struct fixture *f = CONTAINER_OF(file, struct fixture, file);
    assert_true(f->on_pool); /* the loop never waits for the disk */
    memset(data, 'c', len);
    *n = len;
    if (!f->stays_cold && position <= f->cold_from && position + (int64_t)len > f->cold_from)
        f->cold_from = position + (int64_t)len;
    return f->read_err;
}

static enum err
hand_read_at_cached(struct env_file *file, int64_t position, void *data, size_t len, size_t *n)
{
    struct fixture *f = CONTAINER_OF(file, struct fixture, file);
    if (position + (int64_t)len > f->cold_from && position < f->cold_to)
        return ERR_AGAIN;
    memset(data, 'm', len);
    *n = len;
    return ERR_OK;
}

static const struct env_file_ops hand_file_ops = {
    .free = hand_file_free, .read_at = hand_read_at, .read_at_cached = hand_read_at_cached};

/* ---- the pool works when the test says so ---- */

static void
hand_submit(struct pool *pool, struct pool_work *work)
{
    struct fixture *f = CONTAINER_OF(pool, struct fixture, pool);
    list_push(&f->works, &work->link);
    f->work_count++;
}

static const struct pool_ops hand_pool_ops = {.submit = hand_submit};

void
pool_works(struct fixture *f)
{
    struct list *node;
    f->on_pool = true;
    while ((node = list_pop(&f->works)) != NULL) {
        struct pool_work *work = LIST_ENTRY(node, struct pool_work, link);
        f->work_count--;
        work->run(work);
    }
    f->on_pool = false;
}

/* ---- sockets: all that is sent arrives at once, whole, and is taken at once ---- */

static struct peer *
peer_of(struct sock *sock)
{
    return CONTAINER_OF(sock, struct peer, sock);
}

static enum err
hand_attach(struct sock *sock, struct loop *loop)
{
    (void)sock;
    (void)loop;
    return ERR_OK;
}

static void
hand_want_changed(struct sock *sock)
{
    (void)sock;
}

static enum err
hand_read(struct sock *sock, void *data, size_t len, size_t *n)
{
    struct peer *peer = peer_of(sock);
    size_t done = 0;
    while (done < len) {
        if (peer->in_at == peer->in_len && peer->endless)
            peer->in_at = 0;
        size_t take = peer->in_len - peer->in_at;
        if (take > len - done)
            take = len - done;
        if (take == 0)
            break;
        memcpy((uint8_t *)data + done, peer->in + peer->in_at, take);
        peer->in_at += take;
        done += take;
    }
    *n = done;
    return done == 0 ? ERR_AGAIN : ERR_OK;
}

static enum err
hand_writev(struct sock *sock, const struct bytes *parts, int count, size_t *n)
{
    if (peer_of(sock)->takes_nothing)
        return ERR_AGAIN;
    *n = 0;
    for (int i = 0; i < count; i++)
        *n += parts[i].len;
    peer_of(sock)->out_bytes += *n;
    return ERR_OK;
}

static enum err
hand_sendfile(struct sock *sock, struct env_file *file, int64_t position, size_t len, size_t *n)
{
    struct fixture *f = peer_of(sock)->f;
    assert_ptr_equal(file, &f->file);
    assert_true(position + (int64_t)len <= f->cold_from || position >= f->cold_to);
    f->sent_from_file += len;
    *n = len;
    peer_of(sock)->out_bytes += len;
    return ERR_OK;
}

static void
hand_close(struct sock *sock)
{
    peer_of(sock)->closed = true;
}

static const struct sock_ops hand_sock_ops = {
    .attach = hand_attach,
    .want_changed = hand_want_changed,
    .read = hand_read,
    .writev = hand_writev,
    .sendfile = hand_sendfile,
    .close = hand_close,
};

struct peer *
dial(struct fixture *f)
{
    assert_true(f->peer_count < PEERS_MAX);
    struct peer *peer = &f->peers[f->peer_count];
    *peer = (struct peer){.f = f, .sock.ops = &hand_sock_ops};
    uint16_t port = (uint16_t)(1 + f->peer_count++);
    assert_int_equal(sock_addr_parse(STR("10.0.0.1"), port, &peer->sock.peer), ERR_OK);
    f->listener.on_accept(f->listener.ctx, &peer->sock);
    return peer;
}

void
put(struct peer *peer, const void *data, size_t len)
{
    peer->in = realloc(peer->in, peer->in_len + len);
    assert_non_null(peer->in);
    memcpy(peer->in + peer->in_len, data, len);
    peer->in_len += len;
}

void
put_frame(struct peer *peer, const void *body, uint32_t len)
{
    uint8_t head[4];
    store_be32(head, len);
    put(peer, head, sizeof head);
    put(peer, body, len);
}

/* One turn: what came due, every socket that has something, in the order they were dialled, and
 * then what these deferred. */
void
turn(struct fixture *f)
{
    struct list *node;
    loop_fire_timers(&f->loop, f->now_ns / NS_PER_MS);
    while ((node = list_pop(&f->posted)) != NULL)
        loop_run_task(LIST_ENTRY(node, struct loop_task, link));
    for (int i = 0; i < f->peer_count; i++) {
        struct peer *peer = &f->peers[i];
        bool readable = peer->endless || peer->in_at < peer->in_len;
        if (!peer->closed && peer->sock.want_read && readable)
            peer->sock.events->readable(peer->sock.ctx);
        if (!peer->closed && peer->sock.want_write && !peer->takes_nothing)
            peer->sock.events->writable(peer->sock.ctx);
    }
    loop_run_deferred(&f->loop);
}

void
turns(struct fixture *f, int count)
{
    while (count-- > 0)
        turn(f);
}

void
pass_ms(struct fixture *f, int64_t ms)
{
    f->now_ns += ms * NS_PER_MS;
}

/* ---- the handler does what the first byte says ---- */

static bool
on_open(void *ctx, struct net_conn *conn, void **user)
{
    struct fixture *f = ctx;
    *user = &f->peers[net_conn_peer_port(conn) - 1];
    return true;
}

static void
reply(struct fixture *f, struct net_slot *slot)
{
    slot->answered_ns = f->now_ns;
    net_slot_reply(slot);
}

static void
on_frame(void *ctx, struct net_conn *conn, struct net_slot *slot)
{
    struct fixture *f = ctx;
    struct peer *peer = net_conn_user(conn);
    peer->frames++;
    peer->since_request = f->since++;
    if (f->asks != NULL && f->asks_after-- == 0) {
        put_frame(f->asks, "E?", 2);
        f->asks = NULL;
        f->since = 0;
    }
    switch (slot->frame[0]) {
    case 'N': net_slot_drop(slot); return;
    case 'P': peer->parked = slot; return;
    case 'H':
        net_slot_hold(slot);
        peer->held = slot;
        return;
    case 'T': net_conn_throttle(conn, 300); break;
    case 'W': /* stands still: a lock of somebody else's */ pass_ms(f, 10); break;
    case 'U': /* works for as long */
        pass_ms(f, 10);
        f->thread_ns += 10 * NS_PER_MS;
        break;
    case 'L': /* long */
        env_file_ref(&f->file);
        assert_true(writer_splice(&slot->writer, &f->file, 0, LONG_LEN));
        reply(f, slot);
        return;
    case 'F':
        env_file_ref(&f->file);
        assert_true(writer_splice(&slot->writer, &f->file, 2, 4));
        writer_raw(&slot->writer, ">", 1);
        reply(f, slot);
        return;
    default: break;
    }
    writer_raw(&slot->writer, slot->frame, slot->frame_len);
    reply(f, slot);
}

static void
on_turn(void *ctx, struct net_conn *conn, struct net_slot *slot)
{
    struct fixture *f = ctx;
    struct peer *peer = net_conn_user(conn);
    assert_ptr_equal(slot, peer->held);
    assert_ptr_equal(slot->conn, conn);
    peer->turns++;
    peer->since_turn = f->since;
    pass_ms(f, 2); /* a slice, and more */
    if (peer->turns_more > 0) {
        peer->turns_more--;
        assert_true(net_slot_waits(slot, true));
        return;
    }
    peer->held = NULL;
    writer_raw(&slot->writer, slot->frame, slot->frame_len);
    reply(f, slot);
}

static void
on_close(void *ctx, struct net_conn *conn)
{
    struct peer *peer = net_conn_user(conn);
    (void)ctx;
    if (peer->parked != NULL)
        net_slot_drop(peer->parked);
    peer->parked = NULL;
}

static void
on_sent(void *ctx, const struct net_slot *slot, int64_t sending_ns, int64_t sent_ns)
{
    struct fixture *f = ctx;
    struct peer *peer = net_conn_user(slot->conn);
    (void)sending_ns;
    (void)sent_ns;
    peer->answers++;
    peer->since_answer = f->since;
}

static const struct net_handler handler = {.on_open = on_open,
    .on_frame = on_frame,
    .on_turn = on_turn,
    .on_close = on_close,
    .on_sent = on_sent};

struct fixture *
fixture_start(struct net_server_opts opts)
{
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    f->env.ops = &hand_env_ops;
    f->now_ns = (int64_t)1000 * NS_PER_MS;
    loop_init(&f->loop, &hand_loop_ops, &f->env, "hand");
    list_init(&f->posted);
    f->listener.ops = &hand_listener_ops;
    f->listener.loop = &f->loop;
    f->file.ops = &hand_file_ops;
    atomic_store(&f->file.refs, 1);
    f->pool.ops = &hand_pool_ops;
    f->cold_from = f->cold_to = INT64_MAX;
    list_init(&f->works);
    f->loops[0] = &f->loop;
    opts.env = &f->env;
    opts.read_pool = &f->pool;
    opts.loops = f->loops;
    opts.loop_count = 1;
    opts.handler = &handler;
    opts.ctx = f;
    assert_int_equal(net_server_new(&opts, &f->server), ERR_OK);
    struct net_listen_opts listen = {.name = STR("PLAINTEXT")};
    assert_int_equal(net_server_listen(f->server, &listen, NULL), ERR_OK);
    return f;
}

void
fixture_end(struct fixture *f)
{
    net_server_free(&f->server);
    for (int i = 0; i < f->peer_count; i++) {
        assert_true(f->peers[i].closed);
        free(f->peers[i].in);
    }
    assert_int_equal(atomic_load(&f->file.refs), 1);
    loop_fini(&f->loop);
    free(f);
}

void
put_many(struct peer *peer, int count)
{
    for (int i = 0; i < count; i++)
        put_frame(peer, "Ex", 2);
}
