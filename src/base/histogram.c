#include "base/histogram.h"

#include "base/assert.h"

uint64_t
histogram_floor_us(int bucket)
{
    ASSERT(bucket >= 0 && bucket < HISTOGRAM_BUCKETS);
    if (bucket < 4)
        return (uint64_t)bucket;
    int power = bucket / 4 + 1;
    return (uint64_t)(4 + bucket % 4) << (power - 2);
}

void
histogram_collect(const struct histogram *h, struct histogram_counts *out)
{
    out->sum_us += atomic_load_explicit(&h->sum_us, memory_order_relaxed);
    for (int i = 0; i < HISTOGRAM_BUCKETS; i++)
        out->buckets[i] += atomic_load_explicit(&h->buckets[i], memory_order_relaxed);
}

uint64_t
histogram_total(const struct histogram_counts *counts)
{
    uint64_t total = 0;
    for (int i = 0; i < HISTOGRAM_BUCKETS; i++)
        total += counts->buckets[i];
    return total;
}
