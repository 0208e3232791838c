/* What: whether a log should be compacted now and how far, by Kafka's rules; and the beginning of a
 * round, which takes down what must be known of the log when its lock is gone.
 * Threads: partition lock. */
#include <stdlib.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "log/cleaner_priv.h"
#include "log/log_priv.h"

bool
log_is_uncleanable(const struct log *log)
{
    return atomic_load_explicit(&log->uncleanable, memory_order_relaxed);
}

/* Where the last round ended, when that can be true. */
static int64_t
first_dirty_offset(const struct log *log)
{
    int64_t noted = log_cleaned_end(log), start = log_start_offset(log);
    return noted < start || noted > log_end_offset(log) ? start : noted;
}

/* Nothing of it is written, or waits to be synced, any more. */
static bool
is_settled(const struct log *log, int32_t i)
{
    const struct log_segment *seg = log->segments[i];
    return seg->dirty_file == NULL && !seg->txn_unsynced && !seg->index[0].unsynced &&
           !seg->index[1].unsynced && log_segment_end(log, i) <= log_recovery_point(log);
}

/* True when the segment has records that are too young. */
static enum err
is_young(struct log *log, int32_t i, int64_t now_ms, bool *out)
{
    int64_t timestamp, ignored;
    *out = false;
    if (log->config.min_compaction_lag_ms <= 0)
        return ERR_OK;
    enum err err = segment_max_timestamp(log->segments[i], &timestamp, &ignored);
    if (err != ERR_OK)
        return err;
    if (timestamp < 0)
        timestamp = log->segments[i]->mtime_ms;
    *out = timestamp > now_ms - log->config.min_compaction_lag_ms;
    return ERR_OK;
}

/* The first segment that may not be cleaned: the active one at the latest. */
static enum err
find_bound(struct log *log, struct log_clean_plan *plan, int64_t now_ms, int32_t *out)
{
    int64_t stable = log_last_stable_offset(log);
    int32_t i = log_segment_floor(log, plan->first_dirty);
    for (i = i < 0 ? 0 : i; i + 1 < log->segment_count; i++) {
        bool young;
        if (log_segment_end(log, i) > stable)
            break;
        if (!is_settled(log, i)) {
            plan->unflushed = true;
            break;
        }
        enum err err = is_young(log, i, now_ms, &young);
        if (err != ERR_OK)
            return err;
        if (young)
            break;
    }
    *out = i;
    return ERR_OK;
}

/* Since when the oldest record that was not compacted should have been. */
static enum err
find_delay(struct log *log, int64_t first_dirty, int64_t now_ms, int64_t *delay_ms)
{
    int64_t until, earliest = INT64_MAX;
    *delay_ms = 0;
    if (log->config.max_compaction_lag_ms > now_ms)
        return ERR_OK;
    until = now_ms - log->config.max_compaction_lag_ms;
    int32_t i = log_segment_floor(log, first_dirty);
    for (i = i < 0 ? 0 : i; i + 1 < log->segment_count; i++) {
        int64_t timestamp;
        enum err err = segment_first_timestamp(log->segments[i], &timestamp);
        if (err != ERR_OK)
            return err;
        if (timestamp > 0 && timestamp < earliest)
            earliest = timestamp;
    }
    if (earliest < until)
        *delay_ms = until - earliest;
    return ERR_OK;
}

enum err
log_clean_look(struct log *log, struct log_clean_plan *plan)
{
    int64_t now_ms = env_wall_ms(log->env);
    int32_t bound;
    *plan = (struct log_clean_plan){0};
    if (!log->config.cleanup_compact || log_state(log) != LOG_OPEN || log_is_uncleanable(log) ||
        log->segment_count < 2)
        return ERR_OK;
    plan->first_dirty = first_dirty_offset(log);
    enum err err = find_bound(log, plan, now_ms, &bound);
    if (err == ERR_OK)
        err = find_delay(log, plan->first_dirty, now_ms, &plan->delay_ms);
    if (err != ERR_OK)
        return err;
    plan->bound = log->segments[bound]->base_offset;
    for (int32_t i = 0; i < bound; i++) {
        if (log_segment_end(log, i) > plan->first_dirty)
            plan->dirty_bytes += log->segments[i]->size_bytes;
        if (log->segments[i]->base_offset < plan->first_dirty) /* or both, as Kafka counts */
            plan->clean_bytes += log->segments[i]->size_bytes;
    }
    if (plan->dirty_bytes == 0)
        return ERR_OK;
    plan->dirty_ratio = (double)plan->dirty_bytes / (double)(plan->clean_bytes + plan->dirty_bytes);
    plan->overdue = plan->delay_ms > 0;
    plan->wanted = plan->overdue || plan->dirty_ratio > log->config.min_cleanable_dirty_ratio;
    return ERR_OK;
}

/* ---- the beginning ---- */

static bool
take_aborted(void *ctx, const struct txn_index_entry *entry)
{
    struct log_clean *clean = ctx;
    if (entry->first_offset >= clean->bound)
        return true;
    if (clean->aborted_count == clean->aborted_capacity) {
        int32_t capacity = clean->aborted_capacity == 0 ? 16 : clean->aborted_capacity * 2;
        void *grown = mem_realloc(clean->aborted, (size_t)capacity * sizeof *clean->aborted);
        if (grown == NULL) {
            clean->aborted_capacity = -1;
            return false;
        }
        clean->aborted = grown;
        clean->aborted_capacity = capacity;
    }
    clean->aborted[clean->aborted_count++] = *entry;
    return true;
}

static int
by_first_offset(const void *a, const void *b)
{
    const struct txn_index_entry *x = a, *y = b;
    if (x->first_offset != y->first_offset)
        return x->first_offset < y->first_offset ? -1 : 1;
    return x->producer_id < y->producer_id ? -1 : x->producer_id > y->producer_id;
}

/* Of all segments: a transaction may end behind the bound. */
static enum err
take_all_aborted(struct log *log, struct log_clean *clean)
{
    for (int32_t i = 0; i < log->segment_count; i++) {
        enum err err = txn_index_each(log->segments[i], take_aborted, clean);
        if (clean->aborted_capacity < 0)
            return ERR_NOMEM;
        if (err != ERR_OK)
            return err;
    }
    if (clean->aborted_count > 1)
        qsort(
            clean->aborted, (size_t)clean->aborted_count, sizeof *clean->aborted, by_first_offset);
    return ERR_OK;
}

static bool
take_producer(void *ctx, const struct producer_entry *entry)
{
    struct log_clean *clean = ctx;
    struct clean_producer *producer = &clean->producers[clean->producer_count++];
    *producer = (struct clean_producer){.producer_id = entry->producer_id,
        .batch_count = entry->batch_count,
        .producer_epoch = entry->producer_epoch};
    for (int16_t i = 0; i < entry->batch_count; i++)
        producer->last_offsets[i] = entry->batches[i].last_offset;
    return true;
}

static int
by_producer_id(const void *a, const void *b)
{
    const struct clean_producer *x = a, *y = b;
    return x->producer_id < y->producer_id ? -1 : x->producer_id > y->producer_id;
}

static enum err
take_producers(struct log *log, struct log_clean *clean)
{
    enum err err = log_producers_load(log);
    if (err != ERR_OK)
        return err;
    int32_t count = producer_state_count(log->producers);
    clean->producers = mem_calloc((size_t)count + 1, sizeof *clean->producers);
    if (clean->producers == NULL)
        return ERR_NOMEM;
    producer_state_each(log->producers, take_producer, clean);
    ASSERT(clean->producer_count <= count);
    if (clean->producer_count > 1)
        qsort(clean->producers, (size_t)clean->producer_count, sizeof *clean->producers,
            by_producer_id);
    return ERR_OK;
}

static enum err
take_sources(struct log *log, struct log_clean *clean)
{
    clean->sources = mem_calloc((size_t)log->segment_count, sizeof *clean->sources);
    if (clean->sources == NULL)
        return ERR_NOMEM;
    for (int32_t i = 0; i + 1 < log->segment_count; i++) {
        const struct log_segment *seg = log->segments[i];
        if (seg->base_offset >= clean->bound)
            break;
        clean->sources[clean->source_count++] =
            (struct clean_source){.base_offset = seg->base_offset,
                .end_offset = log_segment_end(log, i),
                .size_bytes = seg->size_bytes,
                .mtime_ms = seg->mtime_ms};
    }
    ASSERT(clean->source_count > 0);
    ASSERT(clean->sources[clean->source_count - 1].end_offset == clean->bound);
    return ERR_OK;
}

/* No larger than the keys there can be: every key has an offset. */
static enum err
make_map(struct log *log, struct log_clean *clean)
{
    struct siphash_key key = {env_random_u64(log->env), env_random_u64(log->env)};
    double load = clean->opts.map_load_factor;
    if (!(load > 0 && load <= 1))
        load = 0.9;
    double needed = ((double)(clean->bound - clean->first_dirty) / load + 2) * CLEAN_MAP_ENTRY_SIZE;
    uint64_t size = (uint64_t)clean->opts.map_bytes_max;
    if (needed < (double)size)
        size = (uint64_t)needed;
    return clean_map_init(&clean->map, size, load, key);
}

enum err
log_clean_begin(struct log *log, const struct log_clean_plan *plan,
    const struct log_clean_opts *opts, struct log_clean **out)
{
    ASSERT(plan->first_dirty < plan->bound);
    ASSERT(opts->map_bytes_max > 0 && opts->step_bytes > 0);
    struct log_clean *clean = mem_calloc(1, sizeof *clean);
    if (clean == NULL)
        return ERR_NOMEM;
    clean->env = log->env;
    clean->host = log->host;
    clean->config = log->config;
    clean->config.preallocate = false;
    clean->opts = *opts;
    clean->first_dirty = plan->first_dirty;
    clean->bound = plan->bound;
    clean->map_end = plan->first_dirty;
    clean->now_ms = env_wall_ms(log->env);
    clean->truncations = log->truncations;
    clean->home =
        (struct segment_home){.env = log->env, .files = log->host->files, .config = &clean->config};
    clean->home.dir = mem_strdup(log->home.dir);
    buf_init(&clean->out, INT32_MAX);
    buf_init(&clean->filter.unpacked, INT32_MAX);
    enum err err = clean->home.dir == NULL ? ERR_NOMEM : compress_ctx_new(&clean->compress);
    if (err == ERR_OK)
        err = take_sources(log, clean);
    if (err == ERR_OK)
        err = take_all_aborted(log, clean);
    if (err == ERR_OK)
        err = take_producers(log, clean);
    if (err == ERR_OK)
        err = make_map(log, clean);
    if (err != ERR_OK) {
        log_clean_free(&clean);
        return err;
    }
    clean_txn_init(&clean->txn, clean->aborted, clean->aborted_count, clean->first_dirty);
    while (clean->sources[clean->source].end_offset <= clean->first_dirty)
        clean->source++;
    clean->state = CLEAN_MAP;
    *out = clean;
    return ERR_OK;
}
