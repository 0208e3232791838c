#include "broker/forward.h"

#include "base/assert.h"
#include "broker/broker.h"
#include "broker/err_map.h"

static void
answered(struct broker_req *req, enum err err, void *response)
{
    const void *(*fail)(struct broker_req *, enum proto_error);
    memcpy(&fail, &req->state, sizeof fail);
    const void *answer = response;
    if (err != ERR_OK) {
        diag_event(env_diag(broker_env(req->broker)), DIAG_WARN, "broker", "controller_not_asked",
            DIAG_Z("api", req->api->name), DIAG_ERR("cause", err));
        answer = fail(req, broker_code_of_controller(err));
    }
    if (answer != NULL)
        broker_req_reply(req, answer);
    else
        broker_req_close(req, "controller not available");
}

void
broker_forward(
    struct broker_req *req, const void *(*fail)(struct broker_req *req, enum proto_error code))
{
    ASSERT(fail != NULL && req->state == NULL);
    _Static_assert(sizeof fail == sizeof req->state, "a function pointer fits");
    memcpy(&req->state, &fail, sizeof fail);
    broker_ask_controller(req, req->api->key, req->version, req->msg, answered);
}

void
broker_forward_within(struct broker_req *req, int32_t timeout_ms,
    const void *(*fail)(struct broker_req *req, enum proto_error code))
{
    if (timeout_ms > 0) {
        broker_forward(req, fail);
        return;
    }
    const void *answer = fail(req, PROTO_ERROR_REQUEST_TIMED_OUT);
    if (answer != NULL)
        broker_req_reply(req, answer);
    else
        broker_req_close(req, "out of request memory");
}

struct str
broker_forward_text(enum proto_error code)
{
    return code == PROTO_ERROR_REQUEST_TIMED_OUT ? STR_NULL
                                                 : str_of(proto_error_text((int16_t)code));
}
