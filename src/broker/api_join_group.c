/* broker/api_join_group.c - JoinGroup: parked until the group has its next generation. */
#include "broker/broker.h"
#include "broker/coord_log.h"

struct join {
    struct coord_group_join reply;
    struct broker_req *req;
    struct proto_join_group_request msg; /* the request with version 0's default filled in */
};

static void
respond_error(struct broker_req *req, enum proto_error err)
{
    const struct proto_join_group_request *msg = req->msg;
    struct proto_join_group_response response;
    proto_init(&proto_join_group_response_schema, &response);
    response.error_code = (int16_t)err;
    response.member_id = msg->member_id;
    response.protocol_name = req->version >= 7 ? STR_NULL : STR("");
    broker_req_reply(req, &response);
}

static void
finish(struct broker_req *req)
{
    const struct join *join = req->state;
    if (join->reply.base.err != PROTO_ERROR_NONE)
        respond_error(req, join->reply.base.err);
    else
        broker_req_reply(req, &join->reply.response);
}

static void
done(struct coord_reply *reply)
{
    broker_req_resume(CONTAINER_OF(reply, struct join, reply.base)->req, finish);
}

static void
handle(struct broker_req *req)
{
    const struct proto_join_group_request *msg = req->msg;
    struct coord_shard *shard;
    struct join *join = arena_calloc(req->arena, 1, sizeof *join);
    struct coord_group_caller caller = broker_coord_caller(req);

    if (join == NULL || caller.client_host.data == NULL) {
        respond_error(req, PROTO_ERROR_COORDINATOR_NOT_AVAILABLE);
        return;
    }
    if (msg->group_id.len == 0) {
        respond_error(req, PROTO_ERROR_INVALID_GROUP_ID);
        return;
    }
    enum proto_error err = broker_coord_lock_group(req, msg->group_id, &shard);
    if (err != PROTO_ERROR_NONE) {
        respond_error(req, err);
        return;
    }
    join->req = req;
    join->msg = *msg;
    if (req->version == 0)
        join->msg.rebalance_timeout_ms = msg->session_timeout_ms;
    req->state = join;
    coord_reply_init(&join->reply.base, req->arena, done);
    coord_group_join(shard, &caller, &join->msg, &join->reply);
    broker_coord_unlock(req, shard);
}

const struct broker_api broker_api_join_group = {
    .key = 11, .version_min = 0, .version_max = 9, .handle = handle};
