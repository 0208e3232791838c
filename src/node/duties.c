/* node/duties.c - what a node does from time to time: retention, checkpoints, expiry, clean-up.
 *
 * Each duty is on the pool at most once at a time; a run that takes longer than its interval delays
 * the next one. Threads: timers on the first reactor, runs on the pool. */
#include "base/assert.h"
#include "node/node_priv.h"

enum { DELETE_INTERVAL_MS = 5000, FLUSH_INTERVAL_MS = 1000 };

static void
run_retention(struct node *node)
{
    replica_manager_retention(node->replicas);
}

static void
run_clean(struct node *node)
{
    replica_manager_clean(node->replicas);
}

static void
run_checkpoint_hw(struct node *node)
{
    replica_manager_checkpoint_hw(node->replicas);
}

static void
run_checkpoint_logs(struct node *node)
{
    replica_manager_checkpoint_logs(node->replicas);
}

static void
run_delete(struct node *node)
{
    log_manager_delete_due(node->logs);
}

static void
run_flush(struct node *node)
{
    replica_manager_flush_due(node->replicas);
    log_manager_checkpoint_due(node->logs);
}

static void
run_expire_producers(struct node *node)
{
    replica_manager_expire_producers(
        node->replicas, node_config_i64(node->opts.config, "producer.id.expiration.ms"));
}

static void
duty_work(struct pool_work *work)
{
    struct node_duty *duty = CONTAINER_OF(work, struct node_duty, work);
    duty->run(duty->node);
    atomic_store(&duty->busy, false);
}

static void
duty_arm(struct node_duty *duty)
{
    if (loop_timer_start(&duty->timer, duty->interval_ms) != ERR_OK)
        diag_event(duty->node->diag, DIAG_ERROR, "node", "duty_lost", DIAG_Z("duty", duty->name));
}

static void
duty_fire(struct loop_timer *timer)
{
    struct node_duty *duty = CONTAINER_OF(timer, struct node_duty, timer);
    if (!atomic_exchange(&duty->busy, true)) {
        duty->work.run = duty_work;
        pool_submit(duty->node->pool, &duty->work);
    }
    duty_arm(duty);
}

static void
add(struct node *node, const char *name, int64_t interval_ms, void (*run)(struct node *node))
{
    ASSERT(node->duty_count < NODE_DUTIES_MAX);
    struct node_duty *duty = &node->duties[node->duty_count++];
    duty->node = node;
    duty->name = name;
    duty->interval_ms = interval_ms > 0 ? interval_ms : 1;
    duty->run = run;
    atomic_init(&duty->busy, false);
    loop_timer_init(&duty->timer, node->reactors[0], duty_fire);
}

void
node_duties_init(struct node *node)
{
    const struct node_config *config = node->opts.config;
    add(node, "retention", node_config_i64(config, "log.retention.check.interval.ms"),
        run_retention);
    if (node_config_bool(config, "log.cleaner.enable"))
        add(node, "clean", replica_cleaner_interval_ms(replica_manager_cleaner(node->replicas)),
            run_clean);
    add(node, "checkpoint_high_watermarks",
        node_config_i64(config, "replica.high.watermark.checkpoint.interval.ms"),
        run_checkpoint_hw);
    add(node, "checkpoint_logs", node_config_i64(config, "log.flush.offset.checkpoint.interval.ms"),
        run_checkpoint_logs);
    add(node, "delete_files", DELETE_INTERVAL_MS, run_delete);
    add(node, "flush_due", FLUSH_INTERVAL_MS, run_flush);
    add(node, "expire_producers",
        node_config_i64(config, "producer.id.expiration.check.interval.ms"), run_expire_producers);
}

void
node_duties_start(struct node *node)
{
    for (int i = 0; i < node->duty_count; i++)
        duty_arm(&node->duties[i]);
}

void
node_duties_stop(struct node *node)
{
    for (int i = 0; i < node->duty_count; i++)
        loop_timer_stop(&node->duties[i].timer);
}
