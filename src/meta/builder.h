/* meta/builder.h - makes the next image from one and the records that come after it.
 *
 * One thread. Records are replayed in order; what is not interpreted is kept raw, so that nothing
 * is lost from snapshots. A record that does not fit what is there (a partition of an unknown
 * topic) is CORRUPT: the builder is then of no more use. */
#ifndef META_BUILDER_H
#define META_BUILDER_H

#include <stdint.h>

#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"
#include "meta/delta.h"
#include "meta/image.h"

struct meta_builder;

MUST_USE enum err meta_builder_new(const struct meta_image *base, struct meta_builder **out);
/* value: a framed record. UNSUPPORTED for a record type or version of a later program. */
MUST_USE enum err meta_builder_replay(struct meta_builder *builder, struct bytes value);
/* The image at that offset, and what changed; the builder is freed whatever comes out. Both are the
 * caller's; out parameters stay untouched on failure. */
MUST_USE enum err meta_builder_finish(struct meta_builder **builder, int64_t offset, int32_t epoch,
    int64_t timestamp_ms, struct meta_image **image, struct meta_delta **delta);
void meta_builder_free(struct meta_builder **builder);

#endif
