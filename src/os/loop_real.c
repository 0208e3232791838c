/* What: a loop on libuv, a thread of its own.
 *
 * A turn: wait for events; run them; run the mailbox; run what was deferred; wait again. Before it
 * sleeps it may look for a while whether the peer it talks with says more (loop_linger), and after
 * a turn with answers for a crowd it lets other threads go first. Waking: a poster wakes the loop
 * only when it sleeps or is about to, and only the first one does. Both sides use sequentially
 * consistent operations: the loop sets `sleeping` and then looks into the mailbox, the poster puts
 * into the mailbox and then looks at `sleeping`, so one of them sees the other. The waker is an
 * eventfd of our own: the library's makes the loop spin until a waker that was preempted has run
 * on. Invariants: I1 while timers run and the loop does not fire them, timer_at_ms <= the earliest.
 * I2 open_count is 0 when the loop is freed.
 * Threads: see the blocks of struct loop_real. Errors: only at creation. */
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "os/sock_real_priv.h"

enum { TALKS_MIN = 16, CROWD_MIN = 4 };

/* The loop whose thread this is. */
static _Thread_local const struct loop *loop_current;

static struct loop_real *
real_of(const struct loop *loop)
{
    return (struct loop_real *)(uintptr_t)loop;
}

static bool
loop_real_is_current(const struct loop *loop)
{
    return loop_current == loop;
}

static bool
loop_real_may_touch(const struct loop *loop)
{
    return loop_current == loop || !atomic_load(&real_of(loop)->running);
}

static int64_t
loop_real_now_ms(const struct loop *loop)
{
    struct loop_real *real = real_of(loop);
    /* Between runs no turn keeps the clock: a timer would start in the past. */
    if (!atomic_load_explicit(&real->running, memory_order_relaxed))
        uv_update_time(&real->uv);
    return (int64_t)uv_now(&real->uv);
}

static void loop_real_arm(struct loop_real *real);

static int
loop_real_poll_fd(const struct loop *loop, int64_t *wait_ms)
{
    struct loop_real *real = real_of(loop);
    ASSERT(!atomic_load(&real->running));
    uv_update_time(&real->uv);
    /* As on_prepare, which the next turn begins with. */
    if (real->timer_at_ms == INT64_MIN) {
        real->timer_at_ms = INT64_MAX;
        loop_real_arm(real);
    }
    if (atomic_load(&real->mailbox) == NULL && list_empty(&real->loop.deferred))
        uv_idle_stop(&real->idle);
    *wait_ms = uv_backend_timeout(&real->uv);
    return uv_backend_fd(&real->uv);
}

/* ---- tasks ---- */

static void
loop_real_wake(struct loop_real *real)
{
    /* Refused only when it is full: then the loop wakes anyway. */
    while (eventfd_write(real->wake_fd, 1) < 0 && errno == EINTR)
        ;
}

static void
loop_real_post(struct loop *loop, struct loop_task *task)
{
    struct loop_real *real = real_of(loop);
    struct loop_task *head = atomic_load_explicit(&real->mailbox, memory_order_relaxed);
    do {
        task->link.next = (struct list *)(void *)head;
    } while (!atomic_compare_exchange_weak(&real->mailbox, &head, task));
    if (atomic_load(&real->sleeping) && atomic_exchange(&real->sleeping, false))
        loop_real_wake(real);
}

/* All of the mailbox, oldest first. */
static struct loop_task *
loop_real_take_mail(struct loop_real *real)
{
    struct loop_task *newest = atomic_exchange(&real->mailbox, NULL), *oldest = NULL;
    while (newest != NULL) {
        struct loop_task *next = (struct loop_task *)(void *)newest->link.next;
        newest->link.next = (struct list *)(void *)oldest;
        oldest = newest;
        newest = next;
    }
    return oldest;
}

static void
loop_real_run_mail(struct loop_real *real)
{
    if (atomic_load_explicit(&real->mailbox, memory_order_relaxed) == NULL)
        return;
    struct loop_task *task = loop_real_take_mail(real);
    while (task != NULL) {
        struct loop_task *next = (struct loop_task *)(void *)task->link.next;
        list_init(&task->link);
        loop_run_task(task);
        task = next;
    }
}

static void
loop_real_deferred(struct loop *loop)
{
    (void)loop; /* prepare and check look */
}

/* ---- turns ---- */

static void
on_idle(uv_idle_t *idle)
{
    (void)idle; /* it only keeps the loop from blocking */
}

/* Looks whether something comes, instead of sleeping at once. When it does not, the peer is
 * believed again after as many short waits as at first. */
static void
linger(struct loop_real *real)
{
    int64_t until_ns = env_now_ns(real->loop.env) + real->loop.linger_ns;
    struct pollfd all = {.fd = uv_backend_fd(&real->uv), .events = POLLIN};
    do {
        if (poll(&all, 1, 0) != 0)
            return;
        sched_yield();
    } while (env_now_ns(real->loop.env) < until_ns);
    real->talks = 0;
}

/* After a turn that answered a crowd the others on this processor go first: some of them may be who
 * was answered, and what they ask meanwhile comes all in one turn and wakes nobody. */
static void
give_way(struct loop_real *real)
{
    if (real->said >= CROWD_MIN)
        sched_yield();
    real->said = 0;
}

/* Before the wait. */
static void
on_prepare(uv_prepare_t *handle)
{
    struct loop_real *real = handle->data;
    loop_run_deferred(&real->loop);
    if (real->timer_at_ms == INT64_MIN) {
        real->timer_at_ms = INT64_MAX;
        loop_real_arm(real);
    }
    loop_real_waits(real);
    give_way(real);
    atomic_store(&real->sleeping, true);
    if (atomic_load(&real->stopping)) {
        uv_stop(&real->uv);
        uv_idle_start(&real->idle, on_idle);
    } else if (atomic_load(&real->mailbox) != NULL || !list_empty(&real->loop.deferred)) {
        atomic_store(&real->sleeping, false);
        uv_idle_start(&real->idle, on_idle);
    } else {
        uv_idle_stop(&real->idle);
        if (real->talks >= TALKS_MIN && real->loop.linger_ns > 0 &&
            uv_backend_timeout(&real->uv) != 0)
            linger(real);
    }
}

/* After the wait and its events. */
static void
on_check(uv_check_t *handle)
{
    struct loop_real *real = handle->data;
    loop_real_woke(real);
    atomic_store_explicit(&real->sleeping, false, memory_order_relaxed);
    if (atomic_load(&real->stopping)) {
        uv_stop(&real->uv);
        return;
    }
    loop_real_run_mail(real);
    loop_run_deferred(&real->loop);
}

static void
on_wake(uv_poll_t *handle, int status, int events)
{
    struct loop_real *real = handle->data;
    eventfd_t count;
    (void)status;
    (void)events;
    (void)eventfd_read(real->wake_fd, &count);
    loop_real_woke(real); /* check does the rest */
}

static void
on_timer(uv_timer_t *handle)
{
    struct loop_real *real = handle->data;
    /* The library fires timers until none is due: one that starts itself again with no delay must
     * not be armed before the sockets had their turn, so on_prepare does it. */
    real->timer_at_ms = INT64_MIN;
    loop_fire_timers(&real->loop, (int64_t)uv_now(&real->uv));
}

static void
loop_real_arm(struct loop_real *real)
{
    int64_t at = loop_timer_earliest(&real->loop), now = (int64_t)uv_now(&real->uv);
    if (at >= real->timer_at_ms) /* it wakes early enough, perhaps for nothing */
        return;
    int r = uv_timer_start(&real->timer, on_timer, at > now ? (uint64_t)(at - now) : 0, 0);
    ASSERT(r == 0);
    real->timer_at_ms = at;
}

static void
loop_real_timer_changed(struct loop *loop)
{
    loop_real_arm(real_of(loop));
}

/* ---- life ---- */

static void
loop_real_run(struct loop_real *real)
{
    loop_current = &real->loop;
    uv_update_time(&real->uv);
    if (!atomic_load(&real->stopping))
        uv_run(&real->uv, UV_RUN_DEFAULT);
    atomic_store(&real->running, false);
    loop_current = NULL;
}

static void *
loop_real_thread(void *arg)
{
    struct loop_real *real = arg;
    loop_real_run(real);
    return NULL;
}

static enum err
loop_real_start(struct loop *loop)
{
    struct loop_real *real = real_of(loop);
    sigset_t all, before;
    ASSERT(!atomic_load(&real->running) && !real->joinable);
    atomic_store(&real->running, true);
    /* Signals are the main thread's; a broken pipe under sendfile is an error code. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int r = pthread_create(&real->thread, NULL, loop_real_thread, real);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (r != 0) {
        atomic_store(&real->running, false);
        return r == EAGAIN ? ERR_LIMIT : os_err_of(r);
    }
    pthread_setname_np(real->thread, loop->name);
    real->joinable = true;
    return ERR_OK;
}

static void
loop_real_stop(struct loop *loop)
{
    struct loop_real *real = real_of(loop);
    atomic_store(&real->stopping, true);
    loop_real_wake(real);
    if (real->joinable) {
        pthread_join(real->thread, NULL);
        real->joinable = false;
    }
}

static void
loop_real_run_here(struct loop *loop)
{
    struct loop_real *real = real_of(loop);
    sigset_t pipe_only, before;
    ASSERT(!atomic_load(&real->running) && !real->joinable);
    atomic_store(&real->running, true);
    sigemptyset(&pipe_only);
    sigaddset(&pipe_only, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe_only, &before);
    loop_real_run(real);
    atomic_store(&real->stopping, false); /* it may run here again */
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static void
loop_real_quit(struct loop *loop)
{
    atomic_store(&real_of(loop)->stopping, true);
    uv_stop(&real_of(loop)->uv);
}

static void
on_signal(uv_signal_t *handle, int signum)
{
    struct loop_real *real = handle->data;
    real->on_signal(real->on_signal_ctx, signum);
}

static enum err
loop_real_watch_signals(struct loop *loop, void (*fn)(void *ctx, int signum), void *ctx)
{
    static const int signums[LOOP_SIGNALS] = {SIGINT, SIGTERM};
    struct loop_real *real = real_of(loop);
    ASSERT(!real->signals_open);
    real->on_signal = fn;
    real->on_signal_ctx = ctx;
    for (int i = 0; i < LOOP_SIGNALS; i++) {
        int r = uv_signal_init(&real->uv, &real->signals[i]);
        ASSERT(r == 0 || i == 0); /* the first one makes the loop's pipe, which may fail */
        if (r != 0)
            return os_err_of(-r);
        real->signals[i].data = real;
    }
    real->signals_open = true;
    for (int i = 0; i < LOOP_SIGNALS; i++) {
        int r = uv_signal_start(&real->signals[i], on_signal, signums[i]);
        if (r != 0)
            return os_err_of(-r);
    }
    return ERR_OK;
}

static void
loop_real_free(struct loop *loop)
{
    struct loop_real *real = real_of(loop);
    ASSERT(!atomic_load(&real->running) && !real->joinable);
    ASSERT(real->open_count == 0); /* I2 */
    uv_close((uv_handle_t *)&real->wake, NULL);
    uv_close((uv_handle_t *)&real->prepare, NULL);
    uv_close((uv_handle_t *)&real->check, NULL);
    uv_close((uv_handle_t *)&real->idle, NULL);
    uv_close((uv_handle_t *)&real->timer, NULL);
    for (int i = 0; real->signals_open && i < LOOP_SIGNALS; i++)
        uv_close((uv_handle_t *)&real->signals[i], NULL);
    while (uv_run(&real->uv, UV_RUN_NOWAIT) != 0)
        ;
    int r = uv_loop_close(&real->uv);
    ASSERT(r == 0);
    close(real->wake_fd);
    /* Tasks still in the mailbox may be gone with their owners by now: they are not touched. */
    loop_fini(loop);
    mem_free(real);
}

static const struct loop_ops loop_real_ops = {
    .start = loop_real_start,
    .stop = loop_real_stop,
    .free = loop_real_free,
    .run_here = loop_real_run_here,
    .quit = loop_real_quit,
    .watch_signals = loop_real_watch_signals,
    .is_current = loop_real_is_current,
    .may_touch = loop_real_may_touch,
    .now_ms = loop_real_now_ms,
    .poll_fd = loop_real_poll_fd,
    .post = loop_real_post,
    .deferred = loop_real_deferred,
    .timer_changed = loop_real_timer_changed,
    .listen = sock_real_listen,
    .connect = sock_real_connect,
};

enum err
loop_real_new(struct env *env, const char *name, struct loop **out)
{
    struct loop_real *real = mem_calloc(1, sizeof *real);
    if (real == NULL)
        return ERR_NOMEM;
    int r = uv_loop_init(&real->uv);
    if (r != 0) {
        mem_free(real);
        return os_err_of(-r);
    }
    real->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    r = real->wake_fd < 0 ? -errno : uv_poll_init(&real->uv, &real->wake, real->wake_fd);
    if (r != 0) {
        if (real->wake_fd >= 0)
            close(real->wake_fd);
        int closed = uv_loop_close(&real->uv);
        ASSERT(closed == 0);
        mem_free(real);
        return os_err_of(-r);
    }
    uv_prepare_init(&real->uv, &real->prepare);
    uv_check_init(&real->uv, &real->check);
    uv_idle_init(&real->uv, &real->idle);
    uv_timer_init(&real->uv, &real->timer);
    real->wake.data = real->prepare.data = real->check.data = real->timer.data = real;
    r = uv_poll_start(&real->wake, UV_READABLE, on_wake);
    ASSERT(r == 0);
    uv_prepare_start(&real->prepare, on_prepare);
    uv_check_start(&real->check, on_check);
    loop_init(&real->loop, &loop_real_ops, env, name);
    real->timer_at_ms = INT64_MAX;
    atomic_init(&real->mailbox, NULL);
    atomic_init(&real->sleeping, false);
    atomic_init(&real->stopping, false);
    atomic_init(&real->running, false);
    *out = &real->loop;
    return ERR_OK;
}
