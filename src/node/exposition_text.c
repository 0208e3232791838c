/* node/exposition_text.c - see exposition_text.h.
 *
 * Invariants: I1 a family is begun at most once, so its lines are in one piece. I2 samples have the
 * labels of their family's entry and no others. Threads: the caller's. Errors: the buffer's. */
#include "node/exposition_text.h"

#include <stdio.h>

#include "base/assert.h"
#include "base/attr.h"

/* ---- families ---- */

void
exposition_text_init(struct exposition_text *text, struct buf *out, unsigned dialects)
{
    *text = (struct exposition_text){.out = out, .dialects = dialects, .current = -1};
}

static const char *
type_name(enum metric_type type)
{
    switch (type) {
    case METRIC_COUNTER: return "counter";
    case METRIC_GAUGE: return "gauge";
    case METRIC_HISTOGRAM: return "histogram";
    case METRIC_SUMMARY: return "summary";
    }
    UNREACHABLE();
}

bool
exposition_begin(struct exposition_text *text, enum metric metric)
{
    ASSERT((int)metric >= 0 && metric < METRIC_COUNT);
    ASSERT(!text->begun[metric]); /* I1 */
    const struct metric_def *def = &metric_defs[metric];
    text->begun[metric] = true;
    text->current = -1;
    if ((def->dialect & text->dialects) == 0 || (text->aggregated && def->per_partition))
        return false;
    text->current = (int)metric;
    buf_append_z(text->out, "# HELP ");
    buf_append_z(text->out, def->name);
    buf_append_byte(text->out, ' ');
    buf_append_z(text->out, def->help); /* the generator sees to it that nothing is to be escaped */
    buf_append_z(text->out, "\n# TYPE ");
    buf_append_z(text->out, def->name);
    buf_append_byte(text->out, ' ');
    buf_append_z(text->out, type_name(def->type));
    buf_append_byte(text->out, '\n');
    return true;
}

enum metric
exposition_missing(const struct exposition_text *text)
{
    int metric = 0;
    while (metric < METRIC_COUNT && text->begun[metric])
        metric++;
    return (enum metric)metric;
}

/* ---- labels ---- */

bool
exposition_label_ok(struct str value)
{
    const uint8_t *s = (const uint8_t *)value.data;
    for (size_t i = 0; i < value.len;) {
        uint8_t lead = s[i];
        size_t more = lead < 0x80 ? 0 : lead < 0xe0 ? 1 : lead < 0xf0 ? 2 : 3;
        uint32_t point = lead < 0x80 ? lead : lead & (0x3fU >> more);
        static const uint32_t least[] = {1, 0x80, 0x800, 0x10000};
        if ((lead >= 0x80 && lead < 0xc2) || lead > 0xf4 || more >= value.len - i)
            return false;
        for (size_t k = 1; k <= more; k++) {
            if ((s[i + k] & 0xc0) != 0x80)
                return false;
            point = point << 6 | (s[i + k] & 0x3f);
        }
        if (point < least[more] || point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff))
            return false;
        i += more + 1;
    }
    return true;
}

static void
put_label(struct buf *out, const char *name, struct str value)
{
    buf_append_z(out, name);
    buf_append_z(out, "=\"");
    size_t plain = 0;
    for (size_t i = 0; i < value.len; i++) {
        char c = value.data[i];
        if (c != '"' && c != '\\' && c != '\n')
            continue;
        buf_append(out, value.data + plain, i - plain);
        buf_append_byte(out, '\\');
        buf_append_byte(out, c == '\n' ? 'n' : (uint8_t)c);
        plain = i + 1;
    }
    buf_append(out, value.data + plain, value.len - plain);
    buf_append_byte(out, '"');
}

/* Name, suffix, labels and the one label of the format itself (le, quantile), up to the value. */
static void
put_series(struct exposition_text *text, const char *suffix, const struct str *labels,
    int label_count, const char *own_name, const char *own_value)
{
    const struct metric_def *def = &metric_defs[text->current];
    struct buf *out = text->out;
    ASSERT(label_count >= def->label_count_min && label_count <= def->label_count); /* I2 */
    buf_append_z(out, def->name);
    buf_append_z(out, suffix);
    for (int i = 0; i < label_count; i++) {
        ASSERT_SLOW(exposition_label_ok(labels[i]));
        buf_append_byte(out, i == 0 ? '{' : ',');
        put_label(out, def->labels[i], labels[i]);
    }
    if (own_name != NULL) {
        buf_append_byte(out, label_count == 0 ? '{' : ',');
        put_label(out, own_name, str_of(own_value));
    }
    if (label_count > 0 || own_name != NULL)
        buf_append_byte(out, '}');
    buf_append_byte(out, ' ');
}

/* ---- values ---- */

static void
put_u64(struct buf *out, uint64_t value)
{
    char digits[24];
    size_t at = sizeof digits;
    digits[--at] = '\n';
    do
        digits[--at] = (char)('0' + value % 10);
    while ((value /= 10) > 0);
    buf_append(out, digits + at, sizeof digits - at);
}

void
exposition_u64(
    struct exposition_text *text, const struct str *labels, int label_count, uint64_t value)
{
    if (text->current < 0)
        return;
    put_series(text, "", labels, label_count, NULL, NULL);
    put_u64(text->out, value);
}

void
exposition_i64(
    struct exposition_text *text, const struct str *labels, int label_count, int64_t value)
{
    if (text->current < 0)
        return;
    put_series(text, "", labels, label_count, NULL, NULL);
    if (value < 0)
        buf_append_byte(text->out, '-');
    put_u64(text->out, value < 0 ? 0 - (uint64_t)value : (uint64_t)value);
}

void
exposition_f64(
    struct exposition_text *text, const struct str *labels, int label_count, double value)
{
    if (text->current < 0)
        return;
    put_series(text, "", labels, label_count, NULL, NULL);
    buf_printf(text->out, "%.15g\n", value);
}

void
exposition_single_i64(struct exposition_text *text, enum metric metric, int64_t value)
{
    exposition_begin(text, metric);
    exposition_i64(text, NULL, 0, value);
}

void
exposition_single_u64(struct exposition_text *text, enum metric metric, uint64_t value)
{
    exposition_begin(text, metric);
    exposition_u64(text, NULL, 0, value);
}

void
exposition_single_f64(struct exposition_text *text, enum metric metric, double value)
{
    exposition_begin(text, metric);
    exposition_f64(text, NULL, 0, value);
}

/* ---- times ---- */

void
exposition_histogram(struct exposition_text *text, const struct str *labels, int label_count,
    const struct histogram_counts *times)
{
    enum { BORDER_FIRST_US = 16, BORDER_LAST_US = 1 << 26 };
    uint64_t below = 0;
    int fine = 0;
    if (text->current < 0)
        return;
    ASSERT(metric_defs[text->current].type == METRIC_HISTOGRAM);
    for (uint64_t border = BORDER_FIRST_US; border <= BORDER_LAST_US; border *= 4) {
        char le[32];
        while (histogram_floor_us(fine) < border)
            below += times->buckets[fine++];
        snprintf(le, sizeof le, "%.15g", (double)border / 1e6);
        put_series(text, "_bucket", labels, label_count, "le", le);
        put_u64(text->out, below);
    }
    put_series(text, "_bucket", labels, label_count, "le", "+Inf");
    put_u64(text->out, histogram_total(times));
    put_series(text, "_sum", labels, label_count, NULL, NULL);
    buf_printf(text->out, "%.15g\n", (double)times->sum_us / 1e6);
    put_series(text, "_count", labels, label_count, NULL, NULL);
    put_u64(text->out, histogram_total(times));
}

/* The value below which so much of the histogram lies, in milliseconds. */
static double
quantile_ms(const struct histogram_counts *times, uint64_t count, double q)
{
    uint64_t wanted = (uint64_t)((double)count * q);
    uint64_t seen = 0;
    for (int i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += times->buckets[i];
        if (seen > wanted)
            return (double)histogram_floor_us(i) / 1e3;
    }
    return 0;
}

void
exposition_summary(struct exposition_text *text, const struct str *labels, int label_count,
    const struct histogram_counts *times)
{
    /* Spelled as the JMX exporter does: dashboards select by this text. */
    static const struct {
        const char *text;
        double q;
    } quantiles[] = {{"0.50", 0.5}, {"0.75", 0.75}, {"0.95", 0.95}, {"0.98", 0.98}, {"0.99", 0.99},
        {"0.999", 0.999}};
    if (text->current < 0)
        return;
    ASSERT(metric_defs[text->current].type == METRIC_SUMMARY);
    uint64_t count = histogram_total(times);
    for (size_t i = 0; i < COUNT_OF(quantiles); i++) {
        put_series(text, "", labels, label_count, "quantile", quantiles[i].text);
        buf_printf(text->out, "%.15g\n", quantile_ms(times, count, quantiles[i].q));
    }
    put_series(text, "_sum", labels, label_count, NULL, NULL);
    buf_printf(text->out, "%.15g\n", (double)times->sum_us / 1e3);
    put_series(text, "_count", labels, label_count, NULL, NULL);
    put_u64(text->out, count);
}
