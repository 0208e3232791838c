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

/* The same for a request with a timeout: one that is over when it comes changes nothing. */
void broker_forward_within(struct broker_req *req, int32_t timeout_ms,
    const void *(*fail)(struct broker_req *req, enum proto_error code));

/* The text for a `fail`: null for a timeout, which needs no more words. */
struct str broker_forward_text(enum proto_error code);

#endif
