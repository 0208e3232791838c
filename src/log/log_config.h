/* log/log_config.h - the settings of one partition's log; plain values that others fill from topic
 * and broker configuration. Names are Kafka's keys. */
#ifndef LOG_LOG_CONFIG_H
#define LOG_LOG_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "wire/compress.h"

struct log_config {
    int32_t segment_bytes;           /* segment.bytes */
    int64_t segment_ms;              /* segment.ms */
    int64_t segment_jitter_ms;       /* segment.jitter.ms */
    int32_t segment_index_bytes;     /* segment.index.bytes */
    int32_t index_interval_bytes;    /* index.interval.bytes */
    int64_t retention_ms;            /* retention.ms; -1: no limit */
    int64_t retention_bytes;         /* retention.bytes; -1: no limit */
    int64_t file_delete_delay_ms;    /* file.delete.delay.ms */
    int64_t flush_messages;          /* flush.messages; INT64_MAX: never */
    int64_t flush_ms;                /* flush.ms; INT64_MAX: never */
    int32_t max_message_bytes;       /* max.message.bytes */
    int64_t timestamp_before_max_ms; /* message.timestamp.before.max.ms */
    int64_t timestamp_after_max_ms;  /* message.timestamp.after.max.ms */
    bool timestamp_log_append;       /* message.timestamp.type=LogAppendTime */
    bool cleanup_delete;             /* cleanup.policy has delete */
    bool cleanup_compact;            /* cleanup.policy has compact */
    bool preallocate;                /* preallocate */
    bool codec_keep;                 /* compression.type=producer */
    enum compress_codec codec;       /* else this one */
    int compression_level;           /* of that codec; COMPRESS_LEVEL_DEFAULT */
    /* For the cleaner. */
    double min_cleanable_dirty_ratio;
    int64_t min_compaction_lag_ms;
    int64_t max_compaction_lag_ms;
    int64_t delete_retention_ms;
};

/* Kafka's defaults. */
void log_config_default(struct log_config *config);

#endif
