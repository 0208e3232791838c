/* replica/session_cache.c - which fetch sessions there are, and which one leaves for a newcomer.
 *
 * Rules (KIP-227): a session unused for longer than eviction_ms leaves first. Otherwise a newcomer
 * takes the place of the least of those it may push out, if it is greater: order is consumer before
 * follower, then fewer partitions, then lower id. A consumer may push out sessions older than
 * eviction_ms; a follower those and every consumer's.
 *
 * Invariants: I1 a cached session is in by_use; I2 partition_count is the sum of size_counted.
 * Threads: a shard's functions under its mutex. Errors: no room is an ordinary answer. */
#include "replica/fetch_session_priv.h"

#include <limits.h>

#include "base/alloc.h"
#include "base/assert.h"

static void
shard_init(struct replica_session_shard *shard, const struct replica_fetch_sessions_opts *opts,
    int32_t index, int32_t id_range)
{
    mutex_init(&shard->mutex, MUTEX_RANK_FETCH_SESSIONS);
    shard->env = opts->env;
    shard->slots = opts->slots / opts->shards;
    shard->eviction_ms = opts->eviction_ms;
    shard->id_first = index == 0 ? 1 : index * id_range;
    shard->id_end = (index + 1) * id_range;
    heap_init(&shard->by_use);
    heap_init(&shard->by_privileged);
    heap_init(&shard->by_all);
}

static void
shard_fini(struct replica_session_shard *shard)
{
    struct replica_fetch_session *session, *next;

    mutex_lock(&shard->mutex);
    HASH_ITER (hh, shard->sessions, session, next)
        replica_session_remove(session);
    mutex_unlock(&shard->mutex);
    ASSERT(shard->count == 0);
    ASSERT(shard->partition_count == 0);
    heap_fini(&shard->by_use);
    heap_fini(&shard->by_privileged);
    heap_fini(&shard->by_all);
    mutex_fini(&shard->mutex);
}

enum err
replica_fetch_sessions_new(
    const struct replica_fetch_sessions_opts *opts, struct replica_fetch_sessions **out)
{
    struct replica_fetch_sessions *sessions;

    ASSERT(opts->shards > 0);
    ASSERT(opts->slots >= 0);
    sessions = mem_calloc(1, sizeof *sessions);
    if (sessions == NULL)
        return ERR_NOMEM;
    sessions->env = opts->env;
    sessions->shard_count = opts->shards;
    sessions->id_range = INT32_MAX / opts->shards;
    sessions->shards = mem_calloc((size_t)opts->shards, sizeof *sessions->shards);
    if (sessions->shards == NULL) {
        mem_free(sessions);
        return ERR_NOMEM;
    }
    for (int32_t i = 0; i < opts->shards; i++)
        shard_init(&sessions->shards[i], opts, i, sessions->id_range);
    *out = sessions;
    return ERR_OK;
}

void
replica_fetch_sessions_free(struct replica_fetch_sessions **sessions_ref)
{
    struct replica_fetch_sessions *sessions = *sessions_ref;

    if (sessions == NULL)
        return;
    for (int32_t i = 0; i < sessions->shard_count; i++)
        shard_fini(&sessions->shards[i]);
    mem_free(sessions->shards);
    mem_free(sessions);
    *sessions_ref = NULL;
}

int32_t
replica_fetch_sessions_count(struct replica_fetch_sessions *sessions)
{
    int32_t count = 0;

    for (int32_t i = 0; i < sessions->shard_count; i++) {
        mutex_lock(&sessions->shards[i].mutex);
        count += sessions->shards[i].count;
        mutex_unlock(&sessions->shards[i].mutex);
    }
    return count;
}

int64_t
replica_fetch_sessions_partition_count(struct replica_fetch_sessions *sessions)
{
    int64_t count = 0;

    for (int32_t i = 0; i < sessions->shard_count; i++) {
        mutex_lock(&sessions->shards[i].mutex);
        count += sessions->shards[i].partition_count;
        mutex_unlock(&sessions->shards[i].mutex);
    }
    return count;
}

uint64_t
replica_fetch_sessions_evictions(struct replica_fetch_sessions *sessions)
{
    uint64_t count = 0;

    for (int32_t i = 0; i < sessions->shard_count; i++) {
        mutex_lock(&sessions->shards[i].mutex);
        count += sessions->shards[i].evictions;
        mutex_unlock(&sessions->shards[i].mutex);
    }
    return count;
}

int32_t
replica_session_epoch_after(int32_t epoch)
{
    if (epoch < 0)
        return REPLICA_SESSION_EPOCH_FINAL;
    return epoch == INT32_MAX ? 1 : epoch + 1;
}

struct replica_session_shard *
replica_session_shard_of(struct replica_fetch_sessions *sessions, int32_t id)
{
    int32_t index = id / sessions->id_range;

    return id > 0 && index < sessions->shard_count ? &sessions->shards[index] : NULL;
}

struct replica_fetch_session *
replica_session_find(struct replica_session_shard *shard, int32_t id)
{
    struct replica_fetch_session *session;

    mutex_assert_held(&shard->mutex);
    HASH_FIND(hh, shard->sessions, &id, sizeof id, session);
    return session;
}

/* Follower above consumer, then size, then id: 1 + 31 + 31 bits. */
static int64_t
evictable_key(bool privileged, int32_t size, int32_t id)
{
    return (int64_t)privileged << 62 | (int64_t)size << 31 | id;
}

static struct replica_fetch_session *
evictable_least(struct replica_session_shard *shard, bool privileged)
{
    struct heap_node *node = heap_peek(privileged ? &shard->by_privileged : &shard->by_all);

    if (node == NULL)
        return NULL;
    return privileged ? CONTAINER_OF(node, struct replica_fetch_session, by_privileged)
                      : CONTAINER_OF(node, struct replica_fetch_session, by_all);
}

static bool
evict_one(struct replica_session_shard *shard, const struct replica_fetch_session *newcomer,
    int64_t now_ms)
{
    struct heap_node *oldest = heap_peek(&shard->by_use);
    struct replica_fetch_session *victim;

    if (oldest == NULL)
        return false;
    if (now_ms - oldest->key > shard->eviction_ms) {
        victim = CONTAINER_OF(oldest, struct replica_fetch_session, by_use);
    } else {
        victim = evictable_least(shard, newcomer->privileged);
        if (victim == NULL ||
            evictable_key(newcomer->privileged, newcomer->count, 0) <
                evictable_key(victim->privileged, victim->size_counted, victim->id))
            return false;
    }
    replica_session_remove(victim);
    shard->evictions++;
    return true;
}

static int32_t
id_new(struct replica_session_shard *shard)
{
    uint64_t span = (uint64_t)(shard->id_end - shard->id_first);
    int32_t id;

    do {
        id = shard->id_first + (int32_t)(env_random_u64(shard->env) % span);
    } while (replica_session_find(shard, id) != NULL);
    return id;
}

bool
replica_session_insert(
    struct replica_session_shard *shard, struct replica_fetch_session *session, int64_t now_ms)
{
    mutex_assert_held(&shard->mutex);
    ASSERT(!session->cached);
    if (shard->count >= shard->slots && !evict_one(shard, session, now_ms))
        return false;
    if (shard->count >= shard->slots)
        return false;
    session->shard = shard;
    session->id = id_new(shard);
    session->epoch = replica_session_epoch_after(REPLICA_SESSION_EPOCH_INITIAL);
    session->created_ms = now_ms;
    if (heap_push(&shard->by_use, &session->by_use, now_ms) != ERR_OK)
        return false;
    HASH_ADD(hh, shard->sessions, id, sizeof session->id, session);
    if (session->hh.tbl == NULL) {
        heap_remove(&shard->by_use, &session->by_use);
        return false;
    }
    session->cached = true;
    shard->count++;
    replica_session_touch(session, now_ms);
    return true;
}

/* Out of memory for one of the eviction orders only means that the session is not offered there
 * until the next touch. */
static void
evictable_push(struct heap *heap, struct heap_node *node, int64_t key)
{
    enum err err = heap_push(heap, node, key);

    (void)err;
}

void
replica_session_touch(struct replica_fetch_session *session, int64_t now_ms)
{
    struct replica_session_shard *shard = session->shard;
    bool old;
    int64_t key;

    mutex_assert_held(&shard->mutex);
    ASSERT(session->cached);
    heap_remove(&shard->by_use, &session->by_use);
    heap_remove(&shard->by_privileged, &session->by_privileged);
    heap_remove(&shard->by_all, &session->by_all);
    /* There was room for it a moment ago. */
    evictable_push(&shard->by_use, &session->by_use, now_ms);
    if (session->size_counted >= 0)
        shard->partition_count -= session->size_counted;
    session->size_counted = session->count;
    shard->partition_count += session->size_counted;
    old = now_ms - session->created_ms > shard->eviction_ms;
    key = evictable_key(session->privileged, session->size_counted, session->id);
    if (!session->privileged || old)
        evictable_push(&shard->by_privileged, &session->by_privileged, key);
    if (old)
        evictable_push(&shard->by_all, &session->by_all, key);
}

void
replica_session_remove(struct replica_fetch_session *session)
{
    struct replica_session_shard *shard = session->shard;

    mutex_assert_held(&shard->mutex);
    if (!session->cached)
        return;
    HASH_DEL(shard->sessions, session);
    heap_remove(&shard->by_use, &session->by_use);
    heap_remove(&shard->by_privileged, &session->by_privileged);
    heap_remove(&shard->by_all, &session->by_all);
    shard->partition_count -= session->size_counted;
    ASSERT(shard->partition_count >= 0);
    shard->count--;
    session->cached = false;
    replica_session_unref(session);
}

void
replica_session_unref(struct replica_fetch_session *session)
{
    mutex_assert_held(&session->shard->mutex);
    ASSERT(session->refs > 0);
    if (--session->refs == 0)
        replica_session_free(&session);
}
