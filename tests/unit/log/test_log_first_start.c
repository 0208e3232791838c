/* The first start in a new directory, with the power cut at each of its operations: whatever is
 * left, the next start takes it, and what was promised is there. On the simulated disk. */
#include "log/log_manager.h"
#include "log_fixture.h"
#include "os/sim.h"

enum { SEEDS = 12, OPERATIONS_MAX = 120, RECORDS = 3 };

static const char VOTE[] = "/base/data/__cluster_metadata-0/quorum-state";
static const char MARK[] = "/base/data/moldau-in-use";

struct room {
    struct sim *sim;
    struct sim_host *host;
    struct env *env;
    struct log_manager *mgr;
    bool voted, flushed; /* promised */
};

/* As a node opens its logs. */
static enum err
open_logs(struct room *r, const char *cluster, struct log **log)
{
    static const char *const dirs[] = {"/base/data"};
    struct log_manager_opts opts = {.env = r->env,
        .dirs = dirs,
        .dir_count = 1,
        .node_id = 1,
        .cluster_id = str_of(cluster),
        .format = true,
        .first_made = true,
        .metadata_next = true};
    struct env_stat st;
    log_config_default(&opts.config);
    if (env_stat(r->env, "/base/data/meta.properties", &st) == ERR_OK)
        opts.cluster_id = STR_NULL;
    enum err err = env_mkdir_all(r->env, dirs[0]);
    if (err == ERR_OK)
        err = log_manager_open(&opts, &r->mgr);
    return err == ERR_OK ? log_manager_metadata_log(r->mgr, NULL, log) : err;
}

/* Notes each promise when it is made. */
static void
first_start(struct room *r)
{
    struct log *log;
    struct log_fixture lf;
    if (open_logs(r, "first", &log) != ERR_OK)
        return;
    if (env_write_file_atomic(r->env, VOTE, (struct bytes){(const uint8_t *)"1", 1}) != ERR_OK)
        return;
    r->voted = true;
    fixture_init_in(&lf, r->env, "/base/data");
    lf.log = log;
    lf.epoch = 1;
    struct fixture_batch batch = {.count = RECORDS, .value_bytes = 100};
    struct log_append_result result;
    if (fixture_append(&lf, &batch, &result) == ERR_OK && log_flush_now(log) == ERR_OK)
        r->flushed = true;
    lf.log = NULL;
    fixture_fini(&lf);
}

static void
check_promises(struct room *r)
{
    struct env_stat st;
    struct log *log;
    if (r->voted) { /* before a start makes anything anew */
        assert_int_equal(env_stat(r->env, VOTE, &st), ERR_OK);
        assert_int_equal(env_stat(r->env, MARK, &st), ERR_OK);
    }
    assert_int_equal(open_logs(r, "second", &log), ERR_OK);
    assert_int_equal(log_state(log), LOG_OPEN);
    if (r->voted)
        assert_true(str_eq_z(log_manager_cluster_id(r->mgr), "first"));
    if (r->flushed) {
        assert_int_equal(log_end_offset(log), RECORDS);
        assert_int_equal(log_latest_epoch(log), 1);
    }
}

/* True when the start was over before the cut. */
static bool
cut_at(uint64_t seed, uint64_t operation)
{
    struct room r = {0};
    struct sim_opts opts = {
        .seed = seed, .level_min = DIAG_ERROR + 1, .wall_start_ms = 1700000000000};
    assert_int_equal(sim_new(&opts, &r.sim), ERR_OK);
    assert_int_equal(sim_host_new(r.sim, "h", "10.0.0.1", &r.host), ERR_OK);
    assert_int_equal(sim_host_boot(r.host, &r.env), ERR_OK);
    sim_host_crash_at(r.host, SIM_CRASH_POWER, operation);
    first_start(&r);
    bool over = !sim_host_is_down(r.host);
    assert_true(!over || r.flushed);
    sim_host_crash(r.host, SIM_CRASH_POWER);
    log_manager_abandon(&r.mgr);
    env_free(&r.env);
    assert_int_equal(sim_host_boot(r.host, &r.env), ERR_OK);
    check_promises(&r);
    log_manager_abandon(&r.mgr);
    sim_host_crash(r.host, SIM_CRASH_KILL);
    env_free(&r.env);
    sim_free(&r.sim);
    return over;
}

static void
a_first_start_keeps_what_it_promised_wherever_the_power_is_cut(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        uint64_t operation = 1;
        while (!cut_at(seed, operation))
            operation++;
        assert_in_range(operation, 20, OPERATIONS_MAX); /* it was cut in the midst of it */
    }
}

TEST_MAIN(cmocka_unit_test(a_first_start_keeps_what_it_promised_wherever_the_power_is_cut))
