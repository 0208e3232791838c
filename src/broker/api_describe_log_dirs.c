/* broker/api_describe_log_dirs.c - DescribeLogDirs: directories, their replicas and sizes. */
#include "base/assert.h"
#include "broker/broker.h"
#include "broker/topic_rows.h"
#include "broker/request.h"
#include "log/log_manager.h"
#include "meta/image.h"
#include "proto/describe_log_dirs_request.h"
#include "proto/describe_log_dirs_response.h"
#include "proto/error_codes.h"
#include "replica/manager.h"

/* What one replica needs in the arena: itself in the list, and its place in the answer. The count
 * is this node's own, so the budget grows with it. */
enum { ARENA_BYTES_PER_REPLICA = 256 };

struct replica_row {
    struct str topic; /* in the arena */
    int32_t index;
    int64_t size_bytes;
    struct uuid dir_id;
};

struct rows {
    struct arena *arena;
    struct replica_row *items;
    size_t count, capacity;
    struct str topic_last;
};

static void
add_row(void *ctx, struct replica_partition *part)
{
    struct rows *rows = ctx;
    struct str topic = replica_partition_topic(part);
    struct replica_partition_state state;

    replica_partition_get_state(part, &state);
    if (rows->count == rows->capacity || uuid_is_zero(state.dir_id))
        return;
    if (!str_eq(topic, rows->topic_last))
        rows->topic_last = arena_str(rows->arena, topic);
    rows->items[rows->count++] = (struct replica_row){
        .topic = rows->topic_last,
        .index = replica_partition_index(part),
        .size_bytes = state.size_bytes,
        .dir_id = state.dir_id,
    };
}

static size_t
asked_count(const struct proto_describe_log_dirs_request *msg)
{
    size_t count = 0;

    for (int32_t t = 0; t < msg->topics.count; t++)
        if (msg->topics.items[t].partitions.count > 0)
            count += (size_t)msg->topics.items[t].partitions.count;
    return count;
}

static bool
collect_rows(const struct broker_req *req, struct rows *rows)
{
    const struct proto_describe_log_dirs_request *msg = req->msg;
    struct replica_manager *replicas = broker_replicas(req->broker);
    bool all = msg->topics.count < 0; /* null */

    rows->arena = req->arena;
    rows->capacity = all ? (size_t)replica_manager_partition_count(replicas) : asked_count(msg);
    if (all)
        req->arena->budget_bytes += rows->capacity * ARENA_BYTES_PER_REPLICA;
    rows->items = arena_alloc(req->arena, rows->capacity * sizeof *rows->items);
    if (rows->items == NULL)
        return false;
    if (all) {
        replica_manager_each(replicas, add_row, rows);
        return true;
    }
    struct broker_topic_row *asked = arena_calloc(req->arena, rows->capacity, sizeof *asked);
    int32_t count = 0;
    if (asked == NULL)
        return false;
    for (int32_t t = 0; t < msg->topics.count; t++)
        for (int32_t i = 0; i < msg->topics.items[t].partitions.count; i++) {
            asked[count] = (struct broker_topic_row){.topic = msg->topics.items[t].topic,
                .partition = msg->topics.items[t].partitions.items[i],
                .nth = count};
            count++;
        }
    count = broker_topic_rows_unite(asked, count);
    for (int32_t i = 0; i < count; i++) {
        struct replica_partition *part =
            replica_manager_get(replicas, asked[i].topic, asked[i].partition);
        if (part != NULL)
            add_row(rows, part);
        replica_partition_unref(&part);
    }
    return true;
}

/* The rows of one directory, grouped by topic; rows of one topic stand together. */
static bool
fill_topics(const struct rows *rows, struct uuid dir_id,
    struct proto_describe_log_dirs_response_describe_log_dirs_result *result)
{
    struct proto_describe_log_dirs_response_describe_log_dirs_topic *topic = NULL;
    struct proto_describe_log_dirs_response_describe_log_dirs_partition *parts;
    size_t count = 0;

    for (size_t i = 0; i < rows->count; i++)
        count += uuid_eq(rows->items[i].dir_id, dir_id);
    result->topics.items = arena_alloc(rows->arena, count * sizeof *result->topics.items);
    parts = arena_alloc(rows->arena, count * sizeof *parts);
    if (result->topics.items == NULL || parts == NULL)
        return false;
    result->topics.count = 0;
    for (size_t i = 0; i < rows->count; i++) {
        const struct replica_row *row = &rows->items[i];
        if (!uuid_eq(row->dir_id, dir_id))
            continue;
        if (topic == NULL || !str_eq(topic->name, row->topic)) {
            topic = &result->topics.items[result->topics.count++];
            topic->name = row->topic;
            topic->partitions.items = parts;
            topic->partitions.count = 0;
        }
        *parts = (struct proto_describe_log_dirs_response_describe_log_dirs_partition){
            .partition_index = row->index,
            .partition_size = row->size_bytes,
        };
        parts++;
        topic->partitions.count++;
    }
    return true;
}

static bool
is_cordoned(const struct broker_req *req, struct uuid dir_id)
{
    const struct meta_broker *broker =
        meta_image_broker(req->image, broker_config(req->broker)->node_id);

    for (int32_t i = 0; broker != NULL && i < broker->cordoned_log_dir_count; i++)
        if (uuid_eq(broker->cordoned_log_dirs[i], dir_id))
            return true;
    return false;
}

static bool
fill_result(const struct broker_req *req, const struct rows *rows, int dir,
    struct proto_describe_log_dirs_response_describe_log_dirs_result *result)
{
    struct log_dir_info info;

    log_manager_dir_info(replica_manager_logs(broker_replicas(req->broker)), dir, &info);
    proto_init(&proto_describe_log_dirs_response_describe_log_dirs_result_schema, result);
    result->log_dir = arena_str(req->arena, str_of(info.path));
    if (info.offline) {
        result->error_code = PROTO_ERROR_KAFKA_STORAGE_ERROR;
        return true;
    }
    if (req->version >= 4) {
        result->total_bytes = info.total_bytes;
        result->usable_bytes = info.usable_bytes;
    }
    if (req->version >= 5)
        result->is_cordoned = is_cordoned(req, info.id);
    return fill_topics(rows, info.id, result);
}

static void
describe_handle(struct broker_req *req)
{
    struct proto_describe_log_dirs_response response;
    struct log_manager *logs = replica_manager_logs(broker_replicas(req->broker));
    struct rows rows = {0};
    int count = log_manager_dir_count(logs);

    ASSERT(count >= 0);
    proto_init(&proto_describe_log_dirs_response_schema, &response);
    response.results.items =
        arena_alloc(req->arena, (size_t)count * sizeof *response.results.items);
    if (response.results.items == NULL || !collect_rows(req, &rows)) {
        broker_req_close(req, "out of request memory");
        return;
    }
    response.results.count = count;
    for (int i = 0; i < count; i++) {
        if (!fill_result(req, &rows, i, &response.results.items[i])) {
            broker_req_close(req, "out of request memory");
            return;
        }
    }
    broker_req_reply(req, &response);
}

const struct broker_api broker_api_describe_log_dirs = {
    .key = 35,
    .version_min = 1,
    .version_max = 5,
    .handle = describe_handle,
};
