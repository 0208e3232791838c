/* What: Kafka's defaults for a log. */
#include "log/log_config.h"

void
log_config_default(struct log_config *config)
{
    *config = (struct log_config){
        .segment_bytes = 1 << 30,
        .segment_ms = 168LL * 3600 * 1000,
        .segment_index_bytes = 10 << 20,
        .index_interval_bytes = 4096,
        .retention_ms = 168LL * 3600 * 1000,
        .retention_bytes = -1,
        .file_delete_delay_ms = 60000,
        .flush_messages = INT64_MAX,
        .flush_ms = INT64_MAX,
        .max_message_bytes = 1048588,
        .timestamp_before_max_ms = INT64_MAX,
        .timestamp_after_max_ms = 3600000,
        .cleanup_delete = true,
        .codec_keep = true,
        .compression_level = COMPRESS_LEVEL_DEFAULT,
        .min_cleanable_dirty_ratio = 0.5,
        .max_compaction_lag_ms = INT64_MAX,
        .delete_retention_ms = 86400000,
    };
}
