/* proto/fill.h - random messages, for tests, benchmarks and fuzz seeds. */
#ifndef PROTO_FILL_H
#define PROTO_FILL_H

#include "proto/schema.h"

/* Every field that the version has gets a random value that the version can say (edge values,
 * nulls and empty arrays often; text is valid UTF-8); the others keep their defaults. The same
 * seed gives the same message. NOMEM when the arena is too small: 1 MiB is plenty. */
MUST_USE enum err proto_fill(const struct proto_schema *schema, int16_t version, uint64_t seed,
    struct arena *arena, void *msg);

#endif
