/* What: bump allocation in chunks, the first of which survives resets.
 * Invariants: I1 used_bytes <= budget_bytes, or exhausted was set by lowering the budget. I2 every
 * chunk from `first` to `current` is linked; nothing follows `current`. I3 chunk->used is a
 * multiple of 16 and <= chunk->capacity.
 * Under the address sanitizer the unused part of each chunk is poisoned and a gap stands between
 * neighbours, so that overruns inside an arena are seen. */
#include "base/arena.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/assert.h"

#if defined(__SANITIZE_ADDRESS__)
#define ARENA_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ARENA_ASAN 1
#endif
#endif
#ifdef ARENA_ASAN
#include <sanitizer/asan_interface.h>
#define ARENA_POISON(ptr, size) ASAN_POISON_MEMORY_REGION((ptr), (size))
#define ARENA_UNPOISON(ptr, size) ASAN_UNPOISON_MEMORY_REGION((ptr), (size))
enum { ARENA_GAP = 16 };
#else
#define ARENA_POISON(ptr, size) ((void)(ptr), (void)(size))
#define ARENA_UNPOISON(ptr, size) ((void)(ptr), (void)(size))
enum { ARENA_GAP = 0 };
#endif

enum {
    ARENA_ALIGN = 16,
    ARENA_CHUNK_FIRST = 8 << 10, /* small requests stay inside it */
    ARENA_CHUNK_SECOND = 64 << 10,
    ARENA_CHUNK_MAX = 1 << 20,
};

struct arena_chunk {
    struct arena_chunk *next;
    size_t capacity;
    size_t used;
    size_t pad; /* keeps data aligned */
    uint8_t data[];
};

_Static_assert(sizeof(struct arena_chunk) % ARENA_ALIGN == 0, "data is aligned");

void
arena_init(struct arena *arena, size_t budget_bytes)
{
    *arena = (struct arena){.budget_bytes = budget_bytes};
}

static void
arena_free_chunks(struct arena_chunk *chunk)
{
    while (chunk != NULL) {
        struct arena_chunk *next = chunk->next;
        ARENA_UNPOISON(chunk->data, chunk->capacity);
        mem_free(chunk);
        chunk = next;
    }
}

void
arena_fini(struct arena *arena)
{
    arena_free_chunks(arena->first);
    *arena = (struct arena){0};
}

void
arena_reset(struct arena *arena)
{
    if (arena->first != NULL) {
        arena_free_chunks(arena->first->next);
        arena->first->next = NULL;
        arena->first->used = 0;
        ARENA_POISON(arena->first->data, arena->first->capacity);
    }
    arena->current = arena->first;
    arena->used_bytes = 0;
    arena->exhausted = false;
}

void
arena_reset_budget(struct arena *arena, size_t budget_bytes)
{
    arena_reset(arena);
    arena->budget_bytes = budget_bytes;
}

/* A new current chunk with room for `size`; NULL without memory. */
static struct arena_chunk *
arena_grow(struct arena *arena, size_t size)
{
    size_t capacity = ARENA_CHUNK_FIRST;
    if (arena->current != NULL) {
        capacity =
            arena->current == arena->first ? ARENA_CHUNK_SECOND : arena->current->capacity * 2;
        if (capacity > ARENA_CHUNK_MAX)
            capacity = ARENA_CHUNK_MAX;
    }
    if (capacity < size)
        capacity = size;
    struct arena_chunk *chunk = mem_alloc(sizeof *chunk + capacity);
    if (chunk == NULL)
        return NULL;
    chunk->next = NULL;
    chunk->capacity = capacity;
    chunk->used = 0;
    ARENA_POISON(chunk->data, capacity);
    if (arena->first == NULL)
        arena->first = chunk;
    else
        arena->current->next = chunk;
    arena->current = chunk;
    return chunk;
}

void *
arena_alloc(struct arena *arena, size_t size)
{
    ASSERT(arena->current == NULL || arena->current->next == NULL); /* I2 */
    size_t need = size == 0 ? ARENA_ALIGN : (size + ARENA_ALIGN - 1) & ~(size_t)(ARENA_ALIGN - 1);
    if (UNLIKELY(need < size || arena->used_bytes > arena->budget_bytes ||
                 need > arena->budget_bytes - arena->used_bytes)) {
        arena->exhausted = true;
        return NULL;
    }
    struct arena_chunk *chunk = arena->current;
    if (UNLIKELY(chunk == NULL || chunk->capacity - chunk->used < need + ARENA_GAP)) {
        chunk = arena_grow(arena, need + ARENA_GAP);
        if (chunk == NULL) {
            arena->exhausted = true;
            return NULL;
        }
    }
    void *ptr = chunk->data + chunk->used;
    chunk->used += need + ARENA_GAP;
    arena->used_bytes += need;
    ARENA_UNPOISON(ptr, size);
    ASSERT(chunk->used <= chunk->capacity); /* I3 */
    return ptr;
}

void *
arena_calloc(struct arena *arena, size_t count, size_t size)
{
    size_t total;
    if (__builtin_mul_overflow(count, size, &total)) {
        arena->exhausted = true;
        return NULL;
    }
    void *ptr = arena_alloc(arena, total);
    if (ptr != NULL)
        memset(ptr, 0, total);
    return ptr;
}

char *
arena_strndup(struct arena *arena, const char *s, size_t len)
{
    if (len == SIZE_MAX) {
        arena->exhausted = true;
        return NULL;
    }
    char *copy = arena_alloc(arena, len + 1);
    if (copy == NULL)
        return NULL;
    if (len > 0)
        memcpy(copy, s, len);
    copy[len] = '\0';
    return copy;
}

struct str
arena_str(struct arena *arena, struct str s)
{
    if (str_is_null(s))
        return STR_NULL;
    char *copy = arena_strndup(arena, s.data, s.len);
    return copy == NULL ? STR_NULL : (struct str){copy, s.len};
}

struct str
arena_printf(struct arena *arena, const char *fmt, ...)
{
    va_list args, again;
    va_start(args, fmt);
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    char *text = len < 0 ? NULL : arena_alloc(arena, (size_t)len + 1);
    if (text != NULL)
        vsnprintf(text, (size_t)len + 1, fmt, again);
    else
        arena->exhausted = true;
    va_end(again);
    return text == NULL ? STR_NULL : (struct str){text, (size_t)len};
}
