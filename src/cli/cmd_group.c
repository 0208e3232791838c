/* cli/cmd_group.c - moldau group list | delete | delete-offsets. */
#include <string.h>

#include "cli/cluster.h"
#include "cli/commands.h"
#include "cli/group.h"
#include "cli/output.h"
#include "cli/partitions.h"
#include "proto/delete_groups_request.h"
#include "proto/delete_groups_response.h"
#include "proto/list_groups_request.h"
#include "proto/list_groups_response.h"
#include "proto/offset_delete_request.h"
#include "proto/offset_delete_response.h"

enum { RESPONSE_ARENA = 256 << 20, TRIES = 50, PAUSE_MS = 100 };

/* ---- list ---- */

static const char *const type_names[] = {"classic", "consumer", "share", "streams", NULL};

static bool
same_word(struct str a, const char *b)
{
    return a.len == strlen(b) && strncasecmp(a.data, b, a.len) == 0;
}

static void
print_groups(struct cli *cli, const struct cluster_broker *broker,
    const struct proto_list_groups_response *response, struct output *out)
{
    const char *state = cli_value(cli, "state");
    const char *type = cli_value(cli, "type");
    for (int32_t i = 0; i < response->groups.count; i++) {
        const struct proto_list_groups_response_listed_group *group = &response->groups.items[i];
        /* Brokers before 3.8 know only one type and do not say it. */
        struct str its_type = group->group_type.len > 0 ? group->group_type : STR("classic");
        if ((state != NULL && !same_word(group->group_state, state)) ||
            (type != NULL && !same_word(its_type, type)))
            continue;
        output_str(out, group->group_id);
        output_str(out, group->group_state);
        for (int t = 0; type_names[t] != NULL; t++)
            if (same_word(its_type, type_names[t]))
                its_type = str_of(type_names[t]); /* always in small letters */
        output_str(out, its_type);
        output_str(out, group->protocol_type);
        output_i64(out, broker->id);
    }
}

/* A broker's groups; tries again while it loads them. */
static int
list_broker(struct cli *cli, const struct cluster_broker *broker, struct output *out)
{
    struct proto_list_groups_request request;
    const struct proto_list_groups_response *response;
    struct client_call call;
    bool refresh;
    proto_init(&proto_list_groups_request_schema, &request);
    client_call_init(&call, RESPONSE_ARENA);
    call.node_id = broker->id;
    int code = CLI_OK;
    for (int tries = 0; tries < TRIES; tries++) {
        code = cli_call(cli, &call, CLIENT_TARGET_NODE, PROTO_LIST_GROUPS_REQUEST_KEY, &request,
            (const void **)&response);
        if (code != CLI_OK || !client_error_is_retriable(response->error_code, &refresh))
            break;
        cli_pause(cli, PAUSE_MS);
    }
    if (code == CLI_OK && response->error_code != 0) {
        char what[32];
        snprintf(what, sizeof what, "broker %d", (int)broker->id);
        code = cli_fail_code(cli, str_of(what), response->error_code, STR_NULL);
    }
    if (code == CLI_OK)
        print_groups(cli, broker, response, out);
    client_call_fini(&call);
    return code;
}

static int
run_list(struct cli *cli)
{
    static const char *const columns[] = {"group", "state", "type", "protocol", "+coordinator"};
    struct output out;
    struct cluster cluster;
    int type;
    if (!cli_choice(cli, "type", type_names, &type))
        return CLI_USAGE;
    int code = cluster_describe(cli, &cluster);
    if (code != CLI_OK)
        return code;
    output_begin(&out, cli->format, columns, COUNT_OF(columns));
    for (int i = 0; i < cluster.broker_count; i++) {
        if (cluster.brokers[i].is_fenced)
            continue;
        int one = list_broker(cli, &cluster.brokers[i], &out);
        code = one != CLI_OK ? one : code;
        cli_progress(cli, "listing groups: broker %d of %d", i + 1, cluster.broker_count);
    }
    cli_progress_end(cli);
    int end = output_end(&out); /* also what the other brokers said, when one failed */
    return code != CLI_OK ? code : end;
}

/* ---- delete ---- */

static int
call_delete(struct cli *cli, const struct group *group)
{
    struct proto_delete_groups_request request;
    const struct proto_delete_groups_response *response;
    struct client_call call;
    struct str id = group->id;
    proto_init(&proto_delete_groups_request_schema, &request);
    request.groups_names.items = &id;
    request.groups_names.count = 1;
    client_call_init(&call, RESPONSE_ARENA);
    call.node_id = group->coordinator;
    int code = cli_call(cli, &call, CLIENT_TARGET_NODE, PROTO_DELETE_GROUPS_REQUEST_KEY, &request,
        (const void **)&response);
    for (int32_t i = 0; code == CLI_OK && i < response->results.count; i++)
        if (response->results.items[i].error_code != 0)
            code = cli_fail_code(cli, id, response->results.items[i].error_code, STR_NULL);
    client_call_fini(&call);
    return code;
}

static int
run_delete(struct cli *cli)
{
    static const char *const columns[] = {"group", "status"};
    struct output out;
    bool dry_run = cli_flag(cli, "dry-run");
    int worst = CLI_OK;
    output_begin(&out, cli->format, columns, COUNT_OF(columns));
    for (int i = 0; i < cli->arg_count; i++) {
        struct group group;
        int code = group_describe(cli, str_of(cli->args[i]), false, &group);
        if (code == CLI_OK)
            code = group_must_be_empty(cli, &group, "it cannot be deleted");
        if (code == CLI_OK && !dry_run)
            code = call_delete(cli, &group);
        output_z(&out, cli->args[i]);
        output_z(&out, code != CLI_OK ? "failed" : dry_run ? "would be deleted" : "deleted");
        worst = code != CLI_OK ? code : worst;
        cli_progress(cli, "deleting: %d of %d groups", i + 1, cli->arg_count);
    }
    cli_progress_end(cli);
    int end = output_end(&out);
    return worst != CLI_OK ? worst : end;
}

/* ---- delete-offsets ---- */

/* Those of the group's offsets that the arguments name; prints a topic that has none. */
static int
choose_offsets(struct cli *cli, const struct group_offset *all, int count,
    struct group_offset **out, int *out_count)
{
    struct group_offset *chosen = arena_calloc(&cli->arena, (size_t)count + 1, sizeof *chosen);
    if (chosen == NULL)
        return cli_fail_memory(cli);
    *out = chosen;
    *out_count = 0;
    for (int a = 1; a < cli->arg_count; a++) {
        struct str topic;
        const char *ranges;
        int before = *out_count;
        int code = partitions_parse(cli, cli->args[a], &topic, &ranges);
        if (code != CLI_OK)
            return code;
        for (int i = 0; i < count; i++) {
            bool known = !str_eq(all[i].topic, topic) || !partitions_named(ranges, all[i].index);
            for (int k = 0; k < before && !known; k++)
                known = chosen[k].index == all[i].index && str_eq(chosen[k].topic, topic);
            if (!known)
                chosen[(*out_count)++] = all[i];
        }
        if (*out_count == before) {
            cli_missing(cli, "group '%s' has no offsets for '%s'", cli->args[0], cli->args[a]);
            cli_hint("moldau group offsets %s", cli->args[0]);
            return CLI_NOT_FOUND;
        }
    }
    return CLI_OK;
}

static bool
fill_offset_delete(struct cli *cli, const struct group_offset *chosen, int count,
    struct proto_offset_delete_request *request)
{
    struct proto_offset_delete_request_offset_delete_request_partition *parts =
        arena_calloc(&cli->arena, (size_t)count + 1, sizeof *parts);
    request->topics.items =
        arena_calloc(&cli->arena, (size_t)count + 1, sizeof *request->topics.items);
    if (parts == NULL || request->topics.items == NULL)
        return false;
    request->topics.count = 0;
    for (int i = 0; i < count; i++) {
        if (i == 0 || !str_eq(chosen[i].topic, chosen[i - 1].topic)) {
            request->topics.items[request->topics.count].name = chosen[i].topic;
            request->topics.items[request->topics.count++].partitions.items = parts + i;
        }
        request->topics.items[request->topics.count - 1].partitions.count++;
        parts[i].partition_index = chosen[i].index;
    }
    return true;
}

static int
call_offset_delete(struct cli *cli, const struct group *group, const struct group_offset *chosen,
    int count, int16_t *errors)
{
    struct proto_offset_delete_request request;
    const struct proto_offset_delete_response *response;
    struct client_call call;
    proto_init(&proto_offset_delete_request_schema, &request);
    request.group_id = group->id;
    if (!fill_offset_delete(cli, chosen, count, &request))
        return cli_fail_memory(cli);
    client_call_init(&call, RESPONSE_ARENA);
    call.node_id = group->coordinator;
    int code = cli_call(cli, &call, CLIENT_TARGET_NODE, PROTO_OFFSET_DELETE_REQUEST_KEY, &request,
        (const void **)&response);
    if (code == CLI_OK && response->error_code != 0)
        code = cli_fail_code(cli, group->id, response->error_code, STR_NULL);
    for (int32_t t = 0; code == CLI_OK && t < response->topics.count; t++)
        for (int32_t p = 0; p < response->topics.items[t].partitions.count; p++)
            for (int i = 0; i < count; i++)
                if (str_eq(chosen[i].topic, response->topics.items[t].name) &&
                    chosen[i].index ==
                        response->topics.items[t].partitions.items[p].partition_index)
                    errors[i] = response->topics.items[t].partitions.items[p].error_code;
    client_call_fini(&call);
    return code;
}

static int
run_delete_offsets(struct cli *cli)
{
    static const char *const columns[] = {"group", "topic", "partition", "offset", "status"};
    struct group group;
    struct group_offset *all = NULL;
    struct group_offset *chosen = NULL;
    struct output out;
    bool dry_run = cli_flag(cli, "dry-run");
    int count = 0;
    int chosen_count = 0;
    int code = group_describe(cli, str_of(cli->args[0]), false, &group);
    if (code == CLI_OK)
        code = group_offsets(cli, &group, &all, &count);
    if (code == CLI_OK)
        code = choose_offsets(cli, all, count, &chosen, &chosen_count);
    if (code != CLI_OK)
        return code;
    int16_t *errors = arena_calloc(&cli->arena, (size_t)chosen_count + 1, sizeof *errors);
    if (errors == NULL)
        return cli_fail_memory(cli);
    if (!dry_run)
        code = call_offset_delete(cli, &group, chosen, chosen_count, errors);
    if (code != CLI_OK)
        return code;
    output_begin(&out, cli->format, columns, COUNT_OF(columns));
    for (int i = 0; i < chosen_count; i++) {
        output_str(&out, group.id);
        output_str(&out, chosen[i].topic);
        output_i64(&out, chosen[i].index);
        output_i64(&out, chosen[i].offset);
        output_z(&out, errors[i] != 0 ? "failed" : dry_run ? "would be deleted" : "deleted");
        if (errors[i] != 0)
            code = cli_fail_code(cli, chosen[i].topic, errors[i], STR_NULL);
    }
    int end = output_end(&out);
    return code != CLI_OK ? code : end;
}

/* ---- the table ---- */

#define NO_GROUP "there is no such group"

const struct cli_command cli_group_list = {
    .name = "group list",
    .arguments = "",
    .summary = "groups of every broker, with their states and types",
    .options =
        (const struct cli_option[]){
            {"state", 's', "STATE", "only those in this state: Stable, Empty, ..."},
            {"type", 't', "TYPE", "only classic, consumer, share or streams"},
            {NULL, 0, NULL, NULL},
        },
    .examples = "  moldau group list\n"
                "  moldau group list --state Empty -o name\n",
    .run = run_list,
};

static const struct cli_option dry_run_options[] = {
    {"dry-run", 0, NULL, "only show what would be done"},
    {NULL, 0, NULL, NULL},
};

const struct cli_command cli_group_delete = {
    .name = "group delete",
    .arguments = "GROUP...",
    .summary = "remove groups that have no members, and their offsets",
    .options = dry_run_options,
    .arguments_min = 1,
    .arguments_max = -1,
    .not_found = NO_GROUP,
    .examples = "  moldau group delete billing --dry-run\n",
    .run = run_delete,
};

const struct cli_command cli_group_delete_offsets = {
    .name = "group delete-offsets",
    .arguments = "GROUP TOPIC[:PARTITIONS]...",
    .summary = "forget what a group has committed for topics it no longer reads",
    .options = dry_run_options,
    .arguments_min = 2,
    .arguments_max = -1,
    .not_found = NO_GROUP ", or it has no such offsets",
    .examples = "  moldau group delete-offsets billing old-orders\n"
                "  moldau group delete-offsets billing orders:0,4-7 --dry-run\n",
    .run = run_delete_offsets,
};
