/* cli/group_types.c - the four answers that describe a group, made one. */
#include "cli/group_priv.h"
#include "proto/consumer_group_describe_response.h"
#include "proto/consumer_protocol_assignment.h"
#include "proto/consumer_protocol_subscription.h"
#include "proto/describe_groups_response.h"
#include "proto/error_codes.h"
#include "proto/share_group_describe_response.h"
#include "proto/streams_group_describe_response.h"

enum { MEMBER_TYPE_CLASSIC = 0 };

/* Members for an answer of so many; NULL leaves the arena exhausted, which group_describe sees. */
static void
make_members(struct cli *cli, struct group *out, int32_t count)
{
    out->member_count = 0;
    out->members = arena_calloc(&cli->arena, (size_t)count + 1, sizeof *out->members);
    if (out->members != NULL)
        out->member_count = count;
}

static void
add_parts(struct cli *cli, struct group_member *member, struct str topic, const int32_t *items,
    int32_t count)
{
    struct group_part *parts =
        arena_calloc(&cli->arena, (size_t)(member->part_count + count) + 1, sizeof *parts);
    struct str name = arena_str(&cli->arena, topic);
    if (parts == NULL)
        return;
    for (int i = 0; i < member->part_count; i++)
        parts[i] = member->parts[i];
    for (int32_t i = 0; i < count; i++)
        parts[member->part_count + i] = (struct group_part){.topic = name, .index = items[i]};
    member->parts = parts;
    member->part_count += count;
}

static void
copy_topics(struct cli *cli, struct group_member *member, const struct str *items, int32_t count)
{
    member->topics = arena_calloc(&cli->arena, (size_t)count + 1, sizeof *member->topics);
    for (int32_t i = 0; member->topics != NULL && i < count; i++)
        member->topics[i] = arena_str(&cli->arena, items[i]);
    member->topic_count = member->topics != NULL ? count : 0;
}

/* ---- classic ---- */

static void
fill_classic(union group_request *request, struct str *id)
{
    proto_init(&proto_describe_groups_request_schema, &request->classic);
    request->classic.groups.items = id;
    request->classic.groups.count = 1;
}

/* Decodes what a consumer wrote for other consumers, after its version; false when it is none. */
static bool
decode_consumer(struct cli *cli, const struct proto_schema *schema, struct bytes data, void *out)
{
    struct reader r;
    reader_init(&r, data);
    int16_t version = reader_i16(&r);
    if (r.err != ERR_OK || version < 0)
        return false;
    if (version > proto_schema_version_max(schema)) /* later ones only add at the end */
        version = proto_schema_version_max(schema);
    return proto_decode(schema, version, &r, &cli->arena, out) == ERR_OK;
}

static void
take_classic_member(struct cli *cli,
    const struct proto_describe_groups_response_described_group_member *from, bool is_consumer,
    struct group_member *member)
{
    struct proto_consumer_protocol_assignment assignment;
    struct proto_consumer_protocol_subscription subscription;
    member->id = arena_str(&cli->arena, from->member_id);
    member->instance_id = arena_str(&cli->arena, from->group_instance_id);
    member->client_id = arena_str(&cli->arena, from->client_id);
    member->host = arena_str(&cli->arena, from->client_host);
    member->epoch = -1;
    if (is_consumer && decode_consumer(cli, &proto_consumer_protocol_assignment_schema,
                           from->member_assignment, &assignment))
        for (int32_t i = 0; i < assignment.assigned_partitions.count; i++)
            add_parts(cli, member, assignment.assigned_partitions.items[i].topic,
                assignment.assigned_partitions.items[i].partitions.items,
                assignment.assigned_partitions.items[i].partitions.count);
    if (is_consumer && decode_consumer(cli, &proto_consumer_protocol_subscription_schema,
                           from->member_metadata, &subscription)) {
        copy_topics(cli, member, subscription.topics.items, subscription.topics.count);
        member->rack = arena_str(&cli->arena, subscription.rack_id);
    }
}

static int16_t
take_classic(struct cli *cli, const void *answer, struct group *out, struct str *message)
{
    const struct proto_describe_groups_response *response = answer;
    if (response->groups.count != 1)
        return PROTO_ERROR_UNKNOWN_SERVER_ERROR;
    const struct proto_describe_groups_response_described_group *group = &response->groups.items[0];
    *message = group->error_message;
    if (group->error_code != 0)
        return group->error_code;
    out->type = STR("classic");
    out->state = arena_str(&cli->arena, group->group_state);
    out->protocol = arena_str(&cli->arena, group->protocol_type);
    out->assignor = arena_str(&cli->arena, group->protocol_data);
    make_members(cli, out, group->members.count);
    for (int i = 0; i < out->member_count; i++)
        take_classic_member(cli, &group->members.items[i],
            str_eq_z(group->protocol_type, "consumer"), &out->members[i]);
    return 0;
}

/* ---- consumer (KIP-848) ---- */

static void
fill_consumer(union group_request *request, struct str *id)
{
    proto_init(&proto_consumer_group_describe_request_schema, &request->consumer);
    request->consumer.group_ids.items = id;
    request->consumer.group_ids.count = 1;
}

static int16_t
take_consumer(struct cli *cli, const void *answer, struct group *out, struct str *message)
{
    const struct proto_consumer_group_describe_response *response = answer;
    if (response->groups.count != 1)
        return PROTO_ERROR_UNKNOWN_SERVER_ERROR;
    const struct proto_consumer_group_describe_response_described_group *group =
        &response->groups.items[0];
    *message = group->error_message;
    if (group->error_code != 0)
        return group->error_code;
    out->type = STR("consumer");
    out->state = arena_str(&cli->arena, group->group_state);
    out->assignor = arena_str(&cli->arena, group->assignor_name);
    out->epoch = group->group_epoch;
    out->assignment_epoch = group->assignment_epoch;
    make_members(cli, out, group->members.count);
    for (int i = 0; i < out->member_count; i++) {
        const struct proto_consumer_group_describe_response_member *from = &group->members.items[i];
        struct group_member *member = &out->members[i];
        member->id = arena_str(&cli->arena, from->member_id);
        member->instance_id = arena_str(&cli->arena, from->instance_id);
        member->client_id = arena_str(&cli->arena, from->client_id);
        member->host = arena_str(&cli->arena, from->client_host);
        member->rack = arena_str(&cli->arena, from->rack_id);
        member->epoch = from->member_epoch;
        member->classic_protocol = from->member_type == MEMBER_TYPE_CLASSIC;
        copy_topics(
            cli, member, from->subscribed_topic_names.items, from->subscribed_topic_names.count);
        for (int32_t t = 0; t < from->assignment.topic_partitions.count; t++)
            add_parts(cli, member, from->assignment.topic_partitions.items[t].topic_name,
                from->assignment.topic_partitions.items[t].partitions.items,
                from->assignment.topic_partitions.items[t].partitions.count);
    }
    return 0;
}

/* ---- share (KIP-932) ---- */

static void
fill_share(union group_request *request, struct str *id)
{
    proto_init(&proto_share_group_describe_request_schema, &request->share);
    request->share.group_ids.items = id;
    request->share.group_ids.count = 1;
}

static int16_t
take_share(struct cli *cli, const void *answer, struct group *out, struct str *message)
{
    const struct proto_share_group_describe_response *response = answer;
    if (response->groups.count != 1)
        return PROTO_ERROR_UNKNOWN_SERVER_ERROR;
    const struct proto_share_group_describe_response_described_group *group =
        &response->groups.items[0];
    *message = group->error_message;
    if (group->error_code != 0)
        return group->error_code;
    out->type = STR("share");
    out->state = arena_str(&cli->arena, group->group_state);
    out->assignor = arena_str(&cli->arena, group->assignor_name);
    out->epoch = group->group_epoch;
    out->assignment_epoch = group->assignment_epoch;
    make_members(cli, out, group->members.count);
    for (int i = 0; i < out->member_count; i++) {
        const struct proto_share_group_describe_response_member *from = &group->members.items[i];
        struct group_member *member = &out->members[i];
        member->id = arena_str(&cli->arena, from->member_id);
        member->client_id = arena_str(&cli->arena, from->client_id);
        member->host = arena_str(&cli->arena, from->client_host);
        member->rack = arena_str(&cli->arena, from->rack_id);
        member->epoch = from->member_epoch;
        copy_topics(
            cli, member, from->subscribed_topic_names.items, from->subscribed_topic_names.count);
        for (int32_t t = 0; t < from->assignment.topic_partitions.count; t++)
            add_parts(cli, member, from->assignment.topic_partitions.items[t].topic_name,
                from->assignment.topic_partitions.items[t].partitions.items,
                from->assignment.topic_partitions.items[t].partitions.count);
    }
    return 0;
}

/* ---- streams (KIP-1071) ---- */

static void
fill_streams(union group_request *request, struct str *id)
{
    proto_init(&proto_streams_group_describe_request_schema, &request->streams);
    request->streams.group_ids.items = id;
    request->streams.group_ids.count = 1;
}

/* A member's active tasks stand as its partitions, with the subtopology in place of the topic. */
static int16_t
take_streams(struct cli *cli, const void *answer, struct group *out, struct str *message)
{
    const struct proto_streams_group_describe_response *response = answer;
    if (response->groups.count != 1)
        return PROTO_ERROR_UNKNOWN_SERVER_ERROR;
    const struct proto_streams_group_describe_response_described_group *group =
        &response->groups.items[0];
    *message = group->error_message;
    if (group->error_code != 0)
        return group->error_code;
    out->type = STR("streams");
    out->state = arena_str(&cli->arena, group->group_state);
    out->assignor = arena_str(&cli->arena, group->assignor_name);
    out->epoch = group->group_epoch;
    out->assignment_epoch = group->assignment_epoch;
    make_members(cli, out, group->members.count);
    for (int i = 0; i < out->member_count; i++) {
        const struct proto_streams_group_describe_response_member *from = &group->members.items[i];
        struct group_member *member = &out->members[i];
        member->id = arena_str(&cli->arena, from->member_id);
        member->instance_id = arena_str(&cli->arena, from->instance_id);
        member->client_id = arena_str(&cli->arena, from->client_id);
        member->host = arena_str(&cli->arena, from->client_host);
        member->rack = arena_str(&cli->arena, from->rack_id);
        member->epoch = from->member_epoch;
        member->classic_protocol = from->is_classic;
        for (int32_t t = 0; t < from->assignment.active_tasks.count; t++)
            add_parts(cli, member, from->assignment.active_tasks.items[t].subtopology_id,
                from->assignment.active_tasks.items[t].partitions.items,
                from->assignment.active_tasks.items[t].partitions.count);
    }
    return 0;
}

/* Classic before the rest: every broker serves it, and so do groups with only offsets. */
const struct group_way group_ways[GROUP_WAYS] = {
    {PROTO_DESCRIBE_GROUPS_REQUEST_KEY, fill_classic, take_classic},
    {PROTO_CONSUMER_GROUP_DESCRIBE_REQUEST_KEY, fill_consumer, take_consumer},
    {PROTO_SHARE_GROUP_DESCRIBE_REQUEST_KEY, fill_share, take_share},
    {PROTO_STREAMS_GROUP_DESCRIBE_REQUEST_KEY, fill_streams, take_streams},
};
