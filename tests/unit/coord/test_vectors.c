/* What Apache Kafka wrote to __consumer_offsets, and what we write for it (vectors/README.md). */
#include "tests/lib/test.h"

#include <stdio.h>
#include <stdlib.h>

#include "coord/group/group_priv.h"
#include "proto/error_codes.h"
#include "tests/unit/coord/fixture.h"
#include "wire/batch.h"

static uint8_t *
read_all(const char *path, size_t *len)
{
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    uint8_t *data = malloc(1 << 20);
    *len = fread(data, 1, 1 << 20, f);
    fclose(f);
    return data;
}

static void
apaches_log_gives_what_its_admin_client_saw(void **state)
{
    struct fixture fx;
    int64_t end_offset;
    size_t len;
    (void)state;
    fixture_open(&fx);
    uint8_t *log = read_all(VECTORS_DIR "/apache_consumer_offsets.log", &len);
    struct coord_shard *old = fx.shard;
    fx.shard = fixture_load(&fx, (struct bytes){log, len}, &end_offset);
    coord_shard_unload(old, PROTO_ERROR_NOT_COORDINATOR);
    coord_shard_free(&old);
    assert_int_equal(end_offset, 17);
    char *text = fixture_dump(&fx);
    assert_string_equal(text,
        "group dyn kind=0 Empty generation=2 type=consumer protocol= leader=\n"
        "group simple kind=0 Empty generation=0 type= protocol= leader=\n"
        "group stat kind=0 Empty generation=2 type=consumer protocol= leader=\n"
        "group txg kind=0 Empty generation=0 type= protocol= leader=\n"
        "offset dyn t-0 25 epoch=-1 commit=1795239942760 expire=-1 id=aPbk8_yvTiGVNZdr_vFFnw \n"
        "offset dyn t-1 7 epoch=0 commit=1795239942760 expire=-1 id=aPbk8_yvTiGVNZdr_vFFnw note\n"
        "offset simple t-2 3 epoch=-1 commit=1795239942891 expire=-1 id=aPbk8_yvTiGVNZdr_vFFnw "
        "meta\xc3\xa9\n"
        "offset stat t-0 25 epoch=0 commit=1795239942865 expire=-1 id=aPbk8_yvTiGVNZdr_vFFnw \n"
        "offset stat t-1 25 epoch=0 commit=1795239942865 expire=-1 id=aPbk8_yvTiGVNZdr_vFFnw \n"
        "offset stat t-2 25 epoch=0 commit=1795239942865 expire=-1 id=aPbk8_yvTiGVNZdr_vFFnw \n"
        "offset stat t-3 25 epoch=0 commit=1795239942865 expire=-1 id=aPbk8_yvTiGVNZdr_vFFnw \n"
        "offset txg t-3 11 epoch=-1 commit=1795239943488 expire=-1 "
        "id=AAAAAAAAAAAAAAAAAAAAAA \n");
    fixture_text_free(text);
    free(log);
    fixture_close(&fx);
}

/* Writes the state that one record made, and compares with the record. */
static void
assert_written_alike(struct fixture *fx, const struct batch_record *record)
{
    struct group_machine *machine = coord_shard_machine(fx->shard);
    struct batch_view view;
    struct batch_iter it;
    struct batch_record ours;
    size_t at = fx->log.len;

    if (record->key.data[1] == 1) {
        const struct offset_group *group = machine->offsets.groups;
        const struct offset_topic *topic = group->topics;
        coord_record_add_offset(machine, group->id, topic->name, &topic->entries[0]);
    } else if (machine->groups->generation == 0) {
        coord_record_add_new_group(machine->groups);
    } else {
        coord_record_add_group(machine->groups, NULL);
    }
    assert_int_equal(coord_shard_submit(fx->shard, false), ERR_OK);
    assert_true(coord_shard_flush(fx->shard));
    assert_int_equal(
        batch_parse((struct bytes){fx->log.data + at, fx->log.len - at}, &view), ERR_OK);
    assert_int_equal(batch_iter_init(&it, &view, NULL, NULL), ERR_OK);
    assert_true(batch_iter_next(&it, &ours));
    assert_true(bytes_eq(ours.key, record->key));
    assert_true(bytes_eq(ours.value, record->value));
}

static void
every_record_of_apaches_is_written_byte_for_byte(void **state)
{
    size_t len, at = 0;
    int records = 0;
    (void)state;
    uint8_t *log = read_all(VECTORS_DIR "/apache_consumer_offsets.log", &len);
    while (at < len) {
        struct batch_view view;
        struct batch_iter it;
        struct batch_record record;
        assert_int_equal(batch_parse((struct bytes){log + at, len - at}, &view), ERR_OK);
        at += view.size_bytes;
        if (batch_is_control(&view))
            continue;
        assert_int_equal(batch_iter_init(&it, &view, NULL, NULL), ERR_OK);
        while (batch_iter_next(&it, &record)) {
            struct fixture fx;
            fixture_open(&fx);
            assert_int_equal(coord_record_apply(coord_shard_machine(fx.shard),
                                 &(struct coord_record){
                                     .producer_id = -1, .key = record.key, .value = record.value}),
                ERR_OK);
            assert_written_alike(&fx, &record);
            fixture_close(&fx);
            records++;
        }
    }
    assert_int_equal(records, 15);
    free(log);
}

static uint64_t
next(uint64_t *x)
{
    *x ^= *x << 13;
    *x ^= *x >> 7;
    *x ^= *x << 17;
    return *x >> 11;
}

/* A copy with some bytes changed, perhaps cut short. */
static struct bytes
damaged(struct bytes from, uint8_t *room, uint64_t *x)
{
    if (from.data == NULL || next(x) % 20 == 0)
        return BYTES_NULL;
    memcpy(room, from.data, from.len);
    for (uint64_t n = next(x) % 4; n > 0 && from.len > 2; n--)
        room[2 + next(x) % (from.len - 2)] = (uint8_t)next(x);
    size_t len = next(x) % 4 == 0 ? next(x) % (from.len + 1) : from.len;
    return (struct bytes){room, len};
}

static void
damaged_records_harm_nobody(void **state)
{
    size_t len;
    uint64_t x = test_seed(3) * 2 + 1;
    (void)state;
    uint8_t *log = read_all(VECTORS_DIR "/apache_consumer_offsets.log", &len);
    for (int round = 0; round < 300; round++) {
        struct fixture fx;
        uint8_t key[512], value[512];
        fixture_open(&fx);
        for (size_t at = 0; at < len;) {
            struct batch_view view;
            struct batch_iter it;
            struct batch_record record;
            assert_int_equal(batch_parse((struct bytes){log + at, len - at}, &view), ERR_OK);
            at += view.size_bytes;
            if (batch_is_control(&view))
                continue;
            assert_int_equal(batch_iter_init(&it, &view, NULL, NULL), ERR_OK);
            while (batch_iter_next(&it, &record)) {
                struct coord_record bad = {.offset = record.offset,
                    .producer_id = next(&x) % 5 == 0 ? 1 : -1,
                    .key = damaged(record.key, key, &x),
                    .value = damaged(record.value, value, &x)};
                if (bad.key.data == NULL)
                    continue;
                assert_int_equal(coord_record_apply(coord_shard_machine(fx.shard), &bad), ERR_OK);
            }
        }
        assert_int_equal(coord_record_end_txn(coord_shard_machine(fx.shard), 1, true), ERR_OK);
        coord_group_machine.loaded(coord_shard_machine(fx.shard));
        fixture_advance(&fx, 3600000);
        fixture_text_free(fixture_dump(&fx));
        fixture_close(&fx);
    }
    free(log);
}

static void
a_segment_of_ours_is_left_for_apaches_tool(void **state)
{
    struct fixture fx;
    struct call call;
    char path[512], id[128];
    const char *dir = getenv("VECTORS_OUT");
    (void)state;
    if (dir == NULL)
        return; /* nobody asked for it */
    fixture_open(&fx);
    call_init(&call);
    call_join(&fx, &call, &(struct join_args){.group = "ours", .instance = "i"});
    fixture_advance(&fx, 1);
    snprintf(id, sizeof id, "%.*s", STR_FMT(call.u.join.response.member_id));
    struct proto_sync_group_request_sync_group_request_assignment assignment = {
        .member_id = str_of(id),
        .assignment = {(const uint8_t *)"\0\0\0\0\0\0\xff\xff\xff\xff", 10}};
    call_sync(&fx, &call,
        &(struct sync_args){.group = "ours",
            .member = id,
            .generation = 1,
            .assignments = &assignment,
            .assignment_count = 1});
    call_commit(&fx, &(struct commit_args){.group = "ours",
                         .member = id,
                         .generation = 1,
                         .topic = "t",
                         .offset = 5,
                         .metadata = "note"});
    call_commit(&fx,
        &(struct commit_args){
            .group = "old", .generation = -1, .topic = "t", .offset = 6, .retention_ms = 1000});
    call_commit(
        &fx, &(struct commit_args){
                 .group = "txn", .generation = -1, .topic = "t", .offset = 7, .producer_id = 9});
    fixture_end_txn(&fx, 9, true);
    call_delete_group(&fx, "old");
    call_leave(&fx, "ours", id, "i");
    snprintf(path, sizeof path, "%s/00000000000000000000.log", dir);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(fx.log.data, 1, fx.log.len, f), fx.log.len);
    fclose(f);
    call_fini(&call);
    fixture_close(&fx);
}

TEST_MAIN(cmocka_unit_test(apaches_log_gives_what_its_admin_client_saw),
    cmocka_unit_test(every_record_of_apaches_is_written_byte_for_byte),
    cmocka_unit_test(damaged_records_harm_nobody),
    cmocka_unit_test(a_segment_of_ours_is_left_for_apaches_tool))
