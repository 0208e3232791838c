/* raft/quorum_state.h - the quorum-state file: epoch, leader and vote, one line of JSON.
 *
 * Version 0 belongs to kraft.version 0 (voters are configured), version 1 to kraft.version 1
 * (voters stand in the log, KIP-853). What a directory was written with is kept. */
#ifndef RAFT_QUORUM_STATE_H
#define RAFT_QUORUM_STATE_H

#include <stdint.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"
#include "base/uuid.h"

struct quorum_state {
    int16_t version;   /* 0 or 1 */
    int32_t leader_id; /* -1: unknown */
    int32_t leader_epoch;
    int32_t voted_id;               /* -1: not voted in this epoch */
    struct uuid voted_directory_id; /* version 1 */
};

/* CORRUPT when it is not such a line; the node must then not vote. UNSUPPORTED for a later version.
 */
MUST_USE enum err quorum_state_parse(struct str text, struct quorum_state *out);
/* voters go into version 0. Failures are latched in out. */
void quorum_state_format(
    const struct quorum_state *state, const int32_t *voters, int voter_count, struct buf *out);

#endif
