/* replica/manager_priv.h - the body of the manager, for its sibling files and unit tests. */
#ifndef REPLICA_MANAGER_PRIV_H
#define REPLICA_MANAGER_PRIV_H

#include "base/map.h"
#include "os/mutex.h"
#include "replica/fetch_session.h"
#include "replica/manager.h"
#include "replica/partition_priv.h"
#include "replica/producer_ids.h"

/* As in Kafka. */
enum { REPLICA_SESSION_SHARDS = 8, REPLICA_SESSION_EVICTION_MS = 120000 };

struct replica_topic {
    UT_hash_handle hh;
    char *name; /* owned; the key */
    size_t name_len;
    struct uuid id;
    struct replica_partition **parts; /* by index; a reference each, NULL when not here */
    int32_t capacity;
    int32_t count; /* of those that are here */
};

struct replica_manager {
    /* Fixed at creation. */
    struct replica_manager_opts opts;
    struct replica_shared shared;
    struct replica_fetch_sessions *sessions; /* owned */
    struct replica_producer_ids producer_ids;
    struct replica_cleaner *cleaner; /* owned */

    struct mutex mutex;
    /* Under the mutex. */
    struct replica_topic *topics;
    int64_t partition_count;
    struct replica_traffic past; /* of replicas that left the table */

    /* While it starts and a directory is offline: what is not found is there, and not made anew. */
    bool log_may_be_offline;

    /* Looks for failed logs, on the pool. */
    struct pool_work sweep_work;
    _Atomic int sweeps_asked; /* the work is queued while > 0 */
};

/* stray.c: logs that the image places here stay, one of each; all others are renamed -stray. */
MUST_USE enum err replica_stray_logs(struct replica_manager *mgr, const struct meta_image *image);
void replica_sweep_init(struct replica_manager *mgr);

#endif
