/* base/fsm.h - state machines as data: the table is the documentation, the check and the trace. */
#ifndef BASE_FSM_H
#define BASE_FSM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fsm_state {
    const char *name;
    uint32_t next; /* bit n set: state n may follow */
};

struct fsm_table {
    const char *name;
    const struct fsm_state *states; /* indexed by the state's enum value, at most 32 */
    size_t count;
};

struct fsm {
    const struct fsm_table *table;
    int state;
};

#define FSM_BIT(state) (1u << (state))

void fsm_init(struct fsm *fsm, const struct fsm_table *table, int first);
bool fsm_can(const struct fsm *fsm, int next);
/* Asserts that the table allows the move. */
void fsm_move(struct fsm *fsm, int next);
const char *fsm_name(const struct fsm *fsm);

#endif
