/* tests/sim/scenario_cleaning.c - crashes and failing disks while the broker removes old data: the
 * log of the offsets topic behind a copy of what it says, the metadata log behind its snapshots,
 * of a compacted topic what was overwritten; quotas, of which only snapshots know before long. */
#include "tests/sim/scenarios.h"

static void
run_crashes(struct sim_cluster *cluster)
{
    sim_scenario_crash_rounds(cluster, 2 + (int)sim_cluster_below(cluster, 4), 25);
}

const struct sim_scenario sim_scenario_cleaning = {"cleaning_crash",
    "group offsets and metadata survive crashes while what is old is removed", 1, run_crashes,
    true};
const struct sim_scenario sim_scenario_cleaning_disk = {"cleaning_disk",
    "group offsets and metadata survive failing disks while what is old is removed", 1,
    sim_scenario_disk_rounds, true};
const struct sim_scenario sim_scenario_compacting = {"compacting_crash",
    "the newest record of every key survives crashes at any step of compaction", 1, run_crashes,
    .compacting = true};
const struct sim_scenario sim_scenario_compacting_disk = {"compacting_disk",
    "the newest record of every key survives failing disks during compaction", 1,
    sim_scenario_disk_rounds, .compacting = true};
const struct sim_scenario sim_scenario_quotas = {"quotas_crash",
    "client quotas that were acknowledged or shown survive crashes", 1, run_crashes,
    .cleaning = true, .quotas = true};
const struct sim_scenario sim_scenario_quotas_disk = {"quotas_disk",
    "client quotas that were acknowledged or shown survive failing disks", 1,
    sim_scenario_disk_rounds, .cleaning = true, .quotas = true};
