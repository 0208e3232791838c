/* http/server.h - a small HTTP server: exact paths to handlers, over libmicrohttpd.
 *
 * One thread of its own serves all connections; handlers run on it and must not block for long.
 * What they read of the node must be for any thread. Real environment only. */
#ifndef HTTP_SERVER_H
#define HTTP_SERVER_H

#include <stdint.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"

struct http_server;

struct http_request {
    const char *method; /* "GET" */
    const char *path;   /* "/metrics", without the query */
    /* Value of a query parameter, or NULL. */
    const char *(*query)(const struct http_request *request, const char *name);
    void *impl;
};

struct http_response {
    int status;               /* 200 at first */
    const char *content_type; /* "text/plain; charset=utf-8" at first; static text */
    struct buf body;
};

struct http_route {
    const char *method;
    const char *path;
    void (*handle)(void *ctx, const struct http_request *request, struct http_response *response);
    void *ctx;
};

struct http_server_opts {
    struct str host;                 /* numeric */
    uint16_t port;                   /* 0 picks one */
    const struct http_route *routes; /* borrowed for the server's life */
    int route_count;
    int connections_max;
};

/* BUSY when the address is in use, INVALID when it cannot be one. */
MUST_USE enum err http_server_start(const struct http_server_opts *opts, struct http_server **out);
uint16_t http_server_port(const struct http_server *server);
/* Waits for running handlers. */
void http_server_stop(struct http_server **server);

#endif
