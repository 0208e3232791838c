/* broker/coord_fan.h - one request that waits for several shards. */
#ifndef BROKER_COORD_FAN_H
#define BROKER_COORD_FAN_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "broker/request.h"
#include "coord/runtime.h"

/* Embedded in the request's state. The handler holds one share itself while it asks around. */
struct coord_fan {
    struct broker_req *req;
    _Atomic int32_t left;
    void (*finish)(struct broker_req *req); /* on the reactor, when every reply came */
};

static inline void
coord_fan_init(struct coord_fan *fan, struct broker_req *req, void (*finish)(struct broker_req *))
{
    fan->req = req;
    fan->finish = finish;
    atomic_init(&fan->left, 1);
}

static inline void
coord_fan_add(struct coord_fan *fan)
{
    atomic_fetch_add_explicit(&fan->left, 1, memory_order_relaxed);
}

/* Any thread: one reply came, or the handler is through. */
static inline void
coord_fan_done(struct coord_fan *fan)
{
    if (atomic_fetch_sub_explicit(&fan->left, 1, memory_order_acq_rel) == 1)
        broker_req_resume(fan->req, fan->finish);
}

#endif
