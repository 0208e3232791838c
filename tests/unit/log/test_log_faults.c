/* Every disk operation of a log fails once, in turn; whatever comes out, what was acknowledged
 * after a flush is there when the log is opened again. */
#include <stdio.h>
#include <string.h>

#include "log/log_priv.h"
#include "log_fixture.h"
#include "os/sim.h"

enum { ROOM_AGAIN_MS = 150 }; /* a log whose disk was full asks it again */

struct room {
    struct sim *sim;
    struct sim_host *host;
    struct log_fixture fx;
};

static void
room_init_seeded(struct room *r, uint64_t seed)
{
    struct sim_opts opts = {
        .seed = seed, .level_min = DIAG_LEVEL_COUNT, .wall_start_ms = 1700000000000};
    struct env *env;
    assert_int_equal(sim_new(&opts, &r->sim), ERR_OK);
    assert_int_equal(sim_host_new(r->sim, "h", "10.0.0.1", &r->host), ERR_OK);
    assert_int_equal(sim_host_boot(r->host, &env), ERR_OK);
    assert_int_equal(env_mkdir_all(env, "data"), ERR_OK);
    fixture_init_in(&r->fx, env, "data");
    r->fx.timestamp = 1699999000000;
    r->fx.config.segment_bytes = 3000;
    r->fx.config.index_interval_bytes = 500;
    fixture_open(&r->fx, true, 0, 0);
}

static void
room_init(struct room *r)
{
    room_init_seeded(r, 1);
}

static void
room_fini(struct room *r)
{
    struct env *env = r->fx.env;
    fixture_fini(&r->fx);
    env_free(&env);
    sim_free(&r->sim);
}

/* Appends, flushes, truncates, closes; the first error ends it. Gives what a flush covered. */
static enum err
life(struct room *r, int64_t *flushed)
{
    struct log_append_result result;
    struct fixture_batch batch = {.count = 2, .value_bytes = 200, .producer_id = 9};
    enum err err = ERR_OK;
    for (int i = 0; i < 12 && err == ERR_OK; i++) {
        batch.base_sequence = i * 2;
        err = fixture_append(&r->fx, &batch, &result);
        if (err == ERR_OK)
            assert_int_equal(result.reject, LOG_REJECT_NONE);
        if (err == ERR_OK && i % 3 == 2) {
            err = log_flush_now(r->fx.log);
            *flushed = err == ERR_OK ? log_end_offset(r->fx.log) : *flushed;
        }
    }
    return err;
}

static void
each_operation_failing_once_loses_nothing_flushed(void **state)
{
    static const struct {
        enum sim_op op;
        enum err err;
    } kinds[] = {{SIM_OP_WRITE, ERR_IO}, {SIM_OP_WRITE, ERR_NOSPACE}, {SIM_OP_SYNC, ERR_IO},
        {SIM_OP_OPEN, ERR_IO}, {SIM_OP_OPEN, ERR_NOSPACE}, {SIM_OP_OPEN, ERR_LIMIT},
        {SIM_OP_RENAME, ERR_IO}, {SIM_OP_READ, ERR_IO}, {SIM_OP_ANY, ERR_IO}};
    (void)state;
    for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++) {
        for (uint64_t nth = 1; nth < 60; nth++) {
            struct room r;
            int64_t flushed = 0;
            struct log_append_result result;
            struct fixture_batch batch = {.count = 1, .value_bytes = 10};
            room_init(&r);
            sim_host_fail_nth(r.host, kinds[k].op, nth, kinds[k].err);
            enum err err = life(&r, &flushed);
            if (log_state(r.fx.log) == LOG_FAILED) {
                assert_int_equal(fixture_append(&r.fx, &batch, &result), ERR_FAILED);
                assert_int_equal(log_flush_now(r.fx.log), ERR_FAILED);
            } else if (err == ERR_NOSPACE || err == ERR_LIMIT) {
                sim_run_ms(r.sim, ROOM_AGAIN_MS);
                assert_int_equal(fixture_append(&r.fx, &batch, &result), ERR_OK);
                fixture_check_all(&r.fx);
            }
            if (kinds[k].err == ERR_LIMIT) { /* once out of descriptors is no failure */
                assert_int_equal(log_flush_now(r.fx.log), ERR_OK);
                flushed = log_end_offset(r.fx.log);
            }
            sim_host_fail_nth(r.host, kinds[k].op, 1000000, ERR_IO);
            fixture_kill(&r.fx, flushed, flushed);
            assert_int_equal(log_state(r.fx.log), LOG_OPEN);
            assert_true(log_end_offset(r.fx.log) >= flushed);
            fixture_check_all(&r.fx);
            room_fini(&r);
            if (nth > 5 && err == ERR_OK && flushed == 24)
                break; /* beyond the last operation */
        }
    }
}

static void
a_full_disk_refuses_and_recovers_without_a_restart(void **state)
{
    struct room r;
    struct log_append_result result;
    struct fixture_batch batch = {.count = 1, .value_bytes = 800};
    enum err err = ERR_OK;
    (void)state;
    room_init(&r);
    struct sim_disk_faults full = {.capacity_bytes = 10000}, none = {0};
    sim_host_disk_faults(r.host, &full);
    for (int i = 0; i < 40 && err == ERR_OK; i++)
        err = fixture_append(&r.fx, &batch, &result);
    assert_int_equal(err, ERR_NOSPACE);
    assert_int_equal(log_state(r.fx.log), LOG_OPEN);
    int64_t end = log_end_offset(r.fx.log);
    assert_true(end > 3);
    fixture_check_all(&r.fx);
    /* Who goes on asking costs the disk nothing. */
    uint64_t before = sim_faults_injected(r.sim), steps = sim_steps(r.sim);
    for (int i = 0; i < 100; i++)
        assert_int_equal(fixture_append(&r.fx, &batch, &result), ERR_NOSPACE);
    assert_int_equal(sim_faults_injected(r.sim), before);
    assert_int_equal(sim_steps(r.sim), steps);
    assert_int_equal(log_active(r.fx.log)->reserved_bytes, 0);
    sim_host_disk_faults(r.host, &none);
    sim_run_ms(r.sim, ROOM_AGAIN_MS);
    assert_int_equal(fixture_add(&r.fx, 1, 800), end);
    fixture_reopen(&r.fx);
    fixture_check_all(&r.fx);
    room_fini(&r);
}

/* They are written beside their file: nothing is in doubt, and no directory goes out of service. */
static void
epochs_that_find_no_room_wait_for_it(void **state)
{
    struct room r;
    int refused = 0;
    (void)state;
    for (uint64_t nth = 1; nth < 4; nth++) {
        room_init(&r);
        fixture_add(&r.fx, 1, 100);
        assert_int_equal(log_flush_now(r.fx.log), ERR_OK);
        r.fx.epoch++;
        int64_t offset = fixture_add(&r.fx, 1, 100);
        sim_host_fail_nth(r.host, SIM_OP_WRITE, nth, ERR_NOSPACE);
        enum err err = log_flush_now(r.fx.log);
        refused += err != ERR_OK;
        assert_true(err == ERR_OK || err == ERR_LIMIT);
        assert_int_equal(log_state(r.fx.log), LOG_OPEN);
        assert_int_equal(log_recovery_point(r.fx.log), err == ERR_OK ? offset + 1 : offset);
        assert_int_equal(log_flush_now(r.fx.log), ERR_OK);
        assert_int_equal(log_recovery_point(r.fx.log), offset + 1);
        fixture_kill(&r.fx, offset + 1, offset + 1);
        assert_int_equal(log_epoch_for_offset(r.fx.log, offset), r.fx.epoch);
        room_fini(&r);
    }
    assert_true(refused > 0);
}

/* Else pieces of a write that found no room shine through those of the next that found some. */
static void
a_power_cut_after_a_full_disk_leaves_no_damage(void **state)
{
    enum { SEEDS = 300, VALUE_BYTES = 1500, PLENTY = 1 << 20 };
    int refused = 0;
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct room r;
        struct log_append_result result;
        struct fixture_batch batch = {.count = 1, .value_bytes = VALUE_BYTES};
        struct sim_disk_faults full = {.capacity_bytes = PLENTY}, none = {0};
        int64_t total, usable;
        room_init_seeded(&r, seed);
        fixture_add(&r.fx, 1, 300);
        assert_int_equal(log_flush_now(r.fx.log), ERR_OK);
        int64_t flushed = log_end_offset(r.fx.log);
        sim_host_disk_faults(r.host, &full);
        assert_int_equal(env_disk_space(r.fx.env, "data", &total, &usable), ERR_OK);
        full.capacity_bytes = total - usable + VALUE_BYTES;
        sim_host_disk_faults(r.host, &full);
        refused += fixture_append(&r.fx, &batch, &result) == ERR_NOSPACE;
        sim_host_disk_faults(r.host, &none);
        sim_run_ms(r.sim, ROOM_AGAIN_MS);
        assert_int_equal(fixture_append(&r.fx, &batch, &result), ERR_OK);
        log_abandon(&r.fx.log);
        struct env *env = r.fx.env;
        sim_host_crash(r.host, SIM_CRASH_POWER);
        env_free(&env);
        assert_int_equal(sim_host_boot(r.host, &r.fx.env), ERR_OK);
        fixture_open(&r.fx, false, 0, 0);
        assert_int_equal(log_state(r.fx.log), LOG_OPEN);
        assert_true(log_end_offset(r.fx.log) >= flushed);
        room_fini(&r);
    }
    assert_true(refused > SEEDS / 2);
}

/* The journal's entries go by the topic id: a log without its own would take none of them. */
static void
a_topic_id_that_cannot_be_read_opens_no_log(void **state)
{
    const struct uuid id = {{1, 2, 3}};
    int refused = 0;
    (void)state;
    for (uint64_t nth = 1; nth < 12; nth++) {
        struct room r;
        struct log *log = NULL;
        room_init(&r);
        assert_int_equal(log_set_topic_id(r.fx.log, id), ERR_OK);
        fixture_add(&r.fx, 1, 10);
        assert_int_equal(log_close(&r.fx.log), ERR_OK);
        sim_host_fail_nth(r.host, SIM_OP_READ, nth, ERR_IO);
        struct log_open_opts opts = {
            .env = r.fx.env, .parent_dir = "data", .topic = STR("t"), .config = &r.fx.config};
        enum err err = log_open(&opts, &log);
        refused += err != ERR_OK;
        if (err == ERR_OK) {
            assert_true(uuid_eq(log_topic_id(log), id));
            log_abandon(&log);
        }
        room_fini(&r);
    }
    assert_in_range(refused, 1, 10);
}

/* The journal may be all that the disk had of it, and ends with the start that found the damage. */
static void
what_lies_behind_damage_is_durable_once_a_start_hid_it(void **state)
{
    enum { SEGMENTS_MAX = 16 };
    int64_t bases[SEGMENTS_MAX], sizes[SEGMENTS_MAX];
    int32_t count;
    struct room r;
    struct env *env;
    static const char first[] = "00000000000000000000.log";
    char name[64];
    (void)state;
    room_init(&r);
    for (int i = 0; i < 12; i++)
        fixture_add(&r.fx, 2, 400);
    count = r.fx.log->segment_count;
    assert_true(count > 2 && count <= SEGMENTS_MAX);
    for (int32_t i = 0; i < count; i++) {
        bases[i] = r.fx.log->segments[i]->base_offset;
        sizes[i] = r.fx.log->segments[i]->size_bytes;
    }
    uint8_t byte = fixture_peek(&r.fx, first, sizes[0] - 100), bad = byte ^ 8;
    fixture_poke(&r.fx, first, sizes[0] - 100, &bad, 1);
    fixture_kill(&r.fx, 0, 0);
    assert_int_equal(log_state(r.fx.log), LOG_CORRUPT);
    log_abandon(&r.fx.log);
    env = r.fx.env;
    sim_host_crash(r.host, SIM_CRASH_POWER);
    env_free(&env);
    assert_int_equal(sim_host_boot(r.host, &r.fx.env), ERR_OK);
    for (int32_t i = 0; i < count; i++) {
        snprintf(name, sizeof name, "%020lld.log", (long long)bases[i]);
        assert_int_equal(fixture_file_size(&r.fx, name), sizes[i]);
    }
    fixture_poke(&r.fx, first, sizes[0] - 100, &byte, 1);
    fixture_open(&r.fx, false, 0, 0); /* put right again */
    assert_int_equal(log_state(r.fx.log), LOG_OPEN);
    assert_int_equal(log_end_offset(r.fx.log), 24);
    room_fini(&r);
}

TEST_MAIN(cmocka_unit_test(epochs_that_find_no_room_wait_for_it),
    cmocka_unit_test(each_operation_failing_once_loses_nothing_flushed),
    cmocka_unit_test(a_topic_id_that_cannot_be_read_opens_no_log),
    cmocka_unit_test(what_lies_behind_damage_is_durable_once_a_start_hid_it),
    cmocka_unit_test(a_power_cut_after_a_full_disk_leaves_no_damage),
    cmocka_unit_test(a_full_disk_refuses_and_recovers_without_a_restart))
