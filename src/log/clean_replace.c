/* What: a compacted group takes the place of its segments in the log.
 *
 * Order of names: .cleaned becomes .swap, then the old files .deleted, then .swap the plain names;
 * the data goes first each time. Of what a crash leaves, log_swap makes the old or the new
 * segments. None of that waits for the disk: names of one directory become durable in their order,
 * and the content was synced before. The round syncs the directory afterwards, without the lock.
 * Threads: partition lock.
 * Errors: a rename that fails leaves names in doubt: the log is out of service; readers keep the
 * old segments' files as far as they are open. */
#include <string.h>

#include "base/assert.h"
#include "base/diag.h"
#include "log/cleaner_priv.h"
#include "log/log_priv.h"

/* Whether the group's segments are what they were; their place in *first. */
static bool
is_unchanged(const struct log *log, const struct log_clean *clean, int32_t *first)
{
    int32_t at = log_segment_floor(log, clean->sources[clean->group_first].base_offset);
    if (clean->truncations != log->truncations || log_state(log) != LOG_OPEN || at < 0 ||
        at + clean->group_count >= log->segment_count) /* the active one is never in a group */
        return false;
    for (int32_t i = 0; i < clean->group_count; i++) {
        const struct clean_source *source = &clean->sources[clean->group_first + i];
        const struct log_segment *seg = log->segments[at + i];
        if (seg->base_offset != source->base_offset || seg->size_bytes != source->size_bytes ||
            log_segment_end(log, at + i) != source->end_offset)
            return false;
        ASSERT(seg->dirty_file == NULL);
    }
    *first = at;
    return true;
}

static enum err
rename_all(struct log *log, struct log_clean *clean, int32_t first)
{
    enum err err = segment_set_phase(clean->cleaned, LOG_FILE_SWAP);
    for (int32_t i = 0; i < clean->group_count && err == ERR_OK; i++) {
        /* The first one's producer snapshot belongs to the new segment's base as well. */
        err = segment_mark_deleted(log->segments[first + i], i == 0, log_file_gone, log);
        if (err == ERR_OK && i > 0)
            log_snapshot_forget(log, log->segments[first + i]->base_offset);
    }
    return err == ERR_OK ? segment_set_phase(clean->cleaned, LOG_FILE_PLAIN) : err;
}

static void
put_in_place(struct log *log, struct log_clean *clean, int32_t first)
{
    struct log_segment *seg = clean->cleaned;
    int64_t bytes = seg->size_bytes;
    for (int32_t i = 0; i < clean->group_count; i++) {
        bytes -= log->segments[first + i]->size_bytes;
        segment_free(&log->segments[first + i]);
    }
    segment_let_go(seg); /* descriptors are for those that are read */
    seg->home = &log->home;
    log->segments[first] = seg;
    memmove(&log->segments[first + 1], &log->segments[first + clean->group_count],
        (size_t)(log->segment_count - first - clean->group_count) * sizeof(struct log_segment *));
    log->segment_count -= clean->group_count - 1;
    atomic_fetch_add(&log->size_bytes, bytes);
    log_cursors_clear(log);
    log->damaged_from = log->damaged_to = 0;
    log->dir_dirty = true;
    clean->cleaned = NULL;
}

enum err
log_clean_replace(struct log *log, struct log_clean *clean)
{
    int32_t first;
    ASSERT(clean->state == CLEAN_REPLACE);
    ASSERT(clean->cleaned != NULL && clean->cleaned->dirty_file == NULL);
    if (!is_unchanged(log, clean, &first))
        return ERR_WRONG_STATE;
    enum err err = rename_all(log, clean, first);
    if (err != ERR_OK) {
        clean->write_failed = true;
        return log_fail(log, err);
    }
    put_in_place(log, clean, first);
    clean->state = CLEAN_SETTLE;
    log_check(log);
    return ERR_OK;
}

static void
tell_uncleanable(struct log *log, enum err err)
{
    atomic_store(&log->uncleanable, true);
    diag_event(env_diag(log->env), DIAG_ERROR, "log", "log_uncleanable",
        DIAG_Z("dir", log->home.dir), DIAG_ERR("cause", err));
}

void
log_clean_end(struct log *log, struct log_clean *clean, enum err err)
{
    bool same = clean->truncations == log->truncations &&
                log->segments[0]->base_offset <= clean->sources[0].base_offset;
    if (err == ERR_OK) {
        ASSERT(clean->state == CLEAN_DONE);
        if (clean->truncations == log->truncations) {
            atomic_store(&log->cleaned_end, clean->map_end);
            log_changed(log);
        }
        return;
    }
    if (err == ERR_NOMEM || err == ERR_NOSPACE || err == ERR_WRONG_STATE || err == ERR_FAILED)
        return; /* another time */
    if (clean->write_failed) {
        if (err != ERR_LIMIT)
            (void)log_fail(log, err);
    } else if (same) {
        tell_uncleanable(log, err); /* else what it read may have been gone already */
    }
}
