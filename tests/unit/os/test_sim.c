/* The simulator: the promises both environments keep, its determinism, and its faults. */
#include <stdlib.h>

#include "base/alloc.h"
#include "base/attr.h"
#include "os/sim.h"
#include "tests/unit/os/conform.h"

enum { RW = ENV_OPEN_WRITE | ENV_OPEN_CREATE, SEEDS = 200 };

struct room {
    struct world world;
    struct sim *sim;
    struct sim_host *host;
};

static bool
sim_wait(struct world *w, bool (*done)(void *ctx), void *ctx)
{
    return sim_run_until(((struct room *)w->more)->sim, done, ctx, 10000);
}

static struct sim *
sim_make(uint64_t seed)
{
    struct sim *sim = NULL;
    struct sim_opts opts = {.seed = seed, .level_min = DIAG_ERROR, .wall_start_ms = 1795234324000};
    assert_int_equal(sim_new(&opts, &sim), ERR_OK);
    return sim;
}

static struct sim_host *
host_make(struct sim *sim, const char *name, const char *ip)
{
    struct sim_host *host = NULL;
    assert_int_equal(sim_host_new(sim, name, ip, &host), ERR_OK);
    return host;
}

static struct env *
host_boot(struct sim_host *host)
{
    struct env *env = NULL;
    assert_int_equal(sim_host_boot(host, &env), ERR_OK);
    return env;
}

static struct room *
room_make(uint64_t seed)
{
    struct room *room = calloc(1, sizeof *room);
    room->sim = sim_make(seed);
    room->host = host_make(room->sim, "one", "10.0.0.1");
    room->world.env = host_boot(room->host);
    room->world.wait = sim_wait;
    room->world.more = room;
    snprintf(room->world.dir, sizeof room->world.dir, "/data");
    assert_int_equal(env_mkdir(room->world.env, "/data"), ERR_OK);
    return room;
}

static int
world_open(void **state)
{
    struct room *room = room_make(test_seed(1));
    *state = &room->world;
    return 0;
}

static int
world_close(void **state)
{
    struct room *room = (struct room *)*state;
    env_free(&room->world.env);
    sim_free(&room->sim);
    free(room);
    return 0;
}

/* ---- small helpers ---- */

static struct env_file *
file_open(struct env *env, const char *path, int flags)
{
    struct env_file *file = NULL;
    assert_int_equal(env_open(env, path, flags, &file), ERR_OK);
    return file;
}

static struct bytes
text(const char *z)
{
    return (struct bytes){(const uint8_t *)z, strlen(z)};
}

static bool
exists(struct env *env, const char *path)
{
    struct env_stat st;
    return env_stat(env, path, &st) == ERR_OK;
}

/* ---- crashes and the disk ---- */

static void
what_was_synced_survives_a_power_cut(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct sim *sim = sim_make(seed);
        struct sim_host *host = host_make(sim, "one", "10.0.0.1");
        struct env *env = host_boot(host);
        char data[16], *whole;
        size_t n;
        assert_int_equal(env_mkdir_all(env, "/a/b"), ERR_OK);
        assert_int_equal(env_sync_dir(env, "/"), ERR_OK);
        assert_int_equal(env_sync_dir(env, "/a"), ERR_OK);
        struct env_file *file = file_open(env, "/a/b/f", RW);
        assert_int_equal(env_write_at(file, 0, text("durable")), ERR_OK);
        assert_int_equal(env_sync(file), ERR_OK);
        assert_int_equal(env_sync_dir(env, "/a/b"), ERR_OK);
        assert_int_equal(env_write_at(file, 7, text(" or not")), ERR_OK);
        assert_int_equal(env_write_file_atomic(env, "/a/b/meta", text("v1")), ERR_OK);
        sim_host_crash(host, SIM_CRASH_POWER);
        assert_true(sim_host_is_down(host));
        assert_int_equal(env_read_at(file, 0, data, 1, &n), ERR_FAILED);
        env_file_close(&file);
        env_free(&env);
        env = host_boot(host);
        file = file_open(env, "/a/b/f", ENV_OPEN_READ);
        assert_int_equal(env_read_at(file, 0, data, sizeof data, &n), ERR_OK);
        assert_true(n >= 7);
        assert_memory_equal(data, "durable", 7);
        env_file_close(&file);
        assert_int_equal(env_read_file(env, "/a/b/meta", 10, &whole, &n), ERR_OK);
        assert_string_equal(whole, "v1");
        mem_free(whole);
        env_free(&env);
        sim_free(&sim);
    }
}

/* How often each outcome of an unsynced write was seen. */
struct outcomes {
    int whole, gone, zeros, torn, no_name;
};

static void
cut_once(uint64_t seed, struct outcomes *seen)
{
    enum { SIZE = 4096 };
    struct sim *sim = sim_make(seed);
    struct sim_host *host = host_make(sim, "one", "10.0.0.1");
    struct env *env = host_boot(host);
    uint8_t *block = calloc(1, SIZE), *back = calloc(1, SIZE);
    size_t n, same = 0, zero = 0;
    for (int i = 0; i < SIZE; i++)
        block[i] = (uint8_t)(1 + i / 512);
    struct env_file *file = file_open(env, "/f", RW);
    assert_int_equal(env_write_at(file, 0, (struct bytes){block, SIZE}), ERR_OK);
    env_file_close(&file);
    sim_host_crash(host, SIM_CRASH_POWER);
    env_free(&env);
    env = host_boot(host);
    if (!exists(env, "/f")) {
        seen->no_name++;
    } else {
        file = file_open(env, "/f", ENV_OPEN_READ);
        assert_int_equal(env_read_at(file, 0, back, SIZE, &n), ERR_OK);
        for (size_t i = 0; i < n; i++) {
            same += back[i] == block[i];
            zero += back[i] == 0;
        }
        assert_int_equal(same + zero, n); /* sectors are old or new, never mixed */
        assert_int_equal(same % 512, 0);
        seen->whole += same == SIZE;
        seen->gone += n == 0;
        seen->zeros += n > 0 && zero == n;
        seen->torn += same > 0 && same < SIZE;
        env_file_close(&file);
    }
    env_free(&env);
    sim_free(&sim);
    free(block);
    free(back);
}

static void
what_was_not_synced_is_kept_lost_or_torn(void **state)
{
    struct outcomes seen = {0};
    (void)state;
    for (uint64_t seed = 0; seed < 500; seed++)
        cut_once(seed, &seen);
    assert_true(seen.whole > 0);
    assert_true(seen.gone > 0);
    assert_true(seen.zeros > 0);
    assert_true(seen.torn > 0);
    assert_true(seen.no_name > 0);
}

static void
a_rename_is_atomic_over_a_power_cut(void **state)
{
    int old = 0, new = 0;
    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct sim *sim = sim_make(seed);
        struct sim_host *host = host_make(sim, "one", "10.0.0.1");
        struct env *env = host_boot(host);
        char *data;
        size_t n;
        assert_int_equal(env_write_file_atomic(env, "/m", text("old")), ERR_OK);
        struct env_file *file = file_open(env, "/m.tmp", RW);
        assert_int_equal(env_write_at(file, 0, text("new")), ERR_OK);
        assert_int_equal(env_sync(file), ERR_OK);
        env_file_close(&file);
        assert_int_equal(env_rename(env, "/m.tmp", "/m"), ERR_OK);
        sim_host_crash(host, SIM_CRASH_POWER);
        env_free(&env);
        env = host_boot(host);
        assert_int_equal(env_read_file(env, "/m", 10, &data, &n), ERR_OK);
        assert_true(strcmp(data, "old") == 0 || strcmp(data, "new") == 0);
        old += strcmp(data, "old") == 0;
        new += strcmp(data, "new") == 0;
        mem_free(data);
        env_free(&env);
        sim_free(&sim);
    }
    assert_true(old > 0 && new > 0);
}

static void
operations_on_one_directory_are_kept_in_order(void **state)
{
    int partly = 0;
    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct sim *sim = sim_make(seed);
        struct sim_host *host = host_make(sim, "one", "10.0.0.1");
        struct env *env = host_boot(host);
        char path[8];
        bool ended = false;
        for (int i = 0; i < 8; i++) {
            snprintf(path, sizeof path, "/%d", i);
            struct env_file *file = file_open(env, path, RW);
            env_file_close(&file);
        }
        sim_host_crash(host, SIM_CRASH_POWER);
        env_free(&env);
        env = host_boot(host);
        for (int i = 0; i < 8; i++) {
            snprintf(path, sizeof path, "/%d", i);
            assert_false(ended && exists(env, path));
            partly += !ended && i > 0 && !exists(env, path);
            ended = ended || !exists(env, path);
        }
        env_free(&env);
        sim_free(&sim);
    }
    assert_true(partly > 0);
}

static void
a_killed_process_loses_nothing_it_wrote(void **state)
{
    (void)state;
    struct sim *sim = sim_make(3);
    struct sim_host *host = host_make(sim, "one", "10.0.0.1");
    struct env *env = host_boot(host);
    struct env_file *lock = NULL, *file = file_open(env, "/f", RW);
    char *data;
    size_t n;
    assert_int_equal(env_lock_file(env, "/lock", &lock), ERR_OK);
    assert_int_equal(env_write_at(file, 0, text("kept")), ERR_OK);
    sim_host_crash(host, SIM_CRASH_KILL);
    assert_int_equal(env_write_at(file, 0, text("lost")), ERR_FAILED);
    assert_int_equal(env_sync(file), ERR_FAILED);
    assert_int_equal(env_mkdir(env, "/d"), ERR_FAILED);
    struct env *next = host_boot(host); /* before the old one is freed */
    struct env_file *lock2 = NULL, *lock3 = NULL;
    assert_int_equal(env_lock_file(next, "/lock", &lock2), ERR_OK);
    env_file_close(&lock); /* the dead one's lock is nobody's */
    assert_int_equal(env_lock_file(next, "/lock", &lock3), ERR_BUSY);
    env_file_close(&file);
    env_free(&env);
    assert_int_equal(env_read_file(next, "/f", 10, &data, &n), ERR_OK);
    assert_string_equal(data, "kept");
    mem_free(data);
    assert_false(exists(next, "/d"));
    env_file_close(&lock2);
    env_free(&next);
    sim_free(&sim);
}

static void
ordered_faults_hit_the_nth_operation(void **state)
{
    (void)state;
    struct sim *sim = sim_make(4);
    struct sim_host *host = host_make(sim, "one", "10.0.0.1");
    struct env *env = host_boot(host);
    struct env_file *file = file_open(env, "/f", RW);
    char data[4];
    size_t n;
    sim_host_fail_nth(host, SIM_OP_WRITE, 2, ERR_NOSPACE);
    sim_host_fail_nth(host, SIM_OP_SYNC, 1, ERR_IO);
    sim_host_fail_nth(host, SIM_OP_READ, 1, ERR_CORRUPT);
    sim_host_fail_nth(host, SIM_OP_RENAME, 1, ERR_PERM);
    assert_int_equal(env_write_at(file, 0, text("a")), ERR_OK);
    assert_int_equal(env_write_at(file, 1, text("b")), ERR_NOSPACE);
    assert_int_equal(env_write_at(file, 1, text("c")), ERR_OK);
    assert_int_equal(env_sync(file), ERR_IO);
    assert_int_equal(env_sync(file), ERR_OK); /* as a kernel: the pages are clean, and gone */
    assert_int_equal(env_read_at(file, 0, data, 2, &n), ERR_CORRUPT);
    assert_int_equal(env_rename(env, "/f", "/g"), ERR_PERM);
    assert_int_equal(env_rename(env, "/f", "/g"), ERR_OK);
    assert_int_equal(sim_faults_injected(sim), 4);
    assert_int_equal(env_sync_dir(env, "/"), ERR_OK);
    env_file_close(&file);
    sim_host_crash(host, SIM_CRASH_POWER);
    env_free(&env);
    env = host_boot(host);
    file = file_open(env, "/g", ENV_OPEN_READ);
    assert_int_equal(env_read_at(file, 0, data, 2, &n), ERR_OK);
    assert_int_equal(n, 0);
    env_file_close(&file);
    env_free(&env);
    sim_free(&sim);
}

static void
a_full_disk_and_flipped_bits(void **state)
{
    (void)state;
    struct sim *sim = sim_make(5);
    struct sim_host *host = host_make(sim, "one", "10.0.0.1");
    struct env *env = host_boot(host);
    struct env_file *file = file_open(env, "/f", RW);
    struct sim_disk_faults faults = {.capacity_bytes = 10};
    char data[16];
    size_t n;
    sim_host_disk_faults(host, &faults);
    assert_int_equal(env_write_at(file, 0, text("0123456789")), ERR_OK);
    assert_int_equal(env_write_at(file, 10, text("x")), ERR_NOSPACE);
    assert_int_equal(env_write_at(file, 5, text("y")), ERR_OK);
    assert_int_equal(sim_host_flip_bit(host, "/f", 1, 0), ERR_OK);
    assert_int_equal(sim_host_flip_bit(host, "/f", 10, 0), ERR_RANGE);
    assert_int_equal(env_read_at(file, 0, data, sizeof data, &n), ERR_OK);
    assert_memory_equal(data, "00234y6789", 10);
    env_file_close(&file);
    int64_t before = env_wall_ms(env), mono = env_now_ns(env);
    sim_host_wall_jump(host, -3600000);
    assert_int_equal(env_wall_ms(env), before - 3600000);
    assert_int_equal(env_now_ns(env), mono);
    env_free(&env);
    sim_free(&sim);
}

/* ---- a small program that is crashed at each operation ---- */

struct prog {
    struct env *env;
    struct loop *loop;
    struct pool *pool;
    struct env_file *file;
    struct loop_timer timer;
    struct pool_work work;
    struct loop_task done;
    struct sock_listener *listener;
    struct sock *served, *client;
    int64_t next; /* the number to write */
    int64_t durable;
    uint8_t in[8];
    bool busy, failed;
    enum err sync_err;
};

static void
prog_sync(struct pool_work *work)
{
    struct prog *p = CONTAINER_OF(work, struct prog, work);
    p->sync_err = env_sync(p->file);
    loop_post(p->loop, &p->done);
}

static void
prog_done(struct loop_task *task)
{
    struct prog *p = CONTAINER_OF(task, struct prog, done);
    p->busy = false;
    if (p->sync_err != ERR_OK)
        p->failed = true;
    else
        p->durable = p->next;
}

static void
prog_tick(struct loop_timer *timer)
{
    struct prog *p = CONTAINER_OF(timer, struct prog, timer);
    size_t n;
    uint8_t number[8];
    if (!p->busy && !p->failed) {
        store_be64(number, (uint64_t)p->next);
        if (env_write_at(p->file, p->next * 8, (struct bytes){number, 8}) != ERR_OK) {
            p->failed = true;
        } else {
            p->next++;
            p->busy = true;
            pool_submit(p->pool, &p->work);
        }
        struct bytes part = {number, 8};
        if (p->client != NULL && sock_connect_result(p->client) == ERR_OK)
            (void)!sock_writev(p->client, &part, 1, &n);
    }
    assert_int_equal(loop_timer_start(timer, 1), ERR_OK);
}

static void
prog_readable(void *ctx)
{
    struct prog *p = ctx;
    size_t n;
    enum err err = sock_read(p->served, p->in, sizeof p->in, &n);
    if (err != ERR_OK && err != ERR_AGAIN)
        sock_want(p->served, false, false);
}

static const struct sock_events prog_events = {prog_readable, prog_readable};

static void
prog_accept(void *ctx, struct sock *sock)
{
    struct prog *p = ctx;
    if (p->served != NULL) {
        sock_close(&sock);
        return;
    }
    p->served = sock;
    if (sock_attach(sock, p->loop, &prog_events, p) == ERR_OK)
        sock_want(sock, true, false);
}

/* Any step may fail: the host may be dying. */
static enum err
prog_open(struct prog *p, struct env *env, const char *peer)
{
    struct sock_addr addr, to;
    enum err err;
    memset(p, 0, sizeof *p);
    p->env = env;
    p->work.run = prog_sync;
    list_init(&p->work.link);
    loop_task_init(&p->done, prog_done);
    if ((err = loop_new(env, "prog", &p->loop)) != ERR_OK)
        return err;
    loop_timer_init(&p->timer, p->loop, prog_tick);
    if ((err = sock_addr_parse(STR("0.0.0.0"), 9092, &addr)) != ERR_OK ||
        (err = pool_new(env, "io", 2, &p->pool)) != ERR_OK ||
        (err = env_open(env, "/log", RW, &p->file)) != ERR_OK ||
        (err = env_sync_dir(env, "/")) != ERR_OK ||
        (err = sock_listen(p->loop, &(struct sock_listen_opts){.addr = addr, .backlog = 4},
             prog_accept, p, &p->listener)) != ERR_OK ||
        (err = loop_timer_start(&p->timer, 0)) != ERR_OK)
        return err;
    if (peer != NULL &&
        ((err = sock_addr_parse(str_of(peer), 9092, &to)) != ERR_OK ||
            (err = sock_connect(p->loop, &to, &prog_events, p, &p->client)) != ERR_OK))
        return err;
    return loop_start(p->loop);
}

static void
prog_close(struct prog *p)
{
    if (p->loop != NULL)
        loop_stop(p->loop);
    pool_free(&p->pool);
    if (p->loop != NULL)
        loop_timer_stop(&p->timer);
    sock_close(&p->client);
    sock_close(&p->served);
    sock_listener_close(&p->listener);
    env_file_close(&p->file);
    loop_free(&p->loop);
    env_free(&p->env);
}

static void
prog_audit(struct sim_host *host, int64_t durable)
{
    struct env *env = host_boot(host);
    char *data = NULL;
    size_t len;
    if (durable > 0) {
        assert_int_equal(env_read_file(env, "/log", 1 << 20, &data, &len), ERR_OK);
        assert_true(len >= (size_t)durable * 8);
        for (int64_t i = 0; i < durable; i++)
            assert_true(load_be64(data + 8 * i) == (uint64_t)i);
        mem_free(data);
    }
    env_free(&env);
}

static void
a_crash_at_each_operation_keeps_what_was_durable(void **state)
{
    (void)state;
    for (uint64_t nth = 1; nth <= 80; nth++) {
        struct sim *sim = sim_make(nth);
        struct sim_host *host = host_make(sim, "one", "10.0.0.1");
        struct prog p;
        struct env *env = host_boot(host);
        sim_host_crash_at(host, nth % 2 == 0 ? SIM_CRASH_KILL : SIM_CRASH_POWER, nth);
        if (prog_open(&p, env, "127.0.0.1") == ERR_OK)
            sim_run_ms(sim, 500);
        assert_true(sim_host_is_down(host));
        uint64_t steps = sim_steps(sim);
        sim_run_ms(sim, 1000);
        assert_int_equal(sim_steps(sim), steps); /* nothing of it runs any more */
        prog_close(&p);
        prog_audit(host, p.durable);
        sim_free(&sim);
    }
}

/* ---- determinism ---- */

static uint64_t
run_of_two(uint64_t seed, uint64_t *steps)
{
    struct sim *sim = sim_make(seed);
    struct sim_host *a = host_make(sim, "a", "10.0.0.1"), *b = host_make(sim, "b", "10.0.0.2");
    struct sim_link_faults link = {.delay_min_us = 100, .delay_max_us = 3000, .reset_ppm = 2000};
    struct sim_disk_faults disk = {.delay_ppm = 10000};
    struct prog pa, pb;
    sim_link(sim, a, b, &link);
    sim_host_disk_faults(a, &disk);
    assert_int_equal(prog_open(&pa, host_boot(a), "10.0.0.2"), ERR_OK);
    assert_int_equal(prog_open(&pb, host_boot(b), "10.0.0.1"), ERR_OK);
    sim_run_ms(sim, 20);
    sim_host_crash_at(b, SIM_CRASH_POWER, 150);
    sim_run_ms(sim, 5);
    sim_host_pause(a, 30);
    sim_run_ms(sim, 200);
    prog_close(&pa);
    prog_close(&pb);
    uint64_t trace = sim_trace_hash(sim);
    *steps = sim_steps(sim);
    sim_free(&sim);
    return trace;
}

static void
the_same_seed_gives_the_same_trace(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed < 10; seed++) {
        uint64_t steps[2];
        void *shift = malloc(seed * 4096); /* addresses must not matter */
        uint64_t first = run_of_two(seed, &steps[0]);
        free(shift);
        assert_true(first == run_of_two(seed, &steps[1]));
        assert_true(steps[0] == steps[1]);
        assert_true(first != run_of_two(seed + 1000, &steps[1]));
    }
}

/* ---- the network between hosts ---- */

struct dial {
    struct env *env;
    struct loop *loop;
    struct sock *sock;
    bool connected, ended;
    enum err err;
};

static void
dial_event(void *ctx)
{
    struct dial *d = ctx;
    uint8_t byte;
    size_t n;
    enum err err = sock_connect_result(d->sock);
    if (err == ERR_OK && !d->connected)
        d->connected = true;
    else if (err == ERR_OK)
        err = sock_read(d->sock, &byte, 1, &n);
    sock_want(d->sock, true, false);
    if (err != ERR_OK && err != ERR_AGAIN) {
        d->err = err;
        d->ended = true;
        sock_want(d->sock, false, false);
    }
}

static const struct sock_events dial_events = {dial_event, dial_event};

static void
dial_open(struct dial *d, struct sim_host *host, const char *ip)
{
    struct sock_addr addr;
    memset(d, 0, sizeof *d);
    d->env = host_boot(host);
    assert_int_equal(loop_new(d->env, "dial", &d->loop), ERR_OK);
    assert_int_equal(sock_addr_parse(str_of(ip), 9092, &addr), ERR_OK);
    assert_int_equal(sock_connect(d->loop, &addr, &dial_events, d, &d->sock), ERR_OK);
    sock_want(d->sock, true, true);
    assert_int_equal(loop_start(d->loop), ERR_OK);
}

static void
dial_close(struct dial *d)
{
    loop_stop(d->loop);
    sock_close(&d->sock);
    loop_free(&d->loop);
    env_free(&d->env);
}

static bool
dial_connected(void *ctx)
{
    return ((struct dial *)ctx)->connected;
}

static bool
dial_ended(void *ctx)
{
    return ((struct dial *)ctx)->ended;
}

static void
peers_of_a_killed_process_hear_of_it(void **state)
{
    (void)state;
    struct sim *sim = sim_make(7);
    struct sim_host *a = host_make(sim, "a", "10.0.0.1"), *b = host_make(sim, "b", "10.0.0.2");
    struct prog p;
    struct dial d;
    assert_int_equal(prog_open(&p, host_boot(a), NULL), ERR_OK);
    dial_open(&d, b, "10.0.0.1");
    assert_true(sim_run_until(sim, dial_connected, &d, 1000));
    sim_host_crash(a, SIM_CRASH_KILL);
    assert_true(sim_run_until(sim, dial_ended, &d, 100));
    assert_int_equal(d.err, ERR_CLOSED);
    prog_close(&p);
    dial_close(&d);
    dial_open(&d, b, "10.0.0.1"); /* the machine is up, nobody listens */
    assert_true(sim_run_until(sim, dial_ended, &d, 100));
    assert_int_equal(d.err, ERR_REFUSED);
    dial_close(&d);
    sim_free(&sim);
}

static void
peers_of_a_machine_without_power_hear_nothing_at_first(void **state)
{
    (void)state;
    for (int reboot = 0; reboot < 2; reboot++) {
        struct sim *sim = sim_make(8);
        struct sim_host *a = host_make(sim, "a", "10.0.0.1"), *b = host_make(sim, "b", "10.0.0.2");
        struct prog p;
        struct dial d;
        assert_int_equal(prog_open(&p, host_boot(a), NULL), ERR_OK);
        dial_open(&d, b, "10.0.0.1");
        assert_true(sim_run_until(sim, dial_connected, &d, 1000));
        sim_host_crash(a, SIM_CRASH_POWER);
        prog_close(&p);
        assert_false(sim_run_until(sim, dial_ended, &d, 30000));
        if (reboot)
            assert_int_equal(prog_open(&p, host_boot(a), NULL), ERR_OK);
        assert_true(sim_run_until(sim, dial_ended, &d, 300000));
        assert_int_equal(d.err, reboot ? ERR_CLOSED : ERR_TIMEOUT);
        if (reboot)
            prog_close(&p);
        dial_close(&d);
        sim_free(&sim);
    }
}

static void
a_cut_link_delays_and_then_delivers(void **state)
{
    (void)state;
    struct sim *sim = sim_make(9);
    struct sim_host *a = host_make(sim, "a", "10.0.0.1"), *b = host_make(sim, "b", "10.0.0.2");
    struct sim_link_faults cut = {.cut = true}, whole = {.delay_max_us = 100};
    struct prog p;
    struct dial d;
    assert_int_equal(prog_open(&p, host_boot(a), NULL), ERR_OK);
    sim_link(sim, a, b, &cut);
    dial_open(&d, b, "10.0.0.1");
    assert_false(sim_run_until(sim, dial_connected, &d, 5000));
    assert_false(d.ended);
    sim_link(sim, b, a, &whole);
    assert_true(sim_run_until(sim, dial_connected, &d, 5000));
    sim_link(sim, a, b, &cut);
    sim_host_crash(a, SIM_CRASH_KILL); /* its goodbye waits for the link */
    prog_close(&p);
    assert_false(sim_run_until(sim, dial_ended, &d, 5000));
    sim_link(sim, a, b, &whole);
    assert_true(sim_run_until(sim, dial_ended, &d, 100000));
    dial_close(&d);
    sim_free(&sim);
}

static void
connecting_to_a_dead_machine_times_out(void **state)
{
    (void)state;
    struct sim *sim = sim_make(10);
    struct sim_host *b = host_make(sim, "b", "10.0.0.2");
    struct dial d;
    host_make(sim, "a", "10.0.0.1");
    dial_open(&d, b, "10.0.0.1");
    assert_true(sim_run_until(sim, dial_ended, &d, 300000));
    assert_int_equal(d.err, ERR_TIMEOUT);
    assert_true(sim_now_ns(sim) > 100000000000);
    dial_close(&d);
    dial_open(&d, b, "10.0.0.99"); /* no such machine */
    assert_true(sim_run_until(sim, dial_ended, &d, 300000));
    assert_int_equal(d.err, ERR_TIMEOUT);
    dial_close(&d);
    sim_free(&sim);
}

static void
a_paused_process_does_nothing_meanwhile(void **state)
{
    (void)state;
    struct sim *sim = sim_make(11);
    struct sim_host *a = host_make(sim, "a", "10.0.0.1");
    struct prog p;
    assert_int_equal(prog_open(&p, host_boot(a), NULL), ERR_OK);
    sim_run_ms(sim, 50);
    int64_t before = p.next;
    assert_true(before > 0);
    sim_host_pause(a, 1000);
    sim_run_ms(sim, 990);
    assert_int_equal(p.next, before);
    sim_run_ms(sim, 100);
    assert_true(p.next > before);
    prog_close(&p);
    sim_free(&sim);
}

TEST_MAIN(CONFORM_TESTS, cmocka_unit_test(what_was_synced_survives_a_power_cut),
    cmocka_unit_test(what_was_not_synced_is_kept_lost_or_torn),
    cmocka_unit_test(a_rename_is_atomic_over_a_power_cut),
    cmocka_unit_test(operations_on_one_directory_are_kept_in_order),
    cmocka_unit_test(a_killed_process_loses_nothing_it_wrote),
    cmocka_unit_test(ordered_faults_hit_the_nth_operation),
    cmocka_unit_test(a_full_disk_and_flipped_bits),
    cmocka_unit_test(a_crash_at_each_operation_keeps_what_was_durable),
    cmocka_unit_test(the_same_seed_gives_the_same_trace),
    cmocka_unit_test(peers_of_a_killed_process_hear_of_it),
    cmocka_unit_test(peers_of_a_machine_without_power_hear_nothing_at_first),
    cmocka_unit_test(a_cut_link_delays_and_then_delivers),
    cmocka_unit_test(connecting_to_a_dead_machine_times_out),
    cmocka_unit_test(a_paused_process_does_nothing_meanwhile))
