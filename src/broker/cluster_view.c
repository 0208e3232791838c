#include "broker/cluster_view.h"

#include <stdlib.h>

#include "base/assert.h"
#include "base/limits.h"
#include "broker/broker.h"

bool
broker_topic_name_is_legal(struct str name)
{
    if (name.len == 0 || name.len > LIMIT_TOPIC_NAME)
        return false;
    if (str_eq(name, STR(".")) || str_eq(name, STR("..")))
        return false;
    for (size_t i = 0; i < name.len; i++) {
        char c = name.data[i];
        bool ok = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '.' || c == '_' || c == '-';
        if (!ok)
            return false;
    }
    return true;
}

struct str
broker_topic_name_problem(struct arena *arena, struct str name)
{
    if (name.len == 0)
        return STR("Topic name is invalid: the empty string is not allowed");
    if (str_eq(name, STR(".")) || str_eq(name, STR("..")))
        return arena_printf(arena, "Topic name is invalid: '%.*s' is not allowed", STR_FMT(name));
    if (name.len > LIMIT_TOPIC_NAME)
        return arena_printf(arena,
            "Topic name is invalid: the length of '%.*s' is longer than the max allowed length %d",
            STR_FMT(name), LIMIT_TOPIC_NAME);
    return arena_printf(arena,
        "Topic name is invalid: '%.*s' contains one or more characters other than ASCII "
        "alphanumerics, '.', '_' and '-'",
        STR_FMT(name));
}

const struct meta_endpoint *
broker_endpoint_of(const struct broker_req *req, int32_t broker_id)
{
    const struct meta_broker *broker =
        broker_id < 0 ? NULL : meta_image_broker(req->image, broker_id);
    if (broker == NULL || broker->fenced)
        return NULL;
    return meta_broker_endpoint(broker, req->peer->listener);
}

int32_t
broker_controller_id(const struct broker_req *req)
{
    int32_t self = broker_config(req->broker)->node_id;
    const struct meta_broker *broker;
    if (meta_image_broker_is_alive(req->image, self))
        return self;
    for (int32_t id = -1; (broker = meta_image_broker_after(req->image, id)) != NULL;
         id = broker->id)
        if (!broker->fenced)
            return broker->id;
    return -1;
}

static bool
dir_is_online(const struct meta_broker *broker, struct uuid dir)
{
    if (uuid_eq(dir, META_DIR_LOST))
        return false;
    if (uuid_eq(dir, META_DIR_MIGRATING) || uuid_eq(dir, META_DIR_UNASSIGNED) ||
        broker->log_dir_count == 0)
        return true;
    for (int32_t i = 0; i < broker->log_dir_count; i++)
        if (uuid_eq(broker->log_dirs[i], dir))
            return true;
    return false;
}

bool
broker_replica_is_offline(
    const struct meta_image *image, const struct meta_partition *part, int32_t broker_id)
{
    const struct meta_broker *broker = meta_image_broker(image, broker_id);
    return broker == NULL || broker->fenced ||
           !dir_is_online(broker, meta_partition_directory(part, broker_id));
}

bool
broker_partition_look(const struct broker_req *req, const struct meta_partition *part,
    bool say_listener, struct broker_partition_view *out)
{
    struct broker_partition_view view = {.leader = part->leader};
    int32_t *offline = NULL;
    ASSERT(part->index >= 0);
    for (int32_t i = 0; i < part->replicas.count; i++) {
        if (!broker_replica_is_offline(req->image, part, part->replicas.items[i]))
            continue;
        if (offline == NULL)
            offline = arena_calloc(req->arena, (size_t)part->replicas.count, sizeof *offline);
        if (offline == NULL)
            return false;
        offline[view.offline.count++] = part->replicas.items[i];
    }
    view.offline.items = offline;
    if (broker_endpoint_of(req, part->leader) == NULL) {
        bool alive = part->leader >= 0 && meta_image_broker_is_alive(req->image, part->leader);
        view.error = alive && say_listener ? PROTO_ERROR_LISTENER_NOT_FOUND
                                           : PROTO_ERROR_LEADER_NOT_AVAILABLE;
        view.leader = -1;
    }
    *out = view;
    return true;
}

void
broker_req_budget_add(struct broker_req *req, size_t bytes)
{
    req->arena->budget_bytes += bytes;
}

static int
compare(const void *a, const void *b)
{
    return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

struct str *
broker_names_unique(struct broker_req *req, const struct str *names, int32_t n, int32_t *count)
{
    struct str *out = arena_calloc(req->arena, (size_t)n, sizeof *out);
    int32_t kept = 0;
    if (out == NULL)
        return NULL;
    for (int32_t i = 0; i < n; i++)
        out[i] = names[i];
    qsort(out, (size_t)n, sizeof *out, compare);
    for (int32_t i = 0; i < n; i++)
        if (i == 0 || !str_eq(out[i], out[kept - 1]))
            out[kept++] = out[i];
    *count = kept;
    return out;
}
