/* replica/traffic.h - what went through the replicas of this node since the process began, and what
 * else an operator wants to know of each. For metrics: any thread, one short lock per partition.
 *
 * Appends are counted under the partition's lock, which they hold anyway; answered fetches by
 * atomic additions beside the reference count, which they touch anyway. */
#ifndef REPLICA_TRAFFIC_H
#define REPLICA_TRAFFIC_H

#include "base/histogram.h"
#include "replica/manager.h"
#include "replica/partition.h"

/* Bytes are those of record batches. Failed: not for the client's fault nor for leadership, size,
 * checksum or storage, as Kafka's metrics of that name. */
struct replica_traffic {
    uint64_t produces, produces_failed;
    uint64_t messages_in, bytes_in; /* appended here as leader; duplicates are not */
    uint64_t bytes_rejected;        /* too large */
    uint64_t crc_rejected;          /* appends whose checksum or framing was wrong */
    uint64_t fetches, fetches_failed;
    uint64_t bytes_out;          /* to consumers */
    uint64_t replicas_bytes_in;  /* from leaders */
    uint64_t replicas_bytes_out; /* to followers */
};
void replica_traffic_add(struct replica_traffic *sum, const struct replica_traffic *more);

struct replica_partition_metrics {
    struct replica_partition_state state;
    int32_t isr_min;
    int32_t segments;
    int32_t producers;
    struct replica_traffic traffic;
};
void replica_partition_get_metrics(
    struct replica_partition *part, struct replica_partition_metrics *out);

/* A fetch of this partition was answered with so many bytes, or with an error. */
void replica_partition_note_fetch(
    struct replica_partition *part, size_t bytes, bool follower, enum proto_error error);

struct replica_manager_metrics {
    /* Of replicas that are no more on this node. A replica that leaves while others are asked may
     * be missing in one reading: who adds up must not let his sums go back. */
    struct replica_traffic past;
    uint64_t isr_shrinks, isr_expands; /* of partitions led here */
    uint64_t flush_errors;
    struct histogram_counts flushes;
};
void replica_manager_get_metrics(struct replica_manager *mgr, struct replica_manager_metrics *out);

#endif
