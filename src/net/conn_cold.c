/* Ranges of files that are to be sent and are not in memory.
 *
 * What     Before a range is sent some of its pages are looked for. Where one is missing, the range
 *          is read on the pool and sent from that memory, which it cannot leave in between: the
 *          loop does not wait for the disk, however slow the peer and however short the memory.
 * States   of a connection: sending; reading_in, with a read under way or in read_in_waits (no
 *          room); with read_in (it is there, and goes next).
 * I1       Reads under way and there are at most LIMIT_CONN_READ_INS a reactor.
 * I2       A read under way and a place in read_in_waits hold a reference to the connection each.
 * Threads  The reactor's loop; read_in_run on the pool, which touches only its read.
 * Errors   A read that fails closes the connection, as a send that fails does. */
#include "base/alloc.h"
#include "base/assert.h"
#include "base/limits.h"
#include "net/server_priv.h"

enum {
    PROBE_EVERY = 128 << 10, /* pages come and go in runs of about that */
    READ_AHEAD = 1 << 20,
};

struct net_read_in {
    struct pool_work work;
    struct loop_task done;
    struct list link; /* reactor->read_ins */
    struct net_conn *conn;
    struct env_file *file; /* a reference */
    int64_t position;
    size_t len, n;
    enum err err;
    uint8_t data[];
};

bool
net_conn_is_warm(const struct net_conn *conn, struct env_file *file, int64_t position, size_t len)
{
    uint8_t byte;
    size_t n;
    ASSERT(len > 0);
    if (conn->server->opts.read_pool == NULL)
        return true;
    for (size_t at = 0; at < len; at += PROBE_EVERY)
        if (env_read_at_cached(file, position + (int64_t)at, &byte, 1, &n) == ERR_AGAIN)
            return false;
    if (len % PROBE_EVERY == 0)
        return true;
    return env_read_at_cached(file, position + (int64_t)len - 1, &byte, 1, &n) != ERR_AGAIN;
}

static void
read_in_run(struct pool_work *work)
{
    struct net_read_in *in = CONTAINER_OF(work, struct net_read_in, work);
    env_will_need(in->file, in->position, (int64_t)in->len + READ_AHEAD);
    in->err = env_read_at(in->file, in->position, in->data, in->len, &in->n);
    loop_post(in->conn->reactor->loop, &in->done);
}

/* There is room again: who waits longest asks anew. */
static void
next_asks(struct net_reactor *reactor)
{
    struct list *node = list_pop(&reactor->read_in_waits);
    if (node == NULL)
        return;
    struct net_conn *conn = LIST_ENTRY(node, struct net_conn, read_in_link);
    ASSERT(conn->sock != NULL && conn->reading_in);
    conn->reading_in = false;
    net_conn_work_add(conn, NET_WORK_SEND);
    net_conn_unref(conn);
}

static void
read_in_free(struct net_read_in *in)
{
    struct net_reactor *reactor = in->conn->reactor;
    list_remove(&in->link);
    env_file_close(&in->file);
    mem_free(in);
    ASSERT(reactor->read_in_count > 0);
    reactor->read_in_count--;
    next_asks(reactor);
}

static void
read_in_done(struct loop_task *task)
{
    struct net_read_in *in = CONTAINER_OF(task, struct net_read_in, done);
    struct net_conn *conn = in->conn;
    if (conn->sock == NULL) {
        read_in_free(in);
    } else {
        ASSERT(conn->reading_in && conn->read_in == NULL);
        conn->reading_in = false;
        conn->read_in = in;
        net_conn_work_add(conn, NET_WORK_SEND);
    }
    net_conn_unref(conn); /* I2 */
}

enum err
net_conn_read_in(struct net_conn *conn, struct env_file *file, int64_t position, size_t len)
{
    struct net_reactor *reactor = conn->reactor;
    ASSERT(!conn->reading_in && conn->read_in == NULL);
    if (reactor->read_in_count == LIMIT_CONN_READ_INS) { /* I1 */
        list_push(&reactor->read_in_waits, &conn->read_in_link);
    } else {
        struct net_read_in *in = mem_alloc(sizeof *in + len);
        if (in == NULL)
            return ERR_NOMEM;
        *in = (struct net_read_in){.work = {.run = read_in_run, .gives_way = true},
            .conn = conn,
            .file = file,
            .position = position,
            .len = len};
        loop_task_init(&in->done, read_in_done);
        env_file_ref(file);
        reactor->read_in_count++;
        list_push(&reactor->read_ins, &in->link);
        pool_submit(conn->server->opts.read_pool, &in->work);
    }
    conn->reading_in = true;
    conn->refs++; /* I2 */
    return ERR_OK;
}

enum err
net_conn_send_read_in(struct net_conn *conn, size_t *n)
{
    struct net_read_in *in = conn->read_in;
    enum err err = in->err;
    if (err == ERR_OK && in->n == 0)
        err = ERR_TRUNCATED;
    if (err == ERR_OK)
        err = conn->filter.ops->writev(&conn->filter, &(struct bytes){in->data, in->n}, 1, n);
    net_conn_read_in_drop(conn);
    return err;
}

void
net_conn_read_in_drop(struct net_conn *conn)
{
    struct net_read_in *in = conn->read_in;
    conn->read_in = NULL;
    if (in != NULL)
        read_in_free(in);
    if (conn->sock == NULL && !list_empty(&conn->read_in_link)) {
        list_remove(&conn->read_in_link);
        net_conn_unref(conn);
    }
}

void
net_read_ins_fini(struct net_reactor *reactor)
{
    struct list *node;
    while ((node = list_pop(&reactor->read_ins)) != NULL) {
        struct net_read_in *in = LIST_ENTRY(node, struct net_read_in, link);
        env_file_close(&in->file);
        mem_free(in);
    }
}
