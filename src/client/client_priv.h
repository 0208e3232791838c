/* client/client_priv.h - the client's body, for client.c and metadata.c. */
#ifndef CLIENT_CLIENT_PRIV_H
#define CLIENT_CLIENT_PRIV_H

#include "base/map.h"
#include "client/client.h"

enum { CLIENT_ADDR_MAX = 8, CLIENT_ERROR_TEXT = 256 };

struct client_broker {
    struct list link;
    struct client *client;
    int32_t node_id; /* below -1: a bootstrap address */
    int32_t channel; /* one entry a channel */
    char *host;      /* owned */
    uint16_t port;
    struct sock_addr addrs[CLIENT_ADDR_MAX];
    int addr_count, addr_next;
    struct client_conn *conn; /* NULL: not connected */
    struct list queue;        /* calls waiting for it */
};

/* A topic of the cache, in one block with its partitions and its name. */
struct client_topic_entry {
    struct client_topic topic;
    UT_hash_handle hh;
};

struct client {
    struct client_opts opts;
    struct list brokers;
    struct list in_flight; /* calls */
    int32_t channel_last;
    int waits; /* client_run_until on the stack: only then a wake-up ends the loop */
    int32_t controller_id;
    char cluster_id[64];
    char error_text[CLIENT_ERROR_TEXT];
    struct client_topic_entry *topics;
    struct client_call metadata_call;
    struct arena metadata_arena;     /* of the request */
    struct list refresh_now;         /* served by the request on its way */
    struct list refresh_next;        /* came meanwhile */
    struct client_topic_want *wants; /* topics to ask for next; a hash of names */
    bool auto_create_next;
};

void client_note_error(struct client *client, const struct client_broker *broker, enum err err);
struct client_broker *client_broker_add(
    struct client *client, int32_t node_id, struct str host, uint16_t port);
void client_broker_remove(struct client_broker *broker);
/* Its entries of every channel: it moved. */
void client_broker_forget(struct client *client, int32_t node_id);
/* Of the common channel. */
struct client_broker *client_broker_find(struct client *client, int32_t node_id);
struct client_broker *client_broker_any(struct client *client);
void client_call_send_to(struct client_broker *broker, struct client_call *call);

void client_metadata_init(struct client *client);
void client_metadata_fini(struct client *client);

#endif
