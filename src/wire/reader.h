/* wire/reader.h - reads big-endian fields and varints from untrusted bytes.
 *
 * The first failure is latched and every later read gives zero or null, so a decoder checks once,
 * before it uses what it read. Views point into the input. Inline: this is the hot path. */
#ifndef WIRE_READER_H
#define WIRE_READER_H

#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"

struct reader {
    const uint8_t *at;
    const uint8_t *end;
    enum err err; /* ERR_TRUNCATED or ERR_CORRUPT; ERR_OK so far */
};

static inline void
reader_init(struct reader *r, struct bytes b)
{
    r->at = b.data;
    r->end = b.data == NULL ? NULL : b.data + b.len;
    r->err = ERR_OK;
}

static inline size_t
reader_remaining(const struct reader *r)
{
    return (size_t)(r->end - r->at);
}

static inline void
reader_fail(struct reader *r, enum err err)
{
    if (r->err == ERR_OK)
        r->err = err;
    r->at = r->end;
}

/* n bytes, or NULL and the latch. n == 0 gives a valid view of nothing. */
static inline const uint8_t *
reader_take(struct reader *r, size_t n)
{
    const uint8_t *p = r->at;
    if (UNLIKELY(r->err != ERR_OK || reader_remaining(r) < n)) {
        reader_fail(r, ERR_TRUNCATED);
        return NULL;
    }
    r->at += n;
    return p;
}

static inline int8_t
reader_i8(struct reader *r)
{
    const uint8_t *p = reader_take(r, 1);
    return p == NULL ? 0 : (int8_t)*p;
}

static inline int16_t
reader_i16(struct reader *r)
{
    const uint8_t *p = reader_take(r, 2);
    return p == NULL ? 0 : (int16_t)load_be16(p);
}

static inline uint16_t
reader_u16(struct reader *r)
{
    return (uint16_t)reader_i16(r);
}

static inline int32_t
reader_i32(struct reader *r)
{
    const uint8_t *p = reader_take(r, 4);
    return p == NULL ? 0 : (int32_t)load_be32(p);
}

static inline uint32_t
reader_u32(struct reader *r)
{
    return (uint32_t)reader_i32(r);
}

static inline int64_t
reader_i64(struct reader *r)
{
    const uint8_t *p = reader_take(r, 8);
    return p == NULL ? 0 : (int64_t)load_be64(p);
}

static inline double
reader_f64(struct reader *r)
{
    int64_t bits = reader_i64(r);
    double v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

/* Unsigned varint of at most 5 (uvarint) or 10 (uvarlong) bytes; longer is CORRUPT. */
uint64_t reader_uvarlong_slow(struct reader *r, int bytes_max);

static inline uint32_t
reader_uvarint(struct reader *r)
{
    if (LIKELY(r->at < r->end && *r->at < 0x80))
        return *r->at++;
    return (uint32_t)reader_uvarlong_slow(r, 5);
}

static inline uint64_t
reader_uvarlong(struct reader *r)
{
    if (LIKELY(r->at < r->end && *r->at < 0x80))
        return *r->at++;
    return reader_uvarlong_slow(r, 10);
}

/* Zig-zag, as inside records. */
static inline int32_t
reader_varint(struct reader *r)
{
    uint32_t u = reader_uvarint(r);
    return (int32_t)((u >> 1) ^ (0u - (u & 1)));
}

static inline int64_t
reader_varlong(struct reader *r)
{
    uint64_t u = reader_uvarlong(r);
    return (int64_t)((u >> 1) ^ (0ull - (u & 1)));
}

#endif
