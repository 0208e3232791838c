/* What: the aborted transactions of a segment, as a file of 34-byte entries; created when the first
 * one comes. Written at once: a consumer that reads committed depends on every entry.
 * Threads: partition lock. Errors: any failed write is the log's to judge. */
#include <string.h>

#include "base/assert.h"
#include "log/segment.h"

enum { BLOCK_ENTRIES = 64 };

static enum err
txn_file(struct log_segment *seg, bool create, struct env_file **out)
{
    struct segment_home *home = seg->home;
    struct env_file *file = file_cache_get(home->files, &seg->txn_slot);
    if (file == NULL) {
        char path[LOG_PATH_MAX];
        if (!segment_path(seg, LOG_FILE_TXNINDEX, path))
            return ERR_INVALID;
        enum err err = file_cache_open(home->files, home->env, &seg->txn_slot, path,
            ENV_OPEN_WRITE | (create ? ENV_OPEN_CREATE : 0), &file);
        if (err != ERR_OK)
            return err;
    }
    *out = file;
    return ERR_OK;
}

enum err
txn_index_append(struct log_segment *seg, const struct txn_index_entry *entry)
{
    uint8_t bytes[TXN_INDEX_ENTRY_SIZE];
    struct env_file *file;
    ASSERT(entry->first_offset <= entry->last_offset);
    enum err err = txn_file(seg, true, &file);
    if (err != ERR_OK)
        return err;
    store_be16(bytes, 0);
    store_be64(bytes + 2, (uint64_t)entry->producer_id);
    store_be64(bytes + 10, (uint64_t)entry->first_offset);
    store_be64(bytes + 18, (uint64_t)entry->last_offset);
    store_be64(bytes + 26, (uint64_t)entry->last_stable_offset);
    err = env_write_at(file, seg->txn_size_bytes, (struct bytes){bytes, sizeof bytes});
    env_file_close(&file);
    if (err != ERR_OK)
        return err;
    seg->txn_size_bytes += TXN_INDEX_ENTRY_SIZE;
    seg->txn_unsynced = true;
    return ERR_OK;
}

enum err
txn_index_each(
    struct log_segment *seg, bool (*fn)(void *ctx, const struct txn_index_entry *entry), void *ctx)
{
    uint8_t block[BLOCK_ENTRIES * TXN_INDEX_ENTRY_SIZE];
    struct env_file *file;
    if (seg->txn_size_bytes == 0)
        return ERR_OK;
    enum err err = txn_file(seg, false, &file);
    if (err != ERR_OK)
        return err;
    bool more = true;
    for (int64_t position = 0; more && err == ERR_OK && position < seg->txn_size_bytes;
         position += (int64_t)sizeof block) {
        size_t n;
        err = env_read_at(file, position, block, sizeof block, &n);
        if (err == ERR_OK && n % TXN_INDEX_ENTRY_SIZE != 0)
            err = ERR_CORRUPT;
        for (size_t i = 0; more && err == ERR_OK && i < n; i += TXN_INDEX_ENTRY_SIZE) {
            struct txn_index_entry entry = {
                .producer_id = (int64_t)load_be64(block + i + 2),
                .first_offset = (int64_t)load_be64(block + i + 10),
                .last_offset = (int64_t)load_be64(block + i + 18),
                .last_stable_offset = (int64_t)load_be64(block + i + 26),
            };
            if (load_be16(block + i) != 0 || entry.first_offset > entry.last_offset ||
                entry.first_offset < 0)
                err = ERR_CORRUPT;
            else
                more = fn(ctx, &entry);
        }
    }
    env_file_close(&file);
    return err;
}

struct keep {
    int64_t offset;
    int64_t count;
};

static bool
keep_count(void *ctx, const struct txn_index_entry *entry)
{
    struct keep *keep = ctx;
    if (entry->last_offset >= keep->offset)
        return false;
    keep->count++;
    return true;
}

enum err
txn_index_truncate(struct log_segment *seg, int64_t offset)
{
    struct keep keep = {.offset = offset};
    struct env_file *file;
    if (seg->txn_size_bytes == 0)
        return ERR_OK;
    enum err err = txn_index_each(seg, keep_count, &keep);
    if (err != ERR_OK && err != ERR_CORRUPT)
        return err;
    err = txn_file(seg, false, &file);
    if (err != ERR_OK)
        return err;
    err = env_truncate(file, keep.count * TXN_INDEX_ENTRY_SIZE);
    env_file_close(&file);
    if (err != ERR_OK)
        return err;
    seg->txn_size_bytes = keep.count * TXN_INDEX_ENTRY_SIZE;
    seg->txn_unsynced = true;
    return ERR_OK;
}
