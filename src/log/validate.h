/* log/validate.h - everything that is checked, and changed, before batches enter a log.
 *
 * A leader's append is two calls, so that the work is done outside the partition's lock:
 *
 *     log_validate_leader(v, &opts, data, len, &result)    no lock: checksums, sizes, records;
 *                                                          stamps LogAppendTime, recompresses
 *     log_validate_assign(&result, offset, epoch)          lock held: patches offsets and epoch
 *
 * A follower's append is log_validate_follower alone. Nothing here does I/O. */
#ifndef LOG_VALIDATE_H
#define LOG_VALIDATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"
#include "log/reject.h"
#include "wire/compress.h"

/* Working memory kept between calls: one per thread that appends. */
struct log_validator;

MUST_USE enum err log_validator_new(struct log_validator **out);
void log_validator_free(struct log_validator **v);

struct log_validate_opts {
    enum log_origin origin;
    bool batches_many;         /* several batches are fine (default: exactly one, as for Produce) */
    bool compacted;            /* cleanup.policy has compact: keys are required */
    bool codec_keep;           /* compression.type=producer */
    enum compress_codec codec; /* else this one */
    int level;                 /* of that codec; COMPRESS_LEVEL_DEFAULT */
    bool log_append_time;      /* message.timestamp.type */
    int64_t timestamp_before_max_ms; /* INT64_MAX: no bound */
    int64_t timestamp_after_max_ms;
    int64_t now_ms;           /* wall clock */
    size_t message_bytes_max; /* max.message.bytes; 0: not checked */
    size_t segment_bytes_max; /* segment.bytes; 0: not checked */
    int32_t leader_epoch;     /* what a raft leader's batches must carry already */
    size_t check_max;         /* not 0: ERR_AGAIN for what takes longer; LIMIT_CHECK_BRIEF */
};

enum log_record_fault {
    LOG_RECORD_NO_KEY,          /* on a compacted topic */
    LOG_RECORD_TIMESTAMP_RANGE, /* outside before/after max */
    LOG_RECORD_TIMESTAMP_TYPE,  /* the producer said LogAppendTime */
    LOG_RECORD_OFFSET,          /* compressed, and offset delta is not its index */
};

/* One record that was refused. At most LOG_RECORD_ERRORS_MAX are kept; the count goes on. */
enum { LOG_RECORD_ERRORS_MAX = 1000 };
struct log_record_error {
    enum log_record_fault fault;
    int32_t index; /* of the record in its batch */
    int64_t offset;
    int64_t timestamp;
    int64_t timestamp_min, timestamp_max; /* the bounds, for _TIMESTAMP_RANGE */
};

struct log_validate_result {
    enum log_reject reject;
    const char *what;                      /* static text why, "" when none; never NULL */
    const struct log_record_error *errors; /* the validator's, until its next call */
    int32_t error_count;                   /* in errors */
    int32_t error_total;
    /* When not refused: */
    uint8_t *data;       /* the batches: the caller's bytes, or the validator's when rebuilt */
    size_t len;          /* without a cut-off batch at the end */
    bool rebuilt;        /* recompressed */
    int32_t batch_count; /* 0: nothing to append */
    int64_t record_count;
    int64_t first_offset; /* follower: as found; leader: after assign */
    int64_t last_offset;
    int32_t last_leader_epoch; /* of the last batch */
    int64_t max_timestamp;
    int64_t max_timestamp_offset; /* leader: relative to first_offset until assign */
    int64_t log_append_ms;        /* what Produce answers: -1 under CreateTime */
    enum compress_codec codec;    /* of the last compressed batch as it came */
};

/* Checks as Kafka's leader does, in its order, and prepares the bytes in place. ERR_OK with
 * result->reject set is a refusal; an error (NOMEM) is ours. ERR_AGAIN, only with a
 * check_max: nothing is known or changed, it takes longer than that. data is
 * changed only in ways that a later attempt with the same bytes tolerates. */
MUST_USE enum err log_validate_leader(struct log_validator *v, const struct log_validate_opts *opts,
    uint8_t *data, size_t len, struct log_validate_result *result);

/* Patches base offsets (consecutive from `offset`) and the leader epoch into result->data, and
 * makes result's offsets absolute. Only after a log_validate_leader that refused nothing. */
void log_validate_assign(struct log_validate_result *result, int64_t offset, int32_t leader_epoch);

/* Whole batches fetched from a leader: length, magic and checksum of each, offsets growing and not
 * below offset_next. Batches from the first one on whose epoch is above epoch_max are left out
 * (KAFKA-18723). Sizes are not checked. Nothing is patched. */
MUST_USE enum err log_validate_follower(uint8_t *data, size_t len, int64_t offset_next,
    int32_t epoch_max, struct log_validate_result *result);

/* The text Kafka gives to one record error; always terminated. topic_partition is e.g. "orders-3".
 */
void log_record_error_text(
    const struct log_record_error *e, const char *topic_partition, char *out, size_t size);

#endif
