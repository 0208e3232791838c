/* What: one entry of log.dirs: its lock, who it belongs to, and whether it was left in order.
 * Everything read here is untrusted; what does not fit is explained to people, not repaired. */
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/buf.h"
#include "base/diag.h"
#include "log/log_manager_priv.h"
#include "log/log_priv.h"

#define META_FILE "meta.properties"
#define CLEAN_FILE ".kafka_cleanshutdown"
/* There while we run, and after we were stopped in any way but cleanly; Kafka ignores it. */
#define IN_USE_FILE "moldau-in-use"
#define LOCK_FILE ".lock"

enum { SMALL_FILE_MAX = 65536 };

static enum err
explain(char *explanation, enum err err, const char *dir, const char *what)
{
    snprintf(explanation, LOG_MANAGER_ERROR_SIZE, "log directory %.100s: %.390s", dir, what);
    return err;
}

/* The value of a line `key=value`, or null. */
static struct str
property(const char *text, const char *key)
{
    size_t key_len = strlen(key);
    for (const char *at = text; at != NULL && *at != '\0';) {
        const char *end = strchr(at, '\n');
        size_t len = end == NULL ? strlen(at) : (size_t)(end - at);
        const char *line = at;
        at = end == NULL ? NULL : end + 1;
        while (len > 0 && (line[len - 1] == '\r' || line[len - 1] == ' '))
            len--;
        if (len > key_len && line[0] != '#' && memcmp(line, key, key_len) == 0 &&
            line[key_len] == '=')
            return (struct str){line + key_len + 1, len - key_len - 1};
    }
    return STR_NULL;
}

static enum err
check_properties(
    struct log_manager *mgr, struct managed_dir *dir, const char *text, char *explanation)
{
    char wanted[16], what[400];
    struct str version = property(text, "version"), node_id = property(text, "node.id");
    struct str cluster_id = property(text, "cluster.id"), id = property(text, "directory.id");
    snprintf(wanted, sizeof wanted, "%d", mgr->opts.node_id);
    if (!str_eq_z(version, "1"))
        return explain(explanation, ERR_INVALID, dir->path, META_FILE " is not of version 1");
    if (!str_eq_z(node_id, wanted)) {
        snprintf(what, sizeof what, "it belongs to node %.*s, but this is node %s",
            STR_FMT(node_id), wanted);
        return explain(explanation, ERR_INVALID, dir->path, what);
    }
    if (str_is_null(cluster_id) || cluster_id.len == 0)
        return explain(explanation, ERR_INVALID, dir->path, META_FILE " has no cluster.id");
    if (mgr->cluster_id == NULL) {
        mgr->cluster_id = mem_strndup(cluster_id.data, cluster_id.len);
        if (mgr->cluster_id == NULL)
            return ERR_NOMEM;
    } else if (!str_eq_z(cluster_id, mgr->cluster_id)) {
        snprintf(what, sizeof what, "it belongs to cluster %.*s, not to %.60s", STR_FMT(cluster_id),
            mgr->cluster_id);
        return explain(explanation, ERR_INVALID, dir->path, what);
    }
    if (!str_is_null(id) && (!uuid_parse(id, &dir->id) || uuid_is_zero(dir->id)))
        return explain(explanation, ERR_INVALID, dir->path, META_FILE " has a bad directory.id");
    return ERR_OK;
}

static enum err
write_properties(struct log_manager *mgr, struct managed_dir *dir, const char *path)
{
    char id[UUID_TEXT_SIZE];
    struct buf text;
    uuid_format(dir->id, id);
    buf_init(&text, SMALL_FILE_MAX);
    buf_printf(&text, "cluster.id=%s\ndirectory.id=%s\nnode.id=%d\nversion=1\n", mgr->cluster_id,
        id, mgr->opts.node_id);
    /* Named for certain with all else that the opening makes there (log_dir_mark_in_use). */
    enum err err = text.err != ERR_OK ? text.err : env_put_file(mgr->env, path, buf_bytes(&text));
    dir->names_dirty = true;
    buf_fini(&text);
    return err;
}

/* Whether a node ran on it before. */
static bool
was_in_use(struct log_manager *mgr, const struct managed_dir *dir)
{
    char path[LOG_PATH_MAX];
    struct env_stat st;
    return (log_path_join(path, dir->path, CLEAN_FILE) &&
               env_stat(mgr->env, path, &st) == ERR_OK) ||
           (log_path_join(path, dir->path, IN_USE_FILE) && env_stat(mgr->env, path, &st) == ERR_OK);
}

static bool
note_log(void *ctx, const char *name)
{
    bool *there = ctx;
    struct str topic;
    int32_t partition;
    enum log_dir_kind kind = log_dir_name_parse(name, &topic, &partition);
    *there = *there || kind == LOG_DIR_LOG || kind == LOG_DIR_STRAY;
    return !*there;
}

/* The first directory is new and another is not. A first start that could format only the other
 * leaves that; so does a lost disk, whose metadata log nobody can make anew. Logs tell which. */
static enum err
take_cluster_id_of_others(struct log_manager *mgr, struct managed_dir *dir, char *explanation)
{
    for (int i = 0; i < mgr->dir_count; i++) {
        const char *other = mgr->dirs[i].path;
        char path[LOG_PATH_MAX], *text;
        size_t len;
        bool logs = false;
        if (&mgr->dirs[i] == dir || !log_path_join(path, other, META_FILE) ||
            env_read_file(mgr->env, path, SMALL_FILE_MAX, &text, &len) != ERR_OK)
            continue;
        struct str id = property(text, "cluster.id");
        char *copy = str_is_null(id) || id.len == 0 ? NULL : mem_strndup(id.data, id.len);
        mem_free(text);
        if (copy == NULL)
            continue;
        enum err err = env_list_dir(mgr->env, other, note_log, &logs);
        if (err != ERR_OK || logs) {
            mem_free(copy);
            return err != ERR_OK ? err
                                 : explain(explanation, ERR_INVALID, dir->path,
                                       "it is new, but there are logs in another, and the "
                                       "metadata of their topics would be here");
        }
        mgr->cluster_id = copy;
        return ERR_OK;
    }
    return explain(explanation, ERR_INVALID, dir->path, "no cluster id to format it with");
}

/* Checks meta.properties, or formats. */
static enum err
identify(struct log_manager *mgr, struct managed_dir *dir, char *explanation)
{
    char path[LOG_PATH_MAX];
    char *text;
    size_t len;
    if (!log_path_join(path, dir->path, META_FILE))
        return ERR_INVALID;
    enum err err = env_read_file(mgr->env, path, SMALL_FILE_MAX, &text, &len);
    if (err == ERR_OK) {
        err = check_properties(mgr, dir, text, explanation);
        mem_free(text);
        if (err != ERR_OK || !uuid_is_zero(dir->id))
            return err;
        dir->id = env_random_uuid(mgr->env); /* written before directories had ids */
        return write_properties(mgr, dir, path);
    }
    if (err == ERR_LIMIT)
        return explain(explanation, ERR_INVALID, dir->path, META_FILE " is no such file");
    if (err != ERR_NOTFOUND)
        return err;
    if (!mgr->opts.format)
        return explain(explanation, ERR_INVALID, dir->path, "it is not formatted");
    if (mgr->cluster_id == NULL) {
        err = take_cluster_id_of_others(mgr, dir, explanation);
        if (err != ERR_OK)
            return err;
    }
    dir->id = env_random_uuid(mgr->env);
    if (was_in_use(mgr, dir))
        diag_event(env_diag(mgr->env), DIAG_WARN, "log", "identity_missing", DIAG_Z("path", path),
            DIAG_Z("new_cluster_id", mgr->cluster_id));
    return write_properties(mgr, dir, path);
}

static void
read_clean(struct log_manager *mgr, struct managed_dir *dir)
{
    char path[LOG_PATH_MAX];
    struct env_stat st;
    char *text;
    size_t len;
    dir->clean = false;
    dir->broker_epoch = -1;
    if (!log_path_join(path, dir->path, CLEAN_FILE))
        return;
    enum err err = env_read_file(mgr->env, path, SMALL_FILE_MAX, &text, &len);
    dir->clean = err == ERR_OK || err == ERR_LIMIT;
    dir->in_use = !dir->clean && log_path_join(path, dir->path, IN_USE_FILE) &&
                  env_stat(mgr->env, path, &st) == ERR_OK;
    if (err != ERR_OK)
        return;
    const char *at = strstr(text, "\"brokerEpoch\"");
    if (at != NULL) {
        long long epoch;
        if (sscanf(at + 13, " : %lld", &epoch) == 1 && epoch >= 0)
            dir->broker_epoch = epoch;
    }
    mem_free(text);
}

enum err
log_dir_open(struct log_manager *mgr, struct managed_dir *dir, char *explanation)
{
    char path[LOG_PATH_MAX];
    bool made = mgr->opts.first_made && dir == mgr->dirs;
    enum err err = made ? ERR_OK : env_mkdir_all(mgr->env, dir->path);
    if (err == ERR_OK && !log_path_join(path, dir->path, LOCK_FILE))
        err = ERR_INVALID;
    if (err == ERR_OK)
        err = env_lock_file(mgr->env, path, &dir->lock);
    if (err == ERR_BUSY)
        return explain(explanation, err, dir->path, "it is in use by another process");
    if (err != ERR_OK)
        return err;
    err = identify(mgr, dir, explanation);
    if (err != ERR_OK)
        return err;
    dir->host.dir_id = dir->id;
    read_clean(mgr, dir);
    /* Before anything is written to a log: its syncs tell of what fails from here on. */
    err = env_open_volume(mgr->env, dir->path, &dir->volume);
    if (err != ERR_OK && err != ERR_UNSUPPORTED)
        return err;
    return dir->clean ? ERR_OK : log_redo_load(mgr->env, dir->path, &dir->host.redo);
}

void
log_dir_close(struct managed_dir *dir)
{
    if (dir->lock != NULL)
        env_file_close(&dir->lock);
    if (dir->volume != NULL)
        env_file_close(&dir->volume);
    mem_free(dir->path);
    dir->path = NULL;
}

enum err
log_dir_write_clean(struct managed_dir *dir, int64_t broker_epoch)
{
    char path[LOG_PATH_MAX], text[80];
    ASSERT(!atomic_load(&dir->host.offline));
    if (!log_path_join(path, dir->path, IN_USE_FILE))
        return ERR_INVALID;
    enum err err = env_unlink(dir->mgr->env, path); /* synced with the other's name */
    if (err == ERR_OK || err == ERR_NOTFOUND)
        err = log_journal_remove(dir->mgr->env, dir->path); /* the same */
    if (err != ERR_OK)
        return err;
    if (!log_path_join(path, dir->path, CLEAN_FILE))
        return ERR_INVALID;
    int n = snprintf(
        text, sizeof text, "{\"version\":0,\"brokerEpoch\":%lld}", (long long)broker_epoch);
    return env_write_file_atomic(
        dir->mgr->env, path, (struct bytes){(const uint8_t *)text, (size_t)n});
}

/* Without recovery points on the disk, or on a full one, there is no mark: then recovery is more
 * careful. Where there were points that could be read, the new ones are named before the mark is:
 * it would vouch for those. Where there were none, either may come first. */
static enum err
create_mark(struct managed_dir *dir, const char *path)
{
    struct env *env = dir->mgr->env;
    struct env_file *file;
    enum err err = ERR_OK;
    if (dir->in_use && dir->checkpointed)
        return ERR_OK;
    err = dir->checkpointed ? log_checkpoint_write_dir(dir, LOG_CHECKPOINT_RECOVERY_POINT)
                            : log_checkpoint_put_dir(dir, LOG_CHECKPOINT_RECOVERY_POINT);
    if (err == ERR_OK)
        err = env_open(env, path, ENV_OPEN_WRITE | ENV_OPEN_CREATE, &file);
    if (err == ERR_OK)
        env_file_close(&file);
    dir->names_dirty = true;
    return err == ERR_NOSPACE ? ERR_OK : err;
}

enum err
log_dir_begin_journal(struct managed_dir *dir)
{
    struct log_manager *mgr = dir->mgr;
    bool had_journal = dir->host.redo != NULL;
    if (had_journal)
        diag_event(env_diag(mgr->env), DIAG_INFO, "log", "journal_read", DIAG_Z("dir", dir->path),
            DIAG_I64("bytes_given_back", log_redo_bytes(dir->host.redo)));
    log_redo_free(&dir->host.redo);
    enum err err = log_journal_remove(mgr->env, dir->path);
    /* What was cut off in the recovery is not to come back by it after the next one. */
    if (err == ERR_OK && had_journal)
        err = env_sync_dir(mgr->env, dir->path);
    if (err != ERR_OK || mgr->opts.journal_bytes <= 0 || mgr->opts.journal_pool == NULL)
        return err;
    struct log_journal_opts opts = {.env = mgr->env,
        .pool = mgr->opts.journal_pool,
        .dir = dir->path,
        .lap_bytes = mgr->opts.journal_bytes / LOG_JOURNAL_FILES,
        .turned = mgr->opts.journal_turned,
        .ctx = mgr->opts.ctx};
    return log_journal_new(&opts, &dir->host.journal);
}

/* Only where no log was found: one that is there might take something before. */
static bool
is_named_later(const struct managed_dir *dir)
{
    return dir->mgr->opts.metadata_next && dir == dir->mgr->dirs && !dir->clean &&
           dir->log_count == 0;
}

enum err
log_dir_mark_in_use(struct managed_dir *dir)
{
    struct env *env = dir->mgr->env;
    char clean[LOG_PATH_MAX], in_use[LOG_PATH_MAX];
    ASSERT(!atomic_load(&dir->host.offline));
    ASSERT(!dir->clean || !dir->in_use);
    if (!log_path_join(clean, dir->path, CLEAN_FILE) ||
        !log_path_join(in_use, dir->path, IN_USE_FILE))
        return ERR_INVALID;
    enum err err;
    if (!dir->clean) {
        err = create_mark(dir, in_use);
    } else {
        /* A clean stop left the recovery points of all logs, whoever stopped. */
        err = dir->checkpointed ? env_rename(env, clean, in_use) : env_unlink(env, clean);
        dir->names_dirty = true;
    }
    if (err != ERR_OK || !dir->names_dirty || is_named_later(dir))
        return err;
    dir->names_dirty = false;
    return env_sync_dir(env, dir->path);
}

/* ---- syncs that failed ---- */

/* In another directory than the one it is about. */
static bool
doubt_path(char path[LOG_PATH_MAX], const struct managed_dir *about, const struct managed_dir *in)
{
    char id[UUID_TEXT_SIZE], name[LOG_NAME_MAX + 1];
    if (about == in || uuid_is_zero(about->id) || atomic_load(&in->host.offline))
        return false;
    uuid_format(about->id, id);
    snprintf(name, sizeof name, "%s-%s", LOG_UNSYNCED_FILE, id);
    return log_path_join(path, in->path, name);
}

void
log_dir_note_doubt(struct log_manager *mgr, const struct managed_dir *dir)
{
    char path[LOG_PATH_MAX];
    struct env_file *file;
    for (int i = 0; i < mgr->dir_count; i++)
        if (doubt_path(path, dir, &mgr->dirs[i]) &&
            env_open(mgr->env, path, ENV_OPEN_WRITE | ENV_OPEN_CREATE, &file) == ERR_OK) {
            env_file_close(&file);
            return;
        }
}

bool
log_dir_is_in_doubt(struct log_manager *mgr, const struct managed_dir *dir)
{
    char path[LOG_PATH_MAX];
    struct env_stat st;
    for (int i = 0; i < mgr->dir_count; i++)
        if (doubt_path(path, dir, &mgr->dirs[i]) && env_stat(mgr->env, path, &st) == ERR_OK)
            return true;
    return false;
}

void
log_dir_end_doubt(struct log_manager *mgr, struct managed_dir *dir)
{
    char path[LOG_PATH_MAX];
    for (int i = 0; i < mgr->dir_count; i++) {
        if (!doubt_path(path, dir, &mgr->dirs[i]))
            continue;
        enum err err = env_unlink(mgr->env, path);
        if (err != ERR_OK && err != ERR_NOTFOUND) /* the next start writes more than it had to */
            diag_event(env_diag(mgr->env), DIAG_WARN, "log", "mark_not_removed",
                DIAG_Z("path", path), DIAG_ERR("cause", err));
    }
    dir->host.in_doubt = false;
}

bool
log_dir_gaps_are_losses(const struct managed_dir *dir)
{
    return dir->in_use && dir->checkpointed;
}
