/* proto/decode.c - from bytes of a peer or a disk to a message, without copying.
 *
 * Nothing here trusts the input: each count is held against the bytes that remain and the smallest
 * size of an element before memory is taken, and the arena's budget bounds what nested counts can
 * add up to. The recursion is as deep as the descriptors nest, which the generator bounds.
 *
 * Errors: the first one is latched in the reader; what follows reads zeros until the nearest check.
 */
#include "proto/schema.h"

#include <string.h>

#include "base/assert.h"
#include "base/limits.h"
#include "base/uuid.h"
#include "proto/schema_priv.h"

enum { STRING_LEN_MAX = INT16_MAX };

struct decoder {
    struct reader *r;
    struct arena *arena;
    int16_t version;
};

static void decode_struct(
    struct decoder *d, const struct proto_schema *schema, const struct proto_plan *plan, void *msg);

/* A length of n bytes on the wire, or a compact one; any negative length means null. */
static int32_t
decode_len(struct reader *r, int code, int32_t plain)
{
    int32_t len = plain;

    if (code & PROTO_COMPACT)
        len = (int32_t)(reader_uvarint(r) - 1u);
    if (UNLIKELY(len < 0 && !(code & PROTO_NULLABLE)))
        reader_fail(r, ERR_CORRUPT);
    return len;
}

static struct bytes
decode_view(struct reader *r, int32_t len)
{
    if (len < 0)
        return BYTES_NULL;
    const uint8_t *p = reader_take(r, (size_t)len);
    return p == NULL ? BYTES_NULL : (struct bytes){p, (size_t)len};
}

static void
decode_string(struct reader *r, int code, struct str *out)
{
    int32_t len = decode_len(r, code, code & PROTO_COMPACT ? 0 : reader_i16(r));

    if (UNLIKELY(len > STRING_LEN_MAX))
        reader_fail(r, ERR_CORRUPT);
    struct bytes view = decode_view(r, len);
    *out = (struct str){(const char *)view.data, view.len};
}

static struct bytes
decode_bytes(struct reader *r, int code)
{
    return decode_view(r, decode_len(r, code, code & PROTO_COMPACT ? 0 : reader_i32(r)));
}

static void
decode_uuid(struct reader *r, struct uuid *out)
{
    const uint8_t *p = reader_take(r, sizeof out->b);
    if (p != NULL)
        memcpy(out->b, p, sizeof out->b);
    else
        *out = UUID_ZERO;
}

/* Anything but structs and arrays. */
static void
decode_simple(struct reader *r, int code, void *at)
{
    switch ((enum proto_type)(code & PROTO_TYPE_MASK)) {
    case PROTO_BOOL: *(bool *)at = reader_i8(r) != 0; return;
    case PROTO_INT8: *(int8_t *)at = reader_i8(r); return;
    case PROTO_INT16:
    case PROTO_UINT16: *(int16_t *)at = reader_i16(r); return;
    case PROTO_INT32:
    case PROTO_UINT32: *(int32_t *)at = reader_i32(r); return;
    case PROTO_INT64: *(int64_t *)at = reader_i64(r); return;
    case PROTO_FLOAT64: *(double *)at = reader_f64(r); return;
    case PROTO_UUID: decode_uuid(r, at); return;
    case PROTO_STRING: decode_string(r, code, at); return;
    case PROTO_BYTES: *(struct bytes *)at = decode_bytes(r, code); return;
    case PROTO_RECORDS:
        *(struct proto_records *)at = (struct proto_records){.bytes = decode_bytes(r, code)};
        return;
    case PROTO_STRUCT:
    case PROTO_ARRAY: break;
    }
    UNREACHABLE();
}

/* The fewest bytes that one element takes. */
static size_t
element_size_min(const struct decoder *d, const struct proto_field *field, int code)
{
    switch ((enum proto_type)field->element) {
    case PROTO_STRUCT: {
        size_t size = proto_plan_of(field->schema, d->version)->size_min;
        return size > 0 ? size : 1;
    }
    case PROTO_STRING: return code & PROTO_COMPACT ? 1 : 2;
    case PROTO_BYTES:
    case PROTO_RECORDS: return code & PROTO_COMPACT ? 1 : 4;
    case PROTO_BOOL:
    case PROTO_INT8:
    case PROTO_INT16:
    case PROTO_UINT16:
    case PROTO_INT32:
    case PROTO_UINT32:
    case PROTO_INT64:
    case PROTO_FLOAT64:
    case PROTO_UUID:
    case PROTO_ARRAY: break;
    }
    return proto_type_size(field->element);
}

static void
decode_items(
    struct decoder *d, const struct proto_field *field, int code, char *items, int32_t count)
{
    if (field->element == PROTO_STRUCT) {
        const struct proto_plan *plan = proto_plan_of(field->schema, d->version);
        for (int32_t i = 0; i < count && d->r->err == ERR_OK; i++)
            decode_struct(d, field->schema, plan, items + (size_t)i * field->element_size);
        return;
    }
    int element = field->element | (code & PROTO_COMPACT);
    for (int32_t i = 0; i < count && d->r->err == ERR_OK; i++)
        decode_simple(d->r, element, items + (size_t)i * field->element_size);
}

static void
decode_array(struct decoder *d, const struct proto_field *field, int code, struct proto_array *out)
{
    struct reader *r = d->r;
    int32_t count = decode_len(r, code, code & PROTO_COMPACT ? 0 : reader_i32(r));

    *out = (struct proto_array){NULL, 0};
    if (r->err != ERR_OK)
        return;
    if (count <= 0) {
        out->count = count < 0 ? -1 : 0;
        return;
    }
    if (count > LIMIT_ARRAY_COUNT) {
        reader_fail(r, ERR_CORRUPT);
        return;
    }
    if ((size_t)count * element_size_min(d, field, code) > reader_remaining(r)) {
        reader_fail(r, ERR_TRUNCATED);
        return;
    }
    size_t size = (size_t)count * field->element_size;
    out->items = arena_alloc(d->arena, size);
    if (out->items == NULL) {
        reader_fail(r, ERR_NOMEM);
        return;
    }
    decode_items(d, field, code, out->items, count);
    /* After a failure the rest was never filled: nobody shall see it. */
    if (r->err == ERR_OK)
        out->count = count;
}

/* In front of a struct that may be null: a byte, or a varint when it is tagged. */
static bool
decode_is_null(struct reader *r, int code)
{
    if (!(code & PROTO_NULLABLE))
        return false;
    if (code & PROTO_TAGGED)
        return (int32_t)reader_uvarint(r) <= 0;
    return reader_i8(r) < 0;
}

static void
decode_struct_field(struct decoder *d, const struct proto_field *field, int code, void *at)
{
    const struct proto_plan *plan = proto_plan_of(field->schema, d->version);

    if (!field->pointer) {
        decode_struct(d, field->schema, plan, at);
        return;
    }
    *(void **)at = NULL;
    if (decode_is_null(d->r, code) || d->r->err != ERR_OK)
        return;
    void *item = arena_alloc(d->arena, field->schema->size);
    if (item == NULL) {
        reader_fail(d->r, ERR_NOMEM);
        return;
    }
    *(void **)at = item;
    decode_struct(d, field->schema, plan, item);
}

static inline void
decode_field(struct decoder *d, const struct proto_schema *schema, struct proto_op op, char *msg)
{
    const struct proto_field *field = &schema->fields[op.field];
    void *at = msg + field->offset;
    int type = op.code & PROTO_TYPE_MASK;

    if (type == PROTO_ARRAY)
        decode_array(d, field, op.code, at);
    else if (type == PROTO_STRUCT)
        decode_struct_field(d, field, op.code, at);
    else
        decode_simple(d->r, op.code, at);
}

/* A tag that this version knows: its value must fill the size that was announced. */
static void
decode_tag(struct decoder *d, const struct proto_schema *schema, struct proto_op op, char *msg,
    uint32_t size)
{
    struct reader *r = d->r;
    const uint8_t *end = r->end;

    if (size > reader_remaining(r)) {
        reader_fail(r, ERR_TRUNCATED);
        return;
    }
    r->end = r->at + size;
    decode_field(d, schema, op, msg);
    if (r->at != r->end)
        reader_fail(r, ERR_CORRUPT);
    r->end = end;
    if (r->err != ERR_OK)
        r->at = end;
}

/* Writers let tags ascend; readers of Kafka's take any order, and the last one of a tag counts. */
static void
decode_tags(
    struct decoder *d, const struct proto_schema *schema, const struct proto_plan *plan, char *msg)
{
    struct reader *r = d->r;
    uint32_t count = reader_uvarint(r);
    uint32_t last = 0;
    int known = 0;

    if (LIKELY(count == 0))
        return;
    if (count > LIMIT_TAG_COUNT)
        reader_fail(r, ERR_CORRUPT);
    for (uint32_t i = 0; i < count && r->err == ERR_OK; i++) {
        uint32_t tag = reader_uvarint(r);
        uint32_t size = reader_uvarint(r);
        if (tag < last)
            known = 0;
        last = tag;
        while (known < plan->tagged_count &&
               (uint32_t)schema->fields[plan->tagged[known].field].tag < tag)
            known++;
        if (known < plan->tagged_count &&
            (uint32_t)schema->fields[plan->tagged[known].field].tag == tag)
            decode_tag(d, schema, plan->tagged[known], msg, size);
        else
            reader_take(r, size);
    }
}

static void
decode_struct(
    struct decoder *d, const struct proto_schema *schema, const struct proto_plan *plan, void *msg)
{
    memcpy(msg, schema->defaults, schema->size);
    for (int i = 0; i < plan->op_count; i++)
        decode_field(d, schema, plan->ops[i], msg);
    if (plan->flexible)
        decode_tags(d, schema, plan, msg);
}

enum err
proto_decode(const struct proto_schema *schema, int16_t version, struct reader *r,
    struct arena *arena, void *msg)
{
    struct decoder d = {r, arena, version};

    ASSERT(schema != NULL);
    ASSERT(msg != NULL);
    proto_init(schema, msg);
    if (!proto_schema_has_version(schema, version))
        return ERR_UNSUPPORTED;
    if (r->err != ERR_OK)
        return r->err;
    decode_struct(&d, schema, proto_plan_of(schema, version), msg);
    return r->err;
}
