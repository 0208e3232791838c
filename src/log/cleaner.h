/* log/cleaner.h - compaction of one log (cleanup.policy=compact): a round that reads what is new,
 * learns the newest offset of each key, and writes the segments again without older records.
 *
 * A round is a value that somebody moves on in bounded steps; see docs/decisions/log-cleaning.md.
 *
 *     look (lock) -> begin (lock) -> step (no lock) ... -> replace (lock) -> step ... -> end (lock)
 *
 * States of a round: MAP (keys are read), COPY (a group of segments is written to .cleaned files,
 * and synced), REPLACE (they wait for the lock), SETTLE (their names are synced), DONE.
 *
 * What it promises:
 *   - Of a key the newest record below the round's bound stays, as do all records at and above it.
 *     Offsets never change. Tombstones stay for delete.retention.ms after the round that met them.
 *   - The bound is where a segment begins: never the active one, nothing above the last stable
 *     offset, nothing younger than min.compaction.lag.ms, nothing that is not on the disk.
 *   - A group takes the place of its segments by renames under the lock; a crash at any step leaves
 *     the old ones or the new ones (log_swap.h). Who reads an old file goes on reading it.
 *   - A round that finds the log changed behind it (truncated, retained away) ends without a trace.
 *
 * The recovery points must have been checkpointed (log_manager_clean_begun) after begin and before
 * the first replace: recovery takes a hole above the one it knows for a loss. */
#ifndef LOG_CLEANER_H
#define LOG_CLEANER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "log/log.h"

struct log_clean;

/* ---- what there is to clean ---- */

struct log_clean_plan {
    bool wanted;         /* it should be cleaned now */
    bool overdue;        /* by max.compaction.lag.ms */
    bool unflushed;      /* more could be cleaned after a flush */
    double dirty_ratio;  /* of bytes; the log with the most comes first */
    int64_t first_dirty; /* as the cleaner noted, or the log start */
    int64_t bound;       /* compaction ends here, where a segment begins */
    int64_t clean_bytes, dirty_bytes;
    int64_t delay_ms; /* how long ago max.compaction.lag.ms asked for it */
};

/* Nothing is wanted of logs that are not compacted, not OPEN or not cleanable. Partition lock; may
 * read a few headers. */
MUST_USE enum err log_clean_look(struct log *log, struct log_clean_plan *plan);
/* The cleaner met what it cannot read, in this life of the node. No lock. */
bool log_is_uncleanable(const struct log *log);

/* ---- a round ---- */

struct log_clean_opts {
    int64_t map_bytes_max;  /* log.cleaner.dedupe.buffer.size, divided by the threads */
    double map_load_factor; /* log.cleaner.io.buffer.load.factor */
    size_t step_bytes;      /* about so many are read in one step */
};

struct log_clean_stats {
    int64_t bytes_read, bytes_written; /* written: to segments that took the place of others */
    int64_t records_read, records_kept;
    int64_t keys; /* in the map */
    double map_used;
};

enum log_clean_next {
    LOG_CLEAN_STEP,    /* call step again */
    LOG_CLEAN_REPLACE, /* call replace with the lock held, then step again */
    LOG_CLEAN_DONE,    /* call end with the lock held */
};

/* Takes what it needs to know of the log; plan is of the same hold of the lock. NOMEM, IO. */
MUST_USE enum err log_clean_begin(struct log *log, const struct log_clean_plan *plan,
    const struct log_clean_opts *opts, struct log_clean **out);
/* No lock, on the pool; the log may change or be gone meanwhile. After an error: end. */
MUST_USE enum err log_clean_step(struct log_clean *clean, enum log_clean_next *next);
/* Partition lock. WRONG_STATE: the log changed, the round is over (call end). */
MUST_USE enum err log_clean_replace(struct log *log, struct log_clean *clean);
/* Partition lock. With OK notes how far the log is clean: write the checkpoint next. With an error
 * of step or replace, judges it: what cannot be read makes the log uncleanable, what cannot be
 * written takes it out of service. */
void log_clean_end(struct log *log, struct log_clean *clean, enum err err);
/* No lock; removes what it wrote and did not put in place. NULL is fine. */
void log_clean_free(struct log_clean **clean);
void log_clean_get_stats(const struct log_clean *clean, struct log_clean_stats *stats);

#endif
