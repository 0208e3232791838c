/* The server on simulated loops: random frames, splits, delays and departures, from a seed; and
 * deadlines in virtual time. */
#include "tests/lib/test.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "net/server.h"
#include "os/sim.h"

enum { LOOPS = 2, CLIENTS = 6, FRAMES = 60, SEEDS = 40, BUFFER = 1 << 20 };

struct fixture {
    struct sim *sim;
    struct sim_host *host;
    struct env *env;
    struct loop *loops[LOOPS];
    struct loop *client_loop;
    struct net_server *server;
    uint16_t port;
    int opened, freed, pending;
    bool stopped;
    int done; /* clients */
};

/* ---- the handler: echoes, some of it later ---- */

struct later {
    struct loop_timer timer;
    struct net_slot *slot;
    struct fixture *f;
};

static bool
on_open(void *ctx, struct net_conn *conn, void **user)
{
    struct fixture *f = ctx;
    f->opened++;
    *user = conn;
    return true;
}

static void
echo(struct net_slot *slot)
{
    writer_raw(&slot->writer, slot->frame, slot->frame_len);
    net_slot_reply(slot);
}

static void
later_fire(struct loop_timer *timer)
{
    struct later *later = CONTAINER_OF(timer, struct later, timer);
    later->f->pending--;
    echo(later->slot);
    mem_free(later);
}

static void
on_frame(void *ctx, struct net_conn *conn, struct net_slot *slot)
{
    struct fixture *f = ctx;
    assert_true(slot->frame_len >= 2);
    if (slot->frame[0] == 'N') {
        net_slot_drop(slot);
    } else if (slot->frame[0] == 'L') {
        struct later *later = mem_calloc(1, sizeof *later);
        if (later == NULL) {
            net_slot_close(slot, "out of memory");
            return;
        }
        later->slot = slot;
        later->f = f;
        loop_timer_init(&later->timer, net_conn_loop(conn), later_fire);
        if (loop_timer_start(&later->timer, slot->frame[1]) != ERR_OK) {
            mem_free(later);
            net_slot_close(slot, "out of memory");
            return;
        }
        f->pending++;
    } else {
        echo(slot);
    }
}

static void
on_free(void *ctx, void *user)
{
    struct fixture *f = ctx;
    (void)user;
    f->freed++;
}

static const struct net_handler handler = {
    .on_open = on_open, .on_frame = on_frame, .on_free = on_free};

/* ---- clients ---- */

struct client {
    struct fixture *f;
    struct sock *sock;
    struct loop_task start;
    bool connected;
    uint8_t *out;
    size_t out_len, out_at;
    uint8_t *expected;
    size_t expected_len, got;
    size_t leave_at; /* hangs up after so many bytes came; SIZE_MAX: never */
    bool ended;
};

static void
client_end(struct client *c)
{
    if (c->ended)
        return;
    c->ended = true;
    sock_close(&c->sock);
    c->f->done++;
}

static void
client_readable(void *ctx)
{
    struct client *c = ctx;
    uint8_t data[5000];
    size_t n;
    while (!c->ended) {
        enum err err = sock_read(c->sock, data, 1 + sim_random(c->f->sim) % sizeof data, &n);
        if (err == ERR_AGAIN)
            return;
        if (err != ERR_OK) {
            client_end(c);
            return;
        }
        assert_true(c->got + n <= c->expected_len);
        assert_memory_equal(data, c->expected + c->got, n);
        c->got += n;
        if (c->got == c->expected_len || c->got >= c->leave_at)
            client_end(c);
    }
}

static void
client_writable(void *ctx)
{
    struct client *c = ctx;
    if (c->ended)
        return;
    c->connected = true;
    size_t left = c->out_len - c->out_at;
    size_t chunk = left == 0 ? 0 : 1 + sim_random(c->f->sim) % left;
    size_t n = 0;
    if (chunk > 0) {
        struct bytes part = {c->out + c->out_at, chunk};
        enum err err = sock_writev(c->sock, &part, 1, &n);
        if (err != ERR_OK && err != ERR_AGAIN) {
            client_end(c);
            return;
        }
        c->out_at += n;
    }
    sock_want(c->sock, true, c->out_at < c->out_len);
}

static const struct sock_events client_events = {client_readable, client_writable};

static void
client_start(struct loop_task *task)
{
    struct client *c = CONTAINER_OF(task, struct client, start);
    struct sock_addr to;
    assert_int_equal(sock_addr_parse(STR("10.0.0.1"), c->f->port, &to), ERR_OK);
    if (sock_connect(c->f->client_loop, &to, &client_events, c, &c->sock) != ERR_OK) {
        c->ended = true; /* out of memory, in those tests */
        c->f->done++;
        return;
    }
    sock_want(c->sock, true, true);
}

static void
client_make(struct fixture *f, struct client *c)
{
    *c = (struct client){.f = f, .leave_at = SIZE_MAX};
    c->out = malloc(BUFFER);
    c->expected = malloc(BUFFER);
    for (int i = 0; i < FRAMES; i++) {
        uint64_t r = sim_random(f->sim);
        uint32_t len = r % 5 == 0 ? 2 + (uint32_t)(r >> 8) % 70000 : 2 + (uint32_t)(r >> 8) % 300;
        if (c->out_len + len + 4 > BUFFER)
            break;
        uint8_t *at = c->out + c->out_len;
        store_be32(at, len);
        for (uint32_t k = 0; k < len; k++)
            at[4 + k] = (uint8_t)(r >> (k % 7) ^ k);
        at[4] = (uint8_t) "EELN"[r >> 40 & 3];
        if (at[4] != 'N') {
            memcpy(c->expected + c->expected_len, at, len + 4);
            c->expected_len += len + 4;
        }
        c->out_len += len + 4;
    }
    if (sim_random(f->sim) % 3 == 0)
        c->leave_at = sim_random(f->sim) % (c->expected_len + 1);
    loop_task_init(&c->start, client_start);
}

/* ---- the room ---- */

static void
fixture_start(struct fixture *f, uint64_t seed, struct net_server_opts opts)
{
    struct sim_opts room = {.seed = seed, .level_min = DIAG_ERROR, .wall_start_ms = 1};
    *f = (struct fixture){0};
    assert_int_equal(sim_new(&room, &f->sim), ERR_OK);
    assert_int_equal(sim_host_new(f->sim, "one", "10.0.0.1", &f->host), ERR_OK);
    assert_int_equal(sim_host_boot(f->host, &f->env), ERR_OK);
    for (int i = 0; i < LOOPS; i++)
        assert_int_equal(loop_new(f->env, "reactor", &f->loops[i]), ERR_OK);
    assert_int_equal(loop_new(f->env, "clients", &f->client_loop), ERR_OK);
    opts.env = f->env;
    opts.loops = f->loops;
    opts.loop_count = LOOPS;
    opts.handler = &handler;
    opts.ctx = f;
    assert_int_equal(net_server_new(&opts, &f->server), ERR_OK);
    struct net_listen_opts listen = {.name = STR("PLAINTEXT")};
    assert_int_equal(sock_addr_parse(STR("10.0.0.1"), 9092, &listen.addr), ERR_OK);
    assert_int_equal(net_server_listen(f->server, &listen, &f->port), ERR_OK);
    for (int i = 0; i < LOOPS; i++)
        assert_int_equal(loop_start(f->loops[i]), ERR_OK);
    assert_int_equal(loop_start(f->client_loop), ERR_OK);
}

static void
fixture_end(struct fixture *f)
{
    for (int i = 0; i < LOOPS; i++)
        loop_stop(f->loops[i]);
    loop_stop(f->client_loop);
    net_server_free(&f->server);
    assert_int_equal(f->opened, f->freed);
    for (int i = 0; i < LOOPS; i++)
        loop_free(&f->loops[i]);
    loop_free(&f->client_loop);
    env_free(&f->env);
    sim_free(&f->sim);
}

static void
on_stopped(void *ctx)
{
    ((struct fixture *)ctx)->stopped = true;
}

static bool
all_done(void *ctx)
{
    return ((struct fixture *)ctx)->done == CLIENTS;
}

static bool
is_quiet(void *ctx)
{
    struct fixture *f = ctx;
    return f->stopped && f->pending == 0;
}

static uint64_t
run_once(uint64_t seed)
{
    struct fixture f;
    struct client clients[CLIENTS];
    fixture_start(&f, seed, (struct net_server_opts){0});
    for (int i = 0; i < CLIENTS; i++) {
        client_make(&f, &clients[i]);
        loop_post(f.client_loop, &clients[i].start);
    }
    assert_true(sim_run_until(f.sim, all_done, &f, 600000));
    for (int i = 0; i < CLIENTS; i++) {
        if (clients[i].leave_at == SIZE_MAX)
            assert_int_equal(clients[i].got, clients[i].expected_len);
        free(clients[i].out);
        free(clients[i].expected);
    }
    net_server_stop(f.server, 5000, on_stopped, &f);
    assert_true(sim_run_until(f.sim, is_quiet, &f, 60000));
    assert_int_equal(net_server_connection_count(f.server), 0);
    uint64_t hash = sim_trace_hash(f.sim);
    fixture_end(&f);
    return hash;
}

static void
random_frames_come_back_in_order(void **state)
{
    uint64_t first = test_seed(1);
    (void)state;
    for (uint64_t seed = first; seed < first + SEEDS; seed++) {
        print_message("# seed %llu\n", (unsigned long long)seed);
        (void)run_once(seed);
    }
}

/* The nth allocation fails: a connection may be lost for it, nothing else. */
static void
any_allocation_may_fail(void **state)
{
    (void)state;
    for (uint64_t nth = 1; nth <= 150; nth++) {
        struct fixture f;
        struct client clients[CLIENTS];
        fixture_start(&f, 11, (struct net_server_opts){0});
        for (int i = 0; i < CLIENTS; i++) {
            client_make(&f, &clients[i]);
            loop_post(f.client_loop, &clients[i].start);
        }
        mem_fail_after(nth);
        assert_true(sim_run_until(f.sim, all_done, &f, 600000));
        mem_fail_after(0);
        net_server_stop(f.server, 5000, on_stopped, &f);
        assert_true(sim_run_until(f.sim, is_quiet, &f, 60000));
        for (int i = 0; i < CLIENTS; i++) {
            free(clients[i].out);
            free(clients[i].expected);
        }
        fixture_end(&f);
    }
}

/* The host dies in the middle of it: what is freed afterwards is memory only. */
static void
a_crash_at_any_operation_leaves_nothing_behind(void **state)
{
    (void)state;
    for (uint64_t nth = 1; nth <= 120; nth += 3) {
        struct fixture f;
        struct client clients[CLIENTS];
        fixture_start(&f, 5, (struct net_server_opts){0});
        for (int i = 0; i < CLIENTS; i++) {
            client_make(&f, &clients[i]);
            for (size_t at = 0; at < clients[i].out_len; at += 4 + load_be32(clients[i].out + at))
                clients[i].out[at + 4] = 'E'; /* no timers of the handler's */
            memcpy(clients[i].expected, clients[i].out, clients[i].out_len);
            clients[i].expected_len = clients[i].out_len;
            loop_post(f.client_loop, &clients[i].start);
        }
        sim_host_crash_at(f.host, SIM_CRASH_KILL, nth);
        sim_run_ms(f.sim, 2000);
        assert_true(sim_host_is_down(f.host));
        for (int i = 0; i < CLIENTS; i++) {
            if (clients[i].sock != NULL)
                sock_close(&clients[i].sock);
            free(clients[i].out);
            free(clients[i].expected);
        }
        fixture_end(&f);
    }
}

static void
the_same_seed_gives_the_same_trace(void **state)
{
    (void)state;
    assert_true(run_once(7) == run_once(7));
}

static void
idle_and_slow_peers_are_closed_in_time(void **state)
{
    struct fixture f;
    struct client clients[2];
    struct net_counters counters;
    (void)state;
    fixture_start(&f, 3, (struct net_server_opts){0});
    for (int i = 0; i < 2; i++) {
        client_make(&f, &clients[i]);
        clients[i].leave_at = SIZE_MAX;
        clients[i].out_len = i == 0 ? 0 : 4 + 1; /* nothing, or the beginning of a frame */
        loop_post(f.client_loop, &clients[i].start);
    }
    store_be32(clients[1].out, 1000);
    sim_run_ms(f.sim, 25000);
    net_server_counters(f.server, &counters);
    assert_int_equal(counters.closed_frame_deadline, 0);
    sim_run_ms(f.sim, 10000);
    net_server_counters(f.server, &counters);
    assert_int_equal(counters.closed_frame_deadline, 1);
    sim_run_ms(f.sim, 550000);
    net_server_counters(f.server, &counters);
    assert_int_equal(counters.closed_idle, 0);
    sim_run_ms(f.sim, 20000);
    net_server_counters(f.server, &counters);
    assert_int_equal(counters.closed_idle, 1);
    for (int i = 0; i < 2; i++) {
        assert_true(clients[i].ended);
        free(clients[i].out);
        free(clients[i].expected);
    }
    fixture_end(&f);
}

TEST_MAIN(cmocka_unit_test(random_frames_come_back_in_order),
    cmocka_unit_test(any_allocation_may_fail),
    cmocka_unit_test(a_crash_at_any_operation_leaves_nothing_behind),
    cmocka_unit_test(the_same_seed_gives_the_same_trace),
    cmocka_unit_test(idle_and_slow_peers_are_closed_in_time))
