/* meta/builder_rest.c - brokers, configuration, features, producer ids, raw records. One thread. */
#include <string.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "meta/builder_priv.h"
#include "proto/access_control_entry_record.h"
#include "proto/broker_registration_change_record.h"
#include "proto/config_record.h"
#include "proto/delegation_token_record.h"
#include "proto/feature_level_record.h"
#include "proto/fence_broker_record.h"
#include "proto/producer_ids_record.h"
#include "proto/register_broker_record.h"
#include "proto/register_controller_record.h"
#include "proto/remove_access_control_entry_record.h"
#include "proto/remove_delegation_token_record.h"
#include "proto/remove_user_scram_credential_record.h"
#include "proto/unregister_broker_record.h"
#include "proto/unregister_controller_record.h"
#include "proto/user_scram_credential_record.h"

/* ---- brokers: one arena each ---- */

enum { BROKER_BYTES_MAX = 1 << 20 };

struct broker_body {
    struct meta_broker broker;
    struct arena arena;
};

static void
broker_free(struct meta_object *object)
{
    struct broker_body *body =
        CONTAINER_OF(CONTAINER_OF(object, struct meta_broker, object), struct broker_body, broker);
    arena_fini(&body->arena);
    mem_free(body);
}

static struct broker_body *
broker_new(void)
{
    struct broker_body *body = mem_calloc(1, sizeof *body);
    if (body == NULL)
        return NULL;
    arena_init(&body->arena, BROKER_BYTES_MAX);
    meta_object_init(&body->broker.object, broker_free);
    return body;
}

static const struct uuid *
copy_uuids(struct arena *arena, const struct uuid *items, int32_t count)
{
    struct uuid *out = arena_calloc(arena, (size_t)count, sizeof *out);
    if (out != NULL && count > 0)
        memcpy(out, items, (size_t)count * sizeof *out);
    return out;
}

/* Terminated copy; null stays null. */
static struct str
copy_text(struct arena *arena, struct str text)
{
    if (str_is_null(text))
        return STR_NULL;
    return (struct str){arena_strndup(arena, text.data, text.len), text.len};
}

static bool
fill_broker(struct broker_body *body, const struct proto_register_broker_record *r)
{
    struct arena *arena = &body->arena;
    struct meta_endpoint *endpoints =
        arena_calloc(arena, (size_t)r->end_points.count, sizeof *endpoints);
    struct meta_feature_range *features =
        arena_calloc(arena, (size_t)r->features.count, sizeof *features);
    int32_t cordoned = r->cordoned_log_dirs.count > 0 ? r->cordoned_log_dirs.count : 0;
    if (endpoints == NULL || features == NULL)
        return false;
    for (int32_t i = 0; i < r->end_points.count; i++) {
        endpoints[i].listener = copy_text(arena, r->end_points.items[i].name);
        endpoints[i].host = copy_text(arena, r->end_points.items[i].host);
        endpoints[i].port = r->end_points.items[i].port;
        endpoints[i].security_protocol = r->end_points.items[i].security_protocol;
    }
    for (int32_t i = 0; i < r->features.count; i++) {
        features[i].name = copy_text(arena, r->features.items[i].name);
        features[i].min = r->features.items[i].min_supported_version;
        features[i].max = r->features.items[i].max_supported_version;
    }
    body->broker.id = r->broker_id;
    body->broker.epoch = r->broker_epoch;
    body->broker.incarnation = r->incarnation_id;
    body->broker.fenced = r->fenced;
    body->broker.in_controlled_shutdown = r->in_controlled_shutdown;
    body->broker.rack = copy_text(arena, r->rack);
    body->broker.endpoints = endpoints;
    body->broker.endpoint_count = r->end_points.count;
    body->broker.features = features;
    body->broker.feature_count = r->features.count;
    body->broker.log_dirs = copy_uuids(arena, r->log_dirs.items, r->log_dirs.count);
    body->broker.log_dir_count = r->log_dirs.count;
    body->broker.cordoned_log_dirs = copy_uuids(arena, r->cordoned_log_dirs.items, cordoned);
    body->broker.cordoned_log_dir_count = cordoned;
    return !arena->exhausted;
}

static enum err
put_broker(struct meta_builder *b, struct broker_body *body)
{
    ASSERT(body->broker.id >= 0);
    enum err err =
        meta_table_put(&b->image->brokers, &body->broker.id, meta_cmp_broker, &body->broker.object);
    if (err == ERR_OK)
        err = builder_touch_broker(b, body->broker.id);
    meta_object_unref(&body->broker.object);
    return err;
}

enum err
builder_register_broker(struct meta_builder *b, const struct meta_record_frame *frame)
{
    struct proto_register_broker_record r;
    enum err err = builder_decode(b, frame, &proto_register_broker_record_schema, &r);
    if (err != ERR_OK)
        return err;
    if (r.broker_id < 0)
        return ERR_CORRUPT; /* what goes over the brokers begins below the first id */
    struct broker_body *body = broker_new();
    if (body == NULL || !fill_broker(body, &r)) {
        meta_object_unref(body == NULL ? NULL : &body->broker.object);
        return ERR_NOMEM;
    }
    return put_broker(b, body);
}

enum err
builder_unregister_broker(struct meta_builder *b, const struct meta_record_frame *frame)
{
    struct proto_unregister_broker_record r;
    enum err err = builder_decode(b, frame, &proto_unregister_broker_record_schema, &r);
    if (err == ERR_OK)
        err = builder_touch_broker(b, r.broker_id);
    if (err == ERR_OK)
        err = meta_table_remove(&b->image->brokers, &r.broker_id, meta_cmp_broker);
    return err;
}

/* A copy of a broker by way of the record that would have registered it so. */
static enum err
copy_broker(const struct meta_broker *old, struct broker_body **out)
{
    struct broker_body *body = broker_new();
    if (body == NULL)
        return ERR_NOMEM;
    struct arena *arena = &body->arena;
    struct meta_endpoint *endpoints =
        arena_calloc(arena, (size_t)old->endpoint_count, sizeof *endpoints);
    struct meta_feature_range *features =
        arena_calloc(arena, (size_t)old->feature_count, sizeof *features);
    struct meta_object object = body->broker.object;
    body->broker = *old;
    body->broker.object = object;
    for (int32_t i = 0; endpoints != NULL && i < old->endpoint_count; i++) {
        endpoints[i] = old->endpoints[i];
        endpoints[i].listener = copy_text(arena, old->endpoints[i].listener);
        endpoints[i].host = copy_text(arena, old->endpoints[i].host);
    }
    for (int32_t i = 0; features != NULL && i < old->feature_count; i++) {
        features[i] = old->features[i];
        features[i].name = copy_text(arena, old->features[i].name);
    }
    body->broker.endpoints = endpoints;
    body->broker.features = features;
    body->broker.rack = copy_text(arena, old->rack);
    body->broker.log_dirs = copy_uuids(arena, old->log_dirs, old->log_dir_count);
    body->broker.cordoned_log_dirs =
        copy_uuids(arena, old->cordoned_log_dirs, old->cordoned_log_dir_count);
    if (arena->exhausted) {
        meta_object_unref(&body->broker.object);
        return ERR_NOMEM;
    }
    *out = body;
    return ERR_OK;
}

enum err
builder_broker_change(struct meta_builder *b, const struct meta_record_frame *frame)
{
    struct proto_broker_registration_change_record r;
    struct broker_body *body;
    enum err err = builder_decode(b, frame, &proto_broker_registration_change_record_schema, &r);
    if (err != ERR_OK)
        return err;
    const struct meta_broker *old = meta_image_broker(b->image, r.broker_id);
    if (old == NULL || old->epoch != r.broker_epoch)
        return ERR_CORRUPT;
    err = copy_broker(old, &body);
    if (err != ERR_OK)
        return err;
    if (r.fenced != 0)
        body->broker.fenced = r.fenced > 0;
    if (r.in_controlled_shutdown != 0)
        body->broker.in_controlled_shutdown = r.in_controlled_shutdown > 0;
    if (r.log_dirs.count > 0) {
        body->broker.log_dirs = copy_uuids(&body->arena, r.log_dirs.items, r.log_dirs.count);
        body->broker.log_dir_count = r.log_dirs.count;
    }
    if (r.cordoned_log_dirs.count >= 0) {
        body->broker.cordoned_log_dirs =
            copy_uuids(&body->arena, r.cordoned_log_dirs.items, r.cordoned_log_dirs.count);
        body->broker.cordoned_log_dir_count = r.cordoned_log_dirs.count;
    }
    if (body->arena.exhausted) {
        meta_object_unref(&body->broker.object);
        return ERR_NOMEM;
    }
    return put_broker(b, body);
}

enum err
builder_fence_broker(struct meta_builder *b, const struct meta_record_frame *frame)
{
    struct proto_fence_broker_record r; /* UnfenceBroker has the same fields */
    struct broker_body *body;
    enum err err = builder_decode(b, frame, &proto_fence_broker_record_schema, &r);
    if (err != ERR_OK)
        return err;
    const struct meta_broker *old = meta_image_broker(b->image, r.id);
    if (old == NULL)
        return ERR_CORRUPT;
    err = copy_broker(old, &body);
    if (err != ERR_OK)
        return err;
    body->broker.fenced = frame->type == META_RECORD_FENCE_BROKER;
    return put_broker(b, body);
}

/* ---- configuration: one block a resource ---- */

static void
configs_free(struct meta_object *object)
{
    mem_free(CONTAINER_OF(object, struct meta_resource_configs, object));
}

/* The old entries with one key set, or taken out when value is null; sorted. */
static struct meta_resource_configs *
configs_with(const struct meta_resource_key *key, struct meta_config_entries old, struct str name,
    struct str value)
{
    size_t texts = key->name.len + name.len + value.len + 3;
    for (int32_t i = 0; i < old.count; i++)
        texts += old.items[i].key.len + old.items[i].value.len + 2;
    struct meta_resource_configs *c = mem_calloc(
        1, sizeof *c + ((size_t)old.count + 1) * sizeof(struct meta_config_entry) + texts);
    if (c == NULL)
        return NULL;
    meta_object_init(&c->object, configs_free);
    c->type = key->type;
    c->entries = (struct meta_config_entry *)(c + 1);
    char *text = (char *)(c->entries + old.count + 1);
    struct str *put_to = &c->name;
    struct str put_from = key->name;
    bool placed = str_is_null(value);
    for (int32_t i = 0;; i++) {
        /* One text at a time: the name first, then keys and values in order. */
        memcpy(text, put_from.data, put_from.len);
        *put_to = (struct str){text, put_from.len};
        text += put_from.len + 1;
        while (i < old.count && str_eq(old.items[i].key, name))
            i++;
        bool mine = !placed && (i >= old.count || str_cmp(name, old.items[i].key) < 0);
        if (!mine && i >= old.count)
            break;
        struct meta_config_entry entry =
            mine ? (struct meta_config_entry){name, value} : old.items[i];
        struct meta_config_entry *to = &c->entries[c->count++];
        memcpy(text, entry.key.data, entry.key.len);
        to->key = (struct str){text, entry.key.len};
        text += entry.key.len + 1;
        put_to = &to->value;
        put_from = entry.value;
        if (mine) {
            placed = true;
            i--;
        }
    }
    return c;
}

enum err
builder_config(struct meta_builder *b, const struct meta_record_frame *frame)
{
    struct proto_config_record r;
    enum err err = builder_decode(b, frame, &proto_config_record_schema, &r);
    if (err == ERR_OK)
        err = builder_touch_config(b, r.resource_type, r.resource_name);
    if (err != ERR_OK)
        return err;
    struct meta_resource_key key = {r.resource_type, r.resource_name};
    struct meta_config_entries old = meta_image_configs(b->image, r.resource_type, r.resource_name);
    struct meta_resource_configs *c = configs_with(&key, old, r.name, r.value);
    if (c == NULL)
        return ERR_NOMEM;
    err = c->count == 0 ? meta_table_remove(&b->image->configs, &key, meta_cmp_configs)
                        : meta_table_put(&b->image->configs, &key, meta_cmp_configs, &c->object);
    meta_object_unref(&c->object);
    return err;
}

enum err
builder_drop_configs(struct meta_builder *b, int8_t type, struct str name)
{
    struct meta_resource_key key = {type, name};
    if (meta_image_configs(b->image, type, name).count == 0)
        return ERR_OK;
    enum err err = builder_touch_config(b, type, name);
    return err != ERR_OK ? err : meta_table_remove(&b->image->configs, &key, meta_cmp_configs);
}

/* ---- features and producer ids ---- */

static void
feature_free(struct meta_object *object)
{
    mem_free(CONTAINER_OF(object, struct meta_feature, object));
}

enum err
builder_feature(struct meta_builder *b, const struct meta_record_frame *frame)
{
    struct proto_feature_level_record r;
    enum err err = builder_decode(b, frame, &proto_feature_level_record_schema, &r);
    if (err != ERR_OK)
        return err;
    b->features_changed = true;
    if (r.feature_level == 0)
        return meta_table_remove(&b->image->features, &r.name, meta_cmp_feature);
    struct meta_feature *feature = mem_calloc(1, sizeof *feature + r.name.len + 1);
    if (feature == NULL)
        return ERR_NOMEM;
    meta_object_init(&feature->object, feature_free);
    memcpy(feature + 1, r.name.data, r.name.len);
    feature->name = (struct str){(char *)(feature + 1), r.name.len};
    feature->level = r.feature_level;
    err = meta_table_put(&b->image->features, &feature->name, meta_cmp_feature, &feature->object);
    meta_object_unref(&feature->object);
    return err;
}

enum err
builder_producer_ids(struct meta_builder *b, const struct meta_record_frame *frame)
{
    struct proto_producer_ids_record r;
    enum err err = builder_decode(b, frame, &proto_producer_ids_record_schema, &r);
    if (err != ERR_OK)
        return err;
    b->producer_ids_changed = true;
    b->image->producer_id_next = r.next_producer_id;
    return ERR_OK;
}

/* ---- records that are only kept ---- */

struct raw_key {
    uint16_t type; /* of the record that is kept */
    bool remove;
    struct buf identity;
};

static enum err
identify_scram(struct meta_builder *b, const struct meta_record_frame *frame, struct raw_key *out)
{
    struct proto_user_scram_credential_record set;
    struct proto_remove_user_scram_credential_record removed;
    bool remove = frame->type == META_RECORD_REMOVE_USER_SCRAM_CREDENTIAL;
    enum err err =
        remove
            ? builder_decode(b, frame, &proto_remove_user_scram_credential_record_schema, &removed)
            : builder_decode(b, frame, &proto_user_scram_credential_record_schema, &set);
    if (err != ERR_OK)
        return err;
    buf_append_byte(&out->identity, (uint8_t)(remove ? removed.mechanism : set.mechanism));
    buf_append_str(&out->identity, remove ? removed.name : set.name);
    out->type = META_RECORD_USER_SCRAM_CREDENTIAL;
    out->remove = remove;
    b->scram_changed = true;
    return ERR_OK;
}

static enum err
identify_acl(struct meta_builder *b, const struct meta_record_frame *frame, struct raw_key *out)
{
    struct proto_access_control_entry_record set;
    struct proto_remove_access_control_entry_record removed;
    bool remove = frame->type == META_RECORD_REMOVE_ACCESS_CONTROL_ENTRY;
    enum err err =
        remove
            ? builder_decode(b, frame, &proto_remove_access_control_entry_record_schema, &removed)
            : builder_decode(b, frame, &proto_access_control_entry_record_schema, &set);
    if (err != ERR_OK)
        return err;
    buf_append(&out->identity, remove ? removed.id.b : set.id.b, sizeof(struct uuid));
    out->type = META_RECORD_ACCESS_CONTROL_ENTRY;
    out->remove = remove;
    b->acls_changed = true;
    return ERR_OK;
}

static enum err
identify_token(struct meta_builder *b, const struct meta_record_frame *frame, struct raw_key *out)
{
    struct proto_delegation_token_record set;
    struct proto_remove_delegation_token_record removed;
    bool remove = frame->type == META_RECORD_REMOVE_DELEGATION_TOKEN;
    enum err err =
        remove ? builder_decode(b, frame, &proto_remove_delegation_token_record_schema, &removed)
               : builder_decode(b, frame, &proto_delegation_token_record_schema, &set);
    if (err != ERR_OK)
        return err;
    buf_append_str(&out->identity, remove ? removed.token_id : set.token_id);
    out->type = META_RECORD_DELEGATION_TOKEN;
    out->remove = remove;
    b->tokens_changed = true;
    return ERR_OK;
}

static enum err
identify_controller(
    struct meta_builder *b, const struct meta_record_frame *frame, struct raw_key *out)
{
    struct proto_register_controller_record set;
    struct proto_unregister_controller_record removed;
    bool remove = frame->type == META_RECORD_UNREGISTER_CONTROLLER;
    uint8_t id[4];
    enum err err =
        remove ? builder_decode(b, frame, &proto_unregister_controller_record_schema, &removed)
               : builder_decode(b, frame, &proto_register_controller_record_schema, &set);
    if (err != ERR_OK)
        return err;
    store_be32(id, (uint32_t)(remove ? removed.controller_id : set.controller_id));
    buf_append(&out->identity, id, sizeof id);
    out->type = META_RECORD_REGISTER_CONTROLLER;
    out->remove = remove;
    return ERR_OK;
}

static enum err
identify(struct meta_builder *b, const struct meta_record_frame *frame, struct raw_key *out)
{
    switch (frame->type) {
    case META_RECORD_USER_SCRAM_CREDENTIAL:
    case META_RECORD_REMOVE_USER_SCRAM_CREDENTIAL: return identify_scram(b, frame, out);
    case META_RECORD_ACCESS_CONTROL_ENTRY:
    case META_RECORD_REMOVE_ACCESS_CONTROL_ENTRY: return identify_acl(b, frame, out);
    case META_RECORD_DELEGATION_TOKEN:
    case META_RECORD_REMOVE_DELEGATION_TOKEN: return identify_token(b, frame, out);
    case META_RECORD_REGISTER_CONTROLLER:
    case META_RECORD_UNREGISTER_CONTROLLER: return identify_controller(b, frame, out);
    default: return ERR_OK; /* one of its kind */
    }
}

static void
raw_free(struct meta_object *object)
{
    mem_free(CONTAINER_OF(object, struct meta_raw, object));
}

enum err
builder_raw(struct meta_builder *b, const struct meta_record_frame *frame, struct bytes value)
{
    struct raw_key id = {.type = (uint16_t)frame->type};
    buf_init(&id.identity, 1 << 20);
    buf_append_byte(&id.identity, 0); /* never empty: an empty key would be "before all" */
    enum err err = identify(b, frame, &id);
    if (err == ERR_OK)
        err = id.identity.err;
    struct meta_raw_key key = {id.type, buf_bytes(&id.identity)};
    if (err == ERR_OK && id.remove) {
        err = meta_table_remove(&b->image->raws, &key, meta_cmp_raw);
    } else if (err == ERR_OK) {
        struct meta_raw *raw = mem_alloc(sizeof *raw + id.identity.len + value.len);
        err = raw == NULL ? ERR_NOMEM : ERR_OK;
        if (raw != NULL) {
            uint8_t *bytes = (uint8_t *)(raw + 1);
            meta_object_init(&raw->object, raw_free);
            memcpy(bytes, id.identity.data, id.identity.len);
            memcpy(bytes + id.identity.len, value.data, value.len);
            raw->type = id.type;
            raw->key = (struct bytes){bytes, id.identity.len};
            raw->frame = (struct bytes){bytes + id.identity.len, value.len};
            err = meta_table_put(&b->image->raws, &key, meta_cmp_raw, &raw->object);
            meta_object_unref(&raw->object);
        }
    }
    buf_fini(&id.identity);
    return err;
}
