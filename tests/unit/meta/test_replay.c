/* Records into images: a log that Apache Kafka 4.3.1 wrote, sharing, deltas, snapshots. */
#include "tests/lib/test.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "meta/builder.h"
#include "meta/config.h"
#include "meta/records.h"
#include "meta/snapshot.h"
#include "proto/config_record.h"
#include "proto/partition_change_record.h"
#include "proto/partition_record.h"
#include "proto/register_broker_record.h"
#include "proto/remove_topic_record.h"
#include "proto/topic_record.h"
#include "wire/batch.h"

enum { ARENA_MAX = 256 << 20, VECTOR_MAX = 1 << 16 };

static struct meta_image *
empty(void)
{
    struct meta_image *image = NULL;
    assert_int_equal(meta_image_new_empty(STR("cluster"), &image), ERR_OK);
    return image;
}

/* Replays every data record of a log onto an empty image. */
static struct meta_image *
replay_log(struct bytes log, struct meta_delta **delta)
{
    struct meta_image *base = empty();
    struct meta_image *image = NULL;
    struct meta_builder *builder = NULL;
    struct batch_view view;
    struct batch_iter it;
    struct batch_record record;
    int64_t offset = -1;
    assert_int_equal(meta_builder_new(base, &builder), ERR_OK);
    while (log.len > 0) {
        assert_int_equal(batch_parse(log, &view), ERR_OK);
        assert_true(batch_crc_ok(&view));
        assert_int_equal(batch_iter_init(&it, &view, NULL, NULL), ERR_OK);
        while (!batch_is_control(&view) && batch_iter_next(&it, &record))
            assert_int_equal(meta_builder_replay(builder, record.value), ERR_OK);
        offset = batch_last_offset(&view);
        log.data += view.size_bytes;
        log.len -= view.size_bytes;
    }
    assert_int_equal(meta_builder_finish(&builder, offset, 1, 7, &image, delta), ERR_OK);
    assert_null(builder);
    meta_image_unref(&base);
    return image;
}

static struct bytes
vector(uint8_t data[VECTOR_MAX])
{
    FILE *file = fopen(VECTORS_DIR "/apache_4_3_1_metadata.log", "rb");
    assert_non_null(file);
    size_t len = fread(data, 1, VECTOR_MAX, file);
    fclose(file);
    return (struct bytes){data, len};
}

static void
a_log_of_apache_replays_to_what_apache_shows(void **state)
{
    (void)state;
    static uint8_t data[VECTOR_MAX];
    struct meta_delta *delta = NULL;
    struct meta_image *image = replay_log(vector(data), &delta);
    assert_int_equal(meta_image_offset(image), 80);
    assert_int_equal(meta_image_topic_count(image), 1);
    assert_int_equal(meta_image_partition_count(image), 4);
    assert_null(meta_image_topic(image, STR("t1"))); /* was deleted */
    const struct meta_topic *topic = meta_image_topic(image, STR("t2"));
    char id[UUID_TEXT_SIZE];
    assert_non_null(topic);
    uuid_format(topic->id, id);
    assert_string_equal(id, "8NrhxjSlTDmVl_xRDfF7ww");
    assert_ptr_equal(meta_image_topic_by_id(image, topic->id), topic);
    for (int32_t i = 0; i < 4; i++) {
        const struct meta_partition *part = meta_topic_partition(topic, i);
        assert_non_null(part);
        assert_int_equal(part->leader, 1);
        assert_int_equal(part->isr.count, 1);
        assert_int_equal(part->replicas.items[0], 1);
        uuid_format(meta_partition_directory(part, 1), id);
        assert_string_equal(id, "W702USsVTnKNAjnIupC6NA");
    }
    const struct meta_broker *broker = meta_image_broker(image, 1);
    assert_non_null(broker);
    assert_int_equal(broker->epoch, 14);
    assert_true(meta_image_broker_is_alive(image, 1));
    assert_int_equal(meta_broker_endpoint(broker, STR("PLAINTEXT"))->port, 21300);
    assert_int_equal(broker->log_dir_count, 1);
    assert_int_equal(meta_image_feature(image, STR("metadata.version")), 30);
    assert_int_equal(meta_image_feature(image, STR("transaction.version")), 2);
    assert_true(
        str_eq_z(meta_image_config(image, META_RESOURCE_BROKER, STR(""), STR("log.retention.ms")),
            "100000"));
    assert_true(str_eq_z(
        meta_image_config(image, META_RESOURCE_BROKER, STR("1"), STR("num.io.threads")), "9"));
    /* A removed topic takes its configuration along. */
    assert_int_equal(meta_image_configs(image, META_RESOURCE_TOPIC, STR("t1")).count, 0);
    assert_int_equal(delta->topic_count, 1); /* t1 came and went in between */
    assert_null(delta->topics[0].before);
    assert_int_equal(delta->topics[0].partition_count, 4);
    assert_int_equal(delta->broker_count, 1);
    meta_delta_free(&delta);
    meta_image_unref(&image);
}

/* ---- snapshots ---- */

struct collect {
    struct meta_builder *builder;
    uint64_t hash;
    int count;
};

static enum err
collect_put(void *ctx, const struct meta_records *records)
{
    struct collect *c = ctx;
    for (int i = 0; i < records->count; i++) {
        struct bytes value = records->items[i].value;
        for (size_t j = 0; j < value.len; j++)
            c->hash = (c->hash ^ value.data[j]) * 1099511628211u;
        c->count++;
        if (c->builder != NULL) {
            enum err err = meta_builder_replay(c->builder, value);
            if (err != ERR_OK)
                return err;
        }
    }
    return ERR_OK;
}

static uint64_t
snapshot_hash(const struct meta_image *image, struct meta_image **copy)
{
    struct collect c = {.hash = 14695981039346656037u};
    struct meta_image *base = empty();
    struct arena arena;
    arena_init(&arena, ARENA_MAX);
    if (copy != NULL)
        assert_int_equal(meta_builder_new(base, &c.builder), ERR_OK);
    assert_int_equal(meta_snapshot_records(image, &arena, collect_put, &c), ERR_OK);
    assert_true(c.count > 0);
    if (copy != NULL) {
        struct meta_delta *delta;
        assert_int_equal(
            meta_builder_finish(&c.builder, meta_image_offset(image), 1, 7, copy, &delta), ERR_OK);
        meta_delta_free(&delta);
    }
    arena_fini(&arena);
    meta_image_unref(&base);
    return c.hash;
}

static void
a_snapshot_makes_the_same_image_again(void **state)
{
    (void)state;
    static uint8_t data[VECTOR_MAX];
    struct meta_delta *delta = NULL;
    struct meta_image *copy = NULL;
    struct meta_image *image = replay_log(vector(data), &delta);
    uint64_t first = snapshot_hash(image, &copy);
    assert_true(snapshot_hash(copy, NULL) == first);
    assert_int_equal(meta_image_partition_count(copy), 4);
    assert_true(meta_image_broker_is_alive(copy, 1));
    /* Kept though not interpreted: the controller's registration. */
    const struct meta_raw *raw = meta_image_raw_after(image, META_RECORD_REGISTER_CONTROLLER, NULL);
    const struct meta_raw *again =
        meta_image_raw_after(copy, META_RECORD_REGISTER_CONTROLLER, NULL);
    assert_non_null(raw);
    assert_non_null(again);
    assert_true(bytes_eq(raw->frame, again->frame));
    meta_image_unref(&copy);
    meta_delta_free(&delta);
    meta_image_unref(&image);
}

static void
replaying_twice_gives_the_same_snapshot(void **state)
{
    (void)state;
    static uint8_t data[VECTOR_MAX];
    uint64_t hashes[2];
    for (int i = 0; i < 2; i++) {
        struct meta_delta *delta = NULL;
        struct meta_image *image = replay_log(vector(data), &delta);
        hashes[i] = snapshot_hash(image, NULL);
        meta_delta_free(&delta);
        meta_image_unref(&image);
    }
    assert_true(hashes[0] == hashes[1]);
}

/* Kept raw or without content: their bodies are not looked at. */
static bool
is_opaque(struct bytes value)
{
    struct meta_record_frame frame;
    assert_int_equal(meta_record_parse(value, &frame), ERR_OK);
    return frame.type == META_RECORD_NO_OP || frame.type == META_RECORD_REGISTER_CONTROLLER ||
           frame.type == META_RECORD_BEGIN_TRANSACTION || frame.type == META_RECORD_END_TRANSACTION;
}

static void
no_cut_or_flipped_record_is_more_than_an_error(void **state)
{
    (void)state;
    static uint8_t data[VECTOR_MAX];
    uint8_t copy[512];
    struct bytes log = vector(data);
    struct batch_view view;
    struct batch_iter it;
    struct batch_record record;
    while (log.len > 0 && batch_parse(log, &view) == ERR_OK) {
        assert_int_equal(batch_iter_init(&it, &view, NULL, NULL), ERR_OK);
        while (!batch_is_control(&view) && batch_iter_next(&it, &record)) {
            struct bytes value = record.value;
            for (size_t at = 0; at <= value.len && value.len < sizeof copy; at++) {
                struct meta_image *base = empty();
                struct meta_builder *builder = NULL;
                memcpy(copy, value.data, value.len);
                if (at < value.len)
                    copy[at] ^= 0x41;
                assert_int_equal(meta_builder_new(base, &builder), ERR_OK);
                enum err err = meta_builder_replay(builder, (struct bytes){copy, value.len});
                (void)err; /* any; the sanitizers judge */
                meta_builder_free(&builder);
                assert_int_equal(meta_builder_new(base, &builder), ERR_OK);
                if (at < value.len && !is_opaque(value))
                    assert_int_not_equal(
                        meta_builder_replay(builder, (struct bytes){value.data, at}), ERR_OK);
                meta_builder_free(&builder);
                meta_image_unref(&base);
            }
        }
        log.data += view.size_bytes;
        log.len -= view.size_bytes;
    }
}

static void
a_broker_without_a_place_among_the_ids_is_corrupt(void **state)
{
    (void)state;
    const int32_t ids[] = {-1, INT32_MIN, 0, INT32_MAX};
    struct proto_register_broker_record broker;
    struct meta_image *base = empty();
    struct arena arena;
    arena_init(&arena, ARENA_MAX);
    proto_init(&proto_register_broker_record_schema, &broker);
    for (size_t i = 0; i < COUNT_OF(ids); i++) {
        struct meta_records records;
        struct meta_builder *builder = NULL;
        broker.broker_id = ids[i];
        meta_records_init(&records, &arena, 7);
        meta_records_add(&records, META_RECORD_REGISTER_BROKER, 3,
            &proto_register_broker_record_schema, &broker);
        assert_int_equal(records.err, ERR_OK);
        assert_int_equal(meta_builder_new(base, &builder), ERR_OK);
        assert_int_equal(meta_builder_replay(builder, records.items[0].value),
            ids[i] < 0 ? ERR_CORRUPT : ERR_OK);
        meta_builder_free(&builder);
    }
    meta_image_unref(&base);
    arena_fini(&arena);
}

/* ---- sharing and deltas ---- */

static struct uuid
id_of(int n)
{
    struct uuid id = {{0}};
    id.b[0] = 1;
    store_be32(id.b + 12, (uint32_t)n);
    return id;
}

static void
add_topic(struct meta_records *records, int n, int32_t partitions)
{
    char *name = arena_alloc(records->arena, 16);
    int32_t one = 1;
    struct uuid dir = id_of(99999);
    snprintf(name, 16, "topic-%05d", n);
    struct proto_topic_record topic = {.name = str_of(name), .topic_id = id_of(n)};
    meta_records_add(records, META_RECORD_TOPIC, 0, &proto_topic_record_schema, &topic);
    for (int32_t i = 0; i < partitions; i++) {
        struct proto_partition_record part;
        proto_init(&proto_partition_record_schema, &part);
        part.partition_id = i;
        part.topic_id = id_of(n);
        part.replicas.items = &one;
        part.replicas.count = 1;
        part.isr.items = &one;
        part.isr.count = 1;
        part.leader = 1;
        part.directories.items = &dir;
        part.directories.count = 1;
        meta_records_add(records, META_RECORD_PARTITION, 1, &proto_partition_record_schema, &part);
    }
}

static struct meta_image *
apply(struct meta_image *base, const struct meta_records *records, struct meta_delta **delta)
{
    struct meta_builder *builder = NULL;
    struct meta_image *image = NULL;
    assert_int_equal(records->err, ERR_OK);
    assert_int_equal(meta_builder_new(base, &builder), ERR_OK);
    for (int i = 0; i < records->count; i++)
        assert_int_equal(meta_builder_replay(builder, records->items[i].value), ERR_OK);
    assert_int_equal(meta_builder_finish(
                         &builder, meta_image_offset(base) + records->count, 1, 7, &image, delta),
        ERR_OK);
    return image;
}

enum { MANY = 5000 };

static struct meta_image *
many_topics(struct arena *arena)
{
    struct meta_image *image = empty();
    for (int n = 0; n < MANY; n += 1000) {
        struct meta_records records;
        struct meta_delta *delta;
        meta_records_init(&records, arena, 7);
        for (int i = 0; i < 1000; i++)
            add_topic(&records, n + i, 2);
        struct meta_image *next = apply(image, &records, &delta);
        meta_delta_free(&delta);
        meta_image_unref(&image);
        image = next;
    }
    return image;
}

static void
one_changed_partition_costs_no_copy_of_the_others(void **state)
{
    (void)state;
    struct arena arena;
    struct meta_records records;
    struct meta_delta *delta;
    struct proto_partition_change_record change;
    int32_t isr[] = {1};
    arena_init(&arena, ARENA_MAX);
    struct meta_image *image = many_topics(&arena);
    assert_int_equal(meta_image_topic_count(image), MANY);
    assert_int_equal(meta_image_partition_count(image), 2 * MANY);

    proto_init(&proto_partition_change_record_schema, &change);
    change.partition_id = 1;
    change.topic_id = id_of(77);
    change.leader = -1;
    change.isr.items = isr;
    change.isr.count = 1;
    meta_records_init(&records, &arena, 7);
    meta_records_add(
        &records, META_RECORD_PARTITION_CHANGE, 0, &proto_partition_change_record_schema, &change);
    uint64_t before = mem_count_thread();
    struct meta_image *next = apply(image, &records, &delta);
    uint64_t spent = mem_count_thread() - before;
    assert_true(spent < 120);

    const struct meta_topic *old = meta_image_topic_by_id(image, id_of(77));
    const struct meta_topic *new = meta_image_topic_by_id(next, id_of(77));
    assert_ptr_not_equal(old, new);
    assert_ptr_equal(old->partitions[0], new->partitions[0]);
    assert_int_equal(old->partitions[1]->leader, 1);
    assert_int_equal(new->partitions[1]->leader, -1);
    assert_int_equal(new->partitions[1]->leader_epoch, old->partitions[1]->leader_epoch + 1);
    assert_int_equal(new->partitions[1]->partition_epoch, old->partitions[1]->partition_epoch + 1);
    assert_ptr_equal(
        meta_image_topic_by_id(image, id_of(78)), meta_image_topic_by_id(next, id_of(78)));
    assert_int_equal(delta->topic_count, 1);
    assert_int_equal(delta->topics[0].partition_count, 1);
    assert_int_equal(delta->topics[0].partitions[0], 1);
    meta_delta_free(&delta);
    /* The older image is whole without the newer one, and the other way round. */
    meta_image_unref(&image);
    assert_int_equal(meta_image_partition_count(next), 2 * MANY);
    meta_image_unref(&next);
    arena_fini(&arena);
}

static void
topics_come_in_the_order_of_their_names(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, ARENA_MAX);
    struct meta_image *image = many_topics(&arena);
    const struct meta_topic *topic = meta_image_topic_after(image, STR_NULL);
    struct str last = STR_NULL;
    int count = 0;
    for (; topic != NULL; topic = meta_image_topic_after(image, topic->name)) {
        if (count++ > 0)
            assert_true(str_cmp(last, topic->name) < 0);
        last = topic->name;
    }
    assert_int_equal(count, MANY);
    meta_image_unref(&image);
    arena_fini(&arena);
}

static void
a_topic_made_again_under_its_name_is_two_changes_the_deletion_first(void **state)
{
    (void)state;
    struct arena arena;
    struct meta_records records;
    struct meta_delta *delta;
    struct meta_image *base = empty();
    arena_init(&arena, ARENA_MAX);
    meta_records_init(&records, &arena, 7);
    add_topic(&records, 5, 3);
    struct meta_image *image = apply(base, &records, &delta);
    meta_delta_free(&delta);

    struct proto_remove_topic_record removal = {.topic_id = id_of(5)};
    struct proto_topic_record again = {.name = STR("topic-00005"), .topic_id = id_of(6)};
    meta_records_init(&records, &arena, 7);
    meta_records_add(
        &records, META_RECORD_REMOVE_TOPIC, 0, &proto_remove_topic_record_schema, &removal);
    meta_records_add(&records, META_RECORD_TOPIC, 0, &proto_topic_record_schema, &again);
    struct meta_image *next = apply(image, &records, &delta);
    assert_int_equal(delta->topic_count, 2);
    assert_null(delta->topics[0].after);
    assert_true(uuid_eq(delta->topics[0].before->id, id_of(5)));
    assert_int_equal(delta->topics[0].partition_count, 3);
    assert_null(delta->topics[1].before);
    assert_true(uuid_eq(delta->topics[1].after->id, id_of(6)));
    assert_true(uuid_eq(meta_image_topic(next, STR("topic-00005"))->id, id_of(6)));
    assert_null(meta_image_topic_by_id(next, id_of(5)));
    meta_delta_free(&delta);
    meta_image_unref(&next);
    meta_image_unref(&image);
    meta_image_unref(&base);
    arena_fini(&arena);
}

/* Fails the 1st, 2nd, ... allocation of building an image: either it is made or nothing leaks. */
static void
every_failed_allocation_leaves_the_base_as_it_was(void **state)
{
    (void)state;
    struct arena arena;
    struct meta_records records;
    struct meta_image *base = empty();
    bool untouched = false;
    arena_init(&arena, ARENA_MAX);
    meta_records_init(&records, &arena, 7);
    add_topic(&records, 1, 2);
    for (uint64_t nth = 1; !untouched; nth++) {
        struct meta_builder *builder = NULL;
        struct meta_image *image = NULL;
        struct meta_delta *delta = NULL;
        assert_true(nth < 500);
        mem_fail_after(nth);
        enum err err = meta_builder_new(base, &builder);
        for (int i = 0; err == ERR_OK && i < records.count; i++)
            err = meta_builder_replay(builder, records.items[i].value);
        if (err == ERR_OK)
            err = meta_builder_finish(&builder, 3, 1, 7, &image, &delta);
        mem_fail_after(0);
        untouched = err == ERR_OK;
        if (err == ERR_OK) {
            assert_int_equal(meta_image_partition_count(image), 2);
            meta_delta_free(&delta);
            meta_image_unref(&image);
        } else {
            assert_int_equal(err, ERR_NOMEM);
            assert_null(image);
            if (builder != NULL)
                meta_builder_free(&builder);
        }
        assert_int_equal(meta_image_topic_count(base), 0);
    }
    meta_image_unref(&base);
    arena_fini(&arena);
}

TEST_MAIN(cmocka_unit_test(a_log_of_apache_replays_to_what_apache_shows),
    cmocka_unit_test(a_snapshot_makes_the_same_image_again),
    cmocka_unit_test(replaying_twice_gives_the_same_snapshot),
    cmocka_unit_test(no_cut_or_flipped_record_is_more_than_an_error),
    cmocka_unit_test(a_broker_without_a_place_among_the_ids_is_corrupt),
    cmocka_unit_test(one_changed_partition_costs_no_copy_of_the_others),
    cmocka_unit_test(topics_come_in_the_order_of_their_names),
    cmocka_unit_test(a_topic_made_again_under_its_name_is_two_changes_the_deletion_first),
    cmocka_unit_test(every_failed_allocation_leaves_the_base_as_it_was))
