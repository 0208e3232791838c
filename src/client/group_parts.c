/* client/group_parts.c - the partitions a member holds: adding, taking away, telling.
 *
 * Invariants: I1 parts are in order, without doubles, each with a name of its own. I2 told[i]
 * exactly when on_assigned was told of part i and the consumer has it. Threads: the loop's. */
#include "base/alloc.h"
#include "base/assert.h"
#include "client/group_priv.h"

int
group_parts_order(const void *a, const void *b)
{
    const struct client_topic_partition *x = a, *y = b;
    int order = str_cmp(x->topic, y->topic);
    if (order != 0)
        return order;
    return x->partition < y->partition ? -1 : x->partition > y->partition;
}

static void
name_free(struct client_topic_partition *part)
{
    mem_free((void *)(uintptr_t)part->topic.data);
}

void
group_parts_free(struct client_group *group)
{
    for (int i = 0; i < group->part_count; i++)
        name_free(&group->parts[i]);
    mem_free(group->parts);
    mem_free(group->told);
    group->parts = NULL;
    group->told = NULL;
    group->part_count = 0;
}

bool
group_parts_all_told(const struct client_group *group)
{
    for (int i = 0; i < group->part_count; i++)
        if (!group->told[i])
            return false;
    return true;
}

void
group_parts_pause(struct client_group *group)
{
    for (int i = 0; i < group->part_count; i++)
        if (group->told[i]) {
            enum err err = client_consumer_pause(
                group->opts.consumer, group->parts[i].topic, group->parts[i].partition, true);
            ASSERT(err == ERR_OK); /* told: the consumer has it */
        }
}

/* ---- taking away ---- */

static void
tell_loss(struct client_group *group, enum group_loss loss,
    const struct client_topic_partition *parts, int count)
{
    const struct client_group_events *events = &group->opts.events;
    if (loss == GROUP_LOST && events->on_lost != NULL)
        events->on_lost(group->opts.ctx, parts, count);
    else if (events->on_revoked != NULL)
        events->on_revoked(group->opts.ctx, parts, count);
}

void
group_parts_take(struct client_group *group, const bool *gone, enum group_loss loss)
{
    int count = 0, kept = 0;
    if (group->part_count == 0)
        return;
    struct client_topic_partition *list = mem_alloc(sizeof *list * (size_t)group->part_count);
    for (int i = 0; i < group->part_count; i++) {
        if ((gone != NULL && !gone[i]) || !group->told[i])
            continue;
        if (list != NULL)
            list[count++] = group->parts[i];
        else /* no memory for one list: one at a time */
            tell_loss(group, loss, &group->parts[i], 1);
    }
    if (count > 0)
        tell_loss(group, loss, list, count);
    mem_free(list);
    for (int i = 0; i < group->part_count; i++) {
        if (gone != NULL && !gone[i]) {
            group->parts[kept] = group->parts[i];
            group->told[kept++] = group->told[i];
            continue;
        }
        if (group->told[i])
            client_consumer_unassign(
                group->opts.consumer, group->parts[i].topic, group->parts[i].partition);
        name_free(&group->parts[i]);
    }
    group->part_count = kept;
    if (kept == 0)
        group_parts_free(group);
}

/* ---- adding ---- */

int
group_parts_compare(const struct client_group *group, const struct client_topic_partition *parts,
    int count, bool *gone)
{
    int gone_count = 0, j = 0;
    for (int i = 0; i < group->part_count; i++) {
        while (j < count && group_parts_order(&parts[j], &group->parts[i]) < 0)
            j++;
        gone[i] = j >= count || group_parts_order(&parts[j], &group->parts[i]) != 0;
        gone_count += gone[i];
    }
    return gone_count;
}

enum err
group_parts_add(struct client_group *group, const struct client_topic_partition *parts, int count)
{
    size_t room = (size_t)group->part_count + (size_t)count;
    struct client_topic_partition *merged = mem_calloc(room + 1, sizeof *merged);
    bool *told = mem_calloc(room + 1, sizeof *told);
    int total = 0, i = 0, j = 0;
    bool ok = merged != NULL && told != NULL;
    while (ok && (i < group->part_count || j < count)) {
        int order = i >= group->part_count ? 1
                    : j >= count           ? -1
                                           : group_parts_order(&group->parts[i], &parts[j]);
        if (order <= 0) {
            told[total] = group->told[i];
            merged[total++] = group->parts[i++];
            j += order == 0;
            continue;
        }
        /* The copies are marked by a negative partition until all is well. */
        char *name = mem_strndup(parts[j].topic.data, parts[j].topic.len);
        ok = name != NULL;
        if (ok)
            merged[total++] = (struct client_topic_partition){
                {name, parts[j].topic.len}, -1 - parts[j].partition};
        j++;
    }
    for (int k = 0; k < total; k++) {
        bool copy = merged[k].partition < 0;
        if (copy && ok)
            merged[k].partition = -1 - merged[k].partition;
        else if (copy)
            name_free(&merged[k]);
    }
    mem_free(ok ? (void *)group->parts : (void *)merged);
    mem_free(ok ? (void *)group->told : (void *)told);
    if (!ok)
        return ERR_NOMEM;
    group->parts = merged;
    group->told = told;
    group->part_count = total;
    ASSERT(total >= count || count == 0);
    return ERR_OK;
}
