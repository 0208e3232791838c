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
    struct str rack;        /* null: none */
    int64_t snapshot_bytes; /* metadata.log.max.record.bytes.between.snapshots */
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
/* Any thread but its own: answers what waits with CANCELED, stops the loop. */
void node_metadata_stop(struct node_metadata *metadata);
/* Stopped, the pool idle. Before the log manager closes. */
void node_metadata_free(struct node_metadata **metadata);

#endif
