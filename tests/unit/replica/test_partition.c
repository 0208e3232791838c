#include "tests/lib/test.h"

#include <stdio.h>

#include "base/alloc.h"
#include "base/attr.h"
#include "base/limits.h"
#include "os/loop.h"
#include "os/sim.h"
#include "replica/partition_priv.h"
#include "wire/batch_builder.h"

enum { NODE = 1 };

struct fixture {
    struct sim *sim;
    struct sim_host *host;
    struct env *env;
    struct pool *pool;
    struct log *log;
    struct replica_shared shared;
    struct replica_partition *part;
    struct arena arena;
    int failures_told;
};

static void
told_of_failure(void *ctx, struct replica_partition *part, enum err err)
{
    struct fixture *f = ctx;

    (void)part;
    (void)err;
    f->failures_told++;
}

static void
open_partition(struct fixture *f, bool ack_flush)
{
    struct log_config config;
    struct log_open_opts log_opts = {
        .env = f->env, .parent_dir = "data", .topic = STR("t"), .config = &config};
    struct replica_partition_opts opts = {.shared = &f->shared, .topic = STR("t")};

    log_config_default(&config);
    assert_int_equal(log_open(&log_opts, &f->log), ERR_OK);
    assert_int_equal(pool_new(f->env, "io", 2, &f->pool), ERR_OK);
    f->shared.env = f->env;
    f->shared.node_id = NODE;
    replica_flush_service_init(&f->shared.flush, f->pool, ack_flush);
    f->shared.failed = told_of_failure;
    f->shared.ctx = f;
    replica_validators_init(&f->shared.validators);
    opts.log = f->log;
    assert_int_equal(replica_partition_new(&opts, &f->part), ERR_OK);
}

static void
lead(struct fixture *f, int32_t epoch)
{
    const struct replica_partition_role role = {
        .leader_id = NODE, .leader_epoch = epoch, .isr_count = 1, .isr_min = 1};

    assert_int_equal(replica_partition_set_role(f->part, &role), REPLICA_ROLE_LED);
}

static void
fixture_open(struct fixture *f, bool ack_flush)
{
    const struct sim_opts opts = {
        .seed = test_seed(11), .level_min = DIAG_ERROR + 1, .wall_start_ms = 1700000000000};

    memset(f, 0, sizeof *f);
    assert_int_equal(sim_new(&opts, &f->sim), ERR_OK);
    assert_int_equal(sim_host_new(f->sim, "h", "10.0.0.1", &f->host), ERR_OK);
    assert_int_equal(sim_host_boot(f->host, &f->env), ERR_OK);
    assert_int_equal(env_mkdir_all(f->env, "data"), ERR_OK);
    assert_int_equal(env_sync_dir(f->env, "."), ERR_OK);
    arena_init(&f->arena, 1 << 22);
    open_partition(f, ack_flush);
    lead(f, 3);
}

static void
close_partition(struct fixture *f)
{
    sim_run_ms(f->sim, 10000);
    replica_partition_take_down(f->part, REPLICA_WAKE_RESIGNED);
    replica_partition_unref(&f->part);
    pool_free(&f->pool);
    replica_validators_fini(&f->shared.validators);
    replica_flush_service_fini(&f->shared.flush);
    log_abandon(&f->log);
}

static void
fixture_close(struct fixture *f)
{
    close_partition(f);
    arena_fini(&f->arena);
    env_free(&f->env);
    sim_free(&f->sim);
}

/* Of `count` small records. */
static struct buf
one_batch(struct fixture *f, int count, const struct batch_builder_opts *opts)
{
    struct batch_builder builder;
    struct buf buf;

    buf_init(&buf, 1 << 20);
    batch_builder_init(&builder, opts, &buf);
    for (int i = 0; i < count; i++) {
        struct batch_builder_record record = {
            .timestamp = env_wall_ms(f->env) + i, .value = {(const uint8_t *)"value", 5}};
        batch_builder_append(&builder, &record);
    }
    assert_int_equal(batch_builder_finish(&builder), ERR_OK);
    return buf;
}

static enum proto_error
append_batch(struct fixture *f, int count, int16_t acks, const struct batch_builder_opts *opts,
    struct replica_append *append)
{
    struct buf buf = one_batch(f, count, opts);
    enum proto_error error;

    *append = (struct replica_append){
        .batches = buf.data,
        .len = buf.len,
        .acks = acks,
        .leader_epoch = -1,
        .arena = &f->arena,
    };
    error = replica_partition_append(f->part, append);
    buf_fini(&buf);
    return error;
}

/* One batch of `count` small records. */
static enum proto_error
append_records(struct fixture *f, int count, int16_t acks, struct replica_append *append)
{
    struct batch_builder_opts opts = BATCH_BUILDER_OPTS_DEFAULT;

    return append_batch(f, count, acks, &opts, append);
}

static void
append_ok(struct fixture *f, int count)
{
    struct replica_append append;

    assert_int_equal(append_records(f, count, -1, &append), PROTO_ERROR_NONE);
    assert_int_equal(append.last_offset - append.base_offset, count - 1);
}

static struct replica_partition_state
state_of(struct fixture *f)
{
    struct replica_partition_state state;

    replica_partition_get_state(f->part, &state);
    return state;
}

/* ---- waiters that note what happened ---- */

struct noted {
    struct replica_waiter waiter;
    struct fixture *f;
    int calls;
    enum replica_wake why;
    int64_t hw_then;
    int64_t flushed_then;
};

static void
note(struct replica_waiter *waiter, enum replica_wake why)
{
    struct noted *noted = CONTAINER_OF(waiter, struct noted, waiter);

    noted->calls++;
    noted->why = why;
    noted->hw_then = state_of(noted->f).high_watermark; /* the lock is free in here */
    noted->flushed_then = noted->f->part->flushed_offset;
}

static bool
wait_for(struct fixture *f, struct noted *noted, enum replica_watermark watermark, int64_t offset)
{
    enum replica_wake why = REPLICA_WAKE_REACHED;

    *noted = (struct noted){.f = f};
    replica_waiter_init(&noted->waiter, watermark, offset, note);
    if (replica_partition_wait(f->part, -1, &noted->waiter, &why))
        return true;
    noted->why = why;
    return false;
}

/* ---- durability ---- */

static void
high_watermark_waits_for_the_flush(void **state)
{
    struct fixture f;
    struct noted noted;

    (void)state;
    fixture_open(&f, true);
    append_ok(&f, 3);
    assert_int_equal(state_of(&f).log_end_offset, 3);
    assert_int_equal(state_of(&f).high_watermark, 0);
    assert_true(wait_for(&f, &noted, REPLICA_WATERMARK_HW, 3));
    sim_run_ms(f.sim, 5000);
    assert_int_equal(noted.calls, 1);
    assert_int_equal(noted.why, REPLICA_WAKE_REACHED);
    assert_int_equal(noted.hw_then, 3);
    assert_true(noted.flushed_then >= 3);
    assert_int_equal(f.shared.flush.flushes, 1);
    fixture_close(&f);
}

static void
without_ack_flush_the_high_watermark_is_the_end_at_once(void **state)
{
    struct fixture f;
    struct noted noted;

    (void)state;
    fixture_open(&f, false);
    assert_true(wait_for(&f, &noted, REPLICA_WATERMARK_HW, 2));
    append_ok(&f, 2);
    assert_int_equal(noted.calls, 1);
    assert_int_equal(state_of(&f).high_watermark, 2);
    sim_run_ms(f.sim, 1000);
    assert_int_equal(f.shared.flush.flushes, 0);
    fixture_close(&f);
}

static void
one_flush_serves_every_append_before_it(void **state)
{
    struct fixture f;
    struct noted noted[10];

    (void)state;
    fixture_open(&f, true);
    for (int i = 0; i < 10; i++) {
        append_ok(&f, 1);
        assert_true(wait_for(&f, &noted[i], REPLICA_WATERMARK_HW, i + 1));
    }
    sim_run_ms(f.sim, 5000);
    for (int i = 0; i < 10; i++)
        assert_int_equal(noted[i].calls, 1);
    assert_true(f.shared.flush.flushes <= 2);
    assert_int_equal(f.part->flush_state, REPLICA_FLUSH_CLEAN);
    fixture_close(&f);
}

static void
appends_that_nobody_waits_for_share_rare_flushes(void **state)
{
    struct fixture f;
    struct replica_append append;

    (void)state;
    fixture_open(&f, true);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(append_records(&f, 1, 1, &append), PROTO_ERROR_NONE);
        sim_run_ms(f.sim, 1);
    }
    assert_true(f.shared.flush.flushes <= 1 + 100 / REPLICA_FLUSH_LAZY_MS);
    assert_true(f.shared.flush.flushes >= 2);
    fixture_close(&f);
}

static void
whoever_looks_or_waits_has_it_flushed(void **state)
{
    struct fixture f;
    struct noted noted;
    struct replica_append append;
    struct replica_list_offset list = {
        .timestamp = REPLICA_TIME_LATEST, .leader_epoch = -1, .bound = REPLICA_BOUND_HW};

    (void)state;
    fixture_open(&f, true);
    append_ok(&f, 1);
    while (f.part->flush_state != REPLICA_FLUSH_CLEAN)
        assert_true(sim_step(f.sim, INT64_MAX));
    assert_int_equal(append_records(&f, 1, 1, &append), PROTO_ERROR_NONE); /* at rest now */
    assert_int_equal(f.part->flush_state, REPLICA_FLUSH_CLEAN);
    assert_true(wait_for(&f, &noted, REPLICA_WATERMARK_HW, 2));
    sim_run_ms(f.sim, 10);
    assert_int_equal(noted.calls, 1);
    assert_int_equal(append_records(&f, 1, 1, &append), PROTO_ERROR_NONE);
    assert_int_equal(replica_partition_list_offset(f.part, &list), PROTO_ERROR_NONE);
    assert_int_equal(list.offset, 2);
    sim_run_ms(f.sim, 10);
    assert_int_equal(replica_partition_list_offset(f.part, &list), PROTO_ERROR_NONE);
    assert_int_equal(list.offset, 3);
    assert_true(wait_for(&f, &noted, REPLICA_WATERMARK_HW, 4));
    assert_int_equal(append_records(&f, 1, 1, &append), PROTO_ERROR_NONE);
    sim_run_ms(f.sim, 10);
    assert_int_equal(noted.calls, 1);
    fixture_close(&f);
}

static void
high_watermark_is_never_beyond_what_is_flushed(void **state)
{
    struct fixture f;
    const struct sim_disk_faults faults = {.delay_ppm = 500000};
    int64_t last = 0;

    (void)state;
    fixture_open(&f, true);
    sim_host_disk_faults(f.host, &faults);
    for (int i = 0; i < 200; i++) {
        struct replica_partition_state now;
        append_ok(&f, 1 + i % 3);
        for (int k = 0; k < i % 5; k++)
            sim_step(f.sim, INT64_MAX);
        now = state_of(&f);
        assert_true(now.high_watermark <= log_recovery_point(f.log));
        assert_true(now.high_watermark >= last);
        last = now.high_watermark;
    }
    sim_run_ms(f.sim, 60000);
    assert_int_equal(state_of(&f).high_watermark, state_of(&f).log_end_offset);
    fixture_close(&f);
}

static void
what_was_below_the_high_watermark_survives_a_power_cut(void **state)
{
    struct fixture f;
    int64_t promised;

    (void)state;
    fixture_open(&f, true);
    for (int i = 0; i < 50; i++) {
        append_ok(&f, 2);
        if (i % 3 == 0)
            sim_step(f.sim, INT64_MAX);
    }
    promised = state_of(&f).high_watermark;
    assert_true(promised > 0);
    sim_host_crash(f.host, SIM_CRASH_POWER);
    close_partition(&f);
    env_free(&f.env);
    assert_int_equal(sim_host_boot(f.host, &f.env), ERR_OK);
    open_partition(&f, true);
    assert_true(log_end_offset(f.log) >= promised);
    /* A new leader flushes what recovery found before it counts as committed. */
    lead(&f, 4);
    sim_run_ms(f.sim, 5000);
    assert_int_equal(state_of(&f).high_watermark, log_end_offset(f.log));
    fixture_close(&f);
}

static void
failed_flush_takes_the_partition_out_of_service_and_is_not_retried(void **state)
{
    struct fixture f;
    struct noted noted, late;
    struct replica_append append;
    struct replica_fetch fetch = {.leader_epoch = -1, .last_fetched_epoch = -1, .max_bytes = 100};

    (void)state;
    fixture_open(&f, true);
    sim_host_fail_nth(f.host, SIM_OP_SYNC, 1, ERR_IO);
    append_ok(&f, 1);
    assert_true(wait_for(&f, &noted, REPLICA_WATERMARK_HW, 1));
    append_ok(&f, 1); /* asks for another flush, behind the first */
    sim_run_ms(f.sim, 5000);
    assert_int_equal(noted.calls, 1);
    assert_int_equal(noted.why, REPLICA_WAKE_FAILED);
    assert_int_equal(noted.hw_then, 0);
    assert_true(state_of(&f).offline);
    assert_int_equal(f.failures_told, 1);
    assert_int_equal(f.shared.flush.flush_errors, 1);
    assert_int_equal(append_records(&f, 1, 1, &append), PROTO_ERROR_KAFKA_STORAGE_ERROR);
    assert_int_equal(append.base_offset, -1);
    fetch.arena = &f.arena;
    assert_int_equal(replica_partition_fetch(f.part, &fetch), PROTO_ERROR_KAFKA_STORAGE_ERROR);
    assert_false(wait_for(&f, &late, REPLICA_WATERMARK_HW, 9));
    assert_int_equal(late.why, REPLICA_WAKE_FAILED);
    fixture_close(&f);
}

static void
failed_write_takes_the_partition_out_of_service(void **state)
{
    struct fixture f;
    struct noted noted;
    struct replica_append append;

    (void)state;
    fixture_open(&f, true);
    append_ok(&f, 1);
    assert_true(wait_for(&f, &noted, REPLICA_WATERMARK_HW, 5));
    sim_host_fail_nth(f.host, SIM_OP_WRITE, 1, ERR_IO);
    assert_int_equal(append_records(&f, 1, -1, &append), PROTO_ERROR_KAFKA_STORAGE_ERROR);
    assert_int_equal(noted.calls, 1);
    assert_int_equal(noted.why, REPLICA_WAKE_FAILED);
    assert_int_equal(f.failures_told, 1);
    fixture_close(&f);
}

/* ---- waiters ---- */

static void
waiter_is_told_at_once_when_there_is_nothing_to_wait_for(void **state)
{
    struct fixture f;
    struct noted noted;

    (void)state;
    fixture_open(&f, false);
    append_ok(&f, 2);
    assert_false(wait_for(&f, &noted, REPLICA_WATERMARK_HW, 2));
    assert_int_equal(noted.why, REPLICA_WAKE_REACHED);
    assert_int_equal(noted.calls, 0);
    fixture_close(&f);
}

static void
cancelled_waiter_is_never_called(void **state)
{
    struct fixture f;
    struct noted noted;

    (void)state;
    fixture_open(&f, true);
    append_ok(&f, 1);
    assert_true(wait_for(&f, &noted, REPLICA_WATERMARK_HW, 1));
    assert_true(replica_partition_cancel(f.part, &noted.waiter));
    assert_false(replica_partition_cancel(f.part, &noted.waiter));
    sim_run_ms(f.sim, 5000);
    assert_int_equal(noted.calls, 0);
    fixture_close(&f);
}

static void
waiter_that_was_called_cannot_be_cancelled(void **state)
{
    struct fixture f;
    struct noted noted;

    (void)state;
    fixture_open(&f, true);
    append_ok(&f, 1);
    assert_true(wait_for(&f, &noted, REPLICA_WATERMARK_HW, 1));
    sim_run_ms(f.sim, 5000);
    assert_int_equal(noted.calls, 1);
    assert_false(replica_partition_cancel(f.part, &noted.waiter));
    fixture_close(&f);
}

static void
end_waiter_does_not_wait_for_the_flush(void **state)
{
    struct fixture f;
    struct noted noted;

    (void)state;
    fixture_open(&f, true);
    assert_true(wait_for(&f, &noted, REPLICA_WATERMARK_LEO, 1));
    append_ok(&f, 1);
    assert_int_equal(noted.calls, 1);
    assert_int_equal(noted.hw_then, 0);
    fixture_close(&f);
}

static void
waiters_end_when_leadership_or_its_epoch_changes(void **state)
{
    struct fixture f;
    struct noted first, second, third;
    const struct replica_partition_role follower = {
        .leader_id = 2, .leader_epoch = 5, .isr_count = 2, .isr_min = 1};
    struct replica_append append;

    (void)state;
    fixture_open(&f, true);
    assert_true(wait_for(&f, &first, REPLICA_WATERMARK_HW, 9));
    lead(&f, 4);
    assert_int_equal(first.calls, 1);
    assert_int_equal(first.why, REPLICA_WAKE_RESIGNED);
    assert_true(wait_for(&f, &second, REPLICA_WATERMARK_LEO, 9));
    assert_int_equal(replica_partition_set_role(f.part, &follower), REPLICA_ROLE_RESIGNED);
    assert_int_equal(second.why, REPLICA_WAKE_RESIGNED);
    assert_false(wait_for(&f, &third, REPLICA_WATERMARK_HW, 9));
    assert_int_equal(third.why, REPLICA_WAKE_RESIGNED);
    assert_int_equal(append_records(&f, 1, 1, &append), PROTO_ERROR_NOT_LEADER_OR_FOLLOWER);
    fixture_close(&f);
}

static void
older_epoch_changes_nothing(void **state)
{
    struct fixture f;
    const struct replica_partition_role old = {
        .leader_id = 2, .leader_epoch = 2, .isr_count = 1, .isr_min = 1};

    (void)state;
    fixture_open(&f, true);
    assert_int_equal(replica_partition_set_role(f.part, &old), REPLICA_ROLE_KEPT);
    assert_true(state_of(&f).leader);
    assert_int_equal(state_of(&f).leader_epoch, 3);
    fixture_close(&f);
}

/* ---- errors of callers ---- */

static void
append_checks_isr_and_epoch(void **state)
{
    struct fixture f;
    struct replica_partition_role thin = {
        .leader_id = NODE, .leader_epoch = 3, .isr_count = 1, .isr_min = 2, .replica_count = 2};
    struct replica_append append = {.acks = 1, .leader_epoch = 2};

    (void)state;
    fixture_open(&f, true);
    replica_partition_set_role(f.part, &thin);
    assert_int_equal(append_records(&f, 1, -1, &append), PROTO_ERROR_NOT_ENOUGH_REPLICAS);
    assert_int_equal(append_records(&f, 1, 1, &append), PROTO_ERROR_NONE);
    thin.replica_count = 1; /* more than there are cannot be asked for */
    replica_partition_set_role(f.part, &thin);
    assert_int_equal(append_records(&f, 1, -1, &append), PROTO_ERROR_NONE);
    append = (struct replica_append){.acks = 1, .leader_epoch = 2};
    assert_int_equal(replica_partition_append(f.part, &append), PROTO_ERROR_FENCED_LEADER_EPOCH);
    append.leader_epoch = 4;
    assert_int_equal(replica_partition_append(f.part, &append), PROTO_ERROR_UNKNOWN_LEADER_EPOCH);
    fixture_close(&f);
}

static void
refused_bytes_leave_no_trace(void **state)
{
    struct fixture f;
    uint8_t junk[100] = {0};
    struct replica_append append = {
        .batches = junk, .len = sizeof junk, .acks = -1, .leader_epoch = -1};

    (void)state;
    fixture_open(&f, true);
    junk[11] = 88;
    junk[16] = 2;
    junk[60] = 1;
    append.arena = &f.arena;
    assert_int_equal(replica_partition_append(f.part, &append), PROTO_ERROR_CORRUPT_MESSAGE);
    assert_int_equal(append.base_offset, -1);
    assert_int_equal(state_of(&f).log_end_offset, 0);
    sim_run_ms(f.sim, 1000);
    assert_int_equal(f.shared.flush.flushes, 0);
    fixture_close(&f);
}

/* ---- reading ---- */

static enum proto_error
fetch_at(struct fixture *f, int64_t offset, enum replica_bound bound, struct replica_fetch *fetch)
{
    enum proto_error error;

    *fetch = (struct replica_fetch){
        .offset = offset,
        .leader_epoch = -1,
        .last_fetched_epoch = -1,
        .bound = bound,
        .max_bytes = 1 << 20,
        .min_one = true,
        .arena = &f->arena,
    };
    error = replica_partition_fetch(f->part, fetch);
    if (fetch->slice.file != NULL)
        env_file_close(&fetch->slice.file);
    return error;
}

static void
consumers_see_nothing_above_the_high_watermark(void **state)
{
    struct fixture f;
    struct replica_fetch fetch;

    (void)state;
    fixture_open(&f, true);
    append_ok(&f, 2);
    sim_run_ms(f.sim, 5000);
    append_ok(&f, 2);
    assert_int_equal(fetch_at(&f, 0, REPLICA_BOUND_HW, &fetch), PROTO_ERROR_NONE);
    assert_int_equal(fetch.high_watermark, 2);
    assert_true(fetch.slice.len > 0);
    assert_true(fetch.slice.end_offset <= 2);
    assert_int_equal(fetch_at(&f, 2, REPLICA_BOUND_HW, &fetch), PROTO_ERROR_NONE);
    assert_int_equal(fetch.slice.len, 0);
    assert_int_equal(fetch_at(&f, 3, REPLICA_BOUND_HW, &fetch), PROTO_ERROR_NONE);
    assert_int_equal(fetch.slice.len, 0);
    assert_int_equal(fetch_at(&f, 2, REPLICA_BOUND_LEO, &fetch), PROTO_ERROR_NONE);
    assert_true(fetch.slice.len > 0);
    assert_int_equal(fetch_at(&f, 5, REPLICA_BOUND_HW, &fetch), PROTO_ERROR_OFFSET_OUT_OF_RANGE);
    assert_int_equal(fetch.high_watermark, -1);
    assert_int_equal(fetch_at(&f, -1, REPLICA_BOUND_HW, &fetch), PROTO_ERROR_OFFSET_OUT_OF_RANGE);
    fixture_close(&f);
}

static void
fetch_checks_epochs_and_history(void **state)
{
    struct fixture f;
    struct replica_fetch fetch = {.leader_epoch = 2, .last_fetched_epoch = -1, .max_bytes = 99};

    (void)state;
    fixture_open(&f, false);
    append_ok(&f, 2); /* epoch 3: offsets 0, 1 */
    lead(&f, 7);
    append_ok(&f, 2); /* epoch 7: offsets 2, 3 */
    fetch.arena = &f.arena;
    assert_int_equal(replica_partition_fetch(f.part, &fetch), PROTO_ERROR_FENCED_LEADER_EPOCH);
    fetch.leader_epoch = 8;
    assert_int_equal(replica_partition_fetch(f.part, &fetch), PROTO_ERROR_UNKNOWN_LEADER_EPOCH);
    fetch.leader_epoch = 7;
    fetch.last_fetched_epoch = 3;
    fetch.offset = 4; /* epoch 3 ended at 2 here */
    assert_int_equal(replica_partition_fetch(f.part, &fetch), PROTO_ERROR_NONE);
    assert_true(fetch.diverging);
    assert_int_equal(fetch.diverging_epoch, 3);
    assert_int_equal(fetch.diverging_end_offset, 2);
    assert_null(fetch.slice.file);
    fetch.offset = 2;
    assert_int_equal(replica_partition_fetch(f.part, &fetch), PROTO_ERROR_NONE);
    assert_false(fetch.diverging);
    assert_non_null(fetch.slice.file);
    env_file_close(&fetch.slice.file);
    fixture_close(&f);
}

static int64_t
list_at(struct fixture *f, int64_t timestamp)
{
    struct replica_list_offset list = {
        .timestamp = timestamp, .leader_epoch = -1, .bound = REPLICA_BOUND_HW};

    assert_int_equal(replica_partition_list_offset(f->part, &list), PROTO_ERROR_NONE);
    return list.offset;
}

static void
list_offsets_knows_the_special_times(void **state)
{
    struct fixture f;
    int64_t start_ms, low = -1;

    (void)state;
    fixture_open(&f, false);
    assert_int_equal(list_at(&f, REPLICA_TIME_MAX), -1);
    start_ms = env_wall_ms(f.env);
    append_ok(&f, 5);
    assert_int_equal(list_at(&f, REPLICA_TIME_LATEST), 5);
    assert_int_equal(list_at(&f, REPLICA_TIME_EARLIEST), 0);
    assert_int_equal(list_at(&f, REPLICA_TIME_MAX), 4);
    assert_int_equal(list_at(&f, start_ms + 2), 2);
    assert_int_equal(list_at(&f, start_ms + 1000), -1);
    assert_int_equal(list_at(&f, REPLICA_TIME_LATEST_TIERED), -1);
    assert_int_equal(
        replica_partition_delete_records(f.part, 6, &low), PROTO_ERROR_OFFSET_OUT_OF_RANGE);
    assert_int_equal(replica_partition_delete_records(f.part, 3, &low), PROTO_ERROR_NONE);
    assert_int_equal(low, 3);
    assert_int_equal(list_at(&f, REPLICA_TIME_EARLIEST), 3);
    assert_int_equal(replica_partition_delete_records(f.part, -1, &low), PROTO_ERROR_NONE);
    assert_int_equal(low, 5);
    fixture_close(&f);
}

static void
latest_offset_is_not_told_before_the_new_leader_knows_it(void **state)
{
    struct fixture f;
    struct replica_list_offset list = {
        .timestamp = REPLICA_TIME_LATEST, .leader_epoch = -1, .bound = REPLICA_BOUND_HW};

    (void)state;
    fixture_open(&f, true);
    append_ok(&f, 2);
    lead(&f, 4); /* not flushed yet: the high watermark is below where the epoch starts */
    assert_int_equal(
        replica_partition_list_offset(f.part, &list), PROTO_ERROR_OFFSET_NOT_AVAILABLE);
    sim_run_ms(f.sim, 5000);
    assert_int_equal(replica_partition_list_offset(f.part, &list), PROTO_ERROR_NONE);
    assert_int_equal(list.offset, 2);
    fixture_close(&f);
}

static void
a_transaction_that_was_open_before_the_epoch_holds_back_no_answer(void **state)
{
    struct fixture f;
    struct replica_append append;
    struct batch_builder_opts opts = BATCH_BUILDER_OPTS_DEFAULT;
    struct replica_list_offset list = {
        .timestamp = REPLICA_TIME_LATEST, .leader_epoch = -1, .bound = REPLICA_BOUND_LSO};

    (void)state;
    fixture_open(&f, true);
    append_ok(&f, 2);
    opts.producer_id = 7;
    opts.producer_epoch = 0;
    opts.base_sequence = 0;
    opts.transactional = true;
    assert_int_equal(append_batch(&f, 3, -1, &opts, &append), PROTO_ERROR_NONE);
    lead(&f, 4);
    assert_int_equal(
        replica_partition_list_offset(f.part, &list), PROTO_ERROR_OFFSET_NOT_AVAILABLE);
    sim_run_ms(f.sim, 5000);
    assert_int_equal(replica_partition_list_offset(f.part, &list), PROTO_ERROR_NONE);
    assert_int_equal(list.offset, 2);
    assert_int_equal(list.epoch, 4);
    list.timestamp = env_wall_ms(f.env) - 5000 + 100; /* there is none from then on */
    assert_int_equal(replica_partition_list_offset(f.part, &list), PROTO_ERROR_NONE);
    assert_int_equal(list.offset, -1);
    fixture_close(&f);
}

static void
append_and_fetch_in_steady_state_allocate_nothing(void **state)
{
    struct fixture f;
    struct replica_append append = {0};
    struct replica_fetch fetch;
    struct batch_builder_opts opts = BATCH_BUILDER_OPTS_DEFAULT;
    struct batch_builder_record record = {.value = {(const uint8_t *)"v", 1}};
    struct batch_builder builder;
    struct buf buf;
    uint64_t before = 0;

    (void)state;
    fixture_open(&f, false);
    record.timestamp = env_wall_ms(f.env);
    buf_init(&buf, 4096);
    batch_builder_init(&builder, &opts, &buf);
    batch_builder_append(&builder, &record);
    assert_int_equal(batch_builder_finish(&builder), ERR_OK);
    for (int i = 0; i < 40; i++) {
        arena_reset(&f.arena);
        if (i == 20)
            before = mem_count_thread();
        append = (struct replica_append){
            .batches = buf.data, .len = buf.len, .acks = 1, .leader_epoch = -1, .arena = &f.arena};
        store_be64(buf.data, 0);
        assert_int_equal(replica_partition_append(f.part, &append), PROTO_ERROR_NONE);
        assert_int_equal(fetch_at(&f, i, REPLICA_BOUND_HW, &fetch), PROTO_ERROR_NONE);
        assert_true(fetch.slice.len > 0);
    }
    assert_int_equal(mem_count_thread() - before, 0);
    buf_fini(&buf);
    fixture_close(&f);
}

/* ---- what a coordinator does to its own log ---- */

static enum proto_error
trim(struct fixture *f, int64_t offset, int64_t needed, int32_t epoch, bool *done)
{
    const struct replica_trim trim = {.offset = offset, .needed = needed, .leader_epoch = epoch};
    return replica_partition_trim(f->part, &trim, done);
}

static void
a_trimmed_log_loses_whole_segments_when_what_is_needed_is_on_the_disk(void **state)
{
    struct fixture f;
    struct log_config config;
    int64_t end_offset;
    bool done;

    (void)state;
    fixture_open(&f, false); /* the high watermark runs ahead of the disk */
    append_ok(&f, 10);
    assert_int_equal(
        replica_partition_roll(f.part, 2, &end_offset), PROTO_ERROR_FENCED_LEADER_EPOCH);
    assert_int_equal(replica_partition_roll(f.part, 3, &end_offset), PROTO_ERROR_NONE);
    assert_int_equal(end_offset, 10);
    append_ok(&f, 5);
    log_config_default(&config);
    config.cleanup_delete = false; /* DeleteRecords would be refused */
    config.cleanup_compact = true;
    replica_partition_set_config(f.part, &config, 1);
    assert_int_equal(log_segment_count(f.log), 2);
    assert_int_equal(trim(&f, 10, 16, 3, &done), PROTO_ERROR_OFFSET_OUT_OF_RANGE);
    assert_int_equal(trim(&f, 10, 15, 2, &done), PROTO_ERROR_FENCED_LEADER_EPOCH);
    assert_int_equal(trim(&f, 10, 15, 3, &done), PROTO_ERROR_NONE);
    assert_false(done); /* a flush was asked for */
    assert_int_equal(state_of(&f).log_start_offset, 0);
    sim_run_ms(f.sim, 1000);
    assert_int_equal(trim(&f, 10, 15, 3, &done), PROTO_ERROR_NONE);
    assert_true(done);
    assert_int_equal(state_of(&f).log_start_offset, 10);
    replica_partition_retain(f.part);
    assert_int_equal(log_segment_count(f.log), 1);
    assert_int_equal(state_of(&f).log_end_offset, 15);
    fixture_close(&f);
}

static void
a_roll_that_fails_takes_the_partition_out_of_service(void **state)
{
    struct fixture f;
    int64_t end_offset;

    (void)state;
    fixture_open(&f, true);
    append_ok(&f, 10);
    sim_run_ms(f.sim, 1000);
    sim_host_fail_nth(f.host, SIM_OP_OPEN, 1, ERR_IO);
    assert_int_equal(
        replica_partition_roll(f.part, 3, &end_offset), PROTO_ERROR_KAFKA_STORAGE_ERROR);
    assert_true(state_of(&f).offline);
    assert_int_equal(f.failures_told, 1);
    fixture_close(&f);
}

/* What was found between the two steps counts: it may lead no more. */
static void
a_check_is_no_promise(void **state)
{
    struct fixture f;
    struct batch_builder_opts opts = BATCH_BUILDER_OPTS_DEFAULT;
    struct replica_append append;
    struct replica_traffic before, after;
    struct replica_partition_role role = {
        .leader_id = NODE + 1, .leader_epoch = 4, .isr_count = 1, .isr_min = 1};
    bool again;

    (void)state;
    fixture_open(&f, true);
    before = f.part->traffic;
    struct buf b = one_batch(&f, 3, &opts);
    append = (struct replica_append){
        .batches = b.data, .len = b.len, .acks = -1, .leader_epoch = -1, .arena = &f.arena};
    assert_int_equal(replica_partition_append_check(f.part, &append, LIMIT_CHECK_BRIEF, &again),
        PROTO_ERROR_NONE);
    assert_false(again);
    replica_partition_append_drop(f.part, &append);
    assert_int_equal(state_of(&f).log_end_offset, 0);
    assert_int_equal(replica_partition_append_check(f.part, &append, 0, &again), PROTO_ERROR_NONE);
    assert_int_equal(replica_partition_append_commit(f.part, &append), PROTO_ERROR_NONE);
    assert_int_equal(append.base_offset, 0);
    assert_int_equal(append.last_offset, 2);
    assert_int_equal(replica_partition_append_check(f.part, &append, 0, &again), PROTO_ERROR_NONE);
    assert_int_equal(replica_partition_set_role(f.part, &role), REPLICA_ROLE_RESIGNED);
    assert_int_equal(
        replica_partition_append_commit(f.part, &append), PROTO_ERROR_NOT_LEADER_OR_FOLLOWER);
    assert_int_equal(append.base_offset, -1);
    assert_int_equal(state_of(&f).log_end_offset, 3);
    after = f.part->traffic;
    assert_int_equal(after.produces - before.produces, 2); /* not what was dropped */
    assert_int_equal(after.messages_in - before.messages_in, 3);
    buf_fini(&b);
    fixture_close(&f);
}

TEST_MAIN(cmocka_unit_test(a_check_is_no_promise),
    cmocka_unit_test(high_watermark_waits_for_the_flush),
    cmocka_unit_test(without_ack_flush_the_high_watermark_is_the_end_at_once),
    cmocka_unit_test(one_flush_serves_every_append_before_it),
    cmocka_unit_test(appends_that_nobody_waits_for_share_rare_flushes),
    cmocka_unit_test(whoever_looks_or_waits_has_it_flushed),
    cmocka_unit_test(high_watermark_is_never_beyond_what_is_flushed),
    cmocka_unit_test(what_was_below_the_high_watermark_survives_a_power_cut),
    cmocka_unit_test(failed_flush_takes_the_partition_out_of_service_and_is_not_retried),
    cmocka_unit_test(failed_write_takes_the_partition_out_of_service),
    cmocka_unit_test(waiter_is_told_at_once_when_there_is_nothing_to_wait_for),
    cmocka_unit_test(cancelled_waiter_is_never_called),
    cmocka_unit_test(waiter_that_was_called_cannot_be_cancelled),
    cmocka_unit_test(end_waiter_does_not_wait_for_the_flush),
    cmocka_unit_test(waiters_end_when_leadership_or_its_epoch_changes),
    cmocka_unit_test(older_epoch_changes_nothing), cmocka_unit_test(append_checks_isr_and_epoch),
    cmocka_unit_test(refused_bytes_leave_no_trace),
    cmocka_unit_test(consumers_see_nothing_above_the_high_watermark),
    cmocka_unit_test(fetch_checks_epochs_and_history),
    cmocka_unit_test(list_offsets_knows_the_special_times),
    cmocka_unit_test(latest_offset_is_not_told_before_the_new_leader_knows_it),
    cmocka_unit_test(a_transaction_that_was_open_before_the_epoch_holds_back_no_answer),
    cmocka_unit_test(append_and_fetch_in_steady_state_allocate_nothing),
    cmocka_unit_test(a_trimmed_log_loses_whole_segments_when_what_is_needed_is_on_the_disk),
    cmocka_unit_test(a_roll_that_fails_takes_the_partition_out_of_service))
