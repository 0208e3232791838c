/* node/cmd_profile.c - moldau profile: settings for a purpose, each with its reason. */
#include "node/cmd_profile.h"

#include <stdio.h>
#include <string.h>

#include "cli/output.h"
#include "os/env.h"

enum { FILE_MAX = 64 << 10 };

struct setting {
    const char *key, *value, *reason;
};

static const struct setting DEV[] = {
    {"listeners", "PLAINTEXT://127.0.0.1:9092", "only this machine can connect"},
    {"log.dirs", "./moldau-data", "in the directory where it is started"},
    {"log.ack.flush", "false", "writes do not wait for the disk; a power cut may lose the last"},
    {"num.partitions", "1", "topics that appear by themselves stay in order"},
    {"auto.create.topics.enable", "true", "a topic appears when it is first used"},
    {"offsets.topic.num.partitions", "4", "few groups need few files"},
    {"group.initial.rebalance.delay.ms", "0", "a lone consumer begins at once"},
    {"num.network.threads", "1", "one thread serves a developer"},
    {"num.io.threads", "2", "and two do what waits for the disk"},
    {"log.segment.bytes", "67108864", "small files, so that retention takes effect soon"},
    {"log.retention.hours", "24", "yesterday's tests may go"},
    {"http.listener", "127.0.0.1:8080", "metrics and health, for this machine"},
    {NULL, NULL, NULL},
};

static const struct setting PRODUCTION[] = {
    {"listeners", "PLAINTEXT://0.0.0.0:9092",
        "every address; put the firewall's or a private network's own one here"},
    {"log.dirs", "/var/lib/moldau", "a disk of its own (ext4 or xfs), one directory a disk"},
    {"log.ack.flush", "true", "what was acknowledged with acks=all is on the disk"},
    {"num.partitions", "6", "topics made without a number can be read by six consumers"},
    {"auto.create.topics.enable", "false", "a misspelt name is an error and not a new topic"},
    {"unclean.leader.election.enable", "false", "rather stand still than lose records"},
    {"group.initial.rebalance.delay.ms", "3000", "groups that start together rebalance once"},
    {"log.retention.hours", "168", "a week, unless a topic says otherwise"},
    {"log.retention.check.interval.ms", "300000", "how soon what is too old goes"},
    {"connections.max.idle.ms", "600000", "forgotten connections are closed"},
    {"max.connections.per.ip", "2000", "one broken client cannot take every descriptor"},
    {"http.listener", "127.0.0.1:8080", "metrics and health, for an agent on this machine"},
    {"log.level", "info", "starts, stops and what goes wrong"},
    {NULL, NULL, NULL},
};

static const struct {
    const char *name, *purpose;
    const struct setting *settings;
} PROFILES[] = {
    {"dev", "A node for development: small, quick, for this machine only.", DEV},
    {"production", "A node that keeps what it acknowledged.", PRODUCTION},
};

static void
format_file(struct buf *text, size_t profile)
{
    buf_printf(text,
        "# %s\n# Made by `moldau profile %s`. Every key: docs/reference/configuration.md.\n"
        "# Check the machine for it with `moldau config doctor FILE`.\n",
        PROFILES[profile].purpose, PROFILES[profile].name);
    for (const struct setting *s = PROFILES[profile].settings; s->key != NULL; s++)
        buf_printf(text, "\n# %s\n%s=%s\n", s->reason, s->key, s->value);
}

/* Never over a file that is there, unless told so. */
static int
write_file(struct cli *cli, const char *path, struct buf *text)
{
    struct env_stat st;
    struct env *env = cli_env(cli);
    if (env == NULL)
        return CLI_FAILED;
    if (!cli_flag(cli, "force") && env_stat(env, path, &st) == ERR_OK) {
        cli_fail(cli, "%s is there already", path);
        cli_hint("--force to replace it");
        return CLI_FAILED;
    }
    enum err err = env_write_file_atomic(env, path, buf_bytes(text));
    return err == ERR_OK ? CLI_OK : cli_fail(cli, "%s cannot be written: %s", path, err_text(err));
}

static int
print_rows(struct cli *cli, size_t profile)
{
    static const char *const columns[] = {"key", "value", "reason"};
    struct output out;
    output_begin(&out, cli->format, columns, COUNT_OF(columns));
    for (const struct setting *s = PROFILES[profile].settings; s->key != NULL; s++) {
        output_z(&out, s->key);
        output_z(&out, s->value);
        output_z(&out, s->reason);
    }
    return output_end(&out);
}

static int
run_profile(struct cli *cli)
{
    struct buf text;
    const char *path = cli_value(cli, "write");
    size_t profile = 0;
    while (profile < COUNT_OF(PROFILES) && strcmp(PROFILES[profile].name, cli->args[0]) != 0)
        profile++;
    if (profile == COUNT_OF(PROFILES))
        return cli_usage(cli, "the profile must be dev or production, not '%s'", cli->args[0]);
    if (cli->format != CLI_FORMAT_TABLE)
        return print_rows(cli, profile);
    buf_init(&text, FILE_MAX);
    format_file(&text, profile);
    int code = text.err != ERR_OK ? cli_fail_memory(cli) : CLI_OK;
    if (code == CLI_OK && path != NULL)
        code = write_file(cli, path, &text);
    else if (code == CLI_OK)
        fputs(buf_z(&text), stdout);
    buf_fini(&text);
    return code;
}

const struct cli_command node_cmd_profile = {
    .name = "profile",
    .arguments = "PROFILE",
    .summary = "a server.properties for a purpose: dev or production, each setting with its reason",
    .text = "Printed as a properties file; as rows with another output format. dev is for one "
            "developer's machine, production keeps what was acknowledged.",
    .options = (const struct cli_option[]){{"write", 'w', "FILE", "write it there instead"},
        {"force", 0, NULL, "also when the file is there"}, {NULL, 0, NULL, NULL}},
    .arguments_min = 1,
    .arguments_max = 1,
    .examples = "  moldau profile dev > server.properties && moldau server server.properties\n"
                "  moldau profile production --write /etc/moldau/server.properties\n"
                "  moldau profile production -o json\n",
    .run = run_profile,
};
