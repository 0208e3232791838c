/* broker/api_leave_group.c - LeaveGroup: one member, or since version 3 many. */
#include "broker/broker.h"
#include "broker/coord_log.h"

enum { VERSION_MEMBERS = 3 };

struct leave {
    struct coord_group_leave reply;
    struct broker_req *req;
    struct proto_leave_group_request msg; /* with members in every version */
    struct proto_leave_group_request_member_identity only;
};

static void
respond_error(struct broker_req *req, enum proto_error err)
{
    struct proto_leave_group_response response;
    proto_init(&proto_leave_group_response_schema, &response);
    response.error_code = (int16_t)err;
    broker_req_reply(req, &response);
}

static void
finish(struct broker_req *req)
{
    struct leave *leave = req->state;
    struct proto_leave_group_response *response = &leave->reply.response;
    if (leave->reply.base.err != PROTO_ERROR_NONE) {
        respond_error(req, leave->reply.base.err);
        return;
    }
    if (req->version < VERSION_MEMBERS) {
        int16_t error = response->members.items[0].error_code;
        respond_error(req, (enum proto_error)error);
        return;
    }
    broker_req_reply(req, response);
}

static void
done(struct coord_reply *reply)
{
    broker_req_resume(CONTAINER_OF(reply, struct leave, reply.base)->req, finish);
}

static void
handle(struct broker_req *req)
{
    const struct proto_leave_group_request *msg = req->msg;
    struct coord_shard *shard;
    struct leave *leave = arena_calloc(req->arena, 1, sizeof *leave);
    enum proto_error err = PROTO_ERROR_NONE;

    if (leave == NULL)
        err = PROTO_ERROR_COORDINATOR_NOT_AVAILABLE;
    else if (msg->group_id.len == 0)
        err = PROTO_ERROR_INVALID_GROUP_ID;
    if (err == PROTO_ERROR_NONE)
        err = broker_coord_lock_group(req, msg->group_id, &shard);
    if (err != PROTO_ERROR_NONE) {
        respond_error(req, err);
        return;
    }
    leave->req = req;
    leave->msg = *msg;
    if (req->version < VERSION_MEMBERS) {
        leave->only.member_id = msg->member_id;
        leave->msg.members.items = &leave->only;
        leave->msg.members.count = 1;
    }
    req->state = leave;
    coord_reply_init(&leave->reply.base, req->arena, done);
    coord_group_leave(shard, &leave->msg, &leave->reply);
    broker_coord_unlock(req, shard);
}

const struct broker_api broker_api_leave_group = {
    .key = 13, .version_min = 0, .version_max = 5, .handle = handle};
