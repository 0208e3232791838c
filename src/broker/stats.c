/* What was served: counters and times of each request type, on each reactor.
 *
 * I1  Only the reactor's own thread writes its counters; others read them, relaxed. */
#include "base/alloc.h"
#include "base/assert.h"
#include "broker/api_table.h"
#include "broker/broker_priv.h"
#include "net/conn.h"

static uint64_t
get(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

static uint64_t
between_us(int64_t from_ns, int64_t to_ns)
{
    return to_ns > from_ns ? (uint64_t)(to_ns - from_ns) / 1000 : 0;
}

/* ---- life ---- */

enum err
broker_error_maps_make(struct broker *broker)
{
    const struct broker_api *service;
    enum err err = ERR_OK;
    for (int i = 0; err == ERR_OK && (service = broker_api_at(i)) != NULL; i++) {
        const struct proto_api *api = proto_api_find(service->key);
        ASSERT(api != NULL && service->key >= 0 && service->key < BROKER_API_KEYS);
        err = proto_errors_new(api->response, &broker->error_maps[service->key]);
    }
    return err;
}

void
broker_error_maps_free(struct broker *broker)
{
    for (int i = 0; i < BROKER_API_KEYS; i++)
        proto_errors_free(&broker->error_maps[i]);
}

struct broker_api_counters *
broker_counters_of(struct broker_reactor *reactor, int16_t key)
{
    if (key < 0 || key >= BROKER_API_KEYS)
        return NULL;
    struct broker_api_counters *counters =
        atomic_load_explicit(&reactor->counters[key], memory_order_relaxed);
    if (counters == NULL) {
        counters = mem_calloc(1, sizeof *counters);
        if (counters != NULL)
            counters->error_map = reactor->broker->error_maps[key];
        atomic_store_explicit(&reactor->counters[key], counters, memory_order_release);
    }
    return counters;
}

void
broker_counters_free(struct broker_reactor *reactor)
{
    for (int i = 0; i < BROKER_API_KEYS; i++)
        mem_free(atomic_load(&reactor->counters[i]));
}

/* ---- counting ---- */

void
broker_counters_parked(struct broker_req_box *box)
{
    box->parked_ns = env_now_ns(box->reactor->broker->opts.env);
    if (box->counters != NULL)
        histogram_count_up(&box->counters->parked, 1);
}

static void
note_error(void *ctx, int16_t code)
{
    struct broker_api_counters *counters = ctx;
    if (code >= -1 && code < BROKER_STATS_ERRORS - 1)
        histogram_count_up(&counters->errors[code + 1], 1);
}

void
broker_counters_errors(struct broker_req_box *box, const void *response)
{
    if (box->counters != NULL)
        proto_errors_each(box->counters->error_map, response, note_error, box->counters);
}

void
broker_counters_end(
    struct broker_req_box *box, const struct net_slot *slot, size_t response_len, bool unsent)
{
    struct broker_api_counters *c = box->counters;
    const struct broker_req *req = &box->req;
    int64_t local_end_ns = box->parked_ns != 0 ? box->parked_ns : slot->answered_ns;
    int version = req->version;
    if (c == NULL)
        return;
    if (version < 0 || version >= BROKER_STATS_VERSIONS) /* ApiVersions is answered in any */
        version = BROKER_STATS_VERSIONS - 1;
    if (box->parked_ns != 0)
        histogram_count_up(&c->unparked, 1);
    histogram_count_up(&c->versions[version], 1);
    histogram_count_up(&c->bytes_in, slot->frame_len);
    histogram_count_up(&c->bytes_out, response_len);
    histogram_add(&c->phases[BROKER_PHASE_QUEUE], between_us(slot->received_ns, req->start_ns));
    histogram_add(&c->phases[BROKER_PHASE_LOCAL], between_us(req->start_ns, local_end_ns));
    histogram_add(&c->phases[BROKER_PHASE_REMOTE], between_us(local_end_ns, slot->answered_ns));
    if (unsent)
        histogram_add(
            &c->phases[BROKER_PHASE_TOTAL], between_us(slot->received_ns, slot->answered_ns));
}

void
broker_counters_sent(void *ctx, const struct net_slot *slot, int64_t sending_ns, int64_t sent_ns)
{
    struct broker_api_counters *c = slot->mark;
    (void)ctx;
    if (c == NULL)
        return;
    histogram_add(
        &c->phases[BROKER_PHASE_RESPONSE_QUEUE], between_us(slot->answered_ns, sending_ns));
    histogram_add(&c->phases[BROKER_PHASE_RESPONSE_SEND], between_us(sending_ns, sent_ns));
    histogram_add(&c->phases[BROKER_PHASE_TOTAL], between_us(slot->received_ns, sent_ns));
}

void
broker_req_count_as(struct broker_req *req, int16_t key)
{
    struct broker_req_box *box = CONTAINER_OF(req, struct broker_req_box, req);
    struct broker_api_counters *counters = broker_counters_of(box->reactor, key);
    ASSERT(box->parked_ns == 0);
    if (counters != NULL && counters->error_map == NULL)
        counters->error_map = box->reactor->broker->error_maps[req->api->key];
    box->counters = counters;
}

/* ---- reading ---- */

static void
collect(const struct broker_api_counters *c, struct broker_api_stats *out)
{
    out->closed += get(&c->closed);
    uint64_t unparked = get(&c->unparked), parked = get(&c->parked);
    out->parked += parked > unparked ? parked - unparked : 0;
    out->bytes_in += get(&c->bytes_in);
    out->bytes_out += get(&c->bytes_out);
    for (int i = 0; i < BROKER_STATS_VERSIONS; i++) {
        uint64_t n = get(&c->versions[i]);
        out->versions[i] += n;
        out->requests += n;
    }
    for (int i = 0; i < BROKER_STATS_ERRORS; i++)
        out->errors[i] += get(&c->errors[i]);
    for (int i = 0; i < BROKER_PHASE_COUNT; i++)
        histogram_collect(&c->phases[i], &out->phases[i]);
}

bool
broker_stats_add(const struct broker *broker, int16_t key, struct broker_api_stats *out)
{
    bool any = false;
    if (key < 0 || key >= BROKER_API_KEYS)
        return false;
    for (int i = 0; i < broker->opts.loop_count; i++) {
        const struct broker_api_counters *c =
            atomic_load_explicit(&broker->reactors[i].counters[key], memory_order_acquire);
        if (c == NULL)
            continue;
        any = true;
        collect(c, out);
    }
    return any;
}

uint32_t
broker_live_requests(const struct broker *broker, int reactor)
{
    ASSERT(reactor >= 0 && reactor < broker->opts.loop_count);
    return atomic_load_explicit(&broker->reactors[reactor].live_count, memory_order_relaxed);
}
