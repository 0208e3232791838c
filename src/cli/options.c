/* cli/options.c - what stands after the command's name: options and arguments. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "cli/cli.h"
#include "cli/suggest.h"

const struct cli_option cli_shared_options[] = {
    {"brokers", 'b', "HOST:PORT,...", "where the cluster is; before it MOLDAU_BROKERS is read",
        "127.0.0.1:9092"},
    {"command-config", 0, "FILE", "a client's properties: bootstrap.servers, client.id, ..."},
    {"set-client", 'X', "KEY=VALUE", "one of these, over the file; may be repeated"},
    {"output", 'o', "FORMAT", "table, wide, json, yaml or name", "table"},
    {"timeout-ms", 0, "MS", "how long a broker may take for one request", "30000"},
    {"help", 'h', NULL, "this text"},
    {NULL, 0, NULL, NULL},
};

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

static const struct cli_option *
find_any(const struct cli *cli, const char *name, size_t len, char letter)
{
    const struct cli_option *option = find_option(cli->command->options, name, len, letter);
    return option != NULL ? option : find_option(cli_shared_options, name, len, letter);
}

static int
unknown_option(const struct cli *cli, const char *text)
{
    struct suggest suggest;
    suggest_init(&suggest, text + strspn(text, "-"));
    for (const struct cli_option *o = cli->command->options; o != NULL && o->name != NULL; o++)
        suggest_add(&suggest, o->name);
    for (const struct cli_option *o = cli_shared_options; o->name != NULL; o++)
        suggest_add(&suggest, o->name);
    if (suggest_best(&suggest) != NULL)
        return cli_usage(cli, "no option '%s'; did you mean --%s?", text, suggest_best(&suggest));
    return cli_usage(cli, "no option '%s'", text);
}

/* Whether a word that starts with '-' is a value: a negative number, as in --shift -10. */
static bool
looks_like_number(const char *text)
{
    return text[0] == '-' && text[1] >= '0' && text[1] <= '9';
}

/* Reads one option at argv[*i]; moves *i past its value. */
static int
take_option(struct cli *cli, int argc, char **argv, int *i)
{
    const char *text = argv[*i];
    const struct cli_option *option;
    const char *value = NULL;
    if (text[1] == '-') {
        const char *equals = strchr(text, '=');
        size_t len = equals != NULL ? (size_t)(equals - text) - 2 : strlen(text) - 2;
        option = find_any(cli, text + 2, len, 0);
        value = equals != NULL ? equals + 1 : NULL;
    } else {
        option = find_any(cli, NULL, 0, text[1]);
        value = text[2] != '\0' ? text + 2 : NULL;
    }
    if (option == NULL)
        return unknown_option(cli, text);
    if (option->value_name == NULL && value != NULL)
        return cli_usage(cli, "--%s takes no value", option->name);
    if (option->value_name != NULL && value == NULL) {
        if (*i + 1 >= argc)
            return cli_usage(cli, "--%s wants %s", option->name, option->value_name);
        value = argv[++*i];
        if (strncmp(value, "--", 2) == 0 && value[2] != '\0')
            return cli_usage(cli, "--%s wants %s, and '%s' is an option (or write --%s=%s)",
                option->name, option->value_name, value, option->name, value);
    }
    if (cli->given_count == (int)COUNT_OF(cli->given))
        return cli_usage(cli, "more than %d options", cli->given_count);
    cli->given[cli->given_count].option = option;
    cli->given[cli->given_count++].value = value != NULL ? value : "";
    return CLI_OK;
}

int
cli_parse(struct cli *cli, int argc, char **argv)
{
    bool plain = false; /* after "--" */
    ASSERT(cli->command != NULL);
    ASSERT(cli->arg_count == 0);
    cli->args = argv;
    for (int i = 0; i < argc; i++) {
        bool dash = argv[i][0] == '-' && argv[i][1] != '\0' && !looks_like_number(argv[i]);
        if (!plain && strcmp(argv[i], "--") == 0) {
            plain = true;
        } else if (!plain && dash) {
            int code = take_option(cli, argc, argv, &i);
            if (code != CLI_OK)
                return code;
        } else {
            cli->args[cli->arg_count++] = argv[i];
        }
    }
    return CLI_OK;
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
cli_number_parse(const char *text, int64_t min, int64_t max, int64_t *out)
{
    char *end;
    int64_t factor = 1;
    errno = 0;
    long long v = strtoll(text, &end, 10);
    if (end == text || errno != 0 || text[0] == ' ')
        return false;
    if (*end == 'k' || *end == 'K')
        factor = 1000;
    else if (*end == 'm' || *end == 'M')
        factor = 1000000;
    else if (*end == 'g' || *end == 'G')
        factor = 1000000000;
    end += factor != 1;
    int64_t product;
    if (*end != '\0' || __builtin_mul_overflow((int64_t)v, factor, &product) || product < min ||
        product > max)
        return false;
    *out = product;
    return true;
}

bool
cli_number(const struct cli *cli, const char *option, int64_t min, int64_t max, int64_t fallback,
    int64_t *out)
{
    const char *text = cli_value(cli, option);
    *out = fallback;
    if (text == NULL || cli_number_parse(text, min, max, out))
        return true;
    if (max == INT64_MAX)
        cli_usage(
            cli, "--%s must be a number from %lld up, not '%s'", option, (long long)min, text);
    else
        cli_usage(cli, "--%s must be a number from %lld to %lld, not '%s'", option, (long long)min,
            (long long)max, text);
    return false;
}

bool
cli_choice(const struct cli *cli, const char *option, const char *const *choices, int *out)
{
    const char *text = cli_value(cli, option);
    char list[256] = "";
    size_t len = 0;
    struct suggest suggest;
    *out = -1;
    if (text == NULL)
        return true;
    suggest_init(&suggest, text);
    for (int i = 0; choices[i] != NULL; i++) {
        if (strcmp(text, choices[i]) == 0) {
            *out = i;
            return true;
        }
        suggest_add(&suggest, choices[i]);
        if (len < sizeof list)
            len += (size_t)snprintf(list + len, sizeof list - len, "%s%s",
                i == 0                   ? ""
                : choices[i + 1] == NULL ? " or "
                                         : ", ",
                choices[i]);
    }
    if (suggest_best(&suggest) != NULL)
        cli_usage(cli, "--%s must be %s, not '%s'; did you mean %s?", option, list, text,
            suggest_best(&suggest));
    else
        cli_usage(cli, "--%s must be %s, not '%s'", option, list, text);
    return false;
}
