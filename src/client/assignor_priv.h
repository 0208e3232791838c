/* client/assignor_priv.h - the group as the assignors see it: numbers for members, topics and
 * partitions. For assignor.c and assignor_sticky.c. */
#ifndef CLIENT_ASSIGNOR_PRIV_H
#define CLIENT_ASSIGNOR_PRIV_H

#include "client/assignor.h"

struct assignor_topic {
    struct str name;
    int32_t partition_count; /* at least 1 */
    int32_t base;            /* number of its first partition */
    int *readers;            /* ranks of the subscribed members, ascending */
    int reader_count;
};

/* Topics in order of their names, only those that exist and that somebody reads. Members are known
 * by rank: their place in the order that the assignor wants. Partitions are numbered through. */
struct assignor_plan {
    struct client_assignor_member **members; /* by rank */
    int member_count;
    struct assignor_topic *topics;
    int topic_count;
    int32_t partition_count;
    int *owner; /* rank by partition; -1: nobody */
    struct arena *arena;
};

/* The plan's number of a partition; -1 when the plan has none such. *topic_index may be NULL. */
int32_t assignor_partition_find(
    const struct assignor_plan *plan, struct str topic, int32_t partition, int *topic_index);
/* The index of the first reader whose rank is at least this; reader_count when there is none. */
int assignor_reader_from(const struct assignor_topic *topic, int rank);
bool assignor_is_reader(const struct assignor_topic *topic, int rank);

/* assignor_sticky.c: fills plan->owner. */
MUST_USE enum err assignor_sticky(struct assignor_plan *plan);

#endif
