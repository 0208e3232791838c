/* cli/group_priv.h - the requests that describe groups, one for each type. */
#ifndef CLI_GROUP_PRIV_H
#define CLI_GROUP_PRIV_H

#include "cli/group.h"
#include "proto/consumer_group_describe_request.h"
#include "proto/describe_groups_request.h"
#include "proto/share_group_describe_request.h"
#include "proto/streams_group_describe_request.h"

enum { GROUP_WAYS = 4 };

union group_request {
    struct proto_describe_groups_request classic;
    struct proto_consumer_group_describe_request consumer;
    struct proto_share_group_describe_request share;
    struct proto_streams_group_describe_request streams;
};

struct group_way {
    int16_t key;
    /* id must live as long as the request. */
    void (*fill)(union group_request *request, struct str *id);
    /* The answer into the group; its error code, and the text of it, in the answer's memory. */
    int16_t (*take)(struct cli *cli, const void *response, struct group *out, struct str *message);
};

/* Sorted in no way. */
int group_share_offsets(
    struct cli *cli, const struct group *group, struct group_offset **out, int *count);

extern const struct group_way group_ways[GROUP_WAYS];

#endif
