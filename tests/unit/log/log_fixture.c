#include "log_fixture.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "wire/batch_builder.h"

#define TOPIC "t"

void
fixture_init_in(struct log_fixture *fx, struct env *env, const char *dir)
{
    memset(fx, 0, sizeof *fx);
    fx->env = env;
    snprintf(fx->dir, sizeof fx->dir, "%s", dir);
    log_config_default(&fx->config);
    fx->timestamp = 1000000;
    assert_int_equal(log_validator_new(&fx->validator), ERR_OK);
}

void
fixture_init(struct log_fixture *fx)
{
    struct env *env;
    char dir[256];
    struct env_real_opts opts = {.level_min = DIAG_ERROR, .diag_fd = -1};
    test_dir_make(dir, sizeof dir);
    assert_int_equal(env_real_new(&opts, &env), ERR_OK);
    fixture_init_in(fx, env, dir);
    fx->real = true;
}

void
fixture_fini(struct log_fixture *fx)
{
    log_abandon(&fx->log);
    log_validator_free(&fx->validator);
    if (fx->real) {
        env_free(&fx->env);
        test_dir_remove(fx->dir);
    }
}

void
fixture_open(struct log_fixture *fx, bool clean, int64_t recovery_point, int64_t high_watermark)
{
    struct log_open_opts opts = {.env = fx->env,
        .parent_dir = fx->dir,
        .topic = STR(TOPIC),
        .config = &fx->config,
        .clean = clean,
        .recovery_point = recovery_point,
        .high_watermark = high_watermark,
        .gaps_are_losses = fx->gaps_are_losses,
        .cleaned_end = fx->cleaned_end};
    assert_null(fx->log);
    assert_int_equal(log_open(&opts, &fx->log), ERR_OK);
}

void
fixture_reopen(struct log_fixture *fx)
{
    int64_t end = log_end_offset(fx->log), hw = log_high_watermark(fx->log);
    assert_int_equal(log_close(&fx->log), ERR_OK);
    fixture_open(fx, true, end, hw);
    assert_int_equal(log_end_offset(fx->log), end);
}

void
fixture_kill(struct log_fixture *fx, int64_t recovery_point, int64_t high_watermark)
{
    log_abandon(&fx->log);
    fixture_open(fx, false, recovery_point, high_watermark);
}

enum err
fixture_append(
    struct log_fixture *fx, const struct fixture_batch *batch, struct log_append_result *result)
{
    struct batch_builder_opts opts = BATCH_BUILDER_OPTS_DEFAULT;
    struct batch_builder builder;
    struct buf bytes;
    uint8_t *value = mem_calloc(1, batch->value_bytes + 1);
    assert_non_null(value);
    if (batch->producer_id > 0) {
        opts.producer_id = batch->producer_id;
        opts.producer_epoch = batch->producer_epoch;
        opts.base_sequence = batch->base_sequence;
        opts.transactional = batch->transactional;
    }
    buf_init(&bytes, 64 << 20);
    batch_builder_init(&builder, &opts, &bytes);
    for (int i = 0; i < batch->count; i++) {
        memset(value, 1 + (int)((fx->timestamp + i) % 250), batch->value_bytes);
        batch_builder_append(&builder, &(struct batch_builder_record){.timestamp = fx->timestamp++,
                                           .key = {(const uint8_t *)"key", 3},
                                           .value = {value, batch->value_bytes}});
    }
    assert_int_equal(batch_builder_finish(&builder), ERR_OK);
    struct log_append_opts append = {.origin = LOG_ORIGIN_CLIENT,
        .leader_epoch = fx->epoch,
        .validator = fx->validator,
        .txn_version = -1,
        .sequence_lowest = -1};
    enum err err = log_append(fx->log, bytes.data, bytes.len, &append, result);
    buf_fini(&bytes);
    mem_free(value);
    return err;
}

int64_t
fixture_add(struct log_fixture *fx, int count, size_t value_bytes)
{
    struct log_append_result result;
    struct fixture_batch batch = {.count = count, .value_bytes = value_bytes};
    assert_int_equal(fixture_append(fx, &batch, &result), ERR_OK);
    assert_int_equal(result.reject, LOG_REJECT_NONE);
    assert_int_equal(result.last_offset - result.first_offset + 1, count);
    return result.first_offset;
}

int64_t
fixture_marker(struct log_fixture *fx, int64_t producer_id, int16_t producer_epoch, bool commit)
{
    struct batch_marker_opts opts = {.type = commit ? BATCH_CONTROL_COMMIT : BATCH_CONTROL_ABORT,
        .producer_id = producer_id,
        .producer_epoch = producer_epoch,
        .timestamp_ms = fx->timestamp++};
    struct log_append_opts append = {.origin = LOG_ORIGIN_COORDINATOR,
        .leader_epoch = fx->epoch,
        .validator = fx->validator,
        .txn_version = 0,
        .sequence_lowest = -1};
    struct log_append_result result;
    struct buf bytes;
    buf_init(&bytes, 4096);
    assert_int_equal(batch_build_marker(&opts, &bytes), ERR_OK);
    assert_int_equal(log_append(fx->log, bytes.data, bytes.len, &append, &result), ERR_OK);
    assert_int_equal(result.reject, LOG_REJECT_NONE);
    buf_fini(&bytes);
    return result.first_offset;
}

enum err
fixture_read(struct log_fixture *fx, int64_t offset, size_t max_bytes, struct buf *out,
    struct log_slice *slice)
{
    struct log_read_opts opts = {.offset = offset,
        .bound_offset = log_end_offset(fx->log),
        .max_bytes = max_bytes,
        .min_one = true};
    buf_init(out, 64 << 20);
    enum err err = log_read(fx->log, &opts, slice);
    if (err == ERR_OK && slice->file != NULL) {
        size_t n;
        uint8_t *to = buf_extend(out, slice->len);
        assert_non_null(to);
        err = env_read_at(slice->file, slice->position, to, slice->len, &n);
        if (err == ERR_OK)
            assert_int_equal(n, slice->len);
        env_file_close(&slice->file);
    }
    return err;
}

int
fixture_check_all(struct log_fixture *fx)
{
    int64_t offset = log_start_offset(fx->log), end = log_end_offset(fx->log);
    int batches = 0;
    while (offset < end) {
        struct buf bytes;
        struct log_slice slice;
        assert_int_equal(fixture_read(fx, offset, 100000, &bytes, &slice), ERR_OK);
        struct bytes rest = buf_bytes(&bytes);
        assert_true(rest.len > 0);
        while (rest.len > 0) {
            struct batch_view batch;
            assert_int_equal(batch_parse(rest, &batch), ERR_OK);
            assert_true(batch_crc_ok(&batch));
            assert_true(batch.base_offset <= offset);
            assert_true(batch_last_offset(&batch) >= offset);
            offset = batch_last_offset(&batch) + 1;
            rest.data += batch.size_bytes;
            rest.len -= batch.size_bytes;
            batches++;
        }
        assert_true(slice.end_offset >= offset);
        buf_fini(&bytes);
    }
    assert_int_equal(offset, end);
    return batches;
}

void
fixture_path(const struct log_fixture *fx, char *out, size_t size, const char *name)
{
    snprintf(out, size, "%s/" TOPIC "-0/%s", fx->dir, name);
}

int64_t
fixture_file_size(const struct log_fixture *fx, const char *name)
{
    char path[512];
    struct env_stat st;
    fixture_path(fx, path, sizeof path, name);
    return env_stat(fx->env, path, &st) == ERR_OK ? st.size_bytes : -1;
}

bool
fixture_exists(const struct log_fixture *fx, const char *name)
{
    return fixture_file_size(fx, name) >= 0;
}

static struct env_file *
open_name(const struct log_fixture *fx, const char *name)
{
    char path[512];
    struct env_file *file;
    fixture_path(fx, path, sizeof path, name);
    assert_int_equal(env_open(fx->env, path, ENV_OPEN_WRITE | ENV_OPEN_CREATE, &file), ERR_OK);
    return file;
}

void
fixture_poke(
    const struct log_fixture *fx, const char *name, int64_t position, const void *data, size_t len)
{
    struct env_file *file = open_name(fx, name);
    assert_int_equal(env_write_at(file, position, (struct bytes){data, len}), ERR_OK);
    env_file_close(&file);
}

uint8_t
fixture_peek(const struct log_fixture *fx, const char *name, int64_t position)
{
    struct env_file *file = open_name(fx, name);
    uint8_t byte;
    size_t n;
    assert_int_equal(env_read_at(file, position, &byte, 1, &n), ERR_OK);
    assert_int_equal(n, 1);
    env_file_close(&file);
    return byte;
}

void
fixture_cut(const struct log_fixture *fx, const char *name, int64_t size)
{
    struct env_file *file = open_name(fx, name);
    assert_int_equal(env_truncate(file, size), ERR_OK);
    env_file_close(&file);
}
