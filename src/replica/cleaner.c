/* replica/cleaner.c - the schedule of compaction.
 *
 * States of a worker: IDLE (a tick wakes it), WORKING (its work is on the pool), RESTING
 * (throttled; a tick wakes it). Invariants: I1 in WORKING, and only there, the work is submitted or
 * runs; I2 a worker with a round holds a reference on its partition; I3 no two workers have a
 * partition of the same name, not even a deleted one and its successor: they would write the same
 * files. Threads: the mutex guards the choice and what the workers are at; a round is its worker's
 * alone. Errors: a round that fails is judged by the log (log_clean_end); a failed log takes its
 * partition down. */
#include "replica/cleaner.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/diag.h"
#include "log/cleaner.h"
#include "log/log_manager.h"
#include "replica/manager_priv.h"

enum { STEP_BYTES = 1 << 20, THROTTLED_TICK_MS = 250 };
/* Its coordinator keeps it short itself: docs/decisions/offsets-cleaning.md. */
#define OFFSETS_TOPIC "__consumer_offsets"

enum worker_state { WORKER_IDLE, WORKER_WORKING, WORKER_RESTING };

struct worker {
    struct pool_work work;
    struct replica_cleaner *cleaner;
    /* Under the mutex. */
    enum worker_state state;
    struct replica_partition *part; /* a reference; NULL between rounds */
    struct log_clean_stats last;    /* of the last round */
    int64_t last_ms;                /* how long that took */
    /* The worker's own. */
    struct log_clean *clean;
    int64_t began_ms;
    int64_t bytes_told; /* of the round, in the sums below */
};

struct replica_cleaner {
    /* Fixed. */
    struct replica_manager *mgr;
    struct env *env;
    struct replica_cleaner_opts opts;
    int32_t worker_count;
    _Atomic bool stopping;

    struct mutex mutex;
    /* Under the mutex. */
    int64_t looked_ms; /* monotonic; -1: never */
    int64_t uncleanable, delay_max_ms;
    double dirty_ratio_max;
    int64_t rounds, rounds_failed, records_removed, bytes_read, bytes_written;
    int64_t paid_until_ns; /* throttle: what was read and written is paid for until then */

    struct worker workers[];
};

/* ---- choosing ---- */

struct choice {
    struct replica_cleaner *cleaner;
    struct replica_partition *part; /* a reference */
    double ratio;
    int64_t uncleanable, delay_max_ms;
    double ratio_max;
};

static bool
is_taken(const struct replica_cleaner *cleaner, const struct replica_partition *part)
{
    for (int32_t i = 0; i < cleaner->worker_count; i++) {
        const struct replica_partition *other = cleaner->workers[i].part;
        if (other != NULL && other->index == part->index && str_eq(other->topic, part->topic))
            return true; /* I3 */
    }
    return false;
}

static void
consider(void *ctx, struct replica_partition *part)
{
    struct choice *choice = ctx;
    struct log_clean_plan plan = {0};

    if (str_eq_z(part->topic, OFFSETS_TOPIC) || is_taken(choice->cleaner, part))
        return;
    mutex_lock(&part->mutex);
    if (part->log != NULL) {
        /* What cannot be looked at is found out by who reads it. */
        if (log_clean_look(part->log, &plan) != ERR_OK)
            plan.wanted = false;
        else if (plan.unflushed)
            replica_flush_request(part);
        choice->uncleanable += log_is_uncleanable(part->log);
    }
    mutex_unlock(&part->mutex);
    if (plan.dirty_ratio > choice->ratio_max)
        choice->ratio_max = plan.dirty_ratio;
    if (plan.delay_ms > choice->delay_max_ms)
        choice->delay_max_ms = plan.delay_ms;
    if (!plan.wanted || (choice->part != NULL && plan.dirty_ratio <= choice->ratio))
        return;
    if (choice->part != NULL)
        replica_partition_unref(&choice->part);
    replica_partition_ref(part);
    choice->part = part;
    choice->ratio = plan.dirty_ratio;
}

/* The dirtiest partition that nobody is at; NULL when there is none. */
static struct replica_partition *
choose(struct worker *worker)
{
    struct replica_cleaner *cleaner = worker->cleaner;
    struct choice choice = {.cleaner = cleaner};

    mutex_lock(&cleaner->mutex);
    replica_manager_each(cleaner->mgr, consider, &choice);
    ASSERT(worker->part == NULL);
    worker->part = choice.part;
    cleaner->looked_ms = env_now_ms(cleaner->env);
    cleaner->uncleanable = choice.uncleanable;
    cleaner->delay_max_ms = choice.delay_max_ms;
    cleaner->dirty_ratio_max = choice.ratio_max;
    if (choice.part == NULL)
        worker->state = WORKER_IDLE;
    mutex_unlock(&cleaner->mutex);
    return choice.part;
}

/* ---- a round ---- */

static void
report_failed(struct replica_partition *part, struct list *woken, bool down)
{
    replica_waiters_fire(woken, REPLICA_WAKE_FAILED);
    if (down)
        replica_partition_report(part, ERR_FAILED);
}

/* Ends the round, if there is one, and lets go of the partition. */
static void
round_end(struct worker *worker, enum err err)
{
    struct replica_cleaner *cleaner = worker->cleaner;
    struct replica_partition *part = worker->part;
    struct log_clean_stats stats = {0};
    struct list woken;
    bool noted = false, down = false;

    list_init(&woken);
    mutex_lock(&part->mutex);
    if (part->log != NULL && worker->clean != NULL) {
        log_clean_end(part->log, worker->clean, err);
        noted = err == ERR_OK;
        down = log_state(part->log) == LOG_FAILED;
        if (down)
            replica_partition_down(part, REPLICA_WAKE_FAILED, &woken);
    }
    mutex_unlock(&part->mutex);
    report_failed(part, &woken, down);
    if (noted)
        log_manager_clean_ended(cleaner->mgr->opts.logs, worker->clean);
    if (worker->clean != NULL)
        log_clean_get_stats(worker->clean, &stats);
    log_clean_free(&worker->clean);
    if (noted)
        diag_event(env_diag(cleaner->env), DIAG_DEBUG, "log", "compacted",
            DIAG_STR("topic", part->topic), DIAG_I64("partition", part->index),
            DIAG_I64("records_read", stats.records_read),
            DIAG_I64("records_kept", stats.records_kept), DIAG_I64("keys", stats.keys),
            DIAG_I64("ms", env_now_ms(cleaner->env) - worker->began_ms));

    mutex_lock(&cleaner->mutex);
    if (err == ERR_OK) {
        worker->last = stats;
        worker->last_ms = env_now_ms(cleaner->env) - worker->began_ms;
        cleaner->rounds++;
        cleaner->records_removed += stats.records_read - stats.records_kept;
    } else if (err != ERR_WRONG_STATE) {
        cleaner->rounds_failed++;
    }
    cleaner->bytes_read += stats.bytes_read;
    cleaner->bytes_written += stats.bytes_written;
    worker->part = NULL;
    mutex_unlock(&cleaner->mutex);
    replica_partition_unref(&part);
}

/* WRONG_STATE: there is nothing to do any more. */
static enum err
round_begin(struct worker *worker)
{
    struct replica_cleaner *cleaner = worker->cleaner;
    struct replica_partition *part = worker->part;
    struct log_clean_plan plan = {0};
    struct log_clean_opts opts = {.map_bytes_max = cleaner->opts.map_bytes / cleaner->worker_count,
        .map_load_factor = cleaner->opts.map_load_factor,
        .step_bytes = STEP_BYTES};
    enum err err = ERR_WRONG_STATE;

    if (opts.map_bytes_max > INT32_MAX)
        opts.map_bytes_max = INT32_MAX; /* as in Kafka */
    if (opts.map_bytes_max < 1)
        opts.map_bytes_max = 1;
    mutex_lock(&part->mutex);
    if (part->log != NULL) {
        err = log_clean_look(part->log, &plan);
        if (err == ERR_OK)
            err = plan.wanted ? log_clean_begin(part->log, &plan, &opts, &worker->clean)
                              : ERR_WRONG_STATE;
    }
    mutex_unlock(&part->mutex);
    worker->began_ms = env_now_ms(cleaner->env);
    worker->bytes_told = 0;
    if (err == ERR_OK)
        err = log_manager_clean_begun(cleaner->mgr->opts.logs, worker->clean);
    return err;
}

static enum err
round_replace(struct worker *worker)
{
    struct replica_partition *part = worker->part;
    enum err err = ERR_WRONG_STATE;

    mutex_lock(&part->mutex);
    if (part->log != NULL)
        err = log_clean_replace(part->log, worker->clean);
    mutex_unlock(&part->mutex);
    return err;
}

static bool
is_gone(struct replica_partition *part)
{
    bool gone;

    mutex_lock(&part->mutex);
    gone = part->log == NULL;
    mutex_unlock(&part->mutex);
    return gone;
}

/* One step of the round; OK while it goes on; *ended when it came to an end, whatever came out. */
static enum err
round_step(struct worker *worker, bool *ended)
{
    enum log_clean_next next = LOG_CLEAN_STEP;
    enum err err = ERR_OK;

    if (worker->clean == NULL)
        err = round_begin(worker);
    else if (atomic_load(&worker->cleaner->stopping) || is_gone(worker->part))
        err = ERR_WRONG_STATE;
    else
        err = log_clean_step(worker->clean, &next);
    if (err == ERR_OK && next == LOG_CLEAN_REPLACE)
        err = round_replace(worker);
    *ended = err != ERR_OK || next == LOG_CLEAN_DONE;
    if (*ended)
        round_end(worker, err);
    return err;
}

/* ---- the workers ---- */

/* True when what was done so far is more than log.cleaner.io.max.bytes.per.second allows. */
static bool
must_rest(struct worker *worker)
{
    struct replica_cleaner *cleaner = worker->cleaner;
    struct log_clean_stats stats;
    int64_t now_ns = env_now_ns(cleaner->env), bytes;

    if (worker->clean == NULL || !(cleaner->opts.bytes_per_second < 1e15))
        return false;
    log_clean_get_stats(worker->clean, &stats);
    bytes = stats.bytes_read + stats.bytes_written - worker->bytes_told;
    worker->bytes_told += bytes;
    mutex_lock(&cleaner->mutex);
    if (cleaner->paid_until_ns < now_ns)
        cleaner->paid_until_ns = now_ns;
    double ns = (double)bytes * 1e9 / cleaner->opts.bytes_per_second;
    cleaner->paid_until_ns += ns < 3.6e12 ? (int64_t)ns : INT64_C(3600000000000);
    bool rest = cleaner->paid_until_ns > now_ns + THROTTLED_TICK_MS * INT64_C(1000000);
    if (rest)
        worker->state = WORKER_RESTING;
    mutex_unlock(&cleaner->mutex);
    return rest;
}

static void
become_idle(struct worker *worker)
{
    mutex_lock(&worker->cleaner->mutex);
    worker->state = WORKER_IDLE;
    mutex_unlock(&worker->cleaner->mutex);
}

static void
worker_run(struct pool_work *work)
{
    struct worker *worker = CONTAINER_OF(work, struct worker, work);
    struct replica_cleaner *cleaner = worker->cleaner;

    if (worker->part == NULL) {
        if (atomic_load(&cleaner->stopping)) {
            become_idle(worker);
            return;
        }
        if (choose(worker) == NULL)
            return;
    } else {
        bool ended;
        if (round_step(worker, &ended) != ERR_OK) {
            become_idle(worker); /* what failed is not tried again at once */
            return;
        }
        if (!ended && must_rest(worker))
            return;
    }
    pool_submit(cleaner->mgr->opts.pool, work); /* behind what waits there */
}

void
replica_cleaner_tick(struct replica_cleaner *cleaner)
{
    int64_t now_ms = env_now_ms(cleaner->env), now_ns = env_now_ns(cleaner->env);
    /* Ticks come a bit early and a bit late. */
    int64_t pause_ms = cleaner->opts.backoff_ms - replica_cleaner_interval_ms(cleaner) / 2;

    if (atomic_load(&cleaner->stopping))
        return;
    for (int32_t i = 0; i < cleaner->worker_count; i++) {
        struct worker *worker = &cleaner->workers[i];
        bool wake = false;
        mutex_lock(&cleaner->mutex);
        if (worker->state == WORKER_IDLE)
            wake = cleaner->looked_ms < 0 || now_ms - cleaner->looked_ms >= pause_ms;
        else if (worker->state == WORKER_RESTING)
            wake = cleaner->paid_until_ns <= now_ns;
        if (wake)
            worker->state = WORKER_WORKING;
        mutex_unlock(&cleaner->mutex);
        if (wake)
            pool_submit(cleaner->mgr->opts.pool, &worker->work);
    }
}

int64_t
replica_cleaner_interval_ms(const struct replica_cleaner *cleaner)
{
    bool throttled = cleaner->opts.bytes_per_second < 1e15;

    return throttled && cleaner->opts.backoff_ms > THROTTLED_TICK_MS ? THROTTLED_TICK_MS
                                                                     : cleaner->opts.backoff_ms;
}

/* ---- life ---- */

enum err
replica_cleaner_new(struct replica_manager *mgr, const struct replica_cleaner_opts *opts,
    struct replica_cleaner **out)
{
    int32_t count = opts->enabled ? opts->threads : 0;
    struct replica_cleaner *cleaner;

    if (count > REPLICA_CLEANERS_MAX)
        count = REPLICA_CLEANERS_MAX;
    if (count < 0)
        count = 0;
    cleaner = mem_calloc(1, sizeof *cleaner + (size_t)count * sizeof cleaner->workers[0]);
    if (cleaner == NULL)
        return ERR_NOMEM;
    cleaner->mgr = mgr;
    cleaner->env = mgr->opts.env;
    cleaner->opts = *opts;
    if (!(cleaner->opts.bytes_per_second >= 1))
        cleaner->opts.bytes_per_second = 1;
    cleaner->worker_count = count;
    cleaner->looked_ms = -1;
    mutex_init(&cleaner->mutex, MUTEX_RANK_CLEANER);
    for (int32_t i = 0; i < count; i++) {
        list_init(&cleaner->workers[i].work.link);
        cleaner->workers[i].work.run = worker_run;
        cleaner->workers[i].cleaner = cleaner;
    }
    *out = cleaner;
    return ERR_OK;
}

void
replica_cleaner_free(struct replica_cleaner **ref)
{
    struct replica_cleaner *cleaner = *ref;

    if (cleaner == NULL)
        return;
    for (int32_t i = 0; i < cleaner->worker_count; i++) {
        ASSERT(cleaner->workers[i].state != WORKER_WORKING); /* the pool has run dry */
        if (cleaner->workers[i].part != NULL)
            round_end(&cleaner->workers[i], ERR_WRONG_STATE);
    }
    mutex_fini(&cleaner->mutex);
    mem_free(cleaner);
    *ref = NULL;
}

void
replica_cleaner_stop(struct replica_cleaner *cleaner)
{
    atomic_store(&cleaner->stopping, true);
}

void
replica_cleaner_get_stats(struct replica_cleaner *cleaner, struct replica_cleaner_stats *stats)
{
    int64_t read = 0, written = 0;

    *stats = (struct replica_cleaner_stats){0};
    mutex_lock(&cleaner->mutex);
    stats->uncleanable = cleaner->uncleanable;
    stats->dirty_ratio_max = cleaner->dirty_ratio_max;
    stats->delay_max_ms = cleaner->delay_max_ms;
    stats->since_last_run_ms =
        cleaner->looked_ms < 0 ? -1 : env_now_ms(cleaner->env) - cleaner->looked_ms;
    stats->rounds = cleaner->rounds;
    stats->rounds_failed = cleaner->rounds_failed;
    stats->records_removed = cleaner->records_removed;
    stats->bytes_read = cleaner->bytes_read;
    stats->bytes_written = cleaner->bytes_written;
    for (int32_t i = 0; i < cleaner->worker_count; i++) {
        const struct worker *worker = &cleaner->workers[i];
        read += worker->last.bytes_read;
        written += worker->last.bytes_written;
        if (worker->last.map_used > stats->map_used_max)
            stats->map_used_max = worker->last.map_used;
        if (worker->last_ms > stats->round_max_ms)
            stats->round_max_ms = worker->last_ms;
    }
    mutex_unlock(&cleaner->mutex);
    stats->recopy_ratio = read > 0 ? (double)written / (double)read : 0;
}
