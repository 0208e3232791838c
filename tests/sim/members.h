/* tests/sim/members.h - two members of a consumer group beside the other clients of a broker: they
 * join, leave, die and come back, static ones too, through everything that befalls it.
 *
 * Rules: two stable members of one generation hold no partition together; a generation that members
 * were told is never told again for less; after healing one member becomes stable and holds all.
 * Threads: the clients' loop. */
#ifndef TESTS_SIM_MEMBERS_H
#define TESTS_SIM_MEMBERS_H

#include "client/group.h"
#include "tests/sim/history.h"

enum { MEMBERS = 2 };

struct members;

struct member {
    struct members *all;
    struct client *client; /* NULL: not there */
    struct client_consumer *consumer;
    struct client_group *group;
    struct client_group_leave leave;
    int32_t generation_min; /* lower ones were over when it joined */
    bool leaving, left;
};

struct members {
    struct env *env;
    struct loop *loop;
    const char *bootstrap, *topic;
    struct history *history;
    bool is_static;
    int32_t generation; /* the highest that a stable member had */
    struct member slots[MEMBERS];
};

/* bootstrap and topic are kept. */
void members_init(struct members *members, struct env *env, struct loop *loop,
    const char *bootstrap, struct history *history);
void members_fini(struct members *members);
/* Reads what came, and checks; chance: any number, which may make somebody join, leave or die. */
void members_act(struct members *members, uint64_t chance);
/* In the audit, again and again: true when one member holds everything. */
bool members_check(struct members *members);

#endif
