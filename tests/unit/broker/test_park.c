#include "tests/lib/test.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/attr.h"
#include "broker/park.h"
#include "os/loop.h"
#include "os/sim.h"
#include "replica/partition_priv.h"
#include "wire/batch_builder.h"

enum { NODE = 1, SLOTS = 4 };

/* A partition without acknowledgement by flush: appends move the high watermark at once, on the
 * thread that appends. */
struct store {
    struct env *env;
    struct pool *pool;
    struct log *log;
    struct replica_shared shared;
    struct replica_partition *part;
};

static void
store_open(struct store *s, struct env *env, const char *dir)
{
    struct log_config config;
    const struct log_open_opts log_opts = {
        .env = env, .parent_dir = dir, .topic = STR("t"), .config = &config};
    struct replica_partition_opts opts = {.shared = &s->shared, .topic = STR("t")};
    const struct replica_partition_role role = {
        .leader_id = NODE, .leader_epoch = 1, .isr_count = 1, .isr_min = 1};

    log_config_default(&config);
    memset(s, 0, sizeof *s);
    s->env = env;
    assert_int_equal(log_open(&log_opts, &s->log), ERR_OK);
    assert_int_equal(pool_new(env, "io", 2, &s->pool), ERR_OK);
    s->shared.env = env;
    s->shared.node_id = NODE;
    s->shared.flush.pool = s->pool;
    replica_validators_init(&s->shared.validators);
    opts.log = s->log;
    assert_int_equal(replica_partition_new(&opts, &s->part), ERR_OK);
    assert_int_equal(replica_partition_set_role(s->part, &role), REPLICA_ROLE_LED);
}

static void
store_close(struct store *s)
{
    pool_free(&s->pool); /* waits for the appender */
    replica_partition_take_down(s->part, REPLICA_WAKE_RESIGNED);
    replica_partition_unref(&s->part);
    replica_validators_fini(&s->shared.validators);
    log_abandon(&s->log);
}

static void
store_append(struct store *s)
{
    struct batch_builder_opts opts = BATCH_BUILDER_OPTS_DEFAULT;
    struct batch_builder_record record = {
        .timestamp = env_wall_ms(s->env), .value = {(const uint8_t *)"v", 1}};
    struct replica_append append = {.acks = 1, .leader_epoch = -1};
    struct batch_builder builder;
    struct buf buf;

    buf_init(&buf, 4096);
    batch_builder_init(&builder, &opts, &buf);
    batch_builder_append(&builder, &record);
    assert_int_equal(batch_builder_finish(&builder), ERR_OK);
    append.batches = buf.data;
    append.len = buf.len;
    assert_int_equal(replica_partition_append(s->part, &append), PROTO_ERROR_NONE);
    buf_fini(&buf);
}

/* ---- one parked request ---- */

struct parked {
    struct broker_park park; /* req.state */
    struct broker_req req;
    struct broker_park_slot slots[SLOTS];
    struct loop_task start;
    enum broker_park_mode mode;
    struct store *store;
    int64_t offsets[SLOTS];
    int count;
    int64_t timeout_ms;
    bool parked; /* what start said */
    int ended;
    bool timed_out;
};

static void
run_resume(struct loop_task *task)
{
    struct broker_req *req = CONTAINER_OF(task, struct broker_req, task);
    void (*resume)(struct broker_req *) = req->resume;

    req->resume = NULL;
    resume(req);
}

static void
on_ended(struct broker_req *req)
{
    struct parked *p = CONTAINER_OF((struct broker_park *)req->state, struct parked, park);

    p->ended++;
    p->timed_out = p->park.timed_out;
}

static void
on_start(struct loop_task *task)
{
    struct parked *p = CONTAINER_OF(task, struct parked, start);

    broker_park_init(&p->park, &p->req, p->mode, p->slots, on_ended);
    for (int i = 0; i < p->count; i++)
        (void)broker_park_add(&p->park, p->store->part, -1, REPLICA_WATERMARK_HW, p->offsets[i]);
    p->parked = broker_park_start(&p->park, p->timeout_ms);
}

struct room {
    struct sim *sim;
    struct sim_host *host;
    struct env *env;
    struct loop *loop;
    struct store store;
};

static void
room_open(struct room *r)
{
    const struct sim_opts opts = {.seed = test_seed(3), .level_min = DIAG_ERROR + 1};

    assert_int_equal(sim_new(&opts, &r->sim), ERR_OK);
    assert_int_equal(sim_host_new(r->sim, "h", "10.0.0.1", &r->host), ERR_OK);
    assert_int_equal(sim_host_boot(r->host, &r->env), ERR_OK);
    assert_int_equal(env_mkdir_all(r->env, "data"), ERR_OK);
    assert_int_equal(loop_new(r->env, "reactor", &r->loop), ERR_OK);
    assert_int_equal(loop_start(r->loop), ERR_OK);
    store_open(&r->store, r->env, "data");
}

static void
room_close(struct room *r)
{
    loop_stop(r->loop);
    store_close(&r->store);
    loop_free(&r->loop);
    env_free(&r->env);
    sim_free(&r->sim);
}

static void
park(struct room *r, struct parked *p, enum broker_park_mode mode, int count, int64_t timeout_ms)
{
    memset(p, 0, sizeof *p);
    p->req.loop = r->loop;
    loop_task_init(&p->req.task, run_resume);
    loop_task_init(&p->start, on_start);
    p->mode = mode;
    p->store = &r->store;
    p->count = count;
    p->timeout_ms = timeout_ms;
    for (int i = 0; i < count; i++)
        p->offsets[i] = i + 1;
    loop_post(r->loop, &p->start);
    sim_run_ms(r->sim, 10);
}

static void
all_ends_with_the_last_slot(void **state)
{
    struct room r;
    struct parked p;

    (void)state;
    room_open(&r);
    park(&r, &p, BROKER_PARK_ALL, 3, 1000);
    assert_true(p.parked);
    store_append(&r.store);
    store_append(&r.store);
    sim_run_ms(r.sim, 10);
    assert_int_equal(p.ended, 0);
    store_append(&r.store);
    sim_run_ms(r.sim, 10);
    assert_int_equal(p.ended, 1);
    assert_false(p.timed_out);
    for (int i = 0; i < 3; i++)
        assert_true(p.slots[i].ended && p.slots[i].why == REPLICA_WAKE_REACHED);
    sim_run_ms(r.sim, 5000);
    assert_int_equal(p.ended, 1);
    room_close(&r);
}

static void
all_that_is_there_already_does_not_park(void **state)
{
    struct room r;
    struct parked p;

    (void)state;
    room_open(&r);
    store_append(&r.store);
    store_append(&r.store);
    park(&r, &p, BROKER_PARK_ALL, 2, 1000);
    assert_false(p.parked);
    sim_run_ms(r.sim, 5000);
    assert_int_equal(p.ended, 0);
    assert_true(p.slots[0].ended && p.slots[1].ended);
    room_close(&r);
}

static void
all_times_out_and_tells_which_slots_were_reached(void **state)
{
    struct room r;
    struct parked p;

    (void)state;
    room_open(&r);
    park(&r, &p, BROKER_PARK_ALL, 2, 1000);
    store_append(&r.store);
    sim_run_ms(r.sim, 1100);
    assert_int_equal(p.ended, 1);
    assert_true(p.timed_out);
    assert_true(p.slots[0].ended);
    assert_false(p.slots[1].ended);
    store_append(&r.store); /* the waiter is gone */
    sim_run_ms(r.sim, 10);
    assert_int_equal(p.ended, 1);
    room_close(&r);
}

static void
any_ends_with_the_first_slot(void **state)
{
    struct room r;
    struct parked p;

    (void)state;
    room_open(&r);
    park(&r, &p, BROKER_PARK_ANY, 4, 1000);
    assert_int_equal(p.ended, 0);
    store_append(&r.store);
    store_append(&r.store); /* a second waker before the reactor's turn */
    sim_run_ms(r.sim, 10);
    assert_int_equal(p.ended, 1);
    assert_false(p.timed_out);
    sim_run_ms(r.sim, 5000);
    assert_int_equal(p.ended, 1);
    room_close(&r);
}

static void
any_times_out_with_nothing(void **state)
{
    struct room r;
    struct parked p;

    (void)state;
    room_open(&r);
    park(&r, &p, BROKER_PARK_ANY, 2, 500);
    sim_run_ms(r.sim, 400);
    assert_int_equal(p.ended, 0);
    sim_run_ms(r.sim, 200);
    assert_int_equal(p.ended, 1);
    assert_true(p.timed_out);
    room_close(&r);
}

static void
resigning_ends_what_is_parked(void **state)
{
    struct room r;
    struct parked all, any;

    (void)state;
    room_open(&r);
    park(&r, &all, BROKER_PARK_ALL, 2, 1000);
    park(&r, &any, BROKER_PARK_ANY, 2, 1000);
    replica_partition_resign(r.store.part);
    sim_run_ms(r.sim, 10);
    assert_int_equal(all.ended, 1);
    assert_int_equal(any.ended, 1);
    assert_int_equal(all.slots[0].why, REPLICA_WAKE_RESIGNED);
    assert_int_equal(all.slots[1].why, REPLICA_WAKE_RESIGNED);
    room_close(&r);
}

/* ---- threads: appends on the pool race with timers on a reactor ---- */

enum { ROUNDS = 400 };

struct race {
    struct store store;
    struct loop *loop;
    struct parked parked[2];
    struct loop_task next;
    _Atomic int rounds;
    _Atomic int ended;
    _Atomic bool stop;
    struct pool_work appender;
};

static void
race_append(struct pool_work *work)
{
    struct race *race = CONTAINER_OF(work, struct race, appender);

    while (!atomic_load(&race->stop))
        store_append(&race->store);
}

static void race_round(struct loop_task *task);

static void
race_ended(struct broker_req *req)
{
    struct parked *p = CONTAINER_OF((struct broker_park *)req->state, struct parked, park);
    struct race *race = CONTAINER_OF(p->store, struct race, store);

    ASSERT(p->ended == 0);
    p->ended = 1;
    memset(p->slots, 0x5a, sizeof p->slots); /* whoever still touches them is found out */
    atomic_fetch_add(&race->ended, 1);
    if (race->parked[0].ended && race->parked[1].ended)
        loop_post(race->loop, &race->next);
}

static void
race_round(struct loop_task *task)
{
    struct race *race = CONTAINER_OF(task, struct race, next);
    struct replica_partition_state state;

    if (atomic_fetch_add(&race->rounds, 1) >= ROUNDS)
        return;
    replica_partition_get_state(race->store.part, &state);
    for (int i = 0; i < 2; i++) {
        struct parked *p = &race->parked[i];
        memset(p, 0, sizeof *p);
        p->store = &race->store;
        p->req.loop = race->loop;
        loop_task_init(&p->req.task, run_resume);
    }
    for (int i = 0; i < 2; i++) {
        struct parked *p = &race->parked[i];
        broker_park_init(
            &p->park, &p->req, i == 0 ? BROKER_PARK_ALL : BROKER_PARK_ANY, p->slots, race_ended);
        for (int k = 0; k < SLOTS; k++)
            (void)broker_park_add(&p->park, race->store.part, -1, REPLICA_WATERMARK_HW,
                state.high_watermark + 1 + k * 20);
        if (!broker_park_start(&p->park, atomic_load(&race->rounds) % 3))
            race_ended(&p->req);
    }
}

static void
wakers_timers_and_cancels_on_several_threads_end_each_park_once(void **state)
{
    const struct env_real_opts opts = {.level_min = DIAG_ERROR, .diag_fd = 2};
    struct race *race = calloc(1, sizeof *race);
    struct env *env;
    char dir[256];

    (void)state;
    test_dir_make(dir, sizeof dir);
    assert_int_equal(env_real_new(&opts, &env), ERR_OK);
    store_open(&race->store, env, dir);
    assert_int_equal(loop_new(env, "reactor", &race->loop), ERR_OK);
    assert_int_equal(loop_start(race->loop), ERR_OK);
    race->appender.run = race_append;
    list_init(&race->appender.link);
    pool_submit(race->store.pool, &race->appender);
    loop_task_init(&race->next, race_round);
    loop_post(race->loop, &race->next);
    while (atomic_load(&race->rounds) <= ROUNDS)
        usleep(1000);
    atomic_store(&race->stop, true);
    assert_int_equal(atomic_load(&race->ended), 2 * ROUNDS);
    loop_stop(race->loop);
    store_close(&race->store);
    loop_free(&race->loop);
    env_free(&env);
    test_dir_remove(dir);
    free(race);
}

TEST_MAIN(cmocka_unit_test(all_ends_with_the_last_slot),
    cmocka_unit_test(all_that_is_there_already_does_not_park),
    cmocka_unit_test(all_times_out_and_tells_which_slots_were_reached),
    cmocka_unit_test(any_ends_with_the_first_slot), cmocka_unit_test(any_times_out_with_nothing),
    cmocka_unit_test(resigning_ends_what_is_parked),
    cmocka_unit_test(wakers_timers_and_cancels_on_several_threads_end_each_park_once))
