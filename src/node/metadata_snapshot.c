/* node/metadata_snapshot.c - snapshots of the metadata: written on the pool, found again, and the
 * log cut behind them.
 *
 * Files (Apache's): %020d-%010d.checkpoint, the offset after the last record in it and that one's
 * epoch; .checkpoint.deleted a minute before it goes; .checkpoint.tmp while it is written (gone at
 * the next start); .checkpoint.corrupt when it could not be read.
 *
 * When: one is written when so many bytes were committed since the last one, or so much time has
 * passed and anything was. Then, and once a minute, old ones go by size and age as in Apache Kafka:
 * the oldest but never the newest, and with it the log before the next one.
 *
 * Invariants: S1 `items` are what lies in the directory, oldest first, each whole and durable. S2
 * the log start is never above the newest one's end: what is cut off is in a durable snapshot. So a
 * crash between any two steps loses nothing: log start, segments and snapshots go in this order,
 * and whatever of it did not happen is done again.
 *
 * Threads: the metadata loop; building and writing on the pool, from an image nobody changes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "meta/snapshot.h"
#include "node/metadata_priv.h"
#include "proto/snapshot_footer_record.h"
#include "proto/snapshot_header_record.h"
#include "wire/batch.h"

enum {
    PATH_SIZE = 4096,
    HEADER_READ_BYTES = 16 << 10,
    CONTROL_VALUE_MAX = 64,
    SCRATCH_BYTES = 64 << 20,
    CLEAN_INTERVAL_MS = 60000,
    NAME_NUMBERS = 31, /* %020d-%010d */
};

static const char MODULE[] = "metadata";
static const char SUFFIX[] = ".checkpoint";

/* ---- the file ---- */

/* Records as the file of a snapshot: header, batches, footer. */
struct writing {
    struct node_metadata *md;
    struct buf out;
    int64_t offset;
    int32_t epoch;
};

static enum err
put_batch(struct writing *w, const struct batch_builder_record *records, int count, bool control)
{
    struct batch_builder builder;
    struct batch_builder_opts opts = BATCH_BUILDER_OPTS_DEFAULT;
    opts.base_offset = w->offset;
    opts.leader_epoch = w->epoch;
    opts.control = control;
    batch_builder_init(&builder, &opts, &w->out);
    for (int i = 0; i < count; i++)
        batch_builder_append(&builder, &records[i]);
    w->offset += count;
    return batch_builder_finish(&builder);
}

static enum err
put_control(struct writing *w, enum batch_control_type type, const struct proto_schema *schema,
    const void *message, int64_t timestamp_ms)
{
    uint8_t key[BATCH_CONTROL_KEY_SIZE];
    struct writer value;
    writer_init(&value, CONTROL_VALUE_MAX);
    enum err err = proto_encode(schema, 0, message, &value);
    batch_control_key_write(key, type);
    if (err == ERR_OK)
        err = put_batch(w,
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
put_header(struct writing *w, int64_t last_timestamp_ms, int64_t now_ms)
{
    struct proto_snapshot_header_record header = {
        .version = 0, .last_contained_log_timestamp = last_timestamp_ms};
    const struct metadata_control *controls[] = {&w->md->kraft_version, &w->md->kraft_voters};
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
        err = put_batch(w, records, count, true);
    writer_fini(&value);
    return err;
}

static enum err
put_footer(struct writing *w, int64_t now_ms)
{
    struct proto_snapshot_footer_record footer = {.version = 0};
    return put_control(
        w, BATCH_CONTROL_SNAPSHOT_FOOTER, &proto_snapshot_footer_record_schema, &footer, now_ms);
}

enum err
metadata_snapshot_header_parse(struct bytes value, int64_t *contained_ms)
{
    struct proto_snapshot_header_record header;
    struct arena arena;
    struct reader r;

    arena_init(&arena, CONTROL_VALUE_MAX);
    reader_init(&r, value);
    proto_init(&proto_snapshot_header_record_schema, &header);
    enum err err = proto_decode(&proto_snapshot_header_record_schema, 0, &r, &arena, &header);
    arena_fini(&arena);
    if (err == ERR_OK)
        *contained_ms = header.last_contained_log_timestamp;
    return err;
}

/* What a formatting tool writes for the first leader. Once the records are in the log nobody needs
 * the file, so that its name may be durable at any time, if only the file is whole then. */
enum err
metadata_snapshot_write_records(
    struct node_metadata *md, const char *path, const struct meta_records *records, int64_t now_ms)
{
    struct writing w = {.md = md};
    buf_init(&w.out, METADATA_SNAPSHOT_MAX);
    enum err err = put_header(&w, 0, now_ms);
    if (err == ERR_OK)
        err = put_records(&w, records);
    if (err == ERR_OK)
        err = put_footer(&w, now_ms);
    if (err == ERR_OK)
        err = env_put_file(md->opts.env, path, buf_bytes(&w.out));
    buf_fini(&w.out);
    return err;
}

static enum err
write_image(struct writing *w, const struct meta_image *image, const char *path)
{
    struct env *env = w->md->opts.env;
    int64_t now_ms = env_wall_ms(env);
    struct arena arena;

    arena_init(&arena, SCRATCH_BYTES);
    enum err err = put_header(w, meta_image_timestamp_ms(image), now_ms);
    if (err == ERR_OK)
        err = meta_snapshot_records(image, &arena, put_records, w);
    if (err == ERR_OK)
        err = put_footer(w, now_ms);
    arena_fini(&arena);
    return err == ERR_OK ? env_write_file_atomic(env, path, buf_bytes(&w->out)) : err;
}

/* ---- what lies in the directory ---- */

void
metadata_snapshot_path(const struct node_metadata *md, const struct metadata_snapshot *snapshot,
    const char *more, char *out, size_t size)
{
    snprintf(out, size, "%s/%020lld-%010d%s%s", md->dir, (long long)snapshot->end_offset,
        (int)snapshot->epoch, SUFFIX, more);
}

/* After the numbers: "", ".deleted", ...; NULL when it is no such name. */
static const char *
name_parse(const char *name, struct metadata_snapshot *out)
{
    char *end;
    if (strlen(name) < NAME_NUMBERS + sizeof SUFFIX - 1 || name[20] != '-' ||
        strncmp(name + NAME_NUMBERS, SUFFIX, sizeof SUFFIX - 1) != 0)
        return NULL;
    *out = (struct metadata_snapshot){.end_offset = strtoll(name, &end, 10)};
    if (end != name + 20 || out->end_offset < 0)
        return NULL;
    out->epoch = (int32_t)strtol(name + 21, &end, 10);
    return end == name + NAME_NUMBERS && out->epoch >= 0 ? end + sizeof SUFFIX - 1 : NULL;
}

/* The age that retention goes by; INT64_MAX (it stays) when the file does not say. */
static int64_t
read_contained_ms(struct node_metadata *md, const char *path)
{
    struct env_file *file;
    struct batch_view batch;
    struct batch_iter iter;
    struct batch_record record;
    enum batch_control_type type;
    int64_t found = INT64_MAX;
    size_t n = 0;
    uint8_t *data = mem_alloc(HEADER_READ_BYTES);
    if (data == NULL || env_open(md->opts.env, path, ENV_OPEN_READ, &file) != ERR_OK) {
        mem_free(data);
        return found;
    }
    enum err err = env_read_at(file, 0, data, HEADER_READ_BYTES, &n);
    env_file_close(&file);
    if (err == ERR_OK)
        err = batch_parse((struct bytes){data, n}, &batch);
    if (err == ERR_OK && (!batch_crc_ok(&batch) || batch_codec(&batch) != 0))
        err = ERR_CORRUPT;
    if (err == ERR_OK)
        err = batch_iter_init(&iter, &batch, NULL, NULL);
    if (err == ERR_OK && batch_iter_next(&iter, &record) &&
        batch_control_key_parse(record.key, &type) == ERR_OK &&
        type == BATCH_CONTROL_SNAPSHOT_HEADER &&
        metadata_snapshot_header_parse(record.value, &found) != ERR_OK)
        found = INT64_MAX;
    mem_free(data);
    return found;
}

static bool
push(struct metadata_snapshots *all, const struct metadata_snapshot *snapshot)
{
    if (all->count == all->capacity) {
        int32_t capacity = all->capacity == 0 ? 8 : all->capacity * 2;
        void *items = mem_realloc(all->items, (size_t)capacity * sizeof *all->items);
        if (items == NULL)
            return false;
        all->items = items;
        all->capacity = capacity;
    }
    ASSERT(
        all->count == 0 || all->items[all->count - 1].end_offset <= snapshot->end_offset); /* S1 */
    all->items[all->count++] = *snapshot;
    return true;
}

struct finding {
    struct node_metadata *md;
    enum err err;
};

/* Names come sorted, so snapshots come oldest first. */
static bool
find_one(void *ctx, const char *name)
{
    struct finding *finding = ctx;
    struct node_metadata *md = finding->md;
    struct metadata_snapshot snapshot;
    struct env_stat st;
    char path[PATH_SIZE];
    const char *more = name_parse(name, &snapshot);
    if (more == NULL)
        return true;
    metadata_snapshot_path(md, &snapshot, more, path, sizeof path);
    if (strcmp(more, ".deleted") == 0 || strcmp(more, ".tmp") == 0 || strcmp(more, ".part") == 0)
        finding->err = env_unlink(md->opts.env, path);
    if (more[0] != '\0')
        return finding->err == ERR_OK;
    finding->err = env_stat(md->opts.env, path, &st);
    if (finding->err != ERR_OK)
        return false;
    snapshot.size_bytes = st.size_bytes;
    snapshot.contained_ms = read_contained_ms(md, path);
    if (!push(&md->snapshots, &snapshot))
        finding->err = ERR_NOMEM;
    return finding->err == ERR_OK;
}

enum err
metadata_snapshots_find(struct node_metadata *md)
{
    struct finding finding = {.md = md};
    enum err err = env_list_dir(md->opts.env, md->dir, find_one, &finding);
    return err == ERR_OK ? finding.err : err;
}

static enum err
rename_one(struct node_metadata *md, const struct metadata_snapshot *snapshot, const char *more)
{
    char from[PATH_SIZE], to[PATH_SIZE];
    metadata_snapshot_path(md, snapshot, "", from, sizeof from);
    metadata_snapshot_path(md, snapshot, more, to, sizeof to);
    return env_rename(md->opts.env, from, to);
}

enum err
metadata_snapshots_set_aside(struct node_metadata *md, int32_t first)
{
    struct metadata_snapshots *all = &md->snapshots;
    enum err err = ERR_OK;
    ASSERT(first >= 0 && first <= all->count);
    while (err == ERR_OK && all->count > first)
        err = rename_one(md, &all->items[--all->count], ".corrupt");
    return err;
}

/* ---- cleaning ---- */

static void
forget_oldest(struct node_metadata *md)
{
    struct metadata_snapshots *all = &md->snapshots;
    ASSERT(all->count >= 2);
    enum err err = rename_one(md, &all->items[0], ".deleted");
    if (err != ERR_OK)
        diag_event(md->diag, DIAG_WARN, MODULE, "snapshot_not_deleted", DIAG_ERR("cause", err),
            DIAG_I64("end_offset", all->items[0].end_offset));
    memmove(all->items, all->items + 1, (size_t)(all->count - 1) * sizeof *all->items);
    all->count--;
}

static bool
is_too_much(const struct node_metadata *md)
{
    int64_t total = log_size_bytes(md->log);
    if (md->opts.retention_bytes < 0)
        return false;
    for (int32_t i = 0; i < md->snapshots.count; i++)
        total += md->snapshots.items[i].size_bytes;
    return total > md->opts.retention_bytes;
}

static bool
is_too_old(const struct node_metadata *md, const struct metadata_snapshot *snapshot)
{
    return md->opts.retention_ms >= 0 && snapshot->contained_ms != INT64_MAX &&
           env_wall_ms(md->opts.env) - snapshot->contained_ms > md->opts.retention_ms;
}

/* S2: the next one is there. */
static enum err
cut_log(struct node_metadata *md, const struct metadata_snapshot *next)
{
    int32_t deleted;
    if (log_start_offset(md->log) >= next->end_offset)
        return ERR_OK;
    enum err err = log_start_advance(md->log, next->end_offset);
    return err == ERR_OK ? log_retain(md->log, &deleted) : err;
}

static void
clean(struct node_metadata *md)
{
    struct metadata_snapshots *all = &md->snapshots;
    int64_t start = log_start_offset(md->log);
    int32_t before = all->count;
    while (all->count >= 2 && all->items[1].end_offset <= log_high_watermark(md->log) &&
           (is_too_much(md) || is_too_old(md, &all->items[0]))) {
        enum err err = cut_log(md, &all->items[1]);
        if (err != ERR_OK) {
            diag_event(md->diag, DIAG_ERROR, MODULE, "log_not_cut", DIAG_ERR("cause", err));
            return;
        }
        forget_oldest(md);
    }
    if (all->count < before)
        diag_event(md->diag, DIAG_INFO, MODULE, "cleaned",
            DIAG_I64("snapshots_deleted", before - all->count),
            DIAG_I64("log_start_offset_before", start),
            DIAG_I64("log_start_offset", log_start_offset(md->log)));
}

static bool
unlink_deleted(void *ctx, const char *name)
{
    struct node_metadata *md = ctx;
    struct metadata_snapshot snapshot;
    char path[PATH_SIZE];
    const char *more = name_parse(name, &snapshot);
    if (more == NULL || strcmp(more, ".deleted") != 0)
        return true;
    metadata_snapshot_path(md, &snapshot, more, path, sizeof path);
    return env_unlink(md->opts.env, path) == ERR_OK;
}

/* ---- writing ---- */

static void
write_run(struct pool_work *work)
{
    struct metadata_snapshots *all = CONTAINER_OF(work, struct metadata_snapshots, work);
    struct node_metadata *md = CONTAINER_OF(all, struct node_metadata, snapshots);
    struct writing w = {.md = md, .epoch = all->writing.epoch};
    char path[PATH_SIZE];

    buf_init(&w.out, METADATA_SNAPSHOT_MAX);
    metadata_snapshot_path(md, &all->writing, "", path, sizeof path);
    all->err = write_image(&w, all->image, path);
    all->writing.size_bytes = (int64_t)w.out.len;
    buf_fini(&w.out);
    loop_post(md->loop, &all->done);
}

static void
write_done(struct loop_task *task)
{
    struct metadata_snapshots *all = CONTAINER_OF(task, struct metadata_snapshots, done);
    struct node_metadata *md = CONTAINER_OF(all, struct node_metadata, snapshots);
    all->running = false;
    meta_image_unref(&all->image);
    if (all->err == ERR_OK && !push(all, &all->writing))
        all->err = ERR_NOMEM; /* it is found at the next start */
    if (all->err != ERR_OK) {
        diag_event(md->diag, DIAG_WARN, MODULE, "snapshot_failed", DIAG_ERR("cause", all->err));
        return;
    }
    diag_event(md->diag, DIAG_INFO, MODULE, "snapshot_written",
        DIAG_I64("end_offset", all->writing.end_offset),
        DIAG_I64("bytes", all->writing.size_bytes));
    mutex_lock(&md->mutex);
    md->view.snapshots++;
    md->view.snapshot_bytes = all->writing.size_bytes;
    md->view.snapshot_ns = env_now_ns(md->opts.env);
    mutex_unlock(&md->mutex);
    clean(md);
}

/* Of what is committed, unless there is one already. */
static void
write_begin(struct node_metadata *md)
{
    struct metadata_snapshots *all = &md->snapshots;
    struct meta_image *image = md->committed; /* only this loop changes which one it is */
    int64_t end_offset = meta_image_offset(image) + 1;
    if (all->running || (all->count > 0 && all->items[all->count - 1].end_offset >= end_offset) ||
        end_offset <= 0)
        return;
    md->bytes_since_snapshot = 0;
    all->written_ms = env_now_ms(md->opts.env);
    all->writing = (struct metadata_snapshot){.end_offset = end_offset,
        .epoch = meta_image_epoch(image),
        .contained_ms = meta_image_timestamp_ms(image)};
    meta_image_ref(image);
    all->image = image;
    all->running = true;
    all->work = (struct pool_work){.run = write_run};
    list_init(&all->work.link);
    loop_task_init(&all->done, write_done);
    pool_submit(md->opts.pool, &all->work);
}

void
metadata_snapshots_committed(struct node_metadata *md)
{
    if (md->bytes_since_snapshot > md->opts.snapshot_bytes)
        write_begin(md);
}

static void
arm(struct node_metadata *md)
{
    int64_t delay_ms = md->opts.snapshot_interval_ms;
    if (delay_ms <= 0 || delay_ms > CLEAN_INTERVAL_MS)
        delay_ms = CLEAN_INTERVAL_MS;
    if (loop_timer_start(&md->snapshots.timer, delay_ms) != ERR_OK)
        diag_event(md->diag, DIAG_ERROR, MODULE, "snapshot_timer_lost");
}

static void
on_timer(struct loop_timer *timer)
{
    struct metadata_snapshots *all = CONTAINER_OF(timer, struct metadata_snapshots, timer);
    struct node_metadata *md = CONTAINER_OF(all, struct node_metadata, snapshots);
    int64_t now_ms = env_now_ms(md->opts.env);
    if (md->opts.snapshot_interval_ms > 0 &&
        now_ms - all->written_ms >= md->opts.snapshot_interval_ms)
        write_begin(md);
    if (now_ms - all->cleaned_ms >= CLEAN_INTERVAL_MS) {
        all->cleaned_ms = now_ms;
        /* Those renamed up to a minute ago; what fails is tried again. */
        enum err err = env_list_dir(md->opts.env, md->dir, unlink_deleted, md);
        if (err != ERR_OK)
            diag_event(md->diag, DIAG_WARN, MODULE, "delete_failed", DIAG_ERR("cause", err));
        clean(md);
    }
    arm(md);
}

void
metadata_snapshots_start(struct node_metadata *md)
{
    struct metadata_snapshots *all = &md->snapshots;
    all->written_ms = env_now_ms(md->opts.env);
    all->cleaned_ms = all->written_ms;
    loop_timer_init(&all->timer, md->loop, on_timer);
    arm(md);
}

void
metadata_snapshots_fini(struct node_metadata *md)
{
    struct metadata_snapshots *all = &md->snapshots;
    if (all->image != NULL)
        meta_image_unref(&all->image);
    mem_free(all->items);
    all->items = NULL;
    all->count = 0;
    all->capacity = 0;
}
