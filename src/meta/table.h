/* meta/table.h - a sorted table of shared objects, copied when it is changed while somebody else
 * holds it. Look-ups are binary searches; a copy copies pointers only. */
#ifndef META_TABLE_H
#define META_TABLE_H

#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "meta/object.h"

struct meta_table {
    struct meta_object object;
    int32_t count, capacity;
    struct meta_object **items; /* a reference each */
};

/* Order of a key against an object's: negative when the key comes first. */
typedef int (*meta_table_cmp_fn)(const void *key, const struct meta_object *object);

MUST_USE enum err meta_table_new(struct meta_table **out);
struct meta_object *meta_table_find(
    const struct meta_table *table, const void *key, meta_table_cmp_fn cmp);
/* The first after the key (key NULL: the first); NULL at the end. */
struct meta_object *meta_table_after(
    const struct meta_table *table, const void *key, meta_table_cmp_fn cmp);
/* Inserts or replaces. The table keeps a reference of its own. NOMEM changes nothing. *table may
 * become another one. */
MUST_USE enum err meta_table_put(
    struct meta_table **table, const void *key, meta_table_cmp_fn cmp, struct meta_object *object);
/* Not there: nothing happens. */
MUST_USE enum err meta_table_remove(
    struct meta_table **table, const void *key, meta_table_cmp_fn cmp);

#endif
