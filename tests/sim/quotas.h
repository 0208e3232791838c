/* tests/sim/quotas.h - client quotas set, changed, removed and read beside the records of a
 * workload.
 *
 * What was acknowledged is what every later answer says, after kills and power cuts too. Entities
 * of a request without an answer have all of what they had or all of what was asked for, the second
 * for good once it was shown; they are left alone from then on. Some entities are the clients here,
 * who are throttled by what they are given. Threads: the clients' loop. */
#ifndef TESTS_SIM_QUOTAS_H
#define TESTS_SIM_QUOTAS_H

#include "client/client.h"
#include "proto/alter_client_quotas_request.h"
#include "proto/describe_client_quotas_request.h"
#include "tests/sim/history.h"

enum { QUOTAS_ENTITIES = 40, QUOTAS_KEYS = 2, QUOTAS_PARTS = 2, QUOTAS_AT_ONCE = 3 };

struct quotas_entity {
    const char *types[QUOTAS_PARTS];
    char names[QUOTAS_PARTS][24]; /* "": the default */
    int part_count;
    const char *keys[QUOTAS_KEYS];
    int64_t halves[QUOTAS_KEYS]; /* acknowledged, or shown; 0: none */
    int64_t wanted[QUOTAS_KEYS];
    bool in_doubt; /* may have what was wanted */
    bool left_alone;
};

struct quotas {
    struct history *history;
    struct quotas_entity entities[QUOTAS_ENTITIES];
    int subjects[QUOTAS_AT_ONCE]; /* of the request on its way */
    int subject_count;
    bool auditing, described;
    struct client_call call;
    union {
        struct proto_alter_client_quotas_request alter;
        struct proto_describe_client_quotas_request describe;
    } request;
    struct proto_alter_client_quotas_request_entry_data entries[QUOTAS_AT_ONCE];
    struct proto_alter_client_quotas_request_entity_data parts[QUOTAS_AT_ONCE][QUOTAS_PARTS];
    struct proto_alter_client_quotas_request_op_data ops[QUOTAS_AT_ONCE][QUOTAS_KEYS];
};

void quotas_init(struct quotas *quotas, struct history *history);
void quotas_fini(struct quotas *quotas);
/* Asks for one of these things, if nothing is on its way; chance: any number. */
void quotas_act(struct quotas *quotas, struct client *client, uint64_t chance);
/* In the audit, again and again: true when all was compared. */
bool quotas_check(struct quotas *quotas, struct client *client);

#endif
