/* client/assignor_sticky.c - cooperative-sticky: balanced first, then as few moves as possible.
 *
 * What: what members own is sorted into claims (the newest generation counts; a partition that two
 * members of one generation claim is nobody's). When all members read the same topics, quotas
 * decide: everybody keeps up to its quota, the rest is dealt out. Otherwise partitions are moved
 * along chains of members until no one could take a partition from somebody with two more. At the
 * end, what still has to be given up by its owner goes to nobody in this round.
 * Invariants: I1 a partition's owner reads its topic. I2 load[r] is the number of partitions that r
 * owns. Errors: only memory. */
#include <stdlib.h>

#include "base/assert.h"
#include "client/assignor_priv.h"

struct sticky {
    struct assignor_plan *plan;
    int *claim;          /* rank by partition; -1: nobody's */
    int32_t *generation; /* of the claim */
    bool *contested;     /* two of one generation claimed it */
    int *load;           /* by rank (I2) */
};

static enum err
sticky_init(struct sticky *sticky, struct assignor_plan *plan)
{
    size_t parts = (size_t)plan->partition_count + 1;
    sticky->plan = plan;
    sticky->claim = arena_alloc(plan->arena, sizeof *sticky->claim * parts);
    sticky->generation = arena_calloc(plan->arena, parts, sizeof *sticky->generation);
    sticky->contested = arena_calloc(plan->arena, parts, sizeof *sticky->contested);
    sticky->load = arena_calloc(plan->arena, (size_t)plan->member_count + 1, sizeof *sticky->load);
    if (sticky->claim == NULL || sticky->generation == NULL || sticky->contested == NULL ||
        sticky->load == NULL)
        return ERR_NOMEM;
    for (int32_t i = 0; i < plan->partition_count; i++)
        sticky->claim[i] = -1;
    return ERR_OK;
}

static void
sticky_claim(struct sticky *sticky, int rank, int32_t part, int32_t generation)
{
    bool first = sticky->claim[part] < 0 && !sticky->contested[part];
    if (first || generation > sticky->generation[part]) {
        sticky->claim[part] = rank;
        sticky->generation[part] = generation;
    } else if (generation == sticky->generation[part] && sticky->claim[part] != rank) {
        sticky->contested[part] = true;
    }
}

static void
sticky_read_claims(struct sticky *sticky)
{
    const struct assignor_plan *plan = sticky->plan;
    for (int rank = 0; rank < plan->member_count; rank++) {
        const struct client_assignor_member *member = plan->members[rank];
        for (int i = 0; i < member->owned_count; i++) {
            int32_t part = assignor_partition_find(
                plan, member->owned[i].topic, member->owned[i].partition, NULL);
            if (part >= 0)
                sticky_claim(sticky, rank, part, member->generation);
        }
    }
    for (int32_t i = 0; i < plan->partition_count; i++)
        if (sticky->contested[i])
            sticky->claim[i] = -1;
}

static void
give(struct sticky *sticky, int32_t part, int rank)
{
    ASSERT(sticky->plan->owner[part] < 0);
    sticky->plan->owner[part] = rank;
    sticky->load[rank]++;
}

/* ---- equal subscriptions ---- */

static bool
subscriptions_are_equal(const struct assignor_plan *plan)
{
    for (int t = 0; t < plan->topic_count; t++)
        if (plan->topics[t].reader_count != plan->member_count)
            return false;
    return true;
}

struct quota {
    int32_t min, max;    /* partitions a member */
    int over_want, over; /* members that get max, when it is more than min */
    int *under;          /* ranks that have less than min, in order */
    int under_count;
    int *even; /* ranks that have min and may get one more, in order */
    int even_first, even_count;
};

/* Partitions in the order in which a member keeps them: by partition, then topic. */
struct keep_order {
    int32_t partition;
    int32_t part;
};

static int
compare_keeps(const void *a, const void *b)
{
    const struct keep_order *x = a, *y = b;
    if (x->partition != y->partition)
        return x->partition < y->partition ? -1 : 1;
    return x->part < y->part ? -1 : x->part > y->part;
}

/* One member keeps what it claims up to its quota. */
static void
quota_keep(
    struct sticky *sticky, struct quota *quota, int rank, struct keep_order *keeps, int count)
{
    int keep = count;
    qsort(keeps, (size_t)count, sizeof *keeps, compare_keeps);
    if (count < quota->min) {
        quota->under[quota->under_count++] = rank;
    } else if (count >= quota->max && quota->over < quota->over_want) {
        keep = quota->max;
        if (++quota->over == quota->over_want)
            quota->even_count = 0;
    } else {
        keep = quota->min;
        if (quota->over < quota->over_want)
            quota->even[quota->even_count++] = rank;
    }
    for (int i = 0; i < keep; i++)
        give(sticky, keeps[i].part, rank);
}

/* Deals out what nobody kept: in turn to those below the minimum, then one each to those that may
 * have one more. */
static void
quota_deal(struct sticky *sticky, struct quota *quota)
{
    int turn = 0;
    for (int32_t part = 0; part < sticky->plan->partition_count; part++) {
        if (sticky->plan->owner[part] >= 0)
            continue;
        if (quota->under_count == 0) {
            ASSERT(quota->even_first < quota->even_count);
            give(sticky, part, quota->even[quota->even_first++]);
            continue;
        }
        turn = turn < quota->under_count ? turn : 0;
        int rank = quota->under[turn];
        give(sticky, part, rank);
        if (sticky->load[rank] < quota->min) {
            turn++;
            continue;
        }
        quota->under_count--;
        for (int i = turn; i < quota->under_count; i++)
            quota->under[i] = quota->under[i + 1];
        quota->even[quota->even_count++] = rank;
    }
}

static enum err
assign_equal(struct sticky *sticky)
{
    const struct assignor_plan *plan = sticky->plan;
    struct quota quota = {
        .min = plan->partition_count / plan->member_count,
        .over_want = plan->partition_count % plan->member_count,
    };
    quota.max = quota.min + (quota.over_want > 0);
    size_t members = (size_t)plan->member_count;
    quota.under = arena_alloc(plan->arena, sizeof *quota.under * members);
    quota.even = arena_alloc(plan->arena, sizeof *quota.even * members * 2);
    /* Claims by member: counted, then laid out one after the other. */
    int32_t *end = arena_calloc(plan->arena, members + 1, sizeof *end);
    struct keep_order *keeps =
        arena_alloc(plan->arena, sizeof *keeps * ((size_t)plan->partition_count + 1));
    if (quota.under == NULL || quota.even == NULL || end == NULL || keeps == NULL)
        return ERR_NOMEM;
    for (int32_t i = 0; i < plan->partition_count; i++)
        if (sticky->claim[i] >= 0)
            end[sticky->claim[i] + 1]++;
    for (size_t i = 0; i < members; i++)
        end[i + 1] += end[i];
    for (int t = 0; t < plan->topic_count; t++)
        for (int32_t p = 0; p < plan->topics[t].partition_count; p++) {
            int32_t part = plan->topics[t].base + p;
            if (sticky->claim[part] >= 0)
                keeps[end[sticky->claim[part]]++] = (struct keep_order){p, part};
        }
    for (int rank = 0; rank < plan->member_count; rank++) {
        int32_t from = rank == 0 ? 0 : end[rank - 1];
        quota_keep(sticky, &quota, rank, keeps + from, end[rank] - from);
    }
    quota_deal(sticky, &quota);
    return ERR_OK;
}

/* ---- any subscriptions ---- */

static int
least_loaded(const struct sticky *sticky, const struct assignor_topic *topic)
{
    int best = topic->readers[0];
    for (int i = 1; i < topic->reader_count; i++)
        if (sticky->load[topic->readers[i]] < sticky->load[best])
            best = topic->readers[i];
    return best;
}

static void
move(struct sticky *sticky, int32_t part, int rank)
{
    sticky->load[sticky->plan->owner[part]]--;
    sticky->plan->owner[part] = -1;
    give(sticky, part, rank);
}

/* Topics with few readers leave the least choice, so they are dealt out first. */
static int
compare_choices(const void *a, const void *b)
{
    const struct assignor_topic *x = *(struct assignor_topic *const *)a;
    const struct assignor_topic *y = *(struct assignor_topic *const *)b;
    if (x->reader_count != y->reader_count)
        return x->reader_count < y->reader_count ? -1 : 1;
    return x->base < y->base ? -1 : x->base > y->base;
}

static enum err
deal_by_choice(struct sticky *sticky)
{
    const struct assignor_plan *plan = sticky->plan;
    struct assignor_topic **order =
        arena_alloc(plan->arena, sizeof *order * ((size_t)plan->topic_count + 1));
    if (order == NULL)
        return ERR_NOMEM;
    for (int t = 0; t < plan->topic_count; t++)
        order[t] = &plan->topics[t];
    qsort(order, (size_t)plan->topic_count, sizeof *order, compare_choices);
    for (int t = 0; t < plan->topic_count; t++)
        for (int32_t p = 0; p < order[t]->partition_count; p++)
            if (plan->owner[order[t]->base + p] < 0)
                give(sticky, order[t]->base + p, least_loaded(sticky, order[t]));
    return ERR_OK;
}

/* One pass of direct moves; of a member's partitions those go first that it did not have before. */
static bool
move_directly(struct sticky *sticky, bool also_claimed)
{
    const struct assignor_plan *plan = sticky->plan;
    bool moved = false;
    for (int t = 0; t < plan->topic_count; t++)
        for (int32_t p = 0; p < plan->topics[t].partition_count; p++) {
            int32_t part = plan->topics[t].base + p;
            int from = plan->owner[part];
            if (!also_claimed && sticky->claim[part] == from)
                continue;
            int to = least_loaded(sticky, &plan->topics[t]);
            if (sticky->load[from] > sticky->load[to] + 1) {
                move(sticky, part, to);
                moved = true;
            }
        }
    return moved;
}

/* A search for a chain of moves from one member to another that has at least two less. */
struct chain {
    int *queue;
    int32_t *via; /* by rank: the partition that would come to it; -1: the start, -2: not seen */
    bool *dead;   /* by rank: leads nowhere, as an earlier search found */
};

/* The rank where the chain ends, or -1: then all that was seen is dead. */
static int
chain_search(const struct sticky *sticky, struct chain *chain, int start)
{
    const struct assignor_plan *plan = sticky->plan;
    int first = 0, count = 0;
    for (int rank = 0; rank < plan->member_count; rank++)
        chain->via[rank] = -2;
    chain->via[start] = -1;
    chain->queue[count++] = start;
    while (first < count) {
        int from = chain->queue[first++];
        for (int t = 0; t < plan->topic_count; t++) {
            const struct assignor_topic *topic = &plan->topics[t];
            int32_t part = -1;
            if (!assignor_is_reader(topic, from))
                continue;
            for (int32_t p = 0; part < 0 && p < topic->partition_count; p++)
                if (plan->owner[topic->base + p] == from)
                    part = topic->base + p;
            for (int i = 0; part >= 0 && i < topic->reader_count; i++) {
                int to = topic->readers[i];
                if (chain->via[to] != -2 || chain->dead[to])
                    continue;
                chain->via[to] = part;
                if (sticky->load[to] + 2 <= sticky->load[start])
                    return to;
                chain->queue[count++] = to;
            }
        }
    }
    for (int i = 0; i < count; i++)
        chain->dead[chain->queue[i]] = true;
    return -1;
}

/* The member with the most partitions that is not known to lead nowhere; -1: none is left. */
static int
most_loaded(const struct sticky *sticky, const struct chain *chain)
{
    int best = -1;
    for (int rank = 0; rank < sticky->plan->member_count; rank++)
        if (!chain->dead[rank] && (best < 0 || sticky->load[rank] > sticky->load[best]))
            best = rank;
    return best;
}

static enum err
move_along_chains(struct sticky *sticky)
{
    const struct assignor_plan *plan = sticky->plan;
    size_t members = (size_t)plan->member_count;
    struct chain chain = {
        .queue = arena_alloc(plan->arena, sizeof *chain.queue * members),
        .via = arena_alloc(plan->arena, sizeof *chain.via * members),
        .dead = arena_calloc(plan->arena, members, sizeof *chain.dead),
    };
    int start;
    if (chain.queue == NULL || chain.via == NULL || chain.dead == NULL)
        return ERR_NOMEM;
    while ((start = most_loaded(sticky, &chain)) >= 0) {
        int at = chain_search(sticky, &chain, start);
        if (at < 0)
            continue;
        while (at != start) { /* each gives its partition to the next, from the end on */
            int32_t part = chain.via[at];
            int from = plan->owner[part];
            move(sticky, part, at);
            at = from;
        }
        memset(chain.dead, 0, sizeof *chain.dead * members);
    }
    return ERR_OK;
}

static enum err
assign_general(struct sticky *sticky)
{
    const struct assignor_plan *plan = sticky->plan;
    for (int t = 0; t < plan->topic_count; t++)
        for (int32_t p = 0; p < plan->topics[t].partition_count; p++) {
            int32_t part = plan->topics[t].base + p;
            if (sticky->claim[part] >= 0 &&
                assignor_is_reader(&plan->topics[t], sticky->claim[part])) /* I1 */
                give(sticky, part, sticky->claim[part]);
        }
    enum err err = deal_by_choice(sticky);
    if (err != ERR_OK)
        return err;
    while (move_directly(sticky, false) || move_directly(sticky, true))
        continue;
    return move_along_chains(sticky);
}

/* ---- the round's end ---- */

/* A partition that somebody must give up first waits for the next round (KIP-429). */
static void
hold_back(struct sticky *sticky)
{
    struct assignor_plan *plan = sticky->plan;
    for (int32_t part = 0; part < plan->partition_count; part++)
        if (sticky->contested[part] ||
            (sticky->claim[part] >= 0 && plan->owner[part] != sticky->claim[part]))
            plan->owner[part] = -1;
}

enum err
assignor_sticky(struct assignor_plan *plan)
{
    struct sticky sticky;
    if (plan->member_count == 0 || plan->partition_count == 0)
        return ERR_OK;
    enum err err = sticky_init(&sticky, plan);
    if (err != ERR_OK)
        return err;
    sticky_read_claims(&sticky);
    err = subscriptions_are_equal(plan) ? assign_equal(&sticky) : assign_general(&sticky);
    if (err == ERR_OK)
        hold_back(&sticky);
    return err;
}
