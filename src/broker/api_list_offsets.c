/* broker/api_list_offsets.c - ListOffsets: offsets by time, and the special ones.
 *
 * What must look into records, or asks for many partitions, does not keep the reactor: the pool of
 * slow reads finds all the answers. */
#include "broker/broker.h"
#include "broker/flush_wait.h"
#include "broker/request.h"
#include "broker/topic_rows.h"
#include "proto/error_codes.h"
#include "proto/list_offsets_request.h"
#include "proto/list_offsets_response.h"
#include "replica/manager.h"

enum { VERSION_OFFSET_NOT_AVAILABLE = 5, REPLICA_ID_CONSUMER = -1 };

/* Partitions: a tenth of a millisecond. */
enum { LIST_AT_ONCE_MAX = 256 };

/* From which version on a special timestamp may be asked for; 0 when it is none. */
static int16_t
version_of_time(int64_t timestamp)
{
    switch (timestamp) {
    case REPLICA_TIME_LATEST:
    case REPLICA_TIME_EARLIEST: return 1;
    case REPLICA_TIME_MAX: return 7;
    case REPLICA_TIME_EARLIEST_LOCAL: return 8;
    case REPLICA_TIME_LATEST_TIERED: return 9;
    case REPLICA_TIME_EARLIEST_PENDING_UPLOAD: return 11;
    default: return INT16_MAX;
    }
}

static enum proto_error
list_one(const struct broker_req *req, struct str topic,
    const struct proto_list_offsets_request_list_offsets_partition *asked,
    struct proto_list_offsets_response_list_offsets_partition_response *answer)
{
    const struct proto_list_offsets_request *msg = req->msg;
    struct replica_list_offset list = {
        .timestamp = asked->timestamp,
        .leader_epoch = asked->current_leader_epoch,
        .bound = msg->isolation_level == 1 ? REPLICA_BOUND_LSO : REPLICA_BOUND_HW,
    };
    struct replica_partition *part;
    enum proto_error error;

    if (msg->isolation_level != 0 && msg->isolation_level != 1)
        return PROTO_ERROR_UNKNOWN_SERVER_ERROR;
    if (asked->timestamp < 0 && req->version < version_of_time(asked->timestamp))
        return PROTO_ERROR_UNSUPPORTED_VERSION;
    if (msg->replica_id != REPLICA_ID_CONSUMER)
        list.bound = REPLICA_BOUND_LEO;
    error = replica_manager_find(
        broker_replicas(req->broker), req->image, topic, UUID_ZERO, asked->partition_index, &part);
    if (error != PROTO_ERROR_NONE)
        return error;
    /* No epoch is -1; less is older than any. */
    error = asked->current_leader_epoch < -1 ? PROTO_ERROR_FENCED_LEADER_EPOCH
                                             : replica_partition_list_offset(part, &list);
    replica_partition_unref(&part);
    if (error == PROTO_ERROR_OFFSET_NOT_AVAILABLE && req->version < VERSION_OFFSET_NOT_AVAILABLE)
        return PROTO_ERROR_LEADER_NOT_AVAILABLE;
    if (error != PROTO_ERROR_NONE)
        return error;
    answer->offset = list.offset;
    answer->timestamp = list.timestamp_found;
    if (req->version >= 4)
        answer->leader_epoch = list.epoch;
    return PROTO_ERROR_NONE;
}

/* ---- the request ---- */

typedef struct proto_list_offsets_request_list_offsets_partition partition_in;
typedef struct proto_list_offsets_response_list_offsets_topic_response topic_out;

/* A partition that was asked for twice is refused, once. */
static bool
list_topic(const struct broker_req *req, const struct broker_topic_row *rows, int32_t count,
    topic_out *out)
{
    out->name = rows[0].topic;
    out->partitions.count = count;
    out->partitions.items = arena_alloc(req->arena, (size_t)count * sizeof *out->partitions.items);
    if (out->partitions.items == NULL)
        return false;
    for (int32_t i = 0; i < count; i++) {
        struct proto_list_offsets_response_list_offsets_partition_response *answer =
            &out->partitions.items[i];
        proto_init(&proto_list_offsets_response_list_offsets_partition_response_schema, answer);
        answer->partition_index = rows[i].partition;
        answer->offset = -1;
        answer->timestamp = -1;
        answer->error_code =
            (int16_t)(rows[i].times > 1 ? PROTO_ERROR_INVALID_REQUEST
                                        : list_one(req, rows[i].topic, rows[i].asked, answer));
    }
    return true;
}

static struct broker_topic_row *
rows_of(const struct broker_req *req, int32_t *count)
{
    const struct proto_list_offsets_request *msg = req->msg;
    size_t room = 0;
    int32_t n = 0;
    for (int32_t t = 0; t < msg->topics.count; t++)
        if (msg->topics.items[t].partitions.count > 0)
            room += (size_t)msg->topics.items[t].partitions.count;
    struct broker_topic_row *rows = arena_calloc(req->arena, room, sizeof *rows);
    if (rows == NULL)
        return NULL;
    for (int32_t t = 0; t < msg->topics.count; t++)
        for (int32_t i = 0; i < msg->topics.items[t].partitions.count; i++) {
            const partition_in *asked = &msg->topics.items[t].partitions.items[i];
            rows[n] = (struct broker_topic_row){
                msg->topics.items[t].name, asked->partition_index, asked, n, 1};
            n++;
        }
    *count = broker_topic_rows_unite(rows, n);
    return rows;
}

/* In the request's arena; the request's reactor does not touch it while the job runs. */
struct list_job {
    struct broker_flush_wait flushes;
    struct pool_work work;
    struct broker_req *req;
    struct broker_topic_row *rows;
    int32_t count;
    struct proto_list_offsets_response response;
    bool failed;
};

static void
list_all(struct list_job *job)
{
    topic_out *outs = job->response.topics.items;
    int32_t topics = 0;

    for (int32_t i = 0; i < job->count && !job->failed;) {
        int32_t same = broker_topic_rows_same(job->rows, job->count, i);
        job->failed = !list_topic(job->req, job->rows + i, same, &outs[topics++]);
        i += same;
    }
    job->response.topics.count = topics;
}

static void
list_reply(struct broker_req *req)
{
    struct list_job *job = req->state;

    if (job->failed)
        broker_req_close(req, "out of request memory");
    else
        broker_req_reply(req, &job->response);
}

static void
list_run(struct pool_work *work)
{
    struct list_job *job = CONTAINER_OF(work, struct list_job, work);

    list_all(job);
    broker_req_resume(job->req, list_reply);
}

static bool
takes_long(const struct list_job *job)
{
    if (job->count > LIST_AT_ONCE_MAX)
        return true;
    for (int32_t i = 0; i < job->count; i++)
        if (replica_time_needs_records(((const partition_in *)job->rows[i].asked)->timestamp))
            return true;
    return false;
}

static void
list_go(struct broker_req *req)
{
    struct list_job *job = req->state;
    struct pool *pool = broker_read_pool(req->broker);

    if (pool != NULL && takes_long(job)) {
        job->work.run = list_run;
        pool_submit(pool, &job->work);
        return;
    }
    list_all(job);
    list_reply(req);
}

static void
list_handle(struct broker_req *req)
{
    const struct proto_list_offsets_request *msg = req->msg;
    struct list_job *job = arena_calloc(req->arena, 1, sizeof *job);

    if (job != NULL)
        job->rows = rows_of(req, &job->count);
    if (job != NULL && job->rows != NULL) {
        proto_init(&proto_list_offsets_response_schema, &job->response);
        job->response.topics.items =
            arena_calloc(req->arena, (size_t)job->count, sizeof *job->response.topics.items);
    }
    if (job == NULL || job->rows == NULL || job->response.topics.items == NULL) {
        broker_req_close(req, "out of request memory");
        return;
    }
    job->req = req;
    req->state = job;
    /* Who asks for a few partitions may have written to them just now. */
    bool waits = msg->replica_id == REPLICA_ID_CONSUMER && job->count <= LIST_AT_ONCE_MAX;
    broker_flush_wait(&job->flushes, req, job->rows, waits ? job->count : 0, list_go);
}

const struct broker_api broker_api_list_offsets = {
    .key = 2,
    .version_min = 1,
    .version_max = 11,
    .handle = list_handle,
};
