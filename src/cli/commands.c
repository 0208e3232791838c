/* cli/commands.c - the table of commands. */
#include "cli/commands.h"

#include <stddef.h>

const struct cli_command *const cli_commands[] = {
    &cli_topic_list,
    &cli_topic_describe,
    &cli_topic_create,
    &cli_topic_delete,
    &cli_produce,
    &cli_consume,
    NULL,
};
