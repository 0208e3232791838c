/* cli/cmd_group.c - moldau group list | describe | seek | delete. */
#include <stdlib.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/output.h"
#include "proto/delete_groups_request.h"
#include "proto/delete_groups_response.h"
#include "proto/find_coordinator_request.h"
#include "proto/find_coordinator_response.h"
#include "proto/list_groups_request.h"
#include "proto/list_groups_response.h"
#include "proto/list_offsets_request.h"
#include "proto/list_offsets_response.h"
#include "proto/offset_commit_request.h"
#include "proto/offset_commit_response.h"
#include "proto/offset_fetch_request.h"
#include "proto/offset_fetch_response.h"

enum {
    FIND_VERSION_MAX = 3,   /* one key */
    FETCH_VERSION_MAX = 7,  /* one group, by topic name */
    COMMIT_VERSION_MAX = 9, /* by topic name */
    TIMESTAMP_LATEST = -1,
    TIMESTAMP_EARLIEST = -2,
    ARENA_BYTES = 64 << 20,
    COORDINATOR_TRIES = 50,
    COORDINATOR_PAUSE_MS = 100,
};

static int
run_list(struct cli *cli)
{
    static const char *const columns[] = {"group", "state", "type", "protocol"};
    struct proto_list_groups_request request;
    const struct proto_list_groups_response *response;
    struct client_call call;
    struct output out;
    proto_init(&proto_list_groups_request_schema, &request);
    client_call_init(&call, ARENA_BYTES);
    int code = cli_call(cli, &call, CLIENT_TARGET_ANY, PROTO_LIST_GROUPS_REQUEST_KEY, &request,
        (const void **)&response);
    if (code == CLI_OK && response->error_code != 0)
        code = cli_fail_code(cli, STR("groups"), response->error_code, STR_NULL);
    if (code == CLI_OK) {
        output_begin(&out, cli->format, columns, COUNT_OF(columns));
        for (int32_t i = 0; i < response->groups.count; i++) {
            output_str(&out, response->groups.items[i].group_id);
            output_str(&out, response->groups.items[i].group_state);
            output_str(&out, response->groups.items[i].group_type);
            output_str(&out, response->groups.items[i].protocol_type);
        }
        output_end(&out);
    }
    client_call_fini(&call);
    return code;
}

static int
find_coordinator(struct cli *cli, struct str group, int32_t *node_id)
{
    struct proto_find_coordinator_request request;
    const struct proto_find_coordinator_response *response;
    struct client_call call;
    struct client *client = cli_client(cli);
    if (client == NULL)
        return CLI_FAILED;
    enum err err = client_refresh_wait(client, NULL, 0, false); /* the brokers by id */
    if (err != ERR_OK)
        return cli_fail_call(cli, err);
    proto_init(&proto_find_coordinator_request_schema, &request);
    request.key = group;
    client_call_init(&call, ARENA_BYTES);
    call.version_max = FIND_VERSION_MAX;
    int code = CLI_OK;
    for (int tries = 0; tries < COORDINATOR_TRIES; tries++) {
        bool never = false;
        bool refresh;
        code = cli_call(cli, &call, CLIENT_TARGET_ANY, PROTO_FIND_COORDINATOR_REQUEST_KEY, &request,
            (const void **)&response);
        if (code != CLI_OK || !client_error_is_retriable(response->error_code, &refresh))
            break;
        (void)client_run_until(client, &never, COORDINATOR_PAUSE_MS); /* it is being made */
    }
    if (code == CLI_OK && response->error_code != 0)
        code = cli_fail_code(cli, group, response->error_code, response->error_message);
    if (code == CLI_OK)
        *node_id = response->node_id;
    client_call_fini(&call);
    return code;
}

/* Every committed offset of the group; the answer lives in the call. */
static int
fetch_offsets(struct cli *cli, struct str group, int32_t node_id, struct client_call *call,
    const struct proto_offset_fetch_response **response)
{
    struct proto_offset_fetch_request request;
    proto_init(&proto_offset_fetch_request_schema, &request);
    request.group_id = group;
    request.topics.items = NULL;
    request.topics.count = -1;
    call->version_max = FETCH_VERSION_MAX;
    call->node_id = node_id;
    int code = cli_call(cli, call, CLIENT_TARGET_NODE, PROTO_OFFSET_FETCH_REQUEST_KEY, &request,
        (const void **)response);
    if (code == CLI_OK && (*response)->error_code != 0)
        code = cli_fail_code(cli, group, (*response)->error_code, STR_NULL);
    return code;
}

/* A partition's offset by time, asked of its leader. */
static int
list_offset(struct cli *cli, struct str name, int32_t partition, int64_t timestamp, int64_t *offset)
{
    struct proto_list_offsets_request_list_offsets_partition part = {
        .partition_index = partition, .current_leader_epoch = -1, .timestamp = timestamp};
    struct proto_list_offsets_request_list_offsets_topic asked = {.name = name};
    struct proto_list_offsets_request request;
    const struct proto_list_offsets_response *response;
    struct client_call call;
    enum err err = client_refresh_wait(cli->client, &name, 1, false);
    if (err != ERR_OK)
        return cli_fail_call(cli, err);
    const struct client_topic *topic = client_topic_find(cli->client, name);
    if (topic == NULL || topic->error_code != 0 || partition >= topic->partition_count)
        return cli_fail_code(
            cli, name, topic != NULL && topic->error_code != 0 ? topic->error_code : 3, STR_NULL);
    proto_init(&proto_list_offsets_request_schema, &request);
    request.replica_id = -1;
    asked.partitions.items = &part;
    asked.partitions.count = 1;
    request.topics.items = &asked;
    request.topics.count = 1;
    client_call_init(&call, ARENA_BYTES);
    call.node_id = topic->partitions[partition].leader;
    int code = cli_call(cli, &call, CLIENT_TARGET_NODE, PROTO_LIST_OFFSETS_REQUEST_KEY, &request,
        (const void **)&response);
    if (code == CLI_OK &&
        (response->topics.count != 1 || response->topics.items[0].partitions.count != 1))
        code = cli_fail(cli, "the broker's answer names other partitions");
    if (code == CLI_OK && response->topics.items[0].partitions.items[0].error_code != 0)
        code = cli_fail_code(
            cli, name, response->topics.items[0].partitions.items[0].error_code, STR_NULL);
    if (code == CLI_OK)
        *offset = response->topics.items[0].partitions.items[0].offset;
    client_call_fini(&call);
    return code;
}

static int
run_describe(struct cli *cli)
{
    static const char *const columns[] = {"group", "topic", "partition", "committed", "end", "lag"};
    const struct proto_offset_fetch_response *response;
    struct client_call call;
    struct output out;
    struct str group = str_of(cli->args[0]);
    int32_t node_id;
    int code = find_coordinator(cli, group, &node_id);
    if (code != CLI_OK)
        return code;
    client_call_init(&call, ARENA_BYTES);
    code = fetch_offsets(cli, group, node_id, &call, &response);
    output_begin(&out, cli->format, columns, COUNT_OF(columns));
    for (int32_t t = 0; code == CLI_OK && t < response->topics.count; t++)
        for (int32_t p = 0; code == CLI_OK && p < response->topics.items[t].partitions.count; p++) {
            const struct proto_offset_fetch_response_offset_fetch_response_partition *part =
                &response->topics.items[t].partitions.items[p];
            struct str name = response->topics.items[t].name;
            int64_t end;
            code = list_offset(cli, name, part->partition_index, TIMESTAMP_LATEST, &end);
            if (code != CLI_OK)
                break;
            output_str(&out, group);
            output_str(&out, name);
            output_i64(&out, part->partition_index);
            output_i64(&out, part->committed_offset);
            output_i64(&out, end);
            output_i64(&out, end - part->committed_offset);
        }
    if (code == CLI_OK)
        output_end(&out);
    else
        buf_fini(&out.cells);
    client_call_fini(&call);
    return code;
}

static int
commit_offset(struct cli *cli, int32_t node_id, int32_t partition, int64_t offset)
{
    struct proto_offset_commit_request_offset_commit_request_partition part = {
        .partition_index = partition, .committed_offset = offset, .committed_leader_epoch = -1};
    struct proto_offset_commit_request_offset_commit_request_topic topic = {0};
    struct proto_offset_commit_request request;
    const struct proto_offset_commit_response *response;
    struct client_call call;
    proto_init(&proto_offset_commit_request_schema, &request);
    request.group_id = str_of(cli->args[0]);
    request.generation_id_or_member_epoch = -1;
    topic.name = str_of(cli->args[1]);
    topic.partitions.items = &part;
    topic.partitions.count = 1;
    request.topics.items = &topic;
    request.topics.count = 1;
    client_call_init(&call, ARENA_BYTES);
    call.node_id = node_id;
    call.version_max = COMMIT_VERSION_MAX;
    int code = cli_call(cli, &call, CLIENT_TARGET_NODE, PROTO_OFFSET_COMMIT_REQUEST_KEY, &request,
        (const void **)&response);
    for (int32_t i = 0; code == CLI_OK && i < response->topics.count; i++)
        for (int32_t j = 0; j < response->topics.items[i].partitions.count; j++)
            if (response->topics.items[i].partitions.items[j].error_code != 0)
                code = cli_fail_code(cli, request.group_id,
                    response->topics.items[i].partitions.items[j].error_code, STR_NULL);
    client_call_fini(&call);
    return code;
}

/* "start", "end", "@MILLISECONDS" or an offset. */
static int
resolve_target(struct cli *cli, const char *text, int32_t partition, int64_t *offset)
{
    struct str topic = str_of(cli->args[1]);
    char *end;
    if (strcmp(text, "start") == 0)
        return list_offset(cli, topic, partition, TIMESTAMP_EARLIEST, offset);
    if (strcmp(text, "end") == 0)
        return list_offset(cli, topic, partition, TIMESTAMP_LATEST, offset);
    long long v = strtoll(text + (text[0] == '@'), &end, 10);
    if (*end != '\0' || end == text + (text[0] == '@') || v < 0)
        return cli_usage(
            cli, "--to must be start, end, @MILLISECONDS or an offset, not '%s'", text);
    *offset = v;
    if (text[0] != '@')
        return CLI_OK;
    int code = list_offset(cli, topic, partition, v, offset);
    if (code == CLI_OK && *offset < 0) /* nothing is that young */
        code = list_offset(cli, topic, partition, TIMESTAMP_LATEST, offset);
    return code;
}

static int
run_seek(struct cli *cli)
{
    static const char *const columns[] = {"group", "topic", "partition", "offset"};
    const char *to = cli_value(cli, "to");
    struct str name = str_of(cli->args[1]);
    struct output out;
    int32_t node_id;
    int64_t only;
    if (to == NULL)
        return cli_usage(cli, "wants --to start, end, @MILLISECONDS or an offset");
    if (!cli_number(cli, "partition", 0, INT32_MAX, -1, &only))
        return CLI_USAGE;
    int code = find_coordinator(cli, str_of(cli->args[0]), &node_id);
    if (code != CLI_OK)
        return code;
    enum err err = client_refresh_wait(cli->client, &name, 1, false);
    if (err != ERR_OK)
        return cli_fail_call(cli, err);
    const struct client_topic *topic = client_topic_find(cli->client, name);
    if (topic == NULL || topic->error_code != 0)
        return cli_fail_code(cli, name, topic != NULL ? topic->error_code : 3, STR_NULL);
    int32_t count = topic->partition_count; /* the look-ups below refresh the topic */
    output_begin(&out, cli->format, columns, COUNT_OF(columns));
    for (int32_t i = 0; code == CLI_OK && i < count; i++) {
        int64_t offset;
        if (only >= 0 && only != i)
            continue;
        code = resolve_target(cli, to, i, &offset);
        if (code == CLI_OK && !cli_flag(cli, "dry-run"))
            code = commit_offset(cli, node_id, i, offset);
        if (code != CLI_OK)
            break;
        output_z(&out, cli->args[0]);
        output_str(&out, name);
        output_i64(&out, i);
        output_i64(&out, offset);
    }
    output_end(&out); /* what was moved before a failure, too */
    return code;
}

static int
run_delete(struct cli *cli)
{
    struct proto_delete_groups_request request;
    const struct proto_delete_groups_response *response;
    struct client_call call;
    struct str name = str_of(cli->args[0]);
    int32_t node_id;
    int code = find_coordinator(cli, name, &node_id);
    if (code != CLI_OK)
        return code;
    proto_init(&proto_delete_groups_request_schema, &request);
    request.groups_names.items = &name;
    request.groups_names.count = 1;
    client_call_init(&call, ARENA_BYTES);
    call.node_id = node_id;
    code = cli_call(cli, &call, CLIENT_TARGET_NODE, PROTO_DELETE_GROUPS_REQUEST_KEY, &request,
        (const void **)&response);
    for (int32_t i = 0; code == CLI_OK && i < response->results.count; i++)
        if (response->results.items[i].error_code != 0)
            code = cli_fail_code(cli, name, response->results.items[i].error_code, STR_NULL);
    if (code == CLI_OK)
        printf("deleted %s\n", cli->args[0]);
    client_call_fini(&call);
    return code;
}

const struct cli_command cli_group_list = {
    .name = "group list",
    .arguments = "",
    .summary = "groups that the broker asked coordinates",
    .examples = "  moldau group list\n",
    .run = run_list,
};

const struct cli_command cli_group_describe = {
    .name = "group describe",
    .arguments = "GROUP",
    .summary = "committed offsets and lag of a group",
    .arguments_min = 1,
    .arguments_max = 1,
    .examples = "  moldau group describe billing -o json\n",
    .run = run_describe,
};

const struct cli_command cli_group_seek = {
    .name = "group seek",
    .arguments = "GROUP TOPIC",
    .summary = "move the committed offsets of a group that has no members",
    .options =
        (const struct cli_option[]){
            {"to", 't', "WHERE", "start, end, @MILLISECONDS since 1970, or an offset"},
            {"partition", 'p', "N", "only this partition"},
            {"dry-run", 0, NULL, "only show where it would go"},
            {NULL, 0, NULL, NULL},
        },
    .arguments_min = 2,
    .arguments_max = 2,
    .examples = "  moldau group seek billing orders --to start --dry-run\n",
    .run = run_seek,
};

const struct cli_command cli_group_delete = {
    .name = "group delete",
    .arguments = "GROUP",
    .summary = "remove a group that has no members, and its offsets",
    .arguments_min = 1,
    .arguments_max = 1,
    .examples = "  moldau group delete billing\n",
    .run = run_delete,
};
