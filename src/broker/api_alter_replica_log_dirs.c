/* broker/api_alter_replica_log_dirs.c - AlterReplicaLogDirs: the door.
 *
 * A replica that is in the wanted directory already is answered with success. Moving one between
 * directories is not built: INVALID_REQUEST, so that a tool reports it rather than waits. */
#include "broker/broker.h"
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

static bool
alter_topic(const struct broker_req *req, const struct log_dir_info *dir,
    const struct proto_alter_replica_log_dirs_request_alter_replica_log_dir_topic *topic,
    struct proto_alter_replica_log_dirs_response_alter_replica_log_dir_topic_result *result)
{
    int32_t count = topic->partitions.count > 0 ? topic->partitions.count : 0;

    result->topic_name = topic->name;
    result->partitions.count = count;
    result->partitions.items =
        arena_calloc(req->arena, (size_t)count, sizeof *result->partitions.items);
    if (result->partitions.items == NULL)
        return false;
    for (int32_t i = 0; i < count; i++) {
        int32_t index = topic->partitions.items[i];
        result->partitions.items[i].partition_index = index;
        result->partitions.items[i].error_code = (int16_t)alter_one(req, dir, topic->name, index);
    }
    return true;
}

static bool
alter_all(const struct broker_req *req, struct proto_alter_replica_log_dirs_response *response)
{
    const struct proto_alter_replica_log_dirs_request *msg = req->msg;
    struct log_manager *logs = replica_manager_logs(broker_replicas(req->broker));
    size_t topics = 0;

    for (int32_t d = 0; d < msg->dirs.count; d++)
        if (msg->dirs.items[d].topics.count > 0)
            topics += (size_t)msg->dirs.items[d].topics.count;
    response->results.items = arena_calloc(req->arena, topics, sizeof *response->results.items);
    response->results.count = 0;
    if (response->results.items == NULL)
        return false;
    for (int32_t d = 0; d < msg->dirs.count; d++) {
        struct log_dir_info info;
        bool found = dir_find(logs, msg->dirs.items[d].path, &info);
        for (int32_t t = 0; t < msg->dirs.items[d].topics.count; t++)
            if (!alter_topic(req, found ? &info : NULL, &msg->dirs.items[d].topics.items[t],
                    &response->results.items[response->results.count++]))
                return false;
    }
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
