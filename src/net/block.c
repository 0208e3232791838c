#include "net/block.h"

#include "base/alloc.h"
#include "base/assert.h"

static const size_t class_size[NET_BLOCK_CLASSES] = {1024, 4096, 16384, NET_BLOCK_READ_SIZE};
/* 2.3 MiB at most stay in a pool that is idle. */
static const int class_keep[NET_BLOCK_CLASSES] = {256, 128, 32, 16};

void
net_block_pool_init(struct net_block_pool *pool, int64_t bytes_max)
{
    ASSERT(bytes_max > 0);
    *pool = (struct net_block_pool){.bytes_max = bytes_max};
    for (int i = 0; i < NET_BLOCK_CLASSES; i++)
        list_init(&pool->free[i]);
}

void
net_block_pool_fini(struct net_block_pool *pool)
{
    ASSERT(pool->used_bytes == 0 && pool->large_count == 0);
    for (int i = 0; i < NET_BLOCK_CLASSES; i++) {
        struct list *node;
        while ((node = list_pop(&pool->free[i])) != NULL)
            mem_free(LIST_ENTRY(node, struct net_block, link));
    }
}

bool
net_block_pool_has_room(const struct net_block_pool *pool, size_t size)
{
    if (net_block_lane(size) == NET_LANE_LARGE)
        return pool->large_count == 0;
    return pool->used_bytes == 0 || pool->used_bytes + (int64_t)size <= pool->bytes_max;
}

bool
net_block_pool_is_full(const struct net_block_pool *pool)
{
    return pool->used_bytes >= pool->bytes_max;
}

static void
pool_count(struct net_block_pool *pool, size_t capacity, int n)
{
    if (net_block_lane(capacity) == NET_LANE_LARGE)
        pool->large_count += n;
    else
        pool->used_bytes += n * (int64_t)capacity;
    ASSERT(pool->used_bytes >= 0 && pool->large_count >= 0);
}

struct net_block *
net_block_get(struct net_block_pool *pool, size_t size)
{
    int class = 0;
    while (class < NET_BLOCK_CLASSES && size > class_size[class])
        class ++;
    struct net_block *block;
    if (class < NET_BLOCK_CLASSES && pool->free_count[class] > 0) {
        pool->free_count[class]--;
        block = LIST_ENTRY(list_pop(&pool->free[class]), struct net_block, link);
        ASSERT(block->refs == 0 && block->class == class);
    } else {
        size_t capacity = class < NET_BLOCK_CLASSES ? class_size[class] : size;
        block = mem_alloc(sizeof *block + capacity);
        if (block == NULL)
            return NULL;
        list_init(&block->link);
        block->pool = pool;
        block->capacity = capacity;
        block->class = class;
    }
    block->refs = 1;
    pool_count(pool, block->capacity, 1);
    ASSERT(block->capacity >= size);
    return block;
}

void
net_block_ref(struct net_block *block)
{
    ASSERT(block->refs > 0);
    block->refs++;
}

void
net_block_unref(struct net_block **slot)
{
    struct net_block *block = *slot;
    *slot = NULL;
    if (block == NULL)
        return;
    ASSERT(block->refs > 0);
    if (--block->refs > 0)
        return;
    struct net_block_pool *pool = block->pool;
    pool_count(pool, block->capacity, -1);
    if (block->class < NET_BLOCK_CLASSES &&
        pool->free_count[block->class] < class_keep[block->class]) {
        pool->free_count[block->class]++;
        list_push_front(&pool->free[block->class], &block->link);
    } else {
        mem_free(block);
    }
}
