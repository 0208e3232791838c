/* log/checkpoint.h - Kafka's text checkpoints: version 0, a count, then one line an entry. */
#ifndef LOG_CHECKPOINT_H
#define LOG_CHECKPOINT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"
#include "os/env.h"

/* Reads the first two lines and hands each further one to fn, without its line end; fn returning
 * false means that the line is malformed. NOTFOUND; CORRUPT for anything unexpected. */
MUST_USE enum err checkpoint_read(
    struct env *env, const char *path, bool (*fn)(void *ctx, struct str line), void *ctx);

/* "topic partition offset", as in the four checkpoints of a log directory. */
bool checkpoint_parse_offset(
    struct str line, struct str *topic, int32_t *partition, int64_t *offset);

/* Takes the next space-separated number off the front of a line; false when there is none. */
bool checkpoint_take_number(struct str *line, int64_t *out);

/* The first two lines. */
void checkpoint_begin(struct buf *text, int64_t count);

#endif
