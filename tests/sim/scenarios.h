/* tests/sim/scenarios.h - what happens to brokers before the audit, by name. */
#ifndef TESTS_SIM_SCENARIOS_H
#define TESTS_SIM_SCENARIOS_H

#include "tests/sim/sim_cluster.h"

struct sim_scenario {
    const char *name;
    const char *promise; /* what passes when it passes */
    int brokers;
    void (*run)(struct sim_cluster *cluster);
    bool cleaning; /* all that cleans up behind itself does so early, and there are many commits */
    bool busy;     /* a journal that is always full */
    int dirs;      /* entries of log.dirs; 0: one */
    bool anew;     /* topics are made again under the name of one that was deleted */
    bool compacting; /* the topic of the records is compacted all the time */
    bool repacked;   /* large batches that the broker compresses anew: their checks take long */
    bool quotas;     /* of clients, set and read; they hold these clients back */
};

extern const struct sim_scenario sim_scenario_crash_restart; /* scenario_crash.c */
extern const struct sim_scenario sim_scenario_crash_crash;
extern const struct sim_scenario sim_scenario_disk_faults; /* scenario_disk.c */
extern const struct sim_scenario sim_scenario_isolation;   /* scenario_isolation.c */
extern const struct sim_scenario sim_scenario_clocks;      /* scenario_clocks.c */
extern const struct sim_scenario sim_scenario_cleaning;    /* scenario_cleaning.c */
extern const struct sim_scenario sim_scenario_cleaning_disk;
extern const struct sim_scenario sim_scenario_compacting;
extern const struct sim_scenario sim_scenario_compacting_disk;
extern const struct sim_scenario sim_scenario_quotas;
extern const struct sim_scenario sim_scenario_quotas_disk;
extern const struct sim_scenario sim_scenario_rot_data; /* scenario_bit_rot.c */
extern const struct sim_scenario sim_scenario_rot_live;
extern const struct sim_scenario sim_scenario_rot_hints;
extern const struct sim_scenario sim_scenario_rot_metadata;
extern const struct sim_scenario sim_scenario_stops; /* scenario_busy.c */
extern const struct sim_scenario sim_scenario_busy_disk;
extern const struct sim_scenario sim_scenario_two_dirs;
extern const struct sim_scenario sim_scenario_no_memory;
extern const struct sim_scenario sim_scenario_topics_anew;
extern const struct sim_scenario sim_scenario_repacked;

/* Delays and resets between the clients and a broker, as the seed wants. */
void sim_scenario_noise(struct sim_broker *broker);
/* What comes next, soon or late with equal chance; up to 2^bits. */
uint64_t sim_scenario_operation(struct sim_cluster *cluster, int bits);
/* Starts it until it is up, or there is a problem; with this chance it crashes on the way. */
void sim_scenario_boot(struct sim_broker *broker, int crash_percent);
/* Kill or power cut. */
enum sim_crash sim_scenario_crash_kind(struct sim_broker *broker);
/* Crashes so many times, with this chance while it starts again; scenario_crash.c. */
void sim_scenario_crash_rounds(struct sim_cluster *cluster, int rounds, int crash_percent);
/* scenario_disk.c */
void sim_scenario_disk_rounds(struct sim_cluster *cluster);

#endif
