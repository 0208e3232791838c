/* cli/cmd_cluster.c - moldau cluster info | quorum | features | logdirs. */
#include <string.h>

#include "cli/cluster.h"
#include "cli/commands.h"
#include "cli/log_dirs.h"
#include "cli/output.h"
#include "proto/error_codes.h"

static const char *const broker_columns[] = {
    "broker", "host", "port", "rack", "controller", "fenced"};
static const char *const feature_columns[] = {
    "feature", "finalized", "supported_min", "supported_max", "+finalized_min"};
static const char *const quorum_columns[] = {
    "node", "role", "log_end", "lag", "+directory", "+last_fetch", "+last_caught_up", "+endpoints"};

/* ---- parts of the answer ---- */

static void
print_brokers(struct output *out, const struct cluster *cluster)
{
    for (int i = 0; i < cluster->broker_count; i++) {
        const struct cluster_broker *broker = &cluster->brokers[i];
        output_i64(out, broker->id);
        output_str(out, broker->host);
        output_i64(out, broker->port);
        output_str(out, broker->rack);
        output_bool(out, broker->id == cluster->controller);
        output_bool(out, broker->is_fenced);
    }
}

static void
print_features(struct output *out, const struct cluster_features *features)
{
    for (int i = 0; i < features->count; i++) {
        const struct cluster_feature *feature = &features->items[i];
        output_str(out, feature->name);
        output_i64_if(out, feature->is_finalized, feature->level);
        output_i64_if(out, feature->is_supported, feature->supported_min);
        output_i64_if(out, feature->is_supported, feature->supported_max);
        output_i64_if(out, feature->is_finalized, feature->level_min);
    }
}

static void
print_quorum(struct output *out, const struct cluster_quorum *quorum)
{
    for (int i = 0; i < quorum->replica_count; i++) {
        const struct cluster_replica *replica = &quorum->replicas[i];
        char id[UUID_TEXT_SIZE];
        uuid_format(replica->directory_id, id);
        output_i64(out, replica->id);
        output_z(out, replica->id == quorum->leader ? "leader"
                      : replica->is_voter           ? "voter"
                                                    : "observer");
        output_i64_if(out, replica->log_end >= 0, replica->log_end);
        output_i64_if(
            out, replica->log_end >= 0 && quorum->log_end >= 0, quorum->log_end - replica->log_end);
        output_z(out, uuid_is_zero(replica->directory_id) ? NULL : id);
        output_i64_if(out, replica->last_fetch_ms >= 0, replica->last_fetch_ms);
        output_i64_if(out, replica->last_caught_up_ms >= 0, replica->last_caught_up_ms);
        output_str(out, replica->endpoints);
    }
}

/* ---- commands ---- */

static int
run_info(struct cli *cli)
{
    static const char *const columns[] = {"cluster", "controller", "broker_count", "fenced_count",
        "metadata_version", "quorum_leader", "quorum_epoch", "high_watermark"};
    struct cluster cluster;
    struct cluster_features features;
    struct cluster_quorum quorum;
    struct output out;
    int fenced = 0;
    int64_t level = -1;
    int code = cluster_describe(cli, &cluster);
    if (code == CLI_OK)
        code = cluster_ask_features(cli, &features);
    if (code == CLI_OK)
        code = cluster_ask_quorum(cli, &quorum);
    if (code != CLI_OK)
        return code;
    for (int i = 0; i < cluster.broker_count; i++)
        fenced += cluster.brokers[i].is_fenced;
    for (int i = 0; i < features.count; i++)
        if (str_eq_z(features.items[i].name, "metadata.version") && features.items[i].is_finalized)
            level = features.items[i].level;
    output_open(&out, cli->format);
    output_record(&out, NULL, columns, COUNT_OF(columns));
    output_str(&out, cluster.id);
    output_i64_if(&out, cluster.controller >= 0, cluster.controller);
    output_i64(&out, cluster.broker_count);
    output_i64(&out, fenced);
    output_i64_if(&out, level >= 0, level);
    output_i64_if(&out, quorum.leader >= 0, quorum.leader);
    output_i64(&out, quorum.leader_epoch);
    output_i64(&out, quorum.high_watermark);
    output_rows(&out, "brokers", broker_columns, COUNT_OF(broker_columns));
    print_brokers(&out, &cluster);
    output_rows(&out, "features", feature_columns, COUNT_OF(feature_columns));
    print_features(&out, &features);
    output_rows(&out, "quorum", quorum_columns, COUNT_OF(quorum_columns));
    print_quorum(&out, &quorum);
    return output_end(&out);
}

static int
run_quorum(struct cli *cli)
{
    static const char *const columns[] = {
        "leader", "epoch", "high_watermark", "voters", "observers", "max_lag"};
    struct cluster_quorum quorum;
    struct output out;
    int code = cluster_ask_quorum(cli, &quorum);
    if (code != CLI_OK)
        return code;
    int voters = 0;
    int64_t max_lag = 0;
    for (int i = 0; i < quorum.replica_count; i++) {
        int64_t lag = quorum.log_end - quorum.replicas[i].log_end;
        voters += quorum.replicas[i].is_voter;
        max_lag = quorum.replicas[i].log_end >= 0 && lag > max_lag ? lag : max_lag;
    }
    output_open(&out, cli->format);
    output_record(&out, NULL, columns, COUNT_OF(columns));
    output_i64_if(&out, quorum.leader >= 0, quorum.leader);
    output_i64(&out, quorum.leader_epoch);
    output_i64(&out, quorum.high_watermark);
    output_i64(&out, voters);
    output_i64(&out, quorum.replica_count - voters);
    output_i64(&out, max_lag);
    output_rows(&out, "replicas", quorum_columns, COUNT_OF(quorum_columns));
    print_quorum(&out, &quorum);
    return output_end(&out);
}

static int
run_features(struct cli *cli)
{
    struct cluster_features features;
    struct output out;
    int code = cluster_ask_features(cli, &features);
    if (code != CLI_OK)
        return code;
    output_begin(&out, cli->format, feature_columns, COUNT_OF(feature_columns));
    print_features(&out, &features);
    return output_end(&out);
}

static void
print_dir(struct output *out, const struct log_dir_row *row, int logs)
{
    output_i64(out, row->broker);
    output_str(out, row->dir);
    output_i64(out, logs);
    output_i64(out, row->size_bytes);
    output_i64_if(out, row->total_bytes >= 0, row->total_bytes);
    output_i64_if(out, row->usable_bytes >= 0, row->usable_bytes);
    output_z(out, row->error_code == 0 ? "online" : proto_error_name(row->error_code));
}

static void
print_log(struct output *out, const struct log_dir_row *row)
{
    output_i64(out, row->broker);
    output_str(out, row->dir);
    output_str(out, row->topic);
    output_i64(out, row->index);
    output_i64(out, row->size_bytes);
    output_i64(out, row->lag);
    output_bool(out, row->is_future);
}

static int
run_logdirs(struct cli *cli)
{
    static const char *const dir_columns[] = {
        "broker", "dir", "logs", "size_bytes", "total_bytes", "usable_bytes", "state"};
    static const char *const log_columns[] = {
        "broker", "dir", "topic", "partition", "size_bytes", "lag", "future"};
    bool with_logs = cli_flag(cli, "logs");
    struct cluster cluster;
    struct output out;
    int64_t only;
    bool found = false;
    if (!cli_number(cli, "broker", 0, INT32_MAX, -1, &only))
        return CLI_USAGE;
    int code = cluster_describe(cli, &cluster);
    if (code != CLI_OK)
        return code;
    if (with_logs)
        output_begin(&out, cli->format, log_columns, COUNT_OF(log_columns));
    else
        output_begin(&out, cli->format, dir_columns, COUNT_OF(dir_columns));
    for (int i = 0; i < cluster.broker_count; i++) {
        struct log_dir_row *rows;
        int count = 0;
        if (cluster.brokers[i].is_fenced || (only >= 0 && cluster.brokers[i].id != only))
            continue;
        found = true;
        int one = log_dirs_ask(cli, cluster.brokers[i].id, NULL, 0, &rows, &count);
        code = one != CLI_OK ? one : code;
        for (int r = 0; one == CLI_OK && r < count; r++) {
            int logs = 0;
            for (int k = r + 1; k < count && !str_is_null(rows[k].topic); k++)
                logs++;
            if (!with_logs && str_is_null(rows[r].topic))
                print_dir(&out, &rows[r], logs);
            else if (with_logs && !str_is_null(rows[r].topic))
                print_log(&out, &rows[r]);
            r += with_logs ? 0 : logs;
        }
    }
    int end = output_end(&out);
    if (only >= 0 && !found) {
        cli_missing(cli, "no broker %lld in the cluster", (long long)only);
        cli_hint("moldau cluster info");
        return CLI_NOT_FOUND;
    }
    return code != CLI_OK ? code : end;
}

const struct cli_command cli_cluster_info = {
    .name = "cluster info",
    .arguments = "",
    .summary = "the cluster's id, brokers, controller, features and metadata quorum",
    .examples = "  moldau cluster info\n"
                "  moldau cluster info -o json | jq .metadata_version\n",
    .run = run_info,
};

const struct cli_command cli_cluster_quorum = {
    .name = "cluster quorum",
    .arguments = "",
    .summary = "leader, voters and observers of the metadata quorum",
    .examples = "  moldau cluster quorum -o wide\n",
    .run = run_quorum,
};

const struct cli_command cli_cluster_features = {
    .name = "cluster features",
    .arguments = "",
    .summary = "finalized and supported levels of the cluster's features",
    .examples = "  moldau cluster features\n",
    .run = run_features,
};

const struct cli_command cli_cluster_logdirs = {
    .name = "cluster logdirs",
    .arguments = "",
    .summary = "log directories of the brokers: size, free space, state",
    .options =
        (const struct cli_option[]){
            {"broker", 0, "ID", "only this broker"},
            {"logs", 'l', NULL, "each log instead of each directory"},
            {NULL, 0, NULL, NULL},
        },
    .not_found = "there is no such broker",
    .examples = "  moldau cluster logdirs\n",
    .run = run_logdirs,
};
