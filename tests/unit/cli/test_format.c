/* Format strings in both directions: how records are printed, and how lines become records. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/dump_out.h"
#include "cli/format.h"
#include "cli/produce_input.h"
#include "tests/lib/test.h"

static struct bytes
b(const char *z)
{
    return (struct bytes){(const uint8_t *)z, strlen(z)};
}

/* ---- printing ---- */

static char *
printed(const char *format, const struct client_message *message)
{
    char *text;
    size_t len;
    FILE *file = open_memstream(&text, &len);
    assert_non_null(file);
    if (format != NULL)
        format_print(file, format, message);
    else
        format_print_json(file, message);
    fclose(file);
    return text;
}

#define EXPECT(text, want)                \
    do {                                  \
        char *got = (text);               \
        assert_string_equal(got, (want)); \
        free(got);                        \
    } while (0)

static void
every_verb_prints_its_part(void **state)
{
    /* one header "h" = "v" and one without a value, as they stand in a batch */
    static const uint8_t headers[] = {2, 'h', 2, 'v', 2, 'n', 1};
    struct client_message m = {.topic = STR("orders"),
        .partition = 3,
        .offset = 42,
        .timestamp = 1000,
        .key = b("k"),
        .value = b("val"),
        .headers = {headers, sizeof headers},
        .header_count = 2};
    (void)state;
    EXPECT(printed("%t/%p@%o %T %k=%s %K %S %R %h %%\\t\\n", &m),
        "orders/3@42 1000 k=val 1 3 4 h=v,n=NULL %\t\n");
    EXPECT(printed(NULL, &m),
        "{\"topic\":\"orders\",\"partition\":3,\"offset\":42,\"tstype\":\"create\",\"ts\":1000,"
        "\"headers\":[\"h\",\"v\",\"n\",null],\"key\":\"k\",\"payload\":\"val\"}\n");
    m.key = BYTES_NULL;
    m.value = BYTES_NULL;
    m.header_count = 0;
    EXPECT(printed("[%k|%s] %K %S", &m), "[|] -1 -1");
}

static void
wrong_formats_are_refused_before_anything_is_read(void **state)
{
    (void)state;
    assert_null(format_check("%t %p %o %k %s %T %h %K %S %R %%\\n\\t\\r\\0\\\\ text"));
    assert_non_null(format_check("%"));
    assert_non_null(format_check("%x"));
    assert_non_null(format_check("\\"));
    assert_non_null(format_check("\\x"));
}

/* ---- reading ---- */

static struct client_record
line_of(struct input *input, const char *line, bool ok)
{
    struct client_record record = {.partition = -1, .timestamp = -1};
    if (input_line(input, str_of(line), &record) != ok)
        fail_msg("'%s' was %s: %s", line, ok ? "refused" : "taken", input->error);
    return record;
}

static void
a_line_is_a_value_or_key_and_value(void **state)
{
    struct input input;
    (void)state;
    input_init(&input);
    struct client_record r = line_of(&input, "a:b", true);
    assert_true(bytes_eq(r.value, b("a:b")));
    assert_null(r.key.data);
    assert_true(input_separator(&input, "::"));
    r = line_of(&input, "a::b::c", true);
    assert_true(bytes_eq(r.key, b("a")));
    assert_true(bytes_eq(r.value, b("b::c")));
    r = line_of(&input, "::", true);
    assert_non_null(r.key.data);
    assert_int_equal(r.key.len, 0);
    assert_non_null(r.value.data);
    r = line_of(&input, "plain", true);
    assert_null(r.key.data);
    input.tombstones = true;
    r = line_of(&input, "k::", true);
    assert_null(r.value.data);
    assert_false(input_separator(&input, ""));
    input_fini(&input);
}

static void
formats_cut_lines_apart(void **state)
{
    struct input input;
    (void)state;
    input_init(&input);
    assert_null(input_format(&input, "<%p> %T\\t%k=%h|%v\\n"));
    struct client_record r = line_of(&input, "<7> 1234\tkey=a=1,b=2|rest | of it", true);
    assert_int_equal(r.partition, 7);
    assert_int_equal(r.timestamp, 1234);
    assert_true(bytes_eq(r.key, b("key")));
    assert_true(bytes_eq(r.value, b("rest | of it")));
    assert_int_equal(r.header_count, 2);
    assert_true(bytes_eq(r.headers[1].key, b("b")));
    assert_true(bytes_eq(r.headers[1].value, b("2")));
    r = line_of(&input, "<0> 0\t=|", true);
    assert_int_equal(r.header_count, 0);
    assert_int_equal(r.value.len, 0);
    assert_non_null(r.value.data);
    line_of(&input, "7> 1234\tkey=|x", false);
    line_of(&input, "<x> 1234\tkey=|x", false);
    line_of(&input, "<2147483648> 1\tkey=|x", false);
    line_of(&input, "<1> 99999999999999999999\tkey=|x", false);
    line_of(&input, "<1> 1\tkey=noequals|x", false);
    line_of(&input, "<1> 1\tkey", false);
    line_of(&input, "", false);
    assert_null(input_format(&input, "100%% %s"));
    r = line_of(&input, "100% sure", true);
    assert_true(bytes_eq(r.value, b("sure")));
    static const char *const wrong[] = {
        "%k", "", "%s%k", "%s %s", "%s %v", "%x %s", "%s %", "\\", "\\x%s"};
    for (size_t i = 0; i < COUNT_OF(wrong); i++)
        if (input_format(&input, wrong[i]) == NULL)
            fail_msg("'%s' was taken", wrong[i]);
    input_fini(&input);
}

static void
what_is_printed_as_json_is_read_as_json(void **state)
{
    static const uint8_t headers[] = {2, 'h', 2, 'v', 2, 'n', 1};
    struct client_message m = {.topic = STR("t"),
        .timestamp = 77,
        .key = b("k\"\n"),
        .value = b("\xc3\xa4"),
        .headers = {headers, sizeof headers},
        .header_count = 2};
    struct input input;
    (void)state;
    input_init(&input);
    input.json = true;
    char *text = printed(NULL, &m);
    struct client_record r = line_of(&input, text, true);
    assert_true(bytes_eq(r.key, m.key));
    assert_true(bytes_eq(r.value, m.value));
    assert_int_equal(r.timestamp, 77);
    assert_int_equal(r.header_count, 2);
    assert_true(bytes_eq(r.headers[0].value, b("v")));
    assert_null(r.headers[1].value.data);
    free(text);
    r = line_of(&input, "{}", true);
    assert_null(r.value.data);
    assert_int_equal(r.timestamp, -1);
    static const char *const wrong[] = {"", "{", "[]", "3", "null", "{\"key\":1}",
        "{\"payload\":[]}", "{\"headers\":[\"a\"]}", "{\"headers\":[null,\"v\"]}",
        "{\"headers\":{}}", "{\"ts\":\"x\"}", "{\"ts\":1.5}", "{} {}"};
    for (size_t i = 0; i < COUNT_OF(wrong); i++)
        line_of(&input, wrong[i], false);
    input_fini(&input);
}

/* ---- dump-log's stream ---- */

static char *
dumped(bool json)
{
    struct dump_out out;
    char *text;
    size_t len;
    FILE *file = open_memstream(&text, &len);
    assert_non_null(file);
    dump_out_init(&out, file, json, false);
    for (int i = 0; i < 2; i++) {
        dump_file_begin(&out, i == 0 ? "a.log" : "b.log", "log", true);
        for (int k = 0; k < 2 && i == 0; k++) {
            dump_entry_begin(&out);
            dump_i64(&out, "position", k);
            if (k == 1) {
                dump_list_begin(&out, "records");
                dump_entry_begin(&out);
                dump_bytes(&out, "key", BYTES_NULL);
                dump_word(&out, "word", STR("w"));
                dump_entry_end(&out);
                dump_list_end(&out);
            }
            dump_entry_end(&out);
        }
        dump_file_end(&out);
    }
    dump_out_end(&out);
    fclose(file);
    return text;
}

static void
dumps_are_lines_or_one_json_array(void **state)
{
    (void)state;
    EXPECT(dumped(false), "a.log\n"
                          "position=0\n"
                          "position=1\n"
                          "  key=null word=w\n"
                          "\n"
                          "b.log\n");
    EXPECT(dumped(true), "[\n"
                         "{\"file\": \"a.log\", \"kind\": \"log\", \"entries\": [\n"
                         "  {\"position\": 0},\n"
                         "  {\"position\": 1, \"records\": [\n"
                         "    {\"key\": null, \"word\": \"w\"}]}\n"
                         "]},\n"
                         "{\"file\": \"b.log\", \"kind\": \"log\", \"entries\": []}\n"
                         "]\n");
}

TEST_MAIN(cmocka_unit_test(every_verb_prints_its_part),
    cmocka_unit_test(wrong_formats_are_refused_before_anything_is_read),
    cmocka_unit_test(a_line_is_a_value_or_key_and_value), cmocka_unit_test(formats_cut_lines_apart),
    cmocka_unit_test(what_is_printed_as_json_is_read_as_json),
    cmocka_unit_test(dumps_are_lines_or_one_json_array))
