/* Compaction of one log: what stays, what goes and when, and what a crash leaves at any step. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log/cleaner_priv.h"
#include "log/log_priv.h"
#include "log_fixture.h"
#include "os/sim.h"
#include "wire/batch_builder.h"

enum { START_MS = 1700000000, DAY_MS = 86400000, RECORDS_MAX = 4096, KEYS_MAX = 64 };

struct room {
    struct sim *sim;
    struct sim_host *host;
    struct log_fixture fx;
};

static void
room_init(struct room *r, uint64_t seed)
{
    struct sim_opts opts = {
        .seed = seed, .level_min = DIAG_LEVEL_COUNT, .wall_start_ms = INT64_C(1700000000000)};
    struct env *env;
    assert_int_equal(sim_new(&opts, &r->sim), ERR_OK);
    assert_int_equal(sim_host_new(r->sim, "h", "10.0.0.1", &r->host), ERR_OK);
    assert_int_equal(sim_host_boot(r->host, &env), ERR_OK);
    assert_int_equal(env_mkdir_all(env, "data"), ERR_OK);
    fixture_init_in(&r->fx, env, "data");
    r->fx.timestamp = INT64_C(1699999000000);
    r->fx.config.cleanup_compact = true;
    r->fx.config.cleanup_delete = false;
    r->fx.config.segment_bytes = 1000;
    r->fx.config.index_interval_bytes = 100;
    r->fx.config.min_cleanable_dirty_ratio = 0;
    fixture_open(&r->fx, true, 0, 0);
}

static void
room_fini(struct room *r)
{
    struct env *env = r->fx.env;
    fixture_fini(&r->fx);
    env_free(&env);
    sim_free(&r->sim);
}

/* ---- writing ---- */

struct keyed {
    enum compress_codec codec;
    int64_t producer_id; /* 0: none */
    int32_t base_sequence;
    bool transactional;
};

/* "a=1 b=2 c" is two records and a tombstone; gives the first offset. */
static int64_t
put_as(struct log_fixture *fx, const struct keyed *how, const char *text)
{
    struct batch_builder_opts opts = BATCH_BUILDER_OPTS_DEFAULT;
    struct batch_builder builder;
    struct log_append_result result;
    struct compress_ctx *ctx;
    struct buf bytes;
    assert_int_equal(compress_ctx_new(&ctx), ERR_OK);
    opts.codec = how->codec;
    opts.ctx = ctx;
    if (how->producer_id > 0) {
        opts.producer_id = how->producer_id;
        opts.producer_epoch = 0;
        opts.base_sequence = how->base_sequence;
        opts.transactional = how->transactional;
    }
    buf_init(&bytes, 1 << 20);
    batch_builder_init(&builder, &opts, &bytes);
    while (*text != '\0') {
        size_t len = strcspn(text, " "), key_len = strcspn(text, "= ");
        struct batch_builder_record record = {
            .timestamp = fx->timestamp++, .key = {(const uint8_t *)text, key_len}};
        if (text[key_len] == '=')
            record.value = (struct bytes){(const uint8_t *)text + key_len + 1, len - key_len - 1};
        batch_builder_append(&builder, &record);
        text += len + (text[len] == ' ');
    }
    assert_int_equal(batch_builder_finish(&builder), ERR_OK);
    struct log_append_opts append = {.origin = LOG_ORIGIN_CLIENT,
        .leader_epoch = fx->epoch,
        .validator = fx->validator,
        .txn_version = -1,
        .sequence_lowest = -1};
    assert_int_equal(log_append(fx->log, bytes.data, bytes.len, &append, &result), ERR_OK);
    assert_int_equal(result.reject, LOG_REJECT_NONE);
    buf_fini(&bytes);
    compress_ctx_free(&ctx);
    return result.first_offset;
}

static int64_t
put(struct log_fixture *fx, const char *text)
{
    return put_as(fx, &(struct keyed){.codec = COMPRESS_NONE}, text);
}

static void
roll(struct log_fixture *fx)
{
    assert_int_equal(log_roll(fx->log), ERR_OK);
    assert_int_equal(log_flush_now(fx->log), ERR_OK);
    log_set_high_watermark(fx->log, log_end_offset(fx->log));
}

/* ---- cleaning ---- */

/* One round; UNSUPPORTED when none is wanted. */
static enum err
clean_with(struct log_fixture *fx, int64_t map_bytes)
{
    struct log_clean_opts opts = {
        .map_bytes_max = map_bytes, .map_load_factor = 0.9, .step_bytes = 300};
    struct log_clean_plan plan;
    struct log_clean *clean = NULL;
    enum log_clean_next next = LOG_CLEAN_STEP;
    enum err err = log_clean_look(fx->log, &plan);
    if (err != ERR_OK || !plan.wanted)
        return err != ERR_OK ? err : ERR_UNSUPPORTED;
    err = log_clean_begin(fx->log, &plan, &opts, &clean);
    if (err != ERR_OK)
        return err;
    while (err == ERR_OK && next != LOG_CLEAN_DONE) {
        if (next == LOG_CLEAN_REPLACE)
            err = log_clean_replace(fx->log, clean);
        next = LOG_CLEAN_STEP;
        if (err == ERR_OK)
            err = log_clean_step(clean, &next);
    }
    log_clean_end(fx->log, clean, err);
    log_clean_free(&clean);
    return err;
}

static void
clean(struct log_fixture *fx)
{
    assert_int_equal(clean_with(fx, 1 << 20), ERR_OK);
}

/* ---- looking ---- */

/* All that is read, as "0:a=1 2:b [3-4] ": records with their offsets, batches without any. */
static void
dump(struct log_fixture *fx, char *out, size_t size)
{
    struct compress_ctx *ctx;
    struct buf scratch;
    int64_t offset = log_start_offset(fx->log), end = log_end_offset(fx->log), last = -1;
    size_t at = 0;
    out[0] = '\0';
    assert_int_equal(compress_ctx_new(&ctx), ERR_OK);
    buf_init(&scratch, 1 << 20);
    while (offset < end) {
        struct buf bytes;
        struct log_slice slice;
        assert_int_equal(fixture_read(fx, offset, 100, &bytes, &slice), ERR_OK);
        struct bytes rest = buf_bytes(&bytes);
        if (rest.len == 0) {
            buf_fini(&bytes);
            break; /* a hole up to the end */
        }
        while (rest.len > 0) {
            struct batch_view batch;
            struct batch_iter it;
            struct batch_record record;
            assert_int_equal(batch_parse(rest, &batch), ERR_OK);
            assert_true(batch_crc_ok(&batch));
            assert_true(batch_last_offset(&batch) >= offset);
            if (batch.record_count == 0)
                at += (size_t)snprintf(out + at, size - at, "[%d-%d] ", (int)batch.base_offset,
                    (int)batch_last_offset(&batch));
            assert_int_equal(batch_iter_init(&it, &batch, ctx, &scratch), ERR_OK);
            while (batch_iter_next(&it, &record)) {
                assert_true(record.offset > last);
                last = record.offset;
                if (batch_is_control(&batch))
                    at += (size_t)snprintf(out + at, size - at, "%d:marker ", (int)record.offset);
                else
                    at += (size_t)snprintf(out + at, size - at, "%d:%.*s%s%.*s ",
                        (int)record.offset, (int)record.key.len, record.key.data,
                        record.value.data != NULL ? "=" : "", (int)record.value.len,
                        record.value.data != NULL ? (const char *)record.value.data : "");
                assert_true(at < size);
            }
            assert_int_equal(it.err, ERR_OK);
            offset = batch_last_offset(&batch) + 1;
            rest.data += batch.size_bytes;
            rest.len -= batch.size_bytes;
        }
        buf_fini(&bytes);
    }
    buf_fini(&scratch);
    compress_ctx_free(&ctx);
}

static void
expect(struct log_fixture *fx, const char *want)
{
    char have[1 << 16];
    dump(fx, have, sizeof have);
    assert_string_equal(have, want);
}

/* ---- tests ---- */

static void
the_newest_record_of_a_key_stays_at_its_offset(void **state)
{
    struct room r;
    (void)state;
    room_init(&r, 1);
    put(&r.fx, "a=1 b=1 a=2 c=1");
    put(&r.fx, "d=1");
    put(&r.fx, "b=2 e=1");
    roll(&r.fx);
    put(&r.fx, "c=2");
    clean(&r.fx);
    /* The last one of c is in the active segment, of which nothing is known. */
    expect(&r.fx, "2:a=2 3:c=1 4:d=1 5:b=2 6:e=1 7:c=2 ");
    assert_int_equal(log_cleaned_end(r.fx.log), 7);
    assert_int_equal(clean_with(&r.fx, 1 << 20), ERR_UNSUPPORTED); /* nothing is dirty */
    roll(&r.fx);
    clean(&r.fx);
    expect(&r.fx, "2:a=2 4:d=1 5:b=2 6:e=1 7:c=2 ");
    assert_int_equal(log_segment_count(r.fx.log), 2); /* small ones became one */
    assert_int_equal(log_end_offset(r.fx.log), 8);
    fixture_reopen(&r.fx);
    expect(&r.fx, "2:a=2 4:d=1 5:b=2 6:e=1 7:c=2 ");
    room_fini(&r);
}

static void
tombstones_stay_for_delete_retention(void **state)
{
    struct room r;
    (void)state;
    room_init(&r, 1);
    put(&r.fx, "a=1 b=1");
    put(&r.fx, "a");
    put(&r.fx, "c=1");
    roll(&r.fx);
    put(&r.fx, "x=1");
    clean(&r.fx);
    expect(&r.fx, "1:b=1 2:a 3:c=1 4:x=1 ");
    sim_host_wall_jump(r.host, DAY_MS - 60000);
    roll(&r.fx);
    put(&r.fx, "x=2");
    clean(&r.fx);
    expect(&r.fx, "1:b=1 2:a 3:c=1 4:x=1 5:x=2 ");
    sim_host_wall_jump(r.host, 120000);
    roll(&r.fx);
    put(&r.fx, "x=3");
    clean(&r.fx);
    expect(&r.fx, "1:b=1 3:c=1 5:x=2 6:x=3 ");
    room_fini(&r);
}

static void
compressed_batches_are_written_again_in_their_codec(void **state)
{
    (void)state;
    for (int codec = COMPRESS_GZIP; codec < COMPRESS_CODEC_COUNT; codec++) {
        struct room r;
        struct buf bytes;
        struct log_slice slice;
        struct batch_view batch;
        room_init(&r, 1);
        put_as(&r.fx, &(struct keyed){.codec = (enum compress_codec)codec}, "a=1 b=1 c=1");
        put(&r.fx, "b=2");
        roll(&r.fx);
        clean(&r.fx);
        expect(&r.fx, "0:a=1 2:c=1 3:b=2 ");
        assert_int_equal(fixture_read(&r.fx, 1, 10, &bytes, &slice), ERR_OK);
        assert_int_equal(batch_parse(buf_bytes(&bytes), &batch), ERR_OK);
        assert_int_equal(batch_codec(&batch), codec);
        assert_int_equal(batch.base_offset, 0);
        assert_int_equal(batch_last_offset(&batch), 2);
        assert_int_equal(batch.record_count, 2);
        buf_fini(&bytes);
        room_fini(&r);
    }
}

static void
a_producer_goes_on_after_its_records_are_gone(void **state)
{
    struct room r;
    struct keyed how = {.producer_id = 7};
    struct log_producer_info info;
    (void)state;
    room_init(&r, 1);
    put_as(&r.fx, &how, "a=1 b=1");
    how.base_sequence = 2;
    put_as(&r.fx, &how, "a=2");
    put(&r.fx, "a=3 b=3");
    roll(&r.fx);
    put(&r.fx, "x=1");
    clean(&r.fx);
    expect(&r.fx, "[0-1] [2-2] 3:a=3 4:b=3 5:x=1 ");
    /* The state is found again in what is left, without a snapshot. */
    assert_int_equal(log_flush_now(r.fx.log), ERR_OK);
    for (int64_t i = 0; i < 6; i++) {
        char name[64];
        snprintf(name, sizeof name, "data/t-0/%020lld.snapshot", (long long)i);
        (void)!env_unlink(r.fx.env, name);
    }
    fixture_kill(&r.fx, 5, 5);
    assert_true(log_producer_find(r.fx.log, 7, &info));
    assert_int_equal(info.last_sequence, 2);
    /* Both of its batches are known when they come again. */
    for (int32_t sequence = 0; sequence <= 2; sequence += 2) {
        struct log_append_result result;
        struct fixture_batch again = {.count = sequence == 0 ? 2 : 1,
            .value_bytes = 1,
            .producer_id = 7,
            .base_sequence = sequence};
        assert_int_equal(fixture_append(&r.fx, &again, &result), ERR_OK);
        assert_int_equal(result.reject, LOG_REJECT_DUPLICATE);
        assert_int_equal(result.last_offset, sequence == 0 ? 1 : 2);
    }
    how.base_sequence = 3;
    put_as(&r.fx, &how, "z=1");
    room_fini(&r);
}

static void
nothing_is_compacted_that_may_not_be(void **state)
{
    struct room r;
    struct log_clean_plan plan;
    (void)state;
    room_init(&r, 1);
    put(&r.fx, "a=1");
    put(&r.fx, "a=2");
    assert_int_equal(clean_with(&r.fx, 1 << 20), ERR_UNSUPPORTED); /* the active segment */
    assert_int_equal(log_roll(r.fx.log), ERR_OK);
    assert_int_equal(log_clean_look(r.fx.log, &plan), ERR_OK);
    assert_false(plan.wanted); /* above the high watermark */
    log_set_high_watermark(r.fx.log, 2);
    assert_int_equal(log_clean_look(r.fx.log, &plan), ERR_OK);
    assert_false(plan.wanted); /* not on the disk */
    assert_true(plan.unflushed);
    assert_int_equal(log_flush_now(r.fx.log), ERR_OK);
    struct log_config config = r.fx.config;
    config.min_compaction_lag_ms = 3600000;
    log_set_config(r.fx.log, &config);
    assert_int_equal(log_clean_look(r.fx.log, &plan), ERR_OK);
    assert_false(plan.wanted); /* too young */
    sim_host_wall_jump(r.host, 3600000);
    assert_int_equal(log_clean_look(r.fx.log, &plan), ERR_OK);
    assert_true(plan.wanted);
    config.min_cleanable_dirty_ratio = 1;
    config.min_compaction_lag_ms = 0;
    log_set_config(r.fx.log, &config);
    assert_int_equal(log_clean_look(r.fx.log, &plan), ERR_OK);
    assert_false(plan.wanted); /* not dirty enough */
    config.max_compaction_lag_ms = 1000;
    log_set_config(r.fx.log, &config);
    assert_int_equal(log_clean_look(r.fx.log, &plan), ERR_OK);
    assert_true(plan.wanted); /* but overdue */
    assert_true(plan.overdue);
    room_fini(&r);
}

static void
a_map_that_is_too_small_takes_several_rounds(void **state)
{
    struct room r;
    (void)state;
    room_init(&r, 1);
    put(&r.fx, "a=1 b=1 c=1");
    put(&r.fx, "d=1 e=1");
    put(&r.fx, "a=2 b=2 c=2");
    put(&r.fx, "d=2 e=2");
    roll(&r.fx);
    for (int i = 0; i < 4; i++)
        assert_int_equal(clean_with(&r.fx, 5 * CLEAN_MAP_ENTRY_SIZE),
            log_cleaned_end(r.fx.log) < 10 ? ERR_OK : ERR_UNSUPPORTED);
    expect(&r.fx, "5:a=2 6:b=2 7:c=2 8:d=2 9:e=2 ");
    assert_int_equal(log_cleaned_end(r.fx.log), 10);
    /* Not even one batch fits: it is left alone, and said so. */
    put(&r.fx, "f=1 g=1 h=1 i=1 j=1 k=1");
    roll(&r.fx);
    assert_int_equal(clean_with(&r.fx, 2 * CLEAN_MAP_ENTRY_SIZE), ERR_LIMIT);
    assert_true(log_is_uncleanable(r.fx.log));
    room_fini(&r);
}

static int32_t
aborted_count(struct log_fixture *fx, int64_t from, int64_t to)
{
    struct arena arena;
    struct log_aborted_txn *txns;
    int32_t count;
    arena_init(&arena, 1 << 16);
    assert_int_equal(log_aborted_txns(fx->log, from, to, &arena, &txns, &count), ERR_OK);
    arena_fini(&arena);
    return count;
}

static void
aborted_data_goes_and_the_marker_follows_later(void **state)
{
    struct room r;
    struct keyed how = {.producer_id = 7, .transactional = true};
    (void)state;
    room_init(&r, 1);
    put(&r.fx, "a=0 b=0");
    put_as(&r.fx, &how, "a=1 b=1");     /* 2, 3 */
    fixture_marker(&r.fx, 7, 0, false); /* 4: aborted */
    how.base_sequence = 2;
    put_as(&r.fx, &how, "b=2");        /* 5 */
    fixture_marker(&r.fx, 7, 0, true); /* 6: committed */
    put(&r.fx, "c=0");
    roll(&r.fx);
    put(&r.fx, "x=1");
    assert_int_equal(aborted_count(&r.fx, 0, 8), 1);
    clean(&r.fx);
    /* The producer lives: the sequence of its batch stays. */
    expect(&r.fx, "0:a=0 [2-3] 4:marker 5:b=2 6:marker 7:c=0 8:x=1 ");
    assert_int_equal(aborted_count(&r.fx, 0, 8), 1);
    fixture_reopen(&r.fx);
    assert_int_equal(log_producer_count(r.fx.log), 0); /* not asked for yet */
    roll(&r.fx);
    log_producers_expire(r.fx.log, env_wall_ms(r.fx.env) + 2 * (int64_t)DAY_MS);
    clean(&r.fx);
    expect(&r.fx, "0:a=0 4:marker 5:b=2 6:marker 7:c=0 8:x=1 ");
    assert_int_equal(aborted_count(&r.fx, 0, 8), 1); /* as long as the marker is there */
    fixture_reopen(&r.fx);
    assert_int_equal(aborted_count(&r.fx, 0, 8), 1);
    put(&r.fx, "x=2");
    roll(&r.fx);
    clean(&r.fx); /* nothing of it is left: its marker gets a time to go */
    expect(&r.fx, "0:a=0 4:marker 5:b=2 6:marker 7:c=0 9:x=2 ");
    sim_host_wall_jump(r.host, DAY_MS + 1);
    put(&r.fx, "x=3");
    roll(&r.fx);
    clean(&r.fx);
    expect(&r.fx, "0:a=0 5:b=2 6:marker 7:c=0 10:x=3 ");
    assert_int_equal(aborted_count(&r.fx, 0, 8), 0);
    room_fini(&r);
}

/* 53..59 are the newest of seven keys, 60 is another. */
static void
what_comes_next_is_found(struct room *r, int64_t t0)
{
    struct log_time_offset found;
    struct buf bytes;
    struct log_slice slice;
    for (int i = 0; i < 61; i++) {
        int64_t want = i < 53 ? 53 : i;
        assert_int_equal(log_offset_for_time(r->fx.log, t0 + i, &found), ERR_OK);
        assert_int_equal(found.offset, want);
        assert_int_equal(found.timestamp, t0 + want);
        assert_int_equal(fixture_read(&r->fx, i, 10, &bytes, &slice), ERR_OK);
        struct batch_view batch;
        assert_int_equal(batch_parse(buf_bytes(&bytes), &batch), ERR_OK);
        assert_int_equal(batch.base_offset, want);
        buf_fini(&bytes);
    }
    assert_int_equal(log_offset_for_max_timestamp(r->fx.log, &found), ERR_OK);
    assert_int_equal(found.offset, 60);
}

static void
times_and_offsets_are_found_in_a_compacted_log(void **state)
{
    struct room r;
    (void)state;
    room_init(&r, 1);
    int64_t t0 = r.fx.timestamp;
    for (int i = 0; i < 60; i++) {
        char text[64];
        snprintf(text, sizeof text, "k%d=%060d", i % 7, i);
        put(&r.fx, text);
    }
    roll(&r.fx);
    put(&r.fx, "x=1");
    assert_true(log_segment_count(r.fx.log) > 5);
    clean(&r.fx);
    assert_int_equal(r.fx.log->segments[0]->size_bytes, 0); /* emptied */
    what_comes_next_is_found(&r, t0);
    roll(&r.fx); /* the next round makes one of what is small now */
    clean(&r.fx);
    assert_true(log_segment_count(r.fx.log) < 5);
    what_comes_next_is_found(&r, t0);
    room_fini(&r);
}

static void
a_reader_of_a_replaced_segment_goes_on(void **state)
{
    struct room r;
    struct log_read_opts opts = {.bound_offset = 4, .max_bytes = 10000, .min_one = true};
    struct log_slice slice;
    uint8_t before[1000], after[1000];
    size_t n;
    (void)state;
    room_init(&r, 1);
    put(&r.fx, "a=1 b=1");
    put(&r.fx, "a=2 b=2");
    roll(&r.fx);
    assert_int_equal(log_read(r.fx.log, &opts, &slice), ERR_OK);
    assert_true(slice.len <= sizeof before);
    assert_int_equal(env_read_at(slice.file, slice.position, before, slice.len, &n), ERR_OK);
    clean(&r.fx);
    assert_int_equal(env_read_at(slice.file, slice.position, after, slice.len, &n), ERR_OK);
    assert_int_equal(n, slice.len);
    assert_memory_equal(before, after, slice.len);
    env_file_close(&slice.file);
    expect(&r.fx, "2:a=2 3:b=2 ");
    room_fini(&r);
}

/* Begins a round and takes it up to the first replacement. */
static struct log_clean *
up_to_replace(struct log_fixture *fx)
{
    struct log_clean_opts opts = {
        .map_bytes_max = 1 << 20, .map_load_factor = 0.9, .step_bytes = 1 << 20};
    struct log_clean_plan plan;
    struct log_clean *round;
    enum log_clean_next next = LOG_CLEAN_STEP;
    assert_int_equal(log_clean_look(fx->log, &plan), ERR_OK);
    assert_true(plan.wanted);
    assert_int_equal(log_clean_begin(fx->log, &plan, &opts, &round), ERR_OK);
    while (next == LOG_CLEAN_STEP)
        assert_int_equal(log_clean_step(round, &next), ERR_OK);
    assert_int_equal(next, LOG_CLEAN_REPLACE);
    return round;
}

static void
a_log_that_changed_meanwhile_is_left_as_it_is(void **state)
{
    struct room r;
    (void)state;
    for (int how = 0; how < 2; how++) {
        room_init(&r, 1);
        put(&r.fx, "a=1 b=1");
        roll(&r.fx);
        put(&r.fx, "a=2 b=2");
        roll(&r.fx);
        put(&r.fx, "c=1");
        roll(&r.fx);
        struct log_clean *round = up_to_replace(&r.fx);
        if (how == 0) {
            assert_int_equal(log_truncate(r.fx.log, 3), ERR_OK);
        } else {
            int32_t deleted;
            assert_int_equal(log_start_advance(r.fx.log, 2), ERR_OK);
            assert_int_equal(log_retain(r.fx.log, &deleted), ERR_OK);
            assert_int_equal(deleted, 1);
        }
        assert_int_equal(log_clean_replace(r.fx.log, round), ERR_WRONG_STATE);
        log_clean_end(r.fx.log, round, ERR_WRONG_STATE);
        log_clean_free(&round);
        assert_false(log_is_uncleanable(r.fx.log));
        assert_false(fixture_exists(&r.fx, "00000000000000000000.log.cleaned"));
        expect(&r.fx, how == 0 ? "0:a=1 1:b=1 " : "2:a=2 3:b=2 4:c=1 ");
        room_fini(&r);
    }
}

static void
damage_is_not_sealed_with_a_new_checksum(void **state)
{
    struct room r;
    (void)state;
    room_init(&r, 1);
    put(&r.fx, "a=1 b=1");
    put(&r.fx, "a=2 b=2");
    roll(&r.fx);
    uint8_t byte = (uint8_t)(fixture_peek(&r.fx, "00000000000000000000.log", 70) ^ 1);
    fixture_poke(&r.fx, "00000000000000000000.log", 70, &byte, 1);
    assert_int_equal(clean_with(&r.fx, 1 << 20), ERR_CORRUPT);
    assert_true(log_is_uncleanable(r.fx.log));
    assert_int_equal(log_state(r.fx.log), LOG_OPEN);
    assert_int_equal(clean_with(&r.fx, 1 << 20), ERR_UNSUPPORTED);
    room_fini(&r);
}

static void
a_full_disk_ends_the_round_and_nothing_else(void **state)
{
    struct room r;
    struct sim_disk_faults full = {.capacity_bytes = 1}, none = {0};
    (void)state;
    room_init(&r, 1);
    put(&r.fx, "a=1 b=1");
    put(&r.fx, "a=2 b=2");
    roll(&r.fx);
    sim_host_disk_faults(r.host, &full);
    assert_int_equal(clean_with(&r.fx, 1 << 20), ERR_NOSPACE);
    assert_int_equal(log_state(r.fx.log), LOG_OPEN);
    assert_false(log_is_uncleanable(r.fx.log));
    sim_host_disk_faults(r.host, &none);
    clean(&r.fx);
    expect(&r.fx, "2:a=2 3:b=2 ");
    room_fini(&r);
}

/* ---- random ---- */

struct model {
    int64_t offset; /* of the newest record; -1: never written */
    int value;      /* -1: a tombstone */
};

static void
random_load(struct room *r, struct model *model, int batches)
{
    for (int i = 0; i < batches; i++) {
        char text[2000];
        size_t at = 0;
        int keys[8], values[8], count = 1 + (int)(sim_random(r->sim) % 8);
        struct keyed how = {.codec = (enum compress_codec)(
                                sim_random(r->sim) % 3 == 0 ? sim_random(r->sim) % 5 : 0)};
        for (int k = 0; k < count; k++) {
            keys[k] = (int)(sim_random(r->sim) % KEYS_MAX);
            values[k] = sim_random(r->sim) % 5 == 0 ? -1 : (int)(sim_random(r->sim) % 100000);
            at += (size_t)snprintf(text + at, sizeof text - at, k > 0 ? " k%d" : "k%d", keys[k]);
            if (values[k] >= 0)
                at += (size_t)snprintf(text + at, sizeof text - at, "=%d", values[k]);
        }
        int64_t offset = put_as(&r->fx, &how, text);
        for (int k = 0; k < count; k++)
            model[keys[k]] = (struct model){offset + k, values[k]};
        if (sim_random(r->sim) % 4 == 0)
            roll(&r->fx);
    }
    roll(&r->fx);
}

/* What a reader of the whole log ends with is what was written last. */
static void
check_model(struct log_fixture *fx, const struct model *model)
{
    static char text[1 << 20];
    struct model have[KEYS_MAX];
    for (int k = 0; k < KEYS_MAX; k++)
        have[k] = (struct model){-1, -1};
    dump(fx, text, sizeof text);
    for (char *save, *word = strtok_r(text, " ", &save); word != NULL;
         word = strtok_r(NULL, " ", &save)) {
        int offset, key, value;
        if (word[0] == '[')
            continue;
        int n = sscanf(word, "%d:k%d=%d", &offset, &key, &value);
        assert_true(n >= 2);
        have[key] = (struct model){offset, n == 3 ? value : -1};
    }
    for (int k = 0; k < KEYS_MAX; k++) {
        assert_int_equal(have[k].value, model[k].value);
        if (model[k].value >= 0)
            assert_int_equal(have[k].offset, model[k].offset);
    }
}

static void
model_init(struct model *model)
{
    for (int k = 0; k < KEYS_MAX; k++)
        model[k] = (struct model){-1, -1};
}

static void
random_rounds_keep_the_newest_of_each_key(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 30; seed++) {
        struct room r;
        struct model model[KEYS_MAX];
        model_init(model);
        room_init(&r, seed);
        for (int round = 0; round < 6; round++) {
            random_load(&r, model, 20);
            int64_t map = sim_random(r.sim) % 2 == 0 ? 1 << 20 : 20 * CLEAN_MAP_ENTRY_SIZE;
            assert_int_equal(clean_with(&r.fx, map), ERR_OK);
            check_model(&r.fx, model);
            if (round % 2 == 1)
                sim_host_wall_jump(r.host, DAY_MS + 1);
            if (round % 3 == 2)
                fixture_reopen(&r.fx);
        }
        check_model(&r.fx, model);
        room_fini(&r);
    }
}

/* A second life of the same disk. */
static void
reboot(struct room *r, int64_t recovery_point, int64_t cleaned_end)
{
    struct env *env = r->fx.env;
    struct log_config config = r->fx.config;
    sim_host_crash(r->host, SIM_CRASH_POWER);
    fixture_fini(&r->fx);
    env_free(&env);
    assert_int_equal(sim_host_boot(r->host, &env), ERR_OK);
    fixture_init_in(&r->fx, env, "data");
    r->fx.config = config;
    r->fx.timestamp = INT64_C(1699999500000);
    r->fx.gaps_are_losses = true;
    r->fx.cleaned_end = cleaned_end;
    fixture_open(&r->fx, false, recovery_point, recovery_point);
}

static void
a_crash_at_any_step_leaves_the_old_or_the_new_segments(void **state)
{
    int rounds_done = 0;
    (void)state;
    for (int kind = SIM_CRASH_KILL; kind <= SIM_CRASH_POWER; kind++) {
        for (uint64_t nth = 1; nth < 4000; nth += 1 + nth / 40) {
            struct room r;
            struct model model[KEYS_MAX];
            model_init(model);
            room_init(&r, 100 + nth);
            random_load(&r, model, 30);
            int64_t end = log_end_offset(r.fx.log);
            sim_host_crash_at(r.host, (enum sim_crash)kind, nth);
            enum err err = clean_with(&r.fx, 1 << 20);
            bool down = sim_host_is_down(r.host);
            assert_true(down || err == ERR_OK);
            reboot(&r, end, 0); /* how far it came was not noted yet */
            assert_int_equal(log_state(r.fx.log), LOG_OPEN);
            assert_int_equal(log_end_offset(r.fx.log), end);
            check_model(&r.fx, model);
            sim_host_crash_at(r.host, (enum sim_crash)kind, 1000000);
            random_load(&r, model, 5);
            clean(&r.fx);
            check_model(&r.fx, model);
            room_fini(&r);
            if (!down) {
                rounds_done++;
                break;
            }
        }
    }
    assert_int_equal(rounds_done, 2);
}

TEST_MAIN(cmocka_unit_test(the_newest_record_of_a_key_stays_at_its_offset),
    cmocka_unit_test(tombstones_stay_for_delete_retention),
    cmocka_unit_test(compressed_batches_are_written_again_in_their_codec),
    cmocka_unit_test(a_producer_goes_on_after_its_records_are_gone),
    cmocka_unit_test(nothing_is_compacted_that_may_not_be),
    cmocka_unit_test(a_map_that_is_too_small_takes_several_rounds),
    cmocka_unit_test(aborted_data_goes_and_the_marker_follows_later),
    cmocka_unit_test(times_and_offsets_are_found_in_a_compacted_log),
    cmocka_unit_test(a_reader_of_a_replaced_segment_goes_on),
    cmocka_unit_test(a_log_that_changed_meanwhile_is_left_as_it_is),
    cmocka_unit_test(damage_is_not_sealed_with_a_new_checksum),
    cmocka_unit_test(a_full_disk_ends_the_round_and_nothing_else),
    cmocka_unit_test(random_rounds_keep_the_newest_of_each_key),
    cmocka_unit_test(a_crash_at_any_step_leaves_the_old_or_the_new_segments))
