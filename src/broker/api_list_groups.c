/* broker/api_list_groups.c - ListGroups: the groups whose coordinator this broker is. */
#include "base/assert.h"
#include "broker/broker.h"
#include "broker/coord_fan.h"
#include "broker/coord_log.h"
#include "meta/image.h"
#include "proto/list_groups_request.h"

struct list_one {
    struct coord_group_list reply;
    struct coord_fan *fan;
};

struct list_groups {
    struct coord_fan fan;
    struct list_one *shards;
    int32_t count; /* of shards asked */
    enum proto_error err;
};

static void
finish(struct broker_req *req)
{
    struct list_groups *list = req->state;
    struct proto_list_groups_response response;
    int32_t count = 0;

    proto_init(&proto_list_groups_response_schema, &response);
    response.error_code = (int16_t)list->err;
    for (int32_t i = 0; i < list->count; i++) {
        enum proto_error err = list->shards[i].reply.base.err;
        if (err == PROTO_ERROR_NONE)
            count += list->shards[i].reply.response.groups.count;
        else if (err != PROTO_ERROR_NOT_COORDINATOR)
            response.error_code = (int16_t)err;
    }
    if (response.error_code != PROTO_ERROR_NONE) {
        broker_req_reply(req, &response);
        return;
    }
    response.groups.items =
        arena_calloc(req->arena, (size_t)count, sizeof response.groups.items[0]);
    if (response.groups.items == NULL) {
        broker_req_close(req, "request memory");
        return;
    }
    for (int32_t i = 0; i < list->count; i++) {
        const struct coord_group_list *reply = &list->shards[i].reply;
        if (reply->base.err != PROTO_ERROR_NONE || reply->response.groups.count == 0)
            continue;
        memcpy(&response.groups.items[response.groups.count], reply->response.groups.items,
            (size_t)reply->response.groups.count * sizeof response.groups.items[0]);
        response.groups.count += reply->response.groups.count;
    }
    ASSERT(response.groups.count == count);
    broker_req_reply(req, &response);
}

static void
done(struct coord_reply *reply)
{
    coord_fan_done(CONTAINER_OF(reply, struct list_one, reply.base)->fan);
}

static void
ask(struct broker_req *req, struct list_groups *list, int32_t index)
{
    const struct proto_list_groups_request *msg = req->msg;
    struct coord_shard *shard;
    enum proto_error err = broker_coord_lock_index(req, index, &shard);

    if (err == PROTO_ERROR_NOT_COORDINATOR)
        return;
    if (err != PROTO_ERROR_NONE) {
        list->err = err; /* an incomplete list would look complete */
        return;
    }
    struct list_one *one = &list->shards[list->count++];
    one->fan = &list->fan;
    coord_reply_init(&one->reply.base, req->arena, done);
    coord_fan_add(&list->fan);
    coord_group_list(shard, msg->states_filter.items, msg->states_filter.count,
        msg->types_filter.items, msg->types_filter.count, &one->reply);
    broker_coord_unlock(req, shard);
}

static void
handle(struct broker_req *req)
{
    const struct meta_topic *topic = meta_image_topic(req->image, STR("__consumer_offsets"));
    int32_t count = topic == NULL ? 0 : topic->partition_count;
    struct list_groups *list = arena_calloc(req->arena, 1, sizeof *list);

    if (list != NULL)
        list->shards = arena_calloc(req->arena, (size_t)count, sizeof list->shards[0]);
    if (list == NULL || list->shards == NULL) {
        broker_req_close(req, "request memory");
        return;
    }
    req->state = list;
    coord_fan_init(&list->fan, req, finish);
    for (int32_t i = 0; i < count; i++)
        ask(req, list, i);
    coord_fan_done(&list->fan);
}

const struct broker_api broker_api_list_groups = {
    .key = 16, .version_min = 0, .version_max = 5, .handle = handle};
