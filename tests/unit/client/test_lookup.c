/* Look-ups of offsets over several leaders. */
#include "tests/lib/test.h"

#include <string.h>

#include "client/consumer.h"
#include "client/lookup.h"
#include "proto/error_codes.h"
#include "proto/list_offsets_request.h"
#include "proto/list_offsets_response.h"
#include "tests/unit/client/fake.h"

enum { LIST = PROTO_LIST_OFFSETS_REQUEST_KEY };

struct fixture {
    struct fake fake;
    struct client_lookup *lookup;
    struct client_lookup_target targets[3];
    struct client_lookup_opts opts;
    bool done;
};

static void
on_done(void *ctx, struct client_lookup *lookup)
{
    struct fixture *f = ctx;
    assert_true(lookup == f->lookup);
    f->done = true;
}

static bool
is_done(void *ctx)
{
    return ((struct fixture *)ctx)->done;
}

static void
setup(struct fixture *f)
{
    memset(f, 0, sizeof *f);
    fake_init(&f->fake, 13);
    fake_add_topic(&f->fake, "t", 2, 2);
    fake_add_topic(&f->fake, "u", 1, 1);
    f->fake.list_offsets_waits = true;
    f->targets[0] = (struct client_lookup_target){STR("t"), 0, 1000, 0, 0, 0, 0, 0};
    f->targets[1] = (struct client_lookup_target){STR("t"), 1, 1000, 0, 0, 0, 0, 0};
    f->targets[2] = (struct client_lookup_target){STR("u"), 0, CLIENT_OFFSET_LATEST, 0, 0, 0, 0, 0};
    f->opts = (struct client_lookup_opts){
        .client = f->fake.client,
        .targets = f->targets,
        .count = 3,
        .done = on_done,
        .ctx = f,
    };
}

static void
start(struct fixture *f)
{
    assert_int_equal(client_lookup_new(&f->opts, &f->lookup), ERR_OK);
    fake_start(&f->fake);
}

static void
teardown(struct fixture *f)
{
    fake_stop(&f->fake);
    client_lookup_free(&f->lookup);
    fake_fini(&f->fake);
}

/* Every partition that was asked for gets the code, or offset 10 + its number. */
static int
answer(struct fake_request *request, int16_t code)
{
    const struct proto_list_offsets_request *message = request->message;
    struct proto_list_offsets_response response;
    struct proto_list_offsets_response_list_offsets_topic_response topics[3];
    struct proto_list_offsets_response_list_offsets_partition_response parts[3];
    int32_t count = message->topics.count;
    assert_true(count <= 3);
    proto_init(&proto_list_offsets_response_schema, &response);
    for (int32_t i = 0; i < count; i++) {
        proto_init(&proto_list_offsets_response_list_offsets_topic_response_schema, &topics[i]);
        proto_init(&proto_list_offsets_response_list_offsets_partition_response_schema, &parts[i]);
        topics[i].name = message->topics.items[i].name;
        topics[i].partitions.items = &parts[i];
        topics[i].partitions.count = 1;
        parts[i].partition_index = message->topics.items[i].partitions.items[0].partition_index;
        parts[i].error_code = code;
        parts[i].offset = code != 0 ? -1 : 10 + parts[i].partition_index;
        parts[i].timestamp = message->topics.items[i].partitions.items[0].timestamp;
    }
    response.topics.items = topics;
    response.topics.count = count;
    fake_reply(request, &response);
    return count;
}

static void
each_leader_is_asked_once_for_all_of_its_partitions(void **state)
{
    static struct fixture f;
    (void)state;
    setup(&f);
    start(&f);
    assert_int_equal(answer(fake_expect(&f.fake, LIST), 0), 2);
    assert_false(f.done);
    assert_int_equal(answer(fake_expect(&f.fake, LIST), 0), 1);
    fake_until(&f.fake, is_done, &f);
    for (int i = 0; i < 3; i++)
        assert_int_equal(f.targets[i].err, ERR_OK);
    assert_int_equal(f.targets[1].offset, 11);
    assert_int_equal(f.targets[1].found_ms, 1000);
    assert_int_equal(f.targets[2].offset, 10);
    teardown(&f);
}

static void
leaders_that_moved_are_followed_for_what_is_missing(void **state)
{
    static struct fixture f;
    (void)state;
    setup(&f);
    start(&f);
    struct fake_request *first = fake_expect(&f.fake, LIST);
    assert_int_equal(first->broker, 1);
    f.fake.topics[0].leader = 1;
    f.fake.leader_epoch = 2;
    answer(first, PROTO_ERROR_NOT_LEADER_OR_FOLLOWER);
    answer(fake_expect(&f.fake, LIST), 0);
    struct fake_request *again = fake_expect(&f.fake, LIST);
    assert_int_equal(again->broker, 0);
    assert_int_equal(answer(again, 0), 2);
    fake_until(&f.fake, is_done, &f);
    assert_int_equal(f.targets[0].err, ERR_OK);
    assert_int_equal(f.targets[0].offset, 10);
    teardown(&f);
}

static void
what_does_not_pass_fails_alone(void **state)
{
    static struct fixture f;
    (void)state;
    setup(&f);
    f.targets[1].partition = 9;
    f.targets[2].topic = STR("nowhere");
    start(&f);
    assert_int_equal(answer(fake_expect(&f.fake, LIST), 0), 1);
    fake_until(&f.fake, is_done, &f);
    assert_int_equal(f.targets[0].err, ERR_OK);
    for (int i = 1; i < 3; i++) {
        assert_int_equal(f.targets[i].err, ERR_FAILED);
        assert_int_equal(f.targets[i].error_code, PROTO_ERROR_UNKNOWN_TOPIC_OR_PARTITION);
        assert_int_equal(f.targets[i].offset, -1);
    }
    teardown(&f);
}

static void
a_look_up_ends_in_time(void **state)
{
    static struct fixture f;
    (void)state;
    setup(&f);
    f.opts.timeout_ms = 2000;
    f.fake.topics[1].leader = -1; /* nobody leads u */
    start(&f);
    fake_ignore(fake_expect(&f.fake, LIST));
    fake_until(&f.fake, is_done, &f);
    assert_int_equal(f.targets[0].err, ERR_TIMEOUT);
    assert_int_equal(f.targets[2].err, ERR_FAILED);
    assert_int_equal(f.targets[2].error_code, PROTO_ERROR_LEADER_NOT_AVAILABLE);
    assert_true(sim_now_ns(f.fake.sim) < 4000000000);
    teardown(&f);
}

static void
nothing_to_look_up_is_done(void **state)
{
    static struct fixture f;
    (void)state;
    setup(&f);
    f.opts.count = 0;
    start(&f);
    assert_false(f.done);
    fake_until(&f.fake, is_done, &f);
    teardown(&f);
}

static void
a_look_up_may_be_given_up(void **state)
{
    static struct fixture f;
    (void)state;
    setup(&f);
    start(&f);
    fake_ignore(fake_expect(&f.fake, LIST));
    teardown(&f);
    assert_false(f.done);
}

TEST_MAIN(cmocka_unit_test(each_leader_is_asked_once_for_all_of_its_partitions),
    cmocka_unit_test(leaders_that_moved_are_followed_for_what_is_missing),
    cmocka_unit_test(what_does_not_pass_fails_alone), cmocka_unit_test(a_look_up_ends_in_time),
    cmocka_unit_test(nothing_to_look_up_is_done), cmocka_unit_test(a_look_up_may_be_given_up))
