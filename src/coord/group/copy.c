/* coord/group/copy.c - the live state as records again, for the log's cleaning (coord/clean.c).
 *
 * Three walks, one after the other: what is not understood, groups, offsets. Between two steps
 * anything may change: what goes takes the walk's place along, what comes is written behind the
 * beginning of the copy anyway. */
#include "coord/group/group_priv.h"

#include "base/assert.h"

enum { VISITS_MAX = 20000 }; /* in one step, mostly of what needs no copy */

struct step {
    struct group_machine *machine;
    size_t bytes_left;
    int visits_left;
    int64_t hold;
    enum err err;
};

size_t
coord_copy_live_bytes(const void *ctx)
{
    const struct group_machine *machine = ctx;
    return machine->offsets.bytes + machine->groups_bytes + machine->foreign_bytes;
}

static void
hold(struct step *step, int64_t offset)
{
    if (offset < step->hold)
        step->hold = offset;
}

/* After each record: true while there is room for another one. What no batch holds any more (its
 * largest size was lowered) stays where it is. */
static bool
submitted(struct step *step, enum err err, int64_t order, size_t bytes)
{
    if (err == ERR_NOMEM)
        step->err = err;
    else if (err != ERR_OK)
        hold(step, order);
    step->bytes_left = bytes < step->bytes_left ? step->bytes_left - bytes : 0;
    return step->err == ERR_OK;
}

static bool
has_room(struct step *step)
{
    return step->err == ERR_OK && step->bytes_left > 0 && step->visits_left-- > 0;
}

/* ---- the three walks; false: no room now ---- */

static bool
copy_foreign(struct step *step)
{
    struct group_machine *machine = step->machine;
    struct group_copy *copy = &machine->copy;

    while (copy->foreign != NULL) {
        struct foreign_record *record = copy->foreign;
        if (!has_room(step))
            return false;
        copy->foreign = record->hh.next;
        if (record->order >= copy->start)
            continue;
        int64_t order = coord_shard_order_next(machine->shard);
        coord_shard_add(machine->shard, record->key, record->value);
        size_t bytes = coord_shard_added_bytes(machine->shard);
        enum err err = coord_shard_submit(machine->shard, false);
        (void)submitted(step, err, record->order, bytes);
        if (err == ERR_OK)
            record->order = order;
    }
    return step->err == ERR_OK;
}

static bool
copy_groups(struct step *step)
{
    struct group_machine *machine = step->machine;
    struct group_copy *copy = &machine->copy;

    while (copy->group != NULL) {
        struct group *group = copy->group;
        if (!has_room(step))
            return false;
        copy->group = group->hh.next;
        if (group->kind != GROUP_CLASSIC || group->order < 0 || group->order >= copy->start)
            continue;
        enum group_state state = coord_group_state(group);
        if (state != GROUP_EMPTY && state != GROUP_STABLE) {
            hold(step, group->order);
            continue;
        }
        int64_t order = group->order;
        coord_record_add_group(group, NULL);
        size_t bytes = coord_shard_added_bytes(machine->shard);
        (void)submitted(step, coord_record_submit_group(group), order, bytes);
    }
    return step->err == ERR_OK;
}

static bool
copy_offsets(struct step *step)
{
    struct group_machine *machine = step->machine;
    struct coord_shard *shard = machine->shard;
    struct offset_entry *entry;
    struct str group, topic;

    while (has_room(step)) {
        entry = coord_offset_store_next(&machine->offsets, &group, &topic);
        if (entry == NULL)
            return true;
        if (entry->order >= machine->copy.start)
            continue;
        if (machine->txns != NULL &&
            coord_offsets_pending(machine, group, topic, entry->partition)) {
            hold(step, entry->order);
            continue;
        }
        int64_t order = coord_shard_order_next(shard);
        coord_record_add_offset(machine, group, topic, entry);
        size_t bytes = coord_shard_added_bytes(shard);
        enum err err = coord_shard_submit(shard, false);
        (void)submitted(step, err, entry->order, bytes);
        if (err == ERR_OK)
            entry->order = order;
    }
    return false;
}

/* ---- the copy ---- */

static int64_t
lowest_order(const struct offset_store *store)
{
    int64_t lowest = INT64_MAX;
    for (struct offset_group *g = store->groups; g != NULL; g = g->hh.next)
        for (struct offset_topic *t = g->topics; t != NULL; t = t->hh.next)
            for (int32_t i = 0; i < t->count; i++)
                if (t->entries[i].order < lowest)
                    lowest = t->entries[i].order;
    return lowest;
}

void
coord_copy_rewind(struct group_machine *machine)
{
    machine->copy.foreign = machine->foreign;
    machine->copy.group = machine->groups;
    coord_offset_store_walk(&machine->offsets);
}

int64_t
coord_copy_begin(void *ctx, int64_t start)
{
    struct group_machine *machine = ctx;
    int64_t lowest = INT64_MAX;

    machine->copy.start = start;
    coord_copy_rewind(machine);
    for (struct offset_txn *txn = machine->txns; txn != NULL; txn = txn->hh.next) {
        int64_t order = lowest_order(&txn->store);
        if (order < lowest)
            lowest = order;
    }
    return lowest;
}

enum err
coord_copy_step(void *ctx, size_t bytes_max, int64_t *hold_offset, bool *more)
{
    struct group_machine *machine = ctx;
    struct step step = {.machine = machine,
        .bytes_left = bytes_max,
        .visits_left = VISITS_MAX,
        .hold = *hold_offset};

    ASSERT(bytes_max > 0);
    *more = !copy_foreign(&step) || !copy_groups(&step) || !copy_offsets(&step);
    *hold_offset = step.hold;
    return step.err;
}
