/* broker/park.c - holding a request until partitions are ready or its time is over.
 *
 * Invariants: I1 `ended` runs exactly once for a start that returned true; I2 it runs when no
 * waiter is armed and no `done` is running; I3 at most one resume is pending: in ANY the first
 * waker posts it and keeps its hold, the others only give theirs back, and the one that finds zero
 * while draining posts the second after the first has run; in ALL only zero posts. Threads:
 * slot_done on any, the rest on the reactor. Errors: a timer that cannot start counts as fired. */
#include "broker/park.h"

#include "base/assert.h"
#include "base/attr.h"

static void
park_end(struct broker_req *req)
{
    struct broker_park *park = req->state;

    ASSERT(atomic_load(&park->holds) == 0);
    loop_timer_stop(&park->timer);
    park->ended(req);
}

/* The memory may be gone after the decrement unless it was the last. */
static void
hold_drop(struct broker_park *park)
{
    struct broker_req *req = park->req;
    bool all = park->mode == BROKER_PARK_ALL;
    int before = atomic_fetch_sub(&park->holds, 1);

    ASSERT(before > 0);
    if (before == 1 && (all || atomic_load(&park->draining)))
        broker_req_resume(req, park_end);
}

/* On the reactor, holding one: takes back every waiter that has not been woken; ends now, or leaves
 * the end to the last `done` that is still running. */
static void
park_drain(struct broker_park *park)
{
    struct broker_req *req = park->req;

    ASSERT(loop_is_current(req->loop));
    ASSERT(atomic_load(&park->holds) > 0);
    for (int32_t i = 0; i < park->count; i++) {
        struct broker_park_slot *slot = &park->slots[i];
        if (slot->armed && replica_partition_cancel(slot->part, &slot->waiter)) {
            slot->armed = false;
            atomic_fetch_sub(&park->holds, 1);
        }
    }
    atomic_store(&park->draining, true);
    if (atomic_fetch_sub(&park->holds, 1) == 1)
        park_end(req);
}

static void
park_woken(struct broker_req *req)
{
    park_drain(req->state);
}

static void
slot_done(struct replica_waiter *waiter, enum replica_wake why)
{
    struct broker_park_slot *slot = CONTAINER_OF(waiter, struct broker_park_slot, waiter);
    struct broker_park *park = slot->park;

    slot->why = why;
    slot->ended = true;
    if (park->mode == BROKER_PARK_ANY && !atomic_exchange(&park->woken, true)) {
        broker_req_resume(park->req, park_woken); /* keeps its hold for park_drain */
        return;
    }
    hold_drop(park);
}

/* Out of time, unless the end is on its way already. */
static void
timer_fired(struct loop_timer *timer)
{
    struct broker_park *park = CONTAINER_OF(timer, struct broker_park, timer);
    int holds = atomic_load(&park->holds);

    if (park->mode == BROKER_PARK_ANY) {
        if (atomic_exchange(&park->woken, true))
            return;
        atomic_fetch_add(&park->holds, 1);
    } else {
        do {
            if (holds == 0)
                return;
        } while (!atomic_compare_exchange_weak(&park->holds, &holds, holds + 1));
    }
    park->timed_out = true;
    park_drain(park);
}

void
broker_park_init(struct broker_park *park, struct broker_req *req, enum broker_park_mode mode,
    struct broker_park_slot *slots, void (*ended)(struct broker_req *req))
{
    *park = (struct broker_park){.req = req, .mode = mode, .slots = slots, .ended = ended};
    atomic_init(&park->holds, 1);
    atomic_init(&park->woken, false);
    atomic_init(&park->draining, false);
    loop_timer_init(&park->timer, req->loop, timer_fired);
    req->state = park;
}

bool
broker_park_add(struct broker_park *park, struct replica_partition *part, int32_t leader_epoch,
    enum replica_watermark watermark, int64_t offset)
{
    struct broker_park_slot *slot = &park->slots[park->count++];

    *slot = (struct broker_park_slot){.park = park, .part = part, .armed = true};
    replica_waiter_init(&slot->waiter, watermark, offset, slot_done);
    atomic_fetch_add(&park->holds, 1);
    if (replica_partition_wait(part, leader_epoch, &slot->waiter, &slot->why))
        return true;
    slot->armed = false;
    slot->ended = true;
    atomic_fetch_sub(&park->holds, 1);
    return false;
}

bool
broker_park_start(struct broker_park *park, int64_t timeout_ms)
{
    ASSERT(loop_is_current(park->req->loop));
    if (park->mode == BROKER_PARK_ALL && atomic_load(&park->holds) == 1)
        return false;
    if (loop_timer_start(&park->timer, timeout_ms) != ERR_OK) {
        /* No memory for the timer: as if the time were over. The reactor's hold goes with it. */
        if (park->mode == BROKER_PARK_ALL || !atomic_exchange(&park->woken, true)) {
            park->timed_out = true;
            broker_req_resume(park->req, park_woken);
            return true;
        }
    }
    if (atomic_fetch_sub(&park->holds, 1) > 1 || park->mode == BROKER_PARK_ANY)
        return true;
    loop_timer_stop(&park->timer);
    return false;
}
