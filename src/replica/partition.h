/* replica/partition.h - one replica of a partition: its lock, log, role, high watermark and
 * waiters.
 *
 * Threads: any thread may call; one short mutex (rank PARTITION) inside. References are counted:
 * whoever looked a partition up holds one until replica_partition_unref. An offline, resigned or
 * deleted partition stays valid memory and answers with an error. Errors are Kafka's own, because
 * what a replica says to its role, epoch or offset is protocol output. */
#ifndef REPLICA_PARTITION_H
#define REPLICA_PARTITION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/bytes.h"
#include "base/list.h"
#include "base/uuid.h"
#include "log/log.h"
#include "proto/error_codes.h"

struct replica_partition;

void replica_partition_ref(struct replica_partition *part);
void replica_partition_unref(struct replica_partition **part); /* nulls; the last one frees */

/* Fixed at creation. The name lives as long as the reference. */
struct str replica_partition_topic(const struct replica_partition *part);
struct uuid replica_partition_topic_id(const struct replica_partition *part);
int32_t replica_partition_index(const struct replica_partition *part);

/* ---- what it is now ---- */

struct replica_partition_state {
    bool leader;    /* this node leads it */
    bool offline;   /* its log directory failed, or it is being deleted */
    bool unflushed; /* led, and only our own flush keeps its last records from readers */
    int32_t leader_id;
    int32_t leader_epoch;
    int32_t isr_count;
    int64_t log_start_offset;
    int64_t high_watermark;
    int64_t last_stable_offset;
    int64_t log_end_offset;
    int64_t size_bytes;
    struct uuid dir_id; /* of the log directory; zero when offline */
};
void replica_partition_get_state(
    struct replica_partition *part, struct replica_partition_state *out);

/* ---- waiting ----
 * A waiter is armed on one watermark of one partition and ends in exactly one way: `done` is called
 * once, or replica_partition_cancel returned true.
 *
 * `done` runs on whatever thread moved the watermark, without the partition's lock. That thread may
 * hold a coordinator shard's lock, so `done` takes no lock ranked below PARTITION: it posts
 * (broker_req_resume, loop_post) and returns. After `done` returned, replica never touches the
 * waiter again.
 *
 * Cancelling races with being woken, and the race has one arbiter, the partition's lock. True: the
 * waiter was still armed, `done` will never run. False: `done` has run, is running or is about to;
 * the memory belongs to it until it returned. An owner of several waiters therefore counts: one for
 * each armed waiter, minus one in each `done` and for each true cancel; the memory is free at zero
 * (broker/park.c does exactly that). */

enum replica_watermark {
    REPLICA_WATERMARK_HW,  /* consumers, acks=all, coordinators */
    REPLICA_WATERMARK_LSO, /* read_committed consumers */
    REPLICA_WATERMARK_LEO, /* followers */
};
enum { REPLICA_WATERMARK_COUNT = REPLICA_WATERMARK_LEO + 1 };

enum replica_wake {
    REPLICA_WAKE_REACHED,  /* the watermark is at the offset or beyond */
    REPLICA_WAKE_RESIGNED, /* no longer leader, or another epoch: NOT_LEADER_OR_FOLLOWER */
    REPLICA_WAKE_DELETED,  /* its topic is no more: UNKNOWN_TOPIC_OR_PARTITION */
    REPLICA_WAKE_FAILED,   /* the log directory failed: KAFKA_STORAGE_ERROR */
};

struct replica_waiter {
    struct list link; /* replica's */
    enum replica_watermark watermark;
    int64_t offset; /* ends when the watermark is >= this */
    void (*done)(struct replica_waiter *waiter, enum replica_wake why);
    bool armed; /* replica's, under the partition's lock */
};

void replica_waiter_init(struct replica_waiter *waiter, enum replica_watermark watermark,
    int64_t offset, void (*done)(struct replica_waiter *waiter, enum replica_wake why));
/* Arms it and returns true; or returns false with *why when it would end at once (then `done` is
 * not called). leader_epoch is the one the caller saw (RESIGNED when it changed); -1 any. */
bool replica_partition_wait(struct replica_partition *part, int32_t leader_epoch,
    struct replica_waiter *waiter, enum replica_wake *why);
bool replica_partition_cancel(struct replica_partition *part, struct replica_waiter *waiter);

/* ---- appending ---- */

enum replica_origin {
    REPLICA_ORIGIN_CLIENT,      /* Produce: everything is validated */
    REPLICA_ORIGIN_COORDINATOR, /* our own records: control batches allowed */
};

/* One record that was refused. */
struct replica_record_error {
    int32_t index; /* in its batch */
    struct str text;
};

struct replica_append {
    /* in */
    uint8_t *batches; /* mutable: offsets and epoch are patched in place */
    size_t len;
    enum replica_origin origin;
    int16_t acks;         /* -1: refuses when the ISR is too small */
    int32_t leader_epoch; /* the epoch the caller appends under, or -1 for any */
    struct arena *arena;  /* for the details of a refusal */
    /* out; base_offset -1 when nothing was appended */
    int64_t base_offset;
    int64_t last_offset;        /* acks=all is done when HW > last_offset */
    int64_t log_append_time_ms; /* -1 with CreateTime */
    int64_t log_start_offset;   /* -1 unless known */
    int32_t leader_epoch_used;
    bool duplicate;   /* an idempotent retry: the old offsets, nothing written */
    const char *what; /* why it was refused; static text, NULL when there is nothing to add */
    struct replica_record_error *record_errors; /* in the arena */
    int32_t record_error_count;
    /* replica's, between the checks and the commit */
    struct log_append_opts opts;
    struct log_validate_result checked;
};
/* Appends to the leader's log and sees to it that it is flushed (log.ack.flush). The answer to
 * acks=all is due when a waiter for HW >= last_offset + 1 ends. Waiters woken by the append (no
 * flush needed) are called before this returns. */
MUST_USE enum proto_error replica_partition_append(
    struct replica_partition *part, struct replica_append *append);

/* The same in two steps, for reactors. The checks have no effect, take no lock while they run long
 * (unpacking, checksums), and so may run anywhere. An error is the end of the append; without one a
 * commit or a drop must follow, on any thread. With a check_max (LIMIT_CHECK_BRIEF; 0: none)
 * *again is set, with nothing done, when they would take longer: then without, on a pool. */
MUST_USE enum proto_error replica_partition_append_check(
    struct replica_partition *part, struct replica_append *append, size_t check_max, bool *again);
MUST_USE enum proto_error replica_partition_append_commit(
    struct replica_partition *part, struct replica_append *append);
void replica_partition_append_drop(struct replica_partition *part, struct replica_append *append);

/* ---- reading ---- */

enum replica_bound {
    REPLICA_BOUND_HW,  /* read_uncommitted consumers */
    REPLICA_BOUND_LSO, /* read_committed consumers; aborted transactions are reported */
    REPLICA_BOUND_LEO, /* followers and coordinators */
};

struct replica_fetch {
    /* in */
    int64_t offset;
    int32_t leader_epoch;       /* -1: not checked */
    int32_t last_fetched_epoch; /* -1: not checked */
    enum replica_bound bound;
    size_t max_bytes;
    bool min_one; /* a whole first batch even above max_bytes */
    bool nowait;  /* cold rather than wait for the disk */
    struct arena *arena;
    /* out */
    bool cold; /* the slice is no answer, but what must be read in before there can be one */
    int64_t high_watermark;     /* -1 with an error */
    int64_t last_stable_offset; /* -1 with an error */
    int64_t log_start_offset;   /* -1 with an error */
    int64_t bound_offset;       /* nothing at or above this was offered */
    bool unflushed;             /* only our own flush keeps records at the offset from readers */
    int32_t leader_epoch_now;
    bool diverging; /* no records: the reader's history ends at diverging_epoch/_end_offset */
    int32_t diverging_epoch;
    int64_t diverging_end_offset;
    struct log_slice slice;          /* file NULL when empty; the reference is the caller's */
    struct log_aborted_txn *aborted; /* in the arena; NULL unless bound is LSO */
    int32_t aborted_count;
};
MUST_USE enum proto_error replica_partition_fetch(
    struct replica_partition *part, struct replica_fetch *fetch);

/* ---- offsets ---- */

/* The special timestamps of ListOffsets. */
enum {
    REPLICA_TIME_LATEST = -1,
    REPLICA_TIME_EARLIEST = -2,
    REPLICA_TIME_MAX = -3,
    REPLICA_TIME_EARLIEST_LOCAL = -4,
    REPLICA_TIME_LATEST_TIERED = -5,
    REPLICA_TIME_EARLIEST_PENDING_UPLOAD = -6,
};

struct replica_list_offset {
    /* in */
    int64_t timestamp;
    int32_t leader_epoch; /* -1: not checked */
    enum replica_bound bound;
    /* out: -1 each when there is none (not an error) */
    int64_t offset;
    int64_t timestamp_found;
    int32_t epoch;
};
MUST_USE enum proto_error replica_partition_list_offset(
    struct replica_partition *part, struct replica_list_offset *list);
/* It must look into records, and waits for the disk; the partition's lock is free meanwhile. */
bool replica_time_needs_records(int64_t timestamp);

/* The last epoch <= asked and where it ends; -1/-1 when unknown. */
MUST_USE enum proto_error replica_partition_epoch_end(struct replica_partition *part,
    int32_t leader_epoch_current, int32_t epoch_asked, int32_t *epoch, int64_t *end_offset);

/* Moves the log start to offset (-1: the high watermark) and says where it is then. */
MUST_USE enum proto_error replica_partition_delete_records(
    struct replica_partition *part, int64_t offset, int64_t *low_watermark);

/* ---- for a coordinator that keeps its log short itself ---- */

/* Begins a new segment at the log end. Leader under this epoch only. */
MUST_USE enum proto_error replica_partition_roll(
    struct replica_partition *part, int32_t leader_epoch, int64_t *end_offset);

struct replica_trim {
    int64_t offset; /* the log start moves up to it; whatever cleanup.policy is */
    int64_t needed; /* if all below this is committed (else OFFSET_OUT_OF_RANGE) and flushed here */
    int32_t leader_epoch;
};
/* *done false: a flush was asked for, try again. Files go with the next retention. */
MUST_USE enum proto_error replica_partition_trim(
    struct replica_partition *part, const struct replica_trim *trim, bool *done);
/* Retention of this partition now; on the I/O pool. */
void replica_partition_retain(struct replica_partition *part);

/* ---- producers ---- */

/* Calls fn for each active producer, under the lock: fn only copies. Leader only. */
MUST_USE enum proto_error replica_partition_producers(struct replica_partition *part,
    void (*fn)(void *ctx, const struct log_producer_info *info), void *ctx);

#endif
