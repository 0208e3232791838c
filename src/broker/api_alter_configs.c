/* AlterConfigs (33): replaces all overrides of a resource.
 *
 * The controller decides, but for what concerns one broker only: its own resource must be asked of
 * it, and its logger is changed at once. What is refused or done here is left out of the request
 * that goes to the controller, and added to its answer. */
#include "broker/broker.h"
#include "broker/config_resource.h"
#include "broker/err_map.h"
#include "proto/api_keys.h"
#include "proto/alter_configs_request.h"
#include "proto/alter_configs_response.h"
#include "proto/error_codes.h"

/* Short names: the generated ones are longer than a line. */
typedef struct proto_alter_configs_request_alter_configs_resource resource_in;
typedef struct proto_alter_configs_response_alter_configs_resource_response result_out;

/* In the request's arena. */
struct split {
    struct proto_alter_configs_request forward; /* for the controller */
    result_out *here;                           /* room for all */
    int32_t here_count;
};

static void
result_set(result_out *out, const resource_in *resource, enum proto_error code, struct str why)
{
    proto_init(&proto_alter_configs_response_alter_configs_resource_response_schema, out);
    out->resource_type = resource->resource_type;
    out->resource_name = resource->resource_name;
    out->error_code = (int16_t)code;
    out->error_message = code == PROTO_ERROR_NONE ? STR_NULL : why;
}

/* True: settled here, with *code. */
static bool
settle(struct broker_req *req, const resource_in *resource, enum proto_error *code, struct str *why)
{
    if (resource->resource_type != META_RESOURCE_BROKER || resource->resource_name.len == 0)
        return false;
    *code = PROTO_ERROR_INVALID_REQUEST;
    return !broker_resource_is_here(req, resource->resource_name, false, why);
}

static void
answered(struct broker_req *req, enum err err, void *response_of_controller)
{
    struct proto_alter_configs_response *theirs = response_of_controller, response;
    struct split *split = req->state;
    struct str why = STR_NULL;
    enum proto_error code = broker_code_of_controller(err);
    int32_t count = split->here_count;

    proto_init(&proto_alter_configs_response_schema, &response);
    int32_t more = err == ERR_OK ? theirs->responses.count : split->forward.resources.count;
    result_out *outs = arena_calloc(req->arena, (size_t)(count + more), sizeof *outs);
    if (outs == NULL) {
        broker_req_close(req, "out of memory");
        return;
    }
    if (count > 0)
        memcpy(outs, split->here, (size_t)count * sizeof *outs);
    if (err != ERR_OK)
        why = str_of(proto_error_text((int16_t)code));
    for (int32_t i = 0; i < more; i++) {
        if (err == ERR_OK)
            outs[count + i] = theirs->responses.items[i];
        else
            result_set(&outs[count + i], &split->forward.resources.items[i], code, why);
    }
    response.responses.items = outs;
    response.responses.count = count + more;
    broker_req_reply(req, &response);
}

static void
handle(struct broker_req *req)
{
    const struct proto_alter_configs_request *msg = req->msg;
    size_t count = (size_t)msg->resources.count;
    struct split *split = arena_alloc(req->arena, sizeof *split);
    resource_in *forward = arena_calloc(req->arena, count, sizeof *forward);
    result_out *here = arena_calloc(req->arena, count, sizeof *here);
    if (split == NULL || forward == NULL || here == NULL) {
        broker_req_close(req, "out of memory");
        return;
    }
    *split = (struct split){.forward = *msg, .here = here};
    split->forward.resources.items = forward;
    split->forward.resources.count = 0;
    for (size_t i = 0; i < count; i++) {
        const resource_in *resource = &msg->resources.items[i];
        enum proto_error code = PROTO_ERROR_NONE;
        struct str why = STR_NULL;
        if (settle(req, resource, &code, &why))
            result_set(&here[split->here_count++], resource, code, why);
        else
            forward[split->forward.resources.count++] = *resource;
    }
    req->state = split;
    if (split->forward.resources.count > 0) {
        broker_ask_controller(req, req->api->key, req->version, &split->forward, answered);
        return;
    }
    struct proto_alter_configs_response empty;
    proto_init(&proto_alter_configs_response_schema, &empty);
    answered(req, ERR_OK, &empty);
}

const struct broker_api broker_api_alter_configs = {
    .key = PROTO_API_ALTER_CONFIGS,
    .version_min = PROTO_ALTER_CONFIGS_REQUEST_VERSION_MIN,
    .version_max = PROTO_ALTER_CONFIGS_REQUEST_VERSION_MAX,
    .handle = handle,
};
