/* cli/partitions.h - partitions as commands name them, and where their records begin and end. */
#ifndef CLI_PARTITIONS_H
#define CLI_PARTITIONS_H

#include "cli/cli.h"

enum { OFFSET_LATEST = -1, OFFSET_EARLIEST = -2 };

struct partition {
    struct str topic;
    int32_t index;
    /* of partitions_offsets */
    int64_t timestamp;  /* in: OFFSET_LATEST, OFFSET_EARLIEST, or milliseconds */
    int64_t offset;     /* out: -1 when nothing is that young */
    int32_t leader;     /* out: -1 none */
    int16_t error_code; /* out: why there is no offset */
};

/* Reads "TOPIC" or "TOPIC:0,2-4": *text is cut to the topic, the list of *ranges stands after the
 * colon (NULL: all partitions). A bad list prints and returns CLI_USAGE. */
int partitions_parse(
    const struct cli *cli, const char *text, struct str *topic, const char **ranges);
/* Whether the list names the index; NULL names all. The list must be of partitions_parse. */
bool partitions_named(const char *ranges, int32_t index);

/* Every partition that the arguments name, sorted by topic and index, in the command's arena.
 * Prints what does not exist (CLI_NOT_FOUND). A partition named twice comes once. */
int partitions_expand(
    struct cli *cli, char **args, int arg_count, struct partition **out, int *count);

/* The one of that name and index, of some sorted as partitions_expand does; NULL when not there. */
struct partition *partitions_find(
    struct partition *parts, int count, struct str topic, int32_t index);

/* Asks the leaders for the offset by each one's timestamp, one request a leader; tries again while
 * leaders move, with `patient` for some seconds. CLI_OK also when some have an error_code. A topic
 * and index may stand in it once. */
int partitions_offsets(struct cli *cli, struct partition *parts, int count, bool patient);
/* The same, with one timestamp for all, into `offsets`; the first error_code fails. */
int partitions_offsets_all(
    struct cli *cli, struct partition *parts, int count, int64_t timestamp, int64_t *offsets);

/* A topic that is not there: says so, with the nearest that is. CLI_NOT_FOUND. */
int partitions_missing_topic(struct cli *cli, struct str topic);

#endif
