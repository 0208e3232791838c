/* client/group_join.c - from one generation to the next: prepare, join, assign (as leader), sync.
 *
 * What: eager members give up everything before they join; cooperative ones keep what they hold,
 * and give up afterwards what the new assignment leaves out, joining once more when that was
 * anything (KIP-429). Either way auto commit's debts are paid first, within the rebalance timeout.
 * Threads: the loop's. Errors: what passes goes back to SEEKING and joins again after a pause. */
#include <stdlib.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "client/group_priv.h"
#include "proto/error_codes.h"
#include "proto/join_group_request.h"
#include "proto/join_group_response.h"
#include "proto/sync_group_request.h"
#include "proto/sync_group_response.h"

enum {
    JOIN_EXTRA_MS = 5000, /* an answer may come that much after the rebalance timeout */
    JOIN_MIN_MS = 30000,
};

#define PROTOCOL_TYPE STR("consumer")

static void
out_of_memory(struct client_group *group)
{
    group_fail(group, 0, "out of memory");
}

/* ---- preparing ---- */

void
group_prepare(struct client_group *group)
{
    group_move(group, CLIENT_GROUP_PREPARING);
    group->prepare_until_ms = group_now_ms(group) + group->opts.rebalance_timeout_ms;
    if (group->opts.auto_commit_interval_ms > 0 && group->generation >= 0 && !group->lost) {
        /* What is committed must not be handed out any further. */
        if (!group->cooperative)
            group_parts_pause(group);
        group->flush = GROUP_FLUSH_WANTED;
    }
}

/* Topics that are not subscribed to any more. */
static void
revoke_unsubscribed(struct client_group *group)
{
    int count = 0;
    if (group->part_count == 0)
        return;
    bool *gone = mem_calloc((size_t)group->part_count, sizeof *gone);
    if (gone == NULL) {
        out_of_memory(group);
        return;
    }
    for (int i = 0; i < group->part_count; i++) {
        gone[i] = !group_is_subscribed(group, group->parts[i].topic);
        count += gone[i];
    }
    if (count > 0)
        group_parts_take(group, gone, GROUP_REVOKED);
    mem_free(gone);
}

void
group_prepare_step(struct client_group *group)
{
    if (group->flush != GROUP_FLUSH_NONE && !group->lost &&
        group_now_ms(group) < group->prepare_until_ms) {
        group_flush_start(group);
        return;
    }
    group->flush = GROUP_FLUSH_NONE;
    client_call_cancel(&group->fetch.call);
    if (group->lost)
        group_parts_take(group, NULL, GROUP_LOST);
    else if (!group->cooperative)
        group_parts_take(group, NULL, GROUP_REVOKED);
    else
        revoke_unsubscribed(group);
    if (group->state != CLIENT_GROUP_PREPARING) /* the events may have ended it */
        return;
    group->lost = false;
    group->leader = false;
    group_move(group, CLIENT_GROUP_SEEKING); /* joins at once, the coordinator being known */
    group_step(group);
}

/* ---- joining ---- */

/* Back to a state from which a step joins again. */
static void
join_again(struct client_group *group)
{
    if (group->state == CLIENT_GROUP_JOINING || group->state == CLIENT_GROUP_SYNCING)
        group_move(group, group->lost ? CLIENT_GROUP_PREPARING : CLIENT_GROUP_SEEKING);
}

static bool
keep_member_id(struct client_group *group, struct str id)
{
    if (id.len >= sizeof group->member_id) {
        group_fail(group, 0, "the coordinator gave a member id without end");
        return false;
    }
    if (id.len > 0)
        memcpy(group->member_id, id.data, id.len);
    group->member_id[id.len] = '\0';
    return true;
}

static void
joined(struct client_group *group, const struct proto_join_group_response *response)
{
    enum client_assignor protocol;
    bool ours = client_assignor_find(response->protocol_name, &protocol);
    for (int i = 0; ours && i <= group->opts.assignor_count; i++)
        if (i == group->opts.assignor_count)
            ours = false;
        else if (group->assignors[i] == protocol)
            break;
    if (!ours || (!str_is_null(response->protocol_type) &&
                     !str_eq(response->protocol_type, PROTOCOL_TYPE))) {
        group_fail(group, PROTO_ERROR_INCONSISTENT_GROUP_PROTOCOL, "joined to another protocol");
        return;
    }
    if (!keep_member_id(group, response->member_id))
        return;
    group->generation = response->generation_id;
    group->protocol = protocol;
    group->leader = str_eq(response->leader, response->member_id);
    group->lead_skip = response->skip_assignment;
    group->lead_count = 0;
    group->rejoin = false;
    group_progress(group);
    group_move(group, CLIENT_GROUP_SYNCING);
    group_heartbeat_start(group);
    group_step(group);
}

static void
join_refused(struct client_group *group, const struct proto_join_group_response *response)
{
    switch (response->error_code) {
    case PROTO_ERROR_MEMBER_ID_REQUIRED: /* KIP-394: the same again, with this id */
        join_again(group);
        if (keep_member_id(group, response->member_id))
            group_step(group);
        return;
    case PROTO_ERROR_REBALANCE_IN_PROGRESS:
        join_again(group);
        group_step_later(group);
        return;
    case PROTO_ERROR_UNKNOWN_MEMBER_ID:
    case PROTO_ERROR_ILLEGAL_GENERATION:
        /* What a cooperative member still held is others' now. */
        group_membership_lost(
            group, response->error_code == PROTO_ERROR_UNKNOWN_MEMBER_ID, "not known when joining");
        join_again(group);
        group_step(group);
        return;
    case PROTO_ERROR_GROUP_MAX_SIZE_REACHED:
        group_fail(group, response->error_code, "the group is full (group.max.size)");
        return;
    case PROTO_ERROR_INCONSISTENT_GROUP_PROTOCOL:
        group_fail(group, response->error_code,
            "its members share no assignor with this one, or it is no consumer group");
        return;
    case PROTO_ERROR_INVALID_SESSION_TIMEOUT:
        group_fail(group, response->error_code,
            "session timeout outside the broker's group.min/max.session.timeout.ms");
        return;
    default: break;
    }
    join_again(group);
    if (group_take_error(group, response->error_code, "join"))
        return;
    if (proto_error_retriable(response->error_code))
        group_step_later(group);
    else
        group_fail(group, response->error_code, "join refused");
}

static void
on_joined(struct client_call *call)
{
    struct client_group *group = call->ctx;
    const struct proto_join_group_response *response = call->response;
    if (group->freeing || group->state != CLIENT_GROUP_JOINING)
        return;
    if (call->err == ERR_UNSUPPORTED) {
        group_fail(group, 0, client_error_text(group->opts.client));
    } else if (call->err != ERR_OK) {
        group_note(group, "join: %s", client_error_text(group->opts.client));
        join_again(group);
        group_coordinator_lost(group);
    } else if (response->error_code != 0) {
        join_refused(group, response);
    } else {
        joined(group, response);
    }
}

static enum err
fill_join(struct client_group *group, struct proto_join_group_request *request)
{
    struct arena *arena = &group->join.arena;
    request->group_id = str_of(group->group_id);
    request->session_timeout_ms = group->opts.session_timeout_ms;
    request->rebalance_timeout_ms = group->opts.rebalance_timeout_ms;
    request->member_id = group_member_id(group);
    request->group_instance_id = group_instance_id(group);
    request->protocol_type = PROTOCOL_TYPE;
    request->reason = str_of(group->reason);
    int count = group->opts.assignor_count;
    request->protocols.items = arena_calloc(arena, (size_t)count, sizeof *request->protocols.items);
    if (request->protocols.items == NULL)
        return ERR_NOMEM;
    for (int i = 0; i < count; i++) {
        request->protocols.items[i].name = str_of(client_assignor_name(group->assignors[i]));
        enum err err = group_subscription_write(
            group, group->assignors[i], arena, &request->protocols.items[i].metadata);
        if (err != ERR_OK)
            return err;
    }
    request->protocols.count = count;
    return ERR_OK;
}

void
group_join(struct client_group *group)
{
    ASSERT(group->state == CLIENT_GROUP_SEEKING);
    struct proto_join_group_request *request =
        group_request_new(&group->join, &proto_join_group_request_schema, sizeof *request);
    if (request == NULL || fill_join(group, request) != ERR_OK) {
        out_of_memory(group);
        return;
    }
    int64_t timeout_ms = (int64_t)group->opts.rebalance_timeout_ms + JOIN_EXTRA_MS;
    group_move(group, CLIENT_GROUP_JOINING);
    group->rejoin = false; /* a subscription that changes from here on wants another round */
    group_request_send(group, &group->join, PROTO_JOIN_GROUP_REQUEST_KEY, 0,
        timeout_ms > JOIN_MIN_MS ? timeout_ms : JOIN_MIN_MS, on_joined);
}

/* ---- the leader's part ---- */

struct lead {
    struct client_group *group;
    struct arena arena;
    struct client_assignor_member *members;
    int member_count;
    struct str *topics; /* of all, in order */
    int topic_count;
};

static int
compare_strs(const void *a, const void *b)
{
    return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

static enum err
lead_read(struct lead *lead, const struct proto_join_group_response *response)
{
    int count = response->members.count > 0 ? response->members.count : 0;
    int total = 0, at = 0;
    lead->members = arena_calloc(&lead->arena, (size_t)count + 1, sizeof *lead->members);
    if (lead->members == NULL)
        return ERR_NOMEM;
    for (int i = 0; i < count; i++) {
        struct client_assignor_member *member = &lead->members[i];
        member->member_id = response->members.items[i].member_id;
        member->instance_id = response->members.items[i].group_instance_id;
        enum err err =
            group_subscription_read(response->members.items[i].metadata, &lead->arena, member);
        if (err != ERR_OK)
            return err;
        total += member->topic_count;
    }
    lead->member_count = count;
    lead->topics = arena_calloc(&lead->arena, (size_t)total + 1, sizeof *lead->topics);
    if (lead->topics == NULL)
        return ERR_NOMEM;
    for (int i = 0; i < count; i++)
        for (int j = 0; j < lead->members[i].topic_count; j++)
            lead->topics[at++] = lead->members[i].topics[j];
    qsort(lead->topics, (size_t)at, sizeof *lead->topics, compare_strs);
    for (int i = 0; i < at; i++)
        if (i == 0 || !str_eq(lead->topics[i], lead->topics[lead->topic_count - 1]))
            lead->topics[lead->topic_count++] = lead->topics[i];
    return ERR_OK;
}

/* The topics as the metadata has them now, remembered in the group; names copied. */
static enum err
lead_count(struct lead *lead)
{
    struct client_group *group = lead->group;
    arena_reset(&group->lead_arena);
    group->lead_count = 0;
    group->lead_topics =
        arena_calloc(&group->lead_arena, (size_t)lead->topic_count + 1, sizeof *group->lead_topics);
    if (group->lead_topics == NULL)
        return ERR_NOMEM;
    for (int i = 0; i < lead->topic_count; i++) {
        const struct client_topic *topic = client_topic_find(group->opts.client, lead->topics[i]);
        struct client_assignor_topic *one = &group->lead_topics[group->lead_count];
        one->name = arena_str(&group->lead_arena, lead->topics[i]);
        if (str_is_null(one->name))
            return ERR_NOMEM;
        one->partition_count = topic != NULL && topic->error_code == 0 ? topic->partition_count : 0;
        group->lead_count++;
    }
    return ERR_OK;
}

static enum err
lead_assign(struct lead *lead, struct proto_sync_group_request *request)
{
    struct client_group *group = lead->group;
    enum err err = lead_count(lead);
    if (err != ERR_OK || group->lead_skip)
        return err;
    err = client_assignor_run(group->protocol, group->lead_topics, group->lead_count, lead->members,
        lead->member_count, &lead->arena);
    if (err != ERR_OK)
        return err;
    request->assignments.items = arena_calloc(
        &group->sync.arena, (size_t)lead->member_count + 1, sizeof *request->assignments.items);
    if (request->assignments.items == NULL)
        return ERR_NOMEM;
    for (int i = 0; i < lead->member_count; i++) {
        request->assignments.items[i].member_id = lead->members[i].member_id;
        err = group_assignment_write(lead->members[i].assigned, lead->members[i].assigned_count,
            &group->sync.arena, &request->assignments.items[i].assignment);
        if (err != ERR_OK)
            return err;
    }
    request->assignments.count = lead->member_count;
    return ERR_OK;
}

/* ---- syncing ---- */

/* Takes over the new assignment; told is who stayed. */
static enum err
take_assignment(struct client_group *group, struct bytes bytes, struct arena *arena)
{
    struct client_topic_partition *parts;
    int count, kept = 0;
    enum err err = group_assignment_read(bytes, arena, &parts, &count);
    if (err != ERR_OK)
        return err;
    for (int i = 0; i < count; i++)
        if (group_is_subscribed(group, parts[i].topic))
            parts[kept++] = parts[i];
    bool *gone = arena_calloc(arena, (size_t)group->part_count + 1, sizeof *gone);
    if (gone == NULL)
        return ERR_NOMEM;
    if (group_parts_compare(group, parts, kept, gone) > 0) {
        ASSERT(group->cooperative); /* eager members hold nothing here */
        /* Sent before the next join on the same connection, so it counts. */
        group_auto_commit(group);
        group_parts_take(group, gone, GROUP_REVOKED);
        group->rejoin = true;
        group->reason = "partitions were given up for others";
    }
    group->tell_empty = true;
    return group_parts_add(group, parts, kept);
}

static void
synced(struct client_group *group, const struct proto_sync_group_response *response)
{
    struct arena arena;
    struct str name = str_of(client_assignor_name(group->protocol));
    if ((!str_is_null(response->protocol_name) && !str_eq(response->protocol_name, name)) ||
        (!str_is_null(response->protocol_type) &&
            !str_eq(response->protocol_type, PROTOCOL_TYPE))) {
        group_fail(group, PROTO_ERROR_INCONSISTENT_GROUP_PROTOCOL, "synced to another protocol");
        return;
    }
    group_progress(group);
    group_move(group, CLIENT_GROUP_STABLE);
    arena_init(&arena, GROUP_RESPONSE_ARENA);
    enum err err = take_assignment(group, response->assignment, &arena);
    arena_fini(&arena);
    if (err == ERR_NOMEM)
        out_of_memory(group);
    else if (err != ERR_OK)
        group_fail(group, 0, "the leader's assignment cannot be read");
    group_step(group);
}

static void
on_synced(struct client_call *call)
{
    struct client_group *group = call->ctx;
    const struct proto_sync_group_response *response = call->response;
    if (group->freeing || group->state != CLIENT_GROUP_SYNCING)
        return;
    if (call->err != ERR_OK) {
        group_note(group, "sync: %s", client_error_text(group->opts.client));
        join_again(group);
        group_coordinator_lost(group);
    } else if (response->error_code == 0) {
        synced(group, response);
    } else if (response->error_code == PROTO_ERROR_REBALANCE_IN_PROGRESS) {
        group->reason = "the group began another round before this one ended";
        join_again(group);
        group_step(group);
    } else if (response->error_code == PROTO_ERROR_UNKNOWN_MEMBER_ID ||
               response->error_code == PROTO_ERROR_ILLEGAL_GENERATION) {
        group_membership_lost(
            group, response->error_code == PROTO_ERROR_UNKNOWN_MEMBER_ID, "not known when syncing");
        join_again(group);
        group_step(group);
    } else {
        join_again(group);
        if (!group_take_error(group, response->error_code, "sync"))
            group_fail(group, response->error_code, "sync refused");
    }
}

/* With the leader's metadata at hand, or as a follower. lead NULL: follower. */
static void
send_sync(struct client_group *group, struct lead *lead)
{
    struct proto_sync_group_request *request =
        group_request_new(&group->sync, &proto_sync_group_request_schema, sizeof *request);
    if (request == NULL || (lead != NULL && lead_assign(lead, request) != ERR_OK)) {
        out_of_memory(group);
        return;
    }
    request->group_id = str_of(group->group_id);
    request->generation_id = group->generation;
    request->member_id = group_member_id(group);
    request->group_instance_id = group_instance_id(group);
    request->protocol_type = PROTOCOL_TYPE;
    request->protocol_name = str_of(client_assignor_name(group->protocol));
    /* Answered when the leader has synced, which may take as long as a rebalance. */
    group_request_send(group, &group->sync, PROTO_SYNC_GROUP_REQUEST_KEY, 0,
        (int64_t)group->opts.rebalance_timeout_ms + JOIN_EXTRA_MS, on_synced);
}

static void
on_lead_metadata(struct client_refresh *refresh, enum err err)
{
    struct client_group *group = CONTAINER_OF(refresh, struct client_group, refresh);
    struct lead lead = {.group = group};
    if (group->freeing || group->state != CLIENT_GROUP_SYNCING)
        return;
    if (err != ERR_OK) { /* once more: the broker waits for us */
        group_note(group, "metadata: %s", client_error_text(group->opts.client));
        group_step_later(group);
        return;
    }
    arena_init(&lead.arena, GROUP_RESPONSE_ARENA);
    if (lead_read(&lead, group->join.call.response) != ERR_OK)
        out_of_memory(group);
    else
        send_sync(group, &lead);
    arena_fini(&lead.arena);
    if (group->state == CLIENT_GROUP_SYNCING)
        group_metadata_later(group);
}

void
group_sync(struct client_group *group)
{
    struct lead lead = {.group = group};
    ASSERT(group->state == CLIENT_GROUP_SYNCING);
    if (group->sync.call.active)
        return;
    if (!group->leader) {
        send_sync(group, NULL);
        return;
    }
    if (group->refresh.waiting && group->refresh.done == on_lead_metadata)
        return;
    /* Fresh counts of every topic that anybody reads. */
    client_refresh_cancel(&group->refresh);
    arena_init(&lead.arena, GROUP_RESPONSE_ARENA);
    if (lead_read(&lead, group->join.call.response) != ERR_OK) {
        out_of_memory(group);
    } else {
        group->refresh.done = on_lead_metadata;
        client_refresh_topics(group->opts.client, lead.topics, lead.topic_count,
            group->opts.allow_auto_create, &group->refresh);
    }
    arena_fini(&lead.arena);
}
