/* What: loops of the simulator. A turn is one event: the loop takes a few of its ready
 * things, picked by the seed, each run to its end, and then what they deferred.
 * Invariants: I1 sim->current is the loop while one of its callbacks runs, else NULL. I2 no
 * callback of a dead env or a stopped loop runs. I3 a started loop with anything ready has its turn
 * scheduled. */
#include <string.h>

#include "base/assert.h"
#include "os/sim_priv.h"

enum {
    TURN_EVENTS_MAX = 4,
    TURN_JITTER_NS = 20000,
    TURN_SLOW_PPM = 4000, /* turns that the machine delays ... */
    TURN_SLOW_NS = 3000000,
};

static struct sim_loop *
sim_loop_of(const struct loop *loop)
{
    return (struct sim_loop *)(uintptr_t)loop;
}

static struct sim *
sim_of(const struct sim_loop *loop)
{
    return loop->env->host->sim;
}

static bool
sim_loop_alive(const struct sim_loop *loop)
{
    return loop->started && !loop->stopped && !loop->env->dead;
}

static bool
sim_loop_ready_now(struct sim_loop *loop)
{
    return !list_empty(&loop->mailbox) || !list_empty(&loop->loop.deferred) ||
           sim_net_event(loop, true);
}

static int64_t
turn_jitter(struct sim *sim)
{
    int64_t ns = 1000 + (int64_t)sim_below(sim, TURN_JITTER_NS);
    if (sim_chance(sim, TURN_SLOW_PPM))
        ns += (int64_t)sim_below(sim, TURN_SLOW_NS);
    return ns;
}

/* Has the next turn at the time of the earliest thing to do. */
static void
sim_loop_plan(struct sim_loop *loop)
{
    struct sim *sim = sim_of(loop);
    int64_t at = loop_timer_earliest(&loop->loop);
    if (!sim_loop_alive(loop) || sim->current == &loop->loop)
        return;
    if (sim_loop_ready_now(loop))
        at = sim->now_ns;
    else if (at == INT64_MAX)
        return;
    else
        at = at > INT64_MAX / 2000000 ? INT64_MAX / 2 : at * 1000000;
    if (at < sim->now_ns)
        at = sim->now_ns;
    if (!sim_scheduled(&loop->turn) || loop->turn.node.key > at + TURN_JITTER_NS + TURN_SLOW_NS)
        sim_schedule(sim, &loop->turn, at + turn_jitter(sim));
}

void
sim_loop_kick(struct sim_loop *loop)
{
    sim_loop_plan(loop);
}

/* One thing that is ready; false when nothing is. */
static bool
sim_loop_take(struct sim_loop *loop, uint64_t timers_end)
{
    enum { MAIL, TIMER, NET };
    struct sim *sim = sim_of(loop);
    int ready[3], count = 0;
    const struct heap_node *timer = heap_peek(&loop->loop.timers);
    if (!list_empty(&loop->mailbox))
        ready[count++] = MAIL;
    if (timer != NULL && timer->key <= loop->now_ms && timer->sequence < timers_end)
        ready[count++] = TIMER;
    if (sim_net_event(loop, true))
        ready[count++] = NET;
    if (count == 0)
        return false;
    switch (ready[sim_below(sim, (uint64_t)count)]) {
    case MAIL:
        loop_run_task(LIST_ENTRY(list_pop(&loop->mailbox), struct loop_task, link));
        return true;
    case TIMER: return loop_fire_timer(&loop->loop, loop->now_ms, timers_end);
    default: return sim_net_event(loop, false);
    }
}

static void
sim_loop_turn(struct sim_event *event)
{
    struct sim_loop *loop = CONTAINER_OF(event, struct sim_loop, turn);
    struct sim *sim = sim_of(loop);
    uint64_t timers_end = loop->loop.timers.sequence_next;
    int take = 1 + (int)sim_below(sim, TURN_EVENTS_MAX);
    ASSERT(sim_loop_alive(loop)); /* I2 */
    loop->now_ms = sim->now_ns / 1000000;
    sim->current = &loop->loop;
    while (take-- > 0 && sim_loop_alive(loop) && sim_loop_take(loop, timers_end))
        ;
    struct list now;
    list_init(&now);
    list_splice(&now, &loop->loop.deferred);
    while (sim_loop_alive(loop) && !list_empty(&now))
        loop_run_task(LIST_ENTRY(list_pop(&now), struct loop_task, link));
    list_splice(&loop->loop.deferred, &now); /* what a crash or a stop left over */
    sim->current = NULL;
    sim_loop_plan(loop);
}

/* ---- the table ---- */

static enum err
sim_loop_start(struct loop *base)
{
    struct sim_loop *loop = sim_loop_of(base);
    ASSERT(!loop->started);
    if (loop->env->dead)
        return ERR_FAILED;
    loop->started = true;
    sim_loop_plan(loop);
    return ERR_OK;
}

static void
sim_loop_stop(struct loop *base)
{
    struct sim_loop *loop = sim_loop_of(base);
    loop->stopped = true;
    sim_unschedule(sim_of(loop), &loop->turn);
}

static void
sim_loop_free(struct loop *base)
{
    struct sim_loop *loop = sim_loop_of(base);
    ASSERT(!loop->started || loop->stopped);
    ASSERT(list_empty(&loop->socks));
    ASSERT(list_empty(&loop->listeners));
    sim_unschedule(sim_of(loop), &loop->turn);
    list_remove(&loop->link);
    /* Tasks still queued may be gone with their owners by now: they are not touched. */
    loop_fini(base);
    sim_release(loop);
}

/* For a program's own thread while it waits for its loops: outside of events, like a driver. */
static void
sim_loop_run_here(struct loop *base)
{
    struct sim_loop *loop = sim_loop_of(base);
    struct sim *sim = sim_of(loop);
    ASSERT(sim->fiber == NULL);
    if (sim_loop_start(base) == ERR_OK)
        while (!loop->stopped && !loop->env->dead && sim_step(sim, INT64_MAX))
            ;
    sim_loop_stop(base);
}

static void
sim_loop_quit(struct loop *base)
{
    sim_loop_of(base)->stopped = true;
}

static enum err
sim_loop_watch_signals(struct loop *loop, void (*fn)(void *ctx, int signum), void *ctx)
{
    (void)loop;
    (void)fn;
    (void)ctx;
    return ERR_UNSUPPORTED;
}

static bool
sim_loop_is_current(const struct loop *base)
{
    return sim_of(sim_loop_of(base))->current == base;
}

static bool
sim_loop_may_touch(const struct loop *base)
{
    const struct sim_loop *loop = sim_loop_of(base);
    return sim_loop_is_current(base) || !sim_loop_alive(loop);
}

static int64_t
sim_loop_now_ms(const struct loop *base)
{
    const struct sim_loop *loop = sim_loop_of(base);
    return sim_loop_is_current(base) ? loop->now_ms : sim_of(loop)->now_ns / 1000000;
}

static void
sim_loop_post(struct loop *base, struct loop_task *task)
{
    struct sim_loop *loop = sim_loop_of(base);
    list_push(&loop->mailbox, &task->link);
    sim_loop_plan(loop);
}

static void
sim_loop_changed(struct loop *base)
{
    sim_loop_plan(sim_loop_of(base));
}

static const struct loop_ops sim_loop_ops = {
    .start = sim_loop_start,
    .stop = sim_loop_stop,
    .free = sim_loop_free,
    .run_here = sim_loop_run_here,
    .quit = sim_loop_quit,
    .watch_signals = sim_loop_watch_signals,
    .is_current = sim_loop_is_current,
    .may_touch = sim_loop_may_touch,
    .now_ms = sim_loop_now_ms,
    .post = sim_loop_post,
    .deferred = sim_loop_changed,
    .timer_changed = sim_loop_changed,
    .listen = sim_listen,
    .connect = sim_connect,
};

enum err
sim_loop_new(struct env *base, const char *name, struct loop **out)
{
    struct sim_env *env = (struct sim_env *)base;
    if (env->dead)
        return ERR_FAILED;
    struct sim_loop *loop = sim_alloc(sizeof *loop);
    loop_init(&loop->loop, &sim_loop_ops, base, name);
    loop->env = env;
    loop->id = env->host->sim->id_next++;
    sim_event_init(&loop->turn, env->host, SIM_EVENT_TURN, loop->id, sim_loop_turn);
    list_init(&loop->mailbox);
    list_init(&loop->socks);
    list_init(&loop->listeners);
    list_push(&env->loops, &loop->link);
    *out = &loop->loop;
    return ERR_OK;
}

/* ---- the end of a life ---- */

void
sim_loops_crash(struct sim_env *env)
{
    struct sim *sim = env->host->sim;
    LIST_FOREACH (&env->loops, at)
        sim_unschedule(sim, &LIST_ENTRY(at, struct sim_loop, link)->turn);
    sim_pools_crash(env);
}
