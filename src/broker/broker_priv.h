/* broker/broker_priv.h - bodies shared by broker.c, request.c, dispatch.c and stats.c. */
#ifndef BROKER_BROKER_PRIV_H
#define BROKER_BROKER_PRIV_H

#include <stdatomic.h>

#include "base/arena.h"
#include "base/list.h"
#include "base/map.h"
#include "broker/broker.h"
#include "os/mutex.h"

/* Keys 0..BROKER_API_KEYS-1 can be counted. */
enum { BROKER_API_KEYS = 128, BROKER_REQS_KEPT = 256 };

/* Written by one reactor, read by anyone. */
struct broker_api_counters {
    _Atomic uint64_t requests, closed, bytes_in, bytes_out, latency_sum_us;
    _Atomic uint64_t latency[BROKER_HIST_BUCKETS];
};

/* A request with its memory; reused. */
struct broker_req_box {
    struct broker_req req;
    struct arena arena;
    struct list link; /* reactor's live or free list */
    struct broker_reactor *reactor;
    struct broker_api_counters *counters;
    /* of broker_ask_controller */
    struct meta_request ask;
    enum err ask_err;
    void (*ask_then)(struct broker_req *req, enum err err, void *response);
};

struct broker_reactor {
    struct broker *broker;
    struct loop *loop;
    /* the reactor's */
    struct meta_image *image; /* referenced; NULL before the first */
    struct list live;
    struct list free;
    int free_count;
    _Atomic(struct broker_api_counters *) counters[BROKER_API_KEYS]; /* made at first use */
    /* the way of new images; under broker->mutex */
    struct meta_image *image_next; /* referenced */
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
    /* under the mutex (LEAF) */
    struct mutex mutex;
    struct broker_creation *creations;
};

/* request.c */
/* A box with a fresh arena, in the live list; NULL out of memory. */
struct broker_req_box *broker_req_box_get(struct broker_reactor *reactor, size_t frame_len);
void broker_req_box_put(struct broker_req_box *box);
void broker_req_pools_fini(struct broker_reactor *reactor);

/* dispatch.c */
void broker_dispatch(struct broker *broker, struct net_conn *conn, struct net_slot *slot);

/* stats.c */
/* NULL out of memory: then nothing is counted. */
struct broker_api_counters *broker_counters_of(struct broker_reactor *reactor, int16_t key);
void broker_counters_note(struct broker_api_counters *counters, const struct broker_req *req,
    size_t frame_len, size_t response_len, int64_t now_ns);
void broker_counters_free(struct broker_reactor *reactor);

#endif
