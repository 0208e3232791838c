/* node/metadata.h - the metadata of the cluster on this node: the log, the quorum, the controller
 * and the images, on a loop of their own.
 *
 * One path for every change: a request comes in by the port, the controller turns it into records,
 * raft appends them, one flush commits whatever came meanwhile, the image made of them is shown to
 * the subscribers, and the request is answered. A single node is a quorum of one of exactly this.
 */
#ifndef NODE_METADATA_H
#define NODE_METADATA_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/histogram.h"
#include "log/log_manager.h"
#include "meta/config.h"
#include "meta/port.h"
#include "os/loop.h"

struct node_metadata;

struct node_metadata_endpoint {
    struct str listener;
    struct str host;
    uint16_t port;
};

struct node_metadata_opts {
    struct env *env;
    struct log_manager *logs;
    struct pool *pool; /* flushes */
    const struct meta_config_rules *rules;
    int32_t node_id;
    struct str rack;              /* null: none */
    int64_t snapshot_bytes;       /* metadata.log.max.record.bytes.between.snapshots */
    int64_t snapshot_interval_ms; /* metadata.log.max.snapshot.interval.ms; 0: only by bytes */
    int64_t retention_bytes; /* metadata.max.retention.bytes, log and snapshots; -1: no limit */
    int64_t retention_ms;    /* metadata.max.retention.ms, snapshots; -1: no limit */
    int32_t segment_bytes;   /* metadata.log.segment.bytes */
    int64_t segment_ms;      /* metadata.log.segment.ms */
};

/* Reads snapshot and log into the first image; formats a new log. Blocks. CORRUPT when the log
 * cannot be replayed, with an event that says where. */
MUST_USE enum err node_metadata_open(
    const struct node_metadata_opts *opts, struct node_metadata **out);
/* Before start. */
void node_metadata_subscribe(struct node_metadata *metadata, struct meta_subscriber *subscriber);
/* Starts the loop: shows the first image, leads the quorum. */
MUST_USE enum err node_metadata_start(struct node_metadata *metadata);
/* Any thread, once, when the listeners have their ports: registers this broker, waits until it has
 * replayed that, unfences it; then `ready` runs on the metadata loop. Endpoints are copied. */
MUST_USE enum err node_metadata_register(struct node_metadata *metadata,
    const struct node_metadata_endpoint *endpoints, int count,
    void (*ready)(void *ctx, enum err err), void *ctx);
const struct meta_port *node_metadata_port(const struct node_metadata *metadata);
/* The first image, before start; a new reference. */
struct meta_image *node_metadata_image(struct node_metadata *metadata);
int64_t node_metadata_broker_epoch(const struct node_metadata *metadata); /* any thread; -1 */

/* How the quorum stands, for metrics; any thread. As of the loop's last event, and never behind an
 * image that was published. */
struct node_metadata_view {
    const char *role;  /* as Kafka's metrics say it: "leader", "follower", ... */
    bool leading;      /* this node is the active controller */
    int32_t leader_id; /* -1: unknown */
    int32_t epoch;
    int32_t voters;
    int64_t high_watermark, log_end_offset;
    uint64_t snapshots;     /* written since the start */
    int64_t snapshot_bytes; /* of the last one; 0: none yet */
    int64_t snapshot_ns;    /* env_now_ns of the last one; 0: none yet */
};
/* Adds the times from append to commit; any thread. */
void node_metadata_commit_times(const struct node_metadata *metadata, struct histogram_counts *out);
void node_metadata_get_view(struct node_metadata *metadata, struct node_metadata_view *out);
/* Before the stop, any thread: posts `settled` to `loop` when no flush of the metadata log runs;
 * none begins after that. */
void node_metadata_settle(
    struct node_metadata *metadata, struct loop *loop, struct loop_task *settled);
/* Any thread but its own: answers what waits with CANCELED, stops the loop. */
void node_metadata_stop(struct node_metadata *metadata);
/* Stopped, the pool idle. Before the log manager closes. */
void node_metadata_free(struct node_metadata **metadata);

#endif
