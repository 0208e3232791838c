/* replica/validators.c - a small stack of validators behind a lock. */
#include "replica/validators.h"

#include <stddef.h>

#include "base/assert.h"

void
replica_validators_init(struct replica_validators *validators)
{
    mutex_init(&validators->mutex, MUTEX_RANK_LEAF);
    validators->free_count = 0;
}

void
replica_validators_fini(struct replica_validators *validators)
{
    for (int i = 0; i < validators->free_count; i++)
        log_validator_free(&validators->free[i]);
    validators->free_count = 0;
    mutex_fini(&validators->mutex);
}

struct log_validator *
replica_validators_take(struct replica_validators *validators)
{
    struct log_validator *v = NULL;

    mutex_lock(&validators->mutex);
    if (validators->free_count > 0)
        v = validators->free[--validators->free_count];
    mutex_unlock(&validators->mutex);
    if (v == NULL && log_validator_new(&v) != ERR_OK)
        return NULL;
    return v;
}

void
replica_validators_give(struct replica_validators *validators, struct log_validator *v)
{
    ASSERT(v != NULL);
    mutex_lock(&validators->mutex);
    if (validators->free_count < REPLICA_VALIDATORS_KEPT) {
        validators->free[validators->free_count++] = v;
        v = NULL;
    }
    mutex_unlock(&validators->mutex);
    log_validator_free(&v);
}
