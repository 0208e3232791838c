/* coord/group/member.c - members of a classic group: who they are, what they speak, whom they vote
 * for.
 *
 * Invariants: I1 group->votes counts each protocol of each member once. I2 the leader is a member,
 * and there is one whenever there are members. I3 group->joins is the number of members with a
 * parked join, pending_syncs of those that owe a sync. I4 an instance id has one member. */
#include "coord/group/group_priv.h"

#include "base/alloc.h"
#include "base/assert.h"

bool
coord_str_dup(struct str from, struct str *out)
{
    if (from.data == NULL) {
        *out = STR_NULL;
        return true;
    }
    char *copy = mem_strndup(from.data, from.len);
    if (copy == NULL)
        return false;
    *out = (struct str){copy, from.len};
    return true;
}

void
coord_str_free(struct str *s)
{
    mem_free((void *)(uintptr_t)s->data);
    *s = STR_NULL;
}

struct group_member *
coord_member_find(const struct group *group, struct str id)
{
    struct group_member *member = NULL;
    if (id.data != NULL)
        HASH_FIND(hh, group->members, id.data, id.len, member);
    return member;
}

struct group_member *
coord_member_static(const struct group *group, struct str instance_id)
{
    struct group_member *member = NULL;
    if (instance_id.data != NULL)
        HASH_FIND(hh_static, group->statics, instance_id.data, instance_id.len, member);
    return member;
}

struct group_pending *
coord_pending_find(const struct group *group, struct str id)
{
    struct group_pending *pending = NULL;
    if (id.data != NULL)
        HASH_FIND(hh, group->pending, id.data, id.len, pending);
    return pending;
}

/* ---- protocols and votes ---- */

static struct group_protocols *
protocols_copy(const struct group_protocol *items, int32_t count)
{
    size_t size = sizeof(struct group_protocols) + (size_t)count * sizeof items[0];
    size_t bytes = 0;
    for (int32_t i = 0; i < count; i++)
        bytes += items[i].name.len + items[i].metadata.len;
    struct group_protocols *copy = mem_alloc(size + bytes);
    if (copy == NULL)
        return NULL;
    copy->count = count;
    char *at = (char *)copy + size;
    for (int32_t i = 0; i < count; i++) {
        struct group_protocol *to = &copy->items[i];
        to->name = (struct str){at, items[i].name.len};
        if (items[i].name.len > 0)
            memcpy(at, items[i].name.data, items[i].name.len);
        at += items[i].name.len;
        to->metadata = (struct bytes){(uint8_t *)at, items[i].metadata.len};
        if (items[i].metadata.len > 0)
            memcpy(at, items[i].metadata.data, items[i].metadata.len);
        at += items[i].metadata.len;
    }
    return copy;
}

/* A name that a member lists twice counts once. */
static bool
listed_before(const struct group_protocols *protocols, int32_t index)
{
    for (int32_t i = 0; i < index; i++) {
        if (str_eq(protocols->items[i].name, protocols->items[index].name))
            return true;
    }
    return false;
}

static void
votes_drop(struct group *group, struct str name)
{
    struct group_vote *vote = NULL;
    HASH_FIND(hh, group->votes, name.data, name.len, vote);
    ASSERT(vote != NULL && vote->count > 0); /* I1 */
    if (--vote->count > 0)
        return;
    HASH_DEL(group->votes, vote);
    coord_str_free(&vote->name);
    mem_free(vote);
}

static bool
votes_add(struct group *group, struct str name)
{
    struct group_vote *vote = NULL;
    HASH_FIND(hh, group->votes, name.data, name.len, vote);
    if (vote != NULL) {
        vote->count++;
        return true;
    }
    vote = mem_calloc(1, sizeof *vote);
    if (vote == NULL)
        return false;
    if (coord_str_dup(name, &vote->name)) {
        vote->count = 1;
        HASH_ADD_KEYPTR(hh, group->votes, vote->name.data, vote->name.len, vote);
        if (vote->hh.tbl != NULL)
            return true;
    }
    coord_str_free(&vote->name);
    mem_free(vote);
    return false;
}

static void
votes_drop_first(struct group *group, const struct group_protocols *protocols, int32_t count)
{
    for (int32_t i = 0; i < count; i++) {
        if (!listed_before(protocols, i))
            votes_drop(group, protocols->items[i].name);
    }
}

static bool
votes_add_all(struct group *group, const struct group_protocols *protocols)
{
    for (int32_t i = 0; i < protocols->count; i++) {
        if (!listed_before(protocols, i) && !votes_add(group, protocols->items[i].name)) {
            votes_drop_first(group, protocols, i);
            return false;
        }
    }
    return true;
}

struct bytes
coord_member_metadata(const struct group_member *member, struct str protocol)
{
    for (int32_t i = 0; i < member->protocols->count; i++) {
        if (str_eq(member->protocols->items[i].name, protocol))
            return member->protocols->items[i].metadata;
    }
    return BYTES_NULL;
}

bool
coord_member_matches(
    const struct group_member *member, const struct proto_join_group_request *request)
{
    if (member->protocols->count != request->protocols.count)
        return false;
    for (int32_t i = 0; i < request->protocols.count; i++) {
        const struct group_protocol *ours = &member->protocols->items[i];
        if (!str_eq(ours->name, request->protocols.items[i].name) ||
            !bytes_eq(ours->metadata, request->protocols.items[i].metadata))
            return false;
    }
    return true;
}

/* ---- coming and going ---- */

static void
member_free(struct group_member *member)
{
    coord_str_free(&member->id);
    coord_str_free(&member->instance_id);
    coord_str_free(&member->client_id);
    coord_str_free(&member->client_host);
    mem_free(member->protocols);
    mem_free((void *)(uintptr_t)member->assignment.data);
    mem_free(member);
}

static struct group_member *
member_new(struct group *group, const struct coord_member_opts *opts)
{
    struct group_member *member = mem_calloc(1, sizeof *member);
    if (member == NULL)
        return NULL;
    member->group = group;
    member->rebalance_timeout_ms = opts->rebalance_timeout_ms;
    member->session_timeout_ms = opts->session_timeout_ms;
    coord_timer_init(&member->session, coord_member_session_expired);
    member->protocols = protocols_copy(opts->protocols, opts->protocol_count);
    if (member->protocols != NULL && coord_str_dup(opts->id, &member->id) &&
        coord_str_dup(opts->instance_id, &member->instance_id) &&
        coord_str_dup(opts->client_id, &member->client_id) &&
        coord_str_dup(opts->client_host, &member->client_host) &&
        coord_member_set_assignment(member, opts->assignment))
        return member;
    member_free(member);
    return NULL;
}

static bool
member_index(struct group *group, struct group_member *member)
{
    HASH_ADD_KEYPTR(hh, group->members, member->id.data, member->id.len, member);
    if (member->hh.tbl == NULL)
        return false;
    if (member->instance_id.data == NULL)
        return true;
    ASSERT(coord_member_static(group, member->instance_id) == NULL); /* I4 */
    HASH_ADD_KEYPTR(
        hh_static, group->statics, member->instance_id.data, member->instance_id.len, member);
    if (member->hh_static.tbl != NULL)
        return true;
    HASH_DEL(group->members, member);
    return false;
}

struct group_member *
coord_member_add(struct group *group, const struct coord_member_opts *opts)
{
    ASSERT(coord_member_find(group, opts->id) == NULL);
    struct group_member *member = member_new(group, opts);
    if (member == NULL)
        return NULL;
    if (!votes_add_all(group, member->protocols)) {
        member_free(member);
        return NULL;
    }
    if (!member_index(group, member)) {
        votes_drop_first(group, member->protocols, member->protocols->count);
        member_free(member);
        return NULL;
    }
    if (group->leader == NULL)
        group->leader = member; /* I2 */
    struct group_pending *pending = coord_pending_find(group, member->id);
    if (pending != NULL)
        coord_pending_remove(pending);
    return member;
}

void
coord_member_remove(struct group_member *member)
{
    struct group *group = member->group;
    ASSERT(member->join == NULL);
    ASSERT(member->sync == NULL);
    coord_shard_timer_stop(group->machine->shard, &member->session);
    votes_drop_first(group, member->protocols, member->protocols->count);
    if (member->pending_sync)
        group->pending_syncs--;
    HASH_DEL(group->members, member);
    if (member->instance_id.data != NULL)
        HASH_DELETE(hh_static, group->statics, member);
    if (group->leader == member)
        group->leader = group->members; /* I2: the first, or none */
    member_free(member);
}

bool
coord_member_rename(struct group_member *member, struct str id)
{
    struct group *group = member->group;
    struct str copy;
    ASSERT(member->join == NULL && member->sync == NULL);
    if (!coord_str_dup(id, &copy))
        return false;
    HASH_DEL(group->members, member);
    coord_str_free(&member->id);
    member->id = copy;
    HASH_ADD_KEYPTR(hh, group->members, member->id.data, member->id.len, member);
    if (member->hh.tbl != NULL)
        return true;
    /* Taking out the only member took the table too, and there was no memory for a new one. */
    ASSERT(group->members == NULL);
    coord_shard_timer_stop(group->machine->shard, &member->session);
    votes_drop_first(group, member->protocols, member->protocols->count);
    HASH_DELETE(hh_static, group->statics, member);
    group->pending_syncs -= member->pending_sync;
    group->leader = NULL;
    member_free(member);
    return false;
}

bool
coord_member_update(struct group_member *member, const struct proto_join_group_request *request)
{
    struct group *group = member->group;
    struct group_protocols *protocols;
    int32_t count = request->protocols.count;
    struct group_protocol *items = mem_alloc((size_t)(count > 0 ? count : 1) * sizeof *items);
    if (items == NULL)
        return false;
    for (int32_t i = 0; i < count; i++) {
        items[i].name = request->protocols.items[i].name;
        items[i].metadata = request->protocols.items[i].metadata;
    }
    protocols = protocols_copy(items, count);
    mem_free(items);
    if (protocols == NULL)
        return false;
    if (!votes_add_all(group, protocols)) {
        mem_free(protocols);
        return false;
    }
    votes_drop_first(group, member->protocols, member->protocols->count);
    mem_free(member->protocols);
    member->protocols = protocols;
    member->rebalance_timeout_ms = request->rebalance_timeout_ms;
    member->session_timeout_ms = request->session_timeout_ms;
    return true;
}

bool
coord_member_set_assignment(struct group_member *member, struct bytes assignment)
{
    uint8_t *copy = mem_alloc(assignment.len > 0 ? assignment.len : 1);
    if (copy == NULL)
        return false;
    if (assignment.len > 0)
        memcpy(copy, assignment.data, assignment.len);
    mem_free((void *)(uintptr_t)member->assignment.data);
    member->assignment = (struct bytes){copy, assignment.len};
    return true;
}

enum proto_error
coord_member_validate(const struct group *group, struct str id, struct str instance_id)
{
    if (instance_id.data != NULL) {
        const struct group_member *member = coord_member_static(group, instance_id);
        if (member == NULL)
            return PROTO_ERROR_UNKNOWN_MEMBER_ID;
        if (!str_eq(member->id, id))
            return PROTO_ERROR_FENCED_INSTANCE_ID;
    }
    return coord_member_find(group, id) == NULL ? PROTO_ERROR_UNKNOWN_MEMBER_ID : PROTO_ERROR_NONE;
}

void
coord_member_park_join(struct group_member *member, struct coord_group_join *join)
{
    /* A retry of the same member: the old request is told to look again. */
    if (member->join != NULL)
        coord_member_join_done(member, PROTO_ERROR_REBALANCE_IN_PROGRESS, member->id);
    ASSERT(member->join == NULL);
    member->join = join;
    member->group->joins++; /* I3 */
}

/* ---- those who have an id only ---- */

bool
coord_pending_add(struct group *group, struct str id, int32_t timeout_ms)
{
    struct group_pending *pending = mem_calloc(1, sizeof *pending);
    if (pending == NULL)
        return false;
    pending->group = group;
    coord_timer_init(&pending->timer, coord_pending_expired);
    if (coord_str_dup(id, &pending->id)) {
        HASH_ADD_KEYPTR(hh, group->pending, pending->id.data, pending->id.len, pending);
        if (pending->hh.tbl != NULL) {
            coord_shard_timer_set(group->machine->shard, &pending->timer, timeout_ms);
            return true;
        }
    }
    coord_str_free(&pending->id);
    mem_free(pending);
    return false;
}

void
coord_pending_remove(struct group_pending *pending)
{
    struct group *group = pending->group;
    coord_shard_timer_stop(group->machine->shard, &pending->timer);
    HASH_DEL(group->pending, pending);
    coord_str_free(&pending->id);
    mem_free(pending);
}
