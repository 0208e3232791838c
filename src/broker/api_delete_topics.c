/* DeleteTopics (20): by name, or since v6 by name or id; decided by the controller. */
#include "broker/broker.h"
#include "broker/forward.h"
#include "broker/quota_req.h"
#include "proto/api_keys.h"
#include "proto/delete_topics_request.h"
#include "proto/delete_topics_response.h"
#include "proto/error_codes.h"

enum { VERSION_STRICT_QUOTA = 5 };

static const void *
fail(struct broker_req *req, enum proto_error code)
{
    const struct proto_delete_topics_request *msg = req->msg;
    bool by_state = req->version >= 6;
    int32_t count = by_state ? msg->topics.count : msg->topic_names.count;
    struct proto_delete_topics_response *response = arena_alloc(req->arena, sizeof *response);
    struct proto_delete_topics_response_deletable_topic_result *items =
        arena_calloc(req->arena, (size_t)count, sizeof *items);
    if (response == NULL || items == NULL)
        return NULL;
    proto_init(&proto_delete_topics_response_schema, response);
    for (int32_t i = 0; i < count; i++) {
        proto_init(&proto_delete_topics_response_deletable_topic_result_schema, &items[i]);
        items[i].name = by_state ? msg->topics.items[i].name : msg->topic_names.items[i];
        if (by_state)
            items[i].topic_id = msg->topics.items[i].topic_id;
        items[i].error_code = (int16_t)code;
        items[i].error_message = broker_forward_text(code);
    }
    response->responses.items = items;
    response->responses.count = count;
    return response;
}

static void
handle(struct broker_req *req)
{
    const struct proto_delete_topics_request *msg = req->msg;

    broker_quota_mutates(req, VERSION_STRICT_QUOTA);
    broker_forward_within(req, msg->timeout_ms, fail);
}

const struct broker_api broker_api_delete_topics = {
    .key = PROTO_API_DELETE_TOPICS,
    .version_min = PROTO_DELETE_TOPICS_REQUEST_VERSION_MIN,
    .version_max = PROTO_DELETE_TOPICS_REQUEST_VERSION_MAX,
    .handle = handle,
};
