#include <lz4frame.h>
#include <snappy-c.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/test.h"
#include "wire/compress.h"

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

/* Text that compresses by about ten. */
static struct buf
sample(size_t len)
{
    struct buf b;
    buf_init(&b, len);
    uint8_t *p = buf_extend(&b, len);
    for (size_t i = 0; i < len; i++)
        p[i] = (uint8_t)("the quick brown fox "[(i + i / 97) % 20] + (i * i / 1024) % 3);
    return b;
}

static struct buf
packed(enum compress_codec codec, int level, struct bytes in)
{
    struct buf b;
    buf_init(&b, SIZE_MAX / 2);
    assert_int_equal(compress_encode(ctx, codec, level, in, &b), ERR_OK);
    return b;
}

static enum err
unpack(enum compress_codec codec, struct bytes in, size_t size_max, struct buf *out)
{
    buf_init(out, SIZE_MAX / 2);
    return compress_decode(ctx, codec, in, size_max, out);
}

static void
every_codec_gives_back_what_it_took(void **state)
{
    static const size_t sizes[] = {0, 1, 17, 1000, 32768, 32769, 65536, 65537, 1000000};
    (void)state;
    for (int codec = 0; codec < COMPRESS_CODEC_COUNT; codec++) {
        for (size_t i = 0; i < COUNT_OF(sizes); i++) {
            struct buf in = sample(sizes[i]), out;
            struct buf mid =
                packed((enum compress_codec)codec, COMPRESS_LEVEL_DEFAULT, buf_bytes(&in));
            assert_int_equal(unpack((enum compress_codec)codec, buf_bytes(&mid), sizes[i], &out),
                codec == COMPRESS_NONE || mid.len > 0 ? ERR_OK : ERR_CORRUPT);
            assert_true(bytes_eq(buf_bytes(&in), buf_bytes(&out)));
            buf_fini(&in);
            buf_fini(&mid);
            buf_fini(&out);
        }
    }
}

static void
every_level_works(void **state)
{
    static const struct {
        enum compress_codec codec;
        int level;
    } cases[] = {{COMPRESS_GZIP, -1}, {COMPRESS_GZIP, 1}, {COMPRESS_GZIP, 9}, {COMPRESS_LZ4, 1},
        {COMPRESS_LZ4, 9}, {COMPRESS_LZ4, 17}, {COMPRESS_ZSTD, -131072}, {COMPRESS_ZSTD, 1},
        {COMPRESS_ZSTD, 12}};
    struct buf in = sample(50000);
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct buf out;
        assert_true(compress_level_valid(cases[i].codec, cases[i].level));
        struct buf mid = packed(cases[i].codec, cases[i].level, buf_bytes(&in));
        assert_int_equal(unpack(cases[i].codec, buf_bytes(&mid), in.len, &out), ERR_OK);
        assert_true(bytes_eq(buf_bytes(&in), buf_bytes(&out)));
        buf_fini(&mid);
        buf_fini(&out);
    }
    buf_fini(&in);
    assert_false(compress_level_valid(COMPRESS_GZIP, 0));
    assert_false(compress_level_valid(COMPRESS_GZIP, 10));
    assert_false(compress_level_valid(COMPRESS_LZ4, 18));
    assert_false(compress_level_valid(COMPRESS_ZSTD, 23));
}

static void
one_byte_over_the_bound_is_a_limit_and_leaves_the_output(void **state)
{
    struct buf in = sample(200000);
    (void)state;
    for (int codec = 0; codec < COMPRESS_CODEC_COUNT; codec++) {
        struct buf out;
        struct buf mid = packed((enum compress_codec)codec, COMPRESS_LEVEL_DEFAULT, buf_bytes(&in));
        buf_init(&out, SIZE_MAX / 2);
        buf_append_z(&out, "before");
        assert_int_equal(
            compress_decode(ctx, (enum compress_codec)codec, buf_bytes(&mid), in.len - 1, &out),
            ERR_LIMIT);
        assert_int_equal(out.len, 6);
        assert_int_equal(out.err, ERR_OK);
        assert_int_equal(
            compress_decode(ctx, (enum compress_codec)codec, buf_bytes(&mid), in.len, &out),
            ERR_OK);
        assert_int_equal(out.len, in.len + 6);
        buf_fini(&out);
        buf_fini(&mid);
    }
    buf_fini(&in);
}

static void
a_cut_or_flipped_stream_never_passes_for_the_whole(void **state)
{
    struct buf in = sample(3000);
    (void)state;
    for (int codec = COMPRESS_GZIP; codec < COMPRESS_CODEC_COUNT; codec++) {
        struct buf mid = packed((enum compress_codec)codec, COMPRESS_LEVEL_DEFAULT, buf_bytes(&in));
        for (size_t cut = 0; cut < mid.len; cut++) {
            struct buf out;
            enum err err =
                unpack((enum compress_codec)codec, (struct bytes){mid.data, cut}, 1 << 20, &out);
            assert_true(
                err == ERR_CORRUPT || err == ERR_LIMIT || (err == ERR_OK && out.len < in.len));
            buf_fini(&out);
        }
        for (size_t i = 0; i < mid.len; i++) {
            struct buf out;
            mid.data[i] ^= 0x55;
            enum err err = unpack((enum compress_codec)codec, buf_bytes(&mid), 1 << 20, &out);
            assert_true(err == ERR_CORRUPT || err == ERR_LIMIT || err == ERR_OK);
            buf_fini(&out);
            mid.data[i] ^= 0x55;
        }
        buf_fini(&mid);
    }
    buf_fini(&in);
}

static void
gzip_members_follow_one_another_and_garbage_after_them_is_ignored(void **state)
{
    struct buf one = sample(100), two = sample(70000), out;
    struct buf a = packed(COMPRESS_GZIP, 6, buf_bytes(&one));
    struct buf b = packed(COMPRESS_GZIP, 1, buf_bytes(&two));
    (void)state;
    buf_append(&a, b.data, b.len);
    struct buf none = packed(COMPRESS_GZIP, 6, (struct bytes){(const uint8_t *)"", 0});
    buf_append(&a, none.data, none.len);
    buf_append_z(&a, "garbage that is no member at all");
    assert_int_equal(unpack(COMPRESS_GZIP, buf_bytes(&a), 70100, &out), ERR_OK);
    assert_int_equal(out.len, 70100);
    assert_memory_equal(out.data, one.data, 100);
    assert_memory_equal(out.data + 100, two.data, 70000);
    buf_fini(&out);
    buf_fini(&one);
    buf_fini(&two);
    buf_fini(&none);
    buf_fini(&a);
    buf_fini(&b);
}

static void
gzip_bomb_stops_at_the_bound(void **state)
{
    struct buf zeros, out;
    (void)state;
    buf_init(&zeros, 64 << 20);
    memset(buf_extend(&zeros, 32 << 20), 0, 32 << 20);
    for (int codec = COMPRESS_GZIP; codec < COMPRESS_CODEC_COUNT; codec++) {
        struct buf mid = packed((enum compress_codec)codec, 1, buf_bytes(&zeros));
        assert_int_equal(
            unpack((enum compress_codec)codec, buf_bytes(&mid), 1 << 20, &out), ERR_LIMIT);
        assert_true(out.capacity <= 3 << 20);
        buf_fini(&out);
        buf_fini(&mid);
    }
    buf_fini(&zeros);
}

static void
snappy_raw_and_concatenated_streams_are_read(void **state)
{
    struct buf in = sample(5000), out;
    char raw[8192];
    size_t n = sizeof raw;
    (void)state;
    assert_int_equal(snappy_compress((const char *)in.data, in.len, raw, &n), SNAPPY_OK);
    assert_int_equal(
        unpack(COMPRESS_SNAPPY, (struct bytes){(const uint8_t *)raw, n}, 1 << 20, &out), ERR_OK);
    assert_true(bytes_eq(buf_bytes(&in), buf_bytes(&out)));
    buf_fini(&out);
    struct buf a = packed(COMPRESS_SNAPPY, 0, buf_bytes(&in));
    struct buf b = packed(COMPRESS_SNAPPY, 0, buf_bytes(&in));
    buf_append(&a, b.data, b.len);
    assert_int_equal(unpack(COMPRESS_SNAPPY, buf_bytes(&a), 1 << 20, &out), ERR_OK);
    assert_int_equal(out.len, 10000);
    buf_fini(&out);
    buf_fini(&a);
    buf_fini(&b);
    /* A length that no input of that size can have costs no memory. */
    static const uint8_t liar[] = {0xff, 0xff, 0xff, 0xff, 0x0f, 0};
    assert_int_equal(unpack(COMPRESS_SNAPPY, (struct bytes){liar, sizeof liar}, SIZE_MAX / 4, &out),
        ERR_CORRUPT);
    assert_int_equal(out.capacity, 0);
    buf_fini(&out);
    buf_fini(&in);
}

static void
lz4_dependent_blocks_are_refused_and_checksums_checked(void **state)
{
    struct buf in = sample(200000), out;
    LZ4F_preferences_t linked = {.frameInfo = {.blockMode = LZ4F_blockLinked}};
    LZ4F_preferences_t summed = {.frameInfo = {.blockMode = LZ4F_blockIndependent,
                                     .contentChecksumFlag = LZ4F_contentChecksumEnabled,
                                     .blockChecksumFlag = LZ4F_blockChecksumEnabled,
                                     .contentSize = 200000}};
    static uint8_t frame[300000];
    (void)state;
    size_t n = LZ4F_compressFrame(frame, sizeof frame, in.data, in.len, &linked);
    assert_false(LZ4F_isError(n));
    assert_int_equal(unpack(COMPRESS_LZ4, (struct bytes){frame, n}, 1 << 20, &out), ERR_CORRUPT);
    buf_fini(&out);
    n = LZ4F_compressFrame(frame, sizeof frame, in.data, in.len, &summed);
    assert_false(LZ4F_isError(n));
    assert_int_equal(unpack(COMPRESS_LZ4, (struct bytes){frame, n}, 1 << 20, &out), ERR_OK);
    assert_true(bytes_eq(buf_bytes(&in), buf_bytes(&out)));
    buf_fini(&out);
    frame[6] ^= 1; /* header checksum, or a size byte covered by it */
    assert_int_equal(unpack(COMPRESS_LZ4, (struct bytes){frame, n}, 1 << 20, &out), ERR_CORRUPT);
    buf_fini(&out);
    buf_fini(&in);
}

static void
names_are_kafkas(void **state)
{
    enum compress_codec codec;
    (void)state;
    assert_string_equal(compress_codec_name(COMPRESS_ZSTD), "zstd");
    assert_null(compress_codec_name(5));
    assert_true(compress_codec_parse(STR("lz4"), &codec));
    assert_int_equal(codec, COMPRESS_LZ4);
    assert_false(compress_codec_parse(STR("producer"), &codec));
}

TEST_MAIN(cmocka_unit_test_setup_teardown(every_codec_gives_back_what_it_took, setup, teardown),
    cmocka_unit_test_setup_teardown(every_level_works, setup, teardown),
    cmocka_unit_test_setup_teardown(
        one_byte_over_the_bound_is_a_limit_and_leaves_the_output, setup, teardown),
    cmocka_unit_test_setup_teardown(
        a_cut_or_flipped_stream_never_passes_for_the_whole, setup, teardown),
    cmocka_unit_test_setup_teardown(
        gzip_members_follow_one_another_and_garbage_after_them_is_ignored, setup, teardown),
    cmocka_unit_test_setup_teardown(gzip_bomb_stops_at_the_bound, setup, teardown),
    cmocka_unit_test_setup_teardown(snappy_raw_and_concatenated_streams_are_read, setup, teardown),
    cmocka_unit_test_setup_teardown(
        lz4_dependent_blocks_are_refused_and_checksums_checked, setup, teardown),
    cmocka_unit_test(names_are_kafkas))
