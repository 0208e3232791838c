/* client/client.h - a client of a cluster: bootstrap, metadata, and calls to the right broker.
 *
 * A client lives on one loop; every function and callback is for that loop. The calling styles are
 * two: give a call a `done` (services, simulation), or client_wait for it (command line: it runs
 * the loop until the call is done).
 *
 * A call finds its broker (any, one by id, the controller, a partition's leader, a group's
 * coordinator), connects when needed, picks the version, sends, and decodes into its own arena.
 * Errors of the network are returned; errors inside responses are the caller's to read, with
 * client_error_is_retriable and client_refresh to help. */
#ifndef CLIENT_CLIENT_H
#define CLIENT_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"
#include "base/uuid.h"
#include "client/conn.h"
#include "os/loop.h"
#include "proto/schema.h"

struct client;

struct client_opts {
    struct env *env;
    struct loop *loop;
    struct str bootstrap;       /* "host:port,host:port"; a port left out is 9092 */
    struct str client_id;       /* null: "moldau" */
    int64_t connect_timeout_ms; /* 0: 10 s */
    int64_t request_timeout_ms; /* 0: 30 s */
};

/* INVALID when no address of the list can be parsed or resolved. Connects to nothing yet. */
MUST_USE enum err client_new(const struct client_opts *opts, struct client **out);
/* Calls in flight end with CANCELED first. */
void client_free(struct client **client);
struct loop *client_loop(const struct client *client);
struct env *client_env(const struct client *client);
/* What went wrong last, for people: "127.0.0.1:9092: connection refused"; "" when nothing did. */
const char *client_error_text(const struct client *client);

/* ---- metadata ---- */

struct client_partition {
    int32_t leader; /* -1: none */
    int32_t leader_epoch;
};

struct client_topic {
    struct str name;
    struct uuid id;
    int16_t error_code; /* 0, or why the rest is empty */
    int32_t partition_count;
    struct client_partition *partitions; /* by index */
};

/* What is known of a topic; NULL when it was never asked for. Valid until the next refresh of it.
 */
const struct client_topic *client_topic_find(const struct client *client, struct str name);
int32_t client_controller_id(const struct client *client);
struct str client_cluster_id(const struct client *client);
/* Where a broker of the metadata is, for connections of the caller's own; resolves its
 * name (blocking). NOTFOUND for an unknown id. */
MUST_USE enum err client_broker_address(
    struct client *client, int32_t node_id, struct sock_addr *out);

struct client_refresh {
    struct list link;
    void (*done)(struct client_refresh *refresh, enum err err);
    bool waiting;
};
/* Asks for the topics again (count 0: only brokers); several at once are fine. */
void client_refresh_topics(struct client *client, const struct str *topics, int count,
    bool allow_auto_create, struct client_refresh *refresh);

/* ---- calls ---- */

enum client_target {
    CLIENT_TARGET_ANY,
    CLIENT_TARGET_NODE,       /* node_id */
    CLIENT_TARGET_CONTROLLER, /* the broker that metadata names; brokers forward */
};

struct client_call {
    /* in */
    enum client_target target;
    int32_t node_id;
    int32_t channel; /* of client_channel_new; 0: the common one */
    int16_t key;
    int16_t version_max; /* 0: no bound of our own */
    const void *request; /* generated struct; until done */
    int64_t timeout_ms;  /* 0: the client's */
    bool no_response;    /* produce with acks=0: done once sent */
    void (*done)(struct client_call *call);
    void *ctx;
    /* out */
    enum err err;
    int16_t version;
    int32_t node_id_used; /* -1 when it was a bootstrap connection */
    const void *response; /* generated struct, in the arena, views into `body` */
    /* the call's own */
    struct arena arena;
    struct bytes body; /* owned copy */
    struct client *client;
    struct client_pending pending;
    struct list link;
    bool active;
};

/* A channel has connections of its own, so that calls which a broker answers late (JoinGroup) hold
 * up no others: brokers answer a connection's requests in order. */
int32_t client_channel_new(struct client *client);
/* Closes its connections; calls of it end with CANCELED. */
void client_channel_free(struct client *client, int32_t channel);

/* Before first use; arena_budget bounds what a response may take. */
void client_call_init(struct client_call *call, size_t arena_budget);
void client_call_fini(struct client_call *call);
/* Starts; `done` may run before this returns. A call may be started again after done: what the last
 * response left is freed then. */
void client_call_start(struct client *client, struct client_call *call);
/* An active call ends with CANCELED now; its connection is given up when the request was sent. */
void client_call_cancel(struct client_call *call);
/* A waiting refresh is forgotten without `done`. */
void client_refresh_cancel(struct client_refresh *refresh);
/* Starts and runs the loop until it is done (the loop must not be running). Returns call->err. */
MUST_USE enum err client_call_wait(struct client *client, struct client_call *call);
/* The same for a refresh. */
MUST_USE enum err client_refresh_wait(
    struct client *client, const struct str *topics, int count, bool allow_auto_create);
/* Runs the loop until *flag is true or so much time went by; true when it is. */
bool client_run_until(struct client *client, const bool *flag, int64_t timeout_ms);
/* To be called by whoever set a flag somebody may run the loop for. */
void client_wake(struct client *client);

/* Whether a Kafka error code means "try again", after a refresh of metadata if *refresh. */
bool client_error_is_retriable(int16_t code, bool *refresh);

#endif
