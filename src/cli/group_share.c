/* cli/group_share.c - where a share group stands: the first record of each partition that is not
 * done with (KIP-932). */
#include "cli/group_priv.h"
#include "proto/describe_share_group_offsets_request.h"
#include "proto/describe_share_group_offsets_response.h"

enum { RESPONSE_ARENA = 64 << 20 };

static int
take_topics(struct cli *cli,
    const struct
    proto_describe_share_group_offsets_response_describe_share_group_offsets_response_group *group,
    struct group_offset **out, int *count)
{
    int32_t n = 0;
    for (int32_t t = 0; t < group->topics.count; t++)
        n += group->topics.items[t].partitions.count;
    struct group_offset *offsets = arena_calloc(&cli->arena, (size_t)n + 1, sizeof *offsets);
    *count = 0;
    if (offsets == NULL)
        return cli_fail_memory(cli);
    for (int32_t t = 0; t < group->topics.count; t++) {
        struct str topic = arena_str(&cli->arena, group->topics.items[t].topic_name);
        for (int32_t p = 0; p < group->topics.items[t].partitions.count; p++) {
            /* Its generated name is longer than a line may be. */
            const __typeof__(*group->topics.items[t].partitions.items) *part =
                &group->topics.items[t].partitions.items[p];
            if (part->error_code != 0)
                return cli_fail_code(cli, topic, part->error_code, part->error_message);
            if (part->start_offset >= 0) /* else nobody has read it yet */
                offsets[(*count)++] = (struct group_offset){.topic = topic,
                    .index = part->partition_index,
                    .offset = part->start_offset,
                    .leader_epoch = part->leader_epoch};
        }
    }
    *out = offsets;
    return cli->arena.exhausted ? cli_fail_memory(cli) : CLI_OK;
}

int
group_share_offsets(
    struct cli *cli, const struct group *group, struct group_offset **out, int *count)
{
    struct proto_describe_share_group_offsets_request_describe_share_group_offsets_request_group
        asked = {.group_id = group->id};
    struct proto_describe_share_group_offsets_request request;
    const struct proto_describe_share_group_offsets_response *response;
    struct client_call call;
    proto_init(&proto_describe_share_group_offsets_request_schema, &request);
    asked.topics.count = -1; /* all */
    request.groups.items = &asked;
    request.groups.count = 1;
    client_call_init(&call, RESPONSE_ARENA);
    call.node_id = group->coordinator;
    int code = cli_call(cli, &call, CLIENT_TARGET_NODE,
        PROTO_DESCRIBE_SHARE_GROUP_OFFSETS_REQUEST_KEY, &request, (const void **)&response);
    if (code == CLI_OK && response->groups.count != 1)
        code = cli_fail(cli, "the broker's answer names other groups");
    if (code == CLI_OK && response->groups.items[0].error_code != 0)
        code = cli_fail_code(cli, group->id, response->groups.items[0].error_code,
            response->groups.items[0].error_message);
    if (code == CLI_OK)
        code = take_topics(cli, &response->groups.items[0], out, count);
    client_call_fini(&call);
    return code;
}
