/* cli/cluster.c - DescribeCluster, ApiVersions and DescribeQuorum. */
#include "cli/cluster.h"

#include <stdlib.h>
#include <string.h>

#include "proto/api_versions_request.h"
#include "proto/api_versions_response.h"
#include "proto/describe_cluster_request.h"
#include "proto/describe_cluster_response.h"
#include "proto/describe_quorum_request.h"
#include "proto/describe_quorum_response.h"

enum { RESPONSE_ARENA = 64 << 20 };

/* ---- brokers ---- */

static int
by_id(const void *a, const void *b)
{
    const struct cluster_broker *x = a;
    const struct cluster_broker *y = b;
    return x->id < y->id ? -1 : x->id > y->id;
}

static int
take_cluster(
    struct cli *cli, const struct proto_describe_cluster_response *response, struct cluster *out)
{
    out->id = arena_str(&cli->arena, response->cluster_id);
    out->controller = response->controller_id;
    out->broker_count = response->brokers.count;
    out->brokers =
        arena_calloc(&cli->arena, (size_t)response->brokers.count + 1, sizeof *out->brokers);
    for (int i = 0; out->brokers != NULL && i < out->broker_count; i++)
        out->brokers[i] = (struct cluster_broker){.id = response->brokers.items[i].broker_id,
            .host = arena_str(&cli->arena, response->brokers.items[i].host),
            .port = response->brokers.items[i].port,
            .rack = arena_str(&cli->arena, response->brokers.items[i].rack),
            .is_fenced = response->brokers.items[i].is_fenced};
    if (cli->arena.exhausted)
        return cli_fail_memory(cli);
    qsort(out->brokers, (size_t)out->broker_count, sizeof *out->brokers, by_id);
    return CLI_OK;
}

int
cluster_describe(struct cli *cli, struct cluster *out)
{
    struct proto_describe_cluster_request request;
    const struct proto_describe_cluster_response *response;
    struct client_call call;
    proto_init(&proto_describe_cluster_request_schema, &request);
    client_call_init(&call, RESPONSE_ARENA);
    if (cli_client(cli) == NULL)
        return CLI_FAILED;
    /* Only version 2 can ask for fenced brokers too. */
    request.include_fenced_brokers = true;
    enum err err =
        cli_try(cli, &call, CLIENT_TARGET_ANY, PROTO_DESCRIBE_CLUSTER_REQUEST_KEY, &request);
    if (err == ERR_INVALID || err == ERR_UNSUPPORTED) {
        request.include_fenced_brokers = false;
        err = cli_try(cli, &call, CLIENT_TARGET_ANY, PROTO_DESCRIBE_CLUSTER_REQUEST_KEY, &request);
    }
    int code = err == ERR_OK ? CLI_OK : cli_fail_call(cli, err);
    response = call.response;
    if (code == CLI_OK && response->error_code != 0)
        code = cli_fail_code(cli, STR("cluster"), response->error_code, response->error_message);
    if (code == CLI_OK)
        code = take_cluster(cli, response, out);
    client_call_fini(&call);
    return code;
}

/* ---- features ---- */

static struct cluster_feature *
find_feature(struct cli *cli, struct cluster_features *features, struct str name)
{
    for (int i = 0; i < features->count; i++)
        if (str_eq(features->items[i].name, name))
            return &features->items[i];
    features->items[features->count].name = arena_str(&cli->arena, name);
    return &features->items[features->count++];
}

static int
by_name(const void *a, const void *b)
{
    return str_cmp(
        ((const struct cluster_feature *)a)->name, ((const struct cluster_feature *)b)->name);
}

static int
take_features(struct cli *cli, const struct proto_api_versions_response *response,
    struct cluster_features *out)
{
    size_t capacity =
        (size_t)response->supported_features.count + (size_t)response->finalized_features.count;
    out->count = 0;
    out->items = arena_calloc(&cli->arena, capacity + 1, sizeof *out->items);
    if (out->items == NULL)
        return cli_fail_memory(cli);
    for (int32_t i = 0; i < response->supported_features.count; i++) {
        struct cluster_feature *feature =
            find_feature(cli, out, response->supported_features.items[i].name);
        feature->is_supported = true;
        feature->supported_min = response->supported_features.items[i].min_version;
        feature->supported_max = response->supported_features.items[i].max_version;
    }
    for (int32_t i = 0; i < response->finalized_features.count; i++) {
        struct cluster_feature *feature =
            find_feature(cli, out, response->finalized_features.items[i].name);
        feature->is_finalized = true;
        feature->level = response->finalized_features.items[i].max_version_level;
        feature->level_min = response->finalized_features.items[i].min_version_level;
    }
    qsort(out->items, (size_t)out->count, sizeof *out->items, by_name);
    return cli->arena.exhausted ? cli_fail_memory(cli) : CLI_OK;
}

int
cluster_ask_features(struct cli *cli, struct cluster_features *out)
{
    struct proto_api_versions_request request;
    const struct proto_api_versions_response *response;
    struct client_call call;
    proto_init(&proto_api_versions_request_schema, &request);
    request.client_software_name = STR("moldau");
    request.client_software_version = STR("1");
    client_call_init(&call, RESPONSE_ARENA);
    int code = cli_call(cli, &call, CLIENT_TARGET_ANY, PROTO_API_VERSIONS_REQUEST_KEY, &request,
        (const void **)&response);
    if (code == CLI_OK && response->error_code != 0)
        code = cli_fail_code(cli, STR("features"), response->error_code, STR_NULL);
    if (code == CLI_OK)
        code = take_features(cli, response, out);
    client_call_fini(&call);
    return code;
}

/* ---- quorum ---- */

static struct str
endpoints_of(struct cli *cli, const struct proto_describe_quorum_response *response, int32_t id)
{
    struct str text = STR_NULL;
    for (int32_t n = 0; n < response->nodes.count; n++)
        for (int32_t i = 0;
             response->nodes.items[n].node_id == id && i < response->nodes.items[n].listeners.count;
             i++) {
            const struct proto_describe_quorum_response_listener *listener =
                &response->nodes.items[n].listeners.items[i];
            text = arena_printf(&cli->arena, "%.*s%s%.*s://%.*s:%u", STR_FMT(text),
                text.len > 0 ? "," : "", STR_FMT(listener->name), STR_FMT(listener->host),
                (unsigned)listener->port);
        }
    return text;
}

static struct cluster_replica
replica_of(struct cli *cli, const struct proto_describe_quorum_response *response,
    const struct proto_describe_quorum_response_replica_state *state, bool is_voter)
{
    return (struct cluster_replica){.id = state->replica_id,
        .directory_id = state->replica_directory_id,
        .is_voter = is_voter,
        .log_end = state->log_end_offset,
        .last_fetch_ms = state->last_fetch_timestamp,
        .last_caught_up_ms = state->last_caught_up_timestamp,
        .endpoints = endpoints_of(cli, response, state->replica_id)};
}

static int
take_quorum(struct cli *cli, const struct proto_describe_quorum_response *response,
    const struct proto_describe_quorum_response_partition_data *part, struct cluster_quorum *out)
{
    size_t capacity = (size_t)part->current_voters.count + (size_t)part->observers.count;
    *out = (struct cluster_quorum){.leader = part->leader_id,
        .leader_epoch = part->leader_epoch,
        .high_watermark = part->high_watermark,
        .log_end = -1};
    out->replicas = arena_calloc(&cli->arena, capacity + 1, sizeof *out->replicas);
    if (out->replicas == NULL)
        return cli_fail_memory(cli);
    for (int32_t i = 0; i < part->current_voters.count; i++)
        out->replicas[out->replica_count++] =
            replica_of(cli, response, &part->current_voters.items[i], true);
    for (int32_t i = 0; i < part->observers.count; i++)
        out->replicas[out->replica_count++] =
            replica_of(cli, response, &part->observers.items[i], false);
    for (int i = 0; i < out->replica_count; i++)
        if (out->replicas[i].id == out->leader)
            out->log_end = out->replicas[i].log_end;
    return cli->arena.exhausted ? cli_fail_memory(cli) : CLI_OK;
}

int
cluster_ask_quorum(struct cli *cli, struct cluster_quorum *out)
{
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
    client_call_init(&call, RESPONSE_ARENA);
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
        code = part->error_code != 0
                   ? cli_fail_code(cli, STR("quorum"), part->error_code, part->error_message)
                   : take_quorum(cli, response, part, out);
    }
    client_call_fini(&call);
    return code;
}
