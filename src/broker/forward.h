/* broker/forward.h - requests that the controller decides: sent on as they came, answered with what
 * it said. */
#ifndef BROKER_FORWARD_H
#define BROKER_FORWARD_H

#include "broker/request.h"
#include "proto/error_codes.h"

/* Sends the request's own message to the controller and replies with its response. When the
 * controller cannot be asked, `fail` makes the response that says so (in the request's arena; NULL:
 * close). */
void broker_forward(
    struct broker_req *req, const void *(*fail)(struct broker_req *req, enum proto_error code));

#endif
