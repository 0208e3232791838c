/* net/server.h - listeners, the reactors that serve their connections, and the limits on both.
 *
 * The server runs on loops that others own. Connections are accepted on the first loop and handed
 * round to all of them; a connection stays with its loop. It works the same on simulated loops. */
#ifndef NET_SERVER_H
#define NET_SERVER_H

#include <stdint.h>

#include "net/conn.h"
#include "os/loop.h"

struct net_server;

/* Called on the connection's loop. */
struct net_handler {
    /* Makes what net_conn_user will return. False refuses the connection. */
    bool (*on_open)(void *ctx, struct net_conn *conn, void **user);
    /* One whole frame. The handler ends the slot, now or later. */
    void (*on_frame)(void *ctx, struct net_conn *conn, struct net_slot *slot);
    /* After net_slot_waits. May be NULL when that is not used. */
    void (*on_turn)(void *ctx, struct net_conn *conn, struct net_slot *slot);
    /* The socket is gone; pending slots are still to be ended. May be NULL. */
    void (*on_close)(void *ctx, struct net_conn *conn);
    /* The last slot was ended (or the server is freed): frees the user's part. May be NULL. */
    void (*on_free)(void *ctx, void *user);
    /* The last byte of the slot's response was written, at sent_ns; sending it began at sending_ns.
     * Not for responses that their connection did not live to send. Only looks. May be NULL. */
    void (*on_sent)(void *ctx, const struct net_slot *slot, int64_t sending_ns, int64_t sent_ns);
};

/* A limit for one address in place of connections_per_ip_max. */
struct net_ip_override {
    struct sock_addr addr; /* the port is ignored */
    int connections_max;
};

struct net_server_opts {
    struct env *env;
    struct loop *const *loops; /* borrowed until net_server_free; the first one accepts */
    int loop_count;            /* > 0 */
    const struct net_handler *handler;
    void *ctx;

    /* Zero takes the default. */
    size_t frame_size_max;                   /* socket.request.max.bytes; 104857600 */
    int64_t frame_memory_max;                /* all requests in memory, per loop; 1 GiB */
    int64_t idle_ms;                         /* connections.max.idle.ms; 600000; negative: never */
    int64_t frame_deadline_ms;               /* LIMIT_FRAME_DEADLINE_MS */
    int64_t send_stall_ms;                   /* LIMIT_SEND_STALL_MS */
    int connections_max;                     /* max.connections; no limit */
    int connections_per_ip_max;              /* max.connections.per.ip; no limit */
    int connections_rate_max;                /* max.connection.creation.rate, a second; no limit */
    const struct net_ip_override *overrides; /* copied */
    int override_count;
    struct pool
        *read_pool; /* borrowed; reads what a response needs from the disk. NULL: sends wait */
    bool held;      /* listeners accept nobody until net_server_release: who connects waits */
};

/* Nothing listens yet. Before the loops start or on the first loop. */
MUST_USE enum err net_server_new(const struct net_server_opts *opts, struct net_server **out);

/* What the kernel takes of an answer before the rest has to wait. With as much as it would take, a
 * large answer leaves the processor's cache before its reader comes: a fifth more time per byte. */
enum { NET_SEND_BUFFER_BYTES = 204800 };

struct net_listen_opts {
    struct str name; /* "PLAINTEXT"; copied */
    struct sock_addr addr;
    int backlog; /* socket.listen.backlog.size; 0: 1024 */
    /* socket.send.buffer.bytes, socket.receive.buffer.bytes; 0: NET_SEND_BUFFER_BYTES and as the
     * system has it; -1: both as the system has it. */
    int send_buffer_bytes;
    int receive_buffer_bytes;
};
/* Starts a listener; *port (may be NULL) is what it got. Before the first loop starts, or on it. */
MUST_USE enum err net_server_listen(
    struct net_server *server, const struct net_listen_opts *opts, uint16_t *port);

/* Any thread, at most once: a server that was held accepts from now on. */
void net_server_release(struct net_server *server);

/* Any thread, once: accepts no more, takes no more frames, lets requests in flight finish, and
 * closes what is left after timeout_ms. stopped runs on one of the loops when all sockets are
 * closed; slots may still be pending. */
void net_server_stop(
    struct net_server *server, int64_t timeout_ms, void (*stopped)(void *ctx), void *ctx);

/* The loops are stopped (or crashed) and nobody will end a slot any more: frees pending ones too.
 */
void net_server_free(struct net_server **server);

/* Any thread; sums over the loops. */
struct net_counters {
    uint64_t connections_opened;
    uint64_t connections_closed;
    uint64_t connections_refused; /* by a limit or by the handler */
    uint64_t frames_received;
    uint64_t responses_sent;
    uint64_t responses_waiting; /* now: made, and not sent to their last byte */
    uint64_t bytes_received;
    uint64_t bytes_sent;
    uint64_t closed_bad_frame;
    uint64_t closed_idle;
    uint64_t closed_frame_deadline;
    uint64_t closed_send_stall;
    uint64_t closed_error; /* by the network */
};
void net_server_counters(const struct net_server *server, struct net_counters *out);
struct net_listener_counters {
    struct str listener;
    int reactor;
    uint64_t opened, closed;
};
/* Any thread; fn once for each listener and reactor, with a lock held: it only copies. */
void net_server_each_listener(struct net_server *server,
    void (*fn)(void *ctx, const struct net_listener_counters *counters), void *ctx);
/* Any thread: open connections. */
int net_server_connection_count(const struct net_server *server);

#endif
