/* Reassignments in a cluster of three: what is under way, what completes it, what ends it. */
#include "tests/lib/test.h"

#include <string.h>

#include "proto/alter_partition_reassignments_request.h"
#include "proto/alter_partition_reassignments_response.h"
#include "proto/error_codes.h"
#include "proto/list_partition_reassignments_request.h"
#include "proto/list_partition_reassignments_response.h"
#include "proto/partition_change_record.h"
#include "tests/unit/meta/world.h"

enum { REASSIGN = 45, LIST = 46 };

/* Asks for the replicas of partition 0 of "t"; count -1 cancels. Replays what came of it. */
static int16_t
reassign(struct world *w, const int32_t *replicas, int32_t count, bool count_may_change)
{
    struct proto_alter_partition_reassignments_request_reassignable_partition partition = {
        .replicas = {(int32_t *)(uintptr_t)replicas, count}};
    struct proto_alter_partition_reassignments_request_reassignable_topic topic = {
        .name = STR("t"), .partitions = {&partition, 1}};
    struct proto_alter_partition_reassignments_request request;
    struct proto_alter_partition_reassignments_response response;
    proto_init(&proto_alter_partition_reassignments_request_schema, &request);
    request.topics.items = &topic;
    request.topics.count = 1;
    request.allow_replication_factor_change = count_may_change;
    assert_int_equal(world_ask(w, REASSIGN, 1, &request, &response), ERR_OK);
    int16_t code = response.responses.items[0].partitions.items[0].error_code;
    assert_true(code == 0 || w->records.count == 0);
    if (w->records.count > 0)
        world_replay(w);
    return code;
}

static const struct meta_partition *
partition(const struct world *w)
{
    return meta_topic_partition(meta_image_topic(w->image, STR("t")), 0);
}

static void
assert_ids(struct meta_ids ids, const int32_t *wanted, int32_t count)
{
    assert_int_equal(ids.count, count);
    for (int32_t i = 0; i < count; i++)
        assert_int_equal(ids.items[i], wanted[i]);
}
#define ASSERT_IDS(ids, ...)                        \
    assert_ids(ids, (const int32_t[]){__VA_ARGS__}, \
        (int32_t)(sizeof(int32_t[]){__VA_ARGS__} / sizeof(int32_t)))

/* What a leader tells when its followers have caught up. */
static void
set_isr(struct world *w, const int32_t *isr, int32_t count)
{
    struct proto_partition_change_record record;
    proto_init(&proto_partition_change_record_schema, &record);
    record.topic_id = meta_image_topic(w->image, STR("t"))->id;
    record.partition_id = 0;
    record.isr.items = (int32_t *)(uintptr_t)isr;
    record.isr.count = count;
    meta_records_init(&w->records, &w->arena, 7);
    meta_records_add(&w->records, META_RECORD_PARTITION_CHANGE, 0,
        &proto_partition_change_record_schema, &record);
    world_replay(w);
}

static int
setup(void **state)
{
    static struct world world;
    static const int32_t one[] = {1};
    struct proto_create_topics_request_creatable_replica_assignment assignment = {
        .broker_ids = {(int32_t *)(uintptr_t)one, 1}};
    world_init(&world);
    assert_int_equal(world_create(&world,
                         (struct proto_create_topics_request_creatable_topic){.name = STR("t"),
                             .num_partitions = -1,
                             .replication_factor = -1,
                             .assignments = {&assignment, 1}},
                         false)
                         .error_code,
        0);
    world_replay(&world);
    *state = &world;
    return 0;
}

static int
teardown(void **state)
{
    world_fini(*state);
    return 0;
}

static void
a_move_keeps_the_old_replica_until_the_new_one_is_in_sync(void **state)
{
    struct world *w = *state;
    static const int32_t two[] = {2}, both[] = {1, 2};
    int32_t epoch = partition(w)->partition_epoch;
    assert_int_equal(reassign(w, two, 1, true), 0);
    ASSERT_IDS(partition(w)->replicas, 2, 1);
    ASSERT_IDS(partition(w)->adding, 2);
    ASSERT_IDS(partition(w)->removing, 1);
    ASSERT_IDS(partition(w)->isr, 1);
    assert_int_equal(partition(w)->leader, 1);
    assert_int_equal(partition(w)->partition_epoch, epoch + 1);
    set_isr(w, both, 2);
    /* The same once more completes it: all that was added is in sync. */
    assert_int_equal(reassign(w, two, 1, true), 0);
    ASSERT_IDS(partition(w)->replicas, 2);
    ASSERT_IDS(partition(w)->isr, 2);
    assert_int_equal(partition(w)->adding.count + partition(w)->removing.count, 0);
    assert_int_equal(partition(w)->leader, 2);
}

static void
a_wish_said_twice_is_one_move(void **state)
{
    struct world *w = *state;
    static const int32_t two[] = {2};
    assert_int_equal(reassign(w, two, 1, true), 0);
    int32_t epoch = partition(w)->partition_epoch;
    assert_int_equal(reassign(w, two, 1, true), 0);
    assert_int_equal(w->records.count, 0);
    assert_int_equal(partition(w)->partition_epoch, epoch);
    ASSERT_IDS(partition(w)->adding, 2);
}

static void
nothing_to_change_leaves_no_record(void **state)
{
    struct world *w = *state;
    static const int32_t one[] = {1};
    assert_int_equal(reassign(w, one, 1, false), 0);
    assert_int_equal(w->records.count, 0);
}

static void
a_cancelled_move_is_as_if_it_never_was(void **state)
{
    struct world *w = *state;
    static const int32_t more[] = {1, 2, 3};
    assert_int_equal(reassign(w, NULL, -1, true), PROTO_ERROR_NO_REASSIGNMENT_IN_PROGRESS);
    assert_int_equal(reassign(w, more, 3, true), 0);
    ASSERT_IDS(partition(w)->adding, 2, 3);
    assert_int_equal(reassign(w, NULL, -1, true), 0);
    ASSERT_IDS(partition(w)->replicas, 1);
    ASSERT_IDS(partition(w)->isr, 1);
    assert_int_equal(partition(w)->adding.count, 0);
    assert_int_equal(partition(w)->leader, 1);
}

static void
a_replica_that_goes_goes_at_once(void **state)
{
    struct world *w = *state;
    static const int32_t both[] = {1, 2}, one[] = {1};
    assert_int_equal(reassign(w, both, 2, true), 0);
    set_isr(w, both, 2);
    assert_int_equal(reassign(w, both, 2, true), 0);
    ASSERT_IDS(partition(w)->replicas, 1, 2);
    assert_int_equal(reassign(w, one, 1, true), 0);
    ASSERT_IDS(partition(w)->replicas, 1);
    ASSERT_IDS(partition(w)->isr, 1);
}

static void
each_bad_wish_has_its_error(void **state)
{
    struct world *w = *state;
    static const int32_t twice[] = {1, 1}, unknown[] = {9}, both[] = {1, 2};
    assert_int_equal(reassign(w, NULL, 0, true), PROTO_ERROR_INVALID_REPLICA_ASSIGNMENT);
    assert_int_equal(reassign(w, twice, 2, true), PROTO_ERROR_INVALID_REPLICA_ASSIGNMENT);
    assert_int_equal(reassign(w, unknown, 1, true), PROTO_ERROR_INVALID_REPLICA_ASSIGNMENT);
    assert_int_equal(reassign(w, both, 2, false), PROTO_ERROR_INVALID_REPLICATION_FACTOR);
}

static void
moves_under_way_are_listed(void **state)
{
    struct world *w = *state;
    struct proto_list_partition_reassignments_request request;
    struct proto_list_partition_reassignments_response response;
    static const int32_t two[] = {2};
    proto_init(&proto_list_partition_reassignments_request_schema, &request);
    request.topics.count = -1;
    assert_int_equal(world_ask(w, LIST, 0, &request, &response), ERR_OK);
    assert_int_equal(response.topics.count, 0);
    assert_int_equal(reassign(w, two, 1, true), 0);
    assert_int_equal(world_ask(w, LIST, 0, &request, &response), ERR_OK);
    assert_int_equal(response.topics.count, 1);
    assert_int_equal(response.topics.items[0].partitions.count, 1);
    assert_int_equal(response.topics.items[0].partitions.items[0].adding_replicas.items[0], 2);
    assert_int_equal(response.topics.items[0].partitions.items[0].removing_replicas.items[0], 1);
}

#define WORLD_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
TEST_MAIN(WORLD_TEST(a_move_keeps_the_old_replica_until_the_new_one_is_in_sync),
    WORLD_TEST(a_wish_said_twice_is_one_move), WORLD_TEST(nothing_to_change_leaves_no_record),
    WORLD_TEST(a_cancelled_move_is_as_if_it_never_was),
    WORLD_TEST(a_replica_that_goes_goes_at_once), WORLD_TEST(each_bad_wish_has_its_error),
    WORLD_TEST(moves_under_way_are_listed))
