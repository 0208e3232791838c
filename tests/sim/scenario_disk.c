/* tests/sim/scenario_disk.c - disks that fail, fill up or dawdle. The broker may refuse, not lie.
 */
#include "tests/sim/scenarios.h"

static void
fail_one(struct sim_broker *broker)
{
    static const enum sim_op ops[] = {
        SIM_OP_WRITE, SIM_OP_SYNC, SIM_OP_OPEN, SIM_OP_RENAME, SIM_OP_READ};
    struct sim_cluster *cluster = broker->cluster;
    enum sim_op op = ops[sim_cluster_below(cluster, 5)];
    enum err err = op != SIM_OP_READ && sim_cluster_below(cluster, 3) == 0 ? ERR_NOSPACE : ERR_IO;
    uint64_t nth = 1 + sim_cluster_below(cluster, op == SIM_OP_WRITE ? 300 : 60);
    sim_host_fail_nth(broker->host, op, nth, err);
}

static void
set_faults(struct sim_broker *broker)
{
    struct sim_cluster *cluster = broker->cluster;
    struct sim_disk_faults faults = {0};
    if (broker->dirs > 1)
        sim_host_faults_below(
            broker->host, sim_cluster_below(cluster, 3) == 0 ? SIM_DIR_FIRST : SIM_DIR_SECOND);
    switch (sim_cluster_below(cluster, 8)) {
    case 0: fail_one(broker); return;
    case 1: faults.write_error_ppm = 1 + (uint32_t)sim_cluster_below(cluster, 20000); break;
    case 2: faults.sync_error_ppm = 1 + (uint32_t)sim_cluster_below(cluster, 50000); break;
    case 3: faults.read_error_ppm = 1 + (uint32_t)sim_cluster_below(cluster, 20000); break;
    case 4: /* all directories share it */
        faults.capacity_bytes = 20000 + (int64_t)sim_cluster_below(cluster, 400000);
        break;
    case 5: faults.open_error_ppm = 1 + (uint32_t)sim_cluster_below(cluster, 30000); break;
    case 6: faults.rename_error_ppm = 1 + (uint32_t)sim_cluster_below(cluster, 50000); break;
    default: faults.delay_ppm = 10000 + (uint32_t)sim_cluster_below(cluster, 300000); break;
    }
    sim_host_disk_faults(broker->host, &faults);
}

void
sim_scenario_disk_rounds(struct sim_cluster *cluster)
{
    static const struct sim_disk_faults none = {0};
    struct sim_broker *broker = &cluster->brokers[0];
    int rounds = 1 + (int)sim_cluster_below(cluster, 3);
    workload_expect_refusals(broker->workload);
    if (sim_cluster_below(cluster, 4) == 0)
        set_faults(broker); /* from the first start on */
    while (rounds-- > 0 && sim_cluster_problem(cluster)[0] == '\0') {
        if (!sim_broker_boot(broker, true)) {
            sim_host_disk_faults(broker->host, &none);
            continue;
        }
        sim_broker_run_ms(broker, 200 + (int64_t)sim_cluster_below(cluster, 1500));
        set_faults(broker);
        sim_broker_run_ms(broker, 500 + (int64_t)sim_cluster_below(cluster, 2500));
        sim_broker_crash(
            broker, sim_cluster_below(cluster, 2) == 0 ? SIM_CRASH_KILL : SIM_CRASH_POWER);
        if (sim_cluster_below(cluster, 2) == 0)
            sim_host_disk_faults(broker->host, &none);
    }
}

const struct sim_scenario sim_scenario_disk_faults = {"disk_faults",
    "a broker whose disk fails or is full refuses and loses nothing acknowledged", 1,
    sim_scenario_disk_rounds};
