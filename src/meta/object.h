/* meta/object.h - what every shared, immutable piece of metadata starts with: a reference count.
 *
 * Topics, partitions, brokers and the like are built once, never changed after they became
 * reachable from a published image, and freed with their last reference. Any thread. */
#ifndef META_OBJECT_H
#define META_OBJECT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/assert.h"

struct meta_object {
    _Atomic int refs;
    void (*free)(struct meta_object *object); /* releases the memory itself too */
};

static inline void
meta_object_init(struct meta_object *object, void (*free_fn)(struct meta_object *object))
{
    atomic_init(&object->refs, 1);
    object->free = free_fn;
}

static inline void
meta_object_ref(struct meta_object *object)
{
    int before = atomic_fetch_add_explicit(&object->refs, 1, memory_order_relaxed);
    ASSERT(before > 0);
}

/* NULL is fine. */
static inline void
meta_object_unref(struct meta_object *object)
{
    if (object == NULL)
        return;
    int before = atomic_fetch_sub_explicit(&object->refs, 1, memory_order_acq_rel);
    ASSERT(before > 0);
    if (before == 1)
        object->free(object);
}

/* True when the caller's reference is the only one, so that it may change the object in place. */
static inline bool
meta_object_unique(struct meta_object *object)
{
    return atomic_load_explicit(&object->refs, memory_order_acquire) == 1;
}

#endif
