/* bench/load.c - the load's phases: metadata, connections, warm-up, measurement, end.
 *
 * Invariants: I1 what counts is only what was answered between on_begin and on_end. I2 in the open
 * schedule request number i is due at its own time whatever happened before it. */
#include "bench/load.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "bench/load_priv.h"
#include "client/consumer.h"
#include "client/lookup.h"

enum { READY_TIMEOUT_MS = 20000, DRAIN_TIMEOUT_MS = 10000 };
enum { BATCH_BYTES_MAX = 100 << 20, FRAME_BYTES_MAX = 101 << 20 };
#define NS_PER_S 1e9

static int64_t
now_ns(const struct bench_load *load)
{
    return env_now_ns(client_env(load->opts.client));
}

static void
raise_flag(struct bench_load *load)
{
    load->flag = true;
    client_wake(load->opts.client);
}

void
bench_load_fail(struct bench_load *load, enum err err, const char *what)
{
    if (load->err == ERR_OK) {
        load->err = err;
        *load->what = what;
    }
    load->running = false;
    raise_flag(load);
}

/* ---- the open schedule ---- */

/* Sends everything that is due and for which some connection has room. */
static void
send_due(struct bench_load *load)
{
    int64_t due_count =
        (int64_t)((double)(now_ns(load) - load->open_start_ns) * load->opts.rate / NS_PER_S) + 1;
    int tried = 0;
    while (load->running && load->open_issued < due_count && tried < load->worker_count) {
        struct bench_worker *worker = &load->workers[load->worker_next];
        int64_t due_ns =
            load->open_start_ns + (int64_t)((double)load->open_issued * NS_PER_S / load->opts.rate);
        load->worker_next = (load->worker_next + 1) % load->worker_count;
        if (!worker->fetches || load->opts.kind == BENCH_FETCH) {
            if (bench_worker_send(worker, due_ns)) {
                load->open_issued++;
                tried = 0;
                continue;
            }
        }
        tried++;
    }
}

/* At every turn of the loop, which so never sleeps: timers are too coarse for what is due every few
 * microseconds. */
static void
on_tick(struct loop_timer *timer)
{
    struct bench_load *load = CONTAINER_OF(timer, struct bench_load, tick);
    if (!load->running)
        return;
    send_due(load);
    enum err err = loop_timer_start(&load->tick, 0);
    if (err != ERR_OK)
        bench_load_fail(load, err, err_text(err));
}

/* ---- phases ---- */

static void
begin_measuring(struct bench_load *load)
{
    load->measuring = true;
    load->begun_ns = now_ns(load);
    load->opts.on_begin(load->opts.ctx);
}

static void
end_measuring(struct bench_load *load)
{
    if (!load->measuring)
        return;
    load->measuring = false;
    load->running = false;
    load->result->elapsed_ns = now_ns(load) - load->begun_ns;
    load->opts.on_end(load->opts.ctx);
    raise_flag(load);
}

static void
on_phase(struct loop_timer *timer)
{
    struct bench_load *load = CONTAINER_OF(timer, struct bench_load, phase);
    if (load->measuring) {
        end_measuring(load);
        return;
    }
    begin_measuring(load);
    enum err err = loop_timer_start(&load->phase, load->opts.duration_ms);
    if (err != ERR_OK)
        bench_load_fail(load, err, err_text(err));
}

void
bench_load_progress(struct bench_load *load, struct bench_worker *worker)
{
    int64_t max = load->opts.requests_max;
    if (load->measuring && max > 0 && load->result->requests >= max)
        end_measuring(load);
    if (!load->running) {
        if (load->in_flight == 0)
            raise_flag(load);
        return;
    }
    bool open = load->opts.rate > 0;
    if (!open || (worker->fetches && load->opts.kind == BENCH_END_TO_END))
        bench_worker_fill(worker);
    else
        send_due(load);
}

static enum err
run_phases(struct bench_load *load)
{
    struct client *client = load->opts.client;
    if (load->ready_count < load->worker_count && load->err == ERR_OK &&
        !client_run_until(client, &load->flag, READY_TIMEOUT_MS))
        return ERR_TIMEOUT;
    if (load->err != ERR_OK)
        return load->err;
    load->flag = false;
    load->running = true;
    enum err err = loop_timer_start(&load->phase, load->opts.warm_up_ms);
    if (err != ERR_OK)
        return err;
    load->open_start_ns = now_ns(load);
    for (int i = 0; i < load->worker_count; i++)
        if (load->opts.rate <= 0 ||
            (load->workers[i].fetches && load->opts.kind == BENCH_END_TO_END))
            bench_worker_fill(&load->workers[i]);
    if (load->opts.rate > 0)
        on_tick(&load->tick);
    while (load->running)
        (void)client_run_until(client, &load->flag, load->opts.duration_ms);
    for (load->flag = load->in_flight == 0; !load->flag && load->err == ERR_OK;)
        if (!client_run_until(client, &load->flag, DRAIN_TIMEOUT_MS))
            return ERR_TIMEOUT;
    if (load->opts.kind == BENCH_FETCH && !load->fetched)
        bench_load_fail(load, ERR_NOTFOUND, BENCH_NO_RECORDS);
    return load->err;
}

/* ---- setting up ---- */

static int
by_leader(const void *a, const void *b)
{
    const struct bench_part *x = a, *y = b;
    if (x->leader != y->leader)
        return x->leader < y->leader ? -1 : 1;
    return x->index < y->index ? -1 : x->index > y->index;
}

static enum err
load_parts(struct bench_load *load)
{
    struct client *client = load->opts.client;
    enum err err = client_refresh_wait(client, &load->opts.topic, 1, false);
    if (err != ERR_OK)
        return err;
    const struct client_topic *topic = client_topic_find(client, load->opts.topic);
    if (topic == NULL || topic->error_code != 0 || topic->partition_count == 0) {
        *load->what = "no such topic: create it first ('moldau topic create')";
        return ERR_NOTFOUND;
    }
    load->parts = mem_calloc((size_t)topic->partition_count, sizeof *load->parts);
    if (load->parts == NULL)
        return ERR_NOMEM;
    load->part_count = topic->partition_count;
    for (int i = 0; i < load->part_count; i++) {
        load->parts[i].index = i;
        load->parts[i].leader = topic->partitions[i].leader;
        buf_init(&load->parts[i].frame, FRAME_BYTES_MAX);
        if (load->parts[i].leader < 0) {
            *load->what = "a partition has no leader";
            return ERR_NOTFOUND;
        }
    }
    qsort(load->parts, (size_t)load->part_count, sizeof *load->parts, by_leader);
    return ERR_OK;
}

static enum err
load_frames(struct bench_load *load)
{
    struct bench_batch_opts batch = {.record_bytes = load->opts.record_bytes,
        .records = load->opts.batch_records,
        .codec = load->opts.codec,
        .timestamp_ms = env_wall_ms(client_env(load->opts.client))};
    enum err err = bench_build_batch(&batch, &load->batch);
    for (int i = 0; err == ERR_OK && i < load->part_count; i++) {
        struct bench_produce_opts produce = {.version = BENCH_PRODUCE_VERSION,
            .acks = load->opts.acks,
            .topic = load->opts.topic,
            .partition = load->parts[i].index,
            .batch = buf_bytes(&load->batch)};
        err = bench_build_produce(&produce, &load->parts[i].frame, &load->parts[i].batch_at);
    }
    return err;
}

/* Where every partition begins (for fetching) or ends. Nothing is sent before this was answered:
 * the leaders of a topic made just now may take a moment. */
static enum err
look_up_offsets(struct bench_load *load)
{
    struct client_lookup_target *targets = mem_calloc((size_t)load->part_count, sizeof *targets);
    if (targets == NULL)
        return ERR_NOMEM;
    for (int i = 0; i < load->part_count; i++)
        targets[i] = (struct client_lookup_target){.topic = load->opts.topic,
            .partition = load->parts[i].index,
            .timestamp =
                load->opts.kind == BENCH_FETCH ? CLIENT_OFFSET_EARLIEST : CLIENT_OFFSET_LATEST};
    struct client_lookup_opts opts = {
        .client = load->opts.client, .targets = targets, .count = load->part_count};
    enum err err = client_lookup_wait(&opts);
    for (int i = 0; err == ERR_OK && i < load->part_count; i++)
        load->parts[i].offset = load->parts[i].start = targets[i].offset;
    mem_free(targets);
    return err;
}

/* Connection i of n gets the i-th share of the partitions, or shares one with others. */
static enum err
share_parts(struct bench_load *load, struct bench_worker *worker, int i, int n)
{
    int from = i % load->part_count, to = from + 1;
    if (n < load->part_count) {
        from = (int)((int64_t)load->part_count * i / n);
        to = (int)((int64_t)load->part_count * (i + 1) / n);
    }
    worker->parts = mem_calloc((size_t)(to - from), sizeof *worker->parts);
    if (worker->parts == NULL)
        return ERR_NOMEM;
    for (int p = from; p < to; p++) {
        if (load->parts[p].leader != load->parts[from].leader) {
            *load->what = "more brokers lead partitions than there are connections: give more";
            return ERR_INVALID;
        }
        worker->parts[worker->part_count++] = &load->parts[p];
    }
    return ERR_OK;
}

static enum err
open_workers(struct bench_load *load)
{
    int readers = load->opts.kind == BENCH_END_TO_END ? 1 : 0;
    load->worker_count = load->opts.connections + readers;
    load->workers = mem_calloc((size_t)load->worker_count, sizeof *load->workers);
    if (load->workers == NULL)
        return ERR_NOMEM;
    for (int i = 0; i < load->worker_count; i++) {
        struct bench_worker *worker = &load->workers[i];
        bool reader = i >= load->opts.connections;
        worker->load = load;
        worker->fetches = reader || load->opts.kind == BENCH_FETCH;
        enum err err = reader ? share_parts(load, worker, 0, 1)
                              : share_parts(load, worker, i, load->opts.connections);
        if (err == ERR_OK)
            err = bench_worker_open(worker, worker->parts[0]->leader);
        if (err != ERR_OK)
            return err;
    }
    return ERR_OK;
}

static void
load_fini(struct bench_load *load)
{
    loop_timer_stop(&load->tick);
    loop_timer_stop(&load->phase);
    load->running = false;
    for (int i = 0; load->workers != NULL && i < load->worker_count; i++)
        if (load->workers[i].load != NULL)
            bench_worker_close(&load->workers[i]);
    for (int i = 0; i < load->part_count; i++)
        buf_fini(&load->parts[i].frame);
    mem_free(load->workers);
    mem_free(load->parts);
    buf_fini(&load->batch);
}

enum err
bench_load_run(const struct bench_opts *opts, struct bench_result *result, const char **what)
{
    struct bench_load load = {.opts = *opts, .result = result, .what = what};
    ASSERT(opts->connections > 0 && opts->in_flight > 0);
    *result = (struct bench_result){0};
    *what = "";
    buf_init(&load.batch, BATCH_BYTES_MAX);
    loop_timer_init(&load.tick, client_loop(opts->client), on_tick);
    loop_timer_init(&load.phase, client_loop(opts->client), on_phase);
    enum err err = load_parts(&load);
    if (err == ERR_OK && opts->kind != BENCH_FETCH)
        err = load_frames(&load);
    if (err == ERR_OK)
        err = look_up_offsets(&load);
    if (err == ERR_OK)
        err = open_workers(&load);
    if (err == ERR_OK)
        err = run_phases(&load);
    load_fini(&load);
    return err;
}
