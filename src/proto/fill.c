/* proto/fill.c */
#include "proto/fill.h"

#include <string.h>

#include "base/assert.h"
#include "base/uuid.h"
#include "proto/schema_priv.h"

struct filler {
    struct arena *arena;
    uint64_t state;
    int16_t version;
    bool failed; /* the arena is exhausted */
};

static void fill_struct(struct filler *f, const struct proto_schema *schema, int depth, void *msg);

/* splitmix64 */
static uint64_t
next(struct filler *f)
{
    uint64_t z = f->state += 0x9e3779b97f4a7c15ull;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}

static uint32_t
below(struct filler *f, uint32_t n)
{
    return (uint32_t)(next(f) >> 33) % n;
}

static int64_t
integer(struct filler *f, int bits)
{
    switch (below(f, 6)) {
    case 0: return 0;
    case 1: return -1;
    case 2: return (int64_t)(UINT64_MAX >> (65 - bits)); /* the largest signed */
    case 3: return (int64_t)(1ull << (bits - 1));        /* the smallest, after the cast */
    case 4: return below(f, 100);
    default: return (int64_t)next(f);
    }
}

static double
number(struct filler *f)
{
    static const double edges[] = {0.0, 1.0, -1.5, 0.001, 0.0009, 1e7, 9999999.0, 1e300, 1e-300};

    if (below(f, 2) == 0)
        return edges[below(f, COUNT_OF(edges))];
    return (double)(int64_t)next(f) / 1048576.0;
}

static void *
take(struct filler *f, size_t size)
{
    void *p = arena_alloc(f->arena, size);
    if (p == NULL)
        f->failed = true;
    return p;
}

/* Now and then a length that needs a varint of two or three bytes. */
static size_t
length(struct filler *f)
{
    switch (below(f, 40)) {
    case 0: return 126 + below(f, 4);
    case 1: return 16383 + below(f, 3);
    default: return below(f, 4) == 0 ? 0 : below(f, 24);
    }
}

static struct str
text(struct filler *f)
{
    static const char *const letters[] = {
        "a", "z", "0", "-", "_", ".", "\"", "\\", "/", "\n", "\t", "\x01", "\x7f", "ž", "€", "😀"};
    size_t want = length(f), len = 0;
    char *data = take(f, want + 4);

    while (data != NULL && len < want) {
        const char *letter = letters[below(f, below(f, 4) == 0 ? COUNT_OF(letters) : 6)];
        size_t n = strlen(letter);
        memcpy(data + len, letter, n);
        len += n;
    }
    return (struct str){data, len};
}

static struct bytes
bytes(struct filler *f)
{
    size_t len = length(f);
    uint8_t *data = take(f, len + 1);

    for (size_t i = 0; data != NULL && i < len; i++)
        data[i] = (uint8_t)next(f);
    return (struct bytes){data, len};
}

static void
fill_simple(struct filler *f, enum proto_type type, bool nullable, void *at)
{
    bool null = nullable && below(f, 4) == 0;

    switch (type) {
    case PROTO_BOOL: *(bool *)at = below(f, 2) == 1; return;
    case PROTO_INT8: *(int8_t *)at = (int8_t)integer(f, 8); return;
    case PROTO_INT16:
    case PROTO_UINT16: *(int16_t *)at = (int16_t)integer(f, 16); return;
    case PROTO_INT32:
    case PROTO_UINT32: *(int32_t *)at = (int32_t)integer(f, 32); return;
    case PROTO_INT64: *(int64_t *)at = integer(f, 64); return;
    case PROTO_FLOAT64: *(double *)at = number(f); return;
    case PROTO_UUID:
        store_be64(((struct uuid *)at)->b, next(f));
        store_be64(((struct uuid *)at)->b + 8, next(f));
        return;
    case PROTO_STRING: *(struct str *)at = null ? STR_NULL : text(f); return;
    case PROTO_BYTES: *(struct bytes *)at = null ? BYTES_NULL : bytes(f); return;
    case PROTO_RECORDS:
        *(struct proto_records *)at = (struct proto_records){.bytes = null ? BYTES_NULL : bytes(f)};
        return;
    case PROTO_STRUCT:
    case PROTO_ARRAY: break;
    }
    UNREACHABLE();
}

static void
fill_array(struct filler *f, const struct proto_field *field, int depth, struct proto_array *out)
{
    if (proto_field_nullable(field, f->version) && below(f, 4) == 0) {
        *out = (struct proto_array){NULL, -1};
        return;
    }
    int32_t count = (int32_t)below(f, depth > 2 ? 2 : 4);
    char *items = count > 0 ? take(f, (size_t)count * field->element_size) : NULL;
    if (items == NULL)
        count = 0;
    for (int32_t i = 0; i < count; i++) {
        char *at = items + (size_t)i * field->element_size;
        if (field->element == PROTO_STRUCT)
            fill_struct(f, field->schema, depth + 1, at);
        else
            fill_simple(f, field->element, false, at);
    }
    *out = (struct proto_array){items, count};
}

static void
fill_field(struct filler *f, const struct proto_field *field, int depth, void *at)
{
    bool nullable = proto_field_nullable(field, f->version);

    if (field->type == PROTO_ARRAY) {
        fill_array(f, field, depth, at);
    } else if (field->type != PROTO_STRUCT) {
        fill_simple(f, field->type, nullable, at);
    } else if (!field->pointer) {
        fill_struct(f, field->schema, depth + 1, at);
    } else {
        bool null = nullable && below(f, 3) == 0;
        void *item = null ? NULL : take(f, field->schema->size);
        if (item != NULL)
            fill_struct(f, field->schema, depth + 1, item);
        *(void **)at = item;
    }
}

static void
fill_struct(struct filler *f, const struct proto_schema *schema, int depth, void *msg)
{
    proto_init(schema, msg);
    for (int i = 0; i < schema->field_count && !f->failed; i++) {
        const struct proto_field *field = &schema->fields[i];
        if (!proto_field_in(field, f->version))
            continue;
        /* Tagged fields at their defaults are not written: that too wants trying. */
        if (field->tag >= 0 && below(f, 3) == 0)
            continue;
        fill_field(f, field, depth, (char *)msg + field->offset);
    }
}

enum err
proto_fill(const struct proto_schema *schema, int16_t version, uint64_t seed, struct arena *arena,
    void *msg)
{
    struct filler f = {arena, seed, version, false};

    ASSERT(proto_schema_has_version(schema, version));
    fill_struct(&f, schema, 0, msg);
    return f.failed ? ERR_NOMEM : ERR_OK;
}
