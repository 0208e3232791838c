/* broker/api_delete_groups.c - DeleteGroups: empty groups and their offsets. */
#include "base/assert.h"
#include "broker/broker.h"
#include "broker/coord_fan.h"
#include "broker/coord_log.h"
#include "broker/topic_rows.h"
#include "proto/delete_groups_request.h"

struct delete_one {
    struct coord_reply reply;
    struct coord_fan *fan;
};

struct delete_groups {
    struct coord_fan fan;
    struct delete_one *groups;
    struct broker_topic_row *rows; /* their names, each once */
    int32_t count;
};

static void
finish(struct broker_req *req)
{
    struct delete_groups *del = req->state;
    struct proto_delete_groups_response response;
    int32_t count = del->count;

    proto_init(&proto_delete_groups_response_schema, &response);
    response.results.items =
        arena_calloc(req->arena, (size_t)count, sizeof response.results.items[0]);
    if (response.results.items == NULL) {
        broker_req_close(req, "request memory");
        return;
    }
    response.results.count = count;
    for (int32_t i = 0; i < count; i++) {
        response.results.items[i].group_id = del->rows[i].topic;
        response.results.items[i].error_code = (int16_t)del->groups[i].reply.err;
    }
    broker_req_reply(req, &response);
}

static void
done(struct coord_reply *reply)
{
    coord_fan_done(CONTAINER_OF(reply, struct delete_one, reply)->fan);
}

static void
handle(struct broker_req *req)
{
    const struct proto_delete_groups_request *msg = req->msg;
    int32_t count = msg->groups_names.count > 0 ? msg->groups_names.count : 0;
    struct delete_groups *del = arena_calloc(req->arena, 1, sizeof *del);

    if (del != NULL) {
        del->groups = arena_calloc(req->arena, (size_t)count, sizeof del->groups[0]);
        del->rows = arena_calloc(req->arena, (size_t)count, sizeof del->rows[0]);
    }
    if (del == NULL || del->groups == NULL || del->rows == NULL) {
        broker_req_close(req, "request memory");
        return;
    }
    for (int32_t i = 0; i < count; i++)
        del->rows[i] = (struct broker_topic_row){.topic = msg->groups_names.items[i], .nth = i};
    del->count = broker_topic_rows_unite(del->rows, count);
    req->state = del;
    coord_fan_init(&del->fan, req, finish);
    for (int32_t i = 0; i < del->count; i++) {
        struct delete_one *one = &del->groups[i];
        struct coord_shard *shard;
        one->fan = &del->fan;
        coord_reply_init(&one->reply, req->arena, done);
        enum proto_error err = broker_coord_lock_group(req, del->rows[i].topic, &shard);
        if (err != PROTO_ERROR_NONE) {
            one->reply.err = err;
            continue;
        }
        coord_fan_add(&del->fan);
        coord_group_delete(shard, del->rows[i].topic, &one->reply);
        broker_coord_unlock(req, shard);
    }
    coord_fan_done(&del->fan);
}

/* Version 3 came with Kafka 4.4; what we follow is 4.3. */
const struct broker_api broker_api_delete_groups = {
    .key = 42, .version_min = 0, .version_max = 2, .handle = handle};
