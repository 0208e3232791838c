/* log/journal.h - small flushes of many logs made durable by one write to one file.
 *
 * A group commit that syncs each log's own file costs a sync for every log and, where files grow, a
 * commit of the file system's journal each time. Instead what a few logs of one directory have to
 * make durable is copied into `moldau-journal-a` or `-b` there and synced once; the segments are
 * synced later, many small writes at a time. After an unclean stop recovery takes from the journal
 * what did not reach the segments (log/redo.h). A clean stop leaves no journal.
 *
 * The two files take turns; one turn is a lap. A lap may begin when no log needs what the file
 * still holds, that is, after each of them was synced by itself. When that is not so yet the
 * journal is full and flushes go to the segments as if there were none.
 *
 * See docs/decisions/journal.md.
 *
 * Threads: submit, full, hold and release from any; the tickets' functions run on the pool, one
 * batch at a time. Errors: a failed write or sync is final, and every log in the batch is told. */
#ifndef LOG_JOURNAL_H
#define LOG_JOURNAL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"
#include "base/list.h"
#include "base/uuid.h"
#include "os/env.h"
#include "os/loop.h"

struct log_journal;

/* The most that one flush of one log may bring: above it the copy costs more than a sync. */
enum { LOG_JOURNAL_ENTRY_MAX = 128 << 10 };

struct log_journal_opts {
    struct env *env;
    struct pool *pool;
    const char *dir;           /* the entry of log.dirs; copied */
    int64_t lap_bytes;         /* of each of the two files */
    void (*turned)(void *ctx); /* a lap ended: sync what is held; pool thread; may be NULL */
    void *ctx;
};

/* Makes no file yet. */
MUST_USE enum err log_journal_new(const struct log_journal_opts *opts, struct log_journal **out);
/* No ticket is under way. The files stay. */
void log_journal_free(struct log_journal **journal);
/* Removes both files, durably with the next sync of the directory. */
MUST_USE enum err log_journal_remove(struct env *env, const char *dir);

/* One log's wish, owned by the caller until `end`. */
struct log_journal_ticket {
    struct list link;
    /* Appends entries (log_journal_add) to `out`, or nothing. */
    void (*begin)(struct log_journal_ticket *ticket, struct buf *out);
    /* OK: durable, in that lap. LIMIT: not now, flush the segments. Else the directory failed. May
     * submit again. */
    void (*end)(struct log_journal_ticket *ticket, enum err err, uint64_t lap);
};
void log_journal_submit(struct log_journal *journal, struct log_journal_ticket *ticket);
/* True when a ticket would hardly succeed. */
bool log_journal_is_full(const struct log_journal *journal);

/* What a log has in the journal keeps the lap's file from being written over. */
void log_journal_hold(struct log_journal *journal, uint64_t lap);
void log_journal_release(struct log_journal *journal, uint64_t lap);

/* Bytes of one segment. A truncation does not take back what the journal has: nothing of it was
 * committed, or it would not be truncated, and a log may end anywhere behind what was. */
struct log_journal_entry {
    struct str key; /* "<topic>-<partition>" */
    struct uuid topic_id;
    int64_t segment_base;
    int64_t position;
    size_t len;
};
/* Appends the entry's head and gives room for its bytes; NULL and latched when there is none. */
uint8_t *log_journal_add(struct buf *out, const struct log_journal_entry *entry);

/* ---- format, for the redo ---- */

/* Laps are numbered from a random number on, lap n in file n modulo 2. What stands in a file behind
 * its lap's batches is of older laps, and may be anything that clients sent.
 * A batch: magic, CRC-32C of all that follows, lap, number within the lap, length of the entries;
 * entries; zeros up to the next multiple of LOG_JOURNAL_ALIGN. An entry: length of the key and of
 * the bytes, topic id, segment, position, key, bytes. Numbers are big-endian. */
enum {
    LOG_JOURNAL_FILES = 2,
    LOG_JOURNAL_ALIGN = 512,
    LOG_JOURNAL_MAGIC = 0x4d4a3031,
    LOG_JOURNAL_HEAD = 24,
    LOG_JOURNAL_ENTRY_HEAD = 4 + 4 + 16 + 8 + 8,
    LOG_JOURNAL_BATCH_MAX = 1 << 20,
};
const char *log_journal_file_name(int index);
/* Takes the entry at the front; its bytes follow the call's advance of *in. False: no entry. */
bool log_journal_parse(struct bytes *in, struct log_journal_entry *entry, const uint8_t **data);

#endif
