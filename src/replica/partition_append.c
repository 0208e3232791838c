/* replica/partition_append.c - a leader's append: who may, what was wrong, and what follows from
 * it.
 *
 * The checks of the bytes (checksums, decompression) run without the lock on a copy of the log's
 * configuration; role and state are checked before, to refuse cheaply, and again under the lock
 * that assigns the offsets. A refusal leaves no trace. Threads: any. Errors: Kafka's; a failed
 * write takes the partition out of service. */
#include "replica/partition.h"

#include <stdio.h>

#include "base/assert.h"
#include "base/limits.h"
#include "log/producer_state.h"
#include "replica/partition_priv.h"

static enum proto_error
reject_error(enum log_reject reject)
{
    switch (reject) {
    case LOG_REJECT_NONE:
    case LOG_REJECT_DUPLICATE: return PROTO_ERROR_NONE;
    case LOG_REJECT_CORRUPT: return PROTO_ERROR_CORRUPT_MESSAGE;
    case LOG_REJECT_INVALID_RECORD: return PROTO_ERROR_INVALID_RECORD;
    case LOG_REJECT_INVALID_TIMESTAMP: return PROTO_ERROR_INVALID_TIMESTAMP;
    case LOG_REJECT_MESSAGE_TOO_LARGE: return PROTO_ERROR_MESSAGE_TOO_LARGE;
    case LOG_REJECT_RECORD_LIST_TOO_LARGE: return PROTO_ERROR_RECORD_LIST_TOO_LARGE;
    case LOG_REJECT_UNSUPPORTED_COMPRESSION: return PROTO_ERROR_UNSUPPORTED_COMPRESSION_TYPE;
    case LOG_REJECT_OUT_OF_ORDER_SEQUENCE: return PROTO_ERROR_OUT_OF_ORDER_SEQUENCE_NUMBER;
    case LOG_REJECT_INVALID_PRODUCER_EPOCH: return PROTO_ERROR_INVALID_PRODUCER_EPOCH;
    case LOG_REJECT_INVALID_TXN_STATE: return PROTO_ERROR_INVALID_TXN_STATE;
    case LOG_REJECT_COORDINATOR_FENCED: return PROTO_ERROR_TRANSACTION_COORDINATOR_FENCED;
    case LOG_REJECT_TOO_MANY_PRODUCERS: return PROTO_ERROR_POLICY_VIOLATION;
    case LOG_REJECT_OFFSETS_OUT_OF_ORDER: return PROTO_ERROR_UNKNOWN_SERVER_ERROR;
    }
    UNREACHABLE();
}

/* The details live in the validator's memory until its next use: they move to the request's. Out of
 * memory loses details, never the refusal. */
static void
keep_details(const struct replica_partition *part, struct replica_append *append, const char *what,
    const struct log_record_error *errors, int32_t count)
{
    char name[LIMIT_TOPIC_NAME + 16];
    char text[512];

    append->what = what != NULL && what[0] != '\0' ? what : NULL;
    if (count == 0 || append->arena == NULL)
        return;
    append->record_errors =
        arena_calloc(append->arena, (size_t)count, sizeof *append->record_errors);
    if (append->record_errors == NULL)
        return;
    snprintf(name, sizeof name, "%.*s-%d", STR_FMT(part->topic), (int)part->index);
    for (int32_t i = 0; i < count; i++) {
        log_record_error_text(&errors[i], name, text, sizeof text);
        append->record_errors[i].index = errors[i].index;
        append->record_errors[i].text = arena_str(append->arena, str_of(text));
    }
    append->record_error_count = count;
}

/* Who may append now. Lock held. */
static enum proto_error
may_append(const struct replica_partition *part, const struct replica_append *append)
{
    enum proto_error error = replica_partition_check(part, append->leader_epoch, true);

    if (error != PROTO_ERROR_NONE)
        return error;
    if (log_state(part->log) != LOG_OPEN)
        return PROTO_ERROR_KAFKA_STORAGE_ERROR;
    if (append->acks == -1 && part->isr_count < replica_partition_isr_min(part))
        return PROTO_ERROR_NOT_ENOUGH_REPLICAS;
    return PROTO_ERROR_NONE;
}

/* What a failed append means. A full disk leaves the log usable; doubt about what was written does
 * not: the log says so by its state. Lock held. */
static enum proto_error
append_failed(struct replica_partition *part, enum err err, bool *down, struct list *failed)
{
    if (err == ERR_NOMEM)
        return PROTO_ERROR_UNKNOWN_SERVER_ERROR;
    if (log_state(part->log) == LOG_FAILED) {
        replica_partition_down(part, REPLICA_WAKE_FAILED, failed);
        *down = true;
    }
    return PROTO_ERROR_KAFKA_STORAGE_ERROR;
}

/* For these Kafka does not tell where the log starts. */
static bool
hides_log_start(enum log_reject reject)
{
    return reject == LOG_REJECT_CORRUPT || reject == LOG_REJECT_MESSAGE_TOO_LARGE ||
           reject == LOG_REJECT_RECORD_LIST_TOO_LARGE;
}

/* What follows from a commit, once the lock is free. */
struct append_ends {
    struct list woken, failed;
    bool down;
    enum err err;
};

static enum proto_error
append_locked(
    struct replica_partition *part, struct replica_append *append, struct append_ends *ends)
{
    struct log_append_result result;
    enum proto_error error = may_append(part, append);

    if (error != PROTO_ERROR_NONE)
        return error;
    append->log_start_offset = log_start_offset(part->log);
    append->opts.leader_epoch = part->leader_epoch;
    ends->err = log_append_checked(part->log, &append->checked, &append->opts, &result);
    if (ends->err != ERR_OK)
        return append_failed(part, ends->err, &ends->down, &ends->failed);
    error = reject_error(result.reject);
    if (error != PROTO_ERROR_NONE) {
        keep_details(part, append, result.what, result.errors, result.error_count);
        return error;
    }
    ASSERT(result.last_offset >= result.first_offset);
    append->base_offset = result.first_offset;
    append->last_offset = result.last_offset;
    append->log_append_time_ms = result.log_append_ms;
    append->leader_epoch_used = part->leader_epoch;
    append->duplicate = result.reject == LOG_REJECT_DUPLICATE;
    part->traffic.produces++;
    if (append->duplicate)
        return PROTO_ERROR_NONE;
    part->traffic.messages_in += (uint64_t)(result.last_offset - result.first_offset + 1);
    part->traffic.bytes_in += append->len;
    replica_flush_appended(part, append->acks == -1);
    replica_partition_advance(part, &ends->woken);
    return PROTO_ERROR_NONE;
}

/* A copy of the configuration for the checks, if the append may go on at all. */
static enum proto_error
append_prepare(
    struct replica_partition *part, struct replica_append *append, struct log_config *config)
{
    enum proto_error error;

    mutex_lock(&part->mutex);
    error = may_append(part, append);
    if (error == PROTO_ERROR_NONE)
        *config = log_get_config(part->log);
    if (error == PROTO_ERROR_NONE)
        append->log_start_offset = log_start_offset(part->log);
    mutex_unlock(&part->mutex);
    return error;
}

/* As Kafka's metrics cut it: what is the client's or the cluster's daily business is no failure. */
static void
count_refusal(struct replica_partition *part, size_t len, enum proto_error error)
{
    mutex_lock(&part->mutex);
    part->traffic.produces++;
    switch ((int)error) {
    case PROTO_ERROR_UNKNOWN_TOPIC_OR_PARTITION:
    case PROTO_ERROR_NOT_LEADER_OR_FOLLOWER:
    case PROTO_ERROR_KAFKA_STORAGE_ERROR: break;
    case PROTO_ERROR_MESSAGE_TOO_LARGE:
    case PROTO_ERROR_RECORD_LIST_TOO_LARGE: part->traffic.bytes_rejected += len; break;
    case PROTO_ERROR_CORRUPT_MESSAGE: part->traffic.crc_rejected++; break;
    default: part->traffic.produces_failed++; break;
    }
    mutex_unlock(&part->mutex);
}

static void
append_begin(struct replica_append *append)
{
    bool coordinator = append->origin == REPLICA_ORIGIN_COORDINATOR;

    append->base_offset = -1;
    append->last_offset = -1;
    append->log_append_time_ms = -1;
    append->log_start_offset = -1;
    append->leader_epoch_used = -1;
    append->duplicate = false;
    append->what = NULL;
    append->record_errors = NULL;
    append->record_error_count = 0;
    append->opts = (struct log_append_opts){
        .origin = coordinator ? LOG_ORIGIN_COORDINATOR : LOG_ORIGIN_CLIENT,
        .batches_many = coordinator,
        .txn_version = PRODUCER_TXN_UNKNOWN,
        .sequence_lowest = -1,
    };
}

/* With the validator in append->opts, which it uses. */
static enum proto_error
append_check(struct replica_partition *part, struct replica_append *append, bool *again)
{
    struct log_config config;
    struct log_validate_result *checked = &append->checked;
    enum proto_error error = append_prepare(part, append, &config);

    if (error != PROTO_ERROR_NONE)
        return error;
    enum err err = log_append_check(&config, env_wall_ms(part->shared->env), append->batches,
        append->len, &append->opts, checked);
    *again = err == ERR_AGAIN;
    if (err != ERR_OK)
        return *again ? PROTO_ERROR_NONE : PROTO_ERROR_UNKNOWN_SERVER_ERROR;
    if (checked->reject == LOG_REJECT_NONE)
        return PROTO_ERROR_NONE;
    keep_details(part, append, checked->what, checked->errors, checked->error_count);
    if (hides_log_start(checked->reject))
        append->log_start_offset = -1;
    return reject_error(checked->reject);
}

enum proto_error
replica_partition_append_check(
    struct replica_partition *part, struct replica_append *append, size_t check_max, bool *again)
{
    enum proto_error error;

    append_begin(append);
    append->opts.check_max = check_max;
    *again = false;
    append->opts.validator = replica_validators_take(&part->shared->validators);
    if (append->opts.validator == NULL)
        return PROTO_ERROR_UNKNOWN_SERVER_ERROR;
    error = append_check(part, append, again);
    if (error != PROTO_ERROR_NONE || *again || !append->checked.rebuilt)
        replica_partition_append_drop(part, append); /* the bytes are the caller's */
    if (error != PROTO_ERROR_NONE)
        count_refusal(part, append->len, error);
    return error;
}

void
replica_partition_append_drop(struct replica_partition *part, struct replica_append *append)
{
    if (append->opts.validator != NULL)
        replica_validators_give(&part->shared->validators, append->opts.validator);
    append->opts.validator = NULL;
}

enum proto_error
replica_partition_append_commit(struct replica_partition *part, struct replica_append *append)
{
    struct append_ends ends = {.down = false};
    enum proto_error error;

    list_init(&ends.woken);
    list_init(&ends.failed);
    mutex_lock(&part->mutex);
    error = append_locked(part, append, &ends);
    mutex_unlock(&part->mutex);
    replica_partition_append_drop(part, append);
    replica_waiters_fire(&ends.woken, REPLICA_WAKE_REACHED);
    replica_waiters_fire(&ends.failed, REPLICA_WAKE_FAILED);
    if (ends.down)
        replica_partition_report(part, ends.err);
    if (error != PROTO_ERROR_NONE)
        count_refusal(part, append->len, error);
    return error;
}

enum proto_error
replica_partition_append(struct replica_partition *part, struct replica_append *append)
{
    bool again;
    enum proto_error error = replica_partition_append_check(part, append, 0, &again);

    ASSERT(!again);
    return error == PROTO_ERROR_NONE ? replica_partition_append_commit(part, append) : error;
}
