/* broker/api_describe_groups.c - DescribeGroups: classic groups and their members. */
#include "base/assert.h"
#include "broker/broker.h"
#include "broker/coord_fan.h"
#include "broker/coord_log.h"
#include "proto/describe_groups_request.h"

/* Until there are ACLs everybody may do everything that a group knows: READ, DELETE, DESCRIBE,
 * DESCRIBE_CONFIGS, ALTER_CONFIGS (bits by AclOperation's codes 3, 6, 8, 10, 11). */
enum { GROUP_OPERATIONS = 1 << 3 | 1 << 6 | 1 << 8 | 1 << 10 | 1 << 11 };

struct describe_one {
    struct coord_group_describe reply;
    struct coord_fan *fan;
};

struct describe {
    struct coord_fan fan;
    struct describe_one *groups;
};

static void
finish(struct broker_req *req)
{
    const struct proto_describe_groups_request *msg = req->msg;
    struct describe *describe = req->state;
    struct proto_describe_groups_response response;
    int32_t count = msg->groups.count > 0 ? msg->groups.count : 0;

    proto_init(&proto_describe_groups_response_schema, &response);
    response.groups.items =
        arena_calloc(req->arena, (size_t)count, sizeof response.groups.items[0]);
    if (response.groups.items == NULL) {
        broker_req_close(req, "request memory");
        return;
    }
    response.groups.count = count;
    for (int32_t i = 0; i < count; i++) {
        const struct describe_one *one = &describe->groups[i];
        struct proto_describe_groups_response_described_group *out = &response.groups.items[i];
        *out = one->reply.response;
        if (one->reply.base.err != PROTO_ERROR_NONE) {
            memset(out, 0, sizeof *out);
            out->group_id = msg->groups.items[i];
            out->error_code = (int16_t)one->reply.base.err;
            out->group_state = STR("");
            out->protocol_type = STR("");
            out->protocol_data = STR("");
            out->authorized_operations = INT32_MIN;
        } else if (msg->include_authorized_operations && out->error_code == PROTO_ERROR_NONE) {
            out->authorized_operations = GROUP_OPERATIONS;
        }
    }
    broker_req_reply(req, &response);
}

static void
done(struct coord_reply *reply)
{
    coord_fan_done(CONTAINER_OF(reply, struct describe_one, reply.base)->fan);
}

static void
handle(struct broker_req *req)
{
    const struct proto_describe_groups_request *msg = req->msg;
    int32_t count = msg->groups.count > 0 ? msg->groups.count : 0;
    struct describe *describe = arena_calloc(req->arena, 1, sizeof *describe);

    if (describe != NULL)
        describe->groups = arena_calloc(req->arena, (size_t)count, sizeof describe->groups[0]);
    if (describe == NULL || describe->groups == NULL) {
        broker_req_close(req, "request memory");
        return;
    }
    req->state = describe;
    coord_fan_init(&describe->fan, req, finish);
    for (int32_t i = 0; i < count; i++) {
        struct describe_one *one = &describe->groups[i];
        struct coord_shard *shard;
        one->fan = &describe->fan;
        coord_reply_init(&one->reply.base, req->arena, done);
        enum proto_error err = broker_coord_lock_group(req, msg->groups.items[i], &shard);
        if (err != PROTO_ERROR_NONE) {
            one->reply.base.err = err;
            continue;
        }
        coord_fan_add(&describe->fan);
        coord_group_describe(shard, msg->groups.items[i], req->version, &one->reply);
        broker_coord_unlock(req, shard);
    }
    coord_fan_done(&describe->fan);
}

const struct broker_api broker_api_describe_groups = {
    .key = 15, .version_min = 0, .version_max = 6, .handle = handle};
