/* base/heap.h - an intrusive binary min-heap keyed by int64; what timers stand in. */
#ifndef BASE_HEAP_H
#define BASE_HEAP_H

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"

enum { HEAP_NOT_IN = -1 };

struct heap_node {
    int64_t key;
    uint64_t sequence; /* ties are served in the order of insertion */
    ptrdiff_t index;   /* HEAP_NOT_IN when outside */
};

struct heap {
    struct heap_node **nodes; /* the array is owned, the nodes are not */
    size_t count;
    size_t capacity;
    uint64_t sequence_next;
};

void heap_init(struct heap *heap);
void heap_fini(struct heap *heap);
void heap_node_init(struct heap_node *node);
/* Room for `count` nodes: pushes up to there cannot fail. */
MUST_USE enum err heap_reserve(struct heap *heap, size_t count);
/* NOMEM leaves the heap as it was. The node must be outside. */
MUST_USE enum err heap_push(struct heap *heap, struct heap_node *node, int64_t key);
/* The smallest, or NULL. */
struct heap_node *heap_peek(const struct heap *heap);
/* Takes a node out; outside already is fine. */
void heap_remove(struct heap *heap, struct heap_node *node);

#endif
