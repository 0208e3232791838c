/* ElectLeaders (43): preferred or unclean elections, asked for by hand; decided by the controller.
 * Version 0 has no place for an error of the whole. */
#include "broker/broker.h"
#include "broker/forward.h"
#include "proto/api_keys.h"
#include "proto/elect_leaders_request.h"
#include "proto/elect_leaders_response.h"
#include "proto/error_codes.h"

static const void *
fail(struct broker_req *req, enum proto_error code)
{
    struct proto_elect_leaders_response *response = arena_alloc(req->arena, sizeof *response);
    if (response == NULL)
        return NULL;
    proto_init(&proto_elect_leaders_response_schema, response);
    response->error_code = (int16_t)code;
    return response;
}

static void
handle(struct broker_req *req)
{
    broker_forward(req, fail);
}

const struct broker_api broker_api_elect_leaders = {
    .key = PROTO_API_ELECT_LEADERS,
    .version_min = PROTO_ELECT_LEADERS_REQUEST_VERSION_MIN,
    .version_max = PROTO_ELECT_LEADERS_REQUEST_VERSION_MAX,
    .handle = handle,
};
