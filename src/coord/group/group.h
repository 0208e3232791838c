/* coord/group/group.h - the group coordinator: classic consumer groups and committed offsets, as a
 * machine of coord/runtime.h over the records of __consumer_offsets.
 *
 * Each function is one request to one shard: the caller holds the shard's lock, has called
 * coord_shard_enter, found coord_shard_ready NONE, and calls coord_shard_flush soon after. The
 * reply may be parked for long (joins, syncs) and ends by base.done, also when the shard goes away;
 * then base.err says why and the handler words it. The arguments are only read during the call;
 * responses are made in base.arena. */
#ifndef COORD_GROUP_GROUP_H
#define COORD_GROUP_GROUP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/uuid.h"
#include "coord/runtime.h"
#include "proto/delete_groups_response.h"
#include "proto/describe_groups_response.h"
#include "proto/heartbeat_request.h"
#include "proto/join_group_request.h"
#include "proto/join_group_response.h"
#include "proto/leave_group_request.h"
#include "proto/leave_group_response.h"
#include "proto/list_groups_response.h"
#include "proto/offset_commit_request.h"
#include "proto/offset_commit_response.h"
#include "proto/offset_delete_request.h"
#include "proto/offset_delete_response.h"
#include "proto/offset_fetch_request.h"
#include "proto/offset_fetch_response.h"
#include "proto/sync_group_request.h"
#include "proto/sync_group_response.h"

struct coord_group_config {
    int32_t session_timeout_min_ms;     /* group.min.session.timeout.ms, 6000 */
    int32_t session_timeout_max_ms;     /* group.max.session.timeout.ms, 1800000 */
    int32_t initial_rebalance_delay_ms; /* group.initial.rebalance.delay.ms, 3000 */
    int32_t new_member_join_timeout_ms; /* 300000; not a key of Kafka's configuration */
    int32_t size_max;                   /* group.max.size */
    int32_t offset_metadata_bytes_max;  /* offset.metadata.max.bytes, 4096 */
    int64_t offsets_retention_ms;       /* offsets.retention.minutes, 7 days */
    int64_t retention_check_ms;         /* offsets.retention.check.interval.ms, 600000 */
};

/* Kafka's defaults. */
struct coord_group_config coord_group_config_default(void);

/* The machine; its ctx is a const struct coord_group_config * that outlives the shards. */
extern const struct coord_machine_ops coord_group_machine;

struct coord_group_caller {
    struct str client_id;   /* "" when the request had none */
    struct str client_host; /* as Kafka writes it: "/127.0.0.1" */
    int16_t version;
};

/* ---- membership ---- */

struct coord_group_join {
    struct coord_reply base;
    int16_t version;
    struct proto_join_group_response response;
};
void coord_group_join(struct coord_shard *shard, const struct coord_group_caller *caller,
    const struct proto_join_group_request *request, struct coord_group_join *reply);

struct coord_group_sync {
    struct coord_reply base;
    struct proto_sync_group_response response;
};
void coord_group_sync(struct coord_shard *shard, const struct proto_sync_group_request *request,
    struct coord_group_sync *reply);

/* base.err is the answer. */
void coord_group_heartbeat(struct coord_shard *shard, const struct proto_heartbeat_request *request,
    struct coord_reply *reply);

struct coord_group_leave {
    struct coord_reply base;
    struct proto_leave_group_response response; /* members, one for each of the request's */
};
/* Members only (versions below 3: the handler makes one of the member id). */
void coord_group_leave(struct coord_shard *shard, const struct proto_leave_group_request *request,
    struct coord_group_leave *reply);

/* ---- offsets ---- */

struct coord_group_commit {
    struct coord_reply base;
    /* One error for each partition, in the request's order, in base.arena. */
    int16_t *errors;
    int32_t count;
};
/* Topics carry their names (the handler resolved ids) and, where known, their ids. base.err is the
 * answer for all partitions. */
void coord_group_commit(struct coord_shard *shard, const struct coord_group_caller *caller,
    const struct proto_offset_commit_request *request, struct coord_group_commit *reply);

/* The door of transactions: the same, as pending offsets of a producer until its marker comes. */
struct coord_group_txn {
    int64_t producer_id;
    int16_t producer_epoch;
};
void coord_group_commit_txn(struct coord_shard *shard, const struct coord_group_txn *txn,
    const struct proto_offset_commit_request *request, struct coord_group_commit *reply);

struct coord_group_fetch {
    struct coord_reply base;
    struct proto_offset_fetch_response_offset_fetch_response_group response;
};
/* Topics by name; topics null: all. Ids of the request's topics are copied to the response. */
void coord_group_fetch(struct coord_shard *shard,
    const struct proto_offset_fetch_request_offset_fetch_request_group *request,
    bool require_stable, struct coord_group_fetch *reply);

struct coord_group_offset_delete {
    struct coord_reply base;
    struct proto_offset_delete_response response;
};
/* A null partition list of a topic is not possible. Partitions that do not exist were left out by
 * the handler. */
void coord_group_offset_delete(struct coord_shard *shard,
    const struct proto_offset_delete_request *request, struct coord_group_offset_delete *reply);

/* ---- administration ---- */

struct coord_group_describe {
    struct coord_reply base;
    struct proto_describe_groups_response_described_group response;
};
void coord_group_describe(struct coord_shard *shard, struct str group_id, int16_t version,
    struct coord_group_describe *reply);

struct coord_group_list {
    struct coord_reply base;
    struct proto_list_groups_response response; /* groups */
};
/* Filters are matched without regard to case; count 0: everything. */
void coord_group_list(struct coord_shard *shard, const struct str *states, int32_t state_count,
    const struct str *types, int32_t type_count, struct coord_group_list *reply);

/* base.err is the answer of this one group. */
void coord_group_delete(struct coord_shard *shard, struct str group_id, struct coord_reply *reply);

/* ---- events ---- */

/* A topic was deleted: its offsets go (of another id: they stay). False: there were more than one
 * flush holds, or no memory; flush and call again. */
MUST_USE bool coord_group_topic_deleted(
    struct coord_shard *shard, struct str topic, struct uuid topic_id);

/* ---- for tests and metrics ---- */

/* States of classic groups. */
enum coord_group_state {
    COORD_GROUP_EMPTY,
    COORD_GROUP_PREPARING_REBALANCE,
    COORD_GROUP_COMPLETING_REBALANCE,
    COORD_GROUP_STABLE,
    COORD_GROUP_DEAD,
    COORD_GROUP_STATES,
};

struct coord_group_counts {
    int64_t groups;
    int64_t offsets;
    int64_t members;
    int64_t by_state[COORD_GROUP_STATES]; /* classic groups */
};
struct coord_group_counts coord_group_counts_get(const struct coord_shard *shard);

/* Every group, then every committed offset, those of one group and topic next to each other; texts
 * are views for the call. A function that returns false ends its half. They only copy. */
struct coord_group_visitor {
    bool (*group)(void *ctx, struct str id, int32_t members);
    bool (*offset)(void *ctx, struct str id, struct str topic, int32_t partition, int64_t offset);
    void *ctx;
};
void coord_group_visit(const struct coord_shard *shard, const struct coord_group_visitor *visitor);

/* What the log would give back of this shard, as text, sorted: groups, generations, members,
 * assignments, offsets. Two shards that replay the same log dump the same. */
void coord_group_dump(const struct coord_shard *shard, struct buf *out);

#endif
