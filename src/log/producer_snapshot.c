/* The file <offset>.snapshot, in Apache's layout of version 1: version int16, CRC-32C of all that
 * follows it as uint32, count int32, and an entry of 46 bytes for each producer. Of its batches
 * only the last is kept, so the duplicate window is rebuilt only from the log after the snapshot.
 */
#include "log/producer_state.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "log/producer_state_priv.h"
#include "wire/crc32c.h"
#include "wire/reader.h"

enum {
    SNAPSHOT_VERSION = 1,
    SNAPSHOT_CRC_AT = 2,
    SNAPSHOT_ENTRIES_AT = 6,
    SNAPSHOT_HEADER_SIZE = 10,
    SNAPSHOT_ENTRY_SIZE = 46,
};

static void
entry_write(uint8_t *p, const struct producer_entry *e)
{
    const struct producer_batch *last = e->batch_count > 0 ? &e->batches[e->batch_count - 1] : NULL;

    store_be64(p, (uint64_t)e->producer_id);
    store_be16(p + 8, (uint16_t)e->producer_epoch);
    store_be32(p + 10, (uint32_t)(last != NULL ? last->last_sequence : BATCH_NO_SEQUENCE));
    store_be64(p + 14, (uint64_t)(last != NULL ? last->last_offset : -1));
    store_be32(p + 22, (uint32_t)(last != NULL ? last->offset_delta : 0));
    store_be64(p + 26, (uint64_t)e->last_timestamp);
    store_be32(p + 34, (uint32_t)e->coordinator_epoch);
    store_be64(p + 38, (uint64_t)e->txn_first_offset);
}

enum err
producer_state_encode(const struct producer_state *ps, struct buf *out)
{
    size_t size = SNAPSHOT_HEADER_SIZE + (size_t)ps->count * SNAPSHOT_ENTRY_SIZE;
    uint8_t *start = buf_extend(out, size);
    if (start == NULL)
        return out->err;
    uint8_t *at = start + SNAPSHOT_HEADER_SIZE;
    LIST_FOREACH (&ps->lru, node) {
        entry_write(at, &LIST_ENTRY(node, struct producer_node, lru)->entry);
        at += SNAPSHOT_ENTRY_SIZE;
    }
    ASSERT(at == start + size); /* count is the list's size */
    store_be16(start, SNAPSHOT_VERSION);
    store_be32(start + 6, (uint32_t)ps->count);
    store_be32(start + SNAPSHOT_CRC_AT,
        crc32c((struct bytes){start + SNAPSHOT_ENTRIES_AT, size - SNAPSHOT_ENTRIES_AT}));
    return ERR_OK;
}

static void
entry_read(struct reader *r, struct producer_entry *e)
{
    struct producer_batch last;

    *e = producer_entry_empty(reader_i64(r));
    e->producer_epoch = reader_i16(r);
    last.last_sequence = reader_i32(r);
    last.last_offset = reader_i64(r);
    last.offset_delta = reader_i32(r);
    last.timestamp = reader_i64(r);
    e->last_timestamp = last.timestamp;
    e->coordinator_epoch = reader_i32(r);
    e->txn_first_offset = reader_i64(r);
    if (e->txn_first_offset < 0)
        e->txn_first_offset = -1;
    if (last.last_offset >= 0) {
        e->batches[0] = last;
        e->batch_count = 1;
    }
}

static enum err
file_check(struct bytes file, int32_t *count)
{
    if (file.len < SNAPSHOT_HEADER_SIZE || load_be16(file.data) != SNAPSHOT_VERSION)
        return ERR_CORRUPT;
    struct bytes covered = {file.data + SNAPSHOT_ENTRIES_AT, file.len - SNAPSHOT_ENTRIES_AT};
    if (load_be32(file.data + SNAPSHOT_CRC_AT) != crc32c(covered))
        return ERR_CORRUPT;
    *count = (int32_t)load_be32(file.data + SNAPSHOT_ENTRIES_AT);
    size_t room = (file.len - SNAPSHOT_HEADER_SIZE) / SNAPSHOT_ENTRY_SIZE;
    return *count < 0 || (size_t)*count > room ? ERR_CORRUPT : ERR_OK;
}

/* The idle ones first, by age; then those with a transaction by where it began, so that each goes
 * last into the list of transactions. */
static int
entry_order(const void *a, const void *b)
{
    const struct producer_entry *x = a, *y = b;
    bool x_open = x->txn_first_offset >= 0, y_open = y->txn_first_offset >= 0;

    if (x_open != y_open)
        return x_open ? 1 : -1;
    int64_t p = x_open ? x->txn_first_offset : x->last_timestamp;
    int64_t q = x_open ? y->txn_first_offset : y->last_timestamp;
    return (p > q) - (p < q);
}

static enum err
entries_put(struct producer_state *ps, struct reader *r, int32_t count, int64_t now_ms)
{
    int32_t kept = 0;
    enum err err = ERR_OK;

    struct producer_entry *entries = mem_calloc((size_t)count, sizeof *entries);
    if (entries == NULL)
        return ERR_NOMEM;
    for (int32_t i = 0; i < count; i++) {
        entry_read(r, &entries[kept]);
        if (now_ms < 0 || !producer_entry_expired(&entries[kept], ps->opts.expiration_ms, now_ms))
            kept++;
    }
    ASSERT(r->err == ERR_OK); /* file_check counted the bytes */
    qsort(entries, (size_t)kept, sizeof *entries, entry_order);
    for (int32_t i = 0; i < kept && err == ERR_OK; i++)
        err = producer_state_put(ps, &entries[i]);
    mem_free(entries);
    return err;
}

enum err
producer_state_decode(struct producer_state *ps, struct bytes file, int64_t offset, int64_t now_ms)
{
    struct reader r;
    int32_t count;

    ASSERT(offset >= 0);
    producer_state_reset(ps, 0);
    enum err err = file_check(file, &count);
    if (err == ERR_OK && count > 0) {
        reader_init(&r, file);
        (void)reader_take(&r, SNAPSHOT_HEADER_SIZE);
        err = entries_put(ps, &r, count, now_ms);
    }
    if (err != ERR_OK) {
        producer_state_reset(ps, 0);
        return err;
    }
    producer_state_evict(ps);
    ps->end_offset = offset;
    return ERR_OK;
}
