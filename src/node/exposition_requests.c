/* node/exposition_requests.c - metrics of requests, connections and reactors: counters that each
 * reactor writes for itself, added up here. Threads: HTTP. */
#include "base/attr.h"
#include "node/exposition_priv.h"
#include "proto/api_keys.h"
#include "proto/error_codes.h"
#include "proto/schema.h"

enum { API_KEYS = 128 };

/* ---- by type of request ---- */

typedef void put_api(
    struct scrape *scrape, struct str name, const struct broker_api_stats *stats, int which);

/* The counters of one or two keys (-1: none); false when there are none. */
static bool
stats_of(const struct scrape *scrape, int16_t key, int16_t other, struct broker_api_stats *out)
{
    *out = (struct broker_api_stats){0};
    bool any = broker_stats_add(scrape->node->broker, key, out);
    any = broker_stats_add(scrape->node->broker, other, out) || any;
    return any && out->requests + out->parked > 0;
}

/* Calls fn for each type that was asked for. split: fetches also by who sent them, as Kafka does;
 * then they are in two series, and sums over types count them twice. */
static void
each_api(struct scrape *scrape, put_api *fn, int which, bool split)
{
    struct broker_api_stats stats;
    for (int16_t key = 0; key < API_KEYS; key++) {
        const struct proto_api *api = proto_api_find(key);
        bool fetch = key == PROTO_API_FETCH;
        if (api == NULL)
            continue;
        if (stats_of(scrape, key, fetch ? BROKER_STATS_FETCH_FOLLOWER : -1, &stats))
            fn(scrape, str_of(api->name), &stats, which);
        if (split && fetch && stats_of(scrape, key, -1, &stats))
            fn(scrape, STR("FetchConsumer"), &stats, which);
        if (split && fetch && stats_of(scrape, BROKER_STATS_FETCH_FOLLOWER, -1, &stats))
            fn(scrape, STR("FetchFollower"), &stats, which);
    }
}

static void
put_versions(
    struct scrape *scrape, struct str name, const struct broker_api_stats *stats, int which)
{
    char version[12];
    (void)which;
    for (int i = 0; i < BROKER_STATS_VERSIONS; i++) {
        if (stats->versions[i] > 0)
            exposition_u64(&scrape->text, (struct str[]){name, exposition_number(version, i)}, 2,
                stats->versions[i]);
    }
}

static void
put_errors(struct scrape *scrape, struct str name, const struct broker_api_stats *stats, int which)
{
    (void)which;
    for (int i = 0; i < BROKER_STATS_ERRORS; i++) {
        const char *error = proto_error_name((int16_t)(i - 1));
        /* Codes without a name would be one series, said twice. */
        if (stats->errors[i] > 0 && strcmp(error, "UNKNOWN") != 0)
            exposition_u64(&scrape->text, (struct str[]){name, str_of(error)}, 2, stats->errors[i]);
    }
}

static void
put_summary(struct scrape *scrape, struct str name, const struct broker_api_stats *stats, int phase)
{
    exposition_summary(&scrape->text, &name, 1, &stats->phases[phase]);
}

static void
put_histogram(
    struct scrape *scrape, struct str name, const struct broker_api_stats *stats, int phase)
{
    exposition_histogram(&scrape->text, &name, 1, &stats->phases[phase]);
}

enum plain { PLAIN_BYTES_IN, PLAIN_BYTES_OUT, PLAIN_CLOSED, PLAIN_PARKED };

static void
put_plain(struct scrape *scrape, struct str name, const struct broker_api_stats *stats, int which)
{
    uint64_t value = 0;
    switch ((enum plain)which) {
    case PLAIN_BYTES_IN: value = stats->bytes_in; break;
    case PLAIN_BYTES_OUT: value = stats->bytes_out; break;
    case PLAIN_CLOSED: value = stats->closed; break;
    case PLAIN_PARKED: value = stats->parked; break;
    }
    exposition_u64(&scrape->text, &name, 1, value);
}

/* What waits in Kafka's purgatories, under their names there. */
static void
put_purgatory(struct scrape *scrape, enum metric metric)
{
    static const struct {
        const char *name;
        int16_t keys[4]; /* -1: no more */
    } purgatories[] = {{"Produce", {0, -1}}, {"Fetch", {1, BROKER_STATS_FETCH_FOLLOWER, -1}},
        {"Rebalance", {11, 14, -1}}};
    struct broker_api_stats stats;
    exposition_begin(&scrape->text, metric);
    for (size_t i = 0; i < COUNT_OF(purgatories); i++) {
        uint64_t parked = 0;
        struct str name = str_of(purgatories[i].name);
        for (const int16_t *key = purgatories[i].keys; *key >= 0; key++)
            parked += stats_of(scrape, *key, -1, &stats) ? stats.parked : 0;
        exposition_u64(&scrape->text, &name, 1, parked);
    }
}

static void
put_queues(struct scrape *scrape)
{
    struct broker_api_stats stats;
    struct net_counters net;
    uint64_t live = 0, parked = 0;
    for (int i = 0; i < scrape->node->reactor_count; i++)
        live += broker_live_requests(scrape->node->broker, i);
    for (int16_t key = 0; key < API_KEYS; key++)
        parked += stats_of(scrape, key, -1, &stats) ? stats.parked : 0;
    net_server_counters(scrape->node->net, &net);
    exposition_single_u64(&scrape->text, METRIC_KAFKA_NETWORK_REQUESTCHANNEL_REQUESTQUEUESIZE,
        live > parked ? live - parked : 0);
    exposition_single_u64(&scrape->text, METRIC_KAFKA_NETWORK_REQUESTCHANNEL_RESPONSEQUEUESIZE,
        net.responses_waiting);
}

void
exposition_put_requests(struct scrape *scrape)
{
    static const struct {
        enum metric summary, histogram;
    } phases[BROKER_PHASE_COUNT] = {
        [BROKER_PHASE_TOTAL] = {METRIC_KAFKA_NETWORK_REQUESTMETRICS_TOTALTIMEMS,
            METRIC_MOLDAU_REQUEST_DURATION_SECONDS},
        [BROKER_PHASE_QUEUE] = {METRIC_KAFKA_NETWORK_REQUESTMETRICS_REQUESTQUEUETIMEMS,
            METRIC_MOLDAU_REQUEST_QUEUE_SECONDS},
        [BROKER_PHASE_LOCAL] = {METRIC_KAFKA_NETWORK_REQUESTMETRICS_LOCALTIMEMS,
            METRIC_MOLDAU_REQUEST_LOCAL_SECONDS},
        [BROKER_PHASE_REMOTE] = {METRIC_KAFKA_NETWORK_REQUESTMETRICS_REMOTETIMEMS,
            METRIC_MOLDAU_REQUEST_REMOTE_SECONDS},
        [BROKER_PHASE_RESPONSE_QUEUE] = {METRIC_KAFKA_NETWORK_REQUESTMETRICS_RESPONSEQUEUETIMEMS,
            METRIC_MOLDAU_REQUEST_RESPONSE_QUEUE_SECONDS},
        [BROKER_PHASE_RESPONSE_SEND] = {METRIC_KAFKA_NETWORK_REQUESTMETRICS_RESPONSESENDTIMEMS,
            METRIC_MOLDAU_REQUEST_RESPONSE_SEND_SECONDS},
    };
    static const enum metric plains[] = {
        [PLAIN_BYTES_IN] = METRIC_MOLDAU_REQUEST_BYTES_TOTAL,
        [PLAIN_BYTES_OUT] = METRIC_MOLDAU_RESPONSE_BYTES_TOTAL,
        [PLAIN_CLOSED] = METRIC_MOLDAU_REQUESTS_CLOSED_TOTAL,
        [PLAIN_PARKED] = METRIC_MOLDAU_REQUESTS_PARKED,
    };
    exposition_begin(&scrape->text, METRIC_KAFKA_NETWORK_REQUESTMETRICS_REQUESTS_TOTAL);
    each_api(scrape, put_versions, 0, true);
    exposition_begin(&scrape->text, METRIC_KAFKA_NETWORK_REQUESTMETRICS_ERRORS_TOTAL);
    each_api(scrape, put_errors, 0, false);
    for (int phase = 0; phase < BROKER_PHASE_COUNT; phase++) {
        if (exposition_begin(&scrape->text, phases[phase].summary))
            each_api(scrape, put_summary, phase, true);
        if (exposition_begin(&scrape->text, phases[phase].histogram))
            each_api(scrape, put_histogram, phase, false);
    }
    for (size_t i = 0; i < COUNT_OF(plains); i++) {
        if (exposition_begin(&scrape->text, plains[i]))
            each_api(scrape, put_plain, (int)i, false);
    }
    put_purgatory(scrape, METRIC_KAFKA_SERVER_DELAYEDOPERATIONPURGATORY_PURGATORYSIZE);
    put_purgatory(scrape, METRIC_KAFKA_SERVER_DELAYEDOPERATIONPURGATORY_NUMDELAYEDOPERATIONS);
    put_queues(scrape);
}

/* ---- connections ---- */

enum conn_value { CONN_COUNT, CONN_RATE, CONN_OPENED, CONN_CLOSED };

struct put_listeners {
    struct scrape *scrape;
    enum conn_value value;
    int at; /* in exposition_sample.opened */
};

/* With the server's lock held: a few hundred bytes each. */
static void
put_listener(void *ctx, const struct net_listener_counters *c)
{
    struct put_listeners *put = ctx;
    const struct exposition_sample *older = &put->scrape->ex->older;
    struct exposition_text *text = &put->scrape->text;
    char reactor[12];
    struct str labels[] = {c->listener, exposition_number(reactor, c->reactor)};
    int at = put->at++;
    switch (put->value) {
    case CONN_COUNT:
        exposition_u64(text, labels, 2, c->opened > c->closed ? c->opened - c->closed : 0);
        break;
    case CONN_RATE: {
        double seconds = (double)(put->scrape->now_ns - older->at_ns) / 1e9;
        uint64_t before = at < EXPOSITION_COUNTS ? older->opened[at] : c->opened;
        exposition_f64(text, labels, 2, seconds > 0 ? (double)(c->opened - before) / seconds : 0);
        break;
    }
    case CONN_OPENED: exposition_u64(text, labels, 2, c->opened); break;
    case CONN_CLOSED: exposition_u64(text, labels, 2, c->closed); break;
    }
}

static void
put_listeners(struct scrape *scrape, enum metric metric, enum conn_value value)
{
    struct put_listeners put = {.scrape = scrape, .value = value};
    if (exposition_begin(&scrape->text, metric))
        net_server_each_listener(scrape->node->net, put_listener, &put);
}

static void
put_cut(struct scrape *scrape, const struct net_counters *net)
{
    const struct {
        const char *reason;
        uint64_t value;
    } reasons[] = {{"bad_frame", net->closed_bad_frame}, {"idle", net->closed_idle},
        {"frame_deadline", net->closed_frame_deadline}, {"send_stall", net->closed_send_stall},
        {"network_error", net->closed_error}};
    exposition_begin(&scrape->text, METRIC_MOLDAU_NET_CONNECTIONS_CUT_TOTAL);
    for (size_t i = 0; i < COUNT_OF(reasons); i++) {
        struct str label = str_of(reasons[i].reason);
        exposition_u64(&scrape->text, &label, 1, reasons[i].value);
    }
}

/* ---- reactors ---- */

static void
put_idle(struct scrape *scrape)
{
    struct exposition_text *text = &scrape->text;
    double sum = 0;
    char number[12];
    for (int i = 0; i < scrape->node->reactor_count; i++)
        sum += exposition_idle_share(scrape, i);
    double average = sum / scrape->node->reactor_count;
    exposition_single_f64(
        text, METRIC_KAFKA_NETWORK_SOCKETSERVER_NETWORKPROCESSORAVGIDLE_PERCENT, average);
    exposition_single_f64(
        text, METRIC_KAFKA_SERVER_KAFKAREQUESTHANDLERPOOL_REQUESTHANDLERAVGIDLE_PERCENT, average);
    exposition_begin(text, METRIC_KAFKA_NETWORK_PROCESSOR_IDLE_PERCENT);
    for (int i = 0; i < scrape->node->reactor_count; i++) {
        struct str label = exposition_number(number, i);
        exposition_f64(text, &label, 1, exposition_idle_share(scrape, i));
    }
}

static void
put_reactors(struct scrape *scrape)
{
    struct exposition_text *text = &scrape->text;
    struct loop_stats stats;
    char number[12];
    put_idle(scrape);
    exposition_begin(text, METRIC_MOLDAU_REACTOR_IDLE_SECONDS_TOTAL);
    for (int i = 0; i < scrape->node->reactor_count; i++) {
        struct str label = exposition_number(number, i);
        exposition_f64(text, &label, 1, (double)exposition_idle_ns(scrape, i) / 1e9);
    }
    exposition_begin(text, METRIC_MOLDAU_REACTOR_TURNS_TOTAL);
    for (int i = 0; i < scrape->node->reactor_count; i++) {
        struct str label = exposition_number(number, i);
        loop_stats_get(scrape->node->reactors[i], &stats);
        exposition_u64(text, &label, 1, stats.turns);
    }
    exposition_begin(text, METRIC_MOLDAU_REACTOR_REQUESTS);
    for (int i = 0; i < scrape->node->reactor_count; i++) {
        struct str label = exposition_number(number, i);
        exposition_u64(text, &label, 1, broker_live_requests(scrape->node->broker, i));
    }
}

void
exposition_put_network(struct scrape *scrape)
{
    struct exposition_text *text = &scrape->text;
    struct net_counters net;
    net_server_counters(scrape->node->net, &net);
    put_listeners(scrape, METRIC_KAFKA_SERVER_SOCKET_SERVER_METRICS_CONNECTION_COUNT, CONN_COUNT);
    put_listeners(
        scrape, METRIC_KAFKA_SERVER_SOCKET_SERVER_METRICS_CONNECTION_CREATION_RATE, CONN_RATE);
    put_listeners(
        scrape, METRIC_KAFKA_SERVER_SOCKET_SERVER_METRICS_CONNECTION_CREATION_TOTAL, CONN_OPENED);
    put_listeners(
        scrape, METRIC_KAFKA_SERVER_SOCKET_SERVER_METRICS_CONNECTION_CLOSE_TOTAL, CONN_CLOSED);
    exposition_single_u64(
        text, METRIC_MOLDAU_NET_CONNECTIONS_REFUSED_TOTAL, net.connections_refused);
    put_cut(scrape, &net);
    exposition_single_u64(text, METRIC_MOLDAU_NET_RECEIVED_BYTES_TOTAL, net.bytes_received);
    exposition_single_u64(text, METRIC_MOLDAU_NET_SENT_BYTES_TOTAL, net.bytes_sent);
    exposition_single_u64(text, METRIC_MOLDAU_NET_FRAMES_RECEIVED_TOTAL, net.frames_received);
    exposition_single_u64(text, METRIC_MOLDAU_NET_RESPONSES_SENT_TOTAL, net.responses_sent);
    put_reactors(scrape);
}
