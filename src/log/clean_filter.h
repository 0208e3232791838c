/* log/clean_filter.h - what stays of one batch when a log is compacted, as Apache Kafka decides it.
 *
 * Of a key the record with the largest offset stays, offsets never change, and a batch keeps its
 * first and last offset. Tombstones, and markers of transactions of which nothing is left, get a
 * time from which they may go (KIP-534) when they are first met. Pure: no files, no clock. */
#ifndef LOG_CLEAN_FILTER_H
#define LOG_CLEAN_FILTER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/err.h"
#include "log/clean_map.h"
#include "log/clean_txn.h"
#include "log/producer_state.h"
#include "wire/batch.h"

/* What is known of a producer that may still write. */
struct clean_producer {
    int64_t producer_id;
    /* Of its last batches of data, which it may send again after a crash; none: its last entry is a
     * marker. Kafka keeps only the last one. */
    int64_t last_offsets[PRODUCER_BATCHES_KEPT];
    int16_t batch_count;
    int16_t producer_epoch;
};

struct clean_filter {
    /* Set by the caller; borrowed. */
    const struct clean_map *map;
    const struct clean_producer *producers; /* by id */
    int32_t producer_count;
    struct clean_txn *txn;
    struct compress_ctx *compress;
    int64_t map_end; /* the map knows the keys of all records below */
    int64_t bound;   /* the end of what may be compacted: a batch that ends there stays */
    int64_t now_ms;  /* of the whole round */
    int64_t delete_retention_ms;
    /* Scratch, to be initialised with buf_init. */
    struct buf unpacked;
    /* Counted. */
    int64_t records_read, records_kept;
};

struct clean_filter_result {
    bool keep_entry; /* the batch is the marker of this aborted transaction */
    struct txn_index_entry entry;
};

/* Appends what stays of a whole, checked batch to out; nothing when it goes. CORRUPT, UNSUPPORTED,
 * LIMIT: it cannot be read. NOMEM. */
MUST_USE enum err clean_filter_batch(struct clean_filter *filter, const struct batch_view *batch,
    struct buf *out, struct clean_filter_result *result);

#endif
