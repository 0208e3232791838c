/* meta/controller_brokers.c - registration, heartbeats, and what follows for leaders. Pure.
 *
 * A broker starts fenced; the heartbeat that shows it has replayed its own registration unfences it
 * and gives it back the partitions that have no leader and whose in-sync set it stands in. */
#include <string.h>

#include "base/assert.h"
#include "meta/controller_priv.h"
#include "proto/broker_heartbeat_request.h"
#include "proto/broker_heartbeat_response.h"
#include "proto/broker_registration_change_record.h"
#include "proto/broker_registration_request.h"
#include "proto/broker_registration_response.h"
#include "proto/partition_change_record.h"
#include "proto/register_broker_record.h"
#include "proto/unregister_broker_record.h"
#include "proto/unregister_broker_request.h"
#include "proto/unregister_broker_response.h"

enum {
    CORDONED_METADATA_VERSION = 30,
    JBOD_METADATA_VERSION = 17,
    NO_LEADER = -1,
    FENCED_CLEAR = -1, /* BrokerRegistrationChange: 1 fences, -1 unfences */
};

static int16_t
metadata_version(const struct meta_op *op)
{
    return meta_image_feature(op->image, STR("metadata.version"));
}

/* ---- registration ---- */

static enum proto_error
check_registration(
    const struct meta_op *op, const struct proto_broker_registration_request *request)
{
    const struct meta_broker *old = meta_image_broker(op->image, request->broker_id);
    if (!str_eq(request->cluster_id, meta_image_cluster_id(op->image)))
        return PROTO_ERROR_INCONSISTENT_CLUSTER_ID;
    if (request->broker_id < 0)
        return PROTO_ERROR_INVALID_REQUEST;
    /* The node that runs this controller is its broker's only life: its directory lock says so. */
    if (old != NULL && !old->fenced && request->broker_id != op->ctl->node_id &&
        !uuid_eq(old->incarnation, request->incarnation_id))
        return PROTO_ERROR_DUPLICATE_BROKER_REGISTRATION;
    if (request->listeners.count == 0 || request->log_dirs.count == 0)
        return PROTO_ERROR_INVALID_REGISTRATION;
    for (int32_t i = 0; i < request->log_dirs.count; i++) {
        if (!uuid_is_usable(request->log_dirs.items[i]))
            return PROTO_ERROR_INVALID_REGISTRATION;
        for (int32_t j = 0; j < i; j++)
            if (uuid_eq(request->log_dirs.items[i], request->log_dirs.items[j]))
                return PROTO_ERROR_INVALID_REGISTRATION;
    }
    return PROTO_ERROR_NONE;
}

static enum err
copy_endpoints(struct meta_op *op, const struct proto_broker_registration_request *request,
    struct proto_register_broker_record *record)
{
    record->end_points.items =
        arena_calloc(op->arena, (size_t)request->listeners.count, sizeof *record->end_points.items);
    record->features.items =
        arena_calloc(op->arena, (size_t)request->features.count, sizeof *record->features.items);
    if (record->end_points.items == NULL || record->features.items == NULL)
        return ERR_NOMEM;
    for (int32_t i = 0; i < request->listeners.count; i++) {
        record->end_points.items[i].name = request->listeners.items[i].name;
        record->end_points.items[i].host = request->listeners.items[i].host;
        record->end_points.items[i].port = request->listeners.items[i].port;
        record->end_points.items[i].security_protocol =
            request->listeners.items[i].security_protocol;
    }
    record->end_points.count = request->listeners.count;
    for (int32_t i = 0; i < request->features.count; i++) {
        record->features.items[i].name = request->features.items[i].name;
        record->features.items[i].min_supported_version =
            request->features.items[i].min_supported_version;
        record->features.items[i].max_supported_version =
            request->features.items[i].max_supported_version;
    }
    record->features.count = request->features.count;
    return ERR_OK;
}

/* Its life before ended without a word; after a clean stop it says so by that life's epoch. */
static bool
ended_uncleanly(const struct meta_op *op, const struct proto_broker_registration_request *request)
{
    const struct meta_broker *old = meta_image_broker(op->image, request->broker_id);
    return old != NULL && !uuid_eq(old->incarnation, request->incarnation_id) &&
           old->epoch != request->previous_broker_epoch;
}

enum err
meta_op_broker_registration(struct meta_op *op, void *response)
{
    const struct proto_broker_registration_request *request = op->req->msg;
    struct proto_broker_registration_response *answer = response;
    struct proto_register_broker_record record;
    int16_t level = metadata_version(op);
    enum proto_error error = check_registration(op, request);
    answer->error_code = (int16_t)error;
    answer->broker_epoch = -1;
    if (error != PROTO_ERROR_NONE)
        return ERR_OK;
    if (ended_uncleanly(op, request) && !meta_take_out_broker(op, request->broker_id)) {
        /* The rest at its next try. */
        answer->error_code = PROTO_ERROR_REQUEST_TIMED_OUT;
        return ERR_OK;
    }
    proto_init(&proto_register_broker_record_schema, &record);
    record.broker_id = request->broker_id;
    record.incarnation_id = request->incarnation_id;
    record.broker_epoch = op->offset_next + op->records->count;
    record.rack = request->rack;
    record.fenced = true;
    enum err err = copy_endpoints(op, request, &record);
    if (err != ERR_OK)
        return err;
    int16_t version = level >= CORDONED_METADATA_VERSION ? 4
                      : level >= JBOD_METADATA_VERSION   ? 3
                                                         : 1;
    if (version >= 3) {
        record.log_dirs.items = request->log_dirs.items;
        record.log_dirs.count = request->log_dirs.count;
    }
    meta_records_add(op->records, META_RECORD_REGISTER_BROKER, version,
        &proto_register_broker_record_schema, &record);
    answer->broker_epoch = record.broker_epoch;
    return ERR_OK;
}

/* ---- leaders ---- */

/* Whether the broker may lead without losing what was committed. */
static bool
may_lead(const struct meta_partition *partition, int32_t broker_id)
{
    if (partition->isr.count > 0)
        return meta_ids_contain(partition->isr, broker_id);
    if (partition->elr.count > 0)
        return meta_ids_contain(partition->elr, broker_id);
    return partition->last_known_elr.count == 1 && partition->last_known_elr.items[0] == broker_id;
}

static void
lead_leaderless(struct meta_op *op, int32_t broker_id)
{
    const struct meta_topic *topic = meta_image_topic_after(op->image, STR_NULL);
    for (; topic != NULL; topic = meta_image_topic_after(op->image, topic->name))
        for (int32_t i = 0; i < topic->partition_count; i++) {
            const struct meta_partition *partition = topic->partitions[i];
            if (op->records->count >= META_CHANGES_MAX)
                return; /* the rest with its next heartbeat */
            if (partition->leader == NO_LEADER && may_lead(partition, broker_id))
                meta_change_leader(op, topic, partition, broker_id);
        }
}

static void
set_fenced(struct meta_op *op, const struct meta_broker *broker, bool fenced)
{
    struct proto_broker_registration_change_record record;
    proto_init(&proto_broker_registration_change_record_schema, &record);
    record.broker_id = broker->id;
    record.broker_epoch = broker->epoch;
    record.fenced = fenced ? 1 : FENCED_CLEAR;
    meta_records_add(op->records, META_RECORD_BROKER_REGISTRATION_CHANGE, 0,
        &proto_broker_registration_change_record_schema, &record);
}

enum err
meta_op_broker_heartbeat(struct meta_op *op, void *response)
{
    const struct proto_broker_heartbeat_request *request = op->req->msg;
    struct proto_broker_heartbeat_response *answer = response;
    const struct meta_broker *broker = meta_image_broker(op->image, request->broker_id);
    answer->is_fenced = true;
    if (broker == NULL) {
        answer->error_code = PROTO_ERROR_BROKER_ID_NOT_REGISTERED;
        return ERR_OK;
    }
    if (broker->epoch != request->broker_epoch) {
        answer->error_code = PROTO_ERROR_STALE_BROKER_EPOCH;
        return ERR_OK;
    }
    answer->is_caught_up = request->current_metadata_offset >= broker->epoch;
    bool fence =
        request->want_fence || request->want_shut_down || (broker->fenced && !answer->is_caught_up);
    answer->is_fenced = fence;
    answer->should_shut_down = request->want_shut_down;
    if (fence != broker->fenced)
        set_fenced(op, broker, fence);
    /* Of an unfenced broker only this node's own comes again, to go on where one operation ended.
     */
    if (!fence && (broker->fenced || broker->id == op->ctl->node_id))
        lead_leaderless(op, broker->id);
    return ERR_OK;
}

/* ---- removing a registration ---- */

/* The in-sync set goes on without the broker, under another leader if it led; a set of this broker
 * alone stays, for it is all that is known of the data. */
static void
leave_partition(struct meta_op *op, const struct meta_topic *topic,
    const struct meta_partition *partition, int32_t broker_id)
{
    struct proto_partition_change_record record;
    if (partition->isr.count < 2 || !meta_ids_contain(partition->isr, broker_id))
        return;
    proto_init(&proto_partition_change_record_schema, &record);
    int32_t *isr = arena_calloc(op->arena, (size_t)partition->isr.count, sizeof *isr);
    if (isr == NULL) {
        op->records->err = ERR_NOMEM;
        return;
    }
    record.partition_id = partition->index;
    record.topic_id = topic->id;
    record.isr.items = isr;
    record.isr.count = 0;
    int32_t leader = NO_LEADER;
    for (int32_t i = 0; i < partition->isr.count; i++) {
        int32_t id = partition->isr.items[i];
        if (id == broker_id)
            continue;
        isr[record.isr.count++] = id;
        if (leader == NO_LEADER && meta_image_broker_is_alive(op->image, id))
            leader = id;
    }
    if (partition->leader == broker_id)
        record.leader = leader;
    meta_records_add(op->records, META_RECORD_PARTITION_CHANGE,
        meta_partition_record_version(op->image), &proto_partition_change_record_schema, &record);
}

enum err
meta_op_unregister_broker(struct meta_op *op, void *response)
{
    const struct proto_unregister_broker_request *request = op->req->msg;
    struct proto_unregister_broker_response *answer = response;
    const struct meta_broker *broker = meta_image_broker(op->image, request->broker_id);
    answer->error_message = STR_NULL;
    if (broker == NULL) {
        answer->error_code = PROTO_ERROR_BROKER_ID_NOT_REGISTERED;
        answer->error_message = arena_printf(
            op->arena, "Broker ID %d is not currently registered", (int)request->broker_id);
        return ERR_OK;
    }
    /* A broker that serves would go on without a registration and lead nothing. */
    if (!broker->fenced) {
        answer->error_code = PROTO_ERROR_INVALID_REQUEST;
        answer->error_message = arena_printf(op->arena,
            "Broker ID %d is alive. Stop it before its registration is removed.",
            (int)request->broker_id);
        return ERR_OK;
    }
    const struct meta_topic *topic = meta_image_topic_after(op->image, STR_NULL);
    for (; topic != NULL; topic = meta_image_topic_after(op->image, topic->name))
        for (int32_t i = 0; i < topic->partition_count; i++)
            leave_partition(op, topic, topic->partitions[i], broker->id);
    struct proto_unregister_broker_record record = {
        .broker_id = broker->id, .broker_epoch = broker->epoch};
    meta_records_add(op->records, META_RECORD_UNREGISTER_BROKER, 0,
        &proto_unregister_broker_record_schema, &record);
    return ERR_OK;
}
