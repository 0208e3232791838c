/* raft/raft.c - roles and elections.
 *
 * States: UNATTACHED (no leader known) -> CANDIDATE (epoch + 1, voted for itself, both durable) ->
 * LEADER once a majority has voted. With one voter the own vote is the majority, so that all three
 * are passed in one tick and stored once. FAILED ends everything. Invariants: see raft.h. */
#include "raft/raft.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "raft/raft_priv.h"

enum { BATCH_BYTES_MAX = 64 << 20, STATE_TEXT_MAX = 4096 };

static const char MODULE[] = "raft";

static const struct fsm_state roles[] = {
    [RAFT_UNATTACHED] = {"unattached",
        FSM_BIT(RAFT_FOLLOWER) | FSM_BIT(RAFT_CANDIDATE) | FSM_BIT(RAFT_FAILED)},
    [RAFT_FOLLOWER] = {"follower",
        FSM_BIT(RAFT_UNATTACHED) | FSM_BIT(RAFT_CANDIDATE) | FSM_BIT(RAFT_FAILED)},
    [RAFT_CANDIDATE] = {"candidate",
        FSM_BIT(RAFT_UNATTACHED) | FSM_BIT(RAFT_LEADER) | FSM_BIT(RAFT_FAILED)},
    [RAFT_LEADER] = {"leader", FSM_BIT(RAFT_UNATTACHED) | FSM_BIT(RAFT_FAILED)},
    [RAFT_FAILED] = {"failed", FSM_BIT(RAFT_FAILED)},
};
static const struct fsm_table role_table = {"raft", roles, COUNT_OF(roles)};

void
raft_check(const struct raft *raft)
{
    ASSERT(raft->high_watermark <= raft->flushed_offset); /* I3, a quorum of one */
    ASSERT(raft->flushed_offset <= raft->log_end_offset);
    ASSERT((raft->role.state == RAFT_LEADER) == (raft->epoch_start_offset >= 0));
}

enum err
raft_new(const struct raft_opts *opts, struct raft **out)
{
    ASSERT(opts->voter_count > 0 && opts->voter_count <= RAFT_VOTERS_MAX);
    ASSERT(opts->log_end_offset >= 0);
    struct raft *raft = mem_calloc(1, sizeof *raft);
    if (raft == NULL)
        return ERR_NOMEM;
    raft->ops = *opts->ops;
    raft->ctx = opts->ctx;
    raft->diag = opts->diag;
    raft->node_id = opts->node_id;
    raft->directory_id = opts->directory_id;
    raft->voter_count = opts->voter_count;
    for (int i = 0; i < opts->voter_count; i++)
        raft->voters[i] = opts->voters[i];
    fsm_init(&raft->role, &role_table, RAFT_UNATTACHED);
    raft->state = (struct quorum_state){.leader_id = -1, .voted_id = -1};
    if (opts->state != NULL)
        raft->state = *opts->state;
    /* The log knows of an epoch that the file may have lost: never go below it (I2). */
    if (raft->state.leader_epoch < opts->log_epoch)
        raft->state.leader_epoch = opts->log_epoch;
    raft->epoch_start_offset = -1;
    raft->log_end_offset = opts->log_end_offset;
    raft->flushed_offset = opts->log_end_offset;
    buf_init(&raft->scratch, BATCH_BYTES_MAX);
    raft_check(raft);
    *out = raft;
    return ERR_OK;
}

void
raft_free(struct raft **raft)
{
    if (*raft == NULL)
        return;
    buf_fini(&(*raft)->scratch);
    mem_free(*raft);
    *raft = NULL;
}

void
raft_fail(struct raft *raft, const char *event, enum err err)
{
    bool led = raft->role.state == RAFT_LEADER;
    diag_event(raft->diag, DIAG_ERROR, MODULE, event, DIAG_ERR("cause", err),
        DIAG_I64("epoch", raft->state.leader_epoch));
    fsm_move(&raft->role, RAFT_FAILED);
    raft->epoch_start_offset = -1;
    if (led)
        raft->ops.leading(raft->ctx, false, raft->state.leader_epoch);
}

/* I1: the new state counts only once it is on the disk. */
static enum err
persist(struct raft *raft, const struct quorum_state *state)
{
    struct buf text;
    buf_init(&text, STATE_TEXT_MAX);
    quorum_state_format(state, raft->voters, raft->voter_count, &text);
    enum err err = text.err;
    if (err == ERR_OK)
        err = raft->ops.store_quorum_state(raft->ctx, buf_bytes(&text));
    buf_fini(&text);
    if (err == ERR_OK)
        raft->state = *state;
    else
        raft_fail(raft, "quorum_state_write_failed", err);
    return err;
}

/* Makes *next what is stored of a candidacy. */
static void
become_candidate(struct raft *raft, struct quorum_state *next)
{
    *next = raft->state;
    ASSERT(next->leader_epoch < INT32_MAX);
    next->leader_epoch++;
    next->leader_id = -1;
    next->voted_id = raft->node_id;
    next->voted_directory_id = raft->directory_id;
    fsm_move(&raft->role, RAFT_CANDIDATE);
}

static enum err
become_leader(struct raft *raft, struct quorum_state *next, int64_t wall_ms)
{
    next->leader_id = raft->node_id;
    next->voted_id = -1;
    next->voted_directory_id = UUID_ZERO;
    enum err err = persist(raft, next);
    if (err != ERR_OK)
        return err;
    fsm_move(&raft->role, RAFT_LEADER);
    raft->epoch_start_offset = raft->log_end_offset;
    err = raft_log_append_leader_change(raft, wall_ms);
    if (err != ERR_OK)
        return err;
    diag_event(raft->diag, DIAG_INFO, MODULE, "became_leader",
        DIAG_I64("epoch", raft->state.leader_epoch), DIAG_I64("offset", raft->epoch_start_offset));
    raft->ops.leading(raft->ctx, true, raft->state.leader_epoch);
    return ERR_OK;
}

enum err
raft_tick(struct raft *raft, int64_t wall_ms)
{
    raft_check(raft);
    if (raft->role.state == RAFT_FAILED)
        return ERR_FAILED;
    if (raft->role.state != RAFT_UNATTACHED)
        return ERR_OK;
    /* Only a quorum of one can be run so far; raft_new's caller configured anything else away. */
    if (raft->voter_count != 1 || raft->voters[0] != raft->node_id)
        return ERR_UNSUPPORTED;
    struct quorum_state next;
    become_candidate(raft, &next);
    /* Nobody else hears of its vote: it is stored together with what it leads to (I1). */
    enum err err = become_leader(raft, &next, wall_ms);
    raft_check(raft);
    return err;
}

enum raft_role
raft_role_get(const struct raft *raft)
{
    return (enum raft_role)raft->role.state;
}

int32_t
raft_epoch(const struct raft *raft)
{
    return raft->state.leader_epoch;
}

int32_t
raft_leader_id(const struct raft *raft)
{
    return raft->role.state == RAFT_FAILED ? -1 : raft->state.leader_id;
}

int64_t
raft_epoch_start_offset(const struct raft *raft)
{
    return raft->epoch_start_offset;
}

int
raft_voters(const struct raft *raft, const int32_t **voters)
{
    *voters = raft->voters;
    return raft->voter_count;
}
