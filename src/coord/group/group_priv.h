/* coord/group/group_priv.h - the structs of the group coordinator, for its own files and tests. */
#ifndef COORD_GROUP_GROUP_PRIV_H
#define COORD_GROUP_GROUP_PRIV_H

#include "base/arena.h"
#include "base/fsm.h"
#include "base/limits.h"
#include "base/map.h"
#include "coord/group/group.h"
#include "wire/writer.h"

/* ---- committed offsets ---- */

struct offset_entry {
    int32_t partition;
    int32_t leader_epoch; /* -1: unknown */
    int64_t offset;
    int64_t commit_ms;
    int64_t expire_ms;    /* -1: by the rules of the group */
    int64_t order;        /* of the record that set it */
    struct uuid topic_id; /* zero: unknown */
    struct str metadata;  /* owned; never null */
};

struct offset_topic {
    UT_hash_handle hh;            /* by name */
    struct str name;              /* owned */
    struct offset_entry *entries; /* owned, sorted by partition */
    int32_t count;
    int32_t capacity;
};

struct offset_group {
    UT_hash_handle hh; /* by id */
    struct str id;     /* owned */
    struct offset_topic *topics;
};

/* A walk over a store that changes meanwhile: what is there all the time is met once. */
struct offset_walk {
    struct offset_group *group; /* NULL: at the end */
    struct offset_topic *topic; /* NULL: the group is through */
    int64_t partition;          /* the next one is not below */
};

/* The offsets of many groups: either the committed ones or one producer's pending ones. */
struct offset_store {
    struct offset_group *groups;
    int64_t count;
    size_t bytes; /* about as long as they are as records */
    struct offset_walk walk;
};

struct offset_txn {
    UT_hash_handle hh; /* by producer_id */
    int64_t producer_id;
    struct offset_store store;
};

void coord_offset_store_fini(struct offset_store *store);
struct offset_group *coord_offset_store_group(const struct offset_store *store, struct str group);
struct offset_topic *coord_offset_group_topic(const struct offset_group *group, struct str topic);
/* NULL when there is none. */
struct offset_entry *coord_offset_store_get(
    const struct offset_store *store, struct str group, struct str topic, int32_t partition);
/* Copies the entry with its metadata. */
MUST_USE enum err coord_offset_store_put(struct offset_store *store, struct str group,
    struct str topic, const struct offset_entry *entry);
/* Nothing there is fine. Empty topics and groups go too. */
void coord_offset_store_remove(
    struct offset_store *store, struct str group, struct str topic, int32_t partition);

void coord_offset_store_walk(struct offset_store *store);
/* NULL at the end. */
struct offset_entry *coord_offset_store_next(
    struct offset_store *store, struct str *group, struct str *topic);

/* ---- records that are not understood ---- */

/* Kept so that no cleaning loses them: of groups of later kinds, and of later versions. */
struct foreign_record {
    UT_hash_handle hh;  /* by key; in the order of the last writes */
    struct bytes key;   /* owned */
    struct bytes value; /* owned */
    int64_t order;      /* of the record */
};

/* ---- groups ---- */

enum group_state {
    GROUP_EMPTY,
    GROUP_PREPARING_REBALANCE,
    GROUP_COMPLETING_REBALANCE,
    GROUP_STABLE,
    GROUP_DEAD,
};

/* What its records say it is. All but classic groups are strangers here: kept so that nothing
 * classic happens to them (KIP-848, 932 and 1071 will move in beside). */
enum group_kind { GROUP_CLASSIC, GROUP_CONSUMER, GROUP_SHARE, GROUP_STREAMS };

struct group_protocol {
    struct str name;
    struct bytes metadata;
};

/* A member's protocols in its order of preference; one heap block. */
struct group_protocols {
    int32_t count;
    struct group_protocol items[];
};

struct group_member {
    UT_hash_handle hh;        /* group->members, by id */
    UT_hash_handle hh_static; /* group->statics, by instance_id; not for dynamic members */
    struct group *group;
    struct str id;          /* owned, as are all texts and bytes here */
    struct str instance_id; /* null: dynamic */
    struct str client_id;
    struct str client_host;
    int32_t rebalance_timeout_ms;
    int32_t session_timeout_ms;
    struct group_protocols *protocols;
    struct bytes assignment;
    bool is_new; /* in its first rebalance: its heartbeat timer runs while it waits to join */
    bool pending_sync;
    struct coord_group_join *join; /* parked; NULL when none */
    struct coord_group_sync *sync;
    struct coord_timer session;
};

/* Got an id by MEMBER_ID_REQUIRED and has not come back with it yet. */
struct group_pending {
    UT_hash_handle hh; /* group->pending, by id */
    struct group *group;
    struct str id;
    struct coord_timer timer;
};

/* How many members name a protocol. */
struct group_vote {
    UT_hash_handle hh; /* by name */
    struct str name;
    int32_t count;
};

struct group {
    UT_hash_handle hh; /* group_machine.groups, by id */
    struct group_machine *machine;
    struct str id;
    enum group_kind kind;
    struct fsm fsm;
    enum group_state previous;
    int32_t generation;
    struct str protocol_type; /* null: none yet */
    struct str protocol_name; /* null: none selected */
    int64_t state_ms;         /* wall clock of the last move, -1 unknown */
    struct group_member *members;
    struct group_member *statics;
    struct group_member *leader; /* NULL only without members */
    struct group_pending *pending;
    struct group_vote *votes;
    int32_t joins;         /* members with a parked join */
    int32_t pending_syncs; /* members that owe a sync */
    struct str *topics;    /* subscribed, sorted; one block */
    int32_t topic_count;   /* -1: not known */
    bool member_added;     /* during the initial delay */
    int64_t order;         /* of its last record; -1: it has none */
    size_t record_bytes;   /* of that */
    int32_t delay_ms;      /* of the running step of the initial delay, 0 when it is no such */
    int32_t remaining_ms;  /* of the initial delay after this step */
    struct coord_timer join_timer;
    struct coord_timer sync_timer;
};

/* A copy of the live state for the log's cleaning: what comes next of each kind. */
struct group_copy {
    int64_t start; /* what stands in the log from here on needs no copy */
    struct foreign_record *foreign;
    struct group *group;
};

struct group_machine {
    struct coord_shard *shard;
    const struct coord_group_config *config;
    struct group *groups;
    size_t groups_bytes; /* of their records */
    struct offset_store offsets;
    struct offset_txn *txns;
    struct foreign_record *foreign;
    size_t foreign_bytes;
    struct group_copy copy;
    struct coord_timer expiry;
    struct writer key; /* scratch for records */
    struct writer value;
};

/* group.c */
struct group_machine *coord_group_of(const struct coord_shard *shard);
struct group *coord_group_find(const struct group_machine *machine, struct str id);
/* NULL when memory ran out; state Empty, classic. */
struct group *coord_group_create(struct group_machine *machine, struct str id);
/* Takes it out of the machine and frees it; answers what is parked with `why`. */
void coord_group_remove(struct group *group, enum proto_error why);
static inline enum group_state
coord_group_state(const struct group *group)
{
    return (enum group_state)group->fsm.state;
}
void coord_group_move(struct group *group, enum group_state next);
const char *coord_group_state_text(const struct group *group);
int32_t coord_group_size(const struct group *group);
bool coord_group_is_consumer(const struct group *group);
bool coord_group_is_subscribed(const struct group *group, struct str topic);
bool coord_group_supports(const struct group *group, struct str protocol_type,
    const struct proto_join_group_request *request);
/* The protocol most members want of those that all know; null without members. */
struct str coord_group_select_protocol(const struct group *group);
/* False when memory ran out. */
bool coord_group_set_protocol_name(struct group *group, struct str name);
bool coord_group_compute_topics(struct group *group);
bool coord_group_all_joined(const struct group *group);
int32_t coord_group_rebalance_timeout(const struct group *group);
/* The next generation with its protocol; Empty or CompletingRebalance. */
bool coord_group_next_generation(struct group *group);

/* member.c */
bool coord_str_dup(struct str from, struct str *out); /* null stays null */
void coord_str_free(struct str *s);
struct group_member *coord_member_find(const struct group *group, struct str id);
struct group_member *coord_member_static(const struct group *group, struct str instance_id);
struct group_pending *coord_pending_find(const struct group *group, struct str id);
struct coord_member_opts {
    struct str id;
    struct str instance_id;
    struct str client_id;
    struct str client_host;
    int32_t rebalance_timeout_ms;
    int32_t session_timeout_ms;
    struct bytes assignment; /* null: empty */
    const struct group_protocol *protocols;
    int32_t protocol_count;
};
/* NULL when memory ran out; the group is then as it was. */
struct group_member *coord_member_add(struct group *group, const struct coord_member_opts *opts);
/* Parked replies must have been answered. Elects another leader when it was the leader. */
void coord_member_remove(struct group_member *member);
/* Gives a static member another id. */
bool coord_member_rename(struct group_member *member, struct str id);
bool coord_member_update(
    struct group_member *member, const struct proto_join_group_request *request);
bool coord_member_set_assignment(struct group_member *member, struct bytes assignment);
/* The same protocols with the same metadata in the same order. */
bool coord_member_matches(
    const struct group_member *member, const struct proto_join_group_request *request);
struct bytes coord_member_metadata(const struct group_member *member, struct str protocol);
/* NONE, UNKNOWN_MEMBER_ID or FENCED_INSTANCE_ID. */
enum proto_error coord_member_validate(
    const struct group *group, struct str id, struct str instance_id);
void coord_member_park_join(struct group_member *member, struct coord_group_join *join);
bool coord_pending_add(struct group *group, struct str id, int32_t timeout_ms);
void coord_pending_remove(struct group_pending *pending);

/* respond.c */
void coord_join_error(struct group_machine *machine, struct coord_group_join *join,
    struct str member_id, enum proto_error err);
/* The current generation to one member; members only for the leader. */
void coord_join_generation(struct group_member *member, struct coord_group_join *join,
    bool with_members, bool skip_assignment);
/* Answers a parked one; nothing when none is. */
void coord_member_join_done(
    struct group_member *member, enum proto_error err, struct str member_id);
void coord_sync_respond(
    struct group_member *member, struct coord_group_sync *sync, enum proto_error err);
void coord_member_sync_done(struct group_member *member, enum proto_error err);

/* rebalance.c */
void coord_member_session_start(struct group_member *member, int32_t timeout_ms);
void coord_group_prepare_rebalance(struct group *group);
/* Prepares where the state allows it, otherwise completes the join phase where all are there. */
void coord_group_rebalance_or_complete(struct group *group);
void coord_group_maybe_complete_join(struct group *group);
/* Removes it with an answer to its parked requests, and lets the group go on without it. */
void coord_group_expel(struct group_member *member);
void coord_pending_expired(void *machine, struct coord_timer *timer);
void coord_member_session_expired(void *machine, struct coord_timer *timer);
void coord_group_join_expired(void *machine, struct coord_timer *timer);
void coord_group_sync_expired(void *machine, struct coord_timer *timer);

/* record.c */
void coord_record_add_offset(struct group_machine *machine, struct str group, struct str topic,
    const struct offset_entry *entry);
void coord_record_add_offset_tombstone(
    struct group_machine *machine, struct str group, struct str topic, int32_t partition);
void coord_record_add_group_tombstone(struct group_machine *machine, struct str group);
/* Assignments come from `assignments` when it is not NULL (absent: empty), else from the members.
 */
void coord_record_add_group(
    struct group *group, const struct proto_sync_group_request *assignments);
/* Generation 0, no protocol, no members. */
void coord_record_add_new_group(struct group *group);
/* Submits the one record added, which is the group's. */
MUST_USE enum err coord_record_submit_group(struct group *group);
enum err coord_record_apply(void *machine, const struct coord_record *record);
enum err coord_record_end_txn(void *machine, int64_t producer_id, bool committed);

/* foreign.c */
/* Keeps the record in place of the one with its key; without a value it goes. NOMEM. */
MUST_USE enum err coord_foreign_put(
    struct group_machine *machine, const struct coord_record *record);
/* Its key now says something that is understood. */
void coord_foreign_forget(struct group_machine *machine, struct bytes key);
void coord_foreign_fini(struct group_machine *machine);

/* copy.c */
size_t coord_copy_live_bytes(const void *machine);
int64_t coord_copy_begin(void *machine, int64_t start);
/* Walks from the beginning again, without what was copied. */
void coord_copy_rewind(struct group_machine *machine);
enum err coord_copy_step(void *machine, size_t bytes_max, int64_t *hold, bool *more);

/* expire.c */
bool coord_offsets_pending(
    const struct group_machine *machine, struct str group, struct str topic, int32_t partition);
bool coord_offsets_group_has_txn(const struct group_machine *machine, struct str group);
void coord_offsets_expire(void *machine, struct coord_timer *timer);

#endif
