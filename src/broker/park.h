/* broker/park.h - a request that waits for watermarks of partitions, or for its time to pass.
 *
 * States: arming -> parked -> ended. A park counts holds: one of the reactor while it arms or ends,
 * one for each armed waiter, given back by the waiter's `done` or by a successful cancel. Nobody
 * frees or reuses the request's arena before the count is zero, so a `done` that is running on
 * another thread always finds its memory (replica/partition.h says who wins the race).
 *
 * Threads: init, add, start run on the request's reactor, `ended` too. */
#ifndef BROKER_PARK_H
#define BROKER_PARK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "broker/request.h"
#include "os/loop.h"
#include "replica/partition.h"

enum broker_park_mode {
    BROKER_PARK_ALL, /* ends when every slot ended: acks=all */
    BROKER_PARK_ANY, /* ends when one slot ended: fetch */
};

struct broker_park;

struct broker_park_slot {
    struct replica_waiter waiter;
    struct broker_park *park;
    struct replica_partition *part; /* the owner keeps it referenced */
    enum replica_wake why;          /* when ended */
    bool ended;
    bool armed; /* the reactor's: was armed and not cancelled */
};

struct broker_park {
    struct broker_req *req;
    enum broker_park_mode mode;
    struct broker_park_slot *slots; /* request memory */
    int32_t count;
    void (*ended)(struct broker_req *req); /* slots tell why; timed_out */
    struct loop_timer timer;
    bool timed_out;
    _Atomic int holds;
    _Atomic bool woken;
    _Atomic bool draining;
};

/* slots: room for as many as will be added; request memory. Sets req->state to the park, which the
 * owner embeds in what it needs at the end. */
void broker_park_init(struct broker_park *park, struct broker_req *req, enum broker_park_mode mode,
    struct broker_park_slot *slots, void (*ended)(struct broker_req *req));
/* Waits for a watermark >= offset. False when that is so already (the slot has ended). */
bool broker_park_add(struct broker_park *park, struct replica_partition *part, int32_t leader_epoch,
    enum replica_watermark watermark, int64_t offset);
/* True: parked, `ended` will run on this reactor in a later turn. False: everything ended while it
 * was being armed (ALL), the caller goes on; `ended` will not run. */
bool broker_park_start(struct broker_park *park, int64_t timeout_ms);

#endif
