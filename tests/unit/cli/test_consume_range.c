/* Ranges as people write them. */
#include "tests/lib/test.h"

#include <string.h>

#include "cli/consume_range.h"

enum { NOW = 1800000000 }; /* seconds */

static const int64_t now_ms = (int64_t)NOW * 1000;

struct good {
    const char *text;
    enum consume_point_kind from;
    int64_t from_value;
    bool bounded;
    enum consume_point_kind to;
    int64_t to_value;
};

#define START CONSUME_POINT_START, 0
#define END CONSUME_POINT_END, 0
#define OFFSET(n) CONSUME_POINT_OFFSET, (n)
#define BACK(n) CONSUME_POINT_BEFORE_END, (n)
#define TIME(ms) CONSUME_POINT_TIME, (ms)

static void
ranges_are_read(void **state)
{
    const struct good good[] = {
        {"start", START, false, START},
        {"beginning", START, false, START},
        {"end", END, false, START},
        {"0", OFFSET(0), false, START},
        {"12k", OFFSET(12000), false, START},
        {"-5", BACK(5), false, START},
        {"3:7", OFFSET(3), true, OFFSET(7)},
        {"3..7", OFFSET(3), true, OFFSET(7)},
        {"3..", OFFSET(3), false, START},
        {"..7", START, true, OFFSET(7)},
        {"..", START, false, START},
        {"start..end", START, true, END},
        {"-5..-2", BACK(5), true, BACK(2)},
        {"@0", TIME(0), false, START},
        {"@-1h", TIME(now_ms - 3600000), false, START},
        {"@1700000000000", TIME(1700000000000), false, START},
        {"@2023-11-14T22:13:20Z", TIME(1700000000000), false, START},
        {"@2023-11-14T22:13:20Z..@-1h", TIME(1700000000000), true, TIME(now_ms - 3600000)},
        {"@-2h..end", TIME(now_ms - 7200000), true, END},
        {"100..@now", OFFSET(100), true, TIME(now_ms)},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        struct consume_range range;
        char wrong[CONSUME_RANGE_WRONG_SIZE] = "";
        if (!consume_range_parse(good[i].text, now_ms, &range, wrong))
            fail_msg("%s: %s", good[i].text, wrong);
        assert_int_equal(range.from.kind, good[i].from);
        assert_int_equal(range.from.value, good[i].from_value);
        assert_int_equal(range.bounded, good[i].bounded);
        if (good[i].bounded) {
            assert_int_equal(range.to.kind, good[i].to);
            assert_int_equal(range.to.value, good[i].to_value);
        }
    }
}

static void
what_is_wrong_is_said_with_what_would_be_right(void **state)
{
    static const struct {
        const char *text, *says;
    } bad[] = {
        {"", "no offset"},
        {"yesterday", "start, end, N"},
        {"2026-01-31", "write @2026-01-31"},
        {"@", "after the @"},
        {"@tomorrow", "after the @"},
        {"@-10y", "after the @"},
        {"-", "no offset"},
        {"--5", "no offset"},
        {"5..3", "write '3..5'"},
        {"-2..-5", "write '-5..-2'"},
        {"@-1h..@-2h", "write '@-2h..@-1h'"},
        {"..@2030-01-01", "write 'start..'"},
        {"5..@2030-01-01", "write '5..'"},
        {"1..2..3", "no offset"},
        {"99999999999999999999", "no offset"},
        {"0000000000000000000000000000000000000000000000000000000000000000000001", "too long"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct consume_range range;
        char wrong[CONSUME_RANGE_WRONG_SIZE] = "";
        if (consume_range_parse(bad[i].text, now_ms, &range, wrong))
            fail_msg("'%s' was taken", bad[i].text);
        if (strstr(wrong, bad[i].says) == NULL)
            fail_msg("'%s': %s", bad[i].text, wrong);
    }
}

TEST_MAIN(cmocka_unit_test(ranges_are_read),
    cmocka_unit_test(what_is_wrong_is_said_with_what_would_be_right))
