/* A broker that comes back: what its partitions go through, after a clean stop and after none. */
#include "tests/lib/test.h"

#include <stdio.h>
#include <string.h>

#include "proto/broker_heartbeat_request.h"
#include "proto/broker_heartbeat_response.h"
#include "proto/broker_registration_request.h"
#include "proto/broker_registration_response.h"
#include "proto/error_codes.h"
#include "tests/unit/meta/world.h"

enum { REGISTER = 62, HEARTBEAT = 63 };

static void
create(struct world *w, struct str name, const int32_t *replicas, int32_t count)
{
    struct proto_create_topics_request_creatable_replica_assignment one = {
        .broker_ids = {(int32_t *)(uintptr_t)replicas, count}};
    struct proto_create_topics_request_creatable_topic topic = {
        .name = name, .num_partitions = -1, .replication_factor = -1};
    topic.assignments.items = &one;
    topic.assignments.count = 1;
    assert_int_equal(world_create(w, topic, false).error_code, PROTO_ERROR_NONE);
    world_replay(w);
}

/* Registers broker 1 in a new life; the answer's error. */
static int
come_back(struct world *w, int64_t previous_epoch, int64_t *epoch)
{
    struct proto_broker_registration_request request;
    struct proto_broker_registration_response response;
    struct proto_broker_registration_request_listener listener = {
        .name = STR("PLAINTEXT"), .host = STR("h"), .port = 9092};
    struct uuid dir = {{77, [15] = 1}};
    proto_init(&proto_broker_registration_request_schema, &request);
    request.broker_id = 1;
    request.cluster_id = STR("cluster");
    request.incarnation_id = (struct uuid){{9, [15] = 9}};
    request.previous_broker_epoch = previous_epoch;
    request.listeners.items = &listener;
    request.listeners.count = 1;
    request.log_dirs.items = &dir;
    request.log_dirs.count = 1;
    assert_int_equal(world_ask(w, REGISTER, 4, &request, &response), ERR_OK);
    world_replay(w);
    *epoch = response.broker_epoch;
    return response.error_code;
}

static void
beat(struct world *w, int64_t epoch)
{
    struct proto_broker_heartbeat_request request;
    struct proto_broker_heartbeat_response response;
    proto_init(&proto_broker_heartbeat_request_schema, &request);
    request.broker_id = 1;
    request.broker_epoch = epoch;
    request.current_metadata_offset = epoch;
    assert_int_equal(world_ask(w, HEARTBEAT, 1, &request, &response), ERR_OK);
    assert_int_equal(response.error_code, PROTO_ERROR_NONE);
    assert_false(response.is_fenced);
    world_replay(w);
}

static const struct meta_partition *
part(struct world *w, const char *topic, int32_t index)
{
    return meta_image_topic(w->image, str_of(topic))->partitions[index];
}

static int64_t
epoch_of(struct world *w)
{
    return meta_image_broker(w->image, 1)->epoch;
}

static void
after_an_unclean_stop_leader_epochs_move_as_kafkas_do(void **state)
{
    static const int32_t alone[] = {1}, many[] = {1, 2, 3}, others[] = {2, 3};
    static struct world w;
    int64_t epoch;
    (void)state;
    world_init(&w);
    create(&w, STR("alone"), alone, 1);
    create(&w, STR("many"), many, 3);
    create(&w, STR("others"), others, 2);
    assert_int_equal(come_back(&w, -1, &epoch), PROTO_ERROR_NONE);
    assert_int_equal(epoch, meta_image_offset(w.image)); /* of the registration's own record */
    const struct meta_partition *p = part(&w, "alone", 0);
    assert_int_equal(p->leader, -1);
    assert_int_equal(p->leader_epoch, 1);
    assert_int_equal(p->isr.count, 0);
    assert_int_equal(p->elr.count, 0);
    assert_int_equal(p->last_known_elr.count, 1);
    p = part(&w, "many", 0);
    assert_int_equal(p->leader, 2);
    assert_int_equal(p->leader_epoch, 1);
    assert_int_equal(p->isr.count, 2);
    assert_int_equal(part(&w, "others", 0)->partition_epoch, 0);
    beat(&w, epoch);
    p = part(&w, "alone", 0);
    assert_int_equal(p->leader, 1);
    assert_int_equal(p->leader_epoch, 2);
    assert_int_equal(p->isr.count, 1);
    assert_int_equal(p->last_known_elr.count, 0);
    assert_int_equal(p->recovery_state, META_RECOVERING); /* it may have lost something */
    assert_int_equal(part(&w, "many", 0)->leader, 2);
    world_fini(&w);
}

static void
after_a_clean_stop_nothing_moves(void **state)
{
    static const int32_t alone[] = {1};
    static struct world w;
    int64_t epoch;
    (void)state;
    world_init(&w);
    create(&w, STR("alone"), alone, 1);
    assert_int_equal(come_back(&w, epoch_of(&w), &epoch), PROTO_ERROR_NONE);
    beat(&w, epoch);
    assert_int_equal(part(&w, "alone", 0)->leader, 1);
    assert_int_equal(part(&w, "alone", 0)->leader_epoch, 0);
    world_fini(&w);
}

static void
more_partitions_than_an_operation_holds_take_several(void **state)
{
    enum { TOPICS = 3, PARTITIONS = 9000 };
    static struct world w;
    int64_t epoch;
    int tries = 1;
    (void)state;
    world_init(&w);
    for (int t = 0; t < TOPICS; t++) {
        static const int32_t alone[] = {1};
        static struct proto_create_topics_request_creatable_replica_assignment all[PARTITIONS];
        char name[16];
        struct proto_create_topics_request_creatable_topic topic = {
            .num_partitions = -1, .replication_factor = -1};
        for (int32_t i = 0; i < PARTITIONS; i++)
            all[i] = (struct proto_create_topics_request_creatable_replica_assignment){
                .partition_index = i, .broker_ids = {(int32_t *)(uintptr_t)alone, 1}};
        snprintf(name, sizeof name, "t%d", t);
        topic.name = str_of(name);
        topic.assignments.items = all;
        topic.assignments.count = PARTITIONS;
        assert_int_equal(world_create(&w, topic, false).error_code, PROTO_ERROR_NONE);
        world_replay(&w);
        arena_reset(&w.arena);
    }
    while (come_back(&w, -1, &epoch) == PROTO_ERROR_REQUEST_TIMED_OUT) {
        assert_true(++tries < 10);
        arena_reset(&w.arena);
    }
    assert_int_equal(tries, 3);
    assert_int_equal(part(&w, "t2", PARTITIONS - 1)->leader, -1);
    for (int i = 0; i < 3; i++) {
        beat(&w, epoch);
        arena_reset(&w.arena);
    }
    for (int32_t i = 0; i < PARTITIONS; i++) {
        assert_int_equal(part(&w, "t0", i)->leader, 1);
        assert_int_equal(part(&w, "t2", i)->leader_epoch, 2);
    }
    world_fini(&w);
}

TEST_MAIN(cmocka_unit_test(after_an_unclean_stop_leader_epochs_move_as_kafkas_do),
    cmocka_unit_test(after_a_clean_stop_nothing_moves),
    cmocka_unit_test(more_partitions_than_an_operation_holds_take_several))
