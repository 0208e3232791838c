/* broker/api_alter_replica_log_dirs.c - AlterReplicaLogDirs: the door.
 *
 * A replica that is in the wanted directory already is answered with success. Moving one between
 * directories is not built: INVALID_REQUEST, so that a tool reports it rather than waits. */
#include "base/limits.h"
#include "broker/broker.h"
#include "broker/topic_rows.h"
#include "broker/request.h"
#include "log/log_manager.h"
#include "proto/alter_replica_log_dirs_request.h"
#include "proto/alter_replica_log_dirs_response.h"
#include "proto/error_codes.h"
#include "replica/manager.h"

static bool
dir_find(struct log_manager *logs, struct str path, struct log_dir_info *info)
{
    for (int i = 0; i < log_manager_dir_count(logs); i++) {
        log_manager_dir_info(logs, i, info);
        if (str_eq_z(path, info->path))
            return true;
    }
    return false;
}

static enum proto_error
alter_one(
    const struct broker_req *req, const struct log_dir_info *dir, struct str topic, int32_t index)
{
    struct replica_partition_state state;
    struct replica_partition *part;
    enum proto_error error;

    if (topic.len > LIMIT_TOPIC_NAME)
        return PROTO_ERROR_INVALID_TOPIC_EXCEPTION; /* no directory can have its name */
    if (dir == NULL)
        return PROTO_ERROR_LOG_DIR_NOT_FOUND;
    if (dir->offline)
        return PROTO_ERROR_KAFKA_STORAGE_ERROR;
    error = replica_manager_find(
        broker_replicas(req->broker), req->image, topic, UUID_ZERO, index, &part);
    if (error != PROTO_ERROR_NONE)
        return error == PROTO_ERROR_NOT_LEADER_OR_FOLLOWER ? PROTO_ERROR_REPLICA_NOT_AVAILABLE
                                                           : error;
    replica_partition_get_state(part, &state);
    replica_partition_unref(&part);
    if (state.offline)
        return PROTO_ERROR_KAFKA_STORAGE_ERROR;
    return uuid_eq(state.dir_id, dir->id) ? PROTO_ERROR_NONE : PROTO_ERROR_INVALID_REQUEST;
}

typedef struct proto_alter_replica_log_dirs_response_alter_replica_log_dir_topic_result topic_out;

/* What was asked for each partition; of one named twice the last counts. row.asked: the directory's
 * path, a struct str. */
static struct broker_topic_row *
rows_of(const struct broker_req *req, int32_t *count)
{
    const struct proto_alter_replica_log_dirs_request *msg = req->msg;
    size_t room = 0;
    int32_t n = 0;
    for (int32_t d = 0; d < msg->dirs.count; d++)
        for (int32_t t = 0; t < msg->dirs.items[d].topics.count; t++)
            if (msg->dirs.items[d].topics.items[t].partitions.count > 0)
                room += (size_t)msg->dirs.items[d].topics.items[t].partitions.count;
    struct broker_topic_row *rows = arena_calloc(req->arena, room, sizeof *rows);
    if (rows == NULL)
        return NULL;
    for (int32_t d = 0; d < msg->dirs.count; d++)
        for (int32_t t = 0; t < msg->dirs.items[d].topics.count; t++)
            for (int32_t i = 0; i < msg->dirs.items[d].topics.items[t].partitions.count; i++) {
                rows[n] =
                    (struct broker_topic_row){.topic = msg->dirs.items[d].topics.items[t].name,
                        .partition = msg->dirs.items[d].topics.items[t].partitions.items[i],
                        .asked = &msg->dirs.items[d].path,
                        .nth = n};
                n++;
            }
    *count = broker_topic_rows_unite(rows, n);
    return rows;
}

static bool
alter_topic(const struct broker_req *req, const struct broker_topic_row *rows, int32_t count,
    topic_out *out)
{
    struct log_manager *logs = replica_manager_logs(broker_replicas(req->broker));
    out->topic_name = rows[0].topic;
    out->partitions.count = count;
    out->partitions.items = arena_calloc(req->arena, (size_t)count, sizeof *out->partitions.items);
    if (out->partitions.items == NULL)
        return false;
    for (int32_t i = 0; i < count; i++) {
        struct log_dir_info info;
        const struct str *path = rows[i].asked;
        bool found = dir_find(logs, *path, &info);
        out->partitions.items[i].partition_index = rows[i].partition;
        out->partitions.items[i].error_code =
            (int16_t)alter_one(req, found ? &info : NULL, rows[i].topic, rows[i].partition);
    }
    return true;
}

static bool
alter_all(const struct broker_req *req, struct proto_alter_replica_log_dirs_response *response)
{
    int32_t count = 0, topics = 0;
    struct broker_topic_row *rows = rows_of(req, &count);
    topic_out *outs = arena_calloc(req->arena, (size_t)count, sizeof *outs);
    if (rows == NULL || outs == NULL)
        return false;
    for (int32_t i = 0; i < count;) {
        int32_t same = broker_topic_rows_same(rows, count, i);
        if (!alter_topic(req, rows + i, same, &outs[topics++]))
            return false;
        i += same;
    }
    response->results.items = outs;
    response->results.count = topics;
    return true;
}

static void
alter_handle(struct broker_req *req)
{
    struct proto_alter_replica_log_dirs_response response;

    proto_init(&proto_alter_replica_log_dirs_response_schema, &response);
    if (alter_all(req, &response))
        broker_req_reply(req, &response);
    else
        broker_req_close(req, "out of request memory");
}

const struct broker_api broker_api_alter_replica_log_dirs = {
    .key = 34,
    .version_min = 1,
    .version_max = 2,
    .handle = alter_handle,
};
