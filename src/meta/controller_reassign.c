/* meta/controller_reassign.c - AlterPartitionReassignments and ListPartitionReassignments
 * (KIP-455).
 *
 * A partition under way has as replicas the wanted ones followed by those that go; `adding` and
 * `removing` say which. It is complete when all that are added are in sync: then the same record
 * takes out those that go. Cancelling goes back to the replicas without the added ones. Pure. */
#include <string.h>

#include "base/assert.h"
#include "meta/config_def.h"
#include "meta/controller_priv.h"
#include "proto/alter_partition_reassignments_request.h"
#include "proto/alter_partition_reassignments_response.h"
#include "proto/list_partition_reassignments_request.h"
#include "proto/list_partition_reassignments_response.h"
#include "proto/partition_change_record.h"

enum { NO_LEADER = -1, LEADER_UNCHANGED = -2 };

struct refusal {
    enum proto_error error;
    struct str message;
};

static const struct refusal FINE = {PROTO_ERROR_NONE, {NULL, 0}};

/* What a partition shall be; lists in the arena. */
struct target {
    struct meta_ids replicas, isr, adding, removing;
};

/* ---- lists of ids ---- */

/* Those of a that are not in b, and then, with more, all of it. NULL items: out of memory. */
static struct meta_ids
ids_without(struct arena *arena, struct meta_ids a, struct meta_ids b, struct meta_ids more)
{
    int32_t *out = arena_alloc(arena, ((size_t)a.count + (size_t)more.count) * sizeof *out);
    int32_t count = 0;
    if (out == NULL)
        return (struct meta_ids){NULL, 0};
    for (int32_t i = 0; i < a.count; i++)
        if (!meta_ids_contain(b, a.items[i]))
            out[count++] = a.items[i];
    for (int32_t i = 0; i < more.count; i++)
        out[count++] = more.items[i];
    return (struct meta_ids){out, count};
}

static bool
ids_equal(struct meta_ids a, struct meta_ids b)
{
    return a.count == b.count &&
           (a.count == 0 || memcmp(a.items, b.items, (size_t)a.count * sizeof *a.items) == 0);
}

static bool
ids_hold_all(struct meta_ids ids, struct meta_ids wanted)
{
    for (int32_t i = 0; i < wanted.count; i++)
        if (!meta_ids_contain(ids, wanted.items[i]))
            return false;
    return true;
}

/* ---- the record ---- */

static int32_t
leader_of(const struct meta_op *op, const struct meta_partition *partition, struct target target)
{
    if (meta_ids_contain(target.isr, partition->leader))
        return partition->leader;
    for (int32_t i = 0; i < target.replicas.count; i++)
        if (meta_ids_contain(target.isr, target.replicas.items[i]) &&
            meta_image_broker_is_alive(op->image, target.replicas.items[i]))
            return target.replicas.items[i];
    return NO_LEADER;
}

static void
put_directories(struct meta_op *op, const struct meta_partition *partition,
    struct proto_partition_change_record *record)
{
    int32_t count = record->replicas.count;
    struct uuid *out = arena_calloc(op->arena, (size_t)count, sizeof *out);
    if (out == NULL) {
        op->records->err = ERR_NOMEM;
        return;
    }
    for (int32_t i = 0; i < count; i++)
        out[i] = meta_ids_contain(partition->replicas, record->replicas.items[i])
                     ? meta_partition_directory(partition, record->replicas.items[i])
                     : meta_directory_of(op->image, record->replicas.items[i]);
    record->directories.items = out;
    record->directories.count = count;
}

/* The record borrows: it is encoded while the lists live. */
static void
put_if_other(struct meta_ids now, struct meta_ids wanted, int32_t **items, int32_t *count)
{
    if (ids_equal(now, wanted))
        return;
    *items = (int32_t *)(uintptr_t)wanted.items;
    *count = wanted.count;
}

/* What differs from the partition as one record; none when nothing does. */
static void
change(struct meta_op *op, const struct meta_topic *topic, const struct meta_partition *partition,
    struct target target)
{
    struct proto_partition_change_record record;
    struct meta_ids left =
        ids_without(op->arena, target.isr, target.removing, (struct meta_ids){0});
    int16_t version = meta_partition_record_version(op->image);
    bool under_way = target.adding.count + target.removing.count > 0;
    ASSERT(target.replicas.count > 0);
    if (under_way && left.count > 0 && ids_hold_all(left, target.adding)) {
        target.replicas =
            ids_without(op->arena, target.replicas, target.removing, (struct meta_ids){0});
        target.isr = left;
        target.adding.count = target.removing.count = 0;
    }
    proto_init(&proto_partition_change_record_schema, &record);
    record.partition_id = partition->index;
    record.topic_id = topic->id;
    put_if_other(
        partition->replicas, target.replicas, &record.replicas.items, &record.replicas.count);
    put_if_other(partition->isr, target.isr, &record.isr.items, &record.isr.count);
    put_if_other(partition->adding, target.adding, &record.adding_replicas.items,
        &record.adding_replicas.count);
    put_if_other(partition->removing, target.removing, &record.removing_replicas.items,
        &record.removing_replicas.count);
    int32_t leader = leader_of(op, partition, target);
    if (leader != partition->leader)
        record.leader = leader;
    if (record.replicas.count < 0 && record.isr.count < 0 && record.adding_replicas.count < 0 &&
        record.removing_replicas.count < 0 && record.leader == LEADER_UNCHANGED)
        return;
    if (record.replicas.count >= 0 && version >= 1)
        put_directories(op, partition, &record);
    meta_records_add(op->records, META_RECORD_PARTITION_CHANGE, version,
        &proto_partition_change_record_schema, &record);
}

/* ---- one partition ---- */

static bool
unclean_allowed(const struct meta_op *op, struct str topic)
{
    bool allowed = false;
    struct str value = meta_config_topic(
        op->image, op->ctl->rules, op->ctl->node_id, topic, STR("unclean.leader.election.enable"))
                           .value;
    if (!str_is_null(value))
        (void)config_parse_bool(value, &allowed);
    return allowed;
}

static struct refusal
cancel(struct meta_op *op, const struct meta_topic *topic, const struct meta_partition *partition)
{
    struct meta_ids none = {NULL, 0};
    if (partition->adding.count + partition->removing.count == 0)
        return (struct refusal){PROTO_ERROR_NO_REASSIGNMENT_IN_PROGRESS, STR_NULL};
    struct target target = {
        .replicas = ids_without(op->arena, partition->replicas, partition->adding, none),
        .isr = ids_without(op->arena, partition->isr, partition->adding, none),
    };
    if (target.isr.items == NULL || target.replicas.items == NULL)
        return (struct refusal){PROTO_ERROR_UNKNOWN_SERVER_ERROR, STR_NULL};
    if (target.isr.count == 0 && target.replicas.count > 0) {
        if (!unclean_allowed(op, topic->name))
            return (struct refusal){PROTO_ERROR_INVALID_REPLICA_ASSIGNMENT,
                arena_printf(op->arena,
                    "Unable to revert partition assignment for %.*s:%d because it would require "
                    "an unclean leader election.",
                    STR_FMT(topic->name), (int)partition->index)};
        target.isr = (struct meta_ids){target.replicas.items, 1};
    }
    change(op, topic, partition, target);
    return FINE;
}

/* Replicas when everything that is under way is done. */
static int32_t
replica_count_wanted(const struct meta_partition *partition)
{
    int32_t count = 0;
    for (int32_t i = 0; i < partition->replicas.count; i++)
        count += !meta_ids_contain(partition->removing, partition->replicas.items[i]);
    return count;
}

static struct refusal
reassign(struct meta_op *op, const struct meta_topic *topic, const struct meta_partition *partition,
    struct meta_ids wanted, bool count_may_change)
{
    struct str message = STR_NULL;
    struct meta_ids none = {NULL, 0};
    enum proto_error error = meta_check_assignment(op, wanted.items, wanted.count, -1, &message);
    if (error != PROTO_ERROR_NONE)
        return (struct refusal){error, message};
    int32_t now = replica_count_wanted(partition);
    if (!count_may_change && now != wanted.count)
        return (struct refusal){PROTO_ERROR_INVALID_REPLICATION_FACTOR,
            arena_printf(op->arena, "The replication factor is changed from %d to %d", (int)now,
                (int)wanted.count)};
    /* Those that an earlier wish began to add are being added still. */
    struct meta_ids settled = ids_without(op->arena, partition->replicas, partition->adding, none);
    struct target target = {.isr = partition->isr,
        .adding = ids_without(op->arena, wanted, settled, none),
        .removing = ids_without(op->arena, partition->replicas, wanted, none)};
    target.replicas = ids_without(op->arena, wanted, none, target.removing);
    if (target.replicas.items == NULL)
        return (struct refusal){PROTO_ERROR_UNKNOWN_SERVER_ERROR, STR_NULL};
    change(op, topic, partition, target);
    return FINE;
}

static struct refusal
alter_one(struct meta_op *op,
    const struct proto_alter_partition_reassignments_request_reassignable_topic *wanted_topic,
    const struct proto_alter_partition_reassignments_request_reassignable_partition *wanted,
    bool count_may_change)
{
    const struct meta_topic *topic = meta_image_topic(op->image, wanted_topic->name);
    if (topic == NULL)
        return (struct refusal){PROTO_ERROR_UNKNOWN_TOPIC_OR_PARTITION,
            arena_printf(
                op->arena, "Unable to find a topic named %.*s.", STR_FMT(wanted_topic->name))};
    const struct meta_partition *partition = meta_topic_partition(topic, wanted->partition_index);
    if (partition == NULL)
        return (struct refusal){PROTO_ERROR_UNKNOWN_TOPIC_OR_PARTITION,
            arena_printf(op->arena, "Unable to find partition %.*s:%d.",
                STR_FMT(wanted_topic->name), (int)wanted->partition_index)};
    if (wanted->replicas.count < 0)
        return cancel(op, topic, partition);
    return reassign(op, topic, partition,
        (struct meta_ids){wanted->replicas.items, wanted->replicas.count}, count_may_change);
}

/* ---- requests ---- */

enum err
meta_op_alter_reassignments(struct meta_op *op, void *response)
{
    const struct proto_alter_partition_reassignments_request *request = op->req->msg;
    struct proto_alter_partition_reassignments_response *answer = response;
    int32_t count = request->topics.count;
    if (count <= 0)
        return ERR_OK;
    answer->responses.items =
        arena_calloc(op->arena, (size_t)count, sizeof *answer->responses.items);
    if (answer->responses.items == NULL)
        return ERR_NOMEM;
    answer->responses.count = count;
    answer->error_message = STR_NULL;
    answer->allow_replication_factor_change = request->allow_replication_factor_change;
    for (int32_t i = 0; i < count; i++) {
        const struct proto_alter_partition_reassignments_request_reassignable_topic *topic =
            &request->topics.items[i];
        struct proto_alter_partition_reassignments_response_reassignable_partition_response *out =
            arena_calloc(op->arena, (size_t)topic->partitions.count, sizeof *out);
        if (out == NULL)
            return ERR_NOMEM;
        answer->responses.items[i].name = topic->name;
        answer->responses.items[i].partitions.items = out;
        answer->responses.items[i].partitions.count = topic->partitions.count;
        for (int32_t j = 0; j < topic->partitions.count; j++) {
            struct refusal refusal = alter_one(
                op, topic, &topic->partitions.items[j], request->allow_replication_factor_change);
            out[j].partition_index = topic->partitions.items[j].partition_index;
            out[j].error_code = (int16_t)refusal.error;
            out[j].error_message = refusal.message;
        }
    }
    return ERR_OK;
}

static void
list_partition(const struct meta_topic *topic, int32_t index,
    struct proto_list_partition_reassignments_response_ongoing_topic_reassignment *out)
{
    const struct meta_partition *partition = meta_topic_partition(topic, index);
    if (partition == NULL || partition->adding.count + partition->removing.count == 0)
        return;
    struct proto_list_partition_reassignments_response_ongoing_partition_reassignment *one =
        &out->partitions.items[out->partitions.count++];
    one->partition_index = index;
    one->replicas.items = (int32_t *)(uintptr_t)partition->replicas.items;
    one->replicas.count = partition->replicas.count;
    one->adding_replicas.items = (int32_t *)(uintptr_t)partition->adding.items;
    one->adding_replicas.count = partition->adding.count;
    one->removing_replicas.items = (int32_t *)(uintptr_t)partition->removing.items;
    one->removing_replicas.count = partition->removing.count;
}

/* indexes NULL: all partitions. */
static enum err
list_topic(struct meta_op *op, const struct meta_topic *topic, const int32_t *indexes,
    int32_t count, struct proto_list_partition_reassignments_response *answer)
{
    struct proto_list_partition_reassignments_response_ongoing_topic_reassignment *out =
        &answer->topics.items[answer->topics.count];
    out->name = topic->name;
    out->partitions.items = arena_calloc(op->arena, (size_t)count, sizeof *out->partitions.items);
    if (out->partitions.items == NULL)
        return ERR_NOMEM;
    for (int32_t i = 0; i < count; i++)
        list_partition(topic, indexes == NULL ? i : indexes[i], out);
    answer->topics.count += out->partitions.count > 0;
    return ERR_OK;
}

enum err
meta_op_list_reassignments(struct meta_op *op, void *response)
{
    const struct proto_list_partition_reassignments_request *request = op->req->msg;
    struct proto_list_partition_reassignments_response *answer = response;
    bool all = request->topics.count < 0;
    int32_t count = all ? meta_image_topic_count(op->image) : request->topics.count;
    enum err err = ERR_OK;
    answer->error_message = STR_NULL;
    answer->topics.items = arena_calloc(op->arena, (size_t)count, sizeof *answer->topics.items);
    if (answer->topics.items == NULL)
        return ERR_NOMEM;
    if (all) {
        const struct meta_topic *topic = meta_image_topic_after(op->image, STR_NULL);
        for (; err == ERR_OK && topic != NULL;
             topic = meta_image_topic_after(op->image, topic->name))
            err = list_topic(op, topic, NULL, topic->partition_count, answer);
        return err;
    }
    for (int32_t i = 0; err == ERR_OK && i < count; i++) {
        const struct meta_topic *topic = meta_image_topic(op->image, request->topics.items[i].name);
        if (topic != NULL)
            err = list_topic(op, topic, request->topics.items[i].partition_indexes.items,
                request->topics.items[i].partition_indexes.count, answer);
    }
    return err;
}
