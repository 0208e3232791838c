/* base/bytes.h - views of bytes and text that somebody else owns, and big-endian loads and stores.
 */
#ifndef BASE_BYTES_H
#define BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* A view of read-only bytes. Never owns. data == NULL means null (not merely empty). */
struct bytes {
    const uint8_t *data;
    size_t len;
};

/* A view of text, not terminated, normally UTF-8. Never owns. data == NULL means null. */
struct str {
    const char *data;
    size_t len;
};

#define BYTES_NULL ((struct bytes){NULL, 0})
#define STR_NULL ((struct str){NULL, 0})
#define STR(literal) ((struct str){(literal), sizeof(literal) - 1})
/* For printf's "%.*s". */
#define STR_FMT(s) (int)(s).len, ((s).data != NULL ? (s).data : "")

static inline struct str
str_of(const char *z)
{
    return z == NULL ? STR_NULL : (struct str){z, strlen(z)};
}

static inline bool
str_is_null(struct str s)
{
    return s.data == NULL;
}

/* Null and empty compare equal here; test str_is_null where they differ. */
static inline bool
str_eq(struct str a, struct str b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

static inline bool
str_eq_z(struct str a, const char *z)
{
    return str_eq(a, str_of(z));
}

/* Byte-wise order, shorter first on a common prefix: as strcmp. */
int str_cmp(struct str a, struct str b);

static inline bool
bytes_eq(struct bytes a, struct bytes b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

static inline uint16_t
load_be16(const void *p)
{
    uint16_t v;
    memcpy(&v, p, sizeof v);
    return __builtin_bswap16(v);
}

static inline uint32_t
load_be32(const void *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return __builtin_bswap32(v);
}

static inline uint64_t
load_be64(const void *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return __builtin_bswap64(v);
}

static inline void
store_be16(void *p, uint16_t v)
{
    v = __builtin_bswap16(v);
    memcpy(p, &v, sizeof v);
}

static inline void
store_be32(void *p, uint32_t v)
{
    v = __builtin_bswap32(v);
    memcpy(p, &v, sizeof v);
}

static inline void
store_be64(void *p, uint64_t v)
{
    v = __builtin_bswap64(v);
    memcpy(p, &v, sizeof v);
}

#endif
