/* replica/topic_config.h - what a topic's configuration in force means for its logs. */
#ifndef REPLICA_TOPIC_CONFIG_H
#define REPLICA_TOPIC_CONFIG_H

#include <stdint.h>

#include "base/bytes.h"
#include "log/log_config.h"
#include "meta/config.h"
#include "meta/image.h"

struct replica_topic_config {
    struct log_config log;
    int32_t isr_min; /* min.insync.replicas */
};

/* Values that cannot be read fall back to Kafka's defaults. Pure; any thread. */
void replica_topic_config_get(const struct meta_image *image, const struct meta_config_rules *rules,
    int32_t node_id, struct str topic, struct replica_topic_config *out);

#endif
