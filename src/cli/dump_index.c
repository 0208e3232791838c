/* cli/dump_index.c - indexes, which are compared with their segment, and producer snapshots. */
#include "cli/dump.h"
#include "wire/crc32c.h"

enum {
    INDEX_ENTRY = 8,
    TIME_ENTRY = 12,
    TXN_ENTRY = 34,
    SNAPSHOT_CRC_AT = 2,
    SNAPSHOT_COVERED_AT = 6,
    SNAPSHOT_HEAD = 10,
    SNAPSHOT_ENTRY = 46,
};

/* Says when bytes are left that make no entry. */
static void
check_size(struct dump *dump, size_t len, size_t entry)
{
    if (len % entry != 0)
        dump_problem(dump, "%zu bytes at the end are no entry", len % entry);
}

/* The batch at a position of the segment. */
static bool
batch_at(struct bytes log, size_t position, struct batch_view *out)
{
    return position < log.len &&
           batch_parse((struct bytes){log.data + position, log.len - position}, out) == ERR_OK;
}

void
dump_offset_index(struct dump *dump, struct bytes data, int64_t base_offset, struct bytes log)
{
    int64_t before = -1;
    for (size_t at = 0; at + INDEX_ENTRY <= data.len; at += INDEX_ENTRY) {
        struct batch_view batch;
        int64_t offset = base_offset + (int32_t)load_be32(data.data + at);
        uint32_t position = load_be32(data.data + at + 4);
        if (at > 0 && offset == base_offset && position == 0)
            break; /* room for entries to come */
        dump_entry_begin(&dump->out);
        dump_i64(&dump->out, "offset", offset);
        dump_i64(&dump->out, "position", position);
        dump_entry_end(&dump->out);
        if (offset <= before)
            dump_problem(dump, "offset %lld after %lld", (long long)offset, (long long)before);
        before = offset;
        if (log.data == NULL)
            continue;
        if (!batch_at(log, position, &batch))
            dump_problem(dump, "offset %lld: the segment has no batch at position %u",
                (long long)offset, position);
        else if (batch_last_offset(&batch) != offset)
            dump_problem(dump, "offset %lld: the batch at position %u ends with %lld",
                (long long)offset, position, (long long)batch_last_offset(&batch));
    }
    check_size(dump, data.len, INDEX_ENTRY);
}

/* The first batch from *at on that holds the offset; entries ascend, so the search goes on from
 * where the last one ended. */
static bool
find_batch(struct bytes log, int64_t offset, size_t *at, struct batch_view *out)
{
    while (batch_at(log, *at, out)) {
        if (batch_last_offset(out) >= offset)
            return true;
        *at += out->size_bytes;
    }
    return false;
}

void
dump_time_index(struct dump *dump, struct bytes data, int64_t base_offset, struct bytes log)
{
    int64_t before = INT64_MIN;
    size_t log_at = 0;
    for (size_t at = 0; at + TIME_ENTRY <= data.len; at += TIME_ENTRY) {
        struct batch_view batch;
        int64_t timestamp = (int64_t)load_be64(data.data + at);
        int64_t offset = base_offset + (int32_t)load_be32(data.data + at + 8);
        if (at > 0 && offset == base_offset && timestamp == 0)
            break; /* room for entries to come */
        dump_entry_begin(&dump->out);
        dump_i64(&dump->out, "timestamp", timestamp);
        dump_i64(&dump->out, "offset", offset);
        dump_entry_end(&dump->out);
        if (timestamp <= before && at > 0)
            dump_problem(
                dump, "timestamp %lld after %lld", (long long)timestamp, (long long)before);
        before = timestamp;
        if (log.data == NULL)
            continue;
        if (!find_batch(log, offset, &log_at, &batch))
            dump_problem(dump, "timestamp %lld: the segment has no offset %lld",
                (long long)timestamp, (long long)offset);
        else if (batch.max_timestamp != timestamp)
            dump_problem(dump, "timestamp %lld: the batch with offset %lld has %lld",
                (long long)timestamp, (long long)offset, (long long)batch.max_timestamp);
    }
    check_size(dump, data.len, TIME_ENTRY);
}

void
dump_txn_index(struct dump *dump, struct bytes data)
{
    for (size_t at = 0; at + TXN_ENTRY <= data.len; at += TXN_ENTRY) {
        const uint8_t *e = data.data + at;
        dump_entry_begin(&dump->out);
        dump_i64(&dump->out, "version", (int16_t)load_be16(e));
        dump_i64(&dump->out, "producer_id", (int64_t)load_be64(e + 2));
        dump_i64(&dump->out, "first_offset", (int64_t)load_be64(e + 10));
        dump_i64(&dump->out, "last_offset", (int64_t)load_be64(e + 18));
        dump_i64(&dump->out, "last_stable_offset", (int64_t)load_be64(e + 26));
        dump_entry_end(&dump->out);
    }
    check_size(dump, data.len, TXN_ENTRY);
}

void
dump_producer_snapshot(struct dump *dump, struct bytes data)
{
    if (data.len < SNAPSHOT_HEAD) {
        dump_problem(dump, "%zu bytes are no producer snapshot", data.len);
        return;
    }
    struct bytes covered = {data.data + SNAPSHOT_COVERED_AT, data.len - SNAPSHOT_COVERED_AT};
    if (load_be32(data.data + SNAPSHOT_CRC_AT) != crc32c(covered))
        dump_problem(dump, "the checksum is wrong");
    for (size_t at = SNAPSHOT_HEAD; at + SNAPSHOT_ENTRY <= data.len; at += SNAPSHOT_ENTRY) {
        const uint8_t *e = data.data + at;
        dump_entry_begin(&dump->out);
        dump_i64(&dump->out, "producer_id", (int64_t)load_be64(e));
        dump_i64(&dump->out, "producer_epoch", (int16_t)load_be16(e + 8));
        dump_i64(&dump->out, "last_sequence", (int32_t)load_be32(e + 10));
        dump_i64(&dump->out, "last_offset", (int64_t)load_be64(e + 14));
        dump_i64(&dump->out, "offset_delta", (int32_t)load_be32(e + 22));
        dump_i64(&dump->out, "last_timestamp", (int64_t)load_be64(e + 26));
        dump_i64(&dump->out, "coordinator_epoch", (int32_t)load_be32(e + 34));
        dump_i64(&dump->out, "txn_first_offset", (int64_t)load_be64(e + 38));
        dump_entry_end(&dump->out);
    }
    int32_t count = (int32_t)load_be32(data.data + SNAPSHOT_COVERED_AT);
    size_t there = (data.len - SNAPSHOT_HEAD) / SNAPSHOT_ENTRY;
    if (count < 0 || (size_t)count != there || (data.len - SNAPSHOT_HEAD) % SNAPSHOT_ENTRY != 0)
        dump_problem(dump, "says %d producers and holds %zu", (int)count, there);
}
