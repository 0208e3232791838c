/* os/mutex.h - ranked locks. A thread may take a lock only of a higher rank than those it holds;
 * builds with MOLDAU_SLOW_CHECKS abort on an inversion. */
#ifndef OS_MUTEX_H
#define OS_MUTEX_H

#include <pthread.h>
#include <stdbool.h>

#include "base/attr.h"
#include "os/lock_times.h"

/* The whole list, lowest first. */
#define MUTEX_RANKS(X) \
    X(CLEANER)         \
    X(CHECKPOINTS)     \
    X(LOG_MANAGER)     \
    X(REPLICA_MANAGER) \
    X(COORD_SHARD)     \
    X(PARTITION)       \
    X(FETCH_SESSIONS)  \
    X(FILE_CACHE)      \
    X(MAILBOX)         \
    X(DIAG)            \
    X(LEAF)

enum mutex_rank {
#define X(name) MUTEX_RANK_##name,
    MUTEX_RANKS(X)
#undef X
};

struct mutex {
    pthread_mutex_t os;
    enum mutex_rank rank;
    pthread_t owner;
    bool held; /* only meaningful to the owner */
#ifdef MOLDAU_LOCK_TIMES
    struct lock_hold hold; /* the holder's */
#endif
};

void mutex_init(struct mutex *mutex, enum mutex_rank rank);
void mutex_fini(struct mutex *mutex);
void mutex_lock(struct mutex *mutex);
void mutex_unlock(struct mutex *mutex);
/* That the calling thread holds it (checked always). */
void mutex_assert_held(const struct mutex *mutex);
/* Whether the calling thread holds any: the simulator lets nothing else run meanwhile. */
bool mutex_any_held(void);

#endif
