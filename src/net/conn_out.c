/* The output of a connection: answered slots leave in the order of their requests.
 *
 * What     A slot carries its response in a writer: bytes and, between them, ranges of files. What
 *          one turn of the loop answered goes out at its end in as few calls as possible.
 * States   of a slot: PENDING (the handler has it), READY (to be sent), SKIP (nothing to send),
 *          CLOSE (the connection ends here).
 * I1       Only the first slots of the list are ever sent, up to the first that is PENDING.
 * I2       output_bytes is what READY slots still have to send.
 * I3       A slot's references to files are released when sent, or when the slot is recycled.
 * Threads  The reactor's loop only. */
#include "base/alloc.h"
#include "base/assert.h"
#include "base/limits.h"
#include "net/server_priv.h"

enum slot_state { SLOT_PENDING, SLOT_READY, SLOT_SKIP, SLOT_CLOSE };

enum {
    PARTS_MAX = 64,
    SENDFILE_MAX = 256 << 10,
    BYTES_PER_UNIT = 4,
    SPLICE_UNITS = 4096, /* and of each range of a file, for its calls */
    COPY_SIZE = 65536,
    SIZE_LEN = 4,
};

/* ---- slots ---- */

static void
file_refused(void *opaque)
{
    struct env_file *file = opaque;
    env_file_close(&file);
}

static void
slot_writer_init(struct writer *w)
{
    writer_init(w, NET_RESPONSE_BYTES_MAX);
    w->refused = file_refused;
}

struct net_slot *
net_slot_new(struct net_conn *conn)
{
    struct net_slot_pool *pool = &conn->reactor->slots;
    struct net_slot *slot;
    struct list *node = list_pop(&pool->free);
    if (node != NULL) {
        pool->free_count--;
        slot = LIST_ENTRY(node, struct net_slot, link);
    } else {
        slot = mem_calloc(1, sizeof *slot);
        if (slot == NULL)
            return NULL;
        list_init(&slot->link);
        list_init(&slot->turn_link);
        slot_writer_init(&slot->writer);
    }
    slot->state = SLOT_PENDING;
    slot->conn = conn;
    slot->answered_ns = 0;
    slot->mark = NULL;
    slot->sending_ns = 0;
    writer_i32(&slot->writer, 0); /* the size; a failure is latched */
    list_push(&conn->slots, &slot->link);
    conn->slot_count++;
    conn->refs++;
    ASSERT(conn->slot_count <= LIMIT_CONN_IN_FLIGHT);
    return slot;
}

static void
slot_frame_release(struct net_slot *slot)
{
    slot->frame = NULL;
    slot->frame_len = 0;
    if (slot->block != NULL) {
        net_block_unref(&slot->block);
        net_reactor_memory_freed(slot->conn->reactor);
    }
}

static void
slot_files_release(struct net_slot *slot)
{
    struct writer *w = &slot->writer;
    for (int i = slot->splice_index; i < w->splice_count; i++) {
        struct env_file *file = w->splices[i].file;
        env_file_close(&file);
    }
    w->splice_count = 0;
    w->splice_bytes = 0;
}

static void
slot_writer_reset(struct net_slot *slot)
{
    struct writer *w = &slot->writer;
    slot_files_release(slot);
    slot->buf_at = 0;
    slot->splice_index = 0;
    slot->splice_at = 0;
    if (w->buf.capacity > NET_SLOT_BUFFER_KEPT || w->splice_capacity > NET_SPLICES_KEPT) {
        writer_fini(w);
        slot_writer_init(w);
    } else {
        buf_clear(&w->buf);
    }
}

/* Out of the connection's list and back to the pool; drops the connection's reference. */
void
net_slot_recycle(struct net_slot *slot)
{
    struct net_conn *conn = slot->conn;
    struct net_slot_pool *pool = &conn->reactor->slots;
    if (slot->state == SLOT_READY) {
        net_count(&conn->reactor->counters.left, 1);
        ASSERT(conn->output_memory >= slot->writer.buf.len);
        conn->output_memory -= slot->writer.buf.len;
    }
    list_remove(&slot->link);
    list_remove(&slot->turn_link); /* still there when the server is freed by force */
    conn->slot_count--;
    ASSERT(conn->slot_count >= 0);
    slot_frame_release(slot);
    slot_writer_reset(slot);
    slot->conn = NULL;
    if (pool->free_count < NET_SLOTS_KEPT) {
        pool->free_count++;
        list_push_front(&pool->free, &slot->link);
    } else {
        writer_fini(&slot->writer);
        mem_free(slot);
    }
    net_conn_unref(conn);
}

void
net_slot_pool_fini(struct net_slot_pool *pool)
{
    struct list *node;
    while ((node = list_pop(&pool->free)) != NULL) {
        struct net_slot *slot = LIST_ENTRY(node, struct net_slot, link);
        writer_fini(&slot->writer);
        mem_free(slot);
    }
    pool->free_count = 0;
}

void
net_conn_output_clear(struct net_conn *conn, bool pending_too)
{
    conn->refs++;
    LIST_FOREACH (&conn->slots, node) {
        struct net_slot *slot = LIST_ENTRY(node, struct net_slot, link);
        if (slot->state != SLOT_PENDING || pending_too)
            net_slot_recycle(slot);
    }
    conn->output_bytes = 0;
    net_conn_unref(conn);
}

/* ---- holding the input ---- */

void
net_slot_hold(struct net_slot *slot)
{
    struct net_conn *conn = slot->conn;
    ASSERT(slot->state == SLOT_PENDING && (conn->holder == NULL || conn->holder == slot));
    conn->holder = slot;
}

void
net_slot_release(struct net_slot *slot)
{
    struct net_conn *conn = slot->conn;
    if (conn->holder != slot)
        return;
    conn->holder = NULL;
    if (!conn->serving && conn->sock != NULL)
        net_conn_work_add(conn, NET_WORK_RESUME);
}

bool
net_slot_waits(struct net_slot *slot, bool dear)
{
    struct net_conn *conn = slot->conn;
    ASSERT(slot->state == SLOT_PENDING && list_empty(&slot->turn_link));
    if (!dear && (conn->sock == NULL || !net_conn_must_wait(conn)))
        return false;
    slot->dear = dear;
    list_push(&conn->turns, &slot->turn_link);
    net_conn_work_add(conn, NET_WORK_TURN);
    return true;
}

/* ---- how a slot ends ---- */

/* Common to all ends. The connection may be gone, then nothing remains to do. */
static void
slot_end(struct net_slot *slot, enum slot_state state)
{
    struct net_conn *conn = slot->conn;
    ASSERT(slot->state == SLOT_PENDING);
    ASSERT_SLOW(conn->server->freeing || loop_is_current(conn->reactor->loop));
    slot->state = (int)state;
    net_slot_release(slot);
    if (state == SLOT_READY) {
        net_count(&conn->reactor->counters.answered, 1);
        conn->output_memory += slot->writer.buf.len;
        if (conn->serving && slot->answered_ns > conn->seen_ns)
            conn->seen_ns = slot->answered_ns;
    }
    if (conn->sock == NULL) {
        net_slot_recycle(slot);
        return;
    }
    slot_frame_release(slot);
    if (state == SLOT_READY) {
        if (conn->output_bytes == 0)
            conn->output_moved_ms = loop_now_ms(conn->reactor->loop);
        conn->output_bytes += writer_size(&slot->writer);
    }
    /* I1: one behind a pending slot waits for it. */
    if (conn->slots.next == &slot->link || state == SLOT_CLOSE)
        net_conn_flush_soon(conn);
}

bool
net_slot_reply(struct net_slot *slot)
{
    struct writer *w = &slot->writer;
    size_t size = writer_size(w);
    if (w->buf.err != ERR_OK || size - SIZE_LEN > INT32_MAX) {
        net_slot_close(slot, "response too large");
        return false;
    }
    ASSERT(w->buf.len >= SIZE_LEN);
    store_be32(w->buf.data, (uint32_t)(size - SIZE_LEN));
    slot_end(slot, SLOT_READY);
    return true;
}

void
net_slot_drop(struct net_slot *slot)
{
    slot_files_release(slot);
    slot_end(slot, SLOT_SKIP);
}

void
net_slot_close(struct net_slot *slot, const char *reason)
{
    struct net_conn *conn = slot->conn;
    slot_files_release(slot);
    diag_event(env_diag(conn->server->env), DIAG_DEBUG, "net", "close_asked",
        DIAG_Z("peer", conn->peer_host), DIAG_Z("reason", reason));
    conn->refs++;
    slot_end(slot, SLOT_CLOSE);
    net_conn_drain(conn);
    net_conn_unref(conn);
}

/* ---- sending ---- */

static bool
slot_is_sent(const struct net_slot *slot)
{
    return slot->buf_at == slot->writer.buf.len && slot->splice_index == slot->writer.splice_count;
}

/* Up to where the buffer goes before the next splice. */
static size_t
slot_buf_stop(const struct net_slot *slot)
{
    const struct writer *w = &slot->writer;
    return slot->splice_index < w->splice_count ? w->splices[slot->splice_index].at : w->buf.len;
}

static void
slot_sent(struct net_conn *conn, struct net_slot *slot)
{
    const struct net_server_opts *opts = &conn->server->opts;
    net_count(&conn->reactor->counters.responses, 1);
    if (opts->handler->on_sent != NULL) {
        if (conn->written_ns == 0) /* once for all that one write completed */
            conn->written_ns = env_now_ns(conn->server->env);
        opts->handler->on_sent(opts->ctx, slot, slot->sending_ns, conn->written_ns);
    }
    net_slot_recycle(slot);
}

/* Drops what is done from the front. True when something can be sent. */
static bool
front_clean(struct net_conn *conn)
{
    while (!list_empty(&conn->slots)) {
        struct net_slot *slot = LIST_ENTRY(conn->slots.next, struct net_slot, link);
        switch ((enum slot_state)slot->state) {
        case SLOT_PENDING: return false;
        case SLOT_CLOSE: net_conn_close(conn, "asked by handler"); return false;
        case SLOT_SKIP: net_slot_recycle(slot); break;
        case SLOT_READY:
            if (slot->sending_ns == 0)
                slot->sending_ns = conn->flush_ns;
            if (!slot_is_sent(slot))
                return true;
            slot_sent(conn, slot);
            break;
        }
    }
    return false;
}

/* The bytes that can go in one call: until a splice, a pending slot or a close. */
static int
gather(struct net_conn *conn, struct bytes *parts)
{
    int count = 0;
    LIST_FOREACH (&conn->slots, node) {
        struct net_slot *slot = LIST_ENTRY(node, struct net_slot, link);
        if (slot->state == SLOT_SKIP)
            continue;
        if (slot->state != SLOT_READY || count == PARTS_MAX)
            break;
        size_t stop = slot_buf_stop(slot);
        if (stop > slot->buf_at)
            parts[count++] =
                (struct bytes){slot->writer.buf.data + slot->buf_at, stop - slot->buf_at};
        if (slot->splice_index < slot->writer.splice_count)
            break;
    }
    return count;
}

static void
sent(struct net_conn *conn, size_t n)
{
    ASSERT(n > 0 && n <= conn->output_bytes); /* I2 */
    conn->output_bytes -= n;
    conn->spent += n / BYTES_PER_UNIT;
    conn->written_ns = 0;
    conn->io_ms = conn->output_moved_ms = loop_now_ms(conn->reactor->loop);
    net_count(&conn->reactor->counters.bytes_out, n);
}

/* Moves over n sent bytes of buffers. */
static void
advance(struct net_conn *conn, size_t n)
{
    sent(conn, n);
    while (n > 0) {
        front_clean(conn);
        ASSERT(!list_empty(&conn->slots));
        struct net_slot *slot = LIST_ENTRY(conn->slots.next, struct net_slot, link);
        size_t take = slot_buf_stop(slot) - slot->buf_at;
        ASSERT(slot->state == SLOT_READY && take > 0);
        if (take > n)
            take = n;
        slot->buf_at += take;
        n -= take;
    }
}

/* For filters that must see the bytes. */
static enum err
send_copied(struct net_conn *conn, struct env_file *file, int64_t position, size_t len, size_t *n)
{
    uint8_t *copy = mem_alloc(COPY_SIZE);
    size_t got = 0;
    if (copy == NULL)
        return ERR_NOMEM;
    enum err err = env_read_at(file, position, copy, len < COPY_SIZE ? len : COPY_SIZE, &got);
    if (err == ERR_OK && got == 0)
        err = ERR_TRUNCATED;
    if (err == ERR_OK)
        err = conn->filter.ops->writev(&conn->filter, &(struct bytes){copy, got}, 1, n);
    mem_free(copy);
    return err;
}

/* AGAIN: the socket is full, or the range is being read in. */
static enum err
send_range(struct net_conn *conn, struct env_file *file, int64_t position, size_t len, size_t *n)
{
    if (conn->read_in != NULL)
        return net_conn_send_read_in(conn, n);
    if (!net_conn_is_warm(conn, file, position, len) &&
        net_conn_read_in(conn, file, position, len) == ERR_OK)
        return ERR_AGAIN;
    enum err err = conn->filter.ops->sendfile(&conn->filter, file, position, len, n);
    return err == ERR_UNSUPPORTED ? send_copied(conn, file, position, len, n) : err;
}

static enum err
send_splice(struct net_conn *conn)
{
    struct net_slot *slot = LIST_ENTRY(conn->slots.next, struct net_slot, link);
    ASSERT(slot->state == SLOT_READY && slot->splice_index < slot->writer.splice_count);
    struct wire_splice *splice = &slot->writer.splices[slot->splice_index];
    ASSERT(slot->buf_at == splice->at);
    size_t left = splice->len - slot->splice_at;
    if (left > 0) {
        size_t n = 0;
        size_t ask = left < SENDFILE_MAX ? left : SENDFILE_MAX;
        int64_t position = splice->position + (int64_t)slot->splice_at;
        enum err err = send_range(conn, splice->file, position, ask, &n);
        if (err != ERR_OK)
            return err;
        if (n == 0)
            return ERR_TRUNCATED; /* the file is shorter than the log said */
        sent(conn, n);
        conn->spent += SPLICE_UNITS;
        slot->splice_at += n;
    }
    if (slot->splice_at == splice->len) {
        struct env_file *file = splice->file;
        env_file_close(&file); /* I3 */
        slot->splice_index++;
        slot->splice_at = 0;
    }
    return ERR_OK;
}

static enum err
send_some(struct net_conn *conn)
{
    struct bytes parts[PARTS_MAX];
    int count = gather(conn, parts);
    if (count == 0)
        return send_splice(conn);
    size_t n = 0;
    enum err err = conn->filter.ops->writev(&conn->filter, parts, count, &n);
    if (err != ERR_OK)
        return err;
    advance(conn, n);
    return ERR_OK;
}

void
net_conn_flush(struct net_conn *conn)
{
    enum err err = ERR_OK;
    bool more;
    if (conn->sock == NULL || conn->reading_in)
        return;
    conn->refs++;
    conn->blocked = false;
    if (conn->output_bytes > 0)
        conn->flush_ns = env_now_ns(conn->server->env);
    while ((more = front_clean(conn)) && !net_conn_turn_is_over(conn)) {
        err = send_some(conn);
        if (err != ERR_OK)
            break;
    }
    if (conn->sock == NULL) {
        /* closed by a slot */
    } else if (err == ERR_AGAIN) {
        conn->blocked = !conn->reading_in;
    } else if (err != ERR_OK) {
        net_count(&conn->reactor->counters.error, 1);
        net_conn_close(conn, err == ERR_TRUNCATED ? "file too short" : "write failed");
    } else if (more) {
        net_conn_work_add(conn, NET_WORK_SEND); /* when the others had their turn */
    } else if (conn->fsm.state == NET_CONN_DRAINING && list_empty(&conn->slots)) {
        net_conn_close(conn, "drained");
    }
    net_conn_wants_update(conn);
    net_conn_unref(conn);
}
