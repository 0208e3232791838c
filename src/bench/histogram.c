/* bench/histogram.c - log-linear buckets. */
#include "bench/histogram.h"

#include "base/assert.h"

enum { SUB_BITS = 6 };

/* Bucket of a value: linear below 64, then 64 a power of two. */
static int
bucket_of(int64_t value)
{
    if (value < BENCH_HISTOGRAM_SUB)
        return (int)value;
    int top = 63 - __builtin_clzll((unsigned long long)value);
    int shift = top - SUB_BITS;
    return (shift + 1) * BENCH_HISTOGRAM_SUB + (int)((value >> shift) - BENCH_HISTOGRAM_SUB);
}

static int64_t
bucket_end(int bucket)
{
    int shift = bucket / BENCH_HISTOGRAM_SUB - 1;
    int64_t sub = bucket % BENCH_HISTOGRAM_SUB;
    if (shift < 0)
        return bucket;
    return ((sub + BENCH_HISTOGRAM_SUB + 1) << shift) - 1;
}

void
bench_histogram_add(struct bench_histogram *histogram, int64_t value_ns)
{
    if (value_ns < 0)
        value_ns = 0;
    int bucket = bucket_of(value_ns);
    ASSERT(bucket >= 0 && bucket < BENCH_HISTOGRAM_BUCKETS);
    histogram->counts[bucket]++;
    histogram->count++;
    if (value_ns > histogram->max_ns)
        histogram->max_ns = value_ns;
}

int64_t
bench_histogram_at(const struct bench_histogram *histogram, double share)
{
    ASSERT(share >= 0 && share <= 1);
    int64_t wanted = (int64_t)(share * (double)histogram->count + 0.5), seen = 0;
    if (wanted == 0)
        wanted = 1;
    for (int i = 0; i < BENCH_HISTOGRAM_BUCKETS; i++) {
        seen += histogram->counts[i];
        if (seen >= wanted)
            return bucket_end(i) < histogram->max_ns ? bucket_end(i) : histogram->max_ns;
    }
    return histogram->max_ns;
}
