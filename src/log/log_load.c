/* What: opening every log of every directory when the node starts, several at a time.
 * Threads: workers take the next log by a counter; nobody else knows the manager yet.
 * Errors: a log that cannot be opened because of the disk takes its directory offline. */
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/diag.h"
#include "log/checkpoint.h"
#include "log/log_manager_priv.h"
#include "log/log_priv.h"

enum {
    WORKERS_MAX = 4,
    SERIAL_MAX = 16, /* so few are opened faster than threads start */
    PROGRESS_EVERY_MS = 3000,
};

/* ---- side by side ---- */

struct parallel {
    void (*fn)(void *ctx, int32_t i);
    void *ctx;
    int32_t count;
    _Atomic int32_t next;
};

struct parallel_work {
    struct pool_work work;
    struct parallel *shared;
};

static void
parallel_run(struct pool_work *work)
{
    struct parallel *p = CONTAINER_OF(work, struct parallel_work, work)->shared;
    int32_t i;
    while ((i = atomic_fetch_add(&p->next, 1)) < p->count)
        p->fn(p->ctx, i);
}

enum err
log_manager_parallel(
    struct log_manager *mgr, int32_t count, void (*fn)(void *ctx, int32_t i), void *ctx)
{
    struct parallel shared = {.fn = fn, .ctx = ctx, .count = count};
    struct parallel_work works[WORKERS_MAX];
    struct pool *pool;
    if (mgr->opts.pool == NULL || count <= SERIAL_MAX) {
        for (int32_t i = 0; i < count; i++)
            fn(ctx, i);
        return ERR_OK;
    }
    enum err err = pool_new(mgr->env, "log-load", WORKERS_MAX, &pool);
    if (err != ERR_OK)
        return err;
    for (int i = 0; i < WORKERS_MAX; i++) {
        works[i] = (struct parallel_work){.work.run = parallel_run, .shared = &shared};
        list_init(&works[i].work.link);
        pool_submit(pool, &works[i].work);
    }
    pool_free(&pool); /* waits for all */
    ASSERT(atomic_load(&shared.next) >= count);
    return ERR_OK;
}

/* ---- finding ---- */

struct load {
    struct log_manager *mgr;
    struct managed_dir *dir; /* being listed */
    struct load_item *items; /* by key, with those of the same key behind each; owned */
    int32_t count;           /* of all */
    struct load_item **array;
    enum err err;
    enum log_checkpoint_kind kind;
    struct settle_item *settle; /* owned */
    _Atomic int64_t told_ms;    /* when progress was told last */
};

/* What the directory being listed has under the name; NULL: nothing. */
static struct load_item *
item_here(const struct load *l, const char *name)
{
    struct load_item *item;
    HASH_FIND(hh, l->items, name, strlen(name), item);
    while (item != NULL && item->dir != l->dir)
        item = item->other;
    return item;
}

/* A log may be in several directories: which one is right the metadata say (log_copies.c). */
static bool
take_log_dir(struct load *l, const char *name, struct str topic, int32_t partition)
{
    struct load_item *item, *first;
    size_t len = strlen(name);
    if (str_eq_z(topic, LOG_METADATA_TOPIC))
        return true; /* opened on its own */
    ASSERT(item_here(l, name) == NULL);
    HASH_FIND(hh, l->items, name, len, first);
    item = mem_calloc(1, sizeof *item + len + 1);
    if (item == NULL) {
        l->err = ERR_NOMEM;
        return false;
    }
    memcpy(item->key, name, len + 1);
    item->dir = l->dir;
    item->topic_len = topic.len;
    item->cleaned_end = -1;
    item->partition = partition;
    l->count++;
    if (first != NULL) {
        diag_event(env_diag(l->mgr->env), DIAG_WARN, "log", "log_in_two_dirs", DIAG_Z("log", name),
            DIAG_Z("dir", first->dir->path), DIAG_Z("other_dir", l->dir->path));
        item->other = first->other;
        first->other = item;
        return true;
    }
    HASH_ADD_KEYPTR(hh, l->items, item->key, len, item);
    if (item->hh.tbl == NULL) {
        mem_free(item);
        l->count--;
        l->err = ERR_NOMEM;
        return false;
    }
    return true;
}

static bool
take_name(void *ctx, const char *name)
{
    struct load *l = ctx;
    struct str topic;
    int32_t partition;
    char path[LOG_PATH_MAX];
    switch (log_dir_name_parse(name, &topic, &partition)) {
    case LOG_DIR_LOG: return take_log_dir(l, name, topic, partition);
    case LOG_DIR_DELETE:
        if (log_path_join(path, l->dir->path, name))
            log_deletes_push(l->mgr, path, true, l->mgr->opts.config.file_delete_delay_ms);
        return true;
    case LOG_DIR_STRAY:
    case LOG_DIR_FUTURE:
    case LOG_DIR_NONE: return true; /* people's business */
    }
    UNREACHABLE();
}

static bool
take_checkpoint(void *ctx, struct str line)
{
    struct load *l = ctx;
    struct log_manager *mgr = l->mgr;
    struct str topic;
    int32_t partition;
    int64_t offset;
    char key[LOG_KEY_SIZE];
    struct load_item *item;
    if (!checkpoint_parse_offset(line, &topic, &partition, &offset))
        return false;
    if (str_eq_z(topic, LOG_METADATA_TOPIC) && l->dir == &mgr->dirs[0]) {
        if (l->kind == LOG_CHECKPOINT_RECOVERY_POINT) {
            mgr->metadata_recovery_point = offset;
            mgr->metadata_known = true;
        } else if (l->kind == LOG_CHECKPOINT_LOG_START) {
            mgr->metadata_start_offset = offset;
        } else if (l->kind == LOG_CHECKPOINT_HIGH_WATERMARK) {
            mgr->metadata_high_watermark = offset;
        }
        return true;
    }
    if (!log_key(key, topic, partition))
        return true;
    item = item_here(l, key);
    if (item == NULL) {
        l->dir->cleaned_stale = l->dir->cleaned_stale || l->kind == LOG_CHECKPOINT_CLEANED;
        return true; /* deleted since */
    }
    switch (l->kind) {
    case LOG_CHECKPOINT_RECOVERY_POINT: item->recovery_point = offset; break;
    case LOG_CHECKPOINT_LOG_START: item->start_offset = offset; break;
    case LOG_CHECKPOINT_HIGH_WATERMARK: item->high_watermark = offset; break;
    case LOG_CHECKPOINT_CLEANED: item->cleaned_end = offset; break;
    case LOG_CHECKPOINT_KIND_COUNT: UNREACHABLE();
    }
    return true;
}

/* Unreadable checkpoints count as missing: more is scanned, nothing is lost. */
static void
read_checkpoints(struct load *l)
{
    for (int kind = 0; kind < LOG_CHECKPOINT_KIND_COUNT; kind++) {
        char path[LOG_PATH_MAX];
        struct env_stat st;
        l->kind = (enum log_checkpoint_kind)kind;
        if (!log_path_join(path, l->dir->path, log_checkpoint_name(l->kind)))
            continue;
        enum err err = checkpoint_read(l->mgr->env, path, take_checkpoint, l);
        if (l->kind == LOG_CHECKPOINT_RECOVERY_POINT)
            l->dir->checkpointed = err == ERR_OK;
        else if (l->kind == LOG_CHECKPOINT_CLEANED)
            l->dir->cleaned_known = err == ERR_OK;
        bool cleaned = l->kind == LOG_CHECKPOINT_CLEANED;
        if (cleaned && err == ERR_CORRUPT && env_stat(l->mgr->env, path, &st) == ERR_OK &&
            st.size_bytes == 0)
            continue; /* so Kafka begins it */
        /* A clean stop leaves all but that one. */
        if (err != ERR_OK &&
            (err != ERR_NOTFOUND || (l->dir->clean && !cleaned && HASH_COUNT(l->items) > 0)))
            diag_event(env_diag(l->mgr->env), DIAG_WARN, "log", "checkpoint_unreadable",
                DIAG_Z("path", path), DIAG_ERR("cause", err));
    }
}

/* ---- opening ---- */

/* One worker of them tells how far all are, every few seconds. */
static void
tell_progress(struct load *l)
{
    struct log_manager *mgr = l->mgr;
    int64_t now_ms = env_now_ms(mgr->env), told_ms = atomic_load(&l->told_ms);
    struct log_manager_counters counters;
    if (now_ms - told_ms < PROGRESS_EVERY_MS ||
        !atomic_compare_exchange_strong(&l->told_ms, &told_ms, now_ms))
        return;
    log_manager_counters(mgr, &counters);
    diag_event(env_diag(mgr->env), DIAG_INFO, "log", "loading",
        DIAG_I64("logs", counters.logs_loaded), DIAG_I64("of", counters.logs_to_load),
        DIAG_I64("recovered", counters.logs_recovered),
        DIAG_I64("bytes_checked", counters.bytes_scanned));
}

static void
tell_loaded(struct log_manager *mgr, int64_t started_ms)
{
    struct log_manager_counters counters;
    log_manager_counters(mgr, &counters);
    bool clean = true; /* a new node stopped never, which is as good */
    for (int i = 0; i < mgr->dir_count && counters.logs_loaded > 0; i++)
        clean = clean && (mgr->dirs[i].clean || atomic_load(&mgr->dirs[i].host.offline));
    diag_event(env_diag(mgr->env), DIAG_INFO, "log", "loaded",
        DIAG_I64("logs", counters.logs_loaded), DIAG_Z("clean_stop", clean ? "true" : "false"),
        DIAG_I64("recovered", counters.logs_recovered),
        DIAG_I64("bytes_checked", counters.bytes_scanned),
        DIAG_I64("ms", env_now_ms(mgr->env) - started_ms));
}

static void
load_one(void *ctx, int32_t i)
{
    struct load *l = ctx;
    struct log_manager *mgr = l->mgr;
    struct load_item *item = l->array[i];
    struct log_config config = mgr->opts.config;
    struct str topic = {item->key, item->topic_len};
    if (atomic_load(&item->dir->host.offline)) {
        item->err = ERR_FAILED;
        return;
    }
    if (mgr->opts.topic_config != NULL)
        mgr->opts.topic_config(mgr->opts.ctx, topic, &config);
    struct log_open_opts opts = {
        .env = mgr->env,
        .parent_dir = item->dir->path,
        .topic = topic,
        .partition = item->partition,
        .config = &config,
        .clean = item->dir->clean,
        .recovery_point = item->recovery_point,
        .start_offset = item->start_offset,
        .high_watermark = item->high_watermark,
        .cleaned_end = item->cleaned_end > 0 ? item->cleaned_end : 0,
        .gaps_are_losses = log_dir_gaps_are_losses(item->dir),
        .settle_later = item->dir->settle_later,
        .producer_expiration_ms = mgr->opts.producer_expiration_ms,
        .host = &item->dir->host,
    };
    item->err = log_open(&opts, &item->log);
    if (item->err != ERR_OK && item->err != ERR_NOMEM && item->err != ERR_LIMIT &&
        !atomic_exchange(&item->dir->host.offline, true))
        item->dir->host.failed(&item->dir->host, item->err);
    atomic_fetch_add(&mgr->logs_loaded, 1);
    tell_progress(l);
}

/* What recovery found in many logs becomes durable at once. */
static void
settle_all(struct load *l, int32_t count)
{
    int32_t n = 0;
    for (int32_t i = 0; i < count; i++)
        if (l->array[i]->log != NULL && l->array[i]->log->unsettled)
            l->settle[n++] =
                (struct settle_item){.dir = l->array[i]->dir, .log = l->array[i]->log, .place = i};
    log_manager_settle(l->mgr, l->settle, n);
    for (int32_t i = 0; i < n; i++)
        l->array[l->settle[i].place]->err = l->settle[i].err;
}

static enum err
open_all(struct load *l)
{
    struct load_item *item, *next;
    int32_t count = l->count, n = 0;
    atomic_store(&l->mgr->logs_to_load, count);
    l->array = mem_calloc((size_t)count + 1, sizeof(struct load_item *));
    l->settle = mem_calloc((size_t)count + 1, sizeof *l->settle);
    if (l->array == NULL || l->settle == NULL)
        return ERR_NOMEM;
    HASH_ITER (hh, l->items, item, next) {
        for (struct load_item *copy = item; copy != NULL; copy = copy->other) {
            l->array[n++] = copy;
            copy->dir->log_count++;
        }
    }
    ASSERT(n == count);
    for (int d = 0; d < l->mgr->dir_count; d++)
        l->mgr->dirs[d].settle_later =
            l->mgr->dirs[d].volume != NULL && l->mgr->dirs[d].log_count > LOG_SETTLE_ALONE_MAX;
    enum err err = log_manager_parallel(l->mgr, count, load_one, l);
    if (err == ERR_OK)
        settle_all(l, count);
    for (int32_t i = 0; i < count && err == ERR_OK; i++) {
        item = l->array[i];
        if (item->err == ERR_NOMEM || item->err == ERR_LIMIT)
            err = item->err; /* this process, not the disk */
        if (item->log == NULL)
            continue;
        atomic_store(&item->log->cleaned_end, item->cleaned_end);
        err = log_entry_add(l->mgr, item->dir, item->log);
        if (err != ERR_OK)
            break;
        item->log = NULL;
    }
    for (int d = 0; d < l->mgr->dir_count && err == ERR_OK; d++)
        if (l->mgr->dirs[d].cleaned_known && !l->mgr->dirs[d].cleaned_stale)
            log_checkpoint_take_as_written(l->mgr, &l->mgr->dirs[d], LOG_CHECKPOINT_CLEANED);
    return err;
}

static void
load_fini(struct load *l)
{
    struct load_item *item, *next;
    HASH_ITER (hh, l->items, item, next) {
        HASH_DEL(l->items, item);
        for (struct load_item *copy = item; copy != NULL; copy = item) {
            item = copy->other;
            log_abandon(&copy->log);
            mem_free(copy);
        }
    }
    mem_free(l->array);
    mem_free(l->settle);
}

enum err
log_load_all(struct log_manager *mgr)
{
    struct load l = {.mgr = mgr};
    int64_t started_ms = env_now_ms(mgr->env);
    atomic_init(&l.told_ms, started_ms);
    enum err err = ERR_OK;
    for (int i = 0; i < mgr->dir_count && err == ERR_OK; i++) {
        l.dir = &mgr->dirs[i];
        if (atomic_load(&l.dir->host.offline))
            continue;
        err = env_list_dir(mgr->env, l.dir->path, take_name, &l);
        if (err == ERR_OK)
            err = l.err;
        else if (!atomic_exchange(&l.dir->host.offline, true)) {
            l.dir->host.failed(&l.dir->host, err);
            err = ERR_OK;
        }
        if (err == ERR_OK)
            read_checkpoints(&l);
    }
    if (err == ERR_OK)
        err = open_all(&l);
    load_fini(&l);
    if (err == ERR_OK)
        tell_loaded(mgr, started_ms);
    return err;
}
