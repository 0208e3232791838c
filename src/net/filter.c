#include "net/filter.h"

#include <stddef.h>

#include "base/assert.h"

static enum err
plain_read(struct net_filter *filter, void *data, size_t len, size_t *n)
{
    return sock_read(filter->sock, data, len, n);
}

static enum err
plain_writev(struct net_filter *filter, const struct bytes *parts, int count, size_t *n)
{
    return sock_writev(filter->sock, parts, count, n);
}

static enum err
plain_sendfile(
    struct net_filter *filter, struct env_file *file, int64_t position, size_t len, size_t *n)
{
    return sock_sendfile(filter->sock, file, position, len, n);
}

static const struct net_filter_ops plain_ops = {
    .read = plain_read,
    .writev = plain_writev,
    .sendfile = plain_sendfile,
};

void
net_filter_init_plain(struct net_filter *filter, struct sock *sock)
{
    ASSERT(filter != NULL);
    ASSERT(sock != NULL);
    *filter = (struct net_filter){.ops = &plain_ops, .sock = sock};
}
