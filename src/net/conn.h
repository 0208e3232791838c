/* net/conn.h - a served connection and its response slots, as the handler of frames sees them.
 *
 * A frame is four bytes of size and so many bytes of body. For each one the server makes a slot, in
 * the order of arrival, and calls the handler. The handler ends each slot exactly once, now or
 * later, in any order; responses leave in the order of the slots.
 *
 * All functions are for the connection's loop, unless they say otherwise. */
#ifndef NET_CONN_H
#define NET_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "os/loop.h"
#include "wire/writer.h"

struct net_conn;
struct net_block;
struct net_filter;

struct net_slot {
    struct net_conn *conn;
    uint8_t *frame; /* body of the request; mutable; until the slot ends */
    size_t frame_len;
    /* The response goes here. Four bytes of size stand in it already and are patched at reply;
     * `file` of a splice is a struct env_file *, released by the server. */
    struct writer writer;
    int64_t received_ns; /* env_now_ns when its last byte was read */
    /* The handler's, until net_handler.on_sent: zero and NULL at first. */
    int64_t answered_ns;
    void *mark;

    /* private to net/ */
    struct list link;
    struct list turn_link; /* conn->turns */
    bool dear;             /* what on_turn will be called for */
    struct net_block *block;
    int state;
    size_t buf_at;      /* sent so far of writer.buf */
    int splice_index;   /* the splice to send next ... */
    size_t splice_at;   /* ... and how much of it went out */
    int64_t sending_ns; /* when sending it began; 0: not yet */
};

/* Queues what the writer holds. A latched failure or a response over 2 GiB closes the connection
 * instead (after earlier responses); false then. Ends the slot. */
bool net_slot_reply(struct net_slot *slot);
/* Sends nothing for this frame. Ends the slot. */
void net_slot_drop(struct net_slot *slot);
/* Closes the connection when all earlier responses have left; takes no more frames. reason is a
 * literal. Ends the slot. */
void net_slot_close(struct net_slot *slot, const char *reason);

/* The connection takes no frames until the slot ends or is released: what comes later may not
 * overtake it. From on_frame or on_turn; one slot of a connection at a time.
 * Holding again, and releasing what does not hold, change nothing. */
void net_slot_hold(struct net_slot *slot);
void net_slot_release(struct net_slot *slot);
/* Whoever goes on with a slot later asks first. True: on_turn will be called, when the connection
 * has its turn among those that are dear to serve, or is gone; at most one is pending for a slot.
 * False: the connection is a light one, go on now; never when what comes is `dear` itself. */
bool net_slot_waits(struct net_slot *slot, bool dear);

/* Light connections were served on its loop of late: nothing there should take long. */
bool net_conn_is_watched(const struct net_conn *conn);

/* What on_open gave. */
void *net_conn_user(const struct net_conn *conn);
struct loop *net_conn_loop(const struct net_conn *conn);
/* Index of its loop in net_server_opts.loops. */
int net_conn_reactor(const struct net_conn *conn);
/* The name given to net_server_listen; lives as long as the server. */
struct str net_conn_listener(const struct net_conn *conn);
/* Numeric address of the peer, as text; lives as long as the connection. */
const char *net_conn_peer_host(const struct net_conn *conn);
uint16_t net_conn_peer_port(const struct net_conn *conn);
/* Unique in the server; for logs. */
uint64_t net_conn_id(const struct net_conn *conn);
bool net_conn_is_open(const struct net_conn *conn);

/* Takes no frames for so long (KIP-219 throttling); a longer time already running stays. */
void net_conn_throttle(struct net_conn *conn, int64_t delay_ms);
/* A ceiling below (or back up to) the server's, e.g. until authenticated. */
void net_conn_set_frame_max(struct net_conn *conn, size_t size_bytes_max);
/* At once, unsent responses are lost. Slots still pending stay the handler's to end. */
void net_conn_close(struct net_conn *conn, const char *reason);

/* The stack's top: TLS puts itself over the plain one here, from on_open. Takes the filter. */
struct net_filter *net_conn_filter(struct net_conn *conn);

#endif
