/* meta/builder_priv.h - the builder's body, for builder.c, builder_topics.c, builder_rest.c,
 * delta.c. */
#ifndef META_BUILDER_PRIV_H
#define META_BUILDER_PRIV_H

#include "base/arena.h"
#include "meta/builder.h"
#include "meta/image_priv.h"
#include "meta/records.h"

/* Topics that changed, each once for each id; brokers and configs likewise. */
struct meta_builder {
    struct meta_image *base;  /* referenced */
    struct meta_image *image; /* private until finish */
    struct arena scratch;     /* decoding of one record */
    struct uuid *topic_ids;   /* owned arrays */
    int32_t topic_count, topic_capacity;
    int32_t *broker_ids;
    int32_t broker_count, broker_capacity;
    struct meta_delta_config *configs; /* names are owned copies */
    int32_t config_count, config_capacity;
    bool features_changed, producer_ids_changed, quotas_changed, scram_changed, acls_changed,
        tokens_changed;
    bool in_transaction;
};

/* Decodes a record's body into *message (already of the right struct). */
MUST_USE enum err builder_decode(struct meta_builder *b, const struct meta_record_frame *frame,
    const struct proto_schema *schema, void *message);

MUST_USE enum err builder_touch_topic(struct meta_builder *b, struct uuid id);
MUST_USE enum err builder_touch_broker(struct meta_builder *b, int32_t id);
MUST_USE enum err builder_touch_config(struct meta_builder *b, int8_t type, struct str name);

enum err builder_topic(struct meta_builder *b, const struct meta_record_frame *frame);
enum err builder_partition(struct meta_builder *b, const struct meta_record_frame *frame);
enum err builder_partition_change(struct meta_builder *b, const struct meta_record_frame *frame);
enum err builder_remove_topic(struct meta_builder *b, const struct meta_record_frame *frame);
enum err builder_clear_elr(struct meta_builder *b, const struct meta_record_frame *frame);

enum err builder_register_broker(struct meta_builder *b, const struct meta_record_frame *frame);
enum err builder_unregister_broker(struct meta_builder *b, const struct meta_record_frame *frame);
enum err builder_broker_change(struct meta_builder *b, const struct meta_record_frame *frame);
enum err builder_fence_broker(struct meta_builder *b, const struct meta_record_frame *frame);

enum err builder_config(struct meta_builder *b, const struct meta_record_frame *frame);
MUST_USE enum err builder_drop_configs(struct meta_builder *b, int8_t type, struct str name);
enum err builder_feature(struct meta_builder *b, const struct meta_record_frame *frame);
enum err builder_producer_ids(struct meta_builder *b, const struct meta_record_frame *frame);
enum err builder_quota(struct meta_builder *b, const struct meta_record_frame *frame);
enum err builder_raw(
    struct meta_builder *b, const struct meta_record_frame *frame, struct bytes value);

#endif
