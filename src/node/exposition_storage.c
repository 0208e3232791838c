/* node/exposition_storage.c - metrics of topics, replicas and logs.
 *
 * What: the image says which replicas should be here; each is looked up and asked by itself, so no
 * lock is held for longer than one of them takes. Totals cover all replicas, rows the first ones.
 * Threads: HTTP. Errors: without memory for rows there is no answer. */
#include "base/alloc.h"
#include "base/assert.h"
#include "node/exposition_priv.h"
#include "replica/fetch_session.h"

/* ---- the walk ---- */

static void
add_sums(struct scrape *scrape, const struct meta_partition *meta,
    const struct replica_partition_metrics *now)
{
    replica_traffic_add(&scrape->traffic, &now->traffic);
    scrape->replicas++;
    scrape->producers += now->producers;
    scrape->offline += now->state.offline;
    if (!now->state.leader)
        return;
    scrape->leaders++;
    scrape->under_replicated += meta->isr.count < meta->replicas.count;
    scrape->under_min_isr += meta->isr.count < now->isr_min;
    scrape->at_min_isr += meta->isr.count == now->isr_min;
    scrape->reassigning += meta->adding.count + meta->removing.count > 0;
}

static void
add_partition_row(struct scrape *scrape, const struct meta_topic *topic,
    const struct meta_partition *meta, const struct replica_partition_metrics *now)
{
    if (scrape->partition_count >= scrape->ex->partitions_max) {
        scrape->partitions_left_out++;
        return;
    }
    struct scrape_partition *row = &scrape->partitions[scrape->partition_count++];
    *row = (struct scrape_partition){.topic = topic->name, .meta = meta, .now = *now};
    exposition_number(row->index, meta->index);
}

/* True when this node has a replica of the topic. */
static bool
walk_topic(struct scrape *scrape, const struct meta_topic *topic, struct replica_traffic *traffic)
{
    bool any = false;
    for (int32_t i = 0; i < topic->partition_count; i++) {
        const struct meta_partition *meta = meta_topic_partition(topic, i);
        struct replica_partition_metrics now;
        if (meta == NULL || !meta_ids_contain(meta->replicas, scrape->node->node_id))
            continue;
        struct replica_partition *part =
            replica_manager_get(scrape->node->replicas, topic->name, i);
        if (part == NULL)
            continue; /* the image is ahead of the replicas, or the other way round */
        replica_partition_get_metrics(part, &now);
        replica_partition_unref(&part);
        add_sums(scrape, meta, &now);
        replica_traffic_add(traffic, &now.traffic);
        add_partition_row(scrape, topic, meta, &now);
        any = true;
    }
    return any;
}

/* A replica that left while we walked may be missing in this sum; the next one has it. */
static void
keep_totals(struct scrape *scrape)
{
    /* The struct is counters and nothing else. */
    uint64_t *now = (uint64_t *)(void *)&scrape->traffic;
    uint64_t *shown = (uint64_t *)(void *)&scrape->ex->shown;
    for (size_t i = 0; i < sizeof scrape->traffic / sizeof *now; i++) {
        if (now[i] < shown[i])
            now[i] = shown[i];
        shown[i] = now[i];
    }
}

static int32_t
least(int32_t a, int32_t b)
{
    return a < b ? a : b;
}

enum err
exposition_walk_replicas(struct scrape *scrape)
{
    const struct exposition *ex = scrape->ex;
    int32_t topics_max = least(ex->topics_max, meta_image_topic_count(scrape->image));
    int32_t parts_max = least(ex->partitions_max, meta_image_partition_count(scrape->image));
    scrape->topics = mem_calloc((size_t)topics_max + 1, sizeof *scrape->topics);
    scrape->partitions = mem_calloc((size_t)parts_max + 1, sizeof *scrape->partitions);
    if (scrape->topics == NULL || scrape->partitions == NULL)
        return ERR_NOMEM;
    replica_manager_get_metrics(scrape->node->replicas, &scrape->manager);
    scrape->traffic = scrape->manager.past;
    for (const struct meta_topic *topic = meta_image_topic_after(scrape->image, STR_NULL);
         topic != NULL; topic = meta_image_topic_after(scrape->image, topic->name)) {
        struct replica_traffic traffic = {0};
        if (!walk_topic(scrape, topic, &traffic))
            continue;
        if (scrape->topic_count < topics_max)
            scrape->topics[scrape->topic_count++] =
                (struct scrape_topic){.name = topic->name, .traffic = traffic};
        else
            scrape->topics_left_out++;
    }
    ASSERT(scrape->partition_count <= parts_max);
    keep_totals(scrape);
    return ERR_OK;
}

/* ---- topics ---- */

static void
put_traffic(struct scrape *scrape, enum metric metric, size_t field)
{
    if (!exposition_begin(&scrape->text, metric))
        return;
    exposition_u64(&scrape->text, NULL, 0,
        *(const uint64_t *)(const void *)((const char *)&scrape->traffic + field));
    for (int32_t i = 0; i < scrape->topic_count; i++)
        exposition_u64(&scrape->text, &scrape->topics[i].name, 1,
            *(const uint64_t *)(const void *)((const char *)&scrape->topics[i].traffic + field));
}

void
exposition_put_topics(struct scrape *scrape)
{
    static const struct {
        enum metric metric;
        size_t field;
    } families[] = {
        {METRIC_KAFKA_SERVER_BROKERTOPICMETRICS_MESSAGESIN_TOTAL,
            offsetof(struct replica_traffic, messages_in)},
        {METRIC_KAFKA_SERVER_BROKERTOPICMETRICS_BYTESIN_TOTAL,
            offsetof(struct replica_traffic, bytes_in)},
        {METRIC_KAFKA_SERVER_BROKERTOPICMETRICS_BYTESOUT_TOTAL,
            offsetof(struct replica_traffic, bytes_out)},
        {METRIC_KAFKA_SERVER_BROKERTOPICMETRICS_BYTESREJECTED_TOTAL,
            offsetof(struct replica_traffic, bytes_rejected)},
        {METRIC_KAFKA_SERVER_BROKERTOPICMETRICS_TOTALPRODUCEREQUESTS_TOTAL,
            offsetof(struct replica_traffic, produces)},
        {METRIC_KAFKA_SERVER_BROKERTOPICMETRICS_TOTALFETCHREQUESTS_TOTAL,
            offsetof(struct replica_traffic, fetches)},
        {METRIC_KAFKA_SERVER_BROKERTOPICMETRICS_FAILEDPRODUCEREQUESTS_TOTAL,
            offsetof(struct replica_traffic, produces_failed)},
        {METRIC_KAFKA_SERVER_BROKERTOPICMETRICS_FAILEDFETCHREQUESTS_TOTAL,
            offsetof(struct replica_traffic, fetches_failed)},
    };
    struct exposition_text *text = &scrape->text;
    for (size_t i = 0; i < COUNT_OF(families); i++)
        put_traffic(scrape, families[i].metric, families[i].field);
    exposition_single_u64(text,
        METRIC_KAFKA_SERVER_BROKERTOPICMETRICS_INVALIDMESSAGECRCRECORDS_TOTAL,
        scrape->traffic.crc_rejected);
    exposition_single_u64(text, METRIC_KAFKA_SERVER_BROKERTOPICMETRICS_REPLICATIONBYTESIN_TOTAL,
        scrape->traffic.replicas_bytes_in);
    exposition_single_u64(text, METRIC_KAFKA_SERVER_BROKERTOPICMETRICS_REPLICATIONBYTESOUT_TOTAL,
        scrape->traffic.replicas_bytes_out);
}

/* ---- one sample for each replica ---- */

typedef int64_t partition_value(const struct scrape_partition *row);

/* led_only: no series where this node follows. */
static void
put_rows(struct scrape *scrape, enum metric metric, partition_value *value, bool led_only)
{
    if (!exposition_begin(&scrape->text, metric))
        return;
    for (int32_t i = 0; i < scrape->partition_count; i++) {
        const struct scrape_partition *row = &scrape->partitions[i];
        if (!led_only || row->now.state.leader)
            exposition_i64(
                &scrape->text, (struct str[]){row->topic, str_of(row->index)}, 2, value(row));
    }
}

static int64_t
replicas_of(const struct scrape_partition *row)
{
    return row->now.state.leader ? row->meta->replicas.count : 0;
}

static int64_t
isr_of(const struct scrape_partition *row)
{
    return row->now.state.leader ? row->meta->isr.count : 0;
}

static int64_t
under_replicated_of(const struct scrape_partition *row)
{
    return row->now.state.leader && row->meta->isr.count < row->meta->replicas.count;
}

static int64_t
under_min_of(const struct scrape_partition *row)
{
    return row->now.state.leader && row->meta->isr.count < row->now.isr_min;
}

static int64_t
at_min_of(const struct scrape_partition *row)
{
    return row->now.state.leader && row->meta->isr.count == row->now.isr_min;
}

static int64_t
stable_lag_of(const struct scrape_partition *row)
{
    const struct replica_partition_state *state = &row->now.state;
    return state->leader ? state->high_watermark - state->last_stable_offset : 0;
}

static int64_t
high_watermark_of(const struct scrape_partition *row)
{
    return row->now.state.high_watermark;
}

static int64_t
size_of(const struct scrape_partition *row)
{
    return row->now.state.size_bytes;
}

static int64_t
segments_of(const struct scrape_partition *row)
{
    return row->now.segments;
}

static int64_t
start_of(const struct scrape_partition *row)
{
    return row->now.state.log_start_offset;
}

static int64_t
end_of(const struct scrape_partition *row)
{
    return row->now.state.log_end_offset;
}

static int64_t
leader_of(const struct scrape_partition *row)
{
    return row->now.state.leader_id;
}

static int64_t
preferred_of(const struct scrape_partition *row)
{
    return row->meta->replicas.count > 0 && row->meta->replicas.items[0] == row->meta->leader;
}

/* ---- replicas ---- */

static void
put_sums(struct scrape *scrape)
{
    const struct {
        enum metric metric;
        int64_t value;
    } sums[] = {
        {METRIC_KAFKA_SERVER_REPLICAMANAGER_PARTITIONCOUNT, scrape->replicas},
        {METRIC_KAFKA_SERVER_REPLICAMANAGER_LEADERCOUNT, scrape->leaders},
        {METRIC_KAFKA_SERVER_REPLICAMANAGER_UNDERREPLICATEDPARTITIONS, scrape->under_replicated},
        {METRIC_KAFKA_SERVER_REPLICAMANAGER_UNDERMINISRPARTITIONCOUNT, scrape->under_min_isr},
        {METRIC_KAFKA_SERVER_REPLICAMANAGER_ATMINISRPARTITIONCOUNT, scrape->at_min_isr},
        {METRIC_KAFKA_SERVER_REPLICAMANAGER_OFFLINEREPLICACOUNT, scrape->offline},
        {METRIC_KAFKA_SERVER_REPLICAMANAGER_REASSIGNINGPARTITIONS, scrape->reassigning},
        {METRIC_KAFKA_SERVER_REPLICAMANAGER_PRODUCERIDCOUNT, scrape->producers},
        {METRIC_KAFKA_SERVER_REPLICAMANAGER_ISRSHRINKS_TOTAL, (int64_t)scrape->manager.isr_shrinks},
        {METRIC_KAFKA_SERVER_REPLICAMANAGER_ISREXPANDS_TOTAL, (int64_t)scrape->manager.isr_expands},
    };
    for (size_t i = 0; i < COUNT_OF(sums); i++)
        exposition_single_i64(&scrape->text, sums[i].metric, sums[i].value);
}

void
exposition_put_replicas(struct scrape *scrape)
{
    struct exposition_text *text = &scrape->text;
    struct replica_fetch_sessions *sessions = replica_manager_sessions(scrape->node->replicas);
    put_sums(scrape);
    put_rows(scrape, METRIC_KAFKA_CLUSTER_PARTITION_REPLICASCOUNT, replicas_of, false);
    put_rows(scrape, METRIC_KAFKA_CLUSTER_PARTITION_INSYNCREPLICASCOUNT, isr_of, false);
    put_rows(scrape, METRIC_KAFKA_CLUSTER_PARTITION_UNDERREPLICATED, under_replicated_of, false);
    put_rows(scrape, METRIC_KAFKA_CLUSTER_PARTITION_UNDERMINISR, under_min_of, false);
    put_rows(scrape, METRIC_KAFKA_CLUSTER_PARTITION_ATMINISR, at_min_of, false);
    put_rows(scrape, METRIC_KAFKA_CLUSTER_PARTITION_LASTSTABLEOFFSETLAG, stable_lag_of, false);
    put_rows(scrape, METRIC_MOLDAU_PARTITION_HIGH_WATERMARK, high_watermark_of, false);
    put_rows(scrape, METRIC_KAFKA_TOPIC_PARTITION_CURRENT_OFFSET, high_watermark_of, true);
    put_rows(scrape, METRIC_KAFKA_TOPIC_PARTITION_OLDEST_OFFSET, start_of, true);
    put_rows(scrape, METRIC_KAFKA_TOPIC_PARTITION_LEADER, leader_of, true);
    put_rows(scrape, METRIC_KAFKA_TOPIC_PARTITION_REPLICAS, replicas_of, true);
    put_rows(scrape, METRIC_KAFKA_TOPIC_PARTITION_IN_SYNC_REPLICA, isr_of, true);
    put_rows(scrape, METRIC_KAFKA_TOPIC_PARTITION_LEADER_IS_PREFERRED, preferred_of, true);
    put_rows(
        scrape, METRIC_KAFKA_TOPIC_PARTITION_UNDER_REPLICATED_PARTITION, under_replicated_of, true);
    exposition_single_i64(text, METRIC_KAFKA_SERVER_FETCHSESSIONCACHE_NUMINCREMENTALFETCHSESSIONS,
        replica_fetch_sessions_count(sessions));
    exposition_single_i64(text,
        METRIC_KAFKA_SERVER_FETCHSESSIONCACHE_NUMINCREMENTALFETCHPARTITIONSCACHED,
        replica_fetch_sessions_partition_count(sessions));
    exposition_single_u64(text,
        METRIC_KAFKA_SERVER_FETCHSESSIONCACHE_INCREMENTALFETCHSESSIONEVICTIONS_TOTAL,
        replica_fetch_sessions_evictions(sessions));
}

/* ---- logs ---- */

enum dir_value { DIR_OFFLINE, DIR_TOTAL, DIR_USABLE };

static void
put_dirs(struct scrape *scrape, enum metric metric, enum dir_value which)
{
    if (!exposition_begin(&scrape->text, metric))
        return;
    for (int i = 0; i < log_manager_dir_count(scrape->node->logs); i++) {
        struct log_dir_info info;
        log_manager_dir_info(scrape->node->logs, i, &info);
        struct str label = str_of(info.path);
        int64_t value = which == DIR_OFFLINE ? info.offline
                        : which == DIR_TOTAL ? info.total_bytes
                                             : info.usable_bytes;
        if (value >= 0 && exposition_label_ok(label))
            exposition_i64(&scrape->text, &label, 1, value);
    }
}

void
exposition_put_logs(struct scrape *scrape)
{
    struct exposition_text *text = &scrape->text;
    struct log_manager_counters c;
    log_manager_counters(scrape->node->logs, &c);
    put_rows(scrape, METRIC_KAFKA_LOG_LOG_SIZE, size_of, false);
    put_rows(scrape, METRIC_KAFKA_LOG_LOG_NUMLOGSEGMENTS, segments_of, false);
    put_rows(scrape, METRIC_KAFKA_LOG_LOG_LOGSTARTOFFSET, start_of, false);
    put_rows(scrape, METRIC_KAFKA_LOG_LOG_LOGENDOFFSET, end_of, false);
    exposition_begin(text, METRIC_KAFKA_LOG_LOGFLUSHSTATS_LOGFLUSHRATEANDTIMEMS);
    exposition_summary(text, NULL, 0, &scrape->manager.flushes);
    exposition_begin(text, METRIC_MOLDAU_LOG_FLUSH_SECONDS);
    exposition_histogram(text, NULL, 0, &scrape->manager.flushes);
    exposition_single_u64(text, METRIC_MOLDAU_LOG_FLUSH_ERRORS_TOTAL, scrape->manager.flush_errors);
    exposition_single_i64(
        text, METRIC_KAFKA_LOG_LOGMANAGER_OFFLINELOGDIRECTORYCOUNT, c.dirs_offline);
    put_dirs(scrape, METRIC_KAFKA_LOG_LOGMANAGER_LOGDIRECTORYOFFLINE, DIR_OFFLINE);
    put_dirs(scrape, METRIC_MOLDAU_LOG_DIR_TOTAL_BYTES, DIR_TOTAL);
    put_dirs(scrape, METRIC_MOLDAU_LOG_DIR_USABLE_BYTES, DIR_USABLE);
    exposition_single_i64(text, METRIC_KAFKA_LOG_LOGMANAGER_REMAININGLOGSTORECOVER,
        c.logs_to_load > c.logs_loaded ? c.logs_to_load - c.logs_loaded : 0);
    exposition_single_i64(text, METRIC_MOLDAU_LOG_RECOVERED_TOTAL, c.logs_recovered);
    exposition_single_i64(text, METRIC_MOLDAU_LOG_SCANNED_BYTES_TOTAL, c.bytes_scanned);
    exposition_single_i64(text, METRIC_MOLDAU_LOG_TRUNCATED_BYTES_TOTAL, c.bytes_truncated);
    exposition_single_i64(text, METRIC_MOLDAU_LOG_CORRUPT, c.logs_corrupt);
    exposition_single_i64(text, METRIC_MOLDAU_LOG_OPEN_FILES, c.open_files);
}
