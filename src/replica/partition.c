/* replica/partition.c - a partition's life, its role, its high watermark and who waits for it.
 *
 * States: NONE -> LEADER <-> FOLLOWER by set_role; out of service (log NULL) by take_down, for
 * good. Invariants: I1 high_watermark <= log end; I2 with log.ack.flush the high watermark moves
 * only to what is flushed (the checkpointed one is where it starts); I3 high_watermark never moves
 * back while a role lasts; I4 only a leader has waiters; I5 a waiter is in a list exactly while
 * `armed`. Threads: any, under the mutex; waiters are called after it is dropped. Errors: Kafka's
 * codes for callers; a failed write or flush takes the partition out of service. */
#include "replica/partition.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "replica/partition_priv.h"

/* ---- life ---- */

enum err
replica_partition_new(const struct replica_partition_opts *opts, struct replica_partition **out)
{
    struct replica_partition *part = mem_calloc(1, sizeof *part + opts->topic.len + 1);
    char *name;

    if (part == NULL)
        return ERR_NOMEM;
    name = (char *)(part + 1);
    memcpy(name, opts->topic.data, opts->topic.len);
    part->shared = opts->shared;
    part->topic = (struct str){name, opts->topic.len};
    part->topic_id = opts->topic_id;
    part->index = opts->index;
    part->log = opts->log;
    part->offline = opts->log == NULL;
    part->leader_id = -1;
    part->leader_epoch = -1;
    part->isr_min = 1;
    part->cleanup_delete = true;
    atomic_init(&part->refs, 1);
    mutex_init(&part->mutex, MUTEX_RANK_PARTITION);
    for (int i = 0; i < REPLICA_WATERMARK_COUNT; i++)
        list_init(&part->waiters[i]);
    replica_flush_init(part);
    if (part->log != NULL) {
        part->high_watermark = log_high_watermark(part->log);
        part->flushed_offset = log_durable_offset(part->log);
    }
    *out = part;
    return ERR_OK;
}

void
replica_partition_ref(struct replica_partition *part)
{
    int before = atomic_fetch_add_explicit(&part->refs, 1, memory_order_relaxed);

    ASSERT(before > 0);
}

void
replica_partition_unref(struct replica_partition **part_ref)
{
    struct replica_partition *part = *part_ref;
    int before;

    if (part == NULL)
        return;
    *part_ref = NULL;
    before = atomic_fetch_sub_explicit(&part->refs, 1, memory_order_acq_rel);
    ASSERT(before > 0);
    if (before > 1)
        return;
    for (int i = 0; i < REPLICA_WATERMARK_COUNT; i++)
        ASSERT(list_empty(&part->waiters[i]));
    ASSERT(part->flush_state == REPLICA_FLUSH_CLEAN);
    mutex_fini(&part->mutex);
    mem_free(part->followers);
    mem_free(part);
}

struct str
replica_partition_topic(const struct replica_partition *part)
{
    return part->topic;
}

struct uuid
replica_partition_topic_id(const struct replica_partition *part)
{
    return part->topic_id;
}

int32_t
replica_partition_index(const struct replica_partition *part)
{
    return part->index;
}

/* ---- what it is now ---- */

void
replica_partition_get_state(struct replica_partition *part, struct replica_partition_state *out)
{
    mutex_lock(&part->mutex);
    *out = (struct replica_partition_state){
        .leader = part->role == REPLICA_ROLE_LEADER,
        .offline = part->offline,
        .leader_id = part->leader_id,
        .leader_epoch = part->leader_epoch,
        .isr_count = part->isr_count,
        .high_watermark = part->high_watermark,
    };
    if (part->log != NULL) {
        out->unflushed = out->leader && replica_flush_hides(part);
        out->log_start_offset = log_start_offset(part->log);
        out->last_stable_offset = log_last_stable_offset(part->log);
        out->log_end_offset = log_end_offset(part->log);
        out->size_bytes = log_size_bytes(part->log);
        out->dir_id = log_parent_dir_id(part->log);
    }
    mutex_unlock(&part->mutex);
}

static uint64_t
get(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

void
replica_traffic_add(struct replica_traffic *sum, const struct replica_traffic *more)
{
    sum->produces += more->produces;
    sum->produces_failed += more->produces_failed;
    sum->messages_in += more->messages_in;
    sum->bytes_in += more->bytes_in;
    sum->bytes_rejected += more->bytes_rejected;
    sum->crc_rejected += more->crc_rejected;
    sum->fetches += more->fetches;
    sum->fetches_failed += more->fetches_failed;
    sum->bytes_out += more->bytes_out;
    sum->replicas_bytes_in += more->replicas_bytes_in;
    sum->replicas_bytes_out += more->replicas_bytes_out;
}

void
replica_partition_get_metrics(struct replica_partition *part, struct replica_partition_metrics *out)
{
    replica_partition_get_state(part, &out->state);
    mutex_lock(&part->mutex);
    out->isr_min = replica_partition_isr_min(part);
    out->segments = part->log != NULL ? log_segment_count(part->log) : 0;
    out->producers = part->log != NULL ? log_producer_count(part->log) : 0;
    out->traffic = part->traffic;
    mutex_unlock(&part->mutex);
    out->traffic.fetches = get(&part->fetches);
    out->traffic.fetches_failed = get(&part->fetches_failed);
    out->traffic.bytes_out = get(&part->bytes_out);
    out->traffic.replicas_bytes_out = get(&part->replicas_bytes_out);
}

static bool
is_failed_fetch(enum proto_error error)
{
    switch ((int)error) {
    case PROTO_ERROR_NONE:
    case PROTO_ERROR_UNKNOWN_TOPIC_OR_PARTITION:
    case PROTO_ERROR_NOT_LEADER_OR_FOLLOWER:
    case PROTO_ERROR_UNKNOWN_LEADER_EPOCH:
    case PROTO_ERROR_FENCED_LEADER_EPOCH:
    case PROTO_ERROR_REPLICA_NOT_AVAILABLE:
    case PROTO_ERROR_KAFKA_STORAGE_ERROR:
    case PROTO_ERROR_INCONSISTENT_TOPIC_ID:
    case PROTO_ERROR_OFFSET_OUT_OF_RANGE: return false;
    default: return true;
    }
}

void
replica_partition_note_fetch(
    struct replica_partition *part, size_t bytes, bool follower, enum proto_error error)
{
    _Atomic uint64_t *out = follower ? &part->replicas_bytes_out : &part->bytes_out;

    atomic_fetch_add_explicit(&part->fetches, 1, memory_order_relaxed);
    if (is_failed_fetch(error))
        atomic_fetch_add_explicit(&part->fetches_failed, 1, memory_order_relaxed);
    if (error == PROTO_ERROR_NONE && bytes > 0)
        atomic_fetch_add_explicit(out, bytes, memory_order_relaxed);
}

enum proto_error
replica_partition_check(
    const struct replica_partition *part, int32_t leader_epoch, bool leader_only)
{
    mutex_assert_held(&part->mutex);
    if (part->offline)
        return PROTO_ERROR_KAFKA_STORAGE_ERROR;
    if (part->deleted)
        return PROTO_ERROR_UNKNOWN_TOPIC_OR_PARTITION;
    if (part->log == NULL)
        return PROTO_ERROR_NOT_LEADER_OR_FOLLOWER;
    if (leader_epoch >= 0 && leader_epoch < part->leader_epoch)
        return PROTO_ERROR_FENCED_LEADER_EPOCH;
    if (leader_epoch >= 0 && leader_epoch > part->leader_epoch)
        return PROTO_ERROR_UNKNOWN_LEADER_EPOCH;
    if (leader_only && part->role != REPLICA_ROLE_LEADER)
        return PROTO_ERROR_NOT_LEADER_OR_FOLLOWER;
    return PROTO_ERROR_NONE;
}

static int64_t
watermark(const struct replica_partition *part, enum replica_watermark which)
{
    switch (which) {
    case REPLICA_WATERMARK_HW: return part->high_watermark;
    case REPLICA_WATERMARK_LSO: return log_last_stable_offset(part->log);
    case REPLICA_WATERMARK_LEO: return log_end_offset(part->log);
    }
    UNREACHABLE();
}

/* ---- waiting ---- */

void
replica_waiter_init(struct replica_waiter *waiter, enum replica_watermark which, int64_t offset,
    void (*done)(struct replica_waiter *waiter, enum replica_wake why))
{
    list_init(&waiter->link);
    waiter->watermark = which;
    waiter->offset = offset;
    waiter->done = done;
    waiter->armed = false;
}

bool
replica_partition_wait(struct replica_partition *part, int32_t leader_epoch,
    struct replica_waiter *waiter, enum replica_wake *why)
{
    bool armed = false;

    ASSERT(waiter->done != NULL);
    ASSERT(!waiter->armed);
    mutex_lock(&part->mutex);
    if (part->offline) {
        *why = REPLICA_WAKE_FAILED;
    } else if (part->log == NULL || part->role != REPLICA_ROLE_LEADER ||
               (leader_epoch >= 0 && leader_epoch != part->leader_epoch)) {
        *why = REPLICA_WAKE_RESIGNED;
    } else if (watermark(part, waiter->watermark) >= waiter->offset) {
        *why = REPLICA_WAKE_REACHED;
    } else if (atomic_load(&part->shared->closing) &&
               waiter->offset > log_end_offset(part->log)) { /* not only to be flushed */
        *why = REPLICA_WAKE_RESIGNED;
    } else {
        waiter->armed = true;
        list_push(&part->waiters[waiter->watermark], &waiter->link);
        armed = true;
        if (waiter->watermark != REPLICA_WATERMARK_LEO)
            replica_flush_demand(part);
    }
    mutex_unlock(&part->mutex);
    return armed;
}

bool
replica_partition_cancel(struct replica_partition *part, struct replica_waiter *waiter)
{
    bool armed;

    mutex_lock(&part->mutex);
    armed = waiter->armed;
    if (armed) {
        waiter->armed = false;
        list_remove(&waiter->link);
    }
    mutex_unlock(&part->mutex);
    return armed;
}

/* Takes the waiters for offsets from..to. */
static void
collect(struct replica_partition *part, enum replica_watermark which, int64_t from, int64_t to,
    struct list *woken)
{
    LIST_FOREACH (&part->waiters[which], node) {
        struct replica_waiter *waiter = LIST_ENTRY(node, struct replica_waiter, link);
        if (waiter->offset < from || waiter->offset > to)
            continue;
        list_remove(node);
        list_push(woken, node);
        waiter->armed = false;
    }
}

static void
collect_reached(struct replica_partition *part, enum replica_watermark which, struct list *woken)
{
    if (!list_empty(&part->waiters[which]))
        collect(part, which, INT64_MIN, watermark(part, which), woken);
}

static void
collect_above(struct replica_partition *part, int64_t offset, struct list *woken)
{
    for (int i = 0; i < REPLICA_WATERMARK_COUNT; i++)
        collect(part, (enum replica_watermark)i, offset, INT64_MAX, woken);
}

static void
collect_all(struct replica_partition *part, struct list *woken)
{
    collect_above(part, INT64_MIN, woken);
}

void
replica_partition_release_readers(struct replica_partition *part)
{
    struct list woken;
    list_init(&woken);
    mutex_lock(&part->mutex);
    if (part->log != NULL)
        collect_above(part, log_end_offset(part->log) + 1, &woken);
    mutex_unlock(&part->mutex);
    replica_waiters_fire(&woken, REPLICA_WAKE_RESIGNED);
}

void
replica_waiters_fire(struct list *woken, enum replica_wake why)
{
    for (struct list *node = list_pop(woken); node != NULL; node = list_pop(woken)) {
        struct replica_waiter *waiter = LIST_ENTRY(node, struct replica_waiter, link);
        waiter->done(waiter, why);
    }
}

/* ---- the high watermark ---- */

/* What every in-sync replica has, flushed where that is the rule. */
static int64_t
hw_candidate(const struct replica_partition *part)
{
    int64_t end = log_end_offset(part->log);
    int64_t least = part->shared->flush.ack_flush ? part->flushed_offset : end;

    for (int32_t i = 0; i < part->follower_count; i++) {
        const struct replica_follower *follower = &part->followers[i];
        if (follower->in_sync && follower->flushed_offset < least)
            least = follower->flushed_offset;
    }
    return least < end ? least : end;
}

void
replica_partition_advance(struct replica_partition *part, struct list *woken)
{
    int64_t candidate;

    mutex_assert_held(&part->mutex);
    if (part->log == NULL || part->role != REPLICA_ROLE_LEADER)
        return;
    collect_reached(part, REPLICA_WATERMARK_LEO, woken);
    candidate = hw_candidate(part);
    if (candidate <= part->high_watermark)
        return;
    part->high_watermark = candidate;
    log_set_high_watermark(part->log, candidate);
    ASSERT(candidate <= log_end_offset(part->log));
    ASSERT(!part->shared->flush.ack_flush || candidate <= part->flushed_offset);
    collect_reached(part, REPLICA_WATERMARK_HW, woken);
    collect_reached(part, REPLICA_WATERMARK_LSO, woken);
}

/* ---- roles ---- */

/* The node begins to lead, or leads under a new epoch. */
static enum err
begin_leading(struct replica_partition *part, int32_t leader_epoch)
{
    part->epoch_start_offset = log_end_offset(part->log);
    return log_epoch_assign(part->log, leader_epoch, part->epoch_start_offset);
}

/* What recovery found may not be on stable storage yet: the high watermark waits for that. */
static void
settle_leading(struct replica_partition *part, struct list *reached)
{
    replica_flush_demand(part);
    replica_partition_advance(part, reached);
}

/* Lock held, log there, epoch not below. */
static enum err
change_role(struct replica_partition *part, const struct replica_partition_role *role,
    struct list *ended, enum replica_role_change *change)
{
    bool leads = role->leader_id == part->shared->node_id;
    enum replica_role now = leads ? REPLICA_ROLE_LEADER : REPLICA_ROLE_FOLLOWER;
    enum err err = ERR_OK;

    if (now != part->role || role->leader_epoch != part->leader_epoch) {
        collect_all(part, ended);
        if (leads)
            *change = REPLICA_ROLE_LED;
        else if (part->role == REPLICA_ROLE_LEADER)
            *change = REPLICA_ROLE_RESIGNED;
        if (leads)
            err = begin_leading(part, role->leader_epoch);
    }
    if (leads && part->role == REPLICA_ROLE_LEADER && role->isr_count != part->isr_count)
        atomic_fetch_add_explicit(role->isr_count < part->isr_count ? &part->shared->isr_shrinks
                                                                    : &part->shared->isr_expands,
            1, memory_order_relaxed);
    part->role = now;
    part->leader_id = role->leader_id;
    part->leader_epoch = role->leader_epoch;
    part->isr_count = role->isr_count;
    part->isr_min = role->isr_min;
    part->replica_count = role->replica_count;
    return err;
}

enum replica_role_change
replica_partition_set_role(
    struct replica_partition *part, const struct replica_partition_role *role)
{
    struct list ended, reached;
    enum replica_role_change change = REPLICA_ROLE_KEPT;
    enum err err = ERR_OK;

    list_init(&ended);
    list_init(&reached);
    mutex_lock(&part->mutex);
    if (part->log != NULL && role->leader_epoch >= part->leader_epoch) {
        err = change_role(part, role, &ended, &change);
        if (err != ERR_OK)
            replica_partition_down(part, REPLICA_WAKE_FAILED, &ended);
        else if (part->role == REPLICA_ROLE_LEADER)
            settle_leading(part, &reached);
    }
    mutex_unlock(&part->mutex);
    replica_waiters_fire(&ended, REPLICA_WAKE_RESIGNED);
    replica_waiters_fire(&reached, REPLICA_WAKE_REACHED);
    if (err != ERR_OK) {
        replica_partition_report(part, err);
        change = REPLICA_ROLE_RESIGNED;
    }
    return change;
}

int32_t
replica_partition_isr_min(const struct replica_partition *part)
{
    mutex_assert_held(&part->mutex);
    return part->replica_count < part->isr_min ? part->replica_count : part->isr_min;
}

void
replica_partition_set_config(
    struct replica_partition *part, const struct log_config *config, int32_t isr_min)
{
    mutex_lock(&part->mutex);
    part->isr_min = isr_min;
    part->cleanup_delete = config->cleanup_delete;
    part->flush_timed = config->flush_ms != INT64_MAX;
    if (part->log != NULL)
        log_set_config(part->log, config);
    mutex_unlock(&part->mutex);
}

/* ---- out of service ---- */

struct log *
replica_partition_down(struct replica_partition *part, enum replica_wake why, struct list *woken)
{
    struct log *log = part->log;

    mutex_assert_held(&part->mutex);
    ASSERT(why != REPLICA_WAKE_REACHED);
    part->log = NULL;
    part->offline = part->offline || why == REPLICA_WAKE_FAILED;
    part->deleted = part->deleted || why == REPLICA_WAKE_DELETED;
    part->role = REPLICA_ROLE_NONE;
    collect_all(part, woken);
    return log;
}

struct log *
replica_partition_take_down(struct replica_partition *part, enum replica_wake why)
{
    struct list woken;
    struct log *log;

    list_init(&woken);
    mutex_lock(&part->mutex);
    log = replica_partition_down(part, why, &woken);
    mutex_unlock(&part->mutex);
    replica_waiters_fire(&woken, why);
    return log;
}

void
replica_partition_resign(struct replica_partition *part)
{
    struct list woken;

    list_init(&woken);
    mutex_lock(&part->mutex);
    part->role = REPLICA_ROLE_NONE;
    collect_all(part, &woken);
    mutex_unlock(&part->mutex);
    replica_waiters_fire(&woken, REPLICA_WAKE_RESIGNED);
}

void
replica_partition_report(struct replica_partition *part, enum err err)
{
    /* What took its directory out of service was said once; there may be thousands in it. */
    diag_event(env_diag(part->shared->env), err == ERR_FAILED ? DIAG_DEBUG : DIAG_ERROR, "replica",
        "partition_failed", DIAG_STR("topic", part->topic), DIAG_I64("partition", part->index),
        DIAG_ERR("cause", err));
    if (part->shared->failed != NULL)
        part->shared->failed(part->shared->ctx, part, err);
}
