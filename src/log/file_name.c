/* What: names of log files and directories. Pure. */
#include "log/file_name.h"

#include <stdio.h>
#include <string.h>

#include "base/assert.h"

static const char *const kind_suffixes[LOG_FILE_KIND_COUNT] = {
    [LOG_FILE_LOG] = ".log",
    [LOG_FILE_INDEX] = ".index",
    [LOG_FILE_TIMEINDEX] = ".timeindex",
    [LOG_FILE_TXNINDEX] = ".txnindex",
    [LOG_FILE_SNAPSHOT] = ".snapshot",
};

static const char *const phase_suffixes[] = {
    [LOG_FILE_PLAIN] = "",
    [LOG_FILE_CLEANED] = ".cleaned",
    [LOG_FILE_SWAP] = ".swap",
    [LOG_FILE_DELETED] = ".deleted",
};

enum { OFFSET_DIGITS = 20 };

bool
log_file_path(char out[LOG_PATH_MAX], const char *dir, int64_t base_offset, enum log_file_kind kind)
{
    ASSERT(base_offset >= 0);
    ASSERT(kind < LOG_FILE_KIND_COUNT);
    int n = snprintf(
        out, LOG_PATH_MAX, "%s/%020lld%s", dir, (long long)base_offset, kind_suffixes[kind]);
    return n > 0 && n < LOG_PATH_MAX;
}

bool
log_path_join(char out[LOG_PATH_MAX], const char *dir, const char *name)
{
    int n = snprintf(out, LOG_PATH_MAX, "%s/%s", dir, name);
    return n > 0 && n < LOG_PATH_MAX;
}

/* Digits only, no overflow; false otherwise. */
static bool
parse_digits(const char *s, size_t len, int64_t *out)
{
    int64_t v = 0;
    if (len == 0)
        return false;
    for (size_t i = 0; i < len; i++) {
        if (s[i] < '0' || s[i] > '9' || v > (INT64_MAX - (s[i] - '0')) / 10)
            return false;
        v = v * 10 + (s[i] - '0');
    }
    *out = v;
    return true;
}

struct log_file_name
log_file_name_parse(const char *name)
{
    struct log_file_name out = {.kind = LOG_FILE_OTHER};
    int64_t base_offset;
    size_t len = strlen(name);
    if (len <= OFFSET_DIGITS || name[OFFSET_DIGITS] != '.' ||
        !parse_digits(name, OFFSET_DIGITS, &base_offset))
        return out;
    const char *rest = name + OFFSET_DIGITS;
    for (int kind = 0; kind < LOG_FILE_KIND_COUNT; kind++) {
        size_t n = strlen(kind_suffixes[kind]);
        if (strncmp(rest, kind_suffixes[kind], n) != 0)
            continue;
        for (int phase = LOG_FILE_PLAIN; phase <= LOG_FILE_DELETED; phase++) {
            if (strcmp(rest + n, phase_suffixes[phase]) != 0)
                continue;
            out.kind = (enum log_file_kind)kind;
            out.phase = (enum log_file_phase)phase;
            out.base_offset = base_offset;
            return out;
        }
    }
    return out;
}

static bool
ends_with(const char *s, const char *suffix)
{
    size_t len = strlen(s), n = strlen(suffix);
    return len > n && strcmp(s + len - n, suffix) == 0;
}

enum log_dir_kind
log_dir_name_parse(const char *name, struct str *topic, int32_t *partition)
{
    if (strchr(name, '.') != NULL && ends_with(name, "-delete"))
        return LOG_DIR_DELETE;
    if (strchr(name, '.') != NULL && ends_with(name, "-stray"))
        return LOG_DIR_STRAY;
    if (strchr(name, '.') != NULL && ends_with(name, "-future"))
        return LOG_DIR_FUTURE;
    const char *dash = strrchr(name, '-');
    int64_t n;
    if (dash == NULL || dash == name || !parse_digits(dash + 1, strlen(dash + 1), &n) ||
        n > INT32_MAX)
        return LOG_DIR_NONE;
    *topic = (struct str){name, (size_t)(dash - name)};
    *partition = (int32_t)n;
    return LOG_DIR_LOG;
}

void
log_dir_name_gone(char out[LOG_NAME_MAX + 1], struct str topic, int32_t partition,
    struct uuid unique, const char *suffix)
{
    char tail[80];
    int n = snprintf(tail, sizeof tail, "-%d.", partition);
    for (int i = 0; i < 16; i++)
        n += snprintf(tail + n, sizeof tail - (size_t)n, "%02x", unique.b[i]);
    n += snprintf(tail + n, sizeof tail - (size_t)n, "%s", suffix);
    ASSERT(n > 0 && (size_t)n < sizeof tail);
    size_t keep = topic.len;
    if (keep > (size_t)(LOG_NAME_MAX - n))
        keep = (size_t)(LOG_NAME_MAX - n);
    memcpy(out, topic.data, keep);
    memcpy(out + keep, tail, (size_t)n + 1);
}
