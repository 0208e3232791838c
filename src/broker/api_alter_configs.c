/* AlterConfigs (33): replaces all overrides of a resource; decided by the controller. */
#include "broker/broker.h"
#include "broker/forward.h"
#include "proto/alter_configs_request.h"
#include "proto/alter_configs_response.h"
#include "proto/api_keys.h"
#include "proto/error_codes.h"

static const void *
fail(struct broker_req *req, enum proto_error code)
{
    const struct proto_alter_configs_request *msg = req->msg;
    struct proto_alter_configs_response *response = arena_alloc(req->arena, sizeof *response);
    struct proto_alter_configs_response_alter_configs_resource_response *items =
        arena_calloc(req->arena, (size_t)msg->resources.count, sizeof *items);
    if (response == NULL || items == NULL)
        return NULL;
    proto_init(&proto_alter_configs_response_schema, response);
    for (int32_t i = 0; i < msg->resources.count; i++) {
        proto_init(&proto_alter_configs_response_alter_configs_resource_response_schema, &items[i]);
        items[i].resource_type = msg->resources.items[i].resource_type;
        items[i].resource_name = msg->resources.items[i].resource_name;
        items[i].error_code = (int16_t)code;
        items[i].error_message = str_of(proto_error_text((int16_t)code));
    }
    response->responses.items = items;
    response->responses.count = msg->resources.count;
    return response;
}

static void
handle(struct broker_req *req)
{
    broker_forward(req, fail);
}

const struct broker_api broker_api_alter_configs = {
    .key = PROTO_API_ALTER_CONFIGS,
    .version_min = PROTO_ALTER_CONFIGS_REQUEST_VERSION_MIN,
    .version_max = PROTO_ALTER_CONFIGS_REQUEST_VERSION_MAX,
    .handle = handle,
};
