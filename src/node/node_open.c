/* node/node_open.c - from configuration to parts: directories, loops, logs, metadata, broker,
 * network.
 *
 * Everything here runs on the opener's thread before any loop does, and may block on the disk. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/limits.h"
#include "meta/config_def.h"
#include "node/node_priv.h"

enum {
    POOL_THREADS = 4,
    LINGER_NS = 50000, /* about what a processor of a virtual machine takes to wake up */
    READ_THREADS = 2,
    FRAME_MEMORY_MAX = 16 << 20, /* of each reactor; see net/block.h for large frames */
    SIM_REACTORS = 2,
    PATH_SIZE = 4096,
};

_Static_assert((int)NODE_DIRS_MAX <= (int)LOG_MANAGER_DIRS_MAX, "each has its place");

static const char DEFAULT_DIR[] = "./moldau-data";

/* ---- static values ---- */

/* Kafka's keys in hours and minutes stand in for those in milliseconds. */
static void
derive(struct node *node, int slot, const char *minutes, const char *hours)
{
    const struct node_config *config = node->opts.config;
    node->derived[slot][0] = '\0';
    if (minutes != NULL && node_config_is_set(config, minutes))
        snprintf(node->derived[slot], sizeof node->derived[slot], "%lld",
            (long long)node_config_i64(config, minutes) * 60000);
    else if (node_config_is_set(config, hours)) {
        int64_t value = node_config_i64(config, hours);
        snprintf(node->derived[slot], sizeof node->derived[slot], "%lld",
            (long long)(value < 0 ? -1 : value * 3600000));
    }
}

struct find_set {
    struct str key;
    struct str value;
};

static void
look_at_set(void *ctx, struct str key, struct str value)
{
    struct find_set *find = ctx;
    if (str_eq(find->key, key))
        find->value = value;
}

static struct str
static_value(void *ctx, struct str key)
{
    static const char *const derived_keys[] = {
        "log.retention.ms", "log.roll.ms", "log.roll.jitter.ms"};
    struct node *node = ctx;
    struct find_set find = {key, STR_NULL};
    node_config_each(node->opts.config, look_at_set, &find);
    for (size_t i = 0; str_is_null(find.value) && i < COUNT_OF(derived_keys); i++)
        if (str_eq_z(key, derived_keys[i]) && node->derived[i][0] != '\0')
            find.value = str_of(node->derived[i]);
    return find.value;
}

static void
make_rules(struct node *node)
{
    derive(node, 0, "log.retention.minutes", "log.retention.hours");
    derive(node, 1, NULL, "log.roll.hours");
    derive(node, 2, NULL, "log.roll.jitter.hours");
    node->static_values = (struct meta_config_static){static_value, node};
    node->rules = meta_config_rules_make(&node->static_values);
}

/* ---- directories and logs ---- */

static enum err
read_dirs(struct node *node, struct buf *problems)
{
    const struct node_config *config = node->opts.config;
    struct str list = node_config_str(config, "log.dirs");
    struct str one;
    size_t used = 0;
    if (list.len == 0 && node_config_is_set(config, "log.dir"))
        list = node_config_str(config, "log.dir");
    if (list.len == 0)
        list = STR(DEFAULT_DIR);
    while (config_list_next(&list, &one)) {
        if (node->dir_count == NODE_DIRS_MAX || used + one.len + 1 > sizeof node->dirs_text) {
            buf_printf(problems, "log.dirs: at most %d directories\n", NODE_DIRS_MAX);
            return ERR_INVALID;
        }
        memcpy(node->dirs_text + used, one.data, one.len);
        node->dirs_text[used + one.len] = '\0';
        node->dirs[node->dir_count++] = node->dirs_text + used;
        used += one.len + 1;
    }
    return ERR_OK;
}

static bool
is_formatted(struct node *node)
{
    for (int i = 0; i < node->dir_count; i++) {
        char path[PATH_SIZE];
        struct env_stat st;
        snprintf(path, sizeof path, "%s/meta.properties", node->dirs[i]);
        if (env_stat(node->opts.env, path, &st) == ERR_OK)
            return true;
    }
    return false;
}

static void
on_dir_failed(void *ctx, const char *dir, struct uuid dir_id, enum err err)
{
    struct node *node = ctx;
    (void)dir_id;
    if (node->replicas != NULL)
        replica_manager_dir_failed(node->replicas);
    /* The metadata log lies in the first directory: without it the node cannot go on. */
    if (strcmp(dir, node->dirs[0]) == 0 && node->opts.fatal != NULL)
        node->opts.fatal(node->opts.ctx, err);
}

static void
on_journal_turned(void *ctx)
{
    struct node *node = ctx;
    if (node->replicas != NULL)
        replica_manager_journal_turned(node->replicas);
}

static enum err
open_logs(struct node *node, struct buf *problems)
{
    char explanation[LOG_MANAGER_ERROR_SIZE] = "";
    char cluster_id[UUID_TEXT_SIZE];
    struct log_manager_opts opts = {
        .env = node->opts.env,
        .dirs = node->dirs,
        .dir_count = node->dir_count,
        .pool = node->opts.simulated ? NULL : node->pool,
        .node_id = node->node_id,
        .cluster_id = STR_NULL,
        .format = true,
        .first_made = true,
        .metadata_next = true,
        .producer_expiration_ms = node_config_i64(node->opts.config, "producer.id.expiration.ms"),
        .dir_failed = on_dir_failed,
        .journal_bytes = node_config_bool(node->opts.config, "log.ack.flush")
                             ? node_config_i64(node->opts.config, "log.ack.journal.bytes")
                             : 0,
        .journal_pool = node->pool,
        .journal_turned = on_journal_turned,
        .ctx = node,
    };
    log_config_default(&opts.config);
    uuid_format(env_random_uuid(node->opts.env), cluster_id);
    if (!is_formatted(node))
        opts.cluster_id = str_of(cluster_id);
    /* Any other may be offline; without the metadata's there is nothing to do. */
    enum err err = env_mkdir_all(node->opts.env, node->dirs[0]);
    if (err != ERR_OK && err != ERR_EXISTS) {
        buf_printf(problems, "log.dirs: %s cannot be made: %s\n", node->dirs[0], err_text(err));
        return ERR_INVALID;
    }
    err = log_manager_open_explained(&opts, explanation, &node->logs);
    if (err != ERR_OK)
        buf_printf(
            problems, "log.dirs: %s\n", explanation[0] != '\0' ? explanation : err_text(err));
    return err;
}

/* ---- loops ---- */

static enum err
make_loops(struct node *node)
{
    const struct node_config *config = node->opts.config;
    int64_t count = node_config_is_set(config, "num.network.threads")
                        ? node_config_i64(config, "num.network.threads")
                        : sysconf(_SC_NPROCESSORS_ONLN);
    if (node->opts.simulated)
        count = SIM_REACTORS;
    if (count > NODE_REACTORS_MAX)
        count = NODE_REACTORS_MAX;
    if (count < 1)
        count = 1;
    for (int i = 0; i < count; i++) {
        char name[16];
        snprintf(name, sizeof name, "reactor-%d", i);
        enum err err = loop_new(node->opts.env, name, &node->reactors[i]);
        if (err != ERR_OK)
            return err;
        if (count > 1) /* else it would only keep its peer from working */
            loop_linger(node->reactors[i], LINGER_NS);
        node->reactor_count++;
    }
    int threads = node_config_is_set(config, "num.io.threads")
                      ? (int)node_config_i64(config, "num.io.threads")
                      : POOL_THREADS;
    enum err err = pool_new(node->opts.env, "io", threads, &node->pool);
    if (err == ERR_OK)
        /* before producers, readers of old data wait */
        err = pool_new_background(node->opts.env, "read", READ_THREADS, &node->read_pool);
    if (err == ERR_OK)
        err = pool_new_background(node->opts.env, "check", LIMIT_CHECK_THREADS, &node->check_pool);
    return err;
}

/* ---- metadata, replicas, coordinators, broker ---- */

static void
on_image(
    struct meta_subscriber *subscriber, struct meta_image *image, const struct meta_delta *delta)
{
    struct node *node = CONTAINER_OF(subscriber, struct node, subscriber);
    replica_manager_apply(node->replicas, delta, image);
    broker_coord_apply(node->coord, delta);
    node_count_elections(node, delta);
    broker_publish(node->broker, image);
}

static enum err
open_metadata(struct node *node, struct buf *problems)
{
    const struct node_config *config = node->opts.config;
    struct node_metadata_opts opts = {
        .env = node->opts.env,
        .logs = node->logs,
        .pool = node->pool,
        .rules = &node->rules,
        .node_id = node->node_id,
        .rack = node_config_str(config, "broker.rack"),
        .snapshot_bytes =
            node_config_i64(config, "metadata.log.max.record.bytes.between.snapshots"),
        .snapshot_interval_ms = node_config_i64(config, "metadata.log.max.snapshot.interval.ms"),
        .retention_bytes = node_config_i64(config, "metadata.max.retention.bytes"),
        .retention_ms = node_config_i64(config, "metadata.max.retention.ms"),
        .segment_bytes = (int32_t)node_config_i64(
            config, node_config_is_set(config, "internal.metadata.log.segment.bytes")
                        ? "internal.metadata.log.segment.bytes"
                        : "metadata.log.segment.bytes"),
        .segment_ms = node_config_i64(config, "metadata.log.segment.ms"),
    };
    enum err err = node_metadata_open(&opts, &node->metadata);
    if (err != ERR_OK)
        buf_printf(problems, "the metadata in %s cannot be read: %s (see the log above)\n",
            node->dirs[0], err_text(err));
    return err;
}

static enum err
open_coord(struct node *node)
{
    const struct node_config *config = node->opts.config;
    struct broker_coord_opts opts = broker_coord_opts_default();
    opts.env = node->opts.env;
    opts.loops = node->reactors;
    opts.loop_count = node->reactor_count;
    opts.pool = node->pool;
    opts.group.session_timeout_min_ms =
        (int32_t)node_config_i64(config, "group.min.session.timeout.ms");
    opts.group.session_timeout_max_ms =
        (int32_t)node_config_i64(config, "group.max.session.timeout.ms");
    opts.group.initial_rebalance_delay_ms =
        (int32_t)node_config_i64(config, "group.initial.rebalance.delay.ms");
    opts.group.size_max = (int32_t)node_config_i64(config, "group.max.size");
    opts.group.offset_metadata_bytes_max =
        (int32_t)node_config_i64(config, "offset.metadata.max.bytes");
    opts.group.offsets_retention_ms = node_config_i64(config, "offsets.retention.minutes") * 60000;
    opts.group.retention_check_ms = node_config_i64(config, "offsets.retention.check.interval.ms");
    opts.offsets_partitions = (int32_t)node_config_i64(config, "offsets.topic.num.partitions");
    /* Kafka's default of 3 cannot be met by one node; asked for by name it is kept. */
    opts.offsets_replication_factor =
        node_config_is_set(config, "offsets.topic.replication.factor")
            ? (int16_t)node_config_i64(config, "offsets.topic.replication.factor")
            : 1;
    opts.offsets_segment_bytes = (int32_t)node_config_i64(config, "offsets.topic.segment.bytes");
    opts.batch_size_max = (int32_t)node_config_i64(config, "message.max.bytes");
    opts.write_timeout_ms = node_config_i64(config, "offsets.commit.timeout.ms");
    opts.clean_growth_min = node_config_i64(config, "offsets.topic.clean.min.bytes");
    return broker_coord_new(&opts, &node->coord);
}

static double
config_f64(const struct node_config *config, const char *key)
{
    struct str text = node_config_str(config, key);
    char digits[64];
    if (str_is_null(text) || text.len >= sizeof digits)
        return 0;
    memcpy(digits, text.data, text.len);
    digits[text.len] = '\0';
    return strtod(digits, NULL);
}

static struct replica_cleaner_opts
cleaner_opts(const struct node_config *config)
{
    return (struct replica_cleaner_opts){
        .enabled = node_config_bool(config, "log.cleaner.enable"),
        .threads = (int32_t)node_config_i64(config, "log.cleaner.threads"),
        .map_bytes = node_config_i64(config, "log.cleaner.dedupe.buffer.size"),
        .map_load_factor = config_f64(config, "log.cleaner.io.buffer.load.factor"),
        .bytes_per_second = config_f64(config, "log.cleaner.io.max.bytes.per.second"),
        .backoff_ms = node_config_i64(config, "log.cleaner.backoff.ms"),
    };
}

static enum err
open_replicas(struct node *node)
{
    struct replica_manager_opts opts = {
        .env = node->opts.env,
        .logs = node->logs,
        .pool = node->pool,
        .rules = &node->rules,
        .node_id = node->node_id,
        .ack_flush = node_config_bool(node->opts.config, "log.ack.flush"),
        .session_slots = (int32_t)node_config_i64(
            node->opts.config, "max.incremental.fetch.session.cache.slots"),
        .cleaner = cleaner_opts(node->opts.config),
        .events = {broker_coord_led, broker_coord_resigned, node->coord},
    };
    return replica_manager_new(&opts, &node->replicas);
}

static struct quota_window
quota_window(const struct node_config *config, const char *samples, const char *seconds)
{
    int64_t n = node_config_i64(config, samples);
    return (struct quota_window){
        n < INT32_MAX ? (int32_t)n : INT32_MAX, node_config_i64(config, seconds) * 1000};
}

static enum err
open_broker(struct node *node)
{
    struct broker_opts opts = {
        .env = node->opts.env,
        .loops = node->reactors,
        .loop_count = node->reactor_count,
        .pool = node->pool,
        .read_pool = node->read_pool,
        .check_pool = node->check_pool,
        .config = {.node_id = node->node_id,
            .cluster_id = log_manager_cluster_id(node->logs),
            .auto_create_topics = node_config_bool(node->opts.config, "auto.create.topics.enable"),
            .quota_window =
                quota_window(node->opts.config, "quota.window.num", "quota.window.size.seconds"),
            .quota_mutation_window = quota_window(node->opts.config, "controller.quota.window.num",
                "controller.quota.window.size.seconds")},
        .rules = &node->rules,
        .metadata = node_metadata_port(node->metadata),
        .replicas = node->replicas,
        .coord = node->coord,
    };
    return broker_new(&opts, &node->broker);
}

/* ---- network ---- */

static int
limit(const struct node_config *config, const char *key)
{
    int64_t v = node_config_i64(config, key);
    return v >= INT32_MAX ? 0 : (int)v; /* zero is no limit of its own */
}

/* 0, for a default of ours, unless it is set. */
static int
set_or_ours(const struct node_config *config, const char *key)
{
    return node_config_is_set(config, key) ? (int)node_config_i64(config, key) : 0;
}

static enum err
open_net(struct node *node, struct buf *problems)
{
    const struct node_config *config = node->opts.config;
    struct net_server_opts opts = {
        .env = node->opts.env,
        .loops = node->reactors,
        .loop_count = node->reactor_count,
        .handler = broker_net_handler(),
        .ctx = node->broker,
        .frame_size_max = (size_t)node_config_i64(config, "socket.request.max.bytes"),
        .frame_memory_max = FRAME_MEMORY_MAX,
        .read_pool = node->read_pool,
        .idle_ms = node_config_i64(config, "connections.max.idle.ms"),
        .connections_max = limit(config, "max.connections"),
        .connections_per_ip_max = limit(config, "max.connections.per.ip"),
        .connections_rate_max = limit(config, "max.connection.creation.rate"),
        .held = true, /* until it is registered: then it leads what it leads */
    };
    enum err err = net_server_new(&opts, &node->net);
    for (int i = 0; err == ERR_OK && i < node->listeners.count; i++) {
        struct node_listener *listener = &node->listeners.items[i];
        struct net_listen_opts listen = {.name = listener->name,
            .backlog = set_or_ours(config, "socket.listen.backlog.size"),
            .send_buffer_bytes = set_or_ours(config, "socket.send.buffer.bytes"),
            .receive_buffer_bytes = set_or_ours(config, "socket.receive.buffer.bytes")};
        const char *host = listener->host[0] == '\0' ? "0.0.0.0" : listener->host;
        int found = 0;
        uint16_t port;
        if (listener->controller)
            continue; /* it comes with the cluster */
        err = sock_addr_parse(str_of(host), listener->port, &listen.addr);
        if (err != ERR_OK)
            err = sock_addr_resolve(
                node->opts.env, str_of(host), listener->port, &listen.addr, 1, &found);
        if (err == ERR_OK)
            err = net_server_listen(node->net, &listen, &port);
        if (err != ERR_OK) {
            buf_printf(problems, "listeners: %.*s cannot listen on %s:%d: %s\n",
                STR_FMT(listener->name), host, (int)listener->port,
                err == ERR_BUSY ? "the port is in use by another program" : err_text(err));
            return err;
        }
        if (listener->advertised_port == 0)
            listener->advertised_port = port;
        if (node->port == 0)
            node->port = port;
    }
    return err;
}

enum err
node_open_parts(struct node *node, struct buf *problems)
{
    char host_name[NODE_HOST_MAX] = "localhost";
    if (!node->opts.simulated && gethostname(host_name, sizeof host_name - 1) != 0)
        memcpy(host_name, "localhost", sizeof "localhost");
    make_rules(node);
    enum err err = node_listeners_parse(node->opts.config, host_name, problems, &node->listeners);
    if (err == ERR_OK)
        err = read_dirs(node, problems);
    if (err == ERR_OK)
        err = make_loops(node);
    if (err == ERR_OK)
        err = open_logs(node, problems);
    if (err == ERR_OK)
        err = open_metadata(node, problems);
    if (err == ERR_OK)
        err = open_coord(node);
    if (err == ERR_OK)
        err = open_replicas(node);
    if (err == ERR_OK)
        err = open_broker(node);
    if (err == ERR_OK)
        err = open_net(node, problems);
    if (err != ERR_OK)
        return err;
    struct meta_image *image = node_metadata_image(node->metadata);
    err = replica_manager_start(node->replicas, image);
    if (err == ERR_OK)
        broker_publish(node->broker, image);
    meta_image_unref(&image);
    node->subscriber.on_image = on_image;
    node_metadata_subscribe(node->metadata, &node->subscriber);
    node_duties_init(node);
    return err;
}
