/* Batches that Apache Kafka wrote (vectors/Vectors.java), and, when VECTORS_OUT names a directory,
 * the same batches written by us for Vectors.java to read. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/test.h"
#include "wire/batch.h"
#include "wire/batch_builder.h"

enum { SMALL = 20, BIG = 3, BIG_SIZE = 50000 };
#define BASE_TIME INT64_C(1700000000000)

static struct compress_ctx *ctx;

static int
setup(void **state)
{
    (void)state;
    return compress_ctx_new(&ctx) == ERR_OK ? 0 : -1;
}

static int
teardown(void **state)
{
    (void)state;
    compress_ctx_free(&ctx);
    return 0;
}

static struct buf
load(const char *name)
{
    char path[512];
    struct buf b;
    snprintf(path, sizeof path, "%s/%s", VECTORS_DIR, name);
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    buf_init(&b, 1 << 20);
    uint8_t *p = buf_extend(&b, 1 << 16);
    b.len = fread(p, 1, 1 << 16, f);
    fclose(f);
    return b;
}

/* What record i is, in every vector. */
struct expected {
    int64_t timestamp;
    char key[32], value[1024], h1[32];
    uint8_t big[BIG_SIZE];
    struct batch_header headers[2];
    struct batch_builder_record record;
};

static void
expect(struct expected *e, int i, bool big)
{
    e->timestamp = i == 7 ? BASE_TIME + 5000 : BASE_TIME + i * 7;
    e->record = (struct batch_builder_record){.timestamp = e->timestamp};
    if (i % 3 != 0)
        e->record.key = (struct bytes){(uint8_t *)e->key, (size_t)sprintf(e->key, "key-%d", i)};
    if (big) {
        for (int j = 0; j < BIG_SIZE; j++)
            e->big[j] = (uint8_t)('a' + (j / 7 + i) % 26);
        e->record.value = (struct bytes){e->big, BIG_SIZE};
    } else if (i % 5 != 4) {
        size_t n = 0;
        for (int k = 0; k <= i; k++)
            n += (size_t)sprintf(e->value + n, "value-%d", i);
        e->record.value = (struct bytes){(uint8_t *)e->value, n};
    }
    if (i % 4 == 1) {
        e->headers[0].key = (struct bytes){(const uint8_t *)"h1", 2};
        e->headers[0].value = (struct bytes){(uint8_t *)e->h1, (size_t)sprintf(e->h1, "x%d", i)};
        e->headers[1].key = (struct bytes){(const uint8_t *)"", 0};
        e->headers[1].value = BYTES_NULL;
        e->record.headers = e->headers;
        e->record.header_count = 2;
    }
}

static bool
same(struct bytes a, struct bytes b)
{
    return (a.data == NULL) == (b.data == NULL) && bytes_eq(a, b);
}

static void
check_records(const struct batch_view *b, bool big, int64_t append_time)
{
    static struct expected e;
    struct batch_iter it;
    struct batch_record r;
    struct batch_header h;
    struct buf scratch;
    int i = 0;

    buf_init(&scratch, 1 << 20);
    assert_int_equal(batch_iter_init(&it, b, ctx, &scratch), ERR_OK);
    it.strict = true;
    for (; batch_iter_next(&it, &r); i++) {
        expect(&e, i, big);
        assert_int_equal(r.offset, 42 + i);
        assert_int_equal(r.timestamp, append_time >= 0 ? append_time : e.timestamp);
        assert_int_equal(r.sequence, 100 + i);
        assert_true(same(r.key, e.record.key));
        assert_true(same(r.value, e.record.value));
        assert_int_equal(r.header_count, e.record.header_count);
        for (int k = 0; k < r.header_count; k++) {
            assert_true(batch_header_next(&r.headers, &h));
            assert_true(same(h.key, e.headers[k].key));
            assert_true(same(h.value, e.headers[k].value));
        }
        assert_false(batch_header_next(&r.headers, &h));
    }
    assert_int_equal(it.err, ERR_OK);
    assert_int_equal(i, big ? BIG : SMALL);
    buf_fini(&scratch);
}

static void
check_header(const struct batch_view *b, bool big)
{
    assert_true(batch_crc_ok(b));
    assert_int_equal(b->base_offset, 42);
    assert_int_equal(batch_last_offset(b), 42 + (big ? BIG : SMALL) - 1);
    assert_int_equal(b->leader_epoch, 7);
    assert_int_equal(b->producer_id, 4711);
    assert_int_equal(b->producer_epoch, 3);
    assert_int_equal(b->base_sequence, 100);
    assert_int_equal(b->base_timestamp, BASE_TIME);
    assert_int_equal(b->record_count, big ? BIG : SMALL);
    assert_int_equal(batch_is_transactional(b), big);
    assert_false(batch_is_control(b));
    assert_false(batch_has_delete_horizon(b));
}

static void
batches_of_apache_are_read_in_every_codec(void **state)
{
    (void)state;
    for (int codec = 0; codec < COMPRESS_CODEC_COUNT; codec++) {
        for (int big = 0; big <= (codec == COMPRESS_NONE ? 0 : 1); big++) {
            char name[64];
            struct batch_view b;
            snprintf(
                name, sizeof name, "%s%s.batch", big ? "big-" : "", compress_codec_name(codec));
            struct buf file = load(name);
            assert_int_equal(batch_parse(buf_bytes(&file), &b), ERR_OK);
            assert_int_equal(b.size_bytes, file.len);
            assert_int_equal(batch_codec(&b), codec);
            check_header(&b, big);
            check_records(&b, big, -1);
            buf_fini(&file);
        }
    }
}

static void
log_append_time_of_apache_is_every_records_time(void **state)
{
    struct buf file = load("append-time.batch");
    struct batch_view b;
    (void)state;
    assert_int_equal(batch_parse(buf_bytes(&file), &b), ERR_OK);
    check_header(&b, false);
    assert_true(batch_is_log_append_time(&b));
    check_records(&b, false, BASE_TIME + 99);
    /* Turning it into CreateTime and back gives the same bytes, checksum included. */
    struct buf copy = load("append-time.batch");
    batch_set_max_timestamp(copy.data, copy.len, false, BASE_TIME);
    assert_memory_not_equal(copy.data, file.data, file.len);
    batch_set_max_timestamp(copy.data, copy.len, true, BASE_TIME + 99);
    assert_memory_equal(copy.data, file.data, file.len);
    buf_fini(&copy);
    buf_fini(&file);
}

static void
marker_is_byte_for_byte_apaches(void **state)
{
    struct buf file = load("marker.batch"), ours;
    (void)state;
    buf_init(&ours, 1000);
    struct batch_marker_opts opts = {.type = BATCH_CONTROL_COMMIT,
        .base_offset = 77,
        .producer_id = 4711,
        .producer_epoch = 3,
        .timestamp_ms = BASE_TIME,
        .leader_epoch = 7,
        .coordinator_epoch = 12};
    assert_int_equal(batch_build_marker(&opts, &ours), ERR_OK);
    assert_int_equal(ours.len, file.len);
    assert_memory_equal(ours.data, file.data, file.len);
    buf_fini(&file);
    buf_fini(&ours);
}

static void
control_type_of_a_leader_change_is_read(void **state)
{
    struct buf file = load("leader-change.batch");
    enum batch_control_type type;
    struct batch_view b;
    struct batch_iter it;
    struct batch_record r;
    (void)state;
    assert_int_equal(batch_parse(buf_bytes(&file), &b), ERR_OK);
    assert_true(batch_crc_ok(&b));
    assert_true(batch_is_control(&b));
    assert_int_equal(batch_iter_init(&it, &b, NULL, NULL), ERR_OK);
    assert_true(batch_iter_next(&it, &r));
    assert_int_equal(batch_control_key_parse(r.key, &type), ERR_OK);
    assert_int_equal(type, BATCH_CONTROL_LEADER_CHANGE);
    buf_fini(&file);
}

static struct buf
build(int codec, bool big)
{
    static struct expected e;
    struct batch_builder b;
    struct batch_builder_opts o = BATCH_BUILDER_OPTS_DEFAULT;
    struct buf out;

    buf_init(&out, 1 << 20);
    o.codec = (enum compress_codec)codec;
    o.ctx = ctx;
    o.base_offset = 42;
    o.leader_epoch = 7;
    o.producer_id = 4711;
    o.producer_epoch = 3;
    o.base_sequence = 100;
    o.transactional = big;
    batch_builder_init(&b, &o, &out);
    for (int i = 0; i < (big ? BIG : SMALL); i++) {
        expect(&e, i, big);
        batch_builder_append(&b, &e.record);
    }
    assert_int_equal(batch_builder_finish(&b), ERR_OK);
    return out;
}

static void
uncompressed_batch_is_byte_for_byte_apaches(void **state)
{
    struct buf file = load("none.batch");
    struct buf ours = build(COMPRESS_NONE, false);
    (void)state;
    assert_int_equal(ours.len, file.len);
    assert_memory_equal(ours.data, file.data, file.len);
    buf_fini(&file);
    buf_fini(&ours);
}

static void
our_batches_are_read_back_and_exported(void **state)
{
    const char *dir = getenv("VECTORS_OUT");
    (void)state;
    for (int codec = 0; codec < COMPRESS_CODEC_COUNT; codec++) {
        for (int big = 0; big <= 1; big++) {
            struct buf ours = build(codec, big);
            struct batch_view b;
            assert_int_equal(batch_parse(buf_bytes(&ours), &b), ERR_OK);
            check_header(&b, big);
            check_records(&b, big, -1);
            if (dir != NULL) {
                char path[512];
                snprintf(path, sizeof path, "%s/%s%s.batch", dir, big ? "big-" : "",
                    compress_codec_name(codec));
                FILE *f = fopen(path, "wb");
                assert_non_null(f);
                assert_int_equal(fwrite(ours.data, 1, ours.len, f), ours.len);
                fclose(f);
            }
            buf_fini(&ours);
        }
    }
}

TEST_MAIN(
    cmocka_unit_test_setup_teardown(batches_of_apache_are_read_in_every_codec, setup, teardown),
    cmocka_unit_test_setup_teardown(
        log_append_time_of_apache_is_every_records_time, setup, teardown),
    cmocka_unit_test(marker_is_byte_for_byte_apaches),
    cmocka_unit_test(control_type_of_a_leader_change_is_read),
    cmocka_unit_test_setup_teardown(uncompressed_batch_is_byte_for_byte_apaches, setup, teardown),
    cmocka_unit_test_setup_teardown(our_batches_are_read_back_and_exported, setup, teardown))
