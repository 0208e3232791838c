/* client/group_priv.h - the member's parts, for group*.c and their tests. */
#ifndef CLIENT_GROUP_PRIV_H
#define CLIENT_GROUP_PRIV_H

#include "client/client_priv.h"
#include "client/group.h"

enum {
    GROUP_ERROR_TEXT = 256,
    GROUP_MEMBER_ID_SIZE = 512,
    GROUP_TOPICS_MAX = 100000,
    GROUP_ASSIGNORS_MAX = 3,
    GROUP_BACKOFF_MIN_MS = 100, /* doubled up to the maximum, as Java's retry.backoff */
    GROUP_BACKOFF_MAX_MS = 1000,
    GROUP_REQUEST_ARENA = 64 << 20,
    GROUP_RESPONSE_ARENA = 128 << 20,
};

/* A request of the group with the memory of its message; one of each kind at a time. */
struct group_request {
    struct client_call call;
    struct arena arena;
};

/* Commits that must be done before the next step: what auto commit owes. */
enum group_flush { GROUP_FLUSH_NONE, GROUP_FLUSH_WANTED, GROUP_FLUSH_RUNNING };

struct client_group {
    /* fixed at start, but for the topics */
    struct client_group_opts opts; /* group_id, instance_id and assignors point at owned copies */
    enum client_assignor assignors[GROUP_ASSIGNORS_MAX];
    bool cooperative;
    char *group_id, *instance_id; /* owned */
    struct str *topics;           /* owned, sorted, in one block with their texts */
    int topic_count;
    int32_t channel;
    /* membership */
    enum client_group_state state;
    char member_id[GROUP_MEMBER_ID_SIZE];
    int32_t generation; /* -1: of none */
    enum client_assignor protocol;
    bool leader;
    bool rejoin;        /* out of STABLE, into the next generation */
    const char *reason; /* of the next join (KIP-800); static text */
    bool lost;          /* put out: what is held may belong to others already */
    /* what it holds: in order; told[i]: the position is known and on_assigned was told */
    struct client_topic_partition *parts; /* owned, each topic's name too */
    bool *told;                           /* owned */
    int part_count;
    bool tell_empty; /* on_assigned is owed though nothing came */
    /* the leader's view of the topics at its last assignment, in lead_arena */
    struct arena lead_arena;
    struct client_assignor_topic *lead_topics;
    int lead_count;
    bool lead_skip; /* the broker wants no new assignment (KIP-814) */
    /* the coordinator */
    int32_t node_id; /* -1: unknown */
    struct group_request seek, join, sync, heartbeat, fetch, leave;
    struct client_refresh refresh;
    bool metadata_known; /* of the subscription, once */
    int64_t heard_ms;    /* the coordinator's last good answer */
    int64_t backoff_ms;
    int64_t retry_ms;         /* no step before */
    int64_t prepare_until_ms; /* when commits stop holding up the join, or the leaving */
    struct loop_timer step_timer, heartbeat_timer, commit_timer, metadata_timer;
    bool stepping, step_again;
    bool freeing; /* or leaving: answers to canceled calls mean nothing */
    /* commits */
    struct list commits; /* struct client_group_commit, on their way */
    struct client_group_commit flush_commit, auto_commit;
    bool auto_running;
    enum group_flush flush;
    /* leaving */
    struct client_group_leave *leaving;     /* NULL: not */
    struct client_group_leave *leave_ended; /* to be told, in a turn of its own */
    enum err leave_err;
    struct loop_timer leave_timer; /* the deadline, then the telling */
    bool leave_revoked;            /* the parts are given up */
    bool join_abandoned;           /* a join or sync without answer holds up the channel */
    /* errors */
    int16_t error_code;
    char error_text[GROUP_ERROR_TEXT];
};

/* ---- group.c ---- */

/* Goes on as far as it can; safe from anywhere, also from inside itself. */
void group_step(struct client_group *group);
/* After a pause, a longer one each time until group_progress. */
void group_step_later(struct client_group *group);
void group_progress(struct client_group *group);
void group_move(struct client_group *group, enum client_group_state state);
void group_note(struct client_group *group, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* The end of the membership: FAILED. */
void group_fail(struct client_group *group, int16_t code, const char *what);
/* Rejoins when the metadata, whoever asked for it, has other partition counts than the assignment.
 */
void group_check_counts(struct client_group *group);
/* The next look at the partition counts. */
void group_metadata_later(struct client_group *group);
void group_coordinator_lost(struct client_group *group);
/* No member of that generation any more: joins again with nothing. */
void group_membership_lost(struct client_group *group, bool member_too, const char *reason);
/* Empties the request's arena and gives it a message with defaults; NULL: no memory. */
void *group_request_new(
    struct group_request *request, const struct proto_schema *schema, size_t size);
/* Its own, or the common one when that is held up. */
int32_t group_channel(const struct client_group *group);
/* To the coordinator, over the group's channel. timeout_ms 0: the client's. */
void group_request_send(struct client_group *group, struct group_request *request, int16_t key,
    int16_t version_max, int64_t timeout_ms, void (*done)(struct client_call *call));
/* What an error code of the coordinator means for all requests alike; true: handled, a later step
 * tries again (or the group failed). */
bool group_take_error(struct client_group *group, int16_t code, const char *what);
struct str group_member_id(const struct client_group *group);
struct str group_instance_id(const struct client_group *group);
int64_t group_now_ms(const struct client_group *group);

/* ---- group_parts.c: what the member holds ---- */

enum group_loss { GROUP_REVOKED, GROUP_LOST };
/* Takes away all parts for which gone[i] (NULL: all): tells, unassigns, forgets. */
void group_parts_take(struct client_group *group, const bool *gone, enum group_loss loss);
/* Adds those of the sorted list that are not held yet, not told. */
MUST_USE enum err group_parts_add(
    struct client_group *group, const struct client_topic_partition *parts, int count);
/* gone[i] = part i is not in the sorted list; how many. */
int group_parts_compare(const struct client_group *group,
    const struct client_topic_partition *parts, int count, bool *gone);
/* Nothing more of what is held is handed out. */
void group_parts_pause(struct client_group *group);
bool group_parts_all_told(const struct client_group *group);
void group_parts_free(struct client_group *group);
int group_parts_order(const void *a, const void *b); /* for qsort */
bool group_is_subscribed(const struct client_group *group, struct str topic);

/* ---- group_join.c: preparing, joining, assigning, syncing ---- */

void group_prepare(struct client_group *group);      /* STABLE -> PREPARING */
void group_prepare_step(struct client_group *group); /* PREPARING -> JOINING, when ready */
void group_join(struct client_group *group);
void group_sync(struct client_group *group); /* after the leader's metadata came */

/* ---- group_protocol.c: subscriptions and assignments as bytes ---- */

MUST_USE enum err group_subscription_write(const struct client_group *group,
    enum client_assignor assignor, struct arena *arena, struct bytes *out);
/* A subscription that cannot be read comes out with no topics. */
MUST_USE enum err group_subscription_read(
    struct bytes bytes, struct arena *arena, struct client_assignor_member *out);
MUST_USE enum err group_assignment_write(
    const struct client_topic_partition *parts, int count, struct arena *arena, struct bytes *out);
/* In order, without doubles. */
MUST_USE enum err group_assignment_read(
    struct bytes bytes, struct arena *arena, struct client_topic_partition **parts, int *count);

/* ---- group_offsets.c ---- */

/* Looks up the positions of parts that are not told yet. */
void group_fetch(struct client_group *group);
/* Starts the commit that is WANTED. */
void group_flush_start(struct client_group *group);
/* Commits the positions now, unless that is on its way or nobody wants it. */
void group_auto_commit(struct client_group *group);
void group_auto_commit_fire(struct loop_timer *timer);
void group_cancel_commits(struct client_group *group);

/* ---- group_leave.c: heartbeats and leaving ---- */

void group_heartbeat_start(struct client_group *group);
void group_heartbeat_fire(struct loop_timer *timer);
void group_leave_step(struct client_group *group);
void group_leave_end(struct client_group *group, enum err err);
void group_leave_expired(struct loop_timer *timer);
void group_cancel_requests(struct client_group *group);

#endif
