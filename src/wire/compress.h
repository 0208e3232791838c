/* wire/compress.h - the five codecs of record batches, bounded in what they may unpack to.
 *
 * A context keeps the libraries' working memory between calls; one thread uses it at a time. It is
 * cheap until a codec is first used. */
#ifndef WIRE_COMPRESS_H
#define WIRE_COMPRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"

/* The numbers are bits 0-2 of a batch's attributes. */
enum compress_codec {
    COMPRESS_NONE = 0,
    COMPRESS_GZIP = 1,
    COMPRESS_SNAPPY = 2,
    COMPRESS_LZ4 = 3,
    COMPRESS_ZSTD = 4,
    COMPRESS_CODEC_COUNT = 5,
};

/* Whatever Kafka's default level of that codec is (KIP-390). */
enum { COMPRESS_LEVEL_DEFAULT = INT32_MIN };

struct compress_ctx;

MUST_USE enum err compress_ctx_new(struct compress_ctx **out);
void compress_ctx_free(struct compress_ctx **ctx); /* NULL is fine */

/* "none", "gzip", ... as in compression.type; NULL for a number that is no codec. */
const char *compress_codec_name(int codec);
/* False for an unknown name ("producer" and "uncompressed" are the caller's business). */
bool compress_codec_parse(struct str name, enum compress_codec *out);
/* gzip 1..9 and -1, lz4 1..17, zstd -131072..22; COMPRESS_LEVEL_DEFAULT always. Codecs without
 * levels take any. */
bool compress_level_valid(enum compress_codec codec, int level);
int compress_level_default(enum compress_codec codec);

/* How much a batch of in_len compressed bytes may unpack to (base/limits.h). */
size_t compress_unpacked_max(size_t in_len);

/* Appends the compressed form of `in`, as Kafka's own producer frames it, to out. NOMEM, or LIMIT
 * when out is at its ceiling; out's length is then as it was. The level must be valid. */
MUST_USE enum err compress_encode(struct compress_ctx *ctx, enum compress_codec codec, int level,
    struct bytes in, struct buf *out);

/* Appends the unpacked form to out. CORRUPT for a broken or cut stream, LIMIT when it would unpack
 * to more than size_max (or out's ceiling), NOMEM; out's length is then as it was. COMPRESS_NONE
 * copies. */
MUST_USE enum err compress_decode(struct compress_ctx *ctx, enum compress_codec codec,
    struct bytes in, size_t size_max, struct buf *out);

#endif
