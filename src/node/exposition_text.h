/* node/exposition_text.h - metrics in Prometheus' text format, one family after the other.
 *
 * A family is begun by its entry in the table (spec/metrics.json), which says name, type, help and
 * labels; then come its samples. So nothing can be written that is not in the list, each family is
 * in one piece, and a family that nobody began can be found: exposition_missing. A family without
 * samples is its HELP and TYPE lines.
 *
 * Threads: one writer, one thread. Errors: latched in the buffer. */
#ifndef NODE_EXPOSITION_TEXT_H
#define NODE_EXPOSITION_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "base/histogram.h"
#include "node/metric_table.h"

enum metric_type { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM, METRIC_SUMMARY };

enum metric_dialect {
    METRIC_DIALECT_JMX = 1,
    METRIC_DIALECT_EXPORTER = 2,
    METRIC_DIALECT_NATIVE = 4,
    METRIC_DIALECT_PROCESS = 8,
    METRIC_DIALECTS_ALL = 15,
};

enum { METRIC_LABELS_MAX = 4 };

struct metric_def {
    const char *name;
    const char *help;
    const char *labels[METRIC_LABELS_MAX];
    enum metric_type type;
    enum metric_dialect dialect;
    uint8_t label_count, label_count_min; /* the rest may be absent */
    bool per_partition;
};

/* Generated. */
extern const struct metric_def metric_defs[METRIC_COUNT];

struct exposition_text {
    struct buf *out;
    unsigned dialects; /* enum metric_dialect */
    bool aggregated;   /* no families with a partition label */
    int current;       /* enum metric; -1: none, or one that is left out */
    bool begun[METRIC_COUNT];
};

void exposition_text_init(struct exposition_text *text, struct buf *out, unsigned dialects);
/* Each family once. False: it is not asked for, and its samples are dropped. */
bool exposition_begin(struct exposition_text *text, enum metric metric);
/* The first that was never begun; METRIC_COUNT when none. */
enum metric exposition_missing(const struct exposition_text *text);

/* ---- samples of the current family ----
 * `labels` has a value for each label of the table, in its order, or fewer where the last may be
 * absent. The values must pass exposition_label_ok; two samples of a family never have the same. */

void exposition_i64(
    struct exposition_text *text, const struct str *labels, int label_count, int64_t value);
void exposition_u64(
    struct exposition_text *text, const struct str *labels, int label_count, uint64_t value);
void exposition_f64(
    struct exposition_text *text, const struct str *labels, int label_count, double value);

/* A family that is one sample without labels: begins it, too. */
void exposition_single_i64(struct exposition_text *text, enum metric metric, int64_t value);
void exposition_single_u64(struct exposition_text *text, enum metric metric, uint64_t value);
void exposition_single_f64(struct exposition_text *text, enum metric metric, double value);

/* Seconds, in fixed buckets: powers of 4 from 16 us to 67 s, exact borders of the fine ones. */
void exposition_histogram(struct exposition_text *text, const struct str *labels, int label_count,
    const struct histogram_counts *times);
/* Milliseconds, with the quantiles of the JMX exporter; values are the floors of fine buckets. */
void exposition_summary(struct exposition_text *text, const struct str *labels, int label_count,
    const struct histogram_counts *times);

/* Text that a label value can be: UTF-8 (no surrogates) without NUL, which some parsers end at. */
bool exposition_label_ok(struct str value);

#endif
