/* What: headers of record batches, and patches on whole batches.
 * Errors: everything here may meet bytes of a peer or a disk; bounds are checked before any access,
 * and nothing asserts about their contents. Setters are for batches that were parsed before. */
#include "wire/batch.h"

#include "base/assert.h"
#include "wire/crc32c.h"

enum {
    BATCH_PEEK_SIZE = 17,   /* up to and with the magic byte */
    LEGACY_LENGTH_MIN = 14, /* the smallest message of magic 0 */
};

enum err
batch_peek_size(struct bytes in, size_t *size_bytes)
{
    if (in.len < BATCH_LENGTH_OVERHEAD)
        return ERR_TRUNCATED;
    int32_t length = (int32_t)load_be32(in.data + BATCH_AT_LENGTH);
    if (length < LEGACY_LENGTH_MIN)
        return ERR_CORRUPT;
    if (in.len < BATCH_PEEK_SIZE)
        return ERR_TRUNCATED;
    int8_t magic = (int8_t)in.data[BATCH_AT_MAGIC];
    if (magic < 0 || magic > BATCH_MAGIC)
        return ERR_CORRUPT;
    *size_bytes = (size_t)length + BATCH_LENGTH_OVERHEAD;
    return ERR_OK;
}

static void
header_load(const uint8_t *p, size_t size_bytes, struct batch_view *out)
{
    ASSERT(size_bytes >= BATCH_HEADER_SIZE);
    *out = (struct batch_view){
        .size_bytes = size_bytes,
        .base_offset = (int64_t)load_be64(p + BATCH_AT_BASE_OFFSET),
        .base_timestamp = (int64_t)load_be64(p + BATCH_AT_BASE_TIMESTAMP),
        .max_timestamp = (int64_t)load_be64(p + BATCH_AT_MAX_TIMESTAMP),
        .producer_id = (int64_t)load_be64(p + BATCH_AT_PRODUCER_ID),
        .leader_epoch = (int32_t)load_be32(p + BATCH_AT_LEADER_EPOCH),
        .crc = load_be32(p + BATCH_AT_CRC),
        .last_offset_delta = (int32_t)load_be32(p + BATCH_AT_LAST_OFFSET_DELTA),
        .base_sequence = (int32_t)load_be32(p + BATCH_AT_BASE_SEQUENCE),
        .record_count = (int32_t)load_be32(p + BATCH_AT_RECORD_COUNT),
        .attributes = (int16_t)load_be16(p + BATCH_AT_ATTRIBUTES),
        .producer_epoch = (int16_t)load_be16(p + BATCH_AT_PRODUCER_EPOCH),
        .magic = (int8_t)p[BATCH_AT_MAGIC],
    };
}

/* Also tells whether it is a batch of magic 2 of a possible size. */
static enum err
header_check(struct bytes in, size_t size_bytes)
{
    if (in.data[BATCH_AT_MAGIC] != BATCH_MAGIC)
        return ERR_UNSUPPORTED;
    return size_bytes < BATCH_HEADER_SIZE ? ERR_CORRUPT : ERR_OK;
}

enum err
batch_parse(struct bytes in, struct batch_view *out)
{
    size_t size_bytes;

    enum err err = batch_peek_size(in, &size_bytes);
    if (err != ERR_OK)
        return err;
    if (size_bytes > in.len)
        return ERR_TRUNCATED;
    err = header_check(in, size_bytes);
    if (err != ERR_OK)
        return err;
    header_load(in.data, size_bytes, out);
    out->whole = (struct bytes){in.data, size_bytes};
    out->records = (struct bytes){in.data + BATCH_HEADER_SIZE, size_bytes - BATCH_HEADER_SIZE};
    return ERR_OK;
}

enum err
batch_parse_header(struct bytes in, struct batch_view *out)
{
    size_t size_bytes;

    enum err err = batch_peek_size(in, &size_bytes);
    if (err == ERR_OK)
        err = header_check(in, size_bytes);
    if (err != ERR_OK)
        return err;
    if (in.len < BATCH_HEADER_SIZE)
        return ERR_TRUNCATED;
    header_load(in.data, size_bytes, out);
    return ERR_OK;
}

uint32_t
batch_crc_compute(struct bytes whole)
{
    ASSERT(whole.len >= BATCH_HEADER_SIZE);
    return crc32c(
        (struct bytes){whole.data + BATCH_AT_ATTRIBUTES, whole.len - BATCH_AT_ATTRIBUTES});
}

bool
batch_crc_ok(const struct batch_view *batch)
{
    ASSERT(batch->whole.data != NULL);
    return batch_crc_compute(batch->whole) == batch->crc;
}

int32_t
batch_sequence_add(int32_t sequence, int32_t increment)
{
    int64_t sum = (int64_t)sequence + increment;
    if (sum > INT32_MAX)
        sum -= (int64_t)INT32_MAX + 1;
    return (int32_t)sum;
}

int32_t
batch_last_sequence(const struct batch_view *b)
{
    if (b->base_sequence == BATCH_NO_SEQUENCE)
        return BATCH_NO_SEQUENCE;
    return batch_sequence_add(b->base_sequence, b->last_offset_delta);
}

void
batch_set_base_offset(uint8_t *batch, int64_t base_offset)
{
    ASSERT(batch != NULL);
    store_be64(batch + BATCH_AT_BASE_OFFSET, (uint64_t)base_offset);
}

void
batch_set_leader_epoch(uint8_t *batch, int32_t leader_epoch)
{
    ASSERT(batch != NULL);
    store_be32(batch + BATCH_AT_LEADER_EPOCH, (uint32_t)leader_epoch);
}

void
batch_set_max_timestamp(
    uint8_t *batch, size_t size_bytes, bool log_append_time, int64_t max_timestamp)
{
    uint16_t attributes = load_be16(batch + BATCH_AT_ATTRIBUTES);
    uint16_t wanted = log_append_time ? (uint16_t)(attributes | BATCH_ATTR_LOG_APPEND_TIME)
                                      : (uint16_t)(attributes & ~BATCH_ATTR_LOG_APPEND_TIME);

    ASSERT(size_bytes >= BATCH_HEADER_SIZE);
    if (wanted == attributes && (int64_t)load_be64(batch + BATCH_AT_MAX_TIMESTAMP) == max_timestamp)
        return;
    store_be16(batch + BATCH_AT_ATTRIBUTES, wanted);
    store_be64(batch + BATCH_AT_MAX_TIMESTAMP, (uint64_t)max_timestamp);
    store_be32(batch + BATCH_AT_CRC, batch_crc_compute((struct bytes){batch, size_bytes}));
}

void
batch_seal(uint8_t *batch, size_t size_bytes)
{
    ASSERT(size_bytes >= BATCH_HEADER_SIZE);
    ASSERT(size_bytes - BATCH_LENGTH_OVERHEAD <= INT32_MAX);
    store_be32(batch + BATCH_AT_LENGTH, (uint32_t)(size_bytes - BATCH_LENGTH_OVERHEAD));
    store_be32(batch + BATCH_AT_CRC, batch_crc_compute((struct bytes){batch, size_bytes}));
}

void
batch_control_key_write(uint8_t out[BATCH_CONTROL_KEY_SIZE], enum batch_control_type type)
{
    ASSERT(type != BATCH_CONTROL_UNKNOWN);
    store_be16(out, 0);
    store_be16(out + 2, (uint16_t)type);
}

enum err
batch_control_key_parse(struct bytes key, enum batch_control_type *type)
{
    if (key.data == NULL || key.len < BATCH_CONTROL_KEY_SIZE)
        return ERR_CORRUPT;
    if ((int16_t)load_be16(key.data) < 0)
        return ERR_CORRUPT;
    int16_t number = (int16_t)load_be16(key.data + 2);
    *type = number >= BATCH_CONTROL_ABORT && number <= BATCH_CONTROL_KRAFT_VOTERS
                ? (enum batch_control_type)number
                : BATCH_CONTROL_UNKNOWN;
    return ERR_OK;
}

void
batch_end_txn_write(uint8_t out[BATCH_END_TXN_VALUE_SIZE], int32_t coordinator_epoch)
{
    store_be16(out, 0);
    store_be32(out + 2, (uint32_t)coordinator_epoch);
}

enum err
batch_end_txn_parse(struct bytes value, int32_t *coordinator_epoch)
{
    if (value.data == NULL || value.len < BATCH_END_TXN_VALUE_SIZE)
        return ERR_CORRUPT;
    if ((int16_t)load_be16(value.data) < 0)
        return ERR_CORRUPT;
    *coordinator_epoch = (int32_t)load_be32(value.data + 2);
    return ERR_OK;
}
