/* tests/sim/scenario_crash.c - kill -9 and power cuts in the middle of operations, one to three
 * times, some of them while the broker starts again. */
#include "tests/sim/scenarios.h"

void
sim_scenario_noise(struct sim_broker *broker)
{
    struct sim_cluster *cluster = broker->cluster;
    struct sim_link_faults faults = {.delay_min_us = 50, .delay_max_us = 500};
    if (sim_cluster_below(cluster, 2) == 0)
        faults.delay_max_us = 500 + (int64_t)sim_cluster_below(cluster, 30000);
    if (sim_cluster_below(cluster, 2) == 0)
        faults.reset_ppm = (uint32_t)sim_cluster_below(cluster, 20000);
    sim_link(cluster->sim, cluster->client_host, broker->host, &faults);
}

enum sim_crash
sim_scenario_crash_kind(struct sim_broker *broker)
{
    if (sim_cluster_below(broker->cluster, 3) == 0)
        return SIM_CRASH_KILL;
    history_lossy(workload_history(broker->workload));
    return SIM_CRASH_POWER;
}

uint64_t
sim_scenario_operation(struct sim_cluster *cluster, int bits)
{
    uint64_t bound = 1ull << (1 + sim_cluster_below(cluster, (uint64_t)bits));
    return 1 + sim_cluster_below(cluster, bound);
}

void
sim_scenario_boot(struct sim_broker *broker, int crash_percent)
{
    struct sim_cluster *cluster = broker->cluster;
    for (int tries = 0; broker->node == NULL; tries++) {
        if (tries < 4 && (int)sim_cluster_below(cluster, 100) < crash_percent)
            sim_host_crash_at(
                broker->host, sim_scenario_crash_kind(broker), sim_scenario_operation(cluster, 9));
        if (!sim_broker_boot(broker, false)) {
            if (sim_cluster_problem(cluster)[0] != '\0')
                return;
            continue;
        }
        if (sim_cluster_below(cluster, 3) == 0)
            (void)sim_broker_await(broker);
        sim_broker_reap(broker);
    }
}

void
sim_scenario_crash_rounds(struct sim_cluster *cluster, int rounds, int crash_percent)
{
    struct sim_broker *broker = &cluster->brokers[0];
    sim_scenario_boot(broker, crash_percent / 2);
    while (rounds-- > 0 && sim_cluster_problem(cluster)[0] == '\0') {
        sim_scenario_noise(broker);
        enum sim_crash kind = sim_scenario_crash_kind(broker);
        sim_host_crash_at(broker->host, kind, sim_scenario_operation(cluster, 13));
        sim_broker_run_ms(broker, 200 + (int64_t)sim_cluster_below(cluster, 2500));
        if (sim_cluster_problem(cluster)[0] != '\0')
            return;
        sim_broker_crash(broker, kind);
        sim_run_ms(cluster->sim, (int64_t)sim_cluster_below(cluster, 300));
        sim_scenario_boot(broker, crash_percent);
    }
    if (sim_cluster_problem(cluster)[0] == '\0')
        sim_broker_run_ms(broker, (int64_t)sim_cluster_below(cluster, 1000));
}

static void
run_crash_restart(struct sim_cluster *cluster)
{
    sim_scenario_crash_rounds(cluster, 1 + (int)sim_cluster_below(cluster, 3), 20);
}

static void
run_crash_crash(struct sim_cluster *cluster)
{
    sim_scenario_crash_rounds(cluster, 2 + (int)sim_cluster_below(cluster, 4), 75);
}

const struct sim_scenario sim_scenario_crash_restart = {
    "crash_restart", "what was acknowledged survives kills and power cuts", 1, run_crash_restart};
const struct sim_scenario sim_scenario_crash_crash = {"crash_in_recovery",
    "what was acknowledged survives crashes while recovering", 1, run_crash_crash};
