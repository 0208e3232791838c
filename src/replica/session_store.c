/* replica/session_store.c - what one fetch session remembers: its partitions in serving order.
 *
 * Invariants: I1 every part is in the hash and in the order; I2 a topic entry lives as long as it
 * has parts; I3 in a session of ids topics are found by id, in one of names by name. Threads: under
 * the mutex of the session's shard. Errors: NOMEM, LIMIT. */
#include "replica/fetch_session_priv.h"

#include "base/alloc.h"
#include "base/assert.h"

enum err
replica_session_new(bool privileged, bool topic_ids, struct replica_fetch_session **out)
{
    struct replica_fetch_session *session = mem_calloc(1, sizeof *session);

    if (session == NULL)
        return ERR_NOMEM;
    session->privileged = privileged;
    session->topic_ids = topic_ids;
    session->refs = 1;
    session->size_counted = -1;
    list_init(&session->order);
    heap_node_init(&session->by_use);
    heap_node_init(&session->by_privileged);
    heap_node_init(&session->by_all);
    *out = session;
    return ERR_OK;
}

static void
topic_drop(struct replica_fetch_session *session, struct replica_session_topic *topic)
{
    ASSERT(topic->part_count == 0);
    HASH_DEL(session->topics, topic);
    mem_free(topic->name);
    mem_free(topic);
}

static void
part_drop(struct replica_fetch_session *session, struct replica_session_part *part)
{
    struct replica_session_topic *topic = part->key.topic;

    ASSERT(topic->part_count > 0);
    ASSERT(session->count > 0);
    HASH_DEL(session->parts, part);
    list_remove(&part->link);
    mem_free(part);
    session->count--;
    if (--topic->part_count == 0)
        topic_drop(session, topic);
}

void
replica_session_free(struct replica_fetch_session **session_ref)
{
    struct replica_fetch_session *session = *session_ref;

    if (session == NULL)
        return;
    ASSERT(!session->cached);
    LIST_FOREACH (&session->order, node)
        part_drop(session, LIST_ENTRY(node, struct replica_session_part, link));
    ASSERT(session->count == 0);
    ASSERT(session->topics == NULL);
    mem_free(session);
    *session_ref = NULL;
}

static struct replica_session_topic *
topic_find(struct replica_fetch_session *session, struct str name, struct uuid id)
{
    struct replica_session_topic *topic = NULL;

    if (session->topic_ids)
        HASH_FIND(hh, session->topics, id.b, sizeof id.b, topic);
    else if (!str_is_null(name))
        HASH_FIND(hh, session->topics, name.data, name.len, topic);
    return topic;
}

static enum err
topic_name_set(struct replica_session_topic *topic, struct str name)
{
    if (str_is_null(name))
        return ERR_OK;
    topic->name = mem_strndup(name.data, name.len);
    if (topic->name == NULL)
        return ERR_NOMEM;
    topic->name_len = name.len;
    return ERR_OK;
}

static struct replica_session_topic *
topic_add(struct replica_fetch_session *session, struct str name, struct uuid id)
{
    struct replica_session_topic *topic = mem_calloc(1, sizeof *topic);

    if (topic == NULL)
        return NULL;
    topic->id = id;
    if (topic_name_set(topic, name) != ERR_OK) {
        mem_free(topic);
        return NULL;
    }
    if (session->topic_ids)
        HASH_ADD(hh, session->topics, id, sizeof topic->id, topic);
    else
        HASH_ADD_KEYPTR(hh, session->topics, topic->name, topic->name_len, topic);
    if (topic->hh.tbl == NULL) {
        mem_free(topic->name);
        mem_free(topic);
        return NULL;
    }
    return topic;
}

static struct replica_session_part *
part_find(
    struct replica_fetch_session *session, struct replica_session_topic *topic, int32_t partition)
{
    struct replica_session_key key = {.topic = topic, .partition = partition};
    struct replica_session_part *part;

    HASH_FIND(hh, session->parts, &key, sizeof key, part);
    return part;
}

static struct replica_session_part *
part_add(
    struct replica_fetch_session *session, struct replica_session_topic *topic, int32_t partition)
{
    struct replica_session_part *part = mem_calloc(1, sizeof *part);

    if (part == NULL)
        return NULL;
    part->key = (struct replica_session_key){.topic = topic, .partition = partition};
    part->high_watermark = -1;
    part->log_start_offset = -1;
    HASH_ADD(hh, session->parts, key, sizeof part->key, part);
    if (part->hh.tbl == NULL) {
        mem_free(part);
        return NULL;
    }
    list_push(&session->order, &part->link);
    topic->part_count++;
    session->count++;
    return part;
}

enum err
replica_session_put(struct replica_fetch_session *session, const struct replica_fetch_item *item,
    struct replica_session_part **part_out)
{
    struct replica_session_topic *topic = topic_find(session, item->topic, item->topic_id);
    struct replica_session_part *part = NULL;

    if (topic != NULL)
        part = part_find(session, topic, item->partition);
    if (part == NULL) {
        if (session->count >= REPLICA_SESSION_PARTITIONS_MAX)
            return ERR_LIMIT;
        if (topic == NULL)
            topic = topic_add(session, item->topic, item->topic_id);
        if (topic == NULL)
            return ERR_NOMEM;
        part = part_add(session, topic, item->partition);
        if (part == NULL) {
            if (topic->part_count == 0)
                topic_drop(session, topic);
            return ERR_NOMEM;
        }
    }
    part->leader_epoch = item->leader_epoch;
    part->last_fetched_epoch = item->last_fetched_epoch;
    part->max_bytes = item->max_bytes;
    part->offset = item->offset;
    part->fetcher_log_start_offset = item->log_start_offset;
    if (part_out != NULL)
        *part_out = part;
    return ERR_OK;
}

void
replica_session_forget(
    struct replica_fetch_session *session, const struct replica_fetch_forget *forget)
{
    struct replica_session_topic *topic = topic_find(session, forget->topic, forget->topic_id);
    struct replica_session_part *part;

    if (topic == NULL)
        return;
    part = part_find(session, topic, forget->partition);
    if (part != NULL)
        part_drop(session, part);
}

/* What changed since the last answer must be sent. An error forgets the high watermark, so that the
 * partition is sent again once it is well. One that brought data goes to the end of the order: the
 * others are served before it next time. */
bool
replica_session_note(struct replica_fetch_session *session, struct replica_session_part *part,
    const struct replica_fetch_item *item)
{
    bool send = item->must_answer || item->records_bytes > 0;

    ASSERT(part->key.partition == item->partition);
    if (part->high_watermark != item->high_watermark) {
        part->high_watermark = item->high_watermark;
        send = true;
    }
    if (part->log_start_offset != item->answer_log_start_offset) {
        part->log_start_offset = item->answer_log_start_offset;
        send = true;
    }
    if (item->error != PROTO_ERROR_NONE) {
        part->high_watermark = -1;
        send = true;
    }
    if (item->records_bytes > 0) {
        list_remove(&part->link);
        list_push(&session->order, &part->link);
    }
    return send;
}
