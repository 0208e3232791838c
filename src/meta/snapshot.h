/* meta/snapshot.h - an image as the records that would make it from nothing. */
#ifndef META_SNAPSHOT_H
#define META_SNAPSHOT_H

#include "base/arena.h"
#include "base/attr.h"
#include "base/err.h"
#include "meta/image.h"
#include "meta/records.h"

/* Calls put for groups of records in an order in which they can be replayed; the records live in
 * `arena`, which is reset between groups. put's error ends it. */
MUST_USE enum err meta_snapshot_records(const struct meta_image *image, struct arena *arena,
    enum err (*put)(void *ctx, const struct meta_records *records), void *ctx);

#endif
