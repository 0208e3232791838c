/* broker/topic_rows.h - the partitions that a request names, whatever its order and however often:
 * one row each, topic by topic. */
#ifndef BROKER_TOPIC_ROWS_H
#define BROKER_TOPIC_ROWS_H

#include <stdint.h>

#include "base/bytes.h"

struct broker_topic_row {
    struct str topic;
    int32_t partition;
    const void *asked; /* the caller's */
    int32_t nth;       /* in the request; set by the caller */
    int32_t times;     /* how often it was named */
};

/* Sorts by topic and partition and makes one row of those that are the same, with what was asked
 * last. Gives the number of rows left. */
int32_t broker_topic_rows_unite(struct broker_topic_row *rows, int32_t count);
/* Rows from `first` on that are of the same topic. */
int32_t broker_topic_rows_same(const struct broker_topic_row *rows, int32_t count, int32_t first);

#endif
