/* broker/check.c - checks of appends, on a pool.
 *
 * I1       A check is in `going` or in `waiting` from its start to its end; `waiting` is empty
 *          unless LIMIT_CHECKS are going.
 * I2       Between start and `then` the request's memory belongs to the check.
 * Threads  start, end: the request's reactor; check_run: the pool. */
#include "broker/check.h"

#include "base/assert.h"
#include "base/limits.h"
#include "broker/broker_priv.h"
#include "net/conn.h"

void
broker_checks_init(struct broker_checks *checks, struct pool *pool)
{
    checks->pool = pool;
    checks->going_count = 0;
    mutex_init(&checks->mutex, MUTEX_RANK_LEAF);
    list_init(&checks->going);
    list_init(&checks->waiting);
}

void
broker_checks_fini(struct broker_checks *checks)
{
    struct list *node;
    list_splice(&checks->going, &checks->waiting);
    while ((node = list_pop(&checks->going)) != NULL) {
        struct broker_check *check = LIST_ENTRY(node, struct broker_check, link);
        replica_partition_append_drop(check->part, &check->append);
        replica_partition_unref(&check->part);
    }
    mutex_fini(&checks->mutex);
}

size_t
broker_check_max(const struct broker_req *req)
{
    if (req->broker->checks.pool == NULL)
        return 0;
    return net_conn_is_watched(req->conn) ? LIMIT_CHECK_BRIEF : LIMIT_CHECK_ALONE;
}

static void
check_run(struct pool_work *work)
{
    struct broker_check *check = CONTAINER_OF(work, struct broker_check, work);
    bool again;
    check->error = replica_partition_append_check(check->part, &check->append, 0, &again);
    ASSERT(!again);
    broker_req_resume_in_turn(check->req, check->then);
}

void
broker_check_start(
    struct broker_check *check, struct broker_req *req, void (*then)(struct broker_req *req))
{
    struct broker_checks *checks = &req->broker->checks;
    ASSERT(check->part != NULL && checks->pool != NULL);
    check->req = req;
    check->then = then;
    check->work = (struct pool_work){.run = check_run};
    mutex_lock(&checks->mutex);
    bool go = checks->going_count < LIMIT_CHECKS;
    checks->going_count += go;
    list_push(go ? &checks->going : &checks->waiting, &check->link);
    mutex_unlock(&checks->mutex);
    if (go)
        pool_submit(checks->pool, &check->work);
}

void
broker_check_end(struct broker_check *check)
{
    struct broker_checks *checks = &check->req->broker->checks;
    struct broker_check *next = NULL;
    mutex_lock(&checks->mutex);
    list_remove(&check->link);
    struct list *node = list_pop(&checks->waiting);
    if (node != NULL) {
        next = LIST_ENTRY(node, struct broker_check, link);
        list_push(&checks->going, &next->link);
    } else {
        checks->going_count--;
    }
    mutex_unlock(&checks->mutex);
    if (next != NULL)
        pool_submit(checks->pool, &next->work);
}
