/* meta/config.c - which of the values that a key may have is in force. Pure; any thread. */
#include "meta/config.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "meta/config_def.h"

static struct meta_config_value
found(struct str value, enum meta_config_source source, struct str key)
{
    return (struct meta_config_value){value, source, key};
}

/* Dynamic value of this broker, then of the cluster, then the static one; null when none is set. */
static struct meta_config_value
set_broker_value(const struct meta_image *image, const struct meta_config_rules *rules,
    int32_t broker_id, struct str key)
{
    char id[16];
    snprintf(id, sizeof id, "%d", (int)broker_id);
    struct str value = meta_image_config(image, META_RESOURCE_BROKER, str_of(id), key);
    if (!str_is_null(value))
        return found(value, META_CONFIG_SOURCE_DYNAMIC_BROKER, key);
    value = meta_image_config(image, META_RESOURCE_BROKER, STR(""), key);
    if (!str_is_null(value))
        return found(value, META_CONFIG_SOURCE_DYNAMIC_DEFAULT, key);
    value = rules->static_value(rules->ctx, key);
    if (!str_is_null(value))
        return found(value, META_CONFIG_SOURCE_STATIC, key);
    return found(STR_NULL, META_CONFIG_SOURCE_NONE, key);
}

struct meta_config_value
meta_config_broker(const struct meta_image *image, const struct meta_config_rules *rules,
    int32_t broker_id, struct str key)
{
    struct meta_config_value value = set_broker_value(image, rules, broker_id, key);
    if (str_is_null(value.value))
        value = found(rules->default_value(rules->ctx, META_RESOURCE_BROKER, key),
            META_CONFIG_SOURCE_DEFAULT, key);
    return value;
}

static struct meta_config_value
resource_value(const struct meta_image *image, const struct meta_config_rules *rules,
    int32_t broker_id, int8_t type, struct str name, struct str key)
{
    struct str own = meta_image_config(image, type, name, key);
    if (!str_is_null(own))
        return found(own,
            type == META_RESOURCE_TOPIC ? META_CONFIG_SOURCE_TOPIC : META_CONFIG_SOURCE_GROUP, key);
    struct str synonym = rules->synonym(rules->ctx, type, key, 0);
    for (int32_t nth = 1; !str_is_null(synonym); nth++) {
        struct meta_config_value value = set_broker_value(image, rules, broker_id, synonym);
        if (!str_is_null(value.value))
            return value;
        synonym = rules->synonym(rules->ctx, type, key, nth);
    }
    return found(rules->default_value(rules->ctx, type, key), META_CONFIG_SOURCE_DEFAULT, key);
}

struct meta_config_value
meta_config_topic(const struct meta_image *image, const struct meta_config_rules *rules,
    int32_t broker_id, struct str topic, struct str key)
{
    return resource_value(image, rules, broker_id, META_RESOURCE_TOPIC, topic, key);
}

struct meta_config_value
meta_config_group(const struct meta_image *image, const struct meta_config_rules *rules,
    int32_t broker_id, struct str group, struct str key)
{
    return resource_value(image, rules, broker_id, META_RESOURCE_GROUP, group, key);
}

int64_t
meta_config_topic_i64(const struct meta_image *image, const struct meta_config_rules *rules,
    int32_t broker_id, struct str topic, const char *key, int64_t fallback)
{
    int64_t v = fallback;
    struct meta_config_value value = meta_config_topic(image, rules, broker_id, topic, str_of(key));
    if (!str_is_null(value.value))
        (void)config_parse_i64(value.value, &v);
    return v;
}
