/* cli/cmd_cluster.c - moldau cluster info: brokers, controller, quorum. */
#include <string.h>

#include "cli/commands.h"
#include "cli/output.h"
#include "proto/describe_cluster_request.h"
#include "proto/describe_cluster_response.h"
#include "proto/describe_quorum_request.h"
#include "proto/describe_quorum_response.h"

enum { ARENA_BYTES = 16 << 20 };

static void
print_brokers(struct cli *cli, const struct proto_describe_cluster_response *response)
{
    static const char *const columns[] = {
        "cluster", "broker", "host", "port", "rack", "controller", "fenced"};
    struct output out;
    output_begin(&out, cli->format, columns, COUNT_OF(columns));
    for (int32_t i = 0; i < response->brokers.count; i++) {
        const struct proto_describe_cluster_response_describe_cluster_broker *broker =
            &response->brokers.items[i];
        output_str(&out, response->cluster_id);
        output_i64(&out, broker->broker_id);
        output_str(&out, broker->host);
        output_i64(&out, broker->port);
        output_str(&out, broker->rack);
        output_z(&out, broker->broker_id == response->controller_id ? "yes" : "no");
        output_z(&out, broker->is_fenced ? "yes" : "no");
    }
    output_end(&out);
}

static int
run_info(struct cli *cli)
{
    struct proto_describe_cluster_request request;
    const struct proto_describe_cluster_response *response;
    struct client_call call;
    proto_init(&proto_describe_cluster_request_schema, &request);
    request.include_fenced_brokers = true;
    client_call_init(&call, ARENA_BYTES);
    int code = cli_call(cli, &call, CLIENT_TARGET_ANY, PROTO_DESCRIBE_CLUSTER_REQUEST_KEY, &request,
        (const void **)&response);
    if (code == CLI_OK && response->error_code != 0)
        code = cli_fail_code(cli, STR("cluster"), response->error_code, response->error_message);
    if (code == CLI_OK)
        print_brokers(cli, response);
    client_call_fini(&call);
    return code;
}

static void
print_replica(struct output *out, const struct proto_describe_quorum_response_partition_data *part,
    const struct proto_describe_quorum_response_replica_state *replica, const char *role)
{
    output_i64(out, replica->replica_id);
    output_z(out, replica->replica_id == part->leader_id ? "leader" : role);
    output_i64(out, part->leader_epoch);
    output_i64(out, part->high_watermark);
    output_i64(out, replica->log_end_offset);
}

static int
run_quorum(struct cli *cli)
{
    static const char *const columns[] = {"node", "role", "epoch", "high_watermark", "log_end"};
    struct proto_describe_quorum_request_partition_data asked = {0};
    struct proto_describe_quorum_request_topic_data topic = {
        .topic_name = STR("__cluster_metadata")};
    struct proto_describe_quorum_request request;
    const struct proto_describe_quorum_response *response;
    struct client_call call;
    proto_init(&proto_describe_quorum_request_schema, &request);
    topic.partitions.items = &asked;
    topic.partitions.count = 1;
    request.topics.items = &topic;
    request.topics.count = 1;
    client_call_init(&call, ARENA_BYTES);
    int code = cli_call(cli, &call, CLIENT_TARGET_ANY, PROTO_DESCRIBE_QUORUM_REQUEST_KEY, &request,
        (const void **)&response);
    if (code == CLI_OK && response->error_code != 0)
        code = cli_fail_code(cli, STR("quorum"), response->error_code, response->error_message);
    if (code == CLI_OK &&
        (response->topics.count != 1 || response->topics.items[0].partitions.count != 1))
        code = cli_fail(cli, "the broker's answer names another partition");
    if (code == CLI_OK) {
        const struct proto_describe_quorum_response_partition_data *part =
            &response->topics.items[0].partitions.items[0];
        if (part->error_code != 0) {
            code = cli_fail_code(cli, STR("quorum"), part->error_code, part->error_message);
        } else {
            struct output out;
            output_begin(&out, cli->format, columns, COUNT_OF(columns));
            for (int32_t i = 0; i < part->current_voters.count; i++)
                print_replica(&out, part, &part->current_voters.items[i], "voter");
            for (int32_t i = 0; i < part->observers.count; i++)
                print_replica(&out, part, &part->observers.items[i], "observer");
            output_end(&out);
        }
    }
    client_call_fini(&call);
    return code;
}

const struct cli_command cli_cluster_info = {
    .name = "cluster info",
    .arguments = "",
    .summary = "the cluster's id, brokers and controller",
    .examples = "  moldau cluster info -o json\n",
    .run = run_info,
};

const struct cli_command cli_cluster_quorum = {
    .name = "cluster quorum",
    .arguments = "",
    .summary = "voters and observers of the metadata quorum",
    .examples = "  moldau cluster quorum\n",
    .run = run_quorum,
};
