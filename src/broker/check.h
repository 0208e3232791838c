/* broker/check.h - checks of appends that take longer than a reactor should.
 *
 * They run on a pool that gives way to everything else, and few at a time: what they unpack, and
 * what of it waits to be appended, stays bounded (LIMIT_CHECKS). The others wait in order. The
 * connection of such a request is held, so that its later ones do not overtake it. */
#ifndef BROKER_CHECK_H
#define BROKER_CHECK_H

#include "broker/request.h"
#include "os/mutex.h"
#include "replica/partition.h"

struct broker_check {
    struct replica_partition *part; /* referenced */
    struct replica_append append;
    /* out: what replica_partition_append_check said */
    enum proto_error error;
    /* private from here */
    struct list link;
    struct pool_work work;
    struct broker_req *req;
    void (*then)(struct broker_req *req);
};

struct broker_checks {
    struct pool *pool;
    struct mutex mutex;  /* LEAF */
    struct list going;   /* on the pool, or back from it */
    struct list waiting; /* in order */
    int going_count;
};

/* pool is borrowed. */
void broker_checks_init(struct broker_checks *checks, struct pool *pool);
/* The pool is gone: lets go of what nobody came for. */
void broker_checks_fini(struct broker_checks *checks);

/* check_max of what its reactor may check itself now; 0, without a limit, when there is no pool. */
size_t broker_check_max(const struct broker_req *req);

/* On the request's reactor; the request must hold its connection. part and append are filled. The
 * checks are done when `then` runs, in a turn of the connection; broker_check_end is its duty. */
void broker_check_start(
    struct broker_check *check, struct broker_req *req, void (*then)(struct broker_req *req));
/* The append was committed, or is not wanted: part is the caller's again. */
void broker_check_end(struct broker_check *check);

#endif
