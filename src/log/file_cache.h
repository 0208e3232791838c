/* log/file_cache.h - a bounded number of open files, closed by least recent use.
 *
 * A slot stands for one file and is embedded in whatever knows its path. References handed out stay
 * valid after the cache let go of the file. Any thread (mutex FILE_CACHE inside); one slot is used
 * by one thread at a time. */
#ifndef LOG_FILE_CACHE_H
#define LOG_FILE_CACHE_H

#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/list.h"
#include "os/env.h"

struct file_cache;

struct file_slot {
    struct list link; /* the cache's */
    struct env_file *file;
};

MUST_USE enum err file_cache_new(int32_t files_max, struct file_cache **out);
void file_cache_free(struct file_cache **cache); /* every slot dropped before */

void file_slot_init(struct file_slot *slot);
/* A new reference, or NULL when the file is not open: then open it and put it. */
MUST_USE struct env_file *file_cache_get(struct file_cache *cache, struct file_slot *slot);
/* Opens the file for the slot, which has none, and puts it; *out is a new reference. When the
 * process is out of descriptors (LIMIT), lets go of half of the files and tries once more. */
MUST_USE enum err file_cache_open(struct file_cache *cache, struct env *env, struct file_slot *slot,
    const char *path, int flags, struct env_file **out);
/* Keeps a reference of its own to a file just opened for the slot. */
void file_cache_put(struct file_cache *cache, struct file_slot *slot, struct env_file *file);
void file_cache_drop(struct file_cache *cache, struct file_slot *slot);
int64_t file_cache_count(struct file_cache *cache);

#endif
