/* meta/snapshot.c - walks an image: features first, brokers, topics with their partitions, configs,
 * quotas, producer ids, and what is kept raw. Pure. */
#include "meta/snapshot.h"

#include <string.h>

#include "base/assert.h"
#include "meta/image_priv.h"
#include "proto/client_quota_record.h"
#include "proto/config_record.h"
#include "proto/feature_level_record.h"
#include "proto/partition_record.h"
#include "proto/producer_ids_record.h"
#include "proto/register_broker_record.h"
#include "proto/topic_record.h"

enum { GROUP_RECORDS = 500 };

struct walk {
    const struct meta_image *image;
    struct arena *arena;
    struct meta_records records;
    enum err (*put)(void *ctx, const struct meta_records *records);
    void *ctx;
};

static enum err
end_group(struct walk *walk)
{
    enum err err = walk->records.err;
    if (err == ERR_OK && walk->records.count > 0)
        err = walk->put(walk->ctx, &walk->records);
    arena_reset(walk->arena);
    meta_records_init(&walk->records, walk->arena, walk->image->timestamp_ms);
    return err;
}

static enum err
add(struct walk *walk, enum meta_record_type type, int16_t version,
    const struct proto_schema *schema, const void *message)
{
    meta_records_add(&walk->records, type, version, schema, message);
    return walk->records.count >= GROUP_RECORDS ? end_group(walk) : walk->records.err;
}

static enum err
walk_features(struct walk *walk)
{
    struct meta_feature_level level = {.name = STR_NULL};
    enum err err = ERR_OK;
    while (err == ERR_OK && meta_image_feature_after(walk->image, level.name, &level)) {
        struct proto_feature_level_record record = {level.name, level.level};
        err = add(walk, META_RECORD_FEATURE_LEVEL, 0, &proto_feature_level_record_schema, &record);
    }
    return err;
}

static enum err
add_broker(struct walk *walk, const struct meta_broker *broker)
{
    struct proto_register_broker_record r;
    proto_init(&proto_register_broker_record_schema, &r);
    r.broker_id = broker->id;
    r.incarnation_id = broker->incarnation;
    r.broker_epoch = broker->epoch;
    r.rack = broker->rack;
    r.fenced = broker->fenced;
    r.in_controlled_shutdown = broker->in_controlled_shutdown;
    r.end_points.items =
        arena_calloc(walk->arena, (size_t)broker->endpoint_count, sizeof *r.end_points.items);
    r.features.items =
        arena_calloc(walk->arena, (size_t)broker->feature_count, sizeof *r.features.items);
    if (r.end_points.items == NULL || r.features.items == NULL)
        return ERR_NOMEM;
    for (int32_t i = 0; i < broker->endpoint_count; i++) {
        r.end_points.items[i].name = broker->endpoints[i].listener;
        r.end_points.items[i].host = broker->endpoints[i].host;
        r.end_points.items[i].port = broker->endpoints[i].port;
        r.end_points.items[i].security_protocol = broker->endpoints[i].security_protocol;
    }
    r.end_points.count = broker->endpoint_count;
    for (int32_t i = 0; i < broker->feature_count; i++) {
        r.features.items[i].name = broker->features[i].name;
        r.features.items[i].min_supported_version = broker->features[i].min;
        r.features.items[i].max_supported_version = broker->features[i].max;
    }
    r.features.count = broker->feature_count;
    r.log_dirs.items = (struct uuid *)(uintptr_t)broker->log_dirs;
    r.log_dirs.count = broker->log_dir_count;
    int16_t level = meta_image_feature(walk->image, STR("metadata.version"));
    int16_t version = level >= 30 ? 4 : level >= 17 ? 3 : 1;
    if (version == 4 && broker->cordoned_log_dir_count > 0) {
        r.cordoned_log_dirs.items = (struct uuid *)(uintptr_t)broker->cordoned_log_dirs;
        r.cordoned_log_dirs.count = broker->cordoned_log_dir_count;
    }
    return add(
        walk, META_RECORD_REGISTER_BROKER, version, &proto_register_broker_record_schema, &r);
}

static enum err
add_partition(struct walk *walk, const struct meta_topic *topic, const struct meta_partition *p)
{
    struct proto_partition_record r;
    int16_t level = meta_image_feature(walk->image, STR("metadata.version"));
    int16_t version = level >= 23 ? 2 : level >= 17;
    proto_init(&proto_partition_record_schema, &r);
    r.partition_id = p->index;
    r.topic_id = topic->id;
    r.replicas.items = (int32_t *)(uintptr_t)p->replicas.items;
    r.replicas.count = p->replicas.count;
    r.isr.items = (int32_t *)(uintptr_t)p->isr.items;
    r.isr.count = p->isr.count;
    r.removing_replicas.items = (int32_t *)(uintptr_t)p->removing.items;
    r.removing_replicas.count = p->removing.count;
    r.adding_replicas.items = (int32_t *)(uintptr_t)p->adding.items;
    r.adding_replicas.count = p->adding.count;
    r.leader = p->leader;
    r.leader_recovery_state = (int8_t)p->recovery_state;
    r.leader_epoch = p->leader_epoch;
    r.partition_epoch = p->partition_epoch;
    if (version >= 1) {
        r.directories.items = (struct uuid *)(uintptr_t)p->directories;
        r.directories.count = p->replicas.count;
    }
    if (version >= 2 && p->elr.count > 0) {
        r.eligible_leader_replicas.items = (int32_t *)(uintptr_t)p->elr.items;
        r.eligible_leader_replicas.count = p->elr.count;
    }
    if (version >= 2 && p->last_known_elr.count > 0) {
        r.last_known_elr.items = (int32_t *)(uintptr_t)p->last_known_elr.items;
        r.last_known_elr.count = p->last_known_elr.count;
    }
    return add(walk, META_RECORD_PARTITION, version, &proto_partition_record_schema, &r);
}

static enum err
walk_topics(struct walk *walk)
{
    enum err err = ERR_OK;
    const struct meta_topic *topic = meta_image_topic_after(walk->image, STR_NULL);
    for (; err == ERR_OK && topic != NULL;
         topic = meta_image_topic_after(walk->image, topic->name)) {
        struct proto_topic_record record = {topic->name, topic->id};
        err = add(walk, META_RECORD_TOPIC, 0, &proto_topic_record_schema, &record);
        for (int32_t i = 0; err == ERR_OK && i < topic->partition_count; i++)
            err = add_partition(walk, topic, topic->partitions[i]);
    }
    return err;
}

static enum err
walk_configs(struct walk *walk)
{
    enum err err = ERR_OK;
    for (int32_t i = 0; i < walk->image->configs->count; i++) {
        const struct meta_resource_configs *c =
            CONTAINER_OF(walk->image->configs->items[i], struct meta_resource_configs, object);
        for (int32_t e = 0; err == ERR_OK && e < c->count; e++) {
            struct proto_config_record record = {
                c->type, c->name, c->entries[e].key, c->entries[e].value};
            err = add(walk, META_RECORD_CONFIG, 0, &proto_config_record_schema, &record);
        }
    }
    return err;
}

static enum err
add_quota(struct walk *walk, const struct meta_quota *quota)
{
    enum err err = ERR_OK;
    struct proto_client_quota_record r = {.entity.count = quota->part_count};
    for (int32_t v = 0; err == ERR_OK && v < quota->value_count; v++) {
        /* A group's arena is given back with it, so each record has its own array. */
        r.entity.items =
            arena_calloc(walk->arena, (size_t)quota->part_count, sizeof *r.entity.items);
        if (r.entity.items == NULL)
            return ERR_NOMEM;
        for (int32_t i = 0; i < quota->part_count; i++) {
            r.entity.items[i].entity_type = quota->parts[i].type;
            r.entity.items[i].entity_name = quota->parts[i].name;
        }
        r.key = quota->values[v].key;
        r.value = quota->values[v].value;
        err = add(walk, META_RECORD_CLIENT_QUOTA, 0, &proto_client_quota_record_schema, &r);
    }
    return err;
}

static enum err
walk_quotas(struct walk *walk)
{
    enum err err = ERR_OK;
    const struct meta_quota *quota = meta_image_quota_after(walk->image, NULL);
    for (; err == ERR_OK && quota != NULL; quota = meta_image_quota_after(walk->image, quota))
        err = add_quota(walk, quota);
    return err;
}

/* Raw records are framed already. */
static enum err
walk_raws(struct walk *walk)
{
    enum err err = end_group(walk);
    for (int32_t i = 0; err == ERR_OK && i < walk->image->raws->count; i++) {
        const struct meta_raw *raw =
            CONTAINER_OF(walk->image->raws->items[i], struct meta_raw, object);
        struct batch_builder_record item = {
            .timestamp = walk->image->timestamp_ms, .value = raw->frame};
        struct meta_records one = {.items = &item, .count = 1};
        err = walk->put(walk->ctx, &one);
    }
    return err;
}

enum err
meta_snapshot_records(const struct meta_image *image, struct arena *arena,
    enum err (*put)(void *ctx, const struct meta_records *records), void *ctx)
{
    struct walk walk = {.image = image, .arena = arena, .put = put, .ctx = ctx};
    meta_records_init(&walk.records, arena, image->timestamp_ms);
    enum err err = walk_features(&walk);
    const struct meta_broker *broker = meta_image_broker_after(image, -1);
    for (; err == ERR_OK && broker != NULL; broker = meta_image_broker_after(image, broker->id))
        err = add_broker(&walk, broker);
    if (err == ERR_OK)
        err = walk_topics(&walk);
    if (err == ERR_OK)
        err = walk_configs(&walk);
    if (err == ERR_OK)
        err = walk_quotas(&walk);
    if (err == ERR_OK && image->producer_id_next > 0) {
        struct proto_producer_ids_record record = {
            .broker_id = -1, .broker_epoch = -1, .next_producer_id = image->producer_id_next};
        err = add(&walk, META_RECORD_PRODUCER_IDS, 0, &proto_producer_ids_record_schema, &record);
    }
    if (err == ERR_OK)
        err = walk_raws(&walk);
    return err == ERR_OK ? end_group(&walk) : err;
}
