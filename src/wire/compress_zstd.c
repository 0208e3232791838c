/* zstd, read as a stream so that output is bounded whatever the frame says of itself. */
#include "wire/compress_priv.h"

#include <zstd.h>
#include <zstd_errors.h>

#include "base/assert.h"

enum {
    ZSTD_GUESS_FACTOR = 4,
    ZSTD_GROW_MIN = 128 << 10,    /* one block */
    ZSTD_CTX_KEEP_MAX = 12 << 20, /* a context that grew past this (a huge window) is not kept */
};

void
compress_zstd_fini(struct compress_ctx *ctx)
{
    ZSTD_freeCCtx(ctx->zstd_c);
    ZSTD_freeDCtx(ctx->zstd_d);
    ctx->zstd_c = NULL;
    ctx->zstd_d = NULL;
}

enum err
compress_zstd_encode(struct compress_ctx *ctx, int level, struct bytes in, struct buf *out)
{
    if (ctx->zstd_c == NULL)
        ctx->zstd_c = ZSTD_createCCtx();
    if (ctx->zstd_c == NULL)
        return ERR_NOMEM;
    size_t bound = ZSTD_compressBound(in.len);
    size_t start = out->len;
    uint8_t *to = buf_extend(out, bound);
    if (to == NULL)
        return out->err;
    size_t n = ZSTD_compressCCtx(ctx->zstd_c, to, bound, in.data, in.len, level);
    if (ZSTD_isError(n))
        return ERR_NOMEM; /* nothing else can go wrong: the room is enough */
    ASSERT(n <= bound);
    out->len = start + n;
    return ERR_OK;
}

/* What to make room for at first: what the frame tells, if that is credible, else a guess. */
static size_t
zstd_guess(struct bytes in, size_t left)
{
    unsigned long long told = ZSTD_getFrameContentSize(in.data, in.len);
    if (told != ZSTD_CONTENTSIZE_UNKNOWN && told != ZSTD_CONTENTSIZE_ERROR && told <= left &&
        told / ZSTD_GROW_MIN <= in.len) /* each block has three bytes at least */
        return told == 0 ? 1 : (size_t)told;
    return in.len * ZSTD_GUESS_FACTOR;
}

static enum err
zstd_stream(struct ZSTD_DCtx_s *d, struct bytes in, struct compress_out *o)
{
    ZSTD_inBuffer from = {.src = in.data, .size = in.len};
    size_t want = zstd_guess(in, o->len_max - o->out->len);
    size_t hint = 0;
    uint8_t probe[64];

    /* hint 0: between frames. */
    while (from.pos < from.size || hint != 0) {
        size_t room = 0;
        enum err err = compress_room(o, want, &room);
        bool full = err == ERR_LIMIT; /* the last bytes of the frame may still follow */
        if (err != ERR_OK && !full)
            return err;
        ZSTD_outBuffer to = {
            .dst = full ? probe : o->out->data + o->out->len, .size = full ? sizeof probe : room};
        size_t from_pos = from.pos;
        hint = ZSTD_decompressStream(d, &to, &from);
        if (ZSTD_isError(hint))
            return ZSTD_getErrorCode(hint) == ZSTD_error_memory_allocation ? ERR_NOMEM
                                                                           : ERR_CORRUPT;
        if (full && to.pos > 0)
            return ERR_LIMIT;
        o->out->len += to.pos;
        if (hint != 0 && to.pos < to.size && from.pos == from.size && from.pos == from_pos)
            return ERR_CORRUPT; /* the frame is cut off */
        want = o->out->len > ZSTD_GROW_MIN ? o->out->len : ZSTD_GROW_MIN;
    }
    return ERR_OK;
}

enum err
compress_zstd_decode(struct compress_ctx *ctx, struct bytes in, struct compress_out *o)
{
    if (in.len == 0)
        return ERR_OK;
    if (ctx->zstd_d == NULL)
        ctx->zstd_d = ZSTD_createDCtx();
    if (ctx->zstd_d == NULL)
        return ERR_NOMEM;
    enum err err = zstd_stream(ctx->zstd_d, in, o);
    size_t reset = ZSTD_DCtx_reset(ctx->zstd_d, ZSTD_reset_session_only);
    ASSERT(!ZSTD_isError(reset));
    if (ZSTD_sizeof_DCtx(ctx->zstd_d) > ZSTD_CTX_KEEP_MAX) {
        ZSTD_freeDCtx(ctx->zstd_d);
        ctx->zstd_d = NULL;
    }
    return err;
}
