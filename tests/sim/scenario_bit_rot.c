/* tests/sim/scenario_bit_rot.c - single bits that change on the disk, in data and in everything
 * that is derived from it, while the broker is down or runs.
 *
 * Data: a batch of the clients' topic is spoilt anywhere but in its base offset and leader epoch,
 * which no checksum of the format covers. Hints: indexes, producer snapshots, epochs, checkpoints;
 * the log has what they say, so nothing at all may be missed. */
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "tests/sim/scenarios.h"
#include "wire/batch.h"

enum { PATHS_MAX = 400, PATH_SIZE = 160, FILE_BYTES_MAX = 4 << 20, COVERED_FROM = BATCH_AT_MAGIC };

enum rot_of { ROT_OF_HINTS, ROT_OF_DATA, ROT_OF_METADATA };

struct paths {
    struct sim_broker *broker;
    const char *dir;
    enum rot_of of;
    int count;
    char paths[PATHS_MAX][PATH_SIZE];
};

static bool
ends_with(const char *name, const char *end)
{
    size_t len = strlen(name), end_len = strlen(end);
    return len >= end_len && strcmp(name + len - end_len, end) == 0;
}

static void
paths_add(struct paths *paths, const char *name)
{
    if (paths->count < PATHS_MAX)
        snprintf(paths->paths[paths->count++], PATH_SIZE, "%s/%s", paths->dir, name);
}

static bool
take_file(void *ctx, const char *name)
{
    struct paths *paths = ctx;
    bool data = ends_with(name, ".log");
    bool hint =
        ends_with(name, "index") || ends_with(name, ".snapshot") || ends_with(name, "-checkpoint");
    bool metadata = data || ends_with(name, ".checkpoint") || ends_with(name, "quorum-state") ||
                    ends_with(name, "meta.properties");
    if (paths->of == ROT_OF_METADATA ? metadata : paths->of == ROT_OF_DATA ? data : hint)
        paths_add(paths, name);
    return true;
}

static void
list_dir(struct paths *paths, const char *dir)
{
    paths->dir = dir;
    enum err err = env_list_dir(paths->broker->env, dir, take_file, paths);
    ASSERT(err == ERR_OK || err == ERR_NOTFOUND || sim_host_is_down(paths->broker->host));
}

/* The broker is up. */
static void
list_all(struct paths *paths)
{
    char dir[64];
    if (paths->of == ROT_OF_METADATA) {
        list_dir(paths, "/data");
        list_dir(paths, "/data/__cluster_metadata-0");
        return;
    }
    for (int p = 0; p < HISTORY_PARTITIONS; p++) {
        snprintf(dir, sizeof dir, "/data/history-%d", p);
        list_dir(paths, dir);
    }
    if (paths->of == ROT_OF_DATA)
        return;
    for (int p = 0; p < 4; p++) {
        snprintf(dir, sizeof dir, "/data/__consumer_offsets-%d", p);
        list_dir(paths, dir);
    }
    list_dir(paths, "/data");
    list_dir(paths, "/data/__cluster_metadata-0");
}

struct flip {
    char path[PATH_SIZE];
    int64_t position;
    int bit;
    int32_t partition;   /* of damaged data */
    int64_t first, last; /* its offsets */
};

/* A bit of a batch; false when the file holds none. */
static bool
choose_in_batch(struct sim_cluster *cluster, struct flip *flip, struct bytes file)
{
    struct batch_view batch;
    int64_t at = 0, count = 0, chosen;
    while (batch_parse((struct bytes){file.data + at, file.len - (size_t)at}, &batch) == ERR_OK) {
        at += (int64_t)batch.size_bytes;
        count++;
    }
    if (count == 0)
        return false;
    chosen = (int64_t)sim_cluster_below(cluster, (uint64_t)count);
    for (at = 0; chosen >= 0; chosen--) {
        enum err err = batch_parse((struct bytes){file.data + at, file.len - (size_t)at}, &batch);
        ASSERT(err == ERR_OK);
        at += (int64_t)batch.size_bytes;
    }
    at -= (int64_t)batch.size_bytes;
    uint64_t covered = batch.size_bytes - COVERED_FROM;
    flip->position = at + COVERED_FROM + (int64_t)sim_cluster_below(cluster, covered);
    if (sim_cluster_below(cluster, 8) == 0) /* the length is covered in effect */
        flip->position = at + BATCH_AT_LENGTH + (int64_t)sim_cluster_below(cluster, 4);
    flip->first = batch.base_offset;
    flip->last = batch_last_offset(&batch);
    return true;
}

/* While the broker is up; false when there is nothing to spoil. */
static bool
choose(struct sim_broker *broker, enum rot_of of, struct flip *flip)
{
    struct sim_cluster *cluster = broker->cluster;
    struct paths *paths = mem_calloc(1, sizeof *paths);
    char *file = NULL;
    size_t len = 0;
    bool chosen = false;
    ASSERT(paths != NULL);
    paths->broker = broker;
    paths->of = of;
    list_all(paths);
    for (int tries = 0; tries < 20 && paths->count > 0 && !chosen; tries++) {
        uint64_t n = sim_cluster_below(cluster, (uint64_t)paths->count);
        memcpy(flip->path, paths->paths[n], PATH_SIZE);
        flip->bit = (int)sim_cluster_below(cluster, 8);
        if (env_read_file(broker->env, flip->path, FILE_BYTES_MAX, &file, &len) != ERR_OK)
            continue;
        if (of == ROT_OF_DATA) {
            sscanf(flip->path, "/data/history-%d", &flip->partition);
            chosen = choose_in_batch(cluster, flip, (struct bytes){(const uint8_t *)file, len});
        } else if (len > 0) {
            flip->position = (int64_t)sim_cluster_below(cluster, len);
            chosen = true;
        }
        mem_free(file);
    }
    mem_free(paths);
    return chosen;
}

static void
apply(struct sim_broker *broker, const struct flip *flip, bool data, bool live)
{
    struct history *history = workload_history(broker->workload);
    /* Two bits of a batch are more than its checksum can explain. */
    if (data && history_is_damaged(history, flip->partition, flip->first))
        return;
    /* After a power cut the place may be gone. */
    if (sim_host_flip_bit(broker->host, flip->path, flip->position, flip->bit) != ERR_OK || !data)
        return;
    history_damaged(history, flip->partition, flip->first, flip->last);
    workload_expect_damage(broker->workload, live);
}

static void
rounds(struct sim_cluster *cluster, bool data, bool live)
{
    struct sim_broker *broker = &cluster->brokers[0];
    int count = 1 + (int)sim_cluster_below(cluster, 3);
    while (count-- > 0 && sim_cluster_problem(cluster)[0] == '\0') {
        struct flip flips[3];
        int flip_count = 0, wanted = 1 + (int)sim_cluster_below(cluster, 3);
        if (broker->node == NULL && !sim_broker_boot(broker, false))
            return;
        sim_broker_run_ms(broker, 300 + (int64_t)sim_cluster_below(cluster, 2500));
        while (wanted-- > 0 && !sim_host_is_down(broker->host))
            flip_count += choose(broker, data ? ROT_OF_DATA : ROT_OF_HINTS, &flips[flip_count]);
        if (live) {
            for (int i = 0; i < flip_count; i++)
                apply(broker, &flips[i], data, true);
            sim_broker_run_ms(broker, 300 + (int64_t)sim_cluster_below(cluster, 1500));
        }
        bool power = sim_cluster_below(cluster, 3) == 0;
        if (power)
            history_lossy(workload_history(broker->workload));
        sim_broker_crash(broker, power ? SIM_CRASH_POWER : SIM_CRASH_KILL);
        for (int i = 0; i < flip_count && !live; i++)
            apply(broker, &flips[i], data, false);
    }
}

/* A node that does not know who it is, what it voted or what the cluster looks like may refuse to
 * start; then it must have changed nothing: with the bits as they were all is there. */
static void
run_metadata(struct sim_cluster *cluster)
{
    struct sim_broker *broker = &cluster->brokers[0];
    int count = 1 + (int)sim_cluster_below(cluster, 3);
    while (count-- > 0 && sim_cluster_problem(cluster)[0] == '\0') {
        struct flip flip;
        if (broker->node == NULL && !sim_broker_boot(broker, false))
            return;
        sim_broker_run_ms(broker, 300 + (int64_t)sim_cluster_below(cluster, 2500));
        bool chosen = !sim_host_is_down(broker->host) && choose(broker, ROT_OF_METADATA, &flip);
        sim_broker_crash(broker, SIM_CRASH_KILL);
        if (!chosen ||
            sim_host_flip_bit(broker->host, flip.path, flip.position, flip.bit) != ERR_OK)
            continue;
        if (sim_broker_boot(broker, true) && sim_broker_await(broker)) {
            sim_broker_run_ms(broker, (int64_t)sim_cluster_below(cluster, 800));
            continue;
        }
        sim_broker_crash(broker, SIM_CRASH_KILL);
        enum err err = sim_host_flip_bit(broker->host, flip.path, flip.position, flip.bit);
        ASSERT(err == ERR_OK); /* refused, and nothing was removed */
    }
}

static void
run_data(struct sim_cluster *cluster)
{
    rounds(cluster, true, false);
}

static void
run_live(struct sim_cluster *cluster)
{
    rounds(cluster, true, true);
}

static void
run_hints(struct sim_cluster *cluster)
{
    rounds(cluster, false, sim_cluster_below(cluster, 3) == 0);
}

const struct sim_scenario sim_scenario_rot_data = {"rot_data",
    "a batch that rots while the broker is down is never sent, all others stay", 1, run_data};
const struct sim_scenario sim_scenario_rot_live = {
    "rot_live", "a batch that rots while the broker runs costs no other", 1, run_live};
const struct sim_scenario sim_scenario_rot_hints = {"rot_hints",
    "bits of indexes, snapshots, epochs and checkpoints may change, nothing is lost", 1, run_hints};
const struct sim_scenario sim_scenario_rot_metadata = {"rot_metadata",
    "a bit of the metadata log, a snapshot, the vote or the identity changes: it starts, or "
    "refuses "
    "and harms nothing",
    1, run_metadata, true};
