/* client/group.h - a member of a classic consumer group.
 *
 * Stands on a consumer: joins, takes part in rebalances (leads them when chosen), assigns and
 * unassigns the consumer's partitions at their committed offsets, heartbeats, commits. All of it
 * happens while the client's loop runs: either the service's own loop, or whenever the program
 * waits in client_consumer_poll. A program that lets the loop stand longer than the session timeout
 * is put out of the group by the broker and joins again.
 *
 * Records are taken from the consumer (client_consumer_poll, client_consumer_next); a failure that
 * ends the membership comes out there too, as an error with its text. What such a call handed out
 * may be taken away by a rebalance as soon as the loop runs again: its views end there. */
#ifndef CLIENT_GROUP_H
#define CLIENT_GROUP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"
#include "client/assignor.h"
#include "client/client.h"
#include "client/consumer.h"

struct client_group;

/* Told when partitions come and go; on the loop. on_assigned runs when the positions are known.
 * on_revoked runs before others may get them: what it commits still counts. on_lost: somebody else
 * may have them already. NULL: not told (on_lost falls back to on_revoked). */
struct client_group_events {
    void (*on_assigned)(void *ctx, const struct client_topic_partition *parts, int count);
    void (*on_revoked)(void *ctx, const struct client_topic_partition *parts, int count);
    void (*on_lost)(void *ctx, const struct client_topic_partition *parts, int count);
};

struct client_group_opts {
    struct client *client;
    struct client_consumer *consumer; /* borrowed; the group alone assigns it */
    struct str group_id;
    struct str instance_id;   /* null: dynamic; else static membership (KIP-345) */
    const struct str *topics; /* the subscription; copied */
    int topic_count;
    const enum client_assignor *assignors; /* best first; NULL: range, cooperative-sticky */
    int assignor_count;
    int32_t session_timeout_ms;      /* 0: 45 s */
    int32_t rebalance_timeout_ms;    /* 0: 300 s */
    int32_t heartbeat_interval_ms;   /* 0: 3 s */
    int64_t auto_commit_interval_ms; /* 0: only client_group_commit commits */
    int64_t metadata_max_age_ms;     /* 0: 300 s; how soon new partitions are noticed */
    /* Where to begin without a committed offset: LATEST, EARLIEST, or 0: that is an error. */
    int64_t reset;
    bool allow_auto_create; /* of subscribed topics */
    struct client_group_events events;
    void *ctx;
};

/* Copies what the options point at. Starts to join at once. INVALID: no group id, no topic, a
 * heartbeat interval not below the session timeout, or assignors named twice. */
MUST_USE enum err client_group_new(const struct client_group_opts *opts, struct client_group **out);
/* Without a word to the broker: client_group_leave first where that matters. No event is told. The
 * consumer, which must outlive the group, keeps its partitions. Not from inside an event or a
 * commit's `done`; a leaving's `done` may. */
void client_group_free(struct client_group **group);

/* Another subscription; the group rebalances. */
MUST_USE enum err client_group_subscribe(
    struct client_group *group, const struct str *topics, int count);

/* ---- where it stands ---- */

enum client_group_state {
    CLIENT_GROUP_SEEKING,   /* for the coordinator, or waiting before the next try */
    CLIENT_GROUP_PREPARING, /* commits and gives up partitions before joining */
    CLIENT_GROUP_JOINING,
    CLIENT_GROUP_SYNCING,
    CLIENT_GROUP_STABLE,
    CLIENT_GROUP_LEFT,
    CLIENT_GROUP_FAILED, /* for good: client_group_error says why */
};

enum client_group_state client_group_state(const struct client_group *group);
const char *client_group_state_name(enum client_group_state state);
/* "" and -1 while not a member. Valid until the loop runs. */
struct str client_group_member_id(const struct client_group *group);
int32_t client_group_generation(const struct client_group *group);
bool client_group_is_leader(const struct client_group *group);
bool client_group_is_cooperative(const struct client_group *group);
/* What it holds now, in order of topic and partition. Valid until the loop runs. */
const struct client_topic_partition *client_group_assignment(
    const struct client_group *group, int *count);
/* Of FAILED: the text, and the broker's code or 0. Otherwise the last thing that went wrong, ""
 * when nothing did. */
const char *client_group_error(const struct client_group *group);
int16_t client_group_error_code(const struct client_group *group);

/* ---- offsets ---- */

struct client_group_offset {
    struct str topic;
    int32_t partition;
    int64_t offset;       /* of the next record to read */
    int32_t leader_epoch; /* -1: unknown */
    struct str metadata;  /* null: none */
};

struct client_group_commit {
    struct list link;
    /* err is the network's; error_code is the first one of the broker's. Commits of one group end
     * in the order they were started. */
    void (*done)(struct client_group_commit *commit, enum err err, int16_t error_code);
    void *ctx;
    struct client_group_commit_call *call; /* its own */
};
/* Commits these offsets (count -1: every assigned partition's position). One try, as Java's
 * commitAsync; `done` may run before this returns. Codes that are not worth another try:
 * REBALANCE_IN_PROGRESS (commit again after the rebalance), ILLEGAL_GENERATION and
 * UNKNOWN_MEMBER_ID (the partitions are lost), FENCED_INSTANCE_ID. */
void client_group_commit(struct client_group *group, const struct client_group_offset *offsets,
    int count, struct client_group_commit *commit);
/* The same, running the loop and trying again while the error passes, for at most so long. FAILED:
 * the broker refused, with *error_code. */
MUST_USE enum err client_group_commit_wait(struct client_group *group,
    const struct client_group_offset *offsets, int count, int64_t timeout_ms, int16_t *error_code);

/* ---- leaving ---- */

struct client_group_leave {
    struct list link;
    void (*done)(struct client_group_leave *leave, enum err err);
    void *ctx;
};
/* Commits what auto commit owes, tells on_revoked, gives up the partitions and, unless static,
 * leaves; then LEFT. `done` may run before this returns, and always within the client's request
 * timeout. */
void client_group_leave(struct client_group *group, struct client_group_leave *leave);
/* The same, running the loop for at most so long. */
MUST_USE enum err client_group_leave_wait(struct client_group *group, int64_t timeout_ms);

#endif
