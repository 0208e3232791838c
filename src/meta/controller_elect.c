/* meta/controller_elect.c - ElectLeaders, and the record that makes a replica the leader. Pure. */
#include "base/assert.h"
#include "meta/controller_priv.h"
#include "proto/elect_leaders_request.h"
#include "proto/elect_leaders_response.h"
#include "proto/partition_change_record.h"

enum { NO_LEADER = -1, PREFERRED = 0, UNCLEAN = 1 };

/* Short names: the generated ones are longer than a line. */
typedef struct proto_elect_leaders_response_partition_result result_out;
typedef struct proto_elect_leaders_response_replica_election_result topic_out;

void
meta_change_leader(struct meta_op *op, const struct meta_topic *topic,
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
        if (!meta_ids_contain(partition->elr, leader))
            record.leader_recovery_state = META_RECOVERING;
    }
    if (partition->elr.count > 0 || partition->last_known_elr.count > 0) {
        version = meta_partition_record_version(op->image) >= 2 ? 2 : 0;
        record.eligible_leader_replicas.count = version == 2 ? 0 : -1;
        record.last_known_elr.count = version == 2 ? 0 : -1;
    }
    meta_records_add(op->records, META_RECORD_PARTITION_CHANGE, version,
        &proto_partition_change_record_schema, &record);
}

/* Who shall lead: the first replica, when it is in sync; with UNCLEAN the first that is alive. */
static int32_t
candidate(const struct meta_op *op, const struct meta_partition *partition, int8_t type)
{
    for (int32_t i = 0; i < partition->replicas.count; i++) {
        int32_t id = partition->replicas.items[i];
        bool fine = type == UNCLEAN || meta_ids_contain(partition->isr, id);
        if (fine && meta_image_broker_is_alive(op->image, id))
            return id;
        if (type == PREFERRED)
            break;
    }
    return NO_LEADER;
}

static void
refuse(result_out *out, enum proto_error error, struct str message)
{
    out->error_code = (int16_t)error;
    out->error_message = message;
}

static void
elect(struct meta_op *op, struct str name, int8_t type, result_out *out)
{
    const struct meta_topic *topic = meta_image_topic(op->image, name);
    const struct meta_partition *partition =
        topic == NULL ? NULL : meta_topic_partition(topic, out->partition_id);
    refuse(out, PROTO_ERROR_NONE, STR_NULL);
    if (type != PREFERRED && type != UNCLEAN) {
        refuse(out, PROTO_ERROR_INVALID_REQUEST,
            arena_printf(op->arena, "Unknown election type %d", (int)type));
        return;
    }
    if (topic == NULL) {
        refuse(out, PROTO_ERROR_UNKNOWN_TOPIC_OR_PARTITION,
            arena_printf(op->arena, "No such topic as %.*s", STR_FMT(name)));
        return;
    }
    if (partition == NULL) {
        refuse(out, PROTO_ERROR_UNKNOWN_TOPIC_OR_PARTITION,
            arena_printf(
                op->arena, "No such partition as %.*s-%d", STR_FMT(name), (int)out->partition_id));
        return;
    }
    bool preferred_leads =
        partition->replicas.count > 0 && partition->leader == partition->replicas.items[0];
    if (type == PREFERRED ? preferred_leads : partition->leader != NO_LEADER) {
        refuse(out, PROTO_ERROR_ELECTION_NOT_NEEDED,
            STR("Leader election not needed for topic partition."));
        return;
    }
    int32_t leader = candidate(op, partition, type);
    if (leader != NO_LEADER)
        meta_change_leader(op, topic, partition, leader);
    else if (type == PREFERRED)
        refuse(out, PROTO_ERROR_PREFERRED_LEADER_NOT_AVAILABLE,
            STR("The preferred leader was not available."));
    else
        refuse(out, PROTO_ERROR_ELIGIBLE_LEADERS_NOT_AVAILABLE,
            STR("Eligible topic partition leaders are not available."));
}

/* Topics null: every topic, with the partitions that needed it. */
static enum err
elect_all(struct meta_op *op, struct proto_elect_leaders_response *answer, int8_t type)
{
    int32_t count = meta_image_topic_count(op->image);
    answer->replica_election_results.items =
        arena_calloc(op->arena, (size_t)count, sizeof *answer->replica_election_results.items);
    if (answer->replica_election_results.items == NULL)
        return ERR_NOMEM;
    const struct meta_topic *topic = meta_image_topic_after(op->image, STR_NULL);
    for (; topic != NULL; topic = meta_image_topic_after(op->image, topic->name)) {
        topic_out *out =
            &answer->replica_election_results.items[answer->replica_election_results.count++];
        out->topic = topic->name;
        out->partition_result.items = arena_calloc(
            op->arena, (size_t)topic->partition_count, sizeof *out->partition_result.items);
        if (out->partition_result.items == NULL)
            return ERR_NOMEM;
        for (int32_t i = 0; i < topic->partition_count; i++) {
            result_out *one = &out->partition_result.items[out->partition_result.count];
            one->partition_id = i;
            elect(op, topic->name, type, one);
            out->partition_result.count += one->error_code != PROTO_ERROR_ELECTION_NOT_NEEDED;
        }
    }
    ASSERT(answer->replica_election_results.count == count);
    return ERR_OK;
}

enum err
meta_op_elect_leaders(struct meta_op *op, void *response)
{
    const struct proto_elect_leaders_request *request = op->req->msg;
    struct proto_elect_leaders_response *answer = response;
    int8_t type = request->election_type;
    int32_t count = request->topic_partitions.count;
    bool known = type == PREFERRED || type == UNCLEAN;
    if (!known)
        answer->error_code = PROTO_ERROR_INVALID_REQUEST;
    if (count < 0)
        return known ? elect_all(op, answer, type) : ERR_OK;
    answer->replica_election_results.items =
        arena_calloc(op->arena, (size_t)count, sizeof *answer->replica_election_results.items);
    if (answer->replica_election_results.items == NULL)
        return ERR_NOMEM;
    answer->replica_election_results.count = count;
    for (int32_t i = 0; i < count; i++) {
        topic_out *out = &answer->replica_election_results.items[i];
        int32_t partitions = request->topic_partitions.items[i].partitions.count;
        out->topic = request->topic_partitions.items[i].topic;
        out->partition_result.items =
            arena_calloc(op->arena, (size_t)partitions, sizeof *out->partition_result.items);
        if (out->partition_result.items == NULL)
            return ERR_NOMEM;
        out->partition_result.count = partitions;
        for (int32_t j = 0; j < partitions; j++) {
            out->partition_result.items[j].partition_id =
                request->topic_partitions.items[i].partitions.items[j];
            elect(op, out->topic, type, &out->partition_result.items[j]);
        }
    }
    return ERR_OK;
}
