/* node/node.h - one Moldau node as a value: it binds configuration to files, sockets and loops.
 *
 * Order of life: open (locks and recovers the log directories, reads the metadata; blocks), start
 * (loops run, the quorum leads, listeners open, the broker registers; returns at once), ready (the
 * callback), stop (drains, flushes), free. Several nodes live in one process; in the simulated
 * environment open does not block on loops, since nothing runs yet. */
#ifndef NODE_NODE_H
#define NODE_NODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/err.h"
#include "node/config.h"
#include "os/env.h"

struct node;

struct node_opts {
    struct env *env;
    const struct node_config *config; /* outlives the node */
    bool simulated;                   /* no HTTP port; logs are loaded on the calling thread */
    /* Serves, or failed to; on a loop of the node. May be NULL. */
    void (*ready)(void *ctx, enum err err);
    /* A failure that ends the node (the metadata directory is gone): stop it. On a loop. May be
     * NULL. */
    void (*fatal)(void *ctx, enum err err);
    void *ctx;
};

/* INVALID with lines for people in `problems`; BUSY when another process has a directory. */
MUST_USE enum err node_open(const struct node_opts *opts, struct buf *problems, struct node **out);
MUST_USE enum err node_start(struct node *node);
/* Accepts no more, lets requests in flight finish for at most so long, flushes, writes the clean
 * marker. Real environment: blocks; not from a loop of the node. */
void node_stop(struct node *node, int64_t drain_ms);
/* After node_stop; or instead of it when the environment died (simulated crash): frees memory only.
 */
void node_free(struct node **node);

/* Port of the first client listener; 0 before it listens. Any thread. */
uint16_t node_port(const struct node *node);
/* What clients are told of the first client listener: "127.0.0.1:9092", terminated. Started. */
void node_address(const struct node *node, char *out, size_t size);
/* Of the HTTP listener; 0 without one. Started, not stopped. */
uint16_t node_http_port(const struct node *node);
bool node_is_ready(const struct node *node);

#endif
