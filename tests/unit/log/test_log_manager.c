#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "log/log_manager.h"
#include "log_fixture.h"

struct fixture {
    struct env *env;
    char root[200];
    char paths[2][256];
    const char *dirs[2];
    struct pool *pool;
    struct log_manager_opts opts;
    char why[LOG_MANAGER_ERROR_SIZE];
    int failures;
};

static void
dir_failed(void *ctx, const char *dir, struct uuid id, enum err err)
{
    struct fixture *fx = ctx;
    (void)dir;
    (void)id;
    (void)err;
    fx->failures++;
}

static void
setup(struct fixture *fx)
{
    struct env_real_opts env_opts = {.level_min = DIAG_ERROR, .diag_fd = -1};
    memset(fx, 0, sizeof *fx);
    test_dir_make(fx->root, sizeof fx->root);
    assert_int_equal(env_real_new(&env_opts, &fx->env), ERR_OK);
    assert_int_equal(pool_new(fx->env, "test", 2, &fx->pool), ERR_OK);
    for (int i = 0; i < 2; i++) {
        snprintf(fx->paths[i], sizeof fx->paths[i], "%s/d%d", fx->root, i);
        fx->dirs[i] = fx->paths[i];
    }
    fx->opts = (struct log_manager_opts){.env = fx->env,
        .dirs = fx->dirs,
        .dir_count = 2,
        .pool = fx->pool,
        .node_id = 1,
        .cluster_id = STR("cluster-a"),
        .format = true,
        .ctx = fx,
        .dir_failed = dir_failed};
    log_config_default(&fx->opts.config);
    fx->opts.config.file_delete_delay_ms = 0;
}

static void
teardown(struct fixture *fx)
{
    pool_free(&fx->pool);
    env_free(&fx->env);
    test_dir_remove(fx->root);
}

static struct log_manager *
open_manager(struct fixture *fx)
{
    struct log_manager *mgr;
    enum err err = log_manager_open_explained(&fx->opts, fx->why, &mgr);
    if (err != ERR_OK)
        print_error("%s\n", fx->why);
    assert_int_equal(err, ERR_OK);
    return mgr;
}

static struct log *
create(struct log_manager *mgr, const char *topic, int32_t partition)
{
    struct log *log;
    struct uuid id = {{7, 7}};
    assert_int_equal(
        log_manager_create(mgr, str_of(topic), partition, id, NULL, UUID_ZERO, &log), ERR_OK);
    return log;
}

static void
fill(struct fixture *fx, struct log *log, int count)
{
    struct log_fixture lf;
    fixture_init_in(&lf, fx->env, fx->root);
    lf.log = log;
    for (int i = 0; i < count; i++)
        fixture_add(&lf, 1, 20);
    lf.log = NULL;
    fixture_fini(&lf);
}

static bool
exists(struct fixture *fx, const char *name)
{
    char path[512];
    struct env_stat st;
    snprintf(path, sizeof path, "%s/%s", fx->root, name);
    return env_stat(fx->env, path, &st) == ERR_OK;
}

static void
logs_are_spread_and_found_again_after_a_clean_stop(void **state)
{
    struct fixture fx;
    (void)state;
    setup(&fx);
    struct log_manager *mgr = open_manager(&fx);
    assert_int_equal(log_manager_previous_broker_epoch(mgr), -1);
    for (int32_t p = 0; p < 40; p++) {
        struct log *log = create(mgr, "orders", p);
        fill(&fx, log, p % 5);
        log_set_high_watermark(log, p % 5);
    }
    struct log *again;
    assert_int_equal(
        log_manager_create(mgr, STR("orders"), 3, UUID_ZERO, NULL, UUID_ZERO, &again), ERR_EXISTS);
    struct log_dir_info d0, d1;
    log_manager_dir_info(mgr, 0, &d0);
    log_manager_dir_info(mgr, 1, &d1);
    assert_false(uuid_eq(d0.id, d1.id));
    assert_true(d0.usable_bytes > 0);
    struct uuid id0 = d0.id;
    log_manager_close(&mgr, 77);
    assert_true(exists(&fx, "d0/.kafka_cleanshutdown"));
    assert_true(exists(&fx, "d0/orders-0") && exists(&fx, "d1/orders-1"));

    mgr = open_manager(&fx);
    assert_false(exists(&fx, "d0/.kafka_cleanshutdown"));
    assert_int_equal(log_manager_previous_broker_epoch(mgr), 77);
    assert_int_equal(log_manager_log_count(mgr), 40);
    log_manager_dir_info(mgr, 0, &d0);
    assert_true(uuid_eq(d0.id, id0));
    for (int32_t p = 0; p < 40; p++) {
        struct log *log = log_manager_find(mgr, STR("orders"), p);
        assert_non_null(log);
        assert_int_equal(log_end_offset(log), p % 5);
        assert_int_equal(log_high_watermark(log), p % 5);
        assert_int_equal(log_topic_id(log).b[0], 7);
    }
    struct log_manager_counters counters;
    log_manager_counters(mgr, &counters);
    assert_int_equal(counters.logs_recovered, 0);
    assert_int_equal(counters.logs_loaded, 40);
    assert_null(log_manager_find(mgr, STR("orders"), 40));
    log_manager_close(&mgr, -1);
    teardown(&fx);
}

static void
after_a_kill_checkpoints_bound_what_is_scanned(void **state)
{
    struct fixture fx;
    (void)state;
    setup(&fx);
    struct log_manager *mgr = open_manager(&fx);
    struct log *log = create(mgr, "t", 0);
    fill(&fx, log, 50);
    assert_int_equal(log_flush_now(log), ERR_OK);
    log_set_high_watermark(log, 50);
    log_manager_checkpoint(mgr);
    log_manager_checkpoint_high_watermarks(mgr);
    fill(&fx, log, 10);
    log_manager_abandon(&mgr);
    mgr = open_manager(&fx);
    log = log_manager_find(mgr, STR("t"), 0);
    assert_int_equal(log_end_offset(log), 60);
    assert_int_equal(log_high_watermark(log), 50);
    struct log_manager_counters counters;
    log_manager_counters(mgr, &counters);
    assert_int_equal(counters.logs_recovered, 1);
    log_manager_close(&mgr, -1);
    teardown(&fx);
}

static void
a_second_process_and_a_foreign_disk_are_refused(void **state)
{
    struct fixture fx;
    struct log_manager *other;
    (void)state;
    setup(&fx);
    struct log_manager *mgr = open_manager(&fx);
    assert_int_equal(log_manager_open_explained(&fx.opts, fx.why, &other), ERR_BUSY);
    assert_non_null(strstr(fx.why, "in use"));
    log_manager_close(&mgr, -1);
    fx.opts.node_id = 2;
    assert_int_equal(log_manager_open_explained(&fx.opts, fx.why, &other), ERR_INVALID);
    assert_non_null(strstr(fx.why, "node 1"));
    fx.opts.node_id = 1;
    fx.opts.cluster_id = STR("cluster-b");
    assert_int_equal(log_manager_open_explained(&fx.opts, fx.why, &other), ERR_INVALID);
    assert_non_null(strstr(fx.why, "cluster-a"));
    fx.opts.cluster_id = STR_NULL;
    mgr = open_manager(&fx);
    assert_true(str_eq_z(log_manager_cluster_id(mgr), "cluster-a"));
    log_manager_close(&mgr, -1);
    teardown(&fx);
}

static void
an_unformatted_directory_is_refused_without_format(void **state)
{
    struct fixture fx;
    struct log_manager *mgr;
    (void)state;
    setup(&fx);
    fx.opts.format = false;
    assert_int_equal(log_manager_open_explained(&fx.opts, fx.why, &mgr), ERR_INVALID);
    assert_non_null(strstr(fx.why, "not formatted"));
    teardown(&fx);
}

/* A first start whose first disk failed leaves the second formatted, and must not be the last. */
static void
a_new_first_directory_is_formatted_like_the_others_where_no_log_is(void **state)
{
    struct fixture fx;
    struct log_manager *mgr;
    char path[600];
    (void)state;
    setup(&fx);
    mgr = open_manager(&fx);
    log_manager_close(&mgr, -1);
    fx.opts.cluster_id = STR_NULL;
    assert_int_equal(env_remove_tree(fx.env, fx.paths[0]), ERR_OK);
    mgr = open_manager(&fx);
    assert_true(str_eq_z(log_manager_cluster_id(mgr), "cluster-a"));
    log_manager_close(&mgr, -1);
    mgr = open_manager(&fx); /* it stays */
    log_manager_close(&mgr, -1);

    assert_int_equal(env_remove_tree(fx.env, fx.paths[0]), ERR_OK);
    snprintf(path, sizeof path, "%s/t-0", fx.paths[1]);
    assert_int_equal(env_mkdir(fx.env, path), ERR_OK);
    assert_int_equal(log_manager_open_explained(&fx.opts, fx.why, &mgr), ERR_INVALID);
    assert_non_null(strstr(fx.why, "there are logs in another"));
    teardown(&fx);
}

static void
deleted_and_stray_logs_leave_the_table_and_their_names(void **state)
{
    struct fixture fx;
    (void)state;
    setup(&fx);
    fx.opts.dir_count = 1;
    struct log_manager *mgr = open_manager(&fx);
    struct log *a = create(mgr, "a", 0), *b = create(mgr, "b", 0);
    fill(&fx, a, 3);
    assert_int_equal(log_manager_delete(mgr, &a), ERR_OK);
    assert_null(a);
    assert_int_equal(log_manager_stray(mgr, &b), ERR_OK);
    assert_false(exists(&fx, "d0/a-0"));
    assert_false(exists(&fx, "d0/b-0"));
    assert_int_equal(log_manager_log_count(mgr), 0);
    struct log *again = create(mgr, "a", 0);
    assert_int_equal(log_end_offset(again), 0);
    log_manager_delete_due(mgr);
    log_manager_close(&mgr, -1);
    mgr = open_manager(&fx);
    assert_int_equal(log_manager_log_count(mgr), 1);
    log_manager_close(&mgr, -1);
    teardown(&fx);
}

static void
the_metadata_log_stands_apart(void **state)
{
    struct fixture fx;
    struct log *log, *same;
    (void)state;
    setup(&fx);
    struct log_manager *mgr = open_manager(&fx);
    assert_int_equal(log_manager_metadata_log(mgr, NULL, &log), ERR_OK);
    fill(&fx, log, 5);
    assert_int_equal(log_manager_metadata_log(mgr, NULL, &same), ERR_OK);
    assert_ptr_equal(log, same);
    assert_int_equal(log_manager_log_count(mgr), 0);
    assert_null(log_manager_find(mgr, STR("__cluster_metadata"), 0));
    log_manager_close(&mgr, -1);
    mgr = open_manager(&fx);
    assert_int_equal(log_manager_log_count(mgr), 0);
    assert_int_equal(log_manager_metadata_log(mgr, NULL, &log), ERR_OK);
    assert_int_equal(log_end_offset(log), 5);
    log_manager_close(&mgr, -1);
    teardown(&fx);
}

static void
a_failed_directory_goes_offline_alone(void **state)
{
    struct fixture fx;
    struct log_flush flush;
    (void)state;
    setup(&fx);
    struct log_manager *mgr = open_manager(&fx);
    struct log *a = create(mgr, "a", 0), *b = create(mgr, "a", 1), *c = create(mgr, "a", 2);
    assert_string_not_equal(log_parent_dir(a), log_parent_dir(b));
    assert_string_equal(log_parent_dir(a), log_parent_dir(c));
    fill(&fx, a, 1);
    fill(&fx, b, 1);
    assert_int_equal(log_flush_begin(a, &flush), ERR_OK);
    assert_int_equal(log_flush_end(a, &flush, ERR_IO), ERR_IO);
    assert_int_equal(fx.failures, 1);
    assert_int_equal(log_state(a), LOG_FAILED);
    assert_int_equal(log_state(c), LOG_FAILED);
    assert_int_equal(log_state(b), LOG_OPEN);
    assert_int_equal(log_manager_stray(mgr, &c), ERR_FAILED);
    assert_ptr_equal(log_manager_find(mgr, STR("a"), 2), c);
    fill(&fx, b, 1);
    assert_true(str_eq_z(str_of(log_parent_dir(create(mgr, "z", 0))), log_parent_dir(b)));
    log_manager_close(&mgr, -1);
    assert_int_equal(
        exists(&fx, "d0/.kafka_cleanshutdown") + exists(&fx, "d1/.kafka_cleanshutdown"), 1);
    teardown(&fx);
}

static void
unreadable_checkpoints_cost_a_scan_and_nothing_else(void **state)
{
    struct fixture fx;
    char path[512];
    (void)state;
    setup(&fx);
    fx.opts.dir_count = 1;
    struct log_manager *mgr = open_manager(&fx);
    fill(&fx, create(mgr, "a", 0), 9);
    log_manager_close(&mgr, -1);
    static const char *const names[] = {"recovery-point-offset-checkpoint",
        "replication-offset-checkpoint", "log-start-offset-checkpoint"};
    for (int i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s/%s", fx.paths[0], names[i]);
        assert_int_equal(
            env_write_file_atomic(fx.env, path, (struct bytes){(const uint8_t *)"0\n9\nx", 5}),
            ERR_OK);
    }
    mgr = open_manager(&fx);
    assert_int_equal(log_end_offset(log_manager_find(mgr, STR("a"), 0)), 9);
    log_manager_close(&mgr, -1);
    teardown(&fx);
}

static void
write_file(struct fixture *fx, const char *name, const char *text)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", fx->paths[0], name);
    assert_int_equal(
        env_write_file_atomic(fx->env, path, (struct bytes){(const uint8_t *)text, strlen(text)}),
        ERR_OK);
}

static void
file_is(struct fixture *fx, const char *name, const char *wanted)
{
    char path[512], *text;
    size_t len;
    snprintf(path, sizeof path, "%s/%s", fx->paths[0], name);
    assert_int_equal(env_read_file(fx->env, path, 4096, &text, &len), ERR_OK);
    assert_string_equal(text, wanted);
    mem_free(text);
}

static void
what_kafkas_cleaner_noted_is_kept_and_true(void **state)
{
    static const char name[] = "cleaner-offset-checkpoint";
    struct fixture fx;
    (void)state;
    setup(&fx);
    fx.opts.dir_count = 1;
    struct log_manager *mgr = open_manager(&fx);
    for (int i = 0; i < 3; i++)
        fill(&fx, create(mgr, "c", i), 9);
    log_manager_checkpoint(mgr);
    log_manager_close(&mgr, -1);
    assert_false(exists(&fx, "d0/cleaner-offset-checkpoint")); /* we begin none */
    write_file(&fx, name, "");                                 /* as Kafka begins it */
    mgr = open_manager(&fx);
    log_manager_checkpoint(mgr);
    log_manager_close(&mgr, -1);
    file_is(&fx, name, "");
    static const char text[] = "0\n2\nc 2 7\nc 0 5\n";
    write_file(&fx, name, text);
    mgr = open_manager(&fx);
    log_manager_checkpoint(mgr);
    log_manager_close(&mgr, -1);
    file_is(&fx, name, text); /* not even reordered */
    mgr = open_manager(&fx);
    struct log *log = log_manager_find(mgr, STR("c"), 2);
    assert_int_equal(log_truncate(log, 4), ERR_OK);
    fill(&fx, log, 1);
    log = log_manager_find(mgr, STR("c"), 0);
    assert_int_equal(log_manager_delete(mgr, &log), ERR_OK);
    log_manager_checkpoint(mgr);
    file_is(&fx, name, "0\n1\nc 2 4\n"); /* what came since was never cleaned */
    log_manager_close(&mgr, -1);
    file_is(&fx, name, "0\n1\nc 2 4\n");
    write_file(&fx, name, "0\n2\nc 2 5\ngone 0 100\n"); /* deleted, and then a crash */
    mgr = open_manager(&fx);
    log_manager_checkpoint(mgr);
    log_manager_abandon(&mgr);
    file_is(&fx, name, "0\n1\nc 2 5\n");
    teardown(&fx);
}

static void
a_directory_in_use_is_marked_and_recovery_points_are_there_before(void **state)
{
    struct fixture fx;
    (void)state;
    setup(&fx);
    fx.opts.dir_count = 1;
    struct log_manager *mgr = open_manager(&fx);
    assert_true(exists(&fx, "d0/moldau-in-use"));
    file_is(&fx, "recovery-point-offset-checkpoint", "0\n0\n");
    fill(&fx, create(mgr, "a", 0), 9);
    log_manager_abandon(&mgr);
    assert_true(exists(&fx, "d0/moldau-in-use"));
    mgr = open_manager(&fx); /* ours, killed: nothing new to say */
    file_is(&fx, "recovery-point-offset-checkpoint", "0\n0\n");
    log_manager_close(&mgr, -1);
    assert_false(exists(&fx, "d0/moldau-in-use"));
    mgr = open_manager(&fx);
    assert_true(exists(&fx, "d0/moldau-in-use"));
    log_manager_abandon(&mgr);
    char path[512];
    snprintf(path, sizeof path, "%s/moldau-in-use", fx.paths[0]);
    assert_int_equal(env_unlink(fx.env, path), ERR_OK);
    write_file(&fx, "recovery-point-offset-checkpoint", "0\n0\n");
    mgr = open_manager(&fx); /* another's, killed: what it left counts from here on */
    file_is(&fx, "recovery-point-offset-checkpoint", "0\n1\na 0 9\n");
    assert_true(exists(&fx, "d0/moldau-in-use"));
    log_manager_close(&mgr, -1);
    teardown(&fx);
}

/* Long before the interval of checkpoints is over. */
static void
recovery_points_are_noted_when_much_was_flushed(void **state)
{
    struct fixture fx;
    struct log_manager_counters counters;
    (void)state;
    setup(&fx);
    fx.opts.dir_count = 1;
    fx.opts.checkpoint_bytes = 100000;
    struct log_manager *mgr = open_manager(&fx);
    struct log *log = create(mgr, "t", 0);
    fill(&fx, log, 5);
    assert_int_equal(log_flush_now(log), ERR_OK);
    log_manager_checkpoint_due(mgr); /* too little yet */
    for (int i = 0; i < 40; i++) {   /* entries of indexes are written 64 at a time */
        fill(&fx, log, 300);
        assert_int_equal(log_flush_now(log), ERR_OK);
        log_manager_checkpoint_due(mgr);
    }
    int64_t end = log_end_offset(log), size = log_size_bytes(log);
    log_manager_abandon(&mgr);
    mgr = open_manager(&fx);
    log_manager_counters(mgr, &counters);
    assert_in_range(counters.bytes_scanned, 1, size / 2);
    assert_int_equal(log_end_offset(log_manager_find(mgr, STR("t"), 0)), end);
    log_manager_close(&mgr, -1);
    teardown(&fx);
}

TEST_MAIN(cmocka_unit_test(recovery_points_are_noted_when_much_was_flushed),
    cmocka_unit_test(logs_are_spread_and_found_again_after_a_clean_stop),
    cmocka_unit_test(after_a_kill_checkpoints_bound_what_is_scanned),
    cmocka_unit_test(a_second_process_and_a_foreign_disk_are_refused),
    cmocka_unit_test(an_unformatted_directory_is_refused_without_format),
    cmocka_unit_test(a_new_first_directory_is_formatted_like_the_others_where_no_log_is),
    cmocka_unit_test(deleted_and_stray_logs_leave_the_table_and_their_names),
    cmocka_unit_test(the_metadata_log_stands_apart),
    cmocka_unit_test(a_failed_directory_goes_offline_alone),
    cmocka_unit_test(unreadable_checkpoints_cost_a_scan_and_nothing_else),
    cmocka_unit_test(what_kafkas_cleaner_noted_is_kept_and_true),
    cmocka_unit_test(a_directory_in_use_is_marked_and_recovery_points_are_there_before))
