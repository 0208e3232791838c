/* log/epoch_cache.h - which leader epoch wrote which offsets: `epoch start_offset`, both growing.
 *
 * Pure memory plus the text of leader-epoch-checkpoint. Partition lock. KIP-101, KIP-279. */
#ifndef LOG_EPOCH_CACHE_H
#define LOG_EPOCH_CACHE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/err.h"
#include "os/env.h"

struct epoch_entry {
    int32_t epoch;
    int64_t start_offset;
};

struct epoch_cache {
    struct epoch_entry *entries; /* owned */
    int32_t count, capacity;
    uint64_t version; /* changes so far */
    uint64_t version_written;
    uint64_t version_cut; /* of the last change that was no assign */
};

void epoch_cache_init(struct epoch_cache *cache);
void epoch_cache_fini(struct epoch_cache *cache);

int32_t epoch_cache_latest(const struct epoch_cache *cache); /* -1: none */
/* Room for `extra` more assigns, so that they cannot fail. */
MUST_USE enum err epoch_cache_reserve(struct epoch_cache *cache, int32_t extra);
/* Entries at or above the epoch or the offset that contradict it give way, as in Kafka. The room
 * must be reserved. Not above the latest epoch: nothing happens. */
void epoch_cache_assign(struct epoch_cache *cache, int32_t epoch, int64_t start_offset);
/* The largest epoch <= asked and its end; -1/-1 when unknown. */
void epoch_cache_end_offset(const struct epoch_cache *cache, int32_t asked, int64_t log_end_offset,
    int32_t *epoch, int64_t *end_offset);
int32_t epoch_cache_for_offset(const struct epoch_cache *cache, int64_t offset); /* -1: unknown */
/* Drops entries that start at or above end_offset. */
void epoch_cache_truncate_end(struct epoch_cache *cache, int64_t end_offset);
/* Drops entries that end at or below start_offset; the one over it then starts there. */
void epoch_cache_truncate_start(struct epoch_cache *cache, int64_t start_offset);
void epoch_cache_clear(struct epoch_cache *cache);

bool epoch_cache_is_dirty(const struct epoch_cache *cache);
/* Whether the file lacks more than an epoch without records. That is no loss: whoever leads next
 * begins an epoch of his own. Asked when all records are durable, and with them their epochs. */
bool epoch_cache_has_news(const struct epoch_cache *cache, int64_t log_end_offset);
/* Whether the epochs with records, those below the end, are the ones of `old`. */
bool epoch_cache_same(const struct epoch_cache *cache, const struct epoch_entry *old,
    int32_t old_count, int64_t log_end_offset);
void epoch_cache_encode(const struct epoch_cache *cache, struct buf *text);
/* Replaces the contents; NOTFOUND, CORRUPT, IO leave it empty. */
MUST_USE enum err epoch_cache_load(struct epoch_cache *cache, struct env *env, const char *path);

#endif
