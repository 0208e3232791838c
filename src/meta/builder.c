/* meta/builder.c - replays records one by one, and remembers what they touched.
 *
 * Invariants: I1 `image` is private: its head is only this builder's, its tables are copied at
 * their first change. I2 nothing reachable from `base` is ever changed. One thread. */
#include "meta/builder.h"

#include <string.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "meta/builder_priv.h"

enum { SCRATCH_BYTES = 16 << 20 };

enum err
meta_builder_new(const struct meta_image *base, struct meta_builder **out)
{
    struct meta_builder *b = mem_calloc(1, sizeof *b);
    if (b == NULL)
        return ERR_NOMEM;
    arena_init(&b->scratch, SCRATCH_BYTES);
    if (meta_image_copy(base, &b->image) != ERR_OK) {
        meta_builder_free(&b);
        return ERR_NOMEM;
    }
    b->base = (struct meta_image *)(uintptr_t)base;
    meta_image_ref(b->base);
    *out = b;
    return ERR_OK;
}

void
meta_builder_free(struct meta_builder **builder)
{
    struct meta_builder *b = *builder;
    if (b == NULL)
        return;
    for (int32_t i = 0; i < b->config_count; i++)
        mem_free((void *)(uintptr_t)b->configs[i].name.data);
    mem_free(b->topic_ids);
    mem_free(b->broker_ids);
    mem_free(b->configs);
    arena_fini(&b->scratch);
    meta_image_unref(&b->image);
    meta_image_unref(&b->base);
    mem_free(b);
    *builder = NULL;
}

enum err
builder_decode(struct meta_builder *b, const struct meta_record_frame *frame,
    const struct proto_schema *schema, void *message)
{
    struct reader r;
    reader_init(&r, frame->body);
    return proto_decode(schema, frame->version, &r, &b->scratch, message);
}

/* Room for one more in an owned array. */
static void *
grow(void *items, int32_t count, int32_t *capacity, size_t size)
{
    if (count < *capacity)
        return items;
    int32_t wanted = *capacity == 0 ? 8 : *capacity * 2;
    void *bigger = mem_realloc(items, (size_t)wanted * size);
    if (bigger != NULL)
        *capacity = wanted;
    return bigger;
}

enum err
builder_touch_topic(struct meta_builder *b, struct uuid id)
{
    /* Records of one topic come together: the last one is nearly always it. */
    for (int32_t i = b->topic_count - 1; i >= 0; i--)
        if (uuid_eq(b->topic_ids[i], id))
            return ERR_OK;
    struct uuid *ids = grow(b->topic_ids, b->topic_count, &b->topic_capacity, sizeof *ids);
    if (ids == NULL)
        return ERR_NOMEM;
    b->topic_ids = ids;
    ids[b->topic_count++] = id;
    return ERR_OK;
}

enum err
builder_touch_broker(struct meta_builder *b, int32_t id)
{
    for (int32_t i = 0; i < b->broker_count; i++)
        if (b->broker_ids[i] == id)
            return ERR_OK;
    int32_t *ids = grow(b->broker_ids, b->broker_count, &b->broker_capacity, sizeof *ids);
    if (ids == NULL)
        return ERR_NOMEM;
    b->broker_ids = ids;
    ids[b->broker_count++] = id;
    return ERR_OK;
}

enum err
builder_touch_config(struct meta_builder *b, int8_t type, struct str name)
{
    for (int32_t i = b->config_count - 1; i >= 0; i--)
        if (b->configs[i].resource_type == type && str_eq(b->configs[i].name, name))
            return ERR_OK;
    struct meta_delta_config *configs =
        grow(b->configs, b->config_count, &b->config_capacity, sizeof *configs);
    if (configs == NULL)
        return ERR_NOMEM;
    b->configs = configs;
    char *copy = mem_strndup(name.len > 0 ? name.data : "", name.len);
    if (copy == NULL)
        return ERR_NOMEM;
    configs[b->config_count++] = (struct meta_delta_config){type, {copy, name.len}};
    return ERR_OK;
}

static enum err
replay(struct meta_builder *b, const struct meta_record_frame *frame, struct bytes value)
{
    switch ((enum meta_record_type)frame->type) {
    case META_RECORD_REGISTER_BROKER: return builder_register_broker(b, frame);
    case META_RECORD_UNREGISTER_BROKER: return builder_unregister_broker(b, frame);
    case META_RECORD_BROKER_REGISTRATION_CHANGE: return builder_broker_change(b, frame);
    case META_RECORD_FENCE_BROKER:
    case META_RECORD_UNFENCE_BROKER: return builder_fence_broker(b, frame);
    case META_RECORD_TOPIC: return builder_topic(b, frame);
    case META_RECORD_PARTITION: return builder_partition(b, frame);
    case META_RECORD_PARTITION_CHANGE: return builder_partition_change(b, frame);
    case META_RECORD_REMOVE_TOPIC: return builder_remove_topic(b, frame);
    case META_RECORD_CLEAR_ELR: return builder_clear_elr(b, frame);
    case META_RECORD_CONFIG: return builder_config(b, frame);
    case META_RECORD_FEATURE_LEVEL: return builder_feature(b, frame);
    case META_RECORD_PRODUCER_IDS: return builder_producer_ids(b, frame);
    case META_RECORD_CLIENT_QUOTA: return builder_quota(b, frame);
    case META_RECORD_DELEGATION_TOKEN:
    case META_RECORD_REMOVE_DELEGATION_TOKEN:
    case META_RECORD_USER_SCRAM_CREDENTIAL:
    case META_RECORD_REMOVE_USER_SCRAM_CREDENTIAL:
    case META_RECORD_ACCESS_CONTROL_ENTRY:
    case META_RECORD_REMOVE_ACCESS_CONTROL_ENTRY:
    case META_RECORD_ZK_MIGRATION_STATE:
    case META_RECORD_REGISTER_CONTROLLER:
    case META_RECORD_UNREGISTER_CONTROLLER: return builder_raw(b, frame, value);
    case META_RECORD_NO_OP: return ERR_OK;
    case META_RECORD_BEGIN_TRANSACTION: b->in_transaction = true; return ERR_OK;
    case META_RECORD_END_TRANSACTION:
    case META_RECORD_ABORT_TRANSACTION: b->in_transaction = false; return ERR_OK;
    }
    return ERR_UNSUPPORTED;
}

enum err
meta_builder_replay(struct meta_builder *builder, struct bytes value)
{
    struct meta_record_frame frame;
    enum err err = meta_record_parse(value, &frame);
    if (err != ERR_OK)
        return err;
    arena_reset(&builder->scratch);
    return replay(builder, &frame, value);
}
