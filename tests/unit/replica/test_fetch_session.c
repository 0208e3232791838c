#include "tests/lib/test.h"

#include "os/sim.h"
#include "replica/fetch_session_priv.h"

struct fixture {
    struct sim *sim;
    struct sim_host *host;
    struct env *env;
    struct replica_fetch_sessions *sessions;
    struct arena arena;
    struct replica_fetch_item items[64];
    int32_t item_count;
    struct replica_fetch_forget forgets[16];
    int32_t forget_count;
    struct str known_name; /* what resolve answers */
};

static void
fixture_open(struct fixture *f, int32_t slots, int32_t shards)
{
    const struct sim_opts opts = {.seed = 7, .level_min = DIAG_ERROR};
    struct replica_fetch_sessions_opts sessions = {
        .slots = slots, .shards = shards, .eviction_ms = 120000};

    memset(f, 0, sizeof *f);
    assert_int_equal(sim_new(&opts, &f->sim), ERR_OK);
    assert_int_equal(sim_host_new(f->sim, "h", "10.0.0.1", &f->host), ERR_OK);
    assert_int_equal(sim_host_boot(f->host, &f->env), ERR_OK);
    sessions.env = f->env;
    assert_int_equal(replica_fetch_sessions_new(&sessions, &f->sessions), ERR_OK);
    arena_init(&f->arena, 1 << 24);
}

static void
fixture_close(struct fixture *f)
{
    replica_fetch_sessions_free(&f->sessions);
    arena_fini(&f->arena);
    env_free(&f->env);
    sim_free(&f->sim);
}

static void
ask_part(struct fixture *f, const char *topic, int32_t partition, int64_t offset)
{
    f->items[f->item_count++] = (struct replica_fetch_item){
        .topic = str_of(topic),
        .partition = partition,
        .offset = offset,
        .leader_epoch = -1,
        .last_fetched_epoch = -1,
        .log_start_offset = -1,
        .max_bytes = 1000,
    };
}

static void
forget_part(struct fixture *f, const char *topic, int32_t partition)
{
    f->forgets[f->forget_count++] =
        (struct replica_fetch_forget){.topic = str_of(topic), .partition = partition};
}

static struct str
resolve(void *ctx, struct uuid id)
{
    struct fixture *f = ctx;

    (void)id;
    return f->known_name;
}

static enum proto_error
begin_as(struct fixture *f, int32_t id, int32_t epoch, int16_t version, bool follower,
    struct replica_fetch_context *context)
{
    struct replica_fetch_ask ask = {
        .session_id = id,
        .session_epoch = epoch,
        .version = version,
        .follower = follower,
        .items = f->items,
        .item_count = f->item_count,
        .forgets = f->forgets,
        .forget_count = f->forget_count,
        .resolve = resolve,
        .resolve_ctx = f,
    };
    enum proto_error error = replica_fetch_begin(f->sessions, &ask, &f->arena, context);

    f->item_count = 0;
    f->forget_count = 0;
    return error;
}

static enum proto_error
begin(struct fixture *f, int32_t id, int32_t epoch, struct replica_fetch_context *context)
{
    return begin_as(f, id, epoch, 12, false, context);
}

/* Every partition answers: high watermark 100, log start 0, no records. */
static void
answer_empty(struct replica_fetch_context *context)
{
    for (int32_t i = 0; i < context->item_count; i++) {
        context->items[i].high_watermark = 100;
        context->items[i].answer_log_start_offset = 0;
        context->items[i].records_bytes = 0;
        context->items[i].error = PROTO_ERROR_NONE;
        context->items[i].must_answer = false;
    }
}

static int32_t
finish(struct fixture *f, struct replica_fetch_context *context)
{
    int32_t id = -1;

    assert_int_equal(replica_fetch_finish(f->sessions, context, &id), PROTO_ERROR_NONE);
    return id;
}

/* A session of topic "t", partitions 0 .. count-1. */
static int32_t
open_session(struct fixture *f, int32_t count, bool follower)
{
    struct replica_fetch_context context;

    for (int32_t i = 0; i < count; i++)
        ask_part(f, "t", i, 10 * i);
    assert_int_equal(begin_as(f, 0, 0, 12, follower, &context), PROTO_ERROR_NONE);
    answer_empty(&context);
    return finish(f, &context);
}

static int32_t
touch_session(struct fixture *f, int32_t id, int32_t epoch)
{
    struct replica_fetch_context context;
    enum proto_error error = begin(f, id, epoch, &context);

    if (error == PROTO_ERROR_NONE) {
        answer_empty(&context);
        finish(f, &context);
    }
    return error;
}

static void
full_fetch_gets_a_session_and_all_partitions(void **state)
{
    struct fixture f;
    struct replica_fetch_context context;

    (void)state;
    fixture_open(&f, 10, 1);
    ask_part(&f, "a", 0, 5);
    ask_part(&f, "b", 3, 6);
    assert_int_equal(begin(&f, 0, 0, &context), PROTO_ERROR_NONE);
    assert_int_equal(context.kind, REPLICA_FETCH_FULL);
    assert_int_equal(context.item_count, 2);
    answer_empty(&context);
    assert_true(finish(&f, &context) > 0);
    assert_true(context.items[0].must_answer);
    assert_true(context.items[1].must_answer);
    assert_int_equal(replica_fetch_sessions_count(f.sessions), 1);
    assert_int_equal(replica_fetch_sessions_partition_count(f.sessions), 2);
    fixture_close(&f);
}

static void
final_epoch_is_sessionless_and_closes_the_named_session(void **state)
{
    struct fixture f;
    struct replica_fetch_context context;
    int32_t id;

    (void)state;
    fixture_open(&f, 10, 8);
    id = open_session(&f, 0, false);
    id = open_session(&f, 2, false);
    ask_part(&f, "t", 0, 0);
    assert_int_equal(begin(&f, id, -1, &context), PROTO_ERROR_NONE);
    assert_int_equal(context.kind, REPLICA_FETCH_SESSIONLESS);
    answer_empty(&context);
    assert_int_equal(finish(&f, &context), 0);
    assert_true(context.items[0].must_answer);
    assert_int_equal(touch_session(&f, id, 1), PROTO_ERROR_FETCH_SESSION_ID_NOT_FOUND);
    fixture_close(&f);
}

static void
full_fetch_naming_a_session_replaces_it(void **state)
{
    struct fixture f;
    struct replica_fetch_context context;
    int32_t id, second;

    (void)state;
    fixture_open(&f, 10, 1);
    id = open_session(&f, 1, false);
    ask_part(&f, "t", 0, 0);
    assert_int_equal(begin(&f, id, 0, &context), PROTO_ERROR_NONE);
    answer_empty(&context);
    second = finish(&f, &context);
    assert_true(second > 0);
    assert_int_equal(replica_fetch_sessions_count(f.sessions), 1);
    assert_int_equal(touch_session(&f, second, 1), PROTO_ERROR_NONE);
    fixture_close(&f);
}

static void
incremental_answer_holds_only_what_changed(void **state)
{
    struct fixture f;
    struct replica_fetch_context context;
    int32_t id;

    (void)state;
    fixture_open(&f, 10, 1);
    id = open_session(&f, 6, false);
    assert_int_equal(begin(&f, id, 1, &context), PROTO_ERROR_NONE);
    assert_int_equal(context.kind, REPLICA_FETCH_INCREMENTAL);
    assert_int_equal(context.item_count, 6);
    assert_int_equal(context.items[3].offset, 30);
    answer_empty(&context);
    context.items[1].high_watermark = 101;
    context.items[2].answer_log_start_offset = 1;
    context.items[3].records_bytes = 9;
    context.items[4].error = PROTO_ERROR_NOT_LEADER_OR_FOLLOWER;
    context.items[4].high_watermark = -1;
    context.items[4].answer_log_start_offset = -1;
    context.items[5].must_answer = true; /* diverging */
    assert_int_equal(finish(&f, &context), id);
    assert_false(context.items[0].must_answer);
    for (int i = 1; i < 6; i++)
        assert_true(context.items[i].must_answer);

    /* What had an error is told again once it is well; the rest is quiet. */
    assert_int_equal(begin(&f, id, 2, &context), PROTO_ERROR_NONE);
    answer_empty(&context);
    for (int i = 0; i < 6; i++) {
        if (context.items[i].partition == 1)
            context.items[i].high_watermark = 101;
        if (context.items[i].partition == 2)
            context.items[i].answer_log_start_offset = 1;
    }
    finish(&f, &context);
    for (int i = 0; i < 6; i++)
        assert_int_equal(context.items[i].must_answer, context.items[i].partition == 4);
    fixture_close(&f);
}

static void
partitions_with_data_go_to_the_end_of_the_order(void **state)
{
    struct fixture f;
    struct replica_fetch_context context;
    const int32_t expected[] = {1, 3, 0, 2};
    int32_t id;

    (void)state;
    fixture_open(&f, 10, 1);
    id = open_session(&f, 4, false);
    assert_int_equal(begin(&f, id, 1, &context), PROTO_ERROR_NONE);
    answer_empty(&context);
    context.items[0].records_bytes = 1;
    context.items[2].records_bytes = 1;
    finish(&f, &context);
    assert_int_equal(begin(&f, id, 2, &context), PROTO_ERROR_NONE);
    for (int i = 0; i < 4; i++)
        assert_int_equal(context.items[i].partition, expected[i]);
    replica_fetch_abort(f.sessions, &context);
    fixture_close(&f);
}

static void
incremental_adds_updates_and_forgets(void **state)
{
    struct fixture f;
    struct replica_fetch_context context;
    int32_t id;

    (void)state;
    fixture_open(&f, 10, 1);
    id = open_session(&f, 3, false);
    ask_part(&f, "t", 1, 77);
    ask_part(&f, "u", 0, 5);
    forget_part(&f, "t", 0);
    forget_part(&f, "nobody", 0);
    assert_int_equal(begin(&f, id, 1, &context), PROTO_ERROR_NONE);
    assert_int_equal(context.item_count, 3);
    assert_int_equal(context.items[0].partition, 1);
    assert_int_equal(context.items[0].offset, 77);
    assert_int_equal(context.items[1].partition, 2);
    assert_true(str_eq_z(context.items[2].topic, "u"));
    answer_empty(&context);
    finish(&f, &context);
    assert_false(context.items[0].must_answer);
    assert_true(context.items[2].must_answer); /* new */
    assert_int_equal(replica_fetch_sessions_partition_count(f.sessions), 3);
    fixture_close(&f);
}

static void
session_without_partitions_is_closed(void **state)
{
    struct fixture f;
    struct replica_fetch_context context;
    int32_t id;

    (void)state;
    fixture_open(&f, 10, 1);
    id = open_session(&f, 1, false);
    forget_part(&f, "t", 0);
    assert_int_equal(begin(&f, id, 1, &context), PROTO_ERROR_NONE);
    assert_int_equal(context.kind, REPLICA_FETCH_SESSIONLESS);
    assert_int_equal(finish(&f, &context), 0);
    assert_int_equal(replica_fetch_sessions_count(f.sessions), 0);
    fixture_close(&f);
}

static void
every_session_error(void **state)
{
    struct fixture f;
    struct replica_fetch_context context;
    int32_t id;

    (void)state;
    fixture_open(&f, 10, 8);
    id = open_session(&f, 1, false);
    assert_int_equal(touch_session(&f, id == 5 ? 6 : 5, 1), PROTO_ERROR_FETCH_SESSION_ID_NOT_FOUND);
    assert_int_equal(touch_session(&f, -5, 1), PROTO_ERROR_FETCH_SESSION_ID_NOT_FOUND);
    assert_int_equal(touch_session(&f, INT32_MAX, 1), PROTO_ERROR_FETCH_SESSION_ID_NOT_FOUND);
    assert_int_equal(touch_session(&f, 0, 1), PROTO_ERROR_FETCH_SESSION_ID_NOT_FOUND);
    assert_int_equal(touch_session(&f, id, 2), PROTO_ERROR_INVALID_FETCH_SESSION_EPOCH);
    assert_int_equal(touch_session(&f, id, -2), PROTO_ERROR_INVALID_FETCH_SESSION_EPOCH);
    assert_int_equal(
        begin_as(&f, id, 1, 13, false, &context), PROTO_ERROR_FETCH_SESSION_TOPIC_ID_ERROR);
    /* None of these harmed it. */
    assert_int_equal(touch_session(&f, id, 1), PROTO_ERROR_NONE);
    assert_int_equal(touch_session(&f, id, 1), PROTO_ERROR_INVALID_FETCH_SESSION_EPOCH);
    fixture_close(&f);
}

static void
finish_after_another_request_moved_the_session_is_an_epoch_error(void **state)
{
    struct fixture f;
    struct replica_fetch_context slow, fast;
    int32_t id, answered;

    (void)state;
    fixture_open(&f, 10, 1);
    id = open_session(&f, 2, false);
    assert_int_equal(begin(&f, id, 1, &slow), PROTO_ERROR_NONE);
    forget_part(&f, "t", 0);
    assert_int_equal(begin(&f, id, 2, &fast), PROTO_ERROR_NONE);
    answer_empty(&slow);
    assert_int_equal(replica_fetch_finish(f.sessions, &slow, &answered),
        PROTO_ERROR_INVALID_FETCH_SESSION_EPOCH);
    answer_empty(&fast);
    assert_int_equal(finish(&f, &fast), id);
    fixture_close(&f);
}

static void
a_skipped_answer_is_given_by_the_next_fetch(void **state)
{
    struct fixture f;
    struct replica_fetch_context context, late;
    int32_t id, answered = -1;

    (void)state;
    fixture_open(&f, 10, 1);
    /* No session is made of an answer that was not given. */
    ask_part(&f, "t", 0, 5);
    assert_int_equal(begin(&f, 0, 0, &context), PROTO_ERROR_NONE);
    answer_empty(&context);
    assert_int_equal(replica_fetch_skip(f.sessions, &context, &answered), PROTO_ERROR_NONE);
    assert_int_equal(answered, REPLICA_SESSION_ID_NONE);
    assert_int_equal(replica_fetch_sessions_count(f.sessions), 0);

    id = open_session(&f, 2, false);
    for (int32_t epoch = 1; epoch < 3; epoch++) {
        assert_int_equal(begin(&f, id, epoch, &context), PROTO_ERROR_NONE);
        answer_empty(&context);
        context.items[1].records_bytes = 7;
        if (epoch == 1)
            assert_int_equal(replica_fetch_skip(f.sessions, &context, &answered), PROTO_ERROR_NONE);
        else
            answered = finish(&f, &context);
        assert_int_equal(answered, id);
    }
    assert_int_equal(context.items[1].partition, 1); /* still the second: nothing was noted */
    assert_true(context.items[1].must_answer);

    assert_int_equal(begin(&f, id, 3, &late), PROTO_ERROR_NONE);
    assert_int_equal(begin(&f, id, 4, &context), PROTO_ERROR_NONE);
    assert_int_equal(
        replica_fetch_skip(f.sessions, &late, &answered), PROTO_ERROR_INVALID_FETCH_SESSION_EPOCH);
    assert_int_equal(replica_fetch_skip(f.sessions, &context, &answered), PROTO_ERROR_NONE);
    fixture_close(&f);
}

static void
session_closed_while_a_fetch_is_under_way_stays_valid_memory(void **state)
{
    struct fixture f;
    struct replica_fetch_context context, closing;
    int32_t id;

    (void)state;
    fixture_open(&f, 10, 1);
    id = open_session(&f, 2, false);
    assert_int_equal(begin(&f, id, 1, &context), PROTO_ERROR_NONE);
    assert_int_equal(begin(&f, id, -1, &closing), PROTO_ERROR_NONE);
    assert_int_equal(replica_fetch_sessions_count(f.sessions), 0);
    answer_empty(&context);
    assert_int_equal(finish(&f, &context), id);
    fixture_close(&f);
}

static void
epoch_wraps_to_one(void **state)
{
    (void)state;
    assert_int_equal(replica_session_epoch_after(0), 1);
    assert_int_equal(replica_session_epoch_after(1), 2);
    assert_int_equal(replica_session_epoch_after(INT32_MAX), 1);
    assert_int_equal(replica_session_epoch_after(-1), -1);
}

static void
session_of_ids_resolves_a_topic_that_appears_later(void **state)
{
    struct fixture f;
    struct replica_fetch_context context;
    int32_t id;

    (void)state;
    fixture_open(&f, 10, 1);
    ask_part(&f, NULL, 0, 1);
    f.items[0].topic_id = (struct uuid){{9}};
    assert_int_equal(begin_as(&f, 0, 0, 13, false, &context), PROTO_ERROR_NONE);
    answer_empty(&context);
    context.items[0].error = PROTO_ERROR_UNKNOWN_TOPIC_ID;
    id = finish(&f, &context);
    assert_true(id > 0);
    assert_int_equal(begin_as(&f, id, 1, 13, false, &context), PROTO_ERROR_NONE);
    assert_true(str_is_null(context.items[0].topic));
    answer_empty(&context);
    context.items[0].error = PROTO_ERROR_UNKNOWN_TOPIC_ID;
    finish(&f, &context);
    f.known_name = STR("late");
    assert_int_equal(begin_as(&f, id, 2, 13, false, &context), PROTO_ERROR_NONE);
    assert_true(str_eq_z(context.items[0].topic, "late"));
    answer_empty(&context);
    finish(&f, &context);
    assert_true(context.items[0].must_answer);
    /* The name stays, as in Kafka, even when the metadata forgets the id. */
    f.known_name = STR_NULL;
    assert_int_equal(begin_as(&f, id, 3, 13, false, &context), PROTO_ERROR_NONE);
    assert_true(str_eq_z(context.items[0].topic, "late"));
    replica_fetch_abort(f.sessions, &context);
    fixture_close(&f);
}

static void
duplicate_partitions_are_one_and_the_last_counts(void **state)
{
    struct fixture f;
    struct replica_fetch_context context;

    (void)state;
    fixture_open(&f, 10, 1);
    for (int i = 0; i < 30; i++)
        ask_part(&f, i % 2 == 0 ? "a" : "b", i % 3, i);
    assert_int_equal(begin(&f, 0, -1, &context), PROTO_ERROR_NONE);
    assert_int_equal(context.item_count, 6);
    assert_int_equal(context.items[0].offset, 24); /* a-0 of 0, 6, 12, 18, 24 */
    replica_fetch_abort(f.sessions, &context);
    fixture_close(&f);
}

static void
full_cache_gives_no_session_to_an_equal(void **state)
{
    struct fixture f;

    (void)state;
    fixture_open(&f, 2, 1);
    assert_true(open_session(&f, 2, false) > 0);
    assert_true(open_session(&f, 2, false) > 0);
    assert_int_equal(open_session(&f, 2, false), 0);
    assert_int_equal(open_session(&f, 40, false), 0); /* the others are young */
    assert_int_equal(replica_fetch_sessions_evictions(f.sessions), 0);
    fixture_close(&f);
}

static void
no_slots_means_no_sessions(void **state)
{
    struct fixture f;

    (void)state;
    fixture_open(&f, 0, 1);
    assert_int_equal(open_session(&f, 2, false), 0);
    fixture_close(&f);
}

static void
unused_session_leaves_for_any_newcomer(void **state)
{
    struct fixture f;
    int32_t old, used;

    (void)state;
    fixture_open(&f, 2, 1);
    old = open_session(&f, 9, true);
    used = open_session(&f, 1, false);
    sim_run_ms(f.sim, 100000);
    assert_int_equal(touch_session(&f, used, 1), PROTO_ERROR_NONE);
    sim_run_ms(f.sim, 20001);
    assert_true(open_session(&f, 1, false) > 0);
    assert_int_equal(touch_session(&f, old, 1), PROTO_ERROR_FETCH_SESSION_ID_NOT_FOUND);
    assert_int_equal(touch_session(&f, used, 2), PROTO_ERROR_NONE);
    assert_int_equal(replica_fetch_sessions_evictions(f.sessions), 1);
    fixture_close(&f);
}

static void
old_session_in_use_leaves_only_for_a_bigger_one(void **state)
{
    struct fixture f;
    int32_t id;

    (void)state;
    fixture_open(&f, 1, 1);
    id = open_session(&f, 3, false);
    sim_run_ms(f.sim, 70000);
    assert_int_equal(touch_session(&f, id, 1), PROTO_ERROR_NONE);
    sim_run_ms(f.sim, 70000);
    assert_int_equal(touch_session(&f, id, 2), PROTO_ERROR_NONE);
    assert_int_equal(open_session(&f, 3, false), 0); /* equal size: key with id 0 is less */
    assert_int_equal(open_session(&f, 2, false), 0);
    assert_true(open_session(&f, 4, false) > 0);
    assert_int_equal(touch_session(&f, id, 3), PROTO_ERROR_FETCH_SESSION_ID_NOT_FOUND);
    fixture_close(&f);
}

static void
follower_pushes_out_a_young_consumer_but_no_young_follower(void **state)
{
    struct fixture f;
    int32_t consumer, follower;

    (void)state;
    fixture_open(&f, 1, 1);
    consumer = open_session(&f, 40, false);
    follower = open_session(&f, 1, true);
    assert_true(follower > 0);
    assert_int_equal(touch_session(&f, consumer, 1), PROTO_ERROR_FETCH_SESSION_ID_NOT_FOUND);
    assert_int_equal(open_session(&f, 40, true), 0);
    assert_int_equal(open_session(&f, 40, false), 0);
    fixture_close(&f);
}

static void
out_of_memory_costs_the_session_not_the_answer(void **state)
{
    struct fixture f;
    struct replica_fetch_context context;
    int32_t id;

    (void)state;
    fixture_open(&f, 10, 1);
    for (uint64_t nth = 1; nth < 12; nth++) {
        ask_part(&f, "t", 0, 0);
        ask_part(&f, "u", 0, 0);
        assert_int_equal(begin(&f, 0, 0, &context), PROTO_ERROR_NONE);
        answer_empty(&context);
        mem_fail_after(nth);
        id = finish(&f, &context);
        mem_fail_after(0);
        assert_true(context.items[0].must_answer && context.items[1].must_answer);
        if (id != 0)
            break;
        assert_int_equal(replica_fetch_sessions_count(f.sessions), 0);
    }
    id = open_session(&f, 1, false);
    ask_part(&f, "v", 0, 0);
    mem_fail_after(1);
    assert_int_equal(begin(&f, id, 1, &context), PROTO_ERROR_FETCH_SESSION_ID_NOT_FOUND);
    mem_fail_after(0);
    assert_int_equal(touch_session(&f, id, 1), PROTO_ERROR_FETCH_SESSION_ID_NOT_FOUND);
    fixture_close(&f);
}

static void
incremental_fetch_of_a_known_session_allocates_nothing(void **state)
{
    struct fixture f;
    struct replica_fetch_context context;
    uint64_t before;
    int32_t id;

    (void)state;
    fixture_open(&f, 10, 1);
    id = open_session(&f, 8, false);
    arena_reset(&f.arena);
    before = mem_count_thread();
    for (int32_t epoch = 1; epoch < 20; epoch++) {
        arena_reset(&f.arena);
        ask_part(&f, "t", 3, epoch);
        assert_int_equal(begin(&f, id, epoch, &context), PROTO_ERROR_NONE);
        answer_empty(&context);
        finish(&f, &context);
    }
    assert_int_equal(mem_count_thread(), before);
    fixture_close(&f);
}

TEST_MAIN(cmocka_unit_test(full_fetch_gets_a_session_and_all_partitions),
    cmocka_unit_test(final_epoch_is_sessionless_and_closes_the_named_session),
    cmocka_unit_test(full_fetch_naming_a_session_replaces_it),
    cmocka_unit_test(incremental_answer_holds_only_what_changed),
    cmocka_unit_test(partitions_with_data_go_to_the_end_of_the_order),
    cmocka_unit_test(incremental_adds_updates_and_forgets),
    cmocka_unit_test(session_without_partitions_is_closed), cmocka_unit_test(every_session_error),
    cmocka_unit_test(a_skipped_answer_is_given_by_the_next_fetch),
    cmocka_unit_test(finish_after_another_request_moved_the_session_is_an_epoch_error),
    cmocka_unit_test(session_closed_while_a_fetch_is_under_way_stays_valid_memory),
    cmocka_unit_test(epoch_wraps_to_one),
    cmocka_unit_test(session_of_ids_resolves_a_topic_that_appears_later),
    cmocka_unit_test(duplicate_partitions_are_one_and_the_last_counts),
    cmocka_unit_test(full_cache_gives_no_session_to_an_equal),
    cmocka_unit_test(no_slots_means_no_sessions),
    cmocka_unit_test(unused_session_leaves_for_any_newcomer),
    cmocka_unit_test(old_session_in_use_leaves_only_for_a_bigger_one),
    cmocka_unit_test(follower_pushes_out_a_young_consumer_but_no_young_follower),
    cmocka_unit_test(out_of_memory_costs_the_session_not_the_answer),
    cmocka_unit_test(incremental_fetch_of_a_known_session_allocates_nothing))
