/* cli/suggest.h - the word that somebody may have meant: the nearest of some, when near enough. */
#ifndef CLI_SUGGEST_H
#define CLI_SUGGEST_H

#include <stddef.h>

enum { SUGGEST_WORD_MAX = 64 };

struct suggest {
    const char *word;   /* as typed; borrowed */
    const char *best;   /* borrowed from suggest_add */
    size_t distance;    /* of best */
    size_t distance_ok; /* what still counts as near */
};

void suggest_init(struct suggest *suggest, const char *word);
void suggest_add(struct suggest *suggest, const char *candidate);
/* NULL when none is near; the first of several equally near. */
const char *suggest_best(const struct suggest *suggest);

/* Letters to insert, drop, change or swap with their neighbour to turn one into the other; words
 * longer than SUGGEST_WORD_MAX count as far away. */
size_t suggest_distance(const char *a, const char *b);

#endif
