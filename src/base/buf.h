/* base/buf.h - a growable byte buffer with a ceiling and a latched failure. */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"

struct buf {
    uint8_t *data; /* owned */
    size_t len;
    size_t capacity;
    size_t size_max; /* never grows past this */
    enum err err;    /* first failure: ERR_LIMIT or ERR_NOMEM; later writes do nothing */
};

void buf_init(struct buf *buf, size_t size_max);
void buf_fini(struct buf *buf);
void buf_clear(struct buf *buf); /* len 0, keeps the memory, clears the latch */
/* Room for `extra` more bytes; false and latched when there is none. */
bool buf_reserve(struct buf *buf, size_t extra);
void buf_append(struct buf *buf, const void *data, size_t len);
void buf_append_str(struct buf *buf, struct str s);
void buf_append_z(struct buf *buf, const char *z);
void buf_append_byte(struct buf *buf, uint8_t byte);
void buf_printf(struct buf *buf, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Extends by len uninitialised bytes and returns them; NULL when full. */
uint8_t *buf_extend(struct buf *buf, size_t len);
/* A terminated C string view of the contents (a NUL past len, not counted); "" on failure. */
const char *buf_z(struct buf *buf);
static inline struct bytes
buf_bytes(const struct buf *buf)
{
    return (struct bytes){buf->data, buf->len};
}

#endif
