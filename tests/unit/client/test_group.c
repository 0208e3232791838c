/* A member's joins and rebalances: what it sends, when, and what it makes of each answer. */
#include "tests/lib/test.h"

#include <string.h>

#include "proto/error_codes.h"
#include "tests/unit/client/group_fixture.h"

/* ---- joining ---- */

static void
a_member_joins_leads_and_begins_at_its_committed_offsets(void **state)
{
    static struct fixture f;
    char text[64];
    int64_t position;
    (void)state;
    setup(&f, range_only);
    start(&f);
    refuse_join(&f, PROTO_ERROR_MEMBER_ID_REQUIRED, "m-1");
    struct fake_request *join = fake_expect(&f.fake, JOIN);
    const struct proto_join_group_request *message = join->message;
    assert_true(str_eq_z(message->member_id, "m-1"));
    assert_true(str_eq_z(message->group_id, "g"));
    assert_true(str_is_null(message->group_instance_id));
    assert_int_equal(message->session_timeout_ms, 45000);
    assert_int_equal(message->rebalance_timeout_ms, 300000);
    assert_true(str_eq_z(message->protocol_type, "consumer"));
    assert_true(str_eq_z(message->protocols.items[0].name, "range"));
    assert_string_equal(owned_of(join, text, sizeof text, NULL), "");
    accept_join(&f, join, 7, "m-1", true);
    struct fake_request *sync = fake_expect(&f.fake, SYNC);
    const struct proto_sync_group_request *said = sync->message;
    assert_int_equal(said->generation_id, 7);
    assert_int_equal(said->assignments.count, 1);
    assert_true(str_eq_z(said->assignments.items[0].member_id, "m-1"));
    struct client_topic_partition *parts;
    int count;
    assert_int_equal(
        group_assignment_read(said->assignments.items[0].assignment, &sync->arena, &parts, &count),
        ERR_OK);
    assert_int_equal(count, 2);
    struct proto_sync_group_response response;
    proto_init(&proto_sync_group_response_schema, &response);
    response.assignment = said->assignments.items[0].assignment;
    fake_reply(sync, &response);
    answer_offsets(&f, 5, -1);
    fake_until(&f.fake, is_stable, &f);
    expect_told(&f, "+t0 +t1 ");
    assert_true(client_group_is_leader(f.group));
    assert_int_equal(client_group_generation(f.group), 7);
    assert_true(str_eq_z(client_group_member_id(f.group), "m-1"));
    struct fake_request *fetch = fake_expect(&f.fake, FETCH);
    assert_int_equal(fetch->broker, 1);
    assert_true(client_consumer_position(f.consumer, STR("t"), 0, &position));
    assert_int_equal(position, 5);
    fake_drop(fetch);
    teardown(&f);
}

static void
codes_that_pass_are_tried_again(void **state)
{
    static struct fixture f;
    (void)state;
    setup(&f, range_only);
    f.fake.coordinator_error = PROTO_ERROR_COORDINATOR_NOT_AVAILABLE;
    start(&f);
    fake_expect_none(&f.fake, JOIN, 3000);
    assert_true(f.fake.coordinator_count >= 3 && f.fake.coordinator_count <= 8);
    f.fake.coordinator_error = 0;
    refuse_join(&f, PROTO_ERROR_COORDINATOR_LOAD_IN_PROGRESS, "");
    refuse_join(&f, PROTO_ERROR_REBALANCE_IN_PROGRESS, "");
    int found = f.fake.coordinator_count;
    f.fake.coordinator = 2;
    refuse_join(&f, PROTO_ERROR_NOT_COORDINATOR, "");
    struct fake_request *join = fake_expect(&f.fake, JOIN);
    assert_int_equal(join->broker, 1);
    assert_int_equal(f.fake.coordinator_count, found + 1);
    fake_drop(join); /* a connection that breaks says nothing about the membership */
    accept_join(&f, fake_expect(&f.fake, JOIN), 1, "m", false);
    refuse_sync(&f, PROTO_ERROR_REBALANCE_IN_PROGRESS);
    accept_join(&f, fake_expect(&f.fake, JOIN), 2, "m", false);
    refuse_sync(&f, PROTO_ERROR_NOT_COORDINATOR);
    accept_join(&f, fake_expect(&f.fake, JOIN), 3, "m", false);
    accept_sync(&f, 0, 0);
    fake_until(&f.fake, is_stable, &f);
    expect_told(&f, "+ "); /* nothing for this one, and it is told so */
    assert_int_equal(client_group_generation(f.group), 3);
    teardown(&f);
}

static void
codes_that_do_not_pass_end_the_membership(void **state)
{
    static const int16_t codes[] = {
        PROTO_ERROR_GROUP_AUTHORIZATION_FAILED,
        PROTO_ERROR_GROUP_MAX_SIZE_REACHED,
        PROTO_ERROR_INCONSISTENT_GROUP_PROTOCOL,
        PROTO_ERROR_INVALID_SESSION_TIMEOUT,
        PROTO_ERROR_INVALID_GROUP_ID,
        PROTO_ERROR_FENCED_INSTANCE_ID,
    };
    static struct fixture f;
    (void)state;
    for (size_t i = 0; i < COUNT_OF(codes); i++) {
        setup(&f, range_only);
        start(&f);
        refuse_join(&f, codes[i], "");
        fake_until(&f.fake, is_failed, &f);
        assert_int_equal(client_group_error_code(f.group), codes[i]);
        assert_non_null(strstr(client_group_error(f.group), proto_error_name(codes[i])));
        assert_string_equal(client_consumer_error(f.consumer), client_group_error(f.group));
        fake_expect_none(&f.fake, JOIN, 10000);
        teardown(&f);
    }
}

static void
a_forbidden_topic_ends_the_membership(void **state)
{
    static struct fixture f;
    (void)state;
    setup(&f, range_only);
    f.fake.topics[0].error_code = PROTO_ERROR_TOPIC_AUTHORIZATION_FAILED;
    start(&f);
    fake_until(&f.fake, is_failed, &f);
    assert_non_null(strstr(client_group_error(f.group), "topic t"));
    teardown(&f);
}

static void
a_join_without_answer_holds_up_no_fetch(void **state)
{
    static struct fixture f;
    (void)state;
    setup(&f, sticky_only);
    f.fake.topics[0].leader = 1; /* the coordinator itself */
    become_stable(&f);
    struct fake_request *fetch = fake_expect(&f.fake, FETCH);
    f.fake.heartbeat_error = PROTO_ERROR_REBALANCE_IN_PROGRESS;
    struct fake_request *join = fake_expect(&f.fake, JOIN);
    assert_int_equal(join->broker, fetch->broker);
    assert_true(join->conn != fetch->conn);
    fake_drop(fetch);
    fake_drop(join);
    teardown(&f);
}

/* ---- rebalances ---- */

static void
an_eager_member_commits_and_gives_up_all_before_it_joins(void **state)
{
    static struct fixture f;
    char text[64];
    (void)state;
    setup(&f, range_only);
    f.opts.auto_commit_interval_ms = 1000000;
    f.fake.start_offset = 3;
    become_stable(&f);
    answer_fetch(&f); /* so that the start of t1 is known */
    f.fake.heartbeat_error = PROTO_ERROR_REBALANCE_IN_PROGRESS;
    struct fake_request *commit = fake_expect(&f.fake, COMMIT);
    assert_string_equal(commit_of(commit, text, sizeof text), "t0@5 t1@3 ");
    assert_string_equal(f.told, "");
    fake_expect_none(&f.fake, JOIN, 500);
    answer_commit(commit, PROTO_ERROR_COORDINATOR_LOAD_IN_PROGRESS);
    commit = fake_expect(&f.fake, COMMIT); /* once more */
    f.fake.heartbeat_error = 0;
    answer_commit(commit, 0);
    struct fake_request *join = fake_expect(&f.fake, JOIN);
    expect_told(&f, "-t0 -t1 ");
    assert_string_equal(owned_of(join, text, sizeof text, NULL), "");
    accept_join(&f, join, 2, "m", false);
    accept_sync(&f, 1, 2);
    answer_offsets(&f, 5, 3);
    fake_until(&f.fake, is_stable, &f);
    expect_told(&f, "+t1 ");
    teardown(&f);
}

static void
a_commit_that_is_refused_does_not_hold_up_the_join(void **state)
{
    static struct fixture f;
    (void)state;
    setup(&f, range_only);
    f.opts.auto_commit_interval_ms = 1000000;
    become_stable(&f);
    f.fake.heartbeat_error = PROTO_ERROR_REBALANCE_IN_PROGRESS;
    answer_commit(fake_expect(&f.fake, COMMIT), PROTO_ERROR_OFFSET_METADATA_TOO_LARGE);
    fake_drop(fake_expect(&f.fake, JOIN));
    expect_told(&f, "-t0 -t1 ");
    teardown(&f);
}

static void
a_cooperative_member_keeps_what_the_next_generation_leaves_it(void **state)
{
    static struct fixture f;
    char text[64];
    int32_t generation;
    (void)state;
    setup(&f, sticky_only);
    become_stable(&f);
    f.fake.heartbeat_error = PROTO_ERROR_REBALANCE_IN_PROGRESS;
    struct fake_request *join = fake_expect(&f.fake, JOIN);
    f.fake.heartbeat_error = 0;
    assert_string_equal(f.told, "");
    assert_string_equal(owned_of(join, text, sizeof text, &generation), "t0 t1 ");
    assert_int_equal(generation, 1);
    accept_join(&f, join, 2, "m", false);
    accept_sync(&f, 0, 1);
    join = fake_expect(&f.fake, JOIN); /* at once, now that t1 is free */
    expect_told(&f, "-t1 ");
    assert_string_equal(owned_of(join, text, sizeof text, &generation), "t0 ");
    assert_int_equal(generation, 2);
    accept_join(&f, join, 3, "m", false);
    accept_sync(&f, 0, 1);
    fake_until(&f.fake, is_stable, &f);
    expect_told(&f, "+ ");
    int64_t position;
    assert_true(client_consumer_position(f.consumer, STR("t"), 0, &position));
    assert_false(client_consumer_position(f.consumer, STR("t"), 1, &position));
    fake_expect_none(&f.fake, JOIN, 5000);
    teardown(&f);
}

static void
who_is_put_out_loses_all_and_joins_anew(void **state)
{
    static const struct {
        int16_t code;
        const char *member;
    } cases[] = {{PROTO_ERROR_UNKNOWN_MEMBER_ID, ""}, {PROTO_ERROR_ILLEGAL_GENERATION, "m"}};
    static struct fixture f;
    char text[64];
    int32_t generation;
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases) * 2; i++) {
        setup(&f, i < COUNT_OF(cases) ? range_only : sticky_only);
        f.opts.auto_commit_interval_ms = 1000000;
        become_stable(&f);
        f.fake.heartbeat_error = cases[i % 2].code;
        struct fake_request *join = fake_expect(&f.fake, JOIN);
        expect_told(&f, "!t0 !t1 ");
        const struct proto_join_group_request *message = join->message;
        assert_true(str_eq_z(message->member_id, cases[i % 2].member));
        assert_string_equal(owned_of(join, text, sizeof text, &generation), "");
        assert_int_equal(generation, -1);
        fake_drop(join);
        teardown(&f);
    }
}

static void
a_fenced_instance_ends(void **state)
{
    static struct fixture f;
    (void)state;
    setup(&f, range_only);
    f.opts.instance_id = STR("i");
    become_stable(&f);
    f.fake.heartbeat_error = PROTO_ERROR_FENCED_INSTANCE_ID;
    fake_until(&f.fake, is_failed, &f);
    expect_told(&f, "!t0 !t1 ");
    assert_int_equal(client_group_error_code(f.group), PROTO_ERROR_FENCED_INSTANCE_ID);
    teardown(&f);
}

static void
the_leader_assigns_anew_when_partitions_come(void **state)
{
    static struct fixture f;
    (void)state;
    setup(&f, range_only);
    f.opts.metadata_max_age_ms = 10000;
    become_stable(&f);
    fake_expect_none(&f.fake, JOIN, 30000);
    f.fake.topics[0].partition_count = 3;
    accept_join(&f, fake_expect(&f.fake, JOIN), 2, "m", true);
    struct fake_request *sync = fake_expect(&f.fake, SYNC);
    const struct proto_sync_group_request *said = sync->message;
    struct client_topic_partition *parts;
    int count;
    assert_int_equal(
        group_assignment_read(said->assignments.items[0].assignment, &sync->arena, &parts, &count),
        ERR_OK);
    assert_int_equal(count, 3);
    fake_drop(sync);
    teardown(&f);
}

static void
refreshed(struct client_refresh *refresh, enum err err)
{
    (void)refresh;
    (void)err;
}

static void
refresh_t(void *ctx)
{
    struct fixture *f = ctx;
    f->refresh.done = refreshed;
    client_refresh_topics(f->fake.client, topic_t, 1, false, &f->refresh);
}

static void
metadata_that_others_asked_for_is_noticed_too(void **state)
{
    static struct fixture f;
    (void)state;
    setup(&f, range_only);
    become_stable(&f);
    answer_fetch(&f);
    f.fake.topics[0].partition_count = 0; /* deleted */
    f.fake.topics[0].error_code = PROTO_ERROR_UNKNOWN_TOPIC_OR_PARTITION;
    fake_expect_none(&f.fake, JOIN, 10000);
    fake_on_loop(&f.fake, refresh_t, &f);
    fake_drop(fake_expect(&f.fake, JOIN));
    expect_told(&f, "-t0 -t1 ");
    teardown(&f);
}

static void
heartbeats_keep_their_interval_and_find_a_coordinator_that_moved(void **state)
{
    static struct fixture f;
    (void)state;
    setup(&f, range_only);
    become_stable(&f);
    int before = f.fake.heartbeat_count;
    sim_run_ms(f.fake.sim, 30500);
    assert_int_equal(f.fake.heartbeat_count - before, 10);
    int found = f.fake.coordinator_count;
    f.fake.heartbeat_error = PROTO_ERROR_NOT_COORDINATOR;
    sim_run_ms(f.fake.sim, 3500);
    f.fake.heartbeat_error = 0;
    assert_true(f.fake.coordinator_count > found);
    sim_run_ms(f.fake.sim, 10000);
    assert_int_equal(f.group->state, CLIENT_GROUP_STABLE);
    expect_told(&f, "");
    teardown(&f);
}

static void
subscribe_again(void *ctx)
{
    struct fixture *f = ctx;
    const struct str topics[] = {STR("u"), STR("u")};
    assert_int_equal(client_group_subscribe(f->group, topics, 2), ERR_OK);
}

static void
another_subscription_gives_up_the_old_topics(void **state)
{
    static struct fixture f;
    (void)state;
    setup(&f, sticky_only);
    fake_add_topic(&f.fake, "u", 1, 2);
    become_stable(&f);
    fake_on_loop(&f.fake, subscribe_again, &f);
    struct fake_request *join = fake_expect(&f.fake, JOIN);
    expect_told(&f, "-t0 -t1 ");
    accept_join(&f, join, 2, "m", true);
    fake_drop(fake_expect(&f.fake, SYNC));
    teardown(&f);
}

TEST_MAIN(cmocka_unit_test(a_member_joins_leads_and_begins_at_its_committed_offsets),
    cmocka_unit_test(codes_that_pass_are_tried_again),
    cmocka_unit_test(codes_that_do_not_pass_end_the_membership),
    cmocka_unit_test(a_forbidden_topic_ends_the_membership),
    cmocka_unit_test(a_join_without_answer_holds_up_no_fetch),
    cmocka_unit_test(an_eager_member_commits_and_gives_up_all_before_it_joins),
    cmocka_unit_test(a_commit_that_is_refused_does_not_hold_up_the_join),
    cmocka_unit_test(a_cooperative_member_keeps_what_the_next_generation_leaves_it),
    cmocka_unit_test(who_is_put_out_loses_all_and_joins_anew),
    cmocka_unit_test(a_fenced_instance_ends),
    cmocka_unit_test(the_leader_assigns_anew_when_partitions_come),
    cmocka_unit_test(metadata_that_others_asked_for_is_noticed_too),
    cmocka_unit_test(heartbeats_keep_their_interval_and_find_a_coordinator_that_moved),
    cmocka_unit_test(another_subscription_gives_up_the_old_topics))
