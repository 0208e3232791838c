/* meta/table.c - sorted pointers with one reference each. */
#include "meta/table.h"

#include <string.h>

#include "base/alloc.h"

enum { SPARE = 8 };

static void
table_free(struct meta_object *object)
{
    struct meta_table *table = CONTAINER_OF(object, struct meta_table, object);
    for (int32_t i = 0; i < table->count; i++)
        meta_object_unref(table->items[i]);
    mem_free(table->items);
    mem_free(table);
}

enum err
meta_table_new(struct meta_table **out)
{
    struct meta_table *table = mem_calloc(1, sizeof *table);
    if (table == NULL)
        return ERR_NOMEM;
    meta_object_init(&table->object, table_free);
    *out = table;
    return ERR_OK;
}

/* Where the key is, or would go; *found tells which. */
static int32_t
position(const struct meta_table *table, const void *key, meta_table_cmp_fn cmp, bool *found)
{
    int32_t low = 0;
    int32_t high = table->count;
    *found = false;
    while (low < high) {
        int32_t mid = low + (high - low) / 2;
        int order = cmp(key, table->items[mid]);
        if (order == 0) {
            *found = true;
            return mid;
        }
        if (order < 0)
            high = mid;
        else
            low = mid + 1;
    }
    return low;
}

struct meta_object *
meta_table_find(const struct meta_table *table, const void *key, meta_table_cmp_fn cmp)
{
    bool found;
    int32_t at = position(table, key, cmp, &found);
    return found ? table->items[at] : NULL;
}

struct meta_object *
meta_table_after(const struct meta_table *table, const void *key, meta_table_cmp_fn cmp)
{
    bool found = false;
    int32_t at = key == NULL ? 0 : position(table, key, cmp, &found);
    at += found;
    return at < table->count ? table->items[at] : NULL;
}

/* Makes *table the caller's alone, with room for one more. */
static enum err
own(struct meta_table **table)
{
    struct meta_table *old = *table;
    struct meta_table *fresh;
    if (meta_object_unique(&old->object)) {
        if (old->count < old->capacity)
            return ERR_OK;
        int32_t capacity = old->capacity * 2 + SPARE;
        struct meta_object **items = mem_realloc(old->items, (size_t)capacity * sizeof *items);
        if (items == NULL)
            return ERR_NOMEM;
        old->items = items;
        old->capacity = capacity;
        return ERR_OK;
    }
    enum err err = meta_table_new(&fresh);
    if (err != ERR_OK)
        return err;
    fresh->capacity = old->count + SPARE;
    fresh->items = mem_alloc((size_t)fresh->capacity * sizeof *fresh->items);
    if (fresh->items == NULL) {
        meta_object_unref(&fresh->object);
        return ERR_NOMEM;
    }
    for (int32_t i = 0; i < old->count; i++) {
        meta_object_ref(old->items[i]);
        fresh->items[i] = old->items[i];
    }
    fresh->count = old->count;
    meta_object_unref(&old->object);
    *table = fresh;
    return ERR_OK;
}

enum err
meta_table_put(
    struct meta_table **table, const void *key, meta_table_cmp_fn cmp, struct meta_object *object)
{
    bool found;
    enum err err = own(table);
    if (err != ERR_OK)
        return err;
    struct meta_table *t = *table;
    int32_t at = position(t, key, cmp, &found);
    meta_object_ref(object);
    if (found) {
        meta_object_unref(t->items[at]);
    } else {
        memmove(t->items + at + 1, t->items + at, (size_t)(t->count - at) * sizeof *t->items);
        t->count++;
    }
    t->items[at] = object;
    return ERR_OK;
}

enum err
meta_table_remove(struct meta_table **table, const void *key, meta_table_cmp_fn cmp)
{
    bool found;
    (void)position(*table, key, cmp, &found);
    if (!found)
        return ERR_OK;
    enum err err = own(table);
    if (err != ERR_OK)
        return err;
    struct meta_table *t = *table;
    int32_t at = position(t, key, cmp, &found);
    meta_object_unref(t->items[at]);
    t->count--;
    memmove(t->items + at, t->items + at + 1, (size_t)(t->count - at) * sizeof *t->items);
    return ERR_OK;
}
