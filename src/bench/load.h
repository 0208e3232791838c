/* bench/load.h - drives brokers with prebuilt requests over many connections, and measures.
 *
 * Closed: every connection keeps in_flight requests on their way. Open: requests are due at a
 * steady rate, whether or not the broker keeps up; a latency counts from when its request was due,
 * so a stall is seen by all that it delayed. The sender then never sleeps: it takes a core. */
#ifndef BENCH_LOAD_H
#define BENCH_LOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"
#include "bench/histogram.h"
#include "client/client.h"
#include "wire/compress.h"

enum bench_kind {
    BENCH_PRODUCE, /* latency: request to answer */
    BENCH_FETCH,
    BENCH_END_TO_END, /* latency: record due to record read by another connection */
};

struct bench_opts {
    struct client *client; /* for metadata and addresses; its loop is run */
    enum bench_kind kind;
    struct str topic; /* exists; borrowed */
    int connections;  /* that produce, or that fetch */
    int in_flight;    /* a connection; fetches have one */
    int32_t record_bytes;
    int32_t batch_records;
    enum compress_codec codec;
    int16_t acks; /* 1 or -1 */
    int32_t fetch_bytes;
    double rate;          /* requests a second of all connections; 0: closed */
    int64_t warm_up_ms;   /* before anything counts */
    int64_t duration_ms;  /* that counts */
    int64_t requests_max; /* ends earlier; 0: no bound */
    /* When counting begins and when it ends. */
    void (*on_begin)(void *ctx);
    void (*on_end)(void *ctx);
    void *ctx;
};

struct bench_result {
    int64_t requests; /* answered while it counted */
    int64_t records;
    int64_t bytes;     /* of record batches */
    int64_t errors;    /* answers with an error code, not counted above */
    int16_t last_code; /* of these */
    int64_t elapsed_ns;
    struct bench_histogram latency;
};

/* Connects, warms up, measures, waits for what is on its way, disconnects. Errors with their text
 * in client_error_text or *what. The result is large: not for the stack. */
MUST_USE enum err bench_load_run(
    const struct bench_opts *opts, struct bench_result *result, const char **what);

#endif
