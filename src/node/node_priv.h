/* node/node_priv.h - the parts of a node, for node.c, node_open.c, duties.c and exposition*.c. */
#ifndef NODE_NODE_PRIV_H
#define NODE_NODE_PRIV_H

#include <stdatomic.h>

#include "broker/broker.h"
#include "broker/coord_log.h"
#include "http/server.h"
#include "log/log_manager.h"
#include "meta/config_rules.h"
#include "net/server.h"
#include "node/listeners.h"
#include "node/metadata.h"
#include "node/node.h"
#include "replica/manager.h"

enum { NODE_REACTORS_MAX = 64, NODE_DIRS_MAX = 64, NODE_DIR_TEXT = 4096, NODE_DUTIES_MAX = 10 };

/* Something that is done again and again: a timer of the first reactor hands it to the pool. */
struct node_duty {
    struct node *node;
    const char *name;
    int64_t interval_ms;
    void (*run)(struct node *node);
    struct loop_timer timer;
    struct pool_work work;
    _Atomic bool busy;
};

/* What the thread that stops the node waits for, on a loop of its own that it runs meanwhile. In
 * the node, because a crash in the simulation leaves those who would end it with it. */
struct node_drain {
    struct loop *loop; /* owned; NULL: nothing was waited for */
    struct loop_task task;
    bool done;
};

struct node_leave;

struct node {
    /* Fixed at open. */
    struct node_opts opts;
    struct diag *diag;
    int32_t node_id;
    int64_t started_ns;
    struct node_listeners listeners;
    char dirs_text[NODE_DIR_TEXT];
    const char *dirs[NODE_DIRS_MAX];
    int dir_count;
    struct meta_config_static static_values;
    struct meta_config_rules rules;
    char derived[4][32]; /* values of keys that others stand for, e.g. log.retention.ms */
    struct loop *reactors[NODE_REACTORS_MAX];
    int reactor_count;
    struct pool *pool;       /* what blocks: flushes first of all */
    struct pool *read_pool;  /* slow reads, that flushes may not wait for */
    struct pool *check_pool; /* long checks of appends */
    struct log_manager *logs;
    struct node_metadata *metadata;
    struct replica_manager *replicas;
    struct broker_coord *coord;
    struct broker *broker;
    struct net_server *net;
    struct exposition *exposition; /* owned; NULL without HTTP */
    struct http_route routes[4];
    struct http_server *http;
    _Atomic uint64_t unclean_elections; /* seen in the metadata */
    struct meta_subscriber subscriber;
    struct node_duty duties[NODE_DUTIES_MAX];
    int duty_count;
    struct loop_task start_task;
    struct node_drain net_drain, leave_drain, settle_drain;
    struct node_leave *leave; /* owned; NULL before the stop */
    uint16_t port;
    bool started, stopped;
    _Atomic bool ready;
};

/* node_open.c */
MUST_USE enum err node_open_parts(struct node *node, struct buf *problems);
/* duties.c; start on the first reactor, stop when the loops are stopped. */
void node_duties_init(struct node *node);
void node_duties_start(struct node *node);
void node_duties_stop(struct node *node);
/* exposition.c */
MUST_USE enum err node_http_start(struct node *node);
void node_http_fini(struct node *node); /* the server is stopped */
/* From whoever delivers metadata. */
void node_count_elections(struct node *node, const struct meta_delta *delta);

#endif
