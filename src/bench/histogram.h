/* bench/histogram.h - latencies in buckets of 1.6 % width, for percentiles. */
#ifndef BENCH_HISTOGRAM_H
#define BENCH_HISTOGRAM_H

#include <stdint.h>

enum { BENCH_HISTOGRAM_SUB = 64, BENCH_HISTOGRAM_BUCKETS = 58 * BENCH_HISTOGRAM_SUB };

/* Zeroed is empty. Values below 64 ns are exact; above, each power of two has 64 buckets. */
struct bench_histogram {
    int64_t counts[BENCH_HISTOGRAM_BUCKETS];
    int64_t count;
    int64_t max_ns;
};

void bench_histogram_add(struct bench_histogram *histogram, int64_t value_ns);
/* The value that `share` (0..1) of all are at or below, as its bucket's upper end and never above
 * the maximum; 0 when empty. */
int64_t bench_histogram_at(const struct bench_histogram *histogram, double share);

#endif
