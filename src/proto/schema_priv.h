/* proto/schema_priv.h - the form of the generated tables; for the codec and the generator only. */
#ifndef PROTO_SCHEMA_PRIV_H
#define PROTO_SCHEMA_PRIV_H

#include "proto/schema.h"

enum proto_type {
    PROTO_BOOL,
    PROTO_INT8,
    PROTO_INT16,
    PROTO_UINT16,
    PROTO_INT32,
    PROTO_UINT32,
    PROTO_INT64,
    PROTO_FLOAT64,
    PROTO_UUID,
    PROTO_STRING,
    PROTO_BYTES,
    PROTO_RECORDS,
    PROTO_STRUCT,
    PROTO_ARRAY,
};

/* How one version writes a field: its type and these. */
enum {
    PROTO_TYPE_MASK = 0x0f,
    PROTO_NULLABLE = 0x10,
    PROTO_COMPACT = 0x20,
    PROTO_TAGGED = 0x40,
};

struct proto_op {
    uint8_t code;  /* enum proto_type with the flags above */
    uint8_t field; /* index */
};

struct proto_field {
    const char *name; /* as in JSON */
    uint16_t offset;  /* in the C struct */
    uint8_t type;     /* enum proto_type */
    uint8_t element;  /* of an array; else type */
    uint16_t element_size;
    bool ignorable;
    bool pointer; /* a struct that is held by pointer */
    int16_t version_min, version_max;
    int16_t nullable_min, nullable_max;
    int32_t tag;                       /* -1 for none */
    const struct proto_schema *schema; /* of the struct or the element; else NULL */
};

/* What one version, or several that are alike, has. */
struct proto_plan {
    const struct proto_op *ops;    /* fields in wire order */
    const struct proto_op *tagged; /* in order of their tags */
    const uint8_t *absent;         /* fields it lacks and that may not be dropped */
    uint8_t op_count;
    uint8_t tagged_count;
    uint8_t absent_count;
    bool flexible;
    uint16_t size_min; /* no value takes fewer bytes; at least 1 unless there is nothing */
};

struct proto_schema {
    const char *name;
    uint32_t size;
    int16_t version_min, version_max;
    uint16_t field_count;
    const struct proto_field *fields;
    const uint8_t *plan_of; /* by version - version_min */
    const struct proto_plan *plans;
    const void *defaults; /* an instance */
};

/* Any array field. */
struct proto_array {
    void *items;
    int32_t count;
};

static inline bool
proto_schema_has_version(const struct proto_schema *schema, int16_t version)
{
    return version >= schema->version_min && version <= schema->version_max;
}

/* The version must be one that the schema has. */
static inline const struct proto_plan *
proto_plan_of(const struct proto_schema *schema, int16_t version)
{
    return &schema->plans[schema->plan_of[version - schema->version_min]];
}

static inline bool
proto_field_in(const struct proto_field *field, int16_t version)
{
    return version >= field->version_min && version <= field->version_max;
}

static inline bool
proto_field_nullable(const struct proto_field *field, int16_t version)
{
    return version >= field->nullable_min && version <= field->nullable_max;
}

/* Whether the field of two structs of this schema is the same. */
bool proto_field_equal(const struct proto_field *field, const void *a, const void *b);

/* Whether it has its default in msg. */
static inline bool
proto_field_is_default(
    const struct proto_schema *schema, const struct proto_field *field, const void *msg)
{
    return proto_field_equal(
        field, (const char *)msg + field->offset, (const char *)schema->defaults + field->offset);
}

/* Bytes of one array element of a type that is not a struct. */
size_t proto_type_size(enum proto_type type);

/* Generated: proto/tables.c. */
extern const struct proto_api proto_apis[];
extern const int proto_api_count;
extern const int16_t proto_api_by_key[]; /* index into proto_apis, or -1 */
extern const int proto_api_by_key_count;
extern const struct proto_message proto_messages[]; /* by name */
extern const int proto_message_count;
enum { PROTO_KIND_COUNT = PROTO_DATA + 1, PROTO_KEY_COUNT = 128 };
extern const int16_t proto_message_by_key[PROTO_KIND_COUNT][PROTO_KEY_COUNT]; /* or -1 */

#endif
