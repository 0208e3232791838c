/* The controller's answers: Kafka's error codes for each way a request can be wrong. */
#include "tests/lib/test.h"

#include <stdio.h>
#include <string.h>

#include "proto/api_keys.h"
#include "proto/create_partitions_request.h"
#include "proto/create_partitions_response.h"
#include "proto/delete_topics_request.h"
#include "proto/delete_topics_response.h"
#include "proto/error_codes.h"
#include "proto/incremental_alter_configs_request.h"
#include "proto/incremental_alter_configs_response.h"
#include "proto/unregister_broker_request.h"
#include "proto/unregister_broker_response.h"
#include "tests/unit/meta/world.h"

enum { CREATE = 19, DELETE = 20, GROW = 37, ALTER = 44, UNREGISTER = 64 };

static int
setup(void **state)
{
    static struct world world;
    struct world *w = &world;
    world_init(w);
    world_create(w,
        (struct proto_create_topics_request_creatable_topic){
            .name = STR("there"), .num_partitions = 2, .replication_factor = 1},
        false);
    world_replay(w);
    world_create(w,
        (struct proto_create_topics_request_creatable_topic){
            .name = STR("a_b"), .num_partitions = 1, .replication_factor = 1},
        false);
    world_replay(w);
    *state = w;
    return 0;
}

static int
teardown(void **state)
{
    struct world *w = *state;
    world_fini(w);
    return 0;
}

static void
each_bad_topic_has_its_error(void **state)
{
    struct world *w = *state;
    static char long_name[251];
    memset(long_name, 'x', 250);
    static const int32_t one[] = {1}, two[] = {1, 2}, twice[] = {1, 1}, unknown[] = {9};
    struct proto_create_topics_request_creatable_replica_assignment ok_gap[] = {
        {.partition_index = 0, .broker_ids = {(int32_t *)one, 1}},
        {.partition_index = 2, .broker_ids = {(int32_t *)one, 1}}};
    struct proto_create_topics_request_creatable_replica_assignment dup[] = {
        {.broker_ids = {(int32_t *)twice, 2}}};
    struct proto_create_topics_request_creatable_replica_assignment lost[] = {
        {.broker_ids = {(int32_t *)unknown, 1}}};
    struct proto_create_topics_request_creatable_replica_assignment none[] = {
        {.broker_ids = {NULL, 0}}};
    struct proto_create_topics_request_creatable_replica_assignment uneven[] = {
        {.partition_index = 0, .broker_ids = {(int32_t *)two, 2}},
        {.partition_index = 1, .broker_ids = {(int32_t *)one, 1}}};
    struct proto_create_topics_request_creatable_replica_assignment fine[] = {
        {.broker_ids = {(int32_t *)two, 2}}};
    struct proto_create_topics_request_creatable_topic_config unknown_key = {
        .name = STR("no.such.key"), .value = STR("1")};
    struct proto_create_topics_request_creatable_topic_config bad_value = {
        .name = STR("retention.ms"), .value = STR("soon")};
#define NUMBERS(p, r) .num_partitions = (p), .replication_factor = (r)
    const struct {
        const char *what;
        struct proto_create_topics_request_creatable_topic topic;
        enum proto_error error;
    } cases[] = {
        {"empty name", {.name = STR(""), NUMBERS(1, 1)}, PROTO_ERROR_INVALID_TOPIC_EXCEPTION},
        {"dot", {.name = STR("."), NUMBERS(1, 1)}, PROTO_ERROR_INVALID_TOPIC_EXCEPTION},
        {"dots", {.name = STR(".."), NUMBERS(1, 1)}, PROTO_ERROR_INVALID_TOPIC_EXCEPTION},
        {"slash", {.name = STR("a/b"), NUMBERS(1, 1)}, PROTO_ERROR_INVALID_TOPIC_EXCEPTION},
        {"250 long", {.name = {long_name, 250}, NUMBERS(1, 1)},
            PROTO_ERROR_INVALID_TOPIC_EXCEPTION},
        {"249 long", {.name = {long_name, 249}, NUMBERS(1, 1)}, PROTO_ERROR_NONE},
        {"collision", {.name = STR("a.b"), NUMBERS(1, 1)}, PROTO_ERROR_INVALID_TOPIC_EXCEPTION},
        {"exists", {.name = STR("there"), NUMBERS(1, 1)}, PROTO_ERROR_TOPIC_ALREADY_EXISTS},
        {"metadata log", {.name = STR("__cluster_metadata"), NUMBERS(1, 1)},
            PROTO_ERROR_INVALID_REQUEST},
        {"no partitions", {.name = STR("n"), NUMBERS(0, 1)}, PROTO_ERROR_INVALID_PARTITIONS},
        {"-2 partitions", {.name = STR("n"), NUMBERS(-2, 1)}, PROTO_ERROR_INVALID_PARTITIONS},
        {"10^9 partitions", {.name = STR("n"), NUMBERS(1000000000, 1)},
            PROTO_ERROR_POLICY_VIOLATION},
        {"no replicas", {.name = STR("n"), NUMBERS(1, 0)}, PROTO_ERROR_INVALID_REPLICATION_FACTOR},
        {"-2 replicas", {.name = STR("n"), NUMBERS(1, -2)}, PROTO_ERROR_INVALID_REPLICATION_FACTOR},
        {"more replicas than brokers", {.name = STR("n"), NUMBERS(1, 4)},
            PROTO_ERROR_INVALID_REPLICATION_FACTOR},
        {"both ways", {.name = STR("n"), NUMBERS(1, -1), .assignments = {fine, 1}},
            PROTO_ERROR_INVALID_REQUEST},
        {"gap", {.name = STR("n"), NUMBERS(-1, -1), .assignments = {ok_gap, 2}},
            PROTO_ERROR_INVALID_REPLICA_ASSIGNMENT},
        {"replica twice", {.name = STR("n"), NUMBERS(-1, -1), .assignments = {dup, 1}},
            PROTO_ERROR_INVALID_REPLICA_ASSIGNMENT},
        {"unknown broker", {.name = STR("n"), NUMBERS(-1, -1), .assignments = {lost, 1}},
            PROTO_ERROR_INVALID_REPLICA_ASSIGNMENT},
        {"no broker", {.name = STR("n"), NUMBERS(-1, -1), .assignments = {none, 1}},
            PROTO_ERROR_INVALID_REPLICA_ASSIGNMENT},
        {"uneven", {.name = STR("n"), NUMBERS(-1, -1), .assignments = {uneven, 2}},
            PROTO_ERROR_INVALID_REPLICA_ASSIGNMENT},
        {"fine by hand", {.name = STR("n"), NUMBERS(-1, -1), .assignments = {fine, 1}},
            PROTO_ERROR_NONE},
        {"unknown config", {.name = STR("n"), NUMBERS(1, 1), .configs = {&unknown_key, 1}},
            PROTO_ERROR_INVALID_CONFIG},
        {"bad config", {.name = STR("n"), NUMBERS(1, 1), .configs = {&bad_value, 1}},
            PROTO_ERROR_INVALID_CONFIG},
        {"defaults", {.name = STR("n"), NUMBERS(-1, -1)}, PROTO_ERROR_NONE},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct proto_create_topics_response_creatable_topic_result got =
            world_create(w, cases[i].topic, false);
        if (got.error_code != (int16_t)cases[i].error)
            print_message("%s: %s\n", cases[i].what, proto_error_name(got.error_code));
        assert_int_equal(got.error_code, cases[i].error);
        assert_int_equal(w->records.count > 0, cases[i].error == PROTO_ERROR_NONE);
        if (cases[i].error == PROTO_ERROR_NONE)
            assert_false(uuid_is_zero(got.topic_id));
    }
}

static void
validate_only_answers_the_same_and_writes_nothing(void **state)
{
    struct world *w = *state;
    struct proto_create_topics_request_creatable_topic topic = {
        .name = STR("new"), .num_partitions = 3, .replication_factor = 2};
    struct proto_create_topics_response_creatable_topic_result got = world_create(w, topic, true);
    assert_int_equal(got.error_code, 0);
    assert_int_equal(got.num_partitions, 3);
    assert_int_equal(got.replication_factor, 2);
    assert_int_equal(w->records.count, 0);
    topic.name = STR("there");
    assert_int_equal(world_create(w, topic, true).error_code, PROTO_ERROR_TOPIC_ALREADY_EXISTS);
}

static void
replicas_are_spread_evenly_over_live_brokers(void **state)
{
    struct world *w = *state;
    int leaders[5] = {0}, copies[5] = {0};
    world_add_broker(w, 4, true); /* fenced: not used while others can be */
    struct proto_create_topics_request_creatable_topic topic = {
        .name = STR("wide"), .num_partitions = 30, .replication_factor = 2};
    assert_int_equal(world_create(w, topic, false).error_code, 0);
    world_replay(w);
    const struct meta_topic *made = meta_image_topic(w->image, STR("wide"));
    assert_int_equal(made->partition_count, 30);
    for (int32_t i = 0; i < 30; i++) {
        const struct meta_partition *part = meta_topic_partition(made, i);
        assert_int_equal(part->replicas.count, 2);
        assert_int_not_equal(part->replicas.items[0], part->replicas.items[1]);
        assert_int_equal(part->leader, part->replicas.items[0]);
        assert_int_equal(part->isr.count, 2);
        leaders[part->leader]++;
        copies[part->replicas.items[0]]++;
        copies[part->replicas.items[1]]++;
        assert_int_equal(meta_partition_directory(part, part->leader).b[15], part->leader);
    }
    assert_int_equal(copies[4], 0);
    for (int id = 1; id <= 3; id++) {
        assert_int_equal(leaders[id], 10);
        assert_int_equal(copies[id], 20);
    }
}

static int16_t
create_huge(struct world *w, int32_t partitions)
{
    struct proto_create_topics_request_creatable_topic topic = {
        .name = STR("huge"), .num_partitions = partitions, .replication_factor = 1};
    struct proto_create_topics_request request;
    struct proto_create_topics_response response;
    proto_init(&proto_create_topics_request_schema, &request);
    request.topics.items = &topic;
    request.topics.count = 1;
    assert_int_equal(world_ask(w, CREATE, 7, &request, &response), ERR_OK);
    return response.topics.items[0].error_code;
}

/* The topic's own record counts too. */
static void
an_operation_has_at_most_ten_thousand_records(void **state)
{
    struct world *w = *state;
    assert_int_equal(create_huge(w, META_RECORDS_MAX - 1), PROTO_ERROR_NONE);
    assert_int_equal(w->records.count, META_RECORDS_MAX);
    assert_int_equal(create_huge(w, META_RECORDS_MAX), PROTO_ERROR_POLICY_VIOLATION);
    assert_int_equal(w->records.count, 0);
}

static void
a_name_twice_in_one_request_is_refused_once(void **state)
{
    struct world *w = *state;
    struct proto_create_topics_request_creatable_topic topics[] = {
        {.name = STR("x"), .num_partitions = 1, .replication_factor = 1},
        {.name = STR("y"), .num_partitions = 1, .replication_factor = 1},
        {.name = STR("x"), .num_partitions = 1, .replication_factor = 1}};
    struct proto_create_topics_request request;
    struct proto_create_topics_response response;
    proto_init(&proto_create_topics_request_schema, &request);
    request.topics.items = topics;
    request.topics.count = 3;
    assert_int_equal(world_ask(w, CREATE, 7, &request, &response), ERR_OK);
    assert_int_equal(response.topics.count, 2);
    for (int32_t i = 0; i < response.topics.count; i++)
        assert_int_equal(response.topics.items[i].error_code,
            str_eq_z(response.topics.items[i].name, "x") ? PROTO_ERROR_INVALID_REQUEST : 0);
    world_replay(w);
    assert_null(meta_image_topic(w->image, STR("x")));
    assert_non_null(meta_image_topic(w->image, STR("y")));
}

/* ---- delete and grow ---- */

static int16_t
delete_topic(struct world *w, struct str name, struct uuid id)
{
    struct proto_delete_topics_request_delete_topic_state topic = {.name = name, .topic_id = id};
    struct proto_delete_topics_request request;
    struct proto_delete_topics_response response;
    proto_init(&proto_delete_topics_request_schema, &request);
    request.topics.items = &topic;
    request.topics.count = 1;
    assert_int_equal(world_ask(w, DELETE, 6, &request, &response), ERR_OK);
    assert_int_equal(response.responses.count, 1);
    return response.responses.items[0].error_code;
}

static void
topics_are_deleted_by_name_or_by_id_never_by_both(void **state)
{
    struct world *w = *state;
    struct uuid there = meta_image_topic(w->image, STR("there"))->id;
    struct uuid other = {{5, 5}};
    assert_int_equal(
        delete_topic(w, STR("gone"), UUID_ZERO), PROTO_ERROR_UNKNOWN_TOPIC_OR_PARTITION);
    assert_int_equal(delete_topic(w, STR_NULL, other), PROTO_ERROR_UNKNOWN_TOPIC_ID);
    assert_int_equal(delete_topic(w, STR_NULL, UUID_ZERO), PROTO_ERROR_INVALID_REQUEST);
    assert_int_equal(delete_topic(w, STR("there"), there), PROTO_ERROR_INVALID_REQUEST);
    assert_int_equal(w->records.count, 0);
    assert_int_equal(delete_topic(w, STR_NULL, there), 0);
    world_replay(w);
    assert_null(meta_image_topic(w->image, STR("there")));
    assert_int_equal(delete_topic(w, STR("a_b"), UUID_ZERO), 0);
    world_replay(w);
    assert_int_equal(meta_image_topic_count(w->image), 0);
}

static int16_t
grow(struct world *w, const char *name, int32_t count, bool validate_only)
{
    struct proto_create_partitions_request_create_partitions_topic topic = {
        .name = str_of(name), .count = count, .assignments = {NULL, -1}};
    struct proto_create_partitions_request request;
    struct proto_create_partitions_response response;
    proto_init(&proto_create_partitions_request_schema, &request);
    request.topics.items = &topic;
    request.topics.count = 1;
    request.validate_only = validate_only;
    assert_int_equal(world_ask(w, GROW, 3, &request, &response), ERR_OK);
    return response.results.items[0].error_code;
}

static void
topics_only_grow(void **state)
{
    struct world *w = *state;
    assert_int_equal(grow(w, "gone", 5, false), PROTO_ERROR_UNKNOWN_TOPIC_OR_PARTITION);
    assert_int_equal(grow(w, "there", 2, false), PROTO_ERROR_INVALID_PARTITIONS);
    assert_int_equal(grow(w, "there", 1, false), PROTO_ERROR_INVALID_PARTITIONS);
    assert_int_equal(grow(w, "there", INT32_MAX, false), PROTO_ERROR_INVALID_PARTITIONS);
    assert_int_equal(grow(w, "there", 6, true), 0);
    assert_int_equal(w->records.count, 0);
    assert_int_equal(grow(w, "there", 6, false), 0);
    world_replay(w);
    assert_int_equal(meta_image_topic(w->image, STR("there"))->partition_count, 6);
    assert_non_null(meta_topic_partition(meta_image_topic(w->image, STR("there")), 5));
}

/* ---- configuration ---- */

static int16_t
alter(struct world *w, int8_t type, const char *resource, int8_t operation, const char *key,
    const char *value)
{
    struct proto_incremental_alter_configs_request_alterable_config config = {
        .name = str_of(key), .config_operation = operation, .value = str_of(value)};
    struct proto_incremental_alter_configs_request_alter_configs_resource item = {
        .resource_type = type, .resource_name = str_of(resource), .configs = {&config, 1}};
    struct proto_incremental_alter_configs_request request;
    struct proto_incremental_alter_configs_response response;
    proto_init(&proto_incremental_alter_configs_request_schema, &request);
    request.resources.items = &item;
    request.resources.count = 1;
    assert_int_equal(world_ask(w, ALTER, 1, &request, &response), ERR_OK);
    int16_t code = response.responses.items[0].error_code;
    if (code == 0)
        world_replay(w);
    else
        assert_int_equal(w->records.count, 0);
    return code;
}

static void
each_bad_change_of_configuration_has_its_error(void **state)
{
    struct world *w = *state;
    const struct {
        int8_t type, operation;
        const char *resource, *key, *value;
        enum proto_error error;
    } cases[] = {
        {2, 0, "gone", "retention.ms", "1", PROTO_ERROR_UNKNOWN_TOPIC_OR_PARTITION},
        {2, 0, "there", "no.such.key", "1", PROTO_ERROR_INVALID_CONFIG},
        {2, 0, "there", "retention.ms", "soon", PROTO_ERROR_INVALID_CONFIG},
        {2, 2, "there", "retention.ms", "1", PROTO_ERROR_INVALID_CONFIG},
        {2, 3, "there", "retention.ms", "1", PROTO_ERROR_INVALID_CONFIG},
        {2, 4, "there", "retention.ms", "1", PROTO_ERROR_INVALID_REQUEST},
        {2, 0, "there", "retention.ms", NULL, PROTO_ERROR_INVALID_REQUEST},
        {2, 0, "there", "", "1", PROTO_ERROR_INVALID_CONFIG},
        {2, 1, "there", "no.such.key", NULL, PROTO_ERROR_NONE}, /* since 4.3 */
        {4, 0, "me", "log.retention.ms", "1", PROTO_ERROR_INVALID_REQUEST},
        {99, 0, "x", "retention.ms", "1", PROTO_ERROR_INVALID_REQUEST},
        {4, 0, "", "log.retention.ms", "1000", PROTO_ERROR_NONE},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int16_t got = alter(
            w, cases[i].type, cases[i].resource, cases[i].operation, cases[i].key, cases[i].value);
        if (got != (int16_t)cases[i].error)
            print_message("case %zu: %s\n", i, proto_error_name(got));
        assert_int_equal(got, cases[i].error);
    }
}

static struct str
in_force(struct world *w, const char *key, enum meta_config_source source)
{
    struct meta_config_value value =
        meta_config_topic(w->image, &w->rules, 1, STR("there"), str_of(key));
    assert_int_equal(value.source, source);
    return value.value;
}

static void
the_nearest_setting_is_in_force(void **state)
{
    struct world *w = *state;
    const char *key = "max.message.bytes";
    assert_true(str_eq_z(in_force(w, key, META_CONFIG_SOURCE_DEFAULT), "1048588"));
    assert_int_equal(alter(w, 4, "", 0, "message.max.bytes", "2000"), 0);
    assert_true(str_eq_z(in_force(w, key, META_CONFIG_SOURCE_DYNAMIC_DEFAULT), "2000"));
    assert_int_equal(alter(w, 4, "1", 0, "message.max.bytes", "3000"), 0);
    assert_true(str_eq_z(in_force(w, key, META_CONFIG_SOURCE_DYNAMIC_BROKER), "3000"));
    assert_int_equal(alter(w, 2, "there", 0, key, "4000"), 0);
    assert_true(str_eq_z(in_force(w, key, META_CONFIG_SOURCE_TOPIC), "4000"));
    assert_int_equal(alter(w, 2, "there", 1, key, NULL), 0);
    assert_true(str_eq_z(in_force(w, key, META_CONFIG_SOURCE_DYNAMIC_BROKER), "3000"));
}

static void
lists_gain_and_lose_elements(void **state)
{
    struct world *w = *state;
    const char *key = "cleanup.policy";
    assert_int_equal(alter(w, 2, "there", 2, key, "compact"), 0);
    assert_true(str_eq_z(in_force(w, key, META_CONFIG_SOURCE_TOPIC), "delete,compact"));
    assert_int_equal(alter(w, 2, "there", 2, key, "compact"), 0); /* no change */
    assert_int_equal(w->records.count, 0);
    assert_int_equal(alter(w, 2, "there", 3, key, "delete"), 0);
    assert_true(str_eq_z(in_force(w, key, META_CONFIG_SOURCE_TOPIC), "compact"));
}

static void
what_is_not_the_controllers_is_unsupported(void **state)
{
    struct world *w = *state;
    uint64_t space[64];
    assert_int_equal(world_ask(w, 0, 9, NULL, space), ERR_UNSUPPORTED);
}

static int16_t
unregister(struct world *w, int32_t id)
{
    struct proto_unregister_broker_request request = {.broker_id = id};
    struct proto_unregister_broker_response response;
    assert_int_equal(world_ask(w, UNREGISTER, 0, &request, &response), ERR_OK);
    return response.error_code;
}

static void
only_the_registration_of_a_broker_that_is_gone_is_removed(void **state)
{
    struct world *w = *state;
    assert_int_equal(unregister(w, 9), PROTO_ERROR_BROKER_ID_NOT_REGISTERED);
    assert_int_equal(unregister(w, 2), PROTO_ERROR_INVALID_REQUEST);
    assert_int_equal(w->records.count, 0);
    world_add_broker(w, 4, true);
    assert_int_equal(unregister(w, 4), 0);
    world_replay(w);
    assert_null(meta_image_broker(w->image, 4));
    assert_non_null(meta_image_broker(w->image, 2));
}

#define WORLD_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
TEST_MAIN(WORLD_TEST(each_bad_topic_has_its_error),
    WORLD_TEST(validate_only_answers_the_same_and_writes_nothing),
    WORLD_TEST(replicas_are_spread_evenly_over_live_brokers),
    WORLD_TEST(an_operation_has_at_most_ten_thousand_records),
    WORLD_TEST(a_name_twice_in_one_request_is_refused_once),
    WORLD_TEST(topics_are_deleted_by_name_or_by_id_never_by_both), WORLD_TEST(topics_only_grow),
    WORLD_TEST(each_bad_change_of_configuration_has_its_error),
    WORLD_TEST(the_nearest_setting_is_in_force), WORLD_TEST(lists_gain_and_lose_elements),
    WORLD_TEST(only_the_registration_of_a_broker_that_is_gone_is_removed),
    WORLD_TEST(what_is_not_the_controllers_is_unsupported))
