/* replica/flush.c - one flush of a log at a time, each covering everything appended before it.
 *
 * States: CLEAN -> RUNNING -> CLEAN, or RUNNING -> BEHIND -> RUNNING. Invariants: I1 flush_work is
 * submitted exactly in RUNNING and BEHIND; I2 a submitted flush holds a reference on its partition;
 * I3 flushed_offset moves only after a flush that succeeded, to where it began.
 * Threads: request under the partition's lock, the rest on the I/O pool. Errors: a failed flush is
 * never retried; the partition fails. */
#include "replica/flush.h"

#include "base/assert.h"
#include "replica/partition_priv.h"

static void
flush_submit(struct replica_partition *part)
{
    part->flush_state = REPLICA_FLUSH_RUNNING;
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
               env_now_ms(part->shared->env) - part->flush_began_ms >= REPLICA_FLUSH_LAZY_MS;
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

/* One round, lock held at both ends. On failure the partition is down before the lock is dropped: a
 * second flush might succeed although the kernel has thrown the dirty pages away. */
static enum err
flush_round(struct replica_partition *part)
{
    struct log *log = part->log;
    int64_t began_ns, took_ns;
    enum err err;

    if (log == NULL)
        return ERR_OK;
    err = log_flush_begin(log, &part->flush);
    if (err == ERR_NOMEM) { /* nothing is in doubt: try again when there may be memory */
        part->flush_state = REPLICA_FLUSH_BEHIND;
        return ERR_OK;
    }
    if (err != ERR_OK)
        return err;
    mutex_unlock(&part->mutex);
    began_ns = env_now_ns(part->shared->env);
    err = log_flush_run(&part->flush);
    took_ns = env_now_ns(part->shared->env) - began_ns;
    histogram_add_shared(&part->shared->flush.times, took_ns > 0 ? (uint64_t)took_ns / 1000 : 0);
    mutex_lock(&part->mutex);
    if (part->log == NULL) {
        log_flush_abandon(&part->flush);
        return ERR_OK;
    }
    err = log_flush_end(log, &part->flush, err);
    if (err == ERR_OK)
        part->flushed_offset = log_recovery_point(log);
    return err;
}

static void
flush_run(struct pool_work *work)
{
    struct replica_partition *part = CONTAINER_OF(work, struct replica_partition, flush_work);
    struct replica_flush_service *service = &part->shared->flush;
    struct list woken;
    enum err err;
    bool again;

    list_init(&woken);
    mutex_lock(&part->mutex);
    part->flush_state = REPLICA_FLUSH_RUNNING; /* appends until here are covered by this round */
    part->flush_began_ms = env_now_ms(part->shared->env);
    err = flush_round(part);
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

void
replica_flush_init(struct replica_partition *part)
{
    part->flush_state = REPLICA_FLUSH_CLEAN;
    list_init(&part->flush_work.link);
    part->flush_work.run = flush_run;
}
