/* cli/commands.h - every command of the table. */
#ifndef CLI_COMMANDS_H
#define CLI_COMMANDS_H

#include "cli/cli.h"

/* Ends with NULL; in the order of the overview. */
extern const struct cli_command *const cli_commands[];

extern const struct cli_command cli_topic_list, cli_topic_describe, cli_topic_create,
    cli_topic_delete, cli_topic_add_partitions, cli_topic_trim, cli_topic_alter, cli_topic_clone,
    cli_topic_purge, cli_topic_stats;
extern const struct cli_command cli_config_describe, cli_config_set, cli_config_unset;
extern const struct cli_command cli_group_list, cli_group_describe, cli_group_seek,
    cli_group_delete, cli_group_lag, cli_group_members, cli_group_offsets, cli_group_delete_offsets;
extern const struct cli_command cli_cluster_info, cli_cluster_quorum, cli_cluster_features,
    cli_cluster_logdirs, cli_cluster_health, cli_cluster_partitions, cli_cluster_elect,
    cli_cluster_reassign, cli_cluster_txn;
extern const struct cli_command cli_produce, cli_consume;
extern const struct cli_command cli_bench_produce, cli_bench_fetch, cli_bench_e2e;
extern const struct cli_command cli_debug_dump_log;
extern const struct cli_command cli_generate_completion;

#endif
