/* meta/delta.h - what differs between two images, for those who act on changes. */
#ifndef META_DELTA_H
#define META_DELTA_H

#include "meta/image.h"

struct meta_delta_topic {
    const struct meta_topic *before; /* NULL: created */
    const struct meta_topic *after;  /* NULL: deleted */
    /* Indexes of partitions that are new, changed or gone; all of them for created and deleted. */
    const int32_t *partitions;
    int32_t partition_count;
};

struct meta_delta_broker {
    const struct meta_broker *before; /* NULL: new */
    const struct meta_broker *after;  /* NULL: unregistered */
};

struct meta_delta_config {
    int8_t resource_type; /* enum meta_resource */
    struct str name;      /* "" is the default broker */
};

/* Owned by whoever built it; holds references to both images. A topic that was deleted and created
 * again under its name appears twice: the deletion first. */
struct meta_delta {
    struct meta_image *before;
    struct meta_image *after;
    struct meta_delta_topic *topics;
    int32_t topic_count;
    struct meta_delta_broker *brokers;
    int32_t broker_count;
    struct meta_delta_config *configs;
    int32_t config_count;
    bool features_changed;
    bool producer_ids_changed;
    bool quotas_changed;
    bool scram_changed;
    bool acls_changed;
    bool tokens_changed;
};

void meta_delta_free(struct meta_delta **delta);

#endif
