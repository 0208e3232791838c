/* cli/cli.h - the command line: one table of commands, shared options, output and exit codes.
 *
 * Each src/cli/cmd_<name>.c exports one struct cli_command; cli.c lists them. Exit codes: 0 done,
 * 1 failed, 2 wrong usage, 3 not found, 4 unhealthy. Errors say what to do next. Single-threaded:
 * the calling thread runs the client's loop. */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"
#include "client/client.h"
#include "os/env.h"
#include "os/loop.h"

enum cli_exit { CLI_OK = 0, CLI_FAILED = 1, CLI_USAGE = 2, CLI_NOT_FOUND = 3, CLI_UNHEALTHY = 4 };

enum cli_format { CLI_FORMAT_TABLE, CLI_FORMAT_JSON };

struct cli;

/* One option of a command: --name VALUE or -n VALUE; a flag has no value_name. */
struct cli_option {
    const char *name;
    char letter; /* 0: none */
    const char *value_name;
    const char *help;
};

struct cli_command {
    const char *name;      /* "topic create" */
    const char *arguments; /* "TOPIC..." or "" */
    const char *summary;
    const struct cli_option *options; /* ends with a NULL name; NULL for none */
    const char *examples;             /* lines for help */
    int arguments_min, arguments_max; /* max -1: any */
    int (*run)(struct cli *cli);
};

/* What a command was called with; lives for the call. */
struct cli {
    const struct cli_command *command;
    char **args;
    int arg_count;
    enum cli_format format;
    const char *bootstrap;
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
};

/* The whole program but `server`: parses, runs, returns the exit code. */
int cli_main(int argc, char **argv, const struct cli_command *const *more);

/* The last value given for an option, or NULL; "" for a flag. */
const char *cli_value(const struct cli *cli, const char *option);
/* The i-th value of an option given several times, or NULL. */
const char *cli_value_at(const struct cli *cli, const char *option, int i);
static inline bool
cli_flag(const struct cli *cli, const char *option)
{
    return cli_value(cli, option) != NULL;
}
/* A number option, with `fallback` when not given; prints the error and returns false when it is no
 * number in the range. */
bool cli_number(const struct cli *cli, const char *option, int64_t min, int64_t max,
    int64_t fallback, int64_t *out);

/* The client, made at first use; NULL after printing why not. */
struct client *cli_client(struct cli *cli);
struct env *cli_env(struct cli *cli);

/* "moldau topic create: " + text on stderr. Returns CLI_FAILED, for `return cli_fail(...)`. */
int cli_fail(const struct cli *cli, const char *fmt, ...) PRINTF_LIKE(2, 3);
int cli_usage(const struct cli *cli, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* The failure of a call to the cluster, with advice. */
int cli_fail_call(const struct cli *cli, enum err err);
/* A Kafka error code in an answer: "orders: UNKNOWN_TOPIC_OR_PARTITION: ...". */
int cli_fail_code(const struct cli *cli, struct str what, int16_t code, struct str message);

/* A call of one request struct; the response through *response, in the call. CLI_OK or the exit
 * code after printing. */
int cli_call(struct cli *cli, struct client_call *call, enum client_target target, int16_t key,
    const void *request, const void **response);

#endif
