/* broker/api_offset_for_leader_epoch.c - OffsetForLeaderEpoch: where an epoch ended in our log. */
#include "broker/broker.h"
#include "broker/request.h"
#include "proto/error_codes.h"
#include "proto/offset_for_leader_epoch_request.h"
#include "proto/offset_for_leader_epoch_response.h"
#include "replica/manager.h"

static void
epoch_one(const struct broker_req *req, struct str topic,
    const struct proto_offset_for_leader_epoch_request_offset_for_leader_partition *asked,
    struct proto_offset_for_leader_epoch_response_epoch_end_offset *answer)
{
    struct replica_partition *part;
    enum proto_error error;

    proto_init(&proto_offset_for_leader_epoch_response_epoch_end_offset_schema, answer);
    answer->partition = asked->partition;
    answer->leader_epoch = -1;
    answer->end_offset = -1;
    error = replica_manager_find(
        broker_replicas(req->broker), req->image, topic, UUID_ZERO, asked->partition, &part);
    /* No epoch is -1; less is older than any. */
    if (error == PROTO_ERROR_NONE && asked->current_leader_epoch < -1) {
        error = PROTO_ERROR_FENCED_LEADER_EPOCH;
        replica_partition_unref(&part);
    }
    if (error == PROTO_ERROR_NONE && asked->leader_epoch < -1) {
        struct replica_partition_state state;
        replica_partition_get_state(part, &state);
        replica_partition_unref(&part);
        answer->leader_epoch = asked->leader_epoch;
        answer->end_offset = state.log_start_offset;
    } else if (error == PROTO_ERROR_NONE) {
        error = replica_partition_epoch_end(part, asked->current_leader_epoch, asked->leader_epoch,
            &answer->leader_epoch, &answer->end_offset);
        replica_partition_unref(&part);
    }
    answer->error_code = (int16_t)error;
}

static bool
epoch_topic(const struct broker_req *req,
    const struct proto_offset_for_leader_epoch_request_offset_for_leader_topic *topic,
    struct proto_offset_for_leader_epoch_response_offset_for_leader_topic_result *response)
{
    int32_t count = topic->partitions.count > 0 ? topic->partitions.count : 0;

    response->topic = topic->topic;
    response->partitions.count = count;
    response->partitions.items =
        arena_alloc(req->arena, (size_t)count * sizeof *response->partitions.items);
    if (response->partitions.items == NULL)
        return false;
    for (int32_t i = 0; i < count; i++)
        epoch_one(req, topic->topic, &topic->partitions.items[i], &response->partitions.items[i]);
    return true;
}

static void
epoch_handle(struct broker_req *req)
{
    const struct proto_offset_for_leader_epoch_request *msg = req->msg;
    struct proto_offset_for_leader_epoch_response response;
    int32_t count = msg->topics.count > 0 ? msg->topics.count : 0;

    proto_init(&proto_offset_for_leader_epoch_response_schema, &response);
    response.topics.count = count;
    response.topics.items = arena_calloc(req->arena, (size_t)count, sizeof *response.topics.items);
    if (response.topics.items == NULL) {
        broker_req_close(req, "out of request memory");
        return;
    }
    for (int32_t t = 0; t < count; t++) {
        if (!epoch_topic(req, &msg->topics.items[t], &response.topics.items[t])) {
            broker_req_close(req, "out of request memory");
            return;
        }
    }
    broker_req_reply(req, &response);
}

const struct broker_api broker_api_offset_for_leader_epoch = {
    .key = 23,
    .version_min = 2,
    .version_max = 4,
    .handle = epoch_handle,
};
