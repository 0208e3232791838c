/* cli/cluster.h - what brokers say of the cluster as a whole, in the command's arena. */
#ifndef CLI_CLUSTER_H
#define CLI_CLUSTER_H

#include "base/uuid.h"
#include "cli/cli.h"

struct cluster_broker {
    int32_t id;
    struct str host;
    int32_t port;
    struct str rack; /* null: none */
    bool is_fenced;
};

struct cluster {
    struct str id;
    int32_t controller; /* -1: none */
    struct cluster_broker *brokers;
    int broker_count;
};

struct cluster_feature {
    struct str name;
    bool is_finalized, is_supported;
    int16_t level, level_min;
    int16_t supported_min, supported_max;
};

struct cluster_features {
    struct cluster_feature *items; /* by name */
    int count;
};

struct cluster_replica {
    int32_t id;
    struct uuid directory_id;
    bool is_voter;
    int64_t log_end; /* -1: not known */
    int64_t last_fetch_ms, last_caught_up_ms;
    struct str endpoints; /* null: not known */
};

struct cluster_quorum {
    int32_t leader; /* -1: none */
    int32_t leader_epoch;
    int64_t high_watermark;
    int64_t log_end; /* the leader's; -1 */
    struct cluster_replica *replicas;
    int replica_count;
};

/* Brokers in order of their ids, fenced ones too where the broker asked says so. */
int cluster_describe(struct cli *cli, struct cluster *out);
int cluster_ask_features(struct cli *cli, struct cluster_features *out);
int cluster_ask_quorum(struct cli *cli, struct cluster_quorum *out);

#endif
