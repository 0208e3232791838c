/* What: reading a segment batch by batch after an unclean stop, rebuilding its indexes, and telling
 * a torn tail from damage.
 *
 * Everything read here is untrusted. How damage is told from a torn write is explained in
 * docs/decisions/recovery-torn-or-corrupt.md; the rule is in segment_classify. */
#include <string.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/diag.h"
#include "log/segment.h"

enum {
    SCAN_CHUNK = 1 << 20,
    SCAN_AHEAD = 2 << 20, /* this chunk, and the next while this is looked at */
    SECTOR = 512,
    FOLLOW_SEARCH_MAX = 64 << 20, /* how far behind damage a valid batch is looked for */
};

enum err
segment_scan_begin(struct segment_scan *scan, struct log_segment *seg, int64_t position)
{
    ASSERT(position >= 0);
    *scan = (struct segment_scan){.seg = seg, .position = position, .end = seg->size_bytes};
    return segment_file(seg, &scan->file);
}

void
segment_scan_end(struct segment_scan *scan)
{
    if (scan->file != NULL)
        env_file_close(&scan->file);
    mem_free(scan->chunk);
    scan->chunk = NULL;
}

/* Sees to it that `need` bytes at the scan's position are in the chunk, or all that are left. */
static enum err
scan_fill(struct segment_scan *scan, size_t need)
{
    int64_t have = scan->chunk_position + (int64_t)scan->chunk_len - scan->position;
    if (scan->position >= scan->chunk_position && have >= (int64_t)need)
        return ERR_OK;
    int64_t left = scan->end - scan->position;
    size_t want = need > SCAN_CHUNK ? need : SCAN_CHUNK;
    if ((int64_t)want > left)
        want = (size_t)left;
    if (want > scan->chunk_capacity) {
        mem_free(scan->chunk);
        scan->chunk_capacity = 0;
        scan->chunk_len = 0;
        scan->chunk = mem_alloc(want);
        if (scan->chunk == NULL)
            return ERR_NOMEM;
        scan->chunk_capacity = want;
    }
    scan->chunk_position = scan->position;
    scan->chunk_len = 0;
    if (scan->cold == NULL)
        env_will_need(scan->file, scan->position, left < SCAN_AHEAD ? left : SCAN_AHEAD);
    return segment_read_at(
        scan->file, scan->position, scan->chunk, want, &scan->chunk_len, scan->cold);
}

static struct bytes
scan_bytes(const struct segment_scan *scan)
{
    size_t skip = (size_t)(scan->position - scan->chunk_position);
    return (struct bytes){scan->chunk + skip, scan->chunk_len - skip};
}

enum err
segment_scan_next(struct segment_scan *scan, struct batch_view *batch, int64_t *position)
{
    struct batch_view view;
    size_t size;
    if (scan->position >= scan->end)
        return ERR_RANGE;
    enum err err = scan_fill(scan, BATCH_HEADER_SIZE);
    if (err != ERR_OK)
        return err;
    err = batch_peek_size(scan_bytes(scan), &size);
    if (err != ERR_OK)
        return err == ERR_TRUNCATED ? ERR_TRUNCATED : ERR_CORRUPT;
    if ((int64_t)size > scan->end - scan->position)
        return ERR_TRUNCATED;
    err = scan_fill(scan, size);
    if (err != ERR_OK)
        return err;
    err = batch_parse(scan_bytes(scan), &view);
    if (err != ERR_OK)
        return err == ERR_TRUNCATED ? ERR_TRUNCATED : ERR_CORRUPT;
    if (!segment_may_hold(scan->seg, &view))
        return ERR_CORRUPT;
    *batch = view;
    *position = scan->position;
    scan->position += (int64_t)view.size_bytes;
    return ERR_OK;
}

enum err
segment_rebuild_indexes(struct log_segment *seg)
{
    struct segment_window w;
    struct batch_view view;
    int64_t at = 0;
    enum err err;
    diag_event(env_diag(seg->home->env), DIAG_DEBUG, "log", "indexes_rebuilt",
        DIAG_Z("dir", seg->home->dir), DIAG_I64("segment", seg->base_offset));
    for (int i = 0; i < SEGMENT_INDEX_COUNT; i++) {
        seg->index[i].loaded = false;
        err = segment_index_truncate(seg, (enum segment_index)i, 0);
        if (err != ERR_OK)
            return err;
    }
    seg->max_timestamp = BATCH_NO_TIMESTAMP;
    seg->max_timestamp_offset = seg->base_offset;
    seg->bytes_since_index = 0;
    segment_window_init(&w, NULL);
    for (;;) {
        err = segment_header(seg, &w, at, &view);
        if (err == ERR_OK)
            err = segment_note(seg, &view, at);
        if (err != ERR_OK)
            break;
        at += (int64_t)view.size_bytes;
    }
    segment_window_fini(&w);
    if (err != ERR_RANGE && err != ERR_CORRUPT)
        return err;
    err = segment_index_append(seg, SEGMENT_INDEX_TIME, NULL);
    for (int i = 0; i < SEGMENT_INDEX_COUNT && err == ERR_OK; i++)
        err = segment_index_write_tail(seg, (enum segment_index)i);
    return err;
}

/* Number of leading entries whose keys grow and, of the offset index, point into the data. */
static enum err
trusted_count(struct log_segment *seg, enum segment_index which, int64_t offset, uint32_t *out)
{
    struct segment_index_state *idx = &seg->index[which];
    int64_t offset_last = -1, second_last = -1, relative_max = offset - seg->base_offset;
    uint8_t entry[12];
    uint32_t n;
    for (n = 0; n < idx->count; n++) {
        enum err err = segment_index_get(seg, which, n, NULL, entry);
        if (err != ERR_OK)
            return err;
        bool time = which == SEGMENT_INDEX_TIME;
        int64_t relative =
            segment_index_key_of(time ? SEGMENT_KEY_TIME_OFFSET : SEGMENT_KEY_OFFSET, entry);
        int64_t second =
            segment_index_key_of(time ? SEGMENT_KEY_TIME : SEGMENT_KEY_POSITION, entry);
        if (relative <= offset_last || relative > relative_max || second <= second_last ||
            (time && relative == 0 && second == 0) || /* nothing was ever written there */
            (!time && (second <= 0 || second >= seg->size_bytes)))
            break;
        offset_last = relative;
        second_last = second;
    }
    *out = n;
    return ERR_OK;
}

enum err
segment_trust_indexes(struct log_segment *seg, int64_t offset, int64_t *scan_position)
{
    struct segment_window w;
    struct batch_view view;
    uint8_t entry[12];
    uint32_t count = 0, time_count = 0;
    int64_t position = 0, covered = seg->base_offset - 1;
    enum err err = segment_index_load(seg, SEGMENT_INDEX_OFFSET);
    /* A scan from the beginning makes the time index again: it need not be right, or be at all. */
    if (err == ERR_OK && seg->index[SEGMENT_INDEX_OFFSET].count > 0)
        err = segment_index_load(seg, SEGMENT_INDEX_TIME);
    if (err == ERR_OK)
        err = trusted_count(seg, SEGMENT_INDEX_OFFSET, offset, &count);
    if (err != ERR_OK)
        return err;
    if (count > 0) {
        err = segment_index_get(seg, SEGMENT_INDEX_OFFSET, count - 1, NULL, entry);
        if (err != ERR_OK)
            return err;
        position = segment_index_key_of(SEGMENT_KEY_POSITION, entry);
        covered = seg->base_offset + segment_index_key_of(SEGMENT_KEY_OFFSET, entry);
        segment_window_init(&w, NULL);
        err = segment_header(seg, &w, position, &view);
        segment_window_fini(&w);
        if (err != ERR_OK && err != ERR_CORRUPT && err != ERR_RANGE)
            return err;
        if (err != ERR_OK || batch_last_offset(&view) != covered) {
            err = ERR_OK; /* the entry leads nowhere: what the index says is not needed */
            count = 0;
            position = 0;
            covered = seg->base_offset - 1;
        } else {
            /* The batch of the last entry is scanned again; its entry must not stand twice. */
            count--;
            covered = view.base_offset - 1;
        }
    }
    if (position > 0)
        err = trusted_count(seg, SEGMENT_INDEX_TIME, covered, &time_count);
    if (err == ERR_OK)
        err = segment_index_remake(seg, SEGMENT_INDEX_OFFSET, count);
    if (err == ERR_OK)
        err = segment_index_remake(seg, SEGMENT_INDEX_TIME, time_count);
    if (err != ERR_OK)
        return err;
    seg->max_timestamp = SEGMENT_TIMESTAMP_UNKNOWN;
    seg->bytes_since_index =
        position > 0 ? (uint32_t)seg->home->config->index_interval_bytes + 1 : 0;
    *scan_position = position;
    return ERR_OK;
}

static bool
all_zero(const uint8_t *p, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (p[i] != 0)
            return false;
    return true;
}

/* True when the `len` bytes at file position `position` have a piece, cut at sector borders, that
 * is all zeros: an append that never reached the disk leaves exactly that. */
static bool
has_lost_sector(const uint8_t *p, size_t len, int64_t position)
{
    size_t at = 0;
    while (at < len) {
        size_t piece = SECTOR - (size_t)((position + (int64_t)at) % SECTOR);
        if (piece > len - at)
            piece = len - at;
        if (all_zero(p + at, piece))
            return true;
        at += piece;
    }
    return false;
}

size_t
segment_next_sound(struct bytes in, int64_t offset_next)
{
    for (size_t i = 0; i + BATCH_HEADER_SIZE <= in.len; i++) {
        struct batch_view view;
        if (in.data[i + BATCH_AT_MAGIC] != BATCH_MAGIC)
            continue;
        int64_t base = (int64_t)load_be64(in.data + i);
        if (base < offset_next || base - offset_next > INT32_MAX)
            continue;
        if (batch_parse((struct bytes){in.data + i, in.len - i}, &view) == ERR_OK &&
            batch_crc_ok(&view))
            return i;
    }
    return in.len;
}

/* ---- one wrong bit ---- */

/* A batch that is whole but for one bit. */
struct wrong_bit {
    size_t size;  /* the batch's */
    size_t at;    /* its byte */
    uint8_t mask; /* 0: only the base offset may be wrong, and not in one bit */
};

/* The checksum of a message with one changed bit differs from the right one by a value that says
 * which bit it was: true when `difference` is such a value for `len` bytes. */
static bool
find_bit(uint32_t difference, size_t len, size_t *at, uint8_t *mask)
{
    enum { POLYNOMIAL = 0x82f63b78u }; /* CRC-32C, reflected */
    uint32_t table[256], change[8];
    for (uint32_t i = 0; i < 256; i++) {
        table[i] = i;
        for (int k = 0; k < 8; k++)
            table[i] = table[i] >> 1 ^ (table[i] & 1 ? POLYNOMIAL : 0);
    }
    for (int k = 0; k < 8; k++)
        change[k] = table[1 << k];
    for (; len > 0; len--) /* from the last byte to the first */
        for (int k = 0; k < 8; k++) {
            if (change[k] == difference) {
                *at = len - 1;
                *mask = (uint8_t)(1 << k);
                return true;
            }
            change[k] = change[k] >> 8 ^ table[change[k] & 0xff];
        }
    return false;
}

/* Bit `k`, counted from the lowest, of a field of `bytes` bytes at `field`. */
static void
bit_of_field(struct wrong_bit *wrong, size_t field, int bytes, int k)
{
    wrong->at = field + (size_t)(bytes - 1 - k / 8);
    wrong->mask = (uint8_t)(1 << k % 8);
}

/* True when `in` begins with a batch that is whole but for one bit, wherever that is. No checksum
 * covers the base offset; one that is higher than what is due may be right, after compaction. */
static bool
is_one_bit_off(struct bytes in, int64_t offset_next, struct wrong_bit *wrong)
{
    if (in.len < BATCH_HEADER_SIZE)
        return false;
    int64_t length = (int32_t)load_be32(in.data + BATCH_AT_LENGTH);
    uint32_t crc = load_be32(in.data + BATCH_AT_CRC);
    uint64_t base = load_be64(in.data);
    uint64_t base_wrong = (int64_t)base < offset_next ? base ^ (uint64_t)offset_next : 0;
    uint8_t magic = in.data[BATCH_AT_MAGIC] ^ BATCH_MAGIC;
    int outside = __builtin_popcountll(base_wrong) + __builtin_popcount(magic);
    *wrong = (struct wrong_bit){0};
    for (int bit = -1; bit < 32 && outside <= 1; bit++) {
        int64_t size =
            (bit < 0 ? length : (int32_t)((uint32_t)length ^ 1u << bit)) + BATCH_LENGTH_OVERHEAD;
        if (size < BATCH_HEADER_SIZE || size > (int64_t)in.len || outside + (bit >= 0) > 1)
            continue;
        struct bytes whole = {in.data, (size_t)size};
        uint32_t difference = crc ^ batch_crc_compute(whole);
        wrong->size = whole.len;
        if (difference == 0) {
            if (bit >= 0)
                bit_of_field(wrong, BATCH_AT_LENGTH, 4, bit);
            else if (magic != 0)
                bit_of_field(wrong, BATCH_AT_MAGIC, 1, __builtin_ctz(magic));
            else if (base_wrong != 0)
                bit_of_field(wrong, 0, 8, __builtin_ctzll(base_wrong));
            return true;
        }
        if (bit >= 0 || outside > 0)
            continue;
        if ((difference & (difference - 1)) == 0) {
            bit_of_field(wrong, BATCH_AT_CRC, 4, __builtin_ctz(difference));
            return true;
        }
        if (find_bit(difference, whole.len - BATCH_AT_ATTRIBUTES, &wrong->at, &wrong->mask)) {
            wrong->at += BATCH_AT_ATTRIBUTES;
            return true;
        }
    }
    return false;
}

/* True when the bit may have been lost with its sector: all that the batch has there is zeros. With
 * another sector of zeros it may have been any of millions of bits, and one of them fits the
 * checksum of a torn batch too often. */
static bool
is_in_lost_sector(const uint8_t *data, const struct wrong_bit *wrong, int64_t position)
{
    size_t from = 0, to = (size_t)(SECTOR - position % SECTOR);
    bool there = wrong->mask != 0;
    for (; there && from < wrong->size; from = to, to += SECTOR) {
        size_t end = to < wrong->size ? to : wrong->size;
        there = all_zero(data + from, end - from) == (wrong->at >= from && wrong->at < end);
    }
    return there;
}

/* `len` bytes at most from `position` on. */
static enum err
read_rest(struct log_segment *seg, int64_t position, struct bytes *rest)
{
    struct env_file *file;
    int64_t left = seg->size_bytes - position;
    size_t len = left < FOLLOW_SEARCH_MAX ? (size_t)left : FOLLOW_SEARCH_MAX, n = 0;
    uint8_t *data = mem_alloc(len);
    if (data == NULL)
        return ERR_NOMEM;
    enum err err = segment_file(seg, &file);
    if (err == ERR_OK) {
        err = env_read_at(file, position, data, len, &n);
        env_file_close(&file);
    }
    if (err != ERR_OK) {
        mem_free(data);
        return err;
    }
    *rest = (struct bytes){data, n};
    return ERR_OK;
}

static enum err
write_byte(struct log_segment *seg, int64_t position, uint8_t byte)
{
    struct env_file *file;
    enum err err = segment_file(seg, &file);
    if (err != ERR_OK)
        return err;
    err = env_write_at(file, position, (struct bytes){&byte, 1});
    if (err == ERR_OK && seg->dirty_file == NULL) {
        env_file_ref(file);
        seg->dirty_file = file; /* segment.h, I4 */
    }
    env_file_close(&file);
    return err;
}

enum err
segment_restore_bit(struct log_segment *seg, int64_t position, int64_t offset_next, bool *restored)
{
    struct wrong_bit wrong;
    struct bytes rest;
    ASSERT(position < seg->size_bytes);
    enum err err = read_rest(seg, position, &rest);
    if (err != ERR_OK)
        return err;
    *restored =
        is_one_bit_off(rest, offset_next, &wrong) && is_in_lost_sector(rest.data, &wrong, position);
    if (*restored)
        err = write_byte(seg, position + (int64_t)wrong.at, wrong.mask); /* it is zero */
    mem_free((void *)rest.data);
    return err;
}

/* True when the checksum fits the batch that begins `in`: at most the base offset is wrong. */
static bool
fits_its_checksum(struct bytes in)
{
    struct batch_view view;
    return batch_parse(in, &view) == ERR_OK && batch_crc_ok(&view);
}

enum err
segment_classify(
    struct log_segment *seg, int64_t position, int64_t offset_next, enum segment_damage *damage)
{
    ASSERT(position < seg->size_bytes);
    struct wrong_bit wrong;
    struct bytes rest;
    enum err err = read_rest(seg, position, &rest);
    if (err != ERR_OK)
        return err;
    const uint8_t *data = rest.data;
    size_t n = rest.len;
    size_t batch_size;
    if (is_one_bit_off(rest, offset_next, &wrong)) {
        *damage = SEGMENT_DAMAGE_CORRUPT;
        mem_free((void *)data);
        return ERR_OK;
    }
    size_t valid_at = segment_next_sound(rest, offset_next);
    /* What was meant to stand here, as far as its length can be believed. */
    bool sized = batch_peek_size(rest, &batch_size) == ERR_OK && batch_size <= n;
    size_t suspect = sized && batch_size < valid_at ? batch_size : valid_at;
    if (fits_its_checksum(rest)) /* zeros in there were meant */
        suspect = BATCH_AT_CRC;
    bool lost = has_lost_sector(data, suspect, position);
    /* Or the file ends in the middle of it. */
    bool cut = !sized && valid_at == n && n < (size_t)FOLLOW_SEARCH_MAX;
    if (cut && n > BATCH_HEADER_SIZE && !lost) {
        /* Too short for the length it gives. If the checksum fits what is there, the length was
         * changed, not the end lost. */
        uint32_t crc = load_be32(data + BATCH_AT_CRC);
        cut = crc != batch_crc_compute(rest);
    }
    *damage = lost || cut ? SEGMENT_DAMAGE_TORN : SEGMENT_DAMAGE_CORRUPT;
    mem_free((void *)data);
    return ERR_OK;
}
