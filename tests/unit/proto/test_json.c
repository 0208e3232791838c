/* Messages as JSON and back. */
#include "tests/lib/test.h"

#include <stdio.h>

#include <string.h>

#include "base/arena.h"
#include "base/uuid.h"
#include "proto/client_quota_record.h"
#include "proto/fill.h"
#include "proto/schema.h"
#include "proto/topic_record.h"
#include "proto/user_scram_credential_record.h"

static void
text_is(const struct proto_schema *schema, int version, const void *msg, const char *want)
{
    struct buf buf;

    buf_init(&buf, 1 << 20);
    assert_int_equal(proto_to_json(schema, (int16_t)version, msg, &buf), ERR_OK);
    assert_string_equal(buf_z(&buf), want);
    buf_fini(&buf);
}

static void
a_record_is_written_as_apache_writes_it(void **state)
{
    struct proto_topic_record msg;

    (void)state;
    proto_init(&proto_topic_record_schema, &msg);
    msg.name = STR("a\"b\\c\n\x01/ž");
    text_is(&proto_topic_record_schema, 0, &msg,
        "{\"name\":\"a\\\"b\\\\c\\n\\u0001/ž\",\"topicId\":\"AAAAAAAAAAAAAAAAAAAAAA\"}");
    msg.name = STR("\xff");
    text_is(&proto_topic_record_schema, 0, &msg,
        "{\"name\":\"\xef\xbf\xbd\",\"topicId\":\"AAAAAAAAAAAAAAAAAAAAAA\"}");
}

static void
numbers_are_written_as_java_writes_them(void **state)
{
    static const struct {
        double value;
        const char *text;
    } cases[] = {{0.0, "0.0"}, {-0.0, "-0.0"}, {1.0, "1.0"}, {-1.5, "-1.5"}, {100.0, "100.0"},
        {0.001, "0.001"}, {0.0009, "9.0E-4"}, {1e7, "1.0E7"}, {9999999.0, "9999999.0"},
        {123456.789, "123456.789"}, {1.0 / 3, "0.3333333333333333"}, {1e300, "1.0E300"},
        {1.25e-10, "1.25E-10"}, {1048576.0, "1048576.0"}, {12345678.9, "1.23456789E7"}};
    struct proto_client_quota_record msg;

    (void)state;
    proto_init(&proto_client_quota_record_schema, &msg);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char want[100];
        msg.value = cases[i].value;
        snprintf(want, sizeof want, "{\"entity\":[],\"key\":\"\",\"value\":%s,\"remove\":false}",
            cases[i].text);
        text_is(&proto_client_quota_record_schema, 0, &msg, want);
    }
}

static void
bytes_are_padded_base64(void **state)
{
    static const char *const texts[] = {"", "TQ==", "TW8=", "TW9s", "TW9sZA=="};
    struct proto_user_scram_credential_record msg, back;
    struct arena arena;

    (void)state;
    arena_init(&arena, 1 << 20);
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        char want[200];
        struct str what;
        proto_init(&proto_user_scram_credential_record_schema, &msg);
        msg.salt = (struct bytes){(const uint8_t *)"Mold", i};
        snprintf(want, sizeof want,
            "{\"name\":\"\",\"mechanism\":0,\"salt\":\"%s\",\"storedKey\":\"\",\"serverKey\":\"\","
            "\"iterations\":0}",
            texts[i]);
        text_is(&proto_user_scram_credential_record_schema, 0, &msg, want);
        assert_int_equal(proto_from_json(&proto_user_scram_credential_record_schema, 0,
                             str_of(want), &arena, &back, &what),
            ERR_OK);
        assert_true(proto_equal(&proto_user_scram_credential_record_schema, &msg, &back));
    }
    arena_fini(&arena);
}

static void
every_message_survives_json(void **state)
{
    int count;
    const struct proto_message *all = proto_message_list(&count);
    uint64_t seed = test_seed(11);
    struct arena arena;
    struct buf buf;

    (void)state;
    arena_init(&arena, 8 << 20);
    buf_init(&buf, 16 << 20);
    for (int m = 0; m < count; m++) {
        const struct proto_schema *s = all[m].schema;
        for (int v = proto_schema_version_min(s); v <= proto_schema_version_max(s); v++) {
            struct str what = STR_NULL;
            arena_reset(&arena);
            buf_clear(&buf);
            void *a = arena_alloc(&arena, proto_schema_size(s));
            void *b = arena_alloc(&arena, proto_schema_size(s));
            assert_int_equal(proto_fill(s, (int16_t)v, seed++, &arena, a), ERR_OK);
            assert_int_equal(proto_to_json(s, (int16_t)v, a, &buf), ERR_OK);
            struct str text = {buf_z(&buf), buf.len};
            assert_int_equal(proto_from_json(s, (int16_t)v, text, &arena, b, &what), ERR_OK);
            /* Records come out empty, as Apache writes them. */
            if (strstr(text.data, "ecords\":\"\"") == NULL)
                assert_true(proto_equal(s, a, b));
        }
    }
    buf_fini(&buf);
    arena_fini(&arena);
}

static void
refused(const struct proto_schema *schema, const char *json, const char *complaint)
{
    struct arena arena;
    struct str what = STR_NULL;
    uint64_t msg[64];

    arena_init(&arena, 1 << 20);
    assert_true(proto_schema_size(schema) <= sizeof msg);
    assert_int_equal(proto_from_json(schema, 0, str_of(json), &arena, msg, &what), ERR_INVALID);
    assert_non_null(what.data);
    char text[200];
    snprintf(text, sizeof text, "%.*s", STR_FMT(what));
    if (strstr(text, complaint) == NULL)
        fail_msg("said \"%s\"", text);
    arena_fini(&arena);
}

static void
bad_json_is_refused_with_a_reason(void **state)
{
    const struct proto_schema *topic = &proto_topic_record_schema;
    const struct proto_schema *scram = &proto_user_scram_credential_record_schema;

    (void)state;
    refused(topic, "", "line");
    refused(topic, "{\"name\":", "line");
    refused(topic, "[]", "must be an object");
    refused(topic, "{\"name\":\"t\"}", "topicId: missing");
    refused(topic, "{\"name\":1,\"topicId\":\"AAAAAAAAAAAAAAAAAAAAAA\"}", "name: must be a string");
    refused(
        topic, "{\"name\":null,\"topicId\":\"AAAAAAAAAAAAAAAAAAAAAA\"}", "name: must not be null");
    refused(topic, "{\"name\":\"t\",\"topicId\":\"short\"}", "topicId: must be an id");
    refused(topic, "{\"name\":\"t\",\"name\":\"t\"}", "line");
    refused(scram, "{\"name\":\"u\",\"mechanism\":128,\"salt\":\"\"}", "mechanism: out of range");
    refused(scram, "{\"name\":\"u\",\"mechanism\":1.5,\"salt\":\"\"}", "mechanism: must be an int");
    refused(scram, "{\"name\":\"u\",\"mechanism\":1,\"salt\":\"A===\"}", "salt: must be base64");
    refused(scram, "{\"name\":\"u\",\"mechanism\":1,\"salt\":\"AB=C\"}", "salt: must be base64");
    refused(scram, "{\"name\":\"u\",\"mechanism\":1,\"salt\":\"AB\"}", "salt: must be base64");
}

TEST_MAIN(cmocka_unit_test(a_record_is_written_as_apache_writes_it),
    cmocka_unit_test(numbers_are_written_as_java_writes_them),
    cmocka_unit_test(bytes_are_padded_base64), cmocka_unit_test(every_message_survives_json),
    cmocka_unit_test(bad_json_is_refused_with_a_reason))
