/* client/consumer_priv.h - the consumer's parts, for consumer.c and consumer_fetch.c. */
#ifndef CLIENT_CONSUMER_PRIV_H
#define CLIENT_CONSUMER_PRIV_H

#include "base/list.h"
#include "client/consumer.h"

enum { CONSUMER_ERROR_TEXT = 200 };

/* Producers whose transaction aborted, as one fetch's answer lists them. */
struct consumer_aborted {
    int64_t producer_id;
    int64_t first_offset;
    bool active;
};

struct consumer_part {
    struct list link;  /* the consumer's parts */
    struct list ready; /* those with buffered records */
    struct client_consumer *consumer;
    char *topic; /* owned */
    int32_t partition;
    int64_t position;     /* below 0: to be looked up */
    int64_t asked;        /* the position that the answer being read is for */
    int64_t end_offset;   /* -1 unknown */
    int32_t leader_epoch; /* of the last batch; -1 */
    int64_t retry_ms;
    bool fetching;
    bool stopped; /* by an error nobody reset */
    bool paused;
    /* what is buffered */
    struct buf data;
    size_t data_at; /* the next batch */
    struct batch_iter iter;
    struct batch_view batch;
    struct buf scratch;
    bool in_batch;
    struct consumer_aborted *aborted; /* owned */
    int32_t aborted_count;
};

/* One request to one broker. */
struct consumer_fetch {
    struct list link;
    struct client_consumer *consumer;
    struct client_call call;
    struct arena arena;
};

struct client_consumer {
    struct client_consumer_opts opts;
    struct compress_ctx *compress;
    struct list parts;
    struct list ready;
    struct list fetches; /* requests on their way, both kinds */
    struct client_refresh refresh;
    struct loop_timer timer;
    const struct consumer_part *held; /* whose record was handed out last; NULL */
    int64_t held_offset;
    bool progress; /* something came, for whoever runs the loop */
    enum err err;
    int16_t error_code;
    char error_text[CONSUMER_ERROR_TEXT];
};

/* consumer_fetch.c: starts look-ups and fetches for every partition that wants one. */
void consumer_drive(struct client_consumer *consumer);
void consumer_stop(
    struct client_consumer *consumer, struct consumer_part *part, enum err err, int16_t code);
/* An error of the whole consumer, for whoever polls. */
void consumer_fail(struct client_consumer *consumer, enum err err, int16_t code, const char *text);
/* The position without the record that was handed out last: its reader may still be at it. */
int64_t consumer_finished(const struct consumer_part *part);
struct consumer_part *consumer_find(
    const struct client_consumer *consumer, struct str topic, int32_t partition);
void consumer_drop_data(struct consumer_part *part);
/* Data was buffered: into `ready`, unless paused. */
void consumer_part_ready(struct consumer_part *part);
void consumer_cancel(struct client_consumer *consumer);

#endif
