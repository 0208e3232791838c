/* tests/sim/admin.h - topics made, grown, configured and deleted beside the records of a workload.
 *
 * What was acknowledged must be so for ever: a topic that was made is listed with its partitions
 * and configuration, one that was deleted is not. A topic with an operation that had no answer is
 * left alone from then on, and may be either way. Threads: the clients' loop. */
#ifndef TESTS_SIM_ADMIN_H
#define TESTS_SIM_ADMIN_H

#include "client/client.h"
#include "proto/create_partitions_request.h"
#include "proto/create_topics_request.h"
#include "proto/delete_topics_request.h"
#include "proto/describe_configs_request.h"
#include "proto/incremental_alter_configs_request.h"
#include "proto/metadata_request.h"
#include "tests/sim/history.h"

enum { ADMIN_TOPICS = 24, ADMIN_ALIVE = 6, ADMIN_NAME_SIZE = 16 };

enum admin_state { ADMIN_UNUSED, ADMIN_PRESENT, ADMIN_DELETED, ADMIN_IN_DOUBT };

struct admin_topic {
    char name[ADMIN_NAME_SIZE];
    enum admin_state state;
    int32_t partitions, partitions_wanted; /* acknowledged; asked for */
    int64_t setting, setting_wanted;       /* of retention.ms; 0: never set */
};

struct admin {
    struct history *history;
    struct admin_topic topics[ADMIN_TOPICS];
    struct admin_topic *subject; /* of the operation on its way */
    int16_t operation;           /* its request's key */
    int64_t setting_next;
    bool anew;     /* topics that were deleted are made again */
    bool listed;   /* in the audit */
    int described; /* topics whose configuration was read */
    struct client_call call;
    char value[24];
    struct str name;
    union {
        struct proto_create_topics_request create;
        struct proto_create_partitions_request grow;
        struct proto_incremental_alter_configs_request alter;
        struct proto_delete_topics_request remove;
        struct proto_metadata_request list;
        struct proto_describe_configs_request describe;
    } request;
    union {
        struct proto_create_topics_request_creatable_topic create;
        struct proto_create_partitions_request_create_partitions_topic grow;
        struct proto_incremental_alter_configs_request_alter_configs_resource alter;
        struct proto_describe_configs_request_describe_configs_resource describe;
    } part;
    struct proto_incremental_alter_configs_request_alterable_config config;
};

void admin_init(struct admin *admin, struct history *history);
void admin_fini(struct admin *admin);
/* Does one of these things, if none is on its way; chance: any number. */
void admin_act(struct admin *admin, struct client *client, uint64_t chance);
/* In the audit, again and again: true when all was compared. */
bool admin_check(struct admin *admin, struct client *client);

#endif
