/* log/producer_state_priv.h - the body of struct producer_state, for its two files and tests. */
#ifndef LOG_PRODUCER_STATE_PRIV_H
#define LOG_PRODUCER_STATE_PRIV_H

#include "base/list.h"
#include "base/map.h"
#include "log/producer_state.h"

struct producer_node {
    struct producer_entry entry;
    struct list lru; /* of ps->lru; outside (alone) while pending */
    struct list txn; /* of ps->txns while entry.txn_first_offset >= 0, else alone */
    bool pending;    /* reserved by an append that is not committed: invisible */
    UT_hash_handle hh;
};

/* A finished transaction whose marker may be above the high watermark. */
struct producer_unreplicated {
    int64_t first_offset;
    int64_t last_offset;
};

struct producer_verify_node {
    int64_t producer_id;
    struct producer_verification v;
    UT_hash_handle hh;
};

struct producer_state {
    struct producer_state_opts opts;
    struct producer_node *map; /* owned, by producer_id */
    struct list lru;           /* oldest writer first */
    struct list txns;          /* open transactions by first offset */
    /* Both offsets strictly grow: an entry that a later one covers is dropped (see
     * unreplicated_add). */
    struct producer_unreplicated *unreplicated; /* owned; a window in an array */
    size_t unreplicated_start, unreplicated_count, unreplicated_capacity;
    struct producer_verify_node *verify; /* owned, by producer_id; oldest first */
    uint64_t verify_guard_last;
    int64_t end_offset;
    int32_t count;     /* without pending ones */
    int32_t txn_count; /* nodes in txns */
};

/* ---- for producer_append.c ---- */

/* Also finds a pending one. */
struct producer_node *producer_node_find(const struct producer_state *ps, int64_t producer_id);
/* A pending node; NULL for want of memory. */
struct producer_node *producer_node_add(struct producer_state *ps, int64_t producer_id);
void producer_node_drop_pending(struct producer_state *ps, int64_t producer_id);
/* The node gets this entry, is visible, and the last writer. */
void producer_node_set(
    struct producer_state *ps, struct producer_node *node, const struct producer_entry *entry);
/* No room for one more, and nobody who may be forgotten. */
bool producer_state_full(const struct producer_state *ps);
void producer_state_evict(struct producer_state *ps);
MUST_USE enum err producer_unreplicated_reserve(struct producer_state *ps, size_t extra);
/* After a reserve. */
void producer_unreplicated_add(
    struct producer_state *ps, int64_t first_offset, int64_t last_offset);

/* ---- producer_verify.c ---- */

void producer_verify_reset(struct producer_state *ps);
void producer_verify_expire(struct producer_state *ps, int64_t now_ms);
/* Whether a transactional batch (control: a marker) ends the producer's verification. */
bool producer_verify_ends(
    const struct producer_state *ps, int64_t producer_id, int16_t epoch, bool control);

/* An empty entry of a producer that nothing is known of. */
struct producer_entry producer_entry_empty(int64_t producer_id);
/* Adds or replaces; keeps lru and txns right. NOMEM. */
MUST_USE enum err producer_state_put(struct producer_state *ps, const struct producer_entry *entry);
bool producer_entry_expired(
    const struct producer_entry *entry, int64_t expiration_ms, int64_t now_ms);

#endif
