/* What: the leader epochs of one log.
 * Invariants: I1 epochs and start offsets both strictly grow, but for an epoch that has no records
 * yet, which may share the start offset of none (the earlier one gives way).
 * Threads: partition lock. Errors: NOMEM from reserve only. */
#include "log/epoch_cache.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "log/checkpoint.h"

void
epoch_cache_init(struct epoch_cache *cache)
{
    *cache = (struct epoch_cache){0};
}

void
epoch_cache_fini(struct epoch_cache *cache)
{
    mem_free(cache->entries);
    *cache = (struct epoch_cache){0};
}

int32_t
epoch_cache_latest(const struct epoch_cache *cache)
{
    return cache->count == 0 ? -1 : cache->entries[cache->count - 1].epoch;
}

enum err
epoch_cache_reserve(struct epoch_cache *cache, int32_t extra)
{
    ASSERT(extra >= 0);
    if (cache->capacity - cache->count >= extra)
        return ERR_OK;
    int32_t capacity = cache->count + extra + (cache->count > 2 ? cache->count / 2 : 0);
    void *entries = mem_realloc(cache->entries, (size_t)capacity * sizeof *cache->entries);
    if (entries == NULL)
        return ERR_NOMEM;
    cache->entries = entries;
    cache->capacity = capacity;
    return ERR_OK;
}

void
epoch_cache_assign(struct epoch_cache *cache, int32_t epoch, int64_t start_offset)
{
    ASSERT(epoch >= 0);
    ASSERT(start_offset >= 0);
    if (epoch <= epoch_cache_latest(cache))
        return;
    while (cache->count > 0 && cache->entries[cache->count - 1].start_offset >= start_offset)
        cache->count--;
    ASSERT(cache->count < cache->capacity);
    cache->entries[cache->count++] =
        (struct epoch_entry){.epoch = epoch, .start_offset = start_offset};
    cache->version++;
}

void
epoch_cache_end_offset(const struct epoch_cache *cache, int32_t asked, int64_t log_end_offset,
    int32_t *epoch, int64_t *end_offset)
{
    *epoch = -1;
    *end_offset = -1;
    if (asked < 0 || cache->count == 0)
        return;
    if (asked == epoch_cache_latest(cache)) {
        *epoch = asked;
        *end_offset = log_end_offset;
        return;
    }
    if (asked > epoch_cache_latest(cache))
        return; /* we never heard of it */
    int32_t i = cache->count - 1;
    while (i >= 0 && cache->entries[i].epoch > asked)
        i--;
    /* Before the first known epoch: Kafka answers the asked epoch with the first start offset. */
    *epoch = i < 0 ? asked : cache->entries[i].epoch;
    *end_offset = cache->entries[i + 1].start_offset;
}

int32_t
epoch_cache_for_offset(const struct epoch_cache *cache, int64_t offset)
{
    for (int32_t i = cache->count - 1; i >= 0; i--)
        if (cache->entries[i].start_offset <= offset)
            return cache->entries[i].epoch;
    return -1;
}

void
epoch_cache_truncate_end(struct epoch_cache *cache, int64_t end_offset)
{
    while (cache->count > 0 && cache->entries[cache->count - 1].start_offset >= end_offset) {
        cache->count--;
        cache->version_cut = ++cache->version;
    }
}

void
epoch_cache_truncate_start(struct epoch_cache *cache, int64_t start_offset)
{
    int32_t over = -1; /* the last one that starts at or below */
    while (over + 1 < cache->count && cache->entries[over + 1].start_offset <= start_offset)
        over++;
    if (over < 0 || (over == 0 && cache->entries[0].start_offset == start_offset))
        return;
    cache->entries[over].start_offset = start_offset;
    for (int32_t i = over; i < cache->count; i++)
        cache->entries[i - over] = cache->entries[i];
    cache->count -= over;
    cache->version_cut = ++cache->version;
}

void
epoch_cache_clear(struct epoch_cache *cache)
{
    if (cache->count > 0)
        cache->version_cut = ++cache->version;
    cache->count = 0;
}

bool
epoch_cache_is_dirty(const struct epoch_cache *cache)
{
    return cache->version != cache->version_written;
}

bool
epoch_cache_has_news(const struct epoch_cache *cache, int64_t log_end_offset)
{
    if (!epoch_cache_is_dirty(cache))
        return false;
    return cache->version_cut > cache->version_written || cache->count == 0 ||
           cache->entries[cache->count - 1].start_offset < log_end_offset;
}

static int32_t
count_below(const struct epoch_entry *entries, int32_t count, int64_t end)
{
    while (count > 0 && entries[count - 1].start_offset >= end)
        count--;
    return count;
}

bool
epoch_cache_same(const struct epoch_cache *cache, const struct epoch_entry *old, int32_t old_count,
    int64_t log_end_offset)
{
    int32_t count = count_below(cache->entries, cache->count, log_end_offset);
    if (count != count_below(old, old_count, log_end_offset))
        return false;
    for (int32_t i = 0; i < count; i++)
        if (cache->entries[i].epoch != old[i].epoch ||
            cache->entries[i].start_offset != old[i].start_offset)
            return false;
    return true;
}

void
epoch_cache_encode(const struct epoch_cache *cache, struct buf *text)
{
    checkpoint_begin(text, cache->count);
    for (int32_t i = 0; i < cache->count; i++)
        buf_printf(
            text, "%d %lld\n", cache->entries[i].epoch, (long long)cache->entries[i].start_offset);
}

static bool
epoch_line(void *ctx, struct str line)
{
    struct epoch_cache *cache = ctx;
    int64_t epoch, start_offset;
    if (!checkpoint_take_number(&line, &epoch) || !checkpoint_take_number(&line, &start_offset) ||
        line.len != 0 || epoch < 0 || epoch > INT32_MAX || start_offset < 0)
        return false;
    if (epoch_cache_reserve(cache, 1) != ERR_OK)
        return false;
    epoch_cache_assign(cache, (int32_t)epoch, start_offset);
    return true;
}

enum err
epoch_cache_load(struct epoch_cache *cache, struct env *env, const char *path)
{
    cache->count = 0;
    enum err err = checkpoint_read(env, path, epoch_line, cache);
    if (err != ERR_OK)
        cache->count = 0;
    cache->version_written = cache->version;
    return err;
}
