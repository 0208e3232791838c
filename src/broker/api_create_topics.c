/* CreateTopics (19): decided by the controller; answered when this broker's own image has the
 * topics, so that a client may use them at once (kafka.md 8.52). */
#include "base/limits.h"
#include "broker/broker.h"
#include "broker/cluster_view.h"
#include "broker/forward.h"
#include "broker/quota_req.h"
#include "proto/api_keys.h"
#include "proto/create_topics_request.h"
#include "proto/create_topics_response.h"
#include "proto/error_codes.h"

static const void *
fail(struct broker_req *req, enum proto_error code)
{
    const struct proto_create_topics_request *msg = req->msg;
    struct proto_create_topics_response *response = arena_alloc(req->arena, sizeof *response);
    struct proto_create_topics_response_creatable_topic_result *items =
        arena_calloc(req->arena, (size_t)msg->topics.count, sizeof *items);
    if (response == NULL || items == NULL)
        return NULL;
    proto_init(&proto_create_topics_response_schema, response);
    for (int32_t i = 0; i < msg->topics.count; i++) {
        proto_init(&proto_create_topics_response_creatable_topic_result_schema, &items[i]);
        items[i].name = msg->topics.items[i].name;
        items[i].error_code = (int16_t)code;
        items[i].error_message = broker_forward_text(code);
    }
    response->topics.items = items;
    response->topics.count = msg->topics.count;
    return response;
}

enum { VERSION_CONFIGS = 5, VERSION_STRICT_QUOTA = 6, CONFIG_BYTES = 4096 };

/* Topics with configuration of their own are answered with all keys, each. */
static void
make_room(struct broker_req *req)
{
    const struct proto_create_topics_request *msg = req->msg;
    size_t own = 0;
    for (int32_t i = 0; i < msg->topics.count && req->version >= VERSION_CONFIGS; i++)
        own += msg->topics.items[i].configs.count > 0;
    if (own > 0 && req->arena->budget_bytes + own * CONFIG_BYTES <= LIMIT_REQUEST_ARENA_MAX)
        broker_req_budget_add(req, own * CONFIG_BYTES);
}

static void
handle(struct broker_req *req)
{
    const struct proto_create_topics_request *msg = req->msg;

    make_room(req);
    broker_quota_mutates(req, VERSION_STRICT_QUOTA);
    broker_forward_within(req, msg->timeout_ms, fail);
}

const struct broker_api broker_api_create_topics = {
    .key = PROTO_API_CREATE_TOPICS,
    .version_min = PROTO_CREATE_TOPICS_REQUEST_VERSION_MIN,
    .version_max = PROTO_CREATE_TOPICS_REQUEST_VERSION_MAX,
    .handle = handle,
};
