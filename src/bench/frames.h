/* bench/frames.h - requests encoded once, to be sent many times with little changed. */
#ifndef BENCH_FRAMES_H
#define BENCH_FRAMES_H

#include <stdint.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"
#include "wire/compress.h"

/* Versions that name topics, which every broker since 2.x serves; the connection's may be lower. */
enum { BENCH_PRODUCE_VERSION = 9, BENCH_FETCH_VERSION = 11, BENCH_STAMP_BYTES = 8 };

struct bench_batch_opts {
    int32_t record_bytes; /* of each value; at least BENCH_STAMP_BYTES */
    int32_t records;
    enum compress_codec codec;
    int64_t timestamp_ms;
};

/* One record batch of values that do not compress to nothing; the first value starts with the
 * stamp's place. Appended to out. */
MUST_USE enum err bench_build_batch(const struct bench_batch_opts *opts, struct buf *out);

struct bench_produce_opts {
    int16_t version;
    int16_t acks;
    struct str topic;
    int32_t partition;
    struct bytes batch;
};

/* A Produce request without its size field; *batch_at says where in it the batch is. */
MUST_USE enum err bench_build_produce(
    const struct bench_produce_opts *opts, struct buf *out, size_t *batch_at);

struct bench_fetch_position {
    int32_t partition;
    int64_t offset;
};

struct bench_fetch_opts {
    int16_t version;
    struct str topic;
    const struct bench_fetch_position *positions;
    int32_t position_count;
    int32_t max_wait_ms;
    int32_t max_bytes;
    int32_t partition_max_bytes;
};

MUST_USE enum err bench_build_fetch(const struct bench_fetch_opts *opts, struct buf *out);

/* Where in the frame the correlation id is. */
enum { BENCH_CORRELATION_AT = 4 };

/* Where the stamp of the first value is in a batch of bench_build_batch that is not compressed. */
size_t bench_stamp_at(int32_t record_bytes);
/* Writes the stamp into such a batch and makes its checksum right again. */
void bench_stamp(uint8_t *batch, size_t batch_len, int32_t record_bytes, int64_t stamp_ns);

#endif
