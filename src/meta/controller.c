/* meta/controller.c - which handler a request goes to; small requests. Pure. */
#include "meta/controller.h"

#include <string.h>

#include "base/assert.h"
#include "meta/controller_priv.h"
#include "proto/allocate_producer_ids_request.h"
#include "proto/allocate_producer_ids_response.h"
#include "proto/producer_ids_record.h"

enum { PRODUCER_ID_BLOCK = 1000 };

struct route {
    int16_t key;
    const char *api;
    enum err (*handle)(struct meta_op *op, void *response);
};

static const struct route routes[] = {
    {19, "CreateTopics", meta_op_create_topics},
    {20, "DeleteTopics", meta_op_delete_topics},
    {33, "AlterConfigs", meta_op_alter_configs},
    {37, "CreatePartitions", meta_op_create_partitions},
    {43, "ElectLeaders", meta_op_elect_leaders},
    {44, "IncrementalAlterConfigs", meta_op_incremental_alter_configs},
    {45, "AlterPartitionReassignments", meta_op_alter_reassignments},
    {46, "ListPartitionReassignments", meta_op_list_reassignments},
    {49, "AlterClientQuotas", meta_op_alter_client_quotas},
    {57, "UpdateFeatures", meta_op_update_features},
    {62, "BrokerRegistration", meta_op_broker_registration},
    {63, "BrokerHeartbeat", meta_op_broker_heartbeat},
    {64, "UnregisterBroker", meta_op_unregister_broker},
    {67, "AllocateProducerIds", meta_op_allocate_producer_ids},
};

enum err
meta_controller_handle(const struct meta_controller *ctl, const struct meta_image *image,
    int64_t offset_next, struct meta_request *req, struct meta_records *records)
{
    ASSERT(req->response != NULL);
    ASSERT(records->count == 0);
    for (size_t i = 0; i < COUNT_OF(routes); i++) {
        if (routes[i].key != req->api_key)
            continue;
        struct meta_op op = {ctl, image, offset_next, req, req->arena, records};
        const struct proto_api *api = proto_api_find(req->api_key);
        ASSERT(api != NULL && strcmp(api->name, routes[i].api) == 0);
        proto_init(api->response, req->response);
        enum err err = routes[i].handle(&op, req->response);
        return err != ERR_OK ? err : records->err;
    }
    return ERR_UNSUPPORTED;
}

enum err
meta_op_allocate_producer_ids(struct meta_op *op, void *response)
{
    const struct proto_allocate_producer_ids_request *request = op->req->msg;
    struct proto_allocate_producer_ids_response *answer = response;
    const struct meta_broker *broker = meta_image_broker(op->image, request->broker_id);
    if (broker == NULL || broker->epoch != request->broker_epoch) {
        answer->error_code = PROTO_ERROR_STALE_BROKER_EPOCH;
        return ERR_OK;
    }
    int64_t next = meta_image_producer_id_next(op->image);
    if (next > INT64_MAX - PRODUCER_ID_BLOCK) {
        answer->error_code = PROTO_ERROR_UNKNOWN_SERVER_ERROR;
        return ERR_OK;
    }
    struct proto_producer_ids_record record = {.broker_id = request->broker_id,
        .broker_epoch = request->broker_epoch,
        .next_producer_id = next + PRODUCER_ID_BLOCK};
    meta_records_add(
        op->records, META_RECORD_PRODUCER_IDS, 0, &proto_producer_ids_record_schema, &record);
    answer->producer_id_start = next;
    answer->producer_id_len = PRODUCER_ID_BLOCK;
    return ERR_OK;
}
