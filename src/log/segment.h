/* log/segment.h - one segment of a log: a file of record batches and its three indexes.
 *
 * States: active (the last of its log, may be appended to), sealed (never appended to again).
 * Invariants:
 *   I1 Batches stand one after the other from position 0; offsets grow.
 *   I2 Bytes at and beyond size_bytes do not exist to any reader, whatever the file holds.
 *   I3 Each offset index entry says the last offset and the position of one batch; each time index
 *      entry says the largest timestamp up to an offset.
 *   I4 While data is not synced, dirty_file is the very file it was written through, so that a late
 *      write error is reported to our sync.
 * Threads: the partition's lock for everything.
 * Errors: IO, NOSPACE, NOMEM, CORRUPT (data that should be a batch is none), AGAIN (nowait). */
#ifndef LOG_SEGMENT_H
#define LOG_SEGMENT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"
#include "log/file_cache.h"
#include "log/file_name.h"
#include "log/log_config.h"
#include "os/env.h"
#include "wire/batch.h"

/* What all segments of one log share; lives in the log. */
struct segment_home {
    struct env *env;
    char *dir; /* the log's */
    struct file_cache *files;
    const struct log_config *config;
    bool settle_later; /* all is synced before anything is appended (log/log.h) */
};

enum segment_index { SEGMENT_INDEX_OFFSET, SEGMENT_INDEX_TIME, SEGMENT_INDEX_COUNT };

/* Entries kept in memory before they are written together. */
enum { SEGMENT_INDEX_TAIL = 64 };

struct segment_index_state {
    struct file_slot slot;
    uint8_t *tail;  /* owned; the newest tail_count entries, not in the file yet */
    uint32_t count; /* of all entries */
    uint32_t tail_count;
    uint8_t *cut; /* owned; what the file has behind `count` while a recovery makes it again */
    uint32_t cut_count;
    uint32_t near; /* where the last search in the file ended; only a hint */
    bool loaded;
    bool unsynced;
    bool on_disk; /* the file exists */
};

#define SEGMENT_TIMESTAMP_UNKNOWN INT64_MIN

struct log_segment {
    struct segment_home *home;
    int64_t base_offset;
    int64_t size_bytes;
    int64_t mtime_ms;             /* of the file when it was opened; retention without timestamps */
    int64_t created_ms;           /* wall clock when opened or created */
    int64_t max_timestamp;        /* UNKNOWN until loaded; -1 none */
    int64_t max_timestamp_offset; /* last offset of the batch that has it */
    int64_t first_timestamp;      /* max timestamp of the first batch; UNKNOWN until loaded */
    /* What is known to be as it was written (segment_sound.c). */
    int64_t checked_from;
    int64_t sound_from, sound_to;
    struct file_slot slot;
    struct env_file *dirty_file; /* owned; NULL when all is synced */
    /* A write that found no room was cut off. Until that is synced too, a power cut could show what
     * it left through what is written next, and that looks like rot. */
    bool cut_unsynced;
    struct segment_index_state index[SEGMENT_INDEX_COUNT];
    struct file_slot txn_slot;
    int64_t txn_size_bytes; /* of the transaction index; 0: no file */
    uint32_t bytes_since_index;
    bool txn_unsynced;
    bool has_snapshot;         /* `<base>.snapshot` exists */
    int64_t full_until_ms;     /* with cut_unsynced: no write is tried before, nor its cut synced */
    int64_t reserved_bytes;    /* blocks of its file up to here were asked for, ahead of data */
    enum log_file_phase phase; /* in its files' names: CLEANED while the cleaner writes it */
};

/* A new, empty segment; its file is created. */
MUST_USE enum err segment_create(
    struct segment_home *home, int64_t base_offset, struct log_segment **out);
/* The same of a segment that the cleaner writes: its files end in .cleaned; what an unfinished
 * round left behind under these names is overwritten. */
MUST_USE enum err segment_create_cleaned(
    struct segment_home *home, int64_t base_offset, struct log_segment **out);
/* The path of one of its files, in its phase; false when it does not fit. */
bool segment_path(const struct log_segment *seg, enum log_file_kind kind, char out[LOG_PATH_MAX]);
/* Renames its files to another phase, the data first (a file that is not there is none). */
MUST_USE enum err segment_set_phase(struct log_segment *seg, enum log_file_phase phase);
/* Makes everything of a sealed segment durable but the names. */
MUST_USE enum err segment_sync(struct log_segment *seg);
/* Takes back a creation, files and all. */
MUST_USE enum err segment_discard(struct log_segment **seg);
/* One that exists, as the directory listing and stat say; opens nothing. */
MUST_USE enum err segment_open(struct segment_home *home, int64_t base_offset, int64_t size_bytes,
    int64_t mtime_ms, struct log_segment **out);
/* Frees the memory, touches no file but closes them. */
void segment_free(struct log_segment **seg);
/* Closes cached files; they are opened again when needed. */
void segment_let_go(struct log_segment *seg);
/* A reference to the file of batches. */
MUST_USE enum err segment_file(struct log_segment *seg, struct env_file **out);

/* ---- writing ---- */

/* Writes whole batches at the end. On failure nothing has changed for readers; NOSPACE: the file
 * is as it was. */
MUST_USE enum err segment_write(struct log_segment *seg, struct bytes batches);
/* Indexes one batch that was just written at `position`. */
MUST_USE enum err segment_note(
    struct log_segment *seg, const struct batch_view *batch, int64_t position);
/* True when a batch set of this size and end would not fit any more. */
bool segment_is_full(const struct log_segment *seg, size_t len, int64_t last_offset);
/* Last time index entry, index tails written, files cut to their size. Sealed or closed after. */
MUST_USE enum err segment_seal(struct log_segment *seg);
/* Cuts the data to `position`, where a batch begins, and the indexes to offsets below `offset`. */
MUST_USE enum err segment_truncate(struct log_segment *seg, int64_t position, int64_t offset);
/* Renames all files to .deleted, but the producer snapshot when that is kept; each renamed path is
 * handed to `gone`, which may be NULL. */
MUST_USE enum err segment_mark_deleted(struct log_segment *seg, bool keep_snapshot,
    void (*gone)(void *ctx, const char *path), void *ctx);

/* ---- finding ---- */

/* What a read that must not wait would have waited for: then the result is AGAIN. */
struct segment_cold {
    struct env_file *file; /* owned reference */
    int64_t position;
    size_t len;
};
/* As env_read_at; with `cold` as env_read_at_cached, and fills it in. */
MUST_USE enum err segment_read_at(struct env_file *file, int64_t position, void *data, size_t len,
    size_t *n, struct segment_cold *cold);
/* Whether its offsets are possible in the segment: no file is trusted in that. */
bool segment_may_hold(const struct log_segment *seg, const struct batch_view *batch);
/* Header of the batch at `position`. RANGE at the end of the segment, CORRUPT when there is none.
 */
struct segment_window {
    int64_t position;
    size_t len;
    struct env_file *file;     /* owned reference */
    struct segment_cold *cold; /* NULL: it may wait */
    int reads;
    uint8_t data[4096];
};
void segment_window_init(struct segment_window *w, struct segment_cold *cold);
void segment_window_fini(struct segment_window *w);
MUST_USE enum err segment_header(
    struct log_segment *seg, struct segment_window *w, int64_t position, struct batch_view *out);

/* The first batch whose last offset is >= offset, walking on from `hint` (a batch's position with
 * only lower offsets before it; -1: by index). RANGE when there is none. */
MUST_USE enum err segment_find(struct log_segment *seg, struct segment_window *w, int64_t offset,
    int64_t hint, struct batch_view *batch, int64_t *position);
/* The end of the longest run of whole batches that begins at `position` (of batch `first`, which is
 * in), ends at or below position_max and has base offsets below bound_offset. */
MUST_USE enum err segment_run_end(struct log_segment *seg, struct segment_window *w,
    int64_t position, const struct batch_view *first, int64_t position_max, int64_t bound_offset,
    int64_t *end_position, int64_t *end_offset);
/* Next offset after the last batch (the base offset when empty). */
MUST_USE enum err segment_end_offset(struct log_segment *seg, int64_t *out);
/* Largest timestamp (-1 none) and the last offset of its batch. */
MUST_USE enum err segment_max_timestamp(
    struct log_segment *seg, int64_t *timestamp, int64_t *offset);
MUST_USE enum err segment_first_timestamp(struct log_segment *seg, int64_t *timestamp);
/* An offset at or below which no record has a timestamp >= target_ms, by the time index. */
MUST_USE enum err segment_time_floor(struct log_segment *seg, int64_t target_ms, int64_t *offset);

/* ---- scanning whole batches ---- */

struct segment_scan {
    struct log_segment *seg;
    struct env_file *file; /* owned reference */
    uint8_t *chunk;        /* owned */
    size_t chunk_len, chunk_capacity;
    int64_t chunk_position;
    int64_t position;          /* of the next batch */
    int64_t end;               /* stops here */
    struct segment_cold *cold; /* NULL: it may wait, and reads ahead */
};
MUST_USE enum err segment_scan_begin(
    struct segment_scan *scan, struct log_segment *seg, int64_t position);
/* The next batch, whole, and its position. RANGE at the clean end; TRUNCATED: what is left is too
 * short for the batch it begins; CORRUPT: no batch. The checksum is the caller's business. */
MUST_USE enum err segment_scan_next(
    struct segment_scan *scan, struct batch_view *batch, int64_t *position);
void segment_scan_end(struct segment_scan *scan);

/* Rebuilds both indexes from the data (headers only), as far as batches can be read. */
MUST_USE enum err segment_rebuild_indexes(struct log_segment *seg);
/* Cuts both indexes to what can be trusted after an unclean stop: a growing prefix of entries up to
 * offset, whose last one points at the batch it names. Gives where scanning must begin. */
MUST_USE enum err segment_trust_indexes(
    struct log_segment *seg, int64_t offset, int64_t *scan_position);

/* ---- checking what is read (segment_sound.c) ---- */

struct segment_check_opts {
    int64_t position;          /* where a batch begins */
    int64_t position_max;      /* above it; where one ends */
    int64_t bound_offset;      /* only batches that begin below it */
    struct segment_cold *cold; /* NULL: it may wait */
};
/* Checks the checksums of a run unless that was done since the segment was opened, and shortens the
 * run to what is sound, or to what may be checked at once. CORRUPT: not even its first batch is. */
MUST_USE enum err segment_check(struct log_segment *seg, const struct segment_check_opts *opts,
    int64_t *end_position, int64_t *end_offset);
/* The first sound batch whose last offset is >= offset, whatever stands before it; headers only.
 * RANGE when there is none. Slow. */
MUST_USE enum err segment_find_sound(
    struct log_segment *seg, int64_t offset, struct batch_view *batch, int64_t *position);
/* Where in `in`, at any byte, a whole batch begins with a good checksum and an offset that could
 * follow; in.len when there is none. */
size_t segment_next_sound(struct bytes in, int64_t offset_next);

enum segment_damage {
    SEGMENT_DAMAGE_TORN,    /* what a write that was never synced leaves behind */
    SEGMENT_DAMAGE_CORRUPT, /* what such a write cannot explain */
};
/* A lost sector of which the batch at `position` had a single bit leaves what that bit rotting
 * leaves; either way the checksum says what stood there. Puts it back; *restored when it did. */
MUST_USE enum err segment_restore_bit(
    struct log_segment *seg, int64_t position, int64_t offset_next, bool *restored);
/* Looks at the bytes from `position` on, where no valid batch with offset >= offset_next begins. */
MUST_USE enum err segment_classify(
    struct log_segment *seg, int64_t position, int64_t offset_next, enum segment_damage *damage);

/* ---- indexes (segment_index.c) ---- */

void segment_index_init(struct segment_index_state *idx);
void segment_index_fini(struct log_segment *seg, enum segment_index which);
/* Opens and checks the file; rebuilds it when it is missing or implausible. */
MUST_USE enum err segment_index_load(struct log_segment *seg, enum segment_index which);
/* Begins an empty index without looking at a file. */
void segment_index_start(struct log_segment *seg, enum segment_index which);
/* Makes the offset index's file, empty, for a segment without batches: Kafka takes a segment
 * without one for damaged (it does not ask for the time index). On a full disk there is none, no
 * error. */
MUST_USE enum err segment_index_create(struct log_segment *seg);
MUST_USE enum err segment_index_append(
    struct log_segment *seg, enum segment_index which, const uint8_t *entry);
MUST_USE enum err segment_index_write_tail(struct log_segment *seg, enum segment_index which);
MUST_USE enum err segment_index_truncate(
    struct log_segment *seg, enum segment_index which, uint32_t count);
/* For a recovery that makes the entries from `count` on again: the file keeps them meanwhile. */
MUST_USE enum err segment_index_remake(
    struct log_segment *seg, enum segment_index which, uint32_t count);
/* The recovery of the segment is over: what was made again as it was needs no write. */
MUST_USE enum err segment_index_remade(struct log_segment *seg, enum segment_index which);
uint32_t segment_index_entry_size(enum segment_index which);
uint32_t segment_index_count_max(const struct log_segment *seg, enum segment_index which);
/* One entry, n < count. */
MUST_USE enum err segment_index_get(struct log_segment *seg, enum segment_index which, uint32_t n,
    struct segment_cold *cold, uint8_t *entry);

enum segment_index_key {
    SEGMENT_KEY_OFFSET,      /* offset index: relative offset */
    SEGMENT_KEY_POSITION,    /* offset index: position */
    SEGMENT_KEY_TIME,        /* time index: timestamp */
    SEGMENT_KEY_TIME_OFFSET, /* time index: relative offset */
};
int64_t segment_index_key_of(enum segment_index_key key, const uint8_t *entry);
/* The last entry with key <= target: its number in *n (-1: none) and itself. */
MUST_USE enum err segment_index_floor(struct log_segment *seg, enum segment_index_key key,
    int64_t target, struct segment_cold *cold, int64_t *n, uint8_t *entry);

/* ---- the transaction index (txn_index.c) ---- */

enum { TXN_INDEX_ENTRY_SIZE = 34 };

struct txn_index_entry {
    int64_t producer_id;
    int64_t first_offset;
    int64_t last_offset;
    int64_t last_stable_offset;
};

MUST_USE enum err txn_index_append(struct log_segment *seg, const struct txn_index_entry *entry);
/* In file order; fn returning false stops. CORRUPT for a file that is no such index. */
MUST_USE enum err txn_index_each(
    struct log_segment *seg, bool (*fn)(void *ctx, const struct txn_index_entry *entry), void *ctx);
/* Drops entries whose last offset is >= offset. */
MUST_USE enum err txn_index_truncate(struct log_segment *seg, int64_t offset);

#endif
