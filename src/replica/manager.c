/* replica/manager.c - the table of replicas and its agreement with the metadata.
 *
 * What: topics by name, each with its partitions by index. States: new -> started -> stopped.
 * Invariants: I1 the table holds one reference on each partition in it; I2 a partition leaves the
 * table before it is taken down, and is taken down before its log is deleted, so nobody finds a
 * replica whose log is going; I3 start, apply and stop never overlap (the caller's promise).
 * Threads: the table under its mutex (rank REPLICA_MANAGER); the lock of a partition may be taken
 * inside, never the other way round; the log manager's lock (ranked below) is never taken inside.
 * Errors: one partition's failure is reported and leaves it offline; the others go on. */
#include "replica/manager.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/diag.h"
#include "log/log_manager.h"
#include "meta/delta.h"
#include "replica/manager_priv.h"
#include "replica/topic_config.h"

/* ---- life ---- */

static void partition_failed(void *ctx, struct replica_partition *part, enum err err);

enum err
replica_manager_new(const struct replica_manager_opts *opts, struct replica_manager **out)
{
    struct replica_manager *mgr = mem_calloc(1, sizeof *mgr);
    struct replica_fetch_sessions_opts sessions = {
        .env = opts->env,
        .slots = opts->session_slots,
        .shards = REPLICA_SESSION_SHARDS,
        .eviction_ms = REPLICA_SESSION_EVICTION_MS,
    };
    enum err err;

    if (mgr == NULL)
        return ERR_NOMEM;
    err = replica_fetch_sessions_new(&sessions, &mgr->sessions);
    if (err != ERR_OK) {
        mem_free(mgr);
        return err;
    }
    mgr->opts = *opts;
    mgr->shared.env = opts->env;
    mgr->shared.node_id = opts->node_id;
    replica_flush_service_init(&mgr->shared.flush, opts->pool, opts->ack_flush);
    mgr->shared.failed = partition_failed;
    mgr->shared.ctx = mgr;
    replica_validators_init(&mgr->shared.validators);
    mutex_init(&mgr->mutex, MUTEX_RANK_REPLICA_MANAGER);
    replica_producer_ids_init(&mgr->producer_ids);
    replica_sweep_init(mgr);
    err = replica_cleaner_new(mgr, &opts->cleaner, &mgr->cleaner);
    if (err != ERR_OK) {
        replica_manager_free(&mgr);
        return err;
    }
    *out = mgr;
    return ERR_OK;
}

static void
topic_free(struct replica_topic *topic)
{
    for (int32_t i = 0; i < topic->capacity; i++)
        replica_partition_unref(&topic->parts[i]);
    mem_free(topic->parts);
    mem_free(topic->name);
    mem_free(topic);
}

void
replica_manager_free(struct replica_manager **mgr_ref)
{
    struct replica_manager *mgr = *mgr_ref;
    struct replica_topic *topic, *next;

    if (mgr == NULL)
        return;
    replica_cleaner_free(&mgr->cleaner);
    HASH_ITER (hh, mgr->topics, topic, next) {
        HASH_DEL(mgr->topics, topic);
        topic_free(topic);
    }
    replica_fetch_sessions_free(&mgr->sessions);
    replica_producer_ids_fini(&mgr->producer_ids);
    replica_validators_fini(&mgr->shared.validators);
    replica_flush_service_fini(&mgr->shared.flush);
    mutex_fini(&mgr->mutex);
    mem_free(mgr);
    *mgr_ref = NULL;
}

/* ---- the table ---- */

static struct replica_topic *
topic_find(struct replica_manager *mgr, struct str name)
{
    struct replica_topic *topic;

    mutex_assert_held(&mgr->mutex);
    HASH_FIND(hh, mgr->topics, name.data, name.len, topic);
    return topic;
}

static struct replica_topic *
topic_add(struct replica_manager *mgr, struct str name, struct uuid id)
{
    struct replica_topic *topic = mem_calloc(1, sizeof *topic);

    if (topic == NULL)
        return NULL;
    topic->id = id;
    topic->name_len = name.len;
    topic->name = mem_strndup(name.data, name.len);
    if (topic->name != NULL)
        HASH_ADD_KEYPTR(hh, mgr->topics, topic->name, topic->name_len, topic);
    if (topic->name == NULL || topic->hh.tbl == NULL) {
        mem_free(topic->name);
        mem_free(topic);
        return NULL;
    }
    return topic;
}

static bool
topic_make_room(struct replica_topic *topic, int32_t count)
{
    struct replica_partition **parts;

    if (count <= topic->capacity)
        return true;
    parts = mem_realloc(topic->parts, (size_t)count * sizeof *parts);
    if (parts == NULL)
        return false;
    for (int32_t i = topic->capacity; i < count; i++)
        parts[i] = NULL;
    topic->parts = parts;
    topic->capacity = count;
    return true;
}

/* Takes over the reference of part. */
static enum err
table_put(
    struct replica_manager *mgr, const struct meta_topic *meta, struct replica_partition *part)
{
    struct replica_topic *topic;
    enum err err = ERR_NOMEM;

    mutex_lock(&mgr->mutex);
    topic = topic_find(mgr, meta->name);
    if (topic == NULL)
        topic = topic_add(mgr, meta->name, meta->id);
    if (topic != NULL && topic_make_room(topic, meta->partition_count)) {
        ASSERT(uuid_eq(topic->id, meta->id));
        ASSERT(topic->parts[part->index] == NULL);
        topic->parts[part->index] = part;
        topic->count++;
        mgr->partition_count++;
        err = ERR_OK;
    }
    mutex_unlock(&mgr->mutex);
    return err;
}

/* The table's reference goes to the caller; NULL when not here. */
static struct replica_partition *
table_take(struct replica_manager *mgr, struct str name, struct uuid id, int32_t index)
{
    struct replica_partition *part = NULL;
    struct replica_topic *topic;

    mutex_lock(&mgr->mutex);
    topic = topic_find(mgr, name);
    if (topic != NULL && uuid_eq(topic->id, id) && index < topic->capacity) {
        part = topic->parts[index];
        topic->parts[index] = NULL;
        if (part != NULL) {
            struct replica_partition_metrics last;
            replica_partition_get_metrics(part, &last);
            replica_traffic_add(&mgr->past, &last.traffic);
            mgr->partition_count--;
            if (--topic->count == 0) {
                HASH_DEL(mgr->topics, topic);
                topic_free(topic);
            }
        }
    }
    mutex_unlock(&mgr->mutex);
    return part;
}

struct replica_partition *
replica_manager_get(struct replica_manager *mgr, struct str name, int32_t index)
{
    struct replica_partition *part = NULL;
    struct replica_topic *topic;

    mutex_lock(&mgr->mutex);
    topic = topic_find(mgr, name);
    if (topic != NULL && index >= 0 && index < topic->capacity)
        part = topic->parts[index];
    if (part != NULL)
        replica_partition_ref(part);
    mutex_unlock(&mgr->mutex);
    return part;
}

enum proto_error
replica_manager_find(struct replica_manager *mgr, const struct meta_image *image, struct str topic,
    struct uuid topic_id, int32_t index, struct replica_partition **out)
{
    struct replica_partition *part = replica_manager_get(mgr, topic, index);
    const struct meta_topic *meta;

    if (part != NULL && !uuid_is_zero(topic_id) && !uuid_eq(part->topic_id, topic_id)) {
        replica_partition_unref(&part);
        return PROTO_ERROR_INCONSISTENT_TOPIC_ID;
    }
    if (part != NULL) {
        *out = part;
        return PROTO_ERROR_NONE;
    }
    meta = meta_image_topic(image, topic);
    if (meta == NULL || meta_topic_partition(meta, index) == NULL)
        return PROTO_ERROR_UNKNOWN_TOPIC_OR_PARTITION;
    return PROTO_ERROR_NOT_LEADER_OR_FOLLOWER;
}

struct replica_fetch_sessions *
replica_manager_sessions(struct replica_manager *mgr)
{
    return mgr->sessions;
}

struct replica_producer_ids *
replica_manager_producer_ids(struct replica_manager *mgr)
{
    return &mgr->producer_ids;
}

struct replica_cleaner *
replica_manager_cleaner(struct replica_manager *mgr)
{
    return mgr->cleaner;
}

struct log_manager *
replica_manager_logs(struct replica_manager *mgr)
{
    return mgr->opts.logs;
}

void
replica_manager_get_metrics(struct replica_manager *mgr, struct replica_manager_metrics *out)
{
    *out = (struct replica_manager_metrics){
        .isr_shrinks = atomic_load_explicit(&mgr->shared.isr_shrinks, memory_order_relaxed),
        .isr_expands = atomic_load_explicit(&mgr->shared.isr_expands, memory_order_relaxed),
        .flush_errors = atomic_load_explicit(&mgr->shared.flush.flush_errors, memory_order_relaxed),
    };
    histogram_collect(&mgr->shared.flush.times, &out->flushes);
    mutex_lock(&mgr->mutex);
    out->past = mgr->past;
    mutex_unlock(&mgr->mutex);
}

int64_t
replica_manager_partition_count(struct replica_manager *mgr)
{
    int64_t count;

    mutex_lock(&mgr->mutex);
    count = mgr->partition_count;
    mutex_unlock(&mgr->mutex);
    return count;
}

void
replica_manager_each(
    struct replica_manager *mgr, void (*fn)(void *ctx, struct replica_partition *part), void *ctx)
{
    struct replica_partition **parts;
    struct replica_topic *topic, *next;
    size_t count = 0, room;

    mutex_lock(&mgr->mutex);
    room = (size_t)mgr->partition_count;
    parts = mem_calloc(room + 1, sizeof *parts);
    if (parts != NULL) {
        HASH_ITER (hh, mgr->topics, topic, next) {
            for (int32_t i = 0; i < topic->capacity; i++) {
                if (topic->parts[i] == NULL)
                    continue;
                ASSERT(count < room);
                replica_partition_ref(topic->parts[i]);
                parts[count++] = topic->parts[i];
            }
        }
    }
    mutex_unlock(&mgr->mutex);
    for (size_t i = 0; i < count; i++) {
        fn(ctx, parts[i]);
        replica_partition_unref(&parts[i]);
    }
    mem_free(parts);
}

/* ---- out of service ---- */

static void
tell_resigned(struct replica_manager *mgr, struct replica_partition *part)
{
    if (mgr->opts.events.resigned != NULL)
        mgr->opts.events.resigned(mgr->opts.events.ctx, part);
}

/* One log failed, and its directory with it: the others there follow. The caller may hold a lock of
 * whoever wants to hear of the resignation, so the sweep tells. */
static void
partition_failed(void *ctx, struct replica_partition *part, enum err err)
{
    struct replica_manager *mgr = ctx;

    (void)err;
    atomic_store(&part->resigned_untold, true);
    replica_manager_dir_failed(mgr);
}

/* The replica is to be no more on this node. */
static void
replica_remove(struct replica_manager *mgr, const struct meta_topic *meta, int32_t index,
    enum replica_wake why)
{
    struct replica_partition *part = table_take(mgr, meta->name, meta->id, index);
    struct log *log;
    enum err err = ERR_OK;

    if (part == NULL)
        return;
    log = replica_partition_take_down(part, why);
    tell_resigned(mgr, part);
    if (log == NULL) /* failed before; the files are still there, maybe */
        log = log_manager_find(mgr->opts.logs, meta->name, index);
    if (log != NULL)
        err = log_manager_delete(mgr->opts.logs, &log);
    diag_event(env_diag(mgr->opts.env), err == ERR_OK ? DIAG_INFO : DIAG_ERROR, "replica",
        "partition_deleted", DIAG_STR("topic", meta->name), DIAG_I64("partition", index),
        DIAG_ERR("result", err));
    replica_partition_unref(&part);
}

/* ---- as the metadata says ---- */

/* A directory id that names a directory, or zero for "any". */
static struct uuid
directory_wanted(struct replica_manager *mgr, const struct meta_partition *meta)
{
    struct uuid id = meta_partition_directory(meta, mgr->opts.node_id);

    for (int i = 0; i < log_manager_dir_count(mgr->opts.logs); i++) {
        struct log_dir_info info;
        log_manager_dir_info(mgr->opts.logs, i, &info);
        if (uuid_eq(info.id, id))
            return id;
    }
    return UUID_ZERO;
}

/* The metadata name a directory that is not there, and one is offline (whose id nobody could read):
 * the log was moved there, and what is here lacks what was acknowledged since. */
static bool
is_left_behind(const struct replica_manager *mgr, const struct meta_partition *meta)
{
    struct uuid id = meta_partition_directory(meta, mgr->opts.node_id);

    if (!mgr->log_may_be_offline || uuid_eq(id, META_DIR_UNASSIGNED) ||
        uuid_eq(id, META_DIR_MIGRATING) || uuid_eq(id, META_DIR_LOST))
        return false;
    for (int i = 0; i < log_manager_dir_count(mgr->opts.logs); i++) {
        struct log_dir_info info;
        log_manager_dir_info(mgr->opts.logs, i, &info);
        if (!info.offline && uuid_eq(info.id, id))
            return false;
    }
    return true;
}

/* The log of the replica: the one on disk if it is of this topic id, else a new one. */
static enum err
log_obtain(struct replica_manager *mgr, const struct meta_topic *topic,
    const struct meta_partition *meta, const struct log_config *config, struct log **out)
{
    struct log *log = log_manager_find(mgr->opts.logs, topic->name, meta->index);
    enum err err;

    if (log != NULL) {
        if (is_left_behind(mgr, meta))
            return ERR_FAILED;
        err = log_set_topic_id(log, topic->id);
        if (err == ERR_OK)
            *out = log;
        if (err != ERR_WRONG_STATE) /* a disk that fails or is full makes it no other topic's */
            return err;
        err = log_manager_stray(mgr->opts.logs, &log);
        if (err != ERR_OK)
            return err;
    }
    if (mgr->log_may_be_offline)
        return ERR_FAILED;
    return log_manager_create(mgr->opts.logs, topic->name, meta->index, topic->id, config,
        directory_wanted(mgr, meta), out);
}

static struct replica_partition *
replica_create(struct replica_manager *mgr, const struct meta_topic *topic,
    const struct meta_partition *meta, const struct replica_topic_config *config)
{
    struct replica_partition *part = NULL;
    struct replica_partition_opts opts = {
        .shared = &mgr->shared,
        .topic = topic->name,
        .topic_id = topic->id,
        .index = meta->index,
    };
    enum err err = log_obtain(mgr, topic, meta, &config->log, &opts.log);
    enum err made;

    if (err != ERR_OK) /* stays in the table as offline: KAFKA_STORAGE_ERROR */
        diag_event(env_diag(mgr->opts.env), DIAG_ERROR, "replica", "partition_not_opened",
            DIAG_STR("topic", topic->name), DIAG_I64("partition", meta->index),
            DIAG_ERR("cause", err));
    made = replica_partition_new(&opts, &part);
    if (made == ERR_OK) {
        replica_partition_set_config(part, &config->log, config->isr_min);
        made = table_put(mgr, topic, part);
        if (made != ERR_OK)
            replica_partition_unref(&part);
    }
    if (made != ERR_OK)
        diag_event(env_diag(mgr->opts.env), DIAG_ERROR, "replica", "partition_not_made",
            DIAG_STR("topic", topic->name), DIAG_I64("partition", meta->index),
            DIAG_ERR("cause", made));
    return part;
}

static void
replica_settle(struct replica_manager *mgr, const struct meta_topic *topic,
    const struct meta_partition *meta, const struct replica_topic_config *config)
{
    struct replica_partition *part = replica_manager_get(mgr, topic->name, meta->index);
    struct replica_partition_role role = {
        .leader_id = meta->leader,
        .leader_epoch = meta->leader_epoch,
        .isr_count = meta->isr.count,
        .isr_min = config->isr_min,
        .replica_count = meta->replicas.count,
    };
    enum replica_role_change change;

    if (part == NULL) {
        part = replica_create(mgr, topic, meta, config);
        if (part == NULL)
            return;
        replica_partition_ref(part);
    }
    change = replica_partition_set_role(part, &role);
    if (change == REPLICA_ROLE_LED && mgr->opts.events.led != NULL)
        mgr->opts.events.led(mgr->opts.events.ctx, part, meta->leader_epoch);
    else if (change == REPLICA_ROLE_RESIGNED)
        tell_resigned(mgr, part);
    replica_partition_unref(&part);
}

static void
config_get(const struct replica_manager *mgr, const struct meta_image *image, struct str topic,
    struct replica_topic_config *out)
{
    replica_topic_config_get(image, mgr->opts.rules, mgr->opts.node_id, topic, out);
}

static void
apply_partitions(struct replica_manager *mgr, const struct meta_image *image,
    const struct meta_topic *topic, const int32_t *indexes, int32_t count)
{
    struct replica_topic_config config;

    config_get(mgr, image, topic->name, &config);
    for (int32_t i = 0; i < count; i++) {
        int32_t index = indexes != NULL ? indexes[i] : i;
        const struct meta_partition *meta = meta_topic_partition(topic, index);
        if (meta != NULL && meta_ids_contain(meta->replicas, mgr->opts.node_id))
            replica_settle(mgr, topic, meta, &config);
        else
            replica_remove(mgr, topic, index, REPLICA_WAKE_RESIGNED);
    }
}

static void
apply_topic_config(
    struct replica_manager *mgr, const struct meta_image *image, const struct meta_topic *topic)
{
    struct replica_topic_config config;

    config_get(mgr, image, topic->name, &config);
    for (int32_t i = 0; i < topic->partition_count; i++) {
        struct replica_partition *part = replica_manager_get(mgr, topic->name, i);
        if (part != NULL)
            replica_partition_set_config(part, &config.log, config.isr_min);
        replica_partition_unref(&part);
    }
}

static void
apply_configs(
    struct replica_manager *mgr, const struct meta_delta *delta, const struct meta_image *image)
{
    const struct meta_topic *topic;
    bool all = false;

    for (int32_t i = 0; i < delta->config_count; i++) {
        const struct meta_delta_config *config = &delta->configs[i];
        if (config->resource_type == META_RESOURCE_BROKER)
            all = true;
        if (config->resource_type != META_RESOURCE_TOPIC)
            continue;
        topic = meta_image_topic(image, config->name);
        if (topic != NULL)
            apply_topic_config(mgr, image, topic);
    }
    if (!all)
        return;
    for (topic = meta_image_topic_after(image, STR_NULL); topic != NULL;
         topic = meta_image_topic_after(image, topic->name))
        apply_topic_config(mgr, image, topic);
}

void
replica_manager_apply(
    struct replica_manager *mgr, const struct meta_delta *delta, const struct meta_image *image)
{
    for (int32_t i = 0; i < delta->topic_count; i++) {
        const struct meta_delta_topic *change = &delta->topics[i];
        if (change->after == NULL) {
            for (int32_t p = 0; p < change->before->partition_count; p++)
                replica_remove(mgr, change->before, p, REPLICA_WAKE_DELETED);
        } else {
            apply_partitions(
                mgr, image, change->after, change->partitions, change->partition_count);
        }
    }
    log_manager_sync_names(mgr->opts.logs);
    apply_configs(mgr, delta, image);
}

/* ---- start and stop ---- */

static bool
has_offline_dir(struct replica_manager *mgr)
{
    for (int i = 0; i < log_manager_dir_count(mgr->opts.logs); i++) {
        struct log_dir_info info;
        log_manager_dir_info(mgr->opts.logs, i, &info);
        if (info.offline)
            return true;
    }
    return false;
}

enum err
replica_manager_start(struct replica_manager *mgr, const struct meta_image *image)
{
    enum err err = replica_stray_logs(mgr, image);

    if (err != ERR_OK)
        return err;
    mgr->log_may_be_offline = has_offline_dir(mgr);
    for (const struct meta_topic *topic = meta_image_topic_after(image, STR_NULL); topic != NULL;
         topic = meta_image_topic_after(image, topic->name))
        apply_partitions(mgr, image, topic, NULL, topic->partition_count);
    mgr->log_may_be_offline = false;
    return ERR_OK;
}

static void
stop_one(void *ctx, struct replica_partition *part)
{
    (void)ctx;
    replica_partition_resign(part);
}

static void
release_one(void *ctx, struct replica_partition *part)
{
    (void)ctx;
    replica_partition_release_readers(part);
}

void
replica_manager_release_readers(struct replica_manager *mgr)
{
    atomic_store(&mgr->shared.closing, true);
    replica_manager_each(mgr, release_one, NULL);
}

void
replica_manager_stop(struct replica_manager *mgr)
{
    replica_cleaner_stop(mgr->cleaner);
    replica_manager_each(mgr, stop_one, NULL);
    log_manager_checkpoint_high_watermarks(mgr->opts.logs);
}
