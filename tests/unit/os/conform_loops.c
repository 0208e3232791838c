#include "tests/unit/os/conform.h"

#include "base/attr.h"

/* ---- the world ---- */

struct count_wait {
    _Atomic int *flag;
    int count;
};

static bool
count_reached(void *ctx)
{
    struct count_wait *wait = ctx;
    return atomic_load(wait->flag) >= wait->count;
}

bool
world_wait_count(struct world *w, _Atomic int *flag, int count)
{
    struct count_wait wait = {flag, count};
    return w->wait(w, count_reached, &wait);
}

struct call {
    struct loop_task task;
    void (*fn)(void *ctx);
    void *ctx;
    _Atomic int done;
};

static void
call_run(struct loop_task *task)
{
    struct call *call = CONTAINER_OF(task, struct call, task);
    call->fn(call->ctx);
    atomic_store(&call->done, 1);
}

void
world_call(struct world *w, struct loop *loop, void (*fn)(void *ctx), void *ctx)
{
    struct call call = {.fn = fn, .ctx = ctx};
    loop_task_init(&call.task, call_run);
    loop_post(loop, &call.task);
    assert_true(world_wait_count(w, &call.done, 1));
}

struct loop *
world_loop(struct world *w, const char *name)
{
    struct loop *loop = NULL;
    assert_int_equal(loop_new(w->env, name, &loop), ERR_OK);
    assert_int_equal(loop_start(loop), ERR_OK);
    return loop;
}

void
world_loop_end(struct loop **loop)
{
    loop_stop(*loop);
    loop_free(loop);
    assert_null(*loop);
}

const char *
world_path(struct world *w, const char *name, char out[300])
{
    snprintf(out, 300, "%s/%s", w->dir, name);
    return out;
}

/* ---- tasks ---- */

struct numbered {
    struct loop_task task;
    int number;
    struct sequence *seq;
};

struct sequence {
    struct loop *loop;
    int numbers[64];
    _Atomic int count;
    struct numbered more[8];
};

static void
numbered_run(struct loop_task *task)
{
    struct numbered *n = CONTAINER_OF(task, struct numbered, task);
    n->seq->numbers[atomic_load(&n->seq->count)] = n->number;
    atomic_fetch_add(&n->seq->count, 1);
}

void
tasks_run_in_order_of_posting(void **state)
{
    struct world *w = *state;
    struct sequence seq = {.count = 0};
    struct numbered tasks[50];
    struct loop *loop = world_loop(w, "one");
    for (int i = 0; i < 50; i++) {
        tasks[i] = (struct numbered){.number = i, .seq = &seq};
        loop_task_init(&tasks[i].task, numbered_run);
        loop_post(loop, &tasks[i].task);
    }
    assert_true(world_wait_count(w, &seq.count, 50));
    for (int i = 0; i < 50; i++)
        assert_int_equal(seq.numbers[i], i);
    world_loop_end(&loop);
}

static void
defer_run(struct loop_task *task)
{
    struct numbered *n = CONTAINER_OF(task, struct numbered, task);
    struct sequence *seq = n->seq;
    if (seq->more[1].task.queued == false && n == &seq->more[0])
        loop_defer(seq->loop, &seq->more[1].task); /* deferred from a deferred one */
    numbered_run(task);
}

static void
defer_some(void *ctx)
{
    struct sequence *seq = ctx;
    loop_defer(seq->loop, &seq->more[0].task);
    loop_defer(seq->loop, &seq->more[2].task);
    seq->numbers[0] = 100;
    atomic_fetch_add(&seq->count, 1);
}

void
deferred_tasks_run_after_the_turn(void **state)
{
    struct world *w = *state;
    struct sequence seq = {.loop = world_loop(w, "one")};
    for (int i = 0; i < 3; i++) {
        seq.more[i].number = i;
        seq.more[i].seq = &seq;
        loop_task_init(&seq.more[i].task, defer_run);
    }
    world_call(w, seq.loop, defer_some, &seq);
    assert_true(world_wait_count(w, &seq.count, 4));
    assert_int_equal(seq.numbers[0], 100);
    assert_int_equal(seq.numbers[1], 0);
    assert_int_equal(seq.numbers[2], 2);
    assert_int_equal(seq.numbers[3], 1);
    world_loop_end(&seq.loop);
}

enum { BALL_HITS = 500 };

struct ball {
    struct loop_task task;
    struct loop *loops[2];
    int hits;
    _Atomic int done;
};

static void
ball_run(struct loop_task *task)
{
    struct ball *ball = CONTAINER_OF(task, struct ball, task);
    if (++ball->hits == BALL_HITS)
        atomic_store(&ball->done, 1);
    else
        loop_post(ball->loops[ball->hits & 1], &ball->task);
}

void
a_task_posted_from_another_loop_arrives(void **state)
{
    struct world *w = *state;
    struct ball balls[4];
    struct loop *a = world_loop(w, "a"), *b = world_loop(w, "b");
    for (int i = 0; i < 4; i++) {
        balls[i] = (struct ball){.loops = {a, b}};
        loop_task_init(&balls[i].task, ball_run);
        loop_post(i % 2 == 0 ? a : b, &balls[i].task);
    }
    for (int i = 0; i < 4; i++)
        assert_true(world_wait_count(w, &balls[i].done, 1));
    world_loop_end(&a);
    world_loop_end(&b);
}

/* ---- timers ---- */

struct clock_set;

struct alarm {
    struct loop_timer timer;
    struct clock_set *set;
    int number;
    int64_t due_ms;
};

struct clock_set {
    struct loop *loop;
    struct alarm alarms[5];
    int order[16];
    bool early;
    int restarts;
    _Atomic int fired;
};

static void
alarm_fire(struct loop_timer *timer)
{
    struct alarm *alarm = CONTAINER_OF(timer, struct alarm, timer);
    struct clock_set *set = alarm->set;
    if (loop_now_ms(set->loop) < alarm->due_ms || loop_timer_running(timer))
        set->early = true;
    set->order[atomic_load(&set->fired)] = alarm->number;
    atomic_fetch_add(&set->fired, 1);
}

static void
alarm_start(struct clock_set *set, int number, int64_t delay_ms)
{
    struct alarm *alarm = &set->alarms[number];
    alarm->due_ms = loop_now_ms(set->loop) + delay_ms;
    if (loop_timer_start(&alarm->timer, delay_ms) != ERR_OK)
        set->early = true;
}

static void
clock_init(struct clock_set *set, struct loop *loop)
{
    memset(set, 0, sizeof *set);
    set->loop = loop;
    for (int i = 0; i < 5; i++) {
        set->alarms[i].set = set;
        set->alarms[i].number = i;
        loop_timer_init(&set->alarms[i].timer, loop, alarm_fire);
    }
}

static void
clock_start_some(void *ctx)
{
    struct clock_set *set = ctx;
    alarm_start(set, 0, 60);
    alarm_start(set, 1, 20);
    alarm_start(set, 2, 1);
    alarm_start(set, 3, 20);
    alarm_start(set, 2, 40); /* moved */
    alarm_start(set, 4, 0);
}

void
timers_fire_in_order_and_never_early(void **state)
{
    struct world *w = *state;
    struct clock_set set;
    struct loop *loop = world_loop(w, "one");
    clock_init(&set, loop);
    world_call(w, loop, clock_start_some, &set);
    assert_true(world_wait_count(w, &set.fired, 5));
    static const int expected[] = {4, 1, 3, 2, 0};
    for (int i = 0; i < 5; i++)
        assert_int_equal(set.order[i], expected[i]);
    assert_false(set.early);
    world_loop_end(&loop);
}

static void
clock_stop_one(void *ctx)
{
    struct clock_set *set = ctx;
    alarm_start(set, 0, 5);
    alarm_start(set, 1, 30);
    loop_timer_stop(&set->alarms[0].timer);
    loop_timer_stop(&set->alarms[2].timer); /* not running is fine */
    set->early = loop_timer_running(&set->alarms[0].timer);
}

void
a_stopped_timer_does_not_fire(void **state)
{
    struct world *w = *state;
    struct clock_set set;
    struct loop *loop = world_loop(w, "one");
    clock_init(&set, loop);
    world_call(w, loop, clock_stop_one, &set);
    assert_true(world_wait_count(w, &set.fired, 1));
    assert_int_equal(set.order[0], 1);
    assert_false(set.early);
    world_loop_end(&loop);
}

static void
alarm_refire(struct loop_timer *timer)
{
    struct alarm *alarm = CONTAINER_OF(timer, struct alarm, timer);
    if (++alarm->set->restarts < 1000000 && atomic_load(&alarm->set->fired) == 0 &&
        loop_timer_start(timer, 0) != ERR_OK)
        alarm->set->early = true;
}

static void
clock_spin(void *ctx)
{
    struct clock_set *set = ctx;
    loop_timer_init(&set->alarms[0].timer, set->loop, alarm_refire);
    alarm_start(set, 0, 0);
    alarm_start(set, 1, 5);
}

void
a_timer_restarted_in_its_callback_lets_others_run(void **state)
{
    struct world *w = *state;
    struct clock_set set;
    struct loop *loop = world_loop(w, "one");
    clock_init(&set, loop);
    world_call(w, loop, clock_spin, &set);
    assert_true(world_wait_count(w, &set.fired, 1));
    loop_stop(loop);
    loop_timer_stop(&set.alarms[0].timer);
    loop_free(&loop);
    assert_false(set.early);
}

/* ---- life ---- */

void
a_stopped_loop_drops_its_tasks(void **state)
{
    struct world *w = *state;
    struct sequence seq = {.count = 0};
    struct numbered task = {.number = 1, .seq = &seq};
    struct loop *loop = world_loop(w, "one");
    loop_task_init(&task.task, numbered_run);
    loop_stop(loop);
    loop_post(loop, &task.task);
    loop_free(&loop);
    assert_int_equal(seq.count, 0);
}

struct presence {
    struct loop *a, *b;
    bool in_a, in_b;
};

static void
presence_look(void *ctx)
{
    struct presence *p = ctx;
    p->in_a = loop_is_current(p->a);
    p->in_b = loop_is_current(p->b);
}

void
a_loop_knows_when_it_is_current(void **state)
{
    struct world *w = *state;
    struct presence p = {.a = world_loop(w, "a"), .b = world_loop(w, "b")};
    assert_false(loop_is_current(p.a));
    assert_ptr_equal(loop_env(p.a), w->env);
    world_call(w, p.b, presence_look, &p);
    assert_false(p.in_a);
    assert_true(p.in_b);
    world_loop_end(&p.a);
    world_loop_end(&p.b);
}

struct job {
    struct pool_work work;
    _Atomic int *done;
};

static void
job_run(struct pool_work *work)
{
    atomic_fetch_add(CONTAINER_OF(work, struct job, work)->done, 1);
}

void
the_pool_runs_everything_before_it_is_freed(void **state)
{
    struct world *w = *state;
    enum { JOBS = 300 };
    struct job jobs[JOBS];
    _Atomic int done = 0;
    struct pool *pool = NULL;
    assert_int_equal(pool_new(w->env, "io", 3, &pool), ERR_OK);
    for (int i = 0; i < JOBS; i++) {
        jobs[i] = (struct job){.work = {.run = job_run}, .done = &done};
        list_init(&jobs[i].work.link);
        pool_submit(pool, &jobs[i].work);
        if (i == 100)
            assert_true(world_wait_count(w, &done, 50));
    }
    pool_free(&pool);
    assert_null(pool);
    assert_int_equal(done, JOBS);
}

void
a_pool_is_pressed_for_a_moment_and_works_on(void **state)
{
    struct world *w = *state;
    enum { JOBS = 5 };
    struct job jobs[JOBS];
    _Atomic int done = 0;
    struct pool *pool = NULL;
    assert_int_equal(pool_new_background(w->env, "read", 2, &pool), ERR_OK);
    assert_false(pool_is_pressed(pool, 1000));
    pool_press(pool, 1000);
    assert_true(pool_is_pressed(pool, 1000));
    assert_true(pool_is_pressed(pool, 1019));
    assert_false(pool_is_pressed(pool, 1020));
    pool_press(pool, 1015);
    assert_true(pool_is_pressed(pool, 1020));
    pool_press(pool, env_now_ms(w->env));
    for (int i = 0; i < JOBS; i++) {
        jobs[i] = (struct job){.work = {.run = job_run, .gives_way = i % 2 == 0}, .done = &done};
        list_init(&jobs[i].work.link);
        pool_submit(pool, &jobs[i].work);
    }
    assert_true(world_wait_count(w, &done, JOBS));
    pool_free(&pool);
}
