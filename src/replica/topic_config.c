/* replica/topic_config.c - from keys and texts to the log's settings. */
#include "replica/topic_config.h"

#include <stdlib.h>

#include "meta/config_def.h"

struct source {
    const struct meta_image *image;
    const struct meta_config_rules *rules;
    int32_t node_id;
    struct str topic;
};

static struct meta_config_value
value_of(const struct source *src, const char *key)
{
    return meta_config_topic(src->image, src->rules, src->node_id, src->topic, str_of(key));
}

/* A broker key may count in hours what the topic key counts in milliseconds. */
static int64_t
factor_of(const char *key, struct str found_key)
{
    const struct config_def *def = config_def_find(CONFIG_SCOPE_TOPIC, str_of(key));

    for (int i = 0; def != NULL && i < CONFIG_SYNONYMS_MAX; i++) {
        const struct config_synonym *synonym = &def->synonyms[i];
        if (synonym->name != NULL && str_eq_z(found_key, synonym->name))
            return synonym->factor > 0 ? synonym->factor : 1;
    }
    return 1;
}

static bool
parse_i64(struct str text, int64_t *out)
{
    char digits[32];
    char *end;

    if (text.len == 0 || text.len >= sizeof digits)
        return false;
    memcpy(digits, text.data, text.len);
    digits[text.len] = '\0';
    *out = strtoll(digits, &end, 10);
    return *end == '\0';
}

static int64_t
get_i64(const struct source *src, const char *key, int64_t fallback)
{
    struct meta_config_value value = value_of(src, key);
    int64_t number, factor;

    if (str_is_null(value.value) || !parse_i64(value.value, &number))
        return fallback;
    factor = factor_of(key, value.key);
    if (number > 0 && number > INT64_MAX / factor)
        return INT64_MAX;
    return number < 0 ? number : number * factor; /* -1 is no limit in every unit */
}

static int32_t
get_i32(const struct source *src, const char *key, int32_t fallback)
{
    int64_t number = get_i64(src, key, fallback);

    return number < INT32_MIN || number > INT32_MAX ? fallback : (int32_t)number;
}

static bool
get_bool(const struct source *src, const char *key, bool fallback)
{
    struct meta_config_value value = value_of(src, key);

    if (str_is_null(value.value))
        return fallback;
    return str_eq_z(value.value, "true");
}

static double
get_f64(const struct source *src, const char *key, double fallback)
{
    struct meta_config_value value = value_of(src, key);
    char text[32];

    if (value.value.len == 0 || value.value.len >= sizeof text)
        return fallback;
    memcpy(text, value.value.data, value.value.len);
    text[value.value.len] = '\0';
    return strtod(text, NULL);
}

static bool
list_has(struct str list, const char *word)
{
    size_t word_len = strlen(word);
    size_t at = 0;

    while (at < list.len) {
        size_t end = at;
        while (end < list.len && list.data[end] != ',')
            end++;
        while (at < end && list.data[at] == ' ')
            at++;
        if (end - at >= word_len && memcmp(list.data + at, word, word_len) == 0)
            return true;
        at = end + 1;
    }
    return false;
}

static void
get_cleanup(const struct source *src, struct log_config *config)
{
    struct meta_config_value policy = value_of(src, "cleanup.policy");

    if (str_is_null(policy.value))
        return;
    config->cleanup_delete = list_has(policy.value, "delete");
    config->cleanup_compact = list_has(policy.value, "compact");
}

static void
get_compression(const struct source *src, struct log_config *config)
{
    struct meta_config_value type = value_of(src, "compression.type");
    enum compress_codec codec = COMPRESS_NONE;

    if (str_is_null(type.value))
        return;
    config->codec_keep = str_eq_z(type.value, "producer");
    if (config->codec_keep)
        return;
    if (!str_eq_z(type.value, "uncompressed") && !compress_codec_parse(type.value, &codec)) {
        config->codec_keep = true;
        return;
    }
    config->codec = codec;
    config->compression_level = COMPRESS_LEVEL_DEFAULT;
    if (codec == COMPRESS_GZIP)
        config->compression_level = get_i32(src, "compression.gzip.level", -1);
    else if (codec == COMPRESS_LZ4)
        config->compression_level = get_i32(src, "compression.lz4.level", 9);
    else if (codec == COMPRESS_ZSTD)
        config->compression_level = get_i32(src, "compression.zstd.level", 3);
    if (!compress_level_valid(codec, config->compression_level))
        config->compression_level = COMPRESS_LEVEL_DEFAULT;
}

static void
get_numbers(const struct source *src, struct log_config *c)
{
    c->segment_bytes = get_i32(src, "segment.bytes", c->segment_bytes);
    c->segment_ms = get_i64(src, "segment.ms", c->segment_ms);
    c->segment_jitter_ms = get_i64(src, "segment.jitter.ms", c->segment_jitter_ms);
    c->segment_index_bytes = get_i32(src, "segment.index.bytes", c->segment_index_bytes);
    c->index_interval_bytes = get_i32(src, "index.interval.bytes", c->index_interval_bytes);
    c->retention_ms = get_i64(src, "retention.ms", c->retention_ms);
    c->retention_bytes = get_i64(src, "retention.bytes", c->retention_bytes);
    c->file_delete_delay_ms = get_i64(src, "file.delete.delay.ms", c->file_delete_delay_ms);
    c->flush_messages = get_i64(src, "flush.messages", c->flush_messages);
    c->flush_ms = get_i64(src, "flush.ms", c->flush_ms);
    c->max_message_bytes = get_i32(src, "max.message.bytes", c->max_message_bytes);
    c->timestamp_before_max_ms =
        get_i64(src, "message.timestamp.before.max.ms", c->timestamp_before_max_ms);
    c->timestamp_after_max_ms =
        get_i64(src, "message.timestamp.after.max.ms", c->timestamp_after_max_ms);
    c->min_compaction_lag_ms = get_i64(src, "min.compaction.lag.ms", c->min_compaction_lag_ms);
    c->max_compaction_lag_ms = get_i64(src, "max.compaction.lag.ms", c->max_compaction_lag_ms);
    c->delete_retention_ms = get_i64(src, "delete.retention.ms", c->delete_retention_ms);
    c->min_cleanable_dirty_ratio =
        get_f64(src, "min.cleanable.dirty.ratio", c->min_cleanable_dirty_ratio);
}

void
replica_topic_config_get(const struct meta_image *image, const struct meta_config_rules *rules,
    int32_t node_id, struct str topic, struct replica_topic_config *out)
{
    const struct source src = {image, rules, node_id, topic};
    struct meta_config_value type;

    log_config_default(&out->log);
    get_numbers(&src, &out->log);
    get_cleanup(&src, &out->log);
    get_compression(&src, &out->log);
    out->log.preallocate = get_bool(&src, "preallocate", out->log.preallocate);
    type = value_of(&src, "message.timestamp.type");
    if (!str_is_null(type.value))
        out->log.timestamp_log_append = str_eq_z(type.value, "LogAppendTime");
    out->isr_min = get_i32(&src, "min.insync.replicas", 1);
}
