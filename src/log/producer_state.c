/* What: the map of producers and the order of their transactions. Checks of appends are in
 * producer_append.c, the snapshot format in producer_snapshot.c.
 * Invariants: I1 a node is in `txns`, sorted by first offset, exactly while its entry has an open
 *   transaction. I2 every visible node is in `lru`, in the order of their last writes. I3
 * `unreplicated` grows strictly in both offsets. I4 count and txn_count are the sizes of the lists.
 * Threads: the partition's lock is held.
 * Errors: NOMEM leaves the state as it was. */
#include "log/producer_state.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "log/producer_state_priv.h"

/* Finished transactions remembered above the high watermark; beyond it the last ones are merged,
 * which holds the last stable offset back until the later marker is replicated. */
enum { UNREPLICATED_MAX = 1 << 20 };

enum err
producer_state_new(const struct producer_state_opts *opts, struct producer_state **out)
{
    ASSERT(opts->expiration_ms > 0);
    ASSERT(opts->producer_count_max >= 0);
    struct producer_state *ps = mem_calloc(1, sizeof *ps);
    if (ps == NULL)
        return ERR_NOMEM;
    ps->opts = *opts;
    if (ps->opts.producer_count_max == 0)
        ps->opts.producer_count_max = PRODUCER_COUNT_MAX_DEFAULT;
    list_init(&ps->lru);
    list_init(&ps->txns);
    *out = ps;
    return ERR_OK;
}

static void
node_free(struct producer_state *ps, struct producer_node *node)
{
    if (!node->pending)
        ps->count--;
    if (!list_empty(&node->txn))
        ps->txn_count--;
    list_remove(&node->lru);
    list_remove(&node->txn);
    HASH_DEL(ps->map, node);
    mem_free(node);
}

void
producer_state_reset(struct producer_state *ps, int64_t offset)
{
    struct producer_node *node, *next;

    HASH_ITER (hh, ps->map, node, next) {
        ASSERT(!node->pending);
        node_free(ps, node);
    }
    ASSERT(ps->count == 0); /* I4 */
    ASSERT(ps->txn_count == 0);
    producer_verify_reset(ps);
    mem_free(ps->unreplicated);
    ps->unreplicated = NULL;
    ps->unreplicated_start = 0;
    ps->unreplicated_count = 0;
    ps->unreplicated_capacity = 0;
    ps->end_offset = offset;
}

void
producer_state_free(struct producer_state **ps)
{
    if (*ps == NULL)
        return;
    producer_state_reset(*ps, 0);
    mem_free(*ps);
    *ps = NULL;
}

void
producer_state_set_expiration(struct producer_state *ps, int64_t expiration_ms)
{
    ASSERT(expiration_ms > 0);
    ps->opts.expiration_ms = expiration_ms;
}

int64_t
producer_state_end_offset(const struct producer_state *ps)
{
    return ps->end_offset;
}

void
producer_state_set_end_offset(struct producer_state *ps, int64_t offset)
{
    ASSERT(offset >= 0);
    ps->end_offset = offset;
}

struct producer_entry
producer_entry_empty(int64_t producer_id)
{
    return (struct producer_entry){
        .producer_id = producer_id,
        .last_timestamp = BATCH_NO_TIMESTAMP,
        .txn_first_offset = -1,
        .coordinator_epoch = -1,
        .producer_epoch = BATCH_NO_PRODUCER_EPOCH,
    };
}

/* ---- nodes ---- */

/* Also a pending one. */
struct producer_node *
producer_node_find(const struct producer_state *ps, int64_t producer_id)
{
    struct producer_node *node;
    HASH_FIND(hh, ps->map, &producer_id, sizeof producer_id, node);
    return node;
}

struct producer_node *
producer_node_add(struct producer_state *ps, int64_t producer_id)
{
    struct producer_node *node = mem_calloc(1, sizeof *node);
    if (node == NULL)
        return NULL;
    node->entry = producer_entry_empty(producer_id);
    node->pending = true;
    list_init(&node->lru);
    list_init(&node->txn);
    HASH_ADD(hh, ps->map, entry.producer_id, sizeof producer_id, node);
    if (node->hh.tbl == NULL) {
        mem_free(node);
        return NULL;
    }
    return node;
}

void
producer_node_drop_pending(struct producer_state *ps, int64_t producer_id)
{
    struct producer_node *node = producer_node_find(ps, producer_id);
    if (node != NULL && node->pending)
        node_free(ps, node);
}

/* Puts the node where its transaction belongs in `txns` (I1). New ones come last nearly always. */
static void
txn_link(struct producer_state *ps, struct producer_node *node)
{
    if (!list_empty(&node->txn))
        ps->txn_count--;
    list_remove(&node->txn);
    if (node->entry.txn_first_offset < 0)
        return;
    struct list *at = ps->txns.prev;
    while (at != &ps->txns && LIST_ENTRY(at, struct producer_node, txn)->entry.txn_first_offset >
                                  node->entry.txn_first_offset)
        at = at->prev;
    list_insert_before(at->next, &node->txn);
    ps->txn_count++;
}

void
producer_node_set(
    struct producer_state *ps, struct producer_node *node, const struct producer_entry *entry)
{
    ASSERT(entry->producer_id == node->entry.producer_id);
    ASSERT(entry->batch_count >= 0 && entry->batch_count <= PRODUCER_BATCHES_KEPT);
    bool moved = entry->txn_first_offset != node->entry.txn_first_offset;
    node->entry = *entry;
    if (node->pending) {
        node->pending = false;
        ps->count++;
    }
    list_remove(&node->lru);
    list_push(&ps->lru, &node->lru);
    if (moved)
        txn_link(ps, node);
    ASSERT(list_empty(&node->txn) == (node->entry.txn_first_offset < 0)); /* I1 */
}

enum err
producer_state_put(struct producer_state *ps, const struct producer_entry *entry)
{
    struct producer_node *node = producer_node_find(ps, entry->producer_id);
    if (node == NULL)
        node = producer_node_add(ps, entry->producer_id);
    if (node == NULL)
        return ERR_NOMEM;
    producer_node_set(ps, node, entry);
    return ERR_OK;
}

bool
producer_state_full(const struct producer_state *ps)
{
    return ps->count >= ps->opts.producer_count_max && ps->txn_count >= ps->count;
}

/* Forgets the longest silent producers beyond the ceiling; those with an open transaction stay. */
void
producer_state_evict(struct producer_state *ps)
{
    if (ps->count <= ps->opts.producer_count_max)
        return;
    LIST_FOREACH (&ps->lru, at) {
        struct producer_node *node = LIST_ENTRY(at, struct producer_node, lru);
        if (node->entry.txn_first_offset < 0)
            node_free(ps, node);
        if (ps->count <= ps->opts.producer_count_max)
            return;
    }
}

/* ---- finished transactions above the high watermark ---- */

enum err
producer_unreplicated_reserve(struct producer_state *ps, size_t extra)
{
    size_t need = ps->unreplicated_start + ps->unreplicated_count + extra;

    if (need <= ps->unreplicated_capacity)
        return ERR_OK;
    if (ps->unreplicated_start > ps->unreplicated_count) { /* slide the window to the front */
        memmove(ps->unreplicated, ps->unreplicated + ps->unreplicated_start,
            ps->unreplicated_count * sizeof *ps->unreplicated);
        ps->unreplicated_start = 0;
        need = ps->unreplicated_count + extra;
    }
    size_t capacity = ps->unreplicated_capacity == 0 ? 4 : ps->unreplicated_capacity;
    while (capacity < need)
        capacity *= 2;
    if (capacity == ps->unreplicated_capacity)
        return ERR_OK;
    void *grown = mem_realloc(ps->unreplicated, capacity * sizeof *ps->unreplicated);
    if (grown == NULL)
        return ERR_NOMEM;
    ps->unreplicated = grown;
    ps->unreplicated_capacity = capacity;
    return ERR_OK;
}

/* Markers come in the order of their offsets, so an earlier entry with a first offset not below the
 * new one can never again be what bounds the LSO: it goes. */
void
producer_unreplicated_add(struct producer_state *ps, int64_t first_offset, int64_t last_offset)
{
    struct producer_unreplicated *window = ps->unreplicated + ps->unreplicated_start;

    ASSERT(ps->unreplicated_start + ps->unreplicated_count < ps->unreplicated_capacity);
    while (ps->unreplicated_count > 0 &&
           window[ps->unreplicated_count - 1].first_offset >= first_offset)
        ps->unreplicated_count--;
    if (ps->unreplicated_count == UNREPLICATED_MAX) {
        window[ps->unreplicated_count - 1].last_offset = last_offset;
        return;
    }
    window[ps->unreplicated_count++] =
        (struct producer_unreplicated){.first_offset = first_offset, .last_offset = last_offset};
}

static void
unreplicated_remove_below(struct producer_state *ps, int64_t offset)
{
    while (ps->unreplicated_count > 0 &&
           ps->unreplicated[ps->unreplicated_start].last_offset < offset) {
        ps->unreplicated_start++;
        ps->unreplicated_count--;
    }
    if (ps->unreplicated_count == 0)
        ps->unreplicated_start = 0;
}

void
producer_state_high_watermark(struct producer_state *ps, int64_t high_watermark)
{
    unreplicated_remove_below(ps, high_watermark);
}

void
producer_state_log_start(struct producer_state *ps, int64_t log_start_offset)
{
    unreplicated_remove_below(ps, log_start_offset);
    if (ps->end_offset < log_start_offset)
        ps->end_offset = log_start_offset;
}

/* ---- queries ---- */

static const struct producer_node *
oldest_txn(const struct producer_state *ps)
{
    return list_empty(&ps->txns) ? NULL : LIST_ENTRY(ps->txns.next, struct producer_node, txn);
}

int64_t
producer_state_first_undecided(const struct producer_state *ps)
{
    const struct producer_node *node = oldest_txn(ps);
    return node == NULL ? -1 : node->entry.txn_first_offset;
}

int64_t
producer_state_first_unstable(const struct producer_state *ps)
{
    int64_t undecided = producer_state_first_undecided(ps);
    if (ps->unreplicated_count == 0)
        return undecided;
    int64_t unreplicated = ps->unreplicated[ps->unreplicated_start].first_offset; /* I3 */
    return undecided < 0 || unreplicated < undecided ? unreplicated : undecided;
}

int64_t
producer_state_oldest_txn_timestamp(const struct producer_state *ps)
{
    const struct producer_node *node = oldest_txn(ps);
    return node == NULL ? -1 : node->entry.last_timestamp;
}

const struct producer_entry *
producer_state_find(const struct producer_state *ps, int64_t producer_id)
{
    const struct producer_node *node = producer_node_find(ps, producer_id);
    return node == NULL || node->pending ? NULL : &node->entry;
}

int32_t
producer_state_count(const struct producer_state *ps)
{
    return ps->count;
}

void
producer_state_each(const struct producer_state *ps,
    bool (*fn)(void *ctx, const struct producer_entry *entry), void *ctx)
{
    LIST_FOREACH (&ps->lru, at) {
        if (!fn(ctx, &LIST_ENTRY(at, struct producer_node, lru)->entry))
            return;
    }
}

bool
producer_entry_expired(const struct producer_entry *entry, int64_t expiration_ms, int64_t now_ms)
{
    if (entry->txn_first_offset >= 0)
        return false;
    return (int64_t)((uint64_t)now_ms - (uint64_t)entry->last_timestamp) >= expiration_ms;
}

void
producer_state_expire(struct producer_state *ps, int64_t now_ms)
{
    LIST_FOREACH (&ps->lru, at) {
        struct producer_node *node = LIST_ENTRY(at, struct producer_node, lru);
        if (producer_entry_expired(&node->entry, ps->opts.expiration_ms, now_ms))
            node_free(ps, node);
    }
    producer_verify_expire(ps, now_ms);
}
