/* base/alloc.h - the heap. Every function may return NULL, and every caller answers that.
 *
 * Plain malloc and friends are banned outside base/alloc.c, so that tests can fail the nth
 * allocation (mem_fail_after) and so that allocations on the hot path can be counted. */
#ifndef BASE_ALLOC_H
#define BASE_ALLOC_H

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

MUST_USE void *mem_alloc(size_t size);
MUST_USE void *mem_calloc(size_t count, size_t size); /* zeroed; overflow gives NULL */
MUST_USE void *mem_realloc(void *ptr, size_t size); /* on NULL, ptr is still owned by the caller */
MUST_USE char *mem_strdup(const char *s);
MUST_USE char *mem_strndup(const char *s, size_t len); /* always terminated */
void mem_free(void *ptr);                              /* NULL is fine */

/* Allocations made so far by the calling thread; for "zero per request" checks. */
uint64_t mem_count_thread(void);

/* Test only: the nth allocation from now on of this thread fails (once); 0 switches it off. */
void mem_fail_after(uint64_t nth);

#endif
