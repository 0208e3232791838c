/* log/cleaner_priv.h - the body of a round, for its files and their tests. */
#ifndef LOG_CLEANER_PRIV_H
#define LOG_CLEANER_PRIV_H

#include "log/clean_filter.h"
#include "log/clean_map.h"
#include "log/clean_txn.h"
#include "log/cleaner.h"
#include "log/segment.h"

/* A segment of the log as it was at the beginning. */
struct clean_source {
    int64_t base_offset;
    int64_t end_offset; /* where the next one begins */
    int64_t size_bytes;
    int64_t mtime_ms;
};

enum clean_state {
    CLEAN_MAP,
    CLEAN_COPY,
    CLEAN_REPLACE,
    CLEAN_SETTLE,
    CLEAN_DONE,
};

struct log_clean {
    /* Fixed at begin. */
    struct env *env;
    struct log_host *host;    /* outlives the round */
    struct segment_home home; /* of the segments below; dir owned, files the host's */
    struct log_config config; /* as it was */
    struct log_clean_opts opts;
    int64_t first_dirty, bound, now_ms;
    uint64_t truncations;
    struct clean_source *sources; /* owned; all segments below the bound */
    int32_t source_count;
    struct txn_index_entry *aborted; /* owned; by first offset */
    int32_t aborted_count, aborted_capacity;
    struct clean_producer *producers; /* owned; by id */
    int32_t producer_count;

    /* Of the steps. */
    enum clean_state state;
    struct clean_map map;
    int64_t map_end; /* the keys of all records from first_dirty up to here are in the map */
    struct clean_txn txn;
    struct clean_filter filter;
    struct compress_ctx *compress; /* owned */
    int32_t source;                /* being read */
    struct log_segment *reading;   /* owned; over the source's file; NULL: not begun */
    struct segment_scan scan;
    int32_t group_first, group_count;
    struct log_segment *cleaned; /* owned until it is in the log */
    struct buf out;              /* batches that are not in `cleaned` yet */
    bool write_failed;           /* the error is of what we wrote, not of what we read */
    struct log_clean_stats stats;
};

#endif
