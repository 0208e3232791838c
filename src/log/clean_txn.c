/* What: transactions while a log is read from somewhere to somewhere.
 * Invariants: I1 a producer has at most one entry in `open`; I2 aborted[.. aborted_next) began at
 * or below the last offset that was read. */
#include "log/clean_txn.h"

#include "base/alloc.h"
#include "base/assert.h"

void
clean_txn_init(
    struct clean_txn *txn, const struct txn_index_entry *aborted, int32_t count, int64_t from)
{
    *txn = (struct clean_txn){.aborted = aborted, .aborted_count = count, .from = from};
}

void
clean_txn_fini(struct clean_txn *txn)
{
    mem_free(txn->open);
    *txn = (struct clean_txn){0};
}

static struct clean_txn_open *
find(struct clean_txn *txn, int64_t producer_id)
{
    for (int32_t i = 0; i < txn->open_count; i++)
        if (txn->open[i].producer_id == producer_id)
            return &txn->open[i];
    return NULL;
}

static struct clean_txn_open *
add(struct clean_txn *txn, int64_t producer_id)
{
    if (txn->open_count == txn->open_capacity) {
        int32_t capacity = txn->open_capacity == 0 ? 8 : txn->open_capacity * 2;
        void *grown = mem_realloc(txn->open, (size_t)capacity * sizeof *txn->open);
        if (grown == NULL)
            return NULL;
        txn->open = grown;
        txn->open_capacity = capacity;
    }
    struct clean_txn_open *open = &txn->open[txn->open_count++];
    *open = (struct clean_txn_open){.producer_id = producer_id};
    return open;
}

static void
drop(struct clean_txn *txn, struct clean_txn_open *open)
{
    *open = txn->open[--txn->open_count];
}

/* Aborted transactions that began at or below `offset` are open from now on. */
static enum err
begin_up_to(struct clean_txn *txn, int64_t offset)
{
    for (; txn->aborted_next < txn->aborted_count; txn->aborted_next++) {
        const struct txn_index_entry *entry = &txn->aborted[txn->aborted_next];
        if (entry->first_offset > offset)
            break;
        if (entry->last_offset < txn->from)
            continue;
        struct clean_txn_open *open = find(txn, entry->producer_id);
        if (open != NULL && open->aborted)
            continue; /* the same one, noted twice */
        if (open == NULL)
            open = add(txn, entry->producer_id);
        if (open == NULL)
            return ERR_NOMEM;
        open->aborted = true;
        open->seen = false;
        open->entry = *entry;
    }
    return ERR_OK;
}

enum err
clean_txn_data(struct clean_txn *txn, const struct batch_view *batch, bool *discard)
{
    enum err err = begin_up_to(txn, batch_last_offset(batch));
    if (err != ERR_OK)
        return err;
    if (!batch_is_transactional(batch)) {
        *discard = false;
        return ERR_OK;
    }
    struct clean_txn_open *open = find(txn, batch->producer_id);
    if (open != NULL && open->aborted && batch->base_offset > open->entry.last_offset) {
        drop(txn, open); /* over, whatever became of its marker: nothing else may go with it */
        open = NULL;
    }
    if (open == NULL)
        open = add(txn, batch->producer_id);
    if (open == NULL)
        return ERR_NOMEM;
    open->seen = true;
    *discard = open->aborted;
    return ERR_OK;
}

enum err
clean_txn_control(struct clean_txn *txn, const struct batch_view *batch, bool *discard,
    bool *keep_entry, struct txn_index_entry *entry)
{
    struct batch_iter it;
    struct batch_record record;
    enum batch_control_type type;
    enum err err = begin_up_to(txn, batch_last_offset(batch));
    *keep_entry = false;
    if (err != ERR_OK)
        return err;
    if (batch->record_count == 0) {
        *discard = true; /* an earlier round emptied it */
        return ERR_OK;
    }
    if (batch_codec(batch) != COMPRESS_NONE)
        return ERR_CORRUPT; /* control batches never are compressed */
    err = batch_iter_init(&it, batch, NULL, NULL);
    if (err != ERR_OK)
        return err;
    if (!batch_iter_next(&it, &record))
        return ERR_CORRUPT;
    err = batch_control_key_parse(record.key, &type);
    if (err != ERR_OK)
        return err;
    *discard = false;
    if (type != BATCH_CONTROL_ABORT && type != BATCH_CONTROL_COMMIT)
        return ERR_OK; /* not of a transaction */
    struct clean_txn_open *open = find(txn, batch->producer_id);
    bool mine = open != NULL && open->aborted == (type == BATCH_CONTROL_ABORT);
    *discard = !mine || !open->seen;
    if (mine && open->aborted && open->seen) {
        *keep_entry = true;
        *entry = open->entry;
    }
    if (open != NULL)
        drop(txn, open);
    return ERR_OK;
}
