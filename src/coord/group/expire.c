/* coord/group/expire.c - how offsets and groups go: KIP-211, deletion, and deleted topics.
 *
 * Tombstones are submitted in pieces, because what one group or topic has may be more than one
 * batch holds; a reader in between sees some of them gone, which is what expiry is. */
#include "coord/group/group_priv.h"

#include "base/assert.h"

enum { TOMBSTONE_PIECE_BYTES = 256 << 10 };

bool
coord_offsets_pending(
    const struct group_machine *machine, struct str group, struct str topic, int32_t partition)
{
    for (const struct offset_txn *txn = machine->txns; txn != NULL; txn = txn->hh.next) {
        if (coord_offset_store_get(&txn->store, group, topic, partition) != NULL)
            return true;
    }
    return false;
}

bool
coord_offsets_group_has_txn(const struct group_machine *machine, struct str group)
{
    for (const struct offset_txn *txn = machine->txns; txn != NULL; txn = txn->hh.next) {
        if (coord_offset_store_group(&txn->store, group) != NULL)
            return true;
    }
    return false;
}

/* From when the retention of an offset counts; false when the group's never expire now. */
static bool
retention_base(const struct group *group, const struct offset_entry *entry, int64_t *base_ms)
{
    *base_ms = entry->commit_ms;
    if (group->kind != GROUP_CLASSIC)
        return false;
    if (group->protocol_type.data == NULL)
        return true; /* a simple consumer's */
    switch (coord_group_state(group)) {
    case GROUP_EMPTY:
        if (group->state_ms >= 0)
            *base_ms = group->state_ms;
        return true;
    case GROUP_STABLE: return coord_group_is_consumer(group) && group->topic_count >= 0;
    case GROUP_PREPARING_REBALANCE:
    case GROUP_COMPLETING_REBALANCE:
    case GROUP_DEAD: break;
    }
    return false;
}

static bool
is_expired(const struct group *group, const struct offset_entry *entry)
{
    int64_t now_ms = coord_shard_wall_ms(group->machine->shard), base_ms;
    if (!retention_base(group, entry, &base_ms))
        return false;
    if (entry->expire_ms >= 0)
        return now_ms >= entry->expire_ms;
    /* So put, no time that a record holds overflows. */
    return base_ms <= now_ms - group->machine->config->offsets_retention_ms;
}

/* ---- choosing and deleting ---- */

struct sweep {
    struct group_machine *machine;
    const struct group *group; /* expiry: its rules */
    struct str topic;          /* deleted topic: only this one; else null */
    struct uuid topic_id;      /* zero: any */
    bool all;                  /* everything goes */
    bool kept;                 /* out: something stayed */
    uint64_t taken;            /* out: of this piece */
};

static bool
sweep_takes(const struct sweep *sweep, struct str group_id, const struct offset_topic *topic,
    const struct offset_entry *entry)
{
    if (sweep->topic.data != NULL)
        return uuid_is_zero(sweep->topic_id) || uuid_is_zero(entry->topic_id) ||
               uuid_eq(sweep->topic_id, entry->topic_id);
    if (sweep->all)
        return true;
    return !coord_group_is_subscribed(sweep->group, topic->name) &&
           is_expired(sweep->group, entry) &&
           !coord_offsets_pending(sweep->machine, group_id, topic->name, entry->partition);
}

/* Queues tombstones until a piece is full; true when there may be more. */
static bool
sweep_piece(struct sweep *sweep, const struct offset_store *store, struct str group_id)
{
    const struct offset_group *group = coord_offset_store_group(store, group_id);
    sweep->kept = false;
    sweep->taken = 0;
    if (group == NULL)
        return false;
    for (struct offset_topic *t = group->topics; t != NULL; t = t->hh.next) {
        if (sweep->topic.data != NULL && !str_eq(t->name, sweep->topic))
            continue;
        for (int32_t i = 0; i < t->count; i++) {
            if (coord_shard_added_bytes(sweep->machine->shard) >= TOMBSTONE_PIECE_BYTES)
                return true;
            if (sweep_takes(sweep, group_id, t, &t->entries[i])) {
                coord_record_add_offset_tombstone(
                    sweep->machine, group_id, t->name, t->entries[i].partition);
                sweep->taken++;
            } else {
                sweep->kept = true;
            }
        }
    }
    return false;
}

/* All of a group's offsets in one store that the sweep takes. False: no room now. */
static bool
sweep_group(struct sweep *sweep, const struct offset_store *store, struct str group_id)
{
    bool more;
    do {
        more = sweep_piece(sweep, store, group_id);
        if (coord_shard_submit(sweep->machine->shard, true) != ERR_OK)
            return false; /* nothing happened to this piece; another time */
        coord_shard_count(sweep->machine->shard,
            sweep->group != NULL ? COORD_COUNT_OFFSETS_EXPIRED : COORD_COUNT_OFFSETS_DELETED,
            sweep->taken);
        if (coord_shard_is_doomed(sweep->machine->shard))
            return false;
    } while (more);
    return true;
}

/* ---- expiry (KIP-211) ---- */

static bool
expire_group(struct group *group)
{
    struct group_machine *machine = group->machine;
    struct sweep sweep = {.machine = machine, .group = group};

    if (!sweep_group(&sweep, &machine->offsets, group->id))
        return false;
    if (sweep.kept || group->kind != GROUP_CLASSIC || coord_group_state(group) != GROUP_EMPTY ||
        group->pending != NULL || coord_offsets_group_has_txn(machine, group->id))
        return true;
    coord_record_add_group_tombstone(machine, group->id);
    return coord_shard_submit(machine->shard, true) == ERR_OK;
}

void
coord_offsets_expire(void *ctx, struct coord_timer *timer)
{
    struct group_machine *machine = ctx;
    struct group *group, *next;

    ASSERT(timer == &machine->expiry);
    HASH_ITER (hh, machine->groups, group, next) {
        if (!expire_group(group))
            break;
    }
    coord_shard_timer_set(machine->shard, timer, machine->config->retention_check_ms);
}

/* ---- a deleted topic ---- */

static bool
topic_deleted(struct sweep *sweep, const struct offset_store *store)
{
    struct offset_group *group, *next;
    HASH_ITER (hh, store->groups, group, next) {
        /* The id goes with its last offset: keep the text for as long as the sweep needs it. */
        struct str id;
        if (coord_offset_group_topic(group, sweep->topic) == NULL)
            continue;
        if (!coord_str_dup(group->id, &id))
            return false;
        bool ok = sweep_group(sweep, store, id);
        coord_str_free(&id);
        if (!ok)
            return false;
    }
    return true;
}

bool
coord_group_topic_deleted(struct coord_shard *shard, struct str topic, struct uuid topic_id)
{
    struct group_machine *machine = coord_group_of(shard);
    struct sweep sweep = {.machine = machine, .topic = topic, .topic_id = topic_id};
    struct offset_txn *txn, *next;

    bool ok = topic_deleted(&sweep, &machine->offsets);
    HASH_ITER (hh, machine->txns, txn, next) {
        ok = ok && topic_deleted(&sweep, &txn->store);
    }
    return ok;
}

/* ---- DeleteGroups ---- */

static enum proto_error
delete_group(struct group *group)
{
    struct group_machine *machine = group->machine;
    struct sweep sweep = {.machine = machine, .all = true};
    struct offset_txn *txn, *next;

    if (group->kind != GROUP_CLASSIC || coord_group_state(group) != GROUP_EMPTY)
        return PROTO_ERROR_NON_EMPTY_GROUP;
    bool ok = sweep_group(&sweep, &machine->offsets, group->id);
    HASH_ITER (hh, machine->txns, txn, next) {
        ok = ok && sweep_group(&sweep, &txn->store, group->id);
    }
    if (ok) {
        coord_record_add_group_tombstone(machine, group->id);
        ok = coord_shard_submit(machine->shard, true) == ERR_OK;
    }
    return ok ? PROTO_ERROR_NONE : PROTO_ERROR_COORDINATOR_NOT_AVAILABLE;
}

void
coord_group_delete(struct coord_shard *shard, struct str group_id, struct coord_reply *reply)
{
    struct group *group = coord_group_find(coord_group_of(shard), group_id);
    coord_shard_reply(
        shard, reply, group == NULL ? PROTO_ERROR_GROUP_ID_NOT_FOUND : delete_group(group));
}
