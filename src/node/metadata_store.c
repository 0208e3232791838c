/* node/metadata_store.c - the disk side of the metadata: opening, appending, one flush at a time on
 * the pool, quorum-state and bootstrap files.
 *
 * Files (Apache's): __cluster_metadata-0/ with segments, quorum-state and snapshots
 * (metadata_snapshot.c), and bootstrap.checkpoint beside it. On the metadata loop, but for the
 * flush's run on the pool. */
#include <stdio.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "node/metadata_priv.h"

enum {
    STATE_MAX = 64 << 10,
    PATH_SIZE = 4096,
    MESSAGE_BYTES_MAX = 8 << 20,
    FLUSH_DELAY_MIN_MS = 10,
    FLUSH_DELAY_MAX_MS = 1000,
};

static const char MODULE[] = "metadata";

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
    config.retention_ms = -1; /* what goes is decided by snapshots */
    config.retention_bytes = -1;
    config.segment_bytes = md->opts.segment_bytes;
    config.segment_ms = md->opts.segment_ms;
    config.max_message_bytes = MESSAGE_BYTES_MAX;
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
    /* What is read below counts as committed. A new log's files get durable names with its first
     * flush, or with the vote. */
    if (log_end_offset(md->log) > 0)
        err = log_flush_now(md->log);
    if (err == ERR_OK)
        err = load_state(md, state, has_state);
    if (err == ERR_OK && !*has_state && log_end_offset(md->log) > 0)
        diag_event(md->diag, DIAG_WARN, MODULE, "quorum_state_missing", DIAG_Z("dir", md->dir));
    if (err == ERR_OK)
        err = metadata_snapshots_find(md);
    return err == ERR_OK ? metadata_replay(md) : err;
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

/* Nothing is in doubt, and nothing is gained by asking at once: later, and later yet each time. */
static void
flush_later(struct node_metadata *md)
{
    struct metadata_flush *flush = &md->flush;
    if (md->settle.asked)
        return;
    flush->delay_ms = flush->delay_ms == 0 ? FLUSH_DELAY_MIN_MS : flush->delay_ms * 2;
    if (flush->delay_ms > FLUSH_DELAY_MAX_MS)
        flush->delay_ms = FLUSH_DELAY_MAX_MS;
    diag_event(md->diag, DIAG_WARN, MODULE, "flush_delayed", DIAG_I64("ms", flush->delay_ms));
    if (loop_timer_start(&flush->retry, flush->delay_ms) != ERR_OK)
        raft_flush_failed(md->raft);
}

static void
on_retry(struct loop_timer *timer)
{
    struct metadata_flush *flush = CONTAINER_OF(timer, struct metadata_flush, retry);
    struct node_metadata *md = CONTAINER_OF(flush, struct node_metadata, flush);
    if (!md->settle.asked)
        start_flush(md);
}

void
metadata_store_start(struct node_metadata *md)
{
    loop_timer_init(&md->flush.retry, md->loop, on_retry);
}

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
    enum err err = log_flush_end(md->log, &flush->flush, flush->err);
    if (err == ERR_LIMIT && !md->settle.asked) { /* out of descriptors */
        flush_later(md);
        return;
    }
    flush->delay_ms = 0;
    if (err != ERR_OK) {
        raft_flush_failed(md->raft);
        if (md->settle.asked)
            loop_post(md->settle.loop, md->settle.settled);
        metadata_view_update(md);
        return;
    }
    log_set_high_watermark(md->log, offset);
    raft_flushed(md->raft, offset);
    if (md->settle.asked)
        loop_post(md->settle.loop, md->settle.settled);
    else if (flush->again)
        start_flush(md);
    metadata_view_update(md);
}

static void
start_flush(struct node_metadata *md)
{
    struct metadata_flush *flush = &md->flush;
    flush->again = false;
    enum err err = log_flush_begin(md->log, &flush->flush);
    if (err == ERR_LIMIT || err == ERR_NOMEM) {
        flush_later(md);
        return;
    }
    if (err != ERR_OK) {
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
    else if (!md->settle.asked && !loop_timer_running(&md->flush.retry))
        start_flush(md);
}

static void
settle_asked(struct loop_task *task)
{
    struct node_metadata *md = CONTAINER_OF(task, struct node_metadata, settle.ask);
    md->settle.asked = true;
    if (!md->flush.running)
        loop_post(md->settle.loop, md->settle.settled);
}

void
node_metadata_settle(struct node_metadata *metadata, struct loop *loop, struct loop_task *settled)
{
    metadata->settle.loop = loop;
    metadata->settle.settled = settled;
    loop_task_init(&metadata->settle.ask, settle_asked);
    loop_post(metadata->loop, &metadata->settle.ask);
}

/* ---- a new cluster ---- */

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
    return metadata_snapshot_write_records(md, path, records, now_ms);
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

void
metadata_store_fini(struct node_metadata *md)
{
    mem_free(md->kraft_version.value);
    mem_free(md->kraft_voters.value);
    md->kraft_version = (struct metadata_control){NULL, 0};
    md->kraft_voters = (struct metadata_control){NULL, 0};
}
