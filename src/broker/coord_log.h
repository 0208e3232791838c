/* broker/coord_log.h - the coordinators of one broker: shards of coord/ over partitions of
 * replica/.
 *
 * Owns one lock (rank COORD_SHARD), one shard and one loop timer for each partition of
 * __consumer_offsets; loads a shard on the I/O pool when its partition becomes leader here, appends
 * what it writes, tells it of the high watermark, and ticks its timers on a reactor. */
#ifndef BROKER_COORD_LOG_H
#define BROKER_COORD_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "broker/request.h"
#include "coord/group/group.h"
#include "coord/runtime.h"
#include "os/env.h"
#include "os/loop.h"

struct broker_coord;
struct meta_delta;
struct meta_image;
struct replica_partition;

struct broker_coord_opts {
    struct env *env;
    struct loop *const *loops; /* reactors: timers and wake-ups are spread over them */
    int loop_count;
    struct pool *pool; /* loading */
    struct coord_group_config group;
    int32_t offsets_partitions;         /* offsets.topic.num.partitions, 50 */
    int16_t offsets_replication_factor; /* offsets.topic.replication.factor, 3 */
    int32_t offsets_segment_bytes;      /* offsets.topic.segment.bytes, 104857600 */
    int32_t batch_size_max;             /* message.max.bytes, 1048588 */
    int64_t write_timeout_ms;           /* offsets.commit.timeout.ms, 5000 */
    int64_t clean_growth_min;           /* offsets.topic.clean.min.bytes, 8388608; 0: never */
};
/* Kafka's defaults for everything but env, loops and pool. */
struct broker_coord_opts broker_coord_opts_default(void);

MUST_USE enum err broker_coord_new(const struct broker_coord_opts *opts, struct broker_coord **out);
/* Any thread, before the reactors stop: answers everybody who waits (NOT_COORDINATOR). */
void broker_coord_stop(struct broker_coord *coord);
/* Stopped, or its environment died; reactors and pool are stopped, the replica manager is there
 * still, and so are the (stopped) loops. */
void broker_coord_free(struct broker_coord **coord);

/* For replica_manager_events (ctx is the broker_coord); other topics are ignored. */
void broker_coord_led(void *coord, struct replica_partition *part, int32_t leader_epoch);
void broker_coord_resigned(void *coord, struct replica_partition *part);
/* From whoever delivers metadata, after the replica manager: offsets of deleted topics go. */
void broker_coord_apply(struct broker_coord *coord, const struct meta_delta *delta);

/* A marker of a transaction was appended at `offset` to a partition of __consumer_offsets that this
 * broker leads: pending offsets are decided. Any thread, no lock held; other partitions are
 * ignored. */
void broker_coord_end_txn(struct broker_coord *coord, struct replica_partition *part,
    int64_t offset, int64_t producer_id, bool committed);

/* ---- for handlers ---- */

/* The shard of a group with its lock taken and its time set. On any other error than NONE nothing
 * is held: NOT_COORDINATOR, COORDINATOR_LOAD_IN_PROGRESS, COORDINATOR_NOT_AVAILABLE (stopped). The
 * number of partitions is the image's. */
MUST_USE enum proto_error broker_coord_lock_group(
    struct broker_req *req, struct str group_id, struct coord_shard **shard);
/* The index-th shard, for requests to all; NOT_COORDINATOR for those that are not here. */
MUST_USE enum proto_error broker_coord_lock_index(
    struct broker_req *req, int32_t index, struct coord_shard **shard);
/* Gives the lock back, and sees to flush and timers. */
void broker_coord_unlock(struct broker_req *req, struct coord_shard *shard);
/* For metrics, any thread: calls fn for each shard that ever was here, whatever its state, with its
 * lock held and no other; fn looks and copies. */
void broker_coord_each(
    struct broker_coord *coord, void (*fn)(void *ctx, const struct coord_shard *shard), void *ctx);
/* Indexes below this may have a shard. */
int32_t broker_coord_shard_count(const struct broker_coord *coord);
const struct broker_coord_opts *broker_coord_options(const struct broker_coord *coord);

/* The partition of __consumer_offsets that a group belongs to, by the image; -1 when the topic does
 * not exist. */
int32_t broker_coord_partition_of(const struct meta_image *image, struct str group_id);

/* "/127.0.0.1" of the peer, in the request's arena; client id "" when null. */
struct coord_group_caller broker_coord_caller(struct broker_req *req);

#endif
