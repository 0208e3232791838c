/* The classic group protocol: every state against every request, and what each KIP promises. */
#include "tests/lib/test.h"

#include <stdio.h>
#include <stdlib.h>

#include "proto/error_codes.h"
#include "tests/unit/coord/fixture.h"

enum { PARKED = -100 };

typedef struct proto_sync_group_request_sync_group_request_assignment assignment_t;

/* A group of one, brought to a state. */
struct solo {
    struct fixture fx;
    struct call a, b;
    char leader[128];
    int32_t generation;
};

static void
solo_join(struct solo *s)
{
    call_join(&s->fx, &s->a, &(struct join_args){.group = "g"});
    assert_int_equal(call_join_err(&s->a), PROTO_ERROR_MEMBER_ID_REQUIRED);
    strcpy(s->leader, s->a.member);
    call_join(&s->fx, &s->a, &(struct join_args){.group = "g", .member = s->leader});
    assert_int_equal(call_join_err(&s->a), PARKED);
    fixture_advance(&s->fx, 1);
    assert_int_equal(call_join_err(&s->a), PROTO_ERROR_NONE);
    s->generation = s->a.u.join.response.generation_id;
}

static void
solo_sync(struct solo *s, const char *bytes)
{
    assignment_t assignment = {
        .member_id = str_of(s->leader), .assignment = {(const uint8_t *)bytes, strlen(bytes)}};
    call_sync(&s->fx, &s->a,
        &(struct sync_args){.group = "g",
            .member = s->leader,
            .generation = s->generation,
            .type = "consumer",
            .protocol = "range",
            .assignments = &assignment,
            .assignment_count = 1});
    assert_int_equal(call_sync_err(&s->a), PROTO_ERROR_NONE);
    assert_int_equal(s->a.u.sync.response.assignment.len, strlen(bytes));
}

enum reach { REACH_NONE, REACH_EMPTY, REACH_COMPLETING, REACH_STABLE, REACH_PREPARING };

static void
solo_open(struct solo *s, enum reach reach)
{
    memset(s, 0, sizeof *s);
    fixture_open(&s->fx);
    call_init(&s->a);
    call_init(&s->b);
    strcpy(s->leader, "nobody");
    s->generation = 1;
    if (reach == REACH_NONE)
        return;
    solo_join(s);
    if (reach == REACH_COMPLETING)
        return;
    solo_sync(s, "mine");
    if (reach == REACH_EMPTY) {
        assert_int_equal(call_leave(&s->fx, "g", s->leader, NULL), PROTO_ERROR_NONE);
        assert_string_equal(call_state(&s->fx, &s->a, "g"), "Empty");
    }
    if (reach == REACH_PREPARING) {
        /* Another one comes, and waits for the first to join again. */
        call_join(&s->fx, &s->b, &(struct join_args){.group = "g", .version = 3});
        assert_int_equal(call_join_err(&s->b), PARKED);
        assert_string_equal(call_state(&s->fx, &s->a, "g"), "PreparingRebalance");
    }
}

static void
solo_close(struct solo *s)
{
    fixture_close(&s->fx);
    call_fini(&s->a);
    call_fini(&s->b);
}

/* ---- the table ---- */

struct row {
    enum reach reach;
    bool right_member;
    bool right_generation;
    int heartbeat, sync, commit, join, leave;
};

#define UNKNOWN PROTO_ERROR_UNKNOWN_MEMBER_ID
#define ILLEGAL PROTO_ERROR_ILLEGAL_GENERATION
#define REBALANCE PROTO_ERROR_REBALANCE_IN_PROGRESS
#define NONE PROTO_ERROR_NONE

static const struct row table[] = {
    /* reach           member generation heartbeat  sync       commit     join     leave */
    {REACH_NONE, false, true, UNKNOWN, UNKNOWN, ILLEGAL, UNKNOWN, UNKNOWN},
    {REACH_EMPTY, false, true, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN},
    {REACH_EMPTY, false, false, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN},
    {REACH_EMPTY, true, true, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN},
    {REACH_COMPLETING, false, true, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN},
    {REACH_COMPLETING, true, false, ILLEGAL, ILLEGAL, ILLEGAL, NONE, NONE},
    {REACH_COMPLETING, true, true, NONE, NONE, REBALANCE, NONE, NONE},
    {REACH_STABLE, false, true, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN},
    {REACH_STABLE, true, false, ILLEGAL, ILLEGAL, ILLEGAL, NONE, NONE},
    {REACH_STABLE, true, true, NONE, NONE, NONE, NONE, NONE},
    {REACH_PREPARING, false, true, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN},
    {REACH_PREPARING, true, false, ILLEGAL, ILLEGAL, ILLEGAL, NONE, NONE},
    {REACH_PREPARING, true, true, REBALANCE, REBALANCE, NONE, NONE, NONE},
};

static void
every_state_answers_every_request_as_kafka_does(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(table); i++) {
        const struct row *row = &table[i];
        for (int request = 0; request < 5; request++) {
            struct solo s;
            int got = -1, want = -1;
            solo_open(&s, row->reach);
            const char *member = row->right_member ? s.leader : "stranger";
            int32_t generation = s.generation + (row->right_generation ? 0 : 7);
            struct sync_args sync = {.group = "g", .member = member, .generation = generation};
            struct commit_args commit = {.group = "g",
                .member = member,
                .generation = generation,
                .topic = "t",
                .offset = 5};
            switch (request) {
            case 0:
                want = row->heartbeat;
                got = call_heartbeat(&s.fx, "g", member, generation);
                break;
            case 1:
                want = row->sync;
                call_sync(&s.fx, &s.a, &sync);
                got = call_sync_err(&s.a);
                break;
            case 2:
                want = row->commit;
                commit.version = 8;
                got = call_commit(&s.fx, &commit);
                break;
            case 3:
                want = row->join;
                call_join(&s.fx, &s.a, &(struct join_args){.group = "g", .member = member});
                got = call_join_err(&s.a);
                break;
            default: want = row->leave; got = call_leave(&s.fx, "g", member, NULL);
            }
            if (got != want)
                fail_msg("row %zu request %d: %d, not %d", i, request, got, want);
            solo_close(&s);
        }
    }
}

/* ---- joining ---- */

static void
bad_joins_are_refused_before_anything_is_made(void **state)
{
    struct solo s;
    (void)state;
    solo_open(&s, REACH_NONE);
    call_join(&s.fx, &s.a, &(struct join_args){.group = ""});
    assert_int_equal(call_join_err(&s.a), PROTO_ERROR_INVALID_GROUP_ID);
    call_join(&s.fx, &s.a, &(struct join_args){.group = "g", .session_ms = 1});
    assert_int_equal(call_join_err(&s.a), PROTO_ERROR_INVALID_SESSION_TIMEOUT);
    call_join(&s.fx, &s.a, &(struct join_args){.group = "g", .session_ms = 1000000000});
    assert_int_equal(call_join_err(&s.a), PROTO_ERROR_INVALID_SESSION_TIMEOUT);
    call_join(&s.fx, &s.a, &(struct join_args){.group = "g", .protocols = ""});
    assert_int_equal(call_join_err(&s.a), PROTO_ERROR_INCONSISTENT_GROUP_PROTOCOL);
    call_join(&s.fx, &s.a, &(struct join_args){.group = "g", .type = ""});
    assert_int_equal(call_join_err(&s.a), PROTO_ERROR_INCONSISTENT_GROUP_PROTOCOL);
    assert_int_equal(coord_group_counts_get(s.fx.shard).groups, 0);
    assert_int_equal(s.fx.appends, 0);
    solo_close(&s);
}

static void
join_with_another_protocol_or_type_is_inconsistent(void **state)
{
    struct solo s;
    (void)state;
    solo_open(&s, REACH_STABLE);
    call_join(&s.fx, &s.b, &(struct join_args){.group = "g", .protocols = "other"});
    assert_int_equal(call_join_err(&s.b), PROTO_ERROR_INCONSISTENT_GROUP_PROTOCOL);
    call_join(&s.fx, &s.b, &(struct join_args){.group = "g", .type = "connect"});
    assert_int_equal(call_join_err(&s.b), PROTO_ERROR_INCONSISTENT_GROUP_PROTOCOL);
    solo_close(&s);
}

static void
member_id_is_client_id_and_a_uuid(void **state)
{
    struct solo s;
    (void)state;
    solo_open(&s, REACH_NONE);
    call_join(&s.fx, &s.a, &(struct join_args){.group = "g"});
    assert_int_equal(call_join_err(&s.a), PROTO_ERROR_MEMBER_ID_REQUIRED);
    assert_int_equal(strlen(s.a.member), strlen("client-") + 36);
    assert_memory_equal(s.a.member, "client-", 7);
    solo_close(&s);
}

static void
pending_member_that_never_comes_back_holds_nobody_for_long(void **state)
{
    struct solo s;
    (void)state;
    solo_open(&s, REACH_STABLE);
    call_join(&s.fx, &s.b, &(struct join_args){.group = "g", .session_ms = 6000});
    assert_int_equal(call_join_err(&s.b), PROTO_ERROR_MEMBER_ID_REQUIRED);
    call_join(&s.fx, &s.a, &(struct join_args){.group = "g", .member = s.leader});
    assert_int_equal(call_join_err(&s.a), PARKED);
    fixture_advance(&s.fx, 6000);
    assert_int_equal(call_join_err(&s.a), NONE);
    solo_close(&s);
}

static void
initial_delay_is_extended_by_each_joiner_up_to_the_rebalance_timeout(void **state)
{
    struct fixture fx;
    struct call calls[5];
    (void)state;
    fixture_open(&fx);
    fx.config.initial_rebalance_delay_ms = 3000;
    for (int i = 0; i < 5; i++) {
        call_init(&calls[i]);
        call_join(
            &fx, &calls[i], &(struct join_args){.group = "g", .version = 3, .rebalance_ms = 10000});
        assert_int_equal(call_join_err(&calls[i]), PARKED);
        fixture_advance(&fx, 1900);
    }
    /* 9.5 s: each step of 3 s saw a newcomer; the last step is cut to the rebalance timeout. */
    assert_int_equal(call_join_err(&calls[0]), PARKED);
    fixture_advance(&fx, 600);
    int leaders = 0;
    for (int i = 0; i < 5; i++) {
        assert_int_equal(call_join_err(&calls[i]), NONE);
        assert_int_equal(calls[i].u.join.response.generation_id, 1);
        leaders += calls[i].u.join.response.members.count == 5;
    }
    assert_int_equal(leaders, 1);
    fixture_close(&fx);
    for (int i = 0; i < 5; i++)
        call_fini(&calls[i]);
}

static void
initial_delay_without_newcomers_ends_at_once(void **state)
{
    struct fixture fx;
    struct call call;
    (void)state;
    fixture_open(&fx);
    call_init(&call);
    fx.config.initial_rebalance_delay_ms = 3000;
    call_join(&fx, &call, &(struct join_args){.group = "g", .version = 3});
    fixture_advance(&fx, 2999);
    assert_int_equal(call_join_err(&call), PARKED);
    fixture_advance(&fx, 1);
    assert_int_equal(call_join_err(&call), NONE);
    fixture_close(&fx);
    call_fini(&call);
}

static void
member_that_does_not_rejoin_in_time_is_out(void **state)
{
    struct solo s;
    (void)state;
    solo_open(&s, REACH_PREPARING);
    for (int i = 0; i < 6; i++) {
        assert_int_equal(call_heartbeat(&s.fx, "g", s.leader, s.generation), REBALANCE);
        fixture_advance(&s.fx, 9000);
    }
    assert_int_equal(call_join_err(&s.b), PARKED);
    fixture_advance(&s.fx, 6001);
    assert_int_equal(call_join_err(&s.b), NONE);
    assert_int_equal(s.b.u.join.response.members.count, 1);
    assert_int_equal(call_heartbeat(&s.fx, "g", s.leader, s.generation), UNKNOWN);
    solo_close(&s);
}

static void
leaving_while_preparing_lets_the_others_go_on(void **state)
{
    struct solo s;
    (void)state;
    solo_open(&s, REACH_PREPARING);
    assert_int_equal(call_leave(&s.fx, "g", s.leader, NULL), NONE);
    assert_int_equal(call_join_err(&s.b), NONE);
    assert_int_equal(s.b.u.join.response.generation_id, s.generation + 1);
    solo_close(&s);
}

static void
session_expiry_while_preparing_lets_the_others_go_on(void **state)
{
    struct solo s;
    (void)state;
    solo_open(&s, REACH_PREPARING);
    fixture_advance(&s.fx, 10000);
    assert_int_equal(call_join_err(&s.b), NONE);
    solo_close(&s);
}

static void
repeated_join_takes_the_place_of_the_parked_one(void **state)
{
    struct solo s;
    struct call again;
    (void)state;
    solo_open(&s, REACH_PREPARING);
    call_init(&again);
    call_join(&s.fx, &s.a, &(struct join_args){.group = "g", .member = s.leader});
    assert_int_equal(call_join_err(&s.a), NONE); /* all there: b was waiting */
    assert_int_equal(call_join_err(&s.b), NONE);
    /* A retry in CompletingRebalance gets the generation again. */
    call_join(&s.fx, &again, &(struct join_args){.group = "g", .member = s.leader});
    assert_int_equal(call_join_err(&again), NONE);
    assert_int_equal(again.u.join.response.generation_id, s.generation + 1);
    call_fini(&again);
    solo_close(&s);
}

static void
group_is_limited_in_size(void **state)
{
    struct solo s;
    (void)state;
    solo_open(&s, REACH_NONE);
    s.fx.config.size_max = 1;
    solo_join(&s);
    solo_sync(&s, "x");
    call_join(&s.fx, &s.b, &(struct join_args){.group = "g", .version = 3});
    assert_int_equal(call_join_err(&s.b), PROTO_ERROR_GROUP_MAX_SIZE_REACHED);
    assert_int_equal(call_heartbeat(&s.fx, "g", s.leader, s.generation), NONE);
    solo_close(&s);
}

static void
protocol_is_chosen_by_votes_among_what_all_know(void **state)
{
    struct fixture fx;
    struct call calls[3];
    const char *protocols[] = {"a,b,c", "c,b", "b,c"};
    (void)state;
    fixture_open(&fx);
    fx.config.initial_rebalance_delay_ms = 100;
    for (int i = 0; i < 3; i++) {
        call_init(&calls[i]);
        call_join(&fx, &calls[i],
            &(struct join_args){.group = "g", .version = 3, .protocols = protocols[i]});
    }
    fixture_advance(&fx, 300);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(call_join_err(&calls[i]), NONE);
        assert_true(str_eq_z(calls[i].u.join.response.protocol_name, "b"));
        call_fini(&calls[i]);
    }
    fixture_close(&fx);
}

/* ---- syncing ---- */

static void
follower_waits_for_the_leaders_assignment(void **state)
{
    struct solo s;
    struct call follower;
    char id[128];
    (void)state;
    solo_open(&s, REACH_PREPARING);
    call_init(&follower);
    call_join(&s.fx, &s.a, &(struct join_args){.group = "g", .member = s.leader});
    assert_int_equal(call_join_err(&s.a), NONE);
    assert_int_equal(s.a.u.join.response.members.count, 2);
    assert_int_equal(s.b.u.join.response.members.count, 0);
    snprintf(id, sizeof id, "%.*s", STR_FMT(s.b.u.join.response.member_id));
    int32_t generation = s.b.u.join.response.generation_id;
    call_sync(&s.fx, &follower,
        &(struct sync_args){.group = "g", .member = id, .generation = generation});
    assert_int_equal(call_sync_err(&follower), PARKED);
    assignment_t assignments[] = {
        {.member_id = str_of(id), .assignment = {(const uint8_t *)"F", 1}},
        {.member_id = str_of(s.leader), .assignment = {(const uint8_t *)"L", 1}}};
    call_sync(&s.fx, &s.a,
        &(struct sync_args){.group = "g",
            .member = s.leader,
            .generation = generation,
            .assignments = assignments,
            .assignment_count = 2});
    assert_int_equal(call_sync_err(&s.a), NONE);
    assert_int_equal(call_sync_err(&follower), NONE);
    assert_memory_equal(follower.u.sync.response.assignment.data, "F", 1);
    assert_memory_equal(s.a.u.sync.response.assignment.data, "L", 1);
    call_fini(&follower);
    solo_close(&s);
}

static void
sync_of_another_protocol_is_inconsistent(void **state)
{
    struct solo s;
    (void)state;
    solo_open(&s, REACH_COMPLETING);
    call_sync(&s.fx, &s.a,
        &(struct sync_args){
            .group = "g", .member = s.leader, .generation = s.generation, .type = "connect"});
    assert_int_equal(call_sync_err(&s.a), PROTO_ERROR_INCONSISTENT_GROUP_PROTOCOL);
    call_sync(&s.fx, &s.a,
        &(struct sync_args){
            .group = "g", .member = s.leader, .generation = s.generation, .protocol = "sticky"});
    assert_int_equal(call_sync_err(&s.a), PROTO_ERROR_INCONSISTENT_GROUP_PROTOCOL);
    solo_close(&s);
}

static void
member_that_never_syncs_is_out_after_the_rebalance_timeout(void **state)
{
    struct solo s;
    (void)state;
    solo_open(&s, REACH_COMPLETING);
    for (int i = 0; i < 6; i++) {
        fixture_advance(&s.fx, 9000);
        assert_int_equal(call_heartbeat(&s.fx, "g", s.leader, s.generation), NONE);
    }
    fixture_advance(&s.fx, 6000);
    assert_int_equal(call_heartbeat(&s.fx, "g", s.leader, s.generation), UNKNOWN);
    assert_string_equal(call_state(&s.fx, &s.a, "g"), "Empty");
    solo_close(&s);
}

static void
assignment_that_no_record_holds_fails_the_sync_and_the_group_survives(void **state)
{
    struct solo s;
    (void)state;
    solo_open(&s, REACH_COMPLETING);
    uint8_t *huge = calloc(1, 4 << 20);
    assignment_t assignment = {
        .member_id = str_of(s.leader), .assignment = {huge, (size_t)4 << 20}};
    call_sync(&s.fx, &s.a,
        &(struct sync_args){.group = "g",
            .member = s.leader,
            .generation = s.generation,
            .assignments = &assignment,
            .assignment_count = 1});
    free(huge);
    assert_int_equal(call_sync_err(&s.a), PROTO_ERROR_UNKNOWN_SERVER_ERROR);
    call_join(&s.fx, &s.a, &(struct join_args){.group = "g", .member = s.leader});
    assert_int_equal(call_join_err(&s.a), NONE);
    s.generation = s.a.u.join.response.generation_id;
    solo_sync(&s, "small");
    solo_close(&s);
}

/* ---- static members ---- */

static void
static_member_swaps_in_without_a_rebalance_and_the_old_one_is_fenced(void **state)
{
    struct solo s;
    char old[128];
    (void)state;
    solo_open(&s, REACH_NONE);
    call_join(&s.fx, &s.a, &(struct join_args){.group = "g", .instance = "i"});
    fixture_advance(&s.fx, 1);
    assert_int_equal(call_join_err(&s.a), NONE);
    snprintf(old, sizeof old, "%.*s", STR_FMT(s.a.u.join.response.member_id));
    assert_memory_equal(old, "i-", 2);
    strcpy(s.leader, old);
    s.generation = s.a.u.join.response.generation_id;
    solo_sync(&s, "kept");
    int appends = s.fx.appends;
    call_join(&s.fx, &s.b, &(struct join_args){.group = "g", .instance = "i"});
    assert_int_equal(call_join_err(&s.b), NONE);
    assert_int_equal(s.fx.appends, appends + 1); /* persisted */
    assert_int_equal(s.b.u.join.response.generation_id, s.generation);
    assert_true(s.b.u.join.response.skip_assignment); /* KIP-814: it leads */
    assert_int_equal(s.b.u.join.response.members.count, 1);
    assert_string_not_equal(s.b.member, old);
    assert_int_equal(
        call_heartbeat_static(&s.fx, "g", old, "i", s.generation), PROTO_ERROR_FENCED_INSTANCE_ID);
    assert_int_equal(call_heartbeat_static(&s.fx, "g", s.b.member, "i", s.generation), NONE);
    call_sync(&s.fx, &s.a,
        &(struct sync_args){
            .group = "g", .member = s.b.member, .instance = "i", .generation = s.generation});
    assert_int_equal(call_sync_err(&s.a), NONE);
    assert_int_equal(s.a.u.sync.response.assignment.len, 4);
    assert_int_equal(call_commit(&s.fx, &(struct commit_args){.group = "g",
                                            .member = old,
                                            .instance = "i",
                                            .generation = s.generation,
                                            .topic = "t"}),
        PROTO_ERROR_FENCED_INSTANCE_ID);
    solo_close(&s);
}

static void
static_leader_of_an_old_client_is_told_of_its_old_self(void **state)
{
    struct solo s;
    (void)state;
    solo_open(&s, REACH_NONE);
    call_join(&s.fx, &s.a, &(struct join_args){.group = "g", .instance = "i", .version = 5});
    fixture_advance(&s.fx, 1);
    snprintf(s.leader, sizeof s.leader, "%.*s", STR_FMT(s.a.u.join.response.member_id));
    s.generation = s.a.u.join.response.generation_id;
    solo_sync(&s, "kept");
    call_join(&s.fx, &s.b, &(struct join_args){.group = "g", .instance = "i", .version = 5});
    assert_int_equal(call_join_err(&s.b), NONE);
    assert_false(s.b.u.join.response.skip_assignment);
    assert_int_equal(s.b.u.join.response.members.count, 0);
    assert_true(str_eq_z(s.b.u.join.response.leader, s.leader));
    solo_close(&s);
}

static void
static_member_leaves_by_instance_id_only(void **state)
{
    struct solo s;
    (void)state;
    solo_open(&s, REACH_NONE);
    call_join(&s.fx, &s.a, &(struct join_args){.group = "g", .instance = "i"});
    fixture_advance(&s.fx, 1);
    assert_int_equal(call_leave(&s.fx, "g", "", "other"), UNKNOWN);
    assert_int_equal(call_leave(&s.fx, "g", "", "i"), NONE);
    assert_string_equal(call_state(&s.fx, &s.a, "g"), "Empty");
    solo_close(&s);
}

static void
static_member_keeps_its_place_when_it_does_not_rejoin(void **state)
{
    struct solo s;
    char id[128];
    (void)state;
    solo_open(&s, REACH_NONE);
    call_join(
        &s.fx, &s.a, &(struct join_args){.group = "g", .instance = "i", .session_ms = 600000});
    fixture_advance(&s.fx, 1);
    snprintf(id, sizeof id, "%.*s", STR_FMT(s.a.u.join.response.member_id));
    strcpy(s.leader, id);
    s.generation = 1;
    solo_sync(&s, "x");
    call_join(&s.fx, &s.b, &(struct join_args){.group = "g", .version = 3});
    assert_int_equal(call_join_err(&s.b), PARKED);
    fixture_advance(&s.fx, 60000);
    assert_int_equal(call_join_err(&s.b), NONE);
    assert_int_equal(s.b.u.join.response.members.count, 2); /* the new leader is told of both */
    solo_close(&s);
}

/* ---- the log ---- */

static void
answers_leave_only_after_their_records_are_committed(void **state)
{
    struct solo s;
    (void)state;
    solo_open(&s, REACH_COMPLETING);
    s.fx.auto_commit = false;
    call_sync(&s.fx, &s.a,
        &(struct sync_args){.group = "g", .member = s.leader, .generation = s.generation});
    assert_int_equal(call_sync_err(&s.a), PARKED);
    fixture_commit(&s.fx);
    assert_int_equal(call_sync_err(&s.a), NONE);
    solo_close(&s);
}

static void
uncommitted_answer_times_out_as_not_available(void **state)
{
    struct solo s;
    (void)state;
    solo_open(&s, REACH_COMPLETING);
    s.fx.auto_commit = false;
    call_sync(&s.fx, &s.a,
        &(struct sync_args){.group = "g", .member = s.leader, .generation = s.generation});
    fixture_advance(&s.fx, 5000);
    assert_int_equal(call_sync_err(&s.a), PROTO_ERROR_COORDINATOR_NOT_AVAILABLE);
    fixture_commit(&s.fx);
    solo_close(&s);
}

static void
refused_append_brings_the_shard_back_to_its_log(void **state)
{
    struct solo s;
    (void)state;
    solo_open(&s, REACH_COMPLETING);
    s.fx.fail = PROTO_ERROR_NOT_LEADER_OR_FOLLOWER;
    call_sync(&s.fx, &s.a,
        &(struct sync_args){.group = "g", .member = s.leader, .generation = s.generation});
    assert_int_equal(call_sync_err(&s.a), PROTO_ERROR_NOT_COORDINATOR);
    s.fx.fail = PROTO_ERROR_NONE;
    char *live = fixture_dump(&s.fx), *replayed = fixture_dump_replayed(&s.fx);
    assert_string_equal(live, replayed);
    fixture_text_free(live);
    fixture_text_free(replayed);
    assert_int_equal(call_heartbeat(&s.fx, "g", s.leader, s.generation), UNKNOWN);
    solo_close(&s);
}

static void
unloading_answers_everybody_who_is_parked(void **state)
{
    struct solo s;
    (void)state;
    solo_open(&s, REACH_PREPARING);
    coord_shard_unload(s.fx.shard, PROTO_ERROR_NOT_COORDINATOR);
    assert_int_equal(call_join_err(&s.b), PROTO_ERROR_NOT_COORDINATOR);
    assert_int_equal(coord_shard_ready(s.fx.shard), PROTO_ERROR_NOT_COORDINATOR);
    solo_close(&s);
}

static void
abandoned_shard_touches_nobody_who_waited(void **state)
{
    struct solo s;
    (void)state;
    solo_open(&s, REACH_PREPARING);
    s.fx.auto_commit = false;
    assert_int_equal(call_join_err(&s.b), PARKED);
    call_fini(&s.b); /* its memory goes first: the sanitizer watches */
    memset(&s.b.u, 0xee, sizeof s.b.u);
    coord_shard_abandon(s.fx.shard);
    assert_int_equal(s.b.done, 0);
    assert_int_equal(coord_shard_state(s.fx.shard), COORD_SHARD_UNLOADED);
    call_init(&s.b);
    solo_close(&s);
}

static void
loaded_group_is_stable_and_its_sessions_start_anew(void **state)
{
    struct solo s;
    int64_t end_offset;
    (void)state;
    solo_open(&s, REACH_STABLE);
    fixture_advance(&s.fx, 9000);
    struct coord_shard *old = s.fx.shard;
    s.fx.shard = fixture_load(&s.fx, buf_bytes(&s.fx.log), &end_offset);
    coord_shard_unload(old, PROTO_ERROR_NOT_COORDINATOR);
    coord_shard_free(&old);
    fixture_advance(&s.fx, 9000);
    assert_int_equal(call_heartbeat(&s.fx, "g", s.leader, s.generation), NONE);
    fixture_advance(&s.fx, 10000);
    assert_int_equal(call_heartbeat(&s.fx, "g", s.leader, s.generation), UNKNOWN);
    assert_string_equal(call_state(&s.fx, &s.a, "g"), "Empty");
    solo_close(&s);
}

TEST_MAIN(cmocka_unit_test(every_state_answers_every_request_as_kafka_does),
    cmocka_unit_test(bad_joins_are_refused_before_anything_is_made),
    cmocka_unit_test(join_with_another_protocol_or_type_is_inconsistent),
    cmocka_unit_test(member_id_is_client_id_and_a_uuid),
    cmocka_unit_test(pending_member_that_never_comes_back_holds_nobody_for_long),
    cmocka_unit_test(initial_delay_is_extended_by_each_joiner_up_to_the_rebalance_timeout),
    cmocka_unit_test(initial_delay_without_newcomers_ends_at_once),
    cmocka_unit_test(member_that_does_not_rejoin_in_time_is_out),
    cmocka_unit_test(leaving_while_preparing_lets_the_others_go_on),
    cmocka_unit_test(session_expiry_while_preparing_lets_the_others_go_on),
    cmocka_unit_test(repeated_join_takes_the_place_of_the_parked_one),
    cmocka_unit_test(group_is_limited_in_size),
    cmocka_unit_test(protocol_is_chosen_by_votes_among_what_all_know),
    cmocka_unit_test(follower_waits_for_the_leaders_assignment),
    cmocka_unit_test(sync_of_another_protocol_is_inconsistent),
    cmocka_unit_test(member_that_never_syncs_is_out_after_the_rebalance_timeout),
    cmocka_unit_test(assignment_that_no_record_holds_fails_the_sync_and_the_group_survives),
    cmocka_unit_test(static_member_swaps_in_without_a_rebalance_and_the_old_one_is_fenced),
    cmocka_unit_test(static_leader_of_an_old_client_is_told_of_its_old_self),
    cmocka_unit_test(static_member_leaves_by_instance_id_only),
    cmocka_unit_test(static_member_keeps_its_place_when_it_does_not_rejoin),
    cmocka_unit_test(answers_leave_only_after_their_records_are_committed),
    cmocka_unit_test(uncommitted_answer_times_out_as_not_available),
    cmocka_unit_test(refused_append_brings_the_shard_back_to_its_log),
    cmocka_unit_test(unloading_answers_everybody_who_is_parked),
    cmocka_unit_test(abandoned_shard_touches_nobody_who_waited),
    cmocka_unit_test(loaded_group_is_stable_and_its_sessions_start_anew))
