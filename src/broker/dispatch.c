/* From a frame to its handler: header, version rules, decoding.
 *
 * What     What cannot be answered closes the connection: a header that cannot be read, a request
 *          type or a version that is not served (its response's schema is unknown), a body that
 *          does not decode. Only ApiVersions is answered in any version (KIP-511). Bytes after the
 *          body are ignored, as Kafka does.
 * Threads  The connection's reactor. */
#include "base/assert.h"
#include "base/limits.h"
#include "broker/api_table.h"
#include "broker/broker_priv.h"
#include "net/conn.h"
#include "proto/api_keys.h"

struct header {
    int16_t api_key;
    int16_t version;
    int32_t correlation_id;
    struct str client_id;
};

/* The part that all versions of the header have. */
static enum err
header_read(struct reader *r, struct header *out)
{
    struct header h;
    h.api_key = reader_i16(r);
    h.version = reader_i16(r);
    h.correlation_id = reader_i32(r);
    h.client_id = STR_NULL;
    if (r->err == ERR_OK)
        *out = h;
    return r->err;
}

/* Any negative length is null. A header of eight bytes and no client id does not exist since 4.0.
 */
static void
client_id_read(struct reader *r, struct str *out)
{
    int16_t len = reader_i16(r);
    if (len < 0)
        return;
    const uint8_t *data = reader_take(r, (size_t)len);
    if (data != NULL)
        *out = (struct str){(const char *)data, (size_t)len};
}

/* Tagged fields of the header: none are known, so all are skipped, in order and without repeats. */
static void
tags_skip(struct reader *r)
{
    uint32_t count = reader_uvarint(r);
    int64_t last = -1;
    if (count > LIMIT_TAG_COUNT) {
        reader_fail(r, ERR_CORRUPT);
        return;
    }
    for (uint32_t i = 0; i < count && r->err == ERR_OK; i++) {
        int64_t tag = reader_uvarint(r);
        uint32_t size = reader_uvarint(r);
        if (r->err == ERR_OK && tag <= last)
            reader_fail(r, ERR_CORRUPT);
        last = tag;
        (void)reader_take(r, size);
    }
}

static void
refuse(struct broker *broker, struct net_slot *slot, const struct header *h, const char *reason)
{
    diag_event(env_diag(broker->opts.env), DIAG_INFO, "broker", "request_refused",
        DIAG_Z("reason", reason), DIAG_Z("peer", net_conn_peer_host(slot->conn)),
        DIAG_I64("api_key", h->api_key), DIAG_I64("version", h->version),
        DIAG_I64("bytes", slot->frame_len));
    net_slot_close(slot, reason);
}

/* Decodes into the request's arena. */
static enum err
body_read(struct broker_req *req, struct reader *r)
{
    const struct proto_schema *schema = req->api->request;
    void *msg = arena_alloc(req->arena, proto_schema_size(schema));
    if (msg == NULL)
        return ERR_NOMEM;
    proto_init(schema, msg);
    req->msg = msg;
    return proto_decode(schema, req->version, r, req->arena, msg);
}

/* NULL when the request type and version are served. */
static const char *
service_check(const struct header *h, const struct proto_api *api, const struct broker_api *service)
{
    if (api == NULL)
        return "unknown api key";
    if (service == NULL)
        return "api not served here";
    if (h->api_key == PROTO_API_API_VERSIONS)
        return NULL; /* answered in any version */
    if (h->version < service->version_min || h->version > service->version_max)
        return "unsupported version";
    return NULL;
}

/* Kafka: an ApiVersions request of an unknown version is not decoded; the handler sees no msg. */
static bool
is_decodable(const struct header *h, const struct broker_api *service)
{
    return h->version >= service->version_min && h->version <= service->version_max;
}

void
broker_dispatch(struct broker *broker, struct net_conn *conn, struct net_slot *slot)
{
    struct broker_reactor *reactor = &broker->reactors[net_conn_reactor(conn)];
    struct header h = {.api_key = -1, .version = -1};
    struct reader r;
    int64_t start_ns = env_now_ns(broker->opts.env);

    reader_init(&r, (struct bytes){slot->frame, slot->frame_len});
    if (header_read(&r, &h) != ERR_OK) {
        refuse(broker, slot, &h, "header cut short");
        return;
    }
    broker_image_take(reactor);
    const struct proto_api *api = proto_api_find(h.api_key);
    const struct broker_api *service = broker_api_find(h.api_key);
    const char *refusal = service_check(&h, api, service);
    if (refusal == NULL && reactor->image == NULL && h.api_key != PROTO_API_API_VERSIONS)
        refusal = "no metadata yet";
    if (refusal != NULL) {
        refuse(broker, slot, &h, refusal);
        return;
    }
    bool decodable = is_decodable(&h, service);
    if (decodable) {
        client_id_read(&r, &h.client_id);
        if (proto_request_header_version(api, h.version) >= 2)
            tags_skip(&r);
        if (r.err != ERR_OK) {
            refuse(broker, slot, &h, "broken header");
            return;
        }
    }
    struct broker_req_box *box = broker_req_box_get(reactor, slot->frame_len);
    if (box == NULL) {
        refuse(broker, slot, &h, "out of memory");
        return;
    }
    struct broker_req *req = &box->req;
    ASSERT(reactor->handling == NULL); /* one at a time, straight to its end */
    ASSERT(req->loop == net_conn_loop(conn));
    req->peer = net_conn_user(conn);
    req->api = api;
    req->version = h.version;
    req->correlation_id = h.correlation_id;
    req->client_id = h.client_id;
    req->frame = slot->frame;
    req->frame_len = slot->frame_len;
    req->start_ns = start_ns;
    req->conn = conn;
    req->slot = slot;
    box->counters = broker_counters_of(reactor, h.api_key);
    enum err err = decodable ? body_read(req, &r) : ERR_OK;
    if (err != ERR_OK) {
        broker_req_close(req, err == ERR_NOMEM ? "request too costly" : "broken request");
        return;
    }
    reactor->handling = req;
    service->handle(req); /* may have ended the request */
    if (reactor->handling == req)
        broker_counters_parked(box);
    reactor->handling = NULL;
}
