/* tests/sim/group_offsets.h - commits and reads the offsets of one group without members. */
#ifndef TESTS_SIM_GROUP_OFFSETS_H
#define TESTS_SIM_GROUP_OFFSETS_H

#include <stdbool.h>

#include "client/client.h"
#include "proto/find_coordinator_request.h"
#include "proto/offset_commit_request.h"
#include "proto/offset_fetch_request.h"
#include "tests/sim/history.h"

struct group_offsets {
    struct history *history;
    struct str topic;
    bool fetched;
    bool need_coordinator; /* ask for it first: that creates the offsets topic */
    int64_t committing;
    struct client_call find_call, commit_call, fetch_call;
    struct proto_find_coordinator_request find;
    struct proto_offset_commit_request commit;
    struct proto_offset_commit_request_offset_commit_request_topic commit_topic;
    struct proto_offset_commit_request_offset_commit_request_partition
        commit_parts[HISTORY_PARTITIONS];
    struct proto_offset_fetch_request fetch;
    struct proto_offset_fetch_request_offset_fetch_request_topic fetch_topic;
    int32_t fetch_indexes[HISTORY_PARTITIONS];
};

void group_offsets_init(struct group_offsets *offsets, struct history *history, const char *topic);
void group_offsets_fini(struct group_offsets *offsets);
/* Starts one commit of the next number for every partition, unless one is on its way. */
void group_offsets_commit(struct group_offsets *offsets, struct client *client);
/* Until true: asks for the offsets, and tells the history what came. */
bool group_offsets_fetch(struct group_offsets *offsets, struct client *client);

#endif
