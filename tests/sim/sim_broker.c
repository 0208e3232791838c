/* tests/sim/sim_broker.c - runs scenarios over seeds and reports in TAP.
 *
 *   sim_broker [--seeds FROM-TO | --seed N] [--scenario NAME] [--jobs N] [-v]
 *
 * A seed picks its scenario (seed modulo their number, unless named) and runs in a process of its
 * own, so that a failed assertion is one failed seed. Every eighth seed runs twice and must leave
 * the same trace. */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/attr.h"
#include "tests/sim/scenarios.h"

enum { SEED_FIRST = 1, SEED_LAST = 550, JOBS = 2, JOBS_MAX = 16, SECONDS_MAX = 60, TWICE = 8 };

static const struct sim_scenario *const SCENARIOS[] = {
    &sim_scenario_crash_restart,
    &sim_scenario_disk_faults,
    &sim_scenario_crash_crash,
    &sim_scenario_isolation,
    &sim_scenario_clocks,
    &sim_scenario_cleaning,
    &sim_scenario_cleaning_disk,
    &sim_scenario_rot_data,
    &sim_scenario_rot_live,
    &sim_scenario_rot_hints,
    &sim_scenario_rot_metadata,
    &sim_scenario_stops,
    &sim_scenario_busy_disk,
    &sim_scenario_two_dirs,
    &sim_scenario_no_memory,
    &sim_scenario_compacting,
    &sim_scenario_compacting_disk,
    &sim_scenario_topics_anew,
    &sim_scenario_repacked,
    &sim_scenario_quotas,
    &sim_scenario_quotas_disk,
};

/* Seeds that found a bug once, with their scenario's place above and what holds since. */
struct regression {
    uint64_t seed;
    int scenario;
    const char *promise;
};

static const struct regression REGRESSIONS[] = {
    {10, 0, "a log directory made just before a power cut is still there"},
    {5, 0, "a consumer freed with a fetch on its way leaves no refresh behind"},
    {41, 1, "a failed write of an offsets partition does not lock its coordinator out"},
    {141, 1, "what a failed sync left in the page cache is written again before it counts"},
    {81, 1, "a log whose sync failed is whole after a restart and a power cut"},
    {375, 0, "a metadata append that fails inside the answer of another is canceled once"},
    {2126, 0, "what stands behind a hole that a power cut left is cut off"},
    {948, 2, "what stands behind a hole is cut off after a crash in recovery too"},
    {1015, 0, "what a torn write left is gone from the disk before new data is written"},
    {7736, 0, "no batch overtakes those of a connection that broke"},
    {121, 7, "one rotten bit is not taken for a write that was lost"},
    {25, 7, "a rotten header takes no directory out of service"},
    {557, 2, "a lost sector that held no more than a base offset is a torn write"},
    {119, 9, "the last five batches of a producer are known after a kill in spite of a roll"},
    {209, 9, "a rotten file of leader epochs is noticed after an unclean stop"},
    {16, 11, "a connection that broke before a stop costs no producer its sequence"},
    {60, 13, "a log whose directory is offline at the start is not made anew in another"},
    {2767, 13, "a first start that formats only the second directory is not the last"},
    {7799, 13, "a topic id that cannot be read at a start costs no record of the journal"},
    {118, 14, "a roll that found no memory leaves no empty segment behind"},
    {8, 14, "a coordinator that found no memory to load tries again"},
    {9783, 8, "what lies behind damage is durable before the journal goes"},
    {11569, 9, "an index entry that leads to no batch takes no directory out of service"},
    {11997, 12, "a power cut after writes that found no room leaves nothing that looks like rot"},
    {23819, 13, "a topic id that cannot be written does not make its log another topic's"},
    {42049, 2, "a crash in the midst of an operation comes before the room is healed"},
    {22, 17, "a log that is in two directories since its topic was made anew hinders no start"},
    {3, 17, "a directory that cannot even be made hinders no start but the first"},
    {8, 17, "after a failed sync that its own directory could not note all is written once more"},
};

/* What a seed's process reports. */
struct result {
    uint64_t hash, steps, faults;
    int64_t virtual_ms, lives;
    struct history_counts counts;
    char problem[HISTORY_PROBLEM_SIZE];
};

struct totals {
    int64_t seeds, failed, twice, virtual_ms, lives, acked, seen, commits, changes;
    uint64_t steps, faults;
};

struct args {
    uint64_t first, last;
    int scenario; /* -1: by seed */
    int jobs;
    bool verbose;
    bool one;
    const char *program;
};

struct job {
    pid_t pid; /* 0: idle */
    int fd;
    uint64_t seed;
};

/* A life that ends by a crash leaves what its parked requests held to a process that is gone; here
 * the process goes on, so the leak detector would report each of them. */
const char *__asan_default_options(void);
const char *
__asan_default_options(void)
{
    return "detect_leaks=0";
}

/* ---- one seed ---- */

static const struct sim_scenario *
scenario_of(const struct args *args, uint64_t seed)
{
    size_t index =
        args->scenario >= 0 ? (size_t)args->scenario : (size_t)(seed % COUNT_OF(SCENARIOS));
    return SCENARIOS[index];
}

static void
add_counts(struct history_counts *sum, const struct history_counts *one)
{
    sum->sent += one->sent;
    sum->acked_all += one->acked_all;
    sum->acked_one += one->acked_one;
    sum->seen += one->seen;
    sum->commits += one->commits;
    sum->changes += one->changes;
}

static void
run_seed(const struct args *args, uint64_t seed, struct result *out)
{
    const struct sim_scenario *scenario = scenario_of(args, seed);
    struct sim_cluster cluster;
    struct sim_cluster_opts opts = {.seed = seed,
        .brokers = scenario->brokers,
        .cleaning = scenario->cleaning,
        .busy = scenario->busy,
        .dirs = scenario->dirs,
        .anew = scenario->anew,
        .compacting = scenario->compacting,
        .repacked = scenario->repacked,
        .quotas = scenario->quotas,
        .level_min = args->verbose ? DIAG_DEBUG : DIAG_ERROR};
    memset(out, 0, sizeof *out);
    sim_cluster_init(&cluster, &opts);
    scenario->run(&cluster);
    sim_cluster_heal_and_audit(&cluster);
    snprintf(out->problem, sizeof out->problem, "%s", sim_cluster_problem(&cluster));
    out->hash = sim_trace_hash(cluster.sim);
    out->steps = sim_steps(cluster.sim);
    out->faults = sim_faults_injected(cluster.sim);
    out->virtual_ms = sim_now_ns(cluster.sim) / 1000000;
    for (int i = 0; i < cluster.count; i++) {
        struct history_counts counts;
        history_counts(workload_history(cluster.brokers[i].workload), &counts);
        add_counts(&out->counts, &counts);
        out->lives += cluster.brokers[i].lives;
    }
    sim_cluster_fini(&cluster);
}

static bool
runs_twice(uint64_t seed)
{
    return seed % TWICE == 0;
}

static void
run_and_compare(const struct args *args, uint64_t seed, struct result *out)
{
    struct result again;
    run_seed(args, seed, out);
    if (out->problem[0] != '\0' || (!runs_twice(seed) && !args->one))
        return;
    run_seed(args, seed, &again);
    if (again.hash != out->hash || again.steps != out->steps)
        snprintf(out->problem, sizeof out->problem,
            "two runs differ: %llu steps, trace %016llx; %llu steps, trace %016llx",
            (unsigned long long)out->steps, (unsigned long long)out->hash,
            (unsigned long long)again.steps, (unsigned long long)again.hash);
}

/* ---- processes ---- */

static bool
job_start(const struct args *args, uint64_t seed, struct job *job)
{
    int ends[2];
    if (pipe(ends) != 0)
        return false;
    fflush(NULL);
    pid_t pid = fork();
    if (pid < 0)
        return false;
    if (pid == 0) {
        struct result result;
        close(ends[0]);
        if (!args->verbose && !args->one && freopen("/dev/null", "w", stderr) == NULL)
            _exit(3);
        alarm(SECONDS_MAX);
        run_and_compare(args, seed, &result);
        ssize_t n = write(ends[1], &result, sizeof result);
        exit(n == (ssize_t)sizeof result ? 0 : 3);
    }
    close(ends[1]);
    *job = (struct job){pid, ends[0], seed};
    return true;
}

static void
report_failure(const struct args *args, uint64_t seed, const char *problem)
{
    printf(
        "# seed %llu (%s): %s\n", (unsigned long long)seed, scenario_of(args, seed)->name, problem);
    printf("# run again: %s --seed %llu", args->program, (unsigned long long)seed);
    if (args->scenario >= 0)
        printf(" --scenario %s", scenario_of(args, seed)->name);
    printf("\n");
}

static void
job_end(const struct args *args, struct job *job, struct totals *totals)
{
    struct result result;
    char problem[HISTORY_PROBLEM_SIZE] = "";
    int status = 0;
    ssize_t n = read(job->fd, &result, sizeof result);
    close(job->fd);
    waitpid(job->pid, &status, 0);
    job->pid = 0;
    totals->seeds++;
    if (n != (ssize_t)sizeof result)
        snprintf(problem, sizeof problem, "the process ended by %s %d",
            WIFSIGNALED(status) ? "signal" : "code",
            WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    else if (result.problem[0] != '\0')
        snprintf(problem, sizeof problem, "%s", result.problem);
    else if (status != 0)
        snprintf(problem, sizeof problem, "passed, then exit status %d", status);
    if (n == (ssize_t)sizeof result) {
        totals->twice += runs_twice(job->seed) || args->one;
        totals->virtual_ms += result.virtual_ms;
        totals->lives += result.lives;
        totals->steps += result.steps;
        totals->faults += result.faults;
        totals->acked += result.counts.acked_all + result.counts.acked_one;
        totals->seen += result.counts.seen;
        totals->commits += result.counts.commits;
        totals->changes += result.counts.changes;
    }
    if (problem[0] != '\0') {
        totals->failed++;
        report_failure(args, job->seed, problem);
    }
}

static size_t
index_of(const struct args *args, uint64_t seed)
{
    const struct sim_scenario *scenario = scenario_of(args, seed);
    for (size_t i = 0; i < COUNT_OF(SCENARIOS); i++)
        if (SCENARIOS[i] == scenario)
            return i;
    return 0;
}

static bool
run_all(const struct args *args, struct totals *totals)
{
    struct job jobs[JOBS_MAX] = {0};
    uint64_t next = args->first;
    int running = 0;
    while (next <= args->last || running > 0) {
        struct pollfd polls[JOBS_MAX];
        for (int i = 0; i < args->jobs; i++) {
            if (jobs[i].pid == 0 && next <= args->last) {
                if (!job_start(args, next++, &jobs[i]))
                    return false;
                running++;
            }
            polls[i] = (struct pollfd){.fd = jobs[i].pid != 0 ? jobs[i].fd : -1, .events = POLLIN};
        }
        if (poll(polls, (nfds_t)args->jobs, -1) < 0)
            return false;
        for (int i = 0; i < args->jobs; i++)
            if (polls[i].revents != 0) {
                job_end(args, &jobs[i], &totals[index_of(args, jobs[i].seed)]);
                running--;
            }
    }
    return true;
}

/* ---- the command ---- */

static bool
parse(int argc, char **argv, struct args *args)
{
    unsigned long long first, last;
    *args = (struct args){
        .first = SEED_FIRST, .last = SEED_LAST, .scenario = -1, .jobs = JOBS, .program = argv[0]};
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";
        if (strcmp(argv[i], "-v") == 0) {
            args->verbose = true;
            continue;
        }
        if (strcmp(argv[i], "--seeds") == 0 && sscanf(value, "%llu-%llu", &first, &last) == 2) {
            args->first = first;
            args->last = last;
        } else if (strcmp(argv[i], "--seed") == 0 && sscanf(value, "%llu", &first) == 1) {
            args->first = args->last = first;
            args->one = true;
        } else if (strcmp(argv[i], "--jobs") == 0 && sscanf(value, "%d", &args->jobs) == 1 &&
                   args->jobs > 0 && args->jobs <= JOBS_MAX) {
        } else if (strcmp(argv[i], "--scenario") == 0) {
            for (size_t s = 0; s < COUNT_OF(SCENARIOS); s++)
                if (strcmp(SCENARIOS[s]->name, value) == 0)
                    args->scenario = (int)s;
            if (args->scenario < 0)
                return false;
        } else
            return false;
        i++;
    }
    return true;
}

static bool
report_batches(const struct totals *totals, int *number)
{
    bool passed = true;
    for (size_t i = 0; i < COUNT_OF(SCENARIOS); i++) {
        const struct totals *t = &totals[i];
        if (t->seeds == 0)
            continue;
        printf("%sok %d - %s: %s (%lld seeds, %lld failed, %lld of them run twice; %lld lives, "
               "%llu faults, %llu steps, %lld virtual s; %lld records acknowledged, %lld read, "
               "%lld offsets committed, %lld changes of topics and quotas)\n",
            t->failed > 0 ? "not " : "", ++*number, SCENARIOS[i]->name, SCENARIOS[i]->promise,
            (long long)t->seeds, (long long)t->failed, (long long)t->twice, (long long)t->lives,
            (unsigned long long)t->faults, (unsigned long long)t->steps,
            (long long)(t->virtual_ms / 1000), (long long)t->acked, (long long)t->seen,
            (long long)t->commits, (long long)t->changes);
        passed = passed && t->failed == 0;
    }
    return passed;
}

static bool
run_regressions(const struct args *args, int *number)
{
    bool passed = true;
    for (size_t i = 0; i < COUNT_OF(REGRESSIONS); i++) {
        const struct regression *r = &REGRESSIONS[i];
        struct totals totals[COUNT_OF(SCENARIOS)] = {0};
        struct args one = *args;
        one.first = one.last = r->seed;
        one.scenario = r->scenario;
        bool ok = run_all(&one, totals) && totals[r->scenario].failed == 0;
        printf("%sok %d - %s (seed %llu)\n", ok ? "" : "not ", ++*number, r->promise,
            (unsigned long long)r->seed);
        passed = passed && ok;
    }
    return passed;
}

int
main(int argc, char **argv)
{
    struct args args;
    struct totals totals[COUNT_OF(SCENARIOS)] = {0};
    int number = 0;
    if (!parse(argc, argv, &args)) {
        fprintf(stderr,
            "usage: %s [--seeds FROM-TO | --seed N] [--scenario NAME] [--jobs N] [-v]\n", argv[0]);
        return 2;
    }
    if (!run_all(&args, totals)) {
        printf("not ok 1 - processes cannot be started\n");
        return 1;
    }
    bool passed = report_batches(totals, &number);
    if (argc == 1)
        passed = run_regressions(&args, &number) && passed;
    printf("1..%d\n", number);
    return passed ? 0 : 1;
}
