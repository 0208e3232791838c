/* What tables, JSON, YAML and names look like, and what they do with odd text. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/output.h"
#include "tests/lib/test.h"

struct written {
    char *text;
    size_t len;
};

static void
to_memory(struct output *out, struct written *written)
{
    out->file = open_memstream(&written->text, &written->len);
    assert_non_null(out->file);
}

static void
fill_rows(struct output *out)
{
    static const int32_t nodes[] = {1, 2, 3};
    output_z(out, "orders");
    output_i64(out, 12);
    output_bool(out, true);
    output_ints(out, nodes, 3);
    output_str(out, STR_NULL);
    output_z(out, "a");
    output_i64(out, -3);
    output_bool(out, false);
    output_list(out, 0);
    output_z(out, "x \"y\"\n\x01");
}

/* Both rows in a format; the caller frees. */
static char *
rows_in(enum cli_format format)
{
    static const char *const columns[] = {"topic", "partition_count", "ok", "replicas", "+note"};
    struct output out;
    struct written written = {0};
    output_begin(&out, format, columns, COUNT_OF(columns));
    to_memory(&out, &written);
    FILE *file = out.file;
    fill_rows(&out);
    assert_int_equal(output_end(&out), CLI_OK);
    fclose(file);
    return written.text;
}

#define EXPECT(text, want)                \
    do {                                  \
        char *got = (text);               \
        assert_string_equal(got, (want)); \
        free(got);                        \
    } while (0)

static void
tables_are_aligned_and_wide_ones_have_more_columns(void **state)
{
    (void)state;
    EXPECT(rows_in(CLI_FORMAT_TABLE), "TOPIC   PARTITION-COUNT  OK   REPLICAS\n"
                                      "orders               12  yes  1,2,3\n"
                                      "a                    -3  no   -\n");
    EXPECT(rows_in(CLI_FORMAT_WIDE), "TOPIC   PARTITION-COUNT  OK   REPLICAS  NOTE\n"
                                     "orders               12  yes  1,2,3     -\n"
                                     "a                    -3  no   -         x \"y\"\\x0a\\x01\n");
}

static void
programs_get_every_column_with_its_type(void **state)
{
    (void)state;
    EXPECT(rows_in(CLI_FORMAT_JSON),
        "[\n"
        "  {\"topic\": \"orders\", \"partition_count\": 12, \"ok\": true, \"replicas\": [1, 2, 3], "
        "\"note\": null},\n"
        "  {\"topic\": \"a\", \"partition_count\": -3, \"ok\": false, \"replicas\": [], "
        "\"note\": \"x \\\"y\\\"\\n\\u0001\"}\n"
        "]\n");
    EXPECT(rows_in(CLI_FORMAT_YAML), "- topic: \"orders\"\n"
                                     "  partition_count: 12\n"
                                     "  ok: true\n"
                                     "  replicas: [1, 2, 3]\n"
                                     "  note: null\n"
                                     "- topic: \"a\"\n"
                                     "  partition_count: -3\n"
                                     "  ok: false\n"
                                     "  replicas: []\n"
                                     "  note: \"x \\\"y\\\"\\n\\u0001\"\n");
    EXPECT(rows_in(CLI_FORMAT_NAME), "orders\na\n");
}

static char *
empty_in(enum cli_format format)
{
    static const char *const columns[] = {"topic", "+id"};
    struct output out;
    struct written written = {0};
    output_begin(&out, format, columns, COUNT_OF(columns));
    to_memory(&out, &written);
    FILE *file = out.file;
    assert_int_equal(output_end(&out), CLI_OK);
    fclose(file);
    return written.text;
}

static void
no_rows_are_said_in_every_format(void **state)
{
    (void)state;
    EXPECT(empty_in(CLI_FORMAT_TABLE), "TOPIC\n");
    EXPECT(empty_in(CLI_FORMAT_WIDE), "TOPIC  ID\n");
    EXPECT(empty_in(CLI_FORMAT_JSON), "[]\n");
    EXPECT(empty_in(CLI_FORMAT_YAML), "[]\n");
    EXPECT(empty_in(CLI_FORMAT_NAME), "");
}

/* A record, named rows, and named rows of which there are none. */
static char *
document_in(enum cli_format format)
{
    static const char *const head[] = {"cluster", "+broker_count"};
    static const char *const rows[] = {"broker", "host"};
    static const char *const none[] = {"problem"};
    static const char *const named[] = {"leader"};
    struct output out;
    struct written written = {0};
    output_open(&out, format);
    to_memory(&out, &written);
    FILE *file = out.file;
    output_record(&out, NULL, head, COUNT_OF(head));
    output_z(&out, "c1");
    output_i64(&out, 2);
    output_rows(&out, "brokers", rows, COUNT_OF(rows));
    output_i64(&out, 1);
    output_z(&out, "h");
    output_rows(&out, "problems", none, COUNT_OF(none));
    output_record(&out, "quorum", named, COUNT_OF(named));
    output_i64(&out, 7);
    assert_int_equal(output_end(&out), CLI_OK);
    fclose(file);
    return written.text;
}

static void
documents_of_several_sections_keep_them_apart(void **state)
{
    (void)state;
    EXPECT(document_in(CLI_FORMAT_JSON), "{\n"
                                         "  \"cluster\": \"c1\",\n"
                                         "  \"broker_count\": 2,\n"
                                         "  \"brokers\": [\n"
                                         "    {\"broker\": 1, \"host\": \"h\"}\n"
                                         "  ],\n"
                                         "  \"problems\": [],\n"
                                         "  \"quorum\": {\"leader\": 7}\n"
                                         "}\n");
    EXPECT(document_in(CLI_FORMAT_YAML), "cluster: \"c1\"\n"
                                         "broker_count: 2\n"
                                         "brokers:\n"
                                         "  - broker: 1\n"
                                         "    host: \"h\"\n"
                                         "problems: []\n"
                                         "quorum:\n"
                                         "  leader: 7\n");
    EXPECT(document_in(CLI_FORMAT_TABLE), "CLUSTER  c1\n"
                                          "\n"
                                          "BROKER  HOST\n"
                                          "     1  h\n"
                                          "\n"
                                          "LEADER  7\n");
    EXPECT(document_in(CLI_FORMAT_NAME), "1\n");
}

/* Any bytes at all come out as valid JSON. */
static void
random_bytes_are_valid_json(void **state)
{
    uint64_t x = test_seed(11);
    (void)state;
    for (int round = 0; round < 500; round++) {
        uint8_t bytes[64];
        struct written written = {0};
        json_error_t error;
        for (size_t i = 0; i < sizeof bytes; i++) {
            x = x * 6364136223846793005ULL + 1442695040888963407ULL;
            bytes[i] = (uint8_t)(x >> 56);
        }
        FILE *file = open_memstream(&written.text, &written.len);
        assert_non_null(file);
        output_json_string(file, (struct bytes){bytes, (size_t)(x >> 32) % sizeof bytes});
        fclose(file);
        json_t *value =
            json_loadb(written.text, written.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
        assert_non_null(value);
        json_decref(value);
        free(written.text);
    }
}

static void
characters_outside_ascii_are_one_column_wide(void **state)
{
    static const char *const columns[] = {"name", "next"};
    struct output out;
    struct written written = {0};
    (void)state;
    output_begin(&out, CLI_FORMAT_TABLE, columns, COUNT_OF(columns));
    to_memory(&out, &written);
    FILE *file = out.file;
    output_z(&out, "äöü€x");
    output_z(&out, "1");
    output_z(&out, "abcdef");
    output_z(&out, "");
    assert_int_equal(output_end(&out), CLI_OK);
    fclose(file);
    assert_string_equal(written.text, "NAME    NEXT\näöü€x   1\nabcdef  -\n");
    free(written.text);
}

TEST_MAIN(cmocka_unit_test(tables_are_aligned_and_wide_ones_have_more_columns),
    cmocka_unit_test(programs_get_every_column_with_its_type),
    cmocka_unit_test(no_rows_are_said_in_every_format),
    cmocka_unit_test(documents_of_several_sections_keep_them_apart),
    cmocka_unit_test(random_bytes_are_valid_json),
    cmocka_unit_test(characters_outside_ascii_are_one_column_wide))
