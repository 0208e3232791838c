/* CreatePartitions (37): topics only grow; decided by the controller. */
#include "broker/broker.h"
#include "broker/forward.h"
#include "broker/quota_req.h"
#include "proto/api_keys.h"
#include "proto/create_partitions_request.h"
#include "proto/create_partitions_response.h"
#include "proto/error_codes.h"

enum { VERSION_STRICT_QUOTA = 3 };

static const void *
fail(struct broker_req *req, enum proto_error code)
{
    const struct proto_create_partitions_request *msg = req->msg;
    struct proto_create_partitions_response *response = arena_alloc(req->arena, sizeof *response);
    struct proto_create_partitions_response_create_partitions_topic_result *items =
        arena_calloc(req->arena, (size_t)msg->topics.count, sizeof *items);
    if (response == NULL || items == NULL)
        return NULL;
    proto_init(&proto_create_partitions_response_schema, response);
    for (int32_t i = 0; i < msg->topics.count; i++) {
        proto_init(
            &proto_create_partitions_response_create_partitions_topic_result_schema, &items[i]);
        items[i].name = msg->topics.items[i].name;
        items[i].error_code = (int16_t)code;
        items[i].error_message = broker_forward_text(code);
    }
    response->results.items = items;
    response->results.count = msg->topics.count;
    return response;
}

static void
handle(struct broker_req *req)
{
    const struct proto_create_partitions_request *msg = req->msg;

    broker_quota_mutates(req, VERSION_STRICT_QUOTA);
    broker_forward_within(req, msg->timeout_ms, fail);
}

const struct broker_api broker_api_create_partitions = {
    .key = PROTO_API_CREATE_PARTITIONS,
    .version_min = PROTO_CREATE_PARTITIONS_REQUEST_VERSION_MIN,
    .version_max = PROTO_CREATE_PARTITIONS_REQUEST_VERSION_MAX,
    .handle = handle,
};
