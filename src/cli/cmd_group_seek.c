/* cli/cmd_group_seek.c - moldau group seek: moves committed offsets.
 *
 * What: every new offset is worked out before the first is written, and all are written by one
 * commit; whatever cannot be worked out leaves the group as it was. Offsets outside the log are
 * moved to its nearer end, with a warning, as Apache's tool does. */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "cli/commands.h"
#include "cli/csv.h"
#include "cli/group.h"
#include "cli/output.h"
#include "cli/partitions.h"
#include "cli/when.h"
#include "proto/offset_commit_request.h"
#include "proto/offset_commit_response.h"

enum { COMMIT_VERSION_MAX = 9 /* by topic name */, RESPONSE_ARENA = 64 << 20 };

enum where {
    WHERE_START,
    WHERE_END,
    WHERE_CURRENT,
    WHERE_OFFSET,
    WHERE_TIME,
    WHERE_SHIFT,
    WHERE_FILE
};

struct seek {
    struct cli *cli;
    struct group group;
    enum where where;
    int64_t value; /* the offset, the time or the shift */
    const char *path;
    struct partition *parts;
    int64_t *before; /* -1: nothing was committed */
    int64_t *after;
    int64_t *first, *last; /* what the partition has */
    int count;
};

/* ---- what was asked for ---- */

static int
read_to(struct seek *seek, const char *text)
{
    struct cli *cli = seek->cli;
    if (strcmp(text, "start") == 0 || strcmp(text, "earliest") == 0)
        seek->where = WHERE_START;
    else if (strcmp(text, "end") == 0 || strcmp(text, "latest") == 0)
        seek->where = WHERE_END;
    else if (strcmp(text, "current") == 0)
        seek->where = WHERE_CURRENT;
    else if (text[0] == '@') {
        seek->where = WHERE_TIME;
        if (!when_parse(text + 1, env_wall_ms(cli_env(cli)), &seek->value))
            return cli_usage(cli, "--to @TIME must be " WHEN_FORMS ", not '%s'", text + 1);
    } else {
        seek->where = WHERE_OFFSET;
        if (!cli_number_parse(text, 0, INT64_MAX, &seek->value))
            return cli_usage(cli,
                "--to must be start, end, current, an offset or @TIME (" WHEN_FORMS "), not '%s'",
                text);
    }
    return CLI_OK;
}

static int
read_options(struct seek *seek)
{
    struct cli *cli = seek->cli;
    const char *to = cli_value(cli, "to");
    bool shift = cli_flag(cli, "shift");
    seek->path = cli_value(cli, "from-file");
    if ((to != NULL) + shift + (seek->path != NULL) != 1)
        return cli_usage(cli, "wants exactly one of --to WHERE, --shift N and --from-file FILE");
    if (cli_env(cli) == NULL)
        return CLI_FAILED;
    if (to != NULL)
        return read_to(seek, to);
    if (shift) {
        seek->where = WHERE_SHIFT;
        const char *text = cli_value(cli, "shift");
        if (text[0] == '+')
            text++;
        if (!cli_number_parse(text, -INT64_MAX, INT64_MAX, &seek->value))
            return cli_usage(
                cli, "--shift must be a number of records, e.g. -100 or +100, not '%s'", text);
        return CLI_OK;
    }
    seek->where = WHERE_FILE;
    if (cli->arg_count > 1)
        return cli_usage(cli, "--from-file names the topics; drop '%s'", cli->args[1]);
    return CLI_OK;
}

/* ---- which partitions ---- */

static int
make_room(struct seek *seek)
{
    struct arena *arena = &seek->cli->arena;
    size_t n = (size_t)seek->count + 1;
    seek->before = arena_calloc(arena, n, sizeof(int64_t));
    seek->after = arena_calloc(arena, n, sizeof(int64_t));
    seek->first = arena_calloc(arena, n, sizeof(int64_t));
    seek->last = arena_calloc(arena, n, sizeof(int64_t));
    return arena->exhausted ? cli_fail_memory(seek->cli) : CLI_OK;
}

static int
parts_of_file(struct seek *seek)
{
    struct cli *cli = seek->cli;
    struct csv_offset *lines;
    int count;
    int code = csv_read(cli, seek->path, seek->group.id, &lines, &count);
    if (code != CLI_OK)
        return code;
    /* Through the arguments' way in, so that a topic or partition that is not there is said. */
    char **args = arena_calloc(&cli->arena, (size_t)count + 1, sizeof *args);
    for (int i = 0; args != NULL && i < count; i++) {
        struct str arg =
            arena_printf(&cli->arena, "%.*s:%d", STR_FMT(lines[i].topic), (int)lines[i].index);
        args[i] = (char *)(uintptr_t)arg.data;
    }
    if (cli->arena.exhausted)
        return cli_fail_memory(cli);
    code = partitions_expand(cli, args, count, &seek->parts, &seek->count);
    if (code == CLI_OK)
        code = make_room(seek);
    if (code != CLI_OK)
        return code;
    ASSERT(seek->count == count); /* no line twice, and both are sorted */
    for (int i = 0; i < count; i++)
        seek->after[i] = lines[i].offset;
    return CLI_OK;
}

/* The topics of the command line, or what the group has committed. */
static int
parts_of_arguments(struct seek *seek, const struct group_offset *offsets, int count)
{
    struct cli *cli = seek->cli;
    int code;
    if (cli->arg_count > 1) {
        code =
            partitions_expand(cli, cli->args + 1, cli->arg_count - 1, &seek->parts, &seek->count);
        return code == CLI_OK ? make_room(seek) : code;
    }
    if (count == 0) {
        cli_missing(cli, "group '%s' has committed nothing yet; name the topics", cli->args[0]);
        cli_hint("moldau group seek %s TOPIC ...", cli->args[0]);
        return CLI_NOT_FOUND;
    }
    seek->parts = arena_calloc(&cli->arena, (size_t)count, sizeof *seek->parts);
    if (seek->parts == NULL)
        return cli_fail_memory(cli);
    for (int i = 0; i < count; i++)
        seek->parts[i] = (struct partition){.topic = offsets[i].topic, .index = offsets[i].index};
    seek->count = count;
    return make_room(seek);
}

static void
fill_before(struct seek *seek, const struct group_offset *offsets, int count)
{
    for (int i = 0; i < seek->count; i++)
        seek->before[i] = -1;
    for (int k = 0; k < count; k++) {
        struct partition *part =
            partitions_find(seek->parts, seek->count, offsets[k].topic, offsets[k].index);
        if (part != NULL)
            seek->before[part - seek->parts] = offsets[k].offset;
    }
}

/* ---- where to ---- */

static void
work_out(struct seek *seek, int i, int64_t by_time)
{
    int64_t before = seek->before[i];
    int64_t wanted = 0;
    switch (seek->where) {
    case WHERE_START: wanted = seek->first[i]; break;
    case WHERE_END: wanted = seek->last[i]; break;
    case WHERE_CURRENT: wanted = before >= 0 ? before : seek->last[i]; break;
    case WHERE_OFFSET: wanted = seek->value; break;
    case WHERE_TIME: wanted = by_time >= 0 ? by_time : seek->last[i]; break;
    case WHERE_SHIFT:
        if (__builtin_add_overflow(before >= 0 ? before : seek->last[i], seek->value, &wanted))
            wanted = seek->value < 0 ? INT64_MIN : INT64_MAX;
        break;
    case WHERE_FILE: wanted = seek->after[i]; break;
    }
    seek->after[i] = wanted < seek->first[i]  ? seek->first[i]
                     : wanted > seek->last[i] ? seek->last[i]
                                              : wanted;
    if (seek->after[i] != wanted)
        cli_warn(seek->cli, "%.*s:%d holds %lld to %lld, so it goes to %lld, not to %lld",
            STR_FMT(seek->parts[i].topic), (int)seek->parts[i].index, (long long)seek->first[i],
            (long long)seek->last[i], (long long)seek->after[i], (long long)wanted);
}

static int
plan(struct seek *seek)
{
    struct cli *cli = seek->cli;
    int64_t *by_time = arena_calloc(&cli->arena, (size_t)seek->count + 1, sizeof *by_time);
    if (by_time == NULL)
        return cli_fail_memory(cli);
    int code = partitions_offsets_all(cli, seek->parts, seek->count, OFFSET_EARLIEST, seek->first);
    if (code == CLI_OK)
        code = partitions_offsets_all(cli, seek->parts, seek->count, OFFSET_LATEST, seek->last);
    if (code == CLI_OK && seek->where == WHERE_TIME)
        code = partitions_offsets_all(cli, seek->parts, seek->count, seek->value, by_time);
    for (int i = 0; code == CLI_OK && i < seek->count; i++)
        work_out(seek, i, by_time[i]);
    return code;
}

/* ---- writing ---- */

static bool
fill_commit(struct seek *seek, struct proto_offset_commit_request *request)
{
    struct arena *arena = &seek->cli->arena;
    struct proto_offset_commit_request_offset_commit_request_partition *parts =
        arena_calloc(arena, (size_t)seek->count + 1, sizeof *parts);
    request->topics.items =
        arena_calloc(arena, (size_t)seek->count + 1, sizeof *request->topics.items);
    if (parts == NULL || request->topics.items == NULL)
        return false;
    request->topics.count = 0;
    for (int i = 0; i < seek->count; i++) {
        if (i == 0 || !str_eq(seek->parts[i].topic, seek->parts[i - 1].topic)) {
            request->topics.items[request->topics.count].name = seek->parts[i].topic;
            request->topics.items[request->topics.count++].partitions.items = parts + i;
        }
        request->topics.items[request->topics.count - 1].partitions.count++;
        parts[i].partition_index = seek->parts[i].index;
        parts[i].committed_offset = seek->after[i];
        parts[i].committed_leader_epoch = -1;
        parts[i].committed_metadata = STR("");
    }
    return true;
}

/* The errors of the answer, partition by partition; CLI_OK when the broker answered. */
static int
commit(struct seek *seek, int16_t *errors)
{
    struct proto_offset_commit_request request;
    const struct proto_offset_commit_response *response;
    struct client_call call;
    proto_init(&proto_offset_commit_request_schema, &request);
    request.group_id = seek->group.id;
    request.generation_id_or_member_epoch = -1;
    if (!fill_commit(seek, &request))
        return cli_fail_memory(seek->cli);
    client_call_init(&call, RESPONSE_ARENA);
    call.node_id = seek->group.coordinator;
    call.version_max = COMMIT_VERSION_MAX;
    int code = cli_call(seek->cli, &call, CLIENT_TARGET_NODE, PROTO_OFFSET_COMMIT_REQUEST_KEY,
        &request, (const void **)&response);
    for (int32_t t = 0; code == CLI_OK && t < response->topics.count; t++)
        for (int32_t p = 0; p < response->topics.items[t].partitions.count; p++) {
            struct partition *part =
                partitions_find(seek->parts, seek->count, response->topics.items[t].name,
                    response->topics.items[t].partitions.items[p].partition_index);
            if (part != NULL)
                errors[part - seek->parts] =
                    response->topics.items[t].partitions.items[p].error_code;
        }
    client_call_fini(&call);
    return code;
}

static int
export_plan(struct seek *seek, const char *path)
{
    struct buf text;
    csv_init(&text);
    for (int i = 0; i < seek->count; i++)
        csv_add(&text, seek->parts[i].topic, seek->parts[i].index, seek->after[i]);
    return csv_write(seek->cli, &text, path);
}

static int
print_moves(struct seek *seek, const int16_t *errors, bool dry_run)
{
    static const char *const columns[] = {
        "group", "topic", "partition", "before", "after", "lag", "status", "+start", "+end"};
    struct output out;
    int code = CLI_OK;
    output_begin(&out, seek->cli->format, columns, COUNT_OF(columns));
    for (int i = 0; i < seek->count; i++) {
        output_str(&out, seek->group.id);
        output_str(&out, seek->parts[i].topic);
        output_i64(&out, seek->parts[i].index);
        output_i64_if(&out, seek->before[i] >= 0, seek->before[i]);
        output_i64(&out, seek->after[i]);
        output_i64(&out, seek->last[i] - seek->after[i]);
        output_z(&out, errors[i] != 0 ? "failed" : dry_run ? "would move" : "moved");
        output_i64(&out, seek->first[i]);
        output_i64(&out, seek->last[i]);
        if (errors[i] != 0)
            code = cli_fail_code(seek->cli, seek->parts[i].topic, errors[i], STR_NULL);
    }
    int end = output_end(&out);
    return code != CLI_OK ? code : end;
}

/* The group must exist unless topics are named, and nobody may be reading. */
static int
check_group(struct seek *seek)
{
    struct cli *cli = seek->cli;
    bool named = cli->arg_count > 1 || seek->where == WHERE_FILE;
    int code = group_describe(cli, str_of(cli->args[0]), named, &seek->group);
    if (code == CLI_OK && str_eq_z(seek->group.type, "share"))
        return cli_fail(cli, "'%s' is a share group, which keeps no offsets to move", cli->args[0]);
    return code == CLI_OK ? group_must_be_empty(cli, &seek->group, "its offsets cannot be moved")
                          : code;
}

static int
run_seek(struct cli *cli)
{
    struct seek seek = {.cli = cli};
    struct group_offset *offsets;
    const char *path = cli_value(cli, "export");
    bool dry_run = cli_flag(cli, "dry-run");
    int count;
    int code = read_options(&seek);
    if (code == CLI_OK)
        code = check_group(&seek);
    if (code == CLI_OK)
        code = group_offsets(cli, &seek.group, &offsets, &count);
    if (code == CLI_OK)
        code = seek.where == WHERE_FILE ? parts_of_file(&seek)
                                        : parts_of_arguments(&seek, offsets, count);
    if (code != CLI_OK)
        return code;
    fill_before(&seek, offsets, count);
    code = plan(&seek);
    int16_t *errors = arena_calloc(&cli->arena, (size_t)seek.count + 1, sizeof *errors);
    if (code == CLI_OK && errors == NULL)
        code = cli_fail_memory(cli);
    if (code == CLI_OK && path != NULL)
        code = export_plan(&seek, path);
    if (code == CLI_OK && !dry_run)
        code = commit(&seek, errors);
    if (code != CLI_OK || (path != NULL && strcmp(path, "-") == 0))
        return code;
    return print_moves(&seek, errors, dry_run);
}

const struct cli_command cli_group_seek = {
    .name = "group seek",
    .arguments = "GROUP [TOPIC[:PARTITIONS]...]",
    .summary = "move the committed offsets of a group that has no members",
    .text = "Without topics, every partition that the group has committed moves. All offsets are "
            "worked out first and written by one commit: a failure moves none. Offsets outside a "
            "partition go to its nearer end.",
    .options =
        (const struct cli_option[]){
            {"to", 't', "WHERE", "start, end, current, an offset, or @TIME: " WHEN_FORMS},
            {"shift", 0, "N", "N records on, or back when negative"},
            {"from-file", 0, "FILE", "to what lines of topic,partition,offset say"},
            {"export", 'e', "FILE", "write where each one goes to FILE (- prints it)"},
            {"dry-run", 0, NULL, "only show where they would go"},
            {NULL, 0, NULL, NULL},
        },
    .arguments_min = 1,
    .arguments_max = -1,
    .not_found = "there is no such group, topic or partition",
    .examples = "  moldau group seek billing orders --to start --dry-run\n"
                "  moldau group seek billing orders:0,4-7 --to @2026-01-31T08:00:00Z\n"
                "  moldau group seek billing --to @-2h\n"
                "  moldau group seek billing --shift -100\n"
                "  moldau group seek billing --from-file billing.csv\n",
    .run = run_seek,
};
