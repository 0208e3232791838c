/* gzip by libdeflate, member by member. libdeflate wants the whole output at once, so the room is
 * guessed from the size that the last member's trailer tells and doubled while it is too small.
 * What follows a member and is no member is ignored, as Java's GZIPInputStream does. */
#include "wire/compress_priv.h"

#include <libdeflate.h>

#include "base/assert.h"

enum {
    GZIP_MEMBER_MIN = 18,  /* header and trailer */
    GZIP_RATIO_MAX = 1032, /* deflate cannot do better */
    GZIP_LEVEL_LIBRARY_DEFAULT = 6,
};

void
compress_gzip_fini(struct compress_ctx *ctx)
{
    if (ctx->gzip_c != NULL)
        libdeflate_free_compressor(ctx->gzip_c);
    if (ctx->gzip_d != NULL)
        libdeflate_free_decompressor(ctx->gzip_d);
    ctx->gzip_c = NULL;
    ctx->gzip_d = NULL;
}

enum err
compress_gzip_encode(struct compress_ctx *ctx, int level, struct bytes in, struct buf *out)
{
    if (level == -1)
        level = GZIP_LEVEL_LIBRARY_DEFAULT;
    if (ctx->gzip_c != NULL && ctx->gzip_level != level) {
        libdeflate_free_compressor(ctx->gzip_c);
        ctx->gzip_c = NULL;
    }
    if (ctx->gzip_c == NULL) {
        ctx->gzip_c = libdeflate_alloc_compressor(level);
        ctx->gzip_level = level;
    }
    if (ctx->gzip_c == NULL)
        return ERR_NOMEM;

    size_t bound = libdeflate_gzip_compress_bound(ctx->gzip_c, in.len);
    size_t start = out->len;
    uint8_t *to = buf_extend(out, bound);
    if (to == NULL)
        return out->err;
    size_t n = libdeflate_gzip_compress(ctx->gzip_c, in.data, in.len, to, bound);
    ASSERT(n > 0 && n <= bound);
    out->len = start + n;
    return ERR_OK;
}

/* A first guess at what `in`, from a member's start to the end of input, unpacks to. */
static size_t
gzip_guess(struct bytes in)
{
    const uint8_t *tail = in.data + in.len - 4;
    size_t told =
        (size_t)tail[0] | (size_t)tail[1] << 8 | (size_t)tail[2] << 16 | (size_t)tail[3] << 24;
    size_t possible = in.len * GZIP_RATIO_MAX;
    ASSERT(in.len >= GZIP_MEMBER_MIN);
    if (told > possible)
        told = in.len * 4;
    return told == 0 ? 1 : told;
}

static enum err
gzip_member(struct compress_ctx *ctx, struct bytes in, struct compress_out *o, size_t *used)
{
    size_t want = gzip_guess(in);
    uint8_t probe[1];

    for (;;) {
        size_t room = 0, n = 0;
        enum err err = compress_room(o, want, &room);
        bool full = err == ERR_LIMIT; /* an empty member may still follow */
        if (err != ERR_OK && !full)
            return err;
        uint8_t *to = full ? probe : o->out->data + o->out->len;
        enum libdeflate_result result =
            libdeflate_gzip_decompress_ex(ctx->gzip_d, in.data, in.len, to, room, used, &n);
        if (result == LIBDEFLATE_SUCCESS) {
            ASSERT(n <= room);
            o->out->len += n;
            return ERR_OK;
        }
        if (result != LIBDEFLATE_INSUFFICIENT_SPACE)
            return ERR_CORRUPT;
        if (room == o->len_max - o->out->len)
            return ERR_LIMIT;
        want = room * 2;
    }
}

enum err
compress_gzip_decode(struct compress_ctx *ctx, struct bytes in, struct compress_out *o)
{
    bool first = true;

    if (ctx->gzip_d == NULL)
        ctx->gzip_d = libdeflate_alloc_decompressor();
    if (ctx->gzip_d == NULL)
        return ERR_NOMEM;
    while (in.len >= GZIP_MEMBER_MIN && in.data[0] == 0x1f && in.data[1] == 0x8b) {
        size_t used = 0;
        enum err err = gzip_member(ctx, in, o, &used);
        if (err != ERR_OK)
            return err;
        ASSERT(used >= GZIP_MEMBER_MIN && used <= in.len);
        in.data += used;
        in.len -= used;
        first = false;
    }
    return first ? ERR_CORRUPT : ERR_OK;
}
