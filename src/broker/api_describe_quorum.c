/* DescribeQuorum (55): voters and observers of the metadata log, as its leader sees them. */
#include "broker/broker.h"
#include "broker/forward.h"
#include "proto/api_keys.h"
#include "proto/describe_quorum_request.h"
#include "proto/describe_quorum_response.h"
#include "proto/error_codes.h"

static const void *
fail(struct broker_req *req, enum proto_error code)
{
    struct proto_describe_quorum_response *response = arena_alloc(req->arena, sizeof *response);
    if (response == NULL)
        return NULL;
    proto_init(&proto_describe_quorum_response_schema, response);
    response->error_code = (int16_t)code;
    response->error_message = str_of(proto_error_text((int16_t)code));
    return response;
}

static void
handle(struct broker_req *req)
{
    broker_forward(req, fail);
}

const struct broker_api broker_api_describe_quorum = {
    .key = PROTO_API_DESCRIBE_QUORUM,
    .version_min = PROTO_DESCRIBE_QUORUM_REQUEST_VERSION_MIN,
    .version_max = PROTO_DESCRIBE_QUORUM_REQUEST_VERSION_MAX,
    .handle = handle,
};
