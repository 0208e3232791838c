/* The server over real sockets: framing, order, backpressure, limits, stop. The handler here does
 * what the first byte of a frame says. Whom it serves when is in test_turns.c, where time stands
 * still: here nothing may depend on how fast anything runs. */
#include "tests/lib/test.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/limits.h"
#include "net/block.h"
#include "net/server.h"
#include "os/env.h"

enum { LOOPS = 2, PARKED_MAX = 64 };
/* It hangs. */
enum { WAIT_MS = 120000 };

struct fixture {
    struct env *env;
    struct loop *loops[LOOPS];
    struct net_server *server;
    uint16_t port;
    char dir[256];
    struct env_file *file;
    _Atomic int opened, closed, freed, frames, pending, sent;
    _Atomic int stopped;
    struct peer *parker; /* the last that parked, and its loop */
    struct loop *parker_loop;
    struct loop_task release;
};

struct peer {
    struct fixture *f;
    struct net_slot *parked[PARKED_MAX]; /* answered last first, when 'R' comes */
    int parked_count;
};

static bool
on_open(void *ctx, struct net_conn *conn, void **user)
{
    struct fixture *f = ctx;
    struct peer *peer = mem_calloc(1, sizeof *peer);
    (void)conn;
    if (peer == NULL)
        return false;
    peer->f = f;
    *user = peer;
    atomic_fetch_add(&f->opened, 1);
    return true;
}

static void
reply_bytes(struct net_slot *slot, const void *data, size_t len)
{
    writer_raw(&slot->writer, data, len);
    net_slot_reply(slot);
}

static void
release(struct peer *peer)
{
    while (peer->parked_count > 0) {
        struct net_slot *slot = peer->parked[--peer->parked_count];
        atomic_fetch_sub(&peer->f->pending, 1);
        reply_bytes(slot, slot->frame, slot->frame_len);
    }
}

/* What was parked last is answered though its connection takes no frames any more. */
static void
release_run(struct loop_task *task)
{
    release(CONTAINER_OF(task, struct fixture, release)->parker);
}

static void
on_frame(void *ctx, struct net_conn *conn, struct net_slot *slot)
{
    struct fixture *f = ctx;
    struct peer *peer = net_conn_user(conn);
    atomic_fetch_add(&f->frames, 1);
    if (slot->frame_len == 0) {
        net_slot_close(slot, "empty frame");
        return;
    }
    switch (slot->frame[0]) {
    case 'P': /* park */
        assert_true(peer->parked_count < PARKED_MAX);
        peer->parked[peer->parked_count++] = slot;
        f->parker = peer;
        f->parker_loop = net_conn_loop(conn);
        atomic_fetch_add(&f->pending, 1);
        return;
    case 'R': /* release, last first */
        release(peer);
        reply_bytes(slot, "R", 1);
        return;
    case 'N': net_slot_drop(slot); return;
    case 'C': net_slot_close(slot, "asked"); return;
    case 'B': { /* so many KiB */
        uint8_t *p = buf_extend(&slot->writer.buf, (size_t)slot->frame[1] * 1024);
        memset(p, 'b', (size_t)slot->frame[1] * 1024);
        net_slot_reply(slot);
        return;
    }
    case 'F': /* "<" file bytes 2..6 ">" file bytes 0..3 */
        writer_raw(&slot->writer, "<", 1);
        env_file_ref(f->file);
        assert_true(writer_splice(&slot->writer, f->file, 2, 4));
        writer_raw(&slot->writer, ">", 1);
        env_file_ref(f->file);
        assert_true(writer_splice(&slot->writer, f->file, 0, 3));
        net_slot_reply(slot);
        return;
    default: reply_bytes(slot, slot->frame, slot->frame_len); return;
    }
}

static void
on_close(void *ctx, struct net_conn *conn)
{
    struct fixture *f = ctx;
    struct peer *peer = net_conn_user(conn);
    while (peer->parked_count > 0) {
        atomic_fetch_sub(&f->pending, 1);
        net_slot_drop(peer->parked[--peer->parked_count]);
    }
    atomic_fetch_add(&f->closed, 1);
}

static void
on_free(void *ctx, void *user)
{
    struct fixture *f = ctx;
    atomic_fetch_add(&f->freed, 1);
    mem_free(user);
}

static void
on_sent(void *ctx, const struct net_slot *slot, int64_t sending_ns, int64_t sent_ns)
{
    struct fixture *f = ctx;
    assert_true(slot->received_ns > 0);
    assert_true(sending_ns >= slot->received_ns);
    assert_true(sent_ns >= sending_ns);
    atomic_fetch_add(&f->sent, 1);
}

static const struct net_handler handler = {.on_open = on_open,
    .on_frame = on_frame,
    .on_close = on_close,
    .on_free = on_free,
    .on_sent = on_sent};

/* Not on a stack: its threads go on when a test fails and is left. */
static struct fixture *
fixture_start(struct net_server_opts opts)
{
    struct fixture *f = calloc(1, sizeof *f);
    char path[300];
    assert_non_null(f);
    test_dir_make(f->dir, sizeof f->dir);
    assert_int_equal(env_real_new(&(struct env_real_opts){DIAG_ERROR, 2}, &f->env), ERR_OK);
    for (int i = 0; i < LOOPS; i++)
        assert_int_equal(loop_new(f->env, "reactor", &f->loops[i]), ERR_OK);
    snprintf(path, sizeof path, "%s/data", f->dir);
    assert_int_equal(env_open(f->env, path, ENV_OPEN_WRITE | ENV_OPEN_CREATE, &f->file), ERR_OK);
    assert_int_equal(
        env_write_at(f->file, 0, (struct bytes){(const uint8_t *)"0123456789", 10}), ERR_OK);
    opts.env = f->env;
    opts.loops = f->loops;
    opts.loop_count = LOOPS;
    opts.handler = &handler;
    opts.ctx = f;
    assert_int_equal(net_server_new(&opts, &f->server), ERR_OK);
    struct net_listen_opts listen = {.name = STR("PLAINTEXT")};
    assert_int_equal(sock_addr_parse(STR("127.0.0.1"), 0, &listen.addr), ERR_OK);
    assert_int_equal(net_server_listen(f->server, &listen, &f->port), ERR_OK);
    for (int i = 0; i < LOOPS; i++)
        assert_int_equal(loop_start(f->loops[i]), ERR_OK);
    return f;
}

static bool
wait_for(_Atomic int *value, int wanted)
{
    for (int i = 0; i < WAIT_MS && atomic_load(value) != wanted; i++)
        usleep(1000);
    return atomic_load(value) == wanted;
}

static void
fixture_end(struct fixture *f)
{
    for (int i = 0; i < LOOPS; i++)
        loop_stop(f->loops[i]);
    net_server_free(&f->server);
    for (int i = 0; i < LOOPS; i++)
        loop_free(&f->loops[i]);
    assert_int_equal(atomic_load(&f->opened), atomic_load(&f->freed));
    env_file_close(&f->file);
    env_free(&f->env);
    test_dir_remove(f->dir);
    free(f);
}

static int
dial(const struct fixture *f)
{
    struct sockaddr_in sin = {.sin_family = AF_INET, .sin_port = htons(f->port)};
    struct timeval timeout = {.tv_sec = WAIT_MS / 1000};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    /* Small sends do not wait until the server has acknowledged earlier ones. */
    assert_int_equal(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int)), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&sin, sizeof sin), 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout), 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout), 0);
    return fd;
}

static void
put(int fd, const void *data, size_t len)
{
    assert_int_equal(send(fd, data, len, MSG_NOSIGNAL), len);
}

static void
put_frame(int fd, const void *body, uint32_t len)
{
    uint8_t frame[64];
    assert_true(len + 4 <= sizeof frame);
    store_be32(frame, len);
    memcpy(frame + 4, body, len);
    put(fd, frame, len + 4);
}

static void
get(int fd, void *data, size_t len)
{
    for (size_t at = 0; at < len;) {
        ssize_t n = recv(fd, (char *)data + at, len - at, 0);
        assert_true(n > 0);
        at += (size_t)n;
    }
}

static uint32_t
get_frame(int fd, void *data, size_t size)
{
    uint8_t head[4];
    get(fd, head, 4);
    uint32_t len = load_be32(head);
    assert_true(len <= size);
    get(fd, data, len);
    return len;
}

static void
expect_frame(int fd, const char *text)
{
    char data[256];
    uint32_t len = get_frame(fd, data, sizeof data);
    assert_int_equal(len, strlen(text));
    assert_memory_equal(data, text, len);
}

static void
expect_closed(int fd)
{
    char byte;
    ssize_t n = recv(fd, &byte, 1, 0);
    assert_true(n == 0 || (n < 0 && errno == ECONNRESET));
    close(fd);
}

static void
frames_come_back(void **state)
{
    struct fixture *f = fixture_start((struct net_server_opts){0});
    (void)state;
    int fd = dial(f), other = dial(f);
    put_frame(fd, "Ehello", 6);
    put_frame(other, "Eother", 6);
    expect_frame(fd, "Ehello");
    expect_frame(other, "Eother");
    /* byte by byte */
    uint8_t slow[] = {0, 0, 0, 3, 'E', 'a', 'b'};
    for (size_t i = 0; i < sizeof slow; i++) {
        put(fd, slow + i, 1);
        usleep(500);
    }
    expect_frame(fd, "Eab");
    close(fd);
    close(other);
    assert_true(wait_for(&f->freed, 2));
    fixture_end(f);
}

static void
broken_sizes_close_and_others_live(void **state)
{
    static const struct {
        const char *name;
        uint8_t bytes[16];
        size_t len;
    } cases[] = {
        {"minus one", {0xff, 0xff, 0xff, 0xff}, 4},
        {"int max", {0x7f, 0xff, 0xff, 0xff}, 4},
        {"one too large", {0, 0, 0x10, 1}, 4},
        {"int min", {0x80, 0, 0, 0}, 4},
        {"http", "GET / HTTP/1.1\r", 15},
        {"tls hello", {0x16, 3, 1, 2, 0, 1, 0}, 7},
        {"size zero", {0, 0, 0, 0}, 4},
    };
    struct fixture *f = fixture_start((struct net_server_opts){.frame_size_max = 4096});
    (void)state;
    int good = dial(f);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        int fd = dial(f);
        put(fd, cases[i].bytes, cases[i].len);
        expect_closed(fd);
    }
    put_frame(good, "Estill here", 11);
    expect_frame(good, "Estill here");
    struct net_counters counters;
    net_server_counters(f->server, &counters);
    assert_int_equal(counters.closed_bad_frame, COUNT_OF(cases) - 1);
    close(good);
    fixture_end(f);
}

static void
a_frame_cut_by_the_peer_frees_all(void **state)
{
    struct fixture *f = fixture_start((struct net_server_opts){0});
    (void)state;
    for (int i = 0; i < 4; i++) {
        int fd = dial(f);
        uint8_t head[4];
        store_be32(head, 50 << 20);
        put(fd, head, i < 2 ? 3 : 4);
        if (i == 3)
            put(fd, "Esome of it", 11);
        close(fd);
    }
    assert_true(wait_for(&f->freed, 4));
    assert_int_equal(atomic_load(&f->frames), 0);
    fixture_end(f);
}

static void
frames_of_all_sizes_survive_any_split(void **state)
{
    static const uint32_t sizes[] = {1, 7, 1023, 1025, 4096, 16383, 16384, 40000, 65531, 65532,
        65533, 65536, 70000, 300000, 2000000};
    struct fixture *f = fixture_start((struct net_server_opts){0});
    (void)state;
    int fd = dial(f);
    size_t total = 0;
    for (size_t i = 0; i < COUNT_OF(sizes); i++)
        total += 4 + sizes[i];
    uint8_t *all = malloc(total), *back = malloc(2000000);
    size_t at = 0;
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        store_be32(all + at, sizes[i]);
        for (uint32_t k = 0; k < sizes[i]; k++)
            all[at + 4 + k] = k == 0 ? 'E' : (uint8_t)(k * 31 + i);
        at += 4 + sizes[i];
    }
    size_t sent = 0, check = 0;
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        size_t until = check + 4 + sizes[i] + 9000; /* into the next frames */
        if (until > total)
            until = total;
        if (until > sent) {
            put(fd, all + sent, until - sent);
            sent = until;
        }
        assert_int_equal(get_frame(fd, back, 2000000), sizes[i]);
        assert_memory_equal(back, all + check + 4, sizes[i]);
        check += 4 + sizes[i];
    }
    free(all);
    free(back);
    close(fd);
    fixture_end(f);
}

static void
responses_leave_in_request_order(void **state)
{
    struct fixture *f = fixture_start((struct net_server_opts){0});
    (void)state;
    int fd = dial(f);
    put_frame(fd, "P1", 2);
    put_frame(fd, "Ebetween", 8);
    put_frame(fd, "P2", 2);
    put_frame(fd, "N", 1);
    put_frame(fd, "P3", 2);
    put_frame(fd, "R", 1);
    put_frame(fd, "Eend", 4);
    expect_frame(fd, "P1");
    expect_frame(fd, "Ebetween");
    expect_frame(fd, "P2");
    expect_frame(fd, "P3");
    expect_frame(fd, "R");
    expect_frame(fd, "Eend");
    close(fd);
    fixture_end(f);
}

struct listener_sums {
    int seen;
    uint64_t opened, closed;
};

static void
add_listener(void *ctx, const struct net_listener_counters *counters)
{
    struct listener_sums *sums = ctx;
    assert_true(str_eq_z(counters->listener, "PLAINTEXT"));
    assert_true(counters->reactor >= 0 && counters->reactor < LOOPS);
    sums->seen++;
    sums->opened += counters->opened;
    sums->closed += counters->closed;
}

static void
sent_responses_and_connections_are_counted(void **state)
{
    struct fixture *f;
    struct net_counters c;
    struct listener_sums sums = {0};
    char big[255 * 1024];
    (void)state;
    f = fixture_start((struct net_server_opts){0});
    int fd = dial(f), other = dial(f);
    put_frame(fd, "P1", 2); /* waits, and so does what comes behind it */
    put_frame(fd, "B\xff", 2);
    put_frame(other, "Eother", 6);
    put_frame(other, "N", 1);
    expect_frame(other, "Eother");
    assert_true(wait_for(&f->sent, 1));
    c.responses_waiting = 0;
    for (int i = 0; i < WAIT_MS && c.responses_waiting == 0; i++) {
        usleep(1000);
        net_server_counters(f->server, &c);
    }
    assert_int_equal(c.responses_waiting, 1);
    assert_int_equal(c.responses_sent, 1);
    put_frame(fd, "R", 1);
    expect_frame(fd, "P1");
    assert_int_equal(get_frame(fd, big, sizeof big), sizeof big);
    expect_frame(fd, "R");
    assert_true(wait_for(&f->sent, 4));
    close(other);
    assert_true(wait_for(&f->freed, 1));
    net_server_counters(f->server, &c);
    assert_int_equal(c.responses_sent, 4);
    assert_int_equal(c.responses_waiting, 0);
    net_server_each_listener(f->server, add_listener, &sums);
    assert_int_equal(sums.seen, LOOPS);
    assert_int_equal(sums.opened, 2);
    assert_int_equal(sums.closed, 1);
    close(fd);
    fixture_end(f);
}

static void
files_are_spliced_between_bytes(void **state)
{
    struct fixture *f = fixture_start((struct net_server_opts){0});
    (void)state;
    int fd = dial(f);
    for (int i = 0; i < 20; i++) {
        put_frame(fd, "Ebefore", 7);
        put_frame(fd, "F", 1);
    }
    for (int i = 0; i < 20; i++) {
        expect_frame(fd, "Ebefore");
        expect_frame(fd, "<2345>012");
    }
    close(fd);
    fixture_end(f);
}

static void
close_sends_earlier_responses_first(void **state)
{
    struct fixture *f = fixture_start((struct net_server_opts){0});
    (void)state;
    int fd = dial(f);
    /* In one: the server may be gone before another send. */
    static const char frames[] = "\0\0\0\2P1\0\0\0\1R\0\0\0\1C\0\0\0\6Enever";
    put(fd, frames, sizeof frames - 1);
    expect_frame(fd, "P1");
    expect_frame(fd, "R");
    expect_closed(fd);
    assert_true(wait_for(&f->freed, 1));
    fixture_end(f);
}

static void
a_half_closed_peer_gets_its_answers(void **state)
{
    struct fixture *f = fixture_start((struct net_server_opts){0});
    (void)state;
    int fd = dial(f);
    put_frame(fd, "P1", 2);
    put_frame(fd, "R", 1);
    put_frame(fd, "Elast", 5);
    shutdown(fd, SHUT_WR);
    expect_frame(fd, "P1");
    expect_frame(fd, "R");
    expect_frame(fd, "Elast");
    expect_closed(fd);
    assert_true(wait_for(&f->freed, 1));
    fixture_end(f);
}

static void
a_peer_that_leaves_with_parked_requests_is_freed(void **state)
{
    struct fixture *f = fixture_start((struct net_server_opts){.send_stall_ms = 10});
    (void)state;
    int fd = dial(f);
    struct linger hard = {1, 0};
    put_frame(fd, "P1", 2);
    put_frame(fd, "P2", 2);
    assert_true(wait_for(&f->pending, 2));
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    close(fd); /* a reset */
    assert_true(wait_for(&f->freed, 1));
    fixture_end(f);
}

static void
ten_thousand_pipelined_requests_are_answered(void **state)
{
    enum { COUNT = 10000 };
    struct fixture *f;
    char body[64], back[64];
    (void)state;
    f = fixture_start((struct net_server_opts){0});
    int fd = dial(f);
    if (fork() == 0) { /* writes while we read late */
        for (int i = 0; i < COUNT; i++) {
            int len = snprintf(body, sizeof body, "E%d", i);
            put_frame(fd, body, (uint32_t)len);
        }
        _exit(0);
    }
    usleep(50000);
    for (int i = 0; i < COUNT; i++) {
        int len = snprintf(body, sizeof body, "E%d", i);
        assert_int_equal(get_frame(fd, back, sizeof back), len);
        assert_memory_equal(back, body, (size_t)len);
    }
    close(fd);
    fixture_end(f);
}

static void
a_reader_that_takes_nothing_stops_being_read(void **state)
{
    struct fixture *f = fixture_start((struct net_server_opts){0});
    (void)state;
    int fd = dial(f);
    const uint8_t frame[] = {0, 0, 0, 2, 'B', 255};
    int sent = 0;
    /* Each asks for 255 KiB; nobody reads. */
    for (int i = 0; i < 400; i++, sent++)
        put(fd, frame, sizeof frame);
    usleep(200000);
    int seen = atomic_load(&f->frames);
    assert_true(seen < 100); /* 1 MiB of output and what the kernel took */
    uint8_t *back = malloc(255 * 1024);
    for (int i = 0; i < sent; i++)
        assert_int_equal(get_frame(fd, back, 255 * 1024), 255 * 1024);
    assert_int_equal(atomic_load(&f->frames), sent);
    free(back);
    close(fd);
    fixture_end(f);
}

static void
parked_requests_of_one_connection_are_bounded(void **state)
{
    struct fixture *f = fixture_start((struct net_server_opts){0});
    (void)state;
    int fd = dial(f);
    /* 60 parked, then many that cannot leave before them. */
    for (int i = 0; i < 60; i++)
        put_frame(fd, "P", 1);
    for (int i = 0; i < 200; i++)
        put_frame(fd, "Ewaits", 6);
    assert_true(wait_for(&f->frames, 100));
    usleep(30000);
    assert_int_equal(atomic_load(&f->frames), 100);
    close(fd);
    fixture_end(f);
}

/* A large frame that is under way takes no room of ordinary ones; an ordinary one that holds memory
 * without moving is closed when others wait for it. */
static void
who_holds_memory_and_does_not_move_makes_room(void **state)
{
    struct fixture *f;
    enum { SIZE = 900000 };
    uint8_t *body = malloc(SIZE), *back = malloc(SIZE), head[5] = {0, 0, 0, 0, 'E'};
    (void)state;
    memset(body, 'E', SIZE);
    f = fixture_start((struct net_server_opts){.frame_memory_max = 1 << 20});
    int large = dial(f), large_too = dial(f), waits[LOOPS], held[LOOPS];
    store_be32(head, NET_BLOCK_LARGE + 1);
    put(large, head, 5);
    put(large_too, head, 5);
    usleep(20000);
    for (int i = 0; i < LOOPS; i++) { /* one on each loop: heads and no more */
        held[i] = dial(f);
        store_be32(head, SIZE);
        put(held[i], head, 5);
    }
    usleep(20000);
    for (int i = 0; i < LOOPS; i++) {
        waits[i] = dial(f);
        if (fork() == 0) {
            put(waits[i], head, 4);
            put(waits[i], body, SIZE);
            _exit(0);
        }
    }
    for (int i = 0; i < LOOPS; i++) {
        assert_int_equal(get_frame(waits[i], back, SIZE), SIZE);
        expect_closed(held[i]);
        close(waits[i]);
    }
    close(large);
    close(large_too);
    free(body);
    free(back);
    fixture_end(f);
}

static void
limits_of_connections_hold(void **state)
{
    struct fixture *f = fixture_start((struct net_server_opts){.connections_per_ip_max = 2});
    (void)state;
    int a = dial(f), b = dial(f);
    put_frame(a, "E1", 2);
    expect_frame(a, "E1");
    put_frame(b, "E1", 2);
    expect_frame(b, "E1");
    int c = dial(f);
    expect_closed(c);
    close(a);
    assert_true(wait_for(&f->freed, 1));
    c = dial(f);
    put_frame(c, "E2", 2);
    expect_frame(c, "E2");
    close(b);
    close(c);
    fixture_end(f);

    f = fixture_start((struct net_server_opts){.connections_max = 1});
    a = dial(f);
    put_frame(a, "E1", 2);
    expect_frame(a, "E1");
    b = dial(f); /* waits in the kernel's queue */
    put_frame(b, "E2", 2);
    usleep(30000);
    assert_int_equal(atomic_load(&f->frames), 1);
    close(a);
    expect_frame(b, "E2");
    close(b);
    fixture_end(f);
}

static void
on_stopped(void *ctx)
{
    struct fixture *f = ctx;
    atomic_store(&f->stopped, 1);
}

static void
stop_lets_requests_in_flight_finish(void **state)
{
    struct fixture *f = fixture_start((struct net_server_opts){0});
    (void)state;
    int idle = dial(f), busy = dial(f);
    put_frame(idle, "E", 1);
    expect_frame(idle, "E");
    put_frame(busy, "B\377", 2);
    put_frame(busy, "P1", 2);
    assert_true(wait_for(&f->pending, 1));
    net_server_stop(f->server, 10L * WAIT_MS, on_stopped, f);
    expect_closed(idle);
    uint8_t *back = malloc(255 * 1024);
    assert_int_equal(get_frame(busy, back, 255 * 1024), 255 * 1024);
    free(back);
    assert_int_equal(atomic_load(&f->stopped), 0);
    loop_task_init(&f->release, release_run);
    loop_post(f->parker_loop, &f->release);
    expect_frame(busy, "P1");
    expect_closed(busy);
    assert_true(wait_for(&f->stopped, 1));
    fixture_end(f);
}

TEST_MAIN(cmocka_unit_test(frames_come_back), cmocka_unit_test(broken_sizes_close_and_others_live),
    cmocka_unit_test(a_frame_cut_by_the_peer_frees_all),
    cmocka_unit_test(frames_of_all_sizes_survive_any_split),
    cmocka_unit_test(responses_leave_in_request_order),
    cmocka_unit_test(sent_responses_and_connections_are_counted),
    cmocka_unit_test(files_are_spliced_between_bytes),
    cmocka_unit_test(close_sends_earlier_responses_first),
    cmocka_unit_test(a_half_closed_peer_gets_its_answers),
    cmocka_unit_test(a_peer_that_leaves_with_parked_requests_is_freed),
    cmocka_unit_test(ten_thousand_pipelined_requests_are_answered),
    cmocka_unit_test(a_reader_that_takes_nothing_stops_being_read),
    cmocka_unit_test(parked_requests_of_one_connection_are_bounded),
    cmocka_unit_test(who_holds_memory_and_does_not_move_makes_room),
    cmocka_unit_test(limits_of_connections_hold),
    cmocka_unit_test(stop_lets_requests_in_flight_finish))
