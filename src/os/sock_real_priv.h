/* os/sock_real_priv.h - the libuv loop as its sockets see it. */
#ifndef OS_SOCK_REAL_PRIV_H
#define OS_SOCK_REAL_PRIV_H

#include <pthread.h>
#include <stdatomic.h>
#include <uv.h>

#include "os/env_priv.h"
#include "os/loop_priv.h"

enum { LOOP_SIGNALS = 2 };

struct loop_real {
    struct loop loop;

    /* Own thread, or anybody while the loop does not run. */
    uv_loop_t uv;
    uv_poll_t wake;
    int wake_fd;
    uv_prepare_t prepare;
    uv_check_t check;
    uv_idle_t idle; /* active when the next wait must not block */
    uv_timer_t timer;
    uv_signal_t signals[LOOP_SIGNALS];
    bool signals_open;
    void (*on_signal)(void *ctx, int signum);
    void *on_signal_ctx;
    int64_t timer_at_ms; /* when `timer` fires; INT64_MAX: not armed */
    int open_count;      /* sockets and listeners */
    const void *talker;  /* the socket that woke it last; only compared */
    int talks;           /* times in a row that it did, each after a short wait */
    int said;            /* writes to sockets in this turn */

    /* The starter's. */
    pthread_t thread;
    bool joinable;

    /* Any thread. */
    _Atomic(struct loop_task *) mailbox; /* a stack, newest first, linked by link.next */
    _Atomic bool sleeping;               /* the loop waits, or is about to: wake it */
    _Atomic bool stopping;
    _Atomic bool running;
};

/* A wait that a peer ends which asks when it is answered, with what it takes to wake up. */
enum { LOOP_TALK_NS = 150000 };

/* A turn ends: the loop is about to wait. */
static inline void
loop_real_waits(struct loop_real *real)
{
    struct loop *loop = &real->loop;
    uint64_t turns = atomic_load_explicit(&loop->turns, memory_order_relaxed);
    atomic_store_explicit(&loop->turns, turns + 1, memory_order_relaxed);
    atomic_store_explicit(&loop->wait_began_ns, env_now_ns(loop->env), memory_order_relaxed);
}

/* At the begin of whatever a wait may end with: the first one of a turn ends it. */
static inline void
loop_real_woke(struct loop_real *real)
{
    struct loop *loop = &real->loop;
    int64_t began_ns = atomic_load_explicit(&loop->wait_began_ns, memory_order_relaxed);
    int64_t idle_ns = atomic_load_explicit(&loop->idle_ns, memory_order_relaxed);
    if (began_ns == 0)
        return;
    int64_t waited_ns = env_now_ns(loop->env) - began_ns;
    if (waited_ns > LOOP_TALK_NS)
        real->talks = 0;
    idle_ns += waited_ns;
    atomic_store_explicit(&loop->idle_ns, idle_ns, memory_order_relaxed);
    atomic_store_explicit(&loop->wait_began_ns, 0, memory_order_relaxed);
}

/* A socket has something to say. */
static inline void
loop_real_heard(struct loop_real *real, const void *socket)
{
    loop_real_woke(real);
    real->talks = real->talker == socket ? real->talks + (real->talks < INT16_MAX) : 0;
    real->talker = socket;
}

enum err sock_real_listen(struct loop *loop, const struct sock_listen_opts *opts,
    void (*on_accept)(void *ctx, struct sock *sock), void *ctx, struct sock_listener **out);
enum err sock_real_connect(struct loop *loop, const struct sock_addr *addr, struct sock **out);

#endif
