/* What: the log's side of its producers: when their state is loaded, from which snapshot, and what
 * of the log is read again on top of it.
 *
 * The state is loaded when somebody first needs it, so that an idle partition costs no memory.
 * Snapshots are written at each roll and at a clean close; a broken one is removed and the one
 * before it used, because the log itself has all that a snapshot says.
 * Threads: partition lock. Errors: IO, NOMEM. */
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/buf.h"
#include "base/diag.h"
#include "log/log_priv.h"

enum {
    SNAPSHOT_BYTES_MAX = 256 << 20,
    DAY_MS = 86400000,
    /* What is read again so that the last five batches of a producer are known. */
    WINDOW_BYTES_MAX = 16 << 20,
    WINDOW_BYTES_MAX_CLEAN = 1 << 20,
};

enum err
log_snapshot_note(struct log *log, int64_t offset)
{
    if (log->snapshot_count == log->snapshot_capacity) {
        int32_t capacity = log->snapshot_capacity == 0 ? 2 : log->snapshot_capacity * 2;
        void *grown = mem_realloc(log->snapshots, (size_t)capacity * sizeof *log->snapshots);
        if (grown == NULL)
            return ERR_NOMEM;
        log->snapshots = grown;
        log->snapshot_capacity = capacity;
    }
    int32_t at = log->snapshot_count;
    while (at > 0 && log->snapshots[at - 1] > offset)
        at--;
    if (at > 0 && log->snapshots[at - 1] == offset)
        return ERR_OK;
    memmove(&log->snapshots[at + 1], &log->snapshots[at],
        (size_t)(log->snapshot_count - at) * sizeof *log->snapshots);
    log->snapshots[at] = offset;
    log->snapshot_count++;
    return ERR_OK;
}

void
log_snapshot_forget(struct log *log, int64_t offset)
{
    for (int32_t i = 0; i < log->snapshot_count; i++) {
        if (log->snapshots[i] != offset)
            continue;
        memmove(&log->snapshots[i], &log->snapshots[i + 1],
            (size_t)(log->snapshot_count - i - 1) * sizeof *log->snapshots);
        log->snapshot_count--;
        return;
    }
}

static enum err
snapshot_unlink(struct log *log, int64_t offset)
{
    char path[LOG_PATH_MAX];
    if (!log_file_path(path, log->home.dir, offset, LOG_FILE_SNAPSHOT))
        return ERR_INVALID;
    enum err err = env_unlink(log->env, path);
    if (err != ERR_OK && err != ERR_NOTFOUND)
        return err;
    log_snapshot_forget(log, offset);
    return ERR_OK;
}

enum err
log_snapshot_write(struct log *log, int64_t offset)
{
    char path[LOG_PATH_MAX];
    struct buf text;
    struct env_file *file;
    ASSERT(log->producers != NULL);
    int64_t last = log->snapshot_count == 0 ? -1 : log->snapshots[log->snapshot_count - 1];
    if (offset <= last) /* an empty one counts too: it says that nothing need be read again */
        return ERR_OK;
    if (!log_file_path(path, log->home.dir, offset, LOG_FILE_SNAPSHOT))
        return ERR_INVALID;
    buf_init(&text, SNAPSHOT_BYTES_MAX);
    enum err err = producer_state_encode(log->producers, &text);
    if (err == ERR_OK)
        err = env_open(log->env, path, ENV_OPEN_WRITE | ENV_OPEN_CREATE | ENV_OPEN_TRUNCATE, &file);
    if (err == ERR_OK) {
        err = env_write_at(file, 0, buf_bytes(&text));
        env_file_close(&file);
        if (err == ERR_OK)
            err = log_snapshot_note(log, offset);
    }
    buf_fini(&text);
    if (err == ERR_NOSPACE || err == ERR_LIMIT)
        return ERR_OK; /* torn ones are found out by their checksum; the log has it all */
    return err;
}

/* Which snapshot to begin with. One keeps only the last batch of a producer, as Kafka's format has
 * it, but a producer may send its last five again, after a crash or when a connection broke just
 * before a stop: an older one serves while there is not much to read on top of it. -1: none, the
 * log has it all. */
static int32_t
snapshot_choice(const struct log *log)
{
    int32_t n = log->snapshot_count - 1, i = log->segment_count;
    int64_t bytes = 0, bytes_max = log->clean ? WINDOW_BYTES_MAX_CLEAN : WINDOW_BYTES_MAX;
    if (log->snapshots[n] > log_end_offset(log))
        return n;
    while (n >= 0) {
        int64_t from = n > 0 ? log->snapshots[n - 1] : 0; /* nothing was before offset 0 */
        while (i > 0 && log->segments[i - 1]->base_offset >= from)
            bytes += log->segments[--i]->size_bytes;
        if (bytes > bytes_max || from < log->segments[0]->base_offset ||
            from < log_start_offset(log))
            break;
        n--;
    }
    return n;
}

/* The newest fitting snapshot below the log end that can be read; *offset is where replay begins.
 */
static enum err
snapshot_load(struct log *log, struct producer_state *ps, int64_t *offset)
{
    for (int32_t n; log->snapshot_count > 0 && (n = snapshot_choice(log)) >= 0;) {
        char path[LOG_PATH_MAX];
        char *data;
        size_t len;
        int64_t at = log->snapshots[n];
        if (!log_file_path(path, log->home.dir, at, LOG_FILE_SNAPSHOT))
            return ERR_INVALID;
        enum err err = ERR_CORRUPT;
        if (at <= log_end_offset(log)) {
            err = env_read_file(log->env, path, SNAPSHOT_BYTES_MAX, &data, &len);
            if (err == ERR_OK) {
                err = producer_state_decode(
                    ps, (struct bytes){(const uint8_t *)data, len}, at, env_wall_ms(log->env));
                mem_free(data);
            }
        }
        if (err == ERR_OK) {
            *offset = at;
            return ERR_OK;
        }
        if (err != ERR_CORRUPT && err != ERR_NOTFOUND && err != ERR_LIMIT)
            return err;
        diag_event(env_diag(log->env), DIAG_WARN, "log", "producer_snapshot_dropped",
            DIAG_Z("dir", log->home.dir), DIAG_I64("offset", at), DIAG_ERR("cause", err));
        err = snapshot_unlink(log, at);
        if (err != ERR_OK)
            return err;
    }
    /* Even after a clean stop: it may have been lost since, or the disk was full. */
    producer_state_reset(ps, log_start_offset(log));
    *offset = log_start_offset(log);
    return ERR_OK;
}

struct replay {
    struct log *log;
    enum err err;
};

static void
replay_txn_end(void *ctx, const struct producer_txn_end *end, int64_t lso)
{
    struct replay *r = ctx;
    struct log *log = r->log;
    if (!end->aborted || end->last_offset < log->txn_rebuild_from || r->err != ERR_OK)
        return;
    struct txn_index_entry entry = {
        .producer_id = end->producer_id,
        .first_offset = end->first_offset,
        .last_offset = end->last_offset,
        .last_stable_offset = lso,
    };
    int32_t i = log_segment_floor(log, end->last_offset);
    ASSERT(i >= 0);
    r->err = txn_index_append(log->segments[i], &entry);
}

static enum err
replay_batch(struct replay *r, struct log_segment *seg, struct producer_state *ps,
    struct batch_view *batch, int64_t at)
{
    struct segment_scan scan;
    enum err err = ERR_OK;
    if (!batch_is_control(batch)) {
        err = producer_state_replay(ps, batch, replay_txn_end, r);
        return err == ERR_OK ? r->err : err;
    }
    err = segment_scan_begin(&scan, seg, at);
    if (err == ERR_OK) {
        scan.end = at + (int64_t)batch->size_bytes;
        err = segment_scan_next(&scan, batch, &at);
        if (err == ERR_OK)
            err = producer_state_replay(ps, batch, replay_txn_end, r);
        segment_scan_end(&scan);
    }
    return err == ERR_OK ? r->err : err;
}

/* Takes in the batches of one segment from `offset` on; whole ones only where records matter.
 * Damaged ones are passed over: what they said of producers is lost with them. */
static enum err
replay_segment(struct log *log, struct log_segment *seg, struct producer_state *ps, int64_t offset)
{
    struct segment_window w;
    struct batch_view batch;
    struct replay replay = {.log = log};
    int64_t at = 0;
    segment_window_init(&w, NULL);
    enum err err = segment_find(seg, &w, offset, -1, &batch, &at);
    for (;;) {
        if (err == ERR_CORRUPT || err == ERR_TRUNCATED)
            err = segment_find_sound(seg, offset, &batch, &at);
        if (err != ERR_OK)
            break;
        offset = batch_last_offset(&batch) + 1;
        err = replay_batch(&replay, seg, ps, &batch, at);
        at += (int64_t)batch.size_bytes;
        if (err == ERR_OK)
            err = segment_header(seg, &w, at, &batch);
        if (err == ERR_OK && batch_last_offset(&batch) < offset)
            err = ERR_CORRUPT;
    }
    segment_window_fini(&w);
    return err == ERR_RANGE ? ERR_OK : err;
}

enum err
log_producers_load(struct log *log)
{
    struct producer_state *ps;
    struct producer_state_opts opts = {
        .expiration_ms = log->producer_expiration_ms > 0 ? log->producer_expiration_ms : DAY_MS};
    int64_t offset;
    if (log->producers != NULL)
        return ERR_OK;
    enum err err = producer_state_new(&opts, &ps);
    if (err != ERR_OK)
        return err;
    err = snapshot_load(log, ps, &offset);
    int64_t end = log_end_offset(log);
    int32_t i = log_segment_floor(log, offset);
    for (i = i < 0 ? 0 : i; err == ERR_OK && offset < end && i < log->segment_count; i++) {
        if (log->segments[i]->size_bytes > 0)
            err = replay_segment(log, log->segments[i], ps, offset);
    }
    if (err != ERR_OK) {
        producer_state_free(&ps);
        return err;
    }
    producer_state_set_end_offset(ps, end);
    producer_state_log_start(ps, log_start_offset(log));
    producer_state_high_watermark(ps, log_high_watermark(log));
    log->producers = ps;
    return ERR_OK;
}

enum err
log_producers_truncate(struct log *log, int64_t offset)
{
    producer_state_free(&log->producers);
    while (log->snapshot_count > 0 && log->snapshots[log->snapshot_count - 1] > offset) {
        enum err err = snapshot_unlink(log, log->snapshots[log->snapshot_count - 1]);
        if (err != ERR_OK)
            return err;
    }
    /* What is left must be read again, even where the log was opened cleanly. */
    log->clean = false;
    log->txn_rebuild_from = INT64_MAX;
    return ERR_OK;
}

int64_t
log_last_stable_offset(const struct log *log)
{
    int64_t hw = log_high_watermark(log);
    /* Loading changes nothing that a caller could see but memory. */
    if (log_producers_load((struct log *)log) != ERR_OK)
        return log_start_offset(log); /* when in doubt nothing is stable */
    int64_t unstable = producer_state_first_unstable(log->producers);
    return unstable >= 0 && unstable < hw ? unstable : hw;
}

static void
info_of(const struct producer_entry *entry, struct log_producer_info *info)
{
    *info = (struct log_producer_info){
        .producer_id = entry->producer_id,
        .producer_epoch = entry->producer_epoch,
        .last_sequence = entry->batch_count == 0
                             ? BATCH_NO_SEQUENCE
                             : entry->batches[entry->batch_count - 1].last_sequence,
        .last_timestamp = entry->last_timestamp,
        .coordinator_epoch = entry->coordinator_epoch,
        .txn_first_offset = entry->txn_first_offset,
    };
}

struct each {
    void (*fn)(void *ctx, const struct log_producer_info *info);
    void *ctx;
};

static bool
each_entry(void *ctx, const struct producer_entry *entry)
{
    struct each *each = ctx;
    struct log_producer_info info;
    info_of(entry, &info);
    each->fn(each->ctx, &info);
    return true;
}

void
log_producers(
    struct log *log, void (*fn)(void *ctx, const struct log_producer_info *info), void *ctx)
{
    struct each each = {fn, ctx};
    if (log_producers_load(log) == ERR_OK)
        producer_state_each(log->producers, each_entry, &each);
}

int32_t
log_producer_count(const struct log *log)
{
    return log->producers != NULL ? producer_state_count(log->producers) : 0;
}

bool
log_producer_find(const struct log *log, int64_t producer_id, struct log_producer_info *out)
{
    if (log_producers_load((struct log *)log) != ERR_OK)
        return false;
    const struct producer_entry *entry = producer_state_find(log->producers, producer_id);
    if (entry == NULL)
        return false;
    info_of(entry, out);
    return true;
}

void
log_producers_expire(struct log *log, int64_t wall_ms)
{
    if (log->producers != NULL)
        producer_state_expire(log->producers, wall_ms);
}

void
log_producers_set_expiration(struct log *log, int64_t expiration_ms)
{
    ASSERT(expiration_ms > 0);
    log->producer_expiration_ms = expiration_ms;
    if (log->producers != NULL)
        producer_state_set_expiration(log->producers, expiration_ms);
}
