/* meta/image.c - reading an image; its life. Immutable once published; any thread. */
#include "meta/image.h"

#include <string.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "meta/image_priv.h"

/* ---- order ---- */

int
meta_cmp_topic_name(const void *key, const struct meta_object *object)
{
    return str_cmp(*(const struct str *)key, CONTAINER_OF(object, struct meta_topic, object)->name);
}

int
meta_cmp_topic_id(const void *key, const struct meta_object *object)
{
    return memcmp(((const struct uuid *)key)->b,
        CONTAINER_OF(object, struct meta_topic, object)->id.b, sizeof(struct uuid));
}

int
meta_cmp_broker(const void *key, const struct meta_object *object)
{
    int32_t id = *(const int32_t *)key;
    int32_t other = CONTAINER_OF(object, struct meta_broker, object)->id;
    return (id > other) - (id < other);
}

int
meta_cmp_configs(const void *key, const struct meta_object *object)
{
    const struct meta_resource_key *k = key;
    const struct meta_resource_configs *c =
        CONTAINER_OF(object, struct meta_resource_configs, object);
    return k->type != c->type ? k->type - c->type : str_cmp(k->name, c->name);
}

int
meta_cmp_feature(const void *key, const struct meta_object *object)
{
    return str_cmp(
        *(const struct str *)key, CONTAINER_OF(object, struct meta_feature, object)->name);
}

/* A default comes before every name. */
static int
part_cmp(const struct meta_quota_part *a, const struct meta_quota_part *b)
{
    int order = str_cmp(a->type, b->type);
    if (order != 0)
        return order;
    if (str_is_null(a->name) || str_is_null(b->name))
        return (int)str_is_null(b->name) - (int)str_is_null(a->name);
    return str_cmp(a->name, b->name);
}

int
meta_cmp_quota(const void *key, const struct meta_object *object)
{
    const struct meta_quota_key *k = key;
    const struct meta_quota *quota = CONTAINER_OF(object, struct meta_quota, object);
    for (int32_t i = 0; i < k->part_count && i < quota->part_count; i++) {
        int order = part_cmp(&k->parts[i], &quota->parts[i]);
        if (order != 0)
            return order;
    }
    return k->part_count - quota->part_count;
}

int
meta_cmp_raw(const void *key, const struct meta_object *object)
{
    const struct meta_raw_key *k = key;
    const struct meta_raw *raw = CONTAINER_OF(object, struct meta_raw, object);
    if (k->type != raw->type)
        return k->type - raw->type;
    return str_cmp((struct str){(const char *)k->identity.data, k->identity.len},
        (struct str){(const char *)raw->key.data, raw->key.len});
}

/* ---- life ---- */

static void
image_free(struct meta_object *object)
{
    struct meta_image *image = CONTAINER_OF(object, struct meta_image, object);
    struct meta_table *tables[] = {image->topics_by_name, image->topics_by_id, image->brokers,
        image->configs, image->features, image->quotas, image->raws};
    for (size_t i = 0; i < COUNT_OF(tables); i++)
        if (tables[i] != NULL)
            meta_object_unref(&tables[i]->object);
    mem_free(image);
}

enum err
meta_image_new_empty(struct str cluster_id, struct meta_image **out)
{
    struct meta_image *image = mem_calloc(1, sizeof *image);
    if (image == NULL)
        return ERR_NOMEM;
    ASSERT(cluster_id.len < META_CLUSTER_ID_MAX);
    meta_object_init(&image->object, image_free);
    memcpy(image->cluster_id, cluster_id.data, cluster_id.len);
    image->offset = -1;
    image->timestamp_ms = -1;
    struct meta_table **tables[] = {&image->topics_by_name, &image->topics_by_id, &image->brokers,
        &image->configs, &image->features, &image->quotas, &image->raws};
    for (size_t i = 0; i < COUNT_OF(tables); i++)
        if (meta_table_new(tables[i]) != ERR_OK) {
            meta_object_unref(&image->object);
            return ERR_NOMEM;
        }
    *out = image;
    return ERR_OK;
}

enum err
meta_image_copy(const struct meta_image *image, struct meta_image **out)
{
    struct meta_image *copy = mem_alloc(sizeof *copy);
    if (copy == NULL)
        return ERR_NOMEM;
    /* Not the reference count: others change it meanwhile. */
    memcpy((char *)copy + sizeof copy->object, (const char *)image + sizeof image->object,
        sizeof *copy - sizeof copy->object);
    meta_object_init(&copy->object, image_free);
    struct meta_table *tables[] = {copy->topics_by_name, copy->topics_by_id, copy->brokers,
        copy->configs, copy->features, copy->quotas, copy->raws};
    for (size_t i = 0; i < COUNT_OF(tables); i++)
        meta_object_ref(&tables[i]->object);
    *out = copy;
    return ERR_OK;
}

void
meta_image_ref(struct meta_image *image)
{
    meta_object_ref(&image->object);
}

void
meta_image_unref(struct meta_image **image)
{
    if (*image != NULL)
        meta_object_unref(&(*image)->object);
    *image = NULL;
}

/* ---- whole ---- */

int64_t
meta_image_offset(const struct meta_image *image)
{
    return image->offset;
}

int32_t
meta_image_epoch(const struct meta_image *image)
{
    return image->epoch;
}

int64_t
meta_image_timestamp_ms(const struct meta_image *image)
{
    return image->timestamp_ms;
}

struct str
meta_image_cluster_id(const struct meta_image *image)
{
    return str_of(image->cluster_id);
}

/* ---- topics ---- */

static const struct meta_topic *
topic_of(struct meta_object *object)
{
    return object == NULL ? NULL : CONTAINER_OF(object, struct meta_topic, object);
}

const struct meta_topic *
meta_image_topic(const struct meta_image *image, struct str name)
{
    return topic_of(meta_table_find(image->topics_by_name, &name, meta_cmp_topic_name));
}

const struct meta_topic *
meta_image_topic_by_id(const struct meta_image *image, struct uuid id)
{
    return topic_of(meta_table_find(image->topics_by_id, &id, meta_cmp_topic_id));
}

const struct meta_topic *
meta_image_topic_after(const struct meta_image *image, struct str name)
{
    return topic_of(meta_table_after(
        image->topics_by_name, str_is_null(name) ? NULL : &name, meta_cmp_topic_name));
}

int32_t
meta_image_topic_count(const struct meta_image *image)
{
    return image->topics_by_name->count;
}

int32_t
meta_image_partition_count(const struct meta_image *image)
{
    return image->partition_count;
}

const struct meta_partition *
meta_image_partition(const struct meta_image *image, struct uuid id, int32_t index)
{
    const struct meta_topic *topic = meta_image_topic_by_id(image, id);
    return topic == NULL ? NULL : meta_topic_partition(topic, index);
}

struct uuid
meta_partition_directory(const struct meta_partition *partition, int32_t broker_id)
{
    for (int32_t i = 0; i < partition->replicas.count; i++)
        if (partition->replicas.items[i] == broker_id)
            return partition->directories[i];
    return META_DIR_UNASSIGNED;
}

bool
meta_topic_name_is_internal(struct str name)
{
    return str_eq_z(name, "__consumer_offsets") || str_eq_z(name, "__transaction_state") ||
           str_eq_z(name, "__share_group_state");
}

/* ---- brokers ---- */

const struct meta_broker *
meta_image_broker(const struct meta_image *image, int32_t id)
{
    struct meta_object *object = meta_table_find(image->brokers, &id, meta_cmp_broker);
    return object == NULL ? NULL : CONTAINER_OF(object, struct meta_broker, object);
}

const struct meta_broker *
meta_image_broker_after(const struct meta_image *image, int32_t id)
{
    struct meta_object *object =
        meta_table_after(image->brokers, id < 0 ? NULL : &id, meta_cmp_broker);
    return object == NULL ? NULL : CONTAINER_OF(object, struct meta_broker, object);
}

int32_t
meta_image_broker_count(const struct meta_image *image)
{
    return image->brokers->count;
}

bool
meta_image_broker_is_alive(const struct meta_image *image, int32_t id)
{
    const struct meta_broker *broker = meta_image_broker(image, id);
    return broker != NULL && !broker->fenced;
}

const struct meta_endpoint *
meta_broker_endpoint(const struct meta_broker *broker, struct str listener)
{
    for (int32_t i = 0; i < broker->endpoint_count; i++)
        if (str_eq(broker->endpoints[i].listener, listener))
            return &broker->endpoints[i];
    return NULL;
}

/* ---- configs ---- */

static const struct meta_resource_configs *
configs_of(struct meta_object *object)
{
    return object == NULL ? NULL : CONTAINER_OF(object, struct meta_resource_configs, object);
}

struct meta_config_entries
meta_image_configs(const struct meta_image *image, int8_t resource_type, struct str name)
{
    struct meta_resource_key key = {resource_type, name};
    const struct meta_resource_configs *configs =
        configs_of(meta_table_find(image->configs, &key, meta_cmp_configs));
    if (configs == NULL)
        return (struct meta_config_entries){NULL, 0};
    return (struct meta_config_entries){configs->entries, configs->count};
}

struct str
meta_image_config(
    const struct meta_image *image, int8_t resource_type, struct str name, struct str key)
{
    struct meta_config_entries entries = meta_image_configs(image, resource_type, name);
    for (int32_t i = 0; i < entries.count; i++)
        if (str_eq(entries.items[i].key, key))
            return entries.items[i].value;
    return STR_NULL;
}

bool
meta_image_config_resource_after(
    const struct meta_image *image, int8_t resource_type, struct str name, struct str *out)
{
    /* The empty name comes first of its type, so "after nothing" is "at or after it". */
    struct meta_resource_key key = {resource_type, str_is_null(name) ? STR("") : name};
    const struct meta_resource_configs *configs = NULL;
    if (str_is_null(name))
        configs = configs_of(meta_table_find(image->configs, &key, meta_cmp_configs));
    if (configs == NULL)
        configs = configs_of(meta_table_after(image->configs, &key, meta_cmp_configs));
    if (configs == NULL || configs->type != resource_type)
        return false;
    *out = configs->name;
    return true;
}

/* ---- client quotas ---- */

static const struct meta_quota *
quota_of(struct meta_object *object)
{
    return object == NULL ? NULL : CONTAINER_OF(object, struct meta_quota, object);
}

const struct meta_quota *
meta_image_quota(
    const struct meta_image *image, const struct meta_quota_part *parts, int32_t part_count)
{
    struct meta_quota_key key = {parts, part_count};
    return quota_of(meta_table_find(image->quotas, &key, meta_cmp_quota));
}

const struct meta_quota *
meta_image_quota_after(const struct meta_image *image, const struct meta_quota *after)
{
    struct meta_quota_key key = {NULL, 0};
    if (after != NULL)
        key = (struct meta_quota_key){after->parts, after->part_count};
    return quota_of(meta_table_after(image->quotas, after == NULL ? NULL : &key, meta_cmp_quota));
}

int32_t
meta_image_quota_count(const struct meta_image *image)
{
    return image->quotas->count;
}

const struct meta_quota_part *
meta_quota_part(const struct meta_quota *quota, struct str type)
{
    for (int32_t i = 0; i < quota->part_count; i++)
        if (str_eq(quota->parts[i].type, type))
            return &quota->parts[i];
    return NULL;
}

const double *
meta_quota_value(const struct meta_quota *quota, struct str key)
{
    for (int32_t i = 0; i < quota->value_count; i++)
        if (str_eq(quota->values[i].key, key))
            return &quota->values[i].value;
    return NULL;
}

/* ---- features, raw records, producer ids ---- */

int16_t
meta_image_feature(const struct meta_image *image, struct str name)
{
    struct meta_object *object = meta_table_find(image->features, &name, meta_cmp_feature);
    return object == NULL ? 0 : CONTAINER_OF(object, struct meta_feature, object)->level;
}

bool
meta_image_feature_after(
    const struct meta_image *image, struct str name, struct meta_feature_level *out)
{
    struct meta_object *object =
        meta_table_after(image->features, str_is_null(name) ? NULL : &name, meta_cmp_feature);
    if (object == NULL)
        return false;
    const struct meta_feature *feature = CONTAINER_OF(object, struct meta_feature, object);
    *out = (struct meta_feature_level){feature->name, feature->level};
    return true;
}

const struct meta_raw *
meta_image_raw_after(const struct meta_image *image, uint16_t type, const struct meta_raw *after)
{
    struct meta_raw_key key = {type, after == NULL ? BYTES_NULL : after->key};
    struct meta_object *object = meta_table_after(image->raws, &key, meta_cmp_raw);
    if (object == NULL)
        return NULL;
    const struct meta_raw *raw = CONTAINER_OF(object, struct meta_raw, object);
    return raw->type == type ? raw : NULL;
}

int64_t
meta_image_producer_id_next(const struct meta_image *image)
{
    return image->producer_id_next;
}
