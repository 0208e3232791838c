/* client/group_leave.c - heartbeats, and leaving in good order.
 *
 * What: leaving goes through the same gates as a rebalance (commit, revoke), then says good-bye.
 * The whole has a deadline, after which the membership is left to the session timeout. Threads: the
 * loop's. */
#include "base/assert.h"
#include "client/group_priv.h"
#include "proto/error_codes.h"
#include "proto/heartbeat_request.h"
#include "proto/heartbeat_response.h"
#include "proto/leave_group_request.h"
#include "proto/leave_group_response.h"

/* ---- heartbeats ---- */

static void
heartbeat_later(struct client_group *group)
{
    if (loop_timer_start(&group->heartbeat_timer, group->opts.heartbeat_interval_ms) != ERR_OK)
        group_fail(group, 0, "out of memory");
}

static void
heartbeat_refused(struct client_group *group, int16_t code)
{
    if (code == PROTO_ERROR_REBALANCE_IN_PROGRESS) {
        group_progress(group);
        if (group->state == CLIENT_GROUP_STABLE && group->leaving == NULL) {
            group->rejoin = true;
            group->reason = "the group rebalances";
            group_step(group);
        }
    } else if (!group_take_error(group, code, "heartbeat")) {
        group_fail(group, code, "heartbeat refused");
    }
}

static void
on_heartbeat(struct client_call *call)
{
    struct client_group *group = call->ctx;
    const struct proto_heartbeat_request *request = call->request;
    const struct proto_heartbeat_response *response = call->response;
    if (group->freeing || group->state == CLIENT_GROUP_LEFT || group->state == CLIENT_GROUP_FAILED)
        return;
    if (call->err != ERR_OK) {
        group_note(group, "heartbeat: %s", client_error_text(group->opts.client));
        if (group->node_id == call->node_id)
            group_coordinator_lost(group);
    } else if (response->error_code == 0) {
        group_progress(group);
        group_check_counts(group);
    } else if (request->generation_id == group->generation) {
        heartbeat_refused(group, response->error_code);
    } /* else about a generation that is over */
}

void
group_heartbeat_fire(struct loop_timer *timer)
{
    struct client_group *group = CONTAINER_OF(timer, struct client_group, heartbeat_timer);
    if (group->state == CLIENT_GROUP_LEFT || group->state == CLIENT_GROUP_FAILED)
        return;
    heartbeat_later(group);
    bool member = group->generation >= 0 && !group->lost && group->state != CLIENT_GROUP_SEEKING &&
                  group->state != CLIENT_GROUP_JOINING;
    if (!member || group->node_id < 0)
        return;
    if (group->heartbeat.call.active) {
        /* No word for so long: perhaps another broker coordinates now. */
        if (group_now_ms(group) - group->heard_ms > group->opts.session_timeout_ms) {
            client_call_cancel(&group->heartbeat.call);
            group->heard_ms = group_now_ms(group);
        }
        return;
    }
    struct proto_heartbeat_request *request =
        group_request_new(&group->heartbeat, &proto_heartbeat_request_schema, sizeof *request);
    if (request == NULL) {
        group_fail(group, 0, "out of memory");
        return;
    }
    request->group_id = str_of(group->group_id);
    request->generation_id = group->generation;
    request->member_id =
        arena_str(&group->heartbeat.arena, group_member_id(group)); /* it may change meanwhile */
    request->group_instance_id = group_instance_id(group);
    group_request_send(group, &group->heartbeat, PROTO_HEARTBEAT_REQUEST_KEY, 0,
        group->opts.session_timeout_ms, on_heartbeat);
}

void
group_heartbeat_start(struct client_group *group)
{
    heartbeat_later(group);
}

/* ---- leaving ---- */

/* Nothing of the group is touched after `done`, which may free it. */
static void
leave_tell(struct client_group *group)
{
    struct client_group_leave *leave = group->leave_ended;
    ASSERT(leave != NULL);
    group->leave_ended = NULL;
    leave->done(leave, group->leave_err);
}

void
group_leave_end(struct client_group *group, enum err err)
{
    ASSERT(group->leaving != NULL);
    group->leave_ended = group->leaving;
    group->leave_err = err;
    group->leaving = NULL;
    if (loop_timer_start(&group->leave_timer, 0) != ERR_OK)
        leave_tell(group); /* it ran before, so there is room for it: not reached */
}

static void
leave_end(struct client_group *group, enum err err)
{
    ASSERT(group->part_count == 0);
    group_cancel_requests(group);
    group->generation = -1;
    group->member_id[0] = '\0';
    group_move(group, CLIENT_GROUP_LEFT);
    group_leave_end(group, err);
}

static void
on_left(struct client_call *call)
{
    struct client_group *group = call->ctx;
    const struct proto_leave_group_response *response = call->response;
    if (group->freeing || group->leaving == NULL)
        return;
    if (call->err != ERR_OK) {
        leave_end(group, call->err);
        return;
    }
    int16_t code = response->error_code;
    if (code == 0 && response->members.count > 0)
        code = response->members.items[0].error_code;
    /* Whoever is not known any more is gone, too. */
    leave_end(group, code == 0 || code == PROTO_ERROR_UNKNOWN_MEMBER_ID ? ERR_OK : ERR_FAILED);
}

static void
send_leave(struct client_group *group)
{
    struct proto_leave_group_request *request =
        group_request_new(&group->leave, &proto_leave_group_request_schema, sizeof *request);
    if (request != NULL)
        request->members.items =
            arena_calloc(&group->leave.arena, 1, sizeof *request->members.items);
    if (request == NULL || request->members.items == NULL) {
        leave_end(group, ERR_NOMEM);
        return;
    }
    request->group_id = str_of(group->group_id);
    request->members.count = 1;
    request->members.items[0].member_id = group_member_id(group);
    request->members.items[0].reason = STR("the consumer is being closed");
    group_request_send(group, &group->leave, PROTO_LEAVE_GROUP_REQUEST_KEY, 0, 0, on_left);
}

void
group_leave_step(struct client_group *group)
{
    ASSERT(group->leaving != NULL);
    if (!group->leave_revoked) {
        if (group->flush != GROUP_FLUSH_NONE && !group->lost) {
            group_flush_start(group);
            return;
        }
        group->flush = GROUP_FLUSH_NONE;
        group->leave_revoked = true;
        group_parts_take(
            group, NULL, group->lost || group->generation < 0 ? GROUP_LOST : GROUP_REVOKED);
        group_step(group); /* what the event committed goes first */
        return;
    }
    if (!list_empty(&group->commits) || group->leave.call.active)
        return;
    /* A static member is expected back (KIP-345). */
    if (group->member_id[0] == '\0' || group->instance_id != NULL)
        leave_end(group, ERR_OK);
    else
        send_leave(group);
}

void
group_leave_expired(struct loop_timer *timer)
{
    struct client_group *group = CONTAINER_OF(timer, struct client_group, leave_timer);
    if (group->leave_ended != NULL) {
        leave_tell(group);
        return;
    }
    if (group->leaving == NULL)
        return;
    group->freeing = true;
    group_cancel_commits(group);
    group->freeing = false;
    group->flush = GROUP_FLUSH_NONE;
    group_parts_take(group, NULL, GROUP_REVOKED);
    leave_end(group, ERR_TIMEOUT);
}

void
client_group_leave(struct client_group *group, struct client_group_leave *leave)
{
    ASSERT(leave->done != NULL);
    if (group->leaving != NULL || group->leave_ended != NULL || group->state == CLIENT_GROUP_LEFT) {
        leave->done(leave, ERR_WRONG_STATE);
        return;
    }
    if (group->state == CLIENT_GROUP_FAILED) {
        leave->done(leave, ERR_FAILED);
        return;
    }
    bool nothing = group->part_count == 0 && group->member_id[0] == '\0';
    bool was_member = group->generation >= 0 && !group->lost;
    group_cancel_requests(group);
    group->leaving = leave;
    group->leave_revoked = false;
    group_move(group, CLIENT_GROUP_PREPARING);
    group->retry_ms = 0;
    if (was_member && group->opts.auto_commit_interval_ms > 0 && group->part_count > 0) {
        group_parts_pause(group);
        group->flush = GROUP_FLUSH_WANTED;
    }
    if (was_member) /* a broker may take its time to answer the commit */
        group_heartbeat_start(group);
    enum err err =
        loop_timer_start(&group->leave_timer, group->opts.client->opts.request_timeout_ms);
    if (err != ERR_OK)
        group_leave_expired(&group->leave_timer);
    else if (nothing && !group->join_abandoned)
        leave_end(group, ERR_OK);
    else
        group_step(group);
}

struct leave_wait {
    struct client_group_leave leave;
    struct client *client;
    bool done;
    enum err err;
};

static void
wake_leaver(struct client_group_leave *leave, enum err err)
{
    struct leave_wait *wait = CONTAINER_OF(leave, struct leave_wait, leave);
    wait->err = err;
    wait->done = true;
    client_wake(wait->client);
}

enum err
client_group_leave_wait(struct client_group *group, int64_t timeout_ms)
{
    struct leave_wait wait = {.client = group->opts.client};
    wait.leave.done = wake_leaver;
    client_group_leave(group, &wait.leave);
    if (!client_run_until(group->opts.client, &wait.done, timeout_ms)) {
        loop_timer_stop(&group->leave_timer);
        group_leave_expired(&group->leave_timer); /* ends it */
        if (!wait.done) {
            loop_timer_stop(&group->leave_timer);
            leave_tell(group);
        }
        ASSERT(wait.done);
        return ERR_TIMEOUT;
    }
    return wait.err;
}
