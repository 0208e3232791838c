/* The slow parts of wire/writer.h. Invariants: I1 splices are in order of `at`, which never passes
 * buf.len. I2 splice_bytes is the sum of their lengths. */
#include "wire/writer.h"

#include "base/alloc.h"
#include "base/assert.h"

void
writer_init(struct writer *w, size_t size_max)
{
    *w = (struct writer){0};
    buf_init(&w->buf, size_max);
}

void
writer_fini(struct writer *w)
{
    buf_fini(&w->buf);
    mem_free(w->splices);
    w->splices = NULL;
    w->splice_count = 0;
    w->splice_capacity = 0;
    w->splice_bytes = 0;
}

static bool
has_room(struct writer *w)
{
    if (w->buf.err != ERR_OK)
        return false;
    if (w->splice_count < w->splice_capacity)
        return true;
    int capacity = w->splice_capacity == 0 ? 8 : w->splice_capacity * 2;
    void *grown = mem_realloc(w->splices, (size_t)capacity * sizeof *w->splices);
    if (grown == NULL) {
        w->buf.err = ERR_NOMEM;
        return false;
    }
    w->splices = grown;
    w->splice_capacity = capacity;
    return true;
}

bool
writer_splice(struct writer *w, void *file, int64_t position, size_t len)
{
    ASSERT(file != NULL);
    ASSERT(position >= 0);
    if (!has_room(w)) {
        if (w->refused != NULL)
            w->refused(file);
        return false;
    }
    ASSERT(w->splice_count == 0 || w->splices[w->splice_count - 1].at <= w->buf.len); /* I1 */
    w->splices[w->splice_count++] =
        (struct wire_splice){.at = w->buf.len, .file = file, .position = position, .len = len};
    w->splice_bytes += len;
    return true;
}

void
writer_uvarlong(struct writer *w, uint64_t v)
{
    uint8_t bytes[10];
    size_t n = 0;

    while (v >= 0x80) {
        bytes[n++] = (uint8_t)(v | 0x80);
        v >>= 7;
    }
    bytes[n++] = (uint8_t)v;
    ASSERT(n <= sizeof bytes);
    buf_append(&w->buf, bytes, n);
}
