/* What: the checks and effects of an append on the producers' state (KIP-98, KIP-890; Kafka's
 * ProducerAppendInfo).
 * States: begun; refused (only drop follows); reserved; committed or dropped.
 * Invariants: I1 the state itself does not visibly change before commit. I2 a slot's entry starts
 * as a copy of the committed one and takes the append's batches in order. I3 commit cannot fail.
 * Threads: the partition's lock is held from begin to the end.
 * Errors: NOMEM. What a batch does wrong is a log_reject. */
#include "log/producer_state.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "log/producer_state_priv.h"

struct producer_append_slot {
    struct producer_entry entry;
    bool known;       /* had an epoch before this append: sequences are checked */
    bool had_batches; /* before this append */
    bool verify_end;  /* commit ends the verification */
};

/* The marker in a control batch. */
struct marker {
    enum batch_control_type type;
    int32_t coordinator_epoch;
    int64_t timestamp;
};

void
producer_append_begin(
    struct producer_append *a, struct producer_state *ps, const struct producer_append_opts *opts)
{
    ASSERT(ps != NULL);
    *a = (struct producer_append){.ps = ps, .opts = *opts, .what = ""};
}

/* Room for one more element of `size` bytes in a growing array. */
static bool
grow(void **items, int32_t count, int32_t *capacity, size_t size)
{
    if (count < *capacity)
        return true;
    int32_t wanted = *capacity == 0 ? 1 : *capacity * 2;
    void *grown = mem_realloc(*items, (size_t)wanted * size);
    if (grown == NULL)
        return false;
    *items = grown;
    *capacity = wanted;
    return true;
}

static struct producer_append_slot *
slot_get(struct producer_append *a, int64_t producer_id)
{
    for (int32_t i = a->slot_count - 1; i >= 0; i--) {
        if (a->slots[i].entry.producer_id == producer_id)
            return &a->slots[i];
    }
    void *slots = a->slots;
    if (!grow(&slots, a->slot_count, &a->slot_capacity, sizeof *a->slots))
        return NULL;
    a->slots = slots;
    const struct producer_entry *old = producer_state_find(a->ps, producer_id);
    struct producer_append_slot *slot = &a->slots[a->slot_count++];
    slot->entry = old != NULL ? *old : producer_entry_empty(producer_id);
    slot->known = slot->entry.producer_epoch != BATCH_NO_PRODUCER_EPOCH;
    slot->had_batches = slot->entry.batch_count > 0;
    slot->verify_end = false;
    return slot;
}

static bool
refuse(struct producer_append *a, enum log_reject why, const char *what, enum log_reject *reject)
{
    ASSERT(why != LOG_REJECT_NONE);
    a->what = what;
    *reject = why;
    return false;
}

/* ---- checks ---- */

static bool
find_duplicate(struct producer_append *a, const struct batch_view *b)
{
    const struct producer_entry *entry = producer_state_find(a->ps, b->producer_id);
    int32_t last = batch_last_sequence(b);

    if (entry == NULL || entry->producer_epoch != b->producer_epoch)
        return false;
    for (int i = 0; i < entry->batch_count; i++) {
        const struct producer_batch *old = &entry->batches[i];
        /* The first sequence goes back from the last, over the wrap. */
        int64_t first = (int64_t)old->last_sequence - old->offset_delta;
        if (first < 0)
            first += (int64_t)INT32_MAX + 1;
        if (old->last_sequence == last && first == b->base_sequence) {
            a->duplicate = *old;
            return true;
        }
    }
    return false;
}

static bool
in_sequence(int32_t last, int32_t next)
{
    return next == (int64_t)last + 1 || (next == 0 && last == INT32_MAX);
}

static bool
check_sequence(struct producer_append *a, const struct producer_append_slot *slot,
    const struct batch_view *b, enum log_reject *reject)
{
    const struct producer_entry *entry = &slot->entry;
    int32_t first = b->base_sequence;
    bool verifying = a->opts.sequence_lowest >= 0;

    if (verifying && a->opts.epoch_bump_supported && first != 0 && !slot->had_batches)
        return refuse(a, LOG_REJECT_OUT_OF_ORDER_SEQUENCE,
            "Expected sequence 0 for transactions v2 idempotent producer with no existing state",
            reject);
    if (verifying && first > a->opts.sequence_lowest)
        return refuse(a, LOG_REJECT_OUT_OF_ORDER_SEQUENCE,
            "Out of order sequence number: above the earliest seen sequence", reject);
    if (b->producer_epoch != entry->producer_epoch) {
        if (first != 0 && entry->producer_epoch != BATCH_NO_PRODUCER_EPOCH)
            return refuse(a, LOG_REJECT_OUT_OF_ORDER_SEQUENCE,
                "Invalid sequence number for new epoch of producer", reject);
        return true;
    }
    /* Nothing known of it, perhaps because retention removed all: any sequence will do. */
    if (!slot->known)
        return true;
    int32_t last = entry->batch_count > 0 ? entry->batches[entry->batch_count - 1].last_sequence
                                          : BATCH_NO_SEQUENCE;
    if (!in_sequence(last, first))
        return refuse(a, LOG_REJECT_OUT_OF_ORDER_SEQUENCE, "Out of order sequence number", reject);
    return true;
}

/* Epochs never go back. A marker under TV2 must be above, save one that repeats the last. */
static bool
check_epoch(struct producer_append *a, const struct producer_entry *entry, int16_t epoch,
    int16_t txn_version, enum log_reject *reject)
{
    if (a->opts.origin == LOG_ORIGIN_REPLICATION)
        return true;
    if (epoch > entry->producer_epoch)
        return true;
    if (epoch == entry->producer_epoch && (txn_version < 2 || entry->txn_first_offset < 0))
        return true;
    return refuse(a, LOG_REJECT_INVALID_PRODUCER_EPOCH,
        "Epoch of producer is below the last seen epoch", reject);
}

static enum err
marker_read(const struct batch_view *b, struct marker *out)
{
    struct batch_iter it;
    struct batch_record r;

    enum err err = batch_iter_init(&it, b, NULL, NULL);
    if (err != ERR_OK)
        return ERR_CORRUPT; /* Kafka never compresses markers */
    if (!batch_iter_next(&it, &r))
        return ERR_CORRUPT;
    err = batch_control_key_parse(r.key, &out->type);
    if (err != ERR_OK)
        return err;
    if (out->type != BATCH_CONTROL_ABORT && out->type != BATCH_CONTROL_COMMIT)
        return ERR_CORRUPT;
    out->timestamp = r.timestamp;
    return batch_end_txn_parse(r.value, &out->coordinator_epoch);
}

/* ---- effects on a slot ---- */

static void
epoch_set(struct producer_entry *entry, int16_t epoch)
{
    if (entry->producer_epoch == epoch)
        return;
    entry->producer_epoch = epoch;
    entry->batch_count = 0;
}

static void
batch_add(struct producer_entry *entry, const struct batch_view *b)
{
    epoch_set(entry, b->producer_epoch);
    if (entry->batch_count == PRODUCER_BATCHES_KEPT) {
        memmove(entry->batches, entry->batches + 1,
            (PRODUCER_BATCHES_KEPT - 1) * sizeof entry->batches[0]);
        entry->batch_count--;
    }
    entry->batches[entry->batch_count++] = (struct producer_batch){
        .last_offset = batch_last_offset(b),
        .timestamp = b->max_timestamp,
        .offset_delta = b->last_offset_delta,
        .last_sequence = batch_last_sequence(b),
    };
    entry->last_timestamp = b->max_timestamp;
}

static enum err
append_data(struct producer_append *a, struct producer_append_slot *slot,
    const struct batch_view *b, enum log_reject *reject)
{
    struct producer_entry *entry = &slot->entry;

    if (!check_epoch(a, entry, b->producer_epoch, 0, reject))
        return ERR_OK;
    if (a->opts.origin == LOG_ORIGIN_CLIENT && !check_sequence(a, slot, b, reject))
        return ERR_OK;
    if (entry->txn_first_offset >= 0 && !batch_is_transactional(b) &&
        a->opts.origin != LOG_ORIGIN_REPLICATION) {
        refuse(a, LOG_REJECT_INVALID_TXN_STATE,
            "Expected transactional write from producer with an open transaction", reject);
        return ERR_OK;
    }
    if (entry->txn_first_offset < 0 && batch_is_transactional(b)) {
        void *started = a->started;
        if (!grow(&started, a->started_count, &a->started_capacity, sizeof *a->started))
            return ERR_NOMEM;
        a->started = started;
        a->started[a->started_count++] =
            (struct producer_append_txn){entry->producer_id, b->base_offset};
        entry->txn_first_offset = b->base_offset;
    }
    batch_add(entry, b);
    return ERR_OK;
}

static enum err
append_marker(struct producer_append *a, struct producer_append_slot *slot,
    const struct batch_view *b, const struct marker *marker, enum log_reject *reject)
{
    struct producer_entry *entry = &slot->entry;
    int16_t version = a->opts.txn_version == PRODUCER_TXN_UNKNOWN ? 0 : a->opts.txn_version;

    if (!check_epoch(a, entry, b->producer_epoch, version, reject))
        return ERR_OK;
    if (a->opts.origin != LOG_ORIGIN_REPLICATION &&
        entry->coordinator_epoch > marker->coordinator_epoch) {
        refuse(a, LOG_REJECT_COORDINATOR_FENCED,
            "Transaction coordinator epoch is below the last seen one", reject);
        return ERR_OK;
    }
    if (entry->txn_first_offset >= 0) {
        void *ends = a->ends;
        if (!grow(&ends, a->end_count, &a->end_capacity, sizeof *a->ends))
            return ERR_NOMEM;
        a->ends = ends;
        a->ends[a->end_count++] = (struct producer_txn_end){
            .producer_id = entry->producer_id,
            .first_offset = entry->txn_first_offset,
            .last_offset = b->base_offset,
            .aborted = marker->type == BATCH_CONTROL_ABORT,
        };
    }
    epoch_set(entry, b->producer_epoch);
    entry->coordinator_epoch = marker->coordinator_epoch;
    entry->last_timestamp = marker->timestamp;
    entry->txn_first_offset = -1;
    return ERR_OK;
}

/* ---- the append ---- */

enum err
producer_append_batch(
    struct producer_append *a, const struct batch_view *batch, enum log_reject *reject)
{
    struct marker marker = {0};
    bool control = batch_is_control(batch);

    ASSERT(!a->reserved);
    ASSERT(!control || batch->whole.data != NULL); /* a header will do for data */
    *reject = LOG_REJECT_NONE;
    if (!batch_has_producer_id(batch))
        return ERR_OK;
    if (a->opts.origin == LOG_ORIGIN_CLIENT && !control && find_duplicate(a, batch)) {
        refuse(a, LOG_REJECT_DUPLICATE, "Duplicate of one of the last five batches", reject);
        return ERR_OK;
    }
    if (control && batch->record_count == 0)
        return ERR_OK; /* compaction removed the whole transaction */
    if (control && marker_read(batch, &marker) != ERR_OK) {
        refuse(a, LOG_REJECT_CORRUPT, "Transaction marker cannot be read", reject);
        return ERR_OK;
    }
    if (a->opts.origin != LOG_ORIGIN_REPLICATION && producer_state_full(a->ps) &&
        producer_state_find(a->ps, batch->producer_id) == NULL) {
        refuse(a, LOG_REJECT_TOO_MANY_PRODUCERS,
            "Too many producers with open transactions in this partition", reject);
        return ERR_OK;
    }
    struct producer_append_slot *slot = slot_get(a, batch->producer_id);
    if (slot == NULL)
        return ERR_NOMEM;
    if (batch_is_transactional(batch) &&
        producer_verify_ends(a->ps, batch->producer_id, batch->producer_epoch, control))
        slot->verify_end = true;
    return control ? append_marker(a, slot, batch, &marker, reject)
                   : append_data(a, slot, batch, reject);
}

const struct producer_txn_end *
producer_append_txn_ends(const struct producer_append *a, int32_t *count)
{
    *count = a->end_count;
    return a->ends;
}

/* Whether the transaction that began there ended in this append before `end`. */
static bool
ended_before(
    const struct producer_append *a, int64_t first_offset, const struct producer_txn_end *end)
{
    for (const struct producer_txn_end *e = a->ends; e < end; e++) {
        if (e->first_offset == first_offset)
            return true;
    }
    return false;
}

int64_t
producer_append_txn_lso(const struct producer_append *a, const struct producer_txn_end *end)
{
    int64_t lso = end->last_offset + 1;
    bool found = false;

    ASSERT(end >= a->ends && end < a->ends + a->end_count);
    LIST_FOREACH (&a->ps->txns, at) {
        const struct producer_entry *entry = &LIST_ENTRY(at, struct producer_node, txn)->entry;
        if (entry->producer_id == end->producer_id || ended_before(a, entry->txn_first_offset, end))
            continue;
        lso = entry->txn_first_offset;
        found = true;
        break;
    }
    for (int32_t i = 0; i < a->started_count; i++) {
        const struct producer_append_txn *txn = &a->started[i];
        if (txn->producer_id == end->producer_id || ended_before(a, txn->first_offset, end))
            continue;
        if (!found || txn->first_offset < lso)
            lso = txn->first_offset;
        found = true;
    }
    return lso;
}

enum err
producer_append_reserve(struct producer_append *a)
{
    ASSERT(!a->reserved);
    enum err err = producer_unreplicated_reserve(a->ps, (size_t)a->end_count);
    for (int32_t i = 0; err == ERR_OK && i < a->slot_count; i++) {
        int64_t id = a->slots[i].entry.producer_id;
        if (producer_node_find(a->ps, id) == NULL && producer_node_add(a->ps, id) == NULL)
            err = ERR_NOMEM;
    }
    a->reserved = true; /* drop removes what was added */
    return err;
}

void
producer_append_commit(struct producer_append *a)
{
    ASSERT(a->reserved);
    for (int32_t i = 0; i < a->slot_count; i++) {
        struct producer_node *node = producer_node_find(a->ps, a->slots[i].entry.producer_id);
        ASSERT(node != NULL); /* I3 */
        producer_node_set(a->ps, node, &a->slots[i].entry);
        if (a->slots[i].verify_end)
            producer_state_verify_clear(a->ps, a->slots[i].entry.producer_id);
    }
    for (int32_t i = 0; i < a->end_count; i++)
        producer_unreplicated_add(a->ps, a->ends[i].first_offset, a->ends[i].last_offset);
    producer_state_evict(a->ps);
    producer_append_drop(a);
}

void
producer_append_drop(struct producer_append *a)
{
    if (a->reserved) {
        for (int32_t i = 0; i < a->slot_count; i++)
            producer_node_drop_pending(a->ps, a->slots[i].entry.producer_id);
    }
    mem_free(a->slots);
    mem_free(a->started);
    mem_free(a->ends);
    *a = (struct producer_append){.ps = a->ps, .opts = a->opts, .what = a->what};
}

enum err
producer_state_replay(struct producer_state *ps, const struct batch_view *batch,
    void (*on_txn_end)(void *ctx, const struct producer_txn_end *end, int64_t lso), void *ctx)
{
    struct producer_append a;
    enum log_reject reject;
    int32_t count;

    producer_append_begin(&a, ps,
        &(struct producer_append_opts){.origin = LOG_ORIGIN_REPLICATION,
            .txn_version = PRODUCER_TXN_UNKNOWN,
            .sequence_lowest = -1});
    enum err err = producer_append_batch(&a, batch, &reject);
    if (err == ERR_OK && reject == LOG_REJECT_NONE)
        err = producer_append_reserve(&a);
    if (err != ERR_OK || reject != LOG_REJECT_NONE) {
        producer_append_drop(&a);
        return err;
    }
    const struct producer_txn_end *ends = producer_append_txn_ends(&a, &count);
    for (int32_t i = 0; i < count && on_txn_end != NULL; i++)
        on_txn_end(ctx, &ends[i], producer_append_txn_lso(&a, &ends[i]));
    producer_append_commit(&a);
    return ERR_OK;
}
