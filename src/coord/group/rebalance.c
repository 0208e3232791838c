/* coord/group/rebalance.c - how a group comes to its next generation, and the timers that see to it
 * that it does.
 *
 * What: prepare (everybody must join again), complete (those who joined get the generation), and
 * what happens when somebody does not come: to join, to sync, or to say it is alive.
 *
 * Invariants: I1 in PreparingRebalance the join timer runs, so no parked join waits for longer than
 * the rebalance timeout. I2 in CompletingRebalance the sync timer runs. I3 every member has a
 * session timer from its first join on; it may fire without effect while the member is parked. */
#include "coord/group/group_priv.h"

#include "base/assert.h"

void
coord_member_session_start(struct group_member *member, int32_t timeout_ms)
{
    coord_shard_timer_set(member->group->machine->shard, &member->session, timeout_ms);
}

static void
write_empty_generation(struct group *group)
{
    coord_record_add_group(group, NULL);
    if (coord_record_submit_group(group) != ERR_OK)
        coord_shard_doom(group->machine->shard);
}

/* Dynamic members who did not come in time are out; static ones stay (KIP-345). */
static void
drop_absent(struct group *group)
{
    struct group_member *member, *next;
    HASH_ITER (hh, group->members, member, next) {
        if (member->join != NULL || member->instance_id.data != NULL)
            continue;
        coord_member_sync_done(member, PROTO_ERROR_UNKNOWN_MEMBER_ID);
        coord_member_remove(member);
    }
}

/* The leader must be one who joined; false when nobody did. */
static bool
elect_joined_leader(struct group *group)
{
    if (group->leader == NULL)
        return false;
    if (group->leader->join != NULL)
        return true;
    for (struct group_member *m = group->members; m != NULL; m = m->hh.next) {
        if (m->join != NULL) {
            group->leader = m;
            return true;
        }
    }
    return false;
}

static void
start_generation(struct group *group)
{
    for (struct group_member *m = group->members; m != NULL; m = m->hh.next) {
        coord_member_join_done(m, PROTO_ERROR_NONE, m->id);
        coord_member_session_start(m, m->session_timeout_ms);
        m->is_new = false;
        m->pending_sync = true;
        group->pending_syncs++;
    }
    coord_shard_timer_set(
        group->machine->shard, &group->sync_timer, coord_group_rebalance_timeout(group)); /* I2 */
}

static void
complete_join(struct group *group)
{
    struct coord_shard *shard = group->machine->shard;

    ASSERT(coord_group_state(group) == GROUP_PREPARING_REBALANCE);
    coord_shard_timer_stop(shard, &group->join_timer);
    group->delay_ms = 0;
    drop_absent(group);
    if (!elect_joined_leader(group) && group->members != NULL) {
        /* Only static members, and none came: they keep their places for another while. */
        coord_shard_timer_set(
            shard, &group->join_timer, coord_group_rebalance_timeout(group)); /* I1 */
        return;
    }
    if (!coord_group_next_generation(group))
        coord_shard_doom(shard);
    else if (coord_group_state(group) == GROUP_EMPTY)
        write_empty_generation(group);
    else
        start_generation(group);
}

void
coord_group_maybe_complete_join(struct group *group)
{
    if (coord_group_state(group) != GROUP_PREPARING_REBALANCE)
        return;
    /* The initial delay gives others the time to come. */
    if (group->previous == GROUP_EMPTY)
        return;
    if (coord_group_all_joined(group))
        complete_join(group);
}

/* Whoever waits for an assignment of the generation that is given up. */
static void
reset_assignments(struct group *group)
{
    for (struct group_member *m = group->members; m != NULL; m = m->hh.next) {
        if (!coord_member_set_assignment(m, BYTES_NULL))
            coord_shard_doom(group->machine->shard);
        if (m->sync != NULL) {
            coord_member_sync_done(m, PROTO_ERROR_REBALANCE_IN_PROGRESS);
            coord_member_session_start(m, m->session_timeout_ms);
        }
    }
}

static void
stop_sync_phase(struct group *group)
{
    for (struct group_member *m = group->members; m != NULL; m = m->hh.next)
        m->pending_sync = false;
    group->pending_syncs = 0;
    coord_shard_timer_stop(group->machine->shard, &group->sync_timer);
}

void
coord_group_prepare_rebalance(struct group *group)
{
    struct coord_shard *shard = group->machine->shard;
    bool initial = coord_group_state(group) == GROUP_EMPTY;
    int32_t timeout_ms = coord_group_rebalance_timeout(group);

    if (coord_group_state(group) == GROUP_COMPLETING_REBALANCE)
        reset_assignments(group);
    stop_sync_phase(group);
    coord_group_move(group, GROUP_PREPARING_REBALANCE);
    if (initial) {
        int32_t delay_ms = group->machine->config->initial_rebalance_delay_ms;
        group->member_added = false;
        group->delay_ms = delay_ms;
        group->remaining_ms = timeout_ms > delay_ms ? timeout_ms - delay_ms : 0;
        coord_shard_timer_set(shard, &group->join_timer, delay_ms); /* I1 */
    } else if (coord_group_all_joined(group)) {
        complete_join(group);
    } else {
        group->delay_ms = 0;
        coord_shard_timer_set(shard, &group->join_timer, timeout_ms); /* I1 */
    }
}

void
coord_group_rebalance_or_complete(struct group *group)
{
    if (fsm_can(&group->fsm, GROUP_PREPARING_REBALANCE))
        coord_group_prepare_rebalance(group);
    else
        coord_group_maybe_complete_join(group);
}

/* ---- timers ---- */

/* One step of the initial delay ended: another one when somebody came during it. */
static bool
extend_initial_delay(struct group *group)
{
    if (group->previous != GROUP_EMPTY || !group->member_added || group->remaining_ms == 0)
        return false;
    int32_t delay_ms = group->machine->config->initial_rebalance_delay_ms;
    if (delay_ms > group->remaining_ms)
        delay_ms = group->remaining_ms;
    group->member_added = false;
    group->remaining_ms -=
        group->delay_ms < group->remaining_ms ? group->delay_ms : group->remaining_ms;
    group->delay_ms = delay_ms;
    coord_shard_timer_set(group->machine->shard, &group->join_timer, delay_ms);
    return true;
}

void
coord_group_join_expired(void *machine, struct coord_timer *timer)
{
    struct group *group = CONTAINER_OF(timer, struct group, join_timer);
    (void)machine;
    ASSERT(coord_group_state(group) == GROUP_PREPARING_REBALANCE);
    if (group->delay_ms > 0 && extend_initial_delay(group))
        return;
    complete_join(group);
}

void
coord_group_sync_expired(void *machine, struct coord_timer *timer)
{
    struct group *group = CONTAINER_OF(timer, struct group, sync_timer);
    struct group_member *member, *next;
    (void)machine;

    ASSERT(coord_group_state(group) == GROUP_COMPLETING_REBALANCE ||
           coord_group_state(group) == GROUP_STABLE);
    if (group->pending_syncs == 0)
        return;
    HASH_ITER (hh, group->members, member, next) {
        if (!member->pending_sync)
            continue;
        coord_member_sync_done(member, PROTO_ERROR_UNKNOWN_MEMBER_ID);
        coord_member_remove(member);
    }
    coord_group_prepare_rebalance(group);
}

void
coord_group_expel(struct group_member *member)
{
    struct group *group = member->group;
    coord_member_join_done(member, PROTO_ERROR_UNKNOWN_MEMBER_ID, STR(""));
    coord_member_sync_done(member, PROTO_ERROR_UNKNOWN_MEMBER_ID);
    coord_member_remove(member);
    switch (coord_group_state(group)) {
    case GROUP_STABLE:
    case GROUP_COMPLETING_REBALANCE: coord_group_rebalance_or_complete(group); break;
    case GROUP_PREPARING_REBALANCE:
        if (coord_group_all_joined(group))
            complete_join(group);
        break;
    case GROUP_EMPTY:
    case GROUP_DEAD: break;
    }
}

void
coord_member_session_expired(void *machine, struct coord_timer *timer)
{
    struct group_member *member = CONTAINER_OF(timer, struct group_member, session);
    (void)machine;
    /* Who waits for us is alive by that; but a new member may wait only so long (KAFKA-6829: its
     * client may have given up and joined again under another id). */
    if (!member->is_new && (member->join != NULL || member->sync != NULL))
        return;
    coord_group_expel(member);
}

void
coord_pending_expired(void *machine, struct coord_timer *timer)
{
    struct group_pending *pending = CONTAINER_OF(timer, struct group_pending, timer);
    struct group *group = pending->group;
    (void)machine;
    coord_pending_remove(pending);
    if (coord_group_state(group) == GROUP_PREPARING_REBALANCE && coord_group_all_joined(group))
        complete_join(group);
}
