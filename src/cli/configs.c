/* cli/configs.c - DescribeConfigs and IncrementalAlterConfigs. */
#include "cli/configs.h"

#include <string.h>

#include "base/assert.h"
#include "cli/output.h"
#include "cli/suggest.h"
#include "proto/describe_configs_request.h"
#include "proto/error_codes.h"
#include "proto/incremental_alter_configs_request.h"
#include "proto/incremental_alter_configs_response.h"

enum { OPERATION_SET = 0, OPERATION_DELETE = 1, RESPONSE_ARENA = 256 << 20 };

static const struct {
    const char *name;
    enum config_kind kind;
} kinds[] = {
    {"topic", CONFIG_KIND_TOPIC},
    {"broker", CONFIG_KIND_BROKER},
    {"group", CONFIG_KIND_GROUP},
    {"client-metrics", CONFIG_KIND_CLIENT_METRICS},
    {"broker-logger", CONFIG_KIND_BROKER_LOGGER},
};

static const char *
kind_name(enum config_kind kind)
{
    for (size_t i = 0; i < COUNT_OF(kinds); i++)
        if (kinds[i].kind == kind)
            return kinds[i].name;
    return "resource";
}

static int
unknown_kind(const struct cli *cli, const char *kind)
{
    struct suggest suggest;
    suggest_init(&suggest, kind);
    for (size_t i = 0; i < COUNT_OF(kinds); i++)
        suggest_add(&suggest, kinds[i].name);
    if (suggest_best(&suggest) != NULL)
        return cli_usage(cli, "no kind '%s'; did you mean %s?", kind, suggest_best(&suggest));
    return cli_usage(
        cli, "'%s' must be topic, broker, group, client-metrics or broker-logger", kind);
}

int
config_resource_read(
    const struct cli *cli, const char *kind, const char *name, struct config_resource *out)
{
    int64_t id;
    size_t i = 0;
    while (i < COUNT_OF(kinds) && strcmp(kinds[i].name, kind) != 0)
        i++;
    if (i == COUNT_OF(kinds))
        return unknown_kind(cli, kind);
    *out = (struct config_resource){.kind = kinds[i].kind, .name = str_of(name), .node_id = -1};
    if (out->kind != CONFIG_KIND_BROKER && out->kind != CONFIG_KIND_BROKER_LOGGER) {
        if (name[0] == '\0')
            return cli_usage(cli, "the name of a %s may not be empty", kind);
        return CLI_OK;
    }
    if (out->kind == CONFIG_KIND_BROKER && strcmp(name, "default") == 0) {
        out->name = STR("");
        return CLI_OK;
    }
    if (!cli_number_parse(name, 0, INT32_MAX, &id))
        return cli_usage(cli, "a broker is a number or 'default' (for all), not '%s'", name);
    out->node_id = (int32_t)id;
    return CLI_OK;
}

const char *
config_source_name(int8_t source)
{
    static const char *const names[] = {"unknown", "topic", "broker", "all brokers", "file",
        "default", "broker logger", "client metrics", "group"};
    return source >= 0 && source < (int)COUNT_OF(names) ? names[source] : "unknown";
}

/* A broker's own settings are asked of that broker. */
static int
call_for(struct cli *cli, const struct config_resource *resource, struct client_call *call,
    int16_t key, const void *request, const void **response)
{
    call->node_id = resource->node_id;
    return cli_call(cli, call, resource->node_id < 0 ? CLIENT_TARGET_ANY : CLIENT_TARGET_NODE, key,
        request, response);
}

static struct str
shown_name(const struct config_resource *resource)
{
    return resource->name.len > 0 ? resource->name : STR("default");
}

/* ---- asking ---- */

int
configs_describe(struct cli *cli, const struct config_resource *resources, int count,
    config_print_fn print, void *ctx)
{
    struct proto_describe_configs_request request;
    const struct proto_describe_configs_response *response;
    struct client_call call;
    ASSERT(count > 0);
    proto_init(&proto_describe_configs_request_schema, &request);
    request.resources.items =
        arena_calloc(&cli->arena, (size_t)count, sizeof *request.resources.items);
    if (request.resources.items == NULL)
        return cli_fail_memory(cli);
    request.resources.count = count;
    request.include_synonyms = true;
    request.include_documentation = true;
    for (int i = 0; i < count; i++) {
        request.resources.items[i].resource_type = (int8_t)resources[i].kind;
        request.resources.items[i].resource_name = resources[i].name;
        request.resources.items[i].configuration_keys.count = -1;
    }
    client_call_init(&call, RESPONSE_ARENA);
    int code = call_for(cli, &resources[0], &call, PROTO_DESCRIBE_CONFIGS_REQUEST_KEY, &request,
        (const void **)&response);
    for (int32_t i = 0; code == CLI_OK && i < response->results.count; i++) {
        const struct proto_describe_configs_response_describe_configs_result *result =
            &response->results.items[i];
        if (result->error_code != 0)
            code = cli_fail_code(
                cli, result->resource_name, result->error_code, result->error_message);
        else
            code = print(ctx, result);
    }
    client_call_fini(&call);
    return code;
}

/* ---- changing ---- */

int
config_change_read(const struct cli *cli, const char *text, bool set, struct config_change *out)
{
    const char *equals = strchr(text, '=');
    if (set && (equals == NULL || equals == text))
        return cli_usage(cli, "'%s' must be KEY=VALUE, e.g. retention.ms=86400000", text);
    if (!set && (equals != NULL || text[0] == '\0'))
        return cli_usage(cli, "'%s' must be a key alone, e.g. retention.ms", text);
    out->key = set ? (struct str){text, (size_t)(equals - text)} : str_of(text);
    out->value = set ? str_of(equals + 1) : STR_NULL;
    return CLI_OK;
}

struct key_search {
    struct cli *cli;
    const struct config_change *changes;
    int count;
};

/* Names the nearest real key of each one that is none. */
static int
suggest_keys(
    void *ctx, const struct proto_describe_configs_response_describe_configs_result *result)
{
    struct key_search *search = ctx;
    for (int c = 0; c < search->count; c++) {
        struct arena *arena = &search->cli->arena;
        struct str key = search->changes[c].key;
        struct suggest suggest;
        bool known = false;
        const char *word = arena_strndup(arena, key.data, key.len);
        suggest_init(&suggest, word != NULL ? word : "");
        for (int32_t i = 0; i < result->configs.count; i++) {
            struct str name = result->configs.items[i].name;
            const char *copy = arena_strndup(arena, name.data, name.len);
            known |= str_eq(name, key);
            if (copy != NULL)
                suggest_add(&suggest, copy);
        }
        if (!known && suggest_best(&suggest) != NULL)
            cli_hint("%s instead of %.*s", suggest_best(&suggest), STR_FMT(key));
    }
    return CLI_OK;
}

static int
call_alter(struct cli *cli, const struct config_resource *resource,
    const struct proto_incremental_alter_configs_request *request, int16_t *error)
{
    const struct proto_incremental_alter_configs_response *response;
    struct client_call call;
    *error = 0;
    client_call_init(&call, RESPONSE_ARENA);
    int code = call_for(cli, resource, &call, PROTO_INCREMENTAL_ALTER_CONFIGS_REQUEST_KEY, request,
        (const void **)&response);
    for (int32_t i = 0; code == CLI_OK && i < response->responses.count; i++)
        if (response->responses.items[i].error_code != 0) {
            *error = response->responses.items[i].error_code;
            code = cli_fail_code(
                cli, shown_name(resource), *error, response->responses.items[i].error_message);
        }
    client_call_fini(&call);
    return code;
}

int
configs_alter(struct cli *cli, const struct config_resource *resource,
    const struct config_change *changes, int count, bool dry_run)
{
    struct proto_incremental_alter_configs_request_alterable_config configs[CONFIG_CHANGES_MAX];
    struct proto_incremental_alter_configs_request_alter_configs_resource asked = {0};
    struct proto_incremental_alter_configs_request request;
    int16_t error;
    ASSERT(count <= CONFIG_CHANGES_MAX);
    memset(configs, 0, sizeof configs);
    for (int i = 0; i < count; i++) {
        configs[i].name = changes[i].key;
        configs[i].value = changes[i].value;
        configs[i].config_operation =
            str_is_null(changes[i].value) ? OPERATION_DELETE : OPERATION_SET;
    }
    proto_init(&proto_incremental_alter_configs_request_schema, &request);
    asked.resource_type = (int8_t)resource->kind;
    asked.resource_name = resource->name;
    asked.configs.items = configs;
    asked.configs.count = count;
    request.resources.items = &asked;
    request.resources.count = 1;
    request.validate_only = dry_run;
    int code = call_alter(cli, resource, &request, &error);
    if (error == PROTO_ERROR_INVALID_CONFIG || error == PROTO_ERROR_INVALID_REQUEST) {
        struct key_search search = {cli, changes, count};
        (void)configs_describe(cli, resource, 1, suggest_keys, &search);
    }
    return code;
}

int
configs_print_changes(struct cli *cli, const struct config_resource *resource,
    const struct config_change *changes, int count, bool dry_run)
{
    static const char *const columns[] = {"kind", "name", "key", "value", "status"};
    struct output out;
    output_begin(&out, cli->format, columns, COUNT_OF(columns));
    for (int i = 0; i < count; i++) {
        bool set = !str_is_null(changes[i].value);
        output_z(&out, kind_name(resource->kind));
        output_str(&out, shown_name(resource));
        output_str(&out, changes[i].key);
        output_str(&out, changes[i].value);
        output_z(&out, dry_run ? (set ? "would be set" : "would be unset") : set ? "set" : "unset");
    }
    return output_end(&out);
}
