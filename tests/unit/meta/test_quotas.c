/* Client quotas: requests to records, records into images, snapshots. What each bad request is told
 * is compared with Kafka's words in tests/parity. */
#include "tests/lib/test.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "meta/snapshot.h"
#include "proto/alter_client_quotas_request.h"
#include "proto/alter_client_quotas_response.h"
#include "proto/client_quota_record.h"
#include "proto/error_codes.h"
#include "tests/unit/meta/world.h"

typedef struct proto_alter_client_quotas_request_entity_data part_in;
typedef struct proto_alter_client_quotas_request_op_data op_in;
typedef struct proto_alter_client_quotas_request_entry_data entry_in;
typedef struct proto_client_quota_record_entity_data part_record;

enum { ALTER = 49, PARTS_OF_RECORD_MAX = 16 };

static const struct str USER = {"user", 4}, CLIENT = {"client-id", 9}, IP = {"ip", 2};
static const struct str RATE = {"producer_byte_rate", 18}, SHARE = {"request_percentage", 18};

static int
setup(void **state)
{
    static struct world w;
    world_init(&w);
    *state = &w;
    return 0;
}

static int
teardown(void **state)
{
    world_fini(*state);
    return 0;
}

/* One change of one entity of up to two parts; the second is left out when its type is null. */
static int16_t
alter(struct world *w, part_in first, part_in second, op_in op)
{
    part_in parts[] = {first, second};
    entry_in entry = {.entity = {parts, str_is_null(second.entity_type) ? 1 : 2}, .ops = {&op, 1}};
    struct proto_alter_client_quotas_request request = {.entries = {&entry, 1}};
    struct proto_alter_client_quotas_response response;
    assert_int_equal(world_ask(w, ALTER, 1, &request, &response), ERR_OK);
    assert_int_equal(response.entries.count, 1);
    int16_t code = response.entries.items[0].error_code;
    if (code == 0)
        world_replay(w);
    return code;
}

static const part_in NONE = {{NULL, 0}, {NULL, 0}};

static const struct meta_quota *
quota_of(const struct world *w, struct meta_quota_part first, struct meta_quota_part second)
{
    struct meta_quota_part parts[] = {first, second};
    return meta_image_quota(w->image, parts, str_is_null(second.type) ? 1 : 2);
}

static const struct meta_quota_part NO_PART = {{NULL, 0}, {NULL, 0}};

static void
a_change_is_in_the_next_image_only(void **state)
{
    struct world *w = *state;
    part_in alice = {USER, STR("alice")};
    struct meta_quota_part part = {USER, STR("alice")};
    struct meta_image *before = w->image;
    meta_image_ref(before);
    assert_int_equal(alter(w, alice, NONE, (op_in){RATE, 5, false}), 0);
    assert_int_equal(meta_image_quota_count(before), 0);
    const struct meta_quota *quota = quota_of(w, part, NO_PART);
    assert_non_null(quota);
    assert_true(*meta_quota_value(quota, RATE) >= 5 && *meta_quota_value(quota, RATE) <= 5);
    assert_null(meta_quota_value(quota, SHARE));
    assert_null(meta_quota_part(quota, CLIENT));
    meta_image_unref(&before);

    /* The same again is nothing new; another key goes beside it; the last one takes the entity. */
    assert_int_equal(alter(w, alice, NONE, (op_in){RATE, 5, false}), 0);
    assert_int_equal(w->records.count, 0);
    assert_int_equal(alter(w, alice, NONE, (op_in){SHARE, (double)NAN, false}), 0);
    assert_int_equal(w->records.count, 1);
    assert_int_equal(alter(w, alice, NONE, (op_in){SHARE, (double)NAN, false}), 0);
    assert_int_equal(w->records.count, 0);
    assert_int_equal(quota_of(w, part, NO_PART)->value_count, 2);
    assert_int_equal(alter(w, alice, NONE, (op_in){RATE, 0, true}), 0);
    assert_int_equal(quota_of(w, part, NO_PART)->value_count, 1);
    assert_int_equal(alter(w, alice, NONE, (op_in){SHARE, 0, true}), 0);
    assert_null(quota_of(w, part, NO_PART));
    assert_int_equal(meta_image_quota_count(w->image), 0);
}

static void
names_defaults_and_both_orders_are_entities_of_their_own(void **state)
{
    struct world *w = *state;
    part_in user = {USER, STR("a")}, any_user = {USER, STR_NULL};
    part_in client = {CLIENT, STR("a")}, any_client = {CLIENT, STR_NULL};
    assert_int_equal(alter(w, user, NONE, (op_in){RATE, 1, false}), 0);
    assert_int_equal(alter(w, any_user, NONE, (op_in){RATE, 2, false}), 0);
    assert_int_equal(alter(w, client, NONE, (op_in){RATE, 3, false}), 0);
    assert_int_equal(alter(w, user, client, (op_in){RATE, 4, false}), 0);
    assert_int_equal(alter(w, client, user, (op_in){RATE, 5, false}), 0); /* the same entity */
    assert_int_equal(alter(w, user, any_client, (op_in){RATE, 6, false}), 0);
    assert_int_equal(alter(w, any_user, any_client, (op_in){RATE, 7, false}), 0);
    assert_int_equal(meta_image_quota_count(w->image), 6);
    const struct meta_quota *quota = quota_of(
        w, (struct meta_quota_part){CLIENT, STR("a")}, (struct meta_quota_part){USER, STR("a")});
    assert_true(*meta_quota_value(quota, RATE) >= 5 && *meta_quota_value(quota, RATE) <= 5);
    int count = 0;
    for (quota = NULL; (quota = meta_image_quota_after(w->image, quota)) != NULL; count++)
        assert_int_equal(quota->value_count, 1);
    assert_int_equal(count, 6);
}

static void
addresses_are_judged_without_asking_anybody(void **state)
{
    struct world *w = *state;
    op_in op = {STR("connection_creation_rate"), 5, false};
    assert_int_equal(alter(w, (part_in){IP, STR("10.1.2.3")}, NONE, op), 0);
    assert_int_equal(alter(w, (part_in){IP, STR("localhost")}, NONE, op), 0);
    assert_int_equal(alter(w, (part_in){IP, STR_NULL}, NONE, op), 0);
    assert_int_equal(
        alter(w, (part_in){IP, STR("example.org")}, NONE, op), PROTO_ERROR_INVALID_REQUEST);
    assert_int_equal(w->records.count, 0);
}

static enum err
replay_record(struct world *w, part_record *parts, int32_t count, double value, bool remove)
{
    struct proto_client_quota_record record = {
        .entity = {parts, count}, .key = RATE, .value = value, .remove = remove};
    struct meta_builder *builder = NULL;
    meta_records_init(&w->records, &w->arena, 7);
    meta_records_add(
        &w->records, META_RECORD_CLIENT_QUOTA, 0, &proto_client_quota_record_schema, &record);
    assert_int_equal(meta_builder_new(w->image, &builder), ERR_OK);
    enum err err = meta_builder_replay(builder, w->records.items[0].value);
    meta_builder_free(&builder);
    if (err == ERR_OK)
        world_replay(w);
    return err;
}

static void
odd_records_are_read_as_kafka_reads_them(void **state)
{
    struct world *w = *state;
    part_record twice[] = {{USER, STR("a")}, {STR("planet"), STR("")}, {USER, STR("b")}};
    assert_int_equal(replay_record(w, twice, 3, 1, false), ERR_OK);
    struct meta_quota_part planet = {STR("planet"), STR("")};
    assert_non_null(quota_of(w, planet, (struct meta_quota_part){USER, STR("b")}));
    assert_int_equal(replay_record(w, twice + 1, 2, 0, true), ERR_OK);
    assert_int_equal(meta_image_quota_count(w->image), 0);
    /* Taken away though never there; of nobody at all; of too much. */
    assert_int_equal(replay_record(w, twice, 1, 0, true), ERR_OK);
    assert_int_equal(replay_record(w, twice, 0, 1, false), ERR_OK);
    assert_int_equal(meta_image_quota_count(w->image), 1);
    part_record many[PARTS_OF_RECORD_MAX + 1];
    for (int i = 0; i <= PARTS_OF_RECORD_MAX; i++)
        many[i] = twice[0];
    assert_int_equal(replay_record(w, many, PARTS_OF_RECORD_MAX, 1, false), ERR_OK);
    assert_int_equal(replay_record(w, many, PARTS_OF_RECORD_MAX + 1, 1, false), ERR_CORRUPT);
}

static enum err
put(void *ctx, const struct meta_records *records)
{
    struct meta_builder *builder = ctx;
    for (int i = 0; i < records->count; i++) {
        enum err err = meta_builder_replay(builder, records->items[i].value);
        if (err != ERR_OK)
            return err;
    }
    return ERR_OK;
}

/* More than one group of a snapshot's records holds. */
static void
snapshots_keep_quotas(void **state)
{
    enum { ENTITIES = 700 };
    struct world *w = *state;
    char name[16];
    for (int i = 0; i < ENTITIES; i++) {
        snprintf(name, sizeof name, "u%d", i * 7919 % ENTITIES);
        assert_int_equal(
            alter(w, (part_in){USER, str_of(name)}, NONE, (op_in){RATE, i + 1, false}), 0);
    }
    struct meta_image *base = NULL, *copy = NULL;
    struct meta_builder *builder = NULL;
    struct meta_delta *delta = NULL;
    struct arena arena;
    arena_init(&arena, 16 << 20);
    assert_int_equal(meta_image_new_empty(STR("cluster"), &base), ERR_OK);
    assert_int_equal(meta_builder_new(base, &builder), ERR_OK);
    assert_int_equal(meta_snapshot_records(w->image, &arena, put, builder), ERR_OK);
    assert_int_equal(meta_builder_finish(&builder, 1, 1, 7, &copy, &delta), ERR_OK);
    assert_true(delta->quotas_changed);
    assert_int_equal(meta_image_quota_count(copy), ENTITIES);
    const struct meta_quota *theirs = NULL, *ours = NULL;
    while ((theirs = meta_image_quota_after(w->image, theirs)) != NULL) {
        ours = meta_image_quota_after(copy, ours);
        assert_true(str_eq(theirs->parts[0].name, ours->parts[0].name));
        assert_memory_equal(&theirs->values[0].value, &ours->values[0].value, sizeof(double));
    }
    meta_delta_free(&delta);
    meta_image_unref(&copy);
    meta_image_unref(&base);
    arena_fini(&arena);
}

#define WORLD_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
TEST_MAIN(WORLD_TEST(a_change_is_in_the_next_image_only),
    WORLD_TEST(names_defaults_and_both_orders_are_entities_of_their_own),
    WORLD_TEST(addresses_are_judged_without_asking_anybody),
    WORLD_TEST(odd_records_are_read_as_kafka_reads_them), WORLD_TEST(snapshots_keep_quotas))
