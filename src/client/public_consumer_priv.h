/* client/public_consumer_priv.h - libmoldau's consumer, for public_consumer.c and public_group.c.
 */
#ifndef CLIENT_PUBLIC_CONSUMER_PRIV_H
#define CLIENT_PUBLIC_CONSUMER_PRIV_H

#include "base/buf.h"
#include "base/list.h"
#include "client/consumer.h"
#include "client/group.h"
#include "client/public_priv.h"

enum { CONSUMER_NAMES_MAX = 64 << 20 };

struct moldau_consumer {
    struct moldau_client *client;     /* counted */
    struct moldau_options *options;   /* owned */
    struct client_consumer *consumer; /* owned */
    struct client_group *group;       /* owned; NULL: not subscribed */
    struct list commits;              /* started by commit_async, not ended yet */
    /* the message that was handed out last */
    struct moldau_message message;
    struct buf bytes;              /* its topic, key, value and headers */
    struct moldau_header *headers; /* owned */
    int32_t header_capacity;
    struct arena names; /* of moldau_consumer_assignment */
};

/* NOTFOUND with a text when the partition is not assigned. */
MUST_USE enum moldau_err public_consumer_find(
    struct moldau_consumer *consumer, const char *topic, int32_t partition);

/* ---- public_group.c ---- */

/* Frees the group without a word to it; commits on their way are told CANCELED. */
void public_group_drop(struct moldau_consumer *consumer);
/* The text and code of a membership that is over for good; STATE. */
enum moldau_err public_group_failed(struct moldau_consumer *consumer);

#endif
