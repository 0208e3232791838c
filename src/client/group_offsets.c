/* client/group_offsets.c - committed offsets: reading them for new partitions, and committing.
 *
 * What: each commit is a call of its own, so several may be on their way; they share the group's
 * connection and so arrive, and end, in order. Auto commit commits what was handed out but for the
 * record that the program may still hold; what leaves with the member includes it.
 * Invariants: I1 a commit stands in group->commits exactly while its call is active. Threads: the
 * loop's. */
#include <stdio.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "client/consumer_priv.h"
#include "client/group_priv.h"
#include "proto/error_codes.h"
#include "proto/offset_commit_request.h"
#include "proto/offset_commit_response.h"
#include "proto/offset_fetch_request.h"
#include "proto/offset_fetch_response.h"

enum {
    FETCH_VERSION_MAX = 7,  /* one group, by topic name */
    COMMIT_VERSION_MAX = 9, /* by topic name */
    WAIT_PAUSE_MS = 100,
};

struct client_group_commit_call {
    struct client_call call;
    struct arena arena;
    struct client_group *group;
    struct client_group_commit *commit;
    int32_t generation;
};

/* ---- reading ---- */

static void
tell_assigned(struct client_group *group, const struct client_topic_partition *parts, int count)
{
    group->tell_empty = false;
    if (group->opts.events.on_assigned != NULL)
        group->opts.events.on_assigned(group->opts.ctx, parts, count);
}

/* The place of a part; -1 when it is not held, or told already. */
static int
find_untold(const struct client_group *group, struct str topic, int32_t partition)
{
    struct client_topic_partition key = {topic, partition};
    int low = 0, high = group->part_count;
    while (low < high) {
        int mid = low + (high - low) / 2;
        int order = group_parts_order(&group->parts[mid], &key);
        if (order == 0)
            return group->told[mid] ? -1 : mid;
        if (order < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return -1;
}

/* The consumer starts at the offset, or as the reset policy says; without one it reports. */
static bool
begin_part(struct client_group *group, int i, int64_t offset)
{
    struct client_consumer *consumer = group->opts.consumer;
    const struct client_topic_partition *part = &group->parts[i];
    int64_t start = offset >= 0 ? offset : group->opts.reset;
    if (client_consumer_assign(consumer, part->topic, part->partition,
            start != 0 || offset >= 0 ? start : CLIENT_OFFSET_LATEST) != ERR_OK) {
        group_fail(group, 0, "out of memory");
        return false;
    }
    group->told[i] = true;
    if (start == 0 && offset < 0) {
        consumer_stop(
            consumer, consumer_find(consumer, part->topic, part->partition), ERR_NOTFOUND, 0);
        snprintf(consumer->error_text, sizeof consumer->error_text,
            "%.*s [%d]: no committed offset in group %s, and no reset policy", STR_FMT(part->topic),
            (int)part->partition, group->group_id);
    }
    return true;
}

/* One partition's answer; false when the group failed. Untold parts are asked for again. */
static bool
take_offset(struct client_group *group, struct str topic,
    const struct proto_offset_fetch_response_offset_fetch_response_partition *answer)
{
    int i = find_untold(group, topic, answer->partition_index);
    if (i < 0)
        return true;
    if (answer->error_code == 0)
        return begin_part(group, i, answer->committed_offset);
    if (proto_error_retriable(answer->error_code)) {
        group_note(
            group, "offsets of %.*s: %s", STR_FMT(topic), proto_error_name(answer->error_code));
        return true;
    }
    char what[GROUP_ERROR_TEXT];
    snprintf(
        what, sizeof what, "the offset of %.*s [%d]", STR_FMT(topic), (int)answer->partition_index);
    group_fail(group, answer->error_code, what);
    return false;
}

static void
take_offsets(struct client_group *group, const struct proto_offset_fetch_response *response)
{
    bool *before = mem_alloc((size_t)group->part_count + 1);
    struct client_topic_partition *fresh =
        mem_alloc(sizeof *fresh * ((size_t)group->part_count + 1));
    bool ok = before != NULL && fresh != NULL;
    int count = 0;
    if (ok)
        memcpy(before, group->told, (size_t)group->part_count);
    else
        group_fail(group, 0, "out of memory");
    for (int32_t i = 0; ok && i < response->topics.count; i++)
        for (int32_t j = 0; ok && j < response->topics.items[i].partitions.count; j++)
            ok = take_offset(group, response->topics.items[i].name,
                &response->topics.items[i].partitions.items[j]);
    for (int i = 0; ok && i < group->part_count; i++)
        if (group->told[i] && !before[i])
            fresh[count++] = group->parts[i];
    if (ok) {
        group_progress(group);
        bool all = group_parts_all_told(group);
        if (count > 0)
            tell_assigned(group, fresh, count);
        consumer_drive(group->opts.consumer);
        if (all)
            group_step(group);
        else
            group_step_later(group);
    }
    mem_free(before);
    mem_free(fresh);
}

static void
on_offsets(struct client_call *call)
{
    struct client_group *group = call->ctx;
    const struct proto_offset_fetch_response *response = call->response;
    if (group->freeing || group->state != CLIENT_GROUP_STABLE)
        return;
    if (call->err == ERR_UNSUPPORTED) {
        group_fail(group, 0, client_error_text(group->opts.client));
    } else if (call->err != ERR_OK) {
        group_note(group, "offsets: %s", client_error_text(group->opts.client));
        group_coordinator_lost(group);
    } else if (response->error_code == 0) {
        take_offsets(group, response);
    } else if (!group_take_error(group, response->error_code, "offsets")) {
        if (proto_error_retriable(response->error_code))
            group_step_later(group);
        else
            group_fail(group, response->error_code, "offsets refused");
    }
}

static enum err
fill_fetch(struct client_group *group, struct proto_offset_fetch_request *request, int untold)
{
    struct arena *arena = &group->fetch.arena;
    int at = 0, topic = -1;
    request->group_id = str_of(group->group_id);
    request->require_stable = true; /* wait for offsets of open transactions (KIP-447) */
    request->topics.items = arena_calloc(arena, (size_t)untold, sizeof *request->topics.items);
    int32_t *numbers = arena_calloc(arena, (size_t)untold, sizeof *numbers);
    if (request->topics.items == NULL || numbers == NULL)
        return ERR_NOMEM;
    for (int i = 0; i < group->part_count; i++) {
        if (group->told[i])
            continue;
        if (topic < 0 || !str_eq(request->topics.items[topic].name, group->parts[i].topic)) {
            /* The parts may go before the request does. */
            request->topics.items[++topic].name = arena_str(arena, group->parts[i].topic);
            request->topics.items[topic].partition_indexes.items = &numbers[at];
            if (str_is_null(request->topics.items[topic].name))
                return ERR_NOMEM;
        }
        numbers[at++] = group->parts[i].partition;
        request->topics.items[topic].partition_indexes.count++;
    }
    request->topics.count = topic + 1;
    return ERR_OK;
}

void
group_fetch(struct client_group *group)
{
    int untold = 0;
    if (group->fetch.call.active)
        return;
    for (int i = 0; i < group->part_count; i++)
        untold += !group->told[i];
    if (untold == 0) {
        if (group->tell_empty)
            tell_assigned(group, group->parts, 0);
        return;
    }
    struct proto_offset_fetch_request *request =
        group_request_new(&group->fetch, &proto_offset_fetch_request_schema, sizeof *request);
    if (request == NULL || fill_fetch(group, request, untold) != ERR_OK) {
        group_fail(group, 0, "out of memory");
        return;
    }
    group_request_send(
        group, &group->fetch, PROTO_OFFSET_FETCH_REQUEST_KEY, FETCH_VERSION_MAX, 0, on_offsets);
}

/* ---- committing ---- */

/* What a failed commit says about the membership. */
static void
commit_refused(struct client_group *group, int16_t code, int32_t generation)
{
    if (code == PROTO_ERROR_REBALANCE_IN_PROGRESS) {
        if (group->state == CLIENT_GROUP_STABLE && group->leaving == NULL) {
            group->rejoin = true;
            group->reason = "a commit came while the group rebalanced";
        }
        return;
    }
    bool about_us = code == PROTO_ERROR_UNKNOWN_MEMBER_ID ||
                    code == PROTO_ERROR_ILLEGAL_GENERATION ||
                    code == PROTO_ERROR_FENCED_INSTANCE_ID;
    if ((about_us && generation == group->generation) ||
        code == PROTO_ERROR_COORDINATOR_NOT_AVAILABLE || code == PROTO_ERROR_NOT_COORDINATOR ||
        code == PROTO_ERROR_REQUEST_TIMED_OUT)
        (void)group_take_error(group, code, "commit");
}

static void
on_committed(struct client_call *call)
{
    struct client_group_commit_call *one =
        CONTAINER_OF(call, struct client_group_commit_call, call);
    const struct proto_offset_commit_response *response = call->response;
    struct client_group *group = one->group;
    struct client_group_commit *commit = one->commit;
    int32_t generation = one->generation;
    enum err err = call->err;
    int16_t code = 0;
    for (int32_t i = 0; err == ERR_OK && i < response->topics.count; i++)
        for (int32_t j = 0; code == 0 && j < response->topics.items[i].partitions.count; j++)
            code = response->topics.items[i].partitions.items[j].error_code;
    bool lost_contact = err != ERR_OK && group->node_id == call->node_id;
    list_remove(&commit->link);
    commit->call = NULL;
    client_call_fini(&one->call);
    arena_fini(&one->arena);
    mem_free(one);
    if (!group->freeing && lost_contact) {
        group_note(group, "commit: %s", client_error_text(group->opts.client));
        group_coordinator_lost(group);
    }
    if (!group->freeing && code != 0) {
        group_note(group, "commit: %s", proto_error_name(code));
        commit_refused(group, code, generation);
    }
    commit->done(commit, err, code);
    if (!group->freeing)
        group_step(group);
}

static enum err
fill_commit(struct client_group_commit_call *one, struct proto_offset_commit_request *request,
    const struct client_group_offset *offsets, int count)
{
    struct client_group *group = one->group;
    int topic = -1;
    proto_init(&proto_offset_commit_request_schema, request);
    request->group_id = str_of(group->group_id);
    request->generation_id_or_member_epoch = group->generation;
    request->member_id = arena_str(&one->arena, group_member_id(group));
    request->group_instance_id = group_instance_id(group);
    request->topics.items = arena_calloc(&one->arena, (size_t)count, sizeof *request->topics.items);
    struct proto_offset_commit_request_offset_commit_request_partition *slots =
        arena_calloc(&one->arena, (size_t)count, sizeof *slots);
    if (request->topics.items == NULL || slots == NULL)
        return ERR_NOMEM;
    for (int i = 0; i < count; i++) {
        if (offsets[i].offset < 0 || offsets[i].partition < 0)
            return ERR_INVALID;
        if (topic < 0 || !str_eq(request->topics.items[topic].name, offsets[i].topic)) {
            request->topics.items[++topic].name = arena_str(&one->arena, offsets[i].topic);
            request->topics.items[topic].partitions.items = &slots[i];
        }
        slots[i].partition_index = offsets[i].partition;
        slots[i].committed_offset = offsets[i].offset;
        slots[i].committed_leader_epoch = offsets[i].leader_epoch;
        slots[i].committed_metadata = str_is_null(offsets[i].metadata)
                                          ? STR("")
                                          : arena_str(&one->arena, offsets[i].metadata);
        request->topics.items[topic].partitions.count++;
    }
    request->topics.count = topic + 1;
    return one->arena.exhausted ? ERR_NOMEM : ERR_OK;
}

/* The code that a commit would get for sure, so that it need not be sent; 0: send it. */
static int16_t
commit_in_vain(const struct client_group *group)
{
    if (group->lost)
        return PROTO_ERROR_UNKNOWN_MEMBER_ID;
    if (group->generation < 0 || group->state == CLIENT_GROUP_JOINING ||
        group->state == CLIENT_GROUP_SYNCING || group->state == CLIENT_GROUP_SEEKING)
        return PROTO_ERROR_REBALANCE_IN_PROGRESS;
    return group->node_id < 0 ? PROTO_ERROR_COORDINATOR_NOT_AVAILABLE : 0;
}

static void
commit_start(struct client_group *group, const struct client_group_offset *offsets, int count,
    struct client_group_commit *commit)
{
    ASSERT(commit->done != NULL);
    commit->call = NULL;
    list_init(&commit->link);
    if (group->state == CLIENT_GROUP_FAILED || group->state == CLIENT_GROUP_LEFT) {
        commit->done(commit, ERR_WRONG_STATE, group->error_code);
        return;
    }
    int16_t code = count > 0 ? commit_in_vain(group) : 0;
    if (count == 0 || code != 0) {
        commit->done(commit, ERR_OK, code);
        return;
    }
    struct client_group_commit_call *one = mem_calloc(1, sizeof *one);
    if (one == NULL) {
        commit->done(commit, ERR_NOMEM, 0);
        return;
    }
    one->group = group;
    one->commit = commit;
    one->generation = group->generation;
    arena_init(&one->arena, GROUP_REQUEST_ARENA);
    client_call_init(&one->call, GROUP_RESPONSE_ARENA);
    struct proto_offset_commit_request *request = arena_alloc(&one->arena, sizeof *request);
    enum err err = request == NULL ? ERR_NOMEM : fill_commit(one, request, offsets, count);
    if (err != ERR_OK) {
        client_call_fini(&one->call);
        arena_fini(&one->arena);
        mem_free(one);
        commit->done(commit, err, 0);
        return;
    }
    commit->call = one;
    list_push(&group->commits, &commit->link);
    one->call.target = CLIENT_TARGET_NODE;
    one->call.node_id = group->node_id;
    one->call.channel = group_channel(group);
    one->call.key = PROTO_OFFSET_COMMIT_REQUEST_KEY;
    one->call.version_max = COMMIT_VERSION_MAX;
    one->call.request = request;
    one->call.done = on_committed;
    client_call_start(group->opts.client, &one->call);
}

/* held: with the record that the program may still work on. */
static void
commit_positions(struct client_group *group, bool held, struct client_group_commit *commit)
{
    struct client_group_offset *offsets =
        mem_calloc((size_t)group->part_count + 1, sizeof *offsets);
    int count = 0;
    if (offsets == NULL) {
        list_init(&commit->link);
        commit->call = NULL;
        commit->done(commit, ERR_NOMEM, 0);
        return;
    }
    for (int i = 0; i < group->part_count; i++) {
        if (!group->told[i])
            continue;
        const struct consumer_part *part =
            consumer_find(group->opts.consumer, group->parts[i].topic, group->parts[i].partition);
        if (part == NULL || part->position < 0)
            continue;
        offsets[count++] = (struct client_group_offset){
            .topic = group->parts[i].topic,
            .partition = group->parts[i].partition,
            .offset = held ? part->position : consumer_finished(part),
            .leader_epoch = part->leader_epoch,
        };
    }
    commit_start(group, offsets, count, commit);
    mem_free(offsets);
}

void
client_group_commit(struct client_group *group, const struct client_group_offset *offsets,
    int count, struct client_group_commit *commit)
{
    if (count < 0)
        commit_positions(group, true, commit);
    else
        commit_start(group, offsets, count, commit);
}

static bool
is_worth_another_try(enum err err, int16_t code)
{
    if (err != ERR_OK)
        return err != ERR_CANCELED && err != ERR_NOMEM && err != ERR_INVALID &&
               err != ERR_WRONG_STATE && err != ERR_UNSUPPORTED;
    return code == PROTO_ERROR_COORDINATOR_LOAD_IN_PROGRESS ||
           code == PROTO_ERROR_COORDINATOR_NOT_AVAILABLE || code == PROTO_ERROR_NOT_COORDINATOR ||
           code == PROTO_ERROR_REQUEST_TIMED_OUT;
}

/* ---- auto commit ---- */

static void
on_auto_committed(struct client_group_commit *commit, enum err err, int16_t code)
{
    struct client_group *group = CONTAINER_OF(commit, struct client_group, auto_commit);
    group->auto_running = false;
    /* Sooner than the next turn where that may help. */
    if (!group->freeing && is_worth_another_try(err, code) &&
        group->opts.auto_commit_interval_ms > GROUP_BACKOFF_MAX_MS &&
        loop_timer_start(&group->commit_timer, GROUP_BACKOFF_MAX_MS) != ERR_OK)
        group_fail(group, 0, "out of memory");
}

void
group_auto_commit(struct client_group *group)
{
    if (group->auto_running || group->opts.auto_commit_interval_ms <= 0)
        return;
    group->auto_running = true;
    group->auto_commit.done = on_auto_committed;
    commit_positions(group, false, &group->auto_commit);
}

void
group_auto_commit_fire(struct loop_timer *timer)
{
    struct client_group *group = CONTAINER_OF(timer, struct client_group, commit_timer);
    if (loop_timer_start(&group->commit_timer, group->opts.auto_commit_interval_ms) != ERR_OK)
        group_fail(group, 0, "out of memory");
    else if (group->state == CLIENT_GROUP_STABLE && group->leaving == NULL && group->node_id >= 0)
        group_auto_commit(group);
}

static void
on_flushed(struct client_group_commit *commit, enum err err, int16_t code)
{
    struct client_group *group = CONTAINER_OF(commit, struct client_group, flush_commit);
    if (group->flush != GROUP_FLUSH_RUNNING) /* not waited for any more */
        return;
    bool again = is_worth_another_try(err, code);
    group->flush = again ? GROUP_FLUSH_WANTED : GROUP_FLUSH_NONE;
    if (again && !group->freeing)
        group_step_later(group);
    else if (!group->freeing)
        group_step(group);
}

void
group_flush_start(struct client_group *group)
{
    if (group->flush == GROUP_FLUSH_RUNNING || group->flush_commit.call != NULL)
        return;
    group->flush = GROUP_FLUSH_RUNNING;
    group->flush_commit.done = on_flushed;
    commit_positions(group, group->leaving != NULL, &group->flush_commit);
}

void
group_cancel_commits(struct client_group *group)
{
    while (!list_empty(&group->commits)) {
        struct client_group_commit *commit =
            LIST_ENTRY(group->commits.next, struct client_group_commit, link);
        client_call_cancel(&commit->call->call); /* `done` takes it off the list */
    }
}

/* ---- waiting ---- */

struct commit_wait {
    struct client_group_commit commit;
    struct client *client;
    bool done;
    enum err err;
    int16_t code;
};

static void
wake_committer(struct client_group_commit *commit, enum err err, int16_t code)
{
    struct commit_wait *wait = CONTAINER_OF(commit, struct commit_wait, commit);
    wait->err = err;
    wait->code = code;
    wait->done = true;
    client_wake(wait->client);
}

enum err
client_group_commit_wait(struct client_group *group, const struct client_group_offset *offsets,
    int count, int64_t timeout_ms, int16_t *error_code)
{
    struct client *client = group->opts.client;
    int64_t end_ms = group_now_ms(group) + timeout_ms;
    for (;;) {
        struct commit_wait wait = {.client = client, .commit.done = wake_committer};
        const bool never = false;
        client_group_commit(group, offsets, count, &wait.commit);
        if (!client_run_until(client, &wait.done, end_ms - group_now_ms(group))) {
            client_call_cancel(&wait.commit.call->call);
            return ERR_TIMEOUT;
        }
        if (!is_worth_another_try(wait.err, wait.code)) {
            *error_code = wait.code;
            return wait.err != ERR_OK ? wait.err : wait.code != 0 ? ERR_FAILED : ERR_OK;
        }
        (void)client_run_until(client, &never, WAIT_PAUSE_MS);
        if (group_now_ms(group) >= end_ms) {
            *error_code = wait.code;
            return ERR_TIMEOUT;
        }
    }
}
