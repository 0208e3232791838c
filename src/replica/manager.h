/* replica/manager.h - every replica of this node: found by name or id, and kept as the metadata
 * says.
 *
 * Threads: the functions under "for everyone" are for any thread. replica_manager_start, _apply and
 * _stop are called one at a time by whoever delivers metadata (they touch the disk). The duties are
 * for the I/O pool, each at most once at a time. */
#ifndef REPLICA_MANAGER_H
#define REPLICA_MANAGER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "base/uuid.h"
#include "os/env.h"
#include "os/loop.h"
#include "proto/error_codes.h"
#include "replica/cleaner.h"
#include "replica/partition.h"

struct log_manager;
struct meta_config_rules;
struct meta_delta;
struct meta_image;
struct replica_manager;
struct replica_fetch_sessions;
struct replica_producer_ids;

struct replica_manager_events {
    /* This node became leader of the partition under this epoch, or stopped leading it (also when
     * it is deleted or its directory fails). From the thread of start/apply or of the I/O pool; no
     * lock is held. Both may be NULL. */
    void (*led)(void *ctx, struct replica_partition *part, int32_t leader_epoch);
    void (*resigned)(void *ctx, struct replica_partition *part);
    void *ctx;
};

struct replica_manager_opts {
    struct env *env;
    struct log_manager *logs;              /* process lifetime, not owned */
    struct pool *pool;                     /* for flushes; not owned */
    const struct meta_config_rules *rules; /* process lifetime, not owned */
    int32_t node_id;
    bool ack_flush;        /* log.ack.flush: the high watermark covers only flushed bytes */
    int32_t session_slots; /* max.incremental.fetch.session.cache.slots */
    struct replica_cleaner_opts cleaner;
    struct replica_manager_events events;
};

MUST_USE enum err replica_manager_new(
    const struct replica_manager_opts *opts, struct replica_manager **out);
/* Stopped, and the pool gone or idle; the logs are closed by the log manager's owner afterwards. */
void replica_manager_free(struct replica_manager **mgr);

/* Reconciles the opened logs with the first image: logs the image does not place here are renamed
 * -stray, missing ones are created, the others take their role. */
MUST_USE enum err replica_manager_start(
    struct replica_manager *mgr, const struct meta_image *image);
/* Takes every partition of this node from what it is to what `image` says; only the topics that
 * `delta` touches are looked at. Apply here before showing the image to request handlers. A
 * partition that fails is offline and reported; the others go on. */
void replica_manager_apply(
    struct replica_manager *mgr, const struct meta_delta *delta, const struct meta_image *image);
/* Any thread, any lock: a log directory went offline (log_manager_opts.dir_failed). Its partitions
 * are taken out of service soon, on the pool. */
void replica_manager_dir_failed(struct replica_manager *mgr);
/* The node is about to stop: who waits for records that were not appended yet ends now (RESIGNED),
 * and nobody will wait for such again. What was appended is still flushed and acknowledged. */
void replica_manager_release_readers(struct replica_manager *mgr);
/* Ends every waiter (RESIGNED), refuses what comes, writes the high watermarks. Flushes that run
 * end by themselves: free the pool before the manager. */
void replica_manager_stop(struct replica_manager *mgr);

/* ---- for everyone ---- */

/* Finds a replica that this node has. On NONE *part is referenced for the caller. Otherwise what
 * Kafka says: UNKNOWN_TOPIC_OR_PARTITION, NOT_LEADER_OR_FOLLOWER (it exists elsewhere, or not here
 * yet), KAFKA_STORAGE_ERROR (its directory failed). topic_id zero: not compared, otherwise
 * INCONSISTENT_TOPIC_ID when the replica's differs. */
MUST_USE enum proto_error replica_manager_find(struct replica_manager *mgr,
    const struct meta_image *image, struct str topic, struct uuid topic_id, int32_t index,
    struct replica_partition **part);
/* No image: NULL when not here. Referenced for the caller. */
struct replica_partition *replica_manager_get(
    struct replica_manager *mgr, struct str topic, int32_t index);
struct replica_fetch_sessions *replica_manager_sessions(struct replica_manager *mgr);
struct replica_producer_ids *replica_manager_producer_ids(struct replica_manager *mgr);
struct log_manager *replica_manager_logs(struct replica_manager *mgr);
/* Calls fn for each replica of this node with a reference that lasts for the call; no lock held. */
void replica_manager_each(
    struct replica_manager *mgr, void (*fn)(void *ctx, struct replica_partition *part), void *ctx);
int64_t replica_manager_partition_count(struct replica_manager *mgr);

/* ---- duties, on the I/O pool, driven by the node's timers ---- */

void replica_manager_retention(struct replica_manager *mgr); /* log.retention.check.interval.ms */
/* Compaction goes on; every replica_cleaner_interval_ms. */
void replica_manager_clean(struct replica_manager *mgr);
struct replica_cleaner *replica_manager_cleaner(struct replica_manager *mgr);
void replica_manager_checkpoint_hw(
    struct replica_manager *mgr); /* replica.high.watermark.checkpoint... */
void replica_manager_checkpoint_logs(struct replica_manager *mgr); /* recovery points, log starts */
void replica_manager_expire_producers(struct replica_manager *mgr, int64_t expiration_ms);
void replica_manager_flush_due(struct replica_manager *mgr); /* flush.ms */
/* A lap of the journal ended: what only it has is flushed to the segments, soon. */
void replica_manager_journal_turned(struct replica_manager *mgr);

#endif
