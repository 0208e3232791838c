/* AlterConfigs (33): replaces all overrides of a resource. For the broker, the change that sets
 * each key; see config_alter.h. */
#include "broker/broker.h"
#include "broker/config_alter.h"
#include "proto/alter_configs_request.h"
#include "proto/alter_configs_response.h"
#include "proto/api_keys.h"

/* Short names: the generated ones are longer than a line. */
typedef struct proto_alter_configs_request_alter_configs_resource resource_in;
typedef struct proto_alter_configs_response_alter_configs_resource_response result_out;

static const void *
forward(struct broker_req *req, const struct broker_config_alter *alter)
{
    const struct proto_alter_configs_request *msg = req->msg;
    struct proto_alter_configs_request *out = arena_alloc(req->arena, sizeof *out);
    resource_in *resources = arena_calloc(req->arena, (size_t)alter->count, sizeof *resources);
    if (out == NULL || resources == NULL)
        return NULL;
    *out = *msg;
    out->resources.items = resources;
    out->resources.count = 0;
    for (int32_t i = 0; i < alter->count; i++)
        if (!alter->targets[i].settled)
            resources[out->resources.count++] = msg->resources.items[i];
    return out;
}

static bool
result(const void *response, int32_t nth, enum proto_error *code, struct str *why)
{
    const struct proto_alter_configs_response *theirs = response;
    if (nth >= theirs->responses.count)
        return false;
    *code = (enum proto_error)theirs->responses.items[nth].error_code;
    *why = theirs->responses.items[nth].error_message;
    return true;
}

static void
reply(struct broker_req *req, const struct broker_config_alter *alter)
{
    struct proto_alter_configs_response response;
    result_out *outs = arena_calloc(req->arena, (size_t)alter->count, sizeof *outs);
    if (outs == NULL) {
        broker_req_close(req, "out of memory");
        return;
    }
    for (int32_t i = 0; i < alter->count; i++) {
        outs[i].resource_type = alter->targets[i].type;
        outs[i].resource_name = alter->targets[i].name;
        outs[i].error_code = (int16_t)alter->targets[i].code;
        outs[i].error_message = alter->targets[i].why;
    }
    proto_init(&proto_alter_configs_response_schema, &response);
    response.responses.items = outs;
    response.responses.count = alter->count;
    broker_req_reply(req, &response);
}

static enum err
read_resource(
    struct broker_req *req, const resource_in *resource, struct broker_config_target *target)
{
    enum err err = broker_config_target_init(
        req, target, resource->resource_type, resource->resource_name, resource->configs.count);
    for (int32_t i = 0; err == ERR_OK && i < target->count; i++)
        target->entries[i] = (struct broker_config_entry){.key = resource->configs.items[i].name,
            .op = BROKER_CONFIG_SET,
            .value = resource->configs.items[i].value};
    return err;
}

static void
handle(struct broker_req *req)
{
    const struct proto_alter_configs_request *msg = req->msg;
    struct broker_config_alter *alter = broker_config_alter_new(req, msg->resources.count);
    enum err err = alter == NULL ? ERR_NOMEM : ERR_OK;
    for (int32_t i = 0; err == ERR_OK && i < msg->resources.count; i++)
        err = read_resource(req, &msg->resources.items[i], &alter->targets[i]);
    if (err != ERR_OK) {
        broker_req_close(req, "out of memory");
        return;
    }
    alter->validate_only = msg->validate_only;
    alter->incremental = false;
    alter->forward = forward;
    alter->result = result;
    alter->reply = reply;
    broker_config_alter_run(req, alter);
}

const struct broker_api broker_api_alter_configs = {
    .key = PROTO_API_ALTER_CONFIGS,
    .version_min = PROTO_ALTER_CONFIGS_REQUEST_VERSION_MIN,
    .version_max = PROTO_ALTER_CONFIGS_REQUEST_VERSION_MAX,
    .handle = handle,
};
