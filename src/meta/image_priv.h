/* meta/image_priv.h - the image's body, for image.c and the builder that makes the next one. */
#ifndef META_IMAGE_PRIV_H
#define META_IMAGE_PRIV_H

#include "meta/config.h"
#include "meta/image.h"
#include "meta/table.h"

enum { META_CLUSTER_ID_MAX = 128 };

struct meta_image {
    struct meta_object object;
    char cluster_id[META_CLUSTER_ID_MAX];
    int64_t offset; /* of the last record; -1 */
    int32_t epoch;
    int64_t timestamp_ms;
    int64_t producer_id_next;
    int32_t partition_count;
    struct meta_table *topics_by_name;
    struct meta_table *topics_by_id;
    struct meta_table *brokers;
    struct meta_table *configs;  /* struct meta_resource_configs */
    struct meta_table *features; /* struct meta_feature */
    struct meta_table *quotas;   /* struct meta_quota */
    struct meta_table *raws;
};

/* A topic with what only its builder looks at. */
struct meta_topic_body {
    struct meta_topic topic;
    int32_t capacity;    /* of partitions */
    const void *builder; /* who may still change it in place */
};

struct meta_resource_key {
    int8_t type;
    struct str name;
};

/* All overrides of one resource, in one block. */
struct meta_resource_configs {
    struct meta_object object;
    int8_t type;
    struct str name;
    struct meta_config_entry *entries; /* sorted by key */
    int32_t count;
};

struct meta_feature {
    struct meta_object object;
    struct str name;
    int16_t level;
};

/* Kafka knows three types of entities; a record with more parts than this is broken. */
enum { META_QUOTA_PARTS_MAX = 16 };

struct meta_quota_key {
    const struct meta_quota_part *parts; /* in the order of types */
    int32_t part_count;
};

struct meta_raw_key {
    uint16_t type;
    struct bytes identity;
};

int meta_cmp_topic_name(const void *key, const struct meta_object *object); /* struct str */
int meta_cmp_topic_id(const void *key, const struct meta_object *object);   /* struct uuid */
int meta_cmp_broker(const void *key, const struct meta_object *object);     /* int32_t */
int meta_cmp_configs(const void *key, const struct meta_object *object);    /* meta_resource_key */
int meta_cmp_feature(const void *key, const struct meta_object *object);    /* struct str */
int meta_cmp_quota(const void *key, const struct meta_object *object);      /* meta_quota_key */
int meta_cmp_raw(const void *key, const struct meta_object *object);        /* meta_raw_key */

/* A private copy of the head, sharing all tables. */
MUST_USE enum err meta_image_copy(const struct meta_image *image, struct meta_image **out);

#endif
