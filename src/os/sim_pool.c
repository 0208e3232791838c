/* What: pools of the simulator. A worker is a thread of its own stack: it runs one work after the
 * other, and lets others run where a real thread would wait long for the disk (sim_pool_wait).
 * States of a worker: idle, about to begin (its event is scheduled and it has no fiber), waiting
 * (its event is scheduled and it has one), running.
 * Invariants: I1 sim->fiber is the worker that runs, else NULL. I2 a worker that waits holds no
 * lock. I3 after a crash a waiting worker goes on only in pool_free, and waits no more. */
#include <string.h>
#include <ucontext.h>

#include "base/assert.h"
#include "os/mutex.h"
#include "os/sim_priv.h"

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/common_interface_defs.h>
#endif

enum {
    WORK_NS_MIN = 10000,
    WORK_NS_MAX = 2000000,
    WORK_SLOW_NS = 1000000000,
    WAIT_NS_MAX = 3000000,
    WAIT_LONG_PPM = 150000, /* syncs that a busy disk delays */
    WAIT_LONG_NS = 60000000,
    POOL_SLOTS_MAX = 8,
    STACK_SIZE = 1 << 20, /* touched only as far as used */
};

struct sim_pool;

/* A stack and where its work stands. */
struct sim_fiber {
    ucontext_t context, back;
    uint8_t *stack; /* owned; kept for the next work */
    struct pool_work *work;
    bool busy; /* between beginning and end of a work */
    void *asan_here, *asan_back;
    const void *asan_back_stack;
    size_t asan_back_size;
};

/* A thread that works on one thing at a time. */
struct sim_worker {
    struct sim_event event;
    struct sim_pool *pool;
    struct sim_fiber fiber;
};

struct sim_pool {
    struct pool pool;
    struct list link;
    struct sim_env *env;
    struct list queue; /* oldest first */
    size_t count;
    bool draining; /* inside free: nothing waits */
    int worker_count;
    struct sim_worker workers[];
};

/* ---- fibers ---- */

#ifdef __SANITIZE_ADDRESS__
static void
asan_leave(void **save, const void *stack, size_t size)
{
    __sanitizer_start_switch_fiber(save, stack, size);
}

static void
asan_arrive(void *save, const void **stack, size_t *size)
{
    __sanitizer_finish_switch_fiber(save, stack, size);
}
#else
#define asan_leave(save, stack, size) ((void)(save), (void)(stack), (void)(size))
#define asan_arrive(save, stack, size) ((void)(save), (void)(stack), (void)(size))
#endif

static void
fiber_main(unsigned high, unsigned low)
{
    struct sim_fiber *fiber = (struct sim_fiber *)((uintptr_t)high << 32 | (uintptr_t)low);
    asan_arrive(NULL, &fiber->asan_back_stack, &fiber->asan_back_size);
    fiber->work->run(fiber->work); /* may free the work */
    fiber->busy = false;
    asan_leave(NULL, fiber->asan_back_stack, fiber->asan_back_size); /* for good */
}

/* Runs it until it waits or is done. */
static void
fiber_enter(struct sim *sim, struct sim_fiber *fiber)
{
    struct sim_fiber *before = sim->fiber; /* a work may free another pool */
    sim->fiber = fiber;
    asan_leave(&fiber->asan_back, fiber->stack, STACK_SIZE);
    int r = swapcontext(&fiber->back, &fiber->context);
    ASSERT(r == 0);
    asan_arrive(fiber->asan_back, NULL, NULL);
    sim->fiber = before;
    ASSERT(!mutex_any_held() || before != NULL); /* I2 */
}

static void
fiber_begin(struct sim *sim, struct sim_fiber *fiber, struct pool_work *work)
{
    uintptr_t at = (uintptr_t)fiber;
    ASSERT(!fiber->busy);
    if (fiber->stack == NULL)
        fiber->stack = sim_alloc(STACK_SIZE);
    int r = getcontext(&fiber->context);
    ASSERT(r == 0);
    fiber->context.uc_stack.ss_sp = fiber->stack;
    fiber->context.uc_stack.ss_size = STACK_SIZE;
    fiber->context.uc_link = &fiber->back;
    fiber->work = work;
    fiber->busy = true;
    makecontext(&fiber->context, (void (*)(void))(uintptr_t)fiber_main, 2, (unsigned)(at >> 32),
        (unsigned)at);
    fiber_enter(sim, fiber);
}

void
sim_pool_wait(struct sim_env *env)
{
    struct sim *sim = env->host->sim;
    struct sim_fiber *fiber = sim->fiber;
    if (fiber == NULL || env->dead || mutex_any_held())
        return;
    struct sim_worker *worker = CONTAINER_OF(fiber, struct sim_worker, fiber);
    if (worker->pool->draining || worker->pool->env != env)
        return;
    int64_t ns = (int64_t)sim_below(sim, WAIT_NS_MAX);
    if (sim_chance(sim, WAIT_LONG_PPM))
        ns += (int64_t)sim_below(sim, WAIT_LONG_NS);
    if (sim_chance(sim, env->host->faults.delay_ppm)) {
        ns += (int64_t)sim_below(sim, WORK_SLOW_NS);
        sim->faults++;
    }
    sim_schedule(sim, &worker->event, sim->now_ns + ns);
    asan_leave(&fiber->asan_here, fiber->asan_back_stack, fiber->asan_back_size);
    int r = swapcontext(&fiber->context, &fiber->back);
    ASSERT(r == 0);
    asan_arrive(fiber->asan_here, &fiber->asan_back_stack, &fiber->asan_back_size);
}

/* ---- the queue ---- */

static void
sim_pool_plan(struct sim_pool *pool)
{
    struct sim *sim = pool->env->host->sim;
    size_t beginning = 0;
    struct sim_worker *idle = NULL;
    if (pool->env->dead)
        return;
    for (int i = 0; i < pool->worker_count; i++) {
        struct sim_worker *worker = &pool->workers[i];
        if (worker->fiber.busy)
            continue;
        if (sim_scheduled(&worker->event))
            beginning++;
        else if (idle == NULL)
            idle = worker;
    }
    if (beginning >= pool->count || idle == NULL)
        return;
    int64_t ns = WORK_NS_MIN + (int64_t)sim_below(sim, WORK_NS_MAX - WORK_NS_MIN);
    if (sim_chance(sim, pool->env->host->faults.delay_ppm)) {
        ns += (int64_t)sim_below(sim, WORK_SLOW_NS);
        sim->faults++;
    }
    sim_schedule(sim, &idle->event, sim->now_ns + ns);
}

static struct pool_work *
sim_pool_take(struct sim_pool *pool, size_t index)
{
    struct list *at = pool->queue.next;
    ASSERT(index < pool->count);
    while (index-- > 0)
        at = at->next;
    list_remove(at);
    pool->count--;
    return LIST_ENTRY(at, struct pool_work, link);
}

static void
sim_pool_work(struct sim_event *event)
{
    struct sim_worker *worker = CONTAINER_OF(event, struct sim_worker, event);
    struct sim_pool *pool = worker->pool;
    struct sim *sim = pool->env->host->sim;
    ASSERT(!pool->env->dead);
    if (worker->fiber.busy)
        fiber_enter(sim, &worker->fiber);
    else if (pool->count > 0)
        fiber_begin(sim, &worker->fiber, sim_pool_take(pool, (size_t)sim_below(sim, pool->count)));
    sim_pool_plan(pool);
}

static void
sim_pool_submit(struct pool *base, struct pool_work *work)
{
    struct sim_pool *pool = (struct sim_pool *)base;
    list_push(&pool->queue, &work->link);
    pool->count++;
    sim_pool_plan(pool);
}

static void
sim_pool_free(struct pool *base)
{
    struct sim_pool *pool = (struct sim_pool *)base;
    struct sim *sim = pool->env->host->sim;
    pool->draining = true;
    for (int i = 0; i < pool->worker_count; i++)
        if (pool->workers[i].fiber.busy)
            fiber_enter(sim, &pool->workers[i].fiber); /* to its end: I3 */
    while (pool->count > 0) {
        struct pool_work *work = sim_pool_take(pool, 0);
        work->run(work); /* may free the work */
    }
    for (int i = 0; i < pool->worker_count; i++) {
        ASSERT(!pool->workers[i].fiber.busy);
        sim_unschedule(sim, &pool->workers[i].event);
        sim_release(pool->workers[i].fiber.stack);
    }
    list_remove(&pool->link);
    sim_release(pool);
}

static const struct pool_ops sim_pool_ops = {
    .submit = sim_pool_submit,
    .free = sim_pool_free,
};

enum err
sim_pool_new(struct env *base, const char *name, int threads, bool background, struct pool **out)
{
    struct sim_env *env = (struct sim_env *)base;
    (void)name;
    (void)background; /* work takes no time here */
    if (env->dead)
        return ERR_FAILED;
    int workers = threads < POOL_SLOTS_MAX ? threads : POOL_SLOTS_MAX;
    struct sim_pool *pool = sim_alloc(sizeof *pool + (size_t)workers * sizeof pool->workers[0]);
    pool->pool.ops = &sim_pool_ops;
    pool->env = env;
    pool->worker_count = workers;
    list_init(&pool->queue);
    for (int i = 0; i < workers; i++) {
        pool->workers[i].pool = pool;
        sim_event_init(&pool->workers[i].event, env->host, SIM_EVENT_WORK,
            env->host->sim->id_next++, sim_pool_work);
    }
    list_push(&env->pools, &pool->link);
    *out = &pool->pool;
    return ERR_OK;
}

void
sim_pools_crash(struct sim_env *env)
{
    LIST_FOREACH (&env->pools, at) {
        struct sim_pool *pool = LIST_ENTRY(at, struct sim_pool, link);
        for (int i = 0; i < pool->worker_count; i++)
            sim_unschedule(env->host->sim, &pool->workers[i].event);
    }
}
