/* client/group.c - a group member's life: what is done when, and its coordinator.
 *
 * What: everything that may go on is decided in one place, group_step: it looks at what is known
 * (metadata, coordinator, membership, commits that are owed) and starts the next request; each
 * answer ends in a step. Errors that pass set a pause before the next step.
 * States: SEEKING -> JOINING -> SYNCING -> STABLE -> PREPARING -> JOINING ...; every state may go
 * to PREPARING (membership lost), LEFT and FAILED; the last two are ends. Invariants: I1 at most
 * one request of each kind is on its way. I2 parts are in order, and told[i] exactly when the
 * consumer has part i. I3 FAILED and LEFT hold no parts. Threads: the loop's. Errors:
 * group_take_error says what a code means; group_fail ends it. */
#include "client/group.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "client/consumer_priv.h"
#include "client/group_priv.h"
#include "proto/error_codes.h"
#include "proto/find_coordinator_request.h"
#include "proto/find_coordinator_response.h"

enum {
    SESSION_TIMEOUT_MS = 45000,
    REBALANCE_TIMEOUT_MS = 300000,
    HEARTBEAT_INTERVAL_MS = 3000,
    METADATA_MAX_AGE_MS = 300000,
    MISSING_TOPIC_MS = 3000, /* how soon the leader looks again for a topic that is not there */
    FIND_VERSION_MAX = 3,    /* one key */
};

static const char *const state_names[] = {
    [CLIENT_GROUP_SEEKING] = "seeking",
    [CLIENT_GROUP_PREPARING] = "preparing",
    [CLIENT_GROUP_JOINING] = "joining",
    [CLIENT_GROUP_SYNCING] = "syncing",
    [CLIENT_GROUP_STABLE] = "stable",
    [CLIENT_GROUP_LEFT] = "left",
    [CLIENT_GROUP_FAILED] = "failed",
};

/* ---- small things ---- */

int64_t
group_now_ms(const struct client_group *group)
{
    return env_now_ms(client_env(group->opts.client));
}

struct str
group_member_id(const struct client_group *group)
{
    return str_of(group->member_id);
}

struct str
group_instance_id(const struct client_group *group)
{
    return str_of(group->instance_id);
}

bool
group_is_subscribed(const struct client_group *group, struct str topic)
{
    for (int i = 0; i < group->topic_count; i++)
        if (str_eq(group->topics[i], topic))
            return true;
    return false;
}

void
group_note(struct client_group *group, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(group->error_text, sizeof group->error_text, fmt, args);
    va_end(args);
}

static bool
is_over(const struct client_group *group)
{
    return group->state == CLIENT_GROUP_LEFT || group->state == CLIENT_GROUP_FAILED;
}

void
group_move(struct client_group *group, enum client_group_state state)
{
    ASSERT(!is_over(group));
    group->state = state;
}

void
group_progress(struct client_group *group)
{
    group->backoff_ms = 0;
    group->heard_ms = group_now_ms(group);
}

void
group_step_later(struct client_group *group)
{
    group->backoff_ms = group->backoff_ms == 0 ? GROUP_BACKOFF_MIN_MS : group->backoff_ms * 2;
    if (group->backoff_ms > GROUP_BACKOFF_MAX_MS)
        group->backoff_ms = GROUP_BACKOFF_MAX_MS;
    group->retry_ms = group_now_ms(group) + group->backoff_ms;
    if (loop_timer_start(&group->step_timer, group->backoff_ms) != ERR_OK)
        group_fail(group, 0, "out of memory");
}

/* ---- errors ---- */

void
group_fail(struct client_group *group, int16_t code, const char *what)
{
    if (is_over(group))
        return;
    group->error_code = code;
    if (code != 0)
        group_note(group, "group %s: %s: %s", group->group_id, what, proto_error_name(code));
    else
        group_note(group, "group %s: %s", group->group_id, what);
    group_cancel_requests(group);
    loop_timer_stop(&group->leave_timer);
    group_parts_take(group, NULL, GROUP_LOST);
    group->state = CLIENT_GROUP_FAILED;
    consumer_fail(group->opts.consumer, ERR_FAILED, code, group->error_text);
    if (group->leaving != NULL)
        group_leave_end(group, ERR_FAILED);
}

void
group_coordinator_lost(struct client_group *group)
{
    group->node_id = -1;
    group_step_later(group);
}

void
group_membership_lost(struct client_group *group, bool member_too, const char *reason)
{
    if (is_over(group))
        return;
    group->generation = -1;
    if (member_too)
        group->member_id[0] = '\0';
    group->lost = true;
    group->rejoin = true;
    group->reason = reason;
}

bool
group_take_error(struct client_group *group, int16_t code, const char *what)
{
    switch (code) {
    case PROTO_ERROR_COORDINATOR_LOAD_IN_PROGRESS:
        group_note(group, "%s: the coordinator is loading", what);
        group_step_later(group);
        return true;
    case PROTO_ERROR_COORDINATOR_NOT_AVAILABLE:
    case PROTO_ERROR_NOT_COORDINATOR:
    case PROTO_ERROR_REQUEST_TIMED_OUT:
        group_note(group, "%s: %s", what, proto_error_name(code));
        group_coordinator_lost(group);
        return true;
    case PROTO_ERROR_UNKNOWN_MEMBER_ID:
        group_membership_lost(group, true, "put out of the group");
        group_step(group);
        return true;
    case PROTO_ERROR_ILLEGAL_GENERATION:
        group_membership_lost(group, false, "missed a generation");
        group_step(group);
        return true;
    case PROTO_ERROR_FENCED_INSTANCE_ID:
        group_fail(group, code, "another member came with this instance id");
        return true;
    case PROTO_ERROR_GROUP_AUTHORIZATION_FAILED:
        group_fail(group, code, "not allowed to read in this group");
        return true;
    default: return false;
    }
}

/* ---- requests ---- */

static void
request_init(struct group_request *request)
{
    client_call_init(&request->call, GROUP_RESPONSE_ARENA);
    arena_init(&request->arena, GROUP_REQUEST_ARENA);
}

static void
request_fini(struct group_request *request)
{
    client_call_cancel(&request->call);
    client_call_fini(&request->call);
    arena_fini(&request->arena);
}

void *
group_request_new(struct group_request *request, const struct proto_schema *schema, size_t size)
{
    ASSERT(!request->call.active); /* I1 */
    ASSERT(size == proto_schema_size(schema));
    arena_reset(&request->arena);
    void *message = arena_alloc(&request->arena, size);
    if (message != NULL)
        proto_init(schema, message);
    request->call.request = message;
    return message;
}

int32_t
group_channel(const struct client_group *group)
{
    return group->join_abandoned ? 0 : group->channel;
}

void
group_request_send(struct client_group *group, struct group_request *request, int16_t key,
    int16_t version_max, int64_t timeout_ms, void (*done)(struct client_call *call))
{
    ASSERT(group->node_id >= 0);
    ASSERT(request->call.request != NULL);
    request->call.target = CLIENT_TARGET_NODE;
    request->call.node_id = group->node_id;
    request->call.channel = group_channel(group);
    request->call.key = key;
    request->call.version_max = version_max;
    request->call.timeout_ms = timeout_ms;
    request->call.done = done;
    request->call.ctx = group;
    client_call_start(group->opts.client, &request->call);
}

void
group_cancel_requests(struct client_group *group)
{
    bool was = group->freeing;
    group->freeing = true;
    group->join_abandoned =
        group->join_abandoned || group->join.call.active || group->sync.call.active;
    client_call_cancel(&group->seek.call);
    client_call_cancel(&group->join.call);
    client_call_cancel(&group->sync.call);
    client_call_cancel(&group->heartbeat.call);
    client_call_cancel(&group->fetch.call);
    client_call_cancel(&group->leave.call);
    client_refresh_cancel(&group->refresh);
    loop_timer_stop(&group->step_timer);
    loop_timer_stop(&group->heartbeat_timer);
    loop_timer_stop(&group->commit_timer);
    loop_timer_stop(&group->metadata_timer);
    group->freeing = was;
}

/* ---- metadata ---- */

/* A topic that nobody may read ends the membership, as it ends Java's poll. */
static bool
topics_are_allowed(struct client_group *group)
{
    for (int i = 0; i < group->topic_count; i++) {
        const struct client_topic *topic = client_topic_find(group->opts.client, group->topics[i]);
        char what[GROUP_ERROR_TEXT];
        if (topic == NULL || (topic->error_code != PROTO_ERROR_TOPIC_AUTHORIZATION_FAILED &&
                                 topic->error_code != PROTO_ERROR_INVALID_TOPIC_EXCEPTION))
            continue;
        snprintf(what, sizeof what, "topic %.*s", STR_FMT(group->topics[i]));
        group_fail(group, topic->error_code, what);
        return false;
    }
    return true;
}

void
group_metadata_later(struct client_group *group)
{
    int64_t age_ms = group->opts.metadata_max_age_ms;
    for (int i = 0; group->leader && i < group->lead_count; i++)
        if (group->lead_topics[i].partition_count == 0 && age_ms > MISSING_TOPIC_MS)
            age_ms = MISSING_TOPIC_MS;
    if (loop_timer_start(&group->metadata_timer, age_ms) != ERR_OK)
        group_fail(group, 0, "out of memory");
}

/* The leader's assignment stands on partition counts: other counts want another one. */
static bool
counts_changed(const struct client_group *group)
{
    if (!group->leader || group->state != CLIENT_GROUP_STABLE)
        return false;
    for (int i = 0; i < group->lead_count; i++) {
        const struct client_topic *topic =
            client_topic_find(group->opts.client, group->lead_topics[i].name);
        bool known = topic != NULL && topic->error_code == 0;
        if ((known ? topic->partition_count : 0) != group->lead_topics[i].partition_count)
            return true;
    }
    return false;
}

void
group_check_counts(struct client_group *group)
{
    if (group->leaving != NULL || !counts_changed(group))
        return;
    group->rejoin = true;
    group->reason = "the topics' partitions changed";
    group_step(group);
}

static void
on_metadata(struct client_refresh *refresh, enum err err)
{
    struct client_group *group = CONTAINER_OF(refresh, struct client_group, refresh);
    if (is_over(group) || group->freeing)
        return;
    if (err != ERR_OK) {
        group_note(group, "metadata: %s", client_error_text(group->opts.client));
        group_step_later(group);
    } else if (topics_are_allowed(group)) {
        group->metadata_known = true;
        group_metadata_later(group);
        group_check_counts(group);
        group_step(group);
    }
}

static void
metadata_refresh(struct client_group *group)
{
    if (group->refresh.waiting)
        return;
    group->refresh.done = on_metadata;
    client_refresh_topics(group->opts.client, group->topics, group->topic_count,
        group->opts.allow_auto_create, &group->refresh);
}

static void
metadata_fire(struct loop_timer *timer)
{
    struct client_group *group = CONTAINER_OF(timer, struct client_group, metadata_timer);
    if (is_over(group) || group->leaving != NULL || group->refresh.waiting)
        return;
    struct str *names = NULL;
    if (group->leader && group->lead_count > 0)
        names = mem_alloc(sizeof *names * (size_t)group->lead_count);
    if (names == NULL) {
        metadata_refresh(group);
        return;
    }
    for (int i = 0; i < group->lead_count; i++)
        names[i] = group->lead_topics[i].name;
    group->refresh.done = on_metadata;
    client_refresh_topics(group->opts.client, names, group->lead_count,
        group->opts.allow_auto_create, &group->refresh);
    mem_free(names);
}

/* ---- the coordinator ---- */

static void
keep_coordinator(struct client_group *group, const struct proto_find_coordinator_response *response)
{
    struct client *client = group->opts.client;
    if (response->port < 0 || response->port > UINT16_MAX || response->node_id < 0) {
        group_step_later(group);
        return;
    }
    /* It may have started after the metadata was asked for. */
    if (client_broker_find(client, response->node_id) == NULL &&
        client_broker_add(client, response->node_id, response->host, (uint16_t)response->port) ==
            NULL) {
        group_fail(group, 0, "out of memory");
        return;
    }
    group->node_id = response->node_id;
    group_progress(group);
    group_step(group);
}

static void
on_coordinator(struct client_call *call)
{
    struct client_group *group = call->ctx;
    const struct proto_find_coordinator_response *response = call->response;
    if (group->freeing || is_over(group))
        return;
    if (call->err == ERR_UNSUPPORTED) {
        group_fail(group, 0, client_error_text(group->opts.client));
    } else if (call->err != ERR_OK) {
        group_note(group, "%s", client_error_text(group->opts.client));
        group_step_later(group);
    } else if (response->error_code == 0) {
        keep_coordinator(group, response);
    } else if (!group_take_error(group, response->error_code, "looking for the coordinator")) {
        if (proto_error_retriable(response->error_code))
            group_step_later(group);
        else
            group_fail(group, response->error_code, "no coordinator");
    }
}

static void
coordinator_seek(struct client_group *group)
{
    struct group_request *seek = &group->seek;
    if (seek->call.active)
        return;
    struct proto_find_coordinator_request *request =
        group_request_new(seek, &proto_find_coordinator_request_schema, sizeof *request);
    if (request == NULL) {
        group_fail(group, 0, "out of memory");
        return;
    }
    request->key = str_of(group->group_id);
    seek->call.target = CLIENT_TARGET_ANY;
    seek->call.key = PROTO_FIND_COORDINATOR_REQUEST_KEY;
    seek->call.version_max = FIND_VERSION_MAX;
    seek->call.done = on_coordinator;
    seek->call.ctx = group;
    client_call_start(group->opts.client, &seek->call);
}

/* ---- steps ---- */

static void
step_once(struct client_group *group)
{
    if (is_over(group) || group_now_ms(group) < group->retry_ms)
        return;
    if (group->leaving != NULL && group->leave_revoked && !list_empty(&group->commits))
        return;
    if (!group->metadata_known && group->leaving == NULL) {
        metadata_refresh(group);
        return;
    }
    if (group->node_id < 0) {
        coordinator_seek(group);
        return;
    }
    if (group->leaving != NULL) {
        group_leave_step(group);
        return;
    }
    bool busy = group->join.call.active || group->sync.call.active;
    if (group->lost && !busy && group->state != CLIENT_GROUP_PREPARING)
        group_move(group, CLIENT_GROUP_PREPARING);
    if (group->state == CLIENT_GROUP_STABLE && group->rejoin)
        group_prepare(group);
    switch (group->state) {
    case CLIENT_GROUP_SEEKING: group_join(group); break;
    case CLIENT_GROUP_PREPARING: group_prepare_step(group); break;
    case CLIENT_GROUP_STABLE: group_fetch(group); break;
    case CLIENT_GROUP_SYNCING: group_sync(group); break;
    case CLIENT_GROUP_JOINING:
    case CLIENT_GROUP_LEFT:
    case CLIENT_GROUP_FAILED: break;
    }
}

void
group_step(struct client_group *group)
{
    group->step_again = true;
    if (group->stepping)
        return;
    group->stepping = true;
    while (group->step_again && !group->freeing) {
        group->step_again = false;
        step_once(group);
    }
    group->stepping = false;
}

/* The timer ends the pause, not the clock: the loop's is as old as its turn. */
static void
step_fire(struct loop_timer *timer)
{
    struct client_group *group = CONTAINER_OF(timer, struct client_group, step_timer);
    group->retry_ms = 0;
    group_step(group);
}

/* ---- life ---- */

static int
compare_strs(const void *a, const void *b)
{
    return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

/* The subscription in order and without doubles, in one block. */
static enum err
copy_topics(const struct str *topics, int count, struct str **out, int *out_count)
{
    size_t bytes = 0;
    int kept = 0;
    if (count <= 0 || count > GROUP_TOPICS_MAX)
        return ERR_INVALID;
    for (int i = 0; i < count; i++) {
        if (topics[i].len == 0)
            return ERR_INVALID;
        bytes += topics[i].len;
    }
    struct str *copy = mem_alloc(sizeof *copy * (size_t)count + bytes);
    if (copy == NULL)
        return ERR_NOMEM;
    char *text = (char *)(copy + count);
    for (int i = 0; i < count; i++) {
        memcpy(text, topics[i].data, topics[i].len);
        copy[i] = (struct str){text, topics[i].len};
        text += topics[i].len;
    }
    qsort(copy, (size_t)count, sizeof *copy, compare_strs);
    for (int i = 0; i < count; i++)
        if (i == 0 || !str_eq(copy[i], copy[kept - 1]))
            copy[kept++] = copy[i];
    *out = copy;
    *out_count = kept;
    return ERR_OK;
}

/* Cooperative only when all assignors are: members must be able to fall back on any of them. */
static enum err
copy_assignors(struct client_group *group)
{
    static const enum client_assignor usual[] = {
        CLIENT_ASSIGNOR_RANGE, CLIENT_ASSIGNOR_COOPERATIVE_STICKY};
    struct client_group_opts *o = &group->opts;
    if (o->assignors == NULL) {
        o->assignors = usual;
        o->assignor_count = COUNT_OF(usual);
    }
    if (o->assignor_count <= 0 || o->assignor_count > GROUP_ASSIGNORS_MAX)
        return ERR_INVALID;
    group->cooperative = true;
    for (int i = 0; i < o->assignor_count; i++) {
        for (int j = 0; j < i; j++)
            if (o->assignors[j] == o->assignors[i])
                return ERR_INVALID;
        group->assignors[i] = o->assignors[i];
        group->cooperative = group->cooperative && client_assignor_is_cooperative(o->assignors[i]);
    }
    o->assignors = group->assignors;
    return ERR_OK;
}

static enum err
copy_opts(struct client_group *group)
{
    struct client_group_opts *o = &group->opts;
    o->session_timeout_ms = o->session_timeout_ms > 0 ? o->session_timeout_ms : SESSION_TIMEOUT_MS;
    o->rebalance_timeout_ms =
        o->rebalance_timeout_ms > 0 ? o->rebalance_timeout_ms : REBALANCE_TIMEOUT_MS;
    o->heartbeat_interval_ms =
        o->heartbeat_interval_ms > 0 ? o->heartbeat_interval_ms : HEARTBEAT_INTERVAL_MS;
    o->metadata_max_age_ms =
        o->metadata_max_age_ms > 0 ? o->metadata_max_age_ms : METADATA_MAX_AGE_MS;
    if (o->group_id.len == 0 || o->heartbeat_interval_ms >= o->session_timeout_ms ||
        (!str_is_null(o->instance_id) && o->instance_id.len == 0))
        return ERR_INVALID;
    enum err err = copy_assignors(group);
    if (err == ERR_OK)
        err = copy_topics(o->topics, o->topic_count, &group->topics, &group->topic_count);
    if (err != ERR_OK)
        return err;
    group->group_id = mem_strndup(o->group_id.data, o->group_id.len);
    if (!str_is_null(o->instance_id))
        group->instance_id = mem_strndup(o->instance_id.data, o->instance_id.len);
    if (group->group_id == NULL || (!str_is_null(o->instance_id) && group->instance_id == NULL))
        return ERR_NOMEM;
    o->group_id = str_of(group->group_id);
    o->instance_id = str_of(group->instance_id);
    o->topics = NULL; /* group->topics, which may change */
    return ERR_OK;
}

enum err
client_group_new(const struct client_group_opts *opts, struct client_group **out)
{
    struct client_group *group = mem_calloc(1, sizeof *group);
    if (group == NULL)
        return ERR_NOMEM;
    struct loop *loop = client_loop(opts->client);
    group->opts = *opts;
    group->generation = -1;
    group->node_id = -1;
    group->channel = client_channel_new(opts->client);
    list_init(&group->commits);
    request_init(&group->seek);
    request_init(&group->join);
    request_init(&group->sync);
    request_init(&group->heartbeat);
    request_init(&group->fetch);
    request_init(&group->leave);
    arena_init(&group->lead_arena, GROUP_REQUEST_ARENA);
    loop_timer_init(&group->step_timer, loop, step_fire);
    loop_timer_init(&group->heartbeat_timer, loop, group_heartbeat_fire);
    loop_timer_init(&group->commit_timer, loop, group_auto_commit_fire);
    loop_timer_init(&group->metadata_timer, loop, metadata_fire);
    loop_timer_init(&group->leave_timer, loop, group_leave_expired);
    enum err err = copy_opts(group);
    if (err == ERR_OK && group->opts.auto_commit_interval_ms > 0)
        err = loop_timer_start(&group->commit_timer, group->opts.auto_commit_interval_ms);
    if (err == ERR_OK) /* not from inside this call: nobody has the group yet */
        err = loop_timer_start(&group->step_timer, 0);
    if (err != ERR_OK) {
        client_group_free(&group);
        return err;
    }
    *out = group;
    return ERR_OK;
}

void
client_group_free(struct client_group **group)
{
    struct client_group *g = *group;
    if (g == NULL)
        return;
    ASSERT(!g->stepping); /* not from inside an event */
    *group = NULL;
    g->freeing = true;
    group_cancel_requests(g);
    group_cancel_commits(g);
    loop_timer_stop(&g->leave_timer);
    client_channel_free(g->opts.client, g->channel);
    request_fini(&g->seek);
    request_fini(&g->join);
    request_fini(&g->sync);
    request_fini(&g->heartbeat);
    request_fini(&g->fetch);
    request_fini(&g->leave);
    arena_fini(&g->lead_arena);
    group_parts_free(g);
    mem_free(g->topics);
    mem_free(g->group_id);
    mem_free(g->instance_id);
    mem_free(g);
}

enum err
client_group_subscribe(struct client_group *group, const struct str *topics, int count)
{
    struct str *copy;
    int copy_count;
    if (is_over(group) || group->leaving != NULL)
        return ERR_WRONG_STATE;
    enum err err = copy_topics(topics, count, &copy, &copy_count);
    if (err == ERR_OK)
        err = loop_timer_start(&group->step_timer, 0);
    if (err != ERR_OK)
        return err;
    /* A metadata request in flight was made of copies; nothing else looks at the old names. */
    mem_free(group->topics);
    group->topics = copy;
    group->topic_count = copy_count;
    group->metadata_known = false;
    group->rejoin = true;
    group->reason = "the subscription changed";
    return ERR_OK;
}

/* ---- looking at it ---- */

enum client_group_state
client_group_state(const struct client_group *group)
{
    return group->state;
}

const char *
client_group_state_name(enum client_group_state state)
{
    ASSERT((size_t)state < COUNT_OF(state_names));
    return state_names[state];
}

struct str
client_group_member_id(const struct client_group *group)
{
    return str_of(group->member_id);
}

int32_t
client_group_generation(const struct client_group *group)
{
    return group->generation;
}

bool
client_group_is_leader(const struct client_group *group)
{
    return group->leader;
}

bool
client_group_is_cooperative(const struct client_group *group)
{
    return group->cooperative;
}

const struct client_topic_partition *
client_group_assignment(const struct client_group *group, int *count)
{
    *count = group->part_count;
    return group->parts;
}

const char *
client_group_error(const struct client_group *group)
{
    return group->error_text;
}

int16_t
client_group_error_code(const struct client_group *group)
{
    return group->error_code;
}
