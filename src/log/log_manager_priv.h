/* log/log_manager_priv.h - bodies shared by the manager's files and their tests. */
#ifndef LOG_LOG_MANAGER_PRIV_H
#define LOG_LOG_MANAGER_PRIV_H

#include "base/list.h"
#include "base/map.h"
#include "log/file_name.h"
#include "log/log_host.h"
#include "log/log_manager.h"
#include "os/mutex.h"

/* "<topic>-<partition>": no two partitions have the same. */
enum { LOG_KEY_SIZE = LOG_NAME_MAX + 1 };
#define LOG_METADATA_TOPIC "__cluster_metadata"

struct managed_dir {
    struct log_host host; /* first: hosts are taken for their directory */
    struct log_manager *mgr;
    char *path; /* owned */
    struct uuid id;
    struct env_file *lock;         /* owned */
    struct env_file *volume;       /* owned; NULL: cannot be synced as a whole */
    bool names_dirty;              /* not synced; guarded by the mutex once it is open */
    int32_t log_count;             /* found at the start */
    bool settle_later;             /* those are made durable together */
    bool clean;                    /* stopped cleanly before this start */
    bool in_use;                   /* the last run was ours and did not end cleanly */
    bool checkpointed;             /* the recovery points could be read */
    _Atomic bool cleaned_known;    /* there is a cleaner's checkpoint, or something to say in one */
    bool cleaned_stale;            /* it tells of logs that are gone */
    int64_t broker_epoch;          /* of that stop; -1 unknown */
    uint64_t checkpoint_hashes[4]; /* of the texts written last; guarded by `duty` */
};

/* The key is the name; of a copy (log_copies.c) it goes on behind the name's zero. */
struct managed_log {
    UT_hash_handle hh;
    struct log *log; /* owned */
    struct managed_dir *dir;
    char key[];
};

/* One log found in a directory, before it is opened; and what the checkpoints say of it. */
struct load_item {
    UT_hash_handle hh;
    struct load_item *other; /* of the same name, in another directory; owned */
    struct managed_dir *dir;
    int64_t recovery_point, start_offset, high_watermark;
    int64_t cleaned_end; /* -1 */
    struct log *log;     /* owned until it is in the table */
    enum err err;
    int32_t partition;
    size_t topic_len;
    char key[];
};

struct delete_item {
    struct list link;
    int64_t due_ms;
    bool is_dir;
    char path[];
};

struct log_manager {
    /* Fixed at open. */
    struct env *env;
    struct log_manager_opts opts; /* without the pointers that were the caller's */
    char *cluster_id;             /* owned */
    struct managed_dir *dirs;     /* owned */
    int dir_count;
    struct file_cache *files;
    int64_t previous_broker_epoch;

    struct mutex checkpoint_mutex; /* CHECKPOINTS: one checkpoint is written at a time */
    struct mutex mutex;            /* LOG_MANAGER */
    struct managed_log *logs;
    int32_t copy_count;       /* of those that share a name with another */
    struct log *metadata_log; /* owned; NULL until asked for */
    int64_t metadata_recovery_point, metadata_start_offset, metadata_high_watermark;
    bool metadata_known;

    struct mutex queue_mutex; /* LEAF */
    struct list deletes;

    _Atomic int64_t logs_loaded, logs_to_load;
};

enum log_checkpoint_kind {
    LOG_CHECKPOINT_RECOVERY_POINT,
    LOG_CHECKPOINT_LOG_START,
    LOG_CHECKPOINT_HIGH_WATERMARK,
    LOG_CHECKPOINT_CLEANED, /* of the cleaner, ours or Kafka's */
    LOG_CHECKPOINT_KIND_COUNT,
};

bool log_key(char out[LOG_KEY_SIZE], struct str topic, int32_t partition);

/* ---- log_copies.c: one name in several directories; the mutex is held ---- */

/* The main one; NULL when there is none. */
struct managed_log *log_entry_find(struct log_manager *mgr, struct str topic, int32_t partition);
/* Takes the log over. As a copy when there is one of the name. */
MUST_USE enum err log_entry_add(struct log_manager *mgr, struct managed_dir *dir, struct log *log);
/* Takes the log out of the table; a copy of it becomes the main one. */
struct managed_dir *log_entry_remove(struct log_manager *mgr, const struct log *log);

/* ---- log_dir.c: one directory ---- */

/* Creates, locks, formats or checks it, and reads the clean marker. Writes an explanation when it
 * fails for a reason that people must mend (BUSY, INVALID). */
MUST_USE enum err log_dir_open(struct log_manager *mgr, struct managed_dir *dir, char *explanation);
void log_dir_close(struct managed_dir *dir);
/* From here on only we write there, and unless log_dir_write_clean comes the next start knows. The
 * recovery points are durable before. */
MUST_USE enum err log_dir_mark_in_use(struct managed_dir *dir);
/* After a failed sync what is read is perhaps not on the disk (log_fail). Where the directory takes
 * not even a mark of that, another does, for all of its logs, until the next start that had it. It
 * need not be durable. */
void log_dir_note_doubt(struct log_manager *mgr, const struct managed_dir *dir);
bool log_dir_is_in_doubt(struct log_manager *mgr, const struct managed_dir *dir);
void log_dir_end_doubt(struct log_manager *mgr, struct managed_dir *dir);
/* All logs are open and synced: what the last run's journal had is in them. */
MUST_USE enum err log_dir_begin_journal(struct managed_dir *dir);
MUST_USE enum err log_dir_write_clean(struct managed_dir *dir, int64_t broker_epoch);

/* ---- log_load.c: all logs of all directories ---- */

MUST_USE enum err log_load_all(struct log_manager *mgr);
/* Closes all logs and writes the checkpoints and the clean markers. */
void log_unload_all(struct log_manager *mgr, int64_t broker_epoch);
/* What recovery may take for granted about the logs of a directory. */
bool log_dir_gaps_are_losses(const struct managed_dir *dir);

/* Runs fn(ctx, i) for each i below count, side by side when the manager has a pool. */
MUST_USE enum err log_manager_parallel(
    struct log_manager *mgr, int32_t count, void (*fn)(void *ctx, int32_t i), void *ctx);

/* ---- log_settle.c ---- */

/* Up to so many logs sync their own files: a volume may have much that is not ours to write. */
enum { LOG_SETTLE_ALONE_MAX = 4 };

struct settle_item {
    struct managed_dir *dir; /* with a volume */
    struct log *log;
    bool dirty;    /* the caller's */
    int32_t place; /* the caller's */
    enum err err;  /* OK, or nothing is done to it; then what came of it */
};
/* Makes the logs durable up to their ends. They are in nobody else's hands. */
void log_manager_settle(struct log_manager *mgr, struct settle_item *items, int32_t count);

/* ---- log_checkpoints.c ---- */

const char *log_checkpoint_name(enum log_checkpoint_kind kind);
void log_checkpoint_write(struct log_manager *mgr, enum log_checkpoint_kind kind);
/* One directory's; an error is the caller's business. */
MUST_USE enum err log_checkpoint_write_dir(struct managed_dir *dir, enum log_checkpoint_kind kind);
/* The same, but for the sync of the directory. */
MUST_USE enum err log_checkpoint_put_dir(struct managed_dir *dir, enum log_checkpoint_kind kind);
/* At close: the numbers come from the caller. */
struct closed_log {
    struct managed_dir *dir;
    char key[LOG_KEY_SIZE];
    int64_t recovery_point, start_offset, segment_start, high_watermark, end_offset, cleaned_end;
};
/* What was read is what would be written: the file stays as it is until something changes. */
void log_checkpoint_take_as_written(
    struct log_manager *mgr, struct managed_dir *dir, enum log_checkpoint_kind kind);
MUST_USE enum err log_checkpoint_write_closed(struct managed_dir *dir,
    enum log_checkpoint_kind kind, const struct closed_log *logs, int32_t count);

/* ---- log_deletes.c: files and directories that go later ---- */

void log_deletes_push(struct log_manager *mgr, const char *path, bool is_dir, int64_t delay_ms);
void log_deletes_free(struct log_manager *mgr);

#endif
