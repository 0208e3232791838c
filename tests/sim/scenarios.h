/* tests/sim/scenarios.h - what happens to brokers before the audit, by name. */
#ifndef TESTS_SIM_SCENARIOS_H
#define TESTS_SIM_SCENARIOS_H

#include "tests/sim/sim_cluster.h"

struct sim_scenario {
    const char *name;
    const char *promise; /* what passes when it passes */
    int brokers;
    void (*run)(struct sim_cluster *cluster);
};

extern const struct sim_scenario sim_scenario_crash_restart; /* scenario_crash.c */
extern const struct sim_scenario sim_scenario_crash_crash;
extern const struct sim_scenario sim_scenario_disk_faults; /* scenario_disk.c */
extern const struct sim_scenario sim_scenario_isolation;   /* scenario_isolation.c */
extern const struct sim_scenario sim_scenario_clocks;      /* scenario_clocks.c */

/* Delays and resets between the clients and a broker, as the seed wants. */
void sim_scenario_noise(struct sim_broker *broker);

#endif
