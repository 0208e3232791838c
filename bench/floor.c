/* What the kernel alone asks for: a server that does only the system calls of a broker's hot path,
 * under the load that `moldau bench` would send. The figure is the server's processor time.
 *
 * usage: floor produce CONNECTIONS IN_FLIGHT FRAME_BYTES FILES REQUESTS DIR [recycled]
 *        floor fetch   CONNECTIONS ANSWER_BYTES REQUESTS DIR
 *
 * produce: read the frame, CRC-32C over it, pwrite it to the end of a file, send 60 bytes.
 * recycled: the files were written once before, so that pages and blocks are there. fetch: read 90
 * bytes, send a header, sendfile a range of a file that is in the page cache. One thread serves all
 * connections by epoll; a forked process is the client. Prints one line of JSON. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <isa-l/crc.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { CONNECTIONS_MAX = 256, EVENTS = 256, SEGMENT = 1 << 30, READ_SIZE = 65536, ASK = 90 };

struct plan {
    bool fetch, recycled;
    int connections, in_flight, files;
    size_t frame, answer;
    long requests;
    const char *dir;
};

struct peer {
    int fd;
    int file;
    size_t filled; /* of the frame that is coming in, or of the answer at the client */
    uint8_t *frame;
    long asked;
};

static void
check(bool ok, const char *what)
{
    if (ok)
        return;
    perror(what);
    exit(1);
}

static double
seconds_of(clockid_t clock)
{
    struct timespec ts;
    clock_gettime(clock, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void
send_all(int fd, const uint8_t *data, size_t len, int flags)
{
    while (len > 0) {
        ssize_t n = send(fd, data, len, flags | MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN)
            continue;
        check(n > 0, "send");
        data += n;
        len -= (size_t)n;
    }
}

/* ---- the server ---- */

struct server {
    const struct plan *plan;
    int files[CONNECTIONS_MAX];
    off_t ends[CONNECTIONS_MAX];
    uint32_t crc;
    long served;
};

static void
serve_frame(struct server *s, struct peer *peer, const uint8_t *frame)
{
    uint8_t answer[60] = {0};
    s->crc ^= crc32_iscsi((unsigned char *)(uintptr_t)frame, (int)s->plan->frame, 0);
    off_t *end = &s->ends[peer->file];
    if (*end + (off_t)s->plan->frame > SEGMENT)
        *end = 0;
    ssize_t n = pwrite(s->files[peer->file], frame, s->plan->frame, *end);
    check(n == (ssize_t)s->plan->frame, "pwrite");
    *end += n;
    send_all(peer->fd, answer, sizeof answer, 0);
    s->served++;
}

static void
serve_fetch(struct server *s, struct peer *peer)
{
    uint8_t header[100] = {0};
    off_t *at = &s->ends[peer->file];
    size_t left = s->plan->answer;
    if (*at + (off_t)left > (off_t)64 << 20)
        *at = 0;
    send_all(peer->fd, header, sizeof header, MSG_MORE);
    while (left > 0) {
        ssize_t n = sendfile(peer->fd, s->files[peer->file], at, left);
        if (n < 0 && errno == EAGAIN) { /* as a server would: not before the socket takes more */
            struct epoll_event event = {.events = EPOLLOUT};
            int wait = epoll_create1(0);
            epoll_ctl(wait, EPOLL_CTL_ADD, peer->fd, &event);
            epoll_wait(wait, &event, 1, -1);
            close(wait);
            continue;
        }
        check(n > 0, "sendfile");
        left -= (size_t)n;
    }
    s->served++;
}

/* Reads what there is; serves each whole frame. False at the end of the connection. */
static bool
serve(struct server *s, struct peer *peer, uint8_t *scratch)
{
    size_t frame = s->plan->fetch ? ASK : s->plan->frame;
    bool direct = frame > READ_SIZE;
    uint8_t *to = direct ? peer->frame + peer->filled : scratch;
    ssize_t n = recv(peer->fd, to, direct ? frame - peer->filled : READ_SIZE, 0);
    if (n < 0 && errno == EAGAIN)
        return true;
    if (n <= 0)
        return false;
    for (size_t at = 0; at < (size_t)n;) {
        size_t take = frame - peer->filled;
        if (take > (size_t)n - at)
            take = (size_t)n - at;
        if (!direct && take == frame && !s->plan->fetch)
            serve_frame(s, peer, scratch + at); /* whole: no copy */
        else if (!direct)
            memcpy(peer->frame + peer->filled, scratch + at, take);
        at += take;
        peer->filled += take;
        if (peer->filled < frame)
            continue;
        peer->filled = 0;
        if (s->plan->fetch)
            serve_fetch(s, peer);
        else if (direct || take < frame)
            serve_frame(s, peer, peer->frame);
    }
    return true;
}

static void
run_server(struct server *s, struct peer *peers)
{
    uint8_t *scratch = malloc(READ_SIZE);
    int poll = epoll_create1(0), open = s->plan->connections;
    for (int i = 0; i < open; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &peers[i]};
        peers[i].file = i % s->plan->files;
        peers[i].frame = malloc(s->plan->frame + ASK);
        epoll_ctl(poll, EPOLL_CTL_ADD, peers[i].fd, &event);
    }
    while (open > 0) {
        struct epoll_event events[EVENTS];
        int n = epoll_wait(poll, events, EVENTS, -1);
        for (int i = 0; i < n; i++)
            if (!serve(s, events[i].data.ptr, scratch)) {
                struct peer *peer = events[i].data.ptr;
                epoll_ctl(poll, EPOLL_CTL_DEL, peer->fd, NULL);
                close(peer->fd);
                open--;
            }
    }
    free(scratch);
}

static void
open_files(struct server *s)
{
    uint8_t *block = calloc(1, 1 << 20);
    long each = s->plan->fetch ? 64
                               : (long)((double)s->plan->frame * (double)s->plan->requests /
                                        s->plan->files / (1 << 20)) +
                                     1;
    for (int i = 0; i < s->plan->files; i++) {
        char path[512];
        snprintf(path, sizeof path, "%s/floor-%d", s->plan->dir, i);
        s->files[i] = open(path, O_RDWR | O_CREAT | O_TRUNC, 0644);
        check(s->files[i] >= 0, path);
        unlink(path);
        for (long m = 0; (s->plan->fetch || s->plan->recycled) && m < each && m < 1024; m++)
            check(pwrite(s->files[i], block, 1 << 20, m << 20) == 1 << 20, "fill");
    }
    free(block);
}

/* ---- the client ---- */

static void
client_ask(const struct plan *plan, struct peer *peer, const uint8_t *frame)
{
    send_all(peer->fd, frame, plan->fetch ? ASK : plan->frame, 0);
    peer->asked++;
}

static void
run_client(const struct plan *plan, struct peer *peers)
{
    size_t answer = plan->fetch ? plan->answer + 100 : 60;
    long done = 0, each = plan->requests / plan->connections;
    uint8_t *frame = calloc(1, plan->frame + ASK), *sink = malloc(1 << 20);
    int poll = epoll_create1(0);
    for (int i = 0; i < plan->connections; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &peers[i]};
        epoll_ctl(poll, EPOLL_CTL_ADD, peers[i].fd, &event);
        client_ask(plan, &peers[i], frame);
    }
    /* Deeper pipelines fill up with the first answers. */
    while (done < each * plan->connections) {
        struct epoll_event events[EVENTS];
        int n = epoll_wait(poll, events, EVENTS, -1);
        for (int i = 0; i < n; i++) {
            struct peer *peer = events[i].data.ptr;
            ssize_t got = recv(peer->fd, sink, 1 << 20, 0);
            check(got > 0, "client recv");
            long whole = (long)((peer->filled + (size_t)got) / answer);
            peer->filled = (peer->filled + (size_t)got) % answer;
            done += whole;
            long ahead = peer->asked == 1 ? plan->in_flight : whole;
            for (long k = 0; k < ahead && peer->asked < each; k++)
                client_ask(plan, peer, frame);
        }
    }
    exit(0);
}

static void
connect_all(const struct plan *plan, struct peer *servers, struct peer *clients)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    int listener = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    check(bind(listener, (struct sockaddr *)&at, sizeof at) == 0 && listen(listener, 256) == 0,
        "listen");
    getsockname(listener, (struct sockaddr *)&at, &len);
    for (int i = 0; i < plan->connections; i++) {
        clients[i].fd = socket(AF_INET, SOCK_STREAM, 0);
        check(connect(clients[i].fd, (struct sockaddr *)&at, sizeof at) == 0, "connect");
        servers[i].fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
        check(servers[i].fd >= 0, "accept");
        setsockopt(clients[i].fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        setsockopt(servers[i].fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    }
    close(listener);
}

static void
run(const struct plan *plan)
{
    struct server s = {.plan = plan};
    struct peer *servers = calloc(CONNECTIONS_MAX, sizeof *servers);
    struct peer *clients = calloc(CONNECTIONS_MAX, sizeof *clients);
    open_files(&s);
    connect_all(plan, servers, clients);
    pid_t pid = fork();
    check(pid >= 0, "fork");
    for (int i = 0; i < plan->connections; i++)
        close(pid == 0 ? servers[i].fd : clients[i].fd);
    if (pid == 0)
        run_client(plan, clients);
    double cpu = seconds_of(CLOCK_PROCESS_CPUTIME_ID), wall = seconds_of(CLOCK_MONOTONIC);
    run_server(&s, servers);
    cpu = seconds_of(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    wall = seconds_of(CLOCK_MONOTONIC) - wall;
    waitpid(pid, NULL, 0);
    double bytes = (double)s.served * (double)(plan->fetch ? plan->answer : plan->frame);
    printf("{\"requests\": %ld, \"bytes\": %.0f, \"seconds\": %.4f, \"cpu_s\": %.4f, \"mb_per_s\": "
           "%.1f, "
           "\"requests_per_s\": %.0f, \"crc\": %u}\n",
        s.served, bytes, wall, cpu, bytes / wall / 1e6, (double)s.served / wall, s.crc);
}

int
main(int argc, char **argv)
{
    struct plan plan = {.files = 1, .in_flight = 1};
    bool produce = argc >= 8 && strcmp(argv[1], "produce") == 0;
    plan.fetch = argc == 6 && strcmp(argv[1], "fetch") == 0;
    if (!produce && !plan.fetch) {
        fprintf(stderr,
            "usage: floor produce CONNECTIONS IN_FLIGHT FRAME_BYTES FILES REQUESTS DIR [recycled]\n"
            "       floor fetch CONNECTIONS ANSWER_BYTES REQUESTS DIR\n");
        return 2;
    }
    plan.connections = atoi(argv[2]);
    if (produce) {
        plan.in_flight = atoi(argv[3]);
        plan.frame = (size_t)atol(argv[4]);
        plan.files = atoi(argv[5]);
        plan.requests = atol(argv[6]);
        plan.dir = argv[7];
        plan.recycled = argc > 8 && strcmp(argv[8], "recycled") == 0;
    } else {
        plan.answer = (size_t)atol(argv[3]);
        plan.requests = atol(argv[4]);
        plan.dir = argv[5];
    }
    if (plan.connections < 1 || plan.connections > CONNECTIONS_MAX || plan.files < 1 ||
        plan.files > CONNECTIONS_MAX || plan.in_flight < 1) {
        fprintf(stderr, "floor: 1 to %d connections and files\n", (int)CONNECTIONS_MAX);
        return 2;
    }
    run(&plan);
    return 0;
}
