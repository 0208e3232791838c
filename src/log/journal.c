/* What: the journal of one log directory: group commit over logs, and two files in turn.
 *
 * Invariants: I1 position and number belong to the batch that comes next in lap's file; a batch
 * whose write or sync failed does not move them. I2 lap n + 1 begins only when no log holds lap
 * n - 1, whose file it takes. I3 the first batch of a lap counts only after its file's name is
 * durable. I4 the work is on the pool exactly while `running`.
 * Threads: journal.h. `mutex` guards the queue; the files are the worker's. */
#include "log/journal.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/diag.h"
#include "log/file_name.h"
#include "os/mutex.h"
#include "wire/crc32c.h"

/* The file grows by zeros ahead of what is written, so that few syncs have a new length to commit.
 */
enum {
    GROWTH = 1 << 20,
    OUT_MAX = LOG_JOURNAL_BATCH_MAX + LOG_JOURNAL_ENTRY_MAX + 4096,
    LAP_MIN = 4096,
    BATCHES_PER_LAP = 4, /* at least, where a lap is short */
    NO_ROOM_MS = 1000,
};

struct journal_file {
    struct env_file *file; /* owned; NULL until the first lap in it */
    int64_t size_bytes;
};

struct log_journal {
    /* Fixed. */
    struct env *env;
    struct pool *pool;
    char *dir; /* owned */
    int64_t lap_bytes;
    size_t batch_bytes; /* no more entries are taken in once a batch is so long */
    size_t growth;
    void (*turned)(void *ctx);
    void *ctx;

    struct mutex mutex; /* LEAF */
    struct list queue;
    bool running;
    struct pool_work work;

    /* The worker's. */
    struct journal_file files[LOG_JOURNAL_FILES];
    int64_t position;
    uint32_t number;
    uint8_t *zeros; /* owned; `growth` bytes; NULL until a file grows */
    bool begun;     /* the first lap */
    bool turn_untold;
    struct buf out;

    _Atomic uint64_t lap; /* written by the worker */
    _Atomic int64_t holders[LOG_JOURNAL_FILES];
    atomic_bool failed;
    atomic_bool full;
    _Atomic int64_t no_room_until_ms; /* the disk is full: not asked again for each flush */
};

const char *
log_journal_file_name(int index)
{
    return index == 0 ? "moldau-journal-a" : "moldau-journal-b";
}

/* ---- entries ---- */

uint8_t *
log_journal_add(struct buf *out, const struct log_journal_entry *entry)
{
    ASSERT(entry->key.len > 0 && entry->key.len <= UINT16_MAX);
    ASSERT(entry->len <= LOG_JOURNAL_ENTRY_MAX);
    uint8_t *at = buf_extend(out, LOG_JOURNAL_ENTRY_HEAD + entry->key.len + entry->len);
    if (at == NULL)
        return NULL;
    store_be32(at, (uint32_t)entry->key.len);
    store_be32(at + 4, (uint32_t)entry->len);
    memcpy(at + 8, entry->topic_id.b, sizeof entry->topic_id.b);
    store_be64(at + 24, (uint64_t)entry->segment_base);
    store_be64(at + 32, (uint64_t)entry->position);
    memcpy(at + LOG_JOURNAL_ENTRY_HEAD, entry->key.data, entry->key.len);
    return at + LOG_JOURNAL_ENTRY_HEAD + entry->key.len;
}

bool
log_journal_parse(struct bytes *in, struct log_journal_entry *entry, const uint8_t **data)
{
    if (in->len < LOG_JOURNAL_ENTRY_HEAD)
        return false;
    size_t key_len = load_be32(in->data), len = load_be32(in->data + 4);
    size_t rest = in->len - LOG_JOURNAL_ENTRY_HEAD;
    if (key_len == 0 || key_len > rest || len > rest - key_len || len > LOG_JOURNAL_ENTRY_MAX)
        return false;
    entry->key = (struct str){(const char *)in->data + LOG_JOURNAL_ENTRY_HEAD, key_len};
    entry->len = len;
    memcpy(entry->topic_id.b, in->data + 8, sizeof entry->topic_id.b);
    entry->segment_base = (int64_t)load_be64(in->data + 24);
    entry->position = (int64_t)load_be64(in->data + 32);
    *data = in->data + LOG_JOURNAL_ENTRY_HEAD + key_len;
    in->data = *data + len;
    in->len = rest - key_len - len;
    return entry->segment_base >= 0 && entry->position >= 0;
}

/* ---- the files ---- */

static enum err
file_open(struct log_journal *j, int index)
{
    char path[LOG_PATH_MAX];
    struct journal_file *file = &j->files[index];
    if (file->file != NULL)
        return ERR_OK;
    if (!log_path_join(path, j->dir, log_journal_file_name(index)))
        return ERR_INVALID;
    enum err err =
        env_open(j->env, path, ENV_OPEN_WRITE | ENV_OPEN_CREATE | ENV_OPEN_TRUNCATE, &file->file);
    if (err != ERR_OK)
        return err;
    file->size_bytes = 0;
    err = env_sync_dir(j->env, j->dir); /* I3 */
    if (err != ERR_OK)
        env_file_close(&file->file);
    return err;
}

static enum err
file_grow(struct log_journal *j, struct journal_file *file, int64_t end)
{
    if (j->zeros == NULL)
        j->zeros = mem_calloc(1, j->growth);
    if (j->zeros == NULL)
        return ERR_NOMEM;
    while (file->size_bytes < end) {
        enum err err =
            env_write_at(file->file, file->size_bytes, (struct bytes){j->zeros, j->growth});
        if (err != ERR_OK)
            return err;
        file->size_bytes += (int64_t)j->growth;
    }
    return ERR_OK;
}

/* LIMIT when the other file is still needed, or a lap is too short for the batch. */
static enum err
make_room(struct log_journal *j, int64_t len)
{
    uint64_t lap = atomic_load(&j->lap);
    if (len > j->lap_bytes)
        return ERR_LIMIT;
    if (j->begun && j->position + len <= j->lap_bytes)
        return file_grow(j, &j->files[lap % LOG_JOURNAL_FILES], j->position + len);
    int next = (int)((lap + 1) % LOG_JOURNAL_FILES);
    if (atomic_load(&j->holders[next]) > 0)
        return ERR_LIMIT; /* I2 */
    enum err err = file_open(j, next);
    if (err == ERR_OK)
        err = file_grow(j, &j->files[next], len);
    if (err != ERR_OK)
        return err;
    atomic_store(&j->lap, lap + 1);
    j->position = 0;
    j->number = 0;
    j->turn_untold = j->begun;
    j->begun = true;
    return ERR_OK;
}

/* `batch` begins with room for the head and is padded. */
static void
seal(struct log_journal *j, uint8_t *batch, size_t entries_len)
{
    store_be32(batch, LOG_JOURNAL_MAGIC);
    store_be64(batch + 8, atomic_load(&j->lap));
    store_be32(batch + 16, j->number);
    store_be32(batch + 20, (uint32_t)entries_len);
    store_be32(batch + 4, crc32c((struct bytes){batch + 8, LOG_JOURNAL_HEAD - 8 + entries_len}));
}

/* Out of memory and a full disk are no failure: nothing is in doubt. */
static bool
is_final(enum err err)
{
    return err != ERR_OK && err != ERR_LIMIT && err != ERR_NOMEM && err != ERR_NOSPACE;
}

static enum err
write_batch(struct log_journal *j, struct buf *batch, uint64_t *lap)
{
    size_t entries_len = batch->len - LOG_JOURNAL_HEAD;
    size_t padding = (LOG_JOURNAL_ALIGN - batch->len % LOG_JOURNAL_ALIGN) % LOG_JOURNAL_ALIGN;
    uint8_t *end = buf_extend(batch, padding);
    if (end == NULL && padding > 0)
        return ERR_NOMEM;
    memset(batch->data + batch->len - padding, 0, padding);
    enum err err = atomic_load(&j->failed) ? ERR_FAILED : make_room(j, (int64_t)batch->len);
    atomic_store(&j->full, err == ERR_LIMIT);
    *lap = atomic_load(&j->lap);
    struct journal_file *file = &j->files[*lap % LOG_JOURNAL_FILES];
    if (err == ERR_OK) {
        seal(j, batch->data, entries_len);
        err = env_write_at(file->file, j->position, buf_bytes(batch));
    }
    if (err == ERR_OK)
        err = env_sync(file->file);
    if (err == ERR_OK) {
        j->position += (int64_t)batch->len; /* I1 */
        j->number++;
    } else if (is_final(err)) {
        atomic_store(&j->failed, true);
    }
    if (err == ERR_NOSPACE)
        atomic_store(&j->no_room_until_ms, env_now_ms(j->env) + NO_ROOM_MS);
    return is_final(err) || err == ERR_OK ? err : ERR_LIMIT;
}

/* ---- group commit ---- */

/* As many tickets as fit, moved to `taken`, their entries in out. */
static void
gather(struct log_journal *j, struct list *taken)
{
    buf_clear(&j->out);
    (void)buf_extend(&j->out, LOG_JOURNAL_HEAD);
    while (j->out.err == ERR_OK && j->out.len < j->batch_bytes) {
        mutex_lock(&j->mutex);
        struct list *node = list_pop(&j->queue);
        mutex_unlock(&j->mutex);
        if (node == NULL)
            break;
        struct log_journal_ticket *ticket = LIST_ENTRY(node, struct log_journal_ticket, link);
        ticket->begin(ticket, &j->out);
        list_push(taken, &ticket->link);
    }
}

static void
commit(struct log_journal *j)
{
    struct list taken, *node;
    uint64_t lap = 0;
    list_init(&taken);
    gather(j, &taken);
    enum err err = j->out.err == ERR_OK ? ERR_OK : ERR_LIMIT;
    if (err == ERR_OK && j->out.len > LOG_JOURNAL_HEAD)
        err = write_batch(j, &j->out, &lap);
    bool turned = j->turn_untold;
    j->turn_untold = false;
    while ((node = list_pop(&taken)) != NULL) {
        struct log_journal_ticket *ticket = LIST_ENTRY(node, struct log_journal_ticket, link);
        ticket->end(ticket, err, lap);
    }
    if (turned && j->turned != NULL)
        j->turned(j->ctx);
}

static void
run(struct pool_work *work)
{
    struct log_journal *j = CONTAINER_OF(work, struct log_journal, work);
    commit(j);
    mutex_lock(&j->mutex);
    j->running = !list_empty(&j->queue);
    bool again = j->running;
    mutex_unlock(&j->mutex);
    if (again) /* behind what else waits for the pool */
        pool_submit(j->pool, &j->work);
}

void
log_journal_submit(struct log_journal *j, struct log_journal_ticket *ticket)
{
    mutex_lock(&j->mutex);
    list_push(&j->queue, &ticket->link);
    bool start = !j->running;
    j->running = true;
    mutex_unlock(&j->mutex);
    if (start)
        pool_submit(j->pool, &j->work); /* I4 */
}

bool
log_journal_is_full(const struct log_journal *j)
{
    uint64_t next = atomic_load(&j->lap) + 1;
    int64_t no_room_until_ms = atomic_load(&j->no_room_until_ms);
    if (atomic_load(&j->failed))
        return true;
    if (no_room_until_ms > 0 && env_now_ms(j->env) < no_room_until_ms)
        return true;
    return atomic_load(&j->full) && atomic_load(&j->holders[next % LOG_JOURNAL_FILES]) > 0;
}

void
log_journal_hold(struct log_journal *j, uint64_t lap)
{
    ASSERT(lap > 0);
    atomic_fetch_add(&j->holders[lap % LOG_JOURNAL_FILES], 1);
}

void
log_journal_release(struct log_journal *j, uint64_t lap)
{
    int64_t before = atomic_fetch_sub(&j->holders[lap % LOG_JOURNAL_FILES], 1);
    ASSERT(before > 0);
}

/* ---- life ---- */

enum err
log_journal_new(const struct log_journal_opts *opts, struct log_journal **out)
{
    struct log_journal *j = mem_calloc(1, sizeof *j);
    char *dir = mem_strdup(opts->dir);
    if (j == NULL || dir == NULL) {
        mem_free(j);
        mem_free(dir);
        return ERR_NOMEM;
    }
    j->env = opts->env;
    j->pool = opts->pool;
    j->dir = dir;
    j->lap_bytes = opts->lap_bytes > LAP_MIN ? opts->lap_bytes : LAP_MIN;
    j->growth = j->lap_bytes < GROWTH ? (size_t)j->lap_bytes : GROWTH;
    j->batch_bytes = LOG_JOURNAL_BATCH_MAX;
    if (j->lap_bytes / BATCHES_PER_LAP < LOG_JOURNAL_BATCH_MAX)
        j->batch_bytes = (size_t)(j->lap_bytes / BATCHES_PER_LAP);
    j->turned = opts->turned;
    j->ctx = opts->ctx;
    /* Nobody can guess a lap and so make bytes that look like a batch of it. */
    atomic_store(&j->lap, (env_random_u64(j->env) >> 2 | 2) & ~UINT64_C(1));
    mutex_init(&j->mutex, MUTEX_RANK_LEAF);
    list_init(&j->queue);
    list_init(&j->work.link);
    j->work.run = run;
    buf_init(&j->out, OUT_MAX);
    *out = j;
    return ERR_OK;
}

void
log_journal_free(struct log_journal **out)
{
    struct log_journal *j = *out;
    if (j == NULL)
        return;
    for (int i = 0; i < LOG_JOURNAL_FILES; i++)
        if (j->files[i].file != NULL)
            env_file_close(&j->files[i].file);
    buf_fini(&j->out);
    mutex_fini(&j->mutex);
    mem_free(j->zeros);
    mem_free(j->dir);
    mem_free(j);
    *out = NULL;
}

enum err
log_journal_remove(struct env *env, const char *dir)
{
    for (int i = 0; i < LOG_JOURNAL_FILES; i++) {
        char path[LOG_PATH_MAX];
        if (!log_path_join(path, dir, log_journal_file_name(i)))
            return ERR_INVALID;
        enum err err = env_unlink(env, path);
        if (err != ERR_OK && err != ERR_NOTFOUND)
            return err;
    }
    return ERR_OK;
}
