/* broker/flush_wait.h - requests that look at high watermarks wait for our own flushes first.
 *
 * An append is acknowledged (acks=1) before it is flushed, and readers see what is flushed
 * (log.ack.flush). Whoever has his acknowledgement then finds his record at the log's end, as he
 * does on a Kafka of one replica: such a request goes on when what was appended before it is
 * flushed. What followers keep from readers is not waited for. A disk that stalls holds a request
 * for LIMIT_FLUSH_WAIT_MS; it is then answered as things are.
 *
 * Embedded in the request's state; all on the request's reactor. */
#ifndef BROKER_FLUSH_WAIT_H
#define BROKER_FLUSH_WAIT_H

#include "broker/park.h"
#include "broker/request.h"
#include "broker/topic_rows.h"

struct broker_flush_wait {
    struct broker_park park;
    struct broker_park_slot *slots; /* request memory; NULL while nothing is to be waited for */
    void *state;                    /* req->state, which is the park's while it waits */
    void (*then)(struct broker_req *req);
};

/* Runs `then`, now or in a later turn; it finds req->state as it is now. */
void broker_flush_wait(struct broker_flush_wait *wait, struct broker_req *req,
    const struct broker_topic_row *rows, int32_t count, void (*then)(struct broker_req *req));

#endif
