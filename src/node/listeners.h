/* node/listeners.h - listeners and advertised.listeners: NAME://host:port, comma separated. */
#ifndef NODE_LISTENERS_H
#define NODE_LISTENERS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"
#include "node/config.h"

enum { NODE_LISTENERS_MAX = 16, NODE_HOST_MAX = 256 };

struct node_listener {
    struct str name;          /* view of the configuration */
    char host[NODE_HOST_MAX]; /* to bind; "" is every address, both families */
    uint16_t port;
    char advertised_host[NODE_HOST_MAX]; /* what clients are told */
    uint16_t advertised_port;            /* 0: the port that was bound */
    bool controller;                     /* in controller.listener.names: not served to clients */
};

struct node_listeners {
    struct node_listener items[NODE_LISTENERS_MAX];
    int count;
};

/* INVALID with one line a problem. host_name stands in where a listener binds every address and no
 * advertised listener says otherwise. */
MUST_USE enum err node_listeners_parse(const struct node_config *config, const char *host_name,
    struct buf *problems, struct node_listeners *out);

/* "host:port" or "[v6]:port"; false when it is none. An empty host is fine. */
bool node_address_parse(struct str text, char host[NODE_HOST_MAX], uint16_t *port);

#endif
