/* node/metadata_replay.c - from what is on the disk to the first image: the newest snapshot that
 * can be read, and the log behind it.
 *
 * A snapshot that cannot be read is passed over where the log still reaches an older one, or its
 * own beginning; then it is set aside for people to look at (.corrupt), so that nothing is removed
 * for its sake. Otherwise the node does not start. Blocks; before the loop runs. */
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "meta/builder.h"
#include "node/metadata_priv.h"
#include "wire/batch.h"

enum {
    READ_BYTES = 8 << 20,
    PATH_SIZE = 4096,
    SCRATCH_BYTES = 16 << 20,
};

static const char MODULE[] = "metadata";

struct replay {
    struct node_metadata *md;
    struct meta_builder *builder;
    struct compress_ctx *compress;
    struct buf scratch;
    int64_t offset; /* of the last record */
    int32_t epoch;
    int64_t timestamp_ms;
    int64_t records;
    bool header, footer;  /* of a snapshot were met */
    int64_t contained_ms; /* the header's: when the last record of the log in it was written */
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

static enum err
take_header(struct replay *replay, struct bytes value)
{
    replay->header = true;
    return metadata_snapshot_header_parse(value, &replay->contained_ms);
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
        if (err == ERR_OK && type == BATCH_CONTROL_SNAPSHOT_HEADER)
            err = take_header(replay, record.value);
        else if (err == ERR_OK && type == BATCH_CONTROL_SNAPSHOT_FOOTER)
            replay->footer = true;
        else if (err == ERR_OK && type == BATCH_CONTROL_KRAFT_VERSION)
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
    if (replay->footer)
        return ERR_CORRUPT; /* nothing follows it */
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

/* Without the footer it was not written to its end, whatever its name says. */
static enum err
replay_file(struct replay *replay, const char *path)
{
    char *data;
    size_t len;
    size_t used;
    enum err err = env_read_file(replay->md->opts.env, path, METADATA_SNAPSHOT_MAX, &data, &len);
    if (err != ERR_OK)
        return err;
    err = replay_bytes(replay, (struct bytes){(const uint8_t *)data, len}, &used);
    if (err == ERR_OK && (used < len || !replay->header || !replay->footer))
        err = ERR_CORRUPT;
    mem_free(data);
    return err;
}

static enum err
replay_slice(struct replay *replay, const struct log_slice *slice)
{
    size_t n;
    size_t used = 0;
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
    replay->md->bytes_since_snapshot += (int64_t)used;
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

/* ---- snapshot, then log ---- */

/* As if nothing had been read. */
static enum err
replay_reset(struct replay *replay)
{
    metadata_store_fini(replay->md);
    meta_builder_free(&replay->builder);
    replay->offset = -1;
    replay->epoch = 0;
    replay->timestamp_ms = -1;
    replay->records = 0;
    replay->header = false;
    replay->footer = false;
    return meta_builder_new(replay->md->latest, &replay->builder);
}

static enum err
replay_snapshot(struct replay *replay, const struct metadata_snapshot *snapshot)
{
    char path[PATH_SIZE];
    metadata_snapshot_path(replay->md, snapshot, "", path, sizeof path);
    enum err err = replay_reset(replay);
    if (err == ERR_OK)
        err = replay_file(replay, path);
    replay->footer = false;
    /* Offsets and times inside are the file's own. */
    replay->offset = snapshot->end_offset - 1;
    replay->epoch = snapshot->epoch;
    replay->timestamp_ms = replay->contained_ms;
    return err;
}

/* The log was behind what its node had committed and lost its end since: the snapshot stands for
 * it, as for a follower that has just fetched one. */
static enum err
catch_up(struct node_metadata *md, const struct metadata_snapshot *snapshot)
{
    if (log_end_offset(md->log) >= snapshot->end_offset)
        return ERR_OK;
    diag_event(md->diag, DIAG_WARN, MODULE, "log_behind_snapshot",
        DIAG_I64("log_end_offset", log_end_offset(md->log)),
        DIAG_I64("snapshot_end_offset", snapshot->end_offset));
    enum err err = log_truncate_fully(md->log, snapshot->end_offset);
    return err == ERR_OK ? log_flush_now(md->log) : err;
}

/* Reads the newest snapshot that can be read; *from is where the log goes on. */
static enum err
replay_newest(struct replay *replay, int64_t *from)
{
    struct node_metadata *md = replay->md;
    int32_t i = md->snapshots.count - 1;
    enum err err = ERR_OK;

    *from = log_start_offset(md->log);
    for (; i >= 0 && md->snapshots.items[i].end_offset >= *from; i--) {
        const struct metadata_snapshot *snapshot = &md->snapshots.items[i];
        err = replay_snapshot(replay, snapshot);
        if (err == ERR_OK) {
            err = catch_up(md, snapshot);
            *from = snapshot->end_offset;
            return err == ERR_OK ? metadata_snapshots_set_aside(md, i + 1) : err;
        }
        if (err != ERR_CORRUPT && err != ERR_TRUNCATED)
            return err;
        diag_event(md->diag, DIAG_ERROR, MODULE, "snapshot_unreadable",
            DIAG_I64("end_offset", snapshot->end_offset), DIAG_I64("epoch", snapshot->epoch),
            DIAG_ERR("cause", err));
    }
    if (*from > 0) {
        diag_event(
            md->diag, DIAG_ERROR, MODULE, "snapshot_missing", DIAG_I64("log_start_offset", *from));
        return ERR_CORRUPT;
    }
    err = replay_reset(replay);
    return err == ERR_OK ? metadata_snapshots_set_aside(md, i + 1) : err;
}

static enum err
replay_all(struct replay *replay)
{
    int64_t from;
    enum err err = replay_newest(replay, &from);
    if (err == ERR_OK)
        err = replay_log(replay, from);
    return err;
}

static void
loaded(struct node_metadata *md, const struct replay *replay)
{
    diag_event(md->diag, DIAG_INFO, MODULE, "loaded", DIAG_I64("records", replay->records),
        DIAG_I64("offset", replay->offset), DIAG_I64("topics", meta_image_topic_count(md->latest)));
}

enum err
metadata_replay(struct node_metadata *md)
{
    struct replay replay = {.md = md};
    struct meta_image *image;
    struct meta_delta *delta;
    buf_init(&replay.scratch, SCRATCH_BYTES);
    enum err err = compress_ctx_new(&replay.compress);
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
        loaded(md, &replay);
    return err;
}
