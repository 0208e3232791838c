/* tests/sim/scenario_clocks.c - wall clocks that jump, processes that stand still. Timers and
 * offsets must not care. */
#include "tests/sim/scenarios.h"

enum { JUMPS_MAX = 6 };

static int64_t
any_jump(struct sim_cluster *cluster)
{
    static const int64_t sizes[] = {1, 1000, 3600000, 86400000, 315360000000};
    int64_t size = sizes[sim_cluster_below(cluster, 5)];
    int64_t jump = 1 + (int64_t)sim_cluster_below(cluster, (uint64_t)size);
    return sim_cluster_below(cluster, 2) == 0 ? jump : -jump;
}

static void
run(struct sim_cluster *cluster)
{
    struct sim_broker *broker = &cluster->brokers[0];
    int jumps = 1 + (int)sim_cluster_below(cluster, JUMPS_MAX);
    if (!sim_broker_boot(broker, false))
        return;
    while (jumps-- > 0 && sim_cluster_problem(cluster)[0] == '\0') {
        sim_broker_run_ms(broker, 100 + (int64_t)sim_cluster_below(cluster, 800));
        int64_t acked = sim_broker_acked(broker);
        bool up = node_is_ready(broker->node);
        sim_host_wall_jump(broker->host, any_jump(cluster));
        if (sim_cluster_below(cluster, 3) == 0)
            sim_host_pause(broker->host, (int64_t)sim_cluster_below(cluster, 3000));
        sim_broker_run_ms(broker, 4000);
        if (up && acked > 0 && sim_broker_acked(broker) == acked)
            history_fail(workload_history(broker->workload),
                "nothing acknowledged in 4 s after a jump of the clock");
        if (sim_cluster_below(cluster, 3) != 0)
            continue;
        sim_broker_crash(broker, SIM_CRASH_KILL);
        if (!sim_broker_boot(broker, false))
            return;
    }
}

const struct sim_scenario sim_scenario_clocks = {
    "clocks", "jumps of the wall clock and pauses stop and lose nothing", 1, run};
