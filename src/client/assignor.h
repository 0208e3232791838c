/* client/assignor.h - who reads which partition: what the leader of a classic group decides.
 *
 * Pure functions of the group's subscriptions and the topics' partition counts. The results of
 * range, roundrobin and cooperative-sticky (with equal subscriptions) are Apache's own, so a leader
 * may be of either kind. */
#ifndef CLIENT_ASSIGNOR_H
#define CLIENT_ASSIGNOR_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"

struct client_topic_partition {
    struct str topic;
    int32_t partition;
};

enum client_assignor {
    CLIENT_ASSIGNOR_RANGE,
    CLIENT_ASSIGNOR_ROUNDROBIN,
    CLIENT_ASSIGNOR_COOPERATIVE_STICKY,
};

/* As in JoinGroup: "range", "roundrobin", "cooperative-sticky". */
const char *client_assignor_name(enum client_assignor assignor);
/* False when no assignor has that name. */
bool client_assignor_find(struct str name, enum client_assignor *out);
/* True when members may keep what they own through a rebalance (KIP-429). */
bool client_assignor_is_cooperative(enum client_assignor assignor);

/* A member as its subscription tells. */
struct client_assignor_member {
    struct str member_id;
    struct str instance_id; /* null: dynamic */
    const struct str *topics;
    int topic_count;
    /* Cooperative-sticky only: what it owns, from which generation (-1: not told). */
    const struct client_topic_partition *owned;
    int owned_count;
    int32_t generation;
    /* Out: in order of topic and partition, in the arena. */
    struct client_topic_partition *assigned;
    int assigned_count;
};

struct client_assignor_topic {
    struct str name;
    int32_t partition_count; /* 0: not there; nobody gets any */
};

/* Fills `assigned` of every member. Topics that nobody subscribes to are left out. Cooperative-
 * sticky gives a partition that must move to nobody in this round: its owner gives it up first, and
 * the group rejoins. NOMEM when the arena is used up. */
MUST_USE enum err client_assignor_run(enum client_assignor assignor,
    const struct client_assignor_topic *topics, int topic_count,
    struct client_assignor_member *members, int member_count, struct arena *arena);

#endif
