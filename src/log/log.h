/* log/log.h - the log of one partition: segments, indexes, producers and leader epochs in one
 * directory, in Apache Kafka's format.
 *
 * States: OPEN; CORRUPT (damage in data that had been durable: everything below corrupt_offset is
 * served, appends are refused, nothing is truncated until log_truncate says so); FAILED (a write or
 * sync failed: no append and no flush succeeds any more; reads do their best).
 *
 * Threads: every function needs the partition's lock, except those that say "no lock". Functions
 * may read and write files; what may wait long for the disk says so.
 *
 * Errors: FAILED out of service; CORRUPT; IO, NOSPACE from the disk; NOMEM. NOSPACE on append
 * leaves the log as it was and usable. */
#ifndef LOG_LOG_H
#define LOG_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/attr.h"
#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"
#include "base/uuid.h"
#include "log/log_config.h"
#include "log/reject.h"
#include "log/validate.h"
#include "os/env.h"

struct log;
struct log_journal;

/* ---- what it is; no lock for those marked so ---- */

struct str log_topic(const struct log *log);          /* no lock; lives as long as the log */
int32_t log_partition(const struct log *log);         /* no lock */
const char *log_dir_path(const struct log *log);      /* the partition's directory */
const char *log_parent_dir(const struct log *log);    /* no lock; the entry of log.dirs */
struct uuid log_parent_dir_id(const struct log *log); /* no lock; its directory.id */
/* From partition.metadata; zero when there is none yet. */
struct uuid log_topic_id(const struct log *log);
/* Writes partition.metadata when the log has no id. WRONG_STATE when it has another one. */
MUST_USE enum err log_set_topic_id(struct log *log, struct uuid topic_id);

enum log_state { LOG_OPEN, LOG_CORRUPT, LOG_FAILED };
enum log_state log_state(const struct log *log);   /* no lock; FAILED also when its dir failed */
int64_t log_corrupt_offset(const struct log *log); /* -1 unless CORRUPT */

int64_t log_start_offset(const struct log *log); /* no lock */
int64_t log_end_offset(const struct log *log);   /* no lock; of the next record */
/* Everything below is on the disk: in the segments (no lock), or there or in the journal. */
int64_t log_recovery_point(const struct log *log);
int64_t log_durable_offset(const struct log *log);
/* The high watermark as last set; at open the checkpointed one (within start and end). No lock. */
int64_t log_high_watermark(const struct log *log);
/* Retention, producer state and checkpoints go by it. Clamped to [start, end]. */
void log_set_high_watermark(struct log *log, int64_t high_watermark);
/* min(high watermark, first unstable offset). */
int64_t log_last_stable_offset(const struct log *log);
int64_t log_size_bytes(const struct log *log); /* no lock */
/* Where the cleaner goes on; -1: it never was here. No lock. */
int64_t log_cleaned_end(const struct log *log);
int32_t log_segment_count(const struct log *log);
struct log_config log_get_config(const struct log *log);
void log_set_config(struct log *log, const struct log_config *config);

/* ---- append ---- */

struct log_append_opts {
    enum log_origin origin;
    int32_t leader_epoch; /* >= 0, stamped into every batch */
    /* The caller's validation memory; one per thread. Required. */
    struct log_validator *validator;
    bool batches_many;         /* else exactly one batch, as in Produce */
    int16_t txn_version;       /* of markers; PRODUCER_TXN_UNKNOWN (-1) otherwise */
    bool epoch_bump_supported; /* see producer_append_opts */
    int32_t sequence_lowest;   /* see producer_append_opts; -1: none */
    size_t check_max;          /* see log_validate_opts: log_append_check may say ERR_AGAIN */
};

struct log_append_result {
    enum log_reject reject; /* NONE: appended; DUPLICATE: first/last_offset are the old ones */
    const char *what;       /* static text why refused, never NULL */
    const struct log_record_error *errors; /* the validator's, until its next use */
    int32_t error_count;
    int32_t error_total;
    int64_t first_offset; /* -1 when nothing was appended */
    int64_t last_offset;
    int64_t log_append_ms; /* -1 under CreateTime */
    int64_t log_start_offset;
    int32_t last_leader_epoch;
    bool rolled; /* a new segment was begun */
};

/* A leader's append: checks, stamps offsets and epoch into `batches`, writes once. ERR_OK with
 * result->reject set is a refusal. Not acknowledged data until flushed: see flush. */
MUST_USE enum err log_append(struct log *log, uint8_t *batches, size_t len,
    const struct log_append_opts *opts, struct log_append_result *result);
/* The same in two steps, to do the checks (checksums, decompression) without the lock: first with
 * a copy of the log's config, no lock; then, unless refused, the rest. */
MUST_USE enum err log_append_check(const struct log_config *config, int64_t wall_ms,
    uint8_t *batches, size_t len, const struct log_append_opts *opts,
    struct log_validate_result *checked);
MUST_USE enum err log_append_checked(struct log *log, struct log_validate_result *checked,
    const struct log_append_opts *opts, struct log_append_result *result);

/* A follower's append of what its leader sent: offsets and epochs are kept; batches above epoch_max
 * are left out (pass INT32_MAX for all). last_offset -1 when nothing was left to append. */
MUST_USE enum err log_append_follower(struct log *log, uint8_t *batches, size_t len,
    int32_t epoch_max, struct log_append_result *result);

/* ---- read ---- */

/* Bytes of one segment file. The holder of a slice owns the reference (env_file_close). */
struct log_slice {
    struct env_file *file; /* NULL: empty */
    int64_t position;
    size_t len;
    int64_t first_offset; /* base offset of the first batch; may be below the one asked for */
    int64_t end_offset;   /* nothing at or above this is in the slice: bound of aborted txns */
    int32_t first_epoch;  /* leader epoch of the first batch */
};

struct log_read_opts {
    int64_t offset;
    int64_t bound_offset; /* only batches that begin below it: HW, LSO or LEO */
    size_t max_bytes;
    bool min_one; /* a whole first batch even above max_bytes */
    bool nowait;  /* AGAIN rather than wait for the disk */
};

/* Whole batches from the one that holds `offset` on, as many as fit. Empty (OK) at or above the
 * bound. RANGE below the log start or above the log end; CORRUPT at or above the corrupt offset.
 * AGAIN: the slice is what must be read in first, of any file; none where that cannot be said. */
MUST_USE enum err log_read(
    struct log *log, const struct log_read_opts *opts, struct log_slice *slice);

struct log_aborted_txn {
    int64_t producer_id;
    int64_t first_offset;
};

/* Aborted transactions with data in [start, end), in the arena. */
MUST_USE enum err log_aborted_txns(struct log *log, int64_t start_offset, int64_t end_offset,
    struct arena *arena, struct log_aborted_txn **txns, int32_t *count);

/* ---- offsets ---- */

struct log_time_offset {
    int64_t offset; /* -1: none */
    int64_t timestamp;
    int32_t leader_epoch; /* -1: unknown */
};

/* A batch that may hold the record that is looked for. */
struct log_time_batch {
    struct env_file *file; /* the holder's reference; NULL: there is none */
    int64_t position;
    size_t size_bytes;
    int64_t target_ms;
    int64_t offset_min;  /* records below are not meant */
    int64_t next_offset; /* where to go on when it is not in there */
};

/* In two steps, because the second reads and unpacks a whole batch and needs no lock. The first:
 * the next batch with offsets from from_offset and the log start on that may hold a record with a
 * timestamp >= target. May wait for the disk: indexes and headers. */
MUST_USE enum err log_time_find(
    struct log *log, int64_t target_ms, int64_t from_offset, struct log_time_batch *out);
/* The batch of the record with the largest timestamp (ListOffsets -3). */
MUST_USE enum err log_time_find_max(struct log *log, struct log_time_batch *out);
/* The second, on any thread, with file not NULL: the first such record in it, offset -1 when there
 * is none. The reference stays the caller's. */
MUST_USE enum err log_time_look(const struct log_time_batch *batch, struct log_time_offset *out);
/* All of it: the first record at or after the log start with a timestamp >= target. */
MUST_USE enum err log_offset_for_time(
    struct log *log, int64_t target_ms, struct log_time_offset *out);
/* The record with the largest timestamp. */
MUST_USE enum err log_offset_for_max_timestamp(struct log *log, struct log_time_offset *out);

/* ---- leader epochs ---- */

int32_t log_latest_epoch(const struct log *log); /* -1: none */
/* A new leader epoch begins at `offset` (its log end); not above the latest: nothing happens. */
MUST_USE enum err log_epoch_assign(struct log *log, int32_t epoch, int64_t offset);
/* OffsetForLeaderEpoch: the largest epoch <= asked and where it ends; -1/-1 when unknown. */
void log_epoch_end(const struct log *log, int32_t epoch_asked, int32_t *epoch, int64_t *end_offset);
/* The epoch that `offset` was, or is to be, written under; -1 unknown. */
int32_t log_epoch_for_offset(const struct log *log, int64_t offset);

/* ---- flush: group commit in three steps ----
 * begin (lock), run (no lock, on the I/O pool), end (lock). Everything appended before begin is
 * durable after an end that returned OK. At most one between begin and end at a time. */

enum { LOG_FLUSH_FILES_INLINE = 4 };

struct log_flush_file {
    struct env_file *file; /* owned reference */
    void *segment;         /* whose; compared, never followed */
    int64_t size_bytes;
};

struct log_flush {
    struct log_flush_file inline_files[LOG_FLUSH_FILES_INLINE];
    struct log_flush_file *files; /* inline_files, or owned */
    int file_count, file_capacity;
    int64_t offset;                   /* log end at begin */
    int64_t active_base, active_size; /* the active segment and its size at begin */
    /* Through the journal: the active segment's bytes from here to active_size. */
    bool journaled;
    int64_t journal_position;
    struct uuid topic_id;
    uint64_t truncations; /* of the log at begin */
    struct env *env;
    char *dir_path;      /* owned; NULL: no directory to sync */
    char *parent_path;   /* owned; NULL: not to sync */
    uint64_t names_made; /* in the parent at begin */
    char *epochs_path;   /* owned; NULL: epochs are written */
    char *epochs;        /* owned text */
    size_t epochs_len;
    uint64_t epochs_version;
    bool metadata_sync; /* partition.metadata is new */
};

/* True when there is something to flush. NOMEM leaves nothing to clean up. */
bool log_flush_needed(const struct log *log);
MUST_USE enum err log_flush_begin(struct log *log, struct log_flush *flush);
MUST_USE enum err log_flush_run(struct log_flush *flush); /* no lock */
/* Takes run's result; an error fails the log (and its dir), but for LIMIT: there was no descriptor,
 * or no room for the epochs, and another flush does it. Frees what flush holds. */
MUST_USE enum err log_flush_end(struct log *log, struct log_flush *flush, enum err result);
/* Instead of end, when the log is gone or failed meanwhile. */
void log_flush_abandon(struct log_flush *flush);
/* The same by way of the directory's journal (log/journal.h), for a little that is new in the
 * active segment and nothing else; LIMIT: not so, or the journal is full. Instead of run: collect
 * (no lock), which appends the bytes to what the journal will write. Then end, with the lap. */
bool log_flush_may_journal(const struct log *log);
MUST_USE enum err log_flush_begin_journal(struct log *log, struct log_flush *flush);
MUST_USE enum err log_flush_collect(
    const struct log_flush *flush, struct str topic, int32_t partition, struct buf *out);
MUST_USE enum err log_flush_end_journal(
    struct log *log, struct log_flush *flush, enum err result, uint64_t lap);
/* NULL when there is none. No lock. */
struct log_journal *log_journal_of(const struct log *log);
/* True when only the journal has some of what was acknowledged. */
bool log_needs_journal(const struct log *log);
/* All three; may wait for the disk. */
MUST_USE enum err log_flush_now(struct log *log);
/* True when flush.messages or flush.ms asks for one. */
bool log_flush_due(const struct log *log);

/* ---- changes ---- */

/* Removes everything at and above `offset` (a batch that straddles it goes wholly). Lowers the high
 * watermark with it. Ends CORRUPT when offset <= corrupt_offset. Not above the end: no-op. */
MUST_USE enum err log_truncate(struct log *log, int64_t offset);
/* Throws all away and starts at `offset`. */
MUST_USE enum err log_truncate_fully(struct log *log, int64_t offset);
/* DeleteRecords, or a leader's new log start: moves the log start up to `offset` (<= high watermark
 * for leaders: caller's check; RANGE above the log end). Lower: no-op. */
MUST_USE enum err log_start_advance(struct log *log, int64_t offset);
/* Deletes segments by log start, retention.ms and retention.bytes; never above the high watermark;
 * rolls an active segment that is over age. *deleted counts segments. */
MUST_USE enum err log_retain(struct log *log, int32_t *deleted);
/* Begins a new segment at the log end (no-op when the active one is empty). */
MUST_USE enum err log_roll(struct log *log);

/* ---- producers ---- */

struct log_producer_info {
    int64_t producer_id;
    int32_t producer_epoch;
    int32_t last_sequence;
    int64_t last_timestamp;
    int32_t coordinator_epoch;
    int64_t txn_first_offset; /* -1: none open */
};

void log_producers(
    struct log *log, void (*fn)(void *ctx, const struct log_producer_info *info), void *ctx);
/* How many are known; 0 also when nobody needed to know since the log was opened. */
int32_t log_producer_count(const struct log *log);
/* True and the entry when known. */
bool log_producer_find(const struct log *log, int64_t producer_id, struct log_producer_info *out);
void log_producers_expire(struct log *log, int64_t wall_ms);
void log_producers_set_expiration(struct log *log, int64_t expiration_ms);

/* ---- opening by itself (tests, tools; nodes go through log/log_manager.h) ---- */

struct log_open_opts {
    struct env *env;
    const char *parent_dir;
    struct str topic;
    int32_t partition;
    const struct log_config *config;
    bool clean;             /* closed cleanly: data is not checked */
    int64_t recovery_point; /* checkpointed; 0 when unknown */
    int64_t start_offset;   /* checkpointed; 0 when unknown */
    int64_t high_watermark; /* checkpointed; 0 when unknown */
    int64_t cleaned_end;    /* compacted up to here, as the cleaner noted; 0 */
    /* Every segment above the recovery point was begun by this module: where one begins above the
     * end of the one before, something was lost. */
    bool gaps_are_losses;
    /* What recovery found is not synced before log_open returns: log_manager_settle does that for
     * many logs at once, before anybody may read them. */
    bool settle_later;
    int64_t producer_expiration_ms; /* 0: Kafka's default, one day */
    struct log_host *host;          /* NULL: none; process lifetime (log/log_host.h) */
};

/* Opens, recovers, or creates the directory `<topic>-<partition>`. Damage to durable data is not an
 * error here: look at log_state. */
MUST_USE enum err log_open(const struct log_open_opts *opts, struct log **out);
/* Flushes, trims the indexes, writes the producer snapshot and epochs. The log is freed whatever
 * comes out; OK means that a clean marker may be written. */
MUST_USE enum err log_close(struct log **log);
/* Frees without touching the disk: after a crash or a failure. */
void log_abandon(struct log **log);

#endif
