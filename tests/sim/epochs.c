/* tests/sim/epochs.c - asks for the end of one epoch after the other.
 *
 * Epochs grow with the offsets; one ends behind its last record and not above the first of the
 * next. Threads: the clients' loop. */
#include "tests/sim/epochs.h"

#include <string.h>

#include "base/assert.h"
#include "proto/offset_for_leader_epoch_response.h"

enum { CALL_ARENA = 1 << 16 };

void
epochs_init(struct epochs *epochs, struct history *history, const char *topic)
{
    memset(epochs, 0, sizeof *epochs);
    epochs->history = history;
    epochs->topic = str_of(topic);
    client_call_init(&epochs->call, CALL_ARENA);
}

void
epochs_fini(struct epochs *epochs)
{
    client_call_cancel(&epochs->call);
    client_call_fini(&epochs->call);
}

void
epochs_note(struct epochs *epochs, int32_t partition, int32_t epoch, int64_t offset)
{
    ASSERT(partition >= 0 && partition < HISTORY_PARTITIONS);
    int *count = &epochs->count[partition];
    struct epoch_seen *last = *count > 0 ? &epochs->seen[partition][*count - 1] : NULL;
    if (last != NULL && last->epoch == epoch) {
        last->last = offset;
        return;
    }
    if (last != NULL && last->epoch > epoch)
        history_fail(epochs->history, "partition %d offset %lld: leader epoch %d behind %d",
            (int)partition, (long long)offset, (int)epoch, (int)last->epoch);
    if (*count < EPOCHS_MAX)
        epochs->seen[partition][(*count)++] = (struct epoch_seen){epoch, offset, offset};
}

static void
on_answer(struct client_call *call)
{
    struct epochs *epochs = call->ctx;
    const struct proto_offset_for_leader_epoch_response *response = call->response;
    if (call->err != ERR_OK || response->topics.count != 1 ||
        response->topics.items[0].partitions.count != 1 ||
        response->topics.items[0].partitions.items[0].error_code != 0)
        return; /* asked again */
    int32_t p = epochs->asked_part;
    const struct epoch_seen *seen = &epochs->seen[p][epochs->asked];
    int64_t end = response->topics.items[0].partitions.items[0].end_offset;
    int32_t epoch = response->topics.items[0].partitions.items[0].leader_epoch;
    bool last = epochs->asked + 1 == epochs->count[p];
    if (epoch != seen->epoch || end <= seen->last || (!last && end > seen[1].first))
        history_fail(epochs->history,
            "partition %d: epoch %d ends at %lld (of epoch %d); seen at %lld to %lld", (int)p,
            (int)seen->epoch, (long long)end, (int)epoch, (long long)seen->first,
            (long long)seen->last);
    epochs->asked++;
}

bool
epochs_check(struct epochs *epochs, struct client *client)
{
    if (epochs->call.active)
        return false;
    while (epochs->asked_part < HISTORY_PARTITIONS &&
           epochs->asked == epochs->count[epochs->asked_part]) {
        epochs->asked_part++;
        epochs->asked = 0;
    }
    if (epochs->asked_part == HISTORY_PARTITIONS)
        return true;
    epochs->request_part =
        (struct proto_offset_for_leader_epoch_request_offset_for_leader_partition){
            .partition = epochs->asked_part,
            .current_leader_epoch = -1,
            .leader_epoch = epochs->seen[epochs->asked_part][epochs->asked].epoch};
    epochs->request_topic = (struct proto_offset_for_leader_epoch_request_offset_for_leader_topic){
        .topic = epochs->topic};
    epochs->request_topic.partitions.items = &epochs->request_part;
    epochs->request_topic.partitions.count = 1;
    epochs->request = (struct proto_offset_for_leader_epoch_request){.replica_id = -1};
    epochs->request.topics.items = &epochs->request_topic;
    epochs->request.topics.count = 1;
    epochs->call.target = CLIENT_TARGET_ANY;
    epochs->call.key = PROTO_OFFSET_FOR_LEADER_EPOCH_REQUEST_KEY;
    epochs->call.request = &epochs->request;
    epochs->call.done = on_answer;
    epochs->call.ctx = epochs;
    client_call_start(client, &epochs->call);
    return false;
}
