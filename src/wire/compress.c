/* What: the codecs' common face: names, levels, dispatch, and keeping the output as it was when one
 * fails. The codecs themselves are in compress_<codec>.c.
 * Threads: a context belongs to one thread at a time.
 * Errors: bytes of a peer or a disk give CORRUPT or LIMIT, never an assertion. */
#include "wire/compress.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/limits.h"
#include "wire/compress_priv.h"

struct codec_info {
    const char *name;
    int level_min, level_max, level_default;
};

/* Levels as KIP-390 has them. */
static const struct codec_info codecs[COMPRESS_CODEC_COUNT] = {
    [COMPRESS_NONE] = {"none", 0, 0, 0},
    [COMPRESS_GZIP] = {"gzip", 1, 9, -1},
    [COMPRESS_SNAPPY] = {"snappy", 0, 0, 0},
    [COMPRESS_LZ4] = {"lz4", 1, 17, 9},
    [COMPRESS_ZSTD] = {"zstd", -131072, 22, 3},
};

enum err
compress_ctx_new(struct compress_ctx **out)
{
    struct compress_ctx *ctx = mem_calloc(1, sizeof *ctx);
    if (ctx == NULL)
        return ERR_NOMEM;
    *out = ctx;
    return ERR_OK;
}

void
compress_ctx_free(struct compress_ctx **ctx)
{
    if (*ctx == NULL)
        return;
    compress_gzip_fini(*ctx);
    compress_lz4_fini(*ctx);
    compress_zstd_fini(*ctx);
    mem_free(*ctx);
    *ctx = NULL;
}

const char *
compress_codec_name(int codec)
{
    return codec >= 0 && codec < COMPRESS_CODEC_COUNT ? codecs[codec].name : NULL;
}

bool
compress_codec_parse(struct str name, enum compress_codec *out)
{
    for (int i = 0; i < COMPRESS_CODEC_COUNT; i++) {
        if (str_eq_z(name, codecs[i].name)) {
            *out = (enum compress_codec)i;
            return true;
        }
    }
    return false;
}

bool
compress_level_valid(enum compress_codec codec, int level)
{
    const struct codec_info *info = &codecs[codec];
    ASSERT(codec < COMPRESS_CODEC_COUNT);
    if (level == COMPRESS_LEVEL_DEFAULT || level == info->level_default)
        return true;
    if (codec == COMPRESS_NONE || codec == COMPRESS_SNAPPY)
        return true;
    return level >= info->level_min && level <= info->level_max;
}

int
compress_level_default(enum compress_codec codec)
{
    ASSERT(codec < COMPRESS_CODEC_COUNT);
    return codecs[codec].level_default;
}

size_t
compress_unpacked_max(size_t in_len)
{
    if (in_len <= (size_t)LIMIT_DECOMPRESS_FLOOR / LIMIT_DECOMPRESS_FACTOR)
        return LIMIT_DECOMPRESS_FLOOR;
    if (in_len > SIZE_MAX / LIMIT_DECOMPRESS_FACTOR)
        return SIZE_MAX - 1;
    return in_len * LIMIT_DECOMPRESS_FACTOR;
}

enum err
compress_room(struct compress_out *o, size_t want, size_t *room)
{
    struct buf *out = o->out;
    size_t left = o->len_max - out->len;

    ASSERT(want > 0);
    ASSERT(o->len_max <= out->size_max);
    ASSERT(out->len <= o->len_max);
    if (left == 0)
        return ERR_LIMIT;
    if (!buf_reserve(out, want < left ? want : left))
        return out->err;
    size_t have = out->capacity - out->len;
    *room = have < left ? have : left;
    return ERR_OK;
}

/* Puts a buffer back to where it was before a failed call. */
static enum err
restore(struct buf *out, size_t len, enum err err)
{
    ASSERT(err != ERR_OK);
    out->len = len;
    out->err = ERR_OK;
    return err;
}

enum err
compress_encode(struct compress_ctx *ctx, enum compress_codec codec, int level, struct bytes in,
    struct buf *out)
{
    size_t start = out->len;
    enum err err = ERR_OK;

    ASSERT(codec < COMPRESS_CODEC_COUNT);
    ASSERT(compress_level_valid(codec, level));
    if (out->err != ERR_OK)
        return out->err;
    if (level == COMPRESS_LEVEL_DEFAULT)
        level = codecs[codec].level_default;
    switch (codec) {
    case COMPRESS_NONE: buf_append(out, in.data, in.len); break;
    case COMPRESS_GZIP: err = compress_gzip_encode(ctx, level, in, out); break;
    case COMPRESS_SNAPPY: err = compress_snappy_encode(in, out); break;
    case COMPRESS_LZ4: err = compress_lz4_encode(level, in, out); break;
    case COMPRESS_ZSTD: err = compress_zstd_encode(ctx, level, in, out); break;
    case COMPRESS_CODEC_COUNT: UNREACHABLE();
    }
    if (err == ERR_OK)
        err = out->err;
    return err == ERR_OK ? ERR_OK : restore(out, start, err);
}

enum err
compress_decode(struct compress_ctx *ctx, enum compress_codec codec, struct bytes in,
    size_t size_max, struct buf *out)
{
    size_t start = out->len;
    enum err err = ERR_OK;

    ASSERT(codec < COMPRESS_CODEC_COUNT);
    ASSERT(out->len <= out->size_max);
    if (out->err != ERR_OK)
        return out->err;
    if (size_max > out->size_max - start)
        size_max = out->size_max - start;
    struct compress_out o = {.out = out, .len_max = start + size_max};
    switch (codec) {
    case COMPRESS_NONE:
        if (in.len > size_max)
            return ERR_LIMIT;
        buf_append(out, in.data, in.len);
        break;
    case COMPRESS_GZIP: err = compress_gzip_decode(ctx, in, &o); break;
    case COMPRESS_SNAPPY: err = compress_snappy_decode(in, &o); break;
    case COMPRESS_LZ4: err = compress_lz4_decode(ctx, in, &o); break;
    case COMPRESS_ZSTD: err = compress_zstd_decode(ctx, in, &o); break;
    case COMPRESS_CODEC_COUNT: UNREACHABLE();
    }
    if (err == ERR_OK)
        err = out->err;
    ASSERT(err != ERR_OK || out->len <= o.len_max);
    return err == ERR_OK ? ERR_OK : restore(out, start, err);
}
