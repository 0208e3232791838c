/* client/lookup.h - offsets of partitions by time, or their ends: ListOffsets to every leader.
 *
 * One look-up asks for any number of partitions, follows leaders that move, and tries again what
 * passes until its time is up. On the client's loop. */
#ifndef CLIENT_LOOKUP_H
#define CLIENT_LOOKUP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"
#include "client/client.h"

struct client_lookup;

struct client_lookup_target {
    /* in */
    struct str topic;
    int32_t partition;
    int64_t timestamp; /* milliseconds, or one of consumer.h's CLIENT_OFFSET_ */
    /* out */
    enum err err;       /* TIMEOUT: nobody answered in time; FAILED: error_code says why */
    int16_t error_code; /* the last one; 0 */
    int64_t offset;     /* -1: no record is that young */
    int64_t found_ms;   /* that record's timestamp; -1 for the ends */
    int32_t leader_epoch;
};

struct client_lookup_opts {
    struct client *client;
    struct client_lookup_target *targets; /* until done */
    int count;
    bool read_committed; /* the end is the last stable offset */
    int64_t timeout_ms;  /* 0: 30 s */
    void (*done)(void *ctx, struct client_lookup *lookup);
    void *ctx;
};

/* `done` runs once, later, with every target's result in place; free the look-up there or after. */
MUST_USE enum err client_lookup_new(
    const struct client_lookup_opts *opts, struct client_lookup **out);
/* Ends it without `done` when it still runs. */
void client_lookup_free(struct client_lookup **lookup);
/* The same, running the loop. OK: every target has an offset; else the first target's error. */
MUST_USE enum err client_lookup_wait(const struct client_lookup_opts *opts);

#endif
