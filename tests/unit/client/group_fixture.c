#include "tests/unit/client/group_fixture.h"

#include <stdio.h>
#include <string.h>

#include "tests/lib/test.h"

/* ---- a member ---- */

static void
note(struct fixture *f, char sign, const struct client_topic_partition *parts, int count)
{
    size_t at = strlen(f->told);
    if (count == 0)
        snprintf(f->told + at, sizeof f->told - at, "%c ", sign);
    for (int i = 0; i < count; i++) {
        at = strlen(f->told);
        snprintf(f->told + at, sizeof f->told - at, "%c%.*s%d ", sign, STR_FMT(parts[i].topic),
            (int)parts[i].partition);
    }
}

static void
on_assigned(void *ctx, const struct client_topic_partition *parts, int count)
{
    note(ctx, '+', parts, count);
}

static void
on_revoked(void *ctx, const struct client_topic_partition *parts, int count)
{
    note(ctx, '-', parts, count);
}

static void
on_lost(void *ctx, const struct client_topic_partition *parts, int count)
{
    note(ctx, '!', parts, count);
}

const struct str topic_t[1] = {{"t", 1}};
const enum client_assignor range_only[1] = {CLIENT_ASSIGNOR_RANGE};
const enum client_assignor sticky_only[1] = {CLIENT_ASSIGNOR_COOPERATIVE_STICKY};

void
setup(struct fixture *f, const enum client_assignor *assignor)
{
    memset(f, 0, sizeof *f);
    fake_init(&f->fake, 1);
    fake_add_topic(&f->fake, "t", 2, 2);
    struct client_consumer_opts consumer = {.client = f->fake.client};
    assert_int_equal(client_consumer_new(&consumer, &f->consumer), ERR_OK);
    f->opts = (struct client_group_opts){
        .client = f->fake.client,
        .consumer = f->consumer,
        .group_id = STR("g"),
        .topics = topic_t,
        .topic_count = 1,
        .assignors = assignor,
        .assignor_count = 1,
        .reset = CLIENT_OFFSET_EARLIEST,
        .events = {on_assigned, on_revoked, on_lost},
        .ctx = f,
    };
}

void
start(struct fixture *f)
{
    assert_int_equal(client_group_new(&f->opts, &f->group), ERR_OK);
    fake_start(&f->fake);
}

void
teardown(struct fixture *f)
{
    fake_stop(&f->fake);
    client_group_free(&f->group);
    client_consumer_free(&f->consumer);
    fake_fini(&f->fake);
}

void
expect_told(struct fixture *f, const char *want)
{
    assert_string_equal(f->told, want);
    f->told[0] = '\0';
}

bool
is_stable(void *ctx)
{
    struct fixture *f = ctx;
    return f->group->state == CLIENT_GROUP_STABLE && group_parts_all_told(f->group) &&
           !f->group->tell_empty;
}

bool
is_failed(void *ctx)
{
    struct fixture *f = ctx;
    return f->group->state == CLIENT_GROUP_FAILED;
}

/* ---- answers ---- */

void
refuse_join(struct fixture *f, int16_t code, const char *member_id)
{
    struct proto_join_group_response response;
    proto_init(&proto_join_group_response_schema, &response);
    response.error_code = code;
    response.protocol_name = STR("");
    response.leader = STR("");
    response.member_id = str_of(member_id);
    fake_reply(fake_expect(&f->fake, JOIN), &response);
}

void
accept_join(struct fixture *f, struct fake_request *request, int32_t generation, const char *id,
    bool leader)
{
    const struct proto_join_group_request *message = request->message;
    struct proto_join_group_response response;
    struct proto_join_group_response_join_group_response_member member;
    (void)f;
    proto_init(&proto_join_group_response_schema, &response);
    proto_init(&proto_join_group_response_join_group_response_member_schema, &member);
    response.generation_id = generation;
    response.protocol_type = STR("consumer");
    response.protocol_name = message->protocols.items[0].name;
    response.leader = leader ? str_of(id) : STR("somebody");
    response.member_id = str_of(id);
    member.member_id = str_of(id);
    member.metadata = message->protocols.items[0].metadata;
    response.members.items = &member;
    response.members.count = leader;
    fake_reply(request, &response);
}

const char *
owned_of(const struct fake_request *join, char *out, size_t size, int32_t *generation)
{
    const struct proto_join_group_request *message = join->message;
    struct client_assignor_member member = {0};
    struct arena arena;
    arena_init(&arena, 1 << 20);
    assert_int_equal(
        group_subscription_read(message->protocols.items[0].metadata, &arena, &member), ERR_OK);
    out[0] = '\0';
    for (int i = 0; i < member.owned_count; i++)
        snprintf(out + strlen(out), size - strlen(out), "%.*s%d ", STR_FMT(member.owned[i].topic),
            (int)member.owned[i].partition);
    if (generation != NULL)
        *generation = member.generation;
    arena_fini(&arena);
    return out;
}

void
accept_sync(struct fixture *f, int32_t from, int32_t to)
{
    struct fake_request *request = fake_expect(&f->fake, SYNC);
    struct proto_sync_group_response response;
    struct client_topic_partition parts[8];
    int count = 0;
    for (int32_t p = from; p < to; p++)
        parts[count++] = (struct client_topic_partition){STR("t"), p};
    proto_init(&proto_sync_group_response_schema, &response);
    assert_int_equal(
        group_assignment_write(parts, count, &request->arena, &response.assignment), ERR_OK);
    fake_reply(request, &response);
}

void
refuse_sync(struct fixture *f, int16_t code)
{
    struct proto_sync_group_response response;
    proto_init(&proto_sync_group_response_schema, &response);
    response.error_code = code;
    response.assignment = (struct bytes){(const uint8_t *)"", 0};
    fake_reply(fake_expect(&f->fake, SYNC), &response);
}

void
answer_offsets(struct fixture *f, int64_t zero, int64_t one)
{
    struct fake_request *request = fake_expect(&f->fake, OFFSETS);
    const struct proto_offset_fetch_request *message = request->message;
    struct proto_offset_fetch_response response;
    struct proto_offset_fetch_response_offset_fetch_response_topic topic = {.name = STR("t")};
    struct proto_offset_fetch_response_offset_fetch_response_partition parts[2];
    const int64_t offsets[] = {zero, one};
    proto_init(&proto_offset_fetch_response_schema, &response);
    assert_int_equal(message->topics.count, 1);
    assert_true(message->require_stable);
    topic.partitions.items = parts;
    topic.partitions.count = message->topics.items[0].partition_indexes.count;
    for (int32_t i = 0; i < topic.partitions.count; i++) {
        int32_t p = message->topics.items[0].partition_indexes.items[i];
        proto_init(&proto_offset_fetch_response_offset_fetch_response_partition_schema, &parts[i]);
        parts[i].partition_index = p;
        parts[i].committed_offset = offsets[p] < -1 ? -1 : offsets[p];
        parts[i].error_code = offsets[p] < -1 ? (int16_t)-offsets[p] : 0;
    }
    response.topics.items = &topic;
    response.topics.count = 1;
    fake_reply(request, &response);
}

void
answer_fetch(struct fixture *f)
{
    struct fake_request *request = fake_expect(&f->fake, FETCH);
    struct proto_fetch_response response;
    proto_init(&proto_fetch_response_schema, &response);
    fake_reply(request, &response);
}

const char *
commit_of(const struct fake_request *request, char *out, size_t size)
{
    const struct proto_offset_commit_request *message = request->message;
    out[0] = '\0';
    for (int32_t i = 0; i < message->topics.count; i++)
        for (int32_t j = 0; j < message->topics.items[i].partitions.count; j++)
            snprintf(out + strlen(out), size - strlen(out), "%.*s%d@%lld ",
                STR_FMT(message->topics.items[i].name),
                (int)message->topics.items[i].partitions.items[j].partition_index,
                (long long)message->topics.items[i].partitions.items[j].committed_offset);
    return out;
}

void
answer_commit(struct fake_request *request, int16_t code)
{
    const struct proto_offset_commit_request *message = request->message;
    struct proto_offset_commit_response response;
    struct proto_offset_commit_response_offset_commit_response_topic topic;
    struct proto_offset_commit_response_offset_commit_response_partition part = {0, code};
    proto_init(&proto_offset_commit_response_schema, &response);
    proto_init(&proto_offset_commit_response_offset_commit_response_topic_schema, &topic);
    topic.name = message->topics.items[0].name;
    topic.partitions.items = &part;
    topic.partitions.count = 1;
    response.topics.items = &topic;
    response.topics.count = 1;
    fake_reply(request, &response);
}

void
become_stable(struct fixture *f)
{
    start(f);
    accept_join(f, fake_expect(&f->fake, JOIN), 1, "m", true);
    accept_sync(f, 0, 2);
    answer_offsets(f, 5, -1);
    fake_until(&f->fake, is_stable, f);
    expect_told(f, "+t0 +t1 ");
}
