/* proto/schema.c - descriptors: defaults, equality, sizes. */
#include "proto/schema.h"

#include <string.h>

#include "base/assert.h"
#include "base/uuid.h"
#include "proto/schema_priv.h"

const char *
proto_schema_name(const struct proto_schema *schema)
{
    return schema->name;
}

size_t
proto_schema_size(const struct proto_schema *schema)
{
    return schema->size;
}

int16_t
proto_schema_version_min(const struct proto_schema *schema)
{
    return schema->version_min;
}

int16_t
proto_schema_version_max(const struct proto_schema *schema)
{
    return schema->version_max;
}

void
proto_init(const struct proto_schema *schema, void *msg)
{
    ASSERT(msg != NULL);
    memcpy(msg, schema->defaults, schema->size);
}

size_t
proto_type_size(enum proto_type type)
{
    switch (type) {
    case PROTO_BOOL: return sizeof(bool);
    case PROTO_INT8: return 1;
    case PROTO_INT16:
    case PROTO_UINT16: return 2;
    case PROTO_INT32:
    case PROTO_UINT32: return 4;
    case PROTO_INT64:
    case PROTO_FLOAT64: return 8;
    case PROTO_UUID: return sizeof(struct uuid);
    case PROTO_STRING: return sizeof(struct str);
    case PROTO_BYTES: return sizeof(struct bytes);
    case PROTO_RECORDS: return sizeof(struct proto_records);
    case PROTO_STRUCT:
    case PROTO_ARRAY: break;
    }
    UNREACHABLE();
}

static bool
bytes_same(struct bytes a, struct bytes b)
{
    return (a.data == NULL) == (b.data == NULL) && bytes_eq(a, b);
}

static bool
records_same(const struct proto_records *a, const struct proto_records *b)
{
    return a->file == b->file && a->position == b->position && a->len == b->len &&
           bytes_same(a->bytes, b->bytes);
}

static bool
value_equal(enum proto_type type, const struct proto_schema *schema, const void *a, const void *b)
{
    const struct str *s = a, *t = b;

    switch (type) {
    case PROTO_BOOL:
    case PROTO_INT8:
    case PROTO_INT16:
    case PROTO_UINT16:
    case PROTO_INT32:
    case PROTO_UINT32:
    case PROTO_INT64:
    case PROTO_FLOAT64: /* by its bits: a NaN equals itself */
    case PROTO_UUID: return memcmp(a, b, proto_type_size(type)) == 0;
    case PROTO_STRING: return str_is_null(*s) == str_is_null(*t) && str_eq(*s, *t);
    case PROTO_BYTES: return bytes_same(*(const struct bytes *)a, *(const struct bytes *)b);
    case PROTO_RECORDS: return records_same(a, b);
    case PROTO_STRUCT: return proto_equal(schema, a, b);
    case PROTO_ARRAY: break;
    }
    UNREACHABLE();
}

static bool
array_equal(
    const struct proto_field *field, const struct proto_array *a, const struct proto_array *b)
{
    if (a->count != b->count)
        return false;
    for (int32_t i = 0; i < a->count; i++) {
        const char *x = (const char *)a->items + (size_t)i * field->element_size;
        const char *y = (const char *)b->items + (size_t)i * field->element_size;
        if (!value_equal(field->element, field->schema, x, y))
            return false;
    }
    return true;
}

bool
proto_field_equal(const struct proto_field *field, const void *a, const void *b)
{
    if (field->type == PROTO_ARRAY)
        return array_equal(field, a, b);
    if (field->pointer) {
        const void *x = *(void *const *)a;
        const void *y = *(void *const *)b;
        if (x == NULL || y == NULL)
            return x == y;
        return proto_equal(field->schema, x, y);
    }
    return value_equal(field->type, field->schema, a, b);
}

bool
proto_equal(const struct proto_schema *schema, const void *a, const void *b)
{
    ASSERT(a != NULL);
    ASSERT(b != NULL);
    /* The same bytes are the same values, and untouched defaults are what is compared most. */
    if (memcmp(a, b, schema->size) == 0)
        return true;
    for (int i = 0; i < schema->field_count; i++) {
        const struct proto_field *field = &schema->fields[i];
        if (!proto_field_equal(
                field, (const char *)a + field->offset, (const char *)b + field->offset))
            return false;
    }
    return true;
}
