/* broker/api_sync_group.c - SyncGroup: parked until the leader's assignment is stored. */
#include "broker/broker.h"
#include "broker/coord_log.h"

enum { VERSION_PROTOCOL = 5 }; /* KIP-559: type and name are mandatory */

struct sync {
    struct coord_group_sync reply;
    struct broker_req *req;
};

static void
respond_error(struct broker_req *req, enum proto_error err)
{
    struct proto_sync_group_response response;
    proto_init(&proto_sync_group_response_schema, &response);
    response.error_code = (int16_t)err;
    response.assignment = (struct bytes){(const uint8_t *)"", 0};
    broker_req_reply(req, &response);
}

static void
finish(struct broker_req *req)
{
    const struct sync *sync = req->state;
    if (sync->reply.base.err != PROTO_ERROR_NONE)
        respond_error(req, sync->reply.base.err);
    else
        broker_req_reply(req, &sync->reply.response);
}

static void
done(struct coord_reply *reply)
{
    broker_req_resume(CONTAINER_OF(reply, struct sync, reply.base)->req, finish);
}

static void
handle(struct broker_req *req)
{
    const struct proto_sync_group_request *msg = req->msg;
    struct coord_shard *shard;
    struct sync *sync = arena_calloc(req->arena, 1, sizeof *sync);
    enum proto_error err = PROTO_ERROR_NONE;

    if (sync == NULL)
        err = PROTO_ERROR_COORDINATOR_NOT_AVAILABLE;
    else if (req->version >= VERSION_PROTOCOL &&
             (str_is_null(msg->protocol_type) || str_is_null(msg->protocol_name)))
        err = PROTO_ERROR_INCONSISTENT_GROUP_PROTOCOL;
    else if (msg->group_id.len == 0)
        err = PROTO_ERROR_INVALID_GROUP_ID;
    if (err == PROTO_ERROR_NONE)
        err = broker_coord_lock_group(req, msg->group_id, &shard);
    if (err != PROTO_ERROR_NONE) {
        respond_error(req, err);
        return;
    }
    sync->req = req;
    req->state = sync;
    coord_reply_init(&sync->reply.base, req->arena, done);
    coord_group_sync(shard, msg, &sync->reply);
    broker_coord_unlock(req, shard);
}

const struct broker_api broker_api_sync_group = {
    .key = 14, .version_min = 0, .version_max = 5, .handle = handle};
