/* tests/sim/history.c - the checker of client histories.
 *
 * What: a growing table of records by index (the low bits of the id), and per partition a table of
 * offsets with the id that was seen there. Invariants: I1 slots[offset] is 0 until seen, then
 * fixed. Threads: the simulation's one. */
#include "tests/sim/history.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "tests/sim/sim_memory.h"

enum { ID_BITS = 40, VALUE_HEAD = 12, DAMAGE_MAX = 16 };

struct record {
    int32_t partition;
    uint32_t len;
    bool durable; /* acks=all by an idempotent producer */
    bool acked;
    int64_t offset;  /* as acknowledged; -1 */
    int64_t read_at; /* in the reading at the end; -1 */
};

struct slots {
    uint64_t *ids; /* owned; 0: nothing seen there */
    int64_t count;
    int64_t end; /* highest high watermark seen */
    /* the reading at the end */
    int64_t next;
    uint64_t last_durable;
    /* group offsets; -1 */
    int64_t commit_sent, commit_acked;
    /* damaged batches */
    struct damage {
        int64_t first, last;
    } damage[DAMAGE_MAX];
    int damage_count;
    int64_t final_end;            /* as told in the reading at the end */
    int64_t newest[HISTORY_KEYS]; /* of each key, in the reading at the end; -1 */
};

struct history {
    uint16_t origin;
    struct record *records; /* owned */
    int64_t count, capacity;
    struct slots parts[HISTORY_PARTITIONS];
    struct history_counts counts;
    int64_t commit_next;
    bool lossy, keyed;
    bool final;
    char problem[HISTORY_PROBLEM_SIZE];
};

struct history *
history_new(uint16_t origin)
{
    struct history *history = sim_memory_new(sizeof *history);
    history->origin = origin;
    for (int i = 0; i < HISTORY_PARTITIONS; i++) {
        history->parts[i].commit_sent = history->parts[i].commit_acked = -1;
        for (int key = 0; key < HISTORY_KEYS; key++)
            history->parts[i].newest[key] = -1;
    }
    return history;
}

void
history_free(struct history **history)
{
    struct history *h = *history;
    if (h == NULL)
        return;
    for (int i = 0; i < HISTORY_PARTITIONS; i++)
        sim_memory_free(h->parts[i].ids);
    sim_memory_free(h->records);
    sim_memory_free(h);
    *history = NULL;
}

const char *
history_problem(const struct history *history)
{
    return history->problem;
}

void
history_fail(struct history *history, const char *fmt, ...)
{
    va_list args;
    if (history->problem[0] != '\0')
        return;
    va_start(args, fmt);
    int at =
        snprintf(history->problem, sizeof history->problem, "broker %d: ", (int)history->origin);
    vsnprintf(history->problem + at, sizeof history->problem - (size_t)at, fmt, args);
    va_end(args);
}

/* ---- records ---- */

static uint64_t
fill_word(uint64_t id, size_t at)
{
    return (id * 0x9e3779b97f4a7c15ull) ^ (at * 0xff51afd7ed558ccdull);
}

uint64_t
history_send(struct history *history, int32_t partition, bool durable, uint8_t *value, size_t len)
{
    ASSERT(partition >= 0 && partition < HISTORY_PARTITIONS);
    ASSERT(len >= VALUE_HEAD && len <= HISTORY_VALUE_MAX);
    if (history->count == history->capacity) {
        int64_t capacity = history->capacity * 2 + 1024;
        history->records =
            sim_memory_grow(history->records, (size_t)capacity * sizeof *history->records);
        history->capacity = capacity;
    }
    history->records[history->count++] = (struct record){.partition = partition,
        .len = (uint32_t)len,
        .durable = durable,
        .offset = -1,
        .read_at = -1};
    uint64_t id = (uint64_t)history->origin << ID_BITS | (uint64_t)history->count;
    uint32_t len32 = (uint32_t)len;
    memcpy(value, &id, 8);
    memcpy(value + 8, &len32, 4);
    for (size_t i = VALUE_HEAD; i < len; i++)
        value[i] = (uint8_t)(fill_word(id, i / 16) >> (i % 8 * 8));
    history->counts.sent++;
    return id;
}

static struct record *
find(struct history *history, uint64_t id)
{
    uint64_t index = id & ((1ull << ID_BITS) - 1);
    if (id >> ID_BITS != history->origin || index == 0 || index > (uint64_t)history->count)
        return NULL;
    return &history->records[index - 1];
}

static uint64_t *
slot(struct slots *part, int64_t offset)
{
    if (offset >= part->count) {
        int64_t count = offset * 2 + 256;
        part->ids = sim_memory_grow(part->ids, (size_t)count * sizeof *part->ids);
        memset(part->ids + part->count, 0, (size_t)(count - part->count) * sizeof *part->ids);
        part->count = count;
    }
    return &part->ids[offset];
}

void
history_acked(struct history *history, uint64_t id, int64_t offset)
{
    struct record *record = find(history, id);
    ASSERT(record != NULL && !record->acked);
    record->acked = true;
    record->offset = offset;
    if (record->durable)
        history->counts.acked_all++;
    else
        history->counts.acked_one++;
}

/* The id in a value, or 0 when not every byte is as it was sent. */
static uint64_t
value_id(struct history *history, int32_t partition, struct bytes value)
{
    uint64_t id;
    if (value.len < VALUE_HEAD)
        return 0;
    memcpy(&id, value.data, 8);
    struct record *record = find(history, id);
    if (record == NULL || record->partition != partition || record->len != value.len)
        return 0;
    for (size_t i = VALUE_HEAD; i < value.len; i++)
        if (value.data[i] != (uint8_t)(fill_word(id, i / 16) >> (i % 8 * 8)))
            return 0;
    return id;
}

/* ---- damage ---- */

void
history_damaged(struct history *history, int32_t partition, int64_t first, int64_t last)
{
    struct slots *part = &history->parts[partition];
    ASSERT(first <= last && part->damage_count < DAMAGE_MAX);
    part->damage[part->damage_count++] = (struct damage){first, last};
}

static bool
is_damaged(const struct slots *part, int64_t offset)
{
    for (int i = 0; i < part->damage_count; i++)
        if (offset >= part->damage[i].first && offset <= part->damage[i].last)
            return true;
    return false;
}

bool
history_is_damaged(const struct history *history, int32_t partition, int64_t offset)
{
    return is_damaged(&history->parts[partition], offset);
}

/* True when damage explains that the partition ends at `end`. */
static bool
may_end(const struct slots *part, int64_t end)
{
    for (int i = 0; i < part->damage_count; i++)
        if (part->damage[i].first <= end)
            return true;
    return false;
}

/* True when what was at `offset` (-1 unknown) need not be found in the reading at the end. */
static bool
is_excused(const struct slots *part, int64_t offset)
{
    if (offset < 0)
        return part->damage_count > 0;
    return is_damaged(part, offset) ||
           (offset >= part->final_end && may_end(part, part->final_end));
}

static bool
all_damaged(const struct slots *part, int64_t from, int64_t to)
{
    while (from < to && is_damaged(part, from))
        from++;
    return from == to;
}

/* In the reading at the end: no gap, no record of a durable producer twice or out of order. */
static void
check_final(struct history *history, int32_t partition, int64_t offset, uint64_t id)
{
    struct slots *part = &history->parts[partition];
    struct record *record = find(history, id);
    if (history->keyed)
        part->newest[history_key_of(id)] = offset;
    if (offset < part->next || (!history->keyed && !all_damaged(part, part->next, offset)))
        history_fail(history, "partition %d: offset %lld follows %lld", (int)partition,
            (long long)offset, (long long)part->next - 1);
    part->next = offset + 1;
    if (record->durable && record->read_at >= 0)
        history_fail(history, "partition %d: record %llu at offset %lld and again at %lld",
            (int)partition, (unsigned long long)id, (long long)record->read_at, (long long)offset);
    if (record->durable && id < part->last_durable)
        history_fail(history, "partition %d: record %llu at offset %lld after %llu", (int)partition,
            (unsigned long long)id, (long long)offset, (unsigned long long)part->last_durable);
    if (record->durable)
        part->last_durable = id;
    if (record->read_at < 0 || record->offset == offset)
        record->read_at = offset;
}

void
history_seen(struct history *history, int32_t partition, int64_t offset, struct bytes value)
{
    if (partition < 0 || partition >= HISTORY_PARTITIONS || offset < 0) {
        history_fail(history, "a record of partition %d at %lld", partition, (long long)offset);
        return;
    }
    struct slots *part = &history->parts[partition];
    uint64_t id = value_id(history, partition, value);
    if (id == 0) {
        history_fail(history, "partition %d offset %lld: %zu bytes that nobody sent there",
            (int)partition, (long long)offset, value.len);
        return;
    }
    uint64_t *seen = slot(part, offset);
    if (*seen != 0 && *seen != id)
        history_fail(history, "partition %d offset %lld: record %llu where %llu was seen before",
            (int)partition, (long long)offset, (unsigned long long)id, (unsigned long long)*seen);
    struct record *record = find(history, id);
    if (record->durable && record->acked && record->offset >= 0 && record->offset != offset)
        history_fail(history, "partition %d: record %llu at offset %lld, acknowledged at %lld",
            (int)partition, (unsigned long long)id, (long long)offset, (long long)record->offset);
    *seen = id;
    history->counts.seen++;
    if (history->final)
        check_final(history, partition, offset, id);
}

void
history_end_seen(struct history *history, int32_t partition, int64_t end)
{
    struct slots *part = &history->parts[partition];
    if (history->final)
        part->final_end = end;
    if (end < part->end && !may_end(part, end))
        history_fail(history, "partition %d: high watermark %lld after %lld", (int)partition,
            (long long)end, (long long)part->end);
    else if (end > part->end)
        part->end = end;
}

void
history_lossy(struct history *history)
{
    history->lossy = true;
}

/* ---- group offsets ---- */

int64_t
history_commit_next(struct history *history)
{
    return ++history->commit_next;
}

void
history_commit_sent(struct history *history, int32_t partition, int64_t offset)
{
    history->parts[partition].commit_sent = offset;
}

void
history_commit_acked(struct history *history, int32_t partition, int64_t offset)
{
    history->parts[partition].commit_acked = offset;
    history->counts.commits++;
}

void
history_commit_read(struct history *history, int32_t partition, int64_t offset)
{
    const struct slots *part = &history->parts[partition];
    if (offset < part->commit_acked || offset > part->commit_sent)
        history_fail(history, "partition %d: group offset %lld; acknowledged %lld, last sent %lld",
            (int)partition, (long long)offset, (long long)part->commit_acked,
            (long long)part->commit_sent);
}

/* ---- the end ---- */

void
history_final_begin(struct history *history)
{
    history->final = true;
}

/* Its place at that offset may be empty: a later record has its key. */
static bool
is_superseded(const struct history *history, int32_t partition, uint64_t id, int64_t offset)
{
    return history->keyed && history->parts[partition].newest[history_key_of(id)] > offset;
}

void
history_keyed(struct history *history)
{
    history->keyed = true;
}

uint32_t
history_key_of(uint64_t id)
{
    return (uint32_t)(fill_word(id, 7) % HISTORY_KEYS);
}

void
history_final_end(struct history *history)
{
    for (int64_t i = 0; i < history->count; i++) {
        const struct record *record = &history->records[i];
        if (!record->acked || (!record->durable && history->lossy) ||
            (record->read_at < 0 && is_excused(&history->parts[record->partition], record->offset)))
            continue;
        if (record->read_at < 0 &&
            is_superseded(history, record->partition,
                (uint64_t)history->origin << ID_BITS | (uint64_t)(i + 1), record->offset))
            continue;
        if (record->read_at < 0 || (record->offset >= 0 && record->read_at != record->offset))
            history_fail(history,
                "partition %d: record %lld was acknowledged (acks=%s) at offset %lld and is %s",
                (int)record->partition, (long long)i + 1, record->durable ? "all" : "1",
                (long long)record->offset, record->read_at < 0 ? "gone" : "elsewhere");
    }
    for (int p = 0; p < HISTORY_PARTITIONS; p++) {
        struct slots *part = &history->parts[p];
        for (int64_t at = part->next; at < part->count; at++)
            if (part->ids[at] != 0 && !is_excused(part, at) &&
                !is_superseded(history, p, part->ids[at], at))
                history_fail(
                    history, "partition %d: offset %lld was seen and is gone", p, (long long)at);
    }
    history->final = false;
}

void
history_counts(const struct history *history, struct history_counts *out)
{
    *out = history->counts;
}

void
history_changed(struct history *history)
{
    history->counts.changes++;
}
