/* What: the checks and changes between a request's batches and the log (Kafka's LogValidator and
 * UnifiedLog.analyzeAndValidateRecords, in their order, since the first failure is the answer).
 * Invariants: I1 a result that refuses nothing has data of whole, checked batches of magic 2.
 *   I2 data changes only after every check of its batch has passed.
 * Threads: a validator belongs to one thread at a time; nothing here needs the partition's lock.
 * Errors: bad bytes are a refusal in the result; ERR_NOMEM is ours. */
#include "log/validate.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/buf.h"
#include "base/limits.h"
#include "wire/batch.h"
#include "wire/batch_builder.h"

/* Working memory above this is given back after the call that needed it. */
enum { VALIDATOR_KEEP_BYTES = 4 << 20 };

enum { LOG_RECORD_FAULTLESS = -1 };

struct log_validator {
    struct compress_ctx *compress;
    struct buf scratch; /* unpacked records of one batch */
    struct buf rebuilt; /* result->data when rebuilt */
    struct log_record_error *errors;
    int32_t error_capacity;
};

/* One leader's append on its way through. */
struct pass {
    struct log_validator *v;
    const struct log_validate_opts *opts;
    struct log_validate_result *result;
};

enum err
log_validator_new(struct log_validator **out)
{
    struct log_validator *v = mem_calloc(1, sizeof *v);
    if (v == NULL)
        return ERR_NOMEM;
    if (compress_ctx_new(&v->compress) != ERR_OK) {
        mem_free(v);
        return ERR_NOMEM;
    }
    buf_init(&v->scratch, LIMIT_VALIDATE_FLOOR); /* moved for each batch: check_records */
    buf_init(&v->rebuilt, SIZE_MAX / 2);
    *out = v;
    return ERR_OK;
}

void
log_validator_free(struct log_validator **v)
{
    if (*v == NULL)
        return;
    compress_ctx_free(&(*v)->compress);
    buf_fini(&(*v)->scratch);
    buf_fini(&(*v)->rebuilt);
    mem_free((*v)->errors);
    mem_free(*v);
    *v = NULL;
}

/* The first refusal stands. */
static enum err
refuse(struct log_validate_result *result, enum log_reject reject, const char *what)
{
    ASSERT(reject != LOG_REJECT_NONE);
    ASSERT(result->reject == LOG_REJECT_NONE);
    result->reject = reject;
    result->what = what != NULL ? what : "";
    return ERR_OK;
}

static void
result_init(struct log_validate_result *result, uint8_t *data)
{
    *result = (struct log_validate_result){
        .what = "",
        .data = data,
        .first_offset = -1,
        .last_offset = -1,
        .last_leader_epoch = -1,
        .max_timestamp = BATCH_NO_TIMESTAMP,
        .max_timestamp_offset = -1,
        .log_append_ms = BATCH_NO_TIMESTAMP,
    };
}

/* ---- each batch as a whole ---- */

/* The next batch of data; false at the end or when refused. */
static bool
next_batch(
    struct log_validate_result *result, const uint8_t *data, size_t len, struct batch_view *batch)
{
    switch ((int)batch_parse((struct bytes){data, len}, batch)) {
    case ERR_OK: return true;
    case ERR_TRUNCATED: return false; /* a cut-off tail is dropped, as Kafka does */
    case ERR_UNSUPPORTED:
        (void)refuse(result, LOG_REJECT_INVALID_RECORD,
            "Only record batches with magic version 2 are allowed");
        return false;
    default:
        (void)refuse(result, LOG_REJECT_CORRUPT, "Record batch has an impossible length or magic");
        return false;
    }
}

static void
check_batch(const struct pass *p, const struct batch_view *b)
{
    const struct log_validate_opts *o = p->opts;

    if (o->origin == LOG_ORIGIN_RAFT_LEADER && b->leader_epoch != o->leader_epoch)
        (void)refuse(p->result, LOG_REJECT_INVALID_RECORD,
            "Append from Raft leader did not set the batch epoch correctly");
    else if (o->origin == LOG_ORIGIN_CLIENT && b->base_offset != 0)
        (void)refuse(p->result, LOG_REJECT_INVALID_RECORD,
            "The baseOffset of the record batch in the append should be 0");
    else if (o->message_bytes_max != 0 && b->size_bytes > o->message_bytes_max)
        (void)refuse(p->result, LOG_REJECT_MESSAGE_TOO_LARGE,
            "The record batch size in the append exceeds the maximum configured value");
    else if (!batch_crc_ok(b))
        (void)refuse(p->result, LOG_REJECT_CORRUPT,
            "Record is corrupt (stored crc differs from computed crc)");
}

/* First pass: whole batches, their sizes and checksums. */
static void
check_batches(const struct pass *p, const uint8_t *data, size_t len)
{
    struct log_validate_result *result = p->result;
    struct batch_view b;

    while (next_batch(result, data + result->len, len - result->len, &b)) {
        check_batch(p, &b);
        if (result->reject != LOG_REJECT_NONE)
            return;
        if (batch_codec(&b) != COMPRESS_NONE && batch_codec(&b) < COMPRESS_CODEC_COUNT)
            result->codec = (enum compress_codec)batch_codec(&b);
        result->last_leader_epoch = b.leader_epoch;
        result->batch_count++;
        result->len += b.size_bytes;
    }
    if (result->reject != LOG_REJECT_NONE || p->opts->batches_many)
        return;
    if (result->batch_count == 0 && p->opts->origin == LOG_ORIGIN_CLIENT)
        (void)refuse(result, LOG_REJECT_INVALID_RECORD, "Record batch has no batches at all");
    else if (result->batch_count > 1)
        (void)refuse(
            result, LOG_REJECT_INVALID_RECORD, "Compressed outer record has more than one batch");
}

/* What the header alone tells. */
static void
check_header(const struct pass *p, const struct batch_view *b)
{
    struct log_validate_result *result = p->result;

    if (b->last_offset_delta < 0)
        (void)refuse(result, LOG_REJECT_INVALID_RECORD, "Batch has an invalid offset range");
    else if (b->record_count <= 0)
        (void)refuse(result, LOG_REJECT_INVALID_RECORD, "Invalid reported count for record batch");
    else if ((int64_t)b->last_offset_delta + 1 != b->record_count)
        (void)refuse(result, LOG_REJECT_INVALID_RECORD,
            "Inconsistent batch offset range and count of records");
    else if (p->opts->origin == LOG_ORIGIN_CLIENT && batch_is_control(b))
        (void)refuse(
            result, LOG_REJECT_INVALID_RECORD, "Clients are not allowed to write control records");
    else if (p->opts->origin == LOG_ORIGIN_CLIENT && batch_has_producer_id(b) &&
             b->base_sequence < 0)
        (void)refuse(result, LOG_REJECT_INVALID_RECORD,
            "Invalid sequence number in record batch with producerId");
}

/* ---- each record ---- */

static enum err
add_error(const struct pass *p, const struct log_record_error *e)
{
    struct log_validator *v = p->v;
    struct log_validate_result *result = p->result;

    result->error_total++;
    if (result->error_count == LOG_RECORD_ERRORS_MAX)
        return ERR_OK;
    if (result->error_count == v->error_capacity) {
        int32_t capacity = v->error_capacity == 0 ? 8 : v->error_capacity * 2;
        void *grown = mem_realloc(v->errors, (size_t)capacity * sizeof *v->errors);
        if (grown == NULL)
            return ERR_NOMEM;
        v->errors = grown;
        v->error_capacity = capacity;
    }
    v->errors[result->error_count++] = *e;
    result->errors = v->errors;
    return ERR_OK;
}

static int64_t
sub_wrap(int64_t a, int64_t b)
{
    return (int64_t)((uint64_t)a - (uint64_t)b);
}

/* Outside the bounds, computed as Kafka does, overflow included. */
static bool
timestamp_out_of_range(const struct log_validate_opts *o, int64_t timestamp)
{
    int64_t age = sub_wrap(o->now_ms, timestamp);
    return age > o->timestamp_before_max_ms || sub_wrap(0, age) > o->timestamp_after_max_ms;
}

/* What is wrong with a record on its own; LOG_RECORD_FAULTLESS when nothing. */
static int
record_fault(const struct log_validate_opts *o, const struct batch_view *b,
    const struct batch_record *r, int32_t index)
{
    if (r->offset_delta != index && batch_codec(b) != COMPRESS_NONE)
        return LOG_RECORD_OFFSET;
    if (o->compacted && r->key.data == NULL)
        return LOG_RECORD_NO_KEY;
    if (!o->log_append_time && r->timestamp != BATCH_NO_TIMESTAMP)
        return timestamp_out_of_range(o, r->timestamp) ? LOG_RECORD_TIMESTAMP_RANGE
                                                       : LOG_RECORD_FAULTLESS;
    return batch_is_log_append_time(b) ? LOG_RECORD_TIMESTAMP_TYPE : LOG_RECORD_FAULTLESS;
}

static enum err
check_record(
    const struct pass *p, const struct batch_view *b, const struct batch_record *r, int32_t index)
{
    const struct log_validate_opts *o = p->opts;
    int fault = record_fault(o, b, r, index);

    if (LIKELY(fault == LOG_RECORD_FAULTLESS))
        return ERR_OK;
    return add_error(p,
        &(struct log_record_error){
            .fault = (enum log_record_fault)fault,
            .index = index,
            .offset = r->offset,
            .timestamp = r->timestamp,
            .timestamp_min = sub_wrap(o->now_ms, o->timestamp_before_max_ms),
            .timestamp_max = (int64_t)((uint64_t)o->now_ms + (uint64_t)o->timestamp_after_max_ms),
        });
}

static void
refuse_records(struct log_validate_result *result)
{
    for (int32_t i = 0; i < result->error_count; i++) {
        if (result->errors[i].fault == LOG_RECORD_TIMESTAMP_RANGE ||
            result->errors[i].fault == LOG_RECORD_TIMESTAMP_TYPE) {
            (void)refuse(result, LOG_REJECT_INVALID_TIMESTAMP,
                "One or more records have been rejected due to invalid timestamp");
            return;
        }
    }
    (void)refuse(result, LOG_REJECT_INVALID_RECORD,
        "One or more records have been rejected due to record errors");
}

/* Why the iteration failed, as a refusal; memory is not the sender's fault. */
static enum err
refuse_iter(struct log_validate_result *result, const struct batch_iter *it, bool unpacking)
{
    switch ((int)it->err) {
    case ERR_NOMEM: return ERR_NOMEM;
    case ERR_LIMIT: return refuse(result, LOG_REJECT_MESSAGE_TOO_LARGE, it->what);
    case ERR_UNSUPPORTED: return refuse(result, LOG_REJECT_UNSUPPORTED_COMPRESSION, it->what);
    default:
        return refuse(result, unpacking ? LOG_REJECT_CORRUPT : LOG_REJECT_INVALID_RECORD, it->what);
    }
}

static size_t
unpacked_max(size_t size_bytes)
{
    if (size_bytes <= (size_t)LIMIT_VALIDATE_FLOOR / LIMIT_VALIDATE_FACTOR)
        return LIMIT_VALIDATE_FLOOR;
    return size_bytes * LIMIT_VALIDATE_FACTOR; /* a batch is below 2 GiB */
}

/* The most that is unpacked, where there is such a limit. */
static size_t
check_max(const struct log_validate_opts *o, int codec)
{
    bool repacked = !o->codec_keep && o->codec != COMPRESS_NONE && (int)o->codec != codec;
    return repacked ? o->check_max / LIMIT_CHECK_REPACKED_SHARE : o->check_max;
}

/* True when it is not even begun: by what the header says, and it may lie. */
static bool
takes_long(const struct log_validate_opts *o, const uint8_t *data, size_t len)
{
    if (o->check_max == 0 || len < BATCH_HEADER_SIZE)
        return false;
    int codec = load_be16(data + BATCH_AT_ATTRIBUTES) & BATCH_ATTR_CODEC_MASK;
    size_t most = check_max(o, codec);
    if (codec != COMPRESS_NONE)
        return len > most / 2; /* hardly unpacks to less than twice */
    int64_t count = (int32_t)load_be32(data + BATCH_AT_RECORD_COUNT);
    bool packed = most < o->check_max;
    return len > (packed ? most : most * LIMIT_CHECK_PLAIN_FACTOR) ||
           count > (int64_t)(o->check_max / LIMIT_CHECK_RECORDS_SHARE);
}

/* What is learned of a batch's records. */
struct contents {
    int64_t max_timestamp;
    struct bytes unpacked; /* lives as long as the batch and the scratch buffer */
    bool renumber;         /* their offsets do not ascend one by one */
};

/* Reads every record. */
static enum err
check_records(const struct pass *p, const struct batch_view *b, struct contents *out)
{
    struct log_validate_result *result = p->result;
    struct batch_iter it;
    struct batch_record r;
    int64_t max = BATCH_NO_TIMESTAMP;
    int32_t max_index = -1;

    if (p->v->scratch.capacity > unpacked_max(b->size_bytes))
        buf_fini(&p->v->scratch); /* of a larger batch before */
    size_t size_max = unpacked_max(b->size_bytes), most = check_max(p->opts, batch_codec(b));
    bool less = p->opts->check_max != 0 && size_max > most;
    p->v->scratch.size_max = less ? most : size_max;
    if (batch_iter_init(&it, b, p->v->compress, &p->v->scratch) != ERR_OK)
        return less && it.err == ERR_LIMIT ? ERR_AGAIN : refuse_iter(result, &it, true);
    it.strict = true;
    for (int32_t i = 0; batch_iter_next(&it, &r); i++) {
        if (r.timestamp > max) {
            max = r.timestamp;
            max_index = i;
        }
        if (r.offset_delta != i)
            out->renumber = true;
        if (check_record(p, b, &r, i) != ERR_OK)
            return ERR_NOMEM;
    }
    if (it.err != ERR_OK)
        return refuse_iter(result, &it, false);
    if (result->error_total > 0) {
        refuse_records(result);
        return ERR_OK;
    }
    ASSERT(it.index == b->record_count);
    if (max > result->max_timestamp) {
        result->max_timestamp = max;
        result->max_timestamp_offset = result->record_count + max_index;
    }
    out->max_timestamp = max;
    out->unpacked = it.unpacked;
    return ERR_OK;
}

/* ---- changes ---- */

static enum compress_codec
target_codec(const struct pass *p, const struct batch_view *b)
{
    enum compress_codec source = (enum compress_codec)batch_codec(b);
    ASSERT(source < COMPRESS_CODEC_COUNT); /* checked when it was unpacked */
    if (p->opts->codec_keep)
        return source;
    /* Control records are compressed only if they were written so. */
    if (source == COMPRESS_NONE && batch_is_control(b))
        return source;
    return p->opts->codec;
}

/* Copies the batches before the first one that is rebuilt. */
static enum err
rebuild_begin(const struct pass *p, size_t position)
{
    struct buf *rebuilt = &p->v->rebuilt;

    if (p->result->rebuilt)
        return ERR_OK;
    ASSERT(rebuilt->len == 0);
    buf_append(rebuilt, p->result->data, position);
    p->result->rebuilt = true;
    return rebuilt->err;
}

/* Stamps one checked batch, recompressed where the topic wants another codec, and with the offsets
 * that its records should have: Apache Kafka takes any when they are not compressed. */
static enum err
transform_batch(const struct pass *p, const struct batch_view *b, uint8_t *batch,
    const struct contents *contents)
{
    const struct log_validate_opts *o = p->opts;
    struct buf *rebuilt = &p->v->rebuilt;
    enum compress_codec codec = target_codec(p, b);
    size_t position = (size_t)(batch - p->result->data);
    size_t size = b->size_bytes;
    enum err err = ERR_OK;

    if (contents->renumber || codec != (enum compress_codec)batch_codec(b)) {
        err = rebuild_begin(p, position);
        size_t at = rebuilt->len;
        if (err == ERR_OK)
            err = contents->renumber ? batch_renumber(b, codec, o->level, p->v->compress, rebuilt)
                                     : batch_recompress(b, contents->unpacked, codec, o->level,
                                           p->v->compress, rebuilt);
        if (err == ERR_LIMIT)
            return refuse(p->result, LOG_REJECT_MESSAGE_TOO_LARGE,
                "The record batch is too large after compression");
        if (err != ERR_OK)
            return err;
        batch = rebuilt->data + at;
        size = rebuilt->len - at;
        if (o->message_bytes_max != 0 && size > o->message_bytes_max)
            return refuse(p->result, LOG_REJECT_MESSAGE_TOO_LARGE,
                "Message batch size after recompression exceeds the maximum configured size");
    } else if (p->result->rebuilt) {
        size_t at = rebuilt->len;
        buf_append(rebuilt, batch, size);
        if (rebuilt->err != ERR_OK)
            return rebuilt->err;
        batch = rebuilt->data + at;
    }
    batch_set_max_timestamp(
        batch, size, o->log_append_time, o->log_append_time ? o->now_ms : contents->max_timestamp);
    return ERR_OK;
}

static enum err
leader_batches(const struct pass *p, uint8_t *data)
{
    struct log_validate_result *result = p->result;
    size_t at = 0;

    while (at < result->len) {
        struct batch_view b;
        struct contents contents = {.max_timestamp = BATCH_NO_TIMESTAMP, .unpacked = BYTES_NULL};
        enum err err = batch_parse((struct bytes){data + at, result->len - at}, &b);
        ASSERT(err == ERR_OK); /* I1, by check_batches */
        check_header(p, &b);
        if (result->reject != LOG_REJECT_NONE)
            return ERR_OK;
        err = check_records(p, &b, &contents);
        if (err != ERR_OK || result->reject != LOG_REJECT_NONE)
            return err;
        err = transform_batch(p, &b, data + at, &contents);
        if (err != ERR_OK || result->reject != LOG_REJECT_NONE)
            return err;
        result->record_count += b.record_count;
        at += b.size_bytes;
    }
    return ERR_OK;
}

static void
trim(struct buf *buf)
{
    if (buf->capacity > VALIDATOR_KEEP_BYTES)
        buf_fini(buf);
}

enum err
log_validate_leader(struct log_validator *v, const struct log_validate_opts *opts, uint8_t *data,
    size_t len, struct log_validate_result *result)
{
    struct pass p = {.v = v, .opts = opts, .result = result};

    ASSERT(opts->codec_keep || opts->codec < COMPRESS_CODEC_COUNT);
    ASSERT(opts->origin != LOG_ORIGIN_REPLICATION);
    trim(&v->rebuilt);
    buf_clear(&v->rebuilt);
    result_init(result, data);
    if (takes_long(opts, data, len))
        return ERR_AGAIN;
    check_batches(&p, data, len);
    if (result->reject != LOG_REJECT_NONE || result->batch_count == 0)
        return ERR_OK;
    enum err err = leader_batches(&p, data);
    trim(&v->scratch);
    if (err != ERR_OK || result->reject != LOG_REJECT_NONE)
        return err;
    if (result->rebuilt) {
        result->data = v->rebuilt.data;
        result->len = v->rebuilt.len;
    }
    result->first_offset = 0;
    result->last_offset = result->record_count - 1;
    if (opts->log_append_time) {
        result->log_append_ms = opts->now_ms;
        result->max_timestamp = opts->now_ms;
        result->max_timestamp_offset = result->last_offset;
    }
    if (opts->segment_bytes_max != 0 && result->len > opts->segment_bytes_max)
        return refuse(result, LOG_REJECT_RECORD_LIST_TOO_LARGE,
            "Message batch size in append exceeds the maximum configured segment size");
    return ERR_OK;
}

void
log_validate_assign(struct log_validate_result *result, int64_t offset, int32_t leader_epoch)
{
    size_t at = 0;
    int64_t next = offset;

    ASSERT(result->reject == LOG_REJECT_NONE);
    ASSERT(offset >= 0);
    while (at < result->len) {
        struct batch_view b;
        enum err err = batch_parse((struct bytes){result->data + at, result->len - at}, &b);
        ASSERT(err == ERR_OK); /* I1 */
        batch_set_base_offset(result->data + at, next);
        batch_set_leader_epoch(result->data + at, leader_epoch);
        next += (int64_t)b.last_offset_delta + 1;
        at += b.size_bytes;
    }
    ASSERT(next - offset == result->record_count);
    if (result->max_timestamp_offset >= 0)
        result->max_timestamp_offset += offset - result->first_offset;
    result->first_offset = offset;
    result->last_offset = next - 1;
    result->last_leader_epoch = leader_epoch;
}

enum err
log_validate_follower(uint8_t *data, size_t len, int64_t offset_next, int32_t epoch_max,
    struct log_validate_result *result)
{
    struct batch_view b;

    ASSERT(offset_next >= 0);
    result_init(result, data);
    while (next_batch(result, data + result->len, len - result->len, &b)) {
        if (epoch_max >= 0 && b.leader_epoch > epoch_max)
            return ERR_OK;
        if (!batch_crc_ok(&b))
            return refuse(result, LOG_REJECT_CORRUPT,
                "Record is corrupt (stored crc differs from computed crc)");
        if (b.last_offset_delta < 0 || b.base_offset < offset_next ||
            batch_last_offset(&b) < b.base_offset)
            return refuse(result, LOG_REJECT_OFFSETS_OUT_OF_ORDER,
                "Out of order offsets found in an append from a leader");
        if (batch_codec(&b) != COMPRESS_NONE && batch_codec(&b) < COMPRESS_CODEC_COUNT)
            result->codec = (enum compress_codec)batch_codec(&b);
        if (result->batch_count == 0)
            result->first_offset = b.base_offset;
        if (b.max_timestamp > result->max_timestamp) {
            result->max_timestamp = b.max_timestamp;
            result->max_timestamp_offset = batch_last_offset(&b);
        }
        result->last_offset = batch_last_offset(&b);
        result->last_leader_epoch = b.leader_epoch;
        result->record_count += b.record_count > 0 ? b.record_count : 0;
        result->batch_count++;
        result->len += b.size_bytes;
        offset_next = result->last_offset + 1;
    }
    return ERR_OK;
}

void
log_record_error_text(
    const struct log_record_error *e, const char *topic_partition, char *out, size_t size)
{
    ASSERT(size > 0);
    ASSERT(topic_partition != NULL);
    switch (e->fault) {
    case LOG_RECORD_NO_KEY:
        snprintf(out, size,
            "Compacted topic cannot accept message without key in topic partition %s",
            topic_partition);
        return;
    case LOG_RECORD_TIMESTAMP_RANGE:
        snprintf(out, size,
            "Timestamp %" PRId64 " of message with offset %" PRId64
            " is out of range. The timestamp should be within [%" PRId64 ", %" PRId64 "]",
            e->timestamp, e->offset, e->timestamp_min, e->timestamp_max);
        return;
    case LOG_RECORD_TIMESTAMP_TYPE:
        snprintf(out, size,
            "Invalid timestamp type in message with offset %" PRId64
            ". Producer should not set timestamp type to LogAppendTime.",
            e->offset);
        return;
    case LOG_RECORD_OFFSET:
        snprintf(out, size,
            "Inner record with offset %" PRId64
            " does not have incremental offsets, expected offset is %" PRId32
            " in topic partition %s.",
            e->offset, e->index, topic_partition);
        return;
    }
    UNREACHABLE();
}
