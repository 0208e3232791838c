/* tests/sim/sim_cluster.h - brokers in one simulated room, each by itself with clients of its own.
 *
 * A broker has a host (10.0.0.N) with a disk that survives, and at most one life at a time: an env,
 * a node. Lives end by a crash of the host, as processes do that are killed, or by a stop. */
#ifndef TESTS_SIM_SIM_CLUSTER_H
#define TESTS_SIM_SIM_CLUSTER_H

#include <stdbool.h>
#include <stdint.h>

#include "node/node.h"
#include "os/sim.h"
#include "tests/sim/workload.h"

enum { SIM_BROKERS_MAX = 3, SIM_SETTINGS = 24, SIM_SETTING_SIZE = 80 };

#define SIM_DIR_FIRST "/data" /* the metadata's too */
#define SIM_DIR_SECOND "/more"

struct sim_broker {
    struct sim_cluster *cluster;
    struct sim_host *host;
    struct env *env;   /* of the present life, or NULL */
    struct node *node; /* NULL: not running */
    struct node_config *config;
    struct workload *workload;
    char bootstrap[32];
    char settings[SIM_SETTINGS][SIM_SETTING_SIZE];
    int setting_count;
    int dirs;
    bool failed; /* the node said that it cannot go on */
    int64_t lives, boots_failed;
};

struct sim_cluster {
    struct sim *sim;
    struct sim_host *client_host;
    struct env *client_env;
    struct sim_broker brokers[SIM_BROKERS_MAX];
    int count;
    char problem[HISTORY_PROBLEM_SIZE];
};

struct sim_cluster_opts {
    uint64_t seed;
    int brokers;
    bool cleaning;   /* see struct sim_scenario */
    bool busy;       /* the same */
    int dirs;        /* entries of log.dirs; 0: one */
    bool anew;       /* topics are made again under the name of one that was deleted */
    bool compacting; /* the topic of the records is compacted, all the time */
    bool repacked;   /* the same */
    bool quotas;     /* the same */
    bool bare;       /* no topics that come and go, no group beside the other clients */
    enum diag_level level_min;
};

/* Hosts, configurations and clients; brokers are down. */
void sim_cluster_init(struct sim_cluster *cluster, const struct sim_cluster_opts *opts);
void sim_cluster_fini(struct sim_cluster *cluster);
/* The first thing that went wrong anywhere, or "". */
const char *sim_cluster_problem(struct sim_cluster *cluster);
uint64_t sim_cluster_below(struct sim_cluster *cluster, uint64_t bound);

/* Powers the host up and starts a node; false when it did not start: then the host is down again,
 * and why stands in `problem` only when that is not allowed. */
bool sim_broker_boot(struct sim_broker *broker, bool may_fail);
/* Ends the life, if there is one; frees what is left of it. */
void sim_broker_crash(struct sim_broker *broker, enum sim_crash kind);
/* Ends the life as a signal to stop does; runs the room meanwhile, and a crash may come between. */
void sim_broker_stop(struct sim_broker *broker);
/* Frees what is left of a life that a fault ended; true when there was one. */
bool sim_broker_reap(struct sim_broker *broker);
/* Runs the room; ends early when the broker's host went down or its node failed. */
void sim_broker_run_ms(struct sim_broker *broker, int64_t ms);
/* Runs until it serves; false when it does not within virtual 30 s. */
bool sim_broker_await(struct sim_broker *broker);
int64_t sim_broker_acked(const struct sim_broker *broker);

/* No more faults: every broker up, every client content, everything read and checked. */
void sim_cluster_heal_and_audit(struct sim_cluster *cluster);

#endif
