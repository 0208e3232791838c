/* broker/api_fetch_reply.c - from what a Fetch has read to its response.
 *
 * Neighbouring partitions of one topic share an entry, as in Kafka. The session says which
 * partitions belong into the answer. Threads: the request's reactor. Errors: a session that moved
 * meanwhile gives an answer without partitions; out of request memory closes the connection. */
#include "base/assert.h"
#include "broker/api_fetch_priv.h"
#include "broker/leader_hint.h"
#include "broker/quota_req.h"
#include "replica/traffic.h"

struct reply {
    struct fetch *f;
    struct proto_fetch_response response;
    struct proto_fetch_response_partition_data *parts_next; /* of one array for all topics */
    struct proto_fetch_response_fetchable_topic_response *topic;
};

static void
add_endpoint(struct reply *reply, const struct broker_leader_hint *hint)
{
    struct proto_fetch_response_node_endpoint *items = reply->response.node_endpoints.items;
    int32_t count = reply->response.node_endpoints.count;

    for (int32_t i = 0; i < count; i++)
        if (items[i].node_id == hint->leader_id)
            return;
    if (items == NULL)
        items = arena_calloc(reply->f->req->arena, BROKER_LEADER_HINTS_MAX, sizeof *items);
    if (items == NULL || count == BROKER_LEADER_HINTS_MAX)
        return;
    items[count] = (struct proto_fetch_response_node_endpoint){
        .node_id = hint->leader_id,
        .host = hint->host,
        .port = hint->port,
        .rack = hint->rack,
    };
    reply->response.node_endpoints.items = items;
    reply->response.node_endpoints.count = count + 1;
}

static void
set_hint(struct reply *reply, const struct replica_fetch_item *item,
    struct proto_fetch_response_partition_data *data)
{
    struct broker_leader_hint hint;

    if (reply->f->req->version < FETCH_VERSION_LEADER_HINT)
        return;
    if (item->error != PROTO_ERROR_NOT_LEADER_OR_FOLLOWER &&
        item->error != PROTO_ERROR_FENCED_LEADER_EPOCH)
        return;
    broker_leader_hint_find(reply->f->req, item->topic, item->partition, &hint);
    data->current_leader.leader_id = hint.leader_id;
    data->current_leader.leader_epoch = hint.leader_epoch;
    if (hint.has_endpoint && !reply->f->follower) /* brokers know each other */
        add_endpoint(reply, &hint);
}

static void
set_records(struct fetch_part *part, struct proto_fetch_response_partition_data *data)
{
    data->records.bytes = (struct bytes){(const uint8_t *)"", 0}; /* empty, not null */
    if (part->copied != NULL)
        data->records.bytes = (struct bytes){part->copied, part->copied_len};
    if (part->slice.file == NULL)
        return;
    data->records.file = part->slice.file; /* the reference moves */
    data->records.position = part->slice.position;
    data->records.len = part->slice.len;
    part->slice.file = NULL;
}

static bool
set_aborted(struct reply *reply, const struct fetch_part *part,
    struct proto_fetch_response_partition_data *data)
{
    struct proto_fetch_response_aborted_transaction *items;

    data->aborted_transactions.items = NULL;
    data->aborted_transactions.count = -1; /* null */
    if (reply->f->msg->isolation_level != 1)
        return true;
    items = arena_alloc(reply->f->req->arena, (size_t)part->aborted_count * sizeof *items);
    if (items == NULL)
        return false;
    for (int32_t i = 0; i < part->aborted_count; i++) {
        items[i].producer_id = part->aborted[i].producer_id;
        items[i].first_offset = part->aborted[i].first_offset;
    }
    data->aborted_transactions.items = items;
    data->aborted_transactions.count = part->aborted_count;
    return true;
}

/* The metadata did not know it when the request came. */
static bool
is_unknown(const struct replica_fetch_item *item, const struct fetch_part *part)
{
    return part->part == NULL && (item->error == PROTO_ERROR_UNKNOWN_TOPIC_ID ||
                                     item->error == PROTO_ERROR_UNKNOWN_TOPIC_OR_PARTITION);
}

static bool
fill_part(struct reply *reply, const struct replica_fetch_item *item, struct fetch_part *part,
    struct proto_fetch_response_partition_data *data)
{
    bool ok = item->error == PROTO_ERROR_NONE;

    proto_init(&proto_fetch_response_partition_data_schema, data);
    data->partition_index = item->partition;
    data->error_code = (int16_t)item->error;
    data->high_watermark = item->high_watermark;
    data->log_start_offset = item->answer_log_start_offset;
    data->last_stable_offset = ok ? part->last_stable_offset : -1;
    set_records(part, data);
    if (!ok) {
        data->aborted_transactions.items = NULL;
        data->aborted_transactions.count = is_unknown(item, part) ? 0 : -1; /* as Kafka's */
        set_hint(reply, item, data);
        return true;
    }
    if (part->diverging) {
        data->diverging_epoch.epoch = part->diverging_epoch;
        data->diverging_epoch.end_offset = part->diverging_end_offset;
    }
    return set_aborted(reply, part, data);
}

static bool
same_topic(const struct reply *reply, const struct replica_fetch_item *item)
{
    if (reply->topic == NULL)
        return false;
    return reply->f->req->version >= FETCH_VERSION_TOPIC_ID
               ? uuid_eq(reply->topic->topic_id, item->topic_id)
               : str_eq(reply->topic->topic, item->topic);
}

static void
begin_topic(struct reply *reply, const struct replica_fetch_item *item)
{
    reply->topic = &reply->response.responses.items[reply->response.responses.count++];
    proto_init(&proto_fetch_response_fetchable_topic_response_schema, reply->topic);
    if (reply->f->req->version >= FETCH_VERSION_TOPIC_ID)
        reply->topic->topic_id = item->topic_id;
    else
        reply->topic->topic = item->topic;
    reply->topic->partitions.items = reply->parts_next;
    reply->topic->partitions.count = 0;
}

/* What the metadata does not know comes last, as in Kafka. */
static bool
belongs_here(const struct fetch *f, int32_t i, int unknown)
{
    const struct replica_fetch_item *item = &f->context.items[i];

    return item->must_answer && is_unknown(item, &f->parts[i]) == (unknown != 0);
}

/* Room for the answers: how many partitions, and in how many runs of one topic. */
static bool
make_room(struct reply *reply)
{
    const struct replica_fetch_context *context = &reply->f->context;
    const struct replica_fetch_item *last = NULL;
    size_t parts = 0, topics = 0;

    for (int unknown = 0; unknown < 2; unknown++) {
        for (int32_t i = 0; i < context->item_count; i++) {
            const struct replica_fetch_item *item = &context->items[i];
            if (!belongs_here(reply->f, i, unknown))
                continue;
            parts++;
            if (last == NULL || !uuid_eq(last->topic_id, item->topic_id) ||
                !str_eq(last->topic, item->topic))
                topics++;
            last = item;
        }
    }
    reply->response.responses.items =
        arena_alloc(reply->f->req->arena, topics * sizeof *reply->response.responses.items);
    reply->parts_next = arena_alloc(reply->f->req->arena, parts * sizeof *reply->parts_next);
    reply->response.responses.count = 0;
    return reply->response.responses.items != NULL && reply->parts_next != NULL;
}

static bool
fill_all(struct reply *reply, int unknown)
{
    struct fetch *f = reply->f;

    for (int32_t i = 0; i < f->context.item_count; i++) {
        const struct replica_fetch_item *item = &f->context.items[i];
        if (!belongs_here(f, i, unknown))
            continue;
        if (!same_topic(reply, item))
            begin_topic(reply, item);
        reply->topic->partitions.count++; /* first: drop_records counts on it */
        if (!fill_part(reply, item, &f->parts[i], reply->parts_next++))
            return false;
    }
    return true;
}

/* References that were handed to a response which will not be sent. */
static void
drop_records(struct reply *reply)
{
    for (int32_t t = 0; t < reply->response.responses.count; t++) {
        struct proto_fetch_response_fetchable_topic_response *topic =
            &reply->response.responses.items[t];
        for (int32_t i = 0; i < topic->partitions.count; i++) {
            struct env_file *file = topic->partitions.items[i].records.file;
            if (file != NULL)
                env_file_close(&file);
        }
    }
}

static void
note_traffic(const struct fetch *f)
{
    for (int32_t i = 0; i < f->context.item_count; i++) {
        const struct replica_fetch_item *item = &f->context.items[i];
        if (f->parts[i].part != NULL)
            replica_partition_note_fetch(
                f->parts[i].part, item->records_bytes, f->follower, item->error);
    }
}

static size_t
bytes_found(const struct fetch *f)
{
    size_t bytes = 0;

    for (int32_t i = 0; i < f->context.item_count; i++)
        bytes += f->context.items[i].records_bytes;
    return bytes;
}

/* Over a quota: an answer of nothing, which leaves the session where it is but for its epoch. */
static void
reply_throttled(struct fetch *f)
{
    struct proto_fetch_response response;
    int32_t session_id = REPLICA_SESSION_ID_NONE;
    enum proto_error error = replica_fetch_skip(f->sessions, &f->context, &session_id);

    fetch_release(f);
    proto_init(&proto_fetch_response_schema, &response);
    response.error_code = (int16_t)error;
    response.session_id = session_id;
    broker_req_reply(f->req, &response);
}

void
fetch_reply(struct fetch *f)
{
    struct reply reply = {.f = f};
    int32_t session_id = REPLICA_SESSION_ID_NONE;
    if (!f->follower && broker_quota_fetched(f->req, bytes_found(f))) {
        reply_throttled(f);
        return;
    }
    enum proto_error error = replica_fetch_finish(f->sessions, &f->context, &session_id);

    if (error != PROTO_ERROR_NONE) {
        fetch_reply_error(f, error, session_id);
        return;
    }
    proto_init(&proto_fetch_response_schema, &reply.response);
    reply.response.session_id = session_id;
    if (!make_room(&reply) || !fill_all(&reply, 0) || !fill_all(&reply, 1)) {
        drop_records(&reply);
        fetch_release(f);
        broker_req_close(f->req, "out of request memory");
        return;
    }
    note_traffic(f);
    fetch_release(f);
    broker_req_reply(f->req, &reply.response);
}

void
fetch_reply_error(struct fetch *f, enum proto_error error, int32_t session_id)
{
    struct proto_fetch_response response;

    ASSERT(error != PROTO_ERROR_NONE);
    fetch_release(f);
    proto_init(&proto_fetch_response_schema, &response);
    response.error_code = (int16_t)error;
    response.session_id = session_id;
    broker_req_reply(f->req, &response);
}
