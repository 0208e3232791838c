/* client/consumer_fetch.c - which partitions are asked of which broker, and what the answers mean.
 *
 * What: a partition whose position is a sentinel wants a look-up (ListOffsets), one without
 * buffered data wants a fetch; each request asks one broker for all such partitions it leads.
 * Invariants: I1 `fetching` is set from the request to its answer. Threads: the loop's. */
#include "base/alloc.h"
#include "base/assert.h"
#include "client/consumer_priv.h"
#include "proto/error_codes.h"
#include "proto/fetch_request.h"
#include "proto/fetch_response.h"
#include "proto/list_offsets_request.h"
#include "proto/list_offsets_response.h"

enum {
    FETCH_KEY = 1,
    FETCH_VERSION_MAX = 12, /* by topic name */
    LIST_OFFSETS_KEY = 2,
    BACKOFF_MS = 100,
    REQUEST_ARENA = 8 << 20,
    RESPONSE_ARENA = 16 << 20,
};

static void
fetch_free(struct consumer_fetch *fetch)
{
    list_remove(&fetch->link);
    client_call_fini(&fetch->call);
    arena_fini(&fetch->arena);
    mem_free(fetch);
}

void
consumer_cancel(struct client_consumer *consumer)
{
    while (!list_empty(&consumer->fetches)) {
        struct consumer_fetch *fetch =
            LIST_ENTRY(consumer->fetches.next, struct consumer_fetch, link);
        client_call_cancel(&fetch->call); /* `done` frees it */
    }
}

static void
on_refresh(struct client_refresh *refresh, enum err err)
{
    struct client_consumer *consumer = CONTAINER_OF(refresh, struct client_consumer, refresh);
    (void)err; /* a partition without a leader asks again after its pause */
    consumer_drive(consumer);
}

static void
want_metadata(struct client_consumer *consumer, const struct consumer_part *part)
{
    struct str topic = str_of(part->topic);
    if (consumer->refresh.waiting)
        return;
    consumer->refresh.done = on_refresh;
    client_refresh_topics(consumer->opts.client, &topic, 1, false, &consumer->refresh);
}

static void
part_retry(struct consumer_part *part, bool refresh)
{
    part->retry_ms = env_now_ms(client_env(part->consumer->opts.client)) + BACKOFF_MS;
    if (refresh)
        want_metadata(part->consumer, part);
}

/* An error of one partition: try again, start over, or stop. */
static void
part_error(struct consumer_part *part, int16_t code)
{
    bool refresh;
    if (code == PROTO_ERROR_OFFSET_OUT_OF_RANGE && part->consumer->opts.reset != 0) {
        part->position = part->consumer->opts.reset;
        return;
    }
    /* A damaged batch stays damaged; whoever reads may go on behind it. */
    if (code != PROTO_ERROR_CORRUPT_MESSAGE && client_error_is_retriable(code, &refresh))
        part_retry(part, refresh);
    else
        consumer_stop(part->consumer, part, ERR_FAILED, code);
}

/* ---- answers ---- */

static enum err
keep_aborted(struct consumer_part *part, const struct proto_fetch_response_partition_data *answer)
{
    if (answer->aborted_transactions.count <= 0)
        return ERR_OK;
    part->aborted = mem_calloc((size_t)answer->aborted_transactions.count, sizeof *part->aborted);
    if (part->aborted == NULL)
        return ERR_NOMEM;
    part->aborted_count = answer->aborted_transactions.count;
    for (int32_t i = 0; i < part->aborted_count; i++) {
        part->aborted[i].producer_id = answer->aborted_transactions.items[i].producer_id;
        part->aborted[i].first_offset = answer->aborted_transactions.items[i].first_offset;
    }
    return ERR_OK;
}

static void
keep_fetched(struct consumer_part *part, const struct proto_fetch_response_partition_data *answer)
{
    struct client_consumer *consumer = part->consumer;
    if (answer->error_code != 0) {
        part_error(part, answer->error_code);
        return;
    }
    part->end_offset = consumer->opts.read_committed && answer->last_stable_offset >= 0
                           ? answer->last_stable_offset
                           : answer->high_watermark;
    consumer->progress = true;
    struct bytes records = answer->records.bytes;
    if (records.len == 0)
        return;
    buf_append(&part->data, records.data, records.len);
    if (part->data.err != ERR_OK || keep_aborted(part, answer) != ERR_OK) {
        consumer_drop_data(part);
        consumer_stop(consumer, part, ERR_NOMEM, 0);
        return;
    }
    consumer_part_ready(part);
}

static void
on_fetched(struct client_call *call)
{
    struct consumer_fetch *fetch = CONTAINER_OF(call, struct consumer_fetch, call);
    struct client_consumer *consumer = fetch->consumer;
    const struct proto_fetch_request *request = call->request;
    const struct proto_fetch_response *response = call->response;
    for (int32_t i = 0; i < request->topics.count; i++)
        for (int32_t j = 0; j < request->topics.items[i].partitions.count; j++) {
            struct consumer_part *part = consumer_find(consumer, request->topics.items[i].topic,
                request->topics.items[i].partitions.items[j].partition);
            if (part == NULL)
                continue;
            part->fetching = false;
            part->asked = request->topics.items[i].partitions.items[j].fetch_offset;
            if (call->err != ERR_OK && call->err != ERR_CANCELED)
                part_retry(part, true);
        }
    for (int32_t i = 0; call->err == ERR_OK && i < response->responses.count; i++)
        for (int32_t j = 0; j < response->responses.items[i].partitions.count; j++) {
            const struct proto_fetch_response_partition_data *answer =
                &response->responses.items[i].partitions.items[j];
            struct consumer_part *part = consumer_find(
                consumer, response->responses.items[i].topic, answer->partition_index);
            /* A partition moved meanwhile (assign) has no use for this. */
            if (part != NULL && list_empty(&part->ready) && part->position == part->asked)
                keep_fetched(part, answer);
        }
    bool canceled = call->err == ERR_CANCELED;
    fetch_free(fetch);
    if (canceled)
        return;
    if (consumer->progress)
        client_wake(consumer->opts.client);
    consumer_drive(consumer);
}

static void
on_listed(struct client_call *call)
{
    struct consumer_fetch *fetch = CONTAINER_OF(call, struct consumer_fetch, call);
    struct client_consumer *consumer = fetch->consumer;
    const struct proto_list_offsets_request *request = call->request;
    const struct proto_list_offsets_response *response = call->response;
    for (int32_t i = 0; i < request->topics.count; i++)
        for (int32_t j = 0; j < request->topics.items[i].partitions.count; j++) {
            struct consumer_part *part = consumer_find(consumer, request->topics.items[i].name,
                request->topics.items[i].partitions.items[j].partition_index);
            if (part == NULL)
                continue;
            part->fetching = false;
            part->asked = request->topics.items[i].partitions.items[j].timestamp;
            if (call->err != ERR_OK && call->err != ERR_CANCELED)
                part_retry(part, true);
        }
    for (int32_t i = 0; call->err == ERR_OK && i < response->topics.count; i++)
        for (int32_t j = 0; j < response->topics.items[i].partitions.count; j++) {
            const struct proto_list_offsets_response_list_offsets_partition_response *answer =
                &response->topics.items[i].partitions.items[j];
            struct consumer_part *part =
                consumer_find(consumer, response->topics.items[i].name, answer->partition_index);
            if (part == NULL || part->position != part->asked)
                continue;
            if (answer->error_code != 0)
                part_error(part, answer->error_code);
            else
                part->position = answer->offset;
        }
    bool canceled = call->err == ERR_CANCELED;
    fetch_free(fetch);
    if (!canceled)
        consumer_drive(consumer);
}

/* ---- requests ---- */

static bool
wants(const struct consumer_part *part, bool look_up, int64_t now_ms)
{
    return !part->fetching && !part->stopped && (look_up || !part->paused) &&
           list_empty(&part->ready) && now_ms >= part->retry_ms && (part->position < 0) == look_up;
}

static int32_t
leader_of(struct client_consumer *consumer, const struct consumer_part *part)
{
    const struct client_topic *topic =
        client_topic_find(consumer->opts.client, str_of(part->topic));
    if (topic == NULL || part->partition >= topic->partition_count)
        return -1;
    return topic->partitions[part->partition].leader;
}

static struct consumer_fetch *
fetch_new(struct client_consumer *consumer, int32_t leader)
{
    struct consumer_fetch *fetch = mem_calloc(1, sizeof *fetch);
    if (fetch == NULL)
        return NULL;
    fetch->consumer = consumer;
    arena_init(&fetch->arena, REQUEST_ARENA);
    client_call_init(&fetch->call, RESPONSE_ARENA);
    fetch->call.target = CLIENT_TARGET_NODE;
    fetch->call.node_id = leader;
    list_push(&consumer->fetches, &fetch->link);
    return fetch;
}

/* How many partitions of that leader want this kind of request. */
static int32_t
count_wants(struct client_consumer *consumer, int32_t leader, bool look_up, int64_t now_ms)
{
    int32_t count = 0;
    LIST_FOREACH (&consumer->parts, node) {
        struct consumer_part *part = LIST_ENTRY(node, struct consumer_part, link);
        count += wants(part, look_up, now_ms) && leader_of(consumer, part) == leader;
    }
    return count;
}

/* The request outlives a partition that is unassigned meanwhile. */
static struct str
name_of(struct consumer_fetch *fetch, const struct consumer_part *part)
{
    return arena_str(&fetch->arena, str_of(part->topic));
}

static enum err
fill_fetch(struct consumer_fetch *fetch, int32_t leader, int32_t count, int64_t now_ms)
{
    struct client_consumer *consumer = fetch->consumer;
    struct proto_fetch_request *request = arena_alloc(&fetch->arena, sizeof *request);
    if (request == NULL)
        return ERR_NOMEM;
    proto_init(&proto_fetch_request_schema, request);
    request->max_wait_ms = consumer->opts.max_wait_ms;
    request->min_bytes = consumer->opts.min_bytes;
    request->max_bytes = consumer->opts.max_bytes;
    request->isolation_level = consumer->opts.read_committed;
    request->session_epoch = -1;
    request->topics.items =
        arena_calloc(&fetch->arena, (size_t)count, sizeof *request->topics.items);
    struct proto_fetch_request_fetch_partition *slots =
        arena_calloc(&fetch->arena, (size_t)count, sizeof *slots);
    if (request->topics.items == NULL || slots == NULL)
        return ERR_NOMEM;
    LIST_FOREACH (&consumer->parts, node) {
        struct consumer_part *part = LIST_ENTRY(node, struct consumer_part, link);
        if (!wants(part, false, now_ms) || leader_of(consumer, part) != leader)
            continue;
        struct proto_fetch_request_fetch_partition *slot = &slots[request->topics.count];
        proto_init(&proto_fetch_request_fetch_partition_schema, slot);
        slot->partition = part->partition;
        slot->current_leader_epoch = -1;
        slot->fetch_offset = part->position;
        slot->partition_max_bytes = consumer->opts.partition_max_bytes;
        if (part->end_offset < 0) /* the first answer tells where the end is: at once */
            request->max_wait_ms = 0;
        struct str name = name_of(fetch, part);
        if (str_is_null(name))
            break; /* the rest comes with the next request */
        request->topics.items[request->topics.count].topic = name;
        request->topics.items[request->topics.count].partitions.items = slot;
        request->topics.items[request->topics.count].partitions.count = 1;
        request->topics.count++;
        part->fetching = true;
    }
    if (request->topics.count == 0)
        return ERR_NOMEM;
    fetch->call.key = FETCH_KEY;
    fetch->call.version_max = FETCH_VERSION_MAX;
    fetch->call.timeout_ms = consumer->opts.max_wait_ms + 30000;
    fetch->call.request = request;
    fetch->call.done = on_fetched;
    return ERR_OK;
}

static enum err
fill_look_up(struct consumer_fetch *fetch, int32_t leader, int32_t count, int64_t now_ms)
{
    struct client_consumer *consumer = fetch->consumer;
    struct proto_list_offsets_request *request = arena_alloc(&fetch->arena, sizeof *request);
    if (request == NULL)
        return ERR_NOMEM;
    proto_init(&proto_list_offsets_request_schema, request);
    request->replica_id = -1;
    request->isolation_level = consumer->opts.read_committed;
    request->topics.items =
        arena_calloc(&fetch->arena, (size_t)count, sizeof *request->topics.items);
    struct proto_list_offsets_request_list_offsets_partition *slots =
        arena_calloc(&fetch->arena, (size_t)count, sizeof *slots);
    if (request->topics.items == NULL || slots == NULL)
        return ERR_NOMEM;
    LIST_FOREACH (&consumer->parts, node) {
        struct consumer_part *part = LIST_ENTRY(node, struct consumer_part, link);
        if (!wants(part, true, now_ms) || leader_of(consumer, part) != leader)
            continue;
        struct proto_list_offsets_request_list_offsets_partition *slot =
            &slots[request->topics.count];
        slot->partition_index = part->partition;
        slot->current_leader_epoch = -1;
        slot->timestamp = part->position;
        struct str name = name_of(fetch, part);
        if (str_is_null(name))
            break; /* the rest comes with the next request */
        request->topics.items[request->topics.count].name = name;
        request->topics.items[request->topics.count].partitions.items = slot;
        request->topics.items[request->topics.count].partitions.count = 1;
        request->topics.count++;
        part->fetching = true;
    }
    if (request->topics.count == 0)
        return ERR_NOMEM;
    fetch->call.key = LIST_OFFSETS_KEY;
    fetch->call.request = request;
    fetch->call.done = on_listed;
    return ERR_OK;
}

static void
ask(struct client_consumer *consumer, int32_t leader, bool look_up, int64_t now_ms)
{
    int32_t count = count_wants(consumer, leader, look_up, now_ms);
    struct consumer_fetch *fetch = fetch_new(consumer, leader);
    enum err err = ERR_NOMEM;
    if (fetch != NULL)
        err = look_up ? fill_look_up(fetch, leader, count, now_ms)
                      : fill_fetch(fetch, leader, count, now_ms);
    if (err == ERR_OK) {
        client_call_start(consumer->opts.client, &fetch->call);
        return;
    }
    if (fetch != NULL)
        fetch_free(fetch);
    consumer->err = err;
    consumer->progress = true;
}

/* One fetch a broker at a time: others wait for its answer, so that each answer is large. */
static bool
leader_is_busy(struct client_consumer *consumer, int32_t leader)
{
    LIST_FOREACH (&consumer->fetches, node) {
        struct consumer_fetch *fetch = LIST_ENTRY(node, struct consumer_fetch, link);
        if (fetch->call.node_id == leader && fetch->call.key == FETCH_KEY)
            return true;
    }
    return false;
}

/* A fetch for the partitions that have nothing, which often are those where nothing happens, would
 * wait at the broker and hold up the next one for those that are being read. */
static bool
leader_has_buffered(struct client_consumer *consumer, int32_t leader)
{
    LIST_FOREACH (&consumer->ready, node)
        if (leader_of(consumer, LIST_ENTRY(node, struct consumer_part, ready)) == leader)
            return true;
    return false;
}

/* Starts at most one request, since a call may change the list; true when it did. */
static bool
drive_once(struct client_consumer *consumer, int64_t now_ms, bool *waiting)
{
    LIST_FOREACH (&consumer->parts, node) {
        struct consumer_part *part = LIST_ENTRY(node, struct consumer_part, link);
        bool look_up = part->position < 0;
        *waiting = *waiting || now_ms < part->retry_ms;
        if (!wants(part, look_up, now_ms))
            continue;
        int32_t leader = leader_of(consumer, part);
        if (leader < 0) {
            part_retry(part, true);
            *waiting = true;
        } else if (look_up ||
                   (!leader_is_busy(consumer, leader) && !leader_has_buffered(consumer, leader))) {
            ask(consumer, leader, look_up, now_ms);
            return true;
        }
    }
    return false;
}

void
consumer_drive(struct client_consumer *consumer)
{
    int64_t now_ms = env_now_ms(client_env(consumer->opts.client));
    bool waiting = false;
    while (drive_once(consumer, now_ms, &waiting))
        continue;
    if (waiting && loop_timer_start(&consumer->timer, BACKOFF_MS) != ERR_OK)
        consumer->err = ERR_NOMEM;
}
