/* The server: listeners on the first loop, reactors on all, and the counts that limits need.
 *
 * What     Accepts, checks the limits, hands connections round. Over max.connections it stops
 *          accepting (the kernel's queue waits) until one closes; over a limit of an address it
 *          accepts and closes at once; over the creation rate it stops accepting for a moment.
 * I1       conn_count and the counts of addresses include every connection from its accept to the
 *          close of its socket.
 * I2       A connection stands in server->handed until its reactor took it, then in that reactor's
 *          list, so that nothing is lost when loops stop in between.
 * Threads  Accepting: first loop. Reactors: their own loops. Counts: mutex. Counters: any. */
#include "net/server.h"

#include <netinet/in.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/limits.h"
#include "net/server_priv.h"

enum { BACKLOG_DEFAULT = 1024, SWEEP_MS = 1000, RATE_PAUSE_MS = 20 };

/* ---- addresses and their counts ---- */

static void
ip_key_of(const struct sock_addr *addr, uint8_t key[16])
{
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    memset(key, 0, 16);
    if (addr->storage.ss_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)&addr->storage;
        memcpy(key, mapped, sizeof mapped);
        memcpy(key + 12, &in->sin_addr, 4);
    } else if (addr->storage.ss_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)&addr->storage;
        memcpy(key, &in6->sin6_addr, 16);
    }
}

static int
ip_limit(const struct net_server *server, const uint8_t key[16])
{
    for (int i = 0; i < server->opts.override_count; i++) {
        uint8_t other[16];
        ip_key_of(&server->overrides[i].addr, other);
        if (memcmp(other, key, sizeof other) == 0)
            return server->overrides[i].connections_max;
    }
    return server->opts.connections_per_ip_max;
}

/* Counts one more of an address; false when that is over its limit or out of memory. */
static bool
ip_count_add(struct net_server *server, const uint8_t key[16])
{
    struct net_ip *ip = NULL;
    mutex_assert_held(&server->mutex);
    HASH_FIND(hh, server->ips, key, 16, ip);
    if (ip == NULL) {
        ip = mem_calloc(1, sizeof *ip);
        if (ip == NULL)
            return false;
        memcpy(ip->key, key, 16);
        HASH_ADD(hh, server->ips, key, 16, ip);
        if (ip->hh.tbl == NULL) {
            mem_free(ip);
            return false;
        }
    }
    if (ip->count >= ip_limit(server, key)) {
        if (ip->count == 0) {
            HASH_DEL(server->ips, ip);
            mem_free(ip);
        }
        return false;
    }
    ip->count++;
    return true;
}

static void
ip_count_remove(struct net_server *server, const uint8_t key[16])
{
    struct net_ip *ip = NULL;
    mutex_assert_held(&server->mutex);
    HASH_FIND(hh, server->ips, key, 16, ip);
    ASSERT(ip != NULL && ip->count > 0);
    if (--ip->count == 0) {
        HASH_DEL(server->ips, ip);
        mem_free(ip);
    }
}

/* ---- accepting ---- */

static void
listeners_pause(struct net_server *server)
{
    bool paused = server->rate_paused || server->full || server->held;
    LIST_FOREACH (&server->listeners, node) {
        sock_listener_pause(LIST_ENTRY(node, struct net_listener, link)->sock, paused);
    }
}

static void
release(struct loop_task *task)
{
    struct net_server *server = CONTAINER_OF(task, struct net_server, release_task);
    mutex_lock(&server->mutex);
    server->held = false;
    listeners_pause(server);
    mutex_unlock(&server->mutex);
}

void
net_server_release(struct net_server *server)
{
    loop_post(server->reactors[0].loop, &server->release_task);
}

static void
rate_resume(struct loop_timer *timer)
{
    struct net_server *server = CONTAINER_OF(timer, struct net_server, rate_timer);
    mutex_lock(&server->mutex);
    server->rate_paused = false;
    listeners_pause(server);
    mutex_unlock(&server->mutex);
}

/* A token bucket of one second; pauses accepting when it is empty. */
static void
rate_take(struct net_server *server)
{
    int rate = server->opts.connections_rate_max;
    if (rate == INT32_MAX)
        return;
    int64_t now_ms = loop_now_ms(server->reactors[0].loop);
    server->rate_tokens += (double)(now_ms - server->rate_filled_ms) * rate / 1000.0;
    if (server->rate_tokens > rate)
        server->rate_tokens = rate;
    server->rate_filled_ms = now_ms;
    server->rate_tokens -= 1;
    if (server->rate_tokens >= 1 || server->rate_paused)
        return;
    int64_t wait_ms = (int64_t)((1 - server->rate_tokens) * 1000.0 / rate) + 1;
    if (wait_ms < RATE_PAUSE_MS)
        wait_ms = RATE_PAUSE_MS;
    if (loop_timer_start(&server->rate_timer, wait_ms) != ERR_OK)
        return;
    mutex_lock(&server->mutex);
    server->rate_paused = true;
    listeners_pause(server);
    mutex_unlock(&server->mutex);
}

/* Takes a place in the counts; NULL text when there is one, else why not. */
static const char *
place_take(struct net_server *server, struct net_conn *conn)
{
    const char *refusal = NULL;
    mutex_lock(&server->mutex);
    if (server->conn_count >= server->opts.connections_max) {
        refusal = "max.connections";
    } else if (!ip_count_add(server, conn->ip_key)) {
        refusal = "max.connections.per.ip";
    } else {
        server->conn_count++;
        list_push(&server->handed, &conn->link); /* I2 */
        if (server->conn_count >= server->opts.connections_max && !server->full) {
            server->full = true;
            listeners_pause(server);
        }
    }
    mutex_unlock(&server->mutex);
    return refusal;
}

static void
on_accept(void *ctx, struct sock *sock)
{
    struct net_listener *listener = ctx;
    struct net_server *server = listener->server;
    rate_take(server);
    struct net_conn *conn = atomic_load(&server->stopping) ? NULL : mem_calloc(1, sizeof *conn);
    if (conn == NULL) {
        atomic_fetch_add_explicit(&server->refused, 1, memory_order_relaxed);
        sock_close(&sock);
        return;
    }
    sock_peer(sock, &conn->peer);
    sock_addr_format(&conn->peer, conn->peer_host, sizeof conn->peer_host, &conn->peer_port);
    ip_key_of(&conn->peer, conn->ip_key);
    list_init(&conn->link);
    conn->server = server;
    conn->listener = listener;
    conn->sock = sock;
    conn->refs = 1;
    conn->id = ++server->conn_id_next;
    conn->reactor = &server->reactors[server->reactor_next];
    loop_task_init(&conn->hand_over, net_conn_open);
    const char *refusal = place_take(server, conn);
    if (refusal != NULL) {
        atomic_fetch_add_explicit(&server->refused, 1, memory_order_relaxed);
        diag_event(env_diag(server->env), DIAG_WARN, "net", "connection_refused",
            DIAG_Z("peer", conn->peer_host), DIAG_Z("limit", refusal));
        sock_close(&conn->sock);
        mem_free(conn);
        return;
    }
    server->reactor_next = (server->reactor_next + 1) % server->opts.loop_count;
    if (conn->reactor->index == 0)
        net_conn_open(&conn->hand_over);
    else
        loop_post(conn->reactor->loop, &conn->hand_over);
}

static void
room_again(struct loop_task *task)
{
    struct net_server *server = CONTAINER_OF(task, struct net_server, room_task);
    mutex_lock(&server->mutex);
    server->room_posted = false;
    server->full = server->conn_count >= server->opts.connections_max;
    listeners_pause(server);
    mutex_unlock(&server->mutex);
}

/* ---- reactors ---- */

static void
stop_report(struct net_reactor *reactor)
{
    struct net_server *server = reactor->server;
    if (!reactor->stopping || reactor->stop_reported || reactor->open_count > 0)
        return;
    reactor->stop_reported = true;
    loop_timer_stop(&reactor->stop_timer);
    loop_timer_stop(&reactor->sweep);
    if (atomic_fetch_sub(&server->reactors_running, 1) == 1 && server->stopped != NULL)
        server->stopped(server->stopped_ctx);
}

void
net_reactor_conn_closed(struct net_reactor *reactor, struct net_conn *conn)
{
    struct net_server *server = reactor->server;
    mutex_lock(&server->mutex);
    ASSERT(server->conn_count > 0);
    server->conn_count--;
    ip_count_remove(server, conn->ip_key);
    bool post = server->full && !server->room_posted;
    if (post)
        server->room_posted = true;
    mutex_unlock(&server->mutex);
    if (post)
        loop_post(server->reactors[0].loop, &server->room_task);
    stop_report(reactor);
}

/* Spends of *left; what remains to be fed then is for the next turn. */
static void
feed_lane(struct net_reactor *reactor, struct list *lane, int64_t *left)
{
    struct list waiting;
    list_init(&waiting);
    list_splice(&waiting, lane);
    struct list *node;
    /* In the order in which they began to wait; who finds no room goes to the end again. */
    while ((node = list_pop(&waiting)) != NULL) {
        struct net_conn *conn = LIST_ENTRY(node, struct net_conn, starved_link);
        if (*left <= 0 || !net_block_pool_has_room(&reactor->blocks, conn->frame_len)) {
            list_push(lane, &conn->starved_link);
            list_splice(lane, &waiting);
            break;
        }
        conn->starved = false;
        *left -= net_conn_serve(conn, NET_WORK_RESUME);
    }
}

static void
feed(struct loop_task *task)
{
    struct net_reactor *reactor = CONTAINER_OF(task, struct net_reactor, feed_task);
    int64_t left = LIMIT_TURN_SLICE;
    for (int lane = 0; lane < NET_LANES; lane++)
        feed_lane(reactor, &reactor->starved[lane], &left);
    net_reactor_memory_freed(reactor);
}

void
net_reactor_memory_freed(struct net_reactor *reactor)
{
    for (int lane = 0; lane < NET_LANES && !reactor->feed_task.queued; lane++) {
        struct list *starved = &reactor->starved[lane];
        if (list_empty(starved))
            continue;
        struct net_conn *first = LIST_ENTRY(starved->next, struct net_conn, starved_link);
        if (net_block_pool_has_room(&reactor->blocks, first->frame_len))
            loop_defer(reactor->loop, &reactor->feed_task);
    }
}

static void
sweep(struct loop_timer *timer)
{
    struct net_reactor *reactor = CONTAINER_OF(timer, struct net_reactor, sweep);
    int64_t now_ms = loop_now_ms(reactor->loop);
    LIST_FOREACH (&reactor->conns, node) {
        net_conn_sweep(LIST_ENTRY(node, struct net_conn, link), now_ms);
    }
    if (reactor->open_count > 0 && loop_timer_start(&reactor->sweep, SWEEP_MS) != ERR_OK)
        diag_event(env_diag(reactor->server->env), DIAG_WARN, "net", "sweep_not_started");
}

static void
reactor_close_all(struct loop_timer *timer)
{
    struct net_reactor *reactor = CONTAINER_OF(timer, struct net_reactor, stop_timer);
    LIST_FOREACH (&reactor->conns, node) {
        net_conn_close(LIST_ENTRY(node, struct net_conn, link), "stop timed out");
    }
    stop_report(reactor);
}

static void
reactor_stop(struct loop_task *task)
{
    struct net_reactor *reactor = CONTAINER_OF(task, struct net_reactor, stop_task);
    struct net_server *server = reactor->server;
    if (reactor->index == 0) {
        loop_timer_stop(&server->rate_timer);
        LIST_FOREACH (&server->listeners, node) {
            sock_listener_close(&LIST_ENTRY(node, struct net_listener, link)->sock);
        }
        mutex_lock(&server->mutex);
        list_splice(&server->closed_listeners, &server->listeners);
        mutex_unlock(&server->mutex);
    }
    reactor->stopping = true;
    LIST_FOREACH (&reactor->conns, node) {
        net_conn_drain(LIST_ENTRY(node, struct net_conn, link));
    }
    if (reactor->open_count > 0 &&
        loop_timer_start(&reactor->stop_timer, server->stop_timeout_ms) != ERR_OK)
        reactor_close_all(&reactor->stop_timer);
    stop_report(reactor);
}

static void
reactor_init(struct net_reactor *reactor, struct net_server *server, int index)
{
    reactor->server = server;
    reactor->loop = server->opts.loops[index];
    reactor->index = index;
    list_init(&reactor->conns);
    for (int lane = 0; lane < NET_LANES; lane++)
        list_init(&reactor->starved[lane]);
    list_init(&reactor->flushes);
    list_init(&reactor->heavy);
    list_init(&reactor->read_ins);
    list_init(&reactor->read_in_waits);
    list_init(&reactor->slots.free);
    net_block_pool_init(&reactor->blocks, server->opts.frame_memory_max);
    loop_timer_init(&reactor->sweep, reactor->loop, sweep);
    loop_timer_init(&reactor->stop_timer, reactor->loop, reactor_close_all);
    loop_task_init(&reactor->stop_task, reactor_stop);
    loop_task_init(&reactor->feed_task, feed);
    loop_task_init(&reactor->turn_task, net_turn_run);
}

/* ---- the server ---- */

static void
defaults_fill(struct net_server_opts *opts)
{
    if (opts->frame_size_max == 0)
        opts->frame_size_max = 104857600;
    if (opts->frame_memory_max == 0)
        opts->frame_memory_max = (int64_t)1 << 30;
    if (opts->idle_ms == 0)
        opts->idle_ms = 600000;
    if (opts->frame_deadline_ms == 0)
        opts->frame_deadline_ms = LIMIT_FRAME_DEADLINE_MS;
    if (opts->send_stall_ms == 0)
        opts->send_stall_ms = LIMIT_SEND_STALL_MS;
    if (opts->connections_max == 0)
        opts->connections_max = INT32_MAX;
    if (opts->connections_per_ip_max == 0)
        opts->connections_per_ip_max = INT32_MAX;
    if (opts->connections_rate_max == 0)
        opts->connections_rate_max = INT32_MAX;
}

enum err
net_server_new(const struct net_server_opts *opts, struct net_server **out)
{
    ASSERT(opts->loop_count > 0 && opts->env != NULL);
    ASSERT(opts->handler != NULL && opts->handler->on_open != NULL);
    ASSERT(opts->handler->on_frame != NULL);
    struct net_server *server = mem_calloc(1, sizeof *server);
    if (server == NULL)
        return ERR_NOMEM;
    server->opts = *opts;
    defaults_fill(&server->opts);
    server->env = opts->env;
    server->reactors = mem_calloc((size_t)opts->loop_count, sizeof *server->reactors);
    server->overrides = mem_calloc((size_t)opts->override_count + 1, sizeof *server->overrides);
    if (server->reactors == NULL || server->overrides == NULL) {
        mem_free(server->overrides);
        mem_free(server->reactors);
        mem_free(server);
        return ERR_NOMEM;
    }
    for (int i = 0; i < opts->override_count; i++)
        server->overrides[i] = opts->overrides[i];
    list_init(&server->listeners);
    list_init(&server->closed_listeners);
    list_init(&server->handed);
    mutex_init(&server->mutex, MUTEX_RANK_LEAF);
    for (int i = 0; i < opts->loop_count; i++)
        reactor_init(&server->reactors[i], server, i);
    loop_timer_init(&server->rate_timer, server->reactors[0].loop, rate_resume);
    loop_task_init(&server->room_task, room_again);
    loop_task_init(&server->release_task, release);
    server->held = opts->held;
    server->rate_tokens = server->opts.connections_rate_max;
    server->rate_filled_ms = env_now_ms(server->env);
    atomic_store(&server->reactors_running, opts->loop_count);
    *out = server;
    return ERR_OK;
}

enum err
net_server_listen(struct net_server *server, const struct net_listen_opts *opts, uint16_t *port)
{
    struct sock_listen_opts listen = {
        .addr = opts->addr,
        .backlog = opts->backlog > 0 ? opts->backlog : BACKLOG_DEFAULT,
        .send_buffer_bytes =
            opts->send_buffer_bytes != 0 ? opts->send_buffer_bytes : NET_SEND_BUFFER_BYTES,
        .receive_buffer_bytes = opts->receive_buffer_bytes,
    };
    struct net_listener *listener = mem_calloc(1, sizeof *listener);
    if (listener == NULL)
        return ERR_NOMEM;
    listener->server = server;
    listener->name = mem_strndup(opts->name.data, opts->name.len);
    listener->counts = mem_calloc((size_t)server->opts.loop_count, sizeof *listener->counts);
    enum err err = listener->name == NULL || listener->counts == NULL ? ERR_NOMEM : ERR_OK;
    if (err == ERR_OK)
        err = sock_listen(server->reactors[0].loop, &listen, on_accept, listener, &listener->sock);
    if (err != ERR_OK) {
        mem_free(listener->counts);
        mem_free(listener->name);
        mem_free(listener);
        return err;
    }
    mutex_lock(&server->mutex);
    list_push(&server->listeners, &listener->link);
    if (server->held)
        sock_listener_pause(listener->sock, true);
    mutex_unlock(&server->mutex);
    if (port != NULL)
        *port = sock_listener_port(listener->sock);
    return ERR_OK;
}

void
net_server_stop(
    struct net_server *server, int64_t timeout_ms, void (*stopped)(void *ctx), void *ctx)
{
    ASSERT(!atomic_load(&server->stopping));
    server->stop_timeout_ms = timeout_ms > 0 ? timeout_ms : 0;
    server->stopped = stopped;
    server->stopped_ctx = ctx;
    atomic_store(&server->stopping, true);
    for (int i = 0; i < server->opts.loop_count; i++)
        loop_post(server->reactors[i].loop, &server->reactors[i].stop_task);
}

static void
reactor_fini(struct net_reactor *reactor)
{
    LIST_FOREACH (&reactor->conns, node) {
        net_conn_free_forced(LIST_ENTRY(node, struct net_conn, link));
    }
    ASSERT(list_empty(&reactor->conns) && reactor->open_count == 0);
    loop_timer_stop(&reactor->sweep);
    loop_timer_stop(&reactor->stop_timer);
    if (reactor->feed_task.queued)
        list_remove(&reactor->feed_task.link); /* deferred, and nobody will run it */
    if (reactor->turn_task.queued)
        list_remove(&reactor->turn_task.link);
    net_read_ins_fini(reactor);
    net_block_unref(&reactor->scratch);
    net_slot_pool_fini(&reactor->slots);
    net_block_pool_fini(&reactor->blocks);
}

static void
listeners_free(struct list *listeners)
{
    struct list *node;
    while ((node = list_pop(listeners)) != NULL) {
        struct net_listener *listener = LIST_ENTRY(node, struct net_listener, link);
        if (listener->sock != NULL)
            sock_listener_close(&listener->sock);
        mem_free(listener->counts);
        mem_free(listener->name);
        mem_free(listener);
    }
}

void
net_server_free(struct net_server **slot)
{
    struct net_server *server = *slot;
    if (server == NULL)
        return;
    *slot = NULL;
    server->freeing = true;
    server->room_posted = true; /* nobody is there to accept again */
    struct list *node;
    while ((node = list_pop(&server->handed)) != NULL) {
        struct net_conn *conn = LIST_ENTRY(node, struct net_conn, link);
        sock_close(&conn->sock);
        mutex_lock(&server->mutex);
        server->conn_count--;
        ip_count_remove(server, conn->ip_key);
        mutex_unlock(&server->mutex);
        mem_free(conn);
    }
    for (int i = 0; i < server->opts.loop_count; i++)
        reactor_fini(&server->reactors[i]);
    ASSERT(server->conn_count == 0 && server->ips == NULL); /* I1 */
    loop_timer_stop(&server->rate_timer);
    listeners_free(&server->listeners);
    listeners_free(&server->closed_listeners);
    mutex_fini(&server->mutex);
    mem_free(server->overrides);
    mem_free(server->reactors);
    mem_free(server);
}

static uint64_t
counter_get(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

void
net_server_counters(const struct net_server *server, struct net_counters *out)
{
    struct net_counters sum = {.connections_refused = counter_get(&server->refused)};
    for (int i = 0; i < server->opts.loop_count; i++) {
        const struct net_reactor_counters *c = &server->reactors[i].counters;
        sum.connections_opened += counter_get(&c->opened);
        sum.connections_closed += counter_get(&c->closed);
        sum.frames_received += counter_get(&c->frames);
        sum.responses_sent += counter_get(&c->responses);
        uint64_t left = counter_get(&c->left), answered = counter_get(&c->answered);
        sum.responses_waiting += answered > left ? answered - left : 0;
        sum.bytes_received += counter_get(&c->bytes_in);
        sum.bytes_sent += counter_get(&c->bytes_out);
        sum.closed_bad_frame += counter_get(&c->bad_frame);
        sum.closed_idle += counter_get(&c->idle);
        sum.closed_frame_deadline += counter_get(&c->frame_deadline);
        sum.closed_send_stall += counter_get(&c->send_stall);
        sum.closed_error += counter_get(&c->error);
    }
    *out = sum;
}

static void
each_listener(struct net_server *server, const struct list *listeners,
    void (*fn)(void *ctx, const struct net_listener_counters *counters), void *ctx)
{
    for (const struct list *node = listeners->next; node != listeners; node = node->next) {
        const struct net_listener *listener = LIST_ENTRY(node, struct net_listener, link);
        for (int i = 0; i < server->opts.loop_count; i++) {
            struct net_listener_counters counters = {
                .listener = str_of(listener->name),
                .reactor = i,
                .closed = counter_get(&listener->counts[i].closed),
                .opened = counter_get(&listener->counts[i].opened),
            };
            fn(ctx, &counters);
        }
    }
}

void
net_server_each_listener(struct net_server *server,
    void (*fn)(void *ctx, const struct net_listener_counters *counters), void *ctx)
{
    mutex_lock(&server->mutex);
    each_listener(server, &server->listeners, fn, ctx);
    each_listener(server, &server->closed_listeners, fn, ctx);
    mutex_unlock(&server->mutex);
}

int
net_server_connection_count(const struct net_server *server)
{
    struct net_counters c;
    net_server_counters(server, &c);
    return (int)(c.connections_opened - c.connections_closed);
}
