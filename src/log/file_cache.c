/* What: open files in the order of their last use; beyond the ceiling the oldest is let go.
 * Invariants: I1 a slot is in the list if and only if it holds a file. I2 count is the list's
 * length and at most files_max.
 * Threads: any; files are closed outside the mutex.
 * Errors: none but NOMEM at creation. */
#include "log/file_cache.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "os/mutex.h"

struct file_cache {
    struct mutex mutex;
    struct list used; /* least recently used first */
    int32_t count;
    int32_t files_max;
};

enum err
file_cache_new(int32_t files_max, struct file_cache **out)
{
    ASSERT(files_max > 0);
    struct file_cache *cache = mem_calloc(1, sizeof *cache);
    if (cache == NULL)
        return ERR_NOMEM;
    mutex_init(&cache->mutex, MUTEX_RANK_FILE_CACHE);
    list_init(&cache->used);
    cache->files_max = files_max;
    *out = cache;
    return ERR_OK;
}

void
file_cache_free(struct file_cache **cache)
{
    if (*cache == NULL)
        return;
    ASSERT(list_empty(&(*cache)->used));
    mutex_fini(&(*cache)->mutex);
    mem_free(*cache);
    *cache = NULL;
}

void
file_slot_init(struct file_slot *slot)
{
    list_init(&slot->link);
    slot->file = NULL;
}

struct env_file *
file_cache_get(struct file_cache *cache, struct file_slot *slot)
{
    mutex_lock(&cache->mutex);
    struct env_file *file = slot->file;
    if (file != NULL) {
        env_file_ref(file);
        list_remove(&slot->link);
        list_push(&cache->used, &slot->link);
    }
    mutex_unlock(&cache->mutex);
    return file;
}

static void
file_cache_halve(struct file_cache *cache)
{
    int32_t keep = (int32_t)(file_cache_count(cache) / 2);
    for (;;) {
        struct env_file *file = NULL;
        mutex_lock(&cache->mutex);
        if (cache->count > keep) {
            struct file_slot *oldest = LIST_ENTRY(list_pop(&cache->used), struct file_slot, link);
            file = oldest->file;
            oldest->file = NULL;
            cache->count--;
        }
        mutex_unlock(&cache->mutex);
        if (file == NULL)
            return;
        env_file_close(&file);
    }
}

enum err
file_cache_open(struct file_cache *cache, struct env *env, struct file_slot *slot, const char *path,
    int flags, struct env_file **out)
{
    struct env_file *file;
    enum err err = env_open(env, path, flags, &file);
    if (err == ERR_LIMIT) {
        file_cache_halve(cache);
        err = env_open(env, path, flags, &file);
    }
    if (err != ERR_OK)
        return err;
    file_cache_put(cache, slot, file);
    *out = file;
    return ERR_OK;
}

void
file_cache_put(struct file_cache *cache, struct file_slot *slot, struct env_file *file)
{
    struct env_file *evicted = NULL;
    mutex_lock(&cache->mutex);
    ASSERT(slot->file == NULL);
    if (cache->count == cache->files_max) {
        struct file_slot *oldest = LIST_ENTRY(list_pop(&cache->used), struct file_slot, link);
        evicted = oldest->file;
        oldest->file = NULL;
        cache->count--;
    }
    env_file_ref(file);
    slot->file = file;
    list_push(&cache->used, &slot->link);
    cache->count++;
    mutex_unlock(&cache->mutex);
    if (evicted != NULL)
        env_file_close(&evicted);
}

void
file_cache_drop(struct file_cache *cache, struct file_slot *slot)
{
    mutex_lock(&cache->mutex);
    struct env_file *file = slot->file;
    if (file != NULL) {
        list_remove(&slot->link);
        slot->file = NULL;
        cache->count--;
    }
    mutex_unlock(&cache->mutex);
    if (file != NULL)
        env_file_close(&file);
}

int64_t
file_cache_count(struct file_cache *cache)
{
    mutex_lock(&cache->mutex);
    int64_t count = cache->count;
    mutex_unlock(&cache->mutex);
    return count;
}
