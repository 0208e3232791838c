/* broker/api_heartbeat.c - Heartbeat: a member is alive; is its generation still on? */
#include "broker/broker.h"
#include "broker/coord_log.h"
#include "proto/heartbeat_response.h"

struct beat {
    struct coord_reply reply;
    struct broker_req *req;
};

static void
respond(struct broker_req *req, enum proto_error err)
{
    struct proto_heartbeat_response response;
    proto_init(&proto_heartbeat_response_schema, &response);
    /* A member must not give up its partitions because its coordinator is only starting. */
    response.error_code =
        (int16_t)(err == PROTO_ERROR_COORDINATOR_LOAD_IN_PROGRESS ? PROTO_ERROR_NONE : err);
    broker_req_reply(req, &response);
}

static void
finish(struct broker_req *req)
{
    const struct beat *beat = req->state;
    respond(req, beat->reply.err);
}

static void
done(struct coord_reply *reply)
{
    broker_req_resume(CONTAINER_OF(reply, struct beat, reply)->req, finish);
}

static void
handle(struct broker_req *req)
{
    const struct proto_heartbeat_request *msg = req->msg;
    struct coord_shard *shard;
    struct beat *beat = arena_calloc(req->arena, 1, sizeof *beat);

    if (beat == NULL || msg->group_id.len == 0) {
        respond(req,
            beat == NULL ? PROTO_ERROR_COORDINATOR_NOT_AVAILABLE : PROTO_ERROR_INVALID_GROUP_ID);
        return;
    }
    enum proto_error err = broker_coord_lock_group(req, msg->group_id, &shard);
    if (err != PROTO_ERROR_NONE) {
        respond(req, err);
        return;
    }
    beat->req = req;
    req->state = beat;
    coord_reply_init(&beat->reply, req->arena, done);
    coord_group_heartbeat(shard, msg, &beat->reply);
    broker_coord_unlock(req, shard);
}

const struct broker_api broker_api_heartbeat = {
    .key = 12, .version_min = 0, .version_max = 4, .handle = handle};
