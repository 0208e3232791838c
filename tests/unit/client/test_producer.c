/* The producer against a scripted broker: order, sequences, retries, and each record's fate. */
#include "tests/lib/test.h"

#include <string.h>

#include "client/producer.h"
#include "proto/error_codes.h"
#include "proto/init_producer_id_request.h"
#include "proto/init_producer_id_response.h"
#include "proto/produce_request.h"
#include "proto/produce_response.h"
#include "tests/unit/client/fake.h"

enum {
    INIT = PROTO_INIT_PRODUCER_ID_REQUEST_KEY,
    PRODUCE = PROTO_PRODUCE_REQUEST_KEY,
    TOLD_MAX = 16
};

struct fixture {
    struct fake fake;
    struct client_producer *producer;
    struct client_producer_opts opts;
    struct client_delivery told[TOLD_MAX];
    int told_count;
    int64_t next; /* number of the next record, its opaque and value */
    enum err err;
};

static void
on_delivery(void *ctx, const struct client_delivery *delivery)
{
    struct fixture *f = ctx;
    assert_true(f->told_count < TOLD_MAX);
    f->told[f->told_count++] = *delivery;
}

static void
setup(struct fixture *f, bool idempotent)
{
    memset(f, 0, sizeof *f);
    fake_init(&f->fake, 11);
    fake_add_topic(&f->fake, "t", 2, 2);
    f->opts = (struct client_producer_opts){
        .client = f->fake.client,
        .acks = -1,
        .idempotent = idempotent,
        .codec = COMPRESS_NONE,
        .level = COMPRESS_LEVEL_DEFAULT,
        .on_delivery = on_delivery,
        .ctx = f,
    };
}

static void
start(struct fixture *f)
{
    assert_int_equal(client_producer_new(&f->opts, &f->producer), ERR_OK);
    fake_start(&f->fake);
}

static void
teardown(struct fixture *f)
{
    fake_stop(&f->fake);
    client_producer_free(&f->producer);
    fake_fini(&f->fake);
}

static void
send_next(void *ctx)
{
    struct fixture *f = ctx;
    uint8_t value = (uint8_t)f->next;
    struct client_record record = {
        .topic = STR("t"),
        .partition = 0,
        .timestamp = -1,
        .value = {&value, 1},
        .opaque = (void *)(uintptr_t)f->next,
    };
    f->err = client_producer_send(f->producer, &record);
    if (f->err == ERR_OK)
        f->next++;
}

/* Each in a turn of its own, and so in a batch of its own when nothing lingers. */
static void
send_one(struct fixture *f)
{
    do {
        fake_on_loop(&f->fake, send_next, f);
        if (f->err == ERR_AGAIN)
            sim_run_ms(f->fake.sim, 5);
    } while (f->err == ERR_AGAIN);
    assert_int_equal(f->err, ERR_OK);
    sim_run_ms(f->fake.sim, 5);
}

static void
give_producer_id(struct fixture *f)
{
    struct proto_init_producer_id_response response;
    proto_init(&proto_init_producer_id_response_schema, &response);
    response.producer_id = 77;
    response.producer_epoch = 3;
    fake_reply(fake_expect(&f->fake, INIT), &response);
}

static void
batch_of(const struct fake_request *request, struct batch_view *out)
{
    const struct proto_produce_request *message = request->message;
    assert_int_equal(message->topic_data.count, 1);
    assert_int_equal(message->topic_data.items[0].partition_data.count, 1);
    assert_int_equal(
        batch_parse(message->topic_data.items[0].partition_data.items[0].records.bytes, out),
        ERR_OK);
    assert_true(batch_crc_ok(out));
}

static int32_t
sequence_of(const struct fake_request *request)
{
    struct batch_view batch;
    batch_of(request, &batch);
    return batch.base_sequence;
}

static void
answer(struct fake_request *request, int16_t code, int64_t base_offset)
{
    const struct proto_produce_request *message = request->message;
    struct proto_produce_response response;
    struct proto_produce_response_topic_produce_response topic;
    struct proto_produce_response_partition_produce_response part;
    proto_init(&proto_produce_response_schema, &response);
    proto_init(&proto_produce_response_topic_produce_response_schema, &topic);
    proto_init(&proto_produce_response_partition_produce_response_schema, &part);
    topic.name = message->topic_data.items[0].name;
    topic.topic_id = message->topic_data.items[0].topic_id;
    part.index = message->topic_data.items[0].partition_data.items[0].index;
    part.error_code = code;
    part.base_offset = base_offset;
    topic.partition_responses.items = &part;
    topic.partition_responses.count = 1;
    response.responses.items = &topic;
    response.responses.count = 1;
    fake_reply(request, &response);
}

static void
expect_told(const struct fixture *f, int i, int64_t number, int16_t code, int64_t offset)
{
    assert_true(i < f->told_count);
    assert_int_equal((int64_t)(uintptr_t)f->told[i].opaque, number);
    assert_int_equal(f->told[i].error_code, code);
    if (code == 0)
        assert_int_equal(f->told[i].offset, offset);
}

static void
records_go_with_producer_id_epoch_and_sequences(void **state)
{
    static struct fixture f;
    struct batch_view batch;
    (void)state;
    setup(&f, true);
    start(&f);
    send_one(&f);
    give_producer_id(&f);
    struct fake_request *request = fake_expect(&f.fake, PRODUCE);
    assert_int_equal(request->broker, 1);
    batch_of(request, &batch);
    assert_int_equal(batch.producer_id, 77);
    assert_int_equal(batch.producer_epoch, 3);
    assert_int_equal(batch.base_sequence, 0);
    assert_int_equal(batch.record_count, 1);
    answer(request, 0, 100);
    sim_run_ms(f.fake.sim, 10);
    assert_int_equal(f.told_count, 1);
    expect_told(&f, 0, 0, 0, 100);
    assert_int_equal(client_producer_outstanding(f.producer), 0);
    send_one(&f);
    request = fake_expect(&f.fake, PRODUCE);
    assert_int_equal(sequence_of(request), 1);
    fake_ignore(request);
    teardown(&f);
    assert_int_equal(f.told_count, 2); /* freed: its fate is told */
    assert_int_equal(f.told[1].err, ERR_CANCELED);
}

/* Three on their way; the first is refused, and so are those behind it: all come again one at a
 * time, in order. */
static void
a_retry_overtakes_nothing(void **state)
{
    static struct fixture f;
    struct fake_request *requests[3];
    (void)state;
    setup(&f, true);
    start(&f);
    send_one(&f);
    give_producer_id(&f);
    requests[0] = fake_expect(&f.fake, PRODUCE);
    for (int i = 1; i < 3; i++) {
        send_one(&f);
        requests[i] = fake_expect(&f.fake, PRODUCE);
        assert_int_equal(sequence_of(requests[i]), i);
    }
    answer(requests[0], PROTO_ERROR_NOT_ENOUGH_REPLICAS, -1);
    answer(requests[1], PROTO_ERROR_OUT_OF_ORDER_SEQUENCE_NUMBER, -1);
    answer(requests[2], PROTO_ERROR_OUT_OF_ORDER_SEQUENCE_NUMBER, -1);
    for (int i = 0; i < 3; i++) {
        struct fake_request *again = fake_expect(&f.fake, PRODUCE);
        assert_int_equal(sequence_of(again), i);
        if (i == 0)
            fake_expect_none(&f.fake, PRODUCE, 300);
        answer(again, 0, 10 + i);
    }
    sim_run_ms(f.fake.sim, 10);
    assert_int_equal(f.told_count, 3);
    for (int i = 0; i < 3; i++)
        expect_told(&f, i, i, 0, 10 + i);
    teardown(&f);
}

static void
a_broken_connection_sends_all_again_in_order(void **state)
{
    static struct fixture f;
    struct fake_request *requests[3];
    (void)state;
    setup(&f, true);
    start(&f);
    send_one(&f);
    give_producer_id(&f);
    requests[0] = fake_expect(&f.fake, PRODUCE);
    for (int i = 1; i < 3; i++) {
        send_one(&f);
        requests[i] = fake_expect(&f.fake, PRODUCE);
    }
    fake_ignore(requests[1]);
    fake_ignore(requests[2]);
    fake_drop(requests[0]);
    for (int i = 0; i < 3; i++) {
        struct fake_request *again = fake_expect(&f.fake, PRODUCE);
        assert_int_equal(sequence_of(again), i);
        answer(again, i == 0 ? PROTO_ERROR_DUPLICATE_SEQUENCE_NUMBER : 0, 10 + i);
    }
    sim_run_ms(f.fake.sim, 10);
    assert_int_equal(f.told_count, 3);
    for (int i = 0; i < 3; i++)
        assert_int_equal(f.told[i].error_code, 0);
    teardown(&f);
}

static void
a_leader_that_moved_is_followed(void **state)
{
    static struct fixture f;
    (void)state;
    setup(&f, false);
    start(&f);
    send_one(&f);
    struct fake_request *request = fake_expect(&f.fake, PRODUCE);
    assert_int_equal(request->broker, 1);
    f.fake.topics[0].leader = 1;
    f.fake.leader_epoch = 2;
    answer(request, PROTO_ERROR_NOT_LEADER_OR_FOLLOWER, -1);
    request = fake_expect(&f.fake, PRODUCE);
    assert_int_equal(request->broker, 0);
    answer(request, 0, 5);
    sim_run_ms(f.fake.sim, 10);
    expect_told(&f, 0, 0, 0, 5);
    teardown(&f);
}

static void
what_does_not_pass_is_told_at_once(void **state)
{
    static const int16_t codes[] = {PROTO_ERROR_MESSAGE_TOO_LARGE,
        PROTO_ERROR_TOPIC_AUTHORIZATION_FAILED, PROTO_ERROR_INVALID_RECORD};
    static struct fixture f;
    (void)state;
    for (size_t i = 0; i < COUNT_OF(codes); i++) {
        setup(&f, false);
        start(&f);
        send_one(&f);
        answer(fake_expect(&f.fake, PRODUCE), codes[i], -1);
        sim_run_ms(f.fake.sim, 10);
        assert_int_equal(f.told_count, 1);
        expect_told(&f, 0, 0, codes[i], -1);
        fake_expect_none(&f.fake, PRODUCE, 1000);
        teardown(&f);
    }
}

static void
retries_end_with_the_delivery_timeout(void **state)
{
    static struct fixture f;
    (void)state;
    setup(&f, false);
    f.opts.delivery_timeout_ms = 1000;
    start(&f);
    send_one(&f);
    for (int i = 0; i < 5; i++)
        answer(fake_expect(&f.fake, PRODUCE), PROTO_ERROR_NOT_ENOUGH_REPLICAS, -1);
    sim_run_ms(f.fake.sim, 10);
    assert_int_equal(f.told_count, 0);
    fake_ignore(fake_expect(&f.fake, PRODUCE));
    sim_run_ms(f.fake.sim, 60000);
    assert_int_equal(f.told_count, 1);
    assert_int_equal(f.told[0].err, ERR_TIMEOUT);
    teardown(&f);
}

static void
a_topic_or_partition_that_is_not_there_is_refused(void **state)
{
    static struct fixture f;
    (void)state;
    setup(&f, false);
    f.fake.topics[0].partition_count = 0;
    f.fake.topics[0].error_code = PROTO_ERROR_TOPIC_AUTHORIZATION_FAILED;
    start(&f);
    do {
        fake_on_loop(&f.fake, send_next, &f);
        sim_run_ms(f.fake.sim, 5);
    } while (f.err == ERR_AGAIN);
    assert_true(f.err != ERR_OK);
    assert_int_equal(client_producer_outstanding(f.producer), 0);
    teardown(&f);
}

TEST_MAIN(cmocka_unit_test(records_go_with_producer_id_epoch_and_sequences),
    cmocka_unit_test(a_retry_overtakes_nothing),
    cmocka_unit_test(a_broken_connection_sends_all_again_in_order),
    cmocka_unit_test(a_leader_that_moved_is_followed),
    cmocka_unit_test(what_does_not_pass_is_told_at_once),
    cmocka_unit_test(retries_end_with_the_delivery_timeout),
    cmocka_unit_test(a_topic_or_partition_that_is_not_there_is_refused))
