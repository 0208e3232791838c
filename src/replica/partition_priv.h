/* replica/partition_priv.h - the body of a partition, for its sibling files and unit tests. */
#ifndef REPLICA_PARTITION_PRIV_H
#define REPLICA_PARTITION_PRIV_H

#include <stdatomic.h>

#include "base/diag.h"
#include "log/journal.h"
#include "os/env.h"
#include "os/loop.h"
#include "os/mutex.h"
#include "replica/flush.h"
#include "replica/partition.h"
#include "replica/traffic.h"
#include "replica/validators.h"

enum replica_role {
    REPLICA_ROLE_NONE, /* not told yet, offline, or deleted */
    REPLICA_ROLE_LEADER,
    REPLICA_ROLE_FOLLOWER,
};

enum replica_flush_state {
    REPLICA_FLUSH_CLEAN,
    REPLICA_FLUSH_RUNNING, /* one flush is on the pool */
    REPLICA_FLUSH_BEHIND,  /* and bytes came after it began */
};

/* What all partitions of a manager share; outlives them. */
struct replica_shared {
    struct env *env;
    int32_t node_id;
    struct replica_flush_service flush;
    struct replica_validators validators;
    /* The partition's directory failed: once for each partition. No lock held. */
    void (*failed)(void *ctx, struct replica_partition *part, enum err err);
    void *ctx;
    _Atomic uint64_t isr_shrinks, isr_expands;
    atomic_bool closing; /* nobody waits any more for records that are not there yet */
};

/* Where each follower is: empty while this node is the only replica. The door for replication: a
 * fetch by a follower updates its entry, and hw_candidate takes the least of those in the ISR. */
struct replica_follower {
    int32_t id;
    bool in_sync;
    int64_t flushed_offset;
    int64_t caught_up_ms;
};

struct replica_partition {
    /* Fixed at creation. */
    struct replica_shared *shared;
    struct uuid topic_id;
    int32_t index;
    struct str topic; /* points behind the struct */
    _Atomic int refs;
    /* In the cache line of refs, which every fetch writes to. */
    _Atomic uint64_t fetches, fetches_failed, bytes_out, replicas_bytes_out;
    atomic_bool resigned_untold; /* the manager's: failed, and its events not called yet */

    struct mutex mutex;
    /* Under the mutex. */
    struct log *log; /* the log manager's; NULL when offline or deleted */
    enum replica_role role;
    bool offline;
    bool deleted; /* with its topic */
    int32_t leader_id;
    int32_t leader_epoch;
    int64_t epoch_start_offset; /* LEO when this node began to lead */
    int32_t isr_count;
    int32_t isr_min; /* min.insync.replicas, as it is set; see replica_partition_isr_min */
    int32_t replica_count;
    bool cleanup_delete;
    bool flush_timed; /* flush.ms is set */
    int64_t high_watermark;
    int64_t flushed_offset;                       /* everything below is on stable storage */
    struct list waiters[REPLICA_WATERMARK_COUNT]; /* by enum replica_watermark */
    struct replica_follower *followers;
    int32_t follower_count;
    enum replica_flush_state flush_state;
    int64_t flush_began_ns;         /* the last one */
    struct replica_traffic traffic; /* but for what stands beside refs */
    struct log_flush flush;         /* of the flush that runs */
    struct pool_work flush_work;
    struct log_journal_ticket flush_ticket;
    enum err flush_err;     /* of its begin */
    bool flush_collected;   /* it is under way: end it */
    bool flush_segments;    /* the next flush is not for the journal */
    struct list flush_link; /* the service's: waits for a walker */
};

struct replica_partition_opts {
    struct replica_shared *shared;
    struct str topic;
    struct uuid topic_id;
    int32_t index;
    struct log *log; /* NULL: offline from the start */
};
MUST_USE enum err replica_partition_new(
    const struct replica_partition_opts *opts, struct replica_partition **out);

/* Takes the role the metadata gives, of an epoch not below the present one; waiters end when
 * leadership or its epoch changes. */
struct replica_partition_role {
    int32_t leader_id;
    int32_t leader_epoch;
    int32_t isr_count;
    int32_t isr_min; /* min.insync.replicas */
    int32_t replica_count;
};
enum replica_role_change {
    REPLICA_ROLE_KEPT,
    REPLICA_ROLE_LED,      /* leads now, or under a new epoch */
    REPLICA_ROLE_RESIGNED, /* led and does not any more */
};
enum replica_role_change replica_partition_set_role(
    struct replica_partition *part, const struct replica_partition_role *role);
void replica_partition_set_config(
    struct replica_partition *part, const struct log_config *config, int32_t isr_min);

/* Out of service for good: FAILED for a storage failure, RESIGNED for a deletion or the end.
 * Returns the log, which this partition will not touch any more; NULL when it was out already. */
/* What acks=all asks for: no more than there are replicas, as in Kafka. */
int32_t replica_partition_isr_min(const struct replica_partition *part);
struct log *replica_partition_take_down(struct replica_partition *part, enum replica_wake why);
/* The same with the lock held; fire `woken` with `why` when it is dropped. */
struct log *replica_partition_down(
    struct replica_partition *part, enum replica_wake why, struct list *woken);
/* The end of the node: no role, no waiters, nothing is accepted; a flush that runs still ends well.
 */
void replica_partition_resign(struct replica_partition *part);
/* Ends the waiters for records that were not appended yet (RESIGNED). No lock held. */
void replica_partition_release_readers(struct replica_partition *part);
/* Tells of a failure that took it down. No lock held. */
void replica_partition_report(struct replica_partition *part, enum err err);

/* Moves the high watermark as far as it may go. Those it wakes are put on `woken`; with the lock
 * dropped, call replica_waiters_fire. */
void replica_partition_advance(struct replica_partition *part, struct list *woken);
void replica_waiters_fire(struct list *woken, enum replica_wake why);

void replica_flush_init(struct replica_partition *part);
/* All with the lock held and the log there. Sees to it that what is in the log now gets flushed. */
void replica_flush_request(struct replica_partition *part);
/* After an append; `wanted`: somebody waits for this very one to be durable. */
void replica_flush_appended(struct replica_partition *part, bool wanted);
/* Moves what only the journal has into the segments. */
void replica_flush_segments(struct replica_partition *part);
/* Somebody wants to see all there is: flushes unless that is done or under way. */
void replica_flush_demand(struct replica_partition *part);
/* The leader's last records are kept from readers by its own flush, and by no follower. Lock held,
 * log there. */
bool replica_flush_hides(const struct replica_partition *part);
/* Role, epoch and state checks in Kafka's order. Lock held. */
MUST_USE enum proto_error replica_partition_check(
    const struct replica_partition *part, int32_t leader_epoch, bool leader_only);

#endif
