/* broker/api_fetch_cold.c - what a Fetch must look at and is not in memory.
 *
 * What: indexes and headers say what to answer with; where they are not in memory they are read on
 * the pool of slow reads, with the records behind them, and then looked at again: a reader of old
 * data waits for the disk, the reactor and its other connections do not. Records are looked after
 * by who sends them (net); few are copied at once. Threads: fetch_* on the reactor; warm_job_run on
 * the pool. Errors: none here; a file that cannot be read fails when it is looked at. */
#include "base/alloc.h"
#include "base/assert.h"
#include "base/limits.h"
#include "broker/api_fetch_priv.h"
#include "broker/broker.h"

enum {
    WARM_CHUNK = 256 << 10,
    WARM_BYTES = 1 << 20, /* of one partition, as it asks for at once */
    WARM_AHEAD = 2 << 20, /* behind that: what a reader asks for next; not beside a producer */
    WARM_SAME_MAX = 2,
    WARM_COUNT_MAX = 8, /* an index, the headers, and room for pages that leave again */
};

/* ---- reading in ---- */

/* A run of a file; the job holds the reference. */
struct warm_run {
    struct env_file *file;
    int64_t position, end;
};

/* Apart from the request, which may be dropped before the job has run: then the files are let go
 * here all the same. */
struct warm_job {
    struct pool_work work;
    struct broker_req *req;
    int32_t count;
    struct warm_run runs[];
};

/* Beside a producer (pool_press) in small pieces: the flushes of others find a short queue in front
 * of the disk. */
static void
read_in(struct warm_run *run, uint8_t *scratch, bool alone)
{
    size_t n = 1;
    if (alone)
        env_will_need(run->file, run->position, run->end - run->position + WARM_AHEAD);
    for (; run->position < run->end && n > 0; run->position += (int64_t)n)
        if (env_read_at(run->file, run->position, scratch, WARM_CHUNK, &n) != ERR_OK)
            break;
}

static void
warm_job_run(struct pool_work *work)
{
    struct warm_job *job = CONTAINER_OF(work, struct warm_job, work);
    struct broker_req *req = job->req;
    struct broker *broker = req->broker;
    bool alone = !pool_is_pressed(broker_read_pool(broker), env_now_ms(broker_env(broker)));
    uint8_t *scratch = mem_alloc(WARM_CHUNK);
    for (int32_t i = 0; i < job->count; i++) {
        if (scratch != NULL)
            read_in(&job->runs[i], scratch, alone);
        env_file_close(&job->runs[i].file);
    }
    mem_free(scratch);
    mem_free(job);
    broker_req_resume(req, fetch_turn);
}

static bool
is_same(const struct fetch_part *part)
{
    return part->slice.file == part->warmed_file && part->slice.position == part->warmed_position;
}

/* The job takes the reference of a cold slice. */
static void
add_run(struct warm_job *job, struct fetch_part *part, size_t max_bytes)
{
    struct log_slice *slice = &part->slice;
    size_t len = max_bytes < WARM_BYTES ? max_bytes : WARM_BYTES;
    if (len < slice->len)
        len = slice->len;
    job->runs[job->count++] =
        (struct warm_run){slice->file, slice->position, slice->position + (int64_t)len};
    part->warmed_count = is_same(part) ? part->warmed_count + 1 : 1;
    part->warmed_file = slice->file;
    part->warmed_position = slice->position;
    slice->file = NULL;
}

/* What was read in again and again and is cold still: the file system cannot tell, or memory is so
 * short that the page left again. One page of it is waited for, or the reader would never get on.
 */
static bool
find_untold(struct fetch *f)
{
    bool found = false;
    for (int32_t i = 0; i < f->context.item_count; i++) {
        struct fetch_part *part = &f->parts[i];
        bool same = is_same(part) && part->warmed_count == WARM_SAME_MAX;
        if (part->cold && (same || f->warm_count == WARM_COUNT_MAX))
            found = part->waits = true;
    }
    return found;
}

bool
fetch_warm(struct fetch *f)
{
    struct warm_job *job = NULL;
    bool untold = find_untold(f), pooled = broker_read_pool(f->req->broker) != NULL;
    if (!untold && pooled)
        job = mem_calloc(1, sizeof *job + (size_t)f->cold_count * sizeof job->runs[0]);
    for (int32_t i = 0; i < f->context.item_count; i++) {
        struct fetch_part *part = &f->parts[i];
        if (part->cold && job != NULL)
            add_run(job, part, (size_t)f->context.items[i].max_bytes);
        else if (part->cold && !untold)
            part->waits = true; /* without memory for the job the reactor waits for the disk */
        fetch_part_close(part);
    }
    if (job == NULL)
        return false;
    f->warm_count++;
    f->answer_now = true;
    f->then = fetch_run;
    job->req = f->req;
    job->work = (struct pool_work){.run = warm_job_run, .gives_way = true};
    pool_submit(broker_read_pool(f->req->broker), &job->work);
    return true;
}

/* ---- few records ---- */

/* Takes the bytes of a small slice, if they are in memory. */
static bool
copy_small(struct fetch *f, struct fetch_part *part)
{
    size_t n = 0, len = part->slice.len;
    uint8_t *bytes = arena_alloc(f->req->arena, len);
    if (bytes == NULL ||
        env_read_at_cached(part->slice.file, part->slice.position, bytes, len, &n) != ERR_OK ||
        n != len)
        return false;
    part->copied = bytes;
    part->copied_len = len;
    env_file_close(&part->slice.file);
    return true;
}

void
fetch_send(struct fetch *f)
{
    for (; f->copy_at < f->context.item_count; f->copy_at++) {
        struct fetch_part *part = &f->parts[f->copy_at];
        size_t len = part->slice.len;
        if (part->slice.file == NULL)
            continue;
        if (len > FETCH_COPY_BYTES || f->copied + len > FETCH_COPY_BYTES_ALL)
            continue;
        if (fetch_rests(f, LIMIT_FETCH_COPY, fetch_send))
            return;
        ASSERT(len > 0);
        if (copy_small(f, part))
            f->copied += len;
    }
    fetch_reply(f);
}
