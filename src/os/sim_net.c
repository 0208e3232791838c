/* What: TCP between simulated hosts: byte streams with bounded buffers, delays, resets, cuts.
 *
 * A connection has two ends and two pipes; pipe i carries from end i to end 1-i. Bytes are accepted
 * into a pipe, become readable when their segment is delivered, and free their room when read.
 * What cannot be delivered (a cut link, a machine without power) is tried again for a time, then
 * the sender's end fails with TIMEOUT; what arrives where nobody is (closed, killed, rebooted)
 * brings a reset.
 * States of an end: none (not accepted yet, or gone for good) or a struct sim_sock, which is
 * connecting, connected, or failed (err, latched).
 * Invariants: I1 arrived <= len <= capacity. I2 a connection lives while it has an end. I3 an end
 * whose env is dead has left its connection.
 * Errors: CLOSED for resets and ends of stream. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include "base/assert.h"
#include "base/hash.h"
#include "os/sim_priv.h"

#define NS_PER_MS ((int64_t)1000000)

enum {
    NET_RETRY_MS = 200,
    NET_GIVE_UP_MS = 120000, /* undelivered for so long: the connection fails */
    NET_KEEPALIVE_MS = 60000,
    NET_PIPE_MIN = 4 << 10, /* capacities, picked per pipe */
    NET_PIPE_MAX = 256 << 10,
    NET_SHORT_PPM = 100000, /* reads and writes that do only a part */
};

struct sim_segment {
    struct list link;
    size_t len;
    int64_t at_ns;
};

struct sim_pipe {
    struct sim_event deliver;
    struct sim_conn *conn;
    uint8_t *ring;
    size_t capacity, head; /* head: the oldest byte */
    size_t len, arrived;   /* accepted and not read; of these readable */
    struct list segments;  /* what is under way, oldest first; len 0: a probe */
    int64_t stuck_ns;      /* since when nothing could be delivered; 0: not stuck */
    bool fin, fin_arrived;
};

struct sim_conn {
    struct list link;
    struct sim *sim;
    uint32_t id;
    struct sim_host *hosts[2];
    struct sim_sock *ends[2];
    struct sim_pipe pipes[2];
    struct sim_event handshake; /* the SYN on its way, then its answer */
    struct sim_event resets[2]; /* the end hears that the other is gone */
    enum err reset_errs[2];
    int64_t syn_start_ns;
    struct sock_addr from, to;
    bool answered; /* the handshake event carries the answer */
};

struct sim_sock {
    struct sock sock;
    struct list env_link;     /* env->socks */
    struct list loop_link;    /* loop->socks while attached */
    struct list pending_link; /* listener->pending until accepted */
    struct sim_env *env;
    struct sim_conn *conn; /* NULL: left it */
    int end;
    bool connected;
    enum err err;
};

struct sim_listener {
    struct sock_listener listener;
    struct list env_link;
    struct list loop_link;
    struct list pending; /* struct sim_sock nobody has accepted yet */
    struct sim_env *env;
    uint32_t ip; /* 0: any */
    int backlog, pending_count;
};

static const struct sock_ops sim_sock_ops;

static struct sim_sock *
sock_of(struct sock *sock)
{
    return (struct sim_sock *)sock;
}

static struct sim_loop *
loop_of(struct loop *loop)
{
    return (struct sim_loop *)loop;
}

/* ---- addresses ---- */

/* The host an address means to `self`; false for what is no address of this network. */
static bool
addr_ip(const struct sock_addr *addr, const struct sim_host *self, uint32_t *ip, uint16_t *port)
{
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)&addr->storage;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&addr->storage;
    if (addr->storage.ss_family == AF_INET) {
        *ip = ntohl(v4->sin_addr.s_addr);
        *port = ntohs(v4->sin_port);
    } else if (IN6_IS_ADDR_UNSPECIFIED(&v6->sin6_addr)) {
        *ip = 0;
        *port = ntohs(v6->sin6_port);
    } else if (IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr)) {
        *ip = self->ip;
        *port = ntohs(v6->sin6_port);
    } else {
        return false;
    }
    if (*ip >> 24 == 127)
        *ip = self->ip;
    return true;
}

static struct sock_addr
addr_make(uint32_t ip, uint16_t port)
{
    struct sock_addr addr = {.len = sizeof(struct sockaddr_in)};
    struct sockaddr_in *v4 = (struct sockaddr_in *)&addr.storage;
    v4->sin_family = AF_INET;
    v4->sin_addr.s_addr = htonl(ip);
    v4->sin_port = htons(port);
    return addr;
}

static uint16_t
host_port_next(struct sim_host *host)
{
    uint16_t port = host->port_next++;
    if (host->port_next == 0)
        host->port_next = 32768;
    return port;
}

enum err
sim_resolve(
    struct env *env, struct str host, uint16_t port, struct sock_addr *out, int max, int *count)
{
    struct sim_host *self = ((struct sim_env *)env)->host;
    (void)max;
    LIST_FOREACH (&self->sim->hosts, at) {
        struct sim_host *other = LIST_ENTRY(at, struct sim_host, link);
        if (str_eq_z(host, other->name) || (other == self && str_eq_z(host, "localhost"))) {
            *out = addr_make(other->ip, port);
            *count = 1;
            return ERR_OK;
        }
    }
    return ERR_NOTFOUND;
}

/* ---- pipes ---- */

static int64_t
conn_delay_ns(struct sim_conn *conn)
{
    const struct sim_link_faults *link = sim_link_find(conn->sim, conn->hosts[0], conn->hosts[1]);
    int64_t spread = link->delay_max_us - link->delay_min_us;
    return (link->delay_min_us + (int64_t)sim_below(conn->sim, (uint64_t)spread + 1)) * 1000;
}

/* Whether something sent now by one host can reach the other's kernel. */
static bool
conn_reaches(struct sim_conn *conn, int to)
{
    return conn->hosts[to] != NULL && conn->hosts[to]->power &&
           !sim_link_find(conn->sim, conn->hosts[0], conn->hosts[1])->cut;
}

static void
sock_kick(struct sim_sock *sock)
{
    if (sock != NULL && sock->sock.loop != NULL)
        sim_loop_kick(loop_of(sock->sock.loop));
}

static void
pipe_schedule(struct sim_pipe *pipe)
{
    if (!list_empty(&pipe->segments) && !sim_scheduled(&pipe->deliver))
        sim_schedule(pipe->conn->sim, &pipe->deliver,
            LIST_ENTRY(pipe->segments.next, struct sim_segment, link)->at_ns);
}

static void
pipe_segment_add(struct sim_pipe *pipe, size_t len, int64_t delay_ns)
{
    struct sim_segment *segment = sim_alloc(sizeof *segment);
    segment->len = len;
    segment->at_ns = pipe->conn->sim->now_ns + delay_ns;
    if (!list_empty(&pipe->segments)) { /* a stream keeps its order */
        int64_t last = LIST_ENTRY(pipe->segments.prev, struct sim_segment, link)->at_ns;
        segment->at_ns = segment->at_ns < last ? last : segment->at_ns;
    }
    list_push(&pipe->segments, &segment->link);
    pipe_schedule(pipe);
}

static void
pipe_segments_clear(struct sim_pipe *pipe)
{
    for (struct list *at; (at = list_pop(&pipe->segments)) != NULL;)
        sim_release(LIST_ENTRY(at, struct sim_segment, link));
    sim_unschedule(pipe->conn->sim, &pipe->deliver);
}

static size_t
pipe_put(struct sim_pipe *pipe, const uint8_t *data, size_t len)
{
    size_t room = pipe->capacity - pipe->len;
    len = len < room ? len : room;
    for (size_t done = 0; done < len;) {
        size_t at = (pipe->head + pipe->len) % pipe->capacity;
        size_t part = pipe->capacity - at < len - done ? pipe->capacity - at : len - done;
        memcpy(pipe->ring + at, data + done, part);
        pipe->len += part;
        done += part;
    }
    return len;
}

static size_t
pipe_get(struct sim_pipe *pipe, uint8_t *data, size_t len)
{
    ASSERT(pipe->arrived <= pipe->len && pipe->len <= pipe->capacity); /* I1 */
    len = len < pipe->arrived ? len : pipe->arrived;
    for (size_t done = 0; done < len;) {
        size_t part = pipe->capacity - pipe->head;
        part = part < len - done ? part : len - done;
        memcpy(data + done, pipe->ring + pipe->head, part);
        pipe->head = (pipe->head + part) % pipe->capacity;
        pipe->len -= part;
        pipe->arrived -= part;
        done += part;
    }
    return len;
}

/* ---- ends of connections ---- */

static void
end_reset_later(struct sim_conn *conn, int end, enum err err)
{
    if (conn->ends[end] == NULL || sim_scheduled(&conn->resets[end]))
        return;
    conn->reset_errs[end] = err;
    sim_schedule(conn->sim, &conn->resets[end], conn->sim->now_ns + conn_delay_ns(conn));
}

static void
on_reset(struct sim_event *event, int end)
{
    struct sim_conn *conn = end == 0 ? CONTAINER_OF(event, struct sim_conn, resets[0])
                                     : CONTAINER_OF(event, struct sim_conn, resets[1]);
    struct sim_sock *sock = conn->ends[end];
    if (sock == NULL || sock->err != ERR_OK)
        return;
    if (sim_link_find(conn->sim, conn->hosts[0], conn->hosts[1])->cut &&
        conn->reset_errs[end] == ERR_CLOSED) { /* it is lost; the sender of data finds out */
        pipe_segment_add(&conn->pipes[end], 0, NET_KEEPALIVE_MS * NS_PER_MS);
        return;
    }
    sock->err = conn->reset_errs[end];
    if (sim_below(conn->sim, 2) == 0) { /* a reset may overtake what was not read yet */
        struct sim_pipe *in = &conn->pipes[1 - end];
        pipe_segments_clear(in);
        in->arrived = in->len = 0;
    }
    pipe_segments_clear(&conn->pipes[end]);
    sock_kick(sock);
}

static void
on_reset_0(struct sim_event *event)
{
    on_reset(event, 0);
}

static void
on_reset_1(struct sim_event *event)
{
    on_reset(event, 1);
}

static void
on_deliver(struct sim_event *event)
{
    struct sim_pipe *pipe = CONTAINER_OF(event, struct sim_pipe, deliver);
    struct sim_conn *conn = pipe->conn;
    struct sim *sim = conn->sim;
    int from = pipe == &conn->pipes[0] ? 0 : 1, to = 1 - from;
    if (!conn_reaches(conn, to)) {
        if (pipe->stuck_ns == 0)
            pipe->stuck_ns = sim->now_ns;
        if (sim->now_ns - pipe->stuck_ns < NET_GIVE_UP_MS * NS_PER_MS) {
            int64_t wait = NET_RETRY_MS + (int64_t)sim_below(sim, NET_RETRY_MS * 4);
            sim_schedule(sim, &pipe->deliver, sim->now_ns + wait * NS_PER_MS);
        } else {
            end_reset_later(conn, from, ERR_TIMEOUT);
            if (conn->ends[from] == NULL) /* its goodbye was lost: the other finds out alone */
                pipe_segment_add(&conn->pipes[to], 0, NET_KEEPALIVE_MS * NS_PER_MS);
        }
        return;
    }
    pipe->stuck_ns = 0;
    struct sim_sock *sock = conn->ends[to];
    if (sock == NULL || sock->err != ERR_OK) {
        pipe_segments_clear(pipe);
        end_reset_later(conn, from, ERR_CLOSED);
        return;
    }
    while (!list_empty(&pipe->segments)) {
        struct sim_segment *segment = LIST_ENTRY(pipe->segments.next, struct sim_segment, link);
        if (segment->at_ns > sim->now_ns)
            break;
        pipe->arrived += segment->len;
        list_remove(&segment->link);
        sim_release(segment);
    }
    ASSERT(pipe->arrived <= pipe->len); /* I1 */
    pipe->fin_arrived = pipe->fin && list_empty(&pipe->segments);
    sock->connected = true; /* data may overtake the answer to the SYN in our bookkeeping */
    pipe_schedule(pipe);
    sock_kick(sock);
}

static void
conn_free(struct sim_conn *conn)
{
    for (int i = 0; i < 2; i++) {
        pipe_segments_clear(&conn->pipes[i]);
        sim_unschedule(conn->sim, &conn->resets[i]);
        sim_release(conn->pipes[i].ring);
    }
    sim_unschedule(conn->sim, &conn->handshake);
    list_remove(&conn->link);
    sim_release(conn);
}

/* The end leaves: politely, with a reset because it had not read all, or without a word. */
static void
end_leave(struct sim_sock *sock, bool silent)
{
    struct sim_conn *conn = sock->conn;
    int end = sock->end, peer = 1 - end;
    if (conn == NULL)
        return;
    sock->conn = NULL;
    conn->ends[end] = NULL;
    if (conn->ends[peer] == NULL) { /* I2 */
        conn_free(conn);
        return;
    }
    if (silent) {
        pipe_segments_clear(&conn->pipes[end]);
        pipe_segment_add(&conn->pipes[peer], 0, NET_KEEPALIVE_MS * NS_PER_MS);
    } else if (sock->err != ERR_OK || conn->pipes[peer].arrived > 0) {
        end_reset_later(conn, peer, ERR_CLOSED);
    } else {
        conn->pipes[end].fin = true;
        pipe_segment_add(&conn->pipes[end], 0, conn_delay_ns(conn));
    }
}

static struct sim_sock *
sim_sock_new(struct sim_env *env, struct sim_conn *conn, int end)
{
    struct sim_sock *sock = sim_alloc(sizeof *sock);
    sock->sock.ops = &sim_sock_ops;
    sock->env = env;
    sock->conn = conn;
    sock->end = end;
    list_init(&sock->loop_link);
    list_init(&sock->pending_link);
    list_push(&env->socks, &sock->env_link);
    conn->ends[end] = sock;
    return sock;
}

/* ---- connecting ---- */

static struct sim_listener *
listener_find(struct sim_host *host, uint16_t port)
{
    if (host->env == NULL)
        return NULL;
    LIST_FOREACH (&host->env->listeners, at) {
        struct sim_listener *l = LIST_ENTRY(at, struct sim_listener, env_link);
        if (l->listener.port == port)
            return l;
    }
    return NULL;
}

/* The SYN has reached the other kernel. */
static void
syn_arrived(struct sim_conn *conn, uint16_t port)
{
    struct sim_listener *l = listener_find(conn->hosts[1], port);
    if (l == NULL) {
        end_reset_later(conn, 0, ERR_REFUSED);
        return;
    }
    if (l->pending_count >= l->backlog) { /* dropped, as a kernel does: the SYN comes again */
        sim_schedule(conn->sim, &conn->handshake, conn->sim->now_ns + 1000 * NS_PER_MS);
        return;
    }
    struct sim_sock *sock = sim_sock_new(l->env, conn, 1);
    sock->connected = true;
    sock->sock.peer = conn->from;
    list_push(&l->pending, &sock->pending_link);
    l->pending_count++;
    sim_loop_kick(loop_of(l->listener.loop));
    conn->answered = true;
    sim_schedule(conn->sim, &conn->handshake, conn->sim->now_ns + conn_delay_ns(conn));
}

static void
on_handshake(struct sim_event *event)
{
    struct sim_conn *conn = CONTAINER_OF(event, struct sim_conn, handshake);
    struct sim *sim = conn->sim;
    struct sim_sock *sock = conn->ends[0];
    uint32_t ip;
    uint16_t port;
    if (sock == NULL)
        return;
    if (!conn_reaches(conn, conn->answered ? 0 : 1)) {
        if (sim->now_ns - conn->syn_start_ns >= NET_GIVE_UP_MS * NS_PER_MS)
            end_reset_later(conn, 0, ERR_TIMEOUT);
        else
            sim_schedule(sim, event, sim->now_ns + 1000 * NS_PER_MS);
        return;
    }
    if (conn->answered) {
        sock->connected = true;
        sock_kick(sock);
        return;
    }
    bool known = addr_ip(&conn->to, conn->hosts[0], &ip, &port);
    ASSERT(known);
    syn_arrived(conn, port);
}

static void
conn_init(struct sim_conn *conn, struct sim *sim)
{
    static void (*const on_resets[2])(struct sim_event * event) = {on_reset_0, on_reset_1};
    conn->sim = sim;
    conn->id = sim->id_next++;
    conn->syn_start_ns = sim->now_ns;
    sim_event_init(&conn->handshake, NULL, SIM_EVENT_SYN, conn->id, on_handshake);
    for (int i = 0; i < 2; i++) {
        struct sim_pipe *pipe = &conn->pipes[i];
        pipe->conn = conn;
        pipe->capacity = NET_PIPE_MIN + sim_below(sim, NET_PIPE_MAX - NET_PIPE_MIN);
        pipe->ring = sim_alloc(pipe->capacity);
        list_init(&pipe->segments);
        sim_event_init(&pipe->deliver, NULL, SIM_EVENT_DELIVER, conn->id, on_deliver);
        sim_event_init(&conn->resets[i], NULL, SIM_EVENT_RESET, conn->id, on_resets[i]);
    }
    list_push(&sim->conns, &conn->link);
}

static void
sock_enter_loop(struct sim_sock *sock, struct loop *loop)
{
    sock->sock.loop = loop;
    list_push(&loop_of(loop)->socks, &sock->loop_link);
}

enum err
sim_connect(struct loop *loop, const struct sock_addr *addr, struct sock **out)
{
    struct sim_env *env = loop_of(loop)->env;
    struct sim *sim = env->host->sim;
    uint32_t ip;
    uint16_t port;
    struct sim_fate fate = sim_fate(env, SIM_OP_ANY, NULL);
    if (fate.err != ERR_OK)
        return sim_fate_end(env, &fate);
    if (!addr_ip(addr, env->host, &ip, &port))
        return ERR_INVALID;
    struct sim_conn *conn = sim_alloc(sizeof *conn);
    conn_init(conn, sim);
    conn->hosts[0] = env->host;
    conn->hosts[1] = sim_host_find(sim, ip == 0 ? env->host->ip : ip);
    conn->from = addr_make(env->host->ip, host_port_next(env->host));
    conn->to = *addr;
    struct sim_sock *sock = sim_sock_new(env, conn, 0);
    sock_enter_loop(sock, loop);
    sim_schedule(sim, &conn->handshake, sim->now_ns + conn_delay_ns(conn));
    *out = &sock->sock;
    return ERR_OK;
}

/* ---- the table of a socket ---- */

static enum err
sim_sock_attach(struct sock *base, struct loop *loop)
{
    struct sim_sock *sock = sock_of(base);
    if (sock->env->dead)
        return ERR_FAILED;
    ASSERT(loop_of(loop)->env == sock->env);
    sock_enter_loop(sock, loop);
    sim_loop_kick(loop_of(loop));
    return ERR_OK;
}

static void
sim_sock_want_changed(struct sock *base)
{
    sock_kick(sock_of(base));
}

static enum err
sim_sock_read(struct sock *base, void *data, size_t len, size_t *n)
{
    struct sim_sock *sock = sock_of(base);
    struct sim_fate fate = sim_fate(sock->env, SIM_OP_ANY, NULL);
    if (fate.err != ERR_OK)
        return sim_fate_end(sock->env, &fate);
    struct sim *sim = sock->env->host->sim;
    struct sim_conn *conn = sock->conn;
    ASSERT(conn != NULL); /* I3 */
    struct sim_pipe *in = &conn->pipes[1 - sock->end];
    if (in->arrived > 0) {
        if (sim_chance(sim, NET_SHORT_PPM))
            len = 1 + (size_t)sim_below(sim, len);
        *n = pipe_get(in, data, len);
        sim_trace(sim, SIM_EVENT_SOCK, conn->id, hash_bytes(data, *n));
        sock_kick(conn->ends[1 - sock->end]); /* room again */
        return ERR_OK;
    }
    if (sock->err != ERR_OK)
        return sock->err;
    return in->fin_arrived ? ERR_CLOSED : ERR_AGAIN;
}

/* The connection breaks under a write: an end of what was sent never arrives. */
static void
sock_break(struct sim_sock *sock)
{
    struct sim_conn *conn = sock->conn;
    struct sim_pipe *out = &conn->pipes[sock->end];
    size_t under_way = out->len - out->arrived;
    size_t arrives = under_way == 0 ? 0 : (size_t)sim_below(conn->sim, under_way + 1);
    conn->sim->faults++;
    pipe_segments_clear(out);
    out->len = out->arrived + arrives;
    if (arrives > 0)
        pipe_segment_add(out, arrives, conn_delay_ns(conn));
    out->fin = false;
    sock->err = ERR_CLOSED;
    end_reset_later(conn, 1 - sock->end, ERR_CLOSED);
    sock_kick(sock);
}

/* The beginning of a write: its error, or OK and the pipe to fill. */
static enum err
sock_write_begin(struct sim_sock *sock, struct sim_pipe **out)
{
    struct sim_fate fate = sim_fate(sock->env, SIM_OP_ANY, NULL);
    if (fate.err != ERR_OK)
        return sim_fate_end(sock->env, &fate);
    struct sim_conn *conn = sock->conn;
    ASSERT(conn != NULL); /* I3 */
    if (sock->err != ERR_OK)
        return sock->err;
    if (!sock->connected)
        return ERR_AGAIN;
    const struct sim_link_faults *link = sim_link_find(conn->sim, conn->hosts[0], conn->hosts[1]);
    if (sim_chance(conn->sim, link->reset_ppm)) {
        sock_break(sock);
        return sock->err;
    }
    *out = &conn->pipes[sock->end];
    return (*out)->len < (*out)->capacity ? ERR_OK : ERR_AGAIN;
}

static size_t
sock_write_some(struct sim_sock *sock, struct sim_pipe *pipe, struct bytes data)
{
    size_t done = pipe_put(pipe, data.data, data.len);
    sim_trace(sock->env->host->sim, SIM_EVENT_SOCK, sock->conn->id, hash_bytes(data.data, done));
    return done;
}

static enum err
sim_sock_writev(struct sock *base, const struct bytes *parts, int count, size_t *n)
{
    struct sim_sock *sock = sock_of(base);
    struct sim_pipe *pipe = NULL;
    size_t total = 0, done = 0;
    enum err err = sock_write_begin(sock, &pipe);
    if (err != ERR_OK)
        return err;
    for (int i = 0; i < count; i++)
        total += parts[i].len;
    if (total > 1 && sim_chance(sock->env->host->sim, NET_SHORT_PPM))
        total = 1 + (size_t)sim_below(sock->env->host->sim, total);
    for (int i = 0; i < count && done < total; i++) {
        size_t len = parts[i].len < total - done ? parts[i].len : total - done;
        size_t put = sock_write_some(sock, pipe, (struct bytes){parts[i].data, len});
        done += put;
        if (put < len)
            break;
    }
    if (done > 0)
        pipe_segment_add(pipe, done, conn_delay_ns(sock->conn));
    *n = done;
    return ERR_OK;
}

static enum err
sim_sock_sendfile(struct sock *base, struct env_file *file, int64_t position, size_t len, size_t *n)
{
    struct sim_sock *sock = sock_of(base);
    struct sim_pipe *pipe = NULL;
    enum err err = sock_write_begin(sock, &pipe);
    if (err != ERR_OK)
        return err;
    struct bytes view = sim_file_view(file, position, len);
    if (view.len == 0)
        return ERR_TRUNCATED;
    *n = sock_write_some(sock, pipe, view);
    pipe_segment_add(pipe, *n, conn_delay_ns(sock->conn));
    return ERR_OK;
}

static enum err
sim_sock_connect_result(struct sock *base)
{
    struct sim_sock *sock = sock_of(base);
    if (sock->env->dead)
        return ERR_FAILED;
    if (sock->connected)
        return ERR_OK;
    return sock->err != ERR_OK ? sock->err : ERR_AGAIN;
}

static void
sim_sock_close(struct sock *base)
{
    struct sim_sock *sock = sock_of(base);
    if (sock->env->host->env == sock->env)
        sim_trace(sock->env->host->sim, SIM_EVENT_SOCK, sock->conn->id, 0);
    end_leave(sock, false);
    list_remove(&sock->env_link);
    list_remove(&sock->loop_link);
    list_remove(&sock->pending_link);
    sim_release(sock);
}

static const struct sock_ops sim_sock_ops = {
    .attach = sim_sock_attach,
    .want_changed = sim_sock_want_changed,
    .read = sim_sock_read,
    .writev = sim_sock_writev,
    .sendfile = sim_sock_sendfile,
    .connect_result = sim_sock_connect_result,
    .close = sim_sock_close,
};

/* ---- listeners ---- */

static void
sim_listener_pause(struct sock_listener *base, bool paused)
{
    (void)paused;
    sim_loop_kick(loop_of(base->loop));
}

static void
listener_drop_pending(struct sim_listener *l)
{
    while (!list_empty(&l->pending))
        sim_sock_close(&LIST_ENTRY(l->pending.next, struct sim_sock, pending_link)->sock);
    l->pending_count = 0;
}

static void
sim_listener_close(struct sock_listener *base)
{
    struct sim_listener *l = (struct sim_listener *)base;
    listener_drop_pending(l);
    list_remove(&l->env_link);
    list_remove(&l->loop_link);
    sim_release(l);
}

static const struct sock_listener_ops sim_listener_ops = {
    .pause = sim_listener_pause,
    .close = sim_listener_close,
};

enum err
sim_listen(struct loop *loop, const struct sock_listen_opts *opts,
    void (*on_accept)(void *ctx, struct sock *sock), void *ctx, struct sock_listener **out)
{
    struct sim_env *env = loop_of(loop)->env;
    uint32_t ip;
    uint16_t port;
    struct sim_fate fate = sim_fate(env, SIM_OP_ANY, NULL);
    if (fate.err != ERR_OK)
        return sim_fate_end(env, &fate);
    if (!addr_ip(&opts->addr, env->host, &ip, &port) || (ip != 0 && ip != env->host->ip))
        return ERR_INVALID;
    if (port == 0)
        while (listener_find(env->host, port = host_port_next(env->host)) != NULL)
            ;
    if (listener_find(env->host, port) != NULL)
        return ERR_BUSY;
    struct sim_listener *l = sim_alloc(sizeof *l);
    l->listener = (struct sock_listener){
        .ops = &sim_listener_ops, .loop = loop, .on_accept = on_accept, .ctx = ctx, .port = port};
    l->env = env;
    l->ip = ip;
    l->backlog = opts->backlog > 0 ? opts->backlog : 1;
    list_init(&l->pending);
    list_push(&env->listeners, &l->env_link);
    list_push(&loop_of(loop)->listeners, &l->loop_link);
    *out = &l->listener;
    return ERR_OK;
}

/* ---- events of a loop ---- */

static bool
sock_readable(const struct sim_sock *sock)
{
    const struct sim_pipe *in = &sock->conn->pipes[1 - sock->end];
    return sock->sock.want_read && (in->arrived > 0 || in->fin_arrived || sock->err != ERR_OK);
}

static bool
sock_writable(const struct sim_sock *sock)
{
    const struct sim_pipe *out = &sock->conn->pipes[sock->end];
    return sock->sock.want_write &&
           (sock->err != ERR_OK || (sock->connected && out->len < out->capacity));
}

static bool
listener_ready(const struct sim_listener *l)
{
    return !l->listener.paused && !list_empty(&l->pending);
}

/* Counts the ready callbacks of the loop; runs the one numbered `pick`. */
static size_t
net_visit(struct sim_loop *loop, size_t pick)
{
    size_t count = 0;
    LIST_FOREACH (&loop->socks, at) {
        struct sim_sock *sock = LIST_ENTRY(at, struct sim_sock, loop_link);
        if (sock_readable(sock) && count++ == pick) {
            sock->sock.events->readable(sock->sock.ctx);
            return count;
        }
        if (sock_writable(sock) && count++ == pick) {
            sock->sock.events->writable(sock->sock.ctx);
            return count;
        }
    }
    LIST_FOREACH (&loop->listeners, at) {
        struct sim_listener *l = LIST_ENTRY(at, struct sim_listener, loop_link);
        if (!listener_ready(l) || count++ != pick)
            continue;
        struct list *first = list_pop(&l->pending);
        l->pending_count--;
        l->listener.on_accept(
            l->listener.ctx, &LIST_ENTRY(first, struct sim_sock, pending_link)->sock);
        return count;
    }
    return count;
}

bool
sim_net_event(struct sim_loop *loop, bool probe)
{
    if (loop->env->dead)
        return false;
    size_t count = net_visit(loop, SIZE_MAX);
    if (count > 0 && !probe)
        net_visit(loop, (size_t)sim_below(loop->env->host->sim, count));
    return count > 0;
}

/* ---- crashes ---- */

void
sim_net_crash(struct sim_env *env, enum sim_crash kind)
{
    LIST_FOREACH (&env->listeners, at) {
        struct sim_listener *l = LIST_ENTRY(at, struct sim_listener, env_link);
        /* What was never accepted has no owner who would free it. */
        while (!list_empty(&l->pending)) {
            struct sim_sock *sock = LIST_ENTRY(l->pending.next, struct sim_sock, pending_link);
            end_leave(sock, kind == SIM_CRASH_POWER);
            list_remove(&sock->pending_link);
            list_remove(&sock->env_link);
            sim_release(sock);
        }
        l->pending_count = 0;
    }
    LIST_FOREACH (&env->socks, at)
        end_leave(LIST_ENTRY(at, struct sim_sock, env_link), kind == SIM_CRASH_POWER);
}

void
sim_net_fini(struct sim *sim)
{
    ASSERT(list_empty(&sim->conns)); /* I2, and all ends were closed */
    (void)sim;
}
