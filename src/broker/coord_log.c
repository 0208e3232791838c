/* broker/coord_log.c - see coord_log.h.
 *
 * What: a slot for each partition of __consumer_offsets: its lock, shard, partition while we lead
 * it, loop and timer.
 *
 * States of a slot: without partition (shard unloaded); with partition and shard loading, active,
 * or unloaded because loading failed. `term` counts the times it was led, resigned or reloaded:
 * work of an older term finds it changed and stops.
 *
 * Threads: everything of a slot is under its lock (rank COORD_SHARD), but `slots[i]` itself, which
 * is set once. Handlers flush at the end of their reactor's turn, so that what many requests of one
 * turn wrote goes in one append. Replica's waiter posts to the slot's loop, because it may run with
 * our own lock held.
 *
 * Errors: what is lost by a failed append or by memory is regained by loading the log again. */
#include "broker/coord_log.h"

#include <stdatomic.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/hash.h"
#include "broker/broker.h"
#include "meta/delta.h"
#include "meta/image.h"
#include "os/mutex.h"
#include "replica/partition.h"

enum {
    SLOTS_MAX = 1024,           /* partitions of __consumer_offsets that can be served */
    LOAD_CHUNK_BYTES = 1 << 20, /* read and applied at a time, the lock held for so long */
    LOAD_ARENA_BYTES = 64 << 10,
    RELOAD_MS = 1000, /* after a load that memory was missing for */
    OFFSETS_PARTITIONS_DEFAULT = 50,
    CLEAN_GROWTH_MIN = 8 << 20,
};

#define OFFSETS_TOPIC "__consumer_offsets"

struct coord_slot {
    struct broker_coord *coord;
    struct mutex lock;
    int32_t index;
    struct loop *loop;
    struct coord_shard *shard;      /* owned */
    struct replica_partition *part; /* referenced; NULL when not leader */
    int32_t leader_epoch;
    uint64_t term;
    bool stopped;
    atomic_bool loading; /* written under the lock; handlers look first, and do not wait for it */
    struct list jobs;    /* of loading; each takes itself out */

    struct replica_waiter waiter;
    bool waiting; /* the waiter is armed, or its wake-up is on its way */
    struct loop_task woken;

    struct loop_task flush; /* deferred on the reactor of whoever wrote */
    bool flush_queued;

    struct loop_task retime; /* posted to the slot's loop */
    bool retime_queued;
    struct loop_timer timer;
    int64_t reload_ms; /* when loading is tried again; INT64_MAX: not at all */
    int64_t armed_ms;  /* when the timer fires, INT64_MAX when it does not */
};

struct broker_coord {
    struct broker_coord_opts opts;
    struct coord_slot *_Atomic slots[SLOTS_MAX]; /* owned; NULL until first led */
    atomic_bool stopped;
};

/* One loading of one shard. */
struct load_job {
    struct pool_work work;
    struct list link; /* slot->jobs */
    struct coord_slot *slot;
    struct replica_partition *part; /* referenced */
    uint64_t term;
    uint8_t *chunk; /* LOAD_CHUNK_BYTES or what one batch needs */
    size_t capacity;
};

struct broker_coord_opts
broker_coord_opts_default(void)
{
    return (struct broker_coord_opts){
        .group = coord_group_config_default(),
        .offsets_partitions = OFFSETS_PARTITIONS_DEFAULT,
        .offsets_replication_factor = 3,
        .offsets_segment_bytes = 104857600,
        .batch_size_max = 1048588,
        .write_timeout_ms = 5000,
        .clean_growth_min = CLEAN_GROWTH_MIN,
    };
}

/* ---- the port of the shard ---- */

static enum proto_error
log_append_batches(
    void *ctx, struct coord_shard *shard, uint8_t *batches, size_t len, int64_t *last_offset)
{
    struct coord_slot *slot = ctx;
    struct replica_append append = {.batches = batches,
        .len = len,
        .origin = REPLICA_ORIGIN_COORDINATOR,
        .acks = 1, /* the replies wait for the high watermark, however small the ISR is */
        .leader_epoch = slot->leader_epoch};

    mutex_assert_held(&slot->lock);
    ASSERT(coord_shard_leader_epoch(shard) == slot->leader_epoch);
    if (slot->part == NULL)
        return PROTO_ERROR_NOT_LEADER_OR_FOLLOWER;
    enum proto_error err = replica_partition_append(slot->part, &append);
    if (err == PROTO_ERROR_NONE)
        *last_offset = append.last_offset;
    else
        diag_event(env_diag(slot->coord->opts.env), DIAG_WARN, "coord", "append_failed",
            DIAG_I64("partition", slot->index), DIAG_Z("cause", proto_error_name(err)));
    return err;
}

static void
log_random(void *ctx, void *out, size_t len)
{
    struct coord_slot *slot = ctx;
    env_random(slot->coord->opts.env, out, len);
}

/* ---- cleaning: the log's old part goes ---- */

struct retain_job {
    struct pool_work work;
    struct replica_partition *part; /* referenced */
};

static void
run_retain(struct pool_work *work)
{
    struct retain_job *job = CONTAINER_OF(work, struct retain_job, work);
    replica_partition_retain(job->part);
    replica_partition_unref(&job->part);
    mem_free(job);
}

/* Without memory the files go with the node's next retention. */
static void
retain_soon(struct coord_slot *slot)
{
    struct retain_job *job = mem_calloc(1, sizeof *job);
    if (job == NULL)
        return;
    job->part = slot->part;
    replica_partition_ref(job->part);
    list_init(&job->work.link);
    job->work.run = run_retain;
    pool_submit(slot->coord->opts.pool, &job->work);
}

static enum proto_error
log_roll_segment(void *ctx, struct coord_shard *shard, int64_t *end_offset)
{
    struct coord_slot *slot = ctx;
    (void)shard;
    mutex_assert_held(&slot->lock);
    if (slot->part == NULL || slot->stopped)
        return PROTO_ERROR_NOT_LEADER_OR_FOLLOWER;
    return replica_partition_roll(slot->part, slot->leader_epoch, end_offset);
}

/* An error counts as done: the next round tries again. */
static bool
log_trim(void *ctx, struct coord_shard *shard, int64_t offset, int64_t needed)
{
    struct coord_slot *slot = ctx;
    struct replica_trim trim = {
        .offset = offset, .needed = needed, .leader_epoch = slot->leader_epoch};
    bool done;

    (void)shard;
    mutex_assert_held(&slot->lock);
    if (slot->part == NULL || slot->stopped)
        return true;
    enum proto_error err = replica_partition_trim(slot->part, &trim, &done);
    if (err == PROTO_ERROR_NONE && !done)
        return false;
    if (err == PROTO_ERROR_NONE)
        retain_soon(slot);
    diag_event(env_diag(slot->coord->opts.env), DIAG_DEBUG, "coord", "log_cleaned",
        DIAG_I64("partition", slot->index), DIAG_I64("log_start_offset", offset),
        DIAG_I64("log_end_offset", needed), DIAG_Z("result", proto_error_name(err)));
    return true;
}

static const struct coord_log_ops log_ops = {
    .append = log_append_batches, .roll = log_roll_segment, .trim = log_trim, .random = log_random};

/* ---- after every operation ---- */

static void start_load(struct coord_slot *slot);
static void after(struct coord_slot *slot);

static void
enter(struct coord_slot *slot)
{
    struct env *env = slot->coord->opts.env;
    coord_shard_enter(slot->shard, env_now_ms(env), env_wall_ms(env));
}

/* Tells the shard how far its log is committed, and arms the waiter for what is not. */
static void
follow_watermark(struct coord_slot *slot)
{
    while (!slot->waiting && slot->part != NULL && coord_shard_first_waiting(slot->shard) >= 0) {
        enum replica_wake why;
        struct replica_partition_state state;
        int64_t wanted = coord_shard_first_waiting(slot->shard) + 1;
        replica_waiter_init(&slot->waiter, REPLICA_WATERMARK_HW, wanted, slot->waiter.done);
        slot->waiting = true;
        if (replica_partition_wait(slot->part, slot->leader_epoch, &slot->waiter, &why))
            return;
        slot->waiting = false;
        if (why != REPLICA_WAKE_REACHED) {
            coord_shard_unload(slot->shard, PROTO_ERROR_NOT_COORDINATOR);
            return;
        }
        replica_partition_get_state(slot->part, &state);
        coord_runtime_committed(
            slot->shard, state.high_watermark > wanted ? state.high_watermark : wanted);
    }
}

static int64_t
next_deadline(const struct coord_slot *slot)
{
    int64_t due_ms = coord_runtime_next_deadline(slot->shard);
    return due_ms < slot->reload_ms ? due_ms : slot->reload_ms;
}

static void
set_timer(struct coord_slot *slot)
{
    int64_t due_ms = next_deadline(slot);
    int64_t now_ms = env_now_ms(slot->coord->opts.env);
    slot->armed_ms = INT64_MAX;
    if (due_ms == INT64_MAX || slot->stopped) {
        loop_timer_stop(&slot->timer);
        return;
    }
    if (loop_timer_start(&slot->timer, due_ms > now_ms ? due_ms - now_ms : 0) == ERR_OK)
        slot->armed_ms = due_ms;
}

/* Timers are for their own loop: elsewhere it is told, and only when it would wake too late. */
static void
follow_deadline(struct coord_slot *slot)
{
    if (slot->retime_queued || slot->stopped || next_deadline(slot) >= slot->armed_ms)
        return;
    slot->retime_queued = true;
    loop_post(slot->loop, &slot->retime);
}

static void
flush(struct coord_slot *slot)
{
    struct replica_partition_state state;
    if (!coord_shard_needs_flush(slot->shard) || coord_shard_flush(slot->shard))
        return;
    /* It let go of a state that may differ from the log. */
    if (slot->part == NULL || slot->stopped)
        return;
    replica_partition_get_state(slot->part, &state);
    if (state.leader && !state.offline && state.leader_epoch == slot->leader_epoch)
        start_load(slot);
}

static void
after(struct coord_slot *slot)
{
    mutex_assert_held(&slot->lock);
    flush(slot);
    follow_watermark(slot);
    follow_deadline(slot);
}

/* ---- tasks of the loops ---- */

/* Any thread, perhaps with this slot's lock held: posts and returns. */
static void
waiter_done(struct replica_waiter *waiter, enum replica_wake why)
{
    struct coord_slot *slot = CONTAINER_OF(waiter, struct coord_slot, waiter);
    (void)why; /* the state is looked at then */
    loop_post(slot->loop, &slot->woken);
}

static void
run_woken(struct loop_task *task)
{
    struct coord_slot *slot = CONTAINER_OF(task, struct coord_slot, woken);
    struct replica_partition_state state;

    mutex_lock(&slot->lock);
    slot->waiting = false;
    if (slot->part != NULL) {
        enter(slot);
        replica_partition_get_state(slot->part, &state);
        if (state.leader && state.leader_epoch == slot->leader_epoch)
            coord_runtime_committed(slot->shard, state.high_watermark);
        after(slot);
    }
    mutex_unlock(&slot->lock);
}

static void
run_flush(struct loop_task *task)
{
    struct coord_slot *slot = CONTAINER_OF(task, struct coord_slot, flush);
    mutex_lock(&slot->lock);
    slot->flush_queued = false;
    enter(slot);
    after(slot);
    mutex_unlock(&slot->lock);
}

static void
run_retime(struct loop_task *task)
{
    struct coord_slot *slot = CONTAINER_OF(task, struct coord_slot, retime);
    mutex_lock(&slot->lock);
    slot->retime_queued = false;
    set_timer(slot);
    mutex_unlock(&slot->lock);
}

/* What memory was missing for. */
static void
load_later(struct coord_slot *slot)
{
    mutex_assert_held(&slot->lock);
    slot->reload_ms = env_now_ms(slot->coord->opts.env) + RELOAD_MS;
    follow_deadline(slot);
}

static void
load_again(struct coord_slot *slot)
{
    struct replica_partition_state state;
    if (env_now_ms(slot->coord->opts.env) < slot->reload_ms)
        return;
    slot->reload_ms = INT64_MAX;
    if (slot->part == NULL || coord_shard_state(slot->shard) != COORD_SHARD_UNLOADED)
        return;
    replica_partition_get_state(slot->part, &state);
    if (state.leader && !state.offline && state.leader_epoch == slot->leader_epoch)
        start_load(slot);
}

static void
run_timer(struct loop_timer *timer)
{
    struct coord_slot *slot = CONTAINER_OF(timer, struct coord_slot, timer);
    mutex_lock(&slot->lock);
    slot->armed_ms = INT64_MAX;
    if (!slot->stopped) {
        enter(slot);
        load_again(slot);
        coord_runtime_tick(slot->shard);
        flush(slot);
        follow_watermark(slot);
        set_timer(slot);
    }
    mutex_unlock(&slot->lock);
}

/* ---- loading, on the pool ---- */

static void
job_free(struct load_job *job)
{
    replica_partition_unref(&job->part);
    mem_free(job->chunk);
    mem_free(job);
}

static bool
is_current(const struct load_job *job)
{
    return job->slot->term == job->term && job->slot->part == job->part &&
           coord_shard_state(job->slot->shard) == COORD_SHARD_LOADING;
}

/* Reads whole batches from `offset` on into the chunk; *len 0 at the end of the log. */
static enum err
load_read(struct load_job *job, int64_t offset, size_t *len)
{
    struct arena arena;
    struct replica_fetch fetch = {.offset = offset,
        .leader_epoch = -1,
        .last_fetched_epoch = -1,
        .bound = REPLICA_BOUND_LEO,
        .max_bytes = LOAD_CHUNK_BYTES,
        .min_one = true,
        .arena = &arena};
    enum err err = ERR_OK;

    *len = 0;
    arena_init(&arena, LOAD_ARENA_BYTES);
    enum proto_error error = replica_partition_fetch(job->part, &fetch);
    if (error != PROTO_ERROR_NONE) /* the first is what a lack of memory is told as */
        err = error == PROTO_ERROR_UNKNOWN_SERVER_ERROR ? ERR_NOMEM : ERR_IO;
    if (err == ERR_OK && fetch.slice.file != NULL) {
        if (fetch.slice.len > job->capacity) {
            mem_free(job->chunk);
            job->chunk = mem_alloc(fetch.slice.len);
            job->capacity = job->chunk == NULL ? 0 : fetch.slice.len;
        }
        err = job->chunk == NULL ? ERR_NOMEM
                                 : env_read_at(fetch.slice.file, fetch.slice.position, job->chunk,
                                       fetch.slice.len, len);
        env_file_close(&fetch.slice.file);
    }
    arena_fini(&arena);
    return err;
}

/* Applies the chunk. True: go on. */
static enum err
load_apply(struct load_job *job, size_t len, int64_t *offset)
{
    size_t consumed = 0;
    enum err err = ERR_CANCELED;

    mutex_lock(&job->slot->lock);
    if (is_current(job)) {
        err = coord_shard_load(job->slot->shard, (struct bytes){job->chunk, len}, &consumed);
        /* A chunk begins with a whole batch (min_one). */
        if (err == ERR_OK && consumed == 0)
            err = ERR_CORRUPT;
        if (err == ERR_OK)
            *offset = coord_shard_load_next(job->slot->shard);
    }
    mutex_unlock(&job->slot->lock);
    return err;
}

/* True when the log ends where loading ended. */
static bool
load_finish(struct load_job *job, int64_t offset)
{
    struct coord_slot *slot = job->slot;
    struct replica_partition_state state;
    bool done = true;

    mutex_lock(&slot->lock);
    if (is_current(job)) {
        replica_partition_get_state(slot->part, &state);
        done = state.log_end_offset <= offset;
        if (done) {
            atomic_store(&slot->loading, false);
            enter(slot);
            coord_shard_load_end(slot->shard, state.log_end_offset, state.high_watermark);
            after(slot);
        }
    }
    mutex_unlock(&slot->lock);
    return done;
}

static void
load_fail(struct load_job *job, enum err err)
{
    struct coord_slot *slot = job->slot;
    if (err != ERR_CANCELED)
        diag_event(env_diag(slot->coord->opts.env), DIAG_ERROR, "coord", "load_failed",
            DIAG_I64("partition", slot->index), DIAG_ERR("cause", err));
    mutex_lock(&slot->lock);
    if (is_current(job)) {
        atomic_store(&slot->loading, false);
        coord_shard_unload(slot->shard, PROTO_ERROR_NOT_COORDINATOR);
        if (err == ERR_NOMEM)
            load_later(slot);
    }
    mutex_unlock(&slot->lock);
}

static void
run_load(struct pool_work *work)
{
    struct load_job *job = CONTAINER_OF(work, struct load_job, work);
    struct replica_partition_state state;
    enum err err = ERR_OK;
    size_t len;

    replica_partition_get_state(job->part, &state);
    int64_t offset = state.log_start_offset;
    for (;;) {
        err = load_read(job, offset, &len);
        if (err != ERR_OK)
            break;
        if (len == 0) {
            if (load_finish(job, offset))
                break;
            continue;
        }
        err = load_apply(job, len, &offset);
        if (err != ERR_OK)
            break;
    }
    if (err != ERR_OK)
        load_fail(job, err);
    mutex_lock(&job->slot->lock);
    list_remove(&job->link);
    mutex_unlock(&job->slot->lock);
    job_free(job);
}

/* The slot has a partition and an unloaded shard. */
static void
start_load(struct coord_slot *slot)
{
    mutex_assert_held(&slot->lock);
    ASSERT(slot->part != NULL);
    ASSERT(coord_shard_state(slot->shard) == COORD_SHARD_UNLOADED);
    struct load_job *job = mem_calloc(1, sizeof *job);
    if (job == NULL || coord_shard_load_begin(slot->shard, slot->leader_epoch) != ERR_OK) {
        mem_free(job);
        load_later(slot);
        return;
    }
    job->chunk = mem_alloc(LOAD_CHUNK_BYTES);
    job->capacity = job->chunk == NULL ? 0 : LOAD_CHUNK_BYTES;
    job->slot = slot;
    job->term = ++slot->term;
    job->part = slot->part;
    replica_partition_ref(job->part);
    list_init(&job->work.link);
    job->work.run = run_load;
    atomic_store(&slot->loading, true);
    list_push(&slot->jobs, &job->link);
    pool_submit(slot->coord->opts.pool, &job->work);
}

/* ---- slots ---- */

static struct coord_slot *
slot_get(struct broker_coord *coord, int32_t index)
{
    if (index < 0 || index >= SLOTS_MAX)
        return NULL;
    return atomic_load_explicit(&coord->slots[index], memory_order_acquire);
}

/* Stopped, or never to be stopped because its process died: then nobody is answered. */
static void
slot_free(struct coord_slot *slot)
{
    if (slot == NULL)
        return;
    ASSERT(slot->part == NULL);
    loop_timer_stop(&slot->timer);
    coord_shard_free(&slot->shard);
    mutex_fini(&slot->lock);
    mem_free(slot);
}

static struct coord_slot *
slot_new(struct broker_coord *coord, int32_t index)
{
    struct coord_slot *slot = mem_calloc(1, sizeof *slot);
    struct coord_shard_opts opts = {.index = index,
        .batch_size_max = (size_t)coord->opts.batch_size_max,
        .write_timeout_ms = coord->opts.write_timeout_ms,
        .clean_growth_min = coord->opts.clean_growth_min,
        .machine = &coord_group_machine,
        .machine_ctx = &coord->opts.group,
        .log = &log_ops,
        .log_ctx = slot};

    if (slot == NULL)
        return NULL;
    slot->coord = coord;
    slot->index = index;
    slot->leader_epoch = -1;
    slot->armed_ms = slot->reload_ms = INT64_MAX;
    slot->loop = coord->opts.loops[index % coord->opts.loop_count];
    list_init(&slot->jobs);
    mutex_init(&slot->lock, MUTEX_RANK_COORD_SHARD);
    replica_waiter_init(&slot->waiter, REPLICA_WATERMARK_HW, 0, waiter_done);
    loop_task_init(&slot->woken, run_woken);
    loop_task_init(&slot->flush, run_flush);
    loop_task_init(&slot->retime, run_retime);
    loop_timer_init(&slot->timer, slot->loop, run_timer);
    if (coord_shard_new(&opts, &slot->shard) != ERR_OK) {
        slot_free(slot);
        return NULL;
    }
    return slot;
}

/* Led and resigned come one at a time for one partition, so nobody else makes this slot. */
static struct coord_slot *
slot_make(struct broker_coord *coord, int32_t index)
{
    struct coord_slot *slot = slot_get(coord, index), *expected = NULL;
    if (slot != NULL || index < 0 || index >= SLOTS_MAX)
        return slot;
    slot = slot_new(coord, index);
    if (slot == NULL)
        return NULL;
    if (atomic_compare_exchange_strong(&coord->slots[index], &expected, slot))
        return slot;
    slot_free(slot);
    return expected;
}

/* Lets go of the partition; the shard answers everybody. */
static void
slot_drop(struct coord_slot *slot)
{
    mutex_assert_held(&slot->lock);
    coord_shard_unload(slot->shard, PROTO_ERROR_NOT_COORDINATOR);
    atomic_store(&slot->loading, false);
    slot->reload_ms = INT64_MAX;
    slot->term++;
    if (slot->part == NULL)
        return;
    if (slot->waiting && replica_partition_cancel(slot->part, &slot->waiter))
        slot->waiting = false;
    replica_partition_unref(&slot->part);
}

enum err
broker_coord_new(const struct broker_coord_opts *opts, struct broker_coord **out)
{
    ASSERT(opts->loop_count > 0);
    ASSERT(opts->batch_size_max > 0);
    struct broker_coord *coord = mem_calloc(1, sizeof *coord);
    if (coord == NULL)
        return ERR_NOMEM;
    coord->opts = *opts;
    *out = coord;
    return ERR_OK;
}

void
broker_coord_stop(struct broker_coord *coord)
{
    atomic_store(&coord->stopped, true);
    for (int32_t i = 0; i < SLOTS_MAX; i++) {
        struct coord_slot *slot = slot_get(coord, i);
        if (slot == NULL)
            continue;
        mutex_lock(&slot->lock);
        slot->stopped = true;
        flush(slot);
        slot_drop(slot);
        mutex_unlock(&slot->lock);
    }
}

void
broker_coord_free(struct broker_coord **coord)
{
    if (*coord == NULL)
        return;
    for (int32_t i = 0; i < SLOTS_MAX; i++)
        slot_free(slot_get(*coord, i));
    mem_free(*coord);
    *coord = NULL;
}

void
broker_coord_led(void *ctx, struct replica_partition *part, int32_t leader_epoch)
{
    struct broker_coord *coord = ctx;
    if (!str_eq_z(replica_partition_topic(part), OFFSETS_TOPIC) || atomic_load(&coord->stopped))
        return;
    struct coord_slot *slot = slot_make(coord, replica_partition_index(part));
    if (slot == NULL) {
        diag_event(env_diag(coord->opts.env), DIAG_ERROR, "coord", "shard_refused",
            DIAG_I64("partition", replica_partition_index(part)));
        return;
    }
    mutex_lock(&slot->lock);
    slot_drop(slot);
    if (!slot->stopped) {
        replica_partition_ref(part);
        slot->part = part;
        slot->leader_epoch = leader_epoch;
        start_load(slot);
    }
    mutex_unlock(&slot->lock);
}

void
broker_coord_resigned(void *ctx, struct replica_partition *part)
{
    struct broker_coord *coord = ctx;
    if (!str_eq_z(replica_partition_topic(part), OFFSETS_TOPIC))
        return;
    struct coord_slot *slot = slot_get(coord, replica_partition_index(part));
    if (slot == NULL)
        return;
    mutex_lock(&slot->lock);
    if (slot->part == part)
        slot_drop(slot);
    mutex_unlock(&slot->lock);
}

static void
topic_deleted(struct broker_coord *coord, const struct meta_topic *topic)
{
    for (int32_t i = 0; i < SLOTS_MAX; i++) {
        struct coord_slot *slot = slot_get(coord, i);
        if (slot == NULL)
            continue;
        mutex_lock(&slot->lock);
        bool more = coord_shard_ready(slot->shard) == PROTO_ERROR_NONE;
        while (more) {
            int64_t written = coord_shard_last_written(slot->shard);
            enter(slot);
            more = !coord_group_topic_deleted(slot->shard, topic->name, topic->id);
            after(slot);
            /* Without progress there is no memory, or no leader: expiry will find the rest. */
            more = more && coord_shard_ready(slot->shard) == PROTO_ERROR_NONE &&
                   coord_shard_last_written(slot->shard) > written;
        }
        mutex_unlock(&slot->lock);
    }
}

void
broker_coord_apply(struct broker_coord *coord, const struct meta_delta *delta)
{
    for (int32_t i = 0; i < delta->topic_count; i++) {
        if (delta->topics[i].after == NULL && delta->topics[i].before != NULL)
            topic_deleted(coord, delta->topics[i].before);
    }
}

void
broker_coord_end_txn(struct broker_coord *coord, struct replica_partition *part, int64_t offset,
    int64_t producer_id, bool committed)
{
    struct coord_slot *slot = slot_get(coord, replica_partition_index(part));
    if (slot == NULL || !str_eq_z(replica_partition_topic(part), OFFSETS_TOPIC))
        return;
    mutex_lock(&slot->lock);
    /* A shard that is loading will meet the marker in the log. */
    if (slot->part == part && coord_shard_ready(slot->shard) == PROTO_ERROR_NONE) {
        enter(slot);
        coord_runtime_end_txn(slot->shard, offset, producer_id, committed);
        after(slot);
    }
    mutex_unlock(&slot->lock);
}

/* ---- for handlers ---- */

int32_t
broker_coord_partition_of(const struct meta_image *image, struct str group_id)
{
    const struct meta_topic *topic = meta_image_topic(image, STR(OFFSETS_TOPIC));
    if (topic == NULL || topic->partition_count <= 0)
        return -1;
    return hash_coordinator_partition(group_id, topic->partition_count);
}

enum proto_error
broker_coord_lock_index(struct broker_req *req, int32_t index, struct coord_shard **shard)
{
    struct broker_coord *coord = broker_coord(req->broker);
    if (coord == NULL || atomic_load(&coord->stopped))
        return PROTO_ERROR_COORDINATOR_NOT_AVAILABLE;
    struct coord_slot *slot = slot_get(coord, index);
    if (slot == NULL)
        return PROTO_ERROR_NOT_COORDINATOR;
    if (atomic_load(&slot->loading))
        return PROTO_ERROR_COORDINATOR_LOAD_IN_PROGRESS;
    mutex_lock(&slot->lock);
    enum proto_error err = coord_shard_ready(slot->shard);
    if (err != PROTO_ERROR_NONE) {
        mutex_unlock(&slot->lock);
        return err;
    }
    enter(slot);
    *shard = slot->shard;
    return PROTO_ERROR_NONE;
}

enum proto_error
broker_coord_lock_group(struct broker_req *req, struct str group_id, struct coord_shard **shard)
{
    return broker_coord_lock_index(req, broker_coord_partition_of(req->image, group_id), shard);
}

void
broker_coord_unlock(struct broker_req *req, struct coord_shard *shard)
{
    struct coord_slot *slot = slot_get(broker_coord(req->broker), coord_shard_index(shard));
    ASSERT(slot != NULL && slot->shard == shard);
    mutex_assert_held(&slot->lock);
    if (coord_shard_needs_flush(shard)) {
        if (!slot->flush_queued) {
            slot->flush_queued = true;
            loop_defer(req->loop, &slot->flush);
        }
    } else {
        follow_watermark(slot);
    }
    follow_deadline(slot);
    mutex_unlock(&slot->lock);
}

void
broker_coord_each(
    struct broker_coord *coord, void (*fn)(void *ctx, const struct coord_shard *shard), void *ctx)
{
    for (int32_t i = 0; i < SLOTS_MAX; i++) {
        struct coord_slot *slot = slot_get(coord, i);
        if (slot == NULL)
            continue;
        mutex_lock(&slot->lock);
        fn(ctx, slot->shard);
        mutex_unlock(&slot->lock);
    }
}

int32_t
broker_coord_shard_count(const struct broker_coord *coord)
{
    (void)coord;
    return SLOTS_MAX;
}

const struct broker_coord_opts *
broker_coord_options(const struct broker_coord *coord)
{
    return &coord->opts;
}

struct coord_group_caller
broker_coord_caller(struct broker_req *req)
{
    return (struct coord_group_caller){
        .client_id = req->client_id.data == NULL ? STR("") : req->client_id,
        .client_host = arena_printf(req->arena, "/%s", req->peer->host),
        .version = req->version,
    };
}
