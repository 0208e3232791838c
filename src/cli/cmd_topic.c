/* cli/cmd_topic.c - moldau topic list | describe | create | delete. */
#include <string.h>

#include "cli/commands.h"
#include "cli/output.h"
#include "proto/create_topics_request.h"
#include "proto/create_topics_response.h"
#include "proto/delete_topics_request.h"
#include "proto/delete_topics_response.h"
#include "proto/metadata_request.h"
#include "proto/metadata_response.h"

enum {
    METADATA_KEY = 3,
    CREATE_TOPICS_KEY = 19,
    DELETE_TOPICS_KEY = 20,
    ARENA_BYTES = 256 << 20,
    TIMEOUT_MS = 30000,
};

/* Metadata of the topics named, or of all when count is 0. */
static int
ask_metadata(
    struct cli *cli, struct client_call *call, const struct proto_metadata_response **response)
{
    struct proto_metadata_request request;
    struct proto_metadata_request_metadata_request_topic topics[256];
    if (cli->arg_count > (int)COUNT_OF(topics))
        return cli_usage(cli, "at most %d topics at a time", (int)COUNT_OF(topics));
    proto_init(&proto_metadata_request_schema, &request);
    memset(topics, 0, sizeof topics);
    for (int i = 0; i < cli->arg_count; i++)
        topics[i].name = str_of(cli->args[i]);
    request.topics.items = topics;
    request.topics.count = cli->arg_count > 0 ? cli->arg_count : -1;
    request.allow_auto_topic_creation = false;
    return cli_call(cli, call, CLIENT_TARGET_ANY, METADATA_KEY, &request, (const void **)response);
}

static int
run_list(struct cli *cli)
{
    static const char *const columns[] = {"topic", "partitions", "replicas", "internal"};
    const struct proto_metadata_response *response;
    struct client_call call;
    struct output out;
    client_call_init(&call, ARENA_BYTES);
    int code = ask_metadata(cli, &call, &response);
    if (code == CLI_OK) {
        bool all = cli_flag(cli, "internal");
        output_begin(&out, cli->format, columns, COUNT_OF(columns));
        for (int32_t i = 0; i < response->topics.count; i++) {
            if (response->topics.items[i].is_internal && !all)
                continue;
            output_str(&out, response->topics.items[i].name);
            output_i64(&out, response->topics.items[i].partitions.count);
            output_i64(&out, response->topics.items[i].partitions.count > 0
                                 ? response->topics.items[i].partitions.items[0].replica_nodes.count
                                 : 0);
            output_z(&out, response->topics.items[i].is_internal ? "yes" : "no");
        }
        output_end(&out);
    }
    client_call_fini(&call);
    return code;
}

static void
print_nodes(struct output *out, const int32_t *nodes, int32_t count)
{
    char text[256] = "";
    size_t len = 0;
    for (int32_t i = 0; i < count && len < sizeof text; i++)
        len += (size_t)snprintf(
            text + len, sizeof text - len, "%s%d", i > 0 ? "," : "", (int)nodes[i]);
    output_z(out, text);
}

static int
run_describe(struct cli *cli)
{
    static const char *const columns[] = {
        "topic", "id", "partition", "leader", "epoch", "replicas", "isr"};
    const struct proto_metadata_response *response;
    struct client_call call;
    struct output out;
    client_call_init(&call, ARENA_BYTES);
    int code = ask_metadata(cli, &call, &response);
    if (code != CLI_OK)
        goto out;
    output_begin(&out, cli->format, columns, COUNT_OF(columns));
    for (int32_t i = 0; i < response->topics.count; i++) {
        const struct proto_metadata_response_metadata_response_topic *topic =
            &response->topics.items[i];
        char id[UUID_TEXT_SIZE];
        if (topic->error_code != 0)
            code = cli_fail_code(cli, topic->name, topic->error_code, STR_NULL);
        uuid_format(topic->topic_id, id);
        for (int32_t p = 0; p < topic->partitions.count; p++) {
            output_str(&out, topic->name);
            output_z(&out, id);
            output_i64(&out, topic->partitions.items[p].partition_index);
            output_i64(&out, topic->partitions.items[p].leader_id);
            output_i64(&out, topic->partitions.items[p].leader_epoch);
            print_nodes(&out, topic->partitions.items[p].replica_nodes.items,
                topic->partitions.items[p].replica_nodes.count);
            print_nodes(&out, topic->partitions.items[p].isr_nodes.items,
                topic->partitions.items[p].isr_nodes.count);
        }
    }
    if (code == CLI_OK)
        output_end(&out);
    else
        buf_fini(&out.cells);
out:
    client_call_fini(&call);
    return code;
}

/* "key=value" of --config into the request. */
static int
fill_configs(struct cli *cli, struct proto_create_topics_request_creatable_topic_config *configs,
    int capacity, int *count)
{
    const char *text;
    *count = 0;
    for (int i = 0; (text = cli_value_at(cli, "config", i)) != NULL; i++) {
        const char *equals = strchr(text, '=');
        if (equals == NULL || equals == text || *count == capacity)
            return cli_usage(cli, "--config wants KEY=VALUE, e.g. --config retention.ms=3600000");
        configs[*count].name = (struct str){text, (size_t)(equals - text)};
        configs[(*count)++].value = str_of(equals + 1);
    }
    return CLI_OK;
}

static int
run_create(struct cli *cli)
{
    struct proto_create_topics_request_creatable_topic topics[64];
    struct proto_create_topics_request_creatable_topic_config configs[32];
    struct proto_create_topics_request request;
    const struct proto_create_topics_response *response;
    struct client_call call;
    int64_t partitions, replicas;
    int config_count;
    if (!cli_number(cli, "partitions", -1, 1000000, -1, &partitions) ||
        !cli_number(cli, "replicas", -1, 1000, -1, &replicas))
        return CLI_USAGE;
    memset(configs, 0, sizeof configs);
    int code = fill_configs(cli, configs, COUNT_OF(configs), &config_count);
    if (code != CLI_OK)
        return code;
    proto_init(&proto_create_topics_request_schema, &request);
    memset(topics, 0, sizeof topics);
    for (int i = 0; i < cli->arg_count; i++) {
        topics[i].name = str_of(cli->args[i]);
        topics[i].num_partitions = (int32_t)partitions;
        topics[i].replication_factor = (int16_t)replicas;
        topics[i].configs.items = configs;
        topics[i].configs.count = config_count;
    }
    request.topics.items = topics;
    request.topics.count = cli->arg_count;
    request.timeout_ms = TIMEOUT_MS;
    request.validate_only = cli_flag(cli, "dry-run");
    client_call_init(&call, ARENA_BYTES);
    code = cli_call(cli, &call, CLIENT_TARGET_CONTROLLER, CREATE_TOPICS_KEY, &request,
        (const void **)&response);
    for (int32_t i = 0; code == CLI_OK && i < response->topics.count; i++) {
        if (response->topics.items[i].error_code != 0)
            code = cli_fail_code(cli, response->topics.items[i].name,
                response->topics.items[i].error_code, response->topics.items[i].error_message);
        else
            printf("%s %.*s with %d partitions\n",
                request.validate_only ? "would create" : "created",
                STR_FMT(response->topics.items[i].name),
                (int)response->topics.items[i].num_partitions);
    }
    client_call_fini(&call);
    return code;
}

static int
run_delete(struct cli *cli)
{
    struct proto_delete_topics_request_delete_topic_state topics[64];
    struct proto_delete_topics_request request;
    const struct proto_delete_topics_response *response;
    struct client_call call;
    struct str names[64];
    proto_init(&proto_delete_topics_request_schema, &request);
    memset(topics, 0, sizeof topics);
    for (int i = 0; i < cli->arg_count; i++) {
        topics[i].name = str_of(cli->args[i]);
        names[i] = topics[i].name;
    }
    request.topics.items = topics;
    request.topics.count = cli->arg_count;
    /* Versions before 6 name topics here. */
    request.topic_names.items = names;
    request.topic_names.count = cli->arg_count;
    request.timeout_ms = TIMEOUT_MS;
    client_call_init(&call, ARENA_BYTES);
    int code = cli_call(cli, &call, CLIENT_TARGET_CONTROLLER, DELETE_TOPICS_KEY, &request,
        (const void **)&response);
    for (int32_t i = 0; code == CLI_OK && i < response->responses.count; i++) {
        if (response->responses.items[i].error_code != 0)
            code = cli_fail_code(cli, response->responses.items[i].name,
                response->responses.items[i].error_code,
                response->responses.items[i].error_message);
        else
            printf("deleted %.*s\n", STR_FMT(response->responses.items[i].name));
    }
    client_call_fini(&call);
    return code;
}

const struct cli_command cli_topic_list = {
    .name = "topic list",
    .arguments = "",
    .summary = "topics, with their partitions",
    .options = (const struct cli_option[]){{"internal", 'i', NULL, "also the internal ones"},
        {NULL, 0, NULL, NULL}},
    .examples = "  moldau topic list -o json\n",
    .run = run_list,
};

const struct cli_command cli_topic_describe = {
    .name = "topic describe",
    .arguments = "TOPIC...",
    .summary = "partitions, leaders and replicas of topics",
    .arguments_min = 1,
    .arguments_max = 256,
    .examples = "  moldau topic describe orders\n",
    .run = run_describe,
};

const struct cli_command cli_topic_create = {
    .name = "topic create",
    .arguments = "TOPIC...",
    .summary = "make topics",
    .options =
        (const struct cli_option[]){
            {"partitions", 'p', "N", "partitions of each (the broker's num.partitions)"},
            {"replicas", 'r', "N", "replication factor (the broker's default)"},
            {"config", 'c', "KEY=VALUE", "a topic's setting; may be repeated"},
            {"dry-run", 0, NULL, "only check"},
            {NULL, 0, NULL, NULL},
        },
    .arguments_min = 1,
    .arguments_max = 64,
    .examples = "  moldau topic create orders -p 6 -c retention.ms=86400000\n",
    .run = run_create,
};

const struct cli_command cli_topic_delete = {
    .name = "topic delete",
    .arguments = "TOPIC...",
    .summary = "remove topics and their data",
    .arguments_min = 1,
    .arguments_max = 64,
    .examples = "  moldau topic delete orders\n",
    .run = run_delete,
};
