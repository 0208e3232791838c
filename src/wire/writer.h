/* wire/writer.h - writes big-endian fields and varints, with file ranges spliced between them.
 *
 * A fetch response is bytes with pieces of log files in between. The writer keeps the bytes in one
 * growing buffer and a list of splices: "after byte `at`, send `len` bytes of this file". The
 * network layer sends them in turn, by sendfile. Failures are latched in buf.err. */
#ifndef WIRE_WRITER_H
#define WIRE_WRITER_H

#include <stdint.h>

#include "base/buf.h"
#include "base/bytes.h"

/* Something outside the buffer that belongs between its bytes. `file` is an opaque reference which
 * the producer of the splice took and the consumer of the writer releases. */
struct wire_splice {
    size_t at; /* position in the buffer before which it goes */
    void *file;
    int64_t position;
    size_t len;
};

struct writer {
    struct buf buf;
    struct wire_splice *splices; /* owned; in order of `at` */
    int splice_count;
    int splice_capacity;
    size_t splice_bytes; /* sum of their lengths */
    /* Releases the file of a splice that was refused; NULL: it stays the caller's. */
    void (*refused)(void *file);
};

void writer_init(struct writer *w, size_t size_max);
void writer_fini(struct writer *w); /* the splices' files must have been taken or released */
/* Bytes so far, splices included. */
static inline size_t
writer_size(const struct writer *w)
{
    return w->buf.len + w->splice_bytes;
}
/* Adds a splice at the current end; NOMEM is latched in buf.err, `refused` has the reference then:
 * returns false. */
bool writer_splice(struct writer *w, void *file, int64_t position, size_t len);

static inline void
writer_raw(struct writer *w, const void *data, size_t len)
{
    buf_append(&w->buf, data, len);
}

static inline void
writer_i8(struct writer *w, int8_t v)
{
    uint8_t *p = buf_extend(&w->buf, 1);
    if (p != NULL)
        *p = (uint8_t)v;
}

static inline void
writer_i16(struct writer *w, int16_t v)
{
    uint8_t *p = buf_extend(&w->buf, 2);
    if (p != NULL)
        store_be16(p, (uint16_t)v);
}

static inline void
writer_i32(struct writer *w, int32_t v)
{
    uint8_t *p = buf_extend(&w->buf, 4);
    if (p != NULL)
        store_be32(p, (uint32_t)v);
}

static inline void
writer_i64(struct writer *w, int64_t v)
{
    uint8_t *p = buf_extend(&w->buf, 8);
    if (p != NULL)
        store_be64(p, (uint64_t)v);
}

static inline void
writer_f64(struct writer *w, double v)
{
    int64_t bits;
    memcpy(&bits, &v, sizeof bits);
    writer_i64(w, bits);
}

void writer_uvarlong(struct writer *w, uint64_t v);

static inline void
writer_uvarint(struct writer *w, uint32_t v)
{
    writer_uvarlong(w, v);
}

static inline void
writer_varint(struct writer *w, int32_t v)
{
    writer_uvarlong(w, ((uint32_t)v << 1) ^ (uint32_t)(v >> 31));
}

static inline void
writer_varlong(struct writer *w, int64_t v)
{
    writer_uvarlong(w, ((uint64_t)v << 1) ^ (uint64_t)(v >> 63));
}

#endif
