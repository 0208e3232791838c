/* What: what happens to a log that was not closed cleanly.
 *
 * Only what is above the recovery point is read. Each batch is checked; indexes, leader epochs and
 * producers follow it. At the first bad byte segment_classify decides: a torn tail is cut off,
 * damage stays where it is and the log becomes CORRUPT, with a marker file that outlives restarts.
 * What survives is synced before anybody may read it: else a second crash could take back what a
 * consumer had seen (KAFKA-10101).
 * After a failed sync it is written again first, or that sync would write nothing.
 * See docs/decisions/recovery-torn-or-corrupt.md.
 * Threads: nobody else knows the log yet. */
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/buf.h"
#include "base/diag.h"
#include "log/checkpoint.h"
#include "log/log_priv.h"

struct recovery {
    struct log *log;
    struct log_recover_opts opts;
    int64_t expected; /* next offset */
    int64_t bytes;
    bool gaps_are_losses;
    bool rewrite; /* what is read is perhaps in the page cache only, and clean there */
};

enum { REWRITE_CHUNK = 1 << 18, EPOCHS_CHECKED = 16 };

/* ---- the marker of a corrupt log ---- */

static bool
marker_line(void *ctx, struct str line)
{
    return checkpoint_take_number(&line, ctx) && line.len == 0;
}

bool
log_corrupt_marker_read(struct log *log, int64_t *durable_end)
{
    char path[LOG_PATH_MAX];
    *durable_end = 0;
    if (!log_file_in(log, path, LOG_CORRUPT_FILE))
        return false;
    /* Whatever it says, its being there is what counts. */
    return checkpoint_read(log->env, path, marker_line, durable_end) != ERR_NOTFOUND;
}

enum err
log_corrupt_marker_clear(struct log *log)
{
    char path[LOG_PATH_MAX];
    if (!log_file_in(log, path, LOG_CORRUPT_FILE))
        return ERR_INVALID;
    enum err err = env_unlink(log->env, path);
    log->dir_dirty = true;
    return err == ERR_NOTFOUND ? ERR_OK : err;
}

void
log_mark_corrupt(struct log *log, int64_t offset, int64_t durable_end, const char *why)
{
    char path[LOG_PATH_MAX];
    struct buf text;
    ASSERT(offset >= 0);
    atomic_store(&log->state, LOG_CORRUPT);
    log->corrupt_offset = offset;
    log->durable_end = durable_end;
    buf_init(&text, 256);
    checkpoint_begin(&text, 1);
    buf_printf(&text, "%lld\n", (long long)durable_end);
    enum err err = log_file_in(log, path, LOG_CORRUPT_FILE)
                       ? env_write_file_atomic(log->env, path, buf_bytes(&text))
                       : ERR_INVALID;
    buf_fini(&text);
    atomic_fetch_add(&log->host->logs_corrupt, 1);
    diag_event(env_diag(log->env), DIAG_ERROR, "log", "log_corrupt", DIAG_Z("dir", log->home.dir),
        DIAG_I64("offset", offset), DIAG_I64("segment", log_active(log)->base_offset),
        DIAG_I64("position", log_active(log)->size_bytes), DIAG_Z("why", why),
        DIAG_ERR("marker", err));
}

/* ---- the scan ---- */

static enum err
batch_taken(
    struct recovery *r, struct log_segment *seg, const struct batch_view *batch, int64_t position)
{
    enum err err = epoch_cache_reserve(&r->log->epochs, 1);
    if (err != ERR_OK)
        return err;
    if (batch->leader_epoch >= 0)
        epoch_cache_assign(&r->log->epochs, batch->leader_epoch, batch->base_offset);
    r->expected = batch_last_offset(batch) + 1;
    return segment_note(seg, batch, position);
}

/* The base offset is outside the checksum. A batch that leaves a gap is right after compaction; but
 * when the batch behind it continues as if there were none, its base offset was changed. */
static bool
gap_is_a_lie(
    struct recovery *r, struct log_segment *seg, const struct batch_view *batch, int64_t position)
{
    struct segment_window w;
    struct batch_view next;
    if (batch->base_offset == r->expected)
        return false;
    segment_window_init(&w, NULL);
    enum err err = segment_header(seg, &w, position + (int64_t)batch->size_bytes, &next);
    segment_window_fini(&w);
    return err == ERR_OK && next.base_offset > r->expected &&
           next.base_offset <= batch_last_offset(batch);
}

/* ---- after a failed sync ---- */

/* Writes what stands in [from, to) over itself, so that the next sync has it to write. */
static enum err
rewrite(struct recovery *r, struct log_segment *seg, int64_t from, int64_t to)
{
    struct env_file *file = NULL;
    uint8_t *chunk = mem_alloc(REWRITE_CHUNK);
    enum err err = chunk == NULL ? ERR_NOMEM : segment_file(seg, &file);
    ASSERT(r->rewrite && from <= to);
    while (err == ERR_OK && from < to) {
        size_t n, len = to - from < REWRITE_CHUNK ? (size_t)(to - from) : (size_t)REWRITE_CHUNK;
        err = env_read_at(file, from, chunk, len, &n);
        if (err == ERR_OK && n < len)
            err = ERR_TRUNCATED;
        if (err == ERR_OK)
            err = env_write_at(file, from, (struct bytes){chunk, len});
        from += (int64_t)len;
    }
    if (file != NULL)
        env_file_close(&file);
    mem_free(chunk);
    return err;
}

static bool
has_unsynced_marker(struct log *log)
{
    char path[LOG_PATH_MAX];
    struct env_stat st;
    return log_file_in(log, path, LOG_UNSYNCED_FILE) && env_stat(log->env, path, &st) == ERR_OK;
}

enum err
log_unsynced_marker_clear(struct log *log)
{
    char path[LOG_PATH_MAX];
    if (!log->was_unsynced)
        return ERR_OK;
    log->was_unsynced = false;
    if (!log_file_in(log, path, LOG_UNSYNCED_FILE))
        return ERR_INVALID;
    enum err err = env_unlink(log->env, path);
    return err == ERR_NOTFOUND ? ERR_OK : err; /* another directory had the mark, for all logs */
}

/* ---- segments ---- */

/* Checks batches from `position` on. RANGE: all are good. CORRUPT: a bad one at *position. */
static enum err
scan_segment(struct recovery *r, struct log_segment *seg, int64_t *position)
{
    struct segment_scan scan;
    struct batch_view batch;
    int64_t at = *position;
    enum err err = segment_scan_begin(&scan, seg, at);
    /* The sync of a volume tells of all that fails from when we opened it, not of what failed
     * before and was told to another. */
    if (err == ERR_OK && r->log->home.settle_later && !r->rewrite)
        err = env_check_written(scan.file);
    if (err == ERR_IO) {
        segment_scan_end(&scan);
        return log_fail(r->log, err);
    }
    while (err == ERR_OK) {
        err = segment_scan_next(&scan, &batch, &at);
        if (err == ERR_OK && (!batch_crc_ok(&batch) || batch.base_offset < r->expected ||
                                 batch_last_offset(&batch) - seg->base_offset > INT32_MAX ||
                                 gap_is_a_lie(r, seg, &batch, at)))
            err = ERR_CORRUPT;
        if (err != ERR_OK)
            break;
        r->bytes += (int64_t)batch.size_bytes;
        err = batch_taken(r, seg, &batch, at);
        at += (int64_t)batch.size_bytes;
    }
    segment_scan_end(&scan);
    if (err == ERR_TRUNCATED)
        err = ERR_CORRUPT;
    if (r->rewrite && (err == ERR_RANGE || err == ERR_CORRUPT)) {
        enum err written = rewrite(r, seg, *position, at);
        if (written != ERR_OK)
            return written == ERR_TRUNCATED ? ERR_IO : written;
    }
    if (err == ERR_RANGE || err == ERR_CORRUPT)
        seg->checked_from = *position; /* what is bad is cut off or hidden */
    *position = at;
    return err;
}

static bool
data_after(const struct log *log, int32_t i)
{
    for (i++; i < log->segment_count; i++)
        if (log->segments[i]->size_bytes > 0)
            return true;
    return false;
}

static enum err
cut_torn(struct recovery *r, int32_t i, int64_t position)
{
    struct log *log = r->log;
    struct log_segment *seg = log->segments[i];
    int64_t lost = seg->size_bytes - position;
    for (int32_t k = i + 1; k < log->segment_count; k++)
        lost += log->segments[k]->size_bytes;
    diag_event(env_diag(log->env), DIAG_WARN, "log", "log_truncated", DIAG_Z("dir", log->home.dir),
        DIAG_I64("offset", r->expected), DIAG_I64("segment", seg->base_offset),
        DIAG_I64("position", position), DIAG_I64("bytes", lost));
    atomic_fetch_add(&log->host->bytes_truncated, lost);
    int64_t size = seg->size_bytes;
    enum err err = log_segments_remove(log, i + 1, log->segment_count - i - 1);
    if (err == ERR_OK)
        err = segment_truncate(seg, position, r->expected);
    if (err == ERR_OK)
        atomic_fetch_sub(&log->size_bytes, size - position);
    return err;
}

/* Leaves the files as they are and only forgets what cannot be served. It is made durable all the
 * same: the journal ends with this start, and may have been all the disk had of what was
 * acknowledged behind the damage. */
static enum err
hide_corrupt(struct recovery *r, int32_t i, int64_t position)
{
    struct log *log = r->log;
    for (int32_t k = i; k < log->segment_count; k++) {
        struct env_file *file;
        enum err err = segment_file(log->segments[k], &file);
        if (err != ERR_OK)
            return err;
        err = env_sync(file);
        env_file_close(&file);
        if (err != ERR_OK)
            return err;
    }
    while (log->segment_count > i + 1) {
        atomic_fetch_sub(&log->size_bytes, log_active(log)->size_bytes);
        segment_free(&log->segments[--log->segment_count]);
    }
    atomic_fetch_sub(&log->size_bytes, log->segments[i]->size_bytes - position);
    log->segments[i]->size_bytes = position;
    return ERR_OK;
}

/* What the journal has behind the damage goes to the segments too, as it ends with this start.
 * *any: it has something, which was made durable after all that lies before it. Below the recovery
 * point its places may be of before a compaction, and the segments have it all. */
static enum err
fill_behind(struct recovery *r, int32_t i, int64_t position, bool *any)
{
    struct log *log = r->log;
    char key[LOG_NAME_MAX + 1];
    enum err err = ERR_OK;
    *any = false;
    if (log->host->redo == NULL)
        return ERR_OK;
    snprintf(key, sizeof key, "%s-%d", log->topic, (int)log->partition);
    struct log_redo_want want = {.key = str_of(key),
        .topic_id = log->topic_id,
        .position = position,
        .offset_next = r->expected > r->opts.recovery_point ? r->expected : r->opts.recovery_point};
    for (int32_t k = i; k < log->segment_count && err == ERR_OK; k++) {
        struct env_file *file;
        want.segment_base = log->segments[k]->base_offset;
        err = segment_file(log->segments[k], &file);
        if (err != ERR_OK)
            return err;
        err = log_redo_fill(log->host->redo, &want, file, any);
        env_file_close(&file);
        want.position = -1;
    }
    return err;
}

static enum err
handle_damage(struct recovery *r, int32_t i, int64_t position)
{
    struct log *log = r->log;
    enum segment_damage damage = SEGMENT_DAMAGE_CORRUPT;
    bool followed;
    enum err err = fill_behind(r, i, position, &followed);
    if (err == ERR_OK && r->expected >= r->opts.recovery_point && !followed)
        err = segment_classify(log->segments[i], position, r->expected, &damage);
    if (err != ERR_OK)
        return err;
    if (damage == SEGMENT_DAMAGE_TORN)
        return cut_torn(r, i, position);
    err = hide_corrupt(r, i, position);
    if (err != ERR_OK)
        return err;
    int64_t durable = r->opts.durable_end > r->expected ? r->opts.durable_end : r->expected;
    if (r->opts.recovery_point > durable)
        durable = r->opts.recovery_point;
    log_mark_corrupt(log, r->expected, durable,
        r->expected < r->opts.recovery_point ? "below the recovery point" : "not a torn write");
    return ERR_OK;
}

/* Segment i begins below the end of the one before: it cannot have been written after it. */
static enum err
handle_overlap(struct recovery *r, int32_t i)
{
    struct log *log = r->log;
    ASSERT(i > 0);
    if (!data_after(log, i - 1))
        return log_segments_remove(log, i, log->segment_count - i);
    enum err err = hide_corrupt(r, i - 1, log->segments[i - 1]->size_bytes);
    if (err != ERR_OK)
        return err;
    log_mark_corrupt(log, r->expected,
        r->opts.durable_end > r->expected ? r->opts.durable_end : r->expected, "overlap");
    return ERR_OK;
}

/* Segment i begins above the end of the one before. A power cut leaves that when the end of a
 * segment was never synced but the name of the next one was; then nothing from there on was durable
 * either, because flushes cover prefixes. Kafka leaves it by right: after compaction, and in a
 * follower of a compacted log. We name a segment by the end of the one before, whatever its first
 * batch, so above the recovery point a gap of our own making is always a loss. */
static bool
gap_is_loss(const struct recovery *r, int32_t i)
{
    int64_t base = r->log->segments[i]->base_offset;
    int64_t before = r->log->segments[i - 1]->base_offset;
    return r->gaps_are_losses && r->opts.recovery_point < base && r->opts.high_watermark < base &&
           r->opts.cleaned_end < base && base - before - 1 <= INT32_MAX;
}

/* An index with room for more entries than its segment can have batches: Kafka allocates those of
 * the active segment whole, so Kafka was the last to write here, and was killed. */
static bool
has_preallocated_index(struct log *log)
{
    char path[LOG_PATH_MAX];
    struct env_stat st;
    struct log_segment *active = log_active(log);
    return log_file_path(path, log->home.dir, active->base_offset, LOG_FILE_INDEX) &&
           env_stat(log->env, path, &st) == ERR_OK &&
           st.size_bytes / segment_index_entry_size(SEGMENT_INDEX_OFFSET) >
               active->size_bytes / BATCH_HEADER_SIZE + 1;
}

/* What the journal has of the segment from `position` on, where the scan found no more; *more when
 * it had something. */
static enum err
take_from_journal(struct recovery *r, struct log_segment *seg, int64_t position, bool *more)
{
    struct log *log = r->log;
    char key[LOG_NAME_MAX + 1];
    struct env_file *file;
    int64_t end = 0;
    *more = false;
    if (log->host->redo == NULL)
        return ERR_OK;
    snprintf(key, sizeof key, "%s-%d", log->topic, (int)log->partition);
    struct log_redo_want want = {.key = str_of(key),
        .topic_id = log->topic_id,
        .segment_base = seg->base_offset,
        .position = position,
        .offset_next = r->expected};
    enum err err = segment_file(seg, &file);
    if (err != ERR_OK)
        return err;
    err = log_redo_apply(log->host->redo, &want, file, &end);
    if (err == ERR_OK && seg->dirty_file == NULL) {
        env_file_ref(file);
        seg->dirty_file = file; /* segment.h, I4 */
    }
    env_file_close(&file);
    if (err == ERR_NOTFOUND)
        return ERR_OK;
    if (err != ERR_OK)
        return err;
    *more = true;
    if (end > seg->size_bytes) {
        atomic_fetch_add(&log->size_bytes, end - seg->size_bytes);
        seg->size_bytes = end;
    }
    return ERR_OK;
}

/* Scans what there is, and once more if the journal had what did not reach the segment, or a single
 * bit was lost with its sector. */
static enum err
scan_with_journal(struct recovery *r, struct log_segment *seg, int64_t *position)
{
    bool more = false;
    enum err err = scan_segment(r, seg, position);
    if (err != ERR_RANGE && err != ERR_CORRUPT)
        return err;
    enum err taken = take_from_journal(r, seg, *position, &more);
    if (taken != ERR_OK)
        return taken;
    if (more)
        err = scan_segment(r, seg, position);
    while (err == ERR_CORRUPT && r->expected >= r->opts.recovery_point) {
        enum err tried = segment_restore_bit(seg, *position, r->expected, &more);
        if (tried != ERR_OK)
            return tried;
        if (!more)
            break;
        err = scan_segment(r, seg, position);
    }
    return err;
}

/* Segment i from `position`; *stop when the log ends in it. */
static enum err
recover_segment(struct recovery *r, int32_t i, int64_t position, bool *stop)
{
    struct log *log = r->log;
    struct log_segment *seg = log->segments[i];
    if (position == 0) {
        if (r->expected > seg->base_offset) {
            *stop = true;
            return handle_overlap(r, i);
        }
        if (i > 0 && r->expected < seg->base_offset && gap_is_loss(r, i)) {
            *stop = true;
            return cut_torn(r, i - 1, log->segments[i - 1]->size_bytes);
        }
        r->expected = seg->base_offset;
    }
    enum err err = scan_with_journal(r, seg, &position);
    if (err == ERR_CORRUPT) {
        *stop = true;
        return handle_damage(r, i, position);
    }
    if (err != ERR_RANGE)
        return err;
    return i + 1 < log->segment_count ? segment_seal(seg) : ERR_OK;
}

/* After the scan. The newest timestamp has its entry where the log was closed; the one that is
 * written now has none yet. */
static enum err
indexes_remade(struct log *log, int32_t first)
{
    enum err err = ERR_OK;
    for (int32_t i = first; i < log->segment_count && err == ERR_OK; i++) {
        struct log_segment *seg = log->segments[i];
        if (seg->index[SEGMENT_INDEX_TIME].cut != NULL && seg->size_bytes > 0)
            err = segment_index_append(seg, SEGMENT_INDEX_TIME, NULL);
        for (int k = 0; k < SEGMENT_INDEX_COUNT && err == ERR_OK; k++)
            err = segment_index_remade(seg, (enum segment_index)k);
    }
    return err;
}

/* Where the scan of the first segment begins, and everything derived is cut back to there. */
static enum err
recovery_begin(struct recovery *r, int32_t first, int64_t *position)
{
    struct log *log = r->log;
    struct log_segment *seg = log->segments[first];
    struct segment_window w;
    struct batch_view batch;
    int64_t from = seg->base_offset;
    enum err err = segment_trust_indexes(seg, r->opts.recovery_point - 1, position);
    if (err == ERR_OK && *position > 0) {
        segment_window_init(&w, NULL);
        err = segment_header(seg, &w, *position, &batch);
        segment_window_fini(&w);
        from = batch.base_offset;
    }
    for (int32_t i = first + 1; i < log->segment_count && err == ERR_OK; i++) {
        int64_t ignored;
        err = segment_trust_indexes(log->segments[i], log->segments[i]->base_offset - 1, &ignored);
    }
    /* Transactions below the recovery point were flushed with it, and snapshots of producers there
     * say what they said. */
    int64_t derived = from > r->opts.recovery_point ? from : r->opts.recovery_point;
    for (int32_t i = first; i < log->segment_count && err == ERR_OK; i++)
        err = txn_index_truncate(log->segments[i], derived);
    if (err != ERR_OK)
        return err;
    r->expected = from;
    epoch_cache_truncate_end(&log->epochs, from);
    err = log_producers_truncate(log, derived);
    log->txn_rebuild_from = derived;
    return err;
}

/* ---- leader epochs ---- */

/* The epoch of the batch that holds `offset`; -1: none does, or it cannot be told. */
static enum err
epoch_at(struct log *log, int64_t offset, int32_t *epoch)
{
    struct segment_window w;
    struct batch_view batch;
    int64_t position;
    int32_t i = log_segment_floor(log, offset);
    *epoch = -1;
    if (i < 0 || offset >= log_end_offset(log) || log->segments[i]->size_bytes == 0)
        return ERR_OK;
    segment_window_init(&w, NULL);
    enum err err = segment_find(log->segments[i], &w, offset, -1, &batch, &position);
    segment_window_fini(&w);
    if (err == ERR_OK && batch.base_offset <= offset)
        *epoch = batch.leader_epoch;
    return err == ERR_RANGE || err == ERR_CORRUPT ? ERR_OK : err;
}

/* The file of epochs has no checksum, and a follower cuts its log by what it says. The newest few
 * entries must agree with the batches on both sides of where they begin. */
static enum err
check_epochs(struct log *log)
{
    const struct epoch_cache *cache = &log->epochs;
    int64_t first = log->segments[0]->base_offset;
    for (int32_t i = cache->count - 1; i >= 0 && i >= cache->count - EPOCHS_CHECKED; i--) {
        int64_t start = cache->entries[i].start_offset;
        int32_t at = -1, before = -1;
        enum err err = epoch_at(log, start, &at);
        if (err == ERR_OK && start > first)
            err = epoch_at(log, start - 1, &before);
        if (err != ERR_OK)
            return err;
        if ((at < 0 || at == cache->entries[i].epoch) && before < cache->entries[i].epoch)
            continue;
        diag_event(env_diag(log->env), DIAG_WARN, "log", "epochs_rebuilt",
            DIAG_Z("dir", log->home.dir), DIAG_I64("epoch", cache->entries[i].epoch),
            DIAG_I64("offset", start));
        return log_epochs_rebuild(log);
    }
    return ERR_OK;
}

/* Everything scanned becomes durable before it is served. */
static enum err
recovery_sync(struct log *log, int32_t first)
{
    for (int32_t i = first; i < log->segment_count; i++) {
        struct log_segment *seg = log->segments[i];
        if (!log->home.settle_later && seg->dirty_file == NULL && seg->size_bytes > 0) {
            enum err err = segment_file(seg, &seg->dirty_file);
            if (err != ERR_OK)
                return err;
        }
        seg->index[0].unsynced = seg->index[0].unsynced || i + 1 < log->segment_count;
        seg->index[1].unsynced = seg->index[1].unsynced || i + 1 < log->segment_count;
    }
    /* What was created just before a kill is in the page cache only, names included. */
    log->dir_dirty = true;
    log->parent_dirty = true;
    log->name_number = atomic_fetch_add(&log->host->names_made, 1) + 1;
    log->metadata_dirty = true;
    return ERR_OK;
}

static enum err
recover_from(struct log *log, const struct log_recover_opts *opts)
{
    struct recovery r = {
        .log = log, .opts = *opts, .rewrite = log->host->in_doubt || has_unsynced_marker(log)};
    r.gaps_are_losses =
        opts->gaps_are_losses && log->segment_count > 1 && !has_preallocated_index(log);
    int64_t position = 0;
    bool stop = false;
    /* The segment before counts too when the recovery point is the very end of it: it may have been
     * sealed after the flush, and its last index entries lost. */
    int32_t first = log_segment_floor(log, opts->recovery_point - 1);
    if (first < 0)
        first = 0;
    enum err err = recovery_begin(&r, first, &position);
    for (int32_t i = first; err == ERR_OK && !stop && i < log->segment_count; i++) {
        err = recover_segment(&r, i, position, &stop);
        position = 0;
    }
    if (err == ERR_OK)
        err = indexes_remade(log, first);
    if (err != ERR_OK)
        return err;
    atomic_store(&log->end_offset, r.expected);
    if (atomic_load(&log->state) == LOG_OPEN && r.expected < opts->durable_end)
        log_mark_corrupt(log, r.expected, opts->durable_end, "committed data is missing");
    atomic_fetch_add(&log->host->bytes_scanned, r.bytes);
    atomic_fetch_add(&log->host->logs_recovered, 1);
    err = check_epochs(log);
    log->was_unsynced = r.rewrite;
    return err == ERR_OK ? recovery_sync(log, first) : err;
}

enum err
log_recover(struct log *log, const struct log_recover_opts *opts)
{
    int32_t old_count = log->epochs.count;
    bool written = !epoch_cache_is_dirty(&log->epochs);
    struct epoch_entry *old = NULL;
    if (old_count > 0) {
        old = mem_alloc((size_t)old_count * sizeof *old);
        if (old == NULL)
            return ERR_NOMEM;
        memcpy(old, log->epochs.entries, (size_t)old_count * sizeof *old);
    }
    enum err err = recover_from(log, opts);
    /* Mostly the records say what the file said. */
    if (err == ERR_OK && written &&
        epoch_cache_same(&log->epochs, old, old_count, log_end_offset(log)))
        log->epochs.version_written = log->epochs.version;
    mem_free(old);
    return err;
}

enum err
log_epochs_rebuild(struct log *log)
{
    epoch_cache_clear(&log->epochs);
    log->epochs.version++;
    for (int32_t i = 0; i < log->segment_count; i++) {
        struct segment_window w;
        struct batch_view batch;
        int64_t at = 0;
        enum err err;
        segment_window_init(&w, NULL);
        while ((err = segment_header(log->segments[i], &w, at, &batch)) == ERR_OK) {
            err = epoch_cache_reserve(&log->epochs, 1);
            if (err != ERR_OK)
                break;
            if (batch.leader_epoch >= 0)
                epoch_cache_assign(&log->epochs, batch.leader_epoch, batch.base_offset);
            at += (int64_t)batch.size_bytes;
        }
        segment_window_fini(&w);
        if (err != ERR_RANGE && err != ERR_CORRUPT)
            return err;
    }
    return ERR_OK;
}
