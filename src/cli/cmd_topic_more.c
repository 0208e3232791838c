/* cli/cmd_topic_more.c - moldau topic add-partitions | trim. */
#include <stdlib.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/output.h"
#include "proto/create_partitions_request.h"
#include "proto/create_partitions_response.h"
#include "proto/delete_records_request.h"
#include "proto/delete_records_response.h"

enum { ARENA_BYTES = 16 << 20, TIMEOUT_MS = 30000 };

static int
run_add_partitions(struct cli *cli)
{
    struct proto_create_partitions_request_create_partitions_topic topic = {0};
    struct proto_create_partitions_request request;
    const struct proto_create_partitions_response *response;
    struct client_call call;
    char *end;
    long count = strtol(cli->args[1], &end, 10);
    if (*end != '\0' || end == cli->args[1] || count < 1 || count > 1000000)
        return cli_usage(cli, "wants the new number of partitions, not '%s'", cli->args[1]);
    proto_init(&proto_create_partitions_request_schema, &request);
    topic.name = str_of(cli->args[0]);
    topic.count = (int32_t)count;
    topic.assignments.count = -1;
    request.topics.items = &topic;
    request.topics.count = 1;
    request.timeout_ms = TIMEOUT_MS;
    request.validate_only = cli_flag(cli, "dry-run");
    client_call_init(&call, ARENA_BYTES);
    int code = cli_call(cli, &call, CLIENT_TARGET_CONTROLLER, PROTO_CREATE_PARTITIONS_REQUEST_KEY,
        &request, (const void **)&response);
    for (int32_t i = 0; code == CLI_OK && i < response->results.count; i++)
        if (response->results.items[i].error_code != 0)
            code = cli_fail_code(cli, topic.name, response->results.items[i].error_code,
                response->results.items[i].error_message);
    if (code == CLI_OK)
        printf("%s %s %ld partitions\n", cli->args[0],
            request.validate_only ? "would have" : "now has", count);
    client_call_fini(&call);
    return code;
}

/* Deletes one partition's records below `offset` (-1: all), asking its leader. */
static int
trim_partition(struct cli *cli, int32_t leader, int32_t partition, int64_t offset, int64_t *start)
{
    struct proto_delete_records_request_delete_records_partition part = {
        .partition_index = partition, .offset = offset};
    struct proto_delete_records_request_delete_records_topic topic = {0};
    struct proto_delete_records_request request;
    const struct proto_delete_records_response *response;
    struct client_call call;
    proto_init(&proto_delete_records_request_schema, &request);
    topic.name = str_of(cli->args[0]);
    topic.partitions.items = &part;
    topic.partitions.count = 1;
    request.topics.items = &topic;
    request.topics.count = 1;
    request.timeout_ms = TIMEOUT_MS;
    client_call_init(&call, ARENA_BYTES);
    call.node_id = leader;
    int code = cli_call(cli, &call, CLIENT_TARGET_NODE, PROTO_DELETE_RECORDS_REQUEST_KEY, &request,
        (const void **)&response);
    if (code == CLI_OK &&
        (response->topics.count != 1 || response->topics.items[0].partitions.count != 1))
        code = cli_fail(cli, "the broker's answer names other partitions");
    if (code == CLI_OK && response->topics.items[0].partitions.items[0].error_code != 0)
        code = cli_fail_code(
            cli, topic.name, response->topics.items[0].partitions.items[0].error_code, STR_NULL);
    if (code == CLI_OK)
        *start = response->topics.items[0].partitions.items[0].low_watermark;
    client_call_fini(&call);
    return code;
}

static int
run_trim(struct cli *cli)
{
    static const char *const columns[] = {"topic", "partition", "start_offset"};
    struct client *client = cli_client(cli);
    struct str name = str_of(cli->args[0]);
    struct output out;
    int64_t only, before;
    if (client == NULL)
        return CLI_FAILED;
    if (!cli_number(cli, "partition", 0, INT32_MAX, -1, &only) ||
        !cli_number(cli, "before", 0, INT64_MAX, -1, &before))
        return CLI_USAGE;
    if (before < 0 && !cli_flag(cli, "all"))
        return cli_usage(cli, "wants --before OFFSET, or --all for every record");
    enum err err = client_refresh_wait(client, &name, 1, false);
    if (err != ERR_OK)
        return cli_fail_call(cli, err);
    const struct client_topic *topic = client_topic_find(client, name);
    if (topic == NULL || topic->error_code != 0)
        return cli_fail_code(cli, name, topic != NULL ? topic->error_code : 3, STR_NULL);
    if (only >= topic->partition_count)
        return cli_usage(cli, "%s has no partition %lld", cli->args[0], (long long)only);
    int code = CLI_OK;
    output_begin(&out, cli->format, columns, COUNT_OF(columns));
    for (int32_t i = 0; code == CLI_OK && i < topic->partition_count; i++) {
        int64_t start;
        if (only >= 0 && only != i)
            continue;
        code = trim_partition(cli, topic->partitions[i].leader, i, before, &start);
        if (code != CLI_OK)
            break;
        output_str(&out, name);
        output_i64(&out, i);
        output_i64(&out, start);
    }
    output_end(&out);
    return code;
}

const struct cli_command cli_topic_add_partitions = {
    .name = "topic add-partitions",
    .arguments = "TOPIC COUNT",
    .summary = "raise a topic's number of partitions to COUNT",
    .options =
        (const struct cli_option[]){{"dry-run", 0, NULL, "only check"}, {NULL, 0, NULL, NULL}},
    .arguments_min = 2,
    .arguments_max = 2,
    .examples = "  moldau topic add-partitions orders 12\n",
    .run = run_add_partitions,
};

const struct cli_command cli_topic_trim = {
    .name = "topic trim",
    .arguments = "TOPIC",
    .summary = "delete the oldest records of a topic",
    .options =
        (const struct cli_option[]){
            {"before", 0, "OFFSET", "delete what is below it"},
            {"all", 0, NULL, "delete every record"},
            {"partition", 'p', "N", "only this partition"},
            {NULL, 0, NULL, NULL},
        },
    .arguments_min = 1,
    .arguments_max = 1,
    .examples = "  moldau topic trim orders --before 1000 -p 0\n",
    .run = run_trim,
};
