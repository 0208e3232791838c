/* net/block.h - memory for frames: a few sizes that are kept and reused, exact ones above them.
 *
 * One pool for each reactor; not shared between threads. The pool counts the bytes of the blocks
 * handed out and refuses ordinary takes beyond its limit: who is refused waits for memory. Large
 * blocks are not counted, but there is one at a time: so many as announce one, the others' frames
 * have their room. */
#ifndef NET_BLOCK_H
#define NET_BLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/list.h"

/* 1 KiB, 4 KiB, 16 KiB, 64 KiB; what is larger is allocated exactly and freed. */
enum { NET_BLOCK_CLASSES = 4, NET_BLOCK_READ_SIZE = 65536 };
/* What is above this is large: four times the largest batch that Kafka takes by default. */
enum { NET_BLOCK_LARGE = 4 << 20 };
enum { NET_LANE_ORDINARY, NET_LANE_LARGE, NET_LANES };

static inline int
net_block_lane(size_t size)
{
    return size > NET_BLOCK_LARGE ? NET_LANE_LARGE : NET_LANE_ORDINARY;
}

struct net_block_pool {
    struct list free[NET_BLOCK_CLASSES];
    int free_count[NET_BLOCK_CLASSES];
    int64_t used_bytes; /* of ordinary blocks out */
    int large_count;    /* blocks out that are large */
    int64_t bytes_max;
};

struct net_block {
    struct list link;
    struct net_block_pool *pool;
    size_t capacity;
    int refs;
    int class; /* NET_BLOCK_CLASSES: exact */
    uint8_t data[];
};

void net_block_pool_init(struct net_block_pool *pool, int64_t bytes_max);
/* Every block is back. */
void net_block_pool_fini(struct net_block_pool *pool);
/* Whether a take of size bytes stays below the limit, or is the only large one. A pool with nothing
 * out always has room, so that one frame is served under any limit. */
bool net_block_pool_has_room(const struct net_block_pool *pool, size_t size);
/* Ordinary blocks are at the limit. */
bool net_block_pool_is_full(const struct net_block_pool *pool);
/* At least size bytes, with one reference; beyond the limit too (ask first). NULL: no memory. */
MUST_USE struct net_block *net_block_get(struct net_block_pool *pool, size_t size);
void net_block_ref(struct net_block *block);
void net_block_unref(struct net_block **block); /* NULL inside is fine; nulls */

#endif
