/* What: reading from a log: which bytes of which file answer a fetch, and which transactions among
 * them were aborted. Of what was there before this process only what passes its checksum is given
 * out; it is checked when first read. Else only headers are read; records go from the file to the
 * socket.
 * Threads: partition lock; the slice outlives it by its file reference. */
#include <string.h>

#include "base/assert.h"
#include "base/diag.h"
#include "log/log_priv.h"

/* The batch that holds `offset`, or the first after it (compaction leaves holes). */
static enum err
find_batch(struct log *log, struct segment_window *w, int64_t offset, int32_t *index,
    struct batch_view *batch, int64_t *position)
{
    int32_t i = log_segment_floor(log, offset);
    if (i < 0)
        i = 0;
    for (; i < log->segment_count; i++) {
        struct log_segment *seg = log->segments[i];
        int64_t hint = log_cursor_hint(log, seg, offset);
        if (seg->size_bytes == 0)
            continue;
        enum err err = segment_find(seg, w, offset, hint, batch, position);
        if (err == ERR_OK)
            *index = i;
        if (err != ERR_RANGE)
            return err;
        segment_window_fini(w);
        segment_window_init(w, w->cold);
    }
    return ERR_RANGE;
}

static enum err
read_batches(struct log *log, struct segment_window *w, const struct log_read_opts *opts,
    struct log_slice *slice)
{
    struct batch_view first;
    int64_t position, end_position, end_offset;
    int32_t i;
    enum err err = find_batch(log, w, opts->offset, &i, &first, &position);
    if (err == ERR_RANGE)
        return ERR_OK; /* a hole up to the end */
    if (err != ERR_OK)
        return err;
    struct log_segment *seg = log->segments[i];
    if (first.base_offset >= opts->bound_offset)
        return ERR_OK;
    if (first.size_bytes > opts->max_bytes && !opts->min_one)
        return ERR_OK;
    int64_t limit = position + (int64_t)(first.size_bytes > opts->max_bytes ? first.size_bytes
                                                                            : opts->max_bytes);
    if (limit >= seg->size_bytes && opts->bound_offset >= log_segment_end(log, i)) {
        end_position = seg->size_bytes;
        end_offset = log_segment_end(log, i);
    } else {
        if (limit > seg->size_bytes)
            limit = seg->size_bytes;
        err = segment_run_end(
            seg, w, position, &first, limit, opts->bound_offset, &end_position, &end_offset);
        if (err != ERR_OK)
            return err;
    }
    struct segment_check_opts check = {.position = position,
        .position_max = end_position,
        .bound_offset = opts->bound_offset,
        .cold = w->cold};
    err = segment_check(seg, &check, &end_position, &end_offset);
    if (err != ERR_OK)
        return err;
    ASSERT(end_position > position);
    ASSERT(end_position <= seg->size_bytes);
    struct log_slice out = {
        .position = position,
        .len = (size_t)(end_position - position),
        .first_offset = first.base_offset,
        .end_offset = end_offset,
        .first_epoch = first.leader_epoch,
    };
    err = segment_file(seg, &out.file);
    if (err != ERR_OK)
        return err;
    if (end_position < seg->size_bytes || i + 1 == log->segment_count)
        log_cursor_note(log, false, end_offset, seg->base_offset, end_position);
    *slice = out;
    return ERR_OK;
}

/* ---- damage ---- */

/* Nothing sound holds the offsets from here up to `to`. */
static enum err
damaged(struct log *log, int64_t from, int64_t to)
{
    ASSERT(from < to);
    log->damaged_from = from;
    log->damaged_to = to;
    diag_event(env_diag(log->env), DIAG_ERROR, "log", "data_damaged", DIAG_Z("dir", log->home.dir),
        DIAG_I64("from_offset", from), DIAG_I64("to_offset", to));
    return ERR_CORRUPT;
}

/* A header or a checksum was wrong on the way to the offset: what is not damaged is served all the
 * same, found by its checksum. */
static enum err
read_around(struct log *log, const struct log_read_opts *opts, struct log_slice *slice)
{
    struct batch_view first;
    int64_t position, end_position, end_offset;
    int32_t i = log_segment_floor(log, opts->offset);
    if (opts->offset >= log->damaged_from && opts->offset < log->damaged_to)
        return ERR_CORRUPT;
    if (opts->nowait)
        return ERR_AGAIN;
    if (i < 0)
        return ERR_CORRUPT;
    struct log_segment *seg = log->segments[i];
    enum err err = segment_find_sound(seg, opts->offset, &first, &position);
    if (err == ERR_RANGE)
        return damaged(log, opts->offset, log_segment_end(log, i));
    if (err != ERR_OK)
        return err;
    if (first.base_offset > opts->offset)
        return damaged(log, opts->offset, first.base_offset);
    if (first.base_offset >= opts->bound_offset ||
        (first.size_bytes > opts->max_bytes && !opts->min_one))
        return ERR_OK;
    end_position = position + (int64_t)first.size_bytes;
    end_offset = batch_last_offset(&first) + 1;
    struct log_slice out = {.position = position,
        .len = first.size_bytes,
        .first_offset = first.base_offset,
        .end_offset = end_offset,
        .first_epoch = first.leader_epoch};
    err = segment_file(seg, &out.file);
    if (err != ERR_OK)
        return err;
    log_cursor_note(log, false, end_offset, seg->base_offset, end_position);
    *slice = out;
    return ERR_OK;
}

enum err
log_read(struct log *log, const struct log_read_opts *opts, struct log_slice *slice)
{
    int64_t end = log_end_offset(log);
    *slice = (struct log_slice){
        .first_offset = opts->offset, .end_offset = opts->offset, .first_epoch = -1};
    if (opts->offset < log_start_offset(log))
        return ERR_RANGE;
    if (opts->offset >= end && atomic_load(&log->state) == LOG_CORRUPT)
        return ERR_CORRUPT;
    if (opts->offset > end)
        return ERR_RANGE;
    if (opts->offset >= opts->bound_offset || opts->offset == end)
        return ERR_OK;
    struct segment_window w;
    struct segment_cold cold = {0};
    segment_window_init(&w, opts->nowait ? &cold : NULL);
    enum err err = read_batches(log, &w, opts, slice);
    segment_window_fini(&w);
    if (err == ERR_AGAIN) {
        slice->file = cold.file; /* the reference moves */
        slice->position = cold.position;
        slice->len = cold.len;
    }
    ASSERT(err == ERR_AGAIN || cold.file == NULL);
    return err == ERR_CORRUPT ? read_around(log, opts, slice) : err;
}

/* ---- aborted transactions ---- */

enum { ABORTED_BLOCK = 64 };

struct aborted {
    struct arena *arena;
    struct log_aborted_txn *txns;
    int32_t count, capacity;
    int64_t start_offset, end_offset;
    bool complete; /* an entry said that all below the end is decided */
    bool nomem;
};

static bool
aborted_take(void *ctx, const struct txn_index_entry *entry)
{
    struct aborted *a = ctx;
    if (entry->last_offset >= a->start_offset && entry->first_offset < a->end_offset) {
        if (a->count == a->capacity) {
            int32_t capacity = a->capacity == 0 ? ABORTED_BLOCK : a->capacity * 2;
            struct log_aborted_txn *txns =
                arena_alloc(a->arena, (size_t)capacity * sizeof *a->txns);
            if (txns == NULL) {
                a->nomem = true;
                return false;
            }
            if (a->count > 0)
                memcpy(txns, a->txns, (size_t)a->count * sizeof *txns);
            a->txns = txns;
            a->capacity = capacity;
        }
        a->txns[a->count++] = (struct log_aborted_txn){
            .producer_id = entry->producer_id, .first_offset = entry->first_offset};
    }
    if (entry->last_stable_offset >= a->end_offset) {
        a->complete = true;
        return false;
    }
    return true;
}

enum err
log_aborted_txns(struct log *log, int64_t start_offset, int64_t end_offset, struct arena *arena,
    struct log_aborted_txn **txns, int32_t *count)
{
    struct aborted a = {.arena = arena, .start_offset = start_offset, .end_offset = end_offset};
    int32_t i = log_segment_floor(log, start_offset);
    for (i = i < 0 ? 0 : i; i < log->segment_count && !a.complete; i++) {
        enum err err = txn_index_each(log->segments[i], aborted_take, &a);
        if (err != ERR_OK)
            return err;
        if (a.nomem)
            return ERR_NOMEM;
    }
    *txns = a.txns;
    *count = a.count;
    return ERR_OK;
}
