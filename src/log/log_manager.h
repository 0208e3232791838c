/* log/log_manager.h - the log directories of a node and every log in them.
 *
 * Files of a directory that it keeps: .lock, meta.properties, .kafka_cleanshutdown, moldau-in-use
 * and the four checkpoints. A directory whose disk fails goes offline with all its logs; the others
 * go on.
 *
 * Threads: any thread unless said otherwise; one mutex (rank LOG_MANAGER, below PARTITION: do not
 * call these with a partition's lock held, except those marked "under lock"). A `struct log` is
 * owned by the manager and stays valid until its delete, stray or the manager's close; what is done
 * with it needs the partition's lock (log/log.h). */
#ifndef LOG_LOG_MANAGER_H
#define LOG_LOG_MANAGER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"
#include "base/uuid.h"
#include "log/log.h"
#include "log/log_config.h"
#include "os/env.h"
#include "os/loop.h"

struct log_manager;

enum { LOG_MANAGER_DIRS_MAX = 64 };

struct log_manager_opts {
    struct env *env;
    const char *const *dirs; /* log.dirs; copied */
    int dir_count;           /* 1 to LOG_MANAGER_DIRS_MAX */
    struct pool *pool;       /* loads and recovers logs side by side; NULL: one after the other */
    int32_t node_id;
    struct str cluster_id; /* null: taken from the directories; must be given to format */
    bool format;           /* formats directories that have no meta.properties */
    bool first_made;       /* the caller made dirs[0], durably */
    /* log_manager_metadata_log comes before anything else is done with the logs: what the opening
     * makes in dirs[0] gets durable names there, with those of the metadata log. */
    bool metadata_next;
    struct log_config config; /* for logs that topic_config says nothing about */
    /* Fills *config (already the default) for a topic while loading; NULL: default for all. */
    void (*topic_config)(void *ctx, struct str topic, struct log_config *config);
    void *ctx;
    int64_t producer_expiration_ms;
    /* For small flushes of many logs (log/journal.h), on journal_pool: bytes of the two files
     * together; 0 or no pool: none. */
    int64_t journal_bytes;
    struct pool *journal_pool;
    /* What log_needs_journal should be flushed to the segments; any thread. May be NULL. */
    void (*journal_turned)(void *ctx);
    int64_t checkpoint_bytes; /* see log_manager_checkpoint_due; 0: a default */
    int32_t open_files_max;   /* cached file descriptors; 0: a default */
    /* A directory went offline; any thread, maybe under a partition's lock: only hand over. May be
     * NULL. */
    void (*dir_failed)(void *ctx, const char *dir, struct uuid dir_id, enum err err);
};

/* Locks, formats or checks the directories and loads all logs. BUSY: a directory is in use by
 * another process. INVALID: meta.properties of another node or cluster (log_manager_error says).
 * A directory that cannot be read is offline; IO when none is left. Blocks. */
MUST_USE enum err log_manager_open(const struct log_manager_opts *opts, struct log_manager **out);
/* What went wrong in log_manager_open, in one sentence for people. Written whenever it fails. */
enum { LOG_MANAGER_ERROR_SIZE = 512 };
MUST_USE enum err log_manager_open_explained(const struct log_manager_opts *opts,
    char explanation[LOG_MANAGER_ERROR_SIZE], struct log_manager **out);
/* Nobody uses a log any more. Closes all cleanly and writes the clean markers (broker_epoch goes
 * into them; -1 unknown). */
void log_manager_close(struct log_manager **mgr, int64_t broker_epoch);
/* Only frees memory: after a simulated crash. */
void log_manager_abandon(struct log_manager **mgr);

/* From meta.properties. */
struct str log_manager_cluster_id(const struct log_manager *mgr);
/* Broker epoch of the last clean stop; -1 when it was not clean in every directory. */
int64_t log_manager_previous_broker_epoch(const struct log_manager *mgr);

/* ---- directories ---- */

struct log_dir_info {
    const char *path;
    struct uuid id;
    bool offline;
    int64_t total_bytes, usable_bytes; /* -1 unknown */
};
int log_manager_dir_count(const struct log_manager *mgr);
void log_manager_dir_info(struct log_manager *mgr, int index, struct log_dir_info *out);

/* ---- logs ---- */

/* NULL when there is none. */
struct log *log_manager_find(struct log_manager *mgr, struct str topic, int32_t partition);
/* A new log, in the online directory (or that with dir_id, when not zero) with the fewest. config
 * NULL: the default. EXISTS; FAILED when no directory is online, or not the one asked for. */
MUST_USE enum err log_manager_create(struct log_manager *mgr, struct str topic, int32_t partition,
    struct uuid topic_id, const struct log_config *config, struct uuid dir_id, struct log **out);
/* Renames to ...-delete and removes the files after file.delete.delay.ms. The log is freed: nobody
 * may use it any more. The new name is durable after log_manager_sync_names. */
MUST_USE enum err log_manager_delete(struct log_manager *mgr, struct log **log);
/* Renames to ...-stray and lets go of it; as above. In a directory that is offline nothing happens:
 * FAILED, and the log is what it was. */
MUST_USE enum err log_manager_stray(struct log_manager *mgr, struct log **log);
/* After the start a log may be there in several directories: one was offline while its topic was
 * made anew, or a replica was being moved. Before anybody uses one: _copies gives up to max of them
 * and how many there are, _keep makes one that which is found, _drop_copy strays another; in a
 * directory that is offline it is only forgotten, until the next start. */
bool log_manager_has_copies(struct log_manager *mgr);
int32_t log_manager_copies(
    struct log_manager *mgr, struct str topic, int32_t partition, struct log **out, int32_t max);
void log_manager_keep(struct log_manager *mgr, struct log *log);
void log_manager_drop_copy(struct log_manager *mgr, struct log **log);
/* One sync a directory for all logs renamed since. Its failure takes the directory offline. */
void log_manager_sync_names(struct log_manager *mgr);
/* Every log, each copy too, but the metadata log; fn runs without the manager's lock and must not
 * delete others. */
void log_manager_each(struct log_manager *mgr, void (*fn)(void *ctx, struct log *log), void *ctx);
int32_t log_manager_log_count(struct log_manager *mgr);
/* __cluster_metadata-0 of the first directory; created when missing, and then its own name is
 * durable (those of the files in it are after its first flush). Not part of _find and _each; closed
 * with the manager. */
MUST_USE enum err log_manager_metadata_log(
    struct log_manager *mgr, const struct log_config *config, struct log **out);

/* ---- duties, on the I/O pool, each at most once at a time; they block ---- */

/* recovery-point-offset-checkpoint and log-start-offset-checkpoint. */
void log_manager_checkpoint(struct log_manager *mgr);
/* The recovery points alone, where so much was flushed since that a start after a kill would take
 * long; else nothing. */
void log_manager_checkpoint_due(struct log_manager *mgr);
/* replication-offset-checkpoint, from log_high_watermark of each log. */
void log_manager_checkpoint_high_watermarks(struct log_manager *mgr);
/* Of a round of the cleaner (log/cleaner.h): the recovery point that it counts on is on the disk;
 * how far it came is noted. No lock. */
struct log_clean;
MUST_USE enum err log_manager_clean_begun(struct log_manager *mgr, const struct log_clean *clean);
void log_manager_clean_ended(struct log_manager *mgr, const struct log_clean *clean);
/* Removes files and directories whose delete delay is over. */
void log_manager_delete_due(struct log_manager *mgr);

/* ---- progress and counters ---- */

struct log_manager_counters {
    int64_t logs_loaded, logs_to_load;
    int64_t logs_recovered; /* scanned after an unclean stop */
    int64_t bytes_scanned;
    int64_t bytes_truncated;
    int64_t logs_corrupt;
    int64_t dirs_offline;
    int64_t open_files;
};
void log_manager_counters(struct log_manager *mgr, struct log_manager_counters *out);

#endif
