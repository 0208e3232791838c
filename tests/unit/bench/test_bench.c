/* The bench's percentiles, and its requests that are changed after they were encoded. */
#include "base/alloc.h"
#include "base/arena.h"
#include "bench/frames.h"
#include "bench/histogram.h"
#include "proto/fetch_request.h"
#include "proto/produce_request.h"
#include "proto/request_header.h"
#include "tests/lib/test.h"
#include "wire/batch.h"

static struct bench_histogram *
histogram_new(void)
{
    struct bench_histogram *h = mem_calloc(1, sizeof *h);
    assert_non_null(h);
    return h;
}

static void
percentiles_are_within_two_percent(void **state)
{
    (void)state;
    struct bench_histogram *h = histogram_new();
    for (int64_t v = 1; v <= 1000000; v += 7)
        bench_histogram_add(h, v * 1000);
    static const double shares[] = {0.01, 0.5, 0.9, 0.99, 0.999};
    for (size_t i = 0; i < COUNT_OF(shares); i++) {
        double exact = shares[i] * 1e9, got = (double)bench_histogram_at(h, shares[i]);
        assert_true(got > exact * 0.98 && got < exact * 1.02);
    }
    assert_int_equal(bench_histogram_at(h, 1), h->max_ns);
    mem_free(h);
}

static void
small_and_huge_values_have_buckets(void **state)
{
    (void)state;
    struct bench_histogram *h = histogram_new();
    assert_int_equal(bench_histogram_at(h, 0.5), 0);
    for (int64_t v = 0; v < 64; v++)
        bench_histogram_add(h, v);
    assert_int_equal(bench_histogram_at(h, 0.5), 31);
    assert_int_equal(bench_histogram_at(h, 1), 63);
    bench_histogram_add(h, INT64_MAX);
    bench_histogram_add(h, -5); /* a clock that went back counts as nothing */
    assert_int_equal(h->counts[0], 2);
    assert_int_equal(bench_histogram_at(h, 1), INT64_MAX);
    mem_free(h);
}

/* Decodes the header and the request; the reader's frame stays alive with the caller. */
static void
decode_request(const struct buf *frame, int16_t key, int16_t version, struct arena *arena,
    struct proto_request_header *header, void *msg)
{
    const struct proto_api *api = proto_api_find(key);
    struct reader r;
    reader_init(&r, buf_bytes(frame));
    assert_int_equal(proto_decode(&proto_request_header_schema,
                         proto_request_header_version(api, version), &r, arena, header),
        ERR_OK);
    assert_int_equal(proto_decode(api->request, version, &r, arena, msg), ERR_OK);
    assert_int_equal(reader_remaining(&r), 0);
}

static void
a_stamped_produce_request_is_a_right_one(void **state)
{
    (void)state;
    for (int32_t record_bytes = 8; record_bytes < 20000; record_bytes = record_bytes * 3 + 1) {
        struct buf batch, frame;
        struct arena arena;
        struct proto_request_header header;
        struct proto_produce_request request;
        struct batch_view view;
        size_t batch_at;
        buf_init(&batch, 1 << 20);
        buf_init(&frame, 1 << 20);
        arena_init(&arena, 1 << 16);
        struct bench_batch_opts opts = {
            .record_bytes = record_bytes, .records = 1, .timestamp_ms = 1000};
        assert_int_equal(bench_build_batch(&opts, &batch), ERR_OK);
        struct bench_produce_opts produce = {.version = BENCH_PRODUCE_VERSION,
            .acks = -1,
            .topic = STR("t"),
            .partition = 3,
            .batch = buf_bytes(&batch)};
        assert_int_equal(bench_build_produce(&produce, &frame, &batch_at), ERR_OK);
        bench_stamp(frame.data + batch_at, batch.len, record_bytes, 0x1122334455667788);
        store_be32(frame.data + BENCH_CORRELATION_AT, 77);
        decode_request(
            &frame, PROTO_PRODUCE_REQUEST_KEY, BENCH_PRODUCE_VERSION, &arena, &header, &request);
        assert_int_equal(header.correlation_id, 77);
        struct bytes sent = request.topic_data.items[0].partition_data.items[0].records.bytes;
        assert_int_equal(request.topic_data.items[0].partition_data.items[0].index, 3);
        assert_int_equal(batch_parse(sent, &view), ERR_OK);
        assert_true(batch_crc_ok(&view));
        assert_int_equal(view.record_count, 1);
        /* The stamp is the value's beginning: the batch ends with the value and the header count.
         */
        assert_int_equal(bench_stamp_at(record_bytes) + (size_t)record_bytes + 1, view.size_bytes);
        assert_true(load_be64(sent.data + bench_stamp_at(record_bytes)) == 0x1122334455667788);
        arena_fini(&arena);
        buf_fini(&frame);
        buf_fini(&batch);
    }
}

static void
a_fetch_request_names_its_positions(void **state)
{
    (void)state;
    struct buf frame;
    struct arena arena;
    struct proto_request_header header;
    struct proto_fetch_request request;
    const struct bench_fetch_position positions[] = {{0, 5}, {7, INT64_C(1) << 40}};
    buf_init(&frame, 1 << 16);
    arena_init(&arena, 1 << 16);
    struct bench_fetch_opts opts = {.version = BENCH_FETCH_VERSION,
        .topic = STR("t"),
        .positions = positions,
        .position_count = 2,
        .max_bytes = 100,
        .partition_max_bytes = 50};
    assert_int_equal(bench_build_fetch(&opts, &frame), ERR_OK);
    decode_request(&frame, PROTO_FETCH_REQUEST_KEY, BENCH_FETCH_VERSION, &arena, &header, &request);
    assert_int_equal(request.topics.items[0].partitions.count, 2);
    assert_int_equal(request.topics.items[0].partitions.items[1].partition, 7);
    assert_true(request.topics.items[0].partitions.items[1].fetch_offset == INT64_C(1) << 40);
    assert_int_equal(request.session_epoch, -1);
    arena_fini(&arena);
    buf_fini(&frame);
}

TEST_MAIN(cmocka_unit_test(percentiles_are_within_two_percent),
    cmocka_unit_test(small_and_huge_values_have_buckets),
    cmocka_unit_test(a_stamped_produce_request_is_a_right_one),
    cmocka_unit_test(a_fetch_request_names_its_positions))
