/* What: a growable byte buffer. Invariants: I1 len <= size_max. I2 capacity <= size_max + 1: the
 * one byte more is for buf_z's NUL. I3 after a failure len does not change until buf_clear. */
#include "base/buf.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/assert.h"

enum { BUF_CAPACITY_MIN = 64 };

void
buf_init(struct buf *buf, size_t size_max)
{
    ASSERT(size_max < SIZE_MAX);
    *buf = (struct buf){.size_max = size_max, .err = ERR_OK};
}

void
buf_fini(struct buf *buf)
{
    mem_free(buf->data);
    *buf = (struct buf){.size_max = buf->size_max, .err = ERR_OK};
}

void
buf_clear(struct buf *buf)
{
    buf->len = 0;
    buf->err = ERR_OK;
}

/* Capacity of at least `need` bytes, which is at most size_max + 1. */
static bool
buf_grow(struct buf *buf, size_t need)
{
    size_t capacity = buf->capacity < BUF_CAPACITY_MIN ? BUF_CAPACITY_MIN : buf->capacity;
    ASSERT(need <= buf->size_max + 1);
    while (capacity < need)
        capacity = capacity > SIZE_MAX / 2 ? need : capacity * 2;
    if (capacity > buf->size_max + 1)
        capacity = buf->size_max + 1;
    uint8_t *data = mem_realloc(buf->data, capacity);
    if (data == NULL) {
        buf->err = ERR_NOMEM;
        return false;
    }
    buf->data = data;
    buf->capacity = capacity;
    return true;
}

bool
buf_reserve(struct buf *buf, size_t extra)
{
    ASSERT(buf->len <= buf->size_max); /* I1 */
    if (UNLIKELY(buf->err != ERR_OK))
        return false;
    if (UNLIKELY(extra > buf->size_max - buf->len)) {
        buf->err = ERR_LIMIT;
        return false;
    }
    if (LIKELY(extra <= buf->capacity && buf->len <= buf->capacity - extra))
        return true;
    return buf_grow(buf, buf->len + extra);
}

uint8_t *
buf_extend(struct buf *buf, size_t len)
{
    if (!buf_reserve(buf, len))
        return NULL;
    if (buf->data == NULL && !buf_grow(buf, 0)) /* an empty extension still gives a pointer */
        return NULL;
    uint8_t *at = buf->data + buf->len;
    buf->len += len;
    return at;
}

void
buf_append(struct buf *buf, const void *data, size_t len)
{
    if (len == 0)
        return;
    uint8_t *at = buf_extend(buf, len);
    if (at != NULL)
        memcpy(at, data, len);
}

void
buf_append_str(struct buf *buf, struct str s)
{
    buf_append(buf, s.data, s.len);
}

void
buf_append_z(struct buf *buf, const char *z)
{
    buf_append(buf, z, strlen(z));
}

void
buf_append_byte(struct buf *buf, uint8_t byte)
{
    buf_append(buf, &byte, 1);
}

void
buf_printf(struct buf *buf, const char *fmt, ...)
{
    va_list args, again;
    va_start(args, fmt);
    va_copy(again, args);
    /* Measured first: then the terminating NUL never needs room beyond size_max + 1. */
    int len = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    if (len < 0 && buf->err == ERR_OK)
        buf->err = ERR_INVALID;
    if (len > 0 && buf_reserve(buf, (size_t)len) &&
        (buf->capacity - buf->len > (size_t)len || buf_grow(buf, buf->len + (size_t)len + 1))) {
        vsnprintf((char *)buf->data + buf->len, (size_t)len + 1, fmt, again);
        buf->len += (size_t)len;
    }
    va_end(again);
}

const char *
buf_z(struct buf *buf)
{
    if (buf->err != ERR_OK)
        return "";
    if (buf->capacity == buf->len && !buf_grow(buf, buf->len + 1))
        return "";
    buf->data[buf->len] = '\0';
    return (const char *)buf->data;
}
