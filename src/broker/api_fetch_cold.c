/* broker/api_fetch_cold.c - what a Fetch found is in memory before it is sent.
 *
 * What: few bytes are copied at once, and of more some pages are tested for being in memory.
 * What is not there is read on the pool of slow reads, and then sent: a reader of old data waits
 * for the disk, the reactor and its other connections do not. Threads: fetch_send on the reactor;
 * warm_job_run on the pool. Errors: none here; a file that cannot be read fails when it is sent. */
#include "base/alloc.h"
#include "base/assert.h"
#include "broker/api_fetch_priv.h"
#include "broker/broker.h"

enum {
    PROBE_EVERY = 128 << 10,
    WARM_CHUNK = 256 << 10,
    WARM_AHEAD = 1 << 20, /* behind the slice: what a reader asks for next */
};

/* A byte here and there: pages come and go in runs of about what the kernel reads ahead. */
static bool
is_in_memory(const struct log_slice *slice)
{
    int64_t end = slice->position + (int64_t)slice->len, last = end - 1;
    uint8_t byte;
    size_t n = 0;
    for (int64_t at = slice->position; at < end; at += PROBE_EVERY)
        if (env_read_at_cached(slice->file, at, &byte, 1, &n) != ERR_OK || n != 1)
            return false;
    return env_read_at_cached(slice->file, last, &byte, 1, &n) == ERR_OK && n == 1;
}

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

/* Takes small slices out; how many of the others are not in memory. */
static int32_t
find_cold(struct fetch *f)
{
    size_t copied = 0;
    int32_t count = 0;
    for (int32_t i = 0; i < f->context.item_count; i++) {
        struct fetch_part *part = &f->parts[i];
        size_t len = part->slice.len;
        part->copied = NULL;
        part->cold = false;
        if (part->slice.file == NULL)
            continue;
        ASSERT(len > 0);
        if (len <= FETCH_COPY_BYTES && copied + len <= FETCH_COPY_BYTES_ALL &&
            copy_small(f, part)) {
            copied += len;
            continue;
        }
        part->cold = !f->warmed && !is_in_memory(&part->slice);
        count += part->cold;
    }
    return count;
}

/* A run of a file to be read in; the job holds the reference. */
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

static void
read_in(struct warm_run *run, uint8_t *scratch)
{
    size_t n = 1;
    for (; run->position < run->end && n > 0; run->position += (int64_t)n)
        if (env_read_at(run->file, run->position, scratch, WARM_CHUNK, &n) != ERR_OK)
            break;
}

static void
warm_done(struct broker_req *req)
{
    fetch_run(CONTAINER_OF((struct broker_park *)req->state, struct fetch, park));
}

static void
warm_job_run(struct pool_work *work)
{
    struct warm_job *job = CONTAINER_OF(work, struct warm_job, work);
    struct broker_req *req = job->req;
    uint8_t *scratch = mem_alloc(WARM_CHUNK);
    for (int32_t i = 0; i < job->count; i++) {
        if (scratch != NULL)
            read_in(&job->runs[i], scratch);
        env_file_close(&job->runs[i].file);
    }
    mem_free(scratch);
    mem_free(job);
    broker_req_resume(req, warm_done);
}

/* Parks the request until the cold slices were read in; it is then read once more, and sent. */
static void
warm(struct fetch *f, struct warm_job *job)
{
    for (int32_t i = 0; i < f->context.item_count; i++) {
        struct fetch_part *part = &f->parts[i];
        struct log_slice *slice = &part->slice;
        if (slice->file == NULL)
            continue;
        if (!part->cold) {
            env_file_close(&slice->file);
            continue;
        }
        job->runs[job->count++] = (struct warm_run){.file = slice->file,
            .position = slice->position,
            .end = slice->position + (int64_t)slice->len + WARM_AHEAD};
        slice->file = NULL; /* the reference moved */
    }
    f->warmed = true;
    f->deadline_ms = 0;
    f->req->state = &f->park;
    job->req = f->req;
    job->work.run = warm_job_run;
    pool_submit(broker_read_pool(f->req->broker), &job->work);
}

void
fetch_send(struct fetch *f)
{
    int32_t cold = find_cold(f);
    struct warm_job *job = NULL;
    if (cold > 0 && broker_read_pool(f->req->broker) != NULL)
        job = mem_calloc(1, sizeof *job + (size_t)cold * sizeof job->runs[0]);
    if (job == NULL)
        fetch_reply(f); /* without memory for the job the reactor waits for the disk */
    else
        warm(f, job);
}
