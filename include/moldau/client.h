/* moldau/client.h - a Kafka client for C and C++: produce, consume, administer.
 *
 * For Moldau and for Apache Kafka. The guide, with every option, is docs/client.md.
 *
 * Handles are opaque: a client knows one cluster; producers and consumers are made on it.
 *
 * Threads: a client and everything made on it is used by one thread at a time; threads that work
 * side by side have a client each. There are no hidden threads: connections are served and
 * callbacks run inside calls, so a program calls often, or moldau_client_run while it has nothing
 * else to do. Callbacks may only use what says "in callbacks too"; other calls answer STATE there.
 *
 * Time is in milliseconds. A timeout_ms of 0 does not wait, MOLDAU_FOREVER waits without end.
 *
 * Errors: a call answers MOLDAU_OK or why not; moldau_client_error and moldau_client_error_code
 * then tell more. A bad argument is INVALID with a text, never undefined; only a pointer to a
 * handle that is not one is. Out parameters come last and are untouched on failure, unless said
 * otherwise.
 *
 * Text is UTF-8, terminated, and copied when it goes in. What comes out belongs to the library and
 * is valid as long as said. Structs that grow carry their size (use the _INIT macro); structs that
 * the library fills may get new members at their end, so programs never copy them whole. */
#ifndef MOLDAU_CLIENT_H
#define MOLDAU_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- version ---- */

#define MOLDAU_VERSION_MAJOR 0
#define MOLDAU_VERSION_MINOR 1
#define MOLDAU_VERSION_PATCH 0

/* Of the library that runs: "0.1.0". */
const char *moldau_version(void);

/* ---- errors ---- */

enum moldau_err {
    MOLDAU_OK = 0,
    MOLDAU_ERR_INVALID = 1,      /* an argument or an option */
    MOLDAU_ERR_NOMEM = 2,        /* out of memory, or over a limit of it */
    MOLDAU_ERR_TIMEOUT = 3,      /* not within timeout_ms */
    MOLDAU_ERR_AGAIN = 4,        /* not now, without waiting: run, then try again */
    MOLDAU_ERR_FULL = 5,         /* the producer's buffer: run, then try again */
    MOLDAU_ERR_NOTFOUND = 6,     /* no such topic, partition, node */
    MOLDAU_ERR_TOO_LARGE = 7,    /* a record larger than a batch may be */
    MOLDAU_ERR_BROKER = 8,       /* the cluster refused: see the error code */
    MOLDAU_ERR_NETWORK = 9,      /* no broker could be reached, or the connection ended */
    MOLDAU_ERR_UNSUPPORTED = 10, /* by the broker's version */
    MOLDAU_ERR_STATE = 11,    /* not possible now: in a callback, not subscribed, failed earlier */
    MOLDAU_ERR_CANCELED = 12, /* ended by a free */
    MOLDAU_ERR_CORRUPT = 13,  /* data that a broker sent is damaged */
    MOLDAU_ERR_DISK = 14      /* files cannot be read or written (moldau/broker.h) */
};

/* Static text, never NULL, also for numbers that are no error. Any thread, in callbacks too. */
const char *moldau_err_text(enum moldau_err err);
/* Of Kafka's protocol error codes: the name ("NOT_LEADER_OR_FOLLOWER", "UNKNOWN" for one that is
 * not known), a sentence, whether the same thing may be tried again. Any thread, in callbacks too.
 */
const char *moldau_code_name(int16_t code);
const char *moldau_code_text(int16_t code);
bool moldau_code_retriable(int16_t code);

enum { MOLDAU_FOREVER = -1 };

/* ---- options ----
 * Kafka's names for Kafka's meanings ("bootstrap.servers", "acks", "group.id", ...), checked when
 * they are set. One set serves for clients, producers and consumers: each takes what concerns it.
 * Options are not bound to a thread; one thread at a time. */

struct moldau_options;

/* NOMEM. */
enum moldau_err moldau_options_new(struct moldau_options **out);
void moldau_options_free(struct moldau_options **options); /* nulls; NULL is fine */
/* INVALID: no such option, or no such value for it; moldau_options_error names both. */
enum moldau_err moldau_options_set(
    struct moldau_options *options, const char *name, const char *value);
/* The value in force, "" when there is none; NULL for a name that is no option. Valid until the
 * next call on the options. */
const char *moldau_options_get(struct moldau_options *options, const char *name);
/* Why the last set, or the last moldau_client_new with these options, failed; "" when it did not.
 */
const char *moldau_options_error(const struct moldau_options *options);

/* ---- client ---- */

struct moldau_client;

/* Copies the options; "bootstrap.servers" must be set. Connects to nothing yet. INVALID, NOMEM,
 * with the text in moldau_options_error. */
enum moldau_err moldau_client_new(struct moldau_options *options, struct moldau_client **out);
/* Ends the client once the last producer and consumer on it is freed. Nulls; NULL is fine. */
void moldau_client_free(struct moldau_client **client);
/* What the last failure was, for people ("127.0.0.1:9092: connection refused"); "" before any.
 * Valid until the next call. In callbacks too. */
const char *moldau_client_error(const struct moldau_client *client);
/* Kafka's error code of the last failure, 0 when it had none. In callbacks too. */
int16_t moldau_client_error_code(const struct moldau_client *client);
/* Serves connections and runs callbacks for timeout_ms (0: what is due now). OK, STATE. */
enum moldau_err moldau_client_run(struct moldau_client *client, int64_t timeout_ms);
/* For a program with an event loop of its own: a descriptor to poll for reading. When it is
 * readable, or *wait_ms passed (-1: no limit), call moldau_client_run(client, 0). Ask for *wait_ms
 * again after each call on the client. The descriptor stays the same and is the client's. -1: in a
 * callback. */
int moldau_client_fd(const struct moldau_client *client, int64_t *wait_ms);

/* ---- producer ---- */

/* Of a record. These members are all there will ever be. */
struct moldau_header {
    const char *name;  /* terminated */
    const void *value; /* NULL: null */
    size_t value_len;
};

enum { MOLDAU_PARTITION_ANY = -1, MOLDAU_TIMESTAMP_NOW = -1 };

struct moldau_record {
    size_t struct_size;
    const char *topic;
    int32_t partition; /* MOLDAU_PARTITION_ANY: the partitioner picks */
    int32_t header_count;
    int64_t timestamp_ms; /* since 1970; MOLDAU_TIMESTAMP_NOW */
    const void *key;      /* NULL: null, which is not the empty key */
    size_t key_len;
    const void *value; /* NULL: null, a tombstone in compacted topics */
    size_t value_len;
    const struct moldau_header *headers;
    void *opaque; /* for the delivery callback */
};

#define MOLDAU_RECORD_INIT                                                                       \
    {                                                                                            \
        sizeof(struct moldau_record), NULL, MOLDAU_PARTITION_ANY, 0, MOLDAU_TIMESTAMP_NOW, NULL, \
            0, NULL, 0, NULL, NULL                                                               \
    }

/* What became of a record. Valid during the callback. */
struct moldau_delivery {
    enum moldau_err err; /* OK: it is in the log */
    int16_t error_code;  /* Kafka's, with BROKER */
    int32_t partition;
    int64_t offset;       /* -1: unknown (errors, acks=0) */
    int64_t timestamp_ms; /* the record's, or the broker's with LogAppendTime */
    const char *topic;
    void *opaque;
};

/* Told once for every record that was accepted, in order per partition. */
typedef void (*moldau_delivery_fn)(void *ctx, const struct moldau_delivery *delivery);
/* Picks a partition from 0 to partition_count - 1; anything else makes the send INVALID. Called
 * inside moldau_producer_send for records that name none. */
typedef int32_t (*moldau_partitioner_fn)(
    void *ctx, const char *topic, const void *key, size_t key_len, int32_t partition_count);

/* For producers made with these options. fn NULL: none. */
void moldau_options_on_delivery(struct moldau_options *options, moldau_delivery_fn fn, void *ctx);
void moldau_options_partitioner(
    struct moldau_options *options, moldau_partitioner_fn fn, void *ctx);

struct moldau_producer;

/* options NULL: the client's. INVALID: options that contradict each other. */
enum moldau_err moldau_producer_new(struct moldau_client *client,
    const struct moldau_options *options, struct moldau_producer **out);
/* Sends what is gathered, waits for every record's fate for at most timeout_ms, frees and nulls.
 * TIMEOUT: some are told CANCELED. STATE: in a callback; nothing happens. */
enum moldau_err moldau_producer_close(struct moldau_producer **producer, int64_t timeout_ms);
/* The same without sending or waiting. Not in callbacks, where it does nothing. */
void moldau_producer_free(struct moldau_producer **producer);
/* Copies the record and gathers it; its fate comes to the delivery callback. Waits at most
 * timeout_ms for the topic to be known and for room in the buffer. OK: accepted. Not accepted:
 * TIMEOUT, AGAIN or FULL (with timeout_ms 0), NOTFOUND (no such topic or partition), TOO_LARGE,
 * NETWORK, BROKER, INVALID, STATE (no producer id could be had). */
enum moldau_err moldau_producer_send(
    struct moldau_producer *producer, const struct moldau_record *record, int64_t timeout_ms);
/* Sends what is gathered without waiting for linger.ms; OK when every record's fate is known,
 * whatever it is. TIMEOUT. */
enum moldau_err moldau_producer_flush(struct moldau_producer *producer, int64_t timeout_ms);
/* Records whose fate is not known yet. In callbacks too. */
int64_t moldau_producer_outstanding(const struct moldau_producer *producer);

/* ---- consumer ---- */

/* These members are all there will ever be. */
struct moldau_topic_partition {
    const char *topic;
    int32_t partition;
};

/* A position to commit. These members are all there will ever be. */
struct moldau_offset {
    const char *topic;
    int32_t partition;
    int32_t leader_epoch; /* -1: unknown */
    int64_t offset;       /* of the next record to read */
    const char *metadata; /* NULL: none */
};

/* Instead of an offset. */
enum {
    MOLDAU_OFFSET_LATEST = -1,
    MOLDAU_OFFSET_EARLIEST = -2,
    MOLDAU_OFFSET_COMMITTED = -1000 /* the group's, else by auto.offset.reset; blocks */
};

/* Valid until the next poll of its consumer, or until that is freed. */
struct moldau_message {
    const char *topic;
    int32_t partition;
    int32_t leader_epoch; /* -1: unknown */
    int64_t offset;
    int64_t timestamp_ms;
    bool log_append_time; /* the timestamp is the broker's */
    const void *key;      /* NULL: null */
    size_t key_len;
    const void *value; /* NULL: null */
    size_t value_len;
    const struct moldau_header *headers;
    size_t header_count;
};

enum moldau_rebalance {
    MOLDAU_REBALANCE_ASSIGNED = 1, /* these came, their positions are known: seek, pause */
    MOLDAU_REBALANCE_REVOKED = 2,  /* these go: a commit started now still counts */
    MOLDAU_REBALANCE_LOST = 3      /* these are gone already */
};

struct moldau_consumer;

/* During a poll, a commit, a run or a close. parts is valid during the call. */
typedef void (*moldau_rebalance_fn)(void *ctx, struct moldau_consumer *consumer,
    enum moldau_rebalance event, const struct moldau_topic_partition *parts, size_t count);
/* The end of a commit: err OK, or BROKER with the code, or why it could not be sent. */
typedef void (*moldau_commit_fn)(void *ctx, enum moldau_err err, int16_t error_code);

/* For consumers made with these options. fn NULL: none. */
void moldau_options_on_rebalance(struct moldau_options *options, moldau_rebalance_fn fn, void *ctx);

/* options NULL: the client's. INVALID: options that contradict each other. */
enum moldau_err moldau_consumer_new(struct moldau_client *client,
    const struct moldau_options *options, struct moldau_consumer **out);
/* Commits what automatic commit owes, leaves the group (a static member stays), frees, nulls. An
 * error says that leaving did not succeed in time; the consumer is freed all the same. STATE: in a
 * callback; nothing happens. */
enum moldau_err moldau_consumer_close(struct moldau_consumer **consumer, int64_t timeout_ms);
/* The same without a word to the group, which will miss the member for its session timeout. Not in
 * callbacks, where it does nothing. */
void moldau_consumer_free(struct moldau_consumer **consumer);

/* Becomes a member of "group.id" and reads what the group assigns; with a subscription already,
 * that is replaced. Returns at once; the group forms during polls. STATE: partitions are assigned
 * by hand. INVALID: no group.id, no topics. */
enum moldau_err moldau_consumer_subscribe(
    struct moldau_consumer *consumer, const char *const *topics, size_t count);
/* Leaves the group as moldau_consumer_close does; not subscribed is fine. */
enum moldau_err moldau_consumer_unsubscribe(struct moldau_consumer *consumer, int64_t timeout_ms);

/* By hand, without a group: adds a partition, or moves one. offset: 0 and above, or one of
 * MOLDAU_OFFSET_. STATE: subscribed. The others only with COMMITTED. */
enum moldau_err moldau_consumer_assign(
    struct moldau_consumer *consumer, const char *topic, int32_t partition, int64_t offset);
/* The same from the first record of that time or younger; from the end when there is none. Waits
 * for the look-up. */
enum moldau_err moldau_consumer_assign_time(struct moldau_consumer *consumer, const char *topic,
    int32_t partition, int64_t timestamp_ms, int64_t timeout_ms);
/* NOTFOUND: not assigned. STATE: subscribed. */
enum moldau_err moldau_consumer_unassign(
    struct moldau_consumer *consumer, const char *topic, int32_t partition);
/* What is assigned now, by hand or by the group; *count is set. Valid until the next call on the
 * consumer. NULL with *count 0: nothing. In callbacks too. */
const struct moldau_topic_partition *moldau_consumer_assignment(
    struct moldau_consumer *consumer, size_t *count);

/* The next message of any partition, waiting at most timeout_ms. OK with *out; TIMEOUT: none came.
 * Other errors concern one partition, which stands still until it is seeked or assigned again (text
 * and code: moldau_client_error), or the group membership, which is then over for good (STATE from
 * then on). The positions are past what was handed out, and that is what a commit commits: so
 * commit, or poll again, once a message is dealt with. */
enum moldau_err moldau_consumer_poll(
    struct moldau_consumer *consumer, int64_t timeout_ms, const struct moldau_message **out);
/* Every assigned partition that is not paused was read up to its end, as far as is known. */
bool moldau_consumer_at_end(const struct moldau_consumer *consumer);

/* NOTFOUND: not assigned. offset as for assign, without COMMITTED. In callbacks too. */
enum moldau_err moldau_consumer_seek(
    struct moldau_consumer *consumer, const char *topic, int32_t partition, int64_t offset);
/* The offset of the next message to be handed out. NOTFOUND: not assigned. AGAIN: it is being
 * looked up. In callbacks too. */
enum moldau_err moldau_consumer_position(
    const struct moldau_consumer *consumer, const char *topic, int32_t partition, int64_t *offset);
/* Where the last answer saw the partition's end. NOTFOUND: not assigned. AGAIN: nothing came yet.
 * In callbacks too. */
enum moldau_err moldau_consumer_end(
    const struct moldau_consumer *consumer, const char *topic, int32_t partition, int64_t *offset);
/* Nothing of a paused partition is fetched or handed out; one that is revoked and comes back is not
 * paused. NOTFOUND: not assigned. In callbacks too. */
enum moldau_err moldau_consumer_pause(
    struct moldau_consumer *consumer, const char *topic, int32_t partition);
enum moldau_err moldau_consumer_resume(
    struct moldau_consumer *consumer, const char *topic, int32_t partition);

/* Commits for the group and waits; what may pass is tried again. offsets NULL: every assigned
 * partition's position. BROKER with REBALANCE_IN_PROGRESS: poll first; with ILLEGAL_GENERATION,
 * UNKNOWN_MEMBER_ID or FENCED_INSTANCE_ID: others have the partitions. INVALID: no group.id. */
enum moldau_err moldau_consumer_commit(struct moldau_consumer *consumer,
    const struct moldau_offset *offsets, size_t count, int64_t timeout_ms);
/* Starts a commit of a subscribed consumer, one try; fn (or NULL) is told its end, perhaps before
 * this returns, and CANCELED when the consumer is freed. STATE: not subscribed. In callbacks too.
 */
enum moldau_err moldau_consumer_commit_async(struct moldau_consumer *consumer,
    const struct moldau_offset *offsets, size_t count, moldau_commit_fn fn, void *ctx);

/* ---- administration ----
 * Calls that wait for their answer, trying again what may pass. A refusal by the cluster is BROKER
 * with moldau_client_error_code; network trouble that lasts is NETWORK. Not in callbacks.
 *
 * Lists come as a result: items of one kind, of which the accessor of that kind gives the i-th
 * (NULL when there is none, or the result is of another kind). They live as long as the result,
 * which needs no client: any one thread at a time may hold it. */

struct moldau_result;

size_t moldau_result_count(const struct moldau_result *result);
void moldau_result_free(struct moldau_result **result); /* nulls; NULL is fine */

struct moldau_broker {
    int32_t id;
    int32_t port;
    const char *host;
    const char *rack; /* NULL: none */
};
/* Items: brokers. NETWORK, TIMEOUT. */
enum moldau_err moldau_cluster_describe(
    struct moldau_client *client, int64_t timeout_ms, struct moldau_result **out);
const struct moldau_broker *moldau_result_broker(const struct moldau_result *result, size_t index);
/* "" and -1 when the result is of another kind. */
const char *moldau_result_cluster_id(const struct moldau_result *result);
int32_t moldau_result_controller_id(const struct moldau_result *result);

struct moldau_partition {
    int32_t index;
    int32_t leader; /* -1: none */
    int32_t leader_epoch;
    int16_t error_code;
    size_t replica_count;
    const int32_t *replicas; /* broker ids, the preferred leader first */
    size_t isr_count;
    const int32_t *isr; /* those in sync */
};
struct moldau_topic {
    const char *name;
    const char *id;     /* as Kafka writes it; "" when the broker tells none */
    int16_t error_code; /* UNKNOWN_TOPIC_OR_PARTITION, ...: then there are no partitions */
    bool internal;
    size_t partition_count;
    const struct moldau_partition *const *partitions; /* in order of their index */
};
/* Items: topics. names NULL: every topic. A topic that is not there is an item with an error code;
 * none is created. */
enum moldau_err moldau_topic_describe(struct moldau_client *client, const char *const *names,
    size_t count, int64_t timeout_ms, struct moldau_result **out);
const struct moldau_topic *moldau_result_topic(const struct moldau_result *result, size_t index);

/* A setting and its value. These members are all there will ever be. */
struct moldau_setting {
    const char *name;
    const char *value; /* moldau_config_alter: NULL puts the default back */
};
struct moldau_new_topic {
    size_t struct_size;
    const char *name;
    int32_t partition_count;    /* -1: the broker's default */
    int32_t replication_factor; /* -1: the broker's default */
    const struct moldau_setting *settings;
    size_t setting_count;
    bool validate_only;
};
#define MOLDAU_NEW_TOPIC_INIT                                         \
    {                                                                 \
        sizeof(struct moldau_new_topic), NULL, -1, -1, NULL, 0, false \
    }
/* BROKER: TOPIC_ALREADY_EXISTS, INVALID_TOPIC_EXCEPTION, INVALID_REPLICATION_FACTOR, ... */
enum moldau_err moldau_topic_create(
    struct moldau_client *client, const struct moldau_new_topic *topic, int64_t timeout_ms);
/* BROKER: UNKNOWN_TOPIC_OR_PARTITION, ... */
enum moldau_err moldau_topic_delete(
    struct moldau_client *client, const char *name, int64_t timeout_ms);
/* partition_count: how many there shall be. BROKER: INVALID_PARTITIONS when not more than now, ...
 */
enum moldau_err moldau_topic_add_partitions(
    struct moldau_client *client, const char *name, int32_t partition_count, int64_t timeout_ms);
/* Deletes the records below an offset (-1: all there are). *low_watermark (may be NULL): the first
 * offset left. BROKER: OFFSET_OUT_OF_RANGE, ... */
enum moldau_err moldau_topic_delete_records(struct moldau_client *client,
    const struct moldau_topic_partition *part, int64_t before_offset, int64_t timeout_ms,
    int64_t *low_watermark);

enum moldau_resource {
    MOLDAU_RESOURCE_TOPIC = 2,
    MOLDAU_RESOURCE_BROKER = 4, /* name: its id, or "" for the defaults of all */
    MOLDAU_RESOURCE_GROUP = 32
};
struct moldau_config {
    const char *name;
    const char *value; /* NULL: none, or hidden */
    const char
        *source; /* "topic", "broker", "all brokers", "file", "default", "group", "unknown" */
    bool read_only;
    bool sensitive;
};
/* Items: settings in force. BROKER: UNKNOWN_TOPIC_OR_PARTITION, ... */
enum moldau_err moldau_config_describe(struct moldau_client *client, enum moldau_resource resource,
    const char *name, int64_t timeout_ms, struct moldau_result **out);
const struct moldau_config *moldau_result_config(const struct moldau_result *result, size_t index);
/* Changes the settings named and no others. BROKER: INVALID_CONFIG, ... */
enum moldau_err moldau_config_alter(struct moldau_client *client, enum moldau_resource resource,
    const char *name, const struct moldau_setting *settings, size_t count, int64_t timeout_ms);

struct moldau_member {
    const char *member_id;
    const char *instance_id; /* NULL: dynamic */
    const char *client_id;
    const char *host;
    size_t partition_count;
    const struct moldau_topic_partition *partitions; /* what it reads */
};
struct moldau_group {
    const char *group_id;
    const char *state;         /* "Stable", "Empty", "Dead", ...; "" when not told */
    const char *type;          /* "classic", "consumer", ...; "" when not told */
    const char *protocol_type; /* "consumer" */
    const char *protocol;      /* the assignor; describe only */
    int32_t coordinator;       /* broker id; describe only, else -1 */
    size_t member_count;       /* describe only */
    const struct moldau_member *const *members;
};
/* Items: the groups of every broker. */
enum moldau_err moldau_group_list(
    struct moldau_client *client, int64_t timeout_ms, struct moldau_result **out);
/* One item. BROKER: GROUP_ID_NOT_FOUND, ... */
enum moldau_err moldau_group_describe(struct moldau_client *client, const char *group_id,
    int64_t timeout_ms, struct moldau_result **out);
const struct moldau_group *moldau_result_group(const struct moldau_result *result, size_t index);
/* BROKER: NON_EMPTY_GROUP, GROUP_ID_NOT_FOUND, ... */
enum moldau_err moldau_group_delete(
    struct moldau_client *client, const char *group_id, int64_t timeout_ms);

struct moldau_partition_offset {
    const char *topic;
    int32_t partition;
    int32_t leader_epoch; /* -1: unknown */
    int64_t offset;       /* -1: none */
    int64_t timestamp_ms; /* moldau_offset_list by time: the record's; else -1 */
    const char *metadata; /* of a commit; NULL: none */
    int16_t error_code;   /* of this partition */
};
/* Items: the offset of each partition of the topic, at MOLDAU_OFFSET_EARLIEST,
 * MOLDAU_OFFSET_LATEST, or of the first record of that time or younger. */
enum moldau_err moldau_offset_list(struct moldau_client *client, const char *topic,
    int64_t timestamp_ms, int64_t timeout_ms, struct moldau_result **out);
/* Items: what the group committed. */
enum moldau_err moldau_group_offsets(struct moldau_client *client, const char *group_id,
    int64_t timeout_ms, struct moldau_result **out);
const struct moldau_partition_offset *moldau_result_offset(
    const struct moldau_result *result, size_t index);
/* Sets committed offsets of a group without members. BROKER: UNKNOWN_MEMBER_ID when it has some. */
enum moldau_err moldau_group_alter_offsets(struct moldau_client *client, const char *group_id,
    const struct moldau_offset *offsets, size_t count, int64_t timeout_ms);

#ifdef __cplusplus
}
#endif

#endif
