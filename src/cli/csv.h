/* cli/csv.h - offsets as lines of topic,partition,offset: what Apache's kafka-consumer-groups
 * writes with --export and reads with --from-file. */
#ifndef CLI_CSV_H
#define CLI_CSV_H

#include "base/buf.h"
#include "cli/cli.h"

struct csv_offset {
    struct str topic;
    int32_t index;
    int64_t offset;
};

void csv_init(struct buf *text);
void csv_add(struct buf *text, struct str topic, int32_t index, int64_t offset);
/* Writes the whole file or nothing of it ("-": standard output), and frees the text. */
int csv_write(struct cli *cli, struct buf *text, const char *path);

/* Reads "topic,partition,offset" lines; with four fields the first must be the group. Empty lines
 * and those that start with # are skipped. What is wrong is said with its
 * line. The result is sorted by topic and index. */
int csv_read(
    struct cli *cli, const char *path, struct str group, struct csv_offset **out, int *count);

#endif
