/* Committed offsets: commit, fetch, transactions, deletion, expiry (KIP-211). */
#include "tests/lib/test.h"

#include <stdio.h>
#include <stdlib.h>

#include "proto/error_codes.h"
#include "tests/unit/coord/fixture.h"

enum { DAY_MS = 24 * 3600 * 1000 };

static int
commit(struct fixture *fx, const char *group, const char *topic, int32_t partition, int64_t offset)
{
    return call_commit(fx, &(struct commit_args){.group = group,
                               .generation = -1,
                               .topic = topic,
                               .partition = partition,
                               .offset = offset});
}

static void
assert_replays_alike(struct fixture *fx)
{
    char *live = fixture_dump(fx), *replayed = fixture_dump_replayed(fx);
    assert_string_equal(live, replayed);
    fixture_text_free(live);
    fixture_text_free(replayed);
}

static void
simple_consumer_commits_and_fetches(void **state)
{
    struct fixture fx;
    (void)state;
    fixture_open(&fx);
    assert_int_equal(call_fetch(&fx, "g", "t", 0, false), -1);
    assert_int_equal(commit(&fx, "g", "t", 0, 42), PROTO_ERROR_NONE);
    assert_int_equal(commit(&fx, "g", "t", 7, 43), PROTO_ERROR_NONE);
    assert_int_equal(commit(&fx, "g", "t", 0, 44), PROTO_ERROR_NONE);
    assert_int_equal(commit(&fx, "", "t", 0, 1), PROTO_ERROR_NONE); /* the empty group id */
    assert_int_equal(call_fetch(&fx, "g", "t", 0, false), 44);
    assert_int_equal(call_fetch(&fx, "g", "t", 7, true), 43);
    assert_int_equal(call_fetch(&fx, "g", "t", 1, false), -1);
    assert_int_equal(call_fetch(&fx, "g", "u", 0, false), -1);
    assert_int_equal(coord_group_counts_get(fx.shard).offsets, 3);
    assert_replays_alike(&fx);
    fixture_close(&fx);
}

static void
commit_to_no_group_with_a_generation_is_refused_by_version(void **state)
{
    struct fixture fx;
    struct commit_args args = {.group = "g", .member = "m", .generation = 3, .topic = "t"};
    (void)state;
    fixture_open(&fx);
    args.version = 8;
    assert_int_equal(call_commit(&fx, &args), PROTO_ERROR_ILLEGAL_GENERATION);
    args.version = 9;
    assert_int_equal(call_commit(&fx, &args), PROTO_ERROR_GROUP_ID_NOT_FOUND);
    fixture_close(&fx);
}

static void
metadata_is_limited_in_utf16_units(void **state)
{
    struct fixture fx;
    char text[4200];
    struct commit_args args = {.group = "g", .generation = -1, .topic = "t", .metadata = text};
    (void)state;
    fixture_open(&fx);
    memset(text, 'x', sizeof text);
    text[4097] = '\0';
    assert_int_equal(call_commit(&fx, &args), PROTO_ERROR_OFFSET_METADATA_TOO_LARGE);
    text[4096] = '\0';
    assert_int_equal(call_commit(&fx, &args), PROTO_ERROR_NONE);
    memcpy(text, "\xc3\xa9", 2); /* two bytes, one unit */
    text[4096] = 'x';
    text[4097] = '\0';
    assert_int_equal(call_commit(&fx, &args), PROTO_ERROR_NONE);
    fixture_close(&fx);
}

static void
pending_offsets_show_only_after_commit_and_never_after_abort(void **state)
{
    struct fixture fx;
    struct commit_args args = {
        .group = "g", .generation = -1, .topic = "t", .offset = 10, .producer_id = 5};
    (void)state;
    fixture_open(&fx);
    assert_int_equal(commit(&fx, "g", "t", 0, 1), PROTO_ERROR_NONE);
    assert_int_equal(call_commit(&fx, &args), PROTO_ERROR_NONE);
    assert_int_equal(call_fetch(&fx, "g", "t", 0, false), 1);
    assert_int_equal(call_fetch(&fx, "g", "t", 0, true), -2 - PROTO_ERROR_UNSTABLE_OFFSET_COMMIT);
    assert_replays_alike(&fx);
    fixture_end_txn(&fx, 5, true);
    assert_int_equal(call_fetch(&fx, "g", "t", 0, true), 10);
    args.offset = 20;
    args.producer_id = 6;
    assert_int_equal(call_commit(&fx, &args), PROTO_ERROR_NONE);
    fixture_end_txn(&fx, 6, false);
    assert_int_equal(call_fetch(&fx, "g", "t", 0, true), 10);
    assert_replays_alike(&fx);
    fixture_close(&fx);
}

static void
later_plain_commit_wins_over_an_earlier_pending_one(void **state)
{
    struct fixture fx;
    struct commit_args args = {
        .group = "g", .generation = -1, .topic = "t", .offset = 10, .producer_id = 5};
    (void)state;
    fixture_open(&fx);
    assert_int_equal(call_commit(&fx, &args), PROTO_ERROR_NONE);
    assert_int_equal(commit(&fx, "g", "t", 0, 11), PROTO_ERROR_NONE);
    fixture_end_txn(&fx, 5, true);
    assert_int_equal(call_fetch(&fx, "g", "t", 0, true), 11);
    assert_replays_alike(&fx);
    fixture_close(&fx);
}

static void
deleted_group_and_its_offsets_are_gone(void **state)
{
    struct fixture fx;
    (void)state;
    fixture_open(&fx);
    assert_int_equal(call_delete_group(&fx, "g"), PROTO_ERROR_GROUP_ID_NOT_FOUND);
    for (int32_t p = 0; p < 100; p++)
        assert_int_equal(commit(&fx, "g", "t", p, p), PROTO_ERROR_NONE);
    assert_int_equal(commit(&fx, "h", "t", 0, 9), PROTO_ERROR_NONE);
    assert_int_equal(call_delete_group(&fx, "g"), PROTO_ERROR_NONE);
    assert_int_equal(call_fetch(&fx, "g", "t", 3, false), -1);
    assert_int_equal(call_fetch(&fx, "h", "t", 0, false), 9);
    assert_int_equal(coord_group_counts_get(fx.shard).groups, 1);
    assert_replays_alike(&fx);
    fixture_close(&fx);
}

static void
group_with_members_cannot_be_deleted(void **state)
{
    struct fixture fx;
    struct call call;
    (void)state;
    fixture_open(&fx);
    call_init(&call);
    call_join(&fx, &call, &(struct join_args){.group = "g", .version = 3});
    fixture_advance(&fx, 1);
    assert_int_equal(call_delete_group(&fx, "g"), PROTO_ERROR_NON_EMPTY_GROUP);
    /* Its subscription cannot be read, so it may be to this topic. */
    assert_int_equal(call_delete_offset(&fx, "g", "t", 0), PROTO_ERROR_GROUP_SUBSCRIBED_TO_TOPIC);
    fixture_close(&fx);
    call_fini(&call);
}

static void
single_offsets_can_be_deleted(void **state)
{
    struct fixture fx;
    (void)state;
    fixture_open(&fx);
    assert_int_equal(call_delete_offset(&fx, "g", "t", 0), PROTO_ERROR_GROUP_ID_NOT_FOUND);
    assert_int_equal(commit(&fx, "g", "t", 0, 1), PROTO_ERROR_NONE);
    assert_int_equal(commit(&fx, "g", "t", 1, 2), PROTO_ERROR_NONE);
    assert_int_equal(call_delete_offset(&fx, "g", "t", 0), PROTO_ERROR_NONE);
    assert_int_equal(call_delete_offset(&fx, "g", "nothing", 0), PROTO_ERROR_NONE);
    assert_int_equal(call_fetch(&fx, "g", "t", 0, false), -1);
    assert_int_equal(call_fetch(&fx, "g", "t", 1, false), 2);
    assert_replays_alike(&fx);
    fixture_close(&fx);
}

static void
offsets_of_a_simple_consumer_expire_after_their_commit(void **state)
{
    struct fixture fx;
    (void)state;
    fixture_open(&fx);
    assert_int_equal(commit(&fx, "g", "t", 0, 1), PROTO_ERROR_NONE);
    fixture_advance(&fx, (int64_t)4 * DAY_MS);
    assert_int_equal(commit(&fx, "g", "t", 1, 2), PROTO_ERROR_NONE);
    fixture_advance(&fx, (int64_t)3 * DAY_MS + 600000);
    assert_int_equal(call_fetch(&fx, "g", "t", 0, false), -1);
    assert_int_equal(call_fetch(&fx, "g", "t", 1, false), 2);
    fixture_advance(&fx, (int64_t)4 * DAY_MS + 600000);
    assert_int_equal(coord_group_counts_get(fx.shard).groups, 0); /* and the group with the last */
    assert_replays_alike(&fx);
    fixture_close(&fx);
}

static void
explicit_retention_is_kept(void **state)
{
    struct fixture fx;
    (void)state;
    fixture_open(&fx);
    assert_int_equal(call_commit(&fx, &(struct commit_args){.group = "g",
                                          .generation = -1,
                                          .topic = "t",
                                          .offset = 1,
                                          .retention_ms = 3600000,
                                          .version = 4}),
        PROTO_ERROR_NONE);
    assert_replays_alike(&fx);
    fixture_advance(&fx, 3000000);
    assert_int_equal(call_fetch(&fx, "g", "t", 0, false), 1);
    fixture_advance(&fx, 1300000);
    assert_int_equal(call_fetch(&fx, "g", "t", 0, false), -1);
    fixture_close(&fx);
}

static void
offsets_of_a_group_expire_from_when_it_became_empty(void **state)
{
    struct fixture fx;
    struct call call;
    char id[128];
    (void)state;
    fixture_open(&fx);
    call_init(&call);
    call_join(&fx, &call, &(struct join_args){.group = "g", .version = 3, .session_ms = 10000});
    fixture_advance(&fx, 1);
    snprintf(id, sizeof id, "%.*s", STR_FMT(call.u.join.response.member_id));
    call_sync(&fx, &call, &(struct sync_args){.group = "g", .member = id, .generation = 1});
    assert_int_equal(
        call_commit(&fx,
            &(struct commit_args){
                .group = "g", .member = id, .generation = 1, .topic = "t", .offset = 5}),
        PROTO_ERROR_NONE);
    /* Alive for longer than the retention. */
    for (int i = 0; i < 9 * 24 * 8; i++) {
        fx.wall_ms += 7 * 60 * 1000;
        fixture_advance(&fx, 9000);
        assert_int_equal(call_heartbeat(&fx, "g", id, 1), PROTO_ERROR_NONE);
    }
    assert_int_equal(call_fetch(&fx, "g", "t", 0, false), 5);
    assert_int_equal(call_leave(&fx, "g", id, NULL), PROTO_ERROR_NONE);
    fixture_advance(&fx, (int64_t)6 * DAY_MS);
    assert_int_equal(call_fetch(&fx, "g", "t", 0, false), 5);
    fixture_advance(&fx, (int64_t)DAY_MS + 600000);
    assert_int_equal(call_fetch(&fx, "g", "t", 0, false), -1);
    assert_replays_alike(&fx);
    fixture_close(&fx);
    call_fini(&call);
}

static void
offsets_of_a_deleted_topic_go_by_its_id(void **state)
{
    struct fixture fx;
    (void)state;
    fixture_open(&fx);
    for (int32_t p = 0; p < 20; p++) {
        assert_int_equal(commit(&fx, "g", "t", p, p), PROTO_ERROR_NONE);
        assert_int_equal(commit(&fx, "h", "u", p, p), PROTO_ERROR_NONE);
    }
    fixture_enter(&fx);
    assert_true(coord_group_topic_deleted(fx.shard, STR("t"), (struct uuid){{1}}));
    fixture_settle(&fx);
    assert_int_equal(call_fetch(&fx, "g", "t", 3, false), -1);
    assert_int_equal(call_fetch(&fx, "h", "u", 3, false), 3);
    assert_replays_alike(&fx);
    fixture_close(&fx);
}

static void
test_reply_done(struct coord_reply *reply)
{
    assert_int_equal(reply->err, PROTO_ERROR_NONE);
}

static void
what_many_commits_wrote_goes_in_one_append(void **state)
{
    struct fixture fx;
    (void)state;
    fixture_open(&fx);
    struct call calls[8];
    struct proto_offset_commit_request_offset_commit_request_partition partition;
    struct proto_offset_commit_request_offset_commit_request_topic topic;
    struct proto_offset_commit_request request;
    struct coord_group_caller caller = {.client_id = STR(""), .client_host = STR(""), .version = 9};
    memset(&partition, 0, sizeof partition);
    memset(&topic, 0, sizeof topic);
    topic.name = STR("t");
    topic.partitions.items = &partition;
    topic.partitions.count = 1;
    proto_init(&proto_offset_commit_request_schema, &request);
    request.group_id = STR("g");
    request.generation_id_or_member_epoch = -1;
    request.topics.items = &topic;
    request.topics.count = 1;
    fixture_enter(&fx);
    for (int i = 0; i < 8; i++) {
        partition.partition_index = i;
        call_init(&calls[i]);
        arena_reset(&calls[i].arena);
        coord_reply_init(&calls[i].u.base, &calls[i].arena, test_reply_done);
        coord_group_commit(fx.shard, &caller, &request, &calls[i].u.commit);
    }
    assert_int_equal(fx.appends, 0);
    fixture_settle(&fx);
    assert_int_equal(fx.appends, 1);
    assert_int_equal(fx.end_offset, 8);
    for (int i = 0; i < 8; i++)
        call_fini(&calls[i]);
    fixture_close(&fx);
}

TEST_MAIN(cmocka_unit_test(simple_consumer_commits_and_fetches),
    cmocka_unit_test(commit_to_no_group_with_a_generation_is_refused_by_version),
    cmocka_unit_test(metadata_is_limited_in_utf16_units),
    cmocka_unit_test(pending_offsets_show_only_after_commit_and_never_after_abort),
    cmocka_unit_test(later_plain_commit_wins_over_an_earlier_pending_one),
    cmocka_unit_test(deleted_group_and_its_offsets_are_gone),
    cmocka_unit_test(group_with_members_cannot_be_deleted),
    cmocka_unit_test(single_offsets_can_be_deleted),
    cmocka_unit_test(offsets_of_a_simple_consumer_expire_after_their_commit),
    cmocka_unit_test(explicit_retention_is_kept),
    cmocka_unit_test(offsets_of_a_group_expire_from_when_it_became_empty),
    cmocka_unit_test(offsets_of_a_deleted_topic_go_by_its_id),
    cmocka_unit_test(what_many_commits_wrote_goes_in_one_append))
