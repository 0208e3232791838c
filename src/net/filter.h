/* net/filter.h - what stands between a connection and its socket: nothing, or TLS later.
 *
 * All input and output of a connection goes through the table. The results are those of the sock_
 * functions of the same names (os/loop.h). A filter that cannot send files returns UNSUPPORTED from
 * sendfile, and the connection reads and writes the bytes instead. */
#ifndef NET_FILTER_H
#define NET_FILTER_H

#include "os/loop.h"

struct net_filter;

struct net_filter_ops {
    enum err (*read)(struct net_filter *filter, void *data, size_t len, size_t *n);
    enum err (*writev)(struct net_filter *filter, const struct bytes *parts, int count, size_t *n);
    enum err (*sendfile)(
        struct net_filter *filter, struct env_file *file, int64_t position, size_t len, size_t *n);
    /* Frees the filter's own state; the sock is closed by the connection. NULL when none. */
    void (*fini)(struct net_filter *filter);
};

struct net_filter {
    const struct net_filter_ops *ops;
    struct sock *sock; /* the connection's */
    void *state;       /* the filter's own */
};

/* Straight to the socket. */
void net_filter_init_plain(struct net_filter *filter, struct sock *sock);

#endif
