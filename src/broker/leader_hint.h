/* broker/leader_hint.h - where the leader of a partition is, for answers that send the client there
 * (KIP-951). */
#ifndef BROKER_LEADER_HINT_H
#define BROKER_LEADER_HINT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

struct broker_req;

/* Endpoints one response may name; a cluster of more leaders is asked for metadata. */
enum { BROKER_LEADER_HINTS_MAX = 64 };

struct broker_leader_hint {
    int32_t leader_id; /* -1 unknown */
    int32_t leader_epoch;
    bool has_endpoint; /* alive, and listening where the client came from */
    struct str host;
    int32_t port;
    struct str rack; /* null when none */
};

/* From the request's image, for the listener of its connection. */
void broker_leader_hint_find(const struct broker_req *req, struct str topic, int32_t partition,
    struct broker_leader_hint *out);

#endif
