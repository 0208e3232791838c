/* broker/api_offset_fetch.c - OffsetFetch: of one group, or since version 8 of many; each is asked
 * in the shape of version 8 and put back into that of the request. Version 10 names topics by id.
 */
#include "base/assert.h"
#include "base/limits.h"
#include "broker/broker.h"
#include "broker/coord_fan.h"
#include "broker/coord_log.h"
#include "meta/image.h"

enum { VERSION_GROUP_ERROR = 2, VERSION_GROUPS = 8, VERSION_TOPIC_ID = 10 };

#define REQUEST_GROUP struct proto_offset_fetch_request_offset_fetch_request_group
#define REQUEST_TOPIC struct proto_offset_fetch_request_offset_fetch_request_topics
#define RESPONSE_GROUP struct proto_offset_fetch_response_offset_fetch_response_group
#define RESPONSE_TOPIC struct proto_offset_fetch_response_offset_fetch_response_topics
#define RESPONSE_PARTITION struct proto_offset_fetch_response_offset_fetch_response_partitions

struct fetch_one {
    struct coord_group_fetch reply;
    struct coord_fan *fan;
    REQUEST_GROUP asked;
    REQUEST_TOPIC *unknown; /* ids that nobody knows: answered here */
    int32_t unknown_count;
};

struct fetch {
    struct coord_fan fan;
    struct fetch_one *groups;
    int32_t count;
};

/* ---- answering ---- */

/* Every partition of a topic with one error. */
static bool
fill_topic(
    struct arena *arena, const REQUEST_TOPIC *asked, enum proto_error err, RESPONSE_TOPIC *out)
{
    int32_t count = asked->partition_indexes.count > 0 ? asked->partition_indexes.count : 0;
    RESPONSE_PARTITION *items = arena_calloc(arena, (size_t)count, sizeof *items);
    if (items == NULL)
        return false;
    for (int32_t p = 0; p < count; p++) {
        items[p].partition_index = asked->partition_indexes.items[p];
        items[p].committed_offset = -1;
        items[p].committed_leader_epoch = -1;
        items[p].metadata = STR("");
        items[p].error_code = (int16_t)err;
    }
    out->name = asked->name;
    out->topic_id = asked->topic_id;
    out->partitions.items = items;
    out->partitions.count = count;
    return true;
}

/* The group's answer: the error alone, or the coordinator's topics and the unknown ones. */
static bool
group_answer(struct broker_req *req, struct fetch_one *one, RESPONSE_GROUP *out)
{
    memset(out, 0, sizeof *out);
    out->group_id = one->asked.group_id;
    out->error_code = (int16_t)one->reply.base.err;
    if (one->reply.base.err != PROTO_ERROR_NONE)
        return true;
    *out = one->reply.response;
    if (one->unknown_count == 0)
        return true;
    int32_t count = out->topics.count + one->unknown_count;
    RESPONSE_TOPIC *items = arena_calloc(req->arena, (size_t)count, sizeof *items);
    if (items == NULL)
        return false;
    for (int32_t i = 0; i < out->topics.count; i++)
        items[i] = out->topics.items[i];
    for (int32_t i = 0; i < one->unknown_count; i++) {
        if (!fill_topic(req->arena, &one->unknown[i], PROTO_ERROR_UNKNOWN_TOPIC_ID,
                &items[out->topics.count + i]))
            return false;
    }
    out->topics.items = items;
    out->topics.count = count;
    return true;
}

/* Topics of an answer to "all", which need ids. Those that exist no more are left out. */
static void
name_by_id(const struct broker_req *req, RESPONSE_GROUP *group)
{
    int32_t kept = 0;
    for (int32_t i = 0; i < group->topics.count; i++) {
        RESPONSE_TOPIC *topic = &group->topics.items[i];
        const struct meta_topic *meta = meta_image_topic(req->image, topic->name);
        if (uuid_is_zero(topic->topic_id) && meta != NULL)
            topic->topic_id = meta->id;
        if (!uuid_is_zero(topic->topic_id))
            group->topics.items[kept++] = *topic;
    }
    group->topics.count = kept;
}

static bool
old_shape(struct broker_req *req, const RESPONSE_GROUP *group,
    struct proto_offset_fetch_response *response)
{
    int32_t count = group->topics.count;
    response->error_code = group->error_code;
    response->topics.items =
        arena_calloc(req->arena, (size_t)count, sizeof response->topics.items[0]);
    if (response->topics.items == NULL)
        return false;
    response->topics.count = count;
    for (int32_t i = 0; i < count; i++) {
        const RESPONSE_TOPIC *from = &group->topics.items[i];
        struct proto_offset_fetch_response_offset_fetch_response_partition *to =
            arena_calloc(req->arena, (size_t)from->partitions.count, sizeof *to);
        if (to == NULL)
            return false;
        response->topics.items[i].name = from->name;
        response->topics.items[i].partitions.items = to;
        response->topics.items[i].partitions.count = from->partitions.count;
        for (int32_t p = 0; p < from->partitions.count; p++) {
            to[p].partition_index = from->partitions.items[p].partition_index;
            to[p].committed_offset = from->partitions.items[p].committed_offset;
            to[p].committed_leader_epoch = from->partitions.items[p].committed_leader_epoch;
            to[p].metadata = from->partitions.items[p].metadata;
            to[p].error_code = from->partitions.items[p].error_code;
        }
    }
    return true;
}

/* Version 1 has no error for the group: each partition says it. */
static bool
spread_error(struct broker_req *req, const struct fetch_one *one, RESPONSE_GROUP *group)
{
    int32_t count = one->asked.topics.count > 0 ? one->asked.topics.count : 0;
    group->topics.items = arena_calloc(req->arena, (size_t)count, sizeof group->topics.items[0]);
    if (group->topics.items == NULL)
        return false;
    group->topics.count = count;
    for (int32_t i = 0; i < count; i++) {
        if (!fill_topic(req->arena, &one->asked.topics.items[i],
                (enum proto_error)group->error_code, &group->topics.items[i]))
            return false;
    }
    return true;
}

static bool
make_response(struct broker_req *req, struct proto_offset_fetch_response *response)
{
    struct fetch *fetch = req->state;
    proto_init(&proto_offset_fetch_response_schema, response);
    RESPONSE_GROUP *groups = arena_calloc(req->arena, (size_t)fetch->count + 1, sizeof *groups);
    if (groups == NULL)
        return false;
    for (int32_t i = 0; i < fetch->count; i++) {
        if (!group_answer(req, &fetch->groups[i], &groups[i]))
            return false;
        if (req->version >= VERSION_TOPIC_ID && fetch->groups[i].asked.topics.count < 0)
            name_by_id(req, &groups[i]);
    }
    if (req->version >= VERSION_GROUPS) {
        response->groups.items = groups;
        response->groups.count = fetch->count;
        return true;
    }
    ASSERT(fetch->count == 1);
    if (req->version < VERSION_GROUP_ERROR && groups[0].error_code != PROTO_ERROR_NONE &&
        !spread_error(req, &fetch->groups[0], &groups[0]))
        return false;
    return old_shape(req, &groups[0], response);
}

static void
finish(struct broker_req *req)
{
    struct proto_offset_fetch_response response;
    if (make_response(req, &response))
        broker_req_reply(req, &response);
    else
        broker_req_close(req, "request memory");
}

static void
done(struct coord_reply *reply)
{
    coord_fan_done(CONTAINER_OF(reply, struct fetch_one, reply.base)->fan);
}

/* ---- asking ---- */

/* Names for ids; the unknown ones are set aside. */
static bool
resolve_ids(struct broker_req *req, struct fetch_one *one)
{
    int32_t count = one->asked.topics.count;
    if (req->version < VERSION_TOPIC_ID || count <= 0)
        return true;
    REQUEST_TOPIC *known = arena_calloc(req->arena, (size_t)count, sizeof *known);
    one->unknown = arena_calloc(req->arena, (size_t)count, sizeof *one->unknown);
    if (known == NULL || one->unknown == NULL)
        return false;
    int32_t kept = 0;
    for (int32_t i = 0; i < count; i++) {
        REQUEST_TOPIC topic = one->asked.topics.items[i];
        const struct meta_topic *meta = meta_image_topic_by_id(req->image, topic.topic_id);
        if (meta == NULL) {
            one->unknown[one->unknown_count++] = topic;
            continue;
        }
        topic.name = meta->name;
        known[kept++] = topic;
    }
    one->asked.topics.items = known;
    one->asked.topics.count = kept;
    return true;
}

static bool
old_request(struct broker_req *req, struct fetch_one *one)
{
    const struct proto_offset_fetch_request *msg = req->msg;
    int32_t count = msg->topics.count;
    one->asked.group_id = msg->group_id;
    one->asked.member_epoch = -1;
    one->asked.topics.count = count;
    if (count < 0)
        return true;
    one->asked.topics.items =
        arena_calloc(req->arena, (size_t)count, sizeof one->asked.topics.items[0]);
    if (one->asked.topics.items == NULL)
        return false;
    for (int32_t i = 0; i < count; i++) {
        one->asked.topics.items[i].name = msg->topics.items[i].name;
        one->asked.topics.items[i].partition_indexes.items =
            msg->topics.items[i].partition_indexes.items;
        one->asked.topics.items[i].partition_indexes.count =
            msg->topics.items[i].partition_indexes.count;
    }
    return true;
}

static struct fetch *
prepare(struct broker_req *req)
{
    const struct proto_offset_fetch_request *msg = req->msg;
    struct fetch *fetch = arena_calloc(req->arena, 1, sizeof *fetch);
    if (fetch == NULL)
        return NULL;
    coord_fan_init(&fetch->fan, req, finish);
    fetch->count = req->version >= VERSION_GROUPS ? msg->groups.count : 1;
    fetch->count = fetch->count > 0 ? fetch->count : 0;
    fetch->groups = arena_calloc(req->arena, (size_t)fetch->count, sizeof fetch->groups[0]);
    if (fetch->groups == NULL)
        return NULL;
    for (int32_t i = 0; i < fetch->count; i++) {
        struct fetch_one *one = &fetch->groups[i];
        one->fan = &fetch->fan;
        if (req->version >= VERSION_GROUPS)
            one->asked = msg->groups.items[i];
        else if (!old_request(req, one))
            return NULL;
        if (!resolve_ids(req, one))
            return NULL;
    }
    return fetch;
}

static void
handle(struct broker_req *req)
{
    const struct proto_offset_fetch_request *msg = req->msg;
    struct fetch *fetch = prepare(req);

    if (fetch == NULL) {
        broker_req_close(req, "request memory");
        return;
    }
    req->state = fetch;
    if (req->arena->budget_bytes < LIMIT_REQUEST_ARENA_MAX)
        req->arena->budget_bytes = LIMIT_REQUEST_ARENA_MAX;
    for (int32_t i = 0; i < fetch->count; i++) {
        struct fetch_one *one = &fetch->groups[i];
        struct coord_shard *shard;
        coord_reply_init(&one->reply.base, req->arena, done);
        enum proto_error err = broker_coord_lock_group(req, one->asked.group_id, &shard);
        if (err != PROTO_ERROR_NONE) {
            one->reply.base.err = err;
            continue;
        }
        coord_fan_add(&fetch->fan);
        coord_group_fetch(shard, &one->asked, msg->require_stable, &one->reply);
        broker_coord_unlock(req, shard);
    }
    coord_fan_done(&fetch->fan);
}

const struct broker_api broker_api_offset_fetch = {
    .key = 9, .version_min = 1, .version_max = 10, .handle = handle};
