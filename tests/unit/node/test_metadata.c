/* The metadata side alone on a simulated disk: snapshots, the log cut behind them, and what a crash
 * in the middle of any operation of that leaves. */
#include "tests/lib/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log/log.h"
#include "log/log_manager.h"
#include "meta/config_rules.h"
#include "node/metadata.h"
#include "node/metadata_priv.h"
#include "os/sim.h"
#include "proto/incremental_alter_configs_request.h"
#include "proto/incremental_alter_configs_response.h"

enum {
    CHANGES = 60,
    BROKER_RESOURCE = 4,
    ARENA_BYTES = 1 << 20,
    WAIT_MS = 20000,
    MINUTE_MS = 60000
};

static const char KEY[] = "log.retention.ms";
static const char DIR[] = "data/__cluster_metadata-0";

struct fixture {
    struct sim *sim;
    struct sim_host *host;
    struct env *env; /* of this life; NULL: none */
    struct pool *pool;
    struct log_manager *logs;
    struct node_metadata *md;
    struct meta_config_rules rules;
    struct node_metadata_opts opts;
    /* The change on its way. */
    struct meta_request req;
    struct meta_image **image; /* for the next change */
    struct arena arena;
    struct proto_incremental_alter_configs_request request;
    struct proto_incremental_alter_configs_request_alter_configs_resource resource;
    struct proto_incremental_alter_configs_request_alterable_config config;
    struct proto_incremental_alter_configs_response response;
    char value[24];
    bool busy;
    enum err result;
    int64_t sent, acked;
    bool (*over)(void *ctx); /* ends the wait for a change; NULL: is_over */
    int64_t end_offset;      /* of the log before it */
};

static void
fixture_open(struct fixture *f, uint64_t seed)
{
    const struct sim_opts opts = {
        .seed = seed, .level_min = DIAG_ERROR + 1, .wall_start_ms = 1700000000000};
    memset(f, 0, sizeof *f);
    assert_int_equal(sim_new(&opts, &f->sim), ERR_OK);
    assert_int_equal(sim_host_new(f->sim, "h", "10.0.0.1", &f->host), ERR_OK);
    arena_init(&f->arena, ARENA_BYTES);
    f->rules = meta_config_rules_make(NULL);
    f->opts = (struct node_metadata_opts){.rules = &f->rules,
        .node_id = 1,
        .rack = STR_NULL,
        .snapshot_bytes = 300,
        .retention_bytes = 2500,
        .retention_ms = -1,
        .segment_bytes = 1000,
        .segment_ms = INT64_MAX};
}

/* False: the host went down, or *err says why not. */
static bool
boot(struct fixture *f, enum err *err)
{
    const char *const dirs[] = {"data"};
    struct log_manager_opts logs = {.dirs = dirs,
        .dir_count = 1,
        .node_id = 1,
        .cluster_id = STR("TW9sZGF1VGVzdENsdXN0ZQ"),
        .format = true};
    assert_int_equal(sim_host_boot(f->host, &f->env), ERR_OK);
    logs.env = f->env;
    log_config_default(&logs.config);
    assert_int_equal(pool_new(f->env, "io", 2, &f->pool), ERR_OK);
    *err = env_mkdir_all(f->env, "data");
    if (*err == ERR_OK)
        *err = log_manager_open(&logs, &f->logs);
    if (*err == ERR_OK) {
        f->opts.env = f->env;
        f->opts.logs = f->logs;
        f->opts.pool = f->pool;
        *err = node_metadata_open(&f->opts, &f->md);
    }
    if (*err == ERR_OK)
        *err = node_metadata_start(f->md);
    return *err == ERR_OK;
}

/* The end of a life, by a crash unless `clean`. */
static void
end(struct fixture *f, bool clean)
{
    if (f->env == NULL)
        return;
    if (!clean && !sim_host_is_down(f->host))
        sim_host_crash(f->host, SIM_CRASH_KILL);
    if (clean)
        sim_run_ms(f->sim, 1000); /* no flush and no snapshot is on its way */
    if (f->md != NULL)
        node_metadata_stop(f->md);
    pool_free(&f->pool);
    node_metadata_free(&f->md);
    if (clean)
        log_manager_close(&f->logs, 1);
    else
        log_manager_abandon(&f->logs);
    env_free(&f->env);
    f->busy = false;
}

static void
fixture_close(struct fixture *f)
{
    end(f, false);
    arena_fini(&f->arena);
    sim_free(&f->sim);
}

static void
on_done(struct meta_request *req, enum err err)
{
    struct fixture *f = req->owner;
    f->busy = false;
    f->result = err;
    if (err == ERR_OK && f->response.responses.count == 1)
        assert_int_equal(f->response.responses.items[0].error_code, 0);
    if (err == ERR_OK) {
        struct node_metadata_view view;
        struct meta_image *image = node_metadata_image(f->md);
        node_metadata_get_view(f->md, &view);
        assert_true(meta_image_offset(image) < view.high_watermark); /* metrics are not behind */
        meta_image_unref(&image);
    }
}

static bool
is_over(void *ctx)
{
    struct fixture *f = ctx;
    return !f->busy || sim_host_is_down(f->host);
}

/* Sets the key to the next number; true when that was acknowledged. */
static bool
change(struct fixture *f)
{
    snprintf(f->value, sizeof f->value, "%lld", (long long)++f->sent);
    f->config = (struct proto_incremental_alter_configs_request_alterable_config){
        .name = str_of(KEY), .value = str_of(f->value)};
    f->resource = (struct proto_incremental_alter_configs_request_alter_configs_resource){
        .resource_type = BROKER_RESOURCE, .resource_name = STR("")};
    f->resource.configs.items = &f->config;
    f->resource.configs.count = 1;
    f->request.resources.items = &f->resource;
    f->request.resources.count = 1;
    arena_reset(&f->arena);
    f->req = (struct meta_request){.api_key = PROTO_INCREMENTAL_ALTER_CONFIGS_REQUEST_KEY,
        .version = 1,
        .msg = &f->request,
        .response = &f->response,
        .arena = &f->arena,
        .image = f->image,
        .principal = STR("User:ANONYMOUS"),
        .done = on_done,
        .owner = f};
    f->busy = true;
    f->result = ERR_CANCELED;
    meta_port_submit(node_metadata_port(f->md), &f->req);
    (void)sim_run_until(f->sim, f->over != NULL ? f->over : is_over, f, WAIT_MS);
    if (f->busy || f->result != ERR_OK)
        return false;
    f->acked = f->sent;
    return true;
}

static int64_t
value_now(struct fixture *f)
{
    struct meta_image *image = node_metadata_image(f->md);
    struct str text = meta_image_config(image, BROKER_RESOURCE, STR(""), str_of(KEY));
    int64_t value = str_is_null(text) ? 0 : strtoll(text.data, NULL, 10);
    meta_image_unref(&image);
    return value;
}

/* ---- files ---- */

struct counts {
    int segments, snapshots, deleted, corrupt;
    int64_t first_segment, newest_snapshot;
    char newest[64];
};

static bool
count_name(void *ctx, const char *name)
{
    struct counts *c = ctx;
    size_t len = strlen(name);
    if (len > 4 && strcmp(name + len - 4, ".log") == 0 && c->segments++ == 0)
        c->first_segment = strtoll(name, NULL, 10);
    if (strstr(name, ".checkpoint.deleted") != NULL)
        c->deleted++;
    else if (strstr(name, ".checkpoint.corrupt") != NULL)
        c->corrupt++;
    else if (len == 42 && strstr(name, ".checkpoint") != NULL) {
        c->snapshots++;
        c->newest_snapshot = strtoll(name, NULL, 10);
        memcpy(c->newest, name, len + 1);
    }
    return true;
}

static struct counts
count_files(struct fixture *f)
{
    struct counts c = {0};
    assert_int_equal(env_list_dir(f->env, DIR, count_name, &c), ERR_OK);
    return c;
}

/* ---- tests ---- */

static void
the_log_is_cut_behind_snapshots_and_old_ones_go(void **state)
{
    struct fixture f;
    enum err err;
    (void)state;
    fixture_open(&f, 1);
    assert_true(boot(&f, &err));
    for (int i = 0; i < CHANGES; i++)
        assert_true(change(&f));
    sim_run_ms(f.sim, 1000);
    struct counts c = count_files(&f);
    printf("# log from %lld in %d segments, %d snapshots to %lld, %d deleted\n",
        (long long)c.first_segment, c.segments, c.snapshots, (long long)c.newest_snapshot,
        c.deleted);
    assert_true(c.first_segment > 0);
    assert_true(log_start_offset(f.md->log) > CHANGES / 2);
    assert_true(c.snapshots >= 1 && c.snapshots < 6);
    assert_true(c.deleted > 0);
    sim_run_ms(f.sim, 2 * MINUTE_MS);
    assert_int_equal(count_files(&f).deleted, 0);
    end(&f, true);
    assert_true(boot(&f, &err));
    assert_int_equal(value_now(&f), f.acked);
    assert_true(change(&f));
    fixture_close(&f);
}

/* A response may hold texts of the image it was made from, and is written on another thread. */
static void
the_image_of_an_answer_outlives_the_next_changes(void **state)
{
    struct fixture f;
    struct meta_image *image = NULL;
    enum err err;
    (void)state;
    fixture_open(&f, 3);
    assert_true(boot(&f, &err));
    assert_true(change(&f));
    f.image = &image;
    assert_true(change(&f));
    f.image = NULL;
    for (int i = 0; i < 3; i++)
        assert_true(change(&f));
    assert_non_null(image);
    struct str before = meta_image_config(image, BROKER_RESOURCE, STR(""), str_of(KEY));
    assert_true(str_eq_z(before, "1"));
    assert_int_equal(value_now(&f), 5);
    meta_image_unref(&image);
    fixture_close(&f);
}

static void
snapshots_come_and_go_by_time(void **state)
{
    struct fixture f;
    enum err err;
    (void)state;
    fixture_open(&f, 2);
    f.opts.snapshot_bytes = INT64_MAX;
    f.opts.snapshot_interval_ms = 5000;
    f.opts.retention_bytes = -1;
    f.opts.retention_ms = 3 * MINUTE_MS;
    assert_true(boot(&f, &err));
    assert_true(change(&f));
    assert_int_equal(count_files(&f).snapshots, 0);
    sim_run_ms(f.sim, 6000);
    assert_int_equal(count_files(&f).snapshots, 1);
    sim_run_ms(f.sim, 20000); /* nothing new */
    assert_int_equal(count_files(&f).snapshots, 1);
    assert_true(change(&f));
    sim_run_ms(f.sim, 10000);
    assert_int_equal(count_files(&f).snapshots, 2);
    sim_run_ms(f.sim, 5 * MINUTE_MS); /* old, but the newest stays */
    assert_int_equal(count_files(&f).snapshots, 1);
    assert_int_equal(log_start_offset(f.md->log), count_files(&f).newest_snapshot);
    fixture_close(&f);
}

static void
a_damaged_snapshot_is_passed_over_only_where_the_log_reaches(void **state)
{
    struct fixture f;
    enum err err;
    char path[200];
    (void)state;
    fixture_open(&f, 3);
    f.opts.retention_bytes = -1;
    assert_true(boot(&f, &err));
    for (int i = 0; i < CHANGES; i++)
        assert_true(change(&f));
    end(&f, true);
    for (int round = 0; round < 2; round++) {
        assert_true(boot(&f, &err));
        struct counts c = count_files(&f);
        assert_int_equal(c.corrupt, round);
        assert_true(c.snapshots > 3);
        end(&f, true);
        snprintf(path, sizeof path, "%s/%s", DIR, c.newest);
        assert_int_equal(sim_host_flip_bit(f.host, path, 100, 3), ERR_OK);
        assert_true(boot(&f, &err));
        assert_int_equal(value_now(&f), f.acked);
        assert_int_equal(count_files(&f).corrupt, round + 1);
        end(&f, true);
    }
    f.opts.retention_bytes = 1; /* the newest alone stays, and the log from there */
    assert_true(boot(&f, &err));
    for (int i = 0; i < CHANGES; i++)
        assert_true(change(&f));
    sim_run_ms(f.sim, 1000);
    struct counts c = count_files(&f);
    assert_int_equal(c.snapshots, 1);
    assert_int_equal(log_start_offset(f.md->log), c.newest_snapshot);
    end(&f, true);
    snprintf(path, sizeof path, "%s/%s", DIR, c.newest);
    assert_int_equal(sim_host_flip_bit(f.host, path, 100, 3), ERR_OK);
    assert_false(boot(&f, &err));
    assert_int_equal(err, ERR_CORRUPT);
    assert_string_equal(count_files(&f).newest, c.newest); /* left as it is */
    fixture_close(&f);
}

/* A life of changes with a crash in the nth operation; then what was acknowledged must be there.
 * True: the life ended by itself. */
static bool
crash_at(uint64_t seed, enum sim_crash kind, uint64_t nth)
{
    struct fixture f;
    enum err err;
    fixture_open(&f, seed);
    assert_true(boot(&f, &err));
    assert_true(change(&f)); /* the crash is in what follows the first start */
    sim_host_crash_at(f.host, kind, nth);
    for (int i = 0; i < CHANGES && change(&f); i++)
        ;
    bool over = !sim_host_is_down(f.host);
    end(&f, false);
    sim_host_crash_at(f.host, kind, 0);
    if (!boot(&f, &err))
        fail_msg("operation %llu, seed %llu: does not start: %s", (unsigned long long)nth,
            (unsigned long long)seed, err_text(err));
    int64_t value = value_now(&f);
    if (value < f.acked || value > f.sent)
        fail_msg("operation %llu, seed %llu: %lld acknowledged, %lld sent, %lld there",
            (unsigned long long)nth, (unsigned long long)seed, (long long)f.acked,
            (long long)f.sent, (long long)value);
    for (int i = 0; i < 8; i++)
        assert_true(change(&f));
    assert_int_equal(value_now(&f), f.acked);
    fixture_close(&f);
    return over;
}

static void
crash_everywhere(enum sim_crash kind, uint64_t seeds)
{
    uint64_t first = test_seed(1);
    for (uint64_t seed = first; seed < first + seeds; seed++) {
        uint64_t nth = 1;
        while (!crash_at(seed, kind, nth))
            nth++;
        printf("# seed %llu: %llu operations\n", (unsigned long long)seed,
            (unsigned long long)nth - 1);
        assert_true(nth > 3 * CHANGES);
    }
}

static void
a_kill_at_any_operation_loses_nothing(void **state)
{
    (void)state;
    crash_everywhere(SIM_CRASH_KILL, 1);
}

static void
a_power_cut_at_any_operation_loses_nothing(void **state)
{
    (void)state;
    crash_everywhere(SIM_CRASH_POWER, 3);
}

static const struct sim_disk_faults NO_FAULTS = {0}, NO_DESCRIPTORS = {.no_descriptors = true};

/* From when a change is appended on there are none, also not to make a new segment's name durable.
 */
static bool
is_over_or_starves(void *ctx)
{
    struct fixture *f = ctx;
    if (log_end_offset(f->md->log) > f->end_offset)
        sim_host_disk_faults(f->host, &NO_DESCRIPTORS);
    return is_over(ctx);
}

/* It waits for them, and asks less and less often. */
static void
without_descriptors_a_change_waits_until_there_are_some(void **state)
{
    struct fixture f;
    enum err err;
    (void)state;
    fixture_open(&f, test_seed(7));
    assert_true(boot(&f, &err));
    f.over = is_over_or_starves;
    for (int i = 0; i < 60; i++) {
        f.end_offset = log_end_offset(f.md->log);
        uint64_t before = sim_faults_injected(f.sim);
        bool done = change(&f);
        if (!done && f.busy) {
            assert_in_range(sim_faults_injected(f.sim) - before, 5, WAIT_MS / 1000 + 20);
            break;
        }
        sim_host_disk_faults(f.host, &NO_FAULTS);
    }
    assert_true(f.busy);
    sim_host_disk_faults(f.host, &NO_FAULTS);
    (void)sim_run_until(f.sim, is_over, &f, WAIT_MS);
    assert_false(f.busy);
    assert_int_equal(f.result, ERR_OK);
    assert_int_equal(value_now(&f), f.sent);
    end(&f, true);
    assert_true(boot(&f, &err));
    assert_int_equal(value_now(&f), f.sent);
    fixture_close(&f);
}

TEST_MAIN(cmocka_unit_test(without_descriptors_a_change_waits_until_there_are_some),
    cmocka_unit_test(the_log_is_cut_behind_snapshots_and_old_ones_go),
    cmocka_unit_test(the_image_of_an_answer_outlives_the_next_changes),
    cmocka_unit_test(snapshots_come_and_go_by_time),
    cmocka_unit_test(a_damaged_snapshot_is_passed_over_only_where_the_log_reaches),
    cmocka_unit_test(a_kill_at_any_operation_loses_nothing),
    cmocka_unit_test(a_power_cut_at_any_operation_loses_nothing))
