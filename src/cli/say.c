/* cli/say.c - what goes to standard error: failures with the way out, warnings, progress. */
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "proto/error_codes.h"

enum { PROGRESS_EVERY_MS = 200, PROGRESS_WIDTH = 78 };

static void
say(const struct cli *cli, const char *before, const char *fmt, va_list args)
{
    fprintf(stderr, "moldau %s: %s", cli->command->name, before);
    vfprintf(stderr, fmt, args);
    fputc('\n', stderr);
}

int
cli_fail(const struct cli *cli, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    say(cli, "", fmt, args);
    va_end(args);
    return CLI_FAILED;
}

int
cli_usage(const struct cli *cli, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    say(cli, "", fmt, args);
    va_end(args);
    cli_hint("moldau %s --help", cli->command->name);
    return CLI_USAGE;
}

int
cli_missing(const struct cli *cli, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    say(cli, "", fmt, args);
    va_end(args);
    return CLI_NOT_FOUND;
}

void
cli_warn(const struct cli *cli, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    say(cli, "warning: ", fmt, args);
    va_end(args);
}

void
cli_hint(const char *fmt, ...)
{
    va_list args;
    fputs("try: ", stderr);
    va_start(args, fmt);
    vfprintf(stderr, fmt, args);
    va_end(args);
    fputc('\n', stderr);
}

int
cli_fail_memory(const struct cli *cli)
{
    return cli_fail(cli, "out of memory");
}

int
cli_fail_call(const struct cli *cli, enum err err)
{
    const char *text = cli->client != NULL ? client_error_text(cli->client) : "";
    if (err == ERR_UNSUPPORTED)
        return cli_fail(
            cli, "%s", text[0] != '\0' ? text : "the broker does not serve this request");
    if (text[0] != '\0') /* names the address itself */
        cli_fail(cli, "no answer from %s", text);
    else
        cli_fail(cli, "no answer from %s: %s", cli->bootstrap, err_text(err));
    if (err == ERR_CORRUPT || err == ERR_CLOSED)
        fprintf(stderr, "What listens there may want TLS or SASL, or be no broker at all. ");
    else
        fprintf(stderr, "Is a broker running there? ");
    fprintf(stderr, "Name another with --brokers HOST:PORT.\n");
    return CLI_FAILED;
}

/* ---- Kafka's error codes ---- */

struct hint {
    int16_t code;
    const char *text;
};

static const struct hint hints[] = {
    {PROTO_ERROR_UNKNOWN_TOPIC_OR_PARTITION, "moldau topic list"},
    {PROTO_ERROR_UNKNOWN_TOPIC_ID, "moldau topic list"},
    {PROTO_ERROR_INVALID_TOPIC_EXCEPTION,
        "a name of 1 to 249 letters, digits, dots, dashes and underscores"},
    {PROTO_ERROR_TOPIC_ALREADY_EXISTS,
        "moldau topic describe TOPIC, or moldau topic alter TOPIC KEY=VALUE"},
    {PROTO_ERROR_INVALID_REPLICATION_FACTOR,
        "moldau cluster info (at most one replica on each broker)"},
    {PROTO_ERROR_INVALID_PARTITIONS, "moldau topic describe TOPIC (partitions can only be added)"},
    {PROTO_ERROR_INVALID_CONFIG, "moldau config describe KIND NAME --all shows every key"},
    {PROTO_ERROR_GROUP_ID_NOT_FOUND, "moldau group list"},
    {PROTO_ERROR_NON_EMPTY_GROUP, "stop its consumers first: moldau group members GROUP"},
    {PROTO_ERROR_GROUP_SUBSCRIBED_TO_TOPIC, "stop its consumers first: moldau group members GROUP"},
    {PROTO_ERROR_UNKNOWN_MEMBER_ID, "stop its consumers first: moldau group members GROUP"},
    {PROTO_ERROR_REBALANCE_IN_PROGRESS, "stop its consumers first: moldau group members GROUP"},
    {PROTO_ERROR_OFFSET_OUT_OF_RANGE, "moldau topic describe TOPIC shows the offsets there are"},
    {PROTO_ERROR_LEADER_NOT_AVAILABLE, "moldau cluster health"},
    {PROTO_ERROR_NOT_ENOUGH_REPLICAS, "moldau cluster health"},
    {PROTO_ERROR_COORDINATOR_NOT_AVAILABLE, "moldau cluster health"},
    {PROTO_ERROR_TOPIC_DELETION_DISABLED, "set delete.topic.enable=true on the brokers"},
};

static bool
means_missing(int16_t code)
{
    return code == PROTO_ERROR_UNKNOWN_TOPIC_OR_PARTITION || code == PROTO_ERROR_UNKNOWN_TOPIC_ID ||
           code == PROTO_ERROR_GROUP_ID_NOT_FOUND || code == PROTO_ERROR_RESOURCE_NOT_FOUND;
}

int
cli_fail_code(const struct cli *cli, struct str what, int16_t code, struct str message)
{
    const char *name = proto_error_name(code);
    if (message.len > 0)
        cli_fail(cli, "%.*s: %s: %.*s", STR_FMT(what), name, STR_FMT(message));
    else
        cli_fail(cli, "%.*s: %s: %s", STR_FMT(what), name, proto_error_text(code));
    for (size_t i = 0; i < COUNT_OF(hints); i++)
        if (hints[i].code == code)
            cli_hint("%s", hints[i].text);
    return means_missing(code) ? CLI_NOT_FOUND : CLI_FAILED;
}

/* ---- progress ---- */

void
cli_progress(struct cli *cli, const char *fmt, ...)
{
    char line[PROGRESS_WIDTH + 1];
    va_list args;
    if (cli_env(cli) == NULL || !isatty(STDERR_FILENO))
        return;
    int64_t now_ms = env_now_ms(cli->env);
    if (cli->progress_ms == 0) /* short work shows nothing */
        cli->progress_ms = now_ms;
    if (now_ms - cli->progress_ms < PROGRESS_EVERY_MS)
        return;
    cli->progress_ms = now_ms;
    cli->progress_shown = true;
    va_start(args, fmt);
    vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    fprintf(stderr, "\r%-*s", PROGRESS_WIDTH, line);
}

void
cli_progress_end(struct cli *cli)
{
    if (cli->progress_shown)
        fprintf(stderr, "\r%-*s\r", PROGRESS_WIDTH, "");
    cli->progress_shown = false;
    cli->progress_ms = 0;
}
