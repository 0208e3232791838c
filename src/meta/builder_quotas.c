/* meta/builder_quotas.c - replays ClientQuota records: one block an entity, its parts in the order
 * of types, its values in the order of keys. One thread. */
#include <string.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "meta/builder_priv.h"
#include "proto/client_quota_record.h"

static void
quota_free(struct meta_object *object)
{
    mem_free(CONTAINER_OF(object, struct meta_quota, object));
}

/* The record's parts, sorted; of a type that it names twice the last one holds, as in Kafka's map.
 */
static enum err
parts_sort(struct arena *arena, const struct proto_client_quota_record *r,
    struct meta_quota_part **out, int32_t *count)
{
    struct meta_quota_part *parts = arena_calloc(arena, (size_t)r->entity.count, sizeof *parts);
    int32_t n = 0;
    if (parts == NULL)
        return ERR_NOMEM;
    if (r->entity.count > META_QUOTA_PARTS_MAX)
        return ERR_CORRUPT;
    for (int32_t i = 0; i < r->entity.count; i++) {
        struct meta_quota_part part = {
            r->entity.items[i].entity_type, r->entity.items[i].entity_name};
        int32_t at = 0;
        while (at < n && str_cmp(parts[at].type, part.type) < 0)
            at++;
        if (at == n || !str_eq(parts[at].type, part.type)) {
            memmove(&parts[at + 1], &parts[at], (size_t)(n - at) * sizeof *parts);
            n++;
        }
        parts[at] = part;
    }
    *out = parts;
    *count = n;
    return ERR_OK;
}

static struct str
text_put(char **at, struct str text)
{
    if (str_is_null(text))
        return STR_NULL;
    struct str copy = {*at, text.len};
    memcpy(*at, text.data, text.len);
    (*at)[text.len] = '\0';
    *at += text.len + 1;
    return copy;
}

static size_t
texts_size(const struct meta_quota_key *key, const struct meta_quota *old, struct str name)
{
    size_t size = name.len + 1;
    for (int32_t i = 0; i < key->part_count; i++)
        size += key->parts[i].type.len + key->parts[i].name.len + 2;
    for (int32_t i = 0; old != NULL && i < old->value_count; i++)
        size += old->values[i].key.len + 1;
    return size;
}

/* The old values with one key set or taken out. */
static struct meta_quota *
quota_with(const struct meta_quota_key *key, const struct meta_quota *old,
    const struct proto_client_quota_record *r)
{
    int32_t old_count = old == NULL ? 0 : old->value_count;
    size_t parts_size = (size_t)key->part_count * sizeof(struct meta_quota_part);
    size_t values_size = ((size_t)old_count + 1) * sizeof(struct meta_quota_value);
    struct meta_quota *q =
        mem_calloc(1, sizeof *q + parts_size + values_size + texts_size(key, old, r->key));
    if (q == NULL)
        return NULL;
    meta_object_init(&q->object, quota_free);
    struct meta_quota_part *parts = (struct meta_quota_part *)(q + 1);
    struct meta_quota_value *values = (struct meta_quota_value *)(parts + key->part_count);
    char *text = (char *)(values + old_count + 1);
    for (int32_t i = 0; i < key->part_count; i++) {
        parts[i].type = text_put(&text, key->parts[i].type);
        parts[i].name = text_put(&text, key->parts[i].name);
    }
    bool placed = r->remove;
    for (int32_t i = 0; i < old_count || !placed;) {
        int order = i < old_count ? str_cmp(old->values[i].key, r->key) : 1;
        if (order == 0) { /* replaced, or taken out */
            i++;
        } else if (order > 0 && !placed) {
            values[q->value_count++] = (struct meta_quota_value){text_put(&text, r->key), r->value};
            placed = true;
        } else {
            values[q->value_count++] = (struct meta_quota_value){
                text_put(&text, old->values[i].key), old->values[i].value};
            i++;
        }
    }
    q->parts = parts;
    q->part_count = key->part_count;
    q->values = values;
    return q;
}

enum err
builder_quota(struct meta_builder *b, const struct meta_record_frame *frame)
{
    struct proto_client_quota_record r;
    struct meta_quota_part *parts;
    struct meta_quota_key key;
    enum err err = builder_decode(b, frame, &proto_client_quota_record_schema, &r);
    if (err == ERR_OK)
        err = parts_sort(&b->scratch, &r, &parts, &key.part_count);
    if (err != ERR_OK)
        return err;
    key.parts = parts;
    b->quotas_changed = true;
    const struct meta_quota *old = meta_image_quota(b->image, key.parts, key.part_count);
    struct meta_quota *quota = quota_with(&key, old, &r);
    if (quota == NULL)
        return ERR_NOMEM;
    err = quota->value_count == 0
              ? meta_table_remove(&b->image->quotas, &key, meta_cmp_quota)
              : meta_table_put(&b->image->quotas, &key, meta_cmp_quota, &quota->object);
    meta_object_unref(&quota->object);
    return err;
}
