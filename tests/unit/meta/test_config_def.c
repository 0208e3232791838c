/* Every key's default passes its own check; ranges, choices and look-ups do what they say. */
#include "tests/lib/test.h"

#include <stdio.h>
#include <string.h>

#include "meta/config_def.h"

static void
every_default_is_in_its_own_range(void **state)
{
    (void)state;
    char why[128];
    for (int scope = 0; scope < CONFIG_SCOPE_COUNT; scope++) {
        size_t count;
        const struct config_def *defs = config_def_list((enum config_scope)scope, &count);
        assert_true(count > 0);
        for (size_t i = 0; i < count; i++) {
            if (i > 0)
                assert_true(strcmp(defs[i - 1].name, defs[i].name) < 0);
            assert_ptr_equal(
                config_def_find((enum config_scope)scope, str_of(defs[i].name)), &defs[i]);
            assert_true(strlen(defs[i].doc) > 10);
            if (defs[i].default_value != NULL &&
                !config_value_check(&defs[i], str_of(defs[i].default_value), why, sizeof why))
                fail_msg("%s=%s %s", defs[i].name, defs[i].default_value, why);
        }
    }
}

static bool
accepts(enum config_scope scope, const char *name, const char *value)
{
    char why[128] = "";
    const struct config_def *def = config_def_find(scope, str_of(name));
    assert_non_null(def);
    bool ok = config_value_check(def, str_of(value), why, sizeof why);
    assert_true(ok || why[0] != '\0');
    return ok;
}

static void
values_out_of_range_are_refused_with_a_reason(void **state)
{
    (void)state;
    assert_true(accepts(CONFIG_SCOPE_TOPIC, "retention.ms", "-1"));
    assert_false(accepts(CONFIG_SCOPE_TOPIC, "retention.ms", "-2"));
    assert_false(accepts(CONFIG_SCOPE_TOPIC, "retention.ms", "soon"));
    assert_false(accepts(CONFIG_SCOPE_TOPIC, "retention.ms", ""));
    assert_false(accepts(CONFIG_SCOPE_TOPIC, "segment.bytes", "4294967296"));
    assert_true(accepts(CONFIG_SCOPE_TOPIC, "cleanup.policy", "compact,delete"));
    assert_false(accepts(CONFIG_SCOPE_TOPIC, "cleanup.policy", "shred"));
    assert_true(accepts(CONFIG_SCOPE_TOPIC, "compression.type", "zstd"));
    assert_false(accepts(CONFIG_SCOPE_TOPIC, "compression.type", "brotli"));
    assert_true(accepts(CONFIG_SCOPE_TOPIC, "compression.gzip.level", "-1"));
    assert_false(accepts(CONFIG_SCOPE_TOPIC, "compression.gzip.level", "0"));
    assert_true(accepts(CONFIG_SCOPE_TOPIC, "preallocate", " TRUE "));
    assert_false(accepts(CONFIG_SCOPE_TOPIC, "preallocate", "yes"));
    assert_true(accepts(CONFIG_SCOPE_TOPIC, "min.cleanable.dirty.ratio", "0.25"));
    assert_false(accepts(CONFIG_SCOPE_TOPIC, "min.cleanable.dirty.ratio", "1.5"));
    assert_false(accepts(CONFIG_SCOPE_BROKER, "num.io.threads", "0"));
}

static void
topic_keys_name_their_broker_keys_with_factors(void **state)
{
    (void)state;
    const struct config_def *def = config_def_find(CONFIG_SCOPE_TOPIC, STR("retention.ms"));
    assert_string_equal(def->synonyms[0].name, "log.retention.ms");
    assert_string_equal(def->synonyms[2].name, "log.retention.hours");
    assert_int_equal(def->synonyms[2].factor, 3600000);
}

static void
a_mistyped_key_is_met_with_its_nearest(void **state)
{
    (void)state;
    assert_null(config_def_find(CONFIG_SCOPE_BROKER, STR("log.dir.s")));
    const struct config_def *near =
        config_def_nearest(CONFIG_SCOPE_BROKER, STR("log.retension.ms"));
    assert_non_null(near);
    assert_string_equal(near->name, "log.retention.ms");
    assert_null(config_def_nearest(CONFIG_SCOPE_BROKER, STR("zzzzzzzzzzzz")));
}

static void
lists_are_split_and_trimmed(void **state)
{
    (void)state;
    struct str rest = STR(" a, ,b ,");
    struct str one;
    assert_true(config_list_next(&rest, &one) && str_eq_z(one, "a"));
    assert_true(config_list_next(&rest, &one) && str_eq_z(one, "b"));
    assert_false(config_list_next(&rest, &one));
}

/* The sentences that Kafka 4.3.1 answers with. */
static void
a_refusal_is_the_sentence_that_kafka_says(void **state)
{
    static const struct {
        enum config_scope scope;
        const char *key, *value, *sentence;
    } cases[] = {
        {CONFIG_SCOPE_TOPIC, "retention.ms", "x",
            "Invalid value x for configuration retention.ms: Not a number of type LONG"},
        {CONFIG_SCOPE_TOPIC, "retention.ms", "-2",
            "Invalid value -2 for configuration retention.ms: Value must be at least -1"},
        {CONFIG_SCOPE_TOPIC, "min.cleanable.dirty.ratio", "2",
            "Invalid value 2.0 for configuration min.cleanable.dirty.ratio: Value must be no more "
            "than 1"},
        {CONFIG_SCOPE_TOPIC, "compression.gzip.level", "0",
            "Invalid value 0 for configuration compression.gzip.level: Value must be between 1 and "
            "9 or equal to -1"},
        {CONFIG_SCOPE_TOPIC, "cleanup.policy", "delete,x",
            "Invalid value x for configuration cleanup.policy: String must be one of: compact, "
            "delete"},
        {CONFIG_SCOPE_TOPIC, "cleanup.policy", "compact,,delete",
            "Configuration 'cleanup.policy' values must not be empty."},
        {CONFIG_SCOPE_TOPIC, "cleanup.policy", "compact,compact", NULL},
        {CONFIG_SCOPE_BROKER, "log.cleanup.policy", "compact,compact",
            "Configuration 'log.cleanup.policy' values must not be duplicated."},
        {CONFIG_SCOPE_BROKER, "listeners", " ",
            "Configuration 'listeners' must not be empty. Valid values include: any non-empty "
            "value"},
        {CONFIG_SCOPE_BROKER, "metric.reporters", "a,b, a",
            "Configuration 'metric.reporters' values must not be duplicated."},
        {CONFIG_SCOPE_BROKER, "ssl.cipher.suites", "a,,b",
            "Configuration 'ssl.cipher.suites' values must not be empty."},
        {CONFIG_SCOPE_BROKER, "ssl.cipher.suites", "", NULL},
        {CONFIG_SCOPE_BROKER, "sasl.kerberos.principal.to.local.rules", "a,a", NULL},
        {CONFIG_SCOPE_TOPIC, "preallocate", "yes",
            "Invalid value yes for configuration preallocate: Expected value to be either true or "
            "false"},
        {CONFIG_SCOPE_TOPIC, "cleanup.policy", "", NULL},
        {CONFIG_SCOPE_TOPIC, "leader.replication.throttled.replicas", "0:1, 1:1", NULL},
        {CONFIG_SCOPE_TOPIC, "leader.replication.throttled.replicas", "*", NULL},
        {CONFIG_SCOPE_GROUP, "share.auto.offset.reset", "by_duration:P1DT2H3.5S", NULL},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct buf why;
        buf_init(&why, 1024);
        bool fine = config_value_explain(
            config_def_find(cases[i].scope, str_of(cases[i].key)), str_of(cases[i].value), &why);
        assert_int_equal(fine, cases[i].sentence == NULL);
        if (!fine)
            assert_string_equal(buf_z(&why), cases[i].sentence);
        buf_fini(&why);
    }
}

TEST_MAIN(cmocka_unit_test(a_refusal_is_the_sentence_that_kafka_says),
    cmocka_unit_test(every_default_is_in_its_own_range),
    cmocka_unit_test(values_out_of_range_are_refused_with_a_reason),
    cmocka_unit_test(topic_keys_name_their_broker_keys_with_factors),
    cmocka_unit_test(a_mistyped_key_is_met_with_its_nearest),
    cmocka_unit_test(lists_are_split_and_trimmed))
