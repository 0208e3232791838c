/* What: which producers' transactions are being verified with their coordinator (KIP-890).
 * Invariants: I1 a guard is given out once per verification and never again. I2 there are never
 * more verifications than producers may be; the oldest gives way (its append is refused and
 * retried). Threads: the partition's lock is held. Errors: NOMEM leaves everything as it was. */
#include "log/producer_state.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "log/producer_state_priv.h"

static struct producer_verify_node *
verify_find(const struct producer_state *ps, int64_t producer_id)
{
    struct producer_verify_node *node;
    HASH_FIND(hh, ps->verify, &producer_id, sizeof producer_id, node);
    return node;
}

static void
verify_free(struct producer_state *ps, struct producer_verify_node *node)
{
    ASSERT(ps->verify != NULL);
    HASH_DEL(ps->verify, node);
    mem_free(node);
}

void
producer_verify_reset(struct producer_state *ps)
{
    while (ps->verify != NULL)
        verify_free(ps, ps->verify);
}

void
producer_verify_expire(struct producer_state *ps, int64_t now_ms)
{
    /* Oldest first. */
    while (ps->verify != NULL && now_ms - ps->verify->v.since_ms >= ps->opts.expiration_ms)
        verify_free(ps, ps->verify);
}

bool
producer_verify_ends(
    const struct producer_state *ps, int64_t producer_id, int16_t epoch, bool control)
{
    const struct producer_verify_node *node = verify_find(ps, producer_id);
    if (node == NULL)
        return false;
    /* Under version 2 a marker of the verification's own epoch is that of the transaction before.
     */
    return !(control && node->v.epoch_bump_supported && node->v.producer_epoch == epoch);
}

static bool
txn_open(const struct producer_state *ps, int64_t producer_id, int16_t epoch)
{
    const struct producer_entry *entry = producer_state_find(ps, producer_id);
    return entry != NULL && entry->txn_first_offset >= 0 && entry->producer_epoch == epoch;
}

static struct producer_verify_node *
verify_add(struct producer_state *ps, const struct producer_verify_opts *opts)
{
    if (HASH_COUNT(ps->verify) >= (unsigned)ps->opts.producer_count_max) /* I2 */
        verify_free(ps, ps->verify);
    struct producer_verify_node *node = mem_calloc(1, sizeof *node);
    if (node == NULL)
        return NULL;
    node->producer_id = opts->producer_id;
    node->v = (struct producer_verification){
        .guard = ps->verify_guard_last + 1,
        .since_ms = opts->now_ms,
        .sequence_lowest = opts->sequence,
        .producer_epoch = opts->producer_epoch,
        .epoch_bump_supported = opts->epoch_bump_supported,
    };
    HASH_ADD(hh, ps->verify, producer_id, sizeof node->producer_id, node);
    if (node->hh.tbl == NULL) {
        mem_free(node);
        return NULL;
    }
    ps->verify_guard_last++; /* I1 */
    return node;
}

enum err
producer_state_verify(struct producer_state *ps, const struct producer_verify_opts *opts,
    uint64_t *guard, enum log_reject *reject)
{
    const struct producer_entry *entry = producer_state_find(ps, opts->producer_id);

    ASSERT(opts->producer_id >= 0);
    *reject = LOG_REJECT_NONE;
    *guard = 0;
    if (entry != NULL && opts->producer_epoch < entry->producer_epoch) {
        *reject = LOG_REJECT_INVALID_PRODUCER_EPOCH;
        return ERR_OK;
    }
    if (txn_open(ps, opts->producer_id, opts->producer_epoch))
        return ERR_OK;
    struct producer_verify_node *node = verify_find(ps, opts->producer_id);
    if (node == NULL)
        node = verify_add(ps, opts);
    if (node == NULL)
        return ERR_NOMEM;
    struct producer_verification *v = &node->v;
    bool newer = opts->producer_epoch > v->producer_epoch;
    if (newer || (opts->producer_epoch == v->producer_epoch && opts->sequence < v->sequence_lowest))
        v->sequence_lowest = opts->sequence;
    if (newer)
        v->producer_epoch = opts->producer_epoch;
    ASSERT(v->guard != 0);
    *guard = v->guard;
    return ERR_OK;
}

const struct producer_verification *
producer_state_verification(const struct producer_state *ps, int64_t producer_id)
{
    const struct producer_verify_node *node = verify_find(ps, producer_id);
    return node == NULL ? NULL : &node->v;
}

void
producer_state_verify_clear(struct producer_state *ps, int64_t producer_id)
{
    struct producer_verify_node *node = verify_find(ps, producer_id);
    if (node != NULL)
        verify_free(ps, node);
}

bool
producer_state_verified(
    const struct producer_state *ps, int64_t producer_id, int16_t producer_epoch, uint64_t guard)
{
    if (txn_open(ps, producer_id, producer_epoch))
        return true;
    const struct producer_verify_node *node = verify_find(ps, producer_id);
    return guard != 0 && node != NULL && node->v.guard == guard;
}
