/* What: whether batches are what was written. A bit may rot while nobody looks; what is sent on is
 * checked once after each start, by the way, when it is first read.
 *
 * Invariants: I1 from checked_from on all is sound: written or recovered in this life. I2 so is
 * [sound_from, sound_to), which begins and ends where batches do.
 * Threads: partition lock.
 * Errors: CORRUPT. What rots later, in the page cache or behind it, readers find by the checksum.
 */
#include "base/alloc.h"
#include "base/assert.h"
#include "log/segment.h"

enum {
    CHECK_BYTES_MAX = 1 << 20,   /* at once, under the lock; one batch may be more */
    SEARCH_BYTES_MAX = 64 << 20, /* how far behind damage a sound batch is looked for */
};

static bool
is_sound(const struct log_segment *seg, int64_t from, int64_t to)
{
    if (from >= seg->checked_from)
        return true;
    return from >= seg->sound_from && to <= seg->sound_to;
}

static void
note_sound(struct log_segment *seg, int64_t from, int64_t to)
{
    ASSERT(from < to);
    if (from >= seg->sound_from && from <= seg->sound_to) {
        if (to > seg->sound_to)
            seg->sound_to = to;
    } else {
        seg->sound_from = from;
        seg->sound_to = to;
    }
    if (seg->sound_to >= seg->checked_from)
        seg->checked_from = seg->sound_from;
}

enum err
segment_check(struct log_segment *seg, const struct segment_check_opts *opts, int64_t *end_position,
    int64_t *end_offset)
{
    struct segment_scan scan;
    struct batch_view batch;
    int64_t at = opts->position, position, offset = -1;
    ASSERT(at < opts->position_max && opts->position_max <= seg->size_bytes);
    if (is_sound(seg, at, opts->position_max))
        return ERR_OK;
    enum err err = segment_scan_begin(&scan, seg, at);
    if (err != ERR_OK)
        return err;
    scan.end = opts->position_max;
    scan.cold = opts->cold;
    while (at < opts->position_max &&
           (offset < 0 || at + CHECK_BYTES_MAX / 4 <= opts->position + CHECK_BYTES_MAX)) {
        err = segment_scan_next(&scan, &batch, &position);
        if (err == ERR_OK && !batch_crc_ok(&batch))
            err = ERR_CORRUPT;
        if (err != ERR_OK || batch.base_offset >= opts->bound_offset)
            break;
        at += (int64_t)batch.size_bytes;
        offset = batch_last_offset(&batch) + 1;
    }
    segment_scan_end(&scan);
    if (err != ERR_OK && err != ERR_TRUNCATED && err != ERR_CORRUPT)
        return err;
    if (offset < 0)
        return ERR_CORRUPT;
    note_sound(seg, opts->position, at);
    *end_position = at;
    /* A hole behind the last batch belongs to it only for who knows the whole run. */
    if (at < opts->position_max)
        *end_offset = offset;
    return ERR_OK;
}

/* Where to begin looking for `offset`: wrong entries cost time only. */
static int64_t
search_start(struct log_segment *seg, int64_t offset)
{
    uint8_t entry[12];
    int64_t n, position;
    enum err err = segment_index_floor(
        seg, SEGMENT_KEY_OFFSET, offset - seg->base_offset - 1, NULL, &n, entry);
    if (err != ERR_OK || n < 0)
        return 0;
    position = segment_index_key_of(SEGMENT_KEY_POSITION, entry);
    return position > 0 && position < seg->size_bytes ? position : 0;
}

enum err
segment_find_sound(
    struct log_segment *seg, int64_t offset, struct batch_view *batch, int64_t *position)
{
    struct env_file *file;
    int64_t start = search_start(seg, offset), left = seg->size_bytes - start;
    size_t len = left < SEARCH_BYTES_MAX ? (size_t)left : (size_t)SEARCH_BYTES_MAX, n = 0, at = 0;
    if (len == 0)
        return ERR_RANGE;
    uint8_t *data = mem_alloc(len);
    if (data == NULL)
        return ERR_NOMEM;
    enum err err = segment_file(seg, &file);
    if (err == ERR_OK) {
        err = env_read_at(file, start, data, len, &n);
        env_file_close(&file);
    }
    while (err == ERR_OK) {
        struct bytes rest = {data + at, n - at};
        struct batch_view view;
        at += segment_next_sound(rest, seg->base_offset);
        if (at >= n) {
            err = ERR_RANGE;
            break;
        }
        enum err parsed = batch_parse((struct bytes){data + at, n - at}, &view);
        ASSERT(parsed == ERR_OK);
        if (batch_last_offset(&view) >= offset) {
            *batch = view;
            batch->whole = batch->records = BYTES_NULL;
            *position = start + (int64_t)at;
            break;
        }
        at += view.size_bytes;
    }
    mem_free(data);
    return err;
}
