/* coord/group/fetch.c - OffsetFetch of one group. */
#include "coord/group/group_priv.h"

#include "base/assert.h"

/* The generated structs have long names. */
#define FETCH_TOPIC struct proto_offset_fetch_response_offset_fetch_response_topics
#define FETCH_PARTITION struct proto_offset_fetch_response_offset_fetch_response_partitions

/* KIP-848's shape of the answer serves all versions; the handler makes the older one of it. */
struct fetch {
    struct group_machine *machine;
    struct str group;
    struct arena *arena;
    bool require_stable;
};

static void
answer(const struct fetch *fetch, struct str topic, const struct offset_entry *entry,
    FETCH_PARTITION *out)
{
    out->committed_offset = -1;
    out->committed_leader_epoch = -1;
    out->metadata = STR("");
    if (fetch->require_stable &&
        coord_offsets_pending(fetch->machine, fetch->group, topic, out->partition_index)) {
        out->error_code = PROTO_ERROR_UNSTABLE_OFFSET_COMMIT;
    } else if (entry != NULL) {
        out->committed_offset = entry->offset;
        out->committed_leader_epoch = entry->leader_epoch;
        out->metadata = arena_str(fetch->arena, entry->metadata);
    }
}

/* An offset of another topic that had the same name is none. */
static bool
is_of_topic(const struct offset_entry *entry, struct uuid topic_id)
{
    return uuid_is_zero(entry->topic_id) || uuid_is_zero(topic_id) ||
           uuid_eq(entry->topic_id, topic_id);
}

static bool
fetch_asked(const struct fetch *fetch,
    const struct proto_offset_fetch_request_offset_fetch_request_group *request, int32_t index,
    FETCH_TOPIC *out)
{
    struct str topic = request->topics.items[index].name;
    int32_t count = request->topics.items[index].partition_indexes.count;

    count = count > 0 ? count : 0;
    out->name = topic;
    out->topic_id = request->topics.items[index].topic_id;
    out->partitions.count = count;
    out->partitions.items =
        arena_calloc(fetch->arena, (size_t)count, sizeof out->partitions.items[0]);
    if (out->partitions.items == NULL)
        return false;
    for (int32_t p = 0; p < count; p++) {
        int32_t partition = request->topics.items[index].partition_indexes.items[p];
        const struct offset_entry *entry =
            coord_offset_store_get(&fetch->machine->offsets, fetch->group, topic, partition);
        if (entry != NULL && !is_of_topic(entry, out->topic_id))
            entry = NULL;
        out->partitions.items[p].partition_index = partition;
        answer(fetch, topic, entry, &out->partitions.items[p]);
    }
    return true;
}

static bool
fetch_topic(const struct fetch *fetch, const struct offset_topic *topic, FETCH_TOPIC *out)
{
    out->name = arena_str(fetch->arena, topic->name);
    out->topic_id = topic->count > 0 ? topic->entries[topic->count - 1].topic_id : UUID_ZERO;
    out->partitions.count = topic->count;
    out->partitions.items =
        arena_calloc(fetch->arena, (size_t)topic->count, sizeof out->partitions.items[0]);
    if (out->partitions.items == NULL)
        return false;
    for (int32_t p = 0; p < topic->count; p++) {
        out->partitions.items[p].partition_index = topic->entries[p].partition;
        answer(fetch, topic->name, &topic->entries[p], &out->partitions.items[p]);
    }
    return true;
}

static bool
fetch_all(const struct fetch *fetch, struct coord_group_fetch *reply)
{
    const struct offset_group *group =
        coord_offset_store_group(&fetch->machine->offsets, fetch->group);
    int32_t count = group == NULL ? 0 : (int32_t)HASH_COUNT(group->topics), i = 0;

    reply->response.topics.count = count;
    reply->response.topics.items =
        arena_calloc(fetch->arena, (size_t)count, sizeof reply->response.topics.items[0]);
    if (reply->response.topics.items == NULL)
        return false;
    if (group == NULL)
        return true;
    for (struct offset_topic *t = group->topics; t != NULL; t = t->hh.next, i++) {
        if (!fetch_topic(fetch, t, &reply->response.topics.items[i]))
            return false;
    }
    ASSERT(i == count);
    return true;
}

void
coord_group_fetch(struct coord_shard *shard,
    const struct proto_offset_fetch_request_offset_fetch_request_group *request,
    bool require_stable, struct coord_group_fetch *reply)
{
    struct fetch fetch = {.machine = coord_group_of(shard),
        .group = request->group_id,
        .arena = reply->base.arena,
        .require_stable = require_stable};
    bool ok = true;

    memset(&reply->response, 0, sizeof reply->response);
    reply->response.group_id = request->group_id;
    if (request->topics.count < 0) {
        ok = fetch_all(&fetch, reply);
    } else {
        int32_t count = request->topics.count;
        reply->response.topics.count = count;
        reply->response.topics.items =
            arena_calloc(fetch.arena, (size_t)count, sizeof reply->response.topics.items[0]);
        ok = reply->response.topics.items != NULL;
        for (int32_t i = 0; i < count && ok; i++)
            ok = fetch_asked(&fetch, request, i, &reply->response.topics.items[i]);
    }
    ok = ok && !fetch.arena->exhausted;
    coord_shard_reply(
        shard, &reply->base, ok ? PROTO_ERROR_NONE : PROTO_ERROR_COORDINATOR_NOT_AVAILABLE);
}
