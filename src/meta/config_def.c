/* meta/config_def.c - look-ups in the table of configuration keys, and parsers of values.
 *
 * Constant data only; no state, any thread. */
#include "meta/config_def.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "base/assert.h"
#include "meta/config_def_priv.h"

enum { NUMBER_TEXT_MAX = 64, NAME_DISTANCE_MAX = 128 };

const struct config_def *
config_def_list(enum config_scope scope, size_t *count)
{
    ASSERT(scope < CONFIG_SCOPE_COUNT);
    *count = config_tables[scope].count;
    return config_tables[scope].defs;
}

const struct config_def *
config_def_find(enum config_scope scope, struct str name)
{
    size_t count;
    const struct config_def *defs = config_def_list(scope, &count);
    size_t low = 0;
    size_t high = count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        int order = str_cmp(str_of(defs[mid].name), name);
        if (order == 0)
            return &defs[mid];
        if (order < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return NULL;
}

/* Levenshtein distance, one row at a time; names longer than the row count as far away. */
static size_t
name_distance(struct str a, const char *b)
{
    size_t row[NAME_DISTANCE_MAX + 1];
    size_t b_len = strlen(b);
    if (a.len > NAME_DISTANCE_MAX || b_len > NAME_DISTANCE_MAX)
        return NAME_DISTANCE_MAX;
    for (size_t j = 0; j <= b_len; j++)
        row[j] = j;
    for (size_t i = 1; i <= a.len; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b_len; j++) {
            size_t best = diagonal + (a.data[i - 1] != b[j - 1]);
            if (row[j] + 1 < best)
                best = row[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            diagonal = row[j];
            row[j] = best;
        }
    }
    return row[b_len];
}

const struct config_def *
config_def_nearest(enum config_scope scope, struct str name)
{
    size_t count;
    const struct config_def *defs = config_def_list(scope, &count);
    const struct config_def *nearest = NULL;
    size_t nearest_distance = name.len / 3 + 1;
    for (size_t i = 0; i < count; i++) {
        size_t distance = name_distance(name, defs[i].name);
        if (distance < nearest_distance) {
            nearest = &defs[i];
            nearest_distance = distance;
        }
    }
    return nearest;
}

const char *
config_type_name(enum config_type type)
{
    static const char *const names[] = {"unknown", "boolean", "string", "int", "short", "long",
        "double", "list", "class", "password"};
    ASSERT(type < COUNT_OF(names));
    return names[type];
}

struct str
config_trim(struct str value)
{
    while (value.len > 0 && isspace((unsigned char)value.data[0])) {
        value.data++;
        value.len--;
    }
    while (value.len > 0 && isspace((unsigned char)value.data[value.len - 1]))
        value.len--;
    return value;
}

bool
config_parse_bool(struct str value, bool *out)
{
    value = config_trim(value);
    if (value.len == 4 && strncasecmp(value.data, "true", 4) == 0)
        *out = true;
    else if (value.len == 5 && strncasecmp(value.data, "false", 5) == 0)
        *out = false;
    else
        return false;
    return true;
}

/* A terminated copy for strtoll and strtod, which want one. */
static bool
number_text(struct str value, char text[NUMBER_TEXT_MAX])
{
    value = config_trim(value);
    if (value.len == 0 || value.len >= NUMBER_TEXT_MAX)
        return false;
    memcpy(text, value.data, value.len);
    text[value.len] = '\0';
    return strlen(text) == value.len;
}

bool
config_parse_i64(struct str value, int64_t *out)
{
    char text[NUMBER_TEXT_MAX];
    char *end;
    if (!number_text(value, text))
        return false;
    errno = 0;
    long long v = strtoll(text, &end, 10);
    if (errno != 0 || *end != '\0')
        return false;
    *out = v;
    return true;
}

bool
config_parse_f64(struct str value, double *out)
{
    char text[NUMBER_TEXT_MAX];
    char *end;
    if (!number_text(value, text))
        return false;
    errno = 0;
    double v = strtod(text, &end);
    if (errno != 0 || *end != '\0' || v != v)
        return false;
    *out = v;
    return true;
}

bool
config_list_next(struct str *rest, struct str *element)
{
    while (rest->len > 0) {
        const char *comma = memchr(rest->data, ',', rest->len);
        size_t len = comma == NULL ? rest->len : (size_t)(comma - rest->data);
        struct str one = config_trim((struct str){rest->data, len});
        size_t used = comma == NULL ? len : len + 1;
        rest->data += used;
        rest->len -= used;
        if (one.len > 0) {
            *element = one;
            return true;
        }
    }
    return false;
}
