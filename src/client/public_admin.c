/* client/public_admin.c - libmoldau's administration of the cluster, topics and settings.
 *
 * Each call is one question (struct public_ask) to whoever answers it. Threads: the client's. */
#include <stdlib.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "client/consumer.h"
#include "client/public_priv.h"
#include "proto/create_partitions_request.h"
#include "proto/create_partitions_response.h"
#include "proto/create_topics_request.h"
#include "proto/create_topics_response.h"
#include "proto/delete_records_request.h"
#include "proto/delete_records_response.h"
#include "proto/delete_topics_request.h"
#include "proto/delete_topics_response.h"
#include "proto/describe_configs_request.h"
#include "proto/describe_configs_response.h"
#include "proto/error_codes.h"
#include "proto/incremental_alter_configs_request.h"
#include "proto/incremental_alter_configs_response.h"
#include "proto/metadata_request.h"
#include "proto/metadata_response.h"

enum { OPERATION_SET = 0, OPERATION_DELETE = 1, ITEMS_MAX = 100000 };

/* ---- cluster ---- */

static enum moldau_err
keep_brokers(struct moldau_client *client, const struct proto_metadata_response *response,
    struct moldau_result **out)
{
    struct moldau_result *result = NULL;
    size_t count = response->brokers.count > 0 ? (size_t)response->brokers.count : 0;
    enum err err = public_result_new(PUBLIC_BROKERS, count, &result);
    for (size_t i = 0; err == ERR_OK && i < count; i++) {
        const struct proto_metadata_response_metadata_response_broker *from =
            &response->brokers.items[i];
        struct moldau_broker *broker = public_result_add(result, sizeof *broker);
        if (broker == NULL)
            break;
        broker->id = from->node_id;
        broker->port = from->port;
        broker->host = public_result_text_or_empty(result, from->host);
        broker->rack = public_result_text(result, from->rack);
    }
    if (err == ERR_OK) {
        result->cluster_id = public_result_text_or_empty(result, response->cluster_id);
        result->controller_id = response->controller_id;
    }
    return public_result_finish(client, MOLDAU_OK, result, out);
}

enum moldau_err
moldau_cluster_describe(
    struct moldau_client *client, int64_t timeout_ms, struct moldau_result **out)
{
    const struct proto_metadata_response *response;
    struct proto_metadata_request request;
    struct public_ask ask;
    if (out == NULL)
        return MOLDAU_ERR_INVALID;
    enum moldau_err err = public_ask_begin(&ask, client, timeout_ms);
    if (err != MOLDAU_OK)
        return err;
    proto_init(&proto_metadata_request_schema, &request);
    request.allow_auto_topic_creation = false;
    do
        response = public_ask_send(&ask, CLIENT_TARGET_ANY, PROTO_METADATA_REQUEST_KEY, &request);
    while (public_ask_again(&ask, 0));
    err = response == NULL ? MOLDAU_OK : keep_brokers(client, response, out);
    enum moldau_err asked = public_ask_end(&ask, "cluster", 0, STR_NULL);
    return asked != MOLDAU_OK ? asked : err;
}

/* ---- topics ---- */

static const int32_t *
copy_ids(struct moldau_result *result, const int32_t *ids, int32_t count, size_t *out_count)
{
    *out_count = 0;
    if (count <= 0)
        return NULL;
    int32_t *copy = arena_calloc(&result->arena, (size_t)count, sizeof *copy);
    if (copy == NULL)
        return NULL;
    memcpy(copy, ids, (size_t)count * sizeof *copy);
    *out_count = (size_t)count;
    return copy;
}

static int
by_index(const void *a, const void *b)
{
    const struct moldau_partition *const *left = a, *const *right = b;
    return ((*left)->index > (*right)->index) - ((*left)->index < (*right)->index);
}

static void
keep_topic(struct moldau_result *result,
    const struct proto_metadata_response_metadata_response_topic *from)
{
    struct moldau_topic *topic = public_result_add(result, sizeof *topic);
    size_t count = from->partitions.count > 0 ? (size_t)from->partitions.count : 0;
    char id[UUID_TEXT_SIZE] = "";
    if (!uuid_is_zero(from->topic_id))
        uuid_format(from->topic_id, id);
    const struct moldau_partition **list = arena_calloc(&result->arena, count, sizeof *list);
    struct moldau_partition *parts = arena_calloc(&result->arena, count, sizeof *parts);
    if (topic == NULL || list == NULL || parts == NULL)
        return; /* the arena remembers */
    topic->name = public_result_text_or_empty(result, from->name);
    topic->id = public_result_text_or_empty(result, str_of(id));
    topic->error_code = from->error_code;
    topic->internal = from->is_internal;
    for (size_t i = 0; i < count; i++) {
        const struct proto_metadata_response_metadata_response_partition *one =
            &from->partitions.items[i];
        parts[i].index = one->partition_index;
        parts[i].leader = one->leader_id;
        parts[i].leader_epoch = one->leader_epoch;
        parts[i].error_code = one->error_code;
        parts[i].replicas = copy_ids(
            result, one->replica_nodes.items, one->replica_nodes.count, &parts[i].replica_count);
        parts[i].isr =
            copy_ids(result, one->isr_nodes.items, one->isr_nodes.count, &parts[i].isr_count);
        list[i] = &parts[i];
    }
    qsort(list, count, sizeof *list, by_index);
    topic->partitions = list;
    topic->partition_count = count;
}

static enum moldau_err
keep_topics(struct moldau_client *client, const struct proto_metadata_response *response,
    struct moldau_result **out)
{
    struct moldau_result *result = NULL;
    size_t count = response->topics.count > 0 ? (size_t)response->topics.count : 0;
    enum err err = public_result_new(PUBLIC_TOPICS, count, &result);
    for (size_t i = 0; err == ERR_OK && i < count; i++)
        keep_topic(result, &response->topics.items[i]);
    return public_result_finish(client, MOLDAU_OK, result, out);
}

static enum moldau_err
check_count(struct moldau_client *client, const void *items, size_t count)
{
    if (items == NULL && count > 0)
        return public_fail(client, MOLDAU_ERR_INVALID, 0, "no list, but a count");
    if (count > ITEMS_MAX)
        return public_fail(client, MOLDAU_ERR_INVALID, 0, "more than %d at a time", ITEMS_MAX);
    return MOLDAU_OK;
}

enum moldau_err
moldau_topic_describe(struct moldau_client *client, const char *const *names, size_t count,
    int64_t timeout_ms, struct moldau_result **out)
{
    const struct proto_metadata_response *response = NULL;
    struct proto_metadata_request request;
    struct public_ask ask;
    if (out == NULL)
        return MOLDAU_ERR_INVALID;
    enum moldau_err err = public_ask_begin(&ask, client, timeout_ms);
    if (err != MOLDAU_OK)
        return err;
    proto_init(&proto_metadata_request_schema, &request);
    request.allow_auto_topic_creation = false;
    request.topics.count = names == NULL ? -1 : (int32_t)count;
    err = check_count(client, names, count);
    for (size_t i = 0; err == MOLDAU_OK && i < count; i++)
        err = public_check_topic(client, names[i]);
    if (err == MOLDAU_OK && names != NULL) {
        request.topics.items = mem_calloc(count + 1, sizeof *request.topics.items);
        if (request.topics.items == NULL)
            err = public_fail_err(client, ERR_NOMEM);
        for (size_t i = 0; err == MOLDAU_OK && i < count; i++)
            request.topics.items[i].name = str_of(names[i]);
    }
    if (err != MOLDAU_OK) {
        (void)public_ask_end(&ask, "", 0, STR_NULL);
        return err;
    }
    do
        response = public_ask_send(&ask, CLIENT_TARGET_ANY, PROTO_METADATA_REQUEST_KEY, &request);
    while (public_ask_again(&ask, 0));
    err = response == NULL ? MOLDAU_OK : keep_topics(client, response, out);
    mem_free(request.topics.items);
    enum moldau_err asked = public_ask_end(&ask, "topics", 0, STR_NULL);
    return asked != MOLDAU_OK ? asked : err;
}

static enum moldau_err
check_new_topic(struct moldau_client *client, const struct moldau_new_topic *topic)
{
    if (topic == NULL || topic->struct_size < sizeof *topic)
        return public_fail(
            client, MOLDAU_ERR_INVALID, 0, "no topic: start from MOLDAU_NEW_TOPIC_INIT");
    enum moldau_err err = public_check_topic(client, topic->name);
    if (err == MOLDAU_OK)
        err = check_count(client, topic->settings, topic->setting_count);
    if (err == MOLDAU_OK &&
        (topic->replication_factor < -1 || topic->replication_factor > INT16_MAX))
        err = public_fail(
            client, MOLDAU_ERR_INVALID, 0, "replication factor %d", (int)topic->replication_factor);
    for (size_t i = 0; err == MOLDAU_OK && i < topic->setting_count; i++)
        err = public_check_name(client, "setting", topic->settings[i].name);
    return err;
}

enum moldau_err
moldau_topic_create(
    struct moldau_client *client, const struct moldau_new_topic *topic, int64_t timeout_ms)
{
    struct proto_create_topics_request_creatable_topic asked = {0};
    struct proto_create_topics_request request;
    const struct proto_create_topics_response *response;
    struct str message = STR_NULL;
    struct public_ask ask;
    int16_t code;
    enum moldau_err err = public_enter(client);
    if (err == MOLDAU_OK)
        err = check_new_topic(client, topic);
    if (err != MOLDAU_OK)
        return err;
    asked.configs.items = mem_calloc(topic->setting_count + 1, sizeof *asked.configs.items);
    if (asked.configs.items == NULL)
        return public_fail_err(client, ERR_NOMEM);
    err = public_ask_begin(&ask, client, timeout_ms);
    ASSERT(err == MOLDAU_OK); /* entered above */
    asked.name = str_of(topic->name);
    asked.num_partitions = topic->partition_count;
    asked.replication_factor = (int16_t)topic->replication_factor;
    asked.configs.count = (int32_t)topic->setting_count;
    for (size_t i = 0; i < topic->setting_count; i++) {
        asked.configs.items[i].name = str_of(topic->settings[i].name);
        asked.configs.items[i].value = str_of(topic->settings[i].value);
    }
    proto_init(&proto_create_topics_request_schema, &request);
    request.topics.items = &asked;
    request.topics.count = 1;
    request.validate_only = topic->validate_only;
    do {
        request.timeout_ms = public_ask_timeout_ms(&ask);
        response = public_ask_send(
            &ask, CLIENT_TARGET_CONTROLLER, PROTO_CREATE_TOPICS_REQUEST_KEY, &request);
        code = PROTO_ERROR_UNKNOWN_SERVER_ERROR;
        if (response != NULL && response->topics.count == 1) {
            code = response->topics.items[0].error_code;
            message = response->topics.items[0].error_message;
        }
    } while (public_ask_again(&ask, code));
    mem_free(asked.configs.items);
    return public_ask_end(&ask, topic->name, code, message);
}

enum moldau_err
moldau_topic_delete(struct moldau_client *client, const char *name, int64_t timeout_ms)
{
    struct proto_delete_topics_request_delete_topic_state asked = {0};
    struct proto_delete_topics_request request;
    const struct proto_delete_topics_response *response;
    struct str topic = str_of(name), message = STR_NULL;
    struct public_ask ask;
    int16_t code;
    enum moldau_err err = public_enter(client);
    if (err == MOLDAU_OK)
        err = public_check_topic(client, name);
    if (err == MOLDAU_OK)
        err = public_ask_begin(&ask, client, timeout_ms);
    if (err != MOLDAU_OK)
        return err;
    asked.name = topic;
    proto_init(&proto_delete_topics_request_schema, &request);
    request.topics.items = &asked;
    request.topics.count = 1;
    request.topic_names.items = &topic; /* versions before 6 name topics here */
    request.topic_names.count = 1;
    do {
        request.timeout_ms = public_ask_timeout_ms(&ask);
        response = public_ask_send(
            &ask, CLIENT_TARGET_CONTROLLER, PROTO_DELETE_TOPICS_REQUEST_KEY, &request);
        code = PROTO_ERROR_UNKNOWN_SERVER_ERROR;
        if (response != NULL && response->responses.count == 1) {
            code = response->responses.items[0].error_code;
            message = response->responses.items[0].error_message;
        }
    } while (public_ask_again(&ask, code));
    return public_ask_end(&ask, name, code, message);
}

enum moldau_err
moldau_topic_add_partitions(
    struct moldau_client *client, const char *name, int32_t partition_count, int64_t timeout_ms)
{
    struct proto_create_partitions_request_create_partitions_topic asked = {0};
    struct proto_create_partitions_request request;
    const struct proto_create_partitions_response *response;
    struct str message = STR_NULL;
    struct public_ask ask;
    int16_t code;
    enum moldau_err err = public_enter(client);
    if (err == MOLDAU_OK)
        err = public_check_topic(client, name);
    if (err == MOLDAU_OK)
        err = public_ask_begin(&ask, client, timeout_ms);
    if (err != MOLDAU_OK)
        return err;
    asked.name = str_of(name);
    asked.count = partition_count;
    asked.assignments.count = -1;
    proto_init(&proto_create_partitions_request_schema, &request);
    request.topics.items = &asked;
    request.topics.count = 1;
    do {
        request.timeout_ms = public_ask_timeout_ms(&ask);
        response = public_ask_send(
            &ask, CLIENT_TARGET_CONTROLLER, PROTO_CREATE_PARTITIONS_REQUEST_KEY, &request);
        code = PROTO_ERROR_UNKNOWN_SERVER_ERROR;
        if (response != NULL && response->results.count == 1) {
            code = response->results.items[0].error_code;
            message = response->results.items[0].error_message;
        }
    } while (public_ask_again(&ask, code));
    return public_ask_end(&ask, name, code, message);
}

enum moldau_err
moldau_topic_delete_records(struct moldau_client *client, const struct moldau_topic_partition *part,
    int64_t before_offset, int64_t timeout_ms, int64_t *low_watermark)
{
    struct proto_delete_records_request_delete_records_partition one;
    struct proto_delete_records_request_delete_records_topic topic;
    struct proto_delete_records_request request;
    const struct proto_delete_records_response *response;
    struct public_ask ask;
    int64_t low = -1;
    int16_t code;
    enum moldau_err err = public_enter(client);
    if (err == MOLDAU_OK)
        err = public_check_topic(client, part == NULL ? NULL : part->topic);
    if (err == MOLDAU_OK && (part->partition < 0 || before_offset < -1))
        err = public_fail(client, MOLDAU_ERR_INVALID, 0, "partition or offset below its range");
    if (err == MOLDAU_OK)
        err = public_ask_begin(&ask, client, timeout_ms);
    if (err != MOLDAU_OK)
        return err;
    one.partition_index = part->partition;
    one.offset = before_offset;
    topic.name = str_of(part->topic);
    topic.partitions.items = &one;
    topic.partitions.count = 1;
    proto_init(&proto_delete_records_request_schema, &request);
    request.topics.items = &topic;
    request.topics.count = 1;
    do {
        ask.err = public_ask_metadata(&ask, part->topic);
        code = ask.err == ERR_OK ? public_ask_leader(&ask, part->topic, part->partition) : 0;
        if (ask.err != ERR_OK || code != 0)
            continue;
        request.timeout_ms = public_ask_timeout_ms(&ask);
        response =
            public_ask_send(&ask, CLIENT_TARGET_NODE, PROTO_DELETE_RECORDS_REQUEST_KEY, &request);
        code = PROTO_ERROR_UNKNOWN_SERVER_ERROR;
        if (response != NULL && response->topics.count == 1 &&
            response->topics.items[0].partitions.count == 1) {
            code = response->topics.items[0].partitions.items[0].error_code;
            low = response->topics.items[0].partitions.items[0].low_watermark;
        }
    } while (public_ask_again(&ask, code));
    err = public_ask_end(&ask, part->topic, code, STR_NULL);
    if (err == MOLDAU_OK && low_watermark != NULL)
        *low_watermark = low;
    return err;
}

/* ---- settings ---- */

/* A broker's own settings are asked of that broker, everything else of any. */
static enum moldau_err
check_resource(
    struct moldau_client *client, enum moldau_resource resource, const char *name, int32_t *node_id)
{
    char *end;
    *node_id = -1;
    if (name == NULL)
        return public_fail(client, MOLDAU_ERR_INVALID, 0, "no name of a resource");
    switch (resource) {
    case MOLDAU_RESOURCE_TOPIC: return public_check_topic(client, name);
    case MOLDAU_RESOURCE_GROUP: return public_check_name(client, "group", name);
    case MOLDAU_RESOURCE_BROKER: break;
    default:
        return public_fail(client, MOLDAU_ERR_INVALID, 0, "no kind of resource: %d", (int)resource);
    }
    if (name[0] == '\0')
        return MOLDAU_OK;
    long id = strtol(name, &end, 10);
    if (*end != '\0' || id < 0 || id > INT32_MAX)
        return public_fail(
            client, MOLDAU_ERR_INVALID, 0, "a broker is a number, not '%.100s'", name);
    *node_id = (int32_t)id;
    return MOLDAU_OK;
}

static const void *
ask_resource(struct public_ask *ask, int32_t node_id, int16_t key, const void *request)
{
    if (node_id >= 0) {
        ask->call.node_id = node_id;
        ask->err = public_ask_metadata(ask, NULL);
        if (ask->err != ERR_OK)
            return NULL;
    }
    return public_ask_send(
        ask, node_id >= 0 ? CLIENT_TARGET_NODE : CLIENT_TARGET_ANY, key, request);
}

static const char *
source_name(int8_t source)
{
    static const char *const names[] = {"unknown", "topic", "broker", "all brokers", "file",
        "default", "broker logger", "client metrics", "group"};
    return source >= 0 && source < (int)COUNT_OF(names) ? names[source] : "unknown";
}

static enum moldau_err
keep_configs(struct moldau_client *client,
    const struct proto_describe_configs_response_describe_configs_result *from,
    struct moldau_result **out)
{
    struct moldau_result *result = NULL;
    size_t count = from->configs.count > 0 ? (size_t)from->configs.count : 0;
    enum err err = public_result_new(PUBLIC_CONFIGS, count, &result);
    for (size_t i = 0; err == ERR_OK && i < count; i++) {
        const struct proto_describe_configs_response_describe_configs_resource_result *one =
            &from->configs.items[i];
        struct moldau_config *config = public_result_add(result, sizeof *config);
        if (config == NULL)
            break;
        config->name = public_result_text_or_empty(result, one->name);
        config->value = one->is_sensitive ? NULL : public_result_text(result, one->value);
        config->source = source_name(one->config_source);
        config->read_only = one->read_only;
        config->sensitive = one->is_sensitive;
    }
    return public_result_finish(client, MOLDAU_OK, result, out);
}

enum moldau_err
moldau_config_describe(struct moldau_client *client, enum moldau_resource resource,
    const char *name, int64_t timeout_ms, struct moldau_result **out)
{
    struct proto_describe_configs_request_describe_configs_resource asked = {0};
    struct proto_describe_configs_request request;
    const struct proto_describe_configs_response *response;
    struct str message = STR_NULL;
    struct public_ask ask;
    int32_t node_id;
    int16_t code;
    if (out == NULL)
        return MOLDAU_ERR_INVALID;
    enum moldau_err err = public_enter(client);
    if (err == MOLDAU_OK)
        err = check_resource(client, resource, name, &node_id);
    if (err == MOLDAU_OK)
        err = public_ask_begin(&ask, client, timeout_ms);
    if (err != MOLDAU_OK)
        return err;
    asked.resource_type = (int8_t)resource;
    asked.resource_name = str_of(name);
    asked.configuration_keys.count = -1;
    proto_init(&proto_describe_configs_request_schema, &request);
    request.resources.items = &asked;
    request.resources.count = 1;
    do {
        response = ask_resource(&ask, node_id, PROTO_DESCRIBE_CONFIGS_REQUEST_KEY, &request);
        code = PROTO_ERROR_UNKNOWN_SERVER_ERROR;
        if (response != NULL && response->results.count == 1) {
            code = response->results.items[0].error_code;
            message = response->results.items[0].error_message;
        }
    } while (public_ask_again(&ask, code));
    err = MOLDAU_OK;
    if (response != NULL && code == 0)
        err = keep_configs(client, &response->results.items[0], out);
    enum moldau_err asked_err = public_ask_end(&ask, name, code, message);
    return asked_err != MOLDAU_OK ? asked_err : err;
}

static enum moldau_err
fill_settings(struct moldau_client *client, const struct moldau_setting *settings, size_t count,
    struct proto_incremental_alter_configs_request_alter_configs_resource *asked)
{
    enum moldau_err err = check_count(client, settings, count);
    for (size_t i = 0; err == MOLDAU_OK && i < count; i++)
        err = public_check_name(client, "setting", settings[i].name);
    if (err != MOLDAU_OK)
        return err;
    asked->configs.items = mem_calloc(count + 1, sizeof *asked->configs.items);
    if (asked->configs.items == NULL)
        return public_fail_err(client, ERR_NOMEM);
    asked->configs.count = (int32_t)count;
    for (size_t i = 0; i < count; i++) {
        asked->configs.items[i].name = str_of(settings[i].name);
        asked->configs.items[i].value = str_of(settings[i].value);
        asked->configs.items[i].config_operation =
            settings[i].value != NULL ? OPERATION_SET : OPERATION_DELETE;
    }
    return MOLDAU_OK;
}

enum moldau_err
moldau_config_alter(struct moldau_client *client, enum moldau_resource resource, const char *name,
    const struct moldau_setting *settings, size_t count, int64_t timeout_ms)
{
    struct proto_incremental_alter_configs_request_alter_configs_resource asked = {0};
    struct proto_incremental_alter_configs_request request;
    const struct proto_incremental_alter_configs_response *response;
    struct str message = STR_NULL;
    struct public_ask ask;
    int32_t node_id;
    int16_t code;
    enum moldau_err err = public_enter(client);
    if (err == MOLDAU_OK)
        err = check_resource(client, resource, name, &node_id);
    if (err == MOLDAU_OK)
        err = fill_settings(client, settings, count, &asked);
    if (err != MOLDAU_OK)
        return err;
    err = public_ask_begin(&ask, client, timeout_ms);
    ASSERT(err == MOLDAU_OK); /* entered above */
    asked.resource_type = (int8_t)resource;
    asked.resource_name = str_of(name);
    proto_init(&proto_incremental_alter_configs_request_schema, &request);
    request.resources.items = &asked;
    request.resources.count = 1;
    do {
        response =
            ask_resource(&ask, node_id, PROTO_INCREMENTAL_ALTER_CONFIGS_REQUEST_KEY, &request);
        code = PROTO_ERROR_UNKNOWN_SERVER_ERROR;
        if (response != NULL && response->responses.count == 1) {
            code = response->responses.items[0].error_code;
            message = response->responses.items[0].error_message;
        }
    } while (public_ask_again(&ask, code));
    mem_free(asked.configs.items);
    return public_ask_end(&ask, name, code, message);
}
