/* DescribeCluster (60): the brokers, and on request the fenced ones too (KIP-700, 919, 1073). */
#include "broker/broker.h"
#include "broker/cluster_view.h"
#include "proto/api_keys.h"
#include "proto/describe_cluster_request.h"
#include "proto/describe_cluster_response.h"
#include "proto/error_codes.h"

enum { ENDPOINT_BROKERS = 1, ENDPOINT_CONTROLLERS = 2 };

static bool
brokers_fill(struct broker_req *req, struct proto_describe_cluster_response *response)
{
    const struct proto_describe_cluster_request *msg = req->msg;
    const struct meta_broker *broker;
    int32_t count = 0;
    struct proto_describe_cluster_response_describe_cluster_broker *outs =
        arena_calloc(req->arena, (size_t)meta_image_broker_count(req->image), sizeof *outs);
    if (outs == NULL)
        return false;
    for (int32_t id = -1; (broker = meta_image_broker_after(req->image, id)) != NULL;
         id = broker->id) {
        const struct meta_endpoint *endpoint = meta_broker_endpoint(broker, req->peer->listener);
        if (endpoint == NULL || (broker->fenced && !msg->include_fenced_brokers))
            continue;
        outs[count].broker_id = broker->id;
        outs[count].host = endpoint->host;
        outs[count].port = endpoint->port;
        outs[count].rack = broker->rack;
        outs[count].is_fenced = broker->fenced;
        count++;
    }
    response->brokers.items = outs;
    response->brokers.count = count;
    return true;
}

static void
handle(struct broker_req *req)
{
    const struct proto_describe_cluster_request *msg = req->msg;
    struct proto_describe_cluster_response response;
    proto_init(&proto_describe_cluster_response_schema, &response);
    response.cluster_id = STR("");
    if (msg->endpoint_type != ENDPOINT_BROKERS) {
        bool known = msg->endpoint_type == ENDPOINT_CONTROLLERS;
        response.error_code =
            known ? PROTO_ERROR_MISMATCHED_ENDPOINT_TYPE : PROTO_ERROR_UNSUPPORTED_ENDPOINT_TYPE;
        response.error_message = known ? STR("The request was sent to an endpoint of type BROKER, "
                                             "but we wanted an endpoint of type CONTROLLER")
                                       : arena_printf(req->arena, "Unsupported endpoint type %d",
                                             (int)msg->endpoint_type);
        broker_req_reply(req, &response);
        return;
    }
    response.cluster_id = broker_config(req->broker)->cluster_id;
    response.controller_id = broker_controller_id(req);
    if (msg->include_cluster_authorized_operations)
        response.cluster_authorized_operations = BROKER_CLUSTER_OPERATIONS;
    if (brokers_fill(req, &response))
        broker_req_reply(req, &response);
    else
        broker_req_close(req, "out of memory");
}

const struct broker_api broker_api_describe_cluster = {
    .key = PROTO_API_DESCRIBE_CLUSTER,
    .version_min = PROTO_DESCRIBE_CLUSTER_REQUEST_VERSION_MIN,
    .version_max = PROTO_DESCRIBE_CLUSTER_REQUEST_VERSION_MAX,
    .handle = handle,
};
