/* cli/commands.c - the table of commands. */
#include "cli/commands.h"

#include <stddef.h>

const struct cli_command *const cli_commands[] = {
    &cli_topic_list,
    &cli_topic_describe,
    &cli_topic_create,
    &cli_topic_delete,
    &cli_topic_add_partitions,
    &cli_topic_trim,
    &cli_produce,
    &cli_consume,
    &cli_debug_dump_log,
    &cli_group_list,
    &cli_group_describe,
    &cli_group_lag,
    &cli_group_members,
    &cli_group_offsets,
    &cli_group_seek,
    &cli_group_delete_offsets,
    &cli_group_delete,
    &cli_config_describe,
    &cli_config_set,
    &cli_config_unset,
    &cli_cluster_info,
    &cli_cluster_quorum,
    &cli_bench_produce,
    &cli_bench_fetch,
    &cli_bench_e2e,
    NULL,
};
