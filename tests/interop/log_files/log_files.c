/* Writes a log directory for Apache Kafka's tools to judge, or reads one that Apache wrote.
 *
 *     log_files write DIR          several segments, transactions, epochs, then a clean close
 *     log_files read PARENT NAME   opens PARENT/NAME cleanly and prints end offset and batches
 *     log_files recover PARENT NAME   the same as after an unclean stop */
#include <stdio.h>
#include <string.h>

#include "log/file_name.h"
#include "log_fixture.h"

static int
write_dir(const char *dir)
{
    struct env *env;
    struct log_fixture fx;
    struct log_append_result result;
    struct env_real_opts opts = {.level_min = DIAG_WARN, .diag_fd = 2};
    if (env_real_new(&opts, &env) != ERR_OK || env_mkdir_all(env, dir) != ERR_OK)
        return 1;
    fixture_init_in(&fx, env, dir);
    fx.config.segment_bytes = 200000;
    fx.timestamp = env_wall_ms(env);
    fixture_open(&fx, true, 0, 0);
    for (int i = 0; i < 600; i++) {
        fx.epoch = i / 150;
        fixture_add(&fx, 1 + i % 5, (size_t)(100 + i % 700));
        if (i % 20 != 0)
            continue;
        struct fixture_batch batch = {.count = 2,
            .value_bytes = 50,
            .producer_id = 1000 + i % 60,
            .base_sequence = i / 60 * 2,
            .transactional = true};
        assert_int_equal(fixture_append(&fx, &batch, &result), ERR_OK);
        assert_int_equal(result.reject, LOG_REJECT_NONE);
        fixture_marker(&fx, batch.producer_id, 0, i % 40 == 0);
    }
    log_set_high_watermark(fx.log, log_end_offset(fx.log));
    assert_int_equal(log_start_advance(fx.log, 10), ERR_OK);
    printf("end %lld segments %d\n", (long long)log_end_offset(fx.log), log_segment_count(fx.log));
    assert_int_equal(log_close(&fx.log), ERR_OK);
    fixture_fini(&fx);
    env_free(&env);
    return 0;
}

static void
print_producer(void *ctx, const struct log_producer_info *info)
{
    (void)ctx;
    printf("producer %lld epoch %d sequence %d\n", (long long)info->producer_id,
        info->producer_epoch, info->last_sequence);
}

static int
read_dir(const char *parent, const char *name, bool clean)
{
    struct env *env;
    struct log_fixture fx;
    struct env_real_opts env_opts = {.level_min = DIAG_INFO, .diag_fd = 2};
    struct str topic;
    int32_t partition;
    if (log_dir_name_parse(name, &topic, &partition) != LOG_DIR_LOG ||
        env_real_new(&env_opts, &env) != ERR_OK)
        return 1;
    fixture_init_in(&fx, env, parent);
    struct log_open_opts opts = {.env = env,
        .parent_dir = parent,
        .topic = topic,
        .partition = partition,
        .config = &fx.config,
        .clean = clean};
    assert_int_equal(log_open(&opts, &fx.log), ERR_OK);
    log_set_high_watermark(fx.log, log_end_offset(fx.log));
    int batches = fixture_check_all(&fx);
    struct log_time_offset found;
    assert_int_equal(log_offset_for_max_timestamp(fx.log, &found), ERR_OK);
    printf(
        "state %d start %lld end %lld batches %d segments %d max_timestamp_offset %lld epoch %d\n",
        log_state(fx.log), (long long)log_start_offset(fx.log), (long long)log_end_offset(fx.log),
        batches, log_segment_count(fx.log), (long long)found.offset, log_latest_epoch(fx.log));
    log_producers(fx.log, print_producer, NULL);
    log_abandon(&fx.log);
    fixture_fini(&fx);
    env_free(&env);
    return 0;
}

int
main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "write") == 0)
        return write_dir(argv[2]);
    if (argc == 4 && strcmp(argv[1], "read") == 0)
        return read_dir(argv[2], argv[3], true);
    if (argc == 4 && strcmp(argv[1], "recover") == 0)
        return read_dir(argv[2], argv[3], false);
    fprintf(stderr, "usage: log_files write DIR | read PARENT NAME | recover PARENT NAME\n");
    return 2;
}
