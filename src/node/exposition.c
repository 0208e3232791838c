/* node/exposition.c - /metrics, /healthz and /readyz.
 *
 * Metrics are Prometheus text, with the names that Kafka's JMX exporter gives, so that existing
 * dashboards work. Everything read here is atomic or locked by its owner; the HTTP thread only. */
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "node/node_priv.h"
#include "proto/schema.h"

enum { HTTP_CONNECTIONS_MAX = 64, API_KEYS = 128 };

static const char TEXT_FORMAT[] = "text/plain; version=0.0.4; charset=utf-8";

static void
metric(struct buf *out, const char *type, const char *name, const char *labels, double value)
{
    if (type != NULL)
        buf_printf(out, "# TYPE %s %s\n", name, type);
    buf_printf(out, "%s%s %.17g\n", name, labels, value);
}

static void
put_process(const struct node *node, struct buf *out)
{
    struct rusage usage;
    long pages = 0;
    long skip = 0;
    FILE *statm = fopen("/proc/self/statm", "r");
    if (statm != NULL) {
        if (fscanf(statm, "%ld %ld", &skip, &pages) != 2)
            pages = 0;
        fclose(statm);
    }
    getrusage(RUSAGE_SELF, &usage);
    double cpu = (double)usage.ru_utime.tv_sec + (double)usage.ru_stime.tv_sec +
                 (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
    double uptime = (double)(env_now_ns(node->opts.env) - node->started_ns) / 1e9;
    metric(out, "counter", "process_cpu_seconds_total", "", cpu);
    metric(out, "gauge", "process_resident_memory_bytes", "",
        (double)pages * (double)sysconf(_SC_PAGESIZE));
    metric(out, "gauge", "process_start_time_seconds", "",
        (double)env_wall_ms(node->opts.env) / 1e3 - uptime);
}

static void
put_network(const struct node *node, struct buf *out)
{
    struct net_counters c;
    net_server_counters(node->net, &c);
    metric(out, "gauge", "kafka_server_socket_server_metrics_connection_count", "",
        net_server_connection_count(node->net));
    metric(out, "counter", "kafka_server_socket_server_metrics_connection_creation_total", "",
        (double)c.connections_opened);
    metric(out, "counter", "kafka_server_socket_server_metrics_connection_close_total", "",
        (double)c.connections_closed);
    metric(
        out, "counter", "moldau_net_connections_refused_total", "", (double)c.connections_refused);
    metric(out, "counter", "moldau_net_bad_frames_total", "", (double)c.closed_bad_frame);
    metric(out, "counter", "kafka_server_brokertopicmetrics_bytesin_total", "",
        (double)c.bytes_received);
    metric(
        out, "counter", "kafka_server_brokertopicmetrics_bytesout_total", "", (double)c.bytes_sent);
}

/* The value below which so much of the histogram lies, in milliseconds. */
static double
quantile_ms(const struct broker_api_stats *stats, double q)
{
    uint64_t total = 0;
    for (int i = 0; i < BROKER_HIST_BUCKETS; i++)
        total += stats->latency[i];
    uint64_t wanted = (uint64_t)((double)total * q);
    uint64_t seen = 0;
    for (int i = 0; i < BROKER_HIST_BUCKETS; i++) {
        seen += stats->latency[i];
        if (seen > wanted)
            return (double)broker_hist_floor_us(i) / 1e3;
    }
    return 0;
}

static void
put_requests(const struct node *node, struct buf *out)
{
    static const double quantiles[] = {0.5, 0.95, 0.99, 0.999};
    buf_append_z(out, "# TYPE kafka_network_requestmetrics_requests_total counter\n"
                      "# TYPE kafka_network_requestmetrics_totaltimems gauge\n");
    for (int16_t key = 0; key < API_KEYS; key++) {
        struct broker_api_stats stats;
        const struct proto_api *api = proto_api_find(key);
        if (api == NULL || !broker_stats(node->broker, key, &stats) || stats.requests == 0)
            continue;
        buf_printf(out, "kafka_network_requestmetrics_requests_total{request=\"%s\"} %llu\n",
            api->name, (unsigned long long)stats.requests);
        for (size_t i = 0; i < COUNT_OF(quantiles); i++)
            buf_printf(out,
                "kafka_network_requestmetrics_totaltimems{request=\"%s\",quantile=\"%g\"} %g\n",
                api->name, quantiles[i], quantile_ms(&stats, quantiles[i]));
    }
}

struct partition_sums {
    struct buf *out;
    int64_t leaders;
};

static void
put_partition(void *ctx, struct replica_partition *part)
{
    struct partition_sums *sums = ctx;
    struct replica_partition_state state;
    struct str topic = replica_partition_topic(part);
    int32_t index = replica_partition_index(part);
    replica_partition_get_state(part, &state);
    sums->leaders += state.leader;
    buf_printf(sums->out,
        "kafka_log_log_size{topic=\"%.*s\",partition=\"%d\"} %lld\n"
        "kafka_log_log_logstartoffset{topic=\"%.*s\",partition=\"%d\"} %lld\n"
        "kafka_log_log_logendoffset{topic=\"%.*s\",partition=\"%d\"} %lld\n",
        STR_FMT(topic), (int)index, (long long)state.size_bytes, STR_FMT(topic), (int)index,
        (long long)state.log_start_offset, STR_FMT(topic), (int)index,
        (long long)state.log_end_offset);
}

static void
put_storage(const struct node *node, struct buf *out)
{
    struct log_manager_counters c;
    struct partition_sums sums = {.out = out};
    log_manager_counters(node->logs, &c);
    metric(out, "gauge", "kafka_server_replicamanager_partitioncount", "",
        (double)replica_manager_partition_count(node->replicas));
    metric(out, "gauge", "kafka_server_replicamanager_underreplicatedpartitions", "", 0);
    metric(
        out, "gauge", "kafka_log_logmanager_offlinelogdirectorycount", "", (double)c.dirs_offline);
    metric(out, "counter", "moldau_log_recovered_total", "", (double)c.logs_recovered);
    metric(out, "counter", "moldau_log_bytes_truncated_total", "", (double)c.bytes_truncated);
    metric(out, "gauge", "moldau_log_corrupt", "", (double)c.logs_corrupt);
    metric(out, "gauge", "moldau_log_open_files", "", (double)c.open_files);
    buf_append_z(out, "# TYPE kafka_log_log_size gauge\n# TYPE kafka_log_log_logstartoffset gauge\n"
                      "# TYPE kafka_log_log_logendoffset gauge\n");
    replica_manager_each(node->replicas, put_partition, &sums);
    metric(out, "gauge", "kafka_server_replicamanager_leadercount", "", (double)sums.leaders);
}

static void
put_metadata(const struct node *node, struct buf *out)
{
    struct meta_image *image = node_metadata_image(node->metadata);
    metric(out, "gauge", "kafka_controller_kafkacontroller_activecontrollercount", "", 1);
    metric(out, "gauge", "kafka_controller_kafkacontroller_globaltopiccount", "",
        meta_image_topic_count(image));
    metric(out, "gauge", "kafka_controller_kafkacontroller_globalpartitioncount", "",
        meta_image_partition_count(image));
    metric(out, "gauge", "kafka_controller_kafkacontroller_offlinepartitionscount", "", 0);
    metric(out, "gauge", "kafka_server_kafkaserver_brokerstate", "", node_is_ready(node) ? 3 : 1);
    meta_image_unref(&image);
}

static void
serve_metrics(void *ctx, const struct http_request *request, struct http_response *response)
{
    const struct node *node = ctx;
    (void)request;
    response->content_type = TEXT_FORMAT;
    put_process(node, &response->body);
    put_network(node, &response->body);
    put_requests(node, &response->body);
    put_metadata(node, &response->body);
    put_storage(node, &response->body);
}

static void
serve_health(void *ctx, const struct http_request *request, struct http_response *response)
{
    struct node *node = ctx;
    struct log_manager_counters c;
    (void)request;
    log_manager_counters(node->logs, &c);
    response->status = c.dirs_offline > 0 ? 503 : 200;
    buf_append_z(&response->body, c.dirs_offline > 0 ? "a log directory is offline\n" : "ok\n");
}

static void
serve_ready(void *ctx, const struct http_request *request, struct http_response *response)
{
    const struct node *node = ctx;
    (void)request;
    response->status = node_is_ready(node) ? 200 : 503;
    buf_append_z(&response->body, node_is_ready(node) ? "ready\n" : "starting\n");
}

enum err
node_http_start(struct node *node)
{
    struct str address = node_config_str(node->opts.config, "http.listener");
    char host[NODE_HOST_MAX];
    struct http_server_opts opts = {.connections_max = HTTP_CONNECTIONS_MAX};
    node->routes[0] = (struct http_route){"GET", "/metrics", serve_metrics, node};
    node->routes[1] = (struct http_route){"GET", "/healthz", serve_health, node};
    node->routes[2] = (struct http_route){"GET", "/readyz", serve_ready, node};
    if (address.len == 0)
        return ERR_OK;
    if (!node_address_parse(address, host, &opts.port)) {
        diag_event(node->diag, DIAG_ERROR, "http", "bad_listener", DIAG_STR("value", address));
        return ERR_INVALID;
    }
    opts.host = str_of(host[0] == '\0' ? "0.0.0.0" : host);
    opts.routes = node->routes;
    opts.route_count = (int)COUNT_OF(node->routes);
    enum err err = http_server_start(&opts, &node->http);
    if (err == ERR_BUSY) {
        /* Metrics are not worth a broker: say so and go on. */
        diag_event(node->diag, DIAG_WARN, "http", "port_in_use", DIAG_STR("listener", address));
        return ERR_OK;
    }
    if (err == ERR_OK)
        diag_event(node->diag, DIAG_INFO, "http", "listening", DIAG_STR("host", opts.host),
            DIAG_I64("port", http_server_port(node->http)));
    return err;
}
