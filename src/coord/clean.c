/* coord/clean.c - keeps the log of a shard from growing without bound.
 *
 * What: a shard knows its live state. When the log has become much longer than that state needs, a
 * new segment is begun at `start`, all of the live state is written behind it in small steps like
 * any other operation, and when that is committed and on the disk the log start moves up to
 * `start`. Whatever loads any suffix of the log that begins at or below the log start, and crashes
 * in between, finds the same state: nothing goes before its copy is safe.
 *
 * States: IDLE -> COPYING -> COPIED -> IDLE; a failure ends in IDLE, to be tried again.
 *
 * Invariants:
 *   C1  a key that was there at `start` and still is has a record at or above `start` when COPIED,
 *       or stands in the log at or above `hold`
 *   C2  one step waits for the one before to be committed, so that what others write is never
 *       behind more than one step
 *   C3  tombstones need no copy: what they delete lies below `start` as they do
 *
 * A key with a pending transactional offset is not copied: its record must stay below the pending
 * one, which wins over all records before it. The same with a group in a rebalance, whose record is
 * of its last generation. The machine says for such keys how far down the log is still needed
 * (`hold`).
 *
 * Threads, errors: runtime.c's. */
#include "base/assert.h"
#include "coord/runtime_priv.h"

enum {
    STEP_BYTES_MAX = 256 << 10, /* copied under one hold of the lock */
    STEPS_MIN = 16,             /* of the least that a log grows by before it is cleaned */
    GROWTH_FACTOR = 4,          /* of the live state; the log is at most five times as long */
    RETRY_MS = 10000,
    UNFLUSHED_MS = 100, /* to wait for the disk when nothing tells */
};

void
coord_clean_init(struct coord_clean *clean)
{
    *clean = (struct coord_clean){.due_ms = INT64_MAX, .wait = -1, .hold = INT64_MAX};
}

static bool
is_possible(const struct coord_shard *shard)
{
    return shard->opts.clean_growth_min > 0 && shard->opts.log->roll != NULL &&
           shard->opts.machine->copy_step != NULL;
}

/* Compared rarely: the live state is counted, not stored. */
static void
look(struct coord_shard *shard)
{
    struct coord_clean *clean = &shard->clean;
    int64_t growth = clean->log_bytes - clean->floor_bytes;

    if (clean->state != COORD_CLEAN_IDLE || clean->due_ms != INT64_MAX || !is_possible(shard) ||
        growth <= shard->opts.clean_growth_min)
        return;
    if (growth > GROWTH_FACTOR * (int64_t)shard->opts.machine->live_bytes(shard->machine))
        clean->due_ms = shard->now_ms;
}

void
coord_clean_loaded(struct coord_shard *shard, size_t len)
{
    shard->clean.log_bytes += (int64_t)len;
}

void
coord_clean_load_end(struct coord_shard *shard)
{
    if (!is_possible(shard))
        return;
    int64_t live = (int64_t)shard->opts.machine->live_bytes(shard->machine);
    shard->clean.floor_bytes = live < shard->clean.log_bytes ? live : shard->clean.log_bytes;
    look(shard);
}

void
coord_clean_appended(struct coord_shard *shard, size_t len, int64_t last_offset)
{
    struct coord_clean *clean = &shard->clean;
    clean->log_bytes += (int64_t)len;
    clean->copied_bytes += (int64_t)len;
    if (clean->unflushed) {
        clean->unflushed = false;
        clean->wait = last_offset;
        coord_clean_committed(shard);
    }
    look(shard);
}

void
coord_clean_committed(struct coord_shard *shard)
{
    struct coord_clean *clean = &shard->clean;
    if (clean->wait < 0 || clean->wait >= shard->committed)
        return;
    clean->end = clean->wait + 1;
    clean->wait = -1;
    clean->due_ms = shard->now_ms;
}

/* ---- steps ---- */

static void
give_up(struct coord_shard *shard)
{
    struct coord_clean *clean = &shard->clean;
    clean->state = COORD_CLEAN_IDLE;
    clean->wait = -1;
    clean->unflushed = false;
    clean->due_ms = shard->now_ms + RETRY_MS;
}

static size_t
step_bytes(const struct coord_shard *shard)
{
    size_t bytes = (size_t)shard->opts.clean_growth_min / STEPS_MIN + 1;
    if (bytes > shard->opts.batch_size_max)
        bytes = shard->opts.batch_size_max;
    return bytes < STEP_BYTES_MAX ? bytes : (size_t)STEP_BYTES_MAX;
}

static void
copy(struct coord_shard *shard)
{
    struct coord_clean *clean = &shard->clean;
    size_t bytes_max = step_bytes(shard);
    bool more = false;

    ASSERT(clean->state == COORD_CLEAN_COPYING);
    ASSERT(shard->last_written >= 0); /* or there was nothing to clean */
    if (shard->opts.machine->copy_step(shard->machine, bytes_max, &clean->hold, &more) != ERR_OK) {
        give_up(shard);
        return;
    }
    if (!more)
        clean->state = COORD_CLEAN_COPIED;
    if (coord_shard_needs_flush(shard)) {
        clean->unflushed = true; /* C2 */
    } else {
        clean->wait = shard->last_written;
        coord_clean_committed(shard);
    }
}

static void
begin(struct coord_shard *shard)
{
    struct coord_clean *clean = &shard->clean;
    /* The log may have grown no longer, relatively, since this was asked for. */
    if (clean->log_bytes - clean->floor_bytes <=
        GROWTH_FACTOR * (int64_t)shard->opts.machine->live_bytes(shard->machine))
        return;
    if (shard->opts.log->roll(shard->opts.log_ctx, shard, &clean->start) != PROTO_ERROR_NONE) {
        give_up(shard);
        return;
    }
    clean->state = COORD_CLEAN_COPYING;
    clean->copied_bytes = 0;
    clean->hold = shard->opts.machine->copy_begin(shard->machine, clean->start);
    copy(shard);
}

static void
trim(struct coord_shard *shard)
{
    struct coord_clean *clean = &shard->clean;
    int64_t offset = clean->hold < clean->start ? clean->hold : clean->start;

    ASSERT(clean->wait < 0 && clean->end <= shard->committed);
    ASSERT(offset <= clean->end);
    if (!shard->opts.log->trim(shard->opts.log_ctx, shard, offset, clean->end)) {
        clean->due_ms = shard->now_ms + UNFLUSHED_MS;
        return;
    }
    clean->state = COORD_CLEAN_IDLE;
    /* What is held back goes with a later round, when the log has grown again. */
    if (offset == clean->start)
        clean->log_bytes = clean->copied_bytes;
    clean->floor_bytes = clean->log_bytes;
    clean->rounds++;
}

void
coord_clean_tick(struct coord_shard *shard)
{
    struct coord_clean *clean = &shard->clean;
    if (clean->due_ms > shard->now_ms)
        return;
    clean->due_ms = INT64_MAX;
    switch (clean->state) {
    case COORD_CLEAN_IDLE: begin(shard); break;
    case COORD_CLEAN_COPYING: copy(shard); break;
    case COORD_CLEAN_COPIED: trim(shard); break;
    }
}

int64_t
coord_shard_clean_rounds(const struct coord_shard *shard)
{
    return shard->clean.rounds;
}
