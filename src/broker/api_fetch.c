/* broker/api_fetch.c - Fetch: sessions, reading within limits, long polling, answering with file
 * ranges.
 *
 * States of a request: begun (session settled, partitions found) -> reading -> (too little: parked
 * until a partition moves or max_wait_ms is over -> reading again) -> answered. Records are never
 * decoded nor, but for small ones, copied: the response carries references to ranges of the log
 * files. Invariants: I1 a file reference is held by exactly one of fetch_part.slice and the
 * response; I2 the partitions are referenced from begun to answered; I3 the session context is
 * finished or aborted exactly once. A request for many partitions goes on in other turns; until it
 * waits for something its connection is held meanwhile. Threads: the request's reactor. Errors:
 * Kafka's, for the whole (sessions) or per partition. */
#include "base/assert.h"
#include "base/limits.h"
#include "broker/api_fetch_priv.h"
#include "broker/broker.h"
#include "broker/quota_req.h"
#include "meta/image.h"
#include "net/conn.h"
#include "replica/manager.h"

/* ---- what is asked for ---- */

static struct str
resolve_topic(void *ctx, struct uuid topic_id)
{
    const struct meta_image *image = ctx;
    const struct meta_topic *topic = meta_image_topic_by_id(image, topic_id);

    return topic != NULL ? topic->name : STR_NULL;
}

static void
fill_item(const struct fetch *f, const struct proto_fetch_request_fetch_topic *topic,
    struct str name, int32_t at, struct replica_fetch_item *item)
{
    const struct proto_fetch_request_fetch_partition *part = &topic->partitions.items[at];

    *item = (struct replica_fetch_item){
        .topic = name,
        .topic_id = f->req->version >= FETCH_VERSION_TOPIC_ID ? topic->topic_id : UUID_ZERO,
        .partition = part->partition,
        .leader_epoch = part->current_leader_epoch,
        .offset = part->fetch_offset,
        .last_fetched_epoch = part->last_fetched_epoch,
        .log_start_offset = part->log_start_offset,
        .max_bytes = part->partition_max_bytes,
    };
}

static bool
list_items(const struct fetch *f, struct replica_fetch_ask *ask)
{
    const struct proto_fetch_request *msg = f->msg;
    size_t count = 0;

    for (int32_t t = 0; t < msg->topics.count; t++)
        if (msg->topics.items[t].partitions.count > 0)
            count += (size_t)msg->topics.items[t].partitions.count;
    ask->items = arena_alloc(f->req->arena, count * sizeof *ask->items);
    if (ask->items == NULL)
        return false;
    for (int32_t t = 0; t < msg->topics.count; t++) {
        const struct proto_fetch_request_fetch_topic *topic = &msg->topics.items[t];
        struct str name = topic->topic;
        if (f->req->version >= FETCH_VERSION_TOPIC_ID)
            name = resolve_topic((void *)(uintptr_t)f->req->image, topic->topic_id);
        for (int32_t i = 0; i < topic->partitions.count; i++)
            fill_item(f, topic, name, i, &ask->items[ask->item_count++]);
    }
    return true;
}

static bool
list_forgets(const struct fetch *f, struct replica_fetch_ask *ask)
{
    const struct proto_fetch_request *msg = f->msg;
    struct replica_fetch_forget *forgets;
    size_t count = 0;

    for (int32_t t = 0; t < msg->forgotten_topics_data.count; t++)
        if (msg->forgotten_topics_data.items[t].partitions.count > 0)
            count += (size_t)msg->forgotten_topics_data.items[t].partitions.count;
    forgets = arena_alloc(f->req->arena, count * sizeof *forgets);
    if (forgets == NULL)
        return false;
    for (int32_t t = 0; t < msg->forgotten_topics_data.count; t++) {
        const struct proto_fetch_request_forgotten_topic *topic =
            &msg->forgotten_topics_data.items[t];
        for (int32_t i = 0; i < topic->partitions.count; i++)
            forgets[ask->forget_count++] = (struct replica_fetch_forget){
                .topic = topic->topic,
                .topic_id = topic->topic_id,
                .partition = topic->partitions.items[i],
            };
    }
    ask->forgets = forgets;
    return true;
}

static int32_t
replica_id_of(const struct fetch *f)
{
    return f->req->version >= FETCH_VERSION_REPLICA_STATE ? f->msg->replica_state.replica_id
                                                          : f->msg->replica_id;
}

/* ---- turns ---- */

static struct fetch *
fetch_of(struct broker_req *req)
{
    return CONTAINER_OF((struct broker_park *)req->state, struct fetch, park);
}

void
fetch_turn(struct broker_req *req)
{
    struct fetch *f = fetch_of(req);
    f->turn_cost = 0;
    f->then(f);
}

bool
fetch_rests(struct fetch *f, int cost, void (*then)(struct fetch *f))
{
    int most = net_conn_is_watched(f->req->conn) ? LIMIT_FETCH_BRIEF : LIMIT_FETCH_ALONE;
    if (f->turn_cost < most) {
        f->turn_cost += cost;
        return false;
    }
    if (!f->let_go) /* what comes next must not overtake it, nor its session */
        broker_req_hold(f->req);
    f->then = then;
    broker_req_resume_in_turn(f->req, fetch_turn);
    return true;
}

void
fetch_let_go(struct fetch *f)
{
    f->let_go = true;
    broker_req_let_go(f->req);
}

/* ---- finding the partitions ---- */

static void
find_one(struct fetch *f, struct replica_fetch_item *item, struct fetch_part *part)
{
    enum proto_error error;

    item->high_watermark = -1;
    item->answer_log_start_offset = -1;
    if (str_is_null(item->topic))
        error = PROTO_ERROR_UNKNOWN_TOPIC_ID;
    else
        error = replica_manager_find(broker_replicas(f->req->broker), f->req->image, item->topic,
            item->topic_id, item->partition, &part->part);
    /* Replicas are served when replication is built; until then nobody is one. */
    if (error == PROTO_ERROR_NONE && f->follower)
        error = PROTO_ERROR_NOT_LEADER_OR_FOLLOWER;
    if (error == PROTO_ERROR_NONE && item->max_bytes < 0)
        error = PROTO_ERROR_INVALID_REQUEST;
    if (error != PROTO_ERROR_NONE)
        replica_partition_unref(&part->part);
    /* What the metadata does not know may appear while the others are waited for, as in Kafka. */
    if (error != PROTO_ERROR_NONE && error != PROTO_ERROR_UNKNOWN_TOPIC_ID &&
        error != PROTO_ERROR_UNKNOWN_TOPIC_OR_PARTITION)
        f->answer_now = true;
    item->error = error;
}

/* Then reads. */
static void
find_parts(struct fetch *f)
{
    for (; f->find_at < f->context.item_count; f->find_at++) {
        struct fetch_part *part = &f->parts[f->find_at];
        if (fetch_rests(f, LIMIT_FETCH_EMPTY, find_parts))
            return;
        find_one(f, &f->context.items[f->find_at], part);
        if (part->part != NULL)
            f->found_count++;
    }
    fetch_run(f);
}

/* ---- reading ---- */

void
fetch_part_close(struct fetch_part *part)
{
    if (part->slice.file != NULL)
        env_file_close(&part->slice.file);
    part->slice = (struct log_slice){0};
}

/* True when this answer should not wait for more: an error, or a fetcher that must truncate. */
static bool
read_one(struct fetch *f, struct replica_fetch_item *item, struct fetch_part *part,
    size_t bytes_left, bool min_one)
{
    size_t max_bytes = (size_t)item->max_bytes;
    struct replica_fetch fetch = {
        .offset = item->offset,
        .leader_epoch = item->leader_epoch,
        .last_fetched_epoch = item->last_fetched_epoch,
        .bound = f->msg->isolation_level == 1 ? REPLICA_BOUND_LSO : REPLICA_BOUND_HW,
        .max_bytes = max_bytes < bytes_left ? max_bytes : bytes_left,
        .min_one = min_one,
        .nowait = !part->waits,
        .arena = f->req->arena,
    };

    part->cold = false;
    item->error = replica_partition_fetch(part->part, &fetch);
    item->high_watermark = item->error == PROTO_ERROR_NONE ? fetch.high_watermark : -1;
    item->answer_log_start_offset = item->error == PROTO_ERROR_NONE ? fetch.log_start_offset : -1;
    item->must_answer = fetch.diverging;
    item->records_bytes = 0;
    if (item->error != PROTO_ERROR_NONE)
        return true;
    part->slice = fetch.slice;
    part->cold = fetch.cold;
    f->cold_count += fetch.cold;
    f->unflushed = f->unflushed || fetch.unflushed;
    part->last_stable_offset = fetch.last_stable_offset;
    part->bound_offset = fetch.bound_offset;
    part->leader_epoch = fetch.leader_epoch_now;
    part->diverging = fetch.diverging;
    part->diverging_epoch = fetch.diverging_epoch;
    part->diverging_end_offset = fetch.diverging_end_offset;
    part->aborted = fetch.aborted;
    part->aborted_count = fetch.aborted_count;
    item->records_bytes = fetch.slice.file != NULL && !fetch.cold ? fetch.slice.len : 0;
    return fetch.diverging;
}

static void read_decide(struct fetch *f);

/* Reads every partition in order until the response is full. The first that has anything gives at
 * least one whole batch, or a batch above the limits would stop its reader for ever. */
static void
read_parts(struct fetch *f)
{
    for (; f->read_at < f->context.item_count; f->read_at++) {
        struct replica_fetch_item *item = &f->context.items[f->read_at];
        struct fetch_part *part = &f->parts[f->read_at];
        if (fetch_rests(f, LIMIT_FETCH_EMPTY, read_parts))
            return;
        if (part->part == NULL)
            continue;
        ASSERT(part->slice.file == NULL);
        f->now = read_one(f, item, part, f->bytes_left, f->bytes == 0) || f->now;
        if (part->slice.file != NULL)
            f->turn_cost += LIMIT_FETCH_RECORDS;
        f->bytes += item->records_bytes;
        f->bytes_left -= item->records_bytes < f->bytes_left ? item->records_bytes : f->bytes_left;
    }
    read_decide(f);
}

void
fetch_run(struct fetch *f)
{
    f->cold_count = 0;
    f->unflushed = false;
    f->read_at = 0;
    f->bytes = 0;
    f->bytes_left = f->max_bytes;
    f->now = f->answer_now;
    read_parts(f);
}

/* ---- waiting ---- */

static void fetch_ended(struct broker_req *req);

/* Who has got an acknowledgement and fetches without waiting gets his record, as in
 * broker/flush_wait.h. */
static int64_t
wait_until_ms(const struct fetch *f, bool unflushed)
{
    int64_t flush_ms = f->begun_ms + LIMIT_FLUSH_WAIT_MS;

    return unflushed && f->deadline_ms < flush_ms ? flush_ms : f->deadline_ms;
}

/* All is read: answers, waits, or has read in what is missing. */
static void
read_decide(struct fetch *f)
{
    int64_t left_ms;
    bool unflushed = f->unflushed && f->bytes == 0;
    bool now = f->now || (f->bytes >= f->min_bytes && !unflushed);

    if (f->cold_count > 0) {
        if (fetch_warm(f))
            fetch_let_go(f);
        else
            fetch_run(f);
        return;
    }
    left_ms = wait_until_ms(f, unflushed) - loop_now_ms(f->req->loop);
    if (now || left_ms <= 0 || f->found_count == 0) {
        fetch_send(f);
        return;
    }
    if (f->slots == NULL)
        f->slots = arena_alloc(f->req->arena, (size_t)f->found_count * sizeof *f->slots);
    if (f->slots == NULL) {
        fetch_reply(f); /* early is always allowed */
        return;
    }
    fetch_let_go(f);
    broker_park_init(&f->park, f->req, BROKER_PARK_ANY, f->slots, fetch_ended);
    for (int32_t i = 0; i < f->context.item_count; i++) {
        struct fetch_part *part = &f->parts[i];
        int64_t offset = f->context.items[i].offset;
        if (part->part == NULL)
            continue;
        fetch_part_close(part);
        if (offset < part->bound_offset)
            offset = part->bound_offset;
        /* Moved between reading and here: nothing was lost, it is just read again at once. */
        if (!broker_park_add(&f->park, part->part, part->leader_epoch,
                f->msg->isolation_level == 1 ? REPLICA_WATERMARK_LSO : REPLICA_WATERMARK_HW,
                offset + 1))
            left_ms = 0;
    }
    (void)broker_park_start(&f->park, left_ms);
}

static void
fetch_ended(struct broker_req *req)
{
    struct broker_park *park = req->state;
    struct fetch *f = fetch_of(req);

    f->turn_cost = 0;
    /* A partition that is not to be waited for: what there is goes now. */
    for (int32_t i = 0; i < park->count; i++)
        if (park->slots[i].ended && park->slots[i].why != REPLICA_WAKE_REACHED)
            f->answer_now = true;
    fetch_run(f);
}

/* ---- the request ---- */

void
fetch_release(struct fetch *f)
{
    for (int32_t i = 0; f->parts != NULL && i < f->context.item_count; i++) {
        fetch_part_close(&f->parts[i]);
        replica_partition_unref(&f->parts[i].part);
    }
}

static void
fetch_limits(struct fetch *f)
{
    const struct proto_fetch_request *msg = f->msg;
    int32_t wait_ms = msg->max_wait_ms;

    f->max_bytes = msg->max_bytes < 0 ? 0 : (size_t)msg->max_bytes;
    if (f->max_bytes > FETCH_BYTES_MAX)
        f->max_bytes = FETCH_BYTES_MAX;
    f->follower = replica_id_of(f) >= 0;
    if (!f->follower)
        f->max_bytes = broker_quota_fetch_bytes_max(f->req, f->max_bytes);
    f->min_bytes = msg->min_bytes < 0 ? 0 : (size_t)msg->min_bytes;
    if (f->min_bytes > f->max_bytes)
        f->min_bytes = f->max_bytes;
    if (wait_ms > FETCH_WAIT_MS_MAX)
        wait_ms = FETCH_WAIT_MS_MAX;
    f->begun_ms = loop_now_ms(f->req->loop);
    f->deadline_ms = f->begun_ms + wait_ms;
}

static enum proto_error
fetch_begin(struct fetch *f)
{
    struct replica_fetch_ask ask = {
        .session_id = f->msg->session_id,
        .session_epoch = f->msg->session_epoch,
        .version = f->req->version,
        .follower = f->follower,
        .resolve = resolve_topic,
        .resolve_ctx = (void *)(uintptr_t)f->req->image,
    };

    if (!list_items(f, &ask) || !list_forgets(f, &ask))
        return PROTO_ERROR_UNKNOWN_SERVER_ERROR;
    return replica_fetch_begin(f->sessions, &ask, f->req->arena, &f->context);
}

static void
fetch_handle(struct broker_req *req)
{
    struct fetch *f = arena_calloc(req->arena, 1, sizeof *f);
    enum proto_error error;

    if (f == NULL) {
        broker_req_close(req, "out of request memory");
        return;
    }
    f->req = req;
    f->msg = req->msg;
    req->state = &f->park;
    f->sessions = replica_manager_sessions(broker_replicas(req->broker));
    fetch_limits(f);
    if (f->follower)
        broker_req_count_as(req, BROKER_STATS_FETCH_FOLLOWER);
    error = fetch_begin(f);
    if (error != PROTO_ERROR_NONE) {
        fetch_reply_error(f, error, REPLICA_SESSION_ID_NONE);
        return;
    }
    f->parts = arena_calloc(req->arena, (size_t)f->context.item_count, sizeof *f->parts);
    if (f->parts == NULL) {
        replica_fetch_abort(f->sessions, &f->context);
        broker_req_close(req, "out of request memory");
        return;
    }
    find_parts(f);
}

const struct broker_api broker_api_fetch = {
    .key = 1,
    .version_min = 4,
    .version_max = 18,
    .handle = fetch_handle,
};
