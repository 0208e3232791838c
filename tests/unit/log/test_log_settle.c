/* Many logs made durable at once, at a stop and after a kill, on the simulated disk: with volumes
 * that can be synced as a whole and without. */
#include <stdio.h>

#include "base/attr.h"
#include "log/log_manager.h"
#include "log_fixture.h"
#include "os/sim.h"
#include "os/sim_priv.h"

enum { LOGS = 12, BATCHES = 3, SEEDS = 24 };

struct room {
    struct sim *sim;
    struct sim_host *host;
    struct env *env;
    struct log_manager *mgr;
    int failures;
};

static void
dir_failed(void *ctx, const char *dir, struct uuid id, enum err err)
{
    struct room *r = ctx;
    (void)dir;
    (void)id;
    (void)err;
    r->failures++;
}

static enum err
open_manager(struct room *r)
{
    static const char *const dirs[] = {"/data"};
    struct log_manager_opts opts = {.env = r->env,
        .dirs = dirs,
        .dir_count = 1,
        .node_id = 1,
        .cluster_id = STR("c"),
        .format = true,
        .ctx = r,
        .dir_failed = dir_failed};
    log_config_default(&opts.config);
    return log_manager_open(&opts, &r->mgr);
}

/* Logs with records of three leader epochs; nothing is synced. */
static void
room_init(struct room *r, uint64_t seed, bool volumes)
{
    struct sim_opts opts = {
        .seed = seed, .level_min = DIAG_ERROR + 1, .wall_start_ms = 1700000000000};
    *r = (struct room){0};
    assert_int_equal(sim_new(&opts, &r->sim), ERR_OK);
    assert_int_equal(sim_host_new(r->sim, "h", "10.0.0.1", &r->host), ERR_OK);
    r->host->can_sync_volumes = volumes;
    assert_int_equal(sim_host_boot(r->host, &r->env), ERR_OK);
    assert_int_equal(open_manager(r), ERR_OK);
    for (int32_t p = 0; p < LOGS; p++) {
        struct log_fixture lf;
        struct uuid id = {{7}};
        fixture_init_in(&lf, r->env, "/data");
        assert_int_equal(
            log_manager_create(r->mgr, STR("t"), p, id, NULL, UUID_ZERO, &lf.log), ERR_OK);
        for (lf.epoch = 0; lf.epoch < BATCHES; lf.epoch++)
            fixture_add(&lf, 1, 300);
        lf.log = NULL;
        fixture_fini(&lf);
    }
}

static void
room_fini(struct room *r)
{
    log_manager_abandon(&r->mgr);
    sim_host_crash(r->host, SIM_CRASH_KILL);
    env_free(&r->env);
    sim_free(&r->sim);
}

/* The next life. */
static void
crash(struct room *r, enum sim_crash kind)
{
    sim_host_crash(r->host, kind);
    log_manager_abandon(&r->mgr);
    env_free(&r->env);
    assert_int_equal(sim_host_boot(r->host, &r->env), ERR_OK);
}

static void
check_whole(struct room *r)
{
    for (int32_t p = 0; p < LOGS; p++) {
        struct log *log = log_manager_find(r->mgr, STR("t"), p);
        assert_non_null(log);
        assert_int_equal(log_state(log), LOG_OPEN);
        assert_int_equal(log_end_offset(log), BATCHES);
        assert_int_equal(log_recovery_point(log), BATCHES);
        assert_int_equal(log_latest_epoch(log), BATCHES - 1);
        for (int64_t offset = 0; offset < BATCHES; offset++)
            assert_int_equal(log_epoch_for_offset(log, offset), offset);
    }
}

static bool
exists(struct room *r, const char *path)
{
    struct env_stat st;
    return env_stat(r->env, path, &st) == ERR_OK;
}

static void
what_was_closed_survives_a_power_cut(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct room r;
        struct log_manager_counters counters;
        room_init(&r, seed, seed % 2 == 0);
        log_manager_close(&r.mgr, 5);
        crash(&r, SIM_CRASH_POWER);
        assert_int_equal(open_manager(&r), ERR_OK);
        assert_int_equal(log_manager_previous_broker_epoch(r.mgr), 5);
        log_manager_counters(r.mgr, &counters);
        assert_int_equal(counters.logs_recovered, 0);
        check_whole(&r);
        for (int32_t p = 0; p < LOGS; p++)
            assert_int_equal(log_topic_id(log_manager_find(r.mgr, STR("t"), p)).b[0], 7);
        room_fini(&r);
    }
}

static void
what_recovery_serves_survives_a_power_cut(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct room r;
        room_init(&r, seed, seed % 2 == 0);
        crash(&r, SIM_CRASH_KILL);
        assert_int_equal(open_manager(&r), ERR_OK);
        check_whole(&r); /* from here on it may be read */
        crash(&r, SIM_CRASH_POWER);
        assert_int_equal(open_manager(&r), ERR_OK);
        check_whole(&r);
        room_fini(&r);
    }
}

/* At any moment of a stop or of a start after a kill; what was durable before stays. */
static void
a_crash_in_the_middle_loses_nothing_that_was_durable(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 4 * SEEDS; seed++) {
        struct room r;
        bool stop = seed % 4 < 2;
        room_init(&r, seed, seed % 2 == 0);
        for (int32_t p = 0; p < LOGS; p++)
            assert_int_equal(log_flush_now(log_manager_find(r.mgr, STR("t"), p)), ERR_OK);
        log_manager_checkpoint(r.mgr);
        if (!stop)
            crash(&r, SIM_CRASH_KILL);
        sim_host_crash_at(r.host, SIM_CRASH_POWER, seed * 7 % 150 + 1);
        if (stop)
            log_manager_close(&r.mgr, 5);
        else if (open_manager(&r) == ERR_OK && !sim_host_is_down(r.host))
            check_whole(&r);
        crash(&r, SIM_CRASH_POWER);
        assert_int_equal(open_manager(&r), ERR_OK);
        check_whole(&r);
        room_fini(&r);
    }
}

static void
a_stop_that_cannot_sync_is_not_clean(void **state)
{
    struct room r;
    (void)state;
    room_init(&r, 3, true);
    sim_host_fail_nth(r.host, SIM_OP_SYNC, 1, ERR_IO);
    log_manager_close(&r.mgr, 5);
    assert_int_equal(r.failures, 1); /* of the directory */
    assert_false(exists(&r, "/data/.kafka_cleanshutdown"));
    assert_true(exists(&r, "/data/moldau-in-use"));
    for (int32_t p = 0; p < LOGS; p++) {
        char path[64];
        snprintf(path, sizeof path, "/data/t-%d/moldau-unsynced", p);
        assert_true(exists(&r, path));
    }
    /* The pages that the system takes for clean are written again. */
    assert_int_equal(open_manager(&r), ERR_OK);
    check_whole(&r);
    assert_false(exists(&r, "/data/t-0/moldau-unsynced"));
    crash(&r, SIM_CRASH_POWER);
    assert_int_equal(open_manager(&r), ERR_OK);
    check_whole(&r);
    room_fini(&r);
}

static void
a_start_that_cannot_sync_serves_nothing_of_the_directory(void **state)
{
    (void)state;
    for (uint64_t nth = 1; nth <= 2; nth++) { /* the data's and the names' sync */
        struct room r;
        room_init(&r, 4, true);
        crash(&r, SIM_CRASH_KILL);
        /* Making the directory's own name durable comes first. */
        sim_host_fail_nth(r.host, SIM_OP_SYNC, nth + 1, ERR_IO);
        assert_int_equal(open_manager(&r), ERR_OK);
        assert_true(r.failures > 0);
        for (int32_t p = 0; p < LOGS; p++)
            assert_int_equal(log_state(log_manager_find(r.mgr, STR("t"), p)), LOG_FAILED);
        log_manager_abandon(&r.mgr);
        assert_int_equal(open_manager(&r), ERR_OK);
        check_whole(&r);
        crash(&r, SIM_CRASH_POWER);
        assert_int_equal(open_manager(&r), ERR_OK);
        check_whole(&r);
        room_fini(&r);
    }
}

/* Epochs without records are no reason to write a file in every log. */
static void
an_idle_log_is_closed_without_a_sync(void **state)
{
    struct room r;
    (void)state;
    room_init(&r, 5, true);
    log_manager_close(&r.mgr, 5);
    assert_int_equal(open_manager(&r), ERR_OK);
    for (int32_t p = 0; p < LOGS; p++) {
        struct log *log = log_manager_find(r.mgr, STR("t"), p);
        assert_int_equal(log_epoch_assign(log, 9, log_end_offset(log)), ERR_OK);
    }
    sim_host_fail_nth(r.host, SIM_OP_RENAME, 8, ERR_IO); /* checkpoints and markers take seven */
    log_manager_close(&r.mgr, 6);
    sim_host_fail_nth(r.host, SIM_OP_RENAME, 0, ERR_IO);
    assert_true(exists(&r, "/data/.kafka_cleanshutdown"));
    assert_int_equal(open_manager(&r), ERR_OK);
    check_whole(&r);
    room_fini(&r);
}

static const char *const FILES[] = {"00000000000000000000.log", "00000000000000000000.index",
    "00000000000000000000.timeindex", "00000000000000000003.snapshot", "leader-epoch-checkpoint",
    "partition.metadata"};

static void
note_times(struct room *r, int64_t times[LOGS][COUNT_OF(FILES)])
{
    for (int32_t p = 0; p < LOGS; p++)
        for (size_t i = 0; i < COUNT_OF(FILES); i++) {
            char path[80];
            struct env_stat st;
            snprintf(path, sizeof path, "/data/t-%d/%s", (int)p, FILES[i]);
            assert_int_equal(env_stat(r->env, path, &st), ERR_OK);
            times[p][i] = st.mtime_ms;
        }
}

/* What recovery makes again it finds in the files: neither it nor the stop after it writes. */
static void
logs_without_news_are_written_neither_after_a_kill_nor_at_the_stop(void **state)
{
    int64_t before[LOGS][COUNT_OF(FILES)], after[LOGS][COUNT_OF(FILES)];
    (void)state;
    for (uint64_t seed = 1; seed <= 6; seed++) {
        struct room r;
        struct log_manager_counters counters;
        room_init(&r, seed, true);
        log_manager_close(&r.mgr, 5);
        note_times(&r, before);
        assert_int_equal(open_manager(&r), ERR_OK);
        for (int round = 0; round < 2; round++) {
            crash(&r, SIM_CRASH_KILL);
            sim_run_ms(r.sim, 5000);
            assert_int_equal(open_manager(&r), ERR_OK);
            log_manager_counters(r.mgr, &counters);
            assert_int_equal(counters.logs_recovered, LOGS);
            for (int32_t p = 0; p < LOGS; p++) /* as a new leader does */
                assert_int_equal(log_epoch_assign(log_manager_find(r.mgr, STR("t"), p),
                                     BATCHES + round, BATCHES),
                    ERR_OK);
        }
        log_manager_close(&r.mgr, 5);
        note_times(&r, after);
        assert_memory_equal(before, after, sizeof before);
        crash(&r, SIM_CRASH_POWER);
        assert_int_equal(open_manager(&r), ERR_OK);
        check_whole(&r);
        room_fini(&r);
    }
}

TEST_MAIN(cmocka_unit_test(logs_without_news_are_written_neither_after_a_kill_nor_at_the_stop),
    cmocka_unit_test(what_was_closed_survives_a_power_cut),
    cmocka_unit_test(what_recovery_serves_survives_a_power_cut),
    cmocka_unit_test(a_crash_in_the_middle_loses_nothing_that_was_durable),
    cmocka_unit_test(a_stop_that_cannot_sync_is_not_clean),
    cmocka_unit_test(a_start_that_cannot_sync_serves_nothing_of_the_directory),
    cmocka_unit_test(an_idle_log_is_closed_without_a_sync))
