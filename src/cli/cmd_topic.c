/* cli/cmd_topic.c - moldau topic list | create | clone | delete. */
#include <fnmatch.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/configs.h"
#include "cli/output.h"
#include "cli/partitions.h"
#include "cli/topics.h"
#include "proto/create_topics_request.h"
#include "proto/create_topics_response.h"
#include "proto/delete_topics_request.h"
#include "proto/delete_topics_response.h"
#include "proto/error_codes.h"

enum {
    RESPONSE_ARENA = 64 << 20,
    TOPICS_MAX = 1000,
    CONFIGS_MAX = 256,
    REPLICAS_MAX = 1000,
    PARTITIONS_MAX = 1000000,
};

/* ---- list ---- */

static bool
is_listed(const struct cli *cli, const struct topic *topic)
{
    if (topic->is_internal && !cli_flag(cli, "internal"))
        return false;
    for (int i = 0; i < cli->arg_count; i++) {
        const char *name = topic->name.data; /* terminated: topics_ask copies */
        if (fnmatch(cli->args[i], name, 0) == 0)
            return true;
    }
    return cli->arg_count == 0;
}

static int
run_list(struct cli *cli)
{
    static const char *const columns[] = {
        "topic", "partitions", "replicas", "internal", "+id", "+under_replicated"};
    struct topic *topics;
    struct output out;
    int count;
    int code = topics_ask(cli, NULL, 0, &topics, &count);
    if (code != CLI_OK)
        return code;
    output_begin(&out, cli->format, columns, COUNT_OF(columns));
    for (int i = 0; i < count; i++) {
        char id[UUID_TEXT_SIZE];
        if (!is_listed(cli, &topics[i]))
            continue;
        uuid_format(topics[i].id, id);
        int under = 0;
        for (int p = 0; p < topics[i].partition_count; p++)
            under += topics[i].partitions[p].isr_count < topics[i].partitions[p].replica_count;
        output_str(&out, topics[i].name);
        output_i64(&out, topics[i].partition_count);
        output_i64(&out, topics[i].partition_count > 0 ? topics[i].partitions[0].replica_count : 0);
        output_bool(&out, topics[i].is_internal);
        output_z(&out, id);
        output_i64(&out, under);
    }
    return output_end(&out);
}

/* ---- create ---- */

/* What all topics of one call get. */
struct plan {
    int64_t partitions, replicas; /* -1: the broker's default */
    struct proto_create_topics_request_creatable_topic_config configs[CONFIGS_MAX];
    int config_count;
};

static int
read_plan(struct cli *cli, struct plan *plan)
{
    const char *text;
    if (!cli_number(cli, "partitions", 1, PARTITIONS_MAX, -1, &plan->partitions) ||
        !cli_number(cli, "replicas", 1, REPLICAS_MAX, -1, &plan->replicas))
        return CLI_USAGE;
    for (int i = 0; (text = cli_value_at(cli, "config", i)) != NULL; i++) {
        struct config_change change;
        int code = config_change_read(cli, text, true, &change);
        if (code == CLI_OK && plan->config_count == CONFIGS_MAX)
            code = cli_usage(cli, "more than %d settings", CONFIGS_MAX);
        if (code != CLI_OK)
            return code;
        plan->configs[plan->config_count].name = change.key;
        plan->configs[plan->config_count++].value = change.value;
    }
    return CLI_OK;
}

static void
print_created(struct output *out,
    const struct proto_create_topics_response_creatable_topic_result *one, bool dry_run)
{
    char id[UUID_TEXT_SIZE];
    bool failed = one->error_code != 0;
    uuid_format(one->topic_id, id);
    output_str(out, one->name);
    output_i64_if(out, !failed && one->num_partitions >= 0, one->num_partitions);
    output_i64_if(out, !failed && one->replication_factor >= 0, one->replication_factor);
    output_z(out, failed ? "failed" : dry_run ? "would be created" : "created");
    output_z(out, uuid_is_zero(one->topic_id) ? NULL : id);
}

/* In the order asked for: brokers answer in one of their own. */
static int
print_all_created(struct cli *cli, const struct proto_create_topics_response *response,
    char **names, int count, bool dry_run)
{
    static const char *const columns[] = {"topic", "partitions", "replicas", "status", "+id"};
    struct output out;
    int code = CLI_OK;
    output_begin(&out, cli->format, columns, COUNT_OF(columns));
    for (int i = 0; i < count; i++)
        for (int32_t k = 0; k < response->topics.count; k++) {
            const struct proto_create_topics_response_creatable_topic_result *one =
                &response->topics.items[k];
            if (!str_eq_z(one->name, names[i]))
                continue;
            if (one->error_code != 0)
                code = cli_fail_code(cli, one->name, one->error_code, one->error_message);
            print_created(&out, one, dry_run);
            break;
        }
    int end = output_end(&out);
    return code != CLI_OK ? code : end;
}

static int
create(struct cli *cli, char **names, int count, struct plan *plan)
{
    struct proto_create_topics_request request;
    const struct proto_create_topics_response *response;
    struct client_call call;
    proto_init(&proto_create_topics_request_schema, &request);
    request.topics.items = arena_calloc(&cli->arena, (size_t)count, sizeof *request.topics.items);
    if (request.topics.items == NULL)
        return cli_fail_memory(cli);
    for (int i = 0; i < count; i++) {
        request.topics.items[i].name = str_of(names[i]);
        request.topics.items[i].num_partitions = (int32_t)plan->partitions;
        request.topics.items[i].replication_factor = (int16_t)plan->replicas;
        request.topics.items[i].configs.items = plan->configs;
        request.topics.items[i].configs.count = plan->config_count;
    }
    request.topics.count = count;
    request.timeout_ms = (int32_t)cli->timeout_ms;
    request.validate_only = cli_flag(cli, "dry-run");
    client_call_init(&call, RESPONSE_ARENA);
    int code = cli_call(cli, &call, CLIENT_TARGET_CONTROLLER, PROTO_CREATE_TOPICS_REQUEST_KEY,
        &request, (const void **)&response);
    if (code == CLI_OK)
        code = print_all_created(cli, response, names, count, request.validate_only);
    client_call_fini(&call);
    return code;
}

static int
run_create(struct cli *cli)
{
    struct plan *plan = arena_calloc(&cli->arena, 1, sizeof *plan);
    if (plan == NULL)
        return cli_fail_memory(cli);
    int code = read_plan(cli, plan);
    return code == CLI_OK ? create(cli, cli->args, cli->arg_count, plan) : code;
}

/* ---- clone ---- */

struct clone {
    struct cli *cli;
    struct plan *plan;
};

/* Takes the settings that the source topic has of its own, where --config says nothing. */
static int
take_config(void *ctx, const struct proto_describe_configs_response_describe_configs_result *result)
{
    struct clone *clone = ctx;
    struct plan *plan = clone->plan;
    struct arena *arena = &clone->cli->arena;
    int given = plan->config_count;
    for (int32_t i = 0; i < result->configs.count; i++) {
        struct str name = result->configs.items[i].name;
        bool known = result->configs.items[i].config_source != 1; /* not the topic's own */
        for (int k = 0; k < given && !known; k++)
            known = str_eq(plan->configs[k].name, name);
        if (known || plan->config_count == CONFIGS_MAX)
            continue;
        plan->configs[plan->config_count].name = arena_str(arena, name);
        plan->configs[plan->config_count++].value =
            arena_str(arena, result->configs.items[i].value);
    }
    return arena->exhausted ? cli_fail_memory(clone->cli) : CLI_OK;
}

static int
run_clone(struct cli *cli)
{
    struct plan *plan = arena_calloc(&cli->arena, 1, sizeof *plan);
    struct clone clone = {cli, plan};
    struct config_resource source = {CONFIG_KIND_TOPIC, str_of(cli->args[0]), -1};
    struct topic *topic;
    int count;
    if (plan == NULL)
        return cli_fail_memory(cli);
    int code = read_plan(cli, plan);
    if (code == CLI_OK)
        code = topics_ask(cli, cli->args, 1, &topic, &count);
    if (code == CLI_OK)
        code = configs_describe(cli, &source, 1, take_config, &clone);
    if (code != CLI_OK)
        return code;
    if (plan->partitions < 0)
        plan->partitions = topic->partition_count;
    if (plan->replicas < 0 && topic->partition_count > 0)
        plan->replicas = topic->partitions[0].replica_count;
    return create(cli, cli->args + 1, 1, plan);
}

/* ---- delete ---- */

static void
print_deleted(struct output *out, struct str name, bool failed, bool dry_run)
{
    output_str(out, name);
    output_z(out, failed ? "failed" : dry_run ? "would be deleted" : "deleted");
}

/* Brokers answer in an order of their own. */
static const struct proto_delete_topics_response_deletable_topic_result *
find_deleted(const struct proto_delete_topics_response *response, struct str name)
{
    for (int32_t i = 0; i < response->responses.count; i++)
        if (str_eq(response->responses.items[i].name, name))
            return &response->responses.items[i];
    return NULL;
}

static int
call_delete(struct cli *cli, struct output *out)
{
    struct proto_delete_topics_request request;
    const struct proto_delete_topics_response *response;
    struct client_call call;
    size_t count = (size_t)cli->arg_count;
    proto_init(&proto_delete_topics_request_schema, &request);
    request.topics.items = arena_calloc(&cli->arena, count, sizeof *request.topics.items);
    request.topic_names.items = arena_calloc(&cli->arena, count, sizeof *request.topic_names.items);
    if (cli->arena.exhausted)
        return cli_fail_memory(cli);
    for (int i = 0; i < cli->arg_count; i++) {
        request.topics.items[i].name = str_of(cli->args[i]);
        request.topic_names.items[i] = str_of(cli->args[i]); /* versions before 6 */
    }
    request.topics.count = cli->arg_count;
    request.topic_names.count = cli->arg_count;
    request.timeout_ms = (int32_t)cli->timeout_ms;
    client_call_init(&call, RESPONSE_ARENA);
    int code = cli_call(cli, &call, CLIENT_TARGET_CONTROLLER, PROTO_DELETE_TOPICS_REQUEST_KEY,
        &request, (const void **)&response);
    for (int i = 0, calling = code; calling == CLI_OK && i < cli->arg_count; i++) {
        const struct proto_delete_topics_response_deletable_topic_result *one =
            find_deleted(response, str_of(cli->args[i]));
        if (one == NULL)
            code = cli_fail(cli, "%s: the broker's answer does not name it", cli->args[i]);
        else if (one->error_code == PROTO_ERROR_UNKNOWN_TOPIC_OR_PARTITION)
            code = partitions_missing_topic(cli, one->name);
        else if (one->error_code != 0)
            code = cli_fail_code(cli, one->name, one->error_code, one->error_message);
        print_deleted(out, str_of(cli->args[i]), one == NULL || one->error_code != 0, false);
    }
    client_call_fini(&call);
    return code;
}

static int
run_delete(struct cli *cli)
{
    static const char *const columns[] = {"topic", "status"};
    struct topic *topics;
    struct output out;
    int count;
    int code;
    output_begin(&out, cli->format, columns, COUNT_OF(columns));
    if (cli_flag(cli, "dry-run")) {
        code = topics_ask(cli, cli->args, cli->arg_count, &topics, &count);
        for (int i = 0; code == CLI_OK && i < count; i++)
            print_deleted(&out, topics[i].name, false, true);
    } else {
        code = call_delete(cli, &out);
    }
    int end = output_end(&out);
    return code != CLI_OK ? code : end;
}

/* ---- the table ---- */

const struct cli_command cli_topic_list = {
    .name = "topic list",
    .arguments = "[PATTERN...]",
    .summary = "topics, with their partitions",
    .options = (const struct cli_option[]){{"internal", 'i', NULL, "also the internal ones"},
        {NULL, 0, NULL, NULL}},
    .arguments_max = -1,
    .examples = "  moldau topic list\n"
                "  moldau topic list 'orders-*' -o name\n",
    .run = run_list,
};

const struct cli_command cli_topic_create = {
    .name = "topic create",
    .arguments = "TOPIC...",
    .summary = "make topics",
    .options =
        (const struct cli_option[]){
            {"partitions", 'p', "N", "partitions of each", "the broker's num.partitions"},
            {"replicas", 'r', "N", "replication factor", "the broker's default.replication.factor"},
            {"config", 'c', "KEY=VALUE", "a topic's setting; may be repeated"},
            {"dry-run", 0, NULL, "only let the broker check it"},
            {NULL, 0, NULL, NULL},
        },
    .arguments_min = 1,
    .arguments_max = TOPICS_MAX,
    .examples = "  moldau topic create orders -p 6 -c retention.ms=86400000\n",
    .run = run_create,
};

const struct cli_command cli_topic_clone = {
    .name = "topic clone",
    .arguments = "TOPIC NEW",
    .summary = "make a topic with the partitions and settings of another, without its records",
    .options =
        (const struct cli_option[]){
            {"partitions", 'p', "N", "another number of partitions"},
            {"replicas", 'r', "N", "another replication factor"},
            {"config", 'c', "KEY=VALUE", "another setting; may be repeated"},
            {"dry-run", 0, NULL, "only let the broker check it"},
            {NULL, 0, NULL, NULL},
        },
    .arguments_min = 2,
    .arguments_max = 2,
    .not_found = "there is no such topic",
    .examples = "  moldau topic clone orders orders-test -p 1\n",
    .run = run_clone,
};

const struct cli_command cli_topic_delete = {
    .name = "topic delete",
    .arguments = "TOPIC...",
    .summary = "remove topics and their data",
    .options = (const struct cli_option[]){{"dry-run", 0, NULL, "only show what would be done"},
        {NULL, 0, NULL, NULL}},
    .arguments_min = 1,
    .arguments_max = TOPICS_MAX,
    .not_found = "there is no such topic",
    .examples = "  moldau topic delete orders\n",
    .run = run_delete,
};
