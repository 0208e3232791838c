/* cli/cli.c - finds the command, reads its options, runs it, and speaks for it when it fails. */
#include "cli/cli.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "cli/commands.h"
#include "proto/error_codes.h"

enum { NAME_MAX_BYTES = 64, RESPONSE_ARENA = 256 << 20 };

static const struct cli_option shared_options[] = {
    {"brokers", 'b', "HOST:PORT,...", "where the cluster is (or MOLDAU_BROKERS; 127.0.0.1:9092)"},
    {"output", 'o', "FORMAT", "table or json"},
    {"help", 'h', NULL, "this text"},
    {NULL, 0, NULL, NULL},
};

/* ---- help ---- */

static void
print_options(const struct cli_option *options)
{
    for (; options != NULL && options->name != NULL; options++) {
        char left[80];
        snprintf(left, sizeof left, "%s%c%s --%s%s%s", options->letter != 0 ? "-" : " ",
            options->letter != 0 ? options->letter : ' ', options->letter != 0 ? "," : " ",
            options->name, options->value_name != NULL ? " " : "",
            options->value_name != NULL ? options->value_name : "");
        printf("  %-34s %s\n", left, options->help);
    }
}

static void
print_command_help(const struct cli_command *command)
{
    printf("%s\n\nusage: moldau %s%s%s [OPTIONS]\n", command->summary, command->name,
        command->arguments[0] != '\0' ? " " : "", command->arguments);
    if (command->options != NULL) {
        printf("\noptions:\n");
        print_options(command->options);
    }
    printf("\nfor every command:\n");
    print_options(shared_options);
    if (command->examples != NULL)
        printf("\nexamples:\n%s", command->examples);
}

static void
print_list(const struct cli_command *const *list, const char *prefix)
{
    size_t len = strlen(prefix);
    for (; list != NULL && *list != NULL; list++)
        if (strncmp((*list)->name, prefix, len) == 0)
            printf("  %-28s %s\n", (*list)->name, (*list)->summary);
}

static void
print_overview(const struct cli_command *const *more, const char *prefix)
{
    printf(
        "moldau - event streaming that speaks Apache Kafka\n\nusage: moldau COMMAND [OPTIONS]\n\n");
    print_list(more, prefix);
    print_list(cli_commands, prefix);
    printf("\n'moldau COMMAND --help' explains one.\n");
}

/* ---- finding the command ---- */

/* The command whose words are the first words of argv; *used says how many. */
static const struct cli_command *
find_in(const struct cli_command *const *list, int argc, char **argv, int *used)
{
    for (; list != NULL && *list != NULL; list++) {
        char name[NAME_MAX_BYTES];
        int words = 1;
        for (const char *p = (*list)->name; *p != '\0'; p++)
            words += *p == ' ';
        if (words > argc)
            continue;
        name[0] = '\0';
        size_t len = 0;
        for (int i = 0; i < words && len < sizeof name; i++)
            len +=
                (size_t)snprintf(name + len, sizeof name - len, "%s%s", i > 0 ? " " : "", argv[i]);
        if (strcmp(name, (*list)->name) == 0) {
            *used = words;
            return *list;
        }
    }
    return NULL;
}

static bool
is_prefix(const struct cli_command *const *list, const char *word)
{
    size_t len = strlen(word);
    for (; list != NULL && *list != NULL; list++)
        if (strncmp((*list)->name, word, len) == 0 && (*list)->name[len] == ' ')
            return true;
    return false;
}

/* ---- options ---- */

static const struct cli_option *
find_option(const struct cli_option *options, const char *name, size_t len, char letter)
{
    for (; options != NULL && options->name != NULL; options++) {
        if (letter != 0 ? options->letter == letter
                        : strlen(options->name) == len && strncmp(options->name, name, len) == 0)
            return options;
    }
    return NULL;
}

/* Reads one option at argv[*i]; moves *i past its value. */
static bool
take_option(struct cli *cli, int argc, char **argv, int *i)
{
    const char *text = argv[*i];
    const struct cli_option *option;
    const char *value = NULL;
    if (text[1] == '-') {
        const char *equals = strchr(text, '=');
        size_t len = equals != NULL ? (size_t)(equals - text) - 2 : strlen(text) - 2;
        option = find_option(cli->command->options, text + 2, len, 0);
        if (option == NULL)
            option = find_option(shared_options, text + 2, len, 0);
        value = equals != NULL ? equals + 1 : NULL;
    } else {
        option = find_option(cli->command->options, NULL, 0, text[1]);
        if (option == NULL)
            option = find_option(shared_options, NULL, 0, text[1]);
        value = text[2] != '\0' ? text + 2 : NULL;
    }
    if (option == NULL) {
        cli_usage(cli, "no option %s", text);
        return false;
    }
    if (option->value_name == NULL && value != NULL) {
        cli_usage(cli, "--%s takes no value", option->name);
        return false;
    }
    if (option->value_name != NULL && value == NULL) {
        if (*i + 1 >= argc) {
            cli_usage(cli, "--%s wants %s", option->name, option->value_name);
            return false;
        }
        value = argv[++*i];
    }
    if (cli->given_count == (int)COUNT_OF(cli->given)) {
        cli_usage(cli, "too many options");
        return false;
    }
    cli->given[cli->given_count].option = option;
    cli->given[cli->given_count++].value = value != NULL ? value : "";
    return true;
}

const char *
cli_value_at(const struct cli *cli, const char *option, int i)
{
    for (int g = 0; g < cli->given_count; g++)
        if (strcmp(cli->given[g].option->name, option) == 0 && i-- == 0)
            return cli->given[g].value;
    return NULL;
}

const char *
cli_value(const struct cli *cli, const char *option)
{
    for (int g = cli->given_count - 1; g >= 0; g--)
        if (strcmp(cli->given[g].option->name, option) == 0)
            return cli->given[g].value;
    return NULL;
}

bool
cli_number(const struct cli *cli, const char *option, int64_t min, int64_t max, int64_t fallback,
    int64_t *out)
{
    const char *text = cli_value(cli, option);
    *out = fallback;
    if (text == NULL)
        return true;
    char *end;
    long long v = strtoll(text, &end, 10);
    int64_t factor = 1;
    if (*end == 'k' || *end == 'K')
        factor = 1000;
    else if (*end == 'm' || *end == 'M')
        factor = 1000000;
    else if (*end == 'g' || *end == 'G')
        factor = 1000000000;
    end += factor != 1;
    if (end == text || *end != '\0' || v > max / factor || v * factor < min) {
        cli_usage(cli, "--%s must be a number from %lld to %lld, not '%s'", option, (long long)min,
            (long long)max, text);
        return false;
    }
    *out = v * factor;
    return true;
}

/* ---- saying what went wrong ---- */

int
cli_fail(const struct cli *cli, const char *fmt, ...)
{
    va_list args;
    fprintf(stderr, "moldau %s: ", cli->command->name);
    va_start(args, fmt);
    vfprintf(stderr, fmt, args);
    va_end(args);
    fputc('\n', stderr);
    return CLI_FAILED;
}

int
cli_usage(const struct cli *cli, const char *fmt, ...)
{
    va_list args;
    fprintf(stderr, "moldau %s: ", cli->command->name);
    va_start(args, fmt);
    vfprintf(stderr, fmt, args);
    va_end(args);
    fprintf(stderr, "\ntry: moldau %s --help\n", cli->command->name);
    return CLI_USAGE;
}

int
cli_fail_call(const struct cli *cli, enum err err)
{
    const char *text = cli->client != NULL ? client_error_text(cli->client) : "";
    if (err == ERR_UNSUPPORTED)
        return cli_fail(
            cli, "%s", text[0] != '\0' ? text : "the broker does not serve this request");
    return cli_fail(cli, "%s\nIs a broker running at %s? Name another with --brokers HOST:PORT.",
        text[0] != '\0' ? text : err_text(err), cli->bootstrap);
}

int
cli_fail_code(const struct cli *cli, struct str what, int16_t code, struct str message)
{
    const char *name = proto_error_name(code);
    if (message.len > 0)
        cli_fail(cli, "%.*s: %s: %.*s", STR_FMT(what), name, STR_FMT(message));
    else
        cli_fail(cli, "%.*s: %s: %s", STR_FMT(what), name, proto_error_text(code));
    bool missing = code == PROTO_ERROR_UNKNOWN_TOPIC_OR_PARTITION ||
                   code == PROTO_ERROR_UNKNOWN_TOPIC_ID || code == PROTO_ERROR_GROUP_ID_NOT_FOUND;
    return missing ? CLI_NOT_FOUND : CLI_FAILED;
}

/* ---- the client ---- */

struct env *
cli_env(struct cli *cli)
{
    struct env_real_opts opts = {.level_min = DIAG_WARN, .diag_fd = 2};
    if (cli->env == NULL && env_real_new(&opts, &cli->env) != ERR_OK)
        cli_fail(cli, "out of memory");
    return cli->env;
}

struct client *
cli_client(struct cli *cli)
{
    if (cli->client != NULL || cli_env(cli) == NULL)
        return cli->client;
    if (loop_new(cli->env, "cli", &cli->loop) != ERR_OK) {
        cli_fail(cli, "cannot make an event loop");
        return NULL;
    }
    struct client_opts opts = {
        .env = cli->env, .loop = cli->loop, .bootstrap = str_of(cli->bootstrap)};
    enum err err = client_new(&opts, &cli->client);
    if (err != ERR_OK)
        cli_usage(
            cli, "--brokers %s: must be HOST:PORT, several separated by commas", cli->bootstrap);
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
}

int
cli_call(struct cli *cli, struct client_call *call, enum client_target target, int16_t key,
    const void *request, const void **response)
{
    struct client *client = cli_client(cli);
    if (client == NULL)
        return CLI_FAILED;
    call->target = target;
    call->key = key;
    call->request = request;
    if (target == CLIENT_TARGET_CONTROLLER && client_controller_id(client) < 0) {
        enum err err = client_refresh_wait(client, NULL, 0, false);
        if (err != ERR_OK)
            return cli_fail_call(cli, err);
    }
    enum err err = client_call_wait(client, call);
    if (err != ERR_OK)
        return cli_fail_call(cli, err);
    *response = call->response;
    return CLI_OK;
}

/* ---- main ---- */

static int
run_command(struct cli *cli, int argc, char **argv)
{
    bool plain = false; /* after "--" */
    cli->args = argv;
    for (int i = 0; i < argc; i++) {
        if (!plain && strcmp(argv[i], "--") == 0) {
            plain = true;
        } else if (!plain && argv[i][0] == '-' && argv[i][1] != '\0') {
            if (!take_option(cli, argc, argv, &i))
                return CLI_USAGE;
        } else {
            cli->args[cli->arg_count++] = argv[i];
        }
    }
    if (cli_flag(cli, "help")) {
        print_command_help(cli->command);
        return CLI_OK;
    }
    const char *format = cli_value(cli, "output");
    if (format != NULL && strcmp(format, "json") == 0)
        cli->format = CLI_FORMAT_JSON;
    else if (format != NULL && strcmp(format, "table") != 0)
        return cli_usage(cli, "--output must be table or json, not '%s'", format);
    cli->bootstrap = cli_value(cli, "brokers");
    if (cli->bootstrap == NULL)
        cli->bootstrap = getenv("MOLDAU_BROKERS");
    if (cli->bootstrap == NULL)
        cli->bootstrap = "127.0.0.1:9092";
    if (cli->arg_count < cli->command->arguments_min)
        return cli_usage(cli, "wants %s", cli->command->arguments);
    if (cli->command->arguments_max >= 0 && cli->arg_count > cli->command->arguments_max)
        return cli_usage(
            cli, "'%s' is one argument too many", cli->args[cli->command->arguments_max]);
    int code = cli->command->run(cli);
    close_client(cli);
    return code;
}

int
cli_main(int argc, char **argv, const struct cli_command *const *more)
{
    struct cli cli = {0};
    int used = 0;
    if (argc < 2 || strcmp(argv[1], "help") == 0 || strcmp(argv[1], "--help") == 0 ||
        strcmp(argv[1], "-h") == 0) {
        print_overview(more, argc > 2 ? argv[2] : "");
        return argc < 2 ? CLI_USAGE : CLI_OK;
    }
    cli.command = find_in(more, argc - 1, argv + 1, &used);
    if (cli.command == NULL)
        cli.command = find_in(cli_commands, argc - 1, argv + 1, &used);
    if (cli.command == NULL) {
        if (is_prefix(cli_commands, argv[1]) && (argc == 2 || argv[2][0] == '-')) {
            print_overview(NULL, argv[1]);
            return CLI_USAGE;
        }
        fprintf(stderr, "moldau: no command '%s%s%s'\ntry: moldau help\n", argv[1],
            argc > 2 ? " " : "", argc > 2 ? argv[2] : "");
        return CLI_USAGE;
    }
    return run_command(&cli, argc - 1 - used, argv + 1 + used);
}
