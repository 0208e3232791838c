/* tests/sim/scenario_busy.c - everything at once: a journal that wraps all the time, records and
 * topics that are deleted, stops among the crashes; failing disks, one of two directories, and no
 * memory. */
#include "tests/sim/scenarios.h"

enum { COMMIT_MS = 5000 };

/* A stop, in the middle of which the machine may crash. */
static void
stop(struct sim_broker *broker)
{
    struct sim_cluster *cluster = broker->cluster;
    if (sim_cluster_below(cluster, 2) == 0)
        sim_host_crash_at(
            broker->host, sim_scenario_crash_kind(broker), sim_scenario_operation(cluster, 9));
    sim_broker_stop(broker);
    sim_host_crash_at(broker->host, SIM_CRASH_KILL, 0);
}

/* Some time with the seed's noise, at the end of which the host may have crashed by itself. */
static void
live(struct sim_broker *broker, enum sim_crash *kind)
{
    struct sim_cluster *cluster = broker->cluster;
    *kind = sim_scenario_crash_kind(broker);
    sim_scenario_noise(broker);
    if (sim_cluster_below(cluster, 2) == 0)
        sim_host_crash_at(broker->host, *kind, sim_scenario_operation(cluster, 13));
    sim_broker_run_ms(broker, 200 + (int64_t)sim_cluster_below(cluster, 2500));
    sim_host_crash_at(broker->host, SIM_CRASH_KILL, 0);
}

static void
run_stops(struct sim_cluster *cluster)
{
    struct sim_broker *broker = &cluster->brokers[0];
    int rounds = 2 + (int)sim_cluster_below(cluster, 4);
    sim_scenario_boot(broker, 0);
    while (rounds-- > 0 && sim_cluster_problem(cluster)[0] == '\0') {
        enum sim_crash kind;
        live(broker, &kind);
        if (sim_cluster_problem(cluster)[0] != '\0')
            return;
        if (sim_cluster_below(cluster, 2) == 0)
            stop(broker);
        sim_broker_crash(broker, kind);
        sim_run_ms(cluster->sim, (int64_t)sim_cluster_below(cluster, 300));
        sim_scenario_boot(broker, 25);
    }
    if (sim_cluster_problem(cluster)[0] == '\0')
        sim_broker_run_ms(broker, (int64_t)sim_cluster_below(cluster, 1000));
}

/* The topics are there. */
static bool
has_committed(void *ctx)
{
    struct sim_broker *broker = ctx;
    struct history_counts counts;
    history_counts(workload_history(broker->workload), &counts);
    return counts.commits > 0;
}

/* It may refuse; when there is memory again it goes on by itself. */
static void
run_no_memory(struct sim_cluster *cluster)
{
    struct sim_broker *broker = &cluster->brokers[0];
    int rounds = 1 + (int)sim_cluster_below(cluster, 3);
    workload_expect_refusals(broker->workload);
    sim_scenario_boot(broker, 0);
    (void)sim_run_until(cluster->sim, has_committed, broker, COMMIT_MS);
    while (rounds-- > 0 && sim_cluster_problem(cluster)[0] == '\0') {
        sim_broker_run_ms(broker, (int64_t)sim_cluster_below(cluster, 1000));
        sim_host_fail_allocs(broker->host, sim_scenario_operation(cluster, 10) + 1);
        sim_broker_run_ms(broker, 100 + (int64_t)sim_cluster_below(cluster, 1500));
        uint64_t end = sim_cluster_below(cluster, 4);
        if (end == 0)
            sim_broker_stop(broker);
        sim_host_fail_allocs(broker->host, 0);
        if (end == 1)
            sim_broker_stop(broker);
        if (end <= 2)
            sim_broker_crash(broker, sim_scenario_crash_kind(broker));
        if (broker->node == NULL)
            sim_scenario_boot(broker, 0);
    }
}

/* The second directory goes, while the node runs or before it starts; it comes back at a start. */
static void
run_anew(struct sim_cluster *cluster)
{
    static const struct sim_disk_faults none = {0};
    static const struct sim_disk_faults broken = {
        .open_error_ppm = 1000000, .write_error_ppm = 1000000, .sync_error_ppm = 1000000};
    struct sim_broker *broker = &cluster->brokers[0];
    int rounds = 2 + (int)sim_cluster_below(cluster, 4);
    workload_expect_refusals(broker->workload);
    sim_host_faults_below(broker->host, SIM_DIR_SECOND);
    while (rounds-- > 0 && sim_cluster_problem(cluster)[0] == '\0') {
        bool is_broken = sim_cluster_below(cluster, 3) == 0;
        sim_host_disk_faults(broker->host, is_broken ? &broken : &none);
        if (!sim_broker_boot(broker, false))
            return;
        sim_broker_run_ms(broker, 200 + (int64_t)sim_cluster_below(cluster, 2000));
        sim_host_disk_faults(broker->host, &broken);
        sim_broker_run_ms(broker, 500 + (int64_t)sim_cluster_below(cluster, 3000));
        if (sim_cluster_below(cluster, 3) == 0)
            sim_broker_stop(broker);
        sim_broker_crash(broker, sim_scenario_crash_kind(broker));
    }
}

const struct sim_scenario sim_scenario_stops = {
    "busy_stops",
    "stops and crashes lose nothing where the journal is always full, topics and records go",
    1,
    run_stops,
    .busy = true,
};
const struct sim_scenario sim_scenario_busy_disk = {
    "busy_disk",
    "the same on disks that fail or are full",
    1,
    sim_scenario_disk_rounds,
    .busy = true,
};
const struct sim_scenario sim_scenario_two_dirs = {
    "two_dirs",
    "where one of two directories fails nothing acknowledged is lost",
    1,
    sim_scenario_disk_rounds,
    .busy = true,
    .dirs = 2,
};
const struct sim_scenario sim_scenario_topics_anew = {
    "topics_anew",
    "a directory that comes back with logs of topics that were made anew meanwhile is no hindrance",
    1,
    run_anew,
    .busy = true,
    .dirs = 2,
    .anew = true,
};
const struct sim_scenario sim_scenario_repacked = {
    "repacked_stops",
    "batches that are checked on a pool, in the order of their connection, survive stops and "
    "crashes",
    1,
    run_stops,
    .repacked = true,
};
const struct sim_scenario sim_scenario_no_memory = {
    "no_memory",
    "a broker without memory refuses, goes on by itself and loses nothing acknowledged",
    1,
    run_no_memory,
    .busy = true,
};
