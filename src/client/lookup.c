/* client/lookup.c - ListOffsets, spread over the leaders and gathered again.
 *
 * What: rounds. A round asks for fresh metadata, sends one request to every leader for all of its
 * targets without a result, and ends when all have answered; what passed and may pass is left for
 * the next round, after a pause.
 * Invariants: I1 a target is settled once, and not asked for afterwards. I2 `done` runs from the
 * timer or a callback, never from client_lookup_new. Threads: the loop's. */
#include "client/lookup.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "client/client_priv.h"
#include "proto/error_codes.h"
#include "proto/list_offsets_request.h"
#include "proto/list_offsets_response.h"

enum {
    TIMEOUT_MS = 30000,
    PAUSE_MS = 100,
    REQUEST_ARENA = 64 << 20,
    RESPONSE_ARENA = 64 << 20,
};

struct lookup_request {
    struct list link;
    struct client_lookup *lookup;
    struct client_call call;
    struct arena arena;
    int *targets; /* which, in the order of the request; in the arena */
    int count;
};

struct client_lookup {
    struct client_lookup_opts opts;
    struct client_refresh refresh;
    struct list requests; /* of this round */
    struct loop_timer timer;
    int64_t end_ms;
    bool *settled; /* by target */
    int unsettled;
    bool starting; /* requests of the round are still being sent */
    bool over, freeing;
};

static void start_round(struct client_lookup *lookup);

static int64_t
now_ms(const struct client_lookup *lookup)
{
    return env_now_ms(client_env(lookup->opts.client));
}

static void
settle(struct client_lookup *lookup, int i, enum err err)
{
    ASSERT(!lookup->settled[i]); /* I1 */
    lookup->settled[i] = true;
    lookup->unsettled--;
    lookup->opts.targets[i].err = err;
}

static void
finish(struct client_lookup *lookup)
{
    ASSERT(!lookup->over);
    for (int i = 0; i < lookup->opts.count; i++)
        if (!lookup->settled[i])
            settle(lookup, i, lookup->opts.targets[i].error_code != 0 ? ERR_FAILED : ERR_TIMEOUT);
    lookup->over = true;
    loop_timer_stop(&lookup->timer);
    lookup->opts.done(lookup->opts.ctx, lookup);
}

/* All of the round's answers are here. */
static void
end_round(struct client_lookup *lookup)
{
    int64_t left_ms = lookup->end_ms - now_ms(lookup);
    if (lookup->unsettled == 0 || left_ms <= 0) {
        finish(lookup);
        return;
    }
    if (loop_timer_start(&lookup->timer, left_ms < PAUSE_MS ? left_ms : PAUSE_MS) != ERR_OK)
        finish(lookup);
}

/* ---- answers ---- */

static void
take_answer(struct client_lookup *lookup, const struct lookup_request *request, struct str topic,
    const struct proto_list_offsets_response_list_offsets_partition_response *answer)
{
    for (int k = 0; k < request->count; k++) {
        int i = request->targets[k];
        struct client_lookup_target *target = &lookup->opts.targets[i];
        bool refresh;
        if (lookup->settled[i] || target->partition != answer->partition_index ||
            !str_eq(target->topic, topic))
            continue;
        target->error_code = answer->error_code;
        if (answer->error_code == 0) {
            target->offset = answer->offset;
            target->found_ms = answer->timestamp;
            target->leader_epoch = answer->leader_epoch;
            settle(lookup, i, ERR_OK);
        } else if (!client_error_is_retriable(answer->error_code, &refresh)) {
            settle(lookup, i, ERR_FAILED);
        }
        return;
    }
}

static void
request_free(struct lookup_request *request)
{
    list_remove(&request->link);
    client_call_fini(&request->call);
    arena_fini(&request->arena);
    mem_free(request);
}

static void
on_listed(struct client_call *call)
{
    struct lookup_request *request = CONTAINER_OF(call, struct lookup_request, call);
    struct client_lookup *lookup = request->lookup;
    const struct proto_list_offsets_response *response = call->response;
    for (int32_t i = 0; call->err == ERR_OK && i < response->topics.count; i++)
        for (int32_t j = 0; j < response->topics.items[i].partitions.count; j++)
            take_answer(lookup, request, response->topics.items[i].name,
                &response->topics.items[i].partitions.items[j]);
    if (call->err == ERR_UNSUPPORTED)
        for (int k = 0; k < request->count; k++)
            if (!lookup->settled[request->targets[k]])
                settle(lookup, request->targets[k], ERR_UNSUPPORTED);
    request_free(request);
    if (!lookup->freeing && !lookup->starting && list_empty(&lookup->requests))
        end_round(lookup);
}

/* ---- a round ---- */

/* The leader of a target, or -1; a topic that is not there settles it. */
static int32_t
leader_of(struct client_lookup *lookup, int i)
{
    struct client_lookup_target *target = &lookup->opts.targets[i];
    const struct client_topic *topic = client_topic_find(lookup->opts.client, target->topic);
    bool refresh;
    if (topic == NULL)
        return -1;
    if (topic->error_code != 0) {
        target->error_code = topic->error_code;
        if (topic->error_code == PROTO_ERROR_UNKNOWN_TOPIC_OR_PARTITION ||
            !client_error_is_retriable(topic->error_code, &refresh))
            settle(lookup, i, ERR_FAILED);
        return -1;
    }
    if (target->partition < 0 || target->partition >= topic->partition_count) {
        target->error_code = PROTO_ERROR_UNKNOWN_TOPIC_OR_PARTITION;
        settle(lookup, i, ERR_FAILED);
        return -1;
    }
    int32_t leader = topic->partitions[target->partition].leader;
    if (leader < 0)
        target->error_code = PROTO_ERROR_LEADER_NOT_AVAILABLE;
    return leader;
}

static enum err
fill_request(struct lookup_request *request, const int32_t *leaders, int32_t leader, int count)
{
    const struct client_lookup *lookup = request->lookup;
    struct arena *arena = &request->arena;
    struct proto_list_offsets_request *message = arena_alloc(arena, sizeof *message);
    struct proto_list_offsets_request_list_offsets_partition *slots =
        arena_calloc(arena, (size_t)count, sizeof *slots);
    request->targets = arena_alloc(arena, sizeof *request->targets * (size_t)count);
    if (message == NULL || slots == NULL || request->targets == NULL)
        return ERR_NOMEM;
    proto_init(&proto_list_offsets_request_schema, message);
    message->replica_id = -1;
    message->isolation_level = lookup->opts.read_committed;
    message->timeout_ms = TIMEOUT_MS;
    message->topics.items = arena_calloc(arena, (size_t)count, sizeof *message->topics.items);
    if (message->topics.items == NULL)
        return ERR_NOMEM;
    for (int i = 0; i < lookup->opts.count; i++) {
        const struct client_lookup_target *target = &lookup->opts.targets[i];
        if (lookup->settled[i] || leaders[i] != leader)
            continue;
        int at = request->count++;
        proto_init(&proto_list_offsets_request_list_offsets_partition_schema, &slots[at]);
        slots[at].partition_index = target->partition;
        slots[at].timestamp = target->timestamp;
        message->topics.items[at].name = target->topic;
        message->topics.items[at].partitions.items = &slots[at];
        message->topics.items[at].partitions.count = 1;
        request->targets[at] = i;
    }
    message->topics.count = request->count;
    request->call.request = message;
    return ERR_OK;
}

static enum err
send_request(struct client_lookup *lookup, const int32_t *leaders, int32_t leader)
{
    int count = 0;
    for (int i = 0; i < lookup->opts.count; i++)
        count += !lookup->settled[i] && leaders[i] == leader;
    struct lookup_request *request = mem_calloc(1, sizeof *request);
    if (request == NULL)
        return ERR_NOMEM;
    request->lookup = lookup;
    client_call_init(&request->call, RESPONSE_ARENA);
    arena_init(&request->arena, REQUEST_ARENA);
    list_push(&lookup->requests, &request->link);
    if (fill_request(request, leaders, leader, count) != ERR_OK) {
        request_free(request);
        return ERR_NOMEM;
    }
    int64_t left_ms = lookup->end_ms - now_ms(lookup);
    request->call.target = CLIENT_TARGET_NODE;
    request->call.node_id = leader;
    request->call.key = PROTO_LIST_OFFSETS_REQUEST_KEY;
    request->call.timeout_ms = left_ms > 0 ? left_ms : 1;
    request->call.done = on_listed;
    client_call_start(lookup->opts.client, &request->call);
    return ERR_OK;
}

/* Sends to each leader once: the targets that were sent are marked in `leaders`. */
static void
send_round(struct client_lookup *lookup)
{
    int count = lookup->opts.count;
    int32_t *leaders = mem_alloc(sizeof *leaders * ((size_t)count + 1));
    enum err err = leaders == NULL ? ERR_NOMEM : ERR_OK;
    for (int i = 0; err == ERR_OK && i < count; i++)
        leaders[i] = lookup->settled[i] ? -1 : leader_of(lookup, i);
    lookup->starting = true;
    for (int i = 0; err == ERR_OK && i < count; i++) {
        int32_t leader = leaders[i];
        if (leader < 0 || lookup->settled[i])
            continue;
        err = send_request(lookup, leaders, leader);
        for (int j = i; j < count; j++)
            if (leaders[j] == leader)
                leaders[j] = -1;
    }
    lookup->starting = false;
    mem_free(leaders);
    if (list_empty(&lookup->requests))
        end_round(lookup);
}

static void
on_metadata(struct client_refresh *refresh, enum err err)
{
    struct client_lookup *lookup = CONTAINER_OF(refresh, struct client_lookup, refresh);
    if (err == ERR_OK)
        send_round(lookup);
    else
        end_round(lookup);
}

static void
start_round(struct client_lookup *lookup)
{
    int count = 0;
    struct str *names = mem_alloc(sizeof *names * ((size_t)lookup->opts.count + 1));
    if (names == NULL || lookup->unsettled == 0) {
        mem_free(names);
        finish(lookup);
        return;
    }
    for (int i = 0; i < lookup->opts.count; i++)
        if (!lookup->settled[i])
            names[count++] = lookup->opts.targets[i].topic;
    lookup->refresh.done = on_metadata;
    client_refresh_topics(lookup->opts.client, names, count, false, &lookup->refresh);
    mem_free(names);
}

static void
on_timer(struct loop_timer *timer)
{
    start_round(CONTAINER_OF(timer, struct client_lookup, timer));
}

/* ---- life ---- */

enum err
client_lookup_new(const struct client_lookup_opts *opts, struct client_lookup **out)
{
    ASSERT(opts->done != NULL);
    ASSERT(opts->count >= 0);
    struct client_lookup *lookup = mem_calloc(1, sizeof *lookup);
    if (lookup == NULL)
        return ERR_NOMEM;
    lookup->opts = *opts;
    lookup->settled = mem_calloc((size_t)opts->count + 1, sizeof *lookup->settled);
    lookup->unsettled = opts->count;
    list_init(&lookup->requests);
    loop_timer_init(&lookup->timer, client_loop(opts->client), on_timer);
    lookup->end_ms = now_ms(lookup) + (opts->timeout_ms > 0 ? opts->timeout_ms : TIMEOUT_MS);
    for (int i = 0; i < opts->count; i++) {
        struct client_lookup_target *target = &opts->targets[i];
        target->err = ERR_OK;
        target->error_code = 0;
        target->offset = target->found_ms = -1;
        target->leader_epoch = -1;
    }
    if (lookup->settled == NULL || loop_timer_start(&lookup->timer, 0) != ERR_OK) {
        client_lookup_free(&lookup);
        return ERR_NOMEM;
    }
    *out = lookup;
    return ERR_OK;
}

void
client_lookup_free(struct client_lookup **lookup)
{
    struct client_lookup *l = *lookup;
    if (l == NULL)
        return;
    *lookup = NULL;
    l->freeing = true;
    loop_timer_stop(&l->timer);
    client_refresh_cancel(&l->refresh);
    while (!list_empty(&l->requests))
        client_call_cancel(
            &LIST_ENTRY(l->requests.next, struct lookup_request, link)->call); /* `done` frees it */
    mem_free(l->settled);
    mem_free(l);
}

struct lookup_wait {
    struct client *client;
    bool done;
};

static void
wake_lookup(void *ctx, struct client_lookup *lookup)
{
    struct lookup_wait *wait = ctx;
    (void)lookup;
    wait->done = true;
    client_wake(wait->client);
}

enum err
client_lookup_wait(const struct client_lookup_opts *opts)
{
    struct lookup_wait wait = {.client = opts->client};
    struct client_lookup_opts own = *opts;
    struct client_lookup *lookup;
    own.done = wake_lookup;
    own.ctx = &wait;
    enum err err = client_lookup_new(&own, &lookup);
    if (err != ERR_OK)
        return err;
    bool ended = client_run_until(opts->client, &wait.done, INT64_MAX / 4);
    ASSERT(ended); /* its own timer ends it */
    client_lookup_free(&lookup);
    for (int i = 0; err == ERR_OK && i < opts->count; i++)
        err = opts->targets[i].err;
    return err;
}
