/* cli/cmd_consume.c - moldau consume: records of topics to standard output, by offset, by time, or
 * as a member of a group.
 *
 * A group's offsets are committed here and not by the client, so that only what has left for
 * standard output counts as read: the output is flushed before each commit. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "cli/commands.h"
#include "cli/consume_range.h"
#include "cli/format.h"
#include "client/consumer.h"
#include "client/group.h"
#include "proto/error_codes.h"

enum {
    POLL_MS = 200,    /* how soon a signal is seen */
    POLL_END_MS = 10, /* how soon the end is */
    BREATH_MS = 100,
    COMMIT_INTERVAL_MS = 5000,
    LEAVE_TIMEOUT_MS = 10000,
    SIGNAL_EXIT = 130, /* of a second signal, which does not wait */
};

struct consume {
    struct cli *cli;
    struct client_consumer *consumer;
    const char *format; /* NULL: JSON */
    struct consume_range range;
    int64_t count_max; /* -1: no bound */
    bool exit_at_end;
    bool read_committed;
    struct consume_part *parts; /* owned; without a group */
    int part_count, last;       /* where find_part looks first */
    /* a group's */
    struct client_group *group; /* NULL: none */
    struct client_group_commit commit, revoke_commit;
    bool committing, revoke_committing;
    bool assigned; /* positions are known */
    bool stop;     /* a signal came */
    int64_t commit_ms, breath_ms;
};

/* ---- what is read ---- */

static int
read_range(struct consume *consume, bool in_group)
{
    const char *text = cli_value(consume->cli, "offset");
    char wrong[CONSUME_RANGE_WRONG_SIZE];
    if (cli_env(consume->cli) == NULL)
        return CLI_FAILED;
    if (!consume_range_parse(
            text == NULL ? "end" : text, env_wall_ms(consume->cli->env), &consume->range, wrong))
        return cli_usage(consume->cli, "--offset: %s", wrong);
    bool simple = consume->range.from.kind == CONSUME_POINT_START ||
                  consume->range.from.kind == CONSUME_POINT_END;
    if (in_group && (!simple || consume->range.bounded))
        return cli_usage(consume->cli,
            "--offset with --group must be start or end, for partitions without a committed "
            "offset, "
            "not '%s'; to move the group, stop it and use moldau group seek",
            text);
    return CLI_OK;
}

/* The topics' metadata: every one must be there. */
static int
find_topics(struct consume *consume)
{
    struct cli *cli = consume->cli;
    struct str *names = mem_calloc((size_t)cli->arg_count, sizeof *names);
    if (names == NULL)
        return cli_fail_memory(cli);
    for (int i = 0; i < cli->arg_count; i++)
        names[i] = str_of(cli->args[i]);
    enum err err = client_refresh_wait(cli->client, names, cli->arg_count, false);
    int code = err == ERR_OK ? CLI_OK : cli_fail_call(cli, err);
    for (int i = 0; code == CLI_OK && i < cli->arg_count; i++) {
        const struct client_topic *known = client_topic_find(cli->client, names[i]);
        if (known == NULL || known->error_code != 0)
            code = cli_fail_code(cli, names[i],
                known != NULL ? known->error_code : PROTO_ERROR_UNKNOWN_TOPIC_OR_PARTITION,
                STR_NULL);
    }
    mem_free(names);
    return code;
}

static int
list_parts(struct consume *consume)
{
    struct cli *cli = consume->cli;
    int64_t only;
    size_t room = 0;
    if (!cli_number(cli, "partition", 0, INT32_MAX, -1, &only))
        return CLI_USAGE;
    for (int i = 0; i < cli->arg_count; i++) {
        const struct client_topic *known = client_topic_find(cli->client, str_of(cli->args[i]));
        if (only >= known->partition_count)
            return cli_missing(cli, "%s has %d partitions, 0 to %d, so no partition %lld",
                cli->args[i], (int)known->partition_count, (int)known->partition_count - 1,
                (long long)only);
        room += (size_t)known->partition_count;
    }
    consume->parts = mem_calloc(room + 1, sizeof *consume->parts);
    if (consume->parts == NULL)
        return cli_fail_memory(cli);
    for (int i = 0; i < cli->arg_count; i++) {
        struct str topic = str_of(cli->args[i]);
        int32_t count = client_topic_find(cli->client, topic)->partition_count;
        for (int32_t p = 0; p < count; p++)
            if (only < 0 || only == p)
                consume->parts[consume->part_count++] =
                    (struct consume_part){.topic = topic, .partition = p, .stop = -1};
    }
    return CLI_OK;
}

static int
assign_parts(struct consume *consume)
{
    struct cli *cli = consume->cli;
    struct consume_failure failure;
    enum err err = consume_range_resolve(cli->client, &consume->range, consume->read_committed,
        consume->parts, consume->part_count, &failure);
    if (err == ERR_RANGE) {
        cli_fail(cli, "%.*s [%d] has the offsets from %lld on, the next will be %lld; not %lld",
            STR_FMT(failure.part->topic), (int)failure.part->partition, (long long)failure.start,
            (long long)failure.end, (long long)consume->range.from.value);
        cli_hint("-O start, -O end, -O %lld", (long long)failure.start);
        return CLI_FAILED;
    }
    if (err != ERR_OK && failure.error_code != 0)
        return cli_fail_code(cli, failure.part->topic, failure.error_code, STR_NULL);
    if (err != ERR_OK)
        return err == ERR_NOMEM ? cli_fail_memory(cli) : cli_fail_call(cli, err);
    for (int i = 0; i < consume->part_count; i++) {
        const struct consume_part *part = &consume->parts[i];
        if (part->stop >= 0 && part->from >= part->stop)
            continue; /* nothing of it */
        if (client_consumer_assign(consume->consumer, part->topic, part->partition, part->from) !=
            ERR_OK)
            return cli_fail_memory(cli);
    }
    return CLI_OK;
}

/* True when the record is beyond its partition's range, which then ends. */
static bool
is_beyond(struct consume *consume, const struct client_message *message)
{
    for (int n = 0; n < consume->part_count; n++) {
        int i = (consume->last + n) % consume->part_count;
        const struct consume_part *part = &consume->parts[i];
        if (part->partition != message->partition || !str_eq(part->topic, message->topic))
            continue;
        consume->last = i;
        if (part->stop < 0 || message->offset < part->stop)
            return false;
        client_consumer_unassign(consume->consumer, part->topic, part->partition);
        return true;
    }
    return false;
}

/* ---- the group ---- */

static void
on_committed(struct client_group_commit *commit, enum err err, int16_t error_code)
{
    struct consume *consume = commit->ctx;
    (void)err; /* the next one, or the last, says */
    (void)error_code;
    if (commit == &consume->commit)
        consume->committing = false;
    else
        consume->revoke_committing = false;
}

static void
on_assigned(void *ctx, const struct client_topic_partition *parts, int count)
{
    struct consume *consume = ctx;
    (void)parts;
    (void)count;
    consume->assigned = true;
}

static void
on_revoked(void *ctx, const struct client_topic_partition *parts, int count)
{
    struct consume *consume = ctx;
    (void)parts;
    (void)count;
    consume->assigned = client_group_is_cooperative(consume->group);
    if (consume->revoke_committing || fflush(stdout) != 0)
        return;
    consume->revoke_committing = true;
    client_group_commit(consume->group, NULL, -1, &consume->revoke_commit);
}

static void
on_lost(void *ctx, const struct client_topic_partition *parts, int count)
{
    struct consume *consume = ctx;
    (void)parts;
    (void)count;
    consume->assigned = false;
}

static void
on_signal(void *ctx, int signum)
{
    struct consume *consume = ctx;
    (void)signum;
    if (consume->stop)
        exit(SIGNAL_EXIT);
    consume->stop = true;
}

static int
read_assignors(struct consume *consume, enum client_assignor *out, int *count)
{
    const char *text = cli_value(consume->cli, "assignor");
    *count = 0;
    while (text != NULL && *text != '\0') {
        size_t len = strcspn(text, ",");
        enum client_assignor one;
        bool repeated = false;
        if (!client_assignor_find((struct str){text, len}, &one))
            return cli_usage(consume->cli,
                "--assignor must be range, roundrobin or cooperative-sticky (or several, with "
                "commas between), not '%.*s'",
                (int)len, text);
        for (int i = 0; i < *count; i++)
            repeated = repeated || out[i] == one;
        if (!repeated)
            out[(*count)++] = one;
        text += len + (text[len] == ',');
    }
    if (cli_flag(consume->cli, "assignor") && *count == 0)
        return cli_usage(
            consume->cli, "--assignor must be range, roundrobin or cooperative-sticky, not ''");
    return CLI_OK;
}

static int
join_group(struct consume *consume, const char *group_id)
{
    struct cli *cli = consume->cli;
    enum client_assignor assignors[3];
    int64_t session_ms;
    struct client_group_opts opts = {
        .client = cli->client,
        .consumer = consume->consumer,
        .group_id = str_of(group_id),
        .instance_id = str_of(cli_value(cli, "instance-id")),
        .topic_count = cli->arg_count,
        .reset = consume->range.from.kind == CONSUME_POINT_START ? CLIENT_OFFSET_EARLIEST
                                                                 : CLIENT_OFFSET_LATEST,
        .events = {on_assigned, on_revoked, on_lost},
        .ctx = consume,
    };
    int code = read_assignors(consume, assignors, &opts.assignor_count);
    if (code != CLI_OK)
        return code;
    if (!cli_number(cli, "session-timeout-ms", 1, INT32_MAX, 45000, &session_ms))
        return CLI_USAGE;
    opts.session_timeout_ms = (int32_t)session_ms;
    if (session_ms <= 3000) /* the heartbeat's usual interval, which must be shorter */
        opts.heartbeat_interval_ms = (int32_t)(session_ms / 3 > 0 ? session_ms / 3 : 1);
    opts.assignors = opts.assignor_count > 0 ? assignors : NULL;
    struct str *topics = mem_calloc((size_t)cli->arg_count, sizeof *topics);
    if (topics == NULL)
        return cli_fail_memory(cli);
    for (int i = 0; i < cli->arg_count; i++)
        topics[i] = str_of(cli->args[i]);
    opts.topics = topics;
    consume->commit = (struct client_group_commit){.done = on_committed, .ctx = consume};
    consume->revoke_commit = consume->commit;
    enum err err = client_group_new(&opts, &consume->group);
    mem_free(topics);
    if (err == ERR_INVALID)
        return cli_usage(cli, "--group and --instance-id must not be empty, and a session longer "
                              "than 1 ms");
    return err == ERR_OK ? CLI_OK : cli_fail_memory(cli);
}

/* Lets heartbeats and signals through while records come without a pause, and commits in turn. */
static void
group_breathe(struct consume *consume)
{
    int64_t now_ms = env_now_ms(consume->cli->env);
    const bool never = false;
    if (now_ms - consume->breath_ms >= BREATH_MS) {
        consume->breath_ms = now_ms;
        (void)client_run_until(consume->cli->client, &never, 1);
    }
    if (now_ms - consume->commit_ms < COMMIT_INTERVAL_MS || consume->committing ||
        fflush(stdout) != 0)
        return;
    consume->commit_ms = now_ms;
    consume->committing = true;
    client_group_commit(consume->group, NULL, -1, &consume->commit);
}

static int
leave_group(struct consume *consume, int code)
{
    struct cli *cli = consume->cli;
    int16_t error_code = 0;
    enum err err = ERR_OK;
    if (client_group_state(consume->group) == CLIENT_GROUP_FAILED)
        return code;
    /* What could not be printed is not read: whoever gets the partitions next prints it. */
    if (code == CLI_OK)
        err = client_group_commit_wait(consume->group, NULL, -1, LEAVE_TIMEOUT_MS, &error_code);
    if (err != ERR_OK)
        cli_warn(cli, "the last offsets are not committed (%s): these records will come again",
            error_code != 0 ? proto_error_name(error_code) : err_text(err));
    err = client_group_leave_wait(consume->group, LEAVE_TIMEOUT_MS);
    if (err != ERR_OK)
        cli_warn(cli, "the group was not told (%s): it will notice when the session times out",
            err_text(err));
    return code;
}

/* ---- printing ---- */

static bool
is_at_end(const struct consume *consume)
{
    if (consume->group != NULL &&
        (!consume->assigned || client_group_state(consume->group) != CLIENT_GROUP_STABLE))
        return false;
    return client_consumer_at_end(consume->consumer);
}

static int
fail_reading(struct consume *consume)
{
    int16_t code = client_consumer_error_code(consume->consumer);
    cli_fail(consume->cli, "%s", client_consumer_error(consume->consumer));
    if (code == PROTO_ERROR_OFFSET_OUT_OF_RANGE)
        cli_hint("-O start, -O end, or moldau topic describe TOPIC for what there is");
    if (code == PROTO_ERROR_INCONSISTENT_GROUP_PROTOCOL)
        cli_hint("--assignor with the one that the others use: moldau group describe GROUP");
    return CLI_FAILED;
}

static int
print_messages(struct consume *consume)
{
    struct client_message message;
    int64_t printed = 0;
    while (!consume->stop && (consume->count_max < 0 || printed < consume->count_max)) {
        if (consume->group != NULL)
            group_breathe(consume);
        enum err err = client_consumer_next(consume->consumer, &message);
        if (err == ERR_AGAIN) {
            if (fflush(stdout) != 0)
                break;
            if (consume->exit_at_end && is_at_end(consume))
                break;
            err = client_consumer_poll(
                consume->consumer, consume->exit_at_end ? POLL_END_MS : POLL_MS, &message);
            if (err == ERR_TIMEOUT)
                continue;
        }
        if (err != ERR_OK)
            return fail_reading(consume);
        if (is_beyond(consume, &message))
            continue;
        if (consume->format == NULL)
            format_print_json(stdout, &message);
        else
            format_print(stdout, consume->format, &message);
        printed++;
    }
    return fflush(stdout) == 0 ? CLI_OK : cli_fail(consume->cli, "standard output is gone");
}

static int
consume_plain(struct consume *consume)
{
    int code = list_parts(consume);
    if (code == CLI_OK)
        code = assign_parts(consume);
    return code == CLI_OK ? print_messages(consume) : code;
}

static int
consume_as_member(struct consume *consume, const char *group_id)
{
    int code = join_group(consume, group_id);
    if (code != CLI_OK)
        return code;
    return leave_group(consume, print_messages(consume));
}

/* Options that only make sense with, or without, a group. */
static int
check_together(struct cli *cli, bool in_group)
{
    if (in_group && cli_flag(cli, "partition"))
        return cli_usage(cli, "--partition does not go with --group, which assigns partitions");
    static const char *const group_only[] = {"assignor", "instance-id", "session-timeout-ms"};
    for (size_t i = 0; i < COUNT_OF(group_only) && !in_group; i++)
        if (cli_flag(cli, group_only[i]))
            return cli_usage(
                cli, "--%s is for members of a group: add --group NAME", group_only[i]);
    return CLI_OK;
}

static int
open_and_run(struct consume *consume, const struct client_consumer_opts *base)
{
    struct cli *cli = consume->cli;
    const char *group_id = cli_value(cli, "group");
    struct client_consumer_opts opts = *base;
    opts.client = cli_client(cli);
    if (opts.client == NULL)
        return CLI_FAILED;
    if (group_id != NULL && loop_watch_signals(cli->loop, on_signal, consume) != ERR_OK)
        return cli_fail(cli, "cannot watch for signals");
    if (client_consumer_new(&opts, &consume->consumer) != ERR_OK)
        return cli_fail_memory(cli);
    int code = find_topics(consume);
    if (code == CLI_OK)
        code = group_id != NULL ? consume_as_member(consume, group_id) : consume_plain(consume);
    client_group_free(&consume->group);
    client_consumer_free(&consume->consumer);
    mem_free(consume->parts);
    return code;
}

static int
run_consume(struct cli *cli)
{
    struct consume consume = {.cli = cli};
    struct client_consumer_opts opts = {.check_crcs = true};
    bool in_group = cli_flag(cli, "group");
    int64_t max_wait_ms;
    int code = check_together(cli, in_group);
    if (code == CLI_OK)
        code = read_range(&consume, in_group);
    if (code != CLI_OK)
        return code;
    if (!cli_number(cli, "count", 0, INT64_MAX, -1, &consume.count_max) ||
        !cli_number(cli, "max-wait-ms", 1, 60000, 500, &max_wait_ms))
        return CLI_USAGE;
    consume.exit_at_end = cli_flag(cli, "exit") || consume.range.bounded;
    if (cli->format != CLI_FORMAT_JSON) {
        consume.format = cli_value(cli, "format");
        if (consume.format == NULL)
            consume.format = "%s\\n";
        const char *wrong = format_check(consume.format);
        if (wrong != NULL)
            return cli_usage(cli, "--format %s", wrong);
    }
    consume.read_committed = opts.read_committed = cli_flag(cli, "read-committed");
    opts.max_wait_ms = (int32_t)max_wait_ms;
    return open_and_run(&consume, &opts);
}

const struct cli_command cli_consume = {
    .name = "consume",
    .arguments = "TOPIC...",
    .summary = "print records as they come",
    .options =
        (const struct cli_option[]){
            {"offset", 'O', "RANGE", CONSUME_RANGE_FORMS, "end"},
            {"partition", 'p', "N", "only this partition", "all"},
            {"group", 'g', "NAME", "share the partitions with the other members of this group",
                NULL},
            {"assignor", 0, "NAME,...", "range, roundrobin, cooperative-sticky: who reads what",
                "range,cooperative-sticky"},
            {"instance-id", 0, "ID", "a static member, that may come back under this name", NULL},
            {"session-timeout-ms", 0, "MS", "a member silent for so long is put out", "45000"},
            {"count", 'c', "N", "stop after so many records", NULL},
            {"exit", 'e', NULL, "stop at the end instead of waiting", NULL},
            {"format", 'f', "FORMAT", "e.g. '%o %k %s\\n'; %t %p %o %k %s %T %h %K %S %R", "%s\\n"},
            {"read-committed", 0, NULL, "no records of open or aborted transactions", NULL},
            {"max-wait-ms", 0, "MS", "how long the broker may wait for data", "500"},
            {NULL, 0, NULL, NULL, NULL},
        },
    .arguments_min = 1,
    .arguments_max = -1,
    .text =
        "TIME is milliseconds since 1970, 2026-01-31, 2026-01-31T08:00:00Z (or +01:00), or a "
        "time ago: -10s, -30m, -2h, -7d.\nA range takes in FROM and stops before TO; either may "
        "be left out.\n\n"
        "With --group the records after the group's committed offsets come, and --offset says "
        "where to begin without any.\nWhat was printed is committed every five seconds, when "
        "partitions move, and at the end; interrupt it (Ctrl-C) to\ncommit and leave.\n",
    .examples = "  moldau consume orders -O start -e\n"
                "  moldau consume orders -O -10 -e\n"
                "  moldau consume orders -O @-1h..@-30m\n"
                "  moldau consume orders -O 100..200 -p 3\n"
                "  moldau consume orders payments -g billing -O start\n"
                "  moldau consume orders -f '%p/%o %k=%s\\n' -c 10\n"
                "  moldau consume orders -o json\n",
    .run = run_consume,
    .not_found = "a topic or the partition is not there",
};
