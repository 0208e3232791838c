/* A group member against scripted brokers: what it sends, when, and what it makes of each answer.
 */
#include "tests/lib/test.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "client/group_priv.h"
#include "proto/consumer_protocol_assignment.h"
#include "proto/consumer_protocol_subscription.h"
#include "proto/error_codes.h"
#include "proto/fetch_request.h"
#include "proto/fetch_response.h"
#include "proto/heartbeat_request.h"
#include "proto/join_group_request.h"
#include "proto/join_group_response.h"
#include "proto/leave_group_request.h"
#include "proto/leave_group_response.h"
#include "proto/offset_commit_request.h"
#include "proto/offset_commit_response.h"
#include "proto/offset_fetch_request.h"
#include "proto/offset_fetch_response.h"
#include "proto/sync_group_request.h"
#include "proto/sync_group_response.h"
#include "tests/unit/client/fake.h"

enum {
    COMMIT = PROTO_OFFSET_COMMIT_REQUEST_KEY,
    FETCH = PROTO_FETCH_REQUEST_KEY,
    JOIN = PROTO_JOIN_GROUP_REQUEST_KEY,
    LEAVE = PROTO_LEAVE_GROUP_REQUEST_KEY,
    OFFSETS = PROTO_OFFSET_FETCH_REQUEST_KEY,
    SYNC = PROTO_SYNC_GROUP_REQUEST_KEY,
};

/* ---- a member ---- */

struct fixture {
    struct fake fake;
    struct client_consumer *consumer;
    struct client_group *group;
    struct client_group_opts opts;
    struct client_group_commit commit;
    struct client_group_leave leave;
    struct client_refresh refresh;
    char told[256]; /* "+t0 +t1 -t0 !t1 ": assigned, revoked, lost */
    bool committed, left;
    enum err err;
    int16_t code;
};

static void
note(struct fixture *f, char sign, const struct client_topic_partition *parts, int count)
{
    size_t at = strlen(f->told);
    if (count == 0)
        snprintf(f->told + at, sizeof f->told - at, "%c ", sign);
    for (int i = 0; i < count; i++) {
        at = strlen(f->told);
        snprintf(f->told + at, sizeof f->told - at, "%c%.*s%d ", sign, STR_FMT(parts[i].topic),
            (int)parts[i].partition);
    }
}

static void
on_assigned(void *ctx, const struct client_topic_partition *parts, int count)
{
    note(ctx, '+', parts, count);
}

static void
on_revoked(void *ctx, const struct client_topic_partition *parts, int count)
{
    note(ctx, '-', parts, count);
}

static void
on_lost(void *ctx, const struct client_topic_partition *parts, int count)
{
    note(ctx, '!', parts, count);
}

static const struct str topic_t[] = {{"t", 1}};
static const enum client_assignor range_only[] = {CLIENT_ASSIGNOR_RANGE};
static const enum client_assignor sticky_only[] = {CLIENT_ASSIGNOR_COOPERATIVE_STICKY};

/* Topic t with two partitions on broker 2, coordinator broker 1, no auto commit. */
static void
setup(struct fixture *f, const enum client_assignor *assignor)
{
    memset(f, 0, sizeof *f);
    fake_init(&f->fake, 1);
    fake_add_topic(&f->fake, "t", 2, 2);
    struct client_consumer_opts consumer = {.client = f->fake.client};
    assert_int_equal(client_consumer_new(&consumer, &f->consumer), ERR_OK);
    f->opts = (struct client_group_opts){
        .client = f->fake.client,
        .consumer = f->consumer,
        .group_id = STR("g"),
        .topics = topic_t,
        .topic_count = 1,
        .assignors = assignor,
        .assignor_count = 1,
        .reset = CLIENT_OFFSET_EARLIEST,
        .events = {on_assigned, on_revoked, on_lost},
        .ctx = f,
    };
}

static void
start(struct fixture *f)
{
    assert_int_equal(client_group_new(&f->opts, &f->group), ERR_OK);
    fake_start(&f->fake);
}

static void
teardown(struct fixture *f)
{
    fake_stop(&f->fake);
    client_group_free(&f->group);
    client_consumer_free(&f->consumer);
    fake_fini(&f->fake);
}

static void
expect_told(struct fixture *f, const char *want)
{
    assert_string_equal(f->told, want);
    f->told[0] = '\0';
}

static bool
is_stable(void *ctx)
{
    struct fixture *f = ctx;
    return f->group->state == CLIENT_GROUP_STABLE && group_parts_all_told(f->group) &&
           !f->group->tell_empty;
}

static bool
is_failed(void *ctx)
{
    struct fixture *f = ctx;
    return f->group->state == CLIENT_GROUP_FAILED;
}

/* ---- answers ---- */

static void
refuse_join(struct fixture *f, int16_t code, const char *member_id)
{
    struct proto_join_group_response response;
    proto_init(&proto_join_group_response_schema, &response);
    response.error_code = code;
    response.protocol_name = STR("");
    response.leader = STR("");
    response.member_id = str_of(member_id);
    fake_reply(fake_expect(&f->fake, JOIN), &response);
}

/* leader: is the member itself the leader, alone. */
static void
accept_join(struct fixture *f, struct fake_request *request, int32_t generation, const char *id,
    bool leader)
{
    const struct proto_join_group_request *message = request->message;
    struct proto_join_group_response response;
    struct proto_join_group_response_join_group_response_member member;
    (void)f;
    proto_init(&proto_join_group_response_schema, &response);
    proto_init(&proto_join_group_response_join_group_response_member_schema, &member);
    response.generation_id = generation;
    response.protocol_type = STR("consumer");
    response.protocol_name = message->protocols.items[0].name;
    response.leader = leader ? str_of(id) : STR("somebody");
    response.member_id = str_of(id);
    member.member_id = str_of(id);
    member.metadata = message->protocols.items[0].metadata;
    response.members.items = &member;
    response.members.count = leader;
    fake_reply(request, &response);
}

/* What a member says it owns: "t0 t1 ". */
static const char *
owned_of(const struct fake_request *join, char *out, size_t size, int32_t *generation)
{
    const struct proto_join_group_request *message = join->message;
    struct client_assignor_member member = {0};
    struct arena arena;
    arena_init(&arena, 1 << 20);
    assert_int_equal(
        group_subscription_read(message->protocols.items[0].metadata, &arena, &member), ERR_OK);
    out[0] = '\0';
    for (int i = 0; i < member.owned_count; i++)
        snprintf(out + strlen(out), size - strlen(out), "%.*s%d ", STR_FMT(member.owned[i].topic),
            (int)member.owned[i].partition);
    if (generation != NULL)
        *generation = member.generation;
    arena_fini(&arena);
    return out;
}

/* Partitions of t from..to - 1. */
static void
accept_sync(struct fixture *f, int32_t from, int32_t to)
{
    struct fake_request *request = fake_expect(&f->fake, SYNC);
    struct proto_sync_group_response response;
    struct client_topic_partition parts[8];
    int count = 0;
    for (int32_t p = from; p < to; p++)
        parts[count++] = (struct client_topic_partition){STR("t"), p};
    proto_init(&proto_sync_group_response_schema, &response);
    assert_int_equal(
        group_assignment_write(parts, count, &request->arena, &response.assignment), ERR_OK);
    fake_reply(request, &response);
}

static void
refuse_sync(struct fixture *f, int16_t code)
{
    struct proto_sync_group_response response;
    proto_init(&proto_sync_group_response_schema, &response);
    response.error_code = code;
    response.assignment = (struct bytes){(const uint8_t *)"", 0};
    fake_reply(fake_expect(&f->fake, SYNC), &response);
}

/* offsets: of partition 0, 1, ...; -1 none; codes below -1 are errors. */
static void
answer_offsets(struct fixture *f, int64_t zero, int64_t one)
{
    struct fake_request *request = fake_expect(&f->fake, OFFSETS);
    const struct proto_offset_fetch_request *message = request->message;
    struct proto_offset_fetch_response response;
    struct proto_offset_fetch_response_offset_fetch_response_topic topic = {.name = STR("t")};
    struct proto_offset_fetch_response_offset_fetch_response_partition parts[2];
    const int64_t offsets[] = {zero, one};
    proto_init(&proto_offset_fetch_response_schema, &response);
    assert_int_equal(message->topics.count, 1);
    assert_true(message->require_stable);
    topic.partitions.items = parts;
    topic.partitions.count = message->topics.items[0].partition_indexes.count;
    for (int32_t i = 0; i < topic.partitions.count; i++) {
        int32_t p = message->topics.items[0].partition_indexes.items[i];
        proto_init(&proto_offset_fetch_response_offset_fetch_response_partition_schema, &parts[i]);
        parts[i].partition_index = p;
        parts[i].committed_offset = offsets[p] < -1 ? -1 : offsets[p];
        parts[i].error_code = offsets[p] < -1 ? (int16_t)-offsets[p] : 0;
    }
    response.topics.items = &topic;
    response.topics.count = 1;
    fake_reply(request, &response);
}

/* Nothing new; whatever came after it on its connection is answered then. */
static void
answer_fetch(struct fixture *f)
{
    struct fake_request *request = fake_expect(&f->fake, FETCH);
    struct proto_fetch_response response;
    proto_init(&proto_fetch_response_schema, &response);
    fake_reply(request, &response);
}

/* "t0@5 t1@7 " of a commit. */
static const char *
commit_of(const struct fake_request *request, char *out, size_t size)
{
    const struct proto_offset_commit_request *message = request->message;
    out[0] = '\0';
    for (int32_t i = 0; i < message->topics.count; i++)
        for (int32_t j = 0; j < message->topics.items[i].partitions.count; j++)
            snprintf(out + strlen(out), size - strlen(out), "%.*s%d@%lld ",
                STR_FMT(message->topics.items[i].name),
                (int)message->topics.items[i].partitions.items[j].partition_index,
                (long long)message->topics.items[i].partitions.items[j].committed_offset);
    return out;
}

static void
answer_commit(struct fake_request *request, int16_t code)
{
    const struct proto_offset_commit_request *message = request->message;
    struct proto_offset_commit_response response;
    struct proto_offset_commit_response_offset_commit_response_topic topic;
    struct proto_offset_commit_response_offset_commit_response_partition part = {0, code};
    proto_init(&proto_offset_commit_response_schema, &response);
    proto_init(&proto_offset_commit_response_offset_commit_response_topic_schema, &topic);
    topic.name = message->topics.items[0].name;
    topic.partitions.items = &part;
    topic.partitions.count = 1;
    response.topics.items = &topic;
    response.topics.count = 1;
    fake_reply(request, &response);
}

/* Member "m" in generation 1, alone, with both partitions, from 5 and from the start. */
static void
become_stable(struct fixture *f)
{
    start(f);
    accept_join(f, fake_expect(&f->fake, JOIN), 1, "m", true);
    accept_sync(f, 0, 2);
    answer_offsets(f, 5, -1);
    fake_until(&f->fake, is_stable, f);
    expect_told(f, "+t0 +t1 ");
}

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
    cmocka_unit_test(another_subscription_gives_up_the_old_topics),
    cmocka_unit_test(unstable_offsets_are_waited_for),
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
