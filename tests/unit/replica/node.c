#include "tests/unit/replica/node.h"

#include "tests/lib/test.h"

#include "os/loop.h"

void
node_open(struct node *node)
{
    struct log_manager_opts logs = {
        .env = node->env,
        .dirs = node->dirs,
        .dir_count = node->dir_count,
        .node_id = NODE,
        .cluster_id = STR("cluster"),
        .format = true,
    };
    struct replica_manager_opts opts = {
        .env = node->env,
        .rules = &node->rules,
        .node_id = NODE,
        .ack_flush = true,
        .session_slots = 100,
        .events = node->events,
    };

    log_config_default(&logs.config);
    node->rules = meta_config_rules_make(NULL);
    assert_int_equal(pool_new(node->env, "io", 1, &node->pool), ERR_OK);
    assert_int_equal(log_manager_open(&logs, &node->logs), ERR_OK);
    opts.logs = node->logs;
    opts.pool = node->pool;
    assert_int_equal(replica_manager_new(&opts, &node->mgr), ERR_OK);
}

void
node_close(struct node *node, bool killed)
{
    replica_manager_stop(node->mgr);
    sim_run_ms(node->sim, 10000);
    if (killed)
        sim_host_crash(node->host, SIM_CRASH_KILL);
    pool_free(&node->pool);
    replica_manager_free(&node->mgr);
    if (!killed) {
        log_manager_close(&node->logs, -1);
        return;
    }
    log_manager_abandon(&node->logs);
    env_free(&node->env);
    assert_int_equal(sim_host_boot(node->host, &node->env), ERR_OK);
}

void
node_start(struct node *node)
{
    const struct sim_opts opts = {
        .seed = test_seed(5), .level_min = DIAG_ERROR + 1, .wall_start_ms = 1700000000000};

    assert_int_equal(sim_new(&opts, &node->sim), ERR_OK);
    assert_int_equal(sim_host_new(node->sim, "h", "10.0.0.1", &node->host), ERR_OK);
    assert_int_equal(sim_host_boot(node->host, &node->env), ERR_OK);
    assert_int_equal(meta_image_new_empty(STR("cluster"), &node->image), ERR_OK);
    arena_init(&node->arena, 1 << 24);
    node_open(node);
}

void
node_end(struct node *node)
{
    node_close(node, false);
    meta_image_unref(&node->image);
    arena_fini(&node->arena);
    env_free(&node->env);
    sim_free(&node->sim);
}
