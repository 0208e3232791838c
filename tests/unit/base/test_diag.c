#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/diag.h"
#include "tests/lib/test.h"

struct sink {
    char last[4096];
    int lines;
    int64_t now_ms;
};

static void
sink_write(void *ctx, const char *line, size_t len)
{
    struct sink *sink = ctx;
    assert_true(len < sizeof sink->last);
    memcpy(sink->last, line, len);
    sink->last[len] = '\0';
    sink->lines++;
}

static int64_t
sink_now(void *ctx)
{
    return ((struct sink *)ctx)->now_ms;
}

static struct diag *
diag_make(struct sink *sink)
{
    struct diag *diag = NULL;
    struct diag_opts opts = {.level_min = DIAG_INFO, .write = sink_write, .now_ms = sink_now};
    opts.ctx = sink;
    assert_int_equal(diag_new(&opts, &diag), ERR_OK);
    return diag;
}

static void
a_line_has_time_level_module_event_and_pairs(void **state)
{
    (void)state;
    struct sink sink = {.now_ms = 1795234324789};
    struct diag *diag = diag_make(&sink);
    diag_event(diag, DIAG_WARN, "log", "segment_truncated", DIAG_Z("topic", "orders"),
        DIAG_I64("bytes", 417), DIAG_ERR("cause", ERR_CORRUPT));
    assert_string_equal(sink.last, "2026-11-21T04:12:04.789Z WARN  log segment_truncated "
                                   "topic=orders bytes=417 cause=CORRUPT\n");
    sink.now_ms = 951782400000 + 5000; /* a leap day */
    diag_event(diag, DIAG_INFO, "log", "opened");
    assert_string_equal(sink.last, "2000-02-29T00:00:05.000Z INFO  log opened\n");
    sink.now_ms = -1;
    diag_event(diag, DIAG_ERROR, "log", "odd", DIAG_STR("none", STR_NULL));
    assert_string_equal(sink.last, "1969-12-31T23:59:59.999Z ERROR log odd none=null\n");
    diag_free(&diag);
}

static void
values_from_outside_cannot_forge_lines(void **state)
{
    (void)state;
    struct sink sink = {.now_ms = 0};
    struct diag *diag = diag_make(&sink);
    diag_event(diag, DIAG_INFO, "m", "e", DIAG_Z("v", "a\n\"b\\ \x1b[31m\xc3\xa9"));
    assert_non_null(strstr(sink.last, " v=\"a\\x0a\\\"b\\\\ \\x1b[31m\\xc3\\xa9\"\n"));
    diag_event(diag, DIAG_INFO, "m", "e", DIAG_Z("v", "a=b"), DIAG_Z("w", ""));
    assert_non_null(strstr(sink.last, " v=\"a=b\" w=\"\"\n"));
    char big[3000];
    memset(big, '\n', sizeof big);
    diag_event(diag, DIAG_INFO, "m", "e", DIAG_STR("a", ((struct str){big, sizeof big})),
        DIAG_STR("b", ((struct str){big, sizeof big})),
        DIAG_STR("c", ((struct str){big, sizeof big})));
    assert_int_equal(strlen(sink.last), 2048);
    assert_int_equal(sink.last[2047], '\n');
    diag_free(&diag);
}

static void
each_event_is_limited_to_ten_lines_a_second(void **state)
{
    (void)state;
    struct sink sink = {.now_ms = 5000};
    struct diag *diag = diag_make(&sink);
    for (int i = 0; i < 100; i++)
        diag_event(diag, DIAG_INFO, "net", "flood");
    assert_int_equal(sink.lines, 10);
    diag_event(diag, DIAG_INFO, "net", "other");
    assert_int_equal(sink.lines, 11);
    sink.now_ms += 1000;
    diag_event(diag, DIAG_INFO, "net", "flood");
    assert_non_null(strstr(sink.last, " suppressed=90\n"));
    diag_event(diag, DIAG_INFO, "net", "flood");
    assert_null(strstr(sink.last, "suppressed"));
    diag_free(&diag);
}

static void
sites_beyond_the_table_still_print(void **state)
{
    (void)state;
    struct sink sink = {.now_ms = 5000};
    struct diag *diag = diag_make(&sink);
    static char names[2000][8];
    for (int i = 0; i < 2000; i++) {
        snprintf(names[i], sizeof names[i], "e%d", i);
        diag_event(diag, DIAG_INFO, "m", names[i]);
    }
    assert_true(sink.lines >= 400);
    diag_free(&diag);
}

static void
levels_below_the_minimum_are_discarded(void **state)
{
    (void)state;
    struct sink sink = {.now_ms = 0};
    struct diag *diag = diag_make(&sink);
    diag_event(diag, DIAG_DEBUG, "m", "e");
    assert_int_equal(sink.lines, 0);
    diag_set_level(diag, DIAG_TRACE);
    assert_int_equal(diag_level_get(diag), DIAG_TRACE);
    diag_event(diag, DIAG_TRACE, "m", "e");
    assert_int_equal(sink.lines, 1);
    diag_event((struct diag *)NULL, DIAG_ERROR, "m", "e");
    diag_free(&diag);
    diag_free(&diag);
}

TEST_MAIN(cmocka_unit_test(a_line_has_time_level_module_event_and_pairs),
    cmocka_unit_test(values_from_outside_cannot_forge_lines),
    cmocka_unit_test(each_event_is_limited_to_ten_lines_a_second),
    cmocka_unit_test(sites_beyond_the_table_still_print),
    cmocka_unit_test(levels_below_the_minimum_are_discarded))
