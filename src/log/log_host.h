/* log/log_host.h - what a log needs from whoever keeps the directory it lies in. */
#ifndef LOG_LOG_HOST_H
#define LOG_LOG_HOST_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/uuid.h"
#include "log/file_cache.h"
#include "log/journal.h"
#include "log/redo.h"

/* A bit for each kind of checkpoint (log_manager_priv.h). */
enum { LOG_HOST_STALE_ALL = 15 };

struct log_host {
    /* Fixed. */
    const char *dir; /* the entry of log.dirs */
    struct uuid dir_id;
    struct file_cache *files;    /* not owned */
    struct log_journal *journal; /* of this directory; NULL: flushes sync the segments */
    struct log_redo *redo;       /* while logs are opened after an unclean stop; or NULL */
    /* A write or sync failed; called under the lock of the partition whose log failed first, once.
     * May be NULL. */
    void (*failed)(struct log_host *host, enum err err);
    /* The log that failed could not leave a mark of it in its own directory; as above. */
    void (*cannot_mark)(struct log_host *host);
    /* Removes a file that was renamed to .deleted, later; copies the path. NULL: at once. */
    void (*delete_later)(struct log_host *host, const char *path, int64_t delay_ms);
    bool in_doubt; /* while logs are opened: syncs failed before, of which logs nobody could note */
    /* Any thread. */
    _Atomic bool offline; /* no log of this directory takes anything any more */
    /* Directories of logs that were made in it, and how many of them a sync of it has covered. */
    _Atomic uint64_t names_made, names_synced;
    /* By how much recovery points rose since they were checkpointed: so much a start would scan. */
    _Atomic int64_t bytes_to_note;
    _Atomic unsigned stale; /* checkpoints that may have something new to say */
    _Atomic int64_t logs_recovered, bytes_scanned, bytes_truncated, logs_corrupt;
};

/* A sync of the directory ended well that began when names_made was `made`. */
void log_host_names_synced(struct log_host *host, uint64_t made);

#endif
