/* replica/fetch_session.c - one fetch through its session: begin, then finish or abort.
 *
 * States of a context: begun, then finished or aborted (once). Invariants: I1 between the two the
 * context holds a reference on the session, no lock; I2 an item's `part` is touched only when the
 * session's epoch is still the expected one, since every update of the partitions moves the epoch.
 * Threads: any. Errors: Kafka's session errors; out of memory ends the session rather than lying.
 */
#include "replica/fetch_session.h"

#include "base/assert.h"
#include "replica/fetch_session_priv.h"

/* ---- duplicates: the last one counts, at the place of the first ---- */

static uint64_t
item_hash(const struct replica_fetch_item *item)
{
    uint64_t hash = str_is_null(item->topic) ? hash_bytes(item->topic_id.b, sizeof item->topic_id.b)
                                             : hash_bytes(item->topic.data, item->topic.len);

    return (hash ^ (uint32_t)item->partition) * 0x9e3779b97f4a7c15u >> 16;
}

static bool
item_same(const struct replica_fetch_item *a, const struct replica_fetch_item *b)
{
    return a->partition == b->partition && uuid_eq(a->topic_id, b->topic_id) &&
           str_eq(a->topic, b->topic);
}

/* Squeezes in place; returns how many stay, -1 out of memory. */
static int32_t
items_dedupe(struct replica_fetch_item *items, int32_t count, struct arena *arena)
{
    size_t capacity = 16;
    int32_t kept = 0;
    int32_t *table; /* index + 1 */

    if (count <= 1)
        return count;
    while (capacity < (size_t)count * 2)
        capacity *= 2;
    table = arena_calloc(arena, capacity, sizeof *table);
    if (table == NULL)
        return -1;
    for (int32_t i = 0; i < count; i++) {
        size_t at = item_hash(&items[i]) & (capacity - 1);
        while (table[at] != 0 && !item_same(&items[table[at] - 1], &items[i]))
            at = (at + 1) & (capacity - 1);
        if (table[at] == 0)
            table[at] = ++kept;
        items[table[at] - 1] = items[i];
    }
    return kept;
}

/* ---- begin ---- */

static void
close_session(struct replica_fetch_sessions *sessions, int32_t id)
{
    struct replica_session_shard *shard = replica_session_shard_of(sessions, id);
    struct replica_fetch_session *session;

    if (shard == NULL)
        return;
    mutex_lock(&shard->mutex);
    session = replica_session_find(shard, id);
    if (session != NULL)
        replica_session_remove(session);
    mutex_unlock(&shard->mutex);
}

static enum proto_error
begin_full(struct replica_fetch_sessions *sessions, const struct replica_fetch_ask *ask,
    struct arena *arena, struct replica_fetch_context *out)
{
    int32_t count = items_dedupe(ask->items, ask->item_count, arena);

    if (count < 0)
        return PROTO_ERROR_UNKNOWN_SERVER_ERROR;
    if (ask->session_id != REPLICA_SESSION_ID_NONE)
        close_session(sessions, ask->session_id);
    *out = (struct replica_fetch_context){
        .kind = ask->session_epoch == REPLICA_SESSION_EPOCH_FINAL ? REPLICA_FETCH_SESSIONLESS
                                                                  : REPLICA_FETCH_FULL,
        .items = ask->items,
        .item_count = count,
        .follower = ask->follower,
        .topic_ids = ask->version >= 13,
    };
    return PROTO_ERROR_NONE;
}

/* A topic that the metadata did not know when it was asked for may be known by now. */
static struct str
topic_name(struct replica_session_topic *topic, const struct replica_fetch_ask *ask)
{
    if (topic->name == NULL && ask->resolve != NULL) {
        struct str name = ask->resolve(ask->resolve_ctx, topic->id);
        if (str_is_null(name))
            return STR_NULL;
        topic->name = mem_strndup(name.data, name.len);
        topic->name_len = topic->name == NULL ? 0 : name.len;
    }
    return (struct str){topic->name, topic->name_len};
}

/* Copies what to read out of the session: names into the arena, as another request of the same
 * session may forget a topic while this one reads. */
static bool
list_items(struct replica_fetch_session *session, const struct replica_fetch_ask *ask,
    struct arena *arena, struct replica_fetch_context *out)
{
    struct replica_fetch_item *items = arena_alloc(arena, (size_t)session->count * sizeof *items);
    const struct replica_session_topic *topic_last = NULL;
    struct str name = STR_NULL;
    int32_t n = 0;

    if (items == NULL)
        return false;
    LIST_FOREACH (&session->order, node) {
        struct replica_session_part *part = LIST_ENTRY(node, struct replica_session_part, link);
        if (part->key.topic != topic_last) {
            name = arena_str(arena, topic_name(part->key.topic, ask));
            topic_last = part->key.topic;
        }
        items[n++] = (struct replica_fetch_item){
            .topic = name,
            .topic_id = part->key.topic->id,
            .partition = (int32_t)part->key.partition,
            .leader_epoch = part->leader_epoch,
            .offset = part->offset,
            .last_fetched_epoch = part->last_fetched_epoch,
            .log_start_offset = part->fetcher_log_start_offset,
            .max_bytes = part->max_bytes,
            .part = part,
        };
    }
    ASSERT(n == session->count);
    out->items = items;
    out->item_count = n;
    return !arena->exhausted;
}

static bool
session_update(struct replica_fetch_session *session, const struct replica_fetch_ask *ask)
{
    for (int32_t i = 0; i < ask->item_count; i++)
        if (replica_session_put(session, &ask->items[i], NULL) != ERR_OK)
            return false;
    for (int32_t i = 0; i < ask->forget_count; i++)
        replica_session_forget(session, &ask->forgets[i]);
    return true;
}

static enum proto_error
begin_in_session(struct replica_fetch_session *session, const struct replica_fetch_ask *ask,
    struct arena *arena, struct replica_fetch_context *out)
{
    if (session->epoch != ask->session_epoch)
        return PROTO_ERROR_INVALID_FETCH_SESSION_EPOCH;
    if (session->topic_ids != (ask->version >= 13))
        return PROTO_ERROR_FETCH_SESSION_TOPIC_ID_ERROR;
    /* A session that cannot remember what was asked is of no use: the fetcher makes a new one. */
    if (!session_update(session, ask)) {
        replica_session_remove(session);
        return PROTO_ERROR_FETCH_SESSION_ID_NOT_FOUND;
    }
    if (session->count == 0) {
        /* Nothing is left of it: what was asked now is answered for itself. */
        int32_t count = items_dedupe(ask->items, ask->item_count, arena);
        replica_session_remove(session);
        if (count < 0)
            return PROTO_ERROR_UNKNOWN_SERVER_ERROR;
        *out = (struct replica_fetch_context){
            .kind = REPLICA_FETCH_SESSIONLESS,
            .items = ask->items,
            .item_count = count,
            .follower = ask->follower,
            .topic_ids = ask->version >= 13,
        };
        return PROTO_ERROR_NONE;
    }
    session->epoch = replica_session_epoch_after(session->epoch);
    *out = (struct replica_fetch_context){
        .kind = REPLICA_FETCH_INCREMENTAL,
        .session = session,
        .epoch_expected = session->epoch,
        .follower = ask->follower,
        .topic_ids = session->topic_ids,
    };
    if (!list_items(session, ask, arena, out)) {
        replica_session_remove(session);
        return PROTO_ERROR_UNKNOWN_SERVER_ERROR;
    }
    session->refs++;
    replica_session_touch(session, env_now_ms(session->shard->env));
    return PROTO_ERROR_NONE;
}

enum proto_error
replica_fetch_begin(struct replica_fetch_sessions *sessions, const struct replica_fetch_ask *ask,
    struct arena *arena, struct replica_fetch_context *out)
{
    struct replica_session_shard *shard;
    struct replica_fetch_session *session;
    enum proto_error error = PROTO_ERROR_FETCH_SESSION_ID_NOT_FOUND;

    ASSERT(ask->item_count >= 0);
    ASSERT(ask->forget_count >= 0);
    if (ask->session_epoch == REPLICA_SESSION_EPOCH_INITIAL ||
        ask->session_epoch == REPLICA_SESSION_EPOCH_FINAL)
        return begin_full(sessions, ask, arena, out);
    shard = replica_session_shard_of(sessions, ask->session_id);
    if (shard == NULL)
        return error;
    mutex_lock(&shard->mutex);
    session = replica_session_find(shard, ask->session_id);
    if (session != NULL)
        error = begin_in_session(session, ask, arena, out);
    mutex_unlock(&shard->mutex);
    return error;
}

/* ---- finish ---- */

static bool
session_fill(struct replica_fetch_session *session, struct replica_fetch_context *context)
{
    for (int32_t i = 0; i < context->item_count; i++) {
        struct replica_fetch_item *item = &context->items[i];
        if (replica_session_put(session, item, &item->part) != ERR_OK)
            return false;
        item->part->high_watermark = item->high_watermark;
        item->part->log_start_offset = item->answer_log_start_offset;
    }
    return true;
}

/* Everything is answered; a session is made of it when there is room, else the id is 0. */
static int32_t
finish_full(struct replica_fetch_sessions *sessions, struct replica_fetch_context *context)
{
    struct replica_session_shard *shard;
    struct replica_fetch_session *session = NULL;
    uint32_t turn;
    int32_t id = REPLICA_SESSION_ID_NONE;

    for (int32_t i = 0; i < context->item_count; i++)
        context->items[i].must_answer = true;
    turn = atomic_fetch_add_explicit(&sessions->shard_next, 1, memory_order_relaxed);
    shard = &sessions->shards[turn % (uint32_t)sessions->shard_count];
    if (shard->slots == 0 || context->item_count > REPLICA_SESSION_PARTITIONS_MAX)
        return id;
    if (replica_session_new(context->follower, context->topic_ids, &session) != ERR_OK)
        return id;
    if (session_fill(session, context)) {
        mutex_lock(&shard->mutex);
        if (replica_session_insert(shard, session, env_now_ms(shard->env))) {
            id = session->id;
            session = NULL;
        }
        mutex_unlock(&shard->mutex);
    }
    replica_session_free(&session);
    return id;
}

static enum proto_error
finish_incremental(struct replica_fetch_context *context, int32_t *session_id)
{
    struct replica_fetch_session *session = context->session;
    struct replica_session_shard *shard = session->shard;
    enum proto_error error = PROTO_ERROR_NONE;

    mutex_lock(&shard->mutex);
    *session_id = session->id;
    if (session->epoch != context->epoch_expected) {
        error = PROTO_ERROR_INVALID_FETCH_SESSION_EPOCH;
    } else {
        for (int32_t i = 0; i < context->item_count; i++) {
            struct replica_fetch_item *item = &context->items[i];
            item->must_answer = replica_session_note(session, item->part, item);
        }
    }
    replica_session_unref(session);
    mutex_unlock(&shard->mutex);
    context->session = NULL;
    return error;
}

enum proto_error
replica_fetch_finish(struct replica_fetch_sessions *sessions, struct replica_fetch_context *context,
    int32_t *session_id)
{
    switch (context->kind) {
    case REPLICA_FETCH_INCREMENTAL: return finish_incremental(context, session_id);
    case REPLICA_FETCH_FULL: *session_id = finish_full(sessions, context); return PROTO_ERROR_NONE;
    case REPLICA_FETCH_SESSIONLESS: break;
    }
    for (int32_t i = 0; i < context->item_count; i++)
        context->items[i].must_answer = true;
    *session_id = REPLICA_SESSION_ID_NONE;
    return PROTO_ERROR_NONE;
}

enum proto_error
replica_fetch_skip(struct replica_fetch_sessions *sessions, struct replica_fetch_context *context,
    int32_t *session_id)
{
    struct replica_fetch_session *session = context->session;
    enum proto_error error = PROTO_ERROR_NONE;

    *session_id = REPLICA_SESSION_ID_NONE;
    if (session != NULL) {
        mutex_lock(&session->shard->mutex);
        *session_id = session->id;
        if (session->epoch != context->epoch_expected)
            error = PROTO_ERROR_INVALID_FETCH_SESSION_EPOCH;
        mutex_unlock(&session->shard->mutex);
    }
    replica_fetch_abort(sessions, context);
    return error;
}

void
replica_fetch_abort(struct replica_fetch_sessions *sessions, struct replica_fetch_context *context)
{
    struct replica_session_shard *shard;

    (void)sessions;
    if (context->session == NULL)
        return;
    shard = context->session->shard;
    mutex_lock(&shard->mutex);
    replica_session_unref(context->session);
    mutex_unlock(&shard->mutex);
    context->session = NULL;
}
