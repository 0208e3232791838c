/* cli/topics.c - Metadata of topics. */
#include "cli/topics.h"

#include <stdlib.h>
#include <string.h>

#include "cli/partitions.h"
#include "proto/error_codes.h"
#include "proto/metadata_request.h"
#include "proto/metadata_response.h"

enum { RESPONSE_ARENA = 512 << 20, TRIES_MISSING = 4, PAUSE_MS = 100 };

static int32_t *
copy_ints(struct cli *cli, const int32_t *items, int32_t count, int *out_count)
{
    int32_t *copy = arena_calloc(&cli->arena, (size_t)(count > 0 ? count : 0) + 1, sizeof *copy);
    if (copy != NULL && count > 0)
        memcpy(copy, items, (size_t)count * sizeof *copy);
    *out_count = copy != NULL && count > 0 ? count : 0;
    return copy;
}

static int
by_index(const void *a, const void *b)
{
    const struct topic_partition *x = a;
    const struct topic_partition *y = b;
    return x->index < y->index ? -1 : x->index > y->index;
}

static int
by_name(const void *a, const void *b)
{
    return str_cmp(((const struct topic *)a)->name, ((const struct topic *)b)->name);
}

static int
take_topic(struct cli *cli, const struct proto_metadata_response_metadata_response_topic *from,
    struct topic *out)
{
    if (from->error_code == PROTO_ERROR_UNKNOWN_TOPIC_OR_PARTITION)
        return partitions_missing_topic(cli, from->name);
    if (from->error_code != 0)
        return cli_fail_code(cli, from->name, from->error_code, STR_NULL);
    char *name = arena_strndup(&cli->arena, from->name.data, from->name.len);
    out->name = str_of(name);
    out->id = from->topic_id;
    out->is_internal = from->is_internal;
    out->partitions =
        arena_calloc(&cli->arena, (size_t)from->partitions.count + 1, sizeof *out->partitions);
    if (cli->arena.exhausted)
        return cli_fail_memory(cli);
    for (int32_t p = 0; p < from->partitions.count; p++) {
        const struct proto_metadata_response_metadata_response_partition *part =
            &from->partitions.items[p];
        struct topic_partition *to = &out->partitions[p];
        to->index = part->partition_index;
        to->leader = part->leader_id;
        to->leader_epoch = part->leader_epoch;
        to->replicas = copy_ints(
            cli, part->replica_nodes.items, part->replica_nodes.count, &to->replica_count);
        to->isr = copy_ints(cli, part->isr_nodes.items, part->isr_nodes.count, &to->isr_count);
        to->offline = copy_ints(
            cli, part->offline_replicas.items, part->offline_replicas.count, &to->offline_count);
    }
    out->partition_count = from->partitions.count;
    qsort(out->partitions, (size_t)out->partition_count, sizeof *out->partitions, by_index);
    return cli->arena.exhausted ? cli_fail_memory(cli) : CLI_OK;
}

static bool
any_missing(const struct proto_metadata_response *response)
{
    for (int32_t i = 0; i < response->topics.count; i++)
        if (response->topics.items[i].error_code == PROTO_ERROR_UNKNOWN_TOPIC_OR_PARTITION)
            return true;
    return false;
}

int
topics_ask(struct cli *cli, char **names, int count, struct topic **out, int *out_count)
{
    struct proto_metadata_request request;
    const struct proto_metadata_response *response;
    struct client_call call;
    proto_init(&proto_metadata_request_schema, &request);
    request.topics.items =
        arena_calloc(&cli->arena, (size_t)count + 1, sizeof *request.topics.items);
    if (request.topics.items == NULL)
        return cli_fail_memory(cli);
    request.topics.count = count > 0 ? 0 : -1;
    for (int i = 0; i < count; i++) {
        bool twice = false;
        for (int k = 0; k < i && !twice; k++)
            twice = strcmp(names[k], names[i]) == 0;
        if (!twice)
            request.topics.items[request.topics.count++].name = str_of(names[i]);
    }
    request.allow_auto_topic_creation = false;
    client_call_init(&call, RESPONSE_ARENA);
    int code = CLI_OK;
    for (int tries = 0; tries <= TRIES_MISSING; tries++) {
        code = cli_call(cli, &call, CLIENT_TARGET_ANY, PROTO_METADATA_REQUEST_KEY, &request,
            (const void **)&response);
        if (code != CLI_OK || !any_missing(response))
            break;
        cli_pause(cli, PAUSE_MS); /* what was just made may not have reached this broker yet */
    }
    int32_t n = code == CLI_OK ? response->topics.count : 0;
    struct topic *topics = arena_calloc(&cli->arena, (size_t)n + 1, sizeof *topics);
    if (code == CLI_OK && topics == NULL)
        code = cli_fail_memory(cli);
    for (int32_t i = 0; code == CLI_OK && i < n; i++)
        code = take_topic(cli, &response->topics.items[i], &topics[i]);
    client_call_fini(&call);
    if (code != CLI_OK)
        return code;
    qsort(topics, (size_t)n, sizeof *topics, by_name);
    *out = topics;
    *out_count = n;
    return CLI_OK;
}
