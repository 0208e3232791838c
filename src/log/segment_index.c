/* What: the offset and the time index of a segment. Entries are fixed in size and sorted; the file
 * holds them all but the newest few, which are written together.
 * Invariants: I1 count - tail_count entries are in the file. I2 keys strictly grow.
 * Threads: partition lock.
 * Errors: a full disk costs index entries, never data: the index is sparse anyway. */
#include <string.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "log/segment.h"

enum { OFFSET_ENTRY_SIZE = 8, TIME_ENTRY_SIZE = 12, ENTRY_SIZE_MAX = 12, BLOCK_ENTRIES = 512 };

static const enum log_file_kind file_kinds[SEGMENT_INDEX_COUNT] = {
    [SEGMENT_INDEX_OFFSET] = LOG_FILE_INDEX,
    [SEGMENT_INDEX_TIME] = LOG_FILE_TIMEINDEX,
};

void
segment_index_init(struct segment_index_state *idx)
{
    *idx = (struct segment_index_state){0};
    file_slot_init(&idx->slot);
}

void
segment_index_fini(struct log_segment *seg, enum segment_index which)
{
    file_cache_drop(seg->home->files, &seg->index[which].slot);
    mem_free(seg->index[which].tail);
    mem_free(seg->index[which].cut);
    seg->index[which].tail = NULL;
    seg->index[which].cut = NULL;
}

uint32_t
segment_index_entry_size(enum segment_index which)
{
    return which == SEGMENT_INDEX_OFFSET ? OFFSET_ENTRY_SIZE : TIME_ENTRY_SIZE;
}

uint32_t
segment_index_count_max(const struct log_segment *seg, enum segment_index which)
{
    return (uint32_t)seg->home->config->segment_index_bytes / segment_index_entry_size(which);
}

void
segment_index_start(struct log_segment *seg, enum segment_index which)
{
    struct segment_index_state *idx = &seg->index[which];
    idx->count = 0;
    idx->tail_count = 0;
    idx->loaded = true;
}

/* Not through the cache: most new segments are of idle partitions. */
enum err
segment_index_create(struct log_segment *seg)
{
    struct segment_home *home = seg->home;
    struct segment_index_state *idx = &seg->index[SEGMENT_INDEX_OFFSET];
    struct env_file *file;
    char path[LOG_PATH_MAX];
    ASSERT(!idx->on_disk);
    ASSERT(seg->size_bytes == 0 && idx->count == 0);
    if (!segment_path(seg, LOG_FILE_INDEX, path))
        return ERR_INVALID;
    enum err err =
        env_open(home->env, path, ENV_OPEN_WRITE | ENV_OPEN_CREATE | ENV_OPEN_TRUNCATE, &file);
    if (err == ERR_NOSPACE)
        return ERR_OK;
    if (err != ERR_OK)
        return err;
    env_file_close(&file);
    idx->on_disk = true;
    return ERR_OK;
}

/* A reference to the index file. */
static enum err
index_file(struct log_segment *seg, enum segment_index which, bool create, struct env_file **out)
{
    struct segment_home *home = seg->home;
    struct env_file *file = file_cache_get(home->files, &seg->index[which].slot);
    if (file == NULL) {
        char path[LOG_PATH_MAX];
        if (!segment_path(seg, file_kinds[which], path))
            return ERR_INVALID;
        enum err err = file_cache_open(home->files, home->env, &seg->index[which].slot, path,
            ENV_OPEN_WRITE | ENV_OPEN_AS_ASKED | (create ? ENV_OPEN_CREATE : 0), &file);
        if (err != ERR_OK)
            return err;
    }
    seg->index[which].on_disk = true;
    *out = file;
    return ERR_OK;
}

static enum err
index_read(
    struct env_file *file, int64_t position, uint8_t *data, size_t len, struct segment_cold *cold)
{
    size_t n;
    enum err err = segment_read_at(file, position, data, len, &n, cold);
    if (err == ERR_OK && n != len)
        err = ERR_CORRUPT; /* shorter than when it was loaded */
    if (err == ERR_AGAIN) {
        int64_t all;
        cold->position = 0; /* a search looks in many places */
        if (env_file_size(file, &all) == ERR_OK && all > 0)
            cold->len = (size_t)all;
    }
    return err;
}

int64_t
segment_index_key_of(enum segment_index_key key, const uint8_t *entry)
{
    switch (key) {
    case SEGMENT_KEY_OFFSET: return (int32_t)load_be32(entry);
    case SEGMENT_KEY_POSITION: return (int32_t)load_be32(entry + 4);
    case SEGMENT_KEY_TIME: return (int64_t)load_be64(entry);
    case SEGMENT_KEY_TIME_OFFSET: return (int32_t)load_be32(entry + 8);
    }
    UNREACHABLE();
}

/* Length and last entry of the file are what Kafka checks too; positions within the data besides.
 */
static enum err
index_check(
    struct log_segment *seg, enum segment_index which, struct env_file *file, uint32_t *count)
{
    uint32_t size = segment_index_entry_size(which);
    uint8_t first[ENTRY_SIZE_MAX], last[ENTRY_SIZE_MAX];
    int64_t bytes;
    enum err err = env_file_size(file, &bytes);
    if (err != ERR_OK)
        return err;
    if (bytes % size != 0 || bytes / size > INT32_MAX)
        return ERR_CORRUPT;
    *count = (uint32_t)(bytes / size);
    if (bytes == 0)
        return ERR_OK;
    err = index_read(file, 0, first, size, NULL);
    if (err == ERR_OK)
        err = index_read(file, bytes - size, last, size, NULL);
    if (err != ERR_OK)
        return err;
    if (which == SEGMENT_INDEX_TIME) {
        if (segment_index_key_of(SEGMENT_KEY_TIME, last) <
                segment_index_key_of(SEGMENT_KEY_TIME, first) ||
            segment_index_key_of(SEGMENT_KEY_TIME_OFFSET, last) < 0)
            return ERR_CORRUPT;
        return ERR_OK;
    }
    int64_t offset = segment_index_key_of(SEGMENT_KEY_OFFSET, last);
    int64_t position = segment_index_key_of(SEGMENT_KEY_POSITION, last);
    if (offset < segment_index_key_of(SEGMENT_KEY_OFFSET, first) || offset < 0 || position <= 0 ||
        position >= seg->size_bytes)
        return ERR_CORRUPT;
    return ERR_OK;
}

enum err
segment_index_load(struct log_segment *seg, enum segment_index which)
{
    struct segment_index_state *idx = &seg->index[which];
    if (idx->loaded)
        return ERR_OK;
    struct env_file *file;
    uint32_t count = 0;
    enum err err = index_file(seg, which, false, &file);
    if (err == ERR_OK) {
        err = index_check(seg, which, file, &count);
        env_file_close(&file);
    }
    if (err == ERR_OK && which == SEGMENT_INDEX_TIME && count == 0 && seg->size_bytes > 0) {
        /* Sealing leaves at least one entry where there are timestamps at all. */
        int64_t timestamp;
        err = segment_first_timestamp(seg, &timestamp);
        if (err == ERR_OK && timestamp >= 0)
            err = ERR_CORRUPT;
    }
    if (err == ERR_NOTFOUND && seg->size_bytes == 0) {
        segment_index_start(seg, which);
        return ERR_OK;
    }
    if (err == ERR_NOTFOUND || err == ERR_CORRUPT)
        return segment_rebuild_indexes(seg);
    if (err != ERR_OK)
        return err;
    idx->count = count;
    idx->tail_count = 0;
    idx->loaded = true;
    return ERR_OK;
}

/* Appends one entry; entry NULL: the time index entry of what the segment has seen so far, when it
 * is later than the last one. */
enum err
segment_index_append(struct log_segment *seg, enum segment_index which, const uint8_t *entry)
{
    struct segment_index_state *idx = &seg->index[which];
    uint32_t size = segment_index_entry_size(which);
    uint8_t made[TIME_ENTRY_SIZE], last[ENTRY_SIZE_MAX];
    enum err err = segment_index_load(seg, which);
    if (err != ERR_OK)
        return err;
    if (entry == NULL) {
        int64_t last_timestamp = BATCH_NO_TIMESTAMP, max_timestamp, max_offset;
        ASSERT(which == SEGMENT_INDEX_TIME);
        err = segment_max_timestamp(seg, &max_timestamp, &max_offset);
        if (err == ERR_OK && idx->count > 0) {
            err = segment_index_get(seg, which, idx->count - 1, false, last);
            last_timestamp = (int64_t)load_be64(last);
        }
        if (err != ERR_OK || max_timestamp <= last_timestamp)
            return err;
        store_be64(made, (uint64_t)max_timestamp);
        store_be32(made + 8, (uint32_t)(max_offset - seg->base_offset));
        entry = made;
    }
    if (idx->count >= segment_index_count_max(seg, which))
        return ERR_OK; /* sparse anyway */
    if (idx->tail == NULL) {
        idx->tail = mem_alloc((size_t)SEGMENT_INDEX_TAIL * size);
        if (idx->tail == NULL)
            return ERR_NOMEM;
    }
    if (idx->tail_count == SEGMENT_INDEX_TAIL) {
        err = segment_index_write_tail(seg, which);
        if (err != ERR_OK)
            return err;
    }
    memcpy(idx->tail + (size_t)idx->tail_count * size, entry, size);
    idx->tail_count++;
    idx->count++;
    return ERR_OK;
}

/* Entries of a history that is gone must not come back after a power cut: they would look just like
 * good ones. */
static enum err
file_cut(struct log_segment *seg, struct env_file *file, int64_t size_bytes)
{
    enum err err = env_truncate(file, size_bytes);
    return err == ERR_OK && !seg->home->settle_later ? env_sync(file) : err;
}

/* Of what was to be made again; the file is then as I1 says. */
static enum err
cut_off(struct log_segment *seg, enum segment_index which)
{
    struct segment_index_state *idx = &seg->index[which];
    struct env_file *file;
    if (idx->cut == NULL)
        return ERR_OK;
    mem_free(idx->cut);
    idx->cut = NULL;
    idx->cut_count = 0;
    enum err err = index_file(seg, which, false, &file);
    if (err != ERR_OK)
        return err;
    err = file_cut(
        seg, file, (int64_t)(idx->count - idx->tail_count) * segment_index_entry_size(which));
    env_file_close(&file);
    idx->unsynced = true;
    return err;
}

/* Few entries, of whatever worth: they are compared, not believed. */
static enum err
count_few(struct log_segment *seg, enum segment_index which)
{
    struct segment_index_state *idx = &seg->index[which];
    uint32_t size = segment_index_entry_size(which);
    struct env_file *file;
    int64_t bytes;
    enum err err = index_file(seg, which, false, &file);
    if (err != ERR_OK)
        return err == ERR_NOTFOUND ? ERR_OK : err;
    err = env_file_size(file, &bytes);
    env_file_close(&file);
    if (err != ERR_OK || bytes % size != 0 || bytes / size > SEGMENT_INDEX_TAIL)
        return err;
    idx->count = (uint32_t)(bytes / size);
    idx->tail_count = 0;
    idx->loaded = true;
    return ERR_OK;
}

enum err
segment_index_remake(struct log_segment *seg, enum segment_index which, uint32_t count)
{
    struct segment_index_state *idx = &seg->index[which];
    uint32_t size = segment_index_entry_size(which), more;
    struct env_file *file;
    enum err err = idx->loaded || count > 0 ? ERR_OK : count_few(seg, which);
    ASSERT(idx->cut == NULL);
    if (err != ERR_OK)
        return err;
    more = idx->count - count;
    if (!idx->loaded || idx->tail_count > 0 || count >= idx->count || more > SEGMENT_INDEX_TAIL)
        return segment_index_truncate(seg, which, count);
    idx->cut = mem_alloc((size_t)more * size);
    if (idx->cut == NULL)
        return ERR_NOMEM;
    err = index_file(seg, which, false, &file);
    if (err == ERR_OK) {
        err = index_read(file, (int64_t)count * size, idx->cut, (size_t)more * size, false);
        env_file_close(&file);
    }
    if (err != ERR_OK) {
        mem_free(idx->cut);
        idx->cut = NULL;
        return err == ERR_CORRUPT ? segment_index_truncate(seg, which, count) : err;
    }
    idx->cut_count = more;
    idx->count = count;
    return ERR_OK;
}

enum err
segment_index_remade(struct log_segment *seg, enum segment_index which)
{
    struct segment_index_state *idx = &seg->index[which];
    if (idx->cut == NULL)
        return ERR_OK;
    if (idx->tail_count != idx->cut_count ||
        memcmp(idx->tail, idx->cut, (size_t)idx->cut_count * segment_index_entry_size(which)) != 0)
        return cut_off(seg, which);
    idx->tail_count = 0;
    idx->unsynced = true; /* perhaps; a settling of the volume covers it */
    mem_free(idx->tail);  /* most such logs are idle */
    mem_free(idx->cut);
    idx->tail = NULL;
    idx->cut = NULL;
    idx->cut_count = 0;
    return ERR_OK;
}

enum err
segment_index_write_tail(struct log_segment *seg, enum segment_index which)
{
    struct segment_index_state *idx = &seg->index[which];
    uint32_t size = segment_index_entry_size(which);
    ASSERT(idx->loaded);
    if (idx->tail_count == 0 && (idx->count > 0 || idx->on_disk))
        return ERR_OK;
    struct env_file *file;
    enum err err = cut_off(seg, which);
    if (err == ERR_OK)
        err = index_file(seg, which, true, &file);
    if (err == ERR_NOSPACE)
        goto drop;
    if (err != ERR_OK)
        return err;
    int64_t position = (int64_t)(idx->count - idx->tail_count) * size;
    if (idx->tail_count > 0)
        err =
            env_write_at(file, position, (struct bytes){idx->tail, (size_t)idx->tail_count * size});
    if (err == ERR_NOSPACE && env_truncate(file, position) != ERR_OK)
        err = ERR_IO;
    env_file_close(&file);
    if (err == ERR_NOSPACE)
        goto drop;
    if (err != ERR_OK)
        return err;
    idx->unsynced = true;
    idx->tail_count = 0;
    return ERR_OK;
drop:
    idx->count -= idx->tail_count;
    idx->tail_count = 0;
    return ERR_OK;
}

enum err
segment_index_truncate(struct log_segment *seg, enum segment_index which, uint32_t count)
{
    struct segment_index_state *idx = &seg->index[which];
    ASSERT(count <= idx->count || !idx->loaded);
    uint32_t in_file = idx->count - idx->tail_count;
    enum err err = cut_off(seg, which);
    if (err != ERR_OK)
        return err;
    if (idx->loaded && count >= in_file) {
        idx->tail_count = count - in_file;
        idx->count = count;
        return ERR_OK;
    }
    struct env_file *file;
    err = index_file(seg, which, false, &file);
    if (err == ERR_NOTFOUND && count == 0) {
        segment_index_start(seg, which);
        return ERR_OK;
    }
    if (err != ERR_OK)
        return err;
    err = file_cut(seg, file, (int64_t)count * segment_index_entry_size(which));
    env_file_close(&file);
    if (err != ERR_OK)
        return err;
    idx->loaded = true;
    idx->tail_count = 0;
    idx->count = count;
    idx->unsynced = true;
    return ERR_OK;
}

enum err
segment_index_get(struct log_segment *seg, enum segment_index which, uint32_t n,
    struct segment_cold *cold, uint8_t *entry)
{
    struct segment_index_state *idx = &seg->index[which];
    uint32_t size = segment_index_entry_size(which);
    ASSERT(idx->loaded);
    ASSERT(n < idx->count);
    uint32_t in_file = idx->count - idx->tail_count;
    if (n >= in_file) {
        memcpy(entry, idx->tail + (size_t)(n - in_file) * size, size);
        return ERR_OK;
    }
    struct env_file *file;
    enum err err = index_file(seg, which, false, &file);
    if (err != ERR_OK)
        return err;
    err = index_read(file, (int64_t)n * size, entry, size, cold);
    env_file_close(&file);
    return err;
}

struct index_search {
    struct log_segment *seg;
    enum segment_index which;
    enum segment_index_key key;
    int64_t target;
    struct segment_cold *cold; /* NULL: it may wait */
    uint32_t low, high;        /* entries below low are <= target, from high on > */
    int64_t n;                 /* the last that was seen <= target; -1 none */
    uint8_t *entry;            /* it */
};

static void
search_entry(struct index_search *s, uint32_t n, const uint8_t *entry)
{
    if (segment_index_key_of(s->key, entry) > s->target) {
        s->high = n;
        return;
    }
    s->low = n + 1;
    s->n = n;
    memcpy(s->entry, entry, segment_index_entry_size(s->which));
}

/* Entries start to stop - 1 of the file, in one read. */
static enum err
search_block(struct index_search *s, uint32_t start, uint32_t stop)
{
    uint32_t size = segment_index_entry_size(s->which);
    uint8_t data[BLOCK_ENTRIES * ENTRY_SIZE_MAX];
    struct env_file *file;
    ASSERT(start < stop && stop - start <= BLOCK_ENTRIES);
    ASSERT(s->low <= start && stop <= s->high);
    enum err err = index_file(s->seg, s->which, false, &file);
    if (err != ERR_OK)
        return err;
    err = index_read(file, (int64_t)start * size, data, (size_t)(stop - start) * size, s->cold);
    env_file_close(&file);
    for (uint32_t n = start; err == ERR_OK && n < stop && n < s->high; n++)
        search_entry(s, n, data + (size_t)(n - start) * size);
    return err;
}

/* First where the last search ended, since readers go on from there; then by single entries until a
 * block is left, and within one read. */
static enum err
search_file(struct index_search *s, uint32_t near, uint32_t in_file)
{
    enum err err = ERR_OK;
    if (s->high - s->low > BLOCK_ENTRIES && near >= s->low && near < s->high)
        err =
            search_block(s, near, s->high - near > BLOCK_ENTRIES ? near + BLOCK_ENTRIES : s->high);
    while (err == ERR_OK && s->high - s->low > BLOCK_ENTRIES) {
        uint32_t middle = s->low + (s->high - s->low) / 2;
        uint8_t entry[ENTRY_SIZE_MAX];
        ASSERT(middle < in_file);
        err = segment_index_get(s->seg, s->which, middle, s->cold, entry);
        if (err == ERR_OK)
            search_entry(s, middle, entry);
    }
    if (err == ERR_OK && s->low < s->high)
        err = search_block(s, s->low, s->high);
    return err;
}

enum err
segment_index_floor(struct log_segment *seg, enum segment_index_key key, int64_t target,
    struct segment_cold *cold, int64_t *n, uint8_t *entry)
{
    struct index_search s = {.seg = seg, .key = key, .target = target, .cold = cold, .n = -1};
    s.entry = entry;
    s.which = key == SEGMENT_KEY_TIME || key == SEGMENT_KEY_TIME_OFFSET ? SEGMENT_INDEX_TIME
                                                                        : SEGMENT_INDEX_OFFSET;
    struct segment_index_state *idx = &seg->index[s.which];
    enum err err = segment_index_load(seg, s.which);
    if (err != ERR_OK)
        return err;
    uint32_t in_file = idx->count - idx->tail_count;
    bool in_tail = idx->tail_count > 0 && segment_index_key_of(key, idx->tail) <= target;
    s.high = in_file;
    if (!in_tail) {
        err = search_file(&s, idx->near, in_file);
        if (err == ERR_OK && s.n >= 0)
            idx->near = (uint32_t)s.n;
    }
    uint32_t size = segment_index_entry_size(s.which);
    s.high = in_tail ? idx->count : s.high;
    for (uint32_t i = in_file; in_tail && i < s.high; i++)
        search_entry(&s, i, idx->tail + (size_t)(i - in_file) * size);
    if (err == ERR_OK)
        *n = s.n;
    return err;
}
