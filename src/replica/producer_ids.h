/* replica/producer_ids.h - producer ids of this node, from blocks that the controller hands out.
 *
 * Of those who find no id left, one asks the controller for a block and the others wait for it.
 * Any thread. Ids of a block are given once; what is left at a stop is lost, as in Kafka. */
#ifndef REPLICA_PRODUCER_IDS_H
#define REPLICA_PRODUCER_IDS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "os/mutex.h"

struct replica_producer_ids {
    struct mutex mutex; /* rank LEAF */
    int64_t next, end;  /* [next, end) are free */
    bool asking;
    struct list waiting;
};

/* One who waits; its memory lives until `ready` ran. */
struct replica_producer_id_wait {
    struct list link;
    /* A block came (take again) or asking failed. No lock held. */
    void (*ready)(struct replica_producer_id_wait *wait, bool ok);
};

enum replica_producer_id_take {
    REPLICA_PRODUCER_ID_TAKEN,
    REPLICA_PRODUCER_ID_ASK,  /* ask the controller, then call _granted or _refused */
    REPLICA_PRODUCER_ID_WAIT, /* `ready` will run */
};

void replica_producer_ids_init(struct replica_producer_ids *ids);
void replica_producer_ids_fini(struct replica_producer_ids *ids); /* nobody waits */
enum replica_producer_id_take replica_producer_ids_take(
    struct replica_producer_ids *ids, struct replica_producer_id_wait *wait, int64_t *producer_id);
/* By the one who asked: the block [first, first + count), of which it gets the first id. */
int64_t replica_producer_ids_granted(
    struct replica_producer_ids *ids, int64_t first, int32_t count);
void replica_producer_ids_refused(struct replica_producer_ids *ids);

#endif
