/* client/public_admin_group.c - libmoldau's administration of groups and of what they committed.
 *
 * Threads: the client's. */
#include "base/alloc.h"
#include "base/assert.h"
#include "client/client_priv.h"
#include "client/public_priv.h"
#include "proto/consumer_protocol_assignment.h"
#include "proto/delete_groups_request.h"
#include "proto/delete_groups_response.h"
#include "proto/describe_groups_request.h"
#include "proto/describe_groups_response.h"
#include "proto/error_codes.h"
#include "proto/find_coordinator_request.h"
#include "proto/find_coordinator_response.h"
#include "proto/list_groups_request.h"
#include "proto/list_groups_response.h"
#include "proto/offset_commit_request.h"
#include "proto/offset_commit_response.h"
#include "proto/offset_fetch_request.h"
#include "proto/offset_fetch_response.h"

enum {
    FIND_VERSION_MAX = 3,   /* one key */
    FETCH_VERSION_MAX = 7,  /* one group, by topic name */
    COMMIT_VERSION_MAX = 9, /* by topic name */
    ASSIGNMENT_ARENA = 16 << 20,
    OFFSETS_MAX = 100000,
};

/* ---- the coordinator ---- */

/* One try: sends FindCoordinator, and puts the node's id into the call. Gives the code. */
static int16_t
find_coordinator(struct public_ask *ask, const char *group_id)
{
    struct proto_find_coordinator_request request;
    proto_init(&proto_find_coordinator_request_schema, &request);
    request.key = str_of(group_id);
    ask->call.version_max = FIND_VERSION_MAX;
    const struct proto_find_coordinator_response *response =
        public_ask_send(ask, CLIENT_TARGET_ANY, PROTO_FIND_COORDINATOR_REQUEST_KEY, &request);
    ask->call.version_max = 0;
    if (response == NULL || response->error_code != 0)
        return response == NULL ? 0 : response->error_code;
    int32_t node_id = response->node_id;
    struct client *client = ask->client->client;
    if (client_broker_find(client, node_id) == NULL)
        ask->err = public_ask_metadata(ask, NULL);
    if (ask->err == ERR_OK && client_broker_find(client, node_id) == NULL)
        return PROTO_ERROR_COORDINATOR_NOT_AVAILABLE;
    ask->call.node_id = node_id;
    return 0;
}

/* One try at the coordinator of the group; NULL with ask->err, or with *code. */
static const void *
ask_coordinator(struct public_ask *ask, const char *group_id, int16_t key, int16_t version_max,
    const void *request, int16_t *code)
{
    *code = find_coordinator(ask, group_id);
    if (ask->err != ERR_OK || *code != 0)
        return NULL;
    ask->call.version_max = version_max;
    const void *response = public_ask_send(ask, CLIENT_TARGET_NODE, key, request);
    ask->call.version_max = 0;
    if (response != NULL)
        *code = PROTO_ERROR_UNKNOWN_SERVER_ERROR; /* until it is read */
    return response;
}

static enum moldau_err
begin_group(
    struct public_ask *ask, struct moldau_client *client, const char *group_id, int64_t timeout_ms)
{
    enum moldau_err err = public_enter(client);
    if (err == MOLDAU_OK)
        err = public_check_name(client, "group", group_id);
    return err != MOLDAU_OK ? err : public_ask_begin(ask, client, timeout_ms);
}

/* ---- groups ---- */

static void
keep_listed(struct moldau_result *result, const struct proto_list_groups_response *response)
{
    for (int32_t i = 0; i < response->groups.count; i++) {
        const struct proto_list_groups_response_listed_group *from = &response->groups.items[i];
        struct moldau_group *group = public_result_add(result, sizeof *group);
        if (group == NULL)
            return; /* the arena remembers */
        group->group_id = public_result_text_or_empty(result, from->group_id);
        group->state = public_result_text_or_empty(result, from->group_state);
        group->type = public_result_text_or_empty(result, from->group_type);
        group->protocol_type = public_result_text_or_empty(result, from->protocol_type);
        group->protocol = "";
        group->coordinator = -1;
    }
}

/* Brokers by id; bootstrap addresses have none, other channels are the same brokers again. */
static int
known_nodes(struct client *client, int32_t *ids, int capacity)
{
    int count = 0;
    LIST_FOREACH (&client->brokers, node) {
        struct client_broker *broker = LIST_ENTRY(node, struct client_broker, link);
        if (broker->node_id >= 0 && broker->channel == 0 && count < capacity)
            ids[count++] = broker->node_id;
    }
    return count;
}

enum moldau_err
moldau_group_list(struct moldau_client *client, int64_t timeout_ms, struct moldau_result **out)
{
    struct proto_list_groups_request request;
    struct moldau_result *result = NULL;
    struct public_ask ask;
    int32_t nodes[1024];
    int16_t code = 0;
    if (out == NULL)
        return MOLDAU_ERR_INVALID;
    enum moldau_err err = public_ask_begin(&ask, client, timeout_ms);
    if (err != MOLDAU_OK)
        return err;
    proto_init(&proto_list_groups_request_schema, &request);
    do
        ask.err = public_ask_metadata(&ask, NULL);
    while (public_ask_again(&ask, 0));
    if (ask.err == ERR_OK)
        ask.err = public_result_new(PUBLIC_GROUPS, 16, &result);
    int count = known_nodes(client->client, nodes, COUNT_OF(nodes));
    for (int i = 0; ask.err == ERR_OK && code == 0 && i < count; i++) {
        do {
            ask.call.node_id = nodes[i];
            const struct proto_list_groups_response *response =
                public_ask_send(&ask, CLIENT_TARGET_NODE, PROTO_LIST_GROUPS_REQUEST_KEY, &request);
            code = response == NULL ? 0 : response->error_code;
            if (response != NULL && code == 0)
                keep_listed(result, response);
        } while (public_ask_again(&ask, code));
    }
    err = public_ask_end(&ask, "groups", code, STR_NULL);
    return public_result_finish(client, err, result, out);
}

/* What a member reads, from the bytes that the group's leader wrote; nothing when they are no
 * consumer's. */
static void
keep_assignment(struct moldau_result *result, struct bytes bytes, struct moldau_member *member)
{
    struct proto_consumer_protocol_assignment assignment;
    struct arena arena;
    struct reader r;
    size_t count = 0;
    reader_init(&r, bytes);
    int16_t version = reader_i16(&r);
    int16_t known = PROTO_CONSUMER_PROTOCOL_ASSIGNMENT_VERSION_MAX;
    if (bytes.len == 0 || version < 0)
        return;
    arena_init(&arena, ASSIGNMENT_ARENA);
    proto_init(&proto_consumer_protocol_assignment_schema, &assignment);
    if (proto_decode(&proto_consumer_protocol_assignment_schema, version < known ? version : known,
            &r, &arena, &assignment) != ERR_OK)
        assignment.assigned_partitions.count = 0;
    for (int32_t t = 0; t < assignment.assigned_partitions.count; t++)
        if (assignment.assigned_partitions.items[t].partitions.count > 0)
            count += (size_t)assignment.assigned_partitions.items[t].partitions.count;
    struct moldau_topic_partition *parts = arena_calloc(&result->arena, count, sizeof *parts);
    for (int32_t t = 0; parts != NULL && t < assignment.assigned_partitions.count; t++) {
        const struct proto_consumer_protocol_assignment_topic_partition *from =
            &assignment.assigned_partitions.items[t];
        const char *topic = public_result_text_or_empty(result, from->topic);
        for (int32_t p = 0; p < from->partitions.count; p++)
            parts[member->partition_count++] =
                (struct moldau_topic_partition){topic, from->partitions.items[p]};
    }
    member->partitions = parts;
    arena_fini(&arena);
}

static void
keep_members(struct moldau_result *result, struct moldau_group *group,
    const struct proto_describe_groups_response_described_group *from)
{
    size_t count = from->members.count > 0 ? (size_t)from->members.count : 0;
    const struct moldau_member **list = arena_calloc(&result->arena, count, sizeof *list);
    struct moldau_member *members = arena_calloc(&result->arena, count, sizeof *members);
    if (list == NULL || members == NULL)
        return; /* the arena remembers */
    for (size_t i = 0; i < count; i++) {
        const struct proto_describe_groups_response_described_group_member *one =
            &from->members.items[i];
        members[i].member_id = public_result_text_or_empty(result, one->member_id);
        members[i].instance_id = public_result_text(result, one->group_instance_id);
        members[i].client_id = public_result_text_or_empty(result, one->client_id);
        members[i].host = public_result_text_or_empty(result, one->client_host);
        keep_assignment(result, one->member_assignment, &members[i]);
        list[i] = &members[i];
    }
    group->members = list;
    group->member_count = count;
}

static enum moldau_err
keep_described(struct moldau_client *client,
    const struct proto_describe_groups_response_described_group *from, int32_t node_id,
    struct moldau_result **out)
{
    struct moldau_result *result = NULL;
    struct moldau_group *group = NULL;
    enum err err = public_result_new(PUBLIC_GROUPS, 1, &result);
    if (err == ERR_OK)
        group = public_result_add(result, sizeof *group);
    if (group != NULL) {
        group->group_id = public_result_text_or_empty(result, from->group_id);
        group->state = public_result_text_or_empty(result, from->group_state);
        group->type = "classic";
        group->protocol_type = public_result_text_or_empty(result, from->protocol_type);
        group->protocol = public_result_text_or_empty(result, from->protocol_data);
        group->coordinator = node_id;
        keep_members(result, group, from);
    }
    return public_result_finish(client, MOLDAU_OK, result, out);
}

enum moldau_err
moldau_group_describe(struct moldau_client *client, const char *group_id, int64_t timeout_ms,
    struct moldau_result **out)
{
    struct proto_describe_groups_request request;
    const struct proto_describe_groups_response *response;
    struct str group = str_of(group_id), message = STR_NULL;
    struct public_ask ask;
    int16_t code;
    if (out == NULL)
        return MOLDAU_ERR_INVALID;
    enum moldau_err err = begin_group(&ask, client, group_id, timeout_ms);
    if (err != MOLDAU_OK)
        return err;
    proto_init(&proto_describe_groups_request_schema, &request);
    request.groups.items = &group;
    request.groups.count = 1;
    do {
        response =
            ask_coordinator(&ask, group_id, PROTO_DESCRIBE_GROUPS_REQUEST_KEY, 0, &request, &code);
        if (response != NULL && response->groups.count == 1) {
            code = response->groups.items[0].error_code;
            message = response->groups.items[0].error_message;
            /* Before version 6 a group that is not there is a dead one. */
            if (code == 0 && str_eq(response->groups.items[0].group_state, STR("Dead")))
                code = PROTO_ERROR_GROUP_ID_NOT_FOUND;
        }
    } while (public_ask_again(&ask, code));
    err = MOLDAU_OK;
    if (response != NULL && code == 0)
        err = keep_described(client, &response->groups.items[0], ask.call.node_id, out);
    enum moldau_err asked = public_ask_end(&ask, group_id, code, message);
    return asked != MOLDAU_OK ? asked : err;
}

enum moldau_err
moldau_group_delete(struct moldau_client *client, const char *group_id, int64_t timeout_ms)
{
    struct proto_delete_groups_request request;
    const struct proto_delete_groups_response *response;
    struct str group = str_of(group_id), message = STR_NULL;
    struct public_ask ask;
    int16_t code;
    enum moldau_err err = begin_group(&ask, client, group_id, timeout_ms);
    if (err != MOLDAU_OK)
        return err;
    proto_init(&proto_delete_groups_request_schema, &request);
    request.groups_names.items = &group;
    request.groups_names.count = 1;
    do {
        response =
            ask_coordinator(&ask, group_id, PROTO_DELETE_GROUPS_REQUEST_KEY, 0, &request, &code);
        if (response != NULL && response->results.count == 1) {
            code = response->results.items[0].error_code;
            message = response->results.items[0].error_message;
        }
    } while (public_ask_again(&ask, code));
    return public_ask_end(&ask, group_id, code, message);
}

/* ---- committed offsets ---- */

static void
keep_committed(struct moldau_result *result, const struct proto_offset_fetch_response *response)
{
    for (int32_t t = 0; t < response->topics.count; t++) {
        const struct proto_offset_fetch_response_offset_fetch_response_topic *topic =
            &response->topics.items[t];
        const char *name = public_result_text_or_empty(result, topic->name);
        for (int32_t p = 0; p < topic->partitions.count; p++) {
            const struct proto_offset_fetch_response_offset_fetch_response_partition *from =
                &topic->partitions.items[p];
            struct moldau_partition_offset *one = public_result_add(result, sizeof *one);
            if (one == NULL)
                return; /* the arena remembers */
            one->topic = name;
            one->partition = from->partition_index;
            one->leader_epoch = from->committed_leader_epoch;
            one->offset = from->committed_offset;
            one->timestamp_ms = -1;
            one->metadata = public_result_text(result, from->metadata);
            one->error_code = from->error_code;
        }
    }
}

/* Of these topics, or of all with NULL. */
static enum moldau_err
fetch_committed(struct public_ask *ask, const char *group_id,
    struct proto_offset_fetch_request_offset_fetch_request_topic *topic, struct moldau_result **out)
{
    struct proto_offset_fetch_request request;
    const struct proto_offset_fetch_response *response;
    struct moldau_result *result = NULL;
    int16_t code;
    proto_init(&proto_offset_fetch_request_schema, &request);
    request.group_id = str_of(group_id);
    request.topics.items = topic;
    request.topics.count = topic != NULL ? 1 : -1;
    request.require_stable = true;
    do {
        response = ask_coordinator(
            ask, group_id, PROTO_OFFSET_FETCH_REQUEST_KEY, FETCH_VERSION_MAX, &request, &code);
        if (response != NULL)
            code = response->error_code;
        if (response != NULL && topic != NULL && response->topics.count == 1 &&
            response->topics.items[0].partitions.count == 1 && code == 0)
            code = response->topics.items[0].partitions.items[0].error_code;
    } while (public_ask_again(ask, code));
    if (response != NULL && code == 0 && public_result_new(PUBLIC_OFFSETS, 16, &result) == ERR_OK)
        keep_committed(result, response);
    enum moldau_err err = public_ask_end(ask, group_id, code, STR_NULL);
    return public_result_finish(ask->client, err, result, out);
}

enum moldau_err
moldau_group_offsets(struct moldau_client *client, const char *group_id, int64_t timeout_ms,
    struct moldau_result **out)
{
    struct public_ask ask;
    if (out == NULL)
        return MOLDAU_ERR_INVALID;
    enum moldau_err err = begin_group(&ask, client, group_id, timeout_ms);
    return err != MOLDAU_OK ? err : fetch_committed(&ask, group_id, NULL, out);
}

enum moldau_err
public_committed(struct moldau_client *client, const char *group_id, const char *topic,
    int32_t partition, int64_t *offset)
{
    struct proto_offset_fetch_request_offset_fetch_request_topic asked = {0};
    struct moldau_result *result = NULL;
    struct public_ask ask;
    int64_t timeout_ms = client->options->numbers[OPTION_REQUEST_TIMEOUT_MS];
    enum moldau_err err = begin_group(&ask, client, group_id, timeout_ms);
    if (err != MOLDAU_OK)
        return err;
    asked.name = str_of(topic);
    asked.partition_indexes.items = &partition;
    asked.partition_indexes.count = 1;
    err = fetch_committed(&ask, group_id, &asked, &result);
    if (err != MOLDAU_OK)
        return err;
    const struct moldau_partition_offset *one = moldau_result_offset(result, 0);
    *offset = one != NULL && one->error_code == 0 ? one->offset : -1;
    moldau_result_free(&result);
    return MOLDAU_OK;
}

static enum moldau_err
check_offsets(struct moldau_client *client, const struct moldau_offset *offsets, size_t count)
{
    if ((offsets == NULL && count > 0) || count > OFFSETS_MAX)
        return public_fail(
            client, MOLDAU_ERR_INVALID, 0, "no list of 0 to %d offsets", OFFSETS_MAX);
    for (size_t i = 0; i < count; i++) {
        enum moldau_err err = public_check_topic(client, offsets[i].topic);
        if (err != MOLDAU_OK)
            return err;
        if (offsets[i].partition < 0 || offsets[i].offset < 0)
            return public_fail(client, MOLDAU_ERR_INVALID, 0, "%s [%d]: offset %lld",
                offsets[i].topic, (int)offsets[i].partition, (long long)offsets[i].offset);
    }
    return MOLDAU_OK;
}

/* The first code of the answer that is not 0. */
static int16_t
commit_code(const struct proto_offset_commit_response *response, struct str *topic)
{
    for (int32_t t = 0; t < response->topics.count; t++)
        for (int32_t p = 0; p < response->topics.items[t].partitions.count; p++)
            if (response->topics.items[t].partitions.items[p].error_code != 0) {
                *topic = response->topics.items[t].name;
                return response->topics.items[t].partitions.items[p].error_code;
            }
    return 0;
}

enum moldau_err
moldau_group_alter_offsets(struct moldau_client *client, const char *group_id,
    const struct moldau_offset *offsets, size_t count, int64_t timeout_ms)
{
    struct proto_offset_commit_request_offset_commit_request_topic *topics = NULL;
    struct proto_offset_commit_request_offset_commit_request_partition *parts = NULL;
    struct proto_offset_commit_request request;
    struct str where = STR_NULL;
    struct public_ask ask;
    int16_t code;
    enum moldau_err err = public_enter(client);
    if (err == MOLDAU_OK)
        err = check_offsets(client, offsets, count);
    if (err == MOLDAU_OK)
        err = begin_group(&ask, client, group_id, timeout_ms);
    if (err != MOLDAU_OK)
        return err;
    topics = mem_calloc(count + 1, sizeof *topics);
    parts = mem_calloc(count + 1, sizeof *parts);
    if (topics == NULL || parts == NULL) {
        ask.err = ERR_NOMEM;
        code = 0;
        goto out;
    }
    proto_init(&proto_offset_commit_request_schema, &request);
    request.group_id = str_of(group_id);
    request.generation_id_or_member_epoch = -1;
    request.topics.items = topics;
    request.topics.count = (int32_t)count;
    for (size_t i = 0; i < count; i++) {
        parts[i].partition_index = offsets[i].partition;
        parts[i].committed_offset = offsets[i].offset;
        parts[i].committed_leader_epoch = offsets[i].leader_epoch;
        parts[i].committed_metadata =
            offsets[i].metadata == NULL ? STR("") : str_of(offsets[i].metadata);
        topics[i].name = str_of(offsets[i].topic);
        topics[i].partitions.items = &parts[i];
        topics[i].partitions.count = 1;
    }
    do {
        const struct proto_offset_commit_response *response = ask_coordinator(
            &ask, group_id, PROTO_OFFSET_COMMIT_REQUEST_KEY, COMMIT_VERSION_MAX, &request, &code);
        if (response != NULL)
            code = commit_code(response, &where);
    } while (public_ask_again(&ask, code));
out:
    mem_free(topics);
    mem_free(parts);
    return public_ask_end(&ask, group_id, code, STR_NULL);
}
