/* What: one record batch, written into a caller's buffer.
 * States: open after init; ended by finish or abort.
 * Invariants: I1 out[start ..] is the batch so far: the header's room, and the records when there
 * is no codec. I2 with a codec the records gather in `raw`. I3 after err is set nothing is written.
 * Errors: latched; NOMEM and LIMIT come out of finish. */
#include "wire/batch_builder.h"

#include "base/assert.h"

/* Room for the widest varints of the fields before key, value and headers. */
enum { RECORD_OVERHEAD_MAX = 5 + 1 + 10 + 5 + 5 + 5 + 5 };

static size_t
varlong_size(uint64_t v)
{
    size_t n = 1;
    while (v >= 0x80) {
        v >>= 7;
        n++;
    }
    return n;
}

static uint64_t
zigzag(int64_t v)
{
    return ((uint64_t)v << 1) ^ (uint64_t)(v >> 63);
}

static uint8_t *
put_varlong(uint8_t *at, int64_t v)
{
    uint64_t u = zigzag(v);
    while (u >= 0x80) {
        *at++ = (uint8_t)(u | 0x80);
        u >>= 7;
    }
    *at++ = (uint8_t)u;
    return at;
}

static uint8_t *
put_bytes(uint8_t *at, struct bytes b)
{
    if (b.data == NULL)
        return put_varlong(at, -1);
    at = put_varlong(at, (int64_t)b.len);
    if (b.len > 0)
        memcpy(at, b.data, b.len);
    return at + b.len;
}

static size_t
bytes_size(struct bytes b)
{
    return b.data == NULL ? 1 : varlong_size(zigzag((int64_t)b.len)) + b.len;
}

static size_t
headers_size(const struct batch_builder_record *r)
{
    size_t size = r->headers_raw.len;
    if (r->headers != NULL) {
        size = 0;
        for (int32_t i = 0; i < r->header_count; i++)
            size += bytes_size(r->headers[i].key) + bytes_size(r->headers[i].value);
    }
    return size;
}

void
batch_builder_init(struct batch_builder *b, const struct batch_builder_opts *opts, struct buf *out)
{
    ASSERT(opts->codec < COMPRESS_CODEC_COUNT);
    ASSERT(opts->codec == COMPRESS_NONE || opts->ctx != NULL);
    *b = (struct batch_builder){
        .opts = *opts,
        .out = out,
        .start = out->len,
        .max_timestamp = BATCH_NO_TIMESTAMP,
        .max_timestamp_offset = -1,
        .base_timestamp =
            opts->delete_horizon_ms >= 0 ? opts->delete_horizon_ms : BATCH_NO_TIMESTAMP,
        .offset_next = opts->base_offset,
        .out_failed_before = out->err != ERR_OK,
        .err = out->err,
    };
    buf_init(&b->raw, compress_unpacked_max(out->size_max));
    if (buf_extend(out, BATCH_HEADER_SIZE) == NULL)
        b->err = out->err;
}

size_t
batch_builder_record_size(const struct batch_builder_record *r)
{
    return RECORD_OVERHEAD_MAX + r->key.len + r->value.len + headers_size(r);
}

size_t
batch_builder_size(const struct batch_builder *b)
{
    return b->out->len - b->start + b->raw.len;
}

void
batch_builder_append_at(
    struct batch_builder *b, int64_t offset, const struct batch_builder_record *r)
{
    struct buf *to = b->opts.codec == COMPRESS_NONE ? b->out : &b->raw;

    ASSERT(offset >= b->offset_next);
    ASSERT(offset - b->opts.base_offset <= INT32_MAX);
    ASSERT(r->header_count >= 0);
    if (b->err != ERR_OK)
        return;
    if (b->count == 0 && b->opts.delete_horizon_ms < 0)
        b->base_timestamp = r->timestamp;
    int64_t timestamp_delta = (int64_t)((uint64_t)r->timestamp - (uint64_t)b->base_timestamp);
    int64_t offset_delta = offset - b->opts.base_offset;
    size_t headers = headers_size(r);
    size_t body = 1 + varlong_size(zigzag(timestamp_delta)) + varlong_size(zigzag(offset_delta)) +
                  bytes_size(r->key) + bytes_size(r->value) +
                  varlong_size(zigzag(r->header_count)) + headers;
    if (body > INT32_MAX) {
        b->err = ERR_LIMIT;
        return;
    }
    size_t size = varlong_size(zigzag((int64_t)body)) + body;
    uint8_t *start = buf_extend(to, size);
    if (start == NULL) {
        b->err = to->err;
        return;
    }
    uint8_t *at = put_varlong(start, (int64_t)body);
    *at++ = 0; /* attributes: none are defined */
    at = put_varlong(at, timestamp_delta);
    at = put_varlong(at, offset_delta);
    at = put_bytes(at, r->key);
    at = put_bytes(at, r->value);
    at = put_varlong(at, r->header_count);
    if (r->headers != NULL) {
        for (int32_t i = 0; i < r->header_count; i++) {
            ASSERT(r->headers[i].key.data != NULL);
            at = put_bytes(put_bytes(at, r->headers[i].key), r->headers[i].value);
        }
    } else if (headers > 0) {
        memcpy(at, r->headers_raw.data, headers);
        at += headers;
    }
    ASSERT(at == start + size);
    if (r->timestamp > b->max_timestamp) {
        b->max_timestamp = r->timestamp;
        b->max_timestamp_offset = offset;
    }
    b->offset_next = offset + 1;
    b->count++;
}

void
batch_builder_append(struct batch_builder *b, const struct batch_builder_record *record)
{
    batch_builder_append_at(b, b->offset_next, record);
}

static void
header_store(const struct batch_builder *b, uint8_t *p)
{
    const struct batch_builder_opts *o = &b->opts;
    int64_t last = o->last_offset >= 0 ? o->last_offset : b->offset_next - 1;
    int attributes = (int)o->codec;

    ASSERT(last >= b->offset_next - 1);
    if (o->log_append_time)
        attributes |= BATCH_ATTR_LOG_APPEND_TIME;
    if (o->transactional)
        attributes |= BATCH_ATTR_TRANSACTIONAL;
    if (o->control)
        attributes |= BATCH_ATTR_CONTROL;
    if (o->delete_horizon_ms >= 0)
        attributes |= BATCH_ATTR_DELETE_HORIZON;
    store_be64(p + BATCH_AT_BASE_OFFSET, (uint64_t)o->base_offset);
    store_be32(p + BATCH_AT_LEADER_EPOCH, (uint32_t)o->leader_epoch);
    p[BATCH_AT_MAGIC] = BATCH_MAGIC;
    store_be16(p + BATCH_AT_ATTRIBUTES, (uint16_t)attributes);
    store_be32(p + BATCH_AT_LAST_OFFSET_DELTA, (uint32_t)(last - o->base_offset));
    store_be64(p + BATCH_AT_BASE_TIMESTAMP, (uint64_t)b->base_timestamp);
    store_be64(p + BATCH_AT_MAX_TIMESTAMP,
        (uint64_t)(o->log_append_time ? o->log_append_ms : b->max_timestamp));
    store_be64(p + BATCH_AT_PRODUCER_ID, (uint64_t)o->producer_id);
    store_be16(p + BATCH_AT_PRODUCER_EPOCH, (uint16_t)o->producer_epoch);
    store_be32(p + BATCH_AT_BASE_SEQUENCE, (uint32_t)o->base_sequence);
    store_be32(p + BATCH_AT_RECORD_COUNT, (uint32_t)b->count);
}

enum err
batch_builder_finish(struct batch_builder *b)
{
    if (b->err == ERR_OK && b->opts.codec != COMPRESS_NONE && b->count > 0)
        b->err =
            compress_encode(b->opts.ctx, b->opts.codec, b->opts.level, buf_bytes(&b->raw), b->out);
    if (b->err == ERR_OK && b->out->len - b->start - BATCH_LENGTH_OVERHEAD > INT32_MAX)
        b->err = ERR_LIMIT;
    enum err err = b->err;
    if (err != ERR_OK) {
        batch_builder_abort(b);
        return err;
    }
    header_store(b, b->out->data + b->start);
    batch_seal(b->out->data + b->start, b->out->len - b->start);
    buf_fini(&b->raw);
    return ERR_OK;
}

void
batch_builder_abort(struct batch_builder *b)
{
    ASSERT(b->out->len >= b->start);
    b->out->len = b->start;
    if (!b->out_failed_before)
        b->out->err = ERR_OK;
    b->err = ERR_WRONG_STATE;
    buf_fini(&b->raw);
}

enum err
batch_recompress(const struct batch_view *batch, struct bytes unpacked, enum compress_codec codec,
    int level, struct compress_ctx *ctx, struct buf *out)
{
    size_t start = out->len;

    ASSERT(batch->whole.len >= BATCH_HEADER_SIZE);
    if (out->err != ERR_OK)
        return out->err;
    buf_append(out, batch->whole.data, BATCH_HEADER_SIZE);
    enum err err = out->err;
    if (err == ERR_OK)
        err = compress_encode(ctx, codec, level, unpacked, out);
    if (err == ERR_OK && out->len - start - BATCH_LENGTH_OVERHEAD > INT32_MAX)
        err = ERR_LIMIT;
    if (err != ERR_OK) {
        out->len = start;
        out->err = ERR_OK;
        return err;
    }
    uint8_t *p = out->data + start;
    store_be16(p + BATCH_AT_ATTRIBUTES,
        (uint16_t)((batch->attributes & ~BATCH_ATTR_CODEC_MASK) | (int)codec));
    batch_seal(p, out->len - start);
    return ERR_OK;
}

enum err
batch_renumber(const struct batch_view *batch, enum compress_codec codec, int level,
    struct compress_ctx *ctx, struct buf *out)
{
    struct batch_builder_opts opts = {.codec = codec,
        .level = level,
        .ctx = ctx,
        .base_offset = batch->base_offset,
        .last_offset = -1,
        .producer_id = batch->producer_id,
        .delete_horizon_ms = -1,
        .leader_epoch = batch->leader_epoch,
        .base_sequence = batch->base_sequence,
        .producer_epoch = batch->producer_epoch,
        .transactional = batch_is_transactional(batch),
        .control = batch_is_control(batch)};
    struct batch_builder b;
    struct batch_iter it;
    struct batch_record record;

    ASSERT(batch_codec(batch) == COMPRESS_NONE);
    enum err err = batch_iter_init(&it, batch, NULL, NULL);
    if (err != ERR_OK)
        return err;
    batch_builder_init(&b, &opts, out);
    while (batch_iter_next(&it, &record)) {
        uint64_t timestamp = (uint64_t)batch->base_timestamp + (uint64_t)record.timestamp_delta;
        batch_builder_append(&b, &(struct batch_builder_record){.timestamp = (int64_t)timestamp,
                                     .key = record.key,
                                     .value = record.value,
                                     .headers_raw = record.headers,
                                     .header_count = record.header_count});
    }
    if (it.err != ERR_OK) {
        batch_builder_abort(&b);
        return it.err;
    }
    return batch_builder_finish(&b);
}

enum err
batch_build_marker(const struct batch_marker_opts *opts, struct buf *out)
{
    uint8_t key[BATCH_CONTROL_KEY_SIZE], value[BATCH_END_TXN_VALUE_SIZE];
    struct batch_builder_opts o = BATCH_BUILDER_OPTS_DEFAULT;
    struct batch_builder b;

    ASSERT(opts->type == BATCH_CONTROL_ABORT || opts->type == BATCH_CONTROL_COMMIT);
    o.base_offset = opts->base_offset;
    o.producer_id = opts->producer_id;
    o.producer_epoch = opts->producer_epoch;
    o.leader_epoch = opts->leader_epoch;
    o.transactional = true;
    o.control = true;
    batch_control_key_write(key, opts->type);
    batch_end_txn_write(value, opts->coordinator_epoch);
    struct batch_builder_record record = {
        .timestamp = opts->timestamp_ms,
        .key = {key, sizeof key},
        .value = {value, sizeof value},
    };
    batch_builder_init(&b, &o, out);
    batch_builder_append(&b, &record);
    return batch_builder_finish(&b);
}
