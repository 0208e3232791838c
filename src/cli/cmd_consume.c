/* cli/cmd_consume.c - moldau consume: records of topics, from any offset or time, to standard
 * output. */
#include <stdlib.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/format.h"
#include "client/consumer.h"

enum { POLL_MS = 1000, PARTITIONS_MAX = 4096 };

struct consume {
    struct cli *cli;
    struct client_consumer *consumer;
    const char *format;  /* NULL: JSON */
    int64_t start;       /* an offset or a CLIENT_OFFSET_ */
    int64_t count_max;   /* -1: no bound */
    int64_t stop_offset; /* -1: none; not reached itself */
    bool exit_at_end;
};

static int
read_offset(struct consume *consume)
{
    const char *text = cli_value(consume->cli, "offset");
    char *end;
    consume->start = CLIENT_OFFSET_LATEST;
    consume->stop_offset = -1;
    if (text == NULL || strcmp(text, "end") == 0)
        return CLI_OK;
    if (strcmp(text, "start") == 0 || strcmp(text, "beginning") == 0) {
        consume->start = CLIENT_OFFSET_EARLIEST;
        return CLI_OK;
    }
    consume->start = strtoll(text, &end, 10);
    if (end != text && *end == ':' && end[1] != '\0')
        consume->stop_offset = strtoll(end + 1, &end, 10);
    if (end == text || *end != '\0' || consume->start < 0)
        return cli_usage(consume->cli,
            "--offset must be start, end, N, or N:M (from N up to but without M), not '%s'", text);
    return CLI_OK;
}

static int
assign_topic(struct consume *consume, const char *name)
{
    struct cli *cli = consume->cli;
    struct str topic = str_of(name);
    int64_t only;
    if (!cli_number(cli, "partition", 0, INT32_MAX, -1, &only))
        return CLI_USAGE;
    enum err err = client_refresh_wait(cli->client, &topic, 1, false);
    if (err != ERR_OK)
        return cli_fail_call(cli, err);
    const struct client_topic *known = client_topic_find(cli->client, topic);
    if (known == NULL || known->error_code != 0)
        return cli_fail_code(cli, topic, known != NULL ? known->error_code : 3, STR_NULL);
    if (only >= known->partition_count) {
        cli_fail(cli, "%s has %d partitions, so no partition %lld", name,
            (int)known->partition_count, (long long)only);
        return CLI_NOT_FOUND;
    }
    for (int32_t i = 0; i < known->partition_count; i++)
        if ((only < 0 || only == i) &&
            client_consumer_assign(consume->consumer, topic, i, consume->start) != ERR_OK)
            return cli_fail(cli, "out of memory");
    return CLI_OK;
}

static int
print_messages(struct consume *consume)
{
    struct client_message message;
    int64_t printed = 0;
    while (consume->count_max < 0 || printed < consume->count_max) {
        enum err err = client_consumer_next(consume->consumer, &message);
        if (err == ERR_AGAIN) {
            fflush(stdout);
            if (consume->exit_at_end && client_consumer_at_end(consume->consumer))
                break;
            err = client_consumer_poll(consume->consumer, POLL_MS, &message);
            if (err == ERR_TIMEOUT)
                continue;
        }
        if (err != ERR_OK)
            return cli_fail(consume->cli, "%s", client_consumer_error(consume->consumer));
        if (consume->stop_offset >= 0 && message.offset >= consume->stop_offset) {
            client_consumer_unassign(consume->consumer, message.topic, message.partition);
            continue;
        }
        if (consume->format == NULL)
            format_print_json(stdout, &message);
        else
            format_print(stdout, consume->format, &message);
        printed++;
    }
    return fflush(stdout) == 0 ? CLI_OK : cli_fail(consume->cli, "standard output is gone");
}

static int
run_consume(struct cli *cli)
{
    struct consume consume = {.cli = cli};
    struct client_consumer_opts opts = {.check_crcs = true};
    int64_t max_wait_ms;
    int code = read_offset(&consume);
    if (code != CLI_OK)
        return code;
    if (!cli_number(cli, "count", 0, INT64_MAX, -1, &consume.count_max) ||
        !cli_number(cli, "max-wait-ms", 1, 60000, 500, &max_wait_ms))
        return CLI_USAGE;
    consume.exit_at_end = cli_flag(cli, "exit") || consume.stop_offset >= 0;
    if (cli->format != CLI_FORMAT_JSON) {
        consume.format = cli_value(cli, "format");
        if (consume.format == NULL)
            consume.format = "%s\\n";
        const char *wrong = format_check(consume.format);
        if (wrong != NULL)
            return cli_usage(cli, "--format %s", wrong);
    }
    opts.read_committed = cli_flag(cli, "read-committed");
    opts.max_wait_ms = (int32_t)max_wait_ms;
    opts.client = cli_client(cli);
    if (opts.client == NULL || client_consumer_new(&opts, &consume.consumer) != ERR_OK)
        return CLI_FAILED;
    for (int i = 0; code == CLI_OK && i < cli->arg_count; i++)
        code = assign_topic(&consume, cli->args[i]);
    if (code == CLI_OK)
        code = print_messages(&consume);
    client_consumer_free(&consume.consumer);
    return code;
}

const struct cli_command cli_consume = {
    .name = "consume",
    .arguments = "TOPIC...",
    .summary = "print records as they come",
    .options =
        (const struct cli_option[]){
            {"offset", 'O', "OFFSET", "start, end (default), N, or N:M"},
            {"partition", 'p', "N", "only this partition"},
            {"count", 'c', "N", "stop after so many records"},
            {"exit", 'e', NULL, "stop at the end instead of waiting"},
            {"format", 'f', "FORMAT", "e.g. '%o %k %s\\n'; %t %p %o %k %s %T %h %K %S %R"},
            {"read-committed", 0, NULL, "no records of open or aborted transactions"},
            {"max-wait-ms", 0, "MS", "how long the broker may wait for data (500)"},
            {NULL, 0, NULL, NULL},
        },
    .arguments_min = 1,
    .arguments_max = -1,
    .examples = "  moldau consume orders -O start -e\n"
                "  moldau consume orders -f '%p/%o %k=%s\\n' -c 10\n"
                "  moldau consume orders -o json\n",
    .run = run_consume,
};
