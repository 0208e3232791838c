/* meta/controller_configs.c - IncrementalAlterConfigs and AlterConfigs (the whole replaced). Pure.
 */
#include <string.h>

#include "base/assert.h"
#include "meta/config_def.h"
#include "meta/controller_priv.h"
#include "proto/alter_configs_request.h"
#include "proto/alter_configs_response.h"
#include "proto/config_record.h"
#include "proto/incremental_alter_configs_request.h"
#include "proto/incremental_alter_configs_response.h"

enum { OP_SET = 0, OP_DELETE = 1, OP_APPEND = 2, OP_SUBTRACT = 3, WHY_SIZE = 256 };

struct verdict {
    enum proto_error error;
    struct str message;
};

/* That the resource can have configuration at all. */
static struct verdict
check_resource(const struct meta_op *op, int8_t type, struct str name)
{
    int64_t id;
    switch (type) {
    case META_RESOURCE_TOPIC:
        if (meta_image_topic(op->image, name) == NULL)
            return (struct verdict){PROTO_ERROR_UNKNOWN_TOPIC_OR_PARTITION,
                arena_printf(op->arena, "The topic '%.*s' does not exist.", STR_FMT(name))};
        return (struct verdict){PROTO_ERROR_NONE, STR_NULL};
    case META_RESOURCE_BROKER:
        if (name.len == 0)
            return (struct verdict){PROTO_ERROR_NONE, STR_NULL};
        if (!config_parse_i64(name, &id) || id < 0 || id > INT32_MAX)
            return (struct verdict){PROTO_ERROR_INVALID_REQUEST,
                arena_printf(op->arena, "'%.*s' is not the number of a broker.", STR_FMT(name))};
        return (struct verdict){PROTO_ERROR_NONE, STR_NULL};
    case META_RESOURCE_GROUP:
    case META_RESOURCE_CLIENT_METRICS:
        if (name.len == 0)
            return (struct verdict){
                PROTO_ERROR_INVALID_REQUEST, STR("The name of the resource must not be empty.")};
        return (struct verdict){PROTO_ERROR_NONE, STR_NULL};
    default:
        return (struct verdict){PROTO_ERROR_INVALID_REQUEST,
            arena_printf(op->arena, "Unexpected resource type %d.", (int)type)};
    }
}

static struct verdict
check_value(const struct meta_op *op, int8_t type, struct str key, struct str value)
{
    struct buf why;
    struct verdict verdict = {PROTO_ERROR_NONE, STR_NULL};
    buf_init(&why, WHY_SIZE);
    enum err err = op->ctl->rules->validate(op->ctl->rules->ctx, type, key, value, &why);
    if (err == ERR_NOTFOUND)
        verdict = (struct verdict){PROTO_ERROR_INVALID_CONFIG,
            arena_printf(op->arena, "Unknown config name: %.*s", STR_FMT(key))};
    else if (err != ERR_OK)
        verdict = (struct verdict){PROTO_ERROR_INVALID_CONFIG,
            arena_printf(op->arena, "Invalid value %.*s for configuration %.*s: %s", STR_FMT(value),
                STR_FMT(key), buf_z(&why))};
    buf_fini(&why);
    return verdict;
}

/* ---- lists ---- */

static bool
list_has(struct str list, struct str element)
{
    struct str one;
    while (config_list_next(&list, &one))
        if (str_eq(one, element))
            return true;
    return false;
}

/* The list with the elements of `change` added at the end, or taken out. */
static struct str
list_change(struct arena *arena, struct str list, struct str change, bool add)
{
    char *out = arena_alloc(arena, list.len + change.len + 2);
    size_t len = 0;
    struct str rest = list;
    struct str one;
    if (out == NULL)
        return STR_NULL;
    while (config_list_next(&rest, &one)) {
        if (!add && list_has(change, one))
            continue;
        if (len > 0)
            out[len++] = ',';
        memcpy(out + len, one.data, one.len);
        len += one.len;
    }
    rest = change;
    while (add && config_list_next(&rest, &one)) {
        if (list_has(list, one))
            continue;
        if (len > 0)
            out[len++] = ',';
        memcpy(out + len, one.data, one.len);
        len += one.len;
    }
    return (struct str){out, len};
}

/* What is in force for the resource now: APPEND and SUBTRACT start from it. */
static struct str
value_now(const struct meta_op *op, int8_t type, struct str name, struct str key)
{
    struct str value = meta_image_config(op->image, type, name, key);
    if (!str_is_null(value))
        return value;
    switch (type) {
    case META_RESOURCE_TOPIC:
        value = meta_config_topic(op->image, op->ctl->rules, op->ctl->node_id, name, key).value;
        break;
    case META_RESOURCE_BROKER:
        value = meta_config_broker(op->image, op->ctl->rules, op->ctl->node_id, key).value;
        break;
    default: value = op->ctl->rules->default_value(op->ctl->rules->ctx, type, key); break;
    }
    return str_is_null(value) ? STR("") : value;
}

/* ---- incremental ---- */

static struct verdict
change_one(const struct meta_op *op,
    const struct proto_incremental_alter_configs_request_alter_configs_resource *resource,
    const struct proto_incremental_alter_configs_request_alterable_config *config,
    struct str *value)
{
    const struct meta_config_rules *rules = op->ctl->rules;
    int8_t type = resource->resource_type;
    *value = STR_NULL;
    if (config->name.len == 0)
        return (struct verdict){
            PROTO_ERROR_INVALID_REQUEST, STR("The name of a key must not be empty.")};
    if (config->config_operation < OP_SET || config->config_operation > OP_SUBTRACT)
        return (struct verdict){PROTO_ERROR_INVALID_REQUEST,
            arena_printf(op->arena, "Unknown operation %d for key %.*s.",
                (int)config->config_operation, STR_FMT(config->name))};
    if (config->config_operation == OP_DELETE)
        return (struct verdict){PROTO_ERROR_NONE, STR_NULL};
    if (str_is_null(config->value))
        return (struct verdict){PROTO_ERROR_INVALID_REQUEST,
            arena_printf(op->arena, "Null value not supported for: %.*s", STR_FMT(config->name))};
    if (config->config_operation == OP_SET) {
        *value = config->value;
        return check_value(op, type, config->name, *value);
    }
    struct verdict known = check_value(op, type, config->name, STR_NULL);
    if (known.error != PROTO_ERROR_NONE)
        return known;
    if (!rules->is_list(rules->ctx, type, config->name))
        return (struct verdict){PROTO_ERROR_INVALID_CONFIG,
            arena_printf(op->arena, "Can't %s to key %.*s because its type is not LIST.",
                config->config_operation == OP_APPEND ? "APPEND" : "SUBTRACT",
                STR_FMT(config->name))};
    *value = list_change(op->arena, value_now(op, type, resource->resource_name, config->name),
        config->value, config->config_operation == OP_APPEND);
    if (str_is_null(*value))
        return (struct verdict){PROTO_ERROR_UNKNOWN_SERVER_ERROR, STR_NULL};
    return check_value(op, type, config->name, *value);
}

static void
add_config(struct meta_op *op, int8_t type, struct str resource, struct str key, struct str value)
{
    struct proto_config_record record = {
        .resource_type = type, .resource_name = resource, .name = key, .value = value};
    struct str now = meta_image_config(op->image, type, resource, key);
    bool same = str_is_null(now) == str_is_null(value) && str_eq(now, value);
    if (!same)
        meta_records_add(op->records, META_RECORD_CONFIG, 0, &proto_config_record_schema, &record);
}

static struct verdict
change_resource(struct meta_op *op,
    const struct proto_incremental_alter_configs_request_alter_configs_resource *resource,
    bool apply)
{
    struct verdict verdict = check_resource(op, resource->resource_type, resource->resource_name);
    struct str *values = arena_calloc(op->arena, (size_t)resource->configs.count, sizeof *values);
    if (values == NULL)
        return (struct verdict){PROTO_ERROR_UNKNOWN_SERVER_ERROR, STR_NULL};
    for (int32_t i = 0; verdict.error == PROTO_ERROR_NONE && i < resource->configs.count; i++) {
        for (int32_t j = 0; j < i; j++)
            if (str_eq(resource->configs.items[i].name, resource->configs.items[j].name))
                return (struct verdict){
                    PROTO_ERROR_INVALID_REQUEST, STR("Error due to duplicate config keys")};
        verdict = change_one(op, resource, &resource->configs.items[i], &values[i]);
    }
    for (int32_t i = 0; apply && verdict.error == PROTO_ERROR_NONE && i < resource->configs.count;
         i++)
        add_config(op, resource->resource_type, resource->resource_name,
            resource->configs.items[i].name, values[i]);
    return verdict;
}

enum err
meta_op_incremental_alter_configs(struct meta_op *op, void *response)
{
    const struct proto_incremental_alter_configs_request *request = op->req->msg;
    struct proto_incremental_alter_configs_response *answer = response;
    int32_t count = request->resources.count;
    answer->responses.items =
        arena_calloc(op->arena, (size_t)count, sizeof *answer->responses.items);
    if (answer->responses.items == NULL)
        return ERR_NOMEM;
    answer->responses.count = count;
    for (int32_t i = 0; i < count; i++) {
        const struct proto_incremental_alter_configs_request_alter_configs_resource *resource =
            &request->resources.items[i];
        bool twice = false;
        for (int32_t j = 0; j < count; j++)
            twice =
                twice ||
                (j != i && request->resources.items[j].resource_type == resource->resource_type &&
                    str_eq(request->resources.items[j].resource_name, resource->resource_name));
        struct verdict verdict = twice ? (struct verdict){PROTO_ERROR_INVALID_REQUEST,
                                             STR("Each resource must appear at most once.")}
                                       : change_resource(op, resource, !request->validate_only);
        answer->responses.items[i].resource_type = resource->resource_type;
        answer->responses.items[i].resource_name = resource->resource_name;
        answer->responses.items[i].error_code = (int16_t)verdict.error;
        answer->responses.items[i].error_message = verdict.message;
    }
    return ERR_OK;
}

/* ---- the whole replaced ---- */

static struct verdict
replace_resource(struct meta_op *op,
    const struct proto_alter_configs_request_alter_configs_resource *resource, bool apply)
{
    struct verdict verdict = check_resource(op, resource->resource_type, resource->resource_name);
    for (int32_t i = 0; verdict.error == PROTO_ERROR_NONE && i < resource->configs.count; i++) {
        if (str_is_null(resource->configs.items[i].value))
            return (struct verdict){PROTO_ERROR_INVALID_REQUEST,
                arena_printf(op->arena, "Null value not supported for: %.*s",
                    STR_FMT(resource->configs.items[i].name))};
        verdict = check_value(op, resource->resource_type, resource->configs.items[i].name,
            resource->configs.items[i].value);
    }
    if (verdict.error != PROTO_ERROR_NONE || !apply)
        return verdict;
    struct meta_config_entries old =
        meta_image_configs(op->image, resource->resource_type, resource->resource_name);
    for (int32_t i = 0; i < old.count; i++) {
        bool kept = false;
        for (int32_t j = 0; j < resource->configs.count; j++)
            kept = kept || str_eq(old.items[i].key, resource->configs.items[j].name);
        if (!kept)
            add_config(
                op, resource->resource_type, resource->resource_name, old.items[i].key, STR_NULL);
    }
    for (int32_t i = 0; i < resource->configs.count; i++)
        add_config(op, resource->resource_type, resource->resource_name,
            resource->configs.items[i].name, resource->configs.items[i].value);
    return verdict;
}

enum err
meta_op_alter_configs(struct meta_op *op, void *response)
{
    const struct proto_alter_configs_request *request = op->req->msg;
    struct proto_alter_configs_response *answer = response;
    int32_t count = request->resources.count;
    answer->responses.items =
        arena_calloc(op->arena, (size_t)count, sizeof *answer->responses.items);
    if (answer->responses.items == NULL)
        return ERR_NOMEM;
    answer->responses.count = count;
    for (int32_t i = 0; i < count; i++) {
        const struct proto_alter_configs_request_alter_configs_resource *resource =
            &request->resources.items[i];
        bool twice = false;
        for (int32_t j = 0; j < count; j++)
            twice =
                twice ||
                (j != i && request->resources.items[j].resource_type == resource->resource_type &&
                    str_eq(request->resources.items[j].resource_name, resource->resource_name));
        struct verdict verdict = twice ? (struct verdict){PROTO_ERROR_INVALID_REQUEST,
                                             STR("Each resource must appear at most once.")}
                                       : replace_resource(op, resource, !request->validate_only);
        answer->responses.items[i].resource_type = resource->resource_type;
        answer->responses.items[i].resource_name = resource->resource_name;
        answer->responses.items[i].error_code = (int16_t)verdict.error;
        answer->responses.items[i].error_message = verdict.message;
    }
    return ERR_OK;
}
