/* What: times of held locks in a table of places, filled without a lock of its own.
 * States: an empty place is taken once by the first thread that needs it, and stays.
 * Invariants: I1 counts of a place are those of one address. Threads: any.
 * Errors: a full table counts nothing more, and says so. */
#include "os/lock_times.h"

#ifdef MOLDAU_LOCK_TIMES
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* Times in buckets an eighth of a power of two wide. */
enum { SITES = 1024, BUCKETS = 40 * 8, OVER_NS = 50000 };

struct lock_site {
    const void *site;
    const char *name;
    uint64_t times, over, over_wall, longest_ns;
    uint64_t counts[BUCKETS];
};

/* Of the process, like what it measures; a build for this alone. */
static struct lock_site lock_sites[SITES];
static uint64_t lock_sites_lost;

static int64_t
now_ns(clockid_t clock)
{
    struct timespec ts;
    clock_gettime(clock, &ts);
    return ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
}

static struct lock_site *
find_site(const void *site)
{
    size_t at = ((uintptr_t)site >> 2) % SITES;
    for (int i = 0; i < SITES; i++, at = (at + 1) % SITES) {
        const void *empty = NULL;
        if (__atomic_load_n(&lock_sites[at].site, __ATOMIC_RELAXED) == site ||
            __atomic_compare_exchange_n(
                &lock_sites[at].site, &empty, site, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED) ||
            empty == site)
            return &lock_sites[at];
    }
    return NULL;
}

static int
bucket_of(uint64_t ns)
{
    if (ns < 8)
        return (int)ns;
    int power = 63 - __builtin_clzll(ns);
    int bucket = (power - 2) * 8 + (int)((ns >> (power - 3)) & 7);
    return bucket < BUCKETS ? bucket : BUCKETS - 1;
}

static uint64_t
bucket_top_ns(int bucket)
{
    if (bucket < 8)
        return (uint64_t)bucket;
    return ((uint64_t)(bucket % 8 + 9) << (bucket / 8 - 1)) - 1;
}

void
lock_hold_begin(struct lock_hold *hold, const void *site)
{
    hold->site = site;
    hold->wall_ns = now_ns(CLOCK_MONOTONIC);
    hold->cpu_ns = now_ns(CLOCK_THREAD_CPUTIME_ID);
}

void
lock_hold_end(const struct lock_hold *hold, const char *name)
{
    uint64_t cpu_ns = (uint64_t)(now_ns(CLOCK_THREAD_CPUTIME_ID) - hold->cpu_ns);
    uint64_t wall_ns = (uint64_t)(now_ns(CLOCK_MONOTONIC) - hold->wall_ns);
    struct lock_site *at = find_site(hold->site);
    if (at == NULL) {
        __atomic_add_fetch(&lock_sites_lost, 1, __ATOMIC_RELAXED);
        return;
    }
    __atomic_store_n(&at->name, name, __ATOMIC_RELAXED);
    __atomic_add_fetch(&at->times, 1, __ATOMIC_RELAXED);
    __atomic_add_fetch(&at->over, cpu_ns > OVER_NS, __ATOMIC_RELAXED);
    __atomic_add_fetch(&at->over_wall, wall_ns > OVER_NS, __ATOMIC_RELAXED);
    __atomic_add_fetch(&at->counts[bucket_of(cpu_ns)], 1, __ATOMIC_RELAXED);
    uint64_t longest_ns = __atomic_load_n(&at->longest_ns, __ATOMIC_RELAXED);
    while (longest_ns < cpu_ns && !__atomic_compare_exchange_n(&at->longest_ns, &longest_ns, cpu_ns,
                                      true, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
    }
}

static double
part_us(const struct lock_site *at, double part)
{
    uint64_t wanted = (uint64_t)((double)at->times * part), seen = 0;
    int bucket = 0;
    while (bucket < BUCKETS - 1 && (seen += at->counts[bucket]) <= wanted)
        bucket++;
    uint64_t top_ns = bucket_top_ns(bucket);
    return (double)(top_ns < at->longest_ns ? top_ns : at->longest_ns) / 1000;
}

/* Where the program was loaded, so that addresses are those of its file. */
extern const char __executable_start[];

__attribute__((destructor)) static void
tell(void)
{
    for (int i = 0; i < SITES; i++) {
        const struct lock_site *at = &lock_sites[i];
        if (at->times == 0)
            continue;
        fprintf(stderr,
            "lock_times %s %#tx %" PRIu64 " %.1f %.1f %.1f %" PRIu64 " %" PRIu64 " %" PRIu64 "\n",
            at->name, (const char *)at->site - __executable_start - 1, at->times, part_us(at, 0.5),
            part_us(at, 0.99), part_us(at, 0.9999), at->longest_ns / 1000, at->over, at->over_wall);
    }
    if (lock_sites_lost > 0)
        fprintf(stderr, "lock_times of more than %d places: %" PRIu64 " lost\n", SITES,
            lock_sites_lost);
}
#endif
