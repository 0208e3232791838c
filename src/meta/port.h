/* meta/port.h - what brokers ask of whoever runs the metadata (node/metadata.c, or a test).
 *
 * One door for every change of the cluster's state: a decoded request goes in, and its response
 * comes out after the records it led to are committed, replayed and shown to all subscribers. */
#ifndef META_PORT_H
#define META_PORT_H

#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/list.h"
#include "meta/delta.h"
#include "meta/image.h"

/* How many partitions somebody may still make and delete (KIP-599). False: no more now. Runs on the
 * metadata thread, for each topic that is found fine. */
struct meta_mutation_quota {
    bool (*take)(void *ctx, int64_t partitions); /* NULL: as many as he likes */
    void *ctx;
};

/* One request. Caller's memory (normally in the request's arena); from submit until done, it, msg
 * and arena belong to the metadata side. */
struct meta_request {
    int16_t api_key;
    int16_t version; /* decides which semantics and error messages the response may carry */
    const void *msg; /* decoded struct proto_<api>_request */
    void *response;  /* struct proto_<api>_response; filled, its arrays are in `arena` */
    struct arena *arena;
    /* Texts and numbers of the response may stand in the image it was made from. A reference to
     * that one is put here, for the caller to give back when the response was used; NULL: the
     * response is looked at in `done` only. */
    struct meta_image **image;
    struct str principal; /* "User:alice", for records that carry an owner */
    struct meta_mutation_quota mutations;
    /* Runs on the metadata thread and must only hand over, e.g. broker_req_resume. err: OK (look
     * at the response; Kafka errors are in there), NOMEM, UNSUPPORTED (no such api here), STATE
     * (this node is not the active controller), FAILED (metadata storage failed), CANCELED
     * (stopping). */
    void (*done)(struct meta_request *req, enum err err);
    void *owner; /* the caller's own */

    struct list link; /* the metadata side's own from here */
    enum err err;
};

/* on_image runs on the metadata thread, in order, each change once; the first call shows all that
 * exists (delta->before is empty). It borrows: take a reference to keep the image. A request's
 * done comes after on_image of its change has returned everywhere. */
struct meta_subscriber {
    struct list link;
    void (*on_image)(struct meta_subscriber *subscriber, struct meta_image *image,
        const struct meta_delta *delta);
};

struct meta_port {
    void *ctx;
    /* Any thread. */
    void (*submit)(void *ctx, struct meta_request *req);
    /* Any thread: a new reference to the latest image. */
    struct meta_image *(*image)(void *ctx);
};

static inline void
meta_port_submit(const struct meta_port *port, struct meta_request *req)
{
    port->submit(port->ctx, req);
}

#endif
