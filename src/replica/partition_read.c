/* replica/partition_read.c - what readers ask of a partition: records, offsets, epochs, producers.
 *
 * Everything runs under the partition's lock and touches files only through the log, whose slices
 * carry references: sending goes on without the lock, even past a deletion. Threads: any. Errors:
 * Kafka's. */
#include "replica/partition.h"

#include "base/assert.h"
#include "replica/partition_priv.h"

static enum proto_error
read_error(enum err err)
{
    if (err == ERR_RANGE)
        return PROTO_ERROR_OFFSET_OUT_OF_RANGE;
    if (err == ERR_NOMEM)
        return PROTO_ERROR_UNKNOWN_SERVER_ERROR;
    return PROTO_ERROR_KAFKA_STORAGE_ERROR;
}

static int64_t
bound_of(const struct replica_partition *part, enum replica_bound bound)
{
    switch (bound) {
    case REPLICA_BOUND_HW: return part->high_watermark;
    case REPLICA_BOUND_LSO: return log_last_stable_offset(part->log);
    case REPLICA_BOUND_LEO: return log_end_offset(part->log);
    }
    UNREACHABLE();
}

/* ---- records ---- */

/* A reader that fetched under another leader may hold records which this log never had (KIP-595).
 */
static enum proto_error
check_history(const struct replica_partition *part, struct replica_fetch *fetch)
{
    int32_t epoch;
    int64_t end_offset;

    if (fetch->last_fetched_epoch < 0)
        return PROTO_ERROR_NONE;
    log_epoch_end(part->log, fetch->last_fetched_epoch, &epoch, &end_offset);
    if (epoch < 0 || end_offset < 0)
        return PROTO_ERROR_OFFSET_OUT_OF_RANGE;
    if (epoch < fetch->last_fetched_epoch || end_offset < fetch->offset) {
        fetch->diverging = true;
        fetch->diverging_epoch = epoch;
        fetch->diverging_end_offset = end_offset;
    }
    return PROTO_ERROR_NONE;
}

static enum err
read_aborted(const struct replica_partition *part, struct replica_fetch *fetch)
{
    int64_t end = fetch->slice.end_offset;

    if (fetch->bound != REPLICA_BOUND_LSO || fetch->slice.file == NULL)
        return ERR_OK;
    return log_aborted_txns(
        part->log, fetch->offset, end, fetch->arena, &fetch->aborted, &fetch->aborted_count);
}

/* Where nobody can say what is missing, the disk is waited for. */
static enum err
read_log(struct replica_partition *part, struct replica_fetch *fetch)
{
    struct log_read_opts opts = {
        .offset = fetch->offset,
        .bound_offset = fetch->bound_offset,
        .max_bytes = fetch->max_bytes,
        .min_one = fetch->min_one,
        .nowait = fetch->nowait,
    };
    enum err err = log_read(part->log, &opts, &fetch->slice);
    if (err != ERR_AGAIN)
        return err;
    fetch->cold = fetch->slice.file != NULL;
    opts.nowait = false;
    return fetch->cold ? ERR_OK : log_read(part->log, &opts, &fetch->slice);
}

static enum proto_error
fetch_locked(struct replica_partition *part, struct replica_fetch *fetch)
{
    enum proto_error error = replica_partition_check(part, fetch->leader_epoch, true);
    enum err err;

    if (error != PROTO_ERROR_NONE)
        return error;
    fetch->leader_epoch_now = part->leader_epoch;
    error = check_history(part, fetch);
    if (error != PROTO_ERROR_NONE)
        return error;
    if (fetch->bound != REPLICA_BOUND_LEO)
        replica_flush_demand(part);
    fetch->bound_offset = bound_of(part, fetch->bound);
    if (!fetch->diverging) {
        err = read_log(part, fetch);
        /* A damaged batch within the log, of which the reader may know; else the log's end is. */
        if (err == ERR_CORRUPT && fetch->offset < log_end_offset(part->log))
            return PROTO_ERROR_CORRUPT_MESSAGE;
        if (err != ERR_OK)
            return read_error(err);
        err = fetch->cold ? ERR_OK : read_aborted(part, fetch);
        if (err != ERR_OK) {
            if (fetch->slice.file != NULL)
                env_file_close(&fetch->slice.file);
            return read_error(err);
        }
    }
    fetch->unflushed = replica_flush_hides(part) && fetch->offset >= part->high_watermark &&
                       fetch->offset < log_end_offset(part->log);
    fetch->high_watermark = part->high_watermark;
    fetch->last_stable_offset = log_last_stable_offset(part->log);
    fetch->log_start_offset = log_start_offset(part->log);
    ASSERT(fetch->last_stable_offset <= fetch->high_watermark);
    return PROTO_ERROR_NONE;
}

enum proto_error
replica_partition_fetch(struct replica_partition *part, struct replica_fetch *fetch)
{
    enum proto_error error;

    fetch->high_watermark = -1;
    fetch->last_stable_offset = -1;
    fetch->log_start_offset = -1;
    fetch->bound_offset = -1;
    fetch->leader_epoch_now = -1;
    fetch->diverging = false;
    fetch->unflushed = false;
    fetch->cold = false;
    fetch->slice = (struct log_slice){0};
    fetch->aborted = NULL;
    fetch->aborted_count = 0;
    mutex_lock(&part->mutex);
    error = fetch_locked(part, fetch);
    mutex_unlock(&part->mutex);
    return error;
}

/* ---- offsets ---- */

/* Just elected, and what earlier leaders acknowledged is not known to be committed yet. A last
 * stable offset below is no sign of it: a transaction may be open since before. */
static bool
hw_lags_election(const struct replica_partition *part, const struct replica_list_offset *list)
{
    return list->bound != REPLICA_BOUND_LEO && part->role == REPLICA_ROLE_LEADER &&
           part->high_watermark < part->epoch_start_offset;
}

/* The offset below which the reader may know of records. */
static enum proto_error
fetchable_locked(
    struct replica_partition *part, const struct replica_list_offset *list, int64_t *fetchable)
{
    enum proto_error error = replica_partition_check(part, list->leader_epoch, true);

    if (error != PROTO_ERROR_NONE)
        return error;
    if (list->bound != REPLICA_BOUND_LEO)
        replica_flush_demand(part);
    *fetchable = bound_of(part, list->bound);
    return PROTO_ERROR_NONE;
}

static enum proto_error
list_locked(struct replica_partition *part, struct replica_list_offset *list)
{
    int64_t fetchable;
    enum proto_error error = fetchable_locked(part, list, &fetchable);

    if (error != PROTO_ERROR_NONE)
        return error;
    switch (list->timestamp) {
    case REPLICA_TIME_LATEST:
        if (hw_lags_election(part, list))
            return PROTO_ERROR_OFFSET_NOT_AVAILABLE;
        list->offset = fetchable;
        list->epoch = part->leader_epoch;
        return PROTO_ERROR_NONE;
    case REPLICA_TIME_EARLIEST:
    case REPLICA_TIME_EARLIEST_LOCAL:
        list->offset = log_start_offset(part->log);
        list->epoch = log_epoch_for_offset(part->log, list->offset);
        return PROTO_ERROR_NONE;
    case REPLICA_TIME_LATEST_TIERED:
    case REPLICA_TIME_EARLIEST_PENDING_UPLOAD: return PROTO_ERROR_NONE; /* nothing is tiered */
    default: UNREACHABLE();                                             /* list_by_time */
    }
}

/* A look up by time, between whose steps the lock is free. */
struct time_search {
    int64_t from_offset;
    struct log_time_batch batch; /* to be looked into next */
    int64_t fetchable;
    bool hw_lags;
};

static enum proto_error
search_locked(struct replica_partition *part, const struct replica_list_offset *list,
    struct time_search *search)
{
    enum proto_error error = fetchable_locked(part, list, &search->fetchable);
    enum err err;

    if (error != PROTO_ERROR_NONE)
        return error;
    search->hw_lags = hw_lags_election(part, list);
    err = list->timestamp == REPLICA_TIME_MAX
              ? log_time_find_max(part->log, &search->batch)
              : log_time_find(part->log, list->timestamp, search->from_offset, &search->batch);
    return err == ERR_OK ? PROTO_ERROR_NONE : read_error(err);
}

static enum proto_error
list_by_time(struct replica_partition *part, struct replica_list_offset *list)
{
    struct time_search search = {.from_offset = 0};
    struct log_time_offset found = {.offset = -1};

    for (;;) {
        mutex_lock(&part->mutex);
        enum proto_error error = search_locked(part, list, &search);
        mutex_unlock(&part->mutex);
        if (error != PROTO_ERROR_NONE)
            return error;
        if (search.batch.file == NULL)
            break;
        enum err err = log_time_look(&search.batch, &found);
        env_file_close(&search.batch.file);
        if (err != ERR_OK)
            return read_error(err);
        if (found.offset >= 0 || list->timestamp == REPLICA_TIME_MAX)
            break;
        search.from_offset = search.batch.next_offset;
    }
    if (found.offset >= 0 && found.offset < search.fetchable) {
        list->offset = found.offset;
        list->timestamp_found = found.timestamp;
        list->epoch = found.leader_epoch;
        return PROTO_ERROR_NONE;
    }
    return search.hw_lags ? PROTO_ERROR_OFFSET_NOT_AVAILABLE : PROTO_ERROR_NONE;
}

bool
replica_time_needs_records(int64_t timestamp)
{
    return timestamp >= 0 || timestamp == REPLICA_TIME_MAX ||
           timestamp < REPLICA_TIME_EARLIEST_PENDING_UPLOAD;
}

enum proto_error
replica_partition_list_offset(struct replica_partition *part, struct replica_list_offset *list)
{
    enum proto_error error;

    list->offset = -1;
    list->timestamp_found = -1;
    list->epoch = -1;
    if (replica_time_needs_records(list->timestamp))
        return list_by_time(part, list);
    mutex_lock(&part->mutex);
    error = list_locked(part, list);
    mutex_unlock(&part->mutex);
    return error;
}

enum proto_error
replica_partition_epoch_end(struct replica_partition *part, int32_t leader_epoch_current,
    int32_t epoch_asked, int32_t *epoch, int64_t *end_offset)
{
    enum proto_error error;

    mutex_lock(&part->mutex);
    error = replica_partition_check(part, leader_epoch_current, true);
    if (error == PROTO_ERROR_NONE)
        log_epoch_end(part->log, epoch_asked, epoch, end_offset);
    mutex_unlock(&part->mutex);
    return error;
}

/* ---- deleting records ---- */

static enum proto_error
delete_locked(struct replica_partition *part, int64_t offset, int64_t *low_watermark)
{
    enum proto_error error = replica_partition_check(part, -1, true);
    enum err err;

    if (error != PROTO_ERROR_NONE)
        return error;
    if (!part->cleanup_delete)
        return PROTO_ERROR_POLICY_VIOLATION;
    if (offset == -1)
        offset = part->high_watermark;
    if (offset < 0 || offset > part->high_watermark)
        return PROTO_ERROR_OFFSET_OUT_OF_RANGE;
    err = log_start_advance(part->log, offset);
    if (err != ERR_OK)
        return read_error(err);
    *low_watermark = log_start_offset(part->log);
    return PROTO_ERROR_NONE;
}

enum proto_error
replica_partition_delete_records(
    struct replica_partition *part, int64_t offset, int64_t *low_watermark)
{
    enum proto_error error;

    mutex_lock(&part->mutex);
    error = delete_locked(part, offset, low_watermark);
    mutex_unlock(&part->mutex);
    return error;
}

/* ---- producers ---- */

enum proto_error
replica_partition_producers(struct replica_partition *part,
    void (*fn)(void *ctx, const struct log_producer_info *info), void *ctx)
{
    enum proto_error error;

    mutex_lock(&part->mutex);
    error = replica_partition_check(part, -1, true);
    if (error == PROTO_ERROR_NONE)
        log_producers(part->log, fn, ctx);
    mutex_unlock(&part->mutex);
    return error;
}
