/* client/conn.h - one connection to one broker: requests out, responses matched in order.
 *
 * All on one loop. States: connecting, handshake (ApiVersions), ready, closed. Requests may be
 * pipelined. When a connection ends, for whatever reason, every request in flight ends with the
 * error first, then on_state is told; a closed connection stays closed and is freed by its owner.
 */
#ifndef CLIENT_CONN_H
#define CLIENT_CONN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"
#include "base/list.h"
#include "os/loop.h"
#include "proto/schema.h"

struct client_conn;

struct client_conn_opts {
    struct loop *loop;
    struct sock_addr addr;
    struct str client_id;       /* borrowed for the connection's life */
    int64_t connect_timeout_ms; /* of the connection, and again of the handshake */
    /* Became ready (ERR_OK), or closed (the reason). The connection may be freed from inside only
     * when closed. */
    void (*on_state)(void *ctx, struct client_conn *conn, enum err err);
    void *ctx;
};

/* A request in flight. The caller owns the memory until `done`. */
struct client_pending {
    struct list link;
    struct client_conn *conn;
    struct loop_timer timer;
    int32_t correlation_id;
    int16_t response_header_version;
    /* body: the response after its header, valid during the call; empty with an error. */
    void (*done)(struct client_pending *pending, enum err err, struct bytes body);
};

MUST_USE enum err client_conn_open(const struct client_conn_opts *opts, struct client_conn **out);
/* Ends what is in flight with CANCELED, without on_state. */
void client_conn_free(struct client_conn **conn);
bool client_conn_ready(const struct client_conn *conn);
int client_conn_in_flight(const struct client_conn *conn);

/* The highest version that both sides speak and that is at most version_max (INT16_MAX: no bound);
 * -1 when there is none. Ready only. */
int16_t client_conn_version(const struct client_conn *conn, int16_t key, int16_t version_max);

/* Sends now. pending NULL: no response will come (acks=0). On an error nothing was sent and `done`
 * is not called. TIMEOUT in `done` closes the connection too, since the order is lost. */
MUST_USE enum err client_conn_send(struct client_conn *conn, const struct proto_api *api,
    int16_t version, const void *msg, int64_t timeout_ms, struct client_pending *pending);
/* The same for a frame that was encoded before (without its size): bytes are copied. */
MUST_USE enum err client_conn_send_raw(struct client_conn *conn, struct bytes frame,
    int64_t timeout_ms, struct client_pending *pending);

/* The owner of a request in flight is not interested any more: its response will be discarded. */
void client_conn_forget(struct client_pending *pending);

#endif
