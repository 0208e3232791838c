/* lz4 in its frame format. Written as Kafka writes it: independent blocks of 64 KiB without
 * checksums. Read as Kafka reads it: one frame, whose blocks must be independent; a dictionary id
 * or a reserved bit is refused, bytes after the frame are ignored. */
#include "wire/compress_priv.h"

#include <lz4frame.h>

#include "base/assert.h"

enum {
    LZ4_FRAME_MIN = 7, /* magic, flags, block descriptor, header checksum */
    LZ4_FLAGS_AT = 4,
    LZ4_FLAGS_REFUSED = 0x03, /* dictionary id, reserved */
    LZ4_FLAGS_INDEPENDENT = 0x20,
    LZ4_BLOCK_MAX = 4 << 20,
    LZ4_LEVEL_DEFAULT = 9, /* Kafka's default number, for which it uses the fast compressor */
    LZ4_GUESS_FACTOR = 4,
};

void
compress_lz4_fini(struct compress_ctx *ctx)
{
    if (ctx->lz4_d != NULL)
        LZ4F_freeDecompressionContext(ctx->lz4_d);
    ctx->lz4_d = NULL;
}

enum err
compress_lz4_encode(int level, struct bytes in, struct buf *out)
{
    LZ4F_preferences_t prefs = {
        .frameInfo = {.blockSizeID = LZ4F_max64KB, .blockMode = LZ4F_blockIndependent},
        .compressionLevel = level == LZ4_LEVEL_DEFAULT ? 0 : level,
    };
    size_t bound = LZ4F_compressFrameBound(in.len, &prefs);
    size_t start = out->len;
    uint8_t *to = buf_extend(out, bound);
    if (to == NULL)
        return out->err;
    size_t n = LZ4F_compressFrame(to, bound, in.data, in.len, &prefs);
    if (LZ4F_isError(n))
        return ERR_NOMEM; /* nothing else can go wrong: the room is enough */
    ASSERT(n <= bound);
    out->len = start + n;
    return ERR_OK;
}

/* Feeds the library until the frame ends; it needs no dictionary and keeps no history. */
static enum err
lz4_frame(struct LZ4F_dctx_s *d, struct bytes in, struct compress_out *o)
{
    size_t want = in.len * LZ4_GUESS_FACTOR;
    size_t pos = 0, hint = 1;
    uint8_t probe[64];

    while (hint != 0) {
        size_t room = 0;
        enum err err = compress_room(o, want, &room);
        bool full = err == ERR_LIMIT; /* the end mark may still follow */
        if (err != ERR_OK && !full)
            return err;
        size_t n = full ? sizeof probe : room;
        size_t taken = in.len - pos;
        hint = LZ4F_decompress(
            d, full ? probe : o->out->data + o->out->len, &n, in.data + pos, &taken, NULL);
        if (LZ4F_isError(hint))
            return ERR_CORRUPT;
        if (full && n > 0)
            return ERR_LIMIT;
        o->out->len += n;
        pos += taken;
        if (hint != 0 && n == 0 && taken == 0)
            return ERR_CORRUPT; /* the frame is cut off */
        want = o->out->len > LZ4_BLOCK_MAX ? o->out->len : LZ4_BLOCK_MAX;
        if (want > in.len * 255)
            want = in.len * 255; /* lz4 cannot do better */
    }
    return ERR_OK;
}

enum err
compress_lz4_decode(struct compress_ctx *ctx, struct bytes in, struct compress_out *o)
{
    if (in.len < LZ4_FRAME_MIN || in.data[0] != 0x04 || in.data[1] != 0x22 || in.data[2] != 0x4d ||
        in.data[3] != 0x18)
        return ERR_CORRUPT;
    uint8_t flags = in.data[LZ4_FLAGS_AT];
    if ((flags & LZ4_FLAGS_REFUSED) != 0 || (flags & LZ4_FLAGS_INDEPENDENT) == 0)
        return ERR_CORRUPT;
    if (ctx->lz4_d == NULL) {
        if (LZ4F_isError(LZ4F_createDecompressionContext(&ctx->lz4_d, LZ4F_VERSION))) {
            ctx->lz4_d = NULL;
            return ERR_NOMEM;
        }
    }
    enum err err = lz4_frame(ctx->lz4_d, in, o);
    LZ4F_resetDecompressionContext(ctx->lz4_d);
    return err;
}
