/* http/server.c - libmicrohttpd behind a table of routes.
 *
 * What: the daemon's thread calls on_request once the request's head is there, again for each part
 * of a body (which is discarded: no route takes one yet, and the size is capped), and a last time
 * to answer. States of one request: new (no context), reading, answered.
 * Threads: start and stop on the owner's; handlers on the daemon's. */
#include "http/server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include <microhttpd.h>

#include "base/alloc.h"
#include "base/assert.h"

enum {
    BODY_MAX = 1 << 20,       /* of a request */
    RESPONSE_MAX = 256 << 20, /* 100,000 partitions at 2 KiB of metrics each */
    CONNECTION_MEMORY = 32 << 10,
    IDLE_TIMEOUT_S = 30,
};

struct http_server {
    struct MHD_Daemon *daemon;
    const struct http_route *routes;
    int route_count;
};

/* One request's state between two calls of the library. */
struct reading {
    size_t body_len;
};

static const char *
query_value(const struct http_request *request, const char *name)
{
    return MHD_lookup_connection_value(request->impl, MHD_GET_ARGUMENT_KIND, name);
}

/* The body goes to the response as it is: it may be many megabytes. */
static enum MHD_Result
send_body(struct MHD_Connection *connection, struct http_response *answer)
{
    struct MHD_Response *response = MHD_create_response_from_buffer_with_free_callback(
        answer->body.len, answer->body.data, mem_free);
    if (response == NULL)
        return MHD_NO;
    buf_init(&answer->body, 0); /* it is not ours any more */
    enum MHD_Result result =
        MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, answer->content_type);
    if (result == MHD_YES)
        result = MHD_queue_response(connection, (unsigned)answer->status, response);
    MHD_destroy_response(response);
    return result;
}

/* The route, or NULL with the status to answer in *status. HEAD is served by GET's route. */
static const struct http_route *
find_route(const struct http_server *server, const char *method, const char *path, int *status)
{
    const char *wanted = strcmp(method, "HEAD") == 0 ? "GET" : method;
    *status = 404;
    for (int i = 0; i < server->route_count; i++) {
        if (strcmp(server->routes[i].path, path) != 0)
            continue;
        if (strcmp(server->routes[i].method, wanted) == 0)
            return &server->routes[i];
        *status = 405;
    }
    return NULL;
}

static enum MHD_Result
answer_request(struct http_server *server, struct MHD_Connection *connection, const char *path,
    const char *method)
{
    struct http_request request = {
        .method = method, .path = path, .query = query_value, .impl = connection};
    struct http_response answer = {.status = 200, .content_type = "text/plain; charset=utf-8"};
    int status;
    buf_init(&answer.body, RESPONSE_MAX);
    const struct http_route *route = find_route(server, method, path, &status);
    if (route != NULL) {
        route->handle(route->ctx, &request, &answer);
    } else {
        answer.status = status;
        buf_append_z(&answer.body, status == 404 ? "not found\n" : "method not allowed\n");
    }
    if (answer.body.err != ERR_OK) {
        buf_clear(&answer.body);
        answer.status = 500;
    }
    enum MHD_Result result = send_body(connection, &answer);
    buf_fini(&answer.body);
    return result;
}

static enum MHD_Result
on_request(void *ctx, struct MHD_Connection *connection, const char *path, const char *method,
    const char *version, const char *upload, size_t *upload_size, void **state)
{
    struct reading *reading = *state;
    (void)version;
    (void)upload;
    if (reading == NULL) {
        *state = mem_calloc(1, sizeof *reading);
        return *state == NULL ? MHD_NO : MHD_YES;
    }
    if (*upload_size > 0) {
        reading->body_len += *upload_size;
        *upload_size = 0;
        return reading->body_len > BODY_MAX ? MHD_NO : MHD_YES;
    }
    return answer_request(ctx, connection, path, method);
}

static void
on_completed(void *ctx, struct MHD_Connection *connection, void **state,
    enum MHD_RequestTerminationCode code)
{
    (void)ctx;
    (void)connection;
    (void)code;
    mem_free(*state);
    *state = NULL;
}

/* Numeric host and port to a socket address; false when it is none. */
static bool
parse_address(const struct http_server_opts *opts, struct sockaddr_storage *out)
{
    char host[INET6_ADDRSTRLEN + 1];
    struct sockaddr_in *v4 = (struct sockaddr_in *)out;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;
    if (opts->host.len >= sizeof host)
        return false;
    memcpy(host, opts->host.data, opts->host.len);
    host[opts->host.len] = '\0';
    memset(out, 0, sizeof *out);
    if (inet_pton(AF_INET, host, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(opts->port);
        return true;
    }
    if (inet_pton(AF_INET6, host, &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons(opts->port);
        return true;
    }
    return false;
}

enum err
http_server_start(const struct http_server_opts *opts, struct http_server **out)
{
    struct sockaddr_storage address;
    ASSERT(opts->route_count > 0);
    ASSERT(opts->connections_max > 0);
    if (!parse_address(opts, &address))
        return ERR_INVALID;
    struct http_server *server = mem_calloc(1, sizeof *server);
    if (server == NULL)
        return ERR_NOMEM;
    server->routes = opts->routes;
    server->route_count = opts->route_count;
    unsigned flags = MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_EPOLL |
                     (address.ss_family == AF_INET6 ? MHD_USE_IPv6 : 0);
    errno = 0;
    server->daemon = MHD_start_daemon(flags, opts->port, NULL, NULL, on_request, server,
        MHD_OPTION_SOCK_ADDR, (struct sockaddr *)&address, MHD_OPTION_CONNECTION_LIMIT,
        (unsigned)opts->connections_max, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t)CONNECTION_MEMORY, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_TIMEOUT_S,
        MHD_OPTION_NOTIFY_COMPLETED, on_completed, NULL, MHD_OPTION_LISTENING_ADDRESS_REUSE, 1u,
        MHD_OPTION_END);
    if (server->daemon == NULL) {
        enum err err = errno == EADDRINUSE ? ERR_BUSY : ERR_IO;
        mem_free(server);
        return err;
    }
    *out = server;
    return ERR_OK;
}

uint16_t
http_server_port(const struct http_server *server)
{
    const union MHD_DaemonInfo *info =
        MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_BIND_PORT);
    ASSERT(info != NULL);
    return info->port;
}

void
http_server_stop(struct http_server **server)
{
    if (*server == NULL)
        return;
    MHD_stop_daemon((*server)->daemon);
    mem_free(*server);
    *server = NULL;
}
