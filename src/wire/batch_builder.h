/* wire/batch_builder.h - makes one record batch in a caller's buffer, compressed or not.
 *
 *     batch_builder_init(&b, &opts, out);
 *     batch_builder_append(&b, &record);     any number of times
 *     err = batch_builder_finish(&b);
 *
 * Failures are latched and come out of finish; the buffer's length is then as it was at init. */
#ifndef WIRE_BATCH_BUILDER_H
#define WIRE_BATCH_BUILDER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"
#include "wire/batch.h"
#include "wire/compress.h"

struct batch_builder_opts {
    enum compress_codec codec;
    int level;                /* COMPRESS_LEVEL_DEFAULT or a valid one; unused without a codec */
    struct compress_ctx *ctx; /* borrowed until finish; NULL is fine without a codec */
    int64_t base_offset;
    int64_t last_offset;       /* -1: that of the last record; compaction keeps the original's */
    int64_t producer_id;       /* BATCH_NO_PRODUCER_ID */
    int64_t log_append_ms;     /* the maximum timestamp when log_append_time */
    int64_t delete_horizon_ms; /* -1: none */
    int32_t leader_epoch;
    int32_t base_sequence;  /* BATCH_NO_SEQUENCE */
    int16_t producer_epoch; /* BATCH_NO_PRODUCER_EPOCH */
    bool log_append_time;
    bool transactional;
    bool control;
};

/* No producer, no codec, base offset 0, leader epoch -1. */
#define BATCH_BUILDER_OPTS_DEFAULT                                \
    ((struct batch_builder_opts){.level = COMPRESS_LEVEL_DEFAULT, \
        .last_offset = -1,                                        \
        .producer_id = BATCH_NO_PRODUCER_ID,                      \
        .delete_horizon_ms = -1,                                  \
        .leader_epoch = -1,                                       \
        .base_sequence = BATCH_NO_SEQUENCE,                       \
        .producer_epoch = BATCH_NO_PRODUCER_EPOCH})

struct batch_builder_record {
    int64_t timestamp;
    struct bytes key; /* NULL is null */
    struct bytes value;
    const struct batch_header *headers;
    int32_t header_count;
    struct bytes headers_raw; /* instead of headers, when they are encoded already (header_count) */
};

struct batch_builder {
    struct batch_builder_opts opts;
    struct buf *out; /* borrowed */
    struct buf raw;  /* owned: records before compression */
    size_t start;    /* where the batch begins in out */
    int64_t base_timestamp;
    int64_t max_timestamp;
    int64_t max_timestamp_offset;
    int64_t offset_next;
    int32_t count;
    bool out_failed_before; /* out's failure was there at init; it stays */
    enum err err;
};

void batch_builder_init(
    struct batch_builder *b, const struct batch_builder_opts *opts, struct buf *out);
/* At the next offset. */
void batch_builder_append(struct batch_builder *b, const struct batch_builder_record *record);
/* At an offset not below the next; what is skipped is a gap, as compaction leaves. */
void batch_builder_append_at(
    struct batch_builder *b, int64_t offset, const struct batch_builder_record *record);
/* Bytes so far, before compression, header included. */
size_t batch_builder_size(const struct batch_builder *b);
/* How much a record would add, at most. */
size_t batch_builder_record_size(const struct batch_builder_record *record);
/* Ends the batch and frees what the builder held. A batch without records is allowed (a header kept
 * for producer state needs last_offset). LIMIT, NOMEM. */
MUST_USE enum err batch_builder_finish(struct batch_builder *b);
/* Gives up: out is cut back to where the batch began. */
void batch_builder_abort(struct batch_builder *b);

/* Appends the batch to out with its records, which the caller has unpacked, in another codec. All
 * else in the header stays, but length and checksum. LIMIT, NOMEM. */
MUST_USE enum err batch_recompress(const struct batch_view *batch, struct bytes unpacked,
    enum compress_codec codec, int level, struct compress_ctx *ctx, struct buf *out);

/* Appends the batch, which is not compressed, in a codec and with offsets of its records that
 * ascend one by one, whatever they were. CORRUPT: its records cannot be read. LIMIT, NOMEM. */
MUST_USE enum err batch_renumber(const struct batch_view *batch, enum compress_codec codec,
    int level, struct compress_ctx *ctx, struct buf *out);

/* One end-of-transaction marker, a whole batch with one control record (type ABORT or COMMIT). */
struct batch_marker_opts {
    enum batch_control_type type;
    int64_t base_offset;
    int64_t producer_id;
    int64_t timestamp_ms;
    int32_t leader_epoch;
    int32_t coordinator_epoch;
    int16_t producer_epoch;
};
MUST_USE enum err batch_build_marker(const struct batch_marker_opts *opts, struct buf *out);

#endif
