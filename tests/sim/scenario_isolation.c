/* tests/sim/scenario_isolation.c - three brokers; what befalls the first is no business of the
 * others, which must go on acknowledging. */
#include "tests/sim/scenarios.h"

static void
befall(struct sim_broker *broker)
{
    struct sim_cluster *cluster = broker->cluster;
    struct sim_link_faults cut = {.delay_min_us = 50, .delay_max_us = 500, .cut = true};
    struct sim_disk_faults slow = {.delay_ppm = 900000};
    switch (sim_cluster_below(cluster, 5)) {
    case 0: sim_broker_crash(broker, SIM_CRASH_KILL); break;
    case 1: sim_broker_crash(broker, SIM_CRASH_POWER); break;
    case 2: sim_host_pause(broker->host, 2000); break;
    case 3: sim_link(cluster->sim, cluster->client_host, broker->host, &cut); break;
    default: sim_host_disk_faults(broker->host, &slow); break;
    }
}

static void
run(struct sim_cluster *cluster)
{
    int64_t before[SIM_BROKERS_MAX];
    history_lossy(workload_history(cluster->brokers[0].workload));
    for (int i = 0; i < cluster->count; i++)
        if (!sim_broker_boot(&cluster->brokers[i], false))
            return;
    sim_run_ms(cluster->sim, 500 + (int64_t)sim_cluster_below(cluster, 500));
    befall(&cluster->brokers[0]);
    for (int i = 1; i < cluster->count; i++)
        before[i] = sim_broker_acked(&cluster->brokers[i]);
    sim_run_ms(cluster->sim, 1500);
    for (int i = 1; i < cluster->count; i++)
        if (sim_broker_acked(&cluster->brokers[i]) == before[i])
            history_fail(workload_history(cluster->brokers[i].workload),
                "nothing acknowledged in 1500 ms because broker 1 has trouble");
}

const struct sim_scenario sim_scenario_isolation = {
    "isolation", "trouble of one broker stops no other", SIM_BROKERS_MAX, run};
