/* What: the journal's files as a table: log -> pieces of its segments, in order.
 *
 * Invariants: I1 pieces of one log ascend by segment and position, and do not overlap: whatever was
 * written later stands alone. I2 a piece's bytes are read from the file when they are asked for.
 * Threads: redo.h. Errors: IO, NOMEM; damage is passed over. */
#include "log/redo.h"

#include <stdatomic.h>
#include <string.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/diag.h"
#include "base/map.h"
#include "log/file_name.h"
#include "log/journal.h"
#include "wire/batch.h"
#include "wire/crc32c.h"

enum {
    FILE_BYTES_MAX = 1 << 30,
    BATCH_LEN_MAX = LOG_JOURNAL_BATCH_MAX + LOG_JOURNAL_ENTRY_MAX + 4096,
    WINDOW_BYTES = 4 << 20, /* of a file, in memory while it is looked through */
};

struct redo_piece {
    int64_t segment_base, position;
    int64_t at; /* in the journal's file */
    uint32_t len;
    int file;
};

struct redo_log {
    UT_hash_handle hh;
    struct redo_piece *pieces; /* owned */
    int32_t count, capacity;
    struct uuid topic_id;
    char key[];
};

struct log_redo {
    struct env *env;
    struct env_file *files[LOG_JOURNAL_FILES]; /* owned; NULL when missing */
    struct redo_log *logs;
    _Atomic int64_t bytes;
};

/* ---- the table ---- */

static struct redo_log *
redo_find(struct log_redo *redo, struct str key)
{
    struct redo_log *log;
    HASH_FIND(hh, redo->logs, key.data, key.len, log);
    return log;
}

static struct redo_log *
redo_find_or_add(struct log_redo *redo, struct str key, struct uuid topic_id)
{
    struct redo_log *log = redo_find(redo, key);
    if (log != NULL && !uuid_eq(log->topic_id, topic_id)) {
        log->count = 0; /* deleted, and made again under the same name */
        log->topic_id = topic_id;
    }
    if (log != NULL)
        return log;
    log = mem_calloc(1, sizeof *log + key.len + 1);
    if (log == NULL)
        return NULL;
    memcpy(log->key, key.data, key.len);
    log->topic_id = topic_id;
    HASH_ADD_KEYPTR(hh, redo->logs, log->key, key.len, log);
    if (log->hh.tbl == NULL) {
        mem_free(log);
        return NULL;
    }
    return log;
}

static bool
ends_before(const struct redo_piece *piece, const struct redo_piece *next)
{
    if (piece->segment_base != next->segment_base)
        return piece->segment_base < next->segment_base;
    return piece->position + (int64_t)piece->len <= next->position;
}

static enum err
redo_add(struct redo_log *log, const struct redo_piece *piece)
{
    while (log->count > 0 && !ends_before(&log->pieces[log->count - 1], piece))
        log->count--; /* I1 */
    if (log->count == log->capacity) {
        int32_t capacity = log->capacity == 0 ? 16 : log->capacity * 2;
        void *pieces = mem_realloc(log->pieces, (size_t)capacity * sizeof *log->pieces);
        if (pieces == NULL)
            return ERR_NOMEM;
        log->pieces = pieces;
        log->capacity = capacity;
    }
    log->pieces[log->count++] = *piece;
    return ERR_OK;
}

/* ---- the files ---- */

struct redo_text {
    struct env_file *file; /* the redo's; NULL: there is none */
    int64_t size;
    uint64_t lap;    /* 0: none */
    uint8_t *window; /* owned */
    int64_t window_at;
    size_t window_len;
    enum err err; /* of reading: then nothing is found any more */
};

struct redo_batch {
    uint64_t lap;
    uint32_t number;
    struct bytes entries; /* in the window */
    int64_t next;         /* where the one behind it stands */
};

/* len bytes at `at`, until the next call; NULL when the file has them not. */
static const uint8_t *
text_at(struct redo_text *text, int64_t at, size_t len)
{
    ASSERT(len <= WINDOW_BYTES);
    if (text->err != ERR_OK || at + (int64_t)len > text->size)
        return NULL;
    if (at < text->window_at || at + (int64_t)len > text->window_at + (int64_t)text->window_len) {
        text->window_at = at;
        text->window_len = 0;
        text->err = env_read_at(text->file, at, text->window, WINDOW_BYTES, &text->window_len);
        if (text->err != ERR_OK || text->window_len < len)
            return NULL;
    }
    return text->window + (at - text->window_at);
}

/* The batch at `at`. Its sum is looked at last: what clients sent, and wrote to look like heads,
 * must not make a start slow. */
static bool
batch_at(struct redo_text *text, int64_t at, uint64_t lap_least, uint64_t lap_most,
    struct redo_batch *batch)
{
    const uint8_t *head = text_at(text, at, LOG_JOURNAL_HEAD);
    if (head == NULL || load_be32(head) != LOG_JOURNAL_MAGIC)
        return false;
    size_t len = load_be32(head + 20);
    batch->lap = load_be64(head + 8);
    if (batch->lap < lap_least || batch->lap > lap_most || len > BATCH_LEN_MAX)
        return false;
    head = text_at(text, at, LOG_JOURNAL_HEAD + len);
    if (head == NULL ||
        crc32c((struct bytes){head + 8, LOG_JOURNAL_HEAD - 8 + len}) != load_be32(head + 4))
        return false;
    int64_t size = LOG_JOURNAL_HEAD + (int64_t)len;
    batch->number = load_be32(head + 16);
    batch->entries = (struct bytes){head + LOG_JOURNAL_HEAD, len};
    batch->next = at + (size + LOG_JOURNAL_ALIGN - 1) / LOG_JOURNAL_ALIGN * LOG_JOURNAL_ALIGN;
    return true;
}

static enum err
take_entries(struct log_redo *redo, int file, const struct redo_text *text, struct bytes entries)
{
    struct log_journal_entry entry;
    const uint8_t *data;
    while (log_journal_parse(&entries, &entry, &data)) {
        struct redo_log *log = redo_find_or_add(redo, entry.key, entry.topic_id);
        struct redo_piece piece = {.segment_base = entry.segment_base,
            .position = entry.position,
            .at = text->window_at + (data - text->window),
            .len = (uint32_t)entry.len,
            .file = file};
        if (log == NULL || redo_add(log, &piece) != ERR_OK)
            return ERR_NOMEM;
    }
    return ERR_OK;
}

/* All batches of the file's lap, in order. */
static enum err
take_file(struct log_redo *redo, const char *dir, int file, struct redo_text *text)
{
    uint32_t number = 0;
    int64_t at = 0, broken_at = -1;
    while (at + LOG_JOURNAL_HEAD <= text->size && text->err == ERR_OK) {
        struct redo_batch batch;
        if (!batch_at(text, at, text->lap, text->lap, &batch) || batch.number < number) {
            broken_at = broken_at >= 0 ? broken_at : at;
            at += LOG_JOURNAL_ALIGN;
            continue;
        }
        if (broken_at >= 0)
            diag_event(env_diag(redo->env), DIAG_ERROR, "log", "journal_damaged",
                DIAG_Z("dir", dir), DIAG_Z("file", log_journal_file_name(file)),
                DIAG_I64("position", broken_at), DIAG_I64("bytes", at - broken_at));
        broken_at = -1;
        enum err err = take_entries(redo, file, text, batch.entries);
        if (err != ERR_OK)
            return err;
        number = batch.number + 1;
        at = batch.next;
    }
    return text->err;
}

/* The lap of the file is that of its first batch. Where that one is broken, the highest that goes
 * with the other file's: what clients sent may look like a batch, but not of a lap they guessed. */
static uint64_t
lap_of(struct redo_text *text, uint64_t other)
{
    uint64_t highest = 0, least = 1, most = UINT64_MAX;
    struct redo_batch batch;
    if (batch_at(text, 0, least, most, &batch))
        return batch.lap;
    if (other != 0) {
        least = other - 1;
        most = other + 1;
    }
    for (int64_t at = 0; at + LOG_JOURNAL_HEAD <= text->size; at += LOG_JOURNAL_ALIGN)
        if (batch_at(text, at, least, most, &batch)) {
            if (batch.lap > highest && batch.lap != other)
                highest = batch.lap;
            at = batch.next - LOG_JOURNAL_ALIGN;
        }
    return highest;
}

/* A file whose first batch is whole knows its lap by itself, and helps the other. */
static enum err
find_laps(struct redo_text texts[LOG_JOURNAL_FILES])
{
    struct redo_batch batch;
    int sure = batch_at(&texts[0], 0, 1, UINT64_MAX, &batch) ? 0 : 1;
    texts[sure].lap = lap_of(&texts[sure], 0);
    texts[1 - sure].lap = lap_of(&texts[1 - sure], texts[sure].lap);
    return texts[0].err != ERR_OK ? texts[0].err : texts[1].err;
}

static enum err
open_file(struct log_redo *redo, const char *dir, int file, struct redo_text *text)
{
    char path[LOG_PATH_MAX];
    int64_t size;
    if (!log_path_join(path, dir, log_journal_file_name(file)))
        return ERR_INVALID;
    enum err err = env_open(redo->env, path, ENV_OPEN_READ, &redo->files[file]);
    if (err == ERR_NOTFOUND)
        return ERR_OK;
    if (err == ERR_OK)
        err = env_file_size(redo->files[file], &size);
    if (err != ERR_OK)
        return err;
    text->file = redo->files[file];
    text->window = mem_alloc(WINDOW_BYTES);
    if (text->window == NULL)
        return ERR_NOMEM;
    text->size = size < FILE_BYTES_MAX ? size : FILE_BYTES_MAX;
    return ERR_OK;
}

enum err
log_redo_load(struct env *env, const char *dir, struct log_redo **out)
{
    struct log_redo *redo = mem_calloc(1, sizeof *redo);
    struct redo_text texts[LOG_JOURNAL_FILES] = {{0}};
    enum err err = redo != NULL ? ERR_OK : ERR_NOMEM;
    if (redo != NULL)
        redo->env = env;
    for (int i = 0; i < LOG_JOURNAL_FILES && err == ERR_OK; i++)
        err = open_file(redo, dir, i, &texts[i]);
    if (err == ERR_OK)
        err = find_laps(texts);
    int first = texts[0].lap < texts[1].lap ? 0 : 1;
    for (int n = 0; n < LOG_JOURNAL_FILES && err == ERR_OK; n++) {
        int i = n == 0 ? first : 1 - first;
        if (texts[i].lap > 0)
            err = take_file(redo, dir, i, &texts[i]);
    }
    for (int i = 0; i < LOG_JOURNAL_FILES; i++)
        mem_free(texts[i].window);
    if (err != ERR_OK || redo->logs == NULL)
        log_redo_free(&redo);
    if (err == ERR_OK)
        *out = redo;
    return err;
}

void
log_redo_free(struct log_redo **out)
{
    struct log_redo *redo = *out;
    struct redo_log *log, *next;
    if (redo == NULL)
        return;
    HASH_ITER (hh, redo->logs, log, next) {
        HASH_DEL(redo->logs, log);
        mem_free(log->pieces);
        mem_free(log);
    }
    for (int i = 0; i < LOG_JOURNAL_FILES; i++)
        if (redo->files[i] != NULL)
            env_file_close(&redo->files[i]);
    mem_free(redo);
    *out = NULL;
}

/* ---- giving back ---- */

/* Number of the piece that covers the position; -1: none. */
static int32_t
piece_at(const struct redo_log *log, int64_t segment_base, int64_t position)
{
    int32_t low = 0, high = log->count;
    while (low < high) { /* the first that ends behind it */
        int32_t mid = low + (high - low) / 2;
        const struct redo_piece *piece = &log->pieces[mid];
        bool before = piece->segment_base != segment_base
                          ? piece->segment_base < segment_base
                          : piece->position + (int64_t)piece->len <= position;
        if (before)
            low = mid + 1;
        else
            high = mid;
    }
    if (low == log->count || log->pieces[low].segment_base != segment_base ||
        log->pieces[low].position > position)
        return -1;
    return low;
}

static enum err
piece_read(struct log_redo *redo, const struct redo_piece *piece, uint8_t *data)
{
    size_t n;
    enum err err = env_read_at(redo->files[piece->file], piece->at, data, piece->len, &n);
    return err == ERR_OK && n < piece->len ? ERR_IO : err;
}

enum err
log_redo_apply(struct log_redo *redo, const struct log_redo_want *want, struct env_file *file,
    int64_t *end_position)
{
    struct redo_log *log = redo_find(redo, want->key);
    bool known = !uuid_is_zero(want->topic_id);
    if (log == NULL || (known && !uuid_eq(log->topic_id, want->topic_id)))
        return ERR_NOTFOUND;
    int32_t i = piece_at(log, want->segment_base, want->position);
    if (i < 0)
        return ERR_NOTFOUND;
    uint8_t *data = mem_alloc(LOG_JOURNAL_ENTRY_MAX);
    if (data == NULL)
        return ERR_NOMEM;
    size_t skip = (size_t)(want->position - log->pieces[i].position);
    enum err err = piece_read(redo, &log->pieces[i], data);
    /* Its checksum is not asked for: what rotted before it was copied was acknowledged all the
     * same, and recovery is to see it as damage, not as a torn write. */
    if (err == ERR_OK && (log->pieces[i].len - skip < sizeof(int64_t) ||
                             (int64_t)load_be64(data + skip) != want->offset_next))
        err = ERR_NOTFOUND;
    for (; err == ERR_OK && i < log->count && log->pieces[i].segment_base == want->segment_base;
         i++) {
        const struct redo_piece *piece = &log->pieces[i];
        err = piece_read(redo, piece, data);
        if (err == ERR_OK)
            err = env_write_at(file, piece->position + (int64_t)skip,
                (struct bytes){data + skip, piece->len - skip});
        if (err == ERR_OK) {
            *end_position = piece->position + (int64_t)piece->len;
            atomic_fetch_add(&redo->bytes, (int64_t)(piece->len - skip));
        }
        skip = 0;
    }
    mem_free(data);
    return err;
}

/* Whether the file has a whole batch there: then it is later than the journal's, or the same. */
static bool
stands_there(struct env_file *file, int64_t position, struct buf *scratch)
{
    struct batch_view batch;
    size_t n = 0, size;
    buf_clear(scratch);
    uint8_t *data = buf_extend(scratch, BATCH_HEADER_SIZE);
    if (data == NULL || env_read_at(file, position, data, BATCH_HEADER_SIZE, &n) != ERR_OK ||
        batch_peek_size((struct bytes){data, n}, &size) != ERR_OK || size > BATCH_LEN_MAX)
        return false;
    buf_clear(scratch);
    data = buf_extend(scratch, size);
    return data != NULL && env_read_at(file, position, data, size, &n) == ERR_OK &&
           batch_parse((struct bytes){data, n}, &batch) == ERR_OK && batch_crc_ok(&batch);
}

struct redo_fill {
    struct log_redo *redo;
    const struct log_redo_want *want;
    struct env_file *file;
    struct buf scratch;
    bool any;
};

/* The batches of one piece, whose bytes are in data. */
static enum err
fill_piece(struct redo_fill *fill, const struct redo_piece *piece, const uint8_t *data)
{
    struct batch_view batch;
    struct bytes rest = {data, piece->len};
    int64_t position = piece->position;
    enum err err = ERR_OK;
    while (err == ERR_OK && rest.len > 0 && batch_parse(rest, &batch) == ERR_OK &&
           batch_crc_ok(&batch)) {
        if (position > fill->want->position && batch.base_offset >= fill->want->offset_next) {
            fill->any = true;
            if (!stands_there(fill->file, position, &fill->scratch)) {
                err =
                    env_write_at(fill->file, position, (struct bytes){rest.data, batch.size_bytes});
                atomic_fetch_add(&fill->redo->bytes, (int64_t)batch.size_bytes);
            }
        }
        position += (int64_t)batch.size_bytes;
        rest.data += batch.size_bytes;
        rest.len -= batch.size_bytes;
    }
    return err;
}

enum err
log_redo_fill(
    struct log_redo *redo, const struct log_redo_want *want, struct env_file *file, bool *any)
{
    struct redo_log *log = redo_find(redo, want->key);
    bool known = !uuid_is_zero(want->topic_id);
    struct redo_fill fill = {.redo = redo, .want = want, .file = file};
    if (log == NULL || (known && !uuid_eq(log->topic_id, want->topic_id)))
        return ERR_OK;
    uint8_t *data = mem_alloc(LOG_JOURNAL_ENTRY_MAX);
    if (data == NULL)
        return ERR_NOMEM;
    buf_init(&fill.scratch, BATCH_LEN_MAX);
    enum err err = ERR_OK;
    for (int32_t i = 0; err == ERR_OK && i < log->count; i++) {
        const struct redo_piece *piece = &log->pieces[i];
        if (piece->segment_base != want->segment_base ||
            piece->position + (int64_t)piece->len <= want->position)
            continue;
        err = piece_read(redo, piece, data);
        if (err == ERR_OK)
            err = fill_piece(&fill, piece, data);
    }
    *any = *any || fill.any;
    buf_fini(&fill.scratch);
    mem_free(data);
    return err;
}

int64_t
log_redo_bytes(const struct log_redo *redo)
{
    return atomic_load(&redo->bytes);
}
