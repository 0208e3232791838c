/* cli/cmd_cluster_health.c - moldau cluster health | partitions. */
#include <stdlib.h>
#include <string.h>

#include "cli/cluster.h"
#include "cli/commands.h"
#include "cli/configs.h"
#include "cli/log_dirs.h"
#include "cli/output.h"
#include "cli/topics.h"
#include "proto/error_codes.h"

enum { TEXT_SIZE = 400 };

struct health {
    struct cli *cli;
    struct output out;
    int problems;
    struct topic *topics;
    int topic_count;
    int partition_count;
    int64_t *min_isr; /* by topic; only of topics with a short in-sync set */
};

static void
add_problem(struct health *health, const char *problem, const char *what, const char *detail)
{
    health->problems++;
    output_z(&health->out, problem);
    output_z(&health->out, what);
    output_z(&health->out, detail);
}

static void
check_brokers(struct health *health, const struct cluster *cluster)
{
    char what[TEXT_SIZE];
    if (cluster->controller < 0)
        add_problem(health, "no controller", "cluster", "no controller is active");
    for (int i = 0; i < cluster->broker_count; i++)
        if (cluster->brokers[i].is_fenced) {
            snprintf(what, sizeof what, "broker %d", (int)cluster->brokers[i].id);
            add_problem(health, "fenced broker", what, "it does not answer the controller");
        }
}

/* Directories that are offline or nearly full. */
static int
check_dirs(struct health *health, const struct cluster *cluster)
{
    int code = CLI_OK;
    for (int i = 0; code == CLI_OK && i < cluster->broker_count; i++) {
        struct log_dir_row *rows;
        int count;
        struct partition none;
        if (cluster->brokers[i].is_fenced)
            continue;
        code = log_dirs_ask(health->cli, cluster->brokers[i].id, &none, 0, &rows, &count);
        for (int r = 0; code == CLI_OK && r < count; r++) {
            char what[TEXT_SIZE];
            char detail[TEXT_SIZE];
            snprintf(
                what, sizeof what, "broker %d %.*s", (int)rows[r].broker, STR_FMT(rows[r].dir));
            if (rows[r].error_code != 0)
                add_problem(
                    health, "log directory offline", what, proto_error_text(rows[r].error_code));
            else if (rows[r].total_bytes > 0 && rows[r].usable_bytes < rows[r].total_bytes / 20) {
                snprintf(detail, sizeof detail, "%lld of %lld bytes are free",
                    (long long)rows[r].usable_bytes, (long long)rows[r].total_bytes);
                add_problem(health, "log directory nearly full", what, detail);
            }
        }
    }
    return code;
}

/* ---- partitions ---- */

static int
take_min_isr(
    void *ctx, const struct proto_describe_configs_response_describe_configs_result *result)
{
    struct health *health = ctx;
    for (int t = 0; t < health->topic_count; t++) {
        if (!str_eq(health->topics[t].name, result->resource_name))
            continue;
        for (int32_t i = 0; i < result->configs.count; i++) {
            char text[24] = "";
            struct str value = result->configs.items[i].value;
            if (!str_eq_z(result->configs.items[i].name, "min.insync.replicas") ||
                value.len >= sizeof text)
                continue;
            memcpy(text, value.data, value.len);
            if (!cli_number_parse(text, 0, INT32_MAX, &health->min_isr[t]))
                health->min_isr[t] = 1;
        }
    }
    return CLI_OK;
}

/* min.insync.replicas of the topics that lack replicas in sync. */
static int
ask_min_isr(struct health *health)
{
    struct cli *cli = health->cli;
    size_t n = (size_t)health->topic_count + 1;
    struct config_resource *resources = arena_calloc(&cli->arena, n, sizeof *resources);
    health->min_isr = arena_calloc(&cli->arena, n, sizeof *health->min_isr);
    int count = 0;
    if (cli->arena.exhausted)
        return cli_fail_memory(cli);
    for (int t = 0; t < health->topic_count; t++) {
        bool is_short = false;
        for (int p = 0; p < health->topics[t].partition_count; p++)
            is_short |= health->topics[t].partitions[p].isr_count <
                        health->topics[t].partitions[p].replica_count;
        health->min_isr[t] = 1;
        if (is_short)
            resources[count++] =
                (struct config_resource){CONFIG_KIND_TOPIC, health->topics[t].name, -1};
    }
    return count == 0 ? CLI_OK : configs_describe(cli, resources, count, take_min_isr, health);
}

static const char *
partition_problem(const struct topic_partition *part, int64_t min_isr)
{
    return part->leader < 0                        ? "no leader"
           : part->isr_count < min_isr             ? "below min.insync.replicas"
           : part->isr_count < part->replica_count ? "under-replicated"
                                                   : NULL;
}

static void
check_partitions(struct health *health)
{
    for (int t = 0; t < health->topic_count; t++)
        for (int p = 0; p < health->topics[t].partition_count; p++) {
            const struct topic_partition *part = &health->topics[t].partitions[p];
            const char *problem = partition_problem(part, health->min_isr[t]);
            char what[TEXT_SIZE];
            char detail[TEXT_SIZE];
            health->partition_count++;
            if (problem == NULL)
                continue;
            snprintf(
                what, sizeof what, "%.*s:%d", STR_FMT(health->topics[t].name), (int)part->index);
            snprintf(detail, sizeof detail, "%d of %d replicas in sync", part->isr_count,
                part->replica_count);
            add_problem(health, problem, what, detail);
        }
}

static int
run_health(struct cli *cli)
{
    static const char *const columns[] = {"problem", "what", "detail"};
    static const char *const sum_columns[] = {
        "healthy", "broker_count", "topic_count", "partition_count", "problem_count"};
    struct health health = {.cli = cli};
    struct cluster cluster;
    output_open(&health.out, cli->format);
    output_rows(&health.out, "problems", columns, COUNT_OF(columns));
    int code = cluster_describe(cli, &cluster);
    if (code == CLI_OK)
        check_brokers(&health, &cluster);
    if (code == CLI_OK)
        code = check_dirs(&health, &cluster);
    if (code == CLI_OK)
        code = topics_ask(cli, NULL, 0, &health.topics, &health.topic_count);
    if (code == CLI_OK)
        code = ask_min_isr(&health);
    if (code == CLI_OK)
        check_partitions(&health);
    if (code != CLI_OK) {
        output_drop(&health.out);
        return code;
    }
    output_record(&health.out, NULL, sum_columns, COUNT_OF(sum_columns));
    output_bool(&health.out, health.problems == 0);
    output_i64(&health.out, cluster.broker_count);
    output_i64(&health.out, health.topic_count);
    output_i64(&health.out, health.partition_count);
    output_i64(&health.out, health.problems);
    code = output_end(&health.out);
    return code != CLI_OK ? code : health.problems > 0 ? CLI_UNHEALTHY : CLI_OK;
}

/* ---- cluster partitions ---- */

static int
run_partitions(struct cli *cli)
{
    static const char *const columns[] = {
        "topic", "partition", "leader", "epoch", "replicas", "isr", "+offline"};
    struct topic *topics;
    struct output out;
    int count;
    int64_t broker;
    bool leaderless = cli_flag(cli, "leaderless");
    bool under = cli_flag(cli, "under-replicated");
    if (!cli_number(cli, "broker", 0, INT32_MAX, -1, &broker))
        return CLI_USAGE;
    int code = topics_ask(cli, cli->args, cli->arg_count, &topics, &count);
    if (code != CLI_OK)
        return code;
    output_begin(&out, cli->format, columns, COUNT_OF(columns));
    for (int t = 0; t < count; t++)
        for (int p = 0; p < topics[t].partition_count; p++) {
            const struct topic_partition *part = &topics[t].partitions[p];
            bool wanted = (!leaderless && !under) || (leaderless && part->leader < 0) ||
                          (under && part->isr_count < part->replica_count);
            bool on_broker = broker < 0;
            for (int r = 0; r < part->replica_count; r++)
                on_broker |= part->replicas[r] == broker;
            if (!wanted || !on_broker)
                continue;
            output_str(&out, topics[t].name);
            output_i64(&out, part->index);
            output_i64_if(&out, part->leader >= 0, part->leader);
            output_i64(&out, part->leader_epoch);
            output_ints(&out, part->replicas, part->replica_count);
            output_ints(&out, part->isr, part->isr_count);
            output_ints(&out, part->offline, part->offline_count);
        }
    return output_end(&out);
}

const struct cli_command cli_cluster_health = {
    .name = "cluster health",
    .arguments = "",
    .summary = "check brokers, log directories and partitions",
    .text = "Problems are: no active controller, fenced brokers, log directories that are offline "
            "or less than 5% free, partitions without a leader, below min.insync.replicas, or "
            "with replicas out of sync.",
    .unhealthy = "there is a problem",
    .examples = "  moldau cluster health || alert\n",
    .run = run_health,
};

const struct cli_command cli_cluster_partitions = {
    .name = "cluster partitions",
    .arguments = "[TOPIC...]",
    .summary = "where partitions live, all of them or those in trouble",
    .options =
        (const struct cli_option[]){
            {"leaderless", 0, NULL, "only those without a leader"},
            {"under-replicated", 'u', NULL, "only those with replicas out of sync"},
            {"broker", 0, "ID", "only those with a replica on this broker"},
            {NULL, 0, NULL, NULL},
        },
    .arguments_max = -1,
    .not_found = "there is no such topic",
    .examples = "  moldau cluster partitions --under-replicated\n",
    .run = run_partitions,
};
