/* broker/quota.h - what clients have used of their quotas, and how long they are left waiting.
 *
 * What is allowed stands in the metadata image; what was used is kept here, for each user, client
 * id or both, whichever has the quota (KIP-55, KIP-124, KIP-546, KIP-599, KIP-612). Any thread; one
 * short lock, taken only where a quota is set. */
#ifndef BROKER_QUOTA_H
#define BROKER_QUOTA_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"
#include "broker/quota_math.h"
#include "meta/image.h"
#include "meta/quota_keys.h"
#include "os/env.h"

struct broker_quotas;

struct broker_quotas_opts {
    struct env *env;
    struct quota_window window;          /* quota.window.* */
    struct quota_window mutation_window; /* controller.quota.window.* */
};
MUST_USE enum err broker_quotas_new(
    const struct broker_quotas_opts *opts, struct broker_quotas **out);
void broker_quotas_free(struct broker_quotas **quotas);

/* Of whom something is counted. */
struct broker_quota_owner {
    struct str user;      /* "ANONYMOUS"; of an address: null */
    struct str client_id; /* may be empty or null; of an address: its text */
};

/* The quota in force for the owner: the most specific of what is set, and whose count it is. */
struct broker_quota_limit {
    enum meta_quota_key_id key;
    double limit;
    uint64_t count_id[2];
};
/* False: there is none. */
bool broker_quota_find(const struct broker_quotas *quotas, const struct meta_image *image,
    enum meta_quota_key_id key, const struct broker_quota_owner *owner,
    struct broker_quota_limit *out);

/* Adds to a rate; returns how long the owner waits now, in ms; 0: he is within his quota. Over it
 * and take_back: nothing was added. */
int64_t broker_quota_add(struct broker_quotas *quotas, const struct broker_quota_limit *limit,
    double value, bool take_back);

/* Takes from a bucket, see quota_bucket_take. */
bool broker_quota_take(struct broker_quotas *quotas, const struct broker_quota_limit *limit,
    double tokens, bool strict, int64_t *wait_ms);

/* The most that one use may be without being over at once. */
double broker_quota_whole_window(
    const struct broker_quotas *quotas, const struct broker_quota_limit *limit);
/* A wait is at most this where Kafka bounds it: one sample. */
int64_t broker_quota_sample_ms(const struct broker_quotas *quotas);
/* Owners that are counted now; for tests. */
int32_t broker_quotas_count(struct broker_quotas *quotas);

#endif
