/* broker/api_list_offsets.c - ListOffsets: offsets by time, and the special ones. */
#include "base/hash.h"
#include "broker/broker.h"
#include "broker/request.h"
#include "proto/error_codes.h"
#include "proto/list_offsets_request.h"
#include "proto/list_offsets_response.h"
#include "replica/manager.h"

enum { VERSION_OFFSET_NOT_AVAILABLE = 5, REPLICA_ID_CONSUMER = -1 };

/* From which version on a special timestamp may be asked for; 0 when it is none. */
static int16_t
version_of_time(int64_t timestamp)
{
    switch (timestamp) {
    case REPLICA_TIME_LATEST:
    case REPLICA_TIME_EARLIEST: return 1;
    case REPLICA_TIME_MAX: return 7;
    case REPLICA_TIME_EARLIEST_LOCAL: return 8;
    case REPLICA_TIME_LATEST_TIERED: return 9;
    case REPLICA_TIME_EARLIEST_PENDING_UPLOAD: return 11;
    default: return INT16_MAX;
    }
}

static enum proto_error
list_one(const struct broker_req *req, struct str topic,
    const struct proto_list_offsets_request_list_offsets_partition *asked,
    struct proto_list_offsets_response_list_offsets_partition_response *answer)
{
    const struct proto_list_offsets_request *msg = req->msg;
    struct replica_list_offset list = {
        .timestamp = asked->timestamp,
        .leader_epoch = asked->current_leader_epoch,
        .bound = msg->isolation_level == 1 ? REPLICA_BOUND_LSO : REPLICA_BOUND_HW,
    };
    struct replica_partition *part;
    enum proto_error error;

    if (asked->timestamp < 0 && req->version < version_of_time(asked->timestamp))
        return PROTO_ERROR_UNSUPPORTED_VERSION;
    if (msg->replica_id != REPLICA_ID_CONSUMER)
        list.bound = REPLICA_BOUND_LEO;
    error = replica_manager_find(
        broker_replicas(req->broker), req->image, topic, UUID_ZERO, asked->partition_index, &part);
    if (error != PROTO_ERROR_NONE)
        return error;
    error = replica_partition_list_offset(part, &list);
    replica_partition_unref(&part);
    if (error == PROTO_ERROR_OFFSET_NOT_AVAILABLE && req->version < VERSION_OFFSET_NOT_AVAILABLE)
        return PROTO_ERROR_LEADER_NOT_AVAILABLE;
    if (error != PROTO_ERROR_NONE)
        return error;
    answer->offset = list.offset;
    answer->timestamp = list.timestamp_found;
    if (req->version >= 4)
        answer->leader_epoch = list.epoch;
    return PROTO_ERROR_NONE;
}

/* ---- partitions asked for twice: refused, all of them ---- */

struct seen {
    uint64_t *keys; /* open addressing; 0 empty */
    size_t mask;
};

/* How often the pair was added before, as far as that is known: a bit below the key's hash says
 * "twice". */
static uint64_t *
seen_slot(struct seen *seen, struct str topic, int32_t partition)
{
    uint64_t hash =
        hash_bytes(topic.data, topic.len) ^ ((uint64_t)(uint32_t)partition * 0x9e3779b97f4a7c15u);
    uint64_t key = (hash | 2u) & ~(uint64_t)1; /* never 0; bit 0 is "twice" */
    size_t at = (size_t)(hash >> 20) & seen->mask;

    while (seen->keys[at] != 0 && (seen->keys[at] & ~(uint64_t)1) != key)
        at = (at + 1) & seen->mask;
    if (seen->keys[at] == 0) {
        seen->keys[at] = key;
        return NULL;
    }
    return &seen->keys[at];
}

static bool
seen_fill(struct seen *seen, const struct proto_list_offsets_request *msg, struct arena *arena)
{
    size_t count = 0, capacity = 16;

    for (int32_t t = 0; t < msg->topics.count; t++)
        if (msg->topics.items[t].partitions.count > 0)
            count += (size_t)msg->topics.items[t].partitions.count;
    while (capacity < count * 2)
        capacity *= 2;
    seen->mask = capacity - 1;
    seen->keys = arena_calloc(arena, capacity, sizeof *seen->keys);
    if (seen->keys == NULL)
        return false;
    for (int32_t t = 0; t < msg->topics.count; t++) {
        const struct proto_list_offsets_request_list_offsets_topic *topic = &msg->topics.items[t];
        for (int32_t i = 0; i < topic->partitions.count; i++) {
            uint64_t *slot =
                seen_slot(seen, topic->name, topic->partitions.items[i].partition_index);
            if (slot != NULL)
                *slot |= 1;
        }
    }
    return true;
}

static bool
is_duplicate(struct seen *seen, struct str topic, int32_t partition)
{
    const uint64_t *slot = seen_slot(seen, topic, partition);

    return slot != NULL && (*slot & 1) != 0;
}

/* ---- the request ---- */

static bool
list_topic(const struct broker_req *req, struct seen *seen,
    const struct proto_list_offsets_request_list_offsets_topic *topic,
    struct proto_list_offsets_response_list_offsets_topic_response *response)
{
    int32_t count = topic->partitions.count > 0 ? topic->partitions.count : 0;

    response->name = topic->name;
    response->partitions.count = count;
    response->partitions.items =
        arena_alloc(req->arena, (size_t)count * sizeof *response->partitions.items);
    if (response->partitions.items == NULL)
        return false;
    for (int32_t i = 0; i < count; i++) {
        struct proto_list_offsets_response_list_offsets_partition_response *answer =
            &response->partitions.items[i];
        enum proto_error error;
        proto_init(&proto_list_offsets_response_list_offsets_partition_response_schema, answer);
        answer->partition_index = topic->partitions.items[i].partition_index;
        answer->offset = -1;
        answer->timestamp = -1;
        error = is_duplicate(seen, topic->name, answer->partition_index)
                    ? PROTO_ERROR_INVALID_REQUEST
                    : list_one(req, topic->name, &topic->partitions.items[i], answer);
        answer->error_code = (int16_t)error;
    }
    return true;
}

static void
list_handle(struct broker_req *req)
{
    const struct proto_list_offsets_request *msg = req->msg;
    struct proto_list_offsets_response response;
    int32_t count = msg->topics.count > 0 ? msg->topics.count : 0;
    struct seen seen;

    proto_init(&proto_list_offsets_response_schema, &response);
    response.topics.count = count;
    response.topics.items = arena_alloc(req->arena, (size_t)count * sizeof *response.topics.items);
    if (response.topics.items == NULL || !seen_fill(&seen, msg, req->arena)) {
        broker_req_close(req, "out of request memory");
        return;
    }
    for (int32_t t = 0; t < count; t++) {
        if (!list_topic(req, &seen, &msg->topics.items[t], &response.topics.items[t])) {
            broker_req_close(req, "out of request memory");
            return;
        }
    }
    broker_req_reply(req, &response);
}

const struct broker_api broker_api_list_offsets = {
    .key = 2,
    .version_min = 1,
    .version_max = 11,
    .handle = list_handle,
};
