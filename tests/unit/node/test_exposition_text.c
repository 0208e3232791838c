#include <string.h>

#include "node/exposition_text.h"
#include "tests/lib/test.h"

struct fixture {
    struct buf out;
    struct exposition_text text;
};

static void
start(struct fixture *f, unsigned dialects)
{
    buf_init(&f->out, 1 << 20);
    exposition_text_init(&f->text, &f->out, dialects);
}

static void
expect(struct fixture *f, const char *wanted)
{
    assert_int_equal(f->out.err, ERR_OK);
    assert_string_equal(buf_z(&f->out), wanted);
    buf_fini(&f->out);
}

static void
the_list_is_sound(void **state)
{
    (void)state;
    for (int i = 0; i < METRIC_COUNT; i++) {
        const struct metric_def *def = &metric_defs[i];
        assert_non_null(def->name);
        assert_true(strlen(def->help) > 10);
        assert_true(def->label_count_min <= def->label_count);
        assert_true(def->label_count <= METRIC_LABELS_MAX);
        for (int k = 0; k < i; k++)
            assert_string_not_equal(def->name, metric_defs[k].name);
    }
}

static void
a_family_has_its_head_once_and_its_samples_behind(void **state)
{
    struct fixture f;
    struct str topic = STR("t");
    (void)state;
    start(&f, METRIC_DIALECTS_ALL);
    assert_true(exposition_begin(&f.text, METRIC_KAFKA_SERVER_BROKERTOPICMETRICS_BYTESIN_TOTAL));
    exposition_u64(&f.text, NULL, 0, UINT64_MAX);
    exposition_u64(&f.text, &topic, 1, 0);
    exposition_single_i64(&f.text, METRIC_KAFKA_BROKERS, INT64_MIN);
    expect(&f,
        "# HELP kafka_server_brokertopicmetrics_bytesin_total Bytes of record batches appended"
        " to the partitions this node leads, per topic and over all.\n"
        "# TYPE kafka_server_brokertopicmetrics_bytesin_total counter\n"
        "kafka_server_brokertopicmetrics_bytesin_total 18446744073709551615\n"
        "kafka_server_brokertopicmetrics_bytesin_total{topic=\"t\"} 0\n"
        "# HELP kafka_brokers Brokers that are registered; told by the active controller"
        " only.\n"
        "# TYPE kafka_brokers gauge\n"
        "kafka_brokers -9223372036854775808\n");
}

static void
label_values_are_escaped(void **state)
{
    struct fixture f;
    struct str group = STR("a\"b\\c\nd{}\xc3\xa9");
    (void)state;
    start(&f, METRIC_DIALECTS_ALL);
    exposition_begin(&f.text, METRIC_KAFKA_CONSUMERGROUP_MEMBERS);
    size_t head = f.out.len;
    exposition_i64(&f.text, &group, 1, 1);
    assert_string_equal(buf_z(&f.out) + head,
        "kafka_consumergroup_members{consumergroup=\"a\\\"b\\\\c\\nd{}\xc3\xa9\"} 1\n");
    buf_fini(&f.out);
}

static void
only_text_can_be_a_label(void **state)
{
    static const struct {
        struct str value;
        bool ok;
    } cases[] = {
        {{"", 0}, true},
        {{"plain-1.2_3", 11}, true},
        {{"\x01\x7f\n", 3}, true},
        {{"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", 9}, true},
        {{"\xf4\x8f\xbf\xbf", 4}, true},
        {{"a\0b", 3}, false},
        {{"\x80", 1}, false},
        {{"\xc3", 1}, false},             /* cut */
        {{"\xc3(", 2}, false},            /* no continuation */
        {{"\xc0\xaf", 2}, false},         /* longer than needed */
        {{"\xe0\x80\xaf", 3}, false},     /* likewise */
        {{"\xed\xa0\x80", 3}, false},     /* surrogate */
        {{"\xf4\x90\x80\x80", 4}, false}, /* above the last character */
        {{"\xff", 1}, false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(exposition_label_ok(cases[i].value), cases[i].ok);
}

static void
dialects_and_partitions_are_left_out_when_not_asked_for(void **state)
{
    struct fixture f;
    struct str labels[] = {STR("t"), STR("0")};
    (void)state;
    start(&f, METRIC_DIALECT_NATIVE);
    f.text.aggregated = true;
    assert_false(exposition_begin(&f.text, METRIC_KAFKA_BROKERS)); /* exporter's */
    exposition_i64(&f.text, NULL, 0, 1);
    assert_false(exposition_begin(&f.text, METRIC_MOLDAU_PARTITION_HIGH_WATERMARK));
    exposition_i64(&f.text, labels, 2, 1);
    assert_true(exposition_begin(&f.text, METRIC_MOLDAU_LOG_CORRUPT));
    buf_clear(&f.out);
    exposition_i64(&f.text, NULL, 0, 3);
    expect(&f, "moldau_log_corrupt 3\n");
}

static void
what_was_forgotten_is_found(void **state)
{
    struct fixture f;
    (void)state;
    start(&f, METRIC_DIALECT_NATIVE);
    for (int i = 0; i < METRIC_COUNT; i++) {
        if (i != METRIC_PROCESS_OPEN_FDS)
            exposition_begin(&f.text, (enum metric)i);
    }
    assert_int_equal(exposition_missing(&f.text), METRIC_PROCESS_OPEN_FDS);
    exposition_begin(&f.text, METRIC_PROCESS_OPEN_FDS);
    assert_int_equal(exposition_missing(&f.text), METRIC_COUNT);
    buf_fini(&f.out);
}

static void
a_histogram_is_cumulative_and_a_summary_has_quantiles(void **state)
{
    struct fixture f;
    struct histogram_counts times = {.sum_us = 70000010};
    (void)state;
    times.buckets[histogram_bucket(10)] = 1;
    times.buckets[histogram_bucket(16)] = 2; /* a border: not below it */
    times.buckets[histogram_bucket(70000000)] = 1;
    start(&f, METRIC_DIALECTS_ALL);
    exposition_begin(&f.text, METRIC_MOLDAU_LOG_FLUSH_SECONDS);
    exposition_histogram(&f.text, NULL, 0, &times);
    const char *text = buf_z(&f.out);
    assert_non_null(strstr(text, "moldau_log_flush_seconds_bucket{le=\"1.6e-05\"} 1\n"));
    assert_non_null(strstr(text, "moldau_log_flush_seconds_bucket{le=\"6.4e-05\"} 3\n"));
    assert_non_null(strstr(text, "moldau_log_flush_seconds_bucket{le=\"67.108864\"} 3\n"));
    assert_non_null(strstr(text, "moldau_log_flush_seconds_bucket{le=\"+Inf\"} 4\n"));
    assert_non_null(strstr(text, "moldau_log_flush_seconds_sum 70.00001\n"));
    assert_non_null(strstr(text, "moldau_log_flush_seconds_count 4\n"));
    exposition_begin(&f.text, METRIC_KAFKA_LOG_LOGFLUSHSTATS_LOGFLUSHRATEANDTIMEMS);
    exposition_summary(&f.text, NULL, 0, &times);
    text = strstr(buf_z(&f.out), "kafka_log_logflushstats_logflushrateandtimems{");
    assert_non_null(text);
    assert_non_null(strstr(text, "{quantile=\"0.50\"} 0.016\n"));
    assert_non_null(strstr(text, "{quantile=\"0.999\"} 67108.864\n"));
    assert_non_null(strstr(text, "_sum 70000.01\n"));
    assert_non_null(strstr(text, "_count 4\n"));
    buf_fini(&f.out);
}

TEST_MAIN(cmocka_unit_test(the_list_is_sound),
    cmocka_unit_test(a_family_has_its_head_once_and_its_samples_behind),
    cmocka_unit_test(label_values_are_escaped), cmocka_unit_test(only_text_can_be_a_label),
    cmocka_unit_test(dialects_and_partitions_are_left_out_when_not_asked_for),
    cmocka_unit_test(what_was_forgotten_is_found),
    cmocka_unit_test(a_histogram_is_cumulative_and_a_summary_has_quantiles))
