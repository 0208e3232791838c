/* broker/broker_priv.h - bodies shared by broker.c, request.c, dispatch.c and stats.c. */
#ifndef BROKER_BROKER_PRIV_H
#define BROKER_BROKER_PRIV_H

#include <stdatomic.h>

#include "base/arena.h"
#include "base/list.h"
#include "base/map.h"
#include "broker/broker.h"
#include "broker/check.h"
#include "broker/quota.h"
#include "os/mutex.h"
#include "proto/errors.h"

/* Keys 0..BROKER_API_KEYS-1 can be counted. */
enum { BROKER_API_KEYS = 128, BROKER_REQS_KEPT = 256 };

/* Written by one reactor, read by anyone. */
struct broker_api_counters {
    const struct proto_errors *error_map; /* the broker's */
    _Atomic uint64_t closed, parked, unparked, bytes_in, bytes_out;
    _Atomic uint64_t versions[BROKER_STATS_VERSIONS];
    _Atomic uint64_t errors[BROKER_STATS_ERRORS];
    struct histogram phases[BROKER_PHASE_COUNT];
};

/* A request with its memory; reused. */
struct broker_req_box {
    struct broker_req req;
    struct arena arena;
    struct list link; /* reactor's live or free list */
    struct broker_reactor *reactor;
    struct broker_api_counters *counters;
    int64_t parked_ns; /* when its handler returned without an end; 0: not yet */
    /* of broker_ask_controller */
    struct meta_request ask;
    struct meta_image *ask_image; /* what its response points into; a reference until the end */
    enum err ask_err;
    void (*ask_then)(struct broker_req *req, enum err err, void *response);
    /* of quotas */
    int64_t resumed_ns;  /* when it went on last; 0: it did not, or there were no quotas */
    int32_t throttle_ms; /* its connection is not read for so long after it */
    bool time_counted;
    bool mutation_strict;
    struct meta_mutation_quota mutations; /* take NULL: not counted */
    struct broker_quota_limit mutation_limit;
    int64_t mutation_wait_ms, mutation_at_ms; /* the metadata loop's until the answer is there */
};

struct broker_reactor {
    struct broker *broker;
    struct loop *loop;
    /* the reactor's */
    struct meta_image *image; /* referenced; NULL before the first */
    bool quotas_on;           /* it has quotas of clients */
    struct list live;
    struct list free;
    int free_count;
    const struct broker_req *handling; /* its handler runs now; NULL once it ended */
    _Atomic uint32_t live_count;       /* written by the reactor, read by anyone */
    _Atomic(struct broker_api_counters *) counters[BROKER_API_KEYS]; /* made at first use */
    /* the way of new images; changed under broker->mutex */
    _Atomic(struct meta_image *) image_next; /* referenced */
    bool image_posted;
    struct loop_task image_task;
};

/* A topic being created in the background. */
struct broker_creation {
    struct broker *broker;
    char *name;
    struct arena arena;
    struct meta_request ask;
    UT_hash_handle hh;
};

struct broker {
    /* fixed */
    struct broker_opts opts;
    struct broker_reactor *reactors;
    struct broker_quotas *quotas;
    struct proto_errors *error_maps[BROKER_API_KEYS]; /* owned; of what is served */
    struct broker_checks checks;
    /* under the mutex (LEAF) */
    struct mutex mutex;
    struct broker_creation *creations;
};

/* broker.c */
/* On the reactor, between requests: from here on it has the latest image that was published. What
 * comes in calls this first, so that nobody is served by metadata older than an answer he had. */
void broker_image_take(struct broker_reactor *reactor);

/* request.c */
/* A box with a fresh arena, in the live list; NULL out of memory. */
struct broker_req_box *broker_req_box_get(struct broker_reactor *reactor, size_t frame_len);
void broker_req_box_put(struct broker_req_box *box);
void broker_req_pools_fini(struct broker_reactor *reactor);
/* For net_handler. */
void broker_req_turn(void *ctx, struct net_conn *conn, struct net_slot *slot);

/* dispatch.c */
void broker_dispatch(struct broker *broker, struct net_conn *conn, struct net_slot *slot);

/* quota_req.c: while the image has quotas */
/* Before the response is encoded: says in it how long the client is to wait, and makes it wait. */
void broker_quota_answer(struct broker_req *req, const void *response);
/* The same where nothing is sent. */
void broker_quota_silent(struct broker_req *req);
/* How long a new connection waits to be closed; 0: it is served. */
int64_t broker_quota_connected(struct broker_reactor *reactor, const struct broker_peer *peer);

/* stats.c */
MUST_USE enum err broker_error_maps_make(struct broker *broker);
void broker_error_maps_free(struct broker *broker);
/* NULL out of memory: then nothing is counted. */
struct broker_api_counters *broker_counters_of(struct broker_reactor *reactor, int16_t key);
/* The handler returned, and the request goes on. */
void broker_counters_parked(struct broker_req_box *box);
/* The codes in its response. */
void broker_counters_errors(struct broker_req_box *box, const void *response);
/* The end of a request. `unsent`: no response will be sent. */
void broker_counters_end(
    struct broker_req_box *box, const struct net_slot *slot, size_t response_len, bool unsent);
/* For net_handler. */
void broker_counters_sent(
    void *ctx, const struct net_slot *slot, int64_t sending_ns, int64_t sent_ns);
void broker_counters_free(struct broker_reactor *reactor);

#endif
