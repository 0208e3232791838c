/* proto/errors.c - see errors.h.
 *
 * What: a node for each struct with codes in or below it: the offsets of its own codes, and where
 * the structs lie that have more. Schemas do not contain themselves, so this is a tree. */
#include "proto/errors.h"

#include <string.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "proto/schema_priv.h"

enum { CODES_MAX = 4, BELOW_MAX = 8 };

struct below {
    struct proto_errors *map; /* owned */
    const struct proto_field *field;
};

struct proto_errors {
    uint16_t codes[CODES_MAX]; /* offsets */
    int code_count;
    struct below below[BELOW_MAX];
    int below_count;
};

static bool
is_code(const struct proto_field *field)
{
    static const char end[] = "rrorCode"; /* errorCode, partitionErrorCode, ... */
    size_t len = strlen(field->name);
    return field->type == PROTO_INT16 && len >= sizeof end - 1 &&
           strcmp(field->name + len - (sizeof end - 1), end) == 0;
}

static enum err
add_below(struct proto_errors *map, const struct proto_field *field)
{
    struct proto_errors *found;
    enum err err = proto_errors_new(field->schema, &found);
    if (err != ERR_OK || found == NULL)
        return err;
    ASSERT(map->below_count < BELOW_MAX);
    map->below[map->below_count++] = (struct below){found, field};
    return ERR_OK;
}

enum err
proto_errors_new(const struct proto_schema *schema, struct proto_errors **out)
{
    struct proto_errors *map = mem_calloc(1, sizeof *map);
    enum err err = map == NULL ? ERR_NOMEM : ERR_OK;
    for (int i = 0; err == ERR_OK && i < schema->field_count; i++) {
        const struct proto_field *field = &schema->fields[i];
        if (is_code(field)) {
            ASSERT(map->code_count < CODES_MAX);
            map->codes[map->code_count++] = field->offset;
        } else if (field->schema != NULL) {
            err = add_below(map, field);
        }
    }
    if (err != ERR_OK || map->code_count + map->below_count == 0)
        proto_errors_free(&map);
    if (err == ERR_OK)
        *out = map;
    return err;
}

void
proto_errors_free(struct proto_errors **slot)
{
    struct proto_errors *map = *slot;
    if (map == NULL)
        return;
    for (int i = 0; i < map->below_count; i++)
        proto_errors_free(&map->below[i].map);
    mem_free(map);
    *slot = NULL;
}

void
proto_errors_each(
    const struct proto_errors *map, const void *msg, void (*fn)(void *ctx, int16_t code), void *ctx)
{
    if (map == NULL)
        return;
    for (int i = 0; i < map->code_count; i++)
        fn(ctx, *(const int16_t *)(const void *)((const char *)msg + map->codes[i]));
    for (int i = 0; i < map->below_count; i++) {
        const struct proto_field *field = map->below[i].field;
        const void *at = (const char *)msg + field->offset;
        if (field->type == PROTO_ARRAY) {
            const struct proto_array *array = at;
            for (int32_t k = 0; k < array->count; k++)
                proto_errors_each(map->below[i].map,
                    (const char *)array->items + (size_t)k * field->element_size, fn, ctx);
        } else if (field->pointer) {
            const void *pointed = *(void *const *)at;
            if (pointed != NULL)
                proto_errors_each(map->below[i].map, pointed, fn, ctx);
        } else {
            proto_errors_each(map->below[i].map, at, fn, ctx);
        }
    }
}
