/* Decoding of what peers send, the honest and the hostile. */
#include "tests/lib/test.h"

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/limits.h"
#include "proto/api_versions_request.h"
#include "proto/consumer_group_heartbeat_request.h"
#include "proto/fetch_request.h"
#include "proto/fill.h"
#include "proto/metadata_request.h"
#include "proto/offset_fetch_request.h"
#include "proto/produce_request.h"
#include "proto/request_header.h"
#include "proto/schema.h"

enum { BUDGET = 4 << 20 };

struct input {
    uint8_t data[70000];
    size_t len;
};

static void
put(struct input *in, const void *data, size_t len)
{
    assert_true(in->len + len <= sizeof in->data);
    memcpy(in->data + in->len, data, len);
    in->len += len;
}

#define PUT(in, ...) put(in, (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

/* Decodes from a copy of exactly that size, so that a sanitizer sees any step beyond it. */
static enum err
decode_in(struct arena *arena, const struct proto_schema *schema, int version,
    const struct input *in, void *msg)
{
    uint8_t *copy = malloc(in->len + 1);
    struct reader r;

    assert_non_null(copy);
    memcpy(copy, in->data, in->len);
    copy = realloc(copy, in->len > 0 ? in->len : 1);
    reader_init(&r, (struct bytes){copy, in->len});
    enum err err = proto_decode(schema, (int16_t)version, &r, arena, msg);
    free(copy);
    return err;
}

static enum err
decode(const struct proto_schema *schema, int version, const struct input *in, void *msg)
{
    struct arena arena;

    arena_init(&arena, BUDGET);
    enum err err = decode_in(&arena, schema, version, in, msg);
    arena_fini(&arena);
    return err;
}

/* ---- honest ---- */

static void
every_message_survives_encoding_and_decoding(void **state)
{
    int count;
    const struct proto_message *all = proto_message_list(&count);
    uint64_t seed = test_seed(1);
    struct arena arena;
    struct writer w;

    (void)state;
    arena_init(&arena, BUDGET);
    writer_init(&w, 16 << 20);
    for (int m = 0; m < count; m++) {
        const struct proto_schema *s = all[m].schema;
        for (int v = proto_schema_version_min(s); v <= proto_schema_version_max(s); v++) {
            for (int i = 0; i < 5; i++) {
                struct reader r;
                arena_reset(&arena);
                buf_clear(&w.buf);
                void *a = arena_alloc(&arena, proto_schema_size(s));
                void *b = arena_alloc(&arena, proto_schema_size(s));
                assert_int_equal(proto_fill(s, (int16_t)v, seed++, &arena, a), ERR_OK);
                assert_int_equal(proto_encode(s, (int16_t)v, a, &w), ERR_OK);
                reader_init(&r, buf_bytes(&w.buf));
                assert_int_equal(proto_decode(s, (int16_t)v, &r, &arena, b), ERR_OK);
                assert_int_equal(reader_remaining(&r), 0);
                assert_true(proto_equal(s, a, b));
            }
        }
    }
    writer_fini(&w);
    arena_fini(&arena);
}

static void
bytes_after_the_message_are_left(void **state)
{
    const uint8_t bytes[] = {0, 0, 0, 0, 99};
    struct proto_metadata_request msg;
    struct arena arena;
    struct reader r;

    (void)state;
    arena_init(&arena, BUDGET);
    reader_init(&r, (struct bytes){bytes, sizeof bytes});
    assert_int_equal(proto_decode(&proto_metadata_request_schema, 0, &r, &arena, &msg), ERR_OK);
    assert_int_equal(msg.topics.count, 0);
    assert_int_equal(reader_remaining(&r), 1);
    arena_fini(&arena);
}

static void
fields_that_a_version_lacks_have_their_defaults(void **state)
{
    struct input in = {0};
    struct proto_fetch_request msg;

    (void)state;
    /* v4: replica, max wait, min bytes, max bytes, isolation, no topics */
    PUT(&in, 255, 255, 255, 255, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 1, 0, 0, 0, 0);
    assert_int_equal(decode(&proto_fetch_request_schema, 4, &in, &msg), ERR_OK);
    assert_int_equal(msg.max_bytes, 3);
    assert_int_equal(msg.isolation_level, 1);
    assert_int_equal(msg.session_epoch, -1);
    assert_int_equal(msg.replica_state.replica_id, -1);
    assert_true(str_is_null(msg.cluster_id));
    assert_false(str_is_null(msg.rack_id));
}

static void
unknown_tags_are_skipped(void **state)
{
    struct input in = {0};
    struct proto_api_versions_request msg;

    (void)state;
    PUT(&in, 2, 'a', 2, 'b', 2, 5, 3, 1, 2, 3, 200, 1, 0);
    assert_int_equal(decode(&proto_api_versions_request_schema, 3, &in, &msg), ERR_OK);
}

static void
versions_that_do_not_exist_are_unsupported(void **state)
{
    struct input in = {0};
    struct proto_produce_request msg;

    (void)state;
    PUT(&in, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
    assert_int_equal(decode(&proto_produce_request_schema, 2, &in, &msg), ERR_UNSUPPORTED);
    assert_int_equal(decode(&proto_produce_request_schema, 14, &in, &msg), ERR_UNSUPPORTED);
    assert_int_equal(decode(&proto_produce_request_schema, -1, &in, &msg), ERR_UNSUPPORTED);
}

/* ---- the client id in the header ---- */

static enum err
header_with_client_id(int len, size_t actual, struct proto_request_header *msg)
{
    static struct input in;

    in.len = 0;
    PUT(&in, 0, 3, 0, 12, 0, 0, 0, 7, (uint8_t)(len >> 8), (uint8_t)len);
    for (size_t i = 0; i < actual; i++)
        PUT(&in, (uint8_t)(128 + i));
    return decode(&proto_request_header_schema, 1, &in, msg);
}

static void
a_null_client_id_is_read(void **state)
{
    struct proto_request_header msg;

    (void)state;
    assert_int_equal(header_with_client_id(-1, 0, &msg), ERR_OK);
    assert_true(str_is_null(msg.client_id));
    assert_int_equal(header_with_client_id(-2, 0, &msg), ERR_OK);
    assert_true(str_is_null(msg.client_id));
}

static void
the_longest_client_id_is_read_and_one_beyond_the_frame_is_not(void **state)
{
    struct proto_request_header msg;

    (void)state;
    assert_int_equal(header_with_client_id(32767, 32767, &msg), ERR_OK);
    assert_int_equal(msg.client_id.len, 32767);
    assert_int_equal(header_with_client_id(10, 9, &msg), ERR_TRUNCATED);
}

static void
the_flexible_header_keeps_its_plain_client_id(void **state)
{
    struct input in = {0};
    struct proto_request_header msg;

    (void)state;
    PUT(&in, 0, 3, 0, 12, 0, 0, 0, 7, 0, 1, 'x', 0);
    assert_int_equal(decode(&proto_request_header_schema, 2, &in, &msg), ERR_OK);
    assert_int_equal(msg.client_id.len, 1);
    assert_int_equal(msg.correlation_id, 7);
}

/* ---- hostile ---- */

static enum err
tags(const uint8_t *section, size_t len)
{
    struct input in = {0};
    struct proto_api_versions_request msg;

    PUT(&in, 2, 'a', 2, 'b');
    put(&in, section, len);
    return decode(&proto_api_versions_request_schema, 3, &in, &msg);
}

#define TAGS(...) tags((const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

static void
a_flood_of_tags_is_refused(void **state)
{
    (void)state;
    assert_int_equal(TAGS(0x80, 0x80, 0x80, 0x10, 0, 0), ERR_CORRUPT); /* 2^25 */
    assert_int_equal(TAGS(0x91, 0x4e, 0, 0), ERR_CORRUPT);             /* 10,001 */
    assert_int_equal(TAGS(0x90, 0x4e, 0, 0), ERR_TRUNCATED);           /* 10,000 is allowed */
}

static void
tags_come_in_any_order(void **state)
{
    (void)state;
    assert_int_equal(TAGS(2, 9, 0, 8, 0), ERR_OK);
    assert_int_equal(TAGS(2, 9, 0, 9, 0), ERR_OK);
    assert_int_equal(TAGS(2, 8, 0, 9, 0), ERR_OK);
}

static void
the_last_of_a_known_tag_counts(void **state)
{
    struct input in = {0};
    struct proto_fetch_request msg;

    (void)state;
    PUT(&in, 255, 255, 255, 255, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1,
        1, 1);
    PUT(&in, 3, 0, 2, 2, 'c', 9, 0, 0, 3, 3, 'd', 'd'); /* cluster id "c", one unknown, "dd" */
    assert_int_equal(decode(&proto_fetch_request_schema, 12, &in, &msg), ERR_OK);
    assert_true(msg.cluster_id.len == 2); /* not its bytes: decode() has freed them */
}

static void
a_tag_larger_than_the_rest_is_refused(void **state)
{
    (void)state;
    assert_int_equal(TAGS(1, 9, 5, 1, 2), ERR_TRUNCATED);
    assert_int_equal(TAGS(1, 9, 0x80, 0x80, 0x80, 0x80, 0x08, 1), ERR_TRUNCATED); /* 2^31 */
}

static void
a_known_tag_must_fill_its_size(void **state)
{
    struct input in = {0};
    struct proto_fetch_request msg;

    (void)state;
    PUT(&in, 255, 255, 255, 255, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1,
        1, 1);
    size_t start = in.len;
    PUT(&in, 1, 0, 2, 2, 'c'); /* cluster id "c" */
    assert_int_equal(decode(&proto_fetch_request_schema, 12, &in, &msg), ERR_OK);
    assert_true(msg.cluster_id.len == 1);
    in.len = start;
    PUT(&in, 1, 0, 3, 2, 'c', 0);
    assert_int_equal(decode(&proto_fetch_request_schema, 12, &in, &msg), ERR_CORRUPT);
    in.len = start;
    PUT(&in, 1, 0, 1, 2, 'c');
    assert_int_not_equal(decode(&proto_fetch_request_schema, 12, &in, &msg), ERR_OK);
}

static void
a_varint_of_six_bytes_is_corrupt(void **state)
{
    (void)state;
    assert_int_equal(TAGS(0x80, 0x80, 0x80, 0x80, 0x80, 0x01), ERR_CORRUPT);
}

static void
a_huge_count_is_refused_before_memory_is_taken(void **state)
{
    struct input in = {0};
    struct proto_metadata_request msg;
    struct arena arena;

    (void)state;
    arena_init(&arena, BUDGET);
    PUT(&in, 0x7f, 0xff, 0xff, 0xff, 0, 0);
    assert_int_equal(decode_in(&arena, &proto_metadata_request_schema, 1, &in, &msg), ERR_CORRUPT);
    in.len = 0;
    PUT(&in, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0); /* four topics take eight bytes at least */
    assert_int_equal(
        decode_in(&arena, &proto_metadata_request_schema, 1, &in, &msg), ERR_TRUNCATED);
    assert_int_equal(arena.used_bytes, 0);
    arena_fini(&arena);
}

static void
an_array_may_have_a_million_elements_and_no_more(void **state)
{
    size_t len = 4 + 4 * (size_t)(LIMIT_ARRAY_COUNT + 1);
    uint8_t *data = calloc(1, len);
    struct proto_metadata_request msg;
    struct arena arena;
    struct reader r;

    (void)state;
    assert_non_null(data);
    arena_init(&arena, (size_t)256 << 20);
    for (int over = 0; over <= 1; over++) {
        arena_reset(&arena);
        store_be32(data, (uint32_t)(LIMIT_ARRAY_COUNT + over));
        reader_init(&r, (struct bytes){data, len});
        assert_int_equal(proto_decode(&proto_metadata_request_schema, 1, &r, &arena, &msg),
            over ? ERR_CORRUPT : ERR_OK);
    }
    arena_fini(&arena);
    free(data);
}

static void
a_negative_count_is_null_where_null_is_allowed_and_corrupt_elsewhere(void **state)
{
    struct input in = {0};
    struct proto_metadata_request msg;

    (void)state;
    PUT(&in, 255, 255, 255, 254);
    assert_int_equal(decode(&proto_metadata_request_schema, 0, &in, &msg), ERR_CORRUPT);
    assert_int_equal(decode(&proto_metadata_request_schema, 1, &in, &msg), ERR_OK);
    assert_int_equal(msg.topics.count, -1);
}

static void
compact_nulls_follow_the_same_rule(void **state)
{
    struct input in = {0};
    struct proto_api_versions_request versions;
    struct proto_consumer_group_heartbeat_request beat;

    (void)state;
    PUT(&in, 0, 2, 'b', 0);
    assert_int_equal(decode(&proto_api_versions_request_schema, 3, &in, &versions), ERR_CORRUPT);
    in.len = 0;
    PUT(&in, 2, 'g', 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0);
    assert_int_equal(decode(&proto_consumer_group_heartbeat_request_schema, 0, &in, &beat), ERR_OK);
    assert_true(str_is_null(beat.instance_id));
    assert_int_equal(beat.subscribed_topic_names.count, -1);
}

static void
a_compact_string_of_32768_bytes_is_corrupt(void **state)
{
    static struct input in;
    struct proto_api_versions_request msg;

    (void)state;
    for (int over = 0; over <= 1; over++) {
        in.len = 0;
        uint32_t announced = 32767u + (uint32_t)over + 1;
        PUT(&in, (uint8_t)(announced | 0x80), (uint8_t)(announced >> 7 | 0x80),
            (uint8_t)(announced >> 14));
        for (uint32_t i = 0; i + 1 < announced; i++)
            PUT(&in, 'a');
        PUT(&in, 1, 0);
        assert_int_equal(
            decode(&proto_api_versions_request_schema, 3, &in, &msg), over ? ERR_CORRUPT : ERR_OK);
    }
}

static void
nested_counts_stop_at_the_budget(void **state)
{
    static struct input in;
    struct proto_offset_fetch_request msg;
    struct arena arena;

    (void)state;
    arena_init(&arena, 64 << 10);
    PUT(&in, 0x81, 0x40); /* 8,192 groups, all there: 48 bytes each are over the budget */
    for (int i = 0; i < 8192; i++)
        PUT(&in, 1, 0, 1, 0);
    assert_int_equal(
        decode_in(&arena, &proto_offset_fetch_request_schema, 8, &in, &msg), ERR_NOMEM);
    assert_int_equal(msg.groups.count, 0);
    in.len = 0;
    PUT(&in, 0x81, 0x10, 1); /* the first of 2,048 groups fits, its 32,000 topics do not */
    PUT(&in, 0x81, 0xfa, 0x01);
    while (in.len < sizeof in.data)
        PUT(&in, 1);
    arena_reset(&arena);
    assert_int_equal(
        decode_in(&arena, &proto_offset_fetch_request_schema, 8, &in, &msg), ERR_NOMEM);
    assert_true(arena.used_bytes <= 64 << 10);
    arena_fini(&arena);
}

static void
every_prefix_of_every_message_is_refused(void **state)
{
    int count;
    const struct proto_message *all = proto_message_list(&count);
    struct arena arena;
    struct writer w;

    (void)state;
    arena_init(&arena, BUDGET);
    writer_init(&w, 16 << 20);
    for (int m = 0; m < count; m++) {
        const struct proto_schema *s = all[m].schema;
        int16_t v = proto_schema_version_max(s);
        static struct input in;
        arena_reset(&arena);
        buf_clear(&w.buf);
        void *msg = arena_alloc(&arena, proto_schema_size(s));
        assert_int_equal(proto_fill(s, v, test_seed(3), &arena, msg), ERR_OK);
        assert_int_equal(proto_encode(s, v, msg, &w), ERR_OK);
        size_t len = w.buf.len < 2000 ? w.buf.len : 2000;
        for (size_t cut = 0; cut < len; cut++) {
            in.len = 0;
            put(&in, w.buf.data, cut);
            assert_int_not_equal(decode_in(&arena, s, v, &in, msg), ERR_OK);
        }
    }
    writer_fini(&w);
    arena_fini(&arena);
}

static void
flipped_bytes_never_break_the_decoder(void **state)
{
    int count;
    const struct proto_message *all = proto_message_list(&count);
    uint64_t seed = test_seed(5);
    struct arena arena;
    struct writer w;

    (void)state;
    arena_init(&arena, BUDGET);
    writer_init(&w, 16 << 20);
    for (int m = 0; m < count; m++) {
        const struct proto_schema *s = all[m].schema;
        for (int v = proto_schema_version_min(s); v <= proto_schema_version_max(s); v++) {
            static struct input in;
            arena_reset(&arena);
            buf_clear(&w.buf);
            void *msg = arena_alloc(&arena, proto_schema_size(s));
            assert_int_equal(proto_fill(s, (int16_t)v, seed++, &arena, msg), ERR_OK);
            assert_int_equal(proto_encode(s, (int16_t)v, msg, &w), ERR_OK);
            in.len = 0;
            put(&in, w.buf.data, w.buf.len < sizeof in.data ? w.buf.len : sizeof in.data);
            for (size_t i = 0; i < in.len && i < 40; i++) {
                size_t at = (size_t)(seed * 31 + i * 7919) % in.len;
                in.data[at] ^= (uint8_t)(1u << i % 8);
                arena_reset(&arena);
                msg = arena_alloc(&arena, proto_schema_size(s));
                uint8_t *copy = malloc(in.len);
                struct reader r;
                assert_non_null(copy);
                memcpy(copy, in.data, in.len);
                reader_init(&r, (struct bytes){copy, in.len});
                (void)!proto_decode(s, (int16_t)v, &r, &arena, msg);
                /* What was refused is still safe to look at. */
                assert_true(proto_equal(s, msg, msg));
                free(copy);
            }
        }
    }
    writer_fini(&w);
    arena_fini(&arena);
}

TEST_MAIN(cmocka_unit_test(every_message_survives_encoding_and_decoding),
    cmocka_unit_test(bytes_after_the_message_are_left),
    cmocka_unit_test(fields_that_a_version_lacks_have_their_defaults),
    cmocka_unit_test(unknown_tags_are_skipped),
    cmocka_unit_test(versions_that_do_not_exist_are_unsupported),
    cmocka_unit_test(a_null_client_id_is_read),
    cmocka_unit_test(the_longest_client_id_is_read_and_one_beyond_the_frame_is_not),
    cmocka_unit_test(the_flexible_header_keeps_its_plain_client_id),
    cmocka_unit_test(a_flood_of_tags_is_refused), cmocka_unit_test(tags_come_in_any_order),
    cmocka_unit_test(the_last_of_a_known_tag_counts),
    cmocka_unit_test(a_tag_larger_than_the_rest_is_refused),
    cmocka_unit_test(a_known_tag_must_fill_its_size),
    cmocka_unit_test(a_varint_of_six_bytes_is_corrupt),
    cmocka_unit_test(a_huge_count_is_refused_before_memory_is_taken),
    cmocka_unit_test(an_array_may_have_a_million_elements_and_no_more),
    cmocka_unit_test(a_negative_count_is_null_where_null_is_allowed_and_corrupt_elsewhere),
    cmocka_unit_test(compact_nulls_follow_the_same_rule),
    cmocka_unit_test(a_compact_string_of_32768_bytes_is_corrupt),
    cmocka_unit_test(nested_counts_stop_at_the_budget),
    cmocka_unit_test(every_prefix_of_every_message_is_refused),
    cmocka_unit_test(flipped_bytes_never_break_the_decoder))
