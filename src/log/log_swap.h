/* log/log_swap.h - finishes or undoes what a crash left half done in a log's directory. */
#ifndef LOG_LOG_SWAP_H
#define LOG_LOG_SWAP_H

#include "base/attr.h"
#include "base/err.h"
#include "os/env.h"

/* In Kafka's order: .deleted and .cleaned files go; .swap files at or above the lowest .cleaned one
 * belong to an unfinished split and go too (KAFKA-6264); the other .swap files replace the segments
 * in their range and get their names. */
MUST_USE enum err log_swap_settle(struct env *env, const char *dir);

#endif
