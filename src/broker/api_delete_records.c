/* broker/api_delete_records.c - DeleteRecords: moves the start of logs up. */
#include "broker/broker.h"
#include "broker/request.h"
#include "meta/image.h"
#include "proto/delete_records_request.h"
#include "proto/delete_records_response.h"
#include "proto/error_codes.h"
#include "replica/manager.h"

static enum proto_error
delete_one(const struct broker_req *req, struct str topic, int32_t index, int64_t offset,
    int64_t *low_watermark)
{
    struct replica_partition *part;
    enum proto_error error;

    if (meta_image_topic(req->image, topic) != NULL && meta_topic_name_is_internal(topic))
        return PROTO_ERROR_INVALID_TOPIC_EXCEPTION;
    error = replica_manager_find(
        broker_replicas(req->broker), req->image, topic, UUID_ZERO, index, &part);
    if (error != PROTO_ERROR_NONE)
        return error;
    error = replica_partition_delete_records(part, offset, low_watermark);
    replica_partition_unref(&part);
    return error;
}

static bool
delete_topic(const struct broker_req *req,
    const struct proto_delete_records_request_delete_records_topic *topic,
    struct proto_delete_records_response_delete_records_topic_result *response)
{
    int32_t count = topic->partitions.count > 0 ? topic->partitions.count : 0;

    response->name = topic->name;
    response->partitions.count = count;
    response->partitions.items =
        arena_calloc(req->arena, (size_t)count, sizeof *response->partitions.items);
    if (response->partitions.items == NULL)
        return false;
    for (int32_t i = 0; i < count; i++) {
        struct proto_delete_records_response_delete_records_partition_result *result =
            &response->partitions.items[i];
        int32_t index = topic->partitions.items[i].partition_index;
        result->partition_index = index;
        result->low_watermark = -1;
        result->error_code = (int16_t)delete_one(
            req, topic->name, index, topic->partitions.items[i].offset, &result->low_watermark);
    }
    return true;
}

static void
delete_handle(struct broker_req *req)
{
    const struct proto_delete_records_request *msg = req->msg;
    struct proto_delete_records_response response;
    int32_t count = msg->topics.count > 0 ? msg->topics.count : 0;

    proto_init(&proto_delete_records_response_schema, &response);
    response.topics.count = count;
    response.topics.items = arena_calloc(req->arena, (size_t)count, sizeof *response.topics.items);
    if (response.topics.items == NULL) {
        broker_req_close(req, "out of request memory");
        return;
    }
    for (int32_t t = 0; t < count; t++) {
        if (!delete_topic(req, &msg->topics.items[t], &response.topics.items[t])) {
            broker_req_close(req, "out of request memory");
            return;
        }
    }
    broker_req_reply(req, &response);
}

const struct broker_api broker_api_delete_records = {
    .key = 21,
    .version_min = 0,
    .version_max = 2,
    .handle = delete_handle,
};
