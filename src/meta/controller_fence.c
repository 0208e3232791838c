/* meta/controller_fence.c - what follows for partitions when a broker comes back from an unclean
 * stop. Pure.
 *
 * What it had not on the disk yet may be gone, so it is no longer in sync anywhere: others lead, or
 * nobody does until it is back. Either way the leader epoch moves, so that whoever read what was
 * lost finds out. With eligible leaders (KIP-966) a partition that nobody is in sync of remembers
 * who led it last. */
#include "base/assert.h"
#include "meta/controller_priv.h"
#include "proto/partition_change_record.h"

enum { NO_LEADER = -1 };

/* The ids without one of them; false when memory ran out. */
static bool
without(struct meta_op *op, struct meta_ids from, int32_t id, struct meta_ids *out)
{
    int32_t *items = arena_calloc(op->arena, (size_t)from.count + 1, sizeof *items);
    if (items == NULL)
        return false;
    *out = (struct meta_ids){items, 0};
    for (int32_t i = 0; i < from.count; i++)
        if (from.items[i] != id)
            items[out->count++] = from.items[i];
    return true;
}

/* The first replica that is in sync and alive. */
static int32_t
leader_of(const struct meta_op *op, const struct meta_partition *partition, struct meta_ids isr)
{
    for (int32_t i = 0; i < partition->replicas.count; i++) {
        int32_t id = partition->replicas.items[i];
        if (meta_ids_contain(isr, id) && meta_image_broker_is_alive(op->image, id))
            return id;
    }
    return NO_LEADER;
}

static bool
knows_eligible(const struct meta_op *op)
{
    return meta_partition_record_version(op->image) >= 2 &&
           meta_image_feature(op->image, STR("eligible.leader.replicas.version")) > 0;
}

static void
take_out(struct meta_op *op, const struct meta_topic *topic, const struct meta_partition *partition,
    int32_t broker_id)
{
    struct proto_partition_change_record record;
    struct meta_ids isr, elr;
    int32_t *last = arena_alloc(op->arena, sizeof *last);
    bool eligible = knows_eligible(op);
    if (last == NULL || !without(op, partition->isr, broker_id, &isr) ||
        !without(op, partition->elr, broker_id, &elr)) {
        op->records->err = ERR_NOMEM;
        return;
    }
    *last = broker_id;
    proto_init(&proto_partition_change_record_schema, &record);
    record.partition_id = partition->index;
    record.topic_id = topic->id;
    if (isr.count < partition->isr.count && (isr.count > 0 || eligible)) {
        record.isr.items = (int32_t *)(uintptr_t)isr.items;
        record.isr.count = isr.count;
    }
    if (partition->leader == broker_id)
        record.leader = leader_of(op, partition, isr);
    if (eligible && elr.count < partition->elr.count) {
        record.eligible_leader_replicas.items = (int32_t *)(uintptr_t)elr.items;
        record.eligible_leader_replicas.count = elr.count;
    }
    if (eligible && isr.count == 0 && elr.count == 0) {
        record.last_known_elr.items = last;
        record.last_known_elr.count = 1;
    }
    meta_records_add(op->records, META_RECORD_PARTITION_CHANGE, eligible ? 2 : 0,
        &proto_partition_change_record_schema, &record);
}

/* Without eligible leaders the last one in sync stays so: then there is only a leader to take. */
static bool
is_in(const struct meta_op *op, const struct meta_partition *partition, int32_t broker_id)
{
    bool alone = partition->isr.count == 1 && !knows_eligible(op);
    return partition->leader == broker_id ||
           (meta_ids_contain(partition->isr, broker_id) && !alone) ||
           meta_ids_contain(partition->elr, broker_id);
}

bool
meta_take_out_broker(struct meta_op *op, int32_t broker_id)
{
    const struct meta_topic *topic = meta_image_topic_after(op->image, STR_NULL);
    for (; topic != NULL; topic = meta_image_topic_after(op->image, topic->name))
        for (int32_t i = 0; i < topic->partition_count; i++) {
            const struct meta_partition *partition = topic->partitions[i];
            if (!is_in(op, partition, broker_id))
                continue;
            if (op->records->count >= META_CHANGES_MAX)
                return false;
            take_out(op, topic, partition, broker_id);
        }
    return true;
}
