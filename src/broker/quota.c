/* What was used of quotas.
 *
 * What     A count is a rate or a bucket of one owner of one quota, found by a keyed hash of both.
 *          Counts are made at first use, up to a ceiling, and kept in the order of their last use:
 *          those unused for an hour go (as in Kafka), and where there are too many the oldest.
 * I1       A count is in the map and in the list of uses, or in neither.
 * I2       count <= counts_max, which LIMIT_QUOTA_COUNTS and LIMIT_QUOTA_BYTES bound.
 * Threads  Any; the map under one mutex (LEAF).
 * Errors   Out of memory for a new count: its owner is not held back. */
#include "broker/quota.h"

#include <string.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/ip_text.h"
#include "base/limits.h"
#include "base/list.h"
#include "base/map.h"
#include "base/siphash.h"
#include "os/mutex.h"

enum { UNUSED_MS_MAX = 3600 * 1000 };

struct quota_count {
    UT_hash_handle hh;
    struct list link; /* of uses, the latest last */
    uint64_t id[2];
    int64_t used_ms;
    struct quota_bucket bucket; /* of mutations; of all others the rate */
    struct quota_rate rate;     /* last: its samples follow */
};

struct broker_quotas {
    /* fixed */
    struct broker_quotas_opts opts;
    struct siphash_key hash_key;
    int32_t counts_max;
    /* under the mutex */
    struct mutex mutex;
    struct quota_count *counts;
    struct list uses;
};

static size_t
count_size(const struct broker_quotas *quotas)
{
    return sizeof(struct quota_count) - sizeof(struct quota_rate) +
           quota_rate_size(&quotas->opts.window);
}

/* ---- life ---- */

static void
window_check(struct quota_window *window)
{
    if (window->samples <= 0)
        window->samples = 11;
    if (window->samples > LIMIT_QUOTA_SAMPLES)
        window->samples = LIMIT_QUOTA_SAMPLES;
    if (window->sample_ms <= 0)
        window->sample_ms = 1000;
}

enum err
broker_quotas_new(const struct broker_quotas_opts *opts, struct broker_quotas **out)
{
    struct broker_quotas *quotas = mem_calloc(1, sizeof *quotas);
    if (quotas == NULL)
        return ERR_NOMEM;
    quotas->opts = *opts;
    window_check(&quotas->opts.window);
    window_check(&quotas->opts.mutation_window);
    quotas->hash_key = (struct siphash_key){env_random_u64(opts->env), env_random_u64(opts->env)};
    size_t most = (size_t)LIMIT_QUOTA_BYTES / count_size(quotas);
    quotas->counts_max = most < LIMIT_QUOTA_COUNTS ? (int32_t)most : LIMIT_QUOTA_COUNTS;
    ASSERT(quotas->counts_max > 0);
    mutex_init(&quotas->mutex, MUTEX_RANK_LEAF);
    list_init(&quotas->uses);
    *out = quotas;
    return ERR_OK;
}

static void
count_free(struct broker_quotas *quotas, struct quota_count *count)
{
    HASH_DEL(quotas->counts, count);
    list_remove(&count->link);
    mem_free(count);
}

void
broker_quotas_free(struct broker_quotas **slot)
{
    struct broker_quotas *quotas = *slot;
    struct quota_count *count, *next;
    if (quotas == NULL)
        return;
    *slot = NULL;
    HASH_ITER (hh, quotas->counts, count, next) {
        count_free(quotas, count);
    }
    mutex_fini(&quotas->mutex);
    mem_free(quotas);
}

/* ---- which quota ---- */

static struct siphash
hash_text(const struct broker_quotas *quotas, struct str text)
{
    return siphash_128(&quotas->hash_key, (struct bytes){(const uint8_t *)text.data, text.len});
}

static void
identify(const struct broker_quotas *quotas, const struct broker_quota_owner *owner,
    struct broker_quota_limit *out)
{
    struct siphash parts[] = {hash_text(quotas, owner->user), hash_text(quotas, owner->client_id),
        {(uint64_t)out->key, 0}};
    struct siphash id =
        siphash_128(&quotas->hash_key, (struct bytes){(const uint8_t *)parts, sizeof parts});
    out->count_id[0] = id.low;
    out->count_id[1] = id.high;
}

static const struct str CLIENT_TYPE = {META_QUOTA_CLIENT_ID, sizeof META_QUOTA_CLIENT_ID - 1};
static const struct str USER_TYPE = {META_QUOTA_USER, sizeof META_QUOTA_USER - 1};
static const struct str IP_TYPE = {META_QUOTA_IP, sizeof META_QUOTA_IP - 1};

/* The value of a key of one entity. NULL parts are left out; a null name is the default. */
static const double *
value_of(const struct meta_image *image, enum meta_quota_key_id key, const struct str *client,
    const struct str *user)
{
    struct meta_quota_part parts[2];
    int32_t count = 0;
    if (client != NULL)
        parts[count++] = (struct meta_quota_part){CLIENT_TYPE, *client};
    if (user != NULL)
        parts[count++] = (struct meta_quota_part){USER_TYPE, *user};
    const struct meta_quota *quota = meta_image_quota(image, parts, count);
    return quota == NULL ? NULL : meta_quota_value(quota, str_of(meta_quota_keys[key].name));
}

/* In the order of precedence; an empty client id has no quotas of its own. */
static const double *
find_of_client(const struct meta_image *image, enum meta_quota_key_id key,
    const struct broker_quota_owner *owner, struct broker_quota_owner *counted)
{
    const struct str any = STR_NULL, *const client = &owner->client_id;
    const bool named = owner->client_id.len > 0;
    const struct str *const users[] = {&owner->user, &any};
    const double *value = NULL;
    *counted = *owner;
    for (int i = 0; i < 2 && value == NULL; i++) {
        if (named)
            value = value_of(image, key, client, users[i]);
        if (value == NULL && named)
            value = value_of(image, key, &any, users[i]);
        if (value != NULL)
            return value; /* of this user's client */
        value = value_of(image, key, NULL, users[i]);
        counted->client_id = STR("");
        if (value != NULL)
            return value; /* of all that this user does */
        counted->client_id = owner->client_id;
    }
    counted->user = STR("");
    if (named)
        value = value_of(image, key, client, NULL);
    if (value == NULL && named)
        value = value_of(image, key, &any, NULL);
    return value; /* of all clients of this name */
}

static bool
is_same_address(struct str name, const uint8_t address[IP_BYTES])
{
    uint8_t other[IP_BYTES];
    if (!str_is_null(name) && str_eq_z(name, "localhost"))
        name = STR("127.0.0.1");
    return ip_text_parse(name, other) && memcmp(other, address, IP_BYTES) == 0;
}

/* Of an address that is not spelled as the peer's is: the first few are looked at. */
static const struct meta_quota *
find_other_spelling(const struct meta_image *image, struct str text)
{
    struct meta_quota_part any = {IP_TYPE, STR_NULL};
    const struct meta_quota before = {.parts = &any, .part_count = 1};
    const struct meta_quota *quota = &before;
    uint8_t address[IP_BYTES];
    if (!ip_text_parse(text, address))
        return NULL;
    for (int i = 0; i < LIMIT_QUOTA_SPELLINGS; i++) {
        quota = meta_image_quota_after(image, quota);
        if (quota == NULL || !str_eq(quota->parts[0].type, IP_TYPE))
            return NULL;
        if (is_same_address(quota->parts[0].name, address))
            return quota;
    }
    return NULL;
}

static const double *
find_of_address(const struct meta_image *image, struct str text)
{
    struct str key = str_of(meta_quota_keys[META_QUOTA_CONNECTION_CREATION_RATE].name);
    struct meta_quota_part part = {IP_TYPE, text};
    const struct meta_quota *quota = meta_image_quota(image, &part, 1);
    if (quota == NULL)
        quota = find_other_spelling(image, text);
    part.name = STR_NULL;
    if (quota == NULL)
        quota = meta_image_quota(image, &part, 1);
    return quota == NULL ? NULL : meta_quota_value(quota, key);
}

bool
broker_quota_find(const struct broker_quotas *quotas, const struct meta_image *image,
    enum meta_quota_key_id key, const struct broker_quota_owner *owner,
    struct broker_quota_limit *out)
{
    struct broker_quota_owner counted = *owner;
    const double *value;
    if (key == META_QUOTA_CONNECTION_CREATION_RATE) {
        value = find_of_address(image, owner->client_id);
    } else {
        value = find_of_client(image, key, owner, &counted);
    }
    if (value == NULL)
        return false;
    out->key = key;
    out->limit = *value;
    identify(quotas, &counted, out);
    return true;
}

/* ---- counts ---- */

/* Lets go of what nobody used for an hour, and of the oldest where there is no room. */
static void
counts_expire(struct broker_quotas *quotas, int64_t now_ms)
{
    mutex_assert_held(&quotas->mutex);
    while (!list_empty(&quotas->uses)) {
        struct quota_count *oldest = LIST_ENTRY(quotas->uses.next, struct quota_count, link);
        if (now_ms - oldest->used_ms < UNUSED_MS_MAX &&
            HASH_COUNT(quotas->counts) < (unsigned)quotas->counts_max)
            return;
        count_free(quotas, oldest);
    }
}

/* NULL out of memory. */
static struct quota_count *
count_get(struct broker_quotas *quotas, const uint64_t id[2], int64_t now_ms)
{
    struct quota_count *count = NULL;
    mutex_assert_held(&quotas->mutex);
    HASH_FIND(hh, quotas->counts, id, sizeof count->id, count);
    if (count == NULL) {
        counts_expire(quotas, now_ms);
        count = mem_calloc(1, count_size(quotas));
        if (count == NULL)
            return NULL;
        memcpy(count->id, id, sizeof count->id);
        quota_rate_init(&count->rate);
        HASH_ADD(hh, quotas->counts, id, sizeof count->id, count);
        if (count->hh.tbl == NULL) {
            mem_free(count);
            return NULL;
        }
        list_init(&count->link);
    }
    list_remove(&count->link);
    list_push(&quotas->uses, &count->link); /* I1 */
    count->used_ms = now_ms;
    return count;
}

int64_t
broker_quota_add(struct broker_quotas *quotas, const struct broker_quota_limit *limit, double value,
    bool take_back)
{
    const struct quota_window *window = &quotas->opts.window;
    int64_t now_ms = env_now_ms(quotas->opts.env), wait_ms = 0;
    ASSERT(limit->key != META_QUOTA_CONTROLLER_MUTATION_RATE);
    mutex_lock(&quotas->mutex);
    struct quota_count *count = count_get(quotas, limit->count_id, now_ms);
    if (count != NULL) {
        quota_rate_add(&count->rate, window, value, now_ms);
        wait_ms = quota_rate_wait_ms(&count->rate, window, limit->limit, now_ms);
        if (wait_ms > 0 && take_back)
            quota_rate_add(&count->rate, window, -value, now_ms);
    }
    mutex_unlock(&quotas->mutex);
    return wait_ms;
}

bool
broker_quota_take(struct broker_quotas *quotas, const struct broker_quota_limit *limit,
    double tokens, bool strict, int64_t *wait_ms)
{
    struct quota_take take = {limit->limit, tokens, strict};
    int64_t now_ms = env_now_ms(quotas->opts.env);
    bool taken = true;
    *wait_ms = 0;
    ASSERT(limit->key == META_QUOTA_CONTROLLER_MUTATION_RATE);
    mutex_lock(&quotas->mutex);
    struct quota_count *count = count_get(quotas, limit->count_id, now_ms);
    if (count != NULL)
        taken = quota_bucket_take(
            &count->bucket, &quotas->opts.mutation_window, &take, now_ms, wait_ms);
    mutex_unlock(&quotas->mutex);
    return taken;
}

double
broker_quota_whole_window(
    const struct broker_quotas *quotas, const struct broker_quota_limit *limit)
{
    const struct quota_window *window = &quotas->opts.window;
    return limit->limit * (window->samples - 1) * ((double)window->sample_ms / 1000.0);
}

int64_t
broker_quota_sample_ms(const struct broker_quotas *quotas)
{
    return quotas->opts.window.sample_ms;
}

int32_t
broker_quotas_count(struct broker_quotas *quotas)
{
    mutex_lock(&quotas->mutex);
    int32_t count = (int32_t)HASH_COUNT(quotas->counts);
    mutex_unlock(&quotas->mutex);
    return count;
}
