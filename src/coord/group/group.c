/* coord/group/group.c - one classic group: its state, protocol and subscription; and the table of
 * them.
 *
 * States:
 *
 *     Empty <----------------- PreparingRebalance <------+
 *       |  (nobody came back)     ^   |                  |
 *       +--- first join ----------+   | all joined, or   |
 *                                 |   v timeout          |
 *     Stable <---- leader's ---- CompletingRebalance ----+
 *       |          assignment                            |  join, leave, expiry
 *       +------------------------------------------------+
 *     and Dead from everywhere: deleted.
 *
 * Invariants: those of member.c; a group without members is Empty or PreparingRebalance; the
 * generation only grows. */
#include "coord/group/group_priv.h"

#include "base/alloc.h"
#include <stdlib.h>

#include "base/assert.h"
#include "proto/consumer_protocol_subscription.h"

static const struct fsm_state group_states[] = {
    [GROUP_EMPTY] = {"Empty", FSM_BIT(GROUP_PREPARING_REBALANCE) | FSM_BIT(GROUP_DEAD)},
    [GROUP_PREPARING_REBALANCE] = {"PreparingRebalance",
        FSM_BIT(GROUP_COMPLETING_REBALANCE) | FSM_BIT(GROUP_EMPTY) | FSM_BIT(GROUP_DEAD)},
    [GROUP_COMPLETING_REBALANCE] = {"CompletingRebalance",
        FSM_BIT(GROUP_STABLE) | FSM_BIT(GROUP_PREPARING_REBALANCE) | FSM_BIT(GROUP_DEAD)},
    [GROUP_STABLE] = {"Stable", FSM_BIT(GROUP_PREPARING_REBALANCE) | FSM_BIT(GROUP_DEAD)},
    [GROUP_DEAD] = {"Dead", FSM_BIT(GROUP_DEAD)},
};

static const struct fsm_table group_table = {"group", group_states, COUNT_OF(group_states)};

enum { SUBSCRIPTION_ARENA_BYTES = 16 << 20 };

struct group_machine *
coord_group_of(const struct coord_shard *shard)
{
    struct group_machine *machine = coord_shard_machine(shard);
    ASSERT(machine != NULL);
    return machine;
}

struct group *
coord_group_find(const struct group_machine *machine, struct str id)
{
    struct group *group = NULL;
    HASH_FIND(hh, machine->groups, id.data, id.len, group);
    return group;
}

struct group *
coord_group_create(struct group_machine *machine, struct str id)
{
    ASSERT(coord_group_find(machine, id) == NULL);
    struct group *group = mem_calloc(1, sizeof *group);
    if (group == NULL)
        return NULL;
    group->machine = machine;
    group->kind = GROUP_CLASSIC;
    group->topic_count = -1;
    group->order = -1;
    group->previous = GROUP_EMPTY;
    group->state_ms = coord_shard_wall_ms(machine->shard);
    fsm_init(&group->fsm, &group_table, GROUP_EMPTY);
    coord_timer_init(&group->join_timer, coord_group_join_expired);
    coord_timer_init(&group->sync_timer, coord_group_sync_expired);
    if (coord_str_dup(id, &group->id)) {
        HASH_ADD_KEYPTR(hh, machine->groups, group->id.data, group->id.len, group);
        if (group->hh.tbl != NULL)
            return group;
    }
    coord_str_free(&group->id);
    mem_free(group);
    return NULL;
}

void
coord_group_remove(struct group *group, enum proto_error why)
{
    struct group_machine *machine = group->machine;
    struct group_pending *pending, *next;

    while (group->members != NULL) {
        struct group_member *member = group->members;
        if (member->join != NULL)
            coord_member_join_done(member, why, member->id);
        coord_member_sync_done(member, why);
        coord_member_remove(member);
    }
    HASH_ITER (hh, group->pending, pending, next) {
        coord_pending_remove(pending);
    }
    ASSERT(group->votes == NULL);
    ASSERT(group->statics == NULL);
    coord_shard_timer_stop(machine->shard, &group->join_timer);
    coord_shard_timer_stop(machine->shard, &group->sync_timer);
    if (machine->copy.group == group)
        machine->copy.group = group->hh.next;
    ASSERT(machine->groups_bytes >= group->record_bytes);
    machine->groups_bytes -= group->record_bytes;
    HASH_DEL(machine->groups, group);
    coord_str_free(&group->id);
    coord_str_free(&group->protocol_type);
    coord_str_free(&group->protocol_name);
    mem_free(group->topics);
    mem_free(group);
}

void
coord_group_move(struct group *group, enum group_state next)
{
    group->previous = coord_group_state(group);
    fsm_move(&group->fsm, next);
    group->state_ms = coord_shard_wall_ms(group->machine->shard);
}

const char *
coord_group_state_text(const struct group *group)
{
    return fsm_name(&group->fsm);
}

int32_t
coord_group_size(const struct group *group)
{
    return (int32_t)HASH_COUNT(group->members);
}

bool
coord_group_is_consumer(const struct group *group)
{
    return str_eq_z(group->protocol_type, "consumer");
}

static int
topic_cmp(const struct group *group, int32_t index, struct str topic)
{
    return str_cmp(group->topics[index], topic);
}

bool
coord_group_is_subscribed(const struct group *group, struct str topic)
{
    /* What a consumer group wants is not known: it may want this. */
    if (group->topic_count < 0)
        return coord_group_is_consumer(group);
    int32_t low = 0, high = group->topic_count;
    while (low < high) {
        int32_t mid = low + (high - low) / 2;
        int order = topic_cmp(group, mid, topic);
        if (order == 0)
            return true;
        if (order < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return false;
}

bool
coord_group_supports(const struct group *group, struct str protocol_type,
    const struct proto_join_group_request *request)
{
    if (coord_group_state(group) == GROUP_EMPTY)
        return protocol_type.len > 0 && request->protocols.count > 0;
    if (group->protocol_type.data == NULL || !str_eq(group->protocol_type, protocol_type))
        return false;
    int32_t size = coord_group_size(group);
    for (int32_t i = 0; i < request->protocols.count; i++) {
        struct str name = request->protocols.items[i].name;
        struct group_vote *vote = NULL;
        HASH_FIND(hh, group->votes, name.data, name.len, vote);
        if ((vote == NULL ? 0 : vote->count) == size)
            return true;
    }
    return false;
}

/* The first protocol of a member's list that all members know. */
static struct group_vote *
member_choice(const struct group *group, const struct group_member *member, int32_t size)
{
    for (int32_t i = 0; i < member->protocols->count; i++) {
        struct str name = member->protocols->items[i].name;
        struct group_vote *vote = NULL;
        HASH_FIND(hh, group->votes, name.data, name.len, vote);
        if (vote != NULL && vote->count == size)
            return vote;
    }
    return NULL;
}

struct str
coord_group_select_protocol(const struct group *group)
{
    int32_t size = coord_group_size(group);
    struct group_vote *best = NULL;
    int32_t best_count = 0;

    for (struct group_vote *candidate = group->votes; candidate != NULL;
         candidate = candidate->hh.next) {
        int32_t count = 0;
        if (candidate->count != size)
            continue;
        for (struct group_member *m = group->members; m != NULL; m = m->hh.next)
            count += member_choice(group, m, size) == candidate;
        if (count > best_count) {
            best = candidate;
            best_count = count;
        }
    }
    return best == NULL ? STR_NULL : best->name;
}

bool
coord_group_set_protocol_name(struct group *group, struct str name)
{
    struct str copy;
    if (!coord_str_dup(name, &copy))
        return false;
    coord_str_free(&group->protocol_name);
    group->protocol_name = copy;
    return true;
}

/* ---- what the members of a consumer group subscribe to ---- */

/* Names are collected in the arena: *names grows by doubling there. */
struct name_list {
    struct arena *arena;
    struct str *names;
    int32_t count;
    int32_t capacity;
    size_t bytes;
};

static bool
names_push(struct name_list *list, struct str name)
{
    if (list->count == list->capacity) {
        int32_t capacity = list->capacity == 0 ? 16 : list->capacity * 2;
        struct str *names = arena_alloc(list->arena, (size_t)capacity * sizeof *names);
        if (names == NULL)
            return false;
        if (list->count > 0)
            memcpy(names, list->names, (size_t)list->count * sizeof *names);
        list->names = names;
        list->capacity = capacity;
    }
    list->names[list->count++] = name;
    return true;
}

static int
names_cmp(const void *a, const void *b)
{
    return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

static void
names_unique(struct name_list *list)
{
    int32_t kept = 0;
    if (list->count > 1)
        qsort(list->names, (size_t)list->count, sizeof list->names[0], names_cmp);
    list->bytes = 0;
    for (int32_t i = 0; i < list->count; i++) {
        if (kept > 0 && str_eq(list->names[kept - 1], list->names[i]))
            continue;
        list->names[kept++] = list->names[i];
        list->bytes += list->names[i].len;
    }
    list->count = kept;
}

/* The topics of one member's subscription; false when it is none. */
static bool
subscription_topics(struct name_list *list, struct bytes metadata)
{
    struct proto_consumer_protocol_subscription subscription;
    struct reader r;

    reader_init(&r, metadata);
    int16_t version = reader_i16(&r);
    if (r.err != ERR_OK || version < 0)
        return false;
    /* Later versions begin with the same fields. */
    proto_init(&proto_consumer_protocol_subscription_schema, &subscription);
    if (proto_decode(&proto_consumer_protocol_subscription_schema, 0, &r, list->arena,
            &subscription) != ERR_OK)
        return false;
    for (int32_t i = 0; i < subscription.topics.count; i++) {
        if (!names_push(list, subscription.topics.items[i]))
            return false;
    }
    return true;
}

static bool
topics_store(struct group *group, const struct name_list *list)
{
    struct str *topics = mem_alloc((size_t)list->count * sizeof *topics + list->bytes + 1);
    if (topics == NULL)
        return false;
    char *at = (char *)(topics + list->count);
    for (int32_t i = 0; i < list->count; i++) {
        topics[i] = (struct str){at, list->names[i].len};
        if (list->names[i].len > 0)
            memcpy(at, list->names[i].data, list->names[i].len);
        at += list->names[i].len;
    }
    mem_free(group->topics);
    group->topics = topics;
    group->topic_count = list->count;
    return true;
}

bool
coord_group_compute_topics(struct group *group)
{
    struct arena arena;
    struct name_list list = {.arena = &arena};
    bool ok = true;

    group->topic_count = -1;
    if (!coord_group_is_consumer(group))
        return true;
    if (group->members != NULL && group->protocol_name.data == NULL)
        return true;
    arena_init(&arena, SUBSCRIPTION_ARENA_BYTES);
    for (struct group_member *m = group->members; m != NULL && ok; m = m->hh.next) {
        ok = subscription_topics(&list, coord_member_metadata(m, group->protocol_name));
        names_unique(&list);
    }
    /* A subscription that cannot be read leaves the topics unknown, which expires nothing. */
    if (ok)
        ok = topics_store(group, &list);
    else
        ok = true;
    arena_fini(&arena);
    return ok;
}

/* ---- the rebalance's arithmetic ---- */

bool
coord_group_all_joined(const struct group *group)
{
    ASSERT_SLOW(group->joins <= coord_group_size(group));
    return group->joins == coord_group_size(group) && group->pending == NULL;
}

int32_t
coord_group_rebalance_timeout(const struct group *group)
{
    int32_t timeout_ms = 0;
    for (struct group_member *m = group->members; m != NULL; m = m->hh.next) {
        if (m->rebalance_timeout_ms > timeout_ms)
            timeout_ms = m->rebalance_timeout_ms;
    }
    return timeout_ms;
}

bool
coord_group_next_generation(struct group *group)
{
    bool empty = group->members == NULL;
    ASSERT(coord_group_state(group) == GROUP_PREPARING_REBALANCE);
    group->generation++;
    coord_shard_count(group->machine->shard, COORD_COUNT_REBALANCES, 1);
    bool ok =
        coord_group_set_protocol_name(group, empty ? STR_NULL : coord_group_select_protocol(group));
    ok = ok && coord_group_compute_topics(group);
    coord_group_move(group, empty ? GROUP_EMPTY : GROUP_COMPLETING_REBALANCE);
    for (struct group_member *m = group->members; m != NULL; m = m->hh.next)
        m->pending_sync = false;
    group->pending_syncs = 0;
    return ok;
}
