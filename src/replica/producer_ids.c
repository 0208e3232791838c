/* replica/producer_ids.c - a block of ids and who waits for the next one.
 *
 * Invariants: I1 somebody waits only while `asking`; I2 an id leaves [next, end) once. Threads:
 * any. */
#include "replica/producer_ids.h"

#include "base/assert.h"

void
replica_producer_ids_init(struct replica_producer_ids *ids)
{
    *ids = (struct replica_producer_ids){0};
    mutex_init(&ids->mutex, MUTEX_RANK_LEAF);
    list_init(&ids->waiting);
}

void
replica_producer_ids_fini(struct replica_producer_ids *ids)
{
    ASSERT(list_empty(&ids->waiting));
    mutex_fini(&ids->mutex);
}

enum replica_producer_id_take
replica_producer_ids_take(
    struct replica_producer_ids *ids, struct replica_producer_id_wait *wait, int64_t *producer_id)
{
    enum replica_producer_id_take take = REPLICA_PRODUCER_ID_TAKEN;

    mutex_lock(&ids->mutex);
    ASSERT(ids->next <= ids->end);
    if (ids->next < ids->end) {
        *producer_id = ids->next++;
    } else if (ids->asking) {
        list_init(&wait->link);
        list_push(&ids->waiting, &wait->link);
        take = REPLICA_PRODUCER_ID_WAIT;
    } else {
        ids->asking = true;
        take = REPLICA_PRODUCER_ID_ASK;
    }
    mutex_unlock(&ids->mutex);
    return take;
}

static void
wake_all(struct list *woken, bool ok)
{
    for (struct list *node = list_pop(woken); node != NULL; node = list_pop(woken)) {
        struct replica_producer_id_wait *wait =
            LIST_ENTRY(node, struct replica_producer_id_wait, link);
        wait->ready(wait, ok);
    }
}

int64_t
replica_producer_ids_granted(struct replica_producer_ids *ids, int64_t first, int32_t count)
{
    struct list woken;

    ASSERT(first >= 0);
    ASSERT(count > 0);
    list_init(&woken);
    mutex_lock(&ids->mutex);
    ASSERT(ids->asking);
    ids->asking = false;
    ids->next = first + 1;
    ids->end = first + count;
    list_splice(&woken, &ids->waiting);
    mutex_unlock(&ids->mutex);
    wake_all(&woken, true);
    return first;
}

void
replica_producer_ids_refused(struct replica_producer_ids *ids)
{
    struct list woken;

    list_init(&woken);
    mutex_lock(&ids->mutex);
    ASSERT(ids->asking);
    ids->asking = false;
    list_splice(&woken, &ids->waiting);
    mutex_unlock(&ids->mutex);
    wake_all(&woken, false);
}
