/* base/diag.h - diagnostics as events: level, module, constant event name, key-value pairs.
 *
 *     diag_event(diag, DIAG_WARN, "log", "segment_truncated",
 *         DIAG_STR("topic", topic), DIAG_I64("bytes", lost), DIAG_ERR("cause", err));
 *
 * prints one line such as
 *     2026-11-21T04:05:06.789Z WARN  log segment_truncated topic=orders bytes=417 cause=CORRUPT
 * Values are escaped; no secrets, no payloads. Any thread. Each call site prints at most ten lines
 * a second, then counts what it suppressed. */
#ifndef BASE_DIAG_H
#define BASE_DIAG_H

#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"

enum diag_level { DIAG_TRACE, DIAG_DEBUG, DIAG_INFO, DIAG_WARN, DIAG_ERROR, DIAG_LEVEL_COUNT };

enum diag_kind { DIAG_KIND_STR, DIAG_KIND_I64, DIAG_KIND_ERR };

struct diag_kv {
    const char *key;
    enum diag_kind kind;
    union {
        struct str str;
        int64_t i64;
        enum err err;
    } u;
};

/* State of one call site: static storage inside the macro is a rate limiter's, so it is kept by
 * the sink under the pair (module, event) instead; hence no mutable globals. */
struct diag;

struct diag_event_info {
    enum diag_level level;
    const char *module;
    const char *event;
    const struct diag_kv *kvs;
    int kv_count;
};

/* A sink: formats, limits and writes. write gets one whole line with its newline, from any thread,
 * one call at a time. now_ms is wall-clock time. */
struct diag_opts {
    enum diag_level level_min;
    void (*write)(void *ctx, const char *line, size_t len);
    int64_t (*now_ms)(void *ctx);
    void *ctx;
};

MUST_USE enum err diag_new(const struct diag_opts *opts, struct diag **out);
void diag_free(struct diag **diag);
void diag_set_level(struct diag *diag, enum diag_level level_min);
enum diag_level diag_level_get(const struct diag *diag);

/* NULL diag discards. Use the macro. */
void diag_emit(struct diag *diag, const struct diag_event_info *info);

#define DIAG_STR(k, v) ((struct diag_kv){.key = (k), .kind = DIAG_KIND_STR, .u.str = (v)})
#define DIAG_Z(k, v) DIAG_STR(k, str_of(v))
#define DIAG_I64(k, v) ((struct diag_kv){.key = (k), .kind = DIAG_KIND_I64, .u.i64 = (int64_t)(v)})
#define DIAG_ERR(k, v) ((struct diag_kv){.key = (k), .kind = DIAG_KIND_ERR, .u.err = (v)})

#define diag_event(diag, lvl, mod, ev, ...)                                                        \
    diag_emit((diag), &(struct diag_event_info){.level = (lvl),                                    \
                          .module = (mod),                                                         \
                          .event = (ev),                                                           \
                          .kvs = (const struct diag_kv[]){{0}, ##__VA_ARGS__} + 1,                 \
                          .kv_count = (int)(sizeof((const struct diag_kv[]){{0}, ##__VA_ARGS__}) / \
                                            sizeof(struct diag_kv)) -                              \
                                      1})

#endif
