/* cli/cmd_topic_describe.c - moldau topic describe | stats. */
#include <string.h>

#include "cli/commands.h"
#include "cli/configs.h"
#include "cli/log_dirs.h"
#include "cli/output.h"
#include "cli/partitions.h"
#include "cli/topics.h"

/* Everything that is shown of some topics. The arrays run over all their partitions, topic by
 * topic; -1 is not known. */
struct view {
    struct cli *cli;
    struct topic *topics;
    int topic_count;
    struct partition *parts;
    int64_t *first, *last, *size_bytes;
    int part_count;
};

/* The partitions of the topics, with what Metadata said of their leaders. */
static int
make_parts(struct view *view)
{
    struct arena *arena = &view->cli->arena;
    for (int t = 0; t < view->topic_count; t++)
        view->part_count += view->topics[t].partition_count;
    size_t n = (size_t)view->part_count + 1;
    view->parts = arena_calloc(arena, n, sizeof *view->parts);
    view->first = arena_calloc(arena, n, sizeof(int64_t));
    view->last = arena_calloc(arena, n, sizeof(int64_t));
    view->size_bytes = arena_calloc(arena, n, sizeof(int64_t));
    if (arena->exhausted)
        return cli_fail_memory(view->cli);
    int at = 0;
    for (int t = 0; t < view->topic_count; t++)
        for (int p = 0; p < view->topics[t].partition_count; p++)
            view->parts[at++] = (struct partition){.topic = view->topics[t].name,
                .index = view->topics[t].partitions[p].index,
                .leader = view->topics[t].partitions[p].leader};
    return CLI_OK;
}

/* A partition without a leader has no offsets to show; that is no failure. */
static int
ask_offsets(struct view *view, int64_t timestamp, int64_t *out)
{
    for (int i = 0; i < view->part_count; i++) {
        view->parts[i].timestamp = timestamp;
        view->parts[i].error_code = 0;
    }
    int code = partitions_offsets(view->cli, view->parts, view->part_count, false);
    for (int i = 0; code == CLI_OK && i < view->part_count; i++)
        out[i] = view->parts[i].error_code == 0 ? view->parts[i].offset : -1;
    return code;
}

static int
gather(struct view *view, char **names, int name_count)
{
    int code = topics_ask(view->cli, names, name_count, &view->topics, &view->topic_count);
    if (code == CLI_OK)
        code = make_parts(view);
    if (code == CLI_OK)
        code = ask_offsets(view, OFFSET_EARLIEST, view->first);
    if (code == CLI_OK)
        code = ask_offsets(view, OFFSET_LATEST, view->last);
    if (code == CLI_OK)
        code = log_dirs_sizes(view->cli, view->parts, view->part_count, view->size_bytes);
    return code;
}

/* Records and bytes of the topic whose partitions start at `at`; false when some are not known. */
static bool
sum(const struct view *view, const struct topic *topic, int at, int64_t *records, int64_t *bytes)
{
    bool known = true;
    *records = 0;
    *bytes = 0;
    for (int i = at; i < at + topic->partition_count; i++) {
        known &= view->first[i] >= 0 && view->last[i] >= 0 && view->size_bytes[i] >= 0;
        *records += view->last[i] - view->first[i];
        *bytes += view->size_bytes[i];
    }
    return known;
}

static void
print_topics(const struct view *view, struct output *out)
{
    for (int t = 0, at = 0; t < view->topic_count; at += view->topics[t++].partition_count) {
        const struct topic *topic = &view->topics[t];
        char id[UUID_TEXT_SIZE];
        int64_t records, bytes;
        bool known = sum(view, topic, at, &records, &bytes);
        int under = 0, leaderless = 0;
        uuid_format(topic->id, id);
        for (int p = 0; p < topic->partition_count; p++) {
            under += topic->partitions[p].isr_count < topic->partitions[p].replica_count;
            leaderless += topic->partitions[p].leader < 0;
        }
        output_str(out, topic->name);
        output_z(out, id);
        output_i64(out, topic->partition_count);
        output_i64(out, topic->partition_count > 0 ? topic->partitions[0].replica_count : 0);
        output_i64_if(out, known, records);
        output_i64_if(out, known, bytes);
        output_bool(out, topic->is_internal);
        output_i64(out, under);
        output_i64(out, leaderless);
    }
}

static void
print_partitions(const struct view *view, struct output *out)
{
    int at = 0;
    for (int t = 0; t < view->topic_count; t++)
        for (int p = 0; p < view->topics[t].partition_count; p++, at++) {
            const struct topic_partition *part = &view->topics[t].partitions[p];
            output_str(out, view->topics[t].name);
            output_i64(out, part->index);
            output_i64_if(out, part->leader >= 0, part->leader);
            output_i64(out, part->leader_epoch);
            output_ints(out, part->replicas, part->replica_count);
            output_ints(out, part->isr, part->isr_count);
            output_ints(out, part->offline, part->offline_count);
            output_i64_if(out, view->first[at] >= 0, view->first[at]);
            output_i64_if(out, view->last[at] >= 0, view->last[at]);
            output_i64_if(out, view->size_bytes[at] >= 0, view->size_bytes[at]);
        }
}

static int
print_configs(
    void *ctx, const struct proto_describe_configs_response_describe_configs_result *result)
{
    struct output *out = ctx;
    for (int32_t i = 0; i < result->configs.count; i++) {
        const struct proto_describe_configs_response_describe_configs_resource_result *one =
            &result->configs.items[i];
        if (one->config_source == CONFIG_SOURCE_DEFAULT)
            continue;
        output_str(out, result->resource_name);
        output_str(out, one->name);
        output_str(out, one->is_sensitive ? STR("(hidden)") : one->value);
        output_z(out, config_source_name(one->config_source));
    }
    return CLI_OK;
}

static int
run_describe(struct cli *cli)
{
    static const char *const topic_columns[] = {"topic", "id", "partitions", "replicas", "records",
        "size_bytes", "+internal", "+under_replicated", "+leaderless"};
    static const char *const partition_columns[] = {"topic", "partition", "leader", "epoch",
        "replicas", "isr", "+offline", "start_offset", "end_offset", "size_bytes"};
    static const char *const config_columns[] = {"topic", "key", "value", "source"};
    struct view view = {.cli = cli};
    struct output out;
    int code = gather(&view, cli->args, cli->arg_count);
    struct config_resource *resources =
        arena_calloc(&cli->arena, (size_t)view.topic_count + 1, sizeof *resources);
    if (code == CLI_OK && resources == NULL)
        code = cli_fail_memory(cli);
    if (code != CLI_OK)
        return code;
    for (int i = 0; i < view.topic_count; i++)
        resources[i] = (struct config_resource){CONFIG_KIND_TOPIC, view.topics[i].name, -1};
    output_open(&out, cli->format);
    output_rows(&out, "topics", topic_columns, COUNT_OF(topic_columns));
    print_topics(&view, &out);
    output_rows(&out, "partitions", partition_columns, COUNT_OF(partition_columns));
    print_partitions(&view, &out);
    output_rows(&out, "configs", config_columns, COUNT_OF(config_columns));
    code = configs_describe(cli, resources, view.topic_count, print_configs, &out);
    int end = output_end(&out);
    return code != CLI_OK ? code : end;
}

static int
run_stats(struct cli *cli)
{
    static const char *const columns[] = {"topic", "partitions", "records", "size_bytes",
        "bytes_per_record", "largest_partition", "smallest_partition"};
    struct view view = {.cli = cli};
    struct output out;
    int code = gather(&view, cli->args, cli->arg_count);
    if (code != CLI_OK)
        return code;
    output_begin(&out, cli->format, columns, COUNT_OF(columns));
    for (int t = 0, at = 0; t < view.topic_count; at += view.topics[t++].partition_count) {
        const struct topic *topic = &view.topics[t];
        int64_t records, bytes;
        int64_t least = INT64_MAX, most = 0;
        bool known = sum(&view, topic, at, &records, &bytes);
        for (int i = at; i < at + topic->partition_count; i++) {
            least = view.size_bytes[i] < least ? view.size_bytes[i] : least;
            most = view.size_bytes[i] > most ? view.size_bytes[i] : most;
        }
        output_str(&out, topic->name);
        output_i64(&out, topic->partition_count);
        output_i64_if(&out, known, records);
        output_i64_if(&out, known, bytes);
        output_i64_if(&out, known && records > 0, records > 0 ? bytes / records : 0);
        output_i64_if(&out, known, most);
        output_i64_if(&out, known, least);
    }
    return output_end(&out);
}

const struct cli_command cli_topic_describe = {
    .name = "topic describe",
    .arguments = "TOPIC...",
    .summary = "partitions, leaders, replicas, offsets, sizes and own settings of topics",
    .arguments_min = 1,
    .arguments_max = -1,
    .not_found = "there is no such topic",
    .examples =
        "  moldau topic describe orders\n"
        "  moldau topic describe orders -o json | jq '.partitions[] | select(.leader == null)'\n",
    .run = run_describe,
};

const struct cli_command cli_topic_stats = {
    .name = "topic stats",
    .arguments = "[TOPIC...]",
    .summary = "records and bytes of topics (all of them without arguments)",
    .arguments_max = -1,
    .not_found = "there is no such topic",
    .text = "Records are counted by offsets: compaction and transactions make them fewer than "
            "shown. Sizes are those of the leaders.",
    .examples = "  moldau topic stats\n",
    .run = run_stats,
};
