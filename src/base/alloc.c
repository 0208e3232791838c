/* What: the heap behind one name. jemalloc takes the place of malloc by linking.
 * States: none but two counters of each thread, which is why they are thread-local and not globals.
 * Threads: any. Errors: NULL, always an ordinary outcome. */
#include "base/alloc.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static _Thread_local uint64_t alloc_count;
static _Thread_local uint64_t alloc_fail_in; /* 0: off; n: the nth from now fails */

static bool
alloc_allowed(void)
{
    alloc_count++;
    if (LIKELY(alloc_fail_in == 0))
        return true;
    return --alloc_fail_in != 0;
}

void *
mem_alloc(size_t size)
{
    return alloc_allowed() ? malloc(size == 0 ? 1 : size) : NULL;
}

void *
mem_calloc(size_t count, size_t size)
{
    size_t total;
    if (count == 0 || size == 0)
        count = size = 1;
    /* Checked here too: sanitizers end the program over an overflow. */
    if (!alloc_allowed() || __builtin_mul_overflow(count, size, &total))
        return NULL;
    return calloc(count, size);
}

void *
mem_realloc(void *ptr, size_t size)
{
    return alloc_allowed() ? realloc(ptr, size == 0 ? 1 : size) : NULL;
}

char *
mem_strndup(const char *s, size_t len)
{
    char *copy = len == SIZE_MAX ? NULL : mem_alloc(len + 1);
    if (copy == NULL)
        return NULL;
    memcpy(copy, s, len);
    copy[len] = '\0';
    return copy;
}

char *
mem_strdup(const char *s)
{
    return mem_strndup(s, strlen(s));
}

void
mem_free(void *ptr)
{
    free(ptr);
}

uint64_t
mem_count_thread(void)
{
    return alloc_count;
}

void
mem_fail_after(uint64_t nth)
{
    alloc_fail_in = nth;
}
