/* coord/group/respond.c - answers to joins and syncs, made in the arena of each request. */
#include "coord/group/group_priv.h"

#include "base/assert.h"

/* What a client may retry when its answer found no room. */
static void
no_room(struct group_machine *machine, struct coord_reply *reply)
{
    coord_shard_reply(machine->shard, reply, PROTO_ERROR_COORDINATOR_NOT_AVAILABLE);
}

static struct bytes
arena_bytes(struct arena *arena, struct bytes from)
{
    uint8_t *copy = arena_alloc(arena, from.len);
    if (copy == NULL)
        return BYTES_NULL;
    if (from.len > 0)
        memcpy(copy, from.data, from.len);
    return (struct bytes){copy, from.len};
}

static void
join_init(struct coord_group_join *join)
{
    proto_init(&proto_join_group_response_schema, &join->response);
    join->response.generation_id = -1;
    join->response.leader = STR("");
    join->response.member_id = STR("");
    /* Until version 7 the name cannot be null. */
    join->response.protocol_name = join->version >= 7 ? STR_NULL : STR("");
    join->response.protocol_type = STR_NULL;
}

void
coord_join_error(struct group_machine *machine, struct coord_group_join *join, struct str member_id,
    enum proto_error err)
{
    join_init(join);
    join->response.error_code = (int16_t)err;
    join->response.member_id = arena_str(join->base.arena, member_id);
    if (join->base.arena->exhausted)
        no_room(machine, &join->base);
    else
        coord_shard_reply(machine->shard, &join->base, PROTO_ERROR_NONE);
}

static void
join_members(struct group *group, struct coord_group_join *join)
{
    struct arena *arena = join->base.arena;
    int32_t count = coord_group_size(group), i = 0;
    join->response.members.items =
        arena_calloc(arena, (size_t)count, sizeof join->response.members.items[0]);
    if (join->response.members.items == NULL)
        return;
    for (struct group_member *m = group->members; m != NULL; m = m->hh.next, i++) {
        join->response.members.items[i].member_id = arena_str(arena, m->id);
        join->response.members.items[i].group_instance_id = arena_str(arena, m->instance_id);
        join->response.members.items[i].metadata =
            arena_bytes(arena, coord_member_metadata(m, group->protocol_name));
    }
    join->response.members.count = count;
}

/* What the leader is told may be large; other answers are small. */
static void
allow_large(struct arena *arena)
{
    if (arena->budget_bytes < LIMIT_REQUEST_ARENA_MAX)
        arena->budget_bytes = LIMIT_REQUEST_ARENA_MAX;
}

void
coord_join_generation(struct group_member *member, struct coord_group_join *join, bool with_members,
    bool skip_assignment)
{
    struct group *group = member->group;
    struct arena *arena = join->base.arena;
    struct proto_join_group_response *response = &join->response;

    ASSERT(group->leader != NULL);
    join_init(join);
    response->member_id = arena_str(arena, member->id);
    response->generation_id = group->generation;
    if (group->protocol_name.data != NULL)
        response->protocol_name = arena_str(arena, group->protocol_name);
    response->protocol_type = arena_str(arena, group->protocol_type);
    response->leader = arena_str(arena, group->leader->id);
    response->skip_assignment = skip_assignment;
    if (with_members) {
        allow_large(arena);
        join_members(group, join);
    }
    if (arena->exhausted)
        no_room(group->machine, &join->base);
    else
        coord_shard_reply(group->machine->shard, &join->base, PROTO_ERROR_NONE);
}

void
coord_member_join_done(struct group_member *member, enum proto_error err, struct str member_id)
{
    struct coord_group_join *join = member->join;
    if (join == NULL)
        return;
    member->join = NULL;
    member->group->joins--;
    ASSERT(member->group->joins >= 0);
    if (coord_shard_is_abandoned(member->group->machine->shard))
        return;
    if (err == PROTO_ERROR_NONE)
        coord_join_generation(member, join, member->group->leader == member, false);
    else
        coord_join_error(member->group->machine, join, member_id, err);
}

void
coord_sync_respond(struct group_member *member, struct coord_group_sync *sync, enum proto_error err)
{
    struct coord_shard *shard = member->group->machine->shard;
    struct arena *arena = sync->base.arena;

    proto_init(&proto_sync_group_response_schema, &sync->response);
    sync->response.error_code = (int16_t)err;
    sync->response.assignment = (struct bytes){(const uint8_t *)"", 0};
    if (err == PROTO_ERROR_NONE) {
        allow_large(arena);
        sync->response.protocol_type = arena_str(arena, member->group->protocol_type);
        sync->response.protocol_name = arena_str(arena, member->group->protocol_name);
        sync->response.assignment = arena_bytes(arena, member->assignment);
    }
    coord_shard_reply(shard, &sync->base,
        arena->exhausted ? PROTO_ERROR_COORDINATOR_NOT_AVAILABLE : PROTO_ERROR_NONE);
}

void
coord_member_sync_done(struct group_member *member, enum proto_error err)
{
    struct coord_group_sync *sync = member->sync;
    if (sync == NULL)
        return;
    member->sync = NULL;
    if (coord_shard_is_abandoned(member->group->machine->shard))
        return;
    coord_sync_respond(member, sync, err);
}
