/* A member's offsets, its leaving, its options, and bytes of others. */
#include "tests/lib/test.h"

#include <string.h>

#include "proto/error_codes.h"
#include "tests/unit/client/group_fixture.h"

/* ---- offsets ---- */

static void
unstable_offsets_are_waited_for(void **state)
{
    static struct fixture f;
    (void)state;
    setup(&f, range_only);
    start(&f);
    accept_join(&f, fake_expect(&f.fake, JOIN), 1, "m", false);
    accept_sync(&f, 0, 2);
    answer_offsets(&f, 5, -PROTO_ERROR_UNSTABLE_OFFSET_COMMIT);
    answer_offsets(&f, 5, 9); /* asks for t1 alone */
    fake_until(&f.fake, is_stable, &f);
    expect_told(&f, "+t0 +t1 ");
    teardown(&f);
}

static void
no_offset_and_no_policy_is_an_error_of_the_partition(void **state)
{
    static struct fixture f;
    (void)state;
    setup(&f, range_only);
    f.opts.reset = 0;
    become_stable(&f);
    assert_non_null(strstr(client_consumer_error(f.consumer), "t [1]: no committed offset"));
    teardown(&f);
}

static void
on_committed(struct client_group_commit *commit, enum err err, int16_t code)
{
    struct fixture *f = commit->ctx;
    f->committed = true;
    f->err = err;
    f->code = code;
}

static bool
is_committed(void *ctx)
{
    return ((struct fixture *)ctx)->committed;
}

static void
commit_positions(void *ctx)
{
    struct fixture *f = ctx;
    f->committed = false;
    f->commit = (struct client_group_commit){.done = on_committed, .ctx = f};
    client_group_commit(f->group, NULL, -1, &f->commit);
}

static void
commit_one(void *ctx)
{
    struct fixture *f = ctx;
    const struct client_group_offset offset = {
        .topic = STR("t"), .partition = 1, .offset = 44, .leader_epoch = 2, .metadata = STR("x")};
    f->committed = false;
    f->commit = (struct client_group_commit){.done = on_committed, .ctx = f};
    client_group_commit(f->group, &offset, 1, &f->commit);
}

static void
commits_say_who_and_what(void **state)
{
    static struct fixture f;
    char text[64];
    (void)state;
    setup(&f, range_only);
    become_stable(&f);
    fake_on_loop(&f.fake, commit_one, &f);
    struct fake_request *commit = fake_expect(&f.fake, COMMIT);
    const struct proto_offset_commit_request *message = commit->message;
    assert_int_equal(message->generation_id_or_member_epoch, 1);
    assert_true(str_eq_z(message->member_id, "m"));
    assert_string_equal(commit_of(commit, text, sizeof text), "t1@44 ");
    assert_int_equal(message->topics.items[0].partitions.items[0].committed_leader_epoch, 2);
    assert_true(str_eq_z(message->topics.items[0].partitions.items[0].committed_metadata, "x"));
    answer_commit(commit, 0);
    fake_until(&f.fake, is_committed, &f);
    assert_int_equal(f.err, ERR_OK);
    assert_int_equal(f.code, 0);
    teardown(&f);
}

static void
commits_tell_the_brokers_code_and_take_its_meaning(void **state)
{
    static struct fixture f;
    (void)state;
    setup(&f, range_only);
    become_stable(&f);
    fake_on_loop(&f.fake, commit_positions, &f);
    answer_commit(fake_expect(&f.fake, COMMIT), PROTO_ERROR_REBALANCE_IN_PROGRESS);
    fake_until(&f.fake, is_committed, &f);
    assert_int_equal(f.code, PROTO_ERROR_REBALANCE_IN_PROGRESS);
    accept_join(&f, fake_expect(&f.fake, JOIN), 2, "m", false); /* and it rebalances */
    fake_on_loop(&f.fake, commit_positions, &f);                /* nothing is held now */
    assert_true(f.committed);
    fake_on_loop(&f.fake, commit_one, &f);
    assert_int_equal(f.code, PROTO_ERROR_REBALANCE_IN_PROGRESS);
    accept_sync(&f, 0, 2);
    answer_offsets(&f, 5, 6);
    fake_until(&f.fake, is_stable, &f);
    expect_told(&f, "-t0 -t1 +t0 +t1 ");
    fake_on_loop(&f.fake, commit_positions, &f);
    answer_commit(fake_expect(&f.fake, COMMIT), PROTO_ERROR_ILLEGAL_GENERATION);
    fake_drop(fake_expect(&f.fake, JOIN));
    expect_told(&f, "!t0 !t1 ");
    teardown(&f);
}

static void
auto_commit_comes_in_its_interval(void **state)
{
    static struct fixture f;
    (void)state;
    setup(&f, range_only);
    f.opts.auto_commit_interval_ms = 5000;
    become_stable(&f);
    for (int i = 0; i < 3; i++) {
        struct fake_request *commit = fake_expect(&f.fake, COMMIT);
        fake_expect_none(&f.fake, COMMIT, 4000); /* one at a time, and not sooner */
        answer_commit(commit, 0);
    }
    teardown(&f);
}

/* ---- leaving ---- */

static void
on_left(struct client_group_leave *leave, enum err err)
{
    struct fixture *f = leave->ctx;
    f->left = true;
    f->err = err;
}

static bool
is_left(void *ctx)
{
    return ((struct fixture *)ctx)->left;
}

static void
leave(void *ctx)
{
    struct fixture *f = ctx;
    f->leave = (struct client_group_leave){.done = on_left, .ctx = f};
    client_group_leave(f->group, &f->leave);
}

static void
answer_leave(struct fixture *f)
{
    struct fake_request *request = fake_expect(&f->fake, LEAVE);
    const struct proto_leave_group_request *message = request->message;
    struct proto_leave_group_response response;
    assert_int_equal(message->members.count, 1);
    assert_true(str_eq_z(message->members.items[0].member_id, "m"));
    proto_init(&proto_leave_group_response_schema, &response);
    fake_reply(request, &response);
}

static void
leaving_commits_gives_up_and_says_so(void **state)
{
    static struct fixture f;
    char text[64];
    (void)state;
    setup(&f, range_only);
    f.opts.auto_commit_interval_ms = 1000000;
    become_stable(&f);
    answer_fetch(&f);
    sim_run_ms(f.fake.sim, 100); /* the start of t1 is known now */
    fake_on_loop(&f.fake, leave, &f);
    struct fake_request *commit = fake_expect(&f.fake, COMMIT);
    assert_string_equal(commit_of(commit, text, sizeof text), "t0@5 t1@0 ");
    fake_expect_none(&f.fake, LEAVE, 500);
    answer_commit(commit, 0);
    answer_leave(&f);
    fake_until(&f.fake, is_left, &f);
    assert_int_equal(f.err, ERR_OK);
    expect_told(&f, "-t0 -t1 ");
    assert_int_equal(client_group_state(f.group), CLIENT_GROUP_LEFT);
    fake_on_loop(&f.fake, commit_one, &f);
    assert_int_equal(f.err, ERR_WRONG_STATE);
    teardown(&f);
}

static void
a_static_member_does_not_say_good_bye(void **state)
{
    static struct fixture f;
    (void)state;
    setup(&f, range_only);
    f.opts.instance_id = STR("i");
    become_stable(&f);
    fake_on_loop(&f.fake, leave, &f);
    fake_until(&f.fake, is_left, &f);
    assert_int_equal(f.err, ERR_OK);
    fake_expect_none(&f.fake, LEAVE, 1000);
    teardown(&f);
}

static void
leaving_in_the_middle_of_a_join_does_not_wait_for_it(void **state)
{
    static struct fixture f;
    (void)state;
    setup(&f, sticky_only);
    f.opts.auto_commit_interval_ms = 1000000;
    become_stable(&f);
    answer_fetch(&f);
    f.fake.heartbeat_error = PROTO_ERROR_REBALANCE_IN_PROGRESS;
    answer_commit(fake_expect(&f.fake, COMMIT), 0);
    struct fake_request *join = fake_expect(&f.fake, JOIN);
    fake_on_loop(&f.fake, leave, &f);
    struct fake_request *commit = fake_expect(&f.fake, COMMIT);
    assert_true(commit->conn != join->conn); /* answers keep their order */
    answer_commit(commit, 0);
    answer_leave(&f);
    fake_until(&f.fake, is_left, &f);
    assert_int_equal(f.err, ERR_OK);
    expect_told(&f, "-t0 -t1 ");
    fake_drop(join);
    teardown(&f);
}

static void
on_left_free(struct client_group_leave *leave, enum err err)
{
    struct fixture *f = leave->ctx;
    client_group_free(&f->group);
    f->left = true;
    f->err = err;
}

static void
leave_and_free(void *ctx)
{
    struct fixture *f = ctx;
    f->leave = (struct client_group_leave){.done = on_left_free, .ctx = f};
    client_group_leave(f->group, &f->leave);
}

static void
a_group_may_be_freed_when_it_has_left(void **state)
{
    static struct fixture f;
    (void)state;
    for (int i = 0; i < 3; i++) {
        setup(&f, range_only);
        if (i == 1)
            f.opts.instance_id = STR("i"); /* ends without a request */
        if (i < 2)
            become_stable(&f);
        else
            start(&f); /* and before anything */
        fake_on_loop(&f.fake, leave_and_free, &f);
        if (i == 0)
            answer_leave(&f);
        fake_until(&f.fake, is_left, &f);
        assert_int_equal(f.err, ERR_OK);
        assert_null(f.group);
        teardown(&f);
    }
}

static void
leaving_has_a_deadline(void **state)
{
    static struct fixture f;
    (void)state;
    setup(&f, range_only);
    f.opts.auto_commit_interval_ms = 1000000;
    become_stable(&f);
    fake_on_loop(&f.fake, leave, &f);
    fake_ignore(fake_expect(&f.fake, COMMIT));
    fake_until(&f.fake, is_left, &f);
    assert_true(f.err == ERR_TIMEOUT);
    assert_int_equal(client_group_state(f.group), CLIENT_GROUP_LEFT);
    teardown(&f);
}

/* ---- options ---- */

static void
options_without_sense_are_refused(void **state)
{
    static const enum client_assignor twice[] = {CLIENT_ASSIGNOR_RANGE, CLIENT_ASSIGNOR_RANGE};
    static const enum client_assignor both[] = {
        CLIENT_ASSIGNOR_COOPERATIVE_STICKY, CLIENT_ASSIGNOR_RANGE};
    static struct fixture f;
    (void)state;
    for (int i = 0; i < 6; i++) {
        setup(&f, range_only);
        if (i == 0)
            f.opts.group_id = STR("");
        if (i == 1)
            f.opts.topic_count = 0;
        if (i == 2)
            f.opts.heartbeat_interval_ms = f.opts.session_timeout_ms = 5;
        if (i == 3)
            f.opts.assignors = twice, f.opts.assignor_count = 2;
        if (i == 4)
            f.opts.instance_id = STR("");
        if (i == 5) /* eager, as one of them is */
            f.opts.assignors = both, f.opts.assignor_count = 2;
        assert_int_equal(client_group_new(&f.opts, &f.group), i == 5 ? ERR_OK : ERR_INVALID);
        if (i == 5)
            assert_false(client_group_is_cooperative(f.group));
        fake_start(&f.fake);
        teardown(&f);
    }
}

static void
bytes_of_other_members_do_no_harm(void **state)
{
    static const uint8_t bad[][8] = {{0}, {0, 1, 0xff, 0xff, 0xff, 0xff}, {0xff, 0xff, 0, 0, 0, 0},
        {0, 9, 0, 0, 0, 1, 0, 1}, {0, 0, 0x7f, 0xff, 0xff, 0xff, 0, 0}};
    struct client_assignor_member member;
    struct client_topic_partition *parts;
    struct arena arena;
    int count;
    (void)state;
    arena_init(&arena, 1 << 20);
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        for (size_t len = 0; len <= sizeof bad[i]; len++) {
            memset(&member, 0, sizeof member);
            assert_int_equal(
                group_subscription_read((struct bytes){bad[i], len}, &arena, &member), ERR_OK);
            assert_int_equal(member.owned_count, 0);
            enum err err =
                group_assignment_read((struct bytes){bad[i], len}, &arena, &parts, &count);
            assert_true(len > 0 || err == ERR_OK); /* nothing at all is nothing */
        }
    arena_fini(&arena);
}

TEST_MAIN(cmocka_unit_test(unstable_offsets_are_waited_for),
    cmocka_unit_test(no_offset_and_no_policy_is_an_error_of_the_partition),
    cmocka_unit_test(commits_say_who_and_what),
    cmocka_unit_test(commits_tell_the_brokers_code_and_take_its_meaning),
    cmocka_unit_test(auto_commit_comes_in_its_interval),
    cmocka_unit_test(leaving_commits_gives_up_and_says_so),
    cmocka_unit_test(a_static_member_does_not_say_good_bye),
    cmocka_unit_test(leaving_in_the_middle_of_a_join_does_not_wait_for_it),
    cmocka_unit_test(a_group_may_be_freed_when_it_has_left),
    cmocka_unit_test(leaving_has_a_deadline), cmocka_unit_test(options_without_sense_are_refused),
    cmocka_unit_test(bytes_of_other_members_do_no_harm))
