/* What: opening, creating and closing a log.
 *
 * A clean open reads the directory, the length of each segment, and of the data only the last few
 * headers: everything else is loaded when it is first needed.
 * Threads: nobody else knows the log yet, or any more.
 * Errors: a disk that fails is an error; damaged data is a state (log_state). */
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/diag.h"
#include "log/log_priv.h"
#include "log/log_swap.h"

enum { METADATA_BYTES_MAX = 4096, HOST_FILES_OWN = 64 };

/* ---- what lies in the directory ---- */

struct listing {
    struct log_file_name *files; /* owned; by base offset */
    int32_t count, capacity;
    bool epochs, metadata, corrupt, unfinished;
    bool nomem;
};

static bool
listing_take(void *ctx, const char *name)
{
    struct listing *l = ctx;
    struct log_file_name file = log_file_name_parse(name);
    if (file.kind == LOG_FILE_OTHER) {
        l->epochs = l->epochs || strcmp(name, LOG_EPOCH_FILE) == 0;
        l->metadata = l->metadata || strcmp(name, LOG_METADATA_FILE) == 0;
        l->corrupt = l->corrupt || strcmp(name, LOG_CORRUPT_FILE) == 0;
        return true;
    }
    l->unfinished = l->unfinished || file.phase != LOG_FILE_PLAIN;
    if (l->count == l->capacity) {
        int32_t capacity = l->capacity == 0 ? 16 : l->capacity * 2;
        void *files = mem_realloc(l->files, (size_t)capacity * sizeof *l->files);
        if (files == NULL) {
            l->nomem = true;
            return false;
        }
        l->files = files;
        l->capacity = capacity;
    }
    l->files[l->count++] = file;
    return true;
}

static enum err
listing_read(struct log *log, struct listing *l)
{
    *l = (struct listing){0};
    enum err err = env_list_dir(log->env, log->home.dir, listing_take, l);
    if (err == ERR_OK && l->nomem)
        err = ERR_NOMEM;
    if (err != ERR_OK) {
        mem_free(l->files);
        l->files = NULL;
    }
    return err;
}

static enum err
add_segment(struct log *log, int64_t base_offset)
{
    char path[LOG_PATH_MAX];
    struct env_stat st;
    struct log_segment *seg;
    if (!log_file_path(path, log->home.dir, base_offset, LOG_FILE_LOG))
        return ERR_INVALID;
    enum err err = env_stat(log->env, path, &st);
    if (err == ERR_OK)
        err = segment_open(&log->home, base_offset, st.size_bytes, st.mtime_ms, &seg);
    if (err != ERR_OK)
        return err;
    err = log_segment_push(log, seg);
    if (err != ERR_OK) {
        segment_free(&seg);
        return err;
    }
    atomic_fetch_add(&log->size_bytes, st.size_bytes);
    return ERR_OK;
}

/* The index of a segment, or of none, which goes. */
static enum err
add_index(struct log *log, const struct log_file_name *file)
{
    char path[LOG_PATH_MAX];
    struct env_stat st;
    int32_t i = log_segment_floor(log, file->base_offset);
    if (!log_file_path(path, log->home.dir, file->base_offset, file->kind))
        return ERR_INVALID;
    if (i < 0 || log->segments[i]->base_offset != file->base_offset)
        return env_unlink(log->env, path);
    if (file->kind != LOG_FILE_TXNINDEX) {
        int which = file->kind == LOG_FILE_INDEX ? SEGMENT_INDEX_OFFSET : SEGMENT_INDEX_TIME;
        log->segments[i]->index[which].on_disk = true;
        return ERR_OK;
    }
    enum err err = env_stat(log->env, path, &st);
    if (err == ERR_OK)
        log->segments[i]->txn_size_bytes = st.size_bytes;
    return err;
}

/* Snapshots that belong to no segment go, but for the newest. */
static enum err
drop_stray_snapshots(struct log *log)
{
    for (int32_t n = log->snapshot_count - 2; n >= 0; n--) {
        int64_t offset = log->snapshots[n];
        char path[LOG_PATH_MAX];
        int32_t i = log_segment_floor(log, offset);
        if (i >= 0 && log->segments[i]->base_offset == offset)
            continue;
        if (!log_file_path(path, log->home.dir, offset, LOG_FILE_SNAPSHOT))
            return ERR_INVALID;
        enum err err = env_unlink(log->env, path);
        if (err != ERR_OK)
            return err;
        log_snapshot_forget(log, offset);
    }
    return ERR_OK;
}

static enum err
take_files(struct log *log, const struct listing *l)
{
    enum err err = ERR_OK;
    for (int32_t i = 0; i < l->count && err == ERR_OK; i++)
        if (l->files[i].kind == LOG_FILE_LOG)
            err = add_segment(log, l->files[i].base_offset);
    for (int32_t i = 0; i < l->count && err == ERR_OK; i++) {
        if (l->files[i].kind == LOG_FILE_SNAPSHOT)
            err = log_snapshot_note(log, l->files[i].base_offset);
        else if (l->files[i].kind != LOG_FILE_LOG)
            err = add_index(log, &l->files[i]);
    }
    return err == ERR_OK ? drop_stray_snapshots(log) : err;
}

enum err
log_remove_hidden(struct log *log)
{
    struct listing l;
    int64_t last = log->segment_count == 0 ? -1 : log_active(log)->base_offset;
    enum err err = listing_read(log, &l);
    for (int32_t i = 0; i < l.count && err == ERR_OK; i++) {
        char path[LOG_PATH_MAX];
        if (l.files[i].phase != LOG_FILE_PLAIN || l.files[i].base_offset <= last)
            continue;
        if (!log_file_path(path, log->home.dir, l.files[i].base_offset, l.files[i].kind))
            err = ERR_INVALID;
        else
            err = env_unlink(log->env, path);
        if (l.files[i].kind == LOG_FILE_SNAPSHOT)
            log_snapshot_forget(log, l.files[i].base_offset);
    }
    mem_free(l.files);
    return err;
}

/* ---- partition.metadata ---- */

/* One that cannot be read at all is not as good as none: the journal's entries go by the id. */
static enum err
metadata_read(struct log *log)
{
    static const char key[] = "topic_id: ";
    char path[LOG_PATH_MAX];
    char *text;
    size_t len;
    if (!log_file_in(log, path, LOG_METADATA_FILE))
        return ERR_INVALID;
    enum err err = env_read_file(log->env, path, METADATA_BYTES_MAX, &text, &len);
    if (err == ERR_LIMIT || err == ERR_NOTFOUND)
        text = NULL;
    else if (err != ERR_OK)
        return err;
    const char *at = text != NULL ? strstr(text, key) : NULL;
    if (at != NULL) {
        at += sizeof key - 1;
        size_t id_len = strcspn(at, "\r\n");
        struct uuid id;
        if (uuid_parse((struct str){at, id_len}, &id))
            log->topic_id = id;
    }
    mem_free(text);
    if (uuid_is_zero(log->topic_id))
        diag_event(env_diag(log->env), DIAG_WARN, "log", "partition_metadata_unreadable",
            DIAG_Z("path", path));
    return ERR_OK;
}

enum err
log_set_topic_id(struct log *log, struct uuid topic_id)
{
    ASSERT(!uuid_is_zero(topic_id));
    char path[LOG_PATH_MAX], id[UUID_TEXT_SIZE], text[64];
    struct env_file *file;
    if (!uuid_is_zero(log->topic_id))
        return uuid_eq(log->topic_id, topic_id) ? ERR_OK : ERR_WRONG_STATE;
    if (!log_file_in(log, path, LOG_METADATA_FILE))
        return ERR_INVALID;
    uuid_format(topic_id, id);
    int n = snprintf(text, sizeof text, "version: 0\ntopic_id: %s", id);
    enum err err =
        env_open(log->env, path, ENV_OPEN_WRITE | ENV_OPEN_CREATE | ENV_OPEN_TRUNCATE, &file);
    if (err == ERR_OK) {
        err = env_write_at(file, 0, (struct bytes){(const uint8_t *)text, (size_t)n});
        env_file_close(&file);
    }
    if (err != ERR_OK)
        return log_judge(log, err);
    log->topic_id = topic_id;
    log->metadata_dirty = true;
    log->dir_dirty = true;
    return ERR_OK;
}

/* ---- opening ---- */

static enum err
host_new(const char *dir, struct log_host **out)
{
    struct file_cache *files;
    struct log_host *host = mem_calloc(1, sizeof *host);
    if (host == NULL)
        return ERR_NOMEM;
    enum err err = file_cache_new(HOST_FILES_OWN, &files);
    char *copy = err == ERR_OK ? mem_strdup(dir) : NULL;
    if (copy == NULL) {
        if (err == ERR_OK)
            file_cache_free(&files);
        mem_free(host);
        return ERR_NOMEM;
    }
    host->dir = copy;
    host->files = files;
    *out = host;
    return ERR_OK;
}

static void
log_free(struct log *log)
{
    log_journal_let_go(log);
    for (int32_t i = 0; i < log->segment_count; i++)
        segment_free(&log->segments[i]);
    mem_free(log->segments);
    mem_free(log->snapshots);
    epoch_cache_fini(&log->epochs);
    producer_state_free(&log->producers);
    if (log->host_owned) {
        file_cache_free(&log->host->files);
        mem_free((char *)log->host->dir);
        mem_free(log->host);
    }
    mem_free(log->home.dir);
    mem_free(log->topic);
    mem_free(log);
}

static enum err
log_new(const struct log_open_opts *opts, struct log **out)
{
    char name[LOG_NAME_MAX + 1], path[LOG_PATH_MAX];
    int n = snprintf(name, sizeof name, "%.*s-%d", STR_FMT(opts->topic), opts->partition);
    if (n < 0 || (size_t)n >= sizeof name || !log_path_join(path, opts->parent_dir, name))
        return ERR_INVALID;
    struct log *log = mem_calloc(1, sizeof *log);
    if (log == NULL)
        return ERR_NOMEM;
    log->env = opts->env;
    log->config = *opts->config;
    log->partition = opts->partition;
    log->producer_expiration_ms = opts->producer_expiration_ms;
    log->topic = mem_strndup(opts->topic.data, opts->topic.len);
    log->home.dir = mem_strdup(path);
    log->host = opts->host;
    enum err err = log->topic == NULL || log->home.dir == NULL ? ERR_NOMEM : ERR_OK;
    if (err == ERR_OK && log->host == NULL) {
        err = host_new(opts->parent_dir, &log->host);
        log->host_owned = err == ERR_OK;
    }
    if (err != ERR_OK) {
        log_free(log);
        return err;
    }
    log->home.env = log->env;
    log->home.files = log->host->files;
    log->home.config = &log->config;
    log->home.settle_later = opts->settle_later;
    log->corrupt_offset = -1;
    atomic_store(&log->cleaned_end, opts->cleaned_end > 0 ? opts->cleaned_end : -1);
    log->txn_rebuild_from = INT64_MAX;
    log->flushed_ms = env_now_ms(log->env);
    epoch_cache_init(&log->epochs);
    log_cursors_clear(log);
    *out = log;
    return ERR_OK;
}

/* The directory's files become segments; half-done replacements are settled before. */
static enum err
find_files(struct log *log, struct listing *l, const struct log_open_opts *opts)
{
    enum err err = listing_read(log, l);
    if (err == ERR_NOTFOUND) {
        err = env_mkdir(log->env, log->home.dir);
        log->parent_dirty = true;
        log->name_number = atomic_fetch_add(&log->host->names_made, 1) + 1;
        log->dir_dirty = true;
    } else if (err == ERR_OK && l->unfinished) {
        mem_free(l->files);
        l->files = NULL;
        err = log_swap_settle(log->env, log->home.dir);
        if (err == ERR_OK)
            err = listing_read(log, l);
        log->dir_dirty = true;
    }
    if (err == ERR_OK)
        err = take_files(log, l);
    if (err == ERR_OK && log->segment_count == 0)
        err = log_segment_add_new(log, opts->start_offset > 0 ? opts->start_offset : 0);
    return err;
}

/* A segment that lost all it held. Only a cleaner leaves empty ones behind by right. */
static void
tell_empty_segments(const struct log *log, int64_t cleaned_end)
{
    for (int32_t i = 0; i + 1 < log->segment_count; i++) {
        int64_t next = log->segments[i + 1]->base_offset;
        /* The note of a round may be lost: segments were replaced before it was written. */
        if (log->segments[i]->size_bytes > 0 || next <= cleaned_end || log->config.cleanup_compact)
            continue;
        diag_event(env_diag(log->env), DIAG_ERROR, "log", "segment_lost",
            DIAG_Z("dir", log->home.dir), DIAG_I64("from_offset", log->segments[i]->base_offset),
            DIAG_I64("to_offset", next));
    }
}

static enum err
load_epochs(struct log *log, bool present)
{
    char path[LOG_PATH_MAX];
    enum err err = ERR_NOTFOUND;
    if (!log_file_in(log, path, LOG_EPOCH_FILE))
        return ERR_INVALID;
    if (present)
        err = epoch_cache_load(&log->epochs, log->env, path);
    if (err == ERR_CORRUPT || (err == ERR_NOTFOUND && log_size_bytes(log) > 0)) {
        diag_event(env_diag(log->env), DIAG_WARN, "log", "epochs_rebuilt",
            DIAG_Z("dir", log->home.dir), DIAG_ERR("cause", err));
        return log_epochs_rebuild(log);
    }
    return err == ERR_NOTFOUND ? ERR_OK : err;
}

/* Sets the end offset; recovers when it must. */
static enum err
find_end(struct log *log, const struct log_open_opts *opts, bool corrupt_marker)
{
    int64_t recovery_point = opts->recovery_point, durable_end = opts->high_watermark, marked = 0;
    int64_t end;
    bool clean = opts->clean;
    if (corrupt_marker && log_corrupt_marker_read(log, &marked))
        clean = false;
    if (recovery_point < durable_end)
        durable_end = recovery_point;
    if (marked > durable_end)
        durable_end = marked;
    if (marked > recovery_point)
        recovery_point = marked;
    if (clean) {
        enum err err = segment_end_offset(log_active(log), &end);
        if (err != ERR_OK && err != ERR_CORRUPT)
            return err;
        clean = err == ERR_OK && end >= durable_end;
        if (clean)
            atomic_store(&log->end_offset, end);
    }
    log->clean = clean;
    if (clean)
        return ERR_OK;
    struct log_recover_opts recover = {.recovery_point = recovery_point,
        .high_watermark = opts->high_watermark,
        .durable_end = durable_end,
        .cleaned_end = opts->cleaned_end,
        .gaps_are_losses = opts->gaps_are_losses};
    enum err err = log_recover(log, &recover);
    if (err == ERR_OK && log_state(log) == LOG_OPEN && log_end_offset(log) < recovery_point)
        /* Only the recovery point says that there was more, and a bit of it may have changed. */
        diag_event(env_diag(log->env), DIAG_WARN, "log", "end_below_recovery_point",
            DIAG_Z("dir", log->home.dir), DIAG_I64("end", log_end_offset(log)),
            DIAG_I64("recovery_point", recovery_point));
    return err;
}

/* Start, high watermark and recovery point within what there is. */
static enum err
settle_offsets(struct log *log, const struct log_open_opts *opts)
{
    int64_t end = log_end_offset(log), start = log->segments[0]->base_offset;
    if (opts->start_offset > start)
        start = opts->start_offset;
    bool beyond = start > end;
    atomic_store(&log->start_offset, beyond ? end : start);
    atomic_store(&log->high_watermark, beyond ? end : start);
    atomic_store(&log->recovery_point, log->clean ? end : atomic_load(&log->start_offset));
    log_set_high_watermark(log, opts->high_watermark);
    if (beyond && log_state(log) == LOG_OPEN) {
        /* All there was lies below the log start: nothing anybody may read is lost. */
        diag_event(env_diag(log->env), DIAG_WARN, "log", "end_below_start",
            DIAG_Z("dir", log->home.dir), DIAG_I64("end", end), DIAG_I64("start", start));
        enum err err = log_truncate_fully(log, start);
        if (err != ERR_OK)
            return err;
    }
    bool written = !epoch_cache_is_dirty(&log->epochs);
    epoch_cache_truncate_end(&log->epochs, log_end_offset(log));
    if (written) /* epochs without records stay in the file until there is something to say */
        log->epochs.version_written = log->epochs.version;
    epoch_cache_truncate_start(&log->epochs, log_start_offset(log));
    log_changed(log);
    return ERR_OK;
}

static enum err
open_files(struct log *log, const struct log_open_opts *opts)
{
    struct listing l = {0};
    enum err err = find_files(log, &l, opts);
    mem_free(l.files);
    if (err == ERR_OK)
        tell_empty_segments(log, opts->cleaned_end);
    if (err == ERR_OK && l.metadata)
        err = metadata_read(log);
    if (err == ERR_OK)
        err = load_epochs(log, l.epochs);
    if (err == ERR_OK)
        err = find_end(log, opts, l.corrupt);
    if (err == ERR_OK)
        err = settle_offsets(log, opts);
    if (err == ERR_OK && !log->clean) {
        err = log_producers_load(log); /* also rebuilds the transaction indexes */
        log->txn_rebuild_from = INT64_MAX;
        /* Empty ones have nothing to lose, but what was cut off must be gone before new data. */
        if (err == ERR_OK && (log_end_offset(log) > 0 || log_active(log)->dirty_file != NULL)) {
            log->unsettled = log->home.settle_later;
            if (!log->unsettled)
                err = log_flush_now(log);
        }
        if (err == ERR_OK && !log->unsettled)
            err = log_unsynced_marker_clear(log);
    }
    return err;
}

enum err
log_open(const struct log_open_opts *opts, struct log **out)
{
    struct log *log;
    ASSERT(opts->recovery_point >= 0 && opts->start_offset >= 0 && opts->high_watermark >= 0);
    enum err err = log_new(opts, &log);
    if (err != ERR_OK)
        return err;
    err = open_files(log, opts);
    if (err != ERR_OK) {
        log_free(log);
        return err;
    }
    /* Most logs are idle; descriptors are for those that are not. */
    for (int32_t i = 0; i < log->segment_count; i++) {
        segment_let_go(log->segments[i]);
        /* That volume is open since before anything was written here: its sync tells of errors. */
        if (log->unsettled && log->segments[i]->dirty_file != NULL)
            env_file_close(&log->segments[i]->dirty_file);
    }
    log_durable_reset(log);
    log->size_noted = log_size_bytes(log);
    log_check(log);
    *out = log;
    return ERR_OK;
}

/* ---- closing ---- */

static enum err
sync_index(struct log_segment *seg, enum segment_index which)
{
    if (!seg->index[which].unsynced)
        return ERR_OK;
    struct env_file *file = file_cache_get(seg->home->files, &seg->index[which].slot);
    if (file == NULL)
        return ERR_OK; /* let go of long ago; implausible ones are rebuilt */
    enum err err = env_sync(file);
    env_file_close(&file);
    return err;
}

/* For a segment without batches that lost its index, or never had one. */
static enum err
create_missing_index(struct log *log)
{
    struct log_segment *seg = log_active(log);
    if (seg->size_bytes > 0 || seg->index[SEGMENT_INDEX_OFFSET].on_disk)
        return ERR_OK;
    log->dir_dirty = true;
    return segment_index_create(seg);
}

enum err
log_close_begin(struct log *log, bool *dirty)
{
    enum err err = log_state(log) == LOG_FAILED ? ERR_FAILED : ERR_OK;
    ASSERT(!log->flushing || err != ERR_OK); /* a log that failed is left in the midst of a flush */
    bool corrupt = atomic_load(&log->state) == LOG_CORRUPT;
    /* A corrupt log's files are evidence: they stay as they are. */
    if (err == ERR_OK && !corrupt)
        err = segment_seal(log_active(log));
    if (err == ERR_OK && !corrupt)
        err = create_missing_index(log);
    if (err == ERR_OK && !corrupt && log->producers != NULL)
        err = log_snapshot_write(log, log_end_offset(log));
    if (err == ERR_OK && !corrupt && epoch_cache_has_news(&log->epochs, log_end_offset(log)))
        log->dir_dirty = true;
    const struct segment_index_state *index = log_active(log)->index;
    *dirty = log_flush_needed(log) || index[SEGMENT_INDEX_OFFSET].unsynced ||
             index[SEGMENT_INDEX_TIME].unsynced;
    return err;
}

enum err
log_close_sync(struct log *log)
{
    enum err err = log_flush_needed(log) ? log_flush_now(log) : ERR_OK;
    if (err == ERR_OK)
        err = sync_index(log_active(log), SEGMENT_INDEX_OFFSET);
    if (err == ERR_OK)
        err = sync_index(log_active(log), SEGMENT_INDEX_TIME);
    return err;
}

enum err
log_close(struct log **log)
{
    bool dirty;
    enum err err = log_close_begin(*log, &dirty);
    if (err == ERR_OK && dirty)
        err = log_close_sync(*log);
    log_free(*log);
    *log = NULL;
    return err;
}

void
log_abandon(struct log **log)
{
    if (*log == NULL)
        return;
    log_free(*log);
    *log = NULL;
}
