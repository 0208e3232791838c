/* meta/config.h - configuration of resources: what may be set, and what is in force.
 *
 * Overrides live in the image. Which keys exist, their types, defaults and the node's own static
 * values come from the outside through struct meta_config_rules. */
#ifndef META_CONFIG_H
#define META_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "meta/image.h"

/* Numbers of the protocol (ConfigResource.Type). */
enum meta_resource {
    META_RESOURCE_TOPIC = 2,
    META_RESOURCE_BROKER = 4,
    META_RESOURCE_BROKER_LOGGER = 8,
    META_RESOURCE_CLIENT_METRICS = 16,
    META_RESOURCE_GROUP = 32,
};

/* Numbers of the protocol (DescribeConfigs' ConfigSource). */
enum meta_config_source {
    META_CONFIG_SOURCE_NONE = 0,
    META_CONFIG_SOURCE_TOPIC = 1,
    META_CONFIG_SOURCE_DYNAMIC_BROKER = 2,
    META_CONFIG_SOURCE_DYNAMIC_DEFAULT = 3,
    META_CONFIG_SOURCE_STATIC = 4,
    META_CONFIG_SOURCE_DEFAULT = 5,
    META_CONFIG_SOURCE_LOGGER = 6,
    META_CONFIG_SOURCE_CLIENT_METRICS = 7,
    META_CONFIG_SOURCE_GROUP = 8,
};

/* A port. Any thread; pure. */
struct meta_config_rules {
    void *ctx;
    /* ERR_OK; NOTFOUND for an unknown key; INVALID for a value that cannot be, with a sentence in
     * *why. value null: only whether the key exists and can be altered dynamically. */
    enum err (*validate)(
        void *ctx, int8_t resource_type, struct str key, struct str value, struct buf *why);
    /* True for keys of type LIST, which APPEND and SUBTRACT work on. */
    bool (*is_list)(void *ctx, int8_t resource_type, struct str key);
    /* The broker key that gives a topic (or group) key its fallback, e.g. "log.retention.ms" for
     * "retention.ms": the nth synonym in order of precedence; STR_NULL after the last. */
    struct str (*synonym)(void *ctx, int8_t resource_type, struct str key, int32_t nth);
    /* The static value of a broker key from the node's configuration; STR_NULL when not set. */
    struct str (*static_value)(void *ctx, struct str broker_key);
    /* The built-in default of a key; STR_NULL when it has none. */
    struct str (*default_value)(void *ctx, int8_t resource_type, struct str key);
};

struct meta_config_value {
    struct str value; /* null: no value at all */
    enum meta_config_source source;
    struct str key; /* under which key it was found */
};

/* What is in force for a topic on a broker: topic > dynamic broker > dynamic default > static >
 * default. The views live as long as the image and the rules. */
struct meta_config_value meta_config_topic(const struct meta_image *image,
    const struct meta_config_rules *rules, int32_t broker_id, struct str topic, struct str key);
/* The same for a key of the broker itself. */
struct meta_config_value meta_config_broker(const struct meta_image *image,
    const struct meta_config_rules *rules, int32_t broker_id, struct str key);
/* The same for a group. */
struct meta_config_value meta_config_group(const struct meta_image *image,
    const struct meta_config_rules *rules, int32_t broker_id, struct str group, struct str key);
/* Parsed, `fallback` when there is no value or it is not a number. */
int64_t meta_config_topic_i64(const struct meta_image *image, const struct meta_config_rules *rules,
    int32_t broker_id, struct str topic, const char *key, int64_t fallback);

#endif
