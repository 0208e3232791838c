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
#include "proto/elect_leaders_request.h"
#include "proto/elect_leaders_response.h"
#include "proto/list_partition_reassignments_request.h"
#include "proto/list_partition_reassignments_response.h"
#include "proto/partition_change_record.h"
#include "proto/register_broker_record.h"
#include "proto/unregister_broker_record.h"
#include "proto/unregister_broker_request.h"
#include "proto/unregister_broker_response.h"

enum {
    CORDONED_METADATA_VERSION = 30,
    JBOD_METADATA_VERSION = 17,
    ELR_METADATA_VERSION = 23,
    NO_LEADER = -1,
    LEADER_UNCHANGED = -2,
    FENCED_CLEAR = -1, /* BrokerRegistrationChange: 1 fences, -1 unfences */
    PREFERRED = 0,
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
    proto_init(&proto_register_broker_record_schema, &record);
    record.broker_id = request->broker_id;
    record.incarnation_id = request->incarnation_id;
    record.broker_epoch = op->offset_next;
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

/* Gives the partition a new leader. One that comes from outside the in-sync set (an eligible
 * leader, KIP-966) becomes the set; the eligible ones are then no longer needed. */
static void
change_leader(struct meta_op *op, const struct meta_topic *topic,
    const struct meta_partition *partition, int32_t leader)
{
    struct proto_partition_change_record record;
    int16_t version = 0;
    proto_init(&proto_partition_change_record_schema, &record);
    record.partition_id = partition->index;
    record.topic_id = topic->id;
    record.leader = leader;
    if (!meta_ids_contain(partition->isr, leader)) {
        record.isr.items = &leader;
        record.isr.count = 1;
    }
    if (partition->elr.count > 0 || partition->last_known_elr.count > 0) {
        version = metadata_version(op) >= ELR_METADATA_VERSION ? 2 : 0;
        record.eligible_leader_replicas.count = version == 2 ? 0 : -1;
        record.last_known_elr.count = version == 2 ? 0 : -1;
    }
    meta_records_add(op->records, META_RECORD_PARTITION_CHANGE, version,
        &proto_partition_change_record_schema, &record);
}

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
            if (partition->leader == NO_LEADER && may_lead(partition, broker_id))
                change_leader(op, topic, partition, broker_id);
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
    if (fence == broker->fenced)
        return ERR_OK;
    set_fenced(op, broker, fence);
    if (!fence)
        lead_leaderless(op, broker->id);
    return ERR_OK;
}

enum err
meta_op_unregister_broker(struct meta_op *op, void *response)
{
    const struct proto_unregister_broker_request *request = op->req->msg;
    struct proto_unregister_broker_response *answer = response;
    const struct meta_broker *broker = meta_image_broker(op->image, request->broker_id);
    if (broker == NULL) {
        answer->error_code = PROTO_ERROR_BROKER_ID_NOT_REGISTERED;
        answer->error_message = arena_printf(
            op->arena, "Broker ID %d is not currently registered", (int)request->broker_id);
        return ERR_OK;
    }
    struct proto_unregister_broker_record record = {
        .broker_id = broker->id, .broker_epoch = broker->epoch};
    meta_records_add(op->records, META_RECORD_UNREGISTER_BROKER, 0,
        &proto_unregister_broker_record_schema, &record);
    return ERR_OK;
}

/* ---- ElectLeaders ---- */

static enum proto_error
elect(struct meta_op *op, const struct meta_topic *topic, int32_t index, int8_t type,
    struct str *message)
{
    const struct meta_partition *partition =
        topic == NULL ? NULL : meta_topic_partition(topic, index);
    *message = STR_NULL;
    if (partition == NULL) {
        *message = topic == NULL ? STR("No such topic") : STR("No such partition");
        return PROTO_ERROR_UNKNOWN_TOPIC_OR_PARTITION;
    }
    int32_t preferred = partition->replicas.count > 0 ? partition->replicas.items[0] : NO_LEADER;
    if (type == PREFERRED ? partition->leader == preferred : partition->leader != NO_LEADER)
        return PROTO_ERROR_ELECTION_NOT_NEEDED;
    int32_t wanted = NO_LEADER;
    if (type == PREFERRED) {
        if (meta_ids_contain(partition->isr, preferred) &&
            meta_image_broker_is_alive(op->image, preferred))
            wanted = preferred;
    } else {
        for (int32_t i = 0; i < partition->replicas.count && wanted == NO_LEADER; i++)
            if (meta_image_broker_is_alive(op->image, partition->replicas.items[i]))
                wanted = partition->replicas.items[i];
    }
    if (wanted == NO_LEADER) {
        *message = STR("No eligible replica is alive");
        return type == PREFERRED ? PROTO_ERROR_PREFERRED_LEADER_NOT_AVAILABLE
                                 : PROTO_ERROR_ELIGIBLE_LEADERS_NOT_AVAILABLE;
    }
    change_leader(op, topic, partition, wanted);
    return PROTO_ERROR_NONE;
}

/* null: every partition that needs it; the others are not mentioned. */
static enum err
elect_all(struct meta_op *op, struct proto_elect_leaders_response *answer, int8_t type)
{
    int32_t topics = meta_image_topic_count(op->image);
    answer->replica_election_results.items =
        arena_calloc(op->arena, (size_t)topics, sizeof *answer->replica_election_results.items);
    if (answer->replica_election_results.items == NULL)
        return ERR_NOMEM;
    const struct meta_topic *topic = meta_image_topic_after(op->image, STR_NULL);
    for (; topic != NULL; topic = meta_image_topic_after(op->image, topic->name)) {
        struct proto_elect_leaders_response_replica_election_result *result =
            &answer->replica_election_results.items[answer->replica_election_results.count];
        result->topic = topic->name;
        result->partition_result.items = arena_calloc(
            op->arena, (size_t)topic->partition_count, sizeof *result->partition_result.items);
        if (result->partition_result.items == NULL)
            return ERR_NOMEM;
        for (int32_t i = 0; i < topic->partition_count; i++) {
            struct str message;
            enum proto_error error = elect(op, topic, i, type, &message);
            if (error == PROTO_ERROR_ELECTION_NOT_NEEDED)
                continue;
            struct proto_elect_leaders_response_partition_result *one =
                &result->partition_result.items[result->partition_result.count++];
            one->partition_id = i;
            one->error_code = (int16_t)error;
            one->error_message = message;
        }
        answer->replica_election_results.count += result->partition_result.count > 0;
    }
    return ERR_OK;
}

enum err
meta_op_elect_leaders(struct meta_op *op, void *response)
{
    const struct proto_elect_leaders_request *request = op->req->msg;
    struct proto_elect_leaders_response *answer = response;
    if (request->election_type != PREFERRED && request->election_type != 1) {
        answer->error_code = PROTO_ERROR_INVALID_REQUEST;
        return ERR_OK;
    }
    if (request->topic_partitions.count < 0)
        return elect_all(op, answer, request->election_type);
    answer->replica_election_results.items = arena_calloc(op->arena,
        (size_t)request->topic_partitions.count, sizeof *answer->replica_election_results.items);
    if (answer->replica_election_results.items == NULL)
        return ERR_NOMEM;
    answer->replica_election_results.count = request->topic_partitions.count;
    for (int32_t i = 0; i < request->topic_partitions.count; i++) {
        struct proto_elect_leaders_response_replica_election_result *result =
            &answer->replica_election_results.items[i];
        int32_t count = request->topic_partitions.items[i].partitions.count;
        result->topic = request->topic_partitions.items[i].topic;
        const struct meta_topic *topic = meta_image_topic(op->image, result->topic);
        result->partition_result.items =
            arena_calloc(op->arena, (size_t)count, sizeof *result->partition_result.items);
        if (result->partition_result.items == NULL)
            return ERR_NOMEM;
        result->partition_result.count = count;
        for (int32_t j = 0; j < count; j++) {
            struct proto_elect_leaders_response_partition_result *one =
                &result->partition_result.items[j];
            one->partition_id = request->topic_partitions.items[i].partitions.items[j];
            one->error_code = (int16_t)elect(
                op, topic, one->partition_id, request->election_type, &one->error_message);
        }
    }
    return ERR_OK;
}

/* ---- ListPartitionReassignments ---- */

enum err
meta_op_list_reassignments(struct meta_op *op, void *response)
{
    /* Nothing can start a reassignment yet, and a directory in which one is under way by Apache is
     * listed once it can be carried on. An empty list is the truth of a cluster of one. */
    struct proto_list_partition_reassignments_response *answer = response;
    (void)op;
    answer->error_message = STR_NULL;
    return ERR_OK;
}
