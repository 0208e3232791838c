/* Metadata, DescribeCluster, DescribeTopicPartitions and the requests the controller decides. */
#include "tests/lib/test.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "proto/api_keys.h"
#include "proto/create_topics_request.h"
#include "proto/create_topics_response.h"
#include "proto/delete_topics_request.h"
#include "proto/delete_topics_response.h"
#include "proto/describe_cluster_request.h"
#include "proto/describe_cluster_response.h"
#include "proto/describe_configs_request.h"
#include "proto/describe_configs_response.h"
#include "proto/describe_topic_partitions_request.h"
#include "proto/describe_topic_partitions_response.h"
#include "proto/error_codes.h"
#include "proto/incremental_alter_configs_request.h"
#include "proto/incremental_alter_configs_response.h"
#include "proto/list_config_resources_request.h"
#include "proto/list_config_resources_response.h"
#include "proto/metadata_request.h"
#include "proto/metadata_response.h"
#include "proto/update_features_request.h"
#include "proto/update_features_response.h"
#include "tests/unit/broker/fixture.h"

static struct proto_metadata_request *
metadata_of(struct fixture *f, const char *const *names, int32_t count)
{
    struct proto_metadata_request *msg = fixture_msg(f, &proto_metadata_request_schema);
    msg->topics.count = count;
    if (count > 0)
        msg->topics.items = arena_calloc(&f->arena, (size_t)count, sizeof *msg->topics.items);
    for (int32_t i = 0; i < count; i++)
        msg->topics.items[i].name = str_of(names[i]);
    return msg;
}

static void
metadata_tells_brokers_and_topics_in_all_versions(void **state)
{
    struct fixture f;
    (void)state;
    fixture_start(&f);
    int fd = fixture_dial(&f);
    fixture_topic(&f, fd, "beta", 3);
    fixture_topic(&f, fd, "alpha", 1);
    for (int16_t v = 0; v <= 13; v++) {
        struct proto_metadata_response *answer =
            fixture_call(&f, fd, PROTO_API_METADATA, v, metadata_of(&f, NULL, v == 0 ? 0 : -1));
        assert_int_equal(answer->brokers.count, 1);
        assert_int_equal(answer->brokers.items[0].port, f.port);
        assert_true(str_eq_z(answer->brokers.items[0].host, "localhost"));
        if (v >= 1)
            assert_int_equal(answer->controller_id, 1);
        if (v >= 2)
            assert_true(str_eq_z(answer->cluster_id, "cluster-for-tests"));
        assert_int_equal(answer->topics.count, 2);
        assert_true(str_eq_z(answer->topics.items[0].name, "alpha"));
        assert_int_equal(answer->topics.items[1].partitions.count, 3);
        assert_int_equal(answer->topics.items[1].partitions.items[2].leader_id, 1);
        assert_int_equal(answer->topics.items[1].partitions.items[2].error_code, 0);
        assert_int_equal(answer->topics.items[1].partitions.items[2].isr_nodes.count, 1);
        if (v >= 10)
            assert_false(uuid_is_zero(answer->topics.items[0].topic_id));
    }
    /* v1 and later: empty means none */
    struct proto_metadata_response *none =
        fixture_call(&f, fd, PROTO_API_METADATA, 9, metadata_of(&f, NULL, 0));
    assert_int_equal(none->topics.count, 0);
    assert_int_equal(none->brokers.count, 1);
    close(fd);
    fixture_end(&f);
}

static void
authorized_operations_come_only_when_asked(void **state)
{
    struct fixture f;
    (void)state;
    fixture_start(&f);
    int fd = fixture_dial(&f);
    fixture_topic(&f, fd, "t", 1);
    struct proto_metadata_request *msg = metadata_of(&f, (const char *[]){"t"}, 1);
    struct proto_metadata_response *answer = fixture_call(&f, fd, PROTO_API_METADATA, 8, msg);
    assert_int_equal(answer->topics.items[0].topic_authorized_operations, INT32_MIN);
    assert_int_equal(answer->cluster_authorized_operations, INT32_MIN);
    msg->include_topic_authorized_operations = msg->include_cluster_authorized_operations = true;
    answer = fixture_call(&f, fd, PROTO_API_METADATA, 8, msg);
    assert_int_equal(answer->topics.items[0].topic_authorized_operations, 3576);
    assert_int_equal(answer->cluster_authorized_operations, 8096);
    close(fd);
    fixture_end(&f);
}

static void
metadata_by_id_and_by_illegal_name(void **state)
{
    char long_name[251];
    struct fixture f;
    (void)state;
    memset(long_name, 'x', 250);
    long_name[250] = '\0';
    fixture_start(&f);
    int fd = fixture_dial(&f);
    fixture_topic(&f, fd, "t", 1);
    const char *names[] = {"", "..", ".", long_name, "a/b", "t", "t"};
    struct proto_metadata_request *msg = metadata_of(&f, names, 7);
    struct proto_metadata_response *answer = fixture_call(&f, fd, PROTO_API_METADATA, 12, msg);
    assert_int_equal(answer->topics.count, 6); /* once each */
    struct uuid id = UUID_ZERO;
    for (int i = 0; i < 6; i++) {
        bool legal = str_eq_z(answer->topics.items[i].name, "t");
        assert_int_equal(answer->topics.items[i].error_code,
            legal ? PROTO_ERROR_NONE : PROTO_ERROR_INVALID_TOPIC_EXCEPTION);
        if (legal)
            id = answer->topics.items[i].topic_id;
    }
    msg = metadata_of(&f, NULL, -1);
    msg->topics.items = fixture_msg(&f, &proto_metadata_request_metadata_request_topic_schema);
    msg->topics.count = 1;
    msg->topics.items[0].name = STR_NULL;
    msg->topics.items[0].topic_id = id;
    answer = fixture_call(&f, fd, PROTO_API_METADATA, 12, msg);
    assert_int_equal(answer->topics.items[0].error_code, 0);
    assert_true(str_eq_z(answer->topics.items[0].name, "t"));
    msg->topics.items[0].topic_id = env_random_uuid(f.env);
    answer = fixture_call(&f, fd, PROTO_API_METADATA, 12, msg);
    assert_int_equal(answer->topics.items[0].error_code, PROTO_ERROR_UNKNOWN_TOPIC_ID);
    close(fd);
    fixture_end(&f);
}

static void
missing_topics_are_made_in_the_background(void **state)
{
    struct fixture f;
    (void)state;
    fixture_start(&f);
    int fd = fixture_dial(&f);
    struct proto_metadata_request *msg = metadata_of(&f, (const char *[]){"fresh"}, 1);
    msg->allow_auto_topic_creation = false;
    struct proto_metadata_response *answer = fixture_call(&f, fd, PROTO_API_METADATA, 9, msg);
    assert_int_equal(answer->topics.items[0].error_code, PROTO_ERROR_UNKNOWN_TOPIC_OR_PARTITION);
    answer = fixture_call(&f, fd, PROTO_API_METADATA, 9, msg);
    assert_int_equal(answer->topics.items[0].error_code, PROTO_ERROR_UNKNOWN_TOPIC_OR_PARTITION);
    msg->allow_auto_topic_creation = true;
    answer = fixture_call(&f, fd, PROTO_API_METADATA, 9, msg);
    assert_int_equal(answer->topics.items[0].error_code, PROTO_ERROR_UNKNOWN_TOPIC_OR_PARTITION);
    for (int i = 0; i < 1000 && answer->topics.items[0].error_code != 0; i++) {
        answer = fixture_call(&f, fd, PROTO_API_METADATA, 9, msg);
        usleep(1000);
    }
    assert_int_equal(answer->topics.items[0].error_code, 0);
    assert_int_equal(answer->topics.items[0].partitions.count, 3); /* num.partitions */
    close(fd);
    fixture_end(&f);
}

static void
a_created_topic_is_seen_at_once_and_a_deleted_one_gone(void **state)
{
    struct fixture f;
    (void)state;
    fixture_start(&f);
    int fd = fixture_dial(&f);
    for (int i = 0; i < 20; i++) {
        char name[16];
        snprintf(name, sizeof name, "t%d", i);
        fixture_topic(&f, fd, name, 2);
        struct proto_metadata_request *msg = metadata_of(&f, (const char *[]){name}, 1);
        msg->allow_auto_topic_creation = false;
        struct proto_metadata_response *seen = fixture_call(&f, fd, PROTO_API_METADATA, 12, msg);
        assert_int_equal(seen->topics.items[0].error_code, 0);
        struct proto_delete_topics_request *del =
            fixture_msg(&f, &proto_delete_topics_request_schema);
        del->topics.items = fixture_msg(&f, &proto_delete_topics_request_delete_topic_state_schema);
        del->topics.count = 1;
        del->topics.items[0].topic_id = seen->topics.items[0].topic_id;
        del->topics.items[0].name = STR_NULL;
        del->timeout_ms = 1000;
        struct proto_delete_topics_response *gone =
            fixture_call(&f, fd, PROTO_API_DELETE_TOPICS, 6, del);
        assert_int_equal(gone->responses.items[0].error_code, 0);
        seen = fixture_call(&f, fd, PROTO_API_METADATA, 12, msg);
        assert_int_equal(seen->topics.items[0].error_code, PROTO_ERROR_UNKNOWN_TOPIC_OR_PARTITION);
    }
    close(fd);
    fixture_end(&f);
}

static void
without_a_controller_each_request_says_so(void **state)
{
    struct fixture f;
    (void)state;
    fixture_start(&f);
    int fd = fixture_dial(&f);
    f.refuse_with = ERR_WRONG_STATE;
    struct proto_create_topics_request *create =
        fixture_msg(&f, &proto_create_topics_request_schema);
    create->topics.items = fixture_msg(&f, &proto_create_topics_request_creatable_topic_schema);
    create->topics.count = 1;
    create->topics.items[0].name = STR("t");
    struct proto_create_topics_response *created =
        fixture_call(&f, fd, PROTO_API_CREATE_TOPICS, 5, create);
    assert_int_equal(created->topics.items[0].error_code, PROTO_ERROR_NOT_CONTROLLER);
    assert_true(str_eq_z(created->topics.items[0].name, "t"));
    struct proto_delete_topics_request *del = fixture_msg(&f, &proto_delete_topics_request_schema);
    struct str name = STR("t");
    del->topic_names.items = &name;
    del->topic_names.count = 1;
    del->timeout_ms = 1000;
    struct proto_delete_topics_response *deleted =
        fixture_call(&f, fd, PROTO_API_DELETE_TOPICS, 3, del);
    assert_int_equal(deleted->responses.items[0].error_code, PROTO_ERROR_NOT_CONTROLLER);
    struct proto_update_features_request *features =
        fixture_msg(&f, &proto_update_features_request_schema);
    f.refuse_with = ERR_TIMEOUT;
    struct proto_update_features_response *updated =
        fixture_call(&f, fd, PROTO_API_UPDATE_FEATURES, 2, features);
    assert_int_equal(updated->error_code, PROTO_ERROR_REQUEST_TIMED_OUT);
    close(fd);
    fixture_end(&f);
}

static void
describe_cluster_checks_the_endpoint_type(void **state)
{
    struct fixture f;
    (void)state;
    fixture_start(&f);
    int fd = fixture_dial(&f);
    struct proto_describe_cluster_request *msg =
        fixture_msg(&f, &proto_describe_cluster_request_schema);
    struct proto_describe_cluster_response *answer;
    for (int16_t v = 0; v <= 2; v++) {
        answer = fixture_call(&f, fd, PROTO_API_DESCRIBE_CLUSTER, v, msg);
        assert_int_equal(answer->error_code, 0);
        assert_int_equal(answer->brokers.count, 1);
        assert_int_equal(answer->controller_id, 1);
    }
    msg->endpoint_type = 2;
    answer = fixture_call(&f, fd, PROTO_API_DESCRIBE_CLUSTER, 1, msg);
    assert_int_equal(answer->error_code, PROTO_ERROR_MISMATCHED_ENDPOINT_TYPE);
    msg->endpoint_type = 9;
    answer = fixture_call(&f, fd, PROTO_API_DESCRIBE_CLUSTER, 1, msg);
    assert_int_equal(answer->error_code, PROTO_ERROR_UNSUPPORTED_ENDPOINT_TYPE);
    close(fd);
    fixture_end(&f);
}

static void
topic_partitions_come_page_by_page(void **state)
{
    struct fixture f;
    (void)state;
    fixture_start(&f);
    int fd = fixture_dial(&f);
    fixture_topic(&f, fd, "a", 5);
    fixture_topic(&f, fd, "b", 5);
    fixture_topic(&f, fd, "c", 1);
    struct proto_describe_topic_partitions_request *msg =
        fixture_msg(&f, &proto_describe_topic_partitions_request_schema);
    struct proto_describe_topic_partitions_request_cursor cursor;
    msg->response_partition_limit = 4;
    int seen = 0, pages = 0;
    for (;;) {
        struct proto_describe_topic_partitions_response *answer =
            fixture_call(&f, fd, PROTO_API_DESCRIBE_TOPIC_PARTITIONS, 0, msg);
        int here = 0;
        for (int32_t i = 0; i < answer->topics.count; i++)
            here += answer->topics.items[i].partitions.count;
        assert_true(here > 0 && here <= 4);
        seen += here;
        pages++;
        if (answer->next_cursor == NULL)
            break;
        cursor.topic_name = answer->next_cursor->topic_name;
        cursor.partition_index = answer->next_cursor->partition_index;
        msg->cursor = &cursor;
    }
    assert_int_equal(seen, 11);
    assert_int_equal(pages, 3);
    struct proto_describe_topic_partitions_request_topic_request asked[] = {
        {STR("zzz")}, {STR("a/b")}, {STR("c")}, {STR("c")}};
    msg->cursor = NULL;
    msg->topics.items = asked;
    msg->topics.count = 4;
    struct proto_describe_topic_partitions_response *answer =
        fixture_call(&f, fd, PROTO_API_DESCRIBE_TOPIC_PARTITIONS, 0, msg);
    assert_int_equal(answer->topics.count, 3);
    assert_int_equal(answer->topics.items[0].error_code, PROTO_ERROR_INVALID_TOPIC_EXCEPTION);
    assert_int_equal(answer->topics.items[1].error_code, 0);
    assert_int_equal(answer->topics.items[2].error_code, PROTO_ERROR_UNKNOWN_TOPIC_OR_PARTITION);
    close(fd);
    fixture_end(&f);
}

static struct proto_describe_configs_response_describe_configs_result *
described(struct fixture *f, int fd, int8_t type, const char *name, const char *key)
{
    struct proto_describe_configs_request *msg =
        fixture_msg(f, &proto_describe_configs_request_schema);
    struct str *keys = arena_alloc(&f->arena, sizeof *keys);
    msg->resources.items =
        fixture_msg(f, &proto_describe_configs_request_describe_configs_resource_schema);
    msg->resources.count = 1;
    msg->resources.items[0].resource_type = type;
    msg->resources.items[0].resource_name = str_of(name);
    msg->resources.items[0].configuration_keys.count = key == NULL ? -1 : 1;
    msg->resources.items[0].configuration_keys.items = keys;
    *keys = str_of(key);
    msg->include_synonyms = msg->include_documentation = true;
    struct proto_describe_configs_response *answer =
        fixture_call(f, fd, PROTO_API_DESCRIBE_CONFIGS, 4, msg);
    assert_int_equal(answer->results.count, 1);
    return &answer->results.items[0];
}

static void
set_config(
    struct fixture *f, int fd, int8_t type, const char *name, const char *key, const char *value)
{
    struct proto_incremental_alter_configs_request *msg =
        fixture_msg(f, &proto_incremental_alter_configs_request_schema);
    msg->resources.items =
        fixture_msg(f, &proto_incremental_alter_configs_request_alter_configs_resource_schema);
    msg->resources.count = 1;
    msg->resources.items[0].resource_type = type;
    msg->resources.items[0].resource_name = str_of(name);
    msg->resources.items[0].configs.items =
        fixture_msg(f, &proto_incremental_alter_configs_request_alterable_config_schema);
    msg->resources.items[0].configs.count = 1;
    msg->resources.items[0].configs.items[0].name = str_of(key);
    msg->resources.items[0].configs.items[0].value = str_of(value);
    struct proto_incremental_alter_configs_response *answer =
        fixture_call(f, fd, PROTO_API_INCREMENTAL_ALTER_CONFIGS, 1, msg);
    assert_int_equal(answer->responses.items[0].error_code, 0);
}

static void
configs_say_value_source_and_synonyms(void **state)
{
    struct fixture f;
    (void)state;
    fixture_start(&f);
    int fd = fixture_dial(&f);
    fixture_topic(&f, fd, "t", 1);
    struct proto_describe_configs_response_describe_configs_result *all =
        described(&f, fd, META_RESOURCE_TOPIC, "t", NULL);
    assert_int_equal(all->error_code, 0);
    assert_true(all->configs.count > 25);
    struct proto_describe_configs_response_describe_configs_resource_result *one =
        described(&f, fd, META_RESOURCE_TOPIC, "t", "retention.ms")->configs.items;
    assert_true(str_eq_z(one->value, "604800000"));
    assert_int_equal(one->config_source, META_CONFIG_SOURCE_DEFAULT);
    assert_int_equal(one->config_type, 5); /* LONG */
    assert_false(one->read_only);
    assert_true(one->documentation.len > 10);
    assert_int_equal(one->synonyms.count, 0); /* hours alone do not show, as in Kafka */
    set_config(&f, fd, META_RESOURCE_BROKER, "", "log.retention.ms", "5000000");
    one = described(&f, fd, META_RESOURCE_TOPIC, "t", "retention.ms")->configs.items;
    assert_true(str_eq_z(one->value, "5000000"));
    assert_int_equal(one->config_source, META_CONFIG_SOURCE_DYNAMIC_DEFAULT);
    set_config(&f, fd, META_RESOURCE_TOPIC, "t", "retention.ms", "7");
    one = described(&f, fd, META_RESOURCE_TOPIC, "t", "retention.ms")->configs.items;
    assert_true(str_eq_z(one->value, "7"));
    assert_int_equal(one->config_source, META_CONFIG_SOURCE_TOPIC);
    assert_int_equal(one->synonyms.count, 3);
    one = described(&f, fd, META_RESOURCE_BROKER, "1", "num.partitions")->configs.items;
    assert_int_equal(one->config_source, META_CONFIG_SOURCE_STATIC);
    assert_true(str_eq_z(one->value, "3"));
    all = described(&f, fd, META_RESOURCE_BROKER, "", NULL);
    assert_int_equal(all->configs.count, 2); /* what is set as the default of all */
    one = described(&f, fd, META_RESOURCE_BROKER, "1", "ssl.key.password")->configs.items;
    assert_true(one->is_sensitive);
    const char *throttle = "leader.replication.throttled.rate"; /* has a value only when set */
    assert_int_equal(described(&f, fd, META_RESOURCE_BROKER, "1", throttle)->configs.count, 0);
    set_config(&f, fd, META_RESOURCE_BROKER, "1", throttle, "1000");
    one = described(&f, fd, META_RESOURCE_BROKER, "1", throttle)->configs.items;
    assert_int_equal(one->synonyms.count, 1);
    close(fd);
    fixture_end(&f);
}

/* One broker's own resource and its logger are settled by the broker, the rest by the controller.
 */
static void
configs_are_altered_where_they_belong(void **state)
{
    struct fixture f;
    (void)state;
    fixture_start(&f);
    int fd = fixture_dial(&f);
    fixture_topic(&f, fd, "t", 1);
    struct proto_incremental_alter_configs_request *msg =
        fixture_msg(&f, &proto_incremental_alter_configs_request_schema);
    struct proto_incremental_alter_configs_request_alterable_config retention = {
        .name = STR("retention.ms"), .value = STR("5")};
    struct proto_incremental_alter_configs_request_alterable_config level = {
        .name = STR("root"), .value = STR("WARN")};
    struct proto_incremental_alter_configs_request_alterable_config loud = {
        .name = STR("root"), .value = STR("LOUD")};
    struct proto_incremental_alter_configs_request_alter_configs_resource resources[] = {
        {META_RESOURCE_BROKER, STR("9"), {&retention, 1}},
        {META_RESOURCE_TOPIC, STR("t"), {&retention, 1}},
        {META_RESOURCE_BROKER_LOGGER, STR("1"), {&level, 1}},
        {77, STR("x"), {&retention, 1}},
    };
    msg->resources.items = resources;
    msg->resources.count = 4;
    struct proto_incremental_alter_configs_response *answer =
        fixture_call(&f, fd, PROTO_API_INCREMENTAL_ALTER_CONFIGS, 1, msg);
    assert_int_equal(answer->responses.count, 4);
    for (int i = 0; i < 4; i++) {
        int8_t type = answer->responses.items[i].resource_type;
        bool bad = type == 77 || type == META_RESOURCE_BROKER;
        assert_int_equal(answer->responses.items[i].error_code,
            bad ? PROTO_ERROR_INVALID_REQUEST : PROTO_ERROR_NONE);
    }
    assert_int_equal(diag_level_get(env_diag(f.env)), DIAG_WARN);
    assert_true(str_eq_z(
        described(&f, fd, META_RESOURCE_TOPIC, "t", "retention.ms")->configs.items[0].value, "5"));
    resources[2].configs.items = &loud;
    msg->resources.items = &resources[2];
    msg->resources.count = 1;
    answer = fixture_call(&f, fd, PROTO_API_INCREMENTAL_ALTER_CONFIGS, 1, msg);
    assert_int_equal(answer->responses.items[0].error_code, PROTO_ERROR_INVALID_CONFIG);
    f.refuse_with = ERR_WRONG_STATE;
    msg->resources.items = resources;
    msg->resources.count = 2;
    answer = fixture_call(&f, fd, PROTO_API_INCREMENTAL_ALTER_CONFIGS, 1, msg);
    assert_int_equal(answer->responses.count, 2);
    assert_int_equal(answer->responses.items[0].error_code, PROTO_ERROR_INVALID_REQUEST);
    assert_int_equal(answer->responses.items[1].error_code, PROTO_ERROR_NOT_CONTROLLER);
    close(fd);
    fixture_end(&f);
}

static void
configs_of_what_is_not_there_are_refused(void **state)
{
    struct fixture f;
    (void)state;
    fixture_start(&f);
    int fd = fixture_dial(&f);
    assert_int_equal(described(&f, fd, META_RESOURCE_TOPIC, "none", NULL)->error_code,
        PROTO_ERROR_UNKNOWN_TOPIC_OR_PARTITION);
    assert_int_equal(described(&f, fd, META_RESOURCE_TOPIC, "a/b", NULL)->error_code,
        PROTO_ERROR_INVALID_TOPIC_EXCEPTION);
    assert_int_equal(described(&f, fd, META_RESOURCE_BROKER, "7", NULL)->error_code,
        PROTO_ERROR_INVALID_REQUEST);
    assert_int_equal(described(&f, fd, META_RESOURCE_BROKER, "x", NULL)->error_code,
        PROTO_ERROR_INVALID_REQUEST);
    assert_int_equal(described(&f, fd, 77, "x", NULL)->error_code, PROTO_ERROR_INVALID_REQUEST);
    assert_int_equal(described(&f, fd, META_RESOURCE_BROKER_LOGGER, "1", NULL)->configs.count, 1);
    assert_true(described(&f, fd, META_RESOURCE_GROUP, "g", NULL)->configs.count > 0);
    close(fd);
    fixture_end(&f);
}

static void
config_resources_are_listed_by_type(void **state)
{
    struct fixture f;
    int8_t types[] = {META_RESOURCE_TOPIC, META_RESOURCE_TOPIC, META_RESOURCE_BROKER};
    (void)state;
    fixture_start(&f);
    int fd = fixture_dial(&f);
    fixture_topic(&f, fd, "t", 1);
    struct proto_list_config_resources_request *msg =
        fixture_msg(&f, &proto_list_config_resources_request_schema);
    struct proto_list_config_resources_response *answer =
        fixture_call(&f, fd, PROTO_API_LIST_CONFIG_RESOURCES, 0, msg);
    assert_int_equal(answer->config_resources.count, 0);
    answer = fixture_call(&f, fd, PROTO_API_LIST_CONFIG_RESOURCES, 1, msg);
    assert_int_equal(answer->config_resources.count, 3); /* t, broker 1, its logger */
    msg->resource_types.items = types;
    msg->resource_types.count = 3;
    answer = fixture_call(&f, fd, PROTO_API_LIST_CONFIG_RESOURCES, 1, msg);
    assert_int_equal(answer->config_resources.count, 2);
    types[0] = 99;
    answer = fixture_call(&f, fd, PROTO_API_LIST_CONFIG_RESOURCES, 1, msg);
    assert_int_equal(answer->error_code, PROTO_ERROR_UNSUPPORTED_VERSION);
    close(fd);
    fixture_end(&f);
}

static void
sixty_thousand_partitions_fit_an_answer(void **state)
{
    struct fixture f;
    (void)state;
    fixture_start(&f);
    int fd = fixture_dial(&f);
    for (int i = 0; i < 12; i++) {
        char name[16];
        snprintf(name, sizeof name, "big%d", i);
        fixture_topic(&f, fd, name, 5000);
    }
    struct proto_metadata_response *answer =
        fixture_call(&f, fd, PROTO_API_METADATA, 12, metadata_of(&f, NULL, -1));
    assert_int_equal(answer->topics.count, 12);
    assert_int_equal(answer->topics.items[11].partitions.count, 5000);
    close(fd);
    fixture_end(&f);
}

TEST_MAIN(cmocka_unit_test(metadata_tells_brokers_and_topics_in_all_versions),
    cmocka_unit_test(authorized_operations_come_only_when_asked),
    cmocka_unit_test(metadata_by_id_and_by_illegal_name),
    cmocka_unit_test(missing_topics_are_made_in_the_background),
    cmocka_unit_test(a_created_topic_is_seen_at_once_and_a_deleted_one_gone),
    cmocka_unit_test(without_a_controller_each_request_says_so),
    cmocka_unit_test(describe_cluster_checks_the_endpoint_type),
    cmocka_unit_test(topic_partitions_come_page_by_page),
    cmocka_unit_test(configs_say_value_source_and_synonyms),
    cmocka_unit_test(configs_are_altered_where_they_belong),
    cmocka_unit_test(configs_of_what_is_not_there_are_refused),
    cmocka_unit_test(config_resources_are_listed_by_type),
    cmocka_unit_test(sixty_thousand_partitions_fit_an_answer))
