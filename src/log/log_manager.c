/* What: the log directories of a node, and the table of its logs.
 *
 * Invariants: I1 every log in the table has its own directory on disk, in exactly one log dir.
 * I2 the clean marker is gone from a directory, and the mark of use there, before anything may be
 * appended; the other way round only after all its logs closed well.
 * Threads: log_manager.h. Lock order: mutex (LOG_MANAGER) before partitions' locks; queue_mutex and
 * the file cache's below all.
 * Errors: a failing directory goes offline, its logs refuse, the rest goes on. */
#include "log/log_manager.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/diag.h"
#include "log/log_manager_priv.h"
#include "log/log_priv.h"

enum { OPEN_FILES_DEFAULT = 512 };

bool
log_key(char out[LOG_KEY_SIZE], struct str topic, int32_t partition)
{
    int n = snprintf(out, LOG_KEY_SIZE, "%.*s-%d", STR_FMT(topic), partition);
    return n > 0 && n < LOG_KEY_SIZE;
}

/* ---- ports of the logs ---- */

static void
host_failed(struct log_host *host, enum err err)
{
    struct managed_dir *dir = CONTAINER_OF(host, struct managed_dir, host);
    struct log_manager *mgr = dir->mgr;
    diag_event(env_diag(mgr->env), DIAG_ERROR, "log", "dir_offline", DIAG_Z("dir", dir->path),
        DIAG_ERR("cause", err));
    if (mgr->opts.dir_failed != NULL)
        mgr->opts.dir_failed(mgr->opts.ctx, dir->path, dir->id, err);
}

static void
host_cannot_mark(struct log_host *host)
{
    struct managed_dir *dir = CONTAINER_OF(host, struct managed_dir, host);
    log_dir_note_doubt(dir->mgr, dir);
}

static void
host_delete_later(struct log_host *host, const char *path, int64_t delay_ms)
{
    log_deletes_push(CONTAINER_OF(host, struct managed_dir, host)->mgr, path, false, delay_ms);
}

/* ---- open and close ---- */

static void
manager_free(struct log_manager *mgr)
{
    struct managed_log *entry, *next;
    HASH_ITER (hh, mgr->logs, entry, next) {
        HASH_DEL(mgr->logs, entry);
        log_abandon(&entry->log);
        mem_free(entry);
    }
    log_abandon(&mgr->metadata_log);
    log_deletes_free(mgr);
    for (int i = 0; i < mgr->dir_count; i++) {
        log_journal_free(&mgr->dirs[i].host.journal);
        log_redo_free(&mgr->dirs[i].host.redo);
        log_dir_close(&mgr->dirs[i]);
    }
    mem_free(mgr->dirs);
    file_cache_free(&mgr->files);
    mutex_fini(&mgr->checkpoint_mutex);
    mutex_fini(&mgr->mutex);
    mutex_fini(&mgr->queue_mutex);
    mem_free(mgr->cluster_id);
    mem_free(mgr);
}

static enum err
manager_new(const struct log_manager_opts *opts, struct log_manager **out)
{
    struct log_manager *mgr = mem_calloc(1, sizeof *mgr);
    if (mgr == NULL)
        return ERR_NOMEM;
    mgr->env = opts->env;
    mgr->opts = *opts;
    mgr->opts.dirs = NULL;
    mgr->opts.cluster_id = STR_NULL;
    mgr->previous_broker_epoch = -1;
    mutex_init(&mgr->checkpoint_mutex, MUTEX_RANK_CHECKPOINTS);
    mutex_init(&mgr->mutex, MUTEX_RANK_LOG_MANAGER);
    mutex_init(&mgr->queue_mutex, MUTEX_RANK_LEAF);
    list_init(&mgr->deletes);
    enum err err = file_cache_new(
        opts->open_files_max > 0 ? opts->open_files_max : OPEN_FILES_DEFAULT, &mgr->files);
    if (err == ERR_OK)
        mgr->dirs = mem_calloc((size_t)opts->dir_count, sizeof *mgr->dirs);
    if (mgr->dirs == NULL)
        err = ERR_NOMEM;
    if (err == ERR_OK && !str_is_null(opts->cluster_id)) {
        mgr->cluster_id = mem_strndup(opts->cluster_id.data, opts->cluster_id.len);
        err = mgr->cluster_id == NULL ? ERR_NOMEM : ERR_OK;
    }
    for (int i = 0; i < opts->dir_count && err == ERR_OK; i++) {
        struct managed_dir *dir = &mgr->dirs[i];
        mgr->dir_count = i + 1;
        dir->mgr = mgr;
        dir->path = mem_strdup(opts->dirs[i]);
        dir->host = (struct log_host){.dir = dir->path,
            .files = mgr->files,
            .failed = host_failed,
            .cannot_mark = host_cannot_mark,
            .delete_later = host_delete_later,
            .stale = LOG_HOST_STALE_ALL};
        err = dir->path == NULL ? ERR_NOMEM : ERR_OK;
    }
    if (err != ERR_OK) {
        manager_free(mgr);
        return err;
    }
    *out = mgr;
    return ERR_OK;
}

/* Directories that cannot be used are offline; ERR_IO when that is all of them. */
static enum err
open_dirs(struct log_manager *mgr, char *explanation)
{
    int usable = 0;
    bool clean = true;
    for (int i = 0; i < mgr->dir_count; i++) {
        struct managed_dir *dir = &mgr->dirs[i];
        enum err err = log_dir_open(mgr, dir, explanation);
        if (err == ERR_BUSY || err == ERR_INVALID || err == ERR_NOMEM)
            return err;
        if (err != ERR_OK) {
            atomic_store(&dir->host.offline, true);
            snprintf(explanation, LOG_MANAGER_ERROR_SIZE, "log directory %.300s: %s", dir->path,
                err_text(err));
            host_failed(&dir->host, err);
            continue;
        }
        usable++;
        clean = clean && dir->clean;
        if (dir->broker_epoch > mgr->previous_broker_epoch)
            mgr->previous_broker_epoch = dir->broker_epoch;
    }
    if (!clean)
        mgr->previous_broker_epoch = -1;
    for (int i = 0; i < mgr->dir_count; i++)
        mgr->dirs[i].host.in_doubt = log_dir_is_in_doubt(mgr, &mgr->dirs[i]);
    return usable > 0 ? ERR_OK : ERR_IO;
}

enum err
log_manager_open_explained(const struct log_manager_opts *opts,
    char explanation[LOG_MANAGER_ERROR_SIZE], struct log_manager **out)
{
    struct log_manager *mgr;
    ASSERT(opts->dir_count > 0 && opts->dir_count <= LOG_MANAGER_DIRS_MAX);
    explanation[0] = '\0';
    enum err err = manager_new(opts, &mgr);
    if (err != ERR_OK)
        return err;
    err = open_dirs(mgr, explanation);
    if (err == ERR_OK)
        err = log_load_all(mgr);
    for (int i = 0; i < mgr->dir_count && err == ERR_OK; i++) {
        struct managed_dir *dir = &mgr->dirs[i];
        if (atomic_load(&dir->host.offline))
            continue;
        enum err marker = log_dir_begin_journal(dir);
        if (marker == ERR_OK)
            marker = log_dir_mark_in_use(dir); /* I2 */
        if (marker == ERR_OK && dir->host.in_doubt)
            log_dir_end_doubt(mgr, dir);
        if (marker != ERR_OK && !atomic_exchange(&dir->host.offline, true))
            host_failed(&dir->host, marker);
    }
    if (err != ERR_OK) {
        if (explanation[0] == '\0')
            snprintf(explanation, LOG_MANAGER_ERROR_SIZE, "%s", err_text(err));
        manager_free(mgr);
        return err;
    }
    *out = mgr;
    return ERR_OK;
}

enum err
log_manager_open(const struct log_manager_opts *opts, struct log_manager **out)
{
    char explanation[LOG_MANAGER_ERROR_SIZE];
    enum err err = log_manager_open_explained(opts, explanation, out);
    if (err != ERR_OK)
        diag_event(env_diag(opts->env), DIAG_ERROR, "log", "open_failed",
            DIAG_Z("why", explanation), DIAG_ERR("cause", err));
    return err;
}

void
log_manager_close(struct log_manager **out, int64_t broker_epoch)
{
    struct log_manager *mgr = *out;
    if (mgr == NULL)
        return;
    log_unload_all(mgr, broker_epoch);
    manager_free(mgr);
    *out = NULL;
}

void
log_manager_abandon(struct log_manager **mgr)
{
    if (*mgr == NULL)
        return;
    manager_free(*mgr);
    *mgr = NULL;
}

struct str
log_manager_cluster_id(const struct log_manager *mgr)
{
    return str_of(mgr->cluster_id);
}

int64_t
log_manager_previous_broker_epoch(const struct log_manager *mgr)
{
    return mgr->previous_broker_epoch;
}

/* ---- directories ---- */

int
log_manager_dir_count(const struct log_manager *mgr)
{
    return mgr->dir_count;
}

void
log_manager_dir_info(struct log_manager *mgr, int index, struct log_dir_info *out)
{
    ASSERT(index >= 0 && index < mgr->dir_count);
    struct managed_dir *dir = &mgr->dirs[index];
    *out = (struct log_dir_info){.path = dir->path,
        .id = dir->id,
        .offline = atomic_load(&dir->host.offline),
        .total_bytes = -1,
        .usable_bytes = -1};
    int64_t total, usable;
    if (!out->offline && env_disk_space(mgr->env, dir->path, &total, &usable) == ERR_OK) {
        out->total_bytes = total;
        out->usable_bytes = usable;
    }
}

/* ---- logs ---- */

struct log *
log_manager_find(struct log_manager *mgr, struct str topic, int32_t partition)
{
    mutex_lock(&mgr->mutex);
    struct managed_log *entry = log_entry_find(mgr, topic, partition);
    struct log *log = entry == NULL ? NULL : entry->log;
    mutex_unlock(&mgr->mutex);
    return log;
}

/* The one asked for, NULL when it is offline; or that with the fewest logs. */
static struct managed_dir *
choose_dir(struct log_manager *mgr, struct uuid dir_id)
{
    struct managed_dir *best = NULL;
    int64_t best_count = INT64_MAX;
    for (int i = 0; i < mgr->dir_count; i++) {
        struct managed_dir *dir = &mgr->dirs[i];
        struct managed_log *entry, *next;
        int64_t count = 0;
        bool offline = atomic_load(&dir->host.offline);
        if (!uuid_is_zero(dir_id) && uuid_eq(dir->id, dir_id))
            return offline ? NULL : dir;
        if (offline)
            continue;
        if (mgr->dir_count > 1)
            HASH_ITER (hh, mgr->logs, entry, next) {
                count += entry->dir == dir;
            }
        if (count < best_count) {
            best = dir;
            best_count = count;
        }
    }
    return best;
}

/* Mutex held. */
static enum err
create_locked(struct log_manager *mgr, const struct log_open_opts *opts, struct uuid topic_id,
    struct managed_dir *dir, struct log **out)
{
    struct log *log;
    enum err err = log_open(opts, &log);
    if (err == ERR_OK && !uuid_is_zero(topic_id)) {
        err = log_set_topic_id(log, topic_id);
        if (err != ERR_OK)
            log_abandon(&log);
    }
    if (err != ERR_OK) {
        if (err != ERR_NOMEM && err != ERR_NOSPACE && err != ERR_INVALID && err != ERR_LIMIT &&
            err != ERR_WRONG_STATE && !atomic_exchange(&dir->host.offline, true))
            host_failed(&dir->host, err);
        return err;
    }
    err = log_entry_add(mgr, dir, log);
    if (err != ERR_OK) {
        log_abandon(&log);
        return err;
    }
    *out = log;
    return ERR_OK;
}

enum err
log_manager_create(struct log_manager *mgr, struct str topic, int32_t partition,
    struct uuid topic_id, const struct log_config *config, struct uuid dir_id, struct log **out)
{
    ASSERT(partition >= 0);
    mutex_lock(&mgr->mutex);
    struct managed_dir *dir = choose_dir(mgr, dir_id);
    enum err err = log_entry_find(mgr, topic, partition) != NULL ? ERR_EXISTS
                   : dir == NULL                                 ? ERR_FAILED
                                                                 : ERR_OK;
    if (err == ERR_OK) {
        struct log_open_opts opts = {
            .env = mgr->env,
            .parent_dir = dir->path,
            .topic = topic,
            .partition = partition,
            .config = config != NULL ? config : &mgr->opts.config,
            .clean = true,
            .producer_expiration_ms = mgr->opts.producer_expiration_ms,
            .host = &dir->host,
        };
        err = create_locked(mgr, &opts, topic_id, dir, out);
    }
    mutex_unlock(&mgr->mutex);
    return err;
}

/* Takes the log out of the table and its directory out of the way. */
static enum err
put_away(struct log_manager *mgr, struct log **out, const char *suffix, bool remove)
{
    struct log *log = *out;
    char name[LOG_NAME_MAX + 1], to[LOG_PATH_MAX];
    log_dir_name_gone(name, log_topic(log), log_partition(log), env_random_uuid(mgr->env), suffix);
    mutex_lock(&mgr->mutex);
    struct managed_dir *dir = log_entry_remove(mgr, log);
    dir->names_dirty = true;
    atomic_store(&dir->host.stale, LOG_HOST_STALE_ALL);
    mutex_unlock(&mgr->mutex);
    enum err err = log_path_join(to, dir->path, name) ? ERR_OK : ERR_INVALID;
    if (err == ERR_OK && !atomic_load(&dir->host.offline)) {
        err = env_rename(mgr->env, log_dir_path(log), to);
        if (err == ERR_OK && remove)
            log_deletes_push(mgr, to, true, log->config.file_delete_delay_ms);
        if (err != ERR_OK && err != ERR_NOSPACE && !atomic_exchange(&dir->host.offline, true))
            host_failed(&dir->host, err);
    }
    log_abandon(out);
    return err;
}

enum err
log_manager_delete(struct log_manager *mgr, struct log **log)
{
    return put_away(mgr, log, "-delete", true);
}

enum err
log_manager_stray(struct log_manager *mgr, struct log **log)
{
    if (atomic_load(&(*log)->host->offline))
        return ERR_FAILED; /* its name stays, and none may be made in another directory */
    diag_event(env_diag(mgr->env), DIAG_WARN, "log", "stray", DIAG_Z("dir", log_dir_path(*log)));
    return put_away(mgr, log, "-stray", false);
}

void
log_manager_drop_copy(struct log_manager *mgr, struct log **log)
{
    diag_event(env_diag(mgr->env), DIAG_WARN, "log", "copy_strayed",
        DIAG_Z("dir", log_dir_path(*log)), DIAG_I64("end_offset", log_end_offset(*log)));
    if (put_away(mgr, log, "-stray", false) != ERR_OK)
        diag_event(env_diag(mgr->env), DIAG_ERROR, "log", "stray_failed");
}

/* Also serves the flushes of logs that were made in it before. */
static enum err
sync_names(struct managed_dir *dir)
{
    struct log_host *host = &dir->host;
    uint64_t made = atomic_load(&host->names_made);
    enum err err = env_sync_dir(dir->mgr->env, dir->path);
    if (err == ERR_OK)
        log_host_names_synced(host, made);
    else if (!atomic_exchange(&host->offline, true))
        host_failed(host, err);
    return err;
}

void
log_manager_sync_names(struct log_manager *mgr)
{
    for (int i = 0; i < mgr->dir_count; i++) {
        struct managed_dir *dir = &mgr->dirs[i];
        mutex_lock(&mgr->mutex);
        bool dirty = dir->names_dirty;
        dir->names_dirty = false;
        mutex_unlock(&mgr->mutex);
        if (dirty && !atomic_load(&dir->host.offline))
            (void)sync_names(dir); /* it is offline then */
    }
}

void
log_manager_each(struct log_manager *mgr, void (*fn)(void *ctx, struct log *log), void *ctx)
{
    struct managed_log *entry, *next;
    int32_t count = 0;
    mutex_lock(&mgr->mutex);
    struct log **logs = mem_calloc((size_t)HASH_COUNT(mgr->logs) + 1, sizeof(struct log *));
    if (logs != NULL) {
        HASH_ITER (hh, mgr->logs, entry, next) {
            logs[count++] = entry->log;
        }
    }
    mutex_unlock(&mgr->mutex);
    for (int32_t i = 0; i < count; i++)
        fn(ctx, logs[i]);
    mem_free(logs);
}

int32_t
log_manager_log_count(struct log_manager *mgr)
{
    mutex_lock(&mgr->mutex);
    int32_t count = (int32_t)HASH_COUNT(mgr->logs);
    mutex_unlock(&mgr->mutex);
    return count;
}

enum err
log_manager_metadata_log(struct log_manager *mgr, const struct log_config *config, struct log **out)
{
    struct managed_dir *dir = &mgr->dirs[0];
    if (atomic_load(&dir->host.offline))
        return ERR_FAILED;
    struct log_open_opts opts = {
        .env = mgr->env,
        .parent_dir = dir->path,
        .topic = STR(LOG_METADATA_TOPIC),
        .config = config != NULL ? config : &mgr->opts.config,
        .clean = dir->clean && mgr->metadata_known, /* Kafka does not checkpoint it */
        .recovery_point = mgr->metadata_recovery_point,
        .start_offset = mgr->metadata_start_offset,
        .high_watermark = mgr->metadata_high_watermark,
        .gaps_are_losses = log_dir_gaps_are_losses(dir),
        .producer_expiration_ms = mgr->opts.producer_expiration_ms,
        .host = &dir->host,
    };
    struct log *log = mgr->metadata_log;
    enum err err = log == NULL ? log_open(&opts, &log) : ERR_OK;
    if (err != ERR_OK)
        return err;
    mutex_lock(&mgr->mutex);
    mgr->metadata_log = log;
    bool names_dirty = dir->names_dirty || log->parent_dirty;
    dir->names_dirty = false;
    atomic_store(&dir->host.stale, LOG_HOST_STALE_ALL);
    mutex_unlock(&mgr->mutex);
    /* Votes are stored in it: were its name lost, they would be. One sync for all that a start in a
     * new directory made there: the identity, the recovery points, the mark (log_dir.c), this log.
     * Which of them a power cut before it leaves does not matter, since nothing was promised. */
    err = names_dirty ? sync_names(dir) : ERR_OK;
    if (err == ERR_OK)
        *out = log;
    return err;
}

void
log_manager_counters(struct log_manager *mgr, struct log_manager_counters *out)
{
    *out = (struct log_manager_counters){.logs_loaded = atomic_load(&mgr->logs_loaded),
        .logs_to_load = atomic_load(&mgr->logs_to_load),
        .open_files = file_cache_count(mgr->files)};
    for (int i = 0; i < mgr->dir_count; i++) {
        struct log_host *host = &mgr->dirs[i].host;
        out->logs_recovered += atomic_load(&host->logs_recovered);
        out->bytes_scanned += atomic_load(&host->bytes_scanned);
        out->bytes_truncated += atomic_load(&host->bytes_truncated);
        out->logs_corrupt += atomic_load(&host->logs_corrupt);
        out->dirs_offline += atomic_load(&host->offline);
    }
}
