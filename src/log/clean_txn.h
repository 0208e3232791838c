/* log/clean_txn.h - what of a log's transactional data is aborted, and which markers nobody needs
 * any more, learned while its batches are read in order.
 *
 * A marker may go once no batch of its transaction is left in the log. Threads: one at a time. */
#ifndef LOG_CLEAN_TXN_H
#define LOG_CLEAN_TXN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "log/segment.h"
#include "wire/batch.h"

/* A transaction that batches were seen of, or may come of. */
struct clean_txn_open {
    int64_t producer_id;
    bool aborted;
    bool seen;                    /* a batch of it is there */
    struct txn_index_entry entry; /* of an aborted one */
};

struct clean_txn {
    const struct txn_index_entry *aborted; /* borrowed; by first offset */
    int32_t aborted_count, aborted_next;
    int64_t from;                /* those that end below it are over */
    struct clean_txn_open *open; /* owned; few */
    int32_t open_count, open_capacity;
};

void clean_txn_init(
    struct clean_txn *txn, const struct txn_index_entry *aborted, int32_t count, int64_t from);
void clean_txn_fini(struct clean_txn *txn);
/* A batch of data: *discard when it is of an aborted transaction. NOMEM. */
MUST_USE enum err clean_txn_data(
    struct clean_txn *txn, const struct batch_view *batch, bool *discard);
/* A whole batch of control: *discard when nothing is left of its transaction. When the marker of an
 * aborted one stays, *entry is filled for the index and *keep_entry set. CORRUPT, NOMEM. */
MUST_USE enum err clean_txn_control(struct clean_txn *txn, const struct batch_view *batch,
    bool *discard, bool *keep_entry, struct txn_index_entry *entry);

#endif
