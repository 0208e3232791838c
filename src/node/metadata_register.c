/* node/metadata_register.c - this broker's registration and its first heartbeat, as requests like
 * any other. On the metadata loop. */
#include "base/assert.h"
#include "node/metadata_priv.h"
#include "proto/broker_heartbeat_request.h"
#include "proto/broker_heartbeat_response.h"
#include "proto/broker_registration_request.h"
#include "proto/broker_registration_response.h"
#include "proto/error_codes.h"

enum { REGISTRATION_KEY = 62, HEARTBEAT_KEY = 63, DIRS_MAX = 64 };

static const char MODULE[] = "metadata";

static struct node_metadata *
md_of(struct metadata_registration *reg)
{
    return CONTAINER_OF(reg, struct node_metadata, registration);
}

static void
finish(struct metadata_registration *reg, enum err err)
{
    if (err != ERR_OK && err != ERR_CANCELED) /* canceled: a stop before the node was ready */
        diag_event(
            md_of(reg)->diag, DIAG_ERROR, MODULE, "registration_failed", DIAG_ERR("cause", err));
    reg->ready(reg->ctx, err);
}

static void send_heartbeat(struct metadata_registration *reg, int64_t broker_epoch);

static void
on_heartbeat(struct meta_request *req, enum err err)
{
    struct metadata_registration *reg = CONTAINER_OF(req, struct metadata_registration, request);
    struct node_metadata *md = md_of(reg);
    const struct proto_broker_heartbeat_response *answer = req->response;
    if (err == ERR_OK && (answer->error_code != 0 || answer->is_fenced))
        err = ERR_FAILED;
    /* It led to as many records as one operation holds: there may be more to lead. */
    if (err == ERR_OK && raft_log_end_offset(md->raft) - reg->log_end_offset > META_RECORDS_MAX / 2)
        send_heartbeat(reg, atomic_load(&md->broker_epoch));
    else
        finish(reg, err);
}

static void
send_heartbeat(struct metadata_registration *reg, int64_t broker_epoch)
{
    struct node_metadata *md = md_of(reg);
    struct proto_broker_heartbeat_request *request = arena_alloc(&reg->arena, sizeof *request);
    struct proto_broker_heartbeat_response *response = arena_alloc(&reg->arena, sizeof *response);
    if (request == NULL || response == NULL) {
        finish(reg, ERR_NOMEM);
        return;
    }
    proto_init(&proto_broker_heartbeat_request_schema, request);
    request->broker_id = md->opts.node_id;
    request->broker_epoch = broker_epoch;
    reg->log_end_offset = raft_log_end_offset(md->raft);
    /* The registration is committed and shown to every subscriber: it has been replayed. */
    request->current_metadata_offset = broker_epoch;
    reg->request.api_key = HEARTBEAT_KEY;
    reg->request.version = PROTO_BROKER_HEARTBEAT_REQUEST_VERSION_MAX;
    reg->request.msg = request;
    reg->request.response = response;
    reg->request.done = on_heartbeat;
    metadata_submit_here(md, &reg->request);
}

static void
on_registered(struct meta_request *req, enum err err)
{
    struct metadata_registration *reg = CONTAINER_OF(req, struct metadata_registration, request);
    const struct proto_broker_registration_response *answer = req->response;
    if (err == ERR_OK && answer->error_code == PROTO_ERROR_REQUEST_TIMED_OUT) {
        /* Its partitions were more than one operation holds: the rest. */
        metadata_submit_here(md_of(reg), req);
        return;
    }
    if (err == ERR_OK && answer->error_code != 0) {
        diag_event(md_of(reg)->diag, DIAG_ERROR, MODULE, "registration_refused",
            DIAG_I64("error_code", answer->error_code));
        err = ERR_FAILED;
    }
    if (err != ERR_OK) {
        finish(reg, err);
        return;
    }
    atomic_store(&md_of(reg)->broker_epoch, answer->broker_epoch);
    send_heartbeat(reg, answer->broker_epoch);
}

static bool
fill(struct metadata_registration *reg, struct proto_broker_registration_request *request)
{
    struct node_metadata *md = md_of(reg);
    int dirs = log_manager_dir_count(md->opts.logs);
    request->listeners.items =
        arena_calloc(&reg->arena, (size_t)reg->count, sizeof *request->listeners.items);
    request->features.items = arena_calloc(&reg->arena, 16, sizeof *request->features.items);
    request->log_dirs.items =
        arena_calloc(&reg->arena, (size_t)dirs, sizeof *request->log_dirs.items);
    if (request->listeners.items == NULL || request->features.items == NULL ||
        request->log_dirs.items == NULL)
        return false;
    for (int i = 0; i < reg->count; i++) {
        request->listeners.items[i].name = reg->endpoints[i].listener;
        request->listeners.items[i].host = reg->endpoints[i].host;
        request->listeners.items[i].port = reg->endpoints[i].port;
    }
    request->listeners.count = reg->count;
    for (const struct meta_feature_support *f = meta_features_supported; f->name != NULL; f++) {
        if (f->max == 0)
            continue;
        request->features.items[request->features.count].name = str_of(f->name);
        request->features.items[request->features.count].min_supported_version = f->min;
        request->features.items[request->features.count++].max_supported_version = f->max;
    }
    for (int i = 0; i < dirs; i++) {
        struct log_dir_info info;
        log_manager_dir_info(md->opts.logs, i, &info);
        if (!info.offline)
            request->log_dirs.items[request->log_dirs.count++] = info.id;
    }
    return true;
}

void
metadata_registration_start(struct node_metadata *md)
{
    struct metadata_registration *reg = &md->registration;
    if (reg->registered)
        return;
    reg->registered = true;
    struct proto_broker_registration_request *request = arena_alloc(&reg->arena, sizeof *request);
    struct proto_broker_registration_response *response =
        arena_alloc(&reg->arena, sizeof *response);
    if (request == NULL || response == NULL) {
        finish(reg, ERR_NOMEM);
        return;
    }
    proto_init(&proto_broker_registration_request_schema, request);
    request->broker_id = md->opts.node_id;
    request->cluster_id = log_manager_cluster_id(md->opts.logs);
    request->incarnation_id = env_random_uuid(md->opts.env);
    request->rack = md->opts.rack;
    request->previous_broker_epoch = log_manager_previous_broker_epoch(md->opts.logs);
    if (!fill(reg, request)) {
        finish(reg, ERR_NOMEM);
        return;
    }
    reg->request = (struct meta_request){.api_key = REGISTRATION_KEY,
        .version = PROTO_BROKER_REGISTRATION_REQUEST_VERSION_MAX,
        .msg = request,
        .response = response,
        .arena = &reg->arena,
        .principal = STR("User:ANONYMOUS"),
        .done = on_registered};
    metadata_submit_here(md, &reg->request);
}

static void
on_register(struct loop_task *task)
{
    struct metadata_registration *reg = CONTAINER_OF(task, struct metadata_registration, start);
    reg->wanted = true;
    /* Before the quorum leads, on_start comes back to this. */
    if (raft_role_get(md_of(reg)->raft) == RAFT_LEADER)
        metadata_registration_start(md_of(reg));
}

enum err
node_metadata_register(struct node_metadata *metadata,
    const struct node_metadata_endpoint *endpoints, int count,
    void (*ready)(void *ctx, enum err err), void *ctx)
{
    struct metadata_registration *reg = &metadata->registration;
    ASSERT(count > 0 && count <= METADATA_ENDPOINTS_MAX);
    reg->ready = ready;
    reg->ctx = ctx;
    reg->count = count;
    for (int i = 0; i < count; i++) {
        struct str texts[2] = {endpoints[i].listener, endpoints[i].host};
        for (int t = 0; t < 2; t++) {
            if (texts[t].len >= METADATA_NAME_MAX)
                return ERR_LIMIT;
            memcpy(reg->texts[i][t], texts[t].data, texts[t].len);
            texts[t].data = reg->texts[i][t];
        }
        reg->endpoints[i] = (struct node_metadata_endpoint){texts[0], texts[1], endpoints[i].port};
    }
    loop_task_init(&reg->start, on_register);
    loop_post(metadata->loop, &reg->start);
    return ERR_OK;
}
