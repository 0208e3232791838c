/* cli/suggest.c - distances between words. */
#include "cli/suggest.h"

#include <stdint.h>
#include <string.h>

size_t
suggest_distance(const char *a, const char *b)
{
    size_t rows[3][SUGGEST_WORD_MAX + 1]; /* two rows back, one back, this */
    size_t a_len = strlen(a);
    size_t b_len = strlen(b);
    if (a_len > SUGGEST_WORD_MAX || b_len > SUGGEST_WORD_MAX)
        return SIZE_MAX;
    for (size_t j = 0; j <= b_len; j++)
        rows[1][j] = j;
    for (size_t i = 1; i <= a_len; i++) {
        rows[2][0] = i;
        for (size_t j = 1; j <= b_len; j++) {
            size_t best = rows[1][j - 1] + (a[i - 1] != b[j - 1]);
            if (rows[1][j] + 1 < best)
                best = rows[1][j] + 1;
            if (rows[2][j - 1] + 1 < best)
                best = rows[2][j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
                rows[0][j - 2] + 1 < best)
                best = rows[0][j - 2] + 1;
            rows[2][j] = best;
        }
        memcpy(rows[0], rows[1], sizeof rows[0]);
        memcpy(rows[1], rows[2], sizeof rows[1]);
    }
    return rows[1][b_len];
}

void
suggest_init(struct suggest *suggest, const char *word)
{
    size_t len = strlen(word);
    *suggest = (struct suggest){.word = word, .distance = SIZE_MAX};
    suggest->distance_ok = len <= 2 ? 1 : len <= 6 ? 2 : 3;
}

void
suggest_add(struct suggest *suggest, const char *candidate)
{
    size_t word_len = strlen(suggest->word);
    size_t distance = suggest_distance(suggest->word, candidate);
    /* Half a word, typed as far as one remembers it, is near too. */
    if (distance > 0 && word_len >= 3 && strncmp(suggest->word, candidate, word_len) == 0)
        distance = 1;
    if (distance > 0 && distance <= suggest->distance_ok && distance < strlen(candidate) &&
        distance < suggest->distance) {
        suggest->best = candidate;
        suggest->distance = distance;
    }
}

const char *
suggest_best(const struct suggest *suggest)
{
    return suggest->best;
}
