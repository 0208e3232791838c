/* raft/raft.h - one node's part in the metadata quorum (KIP-595), as a pure state machine.
 *
 * The owner feeds events (start, tick, append, flushed) from one thread and supplies the effects as
 * struct raft_ops. A quorum of one elects itself at start. The clock is an argument, chance a port.
 *
 * Invariants: I1 epoch and vote are persisted before they are acted on. I2 the epoch never goes
 * back. I3 the high watermark never goes back, and only passes records of the own epoch that a
 * majority has flushed. I4 after a failed effect the node is FAILED and does nothing more. */
#ifndef RAFT_RAFT_H
#define RAFT_RAFT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/bytes.h"
#include "base/diag.h"
#include "base/err.h"
#include "base/uuid.h"
#include "raft/quorum_state.h"
#include "wire/batch_builder.h"

struct raft;

enum raft_role { RAFT_UNATTACHED, RAFT_FOLLOWER, RAFT_CANDIDATE, RAFT_LEADER, RAFT_FAILED };

struct raft_ops {
    /* Makes the text durable in place of the old one before it returns. */
    enum err (*store_quorum_state)(void *ctx, struct bytes text);
    /* Appends whole batches at the log end, offsets and epoch stamped. Not flushed yet. */
    enum err (*append)(void *ctx, uint8_t *batches, size_t len);
    /* Asks for a flush of all that was appended; raft_flushed tells when it is done. */
    void (*want_flush)(void *ctx);
    /* Records below this offset are committed. */
    void (*committed)(void *ctx, int64_t high_watermark);
    /* Became leader of an epoch, or lost it. The log has the epoch's LeaderChange record at the
     * end. */
    void (*leading)(void *ctx, bool leader, int32_t epoch);
};

struct raft_opts {
    const struct raft_ops *ops;
    void *ctx;
    struct diag *diag;
    int32_t node_id;
    struct uuid directory_id;
    const int32_t *voters; /* copied; with one voter, this node, the quorum runs */
    int voter_count;
    const struct quorum_state *state; /* as stored; NULL: a new node */
    int64_t log_end_offset;           /* all of it flushed */
    int32_t log_epoch;                /* of the last record; 0 when empty */
};

MUST_USE enum err raft_new(const struct raft_opts *opts, struct raft **out);
void raft_free(struct raft **raft);

/* Runs what is due: elections. wall_ms stamps control records. */
MUST_USE enum err raft_tick(struct raft *raft, int64_t wall_ms);

/* Leader: appends the records as one batch; *last_offset is that of the last. WRONG_STATE when not
 * the leader, FAILED after a failed effect. */
MUST_USE enum err raft_append(
    struct raft *raft, const struct batch_builder_record *records, int count, int64_t *last_offset);
/* Everything below offset is on this node's disk. */
void raft_flushed(struct raft *raft, int64_t offset);
/* A flush failed: durability is in doubt, the node is FAILED. */
void raft_flush_failed(struct raft *raft);

enum raft_role raft_role_get(const struct raft *raft);
int32_t raft_epoch(const struct raft *raft);
int32_t raft_leader_id(const struct raft *raft); /* -1: unknown */
int64_t raft_log_end_offset(const struct raft *raft);
int64_t raft_high_watermark(const struct raft *raft); /* 0 before anything is committed */
/* The start offset of the current epoch, when leading; -1 otherwise. */
int64_t raft_epoch_start_offset(const struct raft *raft);
int raft_voters(const struct raft *raft, const int32_t **voters);

#endif
