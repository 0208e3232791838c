/* replica/duties.c - what has to be done for every replica from time to time, on the I/O pool.
 *
 * Each duty takes one partition's lock at a time, so traffic on the others goes on. Threads: pool;
 * a duty at most once at a time (the caller's promise, but for the sweep, which sees to it itself).
 * Errors: a log that failed takes its partition out of service. */
#include "replica/manager.h"

#include "base/assert.h"
#include "base/attr.h"
#include "log/log_manager.h"
#include "replica/manager_priv.h"

/* Runs fn on the log under the lock; a failure of the log takes the partition down. */
static void
with_log(struct replica_partition *part, enum err (*fn)(struct replica_partition *part, void *ctx),
    void *ctx)
{
    struct list woken;
    enum err err = ERR_OK;
    bool down = false;

    list_init(&woken);
    mutex_lock(&part->mutex);
    if (part->log != NULL) {
        err = fn(part, ctx);
        down = log_state(part->log) == LOG_FAILED;
        if (down)
            replica_partition_down(part, REPLICA_WAKE_FAILED, &woken);
    }
    mutex_unlock(&part->mutex);
    replica_waiters_fire(&woken, REPLICA_WAKE_FAILED);
    if (down)
        replica_partition_report(part, err == ERR_OK ? ERR_FAILED : err);
}

/* ---- logs whose directory failed ---- */

static enum err
look(struct replica_partition *part, void *ctx)
{
    (void)part;
    (void)ctx;
    return ERR_OK;
}

static void
sweep_one(void *ctx, struct replica_partition *part)
{
    struct replica_manager *mgr = ctx;

    with_log(part, look, NULL);
    if (atomic_exchange(&part->resigned_untold, false) && mgr->opts.events.resigned != NULL)
        mgr->opts.events.resigned(mgr->opts.events.ctx, part);
}

/* Whoever asks while it runs makes it run again: the failure may be behind where it is. */
static void
sweep_run(struct pool_work *work)
{
    struct replica_manager *mgr = CONTAINER_OF(work, struct replica_manager, sweep_work);
    int asked = atomic_load(&mgr->sweeps_asked);

    ASSERT(asked > 0);
    replica_manager_each(mgr, sweep_one, mgr);
    if (atomic_fetch_sub(&mgr->sweeps_asked, asked) > asked)
        pool_submit(mgr->opts.pool, work);
}

void
replica_sweep_init(struct replica_manager *mgr)
{
    atomic_init(&mgr->sweeps_asked, 0);
    list_init(&mgr->sweep_work.link);
    mgr->sweep_work.run = sweep_run;
}

void
replica_manager_dir_failed(struct replica_manager *mgr)
{
    if (atomic_fetch_add(&mgr->sweeps_asked, 1) == 0)
        pool_submit(mgr->opts.pool, &mgr->sweep_work);
}

/* ---- retention ---- */

static enum err
retain(struct replica_partition *part, void *ctx)
{
    int32_t deleted = 0;

    (void)ctx;
    return log_retain(part->log, &deleted);
}

static void
retain_one(void *ctx, struct replica_partition *part)
{
    with_log(part, retain, ctx);
}

void
replica_manager_retention(struct replica_manager *mgr)
{
    replica_manager_each(mgr, retain_one, NULL);
    log_manager_delete_due(mgr->opts.logs);
}

/* ---- compaction ---- */

void
replica_manager_clean(struct replica_manager *mgr)
{
    replica_cleaner_tick(mgr->cleaner);
}

/* ---- checkpoints ---- */

void
replica_manager_checkpoint_hw(struct replica_manager *mgr)
{
    log_manager_checkpoint_high_watermarks(mgr->opts.logs);
}

void
replica_manager_checkpoint_logs(struct replica_manager *mgr)
{
    log_manager_checkpoint(mgr->opts.logs);
}

/* ---- producers ---- */

static enum err
expire(struct replica_partition *part, void *ctx)
{
    const int64_t *expiration_ms = ctx;

    log_producers_set_expiration(part->log, *expiration_ms);
    log_producers_expire(part->log, env_wall_ms(part->shared->env));
    return ERR_OK;
}

static void
expire_one(void *ctx, struct replica_partition *part)
{
    with_log(part, expire, ctx);
}

void
replica_manager_expire_producers(struct replica_manager *mgr, int64_t expiration_ms)
{
    replica_manager_each(mgr, expire_one, &expiration_ms);
}

/* ---- flush.ms, and what nobody waited for ---- */

static enum err
flush_due(struct replica_partition *part, void *ctx)
{
    (void)ctx;
    if (log_flush_due(part->log))
        replica_flush_request(part);
    else if (part->shared->flush.ack_flush)
        replica_flush_demand(part);
    else if (part->flush_timed && log_flush_needed(part->log))
        atomic_store_explicit(&part->shared->flush.owed, true, memory_order_relaxed);
    return ERR_OK;
}

static void
flush_due_one(void *ctx, struct replica_partition *part)
{
    with_log(part, flush_due, ctx);
}

void
replica_manager_flush_due(struct replica_manager *mgr)
{
    /* Idle, this costs nothing however many partitions there are. */
    if (atomic_exchange(&mgr->shared.flush.owed, false))
        replica_manager_each(mgr, flush_due_one, NULL);
}

/* ---- the journal's laps ---- */

static enum err
flush_segments(struct replica_partition *part, void *ctx)
{
    (void)ctx;
    replica_flush_segments(part);
    return ERR_OK;
}

static void
flush_segments_one(void *ctx, struct replica_partition *part)
{
    with_log(part, flush_segments, ctx);
}

void
replica_manager_journal_turned(struct replica_manager *mgr)
{
    replica_manager_each(mgr, flush_segments_one, NULL);
}
