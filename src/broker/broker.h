/* broker/broker.h - the broker as one value: what it is made of, and what its handlers ask of it.
 *
 * The node composes it: environment, reactors, metadata, replica manager, coordinators,
 * configuration. It serves the frames of a net_server by net_handler. Each reactor holds a
 * reference to the metadata image that its requests use; broker_publish replaces it. */
#ifndef BROKER_BROKER_H
#define BROKER_BROKER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/bytes.h"
#include "base/err.h"
#include "base/uuid.h"
#include "broker/request.h"
#include "net/server.h"
#include "os/loop.h"

struct meta_image;
struct replica_manager;
struct coord_runtime;

/* ---- the way to the controller (layers forbid knowing the node) ---- */

/* One request for the active controller. The caller embeds it in the memory of a parked request;
 * until `done`, the arena and all of this belong to the metadata side. */
struct broker_controller_call {
    struct list link;      /* the metadata side's queue */
    struct loop_task task; /* the metadata side's */
    int16_t api_key;
    int16_t version;
    const void *request;  /* the generated request */
    struct str principal; /* who asks, e.g. "User:ANONYMOUS" */
    struct arena *arena;  /* the response is made here */
    int64_t timeout_ms;   /* for the change to be committed */
    /* the answer */
    enum err err;   /* OK: response is set. TIMEOUT, STATE (no controller), NOMEM... */
    void *response; /* the generated response; in the arena */
    int64_t offset; /* of the last record of the change; -1 when it made none */
    /* Any thread; once. */
    void (*done)(struct broker_controller_call *call);
};

struct broker_metadata_ops {
    /* Any thread. Ends with call->done, possibly before it returns. DESCRIBE_QUORUM is a call like
     * the others. */
    void (*submit)(void *ctx, struct broker_controller_call *call);
};

/* ---- configuration as the handlers see it ---- */

/* One advertised listener. */
struct broker_listener {
    struct str name;
    struct str host; /* advertised */
    int32_t port;    /* advertised */
};

/* What server.properties says, resolved; all borrowed until broker_free. */
struct broker_config {
    int32_t node_id;
    struct str cluster_id;
    struct str rack; /* null when not set */
    bool auto_create_topics;
    int32_t num_partitions;
    int16_t default_replication_factor;
    int64_t frame_size_max;     /* socket.request.max.bytes */
    int64_t request_timeout_ms; /* request.timeout.ms */
    int64_t slow_request_ms;    /* requests above are logged; 0: never */
    /* The static value of any key of server.properties, or false; for DescribeConfigs. */
    bool (*lookup)(void *ctx, struct str key, struct str *value);
    void *lookup_ctx;
};

/* ---- the broker ---- */

struct broker_opts {
    struct env *env;
    struct loop *const *loops; /* reactors; the same as the net_server's */
    int loop_count;
    struct pool *pool; /* what may block */
    const struct broker_config *config;
    const struct broker_metadata_ops *metadata;
    void *metadata_ctx;
    struct replica_manager *replicas; /* may be NULL in tests */
    struct broker_coord *coord;       /* may be NULL in tests; broker/coord_log.h */
};

struct broker;
MUST_USE enum err broker_new(const struct broker_opts *opts, struct broker **out);
/* After net_server_free. */
void broker_free(struct broker **broker);

/* For net_server_opts: serves its connections; the ctx is the broker. */
const struct net_handler *broker_net_handler(void);

/* Any thread: takes a reference of its own, and every reactor serves from this image soon. Images
 * come in order. */
void broker_publish(struct broker *broker, const struct meta_image *image);
/* Any thread; false until the first image came to every reactor. */
bool broker_is_ready(const struct broker *broker);

struct env *broker_env(const struct broker *broker);
struct pool *broker_pool(const struct broker *broker);
const struct broker_config *broker_config(const struct broker *broker);
struct replica_manager *broker_replicas(const struct broker *broker);
struct broker_coord *broker_coord(const struct broker *broker);
/* The image of a reactor now, e.g. for a request that was parked for long. Borrowed; on the loop.
 */
const struct meta_image *broker_image(const struct broker *broker, const struct loop *loop);

/* ---- help for handlers ---- */

/* Sends the request's message (or another one) to the controller and resumes `then` on the reactor
 * when it answered AND this reactor's image has the change (or timeout_ms went by; the answer is
 * given all the same). The call is in req->arena. */
struct broker_forward {
    struct broker_controller_call call;
    struct broker_req *req;
    struct loop_timer timer;
    void (*then)(struct broker_req *req, struct broker_forward *forward);
    struct list link; /* waits for an image */
    bool waits;
};
/* api_key, version and request say what is sent. NOMEM ends nothing: the handler answers. */
MUST_USE enum err broker_forward(struct broker_req *req, int16_t api_key, int16_t version,
    const void *request, int64_t timeout_ms,
    void (*then)(struct broker_req *req, struct broker_forward *forward));

/* Counters and latency of one API; read by the exposition. */
enum { BROKER_HIST_BUCKETS = 160 };
struct broker_api_stats {
    uint64_t requests;
    uint64_t closed; /* ended by closing the connection */
    uint64_t bytes_in, bytes_out;
    uint64_t latency_us[BROKER_HIST_BUCKETS]; /* see broker_hist_floor_us */
    uint64_t latency_sum_us;
};
/* Sums over the reactors; false for a key that is not served. Any thread. */
bool broker_stats(const struct broker *broker, int16_t key, struct broker_api_stats *out);
/* The smallest value of a bucket: 8 buckets for each power of two. */
uint64_t broker_hist_floor_us(int bucket);
int broker_hist_bucket(uint64_t us);

#endif
