#include "broker/flush_wait.h"

#include "base/arena.h"
#include "base/limits.h"
#include "broker/broker.h"
#include "meta/image.h"
#include "replica/manager.h"

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
begin(struct broker_flush_wait *wait, struct broker_req *req, int32_t slot_max)
{
    if (wait->slots != NULL)
        return true;
    wait->slots = arena_calloc(req->arena, (size_t)slot_max, sizeof *wait->slots);
    if (wait->slots == NULL)
        return false;
    wait->state = req->state;
    broker_park_init(&wait->park, req, BROKER_PARK_ALL, wait->slots, waited);
    return true;
}

void
broker_flush_wait(struct broker_flush_wait *wait, struct broker_req *req,
    const struct broker_topic_row *rows, int32_t count, void (*then)(struct broker_req *req))
{
    struct replica_partition *part;
    struct replica_partition_state state;

    *wait = (struct broker_flush_wait){.then = then};
    for (int32_t i = 0; i < count; i++) {
        if (replica_manager_find(broker_replicas(req->broker), req->image, rows[i].topic, UUID_ZERO,
                rows[i].partition, &part) != PROTO_ERROR_NONE)
            continue;
        replica_partition_get_state(part, &state);
        if (state.unflushed && begin(wait, req, count))
            (void)broker_park_add(&wait->park, part, state.leader_epoch, REPLICA_WATERMARK_HW,
                state.log_end_offset); /* the reference is `waited`'s */
        else
            replica_partition_unref(&part);
    }
    if (wait->slots == NULL)
        then(req);
    else if (!broker_park_start(&wait->park, LIMIT_FLUSH_WAIT_MS))
        waited(req);
}
