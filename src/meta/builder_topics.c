/* meta/builder_topics.c - topics and partitions. One thread. */
#include <string.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "meta/builder_priv.h"
#include "proto/clear_elr_record.h"
#include "proto/partition_change_record.h"
#include "proto/partition_record.h"
#include "proto/remove_topic_record.h"
#include "proto/topic_record.h"

enum { NO_LEADER_CHANGE = -2, NO_RECOVERY_CHANGE = -1, PARTITIONS_MAX = 10000000 };

/* ---- partitions: one block with its arrays ---- */

struct partition_parts {
    struct meta_ids replicas, isr, removing, adding, elr, last_known_elr;
    const struct uuid *directories; /* one a replica; NULL: unassigned */
};

static void
partition_free(struct meta_object *object)
{
    mem_free(CONTAINER_OF(object, struct meta_partition, object));
}

static struct meta_ids
put_ids(int32_t **at, struct meta_ids ids)
{
    int32_t count = ids.count > 0 ? ids.count : 0;
    struct meta_ids out = {*at, count};
    if (count > 0)
        memcpy(*at, ids.items, (size_t)count * sizeof **at);
    *at += count;
    return out;
}

static struct meta_partition *
partition_new(const struct meta_partition *head, const struct partition_parts *parts)
{
    const struct meta_ids *lists[] = {&parts->replicas, &parts->isr, &parts->removing,
        &parts->adding, &parts->elr, &parts->last_known_elr};
    size_t ids = 0;
    for (size_t i = 0; i < COUNT_OF(lists); i++)
        ids += lists[i]->count > 0 ? (size_t)lists[i]->count : 0;
    size_t replicas = (size_t)parts->replicas.count;
    struct meta_partition *p =
        mem_alloc(sizeof *p + replicas * sizeof(struct uuid) + ids * sizeof(int32_t));
    if (p == NULL)
        return NULL;
    *p = *head;
    meta_object_init(&p->object, partition_free);
    struct uuid *directories = (struct uuid *)(p + 1);
    for (size_t i = 0; i < replicas; i++)
        directories[i] = parts->directories != NULL ? parts->directories[i] : META_DIR_UNASSIGNED;
    int32_t *at = (int32_t *)(directories + replicas);
    p->directories = directories;
    p->replicas = put_ids(&at, parts->replicas);
    p->isr = put_ids(&at, parts->isr);
    p->removing = put_ids(&at, parts->removing);
    p->adding = put_ids(&at, parts->adding);
    p->elr = put_ids(&at, parts->elr);
    p->last_known_elr = put_ids(&at, parts->last_known_elr);
    return p;
}

/* ---- topics ---- */

static void
topic_free(struct meta_object *object)
{
    struct meta_topic_body *body = CONTAINER_OF(
        CONTAINER_OF(object, struct meta_topic, object), struct meta_topic_body, topic);
    for (int32_t i = 0; i < body->topic.partition_count; i++)
        meta_object_unref(
            body->topic.partitions[i] == NULL ? NULL : &body->topic.partitions[i]->object);
    mem_free(body->topic.partitions);
    mem_free(body);
}

static struct meta_topic_body *
topic_new(struct meta_builder *b, struct str name, struct uuid id)
{
    struct meta_topic_body *body = mem_calloc(1, sizeof *body + name.len + 1);
    if (body == NULL)
        return NULL;
    char *text = (char *)(body + 1);
    memcpy(text, name.data, name.len);
    meta_object_init(&body->topic.object, topic_free);
    body->topic.name = (struct str){text, name.len};
    body->topic.id = id;
    body->builder = b;
    return body;
}

static enum err
put_topic(struct meta_builder *b, struct meta_topic_body *body)
{
    enum err err = meta_table_put(
        &b->image->topics_by_id, &body->topic.id, meta_cmp_topic_id, &body->topic.object);
    if (err == ERR_OK)
        err = meta_table_put(
            &b->image->topics_by_name, &body->topic.name, meta_cmp_topic_name, &body->topic.object);
    if (err == ERR_OK)
        err = builder_touch_topic(b, body->topic.id);
    meta_object_unref(&body->topic.object); /* the tables hold it now */
    return err;
}

/* The topic, changeable in place by this builder; a copy takes the old one's place at first. */
static enum err
own_topic(struct meta_builder *b, struct uuid id, struct meta_topic_body **out)
{
    struct meta_object *object = meta_table_find(b->image->topics_by_id, &id, meta_cmp_topic_id);
    if (object == NULL)
        return ERR_CORRUPT;
    struct meta_topic_body *old = CONTAINER_OF(
        CONTAINER_OF(object, struct meta_topic, object), struct meta_topic_body, topic);
    if (old->builder == b) {
        *out = old;
        return ERR_OK;
    }
    struct meta_topic_body *body = topic_new(b, old->topic.name, id);
    if (body == NULL)
        return ERR_NOMEM;
    body->capacity = old->topic.partition_count;
    body->topic.partitions = mem_calloc((size_t)body->capacity + 1, sizeof *body->topic.partitions);
    if (body->topic.partitions == NULL) {
        meta_object_unref(&body->topic.object);
        return ERR_NOMEM;
    }
    for (int32_t i = 0; i < old->topic.partition_count; i++) {
        meta_object_ref(&old->topic.partitions[i]->object);
        body->topic.partitions[i] = old->topic.partitions[i];
    }
    body->topic.partition_count = old->topic.partition_count;
    enum err err = put_topic(b, body);
    *out = body;
    return err;
}

static enum err
put_partition(struct meta_builder *b, struct meta_topic_body *body, struct meta_partition *p)
{
    struct meta_topic *topic = &body->topic;
    if (p->index == topic->partition_count) {
        if (topic->partition_count >= body->capacity) {
            int32_t capacity = body->capacity * 2 + 4;
            struct meta_partition **items =
                mem_realloc(topic->partitions, (size_t)capacity * sizeof *items);
            if (items == NULL)
                return ERR_NOMEM;
            topic->partitions = items;
            body->capacity = capacity;
        }
        topic->partitions[topic->partition_count++] = p;
        b->image->partition_count++;
        return ERR_OK;
    }
    if (p->index < 0 || p->index > topic->partition_count)
        return ERR_CORRUPT; /* partitions come in the order of their indexes */
    meta_object_unref(&topic->partitions[p->index]->object);
    topic->partitions[p->index] = p;
    return ERR_OK;
}

/* ---- records ---- */

enum err
builder_topic(struct meta_builder *b, const struct meta_record_frame *frame)
{
    struct proto_topic_record record;
    enum err err = builder_decode(b, frame, &proto_topic_record_schema, &record);
    if (err != ERR_OK)
        return err;
    if (meta_image_topic(b->image, record.name) != NULL ||
        meta_image_topic_by_id(b->image, record.topic_id) != NULL)
        return ERR_CORRUPT;
    struct meta_topic_body *body = topic_new(b, record.name, record.topic_id);
    return body == NULL ? ERR_NOMEM : put_topic(b, body);
}

enum err
builder_partition(struct meta_builder *b, const struct meta_record_frame *frame)
{
    struct proto_partition_record r;
    struct meta_topic_body *body;
    enum err err = builder_decode(b, frame, &proto_partition_record_schema, &r);
    if (err == ERR_OK)
        err = own_topic(b, r.topic_id, &body);
    if (err != ERR_OK)
        return err;
    if (r.partition_id < 0 || r.partition_id > PARTITIONS_MAX)
        return ERR_CORRUPT;
    struct meta_partition head = {.index = r.partition_id,
        .leader = r.leader,
        .leader_epoch = r.leader_epoch,
        .partition_epoch = r.partition_epoch,
        .recovery_state =
            r.leader_recovery_state == META_RECOVERING ? META_RECOVERING : META_RECOVERED};
    struct partition_parts parts = {
        .replicas = {r.replicas.items, r.replicas.count},
        .isr = {r.isr.items, r.isr.count},
        .removing = {r.removing_replicas.items, r.removing_replicas.count},
        .adding = {r.adding_replicas.items, r.adding_replicas.count},
        .elr = {r.eligible_leader_replicas.items, r.eligible_leader_replicas.count},
        .last_known_elr = {r.last_known_elr.items, r.last_known_elr.count},
        .directories = r.directories.count == r.replicas.count ? r.directories.items : NULL,
    };
    struct meta_partition *p = partition_new(&head, &parts);
    if (p == NULL)
        return ERR_NOMEM;
    err = put_partition(b, body, p);
    if (err != ERR_OK)
        meta_object_unref(&p->object);
    return err;
}

/* What a change record says over what was; epochs move as KRaft moves them. */
static struct meta_partition *
changed_partition(const struct meta_partition *old, const struct proto_partition_change_record *r)
{
    struct meta_partition head = *old;
    struct partition_parts parts = {old->replicas, old->isr, old->removing, old->adding, old->elr,
        old->last_known_elr, old->directories};
    if (r->isr.count >= 0)
        parts.isr = (struct meta_ids){r->isr.items, r->isr.count};
    if (r->replicas.count >= 0)
        parts.replicas = (struct meta_ids){r->replicas.items, r->replicas.count};
    if (r->removing_replicas.count >= 0)
        parts.removing = (struct meta_ids){r->removing_replicas.items, r->removing_replicas.count};
    if (r->adding_replicas.count >= 0)
        parts.adding = (struct meta_ids){r->adding_replicas.items, r->adding_replicas.count};
    if (r->eligible_leader_replicas.count >= 0)
        parts.elr =
            (struct meta_ids){r->eligible_leader_replicas.items, r->eligible_leader_replicas.count};
    if (r->last_known_elr.count >= 0)
        parts.last_known_elr = (struct meta_ids){r->last_known_elr.items, r->last_known_elr.count};
    if (r->directories.count == parts.replicas.count)
        parts.directories = r->directories.items;
    else if (r->replicas.count >= 0 && r->replicas.count != old->replicas.count)
        parts.directories = NULL;
    if (r->leader != NO_LEADER_CHANGE) {
        head.leader = r->leader;
        head.leader_epoch++;
    }
    if (r->leader_recovery_state != NO_RECOVERY_CHANGE)
        head.recovery_state =
            r->leader_recovery_state == META_RECOVERING ? META_RECOVERING : META_RECOVERED;
    head.partition_epoch++;
    return partition_new(&head, &parts);
}

enum err
builder_partition_change(struct meta_builder *b, const struct meta_record_frame *frame)
{
    struct proto_partition_change_record r;
    struct meta_topic_body *body;
    enum err err = builder_decode(b, frame, &proto_partition_change_record_schema, &r);
    if (err == ERR_OK)
        err = own_topic(b, r.topic_id, &body);
    if (err != ERR_OK)
        return err;
    const struct meta_partition *old = meta_topic_partition(&body->topic, r.partition_id);
    if (old == NULL)
        return ERR_CORRUPT;
    struct meta_partition *p = changed_partition(old, &r);
    if (p == NULL)
        return ERR_NOMEM;
    err = put_partition(b, body, p);
    ASSERT(err == ERR_OK);
    return err;
}

enum err
builder_remove_topic(struct meta_builder *b, const struct meta_record_frame *frame)
{
    struct proto_remove_topic_record r;
    enum err err = builder_decode(b, frame, &proto_remove_topic_record_schema, &r);
    if (err != ERR_OK)
        return err;
    const struct meta_topic *topic = meta_image_topic_by_id(b->image, r.topic_id);
    if (topic == NULL)
        return ERR_CORRUPT;
    struct str name = arena_str(&b->scratch, topic->name);
    if (str_is_null(name))
        return ERR_NOMEM;
    b->image->partition_count -= topic->partition_count;
    err = builder_touch_topic(b, r.topic_id);
    if (err == ERR_OK)
        err = builder_drop_configs(b, META_RESOURCE_TOPIC, name);
    if (err == ERR_OK)
        err = meta_table_remove(&b->image->topics_by_name, &name, meta_cmp_topic_name);
    if (err == ERR_OK)
        err = meta_table_remove(&b->image->topics_by_id, &r.topic_id, meta_cmp_topic_id);
    return err;
}

enum err
builder_clear_elr(struct meta_builder *b, const struct meta_record_frame *frame)
{
    struct proto_clear_elr_record r;
    enum err err = builder_decode(b, frame, &proto_clear_elr_record_schema, &r);
    const struct meta_topic *topic = meta_image_topic_after(b->image, STR_NULL);
    for (; err == ERR_OK && topic != NULL; topic = meta_image_topic_after(b->image, topic->name)) {
        if (r.topic_name.len > 0 && !str_eq(r.topic_name, topic->name))
            continue;
        struct meta_topic_body *body;
        err = own_topic(b, topic->id, &body);
        if (err != ERR_OK)
            break;
        topic = &body->topic;
        for (int32_t i = 0; err == ERR_OK && i < topic->partition_count; i++) {
            const struct meta_partition *old = topic->partitions[i];
            struct partition_parts parts = {old->replicas, old->isr, old->removing, old->adding,
                {NULL, 0}, {NULL, 0}, old->directories};
            struct meta_partition *p = partition_new(old, &parts);
            err = p == NULL ? ERR_NOMEM : put_partition(b, body, p);
        }
    }
    return err;
}
