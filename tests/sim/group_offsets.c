/* tests/sim/group_offsets.c - OffsetCommit and OffsetFetch by themselves.
 *
 * The numbers committed only grow, so whatever is read must lie between the last one acknowledged
 * and the last one sent. */
#include "tests/sim/group_offsets.h"

#include <string.h>

#include "proto/error_codes.h"
#include "proto/offset_commit_response.h"
#include "proto/offset_fetch_response.h"

enum { COMMIT_VERSION_MAX = 9, FETCH_VERSION_MAX = 7, FIND_VERSION_MAX = 3, CALL_ARENA = 1 << 20 };

static const char GROUP[] = "auditors";

static void
on_found(struct client_call *call)
{
    (void)call; /* the answer is always this broker; asking made the topic */
}

static void
find_coordinator(struct group_offsets *offsets, struct client *client)
{
    if (offsets->find_call.active)
        return;
    offsets->find = (struct proto_find_coordinator_request){.key = str_of(GROUP)};
    offsets->find_call.target = CLIENT_TARGET_ANY;
    offsets->find_call.key = PROTO_FIND_COORDINATOR_REQUEST_KEY;
    offsets->find_call.version_max = FIND_VERSION_MAX;
    offsets->find_call.request = &offsets->find;
    offsets->find_call.done = on_found;
    client_call_start(client, &offsets->find_call);
}

static void
on_committed(struct client_call *call)
{
    struct group_offsets *offsets = call->ctx;
    const struct proto_offset_commit_response *response = call->response;
    if (call->err != ERR_OK)
        return;
    for (int32_t i = 0; i < response->topics.count; i++)
        for (int32_t j = 0; j < response->topics.items[i].partitions.count; j++) {
            const struct proto_offset_commit_response_offset_commit_response_partition *part =
                &response->topics.items[i].partitions.items[j];
            if (part->error_code == 0)
                history_commit_acked(offsets->history, part->partition_index, offsets->committing);
            else
                offsets->need_coordinator = true;
        }
}

void
group_offsets_init(struct group_offsets *offsets, struct history *history, const char *topic)
{
    memset(offsets, 0, sizeof *offsets);
    offsets->history = history;
    offsets->topic = str_of(topic);
    offsets->need_coordinator = true;
    client_call_init(&offsets->find_call, CALL_ARENA);
    client_call_init(&offsets->commit_call, CALL_ARENA);
    client_call_init(&offsets->fetch_call, CALL_ARENA);
}

void
group_offsets_fini(struct group_offsets *offsets)
{
    client_call_cancel(&offsets->find_call);
    client_call_cancel(&offsets->commit_call);
    client_call_cancel(&offsets->fetch_call);
    client_call_fini(&offsets->find_call);
    client_call_fini(&offsets->commit_call);
    client_call_fini(&offsets->fetch_call);
}

void
group_offsets_commit(struct group_offsets *offsets, struct client *client)
{
    if (offsets->commit_call.active)
        return;
    if (offsets->need_coordinator) {
        offsets->need_coordinator = false;
        find_coordinator(offsets, client);
        return;
    }
    offsets->committing = history_commit_next(offsets->history);
    for (int32_t p = 0; p < HISTORY_PARTITIONS; p++) {
        offsets->commit_parts[p] =
            (struct proto_offset_commit_request_offset_commit_request_partition){
                .partition_index = p,
                .committed_offset = offsets->committing,
                .committed_leader_epoch = -1,
                .committed_metadata = STR_NULL};
        history_commit_sent(offsets->history, p, offsets->committing);
    }
    offsets->commit_topic =
        (struct proto_offset_commit_request_offset_commit_request_topic){.name = offsets->topic};
    offsets->commit_topic.partitions.items = offsets->commit_parts;
    offsets->commit_topic.partitions.count = HISTORY_PARTITIONS;
    offsets->commit = (struct proto_offset_commit_request){.group_id = str_of(GROUP),
        .generation_id_or_member_epoch = -1,
        .member_id = str_of(""),
        .group_instance_id = STR_NULL,
        .retention_time_ms = -1};
    offsets->commit.topics.items = &offsets->commit_topic;
    offsets->commit.topics.count = 1;
    offsets->commit_call.target = CLIENT_TARGET_ANY;
    offsets->commit_call.key = PROTO_OFFSET_COMMIT_REQUEST_KEY;
    offsets->commit_call.version_max = COMMIT_VERSION_MAX;
    offsets->commit_call.request = &offsets->commit;
    offsets->commit_call.done = on_committed;
    offsets->commit_call.ctx = offsets;
    client_call_start(client, &offsets->commit_call);
}

static void
on_fetched(struct client_call *call)
{
    struct group_offsets *offsets = call->ctx;
    const struct proto_offset_fetch_response *response = call->response;
    if (call->err != ERR_OK)
        return;
    if (response->error_code != 0) {
        offsets->need_coordinator = true;
        return;
    }
    for (int32_t i = 0; i < response->topics.count; i++)
        for (int32_t j = 0; j < response->topics.items[i].partitions.count; j++) {
            const struct proto_offset_fetch_response_offset_fetch_response_partition *part =
                &response->topics.items[i].partitions.items[j];
            if (part->error_code != 0)
                return;
            history_commit_read(offsets->history, part->partition_index, part->committed_offset);
            offsets->fetched = true;
        }
}

bool
group_offsets_fetch(struct group_offsets *offsets, struct client *client)
{
    if (offsets->fetched || offsets->fetch_call.active)
        return offsets->fetched;
    if (offsets->need_coordinator) {
        offsets->need_coordinator = false;
        find_coordinator(offsets, client);
        return false;
    }
    for (int32_t p = 0; p < HISTORY_PARTITIONS; p++)
        offsets->fetch_indexes[p] = p;
    offsets->fetch_topic =
        (struct proto_offset_fetch_request_offset_fetch_request_topic){.name = offsets->topic};
    offsets->fetch_topic.partition_indexes.items = offsets->fetch_indexes;
    offsets->fetch_topic.partition_indexes.count = HISTORY_PARTITIONS;
    offsets->fetch = (struct proto_offset_fetch_request){.group_id = str_of(GROUP)};
    offsets->fetch.topics.items = &offsets->fetch_topic;
    offsets->fetch.topics.count = 1;
    offsets->fetch_call.target = CLIENT_TARGET_ANY;
    offsets->fetch_call.key = PROTO_OFFSET_FETCH_REQUEST_KEY;
    offsets->fetch_call.version_max = FETCH_VERSION_MAX;
    offsets->fetch_call.request = &offsets->fetch;
    offsets->fetch_call.done = on_fetched;
    offsets->fetch_call.ctx = offsets;
    client_call_start(client, &offsets->fetch_call);
    return offsets->fetched;
}
