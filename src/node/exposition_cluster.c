/* node/exposition_cluster.c - metrics of the controller, the metadata and the process.
 *
 * What the cluster looks like comes from the image, which nobody changes; what the quorum does,
 * from the view that the metadata loop keeps. Threads: HTTP, but for node_count_elections. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/assert.h"
#include "meta/delta.h"
#include "node/exposition_priv.h"

/* ---- elections, counted as they are seen ---- */

static bool
is_unclean(const struct meta_partition *before, const struct meta_partition *after)
{
    return before != NULL && after != NULL && after->leader >= 0 &&
           after->leader != before->leader && before->isr.count > 0 &&
           !meta_ids_contain(before->isr, after->leader) &&
           !meta_ids_contain(before->elr, after->leader);
}

void
node_count_elections(struct node *node, const struct meta_delta *delta)
{
    for (int32_t t = 0; t < delta->topic_count; t++) {
        const struct meta_delta_topic *topic = &delta->topics[t];
        if (topic->before == NULL || topic->after == NULL)
            continue;
        for (int32_t i = 0; i < topic->partition_count; i++) {
            int32_t index = topic->partitions[i];
            if (is_unclean(meta_topic_partition(topic->before, index),
                    meta_topic_partition(topic->after, index)))
                atomic_fetch_add_explicit(&node->unclean_elections, 1, memory_order_relaxed);
        }
    }
}

/* ---- the cluster ---- */

struct cluster_sums {
    int64_t offline, not_preferred;
    int64_t brokers, fenced;
};

static struct cluster_sums
cluster_sum(const struct meta_image *image)
{
    struct cluster_sums sums = {0};
    for (const struct meta_topic *topic = meta_image_topic_after(image, STR_NULL); topic != NULL;
         topic = meta_image_topic_after(image, topic->name)) {
        for (int32_t i = 0; i < topic->partition_count; i++) {
            const struct meta_partition *part = meta_topic_partition(topic, i);
            if (part == NULL)
                continue;
            sums.offline += part->leader < 0;
            sums.not_preferred +=
                part->replicas.count > 0 && part->leader != part->replicas.items[0];
        }
    }
    for (const struct meta_broker *broker = meta_image_broker_after(image, -1); broker != NULL;
         broker = meta_image_broker_after(image, broker->id)) {
        sums.brokers++;
        sums.fenced += broker->fenced;
    }
    return sums;
}

static void
put_controller(struct scrape *scrape)
{
    const struct meta_image *image = scrape->image;
    struct cluster_sums sums = cluster_sum(image);
    int64_t timestamp_ms = meta_image_timestamp_ms(image);
    int64_t lag_ms = env_wall_ms(scrape->node->opts.env) - timestamp_ms;
    const struct {
        enum metric metric;
        int64_t value;
    } values[] = {
        {METRIC_KAFKA_CONTROLLER_KAFKACONTROLLER_ACTIVECONTROLLERCOUNT, scrape->controller},
        {METRIC_KAFKA_CONTROLLER_KAFKACONTROLLER_ACTIVEBROKERCOUNT, sums.brokers - sums.fenced},
        {METRIC_KAFKA_CONTROLLER_KAFKACONTROLLER_FENCEDBROKERCOUNT, sums.fenced},
        {METRIC_KAFKA_CONTROLLER_KAFKACONTROLLER_GLOBALTOPICCOUNT, meta_image_topic_count(image)},
        {METRIC_KAFKA_CONTROLLER_KAFKACONTROLLER_GLOBALPARTITIONCOUNT,
            meta_image_partition_count(image)},
        {METRIC_KAFKA_CONTROLLER_KAFKACONTROLLER_OFFLINEPARTITIONSCOUNT, sums.offline},
        {METRIC_KAFKA_CONTROLLER_KAFKACONTROLLER_PREFERREDREPLICAIMBALANCECOUNT,
            sums.not_preferred},
        {METRIC_KAFKA_CONTROLLER_KAFKACONTROLLER_LASTAPPLIEDRECORDOFFSET, meta_image_offset(image)},
        {METRIC_KAFKA_CONTROLLER_KAFKACONTROLLER_LASTAPPLIEDRECORDTIMESTAMP, timestamp_ms},
        {METRIC_KAFKA_CONTROLLER_KAFKACONTROLLER_LASTAPPLIEDRECORDLAGMS, lag_ms > 0 ? lag_ms : 0},
        {METRIC_KAFKA_CONTROLLER_KAFKACONTROLLER_LASTCOMMITTEDRECORDOFFSET,
            scrape->quorum.high_watermark - 1},
        {METRIC_KAFKA_CONTROLLER_CONTROLLERSTATS_UNCLEANLEADERELECTIONS_TOTAL,
            (int64_t)atomic_load(&scrape->node->unclean_elections)},
        {METRIC_KAFKA_BROKERS, sums.brokers},
    };
    for (size_t i = 0; i < COUNT_OF(values); i++) {
        exposition_begin(&scrape->text, values[i].metric);
        if (values[i].metric != METRIC_KAFKA_BROKERS || scrape->controller)
            exposition_i64(&scrape->text, NULL, 0, values[i].value);
    }
}

/* ---- what kafka_exporter tells of the cluster: by one node, so that sums are right ---- */

static void
put_broker_info(struct scrape *scrape)
{
    if (!exposition_begin(&scrape->text, METRIC_KAFKA_BROKER_INFO) || !scrape->controller)
        return;
    for (const struct meta_broker *broker = meta_image_broker_after(scrape->image, -1);
         broker != NULL; broker = meta_image_broker_after(scrape->image, broker->id)) {
        char id[12], address[NODE_HOST_MAX + 16] = "";
        if (broker->endpoint_count > 0)
            snprintf(address, sizeof address, "%.*s:%d", STR_FMT(broker->endpoints[0].host),
                (int)broker->endpoints[0].port);
        struct str labels[] = {exposition_number(id, broker->id), str_of(address)};
        if (exposition_label_ok(labels[1]))
            exposition_i64(&scrape->text, labels, 2, 1);
    }
}

static void
put_topic_partitions(struct scrape *scrape)
{
    int32_t left = scrape->ex->topics_max;
    if (!exposition_begin(&scrape->text, METRIC_KAFKA_TOPIC_PARTITIONS) || !scrape->controller)
        return;
    for (const struct meta_topic *topic = meta_image_topic_after(scrape->image, STR_NULL);
         topic != NULL && left > 0; topic = meta_image_topic_after(scrape->image, topic->name)) {
        exposition_i64(&scrape->text, &topic->name, 1, topic->partition_count);
        left--;
    }
}

/* ---- metadata ---- */

static void
put_quorum(struct scrape *scrape)
{
    struct exposition_text *text = &scrape->text;
    const struct node_metadata_view *view = &scrape->quorum;
    struct str role = str_of(view->role);
    int64_t lag = view->high_watermark - 1 - meta_image_offset(scrape->image);
    exposition_begin(text, METRIC_KAFKA_SERVER_RAFTMETRICS_CURRENT_STATE);
    exposition_i64(text, &role, 1, 1);
    exposition_single_i64(text, METRIC_KAFKA_SERVER_RAFTMETRICS_CURRENT_LEADER, view->leader_id);
    exposition_single_i64(text, METRIC_KAFKA_SERVER_RAFTMETRICS_CURRENT_EPOCH, view->epoch);
    exposition_single_i64(
        text, METRIC_KAFKA_SERVER_RAFTMETRICS_HIGH_WATERMARK, view->high_watermark);
    exposition_single_i64(
        text, METRIC_KAFKA_SERVER_RAFTMETRICS_LOG_END_OFFSET, view->log_end_offset);
    exposition_single_i64(text, METRIC_KAFKA_SERVER_RAFTMETRICS_NUMBER_OF_VOTERS, view->voters);
    exposition_single_i64(text, METRIC_MOLDAU_METADATA_LAG_RECORDS, lag > 0 ? lag : 0);
    exposition_single_i64(text, METRIC_MOLDAU_METADATA_UNCOMMITTED_RECORDS,
        view->log_end_offset - view->high_watermark);
    exposition_single_u64(text, METRIC_MOLDAU_METADATA_SNAPSHOTS_TOTAL, view->snapshots);
    exposition_single_i64(text, METRIC_KAFKA_SERVER_SNAPSHOTEMITTER_LATESTSNAPSHOTGENERATEDBYTES,
        view->snapshot_bytes);
    int64_t since_ns = view->snapshot_ns > 0 ? view->snapshot_ns : scrape->node->started_ns;
    exposition_single_i64(text, METRIC_KAFKA_SERVER_SNAPSHOTEMITTER_LATESTSNAPSHOTGENERATEDAGEMS,
        (scrape->now_ns - since_ns) / 1000000);
}

/* Since the older sample, as Kafka tells them over a window; and since the start. */
static void
put_commits(struct scrape *scrape)
{
    struct exposition_text *text = &scrape->text;
    const struct exposition_sample *older = &scrape->ex->older;
    struct histogram_counts all = {0};
    node_metadata_commit_times(scrape->node->metadata, &all);
    double seconds = (double)(scrape->now_ns - older->at_ns) / 1e9;
    double records = (double)(scrape->quorum.log_end_offset - older->log_end_offset);
    uint64_t count = histogram_total(&all) - histogram_total(&older->commits);
    uint64_t sum_us = all.sum_us - older->commits.sum_us;
    int last = HISTOGRAM_BUCKETS - 1;
    while (last > 0 && all.buckets[last] == older->commits.buckets[last])
        last--;
    exposition_single_f64(text, METRIC_KAFKA_SERVER_RAFTMETRICS_APPEND_RECORDS_RATE,
        seconds > 0 && records > 0 ? records / seconds : 0);
    exposition_single_f64(text, METRIC_KAFKA_SERVER_RAFTMETRICS_COMMIT_LATENCY_AVG,
        count > 0 ? (double)sum_us / (double)count / 1e3 : 0);
    exposition_single_f64(text, METRIC_KAFKA_SERVER_RAFTMETRICS_COMMIT_LATENCY_MAX,
        (double)histogram_floor_us(last) / 1e3);
    exposition_begin(text, METRIC_MOLDAU_METADATA_COMMIT_SECONDS);
    exposition_histogram(text, NULL, 0, &all);
}

static void
put_features(struct scrape *scrape)
{
    struct exposition_text *text = &scrape->text;
    struct meta_feature_level feature = {.name = STR_NULL};
    exposition_single_i64(text, METRIC_KAFKA_SERVER_METADATALOADER_CURRENTMETADATAVERSION,
        meta_image_feature(scrape->image, STR("metadata.version")));
    exposition_begin(text, METRIC_KAFKA_SERVER_METADATALOADER_FINALIZEDLEVEL);
    while (meta_image_feature_after(scrape->image, feature.name, &feature)) {
        if (exposition_label_ok(feature.name))
            exposition_i64(text, &feature.name, 1, feature.level);
    }
    exposition_single_i64(text, METRIC_MOLDAU_PRODUCER_IDS_ALLOCATED_TOTAL,
        meta_image_producer_id_next(scrape->image));
}

void
exposition_put_cluster(struct scrape *scrape)
{
    put_controller(scrape);
    put_broker_info(scrape);
    put_topic_partitions(scrape);
    put_quorum(scrape);
    put_commits(scrape);
    put_features(scrape);
}

/* ---- the process ---- */

/* A small file of /proc as text; "" when it cannot be read. */
static const char *
proc_read(const char *path, char *out, size_t size)
{
    FILE *file = fopen(path, "r");
    size_t len = 0;
    if (file != NULL) {
        len = fread(out, 1, size - 1, file);
        fclose(file);
    }
    out[len] = '\0';
    return out;
}

/* The number after `key` at the begin of a line. */
static int64_t
proc_value(const char *text, const char *key)
{
    const char *at = strstr(text, key);
    return at == NULL ? 0 : strtoll(at + strlen(key), NULL, 10);
}

static int64_t
count_fds(void)
{
    DIR *dir = opendir("/proc/self/fd");
    int64_t count = 0;
    if (dir == NULL)
        return 0;
    while (readdir(dir) != NULL)
        count++;
    closedir(dir);
    return count > 3 ? count - 3 : 0; /* ".", ".." and the directory itself */
}

static void
put_disk(struct scrape *scrape)
{
    char io[512];
    proc_read("/proc/self/io", io, sizeof io);
    exposition_single_i64(&scrape->text, METRIC_KAFKA_SERVER_KAFKASERVER_LINUX_DISK_READ_BYTES,
        proc_value(io, "\nread_bytes: "));
    exposition_single_i64(&scrape->text, METRIC_KAFKA_SERVER_KAFKASERVER_LINUX_DISK_WRITE_BYTES,
        proc_value(io, "\nwrite_bytes: "));
}

static void
put_limits(struct scrape *scrape)
{
    struct exposition_text *text = &scrape->text;
    struct str version = STR(MOLDAU_VERSION);
    exposition_begin(text, METRIC_MOLDAU_BUILD_INFO);
    exposition_i64(text, &version, 1, 1);
    exposition_single_i64(
        text, METRIC_MOLDAU_METRICS_PARTITIONS_LEFT_OUT, scrape->partitions_left_out);
    exposition_single_i64(text, METRIC_MOLDAU_METRICS_TOPICS_LEFT_OUT, scrape->topics_left_out);
    exposition_single_f64(text, METRIC_MOLDAU_METRICS_SCRAPE_SECONDS, scrape->ex->scrape_s);
}

void
exposition_put_process(struct scrape *scrape)
{
    struct exposition_text *text = &scrape->text;
    struct rusage usage;
    struct rlimit files;
    char status[4096];
    proc_read("/proc/self/status", status, sizeof status);
    getrusage(RUSAGE_SELF, &usage);
    double cpu_s = (double)usage.ru_utime.tv_sec + (double)usage.ru_stime.tv_sec +
                   (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
    if (getrlimit(RLIMIT_NOFILE, &files) != 0)
        files.rlim_cur = 0;
    exposition_single_i64(
        text, METRIC_KAFKA_SERVER_KAFKASERVER_BROKERSTATE, node_is_ready(scrape->node) ? 3 : 1);
    put_disk(scrape);
    put_limits(scrape);
    exposition_single_f64(text, METRIC_PROCESS_CPU_SECONDS_TOTAL, cpu_s);
    exposition_single_i64(
        text, METRIC_PROCESS_RESIDENT_MEMORY_BYTES, proc_value(status, "\nVmRSS:") * 1024);
    exposition_single_i64(
        text, METRIC_PROCESS_VIRTUAL_MEMORY_BYTES, proc_value(status, "\nVmSize:") * 1024);
    exposition_single_f64(
        text, METRIC_PROCESS_START_TIME_SECONDS, (double)scrape->ex->start_wall_ms / 1e3);
    exposition_single_i64(text, METRIC_PROCESS_OPEN_FDS, count_fds());
    exposition_single_i64(text, METRIC_PROCESS_MAX_FDS, (int64_t)files.rlim_cur);
    exposition_single_i64(text, METRIC_PROCESS_THREADS, proc_value(status, "\nThreads:"));
}
