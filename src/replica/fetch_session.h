/* replica/fetch_session.h - incremental fetch sessions (KIP-227): what each fetcher asked for last,
 * and what it was last told, so that both sides send differences only.
 *
 * A fetch goes through two calls: _begin settles the session and lists the partitions to read,
 * _finish notes the answers and says which belong in the response. In between no lock is held.
 * Threads: any; the cache is cut into shards with one mutex each (rank FETCH_SESSIONS). */
#ifndef REPLICA_FETCH_SESSION_H
#define REPLICA_FETCH_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/bytes.h"
#include "base/err.h"
#include "base/uuid.h"
#include "os/env.h"
#include "proto/error_codes.h"

struct replica_fetch_sessions;
struct replica_fetch_session;
struct replica_session_part;

enum {
    REPLICA_SESSION_ID_NONE = 0,
    REPLICA_SESSION_EPOCH_INITIAL = 0, /* a full request that asks for a session */
    REPLICA_SESSION_EPOCH_FINAL = -1,  /* a full request that closes or avoids one */
};

struct replica_fetch_sessions_opts {
    struct env *env;
    int32_t slots;       /* over all shards; 0: sessions are never given */
    int32_t shards;      /* 8 in Kafka */
    int64_t eviction_ms; /* 120,000 in Kafka */
};
MUST_USE enum err replica_fetch_sessions_new(
    const struct replica_fetch_sessions_opts *opts, struct replica_fetch_sessions **out);
void replica_fetch_sessions_free(struct replica_fetch_sessions **sessions);
int32_t replica_fetch_sessions_count(struct replica_fetch_sessions *sessions);
int64_t replica_fetch_sessions_partition_count(struct replica_fetch_sessions *sessions);
uint64_t replica_fetch_sessions_evictions(struct replica_fetch_sessions *sessions);

/* One partition of a fetch: asked (from the request or remembered), then answered. */
struct replica_fetch_item {
    struct str topic;     /* null when only the id is known and the metadata has no such id */
    struct uuid topic_id; /* zero when the fetch speaks names */
    int32_t partition;
    int32_t leader_epoch;
    int64_t offset;
    int32_t last_fetched_epoch;
    int64_t log_start_offset; /* the follower's; -1 for consumers */
    int32_t max_bytes;
    /* the answer, set before _finish */
    int64_t high_watermark;
    int64_t answer_log_start_offset;
    size_t records_bytes;
    enum proto_error error;
    bool must_answer; /* in, besides: diverging epoch or preferred replica; out: part of the
                         response */
    /* the session's */
    struct replica_session_part *part;
};

struct replica_fetch_forget {
    struct str topic;
    struct uuid topic_id;
    int32_t partition;
};

struct replica_fetch_ask {
    int32_t session_id;
    int32_t session_epoch;
    int16_t version; /* of the request: 13 and above speak topic ids */
    bool follower;
    struct replica_fetch_item *items; /* what the request lists, in its order */
    int32_t item_count;
    const struct replica_fetch_forget *forgets;
    int32_t forget_count;
    /* The name of a topic id in the metadata of this request, or STR_NULL; must outlive the fetch.
     */
    struct str (*resolve)(void *ctx, struct uuid topic_id);
    void *resolve_ctx;
};

enum replica_fetch_kind {
    REPLICA_FETCH_SESSIONLESS,
    REPLICA_FETCH_FULL, /* a session will be made from the answers if there is room */
    REPLICA_FETCH_INCREMENTAL,
};

struct replica_fetch_context {
    enum replica_fetch_kind kind;
    struct replica_fetch_item *items; /* what to read, in the order to serve it; in the arena */
    int32_t item_count;
    /* private */
    struct replica_fetch_session *session; /* referenced */
    int32_t epoch_expected;
    bool follower;
    bool topic_ids;
};

/* NONE, or FETCH_SESSION_ID_NOT_FOUND, INVALID_FETCH_SESSION_EPOCH, FETCH_SESSION_TOPIC_ID_ERROR
 * (the whole response, with session id 0), or UNKNOWN_SERVER_ERROR out of memory. Duplicated
 * partitions: the last one counts. On NONE exactly one of _finish and _abort follows. */
MUST_USE enum proto_error replica_fetch_begin(struct replica_fetch_sessions *sessions,
    const struct replica_fetch_ask *ask, struct arena *arena, struct replica_fetch_context *out);
/* Notes the answers. `must_answer` of each item says whether it goes into the response; *session_id
 * is what the response says. INVALID_FETCH_SESSION_EPOCH when another request moved the session in
 * the meantime (then the response is that error and no items). */
MUST_USE enum proto_error replica_fetch_finish(struct replica_fetch_sessions *sessions,
    struct replica_fetch_context *context, int32_t *session_id);
/* Instead of _finish, for a fetcher that is over its quota: what was read is not sent, and its next
 * fetch finds it as if it had not been read. No session is made. */
MUST_USE enum proto_error replica_fetch_skip(struct replica_fetch_sessions *sessions,
    struct replica_fetch_context *context, int32_t *session_id);
/* The request ends without an answer. */
void replica_fetch_abort(
    struct replica_fetch_sessions *sessions, struct replica_fetch_context *context);

#endif
