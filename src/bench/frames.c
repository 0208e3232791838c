/* bench/frames.c - encodes the bench's requests through the codec, once each. */
#include "bench/frames.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "proto/fetch_request.h"
#include "proto/produce_request.h"
#include "proto/request_header.h"
#include "wire/batch.h"
#include "wire/batch_builder.h"

enum { FRAME_BYTES_MAX = 128 << 20, PRODUCE_TIMEOUT_MS = 30000, WORD_BYTES = 7 };

/* ---- batches ---- */

/* Text of words from a vocabulary of 256, so that a codec gains about what it gains on a log. */
static void
fill_value(uint8_t *value, size_t len, uint32_t seed)
{
    static const char letters[16] = "etaoinshrdlucmfw";
    uint32_t x = seed * 2654435761u + 1, word = 0;
    for (size_t i = 0; i < len; i++) {
        if (i % WORD_BYTES == 0) {
            x = x * 1664525u + 1013904223u;
            word = (x >> 24) * 2654435761u;
            value[i] = ' ';
        } else {
            word = word * 1664525u + 1013904223u;
            value[i] = (uint8_t)letters[word >> 28];
        }
    }
}

enum err
bench_build_batch(const struct bench_batch_opts *opts, struct buf *out)
{
    struct compress_ctx *ctx = NULL;
    struct batch_builder builder;
    struct batch_builder_opts builder_opts = BATCH_BUILDER_OPTS_DEFAULT;
    ASSERT(opts->record_bytes >= BENCH_STAMP_BYTES && opts->records > 0);
    uint8_t *value = mem_alloc((size_t)opts->record_bytes);
    if (value == NULL)
        return ERR_NOMEM;
    enum err err = compress_ctx_new(&ctx);
    if (err != ERR_OK) {
        mem_free(value);
        return err;
    }
    builder_opts.codec = opts->codec;
    builder_opts.ctx = ctx;
    batch_builder_init(&builder, &builder_opts, out);
    for (int32_t i = 0; i < opts->records; i++) {
        fill_value(value, (size_t)opts->record_bytes, (uint32_t)i);
        struct batch_builder_record record = {.timestamp = opts->timestamp_ms,
            .key = BYTES_NULL,
            .value = {value, (size_t)opts->record_bytes}};
        batch_builder_append(&builder, &record);
    }
    err = batch_builder_finish(&builder);
    compress_ctx_free(&ctx);
    mem_free(value);
    return err;
}

static size_t
varint_size(int64_t value)
{
    uint64_t zigzag = ((uint64_t)value << 1) ^ (uint64_t)(value >> 63);
    size_t size = 1;
    while (zigzag >= 0x80) {
        zigzag >>= 7;
        size++;
    }
    return size;
}

size_t
bench_stamp_at(int32_t record_bytes)
{
    /* attributes, timestamp delta 0, offset delta 0, null key, value length, value, no headers */
    size_t body = 1 + 1 + 1 + 1 + varint_size(record_bytes) + (size_t)record_bytes + 1;
    return BATCH_HEADER_SIZE + varint_size((int64_t)body) + 4 + varint_size(record_bytes);
}

void
bench_stamp(uint8_t *batch, size_t batch_len, int32_t record_bytes, int64_t stamp_ns)
{
    size_t at = bench_stamp_at(record_bytes);
    ASSERT(at + BENCH_STAMP_BYTES <= batch_len);
    store_be64(batch + at, (uint64_t)stamp_ns);
    store_be32(batch + BATCH_AT_CRC, batch_crc_compute((struct bytes){batch, batch_len}));
}

/* ---- requests ---- */

static enum err
build_request(int16_t key, int16_t version, const void *msg, struct buf *out)
{
    const struct proto_api *api = proto_api_find(key);
    struct proto_request_header header;
    struct writer w;
    ASSERT(api != NULL);
    proto_init(&proto_request_header_schema, &header);
    header.request_api_key = key;
    header.request_api_version = version;
    header.client_id = STR("moldau-bench");
    writer_init(&w, FRAME_BYTES_MAX);
    enum err err = proto_encode(
        &proto_request_header_schema, proto_request_header_version(api, version), &header, &w);
    if (err == ERR_OK)
        err = proto_encode(api->request, version, msg, &w);
    if (err == ERR_OK)
        err = w.buf.err;
    if (err == ERR_OK) {
        buf_append(out, w.buf.data, w.buf.len);
        err = out->err;
    }
    writer_fini(&w);
    return err;
}

enum err
bench_build_produce(const struct bench_produce_opts *opts, struct buf *out, size_t *batch_at)
{
    /* The empty tags of partition, topic and request come after the batch. */
    size_t tail = opts->version >= proto_api_find(PROTO_PRODUCE_REQUEST_KEY)->flexible_from ? 3 : 0;
    struct proto_produce_request request;
    struct proto_produce_request_topic_produce_data topic;
    struct proto_produce_request_partition_produce_data part;
    proto_init(&proto_produce_request_schema, &request);
    proto_init(&proto_produce_request_topic_produce_data_schema, &topic);
    proto_init(&proto_produce_request_partition_produce_data_schema, &part);
    part.index = opts->partition;
    part.records.bytes = opts->batch;
    topic.name = opts->topic;
    topic.partition_data.items = &part;
    topic.partition_data.count = 1;
    request.acks = opts->acks;
    request.timeout_ms = PRODUCE_TIMEOUT_MS;
    request.topic_data.items = &topic;
    request.topic_data.count = 1;
    enum err err = build_request(PROTO_PRODUCE_REQUEST_KEY, opts->version, &request, out);
    if (err == ERR_OK)
        *batch_at = out->len - tail - opts->batch.len;
    return err;
}

enum err
bench_build_fetch(const struct bench_fetch_opts *opts, struct buf *out)
{
    struct proto_fetch_request request;
    struct proto_fetch_request_fetch_topic topic;
    struct proto_fetch_request_fetch_partition *parts =
        mem_calloc((size_t)opts->position_count, sizeof *parts);
    if (parts == NULL)
        return ERR_NOMEM;
    proto_init(&proto_fetch_request_schema, &request);
    proto_init(&proto_fetch_request_fetch_topic_schema, &topic);
    for (int32_t i = 0; i < opts->position_count; i++) {
        proto_init(&proto_fetch_request_fetch_partition_schema, &parts[i]);
        parts[i].partition = opts->positions[i].partition;
        parts[i].fetch_offset = opts->positions[i].offset;
        parts[i].partition_max_bytes = opts->partition_max_bytes;
    }
    topic.topic = opts->topic;
    topic.partitions.items = parts;
    topic.partitions.count = opts->position_count;
    request.max_wait_ms = opts->max_wait_ms;
    request.min_bytes = 1;
    request.max_bytes = opts->max_bytes;
    request.topics.items = &topic;
    request.topics.count = 1;
    enum err err = build_request(PROTO_FETCH_REQUEST_KEY, opts->version, &request, out);
    mem_free(parts);
    return err;
}
