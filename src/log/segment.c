/* What: life and writes of one segment. States and invariants: segment.h. */
#include "log/segment.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/assert.h"

enum { RESERVE_FROM = 4 << 20, RESERVE_MAX = 16 << 20, FULL_MS = 100 };

static enum err
segment_new(struct segment_home *home, int64_t base_offset, struct log_segment **out)
{
    ASSERT(base_offset >= 0);
    struct log_segment *seg = mem_calloc(1, sizeof *seg);
    if (seg == NULL)
        return ERR_NOMEM;
    seg->home = home;
    seg->base_offset = base_offset;
    seg->created_ms = env_wall_ms(home->env);
    seg->max_timestamp = SEGMENT_TIMESTAMP_UNKNOWN;
    seg->first_timestamp = SEGMENT_TIMESTAMP_UNKNOWN;
    file_slot_init(&seg->slot);
    file_slot_init(&seg->txn_slot);
    for (int i = 0; i < SEGMENT_INDEX_COUNT; i++)
        segment_index_init(&seg->index[i]);
    *out = seg;
    return ERR_OK;
}

static const char *
phase_suffix(enum log_file_phase phase)
{
    switch (phase) {
    case LOG_FILE_PLAIN: return "";
    case LOG_FILE_CLEANED: return ".cleaned";
    case LOG_FILE_SWAP: return ".swap";
    case LOG_FILE_DELETED: return ".deleted";
    }
    UNREACHABLE();
}

static bool
path_in_phase(const struct log_segment *seg, enum log_file_kind kind, enum log_file_phase phase,
    char out[LOG_PATH_MAX])
{
    const char *suffix = phase_suffix(phase);
    if (!log_file_path(out, seg->home->dir, seg->base_offset, kind) ||
        strlen(out) + strlen(suffix) >= LOG_PATH_MAX)
        return false;
    memcpy(out + strlen(out), suffix, strlen(suffix) + 1);
    return true;
}

bool
segment_path(const struct log_segment *seg, enum log_file_kind kind, char out[LOG_PATH_MAX])
{
    return path_in_phase(seg, kind, seg->phase, out);
}

static enum err
unlink_files(const struct log_segment *seg, const enum log_file_kind *kinds, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char path[LOG_PATH_MAX];
        if (!segment_path(seg, kinds[i], path))
            return ERR_INVALID;
        enum err err = env_unlink(seg->home->env, path);
        if (err != ERR_OK && err != ERR_NOTFOUND)
            return err;
    }
    return ERR_OK;
}

/* What a creation that did not succeed left: an empty segment whose name would lie between what is
 * appended to the one before and the next. */
static enum err
unlink_created(const struct log_segment *seg)
{
    static const enum log_file_kind kinds[] = {LOG_FILE_TIMEINDEX, LOG_FILE_INDEX, LOG_FILE_LOG};
    return unlink_files(seg, kinds, COUNT_OF(kinds));
}

enum err
segment_discard(struct log_segment **seg)
{
    ASSERT((*seg)->size_bytes == 0);
    enum err err = unlink_created(*seg);
    segment_free(seg);
    return err;
}

/* Blocks up to size_bytes, ahead of the data: a write into them costs a third less than one that
 * the file system has to find a place for. Where that cannot be, it is just slower. */
static void
reserve(struct log_segment *seg, struct env_file *file, int64_t size_bytes)
{
    int64_t from = seg->reserved_bytes > seg->size_bytes ? seg->reserved_bytes : seg->size_bytes;
    if (size_bytes > from)
        (void)!env_preallocate(file, from, size_bytes - from);
    seg->reserved_bytes = size_bytes; /* or refused: not asked again for each write */
}

/* As its data grow to size_bytes: a quarter of that, so that what stands empty remains small beside
 * what is there. A small log has nothing reserved. */
static void
reserve_ahead(struct log_segment *seg, int64_t size_bytes)
{
    int64_t more = size_bytes / 4;
    if (size_bytes < RESERVE_FROM || size_bytes <= seg->reserved_bytes)
        return;
    if (more > RESERVE_MAX)
        more = RESERVE_MAX;
    int64_t left = seg->home->config->segment_bytes - size_bytes;
    reserve(seg, seg->dirty_file, size_bytes + (more < left ? more : left > 0 ? left : 0));
}

static enum err
create(struct segment_home *home, int64_t base_offset, enum log_file_phase phase,
    struct log_segment **out)
{
    struct log_segment *seg;
    char path[LOG_PATH_MAX];
    enum err err = segment_new(home, base_offset, &seg);
    if (err != ERR_OK)
        return err;
    seg->phase = phase;
    if (!segment_path(seg, LOG_FILE_LOG, path)) {
        mem_free(seg);
        return ERR_INVALID;
    }
    struct env_file *file;
    err = file_cache_open(home->files, home->env, &seg->slot, path,
        ENV_OPEN_WRITE | ENV_OPEN_CREATE | ENV_OPEN_TRUNCATE | ENV_OPEN_AS_ASKED, &file);
    if (err != ERR_OK) {
        enum err undone = unlink_created(seg);
        mem_free(seg);
        return undone == ERR_OK ? err : undone;
    }
    if (home->config->preallocate)
        reserve(seg, file, home->config->segment_bytes);
    env_file_close(&file);
    seg->mtime_ms = seg->created_ms;
    seg->max_timestamp = BATCH_NO_TIMESTAMP;
    seg->max_timestamp_offset = base_offset;
    for (int i = 0; i < SEGMENT_INDEX_COUNT; i++)
        segment_index_start(seg, (enum segment_index)i);
    err = segment_index_create(seg);
    if (err != ERR_OK) {
        enum err undone = segment_discard(&seg);
        return undone == ERR_OK ? err : undone;
    }
    *out = seg;
    return ERR_OK;
}

enum err
segment_create(struct segment_home *home, int64_t base_offset, struct log_segment **out)
{
    return create(home, base_offset, LOG_FILE_PLAIN, out);
}

/* Files of an unfinished round that this one may not write. */
static enum err
remove_leftovers(const struct log_segment *seg)
{
    static const enum log_file_kind kinds[] = {LOG_FILE_TIMEINDEX, LOG_FILE_TXNINDEX};
    return unlink_files(seg, kinds, COUNT_OF(kinds));
}

enum err
segment_create_cleaned(struct segment_home *home, int64_t base_offset, struct log_segment **out)
{
    struct log_segment *seg;
    enum err err = create(home, base_offset, LOG_FILE_CLEANED, &seg);
    if (err != ERR_OK)
        return err;
    err = remove_leftovers(seg);
    if (err != ERR_OK) {
        segment_free(&seg);
        return err;
    }
    *out = seg;
    return ERR_OK;
}

enum err
segment_set_phase(struct log_segment *seg, enum log_file_phase phase)
{
    static const enum log_file_kind kinds[] = {
        LOG_FILE_LOG, LOG_FILE_INDEX, LOG_FILE_TIMEINDEX, LOG_FILE_TXNINDEX};
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        char from[LOG_PATH_MAX], to[LOG_PATH_MAX];
        if (!segment_path(seg, kinds[i], from) || !path_in_phase(seg, kinds[i], phase, to))
            return ERR_INVALID;
        enum err err = env_rename(seg->home->env, from, to);
        if (err != ERR_OK && (err != ERR_NOTFOUND || kinds[i] == LOG_FILE_LOG))
            return err;
    }
    seg->phase = phase;
    return ERR_OK;
}

/* A file that was written through a descriptor which may be closed since. */
static enum err
sync_named(struct log_segment *seg, enum log_file_kind kind)
{
    char path[LOG_PATH_MAX];
    if (!segment_path(seg, kind, path))
        return ERR_INVALID;
    enum err err = env_sync_path(seg->home->env, path);
    return err == ERR_NOTFOUND ? ERR_OK : err;
}

enum err
segment_sync(struct log_segment *seg)
{
    enum err err =
        seg->dirty_file != NULL ? env_sync(seg->dirty_file) : sync_named(seg, LOG_FILE_LOG);
    for (int kind = LOG_FILE_INDEX; kind <= LOG_FILE_TXNINDEX && err == ERR_OK; kind++)
        err = sync_named(seg, (enum log_file_kind)kind);
    if (err != ERR_OK)
        return err;
    if (seg->dirty_file != NULL)
        env_file_close(&seg->dirty_file);
    for (int i = 0; i < SEGMENT_INDEX_COUNT; i++)
        seg->index[i].unsynced = false;
    seg->txn_unsynced = false;
    return ERR_OK;
}

enum err
segment_open(struct segment_home *home, int64_t base_offset, int64_t size_bytes, int64_t mtime_ms,
    struct log_segment **out)
{
    ASSERT(size_bytes >= 0);
    struct log_segment *seg;
    enum err err = segment_new(home, base_offset, &seg);
    if (err != ERR_OK)
        return err;
    seg->size_bytes = size_bytes;
    seg->checked_from = size_bytes;
    seg->mtime_ms = mtime_ms;
    if (size_bytes == 0) {
        seg->max_timestamp = BATCH_NO_TIMESTAMP;
        seg->max_timestamp_offset = base_offset;
    }
    *out = seg;
    return ERR_OK;
}

void
segment_let_go(struct log_segment *seg)
{
    struct file_cache *files = seg->home->files;
    file_cache_drop(files, &seg->slot);
    file_cache_drop(files, &seg->txn_slot);
    for (int i = 0; i < SEGMENT_INDEX_COUNT; i++)
        file_cache_drop(files, &seg->index[i].slot);
}

void
segment_free(struct log_segment **out)
{
    struct log_segment *seg = *out;
    if (seg == NULL)
        return;
    struct file_cache *files = seg->home->files;
    file_cache_drop(files, &seg->slot);
    file_cache_drop(files, &seg->txn_slot);
    for (int i = 0; i < SEGMENT_INDEX_COUNT; i++)
        segment_index_fini(seg, (enum segment_index)i);
    if (seg->dirty_file != NULL)
        env_file_close(&seg->dirty_file);
    mem_free(seg);
    *out = NULL;
}

enum err
segment_file(struct log_segment *seg, struct env_file **out)
{
    struct segment_home *home = seg->home;
    if (seg->dirty_file != NULL) {
        env_file_ref(seg->dirty_file);
        *out = seg->dirty_file;
        return ERR_OK;
    }
    struct env_file *file = file_cache_get(home->files, &seg->slot);
    if (file == NULL) {
        char path[LOG_PATH_MAX];
        if (!segment_path(seg, LOG_FILE_LOG, path))
            return ERR_INVALID;
        enum err err = file_cache_open(
            home->files, home->env, &seg->slot, path, ENV_OPEN_WRITE | ENV_OPEN_AS_ASKED, &file);
        if (err != ERR_OK)
            return err;
    }
    *out = file;
    return ERR_OK;
}

enum err
segment_write(struct log_segment *seg, struct bytes batches)
{
    ASSERT(batches.len > 0);
    if (seg->dirty_file == NULL) {
        struct env_file *file;
        enum err err = segment_file(seg, &file);
        if (err != ERR_OK)
            return err;
        seg->dirty_file = file; /* I4 */
    }
    if (seg->cut_unsynced && env_now_ms(seg->home->env) < seg->full_until_ms)
        return ERR_NOSPACE;
    if (seg->cut_unsynced) {
        enum err err = env_sync(seg->dirty_file);
        if (err != ERR_OK)
            return err == ERR_NOSPACE ? ERR_IO : err;
        seg->cut_unsynced = false;
    }
    reserve_ahead(seg, seg->size_bytes + (int64_t)batches.len);
    enum err err = env_write_at(seg->dirty_file, seg->size_bytes, batches);
    if (err == ERR_NOSPACE) {
        seg->cut_unsynced = true;
        seg->full_until_ms = env_now_ms(seg->home->env) + FULL_MS;
        seg->reserved_bytes = 0; /* the blocks go with what is cut */
        if (env_truncate(seg->dirty_file, seg->size_bytes) != ERR_OK)
            err = ERR_IO; /* what the write left behind could not be removed */
    }
    if (err != ERR_OK)
        return err;
    seg->size_bytes += (int64_t)batches.len;
    return ERR_OK;
}

enum err
segment_note(struct log_segment *seg, const struct batch_view *batch, int64_t position)
{
    int64_t last_offset = batch_last_offset(batch);
    ASSERT(position >= 0 && position < seg->size_bytes);
    ASSERT(last_offset >= seg->base_offset);
    int64_t max_timestamp, ignored;
    enum err err = segment_max_timestamp(seg, &max_timestamp, &ignored);
    if (err != ERR_OK)
        return err;
    if (batch->max_timestamp > max_timestamp) {
        seg->max_timestamp = batch->max_timestamp;
        seg->max_timestamp_offset = last_offset;
    }
    if (position == 0)
        seg->first_timestamp = batch->max_timestamp;
    if (seg->bytes_since_index > (uint32_t)seg->home->config->index_interval_bytes) {
        uint8_t entry[8];
        store_be32(entry, (uint32_t)(last_offset - seg->base_offset));
        store_be32(entry + 4, (uint32_t)position);
        err = segment_index_append(seg, SEGMENT_INDEX_OFFSET, entry);
        if (err == ERR_OK)
            err = segment_index_append(seg, SEGMENT_INDEX_TIME, NULL);
        if (err != ERR_OK && err != ERR_NOMEM && err != ERR_LIMIT)
            return err;
        if (err == ERR_OK) /* else the next batch gets the entry */
            seg->bytes_since_index = 0;
    }
    seg->bytes_since_index += (uint32_t)batch->size_bytes;
    return ERR_OK;
}

bool
segment_is_full(const struct log_segment *seg, size_t len, int64_t last_offset)
{
    const struct log_config *config = seg->home->config;
    if (last_offset - seg->base_offset > INT32_MAX)
        return true;
    if (seg->size_bytes == 0)
        return false;
    for (int i = 0; i < SEGMENT_INDEX_COUNT; i++) {
        uint32_t max = segment_index_count_max(seg, (enum segment_index)i);
        if (seg->index[i].count + 1 >= max)
            return true;
    }
    return (int64_t)len > config->segment_bytes - seg->size_bytes;
}

/* By this process, or by one that was killed. */
static bool
may_have_reserved(const struct log_segment *seg)
{
    return seg->reserved_bytes > 0 || seg->size_bytes >= RESERVE_FROM;
}

static enum err
give_back(struct log_segment *seg)
{
    struct env_file *file;
    enum err err = segment_file(seg, &file);
    if (err != ERR_OK)
        return err;
    err = env_truncate(file, seg->size_bytes);
    env_file_close(&file);
    seg->reserved_bytes = 0;
    return err;
}

enum err
segment_seal(struct log_segment *seg)
{
    bool touched = seg->index[SEGMENT_INDEX_OFFSET].loaded && seg->index[SEGMENT_INDEX_TIME].loaded;
    if (!touched || seg->size_bytes == 0)
        return ERR_OK; /* nothing was written since it was opened */
    enum err err = segment_index_append(seg, SEGMENT_INDEX_TIME, NULL);
    for (int i = 0; i < SEGMENT_INDEX_COUNT && err == ERR_OK; i++)
        err = segment_index_write_tail(seg, (enum segment_index)i);
    return err == ERR_OK && may_have_reserved(seg) ? give_back(seg) : err;
}

/* The largest timestamp of what is left: the time index's, and that of the batches behind it. */
static enum err
relearn_max_timestamp(struct log_segment *seg)
{
    struct segment_window w;
    struct batch_view batch;
    uint8_t entry[12];
    int64_t at = 0, ignored;
    uint32_t count = seg->index[SEGMENT_INDEX_OFFSET].count;
    enum err err = segment_max_timestamp(seg, &ignored, &ignored);
    if (err == ERR_OK && count > 0) {
        err = segment_index_get(seg, SEGMENT_INDEX_OFFSET, count - 1, NULL, entry);
        at = err == ERR_OK ? segment_index_key_of(SEGMENT_KEY_POSITION, entry) : 0;
    }
    segment_window_init(&w, NULL);
    while (err == ERR_OK && (err = segment_header(seg, &w, at, &batch)) == ERR_OK) {
        if (batch.max_timestamp > seg->max_timestamp) {
            seg->max_timestamp = batch.max_timestamp;
            seg->max_timestamp_offset = batch_last_offset(&batch);
        }
        at += (int64_t)batch.size_bytes;
    }
    segment_window_fini(&w);
    return err == ERR_RANGE || err == ERR_CORRUPT ? ERR_OK : err;
}

enum err
segment_truncate(struct log_segment *seg, int64_t position, int64_t offset)
{
    ASSERT(position >= 0 && position <= seg->size_bytes);
    struct env_file *file;
    uint8_t entry[12];
    int64_t n;
    enum err err = segment_index_load(seg, SEGMENT_INDEX_OFFSET);
    if (err == ERR_OK)
        err = segment_index_load(seg, SEGMENT_INDEX_TIME);
    if (err == ERR_OK)
        err = segment_index_floor(
            seg, SEGMENT_KEY_OFFSET, offset - seg->base_offset - 1, NULL, &n, entry);
    if (err == ERR_OK)
        err = segment_index_truncate(seg, SEGMENT_INDEX_OFFSET, (uint32_t)(n + 1));
    if (err == ERR_OK)
        err = segment_index_floor(
            seg, SEGMENT_KEY_TIME_OFFSET, offset - seg->base_offset - 1, NULL, &n, entry);
    if (err == ERR_OK)
        err = segment_index_truncate(seg, SEGMENT_INDEX_TIME, (uint32_t)(n + 1));
    if (err == ERR_OK)
        err = txn_index_truncate(seg, offset);
    if (err == ERR_OK)
        err = segment_file(seg, &file);
    if (err != ERR_OK)
        return err;
    err = env_truncate(file, position);
    if (err == ERR_OK && seg->dirty_file == NULL) {
        env_file_ref(file); /* the new length must reach the disk before it is overwritten again */
        seg->dirty_file = file;
    }
    env_file_close(&file);
    if (err != ERR_OK)
        return err;
    seg->size_bytes = position;
    if (seg->checked_from > position)
        seg->checked_from = position;
    if (seg->sound_to > position)
        seg->sound_from = seg->sound_to = 0;
    seg->bytes_since_index = 0;
    seg->reserved_bytes = 0;
    seg->max_timestamp = SEGMENT_TIMESTAMP_UNKNOWN;
    if (position == 0) {
        seg->max_timestamp = BATCH_NO_TIMESTAMP;
        seg->max_timestamp_offset = seg->base_offset;
        seg->first_timestamp = SEGMENT_TIMESTAMP_UNKNOWN;
    }
    return position > 0 ? relearn_max_timestamp(seg) : ERR_OK;
}

enum err
segment_mark_deleted(struct log_segment *seg, bool keep_snapshot,
    void (*gone)(void *ctx, const char *path), void *ctx)
{
    struct segment_home *home = seg->home;
    for (int kind = 0; kind < LOG_FILE_KIND_COUNT; kind++) {
        if (kind == LOG_FILE_SNAPSHOT && keep_snapshot)
            continue;
        char from[LOG_PATH_MAX], to[LOG_PATH_MAX + 16];
        if (!log_file_path(from, home->dir, seg->base_offset, (enum log_file_kind)kind))
            return ERR_INVALID;
        snprintf(to, sizeof to, "%s.deleted", from);
        enum err err = env_rename(home->env, from, to);
        if (err == ERR_NOTFOUND)
            continue;
        if (err != ERR_OK)
            return err;
        if (gone != NULL)
            gone(ctx, to);
        else if ((err = env_unlink(home->env, to)) != ERR_OK)
            return err;
    }
    return ERR_OK;
}
