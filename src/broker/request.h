/* broker/request.h - one request on its way through the broker, and what a handler may do with it.
 *
 * A handler runs on the reactor of the connection, straight to its end: it decodes (done for it),
 * acts, and replies; or it parks the request and replies later, again on that reactor. Exactly one
 * of broker_req_reply, broker_req_reply_none and broker_req_close ends a request. */
#ifndef BROKER_REQUEST_H
#define BROKER_REQUEST_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/bytes.h"
#include "os/loop.h"
#include "proto/schema.h"

struct broker;
struct net_conn;
struct meta_image;

/* What the connection knows of its peer; lives as long as the connection. */
struct broker_peer {
    struct str listener;    /* "PLAINTEXT": which advertised addresses to answer with */
    char host[64];          /* numeric address */
    struct str principal;   /* "User:ANONYMOUS" until security exists */
    char software_name[64]; /* from ApiVersions; "" when never told */
    char software_version[64];
    /* Came too fast for its address: it is closed, unheard, when this has run. */
    struct loop_timer refused;
    struct net_conn *conn;
};

struct broker_req {
    struct broker *broker;
    struct loop *loop; /* the reactor */
    struct broker_peer *peer;
    const struct proto_api *api;
    int16_t version;
    int32_t correlation_id;
    struct str client_id; /* view of the frame; null is possible */
    const void *msg;      /* the decoded request, in the arena, views into the frame */
    struct arena *arena;  /* until the request ends */
    uint8_t *frame;       /* mutable bytes of the frame: produce patches batches in place */
    size_t frame_len;
    const struct meta_image *image; /* the metadata of this request, referenced until it ends */
    int64_t start_ns;
    void *state; /* a parked handler's own, in the arena */
    /* private to request.c from here */
    struct net_conn *conn;
    void *slot;
    void *block;
    struct loop_task task;
    void (*resume)(struct broker_req *req);
    bool in_turn; /* of resume: not before the connection's turn */
};

/* Encodes the response (a generated struct of req->api->response), queues it in order, ends the
 * request. A response that cannot be encoded closes the connection and is logged. */
void broker_req_reply(struct broker_req *req, const void *response);
/* The same in another version than the request's: ApiVersions answers what it does not know in v0.
 */
void broker_req_reply_version(struct broker_req *req, const void *response, int16_t version);
/* acks=0: nothing is sent. */
void broker_req_reply_none(struct broker_req *req);
/* Closes the connection (after earlier responses have left). */
void broker_req_close(struct broker_req *req, const char *reason);

/* Any thread: runs resume(req) on the request's reactor. At most one pending at a time. If the
 * connection is gone by then resume still runs; its reply is dropped. */
void broker_req_resume(struct broker_req *req, void (*resume)(struct broker_req *req));
/* The same for what is dear: never before the connection has its turn among those that are. */
void broker_req_resume_in_turn(struct broker_req *req, void (*resume)(struct broker_req *req));

/* The connection's later requests wait until this one ends or lets go (net_slot_hold). Reactor. */
void broker_req_hold(struct broker_req *req);
void broker_req_let_go(struct broker_req *req);

/* From now on the request counts as one of another key of broker_stats_add. Before it waits or
 * ends.
 */
void broker_req_count_as(struct broker_req *req, int16_t key);

/* One request type. Each broker/api_<name>.c exports one of these; broker/api_table.c lists them.
 */
struct broker_api {
    int16_t key;
    int16_t version_min, version_max; /* what we serve; what ApiVersions says */
    void (*handle)(struct broker_req *req);
};

#endif
