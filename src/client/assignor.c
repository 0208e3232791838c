/* client/assignor.c - range and roundrobin, and what all assignors share.
 *
 * What: the subscriptions are turned into numbers (struct assignor_plan), the assignor fills the
 * owner of each partition, and the members' lists are written out in order.
 * Errors: only memory. */
#include "client/assignor.h"

#include <stdlib.h>

#include "base/assert.h"
#include "client/assignor_priv.h"

static const char *const names[] = {
    [CLIENT_ASSIGNOR_RANGE] = "range",
    [CLIENT_ASSIGNOR_ROUNDROBIN] = "roundrobin",
    [CLIENT_ASSIGNOR_COOPERATIVE_STICKY] = "cooperative-sticky",
};

const char *
client_assignor_name(enum client_assignor assignor)
{
    ASSERT((size_t)assignor < COUNT_OF(names));
    return names[assignor];
}

bool
client_assignor_find(struct str name, enum client_assignor *out)
{
    for (size_t i = 0; i < COUNT_OF(names); i++)
        if (str_eq_z(name, names[i])) {
            *out = (enum client_assignor)i;
            return true;
        }
    return false;
}

bool
client_assignor_is_cooperative(enum client_assignor assignor)
{
    return assignor == CLIENT_ASSIGNOR_COOPERATIVE_STICKY;
}

/* ---- looking up ---- */

static int
topic_find(const struct assignor_plan *plan, struct str name)
{
    int low = 0, high = plan->topic_count;
    while (low < high) {
        int mid = low + (high - low) / 2;
        int order = str_cmp(plan->topics[mid].name, name);
        if (order == 0)
            return mid;
        if (order < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return -1;
}

int32_t
assignor_partition_find(
    const struct assignor_plan *plan, struct str topic, int32_t partition, int *topic_index)
{
    int t = topic_find(plan, topic);
    if (t < 0 || partition < 0 || partition >= plan->topics[t].partition_count)
        return -1;
    if (topic_index != NULL)
        *topic_index = t;
    return plan->topics[t].base + partition;
}

int
assignor_reader_from(const struct assignor_topic *topic, int rank)
{
    int low = 0, high = topic->reader_count;
    while (low < high) {
        int mid = low + (high - low) / 2;
        if (topic->readers[mid] < rank)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

bool
assignor_is_reader(const struct assignor_topic *topic, int rank)
{
    int i = assignor_reader_from(topic, rank);
    return i < topic->reader_count && topic->readers[i] == rank;
}

/* ---- the plan ---- */

static int
compare_ids(const void *a, const void *b)
{
    const struct client_assignor_member *x = *(struct client_assignor_member *const *)a;
    const struct client_assignor_member *y = *(struct client_assignor_member *const *)b;
    return str_cmp(x->member_id, y->member_id);
}

/* Static members come first, by their instance ids: those outlive a restart. */
static int
compare_instances(const void *a, const void *b)
{
    const struct client_assignor_member *x = *(struct client_assignor_member *const *)a;
    const struct client_assignor_member *y = *(struct client_assignor_member *const *)b;
    bool x_static = !str_is_null(x->instance_id), y_static = !str_is_null(y->instance_id);
    if (x_static && y_static)
        return str_cmp(x->instance_id, y->instance_id);
    if (x_static != y_static)
        return x_static ? -1 : 1;
    return compare_ids(a, b);
}

static int
compare_topics(const void *a, const void *b)
{
    return str_cmp(
        ((const struct assignor_topic *)a)->name, ((const struct assignor_topic *)b)->name);
}

/* Drops the topics without readers and numbers the partitions of the rest. */
static void
plan_number(struct assignor_plan *plan)
{
    int kept = 0;
    for (int i = 0; i < plan->topic_count; i++) {
        if (plan->topics[i].reader_count == 0)
            continue;
        plan->topics[i].base = plan->partition_count;
        plan->partition_count += plan->topics[i].partition_count;
        plan->topics[kept++] = plan->topics[i];
    }
    plan->topic_count = kept;
}

/* Two passes over the subscriptions: count, then fill. A topic named twice counts once, since ranks
 * come in order. */
static enum err
plan_readers(struct assignor_plan *plan)
{
    int *last = arena_alloc(plan->arena, sizeof *last * ((size_t)plan->topic_count + 1));
    if (last == NULL)
        return ERR_NOMEM;
    for (int pass = 0; pass < 2; pass++) {
        for (int t = 0; t < plan->topic_count; t++) {
            struct assignor_topic *topic = &plan->topics[t];
            last[t] = -1;
            if (pass == 0)
                continue;
            topic->readers = arena_alloc(
                plan->arena, sizeof *topic->readers * ((size_t)topic->reader_count + 1));
            if (topic->readers == NULL)
                return ERR_NOMEM;
            topic->reader_count = 0;
        }
        for (int rank = 0; rank < plan->member_count; rank++)
            for (int i = 0; i < plan->members[rank]->topic_count; i++) {
                int t = topic_find(plan, plan->members[rank]->topics[i]);
                if (t < 0 || last[t] == rank)
                    continue;
                last[t] = rank;
                if (pass == 1)
                    plan->topics[t].readers[plan->topics[t].reader_count] = rank;
                plan->topics[t].reader_count++;
            }
    }
    return ERR_OK;
}

static enum err
plan_make(struct assignor_plan *plan, bool by_id, const struct client_assignor_topic *topics,
    int topic_count, struct client_assignor_member *members, int member_count)
{
    plan->members = arena_alloc(plan->arena, sizeof *plan->members * ((size_t)member_count + 1));
    plan->topics = arena_calloc(plan->arena, (size_t)topic_count + 1, sizeof *plan->topics);
    if (plan->members == NULL || plan->topics == NULL)
        return ERR_NOMEM;
    for (int i = 0; i < member_count; i++)
        plan->members[i] = &members[i];
    plan->member_count = member_count;
    qsort(plan->members, (size_t)member_count, sizeof *plan->members,
        by_id ? compare_ids : compare_instances);
    for (int i = 0; i < topic_count; i++) {
        if (topics[i].partition_count <= 0)
            continue;
        plan->topics[plan->topic_count].name = topics[i].name;
        plan->topics[plan->topic_count++].partition_count = topics[i].partition_count;
    }
    qsort(plan->topics, (size_t)plan->topic_count, sizeof *plan->topics, compare_topics);
    enum err err = plan_readers(plan);
    if (err != ERR_OK)
        return err;
    plan_number(plan);
    plan->owner =
        arena_alloc(plan->arena, sizeof *plan->owner * ((size_t)plan->partition_count + 1));
    if (plan->owner == NULL)
        return ERR_NOMEM;
    for (int32_t i = 0; i < plan->partition_count; i++)
        plan->owner[i] = -1;
    return ERR_OK;
}

/* Writes the owners out as lists. */
static enum err
plan_write(struct assignor_plan *plan)
{
    for (int rank = 0; rank < plan->member_count; rank++)
        plan->members[rank]->assigned_count = 0;
    for (int32_t i = 0; i < plan->partition_count; i++)
        if (plan->owner[i] >= 0)
            plan->members[plan->owner[i]]->assigned_count++;
    for (int rank = 0; rank < plan->member_count; rank++) {
        struct client_assignor_member *member = plan->members[rank];
        member->assigned = arena_alloc(
            plan->arena, sizeof *member->assigned * ((size_t)member->assigned_count + 1));
        if (member->assigned == NULL)
            return ERR_NOMEM;
        member->assigned_count = 0;
    }
    for (int t = 0; t < plan->topic_count; t++)
        for (int32_t p = 0; p < plan->topics[t].partition_count; p++) {
            int rank = plan->owner[plan->topics[t].base + p];
            if (rank < 0)
                continue;
            struct client_assignor_member *member = plan->members[rank];
            member->assigned[member->assigned_count++] =
                (struct client_topic_partition){plan->topics[t].name, p};
        }
    return ERR_OK;
}

/* ---- the simple ones ---- */

/* Each topic by itself in runs, the first readers getting one more; topics with the same readers
 * and as many partitions so fall alike (co-partitioning). */
static void
assign_range(struct assignor_plan *plan)
{
    for (int t = 0; t < plan->topic_count; t++) {
        const struct assignor_topic *topic = &plan->topics[t];
        int32_t each = topic->partition_count / topic->reader_count;
        int32_t more = topic->partition_count % topic->reader_count;
        int32_t next = topic->base;
        for (int i = 0; i < topic->reader_count; i++)
            for (int32_t n = each + (i < more); n > 0; n--)
                plan->owner[next++] = topic->readers[i];
        ASSERT(next == topic->base + topic->partition_count);
    }
}

/* All partitions in one row, dealt out to the members in turn; who does not read a topic is passed
 * over. */
static void
assign_roundrobin(struct assignor_plan *plan)
{
    int turn = 0;
    for (int t = 0; t < plan->topic_count; t++)
        for (int32_t p = 0; p < plan->topics[t].partition_count; p++) {
            const struct assignor_topic *topic = &plan->topics[t];
            int i = assignor_reader_from(topic, turn);
            int rank = topic->readers[i < topic->reader_count ? i : 0];
            plan->owner[topic->base + p] = rank;
            turn = (rank + 1) % plan->member_count;
        }
}

enum err
client_assignor_run(enum client_assignor assignor, const struct client_assignor_topic *topics,
    int topic_count, struct client_assignor_member *members, int member_count, struct arena *arena)
{
    struct assignor_plan plan = {.arena = arena};
    ASSERT(topic_count >= 0);
    ASSERT(member_count >= 0);
    enum err err = plan_make(&plan, assignor == CLIENT_ASSIGNOR_COOPERATIVE_STICKY, topics,
        topic_count, members, member_count);
    if (err != ERR_OK)
        return err;
    switch (assignor) {
    case CLIENT_ASSIGNOR_RANGE: assign_range(&plan); break;
    case CLIENT_ASSIGNOR_ROUNDROBIN: assign_roundrobin(&plan); break;
    case CLIENT_ASSIGNOR_COOPERATIVE_STICKY: err = assignor_sticky(&plan); break;
    default: UNREACHABLE();
    }
    return err != ERR_OK ? err : plan_write(&plan);
}
