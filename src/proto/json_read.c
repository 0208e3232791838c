/* proto/json_read.c - a message from JSON, as strict as Apache's JsonConverters: a field that the
 * version has must be there unless it is tagged, types and ranges must fit, what is not known is
 * passed over. */
#include "proto/schema.h"

#include <jansson.h>
#include <math.h>
#include <string.h>

#include "base/assert.h"
#include "base/limits.h"
#include "base/uuid.h"
#include "proto/base64.h"
#include "proto/schema_priv.h"

struct json_in {
    struct arena *arena;
    int16_t version;
    struct str what; /* the first complaint */
};

static enum err read_struct(
    struct json_in *in, const struct proto_schema *schema, const json_t *json, void *msg);

static enum err
complain(struct json_in *in, const struct proto_field *field, const char *text)
{
    if (str_is_null(in->what))
        in->what = arena_printf(in->arena, "%s: %s", field->name, text);
    return ERR_INVALID;
}

static enum err
read_integer(struct json_in *in, const struct proto_field *field, enum proto_type type,
    const json_t *json, void *at)
{
    static const struct {
        int64_t min, max;
    } ranges[] = {
        [PROTO_INT8] = {INT8_MIN, INT8_MAX},
        [PROTO_INT16] = {INT16_MIN, INT16_MAX},
        [PROTO_UINT16] = {0, UINT16_MAX},
        [PROTO_INT32] = {INT32_MIN, INT32_MAX},
        [PROTO_UINT32] = {0, UINT32_MAX},
        [PROTO_INT64] = {INT64_MIN, INT64_MAX},
    };

    if (!json_is_integer(json))
        return complain(in, field, "must be an integer");
    int64_t v = json_integer_value(json);
    if (v < ranges[type].min || v > ranges[type].max)
        return complain(in, field, "out of range");
    switch (proto_type_size(type)) {
    case 1: *(int8_t *)at = (int8_t)v; break;
    case 2: *(int16_t *)at = (int16_t)v; break;
    case 4: *(int32_t *)at = (int32_t)v; break;
    default: *(int64_t *)at = v; break;
    }
    return ERR_OK;
}

static enum err
read_double(struct json_in *in, const struct proto_field *field, const json_t *json, double *out)
{
    const char *text = json_string_value(json);

    if (json_is_number(json))
        *out = json_number_value(json);
    else if (text != NULL && strcmp(text, "NaN") == 0)
        *out = NAN;
    else if (text != NULL && strcmp(text, "Infinity") == 0)
        *out = INFINITY;
    else if (text != NULL && strcmp(text, "-Infinity") == 0)
        *out = -INFINITY;
    else
        return complain(in, field, "must be a number");
    return ERR_OK;
}

static enum err
read_bytes(
    struct json_in *in, const struct proto_field *field, const json_t *json, struct bytes *out)
{
    if (!json_is_string(json))
        return complain(in, field, "must be base64");
    struct str text = {json_string_value(json), json_string_length(json)};
    enum err err = proto_base64_parse(text, in->arena, out);
    return err == ERR_INVALID ? complain(in, field, "must be base64") : err;
}

static enum err
read_text(struct json_in *in, const struct proto_field *field, enum proto_type type,
    const json_t *json, void *at)
{
    if (!json_is_string(json))
        return complain(in, field, "must be a string");
    struct str text = {json_string_value(json), json_string_length(json)};
    if (type == PROTO_UUID)
        return uuid_parse(text, at) ? ERR_OK : complain(in, field, "must be an id");
    if (text.len > INT16_MAX)
        return complain(in, field, "too long");
    struct str copy = arena_str(in->arena, text);
    if (str_is_null(copy))
        return ERR_NOMEM;
    *(struct str *)at = copy;
    return ERR_OK;
}

static enum err
read_simple(struct json_in *in, const struct proto_field *field, enum proto_type type,
    const json_t *json, void *at)
{
    switch (type) {
    case PROTO_BOOL:
        if (!json_is_boolean(json))
            return complain(in, field, "must be true or false");
        *(bool *)at = json_is_true(json);
        return ERR_OK;
    case PROTO_INT8:
    case PROTO_INT16:
    case PROTO_UINT16:
    case PROTO_INT32:
    case PROTO_UINT32:
    case PROTO_INT64: return read_integer(in, field, type, json, at);
    case PROTO_FLOAT64: return read_double(in, field, json, at);
    case PROTO_UUID:
    case PROTO_STRING: return read_text(in, field, type, json, at);
    case PROTO_BYTES: return read_bytes(in, field, json, at);
    case PROTO_RECORDS: return read_bytes(in, field, json, &((struct proto_records *)at)->bytes);
    case PROTO_STRUCT:
    case PROTO_ARRAY: break;
    }
    UNREACHABLE();
}

static enum err
read_array(struct json_in *in, const struct proto_field *field, const json_t *json,
    struct proto_array *out)
{
    if (!json_is_array(json))
        return complain(in, field, "must be an array");
    size_t count = json_array_size(json);
    if (count > LIMIT_ARRAY_COUNT)
        return complain(in, field, "too many elements");
    char *items = arena_calloc(in->arena, count, field->element_size);
    if (items == NULL)
        return ERR_NOMEM;
    for (size_t i = 0; i < count; i++) {
        const json_t *element = json_array_get(json, i);
        char *at = items + i * field->element_size;
        enum err err = field->element == PROTO_STRUCT
                           ? read_struct(in, field->schema, element, at)
                           : read_simple(in, field, field->element, element, at);
        if (err != ERR_OK)
            return err;
    }
    *out = (struct proto_array){count > 0 ? items : NULL, (int32_t)count};
    return ERR_OK;
}

static enum err
read_null(struct json_in *in, const struct proto_field *field, void *at)
{
    if (!proto_field_nullable(field, in->version))
        return complain(in, field, "must not be null");
    if (field->type == PROTO_ARRAY)
        *(struct proto_array *)at = (struct proto_array){NULL, -1};
    else if (field->type == PROTO_STRUCT)
        *(void **)at = NULL;
    else if (field->type == PROTO_STRING)
        *(struct str *)at = STR_NULL;
    else
        *(struct bytes *)at = BYTES_NULL; /* bytes; or records, which start with them */
    return ERR_OK;
}

static enum err
read_field(struct json_in *in, const struct proto_field *field, const json_t *json, void *at)
{
    if (json_is_null(json))
        return read_null(in, field, at);
    if (field->type == PROTO_ARRAY)
        return read_array(in, field, json, at);
    if (field->type != PROTO_STRUCT)
        return read_simple(in, field, field->type, json, at);
    if (!field->pointer)
        return read_struct(in, field->schema, json, at);
    void *item = arena_alloc(in->arena, field->schema->size);
    if (item == NULL)
        return ERR_NOMEM;
    *(void **)at = item;
    return read_struct(in, field->schema, json, item);
}

static enum err
read_struct(struct json_in *in, const struct proto_schema *schema, const json_t *json, void *msg)
{
    proto_init(schema, msg);
    if (!json_is_object(json)) {
        in->what = arena_printf(in->arena, "%s: must be an object", schema->name);
        return ERR_INVALID;
    }
    for (int i = 0; i < schema->field_count; i++) {
        const struct proto_field *field = &schema->fields[i];
        if (!proto_field_in(field, in->version))
            continue;
        const json_t *value = json_object_get(json, field->name);
        if (value == NULL && field->tag >= 0)
            continue;
        if (value == NULL)
            return complain(in, field, "missing");
        enum err err = read_field(in, field, value, (char *)msg + field->offset);
        if (err != ERR_OK)
            return err;
    }
    return ERR_OK;
}

enum err
proto_from_json(const struct proto_schema *schema, int16_t version, struct str json,
    struct arena *arena, void *msg, struct str *what)
{
    struct json_in in = {arena, version, STR_NULL};
    json_error_t error;

    ASSERT(schema != NULL);
    ASSERT(msg != NULL);
    if (!proto_schema_has_version(schema, version)) {
        *what = STR("no such version");
        return ERR_UNSUPPORTED;
    }
    json_t *root = json_loadb(json.data, json.len, JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES, &error);
    if (root == NULL) {
        *what = arena_printf(arena, "line %d: %s", error.line, error.text);
        return ERR_INVALID;
    }
    enum err err = read_struct(&in, schema, root, msg);
    json_decref(root);
    if (err == ERR_INVALID)
        *what = in.what;
    return err;
}
