/* node/node.c - a node's life after it was opened: start, ready, stop, free.
 *
 * Stopping goes from the outside in: no new connections and frames, requests in flight end, the
 * coordinators and replicas let go of what waits, metadata stops, loops stop, the pool runs dry,
 * the logs are flushed and closed, the clean marker is written. */
#include "node/node.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "node/node_priv.h"
#include "proto/broker_heartbeat_request.h"
#include "proto/broker_heartbeat_response.h"

enum { LEAVE_ARENA = 1 << 16 };

static const char MODULE[] = "node";

enum err
node_open(const struct node_opts *opts, struct buf *problems, struct node **out)
{
    struct node *node = mem_calloc(1, sizeof *node);
    if (node == NULL)
        return ERR_NOMEM;
    node->opts = *opts;
    node->diag = env_diag(opts->env);
    node->started_ns = env_now_ns(opts->env);
    node->node_id = 1;
    if (node_config_is_set(opts->config, "node.id"))
        node->node_id = (int32_t)node_config_i64(opts->config, "node.id");
    else if (node_config_is_set(opts->config, "broker.id"))
        node->node_id = (int32_t)node_config_i64(opts->config, "broker.id");
    enum err err = node_open_parts(node, problems);
    if (err != ERR_OK) {
        node->stopped = true;
        node_free(&node);
        return err;
    }
    *out = node;
    return ERR_OK;
}

/* ---- start ---- */

static void
on_registered(void *ctx, enum err err)
{
    struct node *node = ctx;
    if (err == ERR_OK) {
        atomic_store(&node->ready, true);
        net_server_release(node->net);
        diag_event(node->diag, DIAG_INFO, MODULE, "ready", DIAG_I64("port", node->port),
            DIAG_I64("startup_ms", (env_now_ns(node->opts.env) - node->started_ns) / 1000000));
    }
    if (node->opts.ready != NULL)
        node->opts.ready(node->opts.ctx, err);
}

static void
on_start(struct loop_task *task)
{
    node_duties_start(CONTAINER_OF(task, struct node, start_task));
}

static enum err
start_registration(struct node *node)
{
    struct node_metadata_endpoint endpoints[NODE_LISTENERS_MAX];
    int count = 0;
    for (int i = 0; i < node->listeners.count; i++) {
        const struct node_listener *listener = &node->listeners.items[i];
        if (!listener->controller)
            endpoints[count++] = (struct node_metadata_endpoint){
                listener->name, str_of(listener->advertised_host), listener->advertised_port};
    }
    return node_metadata_register(node->metadata, endpoints, count, on_registered, node);
}

enum err
node_start(struct node *node)
{
    ASSERT(!node->started);
    enum err err = ERR_OK;
    node->started = true;
    for (int i = 0; err == ERR_OK && i < node->reactor_count; i++)
        err = loop_start(node->reactors[i]);
    if (err == ERR_OK)
        err = node_metadata_start(node->metadata);
    if (err == ERR_OK)
        err = start_registration(node);
    if (err == ERR_OK && !node->opts.simulated)
        err = node_http_start(node);
    if (err != ERR_OK)
        return err;
    loop_task_init(&node->start_task, on_start);
    loop_post(node->reactors[0], &node->start_task);
    return ERR_OK;
}

/* ---- stop ---- */

static void
drain_done(struct loop_task *task)
{
    struct node_drain *drain = CONTAINER_OF(task, struct node_drain, task);
    drain->done = true;
    loop_quit(drain->loop);
}

static bool
drain_begin(struct node_drain *drain, struct node *node, const char *name)
{
    if (loop_new(node->opts.env, name, &drain->loop) != ERR_OK)
        return false;
    loop_task_init(&drain->task, drain_done);
    return true;
}

static void
on_net_stopped(void *ctx)
{
    struct node_drain *drain = ctx;
    loop_post(drain->loop, &drain->task);
}

static void
drain_net(struct node *node, int64_t drain_ms)
{
    if (!drain_begin(&node->net_drain, node, "stop"))
        return;
    net_server_stop(node->net, drain_ms, on_net_stopped, &node->net_drain);
    loop_run_here(node->net_drain.loop);
}

/* A last heartbeat that fences this broker, so that whoever runs this directory next does not take
 * it for alive. */
struct node_leave {
    struct node *node;
    struct arena arena;
    struct meta_request request;
    struct proto_broker_heartbeat_request heartbeat;
    struct proto_broker_heartbeat_response response;
};

static void
on_left(struct meta_request *request, enum err err)
{
    struct node_drain *drain =
        &CONTAINER_OF(request, struct node_leave, request)->node->leave_drain;
    (void)err; /* the stop goes on either way */
    loop_post(drain->loop, &drain->task);
}

static void
leave_cluster(struct node *node)
{
    int64_t broker_epoch = node_metadata_broker_epoch(node->metadata);
    struct node_leave *leave = mem_calloc(1, sizeof *leave);
    if (leave == NULL || broker_epoch < 0 || !drain_begin(&node->leave_drain, node, "leave")) {
        mem_free(leave);
        return;
    }
    node->leave = leave;
    leave->node = node;
    arena_init(&leave->arena, LEAVE_ARENA);
    proto_init(&proto_broker_heartbeat_request_schema, &leave->heartbeat);
    leave->heartbeat.broker_id = node->node_id;
    leave->heartbeat.broker_epoch = broker_epoch;
    leave->heartbeat.current_metadata_offset = broker_epoch;
    leave->heartbeat.want_shut_down = true;
    leave->request = (struct meta_request){.api_key = PROTO_BROKER_HEARTBEAT_REQUEST_KEY,
        .version = PROTO_BROKER_HEARTBEAT_REQUEST_VERSION_MAX,
        .msg = &leave->heartbeat,
        .response = &leave->response,
        .arena = &leave->arena,
        .principal = STR("User:ANONYMOUS"),
        .done = on_left};
    meta_port_submit(node_metadata_port(node->metadata), &leave->request);
    loop_run_here(node->leave_drain.loop);
}

/* A log is closed between its flushes, not within one. */
static void
settle_metadata(struct node *node)
{
    if (!drain_begin(&node->settle_drain, node, "settle"))
        return;
    node_metadata_settle(node->metadata, node->settle_drain.loop, &node->settle_drain.task);
    loop_run_here(node->settle_drain.loop);
}

static void
free_drains(struct node *node)
{
    struct node_drain *drains[] = {&node->net_drain, &node->leave_drain, &node->settle_drain};
    for (size_t i = 0; i < COUNT_OF(drains); i++)
        if (drains[i]->loop != NULL)
            loop_free(&drains[i]->loop);
    if (node->leave != NULL)
        arena_fini(&node->leave->arena);
    mem_free(node->leave);
    node->leave = NULL;
}

static void
stop_loops(struct node *node)
{
    for (int i = 0; i < node->reactor_count; i++)
        loop_stop(node->reactors[i]);
    node_duties_stop(node);
}

static void
free_pools(struct node *node)
{
    if (node->check_pool != NULL)
        pool_free(&node->check_pool);
    if (node->read_pool != NULL)
        pool_free(&node->read_pool);
    if (node->pool != NULL)
        pool_free(&node->pool);
}

void
node_stop(struct node *node, int64_t drain_ms)
{
    ASSERT(node->started && !node->stopped);
    diag_event(node->diag, DIAG_INFO, MODULE, "stopping");
    atomic_store(&node->ready, false);
    http_server_stop(&node->http);
    /* First, because a parked join would hold the connections for as long as a rebalance takes. */
    broker_coord_stop(node->coord);
    replica_manager_release_readers(node->replicas);
    drain_net(node, drain_ms);
    leave_cluster(node);
    replica_manager_stop(node->replicas);
    settle_metadata(node);
    node_metadata_stop(node->metadata);
    stop_loops(node);
    free_pools(node);
    node->stopped = true;
}

static void
free_loops(struct node *node)
{
    /* Not by node_stop: it did not open, or the environment died. Nothing runs, memory is left. */
    if (!node->started || !node->stopped) {
        if (node->coord != NULL)
            broker_coord_stop(node->coord);
    }
    if (node->started && !node->stopped) {
        if (node->metadata != NULL)
            node_metadata_stop(node->metadata);
        stop_loops(node);
    }
    free_pools(node);
}

void
node_free(struct node **node)
{
    struct node *n = *node;
    if (n == NULL)
        return;
    /* Without the wait a flush of the metadata may be in the midst: then it is as after a crash. */
    bool clean = n->started && n->stopped && n->settle_drain.done;
    int64_t broker_epoch = n->metadata != NULL ? node_metadata_broker_epoch(n->metadata) : -1;
    free_loops(n);
    http_server_stop(&n->http); /* still there when the start failed */
    node_http_fini(n);
    net_server_free(&n->net);
    broker_coord_free(&n->coord); /* its timers go first: after a crash those of requests stay */
    broker_free(&n->broker);
    replica_manager_free(&n->replicas);
    node_metadata_free(&n->metadata);
    if (clean && n->logs != NULL)
        log_manager_close(&n->logs, broker_epoch);
    else
        log_manager_abandon(&n->logs);
    for (int i = 0; i < n->reactor_count; i++)
        loop_free(&n->reactors[i]);
    free_drains(n);
    if (clean)
        diag_event(n->diag, DIAG_INFO, MODULE, "stopped");
    mem_free(n);
    *node = NULL;
}

uint16_t
node_port(const struct node *node)
{
    return node->port;
}

void
node_address(const struct node *node, char *out, size_t size)
{
    const struct node_listener *listener = NULL;
    for (int i = node->listeners.count - 1; i >= 0; i--)
        if (!node->listeners.items[i].controller)
            listener = &node->listeners.items[i];
    ASSERT(listener != NULL); /* or it would not have started */
    bool v6 = strchr(listener->advertised_host, ':') != NULL;
    snprintf(out, size, "%s%s%s:%d", v6 ? "[" : "", listener->advertised_host, v6 ? "]" : "",
        (int)listener->advertised_port);
}

uint16_t
node_http_port(const struct node *node)
{
    return node->http == NULL ? 0 : http_server_port(node->http);
}

bool
node_is_ready(const struct node *node)
{
    return atomic_load(&node->ready);
}
