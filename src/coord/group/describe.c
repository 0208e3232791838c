/* coord/group/describe.c - DescribeGroups, ListGroups. */
#include "coord/group/group_priv.h"

#include <strings.h>

#include "base/assert.h"

static const char *const kind_texts[] = {
    [GROUP_CLASSIC] = "classic",
    [GROUP_CONSUMER] = "consumer",
    [GROUP_SHARE] = "share",
    [GROUP_STREAMS] = "streams",
};

static struct bytes
copy_bytes(struct arena *arena, struct bytes from)
{
    uint8_t *copy = arena_alloc(arena, from.len);
    if (copy == NULL)
        return BYTES_NULL;
    if (from.len > 0)
        memcpy(copy, from.data, from.len);
    return (struct bytes){copy, from.len};
}

static void
describe_members(const struct group *group, struct coord_group_describe *reply)
{
    struct arena *arena = reply->base.arena;
    bool stable = coord_group_state(group) == GROUP_STABLE;
    const struct bytes empty = {(const uint8_t *)"", 0};
    int32_t count = coord_group_size(group), i = 0;

    if (arena->budget_bytes < LIMIT_REQUEST_ARENA_MAX)
        arena->budget_bytes = LIMIT_REQUEST_ARENA_MAX;
    reply->response.members.items =
        arena_calloc(arena, (size_t)count, sizeof reply->response.members.items[0]);
    if (reply->response.members.items == NULL)
        return;
    reply->response.members.count = count;
    for (struct group_member *m = group->members; m != NULL; m = m->hh.next, i++) {
        reply->response.members.items[i].member_id = arena_str(arena, m->id);
        reply->response.members.items[i].group_instance_id = arena_str(arena, m->instance_id);
        reply->response.members.items[i].client_id = arena_str(arena, m->client_id);
        reply->response.members.items[i].client_host = arena_str(arena, m->client_host);
        /* The assignment stays until the next one, what a member said of itself does not. */
        reply->response.members.items[i].member_assignment = copy_bytes(arena, m->assignment);
        reply->response.members.items[i].member_metadata =
            stable ? copy_bytes(arena, coord_member_metadata(m, group->protocol_name)) : empty;
    }
}

void
coord_group_describe(struct coord_shard *shard, struct str group_id, int16_t version,
    struct coord_group_describe *reply)
{
    struct group *group = coord_group_find(coord_group_of(shard), group_id);
    struct arena *arena = reply->base.arena;

    memset(&reply->response, 0, sizeof reply->response);
    reply->response.group_id = group_id;
    reply->response.group_state = STR("Dead");
    reply->response.protocol_type = STR("");
    reply->response.protocol_data = STR("");
    reply->response.error_message = STR_NULL;
    reply->response.authorized_operations = INT32_MIN;
    if (group == NULL || group->kind != GROUP_CLASSIC) {
        if (version >= 6) {
            reply->response.error_code = PROTO_ERROR_GROUP_ID_NOT_FOUND;
            reply->response.error_message =
                group == NULL
                    ? arena_printf(arena, "Group %.*s not found.", STR_FMT(group_id))
                    : arena_printf(arena, "Group %.*s is not a classic group.", STR_FMT(group_id));
        }
        coord_shard_reply(shard, &reply->base, PROTO_ERROR_NONE);
        return;
    }
    reply->response.group_state = str_of(coord_group_state_text(group));
    if (group->protocol_type.data != NULL)
        reply->response.protocol_type = arena_str(arena, group->protocol_type);
    if (coord_group_state(group) == GROUP_STABLE && group->protocol_name.data != NULL)
        reply->response.protocol_data = arena_str(arena, group->protocol_name);
    describe_members(group, reply);
    coord_shard_reply(shard, &reply->base,
        arena->exhausted ? PROTO_ERROR_COORDINATOR_NOT_AVAILABLE : PROTO_ERROR_NONE);
}

/* ---- ListGroups ---- */

static struct str
trim(struct str s)
{
    while (s.len > 0 && (uint8_t)s.data[0] <= ' ') {
        s.data++;
        s.len--;
    }
    while (s.len > 0 && (uint8_t)s.data[s.len - 1] <= ' ')
        s.len--;
    return s;
}

static bool
passes(const char *text, const struct str *filter, int32_t count)
{
    for (int32_t i = 0; i < count; i++) {
        struct str s = trim(filter[i]);
        if (s.len == strlen(text) && strncasecmp(s.data, text, s.len) == 0)
            return true;
    }
    return count <= 0;
}

void
coord_group_list(struct coord_shard *shard, const struct str *states, int32_t state_count,
    const struct str *types, int32_t type_count, struct coord_group_list *reply)
{
    struct group_machine *machine = coord_group_of(shard);
    struct arena *arena = reply->base.arena;
    int32_t count = 0;

    proto_init(&proto_list_groups_response_schema, &reply->response);
    if (arena->budget_bytes < LIMIT_REQUEST_ARENA_MAX)
        arena->budget_bytes = LIMIT_REQUEST_ARENA_MAX;
    reply->response.groups.items =
        arena_calloc(arena, HASH_COUNT(machine->groups), sizeof reply->response.groups.items[0]);
    for (struct group *g = machine->groups; g != NULL && !arena->exhausted; g = g->hh.next) {
        const char *state = coord_group_state_text(g);
        if (!passes(state, states, state_count) || !passes(kind_texts[g->kind], types, type_count))
            continue;
        reply->response.groups.items[count].group_id = arena_str(arena, g->id);
        reply->response.groups.items[count].protocol_type =
            g->protocol_type.data == NULL ? STR("") : arena_str(arena, g->protocol_type);
        reply->response.groups.items[count].group_state = str_of(state);
        reply->response.groups.items[count].group_type = str_of(kind_texts[g->kind]);
        count++;
    }
    reply->response.groups.count = count;
    coord_shard_reply(shard, &reply->base,
        arena->exhausted ? PROTO_ERROR_COORDINATOR_NOT_AVAILABLE : PROTO_ERROR_NONE);
}
