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
#include "wire/crc32c.h"

enum { FILE_BYTES_MAX = 1 << 30 };

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
    uint8_t *data; /* owned */
    size_t len;
    uint64_t lap; /* 0: none */
};

/* The batch at `at`: its entries, and where the next one stands. */
static bool
batch_at(const struct redo_text *text, size_t at, struct bytes *entries, size_t *next)
{
    const uint8_t *head = text->data + at;
    if (at + LOG_JOURNAL_HEAD > text->len || load_be32(head) != LOG_JOURNAL_MAGIC)
        return false;
    size_t len = load_be32(head + 20);
    if (len > text->len - at - LOG_JOURNAL_HEAD ||
        crc32c((struct bytes){head + 8, LOG_JOURNAL_HEAD - 8 + len}) != load_be32(head + 4))
        return false;
    size_t size = LOG_JOURNAL_HEAD + len;
    *entries = (struct bytes){head + LOG_JOURNAL_HEAD, len};
    *next = at + (size + LOG_JOURNAL_ALIGN - 1) / LOG_JOURNAL_ALIGN * LOG_JOURNAL_ALIGN;
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
            .at = data - text->data,
            .len = (uint32_t)entry.len,
            .file = file};
        if (log == NULL || redo_add(log, &piece) != ERR_OK)
            return ERR_NOMEM;
    }
    return ERR_OK;
}

/* All batches of the file's lap, in order. */
static enum err
take_file(struct log_redo *redo, const char *dir, int file, const struct redo_text *text)
{
    uint32_t number = 0;
    size_t at = 0, broken_at = 0;
    bool broken = false;
    while (at + LOG_JOURNAL_HEAD <= text->len) {
        struct bytes entries;
        size_t next;
        if (!batch_at(text, at, &entries, &next) || load_be64(text->data + at + 8) != text->lap ||
            load_be32(text->data + at + 16) < number) {
            broken_at = broken ? broken_at : at;
            broken = true;
            at += LOG_JOURNAL_ALIGN;
            continue;
        }
        if (broken)
            diag_event(env_diag(redo->env), DIAG_ERROR, "log", "journal_damaged",
                DIAG_Z("dir", dir), DIAG_Z("file", log_journal_file_name(file)),
                DIAG_I64("position", (int64_t)broken_at),
                DIAG_I64("bytes", (int64_t)(at - broken_at)));
        broken = false;
        enum err err = take_entries(redo, file, text, entries);
        if (err != ERR_OK)
            return err;
        number = load_be32(text->data + at + 16) + 1;
        at = next;
    }
    return ERR_OK;
}

/* The lap of the file is that of its first batch. Where that one is broken, the highest that goes
 * with the other file's: what clients sent may look like a batch, but not of a lap they guessed. */
static uint64_t
lap_of(const struct redo_text *text, uint64_t other)
{
    uint64_t highest = 0;
    struct bytes entries;
    size_t next;
    if (batch_at(text, 0, &entries, &next))
        return load_be64(text->data + 8);
    for (size_t at = 0; at + LOG_JOURNAL_HEAD <= text->len; at += LOG_JOURNAL_ALIGN)
        if (batch_at(text, at, &entries, &next)) {
            uint64_t lap = load_be64(text->data + at + 8);
            if (lap > highest && (other == 0 || lap == other + 1 || lap + 1 == other))
                highest = lap;
            at = next - LOG_JOURNAL_ALIGN;
        }
    return highest;
}

/* A file whose first batch is whole knows its lap by itself, and helps the other. */
static void
find_laps(struct redo_text texts[LOG_JOURNAL_FILES])
{
    struct bytes entries;
    size_t next;
    int sure = batch_at(&texts[0], 0, &entries, &next) ? 0 : 1;
    texts[sure].lap = lap_of(&texts[sure], 0);
    texts[1 - sure].lap = lap_of(&texts[1 - sure], texts[sure].lap);
}

static enum err
read_file(struct log_redo *redo, const char *dir, int file, struct redo_text *text)
{
    char path[LOG_PATH_MAX];
    int64_t size;
    *text = (struct redo_text){0};
    if (!log_path_join(path, dir, log_journal_file_name(file)))
        return ERR_INVALID;
    enum err err = env_open(redo->env, path, ENV_OPEN_READ, &redo->files[file]);
    if (err == ERR_NOTFOUND)
        return ERR_OK;
    if (err == ERR_OK)
        err = env_file_size(redo->files[file], &size);
    if (err != ERR_OK)
        return err;
    if (size > FILE_BYTES_MAX)
        size = FILE_BYTES_MAX;
    text->data = mem_alloc((size_t)size + 1);
    if (text->data == NULL)
        return ERR_NOMEM;
    return env_read_at(redo->files[file], 0, text->data, (size_t)size, &text->len);
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
        err = read_file(redo, dir, i, &texts[i]);
    if (err == ERR_OK)
        find_laps(texts);
    int first = texts[0].lap < texts[1].lap ? 0 : 1;
    for (int n = 0; n < LOG_JOURNAL_FILES && err == ERR_OK; n++) {
        int i = n == 0 ? first : 1 - first;
        if (texts[i].lap > 0)
            err = take_file(redo, dir, i, &texts[i]);
    }
    for (int i = 0; i < LOG_JOURNAL_FILES; i++)
        mem_free(texts[i].data);
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
    if (log == NULL || !uuid_eq(log->topic_id, want->topic_id))
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

int64_t
log_redo_bytes(const struct log_redo *redo)
{
    return atomic_load(&redo->bytes);
}
