/* meta/controller_quotas.c - AlterClientQuotas (KIP-546). Pure.
 *
 * An entity changes as a whole or not at all. What differs from Kafka: the name of an "ip" is an
 * address or "localhost", not a name to look up. */
#include <math.h>
#include <string.h>

#include "base/assert.h"
#include "base/ip_text.h"
#include "base/limits.h"
#include "meta/controller_priv.h"
#include "meta/image_priv.h"
#include "meta/quota_keys.h"
#include "proto/alter_client_quotas_request.h"
#include "proto/alter_client_quotas_response.h"
#include "proto/client_quota_record.h"

typedef struct proto_alter_client_quotas_request_entry_data entry_in;
typedef struct proto_alter_client_quotas_request_op_data op_in;
typedef struct proto_alter_client_quotas_response_entry_data entry_out;
typedef struct proto_alter_client_quotas_response_entity_data part_out;
typedef struct proto_client_quota_record_entity_data part_record;

/* How far a whole number may be from one. */
static const double FRACTION_MAX = 1e-6;
static const double LONG_MAX_AS_DOUBLE = 9223372036854775807.0;

static const struct meta_verdict FINE = {PROTO_ERROR_NONE, {NULL, 0}};

/* Where Kafka shows a type: in the order of its hash map. */
static const char *const types_shown[] = {"client-id", "user", "ip"};

/* An entity as its request says it: each type once, the last one named holds. */
struct entity {
    struct meta_quota_part parts[META_QUOTA_PARTS_MAX]; /* as Kafka shows them */
    int32_t count;
};

static struct meta_verdict
refuse(struct str why)
{
    return (struct meta_verdict){PROTO_ERROR_INVALID_REQUEST, why};
}

/* ---- entities ---- */

static size_t
type_rank(struct str type)
{
    size_t rank = 0;
    while (rank < COUNT_OF(types_shown) && !str_eq_z(type, types_shown[rank]))
        rank++;
    return rank;
}

/* More types than any entity has are left out: one of the others is wrong already. */
static void
entity_read(const entry_in *entry, struct entity *out)
{
    out->count = 0;
    for (int32_t i = 0; i < entry->entity.count; i++) {
        struct meta_quota_part part = {
            entry->entity.items[i].entity_type, entry->entity.items[i].entity_name};
        int32_t at = 0;
        while (at < out->count && !str_eq(out->parts[at].type, part.type))
            at++;
        if (at < out->count) {
            out->parts[at].name = part.name;
            continue;
        }
        if (out->count == META_QUOTA_PARTS_MAX)
            continue;
        while (at > 0 && type_rank(out->parts[at - 1].type) > type_rank(part.type)) {
            out->parts[at] = out->parts[at - 1];
            at--;
        }
        out->parts[at] = part;
        out->count++;
    }
}

static const struct meta_quota_part *
entity_part(const struct entity *entity, const char *type)
{
    for (int32_t i = 0; i < entity->count; i++)
        if (str_eq_z(entity->parts[i].type, type))
            return &entity->parts[i];
    return NULL;
}

/* Its parts with their lengths: equal for equal entities only. Null out of memory. */
static struct str
entity_identity(struct arena *arena, const struct entity *entity)
{
    size_t size = 1;
    for (int32_t i = 0; i < entity->count; i++)
        size += entity->parts[i].type.len + entity->parts[i].name.len + 2 * sizeof(size_t) + 1;
    char *text = arena_alloc(arena, size);
    char *at = text;
    if (text == NULL)
        return STR_NULL;
    for (int32_t i = 0; i < entity->count; i++) {
        const struct meta_quota_part *part = &entity->parts[i];
        memcpy(at, &part->type.len, sizeof part->type.len);
        memcpy(at + sizeof(size_t), &part->name.len, sizeof part->name.len);
        at += 2 * sizeof(size_t);
        *at++ = (char)str_is_null(part->name);
        memcpy(at, part->type.data, part->type.len);
        at += part->type.len;
        if (!str_is_null(part->name))
            memcpy(at, part->name.data, part->name.len);
        at += part->name.len;
    }
    return (struct str){text, (size_t)(at - text)};
}

static struct meta_verdict
entity_is_twice(struct arena *arena, const struct entity *entity)
{
    struct str list = STR("");
    for (int32_t i = 0; i < entity->count; i++) {
        struct str name = entity->parts[i].name;
        list = arena_printf(arena, "%.*s%s%.*s=%.*s", STR_FMT(list), i > 0 ? ", " : "",
            STR_FMT(entity->parts[i].type), STR_FMT(str_is_null(name) ? STR("null") : name));
    }
    return refuse(arena_printf(
        arena, "Ignoring duplicate entity ClientQuotaEntity(entries={%.*s})", STR_FMT(list)));
}

static bool
ip_is_address(struct str name)
{
    uint8_t address[IP_BYTES];
    return str_is_null(name) || str_eq_z(name, "localhost") || ip_text_parse(name, address);
}

static struct meta_verdict
entity_check(const struct meta_op *op, const struct entity *entity)
{
    const struct meta_quota_part *ip = entity_part(entity, META_QUOTA_IP);
    if (entity->count == 0)
        return refuse(STR("Invalid empty client quota entity"));
    for (int32_t i = 0; i < entity->count; i++) {
        struct str type = entity->parts[i].type, name = entity->parts[i].name;
        if (type_rank(type) == COUNT_OF(types_shown))
            return refuse(
                arena_printf(op->arena, "Unhandled client quota entity type: %.*s", STR_FMT(type)));
        if (!str_is_null(name) && name.len == 0)
            return refuse(arena_printf(op->arena, "Empty %.*s not supported", STR_FMT(type)));
    }
    if (ip != NULL && entity->count > 1)
        return refuse(STR("Invalid quota entity combination, IP entity shouldnot be combined with "
                          "User or ClientId"));
    if (ip != NULL && !ip_is_address(ip->name))
        return refuse(arena_printf(
            op->arena, "%.*s is not a valid IP or resolvable host.", STR_FMT(ip->name)));
    return FINE;
}

/* ---- values ---- */

static struct meta_verdict
value_check(const struct meta_op *op, const struct entity *entity, const op_in *change)
{
    bool of_ip = entity_part(entity, META_QUOTA_IP) != NULL;
    const struct meta_quota_key_def *def = meta_quota_key_find(change->key);
    double value = change->value;
    struct arena *arena = op->arena;
    if (def == NULL || def->of_ip != of_ip)
        return refuse(arena_printf(arena, "Invalid configuration key %.*s", STR_FMT(change->key)));
    if (value <= 0)
        return refuse(arena_printf(arena, "Quota %s must be greater than 0", def->name));
    if (def->kind == META_QUOTA_DOUBLE)
        return FINE;
    bool is_int = def->kind == META_QUOTA_INT;
    if (value > (is_int ? (double)INT32_MAX : LONG_MAX_AS_DOUBLE))
        return refuse(arena_printf(arena, "Proposed value for %s is too large for %s.", def->name,
            is_int ? "an INT" : "a LONG"));
    if (value - trunc(value) > FRACTION_MAX)
        return refuse(arena_printf(arena, "%s cannot be a fractional value.", def->name));
    return FINE;
}

static struct meta_verdict
values_check(const struct meta_op *op, const struct entity *entity, const entry_in *entry)
{
    struct meta_verdict verdict = FINE;
    for (int32_t i = 0; verdict.error == PROTO_ERROR_NONE && i < entry->ops.count; i++)
        if (!entry->ops.items[i].remove)
            verdict = value_check(op, entity, &entry->ops.items[i]);
    return verdict;
}

/* NaN is itself. */
static bool
double_same(double a, double b)
{
    return (isnan(a) && isnan(b)) || (a <= b && a >= b);
}

static enum err
apply(struct meta_op *op, const struct entity *entity, const entry_in *entry)
{
    struct meta_quota_part sorted[META_QUOTA_PARTS_MAX];
    part_record *parts = arena_calloc(op->arena, (size_t)entity->count, sizeof *parts);
    if (parts == NULL)
        return ERR_NOMEM;
    for (int32_t i = 0; i < entity->count; i++) {
        int32_t at = i;
        parts[i].entity_type = entity->parts[i].type;
        parts[i].entity_name = entity->parts[i].name;
        for (; at > 0 && str_cmp(sorted[at - 1].type, entity->parts[i].type) > 0; at--)
            sorted[at] = sorted[at - 1];
        sorted[at] = entity->parts[i];
    }
    const struct meta_quota *now = meta_image_quota(op->image, sorted, entity->count);
    for (int32_t i = 0; i < entry->ops.count; i++) {
        const op_in *change = &entry->ops.items[i];
        const double *value = now == NULL ? NULL : meta_quota_value(now, change->key);
        if (change->remove ? value == NULL : value != NULL && double_same(*value, change->value))
            continue;
        struct proto_client_quota_record record = {.entity = {parts, entity->count},
            .key = change->key,
            .value = change->remove ? 0 : change->value,
            .remove = change->remove};
        meta_records_add(
            op->records, META_RECORD_CLIENT_QUOTA, 0, &proto_client_quota_record_schema, &record);
    }
    return ERR_OK;
}

/* ---- the request ---- */

static enum err
a_key_is_twice(struct meta_op *op, const entry_in *entry, bool *out)
{
    struct meta_name *names;
    enum err err = meta_names_new(op->arena, entry->ops.count, &names);
    if (err != ERR_OK)
        return err;
    for (int32_t i = 0; i < entry->ops.count; i++)
        names[i] = (struct meta_name){.name = entry->ops.items[i].key, .index = i};
    meta_names_mark(names, entry->ops.count);
    *out = false;
    for (int32_t i = 0; i < entry->ops.count; i++)
        *out = *out || names[i].times > 1;
    return ERR_OK;
}

static enum err
change_entity(struct meta_op *op, const struct entity *entity, const entry_in *entry,
    struct meta_verdict *verdict)
{
    const struct proto_alter_client_quotas_request *request = op->req->msg;
    bool twice;
    enum err err = a_key_is_twice(op, entry, &twice);
    if (err != ERR_OK)
        return err;
    *verdict = twice ? entity_is_twice(op->arena, entity) : entity_check(op, entity);
    if (verdict->error == PROTO_ERROR_NONE)
        *verdict = values_check(op, entity, entry);
    if (verdict->error != PROTO_ERROR_NONE || request->validate_only)
        return ERR_OK;
    return apply(op, entity, entry);
}

static enum err
answer_entity(
    struct meta_op *op, const struct entity *entity, struct meta_verdict verdict, entry_out *out)
{
    part_out *parts = arena_calloc(op->arena, (size_t)entity->count, sizeof *parts);
    if (parts == NULL)
        return ERR_NOMEM;
    for (int32_t i = 0; i < entity->count; i++) {
        parts[i].entity_type = entity->parts[i].type;
        parts[i].entity_name = entity->parts[i].name;
    }
    out->error_code = (int16_t)verdict.error;
    out->error_message = verdict.message;
    out->entity.items = parts;
    out->entity.count = entity->count;
    return ERR_OK;
}

/* Marks the entities that a request names more than once. */
static enum err
mark_twice(struct meta_op *op, struct meta_name **out)
{
    const struct proto_alter_client_quotas_request *request = op->req->msg;
    struct entity entity;
    enum err err = meta_names_new(op->arena, request->entries.count, out);
    for (int32_t i = 0; err == ERR_OK && i < request->entries.count; i++) {
        entity_read(&request->entries.items[i], &entity);
        (*out)[i] = (struct meta_name){.name = entity_identity(op->arena, &entity), .index = i};
        err = str_is_null((*out)[i].name) ? ERR_NOMEM : ERR_OK;
    }
    if (err == ERR_OK)
        meta_names_mark(*out, request->entries.count);
    return err;
}

enum err
meta_op_alter_client_quotas(struct meta_op *op, void *response)
{
    const struct proto_alter_client_quotas_request *request = op->req->msg;
    struct proto_alter_client_quotas_response *answer = response;
    int32_t count = request->entries.count;
    struct meta_name *names;
    struct entity entity;
    entry_out *outs = arena_calloc(op->arena, (size_t)count, sizeof *outs);
    enum err err = outs == NULL ? ERR_NOMEM : mark_twice(op, &names);
    answer->entries.items = outs;
    for (int32_t i = 0; err == ERR_OK && i < count; i++) {
        struct meta_verdict verdict;
        if (names[i].first != i)
            continue; /* one answer for each entity */
        entity_read(&request->entries.items[i], &entity);
        err = change_entity(op, &entity, &request->entries.items[i], &verdict);
        /* What came first is kept all the same, as Kafka does. */
        if (err == ERR_OK && names[i].times > 1)
            verdict = entity_is_twice(op->arena, &entity);
        if (err == ERR_OK)
            err = answer_entity(op, &entity, verdict, &outs[answer->entries.count++]);
    }
    return err;
}
