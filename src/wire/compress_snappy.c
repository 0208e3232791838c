/* snappy in the two shapes that Kafka's consumers take: the framing of snappy-java (a header of 16
 * bytes, then blocks of a length and a raw snappy body), which Kafka's producer writes, and one raw
 * body, which some other clients write. */
#include "wire/compress_priv.h"

#include <snappy-c.h>
#include <string.h>

#include "base/assert.h"

enum {
    XERIAL_HEADER_SIZE = 16,
    XERIAL_BLOCK_SIZE = 32 << 10, /* as snappy-java's default */
    XERIAL_VERSION = 1,
    SNAPPY_RATIO_MAX = 64, /* a copy of 64 bytes takes two bytes at least */
};

static const uint8_t xerial_magic[8] = {0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0};

enum err
compress_snappy_encode(struct bytes in, struct buf *out)
{
    buf_append(out, xerial_magic, sizeof xerial_magic);
    uint8_t *versions = buf_extend(out, XERIAL_HEADER_SIZE - sizeof xerial_magic);
    if (versions == NULL)
        return out->err;
    store_be32(versions, XERIAL_VERSION);
    store_be32(versions + 4, XERIAL_VERSION);
    while (in.len > 0) {
        size_t n = in.len < XERIAL_BLOCK_SIZE ? in.len : XERIAL_BLOCK_SIZE;
        size_t bound = snappy_max_compressed_length(n);
        size_t start = out->len;
        uint8_t *to = buf_extend(out, 4 + bound);
        if (to == NULL)
            return out->err;
        snappy_status status = snappy_compress((const char *)in.data, n, (char *)to + 4, &bound);
        ASSERT(status == SNAPPY_OK);
        store_be32(to, (uint32_t)bound);
        out->len = start + 4 + bound;
        in.data += n;
        in.len -= n;
    }
    return ERR_OK;
}

static enum err
snappy_raw(struct bytes in, struct compress_out *o)
{
    size_t len = 0, room = 0;

    if (snappy_uncompressed_length((const char *)in.data, in.len, &len) != SNAPPY_OK)
        return ERR_CORRUPT;
    if (len / SNAPPY_RATIO_MAX > in.len)
        return ERR_CORRUPT; /* before the memory is taken */
    if (len > o->len_max - o->out->len)
        return ERR_LIMIT;
    if (len > 0) {
        enum err err = compress_room(o, len, &room);
        if (err != ERR_OK)
            return err;
        ASSERT(room >= len);
    }
    char nothing[1];
    char *to = len == 0 ? nothing : (char *)o->out->data + o->out->len;
    size_t n = len == 0 ? sizeof nothing : len;
    if (snappy_uncompress((const char *)in.data, in.len, to, &n) != SNAPPY_OK || n != len)
        return ERR_CORRUPT;
    o->out->len += len;
    return ERR_OK;
}

enum err
compress_snappy_decode(struct bytes in, struct compress_out *o)
{
    if (in.len == 0)
        return ERR_CORRUPT;
    if (in.len < XERIAL_HEADER_SIZE || memcmp(in.data, xerial_magic, sizeof xerial_magic) != 0)
        return snappy_raw(in, o);
    while (in.len >= 4) {
        /* A stream may be several streams one after another. */
        if (in.len >= XERIAL_HEADER_SIZE &&
            memcmp(in.data, xerial_magic, sizeof xerial_magic) == 0) {
            in.data += XERIAL_HEADER_SIZE;
            in.len -= XERIAL_HEADER_SIZE;
            continue;
        }
        uint32_t n = load_be32(in.data);
        in.data += 4;
        in.len -= 4;
        if (n > in.len)
            return ERR_CORRUPT;
        enum err err = snappy_raw((struct bytes){in.data, n}, o);
        if (err != ERR_OK)
            return err;
        in.data += n;
        in.len -= n;
    }
    return ERR_OK; /* fewer than four bytes more: the end, as for snappy-java */
}
