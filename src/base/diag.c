/* What: formats events as lines, limits their rate, hands them to a writer.
 * Invariants: I1 a site prints at most DIAG_LINES_PER_S lines in the second that began at its
 * window_ms; the first line of a later window says how many were suppressed. I2 the table never
 * moves or grows: sites beyond its capacity share the last slot.
 * Threads: any; one lock around table and writer. Errors: none after diag_new. */
#include "base/diag.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/hash.h"

enum {
    DIAG_SITES = 512, /* sites of the program, with room */
    DIAG_LINES_PER_S = 10,
    DIAG_LINE_SIZE = 2048,
    DIAG_VALUE_SIZE = 256, /* longer values are cut */
};

struct diag_site {
    const char *module; /* NULL: free; constants of the program */
    const char *event;
    int64_t window_ms;
    uint32_t printed; /* in this window */
    uint64_t suppressed;
};

struct diag {
    struct diag_opts opts;
    _Atomic int level_min;
    pthread_mutex_t lock;
    struct diag_site sites[DIAG_SITES];
};

struct diag_line {
    char text[DIAG_LINE_SIZE];
    size_t len; /* at most DIAG_LINE_SIZE - 1: the newline always fits */
};

enum err
diag_new(const struct diag_opts *opts, struct diag **out)
{
    ASSERT(opts->write != NULL);
    ASSERT(opts->now_ms != NULL);
    struct diag *diag = mem_calloc(1, sizeof *diag);
    if (diag == NULL)
        return ERR_NOMEM;
    diag->opts = *opts;
    atomic_init(&diag->level_min, (int)opts->level_min);
    pthread_mutex_init(&diag->lock, NULL);
    *out = diag;
    return ERR_OK;
}

void
diag_free(struct diag **diag)
{
    if (*diag == NULL)
        return;
    pthread_mutex_destroy(&(*diag)->lock);
    mem_free(*diag);
    *diag = NULL;
}

void
diag_set_level(struct diag *diag, enum diag_level level_min)
{
    atomic_store_explicit(&diag->level_min, (int)level_min, memory_order_relaxed);
}

enum diag_level
diag_level_get(const struct diag *diag)
{
    return (enum diag_level)atomic_load_explicit(&diag->level_min, memory_order_relaxed);
}

static void
line_byte(struct diag_line *line, char c)
{
    if (line->len < DIAG_LINE_SIZE - 1)
        line->text[line->len++] = c;
}

static void
line_z(struct diag_line *line, const char *z)
{
    while (*z != '\0')
        line_byte(line, *z++);
}

static void
line_i64(struct diag_line *line, int64_t value)
{
    char text[24];
    snprintf(text, sizeof text, "%lld", (long long)value);
    line_z(line, text);
}

/* Text from outside: quoted when it is not plain, nothing but printable ASCII leaves here. */
static void
line_value(struct diag_line *line, struct str s)
{
    static const char hex[] = "0123456789abcdef";
    size_t len = s.len < DIAG_VALUE_SIZE ? s.len : DIAG_VALUE_SIZE;
    bool plain = s.len > 0;
    if (str_is_null(s)) {
        line_z(line, "null");
        return;
    }
    for (size_t i = 0; i < len && plain; i++)
        plain = s.data[i] > ' ' && s.data[i] < 0x7f && strchr("\"\\=", s.data[i]) == NULL;
    if (!plain)
        line_byte(line, '"');
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)s.data[i];
        if (c == '"' || c == '\\') {
            line_byte(line, '\\');
            line_byte(line, (char)c);
        } else if (c >= ' ' && c < 0x7f) {
            line_byte(line, (char)c);
        } else {
            line_z(line, "\\x");
            line_byte(line, hex[c >> 4]);
            line_byte(line, hex[c & 15]);
        }
    }
    if (len < s.len)
        line_z(line, "...");
    if (!plain)
        line_byte(line, '"');
}

/* UTC, ISO 8601, milliseconds. Days are counted from 0000-03-01 so that a leap day ends a year. */
static void
line_time(struct diag_line *line, int64_t wall_ms)
{
    int64_t days = wall_ms / 86400000, rest = wall_ms % 86400000;
    if (rest < 0) {
        rest += 86400000;
        days--;
    }
    days += 719468;
    int64_t era = (days >= 0 ? days : days - 146096) / 146097;
    int64_t doe = days - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    int64_t mp = (5 * doy + 2) / 153;
    int day = (int)(doy - (153 * mp + 2) / 5 + 1);
    int month = (int)(mp < 10 ? mp + 3 : mp - 9);
    int64_t year = yoe + era * 400 + (month <= 2);
    char text[64];
    snprintf(text, sizeof text, "%04lld-%02d-%02dT%02d:%02d:%02d.%03dZ", (long long)year, month,
        day, (int)(rest / 3600000), (int)(rest / 60000 % 60), (int)(rest / 1000 % 60),
        (int)(rest % 1000));
    line_z(line, text);
}

/* The slot of a site; the last slot is shared by what does not fit. Lock held. */
static struct diag_site *
diag_site_get(struct diag *diag, const char *module, const char *event)
{
    uint64_t hash = hash_bytes(module, strlen(module)) ^ hash_bytes(event, strlen(event)) * 3;
    for (size_t i = 0; i < 16; i++) {
        struct diag_site *site = &diag->sites[(hash + i) % (DIAG_SITES - 1)];
        if (site->module == NULL) {
            site->module = module;
            site->event = event;
            return site;
        }
        if (strcmp(site->module, module) == 0 && strcmp(site->event, event) == 0)
            return site;
    }
    return &diag->sites[DIAG_SITES - 1];
}

/* True when one more line of the site may go out; *suppressed tells what was held back before. */
static bool
diag_site_admit(struct diag_site *site, int64_t now_ms, uint64_t *suppressed)
{
    *suppressed = 0;
    if (now_ms - site->window_ms >= 1000 || now_ms < site->window_ms) {
        site->window_ms = now_ms;
        site->printed = 0;
        *suppressed = site->suppressed;
        site->suppressed = 0;
    }
    if (site->printed >= DIAG_LINES_PER_S) {
        site->suppressed++;
        return false;
    }
    site->printed++;
    return true;
}

static void
diag_format(struct diag_line *line, const struct diag_event_info *info, int64_t wall_ms)
{
    static const char *const levels[DIAG_LEVEL_COUNT] = {
        "TRACE", "DEBUG", "INFO ", "WARN ", "ERROR"};
    ASSERT((unsigned)info->level < DIAG_LEVEL_COUNT);
    line_time(line, wall_ms);
    line_byte(line, ' ');
    line_z(line, levels[info->level]);
    line_byte(line, ' ');
    line_z(line, info->module);
    line_byte(line, ' ');
    line_z(line, info->event);
    for (int i = 0; i < info->kv_count; i++) {
        const struct diag_kv *kv = &info->kvs[i];
        line_byte(line, ' ');
        line_z(line, kv->key);
        line_byte(line, '=');
        switch (kv->kind) {
        case DIAG_KIND_STR: line_value(line, kv->u.str); break;
        case DIAG_KIND_I64: line_i64(line, kv->u.i64); break;
        case DIAG_KIND_ERR: line_z(line, err_name(kv->u.err)); break;
        }
    }
}

void
diag_emit(struct diag *diag, const struct diag_event_info *info)
{
    uint64_t suppressed;
    struct diag_line line = {.len = 0};
    if (diag == NULL || info->level < diag_level_get(diag))
        return;
    int64_t wall_ms = diag->opts.now_ms(diag->opts.ctx);
    pthread_mutex_lock(&diag->lock);
    struct diag_site *site = diag_site_get(diag, info->module, info->event);
    if (diag_site_admit(site, wall_ms, &suppressed)) {
        diag_format(&line, info, wall_ms);
        if (suppressed > 0) {
            line_z(&line, " suppressed=");
            line_i64(&line, (int64_t)suppressed);
        }
        line.text[line.len++] = '\n';
        diag->opts.write(diag->opts.ctx, line.text, line.len);
    }
    pthread_mutex_unlock(&diag->lock);
}
