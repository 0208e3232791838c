#include "broker/flush_wait.h"

#include "base/arena.h"
#include "base/assert.h"
#include "base/limits.h"
#include "broker/broker.h"
#include "meta/image.h"
#include "replica/manager.h"

void
broker_flush_wait_init(
    struct broker_flush_wait *wait, struct broker_req *req, int32_t partition_max)
{
    *wait = (struct broker_flush_wait){.req = req, .slot_max = partition_max};
}

static void
waited(struct broker_req *req)
{
    struct broker_flush_wait *wait =
        CONTAINER_OF((struct broker_park *)req->state, struct broker_flush_wait, park);

    for (int32_t i = 0; i < wait->park.count; i++)
        replica_partition_unref(&wait->slots[i].part);
    req->state = wait->state;
    wait->then(req);
}

/* Out of memory: it is not waited. */
static bool
begin(struct broker_flush_wait *wait)
{
    if (wait->slots != NULL)
        return true;
    wait->slots = arena_calloc(wait->req->arena, (size_t)wait->slot_max, sizeof *wait->slots);
    if (wait->slots == NULL)
        return false;
    wait->state = wait->req->state;
    broker_park_init(&wait->park, wait->req, BROKER_PARK_ALL, wait->slots, waited);
    return true;
}

void
broker_flush_wait_add(struct broker_flush_wait *wait, struct str topic, int32_t partition)
{
    struct replica_partition *part;
    struct replica_partition_state state;

    if (replica_manager_find(broker_replicas(wait->req->broker), wait->req->image, topic, UUID_ZERO,
            partition, &part) != PROTO_ERROR_NONE)
        return;
    replica_partition_get_state(part, &state);
    bool unflushed =
        state.leader && state.isr_count <= 1 && state.high_watermark < state.log_end_offset;
    if (!unflushed || !begin(wait)) {
        replica_partition_unref(&part);
        return;
    }
    ASSERT(wait->park.count < wait->slot_max);
    (void)broker_park_add(&wait->park, part, state.leader_epoch, REPLICA_WATERMARK_HW,
        state.log_end_offset); /* the reference is `waited`'s */
}

void
broker_flush_wait_start(struct broker_flush_wait *wait, void (*then)(struct broker_req *req))
{
    wait->then = then;
    if (wait->slots == NULL)
        then(wait->req);
    else if (!broker_park_start(&wait->park, LIMIT_FLUSH_WAIT_MS))
        waited(wait->req);
}
