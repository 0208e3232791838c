/* What: the steps of a round without the lock: reading keys, choosing groups, writing them again.
 *
 * States: log/cleaner.h. Invariants: I1 `reading` is the round's own view of a source's file,
 * opened by name: when the log changed meanwhile it may be another file, or none; what was made of
 * it is thrown away, since replace compares. I2 `cleaned` holds whole batches, in order, below the
 * end of its group. I3 nothing is put in place that is not synced. Threads: one at a time; the
 * pool's. Errors: latched by nobody: after one the round is over. */
#include "log/cleaner.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "log/cleaner_priv.h"

enum { OUT_BYTES = 256 << 10 };

/* ---- reading a source ---- */

static void
reading_end(struct log_clean *clean)
{
    if (clean->reading == NULL)
        return;
    segment_scan_end(&clean->scan);
    segment_free(&clean->reading);
}

static enum err
reading_begin(struct log_clean *clean)
{
    const struct clean_source *source = &clean->sources[clean->source];
    ASSERT(clean->reading == NULL);
    enum err err = segment_open(
        &clean->home, source->base_offset, source->size_bytes, source->mtime_ms, &clean->reading);
    if (err != ERR_OK)
        return err;
    err = segment_scan_begin(&clean->scan, clean->reading, 0);
    if (err != ERR_OK)
        segment_free(&clean->reading);
    return err == ERR_LIMIT ? ERR_NOMEM : err; /* out of descriptors */
}

/* The next batch of the source, checked. RANGE at its end. */
static enum err
read_batch(struct log_clean *clean, struct batch_view *batch)
{
    int64_t position;
    enum err err = clean->reading == NULL ? reading_begin(clean) : ERR_OK;
    if (err == ERR_OK)
        err = segment_scan_next(&clean->scan, batch, &position);
    if (err == ERR_TRUNCATED)
        err = ERR_CORRUPT;
    if (err != ERR_OK)
        return err;
    /* Damage must not be sealed with a new checksum. */
    const struct clean_source *source = &clean->sources[clean->source];
    if (!batch_crc_ok(batch) || batch->base_offset < source->base_offset ||
        batch->last_offset_delta < 0 || batch_last_offset(batch) >= source->end_offset)
        return ERR_CORRUPT;
    clean->stats.bytes_read += (int64_t)batch->size_bytes;
    return ERR_OK;
}

/* ---- MAP ---- */

/* *full when not all of its keys fitted. */
static enum err
map_records(struct log_clean *clean, const struct batch_view *batch, bool *full)
{
    struct batch_iter it;
    struct batch_record record;
    enum err err = batch_iter_init(&it, batch, clean->compress, &clean->filter.unpacked);
    if (err != ERR_OK)
        return err;
    while (batch_iter_next(&it, &record)) {
        if (record.offset_delta < 0 || record.offset_delta > batch->last_offset_delta)
            return ERR_CORRUPT;
        if (record.key.data == NULL || record.offset < clean->first_dirty)
            continue;
        if (clean_map_is_full(&clean->map)) {
            *full = true;
            return ERR_OK;
        }
        clean_map_put(&clean->map, record.key, record.offset);
    }
    return it.err;
}

static enum err
map_batch(struct log_clean *clean, const struct batch_view *batch, bool *full)
{
    struct txn_index_entry entry;
    bool discard = false, ignored;
    enum err err;
    if (batch_last_offset(batch) < clean->first_dirty)
        return ERR_OK;
    if (batch_is_control(batch))
        return clean_txn_control(&clean->txn, batch, &discard, &ignored, &entry);
    err = clean_txn_data(&clean->txn, batch, &discard);
    /* What was aborted is no newer value of a key. */
    if (err == ERR_OK && !discard)
        err = map_records(clean, batch, full);
    return err;
}

static void
map_end(struct log_clean *clean)
{
    reading_end(clean);
    clean_txn_fini(&clean->txn);
    clean_txn_init(&clean->txn, clean->aborted, clean->aborted_count, 0);
    clean->stats.keys = (int64_t)clean->map.entry_count;
    clean->stats.map_used = (double)clean->map.entry_count / (double)clean->map.slot_count;
    clean->filter.map = &clean->map;
    clean->filter.producers = clean->producers;
    clean->filter.producer_count = clean->producer_count;
    clean->filter.txn = &clean->txn;
    clean->filter.compress = clean->compress;
    clean->filter.map_end = clean->map_end;
    clean->filter.bound = clean->bound;
    clean->filter.now_ms = clean->now_ms;
    clean->filter.delete_retention_ms = clean->config.delete_retention_ms;
    while (clean->source_count > 0 &&
           clean->sources[clean->source_count - 1].base_offset >= clean->map_end)
        clean->source_count--; /* nothing is known of these */
    clean->source = 0;
    clean->group_first = 0;
    clean->group_count = 0;
    clean->state = CLEAN_COPY;
}

static enum err
step_map(struct log_clean *clean)
{
    int64_t until = clean->stats.bytes_read + (int64_t)clean->opts.step_bytes;
    while (clean->stats.bytes_read < until) {
        struct batch_view batch;
        bool full = false;
        enum err err = read_batch(clean, &batch);
        if (err == ERR_OK)
            err = map_batch(clean, &batch, &full);
        if (err != ERR_OK && err != ERR_RANGE)
            return err;
        if (full) {
            map_end(clean);
            /* Not even one batch: nothing would ever be done. */
            return clean->map_end > clean->first_dirty ? ERR_OK : ERR_LIMIT;
        }
        if (err == ERR_OK) {
            if (batch_last_offset(&batch) >= clean->map_end)
                clean->map_end = batch_last_offset(&batch) + 1;
            continue;
        }
        clean->map_end = clean->sources[clean->source].end_offset; /* holes at the end, too */
        reading_end(clean);
        if (++clean->source == clean->source_count) {
            map_end(clean);
            return ERR_OK;
        }
    }
    return ERR_OK;
}

/* ---- COPY ---- */

/* As many entries as the index of so many bytes has at most. */
static int64_t
index_bytes(const struct log_clean *clean, int64_t size_bytes)
{
    uint32_t entry = segment_index_entry_size(SEGMENT_INDEX_TIME); /* the larger ones */
    return (size_bytes / (clean->config.index_interval_bytes + 1) + 1) * entry;
}

/* Segments that become one, as many as fit in what a segment and its indexes may hold. */
static void
choose_group(struct log_clean *clean)
{
    const struct clean_source *first = &clean->sources[clean->group_first];
    int64_t size = first->size_bytes;
    int32_t count = 1;
    while (clean->group_first + count < clean->source_count) {
        const struct clean_source *next = &clean->sources[clean->group_first + count];
        if (size + next->size_bytes > clean->config.segment_bytes ||
            index_bytes(clean, size + next->size_bytes) > clean->config.segment_index_bytes)
            break;
        /* Offsets in the indexes are relative to the first. */
        if (next->size_bytes > 0 && next->end_offset - 1 - first->base_offset > INT32_MAX)
            break;
        size += next->size_bytes;
        count++;
    }
    clean->group_count = count;
    clean->source = clean->group_first;
}

static enum err
group_begin(struct log_clean *clean)
{
    choose_group(clean);
    clean->write_failed = true;
    enum err err = segment_create_cleaned(
        &clean->home, clean->sources[clean->group_first].base_offset, &clean->cleaned);
    clean->write_failed = err != ERR_OK;
    return err;
}

/* What is in `out` goes to the segment. */
static enum err
write_out(struct log_clean *clean)
{
    struct log_segment *seg = clean->cleaned;
    int64_t position = seg->size_bytes;
    if (clean->out.len == 0)
        return ERR_OK;
    if ((int64_t)clean->out.len > INT32_MAX - position)
        return ERR_LIMIT; /* positions in the index end there */
    clean->write_failed = true;
    enum err err = segment_write(seg, buf_bytes(&clean->out));
    for (size_t at = 0; err == ERR_OK && at < clean->out.len;) {
        struct batch_view batch;
        enum err parsed =
            batch_parse((struct bytes){clean->out.data + at, clean->out.len - at}, &batch);
        ASSERT(parsed == ERR_OK); /* our own */
        err = segment_note(seg, &batch, position + (int64_t)at);
        at += batch.size_bytes;
    }
    if (err != ERR_OK)
        return err;
    clean->write_failed = false;
    clean->stats.bytes_written += (int64_t)clean->out.len;
    buf_clear(&clean->out);
    return ERR_OK;
}

static enum err
copy_batch(struct log_clean *clean, const struct batch_view *batch)
{
    struct clean_filter_result result;
    enum err err = clean_filter_batch(&clean->filter, batch, &clean->out, &result);
    if (err == ERR_OK && result.keep_entry) {
        clean->write_failed = true;
        err = txn_index_append(clean->cleaned, &result.entry);
        clean->write_failed = err != ERR_OK;
    }
    if (err == ERR_OK && clean->out.len >= OUT_BYTES)
        err = write_out(clean);
    return err;
}

/* All of the group is in the segment; it waits for its place. */
static enum err
group_end(struct log_clean *clean)
{
    enum err err = write_out(clean);
    if (err != ERR_OK)
        return err;
    clean->write_failed = true;
    err = segment_seal(clean->cleaned);
    if (err == ERR_OK)
        err = segment_sync(clean->cleaned); /* I3 */
    if (err != ERR_OK)
        return err;
    clean->write_failed = false;
    const struct clean_source *last = &clean->sources[clean->group_first + clean->group_count - 1];
    clean->cleaned->mtime_ms = last->mtime_ms;
    clean->stats.records_read = clean->filter.records_read;
    clean->stats.records_kept = clean->filter.records_kept;
    clean->state = CLEAN_REPLACE;
    return ERR_OK;
}

static enum err
step_copy(struct log_clean *clean)
{
    int64_t until = clean->stats.bytes_read + (int64_t)clean->opts.step_bytes;
    enum err err = clean->cleaned == NULL ? group_begin(clean) : ERR_OK;
    while (err == ERR_OK && clean->stats.bytes_read < until) {
        struct batch_view batch;
        err = read_batch(clean, &batch);
        if (err == ERR_OK) {
            err = copy_batch(clean, &batch);
            continue;
        }
        if (err != ERR_RANGE)
            return err;
        reading_end(clean);
        err = ERR_OK;
        if (++clean->source == clean->group_first + clean->group_count)
            return group_end(clean);
    }
    return err;
}

/* ---- SETTLE ---- */

/* The new names are durable before the next group's: a later segment must not lose a tombstone
 * while an earlier one has the record back. */
static enum err
step_settle(struct log_clean *clean)
{
    clean->write_failed = true;
    enum err err = env_sync_dir(clean->env, clean->home.dir);
    if (err != ERR_OK)
        return err;
    clean->write_failed = false;
    clean->group_first += clean->group_count;
    clean->group_count = 0;
    clean->state = clean->group_first < clean->source_count ? CLEAN_COPY : CLEAN_DONE;
    return ERR_OK;
}

enum err
log_clean_step(struct log_clean *clean, enum log_clean_next *next)
{
    enum err err = ERR_OK;
    switch (clean->state) {
    case CLEAN_MAP: err = step_map(clean); break;
    case CLEAN_COPY: err = step_copy(clean); break;
    case CLEAN_SETTLE: err = step_settle(clean); break;
    case CLEAN_REPLACE:
    case CLEAN_DONE: UNREACHABLE();
    }
    if (err != ERR_OK)
        return err;
    *next = LOG_CLEAN_STEP;
    if (clean->state == CLEAN_REPLACE)
        *next = LOG_CLEAN_REPLACE;
    if (clean->state == CLEAN_DONE)
        *next = LOG_CLEAN_DONE;
    return ERR_OK;
}

/* ---- the end ---- */

/* Files of a group that did not get its place; the next start would remove them too. */
static void
remove_cleaned(struct log_clean *clean)
{
    struct log_segment *seg = clean->cleaned;
    if (seg == NULL)
        return;
    ASSERT(seg->phase == LOG_FILE_CLEANED || clean->write_failed);
    for (int kind = LOG_FILE_LOG; kind <= LOG_FILE_TXNINDEX; kind++) {
        char path[LOG_PATH_MAX];
        if (seg->phase == LOG_FILE_CLEANED && segment_path(seg, (enum log_file_kind)kind, path) &&
            env_unlink(clean->env, path) == ERR_IO)
            break;
    }
    segment_free(&clean->cleaned);
}

void
log_clean_free(struct log_clean **out)
{
    struct log_clean *clean = *out;
    if (clean == NULL)
        return;
    reading_end(clean);
    remove_cleaned(clean);
    clean_txn_fini(&clean->txn);
    clean_map_fini(&clean->map);
    compress_ctx_free(&clean->compress);
    buf_fini(&clean->out);
    buf_fini(&clean->filter.unpacked);
    mem_free(clean->sources);
    mem_free(clean->aborted);
    mem_free(clean->producers);
    mem_free(clean->home.dir);
    mem_free(clean);
    *out = NULL;
}

void
log_clean_get_stats(const struct log_clean *clean, struct log_clean_stats *stats)
{
    *stats = clean->stats;
    stats->records_read = clean->filter.records_read;
    stats->records_kept = clean->filter.records_kept;
}
