/* cli/topics.h - topics as Metadata describes them, in the command's arena. */
#ifndef CLI_TOPICS_H
#define CLI_TOPICS_H

#include "base/uuid.h"
#include "cli/cli.h"

struct topic_partition {
    int32_t index;
    int32_t leader; /* -1: none */
    int32_t leader_epoch;
    int32_t *replicas, *isr, *offline;
    int replica_count, isr_count, offline_count;
};

struct topic {
    struct str name; /* terminated */
    struct uuid id;
    bool is_internal;
    struct topic_partition *partitions; /* by index */
    int partition_count;
};

/* The topics named (a topic that is not there is said, and fails), or all of them when count is 0.
 * Sorted by name. */
int topics_ask(struct cli *cli, char **names, int count, struct topic **out, int *out_count);

#endif
