/* meta/controller.c - which handler a request goes to; features; small requests. Pure. */
#include "meta/controller.h"

#include <string.h>

#include "base/assert.h"
#include "meta/controller_priv.h"
#include "proto/allocate_producer_ids_request.h"
#include "proto/allocate_producer_ids_response.h"
#include "proto/feature_level_record.h"
#include "proto/producer_ids_record.h"
#include "proto/update_features_request.h"
#include "proto/update_features_response.h"

enum { PRODUCER_ID_BLOCK = 1000, UPGRADE = 1, SAFE_DOWNGRADE = 2, UNSAFE_DOWNGRADE = 3 };

const struct meta_feature_support meta_features_supported[] = {
    /* 30 is 4.3-IV0; 7 the oldest that KRaft ran with. */
    {"metadata.version", 7, 30, 30},
    /* Clients look at these to choose a protocol: they are finalized once it is built. */
    {"eligible.leader.replicas.version", 0, 1, 0},
    {"group.version", 0, 0, 0},
    {"kraft.version", 0, 1, 0},
    {"share.version", 0, 0, 0},
    {"streams.version", 0, 0, 0},
    {"transaction.version", 0, 0, 0},
    {NULL, 0, 0, 0},
};

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
    {46, "ListPartitionReassignments", meta_op_list_reassignments},
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

void
meta_controller_bootstrap(struct meta_records *records)
{
    for (const struct meta_feature_support *f = meta_features_supported; f->name != NULL; f++) {
        struct proto_feature_level_record record = {
            .name = str_of(f->name), .feature_level = f->format_level};
        if (f->format_level > 0)
            meta_records_add(
                records, META_RECORD_FEATURE_LEVEL, 0, &proto_feature_level_record_schema, &record);
    }
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

/* NONE, or why the feature cannot go to that level. */
static enum proto_error
check_feature(const struct meta_op *op,
    const struct proto_update_features_request_feature_update_key *update, struct str *message)
{
    const struct meta_feature_support *f = meta_features_supported;
    while (f->name != NULL && !str_eq_z(update->feature, f->name))
        f++;
    int16_t level = update->max_version_level;
    int16_t now = meta_image_feature(op->image, update->feature);
    bool down_allowed = op->req->version == 0 ? update->allow_downgrade
                                              : update->upgrade_type == SAFE_DOWNGRADE ||
                                                    update->upgrade_type == UNSAFE_DOWNGRADE;
    if (op->req->version > 0 &&
        (update->upgrade_type < UPGRADE || update->upgrade_type > UNSAFE_DOWNGRADE)) {
        *message = STR("The upgrade type is unknown.");
        return PROTO_ERROR_INVALID_UPDATE_VERSION;
    }
    if (f->name == NULL || level < 0 || level > f->max || (level < f->min && level != 0)) {
        *message = arena_printf(op->arena, "Level %d of feature %.*s is not supported here.",
            (int)level, STR_FMT(update->feature));
        return PROTO_ERROR_INVALID_UPDATE_VERSION;
    }
    if (level < now && !down_allowed) {
        *message = STR("A lower level needs a downgrade type.");
        return PROTO_ERROR_INVALID_UPDATE_VERSION;
    }
    if (level > now && down_allowed && op->req->version > 0) {
        *message = STR("A higher level cannot be reached by a downgrade.");
        return PROTO_ERROR_INVALID_UPDATE_VERSION;
    }
    if (level < now && str_eq_z(update->feature, "metadata.version")) {
        *message = STR("metadata.version cannot be lowered.");
        return PROTO_ERROR_INVALID_UPDATE_VERSION;
    }
    return PROTO_ERROR_NONE;
}

enum err
meta_op_update_features(struct meta_op *op, void *response)
{
    const struct proto_update_features_request *request = op->req->msg;
    struct proto_update_features_response *answer = response;
    answer->results.items = arena_calloc(
        op->arena, (size_t)request->feature_updates.count, sizeof *answer->results.items);
    if (answer->results.items == NULL)
        return ERR_NOMEM;
    /* All or nothing: the first refusal is the whole answer's. */
    for (int32_t i = 0; i < request->feature_updates.count; i++) {
        struct str message = STR_NULL;
        enum proto_error error = check_feature(op, &request->feature_updates.items[i], &message);
        answer->results.items[i].feature = request->feature_updates.items[i].feature;
        answer->results.items[i].error_code = (int16_t)error;
        answer->results.items[i].error_message = message;
        if (error != PROTO_ERROR_NONE && answer->error_code == 0) {
            answer->error_code = (int16_t)error;
            answer->error_message = message;
        }
    }
    if (op->req->version < 2 && answer->error_code == 0)
        answer->results.count = request->feature_updates.count;
    if (answer->error_code != 0 || request->validate_only)
        return ERR_OK;
    for (int32_t i = 0; i < request->feature_updates.count; i++) {
        struct proto_feature_level_record record = {
            .name = request->feature_updates.items[i].feature,
            .feature_level = request->feature_updates.items[i].max_version_level};
        if (meta_image_feature(op->image, record.name) != record.feature_level)
            meta_records_add(op->records, META_RECORD_FEATURE_LEVEL, 0,
                &proto_feature_level_record_schema, &record);
    }
    return ERR_OK;
}
