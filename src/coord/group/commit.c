/* coord/group/commit.c - OffsetCommit, plain and of transactions, and OffsetDelete. */
#include "coord/group/group_priv.h"

#include "base/assert.h"

/* The length that Kafka means: of UTF-16 units. */
static size_t
utf16_len(struct str s)
{
    size_t units = 0;
    for (size_t i = 0; i < s.len; i++) {
        uint8_t byte = (uint8_t)s.data[i];
        if ((byte & 0xc0) != 0x80)
            units += byte >= 0xf0 ? 2 : 1;
    }
    return units;
}

static int32_t
partition_count(const struct proto_offset_commit_request *request)
{
    int32_t count = 0;
    for (int32_t i = 0; i < request->topics.count; i++)
        count += request->topics.items[i].partitions.count;
    return count;
}

static enum proto_error
check_member(const struct group *group, const struct proto_offset_commit_request *request,
    bool transactional)
{
    int32_t generation = request->generation_id_or_member_epoch;
    enum group_state state = coord_group_state(group);

    /* Who keeps offsets here without being a group. */
    if (generation < 0 && state == GROUP_EMPTY)
        return PROTO_ERROR_NONE;
    if (generation >= 0 || request->member_id.len > 0 || request->group_instance_id.data != NULL) {
        enum proto_error err =
            coord_member_validate(group, request->member_id, request->group_instance_id);
        if (err != PROTO_ERROR_NONE)
            return err;
        if (generation != group->generation)
            return PROTO_ERROR_ILLEGAL_GENERATION;
    } else if (!transactional && state != GROUP_EMPTY) {
        return PROTO_ERROR_UNKNOWN_MEMBER_ID;
    }
    /* The next generation may own the partitions already. */
    if (!transactional && state == GROUP_COMPLETING_REBALANCE)
        return PROTO_ERROR_REBALANCE_IN_PROGRESS;
    return PROTO_ERROR_NONE;
}

static enum proto_error
check(const struct group *group, const struct proto_offset_commit_request *request,
    bool transactional, int16_t version)
{
    if (group == NULL) {
        if (request->generation_id_or_member_epoch < 0)
            return PROTO_ERROR_NONE; /* made by its first offset */
        return version >= 9 && !transactional ? PROTO_ERROR_GROUP_ID_NOT_FOUND
                                              : PROTO_ERROR_ILLEGAL_GENERATION;
    }
    if (group->kind != GROUP_CLASSIC)
        return PROTO_ERROR_UNKNOWN_MEMBER_ID;
    return check_member(group, request, transactional);
}

/* Queues a record for each partition that can have one, and notes the errors of the others. Gives
 * how many can. */
static int32_t
add_records(struct group_machine *machine, const struct proto_offset_commit_request *request,
    int16_t *errors)
{
    int64_t now_ms = coord_shard_wall_ms(machine->shard);
    int64_t retention_ms = request->retention_time_ms;
    int64_t expire_ms = -1;
    if (retention_ms != -1) /* any client's number */
        expire_ms = retention_ms > INT64_MAX - now_ms ? INT64_MAX : now_ms + retention_ms;
    size_t metadata_max = (size_t)machine->config->offset_metadata_bytes_max;
    int32_t at = 0, added = 0;

    for (int32_t t = 0; t < request->topics.count; t++) {
        for (int32_t p = 0; p < request->topics.items[t].partitions.count; p++, at++) {
            struct offset_entry entry = {
                .partition = request->topics.items[t].partitions.items[p].partition_index,
                .leader_epoch = request->topics.items[t].partitions.items[p].committed_leader_epoch,
                .offset = request->topics.items[t].partitions.items[p].committed_offset,
                .commit_ms = now_ms,
                .expire_ms = expire_ms,
                .topic_id = request->topics.items[t].topic_id,
                .metadata = request->topics.items[t].partitions.items[p].committed_metadata,
            };
            errors[at] = PROTO_ERROR_NONE;
            if (utf16_len(entry.metadata) > metadata_max) {
                errors[at] = PROTO_ERROR_OFFSET_METADATA_TOO_LARGE;
                continue;
            }
            coord_record_add_offset(
                machine, request->group_id, request->topics.items[t].name, &entry);
            added++;
        }
    }
    return added;
}

static enum proto_error
submit_error(enum err err)
{
    if (err == ERR_OK)
        return PROTO_ERROR_NONE;
    return err == ERR_NOMEM ? PROTO_ERROR_COORDINATOR_NOT_AVAILABLE
                            : PROTO_ERROR_UNKNOWN_SERVER_ERROR;
}

static bool
prepare(const struct proto_offset_commit_request *request, struct coord_group_commit *reply)
{
    reply->count = partition_count(request);
    reply->errors =
        arena_calloc(reply->base.arena, (size_t)reply->count + 1, sizeof reply->errors[0]);
    return reply->errors != NULL;
}

void
coord_group_commit(struct coord_shard *shard, const struct coord_group_caller *caller,
    const struct proto_offset_commit_request *request, struct coord_group_commit *reply)
{
    struct group_machine *machine = coord_group_of(shard);
    struct group *group = coord_group_find(machine, request->group_id);
    enum proto_error err = check(group, request, false, caller->version);

    if (err == PROTO_ERROR_NONE && !prepare(request, reply))
        err = PROTO_ERROR_COORDINATOR_NOT_AVAILABLE;
    if (err != PROTO_ERROR_NONE) {
        coord_shard_reply(shard, &reply->base, err);
        return;
    }
    if (group != NULL) {
        /* A commit is a sign of life. */
        struct group_member *member = coord_member_find(group, request->member_id);
        if (member != NULL && member->join == NULL)
            coord_member_session_start(member, member->session_timeout_ms);
    }
    int32_t added = add_records(machine, request, reply->errors);
    err = submit_error(coord_shard_submit(shard, true));
    if (err == PROTO_ERROR_NONE)
        coord_shard_count(shard, COORD_COUNT_OFFSETS_SET, (uint64_t)added);
    coord_shard_reply(shard, &reply->base, err);
}

void
coord_group_commit_txn(struct coord_shard *shard, const struct coord_group_txn *txn,
    const struct proto_offset_commit_request *request, struct coord_group_commit *reply)
{
    struct group_machine *machine = coord_group_of(shard);
    struct group *group = coord_group_find(machine, request->group_id);
    enum proto_error err = PROTO_ERROR_INVALID_GROUP_ID;

    if (request->group_id.len > 0)
        err = check(group, request, true, 0);
    if (err == PROTO_ERROR_NONE && !prepare(request, reply))
        err = PROTO_ERROR_COORDINATOR_NOT_AVAILABLE;
    if (err == PROTO_ERROR_NONE) {
        int32_t added = add_records(machine, request, reply->errors);
        err = submit_error(coord_shard_submit_txn(shard, txn->producer_id, txn->producer_epoch));
        if (err == PROTO_ERROR_NONE)
            coord_shard_count(shard, COORD_COUNT_OFFSETS_SET, (uint64_t)added);
    }
    coord_shard_reply(shard, &reply->base, err);
}

/* ---- OffsetDelete ---- */

static enum proto_error
check_delete(const struct group *group, struct str group_id)
{
    if (group_id.len == 0)
        return PROTO_ERROR_INVALID_GROUP_ID;
    if (group == NULL)
        return PROTO_ERROR_GROUP_ID_NOT_FOUND;
    if (group->kind != GROUP_CLASSIC)
        return PROTO_ERROR_NON_EMPTY_GROUP;
    /* Only of consumers it is known what they read. */
    if (coord_group_state(group) != GROUP_EMPTY && !coord_group_is_consumer(group))
        return PROTO_ERROR_NON_EMPTY_GROUP;
    return PROTO_ERROR_NONE;
}

/* False when the arena is exhausted. */
static bool
delete_topic(struct group *group, const struct proto_offset_delete_request *request, int32_t index,
    struct coord_group_offset_delete *reply)
{
    struct group_machine *machine = group->machine;
    struct str topic = request->topics.items[index].name;
    int32_t count = request->topics.items[index].partitions.count;
    bool subscribed = coord_group_is_subscribed(group, topic);

    count = count > 0 ? count : 0;
    reply->response.topics.items[index].name = topic;
    reply->response.topics.items[index].partitions.count = count;
    reply->response.topics.items[index].partitions.items = arena_calloc(reply->base.arena,
        (size_t)count, sizeof reply->response.topics.items[index].partitions.items[0]);
    if (reply->response.topics.items[index].partitions.items == NULL)
        return false;
    for (int32_t p = 0; p < count; p++) {
        int32_t partition = request->topics.items[index].partitions.items[p].partition_index;
        reply->response.topics.items[index].partitions.items[p].partition_index = partition;
        if (subscribed) {
            reply->response.topics.items[index].partitions.items[p].error_code =
                PROTO_ERROR_GROUP_SUBSCRIBED_TO_TOPIC;
        } else if (coord_offset_store_get(&machine->offsets, group->id, topic, partition) != NULL ||
                   coord_offsets_pending(machine, group->id, topic, partition)) {
            coord_record_add_offset_tombstone(machine, group->id, topic, partition);
            coord_shard_count(machine->shard, COORD_COUNT_OFFSETS_DELETED, 1);
        }
    }
    return true;
}

void
coord_group_offset_delete(struct coord_shard *shard,
    const struct proto_offset_delete_request *request, struct coord_group_offset_delete *reply)
{
    struct group *group = coord_group_find(coord_group_of(shard), request->group_id);
    enum proto_error err = check_delete(group, request->group_id);
    int32_t count = request->topics.count > 0 ? request->topics.count : 0;

    proto_init(&proto_offset_delete_response_schema, &reply->response);
    if (err != PROTO_ERROR_NONE) {
        coord_shard_reply(shard, &reply->base, err);
        return;
    }
    reply->response.topics.items =
        arena_calloc(reply->base.arena, (size_t)count, sizeof reply->response.topics.items[0]);
    reply->response.topics.count = count;
    bool ok = reply->response.topics.items != NULL;
    for (int32_t i = 0; i < count && ok; i++)
        ok = delete_topic(group, request, i, reply);
    if (!ok) {
        coord_shard_drop(shard);
        err = PROTO_ERROR_COORDINATOR_NOT_AVAILABLE;
    } else {
        err = submit_error(coord_shard_submit(shard, true));
    }
    coord_shard_reply(shard, &reply->base, err);
}
