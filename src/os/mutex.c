/* What: pthread mutexes with a rank. Where MOLDAU_SLOW_CHECKS is defined each thread keeps the list
 * of what it holds, and taking a lock of a rank not above all of them aborts with both names.
 * Two locks of one rank are never held together. */
#include "os/mutex.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"

static _Thread_local int mutex_held_count;

#if defined(MOLDAU_SLOW_CHECKS) || defined(MOLDAU_LOCK_TIMES)
static const char *const mutex_rank_names[] = {
#define X(name) #name,
    MUTEX_RANKS(X)
#undef X
};
#endif

#ifdef MOLDAU_LOCK_TIMES
#define lock_times_begin(mutex, site) lock_hold_begin(&(mutex)->hold, site)
#define lock_times_end(mutex, name) lock_hold_end(&(mutex)->hold, name)
#else
#define lock_times_begin(mutex, site) ((void)(mutex))
#define lock_times_end(mutex, name) ((void)(mutex))
#endif

#ifdef MOLDAU_SLOW_CHECKS
enum { MUTEX_HELD_MAX = 16 };

static _Thread_local struct {
    const struct mutex *held[MUTEX_HELD_MAX];
    int count;
} mutex_witness;

static void
mutex_witness_check(const struct mutex *mutex)
{
    for (int i = 0; i < mutex_witness.count; i++) {
        const struct mutex *held = mutex_witness.held[i];
        if (held->rank < mutex->rank)
            continue;
        fprintf(stderr, "lock order: %s taken while %s is held\n", mutex_rank_names[mutex->rank],
            mutex_rank_names[held->rank]);
        abort();
    }
}

static void
mutex_witness_add(const struct mutex *mutex)
{
    ASSERT(mutex_witness.count < MUTEX_HELD_MAX);
    mutex_witness.held[mutex_witness.count++] = mutex;
}

static void
mutex_witness_remove(const struct mutex *mutex)
{
    int i = mutex_witness.count - 1;
    while (i >= 0 && mutex_witness.held[i] != mutex)
        i--;
    ASSERT(i >= 0);
    mutex_witness.held[i] = mutex_witness.held[--mutex_witness.count];
}
#else
#define mutex_witness_check(mutex) ((void)(mutex))
#define mutex_witness_add(mutex) ((void)(mutex))
#define mutex_witness_remove(mutex) ((void)(mutex))
#endif

void
mutex_init(struct mutex *mutex, enum mutex_rank rank)
{
    int r = pthread_mutex_init(&mutex->os, NULL);
    ASSERT(r == 0);
    mutex->rank = rank;
    __atomic_store_n(&mutex->held, false, __ATOMIC_RELAXED);
}

void
mutex_fini(struct mutex *mutex)
{
    ASSERT(!__atomic_load_n(&mutex->held, __ATOMIC_RELAXED));
    pthread_mutex_destroy(&mutex->os);
}

void
mutex_lock(struct mutex *mutex)
{
    mutex_witness_check(mutex);
    int r = pthread_mutex_lock(&mutex->os);
    ASSERT(r == 0);
    /* Atomics so that another thread's mutex_assert_held may look without a race. */
    __atomic_store_n(&mutex->owner, pthread_self(), __ATOMIC_RELAXED);
    __atomic_store_n(&mutex->held, true, __ATOMIC_RELAXED);
    mutex_witness_add(mutex);
    mutex_held_count++;
    lock_times_begin(mutex, __builtin_return_address(0));
}

void
mutex_unlock(struct mutex *mutex)
{
    mutex_assert_held(mutex);
    lock_times_end(mutex, mutex_rank_names[mutex->rank]);
    mutex_witness_remove(mutex);
    mutex_held_count--;
    __atomic_store_n(&mutex->held, false, __ATOMIC_RELAXED);
    int r = pthread_mutex_unlock(&mutex->os);
    ASSERT(r == 0);
}

void
mutex_assert_held(const struct mutex *mutex)
{
    ASSERT(__atomic_load_n(&mutex->held, __ATOMIC_RELAXED) &&
           pthread_equal(__atomic_load_n(&mutex->owner, __ATOMIC_RELAXED), pthread_self()));
}

bool
mutex_any_held(void)
{
    return mutex_held_count > 0;
}
