/* tests/sim/epochs.h - what a broker says of its leader epochs, against the epochs its batches
 * bear. */
#ifndef TESTS_SIM_EPOCHS_H
#define TESTS_SIM_EPOCHS_H

#include <stdbool.h>

#include "client/client.h"
#include "proto/offset_for_leader_epoch_request.h"
#include "tests/sim/history.h"

enum { EPOCHS_MAX = 128 };

struct epoch_seen {
    int32_t epoch;
    int64_t first, last; /* offsets */
};

struct epochs {
    struct history *history;
    struct str topic;
    struct epoch_seen seen[HISTORY_PARTITIONS][EPOCHS_MAX];
    int count[HISTORY_PARTITIONS];
    int32_t asked_part;
    int asked; /* number in seen of what is asked for now */
    struct client_call call;
    struct proto_offset_for_leader_epoch_request request;
    struct proto_offset_for_leader_epoch_request_offset_for_leader_topic request_topic;
    struct proto_offset_for_leader_epoch_request_offset_for_leader_partition request_part;
};

void epochs_init(struct epochs *epochs, struct history *history, const char *topic);
void epochs_fini(struct epochs *epochs);
/* A record of the reading at the end. */
void epochs_note(struct epochs *epochs, int32_t partition, int32_t epoch, int64_t offset);
/* Until true: asks where each epoch that was seen ended; wrong answers go into the history. */
bool epochs_check(struct epochs *epochs, struct client *client);

#endif
