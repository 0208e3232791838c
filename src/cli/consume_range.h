/* cli/consume_range.h - which records of a partition, as people say it: start, end, 100, -5, @-1h,
 * and FROM..TO of these. */
#ifndef CLI_CONSUME_RANGE_H
#define CLI_CONSUME_RANGE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/bytes.h"
#include "client/client.h"

/* What consume_range_parse takes, for help. */
#define CONSUME_RANGE_FORMS "start, end, N, -N (the last N), @TIME, or FROM..TO"

enum { CONSUME_RANGE_WRONG_SIZE = 320 };

enum consume_point_kind {
    CONSUME_POINT_START,
    CONSUME_POINT_END,
    CONSUME_POINT_OFFSET,
    CONSUME_POINT_BEFORE_END, /* value records before it */
    CONSUME_POINT_TIME,       /* the first record at that time or later, else the end */
};

struct consume_point {
    enum consume_point_kind kind;
    int64_t value;
};

struct consume_range {
    struct consume_point from, to;
    bool bounded; /* `to` counts; its record is not part of the range */
};

/* False with what is wrong and what would be right in `wrong`. N:M is taken as N..M. A time that
 * ends a range must not lie after now_ms. */
MUST_USE bool consume_range_parse(const char *text, int64_t now_ms, struct consume_range *out,
    char wrong[CONSUME_RANGE_WRONG_SIZE]);

/* A partition and the offsets of its range. */
struct consume_part {
    struct str topic; /* borrowed */
    int32_t partition;
    int64_t from; /* an offset, or one of consumer.h's CLIENT_OFFSET_ */
    int64_t stop; /* not reached itself; -1: none */
};

struct consume_failure {
    const struct consume_part *part;
    int16_t error_code; /* the broker's, or 0 */
    int64_t start, end; /* of RANGE: what there is */
};

/* Fills from and stop, asking the leaders where that takes it. RANGE: the only partition does not
 * have that offset; of several each starts as near to it as it can. */
MUST_USE enum err consume_range_resolve(struct client *client, const struct consume_range *range,
    bool read_committed, struct consume_part *parts, int count, struct consume_failure *failure);

#endif
