/* node/metadata.c - requests in, images and answers out.
 *
 * What: requests wait in `inbox` (any thread); the loop takes them all, makes records and the next
 * image of each, appends, and asks for one flush. What is committed leaves `pending` in order.
 * Invariants: I1 `latest` is what replaying the whole log gives. I2 subscribers see each change
 * once, in order, and only committed ones. I3 a request is done exactly once. Threads: the metadata
 * loop, except where node/metadata.h says otherwise. */
#include "node/metadata.h"

#include <string.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "meta/builder.h"
#include "node/metadata_priv.h"
#include "proto/describe_quorum_request.h"
#include "proto/describe_quorum_response.h"
#include "proto/error_codes.h"

enum { SCRATCH_BYTES = 64 << 20, DESCRIBE_QUORUM_KEY = 55 };

static const char MODULE[] = "metadata";

/* ---- ending requests ---- */

static void
request_done(struct meta_request *req, enum err err)
{
    list_remove(&req->link);
    req->done(req, err);
}

static void
pending_free(struct metadata_pending *pending)
{
    ASSERT(list_empty(&pending->requests));
    list_remove(&pending->link);
    meta_image_unref(&pending->image);
    meta_delta_free(&pending->delta);
    mem_free(pending);
}

static void
cancel_all(struct node_metadata *md, enum err err)
{
    while (!list_empty(&md->pending)) {
        struct metadata_pending *pending =
            LIST_ENTRY(md->pending.next, struct metadata_pending, link);
        while (!list_empty(&pending->requests))
            request_done(LIST_ENTRY(pending->requests.next, struct meta_request, link), err);
        pending_free(pending);
    }
}

/* ---- the view ---- */

static const char *
role_name(enum raft_role role)
{
    switch (role) {
    case RAFT_UNATTACHED: return "unattached";
    case RAFT_FOLLOWER: return "follower";
    case RAFT_CANDIDATE: return "candidate";
    case RAFT_LEADER: return "leader";
    case RAFT_FAILED: return "failed";
    }
    return "unknown";
}

void
metadata_view_update(struct node_metadata *md)
{
    const int32_t *voters;
    enum raft_role role = raft_role_get(md->raft);
    mutex_lock(&md->mutex);
    struct node_metadata_view *view = &md->view;
    view->role = role_name(role);
    view->leading = role == RAFT_LEADER;
    view->leader_id = raft_leader_id(md->raft);
    view->epoch = raft_epoch(md->raft);
    view->voters = raft_voters(md->raft, &voters);
    view->high_watermark = raft_high_watermark(md->raft);
    view->log_end_offset = raft_log_end_offset(md->raft);
    mutex_unlock(&md->mutex);
}

void
node_metadata_commit_times(const struct node_metadata *metadata, struct histogram_counts *out)
{
    histogram_collect(&metadata->commits, out);
}

static void
note_commit(struct node_metadata *md, const struct metadata_pending *pending)
{
    int64_t took_ns = env_now_ns(md->opts.env) - pending->appended_ns;
    histogram_add(&md->commits, took_ns > 0 ? (uint64_t)took_ns / 1000 : 0);
}

void
node_metadata_get_view(struct node_metadata *metadata, struct node_metadata_view *out)
{
    mutex_lock(&metadata->mutex);
    *out = metadata->view;
    mutex_unlock(&metadata->mutex);
}

/* ---- publishing ---- */

static void
publish(struct node_metadata *md, struct meta_image *image, const struct meta_delta *delta)
{
    struct meta_image *old;
    LIST_FOREACH (&md->subscribers, node) {
        struct meta_subscriber *subscriber = LIST_ENTRY(node, struct meta_subscriber, link);
        subscriber->on_image(subscriber, image, delta);
    }
    meta_image_ref(image);
    mutex_lock(&md->mutex);
    old = md->committed;
    md->committed = image;
    mutex_unlock(&md->mutex);
    meta_image_unref(&old);
}

/* raft: everything below the high watermark is committed. */
static void
on_committed(void *ctx, int64_t high_watermark)
{
    struct node_metadata *md = ctx;
    metadata_view_update(md); /* before anybody can see an image or an answer that it covers */
    while (!list_empty(&md->pending)) {
        struct metadata_pending *pending =
            LIST_ENTRY(md->pending.next, struct metadata_pending, link);
        if (pending->offset >= high_watermark)
            break;
        list_remove(&pending->link); /* a request's done may append, fail, and cancel the others */
        note_commit(md, pending);
        publish(md, pending->image, pending->delta); /* I2 */
        while (!list_empty(&pending->requests))
            request_done(LIST_ENTRY(pending->requests.next, struct meta_request, link), ERR_OK);
        pending_free(pending);
    }
    metadata_snapshots_committed(md);
}

static void
on_leading(void *ctx, bool leader, int32_t epoch)
{
    struct node_metadata *md = ctx;
    (void)epoch;
    if (!leader)
        cancel_all(md, ERR_FAILED);
}

/* ---- records to images ---- */

static enum err
next_image(
    struct node_metadata *md, const struct meta_records *records, struct metadata_pending *pending)
{
    struct meta_builder *builder = NULL;
    enum err err = meta_builder_new(md->latest, &builder);
    for (int i = 0; err == ERR_OK && i < records->count; i++)
        err = meta_builder_replay(builder, records->items[i].value);
    if (err != ERR_OK) {
        meta_builder_free(&builder);
        return err;
    }
    pending->offset = raft_log_end_offset(md->raft) + records->count - 1;
    return meta_builder_finish(&builder, pending->offset, raft_epoch(md->raft),
        records->timestamp_ms, &pending->image, &pending->delta);
}

enum err
metadata_append_records(
    struct node_metadata *md, const struct meta_records *records, struct meta_request *req)
{
    int64_t last_offset;
    struct metadata_pending *pending = mem_calloc(1, sizeof *pending);
    if (pending == NULL)
        return ERR_NOMEM;
    list_init(&pending->link);
    list_init(&pending->requests);
    pending->appended_ns = env_now_ns(md->opts.env);
    enum err err = next_image(md, records, pending);
    if (err != ERR_OK) {
        mem_free(pending);
        return err;
    }
    /* In the list before the append: a flush may end inside it in tests with no pool. */
    list_push(&md->pending, &pending->link);
    if (req != NULL)
        list_push(&pending->requests, &req->link);
    meta_image_unref(&md->latest);
    md->latest = pending->image;
    meta_image_ref(md->latest);
    for (int i = 0; i < records->count; i++)
        md->bytes_since_snapshot += (int64_t)records->items[i].value.len;
    err = raft_append(md->raft, records->items, records->count, &last_offset);
    /* A failed append ends leadership, which ended every request: nothing more to do. */
    if (err == ERR_OK)
        ASSERT(last_offset == raft_log_end_offset(md->raft) - 1);
    else
        diag_event(md->diag, DIAG_ERROR, MODULE, "append_failed", DIAG_ERR("cause", err));
    return ERR_OK;
}

/* ---- DescribeQuorum ---- */

typedef struct proto_describe_quorum_request_topic_data quorum_topic_in;
typedef struct proto_describe_quorum_response_topic_data quorum_topic_out;
typedef struct proto_describe_quorum_response_partition_data quorum_partition_out;

/* Every partition asked for, as none of this quorum's. */
static enum err
refuse_partitions(struct meta_request *req)
{
    const struct proto_describe_quorum_request *request = req->msg;
    struct proto_describe_quorum_response *answer = req->response;
    int32_t count = request->topics.count;
    answer->topics.items = arena_calloc(req->arena, (size_t)count, sizeof *answer->topics.items);
    if (answer->topics.items == NULL)
        return ERR_NOMEM;
    answer->topics.count = count;
    for (int32_t t = 0; t < count; t++) {
        const quorum_topic_in *asked = &request->topics.items[t];
        quorum_topic_out *out = &answer->topics.items[t];
        out->topic_name = asked->topic_name;
        out->partitions.items = arena_calloc(
            req->arena, (size_t)asked->partitions.count, sizeof *out->partitions.items);
        if (out->partitions.items == NULL)
            return ERR_NOMEM;
        out->partitions.count = asked->partitions.count;
        for (int32_t i = 0; i < asked->partitions.count; i++) {
            out->partitions.items[i].partition_index = asked->partitions.items[i].partition_index;
            out->partitions.items[i].error_code = PROTO_ERROR_UNKNOWN_TOPIC_OR_PARTITION;
            if (req->version >= 2)
                out->partitions.items[i].error_message =
                    STR("This server does not host this topic-partition.");
        }
    }
    return ERR_OK;
}

static enum err
fill_partition(struct node_metadata *md, struct meta_request *req, quorum_partition_out *out)
{
    struct proto_describe_quorum_response *answer = req->response;
    const int32_t *voters;
    int count = raft_voters(md->raft, &voters);
    int64_t now_ms = env_wall_ms(md->opts.env);
    out->error_message = STR("");
    out->leader_id = raft_leader_id(md->raft);
    out->leader_epoch = raft_epoch(md->raft);
    out->high_watermark = raft_high_watermark(md->raft);
    out->current_voters.items =
        arena_calloc(req->arena, (size_t)count, sizeof *out->current_voters.items);
    answer->nodes.items = arena_calloc(req->arena, (size_t)count, sizeof *answer->nodes.items);
    if (out->current_voters.items == NULL || answer->nodes.items == NULL)
        return ERR_NOMEM;
    for (int i = 0; i < count; i++) {
        bool timed = req->version >= 1;
        out->current_voters.items[i].replica_id = voters[i];
        out->current_voters.items[i].log_end_offset = raft_log_end_offset(md->raft);
        out->current_voters.items[i].last_fetch_timestamp = timed ? now_ms : -1;
        out->current_voters.items[i].last_caught_up_timestamp = timed ? now_ms : -1;
        answer->nodes.items[i].node_id = voters[i];
    }
    out->current_voters.count = count;
    answer->nodes.count = req->version >= 2 ? count : 0;
    return ERR_OK;
}

static enum err
describe_quorum(struct node_metadata *md, struct meta_request *req)
{
    const struct proto_describe_quorum_request *request = req->msg;
    struct proto_describe_quorum_response *answer = req->response;
    proto_init(&proto_describe_quorum_response_schema, answer);
    bool asked = request->topics.count == 1 &&
                 str_eq_z(request->topics.items[0].topic_name, "__cluster_metadata") &&
                 request->topics.items[0].partitions.count == 1 &&
                 request->topics.items[0].partitions.items[0].partition_index == 0;
    enum err err = refuse_partitions(req);
    if (err != ERR_OK || !asked)
        return err;
    quorum_partition_out *out = &answer->topics.items[0].partitions.items[0];
    out->error_code = PROTO_ERROR_NONE;
    return fill_partition(md, req, out);
}

/* ---- taking requests ---- */

void
metadata_submit_here(struct node_metadata *md, struct meta_request *req)
{
    struct meta_records records;
    enum err err;
    list_init(&req->link);
    if (md->stopping || raft_role_get(md->raft) != RAFT_LEADER) {
        request_done(req, md->stopping ? ERR_CANCELED : ERR_FAILED);
        return;
    }
    arena_reset(&md->scratch);
    meta_records_init(&records, &md->scratch, env_wall_ms(md->opts.env));
    if (req->image != NULL) {
        ASSERT(*req->image == NULL);
        *req->image = md->latest;
        meta_image_ref(md->latest);
    }
    if (req->api_key == DESCRIBE_QUORUM_KEY)
        err = describe_quorum(md, req);
    else
        err = meta_controller_handle(
            &md->controller, md->latest, raft_log_end_offset(md->raft), req, &records);
    if (err != ERR_OK) {
        request_done(req, err);
    } else if (records.count > 0) {
        err = metadata_append_records(md, &records, req);
        if (err != ERR_OK)
            request_done(req, err);
    } else if (!list_empty(&md->pending)) {
        /* It was judged by what is not committed yet: it waits for that. */
        list_push(
            &LIST_ENTRY(md->pending.prev, struct metadata_pending, link)->requests, &req->link);
    } else {
        request_done(req, ERR_OK);
    }
}

static void
on_inbox(struct loop_task *task)
{
    struct node_metadata *md = CONTAINER_OF(task, struct node_metadata, inbox_task);
    struct list taken;
    list_init(&taken);
    if (!md->started)
        return; /* on_start takes them */
    mutex_lock(&md->mutex);
    list_splice(&taken, &md->inbox);
    md->inbox_posted = false;
    mutex_unlock(&md->mutex);
    struct list *node;
    while ((node = list_pop(&taken)) != NULL)
        metadata_submit_here(md, LIST_ENTRY(node, struct meta_request, link));
    metadata_view_update(md);
}

static void
port_submit(void *ctx, struct meta_request *req)
{
    struct node_metadata *md = ctx;
    mutex_lock(&md->mutex);
    bool stopping = md->stopping;
    bool post = !stopping && !md->inbox_posted;
    if (!stopping) {
        list_push(&md->inbox, &req->link);
        md->inbox_posted = true;
    }
    mutex_unlock(&md->mutex);
    if (stopping)
        req->done(req, ERR_CANCELED);
    else if (post)
        loop_post(md->loop, &md->inbox_task);
}

static struct meta_image *
port_image(void *ctx)
{
    struct node_metadata *md = ctx;
    mutex_lock(&md->mutex);
    struct meta_image *image = md->committed;
    meta_image_ref(image);
    mutex_unlock(&md->mutex);
    return image;
}

/* ---- life ---- */

static void
controller_random(void *ctx, void *out, size_t len)
{
    env_random(ctx, out, len);
}

static enum err
make_raft(struct node_metadata *md)
{
    static const struct raft_ops ops = {
        .store_quorum_state = metadata_store_quorum_state,
        .append = metadata_store_append,
        .want_flush = metadata_store_want_flush,
        .committed = on_committed,
        .leading = on_leading,
    };
    struct quorum_state state;
    bool has_state = false;
    enum err err = metadata_store_load(md, &state, &has_state);
    if (err != ERR_OK)
        return err;
    int32_t epoch = log_latest_epoch(md->log);
    if (epoch < meta_image_epoch(md->latest))
        epoch = meta_image_epoch(md->latest); /* all of the log is in a snapshot */
    struct raft_opts opts = {
        .ops = &ops,
        .ctx = md,
        .diag = md->diag,
        .node_id = md->opts.node_id,
        .directory_id = log_parent_dir_id(md->log),
        .voters = &md->opts.node_id,
        .voter_count = 1,
        .state = has_state ? &state : NULL,
        .log_end_offset = log_end_offset(md->log),
        .log_epoch = epoch > 0 ? epoch : 0,
    };
    return raft_new(&opts, &md->raft);
}

enum err
node_metadata_open(const struct node_metadata_opts *opts, struct node_metadata **out)
{
    struct node_metadata *md = mem_calloc(1, sizeof *md);
    if (md == NULL)
        return ERR_NOMEM;
    md->opts = *opts;
    md->diag = env_diag(opts->env);
    md->port = (struct meta_port){md, port_submit, port_image};
    md->controller =
        (struct meta_controller){opts->rules, opts->node_id, controller_random, opts->env};
    list_init(&md->pending);
    list_init(&md->subscribers);
    list_init(&md->inbox);
    arena_init(&md->scratch, SCRATCH_BYTES);
    arena_init(&md->registration.arena, SCRATCH_BYTES);
    mutex_init(&md->mutex, MUTEX_RANK_MAILBOX);
    loop_task_init(&md->inbox_task, on_inbox);
    atomic_init(&md->broker_epoch, -1);
    enum err err = loop_new(opts->env, "metadata", &md->loop);
    if (err == ERR_OK)
        err = log_validator_new(&md->validator);
    if (err == ERR_OK)
        err = meta_image_new_empty(log_manager_cluster_id(opts->logs), &md->latest);
    if (err == ERR_OK)
        err = make_raft(md);
    if (err != ERR_OK) {
        node_metadata_free(&md);
        return err;
    }
    md->committed = md->latest;
    meta_image_ref(md->committed);
    metadata_view_update(md);
    *out = md;
    return ERR_OK;
}

void
node_metadata_subscribe(struct node_metadata *metadata, struct meta_subscriber *subscriber)
{
    list_push(&metadata->subscribers, &subscriber->link);
}

/* On the loop: lead, and begin a new cluster's metadata if there is none. */
static void
on_start(struct loop_task *task)
{
    struct node_metadata *md = CONTAINER_OF(task, struct node_metadata, start_task);
    metadata_store_start(md);
    enum err err = raft_tick(md->raft, env_wall_ms(md->opts.env));
    if (err == ERR_OK && meta_image_feature(md->latest, STR("metadata.version")) == 0)
        err = metadata_store_bootstrap(md);
    if (err != ERR_OK)
        diag_event(md->diag, DIAG_ERROR, MODULE, "start_failed", DIAG_ERR("cause", err));
    metadata_snapshots_start(md);
    if (md->registration.wanted)
        metadata_registration_start(md);
    md->started = true;
    on_inbox(&md->inbox_task);
    metadata_view_update(md);
}

enum err
node_metadata_start(struct node_metadata *metadata)
{
    loop_task_init(&metadata->start_task, on_start);
    enum err err = loop_start(metadata->loop);
    if (err == ERR_OK)
        loop_post(metadata->loop, &metadata->start_task);
    return err;
}

const struct meta_port *
node_metadata_port(const struct node_metadata *metadata)
{
    return &metadata->port;
}

struct meta_image *
node_metadata_image(struct node_metadata *metadata)
{
    return port_image(metadata);
}

int64_t
node_metadata_broker_epoch(const struct node_metadata *metadata)
{
    return atomic_load(&metadata->broker_epoch);
}

void
node_metadata_stop(struct node_metadata *metadata)
{
    struct list left;
    list_init(&left);
    mutex_lock(&metadata->mutex);
    metadata->stopping = true;
    mutex_unlock(&metadata->mutex);
    loop_stop(metadata->loop);
    mutex_lock(&metadata->mutex);
    list_splice(&left, &metadata->inbox);
    mutex_unlock(&metadata->mutex);
    while (!list_empty(&left))
        request_done(LIST_ENTRY(left.next, struct meta_request, link), ERR_CANCELED);
    cancel_all(metadata, ERR_CANCELED);
}

void
node_metadata_free(struct node_metadata **metadata)
{
    struct node_metadata *md = *metadata;
    if (md == NULL)
        return;
    if (md->flush.running)
        log_flush_abandon(&md->flush.flush);
    raft_free(&md->raft);
    metadata_store_fini(md);
    metadata_snapshots_fini(md);
    log_validator_free(&md->validator);
    meta_image_unref(&md->latest);
    meta_image_unref(&md->committed);
    arena_fini(&md->scratch);
    arena_fini(&md->registration.arena);
    mutex_fini(&md->mutex);
    mem_free(md->dir);
    if (md->loop != NULL)
        loop_free(&md->loop);
    mem_free(md);
    *metadata = NULL;
}
