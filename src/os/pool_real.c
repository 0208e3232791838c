/* What: threads that take work from one queue, oldest first. The first is there from the beginning;
 * the others come when work waits and none is idle, up to the number that was asked for.
 * Who submits is not held up: by the mutex for a moment only, and by the semaphore never (a
 * condition variable makes its signaller wait for those that were woken before). Invariants: I1
 * works are taken exactly once. I2 pool_free returns after the last one ended. Threads: submit from
 * any; free from none of the pool's own. */
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "os/env_priv.h"
#include "os/loop_priv.h"

enum {
    /* A third of the share of a thread with 0, and such a thread that wakes up goes first. */
    BACKGROUND_NICE = 5,
    /* A thread of a pressed pool works a quarter of its time, and more where the disk is slow: who
     * reads old data must catch up beside producers, too. */
    REST_TIMES = 3,
    REST_NS_MAX = 5000000,
};

struct pool_real {
    struct pool pool;
    struct env *env;
    pthread_mutex_t lock; /* of all below */
    sem_t some;           /* as many as works were submitted, and one a thread at the end */
    struct list queue;
    int queued;
    int idle; /* threads that wait or are about to */
    bool closing;
    bool background;
    int thread_count;
    int thread_max;
    char name[LOOP_NAME_SIZE];
    pthread_t threads[]; /* thread_max */
};

/* What disturbs others is not the thread's share of a processor alone: the disk's queue, and
 * whoever is sent what was read. */
static void
pool_real_rest(struct pool_real *real, int64_t began_ns)
{
    int64_t now_ns = env_now_ns(real->env), rest_ns = (now_ns - began_ns) * REST_TIMES;
    if (!pool_is_pressed(&real->pool, now_ns / 1000000))
        return;
    struct timespec rest = {.tv_nsec = rest_ns < REST_NS_MAX ? rest_ns : REST_NS_MAX};
    (void)nanosleep(&rest, NULL);
}

static void *
pool_real_thread(void *arg)
{
    struct pool_real *real = arg;
    if (real->background) /* of this thread alone, in Linux; without it the work is done as well */
        (void)setpriority(
            PRIO_PROCESS, (id_t)gettid(), getpriority(PRIO_PROCESS, 0) + BACKGROUND_NICE);
    pthread_mutex_lock(&real->lock);
    for (;;) {
        real->idle++;
        pthread_mutex_unlock(&real->lock);
        while (sem_wait(&real->some) < 0 && errno == EINTR)
            ;
        pthread_mutex_lock(&real->lock);
        real->idle--;
        struct list *at = list_pop(&real->queue);
        if (at == NULL)
            break;
        real->queued--;
        pthread_mutex_unlock(&real->lock);
        struct pool_work *work = LIST_ENTRY(at, struct pool_work, link);
        bool gives_way = work->gives_way;
        int64_t began_ns = gives_way ? env_now_ns(real->env) : 0;
        work->run(work); /* may free the work */
        if (gives_way)
            pool_real_rest(real, began_ns);
        pthread_mutex_lock(&real->lock);
    }
    pthread_mutex_unlock(&real->lock);
    return NULL;
}

/* One thread more, with the lock held or before anybody has the pool; an errno. */
static int
pool_real_grow(struct pool_real *real)
{
    sigset_t all, before;
    char text[LOOP_NAME_SIZE];
    int i = real->thread_count;
    ASSERT(i < real->thread_max);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int r = pthread_create(&real->threads[i], NULL, pool_real_thread, real);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (r != 0)
        return r;
    snprintf(text, sizeof text, "%.11s-%u", real->name, (unsigned)i % 1000);
    pthread_setname_np(real->threads[i], text);
    real->thread_count++;
    return 0;
}

static void
pool_real_submit(struct pool *pool, struct pool_work *work)
{
    struct pool_real *real = (struct pool_real *)pool;
    pthread_mutex_lock(&real->lock);
    list_push(&real->queue, &work->link);
    real->queued++;
    /* Those that were woken and did not come yet still count as idle, hence the number. When the
     * system gives no thread the others do the work. */
    if (real->queued > real->idle && real->thread_count < real->thread_max && !real->closing)
        (void)pool_real_grow(real);
    pthread_mutex_unlock(&real->lock);
    sem_post(&real->some);
}

static void
pool_real_free(struct pool *pool)
{
    struct pool_real *real = (struct pool_real *)pool;
    pthread_mutex_lock(&real->lock);
    real->closing = true;
    pthread_mutex_unlock(&real->lock);
    for (int i = 0; i < real->thread_count; i++)
        sem_post(&real->some);
    for (int i = 0; i < real->thread_count; i++)
        pthread_join(real->threads[i], NULL);
    ASSERT(list_empty(&real->queue)); /* I2 */
    sem_destroy(&real->some);
    pthread_mutex_destroy(&real->lock);
    mem_free(real);
}

static const struct pool_ops pool_real_ops = {
    .submit = pool_real_submit,
    .free = pool_real_free,
};

enum err
pool_real_new(struct env *env, const char *name, int threads, bool background, struct pool **out)
{
    struct pool_real *real =
        mem_calloc(1, sizeof *real + (size_t)threads * sizeof real->threads[0]);
    if (real == NULL)
        return ERR_NOMEM;
    real->pool.ops = &pool_real_ops;
    real->env = env;
    pthread_mutex_init(&real->lock, NULL);
    sem_init(&real->some, 0, 0);
    list_init(&real->queue);
    real->thread_max = threads;
    real->background = background;
    snprintf(real->name, sizeof real->name, "%s", name);
    int r = pool_real_grow(real);
    if (r != 0) {
        pool_real_free(&real->pool);
        return r == EAGAIN ? ERR_LIMIT : os_err_of(r);
    }
    *out = &real->pool;
    return ERR_OK;
}
