/* The consumer against a scripted broker: positions, what is handed out, what is dropped. */
#include "tests/lib/test.h"

#include <string.h>

#include "client/consumer_priv.h"
#include "proto/error_codes.h"
#include "proto/fetch_request.h"
#include "proto/fetch_response.h"
#include "tests/unit/client/fake.h"
#include "wire/batch_builder.h"

enum { FETCH = PROTO_FETCH_REQUEST_KEY };

struct fixture {
    struct fake fake;
    struct client_consumer *consumer;
    struct client_consumer_opts opts;
    struct buf records;
    struct client_message message;
    enum err err;
    int64_t offset; /* for assign_zero */
};

static void
setup(struct fixture *f)
{
    memset(f, 0, sizeof *f);
    fake_init(&f->fake, 17);
    fake_add_topic(&f->fake, "t", 2, 2);
    buf_init(&f->records, 1 << 20);
    f->opts = (struct client_consumer_opts){.client = f->fake.client, .check_crcs = true};
}

static void
start(struct fixture *f, int64_t offset)
{
    assert_int_equal(client_consumer_new(&f->opts, &f->consumer), ERR_OK);
    assert_int_equal(client_consumer_assign(f->consumer, STR("t"), 0, offset), ERR_OK);
    fake_start(&f->fake);
}

static void
teardown(struct fixture *f)
{
    fake_stop(&f->fake);
    client_consumer_free(&f->consumer);
    buf_fini(&f->records);
    fake_fini(&f->fake);
}

static void
next(void *ctx)
{
    struct fixture *f = ctx;
    f->err = client_consumer_next(f->consumer, &f->message);
}

/* What the next call gives, without waiting for anything. */
static enum err
take(struct fixture *f)
{
    fake_on_loop(&f->fake, next, f);
    return f->err;
}

static void
expect_offset(struct fixture *f, int64_t offset)
{
    assert_int_equal(take(f), ERR_OK);
    assert_int_equal(f->message.offset, offset);
}

/* A batch with a record of one byte for each offset from `from` on. */
static void
add_batch(struct fixture *f, int64_t from, int count, int64_t producer_id)
{
    struct batch_builder_opts opts = BATCH_BUILDER_OPTS_DEFAULT;
    struct batch_builder builder;
    opts.base_offset = from;
    opts.leader_epoch = 4;
    if (producer_id >= 0) {
        opts.producer_id = producer_id;
        opts.producer_epoch = 0;
        opts.base_sequence = 0;
        opts.transactional = true;
    }
    batch_builder_init(&builder, &opts, &f->records);
    for (int i = 0; i < count; i++) {
        uint8_t value = (uint8_t)(from + i);
        struct batch_builder_record record = {.timestamp = 1000, .value = {&value, 1}};
        batch_builder_append(&builder, &record);
    }
    assert_int_equal(batch_builder_finish(&builder), ERR_OK);
}

static void
add_marker(struct fixture *f, int64_t offset, int64_t producer_id, enum batch_control_type type)
{
    struct batch_marker_opts opts = {.type = type,
        .base_offset = offset,
        .producer_id = producer_id,
        .timestamp_ms = 1000,
        .leader_epoch = 4};
    assert_int_equal(batch_build_marker(&opts, &f->records), ERR_OK);
}

struct answer {
    int16_t code;
    int64_t end;
    int64_t aborted_id, aborted_from; /* id 0: none */
};

/* What is in f->records, for partition 0. */
static void
answer_fetch(struct fixture *f, int64_t want_offset, const struct answer *a)
{
    struct fake_request *request = fake_expect(&f->fake, FETCH);
    const struct proto_fetch_request *message = request->message;
    struct proto_fetch_response response;
    struct proto_fetch_response_fetchable_topic_response topic;
    struct proto_fetch_response_partition_data part;
    struct proto_fetch_response_aborted_transaction aborted = {a->aborted_id, a->aborted_from};
    assert_int_equal(message->topics.items[0].partitions.items[0].fetch_offset, want_offset);
    proto_init(&proto_fetch_response_schema, &response);
    proto_init(&proto_fetch_response_fetchable_topic_response_schema, &topic);
    proto_init(&proto_fetch_response_partition_data_schema, &part);
    topic.topic = STR("t");
    topic.partitions.items = &part;
    topic.partitions.count = 1;
    part.error_code = a->code;
    part.high_watermark = a->end;
    part.last_stable_offset = a->end;
    part.aborted_transactions.items = &aborted;
    part.aborted_transactions.count = a->aborted_id != 0;
    part.records.bytes = buf_bytes(&f->records);
    response.responses.items = &topic;
    response.responses.count = 1;
    fake_reply(request, &response);
    buf_clear(&f->records);
    sim_run_ms(f->fake.sim, 10);
}

static void
records_come_in_order_from_the_position_on(void **state)
{
    static struct fixture f;
    int64_t position;
    (void)state;
    setup(&f);
    start(&f, 5);
    assert_int_equal(take(&f), ERR_AGAIN);
    add_batch(&f, 3, 4, -1); /* 3 and 4 were read before */
    add_batch(&f, 10, 1, -1);
    answer_fetch(&f, 5, &(struct answer){.end = 11});
    assert_false(client_consumer_at_end(f.consumer));
    expect_offset(&f, 5);
    assert_int_equal(f.message.leader_epoch, 4);
    assert_int_equal(f.message.value.data[0], 5);
    const struct consumer_part *part = consumer_find(f.consumer, STR("t"), 0);
    assert_true(client_consumer_position(f.consumer, STR("t"), 0, &position));
    assert_int_equal(position, 6);
    assert_int_equal(consumer_finished(part), 5); /* its reader is still at it */
    expect_offset(&f, 6);
    assert_int_equal(consumer_finished(part), 6);
    expect_offset(&f, 10);
    assert_int_equal(take(&f), ERR_AGAIN);
    assert_int_equal(consumer_finished(part), 11);
    assert_true(client_consumer_at_end(f.consumer));
    fake_ignore(fake_expect(&f.fake, FETCH));
    teardown(&f);
}

static void
aborted_records_and_markers_are_not_handed_out(void **state)
{
    static struct fixture f;
    (void)state;
    setup(&f);
    f.opts.read_committed = true;
    start(&f, 0);
    assert_int_equal(take(&f), ERR_AGAIN);
    add_batch(&f, 0, 1, 9); /* aborted */
    add_batch(&f, 1, 1, 8); /* committed */
    add_marker(&f, 2, 9, BATCH_CONTROL_ABORT);
    add_batch(&f, 3, 1, 9); /* the same producer's next transaction */
    add_marker(&f, 4, 8, BATCH_CONTROL_COMMIT);
    add_marker(&f, 5, 9, BATCH_CONTROL_COMMIT);
    answer_fetch(&f, 0, &(struct answer){.end = 6, .aborted_id = 9, .aborted_from = 0});
    expect_offset(&f, 1);
    expect_offset(&f, 3);
    assert_int_equal(take(&f), ERR_AGAIN);
    assert_true(client_consumer_at_end(f.consumer)); /* past the markers */
    fake_ignore(fake_expect(&f.fake, FETCH));
    teardown(&f);
}

static void
assign_zero(void *ctx)
{
    struct fixture *f = ctx;
    assert_int_equal(client_consumer_assign(f->consumer, STR("t"), 0, f->offset), ERR_OK);
}

static void
unassign_zero(void *ctx)
{
    struct fixture *f = ctx;
    client_consumer_unassign(f->consumer, STR("t"), 0);
}

static void
an_answer_for_another_position_is_dropped(void **state)
{
    static struct fixture f;
    (void)state;
    setup(&f);
    start(&f, 100);
    assert_int_equal(take(&f), ERR_AGAIN);
    struct fake_request *old = fake_expect(&f.fake, FETCH);
    f.offset = 5;
    fake_on_loop(&f.fake, assign_zero, &f);
    list_push(&f.fake.held, &old->link);
    add_batch(&f, 100, 3, -1);
    answer_fetch(&f, 100, &(struct answer){.end = 103});
    assert_int_equal(take(&f), ERR_AGAIN);
    add_batch(&f, 5, 1, -1);
    answer_fetch(&f, 5, &(struct answer){.end = 103});
    expect_offset(&f, 5);
    teardown(&f);
}

static void
a_partition_may_go_while_its_answer_is_on_its_way(void **state)
{
    static struct fixture f;
    (void)state;
    setup(&f);
    start(&f, 0);
    assert_int_equal(take(&f), ERR_AGAIN);
    struct fake_request *old = fake_expect(&f.fake, FETCH);
    fake_on_loop(&f.fake, unassign_zero, &f);
    list_push(&f.fake.held, &old->link);
    add_batch(&f, 0, 1, -1);
    answer_fetch(&f, 0, &(struct answer){.end = 1});
    assert_int_equal(take(&f), ERR_AGAIN);
    fake_expect_none(&f.fake, FETCH, 1000);
    teardown(&f);
}

static void
a_position_out_of_range_starts_over_or_stops(void **state)
{
    static struct fixture f;
    (void)state;
    for (int policy = 0; policy < 2; policy++) {
        setup(&f);
        f.fake.start_offset = 40;
        f.opts.reset = policy == 0 ? CLIENT_OFFSET_EARLIEST : 0;
        start(&f, 5);
        assert_int_equal(take(&f), ERR_AGAIN);
        answer_fetch(&f, 5, &(struct answer){.code = PROTO_ERROR_OFFSET_OUT_OF_RANGE, .end = -1});
        if (policy == 0) {
            add_batch(&f, 40, 1, -1);
            answer_fetch(&f, 40, &(struct answer){.end = 41});
            expect_offset(&f, 40);
        } else {
            assert_int_equal(take(&f), ERR_FAILED);
            assert_int_equal(
                client_consumer_error_code(f.consumer), PROTO_ERROR_OFFSET_OUT_OF_RANGE);
            assert_non_null(strstr(client_consumer_error(f.consumer), "t [0] at offset 5"));
            assert_int_equal(take(&f), ERR_AGAIN); /* told once */
        }
        teardown(&f);
    }
}

/* Otherwise it would wait at the broker for the idle one, and the other could not go on. */
static void
nothing_is_asked_for_while_something_is_there(void **state)
{
    static struct fixture f;
    (void)state;
    setup(&f);
    start(&f, 0);
    assert_int_equal(client_consumer_assign(f.consumer, STR("t"), 1, 7), ERR_OK);
    assert_int_equal(take(&f), ERR_AGAIN);
    struct fake_request *request = fake_expect(&f.fake, FETCH);
    const struct proto_fetch_request *message = request->message;
    assert_int_equal(message->topics.count, 2);
    assert_int_equal(message->max_wait_ms, 0); /* the ends are not known yet */
    list_push(&f.fake.held, &request->link);
    add_batch(&f, 0, 2, -1);
    answer_fetch(&f, 0, &(struct answer){.end = 2});
    fake_expect_none(&f.fake, FETCH, 1000);
    expect_offset(&f, 0);
    fake_expect_none(&f.fake, FETCH, 1000);
    expect_offset(&f, 1);
    assert_int_equal(take(&f), ERR_AGAIN);
    request = fake_expect(&f.fake, FETCH);
    message = request->message;
    assert_int_equal(message->topics.count, 2);
    fake_ignore(request);
    teardown(&f);
}

static void
a_leader_that_moved_is_followed(void **state)
{
    static struct fixture f;
    (void)state;
    setup(&f);
    start(&f, 0);
    assert_int_equal(take(&f), ERR_AGAIN);
    struct fake_request *first = fake_expect(&f.fake, FETCH);
    assert_int_equal(first->broker, 1);
    f.fake.topics[0].leader = 1;
    f.fake.leader_epoch = 2;
    fake_drop(first);
    struct fake_request *second = fake_expect(&f.fake, FETCH);
    assert_int_equal(second->broker, 0);
    fake_ignore(second);
    teardown(&f);
}

static void
a_damaged_batch_stops_its_partition(void **state)
{
    static struct fixture f;
    (void)state;
    setup(&f);
    start(&f, 0);
    assert_int_equal(take(&f), ERR_AGAIN);
    add_batch(&f, 0, 1, -1);
    f.records.data[f.records.len - 1] ^= 1;
    answer_fetch(&f, 0, &(struct answer){.end = 1});
    assert_int_equal(take(&f), ERR_CORRUPT);
    fake_expect_none(&f.fake, FETCH, 1000);
    teardown(&f);
}

static void
a_batch_cut_off_at_the_end_is_fetched_again(void **state)
{
    static struct fixture f;
    (void)state;
    setup(&f);
    start(&f, 0);
    assert_int_equal(take(&f), ERR_AGAIN);
    add_batch(&f, 0, 1, -1);
    add_batch(&f, 1, 1, -1);
    f.records.len -= 5;
    answer_fetch(&f, 0, &(struct answer){.end = 2});
    expect_offset(&f, 0);
    assert_int_equal(take(&f), ERR_AGAIN);
    add_batch(&f, 1, 1, -1);
    answer_fetch(&f, 1, &(struct answer){.end = 2});
    expect_offset(&f, 1);
    teardown(&f);
}

TEST_MAIN(cmocka_unit_test(records_come_in_order_from_the_position_on),
    cmocka_unit_test(aborted_records_and_markers_are_not_handed_out),
    cmocka_unit_test(an_answer_for_another_position_is_dropped),
    cmocka_unit_test(a_partition_may_go_while_its_answer_is_on_its_way),
    cmocka_unit_test(a_position_out_of_range_starts_over_or_stops),
    cmocka_unit_test(nothing_is_asked_for_while_something_is_there),
    cmocka_unit_test(a_leader_that_moved_is_followed),
    cmocka_unit_test(a_damaged_batch_stops_its_partition),
    cmocka_unit_test(a_batch_cut_off_at_the_end_is_fetched_again))
