/* coord/group/record.c - the records of __consumer_offsets: made, and applied.
 *
 * A key is its type as int16 and a body, a value its version as int16 and a body. Written are
 * OffsetCommit 4 (1 when it has an expiry time of its own) and GroupMetadata 3, as Apache Kafka 4.3
 * does; read is everything there ever was. What is not understood is kept as it is (foreign.c). */
#include "coord/group/group_priv.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "proto/consumer_group_metadata_key.h"
#include "proto/group_metadata_key.h"
#include "proto/group_metadata_value.h"
#include "proto/offset_commit_key.h"
#include "proto/offset_commit_value.h"

enum record_type {
    RECORD_OFFSET_LEGACY = 0,
    RECORD_OFFSET = 1,
    RECORD_GROUP = 2,
    RECORD_CONSUMER_GROUP = 3,
    RECORD_SHARE_GROUP = 11,
    RECORD_STREAMS_GROUP = 17,
};

enum {
    OFFSET_VALUE_VERSION = 4,
    OFFSET_VALUE_VERSION_EXPIRING = 1,
    GROUP_VALUE_VERSION = 3,
    OFFSET_VALUE_VERSION_MAX = 4,
    GROUP_VALUE_VERSION_MAX = 4,
    RECORD_ARENA_BYTES = 64 << 20,
};

/* ---- making ---- */

/* Encodes into a scratch writer; on failure submit will refuse. */
static struct bytes
encode(struct group_machine *machine, struct writer *w, int16_t prefix,
    const struct proto_schema *schema, int16_t version, const void *msg)
{
    buf_clear(&w->buf);
    writer_i16(w, prefix);
    enum err err = proto_encode(schema, version, msg, w);
    if (err == ERR_OK)
        err = w->buf.err;
    if (err != ERR_OK) {
        coord_shard_add_failed(machine->shard, err);
        return (struct bytes){(const uint8_t *)"", 0};
    }
    return buf_bytes(&w->buf);
}

static struct bytes
offset_key(struct group_machine *machine, struct str group, struct str topic, int32_t partition)
{
    struct proto_offset_commit_key key;
    proto_init(&proto_offset_commit_key_schema, &key);
    key.group = group;
    key.topic = topic;
    key.partition = partition;
    return encode(machine, &machine->key, RECORD_OFFSET, &proto_offset_commit_key_schema, 0, &key);
}

static struct bytes
group_key(struct group_machine *machine, struct str group)
{
    struct proto_group_metadata_key key;
    proto_init(&proto_group_metadata_key_schema, &key);
    key.group = group;
    return encode(machine, &machine->key, RECORD_GROUP, &proto_group_metadata_key_schema, 0, &key);
}

void
coord_record_add_offset(struct group_machine *machine, struct str group, struct str topic,
    const struct offset_entry *entry)
{
    struct proto_offset_commit_value value;
    int16_t version = entry->expire_ms >= 0 ? OFFSET_VALUE_VERSION_EXPIRING : OFFSET_VALUE_VERSION;

    proto_init(&proto_offset_commit_value_schema, &value);
    value.offset = entry->offset;
    value.leader_epoch = entry->leader_epoch;
    value.metadata = entry->metadata.data == NULL ? STR("") : entry->metadata;
    value.commit_timestamp = entry->commit_ms;
    value.expire_timestamp = entry->expire_ms;
    value.topic_id = entry->topic_id;
    coord_shard_add(machine->shard, offset_key(machine, group, topic, entry->partition),
        encode(
            machine, &machine->value, version, &proto_offset_commit_value_schema, version, &value));
}

void
coord_record_add_offset_tombstone(
    struct group_machine *machine, struct str group, struct str topic, int32_t partition)
{
    coord_shard_add(machine->shard, offset_key(machine, group, topic, partition), BYTES_NULL);
}

void
coord_record_add_group_tombstone(struct group_machine *machine, struct str group)
{
    coord_shard_add(machine->shard, group_key(machine, group), BYTES_NULL);
}

static struct bytes
assigned(const struct proto_sync_group_request *request, struct str member_id)
{
    /* The last one wins when a leader names a member twice. */
    for (int32_t i = request->assignments.count - 1; i >= 0; i--) {
        if (str_eq(request->assignments.items[i].member_id, member_id))
            return request->assignments.items[i].assignment;
    }
    return BYTES_NULL;
}

static void
add_group_value(struct group *group, struct proto_group_metadata_value *value)
{
    struct group_machine *machine = group->machine;
    coord_shard_add(machine->shard, group_key(machine, group->id),
        encode(machine, &machine->value, GROUP_VALUE_VERSION, &proto_group_metadata_value_schema,
            GROUP_VALUE_VERSION, value));
}

void
coord_record_add_group(struct group *group, const struct proto_sync_group_request *assignments)
{
    struct proto_group_metadata_value value;
    int32_t i = 0;

    proto_init(&proto_group_metadata_value_schema, &value);
    value.protocol_type = group->protocol_type.data == NULL ? STR("") : group->protocol_type;
    value.generation = group->generation;
    value.protocol = group->protocol_name;
    value.leader = group->leader == NULL ? STR_NULL : group->leader->id;
    value.current_state_timestamp = group->state_ms;
    value.members.count = coord_group_size(group);
    value.members.items =
        mem_calloc((size_t)value.members.count + 1, sizeof value.members.items[0]);
    if (value.members.items == NULL) {
        coord_shard_add_failed(group->machine->shard, ERR_NOMEM);
        return;
    }
    for (struct group_member *m = group->members; m != NULL; m = m->hh.next, i++) {
        struct bytes assignment =
            assignments == NULL ? m->assignment : assigned(assignments, m->id);
        struct bytes subscription = coord_member_metadata(m, group->protocol_name);
        const struct bytes empty = {(const uint8_t *)"", 0};
        value.members.items[i].member_id = m->id;
        value.members.items[i].group_instance_id = m->instance_id;
        value.members.items[i].client_id = m->client_id;
        value.members.items[i].client_host = m->client_host;
        value.members.items[i].rebalance_timeout = m->rebalance_timeout_ms;
        value.members.items[i].session_timeout = m->session_timeout_ms;
        value.members.items[i].subscription = subscription.data == NULL ? empty : subscription;
        value.members.items[i].assignment = assignment.data == NULL ? empty : assignment;
    }
    add_group_value(group, &value);
    mem_free(value.members.items);
}

void
coord_record_add_new_group(struct group *group)
{
    struct proto_group_metadata_value value;
    proto_init(&proto_group_metadata_value_schema, &value);
    value.protocol_type = STR("");
    value.generation = 0;
    value.protocol = STR_NULL;
    value.leader = STR_NULL;
    value.current_state_timestamp = group->state_ms;
    value.members.count = 0;
    add_group_value(group, &value);
}

static void
note_record(struct group *group, int64_t order, size_t bytes)
{
    struct group_machine *machine = group->machine;
    ASSERT(machine->groups_bytes >= group->record_bytes);
    machine->groups_bytes += bytes - group->record_bytes;
    group->record_bytes = bytes;
    group->order = order;
}

enum err
coord_record_submit_group(struct group *group)
{
    struct coord_shard *shard = group->machine->shard;
    int64_t order = coord_shard_order_next(shard);
    size_t bytes = coord_shard_added_bytes(shard);
    enum err err = coord_shard_submit(shard, false);
    if (err == ERR_OK)
        note_record(group, order, bytes);
    return err;
}

/* ---- applying ----
 * UNSUPPORTED: not understood, nothing done. */

static enum err
apply_offset_value(struct group_machine *machine, const struct coord_record *record,
    const struct proto_offset_commit_key *key, const struct proto_offset_commit_value *value)
{
    struct offset_store *store = &machine->offsets;
    struct offset_entry entry = {.partition = key->partition,
        .leader_epoch = value->leader_epoch,
        .offset = value->offset,
        .commit_ms = value->commit_timestamp,
        .expire_ms = value->expire_timestamp,
        .order = record->offset,
        .topic_id = value->topic_id,
        .metadata = value->metadata};

    if (coord_group_find(machine, key->group) == NULL &&
        coord_group_create(machine, key->group) == NULL)
        return ERR_NOMEM;
    if (record->producer_id >= 0) {
        struct offset_txn *txn = NULL;
        HASH_FIND(hh, machine->txns, &record->producer_id, sizeof record->producer_id, txn);
        if (txn == NULL) {
            txn = mem_calloc(1, sizeof *txn);
            if (txn == NULL)
                return ERR_NOMEM;
            txn->producer_id = record->producer_id;
            HASH_ADD(hh, machine->txns, producer_id, sizeof txn->producer_id, txn);
            if (txn->hh.tbl == NULL) {
                mem_free(txn);
                return ERR_NOMEM;
            }
        }
        store = &txn->store;
    }
    return coord_offset_store_put(store, key->group, key->topic, &entry);
}

static enum err
apply_offset(struct group_machine *machine, const struct coord_record *record, struct reader *r,
    struct arena *arena)
{
    struct proto_offset_commit_key key;
    struct proto_offset_commit_value value;
    struct reader v;

    proto_init(&proto_offset_commit_key_schema, &key);
    if (proto_decode(&proto_offset_commit_key_schema, 0, r, arena, &key) != ERR_OK)
        return ERR_UNSUPPORTED; /* no key of ours */
    if (record->value.data == NULL) {
        struct offset_txn *txn, *next;
        coord_offset_store_remove(&machine->offsets, key.group, key.topic, key.partition);
        HASH_ITER (hh, machine->txns, txn, next) {
            coord_offset_store_remove(&txn->store, key.group, key.topic, key.partition);
        }
        return ERR_OK;
    }
    reader_init(&v, record->value);
    int16_t version = reader_i16(&v);
    if (v.err != ERR_OK || version < 0)
        return ERR_UNSUPPORTED;
    /* A later version is flexible as 4 is, and adds tags only. */
    if (version > OFFSET_VALUE_VERSION_MAX)
        version = OFFSET_VALUE_VERSION_MAX;
    proto_init(&proto_offset_commit_value_schema, &value);
    enum err err = proto_decode(&proto_offset_commit_value_schema, version, &v, arena, &value);
    if (err == ERR_NOMEM)
        return err;
    return err != ERR_OK ? ERR_UNSUPPORTED : apply_offset_value(machine, record, &key, &value);
}

static enum err
apply_member(struct group *group, const struct proto_group_metadata_value *value, int32_t index)
{
    struct group_protocol protocol = {
        .name = value->protocol.data == NULL ? STR("") : value->protocol,
        .metadata = value->members.items[index].subscription};
    struct coord_member_opts opts = {.id = value->members.items[index].member_id,
        .instance_id = value->members.items[index].group_instance_id,
        .client_id = value->members.items[index].client_id,
        .client_host = value->members.items[index].client_host,
        .rebalance_timeout_ms = value->members.items[index].rebalance_timeout,
        .session_timeout_ms = value->members.items[index].session_timeout,
        .assignment = value->members.items[index].assignment,
        .protocols = &protocol,
        .protocol_count = 1};

    if (opts.rebalance_timeout_ms == -1)
        opts.rebalance_timeout_ms = opts.session_timeout_ms;
    if (coord_member_find(group, opts.id) != NULL ||
        coord_member_static(group, opts.instance_id) != NULL)
        return ERR_OK; /* nonsense; the first one counts */
    struct group_member *member = coord_member_add(group, &opts);
    if (member == NULL)
        return ERR_NOMEM;
    if (value->leader.data != NULL && str_eq(value->leader, member->id))
        group->leader = member;
    return ERR_OK;
}

/* The record says all there is of the group. */
static enum err
apply_group_value(struct group_machine *machine, const struct coord_record *record, struct str id,
    const struct proto_group_metadata_value *value)
{
    struct group *group = coord_group_find(machine, id);
    if (group != NULL)
        coord_group_remove(group, PROTO_ERROR_NOT_COORDINATOR);
    group = coord_group_create(machine, id);
    if (group == NULL)
        return ERR_NOMEM;
    note_record(group, record->offset, record->key.len + record->value.len);
    group->generation = value->generation;
    group->state_ms = value->current_state_timestamp;
    if (value->protocol_type.len > 0 && !coord_str_dup(value->protocol_type, &group->protocol_type))
        return ERR_NOMEM;
    if (!coord_group_set_protocol_name(group, value->protocol))
        return ERR_NOMEM;
    for (int32_t i = 0; i < value->members.count; i++) {
        enum err err = apply_member(group, value, i);
        if (err != ERR_OK)
            return err;
    }
    if (group->members != NULL) {
        /* What is in the log is a generation that was agreed on. */
        group->fsm.state = GROUP_STABLE;
        group->previous = GROUP_COMPLETING_REBALANCE;
    }
    return coord_group_compute_topics(group) ? ERR_OK : ERR_NOMEM;
}

static enum err
apply_group(struct group_machine *machine, const struct coord_record *record, struct reader *r,
    struct arena *arena)
{
    struct proto_group_metadata_key key;
    struct proto_group_metadata_value value;
    struct reader v;

    proto_init(&proto_group_metadata_key_schema, &key);
    if (proto_decode(&proto_group_metadata_key_schema, 0, r, arena, &key) != ERR_OK)
        return ERR_UNSUPPORTED;
    if (record->value.data == NULL) {
        struct group *group = coord_group_find(machine, key.group);
        if (group != NULL && group->kind == GROUP_CLASSIC)
            coord_group_remove(group, PROTO_ERROR_UNKNOWN_MEMBER_ID);
        return ERR_OK;
    }
    reader_init(&v, record->value);
    int16_t version = reader_i16(&v);
    if (v.err != ERR_OK || version < 0)
        return ERR_UNSUPPORTED;
    if (version > GROUP_VALUE_VERSION_MAX)
        version = GROUP_VALUE_VERSION_MAX;
    proto_init(&proto_group_metadata_value_schema, &value);
    enum err err = proto_decode(&proto_group_metadata_value_schema, version, &v, arena, &value);
    if (err == ERR_NOMEM)
        return err;
    return err != ERR_OK ? ERR_UNSUPPORTED : apply_group_value(machine, record, key.group, &value);
}

/* Groups of other kinds: that they exist is all that is understood. Their keys begin alike. */
static enum err
apply_stranger(struct group_machine *machine, const struct coord_record *record, struct reader *r,
    struct arena *arena, enum group_kind kind)
{
    struct proto_consumer_group_metadata_key key;
    proto_init(&proto_consumer_group_metadata_key_schema, &key);
    if (proto_decode(&proto_consumer_group_metadata_key_schema, 0, r, arena, &key) != ERR_OK)
        return ERR_UNSUPPORTED;
    struct group *group = coord_group_find(machine, key.group_id);
    if (record->value.data == NULL) {
        if (group != NULL && group->kind == kind)
            coord_group_remove(group, PROTO_ERROR_UNKNOWN_MEMBER_ID);
        return ERR_UNSUPPORTED;
    }
    if (group == NULL)
        group = coord_group_create(machine, key.group_id);
    if (group == NULL)
        return ERR_NOMEM;
    group->kind = kind;
    return ERR_UNSUPPORTED; /* the rest of it */
}

enum err
coord_record_apply(void *ctx, const struct coord_record *record)
{
    struct group_machine *machine = ctx;
    struct arena arena;
    struct reader r;
    enum err err = ERR_OK;

    if (record->key.data == NULL)
        return ERR_OK; /* nothing that a compacted topic keeps */
    reader_init(&r, record->key);
    int16_t type = reader_i16(&r);
    if (r.err != ERR_OK)
        return coord_foreign_put(machine, record);
    arena_init(&arena, RECORD_ARENA_BYTES);
    switch (type) {
    case RECORD_OFFSET_LEGACY:
    case RECORD_OFFSET: err = apply_offset(machine, record, &r, &arena); break;
    case RECORD_GROUP: err = apply_group(machine, record, &r, &arena); break;
    case RECORD_CONSUMER_GROUP:
        err = apply_stranger(machine, record, &r, &arena, GROUP_CONSUMER);
        break;
    case RECORD_SHARE_GROUP: err = apply_stranger(machine, record, &r, &arena, GROUP_SHARE); break;
    case RECORD_STREAMS_GROUP:
        err = apply_stranger(machine, record, &r, &arena, GROUP_STREAMS);
        break;
    default: err = ERR_UNSUPPORTED; break; /* details of strangers, or of a later version */
    }
    arena_fini(&arena);
    if (err == ERR_UNSUPPORTED)
        return coord_foreign_put(machine, record);
    if (err == ERR_OK)
        coord_foreign_forget(machine, record->key);
    return err;
}

/* A pending offset becomes the committed one unless a later record set that already. */
static enum err
commit_pending(struct group_machine *machine, const struct offset_store *pending)
{
    for (struct offset_group *g = pending->groups; g != NULL; g = g->hh.next) {
        for (struct offset_topic *t = g->topics; t != NULL; t = t->hh.next) {
            for (int32_t i = 0; i < t->count; i++) {
                const struct offset_entry *now = coord_offset_store_get(
                    &machine->offsets, g->id, t->name, t->entries[i].partition);
                if (now != NULL && now->order >= t->entries[i].order)
                    continue;
                enum err err =
                    coord_offset_store_put(&machine->offsets, g->id, t->name, &t->entries[i]);
                if (err != ERR_OK)
                    return err;
            }
        }
    }
    return ERR_OK;
}

enum err
coord_record_end_txn(void *ctx, int64_t producer_id, bool committed)
{
    struct group_machine *machine = ctx;
    struct offset_txn *txn = NULL;
    enum err err = ERR_OK;

    HASH_FIND(hh, machine->txns, &producer_id, sizeof producer_id, txn);
    if (txn == NULL)
        return ERR_OK;
    if (committed)
        err = commit_pending(machine, &txn->store);
    HASH_DEL(machine->txns, txn);
    coord_offset_store_fini(&txn->store);
    mem_free(txn);
    return err;
}
