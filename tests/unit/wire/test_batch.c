#include <string.h>

#include "tests/lib/test.h"
#include "wire/batch.h"
#include "wire/batch_builder.h"

static struct bytes
of(const char *z)
{
    return z == NULL ? BYTES_NULL : (struct bytes){(const uint8_t *)z, strlen(z)};
}

static struct buf
batch_of(int count)
{
    struct batch_builder_opts o = BATCH_BUILDER_OPTS_DEFAULT;
    struct batch_builder b;
    struct buf out;
    buf_init(&out, 1 << 20);
    batch_builder_init(&b, &o, &out);
    for (int i = 0; i < count; i++)
        batch_builder_append(&b, &(struct batch_builder_record){
                                     .timestamp = 1000 + i, .key = of("k"), .value = of("v")});
    assert_int_equal(batch_builder_finish(&b), ERR_OK);
    return out;
}

static void
parse_tells_cut_from_corrupt_at_every_length(void **state)
{
    struct buf b = batch_of(3);
    struct batch_view v;
    (void)state;
    for (size_t n = 0; n < b.len; n++)
        assert_int_equal(batch_parse((struct bytes){b.data, n}, &v), ERR_TRUNCATED);
    assert_int_equal(batch_parse(buf_bytes(&b), &v), ERR_OK);
    assert_int_equal(v.records.len, b.len - BATCH_HEADER_SIZE);
    assert_int_equal(batch_parse_header((struct bytes){b.data, BATCH_HEADER_SIZE}, &v), ERR_OK);
    assert_int_equal(v.size_bytes, b.len);
    assert_null(v.whole.data);
    assert_int_equal(
        batch_parse_header((struct bytes){b.data, BATCH_HEADER_SIZE - 1}, &v), ERR_TRUNCATED);
    buf_fini(&b);
}

static void
impossible_lengths_and_magics_are_corrupt(void **state)
{
    struct buf b = batch_of(1);
    struct batch_view v;
    (void)state;
    store_be32(b.data + BATCH_AT_LENGTH, (uint32_t)-1);
    assert_int_equal(batch_parse(buf_bytes(&b), &v), ERR_CORRUPT);
    store_be32(b.data + BATCH_AT_LENGTH, 13);
    assert_int_equal(batch_parse(buf_bytes(&b), &v), ERR_CORRUPT);
    store_be32(b.data + BATCH_AT_LENGTH, 48); /* one short of a header */
    assert_int_equal(batch_parse(buf_bytes(&b), &v), ERR_CORRUPT);
    store_be32(b.data + BATCH_AT_LENGTH, INT32_MAX);
    assert_int_equal(batch_parse(buf_bytes(&b), &v), ERR_TRUNCATED);
    store_be32(b.data + BATCH_AT_LENGTH, (uint32_t)b.len - 12);
    b.data[BATCH_AT_MAGIC] = 3;
    assert_int_equal(batch_parse(buf_bytes(&b), &v), ERR_CORRUPT);
    b.data[BATCH_AT_MAGIC] = 0xff;
    assert_int_equal(batch_parse(buf_bytes(&b), &v), ERR_CORRUPT);
    b.data[BATCH_AT_MAGIC] = 1;
    assert_int_equal(batch_parse(buf_bytes(&b), &v), ERR_UNSUPPORTED);
    buf_fini(&b);
}

static void
offset_and_epoch_are_outside_the_checksum_and_the_rest_inside(void **state)
{
    struct buf b = batch_of(2);
    struct batch_view v;
    (void)state;
    batch_set_base_offset(b.data, INT64_C(1) << 40);
    batch_set_leader_epoch(b.data, 9);
    assert_int_equal(batch_parse(buf_bytes(&b), &v), ERR_OK);
    assert_true(batch_crc_ok(&v));
    assert_int_equal(v.base_offset, INT64_C(1) << 40);
    assert_int_equal(v.leader_epoch, 9);
    for (size_t i = BATCH_AT_ATTRIBUTES; i < b.len; i++) {
        b.data[i] ^= 4;
        assert_false(batch_crc_ok(&v));
        b.data[i] ^= 4;
    }
    buf_fini(&b);
}

static void
sequences_wrap_from_the_maximum_to_zero(void **state)
{
    (void)state;
    assert_int_equal(batch_sequence_add(5, 3), 8);
    assert_int_equal(batch_sequence_add(INT32_MAX, 0), INT32_MAX);
    assert_int_equal(batch_sequence_add(INT32_MAX, 1), 0);
    assert_int_equal(batch_sequence_add(INT32_MAX - 2, 5), 2);
    struct batch_view v = {.base_sequence = INT32_MAX - 1, .last_offset_delta = 3};
    assert_int_equal(batch_last_sequence(&v), 1);
    v.base_sequence = BATCH_NO_SEQUENCE;
    assert_int_equal(batch_last_sequence(&v), BATCH_NO_SEQUENCE);
}

/* A batch around raw record bytes. */
static struct buf
batch_around(const uint8_t *records, size_t len, int32_t count)
{
    struct buf b;
    buf_init(&b, 1000);
    uint8_t *p = buf_extend(&b, BATCH_HEADER_SIZE + len);
    memset(p, 0, BATCH_HEADER_SIZE);
    p[BATCH_AT_MAGIC] = BATCH_MAGIC;
    store_be32(p + BATCH_AT_RECORD_COUNT, (uint32_t)count);
    memcpy(p + BATCH_HEADER_SIZE, records, len);
    batch_seal(p, b.len);
    return b;
}

static enum err
iterate(const uint8_t *records, size_t len, int32_t count, bool strict)
{
    struct buf b = batch_around(records, len, count);
    struct batch_view v;
    struct batch_iter it;
    struct batch_record r;
    assert_int_equal(batch_parse(buf_bytes(&b), &v), ERR_OK);
    if (batch_iter_init(&it, &v, NULL, NULL) == ERR_OK) {
        it.strict = strict;
        while (batch_iter_next(&it, &r))
            ;
    }
    assert_true((it.err == ERR_OK) == (it.what == NULL));
    enum err err = it.err;
    buf_fini(&b);
    return err;
}

#define ITERATE(count, strict, ...) \
    iterate((const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}), count, strict)

static void
malformed_records_are_corrupt(void **state)
{
    (void)state;
    /* length, attributes, timestamp, offset, key, value, headers; varints are zig-zag */
    assert_int_equal(ITERATE(1, true, 12, 0, 0, 0, 1, 1, 0), ERR_OK);
    assert_int_equal(ITERATE(2, true, 12, 0, 0, 0, 1, 1, 0), ERR_CORRUPT);    /* too few */
    assert_int_equal(ITERATE(1, true, 12, 0, 0, 0, 1, 1, 0, 9), ERR_CORRUPT); /* left over */
    assert_int_equal(ITERATE(1, true, 14, 0, 0, 0, 1, 1, 0), ERR_CORRUPT);    /* past the end */
    assert_int_equal(ITERATE(1, true, 14, 0, 0, 0, 1, 1, 0, 0), ERR_CORRUPT); /* too long */
    assert_int_equal(ITERATE(1, true, 10, 0, 0, 0, 1, 1), ERR_CORRUPT);       /* too short */
    assert_int_equal(ITERATE(1, true, 11, 0, 0, 0, 1, 1, 0), ERR_CORRUPT);    /* negative */
    assert_int_equal(ITERATE(1, true, 12, 0, 0, 0, 3, 1, 0), ERR_CORRUPT);    /* key -2 */
    assert_int_equal(ITERATE(1, false, 12, 0, 0, 0, 3, 1, 0), ERR_OK);
    assert_int_equal(ITERATE(1, true, 12, 0, 0, 0, 8, 1, 0), ERR_CORRUPT);       /* key 4 */
    assert_int_equal(ITERATE(1, true, 12, 0, 0, 0, 1, 1, 1), ERR_CORRUPT);       /* headers -1 */
    assert_int_equal(ITERATE(1, true, 12, 0, 0, 0, 1, 1, 2), ERR_CORRUPT);       /* headers 1 */
    assert_int_equal(ITERATE(1, true, 16, 0, 0, 0, 1, 1, 2, 0, 1), ERR_OK);      /* "" = null */
    assert_int_equal(ITERATE(1, true, 16, 0, 0, 0, 1, 1, 2, 1, 1), ERR_CORRUPT); /* null key */
    assert_int_equal(ITERATE(-1, true, 12, 0, 0, 0, 1, 1, 0), ERR_CORRUPT);
    assert_int_equal(ITERATE(INT32_MAX, true, 12, 0, 0, 0, 1, 1, 0), ERR_CORRUPT);
    assert_int_equal(ITERATE(0, true, 12, 0, 0, 0, 1, 1, 0), ERR_OK); /* an empty batch */
    assert_int_equal(
        ITERATE(1, true, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0), ERR_CORRUPT); /* varint */
}

static void
unknown_codecs_are_unsupported(void **state)
{
    struct buf b = batch_of(1), scratch;
    struct compress_ctx *ctx;
    struct batch_view v;
    struct batch_iter it;
    (void)state;
    assert_int_equal(compress_ctx_new(&ctx), ERR_OK);
    buf_init(&scratch, 1000);
    for (int codec = COMPRESS_CODEC_COUNT; codec <= BATCH_ATTR_CODEC_MASK; codec++) {
        store_be16(b.data + BATCH_AT_ATTRIBUTES, (uint16_t)codec);
        assert_int_equal(batch_parse(buf_bytes(&b), &v), ERR_OK);
        assert_int_equal(batch_iter_init(&it, &v, ctx, &scratch), ERR_UNSUPPORTED);
    }
    compress_ctx_free(&ctx);
    buf_fini(&scratch);
    buf_fini(&b);
}

static void
builder_keeps_gaps_last_offset_and_delete_horizon(void **state)
{
    struct batch_builder_opts o = BATCH_BUILDER_OPTS_DEFAULT;
    struct batch_builder b;
    struct batch_view v;
    struct batch_iter it;
    struct batch_record r;
    struct buf out;
    (void)state;
    buf_init(&out, 1000);
    o.base_offset = 100;
    o.last_offset = 120;
    o.delete_horizon_ms = 5000;
    batch_builder_init(&b, &o, &out);
    batch_builder_append_at(&b, 103, &(struct batch_builder_record){.timestamp = 4000});
    batch_builder_append_at(&b, 110, &(struct batch_builder_record){.timestamp = 6000});
    assert_int_equal(batch_builder_finish(&b), ERR_OK);
    assert_int_equal(batch_parse(buf_bytes(&out), &v), ERR_OK);
    assert_true(batch_crc_ok(&v));
    assert_true(batch_has_delete_horizon(&v));
    assert_int_equal(v.base_timestamp, 5000);
    assert_int_equal(batch_last_offset(&v), 120);
    assert_int_equal(v.max_timestamp, 6000);
    assert_int_equal(batch_iter_init(&it, &v, NULL, NULL), ERR_OK);
    assert_true(batch_iter_next(&it, &r));
    assert_int_equal(r.offset, 103);
    assert_int_equal(r.timestamp, 4000);
    assert_true(batch_iter_next(&it, &r));
    assert_int_equal(r.offset, 110);
    assert_int_equal(r.timestamp, 6000);
    assert_false(batch_iter_next(&it, &r));
    assert_int_equal(it.err, ERR_OK);
    buf_fini(&out);
}

static void
builder_that_runs_out_of_room_leaves_the_buffer(void **state)
{
    struct batch_builder_opts o = BATCH_BUILDER_OPTS_DEFAULT;
    struct batch_builder b;
    struct buf out;
    (void)state;
    buf_init(&out, 100);
    buf_append_z(&out, "kept");
    batch_builder_init(&b, &o, &out);
    for (int i = 0; i < 10; i++)
        batch_builder_append(&b, &(struct batch_builder_record){.value = of("some value")});
    assert_int_equal(batch_builder_finish(&b), ERR_LIMIT);
    assert_int_equal(out.len, 4);
    assert_int_equal(out.err, ERR_OK);
    buf_fini(&out);
}

static void
record_size_is_never_below_what_is_added(void **state)
{
    struct batch_header h = {.key = of("header"), .value = of("x")};
    struct batch_builder_record r = {.timestamp = INT64_MAX / 2,
        .key = of("key"),
        .value = of("value"),
        .headers = &h,
        .header_count = 1};
    struct batch_builder_opts o = BATCH_BUILDER_OPTS_DEFAULT;
    struct batch_builder b;
    struct buf out;
    (void)state;
    buf_init(&out, 1000);
    batch_builder_init(&b, &o, &out);
    batch_builder_append(&b, &(struct batch_builder_record){.timestamp = 0});
    size_t before = batch_builder_size(&b);
    batch_builder_append(&b, &r);
    assert_true(batch_builder_size(&b) - before <= batch_builder_record_size(&r));
    assert_int_equal(batch_builder_finish(&b), ERR_OK);
    buf_fini(&out);
}

static void
control_keys_and_end_txn_values_come_back(void **state)
{
    uint8_t key[BATCH_CONTROL_KEY_SIZE], value[BATCH_END_TXN_VALUE_SIZE];
    enum batch_control_type type;
    int32_t epoch;
    (void)state;
    batch_control_key_write(key, BATCH_CONTROL_KRAFT_VOTERS);
    assert_int_equal(batch_control_key_parse((struct bytes){key, sizeof key}, &type), ERR_OK);
    assert_int_equal(type, BATCH_CONTROL_KRAFT_VOTERS);
    key[3] = 77;
    assert_int_equal(batch_control_key_parse((struct bytes){key, sizeof key}, &type), ERR_OK);
    assert_int_equal(type, BATCH_CONTROL_UNKNOWN);
    assert_int_equal(batch_control_key_parse((struct bytes){key, 3}, &type), ERR_CORRUPT);
    key[0] = 0xff;
    assert_int_equal(batch_control_key_parse((struct bytes){key, 4}, &type), ERR_CORRUPT);
    assert_int_equal(batch_control_key_parse(BYTES_NULL, &type), ERR_CORRUPT);
    batch_end_txn_write(value, 12345);
    assert_int_equal(batch_end_txn_parse((struct bytes){value, sizeof value}, &epoch), ERR_OK);
    assert_int_equal(epoch, 12345);
    assert_int_equal(batch_end_txn_parse((struct bytes){value, 5}, &epoch), ERR_CORRUPT);
}

TEST_MAIN(cmocka_unit_test(parse_tells_cut_from_corrupt_at_every_length),
    cmocka_unit_test(impossible_lengths_and_magics_are_corrupt),
    cmocka_unit_test(offset_and_epoch_are_outside_the_checksum_and_the_rest_inside),
    cmocka_unit_test(sequences_wrap_from_the_maximum_to_zero),
    cmocka_unit_test(malformed_records_are_corrupt),
    cmocka_unit_test(unknown_codecs_are_unsupported),
    cmocka_unit_test(builder_keeps_gaps_last_offset_and_delete_horizon),
    cmocka_unit_test(builder_that_runs_out_of_room_leaves_the_buffer),
    cmocka_unit_test(record_size_is_never_below_what_is_added),
    cmocka_unit_test(control_keys_and_end_txn_values_come_back))
