/* A simulated node of which only the logs and the replicas are there. */
#ifndef TESTS_UNIT_REPLICA_NODE_H
#define TESTS_UNIT_REPLICA_NODE_H

#include "log/log_manager.h"
#include "meta/config_rules.h"
#include "meta/image.h"
#include "os/sim.h"
#include "replica/manager.h"

enum { NODE = 1 };

struct node {
    /* filled before node_start */
    const char *const *dirs;
    int dir_count;
    struct replica_manager_events events;
    /* from node_start to node_end */
    struct sim *sim;
    struct sim_host *host;
    struct env *env;
    struct meta_image *image; /* empty at first; the test replaces it */
    struct arena arena;
    /* while it is open */
    struct pool *pool;
    struct log_manager *logs;
    struct meta_config_rules rules;
    struct replica_manager *mgr; /* not started */
};

/* On a machine of its own, with nothing on its disk; it is open. */
void node_start(struct node *node);
void node_end(struct node *node);
/* As a restart does; killed: its process ends without closing anything. */
void node_open(struct node *node);
void node_close(struct node *node, bool killed);

#endif
