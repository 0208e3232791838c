/* tests/sim/history.h - what clients were told about one broker's topic, and whether it is true.
 *
 * Every record has an id of its own in its value. The checks (reference: what a log promises): an
 * acknowledged record is at its offset, once; an offset shows the same record to every reader for
 * ever; records of one idempotent producer stand in the order of sending, each at most once; the
 * high watermark never goes back; a committed group offset is not forgotten. The first thing that
 * is wrong is kept as a sentence. */
#ifndef TESTS_SIM_HISTORY_H
#define TESTS_SIM_HISTORY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

enum { HISTORY_KEYS = 48 };
enum { HISTORY_PARTITIONS = 3, HISTORY_VALUE_MAX = 3000, HISTORY_PROBLEM_SIZE = 300 };

struct history;

/* origin stands in every id, so that a record on a wrong broker is noticed. */
struct history *history_new(uint16_t origin);
void history_free(struct history **history);
/* "" while all is well. */
const char *history_problem(const struct history *history);
void history_fail(struct history *history, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* The topic is compacted: each record has a key, and may be missing when a later one of its key is
 * there. For good, before the first record. */
void history_keyed(struct history *history);
/* Of a record of a keyed history, which has few. */
uint32_t history_key_of(uint64_t id);
/* A new record: its id; value gets at most HISTORY_VALUE_MAX bytes, *len how many (as wanted). */
uint64_t history_send(
    struct history *history, int32_t partition, bool durable, uint8_t *value, size_t len);
/* offset -1: the broker knew it as a duplicate and not where. */
void history_acked(struct history *history, uint64_t id, int64_t offset);
/* A consumer was given this. */
void history_seen(struct history *history, int32_t partition, int64_t offset, struct bytes value);
void history_end_seen(struct history *history, int32_t partition, int64_t end);

/* The disk changed a bit of the batch with these offsets. It may be missing, and with it what comes
 * behind, if the broker says that the partition ends there; nothing else may, and nothing is ever
 * wrong. */
void history_damaged(struct history *history, int32_t partition, int64_t first, int64_t last);
bool history_is_damaged(const struct history *history, int32_t partition, int64_t offset);

/* Acknowledged by acks=1 from now on, or before, may be gone (a power cut, a broken disk). */
void history_lossy(struct history *history);

/* A topic was made, grown, configured or deleted. */
void history_changed(struct history *history);

void history_commit_sent(struct history *history, int32_t partition, int64_t offset);
void history_commit_acked(struct history *history, int32_t partition, int64_t offset);
void history_commit_read(struct history *history, int32_t partition, int64_t offset);
int64_t history_commit_next(struct history *history); /* grows with each call */

/* The reading of everything at the end: history_seen for each record between these two. */
void history_final_begin(struct history *history);
void history_final_end(struct history *history);

struct history_counts {
    int64_t sent, acked_all, acked_one, seen, commits, changes;
};
void history_counts(const struct history *history, struct history_counts *out);

#endif
