/* os/loop.h - event loops: tasks from any thread, timers, sockets; and the I/O pool.
 *
 * A loop is one role (a reactor, the raft loop, a client's thread): it takes one event at a time
 * and runs it to completion. In the real environment each loop is a thread around libuv; in the
 * simulated one there are no threads and a scheduler picks, from the seed, which loop takes its
 * next event and when timers, socket operations and pool work complete.
 *
 * Unless marked "any thread", a function is for the loop's own thread, or for anybody before
 * loop_start. Callbacks run on the loop. */
#ifndef OS_LOOP_H
#define OS_LOOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"
#include "base/heap.h"
#include "base/list.h"
#include "os/env.h"

struct loop;

/* ---- loops ---- */

MUST_USE enum err loop_new(struct env *env, const char *name, struct loop **out);
/* Real: starts the thread. */
MUST_USE enum err loop_start(struct loop *loop);
/* Any thread but its own: stops taking events and joins the thread. Tasks still queued are dropped
 * without being run or touched: their owners stop first. In the simulator it just marks the loop.
 */
void loop_stop(struct loop *loop);
/* Stopped, and every socket of it closed. Timers still running never fire. */
void loop_free(struct loop **loop);
struct env *loop_env(struct loop *loop);
/* True on the loop's thread (in the simulator: while one of its events runs). Any thread. */
bool loop_is_current(const struct loop *loop);
/* Real, for programs whose main thread is the loop: runs here until loop_stop from another thread
 * or loop_quit from an event (one that came before counts). Instead of loop_start; repeatable. */
void loop_run_here(struct loop *loop);
void loop_quit(struct loop *loop);
/* Real, for the loop that serves the process: fn runs on the loop for each SIGINT and SIGTERM. Once
 * per loop, before it starts. UNSUPPORTED in the simulator. */
MUST_USE enum err loop_watch_signals(
    struct loop *loop, void (*fn)(void *ctx, int signum), void *ctx);

/* The clock of the current turn of the loop: cheap, as old as the turn. Between runs
 * (loop_run_here) the time it is. */
int64_t loop_now_ms(const struct loop *loop);
/* Real, for a program with a loop of its own: a descriptor that becomes readable when this loop has
 * something to do, and in how many ms it wants to run even so (-1: never); -1 in the simulator.
 * Between runs; both are true until the loop is used or run again. */
int loop_poll_fd(const struct loop *loop, int64_t *wait_ms);

/* Before it runs. A loop that one peer wakes again and again, each time soon, because it asks when
 * it was answered, looks for so long whether it asks before it sleeps: to wake a processor often
 * takes longer than the peer. Others that want the processor come first. 0, as at first: it sleeps
 * at once. Nothing in the simulator. */
void loop_linger(struct loop *loop, int64_t for_ns);

/* What the loop did since it began; any thread. Zero in the simulator. Idle: it waited for events,
 * the wait that goes on now included. Read while a wait ends it may be that much less than before:
 * who shows it as a counter keeps the most he has seen. */
struct loop_stats {
    uint64_t turns;
    int64_t idle_ns;
};
void loop_stats_get(const struct loop *loop, struct loop_stats *out);

/* ---- tasks: the mailbox ---- */

/* Embedded in whatever crosses; ownership of the payload moves with it. Queued at most once at a
 * time (asserted). */
struct loop_task {
    struct list link;
    void (*run)(struct loop_task *task);
    bool queued;
};

static inline void
loop_task_init(struct loop_task *task, void (*run)(struct loop_task *task))
{
    list_init(&task->link);
    task->run = run;
    task->queued = false;
}

/* Any thread. In order per sender. */
void loop_post(struct loop *loop, struct loop_task *task);
/* Runs when the current turn's events are done, before the loop waits again: to batch what several
 * events of one turn brought. Own thread. */
void loop_defer(struct loop *loop, struct loop_task *task);

/* ---- timers ---- */

struct loop_timer {
    struct heap_node node;
    struct loop *loop;
    void (*fire)(struct loop_timer *timer);
};

void loop_timer_init(
    struct loop_timer *timer, struct loop *loop, void (*fire)(struct loop_timer *timer));
/* One shot, at loop time + delay_ms (>= 0); restarts when running already. NOMEM possible only when
 * more timers run than ever before. */
MUST_USE enum err loop_timer_start(struct loop_timer *timer, int64_t delay_ms);
void loop_timer_stop(struct loop_timer *timer); /* not running is fine */
bool loop_timer_running(const struct loop_timer *timer);

/* ---- sockets ----
 * Non-blocking streams. A sock belongs to one loop at a time; an accepted one arrives detached and
 * is attached to the loop that will serve it. */

struct sock;

struct sock_addr {
    struct sockaddr_storage storage;
    socklen_t len;
};

/* Numeric host ("127.0.0.1", "::1", "0.0.0.0") and port. */
MUST_USE enum err sock_addr_parse(struct str host, uint16_t port, struct sock_addr *out);
/* "127.0.0.1" or "::1", terminated; port in *port when not NULL. */
void sock_addr_format(const struct sock_addr *addr, char *out, size_t size, uint16_t *port);
/* Blocking name look-up, for pool work or start-up; at most `max` results. */
MUST_USE enum err sock_addr_resolve(
    struct env *env, struct str host, uint16_t port, struct sock_addr *out, int max, int *count);

struct sock_events {
    /* Level-triggered while wanted: data, end of stream or an error can be read; room to write. */
    void (*readable)(void *ctx);
    void (*writable)(void *ctx);
};

struct sock_listener;
struct sock_listen_opts {
    struct sock_addr addr; /* port 0 picks one: sock_listener_port */
    int backlog;
    /* Of each connection in the kernel, which takes twice as much for its own needs; 0: it decides.
     */
    int send_buffer_bytes;
    int receive_buffer_bytes;
};
/* on_accept takes the sock. */
MUST_USE enum err sock_listen(struct loop *loop, const struct sock_listen_opts *opts,
    void (*on_accept)(void *ctx, struct sock *sock), void *ctx, struct sock_listener **out);
uint16_t sock_listener_port(const struct sock_listener *listener);
/* Stops and starts accepting, e.g. at the limit of connections. */
void sock_listener_pause(struct sock_listener *listener, bool paused);
void sock_listener_close(struct sock_listener **listener);

/* Starts to connect; becomes writable when connected, or readable with an error. Attached. */
MUST_USE enum err sock_connect(struct loop *loop, const struct sock_addr *addr,
    const struct sock_events *events, void *ctx, struct sock **out);
/* Any thread may hold a detached sock; attaching is for the loop's own thread. */
MUST_USE enum err sock_attach(
    struct sock *sock, struct loop *loop, const struct sock_events *events, void *ctx);
void sock_want(struct sock *sock, bool readable, bool writable);
/* ERR_AGAIN: nothing now. ERR_CLOSED: end of stream. *n > 0 on OK. */
MUST_USE enum err sock_read(struct sock *sock, void *data, size_t len, size_t *n);
MUST_USE enum err sock_writev(struct sock *sock, const struct bytes *parts, int count, size_t *n);
/* Sends file bytes without copying them through the process where the kernel can. */
MUST_USE enum err sock_sendfile(
    struct sock *sock, struct env_file *file, int64_t position, size_t len, size_t *n);
/* OK once connected, AGAIN while connecting, the error otherwise. */
MUST_USE enum err sock_connect_result(struct sock *sock);
void sock_peer(const struct sock *sock, struct sock_addr *out);
/* Detaches and closes; nulls. No callback comes afterwards. */
void sock_close(struct sock **sock);

/* ---- pools: what may block on the disk, or computes for long ---- */

struct pool;

struct pool_work {
    struct list link;
    void (*run)(struct pool_work *work); /* on a pool thread; posts its result itself */
    bool gives_way;                      /* where the pool is pressed its thread rests after it */
};

MUST_USE enum err pool_new(struct env *env, const char *name, int threads, struct pool **out);
/* Of work that computes for long: its threads give way to all others of the process, and of the
 * machine. Such work holds no lock while it runs long. */
MUST_USE enum err pool_new_background(
    struct env *env, const char *name, int threads, struct pool **out);
/* Any thread. Work of one pool may run in any order and side by side. */
void pool_submit(struct pool *pool, struct pool_work *work);
/* Somebody is at work (at now_ms, by loop_now_ms) whom a background pool must not delay: for the
 * next moments its threads rest after each work that gives way, the longer the longer it took. Any
 * thread; costs a load. Simulator: changes only what pool_is_pressed says. */
void pool_press(struct pool *pool, int64_t now_ms);
bool pool_is_pressed(const struct pool *pool, int64_t now_ms);
/* Waits for all work that was submitted (simulator: runs it), then frees. */
void pool_free(struct pool **pool);

#endif
