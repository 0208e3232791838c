/* base/histogram.h - how long things took, counted in buckets: 4 for each power of two of
 * microseconds, so a value is known to a fifth of itself, from 1 us to more than an hour.
 *
 * Nothing is locked or allocated. One writer uses histogram_add; when several threads write, each
 * uses histogram_add_shared. Readers see each counter whole, but not all of them at one moment. */
#ifndef BASE_HISTOGRAM_H
#define BASE_HISTOGRAM_H

#include <stdatomic.h>
#include <stdint.h>

enum { HISTOGRAM_BUCKETS = 124 };

struct histogram {
    _Atomic uint64_t sum_us;
    _Atomic uint64_t buckets[HISTOGRAM_BUCKETS];
};

/* A reader's copy, or the sum of several. */
struct histogram_counts {
    uint64_t sum_us;
    uint64_t buckets[HISTOGRAM_BUCKETS];
};

/* The bucket of a value; the last one holds all that is larger. */
static inline int
histogram_bucket(uint64_t us)
{
    if (us < 4)
        return (int)us;
    int power = 63 - __builtin_clzll(us); /* >= 2 */
    int bucket = (power - 1) * 4 + (int)((us >> (power - 2)) & 3);
    return bucket < HISTOGRAM_BUCKETS ? bucket : HISTOGRAM_BUCKETS - 1;
}

/* The smallest value of a bucket. */
uint64_t histogram_floor_us(int bucket);

/* The only writer of a counter: cheaper than an atomic addition. */
static inline void
histogram_count_up(_Atomic uint64_t *counter, uint64_t n)
{
    uint64_t v = atomic_load_explicit(counter, memory_order_relaxed);
    atomic_store_explicit(counter, v + n, memory_order_relaxed);
}

static inline void
histogram_add(struct histogram *h, uint64_t us)
{
    histogram_count_up(&h->sum_us, us);
    histogram_count_up(&h->buckets[histogram_bucket(us)], 1);
}

static inline void
histogram_add_shared(struct histogram *h, uint64_t us)
{
    atomic_fetch_add_explicit(&h->sum_us, us, memory_order_relaxed);
    atomic_fetch_add_explicit(&h->buckets[histogram_bucket(us)], 1, memory_order_relaxed);
}

/* Adds what h has to *out. Any thread. */
void histogram_collect(const struct histogram *h, struct histogram_counts *out);
uint64_t histogram_total(const struct histogram_counts *counts);

#endif
