/* Metadata (3): brokers, topics, partitions and their leaders, as seen through the client's
 * listener.
 *
 * Topics come by name, by id (v10+), or all: null asks for all (v0: an empty list does). A missing
 * topic may be made in the background; the first answer is then UNKNOWN_TOPIC_OR_PARTITION and the
 * client asks again (kafka.md 8.15). Arrays of ids are views of the image. */
#include <stdlib.h>

#include "base/assert.h"
#include "broker/broker.h"
#include "broker/cluster_view.h"
#include "proto/api_keys.h"
#include "proto/error_codes.h"
#include "proto/metadata_request.h"
#include "proto/metadata_response.h"

/* Short names: the generated ones are longer than a line. */
typedef struct proto_metadata_response_metadata_response_topic topic_out;
typedef struct proto_metadata_response_metadata_response_partition partition_out;
typedef struct proto_metadata_request_metadata_request_topic topic_in;

static bool
is_all_topics(const struct broker_req *req, const struct proto_metadata_request *msg)
{
    return msg->topics.count < 0 || (req->version == 0 && msg->topics.count == 0);
}

/* v0 clients cannot stand replicas they cannot reach: those are left out, with an error. */
static bool
alive_only(struct broker_req *req, struct meta_ids all, struct meta_ids *out)
{
    int32_t *ids = arena_calloc(req->arena, (size_t)all.count, sizeof *ids);
    int32_t count = 0;
    if (ids == NULL)
        return false;
    for (int32_t i = 0; i < all.count; i++)
        if (broker_endpoint_of(req, all.items[i]) != NULL)
            ids[count++] = all.items[i];
    *out = (struct meta_ids){ids, count};
    return true;
}

static bool
partition_fill(struct broker_req *req, const struct meta_partition *part, partition_out *out)
{
    struct broker_partition_view view;
    struct meta_ids replicas = part->replicas, isr = part->isr;
    if (!broker_partition_look(req, part, req->version >= 6, &view))
        return false;
    if (req->version == 0 &&
        !(alive_only(req, part->replicas, &replicas) && alive_only(req, part->isr, &isr)))
        return false;
    out->error_code = (int16_t)view.error;
    if (view.error == PROTO_ERROR_NONE &&
        (replicas.count < part->replicas.count || isr.count < part->isr.count))
        out->error_code = PROTO_ERROR_REPLICA_NOT_AVAILABLE;
    out->partition_index = part->index;
    out->leader_id = view.leader;
    out->leader_epoch = part->leader_epoch;
    out->replica_nodes.items = (int32_t *)(uintptr_t)replicas.items;
    out->replica_nodes.count = replicas.count;
    out->isr_nodes.items = (int32_t *)(uintptr_t)isr.items;
    out->isr_nodes.count = isr.count;
    out->offline_replicas.items = (int32_t *)(uintptr_t)view.offline.items;
    out->offline_replicas.count = view.offline.count;
    return true;
}

static bool
topic_fill(struct broker_req *req, const struct meta_topic *topic, topic_out *out)
{
    broker_req_budget_add(req, (size_t)topic->partition_count * (sizeof(partition_out) + 64));
    partition_out *parts = arena_calloc(req->arena, (size_t)topic->partition_count, sizeof *parts);
    if (parts == NULL)
        return false;
    for (int32_t i = 0; i < topic->partition_count; i++)
        if (!partition_fill(req, topic->partitions[i], &parts[i]))
            return false;
    out->error_code = PROTO_ERROR_NONE;
    out->name = topic->name;
    out->topic_id = topic->id;
    out->is_internal = meta_topic_name_is_internal(topic->name);
    out->partitions.items = parts;
    out->partitions.count = topic->partition_count;
    return true;
}

/* The topic does not exist: says so, and has it made when that is allowed. */
static enum proto_error
missing_topic(struct broker_req *req, struct str name)
{
    const struct proto_metadata_request *msg = req->msg;
    if (!broker_topic_name_is_legal(name))
        return PROTO_ERROR_INVALID_TOPIC_EXCEPTION;
    /* The client's wish is in the protocol since v4; older ones always wish. Internal topics are
     * made by their coordinators, who know how they must be configured. */
    if (msg->allow_auto_topic_creation && broker_config(req->broker)->auto_create_topics &&
        !meta_topic_name_is_internal(name))
        broker_create_topic(req->broker,
            &(struct broker_topic_wish){.name = name, .partitions = -1, .replication_factor = -1});
    return PROTO_ERROR_UNKNOWN_TOPIC_OR_PARTITION;
}

static bool
asked_fill(struct broker_req *req, const topic_in *asked, topic_out *out)
{
    const struct meta_topic *topic;
    bool by_id = !uuid_is_zero(asked->topic_id);
    if (!by_id && str_is_null(asked->name)) {
        out->error_code = PROTO_ERROR_INVALID_REQUEST;
        out->name = STR_NULL;
        return true;
    }
    topic = by_id ? meta_image_topic_by_id(req->image, asked->topic_id)
                  : meta_image_topic(req->image, asked->name);
    if (topic != NULL)
        return topic_fill(req, topic, out);
    if (by_id) {
        out->error_code = PROTO_ERROR_UNKNOWN_TOPIC_ID;
        out->topic_authorized_operations = INT32_MIN;
        out->name = STR_NULL;
        out->topic_id = asked->topic_id;
        return true;
    }
    out->error_code = (int16_t)missing_topic(req, asked->name);
    out->name = asked->name;
    out->is_internal = meta_topic_name_is_internal(asked->name);
    return true;
}

static int
compare_asked(const void *a, const void *b)
{
    const topic_in *x = a, *y = b;
    int by_id = memcmp(x->topic_id.b, y->topic_id.b, sizeof x->topic_id.b);
    return by_id != 0 ? by_id : str_cmp(x->name, y->name);
}

static topic_out *
outs_new(struct broker_req *req, int32_t count)
{
    const struct proto_metadata_request *msg = req->msg;
    topic_out *outs = arena_calloc(req->arena, (size_t)count, sizeof *outs);
    for (int32_t i = 0; outs != NULL && i < count; i++) {
        proto_init(&proto_metadata_response_metadata_response_topic_schema, &outs[i]);
        if (msg->include_topic_authorized_operations)
            outs[i].topic_authorized_operations = BROKER_TOPIC_OPERATIONS;
    }
    return outs;
}

/* Versions 10 and 11 carry ids that cannot be asked for yet, and names that may not be null: all
 * topics of such a request are refused, and nothing else is said. */
static bool
ids_too_early(const struct broker_req *req)
{
    const struct proto_metadata_request *msg = req->msg;
    if (req->version < 10 || req->version > 11)
        return false;
    for (int32_t i = 0; i < msg->topics.count; i++)
        if (str_is_null(msg->topics.items[i].name) || !uuid_is_zero(msg->topics.items[i].topic_id))
            return true;
    return false;
}

static bool
refuse_topics(struct broker_req *req, struct proto_metadata_response *response)
{
    const struct proto_metadata_request *msg = req->msg;
    topic_out *outs = arena_calloc(req->arena, (size_t)msg->topics.count, sizeof *outs);
    for (int32_t i = 0; outs != NULL && i < msg->topics.count; i++) {
        proto_init(&proto_metadata_response_metadata_response_topic_schema, &outs[i]);
        outs[i].name = str_is_null(msg->topics.items[i].name) ? STR("") : msg->topics.items[i].name;
        outs[i].topic_id = msg->topics.items[i].topic_id;
        outs[i].error_code = PROTO_ERROR_INVALID_REQUEST;
    }
    response->topics.items = outs;
    response->topics.count = msg->topics.count;
    return outs != NULL;
}

/* Where one topic is asked for by its id, names are not looked at. */
static void
keep_ids(struct proto_metadata_request *msg)
{
    int32_t kept = 0;
    for (int32_t i = 0; i < msg->topics.count; i++)
        if (!uuid_is_zero(msg->topics.items[i].topic_id))
            msg->topics.items[kept++] = msg->topics.items[i];
    if (kept > 0)
        msg->topics.count = kept;
}

static bool
asked_topics(struct broker_req *req, struct proto_metadata_response *response)
{
    const struct proto_metadata_request *msg = req->msg;
    topic_in *asked = msg->topics.items; /* ours to reorder: in the arena */
    int32_t count = 0;
    keep_ids((struct proto_metadata_request *)(uintptr_t)msg);
    topic_out *outs = outs_new(req, msg->topics.count);
    if (outs == NULL)
        return false;
    if (msg->topics.count > 1)
        qsort(asked, (size_t)msg->topics.count, sizeof *asked, compare_asked);
    for (int32_t i = 0; i < msg->topics.count; i++) {
        if (i > 0 && compare_asked(&asked[i], &asked[i - 1]) == 0)
            continue; /* asked twice, answered once */
        if (!asked_fill(req, &asked[i], &outs[count++]))
            return false;
    }
    response->topics.items = outs;
    response->topics.count = count;
    return true;
}

static bool
all_topics(struct broker_req *req, struct proto_metadata_response *response)
{
    const struct meta_topic *topic;
    int32_t count = 0, total = meta_image_topic_count(req->image);
    broker_req_budget_add(req, (size_t)total * sizeof(topic_out));
    topic_out *outs = outs_new(req, total);
    if (outs == NULL)
        return false;
    for (struct str at = STR_NULL; (topic = meta_image_topic_after(req->image, at)) != NULL;
         at = topic->name) {
        ASSERT(count < total);
        if (!topic_fill(req, topic, &outs[count++]))
            return false;
    }
    response->topics.items = outs;
    response->topics.count = count;
    return true;
}

static bool
brokers_fill(struct broker_req *req, struct proto_metadata_response *response)
{
    const struct meta_broker *broker;
    int32_t total = meta_image_broker_count(req->image);
    struct proto_metadata_response_metadata_response_broker *outs =
        arena_calloc(req->arena, (size_t)total, sizeof *outs);
    int32_t count = 0;
    if (outs == NULL)
        return false;
    for (int32_t id = -1; (broker = meta_image_broker_after(req->image, id)) != NULL;
         id = broker->id) {
        const struct meta_endpoint *endpoint = broker_endpoint_of(req, broker->id);
        if (endpoint == NULL)
            continue;
        outs[count].node_id = broker->id;
        outs[count].host = endpoint->host;
        outs[count].port = endpoint->port;
        outs[count].rack = broker->rack;
        count++;
    }
    response->brokers.items = outs;
    response->brokers.count = count;
    return true;
}

static void
handle(struct broker_req *req)
{
    const struct proto_metadata_request *msg = req->msg;
    struct proto_metadata_response response;
    proto_init(&proto_metadata_response_schema, &response);
    if (ids_too_early(req)) {
        if (refuse_topics(req, &response))
            broker_req_reply(req, &response);
        else
            broker_req_close(req, "out of memory");
        return;
    }
    response.cluster_id = broker_config(req->broker)->cluster_id;
    response.controller_id = broker_controller_id(req);
    if (msg->include_cluster_authorized_operations)
        response.cluster_authorized_operations = BROKER_CLUSTER_OPERATIONS;
    if (brokers_fill(req, &response) &&
        (is_all_topics(req, msg) ? all_topics(req, &response) : asked_topics(req, &response)))
        broker_req_reply(req, &response);
    else
        broker_req_close(req, "out of memory");
}

const struct broker_api broker_api_metadata = {
    .key = PROTO_API_METADATA,
    .version_min = PROTO_METADATA_REQUEST_VERSION_MIN,
    .version_max = PROTO_METADATA_REQUEST_VERSION_MAX,
    .handle = handle,
};
