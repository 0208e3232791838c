/* DescribeTopicPartitions (75): topics page by page, with their eligible leader replicas (KIP-966).
 *
 * Topics come in the order of names. An answer holds at most so many partitions; where it stops, a
 * cursor (topic, partition) says where to go on. */
#include "base/assert.h"
#include "broker/broker.h"
#include "broker/cluster_view.h"
#include "proto/api_keys.h"
#include "proto/describe_topic_partitions_request.h"
#include "proto/describe_topic_partitions_response.h"
#include "proto/error_codes.h"

/* Short names: the generated ones are longer than a line. */
typedef struct proto_describe_topic_partitions_response_describe_topic_partitions_response_topic
    topic_out;
typedef struct proto_describe_topic_partitions_response_describe_topic_partitions_response_partition
    partition_out;

enum { PARTITION_LIMIT = 2000 }; /* max.request.partition.size.limit */

struct page {
    struct broker_req *req;
    struct proto_describe_topic_partitions_response response;
    int32_t topics_max;
    int32_t room; /* partitions that still fit */
    struct proto_describe_topic_partitions_response_cursor cursor;
    bool full;
    bool out_of_memory;
};

static void
partition_fill(struct page *page, const struct meta_partition *part, partition_out *out)
{
    struct broker_partition_view view;
    if (!broker_partition_look(page->req, part, true, &view)) {
        page->out_of_memory = true;
        return;
    }
    out->error_code = (int16_t)view.error;
    out->partition_index = part->index;
    out->leader_id = view.leader;
    out->leader_epoch = part->leader_epoch;
    out->replica_nodes.items = (int32_t *)(uintptr_t)part->replicas.items;
    out->replica_nodes.count = part->replicas.count;
    out->isr_nodes.items = (int32_t *)(uintptr_t)part->isr.items;
    out->isr_nodes.count = part->isr.count;
    out->eligible_leader_replicas.items = (int32_t *)(uintptr_t)part->elr.items;
    out->eligible_leader_replicas.count = part->elr.count;
    out->last_known_elr.items = (int32_t *)(uintptr_t)part->last_known_elr.items;
    out->last_known_elr.count = part->last_known_elr.count;
    out->offline_replicas.items = (int32_t *)(uintptr_t)view.offline.items;
    out->offline_replicas.count = view.offline.count;
}

static void
cursor_set(struct page *page, struct str topic, int32_t partition)
{
    page->cursor.topic_name = topic;
    page->cursor.partition_index = partition;
    page->response.next_cursor = &page->cursor;
    page->full = true;
}

static topic_out *
topic_next(struct page *page)
{
    ASSERT(page->response.topics.count < page->topics_max);
    topic_out *out = &page->response.topics.items[page->response.topics.count++];
    proto_init(
        &proto_describe_topic_partitions_response_describe_topic_partitions_response_topic_schema,
        out);
    out->topic_authorized_operations = BROKER_TOPIC_OPERATIONS;
    return out;
}

/* One topic from partition `first` on. */
static void
topic_add(struct page *page, const struct meta_topic *topic, int32_t first)
{
    int32_t count = topic->partition_count > first ? topic->partition_count - first : 0;
    if (page->room == 0) {
        cursor_set(page, topic->name, first);
        return;
    }
    topic_out *out = topic_next(page);
    bool cut = count > page->room;
    if (cut)
        count = page->room;
    broker_req_budget_add(page->req, (size_t)count * (sizeof(partition_out) + 64));
    partition_out *parts = arena_calloc(page->req->arena, (size_t)count, sizeof *parts);
    page->out_of_memory = parts == NULL;
    for (int32_t i = 0; i < count && !page->out_of_memory; i++)
        partition_fill(page, topic->partitions[first + i], &parts[i]);
    out->name = topic->name;
    out->topic_id = topic->id;
    out->is_internal = meta_topic_name_is_internal(topic->name);
    out->partitions.items = parts;
    out->partitions.count = count;
    page->room -= count;
    if (cut)
        cursor_set(page, topic->name, first + count);
}

static void
missing_add(struct page *page, struct str name)
{
    topic_out *out = topic_next(page);
    out->name = name;
    out->error_code = broker_topic_name_is_legal(name) ? PROTO_ERROR_UNKNOWN_TOPIC_OR_PARTITION
                                                       : PROTO_ERROR_INVALID_TOPIC_EXCEPTION;
}

static int32_t
first_of(const struct proto_describe_topic_partitions_request *msg, struct str name)
{
    return msg->cursor != NULL && str_eq(msg->cursor->topic_name, name)
               ? msg->cursor->partition_index
               : 0;
}

static void
all_add(struct page *page, const struct proto_describe_topic_partitions_request *msg)
{
    const struct meta_image *image = page->req->image;
    const struct meta_topic *topic;
    for (struct str at = STR_NULL; (topic = meta_image_topic_after(image, at)) != NULL;
         at = topic->name) {
        if (msg->cursor != NULL && str_cmp(topic->name, msg->cursor->topic_name) < 0)
            continue;
        topic_add(page, topic, first_of(msg, topic->name));
        if (page->full || page->out_of_memory)
            return;
    }
}

static void
asked_add(struct page *page, const struct proto_describe_topic_partitions_request *msg)
{
    int32_t count = 0, n = msg->topics.count;
    struct str *raw = arena_calloc(page->req->arena, (size_t)n, sizeof *raw);
    for (int32_t i = 0; raw != NULL && i < n; i++)
        raw[i] = msg->topics.items[i].name;
    struct str *names = raw == NULL ? NULL : broker_names_unique(page->req, raw, n, &count);
    page->out_of_memory = names == NULL;
    for (int32_t i = 0; i < count && !page->full && !page->out_of_memory; i++) {
        if (msg->cursor != NULL && str_cmp(names[i], msg->cursor->topic_name) < 0)
            continue;
        const struct meta_topic *topic = meta_image_topic(page->req->image, names[i]);
        if (topic != NULL)
            topic_add(page, topic, first_of(msg, names[i]));
        else
            missing_add(page, names[i]);
    }
}

/* A cursor stands at a partition of one of the topics asked for. */
static bool
cursor_ok(const struct proto_describe_topic_partitions_request *msg)
{
    if (msg->cursor == NULL)
        return true;
    if (msg->cursor->partition_index < 0)
        return false;
    for (int32_t i = 0; i < msg->topics.count; i++)
        if (str_eq(msg->topics.items[i].name, msg->cursor->topic_name))
            return true;
    return msg->topics.count <= 0;
}

/* Every topic asked for with the error. */
static void
refuse(struct page *page, const struct proto_describe_topic_partitions_request *msg)
{
    for (int32_t i = 0; i < msg->topics.count; i++) {
        topic_out *out = topic_next(page);
        out->topic_authorized_operations = INT32_MIN;
        out->name = msg->topics.items[i].name;
        out->error_code = PROTO_ERROR_INVALID_REQUEST;
    }
}

static void
handle(struct broker_req *req)
{
    const struct proto_describe_topic_partitions_request *msg = req->msg;
    bool all = msg->topics.count <= 0;
    struct page page = {.req = req, .room = PARTITION_LIMIT};
    proto_init(&proto_describe_topic_partitions_response_schema, &page.response);
    if (msg->response_partition_limit < page.room)
        page.room = msg->response_partition_limit > 0 ? msg->response_partition_limit : 1;
    page.topics_max = all ? meta_image_topic_count(req->image) : msg->topics.count;
    broker_req_budget_add(req, all ? (size_t)page.topics_max * sizeof(topic_out) : 0);
    page.response.topics.items =
        arena_calloc(req->arena, (size_t)page.topics_max, sizeof(topic_out));
    page.response.topics.count = 0;
    if (page.response.topics.items == NULL) {
        broker_req_close(req, "out of memory");
        return;
    }
    if (!cursor_ok(msg))
        refuse(&page, msg);
    else if (all)
        all_add(&page, msg);
    else
        asked_add(&page, msg);
    if (page.out_of_memory)
        broker_req_close(req, "out of memory");
    else
        broker_req_reply(req, &page.response);
}

const struct broker_api broker_api_describe_topic_partitions = {
    .key = PROTO_API_DESCRIBE_TOPIC_PARTITIONS,
    .version_min = PROTO_DESCRIBE_TOPIC_PARTITIONS_REQUEST_VERSION_MIN,
    .version_max = PROTO_DESCRIBE_TOPIC_PARTITIONS_REQUEST_VERSION_MAX,
    .handle = handle,
};
