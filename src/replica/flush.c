/* replica/flush.c - one flush of a log at a time, each covering everything appended before it.
 *
 * A flush goes to the directory's journal together with those of other logs (log/journal.h) when it
 * is small, else to the segments. One that the journal refuses begins again at the segments. When a
 * lap of the journal ends, walkers flush what it holds to the segments, a few partitions at a time:
 * the others go on with the journal meanwhile, and the pool's queue stays short.
 *
 * States: CLEAN -> RUNNING -> CLEAN, or RUNNING -> BEHIND -> RUNNING. Invariants: I1 flush_work is
 * submitted, or the ticket, or a walker at it, exactly in RUNNING and BEHIND; I2 a submitted flush,
 * and one that waits for a walker, holds a reference on its partition; I3 flushed_offset moves only
 * after a flush that succeeded, to where it began. Threads: request under the partition's lock, the
 * rest on the I/O pool. Errors: a failed flush is never retried; the partition fails. */
#include "replica/flush.h"

#include "base/assert.h"
#include "replica/partition_priv.h"

static void
flush_submit(struct replica_partition *part)
{
    part->flush_state = REPLICA_FLUSH_RUNNING;
    if (!part->flush_segments && log_flush_may_journal(part->log))
        log_journal_submit(log_journal_of(part->log), &part->flush_ticket);
    else
        pool_submit(part->shared->flush.pool, &part->flush_work);
}

void
replica_flush_request(struct replica_partition *part)
{
    mutex_assert_held(&part->mutex);
    ASSERT(part->log != NULL);
    if (part->flush_state != REPLICA_FLUSH_CLEAN) {
        part->flush_state = REPLICA_FLUSH_BEHIND;
        return;
    }
    replica_partition_ref(part);
    flush_submit(part);
}

static bool
somebody_waits(const struct replica_partition *part)
{
    return !list_empty(&part->waiters[REPLICA_WATERMARK_HW]) ||
           !list_empty(&part->waiters[REPLICA_WATERMARK_LSO]);
}

void
replica_flush_appended(struct replica_partition *part, bool wanted)
{
    bool soon = false;

    mutex_assert_held(&part->mutex);
    if (part->shared->flush.ack_flush)
        soon = wanted || somebody_waits(part) ||
               env_now_ns(part->shared->env) - part->flush_began_ns >=
                   REPLICA_FLUSH_LAZY_MS * INT64_C(1000000);
    if (soon || log_flush_due(part->log))
        replica_flush_request(part);
    else if (part->shared->flush.ack_flush || part->flush_timed)
        atomic_store_explicit(&part->shared->flush.owed, true, memory_order_relaxed);
}

void
replica_flush_demand(struct replica_partition *part)
{
    int64_t end = log_end_offset(part->log);

    mutex_assert_held(&part->mutex);
    if (!part->shared->flush.ack_flush || part->flushed_offset >= end)
        return;
    if (part->flush_state == REPLICA_FLUSH_CLEAN || part->flush.offset < end)
        replica_flush_request(part);
}

bool
replica_flush_hides(const struct replica_partition *part)
{
    return part->isr_count <= 1 && part->high_watermark < log_end_offset(part->log);
}

/* Lock held. True when the flush goes on in another round, which keeps the reference. */
static bool
flush_settle(struct replica_partition *part)
{
    bool behind = part->flush_state == REPLICA_FLUSH_BEHIND && part->log != NULL;

    ASSERT(part->flush_state != REPLICA_FLUSH_CLEAN);
    if (behind)
        flush_submit(part);
    else
        part->flush_state = REPLICA_FLUSH_CLEAN;
    return behind;
}

static void
count_time(struct replica_partition *part)
{
    int64_t took_ns = env_now_ns(part->shared->env) - part->flush_began_ns;

    histogram_add_shared(&part->shared->flush.times, took_ns > 0 ? (uint64_t)took_ns / 1000 : 0);
}

/* Nothing is in doubt; a duty asks again, when there may be some. */
static enum err
without_descriptors(struct replica_partition *part)
{
    atomic_store_explicit(&part->shared->flush.owed, true, memory_order_relaxed);
    return ERR_OK;
}

/* One round, lock held at both ends. On failure the partition is down before the lock is dropped: a
 * second flush might succeed although the kernel has thrown the dirty pages away. */
static enum err
flush_round(struct replica_partition *part)
{
    struct log *log = part->log;
    enum err err;

    if (log == NULL)
        return ERR_OK;
    part->flush_segments = false;
    err = log_flush_begin(log, &part->flush);
    if (err == ERR_NOMEM) { /* nothing is in doubt: try again when there may be memory */
        part->flush_state = REPLICA_FLUSH_BEHIND;
        return ERR_OK;
    }
    if (err == ERR_LIMIT)
        return without_descriptors(part);
    if (err != ERR_OK)
        return err;
    mutex_unlock(&part->mutex);
    err = log_flush_run(&part->flush);
    count_time(part);
    mutex_lock(&part->mutex);
    if (part->log == NULL) {
        log_flush_abandon(&part->flush);
        return ERR_OK;
    }
    err = log_flush_end(log, &part->flush, err);
    if (err == ERR_LIMIT)
        return without_descriptors(part);
    if (err == ERR_OK)
        part->flushed_offset = log_durable_offset(log);
    return err;
}

/* What follows from a round, and unlocks. */
static void
flush_conclude(struct replica_partition *part, enum err err)
{
    struct replica_flush_service *service = &part->shared->flush;
    struct list woken;
    bool again;

    list_init(&woken);
    if (err == ERR_OK)
        replica_partition_advance(part, &woken);
    else
        replica_partition_down(part, REPLICA_WAKE_FAILED, &woken);
    again = flush_settle(part);
    mutex_unlock(&part->mutex);

    replica_waiters_fire(&woken, err == ERR_OK ? REPLICA_WAKE_REACHED : REPLICA_WAKE_FAILED);
    atomic_fetch_add_explicit(&service->flushes, 1, memory_order_relaxed);
    if (err != ERR_OK) {
        atomic_fetch_add_explicit(&service->flush_errors, 1, memory_order_relaxed);
        replica_partition_report(part, err);
    }
    if (!again)
        replica_partition_unref(&part);
}

/* A round and what follows. Unlocks, and takes a reference. */
static void
flush_run_locked(struct replica_partition *part)
{
    part->flush_state = REPLICA_FLUSH_RUNNING; /* appends until here are covered by this round */
    part->flush_began_ns = env_now_ns(part->shared->env);
    flush_conclude(part, flush_round(part));
}

static void
flush_run(struct pool_work *work)
{
    struct replica_partition *part = CONTAINER_OF(work, struct replica_partition, flush_work);

    mutex_lock(&part->mutex);
    flush_run_locked(part);
}

/* ---- what the journal's last lap holds ---- */

void
replica_flush_segments(struct replica_partition *part)
{
    struct replica_flush_service *service = &part->shared->flush;
    struct pool_work *work = NULL;

    mutex_assert_held(&part->mutex);
    if (part->log == NULL || !log_needs_journal(part->log))
        return;
    mutex_lock(&service->mutex);
    if (list_empty(&part->flush_link)) {
        replica_partition_ref(part);
        list_push(&service->waiting, &part->flush_link);
        for (int i = 0; i < REPLICA_FLUSH_WALKERS && work == NULL; i++)
            if (!service->walkers[i].walking) {
                service->walkers[i].walking = true;
                work = &service->walkers[i].work;
            }
    }
    mutex_unlock(&service->mutex);
    if (work != NULL)
        pool_submit(service->pool, work);
}

/* One that waits, with its reference; NULL: none, and the walker rests. */
static struct replica_partition *
walker_next(struct replica_flush_walker *walker)
{
    struct replica_flush_service *service = walker->service;
    struct list *node;

    mutex_lock(&service->mutex);
    node = list_pop(&service->waiting);
    walker->walking = node != NULL;
    mutex_unlock(&service->mutex);
    return node != NULL ? LIST_ENTRY(node, struct replica_partition, flush_link) : NULL;
}

static void
walk(struct pool_work *work)
{
    struct replica_flush_walker *walker = CONTAINER_OF(work, struct replica_flush_walker, work);
    struct replica_partition *part = walker_next(walker);

    if (part == NULL)
        return;
    mutex_lock(&part->mutex);
    if (part->log != NULL && log_needs_journal(part->log) &&
        part->flush_state == REPLICA_FLUSH_CLEAN) {
        flush_run_locked(part); /* takes the reference */
    } else {
        if (part->flush_state != REPLICA_FLUSH_CLEAN) {
            part->flush_segments = true; /* its next round, then */
            part->flush_state = REPLICA_FLUSH_BEHIND;
        }
        mutex_unlock(&part->mutex);
        replica_partition_unref(&part);
    }
    pool_submit(walker->service->pool, work); /* behind who waits there */
}

void
replica_flush_service_init(struct replica_flush_service *service, struct pool *pool, bool ack_flush)
{
    service->pool = pool;
    service->ack_flush = ack_flush;
    mutex_init(&service->mutex, MUTEX_RANK_LEAF);
    list_init(&service->waiting);
    for (int i = 0; i < REPLICA_FLUSH_WALKERS; i++) {
        service->walkers[i].service = service;
        list_init(&service->walkers[i].work.link);
        service->walkers[i].work.run = walk;
    }
}

void
replica_flush_service_fini(struct replica_flush_service *service)
{
    ASSERT(list_empty(&service->waiting)); /* the pool has ended */
    mutex_fini(&service->mutex);
}

/* ---- by way of the journal ---- */

static void
ticket_begin(struct log_journal_ticket *ticket, struct buf *out)
{
    struct replica_partition *part = CONTAINER_OF(ticket, struct replica_partition, flush_ticket);
    struct log *log;

    mutex_lock(&part->mutex);
    log = part->log; /* may be gone as soon as the lock is: only the flush is touched then */
    part->flush_state = REPLICA_FLUSH_RUNNING;
    part->flush_began_ns = env_now_ns(part->shared->env);
    part->flush_err = log != NULL ? log_flush_begin_journal(log, &part->flush) : ERR_OK;
    part->flush_collected = log != NULL && part->flush_err == ERR_OK;
    mutex_unlock(&part->mutex);
    if (part->flush_collected)
        part->flush_err = log_flush_collect(&part->flush, part->topic, part->index, out);
}

static void
ticket_end(struct log_journal_ticket *ticket, enum err err, uint64_t lap)
{
    struct replica_partition *part = CONTAINER_OF(ticket, struct replica_partition, flush_ticket);

    mutex_lock(&part->mutex);
    if (part->flush_err != ERR_OK)
        err = part->flush_err;
    if (part->log == NULL) {
        if (part->flush_collected)
            log_flush_abandon(&part->flush);
        err = ERR_OK;
    } else if (part->flush_collected) {
        err = log_flush_end_journal(part->log, &part->flush, err, lap);
        if (err == ERR_OK) {
            part->flushed_offset = log_durable_offset(part->log);
            count_time(part);
        }
    }
    if (err == ERR_LIMIT || err == ERR_NOMEM) { /* the segments, then */
        part->flush_segments = true;
        pool_submit(part->shared->flush.pool, &part->flush_work);
        mutex_unlock(&part->mutex);
        return;
    }
    flush_conclude(part, err);
}

void
replica_flush_init(struct replica_partition *part)
{
    part->flush_state = REPLICA_FLUSH_CLEAN;
    list_init(&part->flush_ticket.link);
    part->flush_ticket.begin = ticket_begin;
    part->flush_ticket.end = ticket_end;
    list_init(&part->flush_work.link);
    part->flush_work.run = flush_run;
    list_init(&part->flush_link);
}
