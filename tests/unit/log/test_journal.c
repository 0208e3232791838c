#include "log/journal.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "log/redo.h"
#include "os/loop.h"
#include "os/sim.h"
#include "tests/lib/test.h"
#include "wire/batch_builder.h"
#include "wire/crc32c.h"

enum { WISHES = 8, LAP_BYTES = 4 << 20, SEGMENT = 100 };

struct wish {
    struct log_journal_ticket ticket;
    struct log_journal_entry entry;
    uint8_t *bytes; /* the test's */
    enum err err;
    uint64_t lap;
    int ended;
};

struct fixture {
    struct sim *sim;
    struct sim_host *host;
    struct env *env;
    struct pool *pool;
    struct log_journal *journal;
    struct wish wishes[WISHES];
    int turns;
};

static void
on_turned(void *ctx)
{
    ((struct fixture *)ctx)->turns++;
}

static void
start(struct fixture *f)
{
    assert_int_equal(sim_host_boot(f->host, &f->env), ERR_OK);
    assert_int_equal(env_mkdir_all(f->env, "data"), ERR_OK);
    assert_int_equal(env_sync_dir(f->env, "."), ERR_OK);
    assert_int_equal(pool_new(f->env, "io", 2, &f->pool), ERR_OK);
    struct log_journal_opts opts = {.env = f->env,
        .pool = f->pool,
        .dir = "data",
        .lap_bytes = LAP_BYTES,
        .turned = on_turned,
        .ctx = f};
    assert_int_equal(log_journal_new(&opts, &f->journal), ERR_OK);
}

static void
set_up(struct fixture *f)
{
    const struct sim_opts opts = {
        .seed = test_seed(5), .level_min = DIAG_ERROR + 1, .wall_start_ms = 1700000000000};
    memset(f, 0, sizeof *f);
    assert_int_equal(sim_new(&opts, &f->sim), ERR_OK);
    assert_int_equal(sim_host_new(f->sim, "h", "10.0.0.1", &f->host), ERR_OK);
    start(f);
}

static void
stop(struct fixture *f)
{
    log_journal_free(&f->journal);
    pool_free(&f->pool);
    env_free(&f->env);
}

static void
tear_down(struct fixture *f)
{
    stop(f);
    sim_free(&f->sim);
}

static void
wish_begin(struct log_journal_ticket *ticket, struct buf *out)
{
    struct wish *wish = CONTAINER_OF(ticket, struct wish, ticket);
    uint8_t *data = log_journal_add(out, &wish->entry);
    if (data != NULL)
        memcpy(data, wish->bytes, wish->entry.len);
}

static void
wish_end(struct log_journal_ticket *ticket, enum err err, uint64_t lap)
{
    struct wish *wish = CONTAINER_OF(ticket, struct wish, ticket);
    wish->err = err;
    wish->lap = lap;
    wish->ended++;
}

/* Bytes that begin as a batch does: with the offset. */
static void
submit(struct fixture *f, int n, const char *key, int64_t position, uint8_t *bytes, size_t len)
{
    struct wish *wish = &f->wishes[n];
    *wish = (struct wish){.ticket = {.begin = wish_begin, .end = wish_end},
        .entry = {.key = str_of(key), .segment_base = SEGMENT, .position = position, .len = len},
        .bytes = bytes};
    wish->entry.topic_id.b[0] = 7;
    list_init(&wish->ticket.link);
    log_journal_submit(f->journal, &wish->ticket);
}

static void
write_one(struct fixture *f, const char *key, int64_t position, uint8_t *bytes, size_t len)
{
    submit(f, 0, key, position, bytes, len);
    sim_run_ms(f->sim, 1000);
    assert_int_equal(f->wishes[0].ended, 1);
}

/* What the journal gives for that place; the number of bytes, -1 for none. */
static int64_t
give_back(struct fixture *f, const char *key, uint8_t id, int64_t position, int64_t offset)
{
    struct log_redo *redo = NULL;
    struct env_file *file;
    int64_t end = -1, bytes = -1;
    assert_int_equal(log_redo_load(f->env, "data", &redo), ERR_OK);
    if (redo == NULL)
        return -1;
    assert_int_equal(
        env_open(f->env, "data/segment", ENV_OPEN_WRITE | ENV_OPEN_CREATE, &file), ERR_OK);
    struct log_redo_want want = {.key = str_of(key),
        .topic_id = {{id}},
        .segment_base = SEGMENT,
        .position = position,
        .offset_next = offset};
    enum err err = log_redo_apply(redo, &want, file, &end);
    if (err == ERR_OK)
        bytes = end - position;
    else
        assert_int_equal(err, ERR_NOTFOUND);
    env_file_close(&file);
    log_redo_free(&redo);
    return bytes;
}

static void
crash(struct fixture *f)
{
    sim_host_crash(f->host, SIM_CRASH_POWER);
    stop(f);
    start(f);
}

static void
fill(uint8_t *bytes, size_t len, int64_t offset)
{
    memset(bytes, 0x5a, len);
    store_be64(bytes, (uint64_t)offset);
}

static void
what_was_journaled_comes_back_after_a_power_cut(void **state)
{
    struct fixture f;
    uint8_t a[3000], b[200], c[64];
    (void)state;
    set_up(&f);
    fill(a, sizeof a, 100);
    fill(b, sizeof b, 40);
    fill(c, sizeof c, 117);
    submit(&f, 0, "t-0", 0, a, sizeof a);
    submit(&f, 1, "t-1", 512, b, sizeof b);
    sim_run_ms(f.sim, 1000);
    write_one(&f, "t-0", sizeof a, c, sizeof c);
    assert_int_equal(f.wishes[0].err, ERR_OK);
    assert_int_equal(f.wishes[1].err, ERR_OK);
    crash(&f);
    assert_int_equal(give_back(&f, "t-0", 7, 0, 100), sizeof a + sizeof c);
    assert_int_equal(give_back(&f, "t-1", 7, 512, 40), sizeof b);
    assert_int_equal(give_back(&f, "t-0", 7, sizeof a, 117), sizeof c);
    tear_down(&f);
}

static void
what_fits_no_place_stays_where_it_is(void **state)
{
    struct fixture f;
    uint8_t a[300];
    (void)state;
    set_up(&f);
    fill(a, sizeof a, 100);
    write_one(&f, "t-0", 1000, a, sizeof a);
    assert_int_equal(give_back(&f, "t-1", 7, 1000, 100), -1); /* another log */
    assert_int_equal(give_back(&f, "t-0", 8, 1000, 100), -1); /* made again under the name */
    assert_int_equal(give_back(&f, "t-0", 7, 1000, 101), -1); /* another offset */
    assert_int_equal(give_back(&f, "t-0", 7, 999, 100), -1);  /* another place */
    assert_int_equal(give_back(&f, "t-0", 7, 1300, 100), -1);
    assert_int_equal(give_back(&f, "t-0", 7, 1000, 100), sizeof a);
    assert_int_equal(give_back(&f, "t-0", 0, 1000, 100), sizeof a); /* its topic id rotted */
    tear_down(&f);
}

static void
of_two_writes_to_one_place_the_later_counts(void **state)
{
    struct fixture f;
    uint8_t a[300], b[100];
    (void)state;
    set_up(&f);
    fill(a, sizeof a, 100);
    fill(b, sizeof b, 100);
    write_one(&f, "t-0", 0, a, sizeof a);
    write_one(&f, "t-0", 0, b, sizeof b);
    assert_int_equal(give_back(&f, "t-0", 7, 0, 100), sizeof b);
    tear_down(&f);
}

/* Fills laps with writes of 100 KB; the number of writes that were taken until one was refused. */
static int
fill_until_refused(struct fixture *f, int writes_max, bool hold)
{
    static uint8_t big[100 << 10];
    for (int i = 0; i < writes_max; i++) {
        fill(big, sizeof big, 100 + i);
        write_one(f, "t-0", (int64_t)i * (int64_t)sizeof big, big, sizeof big);
        if (f->wishes[0].err != ERR_OK) {
            assert_int_equal(f->wishes[0].err, ERR_LIMIT);
            return i;
        }
        if (hold && i == 0)
            log_journal_hold(f->journal, f->wishes[0].lap);
    }
    return writes_max;
}

static void
a_lap_that_is_needed_is_not_written_over(void **state)
{
    struct fixture f;
    (void)state;
    set_up(&f);
    int taken = fill_until_refused(&f, 200, true);
    assert_in_range(taken, LAP_BYTES / (100 << 10), 2 * LAP_BYTES / (100 << 10));
    assert_int_equal(f.turns, 1);
    assert_true(log_journal_is_full(f.journal));
    crash(&f);
    /* Both laps, as one. */
    assert_int_equal(give_back(&f, "t-0", 7, 0, 100), (int64_t)taken * (100 << 10));
    tear_down(&f);
}

static void
a_lap_that_nobody_needs_is_written_over(void **state)
{
    struct fixture f;
    (void)state;
    set_up(&f);
    assert_int_equal(fill_until_refused(&f, 200, false), 200);
    assert_in_range(f.turns, 3, 10);
    crash(&f);
    assert_int_equal(give_back(&f, "t-0", 7, 0, 100), -1); /* long gone */
    assert_int_equal(give_back(&f, "t-0", 7, 199 * (100 << 10), 299), 100 << 10);
    tear_down(&f);
}

static void
a_damaged_batch_hides_no_other(void **state)
{
    struct fixture f;
    uint8_t a[300], b[300];
    (void)state;
    set_up(&f);
    fill(a, sizeof a, 100);
    fill(b, sizeof b, 1);
    write_one(&f, "t-0", 0, a, sizeof a);
    write_one(&f, "t-1", 0, b, sizeof b);
    assert_int_equal(sim_host_flip_bit(f.host, "data/moldau-journal-b", 100, 3), ERR_OK);
    assert_int_equal(give_back(&f, "t-0", 7, 0, 100), -1);
    assert_int_equal(give_back(&f, "t-1", 7, 0, 1), sizeof b);
    tear_down(&f);
}

/* What a client sent, in the journal's file, looks like a batch of a lap that it guessed. */
static void
bytes_that_look_like_a_batch_are_none(void **state)
{
    struct fixture f;
    uint8_t a[300], b[2000];
    uint8_t *forged = b + LOG_JOURNAL_ALIGN - LOG_JOURNAL_HEAD - LOG_JOURNAL_ENTRY_HEAD - 3;
    (void)state;
    for (uint64_t lap = 1; lap != 0; lap <<= 1) {
        set_up(&f);
        fill(a, sizeof a, 100);
        fill(b, sizeof b, 1);
        struct buf out;
        struct log_journal_entry entry = {
            .key = str_of("t-9"), .topic_id = {{7}}, .segment_base = SEGMENT, .len = 64};
        buf_init(&out, 1000);
        assert_non_null(buf_extend(&out, LOG_JOURNAL_HEAD));
        uint8_t *data = log_journal_add(&out, &entry);
        fill(data, 64, 5);
        store_be32(out.data, LOG_JOURNAL_MAGIC);
        store_be64(out.data + 8, lap);
        store_be32(out.data + 16, 1000);
        store_be32(out.data + 20, (uint32_t)(out.len - LOG_JOURNAL_HEAD));
        store_be32(out.data + 4, crc32c((struct bytes){out.data + 8, out.len - 8}));
        memcpy(forged, out.data, out.len);
        buf_fini(&out);
        write_one(&f, "t-0", 0, a, sizeof a);
        write_one(&f, "t-1", 0, b, sizeof b);
        /* The batch that hides it is broken. */
        assert_int_equal(sim_host_flip_bit(f.host, "data/moldau-journal-b", 512 + 30, 1), ERR_OK);
        assert_int_equal(give_back(&f, "t-9", 7, 0, 5), -1);
        assert_int_equal(give_back(&f, "t-0", 7, 0, 100), sizeof a);
        tear_down(&f);
    }
}

static void
short_laps_turn_all_the_time(void **state)
{
    struct fixture f;
    uint8_t a[1000];
    (void)state;
    set_up(&f);
    log_journal_free(&f.journal);
    struct log_journal_opts opts = {.env = f.env,
        .pool = f.pool,
        .dir = "data",
        .lap_bytes = 5000,
        .turned = on_turned,
        .ctx = &f};
    assert_int_equal(log_journal_new(&opts, &f.journal), ERR_OK);
    for (int i = 0; i < 30; i++) {
        fill(a, sizeof a, i);
        write_one(&f, "t-0", i * (int64_t)sizeof a, a, sizeof a);
        assert_int_equal(f.wishes[0].err, ERR_OK);
    }
    assert_in_range(f.turns, 8, 12);
    uint8_t big[6000];
    fill(big, sizeof big, 30);
    write_one(&f, "t-0", 30 * (int64_t)sizeof a, big, sizeof big);
    assert_int_equal(f.wishes[0].err, ERR_LIMIT); /* longer than a lap */
    crash(&f);
    assert_int_equal(give_back(&f, "t-0", 7, 29 * (int64_t)sizeof a, 29), sizeof a);
    tear_down(&f);
}

static void
a_failed_sync_is_told_and_final(void **state)
{
    struct fixture f;
    uint8_t a[300];
    (void)state;
    set_up(&f);
    fill(a, sizeof a, 100);
    write_one(&f, "t-0", 0, a, sizeof a);
    sim_host_fail_nth(f.host, SIM_OP_SYNC, 1, ERR_IO);
    write_one(&f, "t-0", 300, a, sizeof a);
    assert_int_equal(f.wishes[0].err, ERR_IO);
    assert_true(log_journal_is_full(f.journal));
    write_one(&f, "t-0", 300, a, sizeof a);
    assert_int_equal(f.wishes[0].err, ERR_FAILED);
    tear_down(&f);
}

static void
a_full_disk_is_no_failure(void **state)
{
    struct fixture f;
    uint8_t a[300];
    (void)state;
    set_up(&f);
    fill(a, sizeof a, 100);
    sim_host_fail_nth(f.host, SIM_OP_WRITE, 1, ERR_NOSPACE);
    write_one(&f, "t-0", 0, a, sizeof a);
    assert_int_equal(f.wishes[0].err, ERR_LIMIT);
    assert_true(log_journal_is_full(f.journal)); /* for a second nobody need ask it */
    sim_run_ms(f.sim, 1100);
    assert_false(log_journal_is_full(f.journal));
    write_one(&f, "t-0", 0, a, sizeof a);
    assert_int_equal(f.wishes[0].err, ERR_OK);
    assert_int_equal(give_back(&f, "t-0", 7, 0, 100), sizeof a);
    tear_down(&f);
}

static size_t
make_batch(struct buf *out, int64_t offset, size_t value_len)
{
    struct batch_builder_opts opts = BATCH_BUILDER_OPTS_DEFAULT;
    uint8_t value[500] = {1, 2, 3};
    struct batch_builder_record record = {.timestamp = 1, .value = {value, value_len}};
    struct batch_builder builder;
    size_t before = out->len;
    opts.base_offset = offset;
    batch_builder_init(&builder, &opts, out);
    batch_builder_append(&builder, &record);
    assert_int_equal(batch_builder_finish(&builder), ERR_OK);
    return out->len - before;
}

/* Damage at the position; what is behind it in the journal. */
static bool
fill_segment(struct fixture *f, int64_t position, int64_t offset_next)
{
    struct log_redo *redo = NULL;
    struct env_file *file;
    bool any = false;
    assert_int_equal(log_redo_load(f->env, "data", &redo), ERR_OK);
    assert_non_null(redo);
    assert_int_equal(
        env_open(f->env, "data/segment", ENV_OPEN_WRITE | ENV_OPEN_CREATE, &file), ERR_OK);
    struct log_redo_want want = {.key = STR("t-0"),
        .topic_id = {{7}},
        .segment_base = SEGMENT,
        .position = position,
        .offset_next = offset_next};
    assert_int_equal(log_redo_fill(redo, &want, file, &any), ERR_OK);
    env_file_close(&file);
    log_redo_free(&redo);
    return any;
}

static void
what_lies_behind_damage_comes_back_where_nothing_whole_stands(void **state)
{
    struct fixture f;
    struct buf all;
    size_t at[4];
    char *text;
    (void)state;
    set_up(&f);
    buf_init(&all, 1 << 16);
    for (int i = 0; i < 4; i++) {
        at[i] = all.len;
        (void)make_batch(&all, 100 + i, 200 + (size_t)i);
    }
    /* The first is not in the journal; two came together, the last by itself. */
    submit(&f, 0, "t-0", (int64_t)at[1], all.data + at[1], at[3] - at[1]);
    sim_run_ms(f.sim, 1000);
    submit(&f, 1, "t-0", (int64_t)at[3], all.data + at[3], all.len - at[3]);
    sim_run_ms(f.sim, 1000);
    crash(&f);
    assert_false(fill_segment(&f, 0, 104)); /* below the recovery point it is not asked */
    assert_false(fill_segment(&f, (int64_t)at[3], 100));
    uint8_t other[] = {9};
    assert_int_equal(
        env_write_file_atomic(f.env, "data/segment", (struct bytes){other, 1}), ERR_OK);
    assert_true(fill_segment(&f, 0, 101));
    size_t len;
    assert_int_equal(env_read_file(f.env, "data/segment", 1 << 16, &text, &len), ERR_OK);
    assert_int_equal(len, all.len);
    assert_int_equal(text[0], 9);
    assert_memory_equal(text + at[1], all.data + at[1], all.len - at[1]);
    mem_free(text);
    /* One that is whole, though another, stays: the journal's is older. */
    struct buf newer;
    buf_init(&newer, 1 << 16);
    (void)make_batch(&newer, 777, 201);
    assert_int_equal(newer.len, at[2] - at[1]);
    memcpy(all.data + at[1], newer.data, newer.len);
    memset(all.data + at[3] + 70, 0, 20);
    assert_int_equal(env_write_file_atomic(f.env, "data/segment", buf_bytes(&all)), ERR_OK);
    assert_true(fill_segment(&f, 0, 101));
    assert_int_equal(env_read_file(f.env, "data/segment", 1 << 16, &text, &len), ERR_OK);
    assert_memory_equal(text + at[1], newer.data, newer.len);
    struct batch_view last;
    assert_int_equal(
        batch_parse((struct bytes){(uint8_t *)text + at[3], len - at[3]}, &last), ERR_OK);
    assert_true(batch_crc_ok(&last));
    mem_free(text);
    buf_fini(&newer);
    buf_fini(&all);
    tear_down(&f);
}

TEST_MAIN(cmocka_unit_test(what_lies_behind_damage_comes_back_where_nothing_whole_stands),
    cmocka_unit_test(what_was_journaled_comes_back_after_a_power_cut),
    cmocka_unit_test(what_fits_no_place_stays_where_it_is),
    cmocka_unit_test(of_two_writes_to_one_place_the_later_counts),
    cmocka_unit_test(a_lap_that_is_needed_is_not_written_over),
    cmocka_unit_test(a_lap_that_nobody_needs_is_written_over),
    cmocka_unit_test(a_damaged_batch_hides_no_other),
    cmocka_unit_test(bytes_that_look_like_a_batch_are_none),
    cmocka_unit_test(short_laps_turn_all_the_time),
    cmocka_unit_test(a_failed_sync_is_told_and_final), cmocka_unit_test(a_full_disk_is_no_failure))
