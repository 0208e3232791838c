/* A group member among scripted brokers, and the usual answers to it. */
#ifndef TESTS_UNIT_CLIENT_GROUP_FIXTURE_H
#define TESTS_UNIT_CLIENT_GROUP_FIXTURE_H

#include "client/group_priv.h"
#include "proto/consumer_protocol_assignment.h"
#include "proto/consumer_protocol_subscription.h"
#include "proto/error_codes.h"
#include "proto/fetch_request.h"
#include "proto/fetch_response.h"
#include "proto/heartbeat_request.h"
#include "proto/join_group_request.h"
#include "proto/join_group_response.h"
#include "proto/leave_group_request.h"
#include "proto/leave_group_response.h"
#include "proto/offset_commit_request.h"
#include "proto/offset_commit_response.h"
#include "proto/offset_fetch_request.h"
#include "proto/offset_fetch_response.h"
#include "proto/sync_group_request.h"
#include "proto/sync_group_response.h"
#include "tests/unit/client/fake.h"

enum {
    COMMIT = PROTO_OFFSET_COMMIT_REQUEST_KEY,
    FETCH = PROTO_FETCH_REQUEST_KEY,
    JOIN = PROTO_JOIN_GROUP_REQUEST_KEY,
    LEAVE = PROTO_LEAVE_GROUP_REQUEST_KEY,
    OFFSETS = PROTO_OFFSET_FETCH_REQUEST_KEY,
    SYNC = PROTO_SYNC_GROUP_REQUEST_KEY,
};

struct fixture {
    struct fake fake;
    struct client_consumer *consumer;
    struct client_group *group;
    struct client_group_opts opts;
    struct client_group_commit commit;
    struct client_group_leave leave;
    struct client_refresh refresh;
    char told[256]; /* "+t0 +t1 -t0 !t1 ": assigned, revoked, lost */
    bool committed, left;
    enum err err;
    int16_t code;
};

extern const struct str topic_t[1];
extern const enum client_assignor range_only[1];
extern const enum client_assignor sticky_only[1];

/* Topic t with two partitions on broker 2, coordinator broker 1, no auto commit. */
void setup(struct fixture *f, const enum client_assignor *assignor);
void start(struct fixture *f);
void teardown(struct fixture *f);
void expect_told(struct fixture *f, const char *want);
bool is_stable(void *ctx);
bool is_failed(void *ctx);
void refuse_join(struct fixture *f, int16_t code, const char *member_id);
/* leader: is the member itself the leader, alone. */
void accept_join(struct fixture *f, struct fake_request *request, int32_t generation,
    const char *id, bool leader);
/* What a member says it owns: "t0 t1 ". */
const char *owned_of(const struct fake_request *join, char *out, size_t size, int32_t *generation);
/* Partitions of t from..to - 1. */
void accept_sync(struct fixture *f, int32_t from, int32_t to);
void refuse_sync(struct fixture *f, int16_t code);
/* Of partition 0 and 1; -1 none; below -1 an error code. */
void answer_offsets(struct fixture *f, int64_t zero, int64_t one);
/* Nothing new; whatever came after it on its connection is answered then. */
void answer_fetch(struct fixture *f);
/* "t0@5 t1@7 " of a commit. */
const char *commit_of(const struct fake_request *request, char *out, size_t size);
void answer_commit(struct fake_request *request, int16_t code);
/* Member "m" in generation 1, alone, with both partitions, from 5 and from the start. */
void become_stable(struct fixture *f);

#endif
