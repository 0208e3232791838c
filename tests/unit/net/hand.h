/* tests/unit/net/hand.h - a server on a loop, sockets, files, a pool and a clock that the test
 * moves by hand, so that counts and orders are exact on any machine. */
#ifndef TESTS_UNIT_NET_HAND_H
#define TESTS_UNIT_NET_HAND_H

#include "tests/lib/test.h"

#include "net/server.h"
#include "os/env_priv.h"
#include "os/loop_priv.h"

enum { PEERS_MAX = 32, NS_PER_MS = 1000000, PIECE = 256 << 10, LONG_LEN = 4 * PIECE };

struct peer {
    struct sock sock;
    struct fixture *f;
    uint8_t *in; /* what it sent */
    size_t in_len, in_at;
    bool endless; /* sends it again and again */
    bool closed;
    bool takes_nothing;
    size_t out_bytes; /* what it was sent */
    uint32_t frames, answers;
    uint32_t since_request; /* f->since when its last request came to the handler ... */
    uint32_t since_answer;  /* ... and when its last answer left */
    struct net_slot *parked;
    struct net_slot *held; /* from its H to its turn; ended by the test, or in its turn */
    uint32_t turns;        /* on_turn came so often ... */
    uint32_t since_turn;   /* ... f->since when it came last */
    uint32_t turns_more;   /* it asks for so many again before it answers */
};

struct fixture {
    struct env env;
    struct loop loop;
    struct loop *loops[1];
    struct list posted;
    struct sock_listener listener;
    struct env_file file;
    int64_t cold_from, cold_to; /* of the file: not in memory */
    bool stays_cold;            /* as if it left again at once */
    enum err read_err;
    struct pool pool;
    struct list works;
    int work_count;
    bool on_pool;
    size_t sent_from_file;
    int64_t now_ns, thread_ns;
    struct net_server *server;
    struct peer peers[PEERS_MAX];
    int peer_count;
    uint32_t since;    /* frames taken since the light connection asked */
    struct peer *asks; /* when so many more were taken */
    uint32_t asks_after;
    bool stopped;
};

/* A connection. */
struct peer *dial(struct fixture *f);
void put(struct peer *peer, const void *data, size_t len);
void put_frame(struct peer *peer, const void *body, uint32_t len);
void turn(struct fixture *f);
void turns(struct fixture *f, int count);
void pass_ms(struct fixture *f, int64_t ms);
struct fixture *fixture_start(struct net_server_opts opts);
void fixture_end(struct fixture *f);
void pool_works(struct fixture *f);
void put_many(struct peer *peer, int count);

#endif
