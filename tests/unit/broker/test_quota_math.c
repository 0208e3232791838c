/* The arithmetic of quotas against figures of Kafka's own classes. vectors/quota_figures.txt: a
 * line "rate|strict|permissive SAMPLES SAMPLE_MS LIMIT", then one for each record: "TIME_MS VALUE
 * MEASURED WAIT_MS", as metrics.stats.Rate, TokenBucket, Sensor and QuotaUtils of Apache
 * Kafka 4.3.1 gave them. */
#include "tests/lib/test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/attr.h"
#include "broker/quota_math.h"

struct figures {
    char kind[16];
    struct quota_window window;
    double limit;
    struct quota_rate *rate;
    struct quota_bucket bucket;
};

static void
begin(struct figures *f, const char *line)
{
    free(f->rate);
    memset(f, 0, sizeof *f);
    assert_int_equal(sscanf(line, "%15s %d %ld %lf", f->kind, &f->window.samples,
                         &f->window.sample_ms, &f->limit),
        4);
    f->rate = calloc(1, quota_rate_size(&f->window));
    assert_non_null(f->rate);
    quota_rate_init(f->rate);
}

static void
same(double theirs, double ours)
{
    double most = fabs(theirs) > 1 ? fabs(theirs) : 1;
    assert_true(fabs(theirs - ours) <= most * 1e-9);
}

static void
step(struct figures *f, const char *line)
{
    int64_t now_ms, wait_ms, got_ms = 0;
    double value, measured;
    assert_int_equal(sscanf(line, "%ld %lf %lf %ld", &now_ms, &value, &measured, &wait_ms), 4);
    if (strcmp(f->kind, "rate") == 0) {
        quota_rate_add(f->rate, &f->window, value, now_ms);
        assert_int_equal(quota_rate_wait_ms(f->rate, &f->window, f->limit, now_ms), wait_ms);
        same(measured, quota_rate_measure(f->rate, &f->window, now_ms));
        return;
    }
    bool strict = strcmp(f->kind, "strict") == 0;
    struct quota_take take = {f->limit, value, strict};
    bool taken = quota_bucket_take(&f->bucket, &f->window, &take, now_ms, &got_ms);
    assert_true(taken || strict);
    assert_int_equal(got_ms, wait_ms);
    assert_true(strict ? taken == (wait_ms == 0) : taken);
    same(measured, f->bucket.tokens);
}

static void
figures_are_those_of_kafkas_classes(void **state)
{
    FILE *file = fopen(VECTORS_DIR "/quota_figures.txt", "r");
    struct figures f = {.rate = NULL};
    char line[256];
    int steps = 0;
    (void)state;
    assert_non_null(file);
    while (fgets(line, sizeof line, file) != NULL) {
        if (line[0] >= 'a') {
            begin(&f, line);
            continue;
        }
        step(&f, line);
        steps++;
    }
    assert_int_equal(steps, 780);
    free(f.rate);
    fclose(file);
}

/* What a producer sees that sends without pause and waits as it is told. */
static void
who_waits_as_told_stays_at_the_limit(void **state)
{
    static const struct quota_window window = {11, 1000};
    struct quota_rate *rate = calloc(1, quota_rate_size(&window));
    int64_t now_ms = 5;
    double sent = 0;
    (void)state;
    assert_non_null(rate);
    quota_rate_init(rate);
    while (now_ms < 60000) {
        quota_rate_add(rate, &window, 50000, now_ms);
        sent += 50000;
        now_ms += quota_rate_wait_ms(rate, &window, 1e6, now_ms) + 1;
    }
    /* A burst at the beginning: the window counts as if it had been empty. */
    assert_true(sent >= 60 * 1e6 && sent <= 72 * 1e6);
    free(rate);
}

static void
odd_limits_give_no_odd_waits(void **state)
{
    static const struct quota_window window = {1, 1000};
    struct quota_rate *rate = calloc(1, quota_rate_size(&window));
    (void)state;
    assert_non_null(rate);
    quota_rate_init(rate);
    quota_rate_add(rate, &window, 1e300, 5);
    assert_true(quota_rate_wait_ms(rate, &window, 1e-300, 5) == INT64_MAX);
    assert_int_equal(quota_rate_wait_ms(rate, &window, (double)NAN, 5), 0);
    assert_int_equal(quota_rate_wait_ms(rate, &window, (double)INFINITY, 5), 0);
    quota_rate_add(rate, &window, -2e300, 5);
    assert_int_equal(quota_rate_wait_ms(rate, &window, 1, 5), 0);
    free(rate);
}

TEST_MAIN(cmocka_unit_test(figures_are_those_of_kafkas_classes),
    cmocka_unit_test(who_waits_as_told_stays_at_the_limit),
    cmocka_unit_test(odd_limits_give_no_odd_waits))
