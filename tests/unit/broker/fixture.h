/* tests/unit/broker/fixture.h - a broker over real sockets with the real controller behind it, but
 * no log: metadata changes are decided, replayed and published under one mutex. */
#ifndef TESTS_BROKER_FIXTURE_H
#define TESTS_BROKER_FIXTURE_H

#include "base/arena.h"
#include "broker/broker.h"
#include "meta/config_rules.h"
#include "meta/controller.h"
#include "os/env.h"
#include "os/mutex.h"

struct fixture {
    struct env *env;
    struct loop *loops[2];
    struct net_server *server;
    struct broker *broker;
    uint16_t port;
    struct meta_config_rules rules;
    struct meta_config_static statics;
    struct meta_controller controller;
    struct meta_port metadata;
    struct mutex mutex;
    struct meta_image *image;
    int64_t offset;
    enum err refuse_with; /* other than OK: the controller cannot be asked */
    struct arena arena;   /* of the test's own requests and responses */
};

/* Node 1 of cluster "cluster-for-tests", registered, with listener PLAINTEXT. The controller's
 * first image is there. */
void fixture_start(struct fixture *f);
void fixture_end(struct fixture *f);

int fixture_dial(const struct fixture *f);
/* Sends a request of client id "test" and reads its response into f->arena. */
void *fixture_call(struct fixture *f, int fd, int16_t key, int16_t version, const void *msg);
/* A zeroed message with its defaults. */
void *fixture_msg(struct fixture *f, const struct proto_schema *schema);
void fixture_send(int fd, const void *data, size_t len);
void fixture_expect_closed(int fd);
/* Makes a topic through CreateTopics. */
void fixture_topic(struct fixture *f, int fd, const char *name, int32_t partitions);

#endif
