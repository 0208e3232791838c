/* Random operations on one log against an array, on a simulated disk with kills and power cuts.
 *
 * The model keeps, for each offset, the timestamp its record was given (all differ) and where its
 * batch began. After a kill everything appended must be there; after a power cut a prefix that
 * reaches at least to what a flush had covered. TEST_SEED=n replays one run. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "log/log_priv.h"
#include "log_fixture.h"
#include "os/sim.h"

enum { OFFSETS_MAX = 20000, STEPS = 400 };

struct model {
    struct sim *sim;
    struct sim_host *host;
    struct log_fixture fx;
    int64_t *timestamps;  /* by offset */
    int64_t *batch_start; /* by offset: base offset of its batch */
    int64_t end;          /* appended for sure */
    int64_t maybe_end;    /* with what was being appended when the machine went down */
    int64_t flushed;      /* covered by a flush that ended well */
    int64_t start;
    int64_t checkpoint; /* recovery point as last written down */
    int crashes;
    bool trace;
};

static uint64_t
below(struct model *m, uint64_t n)
{
    return sim_random(m->sim) % n;
}

/* False when the machine went down meanwhile. */
static bool
check_range(struct model *m, int64_t from, int64_t max_bytes)
{
    struct buf bytes;
    struct log_slice slice;
    int64_t offset = from;
    enum err err = fixture_read(&m->fx, from, (size_t)max_bytes, &bytes, &slice);
    if (sim_host_is_down(m->host)) {
        buf_fini(&bytes);
        return false;
    }
    assert_int_equal(err, ERR_OK);
    struct bytes rest = buf_bytes(&bytes);
    assert_true(rest.len > 0 || from == log_end_offset(m->fx.log));
    while (rest.len > 0) {
        struct batch_view batch;
        assert_int_equal(batch_parse(rest, &batch), ERR_OK);
        assert_true(batch_crc_ok(&batch));
        assert_int_equal(batch.base_offset, m->batch_start[offset]);
        assert_int_equal(batch.base_timestamp, m->timestamps[batch.base_offset]);
        assert_int_equal(batch.max_timestamp, m->timestamps[batch_last_offset(&batch)]);
        offset = batch_last_offset(&batch) + 1;
        rest.data += batch.size_bytes;
        rest.len -= batch.size_bytes;
    }
    buf_fini(&bytes);
    return true;
}

static void
check_all(struct model *m)
{
    int64_t offset = log_start_offset(m->fx.log), end = log_end_offset(m->fx.log);
    while (offset < end) {
        struct log_slice slice;
        struct log_read_opts opts = {
            .offset = offset, .bound_offset = end, .max_bytes = 50000, .min_one = true};
        if (!check_range(m, offset, 50000))
            return;
        enum err err = log_read(m->fx.log, &opts, &slice);
        if (sim_host_is_down(m->host))
            return;
        assert_int_equal(err, ERR_OK);
        assert_non_null(slice.file);
        env_file_close(&slice.file);
        assert_true(slice.end_offset > offset);
        offset = slice.end_offset;
    }
}

/* Starts the machine again and opens the log. */
static void
come_back(struct model *m, bool power)
{
    struct env *env = m->fx.env;
    m->crashes++;
    if (m->trace)
        print_message("# crash, power %d\n", power);
    log_abandon(&m->fx.log);
    env_free(&env);
    assert_int_equal(sim_host_boot(m->host, &env), ERR_OK);
    m->fx.env = env;
    struct log_open_opts opts = {.env = env,
        .parent_dir = m->fx.dir,
        .topic = STR("t"),
        .config = &m->fx.config,
        .recovery_point = m->checkpoint,
        .start_offset = m->start,
        .high_watermark = m->checkpoint,
        .gaps_are_losses = true};
    assert_int_equal(log_open(&opts, &m->fx.log), ERR_OK);
    assert_int_equal(log_state(m->fx.log), LOG_OPEN);
    int64_t end = log_end_offset(m->fx.log);
    if (end < (power ? m->flushed : m->end) || end > m->maybe_end)
        print_error("end %lld, flushed %lld, model %lld..%lld\n", (long long)end,
            (long long)m->flushed, (long long)m->end, (long long)m->maybe_end);
    assert_true(end >= (power ? m->flushed : m->end));
    assert_true(end <= m->maybe_end);
    m->end = m->maybe_end = end;
    m->flushed = end;
    check_all(m);
    log_set_high_watermark(m->fx.log, end);
}

static enum err
do_append(struct model *m)
{
    struct log_append_result result;
    struct fixture_batch batch = {
        .count = 1 + (int)below(m, 5), .value_bytes = 1 + (size_t)below(m, 1500)};
    if (below(m, 10) == 0)
        m->fx.epoch++;
    for (int i = 0; i < batch.count; i++) {
        m->timestamps[m->end + i] = m->fx.timestamp + i;
        m->batch_start[m->end + i] = m->end;
    }
    m->maybe_end = m->end + batch.count;
    enum err err = fixture_append(&m->fx, &batch, &result);
    if (err != ERR_OK)
        return err;
    assert_int_equal(result.reject, LOG_REJECT_NONE);
    assert_int_equal(result.first_offset, m->end);
    m->end = m->maybe_end;
    return ERR_OK;
}

static enum err
do_flush(struct model *m)
{
    int64_t end = m->end;
    enum err err = log_flush_now(m->fx.log);
    if (err == ERR_OK) {
        m->flushed = end;
        assert_int_equal(log_recovery_point(m->fx.log), end);
        if (below(m, 3) == 0)
            m->checkpoint = end;
    }
    return err;
}

static enum err
do_truncate(struct model *m)
{
    if (m->end == log_start_offset(m->fx.log))
        return ERR_OK;
    int64_t to =
        m->end - (int64_t)below(m, (uint64_t)(m->end - log_start_offset(m->fx.log)) / 4 + 1);
    if (to > log_start_offset(m->fx.log) && to < m->end)
        to = m->batch_start[to];
    if (to < log_start_offset(m->fx.log))
        return ERR_OK;
    /* From here on the old data may be there or not. */
    if (m->flushed > to)
        m->flushed = to;
    if (m->checkpoint > to)
        m->checkpoint = to;
    int64_t before = m->end;
    m->end = to;
    m->maybe_end = before;
    enum err err = log_truncate(m->fx.log, to);
    if (err == ERR_OK)
        err = log_flush_now(m->fx.log);
    if (err != ERR_OK)
        return err;
    assert_int_equal(log_end_offset(m->fx.log), to);
    m->maybe_end = to;
    m->flushed = to;
    return ERR_OK;
}

static enum err
do_reopen(struct model *m)
{
    enum err err = log_close(&m->fx.log);
    if (err != ERR_OK)
        return err;
    m->flushed = m->end;
    m->checkpoint = m->end;
    struct log_open_opts opts = {.env = m->fx.env,
        .parent_dir = m->fx.dir,
        .topic = STR("t"),
        .config = &m->fx.config,
        .clean = true,
        .recovery_point = m->end,
        .start_offset = m->start,
        .high_watermark = m->end};
    err = log_open(&opts, &m->fx.log);
    if (err != ERR_OK)
        return err;
    assert_int_equal(log_end_offset(m->fx.log), m->end);
    log_set_high_watermark(m->fx.log, m->end);
    return ERR_OK;
}

static enum err
do_retain(struct model *m)
{
    int32_t deleted;
    log_set_high_watermark(m->fx.log, m->end);
    enum err err = log_retain(m->fx.log, &deleted);
    m->start = log_start_offset(m->fx.log);
    if (err == ERR_OK && m->checkpoint < m->start)
        m->checkpoint = m->start;
    if (err == ERR_OK && m->flushed < m->start)
        m->flushed = m->start;
    return err == ERR_OK ? log_flush_now(m->fx.log) : err;
}

static enum err
do_time(struct model *m)
{
    struct log_time_offset found;
    int64_t start = log_start_offset(m->fx.log);
    if (m->end == start)
        return ERR_OK;
    int64_t offset = start + (int64_t)below(m, (uint64_t)(m->end - start));
    enum err err = log_offset_for_time(m->fx.log, m->timestamps[offset], &found);
    if (err == ERR_OK)
        assert_int_equal(found.offset, offset);
    return err;
}

static enum err
step(struct model *m)
{
    int64_t start = log_start_offset(m->fx.log);
    int op = (int)below(m, 20);
    if (m->trace)
        print_message("# op %d end %lld flushed %lld segments %d\n", op, (long long)m->end,
            (long long)m->flushed, log_segment_count(m->fx.log));
    switch (op) {
    case 0:
    case 1: return do_flush(m);
    case 2: return do_truncate(m);
    case 3: return do_reopen(m);
    case 4: return below(m, 4) == 0 ? do_retain(m) : ERR_OK;
    case 5: return log_roll(m->fx.log);
    case 6: return do_time(m);
    case 7:
    case 8:
        if (m->end > start && !sim_host_is_down(m->host))
            check_range(m, start + (int64_t)below(m, (uint64_t)(m->end - start)),
                1 + (int64_t)below(m, 30000));
        return ERR_OK;
    default: return do_append(m);
    }
}

static void
run_one(uint64_t seed)
{
    struct model m = {.trace = getenv("TEST_SEED") != NULL};
    struct sim_opts opts = {
        .seed = seed, .level_min = DIAG_LEVEL_COUNT, .wall_start_ms = 1700000000000};
    struct env *env;
    m.timestamps = mem_calloc(OFFSETS_MAX, sizeof *m.timestamps);
    m.batch_start = mem_calloc(OFFSETS_MAX, sizeof *m.batch_start);
    assert_non_null(m.timestamps);
    assert_non_null(m.batch_start);
    assert_int_equal(sim_new(&opts, &m.sim), ERR_OK);
    assert_int_equal(sim_host_new(m.sim, "h", "10.0.0.1", &m.host), ERR_OK);
    assert_int_equal(sim_host_boot(m.host, &env), ERR_OK);
    assert_int_equal(env_mkdir_all(env, "data"), ERR_OK);
    assert_int_equal(env_sync_dir(env, "."), ERR_OK);
    fixture_init_in(&m.fx, env, "data");
    m.fx.timestamp = 1700000000000 - 1000000;
    m.fx.config.segment_bytes = 40000;
    m.fx.config.index_interval_bytes = 2000;
    m.fx.config.retention_bytes = 100000;
    m.fx.config.retention_ms = -1;
    m.fx.config.preallocate = seed % 2 == 0;
    fixture_open(&m.fx, true, 0, 0);
    assert_int_equal(do_append(&m), ERR_OK);
    assert_int_equal(do_flush(&m), ERR_OK);
    m.checkpoint = m.end;
    for (int i = 0; i < STEPS && m.end < OFFSETS_MAX - 10; i++) {
        bool power = below(&m, 2) == 0;
        if (below(&m, 30) == 0)
            sim_host_crash_at(m.host, power ? SIM_CRASH_POWER : SIM_CRASH_KILL, 1 + below(&m, 12));
        enum err err = step(&m);
        if (sim_host_is_down(m.host)) {
            come_back(&m, true); /* in the middle of an operation: either may have happened */
            continue;
        }
        assert_int_equal(err, ERR_OK);
        assert_int_equal(log_end_offset(m.fx.log), m.end);
        if (below(&m, 40) == 0) {
            sim_host_crash(m.host, power ? SIM_CRASH_POWER : SIM_CRASH_KILL);
            come_back(&m, power);
        }
    }
    check_all(&m);
    env = m.fx.env;
    fixture_fini(&m.fx);
    env_free(&env);
    sim_free(&m.sim);
    mem_free(m.timestamps);
    mem_free(m.batch_start);
}

static void
a_log_is_the_array_it_should_be_through_kills_and_power_cuts(void **state)
{
    uint64_t first = test_seed(0);
    (void)state;
    for (uint64_t seed = first; seed < first + (first == 0 ? 200 : 1); seed++) {
        print_message("# seed %llu\n", (unsigned long long)seed);
        run_one(seed);
    }
}

TEST_MAIN(cmocka_unit_test(a_log_is_the_array_it_should_be_through_kills_and_power_cuts))
