/* What: finding batches in a segment by offset, position and time, reading headers only.
 * Errors: an index entry that does not lead to the batch it names is not believed: the indexes are
 * rebuilt and the search begins at the segment's start. */
#include <string.h>

#include "base/assert.h"
#include "log/segment.h"

enum {
    WALK_READS = 8, /* headers read one after the other: more will be */
    WALK_AHEAD = 1 << 20,
};

enum err
segment_read_at(struct env_file *file, int64_t position, void *data, size_t len, size_t *n,
    struct segment_cold *cold)
{
    if (cold == NULL)
        return env_read_at(file, position, data, len, n);
    enum err err = env_read_at_cached(file, position, data, len, n);
    if (err != ERR_AGAIN)
        return err;
    ASSERT(cold->file == NULL);
    env_file_ref(file);
    *cold = (struct segment_cold){file, position, len};
    return ERR_AGAIN;
}

void
segment_window_init(struct segment_window *w, struct segment_cold *cold)
{
    w->position = 0;
    w->len = 0;
    w->file = NULL;
    w->cold = cold;
    w->reads = 0;
}

void
segment_window_fini(struct segment_window *w)
{
    if (w->file != NULL)
        env_file_close(&w->file);
    w->len = 0;
}

bool
segment_may_hold(const struct log_segment *seg, const struct batch_view *batch)
{
    return batch->last_offset_delta >= 0 && batch->base_offset >= seg->base_offset &&
           batch->base_offset < INT64_MAX - batch->last_offset_delta;
}

enum err
segment_header(
    struct log_segment *seg, struct segment_window *w, int64_t position, struct batch_view *out)
{
    ASSERT(position >= 0);
    if (position >= seg->size_bytes)
        return ERR_RANGE;
    if (position < w->position || position + BATCH_HEADER_SIZE > w->position + (int64_t)w->len) {
        enum err err = w->file == NULL ? segment_file(seg, &w->file) : ERR_OK;
        if (err != ERR_OK)
            return err;
        int64_t left = seg->size_bytes - position; /* I2: nothing beyond is looked at */
        size_t len = left < (int64_t)sizeof w->data ? (size_t)left : sizeof w->data;
        w->len = 0;
        if (w->cold == NULL && ++w->reads % WALK_READS == 0)
            env_will_need(w->file, position, left < WALK_AHEAD ? left : WALK_AHEAD);
        err = segment_read_at(w->file, position, w->data, len, &w->len, w->cold);
        if (err != ERR_OK) {
            w->len = 0;
            return err;
        }
        w->position = position;
    }
    struct bytes at = {
        w->data + (position - w->position), (size_t)(w->position + (int64_t)w->len - position)};
    struct batch_view view;
    if (batch_parse_header(at, &view) != ERR_OK ||
        (int64_t)view.size_bytes > seg->size_bytes - position || !segment_may_hold(seg, &view))
        return ERR_CORRUPT;
    *out = view;
    return ERR_OK;
}

/* Where to start looking for `offset`; an entry that lies costs a rebuild. */
static enum err
find_start(struct log_segment *seg, struct segment_window *w, int64_t offset, int64_t *position)
{
    uint8_t entry[12];
    struct batch_view batch;
    int64_t n;
    int64_t relative = offset - seg->base_offset;
    *position = 0;
    enum err err = segment_index_floor(seg, SEGMENT_KEY_OFFSET, relative, w->cold, &n, entry);
    if (err != ERR_OK || n < 0)
        return err;
    int64_t at = segment_index_key_of(SEGMENT_KEY_POSITION, entry);
    err = at > 0 ? segment_header(seg, w, at, &batch) : ERR_CORRUPT;
    if (err == ERR_OK && batch_last_offset(&batch) ==
                             seg->base_offset + segment_index_key_of(SEGMENT_KEY_OFFSET, entry)) {
        *position = at;
        return ERR_OK;
    }
    if (err != ERR_OK && err != ERR_CORRUPT && err != ERR_RANGE)
        return err;
    return segment_rebuild_indexes(seg);
}

enum err
segment_find(struct log_segment *seg, struct segment_window *w, int64_t offset, int64_t hint,
    struct batch_view *batch, int64_t *position)
{
    int64_t at = hint;
    if (hint < 0) {
        enum err err = find_start(seg, w, offset, &at);
        if (err != ERR_OK)
            return err;
    }
    for (;;) {
        struct batch_view view;
        enum err err = segment_header(seg, w, at, &view);
        if (err != ERR_OK)
            return err;
        if (batch_last_offset(&view) >= offset) {
            *batch = view;
            *position = at;
            return ERR_OK;
        }
        at += (int64_t)view.size_bytes;
    }
}

/* The later of the batches that the index knows to be in the run. */
static enum err
run_start(struct log_segment *seg, struct segment_cold *cold, int64_t position_max,
    int64_t bound_offset, int64_t *position)
{
    uint8_t by_position[12], by_offset[12];
    int64_t n, m;
    enum err err =
        segment_index_floor(seg, SEGMENT_KEY_POSITION, position_max, cold, &n, by_position);
    if (err == ERR_OK)
        err = segment_index_floor(
            seg, SEGMENT_KEY_OFFSET, bound_offset - 1 - seg->base_offset, cold, &m, by_offset);
    if (err != ERR_OK)
        return err;
    *position = -1;
    if (n >= 0 && m >= 0)
        *position = segment_index_key_of(SEGMENT_KEY_POSITION, n < m ? by_position : by_offset);
    return ERR_OK;
}

enum err
segment_run_end(struct log_segment *seg, struct segment_window *w, int64_t position,
    const struct batch_view *first, int64_t position_max, int64_t bound_offset,
    int64_t *end_position, int64_t *end_offset)
{
    int64_t after_first = position + (int64_t)first->size_bytes, jump;
    int64_t at = after_first;
    int64_t last_offset = batch_last_offset(first);
    enum err err = run_start(seg, w->cold, position_max, bound_offset, &jump);
    if (err != ERR_OK)
        return err;
    if (jump > at) {
        /* Only believed when a batch stands there: see find_start. */
        struct batch_view view;
        err = segment_header(seg, w, jump, &view);
        if (err == ERR_OK && jump + (int64_t)view.size_bytes <= position_max &&
            view.base_offset < bound_offset && view.base_offset > last_offset) {
            at = jump + (int64_t)view.size_bytes;
            last_offset = batch_last_offset(&view);
        } else if (err == ERR_AGAIN || err == ERR_IO || err == ERR_NOMEM) {
            return err;
        }
    }
    while (at < position_max) {
        struct batch_view view;
        err = segment_header(seg, w, at, &view);
        if (err == ERR_RANGE || err == ERR_CORRUPT)
            break; /* what stands before it is served; the reader finds it next time */
        if (err != ERR_OK)
            return err;
        if (view.base_offset >= bound_offset || at + (int64_t)view.size_bytes > position_max)
            break;
        at += (int64_t)view.size_bytes;
        last_offset = batch_last_offset(&view);
    }
    *end_position = at;
    *end_offset = last_offset + 1;
    return ERR_OK;
}

enum err
segment_end_offset(struct log_segment *seg, int64_t *out)
{
    if (seg->size_bytes == 0) {
        *out = seg->base_offset;
        return ERR_OK;
    }
    struct segment_window w;
    struct batch_view view;
    int64_t at, end = seg->base_offset;
    segment_window_init(&w, NULL);
    enum err err = find_start(seg, &w, INT32_MAX + seg->base_offset, &at);
    while (err == ERR_OK) {
        err = segment_header(seg, &w, at, &view);
        if (err != ERR_OK)
            break;
        end = batch_last_offset(&view) + 1;
        at += (int64_t)view.size_bytes;
    }
    segment_window_fini(&w);
    if (err != ERR_RANGE)
        return err;
    *out = end;
    return ERR_OK;
}

enum err
segment_max_timestamp(struct log_segment *seg, int64_t *timestamp, int64_t *offset)
{
    if (seg->max_timestamp == SEGMENT_TIMESTAMP_UNKNOWN) {
        uint8_t entry[12];
        enum err err = segment_index_load(seg, SEGMENT_INDEX_TIME);
        if (err != ERR_OK)
            return err;
        uint32_t count = seg->index[SEGMENT_INDEX_TIME].count;
        int64_t max_timestamp = BATCH_NO_TIMESTAMP, max_offset = seg->base_offset;
        if (count > 0) {
            err = segment_index_get(seg, SEGMENT_INDEX_TIME, count - 1, NULL, entry);
            if (err != ERR_OK)
                return err;
            max_timestamp = segment_index_key_of(SEGMENT_KEY_TIME, entry);
            max_offset = seg->base_offset + segment_index_key_of(SEGMENT_KEY_TIME_OFFSET, entry);
        }
        /* The load may have rebuilt the index and thereby learned it. */
        if (seg->max_timestamp == SEGMENT_TIMESTAMP_UNKNOWN) {
            seg->max_timestamp = max_timestamp;
            seg->max_timestamp_offset = max_offset;
        }
    }
    *timestamp = seg->max_timestamp;
    *offset = seg->max_timestamp_offset;
    return ERR_OK;
}

enum err
segment_first_timestamp(struct log_segment *seg, int64_t *timestamp)
{
    if (seg->size_bytes == 0) {
        *timestamp = BATCH_NO_TIMESTAMP;
        return ERR_OK;
    }
    if (seg->first_timestamp == SEGMENT_TIMESTAMP_UNKNOWN) {
        struct segment_window w;
        struct batch_view view;
        segment_window_init(&w, NULL);
        enum err err = segment_header(seg, &w, 0, &view);
        segment_window_fini(&w);
        if (err != ERR_OK)
            return err;
        seg->first_timestamp = view.max_timestamp;
    }
    *timestamp = seg->first_timestamp;
    return ERR_OK;
}

enum err
segment_time_floor(struct log_segment *seg, int64_t target_ms, int64_t *offset)
{
    uint8_t entry[12];
    int64_t n;
    /* Entries with a timestamp below the target: nothing up to their offset reaches it. */
    enum err err = segment_index_floor(seg, SEGMENT_KEY_TIME, target_ms - 1, NULL, &n, entry);
    if (err != ERR_OK)
        return err;
    *offset = n < 0 ? seg->base_offset
                    : seg->base_offset + segment_index_key_of(SEGMENT_KEY_TIME_OFFSET, entry) + 1;
    return ERR_OK;
}
