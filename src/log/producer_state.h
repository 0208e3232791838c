/* log/producer_state.h - what one partition knows of its producers and their transactions.
 *
 * Each producer id has its epoch, its last five batches (KIP-98 duplicates), the coordinator epoch
 * of its last marker and where its open transaction began. Open transactions and those finished
 * above the high watermark bound the last stable offset. All calls: partition lock held. Pure
 * memory; the log reads and writes the snapshot files. */
#ifndef LOG_PRODUCER_STATE_H
#define LOG_PRODUCER_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"
#include "log/reject.h"
#include "wire/batch.h"

struct producer_state;

enum { PRODUCER_BATCHES_KEPT = 5 };

struct producer_state_opts {
    int64_t expiration_ms; /* producer.id.expiration.ms */
    /* Ceiling; 0: the default. Beyond it the producer that wrote longest ago and has no open
     * transaction is forgotten; when all have one, a client's new id is refused. */
    int32_t producer_count_max;
};

enum { PRODUCER_COUNT_MAX_DEFAULT = 100000 };

struct producer_batch {
    int64_t last_offset;
    int64_t timestamp;
    int32_t offset_delta; /* last offset - first offset, also last sequence - first sequence */
    int32_t last_sequence;
};

struct producer_entry {
    int64_t producer_id;
    int64_t last_timestamp;
    int64_t txn_first_offset;  /* of the open transaction; -1 none */
    int32_t coordinator_epoch; /* -1 none */
    int16_t producer_epoch;
    int16_t batch_count;
    struct producer_batch batches[PRODUCER_BATCHES_KEPT]; /* oldest first */
};

MUST_USE enum err producer_state_new(
    const struct producer_state_opts *opts, struct producer_state **out);
void producer_state_free(struct producer_state **ps);
/* Config change; applies to what comes. */
void producer_state_set_expiration(struct producer_state *ps, int64_t expiration_ms);
/* Forgets everything; the map's end is then `offset`. */
void producer_state_reset(struct producer_state *ps, int64_t offset);

/* The offset up to which (exclusive) log batches have been taken in. The log sets it after each
 * append and compares it when it decides about reloading and snapshots. */
int64_t producer_state_end_offset(const struct producer_state *ps);
void producer_state_set_end_offset(struct producer_state *ps, int64_t offset);

/* ---- append ---- */

/* A transaction that a marker ended; only for transactions with data. */
struct producer_txn_end {
    int64_t producer_id;
    int64_t first_offset;
    int64_t last_offset; /* the marker's */
    bool aborted;
};

enum { PRODUCER_TXN_UNKNOWN = -1 };

struct producer_append_opts {
    enum log_origin origin;
    int16_t txn_version; /* of a marker: 0..2, PRODUCER_TXN_UNKNOWN where it is not known */
    /* Client appends of a transactional or idempotent producer that the coordinator verifies:
     * TV2 producers without state must begin at 0 (KIP-890). */
    bool epoch_bump_supported;
    int32_t sequence_lowest; /* lowest sequence seen while verifying; -1: none */
};

/* What one append (one or several batches) would do: begin, check each batch, reserve, write, then
 * commit; or drop. On the caller's stack; it borrows ps, which nobody else may change until the
 * end. */
struct producer_append_slot;
struct producer_append_txn {
    int64_t producer_id;
    int64_t first_offset;
};

struct producer_append {
    struct producer_state *ps;
    struct producer_append_opts opts;
    struct producer_append_slot *slots;  /* owned; one per producer of the append */
    struct producer_append_txn *started; /* owned; transactions begun */
    struct producer_txn_end *ends;       /* owned */
    int32_t slot_count, slot_capacity;
    int32_t started_count, started_capacity;
    int32_t end_count, end_capacity;
    bool reserved;
    struct producer_batch duplicate; /* of LOG_REJECT_DUPLICATE */
    const char *what;                /* static text of a refusal; "" when none */
};

void producer_append_begin(
    struct producer_append *a, struct producer_state *ps, const struct producer_append_opts *opts);
/* One batch with its final offsets. Batches without a producer id are fine (nothing happens). The
 * batch must be whole (control records are read) . *reject: NONE, DUPLICATE (the old batch in
 * a->duplicate; client appends only), OUT_OF_ORDER_SEQUENCE, INVALID_PRODUCER_EPOCH,
 * INVALID_TXN_STATE, COORDINATOR_FENCED, TOO_MANY_PRODUCERS, CORRUPT (a control record that cannot
 * be read). Errors: NOMEM. After a refusal only producer_append_drop is allowed. */
MUST_USE enum err producer_append_batch(
    struct producer_append *a, const struct batch_view *batch, enum log_reject *reject);
/* Transactions that this append ends, in order; for the transaction index, before commit. */
const struct producer_txn_end *producer_append_txn_ends(
    const struct producer_append *a, int32_t *count);
/* The LSO that goes into the index entry of such an end, if all ends before it are committed: the
 * first offset of the earliest other open transaction, else last_offset + 1. */
int64_t producer_append_txn_lso(
    const struct producer_append *a, const struct producer_txn_end *end);
/* Reserves what commit needs, so that commit cannot fail. Call before the write. NOMEM. */
MUST_USE enum err producer_append_reserve(struct producer_append *a);
/* Takes it into the state and frees a. producer_append_reserve must have succeeded. */
void producer_append_commit(struct producer_append *a);
/* Forgets it. Fine after commit. */
void producer_append_drop(struct producer_append *a);

/* Recovery and followers' reload: takes one batch of the log in, without checks (a refusal would be
 * the leader's business). Calls on_txn_end (may be NULL) for each transaction it ends, with the LSO
 * for the transaction index. A control batch that cannot be read is skipped. */
MUST_USE enum err producer_state_replay(struct producer_state *ps, const struct batch_view *batch,
    void (*on_txn_end)(void *ctx, const struct producer_txn_end *end, int64_t lso), void *ctx);

/* ---- transactions ---- */

/* First offset of the oldest open transaction; -1 none. */
int64_t producer_state_first_undecided(const struct producer_state *ps);
/* The same, counting also those whose marker is not below the high watermark yet; -1 none. The LSO
 * is the smaller of this and the high watermark. */
int64_t producer_state_first_unstable(const struct producer_state *ps);
void producer_state_high_watermark(struct producer_state *ps, int64_t high_watermark);
/* Log start moved (retention, delete records). */
void producer_state_log_start(struct producer_state *ps, int64_t log_start_offset);
/* A transaction open for longer than this: (timestamp of the oldest) ; -1 none. */
int64_t producer_state_oldest_txn_timestamp(const struct producer_state *ps);

/* ---- queries and expiry ---- */

/* Valid until the next change; NULL when unknown. */
const struct producer_entry *producer_state_find(
    const struct producer_state *ps, int64_t producer_id);
int32_t producer_state_count(const struct producer_state *ps);
/* The one that wrote longest ago first; false stops. */
void producer_state_each(const struct producer_state *ps,
    bool (*fn)(void *ctx, const struct producer_entry *entry), void *ctx);
/* Drops producers idle for expiration_ms and without an open transaction. */
void producer_state_expire(struct producer_state *ps, int64_t now_ms);

/* ---- verification of transactional writes (KIP-890) ----
 * Before a partition takes the first write of a transaction, its leader asks the coordinator
 * whether the partition belongs to it. The guard, taken before the question and compared at the
 * append, tells whether anything ended the transaction in between. A committed transactional batch
 * or marker ends the verification by itself. */

struct producer_verification {
    uint64_t guard; /* never 0 */
    int64_t since_ms;
    int32_t sequence_lowest; /* seen in this epoch: goes into producer_append_opts */
    int16_t producer_epoch;
    bool epoch_bump_supported; /* the request was of transaction version 2 */
};

struct producer_verify_opts {
    int64_t producer_id;
    int64_t now_ms;
    int32_t sequence;
    int16_t producer_epoch;
    bool epoch_bump_supported;
};

/* Begins or goes on. *guard 0: the transaction is open here already, nothing to verify. *reject:
 * INVALID_PRODUCER_EPOCH, else NONE. NOMEM. */
MUST_USE enum err producer_state_verify(struct producer_state *ps,
    const struct producer_verify_opts *opts, uint64_t *guard, enum log_reject *reject);
/* Valid until the next change; NULL when none is going on. */
const struct producer_verification *producer_state_verification(
    const struct producer_state *ps, int64_t producer_id);
/* The coordinator said no. */
void producer_state_verify_clear(struct producer_state *ps, int64_t producer_id);
/* Whether a transactional batch may be appended: its transaction is open, or guard is the current
 * one. */
bool producer_state_verified(
    const struct producer_state *ps, int64_t producer_id, int16_t producer_epoch, uint64_t guard);

/* ---- snapshots: Apache's file format, version 1 ---- */

/* Appends the whole file to out. LIMIT, NOMEM. */
MUST_USE enum err producer_state_encode(const struct producer_state *ps, struct buf *out);
/* Replaces the state by a file's; producers expired at now_ms are left out (-1: keep all), the end
 * offset becomes `offset` (the file's name). CORRUPT (length, version, checksum), LIMIT, NOMEM
 * leave the state empty with end offset 0. */
MUST_USE enum err producer_state_decode(
    struct producer_state *ps, struct bytes file, int64_t offset, int64_t now_ms);

#endif
