/* meta/controller_configs.c - IncrementalAlterConfigs; and AlterConfigs, which replaces the whole:
 * it is the change that sets what is named and deletes the rest. Pure.
 *
 * A resource changes as a whole or not at all. What a value may be is judged in
 * controller_config_checks.c; a broker's keys by that broker before it asks. */
#include <string.h>

#include "base/assert.h"
#include "meta/config_def.h"
#include "meta/controller_priv.h"
#include "proto/alter_configs_request.h"
#include "proto/alter_configs_response.h"
#include "proto/clear_elr_record.h"
#include "proto/config_record.h"
#include "proto/incremental_alter_configs_request.h"
#include "proto/incremental_alter_configs_response.h"

enum { OP_SET = 0, OP_DELETE = 1, OP_APPEND = 2, OP_SUBTRACT = 3 };

static const char MIN_ISR[] = "min.insync.replicas";
static const struct meta_verdict FINE = {PROTO_ERROR_NONE, {NULL, 0}};
static const struct meta_verdict NO_MEMORY = {PROTO_ERROR_UNKNOWN_SERVER_ERROR, {NULL, 0}};

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

static void
list_put(char *out, size_t *len, struct str element)
{
    if (*len > 0)
        out[(*len)++] = ',';
    memcpy(out + *len, element.data, element.len);
    *len += element.len;
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
    while (config_list_next(&rest, &one))
        if (add || !list_has(change, one))
            list_put(out, &len, one);
    rest = change;
    while (add && config_list_next(&rest, &one))
        if (!list_has((struct str){out, len}, one))
            list_put(out, &len, one);
    return (struct str){out, len};
}

/* ---- one key ---- */

/* What the key's override will be: change->result. */
static struct meta_verdict
work_out(const struct meta_op *op, const struct meta_config_target *target,
    struct meta_config_change *change)
{
    const struct meta_config_rules *rules = op->ctl->rules;
    bool add = change->op == OP_APPEND;
    change->result = STR_NULL;
    if (change->op < OP_SET || change->op > OP_SUBTRACT)
        return (struct meta_verdict){PROTO_ERROR_INVALID_REQUEST,
            arena_printf(op->arena, "Unknown operations type %d", (int)change->op)};
    if (change->op == OP_DELETE)
        return FINE;
    if (str_is_null(change->value))
        return (struct meta_verdict){PROTO_ERROR_INVALID_REQUEST,
            arena_printf(op->arena, "Null value not supported for : %.*s", STR_FMT(change->key))};
    change->result = change->value;
    if (change->op == OP_SET)
        return FINE;
    if (!rules->is_list(rules->ctx, target->type, change->key))
        return (struct meta_verdict){PROTO_ERROR_INVALID_CONFIG,
            arena_printf(op->arena, "Can't %s to key %.*s because its type is not LIST.",
                add ? "APPEND" : "SUBTRACT", STR_FMT(change->key))};
    struct str now = meta_image_config(op->image, target->type, target->name, change->key);
    if (str_is_null(now))
        now = rules->default_value(rules->ctx, target->type, change->key);
    change->result = list_change(op->arena, str_is_null(now) ? STR("") : now, change->value, add);
    return str_is_null(change->result) ? NO_MEMORY : FINE;
}

static struct meta_verdict
work_out_all(const struct meta_op *op, const struct meta_config_target *target)
{
    struct meta_name *names;
    if (meta_names_new(op->arena, target->count, &names) != ERR_OK)
        return NO_MEMORY;
    for (int32_t i = 0; i < target->count; i++)
        names[i] = (struct meta_name){.name = target->changes[i].key, .index = i};
    meta_names_mark(names, target->count);
    for (int32_t i = 0; i < target->count; i++)
        if (names[i].times > 1)
            return (struct meta_verdict){
                PROTO_ERROR_INVALID_REQUEST, STR("Error due to duplicate config keys")};
    for (int32_t i = 0; i < target->count; i++) {
        struct meta_verdict verdict = work_out(op, target, &target->changes[i]);
        if (verdict.error != PROTO_ERROR_NONE)
            return verdict;
    }
    return FINE;
}

/* While leaders are judged by min.insync.replicas (KIP-966), the cluster has one value for all
 * brokers. */
static struct meta_verdict
check_min_isr(const struct meta_op *op, const struct meta_config_target *target)
{
    if (target->type != META_RESOURCE_BROKER ||
        meta_image_feature(op->image, STR("eligible.leader.replicas.version")) < 1)
        return FINE;
    for (int32_t i = 0; i < target->count; i++) {
        const struct meta_config_change *change = &target->changes[i];
        if (!str_eq_z(change->key, MIN_ISR))
            continue;
        if (target->name.len > 0)
            return (struct meta_verdict){PROTO_ERROR_INVALID_CONFIG,
                STR("Broker-level min.insync.replicas cannot be altered while ELR is enabled.")};
        if (str_is_null(change->result))
            return (struct meta_verdict){PROTO_ERROR_INVALID_CONFIG,
                STR("Cluster-level min.insync.replicas cannot be removed while ELR is enabled.")};
    }
    return FINE;
}

/* ---- applying ---- */

/* Another min.insync.replicas: who was eligible under the old one may not be under the new. */
static void
clear_elr(struct meta_op *op, const struct meta_config_target *target)
{
    struct proto_clear_elr_record record;
    if (meta_image_feature(op->image, STR("eligible.leader.replicas.version")) < 1)
        return;
    proto_init(&proto_clear_elr_record_schema, &record);
    if (target->type == META_RESOURCE_TOPIC)
        record.topic_name = target->name;
    meta_records_add(
        op->records, META_RECORD_CLEAR_ELR, 0, &proto_clear_elr_record_schema, &record);
}

static void
apply(struct meta_op *op, const struct meta_config_target *target)
{
    bool min_isr = false;
    for (int32_t i = 0; i < target->count; i++) {
        const struct meta_config_change *change = &target->changes[i];
        struct proto_config_record record = {.resource_type = target->type,
            .resource_name = target->name,
            .name = change->key,
            .value = change->result};
        struct str now = meta_image_config(op->image, target->type, target->name, change->key);
        bool same = str_is_null(now) == str_is_null(record.value) && str_eq(now, record.value);
        /* A broker's key set again has the broker read again what it names. */
        if (same && target->type != META_RESOURCE_BROKER)
            continue;
        meta_records_add(op->records, META_RECORD_CONFIG, 0, &proto_config_record_schema, &record);
        min_isr = min_isr || (!same && str_eq_z(change->key, MIN_ISR));
    }
    if (min_isr && (target->type == META_RESOURCE_TOPIC || target->type == META_RESOURCE_BROKER))
        clear_elr(op, target);
}

static struct meta_verdict
change_resource(struct meta_op *op, const struct meta_config_target *target, bool dry)
{
    struct meta_verdict verdict = work_out_all(op, target);
    if (verdict.error == PROTO_ERROR_NONE)
        verdict = check_min_isr(op, target);
    if (verdict.error == PROTO_ERROR_NONE)
        verdict = meta_check_configs(op, target);
    if (verdict.error == PROTO_ERROR_NONE && !dry)
        apply(op, target);
    return verdict;
}

/* ---- requests ---- */

/* Marks the resources that a request names more than once. */
static enum err
mark_twice(struct meta_op *op, const struct meta_config_target *targets, int32_t count,
    struct meta_name **out)
{
    enum err err = meta_names_new(op->arena, count, out);
    if (err != ERR_OK)
        return err;
    for (int32_t i = 0; i < count; i++)
        (*out)[i] =
            (struct meta_name){.kind = targets[i].type, .name = targets[i].name, .index = i};
    meta_names_mark(*out, count);
    return ERR_OK;
}

/* verdicts: one for each target. */
static enum err
change_all(struct meta_op *op, const struct meta_config_target *targets, int32_t count, bool dry,
    struct meta_verdict **verdicts)
{
    struct meta_name *names;
    struct meta_verdict *out = arena_calloc(op->arena, (size_t)count, sizeof *out);
    enum err err = out == NULL ? ERR_NOMEM : mark_twice(op, targets, count, &names);
    if (err != ERR_OK)
        return err;
    for (int32_t i = 0; i < count; i++)
        out[i] = names[i].times > 1 ? (struct meta_verdict){PROTO_ERROR_INVALID_REQUEST,
                                          STR("Each resource must appear at most once.")}
                                    : change_resource(op, &targets[i], dry);
    *verdicts = out;
    return ERR_OK;
}

enum err
meta_op_incremental_alter_configs(struct meta_op *op, void *response)
{
    const struct proto_incremental_alter_configs_request *request = op->req->msg;
    struct proto_incremental_alter_configs_response *answer = response;
    int32_t count = request->resources.count;
    struct meta_verdict *verdicts;
    struct meta_config_target *targets = arena_calloc(op->arena, (size_t)count, sizeof *targets);
    answer->responses.items =
        arena_calloc(op->arena, (size_t)count, sizeof *answer->responses.items);
    if (targets == NULL || answer->responses.items == NULL)
        return ERR_NOMEM;
    for (int32_t i = 0; i < count; i++) {
        int32_t n = request->resources.items[i].configs.count;
        targets[i] = (struct meta_config_target){request->resources.items[i].resource_type,
            request->resources.items[i].resource_name, n,
            arena_calloc(op->arena, (size_t)n, sizeof *targets[i].changes)};
        if (targets[i].changes == NULL)
            return ERR_NOMEM;
        for (int32_t j = 0; j < n; j++)
            targets[i].changes[j] = (struct meta_config_change){
                .key = request->resources.items[i].configs.items[j].name,
                .op = request->resources.items[i].configs.items[j].config_operation,
                .value = request->resources.items[i].configs.items[j].value};
    }
    enum err err = change_all(op, targets, count, request->validate_only, &verdicts);
    if (err != ERR_OK)
        return err;
    answer->responses.count = count;
    for (int32_t i = 0; i < count; i++) {
        answer->responses.items[i].resource_type = targets[i].type;
        answer->responses.items[i].resource_name = targets[i].name;
        answer->responses.items[i].error_code = (int16_t)verdicts[i].error;
        answer->responses.items[i].error_message = verdicts[i].message;
    }
    return ERR_OK;
}

/* Sets what the resource names, and deletes its other overrides. */
static enum err
replacement(struct meta_op *op,
    const struct proto_alter_configs_request_alter_configs_resource *resource,
    struct meta_config_target *out)
{
    struct meta_config_entries old =
        meta_image_configs(op->image, resource->resource_type, resource->resource_name);
    int32_t named = resource->configs.count;
    struct meta_name *names;
    *out = (struct meta_config_target){resource->resource_type, resource->resource_name, named,
        arena_calloc(op->arena, (size_t)named + (size_t)old.count, sizeof *out->changes)};
    if (out->changes == NULL || meta_names_new(op->arena, named + old.count, &names) != ERR_OK)
        return ERR_NOMEM;
    for (int32_t i = 0; i < named; i++) {
        out->changes[i] = (struct meta_config_change){.key = resource->configs.items[i].name,
            .op = OP_SET,
            .value = resource->configs.items[i].value};
        names[i] = (struct meta_name){.name = resource->configs.items[i].name, .index = i};
    }
    for (int32_t i = 0; i < old.count; i++)
        names[named + i] = (struct meta_name){.name = old.items[i].key, .index = named + i};
    meta_names_mark(names, named + old.count);
    for (int32_t i = 0; i < old.count; i++)
        if (names[named + i].first >= named)
            out->changes[out->count++] =
                (struct meta_config_change){.key = old.items[i].key, .op = OP_DELETE};
    return ERR_OK;
}

enum err
meta_op_alter_configs(struct meta_op *op, void *response)
{
    const struct proto_alter_configs_request *request = op->req->msg;
    struct proto_alter_configs_response *answer = response;
    int32_t count = request->resources.count;
    struct meta_verdict *verdicts;
    struct meta_config_target *targets = arena_calloc(op->arena, (size_t)count, sizeof *targets);
    answer->responses.items =
        arena_calloc(op->arena, (size_t)count, sizeof *answer->responses.items);
    enum err err = targets == NULL || answer->responses.items == NULL ? ERR_NOMEM : ERR_OK;
    for (int32_t i = 0; err == ERR_OK && i < count; i++)
        err = replacement(op, &request->resources.items[i], &targets[i]);
    if (err == ERR_OK)
        err = change_all(op, targets, count, request->validate_only, &verdicts);
    if (err != ERR_OK)
        return err;
    answer->responses.count = count;
    for (int32_t i = 0; i < count; i++) {
        answer->responses.items[i].resource_type = targets[i].type;
        answer->responses.items[i].resource_name = targets[i].name;
        answer->responses.items[i].error_code = (int16_t)verdicts[i].error;
        answer->responses.items[i].error_message = verdicts[i].message;
    }
    return ERR_OK;
}
