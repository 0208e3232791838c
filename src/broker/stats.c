/* What was served: counters and latency of each request type, on each reactor.
 *
 * I1  Only the reactor's own thread writes its counters; others read them, relaxed. */
#include "base/alloc.h"
#include "base/assert.h"
#include "broker/broker_priv.h"

static void
add(_Atomic uint64_t *counter, uint64_t n)
{
    uint64_t v = atomic_load_explicit(counter, memory_order_relaxed);
    atomic_store_explicit(counter, v + n, memory_order_relaxed);
}

static uint64_t
get(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

int
broker_hist_bucket(uint64_t us)
{
    if (us < 4)
        return (int)us;
    int power = 63 - __builtin_clzll(us); /* >= 2 */
    int bucket = (power - 1) * 4 + (int)((us >> (power - 2)) & 3);
    return bucket < BROKER_HIST_BUCKETS ? bucket : BROKER_HIST_BUCKETS - 1;
}

uint64_t
broker_hist_floor_us(int bucket)
{
    ASSERT(bucket >= 0 && bucket < BROKER_HIST_BUCKETS);
    if (bucket < 4)
        return (uint64_t)bucket;
    int power = bucket / 4 + 1;
    return (uint64_t)(4 + bucket % 4) << (power - 2);
}

struct broker_api_counters *
broker_counters_of(struct broker_reactor *reactor, int16_t key)
{
    if (key < 0 || key >= BROKER_API_KEYS)
        return NULL;
    struct broker_api_counters *counters =
        atomic_load_explicit(&reactor->counters[key], memory_order_relaxed);
    if (counters == NULL) {
        counters = mem_calloc(1, sizeof *counters);
        atomic_store_explicit(&reactor->counters[key], counters, memory_order_release);
    }
    return counters;
}

void
broker_counters_note(struct broker_api_counters *counters, const struct broker_req *req,
    size_t frame_len, size_t response_len, int64_t now_ns)
{
    if (counters == NULL)
        return;
    uint64_t us = now_ns > req->start_ns ? (uint64_t)(now_ns - req->start_ns) / 1000 : 0;
    add(&counters->requests, 1);
    add(&counters->bytes_in, frame_len);
    add(&counters->bytes_out, response_len);
    add(&counters->latency_sum_us, us);
    add(&counters->latency[broker_hist_bucket(us)], 1);
}

void
broker_counters_free(struct broker_reactor *reactor)
{
    for (int i = 0; i < BROKER_API_KEYS; i++)
        mem_free(atomic_load(&reactor->counters[i]));
}

bool
broker_stats(const struct broker *broker, int16_t key, struct broker_api_stats *out)
{
    bool any = false;
    if (key < 0 || key >= BROKER_API_KEYS)
        return false;
    *out = (struct broker_api_stats){0};
    for (int i = 0; i < broker->opts.loop_count; i++) {
        const struct broker_api_counters *c =
            atomic_load_explicit(&broker->reactors[i].counters[key], memory_order_acquire);
        if (c == NULL)
            continue;
        any = true;
        out->requests += get(&c->requests);
        out->closed += get(&c->closed);
        out->bytes_in += get(&c->bytes_in);
        out->bytes_out += get(&c->bytes_out);
        out->latency_sum_us += get(&c->latency_sum_us);
        for (int b = 0; b < BROKER_HIST_BUCKETS; b++)
            out->latency[b] += get(&c->latency[b]);
    }
    return any;
}
