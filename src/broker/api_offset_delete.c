/* broker/api_offset_delete.c - OffsetDelete: forget committed offsets of topics that are not
 * subscribed. */
#include "base/assert.h"
#include "broker/broker.h"
#include "broker/coord_log.h"
#include "meta/image.h"

struct delete
{
    struct coord_group_offset_delete reply;
    struct broker_req *req;
    struct proto_offset_delete_request msg; /* partitions that exist */
};

static void
respond_error(struct broker_req *req, enum proto_error err)
{
    struct proto_offset_delete_response response;
    proto_init(&proto_offset_delete_response_schema, &response);
    response.error_code = (int16_t)err;
    broker_req_reply(req, &response);
}

/* The answers to what was asked, in order; the coordinator was asked what exists, in that order. */
static bool
merge(struct broker_req *req, const struct delete *del, struct proto_offset_delete_response *out)
{
    const struct proto_offset_delete_request *msg = req->msg;
    const struct proto_offset_delete_response *sent = &del->reply.response;
    int32_t count = msg->topics.count > 0 ? msg->topics.count : 0;

    out->topics.items = arena_calloc(req->arena, (size_t)count, sizeof out->topics.items[0]);
    if (out->topics.items == NULL)
        return false;
    out->topics.count = count;
    ASSERT(sent->topics.count == count);
    for (int32_t i = 0; i < count; i++) {
        int32_t parts = msg->topics.items[i].partitions.count, at = 0;
        parts = parts > 0 ? parts : 0;
        out->topics.items[i].name = msg->topics.items[i].name;
        out->topics.items[i].partitions.count = parts;
        out->topics.items[i].partitions.items = arena_calloc(
            req->arena, (size_t)parts, sizeof out->topics.items[i].partitions.items[0]);
        if (out->topics.items[i].partitions.items == NULL)
            return false;
        for (int32_t p = 0; p < parts; p++) {
            int32_t index = msg->topics.items[i].partitions.items[p].partition_index;
            bool was_sent = at < sent->topics.items[i].partitions.count &&
                            sent->topics.items[i].partitions.items[at].partition_index == index;
            out->topics.items[i].partitions.items[p].partition_index = index;
            out->topics.items[i].partitions.items[p].error_code =
                was_sent ? sent->topics.items[i].partitions.items[at].error_code
                         : (int16_t)PROTO_ERROR_UNKNOWN_TOPIC_OR_PARTITION;
            at += was_sent;
        }
    }
    return true;
}

static void
finish(struct broker_req *req)
{
    const struct delete *del = req->state;
    struct proto_offset_delete_response response;

    if (del->reply.base.err != PROTO_ERROR_NONE) {
        respond_error(req, del->reply.base.err);
        return;
    }
    proto_init(&proto_offset_delete_response_schema, &response);
    if (merge(req, del, &response))
        broker_req_reply(req, &response);
    else
        broker_req_close(req, "request memory");
}

static void
done(struct coord_reply *reply)
{
    broker_req_resume(CONTAINER_OF(reply, struct delete, reply.base)->req, finish);
}

static bool
keep_existing(struct broker_req *req, struct delete *del)
{
    const struct proto_offset_delete_request *msg = req->msg;
    int32_t count = msg->topics.count > 0 ? msg->topics.count : 0;

    del->msg = *msg;
    del->msg.topics.items =
        arena_calloc(req->arena, (size_t)count, sizeof del->msg.topics.items[0]);
    if (del->msg.topics.items == NULL)
        return false;
    del->msg.topics.count = count;
    for (int32_t i = 0; i < count; i++) {
        const struct meta_topic *topic = meta_image_topic(req->image, msg->topics.items[i].name);
        int32_t parts = msg->topics.items[i].partitions.count, kept = 0;
        parts = parts > 0 ? parts : 0;
        del->msg.topics.items[i].name = msg->topics.items[i].name;
        del->msg.topics.items[i].partitions.items = arena_calloc(
            req->arena, (size_t)parts, sizeof del->msg.topics.items[i].partitions.items[0]);
        if (del->msg.topics.items[i].partitions.items == NULL)
            return false;
        for (int32_t p = 0; p < parts && topic != NULL; p++) {
            int32_t index = msg->topics.items[i].partitions.items[p].partition_index;
            if (meta_topic_partition(topic, index) != NULL)
                del->msg.topics.items[i].partitions.items[kept++].partition_index = index;
        }
        del->msg.topics.items[i].partitions.count = kept;
    }
    return true;
}

static void
handle(struct broker_req *req)
{
    const struct proto_offset_delete_request *msg = req->msg;
    struct coord_shard *shard;
    struct delete *del = arena_calloc(req->arena, 1, sizeof *del);
    enum proto_error err = PROTO_ERROR_NONE;

    if (del == NULL || !keep_existing(req, del))
        err = PROTO_ERROR_COORDINATOR_NOT_AVAILABLE;
    else if (msg->group_id.len == 0)
        err = PROTO_ERROR_INVALID_GROUP_ID;
    if (err == PROTO_ERROR_NONE)
        err = broker_coord_lock_group(req, msg->group_id, &shard);
    if (err != PROTO_ERROR_NONE) {
        respond_error(req, err);
        return;
    }
    del->req = req;
    req->state = del;
    coord_reply_init(&del->reply.base, req->arena, done);
    coord_group_offset_delete(shard, &del->msg, &del->reply);
    broker_coord_unlock(req, shard);
}

const struct broker_api broker_api_offset_delete = {
    .key = 47, .version_min = 0, .version_max = 0, .handle = handle};
