/* coord/runtime.h - one coordinator runtime: shards of replicated state, each the fold of its log.
 *
 * A shard stands on one partition of an internal topic. A machine (group/, later txn/ and share/)
 * gives it meaning: the machine applies records and answers requests; the runtime loads the log,
 * batches what operations write, holds every reply back until what it rests on is committed, and
 * keeps timers. Nothing is shared between shards, so a runtime is simply its shards.
 *
 * There is no rollback. An operation adds its records (coord_shard_add), hands them over
 * (coord_shard_submit, which refuses before anything changed) and then changes the state at once.
 * When state and log may differ (an append failed, memory ran out half-way) the shard is doomed:
 * all who wait are told to come again and the adapter loads the shard anew from its log.
 *
 * Threads: none of its own. The caller holds the shard's lock in every call, and says what time it
 * is (coord_shard_enter) before it operates. Callbacks (coord_reply.done) run inside, with that
 * lock held: they post, and do not call back. */
#ifndef COORD_RUNTIME_H
#define COORD_RUNTIME_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/bytes.h"
#include "base/err.h"
#include "base/heap.h"
#include "base/list.h"
#include "proto/error_codes.h"

struct coord_shard;

/* ---- replies ---- */

/* Somebody who waits for an answer; embedded in the caller's memory, which lives until `done`. */
struct coord_reply {
    struct list link;     /* the runtime's, or a machine's while it parks the reply */
    struct arena *arena;  /* what the response is made of; nobody else uses it until done */
    int64_t offset;       /* due when the log is committed past this; the runtime's */
    int64_t deadline_ms;  /* the runtime's */
    enum proto_error err; /* NONE: the response stands; otherwise this is the whole answer */
    void (*done)(struct coord_reply *reply); /* once; takes no lock ranked below PARTITION */
};

void coord_reply_init(
    struct coord_reply *reply, struct arena *arena, void (*done)(struct coord_reply *reply));

/* ---- timers ---- */

struct coord_timer {
    struct heap_node node;
    void (*fire)(void *machine, struct coord_timer *timer);
};

void coord_timer_init(
    struct coord_timer *timer, void (*fire)(void *machine, struct coord_timer *timer));

/* ---- what a machine provides ---- */

/* One record of the log. value NULL: a tombstone. */
struct coord_record {
    int64_t offset; /* -1 while the record is on its way to the log */
    int64_t timestamp_ms;
    int64_t producer_id; /* -1 unless transactional */
    int16_t producer_epoch;
    struct bytes key;
    struct bytes value;
};

struct coord_machine_ops {
    /* Empty state of a shard; ctx is the opts' machine_ctx. */
    enum err (*create)(void *ctx, struct coord_shard *shard, void **machine);
    void (*destroy)(void *machine);
    /* Applies a record: while loading, and live for what the machine submits with apply. NOMEM
     * dooms or fails the load; records that make no sense are skipped (OK). */
    enum err (*apply)(void *machine, const struct coord_record *record);
    /* A transaction of producer_id ended in this partition. */
    enum err (*end_txn)(void *machine, int64_t producer_id, bool committed);
    /* All of the log is applied: start timers. */
    void (*loaded)(void *machine);
    /* The shard goes away: answer everybody who is parked with this error. */
    void (*unload)(void *machine, enum proto_error why);

    /* For cleaning (clean.c); copy_step NULL: the log is never cleaned. */
    /* About how long the live state is as records. */
    size_t (*live_bytes)(const void *machine);
    /* A copy of the live state begins, of all that has no record at or above `start`. Gives the
     * lowest offset that pending transactions need; INT64_MAX: none. */
    int64_t (*copy_begin)(void *machine, int64_t start);
    /* Submits the next records of the copy, about bytes_max of them; *more: call again. What cannot
     * be copied lowers *hold to where it stands in the log. NOMEM: later, from the beginning. */
    enum err (*copy_step)(void *machine, size_t bytes_max, int64_t *hold, bool *more);
};

/* ---- what the caller provides ---- */

struct coord_log_ops {
    /* Appends sealed batches (offsets and epoch are patched in place) to the shard's partition,
     * under the epoch it was loaded for. NONE sets *last_offset. With the shard's lock held. */
    enum proto_error (*append)(
        void *ctx, struct coord_shard *shard, uint8_t *batches, size_t len, int64_t *last_offset);
    /* For cleaning; both NULL: the log is never cleaned. A new segment begins at the log end,
     * which is *end_offset. */
    enum proto_error (*roll)(void *ctx, struct coord_shard *shard, int64_t *end_offset);
    /* Everything below `offset` may go, now or later, if all below `needed` is on the disk. False:
     * it is not yet. Committed are both. */
    bool (*trim)(void *ctx, struct coord_shard *shard, int64_t offset, int64_t needed);
    /* Cryptographic, for member ids. */
    void (*random)(void *ctx, void *out, size_t len);
};

struct coord_shard_opts {
    int32_t index;            /* partition of the internal topic */
    size_t batch_size_max;    /* of one batch, message.max.bytes of the topic */
    int64_t write_timeout_ms; /* offsets.commit.timeout.ms */
    int64_t clean_growth_min; /* bytes the log must have grown to be cleaned; 0: never */
    const struct coord_machine_ops *machine;
    void *machine_ctx;
    const struct coord_log_ops *log;
    void *log_ctx;
};

/* ---- life ----
 *
 *              load_begin              load_end
 *   UNLOADED ------------> LOADING --------------> ACTIVE
 *      ^                      |                      |
 *      +------- unload -------+------- unload -------+
 */
enum coord_shard_state { COORD_SHARD_UNLOADED, COORD_SHARD_LOADING, COORD_SHARD_ACTIVE };

MUST_USE enum err coord_shard_new(const struct coord_shard_opts *opts, struct coord_shard **out);
void coord_shard_free(struct coord_shard **shard); /* must be unloaded */

enum coord_shard_state coord_shard_state(const struct coord_shard *shard);
int32_t coord_shard_index(const struct coord_shard *shard);
size_t coord_shard_batch_size_max(const struct coord_shard *shard);
int32_t coord_shard_leader_epoch(const struct coord_shard *shard);
/* NONE when active, COORDINATOR_LOAD_IN_PROGRESS, or NOT_COORDINATOR. */
enum proto_error coord_shard_ready(const struct coord_shard *shard);
/* The machine's state; NULL unless loading or active. */
void *coord_shard_machine(const struct coord_shard *shard);

/* The time of what follows: monotonic for deadlines, wall clock for what is written. */
void coord_shard_enter(struct coord_shard *shard, int64_t now_ms, int64_t wall_ms);
int64_t coord_shard_now_ms(const struct coord_shard *shard);
int64_t coord_shard_wall_ms(const struct coord_shard *shard);
void coord_shard_random(struct coord_shard *shard, void *out, size_t len);

MUST_USE enum err coord_shard_load_begin(struct coord_shard *shard, int32_t leader_epoch);
/* Whole batches in the order of the log; may be called many times. *consumed says how much of the
 * bytes were whole batches. CORRUPT or NOMEM: unload. */
MUST_USE enum err coord_shard_load(
    struct coord_shard *shard, struct bytes batches, size_t *consumed);
/* The offset after the last batch loaded, 0 before the first. */
int64_t coord_shard_load_next(const struct coord_shard *shard);
/* The log was applied up to end_offset (exclusive). */
void coord_shard_load_end(struct coord_shard *shard, int64_t end_offset, int64_t high_watermark);
/* Answers everybody with `why` and drops the state. Unloaded already is fine. */
void coord_shard_unload(struct coord_shard *shard, enum proto_error why);

/* Drops the state and whoever waits without a word: their memory may be gone. For a process that
 * died under test. */
void coord_shard_abandon(struct coord_shard *shard);
/* Machines do not touch parked replies then. */
bool coord_shard_is_abandoned(const struct coord_shard *shard);

/* ---- events ---- */

/* The log is committed below high_watermark: releases the replies that waited for it. */
void coord_runtime_committed(struct coord_shard *shard, int64_t high_watermark);
/* A marker of a transaction was appended at `offset` to this partition. */
void coord_runtime_end_txn(
    struct coord_shard *shard, int64_t offset, int64_t producer_id, bool committed);
/* When coord_runtime_tick is due next; INT64_MAX: never. */
int64_t coord_runtime_next_deadline(const struct coord_shard *shard);
/* Fires the timers that are due and fails the writes that took too long (with
 * COORDINATOR_NOT_AVAILABLE; what they wrote stays written). Uses the time of coord_shard_enter. */
void coord_runtime_tick(struct coord_shard *shard);
/* True when coord_shard_flush has something to do; ask before giving the lock back. */
bool coord_shard_needs_flush(const struct coord_shard *shard);
/* Appends what operations submitted. A failed append dooms the shard. False: the shard was doomed
 * and unloaded itself, to be loaded again from its log. */
MUST_USE bool coord_shard_flush(struct coord_shard *shard);

/* The offset of the last record appended, -1 at first; replies up to it wait for the watermark. */
int64_t coord_shard_last_written(const struct coord_shard *shard);
/* The offset that the first waiting reply, or cleaning, wants committed; -1 when none waits. */
int64_t coord_shard_first_waiting(const struct coord_shard *shard);
/* How often the log was cleaned since the shard was loaded. */
int64_t coord_shard_clean_rounds(const struct coord_shard *shard);

/* ---- for machines, during an operation ---- */

/* Queues one record of this operation; the bytes are copied. Failures are latched until submit. */
void coord_shard_add(struct coord_shard *shard, struct bytes key, struct bytes value);
/* The operation cannot say one of its records: submit will refuse with this. */
void coord_shard_add_failed(struct coord_shard *shard, enum err err);
/* Ends the operation's records: all of them go in one batch. LIMIT (more than a batch holds) and
 * NOMEM refuse: nothing happened. With `apply`, the machine's apply is called for each; then
 * failing is no longer possible (it dooms). No records: OK. */
MUST_USE enum err coord_shard_submit(struct coord_shard *shard, bool apply);
/* The same as a batch of a transaction. */
MUST_USE enum err coord_shard_submit_txn(
    struct coord_shard *shard, int64_t producer_id, int16_t producer_epoch);
/* Forgets the records added since the last submit. */
void coord_shard_drop(struct coord_shard *shard);
/* The offset that the first record added since the last submit will have, or one below it. */
int64_t coord_shard_order_next(const struct coord_shard *shard);
/* Bytes added since the last submit. */
size_t coord_shard_added_bytes(const struct coord_shard *shard);

/* The reply is ready: done is called when everything submitted so far is committed; at once when it
 * is. */
void coord_shard_reply(struct coord_shard *shard, struct coord_reply *reply, enum proto_error err);

/* Sets or moves a timer. Running out of memory dooms the shard. */
void coord_shard_timer_set(struct coord_shard *shard, struct coord_timer *timer, int64_t delay_ms);
void coord_shard_timer_stop(struct coord_shard *shard, struct coord_timer *timer);

/* What a shard did since it was made; stays when it is unloaded. For metrics. */
enum coord_count {
    COORD_COUNT_REBALANCES,      /* generations that groups completed */
    COORD_COUNT_OFFSETS_SET,     /* committed, each partition by itself */
    COORD_COUNT_OFFSETS_EXPIRED, /* by retention */
    COORD_COUNT_OFFSETS_DELETED, /* asked for: of offsets, groups, topics */
    COORD_COUNT_KINDS,
};
void coord_shard_count(struct coord_shard *shard, enum coord_count what, uint64_t n);
uint64_t coord_shard_counted(const struct coord_shard *shard, enum coord_count what);

/* State and log may differ from now on. */
void coord_shard_doom(struct coord_shard *shard);
bool coord_shard_is_doomed(const struct coord_shard *shard);

#endif
