/* broker/api_delete_records.c - DeleteRecords: moves the start of logs up. */
#include "broker/broker.h"
#include "broker/flush_wait.h"
#include "broker/request.h"
#include "broker/topic_rows.h"
#include "meta/image.h"
#include "proto/delete_records_request.h"
#include "proto/delete_records_response.h"
#include "proto/error_codes.h"
#include "replica/manager.h"

static enum proto_error
delete_one(const struct broker_req *req, struct str topic, int32_t index, int64_t offset,
    int64_t *low_watermark)
{
    struct replica_partition *part;
    enum proto_error error;

    if (meta_image_topic(req->image, topic) != NULL && meta_topic_name_is_internal(topic))
        return PROTO_ERROR_INVALID_TOPIC_EXCEPTION;
    error = replica_manager_find(
        broker_replicas(req->broker), req->image, topic, UUID_ZERO, index, &part);
    if (error != PROTO_ERROR_NONE)
        return error;
    error = replica_partition_delete_records(part, offset, low_watermark);
    replica_partition_unref(&part);
    return error;
}

typedef struct proto_delete_records_request_delete_records_partition partition_in;
typedef struct proto_delete_records_response_delete_records_topic_result topic_out;

static bool
delete_topic(const struct broker_req *req, const struct broker_topic_row *rows, int32_t count,
    topic_out *out)
{
    out->name = rows[0].topic;
    out->partitions.count = count;
    out->partitions.items = arena_calloc(req->arena, (size_t)count, sizeof *out->partitions.items);
    if (out->partitions.items == NULL)
        return false;
    for (int32_t i = 0; i < count; i++) {
        struct proto_delete_records_response_delete_records_partition_result *result =
            &out->partitions.items[i];
        const partition_in *asked = rows[i].asked;
        result->partition_index = rows[i].partition;
        result->low_watermark = -1;
        result->error_code = (int16_t)delete_one(
            req, rows[i].topic, rows[i].partition, asked->offset, &result->low_watermark);
    }
    return true;
}

/* Of a partition named twice the last offset counts. */
static struct broker_topic_row *
rows_of(const struct broker_req *req, int32_t *count)
{
    const struct proto_delete_records_request *msg = req->msg;
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

struct delete_job {
    struct broker_flush_wait flushes;
    struct broker_topic_row *rows;
    topic_out *outs;
    int32_t count;
};

static void
delete_go(struct broker_req *req)
{
    const struct delete_job *job = req->state;
    struct proto_delete_records_response response;
    int32_t topics = 0;

    for (int32_t i = 0; i < job->count;) {
        int32_t same = broker_topic_rows_same(job->rows, job->count, i);
        if (!delete_topic(req, job->rows + i, same, &job->outs[topics++])) {
            broker_req_close(req, "out of request memory");
            return;
        }
        i += same;
    }
    proto_init(&proto_delete_records_response_schema, &response);
    response.topics.items = job->outs;
    response.topics.count = topics;
    broker_req_reply(req, &response);
}

static void
delete_handle(struct broker_req *req)
{
    struct delete_job *job = arena_calloc(req->arena, 1, sizeof *job);

    if (job != NULL)
        job->rows = rows_of(req, &job->count);
    if (job != NULL && job->rows != NULL)
        job->outs = arena_calloc(req->arena, (size_t)job->count, sizeof *job->outs);
    if (job == NULL || job->rows == NULL || job->outs == NULL) {
        broker_req_close(req, "out of request memory");
        return;
    }
    req->state = job;
    broker_flush_wait(&job->flushes, req, job->rows, job->count, delete_go);
}

const struct broker_api broker_api_delete_records = {
    .key = 21,
    .version_min = 0,
    .version_max = 2,
    .handle = delete_handle,
};
