#include "base/fsm.h"

#include "base/assert.h"

void
fsm_init(struct fsm *fsm, const struct fsm_table *table, int first)
{
    ASSERT(table->count > 0 && table->count <= 32);
    ASSERT(first >= 0 && (size_t)first < table->count);
    *fsm = (struct fsm){.table = table, .state = first};
}

bool
fsm_can(const struct fsm *fsm, int next)
{
    ASSERT(next >= 0 && (size_t)next < fsm->table->count);
    return (fsm->table->states[fsm->state].next & FSM_BIT(next)) != 0;
}

void
fsm_move(struct fsm *fsm, int next)
{
    ASSERT(fsm_can(fsm, next));
    fsm->state = next;
}

const char *
fsm_name(const struct fsm *fsm)
{
    return fsm->table->states[fsm->state].name;
}
