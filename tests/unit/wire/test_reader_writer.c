#include "tests/lib/test.h"
#include "wire/reader.h"
#include "wire/writer.h"

static void
numbers_come_back_as_written(void **state)
{
    struct writer w;
    struct reader r;
    (void)state;
    writer_init(&w, 1000);
    writer_i8(&w, -5);
    writer_i16(&w, -30000);
    writer_i32(&w, INT32_MIN);
    writer_i64(&w, INT64_MIN + 3);
    writer_f64(&w, -0.125);
    assert_int_equal(w.buf.err, ERR_OK);
    reader_init(&r, buf_bytes(&w.buf));
    assert_int_equal(reader_i8(&r), -5);
    assert_int_equal(reader_i16(&r), -30000);
    assert_int_equal(reader_i32(&r), INT32_MIN);
    assert_true(reader_i64(&r) == INT64_MIN + 3);
    assert_true(reader_f64(&r) == -0.125);
    assert_int_equal(reader_remaining(&r), 0);
    assert_int_equal(r.err, ERR_OK);
    writer_fini(&w);
}

static void
varints_come_back_at_every_width(void **state)
{
    static const int64_t values[] = {0, 1, -1, 63, 64, -64, -65, 8191, 8192, INT32_MAX, INT32_MIN,
        (int64_t)1 << 34, -((int64_t)1 << 41), INT64_MAX, INT64_MIN};
    struct writer w;
    struct reader r;
    (void)state;
    writer_init(&w, 1000);
    for (size_t i = 0; i < COUNT_OF(values); i++) {
        writer_varlong(&w, values[i]);
        writer_varint(&w, (int32_t)values[i]);
        writer_uvarint(&w, (uint32_t)values[i]);
        writer_uvarlong(&w, (uint64_t)values[i]);
    }
    reader_init(&r, buf_bytes(&w.buf));
    for (size_t i = 0; i < COUNT_OF(values); i++) {
        assert_true(reader_varlong(&r) == values[i]);
        assert_int_equal(reader_varint(&r), (int32_t)values[i]);
        assert_int_equal(reader_uvarint(&r), (uint32_t)values[i]);
        assert_true(reader_uvarlong(&r) == (uint64_t)values[i]);
    }
    assert_int_equal(r.err, ERR_OK);
    assert_int_equal(reader_remaining(&r), 0);
    writer_fini(&w);
}

static void
overlong_varints_are_corrupt_and_cut_ones_truncated(void **state)
{
    static const uint8_t six[] = {0x80, 0x80, 0x80, 0x80, 0x80, 0x01};
    static const uint8_t eleven[] = {
        0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01};
    struct reader r;
    (void)state;
    reader_init(&r, (struct bytes){six, sizeof six});
    assert_int_equal(reader_uvarint(&r), 0);
    assert_int_equal(r.err, ERR_CORRUPT);
    assert_int_equal(reader_i8(&r), 0); /* latched */
    reader_init(&r, (struct bytes){eleven, sizeof eleven});
    assert_true(reader_uvarlong(&r) == 0);
    assert_int_equal(r.err, ERR_CORRUPT);
    reader_init(&r, (struct bytes){six, 3});
    assert_int_equal(reader_uvarint(&r), 0);
    assert_int_equal(r.err, ERR_TRUNCATED);
}

static void
reading_past_the_end_latches_and_gives_zero(void **state)
{
    static const uint8_t b[3] = {1, 2, 3};
    struct reader r;
    (void)state;
    reader_init(&r, (struct bytes){b, sizeof b});
    assert_int_equal(reader_i32(&r), 0);
    assert_int_equal(r.err, ERR_TRUNCATED);
    assert_int_equal(reader_i8(&r), 0);
    reader_init(&r, BYTES_NULL);
    assert_null(reader_take(&r, 1));
    assert_int_equal(r.err, ERR_TRUNCATED);
}

static void
refuse(void *file)
{
    ++*(int *)file;
}

static void
splices_keep_their_place_and_count_in_the_size(void **state)
{
    struct writer w;
    int file = 0;
    (void)state;
    writer_init(&w, 1000);
    writer_i32(&w, 1);
    for (int i = 0; i < 20; i++) {
        assert_true(writer_splice(&w, &file, i * 100, 10));
        writer_i8(&w, 2);
    }
    assert_int_equal(w.splice_count, 20);
    assert_int_equal(w.splices[0].at, 4);
    assert_int_equal(w.splices[19].at, 23);
    assert_int_equal(w.splices[19].position, 1900);
    assert_int_equal(writer_size(&w), 24 + 200);
    writer_fini(&w);
    writer_init(&w, 2);
    writer_i32(&w, 1);
    assert_int_equal(w.buf.err, ERR_LIMIT);
    assert_false(writer_splice(&w, &file, 0, 1));
    assert_int_equal(file, 0);
    w.refused = refuse;
    assert_false(writer_splice(&w, &file, 0, 1));
    assert_int_equal(file, 1);
    writer_fini(&w);
}

TEST_MAIN(cmocka_unit_test(numbers_come_back_as_written),
    cmocka_unit_test(varints_come_back_at_every_width),
    cmocka_unit_test(overlong_varints_are_corrupt_and_cut_ones_truncated),
    cmocka_unit_test(reading_past_the_end_latches_and_gives_zero),
    cmocka_unit_test(splices_keep_their_place_and_count_in_the_size))
