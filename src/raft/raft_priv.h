/* raft/raft_priv.h - the body of a raft node, for raft.c, raft_log.c and their tests. */
#ifndef RAFT_RAFT_PRIV_H
#define RAFT_RAFT_PRIV_H

#include "base/fsm.h"
#include "raft/raft.h"

enum { RAFT_VOTERS_MAX = 15 };

struct raft {
    /* Fixed. */
    struct raft_ops ops;
    void *ctx;
    struct diag *diag;
    int32_t node_id;
    struct uuid directory_id;
    int32_t voters[RAFT_VOTERS_MAX];
    int voter_count;
    /* The role. */
    struct fsm role;
    struct quorum_state state;  /* what is on the disk (I1) */
    int64_t epoch_start_offset; /* -1 unless leading */
    /* The log. */
    int64_t log_end_offset;
    int64_t flushed_offset;
    int64_t high_watermark;
    struct buf scratch; /* batches being built */
};

void raft_check(const struct raft *raft);
void raft_fail(struct raft *raft, const char *event, enum err err);
/* raft_log.c */
MUST_USE enum err raft_log_append_leader_change(struct raft *raft, int64_t wall_ms);
void raft_log_advance(struct raft *raft);

#endif
