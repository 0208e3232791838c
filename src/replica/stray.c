/* What: which of the logs found at a start are the replicas' that the metadata place here.
 *
 * Rule: a log of a topic that is not here, or of another topic of that name (another topic id), is
 * strayed. Where several directories have a log of the same name, one of them was offline while the
 * topic was made anew in another, or a replica was moved and its old log is still there. The one
 * that bears the topic's id goes before one without an id, since a log gets its id when it is made.
 * Of two copies of one log the one that goes on further has all that the other has: more leader
 * epochs, then a higher end. At the same end the directory that the metadata name, then the first.
 * Nothing is removed: what is not taken lies beside it under another name.
 *
 * Threads: before anybody else looks at the logs, so no partition's lock is needed. */
#include "base/alloc.h"
#include "base/assert.h"
#include "base/diag.h"
#include "log/log_manager.h"
#include "meta/image.h"
#include "replica/manager_priv.h"

struct log_list {
    struct log **logs;
    size_t count, capacity;
};

static void
list_log(void *ctx, struct log *log)
{
    struct log_list *list = ctx;

    if (list->count < list->capacity)
        list->logs[list->count++] = log;
}

/* NULL when the log is none of this node's replicas. */
static const struct meta_partition *
place_of(const struct replica_manager *mgr, const struct meta_image *image, const struct log *log)
{
    const struct meta_topic *topic = meta_image_topic(image, log_topic(log));
    const struct meta_partition *meta;
    struct uuid id = log_topic_id(log);

    if (topic == NULL || (!uuid_is_zero(id) && !uuid_eq(id, topic->id)))
        return NULL;
    meta = meta_topic_partition(topic, log_partition(log));
    return meta != NULL && meta_ids_contain(meta->replicas, mgr->opts.node_id) ? meta : NULL;
}

/* Whether b goes before a; both may be the partition's. */
static bool
is_better(struct uuid dir_id, const struct log *a, const struct log *b)
{
    bool a_known = !uuid_is_zero(log_topic_id(a)), b_known = !uuid_is_zero(log_topic_id(b));

    if (a_known != b_known)
        return b_known;
    if (log_latest_epoch(a) != log_latest_epoch(b))
        return log_latest_epoch(b) > log_latest_epoch(a);
    if (log_end_offset(a) != log_end_offset(b))
        return log_end_offset(b) > log_end_offset(a);
    if (log_state(a) != log_state(b))
        return log_state(b) == LOG_OPEN;
    return uuid_eq(log_parent_dir_id(b), dir_id) && !uuid_eq(log_parent_dir_id(a), dir_id);
}

/* Of the logs of this one's name one is kept. */
static void
keep_best(
    struct replica_manager *mgr, const struct meta_partition *meta, struct str topic, int32_t index)
{
    struct uuid dir_id = meta_partition_directory(meta, mgr->opts.node_id);
    struct log *copies[LOG_MANAGER_DIRS_MAX], *best;
    int32_t count = log_manager_copies(mgr->opts.logs, topic, index, copies, COUNT_OF(copies));

    if (count < 2)
        return;
    ASSERT(count <= LOG_MANAGER_DIRS_MAX); /* one a directory */
    best = copies[0];
    for (int32_t i = 1; i < count; i++)
        if (is_better(dir_id, best, copies[i]))
            best = copies[i];
    log_manager_keep(mgr->opts.logs, best);
    for (int32_t i = 0; i < count; i++)
        if (copies[i] != best)
            log_manager_drop_copy(mgr->opts.logs, &copies[i]);
}

static void
keep_best_of_all(struct replica_manager *mgr, const struct meta_image *image)
{
    for (const struct meta_topic *topic = meta_image_topic_after(image, STR_NULL); topic != NULL;
         topic = meta_image_topic_after(image, topic->name))
        for (int32_t i = 0; i < topic->partition_count; i++) {
            const struct meta_partition *meta = meta_topic_partition(topic, i);
            if (meta != NULL)
                keep_best(mgr, meta, topic->name, i);
        }
}

static void
stray_unplaced(struct replica_manager *mgr, const struct meta_image *image, struct log_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        struct log **log = &list->logs[i];
        if (place_of(mgr, image, *log) != NULL)
            continue;
        diag_event(env_diag(mgr->opts.env), DIAG_WARN, "replica", "log_strayed",
            DIAG_STR("topic", log_topic(*log)), DIAG_I64("partition", log_partition(*log)));
        if (log_manager_stray(mgr->opts.logs, log) != ERR_OK)
            diag_event(env_diag(mgr->opts.env), DIAG_ERROR, "replica", "stray_failed");
    }
}

enum err
replica_stray_logs(struct replica_manager *mgr, const struct meta_image *image)
{
    struct log_list list = {.capacity = (size_t)log_manager_log_count(mgr->opts.logs)};

    list.logs = mem_calloc(list.capacity + 1, sizeof(struct log *));
    if (list.logs == NULL)
        return ERR_NOMEM;
    log_manager_each(mgr->opts.logs, list_log, &list);
    stray_unplaced(mgr, image, &list);
    if (log_manager_has_copies(mgr->opts.logs))
        keep_best_of_all(mgr, image);
    mem_free(list.logs);
    log_manager_sync_names(mgr->opts.logs);
    return ERR_OK;
}
