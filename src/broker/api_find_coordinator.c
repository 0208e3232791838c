/* broker/api_find_coordinator.c - FindCoordinator: which broker leads the partition that a group
 * belongs to. Creates __consumer_offsets when it is asked for first. */
#include "base/buf.h"
#include "broker/broker.h"
#include "broker/coord_log.h"
#include "meta/image.h"
#include "proto/error_codes.h"
#include "proto/find_coordinator_request.h"
#include "proto/find_coordinator_response.h"

enum {
    VERSION_KEYS = 4,
    KEY_GROUP = 0,
    KEY_TRANSACTION = 1,
};

#define OFFSETS_TOPIC "__consumer_offsets"

struct found {
    enum proto_error err;
    int32_t node_id;
    struct str host;
    int32_t port;
};

static struct found
none(enum proto_error err)
{
    return (struct found){.err = err, .node_id = -1, .host = STR(""), .port = -1};
}

static struct found
find_group(const struct broker_req *req, const struct meta_image *image, struct str group_id)
{
    const struct meta_topic *topic = meta_image_topic(image, STR(OFFSETS_TOPIC));
    int32_t index = broker_coord_partition_of(image, group_id);
    if (topic == NULL || index < 0)
        return none(PROTO_ERROR_COORDINATOR_NOT_AVAILABLE);
    const struct meta_partition *part = meta_topic_partition(topic, index);
    const struct meta_broker *leader =
        part == NULL || part->leader < 0 ? NULL : meta_image_broker(image, part->leader);
    if (leader == NULL || leader->fenced)
        return none(PROTO_ERROR_COORDINATOR_NOT_AVAILABLE);
    const struct meta_endpoint *endpoint = meta_broker_endpoint(leader, req->peer->listener);
    if (endpoint == NULL)
        return none(PROTO_ERROR_COORDINATOR_NOT_AVAILABLE);
    return (struct found){.node_id = leader->id, .host = endpoint->host, .port = endpoint->port};
}

static struct found
find(const struct broker_req *req, const struct meta_image *image, int8_t type, struct str key)
{
    switch (type) {
    case KEY_GROUP: return find_group(req, image, key);
    case KEY_TRANSACTION:
        /* Its topic does not exist here: what a broker says that cannot make it yet. */
        return none(PROTO_ERROR_COORDINATOR_NOT_AVAILABLE);
    default:
        /* Share groups (2, since version 6) are off; other types do not exist. */
        return none(PROTO_ERROR_INVALID_REQUEST);
    }
}

static void
respond(struct broker_req *req)
{
    const struct proto_find_coordinator_request *msg = req->msg;
    const struct meta_image *image = req->image;
    struct proto_find_coordinator_response response;

    proto_init(&proto_find_coordinator_response_schema, &response);
    if (req->version < VERSION_KEYS) {
        struct found found = find(req, image, msg->key_type, msg->key);
        response.error_code = (int16_t)found.err;
        response.error_message =
            str_of(found.err == PROTO_ERROR_NONE ? "NONE" : proto_error_text((int16_t)found.err));
        response.node_id = found.node_id;
        response.host = found.host;
        response.port = found.port;
        broker_req_reply(req, &response);
        return;
    }
    int32_t count = msg->coordinator_keys.count > 0 ? msg->coordinator_keys.count : 0;
    response.coordinators.items =
        arena_calloc(req->arena, (size_t)count, sizeof response.coordinators.items[0]);
    if (response.coordinators.items == NULL) {
        broker_req_close(req, "request memory");
        return;
    }
    response.coordinators.count = count;
    for (int32_t i = 0; i < count; i++) {
        struct found found = find(req, image, msg->key_type, msg->coordinator_keys.items[i]);
        response.coordinators.items[i].key = msg->coordinator_keys.items[i];
        response.coordinators.items[i].error_code = (int16_t)found.err;
        response.coordinators.items[i].error_message = STR("");
        response.coordinators.items[i].node_id = found.node_id;
        response.coordinators.items[i].host = found.host;
        response.coordinators.items[i].port = found.port;
    }
    broker_req_reply(req, &response);
}

/* ---- the first time ---- */

/* In the background: this request is told to come again. */
static void
create_offsets_topic(struct broker *broker)
{
    const struct broker_coord_opts *opts = broker_coord_options(broker_coord(broker));
    struct buf text;

    buf_init(&text, 32);
    buf_printf(&text, "%d", opts->offsets_segment_bytes);
    const struct broker_topic_config configs[] = {
        {"cleanup.policy", "compact"},
        {"compression.type", "producer"},
        {"segment.bytes", buf_z(&text)},
    };
    broker_create_topic(broker, &(struct broker_topic_wish){.name = STR(OFFSETS_TOPIC),
                                    .partitions = opts->offsets_partitions,
                                    .replication_factor = opts->offsets_replication_factor,
                                    .configs = configs,
                                    .config_count = COUNT_OF(configs)});
    buf_fini(&text);
}

static bool
asks_for_groups(const struct broker_req *req)
{
    const struct proto_find_coordinator_request *msg = req->msg;
    return msg->key_type == KEY_GROUP &&
           (req->version < VERSION_KEYS || msg->coordinator_keys.count > 0);
}

static void
handle(struct broker_req *req)
{
    if (asks_for_groups(req) && broker_coord(req->broker) != NULL &&
        meta_image_topic(req->image, STR(OFFSETS_TOPIC)) == NULL)
        create_offsets_topic(req->broker);
    respond(req);
}

const struct broker_api broker_api_find_coordinator = {
    .key = 10, .version_min = 0, .version_max = 6, .handle = handle};
