/* client/producer_priv.h - the producer's parts, for producer.c, producer_batch.c, producer_send.c.
 */
#ifndef CLIENT_PRODUCER_PRIV_H
#define CLIENT_PRODUCER_PRIV_H

#include "base/map.h"
#include "client/producer.h"
#include "wire/batch_builder.h"

enum { PRODUCER_IN_FLIGHT_MAX = 5 };

/* What a delivery report needs of one record. */
struct producer_note {
    void *opaque;
    int64_t timestamp;
};

struct producer_batch {
    struct list link; /* the partition's queue, or its in_flight, or a request's */
    struct list sent; /* the request's */
    struct producer_part *part;
    struct batch_builder builder;
    struct buf bytes;
    struct producer_note *notes; /* owned, one a record */
    int32_t count, note_capacity;
    int64_t created_ms;
    int64_t retry_ms;      /* not before */
    int32_t base_sequence; /* -1 until first sent */
    bool sealed;
};

struct producer_part {
    struct producer_topic *topic;
    int32_t index;
    struct list queue;     /* batches not on their way; only the last may be open */
    struct list in_flight; /* in the order of their sequences */
    int in_flight_count;
    int32_t sequence_next;
    bool retrying; /* one batch at a time until the oldest succeeded */
};

struct producer_topic {
    struct client_producer *producer;
    char *name; /* owned */
    struct producer_part *parts;
    int32_t part_count;
    int32_t sticky;
    UT_hash_handle hh;
};

struct client_producer {
    struct client_producer_opts opts;
    struct compress_ctx *compress;
    struct producer_topic *topics;
    struct list requests; /* on their way */
    struct loop_timer timer;
    struct client_refresh refresh;
    struct client_call init_call;
    int64_t producer_id; /* -1 until known */
    int16_t producer_epoch;
    bool init_failed;
    int16_t init_error;
    int64_t outstanding;
    size_t buffered_bytes;
    bool pushing; /* linger is over for everything gathered so far */
    bool flushed; /* outstanding reached zero, for whoever runs the loop */
    bool room;
    bool metadata_came;
    enum err refresh_err;
};

/* producer_batch.c */
MUST_USE enum err producer_batch_add(
    struct producer_part *part, const struct client_record *record);
MUST_USE enum err producer_batch_seal(struct producer_batch *batch);
/* Tells every record's fate and frees the batch. */
void producer_batch_end(struct producer_batch *batch, enum err err, int16_t code,
    int64_t base_offset, int64_t append_time);
bool producer_batch_due(const struct producer_batch *batch, int64_t now_ms);

/* producer_send.c */
void producer_drain(struct client_producer *producer);
void producer_cancel_requests(struct client_producer *producer);
void producer_want_metadata(struct client_producer *producer, struct str topic);

#endif
