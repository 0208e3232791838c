/* cli/group.c - a group's coordinator, description and offsets.
 *
 * There is one request to describe each type of group, and nothing says the type beforehand: they
 * are tried from the most frequent on, and a broker that does not serve one has no such groups. */
#include "cli/group.h"

#include <stdlib.h>

#include "base/assert.h"
#include "cli/group_priv.h"
#include "proto/error_codes.h"
#include "proto/find_coordinator_request.h"
#include "proto/find_coordinator_response.h"
#include "proto/offset_fetch_request.h"
#include "proto/offset_fetch_response.h"

enum {
    FIND_VERSION_MAX = 3,  /* one key */
    FETCH_VERSION_MAX = 7, /* one group, by topic name */
    RESPONSE_ARENA = 256 << 20,
    TRIES = 100,
    PAUSE_MS = 100,
};

/* ---- where ---- */

int
group_find(struct cli *cli, struct str id, struct group *out)
{
    struct proto_find_coordinator_request request;
    const struct proto_find_coordinator_response *response;
    struct client_call call;
    bool refresh;
    proto_init(&proto_find_coordinator_request_schema, &request);
    request.key = id;
    client_call_init(&call, RESPONSE_ARENA);
    call.version_max = FIND_VERSION_MAX;
    int code = CLI_OK;
    for (int tries = 0; tries < TRIES; tries++) {
        code = cli_call(cli, &call, CLIENT_TARGET_ANY, PROTO_FIND_COORDINATOR_REQUEST_KEY, &request,
            (const void **)&response);
        if (code != CLI_OK || !client_error_is_retriable(response->error_code, &refresh))
            break;
        cli_progress(cli, "waiting for the group's coordinator");
        cli_pause(cli, PAUSE_MS); /* it is being made */
    }
    cli_progress_end(cli);
    if (code == CLI_OK && response->error_code != 0)
        code = cli_fail_code(cli, id, response->error_code, response->error_message);
    if (code == CLI_OK) {
        out->id = id;
        out->coordinator = response->node_id;
        out->host = arena_str(&cli->arena, response->host);
        out->port = response->port;
    }
    client_call_fini(&call);
    return code;
}

/* ---- what ---- */

static int
is_not_there(struct cli *cli, struct str id)
{
    cli_missing(cli, "no group '%.*s'", STR_FMT(id));
    cli_hint("moldau group list");
    return CLI_NOT_FOUND;
}

static bool
says_not_of_this_type(int16_t error)
{
    return error == PROTO_ERROR_GROUP_ID_NOT_FOUND || error == PROTO_ERROR_UNSUPPORTED_VERSION;
}

/* One way to describe; tries again while the coordinator loads or moves. */
static int
try_way(struct cli *cli, const struct group_way *way, struct group *out, int16_t *error)
{
    struct client_call call;
    struct str message = STR_NULL;
    bool refresh;
    enum err err = ERR_OK;
    int code = CLI_OK;
    union group_request request;
    client_call_init(&call, RESPONSE_ARENA);
    way->fill(&request, &out->id);
    for (int tries = 0; tries < TRIES && code == CLI_OK; tries++) {
        call.node_id = out->coordinator;
        err = cli_try(cli, &call, CLIENT_TARGET_NODE, way->key, &request);
        *error = 0;
        if (err == ERR_OK)
            *error = way->take(cli, call.response, out, &message);
        if (err != ERR_OK || !client_error_is_retriable(*error, &refresh))
            break;
        cli_pause(cli, PAUSE_MS);
        code = group_find(cli, out->id, out);
    }
    if (err == ERR_UNSUPPORTED)
        *error = PROTO_ERROR_UNSUPPORTED_VERSION;
    else if (err != ERR_OK)
        code = cli_fail_call(cli, err);
    if (code == CLI_OK && *error != 0 && !says_not_of_this_type(*error))
        code = cli_fail_code(cli, out->id, *error, message);
    client_call_fini(&call);
    return code;
}

int
group_describe(struct cli *cli, struct str id, bool may_lack, struct group *out)
{
    *out = (struct group){.id = id, .epoch = -1, .assignment_epoch = -1};
    int code = group_find(cli, id, out);
    for (int i = 0; code == CLI_OK && i < GROUP_WAYS; i++) {
        int16_t error;
        code = try_way(cli, &group_ways[i], out, &error);
        if (code == CLI_OK && error == 0 && cli->arena.exhausted)
            return cli_fail_memory(cli);
        /* Before version 6 of DescribeGroups a group that is not there is Dead. */
        if (code == CLI_OK && error == 0 && !str_eq_z(out->state, "Dead"))
            return CLI_OK;
    }
    out->state = STR_NULL;
    return code == CLI_OK && !may_lack ? is_not_there(cli, id) : code;
}

int
group_must_be_empty(const struct cli *cli, const struct group *group, const char *to_do)
{
    if (group->member_count == 0)
        return CLI_OK;
    cli_fail(cli, "group '%.*s' is %.*s with %d member%s, so %s", STR_FMT(group->id),
        STR_FMT(group->state), group->member_count, group->member_count == 1 ? "" : "s", to_do);
    cli_hint("stop its consumers first; moldau group members %.*s shows them", STR_FMT(group->id));
    return CLI_FAILED;
}

/* ---- offsets ---- */

static int
by_topic(const void *a, const void *b)
{
    const struct group_offset *x = a;
    const struct group_offset *y = b;
    int order = str_cmp(x->topic, y->topic);
    return order != 0 ? order : x->index < y->index ? -1 : x->index > y->index;
}

static int
take_offsets(struct cli *cli, const struct group *group,
    const struct proto_offset_fetch_response *response, struct group_offset **out, int *count)
{
    int32_t n = 0;
    for (int32_t t = 0; t < response->topics.count; t++)
        n += response->topics.items[t].partitions.count;
    struct group_offset *offsets = arena_calloc(&cli->arena, (size_t)n + 1, sizeof *offsets);
    if (offsets == NULL)
        return cli_fail_memory(cli);
    n = 0;
    for (int32_t t = 0; t < response->topics.count; t++) {
        struct str topic = arena_str(&cli->arena, response->topics.items[t].name);
        for (int32_t p = 0; p < response->topics.items[t].partitions.count; p++) {
            const struct proto_offset_fetch_response_offset_fetch_response_partition *part =
                &response->topics.items[t].partitions.items[p];
            if (part->error_code != 0)
                return cli_fail_code(cli, group->id, part->error_code, STR_NULL);
            if (part->committed_offset < 0)
                continue;
            offsets[n++] = (struct group_offset){.topic = topic,
                .index = part->partition_index,
                .offset = part->committed_offset,
                .leader_epoch = part->committed_leader_epoch,
                .metadata = arena_str(&cli->arena, part->metadata)};
        }
    }
    *out = offsets;
    *count = n;
    return cli->arena.exhausted ? cli_fail_memory(cli) : CLI_OK;
}

static int
committed_offsets(struct cli *cli, const struct group *group, struct group_offset **out, int *count)
{
    struct proto_offset_fetch_request request;
    const struct proto_offset_fetch_response *response;
    struct client_call call;
    bool refresh;
    proto_init(&proto_offset_fetch_request_schema, &request);
    request.group_id = group->id;
    request.topics.items = NULL;
    request.topics.count = -1;
    client_call_init(&call, RESPONSE_ARENA);
    call.version_max = FETCH_VERSION_MAX;
    call.node_id = group->coordinator;
    int code = CLI_OK;
    for (int tries = 0; tries < TRIES; tries++) {
        code = cli_call(cli, &call, CLIENT_TARGET_NODE, PROTO_OFFSET_FETCH_REQUEST_KEY, &request,
            (const void **)&response);
        if (code != CLI_OK || !client_error_is_retriable(response->error_code, &refresh))
            break;
        cli_pause(cli, PAUSE_MS);
    }
    if (code == CLI_OK && response->error_code != 0)
        code = cli_fail_code(cli, group->id, response->error_code, STR_NULL);
    if (code == CLI_OK)
        code = take_offsets(cli, group, response, out, count);
    client_call_fini(&call);
    return code;
}

int
group_offsets(struct cli *cli, const struct group *group, struct group_offset **out, int *count)
{
    int code = str_eq_z(group->type, "share") ? group_share_offsets(cli, group, out, count)
                                              : committed_offsets(cli, group, out, count);
    if (code == CLI_OK)
        qsort(*out, (size_t)*count, sizeof **out, by_topic);
    return code;
}
