#include "tests/unit/coord/fixture.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "tests/lib/test.h"
#include "wire/batch.h"
#include "wire/batch_builder.h"

static enum proto_error
append(void *ctx, struct coord_shard *shard, uint8_t *batches, size_t len, int64_t *last_offset)
{
    struct fixture *fx = ctx;
    (void)shard;
    if (fx->fail != PROTO_ERROR_NONE)
        return fx->fail;
    for (size_t at = 0; at < len;) {
        struct batch_view view;
        assert_int_equal(batch_parse((struct bytes){batches + at, len - at}, &view), ERR_OK);
        assert_true(batch_crc_ok(&view));
        batch_set_base_offset(batches + at, fx->end_offset);
        batch_set_leader_epoch(batches + at, 1);
        fx->end_offset += view.last_offset_delta + 1;
        at += view.size_bytes;
    }
    buf_append(&fx->log, batches, len);
    assert_int_equal(fx->log.err, ERR_OK);
    *last_offset = fx->end_offset - 1;
    fx->appends++;
    return PROTO_ERROR_NONE;
}

static void
fake_random(void *ctx, void *out, size_t len)
{
    struct fixture *fx = ctx;
    uint8_t *p = out;
    for (size_t i = 0; i < len; i++) {
        fx->random = fx->random * 6364136223846793005ull + 1442695040888963407ull;
        p[i] = (uint8_t)(fx->random >> 33);
    }
}

static enum proto_error
roll(void *ctx, struct coord_shard *shard, int64_t *end_offset)
{
    struct fixture *fx = ctx;
    (void)shard;
    if (fx->fail == PROTO_ERROR_NONE)
        *end_offset = fx->end_offset;
    return fx->fail;
}

size_t
fixture_next_batch(const struct fixture *fx, size_t at)
{
    struct batch_view view;
    assert_int_equal(
        batch_parse((struct bytes){fx->log.data + at, fx->log.len - at}, &view), ERR_OK);
    return at + view.size_bytes;
}

/* The position of the batch with the offset, or of the end. */
static size_t
batch_with(const struct fixture *fx, size_t at, int64_t offset)
{
    while (at < fx->log.len) {
        struct batch_view view;
        assert_int_equal(
            batch_parse((struct bytes){fx->log.data + at, fx->log.len - at}, &view), ERR_OK);
        if (batch_last_offset(&view) >= offset)
            return at;
        at += view.size_bytes;
    }
    return at;
}

static bool
trim(void *ctx, struct coord_shard *shard, int64_t offset, int64_t needed)
{
    struct fixture *fx = ctx;
    (void)shard;
    assert_true(needed <= fx->high_watermark);
    assert_true(offset <= needed);
    if (fx->trims_refused > 0) {
        fx->trims_refused--;
        return false;
    }
    fx->trims++;
    if (offset <= fx->start_offset)
        return true;
    fx->start_offset = offset;
    fx->start_at = batch_with(fx, fx->start_at, offset);
    fx->needed_at = batch_with(fx, fx->start_at, needed);
    return true;
}

static const struct coord_log_ops log_ops = {
    .append = append, .roll = roll, .trim = trim, .random = fake_random};

static struct coord_shard *
new_shard(struct fixture *fx)
{
    struct coord_shard *shard = NULL;
    struct coord_shard_opts opts = {.batch_size_max = 1 << 20,
        .write_timeout_ms = 5000,
        .clean_growth_min = fx->clean_growth_min,
        .machine = &coord_group_machine,
        .machine_ctx = &fx->config,
        .log = &log_ops,
        .log_ctx = fx};
    assert_int_equal(coord_shard_new(&opts, &shard), ERR_OK);
    return shard;
}

struct coord_shard *
fixture_load(struct fixture *fx, struct bytes log, int64_t *end_offset)
{
    struct coord_shard *shard = new_shard(fx);
    size_t consumed = 0;
    coord_shard_enter(shard, fx->now_ms, fx->wall_ms);
    assert_int_equal(coord_shard_load_begin(shard, 1), ERR_OK);
    assert_int_equal(coord_shard_load(shard, log, &consumed), ERR_OK);
    assert_int_equal(consumed, log.len);
    *end_offset = coord_shard_load_next(shard);
    coord_shard_load_end(shard, *end_offset, *end_offset);
    return shard;
}

void
fixture_open(struct fixture *fx)
{
    fixture_open_cleaned(fx, 0);
}

void
fixture_open_cleaned(struct fixture *fx, int64_t growth_min)
{
    size_t consumed;
    memset(fx, 0, sizeof *fx);
    fx->clean_growth_min = growth_min;
    fx->config = coord_group_config_default();
    fx->config.initial_rebalance_delay_ms = 0;
    fx->now_ms = 1000;
    fx->wall_ms = 1700000000000;
    fx->auto_commit = true;
    fx->random = 7;
    buf_init(&fx->log, (size_t)1 << 30);
    fx->shard = new_shard(fx);
    coord_shard_enter(fx->shard, fx->now_ms, fx->wall_ms);
    assert_int_equal(coord_shard_load_begin(fx->shard, 1), ERR_OK);
    assert_int_equal(coord_shard_load(fx->shard, BYTES_NULL, &consumed), ERR_OK);
    coord_shard_load_end(fx->shard, 0, 0);
}

void
fixture_close(struct fixture *fx)
{
    coord_shard_unload(fx->shard, PROTO_ERROR_NOT_COORDINATOR);
    coord_shard_free(&fx->shard);
    buf_fini(&fx->log);
}

void
fixture_enter(struct fixture *fx)
{
    coord_shard_enter(fx->shard, fx->now_ms, fx->wall_ms);
}

void
fixture_commit(struct fixture *fx)
{
    fx->high_watermark = fx->end_offset;
    coord_runtime_committed(fx->shard, fx->high_watermark);
}

void
fixture_settle(struct fixture *fx)
{
    size_t consumed;
    if (!coord_shard_flush(fx->shard)) {
        assert_int_equal(coord_shard_load_begin(fx->shard, 1), ERR_OK);
        struct bytes log = {fx->log.data + fx->start_at, fx->log.len - fx->start_at};
        assert_int_equal(coord_shard_load(fx->shard, log, &consumed), ERR_OK);
        coord_shard_load_end(
            fx->shard, fx->end_offset, fx->auto_commit ? fx->end_offset : fx->high_watermark);
    }
    if (fx->auto_commit)
        fixture_commit(fx);
}

void
fixture_end_txn(struct fixture *fx, int64_t producer_id, bool committed)
{
    struct batch_marker_opts opts = {.type = committed ? BATCH_CONTROL_COMMIT : BATCH_CONTROL_ABORT,
        .base_offset = fx->end_offset,
        .producer_id = producer_id,
        .timestamp_ms = fx->wall_ms,
        .leader_epoch = 1};
    assert_int_equal(batch_build_marker(&opts, &fx->log), ERR_OK);
    fixture_enter(fx);
    coord_runtime_end_txn(fx->shard, fx->end_offset++, producer_id, committed);
    fixture_settle(fx);
}

void
fixture_advance(struct fixture *fx, int64_t ms)
{
    int64_t until_ms = fx->now_ms + ms;
    for (;;) {
        int64_t next_ms = coord_runtime_next_deadline(fx->shard);
        if (next_ms > until_ms)
            break;
        if (next_ms > fx->now_ms) {
            fx->wall_ms += next_ms - fx->now_ms;
            fx->now_ms = next_ms;
        }
        fixture_enter(fx);
        coord_runtime_tick(fx->shard);
        fixture_settle(fx);
    }
    fx->wall_ms += until_ms - fx->now_ms;
    fx->now_ms = until_ms;
    fixture_enter(fx);
}

static char *
dump(const struct coord_shard *shard)
{
    struct buf out;
    buf_init(&out, 64 << 20);
    coord_group_dump(shard, &out);
    char *text = strdup(buf_z(&out));
    buf_fini(&out);
    return text;
}

char *
fixture_dump(struct fixture *fx)
{
    return dump(fx->shard);
}

char *
fixture_dump_replayed(struct fixture *fx)
{
    return fixture_dump_range(fx, fx->start_at, fx->log.len);
}

char *
fixture_dump_range(struct fixture *fx, size_t from, size_t to)
{
    int64_t end_offset;
    struct bytes log = {fx->log.data + from, to - from};
    struct coord_shard *shard = fixture_load(fx, log, &end_offset);
    char *text = dump(shard);
    coord_shard_unload(shard, PROTO_ERROR_NOT_COORDINATOR);
    coord_shard_free(&shard);
    return text;
}

void
fixture_text_free(char *text)
{
    free(text);
}

/* ---- calls ---- */

static void
done(struct coord_reply *reply)
{
    struct call *call = CONTAINER_OF(reply, struct call, u.base);
    call->done++;
    assert_int_equal(call->done, 1);
}

void
call_init(struct call *call)
{
    memset(call, 0, sizeof *call);
    arena_init(&call->arena, 8 << 20);
}

void
call_fini(struct call *call)
{
    arena_fini(&call->arena);
}

static void
call_start(struct call *call)
{
    arena_reset(&call->arena);
    memset(&call->u, 0, sizeof call->u);
    call->done = 0;
    coord_reply_init(&call->u.base, &call->arena, done);
}

static struct str
or_empty(const char *z)
{
    return z == NULL ? STR("") : str_of(z);
}

void
call_join(struct fixture *fx, struct call *call, const struct join_args *args)
{
    struct proto_join_group_request request;
    struct coord_group_caller caller = {.client_id = STR("client"),
        .client_host = STR("/127.0.0.1"),
        .version = args->version == 0    ? 9
                   : args->version == -1 ? 0
                                         : args->version};
    const char *at = args->protocols == NULL ? "range" : args->protocols;
    int32_t count = 0;

    call_start(call);
    proto_init(&proto_join_group_request_schema, &request);
    while (*at != '\0' && count < 4) {
        size_t len = strcspn(at, ",");
        call->protocols[count].name = (struct str){at, len};
        const char *metadata = args->metadata == NULL ? "m" : args->metadata;
        call->protocols[count].metadata =
            (struct bytes){(const uint8_t *)metadata, strlen(metadata)};
        at += len + (at[len] == ',');
        count++;
    }
    request.group_id = or_empty(args->group);
    request.member_id = or_empty(args->member);
    request.group_instance_id = str_of(args->instance);
    request.protocol_type = args->type == NULL ? STR("consumer") : str_of(args->type);
    request.session_timeout_ms = args->session_ms == 0 ? 10000 : args->session_ms;
    request.rebalance_timeout_ms = args->rebalance_ms == 0 ? 60000 : args->rebalance_ms;
    request.protocols.items = call->protocols;
    request.protocols.count = count;
    fixture_enter(fx);
    coord_group_join(fx->shard, &caller, &request, &call->u.join);
    fixture_settle(fx);
    if (call->done == 1)
        snprintf(
            call->member, sizeof call->member, "%.*s", STR_FMT(call->u.join.response.member_id));
}

int
call_join_err(const struct call *call)
{
    if (call->done == 0)
        return -100;
    return call->u.base.err != PROTO_ERROR_NONE ? (int)call->u.base.err
                                                : call->u.join.response.error_code;
}

void
call_sync(struct fixture *fx, struct call *call, const struct sync_args *args)
{
    struct proto_sync_group_request request;
    call_start(call);
    proto_init(&proto_sync_group_request_schema, &request);
    request.group_id = or_empty(args->group);
    request.member_id = or_empty(args->member);
    request.group_instance_id = str_of(args->instance);
    request.protocol_type = str_of(args->type);
    request.protocol_name = str_of(args->protocol);
    request.generation_id = args->generation;
    request.assignments.items = (void *)(uintptr_t)args->assignments;
    request.assignments.count = args->assignment_count;
    fixture_enter(fx);
    coord_group_sync(fx->shard, &request, &call->u.sync);
    fixture_settle(fx);
}

int
call_sync_err(const struct call *call)
{
    if (call->done == 0)
        return -100;
    return call->u.base.err != PROTO_ERROR_NONE ? (int)call->u.base.err
                                                : call->u.sync.response.error_code;
}

int
call_heartbeat_static(struct fixture *fx, const char *group, const char *member,
    const char *instance, int32_t generation)
{
    struct proto_heartbeat_request request;
    struct call call;
    call_init(&call);
    call_start(&call);
    proto_init(&proto_heartbeat_request_schema, &request);
    request.group_id = or_empty(group);
    request.member_id = or_empty(member);
    request.group_instance_id = str_of(instance);
    request.generation_id = generation;
    fixture_enter(fx);
    coord_group_heartbeat(fx->shard, &request, &call.u.base);
    fixture_settle(fx);
    assert_int_equal(call.done, 1);
    int err = call.u.base.err;
    call_fini(&call);
    return err;
}

int
call_heartbeat(struct fixture *fx, const char *group, const char *member, int32_t generation)
{
    return call_heartbeat_static(fx, group, member, NULL, generation);
}

int
call_leave(struct fixture *fx, const char *group, const char *member, const char *instance)
{
    struct proto_leave_group_request_member_identity identity;
    struct proto_leave_group_request request;
    struct call call;
    call_init(&call);
    call_start(&call);
    memset(&identity, 0, sizeof identity);
    identity.member_id = or_empty(member);
    identity.group_instance_id = str_of(instance);
    proto_init(&proto_leave_group_request_schema, &request);
    request.group_id = or_empty(group);
    request.members.items = &identity;
    request.members.count = 1;
    fixture_enter(fx);
    coord_group_leave(fx->shard, &request, &call.u.leave);
    fixture_settle(fx);
    assert_int_equal(call.done, 1);
    int err = call.u.base.err != PROTO_ERROR_NONE
                  ? (int)call.u.base.err
                  : call.u.leave.response.members.items[0].error_code;
    call_fini(&call);
    return err;
}

int
call_commit(struct fixture *fx, const struct commit_args *args)
{
    struct proto_offset_commit_request_offset_commit_request_partition partition;
    struct proto_offset_commit_request_offset_commit_request_topic topic;
    struct proto_offset_commit_request request;
    struct coord_group_caller caller = {.client_id = STR("client"),
        .client_host = STR("/127.0.0.1"),
        .version = args->version == 0 ? 9 : args->version};
    struct call call;

    call_init(&call);
    call_start(&call);
    memset(&partition, 0, sizeof partition);
    memset(&topic, 0, sizeof topic);
    partition.partition_index = args->partition;
    partition.committed_offset = args->offset;
    partition.committed_leader_epoch = -1;
    partition.committed_metadata = str_of(args->metadata);
    topic.name = or_empty(args->topic);
    topic.partitions.items = &partition;
    topic.partitions.count = 1;
    proto_init(&proto_offset_commit_request_schema, &request);
    request.group_id = or_empty(args->group);
    request.member_id = or_empty(args->member);
    request.group_instance_id = str_of(args->instance);
    request.generation_id_or_member_epoch = args->generation;
    request.retention_time_ms = args->retention_ms == 0 ? -1 : args->retention_ms;
    request.topics.items = &topic;
    request.topics.count = 1;
    fixture_enter(fx);
    if (args->producer_id > 0) {
        struct coord_group_txn txn = {.producer_id = args->producer_id};
        coord_group_commit_txn(fx->shard, &txn, &request, &call.u.commit);
    } else {
        coord_group_commit(fx->shard, &caller, &request, &call.u.commit);
    }
    fixture_settle(fx);
    int err = -100;
    if (call.done == 1)
        err = call.u.base.err != PROTO_ERROR_NONE ? (int)call.u.base.err : call.u.commit.errors[0];
    else
        coord_shard_unload(fx->shard, PROTO_ERROR_NOT_COORDINATOR);
    call_fini(&call);
    return err;
}

int64_t
call_fetch(struct fixture *fx, const char *group, const char *topic, int32_t partition, bool stable)
{
    struct proto_offset_fetch_request_offset_fetch_request_topics topics;
    struct proto_offset_fetch_request_offset_fetch_request_group request;
    struct call call;
    call_init(&call);
    call_start(&call);
    memset(&topics, 0, sizeof topics);
    memset(&request, 0, sizeof request);
    topics.name = or_empty(topic);
    topics.partition_indexes.items = &partition;
    topics.partition_indexes.count = 1;
    request.group_id = or_empty(group);
    request.topics.items = &topics;
    request.topics.count = 1;
    fixture_enter(fx);
    coord_group_fetch(fx->shard, &request, stable, &call.u.fetch);
    fixture_settle(fx);
    assert_int_equal(call.done, 1);
    assert_int_equal(call.u.base.err, PROTO_ERROR_NONE);
    int16_t err = call.u.fetch.response.topics.items[0].partitions.items[0].error_code;
    int64_t offset = call.u.fetch.response.topics.items[0].partitions.items[0].committed_offset;
    call_fini(&call);
    return err != 0 ? -2 - err : offset;
}

int
call_delete_group(struct fixture *fx, const char *group)
{
    struct call call;
    call_init(&call);
    call_start(&call);
    fixture_enter(fx);
    coord_group_delete(fx->shard, str_of(group), &call.u.base);
    fixture_settle(fx);
    assert_int_equal(call.done, 1);
    int err = call.u.base.err;
    call_fini(&call);
    return err;
}

int
call_delete_offset(struct fixture *fx, const char *group, const char *topic, int32_t partition)
{
    struct proto_offset_delete_request_offset_delete_request_partition part = {
        .partition_index = partition};
    struct proto_offset_delete_request_offset_delete_request_topic topics;
    struct proto_offset_delete_request request;
    struct call call;
    call_init(&call);
    call_start(&call);
    memset(&topics, 0, sizeof topics);
    topics.name = str_of(topic);
    topics.partitions.items = &part;
    topics.partitions.count = 1;
    proto_init(&proto_offset_delete_request_schema, &request);
    request.group_id = str_of(group);
    request.topics.items = &topics;
    request.topics.count = 1;
    fixture_enter(fx);
    coord_group_offset_delete(fx->shard, &request, &call.u.del);
    fixture_settle(fx);
    assert_int_equal(call.done, 1);
    int err = call.u.base.err != PROTO_ERROR_NONE
                  ? (int)call.u.base.err
                  : call.u.del.response.topics.items[0].partitions.items[0].error_code;
    call_fini(&call);
    return err;
}

const char *
call_state(struct fixture *fx, struct call *call, const char *group)
{
    call_start(call);
    fixture_enter(fx);
    coord_group_describe(fx->shard, str_of(group), 5, &call->u.describe);
    fixture_settle(fx);
    assert_int_equal(call->done, 1);
    return call->u.describe.response.group_state.data;
}
