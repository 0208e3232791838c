/* node/cmd_server.c - moldau server: one node in the foreground until a signal. */
#include "node/cmd_server.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "node/config.h"
#include "node/node.h"

enum { SET_MAX = 64, PROBLEMS_MAX = 1 << 20, DRAIN_MS = 10000, OPEN_FILES_LOW = 4096 };

struct server {
    struct cli *cli;
    struct env *env;
    struct loop *main;
    struct loop_task quit;
    struct node_config *config;
    struct node *node;
    enum err failure;
    bool failing;
};

static void
on_quit(struct loop_task *task)
{
    loop_quit(CONTAINER_OF(task, struct server, quit)->main);
}

/* Any loop: the main loop ends the node. Canceled is what a stop before the node was ready says. */
static void
on_failure(void *ctx, enum err err)
{
    struct server *server = ctx;
    if (err == ERR_OK || err == ERR_CANCELED || server->failing)
        return;
    server->failing = true;
    server->failure = err;
    loop_post(server->main, &server->quit);
}

static void
on_signal(void *ctx, int signal_number)
{
    struct server *server = ctx;
    (void)signal_number;
    loop_quit(server->main);
}

static int
load_config(struct server *server)
{
    const char *set[SET_MAX];
    struct node_config_opts opts = {
        .path = cli_value(server->cli, "config"), .set = set, .environment = environ};
    struct buf problems;
    const char *one;
    while (opts.set_count < SET_MAX &&
           (one = cli_value_at(server->cli, "set", opts.set_count)) != NULL)
        set[opts.set_count++] = one;
    if (opts.path == NULL && server->cli->arg_count > 0)
        opts.path = server->cli->args[0];
    buf_init(&problems, PROBLEMS_MAX);
    enum err err = node_config_load(server->env, &opts, &problems, &server->config);
    if (problems.len > 0)
        fprintf(stderr, "%s", buf_z(&problems));
    buf_fini(&problems);
    return err == ERR_OK ? CLI_OK : err == ERR_INVALID ? CLI_USAGE : CLI_FAILED;
}

static int
run_node(struct server *server)
{
    struct buf problems;
    struct node_opts opts = {.env = server->env,
        .config = server->config,
        .ready = on_failure,
        .fatal = on_failure,
        .ctx = server};
    buf_init(&problems, PROBLEMS_MAX);
    enum err err = node_open(&opts, &problems, &server->node);
    if (problems.len > 0)
        fprintf(stderr, "%s", buf_z(&problems));
    buf_fini(&problems);
    if (err != ERR_OK)
        return problems.len > 0 ? CLI_FAILED : cli_fail(server->cli, "%s", err_text(err));
    err = node_start(server->node);
    if (err == ERR_OK)
        loop_run_here(server->main);
    else
        cli_fail(server->cli, "cannot start: %s", err_text(err));
    node_stop(server->node, DRAIN_MS);
    node_free(&server->node);
    return err == ERR_OK && server->failure == ERR_OK ? CLI_OK : CLI_FAILED;
}

static int
run_server(struct cli *cli)
{
    struct server server = {.cli = cli};
    struct env_real_opts opts = {.level_min = DIAG_INFO, .diag_fd = STDERR_FILENO};
    int64_t memory_mib;
    if (!cli_number(cli, "memory", 1, 1 << 20, 0, &memory_mib))
        return CLI_USAGE;
    opts.memory_bytes_max = memory_mib << 20;
    if (env_real_new(&opts, &server.env) != ERR_OK)
        return cli_fail(cli, "out of memory");
    int code = load_config(&server);
    int64_t open_files = env_real_raise_open_files();
    if (open_files > 0 && open_files < OPEN_FILES_LOW)
        diag_event(env_diag(server.env), DIAG_WARN, "node", "few_open_files",
            DIAG_I64("limit", open_files));
    if (code == CLI_OK) {
        diag_set_level(env_diag(server.env), node_config_diag_level(server.config));
        loop_task_init(&server.quit, on_quit);
        if (loop_new(server.env, "main", &server.main) != ERR_OK ||
            loop_watch_signals(server.main, on_signal, &server) != ERR_OK)
            code = cli_fail(cli, "cannot make an event loop");
    }
    if (code == CLI_OK)
        code = run_node(&server);
    if (server.main != NULL)
        loop_free(&server.main);
    node_config_free(&server.config);
    env_free(&server.env);
    return code;
}

const struct cli_command node_cmd_server = {
    .name = "server",
    .arguments = "[FILE]",
    .summary = "run a node: broker and controller in one",
    .options =
        (const struct cli_option[]){
            {"config", 'C', "FILE", "Kafka's server.properties"},
            {"set", 's', "KEY=VALUE", "one key of it, over the file; may be repeated"},
            {"memory", 'm', "MIB",
                "keep everything in memory, at most so much; nothing is on disk"},
            {NULL, 0, NULL, NULL},
        },
    .arguments_min = 0,
    .arguments_max = 1,
    .examples = "  moldau server\n"
                "  moldau server --set listeners=PLAINTEXT://0.0.0.0:19092 --set log.dirs=/data\n"
                "  MOLDAU_NUM_PARTITIONS=6 moldau server server.properties\n"
                "  moldau server --memory 512\n",
    .run = run_server,
};
