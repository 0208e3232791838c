/* coord/runtime.c - see runtime.h.
 *
 * What: loading, write batching, replies held back until they are committed, timers.
 *
 * States: of a shard, in runtime.h. Records go: added (op) -> submitted (builder, out) -> appended
 * (last_written) -> committed. Replies go: unflushed -> in_flight -> done.
 *
 * Invariants:
 *   I1  a reply of `unflushed` implies that something is submitted and not appended
 *   I2  `in_flight` is ordered by offset and by deadline; all its offsets are >= committed
 *   I3  unless doomed, the machine's state is the fold of all records submitted so far
 *   I4  an unloaded shard has no machine, no reply, no timer and no bytes
 *
 * Threads: the caller's, one at a time (its lock).
 *
 * Errors: what a client is to hear is a Kafka error; memory that ran out while the state changed,
 * and a refused append, doom the shard. */
#include "coord/runtime.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/limits.h"
#include "coord/runtime_priv.h"
#include "wire/batch.h"

enum {
    OP_ENTRY_HEADER = 8,  /* two lengths before key and value */
    RECORD_OVERHEAD = 32, /* length, attributes, deltas, counts: five varints at most */
    OUT_BATCHES_MAX = 8,  /* so many full batches may wait for one flush */
    OP_SLACK = 1 << 16,
};

/* ---- replies and timers as values ---- */

void
coord_reply_init(
    struct coord_reply *reply, struct arena *arena, void (*done)(struct coord_reply *reply))
{
    list_init(&reply->link);
    reply->arena = arena;
    reply->offset = -1;
    reply->deadline_ms = 0;
    reply->err = PROTO_ERROR_NONE;
    reply->done = done;
}

void
coord_timer_init(struct coord_timer *timer, void (*fire)(void *machine, struct coord_timer *timer))
{
    heap_node_init(&timer->node);
    timer->fire = fire;
}

/* ---- life ---- */

enum err
coord_shard_new(const struct coord_shard_opts *opts, struct coord_shard **out)
{
    ASSERT(opts->machine != NULL && opts->log != NULL);
    ASSERT(opts->batch_size_max > BATCH_HEADER_SIZE);
    struct coord_shard *shard = mem_calloc(1, sizeof *shard);
    if (shard == NULL)
        return ERR_NOMEM;
    shard->opts = *opts;
    shard->state = COORD_SHARD_UNLOADED;
    shard->leader_epoch = -1;
    shard->last_written = -1;
    /* Entries are longer than the records they become only by their lengths. */
    buf_init(&shard->op, opts->batch_size_max * 2 + OP_SLACK);
    buf_init(&shard->out, opts->batch_size_max * OUT_BATCHES_MAX + OP_SLACK);
    list_init(&shard->unflushed);
    list_init(&shard->in_flight);
    heap_init(&shard->timers);
    coord_clean_init(&shard->clean);
    *out = shard;
    return ERR_OK;
}

void
coord_shard_free(struct coord_shard **shard)
{
    struct coord_shard *s = *shard;
    if (s == NULL)
        return;
    ASSERT(s->state == COORD_SHARD_UNLOADED);
    ASSERT(s->timers.count == 0); /* I4 */
    buf_fini(&s->op);
    buf_fini(&s->out);
    heap_fini(&s->timers);
    mem_free(s);
    *shard = NULL;
}

enum coord_shard_state
coord_shard_state(const struct coord_shard *shard)
{
    return shard->state;
}

int32_t
coord_shard_index(const struct coord_shard *shard)
{
    return shard->opts.index;
}

size_t
coord_shard_batch_size_max(const struct coord_shard *shard)
{
    return shard->opts.batch_size_max;
}

int32_t
coord_shard_leader_epoch(const struct coord_shard *shard)
{
    return shard->leader_epoch;
}

enum proto_error
coord_shard_ready(const struct coord_shard *shard)
{
    if (shard->doomed)
        return PROTO_ERROR_COORDINATOR_LOAD_IN_PROGRESS;
    switch (shard->state) {
    case COORD_SHARD_ACTIVE: return PROTO_ERROR_NONE;
    case COORD_SHARD_LOADING: return PROTO_ERROR_COORDINATOR_LOAD_IN_PROGRESS;
    case COORD_SHARD_UNLOADED: break;
    }
    return PROTO_ERROR_NOT_COORDINATOR;
}

void *
coord_shard_machine(const struct coord_shard *shard)
{
    return shard->machine;
}

void
coord_shard_enter(struct coord_shard *shard, int64_t now_ms, int64_t wall_ms)
{
    /* Readers of one monotonic clock may arrive here in another order than they read it. */
    if (now_ms > shard->now_ms)
        shard->now_ms = now_ms;
    shard->wall_ms = wall_ms;
}

int64_t
coord_shard_now_ms(const struct coord_shard *shard)
{
    return shard->now_ms;
}

int64_t
coord_shard_wall_ms(const struct coord_shard *shard)
{
    return shard->wall_ms;
}

void
coord_shard_random(struct coord_shard *shard, void *out, size_t len)
{
    shard->opts.log->random(shard->opts.log_ctx, out, len);
}

void
coord_shard_count(struct coord_shard *shard, enum coord_count what, uint64_t n)
{
    ASSERT(what < COORD_COUNT_KINDS);
    shard->counts[what] += n;
}

uint64_t
coord_shard_counted(const struct coord_shard *shard, enum coord_count what)
{
    ASSERT(what < COORD_COUNT_KINDS);
    return shard->counts[what];
}

int64_t
coord_shard_last_written(const struct coord_shard *shard)
{
    return shard->last_written;
}

int64_t
coord_shard_first_waiting(const struct coord_shard *shard)
{
    int64_t wait = shard->clean.wait;
    if (list_empty(&shard->in_flight))
        return wait;
    int64_t first = LIST_ENTRY(shard->in_flight.next, struct coord_reply, link)->offset;
    return wait >= 0 && wait < first ? wait : first;
}

int64_t
coord_shard_order_next(const struct coord_shard *shard)
{
    return shard->order_next;
}

int64_t
coord_shard_load_next(const struct coord_shard *shard)
{
    return shard->order_next;
}

/* ---- loading ---- */

enum err
coord_shard_load_begin(struct coord_shard *shard, int32_t leader_epoch)
{
    ASSERT(shard->state == COORD_SHARD_UNLOADED);
    ASSERT(shard->machine == NULL);
    enum err err = shard->opts.machine->create(shard->opts.machine_ctx, shard, &shard->machine);
    if (err != ERR_OK)
        return err;
    shard->state = COORD_SHARD_LOADING;
    shard->order_next = 0;
    shard->leader_epoch = leader_epoch;
    return ERR_OK;
}

static enum err
load_control(struct coord_shard *shard, const struct batch_view *batch)
{
    struct batch_iter it;
    struct batch_record record;
    enum batch_control_type type;

    /* A control batch is never compressed; one that is, is none of ours. */
    if (batch_codec(batch) != 0)
        return ERR_CORRUPT;
    enum err err = batch_iter_init(&it, batch, NULL, NULL);
    if (err != ERR_OK)
        return err;
    while (batch_iter_next(&it, &record)) {
        err = batch_control_key_parse(record.key, &type);
        if (err != ERR_OK)
            return err;
        if (type != BATCH_CONTROL_ABORT && type != BATCH_CONTROL_COMMIT)
            continue;
        err = shard->opts.machine->end_txn(
            shard->machine, batch->producer_id, type == BATCH_CONTROL_COMMIT);
        if (err != ERR_OK)
            return err;
    }
    return it.err;
}

static enum err
load_data(struct coord_shard *shard, const struct batch_view *batch)
{
    struct compress_ctx *compress = NULL;
    struct batch_iter it;
    struct batch_record in;
    struct buf scratch;
    enum err err = ERR_OK;

    buf_init(&scratch, LIMIT_DECOMPRESS_FLOOR);
    if (batch_codec(batch) != 0)
        err = compress_ctx_new(&compress);
    if (err == ERR_OK)
        err = batch_iter_init(&it, batch, compress, &scratch);
    if (err != ERR_OK)
        goto out;
    while (batch_iter_next(&it, &in)) {
        struct coord_record record = {
            .offset = in.offset,
            .timestamp_ms = in.timestamp,
            .producer_id = batch_is_transactional(batch) ? batch->producer_id : -1,
            .producer_epoch = batch->producer_epoch,
            .key = in.key,
            .value = in.value,
        };
        err = shard->opts.machine->apply(shard->machine, &record);
        if (err != ERR_OK)
            goto out;
    }
    err = it.err;
out:
    buf_fini(&scratch);
    compress_ctx_free(&compress);
    return err;
}

enum err
coord_shard_load(struct coord_shard *shard, struct bytes batches, size_t *consumed)
{
    ASSERT(shard->state == COORD_SHARD_LOADING);
    size_t at = 0;

    while (at < batches.len) {
        struct batch_view batch;
        struct bytes rest = {batches.data + at, batches.len - at};
        enum err err = batch_parse(rest, &batch);
        if (err == ERR_TRUNCATED)
            break;
        if (err == ERR_OK && !batch_crc_ok(&batch))
            err = ERR_CORRUPT;
        if (err == ERR_OK)
            err = batch_is_control(&batch) ? load_control(shard, &batch) : load_data(shard, &batch);
        if (err != ERR_OK)
            return err;
        at += batch.size_bytes;
        shard->order_next = batch_last_offset(&batch) + 1;
    }
    coord_clean_loaded(shard, at);
    *consumed = at;
    return ERR_OK;
}

void
coord_shard_load_end(struct coord_shard *shard, int64_t end_offset, int64_t high_watermark)
{
    ASSERT(shard->state == COORD_SHARD_LOADING);
    ASSERT(high_watermark <= end_offset);
    shard->state = COORD_SHARD_ACTIVE;
    shard->last_written = end_offset - 1;
    shard->order_next = end_offset;
    shard->committed = high_watermark;
    shard->opts.machine->loaded(shard->machine);
    coord_clean_load_end(shard);
}

static void
answer(struct coord_reply *reply, enum proto_error err)
{
    list_remove(&reply->link);
    reply->err = err;
    reply->done(reply);
}

static void
answer_all(struct list *replies, enum proto_error err)
{
    LIST_FOREACH (replies, node) {
        answer(LIST_ENTRY(node, struct coord_reply, link), err);
    }
}

void
coord_shard_unload(struct coord_shard *shard, enum proto_error why)
{
    ASSERT(why != PROTO_ERROR_NONE);
    if (shard->state == COORD_SHARD_UNLOADED)
        return;
    shard->state = COORD_SHARD_UNLOADED;
    shard->doomed = false;
    answer_all(&shard->in_flight, why);
    answer_all(&shard->unflushed, why);
    shard->opts.machine->unload(shard->machine, why);
    shard->opts.machine->destroy(shard->machine);
    shard->machine = NULL;
    if (shard->building)
        batch_builder_abort(&shard->builder);
    shard->building = false;
    buf_clear(&shard->out);
    coord_shard_drop(shard);
    coord_clean_init(&shard->clean);
    shard->leader_epoch = -1;
    shard->last_written = -1;
    shard->committed = 0;
    ASSERT(shard->timers.count == 0); /* I4: the machine stopped its own */
}

void
coord_shard_abandon(struct coord_shard *shard)
{
    shard->abandoned = true;
    list_init(&shard->in_flight);
    list_init(&shard->unflushed);
    coord_shard_unload(shard, PROTO_ERROR_NOT_COORDINATOR);
}

bool
coord_shard_is_abandoned(const struct coord_shard *shard)
{
    return shard->abandoned;
}

/* ---- writing ---- */

void
coord_shard_doom(struct coord_shard *shard)
{
    if (shard->doomed)
        return;
    shard->doomed = true;
    shard->doom_why = PROTO_ERROR_COORDINATOR_NOT_AVAILABLE;
}

bool
coord_shard_is_doomed(const struct coord_shard *shard)
{
    return shard->doomed;
}

void
coord_shard_add(struct coord_shard *shard, struct bytes key, struct bytes value)
{
    uint8_t head[OP_ENTRY_HEADER];
    ASSERT(key.data != NULL);
    store_be32(head, (uint32_t)key.len);
    store_be32(head + 4, value.data == NULL ? UINT32_MAX : (uint32_t)value.len);
    buf_append(&shard->op, head, sizeof head);
    buf_append(&shard->op, key.data, key.len);
    if (value.data != NULL)
        buf_append(&shard->op, value.data, value.len);
    shard->op_count++;
    shard->op_bytes += key.len + value.len + RECORD_OVERHEAD;
}

void
coord_shard_add_failed(struct coord_shard *shard, enum err err)
{
    ASSERT(err != ERR_OK);
    if (shard->op.err == ERR_OK)
        shard->op.err = err;
}

void
coord_shard_drop(struct coord_shard *shard)
{
    buf_clear(&shard->op);
    shard->op_count = 0;
    shard->op_bytes = 0;
}

size_t
coord_shard_added_bytes(const struct coord_shard *shard)
{
    return shard->op_bytes;
}

/* Takes the entry at *at; false at the end. */
static bool
op_next(const struct coord_shard *shard, size_t *at, struct bytes *key, struct bytes *value)
{
    if (*at >= shard->op.len)
        return false;
    const uint8_t *p = shard->op.data + *at;
    uint32_t key_len = load_be32(p);
    uint32_t value_len = load_be32(p + 4);
    *key = (struct bytes){p + OP_ENTRY_HEADER, key_len};
    *value = BYTES_NULL;
    if (value_len != UINT32_MAX)
        *value = (struct bytes){p + OP_ENTRY_HEADER + key_len, value_len};
    *at += OP_ENTRY_HEADER + key_len + value->len;
    ASSERT(*at <= shard->op.len);
    return true;
}

static void
seal(struct coord_shard *shard)
{
    if (!shard->building)
        return;
    shard->building = false;
    if (batch_builder_finish(&shard->builder) != ERR_OK)
        coord_shard_doom(shard);
}

static void
open_batch(struct coord_shard *shard, int64_t producer_id, int16_t producer_epoch)
{
    struct batch_builder_opts opts = BATCH_BUILDER_OPTS_DEFAULT;
    ASSERT(!shard->building);
    if (producer_id >= 0) {
        opts.producer_id = producer_id;
        opts.producer_epoch = producer_epoch;
        opts.transactional = true;
    }
    batch_builder_init(&shard->builder, &opts, &shard->out);
    shard->building = true;
}

/* The records of the operation go into the open batch. */
static void
op_write(struct coord_shard *shard)
{
    struct bytes key, value;
    size_t at = 0;
    while (op_next(shard, &at, &key, &value)) {
        struct batch_builder_record record = {
            .timestamp = shard->wall_ms, .key = key, .value = value};
        batch_builder_append(&shard->builder, &record);
    }
    if (shard->builder.err != ERR_OK)
        coord_shard_doom(shard);
}

static void
op_apply(struct coord_shard *shard, int64_t producer_id, int16_t producer_epoch)
{
    struct coord_record record = {.timestamp_ms = shard->wall_ms,
        .producer_id = producer_id,
        .producer_epoch = producer_epoch};
    int64_t order = shard->order_next;
    size_t at = 0;
    while (op_next(shard, &at, &record.key, &record.value)) {
        record.offset = order++;
        if (shard->opts.machine->apply(shard->machine, &record) != ERR_OK)
            coord_shard_doom(shard);
    }
}

/* Refusal of what can be refused while nothing has changed yet. */
static enum err
op_check(const struct coord_shard *shard)
{
    if (shard->op.err != ERR_OK)
        return shard->op.err; /* LIMIT: longer than any batch */
    if (shard->op_bytes + BATCH_HEADER_SIZE > shard->opts.batch_size_max)
        return ERR_LIMIT;
    return ERR_OK;
}

static enum err
submit(struct coord_shard *shard, bool apply, int64_t producer_id, int16_t producer_epoch)
{
    ASSERT(shard->state == COORD_SHARD_ACTIVE);
    enum err err = op_check(shard);
    if (err != ERR_OK || shard->op_count == 0) {
        coord_shard_drop(shard);
        return err;
    }
    bool fits = shard->building &&
                batch_builder_size(&shard->builder) + shard->op_bytes <= shard->opts.batch_size_max;
    if (!fits || producer_id >= 0)
        seal(shard);
    if (!buf_reserve(&shard->out, shard->op_bytes + BATCH_HEADER_SIZE)) {
        /* Too much waits for one flush, or no memory: refused, and the batches so far still go. */
        err = shard->out.err;
        shard->out.err = ERR_OK;
        coord_shard_drop(shard);
        return err;
    }
    if (!shard->building)
        open_batch(shard, producer_id, producer_epoch);
    op_write(shard);
    if (apply)
        op_apply(shard, producer_id, producer_epoch);
    shard->order_next += shard->op_count;
    if (producer_id >= 0)
        seal(shard); /* a batch has one producer */
    coord_shard_drop(shard);
    return ERR_OK;
}

enum err
coord_shard_submit(struct coord_shard *shard, bool apply)
{
    return submit(shard, apply, -1, -1);
}

enum err
coord_shard_submit_txn(struct coord_shard *shard, int64_t producer_id, int16_t producer_epoch)
{
    ASSERT(producer_id >= 0);
    return submit(shard, true, producer_id, producer_epoch);
}

static bool
has_submitted(const struct coord_shard *shard)
{
    return shard->building || shard->out.len > 0;
}

bool
coord_shard_needs_flush(const struct coord_shard *shard)
{
    return shard->state == COORD_SHARD_ACTIVE && (shard->doomed || has_submitted(shard));
}

/* What the refusal of an append is called to those who waited for it. */
static enum proto_error
append_error(enum proto_error err)
{
    return err == PROTO_ERROR_NOT_LEADER_OR_FOLLOWER || err == PROTO_ERROR_KAFKA_STORAGE_ERROR ||
                   err == PROTO_ERROR_FENCED_LEADER_EPOCH
               ? PROTO_ERROR_NOT_COORDINATOR
               : PROTO_ERROR_COORDINATOR_NOT_AVAILABLE;
}

static void
append(struct coord_shard *shard)
{
    int64_t last_offset = -1;
    size_t len = shard->out.len;
    enum proto_error err =
        shard->opts.log->append(shard->opts.log_ctx, shard, shard->out.data, len, &last_offset);
    buf_clear(&shard->out);
    if (err != PROTO_ERROR_NONE) {
        coord_shard_doom(shard);
        shard->doom_why = append_error(err);
        return;
    }
    ASSERT(last_offset > shard->last_written);
    shard->last_written = last_offset;
    if (shard->order_next <= last_offset)
        shard->order_next = last_offset + 1;
    LIST_FOREACH (&shard->unflushed, node) {
        LIST_ENTRY(node, struct coord_reply, link)->offset = last_offset;
    }
    list_splice(&shard->in_flight, &shard->unflushed);
    coord_clean_appended(shard, len, last_offset);
}

bool
coord_shard_flush(struct coord_shard *shard)
{
    if (shard->state != COORD_SHARD_ACTIVE)
        return true;
    seal(shard);
    if (!shard->doomed && shard->out.len > 0)
        append(shard);
    if (!shard->doomed)
        return true;
    coord_shard_unload(shard, shard->doom_why);
    return false;
}

/* ---- replies ---- */

void
coord_shard_reply(struct coord_shard *shard, struct coord_reply *reply, enum proto_error err)
{
    ASSERT(!shard->abandoned);
    ASSERT(list_empty(&reply->link));
    reply->err = err;
    reply->deadline_ms = shard->now_ms + shard->opts.write_timeout_ms;
    if (shard->state != COORD_SHARD_ACTIVE) {
        reply->done(reply);
    } else if (has_submitted(shard) || shard->doomed) {
        list_push(&shard->unflushed, &reply->link);
    } else if (shard->last_written >= shard->committed) {
        reply->offset = shard->last_written;
        list_push(&shard->in_flight, &reply->link);
    } else {
        reply->done(reply);
    }
}

void
coord_runtime_committed(struct coord_shard *shard, int64_t high_watermark)
{
    if (shard->state != COORD_SHARD_ACTIVE || high_watermark <= shard->committed)
        return;
    shard->committed = high_watermark;
    LIST_FOREACH (&shard->in_flight, node) {
        struct coord_reply *reply = LIST_ENTRY(node, struct coord_reply, link);
        if (reply->offset >= high_watermark)
            break; /* I2 */
        list_remove(&reply->link);
        reply->done(reply);
    }
    coord_clean_committed(shard);
}

void
coord_runtime_end_txn(
    struct coord_shard *shard, int64_t offset, int64_t producer_id, bool committed)
{
    if (shard->state != COORD_SHARD_ACTIVE)
        return;
    if (offset > shard->last_written)
        shard->last_written = offset;
    if (shard->order_next <= offset)
        shard->order_next = offset + 1;
    if (shard->opts.machine->end_txn(shard->machine, producer_id, committed) != ERR_OK)
        coord_shard_doom(shard);
}

/* ---- timers ---- */

void
coord_shard_timer_set(struct coord_shard *shard, struct coord_timer *timer, int64_t delay_ms)
{
    heap_remove(&shard->timers, &timer->node);
    /* At least one: a timer never fires in the tick that set it. */
    int64_t key = shard->now_ms + (delay_ms > 0 ? delay_ms : 1);
    if (heap_push(&shard->timers, &timer->node, key) != ERR_OK)
        coord_shard_doom(shard);
}

void
coord_shard_timer_stop(struct coord_shard *shard, struct coord_timer *timer)
{
    heap_remove(&shard->timers, &timer->node);
}

static int64_t
first_deadline(const struct list *replies)
{
    if (list_empty(replies))
        return INT64_MAX;
    return LIST_ENTRY(replies->next, struct coord_reply, link)->deadline_ms;
}

int64_t
coord_runtime_next_deadline(const struct coord_shard *shard)
{
    int64_t in_flight = first_deadline(&shard->in_flight);
    int64_t unflushed = first_deadline(&shard->unflushed);
    int64_t deadline = in_flight < unflushed ? in_flight : unflushed;
    const struct heap_node *node = heap_peek(&shard->timers);
    if (shard->clean.due_ms < deadline)
        deadline = shard->clean.due_ms;
    return node != NULL && node->key < deadline ? node->key : deadline;
}

static void
expire(struct list *replies, int64_t now_ms)
{
    LIST_FOREACH (replies, node) {
        struct coord_reply *reply = LIST_ENTRY(node, struct coord_reply, link);
        if (reply->deadline_ms > now_ms)
            break; /* I2 */
        answer(reply, PROTO_ERROR_COORDINATOR_NOT_AVAILABLE);
    }
}

void
coord_runtime_tick(struct coord_shard *shard)
{
    struct heap_node *node;

    if (shard->state != COORD_SHARD_ACTIVE)
        return;
    expire(&shard->in_flight, shard->now_ms);
    expire(&shard->unflushed, shard->now_ms);
    while (!shard->doomed && (node = heap_peek(&shard->timers)) != NULL &&
           node->key <= shard->now_ms) {
        struct coord_timer *timer = CONTAINER_OF(node, struct coord_timer, node);
        heap_remove(&shard->timers, node);
        timer->fire(shard->machine, timer);
    }
    if (!shard->doomed)
        coord_clean_tick(shard);
}
