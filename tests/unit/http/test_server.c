/* The HTTP server over a real socket: routes, wrong paths and methods, HEAD, a used address. */
#include "tests/lib/test.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "http/server.h"

static void
say_hello(void *ctx, const struct http_request *request, struct http_response *response)
{
    const char *who = request->query(request, "who");
    buf_printf(&response->body, "%s %s\n", (const char *)ctx, who != NULL ? who : "nobody");
}

static const struct http_route routes[] = {{"GET", "/hello", say_hello, (void *)"hello"}};

static struct http_server *
start(void)
{
    struct http_server *server;
    struct http_server_opts opts = {
        .host = STR("127.0.0.1"), .routes = routes, .route_count = 1, .connections_max = 8};
    assert_int_equal(http_server_start(&opts, &server), ERR_OK);
    return server;
}

/* Sends one request and reads until the server closes. */
static void
ask(uint16_t port, const char *request, char *answer, size_t size)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(write(fd, request, strlen(request)), (ssize_t)strlen(request));
    size_t len = 0;
    ssize_t n;
    while (len < size - 1 && (n = read(fd, answer + len, size - 1 - len)) > 0)
        len += (size_t)n;
    answer[len] = '\0';
    close(fd);
}

static void
a_route_answers_with_its_query(void **state)
{
    char answer[2048];
    struct http_server *server = start();
    (void)state;
    ask(http_server_port(server), "GET /hello?who=you HTTP/1.0\r\n\r\n", answer, sizeof answer);
    assert_non_null(strstr(answer, " 200 "));
    assert_non_null(strstr(answer, "\r\n\r\nhello you\n"));
    http_server_stop(&server);
    assert_null(server);
}

static void
wrong_path_is_404_and_wrong_method_405(void **state)
{
    char answer[2048];
    struct http_server *server = start();
    (void)state;
    ask(http_server_port(server), "GET /nothing HTTP/1.0\r\n\r\n", answer, sizeof answer);
    assert_non_null(strstr(answer, " 404 "));
    ask(http_server_port(server), "DELETE /hello HTTP/1.0\r\n\r\n", answer, sizeof answer);
    assert_non_null(strstr(answer, " 405 "));
    http_server_stop(&server);
}

static void
head_has_the_status_and_no_body(void **state)
{
    char answer[2048];
    struct http_server *server = start();
    (void)state;
    ask(http_server_port(server), "HEAD /hello HTTP/1.0\r\n\r\n", answer, sizeof answer);
    assert_non_null(strstr(answer, " 200 "));
    assert_null(strstr(answer, "nobody"));
    http_server_stop(&server);
}

static void
an_address_that_is_none_is_refused(void **state)
{
    struct http_server *server = NULL;
    struct http_server_opts opts = {
        .host = STR("not-an-address"), .routes = routes, .route_count = 1, .connections_max = 8};
    (void)state;
    assert_int_equal(http_server_start(&opts, &server), ERR_INVALID);
    assert_null(server);
}

TEST_MAIN(cmocka_unit_test(a_route_answers_with_its_query),
    cmocka_unit_test(wrong_path_is_404_and_wrong_method_405),
    cmocka_unit_test(head_has_the_status_and_no_body),
    cmocka_unit_test(an_address_that_is_none_is_refused))
