/* A client in the simulator among brokers that say what a test tells them.
 *
 * Requests wait in order of arrival until the test takes them with fake_expect and answers.
 * Answered without being asked: ApiVersions, Metadata (from `topics`), FindCoordinator, ListOffsets
 * and Heartbeat, as the fields below say. */
#ifndef TESTS_UNIT_CLIENT_FAKE_H
#define TESTS_UNIT_CLIENT_FAKE_H

#include "base/list.h"
#include "client/client.h"
#include "os/sim.h"

enum { FAKE_BROKERS = 2, FAKE_TOPICS = 4 };

struct fake;
struct fake_conn;

struct fake_request {
    struct list link;
    struct fake_conn *conn;
    int broker; /* 0 or 1: the node id less one */
    int16_t key, version;
    int32_t correlation_id;
    const void *message; /* generated struct */
    struct arena arena;
    uint8_t *frame; /* owned */
};

struct fake_broker {
    struct fake *fake;
    int index;
    struct env *env;
    struct sim_host *host;
    struct loop *loop;
    struct sock_listener *listener;
    struct list conns;
};

struct fake {
    struct sim *sim;
    struct sim_host *host;
    struct env *env;
    struct loop *loop; /* the client's */
    struct client *client;
    struct fake_broker brokers[FAKE_BROKERS];
    struct list held; /* requests */
    /* what is answered */
    struct {
        const char *name;
        int32_t partition_count;
        int32_t leader;     /* of all its partitions; -1 none */
        int16_t error_code; /* of the topic */
    } topics[FAKE_TOPICS];
    int topic_count;
    int32_t coordinator; /* its node id */
    int16_t coordinator_error;
    int16_t heartbeat_error;
    int64_t start_offset, end_offset;                           /* of every partition */
    int32_t leader_epoch;                                       /* of every partition */
    bool coordinator_waits, list_offsets_waits, metadata_waits; /* for fake_expect */
    /* what came */
    int metadata_count, coordinator_count, heartbeat_count, conn_count;
};

void fake_init(struct fake *fake, uint64_t seed);
/* The same with other bootstrap addresses than both brokers. */
void fake_init_at(struct fake *fake, uint64_t seed, const char *bootstrap);
void fake_add_topic(struct fake *fake, const char *name, int32_t partition_count, int32_t leader);
/* The client's loop starts: from here on its functions want fake_on_loop. */
void fake_start(struct fake *fake);
/* Stops the client's loop: then free what stands on it, then fake_fini. */
void fake_stop(struct fake *fake);
void fake_fini(struct fake *fake);

/* Runs fn on the client's loop. */
void fake_on_loop(struct fake *fake, void (*fn)(void *ctx), void *ctx);
/* The next request of that key, waited for up to a minute of virtual time; the test fails without.
 * Others stay. */
struct fake_request *fake_expect(struct fake *fake, int16_t key);
/* None comes within so long. */
void fake_expect_none(struct fake *fake, int16_t key, int64_t ms);
/* Sends the answer and frees the request. */
void fake_reply(struct fake_request *request, const void *response);
/* Sends this as the body of the answer. */
void fake_reply_bytes(struct fake_request *request, struct bytes body);
/* Closes its connection instead of answering. */
void fake_drop(struct fake_request *request);
/* No answer ever, so that none comes on its connection either. */
void fake_ignore(struct fake_request *request);
/* Runs until done(ctx), at most a minute; the test fails otherwise. */
void fake_until(struct fake *fake, bool (*done)(void *ctx), void *ctx);

#endif
