/* node/exposition.c - /metrics, /metrics/aggregated, /healthz and /readyz.
 *
 * What: one scrape is made at a time, on the HTTP thread, from what other threads may be asked for:
 * atomic counters, the immutable image, and each partition's state under its short lock. No reactor
 * is asked, none waits for more than one partition's lock. The metrics are those of
 * spec/metrics.json; exposition_text.h keeps to that list.
 *
 * Bounds: rows of partitions, topics and committed offsets by configuration (metrics.*.max), the
 * text by the HTTP server's limit of an answer. Errors: out of memory answers 500. */
#include <string.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "node/exposition_priv.h"

enum {
    HTTP_CONNECTIONS_MAX = 64,
    SAMPLE_AGE_MS = 5000,
    ARENA_BYTES = 64 << 20, /* names of groups; a group's id is at most 32 KiB */
};

static const char TEXT_FORMAT[] = "text/plain; version=0.0.4; charset=utf-8";

/* ---- small things ---- */

struct str
exposition_number(char out[12], int64_t number)
{
    int len = snprintf(out, 12, "%lld", (long long)number);
    ASSERT(len > 0 && len < 12);
    return (struct str){out, (size_t)len};
}

int64_t
exposition_uptime_ms(const struct scrape *scrape)
{
    return (scrape->now_ns - scrape->node->started_ns) / 1000000;
}

/* ---- samples ---- */

struct opened_at {
    struct exposition_sample *sample;
    int count;
};

static void
sample_opened(void *ctx, const struct net_listener_counters *counters)
{
    struct opened_at *at = ctx;
    if (at->count < EXPOSITION_COUNTS)
        at->sample->opened[at->count++] = counters->opened;
}

int64_t
exposition_idle_ns(const struct scrape *scrape, int reactor)
{
    int64_t *shown = &scrape->ex->idle_shown_ns[reactor];
    struct loop_stats stats;
    loop_stats_get(scrape->node->reactors[reactor], &stats);
    if (stats.idle_ns > *shown)
        *shown = stats.idle_ns;
    return *shown;
}

static void
sample_take(const struct scrape *scrape, struct exposition_sample *sample)
{
    struct opened_at at = {.sample = sample};
    sample->at_ns = scrape->now_ns;
    for (int i = 0; i < scrape->node->reactor_count; i++)
        sample->idle_ns[i] = exposition_idle_ns(scrape, i);
    sample->log_end_offset = scrape->quorum.log_end_offset;
    sample->commits = (struct histogram_counts){0};
    node_metadata_commit_times(scrape->node->metadata, &sample->commits);
    net_server_each_listener(scrape->node->net, sample_opened, &at);
}

/* Scrapes that follow each other closely, of two observers perhaps, share the older sample. */
static void
samples_turn(const struct scrape *scrape)
{
    struct exposition *ex = scrape->ex;
    if (scrape->now_ns - ex->newer.at_ns < (int64_t)SAMPLE_AGE_MS * 1000000)
        return;
    ex->older = ex->newer;
    sample_take(scrape, &ex->newer);
}

double
exposition_idle_share(const struct scrape *scrape, int reactor)
{
    const struct exposition_sample *older = &scrape->ex->older;
    double wall_ns = (double)(scrape->now_ns - older->at_ns);
    double idle_ns = (double)(exposition_idle_ns(scrape, reactor) - older->idle_ns[reactor]);
    double share = wall_ns > 0 ? idle_ns / wall_ns : 1;
    return share > 1 ? 1 : share; /* the scrape's time is a little older than the loop's */
}

/* ---- a scrape ---- */

static bool
scrape_begin(struct scrape *scrape, struct exposition *ex)
{
    struct node *node = ex->node;
    scrape->ex = ex;
    scrape->node = node;
    scrape->now_ns = env_now_ns(node->opts.env);
    arena_init(&scrape->arena, ARENA_BYTES);
    scrape->image = node_metadata_image(node->metadata);
    node_metadata_get_view(node->metadata, &scrape->quorum);
    scrape->controller = scrape->quorum.leading;
    samples_turn(scrape);
    return exposition_walk_replicas(scrape) == ERR_OK;
}

static void
scrape_end(struct scrape *scrape)
{
    mem_free(scrape->partitions);
    mem_free(scrape->topics);
    meta_image_unref(&scrape->image);
    arena_fini(&scrape->arena);
    scrape->ex->scrape_s = (double)(env_now_ns(scrape->node->opts.env) - scrape->now_ns) / 1e9;
}

/* "jmx,native" to a set; 0 when there is something else in it. Prometheus' own are always in. */
static unsigned
dialects_parse(const char *text)
{
    static const struct {
        const char *name;
        unsigned dialect;
    } known[] = {{"jmx", METRIC_DIALECT_JMX}, {"strimzi", METRIC_DIALECT_JMX},
        {"exporter", METRIC_DIALECT_EXPORTER}, {"native", METRIC_DIALECT_NATIVE},
        {"process", METRIC_DIALECT_PROCESS}};
    unsigned set = METRIC_DIALECT_PROCESS;
    if (text == NULL)
        return METRIC_DIALECTS_ALL;
    for (;;) {
        size_t len = strcspn(text, ",");
        unsigned found = 0;
        for (size_t i = 0; i < COUNT_OF(known); i++) {
            if (strlen(known[i].name) == len && memcmp(known[i].name, text, len) == 0)
                found = known[i].dialect;
        }
        if (found == 0)
            return 0;
        set |= found;
        if (text[len] == '\0')
            return set;
        text += len + 1;
    }
}

static void
put_all(struct scrape *scrape)
{
    exposition_put_topics(scrape);
    exposition_put_requests(scrape);
    exposition_put_network(scrape);
    exposition_put_replicas(scrape);
    exposition_put_logs(scrape);
    exposition_put_groups(scrape);
    exposition_put_cluster(scrape);
    exposition_put_process(scrape);
    enum metric missing = exposition_missing(&scrape->text);
    if (missing != METRIC_COUNT) /* a test sees to it that this never happens */
        diag_event(scrape->node->diag, DIAG_ERROR, "http", "metric_missing",
            DIAG_Z("name", metric_defs[missing].name));
}

static void
serve(struct exposition *ex, const struct http_request *request, struct http_response *response,
    bool aggregated)
{
    struct scrape scrape = {0};
    unsigned dialects = dialects_parse(request->query(request, "dialect"));
    if (dialects == 0) {
        response->status = 400;
        buf_append_z(&response->body, "dialect: jmx, exporter, native, or several with commas\n");
        return;
    }
    response->content_type = TEXT_FORMAT;
    exposition_text_init(&scrape.text, &response->body, dialects);
    scrape.text.aggregated = aggregated;
    if (scrape_begin(&scrape, ex))
        put_all(&scrape);
    else
        response->body.err = ERR_NOMEM; /* becomes a 500 */
    scrape_end(&scrape);
}

static void
serve_metrics(void *ctx, const struct http_request *request, struct http_response *response)
{
    serve(ctx, request, response, false);
}

static void
serve_aggregated(void *ctx, const struct http_request *request, struct http_response *response)
{
    serve(ctx, request, response, true);
}

/* ---- health ---- */

static void
serve_health(void *ctx, const struct http_request *request, struct http_response *response)
{
    struct exposition *ex = ctx;
    struct log_manager_counters c;
    (void)request;
    log_manager_counters(ex->node->logs, &c);
    response->status = c.dirs_offline > 0 ? 503 : 200;
    buf_append_z(&response->body, c.dirs_offline > 0 ? "a log directory is offline\n" : "ok\n");
}

static void
serve_ready(void *ctx, const struct http_request *request, struct http_response *response)
{
    const struct exposition *ex = ctx;
    bool ready = node_is_ready(ex->node);
    (void)request;
    response->status = ready ? 200 : 503;
    buf_append_z(&response->body, ready ? "ready\n" : "starting\n");
}

/* ---- start ---- */

static int32_t
bound_of(const struct node *node, const char *key)
{
    int64_t value = node_config_i64(node->opts.config, key);
    return value < 0 ? 0 : value > INT32_MAX ? INT32_MAX : (int32_t)value;
}

static enum err
exposition_make(struct node *node)
{
    struct exposition *ex = mem_calloc(1, sizeof *ex);
    if (ex == NULL)
        return ERR_NOMEM;
    ex->node = node;
    ex->start_wall_ms =
        env_wall_ms(node->opts.env) - (env_now_ns(node->opts.env) - node->started_ns) / 1000000;
    ex->partitions_max = bound_of(node, "metrics.partitions.max");
    ex->topics_max = bound_of(node, "metrics.topics.max");
    ex->offsets_max = bound_of(node, "metrics.group.offsets.max");
    ex->older.at_ns = node->started_ns;
    ex->newer.at_ns = node->started_ns;
    node->exposition = ex;
    node->routes[0] = (struct http_route){"GET", "/metrics", serve_metrics, ex};
    node->routes[1] = (struct http_route){"GET", "/metrics/aggregated", serve_aggregated, ex};
    node->routes[2] = (struct http_route){"GET", "/healthz", serve_health, ex};
    node->routes[3] = (struct http_route){"GET", "/readyz", serve_ready, ex};
    return ERR_OK;
}

void
node_http_fini(struct node *node)
{
    mem_free(node->exposition);
    node->exposition = NULL;
}

enum err
node_http_start(struct node *node)
{
    struct str address = node_config_str(node->opts.config, "http.listener");
    char host[NODE_HOST_MAX];
    struct http_server_opts opts = {.connections_max = HTTP_CONNECTIONS_MAX};
    if (address.len == 0)
        return ERR_OK;
    if (!node_address_parse(address, host, &opts.port)) {
        diag_event(node->diag, DIAG_ERROR, "http", "bad_listener", DIAG_STR("value", address));
        return ERR_INVALID;
    }
    enum err err = exposition_make(node);
    if (err != ERR_OK)
        return err;
    opts.host = str_of(host[0] == '\0' ? "0.0.0.0" : host);
    opts.routes = node->routes;
    opts.route_count = (int)COUNT_OF(node->routes);
    err = http_server_start(&opts, &node->http);
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
