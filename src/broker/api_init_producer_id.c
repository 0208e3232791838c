/* broker/api_init_producer_id.c - InitProducerId for idempotent producers.
 *
 * States of a request: answered at once from the node's block of ids; or asking the controller for
 * a block; or waiting for the one who asks. Transactional ids need a coordinator, which there is
 * none of: COORDINATOR_NOT_AVAILABLE, as FindCoordinator says. Threads: the request's reactor. */
#include "base/attr.h"
#include "broker/broker.h"
#include "broker/request.h"
#include "meta/image.h"
#include "proto/allocate_producer_ids_request.h"
#include "proto/allocate_producer_ids_response.h"
#include "proto/error_codes.h"
#include "proto/init_producer_id_request.h"
#include "proto/init_producer_id_response.h"
#include "replica/manager.h"
#include "replica/producer_ids.h"

struct init {
    struct replica_producer_id_wait wait;
    struct broker_req *req;
    struct proto_allocate_producer_ids_request ask;
    bool refused;
};

static struct replica_producer_ids *
ids_of(const struct broker_req *req)
{
    return replica_manager_producer_ids(broker_replicas(req->broker));
}

static void
init_reply(struct broker_req *req, enum proto_error error, int64_t producer_id)
{
    struct proto_init_producer_id_response response;

    proto_init(&proto_init_producer_id_response_schema, &response);
    response.error_code = (int16_t)error;
    response.producer_id = producer_id;
    response.producer_epoch = error == PROTO_ERROR_NONE ? 0 : -1;
    broker_req_reply(req, &response);
}

/* No block for now: what Kafka answers when its controller is slow; the client tries again. */
static void
init_later(struct broker_req *req)
{
    init_reply(req, PROTO_ERROR_COORDINATOR_LOAD_IN_PROGRESS, -1);
}

static void init_take(struct broker_req *req, struct init *init);

static void
init_resumed(struct broker_req *req)
{
    struct init *init = req->state;

    if (init->refused)
        init_later(req);
    else
        init_take(req, init);
}

/* Any thread. */
static void
init_ready(struct replica_producer_id_wait *wait, bool ok)
{
    struct init *init = CONTAINER_OF(wait, struct init, wait);

    init->refused = !ok;
    broker_req_resume(init->req, init_resumed);
}

static void
block_came(struct broker_req *req, enum err err, void *answer)
{
    const struct proto_allocate_producer_ids_response *response = answer;

    if (err != ERR_OK || response->error_code != PROTO_ERROR_NONE ||
        response->producer_id_start < 0 || response->producer_id_len <= 0) {
        replica_producer_ids_refused(ids_of(req));
        init_later(req);
        return;
    }
    init_reply(req, PROTO_ERROR_NONE,
        replica_producer_ids_granted(
            ids_of(req), response->producer_id_start, response->producer_id_len));
}

static void
block_ask(struct broker_req *req, struct init *init)
{
    int32_t node_id = broker_config(req->broker)->node_id;
    const struct meta_broker *broker = meta_image_broker(req->image, node_id);

    proto_init(&proto_allocate_producer_ids_request_schema, &init->ask);
    init->ask.broker_id = node_id;
    init->ask.broker_epoch = broker != NULL ? broker->epoch : -1;
    broker_ask_controller(req, PROTO_ALLOCATE_PRODUCER_IDS_REQUEST_KEY, 0, &init->ask, block_came);
}

static void
init_take(struct broker_req *req, struct init *init)
{
    int64_t producer_id = -1;

    req->state = init;
    switch (replica_producer_ids_take(ids_of(req), &init->wait, &producer_id)) {
    case REPLICA_PRODUCER_ID_TAKEN: init_reply(req, PROTO_ERROR_NONE, producer_id); break;
    case REPLICA_PRODUCER_ID_ASK: block_ask(req, init); break;
    case REPLICA_PRODUCER_ID_WAIT: break;
    }
}

static enum proto_error
init_check(const struct broker_req *req)
{
    const struct proto_init_producer_id_request *msg = req->msg;

    if ((msg->producer_id == -1) != (msg->producer_epoch == -1))
        return PROTO_ERROR_INVALID_REQUEST;
    if (str_is_null(msg->transactional_id))
        return PROTO_ERROR_NONE;
    return msg->transactional_id.len == 0 ? PROTO_ERROR_INVALID_REQUEST
                                          : PROTO_ERROR_COORDINATOR_NOT_AVAILABLE;
}

static void
init_handle(struct broker_req *req)
{
    enum proto_error error = init_check(req);
    struct init *init;

    if (error != PROTO_ERROR_NONE) {
        init_reply(req, error, -1);
        return;
    }
    init = arena_calloc(req->arena, 1, sizeof *init);
    if (init == NULL) {
        broker_req_close(req, "out of request memory");
        return;
    }
    init->req = req;
    init->wait.ready = init_ready;
    init_take(req, init);
}

const struct broker_api broker_api_init_producer_id = {
    .key = 22,
    .version_min = 0,
    .version_max = 5,
    .handle = init_handle,
};
