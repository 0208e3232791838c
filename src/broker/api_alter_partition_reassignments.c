/* AlterPartitionReassignments (45): moves replicas, or stops moving them; decided by the
 * controller. */
#include "broker/broker.h"
#include "broker/forward.h"
#include "proto/alter_partition_reassignments_request.h"
#include "proto/alter_partition_reassignments_response.h"
#include "proto/api_keys.h"
#include "proto/error_codes.h"

static const void *
fail(struct broker_req *req, enum proto_error code)
{
    struct proto_alter_partition_reassignments_response *response =
        arena_alloc(req->arena, sizeof *response);
    if (response == NULL)
        return NULL;
    proto_init(&proto_alter_partition_reassignments_response_schema, response);
    response->error_code = (int16_t)code;
    response->error_message = str_of(proto_error_text((int16_t)code));
    return response;
}

static void
handle(struct broker_req *req)
{
    broker_forward(req, fail);
}

const struct broker_api broker_api_alter_partition_reassignments = {
    .key = PROTO_API_ALTER_PARTITION_REASSIGNMENTS,
    .version_min = PROTO_ALTER_PARTITION_REASSIGNMENTS_REQUEST_VERSION_MIN,
    .version_max = PROTO_ALTER_PARTITION_REASSIGNMENTS_REQUEST_VERSION_MAX,
    .handle = handle,
};
