/* cli/complete.h - what may come next on a command line, for the completion of shells. */
#ifndef CLI_COMPLETE_H
#define CLI_COMPLETE_H

#include "cli/cli.h"

/* What stands for a word and must be asked of the cluster, or is left to the shell. */
enum complete_live { COMPLETE_NOTHING, COMPLETE_TOPICS, COMPLETE_GROUPS };

/* Prints what may stand for the last of the words ("moldau" itself is not among them), one a line.
 * What only the cluster knows is returned; the caller offers it. */
enum complete_live complete_words(
    FILE *file, const struct cli_command *const *more, char **words, int count);
/* Prints the candidate when the word is the start of it. */
void complete_offer(FILE *file, const char *word, struct str candidate);

#endif
