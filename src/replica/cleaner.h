/* replica/cleaner.h - which partition is compacted when, and by how many at a time: rounds of
 * log/cleaner.h, moved on step by step on the I/O pool.
 *
 * A worker takes the partition with the largest share of what was not compacted yet, as Kafka's
 * cleaner threads do, does one step, and goes behind whatever else waits for the pool. */
#ifndef REPLICA_CLEANER_H
#define REPLICA_CLEANER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"

struct replica_cleaner;
struct replica_manager;

enum { REPLICA_CLEANERS_MAX = 16 };

struct replica_cleaner_opts {
    bool enabled;            /* log.cleaner.enable */
    int32_t threads;         /* log.cleaner.threads; above the maximum: that many */
    int64_t map_bytes;       /* log.cleaner.dedupe.buffer.size, of all together */
    double map_load_factor;  /* log.cleaner.io.buffer.load.factor */
    double bytes_per_second; /* log.cleaner.io.max.bytes.per.second; read and written */
    int64_t backoff_ms;      /* log.cleaner.backoff.ms */
};

struct replica_cleaner_stats {
    int64_t uncleanable;       /* partitions; as of the last look */
    double dirty_ratio_max;    /* the same */
    int64_t delay_max_ms;      /* the same: by how much max.compaction.lag.ms is missed */
    int64_t since_last_run_ms; /* since somebody looked; -1: nobody did */
    double recopy_ratio;       /* of the last rounds of all workers: written of read */
    double map_used_max;       /* the same: the fullest map */
    int64_t round_max_ms;      /* the same: the longest round */
    int64_t rounds, rounds_failed, records_removed, bytes_read, bytes_written;
};

MUST_USE enum err replica_cleaner_new(struct replica_manager *mgr,
    const struct replica_cleaner_opts *opts, struct replica_cleaner **out);
/* The pool is gone or idle. NULL is fine. */
void replica_cleaner_free(struct replica_cleaner **cleaner);
/* From the pool, now and then (replica_cleaner_interval_ms): idle workers look for work. */
void replica_cleaner_tick(struct replica_cleaner *cleaner);
int64_t replica_cleaner_interval_ms(const struct replica_cleaner *cleaner);
/* Rounds that run end with their step. Any thread. */
void replica_cleaner_stop(struct replica_cleaner *cleaner);
/* Any thread. */
void replica_cleaner_get_stats(
    struct replica_cleaner *cleaner, struct replica_cleaner_stats *stats);

#endif
