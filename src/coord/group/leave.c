/* coord/group/leave.c - LeaveGroup, of one member or of many (KIP-345, 800). */
#include "coord/group/group_priv.h"

#include "base/assert.h"

/* Takes one out without letting the group go on yet. */
static void
take_out(struct group_member *member)
{
    coord_member_join_done(member, PROTO_ERROR_UNKNOWN_MEMBER_ID, STR(""));
    coord_member_sync_done(member, PROTO_ERROR_UNKNOWN_MEMBER_ID);
    coord_member_remove(member);
}

static enum proto_error
leave_one(struct group *group, struct str member_id, struct str instance_id)
{
    if (member_id.len == 0) {
        /* An administrator removes whoever has this instance id. */
        struct group_member *member = coord_member_static(group, instance_id);
        if (member == NULL)
            return PROTO_ERROR_UNKNOWN_MEMBER_ID;
        take_out(member);
        return PROTO_ERROR_NONE;
    }
    struct group_pending *pending = coord_pending_find(group, member_id);
    if (pending != NULL) {
        coord_pending_remove(pending);
        return PROTO_ERROR_NONE;
    }
    enum proto_error err = coord_member_validate(group, member_id, instance_id);
    if (err == PROTO_ERROR_NONE)
        take_out(coord_member_find(group, member_id));
    return err;
}

static void
go_on(struct group *group)
{
    switch (coord_group_state(group)) {
    case GROUP_STABLE:
    case GROUP_COMPLETING_REBALANCE: coord_group_rebalance_or_complete(group); break;
    case GROUP_PREPARING_REBALANCE: coord_group_maybe_complete_join(group); break;
    case GROUP_EMPTY:
    case GROUP_DEAD: break;
    }
}

void
coord_group_leave(struct coord_shard *shard, const struct proto_leave_group_request *request,
    struct coord_group_leave *reply)
{
    struct group *group = coord_group_find(coord_group_of(shard), request->group_id);
    struct arena *arena = reply->base.arena;
    int32_t count = request->members.count > 0 ? request->members.count : 0;
    bool any = false;

    if (request->group_id.len == 0) {
        coord_shard_reply(shard, &reply->base, PROTO_ERROR_INVALID_GROUP_ID);
        return;
    }
    proto_init(&proto_leave_group_response_schema, &reply->response);
    reply->response.members.items =
        arena_calloc(arena, (size_t)count, sizeof reply->response.members.items[0]);
    if (reply->response.members.items == NULL) {
        coord_shard_reply(shard, &reply->base, PROTO_ERROR_COORDINATOR_NOT_AVAILABLE);
        return;
    }
    reply->response.members.count = count;
    for (int32_t i = 0; i < count; i++) {
        struct str member_id = request->members.items[i].member_id;
        struct str instance_id = request->members.items[i].group_instance_id;
        enum proto_error err = PROTO_ERROR_UNKNOWN_MEMBER_ID;
        if (group != NULL && group->kind == GROUP_CLASSIC)
            err = leave_one(group, member_id, instance_id);
        any = any || err == PROTO_ERROR_NONE;
        /* Views of the request: it lives as long as its reply. */
        reply->response.members.items[i].member_id = member_id;
        reply->response.members.items[i].group_instance_id = instance_id;
        reply->response.members.items[i].error_code = (int16_t)err;
    }
    if (any)
        go_on(group);
    coord_shard_reply(shard, &reply->base, PROTO_ERROR_NONE);
}
