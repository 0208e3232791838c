/* Bootstrap, metadata, calls and connections against scripted brokers. */
#include "tests/lib/test.h"

#include <string.h>

#include "client/client_priv.h"
#include "proto/error_codes.h"
#include "proto/list_groups_request.h"
#include "proto/list_groups_response.h"
#include "proto/metadata_request.h"
#include "proto/metadata_response.h"
#include "tests/unit/client/fake.h"

enum { LIST_GROUPS = PROTO_LIST_GROUPS_REQUEST_KEY, METADATA = PROTO_METADATA_REQUEST_KEY };

struct fixture {
    struct fake fake;
    struct client_refresh refresh[2];
    int refreshed;
    enum err refresh_err;
    struct client_call call[2];
    struct proto_list_groups_request request;
    int done;
    int32_t channel;
};

static void
on_refreshed(struct client_refresh *refresh, enum err err)
{
    struct fixture *f = CONTAINER_OF(refresh, struct fixture, refresh[0]);
    f->refreshed++;
    f->refresh_err = err;
}

static void
on_refreshed_second(struct client_refresh *refresh, enum err err)
{
    struct fixture *f = CONTAINER_OF(refresh, struct fixture, refresh[1]);
    f->refreshed++;
    f->refresh_err = err;
}

static void
refresh_t(void *ctx)
{
    struct fixture *f = ctx;
    const struct str topic = STR("t");
    f->refresh[0].done = on_refreshed;
    client_refresh_topics(f->fake.client, &topic, 1, false, &f->refresh[0]);
}

static void
refresh_twice(void *ctx)
{
    struct fixture *f = ctx;
    const struct str other = STR("u");
    refresh_t(f);
    f->refresh[1].done = on_refreshed_second;
    client_refresh_topics(f->fake.client, &other, 1, false, &f->refresh[1]);
}

static bool
is_refreshed(void *ctx)
{
    return ((struct fixture *)ctx)->refreshed > 0;
}

static bool
are_refreshed(void *ctx)
{
    return ((struct fixture *)ctx)->refreshed == 2;
}

static void
setup(struct fixture *f)
{
    memset(f, 0, sizeof *f);
    fake_init(&f->fake, 7);
    fake_add_topic(&f->fake, "t", 3, 2);
    fake_add_topic(&f->fake, "u", 1, 1);
    client_call_init(&f->call[0], 1 << 20);
    client_call_init(&f->call[1], 1 << 20);
}

static void
teardown(struct fixture *f)
{
    fake_stop(&f->fake);
    for (int i = 0; i < 2; i++) {
        client_refresh_cancel(&f->refresh[i]);
        client_call_cancel(&f->call[i]);
        client_call_fini(&f->call[i]);
    }
    fake_fini(&f->fake);
}

static void
refresh_once(struct fixture *f)
{
    f->refreshed = 0;
    fake_on_loop(&f->fake, refresh_t, f);
    fake_until(&f->fake, is_refreshed, f);
}

/* ---- metadata ---- */

static void
metadata_names_topics_leaders_and_the_cluster(void **state)
{
    static struct fixture f;
    (void)state;
    setup(&f);
    fake_start(&f.fake);
    assert_null(client_topic_find(f.fake.client, STR("t")));
    refresh_once(&f);
    assert_int_equal(f.refresh_err, ERR_OK);
    const struct client_topic *topic = client_topic_find(f.fake.client, STR("t"));
    assert_non_null(topic);
    assert_int_equal(topic->error_code, 0);
    assert_int_equal(topic->partition_count, 3);
    assert_int_equal(topic->partitions[2].leader, 2);
    assert_int_equal(client_controller_id(f.fake.client), 1);
    assert_true(str_eq_z(client_cluster_id(f.fake.client), "fake"));
    assert_null(client_topic_find(f.fake.client, STR("u")));
    teardown(&f);
}

static void
a_leader_of_an_older_epoch_is_not_taken(void **state)
{
    static struct fixture f;
    (void)state;
    setup(&f);
    f.fake.leader_epoch = 5;
    fake_start(&f.fake);
    refresh_once(&f);
    f.fake.leader_epoch = 4; /* a broker that has not heard yet */
    f.fake.topics[0].leader = 1;
    refresh_once(&f);
    const struct client_topic *topic = client_topic_find(f.fake.client, STR("t"));
    assert_int_equal(topic->partitions[0].leader, 2);
    f.fake.leader_epoch = 6;
    refresh_once(&f);
    topic = client_topic_find(f.fake.client, STR("t"));
    assert_int_equal(topic->partitions[0].leader, 1);
    assert_int_equal(topic->partitions[0].leader_epoch, 6);
    teardown(&f);
}

static void
refreshes_meanwhile_share_the_next_request(void **state)
{
    static struct fixture f;
    (void)state;
    setup(&f);
    fake_start(&f.fake);
    fake_on_loop(&f.fake, refresh_twice, &f);
    fake_until(&f.fake, are_refreshed, &f);
    assert_int_equal(f.fake.metadata_count, 2);
    assert_non_null(client_topic_find(f.fake.client, STR("u")));
    teardown(&f);
}

static void
partitions_that_cannot_be_are_refused(void **state)
{
    static const int32_t bad[] = {1, INT32_MAX - 1, -5};
    static struct fixture f;
    (void)state;
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct proto_metadata_response response;
        struct proto_metadata_response_metadata_response_topic topic;
        struct proto_metadata_response_metadata_response_partition part;
        setup(&f);
        f.fake.metadata_waits = true;
        fake_start(&f.fake);
        fake_on_loop(&f.fake, refresh_t, &f);
        proto_init(&proto_metadata_response_schema, &response);
        proto_init(&proto_metadata_response_metadata_response_topic_schema, &topic);
        proto_init(&proto_metadata_response_metadata_response_partition_schema, &part);
        part.partition_index = bad[i];
        topic.name = STR("t");
        topic.partitions.items = &part;
        topic.partitions.count = 1;
        response.topics.items = &topic;
        response.topics.count = 1;
        fake_reply(fake_expect(&f.fake, METADATA), &response);
        fake_until(&f.fake, is_refreshed, &f);
        assert_int_equal(f.refresh_err, ERR_CORRUPT);
        teardown(&f);
    }
}

static void
the_next_bootstrap_address_is_tried(void **state)
{
    static struct fixture f;
    (void)state;
    memset(&f, 0, sizeof f);
    fake_init_at(&f.fake, 7, "10.0.0.77:9092,broker2:9092");
    fake_add_topic(&f.fake, "t", 3, 2);
    client_call_init(&f.call[0], 1 << 20);
    client_call_init(&f.call[1], 1 << 20);
    fake_start(&f.fake);
    refresh_once(&f);
    if (f.refresh_err != ERR_OK)
        refresh_once(&f);
    assert_int_equal(f.refresh_err, ERR_OK);
    teardown(&f);
}

static void
addresses_without_sense_are_refused(void **state)
{
    static const char *const bad[] = {
        "", ",", "host:", "host:0", "host:65536", "host:x", ":9092", "[::1", "a:9092,b:99999"};
    static const char *const good[] = {"host", "host:1", "[::1]:9092", "::1", "a,,b:2,"};
    static struct fixture f;
    struct client *client;
    (void)state;
    setup(&f);
    for (size_t i = 0; i < COUNT_OF(bad) + COUNT_OF(good); i++) {
        bool wrong = i < COUNT_OF(bad);
        struct client_opts opts = {.env = f.fake.env,
            .loop = f.fake.loop,
            .bootstrap = str_of(wrong ? bad[i] : good[i - COUNT_OF(bad)])};
        assert_int_equal(client_new(&opts, &client), wrong ? ERR_INVALID : ERR_OK);
        if (!wrong)
            client_free(&client);
    }
    fake_start(&f.fake);
    teardown(&f);
}

/* ---- calls ---- */

static void
on_call(struct client_call *call)
{
    struct fixture *f = call->ctx;
    f->done++;
}

static void
call_node(struct fixture *f, int i, int32_t node_id, int32_t channel)
{
    struct client_call *call = &f->call[i];
    proto_init(&proto_list_groups_request_schema, &f->request);
    call->target = CLIENT_TARGET_NODE;
    call->node_id = node_id;
    call->channel = channel;
    call->key = LIST_GROUPS;
    call->request = &f->request;
    call->done = on_call;
    call->ctx = f;
    client_call_start(f->fake.client, call);
}

static void
call_two(void *ctx)
{
    call_node(ctx, 0, 2, 0);
}

static void
call_nine(void *ctx)
{
    call_node(ctx, 0, 9, 0);
}

static void
call_two_channels(void *ctx)
{
    struct fixture *f = ctx;
    f->channel = client_channel_new(f->fake.client);
    call_node(f, 0, 2, 0);
    call_node(f, 1, 2, f->channel);
}

static void
free_channel(void *ctx)
{
    struct fixture *f = ctx;
    client_channel_free(f->fake.client, f->channel);
}

static void
cancel_first(void *ctx)
{
    struct fixture *f = ctx;
    client_call_cancel(&f->call[0]);
}

static bool
is_done(void *ctx)
{
    return ((struct fixture *)ctx)->done > 0;
}

static void
answer_groups(struct fake_request *request)
{
    struct proto_list_groups_response response;
    proto_init(&proto_list_groups_response_schema, &response);
    fake_reply(request, &response);
}

static void
a_node_nobody_knows_is_not_found(void **state)
{
    static struct fixture f;
    (void)state;
    setup(&f);
    fake_start(&f.fake);
    refresh_once(&f);
    fake_on_loop(&f.fake, call_nine, &f);
    assert_int_equal(f.done, 1);
    assert_int_equal(f.call[0].err, ERR_NOTFOUND);
    teardown(&f);
}

static void
a_call_without_answer_times_out_and_the_next_one_connects_anew(void **state)
{
    static struct fixture f;
    (void)state;
    setup(&f);
    fake_start(&f.fake);
    refresh_once(&f);
    fake_on_loop(&f.fake, call_two, &f);
    struct fake_request *first = fake_expect(&f.fake, LIST_GROUPS);
    assert_int_equal(first->broker, 1);
    int conns = f.fake.conn_count;
    fake_ignore(first);
    fake_until(&f.fake, is_done, &f);
    assert_int_equal(f.call[0].err, ERR_TIMEOUT);
    f.done = 0;
    fake_on_loop(&f.fake, call_two, &f);
    answer_groups(fake_expect(&f.fake, LIST_GROUPS));
    fake_until(&f.fake, is_done, &f);
    assert_int_equal(f.call[0].err, ERR_OK);
    assert_int_equal(f.fake.conn_count, conns + 1);
    teardown(&f);
}

static void
a_broken_connection_ends_its_calls(void **state)
{
    static struct fixture f;
    (void)state;
    setup(&f);
    fake_start(&f.fake);
    refresh_once(&f);
    fake_on_loop(&f.fake, call_two, &f);
    fake_drop(fake_expect(&f.fake, LIST_GROUPS));
    fake_until(&f.fake, is_done, &f);
    assert_int_equal(f.call[0].err, ERR_CLOSED);
    assert_non_null(strstr(client_error_text(f.fake.client), "broker2"));
    teardown(&f);
}

static void
nonsense_as_an_answer_is_an_error_of_the_call(void **state)
{
    static const uint8_t bad[] = {0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x0f};
    static struct fixture f;
    (void)state;
    for (size_t len = 1; len <= sizeof bad; len++) {
        setup(&f);
        fake_start(&f.fake);
        refresh_once(&f);
        fake_on_loop(&f.fake, call_two, &f);
        fake_reply_bytes(fake_expect(&f.fake, LIST_GROUPS), (struct bytes){bad, len});
        fake_until(&f.fake, is_done, &f);
        assert_true(f.call[0].err != ERR_OK || f.call[0].response != NULL);
        if (len == sizeof bad)
            assert_int_not_equal(f.call[0].err, ERR_OK);
        teardown(&f);
    }
}

static void
channels_have_connections_of_their_own(void **state)
{
    static struct fixture f;
    (void)state;
    setup(&f);
    fake_start(&f.fake);
    refresh_once(&f);
    fake_on_loop(&f.fake, call_two_channels, &f);
    struct fake_request *one = fake_expect(&f.fake, LIST_GROUPS);
    struct fake_request *two = fake_expect(&f.fake, LIST_GROUPS);
    assert_int_equal(one->broker, two->broker);
    assert_true(one->conn != two->conn);
    fake_on_loop(&f.fake, free_channel, &f);
    assert_int_equal(f.done, 1);
    assert_int_equal(f.call[1].err, ERR_CANCELED);
    assert_true(f.call[0].active);
    fake_ignore(one);
    fake_ignore(two);
    teardown(&f);
}

static void
a_canceled_call_leaves_the_order_of_answers_whole(void **state)
{
    static struct fixture f;
    (void)state;
    setup(&f);
    fake_start(&f.fake);
    refresh_once(&f);
    fake_on_loop(&f.fake, call_two, &f);
    struct fake_request *first = fake_expect(&f.fake, LIST_GROUPS);
    fake_on_loop(&f.fake, cancel_first, &f);
    assert_int_equal(f.call[0].err, ERR_CANCELED);
    fake_on_loop(&f.fake, call_two, &f);
    struct fake_request *second = fake_expect(&f.fake, LIST_GROUPS);
    assert_true(first->conn == second->conn);
    answer_groups(first);
    sim_run_ms(f.fake.sim, 10);
    assert_int_equal(f.done, 1);
    answer_groups(second);
    sim_run_ms(f.fake.sim, 10);
    assert_int_equal(f.done, 2);
    assert_int_equal(f.call[0].err, ERR_OK);
    teardown(&f);
}

TEST_MAIN(cmocka_unit_test(metadata_names_topics_leaders_and_the_cluster),
    cmocka_unit_test(a_leader_of_an_older_epoch_is_not_taken),
    cmocka_unit_test(refreshes_meanwhile_share_the_next_request),
    cmocka_unit_test(partitions_that_cannot_be_are_refused),
    cmocka_unit_test(the_next_bootstrap_address_is_tried),
    cmocka_unit_test(addresses_without_sense_are_refused),
    cmocka_unit_test(a_node_nobody_knows_is_not_found),
    cmocka_unit_test(a_call_without_answer_times_out_and_the_next_one_connects_anew),
    cmocka_unit_test(a_broken_connection_ends_its_calls),
    cmocka_unit_test(nonsense_as_an_answer_is_an_error_of_the_call),
    cmocka_unit_test(channels_have_connections_of_their_own),
    cmocka_unit_test(a_canceled_call_leaves_the_order_of_answers_whole))
