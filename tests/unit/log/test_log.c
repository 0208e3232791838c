#include <string.h>
#include <sys/stat.h>

#include "log/log.h"
#include "log/log_priv.h"
#include "log_fixture.h"

#define LOG0 "00000000000000000000.log"
#define INDEX0 "00000000000000000000.index"
#define TIME0 "00000000000000000000.timeindex"

static void
offsets_are_consecutive_over_batches_and_reopening(void **state)
{
    struct log_fixture fx;
    (void)state;
    fixture_init(&fx);
    fixture_open(&fx, true, 0, 0);
    assert_int_equal(fixture_add(&fx, 3, 10), 0);
    assert_int_equal(fixture_add(&fx, 2, 10), 3);
    assert_int_equal(log_end_offset(fx.log), 5);
    fixture_reopen(&fx);
    assert_int_equal(fixture_add(&fx, 1, 10), 5);
    assert_int_equal(fixture_check_all(&fx), 3);
    fixture_fini(&fx);
}

static void
read_serves_whole_batches_within_the_limit_but_at_least_one(void **state)
{
    struct log_fixture fx;
    struct buf bytes;
    struct log_slice slice;
    (void)state;
    fixture_init(&fx);
    fixture_open(&fx, true, 0, 0);
    for (int i = 0; i < 10; i++)
        fixture_add(&fx, 1, 100);
    size_t one = (size_t)log_size_bytes(fx.log) / 10;
    assert_int_equal(fixture_read(&fx, 2, 3 * one + 5, &bytes, &slice), ERR_OK);
    assert_int_equal(slice.len, 3 * one);
    assert_int_equal(slice.first_offset, 2);
    assert_int_equal(slice.end_offset, 5);
    buf_fini(&bytes);
    assert_int_equal(fixture_read(&fx, 9, 1, &bytes, &slice), ERR_OK);
    assert_int_equal(slice.len, one);
    buf_fini(&bytes);
    struct log_read_opts opts = {.offset = 0, .bound_offset = 10, .max_bytes = one - 1};
    assert_int_equal(log_read(fx.log, &opts, &slice), ERR_OK);
    assert_null(slice.file);
    fixture_fini(&fx);
}

static void
read_stays_below_the_bound_and_tells_out_of_range(void **state)
{
    struct log_fixture fx;
    struct log_slice slice;
    (void)state;
    fixture_init(&fx);
    fixture_open(&fx, true, 0, 0);
    for (int i = 0; i < 10; i++)
        fixture_add(&fx, 2, 3000);
    struct log_read_opts opts = {
        .offset = 3, .bound_offset = 12, .max_bytes = 1 << 20, .min_one = true};
    assert_int_equal(log_read(fx.log, &opts, &slice), ERR_OK);
    assert_int_equal(slice.first_offset, 2);
    assert_int_equal(slice.end_offset, 12);
    assert_int_equal(slice.len, (size_t)log_size_bytes(fx.log) / 10 * 5);
    env_file_close(&slice.file);
    opts.offset = 12;
    assert_int_equal(log_read(fx.log, &opts, &slice), ERR_OK);
    assert_null(slice.file);
    opts.offset = 20;
    assert_int_equal(log_read(fx.log, &opts, &slice), ERR_OK);
    assert_null(slice.file);
    opts.offset = 21;
    assert_int_equal(log_read(fx.log, &opts, &slice), ERR_RANGE);
    assert_int_equal(log_start_advance(fx.log, 4), ERR_OK);
    opts.offset = 3;
    assert_int_equal(log_read(fx.log, &opts, &slice), ERR_RANGE);
    fixture_fini(&fx);
}

static void
every_offset_is_found_through_rolls_and_indexes(void **state)
{
    struct log_fixture fx;
    (void)state;
    fixture_init(&fx);
    fx.config.segment_bytes = 60000;
    fx.config.index_interval_bytes = 300;
    fixture_open(&fx, true, 0, 0);
    for (int i = 0; i < 700; i++)
        fixture_add(&fx, 1 + i % 4, (size_t)(20 + i % 90));
    assert_true(log_segment_count(fx.log) > 2);
    for (int round = 0; round < 2; round++) {
        for (int64_t offset = 0; offset < log_end_offset(fx.log); offset += 3) {
            struct buf bytes;
            struct log_slice slice;
            struct batch_view batch;
            assert_int_equal(fixture_read(&fx, offset, 1, &bytes, &slice), ERR_OK);
            assert_int_equal(batch_parse(buf_bytes(&bytes), &batch), ERR_OK);
            assert_true(batch.base_offset <= offset && batch_last_offset(&batch) >= offset);
            buf_fini(&bytes);
        }
        assert_int_equal(fixture_check_all(&fx), 700);
        fixture_reopen(&fx);
    }
    fixture_fini(&fx);
}

static void
an_index_of_thousands_of_entries_is_searched_from_anywhere_to_anywhere(void **state)
{
    enum { BATCHES = 3000, RECORDS = 2 };
    struct log_fixture fx;
    uint64_t random = 7;
    int64_t offset = 0;
    (void)state;
    fixture_init(&fx);
    fx.config.index_interval_bytes = 1; /* an entry a batch */
    fixture_open(&fx, true, 0, 0);
    for (int i = 0; i < BATCHES; i++)
        fixture_add(&fx, RECORDS, 10);
    assert_int_equal(log_segment_count(fx.log), 1);
    /* Jumps, then neighbours onwards, backwards, and a block apart. */
    for (int i = 0; i < 4 * BATCHES; i++) {
        static const int64_t steps[] = {RECORDS, -RECORDS, RECORDS * 512};
        struct buf bytes;
        struct log_slice slice;
        struct batch_view batch;
        random = random * 6364136223846793005u + 1442695040888963407u;
        offset = i % 8 == 0 ? (int64_t)(random >> 33) : offset + steps[i / 8 % 3];
        offset = (offset % (BATCHES * RECORDS) + BATCHES * RECORDS) % (BATCHES * RECORDS);
        assert_int_equal(fixture_read(&fx, offset, 1, &bytes, &slice), ERR_OK);
        assert_int_equal(batch_parse(buf_bytes(&bytes), &batch), ERR_OK);
        assert_int_equal(batch.base_offset, offset / RECORDS * RECORDS);
        buf_fini(&bytes);
    }
    fixture_fini(&fx);
}

static void
a_segment_rolls_at_its_size_and_not_before(void **state)
{
    struct log_fixture fx;
    (void)state;
    fixture_init(&fx);
    fixture_open(&fx, true, 0, 0);
    fixture_add(&fx, 1, 100);
    int64_t one = log_size_bytes(fx.log);
    struct log_config config = log_get_config(fx.log);
    config.segment_bytes = (int32_t)(3 * one);
    log_set_config(fx.log, &config);
    fixture_add(&fx, 1, 100);
    fixture_add(&fx, 1, 100);
    assert_int_equal(log_segment_count(fx.log), 1);
    fixture_add(&fx, 1, 100);
    assert_int_equal(log_segment_count(fx.log), 2);
    fixture_fini(&fx);
}

static void
timestamps_lead_to_the_first_record_not_older(void **state)
{
    struct log_fixture fx;
    struct log_time_offset found;
    (void)state;
    fixture_init(&fx);
    fx.config.segment_bytes = 20000;
    fx.config.index_interval_bytes = 500;
    fixture_open(&fx, true, 0, 0);
    int64_t t0 = fx.timestamp;
    for (int i = 0; i < 200; i++)
        fixture_add(&fx, 3, 50);
    assert_true(log_segment_count(fx.log) > 1);
    for (int64_t i = 0; i < 600; i += 7) {
        assert_int_equal(log_offset_for_time(fx.log, t0 + i, &found), ERR_OK);
        assert_int_equal(found.offset, i);
        assert_int_equal(found.timestamp, t0 + i);
        assert_int_equal(found.leader_epoch, 0);
    }
    assert_int_equal(log_offset_for_time(fx.log, t0 - 5, &found), ERR_OK);
    assert_int_equal(found.offset, 0);
    assert_int_equal(log_offset_for_time(fx.log, t0 + 600, &found), ERR_OK);
    assert_int_equal(found.offset, -1);
    assert_int_equal(log_offset_for_max_timestamp(fx.log, &found), ERR_OK);
    assert_int_equal(found.offset, 599);
    assert_int_equal(found.timestamp, t0 + 599);
    fx.timestamp = t0 + 100; /* late ones change neither */
    fixture_add(&fx, 3, 50);
    fixture_reopen(&fx);
    assert_int_equal(log_offset_for_max_timestamp(fx.log, &found), ERR_OK);
    assert_int_equal(found.offset, 599);
    assert_int_equal(log_offset_for_time(fx.log, t0 + 102, &found), ERR_OK);
    assert_int_equal(found.offset, 102);
    assert_int_equal(log_start_advance(fx.log, 300), ERR_OK);
    assert_int_equal(log_offset_for_time(fx.log, t0, &found), ERR_OK);
    assert_int_equal(found.offset, 300);
    fixture_fini(&fx);
}

static void
truncation_leaves_exactly_the_prefix(void **state)
{
    struct log_fixture fx;
    (void)state;
    fixture_init(&fx);
    fx.config.segment_bytes = 20000;
    fixture_open(&fx, true, 0, 0);
    for (int i = 0; i < 300; i++) {
        fx.epoch = i / 100;
        fixture_add(&fx, 2, 200);
    }
    log_set_high_watermark(fx.log, 600);
    assert_int_equal(log_flush_now(fx.log), ERR_OK);
    assert_int_equal(log_truncate(fx.log, 301), ERR_OK); /* straddles 300..301 */
    assert_int_equal(log_end_offset(fx.log), 300);
    assert_int_equal(log_high_watermark(fx.log), 300);
    assert_int_equal(log_recovery_point(fx.log), 300);
    assert_int_equal(log_latest_epoch(fx.log), 1);
    assert_int_equal(fixture_check_all(&fx), 150);
    assert_int_equal(fixture_add(&fx, 1, 10), 300);
    fixture_reopen(&fx);
    assert_int_equal(fixture_check_all(&fx), 151);
    assert_int_equal(log_truncate(fx.log, 0), ERR_OK);
    assert_int_equal(log_end_offset(fx.log), 0);
    assert_int_equal(log_size_bytes(fx.log), 0);
    assert_int_equal(log_truncate_fully(fx.log, 1000), ERR_OK);
    assert_int_equal(fixture_add(&fx, 1, 10), 1000);
    fixture_reopen(&fx);
    assert_int_equal(log_start_offset(fx.log), 1000);
    fixture_fini(&fx);
}

static void
retention_removes_old_segments_below_the_high_watermark_only(void **state)
{
    struct log_fixture fx;
    int32_t deleted;
    (void)state;
    fixture_init(&fx);
    fx.config.segment_bytes = 10000;
    fx.config.retention_bytes = 25000;
    fx.config.retention_ms = -1;
    fixture_open(&fx, true, 0, 0);
    for (int i = 0; i < 100; i++)
        fixture_add(&fx, 1, 500);
    int32_t before = log_segment_count(fx.log);
    assert_int_equal(log_retain(fx.log, &deleted), ERR_OK);
    assert_int_equal(deleted, 0); /* nothing is committed */
    log_set_high_watermark(fx.log, 100);
    assert_int_equal(log_retain(fx.log, &deleted), ERR_OK);
    assert_true(deleted > 0);
    assert_int_equal(log_segment_count(fx.log), before - deleted);
    assert_true(log_size_bytes(fx.log) >= 25000);
    assert_true(log_start_offset(fx.log) > 0);
    fixture_check_all(&fx);
    struct log_config config = log_get_config(fx.log);
    config.retention_ms = 1; /* the records are of 1970 */
    log_set_config(fx.log, &config);
    assert_int_equal(log_retain(fx.log, &deleted), ERR_OK);
    assert_int_equal(log_start_offset(fx.log), 100);
    assert_int_equal(log_segment_count(fx.log), 1);
    assert_int_equal(log_size_bytes(fx.log), 0);
    assert_int_equal(fixture_add(&fx, 1, 10), 100);
    fixture_reopen(&fx);
    assert_int_equal(log_start_offset(fx.log), 100);
    fixture_fini(&fx);
}

static void
segments_below_a_moved_log_start_go(void **state)
{
    struct log_fixture fx;
    int32_t deleted;
    (void)state;
    fixture_init(&fx);
    fx.config.segment_bytes = 10000;
    fixture_open(&fx, true, 0, 0);
    fx.timestamp = env_wall_ms(fx.env);
    for (int i = 0; i < 100; i++)
        fixture_add(&fx, 1, 500);
    log_set_high_watermark(fx.log, 100);
    assert_int_equal(log_start_advance(fx.log, 55), ERR_OK);
    assert_int_equal(log_retain(fx.log, &deleted), ERR_OK);
    assert_true(deleted >= 2);
    assert_int_equal(log_start_offset(fx.log), 55);
    assert_int_equal(log_start_advance(fx.log, 200), ERR_RANGE);
    fixture_fini(&fx);
}

static void
leader_epochs_say_where_each_ended(void **state)
{
    struct log_fixture fx;
    int32_t epoch;
    int64_t end;
    (void)state;
    fixture_init(&fx);
    fixture_open(&fx, true, 0, 0);
    fx.epoch = 1;
    fixture_add(&fx, 5, 10);
    fx.epoch = 4;
    fixture_add(&fx, 5, 10);
    fixture_reopen(&fx);
    log_epoch_end(fx.log, 1, &epoch, &end);
    assert_int_equal(epoch, 1);
    assert_int_equal(end, 5);
    log_epoch_end(fx.log, 3, &epoch, &end);
    assert_int_equal(epoch, 1);
    assert_int_equal(end, 5);
    log_epoch_end(fx.log, 4, &epoch, &end);
    assert_int_equal(epoch, 4);
    assert_int_equal(end, 10);
    log_epoch_end(fx.log, 5, &epoch, &end);
    assert_int_equal(epoch, -1);
    assert_int_equal(end, -1);
    assert_int_equal(log_epoch_for_offset(fx.log, 4), 1);
    assert_int_equal(log_epoch_for_offset(fx.log, 5), 4);
    fixture_fini(&fx);
}

static void
a_retried_batch_is_a_duplicate_even_after_reopening(void **state)
{
    struct log_fixture fx;
    struct log_append_result result;
    struct fixture_batch batch = {.count = 3, .value_bytes = 10, .producer_id = 7};
    (void)state;
    fixture_init(&fx);
    fx.timestamp = env_wall_ms(fx.env); /* old ones expire */
    fixture_open(&fx, true, 0, 0);
    assert_int_equal(fixture_append(&fx, &batch, &result), ERR_OK);
    assert_int_equal(result.reject, LOG_REJECT_NONE);
    for (int round = 0; round < 3; round++) {
        assert_int_equal(fixture_append(&fx, &batch, &result), ERR_OK);
        assert_int_equal(result.reject, LOG_REJECT_DUPLICATE);
        assert_int_equal(result.first_offset, 0);
        assert_int_equal(result.last_offset, 2);
        if (round == 0)
            fixture_reopen(&fx);
        else
            fixture_kill(&fx, 0, 0);
    }
    batch.base_sequence = 7;
    assert_int_equal(fixture_append(&fx, &batch, &result), ERR_OK);
    assert_int_equal(result.reject, LOG_REJECT_OUT_OF_ORDER_SEQUENCE);
    assert_int_equal(log_end_offset(fx.log), 3);
    fixture_fini(&fx);
}

static void
aborted_transactions_are_listed_and_survive(void **state)
{
    struct log_fixture fx;
    struct log_append_result result;
    struct log_aborted_txn *txns;
    struct arena arena;
    int32_t count;
    (void)state;
    fixture_init(&fx);
    arena_init(&arena, 1 << 20);
    fixture_open(&fx, true, 0, 0);
    struct fixture_batch batch = {
        .count = 2, .value_bytes = 10, .producer_id = 7, .transactional = true};
    assert_int_equal(fixture_append(&fx, &batch, &result), ERR_OK);
    assert_int_equal(result.reject, LOG_REJECT_NONE);
    fixture_add(&fx, 1, 10);
    log_set_high_watermark(fx.log, 3);
    assert_int_equal(log_last_stable_offset(fx.log), 0);
    assert_int_equal(fixture_marker(&fx, 7, 0, false), 3);
    log_set_high_watermark(fx.log, 4);
    assert_int_equal(log_last_stable_offset(fx.log), 4);
    for (int round = 0; round < 3; round++) {
        assert_int_equal(log_aborted_txns(fx.log, 0, 4, &arena, &txns, &count), ERR_OK);
        assert_int_equal(count, 1);
        assert_int_equal(txns[0].producer_id, 7);
        assert_int_equal(txns[0].first_offset, 0);
        assert_int_equal(log_aborted_txns(fx.log, 4, 5, &arena, &txns, &count), ERR_OK);
        assert_int_equal(count, 0);
        if (round == 0)
            fixture_reopen(&fx);
        else
            fixture_kill(&fx, 0, 0);
    }
    assert_int_equal(fixture_file_size(&fx, "00000000000000000000.txnindex"), 34);
    arena_fini(&arena);
    fixture_fini(&fx);
}

static void
a_follower_keeps_offsets_and_epochs_of_its_leader(void **state)
{
    struct log_fixture leader, follower;
    struct log_append_result result;
    struct log_slice slice;
    struct buf bytes;
    (void)state;
    fixture_init(&leader);
    fixture_init(&follower);
    fixture_open(&leader, true, 0, 0);
    fixture_open(&follower, true, 0, 0);
    leader.epoch = 3;
    fixture_add(&leader, 4, 100);
    leader.epoch = 6;
    fixture_add(&leader, 4, 100);
    assert_int_equal(fixture_read(&leader, 0, 1 << 20, &bytes, &slice), ERR_OK);
    assert_int_equal(
        log_append_follower(follower.log, bytes.data, bytes.len - 1, INT32_MAX, &result), ERR_OK);
    assert_int_equal(result.reject, LOG_REJECT_NONE);
    assert_int_equal(log_end_offset(follower.log), 4); /* the cut batch is left out */
    buf_fini(&bytes);
    assert_int_equal(fixture_read(&leader, 4, 1 << 20, &bytes, &slice), ERR_OK);
    assert_int_equal(
        log_append_follower(follower.log, bytes.data, bytes.len, INT32_MAX, &result), ERR_OK);
    assert_int_equal(log_end_offset(follower.log), 8);
    assert_int_equal(log_latest_epoch(follower.log), 6);
    assert_int_equal(log_epoch_for_offset(follower.log, 3), 3);
    buf_fini(&bytes);
    fixture_fini(&leader);
    fixture_fini(&follower);
}

/* What is left of a compacted log: batches of one record at 0, 10, 20, ... */
static void
a_follower_of_a_compacted_log_has_no_holes_between_segments(void **state)
{
    struct log_fixture leader, follower;
    struct log_append_result result;
    struct log_slice slice;
    struct buf bytes;
    (void)state;
    fixture_init(&leader);
    fixture_open(&leader, true, 0, 0);
    for (int i = 0; i < 100; i++)
        fixture_add(&leader, 1, 100);
    fixture_init(&follower);
    follower.config.segment_bytes = 1000;
    follower.config.index_interval_bytes = 300;
    fixture_open(&follower, true, 0, 0);
    for (int64_t offset = 5; offset < 100; offset += 10) {
        assert_int_equal(fixture_read(&leader, offset, 100, &bytes, &slice), ERR_OK);
        assert_int_equal(
            log_append_follower(follower.log, bytes.data, bytes.len, INT32_MAX, &result), ERR_OK);
        assert_int_equal(result.first_offset, offset);
        buf_fini(&bytes);
    }
    assert_true(log_segment_count(follower.log) > 1);
    for (int32_t i = 1; i < log_segment_count(follower.log); i++)
        assert_int_equal(follower.log->segments[i]->base_offset % 10, 6);
    follower.gaps_are_losses = true;
    for (int round = 0; round < 2; round++) {
        if (round == 0)
            fixture_kill(&follower, 0, 0);
        else
            fixture_reopen(&follower);
        assert_int_equal(log_end_offset(follower.log), 96);
        for (int64_t offset = 0; offset < 96; offset++) {
            assert_int_equal(fixture_read(&follower, offset, 1, &bytes, &slice), ERR_OK);
            assert_int_equal(slice.first_offset, (offset + 4) / 10 * 10 + 5);
            buf_fini(&bytes);
        }
    }
    fixture_fini(&leader);
    fixture_fini(&follower);
}

static void
a_flush_in_three_steps_covers_what_came_before_it(void **state)
{
    struct log_fixture fx;
    struct log_flush flush;
    (void)state;
    fixture_init(&fx);
    fixture_open(&fx, true, 0, 0);
    fixture_add(&fx, 2, 10);
    assert_true(log_flush_needed(fx.log));
    assert_int_equal(log_flush_begin(fx.log, &flush), ERR_OK);
    fixture_add(&fx, 2, 10);
    enum err err = log_flush_run(&flush);
    assert_int_equal(log_flush_end(fx.log, &flush, err), ERR_OK);
    assert_int_equal(log_recovery_point(fx.log), 2);
    assert_true(log_flush_needed(fx.log));
    assert_int_equal(log_flush_now(fx.log), ERR_OK);
    assert_int_equal(log_recovery_point(fx.log), 4);
    assert_false(log_flush_needed(fx.log));
    fixture_fini(&fx);
}

static void
after_a_failed_flush_appends_and_flushes_are_refused(void **state)
{
    struct log_fixture fx;
    struct log_flush flush;
    struct log_append_result result;
    struct fixture_batch batch = {.count = 1, .value_bytes = 10};
    (void)state;
    fixture_init(&fx);
    fixture_open(&fx, true, 0, 0);
    fixture_add(&fx, 2, 10);
    assert_int_equal(log_flush_begin(fx.log, &flush), ERR_OK);
    assert_int_equal(log_flush_end(fx.log, &flush, ERR_IO), ERR_IO);
    assert_int_equal(log_state(fx.log), LOG_FAILED);
    assert_int_equal(log_recovery_point(fx.log), 0);
    assert_int_equal(fixture_append(&fx, &batch, &result), ERR_FAILED);
    assert_int_equal(log_flush_begin(fx.log, &flush), ERR_FAILED);
    assert_int_equal(fixture_check_all(&fx), 1); /* reads do their best */
    fixture_fini(&fx);
}

static void
preallocated_segments_end_where_their_data_ends(void **state)
{
    struct log_fixture fx;
    (void)state;
    fixture_init(&fx);
    fx.config.preallocate = true;
    fx.config.segment_bytes = 1 << 20;
    fixture_open(&fx, true, 0, 0);
    fixture_add(&fx, 3, 100);
    int64_t size = log_size_bytes(fx.log);
    assert_int_equal(log_close(&fx.log), ERR_OK);
    assert_int_equal(fixture_file_size(&fx, LOG0), size);
    fixture_open(&fx, true, 0, 0);
    assert_int_equal(log_end_offset(fx.log), 3);
    fixture_fini(&fx);
}

static int64_t
blocks_bytes(const struct log_fixture *fx, const char *name)
{
    char path[512];
    struct stat st;
    fixture_path(fx, path, sizeof path, name);
    assert_int_equal(stat(path, &st), 0);
    return (int64_t)st.st_blocks * 512;
}

/* While it is written; a quarter of what is there, and nothing of a small one. */
static void
space_is_reserved_ahead_of_a_large_segment_and_given_back(void **state)
{
    struct log_fixture fx;
    const int64_t page = 4096, mb = 1000000;
    (void)state;
    fixture_init(&fx);
    fx.config.segment_bytes = 8 << 20;
    fixture_open(&fx, true, 0, 0);
    fixture_add(&fx, 1, (size_t)mb);
    assert_in_range(blocks_bytes(&fx, LOG0), 0, mb + 2 * page); /* blocks may not be given yet */
    for (int i = 0; i < 4; i++)
        fixture_add(&fx, 1, (size_t)mb);
    int64_t size = fixture_file_size(&fx, LOG0);
    assert_in_range(size, 5 * mb, 5 * mb + page);
    assert_in_range(blocks_bytes(&fx, LOG0), size + mb / 2, size + size / 4 + 2 * page);
    for (int i = 0; i < 2; i++)
        fixture_add(&fx, 1, (size_t)mb);
    assert_in_range(blocks_bytes(&fx, LOG0), 0, (8 << 20) + 2 * page); /* not above segment.bytes */
    assert_int_equal(log_roll(fx.log), ERR_OK);
    size = fixture_file_size(&fx, LOG0);
    assert_in_range(blocks_bytes(&fx, LOG0), 0, size + 2 * page);
    fixture_reopen(&fx);
    assert_int_equal(fixture_check_all(&fx), 7);
    fixture_fini(&fx);
}

static void
topic_id_is_kept_and_another_is_refused(void **state)
{
    struct log_fixture fx;
    struct uuid a = {{1, 2, 3}}, b = {{4}};
    (void)state;
    fixture_init(&fx);
    fixture_open(&fx, true, 0, 0);
    assert_int_equal(log_set_topic_id(fx.log, a), ERR_OK);
    fixture_reopen(&fx);
    assert_true(uuid_eq(log_topic_id(fx.log), a));
    assert_int_equal(log_set_topic_id(fx.log, b), ERR_WRONG_STATE);
    fixture_fini(&fx);
}

/* Apache Kafka logs an error and scans where it finds none. */
static void
every_segment_has_an_offset_index_even_if_empty(void **state)
{
    static const char first[] = "00000000000000000000.index";
    struct log_fixture fx;
    char path[512];
    (void)state;
    fixture_init(&fx);
    fixture_open(&fx, true, 0, 0);
    assert_int_equal(fixture_file_size(&fx, first), 0);
    assert_int_equal(log_close(&fx.log), ERR_OK);
    fixture_path(&fx, path, sizeof path, first);
    assert_int_equal(env_unlink(fx.env, path), ERR_OK);
    fixture_open(&fx, true, 0, 0);
    assert_false(fixture_exists(&fx, first)); /* a start writes nothing */
    assert_int_equal(log_close(&fx.log), ERR_OK);
    assert_int_equal(fixture_file_size(&fx, first), 0);
    fixture_open(&fx, true, 0, 0);
    fixture_add(&fx, 7, 10);
    assert_int_equal(log_roll(fx.log), ERR_OK);
    assert_int_equal(fixture_file_size(&fx, "00000000000000000007.index"), 0);
    fixture_fini(&fx);
}

static void
lying_indexes_are_rebuilt(void **state)
{
    struct log_fixture fx;
    struct log_time_offset found;
    uint8_t zeros[64] = {0};
    (void)state;
    for (int how = 0; how < 4; how++) {
        fixture_init(&fx);
        fx.config.index_interval_bytes = 300;
        fixture_open(&fx, true, 0, 0);
        int64_t t0 = fx.timestamp;
        for (int i = 0; i < 100; i++)
            fixture_add(&fx, 1, 100);
        assert_int_equal(log_close(&fx.log), ERR_OK);
        int64_t size = fixture_file_size(&fx, INDEX0);
        assert_true(size >= 8 * 20);
        if (how == 0)
            fixture_cut(&fx, INDEX0, size - 3);
        else if (how == 1)
            fixture_cut(&fx, TIME0, 0);
        else if (how == 2)
            fixture_poke(&fx, INDEX0, size / 2 / 8 * 8, zeros, sizeof zeros);
        else
            fixture_poke(&fx, INDEX0, size - 8, zeros, 8);
        fixture_open(&fx, true, 0, 0);
        assert_int_equal(log_end_offset(fx.log), 100);
        assert_int_equal(fixture_check_all(&fx), 100);
        for (int64_t offset = 0; offset < 100; offset++) {
            struct buf bytes;
            struct log_slice slice;
            log_cursors_clear(fx.log);
            assert_int_equal(fixture_read(&fx, offset, 1, &bytes, &slice), ERR_OK);
            assert_int_equal(slice.first_offset, offset);
            buf_fini(&bytes);
        }
        assert_int_equal(log_offset_for_time(fx.log, t0 + 50, &found), ERR_OK);
        assert_int_equal(found.offset, 50);
        fixture_fini(&fx);
    }
}

TEST_MAIN(cmocka_unit_test(offsets_are_consecutive_over_batches_and_reopening),
    cmocka_unit_test(read_serves_whole_batches_within_the_limit_but_at_least_one),
    cmocka_unit_test(read_stays_below_the_bound_and_tells_out_of_range),
    cmocka_unit_test(every_offset_is_found_through_rolls_and_indexes),
    cmocka_unit_test(an_index_of_thousands_of_entries_is_searched_from_anywhere_to_anywhere),
    cmocka_unit_test(a_segment_rolls_at_its_size_and_not_before),
    cmocka_unit_test(timestamps_lead_to_the_first_record_not_older),
    cmocka_unit_test(truncation_leaves_exactly_the_prefix),
    cmocka_unit_test(retention_removes_old_segments_below_the_high_watermark_only),
    cmocka_unit_test(segments_below_a_moved_log_start_go),
    cmocka_unit_test(leader_epochs_say_where_each_ended),
    cmocka_unit_test(a_retried_batch_is_a_duplicate_even_after_reopening),
    cmocka_unit_test(aborted_transactions_are_listed_and_survive),
    cmocka_unit_test(a_follower_keeps_offsets_and_epochs_of_its_leader),
    cmocka_unit_test(a_follower_of_a_compacted_log_has_no_holes_between_segments),
    cmocka_unit_test(a_flush_in_three_steps_covers_what_came_before_it),
    cmocka_unit_test(after_a_failed_flush_appends_and_flushes_are_refused),
    cmocka_unit_test(preallocated_segments_end_where_their_data_ends),
    cmocka_unit_test(space_is_reserved_ahead_of_a_large_segment_and_given_back),
    cmocka_unit_test(topic_id_is_kept_and_another_is_refused),
    cmocka_unit_test(every_segment_has_an_offset_index_even_if_empty),
    cmocka_unit_test(lying_indexes_are_rebuilt))
