/* What: the records of a batch, one after another, checked as they are read.
 * Invariants: I1 the views given out lie in `unpacked`. I2 after err is set, next gives nothing.
 * Errors: CORRUPT with a text for whatever is malformed; nothing asserts about the bytes. */
#include "wire/batch.h"

#include "base/assert.h"

enum { RECORD_BODY_MIN = 6, HEADER_MIN = 2 };

enum err
batch_iter_init(struct batch_iter *it, const struct batch_view *batch, struct compress_ctx *ctx,
    struct buf *scratch)
{
    int codec = batch_codec(batch);
    struct bytes unpacked = batch->records;

    ASSERT(batch->whole.data != NULL);
    *it = (struct batch_iter){
        .base_offset = batch->base_offset,
        .base_timestamp = batch->base_timestamp,
        .append_timestamp = batch->max_timestamp,
        .base_sequence = batch->base_sequence,
        .count = batch->record_count,
        .log_append_time = batch_is_log_append_time(batch),
    };
    if (batch->record_count < 0) {
        it->what = "negative record count";
        return it->err = ERR_CORRUPT;
    }
    if (batch->record_count == 0) {
        unpacked.len = 0; /* what is left of a compacted batch: nothing is looked at */
    } else if (codec != COMPRESS_NONE) {
        if (codec >= COMPRESS_CODEC_COUNT || ctx == NULL) {
            it->what = "unknown compression type";
            return it->err = ERR_UNSUPPORTED;
        }
        buf_clear(scratch);
        enum err err = compress_decode(ctx, (enum compress_codec)codec, batch->records,
            compress_unpacked_max(batch->records.len), scratch);
        if (err != ERR_OK) {
            it->what = err == ERR_CORRUPT ? "compressed data is corrupt"
                       : err == ERR_LIMIT ? "compressed data unpacks to too much"
                                          : NULL;
            return it->err = err;
        }
        unpacked = buf_bytes(scratch);
    }
    it->unpacked = unpacked;
    reader_init(&it->reader, unpacked);
    return ERR_OK;
}

static bool
iter_fail(struct batch_iter *it, const char *what)
{
    it->err = ERR_CORRUPT;
    it->what = what;
    return false;
}

/* A length and that many bytes; below zero is null. */
static struct bytes
read_nullable(struct reader *r, bool strict)
{
    int32_t len = reader_varint(r);
    if (len < 0) {
        if (strict && len < -1)
            reader_fail(r, ERR_CORRUPT);
        return BYTES_NULL;
    }
    const uint8_t *data = reader_take(r, (size_t)len);
    return data == NULL ? BYTES_NULL : (struct bytes){data, (size_t)len};
}

static bool
walk_headers(struct reader *r, int32_t count, bool strict)
{
    if (count < 0 || (size_t)count > reader_remaining(r) / HEADER_MIN)
        return false;
    for (int32_t i = 0; i < count; i++) {
        struct bytes key = read_nullable(r, strict);
        if (key.data == NULL)
            return false;
        read_nullable(r, strict);
    }
    return r->err == ERR_OK;
}

bool
batch_iter_next(struct batch_iter *it, struct batch_record *out)
{
    if (it->err != ERR_OK)
        return false;
    if (it->index == it->count) {
        if (reader_remaining(&it->reader) != 0)
            return iter_fail(it, "bytes left over after the last record");
        return false;
    }
    const uint8_t *start = it->reader.at;
    int32_t body = reader_varint(&it->reader);
    if (it->reader.err != ERR_OK)
        return iter_fail(it, "record is cut off");
    if (body < RECORD_BODY_MIN || (size_t)body > reader_remaining(&it->reader))
        return iter_fail(it, "impossible record length");

    struct reader r = {.at = it->reader.at, .end = it->reader.at + body};
    out->attributes = reader_i8(&r);
    out->timestamp_delta = reader_varlong(&r);
    out->offset_delta = reader_varint(&r);
    out->key = read_nullable(&r, it->strict);
    out->value = read_nullable(&r, it->strict);
    out->header_count = reader_varint(&r);
    if (r.err != ERR_OK)
        return iter_fail(it, "malformed record");
    out->headers = (struct bytes){r.at, reader_remaining(&r)};
    if (out->header_count != 0 && !walk_headers(&r, out->header_count, it->strict))
        return iter_fail(it, "malformed record headers");
    if (r.at != r.end)
        return iter_fail(it, "record is longer than its fields");

    it->reader.at = r.end;
    it->index++;
    out->size_bytes = (int32_t)(r.end - start);
    out->offset = (int64_t)((uint64_t)it->base_offset + (uint64_t)(int64_t)out->offset_delta);
    out->timestamp = it->log_append_time
                         ? it->append_timestamp
                         : (int64_t)((uint64_t)it->base_timestamp + (uint64_t)out->timestamp_delta);
    out->sequence = it->base_sequence < 0
                        ? BATCH_NO_SEQUENCE
                        : batch_sequence_add(it->base_sequence, out->offset_delta);
    return true;
}

bool
batch_header_next(struct bytes *headers, struct batch_header *out)
{
    struct reader r;

    if (headers->len == 0)
        return false;
    reader_init(&r, *headers);
    struct bytes key = read_nullable(&r, false);
    struct bytes value = read_nullable(&r, false);
    if (r.err != ERR_OK || key.data == NULL) {
        headers->len = 0;
        return false;
    }
    *out = (struct batch_header){.key = key, .value = value};
    *headers = (struct bytes){r.at, reader_remaining(&r)};
    return true;
}
