#include "tests/lib/test.h"
#include "tests/unit/replica/node.h"

#include "base/attr.h"
#include "meta/builder.h"
#include "meta/records.h"
#include "proto/config_record.h"
#include "proto/partition_change_record.h"
#include "proto/partition_record.h"
#include "proto/remove_topic_record.h"
#include "proto/topic_record.h"
#include "replica/manager_priv.h"
#include "replica/traffic.h"
#include "wire/batch_builder.h"

struct fixture {
    struct node node;
    int64_t offset;
    struct meta_records records; /* of the change being made */
    int led, resigned;
};

static const struct uuid ID_A = {{0xa, 1}};
static const struct uuid ID_B = {{0xb, 1}};

/* ---- the node ---- */

static void
on_led(void *ctx, struct replica_partition *part, int32_t leader_epoch)
{
    struct fixture *f = ctx;

    (void)part;
    assert_true(leader_epoch >= 0);
    f->led++;
}

static void
on_resigned(void *ctx, struct replica_partition *part)
{
    struct fixture *f = ctx;

    (void)part;
    f->resigned++;
}

static void
fixture_open(struct fixture *f)
{
    static const char *const dirs[] = {"data"};

    memset(f, 0, sizeof *f);
    f->node.dirs = dirs;
    f->node.dir_count = 1;
    f->node.events =
        (struct replica_manager_events){.led = on_led, .resigned = on_resigned, .ctx = f};
    node_start(&f->node);
    meta_records_init(&f->records, &f->node.arena, 0);
}

static void
fixture_close(struct fixture *f)
{
    node_end(&f->node);
}

/* ---- changes of the metadata ---- */

static void
add_topic(struct fixture *f, const char *name, struct uuid id)
{
    struct proto_topic_record record = {.name = str_of(name), .topic_id = id};

    meta_records_add(&f->records, META_RECORD_TOPIC, 0, &proto_topic_record_schema, &record);
}

static void
add_partition(struct fixture *f, struct uuid id, int32_t index, int32_t leader)
{
    int32_t replica = leader;
    struct proto_partition_record record;

    proto_init(&proto_partition_record_schema, &record);
    record.partition_id = index;
    record.topic_id = id;
    record.replicas.items = record.isr.items = &replica;
    record.replicas.count = record.isr.count = 1;
    record.leader = leader;
    record.leader_epoch = 0;
    meta_records_add(
        &f->records, META_RECORD_PARTITION, 0, &proto_partition_record_schema, &record);
}

static void
remove_topic(struct fixture *f, struct uuid id)
{
    struct proto_remove_topic_record record = {.topic_id = id};

    meta_records_add(
        &f->records, META_RECORD_REMOVE_TOPIC, 0, &proto_remove_topic_record_schema, &record);
}

static void
set_config(struct fixture *f, const char *topic, const char *key, const char *value)
{
    struct proto_config_record record = {.resource_type = META_RESOURCE_TOPIC,
        .resource_name = str_of(topic),
        .name = str_of(key),
        .value = str_of(value)};

    meta_records_add(&f->records, META_RECORD_CONFIG, 0, &proto_config_record_schema, &record);
}

/* The records since the last change become the next image; the manager follows unless it is to
 * start from it. */
static void
change(struct fixture *f, bool apply)
{
    struct meta_builder *builder;
    struct meta_image *image;
    struct meta_delta *delta;

    assert_int_equal(f->records.err, ERR_OK);
    assert_int_equal(meta_builder_new(f->node.image, &builder), ERR_OK);
    for (int i = 0; i < f->records.count; i++)
        assert_int_equal(meta_builder_replay(builder, f->records.items[i].value), ERR_OK);
    f->offset += f->records.count;
    assert_int_equal(meta_builder_finish(&builder, f->offset, 1, 0, &image, &delta), ERR_OK);
    if (apply)
        replica_manager_apply(f->node.mgr, delta, image);
    meta_delta_free(&delta);
    meta_image_unref(&f->node.image);
    f->node.image = image;
    meta_records_init(&f->records, &f->node.arena, 0);
}

/* ---- using it ---- */

static enum proto_error
find(struct fixture *f, const char *topic, struct uuid id, int32_t index)
{
    struct replica_partition *part = NULL;
    enum proto_error error =
        replica_manager_find(f->node.mgr, f->node.image, str_of(topic), id, index, &part);

    replica_partition_unref(&part);
    return error;
}

static enum proto_error
append_to(struct fixture *f, const char *topic, int32_t index, size_t value_len)
{
    struct replica_partition *part = replica_manager_get(f->node.mgr, str_of(topic), index);
    struct batch_builder_opts opts = BATCH_BUILDER_OPTS_DEFAULT;
    struct batch_builder_record record = {.timestamp = env_wall_ms(f->node.env)};
    struct replica_append append = {.acks = 1, .leader_epoch = -1, .arena = &f->node.arena};
    struct batch_builder builder;
    struct buf buf;
    enum proto_error error;

    assert_non_null(part);
    buf_init(&buf, 1 << 20);
    record.value = (struct bytes){arena_calloc(&f->node.arena, 1, value_len), value_len};
    batch_builder_init(&builder, &opts, &buf);
    batch_builder_append(&builder, &record);
    assert_int_equal(batch_builder_finish(&builder), ERR_OK);
    append.batches = buf.data;
    append.len = buf.len;
    error = replica_partition_append(part, &append);
    buf_fini(&buf);
    replica_partition_unref(&part);
    return error;
}

static struct replica_partition_state
state_of(struct fixture *f, const char *topic, int32_t index)
{
    struct replica_partition *part = replica_manager_get(f->node.mgr, str_of(topic), index);
    struct replica_partition_state state;

    assert_non_null(part);
    replica_partition_get_state(part, &state);
    replica_partition_unref(&part);
    return state;
}

/* Two topics: a with partitions 0 and 1 here, b with 0 elsewhere. */
static void
two_topics(struct fixture *f)
{
    add_topic(f, "a", ID_A);
    add_partition(f, ID_A, 0, NODE);
    add_partition(f, ID_A, 1, NODE);
    add_topic(f, "b", ID_B);
    add_partition(f, ID_B, 0, 2);
}

struct noted {
    struct replica_waiter waiter;
    int calls;
    enum replica_wake why;
};

static void
note(struct replica_waiter *waiter, enum replica_wake why)
{
    struct noted *noted = CONTAINER_OF(waiter, struct noted, waiter);

    noted->calls++;
    noted->why = why;
}

static void
wait_on(struct fixture *f, const char *topic, int32_t index, struct noted *noted)
{
    struct replica_partition *part = replica_manager_get(f->node.mgr, str_of(topic), index);
    enum replica_wake why;

    *noted = (struct noted){0};
    replica_waiter_init(&noted->waiter, REPLICA_WATERMARK_HW, 1000, note);
    assert_true(replica_partition_wait(part, -1, &noted->waiter, &why));
    replica_partition_unref(&part);
}

/* ---- tests ---- */

static void
new_partitions_of_this_node_are_made_and_led(void **state)
{
    struct fixture f;

    (void)state;
    fixture_open(&f);
    two_topics(&f);
    change(&f, true);
    assert_int_equal(replica_manager_partition_count(f.node.mgr), 2);
    assert_int_equal(f.led, 2);
    assert_int_equal(append_to(&f, "a", 1, 10), PROTO_ERROR_NONE);
    assert_non_null(log_manager_find(f.node.logs, STR("a"), 1));
    assert_null(log_manager_find(f.node.logs, STR("b"), 0));
    fixture_close(&f);
}

static void
find_says_what_kafka_says(void **state)
{
    struct fixture f;

    (void)state;
    fixture_open(&f);
    two_topics(&f);
    change(&f, true);
    assert_int_equal(find(&f, "a", UUID_ZERO, 0), PROTO_ERROR_NONE);
    assert_int_equal(find(&f, "a", ID_A, 0), PROTO_ERROR_NONE);
    assert_int_equal(find(&f, "a", ID_B, 0), PROTO_ERROR_INCONSISTENT_TOPIC_ID);
    assert_int_equal(find(&f, "a", UUID_ZERO, 2), PROTO_ERROR_UNKNOWN_TOPIC_OR_PARTITION);
    assert_int_equal(find(&f, "a", UUID_ZERO, -1), PROTO_ERROR_UNKNOWN_TOPIC_OR_PARTITION);
    assert_int_equal(find(&f, "b", UUID_ZERO, 0), PROTO_ERROR_NOT_LEADER_OR_FOLLOWER);
    assert_int_equal(find(&f, "nobody", UUID_ZERO, 0), PROTO_ERROR_UNKNOWN_TOPIC_OR_PARTITION);
    fixture_close(&f);
}

static void
deleted_topic_ends_its_waiters_and_its_logs(void **state)
{
    struct fixture f;
    struct noted noted;
    struct replica_partition *held;
    struct replica_append append = {.acks = 1, .leader_epoch = -1};

    (void)state;
    fixture_open(&f);
    two_topics(&f);
    change(&f, true);
    assert_int_equal(append_to(&f, "a", 0, 10), PROTO_ERROR_NONE); /* its flush is under way */
    wait_on(&f, "a", 0, &noted);
    held = replica_manager_get(f.node.mgr, STR("a"), 0);
    remove_topic(&f, ID_A);
    change(&f, true);
    assert_int_equal(noted.calls, 1);
    assert_int_equal(noted.why, REPLICA_WAKE_DELETED);
    assert_int_equal(f.resigned, 2);
    assert_int_equal(replica_manager_partition_count(f.node.mgr), 0);
    assert_null(log_manager_find(f.node.logs, STR("a"), 0));
    assert_int_equal(find(&f, "a", UUID_ZERO, 0), PROTO_ERROR_UNKNOWN_TOPIC_OR_PARTITION);
    /* Whoever still holds it is told, and does no harm. */
    assert_int_equal(
        replica_partition_append(held, &append), PROTO_ERROR_UNKNOWN_TOPIC_OR_PARTITION);
    sim_run_ms(f.node.sim, 5000);
    replica_partition_unref(&held);
    fixture_close(&f);
}

static void
topic_made_again_in_one_change_starts_empty(void **state)
{
    struct fixture f;

    (void)state;
    fixture_open(&f);
    two_topics(&f);
    change(&f, true);
    assert_int_equal(append_to(&f, "a", 0, 10), PROTO_ERROR_NONE);
    remove_topic(&f, ID_A);
    add_topic(&f, "a", (struct uuid){{0xc, 1}});
    add_partition(&f, (struct uuid){{0xc, 1}}, 0, NODE);
    change(&f, true);
    assert_int_equal(find(&f, "a", ID_A, 0), PROTO_ERROR_INCONSISTENT_TOPIC_ID);
    assert_int_equal(state_of(&f, "a", 0).log_end_offset, 0);
    assert_int_equal(append_to(&f, "a", 0, 10), PROTO_ERROR_NONE);
    fixture_close(&f);
}

static void
configuration_of_a_topic_acts_at_once(void **state)
{
    struct fixture f;

    (void)state;
    fixture_open(&f);
    two_topics(&f);
    set_config(&f, "a", "max.message.bytes", "1000");
    change(&f, true);
    assert_int_equal(append_to(&f, "a", 0, 2000), PROTO_ERROR_MESSAGE_TOO_LARGE);
    set_config(&f, "a", "max.message.bytes", "3000");
    change(&f, true);
    assert_int_equal(append_to(&f, "a", 0, 2000), PROTO_ERROR_NONE);
    set_config(&f, "a", "max.message.bytes", NULL);
    set_config(&f, "a", "cleanup.policy", "compact");
    change(&f, true);
    assert_int_equal(append_to(&f, "a", 0, 10), PROTO_ERROR_INVALID_RECORD); /* no key */
    fixture_close(&f);
}

static void
start_takes_what_is_on_disk_and_strays_the_rest(void **state)
{
    struct fixture f;
    struct env_stat stat;

    (void)state;
    fixture_open(&f);
    two_topics(&f);
    change(&f, true);
    assert_int_equal(append_to(&f, "a", 0, 10), PROTO_ERROR_NONE);
    assert_int_equal(append_to(&f, "a", 1, 10), PROTO_ERROR_NONE);
    node_close(&f.node, false);

    /* While it was down: a-1 moved away, a-2 came. */
    {
        struct proto_partition_change_record record;
        int32_t other = 2;
        proto_init(&proto_partition_change_record_schema, &record);
        record.partition_id = 1;
        record.topic_id = ID_A;
        record.leader = 2;
        record.replicas.items = record.isr.items = &other;
        record.replicas.count = record.isr.count = 1;
        meta_records_add(&f.records, META_RECORD_PARTITION_CHANGE, 0,
            &proto_partition_change_record_schema, &record);
    }
    add_partition(&f, ID_A, 2, NODE);
    change(&f, false);
    node_open(&f.node);
    assert_int_equal(replica_manager_start(f.node.mgr, f.node.image), ERR_OK);
    assert_int_equal(replica_manager_partition_count(f.node.mgr), 2);
    assert_int_equal(state_of(&f, "a", 0).log_end_offset, 1);
    sim_run_ms(f.node.sim, 5000);
    assert_int_equal(state_of(&f, "a", 0).high_watermark, 1);
    assert_int_equal(state_of(&f, "a", 2).log_end_offset, 0);
    assert_int_equal(find(&f, "a", UUID_ZERO, 1), PROTO_ERROR_NOT_LEADER_OR_FOLLOWER);
    assert_null(log_manager_find(f.node.logs, STR("a"), 1));
    assert_int_equal(env_stat(f.node.env, "data/a-1", &stat), ERR_NOTFOUND);
    fixture_close(&f);
}

/* Its topic id is written again where a power cut took it; a disk that refuses that says nothing of
 * whose the log is. */
static void
log_whose_topic_id_cannot_be_written_is_not_strayed(void **state)
{
    static const enum err ERRORS[] = {ERR_NOSPACE, ERR_IO};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(ERRORS); i++) {
        struct fixture f;
        struct env_stat stat;
        struct env_file *file;

        fixture_open(&f);
        two_topics(&f);
        change(&f, true);
        assert_int_equal(append_to(&f, "a", 0, 10), PROTO_ERROR_NONE);
        node_close(&f.node, false);
        assert_int_equal(env_open(f.node.env, "data/a-0/partition.metadata",
                             ENV_OPEN_WRITE | ENV_OPEN_TRUNCATE, &file),
            ERR_OK);
        env_file_close(&file);
        node_open(&f.node);
        sim_host_fail_nth(f.node.host, SIM_OP_WRITE, 1, ERRORS[i]);
        assert_int_equal(replica_manager_start(f.node.mgr, f.node.image), ERR_OK);
        assert_true(state_of(&f, "a", 0).offline);
        assert_non_null(log_manager_find(f.node.logs, STR("a"), 0));
        assert_int_equal(env_stat(f.node.env, "data/a-0", &stat), ERR_OK);
        node_close(&f.node, false);
        node_open(&f.node);
        assert_int_equal(replica_manager_start(f.node.mgr, f.node.image), ERR_OK);
        assert_int_equal(state_of(&f, "a", 0).log_end_offset, 1);
        fixture_close(&f);
    }
}

static void
failed_directory_takes_all_its_partitions_out_of_service(void **state)
{
    struct fixture f;
    struct noted noted;

    (void)state;
    fixture_open(&f);
    two_topics(&f);
    change(&f, true);
    sim_run_ms(f.node.sim, 5000);
    wait_on(&f, "a", 1, &noted);
    sim_host_fail_nth(f.node.host, SIM_OP_WRITE, 1, ERR_IO);
    assert_int_equal(append_to(&f, "a", 0, 10), PROTO_ERROR_KAFKA_STORAGE_ERROR);
    assert_true(state_of(&f, "a", 0).offline);
    sim_run_ms(f.node.sim, 5000);
    assert_true(state_of(&f, "a", 1).offline);
    assert_int_equal(noted.calls, 1);
    assert_int_equal(noted.why, REPLICA_WAKE_FAILED);
    assert_int_equal(append_to(&f, "a", 1, 10), PROTO_ERROR_KAFKA_STORAGE_ERROR);
    assert_int_equal(f.resigned, 2);
    fixture_close(&f);
}

static void
stop_ends_waiters_and_refuses_what_comes(void **state)
{
    struct fixture f;
    struct noted noted;

    (void)state;
    fixture_open(&f);
    two_topics(&f);
    change(&f, true);
    wait_on(&f, "a", 0, &noted);
    replica_manager_stop(f.node.mgr);
    assert_int_equal(noted.calls, 1);
    assert_int_equal(append_to(&f, "a", 0, 10), PROTO_ERROR_NOT_LEADER_OR_FOLLOWER);
    fixture_close(&f);
}

static void
duties_run_over_every_partition(void **state)
{
    struct fixture f;

    (void)state;
    fixture_open(&f);
    two_topics(&f);
    set_config(&f, "a", "retention.ms", "1000");
    change(&f, true);
    for (int i = 0; i < 5; i++)
        assert_int_equal(append_to(&f, "a", 0, 100), PROTO_ERROR_NONE);
    sim_run_ms(f.node.sim, 100000);
    replica_manager_retention(f.node.mgr);
    assert_int_equal(state_of(&f, "a", 0).log_start_offset, 5);
    replica_manager_checkpoint_hw(f.node.mgr);
    replica_manager_checkpoint_logs(f.node.mgr);
    replica_manager_expire_producers(f.node.mgr, 1000);
    replica_manager_flush_due(f.node.mgr);
    fixture_close(&f);
}

static void
what_nobody_waits_for_is_flushed_by_the_duty(void **state)
{
    struct fixture f;
    uint64_t before;

    (void)state;
    fixture_open(&f);
    two_topics(&f);
    change(&f, true);
    sim_run_ms(f.node.sim, 5000);
    assert_int_equal(append_to(&f, "a", 0, 10), PROTO_ERROR_NONE);
    sim_run_ms(f.node.sim, 5000); /* the first flush has much to sync */
    assert_int_equal(state_of(&f, "a", 0).high_watermark, 1);
    assert_int_equal(append_to(&f, "a", 0, 10), PROTO_ERROR_NONE); /* long after the last flush */
    sim_run_ms(f.node.sim, 5);
    assert_int_equal(append_to(&f, "a", 0, 10), PROTO_ERROR_NONE); /* soon after it began */
    sim_run_ms(f.node.sim, 5000);
    assert_int_equal(state_of(&f, "a", 0).high_watermark, 2);
    replica_manager_flush_due(f.node.mgr);
    sim_run_ms(f.node.sim, 5000);
    assert_int_equal(state_of(&f, "a", 0).high_watermark, 3);
    before = f.node.mgr->shared.flush.flushes;
    replica_manager_flush_due(f.node.mgr);
    sim_run_ms(f.node.sim, 5000);
    assert_int_equal(f.node.mgr->shared.flush.flushes, before);
    fixture_close(&f);
}

static void
producer_ids_come_from_one_block_at_a_time(void **state)
{
    struct replica_producer_ids ids;
    struct replica_producer_id_wait wait;
    int64_t id = -1;

    (void)state;
    replica_producer_ids_init(&ids);
    assert_int_equal(replica_producer_ids_take(&ids, &wait, &id), REPLICA_PRODUCER_ID_ASK);
    assert_int_equal(replica_producer_ids_granted(&ids, 5000, 3), 5000);
    assert_int_equal(replica_producer_ids_take(&ids, &wait, &id), REPLICA_PRODUCER_ID_TAKEN);
    assert_int_equal(id, 5001);
    assert_int_equal(replica_producer_ids_take(&ids, &wait, &id), REPLICA_PRODUCER_ID_TAKEN);
    assert_int_equal(id, 5002);
    assert_int_equal(replica_producer_ids_take(&ids, &wait, &id), REPLICA_PRODUCER_ID_ASK);
    replica_producer_ids_refused(&ids);
    replica_producer_ids_fini(&ids);
}

static struct replica_traffic
traffic_of(struct fixture *f, const char *topic, int32_t index)
{
    struct replica_partition *part = replica_manager_get(f->node.mgr, str_of(topic), index);
    struct replica_partition_metrics metrics;

    assert_non_null(part);
    replica_partition_get_metrics(part, &metrics);
    replica_partition_unref(&part);
    return metrics.traffic;
}

static void
traffic_is_counted_and_kept_when_a_replica_goes(void **state)
{
    struct fixture f;
    struct replica_manager_metrics metrics;
    struct replica_partition *part;

    (void)state;
    fixture_open(&f);
    two_topics(&f);
    set_config(&f, "a", "max.message.bytes", "1000");
    change(&f, true);
    assert_int_equal(append_to(&f, "a", 0, 10), PROTO_ERROR_NONE);
    assert_int_equal(append_to(&f, "a", 0, 10), PROTO_ERROR_NONE);
    assert_int_equal(append_to(&f, "a", 0, 2000), PROTO_ERROR_MESSAGE_TOO_LARGE);
    part = replica_manager_get(f.node.mgr, STR("a"), 0);
    replica_partition_note_fetch(part, 500, false, PROTO_ERROR_NONE);
    replica_partition_note_fetch(part, 70, true, PROTO_ERROR_NONE);
    replica_partition_note_fetch(part, 0, false, PROTO_ERROR_OFFSET_OUT_OF_RANGE);
    replica_partition_note_fetch(part, 0, false, PROTO_ERROR_UNKNOWN_SERVER_ERROR);
    replica_partition_unref(&part);
    struct replica_traffic traffic = traffic_of(&f, "a", 0);
    assert_int_equal(traffic.produces, 3);
    assert_int_equal(traffic.produces_failed, 0);
    assert_int_equal(traffic.messages_in, 2);
    assert_true(traffic.bytes_in > 2 * 61 && traffic.bytes_in < 2 * 100);
    assert_true(traffic.bytes_rejected > 2000);
    assert_int_equal(traffic.fetches, 4);
    assert_int_equal(traffic.fetches_failed, 1);
    assert_int_equal(traffic.bytes_out, 500);
    assert_int_equal(traffic.replicas_bytes_out, 70);
    assert_int_equal(traffic_of(&f, "a", 1).produces, 0);

    remove_topic(&f, ID_A);
    change(&f, true);
    replica_manager_get_metrics(f.node.mgr, &metrics);
    assert_memory_equal(&metrics.past, &traffic, sizeof traffic);
    fixture_close(&f);
}

static void
change_isr(struct fixture *f, int32_t count)
{
    int32_t nodes[] = {NODE, 2, 3};
    struct proto_partition_change_record record;

    proto_init(&proto_partition_change_record_schema, &record);
    record.partition_id = 0; /* the default is -1 */
    record.topic_id = ID_A;
    record.replicas.items = record.isr.items = nodes;
    record.replicas.count = 3;
    record.isr.count = count;
    meta_records_add(&f->records, META_RECORD_PARTITION_CHANGE, 0,
        &proto_partition_change_record_schema, &record);
    change(f, true);
}

static void
shrinks_and_expands_of_the_isr_are_counted(void **state)
{
    struct fixture f;
    struct replica_manager_metrics metrics;

    (void)state;
    fixture_open(&f);
    two_topics(&f);
    change(&f, true);
    replica_manager_get_metrics(f.node.mgr, &metrics);
    assert_int_equal(metrics.isr_shrinks + metrics.isr_expands, 0);
    change_isr(&f, 3);
    change_isr(&f, 2);
    change_isr(&f, 1);
    replica_manager_get_metrics(f.node.mgr, &metrics);
    assert_int_equal(metrics.isr_expands, 1);
    assert_int_equal(metrics.isr_shrinks, 2);
    fixture_close(&f);
}

TEST_MAIN(cmocka_unit_test(new_partitions_of_this_node_are_made_and_led),
    cmocka_unit_test(find_says_what_kafka_says),
    cmocka_unit_test(deleted_topic_ends_its_waiters_and_its_logs),
    cmocka_unit_test(topic_made_again_in_one_change_starts_empty),
    cmocka_unit_test(configuration_of_a_topic_acts_at_once),
    cmocka_unit_test(start_takes_what_is_on_disk_and_strays_the_rest),
    cmocka_unit_test(log_whose_topic_id_cannot_be_written_is_not_strayed),
    cmocka_unit_test(failed_directory_takes_all_its_partitions_out_of_service),
    cmocka_unit_test(stop_ends_waiters_and_refuses_what_comes),
    cmocka_unit_test(duties_run_over_every_partition),
    cmocka_unit_test(what_nobody_waits_for_is_flushed_by_the_duty),
    cmocka_unit_test(traffic_is_counted_and_kept_when_a_replica_goes),
    cmocka_unit_test(shrinks_and_expands_of_the_isr_are_counted),
    cmocka_unit_test(producer_ids_come_from_one_block_at_a_time))
