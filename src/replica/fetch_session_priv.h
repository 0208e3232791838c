/* replica/fetch_session_priv.h - bodies shared by the session files and their tests. */
#ifndef REPLICA_FETCH_SESSION_PRIV_H
#define REPLICA_FETCH_SESSION_PRIV_H

#include <stdatomic.h>

#include "base/heap.h"
#include "base/list.h"
#include "base/map.h"
#include "os/mutex.h"
#include "replica/fetch_session.h"

/* Partitions one session may remember: 200 bytes each, so 20 MB; a fetcher of more is served
 * without a session. */
enum { REPLICA_SESSION_PARTITIONS_MAX = 100000 };

struct replica_session_topic {
    UT_hash_handle hh;
    struct uuid id; /* zero in a session of names */
    char *name;     /* owned; NULL while the id is not in the metadata */
    size_t name_len;
    int32_t part_count;
};

struct replica_session_key {
    struct replica_session_topic *topic;
    int64_t partition;
};

struct replica_session_part {
    UT_hash_handle hh;
    struct list link; /* in the session's order */
    struct replica_session_key key;
    /* asked */
    int32_t leader_epoch;
    int32_t last_fetched_epoch;
    int32_t max_bytes;
    int64_t offset;
    int64_t fetcher_log_start_offset;
    /* answered last; -1 never, or an error */
    int64_t high_watermark;
    int64_t log_start_offset;
};

struct replica_session_shard;

/* Everything under the mutex of its shard. */
struct replica_fetch_session {
    UT_hash_handle hh;
    struct replica_session_shard *shard;
    int32_t id;
    int32_t epoch; /* the next request must say this */
    int32_t refs;
    bool privileged; /* a follower's */
    bool topic_ids;
    bool cached; /* in the shard's table */
    int64_t created_ms;
    struct heap_node by_use;        /* key: last used */
    struct heap_node by_privileged; /* key: size; those a follower may push out */
    struct heap_node by_all;        /* key: size; those anybody may push out */
    int32_t size_counted;           /* what the shard's total holds for it */
    struct replica_session_topic *topics;
    struct replica_session_part *parts;
    struct list order;
    int32_t count;
};

struct replica_session_shard {
    struct mutex mutex;
    struct env *env;
    int32_t slots;
    int32_t id_first, id_end;
    int64_t eviction_ms;
    struct replica_fetch_session *sessions; /* by id */
    int32_t count;
    struct heap by_use, by_privileged, by_all;
    int64_t partition_count;
    uint64_t evictions;
};

struct replica_fetch_sessions {
    struct env *env;
    int32_t shard_count;
    int32_t id_range;
    _Atomic uint32_t shard_next;
    struct replica_session_shard *shards;
};

/* ---- session_store.c: what one session remembers ---- */

MUST_USE enum err replica_session_new(
    bool privileged, bool topic_ids, struct replica_fetch_session **out);
void replica_session_free(struct replica_fetch_session **session);
/* Adds or updates; *part_out when not NULL. LIMIT, NOMEM leave it without the partition. */
MUST_USE enum err replica_session_put(struct replica_fetch_session *session,
    const struct replica_fetch_item *item, struct replica_session_part **part_out);
void replica_session_forget(
    struct replica_fetch_session *session, const struct replica_fetch_forget *forget);
/* Takes the answer of one item; says whether it must be sent. */
bool replica_session_note(struct replica_fetch_session *session, struct replica_session_part *part,
    const struct replica_fetch_item *item);

/* ---- session_cache.c: which sessions there are ---- */

struct replica_session_shard *replica_session_shard_of(
    struct replica_fetch_sessions *sessions, int32_t id);
struct replica_fetch_session *replica_session_find(struct replica_session_shard *shard, int32_t id);
/* Evicts by Kafka's rules if it must; false when there is no room. Shard locked. */
bool replica_session_insert(
    struct replica_session_shard *shard, struct replica_fetch_session *session, int64_t now_ms);
void replica_session_touch(struct replica_fetch_session *session, int64_t now_ms);
void replica_session_remove(struct replica_fetch_session *session);
void replica_session_unref(struct replica_fetch_session *session);
int32_t replica_session_epoch_after(int32_t epoch);

#endif
