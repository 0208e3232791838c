#include "broker/quota_math.h"

#include <math.h>

#include "base/assert.h"

/* As Java rounds: a half goes up. */
static int64_t
rounded(double value)
{
    double whole = floor(value + 0.5);
    if (!(whole < (double)INT64_MAX)) /* NaN too */
        return isnan(whole) ? 0 : INT64_MAX;
    return whole < 0 ? 0 : (int64_t)whole;
}

/* ---- rates ---- */

size_t
quota_rate_size(const struct quota_window *window)
{
    return sizeof(struct quota_rate) + ((size_t)window->samples + 1) * sizeof(struct quota_sample);
}

void
quota_rate_init(struct quota_rate *rate)
{
    rate->count = 0;
    rate->current = 0;
}

static void
sample_begin(struct quota_sample *sample, int64_t now_ms)
{
    *sample = (struct quota_sample){.start_ms = now_ms, .last_ms = now_ms};
}

static struct quota_sample *
sample_now(struct quota_rate *rate, const struct quota_window *window, int64_t now_ms)
{
    if (rate->count == 0) {
        sample_begin(&rate->samples[0], now_ms);
        rate->count = 1;
    }
    ASSERT(rate->current < rate->count);
    if (now_ms - rate->samples[rate->current].start_ms >= window->sample_ms) {
        rate->current = (rate->current + 1) % (window->samples + 1);
        if (rate->current == rate->count)
            rate->count++;
        sample_begin(&rate->samples[rate->current], now_ms);
    }
    return &rate->samples[rate->current];
}

void
quota_rate_add(
    struct quota_rate *rate, const struct quota_window *window, double value, int64_t now_ms)
{
    ASSERT(window->samples > 0 && window->sample_ms > 0);
    struct quota_sample *sample = sample_now(rate, window, now_ms);
    sample->sum += value;
    sample->last_ms = now_ms;
}

/* The samples that still count: their sum, and the time they stand for. */
static double
rate_sum(
    struct quota_rate *rate, const struct quota_window *window, int64_t now_ms, int64_t *elapsed_ms)
{
    int64_t age_max_ms = window->samples * window->sample_ms, oldest_ms = now_ms;
    double sum = 0;
    for (int32_t i = 0; i < rate->count; i++) {
        struct quota_sample *sample = &rate->samples[i];
        if (now_ms - sample->last_ms >= age_max_ms)
            sample_begin(sample, now_ms);
        sum += sample->sum;
        if (sample->start_ms < oldest_ms)
            oldest_ms = sample->start_ms;
    }
    /* As if time had begun long ago: all samples but the present one are whole. */
    int64_t ms = now_ms - oldest_ms, whole = ms / window->sample_ms;
    if (whole < window->samples - 1)
        ms += (window->samples - 1 - whole) * window->sample_ms;
    *elapsed_ms = ms > 0 ? ms : 1;
    return sum;
}

double
quota_rate_measure(struct quota_rate *rate, const struct quota_window *window, int64_t now_ms)
{
    int64_t elapsed_ms;
    double sum = rate_sum(rate, window, now_ms, &elapsed_ms);
    return sum / ((double)elapsed_ms / 1000.0);
}

int64_t
quota_rate_wait_ms(
    struct quota_rate *rate, const struct quota_window *window, double limit, int64_t now_ms)
{
    int64_t elapsed_ms;
    double sum = rate_sum(rate, window, now_ms, &elapsed_ms);
    double measured = sum / ((double)elapsed_ms / 1000.0);
    if (!(measured > limit))
        return 0;
    return rounded((measured - limit) / limit * (double)elapsed_ms);
}

/* ---- buckets ---- */

static void
bucket_fill(
    struct quota_bucket *bucket, const struct quota_window *window, double limit, int64_t now_ms)
{
    double most = (double)window->samples * ((double)window->sample_ms / 1000.0) * limit;
    double tokens = bucket->tokens + limit * ((double)(now_ms - bucket->filled_ms) / 1000.0);
    bucket->tokens = !bucket->begun || tokens > most ? most : tokens;
    bucket->filled_ms = now_ms;
    bucket->begun = true;
}

bool
quota_bucket_take(struct quota_bucket *bucket, const struct quota_window *window,
    const struct quota_take *take, int64_t now_ms, int64_t *wait_ms)
{
    bucket_fill(bucket, window, take->limit, now_ms);
    *wait_ms = 0;
    bool taken = !take->strict || bucket->tokens >= 0;
    if (taken)
        bucket->tokens -= take->tokens;
    if (bucket->tokens < 0 && (!taken || !take->strict))
        *wait_ms = rounded(-bucket->tokens / take->limit * 1000);
    return taken;
}
