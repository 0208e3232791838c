/* Valid requests with something wrong in them, over real sockets, many and fast.
 *
 * usage: mutate PORT SEEDS COUNT SEED [CONNECTIONS]
 *
 * SEEDS (marks.py) holds valid frames and where their fields stand. Each request is one of them
 * with one to four changes: numbers at their edges, lengths and counts that do not fit, varints too
 * long, tags that nobody knows, texts of other bytes and sizes, batches with broken headers under a
 * right checksum, bits flipped, ends cut, parts doubled, parts of other requests. Each is answered,
 * with the correlation id that was sent, or its connection is closed; some wait longer than we do.
 *
 * On a connection of its own a good client asks between them, and must be answered; otherwise, or
 * when an answer is not to what was asked, the exit code is 1. Prints what came as one line. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/bytes.h"
#include "wire/batch.h"

enum {
    CONNECTIONS_MAX = 256,
    FRAME_MAX = 256 << 10,
    ANSWER_WAIT_MS = 300, /* then it is left, for one that waits on purpose */
    GOOD_WAIT_MS = 20000,
    GOOD_EVERY = 500,
    CREATE_TOPICS = 19,
    CREATE_PARTITIONS = 37,
    UNREGISTER_BROKER = 64,
};

/* As marks.py writes them. */
enum mark_kind { MARK_INT, MARK_LENGTH, MARK_VARINT, MARK_TAGS, MARK_TEXT, MARK_BATCH };

struct mark {
    uint32_t at, len;
    enum mark_kind kind;
};

struct seed {
    const uint8_t *frame; /* with its size */
    uint32_t len;
    struct mark *marks; /* by position */
    int mark_count;
};

struct work {
    uint8_t bytes[FRAME_MAX];
    size_t len;
};

struct conn {
    int fd; /* -1: none */
    bool waits, checked;
    uint32_t correlation_id;
    int64_t sent_ms;
    size_t out_at, in_len;
    struct work out;
    uint8_t in[8]; /* size and correlation id of the answer */
    uint32_t skip; /* bytes of it that remain */
};

struct state {
    uint16_t port;
    struct seed *seeds;
    int seed_count;
    uint64_t random;
    int64_t left;
    struct conn *conns;
    int conn_count;
    int64_t sent, answered, closed, silent, dials;
    int64_t good;
};

static uint64_t
next(struct state *s)
{
    s->random ^= s->random << 13;
    s->random ^= s->random >> 7;
    s->random ^= s->random << 17;
    return s->random * 2685821657736338717ull;
}

static uint32_t
below(struct state *s, uint64_t n)
{
    return n == 0 ? 0 : (uint32_t)((next(s) >> 16) % n);
}

static int64_t
now_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void
die(const char *what)
{
    fprintf(stderr, "mutate: %s: %s\n", what, strerror(errno));
    exit(2);
}

/* ---- seeds ---- */

static uint8_t *
read_all(const char *path, size_t *len)
{
    FILE *f = fopen(path, "rb");
    if (f == NULL)
        die(path);
    fseek(f, 0, SEEK_END);
    *len = (size_t)ftell(f);
    rewind(f);
    uint8_t *data = malloc(*len + 1);
    if (data == NULL || fread(data, 1, *len, f) != *len)
        die(path);
    fclose(f);
    return data;
}

/* Length and frame, count of marks, then kind, position and length of each. */
static void
load(struct state *s, const char *path)
{
    size_t len, at = 0;
    const uint8_t *data = read_all(path, &len);
    s->seeds = malloc(len / 8 * sizeof *s->seeds + sizeof *s->seeds);
    if (s->seeds == NULL)
        die("seeds");
    while (at < len) {
        struct seed *seed = &s->seeds[s->seed_count++];
        seed->len = load_be32(data + at);
        seed->frame = data + at + 4;
        at += 4 + seed->len;
        seed->mark_count = load_be16(data + at);
        seed->marks = malloc((size_t)seed->mark_count * sizeof *seed->marks + 1);
        if (seed->marks == NULL)
            die("marks");
        at += 2;
        for (int i = 0; i < seed->mark_count; i++, at += 9)
            seed->marks[i] = (struct mark){
                load_be32(data + at + 1), load_be32(data + at + 5), (enum mark_kind)data[at]};
    }
}

/* ---- changes ---- */

static void
replace(struct work *w, size_t at, size_t old_len, const void *data, size_t len)
{
    if (at + old_len > w->len || w->len - old_len + len > sizeof w->bytes)
        return;
    memmove(w->bytes + at + len, w->bytes + at + old_len, w->len - at - old_len);
    memcpy(w->bytes + at, data, len);
    w->len = w->len - old_len + len;
}

static uint64_t
number(struct state *s, uint64_t old, int bits)
{
    static const int64_t edges[] = {0, 1, -1, -2, 2, 7, 100, 255, 256, 32767, 32768, 65535, 65536,
        1000000, 1000001, INT32_MAX, INT32_MIN, (int64_t)UINT32_MAX, INT64_MAX, INT64_MIN};
    uint64_t top = (uint64_t)1 << (bits - 1);
    switch (below(s, 8)) {
    case 0: return old + 1;
    case 1: return old - 1;
    case 2: return top;
    case 3: return top - 1;
    case 4: return next(s);
    case 5: return old ^ (uint64_t)1 << below(s, (uint64_t)bits);
    default: return (uint64_t)edges[below(s, COUNT_OF(edges))];
    }
}

static uint64_t
load_number(const uint8_t *p, size_t len)
{
    uint64_t value = 0;
    for (size_t i = 0; i < len; i++)
        value = value << 8 | p[i];
    return value;
}

static void
change_number(struct state *s, struct work *w, size_t at, size_t len)
{
    if (len == 0 || len > 8 || at + len > w->len)
        return;
    uint64_t value = number(s, load_number(w->bytes + at, len), (int)len * 8);
    int16_t key = (int16_t)load_be16(w->bytes + 4);
    if ((key == CREATE_TOPICS || key == CREATE_PARTITIONS) && len == 4 && value > 8 &&
        value < 10001)
        value = 8; /* so many partitions would be made, and time spent on nothing else */
    for (size_t i = len; i > 0; i--, value >>= 8)
        w->bytes[at + i - 1] = (uint8_t)value;
}

static size_t
varint(uint8_t *out, uint64_t value)
{
    size_t n = 0;
    for (; value > 127; value >>= 7)
        out[n++] = (uint8_t)(value & 127) | 128;
    out[n++] = (uint8_t)value;
    return n;
}

static uint64_t
varint_read(const uint8_t *p, size_t len)
{
    uint64_t value = 0;
    for (size_t i = 0; i < len && i < 9; i++)
        value |= (uint64_t)(p[i] & 127) << (7 * i);
    return value;
}

static void
change_varint(struct state *s, struct work *w, const struct mark *m)
{
    uint8_t bytes[12];
    size_t n;
    if (below(s, 6) == 0) { /* longer than it may be */
        n = 5 + below(s, 6);
        memset(bytes, 0xff, n);
        bytes[n - 1] = (uint8_t)below(s, 128);
    } else {
        n = varint(bytes, number(s, varint_read(w->bytes + m->at, m->len), 32) & UINT32_MAX);
    }
    replace(w, m->at, m->len, bytes, n);
}

/* Tags: other counts, unknown ones, the same one twice, very many. */
static void
change_tags(struct state *s, struct work *w, const struct mark *m)
{
    uint8_t bytes[24000];
    uint32_t count = below(s, 8) == 0 ? 11000 : 1 + below(s, 4);
    bool twice = below(s, 4) == 0;
    if (below(s, 3) == 0) {
        change_varint(s, w, m);
        return;
    }
    size_t n = varint(bytes, count);
    for (uint32_t i = 0; i < count && n < sizeof bytes - 64; i++) {
        uint32_t size = count > 100 ? 0 : below(s, 20);
        n += varint(bytes + n, twice ? 60 : 60 + i);
        n += varint(bytes + n, below(s, 16) == 0 ? next(s) & UINT32_MAX : size);
        memset(bytes + n, 'x', size);
        n += size;
    }
    replace(w, m->at, m->len, bytes, n);
}

/* Other content; sometimes of another size, with the length before it set right. */
static void
change_text(struct state *s, struct work *w, const struct mark *m, const struct mark *length)
{
    static const char *const texts[] = {"", ".", "..", "a/b", "t", "u", "__consumer_offsets",
        "__cluster_metadata", "\xff\xfe", "%s%n", "a\nb"};
    static const uint32_t sizes[] = {1, 2, 100, 249, 250, 32767, 32768, 40000};
    static const uint8_t zeros[40000];
    /* What stands before it may be no length at all. */
    if (length == NULL || length->at + length->len != m->at || length->len > 8 ||
        below(s, 3) == 0) {
        for (uint32_t i = 1 + below(s, 4); i > 0 && m->len > 0; i--)
            w->bytes[m->at + below(s, m->len)] = (uint8_t)next(s);
        return;
    }
    bool other = below(s, 2) == 0;
    const char *text = texts[below(s, COUNT_OF(texts))];
    const void *data = other ? (const void *)text : zeros;
    size_t len = other ? strlen(text) : sizes[below(s, COUNT_OF(sizes))];
    uint8_t head[12];
    size_t n = length->len;
    if (length->kind == MARK_VARINT)
        n = varint(head, len + 1);
    else
        for (size_t i = 0; i < n; i++)
            head[i] = (uint8_t)(len >> (8 * (n - 1 - i)));
    replace(w, m->at, m->len, data, len);
    replace(w, length->at, length->len, head, n);
}

/* One batch of records: a field of its header or bytes behind, mostly under a right checksum. */
static void
change_batch(struct state *s, struct work *w, const struct mark *m)
{
    static const struct {
        uint8_t at, len;
    } fields[] = {{0, 8}, {8, 4}, {12, 4}, {16, 1}, {17, 4}, {21, 2}, {23, 4}, {27, 8}, {35, 8},
        {43, 8}, {51, 2}, {53, 4}, {57, 4}};
    struct batch_view view;
    if (m->len < BATCH_HEADER_SIZE || m->at + m->len > w->len)
        return;
    if (below(s, 2) == 0) {
        uint32_t i = below(s, COUNT_OF(fields));
        change_number(s, w, m->at + fields[i].at, fields[i].len);
    } else {
        for (uint32_t i = 1 + below(s, 3); i > 0; i--)
            w->bytes[m->at + below(s, m->len)] ^= (uint8_t)(1 << below(s, 8));
    }
    if (below(s, 4) == 0) /* the codec */
        w->bytes[m->at + BATCH_AT_ATTRIBUTES + 1] =
            (uint8_t)((w->bytes[m->at + BATCH_AT_ATTRIBUTES + 1] & ~7) | (int)below(s, 8));
    if (below(s, 8) != 0 && batch_parse((struct bytes){w->bytes + m->at, m->len}, &view) == ERR_OK)
        batch_seal(w->bytes + m->at, view.size_bytes);
}

static void
change_anywhere(struct state *s, struct work *w)
{
    const struct seed *other = &s->seeds[below(s, (uint64_t)s->seed_count)];
    size_t body = 12;
    if (w->len <= body + 1)
        return;
    size_t at = body + below(s, w->len - body), len = below(s, w->len - at);
    switch (below(s, 5)) {
    case 0: w->bytes[at] ^= (uint8_t)(1 << below(s, 8)); break;
    case 1: w->len = at; break;
    case 2: replace(w, at, 0, w->bytes + at, len > 4096 ? 4096 : len); break;
    case 3: replace(w, at, len, "", 0); break;
    default:
        if (other->len > body + 1) {
            size_t from = body + below(s, other->len - body);
            replace(w, at, len, other->frame + from, below(s, other->len - from));
        }
    }
}

static void
change(struct state *s, struct work *w, const struct seed *seed, int i)
{
    const struct mark *m = &seed->marks[i];
    switch (m->kind) {
    case MARK_INT:
    case MARK_LENGTH: change_number(s, w, m->at, m->len); break;
    case MARK_VARINT: change_varint(s, w, m); break;
    case MARK_TAGS: change_tags(s, w, m); break;
    case MARK_TEXT: change_text(s, w, m, i > 0 ? &seed->marks[i - 1] : NULL); break;
    case MARK_BATCH: change_batch(s, w, m); break;
    }
}

/* Most changes leave the form whole, so that handlers see them too. */
static int
pick(struct state *s, const struct seed *seed, int end)
{
    int i = (int)below(s, (uint64_t)end);
    for (int tries = 0; tries < 4 && seed->marks[i].kind != MARK_INT &&
                        seed->marks[i].kind != MARK_TEXT && seed->marks[i].kind != MARK_BATCH;
         tries++)
        i = (int)below(s, (uint64_t)end);
    return i;
}

/* Marks from the last to the first, so that those before keep their places. */
static void
make(struct state *s, struct work *w)
{
    const struct seed *seed = &s->seeds[below(s, (uint64_t)s->seed_count)];
    memcpy(w->bytes, seed->frame, seed->len);
    w->len = seed->len;
    int from = seed->mark_count;
    for (uint32_t i = 1 + below(s, 3); i > 0 && from > 0; i--) {
        from = pick(s, seed, from);
        change(s, w, seed, from);
    }
    if (below(s, 8) == 0)
        change_anywhere(s, w);
    store_be32(w->bytes, (uint32_t)(w->len - 4));
    /* The one thing that a node must not be asked by a stranger: to leave the cluster. */
    if (load_be16(w->bytes + 4) == UNREGISTER_BROKER)
        store_be16(w->bytes + 4, 60);
}

/* ---- connections ---- */

static void
conn_close(struct conn *c)
{
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
    c->waits = false;
}

static int
dial(struct state *s)
{
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons(s->port)};
    struct linger linger = {.l_onoff = 1, .l_linger = 0}; /* no port waits for its end */
    int one = 1;
    addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&addr, sizeof addr) != 0)
        die("the server takes no connection");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    s->dials++;
    return fd;
}

static void
conn_send(struct conn *c)
{
    while (c->out_at < c->out.len) {
        ssize_t n = send(c->fd, c->out.bytes + c->out_at, c->out.len - c->out_at, MSG_NOSIGNAL);
        if (n < 0)
            return; /* full, or gone: reading tells */
        c->out_at += (size_t)n;
    }
}

static void
conn_next(struct state *s, struct conn *c)
{
    if (s->left == 0)
        return;
    if (c->fd < 0) {
        c->fd = dial(s);
        fcntl(c->fd, F_SETFL, O_NONBLOCK);
    }
    make(s, &c->out);
    c->correlation_id = load_be32(c->out.bytes + 8);
    c->checked = c->out.len >= 12;
    if (below(s, 64) == 0) { /* a size that is not so */
        store_be32(c->out.bytes, (uint32_t)number(s, c->out.len - 4, 32));
        c->checked = false;
    }
    c->out_at = c->in_len = c->skip = 0;
    c->waits = true;
    c->sent_ms = now_ms();
    s->left--;
    s->sent++;
    conn_send(c);
}

/* False: an answer that was not asked for. */
static bool
conn_read(struct state *s, struct conn *c)
{
    uint8_t data[65536];
    for (;;) {
        size_t want = c->in_len < sizeof c->in ? sizeof c->in - c->in_len : c->skip;
        uint8_t *to = c->in_len < sizeof c->in ? c->in + c->in_len : data;
        ssize_t n = recv(c->fd, to, want < sizeof data ? want : sizeof data, 0);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return true;
        if (n <= 0) {
            s->closed++;
            conn_close(c);
            return true;
        }
        if (c->in_len < sizeof c->in) {
            c->in_len += (size_t)n;
            if (c->in_len < sizeof c->in)
                continue;
            c->skip = load_be32(c->in) - 4;
            if (c->checked && load_be32(c->in + 4) != c->correlation_id)
                return false;
        } else {
            c->skip -= (uint32_t)n;
        }
        if (c->skip == 0) {
            s->answered++;
            c->waits = false;
            /* What was sent behind a wrong size would be taken as the next request. */
            if (!c->checked)
                conn_close(c);
            return true;
        }
    }
}

/* ApiVersions and Metadata of all topics named "good": answered, on a connection that lives. */
static bool
good_asks(int fd)
{
    static const uint8_t versions[] = {0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 7, 255, 255};
    static const uint8_t metadata[] = {
        0, 0, 0, 20, 0, 3, 0, 1, 0, 0, 0, 8, 255, 255, 0, 0, 0, 1, 0, 4, 'g', 'o', 'o', 'd'};
    uint8_t head[8], data[4096];
    for (int i = 0; i < 2; i++) {
        const uint8_t *frame = i == 0 ? versions : metadata;
        size_t len = i == 0 ? sizeof versions : sizeof metadata;
        if (send(fd, frame, len, MSG_NOSIGNAL) != (ssize_t)len ||
            recv(fd, head, sizeof head, MSG_WAITALL) != sizeof head ||
            load_be32(head + 4) != (uint32_t)(7 + i))
            return false;
        for (uint32_t left = load_be32(head) - 4; left > 0;) {
            ssize_t n = recv(fd, data, left < sizeof data ? left : sizeof data, 0);
            if (n <= 0)
                return false;
            left -= (uint32_t)n;
        }
    }
    return true;
}

static bool
turn(struct state *s)
{
    struct pollfd polls[CONNECTIONS_MAX];
    for (int i = 0; i < s->conn_count; i++) {
        struct conn *c = &s->conns[i];
        if (!c->waits)
            conn_next(s, c);
        short events = (short)(POLLIN | (c->out_at < c->out.len ? POLLOUT : 0));
        polls[i] = (struct pollfd){.fd = c->waits ? c->fd : -1, .events = events};
    }
    if (poll(polls, (nfds_t)s->conn_count, ANSWER_WAIT_MS) < 0 && errno != EINTR)
        die("poll");
    int64_t now = now_ms();
    for (int i = 0; i < s->conn_count; i++) {
        struct conn *c = &s->conns[i];
        if (!c->waits)
            continue;
        if ((polls[i].revents & POLLOUT) != 0)
            conn_send(c);
        if ((polls[i].revents & (POLLIN | POLLERR | POLLHUP)) != 0 && !conn_read(s, c)) {
            fprintf(stderr, "mutate: correlation id %u was sent, %u came (api %u version %u)\n",
                c->correlation_id, load_be32(c->in + 4), load_be16(c->out.bytes + 4),
                load_be16(c->out.bytes + 6));
            return false;
        }
        if (c->waits && now - c->sent_ms > ANSWER_WAIT_MS) {
            s->silent++;
            conn_close(c);
        }
    }
    return true;
}

static bool
is_busy(const struct state *s)
{
    for (int i = 0; i < s->conn_count; i++)
        if (s->conns[i].waits)
            return true;
    return s->left > 0;
}

int
main(int argc, char **argv)
{
    struct state s = {.conn_count = 16};
    struct timeval wait = {.tv_sec = GOOD_WAIT_MS / 1000};
    bool fine = true;
    if (argc < 5 || argc > 6) {
        fprintf(stderr, "usage: %s PORT SEEDS COUNT SEED [CONNECTIONS]\n", argv[0]);
        return 2;
    }
    s.port = (uint16_t)atoi(argv[1]);
    load(&s, argv[2]);
    s.left = atoll(argv[3]);
    s.random = strtoull(argv[4], NULL, 0) * 2654435769u + 88172645463325252u;
    if (argc == 6)
        s.conn_count = atoi(argv[5]);
    if (s.seed_count == 0 || s.conn_count < 1 || s.conn_count > CONNECTIONS_MAX)
        return 2;
    s.conns = calloc((size_t)s.conn_count, sizeof *s.conns);
    if (s.conns == NULL)
        die("connections");
    for (int i = 0; i < s.conn_count; i++)
        s.conns[i].fd = -1;
    int good = dial(&s);
    setsockopt(good, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
    while (fine && is_busy(&s)) {
        fine = turn(&s);
        if (fine && s.sent / GOOD_EVERY >= s.good) {
            s.good++;
            fine = good_asks(good);
            if (!fine)
                fprintf(stderr, "mutate: the good client was not answered\n");
        }
    }
    printf("sent=%lld answered=%lld closed=%lld silent=%lld connections=%lld good=%lld\n",
        (long long)s.sent, (long long)s.answered, (long long)s.closed, (long long)s.silent,
        (long long)s.dials, (long long)s.good);
    return fine ? 0 : 1;
}
