/* coord/group/join.c - JoinGroup (KIP-62, 134, 345, 394, 559, 800, 814). */
#include "coord/group/group_priv.h"

#include "base/alloc.h"
#include "base/assert.h"

enum { MEMBER_ID_UUID_TEXT = 36 };

/* What one JoinGroup brings along. */
struct join {
    struct group_machine *machine;
    struct group *group;
    const struct coord_group_caller *caller;
    const struct proto_join_group_request *request;
    struct coord_group_join *reply;
};

static void
refuse(struct join *join, struct str member_id, enum proto_error err)
{
    coord_join_error(join->machine, join->reply, member_id, err);
}

/* "<client or instance id>-<random uuid>", in the request's arena; null when there is no room. */
static struct str
new_member_id(struct join *join)
{
    uint8_t r[16];
    struct str prefix = join->request->group_instance_id.data != NULL
                            ? join->request->group_instance_id
                            : join->caller->client_id;
    coord_shard_random(join->machine->shard, r, sizeof r);
    r[6] = (uint8_t)((r[6] & 0x0f) | 0x40);
    r[8] = (uint8_t)((r[8] & 0x3f) | 0x80);
    return arena_printf(join->reply->base.arena,
        "%.*s-%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x",
        STR_FMT(prefix), r[0], r[1], r[2], r[3], r[4], r[5], r[6], r[7], r[8], r[9], r[10], r[11],
        r[12], r[13], r[14], r[15]);
}

static size_t
protocols_bytes(const struct proto_join_group_request *request)
{
    size_t bytes = 0;
    for (int32_t i = 0; i < request->protocols.count; i++)
        bytes += request->protocols.items[i].name.len + request->protocols.items[i].metadata.len;
    return bytes;
}

/* ---- becoming a member ---- */

static struct group_member *
make_member(struct join *join, struct str member_id)
{
    const struct proto_join_group_request *request = join->request;
    struct coord_member_opts opts = {
        .id = member_id,
        .instance_id = request->group_instance_id,
        .client_id = join->caller->client_id,
        .client_host = join->caller->client_host,
        .rebalance_timeout_ms = request->rebalance_timeout_ms,
        .session_timeout_ms = request->session_timeout_ms,
        .protocol_count = request->protocols.count,
    };
    struct group_protocol *protocols =
        arena_alloc(join->reply->base.arena, (size_t)opts.protocol_count * sizeof *protocols);
    if (protocols == NULL)
        return NULL;
    for (int32_t i = 0; i < opts.protocol_count; i++) {
        protocols[i].name = request->protocols.items[i].name;
        protocols[i].metadata = request->protocols.items[i].metadata;
    }
    opts.protocols = protocols;
    return coord_member_add(join->group, &opts);
}

static void
add_member(struct join *join, struct str member_id)
{
    struct group *group = join->group;
    struct str type;

    /* The first member says what kind of group this is from now on. */
    if (group->members == NULL) {
        if (!coord_str_dup(join->request->protocol_type, &type)) {
            refuse(join, STR(""), PROTO_ERROR_COORDINATOR_NOT_AVAILABLE);
            return;
        }
        coord_str_free(&group->protocol_type);
        group->protocol_type = type;
    }
    struct group_member *member = make_member(join, member_id);
    if (member == NULL) {
        refuse(join, STR(""), PROTO_ERROR_COORDINATOR_NOT_AVAILABLE);
        return;
    }
    member->is_new = true;
    if (coord_group_state(group) == GROUP_PREPARING_REBALANCE && group->previous == GROUP_EMPTY)
        group->member_added = true;
    coord_member_park_join(member, join->reply);
    coord_member_session_start(member, join->machine->config->new_member_join_timeout_ms);
    coord_group_rebalance_or_complete(group);
}

static void
update_member(struct join *join, struct group_member *member)
{
    if (!coord_member_update(member, join->request)) {
        refuse(join, member->id, PROTO_ERROR_COORDINATOR_NOT_AVAILABLE);
        return;
    }
    coord_member_park_join(member, join->reply);
    coord_group_rebalance_or_complete(join->group);
}

/* ---- static members (KIP-345) ---- */

/* The new one takes the old one's place in a stable group without a rebalance; its id is
 * persisted before it hears so. */
static void
swap_in_stable(struct join *join, struct group_member *member, struct str leader_before)
{
    struct group *group = join->group;
    bool is_leader = group->leader == member;
    bool can_skip = join->caller->version >= 9; /* KIP-814 */

    coord_record_add_group(group, NULL);
    if (coord_record_submit_group(group) != ERR_OK) {
        /* Not to be stored: then the group agrees on something that is. */
        coord_group_prepare_rebalance(group);
        return;
    }
    member->join = NULL;
    group->joins--;
    if (can_skip)
        coord_join_generation(member, join->reply, is_leader, is_leader);
    else
        coord_join_generation(member, join->reply, false, false);
    if (!can_skip) {
        /* The reply still waits for the record, so the response may be changed. A leader that
         * cannot skip is told of its old self, and so does not assign. */
        struct str leader = arena_str(join->reply->base.arena, leader_before);
        if (leader.data != NULL)
            join->reply->response.leader = leader;
    }
}

static void
replace_static(struct join *join, struct group_member *member, struct str new_id)
{
    struct group *group = join->group;
    struct str leader_before = arena_str(join->reply->base.arena, group->leader->id);

    coord_member_join_done(member, PROTO_ERROR_FENCED_INSTANCE_ID, member->id);
    coord_member_sync_done(member, PROTO_ERROR_FENCED_INSTANCE_ID);
    if (!coord_member_rename(member, new_id)) {
        coord_shard_doom(group->machine->shard);
        refuse(join, STR(""), PROTO_ERROR_COORDINATOR_NOT_AVAILABLE);
        return;
    }
    if (member->pending_sync) {
        /* The old self owed a sync; the new one is asked by what follows. */
        member->pending_sync = false;
        group->pending_syncs--;
    }
    member->is_new = false;
    if (!coord_member_update(member, join->request)) {
        coord_shard_doom(group->machine->shard);
        refuse(join, STR(""), PROTO_ERROR_COORDINATOR_NOT_AVAILABLE);
        return;
    }
    coord_member_session_start(member, member->session_timeout_ms);
    coord_member_park_join(member, join->reply);
    switch (coord_group_state(group)) {
    case GROUP_STABLE:
        if (str_eq(group->protocol_name, coord_group_select_protocol(group)))
            swap_in_stable(join, member, leader_before);
        else
            coord_group_rebalance_or_complete(group);
        break;
    case GROUP_COMPLETING_REBALANCE: coord_group_prepare_rebalance(group); break;
    case GROUP_PREPARING_REBALANCE: coord_group_maybe_complete_join(group); break;
    case GROUP_EMPTY:
    case GROUP_DEAD: UNREACHABLE(); /* it had a member */
    }
}

/* ---- the two ways in ---- */

static void
join_new(struct join *join)
{
    const struct proto_join_group_request *request = join->request;
    struct group *group = join->group;

    if (!coord_group_supports(group, request->protocol_type, request)) {
        refuse(join, STR(""), PROTO_ERROR_INCONSISTENT_GROUP_PROTOCOL);
        return;
    }
    struct str member_id = new_member_id(join);
    if (member_id.data == NULL) {
        refuse(join, STR(""), PROTO_ERROR_COORDINATOR_NOT_AVAILABLE);
        return;
    }
    if (request->group_instance_id.data != NULL) {
        struct group_member *old = coord_member_static(group, request->group_instance_id);
        if (old != NULL)
            replace_static(join, old, member_id);
        else
            add_member(join, member_id);
    } else if (join->caller->version >= 4) {
        /* KIP-394: come again with this, so that a lost answer leaves no member behind. */
        if (coord_pending_add(group, member_id, request->session_timeout_ms))
            refuse(join, member_id, PROTO_ERROR_MEMBER_ID_REQUIRED);
        else
            refuse(join, STR(""), PROTO_ERROR_COORDINATOR_NOT_AVAILABLE);
    } else {
        add_member(join, member_id);
    }
}

static void
rejoin(struct join *join, struct group_member *member)
{
    struct group *group = join->group;
    bool same = coord_member_matches(member, join->request);
    bool leads = group->leader == member;

    switch (coord_group_state(group)) {
    case GROUP_PREPARING_REBALANCE: update_member(join, member); break;
    case GROUP_COMPLETING_REBALANCE:
        /* A retry of a join whose answer was lost gets it again. */
        if (same)
            coord_join_generation(member, join->reply, leads, false);
        else
            update_member(join, member);
        break;
    case GROUP_STABLE:
        /* The leader wants another assignment; a follower only when its metadata changed. */
        if (leads || !same)
            update_member(join, member);
        else
            coord_join_generation(member, join->reply, false, false);
        break;
    case GROUP_EMPTY:
    case GROUP_DEAD: refuse(join, join->request->member_id, PROTO_ERROR_UNKNOWN_MEMBER_ID);
    }
}

static void
join_existing(struct join *join)
{
    const struct proto_join_group_request *request = join->request;
    struct group *group = join->group;

    if (!coord_group_supports(group, request->protocol_type, request)) {
        refuse(join, request->member_id, PROTO_ERROR_INCONSISTENT_GROUP_PROTOCOL);
        return;
    }
    if (coord_pending_find(group, request->member_id) != NULL) {
        if (request->group_instance_id.data != NULL)
            refuse(join, request->member_id, PROTO_ERROR_UNKNOWN_SERVER_ERROR);
        else
            add_member(join, request->member_id);
        return;
    }
    enum proto_error err =
        coord_member_validate(group, request->member_id, request->group_instance_id);
    if (err != PROTO_ERROR_NONE)
        refuse(join, request->member_id, err);
    else
        rejoin(join, coord_member_find(group, request->member_id));
}

/* Whether one more fits. While preparing, those count who have joined: the last to come of a group
 * that is too large are the ones to go. */
static bool
accepts(const struct join *join)
{
    const struct group *group = join->group;
    const struct group_member *member = coord_member_find(group, join->request->member_id);
    int32_t max = join->machine->config->size_max;

    if (max > LIMIT_GROUP_MEMBERS)
        max = LIMIT_GROUP_MEMBERS;
    if ((int32_t)HASH_COUNT(group->pending) >= LIMIT_GROUP_MEMBERS && member == NULL &&
        coord_pending_find(group, join->request->member_id) == NULL)
        return false;
    switch (coord_group_state(group)) {
    case GROUP_EMPTY:
    case GROUP_DEAD: return true;
    case GROUP_PREPARING_REBALANCE:
        return (member != NULL && member->join != NULL) || group->joins < max;
    case GROUP_COMPLETING_REBALANCE:
    case GROUP_STABLE: return member != NULL || coord_group_size(group) < max;
    }
    return false;
}

static void
refuse_full(struct join *join)
{
    struct str id = join->request->member_id;
    struct group_member *member = coord_member_find(join->group, id);
    struct group_pending *pending = coord_pending_find(join->group, id);

    refuse(join, STR(""), PROTO_ERROR_GROUP_MAX_SIZE_REACHED);
    if (member != NULL) {
        coord_group_expel(member);
    } else if (pending != NULL) {
        coord_pending_remove(pending);
        coord_group_maybe_complete_join(join->group);
    }
}

/* What can be said without looking at the group. */
static enum proto_error
check_request(const struct join *join)
{
    const struct coord_group_config *config = join->machine->config;
    const struct proto_join_group_request *request = join->request;
    if (request->group_id.len == 0)
        return PROTO_ERROR_INVALID_GROUP_ID;
    if (request->session_timeout_ms < config->session_timeout_min_ms ||
        request->session_timeout_ms > config->session_timeout_max_ms)
        return PROTO_ERROR_INVALID_SESSION_TIMEOUT;
    if (protocols_bytes(request) > LIMIT_GROUP_METADATA_BYTES)
        return PROTO_ERROR_UNKNOWN_SERVER_ERROR; /* no record could hold it */
    return PROTO_ERROR_NONE;
}

/* NULL when it was answered already. */
static struct group *
find_or_create(struct join *join)
{
    const struct proto_join_group_request *request = join->request;
    struct group *group = coord_group_find(join->machine, request->group_id);
    if (group != NULL && group->kind != GROUP_CLASSIC) {
        refuse(join, STR(""), PROTO_ERROR_INCONSISTENT_GROUP_PROTOCOL);
        return NULL;
    }
    if (group != NULL)
        return group;
    if (request->member_id.len > 0) {
        refuse(join, request->member_id, PROTO_ERROR_UNKNOWN_MEMBER_ID);
        return NULL;
    }
    if (request->protocol_type.len == 0 || request->protocols.count <= 0) {
        refuse(join, STR(""), PROTO_ERROR_INCONSISTENT_GROUP_PROTOCOL);
        return NULL;
    }
    group = coord_group_create(join->machine, request->group_id);
    if (group == NULL) {
        refuse(join, STR(""), PROTO_ERROR_COORDINATOR_NOT_AVAILABLE);
        return NULL;
    }
    coord_record_add_new_group(group);
    if (coord_record_submit_group(group) != ERR_OK)
        coord_shard_doom(join->machine->shard);
    return group;
}

void
coord_group_join(struct coord_shard *shard, const struct coord_group_caller *caller,
    const struct proto_join_group_request *request, struct coord_group_join *reply)
{
    struct join join = {
        .machine = coord_group_of(shard), .caller = caller, .request = request, .reply = reply};

    reply->version = caller->version;
    enum proto_error err = check_request(&join);
    if (err != PROTO_ERROR_NONE) {
        refuse(&join, request->member_id, err);
        return;
    }
    join.group = find_or_create(&join);
    if (join.group == NULL)
        return;
    if (!accepts(&join))
        refuse_full(&join);
    else if (request->member_id.len == 0)
        join_new(&join);
    else
        join_existing(&join);
}
