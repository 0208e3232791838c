/* libmoldau without a broker: options, arguments, handles, and memory that runs out. */
#include "tests/lib/test.h"

#include <string.h>

#include "base/alloc.h"
#include "moldau/client.h"

enum { ALLOCATIONS_MAX = 200 };

static struct moldau_options *
options_for(const char *servers)
{
    struct moldau_options *options = NULL;
    assert_int_equal(moldau_options_new(&options), MOLDAU_OK);
    assert_int_equal(moldau_options_set(options, "bootstrap.servers", servers), MOLDAU_OK);
    return options;
}

static void
the_version_is_the_projects(void **state)
{
    (void)state;
    assert_string_equal(moldau_version(), PROJECT_VERSION);
}

static void
every_error_has_a_text_and_no_number_crashes(void **state)
{
    (void)state;
    for (int err = -3; err < 40; err++)
        assert_true(moldau_err_text((enum moldau_err)err)[0] != '\0');
    assert_string_equal(moldau_code_name(3), "UNKNOWN_TOPIC_OR_PARTITION");
    assert_true(moldau_code_retriable(3) && !moldau_code_retriable(17));
    assert_string_equal(moldau_code_name(32000), "UNKNOWN");
    assert_true(moldau_code_text(32000)[0] != '\0');
}

static void
options_are_checked_when_they_are_set(void **state)
{
    static const char *const bad[][3] = {
        {"acks", "2", "acks: wants one of all, -1, 0, 1, not '2'"},
        {"linger.ms", "soon", "linger.ms: wants a number"},
        {"linger.ms", "-1", "linger.ms: wants a number"},
        {"linger.ms", "5x", "linger.ms: wants a number"},
        {"linger.ms", "", "linger.ms: wants a number"},
        {"request.timeout.ms", "99999999999999999999", "request.timeout.ms: wants a number"},
        {"enable.idempotence", "yes", "enable.idempotence: wants one of true, false"},
        {"compression.type", "brotli", "compression.type: wants one of none, gzip"},
        {"partition.assignment.strategy", "range,sticky", "partition.assignment.strategy: wants"},
        {"partition.assignment.strategy", "", "partition.assignment.strategy: wants"},
        {"no.such.option", "1", "no option 'no.such.option'"},
    };
    struct moldau_options *options = options_for("127.0.0.1:1");
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(moldau_options_set(options, bad[i][0], bad[i][1]), MOLDAU_ERR_INVALID);
        if (strstr(moldau_options_error(options), bad[i][2]) == NULL)
            fail_msg("'%s' says '%s'", bad[i][1], moldau_options_error(options));
    }
    assert_int_equal(moldau_options_set(options, "acks", "1"), MOLDAU_OK);
    assert_string_equal(moldau_options_error(options), "");
    assert_string_equal(moldau_options_get(options, "acks"), "1");
    assert_string_equal(moldau_options_get(options, "linger.ms"), "5"); /* the default */
    assert_null(moldau_options_get(options, "no.such.option"));
    assert_int_equal(moldau_options_set(options, NULL, "1"), MOLDAU_ERR_INVALID);
    assert_int_equal(moldau_options_set(options, "acks", NULL), MOLDAU_ERR_INVALID);
    moldau_options_free(&options);
    assert_null(options);
    moldau_options_free(&options);
}

static void
a_client_without_usable_servers_is_refused_with_a_text(void **state)
{
    static const char *const bad[] = {"", ":9092", "host:port", "host:0", "host:65536", ",,"};
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct moldau_options *options = options_for(bad[i]);
        struct moldau_client *client = NULL;
        assert_int_equal(moldau_client_new(options, &client), MOLDAU_ERR_INVALID);
        assert_null(client);
        assert_non_null(strstr(moldau_options_error(options), "bootstrap.servers"));
        moldau_options_free(&options);
    }
}

static void
options_that_contradict_each_other_are_refused(void **state)
{
    static const char *const bad[][4] = {
        {"acks", "1", "enable.idempotence", "true"},
        {"compression.type", "gzip", "compression.gzip.level", "0"},
        {"max.request.size", "2000000", "buffer.memory", "1000000"},
    };
    struct moldau_options *options = options_for("127.0.0.1:1");
    struct moldau_client *client = NULL;
    (void)state;
    assert_int_equal(moldau_client_new(options, &client), MOLDAU_OK);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct moldau_options *own = options_for("127.0.0.1:1");
        struct moldau_producer *producer = NULL;
        assert_int_equal(moldau_options_set(own, bad[i][0], bad[i][1]), MOLDAU_OK);
        assert_int_equal(moldau_options_set(own, bad[i][2], bad[i][3]), MOLDAU_OK);
        assert_int_equal(moldau_producer_new(client, own, &producer), MOLDAU_ERR_INVALID);
        assert_null(producer);
        assert_true(moldau_client_error(client)[0] != '\0');
        moldau_options_free(&own);
    }
    /* acks=1 alone switches idempotence off, as in Kafka. */
    struct moldau_producer *producer = NULL;
    struct moldau_consumer *consumer = NULL;
    assert_int_equal(moldau_options_set(options, "acks", "1"), MOLDAU_OK);
    assert_int_equal(moldau_producer_new(client, options, &producer), MOLDAU_OK);
    moldau_producer_free(&producer);
    assert_int_equal(moldau_options_set(options, "heartbeat.interval.ms", "45000"), MOLDAU_OK);
    assert_int_equal(moldau_consumer_new(client, options, &consumer), MOLDAU_ERR_INVALID);
    moldau_client_free(&client);
    moldau_options_free(&options);
}

static void
no_handle_is_an_answer_and_no_crash(void **state)
{
    struct moldau_client *client = NULL;
    struct moldau_producer *producer = NULL;
    struct moldau_consumer *consumer = NULL;
    struct moldau_result *result = NULL;
    const struct moldau_message *message;
    struct moldau_record record = MOLDAU_RECORD_INIT;
    struct moldau_topic_partition part = {"t", 0};
    int64_t number;
    size_t count = 7;
    (void)state;
    assert_int_equal(moldau_options_new(NULL), MOLDAU_ERR_INVALID);
    assert_int_equal(moldau_client_new(NULL, &client), MOLDAU_ERR_INVALID);
    assert_int_equal(moldau_producer_new(NULL, NULL, &producer), MOLDAU_ERR_INVALID);
    assert_int_equal(moldau_consumer_new(NULL, NULL, &consumer), MOLDAU_ERR_INVALID);
    assert_int_equal(moldau_client_run(NULL, 0), MOLDAU_ERR_INVALID);
    assert_int_equal(moldau_client_fd(NULL, &number), -1);
    assert_int_equal(moldau_producer_send(NULL, &record, 0), MOLDAU_ERR_INVALID);
    assert_int_equal(moldau_producer_flush(NULL, 0), MOLDAU_ERR_INVALID);
    assert_int_equal(moldau_producer_outstanding(NULL), 0);
    assert_int_equal(moldau_consumer_assign(NULL, "t", 0, 0), MOLDAU_ERR_INVALID);
    assert_int_equal(moldau_consumer_poll(NULL, 0, &message), MOLDAU_ERR_INVALID);
    assert_int_equal(moldau_consumer_seek(NULL, "t", 0, 0), MOLDAU_ERR_INVALID);
    assert_int_equal(moldau_consumer_position(NULL, "t", 0, &number), MOLDAU_ERR_INVALID);
    assert_int_equal(moldau_consumer_commit(NULL, NULL, 0, 0), MOLDAU_ERR_INVALID);
    assert_int_equal(moldau_consumer_commit_async(NULL, NULL, 0, NULL, NULL), MOLDAU_ERR_INVALID);
    assert_null(moldau_consumer_assignment(NULL, &count));
    assert_int_equal(count, 0);
    assert_int_equal(moldau_cluster_describe(NULL, 0, &result), MOLDAU_ERR_INVALID);
    assert_int_equal(moldau_topic_delete(NULL, "t", 0), MOLDAU_ERR_INVALID);
    assert_int_equal(moldau_topic_delete_records(NULL, &part, 0, 0, &number), MOLDAU_ERR_INVALID);
    assert_int_equal(moldau_group_list(NULL, 0, &result), MOLDAU_ERR_INVALID);
    assert_int_equal(moldau_result_count(NULL), 0);
    assert_null(moldau_result_topic(NULL, 0));
    assert_string_equal(moldau_result_cluster_id(NULL), "");
    assert_true(moldau_client_error(NULL)[0] != '\0');
    moldau_client_free(&client);
    moldau_producer_free(&producer);
    moldau_consumer_free(&consumer);
    moldau_result_free(&result);
    assert_int_equal(moldau_producer_close(&producer, 0), MOLDAU_OK);
    assert_int_equal(moldau_consumer_close(&consumer, 0), MOLDAU_OK);
}

static void
bad_arguments_are_invalid_with_a_text(void **state)
{
    char name[300];
    struct moldau_options *options = options_for("127.0.0.1:1");
    struct moldau_client *client = NULL;
    struct moldau_producer *producer = NULL;
    struct moldau_consumer *consumer = NULL;
    struct moldau_result *result = NULL;
    const struct moldau_message *message = NULL;
    const char *topics[] = {"t", NULL};
    struct moldau_new_topic topic = MOLDAU_NEW_TOPIC_INIT;
    struct moldau_header header = {NULL, "x", 1};
    (void)state;
    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    assert_int_equal(moldau_client_new(options, &client), MOLDAU_OK);
    assert_int_equal(moldau_producer_new(client, NULL, &producer), MOLDAU_OK);
    assert_int_equal(moldau_consumer_new(client, NULL, &consumer), MOLDAU_OK);
    const struct moldau_record good = {
        .struct_size = sizeof good, .topic = "t", .partition = -1, .timestamp_ms = -1};
    struct moldau_record bad[10];
    for (size_t i = 0; i < 10; i++)
        bad[i] = good;
    bad[0].struct_size = 0;
    bad[1].topic = NULL;
    bad[2].topic = "";
    bad[3].topic = name;
    bad[4].partition = -2;
    bad[5].timestamp_ms = -2;
    bad[6].key_len = 1;
    bad[7].value_len = 1;
    bad[8].header_count = 1;
    bad[9].header_count = 1;
    bad[9].headers = &header;
    for (size_t i = 0; i < 10; i++) {
        assert_int_equal(moldau_producer_send(producer, &bad[i], 0), MOLDAU_ERR_INVALID);
        assert_true(moldau_client_error(client)[0] != '\0');
    }
    assert_int_equal(moldau_producer_send(producer, NULL, 0), MOLDAU_ERR_INVALID);
    assert_int_equal(moldau_consumer_assign(consumer, NULL, 0, 0), MOLDAU_ERR_INVALID);
    assert_int_equal(moldau_consumer_assign(consumer, "t", -1, 0), MOLDAU_ERR_INVALID);
    assert_int_equal(moldau_consumer_assign(consumer, "t", 0, -3), MOLDAU_ERR_INVALID);
    assert_int_equal(
        moldau_consumer_assign(consumer, "t", 0, MOLDAU_OFFSET_COMMITTED), MOLDAU_ERR_INVALID);
    assert_int_equal(moldau_consumer_assign_time(consumer, "t", 0, -5, 0), MOLDAU_ERR_INVALID);
    assert_int_equal(moldau_consumer_unassign(consumer, "t", 0), MOLDAU_ERR_NOTFOUND);
    assert_int_equal(moldau_consumer_pause(consumer, "t", 0), MOLDAU_ERR_NOTFOUND);
    assert_int_equal(moldau_consumer_poll(consumer, 0, NULL), MOLDAU_ERR_INVALID);
    assert_int_equal(moldau_consumer_poll(consumer, 0, &message), MOLDAU_ERR_TIMEOUT);
    assert_int_equal(moldau_consumer_subscribe(consumer, topics, 0), MOLDAU_ERR_INVALID);
    assert_int_equal(moldau_consumer_subscribe(consumer, topics, 2), MOLDAU_ERR_INVALID);
    assert_int_equal(moldau_consumer_subscribe(consumer, topics, 1), MOLDAU_ERR_INVALID);
    assert_non_null(strstr(moldau_client_error(client), "group.id"));
    assert_int_equal(moldau_consumer_commit(consumer, NULL, 0, 0), MOLDAU_ERR_INVALID);
    assert_int_equal(moldau_topic_create(client, &topic, 0), MOLDAU_ERR_INVALID);
    assert_int_equal(moldau_topic_describe(client, topics, 2, 0, &result), MOLDAU_ERR_INVALID);
    assert_int_equal(moldau_topic_describe(client, NULL, 0, 0, NULL), MOLDAU_ERR_INVALID);
    assert_int_equal(moldau_config_describe(client, (enum moldau_resource)9, "t", 0, &result),
        MOLDAU_ERR_INVALID);
    assert_int_equal(moldau_config_describe(client, MOLDAU_RESOURCE_BROKER, "x", 0, &result),
        MOLDAU_ERR_INVALID);
    assert_int_equal(moldau_group_describe(client, "", 0, &result), MOLDAU_ERR_INVALID);
    assert_null(result);
    moldau_client_free(&client);
    moldau_producer_free(&producer);
    moldau_consumer_free(&consumer);
    moldau_options_free(&options);
}

/* Everything there is before the first connection; true when it could be made. */
static bool
make_all(void)
{
    struct moldau_options *options = NULL;
    struct moldau_client *client = NULL;
    struct moldau_producer *producer = NULL;
    struct moldau_consumer *consumer = NULL;
    const char *topics[] = {"t", "u"};
    enum moldau_err err = moldau_options_new(&options);
    if (err == MOLDAU_OK)
        err = moldau_options_set(options, "bootstrap.servers", "127.0.0.1:1");
    if (err == MOLDAU_OK)
        err = moldau_options_set(options, "group.id", "g");
    if (err == MOLDAU_OK)
        err = moldau_client_new(options, &client);
    if (err == MOLDAU_OK)
        err = moldau_producer_new(client, NULL, &producer);
    if (err == MOLDAU_OK)
        err = moldau_consumer_new(client, options, &consumer);
    if (err == MOLDAU_OK)
        err = moldau_consumer_subscribe(consumer, topics, 2);
    assert_true(err == MOLDAU_OK || err == MOLDAU_ERR_NOMEM);
    moldau_consumer_free(&consumer);
    moldau_producer_free(&producer);
    moldau_client_free(&client);
    moldau_options_free(&options);
    return err == MOLDAU_OK;
}

static void
each_allocation_may_fail_and_nothing_is_lost(void **state)
{
    (void)state;
    for (uint64_t nth = 1; nth <= ALLOCATIONS_MAX; nth++) {
        mem_fail_after(nth);
        (void)make_all();
        mem_fail_after(0);
    }
    assert_true(make_all());
}

TEST_MAIN(cmocka_unit_test(the_version_is_the_projects),
    cmocka_unit_test(every_error_has_a_text_and_no_number_crashes),
    cmocka_unit_test(options_are_checked_when_they_are_set),
    cmocka_unit_test(a_client_without_usable_servers_is_refused_with_a_text),
    cmocka_unit_test(options_that_contradict_each_other_are_refused),
    cmocka_unit_test(no_handle_is_an_answer_and_no_crash),
    cmocka_unit_test(bad_arguments_are_invalid_with_a_text),
    cmocka_unit_test(each_allocation_may_fail_and_nothing_is_lost))
