/* cli/cli.c - finds the command and runs it; the client that commands share. */
#include "cli/cli.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "cli/commands.h"
#include "cli/settings.h"
#include "cli/suggest.h"

enum {
    NAME_MAX_BYTES = 64,
    COMMAND_ARENA = 1 << 30,
    CONNECT_TIMEOUT_MAX_MS = 10000,
};

/* ---- finding the command ---- */

static int
word_count(const char *name)
{
    int words = 1;
    for (const char *p = name; *p != '\0'; p++)
        words += *p == ' ';
    return words;
}

/* The first words of argv with one blank between; false when they are too long. */
static bool
join_words(char **argv, int words, char *out, size_t size)
{
    size_t len = 0;
    for (int i = 0; i < words; i++) {
        int n = snprintf(out + len, size - len, "%s%s", i > 0 ? " " : "", argv[i]);
        if (n < 0 || (size_t)n >= size - len)
            return false;
        len += (size_t)n;
    }
    return true;
}

static bool
starts_with_words(const char *name, int argc, char **argv, int *used)
{
    char joined[NAME_MAX_BYTES];
    int words = word_count(name);
    if (words > argc || !join_words(argv, words, joined, sizeof joined) ||
        strcmp(joined, name) != 0)
        return false;
    *used = words;
    return true;
}

/* The command whose words are the first words of argv; *used says how many. */
static const struct cli_command *
find_in(const struct cli_command *const *list, int argc, char **argv, int *used)
{
    for (; list != NULL && *list != NULL; list++)
        if (starts_with_words((*list)->name, argc, argv, used) ||
            ((*list)->alias != NULL && starts_with_words((*list)->alias, argc, argv, used)))
            return *list;
    return NULL;
}

const struct cli_command *
cli_find(const struct cli_command *const *more, int argc, char **argv, int *used)
{
    const struct cli_command *command = find_in(more, argc, argv, used);
    return command != NULL ? command : find_in(cli_commands, argc, argv, used);
}

static bool
is_family(const struct cli_command *const *list, const char *word)
{
    size_t len = strlen(word);
    for (; list != NULL && *list != NULL; list++)
        if (strncmp((*list)->name, word, len) == 0 && (*list)->name[len] == ' ')
            return true;
    return false;
}

static void
suggest_from(struct suggest *suggest, const struct cli_command *const *list, int words)
{
    for (; list != NULL && *list != NULL; list++)
        if (word_count((*list)->name) == words)
            suggest_add(suggest, (*list)->name);
}

static void
suggest_families(
    struct suggest *suggest, const struct cli_command *const *list, char families[][16], int count)
{
    for (int i = 0; i < count && list[i] != NULL; i++) {
        const char *space = strchr(list[i]->name, ' ');
        if (space == NULL || space - list[i]->name >= 16)
            continue;
        snprintf(families[i], 16, "%.*s", (int)(space - list[i]->name), list[i]->name);
        suggest_add(suggest, families[i]);
    }
}

static int
unknown_command(const struct cli_command *const *more, int argc, char **argv)
{
    char joined[NAME_MAX_BYTES];
    char families[128][16];
    struct suggest suggest;
    int words = argc > 1 && argv[1][0] != '-' ? 2 : 1;
    if (argv[0][0] == '-') {
        fprintf(stderr, "moldau: options come after the command, '%s' does not\n", argv[0]);
        cli_hint("moldau help");
        return CLI_USAGE;
    }
    if (!join_words(argv, words, joined, sizeof joined)) {
        fprintf(stderr, "moldau: no such command\n");
        cli_hint("moldau help");
        return CLI_USAGE;
    }
    suggest_init(&suggest, joined);
    suggest_from(&suggest, more, words);
    suggest_from(&suggest, cli_commands, words);
    if (words == 2) /* the second word alone is wrong: look at the first */
        fprintf(stderr, "moldau: no command '%s'", joined);
    else
        fprintf(stderr, "moldau: no command '%s'", argv[0]);
    if (suggest_best(&suggest) == NULL) {
        suggest_init(&suggest, argv[0]);
        suggest_from(&suggest, more, 1);
        suggest_from(&suggest, cli_commands, 1);
        suggest_families(&suggest, cli_commands, families, COUNT_OF(families));
    }
    if (suggest_best(&suggest) != NULL && !is_family(cli_commands, argv[0]))
        fprintf(stderr, "; did you mean 'moldau %s'?", suggest_best(&suggest));
    else if (suggest_best(&suggest) != NULL && strcmp(suggest_best(&suggest), argv[0]) != 0)
        fprintf(stderr, "; did you mean 'moldau %s'?", suggest_best(&suggest));
    fputc('\n', stderr);
    if (is_family(cli_commands, argv[0]))
        cli_hint("moldau help %s", argv[0]);
    else
        cli_hint("moldau help");
    return CLI_USAGE;
}

/* ---- the client ---- */

struct env *
cli_env(struct cli *cli)
{
    struct env_real_opts opts = {.level_min = DIAG_WARN, .diag_fd = 2};
    if (cli->env == NULL && env_real_new(&opts, &cli->env) != ERR_OK)
        cli_fail_memory(cli);
    return cli->env;
}

struct client *
cli_client(struct cli *cli)
{
    if (cli->client != NULL || cli_env(cli) == NULL)
        return cli->client;
    if (cli->loop == NULL && loop_new(cli->env, "cli", &cli->loop) != ERR_OK) {
        cli_fail(cli, "cannot make an event loop");
        return NULL;
    }
    struct client_opts opts = {
        .env = cli->env,
        .loop = cli->loop,
        .bootstrap = str_of(cli->bootstrap),
        .client_id = str_of(cli->client_id),
        .request_timeout_ms = cli->timeout_ms,
        .connect_timeout_ms =
            cli->timeout_ms < CONNECT_TIMEOUT_MAX_MS ? cli->timeout_ms : CONNECT_TIMEOUT_MAX_MS,
    };
    enum err err = client_new(&opts, &cli->client);
    cli->bad_brokers = err == ERR_INVALID;
    if (err == ERR_INVALID)
        cli_usage(cli, "--brokers must be HOST:PORT, several separated by commas, not '%s'",
            cli->bootstrap);
    else if (err != ERR_OK)
        cli_fail(cli, "%s", err_text(err));
    return cli->client;
}

static void
close_client(struct cli *cli)
{
    client_free(&cli->client);
    if (cli->loop != NULL)
        loop_free(&cli->loop);
    if (cli->env != NULL)
        env_free(&cli->env);
    arena_fini(&cli->arena);
}

enum err
cli_try(struct cli *cli, struct client_call *call, enum client_target target, int16_t key,
    const void *request)
{
    enum err err = ERR_OK;
    ASSERT(cli->client != NULL);
    call->target = target;
    call->key = key;
    call->request = request;
    /* Metadata names the brokers; without it only the bootstrap addresses are known. */
    bool known = client_controller_id(cli->client) >= 0;
    if (target != CLIENT_TARGET_ANY && !known)
        err = client_refresh_wait(cli->client, NULL, 0, false);
    if (err == ERR_OK)
        err = client_call_wait(cli->client, call);
    if (err == ERR_NOTFOUND && known) { /* it may have come since */
        err = client_refresh_wait(cli->client, NULL, 0, false);
        if (err == ERR_OK)
            err = client_call_wait(cli->client, call);
    }
    return err;
}

int
cli_call(struct cli *cli, struct client_call *call, enum client_target target, int16_t key,
    const void *request, const void **response)
{
    if (cli_client(cli) == NULL)
        return CLI_FAILED;
    enum err err = cli_try(cli, call, target, key, request);
    if (err == ERR_NOTFOUND && target == CLIENT_TARGET_NODE) {
        cli_missing(cli, "no broker %d in the cluster", (int)call->node_id);
        cli_hint("moldau cluster info");
        return CLI_NOT_FOUND;
    }
    if (err != ERR_OK)
        return cli_fail_call(cli, err);
    *response = call->response;
    return CLI_OK;
}

void
cli_pause(struct cli *cli, int64_t ms)
{
    bool never = false;
    if (cli->client != NULL)
        (void)client_run_until(cli->client, &never, ms);
}

/* ---- main ---- */

static int
run_command(struct cli *cli, int argc, char **argv)
{
    static const char *const formats[] = {"table", "json", "wide", "yaml", "name", NULL};
    int format;
    int code = cli_parse(cli, argc, argv);
    if (code != CLI_OK)
        return code;
    if (cli_flag(cli, "help")) {
        cli_help_command(stdout, cli->command);
        return CLI_OK;
    }
    if (!cli_choice(cli, "output", formats, &format))
        return CLI_USAGE;
    if (format >= 0)
        cli->format = (enum cli_format)format;
    if (cli->arg_count < cli->command->arguments_min)
        return cli_usage(cli, "wants %s", cli->command->arguments);
    if (cli->command->arguments_max >= 0 && cli->arg_count > cli->command->arguments_max)
        return cli_usage(
            cli, "'%s' is one argument too many", cli->args[cli->command->arguments_max]);
    arena_init(&cli->arena, COMMAND_ARENA);
    code = settings_read(cli);
    if (code == CLI_OK)
        code = cli->command->run(cli);
    if (cli->bad_brokers)
        code = CLI_USAGE;
    cli_progress_end(cli);
    if (fflush(stdout) != 0 && code == CLI_OK)
        code = cli_fail(cli, "standard output: %m");
    close_client(cli);
    return code;
}

static int
run_help(int argc, char **argv, const struct cli_command *const *more)
{
    int used;
    const struct cli_command *command = NULL;
    if (argc == 1 && strcmp(argv[0], "--markdown") == 0) {
        cli_help_markdown(stdout, more);
        return CLI_OK;
    }
    if (argc > 0 && argc <= 2 && strcmp(argv[0], "--man") == 0)
        return cli_help_man(stdout, more, argv[1]) ? CLI_OK
                                                   : unknown_command(more, argc - 1, argv + 1);
    if (argc > 0)
        command = cli_find(more, argc, argv, &used);
    if (command != NULL) {
        cli_help_command(stdout, command);
        return CLI_OK;
    }
    if (argc > 0 && !is_family(more, argv[0]) && !is_family(cli_commands, argv[0]))
        return unknown_command(more, argc, argv);
    cli_help_overview(stdout, more, argc > 0 ? argv[0] : "");
    return CLI_OK;
}

int
cli_main(int argc, char **argv, const struct cli_command *const *more)
{
    struct cli cli = {.more = more};
    int used = 0;
    argc -= 1;
    argv += 1;
    if (argc <= 0) {
        cli_help_overview(stderr, more, "");
        return CLI_USAGE;
    }
    if (strcmp(argv[0], "help") == 0 || strcmp(argv[0], "--help") == 0 ||
        strcmp(argv[0], "-h") == 0)
        return run_help(argc - 1, argv + 1, more);
    cli.command = cli_find(more, argc, argv, &used);
    if (cli.command != NULL)
        return run_command(&cli, argc - used, argv + used);
    if (!is_family(more, argv[0]) && !is_family(cli_commands, argv[0]))
        return unknown_command(more, argc, argv);
    if (argc == 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
        cli_help_overview(stdout, more, argv[0]);
        return CLI_OK;
    }
    if (argc > 1)
        return unknown_command(more, argc, argv);
    cli_help_overview(stderr, more, argv[0]);
    return CLI_USAGE;
}
