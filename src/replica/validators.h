/* replica/validators.h - working memory for validating appends, lent for the length of one call.
 *
 * As many as there were threads appending at the same time; kept for the next. Any thread. */
#ifndef REPLICA_VALIDATORS_H
#define REPLICA_VALIDATORS_H

#include "base/attr.h"
#include "log/validate.h"
#include "os/mutex.h"

enum { REPLICA_VALIDATORS_KEPT = 64 };

struct replica_validators {
    struct mutex mutex; /* rank LEAF */
    struct log_validator *free[REPLICA_VALIDATORS_KEPT];
    int free_count;
};

void replica_validators_init(struct replica_validators *validators);
void replica_validators_fini(struct replica_validators *validators);
/* NULL out of memory. */
MUST_USE struct log_validator *replica_validators_take(struct replica_validators *validators);
void replica_validators_give(struct replica_validators *validators, struct log_validator *v);

#endif
