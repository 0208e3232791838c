/* ApiVersions (18): what this broker serves, and the cluster's features (KIP-35, 511, 584, 1242).
 *
 * Answered in any version: an unknown one gets error 35 and the table in version 0, so that the
 * client can try again with a version that both know. */
#include "base/attr.h"
#include "broker/api_table.h"
#include "broker/broker.h"
#include "meta/controller.h"
#include "meta/image.h"
#include "proto/api_keys.h"
#include "proto/api_versions_request.h"
#include "proto/api_versions_response.h"
#include "proto/error_codes.h"

/* A feature without its request type is not advertised: clients that see it would use that type. */
static bool
is_advertised(struct str feature)
{
    static const struct {
        struct str name;
        int16_t api_key;
    } needs[] = {
        {{"group.version", 13}, PROTO_API_CONSUMER_GROUP_HEARTBEAT},
        {{"share.version", 13}, PROTO_API_SHARE_GROUP_HEARTBEAT},
        {{"streams.version", 15}, PROTO_API_STREAMS_GROUP_HEARTBEAT},
        {{"transaction.version", 19}, PROTO_API_END_TXN},
    };
    for (size_t i = 0; i < COUNT_OF(needs); i++)
        if (str_eq(needs[i].name, feature))
            return broker_api_find(needs[i].api_key) != NULL;
    return true;
}

static bool
keys_fill(struct broker_req *req, struct proto_api_versions_response *response)
{
    int count = 0;
    while (broker_api_at(count) != NULL)
        count++;
    struct proto_api_versions_response_api_version *items =
        arena_calloc(req->arena, (size_t)count, sizeof *items);
    if (items == NULL)
        return false;
    for (int i = 0; i < count; i++) {
        const struct broker_api *api = broker_api_at(i);
        items[i].api_key = api->key;
        /* KAFKA-18659: librdkafka before mid-2025 turns compression off unless it sees Produce 0.
         */
        items[i].min_version = api->key == PROTO_API_PRODUCE ? 0 : api->version_min;
        items[i].max_version = api->version_max;
    }
    response->api_keys.items = items;
    response->api_keys.count = count;
    return true;
}

static bool
supported_fill(struct broker_req *req, struct proto_api_versions_response *response)
{
    struct proto_api_versions_response_supported_feature_key *items;
    size_t total = 0;
    int count = 0;
    while (meta_features_supported[total].name != NULL)
        total++;
    items = arena_calloc(req->arena, total, sizeof *items);
    if (items == NULL)
        return false;
    for (size_t i = 0; i < total; i++) {
        const struct meta_feature_support *feature = &meta_features_supported[i];
        /* KAFKA-17011: clients before v4 cannot read a minimum of 0. */
        if (!is_advertised(str_of(feature->name)) || (req->version < 4 && feature->min == 0))
            continue;
        items[count].name = str_of(feature->name);
        items[count].min_version = feature->min;
        items[count].max_version = feature->max;
        count++;
    }
    response->supported_features.items = items;
    response->supported_features.count = count;
    return true;
}

static bool
finalized_fill(struct broker_req *req, struct proto_api_versions_response *response)
{
    struct meta_feature_level level;
    int count = 0;
    if (req->image == NULL)
        return true;
    for (struct str at = STR_NULL; meta_image_feature_after(req->image, at, &level);
         at = level.name)
        count++;
    struct proto_api_versions_response_finalized_feature_key *items =
        arena_calloc(req->arena, (size_t)count, sizeof *items);
    if (items == NULL)
        return false;
    count = 0;
    for (struct str at = STR_NULL; meta_image_feature_after(req->image, at, &level);
         at = level.name) {
        if (level.level == 0 || !is_advertised(level.name))
            continue;
        items[count].name = level.name;
        items[count].max_version_level = level.level;
        items[count].min_version_level = level.level;
        count++;
    }
    response->finalized_features.items = items;
    response->finalized_features.count = count;
    response->finalized_features_epoch = meta_image_offset(req->image);
    return true;
}

static bool
is_alnum(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* KIP-511: letters, digits, '.' and '-', with a letter or digit at both ends. */
static bool
software_is_valid(struct str s)
{
    if (s.len == 0 || !is_alnum(s.data[0]) || !is_alnum(s.data[s.len - 1]))
        return false;
    for (size_t i = 0; i < s.len; i++)
        if (!is_alnum(s.data[i]) && s.data[i] != '.' && s.data[i] != '-')
            return false;
    return true;
}

static void
software_note(char *out, size_t size, struct str s)
{
    size_t len = s.len < size - 1 ? s.len : size - 1;
    memcpy(out, s.data, len);
    out[len] = '\0';
}

/* KIP-1242: the client believes to talk to another cluster or node. */
static bool
is_misdirected(const struct broker_req *req, const struct proto_api_versions_request *msg)
{
    const struct broker_config *config = broker_config(req->broker);
    if (req->version < 5)
        return false;
    return (!str_is_null(msg->cluster_id) && !str_eq(msg->cluster_id, config->cluster_id)) ||
           (msg->node_id >= 0 && msg->node_id != config->node_id);
}

static enum proto_error
request_check(struct broker_req *req)
{
    const struct proto_api_versions_request *msg = req->msg;
    if (req->version < 3)
        return PROTO_ERROR_NONE;
    if (!software_is_valid(msg->client_software_name) ||
        !software_is_valid(msg->client_software_version))
        return PROTO_ERROR_INVALID_REQUEST;
    if (is_misdirected(req, msg))
        return PROTO_ERROR_REBOOTSTRAP_REQUIRED;
    software_note(
        req->peer->software_name, sizeof req->peer->software_name, msg->client_software_name);
    software_note(req->peer->software_version, sizeof req->peer->software_version,
        msg->client_software_version);
    return PROTO_ERROR_NONE;
}

static void
handle(struct broker_req *req)
{
    struct proto_api_versions_response response;
    proto_init(&proto_api_versions_response_schema, &response);
    if (req->msg == NULL) {
        struct proto_api_versions_response_api_version own = {
            .api_key = PROTO_API_API_VERSIONS,
            .min_version = PROTO_API_VERSIONS_REQUEST_VERSION_MIN,
            .max_version = PROTO_API_VERSIONS_REQUEST_VERSION_MAX,
        };
        response.error_code = PROTO_ERROR_UNSUPPORTED_VERSION;
        response.api_keys.items = &own;
        response.api_keys.count = 1;
        broker_req_reply_version(req, &response, 0);
        return;
    }
    response.error_code = (int16_t)request_check(req);
    if (response.error_code == PROTO_ERROR_NONE &&
        !(keys_fill(req, &response) && supported_fill(req, &response) &&
            finalized_fill(req, &response))) {
        broker_req_close(req, "out of memory");
        return;
    }
    broker_req_reply(req, &response);
}

const struct broker_api broker_api_api_versions = {
    .key = PROTO_API_API_VERSIONS,
    .version_min = PROTO_API_VERSIONS_REQUEST_VERSION_MIN,
    .version_max = PROTO_API_VERSIONS_REQUEST_VERSION_MAX,
    .handle = handle,
};
