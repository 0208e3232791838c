/* cli/cli.h - the command line: one table of commands, shared options, output and exit codes.
 *
 * Each src/cli/cmd_<name>.c exports struct cli_command values; commands.c lists them. What a
 * command, its arguments and its options are stands in that value alone: parsing, usage, help,
 * suggestions and docs/reference/cli.md are made from it. Exit codes: 0 done, 1 failed, 2 wrong
 * usage, 3 not found, 4 unhealthy. Errors say what to do next. Single-threaded: the calling thread
 * runs the client's loop. */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/arena.h"
#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"
#include "client/client.h"
#include "os/env.h"
#include "os/loop.h"

enum cli_exit { CLI_OK = 0, CLI_FAILED = 1, CLI_USAGE = 2, CLI_NOT_FOUND = 3, CLI_UNHEALTHY = 4 };

/* TABLE for people, WIDE with more columns, the others for programs. */
enum cli_format {
    CLI_FORMAT_TABLE,
    CLI_FORMAT_JSON,
    CLI_FORMAT_WIDE,
    CLI_FORMAT_YAML,
    CLI_FORMAT_NAME,
};

struct cli;

/* One option of a command: --name VALUE or -n VALUE; a flag has no value_name. */
struct cli_option {
    const char *name;
    char letter; /* 0: none */
    const char *value_name;
    const char *help;
    const char *fallback; /* what holds when it is not given; NULL: nothing to say */
};

struct cli_command {
    const char *name;      /* "topic create" */
    const char *arguments; /* "TOPIC..." or "" */
    const char *summary;
    const struct cli_option *options; /* ends with a NULL name; NULL for none */
    const char *examples;             /* lines for help */
    int arguments_min, arguments_max; /* max -1: any */
    int (*run)(struct cli *cli);
    const char *alias;     /* another name, or NULL */
    const char *text;      /* paragraphs for help, filled when printed; or NULL */
    const char *not_found; /* what exit code 3 means here; NULL: it cannot happen */
    const char *unhealthy; /* the same of 4 */
};

/* What a command was called with; lives for the call. */
struct cli {
    const struct cli_command *command;
    const struct cli_command *const *more; /* commands beside cli_commands; NULL: none */
    char **args;
    int arg_count;
    enum cli_format format;
    const char *bootstrap;
    const char *client_id; /* NULL: our own */
    int64_t timeout_ms;    /* of one request */
    struct arena arena;    /* for what a command gathers; freed after it */
    bool bad_brokers;      /* cli_client said so */
    /* opened on first use by cli_client */
    struct env *env;
    struct loop *loop;
    struct client *client;
    /* the command's options as given, in order */
    struct {
        const struct cli_option *option;
        const char *value;
    } given[64];
    int given_count;
    /* of cli_progress */
    int64_t progress_ms;
    bool progress_shown;
};

/* The whole program but `server`: parses, runs, returns the exit code. */
int cli_main(int argc, char **argv, const struct cli_command *const *more);

/* The command whose words are the first of argv; *used says how many. NULL: none. */
const struct cli_command *cli_find(
    const struct cli_command *const *more, int argc, char **argv, int *used);

/* ---- options (options.c) ---- */

/* The options that every command has. */
extern const struct cli_option cli_shared_options[];

/* Fills args and given from what stands after the command's name. CLI_OK, or CLI_USAGE after
 * printing. */
int cli_parse(struct cli *cli, int argc, char **argv);

/* The last value given for an option, or NULL; "" for a flag. */
const char *cli_value(const struct cli *cli, const char *option);
/* The i-th value of an option given several times, or NULL. */
const char *cli_value_at(const struct cli *cli, const char *option, int i);
static inline bool
cli_flag(const struct cli *cli, const char *option)
{
    return cli_value(cli, option) != NULL;
}
/* A number option, with `fallback` when not given; k, m and g are thousands, millions and
 * milliards. Prints the error and returns false when it is no number in the range. */
bool cli_number(const struct cli *cli, const char *option, int64_t min, int64_t max,
    int64_t fallback, int64_t *out);
/* The same of any text, without printing. */
MUST_USE bool cli_number_parse(const char *text, int64_t min, int64_t max, int64_t *out);
/* The index in `choices` (ends with NULL) of an option's value, -1 when it is not given; prints the
 * error and returns false when it is none of them. */
bool cli_choice(const struct cli *cli, const char *option, const char *const *choices, int *out);

/* ---- help (help.c) ---- */

void cli_help_command(FILE *file, const struct cli_command *command);
/* All commands whose name starts with `prefix`, or is in that family. */
void cli_help_overview(FILE *file, const struct cli_command *const *more, const char *prefix);
/* The manual page moldau(1), or of a family; false when there is none of that name. */
bool cli_help_man(FILE *file, const struct cli_command *const *more, const char *family);
/* Calls for each family of commands and then for each command of it. */
void cli_help_each(FILE *file, const struct cli_command *const *more,
    void (*family)(FILE *file, const char *name),
    void (*fn)(FILE *file, const struct cli_command *command));
/* docs/reference/cli.md. */
void cli_help_markdown(FILE *file, const struct cli_command *const *more);

/* ---- the cluster ---- */

/* The client, made at first use; NULL after printing why not. */
struct client *cli_client(struct cli *cli);
struct env *cli_env(struct cli *cli);

/* A call of one request struct; the response through *response, in the call. CLI_OK or the exit
 * code after printing. A node is looked up first when the client does not know it yet. */
int cli_call(struct cli *cli, struct client_call *call, enum client_target target, int16_t key,
    const void *request, const void **response);
/* The same without printing, for a client that is there already; the response stays in the call.
 * NOTFOUND: no such node. */
MUST_USE enum err cli_try(struct cli *cli, struct client_call *call, enum client_target target,
    int16_t key, const void *request);
/* Lets the loop run for so long: between tries. */
void cli_pause(struct cli *cli, int64_t ms);

/* ---- saying (say.c) ---- */

/* "moldau topic create: " + text on stderr. Returns CLI_FAILED, for `return cli_fail(...)`. */
int cli_fail(const struct cli *cli, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* The same with CLI_USAGE and the way to the help. */
int cli_usage(const struct cli *cli, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* The same with CLI_NOT_FOUND. */
int cli_missing(const struct cli *cli, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* "try: ..." on stderr. */
void cli_hint(const char *fmt, ...) PRINTF_LIKE(1, 2);
/* "warning: ..." on stderr. */
void cli_warn(const struct cli *cli, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* The failure of a call to the cluster, with advice. */
int cli_fail_call(const struct cli *cli, enum err err);
/* A Kafka error code in an answer: "orders: UNKNOWN_TOPIC_OR_PARTITION: ...", and what to do. */
int cli_fail_code(const struct cli *cli, struct str what, int16_t code, struct str message);
int cli_fail_memory(const struct cli *cli);
/* One line on stderr that replaces the one before, only when that is a terminal and not more often
 * than anybody can read. */
void cli_progress(struct cli *cli, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Wipes the line. */
void cli_progress_end(struct cli *cli);

#endif
