/* proto/encode.c - from a message to bytes.
 *
 * Errors: the encoder latches INVALID (the caller's message), the writer latches what memory and
 * limits refuse. After an error what was written is of no use, but splices that the writer took
 * stay its own. */
#include "proto/schema.h"

#include <string.h>

#include "base/assert.h"
#include "base/uuid.h"
#include "proto/schema_priv.h"

enum { STRING_LEN_MAX = INT16_MAX };

struct encoder {
    struct writer *w;
    int16_t version;
    bool invalid;
};

/* The writer's own, but inline while there is room: this is most of what encoding does. */
static inline uint8_t *
room(struct encoder *e, size_t len)
{
    struct buf *buf = &e->w->buf;

    /* The capacity may be one more than the limit: room for a terminating NUL. */
    if (LIKELY(buf->err == ERR_OK && len <= buf->capacity - buf->len &&
               len <= buf->size_max - buf->len)) {
        uint8_t *p = buf->data + buf->len;
        buf->len += len;
        return p;
    }
    return buf_extend(buf, len);
}

static inline void
put_i8(struct encoder *e, int8_t v)
{
    uint8_t *p = room(e, 1);
    if (p != NULL)
        *p = (uint8_t)v;
}

static inline void
put_be16(struct encoder *e, uint16_t v)
{
    uint8_t *p = room(e, 2);
    if (p != NULL)
        store_be16(p, v);
}

static inline void
put_be32(struct encoder *e, uint32_t v)
{
    uint8_t *p = room(e, 4);
    if (p != NULL)
        store_be32(p, v);
}

static inline void
put_be64(struct encoder *e, const void *bits)
{
    uint8_t *p = room(e, 8);
    uint64_t v;

    memcpy(&v, bits, sizeof v);
    if (p != NULL)
        store_be64(p, v);
}

static inline void
put_uvarint(struct encoder *e, uint32_t v)
{
    if (LIKELY(v < 0x80))
        put_i8(e, (int8_t)v);
    else
        writer_uvarint(e->w, v);
}

static inline void
put_raw(struct encoder *e, const void *data, size_t len)
{
    uint8_t *p = room(e, len);
    if (p != NULL)
        memcpy(p, data, len);
}

static void encode_struct(struct encoder *e, const struct proto_schema *schema,
    const struct proto_plan *plan, const void *msg);

/* The length or count in front of a value; len -1 is null. */
static void
encode_len(struct encoder *e, int code, int64_t len, bool narrow)
{
    if (len < 0 && !(code & PROTO_NULLABLE))
        e->invalid = true;
    if (len >= INT32_MAX)
        e->invalid = true;
    if (code & PROTO_COMPACT)
        put_uvarint(e, (uint32_t)(len + 1));
    else if (narrow)
        put_be16(e, (uint16_t)len);
    else
        put_be32(e, (uint32_t)len);
}

static void
encode_string(struct encoder *e, int code, struct str s)
{
    if (s.len > STRING_LEN_MAX) {
        e->invalid = true;
        return;
    }
    encode_len(e, code, s.data == NULL ? -1 : (int64_t)s.len, true);
    if (s.data != NULL && s.len > 0)
        put_raw(e, s.data, s.len);
}

static void
encode_bytes(struct encoder *e, int code, struct bytes b)
{
    encode_len(e, code, b.data == NULL ? -1 : (int64_t)b.len, false);
    if (b.data != NULL && b.len > 0)
        put_raw(e, b.data, b.len);
}

static void
encode_records(struct encoder *e, int code, const struct proto_records *records)
{
    if (records->file == NULL) {
        encode_bytes(e, code, records->bytes);
        return;
    }
    encode_len(e, code, (int64_t)records->len, false);
    /* A refused splice is latched by the writer, whose owner releases it. */
    (void)writer_splice(e->w, records->file, records->position, records->len);
}

static void
encode_simple(struct encoder *e, int code, const void *at)
{
    switch ((enum proto_type)(code & PROTO_TYPE_MASK)) {
    case PROTO_BOOL: put_i8(e, *(const bool *)at ? 1 : 0); return;
    case PROTO_INT8: put_i8(e, *(const int8_t *)at); return;
    case PROTO_INT16:
    case PROTO_UINT16: put_be16(e, *(const uint16_t *)at); return;
    case PROTO_INT32:
    case PROTO_UINT32: put_be32(e, *(const uint32_t *)at); return;
    case PROTO_INT64:
    case PROTO_FLOAT64: put_be64(e, at); return;
    case PROTO_UUID: put_raw(e, at, sizeof(struct uuid)); return;
    case PROTO_STRING: encode_string(e, code, *(const struct str *)at); return;
    case PROTO_BYTES: encode_bytes(e, code, *(const struct bytes *)at); return;
    case PROTO_RECORDS: encode_records(e, code, at); return;
    case PROTO_STRUCT:
    case PROTO_ARRAY: break;
    }
    UNREACHABLE();
}

static void
encode_array(
    struct encoder *e, const struct proto_field *field, int code, const struct proto_array *array)
{
    const char *items = array->items;
    ASSERT(array->count <= 0 || items != NULL);

    encode_len(e, code, array->count < 0 ? -1 : array->count, false);
    if (field->element == PROTO_STRUCT) {
        const struct proto_plan *plan = proto_plan_of(field->schema, e->version);
        for (int32_t i = 0; i < array->count; i++)
            encode_struct(e, field->schema, plan, items + (size_t)i * field->element_size);
        return;
    }
    int element = field->element | (code & PROTO_COMPACT);
    for (int32_t i = 0; i < array->count; i++)
        encode_simple(e, element, items + (size_t)i * field->element_size);
}

static void
encode_struct_field(struct encoder *e, const struct proto_field *field, int code, const void *at)
{
    const void *item = field->pointer ? *(void *const *)at : at;

    if (item == NULL && !(code & PROTO_NULLABLE)) {
        e->invalid = true;
        return;
    }
    if (code & PROTO_NULLABLE)
        put_i8(e, item != NULL ? 1 : code & PROTO_TAGGED ? 0 : -1); /* tagged: a varint */
    if (item != NULL)
        encode_struct(e, field->schema, proto_plan_of(field->schema, e->version), item);
}

static inline void
encode_field(
    struct encoder *e, const struct proto_schema *schema, struct proto_op op, const char *msg)
{
    const struct proto_field *field = &schema->fields[op.field];
    const void *at = msg + field->offset;
    int type = op.code & PROTO_TYPE_MASK;

    if (type == PROTO_ARRAY)
        encode_array(e, field, op.code, at);
    else if (type == PROTO_STRUCT)
        encode_struct_field(e, field, op.code, at);
    else
        encode_simple(e, op.code, at);
}

/* Tag, size, value. The size is not known before: one byte is kept for it, and the value moves up
 * when it needs more (rare: tagged values are small). Records are never tagged, so there are no
 * splices to move. */
static void
encode_tag(
    struct encoder *e, const struct proto_schema *schema, struct proto_op op, const char *msg)
{
    struct buf *buf = &e->w->buf;

    put_uvarint(e, (uint32_t)schema->fields[op.field].tag);
    size_t at = buf->len;
    put_i8(e, 0);
    encode_field(e, schema, op, msg);
    if (buf->err != ERR_OK)
        return;
    ASSERT(buf->len > at);
    size_t size = buf->len - at - 1;
    size_t extra = 0;
    for (size_t rest = size >> 7; rest > 0; rest >>= 7)
        extra++;
    if (extra > 0) {
        if (buf_extend(buf, extra) == NULL)
            return;
        memmove(buf->data + at + 1 + extra, buf->data + at + 1, size);
    }
    uint8_t *p = buf->data + at;
    for (; size >= 0x80; size >>= 7)
        *p++ = (uint8_t)(size | 0x80);
    *p = (uint8_t)size;
}

static void
encode_tags(struct encoder *e, const struct proto_schema *schema, const struct proto_plan *plan,
    const char *msg)
{
    uint32_t set = 0; /* bit i: the tagged field i is written */

    ASSERT(plan->tagged_count <= 32);
    for (int i = 0; i < plan->tagged_count; i++)
        if (!proto_field_is_default(schema, &schema->fields[plan->tagged[i].field], msg))
            set |= 1u << i;
    put_uvarint(e, (uint32_t)__builtin_popcount(set));
    for (; set != 0; set &= set - 1)
        encode_tag(e, schema, plan->tagged[__builtin_ctz(set)], msg);
}

static void
encode_struct(struct encoder *e, const struct proto_schema *schema, const struct proto_plan *plan,
    const void *msg)
{
    for (int i = 0; i < plan->absent_count; i++)
        if (!proto_field_is_default(schema, &schema->fields[plan->absent[i]], msg))
            e->invalid = true;
    for (int i = 0; i < plan->op_count; i++)
        encode_field(e, schema, plan->ops[i], msg);
    if (plan->flexible)
        encode_tags(e, schema, plan, msg);
}

enum err
proto_encode(const struct proto_schema *schema, int16_t version, const void *msg, struct writer *w)
{
    struct encoder e = {w, version, false};

    ASSERT(schema != NULL);
    ASSERT(msg != NULL);
    if (!proto_schema_has_version(schema, version))
        return ERR_UNSUPPORTED;
    encode_struct(&e, schema, proto_plan_of(schema, version), msg);
    return e.invalid ? ERR_INVALID : w->buf.err;
}
