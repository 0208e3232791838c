/* Requests: their memory, and the ways they end.
 *
 * What     A box holds a broker_req and its arena; boxes are reused, so a steady state allocates
 *          nothing.
 * I1       A box is in its reactor's live list from dispatch until the end of the request, and
 *          holds one reference to req->image.
 * I2       A request ends once: its slot is then NULL and the box may be reused at once, so nobody
 *          touches a request after he ended it.
 * Threads  The request's reactor; broker_req_resume: any. */
#include "broker/request.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/limits.h"
#include "broker/broker_priv.h"
#include "proto/api_keys.h"

static struct broker_req_box *
box_of(struct broker_req *req)
{
    return CONTAINER_OF(req, struct broker_req_box, req);
}

static size_t
arena_budget(size_t frame_len)
{
    size_t budget = frame_len > LIMIT_REQUEST_ARENA_BEGIN / LIMIT_REQUEST_ARENA_FACTOR
                        ? LIMIT_REQUEST_ARENA_BEGIN
                        : frame_len * LIMIT_REQUEST_ARENA_FACTOR;
    return budget < LIMIT_REQUEST_ARENA_MIN ? LIMIT_REQUEST_ARENA_MIN : budget;
}

static void
resume_now(struct broker_req *req)
{
    void (*resume)(struct broker_req *) = req->resume;
    ASSERT(resume != NULL);
    req->resume = NULL;
    if (box_of(req)->reactor->quotas_on)
        box_of(req)->resumed_ns = env_now_ns(req->broker->opts.env);
    req->in_turn = false;
    resume(req);
}

static void
run_resume(struct loop_task *task)
{
    struct broker_req *req = CONTAINER_OF(task, struct broker_req, task);
    struct net_slot *slot = req->slot;
    slot->mark = req;
    if (!net_slot_waits(slot, req->in_turn))
        resume_now(req);
}

static void
live_add(struct broker_reactor *reactor, int n)
{
    uint32_t count = atomic_load_explicit(&reactor->live_count, memory_order_relaxed);
    atomic_store_explicit(&reactor->live_count, count + (uint32_t)n, memory_order_relaxed);
}

struct broker_req_box *
broker_req_box_get(struct broker_reactor *reactor, size_t frame_len)
{
    struct broker_req_box *box;
    struct list *node = list_pop(&reactor->free);
    if (node != NULL) {
        reactor->free_count--;
        box = LIST_ENTRY(node, struct broker_req_box, link);
        arena_reset_budget(&box->arena, arena_budget(frame_len));
    } else {
        box = mem_calloc(1, sizeof *box);
        if (box == NULL)
            return NULL;
        list_init(&box->link);
        arena_init(&box->arena, arena_budget(frame_len));
        box->reactor = reactor;
    }
    box->counters = NULL;
    box->parked_ns = 0;
    box->resumed_ns = 0;
    box->throttle_ms = 0;
    box->time_counted = false;
    box->mutations.take = NULL;
    box->mutation_wait_ms = 0;
    box->req = (struct broker_req){
        .broker = reactor->broker,
        .loop = reactor->loop,
        .arena = &box->arena,
        .image = reactor->image,
    };
    if (reactor->image != NULL)
        meta_image_ref(reactor->image); /* I1 */
    loop_task_init(&box->req.task, run_resume);
    list_push(&reactor->live, &box->link);
    live_add(reactor, 1);
    return box;
}

static void
image_release(struct broker_req *req)
{
    struct meta_image *image = (struct meta_image *)(uintptr_t)req->image;
    req->image = NULL;
    if (image != NULL)
        meta_image_unref(&image);
}

void
broker_req_box_put(struct broker_req_box *box)
{
    struct broker_reactor *reactor = box->reactor;
    ASSERT(!box->req.task.queued);
    if (box->ask_image != NULL)
        meta_image_unref(&box->ask_image);
    image_release(&box->req);
    list_remove(&box->link);
    live_add(reactor, -1);
    if (reactor->free_count >= BROKER_REQS_KEPT) {
        arena_fini(&box->arena);
        mem_free(box);
        return;
    }
    arena_reset(&box->arena);
    reactor->free_count++;
    list_push_front(&reactor->free, &box->link);
}

void
broker_req_pools_fini(struct broker_reactor *reactor)
{
    struct list *node;
    list_splice(&reactor->free, &reactor->live);
    while ((node = list_pop(&reactor->free)) != NULL) {
        struct broker_req_box *box = LIST_ENTRY(node, struct broker_req_box, link);
        if (box->ask_image != NULL)
            meta_image_unref(&box->ask_image);
        image_release(&box->req);
        arena_fini(&box->arena);
        mem_free(box);
    }
    reactor->free_count = 0;
}

/* ---- ends ---- */

/* Those that wait by design are not slow. */
static bool
may_wait(int16_t api_key)
{
    return api_key == PROTO_API_FETCH || api_key == PROTO_API_JOIN_GROUP ||
           api_key == PROTO_API_SYNC_GROUP || api_key == PROTO_API_SHARE_FETCH;
}

static void
note_end(struct broker_req *req, struct net_slot *slot, size_t response_len, bool unsent)
{
    struct broker_req_box *box = box_of(req);
    const struct broker_opts *opts = &req->broker->opts;
    slot->answered_ns = env_now_ns(opts->env);
    slot->mark = box->counters;
    int64_t took_ms = (slot->answered_ns - req->start_ns) / 1000000;
    broker_counters_end(box, slot, response_len, unsent);
    if (opts->config.slow_request_ms > 0 && took_ms >= opts->config.slow_request_ms &&
        !may_wait(req->api->key))
        diag_event(env_diag(opts->env), DIAG_WARN, "broker", "slow_request",
            DIAG_Z("api", req->api->name), DIAG_I64("version", req->version),
            DIAG_I64("ms", took_ms), DIAG_STR("client_id", req->client_id),
            DIAG_Z("peer", req->peer->host));
}

/* I2: the slot for the last time. */
static struct net_slot *
slot_take(struct broker_req *req)
{
    struct net_slot *slot = req->slot;
    ASSERT(slot != NULL);
    ASSERT_SLOW(loop_is_current(req->loop));
    req->slot = NULL;
    if (box_of(req)->reactor->handling == req)
        box_of(req)->reactor->handling = NULL;
    return slot;
}

static bool
response_encode(struct broker_req *req, const void *response, struct writer *w, int16_t version)
{
    writer_i32(w, req->correlation_id);
    if (proto_response_header_version(req->api, req->version) >= 1)
        writer_uvarint(w, 0); /* no tagged fields */
    enum err err = proto_encode(req->api->response, version, response, w);
    if (err == ERR_OK)
        return true;
    diag_event(env_diag(req->broker->opts.env), DIAG_ERROR, "broker", "response_not_encoded",
        DIAG_Z("api", req->api->name), DIAG_I64("version", version), DIAG_ERR("cause", err));
    return false;
}

static void
reply_as(struct broker_req *req, const void *response, int16_t version)
{
    if (box_of(req)->reactor->quotas_on)
        broker_quota_answer(req, response);
    struct net_slot *slot = slot_take(req);
    bool ok = response_encode(req, response, &slot->writer, version);
    broker_counters_errors(box_of(req), response);
    note_end(req, slot, writer_size(&slot->writer), !ok);
    /* The slot first: closing may end other requests, and this one must be whole until then. */
    if (ok)
        net_slot_reply(slot);
    else
        net_slot_close(slot, "response not encoded");
    broker_req_box_put(box_of(req));
}

void
broker_req_reply(struct broker_req *req, const void *response)
{
    reply_as(req, response, req->version);
}

void
broker_req_reply_version(struct broker_req *req, const void *response, int16_t version)
{
    reply_as(req, response, version);
}

void
broker_req_reply_none(struct broker_req *req)
{
    broker_quota_silent(req);
    struct net_slot *slot = slot_take(req);
    note_end(req, slot, 0, true);
    net_slot_drop(slot);
    broker_req_box_put(box_of(req));
}

void
broker_req_close(struct broker_req *req, const char *reason)
{
    struct net_slot *slot = slot_take(req);
    struct broker_api_counters *counters = box_of(req)->counters;
    if (counters != NULL)
        histogram_count_up(&counters->closed, 1);
    note_end(req, slot, 0, true);
    diag_event(env_diag(req->broker->opts.env), DIAG_INFO, "broker", "connection_ended",
        DIAG_Z("peer", req->peer->host), DIAG_Z("api", req->api->name), DIAG_Z("reason", reason));
    net_slot_close(slot, reason);
    broker_req_box_put(box_of(req));
}

/* ---- waiting ---- */

void
broker_req_resume(struct broker_req *req, void (*resume)(struct broker_req *req))
{
    ASSERT(req->resume == NULL);
    req->resume = resume;
    loop_post(req->loop, &req->task);
}

void
broker_req_hold(struct broker_req *req)
{
    net_slot_hold(req->slot);
}

void
broker_req_let_go(struct broker_req *req)
{
    net_slot_release(req->slot);
}

void
broker_req_resume_in_turn(struct broker_req *req, void (*resume)(struct broker_req *req))
{
    ASSERT(req->resume == NULL);
    req->in_turn = true;
    broker_req_resume(req, resume);
}

void
broker_req_turn(void *ctx, struct net_conn *conn, struct net_slot *slot)
{
    struct broker_req *req = slot->mark;
    (void)ctx;
    (void)conn;
    slot->mark = NULL;
    resume_now(req);
}

const struct meta_image *
broker_req_image_now(const struct broker_req *req)
{
    const struct broker_req_box *box =
        CONTAINER_OF((struct broker_req *)(uintptr_t)req, struct broker_req_box, req);
    return box->reactor->image;
}

static void
ask_finished(struct broker_req *req)
{
    struct broker_req_box *box = box_of(req);
    void *response = box->ask.response;
    box->ask_then(req, box->ask_err, box->ask_err == ERR_OK ? response : NULL);
}

static void
ask_done(struct meta_request *ask, enum err err)
{
    struct broker_req_box *box = CONTAINER_OF(ask, struct broker_req_box, ask);
    box->ask_err = err;
    broker_req_resume(&box->req, ask_finished);
}

void
broker_ask_controller(struct broker_req *req, int16_t api_key, int16_t version, const void *msg,
    void (*then)(struct broker_req *req, enum err err, void *response))
{
    struct broker_req_box *box = box_of(req);
    const struct proto_api *api = proto_api_find(api_key);
    ASSERT(api != NULL && then != NULL);
    if (box->ask_image != NULL) /* of an answer before */
        meta_image_unref(&box->ask_image);
    box->ask_then = then;
    box->ask = (struct meta_request){
        .api_key = api_key,
        .version = version,
        .msg = msg,
        .response = arena_alloc(req->arena, proto_schema_size(api->response)),
        .arena = req->arena,
        .image = &box->ask_image,
        .principal = req->peer->principal,
        .mutations = box->mutations,
        .done = ask_done,
        .owner = req,
    };
    if (box->ask.response == NULL) {
        ask_done(&box->ask, ERR_NOMEM);
        return;
    }
    proto_init(api->response, box->ask.response);
    meta_port_submit(req->broker->opts.metadata, &box->ask);
}
