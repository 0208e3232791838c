/* cli/cmd_group_describe.c - moldau group describe | lag | members | offsets. */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "cli/commands.h"
#include "cli/csv.h"
#include "cli/group.h"
#include "cli/output.h"
#include "cli/partitions.h"
#include "proto/error_codes.h"

/* One partition that the group has committed or reads. */
struct lag_row {
    struct str topic;
    int32_t index;
    int64_t committed; /* -1: nothing */
    int32_t leader_epoch;
    struct str metadata;
    const struct group_member *member; /* NULL: nobody reads it */
    int64_t end;                       /* -1: not known */
};

static const char *const group_columns[] = {"group", "type", "state", "protocol", "assignor",
    "members", "coordinator", "+host", "+port", "+epoch", "+assignment_epoch"};
static const char *const member_columns[] = {"group", "member", "client", "host", "partitions",
    "+instance", "+rack", "+epoch", "+protocol", "+topics"};
static const char *const lag_columns[] = {"group", "topic", "partition", "committed", "end", "lag",
    "member", "+client", "+host", "+leader_epoch", "+metadata"};
static const char *const offset_columns[] = {
    "group", "topic", "partition", "committed", "+leader_epoch", "+metadata"};

/* ---- gathering ---- */

static int
by_topic(const void *a, const void *b)
{
    const struct lag_row *x = a;
    const struct lag_row *y = b;
    int order = str_cmp(x->topic, y->topic);
    return order != 0 ? order : x->index < y->index ? -1 : x->index > y->index;
}

static bool
reads_topics(const struct group *group)
{
    return !str_eq_z(group->type, "streams");
}

static int
member_part_count(const struct group *group)
{
    int count = 0;
    for (int m = 0; reads_topics(group) && m < group->member_count; m++)
        count += group->members[m].part_count;
    return count;
}

/* Puts each member's partitions to the rows: those committed are found, the others added. */
static void
add_members(const struct group *group, struct lag_row *rows, int committed, int *count)
{
    for (int m = 0; reads_topics(group) && m < group->member_count; m++)
        for (int p = 0; p < group->members[m].part_count; p++) {
            struct lag_row key = {.topic = group->members[m].parts[p].topic,
                .index = group->members[m].parts[p].index,
                .committed = -1,
                .leader_epoch = -1,
                .member = &group->members[m],
                .end = -1};
            struct lag_row *row = bsearch(&key, rows, (size_t)committed, sizeof *rows, by_topic);
            if (row != NULL && row->member == NULL) {
                row->member = key.member;
                continue;
            }
            if (row != NULL) { /* members of share groups share partitions */
                key.committed = row->committed;
                key.leader_epoch = row->leader_epoch;
            }
            rows[(*count)++] = key;
        }
    qsort(rows, (size_t)*count, sizeof *rows, by_topic);
}

static int
find_ends(struct cli *cli, struct lag_row *rows, int count)
{
    struct partition *parts = arena_calloc(&cli->arena, (size_t)count + 1, sizeof *parts);
    int n = 0;
    if (parts == NULL)
        return cli_fail_memory(cli);
    for (int i = 0; i < count; i++)
        if (i == 0 || by_topic(&rows[i], &rows[i - 1]) != 0)
            parts[n++] = (struct partition){
                .topic = rows[i].topic, .index = rows[i].index, .timestamp = OFFSET_LATEST};
    int code = partitions_offsets(cli, parts, n, false);
    for (int i = 0, at = -1; code == CLI_OK && i < count; i++) {
        at += i == 0 || by_topic(&rows[i], &rows[i - 1]) != 0;
        rows[i].end = parts[at].error_code == 0 ? parts[at].offset : -1;
        if (parts[at].error_code != 0)
            cli_warn(cli, "%.*s:%d: its end is not known: %s", STR_FMT(rows[i].topic),
                (int)rows[i].index, proto_error_name(parts[at].error_code));
    }
    return code;
}

static int
gather_lag(struct cli *cli, const struct group *group, bool with_ends, struct lag_row **out,
    int *out_count)
{
    struct group_offset *offsets = NULL;
    int count = 0;
    int code = group_offsets(cli, group, &offsets, &count);
    if (code != CLI_OK)
        return code;
    int capacity = count + member_part_count(group);
    struct lag_row *rows = arena_calloc(&cli->arena, (size_t)capacity + 1, sizeof *rows);
    if (rows == NULL)
        return cli_fail_memory(cli);
    for (int i = 0; i < count; i++)
        rows[i] = (struct lag_row){.topic = offsets[i].topic,
            .index = offsets[i].index,
            .committed = offsets[i].offset,
            .leader_epoch = offsets[i].leader_epoch,
            .metadata = offsets[i].metadata,
            .end = -1};
    if (with_ends)
        add_members(group, rows, count, &count);
    *out = rows;
    *out_count = count;
    return with_ends ? find_ends(cli, rows, count) : CLI_OK;
}

/* ---- printing ---- */

static void
print_group(struct output *out, const struct group *group)
{
    output_str(out, group->id);
    output_str(out, group->type);
    output_str(out, group->state);
    output_str(out, group->protocol);
    output_str(out, group->assignor);
    output_i64(out, group->member_count);
    output_i64(out, group->coordinator);
    output_str(out, group->host);
    output_i64(out, group->port);
    output_i64_if(out, group->epoch >= 0, group->epoch);
    output_i64_if(out, group->assignment_epoch >= 0, group->assignment_epoch);
}

static void
print_members(struct output *out, const struct group *group)
{
    for (int m = 0; m < group->member_count; m++) {
        const struct group_member *member = &group->members[m];
        output_str(out, group->id);
        output_str(out, member->id);
        output_str(out, member->client_id);
        output_str(out, member->host);
        output_list(out, member->part_count);
        for (int p = 0; p < member->part_count; p++) {
            char text[300];
            snprintf(text, sizeof text, "%.*s:%d", STR_FMT(member->parts[p].topic),
                (int)member->parts[p].index);
            output_z(out, text);
        }
        output_str(out, member->instance_id);
        output_str(out, member->rack);
        output_i64_if(out, member->epoch >= 0, member->epoch);
        output_str(
            out, member->epoch < 0 || member->classic_protocol ? STR("classic") : group->type);
        output_list(out, member->topic_count);
        for (int t = 0; t < member->topic_count; t++)
            output_str(out, member->topics[t]);
    }
}

static void
print_lag(struct output *out, const struct group *group, const struct lag_row *rows, int count)
{
    for (int i = 0; i < count; i++) {
        const struct lag_row *row = &rows[i];
        const struct group_member *member = row->member;
        output_str(out, group->id);
        output_str(out, row->topic);
        output_i64(out, row->index);
        output_i64_if(out, row->committed >= 0, row->committed);
        output_i64_if(out, row->end >= 0, row->end);
        output_i64_if(out, row->committed >= 0 && row->end >= 0,
            row->end > row->committed ? row->end - row->committed : 0);
        output_str(out, member != NULL ? member->id : STR_NULL);
        output_str(out, member != NULL ? member->client_id : STR_NULL);
        output_str(out, member != NULL ? member->host : STR_NULL);
        output_i64_if(out, row->leader_epoch >= 0, row->leader_epoch);
        output_str(out, row->metadata.len > 0 ? row->metadata : STR_NULL);
    }
}

/* ---- commands ---- */

struct gathered {
    struct group group;
    struct lag_row *rows;
    int row_count;
    bool ok;
};

/* Every group that the arguments name; those that fail are left out and set *worst. */
static struct gathered *
gather(struct cli *cli, bool with_rows, bool with_ends, int *worst)
{
    struct gathered *all = arena_calloc(&cli->arena, (size_t)cli->arg_count + 1, sizeof *all);
    *worst = all == NULL ? cli_fail_memory(cli) : CLI_OK;
    for (int i = 0; all != NULL && i < cli->arg_count; i++) {
        int code = group_describe(cli, str_of(cli->args[i]), false, &all[i].group);
        if (code == CLI_OK && with_rows)
            code = gather_lag(cli, &all[i].group, with_ends, &all[i].rows, &all[i].row_count);
        all[i].ok = code == CLI_OK;
        *worst = code != CLI_OK ? code : *worst;
    }
    return all;
}

static bool
any_ok(const struct cli *cli, const struct gathered *all)
{
    for (int i = 0; all != NULL && i < cli->arg_count; i++)
        if (all[i].ok)
            return true;
    return false;
}

static void
all_members(struct cli *cli, struct output *out, const struct gathered *all)
{
    for (int i = 0; i < cli->arg_count; i++)
        if (all[i].ok)
            print_members(out, &all[i].group);
}

static void
all_lags(struct cli *cli, struct output *out, const struct gathered *all)
{
    for (int i = 0; i < cli->arg_count; i++)
        if (all[i].ok)
            print_lag(out, &all[i].group, all[i].rows, all[i].row_count);
}

static int
run_describe(struct cli *cli)
{
    struct output out;
    int worst;
    struct gathered *all = gather(cli, true, true, &worst);
    if (!any_ok(cli, all))
        return worst;
    output_open(&out, cli->format);
    output_rows(&out, "groups", group_columns, COUNT_OF(group_columns));
    for (int i = 0; i < cli->arg_count; i++)
        if (all[i].ok)
            print_group(&out, &all[i].group);
    output_rows(&out, "members", member_columns, COUNT_OF(member_columns));
    all_members(cli, &out, all);
    output_rows(&out, "offsets", lag_columns, COUNT_OF(lag_columns));
    all_lags(cli, &out, all);
    int end = output_end(&out);
    return worst != CLI_OK ? worst : end;
}

static int
run_lag(struct cli *cli)
{
    struct output out;
    int worst;
    struct gathered *all = gather(cli, true, true, &worst);
    if (!any_ok(cli, all))
        return worst;
    output_begin(&out, cli->format, lag_columns, COUNT_OF(lag_columns));
    all_lags(cli, &out, all);
    int end = output_end(&out);
    return worst != CLI_OK ? worst : end;
}

static int
run_members(struct cli *cli)
{
    struct output out;
    int worst;
    struct gathered *all = gather(cli, false, false, &worst);
    if (!any_ok(cli, all))
        return worst;
    output_begin(&out, cli->format, member_columns, COUNT_OF(member_columns));
    all_members(cli, &out, all);
    int end = output_end(&out);
    return worst != CLI_OK ? worst : end;
}

static int
export_offsets(struct cli *cli, const struct lag_row *rows, int count, const char *path)
{
    struct buf text;
    csv_init(&text);
    for (int i = 0; i < count; i++)
        csv_add(&text, rows[i].topic, rows[i].index, rows[i].committed);
    return csv_write(cli, &text, path);
}

static int
run_offsets(struct cli *cli)
{
    const char *path = cli_value(cli, "export");
    struct output out;
    int worst;
    if (path != NULL && cli->arg_count != 1)
        return cli_usage(cli, "--export takes the offsets of one group");
    struct gathered *all = gather(cli, true, false, &worst);
    if (!any_ok(cli, all))
        return worst;
    if (path != NULL)
        return export_offsets(cli, all[0].rows, all[0].row_count, path);
    output_begin(&out, cli->format, offset_columns, COUNT_OF(offset_columns));
    for (int g = 0; g < cli->arg_count; g++)
        for (int i = 0; all[g].ok && i < all[g].row_count; i++) {
            const struct lag_row *row = &all[g].rows[i];
            output_str(&out, all[g].group.id);
            output_str(&out, row->topic);
            output_i64(&out, row->index);
            output_i64(&out, row->committed);
            output_i64_if(&out, row->leader_epoch >= 0, row->leader_epoch);
            output_str(&out, row->metadata.len > 0 ? row->metadata : STR_NULL);
        }
    int end = output_end(&out);
    return worst != CLI_OK ? worst : end;
}

/* ---- the table ---- */

#define NO_GROUP "there is no such group"

const struct cli_command cli_group_describe = {
    .name = "group describe",
    .arguments = "GROUP...",
    .summary = "state, coordinator, members, committed offsets and lag of groups",
    .arguments_min = 1,
    .arguments_max = -1,
    .not_found = NO_GROUP,
    .examples = "  moldau group describe billing\n"
                "  moldau group describe billing -o json | jq '[.offsets[].lag] | add'\n",
    .run = run_describe,
};

const struct cli_command cli_group_lag = {
    .name = "group lag",
    .arguments = "GROUP...",
    .summary = "how far groups are behind, partition by partition",
    .arguments_min = 1,
    .arguments_max = -1,
    .not_found = NO_GROUP,
    .examples = "  moldau group lag billing\n",
    .run = run_lag,
};

const struct cli_command cli_group_members = {
    .name = "group members",
    .arguments = "GROUP...",
    .summary = "members of groups and what they read",
    .arguments_min = 1,
    .arguments_max = -1,
    .not_found = NO_GROUP,
    .examples = "  moldau group members billing -o wide\n",
    .run = run_members,
};

const struct cli_command cli_group_offsets = {
    .name = "group offsets",
    .arguments = "GROUP...",
    .summary = "committed offsets of groups, also as a file for group seek",
    .options =
        (const struct cli_option[]){
            {"export", 'e', "FILE",
                "write lines of topic,partition,offset to FILE (- prints them)"},
            {NULL, 0, NULL, NULL},
        },
    .arguments_min = 1,
    .arguments_max = -1,
    .not_found = NO_GROUP,
    .examples = "  moldau group offsets billing --export billing.csv\n"
                "  moldau group seek billing --from-file billing.csv\n",
    .run = run_offsets,
};
