/* cli/cmd_config.c - moldau config describe | set | unset, for topics and brokers. */
#include <stdlib.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/output.h"
#include "proto/describe_configs_request.h"
#include "proto/describe_configs_response.h"
#include "proto/incremental_alter_configs_request.h"
#include "proto/incremental_alter_configs_response.h"

enum {
    RESOURCE_TOPIC = 2,
    RESOURCE_BROKER = 4,
    SOURCE_DEFAULT = 5,
    OPERATION_SET = 0,
    OPERATION_DELETE = 1,
    CONFIGS_MAX = 64,
    ARENA_BYTES = 64 << 20,
};

struct resource {
    int8_t type;
    struct str name;
    int32_t node_id; /* -1: any broker answers */
};

/* "topic NAME", "broker ID", or "broker default" (what holds for all of them). */
static int
read_resource(struct cli *cli, struct resource *out)
{
    char *end;
    out->name = str_of(cli->args[1]);
    out->node_id = -1;
    if (strcmp(cli->args[0], "topic") == 0) {
        out->type = RESOURCE_TOPIC;
        return CLI_OK;
    }
    if (strcmp(cli->args[0], "broker") != 0)
        return cli_usage(cli, "'%s' is neither topic nor broker", cli->args[0]);
    out->type = RESOURCE_BROKER;
    if (strcmp(cli->args[1], "default") == 0) {
        out->name = STR("");
        return CLI_OK;
    }
    long id = strtol(cli->args[1], &end, 10);
    if (*end != '\0' || end == cli->args[1] || id < 0 || id > INT32_MAX)
        return cli_usage(cli, "a broker is a number or 'default', not '%s'", cli->args[1]);
    out->node_id = (int32_t)id;
    return CLI_OK;
}

/* A broker's own settings are asked of that broker. */
static int
call_resource(struct cli *cli, const struct resource *resource, struct client_call *call,
    int16_t key, const void *request, const void **response)
{
    if (resource->node_id < 0)
        return cli_call(cli, call, CLIENT_TARGET_ANY, key, request, response);
    struct client *client = cli_client(cli);
    if (client == NULL)
        return CLI_FAILED;
    enum err err = client_refresh_wait(client, NULL, 0, false);
    if (err != ERR_OK)
        return cli_fail_call(cli, err);
    call->node_id = resource->node_id;
    return cli_call(cli, call, CLIENT_TARGET_NODE, key, request, response);
}

static const char *
source_name(int8_t source)
{
    static const char *const names[] = {"unknown", "topic", "broker", "all brokers", "file",
        "default", "broker logger", "client metrics", "group"};
    return source >= 0 && source < (int)COUNT_OF(names) ? names[source] : "unknown";
}

static void
print_configs(
    struct cli *cli, const struct proto_describe_configs_response_describe_configs_result *result)
{
    static const char *const columns[] = {"name", "value", "source", "read_only"};
    struct output out;
    bool all = cli_flag(cli, "all");
    output_begin(&out, cli->format, columns, COUNT_OF(columns));
    for (int32_t i = 0; i < result->configs.count; i++) {
        const struct proto_describe_configs_response_describe_configs_resource_result *one =
            &result->configs.items[i];
        if (!all && one->config_source == SOURCE_DEFAULT)
            continue;
        output_str(&out, one->name);
        output_str(&out, one->is_sensitive ? STR("(hidden)") : one->value);
        output_z(&out, source_name(one->config_source));
        output_z(&out, one->read_only ? "yes" : "no");
    }
    output_end(&out);
}

static int
run_describe(struct cli *cli)
{
    struct proto_describe_configs_request_describe_configs_resource asked;
    struct proto_describe_configs_request request;
    const struct proto_describe_configs_response *response;
    struct resource resource;
    struct client_call call;
    int code = read_resource(cli, &resource);
    if (code != CLI_OK)
        return code;
    proto_init(&proto_describe_configs_request_schema, &request);
    memset(&asked, 0, sizeof asked);
    asked.resource_type = resource.type;
    asked.resource_name = resource.name;
    asked.configuration_keys.count = -1;
    request.resources.items = &asked;
    request.resources.count = 1;
    client_call_init(&call, ARENA_BYTES);
    code = call_resource(cli, &resource, &call, PROTO_DESCRIBE_CONFIGS_REQUEST_KEY, &request,
        (const void **)&response);
    for (int32_t i = 0; code == CLI_OK && i < response->results.count; i++) {
        if (response->results.items[i].error_code != 0)
            code = cli_fail_code(cli, resource.name, response->results.items[i].error_code,
                response->results.items[i].error_message);
        else
            print_configs(cli, &response->results.items[i]);
    }
    client_call_fini(&call);
    return code;
}

static int
alter(struct cli *cli, int8_t operation)
{
    struct proto_incremental_alter_configs_request_alterable_config configs[CONFIGS_MAX];
    struct proto_incremental_alter_configs_request_alter_configs_resource asked = {0};
    struct proto_incremental_alter_configs_request request;
    const struct proto_incremental_alter_configs_response *response;
    struct resource resource;
    struct client_call call;
    int code = read_resource(cli, &resource);
    if (code != CLI_OK)
        return code;
    memset(configs, 0, sizeof configs);
    for (int i = 2; i < cli->arg_count; i++) {
        const char *equals = strchr(cli->args[i], '=');
        if ((equals != NULL) != (operation == OPERATION_SET) || equals == cli->args[i])
            return cli_usage(cli, "wants %s, not '%s'",
                operation == OPERATION_SET ? "KEY=VALUE" : "KEY", cli->args[i]);
        configs[i - 2].name = str_of(cli->args[i]);
        configs[i - 2].config_operation = operation;
        if (equals != NULL) {
            configs[i - 2].name.len = (size_t)(equals - cli->args[i]);
            configs[i - 2].value = str_of(equals + 1);
        }
    }
    proto_init(&proto_incremental_alter_configs_request_schema, &request);
    asked.resource_type = resource.type;
    asked.resource_name = resource.name;
    asked.configs.items = configs;
    asked.configs.count = cli->arg_count - 2;
    request.resources.items = &asked;
    request.resources.count = 1;
    request.validate_only = cli_flag(cli, "dry-run");
    client_call_init(&call, ARENA_BYTES);
    code = call_resource(cli, &resource, &call, PROTO_INCREMENTAL_ALTER_CONFIGS_REQUEST_KEY,
        &request, (const void **)&response);
    for (int32_t i = 0; code == CLI_OK && i < response->responses.count; i++)
        if (response->responses.items[i].error_code != 0)
            code = cli_fail_code(cli, resource.name, response->responses.items[i].error_code,
                response->responses.items[i].error_message);
    if (code == CLI_OK)
        printf("%s %d setting%s of %s %s\n", request.validate_only ? "would change" : "changed",
            cli->arg_count - 2, cli->arg_count == 3 ? "" : "s", cli->args[0], cli->args[1]);
    client_call_fini(&call);
    return code;
}

static int
run_set(struct cli *cli)
{
    return alter(cli, OPERATION_SET);
}

static int
run_unset(struct cli *cli)
{
    return alter(cli, OPERATION_DELETE);
}

static const struct cli_option alter_options[] = {
    {"dry-run", 0, NULL, "only check"},
    {NULL, 0, NULL, NULL},
};

const struct cli_command cli_config_describe = {
    .name = "config describe",
    .arguments = "topic|broker NAME",
    .summary = "settings of a topic or a broker",
    .options = (const struct cli_option[]){{"all", 'a', NULL, "also those at their default"},
        {NULL, 0, NULL, NULL}},
    .arguments_min = 2,
    .arguments_max = 2,
    .examples = "  moldau config describe topic orders\n"
                "  moldau config describe broker 1 --all\n",
    .run = run_describe,
};

const struct cli_command cli_config_set = {
    .name = "config set",
    .arguments = "topic|broker NAME KEY=VALUE...",
    .summary = "change settings",
    .options = alter_options,
    .arguments_min = 3,
    .arguments_max = CONFIGS_MAX + 2,
    .examples = "  moldau config set topic orders retention.ms=86400000\n",
    .run = run_set,
};

const struct cli_command cli_config_unset = {
    .name = "config unset",
    .arguments = "topic|broker NAME KEY...",
    .summary = "put settings back to their default",
    .options = alter_options,
    .arguments_min = 3,
    .arguments_max = CONFIGS_MAX + 2,
    .examples = "  moldau config unset topic orders retention.ms\n",
    .run = run_unset,
};
