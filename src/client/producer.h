/* client/producer.h - a batching producer: partitions, batches, retries in order, idempotence.
 *
 * Records are copied. They are gathered per partition until a batch is full or linger_ms went by,
 * and each broker gets one batch of every ready partition in one request. With idempotence at most
 * five batches of a partition are on their way, and a retry never overtakes. All on the client's
 * loop; each record's fate is told once, by on_delivery. */
#ifndef CLIENT_PRODUCER_H
#define CLIENT_PRODUCER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"
#include "client/client.h"
#include "wire/batch.h"
#include "wire/compress.h"

struct client_producer;

struct client_delivery {
    enum err err;       /* the network's; OK when the broker answered */
    int16_t error_code; /* the broker's; 0 when the record is in */
    struct str topic;   /* terminated; for the call */
    int32_t partition;
    int64_t offset;    /* -1 when unknown (acks=0, errors) */
    int64_t timestamp; /* the record's, or the broker's with LogAppendTime */
    void *opaque;
};

struct client_producer_opts {
    struct client *client;
    int16_t acks;    /* 0, 1, -1 */
    bool idempotent; /* needs acks -1 */
    int64_t linger_ms;
    size_t batch_bytes;       /* 0: 1,000,000; at most what the topic's max.message.bytes allows */
    size_t buffer_bytes;      /* 0: 64 MiB; a send above it is refused with FULL */
    size_t request_bytes_max; /* 0: 8 MiB */
    int64_t delivery_timeout_ms; /* 0: 120 s, retries included */
    enum compress_codec codec;
    int level; /* COMPRESS_LEVEL_DEFAULT or one of the codec's */
    void (*on_delivery)(void *ctx, const struct client_delivery *delivery); /* may be NULL */
    void *ctx;
};

struct client_record {
    struct str topic;
    int32_t partition; /* -1: by the key's murmur2 hash, or sticky without a key */
    int64_t timestamp; /* -1: now */
    struct bytes key, value;
    const struct batch_header *headers;
    int32_t header_count;
    void *opaque;
};

MUST_USE enum err client_producer_new(
    const struct client_producer_opts *opts, struct client_producer **out);
/* Records not delivered yet are told CANCELED. */
void client_producer_free(struct client_producer **producer);

/* AGAIN: the topic's metadata is not known yet (a refresh is on its way: run the loop, try again).
 * FULL: the buffer is (run the loop). NOTFOUND: no such topic or partition. LIMIT: larger than a
 * batch may be. */
MUST_USE enum err client_producer_send(
    struct client_producer *producer, const struct client_record *record);
/* The same, running the loop on AGAIN and FULL for at most so long (then TIMEOUT). */
MUST_USE enum err client_producer_send_wait(
    struct client_producer *producer, const struct client_record *record, int64_t timeout_ms);
/* Sends what is gathered without waiting for linger, and runs the loop until every record's fate is
 * known; TIMEOUT otherwise. */
MUST_USE enum err client_producer_flush(struct client_producer *producer, int64_t timeout_ms);
/* Records whose fate is not known yet. */
int64_t client_producer_outstanding(const struct client_producer *producer);
/* Every gathered batch is due now (for callers that do not run the loop themselves). */
void client_producer_push(struct client_producer *producer);

#endif
