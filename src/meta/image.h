/* meta/image.h - the cluster's metadata at one offset of __cluster_metadata: immutable and shared.
 *
 * An image is reference-counted (any thread); everything reached through it lives as long as the
 * reference. Images share what did not change, so a new one costs what changed. Look-ups are
 * O(log n), iterations are sorted, so every node and every run sees the same order. */
#ifndef META_IMAGE_H
#define META_IMAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"
#include "base/uuid.h"
#include "meta/object.h"

struct meta_image;

/* ---- what an image holds ---- */

struct meta_ids {
    const int32_t *items;
    int32_t count;
};

static inline bool
meta_ids_contain(struct meta_ids ids, int32_t id)
{
    for (int32_t i = 0; i < ids.count; i++) {
        if (ids.items[i] == id)
            return true;
    }
    return false;
}

enum meta_recovery_state { META_RECOVERED = 0, META_RECOVERING = 1 };

struct meta_partition {
    struct meta_object object;
    int32_t index;
    int32_t leader; /* -1: none */
    int32_t leader_epoch;
    int32_t partition_epoch;
    enum meta_recovery_state recovery_state;
    struct meta_ids replicas; /* in assignment order */
    struct meta_ids isr;
    struct meta_ids removing;
    struct meta_ids adding;
    struct meta_ids elr; /* eligible leader replicas (KIP-966) */
    struct meta_ids last_known_elr;
    const struct uuid *directories; /* one for each replica, same order (KIP-858) */
};

struct meta_topic {
    struct meta_object object;
    struct uuid id;
    struct str name; /* terminated */
    int32_t partition_count;
    struct meta_partition **partitions; /* by index; see meta_topic_partition */
};

struct meta_endpoint {
    struct str listener; /* "PLAINTEXT" */
    struct str host;     /* terminated */
    uint16_t port;
    int16_t security_protocol; /* 0 PLAINTEXT 1 SSL 2 SASL_PLAINTEXT 3 SASL_SSL */
};

struct meta_feature_range {
    struct str name;
    int16_t min, max;
};

struct meta_broker {
    struct meta_object object;
    int32_t id;
    int64_t epoch;
    struct uuid incarnation;
    bool fenced;
    bool in_controlled_shutdown;
    struct str rack; /* null when none */
    const struct meta_endpoint *endpoints;
    int32_t endpoint_count;
    const struct meta_feature_range *features;
    int32_t feature_count;
    const struct uuid *log_dirs; /* sorted as registered */
    int32_t log_dir_count;
    const struct uuid *cordoned_log_dirs;
    int32_t cordoned_log_dir_count;
};

/* Directory ids with a meaning of their own (KIP-858). */
#define META_DIR_MIGRATING ((struct uuid){{0}})
#define META_DIR_UNASSIGNED ((struct uuid){{[15] = 1}})
#define META_DIR_LOST ((struct uuid){{[15] = 2}})

/* ---- references ---- */

/* An image of nothing. */
MUST_USE enum err meta_image_new_empty(struct str cluster_id, struct meta_image **out);
void meta_image_ref(struct meta_image *image);
void meta_image_unref(struct meta_image **image); /* nulls */

/* ---- whole image ---- */

/* Offset of the last record it contains, -1 when none; epoch and append time of that record. */
int64_t meta_image_offset(const struct meta_image *image);
int32_t meta_image_epoch(const struct meta_image *image);
int64_t meta_image_timestamp_ms(const struct meta_image *image);
struct str meta_image_cluster_id(const struct meta_image *image);

/* ---- topics ---- */

/* NULL when there is none. */
const struct meta_topic *meta_image_topic(const struct meta_image *image, struct str name);
const struct meta_topic *meta_image_topic_by_id(const struct meta_image *image, struct uuid id);
/* In the order of names: the first after `name` (STR_NULL: the very first), NULL at the end. */
const struct meta_topic *meta_image_topic_after(const struct meta_image *image, struct str name);
int32_t meta_image_topic_count(const struct meta_image *image);
int32_t meta_image_partition_count(const struct meta_image *image);
/* NULL when the topic has no such partition. */
static inline const struct meta_partition *
meta_topic_partition(const struct meta_topic *topic, int32_t index)
{
    return index >= 0 && index < topic->partition_count ? topic->partitions[index] : NULL;
}
/* NULL for an unknown topic or partition. */
const struct meta_partition *meta_image_partition(
    const struct meta_image *image, struct uuid id, int32_t index);
/* The directory in which broker_id holds the partition; META_DIR_UNASSIGNED if it is no replica. */
struct uuid meta_partition_directory(const struct meta_partition *partition, int32_t broker_id);
/* __consumer_offsets, __transaction_state, __share_group_state: what Metadata calls internal. */
bool meta_topic_name_is_internal(struct str name);

/* ---- brokers ---- */

const struct meta_broker *meta_image_broker(const struct meta_image *image, int32_t id);
/* In the order of ids: the first above `id` (-1: the very first), NULL at the end. */
const struct meta_broker *meta_image_broker_after(const struct meta_image *image, int32_t id);
int32_t meta_image_broker_count(const struct meta_image *image);
/* Registered, not fenced. */
bool meta_image_broker_is_alive(const struct meta_image *image, int32_t id);
/* NULL when the broker has no such listener. */
const struct meta_endpoint *meta_broker_endpoint(
    const struct meta_broker *broker, struct str listener);

/* ---- configuration overrides, as they stand in the log; see meta/config.h for what is in force
 * ---- */

struct meta_config_entry {
    struct str key; /* both terminated */
    struct str value;
};

/* Of a resource (enum meta_resource, its name; "" is the default broker), sorted by key. */
struct meta_config_entries {
    const struct meta_config_entry *items;
    int32_t count;
};
struct meta_config_entries meta_image_configs(
    const struct meta_image *image, int8_t resource_type, struct str name);
/* STR_NULL when not set. */
struct str meta_image_config(
    const struct meta_image *image, int8_t resource_type, struct str name, struct str key);
/* Resources of one type which have entries, in order of names: the first after `name` (STR_NULL:
 * the first). False at the end. */
bool meta_image_config_resource_after(
    const struct meta_image *image, int8_t resource_type, struct str name, struct str *out);

/* ---- features ---- */

/* Finalized level, 0 when none. */
int16_t meta_image_feature(const struct meta_image *image, struct str name);
struct meta_feature_level {
    struct str name;
    int16_t level;
};
/* In the order of names; false at the end. */
bool meta_image_feature_after(
    const struct meta_image *image, struct str name, struct meta_feature_level *out);

/* ---- client quotas, as they stand in the log (KIP-546) ---- */

struct meta_quota_part {
    struct str type; /* "user", "client-id" or "ip"; terminated */
    struct str name; /* null: the default of its type */
};

struct meta_quota_value {
    struct str key; /* "producer_byte_rate" ... */
    double value;
};

/* What is set for one entity. */
struct meta_quota {
    struct meta_object object;
    const struct meta_quota_part *parts; /* in the order of types, each once */
    int32_t part_count;
    const struct meta_quota_value *values; /* in the order of keys */
    int32_t value_count;
};

/* Parts in the order of types. NULL when nothing is set for the entity. */
const struct meta_quota *meta_image_quota(
    const struct meta_image *image, const struct meta_quota_part *parts, int32_t part_count);
/* In a stable order: the first after `after` (NULL: the very first), NULL at the end. */
const struct meta_quota *meta_image_quota_after(
    const struct meta_image *image, const struct meta_quota *after);
int32_t meta_image_quota_count(const struct meta_image *image);
/* NULL when the entity has no part of that type. */
const struct meta_quota_part *meta_quota_part(const struct meta_quota *quota, struct str type);
/* NULL when the key is not set. */
const double *meta_quota_value(const struct meta_quota *quota, struct str key);

/* ---- the rest ---- */

/* First producer id that no block contains yet. */
int64_t meta_image_producer_id_next(const struct meta_image *image);

/* Records which are kept but not interpreted here: SCRAM credentials, ACLs, tokens, controller
 * registrations. In a stable order: the first of that record type after `after` (NULL:
 * the first), NULL at the end. */
struct meta_raw {
    struct meta_object object;
    uint16_t type;      /* the record's id, e.g. 18 AccessControlEntry */
    struct bytes key;   /* type and identity; opaque */
    struct bytes frame; /* the framed record, for meta_record_decode */
};
const struct meta_raw *meta_image_raw_after(
    const struct meta_image *image, uint16_t type, const struct meta_raw *after);

#endif
