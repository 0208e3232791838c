/* node/exposition_priv.h - one scrape on its way, shared by the files of the exposition. */
#ifndef NODE_EXPOSITION_PRIV_H
#define NODE_EXPOSITION_PRIV_H

#include <stdatomic.h>

#include "base/arena.h"
#include "node/exposition_text.h"
#include "node/metadata.h"
#include "node/node_priv.h"
#include "replica/traffic.h"

enum { EXPOSITION_COUNTS = NODE_LISTENERS_MAX * NODE_REACTORS_MAX };

/* What a later scrape wants to know the change of. */
struct exposition_sample {
    int64_t at_ns;
    int64_t idle_ns[NODE_REACTORS_MAX]; /* as shown */
    int64_t log_end_offset;             /* of the metadata */
    struct histogram_counts commits;    /* of the metadata */
    uint64_t opened[EXPOSITION_COUNTS]; /* connections, in the order of net_server_each_listener */
};

/* The HTTP thread's, and kept between scrapes. */
struct exposition {
    struct node *node;
    int64_t start_wall_ms; /* of the process, as near as this node knows */
    /* Series of their own, at most; of the configuration. */
    int32_t partitions_max, topics_max, offsets_max;
    /* Rates are those since `older`, which is at least SAMPLE_AGE_MS old, or the start. */
    struct exposition_sample older, newer;
    struct replica_traffic shown; /* totals as last shown: they never go back */
    int64_t idle_shown_ns[NODE_REACTORS_MAX];
    double scrape_s; /* time of the last one */
};

struct scrape_partition {
    struct str topic; /* the image's */
    const struct meta_partition *meta;
    struct replica_partition_metrics now;
    char index[12];
};

struct scrape_topic {
    struct str name; /* the image's */
    struct replica_traffic traffic;
};

struct scrape {
    struct exposition *ex;
    struct node *node;
    struct exposition_text text;
    struct arena arena;
    int64_t now_ns;
    struct meta_image *image; /* referenced */
    struct node_metadata_view quorum;
    bool controller; /* this node is the active one */

    /* of this node's replicas, in the order of topics' names; the first partitions_max */
    struct scrape_partition *partitions;
    int32_t partition_count;
    int64_t partitions_left_out;
    struct scrape_topic *topics;
    int32_t topic_count;
    int64_t topics_left_out;
    int64_t producers; /* of all replicas */
    int64_t replicas, leaders, offline, under_replicated, under_min_isr, at_min_isr, reassigning;
    struct replica_traffic traffic; /* of all */
    struct replica_manager_metrics manager;
};

/* Each writes the families of its part of the list, each family once. */
void exposition_put_requests(struct scrape *scrape);
void exposition_put_network(struct scrape *scrape);
/* Walks the replicas into the scrape; ERR_NOMEM leaves it without rows. */
MUST_USE enum err exposition_walk_replicas(struct scrape *scrape);
void exposition_put_topics(struct scrape *scrape);
void exposition_put_replicas(struct scrape *scrape);
void exposition_put_logs(struct scrape *scrape);
void exposition_put_groups(struct scrape *scrape);
void exposition_put_cluster(struct scrape *scrape);
void exposition_put_process(struct scrape *scrape);

/* "17", for a label. */
struct str exposition_number(char out[12], int64_t number);
int64_t exposition_uptime_ms(const struct scrape *scrape);
int64_t exposition_idle_ns(const struct scrape *scrape, int reactor); /* never goes back */
/* Share of time that a reactor slept since the older sample, 0 to 1. */
double exposition_idle_share(const struct scrape *scrape, int reactor);

#endif
