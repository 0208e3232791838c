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
    uv_async_t wake;
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

    /* The starter's. */
    pthread_t thread;
    bool joinable;

    /* Any thread. */
    _Atomic(struct loop_task *) mailbox; /* a stack, newest first, linked by link.next */
    _Atomic bool sleeping;               /* the loop waits, or is about to: wake it */
    _Atomic bool stopping;
    _Atomic bool running;
};

enum err sock_real_listen(struct loop *loop, const struct sock_addr *addr, int backlog,
    void (*on_accept)(void *ctx, struct sock *sock), void *ctx, struct sock_listener **out);
enum err sock_real_connect(struct loop *loop, const struct sock_addr *addr, struct sock **out);

#endif
