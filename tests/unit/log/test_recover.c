#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "log/log.h"
#include "log/log_priv.h"
#include "log_fixture.h"

#define LOG0 "00000000000000000000.log"
#define INDEX0 "00000000000000000000.index"

/* Ten batches of one record; the last begins at *last, the log ends at *end. */
static void
ten_batches(struct log_fixture *fx, size_t value_bytes, int64_t *last, int64_t *end)
{
    fixture_init(fx);
    fx->config.index_interval_bytes = 500;
    fixture_open(fx, true, 0, 0);
    for (int i = 0; i < 10; i++) {
        *last = log_size_bytes(fx->log);
        fixture_add(fx, 1, value_bytes);
    }
    *end = log_size_bytes(fx->log);
}

static void
a_tail_cut_at_any_byte_goes_back_to_the_batch_before(void **state)
{
    struct log_fixture fx;
    int64_t last, end;
    (void)state;
    ten_batches(&fx, 40, &last, &end);
    log_abandon(&fx.log);
    for (int64_t size = end - 1; size > last; size--) {
        fixture_cut(&fx, LOG0, size);
        fixture_open(&fx, false, 0, 0);
        assert_int_equal(log_state(fx.log), LOG_OPEN);
        assert_int_equal(log_end_offset(fx.log), 9);
        assert_int_equal(fixture_file_size(&fx, LOG0), last);
        fx.timestamp = 1000009;
        assert_int_equal(fixture_add(&fx, 1, 40), 9);
        assert_int_equal(log_size_bytes(fx.log), end);
        log_abandon(&fx.log);
    }
    fixture_fini(&fx);
}

/* Else a power cut could show its bytes through what is written there next. */
static void
what_is_cut_off_is_gone_before_anything_is_written(void **state)
{
    struct log_fixture fx;
    (void)state;
    fixture_init(&fx);
    fixture_open(&fx, true, 0, 0);
    fixture_add(&fx, 1, 40);
    log_abandon(&fx.log);
    fixture_cut(&fx, LOG0, 48);
    fixture_open(&fx, false, 0, 0);
    assert_int_equal(log_end_offset(fx.log), 0);
    assert_int_equal(fixture_file_size(&fx, LOG0), 0);
    assert_null(log_active(fx.log)->dirty_file);
    fixture_fini(&fx);
}

static void
a_zero_filled_tail_is_torn(void **state)
{
    struct log_fixture fx;
    int64_t last, end;
    static const int64_t lengths[] = {1, 17, 60, 61, 511, 4096, 1 << 20};
    (void)state;
    ten_batches(&fx, 40, &last, &end);
    log_abandon(&fx.log);
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        fixture_cut(&fx, LOG0, end + lengths[i]);
        fixture_open(&fx, false, 5, 5);
        assert_int_equal(log_state(fx.log), LOG_OPEN);
        assert_int_equal(log_end_offset(fx.log), 10);
        assert_int_equal(fixture_file_size(&fx, LOG0), end);
        log_abandon(&fx.log);
    }
    fixture_fini(&fx);
}

static void
lost_sectors_within_unflushed_data_are_torn_even_if_more_follows(void **state)
{
    struct log_fixture fx;
    int64_t last, end;
    uint8_t zeros[512] = {0};
    (void)state;
    ten_batches(&fx, 2000, &last, &end);
    log_abandon(&fx.log);
    int64_t batch = end / 10;
    int64_t sector = (5 * batch / 512 + 2) * 512; /* wholly within batch 5 */
    fixture_poke(&fx, LOG0, sector, zeros, sizeof zeros);
    fixture_open(&fx, false, 3, 3);
    assert_int_equal(log_state(fx.log), LOG_OPEN);
    assert_int_equal(log_end_offset(fx.log), 5);
    assert_int_equal(fixture_check_all(&fx), 5);
    fixture_fini(&fx);
}

/* The base offset of a batch that begins a few bytes before the border of a sector can be lost with
 * its sector; no checksum covers it, so the rest of the batch looks whole. */
static void
a_lost_sector_that_held_only_a_base_offset_is_torn(void **state)
{
    struct log_fixture fx;
    int64_t last, end;
    uint8_t zeros[BATCH_AT_LENGTH + 3] = {0}; /* the length's first three bytes are zeros */
    int borders = 0;
    (void)state;
    ten_batches(&fx, 100, &last, &end);
    int64_t without_value = end / 10 - 100;
    fixture_fini(&fx);
    for (int64_t value = 100; value < 612; value++) {
        int64_t number = 3 + 2 * (value % 3); /* in more bits than one */
        int64_t position = number * (without_value + value), left = 512 - position % 512;
        if (left < BATCH_AT_LENGTH || left > (int64_t)sizeof zeros)
            continue;
        borders++;
        ten_batches(&fx, (size_t)value, &last, &end);
        assert_int_equal(end / 10, without_value + value);
        log_abandon(&fx.log);
        fixture_poke(&fx, LOG0, position, zeros, (size_t)left);
        fixture_open(&fx, false, 0, 0);
        assert_int_equal(log_state(fx.log), LOG_OPEN);
        assert_int_equal(log_end_offset(fx.log), number);
        assert_int_equal(fixture_file_size(&fx, LOG0), position);
        assert_int_equal(fixture_check_all(&fx), number);
        fixture_fini(&fx);
    }
    assert_true(borders > 2);
}

/* Where the batch had a single bit in the lost sector: in its base offset, or its value's last byte
 * and the number of headers, which is 0. That bit rotting would look the same. */
static void
a_bit_lost_with_its_sector_is_put_back(void **state)
{
    static const int64_t base_numbers[] = {2, 4}, value_numbers[] = {0, 1};
    struct log_fixture fx;
    int64_t last, end;
    uint8_t zeros[BATCH_AT_LENGTH + 3] = {0};
    int bases = 0, values = 0;
    (void)state;
    ten_batches(&fx, 100, &last, &end);
    int64_t without_value = end / 10 - 100;
    fixture_fini(&fx);
    for (int64_t i = 200; i < 1224; i++) {
        int64_t value = i / 2, batch = without_value + value;
        int64_t number = base_numbers[i % 2], position = number * batch;
        int64_t left = 512 - position % 512;
        bool in_base = left >= BATCH_AT_LENGTH && left <= (int64_t)sizeof zeros;
        if (!in_base) {
            number = value_numbers[i % 2];
            position = (number + 1) * batch - 2;
            left = 2;
        }
        if (!in_base && position % 512 != 0)
            continue;
        ten_batches(&fx, (size_t)value, &last, &end);
        assert_int_equal(end / 10, batch);
        log_abandon(&fx.log);
        int64_t at = position + (in_base ? 7 : 0);
        uint8_t byte = fixture_peek(&fx, LOG0, at);
        assert_int_equal(byte & (byte - 1), 0);
        fixture_poke(&fx, LOG0, position, zeros, (size_t)left);
        fixture_open(&fx, false, 0, 0);
        assert_int_equal(log_state(fx.log), LOG_OPEN);
        assert_int_equal(log_end_offset(fx.log), 10);
        assert_int_equal(fixture_check_all(&fx), 10);
        assert_int_equal(fixture_peek(&fx, LOG0, at), byte);
        fixture_fini(&fx);
        bases += in_base;
        values += !in_base;
    }
    assert_true(bases > 1 && values > 0);
}

/* With a good checksum, zeros within the batch say nothing; elsewhere than before the border of a
 * sector the base offset was not lost. */
static void
a_changed_base_offset_is_corruption(void **state)
{
    (void)state;
    for (size_t value = 100; value < 1200; value += 37) {
        struct log_fixture fx;
        int64_t last, end;
        uint8_t zeros[BATCH_AT_LENGTH] = {0};
        ten_batches(&fx, value, &last, &end);
        log_abandon(&fx.log);
        int64_t position = 7 * (end / 10);
        if (512 - position % 512 < BATCH_HEADER_SIZE)
            position = 5 * (end / 10);
        fixture_poke(&fx, LOG0, position, zeros, sizeof zeros);
        fixture_open(&fx, false, 0, 0);
        assert_int_equal(log_state(fx.log), LOG_CORRUPT);
        assert_int_equal(log_corrupt_offset(fx.log), position / (end / 10));
        fixture_fini(&fx);
    }
}

static void
a_flipped_bit_is_corruption_and_nothing_is_cut(void **state)
{
    struct log_fixture fx;
    int64_t last, end;
    struct log_append_result result;
    struct fixture_batch one = {.count = 1, .value_bytes = 40};
    (void)state;
    ten_batches(&fx, 40, &last, &end);
    log_abandon(&fx.log);
    int64_t batch = end / 10;
    /* A middle batch and the last; header fields and the body; the recovery point below. */
    static const int64_t at[] = {
        BATCH_AT_MAGIC, BATCH_AT_CRC, BATCH_AT_ATTRIBUTES, BATCH_AT_RECORD_COUNT, 70, 100};
    for (int64_t number = 4; number < 10; number += 5) {
        for (size_t i = 0; i < sizeof at / sizeof at[0]; i++) {
            int64_t position = number * batch + at[i];
            uint8_t byte = fixture_peek(&fx, LOG0, position), bad = byte ^ 0x10;
            fixture_poke(&fx, LOG0, position, &bad, 1);
            for (int round = 0; round < 2; round++) {
                fixture_open(&fx, round == 1, 2, 2); /* the second time by the marker */
                assert_int_equal(log_state(fx.log), LOG_CORRUPT);
                assert_int_equal(log_corrupt_offset(fx.log), number);
                assert_int_equal(fixture_check_all(&fx), number);
                assert_int_equal(fixture_append(&fx, &one, &result), ERR_CORRUPT);
                struct log_slice slice;
                struct log_read_opts read = {
                    .offset = number, .bound_offset = number, .max_bytes = 100};
                assert_int_equal(log_read(fx.log, &read, &slice), ERR_CORRUPT);
                assert_int_equal(log_close(&fx.log), ERR_OK);
                assert_int_equal(fixture_file_size(&fx, LOG0), end);
                assert_true(fixture_exists(&fx, LOG_CORRUPT_FILE));
            }
            fixture_poke(&fx, LOG0, position, &byte, 1);
            fixture_cut(&fx, LOG_CORRUPT_FILE, 0);
            fixture_open(&fx, false, 2, 2); /* the damage is gone, the marker stands */
            assert_int_equal(log_end_offset(fx.log), 10);
            log_abandon(&fx.log);
            char path[512];
            fixture_path(&fx, path, sizeof path, LOG_CORRUPT_FILE);
            assert_int_equal(env_unlink(fx.env, path), ERR_OK);
        }
    }
    fixture_fini(&fx);
}

static void
a_changed_length_field_of_the_last_batch_is_corruption(void **state)
{
    struct log_fixture fx;
    int64_t last, end;
    (void)state;
    ten_batches(&fx, 40, &last, &end);
    log_abandon(&fx.log);
    uint8_t bad = 0x10;
    fixture_poke(&fx, LOG0, last + BATCH_AT_LENGTH + 2, &bad, 1);
    fixture_open(&fx, false, 0, 0);
    assert_int_equal(log_state(fx.log), LOG_CORRUPT);
    assert_int_equal(log_corrupt_offset(fx.log), 9);
    fixture_fini(&fx);
}

static void
damage_below_the_recovery_point_is_corruption_even_as_zeros(void **state)
{
    struct log_fixture fx;
    int64_t last, end;
    uint8_t zeros[600] = {0};
    (void)state;
    ten_batches(&fx, 2000, &last, &end);
    log_abandon(&fx.log);
    fixture_poke(&fx, LOG0, end - 600, zeros, sizeof zeros);
    fixture_open(&fx, false, 10, 10);
    assert_int_equal(log_state(fx.log), LOG_CORRUPT);
    assert_int_equal(log_corrupt_offset(fx.log), 9);
    fixture_fini(&fx);
}

static void
committed_data_that_is_missing_makes_the_log_corrupt(void **state)
{
    struct log_fixture fx;
    int64_t last, end;
    (void)state;
    for (int clean = 0; clean < 2; clean++) {
        ten_batches(&fx, 40, &last, &end);
        assert_int_equal(log_close(&fx.log), ERR_OK);
        fixture_cut(&fx, LOG0, end / 10 * 6);
        fixture_open(&fx, clean != 0, 10, 10);
        assert_int_equal(log_state(fx.log), LOG_CORRUPT);
        assert_int_equal(log_corrupt_offset(fx.log), 6);
        assert_int_equal(fixture_check_all(&fx), 6);
        fixture_fini(&fx);
    }
}

static void
truncating_to_the_damage_ends_it(void **state)
{
    struct log_fixture fx;
    (void)state;
    fixture_init(&fx);
    fx.config.segment_bytes = 3000;
    fixture_open(&fx, true, 0, 0);
    for (int i = 0; i < 40; i++)
        fixture_add(&fx, 1, 300);
    assert_true(log_segment_count(fx.log) > 3);
    log_abandon(&fx.log);
    uint8_t bad = 0xff;
    fixture_poke(&fx, LOG0, 1000, &bad, 1);
    fixture_open(&fx, false, 0, 0);
    assert_int_equal(log_state(fx.log), LOG_CORRUPT);
    assert_int_equal(log_corrupt_offset(fx.log), 2);
    assert_int_equal(log_truncate(fx.log, 2), ERR_OK);
    assert_int_equal(log_state(fx.log), LOG_OPEN);
    assert_int_equal(fixture_add(&fx, 1, 10), 2);
    fixture_reopen(&fx);
    assert_int_equal(log_state(fx.log), LOG_OPEN);
    assert_int_equal(log_segment_count(fx.log), 1);
    assert_int_equal(fixture_check_all(&fx), 3);
    fixture_fini(&fx);
}

static void
only_what_is_above_the_recovery_point_is_scanned(void **state)
{
    struct log_fixture fx;
    (void)state;
    fixture_init(&fx);
    fx.config.index_interval_bytes = 1000;
    fixture_open(&fx, true, 0, 0);
    for (int i = 0; i < 300; i++)
        fixture_add(&fx, 1, 500);
    assert_int_equal(log_close(&fx.log), ERR_OK);
    fixture_open(&fx, false, 290, 290);
    assert_true(atomic_load(&fx.log->host->bytes_scanned) < 15 * 600);
    assert_int_equal(log_end_offset(fx.log), 300);
    assert_int_equal(fixture_check_all(&fx), 300);
    fixture_fini(&fx);
}

/* The last entry that is trusted, below the recovery point, says where the scan begins. */
static void
a_rotten_index_entry_costs_a_scan_and_no_directory(void **state)
{
    enum { BATCHES = 30, RECOVERY_POINT = 20, ENTRY = 8, FIRST = 6, LAST = 10 };
    (void)state;
    for (int bit = FIRST * ENTRY * 8; bit < LAST * ENTRY * 8; bit++) {
        struct log_fixture fx;
        fixture_init(&fx);
        fx.config.index_interval_bytes = 1000;
        fixture_open(&fx, true, 0, 0);
        for (int i = 0; i < BATCHES; i++)
            fixture_add(&fx, 1, 500);
        assert_int_equal(log_close(&fx.log), ERR_OK);
        assert_true(fixture_file_size(&fx, INDEX0) > LAST * ENTRY);
        uint8_t byte = fixture_peek(&fx, INDEX0, bit / 8) ^ (uint8_t)(1 << bit % 8);
        fixture_poke(&fx, INDEX0, bit / 8, &byte, 1);
        fixture_open(&fx, false, RECOVERY_POINT, RECOVERY_POINT);
        assert_int_equal(log_state(fx.log), LOG_OPEN);
        assert_int_equal(log_end_offset(fx.log), BATCHES);
        assert_int_equal(fixture_check_all(&fx), BATCHES);
        fixture_fini(&fx);
    }
}

static void
a_missing_epoch_file_is_rebuilt(void **state)
{
    struct log_fixture fx;
    char path[512];
    (void)state;
    fixture_init(&fx);
    fixture_open(&fx, true, 0, 0);
    fx.epoch = 2;
    fixture_add(&fx, 3, 10);
    fx.epoch = 5;
    fixture_add(&fx, 3, 10);
    assert_int_equal(log_close(&fx.log), ERR_OK);
    for (int how = 0; how < 2; how++) {
        fixture_path(&fx, path, sizeof path, LOG_EPOCH_FILE);
        if (how == 0)
            assert_int_equal(env_unlink(fx.env, path), ERR_OK);
        else
            fixture_poke(&fx, LOG_EPOCH_FILE, 0, "x", 1);
        fixture_open(&fx, true, 6, 6);
        assert_int_equal(log_epoch_for_offset(fx.log, 2), 2);
        assert_int_equal(log_epoch_for_offset(fx.log, 3), 5);
        assert_int_equal(log_close(&fx.log), ERR_OK);
    }
    fixture_fini(&fx);
}

/* No checksum covers the base offset, and a log that was closed cleanly is not scanned. */
static void
an_offset_that_cannot_be_is_damage_even_in_a_clean_log(void **state)
{
    static const uint8_t bad[2][8] = {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xf0},
        {0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};
    struct log_fixture fx;
    char path[512];
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        fixture_init(&fx);
        fixture_open(&fx, true, 0, 0);
        fixture_add(&fx, 3, 10);
        assert_int_equal(log_close(&fx.log), ERR_OK);
        fixture_poke(&fx, LOG0, 0, bad[i], sizeof bad[i]);
        fixture_path(&fx, path, sizeof path, LOG_EPOCH_FILE);
        assert_int_equal(env_unlink(fx.env, path), ERR_OK);
        fixture_open(&fx, true, 3, 3);
        assert_true(log_end_offset(fx.log) >= 0);
        assert_true(log_epoch_for_offset(fx.log, 0) <= 0);
        fixture_fini(&fx);
    }
}

/* Without a checksum a file of epochs is as good as the batches say. */
static void
rotten_epochs_are_rebuilt_from_the_batches(void **state)
{
    static const struct {
        int64_t at;
        const char *text;
    } changes[] = {{4, "3"}, {6, "1"}, {8, "7"}, {10, "4"}, {10, "2"}};
    struct log_fixture fx;
    (void)state;
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        fixture_init(&fx);
        fixture_open(&fx, true, 0, 0);
        fx.epoch = 2;
        fixture_add(&fx, 3, 10);
        fx.epoch = 5;
        fixture_add(&fx, 3, 10);
        assert_int_equal(log_close(&fx.log), ERR_OK);
        assert_int_equal(fixture_peek(&fx, LOG_EPOCH_FILE, 10), '3'); /* 0 2 | 2 0 | 5 3 */
        fixture_poke(&fx, LOG_EPOCH_FILE, changes[i].at, changes[i].text, 1);
        fixture_open(&fx, false, 6, 6);
        for (int64_t offset = 0; offset < 6; offset++)
            assert_int_equal(log_epoch_for_offset(fx.log, offset), offset < 3 ? 2 : 5);
        int32_t epoch;
        int64_t end;
        log_epoch_end(fx.log, 2, &epoch, &end);
        assert_int_equal(epoch, 2);
        assert_int_equal(end, 3);
        fixture_fini(&fx);
    }
}

static void
half_done_replacements_are_settled_in_order(void **state)
{
    struct log_fixture fx;
    char from[512], to[512];
    (void)state;
    fixture_init(&fx);
    fx.config.segment_bytes = 3000;
    fixture_open(&fx, true, 0, 0);
    for (int i = 0; i < 30; i++)
        fixture_add(&fx, 1, 300);
    int32_t segments = log_segment_count(fx.log);
    assert_int_equal(log_close(&fx.log), ERR_OK);
    /* A finished compaction that only lacks its rename, remains of one that is not, a deletion. */
    fixture_path(&fx, from, sizeof from, LOG0);
    fixture_path(&fx, to, sizeof to, LOG0 ".swap");
    assert_int_equal(env_rename(fx.env, from, to), ERR_OK);
    fixture_poke(&fx, "00000000000000000005.log", 0, "junk", 4); /* replaced by the .swap */
    fixture_poke(&fx, "00000000000000000900.log.cleaned", 0, "junk", 4);
    fixture_poke(&fx, "00000000000000000901.log.swap", 0, "junk", 4);
    fixture_poke(&fx, "00000000000000000800.log.deleted", 0, "junk", 4);
    fixture_open(&fx, false, 0, 0);
    assert_int_equal(log_state(fx.log), LOG_OPEN);
    assert_int_equal(log_segment_count(fx.log), segments);
    assert_int_equal(fixture_check_all(&fx), 30);
    assert_false(fixture_exists(&fx, "00000000000000000900.log.cleaned"));
    assert_false(fixture_exists(&fx, "00000000000000000901.log.swap"));
    assert_false(fixture_exists(&fx, "00000000000000000901.log"));
    assert_false(fixture_exists(&fx, "00000000000000000800.log.deleted"));
    fixture_fini(&fx);
}

/* Three segments of which the first lost its last batch; begins of the second and the end. */
static void
a_hole(struct log_fixture *fx, int64_t *second, int64_t *end)
{
    int64_t last = 0, before = 0;
    fixture_init(fx);
    fx->config.segment_bytes = 1000;
    fixture_open(fx, true, 0, 0);
    while (log_segment_count(fx->log) < 3) {
        if (log_segment_count(fx->log) == 1) {
            last = before; /* of the batch before the one just added */
            before = log_size_bytes(fx->log);
        }
        fixture_add(fx, 1, 100);
    }
    *second = fx->log->segments[1]->base_offset;
    *end = log_end_offset(fx->log);
    log_abandon(&fx->log);
    fixture_cut(fx, LOG0, last);
}

static void
a_hole_of_our_own_making_is_a_loss_and_the_log_ends_before_it(void **state)
{
    struct log_fixture fx;
    int64_t second, end;
    (void)state;
    a_hole(&fx, &second, &end);
    fx.gaps_are_losses = true;
    fixture_open(&fx, false, 0, 0);
    assert_int_equal(log_state(fx.log), LOG_OPEN);
    assert_int_equal(log_end_offset(fx.log), second - 1);
    assert_int_equal(log_segment_count(fx.log), 1);
    assert_int_equal(fixture_add(&fx, 1, 100), second - 1);
    assert_int_equal(fixture_check_all(&fx), (int)second);
    fixture_fini(&fx);
}

static void
holes_that_may_be_kafkas_stay(void **state)
{
    (void)state;
    for (int why = 0; why < 5; why++) {
        struct log_fixture fx;
        int64_t second, end, high_watermark = 0, recovery_point = 0;
        char name[32];
        a_hole(&fx, &second, &end);
        fx.gaps_are_losses = why != 0;
        if (why == 1)
            fx.cleaned_end = second; /* compacted there */
        else if (why == 2)
            recovery_point = second; /* flushed once */
        else if (why == 3)
            high_watermark = second; /* committed once */
        else if (why == 4) {         /* Kafka was here and was killed */
            struct log_segment *active;
            fixture_open(&fx, true, end, end);
            active = log_active(fx.log);
            snprintf(name, sizeof name, "%020lld.index", (long long)active->base_offset);
            log_abandon(&fx.log);
            fixture_poke(&fx, name, 10485759, "", 1);
        }
        fixture_open(&fx, false, recovery_point, high_watermark);
        assert_int_equal(log_state(fx.log), LOG_OPEN);
        assert_int_equal(log_end_offset(fx.log), end);
        assert_int_equal(log_segment_count(fx.log), 3);
        fixture_fini(&fx);
    }
}

static enum err
read_at(struct log_fixture *fx, int64_t offset, int64_t *first)
{
    struct buf bytes;
    struct log_slice slice;
    struct batch_view batch;
    enum err err = fixture_read(fx, offset, 1 << 20, &bytes, &slice);
    *first = slice.first_offset;
    for (struct bytes rest = buf_bytes(&bytes); err == ERR_OK && rest.len > 0;) {
        assert_int_equal(batch_parse(rest, &batch), ERR_OK);
        assert_true(batch_crc_ok(&batch));
        rest.data += batch.size_bytes;
        rest.len -= batch.size_bytes;
    }
    buf_fini(&bytes);
    return err;
}

/* Nobody scans after a clean stop; what is sent is checked. */
static void
rot_below_the_recovery_point_costs_its_batch_and_no_other(void **state)
{
    static const int64_t at[] = {BATCH_AT_LENGTH + 1, BATCH_AT_LENGTH + 3, BATCH_AT_MAGIC,
        BATCH_AT_CRC, BATCH_AT_LAST_OFFSET_DELTA + 3, BATCH_AT_RECORD_COUNT, 80};
    struct log_fixture fx;
    int64_t last, end, first;
    (void)state;
    ten_batches(&fx, 400, &last, &end);
    assert_int_equal(log_close(&fx.log), ERR_OK);
    int64_t batch = end / 10;
    for (int64_t number = 0; number < 8; number += 4)
        for (size_t i = 0; i < sizeof at / sizeof at[0]; i++) {
            int64_t position = number * batch + at[i];
            uint8_t byte = fixture_peek(&fx, LOG0, position), bad = byte ^ 0x10;
            fixture_poke(&fx, LOG0, position, &bad, 1);
            fixture_open(&fx, true, 10, 10);
            assert_int_equal(log_end_offset(fx.log), 10);
            for (int64_t offset = 0; offset < 10; offset++) {
                enum err err = read_at(&fx, offset, &first);
                assert_int_equal(err, offset == number ? ERR_CORRUPT : ERR_OK);
                if (err == ERR_OK)
                    assert_int_equal(first, offset);
            }
            assert_int_equal(log_state(fx.log), LOG_OPEN);
            log_abandon(&fx.log);
            fixture_poke(&fx, LOG0, position, &byte, 1);
            fixture_open(&fx, false, 0, 0); /* indexes anew */
            assert_int_equal(log_close(&fx.log), ERR_OK);
        }
    fixture_fini(&fx);
}

/* A batch that ends, or begins, a few bytes from the border of a sector has a piece of zeros by
 * nature; one bit is no reason to take it for a lost write. */
static void
one_bit_is_never_a_torn_write(void **state)
{
    (void)state;
    for (size_t value = 100; value < 612; value += 7) {
        struct log_fixture fx;
        int64_t last, end;
        ten_batches(&fx, value, &last, &end);
        log_abandon(&fx.log);
        for (int64_t number = 3; number < 9; number++) {
            int64_t batch = end / 10;
            int64_t position = number * batch + BATCH_AT_MAGIC + (number * 131) % (batch - 17);
            uint8_t byte = fixture_peek(&fx, LOG0, position), bad = byte ^ 0x04;
            fixture_poke(&fx, LOG0, position, &bad, 1);
            fixture_open(&fx, false, 0, 0);
            assert_int_equal(log_state(fx.log), LOG_CORRUPT);
            assert_int_equal(log_corrupt_offset(fx.log), number);
            log_abandon(&fx.log);
            char path[512];
            fixture_path(&fx, path, sizeof path, LOG_CORRUPT_FILE);
            assert_int_equal(env_unlink(fx.env, path), ERR_OK);
            fixture_poke(&fx, LOG0, position, &byte, 1);
        }
        fixture_fini(&fx);
    }
}

/* What a damaged batch said of its producer is lost; what the others say is not, and the log opens.
 */
static void
rot_in_what_producers_are_rebuilt_from_is_passed_over(void **state)
{
    struct log_fixture fx;
    struct log_append_result result;
    struct log_producer_info info;
    (void)state;
    fixture_init(&fx);
    fx.config.index_interval_bytes = 100;
    fixture_open(&fx, true, 0, 0);
    for (int i = 0; i < 10; i++) {
        struct fixture_batch batch = {
            .count = 1, .value_bytes = 50, .producer_id = 7 + i % 2, .base_sequence = i / 2};
        assert_int_equal(fixture_append(&fx, &batch, &result), ERR_OK);
    }
    int64_t batch = log_size_bytes(fx.log) / 10;
    assert_int_equal(segment_seal(log_active(fx.log)), ERR_OK); /* index entries reach the file */
    log_abandon(&fx.log);
    uint8_t bad = 0xf0;
    fixture_poke(&fx, LOG0, 5 * batch + BATCH_AT_LENGTH + 2, &bad, 1);
    fixture_open(&fx, false, 9, 9); /* only the last is scanned */
    assert_int_equal(log_state(fx.log), LOG_OPEN);
    assert_int_equal(log_end_offset(fx.log), 10);
    assert_true(log_producer_find(fx.log, 7, &info));
    assert_int_equal(info.last_sequence, 4);
    assert_true(log_producer_find(fx.log, 8, &info));
    assert_int_equal(info.last_sequence, 4);
    fixture_fini(&fx);
}

/* Whatever the file holds, opening neither crashes nor serves a batch with a bad checksum. */
static void
arbitrary_bytes_are_never_served(void **state)
{
    uint64_t seed = test_seed(42);
    (void)state;
    for (int round = 0; round < 300; round++) {
        struct log_fixture fx;
        int64_t last, end;
        ten_batches(&fx, 300, &last, &end);
        log_abandon(&fx.log);
        for (int n = 0; n < 3; n++) {
            seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
            uint8_t byte = (uint8_t)(seed >> 33);
            int64_t position = (int64_t)((seed >> 20) % (uint64_t)end);
            /* No checksum covers the base offset; only a batch behind it can tell. */
            bool blind = position % (end / 10) < BATCH_AT_LENGTH;
            if ((seed >> 60) == 0)
                fixture_poke(&fx, INDEX0, position % 40, &byte, 1);
            else if (!blind || (n == 0 && position < last && round % 3 != 0))
                fixture_poke(&fx, LOG0, position, &byte, 1);
        }
        if (round % 3 == 0)
            fixture_cut(&fx, LOG0, (int64_t)((seed >> 10) % (uint64_t)(end + 100)));
        fixture_open(&fx, false, 0, 0);
        fixture_check_all(&fx);
        fixture_fini(&fx);
    }
}

TEST_MAIN(cmocka_unit_test(a_tail_cut_at_any_byte_goes_back_to_the_batch_before),
    cmocka_unit_test(what_is_cut_off_is_gone_before_anything_is_written),
    cmocka_unit_test(a_zero_filled_tail_is_torn),
    cmocka_unit_test(lost_sectors_within_unflushed_data_are_torn_even_if_more_follows),
    cmocka_unit_test(a_lost_sector_that_held_only_a_base_offset_is_torn),
    cmocka_unit_test(a_bit_lost_with_its_sector_is_put_back),
    cmocka_unit_test(a_changed_base_offset_is_corruption),
    cmocka_unit_test(a_flipped_bit_is_corruption_and_nothing_is_cut),
    cmocka_unit_test(a_changed_length_field_of_the_last_batch_is_corruption),
    cmocka_unit_test(damage_below_the_recovery_point_is_corruption_even_as_zeros),
    cmocka_unit_test(committed_data_that_is_missing_makes_the_log_corrupt),
    cmocka_unit_test(truncating_to_the_damage_ends_it),
    cmocka_unit_test(only_what_is_above_the_recovery_point_is_scanned),
    cmocka_unit_test(a_rotten_index_entry_costs_a_scan_and_no_directory),
    cmocka_unit_test(a_missing_epoch_file_is_rebuilt),
    cmocka_unit_test(an_offset_that_cannot_be_is_damage_even_in_a_clean_log),
    cmocka_unit_test(rotten_epochs_are_rebuilt_from_the_batches),
    cmocka_unit_test(half_done_replacements_are_settled_in_order),
    cmocka_unit_test(a_hole_of_our_own_making_is_a_loss_and_the_log_ends_before_it),
    cmocka_unit_test(holes_that_may_be_kafkas_stay),
    cmocka_unit_test(rot_below_the_recovery_point_costs_its_batch_and_no_other),
    cmocka_unit_test(one_bit_is_never_a_torn_write),
    cmocka_unit_test(rot_in_what_producers_are_rebuilt_from_is_passed_over),
    cmocka_unit_test(arbitrary_bytes_are_never_served))
