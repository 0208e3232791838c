/* tests/sim/sim_cluster.c - lives of brokers, and the audit at the end.
 *
 * Threads: the simulation's one; never from inside an event. */
#include "tests/sim/sim_cluster.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"

enum {
    DRAIN_MS = 2000,
    READY_MS = 30000,
    SETTLE_MS = 120000,
    FLUSH_MS = 3000,   /* records of acks=1 are readable when the next flush is done */
    AUDIT_MS = 600000, /* a consumer that takes a batch at a time is slow */
};

uint64_t
sim_cluster_below(struct sim_cluster *cluster, uint64_t bound)
{
    return sim_random(cluster->sim) % bound;
}

static void __attribute__((format(printf, 2, 3)))
fail(struct sim_cluster *cluster, const char *fmt, ...)
{
    va_list args;
    if (cluster->problem[0] != '\0')
        return;
    va_start(args, fmt);
    vsnprintf(cluster->problem, sizeof cluster->problem, fmt, args);
    va_end(args);
}

const char *
sim_cluster_problem(struct sim_cluster *cluster)
{
    for (int i = 0; i < cluster->count; i++)
        if (history_problem(workload_history(cluster->brokers[i].workload))[0] != '\0')
            return history_problem(workload_history(cluster->brokers[i].workload));
    return cluster->problem;
}

/* ---- configuration ---- */

static void __attribute__((format(printf, 2, 3)))
set(struct sim_broker *broker, const char *fmt, ...)
{
    va_list args;
    ASSERT(broker->setting_count < SIM_SETTINGS);
    va_start(args, fmt);
    vsnprintf(broker->settings[broker->setting_count++], SIM_SETTING_SIZE, fmt, args);
    va_end(args);
}

static int64_t
pick(struct sim_cluster *cluster, int64_t min, int64_t max)
{
    return min + (int64_t)sim_cluster_below(cluster, (uint64_t)(max - min + 1));
}

/* Everything as small as allowed, so that segments roll and snapshots come all the time. */
static void
set_cleaning(struct sim_broker *broker)
{
    struct sim_cluster *cluster = broker->cluster;
    set(broker, "offsets.topic.clean.min.bytes=%lld", (long long)pick(cluster, 1, 6000));
    set(broker, "metadata.log.max.snapshot.interval.ms=%lld", (long long)pick(cluster, 30, 1000));
    set(broker, "metadata.max.retention.bytes=%lld", (long long)pick(cluster, 100, 9000));
    set(broker, "internal.metadata.log.segment.bytes=%lld", (long long)pick(cluster, 3000, 9000));
    set(broker, "log.segment.delete.delay.ms=%lld", (long long)pick(cluster, 0, 2000));
    set(broker, "log.retention.check.interval.ms=300");
}

/* A journal that wraps all the time, and segments that live long enough to use it. */
static void
set_busy(struct sim_broker *broker)
{
    struct sim_cluster *cluster = broker->cluster;
    set(broker, "log.ack.journal.bytes=%lld",
        (long long)pick(cluster, 1, (int64_t)1 << pick(cluster, 13, 18)));
    set(broker, "log.segment.delete.delay.ms=%lld", (long long)pick(cluster, 0, 2000));
}

/* Rounds all the time, some of which cannot take in all keys. */
static void
set_compacting(struct sim_broker *broker)
{
    struct sim_cluster *cluster = broker->cluster;
    set(broker, "log.roll.ms=%lld", (long long)pick(cluster, 5, 200));
    set(broker, "log.cleaner.backoff.ms=%lld", (long long)pick(cluster, 5, 200));
    set(broker, "log.cleaner.min.cleanable.ratio=0.%lld", (long long)pick(cluster, 0, 5));
    set(broker, "log.cleaner.dedupe.buffer.size=%lld", (long long)pick(cluster, 800, 6000));
    set(broker, "log.cleaner.threads=%lld", (long long)pick(cluster, 1, 3));
    set(broker, "log.segment.delete.delay.ms=%lld", (long long)pick(cluster, 0, 2000));
}

static void
configure(struct sim_broker *broker, int index, const struct sim_cluster_opts *cluster_opts)
{
    struct sim_cluster *cluster = broker->cluster;
    const char *texts[SIM_SETTINGS];
    struct node_config_opts opts = {.set = texts};
    struct buf problems;
    broker->dirs = cluster_opts->dirs > 1 ? cluster_opts->dirs : 1;
    set(broker, broker->dirs > 1 ? "log.dirs=" SIM_DIR_FIRST "," SIM_DIR_SECOND
                                 : "log.dirs=" SIM_DIR_FIRST);
    set(broker, "node.id=%d", index + 1);
    set(broker, "listeners=PLAINTEXT://10.0.0.%d:9092", index + 1);
    set(broker, "log.retention.ms=-1");
    set(broker, "log.message.timestamp.after.max.ms=9223372036854775807");
    set(broker, "log.segment.bytes=1048576");
    set(broker, "log.roll.ms=%lld",
        (long long)pick(cluster, 50, cluster_opts->busy ? 30000 : 3000));
    set(broker, "log.index.interval.bytes=%lld", (long long)pick(cluster, 0, 600));
    set(broker, "offsets.topic.num.partitions=%lld", (long long)pick(cluster, 1, 4));
    set(broker, "offsets.topic.segment.bytes=1048576");
    set(broker, "metadata.log.max.record.bytes.between.snapshots=%lld",
        (long long)pick(cluster, 200, 20000));
    set(broker, "log.flush.offset.checkpoint.interval.ms=%lld",
        (long long)pick(cluster, 100, 5000));
    set(broker, "replica.high.watermark.checkpoint.interval.ms=%lld",
        (long long)pick(cluster, 100, 5000));
    if (cluster_opts->cleaning)
        set_cleaning(broker);
    if (cluster_opts->busy)
        set_busy(broker);
    if (cluster_opts->compacting)
        set_compacting(broker);
    for (int i = 0; i < broker->setting_count; i++)
        texts[i] = broker->settings[i];
    opts.set_count = broker->setting_count;
    buf_init(&problems, 1 << 16);
    enum err err = node_config_load(cluster->client_env, &opts, &problems, &broker->config);
    if (err != ERR_OK)
        fprintf(stderr, "%s", buf_z(&problems));
    ASSERT(err == ERR_OK);
    buf_fini(&problems);
}

static void
broker_init(struct sim_cluster *cluster, int index, const struct sim_cluster_opts *cluster_opts)
{
    struct sim_broker *broker = &cluster->brokers[index];
    char name[16], ip[16];
    broker->cluster = cluster;
    snprintf(name, sizeof name, "broker%d", index + 1);
    snprintf(ip, sizeof ip, "10.0.0.%d", index + 1);
    snprintf(broker->bootstrap, sizeof broker->bootstrap, "%s:9092", ip);
    enum err err = sim_host_new(cluster->sim, name, ip, &broker->host);
    ASSERT(err == ERR_OK);
    configure(broker, index, cluster_opts);
    struct workload_opts opts = {.sim = cluster->sim,
        .env = cluster->client_env,
        .origin = (uint16_t)(index + 1),
        .bootstrap = broker->bootstrap,
        .commits_often = cluster_opts->cleaning,
        .anew = cluster_opts->anew,
        .compacted = cluster_opts->compacting,
        .repacked = cluster_opts->repacked,
        .bare = cluster_opts->bare,
        .quotas = cluster_opts->quotas};
    broker->workload = workload_new(&opts);
}

void
sim_cluster_init(struct sim_cluster *cluster, const struct sim_cluster_opts *opts)
{
    struct sim_opts sim_opts = {
        .seed = opts->seed, .level_min = opts->level_min, .wall_start_ms = 1795234324000};
    ASSERT(opts->brokers > 0 && opts->brokers <= SIM_BROKERS_MAX);
    memset(cluster, 0, sizeof *cluster);
    enum err err = sim_new(&sim_opts, &cluster->sim);
    ASSERT(err == ERR_OK);
    err = sim_host_new(cluster->sim, "clients", "10.0.9.9", &cluster->client_host);
    ASSERT(err == ERR_OK);
    err = sim_host_boot(cluster->client_host, &cluster->client_env);
    ASSERT(err == ERR_OK);
    cluster->count = opts->brokers;
    for (int i = 0; i < cluster->count; i++)
        broker_init(cluster, i, opts);
}

void
sim_cluster_fini(struct sim_cluster *cluster)
{
    for (int i = 0; i < cluster->count; i++) {
        struct sim_broker *broker = &cluster->brokers[i];
        sim_broker_crash(broker, SIM_CRASH_KILL);
        workload_free(&broker->workload);
        node_config_free(&broker->config);
    }
    sim_host_crash(cluster->client_host, SIM_CRASH_KILL);
    env_free(&cluster->client_env);
    sim_free(&cluster->sim);
}

/* ---- lives ---- */

static void
on_ready(void *ctx, enum err err)
{
    struct sim_broker *broker = ctx;
    if (err != ERR_OK)
        broker->failed = true;
}

static void
on_fatal(void *ctx, enum err err)
{
    struct sim_broker *broker = ctx;
    (void)err;
    broker->failed = true;
}

bool
sim_broker_boot(struct sim_broker *broker, bool may_fail)
{
    struct sim_cluster *cluster = broker->cluster;
    struct buf problems;
    struct node_opts opts = {
        .config = broker->config,
        .simulated = true,
        .ready = on_ready,
        .fatal = on_fatal,
        .ctx = broker,
    };
    ASSERT(broker->env == NULL && broker->node == NULL);
    enum err err = sim_host_boot(broker->host, &broker->env);
    ASSERT(err == ERR_OK);
    opts.env = broker->env;
    broker->failed = false;
    broker->lives++;
    buf_init(&problems, 1 << 16);
    err = node_open(&opts, &problems, &broker->node);
    if (err == ERR_OK)
        err = node_start(broker->node);
    if (err != ERR_OK) {
        if (!may_fail && !sim_host_is_down(broker->host))
            fail(cluster, "broker %d does not start: %s %s", (int)(broker - cluster->brokers) + 1,
                err_text(err), buf_z(&problems));
        broker->boots_failed++;
        sim_broker_crash(broker, SIM_CRASH_KILL);
    }
    buf_fini(&problems);
    return err == ERR_OK;
}

bool
sim_broker_reap(struct sim_broker *broker)
{
    if (broker->env == NULL || !sim_host_is_down(broker->host))
        return false;
    node_free(&broker->node);
    env_free(&broker->env);
    return true;
}

void
sim_broker_crash(struct sim_broker *broker, enum sim_crash kind)
{
    if (broker->env == NULL)
        return;
    if (!sim_host_is_down(broker->host))
        sim_host_crash(broker->host, kind);
    bool reaped = sim_broker_reap(broker);
    ASSERT(reaped);
}

void
sim_broker_stop(struct sim_broker *broker)
{
    if (sim_broker_reap(broker) || broker->node == NULL)
        return;
    node_stop(broker->node, DRAIN_MS);
    node_free(&broker->node);
    env_free(&broker->env);
}

static bool
is_over(void *ctx)
{
    struct sim_broker *broker = ctx;
    return sim_host_is_down(broker->host) || broker->failed ||
           sim_cluster_problem(broker->cluster)[0] != '\0';
}

void
sim_broker_run_ms(struct sim_broker *broker, int64_t ms)
{
    (void)sim_run_until(broker->cluster->sim, is_over, broker, ms);
}

static bool
is_ready_or_over(void *ctx)
{
    struct sim_broker *broker = ctx;
    return is_over(ctx) || node_is_ready(broker->node);
}

bool
sim_broker_await(struct sim_broker *broker)
{
    (void)sim_run_until(broker->cluster->sim, is_ready_or_over, broker, READY_MS);
    return !is_over(broker) && node_is_ready(broker->node);
}

int64_t
sim_broker_acked(const struct sim_broker *broker)
{
    struct history_counts counts;
    history_counts(workload_history(broker->workload), &counts);
    return counts.acked_all;
}

/* ---- the end ---- */

static void
heal(struct sim_cluster *cluster)
{
    static const struct sim_disk_faults none = {0};
    static const struct sim_link_faults calm = {.delay_min_us = 50, .delay_max_us = 500};
    for (int i = 0; i < cluster->count; i++) {
        struct sim_broker *broker = &cluster->brokers[i];
        sim_host_disk_faults(broker->host, &none);
        sim_host_faults_below(broker->host, NULL);
        sim_host_fail_allocs(broker->host, 0);
        for (int op = 0; op <= SIM_OP_ANY; op++)
            sim_host_fail_nth(broker->host, (enum sim_op)op, 0, ERR_IO);
        sim_host_crash_at(broker->host, SIM_CRASH_KILL, 0);
        sim_link(cluster->sim, cluster->client_host, broker->host, &calm);
        sim_broker_reap(broker);
        if (broker->failed)
            sim_broker_crash(broker, SIM_CRASH_KILL);
        if (broker->node == NULL && !sim_broker_boot(broker, false))
            return;
        if (!sim_broker_await(broker))
            fail(cluster, "broker %d is not ready after %d virtual ms", i + 1, (int)READY_MS);
    }
}

static bool
has_problem(struct sim_cluster *cluster)
{
    return sim_cluster_problem(cluster)[0] != '\0';
}

static bool
all_settled(void *ctx)
{
    struct sim_cluster *cluster = ctx;
    bool settled = true;
    for (int i = 0; i < cluster->count; i++) {
        workload_quiesce(cluster->brokers[i].workload);
        settled = settled && workload_is_settled(cluster->brokers[i].workload);
    }
    return settled || has_problem(cluster);
}

static bool
all_audited(void *ctx)
{
    struct sim_cluster *cluster = ctx;
    bool audited = true;
    for (int i = 0; i < cluster->count; i++)
        audited = audited && workload_is_audited(cluster->brokers[i].workload);
    return audited || has_problem(cluster);
}

static void
fail_stuck(struct sim_cluster *cluster, const char *what)
{
    for (int i = 0; i < cluster->count; i++) {
        char state[200];
        workload_describe(cluster->brokers[i].workload, state, sizeof state);
        if (!workload_is_audited(cluster->brokers[i].workload))
            fail(cluster, "broker %d: %s: %s", i + 1, what, state);
    }
}

void
sim_cluster_heal_and_audit(struct sim_cluster *cluster)
{
    if (has_problem(cluster))
        return;
    heal(cluster);
    if (has_problem(cluster))
        return;
    if (!sim_run_until(cluster->sim, all_settled, cluster, SETTLE_MS))
        fail_stuck(cluster, "clients without an answer");
    if (has_problem(cluster))
        return;
    sim_run_ms(cluster->sim, FLUSH_MS);
    for (int i = 0; i < cluster->count; i++)
        workload_audit(cluster->brokers[i].workload);
    if (!sim_run_until(cluster->sim, all_audited, cluster, AUDIT_MS))
        fail_stuck(cluster, "the audit does not end");
}
