/* client/public_priv.h - the bodies behind include/moldau/client.h, for public*.c.
 *
 * Those files are libmoldau's face: they check arguments, keep the error text, bound every wait,
 * and refuse to run the loop from inside a callback. Everything else is the modules below. */
#ifndef CLIENT_PUBLIC_PRIV_H
#define CLIENT_PUBLIC_PRIV_H

#include "base/arena.h"
#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"
#include "client/client.h"
#include "moldau/client.h"

enum {
    PUBLIC_ERROR_TEXT = 512,
    PUBLIC_TOPIC_NAME_MAX = 249,
    PUBLIC_PAUSE_MS = 100, /* between tries */
};

/* ---- options (public_options.c) ---- */

enum public_option {
    OPTION_BOOTSTRAP_SERVERS,
    OPTION_CLIENT_ID,
    OPTION_REQUEST_TIMEOUT_MS,
    OPTION_CONNECT_TIMEOUT_MS,
    OPTION_ACKS, /* 0, 1, -1 */
    OPTION_ENABLE_IDEMPOTENCE,
    OPTION_LINGER_MS,
    OPTION_MAX_REQUEST_SIZE,
    OPTION_BUFFER_MEMORY,
    OPTION_DELIVERY_TIMEOUT_MS,
    OPTION_COMPRESSION_TYPE, /* enum compress_codec */
    OPTION_GZIP_LEVEL,
    OPTION_LZ4_LEVEL,
    OPTION_ZSTD_LEVEL,
    OPTION_PARTITIONER, /* 0 default, 1 round_robin */
    OPTION_GROUP_ID,
    OPTION_GROUP_INSTANCE_ID,
    OPTION_AUTO_OFFSET_RESET, /* CLIENT_OFFSET_LATEST, _EARLIEST, 0 */
    OPTION_ISOLATION_LEVEL,   /* 1: read_committed */
    OPTION_FETCH_MAX_WAIT_MS,
    OPTION_FETCH_MIN_BYTES,
    OPTION_FETCH_MAX_BYTES,
    OPTION_PARTITION_FETCH_BYTES,
    OPTION_CHECK_CRCS,
    OPTION_SESSION_TIMEOUT_MS,
    OPTION_HEARTBEAT_INTERVAL_MS,
    OPTION_MAX_POLL_INTERVAL_MS,
    OPTION_ENABLE_AUTO_COMMIT,
    OPTION_AUTO_COMMIT_INTERVAL_MS,
    OPTION_ASSIGNMENT_STRATEGY,
    OPTION_METADATA_MAX_AGE_MS,
    OPTION_ALLOW_AUTO_CREATE,
    OPTION_COUNT,
};

struct moldau_options {
    char *texts[OPTION_COUNT];     /* owned; NULL: the default is in force */
    int64_t numbers[OPTION_COUNT]; /* of what is in force; texts have 0 */
    moldau_delivery_fn on_delivery;
    void *delivery_ctx;
    moldau_partitioner_fn partitioner;
    void *partitioner_ctx;
    moldau_rebalance_fn on_rebalance;
    void *rebalance_ctx;
    char error[PUBLIC_ERROR_TEXT];
};

/* "" becomes null. */
struct str public_option_str(const struct moldau_options *options, enum public_option option);
bool public_option_is_set(const struct moldau_options *options, enum public_option option);
MUST_USE enum err public_options_copy(
    const struct moldau_options *options, struct moldau_options **out);

/* ---- the client (public_client.c) ---- */

struct moldau_client {
    struct moldau_options *options; /* owned */
    struct env *env;                /* owned */
    struct loop *loop;              /* owned */
    struct client *client;          /* owned */
    struct loop_task turn;
    int references;      /* its own handle, producers, consumers */
    int callbacks;       /* of the program, on the stack */
    int64_t turn_end_ms; /* when the loop last ran */
    int16_t error_code;
    char error_text[PUBLIC_ERROR_TEXT];
};

void public_client_ref(struct moldau_client *client);
void public_client_unref(struct moldau_client *client);

/* INVALID for NULL, STATE in a callback, OK otherwise: the first line of every call that may run
 * the loop. */
MUST_USE enum moldau_err public_enter(struct moldau_client *client);
/* Keeps the text and the code, returns err: for `return public_fail(...)`. */
enum moldau_err public_fail(struct moldau_client *client, enum moldau_err err, int16_t code,
    const char *fmt, ...) PRINTF_LIKE(4, 5);
/* With the network's own words where it has some. */
enum moldau_err public_fail_err(struct moldau_client *client, enum err err);
/* "orders: UNKNOWN_TOPIC_OR_PARTITION: ..."; message may be null. OK with code 0. */
enum moldau_err public_fail_code(
    struct moldau_client *client, const char *what, int16_t code, struct str message);
enum moldau_err public_err_of(enum err err);
/* Why no broker can be reached, "" while one is connected. */
const char *public_trouble(const struct moldau_client *client);

int64_t public_now_ms(const struct moldau_client *client);
/* When a wait that starts now ends; negative timeouts are without end. */
int64_t public_end_ms(const struct moldau_client *client, int64_t timeout_ms);
/* Runs the loop until *flag (NULL: never) or end_ms. */
bool public_run_until(struct moldau_client *client, const bool *flag, int64_t end_ms);
/* One turn without waiting. */
void public_turn(struct moldau_client *client);
/* The same when the last one is older than age_ms: a program that only feeds a producer, or only
 * takes what is buffered, still reads answers and sends heartbeats. */
void public_turn_if_older(struct moldau_client *client, int64_t age_ms);

/* INVALID with a text, or OK. */
MUST_USE enum moldau_err public_check_topic(struct moldau_client *client, const char *topic);
MUST_USE enum moldau_err public_check_name(
    struct moldau_client *client, const char *what, const char *name);

/* ---- one question to the cluster, tried again while that may help ---- */

struct public_ask {
    struct moldau_client *client;
    struct client_call call;
    int64_t end_ms;
    enum err err; /* of the last try */
    bool done;
};

/* Also public_enter; on an error there is nothing to end. */
MUST_USE enum moldau_err public_ask_begin(
    struct public_ask *ask, struct moldau_client *client, int64_t timeout_ms);
/* One try. NULL: ask->err says why. The response lives until the next try or the end. */
const void *public_ask_send(
    struct public_ask *ask, enum client_target target, int16_t key, const void *request);
/* Whether to try again, after a pause: the network's error or this code may pass, time is left. */
bool public_ask_again(struct public_ask *ask, int16_t code);
/* For the request's own timeout field. */
int32_t public_ask_timeout_ms(const struct public_ask *ask);
/* Frees; gives OK or keeps what went wrong. */
enum moldau_err public_ask_end(
    struct public_ask *ask, const char *what, int16_t code, struct str message);
/* Brokers by id, and these topics: for CLIENT_TARGET_NODE. */
MUST_USE enum err public_ask_metadata(struct public_ask *ask, const char *topic);
/* By what that brought: sets the call's node_id to the partition's leader, or gives the code that
 * says why there is none. */
int16_t public_ask_leader(struct public_ask *ask, const char *topic, int32_t partition);

/* ---- results (public_result.c) ---- */

enum public_kind {
    PUBLIC_BROKERS,
    PUBLIC_TOPICS,
    PUBLIC_CONFIGS,
    PUBLIC_GROUPS,
    PUBLIC_OFFSETS,
};

struct moldau_result {
    enum public_kind kind;
    struct arena arena; /* of everything in it */
    size_t count, capacity;
    void **items;
    const char *cluster_id;
    int32_t controller_id;
};

MUST_USE enum err public_result_new(
    enum public_kind kind, size_t capacity, struct moldau_result **out);
/* A new zeroed item; NULL when memory is out. */
void *public_result_add(struct moldau_result *result, size_t size);
/* A terminated copy; NULL for null, and when memory is out (latched in the arena). */
const char *public_result_text(struct moldau_result *result, struct str text);
/* The same with "" for null. */
const char *public_result_text_or_empty(struct moldau_result *result, struct str text);
/* Ends a build: hands the result over when it is whole, frees it otherwise. */
enum moldau_err public_result_finish(struct moldau_client *client, enum moldau_err err,
    struct moldau_result *result, struct moldau_result **out);

/* ---- offsets of groups (public_admin_group.c), also for consumers without a subscription ---- */

/* The committed offset of one partition; -1: none. */
MUST_USE enum moldau_err public_committed(struct moldau_client *client, const char *group_id,
    const char *topic, int32_t partition, int64_t *offset);

#endif
