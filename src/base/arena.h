/* base/arena.h - bump allocation with a hard budget: the memory of one request.
 *
 * Everything taken from an arena lives until arena_reset or arena_fini. The budget counts the bytes
 * asked for, rounded up to 16, and is charged before each allocation, so hostile input cannot make
 * it grow past its ceiling. A reset keeps the first chunk: steady state allocates nothing. One
 * thread at a time. */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/bytes.h"

struct arena_chunk;

struct arena {
    struct arena_chunk *first; /* owned, kept over resets */
    struct arena_chunk *current;
    size_t used_bytes; /* charged so far */
    size_t budget_bytes;
    bool exhausted; /* an allocation failed since the last reset */
};

void arena_init(struct arena *arena, size_t budget_bytes);
void arena_fini(struct arena *arena);
void arena_reset(struct arena *arena);
/* Also sets a new budget. */
void arena_reset_budget(struct arena *arena, size_t budget_bytes);

/* Aligned to 16. NULL when the budget or the heap is exhausted (latched in `exhausted`). size 0
 * gives a valid pointer. */
MUST_USE void *arena_alloc(struct arena *arena, size_t size);
MUST_USE void *arena_calloc(struct arena *arena, size_t count, size_t size);  /* zeroed */
MUST_USE char *arena_strndup(struct arena *arena, const char *s, size_t len); /* terminated */
/* Copy of s owned by the arena; STR_NULL stays null; on exhaustion STR_NULL and the latch. */
struct str arena_str(struct arena *arena, struct str s);
/* printf into the arena. */
struct str arena_printf(struct arena *arena, const char *fmt, ...) PRINTF_LIKE(2, 3);

#endif
