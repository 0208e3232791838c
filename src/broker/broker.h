/* broker/broker.h - the broker as one value: what it is made of, and what its handlers ask of it.
 *
 * The node composes it: environment, reactors, metadata, replica manager, coordinators,
 * configuration. It serves the frames of a net_server through broker_net_handler. Each reactor
 * holds a reference to the metadata image that its requests use; broker_publish replaces it. */
#ifndef BROKER_BROKER_H
#define BROKER_BROKER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "base/histogram.h"
#include "broker/quota_math.h"
#include "broker/request.h"
#include "meta/config.h"
#include "meta/image.h"
#include "meta/port.h"
#include "net/server.h"
#include "os/loop.h"

struct replica_manager;
struct broker_coord; /* broker/coord_log.h */

struct broker_config {
    int32_t node_id;
    struct str cluster_id;
    bool auto_create_topics;                   /* auto.create.topics.enable */
    int64_t slow_request_ms;                   /* requests above are logged; 0: never */
    struct quota_window quota_window;          /* quota.window.*; zeros: the defaults */
    struct quota_window quota_mutation_window; /* controller.quota.window.*; likewise */
};

/* All pointers are borrowed until broker_free. */
struct broker_opts {
    struct env *env;
    struct loop *const *loops; /* reactors: the same array as the net_server's */
    int loop_count;
    struct pool *pool; /* what may block; NULL in tests that need none */
    /* Reads of what is not in memory: a pool of its own, so that flushes never queue behind them.
     * NULL: such reads block the reactor. */
    struct pool *read_pool;
    /* Checks of appends that take long, in the background. NULL: the reactor does them. */
    struct pool *check_pool;
    struct broker_config config;
    const struct meta_config_rules *rules;
    const struct meta_port *metadata;
    struct replica_manager *replicas; /* NULL in tests that need none */
    struct broker_coord *coord;       /* likewise */
};

struct broker;
MUST_USE enum err broker_new(const struct broker_opts *opts, struct broker **out);
/* After net_server_free; the loops are stopped, nothing refers to a request any more. */
void broker_free(struct broker **broker);

/* For net_server_opts; its ctx is the broker. */
const struct net_handler *broker_net_handler(void);

/* Any thread, images in order (from meta_subscriber.on_image, after the replica manager applied
 * it): every reactor serves from this image from its next turn on. Takes a reference of its own. */
void broker_publish(struct broker *broker, struct meta_image *image);

/* ---- for handlers ---- */

struct env *broker_env(const struct broker *broker);
struct pool *broker_pool(const struct broker *broker);
struct pool *broker_read_pool(const struct broker *broker);
const struct broker_config *broker_config(const struct broker *broker);
const struct meta_config_rules *broker_rules(const struct broker *broker);
struct replica_manager *broker_replicas(const struct broker *broker);
struct broker_coord *broker_coord(const struct broker *broker);

/* The image of the request's reactor now; for a request that was parked since it took req->image.
 * Borrowed, for this turn only. */
const struct meta_image *broker_req_image_now(const struct broker_req *req);

/* Parks the request, sends msg (the generated request of api_key) to the active controller, and
 * runs `then` on the reactor when the change is committed and in the image of this reactor. err as
 * in meta/port.h; response is the generated response, in the request's arena. Out of memory: then
 * runs later all the same, with ERR_NOMEM, or the connection is closed. msg lives in the arena. */
void broker_ask_controller(struct broker_req *req, int16_t api_key, int16_t version,
    const void *msg, void (*then)(struct broker_req *req, enum err err, void *response));

/* A topic to be made in the background, once however often it is asked for while under way. */
struct broker_topic_config {
    const char *key;
    const char *value;
};
struct broker_topic_wish {
    struct str name;
    int32_t partitions;         /* -1: num.partitions */
    int16_t replication_factor; /* -1: default.replication.factor */
    const struct broker_topic_config *configs;
    int config_count;
};
/* Any thread. Failures are logged; who asked asks again. */
void broker_create_topic(struct broker *broker, const struct broker_topic_wish *wish);

/* ---- what was served, for the exposition; any thread ---- */

/* The parts of a request's time, named as in Kafka. */
enum broker_phase {
    BROKER_PHASE_TOTAL,          /* read -> last byte of the response written, or ended without */
    BROKER_PHASE_QUEUE,          /* read -> handler begins */
    BROKER_PHASE_LOCAL,          /* handler begins -> answered, or waits */
    BROKER_PHASE_REMOTE,         /* waits -> answered; 0 when it did not wait */
    BROKER_PHASE_RESPONSE_QUEUE, /* answered -> sending begins; only of responses that were sent */
    BROKER_PHASE_RESPONSE_SEND,  /* sending begins -> last byte written; likewise */
    BROKER_PHASE_COUNT,
};

/* Versions that do not exist count as the last; errors from -1 on, larger ones do not count. */
enum { BROKER_STATS_VERSIONS = 32, BROKER_STATS_ERRORS = 160 };

/* A key that no request has: fetches of followers are counted under it, and not as Fetch. */
enum { BROKER_STATS_FETCH_FOLLOWER = 127 };

struct broker_api_stats {
    uint64_t requests; /* ended */
    uint64_t closed;   /* of them by closing the connection */
    uint64_t parked;   /* waiting now */
    uint64_t bytes_in, bytes_out;
    uint64_t versions[BROKER_STATS_VERSIONS]; /* requests ended, by version */
    uint64_t errors[BROKER_STATS_ERRORS];     /* codes in responses, by code + 1 */
    struct histogram_counts phases[BROKER_PHASE_COUNT];
};
/* Adds the sums over the reactors to *out; false for a key that was never served. */
bool broker_stats_add(const struct broker *broker, int16_t key, struct broker_api_stats *out);
/* Requests of a reactor that have not ended. */
uint32_t broker_live_requests(const struct broker *broker, int reactor);

#endif
