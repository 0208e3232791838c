/* wire/batch.h - record batches of magic 2: look at them, patch them in place, read their records.
 *
 * A view is a parsed header; it points into the caller's bytes and never owns. Parsing checks
 * bounds only; the checksum is a separate call. Building is in wire/batch_builder.h. */
#ifndef WIRE_BATCH_H
#define WIRE_BATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"
#include "wire/compress.h"
#include "wire/reader.h"

/* Positions of the fields in a batch. */
enum {
    BATCH_AT_BASE_OFFSET = 0,
    BATCH_AT_LENGTH = 8,
    BATCH_AT_LEADER_EPOCH = 12,
    BATCH_AT_MAGIC = 16,
    BATCH_AT_CRC = 17,
    BATCH_AT_ATTRIBUTES = 21, /* the checksum covers from here to the end */
    BATCH_AT_LAST_OFFSET_DELTA = 23,
    BATCH_AT_BASE_TIMESTAMP = 27,
    BATCH_AT_MAX_TIMESTAMP = 35,
    BATCH_AT_PRODUCER_ID = 43,
    BATCH_AT_PRODUCER_EPOCH = 51,
    BATCH_AT_BASE_SEQUENCE = 53,
    BATCH_AT_RECORD_COUNT = 57,
    BATCH_HEADER_SIZE = 61,
    BATCH_LENGTH_OVERHEAD = 12, /* what the length field does not count */
};

enum batch_attribute {
    BATCH_ATTR_CODEC_MASK = 0x07,
    BATCH_ATTR_LOG_APPEND_TIME = 0x08,
    BATCH_ATTR_TRANSACTIONAL = 0x10,
    BATCH_ATTR_CONTROL = 0x20,
    BATCH_ATTR_DELETE_HORIZON = 0x40,
};

#define BATCH_NO_PRODUCER_ID ((int64_t)-1)
#define BATCH_NO_TIMESTAMP ((int64_t)-1)
enum { BATCH_NO_PRODUCER_EPOCH = -1, BATCH_NO_SEQUENCE = -1, BATCH_MAGIC = 2 };

struct batch_view {
    struct bytes whole;   /* BYTES_NULL after batch_parse_header */
    struct bytes records; /* maybe compressed; BYTES_NULL after batch_parse_header */
    size_t size_bytes;    /* of the whole batch, header included */
    int64_t base_offset;
    int64_t base_timestamp; /* the delete horizon when that bit is set */
    int64_t max_timestamp;
    int64_t producer_id;
    int32_t leader_epoch;
    uint32_t crc;
    int32_t last_offset_delta;
    int32_t base_sequence;
    int32_t record_count;
    int16_t attributes;
    int16_t producer_epoch;
    int8_t magic;
};

/* The first batch in `in`. TRUNCATED: not all of it is there (also when in is empty). UNSUPPORTED:
 * a whole message of magic 0 or 1. CORRUPT: impossible length or magic; nothing after it can be
 * read. The view is untouched on failure. */
MUST_USE enum err batch_parse(struct bytes in, struct batch_view *out);
/* The same of the first BATCH_HEADER_SIZE bytes alone; TRUNCATED when `in` is shorter than these.
 */
MUST_USE enum err batch_parse_header(struct bytes in, struct batch_view *out);
/* Bytes of the first batch or message, whatever its magic, from its first 17 bytes; errors as
 * above. */
MUST_USE enum err batch_peek_size(struct bytes in, size_t *size_bytes);

/* Over the whole batch; the view must be of batch_parse. */
bool batch_crc_ok(const struct batch_view *batch);
uint32_t batch_crc_compute(struct bytes whole);

static inline int
batch_codec(const struct batch_view *b)
{
    return b->attributes & BATCH_ATTR_CODEC_MASK; /* 5..7 are no codec */
}

static inline bool
batch_is_log_append_time(const struct batch_view *b)
{
    return (b->attributes & BATCH_ATTR_LOG_APPEND_TIME) != 0;
}

static inline bool
batch_is_transactional(const struct batch_view *b)
{
    return (b->attributes & BATCH_ATTR_TRANSACTIONAL) != 0;
}

static inline bool
batch_is_control(const struct batch_view *b)
{
    return (b->attributes & BATCH_ATTR_CONTROL) != 0;
}

static inline bool
batch_has_delete_horizon(const struct batch_view *b)
{
    return (b->attributes & BATCH_ATTR_DELETE_HORIZON) != 0;
}

static inline bool
batch_has_producer_id(const struct batch_view *b)
{
    return b->producer_id > BATCH_NO_PRODUCER_ID;
}

static inline int64_t
batch_last_offset(const struct batch_view *b)
{
    return (int64_t)((uint64_t)b->base_offset + (uint64_t)(int64_t)b->last_offset_delta);
}

/* sequence + increment, wrapping from INT32_MAX to 0; both >= 0. */
int32_t batch_sequence_add(int32_t sequence, int32_t increment);
/* BATCH_NO_SEQUENCE when the batch has none. */
int32_t batch_last_sequence(const struct batch_view *b);

/* ---- in place, on the bytes of one whole batch ---- */

void batch_set_base_offset(uint8_t *batch, int64_t base_offset);   /* outside the checksum */
void batch_set_leader_epoch(uint8_t *batch, int32_t leader_epoch); /* outside the checksum */
/* Sets the timestamp type and the maximum; refreshes the checksum only when something changed. The
 * delete-horizon bit is kept. */
void batch_set_max_timestamp(
    uint8_t *batch, size_t size_bytes, bool log_append_time, int64_t max_timestamp);
/* Writes length and checksum of a batch whose other bytes are in place. */
void batch_seal(uint8_t *batch, size_t size_bytes);

/* ---- records ---- */

struct batch_record {
    int64_t offset;
    int64_t timestamp; /* the batch's maximum under LogAppendTime */
    int64_t timestamp_delta;
    int32_t offset_delta;
    int32_t sequence;   /* BATCH_NO_SEQUENCE when the batch has none */
    int32_t size_bytes; /* on the wire, its length field included */
    int32_t header_count;
    struct bytes key; /* NULL is null, here and below */
    struct bytes value;
    struct bytes headers; /* header_count of them, undecoded but checked; batch_header_next */
    int8_t attributes;
};

struct batch_header {
    struct bytes key; /* text, never null */
    struct bytes value;
};

struct batch_iter {
    struct reader reader;
    struct bytes unpacked; /* all records, in the batch or in the scratch buffer */
    int64_t base_offset;
    int64_t base_timestamp;
    int64_t append_timestamp; /* under LogAppendTime */
    int32_t base_sequence;
    int32_t count;
    int32_t index; /* of the next record */
    bool log_append_time;
    bool strict; /* set after init: lengths below -1 are CORRUPT instead of null */
    enum err err;
    const char *what; /* static text of a failure, else NULL */
};

/* Starts on a batch; when it is compressed, unpacks it into scratch (cleared first), which must
 * then live as long as the iteration. ctx may be NULL for uncompressed batches only. UNSUPPORTED
 * for an unknown codec; LIMIT, CORRUPT, NOMEM from unpacking; CORRUPT for a negative count. */
MUST_USE enum err batch_iter_init(struct batch_iter *it, const struct batch_view *batch,
    struct compress_ctx *ctx, struct buf *scratch);
/* The next record; false at the end and on failure, when it->err tells (CORRUPT). After the last
 * record, bytes left over are CORRUPT too. Views live as long as the batch and the scratch. */
bool batch_iter_next(struct batch_iter *it, struct batch_record *out);

/* Takes the next header off the front of *headers (a batch_record's); false at the end. */
bool batch_header_next(struct bytes *headers, struct batch_header *out);

/* ---- control records ---- */

enum batch_control_type {
    BATCH_CONTROL_ABORT = 0,
    BATCH_CONTROL_COMMIT = 1,
    BATCH_CONTROL_LEADER_CHANGE = 2,
    BATCH_CONTROL_SNAPSHOT_HEADER = 3,
    BATCH_CONTROL_SNAPSHOT_FOOTER = 4,
    BATCH_CONTROL_KRAFT_VERSION = 5,
    BATCH_CONTROL_KRAFT_VOTERS = 6,
    BATCH_CONTROL_UNKNOWN = -1, /* of a later version: skip */
};

enum { BATCH_CONTROL_KEY_SIZE = 4, BATCH_END_TXN_VALUE_SIZE = 6 };

void batch_control_key_write(uint8_t out[BATCH_CONTROL_KEY_SIZE], enum batch_control_type type);
/* CORRUPT for a short key or a negative version; an unknown type or a later version is OK and gives
 * _UNKNOWN for the type where the number is not known. */
MUST_USE enum err batch_control_key_parse(struct bytes key, enum batch_control_type *type);
void batch_end_txn_write(uint8_t out[BATCH_END_TXN_VALUE_SIZE], int32_t coordinator_epoch);
/* The value of an ABORT or COMMIT. CORRUPT when short or of a negative version. */
MUST_USE enum err batch_end_txn_parse(struct bytes value, int32_t *coordinator_epoch);

#endif
