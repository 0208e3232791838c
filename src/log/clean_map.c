/* What: an open-addressing table.
 * Invariants: I1 at least one slot is free, so that every search ends; I2 a slot's offset is stored
 * plus one: zero is free. */
#include "log/clean_map.h"

#include "base/alloc.h"
#include "base/assert.h"

struct clean_map_entry {
    struct siphash hash;
    int64_t offset_plus_one;
};

_Static_assert(sizeof(struct clean_map_entry) == CLEAN_MAP_ENTRY_SIZE, "as the header says");

enum err
clean_map_init(
    struct clean_map *map, uint64_t size_bytes, double load_factor, struct siphash_key key)
{
    ASSERT(load_factor > 0 && load_factor <= 1);
    uint64_t slots = size_bytes / CLEAN_MAP_ENTRY_SIZE;
    if (slots < 2)
        slots = 2; /* one entry, and I1 */
    uint64_t entry_max = (uint64_t)((double)slots * load_factor);
    if (entry_max > slots - 1)
        entry_max = slots - 1;
    if (entry_max < 1)
        entry_max = 1;
    struct clean_map_entry *entries = mem_calloc(slots, sizeof *entries);
    if (entries == NULL)
        return ERR_NOMEM;
    *map = (struct clean_map){
        .entries = entries, .slot_count = slots, .entry_max = entry_max, .key = key};
    return ERR_OK;
}

void
clean_map_fini(struct clean_map *map)
{
    mem_free(map->entries);
    *map = (struct clean_map){0};
}

/* Its slot, or the free one where it would be. */
static struct clean_map_entry *
slot_of(const struct clean_map *map, struct siphash hash)
{
    uint64_t at = hash.low % map->slot_count;
    for (;;) {
        struct clean_map_entry *entry = &map->entries[at];
        if (entry->offset_plus_one == 0 ||
            (entry->hash.low == hash.low && entry->hash.high == hash.high))
            return entry;
        at = at + 1 == map->slot_count ? 0 : at + 1;
    }
}

void
clean_map_put(struct clean_map *map, struct bytes key, int64_t offset)
{
    struct siphash hash = siphash_128(&map->key, key);
    struct clean_map_entry *entry = slot_of(map, hash);
    ASSERT(offset >= 0 && offset < INT64_MAX);
    ASSERT(!clean_map_is_full(map));
    if (entry->offset_plus_one == 0) {
        entry->hash = hash;
        map->entry_count++;
    }
    if (offset >= entry->offset_plus_one)
        entry->offset_plus_one = offset + 1;
    ASSERT(map->entry_count < map->slot_count);
}

int64_t
clean_map_get(const struct clean_map *map, struct bytes key)
{
    return slot_of(map, siphash_128(&map->key, key))->offset_plus_one - 1;
}
