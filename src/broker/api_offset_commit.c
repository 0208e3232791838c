/* broker/api_offset_commit.c - OffsetCommit: topics are checked against the metadata here, the rest
 * by the group's coordinator. Version 10 names topics by id (KIP-848). */
#include "base/assert.h"
#include "broker/broker.h"
#include "broker/coord_log.h"
#include "meta/image.h"

enum { VERSION_TOPIC_ID = 10 };

#define REQUEST_TOPIC struct proto_offset_commit_request_offset_commit_request_topic
#define REQUEST_PARTITION struct proto_offset_commit_request_offset_commit_request_partition
#define RESPONSE_PARTITION struct proto_offset_commit_response_offset_commit_response_partition

struct commit {
    struct coord_group_commit reply;
    struct broker_req *req;
    struct proto_offset_commit_request msg; /* what goes to the coordinator */
    struct proto_offset_commit_response response;
    RESPONSE_PARTITION **sent; /* answers of what was sent, in that order */
    int32_t sent_count;
};

/* The coordinator's error for everything that was sent to it. */
static void
respond(struct commit *commit, enum proto_error err)
{
    for (int32_t i = 0; i < commit->sent_count; i++)
        commit->sent[i]->error_code = (int16_t)err;
    broker_req_reply(commit->req, &commit->response);
}

static void
finish(struct broker_req *req)
{
    struct commit *commit = req->state;
    if (commit->reply.base.err != PROTO_ERROR_NONE) {
        respond(commit, commit->reply.base.err);
        return;
    }
    ASSERT(commit->reply.count == commit->sent_count);
    for (int32_t i = 0; i < commit->sent_count; i++)
        commit->sent[i]->error_code = commit->reply.errors[i];
    broker_req_reply(req, &commit->response);
}

static void
done(struct coord_reply *reply)
{
    broker_req_resume(CONTAINER_OF(reply, struct commit, reply.base)->req, finish);
}

static const struct meta_topic *
find_topic(const struct broker_req *req, const REQUEST_TOPIC *topic)
{
    return req->version >= VERSION_TOPIC_ID ? meta_image_topic_by_id(req->image, topic->topic_id)
                                            : meta_image_topic(req->image, topic->name);
}

/* Answers what the metadata can answer; the rest goes to `to`. False: no memory. */
static bool
split_topic(struct commit *commit, int32_t index, REQUEST_TOPIC *to)
{
    struct broker_req *req = commit->req;
    const struct proto_offset_commit_request *msg = req->msg;
    const REQUEST_TOPIC *from = &msg->topics.items[index];
    const struct meta_topic *topic = find_topic(req, from);
    int32_t count = from->partitions.count > 0 ? from->partitions.count : 0;
    RESPONSE_PARTITION *out = arena_calloc(req->arena, (size_t)count, sizeof *out);
    REQUEST_PARTITION *sent = arena_calloc(req->arena, (size_t)count, sizeof *sent);

    if (out == NULL || sent == NULL)
        return false;
    commit->response.topics.items[index].name = from->name;
    commit->response.topics.items[index].topic_id = from->topic_id;
    commit->response.topics.items[index].partitions.items = out;
    commit->response.topics.items[index].partitions.count = count;
    *to = *from;
    to->partitions.items = sent;
    to->partitions.count = 0;
    if (topic != NULL) {
        to->name = topic->name;
        to->topic_id = topic->id;
    }
    for (int32_t p = 0; p < count; p++) {
        int32_t partition = from->partitions.items[p].partition_index;
        out[p].partition_index = partition;
        if (topic == NULL && req->version >= VERSION_TOPIC_ID) {
            out[p].error_code = PROTO_ERROR_UNKNOWN_TOPIC_ID;
        } else if (topic == NULL || meta_topic_partition(topic, partition) == NULL) {
            out[p].error_code = PROTO_ERROR_UNKNOWN_TOPIC_OR_PARTITION;
        } else {
            sent[to->partitions.count++] = from->partitions.items[p];
            commit->sent[commit->sent_count++] = &out[p];
        }
    }
    return true;
}

static bool
split(struct commit *commit)
{
    struct arena *arena = commit->req->arena;
    const struct proto_offset_commit_request *msg = commit->req->msg;
    int32_t topics = msg->topics.count > 0 ? msg->topics.count : 0, partitions = 0;

    for (int32_t i = 0; i < topics; i++)
        partitions += msg->topics.items[i].partitions.count;
    proto_init(&proto_offset_commit_response_schema, &commit->response);
    commit->msg = *msg;
    commit->msg.topics.items =
        arena_calloc(arena, (size_t)topics, sizeof commit->msg.topics.items[0]);
    commit->response.topics.items =
        arena_calloc(arena, (size_t)topics, sizeof commit->response.topics.items[0]);
    commit->sent = arena_calloc(arena, (size_t)partitions + 1, sizeof commit->sent[0]);
    if (commit->msg.topics.items == NULL || commit->response.topics.items == NULL ||
        commit->sent == NULL)
        return false;
    commit->msg.topics.count = topics;
    commit->response.topics.count = topics;
    for (int32_t i = 0; i < topics; i++) {
        if (!split_topic(commit, i, &commit->msg.topics.items[i]))
            return false;
    }
    return true;
}

static void
handle(struct broker_req *req)
{
    struct coord_shard *shard;
    struct commit *commit = arena_calloc(req->arena, 1, sizeof *commit);
    struct coord_group_caller caller = broker_coord_caller(req);

    if (commit == NULL) {
        broker_req_close(req, "request memory");
        return;
    }
    commit->req = req;
    if (!split(commit)) {
        broker_req_close(req, "request memory");
        return;
    }
    if (commit->sent_count == 0) {
        broker_req_reply(req, &commit->response);
        return;
    }
    enum proto_error err = broker_coord_lock_group(req, commit->msg.group_id, &shard);
    if (err != PROTO_ERROR_NONE) {
        respond(commit, err);
        return;
    }
    req->state = commit;
    coord_reply_init(&commit->reply.base, req->arena, done);
    coord_group_commit(shard, &caller, &commit->msg, &commit->reply);
    broker_coord_unlock(req, shard);
}

const struct broker_api broker_api_offset_commit = {
    .key = 8, .version_min = 2, .version_max = 10, .handle = handle};
