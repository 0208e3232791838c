/* What: non-blocking TCP on uv_poll, with our own read, write and sendfile.
 * States of a sock: detached (a descriptor) -> attached (poll handle on one loop) -> closed (memory
 * waits for libuv's close callback).
 * Invariants: I1 `armed` is what uv_poll watches; it covers what is wanted, except inside on_event.
 * It may watch for reading longer than wanted: to switch off costs two system calls, so it is done
 * only when an unwanted event comes.
 * Threads: the loop's own. Errors: a reset by the peer is CLOSED like an end of stream. */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <limits.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "os/sock_real_priv.h"

enum {
    SOCK_KEEPALIVE_IDLE_S = 60,
    SOCK_KEEPALIVE_INTERVAL_S = 10,
    SOCK_KEEPALIVE_COUNT = 6,
    SOCK_COPY_BYTES = 64 << 10,
};

struct sock_real {
    struct sock sock;
    uv_poll_t poll;
    int fd;
    int armed; /* UV_READABLE | UV_WRITABLE */
    bool closed;
    bool connected;
    enum err connect_err; /* latched: the kernel tells it once */
};

struct listener_real {
    struct sock_listener listener;
    uv_poll_t poll;
    struct loop_timer retry; /* runs while out of descriptors */
    int fd;
    bool closed;
};

static const struct sock_ops sock_real_ops;

static struct sock_real *
sock_of(struct sock *sock)
{
    return (struct sock_real *)sock;
}

static struct loop_real *
loop_of(struct loop *loop)
{
    return (struct loop_real *)loop;
}

static void
sock_option(int fd, int level, int name, int value)
{
    /* Best effort: each of these only tunes. */
    (void)setsockopt(fd, level, name, &value, sizeof value);
}

/* Set on a listener too: the kernel hands these on to what it accepts. */
static void
sock_tune(int fd)
{
    sock_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    sock_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    sock_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, SOCK_KEEPALIVE_IDLE_S);
    sock_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, SOCK_KEEPALIVE_INTERVAL_S);
    sock_option(fd, IPPROTO_TCP, TCP_KEEPCNT, SOCK_KEEPALIVE_COUNT);
}

static struct sock_real *
sock_real_make(int fd)
{
    struct sock_real *real = mem_calloc(1, sizeof *real);
    if (real == NULL)
        return NULL;
    real->sock.ops = &sock_real_ops;
    real->fd = fd;
    return real;
}

/* ---- events ---- */

static void on_event(uv_poll_t *handle, int status, int events);

static void
sock_real_arm(struct sock_real *real)
{
    int want = (real->sock.want_read ? UV_READABLE : 0) | (real->sock.want_write ? UV_WRITABLE : 0);
    if (want == real->armed)
        return;
    real->armed = want;
    int r = want == 0 ? uv_poll_stop(&real->poll) : uv_poll_start(&real->poll, want, on_event);
    ASSERT(r == 0);
}

static void
on_event(uv_poll_t *handle, int status, int events)
{
    loop_real_heard(CONTAINER_OF(handle->loop, struct loop_real, uv), handle);
    struct sock_real *real = handle->data;
    struct sock *sock = &real->sock;
    if (status < 0) { /* libuv has stopped to watch; the next read or write tells why */
        real->armed = 0;
        events = UV_READABLE | UV_WRITABLE;
    }
    if ((events & UV_READABLE) != 0 && sock->want_read)
        sock->events->readable(sock->ctx);
    /* Closed or not wanted any more by what just ran: the memory is still there. */
    if ((events & UV_WRITABLE) != 0 && !real->closed && sock->want_write)
        sock->events->writable(sock->ctx);
    if (!real->closed)
        sock_real_arm(real);
}

static void
sock_real_want_changed(struct sock *sock)
{
    struct sock_real *real = sock_of(sock);
    int want = (sock->want_read ? UV_READABLE : 0) | (sock->want_write ? UV_WRITABLE : 0);
    /* More is wanted, or room to write, which comes at once, is not: act. Else wait and see. */
    if ((want & ~real->armed) != 0 || (real->armed & ~want & UV_WRITABLE) != 0)
        sock_real_arm(real);
}

static enum err
sock_real_attach(struct sock *sock, struct loop *loop)
{
    struct sock_real *real = sock_of(sock);
    int r = uv_poll_init(&loop_of(loop)->uv, &real->poll, real->fd);
    if (r != 0)
        return os_err_of(-r);
    real->poll.data = real;
    loop_of(loop)->open_count++;
    return ERR_OK;
}

/* ---- data ---- */

/* The kernel tells why a connection was not made to the first who asks; keep it for the others. */
static enum err
sock_real_fail(struct sock *sock, enum err err)
{
    struct sock_real *real = sock_of(sock);
    if (!real->connected && real->connect_err == ERR_OK && err != ERR_AGAIN)
        real->connect_err = err;
    return err;
}

static enum err
sock_real_read(struct sock *sock, void *data, size_t len, size_t *n)
{
    for (;;) {
        ssize_t got = read(sock_of(sock)->fd, data, len);
        if (got > 0) {
            *n = (size_t)got;
            return ERR_OK;
        }
        if (got == 0)
            return ERR_CLOSED;
        if (errno != EINTR)
            return sock_real_fail(sock, os_err_of(errno));
    }
}

static enum err
sock_real_writev(struct sock *sock, const struct bytes *parts, int count, size_t *n)
{
    struct msghdr msg = {.msg_iov = (struct iovec *)(uintptr_t)parts,
        .msg_iovlen = (size_t)(count < IOV_MAX ? count : IOV_MAX)};
    for (;;) {
        ssize_t sent = count == 1 ? send(sock_of(sock)->fd, parts->data, parts->len, MSG_NOSIGNAL)
                                  : sendmsg(sock_of(sock)->fd, &msg, MSG_NOSIGNAL);
        if (sent >= 0) {
            *n = (size_t)sent;
            loop_of(sock->loop)->said++;
            return ERR_OK;
        }
        if (errno != EINTR)
            return sock_real_fail(sock, os_err_of(errno));
    }
}

/* A file that the kernel does not know. */
static enum err
sock_real_send_copy(
    struct sock *sock, struct env_file *file, int64_t position, size_t len, size_t *n)
{
    uint8_t copy[SOCK_COPY_BYTES];
    struct bytes part = {copy, 0};
    enum err err =
        env_read_at(file, position, copy, len < sizeof copy ? len : sizeof copy, &part.len);
    if (err != ERR_OK)
        return err;
    return part.len == 0 ? ERR_TRUNCATED : sock_real_writev(sock, &part, 1, n);
}

static enum err
sock_real_sendfile(
    struct sock *sock, struct env_file *file, int64_t position, size_t len, size_t *n)
{
    off_t offset = position;
    int fd = env_file_fd(file);
    if (fd < 0)
        return sock_real_send_copy(sock, file, position, len, n);
    for (;;) {
        ssize_t sent = sendfile(sock_of(sock)->fd, fd, &offset, len);
        if (sent > 0) {
            *n = (size_t)sent;
            return ERR_OK;
        }
        if (sent == 0)
            return ERR_TRUNCATED; /* the file ends before the range does */
        if (errno != EINTR)
            return sock_real_fail(sock, os_err_of(errno));
    }
}

/* ---- connecting and closing ---- */

static enum err
sock_real_connect_result(struct sock *sock)
{
    struct sock_real *real = sock_of(sock);
    int error = 0;
    socklen_t size = sizeof error;
    struct sock_addr peer = {.len = sizeof peer.storage};
    if (real->connected || real->connect_err != ERR_OK)
        return real->connect_err;
    if (getsockopt(real->fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
        error = errno;
    if (error != 0) {
        enum err err = os_err_of(error);
        real->connect_err = err == ERR_AGAIN ? ERR_IO : err;
        return real->connect_err;
    }
    if (getpeername(real->fd, (struct sockaddr *)&peer.storage, &peer.len) < 0)
        return errno == ENOTCONN ? ERR_AGAIN : os_err_of(errno);
    real->connected = true;
    return ERR_OK;
}

static void
on_sock_closed(uv_handle_t *handle)
{
    mem_free(handle->data);
}

static void
sock_real_close(struct sock *sock)
{
    struct sock_real *real = sock_of(sock);
    ASSERT(!real->closed);
    real->closed = true;
    if (sock->loop == NULL) {
        close(real->fd);
        mem_free(real);
        return;
    }
    loop_of(sock->loop)->open_count--;
    uv_close((uv_handle_t *)&real->poll, on_sock_closed); /* forgets the descriptor first */
    close(real->fd);
}

static const struct sock_ops sock_real_ops = {
    .attach = sock_real_attach,
    .want_changed = sock_real_want_changed,
    .read = sock_real_read,
    .writev = sock_real_writev,
    .sendfile = sock_real_sendfile,
    .connect_result = sock_real_connect_result,
    .close = sock_real_close,
};

enum err
sock_real_connect(struct loop *loop, const struct sock_addr *addr, struct sock **out)
{
    int fd = socket(addr->storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return os_err_of(errno);
    sock_tune(fd);
    int r;
    while (
        (r = connect(fd, (const struct sockaddr *)&addr->storage, addr->len)) < 0 && errno == EINTR)
        ;
    if (r < 0 && errno != EINPROGRESS && errno != EALREADY) {
        enum err err = os_err_of(errno);
        close(fd);
        return err == ERR_AGAIN ? ERR_LIMIT : err; /* EAGAIN: no local port left */
    }
    struct sock_real *real = sock_real_make(fd);
    if (real == NULL) {
        close(fd);
        return ERR_NOMEM;
    }
    enum err err = sock_real_attach(&real->sock, loop);
    if (err != ERR_OK) {
        close(fd);
        mem_free(real);
        return err;
    }
    real->sock.loop = loop;
    *out = &real->sock;
    return ERR_OK;
}

/* ---- listening ---- */

static void on_acceptable(uv_poll_t *handle, int status, int events);

static void
listener_watch(struct listener_real *real)
{
    bool watch = !real->listener.paused && !loop_timer_running(&real->retry);
    int r =
        watch ? uv_poll_start(&real->poll, UV_READABLE, on_acceptable) : uv_poll_stop(&real->poll);
    ASSERT(r == 0);
}

static void
on_retry(struct loop_timer *timer)
{
    listener_watch(CONTAINER_OF(timer, struct listener_real, retry));
}

/* Out of descriptors or memory: what waits to be accepted keeps waiting, we try again later. */
static void
listener_back_off(struct listener_real *real, int error)
{
    struct loop *loop = real->listener.loop;
    diag_event(env_diag(loop->env), DIAG_WARN, "os", "accept_delayed",
        DIAG_I64("port", real->listener.port), DIAG_I64("errno", error));
    if (loop_timer_start(&real->retry, ACCEPT_RETRY_MS) == ERR_OK)
        listener_watch(real);
}

static void
on_acceptable(uv_poll_t *handle, int status, int events)
{
    loop_real_woke(CONTAINER_OF(handle->loop, struct loop_real, uv));
    struct listener_real *real = handle->data;
    (void)status;
    (void)events;
    for (int i = 0; i < ACCEPT_PER_TURN && !real->closed && !real->listener.paused; i++) {
        struct sock_addr peer = {.len = sizeof peer.storage};
        int fd = accept4(
            real->fd, (struct sockaddr *)&peer.storage, &peer.len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            return;
        if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)) {
            listener_back_off(real, errno);
            return;
        }
        if (fd < 0)
            continue; /* that connection died while it waited */
        struct sock_real *sock = sock_real_make(fd);
        if (sock == NULL) {
            close(fd);
            continue;
        }
        sock->sock.peer = peer;
        sock->connected = true;
        real->listener.on_accept(real->listener.ctx, &sock->sock);
    }
}

static void
listener_real_pause(struct sock_listener *listener, bool paused)
{
    (void)paused;
    listener_watch((struct listener_real *)listener);
}

static void
listener_real_close(struct sock_listener *listener)
{
    struct listener_real *real = (struct listener_real *)listener;
    ASSERT(!real->closed);
    real->closed = true;
    loop_timer_stop(&real->retry);
    loop_of(listener->loop)->open_count--;
    uv_close((uv_handle_t *)&real->poll, on_sock_closed);
    close(real->fd);
}

static const struct sock_listener_ops listener_real_ops = {
    .pause = listener_real_pause,
    .close = listener_real_close,
};

static enum err
listener_bind(int fd, const struct sock_listen_opts *opts, uint16_t *port)
{
    const struct sock_addr *addr = &opts->addr;
    struct sock_addr bound = {.len = sizeof bound.storage};
    sock_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    if (addr->storage.ss_family == AF_INET6)
        sock_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0);
    sock_tune(fd);
    if (opts->send_buffer_bytes > 0)
        sock_option(fd, SOL_SOCKET, SO_SNDBUF, opts->send_buffer_bytes);
    if (opts->receive_buffer_bytes > 0)
        sock_option(fd, SOL_SOCKET, SO_RCVBUF, opts->receive_buffer_bytes);
    if (bind(fd, (const struct sockaddr *)&addr->storage, addr->len) < 0 ||
        listen(fd, opts->backlog) < 0 ||
        getsockname(fd, (struct sockaddr *)&bound.storage, &bound.len) < 0)
        return os_err_of(errno);
    sock_addr_format(&bound, NULL, 0, port);
    return ERR_OK;
}

enum err
sock_real_listen(struct loop *loop, const struct sock_listen_opts *opts,
    void (*on_accept)(void *ctx, struct sock *sock), void *ctx, struct sock_listener **out)
{
    struct listener_real *real = mem_calloc(1, sizeof *real);
    if (real == NULL)
        return ERR_NOMEM;
    real->listener = (struct sock_listener){
        .ops = &listener_real_ops, .loop = loop, .on_accept = on_accept, .ctx = ctx};
    loop_timer_init(&real->retry, loop, on_retry);
    real->fd = socket(opts->addr.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (real->fd < 0) {
        enum err err = os_err_of(errno);
        mem_free(real);
        return err;
    }
    enum err err = listener_bind(real->fd, opts, &real->listener.port);
    int r = err == ERR_OK ? uv_poll_init(&loop_of(loop)->uv, &real->poll, real->fd) : 0;
    if (err == ERR_OK && r != 0)
        err = os_err_of(-r);
    if (err != ERR_OK) {
        close(real->fd);
        mem_free(real);
        return err;
    }
    real->poll.data = real;
    loop_of(loop)->open_count++;
    listener_watch(real);
    *out = &real->listener;
    return ERR_OK;
}
