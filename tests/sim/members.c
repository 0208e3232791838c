/* tests/sim/members.c - the life of two members. */
#include "tests/sim/members.h"

#include <stdio.h>
#include <string.h>

#include "base/assert.h"

static const char TOPIC[] = "history";

void
members_init(struct members *members, struct env *env, struct loop *loop, const char *bootstrap,
    struct history *history)
{
    memset(members, 0, sizeof *members);
    members->env = env;
    members->loop = loop;
    members->bootstrap = bootstrap;
    members->topic = TOPIC;
    members->history = history;
    for (int i = 0; i < MEMBERS; i++)
        members->slots[i].all = members;
}

/* Without a word. */
static void
drop(struct member *member)
{
    if (member->client == NULL)
        return;
    client_group_free(&member->group);
    client_consumer_free(&member->consumer);
    client_free(&member->client);
    member->leaving = member->left = false;
}

void
members_fini(struct members *members)
{
    for (int i = 0; i < MEMBERS; i++)
        drop(&members->slots[i]);
}

static void
join(struct member *member, uint64_t chance)
{
    static const enum client_assignor assignors[] = {
        CLIENT_ASSIGNOR_RANGE, CLIENT_ASSIGNOR_COOPERATIVE_STICKY};
    struct members *all = member->all;
    struct str topic = str_of(all->topic);
    const char *instance = member == &all->slots[0] ? "first" : "second";
    struct client_opts client_opts = {.env = all->env,
        .loop = all->loop,
        .bootstrap = str_of(all->bootstrap),
        .connect_timeout_ms = 1000,
        .request_timeout_ms = 5000};
    enum err err = client_new(&client_opts, &member->client);
    struct client_consumer_opts consumer_opts = {
        .client = member->client, .max_wait_ms = 1 + (int32_t)(chance % 300), .check_crcs = true};
    if (err == ERR_OK)
        err = client_consumer_new(&consumer_opts, &member->consumer);
    struct client_group_opts opts = {
        .client = member->client,
        .consumer = member->consumer,
        .group_id = STR("beside"),
        .instance_id = all->is_static ? str_of(instance) : STR_NULL,
        .topics = &topic,
        .topic_count = 1,
        .assignors = assignors,
        .assignor_count = COUNT_OF(assignors),
        .session_timeout_ms = 6000,
        .rebalance_timeout_ms = 8000,
        .heartbeat_interval_ms = 300 + (int32_t)(chance % 1000),
        .auto_commit_interval_ms = 1 + (int64_t)(chance % 700),
        .reset = CLIENT_OFFSET_EARLIEST,
    };
    if (err == ERR_OK)
        err = client_group_new(&opts, &member->group);
    ASSERT(err == ERR_OK);
    /* A static member that comes back may find what it left; another begins a generation. */
    member->generation_min = all->generation + (all->is_static ? 0 : 1);
}

static bool
is_stable(const struct member *member)
{
    return member->client != NULL && !member->leaving &&
           client_group_state(member->group) == CLIENT_GROUP_STABLE;
}

static void
check(struct members *members)
{
    int counts[MEMBERS] = {0};
    const struct client_topic_partition *held[MEMBERS];
    for (int i = 0; i < MEMBERS; i++) {
        struct member *member = &members->slots[i];
        if (!is_stable(member))
            continue;
        int32_t generation = client_group_generation(member->group);
        if (generation < member->generation_min)
            history_fail(members->history, "who joined after generation %d is in generation %d",
                (int)members->generation, (int)generation);
        if (generation > members->generation)
            members->generation = generation;
        held[i] = client_group_assignment(member->group, &counts[i]);
    }
    if (counts[0] == 0 || counts[1] == 0 ||
        client_group_generation(members->slots[0].group) !=
            client_group_generation(members->slots[1].group))
        return;
    for (int i = 0; i < counts[0]; i++)
        for (int j = 0; j < counts[1]; j++)
            if (held[0][i].partition == held[1][j].partition)
                history_fail(members->history, "two members hold partition %d in generation %d",
                    (int)held[0][i].partition,
                    (int)client_group_generation(members->slots[0].group));
}

/* What it was handed is looked at, but for the audit, which wants to read in order; what fails is
 * another client's business (workload). */
static void
take(struct member *member, bool audit)
{
    struct client_message message;
    while (member->client != NULL && client_consumer_next(member->consumer, &message) == ERR_OK)
        if (!audit)
            history_seen(member->all->history, message.partition, message.offset, message.value);
}

static void
on_left(struct client_group_leave *leave, enum err err)
{
    struct member *member = CONTAINER_OF(leave, struct member, leave);
    (void)err;
    member->left = true;
}

static void
reap(struct members *members)
{
    for (int i = 0; i < MEMBERS; i++) {
        struct member *member = &members->slots[i];
        if (member->client != NULL &&
            (member->left || client_group_state(member->group) == CLIENT_GROUP_FAILED))
            drop(member);
    }
}

void
members_act(struct members *members, uint64_t chance)
{
    struct member *member = &members->slots[chance % MEMBERS];
    chance /= MEMBERS;
    reap(members);
    for (int i = 0; i < MEMBERS; i++)
        take(&members->slots[i], false);
    check(members);
    if (chance % 16 != 0 || member->leaving)
        return;
    chance /= 16;
    if (member->client == NULL) {
        join(member, chance);
    } else if (chance % 8 == 0) {
        drop(member);
    } else if (chance % 8 == 1) {
        member->leaving = true;
        member->leave.done = on_left;
        client_group_leave(member->group, &member->leave);
    }
}

bool
members_check(struct members *members)
{
    struct member *first = &members->slots[0];
    int count = 0;
    reap(members);
    if (!first->leaving)
        drop(&members->slots[1]); /* its session ends in time */
    if (first->client == NULL)
        join(first, 0);
    take(first, true);
    check(members);
    if (!is_stable(first))
        return false;
    (void)client_group_assignment(first->group, &count);
    if (count != HISTORY_PARTITIONS)
        return false;
    if (client_group_generation(first->group) < members->generation)
        history_fail(members->history, "the group's generation is %d again, after %d",
            (int)client_group_generation(first->group), (int)members->generation);
    return true;
}
