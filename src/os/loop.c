/* What: the half of loops and sockets that both environments share: timers on a heap, deferred
 * tasks, and passing on to the environment's table.
 * Invariants: I1 a timer is in loop->timers exactly while it runs. I2 task->queued is true exactly
 * while the task is in a mailbox or the list of deferred tasks.
 * Threads: the loop's own, or anybody's while it does not run (asserted), but for loop_post. */
#include "os/loop.h"

#include <stdio.h>

#include "base/assert.h"
#include "os/env_priv.h"
#include "os/loop_priv.h"

void
loop_init(struct loop *loop, const struct loop_ops *ops, struct env *env, const char *name)
{
    loop->ops = ops;
    loop->env = env;
    snprintf(loop->name, sizeof loop->name, "%s", name);
    heap_init(&loop->timers);
    list_init(&loop->deferred);
}

void
loop_fini(struct loop *loop)
{
    /* Timers still in it belong to requests that ended with the loop; their memory may be gone. */
    heap_fini(&loop->timers);
}

enum err
loop_new(struct env *env, const char *name, struct loop **out)
{
    return env->ops->loop_new(env, name, out);
}

enum err
loop_start(struct loop *loop)
{
    return loop->ops->start(loop);
}

void
loop_stop(struct loop *loop)
{
    ASSERT(!loop_is_current(loop));
    loop->ops->stop(loop);
}

void
loop_free(struct loop **loop)
{
    if (*loop == NULL)
        return;
    (*loop)->ops->free(*loop);
    *loop = NULL;
}

struct env *
loop_env(struct loop *loop)
{
    return loop->env;
}

bool
loop_is_current(const struct loop *loop)
{
    return loop->ops->is_current(loop);
}

void
loop_run_here(struct loop *loop)
{
    loop->ops->run_here(loop);
}

void
loop_quit(struct loop *loop)
{
    ASSERT(loop->ops->may_touch(loop));
    loop->ops->quit(loop);
}

enum err
loop_watch_signals(struct loop *loop, void (*fn)(void *ctx, int signum), void *ctx)
{
    ASSERT(loop->ops->may_touch(loop));
    return loop->ops->watch_signals(loop, fn, ctx);
}

int64_t
loop_now_ms(const struct loop *loop)
{
    return loop->ops->now_ms(loop);
}

int
loop_poll_fd(const struct loop *loop, int64_t *wait_ms)
{
    return loop->ops->poll_fd == NULL ? -1 : loop->ops->poll_fd(loop, wait_ms);
}

void
loop_stats_get(const struct loop *loop, struct loop_stats *out)
{
    out->turns = atomic_load_explicit(&loop->turns, memory_order_relaxed);
    out->idle_ns = atomic_load_explicit(&loop->idle_ns, memory_order_relaxed);
    int64_t began_ns = atomic_load_explicit(&loop->wait_began_ns, memory_order_relaxed);
    int64_t now_ns = env_now_ns(loop->env);
    if (began_ns != 0 && now_ns > began_ns)
        out->idle_ns += now_ns - began_ns;
}

/* ---- tasks ---- */

void
loop_post(struct loop *loop, struct loop_task *task)
{
    ASSERT(!task->queued); /* I2 */
    task->queued = true;
    loop->ops->post(loop, task);
}

void
loop_defer(struct loop *loop, struct loop_task *task)
{
    ASSERT_SLOW(loop->ops->may_touch(loop));
    ASSERT(!task->queued); /* I2 */
    task->queued = true;
    bool first = list_empty(&loop->deferred);
    list_push(&loop->deferred, &task->link);
    if (first)
        loop->ops->deferred(loop);
}

void
loop_run_task(struct loop_task *task)
{
    ASSERT(task->queued);
    task->queued = false;
    task->run(task); /* may free the task or queue it again */
}

void
loop_run_deferred(struct loop *loop)
{
    struct list now;
    list_init(&now);
    list_splice(&now, &loop->deferred);
    for (struct list *at; (at = list_pop(&now)) != NULL;)
        loop_run_task(LIST_ENTRY(at, struct loop_task, link));
}

/* ---- timers ---- */

void
loop_timer_init(struct loop_timer *timer, struct loop *loop, void (*fire)(struct loop_timer *timer))
{
    heap_node_init(&timer->node);
    timer->loop = loop;
    timer->fire = fire;
}

enum err
loop_timer_start(struct loop_timer *timer, int64_t delay_ms)
{
    struct loop *loop = timer->loop;
    ASSERT(delay_ms >= 0);
    ASSERT_SLOW(loop->ops->may_touch(loop));
    int64_t at;
    if (__builtin_add_overflow(loop_now_ms(loop), delay_ms, &at))
        at = INT64_MAX - 1;
    heap_remove(&loop->timers, &timer->node);
    enum err err = heap_push(&loop->timers, &timer->node, at);
    if (err == ERR_OK)
        loop->ops->timer_changed(loop);
    return err;
}

void
loop_timer_stop(struct loop_timer *timer)
{
    /* The environment may wake for nothing once; cheaper than telling it of each stop. */
    heap_remove(&timer->loop->timers, &timer->node);
}

bool
loop_timer_running(const struct loop_timer *timer)
{
    return timer->node.index != HEAP_NOT_IN;
}

int64_t
loop_timer_earliest(const struct loop *loop)
{
    const struct heap_node *node = heap_peek(&loop->timers);
    return node == NULL ? INT64_MAX : node->key;
}

bool
loop_fire_timer(struct loop *loop, int64_t now_ms, uint64_t sequence_end)
{
    struct heap_node *node = heap_peek(&loop->timers);
    if (node == NULL || node->key > now_ms || node->sequence >= sequence_end)
        return false;
    heap_remove(&loop->timers, node);
    struct loop_timer *timer = CONTAINER_OF(node, struct loop_timer, node);
    timer->fire(timer); /* may free the timer or start it again */
    return true;
}

void
loop_fire_timers(struct loop *loop, int64_t now_ms)
{
    /* Timers started from now on wait for the next turn, or one could hold the loop for ever. */
    uint64_t sequence_end = loop->timers.sequence_next;
    while (loop_fire_timer(loop, now_ms, sequence_end))
        ;
}

/* ---- sockets ---- */

enum err
sock_listen(struct loop *loop, const struct sock_listen_opts *opts,
    void (*on_accept)(void *ctx, struct sock *sock), void *ctx, struct sock_listener **out)
{
    ASSERT(loop->ops->may_touch(loop));
    ASSERT(on_accept != NULL);
    return loop->ops->listen(loop, opts, on_accept, ctx, out);
}

uint16_t
sock_listener_port(const struct sock_listener *listener)
{
    return listener->port;
}

void
sock_listener_pause(struct sock_listener *listener, bool paused)
{
    ASSERT_SLOW(listener->loop->ops->may_touch(listener->loop));
    if (listener->paused == paused)
        return;
    listener->paused = paused;
    listener->ops->pause(listener, paused);
}

void
sock_listener_close(struct sock_listener **listener)
{
    if (*listener == NULL)
        return;
    ASSERT((*listener)->loop->ops->may_touch((*listener)->loop));
    (*listener)->ops->close(*listener);
    *listener = NULL;
}

enum err
sock_connect(struct loop *loop, const struct sock_addr *addr, const struct sock_events *events,
    void *ctx, struct sock **out)
{
    struct sock *sock = NULL;
    ASSERT(loop->ops->may_touch(loop));
    enum err err = loop->ops->connect(loop, addr, &sock);
    if (err != ERR_OK)
        return err;
    sock->events = events;
    sock->ctx = ctx;
    sock->peer = *addr;
    ASSERT(sock->loop == loop);
    *out = sock;
    return ERR_OK;
}

enum err
sock_attach(struct sock *sock, struct loop *loop, const struct sock_events *events, void *ctx)
{
    ASSERT(sock->loop == NULL);
    ASSERT(loop->ops->may_touch(loop));
    enum err err = sock->ops->attach(sock, loop);
    if (err != ERR_OK)
        return err;
    sock->loop = loop;
    sock->events = events;
    sock->ctx = ctx;
    return ERR_OK;
}

void
sock_want(struct sock *sock, bool readable, bool writable)
{
    ASSERT(sock->loop != NULL);
    ASSERT_SLOW(sock->loop->ops->may_touch(sock->loop));
    if (sock->want_read == readable && sock->want_write == writable)
        return;
    sock->want_read = readable;
    sock->want_write = writable;
    sock->ops->want_changed(sock);
}

enum err
sock_read(struct sock *sock, void *data, size_t len, size_t *n)
{
    ASSERT(len > 0);
    return sock->ops->read(sock, data, len, n);
}

enum err
sock_writev(struct sock *sock, const struct bytes *parts, int count, size_t *n)
{
    ASSERT(count > 0);
    return sock->ops->writev(sock, parts, count, n);
}

enum err
sock_sendfile(struct sock *sock, struct env_file *file, int64_t position, size_t len, size_t *n)
{
    ASSERT(len > 0);
    ASSERT(position >= 0);
    return sock->ops->sendfile(sock, file, position, len, n);
}

enum err
sock_connect_result(struct sock *sock)
{
    return sock->ops->connect_result(sock);
}

void
sock_peer(const struct sock *sock, struct sock_addr *out)
{
    *out = sock->peer;
}

void
sock_close(struct sock **sock)
{
    if (*sock == NULL)
        return;
    ASSERT_SLOW((*sock)->loop == NULL || (*sock)->loop->ops->may_touch((*sock)->loop));
    (*sock)->ops->close(*sock);
    *sock = NULL;
}

void
loop_linger(struct loop *loop, int64_t for_ns)
{
    ASSERT(for_ns >= 0);
    loop->linger_ns = for_ns;
}

/* ---- the pool ---- */

enum err
pool_new(struct env *env, const char *name, int threads, struct pool **out)
{
    ASSERT(threads > 0);
    return env->ops->pool_new(env, name, threads, false, out);
}

enum err
pool_new_background(struct env *env, const char *name, int threads, struct pool **out)
{
    ASSERT(threads > 0);
    return env->ops->pool_new(env, name, threads, true, out);
}

void
pool_submit(struct pool *pool, struct pool_work *work)
{
    pool->ops->submit(pool, work);
}

void
pool_press(struct pool *pool, int64_t now_ms)
{
    /* Few stores: each takes the line from whoever reads it. */
    if (atomic_load_explicit(&pool->pressed_ms, memory_order_relaxed) != now_ms)
        atomic_store_explicit(&pool->pressed_ms, now_ms, memory_order_relaxed);
}

bool
pool_is_pressed(const struct pool *pool, int64_t now_ms)
{
    int64_t pressed_ms = atomic_load_explicit(&pool->pressed_ms, memory_order_relaxed);
    return pressed_ms != 0 && now_ms - pressed_ms < POOL_PRESSED_MS;
}

void
pool_free(struct pool **pool)
{
    if (*pool == NULL)
        return;
    (*pool)->ops->free(*pool);
    *pool = NULL;
}
