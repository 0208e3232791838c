/* replica/flush.h - group commit: one flush of a log serves every append that came before it.
 *
 * A partition is in one of three states: clean, flushing (one flush of it is on the I/O pool), or
 * flushing with more behind it (appends came meanwhile: another flush follows at once). So however
 * many connections append, a log has at most one flush in flight and each flush covers all bytes
 * written when it began. */
#ifndef REPLICA_FLUSH_H
#define REPLICA_FLUSH_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/histogram.h"
#include "base/list.h"
#include "os/loop.h"
#include "os/mutex.h"

enum {
    REPLICA_FLUSH_LAZY_MS = 20,
    REPLICA_FLUSH_WALKERS = 3, /* leave the pool a thread for the journal and for who waits */
};

struct replica_flush_service;

/* Flushes to their segments, one partition after the other, what the journal's last lap holds. */
struct replica_flush_walker {
    struct pool_work work;
    struct replica_flush_service *service;
    bool walking; /* under the service's mutex: the work is on the pool */
};

/* Shared by all partitions of a manager; fields are fixed but for the counters. */
struct replica_flush_service {
    struct pool *pool;
    bool ack_flush;
    _Atomic bool owed;             /* some partition has bytes that a later duty must flush */
    _Atomic uint64_t flushes;      /* done */
    struct histogram times;        /* of flushes to stable storage */
    _Atomic uint64_t flush_errors; /* each took a partition out of service */

    struct mutex mutex;  /* LEAF; of what follows */
    struct list waiting; /* partitions, by flush_link, each with a reference */
    struct replica_flush_walker walkers[REPLICA_FLUSH_WALKERS];
};

void replica_flush_service_init(
    struct replica_flush_service *service, struct pool *pool, bool ack_flush);
void replica_flush_service_fini(struct replica_flush_service *service);

#endif
