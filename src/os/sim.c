/* What: the scheduler of the simulated machine room, its hosts and its links.
 *
 * One heap of events keyed by virtual time. An event runs to its end, then the next: there is
 * nothing else. All chance comes from one generator seeded by the caller, so order, delays and
 * faults repeat.
 * Invariants: I1 now_ns never goes back. I2 no event of a dead env is scheduled. I3 ids, not
 * addresses, enter the trace.
 * Threads: the caller's only. */
#include "os/sim.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/hash.h"
#include "os/sim_priv.h"

enum { SIM_EVENTS_RESERVED = 1 << 16 };

struct sim_link {
    struct list link;
    const struct sim_host *a, *b;
    struct sim_link_faults faults;
};

static const struct sim_link_faults sim_link_default = {.delay_min_us = 50, .delay_max_us = 500};
static const struct sim_link_faults sim_link_self = {.delay_min_us = 5, .delay_max_us = 50};

/* ---- memory of the room ---- */

void *
sim_alloc(size_t size)
{
    void *ptr = calloc(1, size == 0 ? 1 : size);
    ASSERT(ptr != NULL);
    return ptr;
}

void *
sim_realloc(void *ptr, size_t size)
{
    ptr = realloc(ptr, size == 0 ? 1 : size);
    ASSERT(ptr != NULL);
    return ptr;
}

void
sim_release(void *ptr)
{
    free(ptr);
}

/* ---- chance and trace ---- */

static uint64_t
mix_next(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15ull;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return z ^ z >> 31;
}

uint64_t
sim_random(struct sim *sim)
{
    return mix_next(&sim->rng);
}

uint64_t
sim_below(struct sim *sim, uint64_t bound)
{
    ASSERT(bound > 0);
    return (uint64_t)((__uint128_t)sim_random(sim) * bound >> 64);
}

bool
sim_chance(struct sim *sim, uint32_t ppm)
{
    return ppm > 0 && sim_below(sim, 1000000) < ppm;
}

void
sim_trace(struct sim *sim, enum sim_event_kind kind, uint64_t a, uint64_t b)
{
    uint64_t words[5] = {sim->trace, (uint64_t)sim->now_ns, kind, a, b};
    sim->trace = hash_bytes(words, sizeof words);
}

/* ---- events ---- */

void
sim_event_init(struct sim_event *event, struct sim_host *host, enum sim_event_kind kind,
    uint32_t id, void (*run)(struct sim_event *event))
{
    heap_node_init(&event->node);
    event->host = host;
    event->kind = kind;
    event->id = id;
    event->run = run;
}

void
sim_schedule(struct sim *sim, struct sim_event *event, int64_t at_ns)
{
    heap_remove(&sim->events, &event->node);
    enum err err = heap_push(&sim->events, &event->node, at_ns < sim->now_ns ? sim->now_ns : at_ns);
    ASSERT(err == ERR_OK); /* reserved */
}

void
sim_unschedule(struct sim *sim, struct sim_event *event)
{
    heap_remove(&sim->events, &event->node);
}

bool
sim_scheduled(const struct sim_event *event)
{
    return event->node.index != HEAP_NOT_IN;
}

/* The event may free itself, and crash its host. */
static void
run_event(struct sim *sim, struct sim_event *event)
{
    uint64_t nth = event->host != NULL ? event->host->alloc_nth : 0;
    if (nth > 0)
        mem_fail_after(1 + sim_below(sim, nth * 2));
    event->run(event);
    if (nth > 0)
        mem_fail_after(0);
}

bool
sim_step(struct sim *sim, int64_t until_ns)
{
    struct heap_node *node = heap_peek(&sim->events);
    ASSERT(sim->current == NULL); /* not from inside an event */
    if (node == NULL || node->key > until_ns) {
        if (sim->now_ns < until_ns && until_ns != INT64_MAX)
            sim->now_ns = until_ns;
        return false;
    }
    struct sim_event *event = CONTAINER_OF(node, struct sim_event, node);
    heap_remove(&sim->events, node);
    ASSERT(node->key >= sim->now_ns); /* I1 */
    sim->now_ns = node->key;
    if (event->host != NULL && event->host->paused_until_ns > sim->now_ns) {
        sim_schedule(sim, event, event->host->paused_until_ns);
        return true;
    }
    sim->steps++;
    sim_trace(sim, event->kind, event->id, 0);
    run_event(sim, event);
    ASSERT(sim->current == NULL);
    return true;
}

void
sim_run_ms(struct sim *sim, int64_t ms)
{
    int64_t until = sim->now_ns + ms * 1000000;
    while (sim_step(sim, until))
        ;
}

bool
sim_run_until(struct sim *sim, bool (*done)(void *ctx), void *ctx, int64_t timeout_ms)
{
    int64_t until = sim->now_ns + timeout_ms * 1000000;
    while (!done(ctx))
        if (!sim_step(sim, until))
            return done(ctx);
    return true;
}

/* ---- life of the room ---- */

enum err
sim_new(const struct sim_opts *opts, struct sim **out)
{
    struct sim *sim = sim_alloc(sizeof *sim);
    sim->opts = *opts;
    sim->rng = opts->seed;
    sim->now_ns = 1000000000;
    sim->trace = opts->seed;
    heap_init(&sim->events);
    list_init(&sim->hosts);
    list_init(&sim->conns);
    list_init(&sim->links);
    sim->id_next = 1;
    enum err err = heap_reserve(&sim->events, SIM_EVENTS_RESERVED);
    if (err != ERR_OK) {
        sim_release(sim);
        return err;
    }
    *out = sim;
    return ERR_OK;
}

void
sim_free(struct sim **out)
{
    struct sim *sim = *out;
    if (sim == NULL)
        return;
    *out = NULL;
    sim_net_fini(sim);
    for (struct list *at; (at = list_pop(&sim->hosts)) != NULL;) {
        struct sim_host *host = LIST_ENTRY(at, struct sim_host, link);
        ASSERT(host->env == NULL);
        disk_fini(&host->disk);
        sim_release(host);
    }
    for (struct list *at; (at = list_pop(&sim->links)) != NULL;)
        sim_release(LIST_ENTRY(at, struct sim_link, link));
    ASSERT(heap_peek(&sim->events) == NULL);
    heap_fini(&sim->events);
    sim_release(sim);
}

int64_t
sim_now_ns(const struct sim *sim)
{
    return sim->now_ns;
}

uint64_t
sim_steps(const struct sim *sim)
{
    return sim->steps;
}

uint64_t
sim_trace_hash(const struct sim *sim)
{
    return sim->trace;
}

uint64_t
sim_faults_injected(const struct sim *sim)
{
    return sim->faults;
}

/* ---- links ---- */

void
sim_link(
    struct sim *sim, struct sim_host *a, struct sim_host *b, const struct sim_link_faults *faults)
{
    struct sim_link *found = NULL;
    ASSERT(faults->delay_min_us >= 0 && faults->delay_max_us >= faults->delay_min_us);
    LIST_FOREACH (&sim->links, at) {
        struct sim_link *link = LIST_ENTRY(at, struct sim_link, link);
        if ((link->a == a && link->b == b) || (link->a == b && link->b == a))
            found = link;
    }
    if (found == NULL) {
        found = sim_alloc(sizeof *found);
        found->a = a;
        found->b = b;
        list_push(&sim->links, &found->link);
    }
    if (faults->cut && !found->faults.cut)
        sim->faults++;
    found->faults = *faults;
}

const struct sim_link_faults *
sim_link_find(struct sim *sim, const struct sim_host *a, const struct sim_host *b)
{
    LIST_FOREACH (&sim->links, at) {
        struct sim_link *link = LIST_ENTRY(at, struct sim_link, link);
        if ((link->a == a && link->b == b) || (link->a == b && link->b == a))
            return &link->faults;
    }
    return a == b ? &sim_link_self : &sim_link_default;
}

/* ---- hosts ---- */

enum err
sim_host_new(struct sim *sim, const char *name, const char *ip, struct sim_host **out)
{
    struct in_addr addr;
    if (inet_pton(AF_INET, ip, &addr) != 1)
        return ERR_INVALID;
    struct sim_host *host = sim_alloc(sizeof *host);
    host->sim = sim;
    host->id = sim->id_next++;
    host->ip = ntohl(addr.s_addr);
    snprintf(host->name, sizeof host->name, "%s", name);
    disk_init(&host->disk);
    host->can_preallocate = sim_below(sim, 4) != 0;
    host->rng_env = sim_random(sim);
    host->can_sync_volumes = host->rng_env % 4 != 0;
    host->port_next = 32768;
    list_push(&sim->hosts, &host->link);
    *out = host;
    return ERR_OK;
}

struct sim_host *
sim_host_find(struct sim *sim, uint32_t ip)
{
    LIST_FOREACH (&sim->hosts, at) {
        struct sim_host *host = LIST_ENTRY(at, struct sim_host, link);
        if (host->ip == ip)
            return host;
    }
    return NULL;
}

enum err
sim_host_boot(struct sim_host *host, struct env **out)
{
    struct sim_env *env = NULL;
    ASSERT(host->env == NULL);
    enum err err = sim_env_new(host, &env);
    if (err != ERR_OK)
        return err;
    host->env = env;
    host->power = true;
    host->paused_until_ns = 0;
    *out = &env->env;
    return ERR_OK;
}

bool
sim_host_is_down(const struct sim_host *host)
{
    return host->env == NULL;
}

void
sim_host_crash(struct sim_host *host, enum sim_crash kind)
{
    struct sim_env *env = host->env;
    struct sim *sim = host->sim;
    sim_trace(sim, SIM_EVENT_CRASH, host->id, kind);
    sim->faults++;
    host->crash_nth = 0;
    host->crash_pending = false;
    if (env != NULL) {
        sim_loops_crash(env);
        sim_net_crash(env, kind);
        env->dead = true;
        host->env = NULL;
    }
    disk_unlock_all(&host->disk);
    if (kind == SIM_CRASH_POWER) {
        disk_power_cut(&host->disk, sim);
        host->power = false;
    }
}

void
sim_host_crash_at(struct sim_host *host, enum sim_crash kind, uint64_t nth_operation)
{
    if (host->crash_pending && host->env != NULL) /* it is too late to think better of it */
        sim_host_crash(host, host->crash_kind);
    host->crash_kind = kind;
    host->crash_nth = nth_operation;
}

void
sim_host_disk_faults(struct sim_host *host, const struct sim_disk_faults *faults)
{
    host->faults = *faults;
}

void
sim_host_fail_nth(struct sim_host *host, enum sim_op op, uint64_t nth, enum err err)
{
    ASSERT((unsigned)op < SIM_OPS);
    ASSERT(err != ERR_OK);
    host->fail[op].nth = nth;
    host->fail[op].err = err;
}

void
sim_host_faults_below(struct sim_host *host, const char *dir)
{
    int n = snprintf(host->faults_below, sizeof host->faults_below, "%s", dir == NULL ? "" : dir);
    ASSERT(n >= 0 && n < SIM_PATH_SIZE);
}

void
sim_host_fail_allocs(struct sim_host *host, uint64_t nth)
{
    host->alloc_nth = nth;
}

enum err
sim_host_flip_bit(struct sim_host *host, const char *path, int64_t position, int bit)
{
    struct sim_inode *inode = NULL;
    enum err err = disk_find(&host->disk, path, &inode);
    if (err != ERR_OK)
        return err;
    if (inode->kind != ENV_KIND_FILE || position < 0 || (size_t)position >= inode->size)
        return ERR_RANGE;
    inode->data[position] ^= (uint8_t)(1 << (bit & 7));
    if ((size_t)position < inode->stable_size)
        inode->stable[position] ^= (uint8_t)(1 << (bit & 7));
    host->sim->faults++;
    return ERR_OK;
}

void
sim_host_wall_jump(struct sim_host *host, int64_t delta_ms)
{
    host->wall_jump_ms += delta_ms;
    host->sim->faults++;
}

void
sim_host_pause(struct sim_host *host, int64_t ms)
{
    host->paused_until_ns = host->sim->now_ns + ms * 1000000;
    host->sim->faults++;
}
