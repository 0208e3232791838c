/* raft/raft_log.c - what the leader appends, and how far it is committed.
 *
 * A batch is one atomic unit of metadata. The high watermark of a quorum of one is what it has
 * flushed; that of many will be the majority's median of the same figure. */
#include "base/assert.h"
#include "proto/leader_change_message.h"
#include "raft/raft_priv.h"
#include "wire/batch.h"

enum { CONTROL_VALUE_MAX = 4096 };

static struct batch_builder_opts
batch_opts(const struct raft *raft)
{
    struct batch_builder_opts opts = BATCH_BUILDER_OPTS_DEFAULT;
    opts.base_offset = raft->log_end_offset;
    opts.leader_epoch = raft->state.leader_epoch;
    return opts;
}

static enum err
append_built(struct raft *raft, struct batch_builder *builder, int count)
{
    enum err err = batch_builder_finish(builder);
    if (err != ERR_OK)
        return err; /* too large or no memory: nothing happened */
    err = raft->ops.append(raft->ctx, raft->scratch.data, raft->scratch.len);
    if (err != ERR_OK) {
        raft_fail(raft, "append_failed", err);
        return ERR_FAILED;
    }
    raft->log_end_offset += count;
    raft->ops.want_flush(raft->ctx);
    return ERR_OK;
}

enum err
raft_append(
    struct raft *raft, const struct batch_builder_record *records, int count, int64_t *last_offset)
{
    struct batch_builder builder;
    struct batch_builder_opts opts;
    ASSERT(count > 0);
    raft_check(raft);
    if (raft->role.state == RAFT_FAILED)
        return ERR_FAILED;
    if (raft->role.state != RAFT_LEADER)
        return ERR_WRONG_STATE;
    buf_clear(&raft->scratch);
    opts = batch_opts(raft);
    batch_builder_init(&builder, &opts, &raft->scratch);
    for (int i = 0; i < count; i++)
        batch_builder_append(&builder, &records[i]);
    enum err err = append_built(raft, &builder, count);
    if (err == ERR_OK)
        *last_offset = raft->log_end_offset - 1;
    raft_check(raft);
    return err;
}

enum err
raft_log_append_leader_change(struct raft *raft, int64_t wall_ms)
{
    struct proto_leader_change_message message;
    struct proto_leader_change_message_voter self = {.voter_id = raft->node_id};
    struct proto_leader_change_message_voter voters[RAFT_VOTERS_MAX] = {{0}};
    uint8_t key[BATCH_CONTROL_KEY_SIZE];
    /* Apache Kafka reads only version 0, whatever kraft.version is. */
    int16_t version = 0;
    struct batch_builder builder;
    struct batch_builder_opts opts;
    struct writer value;

    for (int i = 0; i < raft->voter_count; i++)
        voters[i].voter_id = raft->voters[i];
    proto_init(&proto_leader_change_message_schema, &message);
    message.version = version;
    message.leader_id = raft->node_id;
    message.voters.items = voters;
    message.voters.count = raft->voter_count;
    message.granting_voters.items = &self;
    message.granting_voters.count = 1;

    writer_init(&value, CONTROL_VALUE_MAX);
    enum err err = proto_encode(&proto_leader_change_message_schema, version, &message, &value);
    if (err == ERR_OK) {
        batch_control_key_write(key, BATCH_CONTROL_LEADER_CHANGE);
        buf_clear(&raft->scratch);
        opts = batch_opts(raft);
        opts.control = true;
        batch_builder_init(&builder, &opts, &raft->scratch);
        batch_builder_append(&builder,
            &(struct batch_builder_record){
                .timestamp = wall_ms, .key = {key, sizeof key}, .value = buf_bytes(&value.buf)});
        err = append_built(raft, &builder, 1);
    }
    writer_fini(&value);
    return err;
}

/* I3: a leader commits nothing before its own epoch's first record is flushed. */
void
raft_log_advance(struct raft *raft)
{
    int64_t next = raft->flushed_offset;
    if (raft->role.state != RAFT_LEADER || next <= raft->epoch_start_offset ||
        next <= raft->high_watermark)
        return;
    raft->high_watermark = next;
    raft->ops.committed(raft->ctx, next);
}

void
raft_flushed(struct raft *raft, int64_t offset)
{
    if (raft->role.state == RAFT_FAILED)
        return;
    ASSERT(offset <= raft->log_end_offset);
    if (offset > raft->flushed_offset)
        raft->flushed_offset = offset;
    raft_log_advance(raft);
    raft_check(raft);
}

void
raft_flush_failed(struct raft *raft)
{
    if (raft->role.state != RAFT_FAILED)
        raft_fail(raft, "flush_failed", ERR_IO);
}

int64_t
raft_log_end_offset(const struct raft *raft)
{
    return raft->log_end_offset;
}

int64_t
raft_high_watermark(const struct raft *raft)
{
    return raft->high_watermark;
}
