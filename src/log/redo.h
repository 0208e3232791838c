/* log/redo.h - what the journal of an unclean stop holds for the logs of its directory.
 *
 * Read once before the logs are opened; recovery asks it where a log's own files end or make no
 * sense. Threads: load and free by one; apply from several at once. */
#ifndef LOG_REDO_H
#define LOG_REDO_H

#include <stdbool.h>

#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"
#include "base/uuid.h"
#include "os/env.h"

struct log_redo;

/* NULL and OK when there is no journal. What follows the last whole batch was never acknowledged; a
 * batch that is broken with others behind it is told and passed over. */
MUST_USE enum err log_redo_load(struct env *env, const char *dir, struct log_redo **out);
void log_redo_free(struct log_redo **redo);

struct log_redo_want {
    struct str key;       /* "<topic>-<partition>" */
    struct uuid topic_id; /* zero: its partition.metadata rotted; any will do */
    int64_t segment_base;
    int64_t position; /* where a batch with offset_next should stand and does not */
    int64_t offset_next;
};
/* Writes everything that the journal has for this segment from that position on into `file`, if it
 * has that very batch there. Gives the end of what was written; NOTFOUND when it has it not. */
MUST_USE enum err log_redo_apply(struct log_redo *redo, const struct log_redo_want *want,
    struct env_file *file, int64_t *end_position);
/* Behind damage, where nothing leads from one batch to the next: every whole batch that the journal
 * has of the segment behind `position`, with an offset from offset_next on, stands in `file`
 * afterwards, unless another whole one stands there. *any when there was one: then everything
 * before it had been durable. */
MUST_USE enum err log_redo_fill(
    struct log_redo *redo, const struct log_redo_want *want, struct env_file *file, bool *any);
/* Bytes given back so far. */
int64_t log_redo_bytes(const struct log_redo *redo);

#endif
