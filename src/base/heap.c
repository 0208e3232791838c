/* What: a binary min-heap of nodes that callers embed.
 * Invariants: I1 nodes[i]->index == i. I2 no node is before its parent in (key, sequence). */
#include "base/heap.h"

#include "base/alloc.h"
#include "base/assert.h"

enum { HEAP_CAPACITY_FIRST = 16 };

void
heap_init(struct heap *heap)
{
    *heap = (struct heap){0};
}

void
heap_fini(struct heap *heap)
{
    mem_free(heap->nodes);
    *heap = (struct heap){0};
}

void
heap_node_init(struct heap_node *node)
{
    *node = (struct heap_node){.index = HEAP_NOT_IN};
}

static int
heap_before(const struct heap_node *a, const struct heap_node *b)
{
    return a->key != b->key ? a->key < b->key : a->sequence < b->sequence;
}

static void
heap_set(struct heap *heap, size_t index, struct heap_node *node)
{
    heap->nodes[index] = node;
    node->index = (ptrdiff_t)index;
}

static void
heap_sift_up(struct heap *heap, size_t index, struct heap_node *node)
{
    while (index > 0) {
        size_t parent = (index - 1) / 2;
        if (!heap_before(node, heap->nodes[parent]))
            break;
        heap_set(heap, index, heap->nodes[parent]);
        index = parent;
    }
    heap_set(heap, index, node);
}

static void
heap_sift_down(struct heap *heap, size_t index, struct heap_node *node)
{
    for (;;) {
        size_t child = 2 * index + 1;
        if (child >= heap->count)
            break;
        if (child + 1 < heap->count && heap_before(heap->nodes[child + 1], heap->nodes[child]))
            child++;
        if (!heap_before(heap->nodes[child], node))
            break;
        heap_set(heap, index, heap->nodes[child]);
        index = child;
    }
    heap_set(heap, index, node);
}

enum err
heap_reserve(struct heap *heap, size_t count)
{
    if (count <= heap->capacity)
        return ERR_OK;
    if (count > SIZE_MAX / sizeof(struct heap_node *))
        return ERR_NOMEM;
    struct heap_node **nodes = mem_realloc(heap->nodes, count * sizeof *nodes);
    if (nodes == NULL)
        return ERR_NOMEM;
    heap->nodes = nodes;
    heap->capacity = count;
    return ERR_OK;
}

enum err
heap_push(struct heap *heap, struct heap_node *node, int64_t key)
{
    ASSERT(node->index == HEAP_NOT_IN);
    if (heap->count == heap->capacity) {
        enum err err =
            heap_reserve(heap, heap->capacity == 0 ? HEAP_CAPACITY_FIRST : heap->capacity * 2);
        if (err != ERR_OK)
            return err;
    }
    node->key = key;
    node->sequence = heap->sequence_next++;
    heap_sift_up(heap, heap->count++, node);
    ASSERT(heap->nodes[node->index] == node); /* I1 */
    return ERR_OK;
}

struct heap_node *
heap_peek(const struct heap *heap)
{
    return heap->count == 0 ? NULL : heap->nodes[0];
}

void
heap_remove(struct heap *heap, struct heap_node *node)
{
    if (node->index == HEAP_NOT_IN)
        return;
    size_t index = (size_t)node->index;
    ASSERT(index < heap->count && heap->nodes[index] == node); /* I1 */
    struct heap_node *last = heap->nodes[--heap->count];
    node->index = HEAP_NOT_IN;
    if (last == node)
        return;
    if (index > 0 && heap_before(last, heap->nodes[(index - 1) / 2]))
        heap_sift_up(heap, index, last);
    else
        heap_sift_down(heap, index, last);
}
