/* cli/log_dirs.h - what stands in the log directories of the brokers. */
#ifndef CLI_LOG_DIRS_H
#define CLI_LOG_DIRS_H

#include "cli/cli.h"
#include "cli/partitions.h"

struct log_dir_row {
    int32_t broker;
    struct str dir;
    struct str topic; /* null: the directory itself */
    int32_t index;
    int64_t size_bytes;
    int64_t lag;
    bool is_future;
    /* of the directory */
    int16_t error_code;
    int64_t total_bytes, usable_bytes; /* -1: the broker does not say */
};

/* Asks one broker for the logs of the partitions (NULL: all). Rows in the command's arena, each
 * directory's own first. */
int log_dirs_ask(struct cli *cli, int32_t broker, const struct partition *parts, int part_count,
    struct log_dir_row **out, int *count);
/* The bytes of each partition on its leader, by every broker that leads one; -1 not known. As
 * partitions_expand gives them: sorted, the leaders known. */
int log_dirs_sizes(struct cli *cli, struct partition *parts, int count, int64_t *size_bytes);

#endif
