/* log/log_priv.h - the body of a log, for its own files and their tests. */
#ifndef LOG_LOG_PRIV_H
#define LOG_LOG_PRIV_H

#include <stdatomic.h>

#include "log/epoch_cache.h"
#include "log/log.h"
#include "log/log_host.h"
#include "log/producer_state.h"
#include "log/segment.h"

/* Where readers and appends were last: the batch that begins at or covers `offset`. */
enum { LOG_CURSORS_READ = 4, LOG_CURSORS_APPEND = 4, LOG_CURSORS = 8 };

struct log_cursor {
    int64_t offset; /* -1: unused */
    int64_t segment_base;
    int64_t position;
};

/* Names of files that Kafka ignores. */
#define LOG_CORRUPT_FILE "moldau-corrupt"
#define LOG_UNSYNCED_FILE "moldau-unsynced" /* see log_fail */
#define LOG_EPOCH_FILE "leader-epoch-checkpoint"
#define LOG_METADATA_FILE "partition.metadata"

struct log {
    /* Fixed at open. */
    struct env *env;
    struct log_host *host;
    bool host_owned;
    char *topic; /* owned */
    int32_t partition;
    struct segment_home home; /* home.dir owned */
    int64_t producer_expiration_ms;

    /* Partition lock. */
    struct log_config config;
    struct uuid topic_id;
    struct log_segment **segments; /* owned; by base offset; at least one once open */
    int32_t segment_count, segment_capacity;
    struct epoch_cache epochs;
    struct producer_state *producers; /* owned; NULL until somebody asks */
    int64_t *snapshots;               /* owned; offsets of the snapshot files, growing */
    int32_t snapshot_count, snapshot_capacity;
    bool clean; /* opened without recovery: no snapshot means no producers */
    int64_t corrupt_offset;
    int64_t durable_end; /* with CORRUPT: what was known to be durable and committed */
    int64_t
        txn_rebuild_from; /* recovery: aborted transactions that end here or later are indexed */
    int64_t damaged_from, damaged_to; /* offsets that were looked for last and cannot be read */
    int64_t roll_jitter_ms;
    int64_t flushed_ms; /* monotonic, of the last flush */
    uint64_t truncations;
    uint64_t name_number; /* with parent_dirty: host->names_made when it was made */
    bool dir_dirty, parent_dirty, metadata_dirty; /* not synced yet */
    bool flushing;
    bool unsettled;    /* log_manager_settle has something to sync */
    bool epochs_aside; /* log_settle.c: written, but under another name */
    bool was_unsynced; /* the marker of a failed sync goes once all is durable */
    /* What a flush made durable, in the journal or in the segments: the end of it in the segment
     * that was active then. */
    int64_t durable_offset, durable_segment, durable_position;
    int64_t size_noted;   /* when the recovery point rose last */
    uint64_t journal_lap; /* the oldest lap of the journal that is needed; 0: none */
    struct log_cursor cursors[LOG_CURSORS];
    int cursor_next_read, cursor_next_append;

    /* Written under the lock, read by anyone. */
    _Atomic int state;
    _Atomic int64_t start_offset;
    _Atomic int64_t end_offset;
    _Atomic int64_t recovery_point;
    _Atomic int64_t high_watermark;
    _Atomic int64_t size_bytes;
    _Atomic int64_t cleaned_end; /* the first offset the cleaner has not been at; -1: never */
    _Atomic bool uncleanable;    /* the cleaner met what it cannot read */
};

static inline struct log_segment *
log_active(const struct log *log)
{
    return log->segments[log->segment_count - 1];
}

/* I1-I4 of log.c. */
void log_check(const struct log *log);
/* OK when it may be changed. */
MUST_USE enum err log_writable(const struct log *log);
/* Takes it out of service, and its directory; gives err back, or ERR_FAILED when the directory was
 * out of service before. */
enum err log_fail(struct log *log, enum err err);
/* The error as a failure of the log unless it is only NOMEM or the like. */
enum err log_judge(struct log *log, enum err err);
bool log_file_in(const struct log *log, char out[LOG_PATH_MAX], const char *name);
/* Number of the last segment with base <= offset; -1 when all are above. */
int32_t log_segment_floor(const struct log *log, int64_t offset);
MUST_USE enum err log_segment_push(struct log *log, struct log_segment *seg);
MUST_USE enum err log_segment_add_new(struct log *log, int64_t base_offset);
/* Marks the files of segments [first, first + count) deleted and forgets them. */
MUST_USE enum err log_segments_remove(struct log *log, int32_t first, int32_t count);
/* Of a file that was renamed to .deleted; ctx is the log. */
void log_file_gone(void *ctx, const char *path);
void log_cursor_note(struct log *log, bool append, int64_t offset, int64_t base, int64_t position);
/* Position to walk on from for `offset` in that segment; -1: ask the index. */
int64_t log_cursor_hint(const struct log *log, const struct log_segment *seg, int64_t offset);
void log_cursors_clear(struct log *log);
MUST_USE enum err log_roll_at(struct log *log, int64_t base_offset);
/* The end of segment i: the next one's base, or the log end. */
int64_t log_segment_end(const struct log *log, int32_t i);
/* Everything there is now is durable, in the segments. */
void log_durable_reset(struct log *log);
/* The journal's copies are not needed any more: the segments are synced, or the log is gone. */
void log_journal_let_go(struct log *log);
void log_set_start(struct log *log, int64_t start_offset);

/* What a checkpoint says of the log may have changed. */
static inline void
log_changed(struct log *log)
{
    /* The number was stored before: whoever clears the bits then reads it, or sees them set. */
    atomic_thread_fence(memory_order_seq_cst);
    if (atomic_load_explicit(&log->host->stale, memory_order_relaxed) != LOG_HOST_STALE_ALL)
        atomic_store_explicit(&log->host->stale, LOG_HOST_STALE_ALL, memory_order_relaxed);
}

/* ---- log_producers.c ---- */

MUST_USE enum err log_producers_load(struct log *log); /* no-op when loaded */
MUST_USE enum err log_snapshot_note(struct log *log, int64_t offset);
/* Writes `<offset>.snapshot` when it says more than the last one. */
MUST_USE enum err log_snapshot_write(struct log *log, int64_t offset);
/* Unlinks those above offset, and forgets the loaded state. */
MUST_USE enum err log_producers_truncate(struct log *log, int64_t offset);
void log_snapshot_forget(struct log *log, int64_t offset);

/* ---- log_recover.c ---- */

struct log_recover_opts {
    int64_t recovery_point; /* as checkpointed */
    int64_t high_watermark; /* the same */
    int64_t durable_end;    /* what is known to be durable and committed */
    int64_t cleaned_end;    /* see log_open_opts */
    bool gaps_are_losses;   /* the same */
};

/* After the segments were found. Sets the end offset. */
MUST_USE enum err log_recover(struct log *log, const struct log_recover_opts *opts);
void log_mark_corrupt(struct log *log, int64_t offset, int64_t durable_end, const char *why);
/* False when there is no marker. */
bool log_corrupt_marker_read(struct log *log, int64_t *durable_end);
MUST_USE enum err log_corrupt_marker_clear(struct log *log);
/* Fills the epoch cache from the headers of all batches. */
MUST_USE enum err log_epochs_rebuild(struct log *log);

/* Once everything is durable. */
MUST_USE enum err log_unsynced_marker_clear(struct log *log);

/* ---- log_open.c ---- */

/* The first half of log_close: all is written; *dirty when something is not durable yet. */
MUST_USE enum err log_close_begin(struct log *log, bool *dirty);
/* The second half for one log by itself. */
MUST_USE enum err log_close_sync(struct log *log);

/* Removes data files whose base offset is above the last segment's: those that CORRUPT hid. */
MUST_USE enum err log_remove_hidden(struct log *log);

#endif
