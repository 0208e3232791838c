/* cli/cmd_cluster_move.c - moldau cluster elect | reassign. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/partitions.h"
#include "cli/topics.h"
#include "proto/alter_partition_reassignments_request.h"
#include "proto/alter_partition_reassignments_response.h"
#include "proto/elect_leaders_request.h"
#include "proto/elect_leaders_response.h"
#include "proto/error_codes.h"
#include "proto/list_partition_reassignments_request.h"
#include "proto/list_partition_reassignments_response.h"

enum {
    ELECT_PREFERRED = 0,
    ELECT_UNCLEAN = 1,
    RESPONSE_ARENA = 64 << 20,
    REPLICAS_MAX = 64,
    PLAN_MAX = 64 << 20,
};

/* One partition to change. */
struct move {
    struct str topic;
    int32_t index;
    const struct topic_partition *now;
    int32_t *replicas; /* wanted; NULL: take a reassignment back */
    int replica_count;
    int16_t error_code;
    struct str message;
};

struct moves {
    struct cli *cli;
    struct topic *topics;
    int topic_count;
    struct move *items; /* sorted by topic and index */
    int count;
};

static int
by_topic(const void *a, const void *b)
{
    const struct move *x = a;
    const struct move *y = b;
    int order = str_cmp(x->topic, y->topic);
    return order != 0 ? order : x->index < y->index ? -1 : x->index > y->index;
}

static struct move *
find_move(struct moves *moves, struct str topic, int32_t index)
{
    struct move key = {.topic = topic, .index = index};
    return bsearch(&key, moves->items, (size_t)moves->count, sizeof key, by_topic);
}

static const struct topic_partition *
find_partition(const struct moves *moves, struct str topic, int32_t index)
{
    for (int t = 0; t < moves->topic_count; t++)
        if (str_eq(moves->topics[t].name, topic))
            for (int p = 0; p < moves->topics[t].partition_count; p++)
                if (moves->topics[t].partitions[p].index == index)
                    return &moves->topics[t].partitions[p];
    return NULL;
}

/* Every partition that the arguments name (none: all there are), with what Metadata says of it. */
static int
gather(struct moves *moves, char **args, int arg_count)
{
    struct cli *cli = moves->cli;
    struct partition *parts;
    char **names = NULL;
    int name_count = 0;
    int code = CLI_OK;
    if (arg_count > 0) /* says which topic or partition is not there */
        code = partitions_expand(cli, args, arg_count, &parts, &moves->count);
    if (code == CLI_OK && arg_count > 0)
        names = arena_calloc(&cli->arena, (size_t)moves->count + 1, sizeof *names);
    for (int i = 0; names != NULL && i < moves->count; i++)
        if (i == 0 || !str_eq(parts[i].topic, parts[i - 1].topic))
            names[name_count++] =
                arena_strndup(&cli->arena, parts[i].topic.data, parts[i].topic.len);
    if (cli->arena.exhausted)
        return cli_fail_memory(cli);
    if (code == CLI_OK)
        code = topics_ask(cli, names, name_count, &moves->topics, &moves->topic_count);
    if (code != CLI_OK)
        return code;
    for (int t = 0; arg_count == 0 && t < moves->topic_count; t++)
        moves->count += moves->topics[t].partition_count;
    moves->items = arena_calloc(&cli->arena, (size_t)moves->count + 1, sizeof *moves->items);
    if (moves->items == NULL)
        return cli_fail_memory(cli);
    for (int i = 0; arg_count > 0 && i < moves->count; i++)
        moves->items[i] = (struct move){.topic = parts[i].topic,
            .index = parts[i].index,
            .now = find_partition(moves, parts[i].topic, parts[i].index)};
    for (int t = 0, at = 0; arg_count == 0 && t < moves->topic_count; t++)
        for (int p = 0; p < moves->topics[t].partition_count; p++)
            moves->items[at++] = (struct move){.topic = moves->topics[t].name,
                .index = moves->topics[t].partitions[p].index,
                .now = &moves->topics[t].partitions[p]};
    return CLI_OK;
}

/* Drops the partitions that no election would change. */
static void
keep_electable(struct moves *moves, bool unclean)
{
    int kept = 0;
    for (int i = 0; i < moves->count; i++) {
        const struct topic_partition *now = moves->items[i].now;
        bool wanted =
            now != NULL &&
            (unclean ? now->leader < 0 : now->replica_count > 0 && now->leader != now->replicas[0]);
        if (wanted)
            moves->items[kept++] = moves->items[i];
    }
    moves->count = kept;
}

/* ---- elect ---- */

static int
call_elect(struct moves *moves, bool unclean)
{
    struct cli *cli = moves->cli;
    struct proto_elect_leaders_request request;
    const struct proto_elect_leaders_response *response;
    struct client_call call;
    size_t n = (size_t)moves->count + 1;
    struct proto_elect_leaders_request_topic_partitions *topics =
        arena_calloc(&cli->arena, n, sizeof *topics);
    int32_t *indexes = arena_calloc(&cli->arena, n, sizeof *indexes);
    int32_t topic_count = 0;
    if (cli->arena.exhausted)
        return cli_fail_memory(cli);
    for (int i = 0; i < moves->count; i++) {
        if (i == 0 || !str_eq(moves->items[i].topic, moves->items[i - 1].topic)) {
            topics[topic_count].topic = moves->items[i].topic;
            topics[topic_count++].partitions.items = indexes + i;
        }
        topics[topic_count - 1].partitions.count++;
        indexes[i] = moves->items[i].index;
    }
    proto_init(&proto_elect_leaders_request_schema, &request);
    request.election_type = unclean ? ELECT_UNCLEAN : ELECT_PREFERRED;
    request.topic_partitions.items = topics;
    request.topic_partitions.count = topic_count;
    request.timeout_ms = (int32_t)cli->timeout_ms;
    client_call_init(&call, RESPONSE_ARENA);
    int code = cli_call(cli, &call, CLIENT_TARGET_CONTROLLER, PROTO_ELECT_LEADERS_REQUEST_KEY,
        &request, (const void **)&response);
    if (code == CLI_OK && response->error_code != 0)
        code = cli_fail_code(cli, STR("election"), response->error_code, STR_NULL);
    for (int32_t t = 0; code == CLI_OK && t < response->replica_election_results.count; t++) {
        const struct proto_elect_leaders_response_replica_election_result *result =
            &response->replica_election_results.items[t];
        for (int32_t p = 0; p < result->partition_result.count; p++) {
            struct move *move =
                find_move(moves, result->topic, result->partition_result.items[p].partition_id);
            if (move == NULL)
                continue;
            move->error_code = result->partition_result.items[p].error_code;
            move->message = arena_str(&cli->arena, result->partition_result.items[p].error_message);
        }
    }
    client_call_fini(&call);
    return code;
}

static int
print_elected(struct moves *moves, bool dry_run)
{
    static const char *const columns[] = {
        "topic", "partition", "before", "preferred", "isr", "status"};
    struct output out;
    int code = CLI_OK;
    output_begin(&out, moves->cli->format, columns, COUNT_OF(columns));
    for (int i = 0; i < moves->count; i++) {
        const struct move *move = &moves->items[i];
        bool needless = move->error_code == PROTO_ERROR_ELECTION_NOT_NEEDED;
        bool failed = move->error_code != 0 && !needless;
        if (failed)
            code = cli_fail_code(moves->cli, move->topic, move->error_code, move->message);
        output_str(&out, move->topic);
        output_i64(&out, move->index);
        output_i64_if(&out, move->now->leader >= 0, move->now->leader);
        output_i64_if(&out, move->now->replica_count > 0,
            move->now->replica_count > 0 ? move->now->replicas[0] : -1);
        output_ints(&out, move->now->isr, move->now->isr_count);
        output_z(&out, failed     ? "failed"
                       : needless ? "not needed"
                       : dry_run  ? "would be elected"
                                  : "elected");
    }
    int end = output_end(&out);
    return code != CLI_OK ? code : end;
}

static int
run_elect(struct cli *cli)
{
    struct moves moves = {.cli = cli};
    bool unclean = cli_flag(cli, "unclean");
    bool dry_run = cli_flag(cli, "dry-run");
    int code = gather(&moves, cli->args, cli->arg_count);
    if (code != CLI_OK)
        return code;
    keep_electable(&moves, unclean);
    if (moves.count > 0 && !dry_run)
        code = call_elect(&moves, unclean);
    return code == CLI_OK ? print_elected(&moves, dry_run) : code;
}

/* ---- reassign ---- */

/* "1,2,3" */
static int
read_replicas(struct cli *cli, const char *text, int32_t **out, int *count)
{
    int32_t *replicas = arena_calloc(&cli->arena, REPLICAS_MAX, sizeof *replicas);
    char *end;
    *count = 0;
    if (replicas == NULL)
        return cli_fail_memory(cli);
    for (const char *p = text;; p = end + 1) {
        long id = *p >= '0' && *p <= '9' ? strtol(p, &end, 10) : -1;
        if (id < 0 || id > INT32_MAX || (*end != ',' && *end != '\0') || *count == REPLICAS_MAX)
            return cli_usage(cli,
                "--to must be the ids of brokers, the leader first, e.g. 1,2,3; not '%s'", text);
        replicas[(*count)++] = (int32_t)id;
        if (*end == '\0')
            break;
    }
    *out = replicas;
    return CLI_OK;
}

/* One of a plan's partitions: {"topic": "orders", "partition": 0, "replicas": [1, 2]}. */
static bool
read_plan_item(struct cli *cli, json_t *item, struct move *move, char **arg)
{
    json_t *topic = json_object_get(item, "topic");
    json_t *partition = json_object_get(item, "partition");
    json_t *replicas = json_object_get(item, "replicas");
    size_t count = json_array_size(replicas);
    if (!json_is_string(topic) || !json_is_integer(partition) || !json_is_array(replicas) ||
        count == 0 || count > REPLICAS_MAX || json_integer_value(partition) < 0 ||
        json_integer_value(partition) > INT32_MAX)
        return false;
    move->topic = arena_str(&cli->arena, str_of(json_string_value(topic)));
    move->index = (int32_t)json_integer_value(partition);
    move->replicas = arena_calloc(&cli->arena, count, sizeof *move->replicas);
    move->replica_count = (int)count;
    for (size_t i = 0; move->replicas != NULL && i < count; i++) {
        json_t *id = json_array_get(replicas, i);
        if (!json_is_integer(id) || json_integer_value(id) < 0 ||
            json_integer_value(id) > INT32_MAX)
            return false;
        move->replicas[i] = (int32_t)json_integer_value(id);
    }
    struct str text = arena_printf(&cli->arena, "%.*s:%d", STR_FMT(move->topic), (int)move->index);
    *arg = (char *)(uintptr_t)text.data;
    return true;
}

/* Apache's reassignment file: {"version": 1, "partitions": [...]}. */
static int
read_plan(struct cli *cli, const char *path, struct move **out, char ***args, int *count)
{
    char *data;
    size_t len;
    json_error_t error;
    enum err err =
        cli_env(cli) == NULL ? ERR_NOMEM : env_read_file(cli->env, path, PLAN_MAX, &data, &len);
    if (err == ERR_NOTFOUND)
        return cli_missing(cli, "%s: no such file", path);
    if (err != ERR_OK)
        return cli_fail(cli, "%s: %s", path, err_text(err));
    json_t *root = json_loadb(data, len, 0, &error);
    json_t *list = json_object_get(root, "partitions");
    size_t n = json_array_size(list);
    struct move *moves = arena_calloc(&cli->arena, n + 1, sizeof *moves);
    char **names = arena_calloc(&cli->arena, n + 1, sizeof *names);
    int code = CLI_OK;
    mem_free(data);
    if (cli->arena.exhausted)
        code = cli_fail_memory(cli);
    else if (root == NULL)
        code = cli_usage(cli, "%s:%d: %s", path, error.line, error.text);
    else if (n == 0)
        code = cli_usage(cli, "%s: wants {\"version\": 1, \"partitions\": [...]}", path);
    for (size_t i = 0; code == CLI_OK && i < n; i++)
        if (!read_plan_item(cli, json_array_get(list, i), &moves[i], &names[i]))
            code = cli_usage(cli,
                "%s: partition %zu of the list must be {\"topic\": \"orders\", \"partition\": 0, "
                "\"replicas\": [1, 2]}",
                path, i);
    json_decref(root);
    *out = moves;
    *args = names;
    *count = (int)n;
    return code;
}

static bool
fill_reassign(struct moves *moves, struct proto_alter_partition_reassignments_request *request)
{
    struct arena *arena = &moves->cli->arena;
    size_t n = (size_t)moves->count + 1;
    struct proto_alter_partition_reassignments_request_reassignable_partition *parts =
        arena_calloc(arena, n, sizeof *parts);
    request->topics.items = arena_calloc(arena, n, sizeof *request->topics.items);
    request->topics.count = 0;
    if (arena->exhausted)
        return false;
    for (int i = 0; i < moves->count; i++) {
        if (i == 0 || !str_eq(moves->items[i].topic, moves->items[i - 1].topic)) {
            request->topics.items[request->topics.count].name = moves->items[i].topic;
            request->topics.items[request->topics.count++].partitions.items = parts + i;
        }
        request->topics.items[request->topics.count - 1].partitions.count++;
        parts[i].partition_index = moves->items[i].index;
        parts[i].replicas.items = moves->items[i].replicas;
        parts[i].replicas.count =
            moves->items[i].replicas != NULL ? moves->items[i].replica_count : -1;
    }
    return true;
}

static int
call_reassign(struct moves *moves)
{
    struct cli *cli = moves->cli;
    struct proto_alter_partition_reassignments_request request;
    const struct proto_alter_partition_reassignments_response *response;
    struct client_call call;
    proto_init(&proto_alter_partition_reassignments_request_schema, &request);
    if (!fill_reassign(moves, &request))
        return cli_fail_memory(cli);
    request.timeout_ms = (int32_t)cli->timeout_ms;
    client_call_init(&call, RESPONSE_ARENA);
    int code = cli_call(cli, &call, CLIENT_TARGET_CONTROLLER,
        PROTO_ALTER_PARTITION_REASSIGNMENTS_REQUEST_KEY, &request, (const void **)&response);
    if (code == CLI_OK && response->error_code != 0)
        code =
            cli_fail_code(cli, STR("reassignment"), response->error_code, response->error_message);
    for (int32_t t = 0; code == CLI_OK && t < response->responses.count; t++)
        for (int32_t p = 0; p < response->responses.items[t].partitions.count; p++) {
            struct move *move = find_move(moves, response->responses.items[t].name,
                response->responses.items[t].partitions.items[p].partition_index);
            if (move == NULL)
                continue;
            move->error_code = response->responses.items[t].partitions.items[p].error_code;
            move->message = arena_str(
                &cli->arena, response->responses.items[t].partitions.items[p].error_message);
        }
    client_call_fini(&call);
    return code;
}

static int
print_reassigned(struct moves *moves, bool dry_run)
{
    static const char *const columns[] = {"topic", "partition", "before", "after", "status"};
    bool cancel = cli_flag(moves->cli, "cancel");
    struct output out;
    int code = CLI_OK;
    output_begin(&out, moves->cli->format, columns, COUNT_OF(columns));
    for (int i = 0; i < moves->count; i++) {
        const struct move *move = &moves->items[i];
        if (move->error_code != 0)
            code = cli_fail_code(moves->cli, move->topic, move->error_code, move->message);
        output_str(&out, move->topic);
        output_i64(&out, move->index);
        output_ints(&out, move->now->replicas, move->now->replica_count);
        if (cancel)
            output_str(&out, STR_NULL);
        else
            output_ints(&out, move->replicas, move->replica_count);
        output_z(&out, move->error_code != 0 ? "failed"
                       : dry_run             ? (cancel ? "would be canceled" : "would be started")
                       : cancel              ? "canceled"
                                             : "started");
    }
    int end = output_end(&out);
    return code != CLI_OK ? code : end;
}

/* Those on their way. */
static int
list_reassignments(struct cli *cli)
{
    static const char *const columns[] = {"topic", "partition", "replicas", "adding", "removing"};
    struct proto_list_partition_reassignments_request request;
    const struct proto_list_partition_reassignments_response *response;
    struct client_call call;
    struct output out;
    proto_init(&proto_list_partition_reassignments_request_schema, &request);
    request.topics.count = -1;
    client_call_init(&call, RESPONSE_ARENA);
    int code = cli_call(cli, &call, CLIENT_TARGET_CONTROLLER,
        PROTO_LIST_PARTITION_REASSIGNMENTS_REQUEST_KEY, &request, (const void **)&response);
    if (code == CLI_OK && response->error_code != 0)
        code =
            cli_fail_code(cli, STR("reassignments"), response->error_code, response->error_message);
    if (code == CLI_OK) {
        output_begin(&out, cli->format, columns, COUNT_OF(columns));
        for (int32_t t = 0; t < response->topics.count; t++)
            for (int32_t p = 0; p < response->topics.items[t].partitions.count; p++) {
                const struct
                    proto_list_partition_reassignments_response_ongoing_partition_reassignment
                        *part = &response->topics.items[t].partitions.items[p];
                output_str(&out, response->topics.items[t].name);
                output_i64(&out, part->partition_index);
                output_ints(&out, part->replicas.items, part->replicas.count);
                output_ints(&out, part->adding_replicas.items, part->adding_replicas.count);
                output_ints(&out, part->removing_replicas.items, part->removing_replicas.count);
            }
        code = output_end(&out);
    }
    client_call_fini(&call);
    return code;
}

static int
reassign(struct cli *cli, char **args, int count, const struct move *plan)
{
    struct moves moves = {.cli = cli};
    const char *to = cli_value(cli, "to");
    bool dry_run = cli_flag(cli, "dry-run");
    int32_t *replicas = NULL;
    int replica_count = 0;
    int code = to != NULL ? read_replicas(cli, to, &replicas, &replica_count) : CLI_OK;
    if (code == CLI_OK)
        code = gather(&moves, args, count);
    for (int i = 0; code == CLI_OK && i < moves.count; i++) {
        moves.items[i].replicas = replicas;
        moves.items[i].replica_count = replica_count;
    }
    for (int i = 0; code == CLI_OK && plan != NULL && i < count; i++) {
        struct move *move = find_move(&moves, plan[i].topic, plan[i].index);
        if (move != NULL) {
            move->replicas = plan[i].replicas;
            move->replica_count = plan[i].replica_count;
        }
    }
    if (code == CLI_OK && !dry_run)
        code = call_reassign(&moves);
    return code == CLI_OK ? print_reassigned(&moves, dry_run) : code;
}

static int
run_reassign(struct cli *cli)
{
    const char *path = cli_value(cli, "plan");
    int ways = cli_flag(cli, "to") + cli_flag(cli, "cancel") + (path != NULL);
    struct move *plan;
    char **args;
    int count;
    if (cli->arg_count == 0 && ways == 0)
        return list_reassignments(cli);
    if (ways != 1)
        return cli_usage(cli, "wants exactly one of --to BROKERS, --plan FILE and --cancel");
    if (path != NULL && cli->arg_count > 0)
        return cli_usage(cli, "--plan names the partitions; drop '%s'", cli->args[0]);
    if (path == NULL && cli->arg_count == 0)
        return cli_usage(cli, "wants TOPIC[:PARTITIONS]...");
    if (path == NULL)
        return reassign(cli, cli->args, cli->arg_count, NULL);
    int code = read_plan(cli, path, &plan, &args, &count);
    return code == CLI_OK ? reassign(cli, args, count, plan) : code;
}

#define NO_TOPIC "there is no such topic or partition"

const struct cli_command cli_cluster_elect = {
    .name = "cluster elect",
    .arguments = "[TOPIC[:PARTITIONS]...]",
    .summary = "give partitions back to their preferred leader, or any leader at all",
    .text = "Only partitions that lack it are asked for: those not led by their first replica, or "
            "with --unclean those without a leader. An unclean leader may lack records that were "
            "acknowledged.",
    .options =
        (const struct cli_option[]){
            {"unclean", 0, NULL, "a replica out of sync may lead"},
            {"dry-run", 0, NULL, "only show which would be asked for"},
            {NULL, 0, NULL, NULL},
        },
    .arguments_max = -1,
    .not_found = NO_TOPIC,
    .examples = "  moldau cluster elect\n"
                "  moldau cluster elect orders:3 --unclean --dry-run\n",
    .run = run_elect,
};

const struct cli_command cli_cluster_reassign = {
    .name = "cluster reassign",
    .arguments = "[TOPIC[:PARTITIONS]...]",
    .summary = "move partitions to other brokers; without arguments show what is moving",
    .options =
        (const struct cli_option[]){
            {"to", 't', "BROKERS", "replicas of each, the preferred leader first: 1,2,3"},
            {"plan", 0, "FILE", "JSON as Apache's kafka-reassign-partitions reads it"},
            {"cancel", 0, NULL, "take back what is moving"},
            {"dry-run", 0, NULL, "only show what would be done"},
            {NULL, 0, NULL, NULL},
        },
    .arguments_max = -1,
    .not_found = NO_TOPIC,
    .examples = "  moldau cluster reassign orders:0-3 --to 2,3,1 --dry-run\n"
                "  moldau cluster reassign --plan plan.json\n"
                "  moldau cluster reassign\n",
    .run = run_reassign,
};
