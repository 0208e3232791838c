/* os/loop_priv.h - what an environment supplies for loops, sockets and the pool. */
#ifndef OS_LOOP_PRIV_H
#define OS_LOOP_PRIV_H

#include <stdatomic.h>

#include "os/loop.h"

enum { LOOP_NAME_SIZE = 16, ACCEPT_PER_TURN = 64, ACCEPT_RETRY_MS = 100, POOL_PRESSED_MS = 20 };

struct loop_ops {
    enum err (*start)(struct loop *loop);
    void (*stop)(struct loop *loop);
    void (*free)(struct loop *loop);
    void (*run_here)(struct loop *loop);
    void (*quit)(struct loop *loop);
    enum err (*watch_signals)(struct loop *loop, void (*fn)(void *ctx, int signum), void *ctx);
    bool (*is_current)(const struct loop *loop);
    bool (*may_touch)(const struct loop *loop); /* its own thread, or it does not run */
    int64_t (*now_ms)(const struct loop *loop);
    int (*poll_fd)(const struct loop *loop, int64_t *wait_ms); /* NULL: there is none */
    void (*post)(struct loop *loop, struct loop_task *task);
    void (*deferred)(struct loop *loop);      /* the list of deferred tasks is no longer empty */
    void (*timer_changed)(struct loop *loop); /* the earliest timer may be another */

    enum err (*listen)(struct loop *loop, const struct sock_listen_opts *opts,
        void (*on_accept)(void *ctx, struct sock *sock), void *ctx, struct sock_listener **out);
    enum err (*connect)(struct loop *loop, const struct sock_addr *addr, struct sock **out);
};

/* First member of each kind of loop. */
struct loop {
    const struct loop_ops *ops;
    struct env *env;
    char name[LOOP_NAME_SIZE];
    struct heap timers;   /* own thread; keys are loop_now_ms */
    struct list deferred; /* own thread */
    int64_t linger_ns;    /* see loop_linger; fixed when it runs */
    /* Written by the own thread, read by anyone: struct loop_stats. */
    _Atomic uint64_t turns;
    _Atomic int64_t idle_ns;       /* in waits that ended */
    _Atomic int64_t wait_began_ns; /* of the wait that goes on; 0: none */
};

struct sock_ops {
    enum err (*attach)(struct sock *sock, struct loop *loop);
    void (*want_changed)(struct sock *sock);
    enum err (*read)(struct sock *sock, void *data, size_t len, size_t *n);
    enum err (*writev)(struct sock *sock, const struct bytes *parts, int count, size_t *n);
    enum err (*sendfile)(
        struct sock *sock, struct env_file *file, int64_t position, size_t len, size_t *n);
    enum err (*connect_result)(struct sock *sock);
    void (*close)(struct sock *sock);
};

/* First member of each kind of socket. */
struct sock {
    const struct sock_ops *ops;
    struct loop *loop; /* NULL while detached */
    const struct sock_events *events;
    void *ctx;
    struct sock_addr peer;
    bool want_read;
    bool want_write;
};

struct sock_listener_ops {
    void (*pause)(struct sock_listener *listener, bool paused);
    void (*close)(struct sock_listener *listener);
};

struct sock_listener {
    const struct sock_listener_ops *ops;
    struct loop *loop;
    void (*on_accept)(void *ctx, struct sock *sock);
    void *ctx;
    uint16_t port;
    bool paused; /* by its owner */
};

struct pool_ops {
    void (*submit)(struct pool *pool, struct pool_work *work);
    void (*free)(struct pool *pool);
};

struct pool {
    const struct pool_ops *ops;
    _Atomic int64_t pressed_ms; /* when it was last; 0: never */
};

/* ---- for the environments ---- */

void loop_init(struct loop *loop, const struct loop_ops *ops, struct env *env, const char *name);
void loop_fini(struct loop *loop); /* asserts that no timer runs; deferred tasks are forgotten */
/* Fires what is due at now_ms, each timer at most once. */
void loop_fire_timers(struct loop *loop, int64_t now_ms);
/* Fires the first due timer; false when there is none. */
bool loop_fire_timer(struct loop *loop, int64_t now_ms, uint64_t sequence_end);
/* Key of the earliest timer, INT64_MAX without one. */
int64_t loop_timer_earliest(const struct loop *loop);
void loop_run_task(struct loop_task *task);
/* Runs what is deferred now; what that defers waits for the next call. */
void loop_run_deferred(struct loop *loop);

#endif
