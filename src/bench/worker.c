/* bench/worker.c - one connection of the load: sends prebuilt requests, counts answers. */
#include "base/alloc.h"
#include "base/assert.h"
#include "bench/load_priv.h"
#include "proto/fetch_request.h"
#include "proto/fetch_response.h"
#include "proto/produce_request.h"
#include "proto/produce_response.h"
#include "wire/batch.h"

enum {
    ANSWER_ARENA = 1 << 20,
    FETCH_FRAME_MAX = 1 << 20,
    TIMEOUT_MS = 60000,
    WAIT_MS = 500,  /* of a fetch that has nothing better to do */
    EMPTY_MAX = 10, /* rounds without a record: somebody may be about to write the first */
};

/* ---- counting ---- */

static void
count_answer(
    struct bench_load *load, const struct bench_request *request, int64_t records, int64_t bytes)
{
    if (!load->measuring)
        return;
    load->result->requests++;
    load->result->records += records;
    load->result->bytes += bytes;
    if (load->opts.kind != BENCH_END_TO_END)
        bench_histogram_add(
            &load->result->latency, env_now_ns(client_env(load->opts.client)) - request->due_ns);
}

static void
count_error(struct bench_load *load, int16_t code)
{
    load->result->errors++;
    load->result->last_code = code;
}

/* ---- produce ---- */

static enum err
take_produce(struct bench_worker *worker, struct bench_request *request, struct reader *r)
{
    struct proto_produce_response response;
    enum err err =
        proto_decode(&proto_produce_response_schema, worker->version, r, &worker->arena, &response);
    if (err != ERR_OK)
        return err;
    if (response.responses.count != 1 || response.responses.items[0].partition_responses.count != 1)
        return ERR_CORRUPT;
    int16_t code = response.responses.items[0].partition_responses.items[0].error_code;
    if (code != 0)
        count_error(worker->load, code);
    else
        count_answer(worker->load, request, worker->load->opts.batch_records,
            (int64_t)worker->load->batch.len);
    return ERR_OK;
}

static enum err
build_produce(struct bench_worker *worker, struct bench_request *request, struct bytes *out)
{
    struct bench_load *load = worker->load;
    struct bench_part *part = worker->parts[worker->part_next];
    worker->part_next = (worker->part_next + 1) % worker->part_count;
    request->part = part;
    if (load->opts.kind == BENCH_END_TO_END)
        bench_stamp(part->frame.data + part->batch_at, load->batch.len, load->opts.record_bytes,
            request->due_ns);
    *out = buf_bytes(&part->frame);
    store_be32(part->frame.data + BENCH_CORRELATION_AT, (uint32_t)worker->correlation_next++);
    return ERR_OK;
}

/* ---- fetch ---- */

/* Moves the position behind whole batches; end to end, tells how old each one is. */
static void
take_batches(struct bench_load *load, struct bench_part *part, struct bytes data, int64_t *records)
{
    size_t stamp_at = bench_stamp_at(load->opts.record_bytes);
    int64_t now_ns = env_now_ns(client_env(load->opts.client));
    struct batch_view batch;
    while (batch_parse(data, &batch) == ERR_OK) {
        bool fresh = batch.base_offset >= part->offset;
        part->offset = batch.base_offset + batch.last_offset_delta + 1;
        *records += batch.record_count;
        if (load->opts.kind == BENCH_END_TO_END && load->measuring && fresh &&
            batch.size_bytes >= stamp_at + BENCH_STAMP_BYTES) {
            int64_t stamp = (int64_t)load_be64(batch.whole.data + stamp_at);
            if (stamp >= load->begun_ns)
                bench_histogram_add(&load->result->latency, now_ns - stamp);
        }
        data.data += batch.size_bytes;
        data.len -= batch.size_bytes;
    }
}

static struct bench_part *
find_part(struct bench_worker *worker, int32_t index)
{
    for (int i = 0; i < worker->part_count; i++)
        if (worker->parts[i]->index == index)
            return worker->parts[i];
    return NULL;
}

static enum err
take_fetch(struct bench_worker *worker, struct bench_request *request, struct reader *r)
{
    struct bench_load *load = worker->load;
    struct proto_fetch_response response;
    int64_t records = 0, bytes = 0;
    enum err err =
        proto_decode(&proto_fetch_response_schema, worker->version, r, &worker->arena, &response);
    if (err != ERR_OK)
        return err;
    if (response.error_code != 0) {
        count_error(load, response.error_code);
        return ERR_OK;
    }
    for (int32_t t = 0; t < response.responses.count; t++)
        for (int32_t p = 0; p < response.responses.items[t].partitions.count; p++) {
            const struct proto_fetch_response_partition_data *answer =
                &response.responses.items[t].partitions.items[p];
            struct bench_part *part = find_part(worker, answer->partition_index);
            if (part == NULL)
                return ERR_CORRUPT;
            if (answer->error_code != 0) {
                count_error(load, answer->error_code);
                continue;
            }
            bytes += (int64_t)answer->records.bytes.len;
            take_batches(load, part, answer->records.bytes, &records);
        }
    if (load->opts.kind == BENCH_END_TO_END)
        return ERR_OK;
    worker->empty_answers = bytes > 0 ? 0 : worker->empty_answers + 1;
    if (bytes > 0) {
        load->fetched = true;
        count_answer(load, request, records, bytes);
    } else
        request->part->offset = request->part->start; /* the end: once more */
    if (worker->empty_answers == EMPTY_MAX * worker->part_count)
        bench_load_fail(load, ERR_NOTFOUND, BENCH_NO_RECORDS);
    return ERR_OK;
}

/* A round that brought nothing is not asked again at once. */
static int32_t
empty_wait_ms(const struct bench_worker *worker)
{
    return worker->empty_answers < worker->part_count ? 0 : WAIT_MS / worker->part_count;
}

static enum err
build_fetch(struct bench_worker *worker, struct bench_request *request, struct bytes *out)
{
    struct bench_load *load = worker->load;
    bool all = load->opts.kind == BENCH_END_TO_END;
    struct bench_fetch_position one, *positions = &one;
    struct bench_fetch_opts opts = {.version = worker->version,
        .topic = load->opts.topic,
        .position_count = all ? worker->part_count : 1,
        .max_wait_ms = all ? WAIT_MS : empty_wait_ms(worker),
        .max_bytes = load->opts.fetch_bytes,
        .partition_max_bytes = load->opts.fetch_bytes};
    if (all) {
        positions = arena_alloc(&worker->arena, (size_t)worker->part_count * sizeof positions[0]);
        if (positions == NULL)
            return ERR_NOMEM;
    }
    for (int i = 0; i < opts.position_count; i++) {
        struct bench_part *part = worker->parts[all ? i : worker->part_next];
        positions[i] = (struct bench_fetch_position){part->index, part->offset};
        request->part = part;
    }
    worker->part_next = (worker->part_next + 1) % worker->part_count;
    opts.positions = positions;
    buf_clear(&worker->frame);
    enum err err = bench_build_fetch(&opts, &worker->frame);
    if (err != ERR_OK)
        return err;
    store_be32(worker->frame.data + BENCH_CORRELATION_AT, (uint32_t)worker->correlation_next++);
    *out = buf_bytes(&worker->frame);
    return ERR_OK;
}

/* ---- sending ---- */

static void
on_answer(struct client_pending *pending, enum err err, struct bytes body)
{
    struct bench_request *request = CONTAINER_OF(pending, struct bench_request, pending);
    struct bench_worker *worker = request->worker;
    struct bench_load *load = worker->load;
    list_push(&worker->free, &request->link);
    worker->free_count++;
    load->in_flight--;
    if (err == ERR_OK) {
        struct reader r;
        reader_init(&r, body);
        arena_reset(&worker->arena);
        err = worker->fetches ? take_fetch(worker, request, &r) : take_produce(worker, request, &r);
    }
    if (err != ERR_OK && err != ERR_CANCELED)
        bench_load_fail(load, err, err_text(err));
    bench_load_progress(load, worker);
}

bool
bench_worker_send(struct bench_worker *worker, int64_t due_ns)
{
    struct bytes frame;
    if (list_empty(&worker->free))
        return false;
    struct bench_request *request = LIST_ENTRY(worker->free.next, struct bench_request, link);
    request->due_ns = due_ns;
    request->pending.done = on_answer;
    enum err err = worker->fetches ? build_fetch(worker, request, &frame)
                                   : build_produce(worker, request, &frame);
    if (err == ERR_OK)
        err = client_conn_send_raw(worker->conn, frame, TIMEOUT_MS, &request->pending);
    if (err != ERR_OK) {
        bench_load_fail(worker->load, err, err_text(err));
        return false;
    }
    list_remove(&request->link);
    worker->free_count--;
    worker->load->in_flight++;
    return true;
}

void
bench_worker_fill(struct bench_worker *worker)
{
    while (worker->load->running &&
           bench_worker_send(worker, env_now_ns(client_env(worker->load->opts.client)))) {
    }
}

/* ---- life ---- */

static void
on_state(void *ctx, struct client_conn *conn, enum err err)
{
    struct bench_worker *worker = ctx;
    struct bench_load *load = worker->load;
    ASSERT(worker->conn == conn || worker->conn == NULL);
    if (err != ERR_OK) {
        bench_load_fail(load, err, err_text(err));
        return;
    }
    worker->version =
        worker->fetches
            ? client_conn_version(conn, PROTO_FETCH_REQUEST_KEY, BENCH_FETCH_VERSION)
            : client_conn_version(conn, PROTO_PRODUCE_REQUEST_KEY, BENCH_PRODUCE_VERSION);
    if (worker->version < 0 || (!worker->fetches && worker->version != BENCH_PRODUCE_VERSION)) {
        bench_load_fail(load, ERR_UNSUPPORTED, "the broker does not serve the bench's versions");
        return;
    }
    worker->ready = true;
    if (++load->ready_count == load->worker_count) {
        load->flag = true;
        client_wake(load->opts.client);
    }
}

enum err
bench_worker_open(struct bench_worker *worker, int32_t node_id)
{
    struct bench_load *load = worker->load;
    int count = worker->fetches ? 1 : load->opts.in_flight;
    struct client_conn_opts opts = {.loop = client_loop(load->opts.client),
        .client_id = STR("moldau-bench"),
        .connect_timeout_ms = 10000,
        .on_state = on_state,
        .ctx = worker};
    ASSERT(worker->part_count > 0);
    list_init(&worker->free);
    buf_init(&worker->frame, FETCH_FRAME_MAX);
    arena_init(&worker->arena, ANSWER_ARENA);
    worker->requests = mem_calloc((size_t)count, sizeof *worker->requests);
    if (worker->requests == NULL)
        return ERR_NOMEM;
    for (int i = 0; i < count; i++) {
        worker->requests[i].worker = worker;
        list_push(&worker->free, &worker->requests[i].link);
    }
    worker->free_count = count;
    enum err err = client_broker_address(load->opts.client, node_id, &opts.addr);
    return err != ERR_OK ? err : client_conn_open(&opts, &worker->conn);
}

void
bench_worker_close(struct bench_worker *worker)
{
    client_conn_free(&worker->conn);
    mem_free(worker->requests);
    mem_free(worker->parts);
    buf_fini(&worker->frame);
    arena_fini(&worker->arena);
}
