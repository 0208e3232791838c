/* Who is served when: light connections at once, heavy ones in slices of the loop's turns.
 *
 * What     Service is paid for in units: a byte taken, four bytes sent, 2048 a request, or the
 *          nanoseconds that it took where these are more. A connection that owes few is light: its
 *          events are served as they come, but briefly, its answers leave at the turn's end. What a
 *          heavy one has to do waits in reactor->heavy; each turn serves from its front, a quantum
 *          a connection, until a slice is spent. Then the loop looks for events again, so that a
 *          light connection waits for one slice, however many heavy ones there are. What a new one
 *          asks for first may be dear, so it waits there too.
 * States   of a connection: idle; sending (in reactor->flushes); waiting (in reactor->heavy, with
 *          its work); serving. Sending and waiting can both be.
 * I1       A connection in a list is referenced by it; work is not empty exactly in heavy, but for
 *          the one that is being served.
 * I2       turn_task is queued or running while one of the lists is not empty.
 * Threads  The reactor's loop only. */
#include "base/assert.h"
#include "base/limits.h"
#include "net/server_priv.h"

enum {
    /* As long as a light connection was served in this time, slices are short. */
    LIGHT_SEEN_MS = 20,
    /* Time counts less for what is owed: the kernel may have taken it, and small requests cost some
     * microseconds each on a slow machine. */
    DEBT_NS_PER_UNIT = 8,
    VISIT_UNITS = 512, /* of a slice: it ends, whatever a visit does */
    BRIEF_NS = 50000,
    QUANTUM_NS = 200000,
};

static bool
light_was_seen(const struct net_reactor *reactor)
{
    return loop_now_ms(reactor->loop) - reactor->light_ms <= LIGHT_SEEN_MS;
}

bool
net_conn_is_watched(const struct net_conn *conn)
{
    return light_was_seen(conn->reactor);
}

static void
turn_soon(struct net_reactor *reactor)
{
    if (!reactor->turning && !reactor->turn_task.queued)
        loop_defer(reactor->loop, &reactor->turn_task);
}

static bool
is_light(struct net_conn *conn)
{
    int64_t now_ms = loop_now_ms(conn->reactor->loop);
    int64_t forgiven = (now_ms - conn->debt_ms) * LIMIT_TURN_FORGIVEN_MS;
    conn->debt_ms = now_ms;
    conn->debt = conn->debt > forgiven ? conn->debt - forgiven : 0;
    return conn->debt <= LIMIT_TURN_LIGHT;
}

bool
net_conn_turn_is_over(const struct net_conn *conn)
{
    if (conn->spent >= (conn->brief ? LIMIT_TURN_LIGHT_QUANTUM : LIMIT_TURN_QUANTUM))
        return true;
    bool brief = conn->brief || conn->reactor->watched;
    return conn->seen_ns - conn->began_ns >= (brief ? BRIEF_NS : QUANTUM_NS);
}

void
net_conn_work_add(struct net_conn *conn, unsigned work)
{
    struct net_reactor *reactor = conn->reactor;
    ASSERT(work != 0);
    conn->work |= work;
    if (conn->serving || !list_empty(&conn->heavy_link))
        return;
    conn->refs++;
    list_push(&reactor->heavy, &conn->heavy_link);
    turn_soon(reactor);
}

bool
net_conn_must_wait(struct net_conn *conn)
{
    return !list_empty(&conn->heavy_link) || !is_light(conn);
}

void
net_conn_flush_soon(struct net_conn *conn)
{
    struct net_reactor *reactor = conn->reactor;
    if (conn->blocked || conn->reading_in || !list_empty(&conn->flush_link))
        return;
    if (conn->serving || net_conn_must_wait(conn)) {
        net_conn_work_add(conn, NET_WORK_SEND);
        return;
    }
    conn->refs++;
    list_push(&reactor->flushes, &conn->flush_link);
    turn_soon(reactor);
}

/* Of the time of a service, what the connection has to answer for: a light one that had to wait for
 * a lock of a heavy one, or for a processor, must not become heavy by that. Where nobody waits
 * there is nothing to lose, and the clock costs too much. */
static int64_t
used_ns(const struct net_conn *conn, int64_t ns)
{
    if (conn->thread_ns < 0 || ns < BRIEF_NS)
        return ns;
    int64_t used = env_thread_ns(conn->server->env) - conn->thread_ns;
    return used < ns ? used : ns;
}

/* What the service just given is worth; remembers it. */
static int64_t
charge(struct net_conn *conn)
{
    int64_t units = (int64_t)conn->spent, ns = conn->seen_ns - conn->began_ns;
    ASSERT(ns >= 0);
    (void)is_light(conn); /* forgives until now */
    int64_t owed = used_ns(conn, ns) / DEBT_NS_PER_UNIT;
    conn->debt += owed > units ? owed : units;
    if (conn->debt > LIMIT_TURN_DEBT)
        conn->debt = LIMIT_TURN_DEBT;
    return ns > units ? ns : units;
}

/* Hands slots that wait to the handler again, a quantum of them. */
static void
give_turns(struct net_conn *conn)
{
    struct net_server *server = conn->server;
    struct list *node;
    if (conn->began_ns == 0)
        conn->began_ns = conn->seen_ns = env_now_ns(server->env);
    while (!net_conn_turn_is_over(conn) && (node = list_pop(&conn->turns)) != NULL) {
        struct net_slot *slot = LIST_ENTRY(node, struct net_slot, turn_link);
        bool dear = slot->dear || slot == conn->holder;
        conn->spent += LIMIT_TURN_REQUEST;
        server->opts.handler->on_turn(server->opts.ctx, conn, slot);
        if (dear) /* what it did may not show in an answer */
            conn->seen_ns = env_now_ns(server->env);
    }
    if (!list_empty(&conn->turns))
        conn->work |= NET_WORK_TURN;
}

/* Does it now, one quantum of it; gives the units spent. */
static int64_t
serve(struct net_conn *conn, unsigned work, bool brief)
{
    ASSERT(!conn->serving);
    conn->refs++;
    if (!list_empty(&conn->heavy_link)) { /* it need not come back for that */
        list_remove(&conn->heavy_link);
        conn->refs--;
        work |= conn->work;
    }
    conn->work = 0;
    conn->serving = true;
    conn->brief = brief;
    conn->spent = 0;
    conn->began_ns = conn->seen_ns = 0;
    conn->thread_ns = list_empty(&conn->reactor->heavy) ? -1 : env_thread_ns(conn->server->env);
    if ((work & NET_WORK_TURN) != 0)
        give_turns(conn);
    if ((work & NET_WORK_SEND) != 0)
        net_conn_flush(conn);
    if ((work & (NET_WORK_SEND | NET_WORK_RESUME)) != 0)
        net_conn_input_resume(conn);
    if ((work & NET_WORK_READ) != 0)
        net_conn_read(conn);
    int64_t units = charge(conn);
    bool light = conn->debt <= LIMIT_TURN_LIGHT;
    conn->known = conn->known || (light && conn->spent > 0);
    if ((conn->work & NET_WORK_SEND) != 0 && !light && !net_conn_turn_is_over(conn)) {
        conn->work &= ~(unsigned)NET_WORK_SEND;
        net_conn_flush(conn); /* the answers of this visit */
    }
    conn->serving = false;
    unsigned more = conn->work;
    conn->work = 0;
    if ((more & NET_WORK_TURN) != 0)
        net_conn_work_add(conn, NET_WORK_TURN);
    if (conn->sock != NULL) {
        if ((more & NET_WORK_SEND) != 0)
            net_conn_flush_soon(conn);
        if (net_conn_input_waits(conn) && net_conn_has_room(conn))
            net_conn_work_add(conn, NET_WORK_RESUME);
        net_conn_wants_update(conn);
    }
    net_conn_unref(conn);
    return units;
}

int64_t
net_conn_serve(struct net_conn *conn, unsigned work)
{
    return serve(conn, work, true);
}

void
net_conn_readable(void *ctx)
{
    struct net_conn *conn = ctx;
    if (!conn->known || net_conn_must_wait(conn)) {
        net_conn_work_add(conn, NET_WORK_READ);
        return;
    }
    conn->reactor->light_ms = loop_now_ms(conn->reactor->loop);
    serve(conn, NET_WORK_READ, true);
}

void
net_conn_writable(void *ctx)
{
    struct net_conn *conn = ctx;
    if (net_conn_must_wait(conn))
        net_conn_work_add(conn, NET_WORK_SEND);
    else
        serve(conn, NET_WORK_SEND, true);
}

/* Those that were put there when it began; the others are for the next turn. */
static void
flush_light(struct net_reactor *reactor)
{
    struct list now, *node;
    list_init(&now);
    list_splice(&now, &reactor->flushes);
    while ((node = list_pop(&now)) != NULL) {
        struct net_conn *conn = LIST_ENTRY(node, struct net_conn, flush_link);
        if (conn->sock != NULL)
            serve(conn, NET_WORK_SEND, true);
        net_conn_unref(conn);
    }
}

static void
serve_heavy(struct net_reactor *reactor)
{
    reactor->watched = light_was_seen(reactor);
    int64_t left = reactor->watched ? LIMIT_TURN_SLICE : LIMIT_TURN_SLICE_ALONE;
    struct list *node;
    while (left > 0 && (node = list_pop(&reactor->heavy)) != NULL) {
        struct net_conn *conn = LIST_ENTRY(node, struct net_conn, heavy_link);
        if (conn->sock != NULL || (conn->work & NET_WORK_TURN) != 0)
            left -= serve(conn, conn->work, false);
        net_conn_unref(conn);
    }
    reactor->watched = false;
}

void
net_turn_run(struct loop_task *task)
{
    struct net_reactor *reactor = CONTAINER_OF(task, struct net_reactor, turn_task);
    reactor->turning = true;
    flush_light(reactor);
    serve_heavy(reactor);
    flush_light(reactor);
    reactor->turning = false;
    if (!list_empty(&reactor->heavy) || !list_empty(&reactor->flushes))
        turn_soon(reactor); /* I2 */
}
