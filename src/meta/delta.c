/* meta/delta.c - what a builder touched becomes the difference of two images. */
#include "meta/delta.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "meta/builder_priv.h"

/* Indexes at which the two differ. */
static enum err
differing_partitions(struct meta_delta_topic *t)
{
    int32_t before = t->before == NULL ? 0 : t->before->partition_count;
    int32_t after = t->after == NULL ? 0 : t->after->partition_count;
    int32_t most = before > after ? before : after;
    int32_t *items = mem_calloc((size_t)most + 1, sizeof *items);
    if (items == NULL)
        return ERR_NOMEM;
    for (int32_t i = 0; i < most; i++)
        if (i >= before || i >= after || t->before->partitions[i] != t->after->partitions[i])
            items[t->partition_count++] = i;
    t->partitions = items;
    return ERR_OK;
}

static enum err
fill_topics(const struct meta_builder *b, struct meta_delta *delta)
{
    delta->topics = mem_calloc((size_t)b->topic_count + 1, sizeof *delta->topics);
    if (delta->topics == NULL)
        return ERR_NOMEM;
    /* Deletions first: a name may come back under another id. */
    for (int pass = 0; pass < 2; pass++)
        for (int32_t i = 0; i < b->topic_count; i++) {
            struct meta_delta_topic t = {
                .before = meta_image_topic_by_id(delta->before, b->topic_ids[i]),
                .after = meta_image_topic_by_id(delta->after, b->topic_ids[i])};
            if ((t.after == NULL) != (pass == 0) || (t.before == NULL && t.after == NULL))
                continue;
            enum err err = differing_partitions(&t);
            if (err != ERR_OK)
                return err;
            delta->topics[delta->topic_count++] = t;
        }
    return ERR_OK;
}

static enum err
fill(struct meta_builder *b, struct meta_delta *delta)
{
    enum err err = fill_topics(b, delta);
    if (err != ERR_OK)
        return err;
    delta->brokers = mem_calloc((size_t)b->broker_count + 1, sizeof *delta->brokers);
    if (delta->brokers == NULL)
        return ERR_NOMEM;
    for (int32_t i = 0; i < b->broker_count; i++)
        delta->brokers[delta->broker_count++] =
            (struct meta_delta_broker){meta_image_broker(delta->before, b->broker_ids[i]),
                meta_image_broker(delta->after, b->broker_ids[i])};
    delta->configs = b->configs; /* with its names */
    delta->config_count = b->config_count;
    b->configs = NULL;
    b->config_count = 0;
    delta->features_changed = b->features_changed;
    delta->producer_ids_changed = b->producer_ids_changed;
    delta->quotas_changed = b->quotas_changed;
    delta->scram_changed = b->scram_changed;
    delta->acls_changed = b->acls_changed;
    delta->tokens_changed = b->tokens_changed;
    return ERR_OK;
}

void
meta_delta_free(struct meta_delta **delta)
{
    struct meta_delta *d = *delta;
    if (d == NULL)
        return;
    for (int32_t i = 0; i < d->topic_count; i++)
        mem_free((void *)(uintptr_t)d->topics[i].partitions);
    for (int32_t i = 0; i < d->config_count; i++)
        mem_free((void *)(uintptr_t)d->configs[i].name.data);
    mem_free(d->topics);
    mem_free(d->brokers);
    mem_free(d->configs);
    meta_image_unref(&d->before);
    meta_image_unref(&d->after);
    mem_free(d);
    *delta = NULL;
}

/* From now on nobody may change the topics in place. */
static void
seal_topics(struct meta_builder *b)
{
    for (int32_t i = 0; i < b->topic_count; i++) {
        struct meta_object *object =
            meta_table_find(b->image->topics_by_id, &b->topic_ids[i], meta_cmp_topic_id);
        if (object == NULL)
            continue;
        CONTAINER_OF(CONTAINER_OF(object, struct meta_topic, object), struct meta_topic_body, topic)
            ->builder = NULL;
    }
}

enum err
meta_builder_finish(struct meta_builder **builder, int64_t offset, int32_t epoch,
    int64_t timestamp_ms, struct meta_image **image, struct meta_delta **delta)
{
    struct meta_builder *b = *builder;
    struct meta_delta *d = mem_calloc(1, sizeof *d);
    enum err err = d == NULL ? ERR_NOMEM : ERR_OK;
    if (err == ERR_OK) {
        seal_topics(b);
        b->image->offset = offset;
        b->image->epoch = epoch;
        b->image->timestamp_ms = timestamp_ms;
        d->before = b->base;
        d->after = b->image;
        meta_image_ref(d->before);
        meta_image_ref(d->after);
        err = fill(b, d);
    }
    if (err == ERR_OK) {
        *image = b->image;
        b->image = NULL;
        *delta = d;
    } else {
        meta_delta_free(&d);
    }
    meta_builder_free(builder);
    return err;
}
