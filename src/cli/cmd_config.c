/* cli/cmd_config.c - moldau config describe | set | unset. */
#include <string.h>

#include "cli/commands.h"
#include "cli/configs.h"
#include "cli/output.h"

struct print {
    struct cli *cli;
    struct output out;
    int shown;
};

/* Whether the arguments after kind and name ask for this key: none asks for all. */
static bool
is_wanted(const struct cli *cli, struct str key, bool is_default)
{
    if (cli->arg_count == 2)
        return cli_flag(cli, "all") || !is_default;
    for (int i = 2; i < cli->arg_count; i++)
        if (str_eq_z(key, cli->args[i]))
            return true;
    return false;
}

static const char *
type_name(int8_t type)
{
    static const char *const names[] = {"unknown", "boolean", "string", "int", "short", "long",
        "double", "list", "class", "password"};
    return type >= 0 && type < (int)COUNT_OF(names) ? names[type] : "unknown";
}

static int
print_configs(
    void *ctx, const struct proto_describe_configs_response_describe_configs_result *result)
{
    struct print *print = ctx;
    for (int32_t i = 0; i < result->configs.count; i++) {
        const struct proto_describe_configs_response_describe_configs_resource_result *one =
            &result->configs.items[i];
        if (!is_wanted(print->cli, one->name, one->config_source == CONFIG_SOURCE_DEFAULT))
            continue;
        print->shown++;
        output_str(&print->out, one->name);
        output_str(&print->out, one->is_sensitive ? STR("(hidden)") : one->value);
        output_z(&print->out, config_source_name(one->config_source));
        output_bool(&print->out, one->read_only);
        output_z(&print->out, type_name(one->config_type));
        output_bool(&print->out, one->is_sensitive);
        output_list(&print->out, one->synonyms.count > 0 ? one->synonyms.count : 0);
        for (int32_t s = 0; s < one->synonyms.count; s++) {
            char text[512];
            snprintf(text, sizeof text, "%.*s=%.*s (%s)", STR_FMT(one->synonyms.items[s].name),
                STR_FMT(one->synonyms.items[s].value),
                config_source_name(one->synonyms.items[s].source));
            output_z(&print->out, text);
        }
        output_str(&print->out, one->documentation);
    }
    return CLI_OK;
}

static int
run_describe(struct cli *cli)
{
    static const char *const columns[] = {"name", "value", "source", "read_only", "+type",
        "+sensitive", "+synonyms", "+documentation"};
    struct print print = {.cli = cli};
    struct config_resource resource;
    int code = config_resource_read(cli, cli->args[0], cli->args[1], &resource);
    if (code != CLI_OK)
        return code;
    output_begin(&print.out, cli->format, columns, COUNT_OF(columns));
    code = configs_describe(cli, &resource, 1, print_configs, &print);
    if (code == CLI_OK && cli->arg_count > 2 && print.shown == 0) {
        code = cli_missing(cli, "no key '%s' of a %s", cli->args[2], cli->args[0]);
        cli_hint("moldau config describe %s %s --all", cli->args[0], cli->args[1]);
    }
    if (code == CLI_OK)
        return output_end(&print.out);
    output_drop(&print.out);
    return code;
}

static int
alter(struct cli *cli, bool set)
{
    struct config_change changes[CONFIG_CHANGES_MAX];
    struct config_resource resource;
    int count = cli->arg_count - 2;
    bool dry_run = cli_flag(cli, "dry-run");
    int code = config_resource_read(cli, cli->args[0], cli->args[1], &resource);
    for (int i = 0; code == CLI_OK && i < count; i++)
        code = config_change_read(cli, cli->args[i + 2], set, &changes[i]);
    if (code == CLI_OK)
        code = configs_alter(cli, &resource, changes, count, dry_run);
    return code == CLI_OK ? configs_print_changes(cli, &resource, changes, count, dry_run) : code;
}

static int
run_set(struct cli *cli)
{
    return alter(cli, true);
}

static int
run_unset(struct cli *cli)
{
    return alter(cli, false);
}

#define KINDS                                                                                    \
    "KIND is topic, broker, group, client-metrics or broker-logger. A broker's NAME is its id, " \
    "or 'default' for what holds for all brokers."
#define NO_RESOURCE "there is no such topic or broker"

static const struct cli_option alter_options[] = {
    {"dry-run", 0, NULL, "only let the broker check it"},
    {NULL, 0, NULL, NULL},
};

const struct cli_command cli_config_describe = {
    .name = "config describe",
    .arguments = "KIND NAME [KEY...]",
    .summary = "settings of a topic, a broker or a group",
    .text = KINDS,
    .options = (const struct cli_option[]){{"all", 'a', NULL, "also those at their default"},
        {NULL, 0, NULL, NULL}},
    .arguments_min = 2,
    .arguments_max = -1,
    .not_found = NO_RESOURCE ", or none of the keys",
    .examples = "  moldau config describe topic orders\n"
                "  moldau config describe topic orders retention.ms\n"
                "  moldau config describe broker 1 --all -o wide\n",
    .run = run_describe,
};

const struct cli_command cli_config_set = {
    .name = "config set",
    .arguments = "KIND NAME KEY=VALUE...",
    .summary = "change settings, all of them or none",
    .text = KINDS,
    .options = alter_options,
    .arguments_min = 3,
    .arguments_max = CONFIG_CHANGES_MAX + 2,
    .not_found = NO_RESOURCE,
    .examples = "  moldau config set topic orders retention.ms=86400000\n"
                "  moldau config set broker default log.cleaner.threads=2 --dry-run\n",
    .run = run_set,
};

const struct cli_command cli_config_unset = {
    .name = "config unset",
    .arguments = "KIND NAME KEY...",
    .summary = "put settings back to their default",
    .text = KINDS,
    .options = alter_options,
    .arguments_min = 3,
    .arguments_max = CONFIG_CHANGES_MAX + 2,
    .not_found = NO_RESOURCE,
    .examples = "  moldau config unset topic orders retention.ms\n",
    .run = run_unset,
};
