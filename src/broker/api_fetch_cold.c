/* broker/api_fetch_cold.c - what a Fetch found is in memory before it is sent.
 *
 * What: few bytes are copied at once, and of more some pages are tested for being in memory.
 * What is not there is read on the pool of slow reads, and then sent: a reader of old data waits
 * for the disk, the reactor and its other connections do not. Threads: fetch_send on the reactor;
 * warm_run on the pool, while the request is parked and nobody else looks at its parts. Errors:
 * none here; a file that cannot be read fails when it is sent. */
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

/* Whether anything must be read in first. */
static bool
find_cold(struct fetch *f)
{
    size_t copied = 0;
    bool cold = false;
    for (int32_t i = 0; i < f->context.item_count; i++) {
        struct fetch_part *part = &f->parts[i];
        size_t len = part->slice.len;
        if (part->slice.file == NULL)
            continue;
        ASSERT(len > 0 && part->copied == NULL);
        if (len <= FETCH_COPY_BYTES && copied + len <= FETCH_COPY_BYTES_ALL &&
            copy_small(f, part)) {
            copied += len;
            continue;
        }
        part->cold = !is_in_memory(&part->slice);
        cold = cold || part->cold;
    }
    return cold;
}

static void
warm_done(struct broker_req *req)
{
    fetch_reply(CONTAINER_OF((struct broker_park *)req->state, struct fetch, park));
}

static void
warm_run(struct pool_work *work)
{
    struct fetch *f = CONTAINER_OF(work, struct fetch, warm);
    uint8_t *scratch = mem_alloc(WARM_CHUNK);
    for (int32_t i = 0; scratch != NULL && i < f->context.item_count; i++) {
        const struct log_slice *slice = &f->parts[i].slice;
        int64_t at = slice->position, end = at + (int64_t)slice->len + WARM_AHEAD;
        size_t n = 1;
        if (slice->file == NULL || !f->parts[i].cold)
            continue;
        for (; at < end && n > 0; at += (int64_t)n)
            if (env_read_at(slice->file, at, scratch, WARM_CHUNK, &n) != ERR_OK)
                break;
    }
    mem_free(scratch);
    broker_req_resume(f->req, warm_done);
}

void
fetch_send(struct fetch *f)
{
    struct pool *pool = broker_read_pool(f->req->broker);
    if (!find_cold(f) || pool == NULL) {
        fetch_reply(f);
        return;
    }
    f->req->state = &f->park;
    f->warm = (struct pool_work){.run = warm_run};
    pool_submit(pool, &f->warm);
}
