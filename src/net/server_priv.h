/* net/server_priv.h - bodies shared by the files of net/: server, reactors, connections. */
#ifndef NET_SERVER_PRIV_H
#define NET_SERVER_PRIV_H

#include <stdatomic.h>

#include "base/fsm.h"
#include "base/map.h"
#include "net/block.h"
#include "net/filter.h"
#include "net/server.h"
#include "os/mutex.h"

/* Slots kept by a reactor for reuse, and the writer memory that each may keep. */
enum { NET_SLOTS_KEPT = 256, NET_SLOT_BUFFER_KEPT = 4096, NET_SPLICES_KEPT = 16 };
/* Bytes of one response outside its splices. */
enum { NET_RESPONSE_BYTES_MAX = 256 << 20 };

struct net_slot_pool {
    struct list free;
    int free_count;
};

/* Written by the reactor's loop only, read by anyone. */
struct net_reactor_counters {
    _Atomic uint64_t opened, closed, frames, responses, bytes_in, bytes_out;
    _Atomic uint64_t answered, left; /* responses: made; sent, or dropped with their connection */
    _Atomic uint64_t bad_frame, idle, frame_deadline, send_stall, error;
};

static inline void
net_count(_Atomic uint64_t *counter, uint64_t n)
{
    uint64_t v = atomic_load_explicit(counter, memory_order_relaxed);
    atomic_store_explicit(counter, v + n, memory_order_relaxed);
}

struct net_reactor {
    struct net_server *server;
    struct loop *loop;
    int index;
    struct list conns; /* all that are not freed yet, closed ones with pending slots too */
    int open_count;
    struct list starved[NET_LANES]; /* wait for frame memory, in the order of their waiting */
    struct list flushes;            /* light connections that have answers to send */
    struct list heavy;              /* what the others have to do, in order: see turn.c */
    struct loop_task turn_task;
    bool turning;
    bool watched;     /* light ones are there: heavy ones are served in small pieces */
    int64_t light_ms; /* a light connection was served */
    struct net_block_pool blocks;
    struct net_slot_pool slots;
    struct net_block *scratch; /* what sockets are read into */
    struct list read_ins;      /* under way: see conn_cold.c */
    int read_in_count;
    struct list read_in_waits; /* connections for which there was no room */
    struct loop_timer sweep;
    struct loop_timer stop_timer;
    struct loop_task stop_task;
    struct loop_task feed_task; /* gives freed memory to the starved */
    bool stopping;
    bool stop_reported;
    struct net_reactor_counters counters;
};

/* Written by the reactor's loop only, read by anyone. */
struct net_listener_reactor {
    _Atomic uint64_t opened, closed;
};

struct net_listener {
    struct list link;
    struct net_server *server;
    struct sock_listener *sock;
    char *name;
    struct net_listener_reactor *counts; /* one for each reactor */
};

/* Open connections of one address. */
struct net_ip {
    uint8_t key[16]; /* IPv4 as mapped */
    int count;
    UT_hash_handle hh;
};

struct net_server {
    /* fixed at start */
    struct net_server_opts opts; /* defaults filled in */
    struct net_reactor *reactors;
    struct net_ip_override *overrides;
    struct env *env;
    bool freeing; /* no loop runs any more */

    /* the first loop only; changed under the mutex, so that others can look */
    struct list listeners;
    struct list closed_listeners; /* their names are still in use */
    int reactor_next;
    double rate_tokens;
    int64_t rate_filled_ms;
    struct loop_timer rate_timer;
    bool rate_paused;
    bool held; /* nobody is accepted before net_server_release */
    struct loop_task release_task;
    uint64_t conn_id_next;
    struct loop_task room_task; /* connections were closed: accept again */

    struct mutex mutex; /* LEAF; guards the next block */
    struct net_ip *ips;
    struct list handed; /* accepted, not yet at their reactor */
    int conn_count;
    bool full; /* accepting stopped at connections_max */
    bool room_posted;

    _Atomic uint64_t refused;
    _Atomic int reactors_running;
    _Atomic bool stopping;
    int64_t stop_timeout_ms;
    void (*stopped)(void *ctx);
    void *stopped_ctx;
};

/* What a connection has to do; SEND goes on with RESUME. TURN is what waits in `turns`, and the
 * only one that is also done when the socket is gone. */
enum net_work { NET_WORK_SEND = 1, NET_WORK_READ = 2, NET_WORK_RESUME = 4, NET_WORK_TURN = 8 };

enum net_conn_state { NET_CONN_OPEN, NET_CONN_DRAINING, NET_CONN_CLOSED };

struct net_conn {
    struct list link; /* server->handed, then reactor->conns */
    struct net_server *server;
    struct net_reactor *reactor;
    struct net_listener *listener;
    struct sock *sock; /* NULL once closed */
    struct net_filter filter;
    struct fsm fsm;
    int refs; /* the socket, each slot, each queued task, each running event */
    uint64_t id;
    void *user;
    bool user_made;
    struct sock_addr peer;
    char peer_host[48];
    uint16_t peer_port;
    uint8_t ip_key[16];
    struct loop_task hand_over;

    /* input */
    size_t frame_size_max;
    struct net_block *frame; /* begun, not whole */
    size_t frame_len;
    size_t frame_filled;
    struct net_block *rest; /* read, but not looked at while we take no frames */
    size_t rest_at, rest_end;
    uint8_t head[4];
    uint8_t head_len;
    bool eof;
    bool parsing;
    bool starved;
    bool wants_read, wants_write; /* as told to the loop */
    bool blocked;                 /* the peer takes nothing now */
    bool reading_in;              /* sending waits for the disk */
    struct net_read_in *read_in;  /* what came from there and goes next */
    struct list read_in_link;
    struct list starved_link;
    struct loop_timer throttle;
    int64_t throttled_until_ms;

    /* output */
    struct list slots; /* in request order, pending ones too */
    int slot_count;
    struct net_slot *holder; /* no frames are taken before it ends or lets go; may be NULL */
    size_t output_bytes;     /* answered and not sent */
    size_t output_memory;    /* what of that stands in memory and not in files, until all is sent */

    /* turns: see turn.c */
    struct list turns; /* slots that on_turn is to be called for, in order */
    struct list flush_link, heavy_link;
    unsigned work; /* of enum net_work */
    bool serving, brief;
    bool known;                /* it was served, and stayed light */
    size_t spent;              /* units, in the service being given */
    int64_t began_ns, seen_ns; /* its first and last known times */
    int64_t thread_ns;         /* when it began, where others wait; else -1 */
    int64_t debt, debt_ms;     /* units not forgiven, at that time */

    /* env_now_ns: of the last read; when the last flush began; of its last write, 0 until asked */
    int64_t read_ns, flush_ns, written_ns;
    int64_t io_ms;            /* of the last byte either way */
    int64_t frame_started_ms; /* 0: no frame is under way */
    int64_t output_moved_ms;  /* last progress, or when output appeared */
};

/* conn.c */
/* On the reactor; takes the sock inside. */
void net_conn_open(struct loop_task *hand_over);
void net_conn_unref(struct net_conn *conn);
void net_conn_drain(struct net_conn *conn);
void net_conn_sweep(struct net_conn *conn, int64_t now_ms);
void net_conn_free_forced(struct net_conn *conn);
void net_conn_wants_update(struct net_conn *conn);
bool net_conn_has_room(const struct net_conn *conn);

/* conn_in.c */
void net_conn_read(struct net_conn *conn);
/* Takes frames again after a pause: those that were read already. */
void net_conn_input_resume(struct net_conn *conn);
/* Something was read that is not delivered. */
bool net_conn_input_waits(const struct net_conn *conn);
void net_conn_input_clear(struct net_conn *conn);

/* conn_out.c */
void net_conn_flush(struct net_conn *conn);
struct net_slot *net_slot_new(struct net_conn *conn);
void net_slot_recycle(struct net_slot *slot);
void net_conn_output_clear(struct net_conn *conn, bool pending_too);
void net_slot_pool_fini(struct net_slot_pool *pool);

/* conn_cold.c */
/* Whether sending this would not wait for the disk, as far as can be told. */
bool net_conn_is_warm(
    const struct net_conn *conn, struct env_file *file, int64_t position, size_t len);
/* Reads it on the pool; sending goes on when it is there. NOMEM: nothing was done. */
MUST_USE enum err net_conn_read_in(
    struct net_conn *conn, struct env_file *file, int64_t position, size_t len);
/* Sends what came of that, as far as the socket takes it, and lets go of it. */
MUST_USE enum err net_conn_send_read_in(struct net_conn *conn, size_t *n);
void net_conn_read_in_drop(struct net_conn *conn);
void net_read_ins_fini(struct net_reactor *reactor);

/* turn.c */
void net_conn_readable(void *ctx);
void net_conn_writable(void *ctx);
/* The quantum of the service being given is spent: it goes on in another turn. */
bool net_conn_turn_is_over(const struct net_conn *conn);
/* It is to wait behind the heavy: it is one, or has work there already. */
bool net_conn_must_wait(struct net_conn *conn);
/* To be done among the heavy, in order. */
void net_conn_work_add(struct net_conn *conn, unsigned work);
/* Answers are there to be sent. */
void net_conn_flush_soon(struct net_conn *conn);
/* Does it now, briefly; gives the units spent. */
int64_t net_conn_serve(struct net_conn *conn, unsigned work);
void net_turn_run(struct loop_task *task);

/* server.c */
void net_reactor_conn_closed(struct net_reactor *reactor, struct net_conn *conn);
void net_reactor_memory_freed(struct net_reactor *reactor);

#endif
