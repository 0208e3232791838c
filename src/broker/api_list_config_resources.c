/* ListConfigResources (74): what can have a configuration (KIP-1142); version 0 lists client
 * metrics subscriptions only. */
#include "base/attr.h"
#include "broker/broker.h"
#include "proto/api_keys.h"
#include "proto/error_codes.h"
#include "proto/list_config_resources_request.h"
#include "proto/list_config_resources_response.h"

/* Short names: the generated ones are longer than a line. */
typedef struct proto_list_config_resources_response_config_resource resource_out;

struct listing {
    struct broker_req *req;
    resource_out *items;
    int32_t count, capacity;
    bool out_of_memory;
};

static void
add(struct listing *list, int8_t type, struct str name)
{
    if (list->count == list->capacity) {
        int32_t capacity = list->capacity == 0 ? 64 : list->capacity * 2;
        resource_out *grown = arena_calloc(list->req->arena, (size_t)capacity, sizeof *grown);
        if (grown == NULL) {
            list->out_of_memory = true;
            return;
        }
        if (list->count > 0)
            memcpy(grown, list->items, (size_t)list->count * sizeof *grown);
        list->items = grown;
        list->capacity = capacity;
    }
    list->items[list->count++] = (resource_out){.resource_name = name, .resource_type = type};
}

static void
add_topics(struct listing *list)
{
    const struct meta_topic *topic;
    for (struct str at = STR_NULL;
         !list->out_of_memory && (topic = meta_image_topic_after(list->req->image, at)) != NULL;
         at = topic->name)
        add(list, META_RESOURCE_TOPIC, topic->name);
}

static void
add_brokers(struct listing *list, int8_t type)
{
    const struct meta_broker *broker;
    for (int32_t id = -1; (broker = meta_image_broker_after(list->req->image, id)) != NULL;
         id = broker->id) {
        struct str name = arena_printf(list->req->arena, "%d", (int)broker->id);
        list->out_of_memory |= str_is_null(name);
        add(list, type, name);
    }
}

/* Resources that exist by having a configuration. */
static void
add_configured(struct listing *list, int8_t type)
{
    struct str name = STR_NULL;
    while (!list->out_of_memory &&
           meta_image_config_resource_after(list->req->image, type, name, &name))
        add(list, type, name);
}

static bool
add_type(struct listing *list, int8_t type)
{
    switch ((enum meta_resource)type) {
    case META_RESOURCE_TOPIC: add_topics(list); return true;
    case META_RESOURCE_BROKER:
    case META_RESOURCE_BROKER_LOGGER: add_brokers(list, type); return true;
    case META_RESOURCE_CLIENT_METRICS:
    case META_RESOURCE_GROUP: add_configured(list, type); return true;
    }
    return false;
}

static void
handle(struct broker_req *req)
{
    static const int8_t every[] = {META_RESOURCE_TOPIC, META_RESOURCE_BROKER,
        META_RESOURCE_BROKER_LOGGER, META_RESOURCE_CLIENT_METRICS, META_RESOURCE_GROUP};
    static const int8_t metrics[] = {META_RESOURCE_CLIENT_METRICS};
    const struct proto_list_config_resources_request *msg = req->msg;
    struct proto_list_config_resources_response response;
    struct listing list = {.req = req};
    const int8_t *types = every;
    int32_t count = COUNT_OF(every);
    if (req->version == 0) {
        types = metrics;
        count = 1;
    } else if (msg->resource_types.count > 0) {
        types = msg->resource_types.items;
        count = msg->resource_types.count;
    }
    proto_init(&proto_list_config_resources_response_schema, &response);
    uint64_t seen = 0;
    for (int32_t i = 0; i < count && response.error_code == PROTO_ERROR_NONE; i++) {
        if (types[i] > 0 && types[i] < 64 && (seen >> types[i] & 1) != 0)
            continue;
        if (!add_type(&list, types[i]))
            response.error_code = PROTO_ERROR_UNSUPPORTED_VERSION;
        else
            seen |= (uint64_t)1 << types[i];
    }
    if (list.out_of_memory) {
        broker_req_close(req, "out of memory");
        return;
    }
    if (response.error_code == PROTO_ERROR_NONE) {
        response.config_resources.items = list.items;
        response.config_resources.count = list.count;
    }
    broker_req_reply(req, &response);
}

const struct broker_api broker_api_list_config_resources = {
    .key = PROTO_API_LIST_CONFIG_RESOURCES,
    .version_min = PROTO_LIST_CONFIG_RESOURCES_REQUEST_VERSION_MIN,
    .version_max = PROTO_LIST_CONFIG_RESOURCES_REQUEST_VERSION_MAX,
    .handle = handle,
};
