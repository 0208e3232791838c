/* coord/group/sync.c - SyncGroup and Heartbeat. */
#include "coord/group/group_priv.h"

#include "base/assert.h"

static void
refuse(struct coord_shard *shard, struct coord_group_sync *reply, enum proto_error err)
{
    proto_init(&proto_sync_group_response_schema, &reply->response);
    reply->response.error_code = (int16_t)err;
    reply->response.assignment = (struct bytes){(const uint8_t *)"", 0};
    coord_shard_reply(shard, &reply->base, PROTO_ERROR_NONE);
}

static bool
differs(struct str asked, struct str is)
{
    return asked.data != NULL && is.data != NULL && !str_eq(asked, is);
}

static enum proto_error
check(const struct group *group, const struct proto_sync_group_request *request)
{
    if (request->group_id.len == 0)
        return PROTO_ERROR_INVALID_GROUP_ID;
    if (group == NULL || group->kind != GROUP_CLASSIC || coord_group_state(group) == GROUP_EMPTY)
        return PROTO_ERROR_UNKNOWN_MEMBER_ID;
    enum proto_error err =
        coord_member_validate(group, request->member_id, request->group_instance_id);
    if (err != PROTO_ERROR_NONE)
        return err;
    if (request->generation_id != group->generation)
        return PROTO_ERROR_ILLEGAL_GENERATION;
    if (differs(request->protocol_type, group->protocol_type) ||
        differs(request->protocol_name, group->protocol_name))
        return PROTO_ERROR_INCONSISTENT_GROUP_PROTOCOL;
    return PROTO_ERROR_NONE;
}

static void
synced(struct group_member *member)
{
    struct group *group = member->group;
    if (!member->pending_sync)
        return;
    member->pending_sync = false;
    group->pending_syncs--;
    ASSERT(group->pending_syncs >= 0);
    if (group->pending_syncs == 0)
        coord_shard_timer_stop(group->machine->shard, &group->sync_timer);
}

/* Everybody who waits hears why there is no assignment, and the group tries again. */
static void
fail_assignment(struct group *group, enum proto_error err)
{
    for (struct group_member *m = group->members; m != NULL; m = m->hh.next) {
        if (m->sync == NULL)
            continue;
        coord_member_sync_done(m, err);
        coord_member_session_start(m, m->session_timeout_ms);
    }
    coord_group_prepare_rebalance(group);
}

static struct bytes
assignment_of(const struct proto_sync_group_request *request, struct str member_id)
{
    for (int32_t i = request->assignments.count - 1; i >= 0; i--) {
        if (str_eq(request->assignments.items[i].member_id, member_id))
            return request->assignments.items[i].assignment;
    }
    return BYTES_NULL;
}

static void
assign(struct group *group, const struct proto_sync_group_request *request)
{
    struct coord_shard *shard = group->machine->shard;

    ASSERT(coord_group_state(group) == GROUP_COMPLETING_REBALANCE);
    coord_record_add_group(group, request);
    enum err err = coord_record_submit_group(group);
    if (err != ERR_OK) {
        /* An assignment that no record can hold is the leader's fault; the group survives. */
        fail_assignment(group, err == ERR_NOMEM ? PROTO_ERROR_COORDINATOR_NOT_AVAILABLE
                                                : PROTO_ERROR_UNKNOWN_SERVER_ERROR);
        return;
    }
    coord_group_move(group, GROUP_STABLE);
    for (struct group_member *m = group->members; m != NULL; m = m->hh.next) {
        if (!coord_member_set_assignment(m, assignment_of(request, m->id)))
            coord_shard_doom(shard);
        if (m->sync == NULL)
            continue;
        coord_member_sync_done(m, PROTO_ERROR_NONE);
        coord_member_session_start(m, m->session_timeout_ms);
    }
}

void
coord_group_sync(struct coord_shard *shard, const struct proto_sync_group_request *request,
    struct coord_group_sync *reply)
{
    struct group *group = coord_group_find(coord_group_of(shard), request->group_id);
    enum proto_error err = check(group, request);
    if (err != PROTO_ERROR_NONE) {
        refuse(shard, reply, err);
        return;
    }
    struct group_member *member = coord_member_find(group, request->member_id);
    switch (coord_group_state(group)) {
    case GROUP_PREPARING_REBALANCE: refuse(shard, reply, PROTO_ERROR_REBALANCE_IN_PROGRESS); break;
    case GROUP_COMPLETING_REBALANCE:
        /* A retry takes the place of the request that waited. */
        coord_member_sync_done(member, PROTO_ERROR_REBALANCE_IN_PROGRESS);
        member->sync = reply;
        synced(member);
        if (group->leader == member)
            assign(group, request);
        break;
    case GROUP_STABLE:
        synced(member);
        coord_sync_respond(member, reply, PROTO_ERROR_NONE);
        break;
    case GROUP_EMPTY:
    case GROUP_DEAD: UNREACHABLE(); /* checked */
    }
}

static enum proto_error
beat(struct group *group, const struct proto_heartbeat_request *request)
{
    if (request->group_id.len == 0)
        return PROTO_ERROR_INVALID_GROUP_ID;
    if (group == NULL || group->kind != GROUP_CLASSIC)
        return PROTO_ERROR_UNKNOWN_MEMBER_ID;
    enum proto_error err =
        coord_member_validate(group, request->member_id, request->group_instance_id);
    if (err != PROTO_ERROR_NONE)
        return err;
    if (request->generation_id != group->generation)
        return PROTO_ERROR_ILLEGAL_GENERATION;
    struct group_member *member = coord_member_find(group, request->member_id);
    /* Who is parked is not held to its session; what runs then is the time it may be new. */
    if (member->join == NULL)
        coord_member_session_start(member, member->session_timeout_ms);
    return coord_group_state(group) == GROUP_PREPARING_REBALANCE ? PROTO_ERROR_REBALANCE_IN_PROGRESS
                                                                 : PROTO_ERROR_NONE;
}

void
coord_group_heartbeat(struct coord_shard *shard, const struct proto_heartbeat_request *request,
    struct coord_reply *reply)
{
    struct group *group = coord_group_find(coord_group_of(shard), request->group_id);
    coord_shard_reply(shard, reply, beat(group, request));
}
