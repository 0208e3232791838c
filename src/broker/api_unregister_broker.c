/* UnregisterBroker (64): removes the registration of a broker that is gone; decided by the
 * controller. */
#include "broker/broker.h"
#include "broker/forward.h"
#include "proto/api_keys.h"
#include "proto/unregister_broker_request.h"
#include "proto/unregister_broker_response.h"
#include "proto/error_codes.h"

static const void *
fail(struct broker_req *req, enum proto_error code)
{
    struct proto_unregister_broker_response *response = arena_alloc(req->arena, sizeof *response);
    if (response == NULL)
        return NULL;
    proto_init(&proto_unregister_broker_response_schema, response);
    response->error_code = (int16_t)code;
    response->error_message = str_of(proto_error_text((int16_t)code));
    return response;
}

static void
handle(struct broker_req *req)
{
    broker_forward(req, fail);
}

const struct broker_api broker_api_unregister_broker = {
    .key = PROTO_API_UNREGISTER_BROKER,
    .version_min = PROTO_UNREGISTER_BROKER_REQUEST_VERSION_MIN,
    .version_max = PROTO_UNREGISTER_BROKER_REQUEST_VERSION_MAX,
    .handle = handle,
};
