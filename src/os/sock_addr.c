/* What: addresses of sockets as text and back, and names to addresses. */
#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "os/env_priv.h"
#include "os/loop.h"

enum { ADDR_HOST_SIZE = 256 };

enum err
sock_addr_parse(struct str host, uint16_t port, struct sock_addr *out)
{
    char text[INET6_ADDRSTRLEN];
    struct sock_addr addr = {.len = 0};
    struct sockaddr_in *v4 = (struct sockaddr_in *)&addr.storage;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&addr.storage;
    if (host.len == 0 || host.len >= sizeof text)
        return ERR_INVALID;
    memcpy(text, host.data, host.len);
    text[host.len] = '\0';
    if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(port);
        addr.len = sizeof *v4;
    } else if (inet_pton(AF_INET6, text, &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons(port);
        addr.len = sizeof *v6;
    } else {
        return ERR_INVALID;
    }
    *out = addr;
    return ERR_OK;
}

void
sock_addr_format(const struct sock_addr *addr, char *out, size_t size, uint16_t *port)
{
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)&addr->storage;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&addr->storage;
    char text[INET6_ADDRSTRLEN] = "";
    uint16_t number = 0;
    if (addr->storage.ss_family == AF_INET) {
        inet_ntop(AF_INET, &v4->sin_addr, text, sizeof text);
        number = ntohs(v4->sin_port);
    } else if (addr->storage.ss_family == AF_INET6) {
        /* An IPv4 peer of a listener for both is shown as what it is. */
        if (IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr))
            inet_ntop(AF_INET, &v6->sin6_addr.s6_addr[12], text, sizeof text);
        else
            inet_ntop(AF_INET6, &v6->sin6_addr, text, sizeof text);
        number = ntohs(v6->sin6_port);
    }
    if (size > 0)
        snprintf(out, size, "%s", text);
    if (port != NULL)
        *port = number;
}

enum err
sock_addr_resolve(
    struct env *env, struct str host, uint16_t port, struct sock_addr *out, int max, int *count)
{
    ASSERT(max > 0);
    enum err err = sock_addr_parse(host, port, out);
    if (err != ERR_OK)
        return env->ops->resolve(env, host, port, out, max, count);
    *count = 1;
    return ERR_OK;
}

enum err
addr_real_resolve(
    struct env *env, struct str host, uint16_t port, struct sock_addr *out, int max, int *count)
{
    char name[ADDR_HOST_SIZE], service[8];
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    int n = 0;
    (void)env;
    if (host.len == 0 || host.len >= sizeof name)
        return ERR_INVALID;
    memcpy(name, host.data, host.len);
    name[host.len] = '\0';
    snprintf(service, sizeof service, "%u", port);
    int r = getaddrinfo(name, service, &hints, &found);
    if (r != 0)
        return r == EAI_MEMORY ? ERR_NOMEM : r == EAI_AGAIN ? ERR_TIMEOUT : ERR_NOTFOUND;
    for (struct addrinfo *at = found; at != NULL && n < max; at = at->ai_next) {
        if (at->ai_family != AF_INET && at->ai_family != AF_INET6)
            continue;
        memset(&out[n], 0, sizeof out[n]);
        memcpy(&out[n].storage, at->ai_addr, at->ai_addrlen);
        out[n++].len = at->ai_addrlen;
    }
    freeaddrinfo(found);
    if (n == 0)
        return ERR_NOTFOUND;
    *count = n;
    return ERR_OK;
}
