#include "tests/unit/os/conform.h"

#include <arpa/inet.h>

#include "base/alloc.h"
#include "base/attr.h"

enum { STREAM_BYTES = 700000 };

/* One end that sends STREAM_BYTES of a pattern and checks the same coming back. */
struct peer {
    struct loop *loop;
    struct sock *sock;
    struct env_file *file; /* sent by sendfile instead of from memory */
    size_t sent, received;
    size_t send_total;
    enum err read_err, write_err;
    bool bad;  /* what came was not what was sent */
    bool hold; /* do not read yet */
    bool connected;
    _Atomic int full; /* writes that found no room */
    _Atomic int received_all;
    _Atomic int sent_all;
    _Atomic int ended; /* read an end or an error */
};

static uint8_t
pattern(size_t at)
{
    return (uint8_t)(at * 31 + at / 251);
}

static void
peer_want(struct peer *peer)
{
    sock_want(peer->sock, !peer->hold && peer->read_err == ERR_OK,
        !peer->connected || peer->sent < peer->send_total);
}

static void
peer_readable(void *ctx)
{
    struct peer *peer = ctx;
    uint8_t data[10000];
    size_t n = 0;
    enum err err = sock_read(peer->sock, data, sizeof data, &n);
    if (err == ERR_AGAIN)
        return;
    if (err != ERR_OK) {
        peer->read_err = err;
        peer_want(peer);
        atomic_store(&peer->ended, 1);
        return;
    }
    for (size_t i = 0; i < n; i++)
        peer->bad = peer->bad || data[i] != pattern(peer->received + i);
    peer->received += n;
    if (peer->received >= STREAM_BYTES)
        atomic_store(&peer->received_all, 1);
}

static enum err
peer_send(struct peer *peer, size_t *n)
{
    uint8_t data[8192];
    struct bytes parts[2];
    size_t len = peer->send_total - peer->sent;
    if (peer->file != NULL)
        return sock_sendfile(peer->sock, peer->file, (int64_t)peer->sent, len, n);
    len = len < sizeof data ? len : sizeof data;
    for (size_t i = 0; i < len; i++)
        data[i] = pattern(peer->sent + i);
    parts[0] = (struct bytes){data, len / 3};
    parts[1] = (struct bytes){data + len / 3, len - len / 3};
    return sock_writev(peer->sock, parts, 2, n);
}

static void
peer_writable(void *ctx)
{
    struct peer *peer = ctx;
    size_t n = 0;
    if (!peer->connected) {
        peer->write_err = sock_connect_result(peer->sock);
        peer->connected = peer->write_err == ERR_OK;
        if (!peer->connected) {
            sock_want(peer->sock, false, false);
            atomic_store(&peer->ended, 1);
            return;
        }
    }
    while (peer->sent < peer->send_total) {
        enum err err = peer_send(peer, &n);
        if (err == ERR_AGAIN) {
            atomic_fetch_add(&peer->full, 1);
            break;
        }
        if (err != ERR_OK) {
            peer->write_err = err;
            peer->send_total = peer->sent;
            atomic_store(&peer->ended, 1);
            break;
        }
        peer->sent += n;
    }
    if (peer->sent == peer->send_total)
        atomic_store(&peer->sent_all, 1);
    peer_want(peer);
}

static const struct sock_events peer_events = {peer_readable, peer_writable};

static void
peer_close(void *ctx)
{
    struct peer *peer = ctx;
    sock_close(&peer->sock);
}

static void
peer_release(void *ctx)
{
    struct peer *peer = ctx;
    peer->hold = false;
    peer_want(peer);
}

/* A server on one loop whose connection is served by another, and a client on a third. */
struct net {
    struct world *w;
    struct loop *server_loop, *client_loop, *serve_loop;
    struct sock_listener *listener;
    struct sock_addr addr;
    uint16_t port;
    struct peer server, client;
    struct loop_task hand_over;
    enum err err;        /* of the last call */
    enum err accept_err; /* serve_loop's */
    _Atomic int accepted;
};

static void
hand_over_run(struct loop_task *task)
{
    struct net *net = CONTAINER_OF(task, struct net, hand_over);
    net->accept_err = sock_attach(net->server.sock, net->serve_loop, &peer_events, &net->server);
    net->server.connected = true;
    if (net->accept_err == ERR_OK)
        peer_want(&net->server);
    atomic_fetch_add(&net->accepted, 1);
}

static void
net_accept(void *ctx, struct sock *sock)
{
    struct net *net = ctx;
    net->server.sock = sock;
    loop_post(net->serve_loop, &net->hand_over);
}

static void
net_listen(void *ctx)
{
    struct net *net = ctx;
    net->err =
        sock_listen(net->server_loop, &(struct sock_listen_opts){.addr = net->addr, .backlog = 16},
            net_accept, net, &net->listener);
    if (net->err == ERR_OK)
        net->port = sock_listener_port(net->listener);
}

static void
net_unlisten(void *ctx)
{
    struct net *net = ctx;
    sock_listener_close(&net->listener);
}

static void
net_connect(void *ctx)
{
    struct net *net = ctx;
    struct sock_addr to;
    net->err = sock_addr_parse(STR("127.0.0.1"), net->port, &to);
    if (net->err == ERR_OK)
        net->err =
            sock_connect(net->client_loop, &to, &peer_events, &net->client, &net->client.sock);
    if (net->err == ERR_OK)
        peer_want(&net->client);
}

static void
net_open(struct net *net, struct world *w)
{
    memset(net, 0, sizeof *net);
    net->w = w;
    net->server_loop = world_loop(w, "server");
    net->serve_loop = world_loop(w, "serve");
    net->client_loop = world_loop(w, "client");
    loop_task_init(&net->hand_over, hand_over_run);
    assert_int_equal(sock_addr_parse(STR("127.0.0.1"), 0, &net->addr), ERR_OK);
    world_call(w, net->server_loop, net_listen, net);
    assert_int_equal(net->err, ERR_OK);
    assert_true(net->port != 0);
}

static void
net_join(struct net *net)
{
    world_call(net->w, net->client_loop, net_connect, net);
    assert_true(world_wait_count(net->w, &net->accepted, 1));
    assert_int_equal(net->err, ERR_OK);
    assert_int_equal(net->accept_err, ERR_OK);
}

static void
net_close(struct net *net)
{
    loop_stop(net->server_loop);
    loop_stop(net->serve_loop);
    loop_stop(net->client_loop);
    sock_close(&net->client.sock); /* of a stopped loop, by anybody */
    sock_close(&net->server.sock);
    sock_listener_close(&net->listener);
    loop_free(&net->server_loop);
    loop_free(&net->serve_loop);
    loop_free(&net->client_loop);
}

void
streams_carry_everything_both_ways(void **state)
{
    struct world *w = *state;
    struct net net;
    struct sock_addr addr;
    char path[300], host[64];
    uint16_t port = 0;
    struct env_file *file = NULL;
    net_open(&net, w);
    assert_int_equal(
        env_open(w->env, world_path(w, "data", path), ENV_OPEN_WRITE | ENV_OPEN_CREATE, &file),
        ERR_OK);
    uint8_t *data = mem_alloc(STREAM_BYTES);
    assert_non_null(data);
    for (size_t i = 0; i < STREAM_BYTES; i++)
        data[i] = pattern(i);
    assert_int_equal(env_write_at(file, 0, (struct bytes){data, STREAM_BYTES}), ERR_OK);
    mem_free(data);
    net.server.file = file;
    net.server.send_total = net.client.send_total = STREAM_BYTES;
    net_join(&net);
    assert_true(world_wait_count(w, &net.client.received_all, 1));
    assert_true(world_wait_count(w, &net.server.received_all, 1));
    assert_false(net.client.bad);
    assert_false(net.server.bad);
    sock_peer(net.server.sock, &addr);
    sock_addr_format(&addr, host, sizeof host, &port);
    assert_true(port != 0);
    assert_true(strlen(host) > 6);
    net_close(&net);
    env_file_close(&file);
}

void
connecting_where_nobody_listens_is_refused(void **state)
{
    struct world *w = *state;
    struct net net;
    net_open(&net, w);
    world_call(w, net.server_loop, net_unlisten, &net);
    world_call(w, net.client_loop, net_connect, &net);
    if (net.err == ERR_OK) {
        assert_true(world_wait_count(w, &net.client.ended, 1));
        net.err = net.client.write_err != ERR_OK ? net.client.write_err : net.client.read_err;
    }
    assert_int_equal(net.err, ERR_REFUSED);
    net_close(&net);
}

static void
net_pause(void *ctx)
{
    sock_listener_pause(((struct net *)ctx)->listener, true);
}

static void
net_resume(void *ctx)
{
    sock_listener_pause(((struct net *)ctx)->listener, false);
}

struct pass {
    struct world *w;
    int64_t until_ms;
};

static bool
pass_over(void *ctx)
{
    struct pass *pass = ctx;
    return env_now_ms(pass->w->env) >= pass->until_ms;
}

/* Lets so much time go by. */
static void
world_pass(struct world *w, int64_t ms)
{
    struct pass pass = {w, env_now_ms(w->env) + ms};
    w->wait(w, pass_over, &pass);
}

void
a_paused_listener_accepts_later(void **state)
{
    struct world *w = *state;
    struct net net;
    net_open(&net, w);
    world_call(w, net.server_loop, net_pause, &net);
    world_call(w, net.client_loop, net_connect, &net);
    world_pass(w, 30);
    assert_int_equal(atomic_load(&net.accepted), 0);
    world_call(w, net.server_loop, net_resume, &net);
    assert_true(world_wait_count(w, &net.accepted, 1));
    net_close(&net);
}

void
a_closed_peer_is_seen_by_a_reader(void **state)
{
    struct world *w = *state;
    struct net net;
    net_open(&net, w);
    net.client.send_total = STREAM_BYTES;
    net_join(&net);
    assert_true(world_wait_count(w, &net.client.sent_all, 1));
    world_call(w, net.client_loop, peer_close, &net.client);
    assert_null(net.client.sock);
    assert_true(world_wait_count(w, &net.server.ended, 1));
    assert_int_equal(net.server.read_err, ERR_CLOSED);
    assert_int_equal(net.server.received, STREAM_BYTES); /* the end comes after all data */
    assert_false(net.server.bad);
    net_close(&net);
}

void
a_slow_reader_stops_the_writer(void **state)
{
    struct world *w = *state;
    struct net net;
    net_open(&net, w);
    net.client.send_total = 64 << 20;
    net.server.hold = true;
    net_join(&net);
    assert_true(world_wait_count(w, &net.client.full, 1));
    world_pass(w, 30);
    assert_int_equal(atomic_load(&net.client.sent_all), 0);
    world_call(w, net.serve_loop, peer_release, &net.server);
    assert_true(world_wait_count(w, &net.server.received_all, 1));
    net_close(&net);
}

struct shy {
    struct net *net;
    int calls;
};

static void
shy_readable(void *ctx)
{
    struct shy *shy = ctx;
    shy->calls++;
    sock_close(&shy->net->server.sock);
    atomic_fetch_add(&shy->net->accepted, 1);
}

static const struct sock_events shy_events = {shy_readable, shy_readable};

static void
shy_accept(void *ctx, struct sock *sock)
{
    struct shy *shy = ctx;
    shy->net->server.sock = sock;
    shy->net->accept_err = sock_attach(sock, shy->net->server_loop, &shy_events, shy);
    sock_want(sock, true, true); /* both at once: the second must not come after the close */
}

static void
shy_listen(void *ctx)
{
    struct shy *shy = ctx;
    struct net *net = shy->net;
    sock_listener_close(&net->listener);
    net->err =
        sock_listen(net->server_loop, &(struct sock_listen_opts){.addr = net->addr, .backlog = 16},
            shy_accept, shy, &net->listener);
    net->port = sock_listener_port(net->listener);
}

void
a_socket_may_be_closed_in_its_callback(void **state)
{
    struct world *w = *state;
    struct net net;
    struct shy shy = {.net = &net};
    net_open(&net, w);
    net.client.send_total = 1000;
    world_call(w, net.server_loop, shy_listen, &shy);
    assert_int_equal(net.err, ERR_OK);
    world_call(w, net.client_loop, net_connect, &net);
    assert_true(world_wait_count(w, &net.accepted, 1));
    assert_true(world_wait_count(w, &net.client.ended, 1));
    world_pass(w, 10);
    assert_int_equal(shy.calls, 1);
    net_close(&net);
}

void
addresses_are_parsed_and_printed(void **state)
{
    struct world *w = *state;
    struct sock_addr addr, many[4];
    char text[64];
    uint16_t port;
    int count = 0;
    assert_int_equal(sock_addr_parse(STR("10.1.2.3"), 9092, &addr), ERR_OK);
    sock_addr_format(&addr, text, sizeof text, &port);
    assert_string_equal(text, "10.1.2.3");
    assert_int_equal(port, 9092);
    assert_int_equal(sock_addr_parse(STR("::1"), 9, &addr), ERR_OK);
    sock_addr_format(&addr, text, sizeof text, NULL);
    assert_string_equal(text, "::1");
    assert_int_equal(sock_addr_parse(STR("::ffff:10.0.0.9"), 9, &addr), ERR_OK);
    sock_addr_format(&addr, text, sizeof text, NULL);
    assert_string_equal(text, "10.0.0.9");
    assert_int_equal(sock_addr_parse(STR("localhost"), 9, &addr), ERR_INVALID);
    assert_int_equal(sock_addr_parse(STR(""), 9, &addr), ERR_INVALID);
    assert_int_equal(sock_addr_parse(STR_NULL, 9, &addr), ERR_INVALID);
    assert_int_equal(sock_addr_resolve(w->env, STR("10.1.2.3"), 5, many, 4, &count), ERR_OK);
    assert_int_equal(count, 1);
    assert_int_equal(sock_addr_resolve(w->env, STR("localhost"), 5, many, 4, &count), ERR_OK);
    assert_true(count >= 1);
    assert_int_not_equal(
        sock_addr_resolve(w->env, STR("no such host!"), 5, many, 4, &count), ERR_OK);
}

static void
net_listen_again(void *ctx)
{
    struct net *net = ctx;
    struct sock_listener *second = NULL;
    struct sock_addr addr;
    net->err = sock_addr_parse(STR("127.0.0.1"), net->port, &addr);
    if (net->err == ERR_OK)
        net->err = sock_listen(net->server_loop,
            &(struct sock_listen_opts){.addr = addr, .backlog = 16}, net_accept, net, &second);
}

void
a_taken_port_is_busy(void **state)
{
    struct world *w = *state;
    struct net net;
    net_open(&net, w);
    world_call(w, net.server_loop, net_listen_again, &net);
    assert_int_equal(net.err, ERR_BUSY);
    net_close(&net);
}

void
sendfile_past_the_end_is_truncated(void **state)
{
    struct world *w = *state;
    struct net net;
    char path[300];
    struct env_file *file = NULL;
    net_open(&net, w);
    assert_int_equal(
        env_open(w->env, world_path(w, "data", path), ENV_OPEN_WRITE | ENV_OPEN_CREATE, &file),
        ERR_OK);
    assert_int_equal(env_write_at(file, 0, (struct bytes){(const uint8_t *)"\0\x1f", 2}), ERR_OK);
    net.client.file = file;
    net.client.send_total = 3;
    net_join(&net);
    assert_true(world_wait_count(w, &net.client.ended, 1));
    assert_int_equal(net.client.write_err, ERR_TRUNCATED);
    assert_int_equal(net.client.sent, 2);
    net_close(&net);
    env_file_close(&file);
}
