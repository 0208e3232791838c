/* log/clean_map.h - the newest offset of each key of a part of a log: 24 bytes a key, of a fixed
 * size.
 *
 * Keys are known by a keyed hash of 128 bits, so that two with the same hash neither happen nor can
 * be made. Threads: one at a time. */
#ifndef LOG_CLEAN_MAP_H
#define LOG_CLEAN_MAP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"
#include "base/siphash.h"

enum { CLEAN_MAP_ENTRY_SIZE = 24 };

struct clean_map {
    struct clean_map_entry *entries; /* owned */
    uint64_t slot_count;
    uint64_t entry_max; /* slot_count times the load factor */
    uint64_t entry_count;
    struct siphash_key key;
};

/* As many slots as fit in size_bytes, at least one; 0 < load_factor <= 1. */
MUST_USE enum err clean_map_init(
    struct clean_map *map, uint64_t size_bytes, double load_factor, struct siphash_key key);
void clean_map_fini(struct clean_map *map);
/* True when not one more key may come. */
static inline bool
clean_map_is_full(const struct clean_map *map)
{
    return map->entry_count >= map->entry_max;
}
/* Later offsets replace earlier ones. Not for a full map. */
void clean_map_put(struct clean_map *map, struct bytes key, int64_t offset);
/* -1: not there. */
int64_t clean_map_get(const struct clean_map *map, struct bytes key);

#endif
