/* AlterPartitionReassignments (45): moves replicas, or stops moving them; decided by the
 * controller. */
#include "broker/broker.h"
#include "broker/forward.h"
#include "proto/alter_partition_reassignments_request.h"
#include "proto/alter_partition_reassignments_response.h"
#include "proto/api_keys.h"
#include "proto/error_codes.h"

static bool
fail_topic(struct broker_req *req,
    const struct proto_alter_partition_reassignments_request_reassignable_topic *asked,
    enum proto_error code,
    struct proto_alter_partition_reassignments_response_reassignable_topic_response *out)
{
    int32_t count = asked->partitions.count > 0 ? asked->partitions.count : 0;

    out->name = asked->name;
    out->partitions.items = arena_calloc(req->arena, (size_t)count, sizeof *out->partitions.items);
    if (out->partitions.items == NULL)
        return false;
    out->partitions.count = count;
    for (int32_t i = 0; i < count; i++) {
        out->partitions.items[i].partition_index = asked->partitions.items[i].partition_index;
        out->partitions.items[i].error_code = (int16_t)code;
        out->partitions.items[i].error_message = broker_forward_text(code);
    }
    return true;
}

static const void *
fail(struct broker_req *req, enum proto_error code)
{
    const struct proto_alter_partition_reassignments_request *msg = req->msg;
    int32_t count = msg->topics.count > 0 ? msg->topics.count : 0;
    struct proto_alter_partition_reassignments_response *response =
        arena_alloc(req->arena, sizeof *response);
    struct proto_alter_partition_reassignments_response_reassignable_topic_response *items =
        arena_calloc(req->arena, (size_t)count, sizeof *items);

    if (response == NULL || items == NULL)
        return NULL;
    proto_init(&proto_alter_partition_reassignments_response_schema, response);
    response->error_code = (int16_t)code;
    response->error_message = broker_forward_text(code);
    response->responses.items = items;
    response->responses.count = count;
    for (int32_t i = 0; i < count; i++)
        if (!fail_topic(req, &msg->topics.items[i], code, &items[i]))
            return NULL;
    return response;
}

static void
handle(struct broker_req *req)
{
    const struct proto_alter_partition_reassignments_request *msg = req->msg;

    broker_forward_within(req, msg->timeout_ms, fail);
}

const struct broker_api broker_api_alter_partition_reassignments = {
    .key = PROTO_API_ALTER_PARTITION_REASSIGNMENTS,
    .version_min = PROTO_ALTER_PARTITION_REASSIGNMENTS_REQUEST_VERSION_MIN,
    .version_max = PROTO_ALTER_PARTITION_REASSIGNMENTS_REQUEST_VERSION_MAX,
    .handle = handle,
};
