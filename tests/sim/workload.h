/* tests/sim/workload.h - clients of one broker, on a loop of their own in the simulated room.
 *
 * From topic creation on: an idempotent producer (acks=all), a plain one (acks=1), a consumer that
 * follows the end and jumps back now and then, and commits of group offsets. All they are told
 * goes into a history. Between simulation steps any function here may be called. */
#ifndef TESTS_SIM_WORKLOAD_H
#define TESTS_SIM_WORKLOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "os/sim.h"
#include "tests/sim/history.h"

struct workload;

struct workload_opts {
    struct sim *sim;
    struct env *env; /* of the clients' host, which never crashes */
    uint16_t origin;
    const char *bootstrap; /* kept */
    bool commits_often;
    bool anew;      /* topics are made again under the name of one that was deleted */
    bool compacted; /* the topic, whose records have keys then */
    bool repacked;  /* large batches, compressed anew by the broker */
    bool bare;      /* without admin and members */
    bool quotas;    /* of clients, set and read */
};

struct workload *workload_new(const struct workload_opts *opts);
void workload_free(struct workload **workload);
struct history *workload_history(struct workload *workload);

/* The disk may fail now: refused records and stopped readers are no news. For good. */
void workload_expect_refusals(struct workload *workload);
/* Data was damaged (history_damaged): partitions may refuse for good, so nothing is waited for, and
 * the audit reads around the damage. No reader may be sent a batch with a bad checksum, unless
 * `live`: damage done to data that the broker had seen whole. For good. */
void workload_expect_damage(struct workload *workload, bool live);
/* No new records and commits. */
void workload_quiesce(struct workload *workload);
/* Quiesced, and the fate of everything sent is known. */
bool workload_is_settled(const struct workload *workload);
/* After settled: reads all partitions from their start and the group's offsets. */
void workload_audit(struct workload *workload);
bool workload_is_audited(const struct workload *workload);
/* Where it stands, for a failure's message. */
void workload_describe(const struct workload *workload, char *out, size_t size);

#endif
