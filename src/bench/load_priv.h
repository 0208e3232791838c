/* bench/load_priv.h - the load's parts, for load.c and worker.c. */
#ifndef BENCH_LOAD_PRIV_H
#define BENCH_LOAD_PRIV_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/list.h"
#include "bench/frames.h"
#include "bench/load.h"
#include "client/conn.h"

struct bench_part {
    int32_t index;
    int32_t leader;
    int64_t offset; /* fetch: next */
    int64_t start;  /* fetch: where to begin again */
    struct buf frame;
    size_t batch_at;
};

struct bench_worker;

struct bench_request {
    struct client_pending pending;
    struct bench_worker *worker;
    struct list link; /* the worker's free ones */
    struct bench_part *part;
    int64_t due_ns;
};

/* One connection, its requests, and the partitions it goes round. */
struct bench_worker {
    struct bench_load *load;
    struct client_conn *conn;
    bool fetches;
    bool ready;
    struct bench_request *requests;
    struct list free;
    int free_count;
    struct bench_part **parts;
    int part_count, part_next;
    int16_t version;
    int32_t correlation_next;
    int empty_answers; /* in a row */
    struct buf frame;  /* fetch: the request, built anew each time */
    struct arena arena;
};

struct bench_load {
    struct bench_opts opts;
    struct bench_result *result;
    const char **what;
    struct loop_timer tick;
    struct loop_timer phase;
    struct bench_part *parts;
    int part_count;
    struct buf batch;
    struct bench_worker *workers;
    int worker_count;
    int worker_next; /* open schedule: who sends next */
    int ready_count;
    int64_t open_start_ns, open_issued;
    int64_t begun_ns;
    int64_t in_flight;
    bool running, measuring;
    bool fetched; /* a record, ever */
    bool flag;    /* what the loop is run for */
    enum err err;
};

#define BENCH_NO_RECORDS "the topic has no records to fetch"

/* worker.c */
MUST_USE enum err bench_worker_open(struct bench_worker *worker, int32_t node_id);
void bench_worker_close(struct bench_worker *worker);
/* Sends as many requests as it may now (closed), due now. */
void bench_worker_fill(struct bench_worker *worker);
/* One request, due then; false when all of its requests are on their way. */
bool bench_worker_send(struct bench_worker *worker, int64_t due_ns);

/* load.c: an answer came (or the load's end): there may be something to send, or nothing left
 * to wait for. */
void bench_load_progress(struct bench_load *load, struct bench_worker *worker);
void bench_load_fail(struct bench_load *load, enum err err, const char *what);

#endif
