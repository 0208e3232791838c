/* replica/partition_trim.c - what a coordinator does to the log it keeps short itself: a new
 * segment at the end, and the old ones gone when their content was written again behind it.
 *
 * Threads: any, under the partition's mutex. Errors: Kafka's. */
#include "replica/partition.h"

#include "base/assert.h"
#include "replica/partition_priv.h"

/* A failure of the log takes the partition down. Lock held. */
static enum proto_error
judge(struct replica_partition *part, enum err err, struct list *failed)
{
    if (err == ERR_OK)
        return PROTO_ERROR_NONE;
    if (log_state(part->log) == LOG_FAILED)
        replica_partition_down(part, REPLICA_WAKE_FAILED, failed);
    return PROTO_ERROR_KAFKA_STORAGE_ERROR;
}

static void
after_unlock(struct replica_partition *part, struct list *failed, enum err err)
{
    bool down = part->offline && err != ERR_OK;
    replica_waiters_fire(failed, REPLICA_WAKE_FAILED);
    if (down)
        replica_partition_report(part, err);
}

enum proto_error
replica_partition_roll(struct replica_partition *part, int32_t leader_epoch, int64_t *end_offset)
{
    struct list failed;
    enum err err = ERR_OK;
    enum proto_error error;

    list_init(&failed);
    mutex_lock(&part->mutex);
    error = replica_partition_check(part, leader_epoch, true);
    if (error == PROTO_ERROR_NONE) {
        *end_offset = log_end_offset(part->log);
        err = log_roll(part->log);
        error = judge(part, err, &failed);
    }
    mutex_unlock(&part->mutex);
    after_unlock(part, &failed, err);
    return error;
}

enum proto_error
replica_partition_trim(struct replica_partition *part, const struct replica_trim *trim, bool *done)
{
    enum proto_error error;

    ASSERT(trim->offset <= trim->needed);
    *done = false;
    mutex_lock(&part->mutex);
    error = replica_partition_check(part, trim->leader_epoch, true);
    if (error == PROTO_ERROR_NONE && trim->needed > part->high_watermark)
        error = PROTO_ERROR_OFFSET_OUT_OF_RANGE;
    if (error == PROTO_ERROR_NONE && part->flushed_offset < trim->needed) {
        replica_flush_request(part); /* without log.ack.flush the watermark runs ahead */
    } else if (error == PROTO_ERROR_NONE) {
        *done = true;
        if (log_start_advance(part->log, trim->offset) != ERR_OK)
            error = PROTO_ERROR_KAFKA_STORAGE_ERROR;
    }
    mutex_unlock(&part->mutex);
    return error;
}

void
replica_partition_retain(struct replica_partition *part)
{
    struct list failed;
    int32_t deleted = 0;
    enum err err = ERR_OK;

    list_init(&failed);
    mutex_lock(&part->mutex);
    if (part->log != NULL) {
        err = log_retain(part->log, &deleted);
        (void)judge(part, err, &failed);
    }
    mutex_unlock(&part->mutex);
    after_unlock(part, &failed, err);
}
