/* See the header. Pure. */
#include "broker/topic_rows.h"

#include <stdlib.h>

#include "base/assert.h"

static int
compare(const void *a, const void *b)
{
    const struct broker_topic_row *x = a, *y = b;
    int order = str_cmp(x->topic, y->topic);
    if (order != 0)
        return order;
    if (x->partition != y->partition)
        return x->partition < y->partition ? -1 : 1;
    return (x->nth > y->nth) - (x->nth < y->nth);
}

int32_t
broker_topic_rows_unite(struct broker_topic_row *rows, int32_t count)
{
    int32_t kept = 0;
    ASSERT(count >= 0);
    qsort(rows, (size_t)count, sizeof *rows, compare);
    for (int32_t i = 0; i < count; i++) {
        rows[i].times = 1;
        if (kept > 0 && rows[kept - 1].partition == rows[i].partition &&
            str_eq(rows[kept - 1].topic, rows[i].topic)) {
            rows[i].times += rows[kept - 1].times;
            kept--;
        }
        rows[kept++] = rows[i];
    }
    return kept;
}

int32_t
broker_topic_rows_same(const struct broker_topic_row *rows, int32_t count, int32_t first)
{
    int32_t end = first;
    ASSERT(first < count);
    while (end < count && str_eq(rows[end].topic, rows[first].topic))
        end++;
    return end - first;
}
