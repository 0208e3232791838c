/* bench/alloc_count.c - LD_PRELOAD for bench/costs: counts what a node takes from the heap,
 * libraries included.
 *
 * The counts stand at the start of the file COSTS_FILE names: allocations (malloc, calloc, realloc,
 * aligned), frees. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { COUNT_ALLOCS, COUNT_FREES, COUNTS };
enum { EARLY_SIZE = 64 << 10, ALIGN = 16 };

static uint64_t *counts; /* NULL until the file is mapped */
static void *(*real_malloc)(size_t);
static void *(*real_calloc)(size_t, size_t);
static void *(*real_realloc)(void *, size_t);
static void (*real_free)(void *);
static int (*real_posix_memalign)(void **, size_t, size_t);
static void *(*real_aligned_alloc)(size_t, size_t);

/* What is asked for while the real functions are looked up. */
static _Alignas(ALIGN) char early[EARLY_SIZE];
static size_t early_used;

static void *
early_alloc(size_t size)
{
    size = (size + ALIGN - 1) & ~(size_t)(ALIGN - 1);
    if (size > sizeof(early) - early_used)
        return NULL;
    void *at = early + early_used;
    early_used += size;
    return at;
}

static void
count(int which)
{
    if (counts != NULL)
        __atomic_add_fetch(&counts[which], 1, __ATOMIC_RELAXED);
}

__attribute__((constructor)) static void
begin(void)
{
    real_calloc = (void *(*)(size_t, size_t))dlsym(RTLD_NEXT, "calloc");
    real_realloc = (void *(*)(void *, size_t))dlsym(RTLD_NEXT, "realloc");
    real_free = (void (*)(void *))dlsym(RTLD_NEXT, "free");
    real_posix_memalign = (int (*)(void **, size_t, size_t))dlsym(RTLD_NEXT, "posix_memalign");
    real_aligned_alloc = (void *(*)(size_t, size_t))dlsym(RTLD_NEXT, "aligned_alloc");
    real_malloc = (void *(*)(size_t))dlsym(RTLD_NEXT, "malloc");
    const char *path = getenv("COSTS_FILE");
    int fd = path != NULL ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (fd < 0)
        return;
    void *map = mmap(NULL, COUNTS * sizeof(*counts), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (map != MAP_FAILED)
        counts = map;
}

void *
malloc(size_t size)
{
    count(COUNT_ALLOCS);
    return real_malloc != NULL ? real_malloc(size) : early_alloc(size);
}

void *
calloc(size_t n, size_t size)
{
    count(COUNT_ALLOCS);
    return real_malloc != NULL ? real_calloc(n, size) : early_alloc(n * size);
}

void *
realloc(void *ptr, size_t size)
{
    count(COUNT_ALLOCS);
    if ((char *)ptr < early || (char *)ptr >= early + sizeof(early))
        return real_malloc != NULL ? real_realloc(ptr, size) : early_alloc(size);
    void *grown = malloc(size);
    size_t left = (size_t)(early + sizeof(early) - (char *)ptr);
    return grown != NULL ? memcpy(grown, ptr, size < left ? size : left) : NULL;
}

void
free(void *ptr)
{
    if (ptr == NULL || ((char *)ptr >= early && (char *)ptr < early + sizeof(early)))
        return;
    count(COUNT_FREES);
    real_free(ptr);
}

int
posix_memalign(void **out, size_t align, size_t size)
{
    count(COUNT_ALLOCS);
    return real_malloc != NULL ? real_posix_memalign(out, align, size) : ENOMEM;
}

void *
aligned_alloc(size_t align, size_t size)
{
    count(COUNT_ALLOCS);
    return real_malloc != NULL ? real_aligned_alloc(align, size) : NULL;
}
