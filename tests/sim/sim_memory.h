/* tests/sim/sim_memory.h - memory of the tests themselves: zeroed, never NULL, not the program's.
 */
#ifndef TESTS_SIM_SIM_MEMORY_H
#define TESTS_SIM_SIM_MEMORY_H

#include <stdlib.h>

#include "base/assert.h"

static inline void *
sim_memory_new(size_t size)
{
    void *ptr = calloc(1, size);
    ASSERT(ptr != NULL);
    return ptr;
}

/* What is new is not zeroed. */
static inline void *
sim_memory_grow(void *ptr, size_t size)
{
    ptr = realloc(ptr, size);
    ASSERT(ptr != NULL);
    return ptr;
}

static inline void
sim_memory_free(void *ptr)
{
    free(ptr);
}

#endif
