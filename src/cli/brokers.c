/* cli/brokers.c - Metadata without topics. */
#include "cli/brokers.h"

#include <stdlib.h>

#include "proto/metadata_request.h"
#include "proto/metadata_response.h"

enum { RESPONSE_ARENA = 64 << 20 };

static int
by_id(const void *a, const void *b)
{
    const struct broker *x = a;
    const struct broker *y = b;
    return x->id < y->id ? -1 : x->id > y->id;
}

static int
take_answer(struct cli *cli, const struct proto_metadata_response *response, struct broker **out)
{
    int32_t count = response->brokers.count;
    struct broker *brokers = arena_calloc(&cli->arena, (size_t)count + 1, sizeof *brokers);
    for (int32_t i = 0; brokers != NULL && i < count; i++)
        brokers[i] = (struct broker){.id = response->brokers.items[i].node_id,
            .host = arena_str(&cli->arena, response->brokers.items[i].host),
            .port = response->brokers.items[i].port,
            .rack = arena_str(&cli->arena, response->brokers.items[i].rack)};
    if (brokers == NULL || cli->arena.exhausted)
        return cli_fail_memory(cli);
    qsort(brokers, (size_t)count, sizeof *brokers, by_id);
    *out = brokers;
    return CLI_OK;
}

int
brokers_list(
    struct cli *cli, struct broker **out, int *count, struct str *cluster_id, int32_t *controller)
{
    struct proto_metadata_request request;
    const struct proto_metadata_response *response;
    struct client_call call;
    proto_init(&proto_metadata_request_schema, &request);
    request.topics.count = 0;
    request.allow_auto_topic_creation = false;
    client_call_init(&call, RESPONSE_ARENA);
    int code = cli_call(cli, &call, CLIENT_TARGET_ANY, PROTO_METADATA_REQUEST_KEY, &request,
        (const void **)&response);
    if (code == CLI_OK)
        code = take_answer(cli, response, out);
    if (code == CLI_OK) {
        *count = response->brokers.count;
        *cluster_id = arena_str(&cli->arena, response->cluster_id);
        *controller = response->controller_id;
    }
    client_call_fini(&call);
    return code;
}
