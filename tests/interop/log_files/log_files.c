/* Writes a log directory for Apache Kafka's tools to judge, or reads one that Apache wrote.
 *
 *     log_files write DIR          several segments, transactions, epochs, then a clean close
 *     log_files read PARENT NAME   opens PARENT/NAME cleanly and prints end offset and batches
 *     log_files recover PARENT NAME   the same as after an unclean stop
 *     log_files append DIR NAME COUNT   opens a node's DIR, adds batches to DIR/NAME, stops cleanly
 *     log_files many DIR COUNT     makes and opens so many logs and says how long it took */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log/file_name.h"
#include "log/log_manager.h"
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

/* Opens a node's whole directory, as Apache left it, adds batches to one log, and stops cleanly. */
static int
append_to(const char *dir, const char *name, int count)
{
    struct env *env;
    struct log_manager *mgr;
    struct log_fixture fx;
    struct str topic;
    int32_t partition;
    char why[LOG_MANAGER_ERROR_SIZE];
    struct env_real_opts env_opts = {.level_min = DIAG_INFO, .diag_fd = 2};
    const char *dirs[] = {dir};
    if (log_dir_name_parse(name, &topic, &partition) != LOG_DIR_LOG ||
        env_real_new(&env_opts, &env) != ERR_OK)
        return 1;
    struct log_manager_opts opts = {.env = env, .dirs = dirs, .dir_count = 1, .node_id = 1};
    log_config_default(&opts.config);
    if (log_manager_open_explained(&opts, why, &mgr) != ERR_OK) {
        fprintf(stderr, "%s\n", why);
        return 1;
    }
    fixture_init_in(&fx, env, dir);
    fx.log = log_manager_find(mgr, topic, partition);
    assert_non_null(fx.log);
    fx.timestamp = env_wall_ms(env);
    fx.epoch = log_latest_epoch(fx.log);
    for (int i = 0; i < count; i++)
        fixture_add(&fx, 1, 100);
    log_set_high_watermark(fx.log, log_end_offset(fx.log));
    printf("end %lld of %d logs\n", (long long)log_end_offset(fx.log), log_manager_log_count(mgr));
    fx.log = NULL;
    fixture_fini(&fx);
    log_manager_close(&mgr, log_manager_previous_broker_epoch(mgr));
    env_free(&env);
    return 0;
}

/* How long many logs take to create, close and open. */
static int
many(const char *dir, int count)
{
    struct env *env;
    struct pool *pool;
    struct log_manager *mgr;
    struct env_real_opts env_opts = {.level_min = DIAG_INFO, .diag_fd = 2};
    const char *dirs[] = {dir};
    if (env_real_new(&env_opts, &env) != ERR_OK || pool_new(env, "io", 2, &pool) != ERR_OK)
        return 1;
    struct log_manager_opts opts = {.env = env,
        .dirs = dirs,
        .dir_count = 1,
        .pool = pool,
        .cluster_id = STR("c"),
        .format = true};
    log_config_default(&opts.config);
    int64_t t0 = env_now_ms(env);
    assert_int_equal(log_manager_open(&opts, &mgr), ERR_OK);
    int64_t t1 = env_now_ms(env);
    for (int32_t i = log_manager_log_count(mgr); i < count; i++) {
        struct log *log;
        struct log_fixture fx;
        struct uuid id = {{1}};
        assert_int_equal(log_manager_create(mgr, STR("t"), i, id, NULL, UUID_ZERO, &log), ERR_OK);
        fixture_init_in(&fx, env, dir);
        fx.log = log;
        fixture_add(&fx, 1, 100);
        fx.log = NULL;
        fixture_fini(&fx);
    }
    int64_t t2 = env_now_ms(env);
    log_manager_close(&mgr, -1);
    int64_t t3 = env_now_ms(env);
    printf("open %lld ms, create %lld ms, close %lld ms\n", (long long)(t1 - t0),
        (long long)(t2 - t1), (long long)(t3 - t2));
    pool_free(&pool);
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
    if (argc == 5 && strcmp(argv[1], "append") == 0)
        return append_to(argv[2], argv[3], atoi(argv[4]));
    if (argc == 4 && strcmp(argv[1], "many") == 0)
        return many(argv[2], atoi(argv[3]));
    fprintf(stderr, "usage: log_files write DIR | read PARENT NAME | recover PARENT NAME |"
                    " append DIR NAME COUNT | many DIR COUNT\n");
    return 2;
}
