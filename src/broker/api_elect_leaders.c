/* ElectLeaders (43): preferred or unclean elections, asked for by hand; decided by the controller.
 * Version 0 has no place for an error of the whole. */
#include "broker/broker.h"
#include "broker/forward.h"
#include "proto/api_keys.h"
#include "proto/elect_leaders_request.h"
#include "proto/elect_leaders_response.h"
#include "proto/error_codes.h"

enum { VERSION_ERROR_CODE = 1 };

static bool
fail_topic(struct broker_req *req, const struct proto_elect_leaders_request_topic_partitions *asked,
    enum proto_error code, struct proto_elect_leaders_response_replica_election_result *out)
{
    int32_t count = asked->partitions.count > 0 ? asked->partitions.count : 0;

    out->topic = asked->topic;
    out->partition_result.items =
        arena_calloc(req->arena, (size_t)count, sizeof *out->partition_result.items);
    if (out->partition_result.items == NULL)
        return false;
    out->partition_result.count = count;
    for (int32_t i = 0; i < count; i++) {
        out->partition_result.items[i].partition_id = asked->partitions.items[i];
        out->partition_result.items[i].error_code = (int16_t)code;
        out->partition_result.items[i].error_message = broker_forward_text(code);
    }
    return true;
}

static const void *
fail(struct broker_req *req, enum proto_error code)
{
    const struct proto_elect_leaders_request *msg = req->msg;
    int32_t count = msg->topic_partitions.count > 0 ? msg->topic_partitions.count : 0;
    struct proto_elect_leaders_response *response = arena_alloc(req->arena, sizeof *response);
    struct proto_elect_leaders_response_replica_election_result *items =
        arena_calloc(req->arena, (size_t)count, sizeof *items);

    if (response == NULL || items == NULL)
        return NULL;
    proto_init(&proto_elect_leaders_response_schema, response);
    if (req->version >= VERSION_ERROR_CODE)
        response->error_code = (int16_t)code;
    response->replica_election_results.items = items;
    response->replica_election_results.count = count;
    for (int32_t i = 0; i < count; i++)
        if (!fail_topic(req, &msg->topic_partitions.items[i], code, &items[i]))
            return NULL;
    return response;
}

static void
handle(struct broker_req *req)
{
    const struct proto_elect_leaders_request *msg = req->msg;

    broker_forward_within(req, msg->timeout_ms, fail);
}

const struct broker_api broker_api_elect_leaders = {
    .key = PROTO_API_ELECT_LEADERS,
    .version_min = PROTO_ELECT_LEADERS_REQUEST_VERSION_MIN,
    .version_max = PROTO_ELECT_LEADERS_REQUEST_VERSION_MAX,
    .handle = handle,
};
