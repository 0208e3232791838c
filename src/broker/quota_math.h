/* broker/quota_math.h - the arithmetic of client quotas, exactly as Kafka does it: a rate over
 * samples of time (bytes, request time, connections), and a bucket of tokens (changes of metadata).
 *
 * Pure: time comes in as milliseconds of any clock that does not go back. */
#ifndef BROKER_QUOTA_MATH_H
#define BROKER_QUOTA_MATH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* quota.window.num samples of quota.window.size.seconds each; both positive. */
struct quota_window {
    int32_t samples;
    int64_t sample_ms;
};

struct quota_sample {
    double sum;
    int64_t start_ms;
    int64_t last_ms; /* of what was added last */
};

/* One more sample is kept than measured, so that the oldest one leaves whole. */
struct quota_rate {
    int32_t count;   /* of samples used so far */
    int32_t current; /* index */
    struct quota_sample samples[];
};

size_t quota_rate_size(const struct quota_window *window);
/* Nothing was added yet. */
void quota_rate_init(struct quota_rate *rate);
/* A negative value takes back what was added. */
void quota_rate_add(
    struct quota_rate *rate, const struct quota_window *window, double value, int64_t now_ms);
/* A second. */
double quota_rate_measure(
    struct quota_rate *rate, const struct quota_window *window, int64_t now_ms);
/* How long to wait until the rate is back at `limit`, if nothing more comes; 0: it is not above.
 * (KIP-124: the rate stays within its limit over the window and the wait together.) */
int64_t quota_rate_wait_ms(
    struct quota_rate *rate, const struct quota_window *window, double limit, int64_t now_ms);

/* Fills at the limit a second, up to what all samples together allow; may go below zero once. */
struct quota_bucket {
    double tokens;
    int64_t filled_ms;
    bool begun; /* before: full */
};

struct quota_take {
    double limit;
    double tokens;
    bool strict; /* takes nothing while there is debt */
};

/* False: strict, and nothing was taken. *wait_ms: until the debt is paid that stood in the way, or
 * that was made when not strict; 0: none. */
bool quota_bucket_take(struct quota_bucket *bucket, const struct quota_window *window,
    const struct quota_take *take, int64_t now_ms, int64_t *wait_ms);

#endif
