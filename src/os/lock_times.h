/* os/lock_times.h - how long locks are held, by the place that takes them; in builds with
 * MOLDAU_LOCK_TIMES only (bench/costs locks). The program tells it on stderr when it ends. */
#ifndef OS_LOCK_TIMES_H
#define OS_LOCK_TIMES_H

#ifdef MOLDAU_LOCK_TIMES
#include <stdint.h>

struct lock_hold {
    const void *site;
    int64_t cpu_ns; /* of the thread, when it took the lock */
    int64_t wall_ns;
};

void lock_hold_begin(struct lock_hold *hold, const void *site);
void lock_hold_end(const struct lock_hold *hold, const char *name);
#endif

#endif
