/* broker/cluster_view.h - topics, partitions and brokers of an image as a client sees them: through
 * its listener, with what is alive. */
#ifndef BROKER_CLUSTER_VIEW_H
#define BROKER_CLUSTER_VIEW_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/request.h"
#include "meta/image.h"
#include "proto/error_codes.h"

/* What everybody may do while there is no authorizer: bits of AclOperation codes. */
enum {
    BROKER_TOPIC_OPERATIONS = 0xdf8,    /* 3..8, 10, 11 */
    BROKER_CLUSTER_OPERATIONS = 0x1fa0, /* 5, 7..12 */
    BROKER_GROUP_OPERATIONS = 0xd48,    /* 3, 6, 8, 10, 11 */
};

/* 1..249 of [a-zA-Z0-9._-], not "." or "..". */
bool broker_topic_name_is_legal(struct str name);
/* What is wrong with an illegal one. */
struct str broker_topic_name_problem(struct arena *arena, struct str name);

/* One partition; the arrays are views of the image or in the arena. */
struct broker_partition_view {
    enum proto_error error; /* NONE, LEADER_NOT_AVAILABLE or LISTENER_NOT_FOUND */
    int32_t leader;         /* -1 with an error */
    struct meta_ids offline;
};
/* Whether the leader can be reached through the client's listener, and which replicas are offline.
 * False out of memory. */
bool broker_partition_look(const struct broker_req *req, const struct meta_partition *part,
    bool say_listener, struct broker_partition_view *out);

/* The endpoint of an alive broker on the client's listener; NULL when it cannot be reached. */
const struct meta_endpoint *broker_endpoint_of(const struct broker_req *req, int32_t broker_id);
/* In KRaft clients cannot talk to controllers: any live broker will do, and this one is at hand.
 * -1 when no broker is alive. */
int32_t broker_controller_id(const struct broker_req *req);

/* Whether one replica is offline: its broker is not alive, or its directory failed. */
bool broker_replica_is_offline(
    const struct meta_image *image, const struct meta_partition *part, int32_t broker_id);

/* Room in the request's arena for an answer whose size our own metadata decides, not the client. */
void broker_req_budget_add(struct broker_req *req, size_t bytes);

/* Sorted copy of names without repeats, in the arena; NULL out of memory. *count is set. */
struct str *broker_names_unique(
    struct broker_req *req, const struct str *names, int32_t n, int32_t *count);

#endif
