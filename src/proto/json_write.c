/* proto/json_write.c - a message as the text that Apache's JsonConverters and Jackson give. */
#include "proto/schema.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/uuid.h"
#include "proto/base64.h"
#include "proto/schema_priv.h"

struct json_out {
    struct buf *buf;
    int16_t version;
    bool invalid;
};

static void write_struct(struct json_out *o, const struct proto_schema *schema, const void *msg);

/* Bytes of the UTF-8 character at the start of s, 0 when it is none. */
static size_t
utf8_len(const uint8_t *s, size_t left)
{
    static const struct {
        uint8_t mask, lead;
        uint32_t min;
    } forms[] = {{0x80, 0x00, 0}, {0xe0, 0xc0, 0x80}, {0xf0, 0xe0, 0x800}, {0xf8, 0xf0, 0x10000}};

    for (size_t n = 1; n <= COUNT_OF(forms); n++) {
        if ((s[0] & forms[n - 1].mask) != forms[n - 1].lead)
            continue;
        uint32_t v = s[0] & (uint8_t)~forms[n - 1].mask;
        if (n > left)
            return 0;
        for (size_t i = 1; i < n; i++) {
            if ((s[i] & 0xc0) != 0x80)
                return 0;
            v = v << 6 | (s[i] & 0x3f);
        }
        bool surrogate = v >= 0xd800 && v <= 0xdfff;
        return v < forms[n - 1].min || v > 0x10ffff || surrogate ? 0 : n;
    }
    return 0;
}

static void
write_escaped(struct buf *buf, uint8_t c)
{
    switch (c) {
    case '"': buf_append_z(buf, "\\\""); return;
    case '\\': buf_append_z(buf, "\\\\"); return;
    case '\b': buf_append_z(buf, "\\b"); return;
    case '\t': buf_append_z(buf, "\\t"); return;
    case '\n': buf_append_z(buf, "\\n"); return;
    case '\f': buf_append_z(buf, "\\f"); return;
    case '\r': buf_append_z(buf, "\\r"); return;
    default: buf_printf(buf, "\\u%04X", c); return;
    }
}

static void
write_string(struct buf *buf, struct str s)
{
    const uint8_t *p = (const uint8_t *)s.data;

    buf_append_byte(buf, '"');
    for (size_t i = 0; i < s.len;) {
        size_t n = utf8_len(p + i, s.len - i);
        if (n == 0)
            buf_append_z(buf, "\xef\xbf\xbd"); /* what Java puts for a byte that is no text */
        else if (n == 1 && (p[i] < 0x20 || p[i] == '"' || p[i] == '\\'))
            write_escaped(buf, p[i]);
        else
            buf_append(buf, p + i, n);
        i += n > 0 ? n : 1;
    }
    buf_append_byte(buf, '"');
}

/* As Java's Double.toString: the fewest digits that give the number back, at least one on either
 * side of the point, an exponent below 10^-3 and from 10^7 on. */
static void
write_double(struct buf *buf, double v)
{
    char text[40];

    if (isnan(v) || isinf(v)) {
        buf_append_z(buf, isnan(v) ? "\"NaN\"" : v > 0 ? "\"Infinity\"" : "\"-Infinity\"");
        return;
    }
    for (int precision = 0; precision < 17; precision++) {
        snprintf(text, sizeof text, "%.*e", precision, v);
        if (strtod(text, NULL) == v)
            break;
    }
    /* text is [-]d[.ddd]e[+-]xx */
    const char *p = text;
    if (*p == '-') {
        buf_append_byte(buf, '-');
        p++;
    }
    char digits[20];
    int count = 0;
    for (; *p != 'e'; p++)
        if (*p != '.' && count < (int)sizeof digits)
            digits[count++] = *p;
    int exponent = (int)strtol(p + 1, NULL, 10);
    bool plain = v == 0 || (exponent >= -3 && exponent < 7);
    int point = plain ? exponent + 1 : 1; /* digits before the point */
    if (point <= 0) {
        buf_append_z(buf, "0.");
        for (int i = point; i < 0; i++)
            buf_append_byte(buf, '0');
        buf_append(buf, digits, (size_t)count);
    } else {
        for (int i = 0; i < point; i++)
            buf_append_byte(buf, (uint8_t)(i < count ? digits[i] : '0'));
        buf_append_byte(buf, '.');
        if (count > point)
            buf_append(buf, digits + point, (size_t)(count - point));
        else
            buf_append_byte(buf, '0');
    }
    if (!plain)
        buf_printf(buf, "E%d", exponent);
}

static void
write_uuid(struct buf *buf, struct uuid id)
{
    char text[UUID_TEXT_SIZE];

    uuid_format(id, text);
    buf_append_byte(buf, '"');
    buf_append_z(buf, text);
    buf_append_byte(buf, '"');
}

static void
write_null(struct json_out *o, bool nullable)
{
    if (!nullable)
        o->invalid = true;
    buf_append_z(o->buf, "null");
}

static void
write_simple(struct json_out *o, enum proto_type type, bool nullable, const void *at)
{
    struct buf *buf = o->buf;
    const struct str *text = at;
    const struct bytes *bytes = at;
    const struct proto_records *records = at;

    switch (type) {
    case PROTO_BOOL: buf_append_z(buf, *(const bool *)at ? "true" : "false"); return;
    case PROTO_INT8: buf_printf(buf, "%d", *(const int8_t *)at); return;
    case PROTO_INT16: buf_printf(buf, "%d", *(const int16_t *)at); return;
    case PROTO_UINT16: buf_printf(buf, "%u", *(const uint16_t *)at); return;
    case PROTO_INT32: buf_printf(buf, "%d", *(const int32_t *)at); return;
    case PROTO_UINT32: buf_printf(buf, "%u", *(const uint32_t *)at); return;
    case PROTO_INT64: buf_printf(buf, "%lld", (long long)*(const int64_t *)at); return;
    case PROTO_FLOAT64: write_double(buf, *(const double *)at); return;
    case PROTO_UUID: write_uuid(buf, *(const struct uuid *)at); return;
    case PROTO_STRING:
        if (text->data == NULL)
            write_null(o, nullable);
        else
            write_string(buf, *text);
        return;
    case PROTO_BYTES:
        if (bytes->data == NULL) {
            write_null(o, nullable);
            return;
        }
        buf_append_byte(buf, '"');
        proto_base64_append(buf, *bytes);
        buf_append_byte(buf, '"');
        return;
    case PROTO_RECORDS:
        if (records->bytes.data == NULL && records->file == NULL)
            write_null(o, nullable);
        else
            buf_append_z(buf, "\"\"");
        return;
    case PROTO_STRUCT:
    case PROTO_ARRAY: break;
    }
    UNREACHABLE();
}

static void
write_array(struct json_out *o, const struct proto_field *field, const struct proto_array *array)
{
    if (array->count < 0) {
        write_null(o, proto_field_nullable(field, o->version));
        return;
    }
    buf_append_byte(o->buf, '[');
    for (int32_t i = 0; i < array->count; i++) {
        const char *item = (const char *)array->items + (size_t)i * field->element_size;
        if (i > 0)
            buf_append_byte(o->buf, ',');
        if (field->element == PROTO_STRUCT)
            write_struct(o, field->schema, item);
        else
            write_simple(o, field->element, false, item);
    }
    buf_append_byte(o->buf, ']');
}

static void
write_field(struct json_out *o, const struct proto_field *field, const void *at)
{
    bool nullable = proto_field_nullable(field, o->version);

    if (field->type == PROTO_ARRAY) {
        write_array(o, field, at);
    } else if (field->type == PROTO_STRUCT) {
        const void *item = field->pointer ? *(void *const *)at : at;
        if (item == NULL)
            write_null(o, nullable);
        else
            write_struct(o, field->schema, item);
    } else {
        write_simple(o, field->type, nullable, at);
    }
}

static void
write_struct(struct json_out *o, const struct proto_schema *schema, const void *msg)
{
    bool first = true;

    buf_append_byte(o->buf, '{');
    for (int i = 0; i < schema->field_count; i++) {
        const struct proto_field *field = &schema->fields[i];
        if (!proto_field_in(field, o->version)) {
            if (!field->ignorable && !proto_field_is_default(schema, field, msg))
                o->invalid = true;
            continue;
        }
        if (field->tag >= 0 && proto_field_is_default(schema, field, msg))
            continue;
        buf_printf(o->buf, "%s\"%s\":", first ? "" : ",", field->name);
        first = false;
        write_field(o, field, (const char *)msg + field->offset);
    }
    buf_append_byte(o->buf, '}');
}

enum err
proto_to_json(const struct proto_schema *schema, int16_t version, const void *msg, struct buf *out)
{
    struct json_out o = {out, version, false};

    ASSERT(schema != NULL);
    ASSERT(msg != NULL);
    if (!proto_schema_has_version(schema, version))
        return ERR_UNSUPPORTED;
    write_struct(&o, schema, msg);
    return o.invalid ? ERR_INVALID : out->err;
}
