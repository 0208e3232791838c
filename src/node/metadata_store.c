/* node/metadata_store.c - the disk side of the metadata: replaying what is there, appending, one
 * flush at a time on the pool, quorum-state, bootstrap and snapshot files.
 *
 * Files (Apache's): __cluster_metadata-0/ with segments, quorum-state and %020d-%010d.checkpoint,
 * and bootstrap.checkpoint beside it. On the metadata loop, but for the flush's run on the pool. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "meta/builder.h"
#include "meta/snapshot.h"
#include "node/metadata_priv.h"
#include "proto/snapshot_footer_record.h"
#include "proto/snapshot_header_record.h"
#include "wire/batch.h"

enum {
    READ_BYTES = 8 << 20,
    SNAPSHOT_MAX = 1 << 30,
    STATE_MAX = 64 << 10,
    PATH_SIZE = 4096,
    SCRATCH_BYTES = 16 << 20,
    CONTROL_VALUE_MAX = 64,
};

static const char MODULE[] = "metadata";

/* ---- replay ---- */

struct replay {
    struct node_metadata *md;
    struct meta_builder *builder;
    struct compress_ctx *compress;
    struct buf scratch;
    int64_t offset; /* of the last record */
    int32_t epoch;
    int64_t timestamp_ms;
    int64_t records;
};

static enum err
keep_control(struct metadata_control *control, struct bytes value)
{
    uint8_t *copy = mem_alloc(value.len + 1);
    if (copy == NULL)
        return ERR_NOMEM;
    if (value.len > 0)
        memcpy(copy, value.data, value.len);
    mem_free(control->value);
    *control = (struct metadata_control){copy, value.len};
    return ERR_OK;
}

/* Who votes stands nowhere else: once a snapshot replaces the log it must be in there, or Apache
 * finds a directory without voters and never elects. */
static enum err
replay_control(struct replay *replay, const struct batch_view *batch)
{
    struct batch_iter iter;
    struct batch_record record;
    enum err err = batch_iter_init(&iter, batch, replay->compress, &replay->scratch);
    while (err == ERR_OK && batch_iter_next(&iter, &record)) {
        enum batch_control_type type;
        err = batch_control_key_parse(record.key, &type);
        if (err == ERR_OK && type == BATCH_CONTROL_KRAFT_VERSION)
            err = keep_control(&replay->md->kraft_version, record.value);
        else if (err == ERR_OK && type == BATCH_CONTROL_KRAFT_VOTERS)
            err = keep_control(&replay->md->kraft_voters, record.value);
    }
    return err == ERR_OK ? iter.err : err;
}

static enum err
replay_batch(struct replay *replay, const struct batch_view *batch)
{
    struct batch_iter iter;
    struct batch_record record;
    if (batch_is_control(batch)) {
        enum err err = replay_control(replay, batch);
        if (err != ERR_OK)
            return err;
    } else {
        enum err err = batch_iter_init(&iter, batch, replay->compress, &replay->scratch);
        if (err != ERR_OK)
            return err;
        while (batch_iter_next(&iter, &record)) {
            err = meta_builder_replay(replay->builder, record.value);
            if (err != ERR_OK) {
                diag_event(replay->md->diag, DIAG_ERROR, MODULE, "record_not_replayed",
                    DIAG_I64("offset", record.offset), DIAG_ERR("cause", err));
                return err;
            }
            replay->records++;
        }
        if (iter.err != ERR_OK)
            return iter.err;
    }
    replay->offset = batch_last_offset(batch);
    replay->epoch = batch->leader_epoch;
    replay->timestamp_ms = batch->max_timestamp;
    return ERR_OK;
}

/* Whole batches; *used says how many bytes they were. */
static enum err
replay_bytes(struct replay *replay, struct bytes data, size_t *used)
{
    *used = 0;
    while (*used < data.len) {
        struct batch_view batch;
        enum err err = batch_parse((struct bytes){data.data + *used, data.len - *used}, &batch);
        if (err == ERR_TRUNCATED)
            return ERR_OK;
        if (err == ERR_OK && !batch_crc_ok(&batch))
            err = ERR_CORRUPT;
        if (err == ERR_OK)
            err = replay_batch(replay, &batch);
        if (err != ERR_OK)
            return err;
        *used += batch.size_bytes;
    }
    return ERR_OK;
}

static enum err
replay_file(struct replay *replay, const char *path)
{
    char *data;
    size_t len;
    size_t used;
    enum err err = env_read_file(replay->md->opts.env, path, SNAPSHOT_MAX, &data, &len);
    if (err != ERR_OK)
        return err;
    err = replay_bytes(replay, (struct bytes){(const uint8_t *)data, len}, &used);
    if (err == ERR_OK && used < len)
        err = ERR_CORRUPT;
    mem_free(data);
    return err;
}

static enum err
replay_slice(struct replay *replay, const struct log_slice *slice)
{
    size_t n;
    size_t used;
    uint8_t *data = mem_alloc(slice->len);
    if (data == NULL)
        return ERR_NOMEM;
    enum err err = env_read_at(slice->file, slice->position, data, slice->len, &n);
    if (err == ERR_OK && n < slice->len)
        err = ERR_CORRUPT;
    if (err == ERR_OK)
        err = replay_bytes(replay, (struct bytes){data, n}, &used);
    if (err == ERR_OK && used < n)
        err = ERR_CORRUPT;
    mem_free(data);
    return err;
}

static enum err
replay_log(struct replay *replay, int64_t offset)
{
    struct log *log = replay->md->log;
    enum err err = ERR_OK;
    while (err == ERR_OK && offset < log_end_offset(log)) {
        struct log_slice slice;
        struct log_read_opts opts = {.offset = offset,
            .bound_offset = log_end_offset(log),
            .max_bytes = READ_BYTES,
            .min_one = true};
        err = log_read(log, &opts, &slice);
        if (err != ERR_OK)
            break;
        if (slice.file == NULL)
            return ERR_CORRUPT;
        err = replay_slice(replay, &slice);
        env_file_close(&slice.file);
        offset = replay->offset + 1;
    }
    return err;
}

/* ---- snapshots that are there ---- */

struct latest {
    int64_t end_offset;
    char name[64];
};

static bool
look_at_name(void *ctx, const char *name)
{
    struct latest *latest = ctx;
    static const char SUFFIX[] = ".checkpoint";
    size_t len = strlen(name);
    char *end;
    if (len != 31 + sizeof SUFFIX - 1 || strcmp(name + 31, SUFFIX) != 0 || name[20] != '-')
        return true;
    long long offset = strtoll(name, &end, 10);
    if (*end == '-' && offset > latest->end_offset) {
        latest->end_offset = offset;
        memcpy(latest->name, name, len + 1);
    }
    return true;
}

static enum err
replay_all(struct replay *replay)
{
    struct node_metadata *md = replay->md;
    struct latest latest = {.end_offset = -1};
    char path[PATH_SIZE];
    enum err err = env_list_dir(md->opts.env, md->dir, look_at_name, &latest);
    int64_t from = log_start_offset(md->log);
    if (err == ERR_OK && latest.end_offset >= from) {
        snprintf(path, sizeof path, "%s/%s", md->dir, latest.name);
        err = replay_file(replay, path);
        replay->offset = latest.end_offset - 1; /* offsets inside are the file's own */
        from = latest.end_offset;
    } else if (err == ERR_OK && from > 0) {
        diag_event(
            md->diag, DIAG_ERROR, MODULE, "snapshot_missing", DIAG_I64("log_start_offset", from));
        err = ERR_CORRUPT;
    }
    return err == ERR_OK ? replay_log(replay, from) : err;
}

static enum err
load_image(struct node_metadata *md)
{
    struct replay replay = {.md = md, .offset = -1, .timestamp_ms = -1};
    struct meta_image *image;
    struct meta_delta *delta;
    buf_init(&replay.scratch, SCRATCH_BYTES);
    enum err err = compress_ctx_new(&replay.compress);
    if (err == ERR_OK)
        err = meta_builder_new(md->latest, &replay.builder);
    if (err == ERR_OK)
        err = replay_all(&replay);
    if (err == ERR_OK) {
        err = meta_builder_finish(
            &replay.builder, replay.offset, replay.epoch, replay.timestamp_ms, &image, &delta);
        if (err == ERR_OK) {
            meta_image_unref(&md->latest);
            md->latest = image;
            meta_delta_free(&delta);
        }
    }
    meta_builder_free(&replay.builder);
    compress_ctx_free(&replay.compress);
    buf_fini(&replay.scratch);
    if (err == ERR_OK)
        diag_event(md->diag, DIAG_INFO, MODULE, "loaded", DIAG_I64("records", replay.records),
            DIAG_I64("offset", replay.offset),
            DIAG_I64("topics", meta_image_topic_count(md->latest)));
    return err;
}

/* ---- quorum-state ---- */

static void
state_path(const struct node_metadata *md, char path[PATH_SIZE])
{
    snprintf(path, PATH_SIZE, "%s/quorum-state", md->dir);
}

enum err
metadata_store_quorum_state(void *ctx, struct bytes text)
{
    struct node_metadata *md = ctx;
    char path[PATH_SIZE];
    state_path(md, path);
    return env_write_file_atomic(md->opts.env, path, text);
}

static enum err
load_state(struct node_metadata *md, struct quorum_state *state, bool *has_state)
{
    char path[PATH_SIZE];
    char *text;
    size_t len;
    state_path(md, path);
    enum err err = env_read_file(md->opts.env, path, STATE_MAX, &text, &len);
    *has_state = err == ERR_OK;
    if (err == ERR_NOTFOUND)
        return ERR_OK;
    if (err != ERR_OK)
        return err;
    err = quorum_state_parse((struct str){text, len}, state);
    mem_free(text);
    /* A vote could be given twice: stop rather than guess. */
    if (err != ERR_OK)
        diag_event(md->diag, DIAG_ERROR, MODULE, "quorum_state_unreadable", DIAG_Z("path", path),
            DIAG_ERR("cause", err));
    return err;
}

enum err
metadata_store_load(struct node_metadata *md, struct quorum_state *state, bool *has_state)
{
    struct log_config config;
    log_config_default(&config);
    config.retention_ms = -1;
    config.retention_bytes = -1;
    config.max_message_bytes = READ_BYTES;
    enum err err = log_manager_metadata_log(md->opts.logs, &config, &md->log);
    if (err != ERR_OK)
        return err;
    if (log_state(md->log) != LOG_OPEN) {
        diag_event(md->diag, DIAG_ERROR, MODULE, "log_damaged",
            DIAG_I64("offset", log_corrupt_offset(md->log)));
        return ERR_CORRUPT;
    }
    md->dir = mem_strdup(log_dir_path(md->log));
    if (md->dir == NULL)
        return ERR_NOMEM;
    err = log_flush_now(md->log); /* what is read below counts as committed */
    if (err == ERR_OK)
        err = load_state(md, state, has_state);
    return err == ERR_OK ? load_image(md) : err;
}

/* ---- appending and flushing ---- */

enum err
metadata_store_append(void *ctx, uint8_t *batches, size_t len)
{
    struct node_metadata *md = ctx;
    struct log_append_result result;
    struct log_append_opts opts = {
        .origin = LOG_ORIGIN_RAFT_LEADER,
        .leader_epoch = raft_epoch(md->raft),
        .validator = md->validator,
        .batches_many = true,
        .txn_version = -1,
        .sequence_lowest = -1,
    };
    enum err err = log_append(md->log, batches, len, &opts, &result);
    if (err == ERR_OK && result.reject != LOG_REJECT_NONE) {
        diag_event(md->diag, DIAG_ERROR, MODULE, "append_refused", DIAG_Z("reason", result.what));
        err = ERR_INVALID;
    }
    return err;
}

static void start_flush(struct node_metadata *md);

static void
flush_run(struct pool_work *work)
{
    struct metadata_flush *flush = CONTAINER_OF(work, struct metadata_flush, work);
    struct node_metadata *md = CONTAINER_OF(flush, struct node_metadata, flush);
    flush->err = log_flush_run(&flush->flush);
    loop_post(md->loop, &flush->done);
}

static void
flush_done(struct loop_task *task)
{
    struct metadata_flush *flush = CONTAINER_OF(task, struct metadata_flush, done);
    struct node_metadata *md = CONTAINER_OF(flush, struct node_metadata, flush);
    int64_t offset = flush->flush.offset;
    flush->running = false;
    if (log_flush_end(md->log, &flush->flush, flush->err) != ERR_OK) {
        raft_flush_failed(md->raft);
        metadata_view_update(md);
        return;
    }
    log_set_high_watermark(md->log, offset);
    raft_flushed(md->raft, offset);
    if (flush->again)
        start_flush(md);
    metadata_view_update(md);
}

static void
start_flush(struct node_metadata *md)
{
    struct metadata_flush *flush = &md->flush;
    flush->again = false;
    if (log_flush_begin(md->log, &flush->flush) != ERR_OK) {
        raft_flush_failed(md->raft);
        return;
    }
    flush->running = true;
    flush->work = (struct pool_work){.run = flush_run};
    loop_task_init(&flush->done, flush_done);
    pool_submit(md->opts.pool, &flush->work);
}

void
metadata_store_want_flush(void *ctx)
{
    struct node_metadata *md = ctx;
    if (md->flush.running)
        md->flush.again = true;
    else
        start_flush(md);
}

/* ---- a new cluster ---- */

/* Records as the file of a snapshot: header, batches, footer. */
struct snapshot {
    struct node_metadata *md;
    struct buf out;
    int64_t offset;
    int32_t epoch;
    enum err err;
};

static enum err
put_batch(
    struct snapshot *snapshot, const struct batch_builder_record *records, int count, bool control)
{
    struct batch_builder builder;
    struct batch_builder_opts opts = BATCH_BUILDER_OPTS_DEFAULT;
    opts.base_offset = snapshot->offset;
    opts.leader_epoch = snapshot->epoch;
    opts.control = control;
    batch_builder_init(&builder, &opts, &snapshot->out);
    for (int i = 0; i < count; i++)
        batch_builder_append(&builder, &records[i]);
    snapshot->offset += count;
    return batch_builder_finish(&builder);
}

static enum err
put_control(struct snapshot *snapshot, enum batch_control_type type,
    const struct proto_schema *schema, const void *message, int64_t timestamp_ms)
{
    uint8_t key[BATCH_CONTROL_KEY_SIZE];
    struct writer value;
    writer_init(&value, CONTROL_VALUE_MAX);
    enum err err = proto_encode(schema, 0, message, &value);
    batch_control_key_write(key, type);
    if (err == ERR_OK)
        err = put_batch(snapshot,
            &(struct batch_builder_record){.timestamp = timestamp_ms,
                .key = {key, sizeof key},
                .value = buf_bytes(&value.buf)},
            1, true);
    writer_fini(&value);
    return err;
}

static enum err
put_records(void *ctx, const struct meta_records *records)
{
    return put_batch(ctx, records->items, records->count, false);
}

/* One batch, as Apache writes it: the header, then who votes when the log says so. */
static enum err
put_header(struct snapshot *snapshot, int64_t last_timestamp_ms, int64_t now_ms)
{
    struct proto_snapshot_header_record header = {
        .version = 0, .last_contained_log_timestamp = last_timestamp_ms};
    const struct metadata_control *controls[] = {
        &snapshot->md->kraft_version, &snapshot->md->kraft_voters};
    static const enum batch_control_type types[] = {
        BATCH_CONTROL_SNAPSHOT_HEADER, BATCH_CONTROL_KRAFT_VERSION, BATCH_CONTROL_KRAFT_VOTERS};
    uint8_t keys[COUNT_OF(types)][BATCH_CONTROL_KEY_SIZE];
    struct batch_builder_record records[COUNT_OF(types)];
    struct writer value;
    int count = 0;
    writer_init(&value, CONTROL_VALUE_MAX);
    enum err err = proto_encode(&proto_snapshot_header_record_schema, 0, &header, &value);
    for (size_t i = 0; i < COUNT_OF(types); i++) {
        struct bytes content = i == 0
                                   ? buf_bytes(&value.buf)
                                   : (struct bytes){controls[i - 1]->value, controls[i - 1]->len};
        if (content.data == NULL)
            continue;
        batch_control_key_write(keys[count], types[i]);
        records[count] = (struct batch_builder_record){
            .timestamp = now_ms, .key = {keys[count], BATCH_CONTROL_KEY_SIZE}, .value = content};
        count++;
    }
    if (err == ERR_OK)
        err = put_batch(snapshot, records, count, true);
    writer_fini(&value);
    return err;
}

static enum err
put_footer(struct snapshot *snapshot, int64_t now_ms)
{
    struct proto_snapshot_footer_record footer = {.version = 0};
    return put_control(snapshot, BATCH_CONTROL_SNAPSHOT_FOOTER,
        &proto_snapshot_footer_record_schema, &footer, now_ms);
}

/* What a formatting tool left for the first leader, or our own for a new directory. */
static enum err
bootstrap_records(struct node_metadata *md, struct meta_records *records)
{
    char path[PATH_SIZE];
    struct env_stat st;
    int64_t now_ms = env_wall_ms(md->opts.env);
    meta_controller_bootstrap(md->opts.rules, records);
    if (records->err != ERR_OK)
        return records->err;
    snprintf(path, sizeof path, "%s/bootstrap.checkpoint", log_parent_dir(md->log));
    /* A directory that Apache formatted and never used has the file: its features are ours to serve
     * only as far as they are built, so ours are finalized all the same. */
    enum err err = env_stat(md->opts.env, path, &st);
    if (err != ERR_NOTFOUND)
        return err;
    struct snapshot snapshot = {.md = md};
    buf_init(&snapshot.out, SNAPSHOT_MAX);
    err = put_header(&snapshot, 0, now_ms);
    if (err == ERR_OK)
        err = put_records(&snapshot, records);
    if (err == ERR_OK)
        err = put_footer(&snapshot, now_ms);
    if (err == ERR_OK)
        err = env_write_file_atomic(md->opts.env, path, buf_bytes(&snapshot.out));
    buf_fini(&snapshot.out);
    return err;
}

enum err
metadata_store_bootstrap(struct node_metadata *md)
{
    struct meta_records records;
    arena_reset(&md->scratch);
    meta_records_init(&records, &md->scratch, env_wall_ms(md->opts.env));
    enum err err = bootstrap_records(md, &records);
    return err == ERR_OK ? metadata_append_records(md, &records, NULL) : err;
}

/* ---- writing snapshots ---- */

void
metadata_store_snapshot(struct node_metadata *md)
{
    struct snapshot snapshot = {.md = md, .epoch = meta_image_epoch(md->latest)};
    char path[PATH_SIZE];
    int64_t now_ms = env_wall_ms(md->opts.env);
    int64_t end_offset = meta_image_offset(md->latest) + 1;
    md->bytes_since_snapshot = 0;
    buf_init(&snapshot.out, SNAPSHOT_MAX);
    arena_reset(&md->scratch);
    enum err err = put_header(&snapshot, meta_image_timestamp_ms(md->latest), now_ms);
    if (err == ERR_OK)
        err = meta_snapshot_records(md->latest, &md->scratch, put_records, &snapshot);
    if (err == ERR_OK)
        err = put_footer(&snapshot, now_ms);
    snprintf(path, sizeof path, "%s/%020lld-%010d.checkpoint", md->dir, (long long)end_offset,
        (int)snapshot.epoch);
    if (err == ERR_OK)
        err = env_write_file_atomic(md->opts.env, path, buf_bytes(&snapshot.out));
    if (err == ERR_OK) {
        mutex_lock(&md->mutex);
        md->view.snapshots++;
        md->view.snapshot_bytes = (int64_t)snapshot.out.len;
        md->view.snapshot_ns = env_now_ns(md->opts.env);
        mutex_unlock(&md->mutex);
    }
    buf_fini(&snapshot.out);
    if (err != ERR_OK)
        diag_event(md->diag, DIAG_WARN, MODULE, "snapshot_failed", DIAG_ERR("cause", err));
    else
        diag_event(
            md->diag, DIAG_INFO, MODULE, "snapshot_written", DIAG_I64("end_offset", end_offset));
}

void
metadata_store_fini(struct node_metadata *md)
{
    mem_free(md->kraft_version.value);
    mem_free(md->kraft_voters.value);
    md->kraft_version = (struct metadata_control){NULL, 0};
    md->kraft_voters = (struct metadata_control){NULL, 0};
}
