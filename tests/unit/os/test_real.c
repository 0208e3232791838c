/* The real environment: the promises both keep, and what only a kernel has. */
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/attr.h"
#include "os/mutex.h"
#include "tests/unit/os/conform.h"

static bool
real_wait(struct world *w, bool (*done)(void *ctx), void *ctx)
{
    (void)w;
    for (int i = 0; i < 20000; i++) {
        if (done(ctx))
            return true;
        nanosleep(&(struct timespec){.tv_nsec = 500000}, NULL);
    }
    return done(ctx);
}

static int
world_open(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    struct env_real_opts opts = {.level_min = DIAG_INFO, .diag_fd = -1};
    test_dir_make(w->dir, sizeof w->dir);
    w->wait = real_wait;
    assert_int_equal(env_real_new(&opts, &w->env), ERR_OK);
    *state = w;
    return 0;
}

static int
world_close(void **state)
{
    struct world *w = *state;
    env_free(&w->env);
    test_dir_remove(w->dir);
    free(w);
    return 0;
}

struct crowd {
    struct loop *loop;
    struct sock_listener *listener;
    struct sock *socks[64];
    uint16_t port;
    enum err err;
    _Atomic int accepted;
};

static void
crowd_accept(void *ctx, struct sock *sock)
{
    struct crowd *crowd = ctx;
    crowd->socks[atomic_load(&crowd->accepted)] = sock;
    atomic_fetch_add(&crowd->accepted, 1);
}

static void
crowd_listen(void *ctx)
{
    struct crowd *crowd = ctx;
    struct sock_addr addr;
    crowd->err = sock_addr_parse(STR("127.0.0.1"), 0, &addr);
    if (crowd->err == ERR_OK)
        crowd->err =
            sock_listen(crowd->loop, &(struct sock_listen_opts){.addr = addr, .backlog = 64},
                crowd_accept, crowd, &crowd->listener);
    if (crowd->err == ERR_OK)
        crowd->port = sock_listener_port(crowd->listener);
}

static void
without_descriptors_accepting_waits_and_recovers(void **state)
{
    struct world *w = *state;
    struct crowd crowd = {.loop = world_loop(w, "crowd")};
    int clients[8], fillers[256], filled = 0;
    struct rlimit limit, small;
    world_call(w, crowd.loop, crowd_listen, &crowd);
    assert_int_equal(crowd.err, ERR_OK);
    for (int i = 0; i < 8; i++)
        clients[i] = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    small = limit;
    small.rlim_cur = 256;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &small), 0);
    for (int fd; filled < 256 && (fd = open("/dev/null", O_RDONLY)) >= 0;)
        fillers[filled++] = fd;
    struct sock_addr addr;
    assert_int_equal(sock_addr_parse(STR("127.0.0.1"), crowd.port, &addr), ERR_OK);
    for (int i = 0; i < 8; i++)
        assert_int_equal(connect(clients[i], (struct sockaddr *)&addr.storage, addr.len), 0);
    nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
    assert_int_equal(atomic_load(&crowd.accepted), 0);
    while (filled > 0)
        close(fillers[--filled]);
    assert_true(world_wait_count(w, &crowd.accepted, 8));
    setrlimit(RLIMIT_NOFILE, &limit);
    loop_stop(crowd.loop);
    for (int i = 0; i < 8; i++) {
        close(clients[i]);
        sock_close(&crowd.socks[i]);
    }
    sock_listener_close(&crowd.listener);
    loop_free(&crowd.loop);
}

/* Sends back what comes. */
struct talk {
    struct crowd crowd;
    _Atomic int tasks, timers;
    struct loop_task task;
    struct loop_timer timer;
};

static void
talk_readable(void *ctx)
{
    struct sock *sock = ctx;
    char byte;
    size_t n;
    if (sock_read(sock, &byte, 1, &n) == ERR_OK)
        assert_int_equal(
            sock_writev(sock, &(struct bytes){(const uint8_t *)&byte, 1}, 1, &n), ERR_OK);
    else
        sock_want(sock, false, false);
}

static void
talk_accept(void *ctx)
{
    static const struct sock_events events = {.readable = talk_readable};
    struct talk *talk = ctx;
    for (int i = 0; i < atomic_load(&talk->crowd.accepted); i++) {
        struct sock *sock = talk->crowd.socks[i];
        assert_int_equal(sock_attach(sock, talk->crowd.loop, &events, sock), ERR_OK);
        sock_want(sock, true, false);
    }
}

static void
talk_task(struct loop_task *task)
{
    atomic_fetch_add(&CONTAINER_OF(task, struct talk, task)->tasks, 1);
}

static void
talk_timer(struct loop_timer *timer)
{
    atomic_fetch_add(&CONTAINER_OF(timer, struct talk, timer)->timers, 1);
}

static void
talk_timer_start(void *ctx)
{
    struct talk *talk = ctx;
    loop_timer_init(&talk->timer, talk->crowd.loop, talk_timer);
    assert_int_equal(loop_timer_start(&talk->timer, 1), ERR_OK);
}

static void
talk_once(int fd)
{
    char byte = 'x';
    assert_int_equal(write(fd, &byte, 1), 1);
    assert_int_equal(read(fd, &byte, 1), 1);
}

/* The peer's next question, a task of another thread and a timer come while it looks and does not
 * sleep; when the talk is over it sleeps like any other. */
static void
a_loop_that_lingers_hears_all_and_sleeps_when_the_talk_is_over(void **state)
{
    struct world *w = *state;
    struct talk talk = {.crowd = {.loop = NULL}};
    struct timespec before, after;
    struct sock_addr addr;
    assert_int_equal(loop_new(w->env, "talk", &talk.crowd.loop), ERR_OK);
    loop_linger(talk.crowd.loop, 50000000);
    assert_int_equal(loop_start(talk.crowd.loop), ERR_OK);
    loop_task_init(&talk.task, talk_task);
    world_call(w, talk.crowd.loop, crowd_listen, &talk.crowd);
    assert_int_equal(talk.crowd.err, ERR_OK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(sock_addr_parse(STR("127.0.0.1"), talk.crowd.port, &addr), ERR_OK);
    assert_int_equal(connect(fd, (struct sockaddr *)&addr.storage, addr.len), 0);
    assert_true(world_wait_count(w, &talk.crowd.accepted, 1));
    world_call(w, talk.crowd.loop, talk_accept, &talk);
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < 100; i++)
            talk_once(fd);
        loop_post(talk.crowd.loop, &talk.task);
        assert_true(world_wait_count(w, &talk.tasks, round + 1));
        for (int i = 0; i < 100; i++)
            talk_once(fd);
        world_call(w, talk.crowd.loop, talk_timer_start, &talk);
        assert_true(world_wait_count(w, &talk.timers, round + 1));
    }
    for (int i = 0; i < 100; i++)
        talk_once(fd);
    nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before);
    nanosleep(&(struct timespec){.tv_nsec = 300000000}, NULL);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after);
    assert_in_range(
        (after.tv_sec - before.tv_sec) * 1000000000 + after.tv_nsec - before.tv_nsec, 0, 30000000);
    loop_stop(talk.crowd.loop);
    close(fd);
    sock_close(&talk.crowd.socks[0]);
    sock_listener_close(&talk.crowd.listener);
    loop_free(&talk.crowd.loop);
}

/* It lets others go first after each round of answers, and misses nothing that comes meanwhile. */
static void
a_loop_that_answers_a_crowd_hears_all(void **state)
{
    enum { CROWD = 16, ROUNDS = 200 };
    struct world *w = *state;
    struct talk talk = {.crowd = {.loop = world_loop(w, "crowd")}};
    struct sock_addr addr;
    int fds[CROWD];
    char bytes[CROWD] = {0};
    loop_task_init(&talk.task, talk_task);
    world_call(w, talk.crowd.loop, crowd_listen, &talk.crowd);
    assert_int_equal(talk.crowd.err, ERR_OK);
    assert_int_equal(sock_addr_parse(STR("127.0.0.1"), talk.crowd.port, &addr), ERR_OK);
    for (int i = 0; i < CROWD; i++) {
        fds[i] = socket(AF_INET, SOCK_STREAM, 0);
        assert_int_equal(connect(fds[i], (struct sockaddr *)&addr.storage, addr.len), 0);
    }
    assert_true(world_wait_count(w, &talk.crowd.accepted, CROWD));
    world_call(w, talk.crowd.loop, talk_accept, &talk);
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < CROWD; i++)
            assert_int_equal(write(fds[i], &bytes[i], 1), 1);
        loop_post(talk.crowd.loop, &talk.task);
        for (int i = 0; i < CROWD; i++)
            assert_int_equal(read(fds[i], &bytes[i], 1), 1);
        assert_true(world_wait_count(w, &talk.tasks, round + 1));
    }
    loop_stop(talk.crowd.loop);
    for (int i = 0; i < CROWD; i++) {
        close(fds[i]);
        sock_close(&talk.crowd.socks[i]);
    }
    sock_listener_close(&talk.crowd.listener);
    loop_free(&talk.crowd.loop);
}

/* Own files are opened so that reads write nothing; those of others, where that may not be asked
 * for, are opened all the same. */
static void
reads_are_not_noted_where_that_may_be_asked_for(void **state)
{
    struct world *w = *state;
    struct env_file *file;
    char path[300];
    assert_int_equal(
        env_open(w->env, world_path(w, "own", path), ENV_OPEN_WRITE | ENV_OPEN_CREATE, &file),
        ERR_OK);
    assert_int_equal(fcntl(env_file_fd(file), F_GETFL) & O_NOATIME, O_NOATIME);
    env_file_close(&file);
    bool root = geteuid() == 0;
    if (root)
        assert_int_equal(seteuid(65534), 0);
    enum err err = env_open(w->env, "/etc/passwd", 0, &file);
    if (root)
        assert_int_equal(seteuid(0), 0);
    assert_int_equal(err, ERR_OK);
    assert_int_equal(fcntl(env_file_fd(file), F_GETFL) & O_NOATIME, 0);
    env_file_close(&file);
}

struct host {
    struct loop *loop;
    struct loop_timer timer;
    int signum;
    int fired;
};

static void
host_signal(void *ctx, int signum)
{
    struct host *host = ctx;
    host->signum = signum;
    loop_quit(host->loop);
}

static void
host_fire(struct loop_timer *timer)
{
    struct host *host = CONTAINER_OF(timer, struct host, timer);
    host->fired++;
    kill(getpid(), SIGTERM);
}

static void
the_main_loop_hears_signals_and_quits(void **state)
{
    struct world *w = *state;
    struct host host = {.loop = NULL};
    assert_int_equal(loop_new(w->env, "main", &host.loop), ERR_OK);
    assert_int_equal(loop_watch_signals(host.loop, host_signal, &host), ERR_OK);
    loop_timer_init(&host.timer, host.loop, host_fire);
    assert_int_equal(loop_timer_start(&host.timer, 1), ERR_OK);
    loop_run_here(host.loop);
    assert_int_equal(host.fired, 1);
    assert_int_equal(host.signum, SIGTERM);
    loop_free(&host.loop);
}

static void
host_fire_again(struct loop_timer *timer)
{
    struct host *host = CONTAINER_OF(timer, struct host, timer);
    if (host->fired++ == 0)
        kill(getpid(), SIGTERM);
    assert_int_equal(loop_timer_start(&host->timer, 0), ERR_OK);
}

static void
a_timer_without_delay_leaves_room_for_events(void **state)
{
    struct world *w = *state;
    struct host host = {.loop = NULL};
    assert_int_equal(loop_new(w->env, "main", &host.loop), ERR_OK);
    assert_int_equal(loop_watch_signals(host.loop, host_signal, &host), ERR_OK);
    loop_timer_init(&host.timer, host.loop, host_fire_again);
    assert_int_equal(loop_timer_start(&host.timer, 0), ERR_OK);
    alarm(10); /* ends the test if the timer holds the loop */
    loop_run_here(host.loop);
    alarm(0);
    assert_int_equal(host.signum, SIGTERM);
    loop_timer_stop(&host.timer);
    loop_free(&host.loop);
}

static void
lock_wrongly(void)
{
    struct mutex low, high;
    mutex_init(&low, MUTEX_RANK_PARTITION);
    mutex_init(&high, MUTEX_RANK_LEAF);
    mutex_lock(&high);
    mutex_lock(&low);
}

static void
unlock_what_is_not_held(void)
{
    struct mutex mutex;
    mutex_init(&mutex, MUTEX_RANK_PARTITION);
    mutex_unlock(&mutex);
}

static bool
aborts(void (*fn)(void))
{
    int status = 0;
    pid_t child = fork();
    if (child == 0) {
        struct rlimit none = {0, 0};
        setrlimit(RLIMIT_CORE, &none);
        signal(SIGABRT, SIG_DFL);
        close(2);
        fn();
        _exit(0);
    }
    assert_true(child > 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

static void
locks_out_of_order_abort(void **state)
{
    struct mutex low, high;
    (void)state;
    mutex_init(&low, MUTEX_RANK_PARTITION);
    mutex_init(&high, MUTEX_RANK_LEAF);
    mutex_lock(&low);
    mutex_lock(&high);
    mutex_assert_held(&low);
    mutex_unlock(&low); /* in any order */
    mutex_unlock(&high);
    mutex_fini(&low);
    mutex_fini(&high);
#ifdef MOLDAU_SLOW_CHECKS
    assert_true(aborts(lock_wrongly));
#else
    (void)lock_wrongly;
#endif
    assert_true(aborts(unlock_what_is_not_held));
}

static void
diagnostics_reach_their_descriptor(void **state)
{
    struct env *env = NULL;
    char line[200] = {0};
    int ends[2];
    (void)state;
    assert_int_equal(pipe(ends), 0);
    struct env_real_opts opts = {.level_min = DIAG_WARN, .diag_fd = ends[1]};
    assert_int_equal(env_real_new(&opts, &env), ERR_OK);
    diag_event(env_diag(env), DIAG_INFO, "test", "quiet");
    diag_event(env_diag(env), DIAG_WARN, "test", "loud", DIAG_I64("n", 7));
    assert_true(read(ends[0], line, sizeof line - 1) > 0);
    assert_non_null(strstr(line, "WARN  test loud n=7\n"));
    env_free(&env);
    close(ends[0]);
    close(ends[1]);
}

TEST_MAIN(CONFORM_TESTS, CONFORM_TEST(without_descriptors_accepting_waits_and_recovers),
    CONFORM_TEST(a_loop_that_lingers_hears_all_and_sleeps_when_the_talk_is_over),
    CONFORM_TEST(a_loop_that_answers_a_crowd_hears_all),
    CONFORM_TEST(reads_are_not_noted_where_that_may_be_asked_for),
    CONFORM_TEST(the_main_loop_hears_signals_and_quits),
    CONFORM_TEST(a_timer_without_delay_leaves_room_for_events),
    cmocka_unit_test(locks_out_of_order_abort),
    cmocka_unit_test(diagnostics_reach_their_descriptor))
