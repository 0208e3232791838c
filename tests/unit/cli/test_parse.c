/* Options, numbers, choices, suggestions, partition lists, times. */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/partitions.h"
#include "cli/suggest.h"
#include "cli/when.h"
#include "tests/lib/test.h"

static int
run_nothing(struct cli *cli)
{
    (void)cli;
    return CLI_OK;
}

static const struct cli_command command = {
    .name = "test words",
    .arguments = "",
    .summary = "for this test",
    .options =
        (const struct cli_option[]){
            {"number", 'n', "N", "a number"},
            {"flag", 'f', NULL, "a flag"},
            {"text", 0, "TEXT", "a text"},
            {NULL, 0, NULL, NULL},
        },
    .arguments_max = -1,
    .run = run_nothing,
};

/* What a call printed on standard error goes to a file, so that the TAP stays clean. */
static int
parse(struct cli *cli, int argc, const char **argv)
{
    FILE *kept = stderr;
    *cli = (struct cli){.command = &command};
    stderr = fopen("/dev/null", "w");
    int code = cli_parse(cli, argc, (char **)(uintptr_t)argv);
    fclose(stderr);
    stderr = kept;
    return code;
}

#define PARSE(cli, ...)                                                         \
    parse((cli), (int)(sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *)), \
        (const char *[]){__VA_ARGS__})

static void
options_stand_anywhere_in_every_form(void **state)
{
    struct cli cli;
    (void)state;
    assert_int_equal(PARSE(&cli, "a", "--number", "1", "b", "--text=x=y", "-f"), CLI_OK);
    assert_int_equal(cli.arg_count, 2);
    assert_string_equal(cli.args[0], "a");
    assert_string_equal(cli.args[1], "b");
    assert_string_equal(cli_value(&cli, "number"), "1");
    assert_string_equal(cli_value(&cli, "text"), "x=y");
    assert_true(cli_flag(&cli, "flag"));
    assert_false(cli_flag(&cli, "help"));
    assert_int_equal(PARSE(&cli, "-n5", "-n", "6", "-o", "json"), CLI_OK);
    assert_string_equal(cli_value(&cli, "number"), "6");
    assert_string_equal(cli_value_at(&cli, "number", 0), "5");
    assert_string_equal(cli_value_at(&cli, "number", 1), "6");
    assert_null(cli_value_at(&cli, "number", 2));
    assert_string_equal(cli_value(&cli, "output"), "json");
}

static void
two_dashes_end_options_and_negative_numbers_are_arguments(void **state)
{
    struct cli cli;
    (void)state;
    assert_int_equal(PARSE(&cli, "-5", "-", "--", "--flag", "-x"), CLI_OK);
    assert_int_equal(cli.arg_count, 4);
    assert_string_equal(cli.args[0], "-5");
    assert_string_equal(cli.args[1], "-");
    assert_string_equal(cli.args[2], "--flag");
    assert_string_equal(cli.args[3], "-x");
    assert_int_equal(PARSE(&cli, "--number", "-5", "--text", "-x"), CLI_OK);
    assert_string_equal(cli_value(&cli, "number"), "-5");
    assert_string_equal(cli_value(&cli, "text"), "-x");
}

static void
wrong_options_are_usage_errors(void **state)
{
    struct cli cli;
    (void)state;
    assert_int_equal(PARSE(&cli, "--nubmer", "1"), CLI_USAGE);
    assert_int_equal(PARSE(&cli, "-x"), CLI_USAGE);
    assert_int_equal(PARSE(&cli, "--number"), CLI_USAGE);
    assert_int_equal(PARSE(&cli, "--number", "--flag"), CLI_USAGE);
    assert_int_equal(PARSE(&cli, "--flag=yes"), CLI_USAGE);
    assert_int_equal(PARSE(&cli, "-fyes"), CLI_USAGE);
    const char *many[130];
    for (size_t i = 0; i < 130; i++)
        many[i] = "-f";
    assert_int_equal(parse(&cli, 64, many), CLI_OK);
    assert_int_equal(parse(&cli, 65, many), CLI_USAGE);
}

static void
numbers_have_bounds_and_thousands(void **state)
{
    static const struct {
        const char *text;
        bool ok;
        int64_t value;
    } cases[] = {
        {"0", true, 0},
        {"-7", true, -7},
        {"+7", true, 7},
        {"3k", true, 3000},
        {"2M", true, 2000000},
        {"1g", true, 1000000000},
        {"9223372036854775807", true, INT64_MAX},
        {"-9223372036854775808", true, INT64_MIN},
        {"9223372036854775808", false, 0},
        {"9223372036854775807k", false, 0},
        {"", false, 0},
        {" 1", false, 0},
        {"1 ", false, 0},
        {"k", false, 0},
        {"1kk", false, 0},
        {"0x10", false, 0},
        {"1.5", false, 0},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        int64_t value = 12345;
        assert_int_equal(
            cli_number_parse(cases[i].text, INT64_MIN, INT64_MAX, &value), cases[i].ok);
        assert_int_equal(value, cases[i].ok ? cases[i].value : 12345);
    }
    int64_t value = 1;
    assert_true(cli_number_parse("5", 5, 5, &value));
    assert_false(cli_number_parse("4", 5, 6, &value));
    assert_false(cli_number_parse("7", 5, 6, &value));
    assert_int_equal(value, 5);
}

static void
distance_counts_letters(void **state)
{
    char too_long[100];
    (void)state;
    assert_int_equal(suggest_distance("", ""), 0);
    assert_int_equal(suggest_distance("abc", ""), 3);
    assert_int_equal(suggest_distance("kitten", "sitting"), 3);
    assert_int_equal(suggest_distance("list", "lsit"), 1); /* neighbours swapped */
    assert_int_equal(suggest_distance("list", "list"), 0);
    assert_int_equal(suggest_distance("list", "lists"), 1);
    memset(too_long, 'a', sizeof too_long);
    too_long[99] = '\0';
    assert_true(suggest_distance(too_long, "a") == SIZE_MAX);
}

static const char *
nearest(const char *word)
{
    struct suggest suggest;
    suggest_init(&suggest, word);
    suggest_add(&suggest, "partitions");
    suggest_add(&suggest, "replicas");
    suggest_add(&suggest, "all");
    suggest_add(&suggest, "to");
    return suggest_best(&suggest);
}

static void
the_nearest_word_is_suggested_when_it_is_near(void **state)
{
    (void)state;
    assert_string_equal(nearest("partitons"), "partitions");
    assert_string_equal(nearest("part"), "partitions"); /* half of it */
    assert_string_equal(nearest("replica"), "replicas");
    assert_string_equal(nearest("al"), "all");
    assert_null(nearest("all")); /* it is the word itself */
    assert_null(nearest("xyz"));
    assert_null(nearest("z")); /* a letter is near to nothing but itself */
    assert_null(nearest(""));
    assert_null(nearest("something-else-entirely"));
}

static void
partition_lists_are_read(void **state)
{
    struct cli cli = {.command = &command};
    struct str topic;
    const char *ranges;
    (void)state;
    assert_int_equal(partitions_parse(&cli, "orders", &topic, &ranges), CLI_OK);
    assert_true(str_eq_z(topic, "orders"));
    assert_null(ranges);
    assert_true(partitions_named(ranges, 77));
    assert_int_equal(partitions_parse(&cli, "orders:0,2-4", &topic, &ranges), CLI_OK);
    assert_true(str_eq_z(topic, "orders"));
    for (int i = 0; i < 6; i++)
        assert_int_equal(partitions_named(ranges, i), i == 0 || (i >= 2 && i <= 4));
    FILE *kept = stderr;
    stderr = fopen("/dev/null", "w");
    static const char *const wrong[] = {"", ":", ":1", "t:", "t:x", "t:1,", "t:,1", "t:3-1", "t:-1",
        "t:1-", "t:1 2", "t:2147483648", "t:99999999999999999999"};
    for (size_t i = 0; i < COUNT_OF(wrong); i++)
        assert_int_equal(partitions_parse(&cli, wrong[i], &topic, &ranges), CLI_USAGE);
    fclose(stderr);
    stderr = kept;
}

static void
moments_are_read_in_every_form(void **state)
{
    const int64_t now = 1769904000000; /* 2026-02-01T00:00:00Z */
    static const struct {
        const char *text;
        int64_t ms;
    } cases[] = {
        {"0", 0},
        {"1769904000123", 1769904000123},
        {"now", 1769904000000},
        {"2026-02-01", 1769904000000},
        {"2026-02-01T00:00:00Z", 1769904000000},
        {"2026-02-01 00:00", 1769904000000},
        {"2026-02-01T01:30:00+01:30", 1769904000000},
        {"2026-01-31T19:00:00-0500", 1769904000000},
        {"2026-02-01T00:00:00.123456Z", 1769904000123},
        {"1970-01-01", 0},
        {"2000-02-29", 951782400000},
        {"2024-12-31T23:59:59.999Z", 1735689599999},
        {"-1s", 1769903999000},
        {"-500ms", 1769903999500},
        {"-2h", 1769896800000},
        {"-1d", 1769817600000},
        {"-1w", 1769299200000},
    };
    static const char *const wrong[] = {"", "yesterday", "-", "-1", "-1y", "-h", "2026-13-01",
        "2026-02-29", "2026-02-01T25:00", "2026-02-01T00:60", "2026-02-01T00:00:61",
        "2026-02-01T00:00:00X", "2026-2-1", "1969-12-31", "2026-02-01T00:00:00+15:00",
        "-99999999999999999999d", "-999999w", "20260201T0000", "99999999999999999999",
        "2026-02-01T00:00:00."};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        int64_t ms = -1;
        assert_true(when_parse(cases[i].text, now, &ms));
        assert_int_equal(ms, cases[i].ms);
    }
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        int64_t ms = 42;
        if (when_parse(wrong[i], now, &ms))
            fail_msg("'%s' was read as %lld", wrong[i], (long long)ms);
    }
}

static void
moments_are_written_so_that_they_read_back(void **state)
{
    char text[WHEN_TEXT_SIZE];
    (void)state;
    when_format(-1, text);
    assert_string_equal(text, "-");
    when_format(0, text);
    assert_string_equal(text, "1970-01-01T00:00:00.000Z");
    uint64_t x = test_seed(7);
    for (int i = 0; i < 2000; i++) {
        x = x * 6364136223846793005ULL + 1442695040888963407ULL;
        int64_t ms = (int64_t)(x >> 18) % 253402300800000; /* to the end of year 9999 */
        int64_t back = -1;
        when_format(ms, text);
        assert_true(when_parse(text, 0, &back));
        assert_int_equal(back, ms);
    }
}

TEST_MAIN(cmocka_unit_test(options_stand_anywhere_in_every_form),
    cmocka_unit_test(two_dashes_end_options_and_negative_numbers_are_arguments),
    cmocka_unit_test(wrong_options_are_usage_errors),
    cmocka_unit_test(numbers_have_bounds_and_thousands), cmocka_unit_test(distance_counts_letters),
    cmocka_unit_test(the_nearest_word_is_suggested_when_it_is_near),
    cmocka_unit_test(partition_lists_are_read), cmocka_unit_test(moments_are_read_in_every_form),
    cmocka_unit_test(moments_are_written_so_that_they_read_back))
