/* cli/cmd_topic_more.c - moldau topic alter | add-partitions | trim | purge. */
#include <stdlib.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/configs.h"
#include "cli/output.h"
#include "cli/partitions.h"
#include "cli/topics.h"
#include "cli/when.h"
#include "proto/create_partitions_request.h"
#include "proto/create_partitions_response.h"
#include "proto/delete_records_request.h"
#include "proto/delete_records_response.h"

enum { RESPONSE_ARENA = 64 << 20, PARTITIONS_MAX = 1000000, TO_THE_END = -1 };

/* ---- alter ---- */

static int
run_alter(struct cli *cli)
{
    struct config_change changes[CONFIG_CHANGES_MAX];
    struct config_resource resource = {CONFIG_KIND_TOPIC, str_of(cli->args[0]), -1};
    bool dry_run = cli_flag(cli, "dry-run");
    const char *key;
    int count = 0;
    int code = CLI_OK;
    for (int i = 1; code == CLI_OK && i < cli->arg_count && count < CONFIG_CHANGES_MAX; i++)
        code = config_change_read(cli, cli->args[i], true, &changes[count++]);
    for (int i = 0; code == CLI_OK && (key = cli_value_at(cli, "unset", i)) != NULL &&
                    count < CONFIG_CHANGES_MAX;
         i++)
        code = config_change_read(cli, key, false, &changes[count++]);
    if (code == CLI_OK && count == 0)
        code = cli_usage(cli, "wants KEY=VALUE or --unset KEY");
    if (code == CLI_OK)
        code = configs_alter(cli, &resource, changes, count, dry_run);
    return code == CLI_OK ? configs_print_changes(cli, &resource, changes, count, dry_run) : code;
}

/* ---- add-partitions ---- */

static int
call_create_partitions(struct cli *cli, int32_t count)
{
    struct proto_create_partitions_request_create_partitions_topic topic = {0};
    struct proto_create_partitions_request request;
    const struct proto_create_partitions_response *response;
    struct client_call call;
    proto_init(&proto_create_partitions_request_schema, &request);
    topic.name = str_of(cli->args[0]);
    topic.count = count;
    topic.assignments.count = -1;
    request.topics.items = &topic;
    request.topics.count = 1;
    request.timeout_ms = (int32_t)cli->timeout_ms;
    request.validate_only = cli_flag(cli, "dry-run");
    client_call_init(&call, RESPONSE_ARENA);
    int code = cli_call(cli, &call, CLIENT_TARGET_CONTROLLER, PROTO_CREATE_PARTITIONS_REQUEST_KEY,
        &request, (const void **)&response);
    for (int32_t i = 0; code == CLI_OK && i < response->results.count; i++)
        if (response->results.items[i].error_code != 0)
            code = cli_fail_code(cli, topic.name, response->results.items[i].error_code,
                response->results.items[i].error_message);
    client_call_fini(&call);
    return code;
}

static int
run_add_partitions(struct cli *cli)
{
    static const char *const columns[] = {"topic", "before", "partitions", "status"};
    struct topic *topic;
    struct output out;
    int64_t count;
    int topic_count;
    if (!cli_number_parse(cli->args[1], 1, PARTITIONS_MAX, &count))
        return cli_usage(cli, "wants the new number of partitions (1 to %d), not '%s'",
            PARTITIONS_MAX, cli->args[1]);
    int code = topics_ask(cli, cli->args, 1, &topic, &topic_count);
    if (code == CLI_OK)
        code = call_create_partitions(cli, (int32_t)count);
    if (code != CLI_OK)
        return code;
    output_begin(&out, cli->format, columns, COUNT_OF(columns));
    output_z(&out, cli->args[0]);
    output_i64(&out, topic->partition_count);
    output_i64(&out, count);
    output_z(&out, cli_flag(cli, "dry-run") ? "would be added" : "added");
    return output_end(&out);
}

/* ---- trim ---- */

struct trim {
    struct cli *cli;
    struct partition *parts;
    int count;
    int64_t *first, *last; /* what the partition has now */
    int64_t *wanted;       /* the first offset to keep */
    int64_t *got;          /* where it starts afterwards */
    int16_t *errors;
};

static int
make_room(struct trim *trim)
{
    struct arena *arena = &trim->cli->arena;
    size_t n = (size_t)trim->count + 1;
    trim->first = arena_calloc(arena, n, sizeof(int64_t));
    trim->last = arena_calloc(arena, n, sizeof(int64_t));
    trim->wanted = arena_calloc(arena, n, sizeof(int64_t));
    trim->got = arena_calloc(arena, n, sizeof(int64_t));
    trim->errors = arena_calloc(arena, n, sizeof(int16_t));
    return arena->exhausted ? cli_fail_memory(trim->cli) : CLI_OK;
}

/* Which offset is the first to keep, in each partition. */
static int
work_out(struct trim *trim, int64_t offset, bool by_time, int64_t time_ms)
{
    struct cli *cli = trim->cli;
    int code = partitions_offsets_all(cli, trim->parts, trim->count, OFFSET_EARLIEST, trim->first);
    if (code == CLI_OK)
        code = partitions_offsets_all(cli, trim->parts, trim->count, OFFSET_LATEST, trim->last);
    if (code == CLI_OK && by_time)
        code = partitions_offsets_all(cli, trim->parts, trim->count, time_ms, trim->wanted);
    for (int i = 0; code == CLI_OK && i < trim->count; i++) {
        int64_t wanted = by_time ? trim->wanted[i] : offset;
        if (wanted < 0 || wanted > trim->last[i]) /* everything, or nothing is that young */
            wanted = trim->last[i];
        trim->wanted[i] = wanted > trim->first[i] ? wanted : trim->first[i];
        trim->got[i] = trim->wanted[i];
    }
    return code;
}

/* The request to the leader of parts[at]: every partition of it that has something to delete. */
static int
trim_leader(struct trim *trim, int32_t leader)
{
    struct cli *cli = trim->cli;
    struct proto_delete_records_request request;
    const struct proto_delete_records_response *response;
    struct client_call call;
    size_t n = (size_t)trim->count + 1;
    struct proto_delete_records_request_delete_records_partition *parts =
        arena_calloc(&cli->arena, n, sizeof *parts);
    proto_init(&proto_delete_records_request_schema, &request);
    request.topics.items = arena_calloc(&cli->arena, n, sizeof *request.topics.items);
    if (cli->arena.exhausted)
        return cli_fail_memory(cli);
    request.topics.count = 0;
    for (int i = 0, k = 0; i < trim->count; i++) {
        if (trim->parts[i].leader != leader || trim->wanted[i] <= trim->first[i])
            continue;
        if (k == 0 ||
            !str_eq(request.topics.items[request.topics.count - 1].name, trim->parts[i].topic)) {
            request.topics.items[request.topics.count].name = trim->parts[i].topic;
            request.topics.items[request.topics.count++].partitions.items = parts + k;
        }
        request.topics.items[request.topics.count - 1].partitions.count++;
        parts[k].partition_index = trim->parts[i].index;
        parts[k++].offset = trim->wanted[i];
    }
    if (request.topics.count == 0)
        return CLI_OK;
    request.timeout_ms = (int32_t)cli->timeout_ms;
    client_call_init(&call, RESPONSE_ARENA);
    call.node_id = leader;
    int code = cli_call(cli, &call, CLIENT_TARGET_NODE, PROTO_DELETE_RECORDS_REQUEST_KEY, &request,
        (const void **)&response);
    for (int32_t t = 0; code == CLI_OK && t < response->topics.count; t++)
        for (int32_t p = 0; p < response->topics.items[t].partitions.count; p++) {
            const struct proto_delete_records_response_delete_records_partition_result *one =
                &response->topics.items[t].partitions.items[p];
            struct partition *part = partitions_find(
                trim->parts, trim->count, response->topics.items[t].name, one->partition_index);
            if (part == NULL)
                continue;
            trim->errors[part - trim->parts] = one->error_code;
            trim->got[part - trim->parts] = one->error_code == 0 ? one->low_watermark : -1;
        }
    client_call_fini(&call);
    return code;
}

static int
trim_all(struct trim *trim)
{
    int code = CLI_OK;
    for (int i = 0; code == CLI_OK && i < trim->count; i++) {
        bool asked = false;
        for (int k = 0; k < i && !asked; k++) /* ends soon: leaders are few */
            asked = trim->parts[k].leader == trim->parts[i].leader;
        if (!asked)
            code = trim_leader(trim, trim->parts[i].leader);
        cli_progress(trim->cli, "trimming: %d of %d partitions", i + 1, trim->count);
    }
    cli_progress_end(trim->cli);
    return code;
}

static int
print_trimmed(struct trim *trim, bool dry_run)
{
    static const char *const columns[] = {
        "topic", "partition", "before", "start_offset", "end_offset", "deleted", "status"};
    struct output out;
    int code = CLI_OK;
    output_begin(&out, trim->cli->format, columns, COUNT_OF(columns));
    for (int i = 0; i < trim->count; i++) {
        bool failed = trim->errors[i] != 0;
        bool nothing = trim->wanted[i] <= trim->first[i];
        if (failed)
            code = cli_fail_code(trim->cli, trim->parts[i].topic, trim->errors[i], STR_NULL);
        output_str(&out, trim->parts[i].topic);
        output_i64(&out, trim->parts[i].index);
        output_i64(&out, trim->first[i]);
        output_i64(&out, failed ? trim->first[i] : trim->got[i]);
        output_i64(&out, trim->last[i]);
        output_i64(&out, failed ? 0 : trim->got[i] - trim->first[i]);
        output_z(&out, failed    ? "failed"
                       : nothing ? "nothing to trim"
                       : dry_run ? "would be trimmed"
                                 : "trimmed");
    }
    int end = output_end(&out);
    return code != CLI_OK ? code : end;
}

/* offset TO_THE_END: every record. */
static int
trim_topics(struct cli *cli, char **args, int count, int64_t offset, bool by_time, int64_t time_ms)
{
    struct trim trim = {.cli = cli};
    bool dry_run = cli_flag(cli, "dry-run");
    int code = partitions_expand(cli, args, count, &trim.parts, &trim.count);
    if (code == CLI_OK)
        code = make_room(&trim);
    if (code == CLI_OK)
        code = work_out(&trim, offset, by_time, time_ms);
    if (code == CLI_OK && !dry_run)
        code = trim_all(&trim);
    return code == CLI_OK ? print_trimmed(&trim, dry_run) : code;
}

static int
run_trim(struct cli *cli)
{
    const char *before = cli_value(cli, "before");
    const char *partition = cli_value(cli, "partition");
    int64_t offset = TO_THE_END, time_ms = 0, only;
    bool by_time = before != NULL && before[0] == '@';
    char *arg = cli->args[0];
    if (!cli_number(cli, "partition", 0, INT32_MAX, -1, &only))
        return CLI_USAGE;
    if ((before == NULL) == !cli_flag(cli, "all"))
        return cli_usage(cli, "wants one of --before OFFSET, --before @TIME and --all");
    if (by_time &&
        (cli_env(cli) == NULL || !when_parse(before + 1, env_wall_ms(cli->env), &time_ms)))
        return cli_usage(cli, "--before @TIME must be " WHEN_FORMS ", not '%s'", before + 1);
    if (before != NULL && !by_time && !cli_number_parse(before, 0, INT64_MAX, &offset))
        return cli_usage(cli, "--before must be an offset or @TIME, not '%s'", before);
    if (partition != NULL) {
        if (cli->arg_count > 1 || strchr(arg, ':') != NULL)
            return cli_usage(cli, "--partition goes with one topic; write %s:%s", arg, partition);
        struct str text = arena_printf(&cli->arena, "%s:%d", arg, (int)only);
        if (str_is_null(text))
            return cli_fail_memory(cli);
        cli->args[0] = (char *)(uintptr_t)text.data;
    }
    return trim_topics(cli, cli->args, cli->arg_count, offset, by_time, time_ms);
}

static int
run_purge(struct cli *cli)
{
    return trim_topics(cli, cli->args, cli->arg_count, TO_THE_END, false, 0);
}

/* ---- the table ---- */

#define NO_TOPIC "there is no such topic or partition"

const struct cli_command cli_topic_alter = {
    .name = "topic alter",
    .arguments = "TOPIC [KEY=VALUE...]",
    .summary = "change a topic's settings, all of them or none",
    .options =
        (const struct cli_option[]){
            {"unset", 'u', "KEY", "put it back to its default; may be repeated"},
            {"dry-run", 0, NULL, "only let the broker check it"},
            {NULL, 0, NULL, NULL},
        },
    .arguments_min = 1,
    .arguments_max = CONFIG_CHANGES_MAX,
    .not_found = "there is no such topic",
    .examples = "  moldau topic alter orders retention.ms=86400000 --unset cleanup.policy\n",
    .run = run_alter,
};

const struct cli_command cli_topic_add_partitions = {
    .name = "topic add-partitions",
    .arguments = "TOPIC COUNT",
    .summary = "raise a topic's number of partitions to COUNT",
    .options = (const struct cli_option[]){{"dry-run", 0, NULL, "only let the broker check it"},
        {NULL, 0, NULL, NULL}},
    .arguments_min = 2,
    .arguments_max = 2,
    .not_found = "there is no such topic",
    .examples = "  moldau topic add-partitions orders 12\n",
    .run = run_add_partitions,
};

const struct cli_command cli_topic_trim = {
    .name = "topic trim",
    .arguments = "TOPIC[:PARTITIONS]...",
    .summary = "delete the oldest records of topics",
    .options =
        (const struct cli_option[]){
            {"before", 0, "WHERE",
                "delete what is below this offset, or older than @TIME: " WHEN_FORMS},
            {"all", 0, NULL, "delete every record"},
            {"partition", 'p', "N", "only this partition"},
            {"dry-run", 0, NULL, "only show what would be deleted"},
            {NULL, 0, NULL, NULL},
        },
    .arguments_min = 1,
    .arguments_max = -1,
    .not_found = NO_TOPIC,
    .examples = "  moldau topic trim orders:0 --before 1000\n"
                "  moldau topic trim orders --before @-7d --dry-run\n",
    .run = run_trim,
};

const struct cli_command cli_topic_purge = {
    .name = "topic purge",
    .arguments = "TOPIC[:PARTITIONS]...",
    .summary = "delete every record of topics, and keep the topics",
    .options = (const struct cli_option[]){{"dry-run", 0, NULL, "only show what would be deleted"},
        {NULL, 0, NULL, NULL}},
    .arguments_min = 1,
    .arguments_max = -1,
    .not_found = NO_TOPIC,
    .examples = "  moldau topic purge orders --dry-run\n",
    .run = run_purge,
};
