/* broker/api_produce.c - Produce: append to each partition, answer when the acks asked for are
 * there.
 *
 * States of a request: appending, one partition after the other -> (acks=all: parked until every
 * append is committed, or timed out) -> answered. What takes long to check is checked on a pool
 * (broker/check.h), and a request of many bytes goes on in other turns; its connection is held
 * meanwhile. The bytes are never copied: they are validated and patched in the frame and written
 * from there. Each partition succeeds or fails by itself. Threads: the request's reactor. Errors:
 * Kafka's per partition; acks=0 with any error closes the connection. */
#include "base/assert.h"
#include "base/limits.h"
#include "broker/broker.h"
#include "broker/check.h"
#include "broker/leader_hint.h"
#include "broker/park.h"
#include "broker/quota_req.h"
#include "broker/request.h"
#include "meta/image.h"
#include "net/conn.h"
#include "proto/error_codes.h"
#include "proto/produce_request.h"
#include "proto/produce_response.h"
#include "replica/manager.h"
#include "wire/batch.h"

enum {
    VERSION_ZSTD = 7,
    VERSION_RECORD_ERRORS = 8,
    VERSION_LEADER_HINT = 10,
    VERSION_TXN_ABORTABLE = 11,
    VERSION_TOPIC_ID = 13,
};

/* The client's timeout is for followers; below this our own disk would be too slow for it. */
enum { WAIT_MS_MIN = 1000 };

struct produce_wait {
    struct replica_partition *part; /* referenced */
    struct proto_produce_response_partition_produce_response *response;
    int64_t end_offset;
    int32_t leader_epoch;
};

struct produce {
    struct broker_park park; /* req->state */
    struct broker_req *req;
    const struct proto_produce_request *msg;
    struct proto_produce_response response;
    struct produce_wait *waits;
    int32_t wait_count;
    bool failed; /* some partition has an error */
    /* Where appending is: the partition to be done next, and what was done in this turn. */
    enum proto_error error; /* of the request as a whole, for every partition */
    int32_t topic_at, part_at;
    size_t turn_cost;           /* in bytes: LIMIT_APPEND_* */
    struct broker_check *check; /* the one under way */
};

/* When it goes on: another turn of its connection, and what was checked meanwhile. */
static void produce_turn(struct broker_req *req);
static void produce_checked(struct broker_req *req);

/* ---- answering ---- */

static void
add_endpoint(struct produce *p, const struct broker_leader_hint *hint)
{
    struct proto_produce_response_node_endpoint *items = p->response.node_endpoints.items;
    int32_t count = p->response.node_endpoints.count;

    for (int32_t i = 0; i < count; i++)
        if (items[i].node_id == hint->leader_id)
            return;
    if (items == NULL)
        items = arena_calloc(p->req->arena, BROKER_LEADER_HINTS_MAX, sizeof *items);
    if (items == NULL || count == BROKER_LEADER_HINTS_MAX)
        return;
    items[count] = (struct proto_produce_response_node_endpoint){
        .node_id = hint->leader_id,
        .host = hint->host,
        .port = hint->port,
        .rack = hint->rack,
    };
    p->response.node_endpoints.items = items;
    p->response.node_endpoints.count = count + 1;
}

static void
part_fail(struct produce *p, struct proto_produce_response_partition_produce_response *response,
    struct str topic, enum proto_error error)
{
    struct broker_leader_hint hint;

    ASSERT(error != PROTO_ERROR_NONE);
    response->error_code = (int16_t)error;
    p->failed = true;
    if (error != PROTO_ERROR_NOT_LEADER_OR_FOLLOWER || p->req->version < VERSION_LEADER_HINT)
        return;
    broker_leader_hint_find(p->req, topic, response->index, &hint);
    response->current_leader.leader_id = hint.leader_id;
    response->current_leader.leader_epoch = hint.leader_epoch;
    if (hint.has_endpoint)
        add_endpoint(p, &hint);
}

static void
produce_reply(struct produce *p)
{
    broker_quota_produced(p->req, p->req->frame_len);
    if (p->msg->acks != 0)
        broker_req_reply(p->req, &p->response);
    else if (p->failed)
        broker_req_close(p->req, "produce with acks=0 failed");
    else
        broker_req_reply_none(p->req);
}

/* ---- appending ---- */

/* What Kafka looks at before it looks for the partition. */
static enum proto_error
check_records(const struct produce *p, struct bytes records, const char **what)
{
    int codec;

    if (records.data == NULL || records.len <= BATCH_AT_MAGIC) {
        *what = "There must be exactly one record batch per partition";
        return PROTO_ERROR_INVALID_RECORD;
    }
    if (records.len < BATCH_HEADER_SIZE)
        return PROTO_ERROR_NONE;
    codec = load_be16(records.data + BATCH_AT_ATTRIBUTES) & BATCH_ATTR_CODEC_MASK;
    if (records.data[BATCH_AT_MAGIC] == BATCH_MAGIC && codec == COMPRESS_ZSTD &&
        p->req->version < VERSION_ZSTD)
        return PROTO_ERROR_UNSUPPORTED_COMPRESSION_TYPE;
    return PROTO_ERROR_NONE;
}

static bool
is_transactional(struct bytes records)
{
    return records.data != NULL && records.len >= BATCH_HEADER_SIZE &&
           (load_be16(records.data + BATCH_AT_ATTRIBUTES) & BATCH_ATTR_TRANSACTIONAL) != 0;
}

/* Only Kafka's admin client may write what the broker writes itself. */
static bool
may_write_internal(const struct broker_req *req)
{
    return str_eq_z(req->client_id, "__admin_client");
}

/* What a client may not do to a partition that is here. */
static enum proto_error
may_append(const struct produce *p, struct str topic, struct bytes records)
{
    if (meta_topic_name_is_internal(topic) && !may_write_internal(p->req))
        return PROTO_ERROR_INVALID_TOPIC_EXCEPTION;
    if (!is_transactional(records))
        return PROTO_ERROR_NONE;
    /* No transaction coordinator: no partition is in a transaction. */
    return p->req->version >= VERSION_TXN_ABORTABLE ? PROTO_ERROR_TRANSACTION_ABORTABLE
                                                    : PROTO_ERROR_INVALID_TXN_STATE;
}

enum { ERRORS_SHOWN = 3 };

/* The first errors of records as one sentence, as Kafka puts it. */
static struct str
errors_text(struct produce *p, const struct replica_append *append)
{
    struct arena *arena = p->req->arena;
    struct str list = STR("");
    for (int32_t i = 0; i < append->record_error_count && i < ERRORS_SHOWN; i++)
        list = arena_printf(arena, "%.*s%sRecordError(batchIndex=%d, message='%.*s')",
            STR_FMT(list), i == 0 ? "" : ", ", (int)append->record_errors[i].index,
            STR_FMT(append->record_errors[i].text));
    return arena_printf(arena,
        "One or more records have been rejected due to %d record errors in total, and only showing "
        "the first three errors at most: [%.*s]",
        (int)append->record_error_count, STR_FMT(list));
}

static void
set_details(struct produce *p, struct proto_produce_response_partition_produce_response *response,
    const struct replica_append *append)
{
    if (p->req->version < VERSION_RECORD_ERRORS)
        return;
    if (append->what != NULL)
        response->error_message = arena_str(p->req->arena, str_of(append->what));
    if (append->record_error_count == 0)
        return;
    if (response->error_code == PROTO_ERROR_INVALID_RECORD)
        response->error_message = errors_text(p, append);
    response->record_errors.items = arena_calloc(
        p->req->arena, (size_t)append->record_error_count, sizeof *response->record_errors.items);
    if (response->record_errors.items == NULL)
        return;
    for (int32_t i = 0; i < append->record_error_count; i++) {
        response->record_errors.items[i].batch_index = append->record_errors[i].index;
        response->record_errors.items[i].batch_index_error_message = append->record_errors[i].text;
    }
    response->record_errors.count = append->record_error_count;
}

/* One batch of magic 2 that ends where the bytes end. */
static bool
is_one_batch(struct bytes records)
{
    return records.len >= BATCH_HEADER_SIZE && records.data[BATCH_AT_MAGIC] >= BATCH_MAGIC &&
           (uint64_t)load_be32(records.data + BATCH_AT_LENGTH) + BATCH_AT_LENGTH + 4 == records.len;
}

/* What came of an append; with acks=all and no error the partition's reference goes to the list of
 * waits. Takes the reference. */
static void
part_appended(struct produce *p, struct replica_partition *part,
    const struct replica_append *append, enum proto_error error,
    struct proto_produce_response_partition_produce_response *response)
{
    struct bytes records = {append->batches, append->len};

    /* Kafka looks at the form of the request before it looks for the log. */
    bool formless = error == PROTO_ERROR_INVALID_RECORD && !is_one_batch(records);
    response->log_start_offset = formless ? -1 : append->log_start_offset;
    if (error != PROTO_ERROR_NONE) {
        part_fail(p, response, replica_partition_topic(part), error);
        set_details(p, response, append);
        replica_partition_unref(&part);
        return;
    }
    response->base_offset = append->base_offset;
    response->log_append_time_ms = append->log_append_time_ms;
    if (p->msg->acks != -1) {
        replica_partition_unref(&part);
        return;
    }
    p->waits[p->wait_count++] = (struct produce_wait){
        .part = part,
        .response = response,
        .end_offset = append->last_offset + 1,
        .leader_epoch = append->leader_epoch_used,
    };
}

/* Appends, with a reference to the partition. False: that goes on on the pool. */
static bool
part_append(struct produce *p, struct replica_partition *part, struct bytes records,
    struct proto_produce_response_partition_produce_response *response)
{
    struct replica_append append = {
        .batches = (uint8_t *)(uintptr_t)records.data, /* in req->frame, which is ours to patch */
        .len = records.len,
        .origin = REPLICA_ORIGIN_CLIENT,
        .acks = p->msg->acks,
        .leader_epoch = -1,
        .arena = p->req->arena,
    };
    bool again;
    enum proto_error error =
        replica_partition_append_check(part, &append, broker_check_max(p->req), &again);

    if (again) {
        p->check = arena_calloc(p->req->arena, 1, sizeof *p->check);
        if (p->check != NULL) {
            broker_req_hold(p->req);
            p->check->part = part;
            p->check->append = append;
            broker_check_start(p->check, p->req, produce_checked);
            return false;
        }
        error = PROTO_ERROR_UNKNOWN_SERVER_ERROR;
    }
    if (error == PROTO_ERROR_NONE)
        error = replica_partition_append_commit(part, &append);
    part_appended(p, part, &append, error, response);
    return true;
}

static bool
part_produce(struct produce *p, struct str topic, struct uuid topic_id,
    const struct proto_produce_request_partition_produce_data *data,
    struct proto_produce_response_partition_produce_response *response)
{
    struct replica_partition *part = NULL;
    const char *what = NULL;
    enum proto_error error = check_records(p, data->records.bytes, &what);

    if (str_is_null(topic))
        error = PROTO_ERROR_UNKNOWN_TOPIC_ID;
    if (error == PROTO_ERROR_NONE)
        error = replica_manager_find(
            broker_replicas(p->req->broker), p->req->image, topic, topic_id, data->index, &part);
    if (error == PROTO_ERROR_NONE)
        error = may_append(p, topic, data->records.bytes);
    if (error == PROTO_ERROR_NONE)
        return part_append(p, part, data->records.bytes, response);
    replica_partition_unref(&part);
    part_fail(p, response, topic, error);
    if (what != NULL && p->req->version >= VERSION_RECORD_ERRORS)
        response->error_message = str_of(what);
    return true;
}

static size_t
append_max(const struct produce *p)
{
    return net_conn_is_watched(p->req->conn) ? LIMIT_APPEND_BRIEF : LIMIT_APPEND_ALONE;
}

/* The rest of a topic's partitions. False: goes on later. */
static bool
topic_produce(struct produce *p, const struct proto_produce_request_topic_produce_data *data,
    struct proto_produce_response_topic_produce_response *response)
{
    struct str name = data->name;

    if (p->req->version >= VERSION_TOPIC_ID) {
        const struct meta_topic *topic = meta_image_topic_by_id(p->req->image, data->topic_id);
        name = topic != NULL ? topic->name : STR_NULL;
    }
    while (p->part_at < data->partition_data.count) {
        struct proto_produce_response_partition_produce_response *part =
            &response->partition_responses.items[p->part_at];
        const struct proto_produce_request_partition_produce_data *part_data =
            &data->partition_data.items[p->part_at];
        if (p->turn_cost >= append_max(p)) {
            broker_req_hold(p->req);
            broker_req_resume_in_turn(p->req, produce_turn);
            return false;
        }
        p->part_at++;
        p->turn_cost += LIMIT_APPEND_PARTITION + part_data->records.bytes.len;
        if (p->error != PROTO_ERROR_NONE)
            part_fail(p, part, name, p->error);
        else if (!part_produce(p, name, data->topic_id, part_data, part))
            return false;
    }
    p->part_at = 0;
    return true;
}

/* ---- waiting ---- */

static void
produce_ended(struct broker_req *req)
{
    struct produce *p = req->state;

    for (int32_t i = 0; i < p->wait_count; i++) {
        struct produce_wait *wait = &p->waits[i];
        const struct broker_park_slot *slot = &p->park.slots[i];
        struct str topic = replica_partition_topic(wait->part);
        if (!slot->ended)
            part_fail(p, wait->response, topic, PROTO_ERROR_REQUEST_TIMED_OUT);
        else if (slot->why == REPLICA_WAKE_RESIGNED)
            part_fail(p, wait->response, topic, PROTO_ERROR_NOT_LEADER_OR_FOLLOWER);
        else if (slot->why == REPLICA_WAKE_DELETED)
            part_fail(p, wait->response, topic, PROTO_ERROR_UNKNOWN_TOPIC_OR_PARTITION);
        else if (slot->why == REPLICA_WAKE_FAILED)
            part_fail(p, wait->response, topic, PROTO_ERROR_KAFKA_STORAGE_ERROR);
        replica_partition_unref(&wait->part);
    }
    produce_reply(p);
}

static void
produce_wait(struct produce *p)
{
    struct broker_park_slot *slots;

    slots = arena_calloc(p->req->arena, (size_t)p->wait_count, sizeof *slots);
    if (slots == NULL) {
        for (int32_t i = 0; i < p->wait_count; i++)
            replica_partition_unref(&p->waits[i].part);
        broker_req_close(p->req, "out of request memory");
        return;
    }
    broker_req_let_go(p->req); /* all is appended: what comes next may be */
    broker_park_init(&p->park, p->req, BROKER_PARK_ALL, slots, produce_ended);
    for (int32_t i = 0; i < p->wait_count; i++)
        (void)broker_park_add(&p->park, p->waits[i].part, p->waits[i].leader_epoch,
            REPLICA_WATERMARK_HW, p->waits[i].end_offset);
    if (!broker_park_start(
            &p->park, p->msg->timeout_ms > WAIT_MS_MIN ? p->msg->timeout_ms : WAIT_MS_MIN))
        produce_ended(p->req);
}

/* ---- the request ---- */

/* Room for every answer, with the defaults of an answer without success. */
static bool
produce_prepare(struct produce *p)
{
    struct arena *arena = p->req->arena;
    int32_t topics = p->msg->topic_data.count > 0 ? p->msg->topic_data.count : 0;
    size_t parts = 0;

    proto_init(&proto_produce_response_schema, &p->response);
    p->response.responses.items =
        arena_calloc(arena, (size_t)topics, sizeof *p->response.responses.items);
    p->response.responses.count = topics;
    if (p->response.responses.items == NULL)
        return false;
    for (int32_t t = 0; t < topics; t++) {
        const struct proto_produce_request_topic_produce_data *data = &p->msg->topic_data.items[t];
        struct proto_produce_response_topic_produce_response *response =
            &p->response.responses.items[t];
        int32_t count = data->partition_data.count > 0 ? data->partition_data.count : 0;
        response->name = data->name;
        response->topic_id = data->topic_id;
        response->partition_responses.items = arena_alloc(arena,
            (size_t)count * sizeof(struct proto_produce_response_partition_produce_response));
        response->partition_responses.count = count;
        if (response->partition_responses.items == NULL)
            return false;
        for (int32_t i = 0; i < count; i++) {
            struct proto_produce_response_partition_produce_response *part =
                &response->partition_responses.items[i];
            proto_init(&proto_produce_response_partition_produce_response_schema, part);
            part->index = data->partition_data.items[i].index;
            part->base_offset = -1;
            part->log_append_time_ms = -1;
            part->log_start_offset = -1;
        }
        parts += (size_t)count;
    }
    p->waits = arena_alloc(arena, parts * sizeof *p->waits);
    return p->waits != NULL;
}

/* An error of the request as a whole, given for every partition. */
static enum proto_error
request_error(const struct produce *p)
{
    if (p->msg->acks < -1 || p->msg->acks > 1)
        return PROTO_ERROR_INVALID_REQUIRED_ACKS;
    if (!str_is_null(p->msg->transactional_id))
        return PROTO_ERROR_NONE;
    for (int32_t t = 0; t < p->msg->topic_data.count; t++) {
        const struct proto_produce_request_topic_produce_data *data = &p->msg->topic_data.items[t];
        for (int32_t i = 0; i < data->partition_data.count; i++)
            if (is_transactional(data->partition_data.items[i].records.bytes))
                return PROTO_ERROR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED;
    }
    return PROTO_ERROR_NONE;
}

/* Appends what is not yet, and answers or waits. */
static void
produce_go(struct produce *p)
{
    p->turn_cost = 0;
    for (; p->topic_at < p->msg->topic_data.count; p->topic_at++)
        if (!topic_produce(p, &p->msg->topic_data.items[p->topic_at],
                &p->response.responses.items[p->topic_at]))
            return;
    if (p->wait_count > 0)
        produce_wait(p);
    else
        produce_reply(p);
}

static void
produce_turn(struct broker_req *req)
{
    produce_go(CONTAINER_OF((struct broker_park *)req->state, struct produce, park));
}

/* The partition before part_at was checked on the pool. */
static void
produce_checked(struct broker_req *req)
{
    struct produce *p = CONTAINER_OF((struct broker_park *)req->state, struct produce, park);
    struct broker_check *check = p->check;

    if (check->error == PROTO_ERROR_NONE)
        check->error = replica_partition_append_commit(check->part, &check->append);
    broker_check_end(check);
    part_appended(p, check->part, &check->append, check->error,
        &p->response.responses.items[p->topic_at].partition_responses.items[p->part_at - 1]);
    produce_go(p);
}

static void
produce_handle(struct broker_req *req)
{
    struct produce *p = arena_calloc(req->arena, 1, sizeof *p);

    if (p == NULL) {
        broker_req_close(req, "out of request memory");
        return;
    }
    p->req = req;
    p->msg = req->msg;
    req->state = &p->park;
    if (broker_read_pool(req->broker) != NULL) /* readers of old data give way */
        pool_press(broker_read_pool(req->broker), loop_now_ms(req->loop));
    if (!produce_prepare(p)) {
        broker_req_close(req, "out of request memory");
        return;
    }
    p->error = request_error(p);
    produce_go(p);
}

const struct broker_api broker_api_produce = {
    .key = 0,
    .version_min = 3,
    .version_max = 13,
    .handle = produce_handle,
};
