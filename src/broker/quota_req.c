/* Quotas of requests: what is counted, and the wait that an answer tells of (KIP-219).
 *
 * What     A client over a quota is answered at once; its connection is then not read for the time
 *          that the answer says. Of several waits the longest holds. Nothing here is done while the
 *          image has no quotas (reactor->quotas_on).
 * Time     request_percentage counts the reactor's time from when it takes a request up until its
 *          handler has answered or waits, and from where it goes on to its answer: decoding and
 *          handling, not waiting, not sending, not what a pool does for it. 100 is one reactor.
 * Threads  The request's reactor; mutation_take: the metadata loop, while the request waits. */
#include "broker/quota_req.h"

#include "base/assert.h"
#include "broker/broker_priv.h"
#include "broker/quota.h"
#include "net/conn.h"
#include "security/principal.h"

static struct broker_req_box *
box_of(struct broker_req *req)
{
    return CONTAINER_OF(req, struct broker_req_box, req);
}

static bool
limit_find(struct broker_req *req, enum meta_quota_key_id key, struct broker_quota_limit *out)
{
    struct str type, name;
    if (security_principal_split(req->peer->principal, &type, &name) != ERR_OK)
        return false;
    struct broker_quota_owner owner = {name, req->client_id};
    return broker_quota_find(req->broker->quotas, req->image, key, &owner, out);
}

static void
wait_add(struct broker_req *req, int64_t wait_ms)
{
    struct broker_req_box *box = box_of(req);
    if (wait_ms > box->throttle_ms)
        box->throttle_ms = wait_ms < INT32_MAX ? (int32_t)wait_ms : INT32_MAX;
}

/* Once for each request. */
static void
time_count(struct broker_req *req)
{
    struct broker_req_box *box = box_of(req);
    struct broker_quotas *quotas = req->broker->quotas;
    struct broker_quota_limit limit;
    if (box->time_counted)
        return;
    box->time_counted = true;
    if (!limit_find(req, META_QUOTA_REQUEST_PERCENTAGE, &limit))
        return;
    int64_t now_ns = env_now_ns(req->broker->opts.env);
    int64_t used_ns = (box->parked_ns != 0 ? box->parked_ns : now_ns) - req->start_ns;
    if (box->parked_ns != 0 && box->resumed_ns > box->parked_ns)
        used_ns += now_ns - box->resumed_ns;
    double percent_seconds = (double)used_ns * 100.0 / 1e9;
    int64_t wait_ms = broker_quota_add(quotas, &limit, percent_seconds, false);
    int64_t most_ms = broker_quota_sample_ms(quotas);
    wait_add(req, wait_ms < most_ms ? wait_ms : most_ms);
}

void
broker_quota_produced(struct broker_req *req, size_t bytes)
{
    struct broker_quota_limit limit;
    if (box_of(req)->reactor->quotas_on && limit_find(req, META_QUOTA_PRODUCER_BYTE_RATE, &limit))
        wait_add(req, broker_quota_add(req->broker->quotas, &limit, (double)bytes, false));
}

bool
broker_quota_fetched(struct broker_req *req, size_t bytes)
{
    struct broker_quota_limit limit;
    if (!box_of(req)->reactor->quotas_on)
        return false;
    time_count(req);
    /* What is not sent for the time used is not counted either. */
    if (box_of(req)->throttle_ms == 0 && limit_find(req, META_QUOTA_CONSUMER_BYTE_RATE, &limit))
        wait_add(req, broker_quota_add(req->broker->quotas, &limit, (double)bytes, true));
    return box_of(req)->throttle_ms > 0;
}

size_t
broker_quota_fetch_bytes_max(struct broker_req *req, size_t bytes)
{
    struct broker_quota_limit limit;
    if (!box_of(req)->reactor->quotas_on || !limit_find(req, META_QUOTA_CONSUMER_BYTE_RATE, &limit))
        return bytes;
    double most = broker_quota_whole_window(req->broker->quotas, &limit);
    return most < (double)bytes ? (size_t)most : bytes;
}

/* ---- changes of metadata ---- */

static bool
mutation_take(void *ctx, int64_t partitions)
{
    struct broker_req_box *box = ctx;
    struct broker *broker = box->req.broker;
    int64_t wait_ms;
    bool taken = broker_quota_take(
        broker->quotas, &box->mutation_limit, (double)partitions, box->mutation_strict, &wait_ms);
    if (wait_ms > 0) {
        box->mutation_wait_ms = wait_ms;
        box->mutation_at_ms = env_now_ms(broker->opts.env);
    }
    return taken;
}

void
broker_quota_mutates(struct broker_req *req, int16_t strict_from)
{
    struct broker_req_box *box = box_of(req);
    if (!box->reactor->quotas_on ||
        !limit_find(req, META_QUOTA_CONTROLLER_MUTATION_RATE, &box->mutation_limit))
        return;
    box->mutation_strict = req->version >= strict_from;
    box->mutations = (struct meta_mutation_quota){mutation_take, box};
}

/* ---- answers ---- */

void
broker_quota_answer(struct broker_req *req, const void *response)
{
    struct broker_req_box *box = box_of(req);
    time_count(req);
    if (box->mutation_wait_ms > 0)
        wait_add(
            req, box->mutation_wait_ms - (env_now_ms(req->broker->opts.env) - box->mutation_at_ms));
    if (box->throttle_ms == 0)
        return;
    int32_t *said = proto_throttle_time(req->api->response, (void *)(uintptr_t)response);
    if (said != NULL)
        *said = box->throttle_ms;
    net_conn_throttle(req->conn, box->throttle_ms);
}

void
broker_quota_silent(struct broker_req *req)
{
    struct broker_req_box *box = box_of(req);
    if (box->throttle_ms > 0)
        net_conn_throttle(req->conn, box->throttle_ms);
}

/* ---- connections ---- */

int64_t
broker_quota_connected(struct broker_reactor *reactor, const struct broker_peer *peer)
{
    struct broker_quotas *quotas = reactor->broker->quotas;
    struct broker_quota_owner owner = {STR_NULL, str_of(peer->host)};
    struct broker_quota_limit limit;
    if (!broker_quota_find(
            quotas, reactor->image, META_QUOTA_CONNECTION_CREATION_RATE, &owner, &limit))
        return 0;
    int64_t wait_ms = broker_quota_add(quotas, &limit, 1, true);
    int64_t most_ms = broker_quota_sample_ms(quotas);
    return wait_ms < most_ms ? wait_ms : most_ms;
}
