/* One connection: its life, its limits in time, and what it wants from the loop.
 *
 * What     Input (conn_in.c) makes slots of frames; output (conn_out.c) sends answered slots in
 *          order; this file opens, drains, closes and frees.
 * States   OPEN takes frames; DRAINING takes none and closes when the last slot has left; CLOSED
 *          has no socket, but lives on until the handler has ended every slot.
 * I1       The socket exists exactly in OPEN and DRAINING.
 * I2       refs = (socket) + slots + places in lists of turns and of reads + running events; freed
 *          at zero.
 * I3       Frames are taken only while slots < LIMIT_CONN_IN_FLIGHT, none of them holds, output is
 *          below LIMIT_CONN_OUTPUT_BYTES and LIMIT_CONN_OUTPUT_MEMORY, no throttle runs and memory
 *          is there; otherwise reading stops, and what was read already waits in `rest`. Where the
 *          reactor's frames are at their limit, who has requests in flight waits for these.
 * Threads  The reactor's loop only.
 * Errors   Whatever the network or the peer does ends in net_conn_close. */
#include "net/conn.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/limits.h"
#include "net/server_priv.h"

/* A peer that closed its side has mostly left altogether; it gets what is ready in this time. */
enum { HALF_CLOSED_MS = 5000 };

static const struct fsm_state conn_states[] = {
    [NET_CONN_OPEN] = {"open", FSM_BIT(NET_CONN_DRAINING) | FSM_BIT(NET_CONN_CLOSED)},
    [NET_CONN_DRAINING] = {"draining", FSM_BIT(NET_CONN_CLOSED)},
    [NET_CONN_CLOSED] = {"closed", 0},
};
static const struct fsm_table conn_table = {"net_conn", conn_states, COUNT_OF(conn_states)};

static const struct sock_events conn_events = {
    .readable = net_conn_readable,
    .writable = net_conn_writable,
};

static void
throttle_over(struct loop_timer *timer)
{
    struct net_conn *conn = CONTAINER_OF(timer, struct net_conn, throttle);
    net_conn_work_add(conn, NET_WORK_RESUME);
}

/* The socket never came to serve: it gives back its place in the counts. */
static void
conn_refuse(struct net_conn *conn, const char *reason)
{
    struct net_server *server = conn->server;
    atomic_fetch_add_explicit(&server->refused, 1, memory_order_relaxed);
    net_conn_close(conn, reason);
}

void
net_conn_open(struct loop_task *hand_over)
{
    struct net_conn *conn = CONTAINER_OF(hand_over, struct net_conn, hand_over);
    struct net_reactor *reactor = conn->reactor;
    struct net_server *server = conn->server;

    ASSERT(conn->sock != NULL && conn->refs == 1);
    fsm_init(&conn->fsm, &conn_table, NET_CONN_OPEN);
    list_init(&conn->slots);
    list_init(&conn->starved_link);
    list_init(&conn->flush_link);
    list_init(&conn->heavy_link);
    list_init(&conn->turns);
    list_init(&conn->read_in_link);
    conn->debt_ms = loop_now_ms(reactor->loop);
    loop_timer_init(&conn->throttle, reactor->loop, throttle_over);
    conn->frame_size_max = server->opts.frame_size_max;
    conn->io_ms = loop_now_ms(reactor->loop);
    mutex_lock(&server->mutex);
    list_remove(&conn->link);
    mutex_unlock(&server->mutex);
    list_push(&reactor->conns, &conn->link);
    reactor->open_count++;
    net_count(&reactor->counters.opened, 1);
    net_count(&conn->listener->counts[reactor->index].opened, 1);
    net_filter_init_plain(&conn->filter, conn->sock);

    if (reactor->stopping) {
        conn_refuse(conn, "stopping");
        return;
    }
    if (sock_attach(conn->sock, reactor->loop, &conn_events, conn) != ERR_OK) {
        conn_refuse(conn, "attach failed");
        return;
    }
    if (!server->opts.handler->on_open(server->opts.ctx, conn, &conn->user)) {
        conn_refuse(conn, "refused by handler");
        return;
    }
    conn->user_made = true;
    if (!loop_timer_running(&reactor->sweep)) {
        /* Without a timer only deadlines are lost; the next connection tries again. */
        if (loop_timer_start(&reactor->sweep, 1000) != ERR_OK)
            diag_event(env_diag(server->env), DIAG_WARN, "net", "sweep_not_started");
    }
    net_conn_wants_update(conn);
}

static void
conn_free(struct net_conn *conn)
{
    struct net_handler const *handler = conn->server->opts.handler;
    ASSERT(conn->sock == NULL);
    ASSERT(list_empty(&conn->slots));
    if (conn->user_made && handler->on_free != NULL)
        handler->on_free(conn->server->opts.ctx, conn->user);
    list_remove(&conn->link);
    mem_free(conn);
}

void
net_conn_unref(struct net_conn *conn)
{
    ASSERT(conn->refs > 0);
    if (--conn->refs == 0)
        conn_free(conn);
}

void
net_conn_close(struct net_conn *conn, const char *reason)
{
    struct net_reactor *reactor = conn->reactor;
    struct net_server *server = conn->server;

    if (conn->fsm.state == NET_CONN_CLOSED)
        return;
    fsm_move(&conn->fsm, NET_CONN_CLOSED);
    diag_event(env_diag(server->env), DIAG_DEBUG, "net", "connection_closed",
        DIAG_Z("peer", conn->peer_host), DIAG_I64("port", conn->peer_port),
        DIAG_Z("reason", reason));
    conn->refs++; /* until the end of this function */
    if (conn->filter.ops->fini != NULL)
        conn->filter.ops->fini(&conn->filter);
    sock_close(&conn->sock); /* I1 */
    conn->filter.sock = NULL;
    net_conn_read_in_drop(conn);
    loop_timer_stop(&conn->throttle);
    list_remove(&conn->starved_link);
    net_conn_input_clear(conn);
    net_conn_output_clear(conn, false);
    reactor->open_count--;
    net_count(&reactor->counters.closed, 1);
    net_count(&conn->listener->counts[reactor->index].closed, 1);
    net_reactor_conn_closed(reactor, conn);
    if (conn->user_made && server->opts.handler->on_close != NULL)
        server->opts.handler->on_close(server->opts.ctx, conn);
    net_conn_unref(conn); /* the socket's */
    net_conn_unref(conn);
}

void
net_conn_drain(struct net_conn *conn)
{
    if (conn->fsm.state != NET_CONN_OPEN)
        return;
    fsm_move(&conn->fsm, NET_CONN_DRAINING);
    net_conn_input_clear(conn);
    if (list_empty(&conn->slots))
        net_conn_close(conn, "drained");
    else
        net_conn_wants_update(conn);
}

void
net_conn_free_forced(struct net_conn *conn)
{
    conn->refs++;
    net_conn_close(conn, "server freed");
    net_conn_output_clear(conn, true);
    list_remove(&conn->flush_link); /* no turn will come */
    list_remove(&conn->heavy_link);
    conn->refs = 1;
    net_conn_unref(conn);
}

bool
net_conn_has_room(const struct net_conn *conn)
{
    return conn->fsm.state == NET_CONN_OPEN && conn->slot_count < LIMIT_CONN_IN_FLIGHT &&
           conn->output_bytes < LIMIT_CONN_OUTPUT_BYTES &&
           conn->output_memory < LIMIT_CONN_OUTPUT_MEMORY && !conn->starved &&
           conn->holder == NULL &&
           (conn->slot_count == 0 || !net_block_pool_is_full(&conn->reactor->blocks)) &&
           !loop_timer_running(&conn->throttle);
}

void
net_conn_wants_update(struct net_conn *conn)
{
    if (conn->sock == NULL)
        return;
    /* A draining peer is still listened to until its end of stream, so that a close is seen: what
     * it sends then is thrown away. */
    bool read = !conn->eof && (conn->fsm.state == NET_CONN_DRAINING ||
                                  (conn->rest == NULL && net_conn_has_room(conn)));
    bool write = conn->blocked;
    if (read == conn->wants_read && write == conn->wants_write)
        return;
    conn->wants_read = read;
    conn->wants_write = write;
    sock_want(conn->sock, read, write);
}

/* Memory that others wait for is not held by a frame that hardly moves. */
static bool
frame_is_in_the_way(const struct net_conn *conn, int64_t now_ms)
{
    int64_t late_ms = now_ms - conn->frame_started_ms - LIMIT_FRAME_GRACE_MS;
    return conn->frame != NULL && late_ms > 0 &&
           !list_empty(&conn->reactor->starved[net_block_lane(conn->frame_len)]) &&
           (int64_t)conn->frame_filled < late_ms * LIMIT_FRAME_RATE_WANTED / 1000;
}

static bool
frame_is_late(const struct net_conn *conn, int64_t now_ms)
{
    if (conn->frame_started_ms == 0)
        return false;
    if (frame_is_in_the_way(conn, now_ms))
        return true;
    int64_t allowed_ms = conn->server->opts.frame_deadline_ms +
                         (int64_t)conn->frame_len * 1000 / LIMIT_FRAME_RATE_MIN;
    return now_ms - conn->frame_started_ms > allowed_ms;
}

/* Closes what is idle, slow to send or slow to take. */
void
net_conn_sweep(struct net_conn *conn, int64_t now_ms)
{
    struct net_reactor *reactor = conn->reactor;
    const struct net_server_opts *opts = &conn->server->opts;

    if (conn->sock == NULL)
        return;
    if (conn->output_bytes > 0) {
        if (now_ms - conn->output_moved_ms > opts->send_stall_ms) {
            net_count(&reactor->counters.send_stall, 1);
            net_conn_close(conn, "takes no responses");
        }
        return;
    }
    if (conn->rest != NULL || !net_conn_has_room(conn)) {
        /* It is us who do not read. */
        if (conn->frame_started_ms != 0)
            conn->frame_started_ms = now_ms;
    } else if (frame_is_late(conn, now_ms)) {
        net_count(&reactor->counters.frame_deadline, 1);
        net_conn_close(conn, "frame took too long");
        return;
    }
    if (opts->idle_ms >= 0 && conn->slot_count == 0 && now_ms - conn->io_ms > opts->idle_ms) {
        net_count(&reactor->counters.idle, 1);
        net_conn_close(conn, "idle");
    } else if (conn->eof && (now_ms - conn->io_ms > opts->send_stall_ms ||
                                now_ms - conn->io_ms > HALF_CLOSED_MS)) {
        net_conn_close(conn, "peer left");
    }
}

void
net_conn_throttle(struct net_conn *conn, int64_t delay_ms)
{
    if (conn->sock == NULL || delay_ms <= 0)
        return;
    int64_t until_ms = loop_now_ms(conn->reactor->loop) + delay_ms;
    if (loop_timer_running(&conn->throttle) && conn->throttled_until_ms >= until_ms)
        return;
    if (loop_timer_start(&conn->throttle, delay_ms) == ERR_OK) {
        conn->throttled_until_ms = until_ms;
        net_conn_wants_update(conn);
    }
}

void
net_conn_set_frame_max(struct net_conn *conn, size_t size_bytes_max)
{
    size_t most = conn->server->opts.frame_size_max;
    conn->frame_size_max = size_bytes_max < most ? size_bytes_max : most;
}

void *
net_conn_user(const struct net_conn *conn)
{
    return conn->user;
}

struct loop *
net_conn_loop(const struct net_conn *conn)
{
    return conn->reactor->loop;
}

int
net_conn_reactor(const struct net_conn *conn)
{
    return conn->reactor->index;
}

struct str
net_conn_listener(const struct net_conn *conn)
{
    return str_of(conn->listener->name);
}

const char *
net_conn_peer_host(const struct net_conn *conn)
{
    return conn->peer_host;
}

uint16_t
net_conn_peer_port(const struct net_conn *conn)
{
    return conn->peer_port;
}

uint64_t
net_conn_id(const struct net_conn *conn)
{
    return conn->id;
}

bool
net_conn_is_open(const struct net_conn *conn)
{
    return conn->sock != NULL;
}

struct net_filter *
net_conn_filter(struct net_conn *conn)
{
    return &conn->filter;
}
