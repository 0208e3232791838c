/* wire/compress_priv.h - one pair of functions per codec, and what they share. */
#ifndef WIRE_COMPRESS_PRIV_H
#define WIRE_COMPRESS_PRIV_H

#include "wire/compress.h"

struct libdeflate_compressor;
struct libdeflate_decompressor;
struct LZ4F_dctx_s;
struct ZSTD_CCtx_s;
struct ZSTD_DCtx_s;

/* All made at first use; NULL before. */
struct compress_ctx {
    struct libdeflate_compressor *gzip_c; /* of gzip_level */
    int gzip_level;
    struct libdeflate_decompressor *gzip_d;
    struct LZ4F_dctx_s *lz4_d;
    struct ZSTD_CCtx_s *zstd_c;
    struct ZSTD_DCtx_s *zstd_d;
};

/* Where an unpacker writes. len_max is the length of `out` that must not be passed. */
struct compress_out {
    struct buf *out;
    size_t len_max;
};

/* Makes room for min(want, what is left) more bytes, at least one; *room tells how much there is.
 * LIMIT when nothing is left; NOMEM. */
MUST_USE enum err compress_room(struct compress_out *o, size_t want, size_t *room);

/* Encoders append to out (whose failures they leave latched in it); decoders may leave a part. The
 * caller puts both right. Levels are real ones. */
enum err compress_gzip_encode(
    struct compress_ctx *ctx, int level, struct bytes in, struct buf *out);
enum err compress_gzip_decode(struct compress_ctx *ctx, struct bytes in, struct compress_out *o);
void compress_gzip_fini(struct compress_ctx *ctx);

enum err compress_snappy_encode(struct bytes in, struct buf *out);
enum err compress_snappy_decode(struct bytes in, struct compress_out *o);

enum err compress_lz4_encode(int level, struct bytes in, struct buf *out);
enum err compress_lz4_decode(struct compress_ctx *ctx, struct bytes in, struct compress_out *o);
void compress_lz4_fini(struct compress_ctx *ctx);

enum err compress_zstd_encode(
    struct compress_ctx *ctx, int level, struct bytes in, struct buf *out);
enum err compress_zstd_decode(struct compress_ctx *ctx, struct bytes in, struct compress_out *o);
void compress_zstd_fini(struct compress_ctx *ctx);

#endif
