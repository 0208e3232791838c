/* broker/api_describe_producers.c - DescribeProducers: who writes to a partition. */
#include "base/buf.h"
#include "broker/broker.h"
#include "broker/cluster_view.h"
#include "broker/request.h"
#include "proto/describe_producers_request.h"
#include "proto/describe_producers_response.h"
#include "proto/error_codes.h"
#include "replica/manager.h"

/* Producers of one answer; the arena's budget bounds it too. */
enum { PRODUCERS_GROW_MIN = 16 };

struct collect {
    struct arena *arena;
    struct proto_describe_producers_response_producer_state *items;
    int32_t count, capacity;
    bool failed;
};

static bool
collect_grow(struct collect *c)
{
    int32_t capacity = c->capacity == 0 ? PRODUCERS_GROW_MIN : c->capacity * 2;
    struct proto_describe_producers_response_producer_state *items =
        arena_alloc(c->arena, (size_t)capacity * sizeof *items);

    if (items == NULL)
        return false;
    if (c->count > 0)
        memcpy(items, c->items, (size_t)c->count * sizeof *items);
    c->items = items;
    c->capacity = capacity;
    return true;
}

static void
collect_one(void *ctx, const struct log_producer_info *info)
{
    struct collect *c = ctx;

    if (c->failed || (c->count == c->capacity && !collect_grow(c))) {
        c->failed = true;
        return;
    }
    c->items[c->count++] = (struct proto_describe_producers_response_producer_state){
        .producer_id = info->producer_id,
        .producer_epoch = info->producer_epoch,
        .last_sequence = info->last_sequence,
        .last_timestamp = info->last_timestamp,
        .coordinator_epoch = info->coordinator_epoch,
        .current_txn_start_offset = info->txn_first_offset,
    };
}

static void
describe_one(const struct broker_req *req, struct str topic, int32_t index,
    struct proto_describe_producers_response_partition_response *answer)
{
    struct collect collect = {.arena = req->arena};
    struct replica_partition *part;
    enum proto_error error;

    proto_init(&proto_describe_producers_response_partition_response_schema, answer);
    answer->partition_index = index;
    if (!broker_topic_name_is_legal(topic)) {
        answer->error_code = PROTO_ERROR_INVALID_TOPIC_EXCEPTION;
        answer->error_message = broker_topic_name_problem(req->arena, topic);
        return;
    }
    error = replica_manager_find(
        broker_replicas(req->broker), req->image, topic, UUID_ZERO, index, &part);
    if (error == PROTO_ERROR_NONE) {
        error = replica_partition_producers(part, collect_one, &collect);
        replica_partition_unref(&part);
    }
    if (error == PROTO_ERROR_NONE && collect.failed)
        error = PROTO_ERROR_UNKNOWN_SERVER_ERROR;
    answer->error_code = (int16_t)error;
    if (error == PROTO_ERROR_UNKNOWN_TOPIC_OR_PARTITION &&
        meta_image_topic(req->image, topic) == NULL)
        answer->error_message = STR("This server does not host this topic-partition.");
    if (error != PROTO_ERROR_NONE)
        return;
    answer->active_producers.items = collect.items;
    answer->active_producers.count = collect.count;
}

static bool
describe_topic(const struct broker_req *req,
    const struct proto_describe_producers_request_topic_request *topic,
    struct proto_describe_producers_response_topic_response *response)
{
    int32_t count = topic->partition_indexes.count > 0 ? topic->partition_indexes.count : 0;

    response->name = topic->name;
    response->partitions.count = count;
    response->partitions.items =
        arena_alloc(req->arena, (size_t)count * sizeof *response->partitions.items);
    if (response->partitions.items == NULL)
        return false;
    for (int32_t i = 0; i < count; i++)
        describe_one(
            req, topic->name, topic->partition_indexes.items[i], &response->partitions.items[i]);
    return true;
}

static void
describe_handle(struct broker_req *req)
{
    const struct proto_describe_producers_request *msg = req->msg;
    struct proto_describe_producers_response response;
    int32_t count = msg->topics.count > 0 ? msg->topics.count : 0;

    proto_init(&proto_describe_producers_response_schema, &response);
    response.topics.count = count;
    response.topics.items = arena_calloc(req->arena, (size_t)count, sizeof *response.topics.items);
    if (response.topics.items == NULL) {
        broker_req_close(req, "out of request memory");
        return;
    }
    for (int32_t t = 0; t < count; t++) {
        if (!describe_topic(req, &msg->topics.items[t], &response.topics.items[t])) {
            broker_req_close(req, "out of request memory");
            return;
        }
    }
    broker_req_reply(req, &response);
}

const struct broker_api broker_api_describe_producers = {
    .key = 61,
    .version_min = 0,
    .version_max = 0,
    .handle = describe_handle,
};
