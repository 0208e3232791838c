/* meta/config_def.c - look-ups in the table of configuration keys, and checks of values.
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

static bool
choice_ok(const struct config_def *def, struct str value)
{
    if (def->choices[0] == NULL)
        return true;
    for (int i = 0; i < CONFIG_CHOICES_MAX && def->choices[i] != NULL; i++) {
        const char *choice = def->choices[i];
        if (strlen(choice) != value.len)
            continue;
        if (def->choices_any_case ? strncasecmp(choice, value.data, value.len) == 0
                                  : memcmp(choice, value.data, value.len) == 0)
            return true;
    }
    return false;
}

static void
choice_explain(const struct config_def *def, char *why, size_t size)
{
    size_t used = (size_t)snprintf(why, size, "must be one of");
    for (int i = 0; i < CONFIG_CHOICES_MAX && def->choices[i] != NULL && used < size; i++)
        used +=
            (size_t)snprintf(why + used, size - used, "%s %s", i == 0 ? "" : ",", def->choices[i]);
}

static bool
number_check(const struct config_def *def, double v, char *why, size_t size)
{
    if (def->or_minus_one && v == -1)
        return true;
    if (def->has_min && v < def->min) {
        snprintf(why, size, "must be at least %.15g", def->min);
        return false;
    }
    if (def->has_max && v > def->max) {
        snprintf(why, size, "must be at most %.15g", def->max);
        return false;
    }
    return true;
}

static bool
integer_check(const struct config_def *def, struct str value, char *why, size_t size)
{
    int64_t low = def->type == CONFIG_TYPE_INT     ? INT32_MIN
                  : def->type == CONFIG_TYPE_SHORT ? INT16_MIN
                                                   : INT64_MIN;
    int64_t high = def->type == CONFIG_TYPE_INT     ? INT32_MAX
                   : def->type == CONFIG_TYPE_SHORT ? INT16_MAX
                                                    : INT64_MAX;
    int64_t v;
    if (!config_parse_i64(value, &v) || v < low || v > high) {
        snprintf(why, size, "is not a number of type %s", config_type_name(def->type));
        return false;
    }
    return number_check(def, (double)v, why, size);
}

static bool
list_check(const struct config_def *def, struct str value, char *why, size_t size)
{
    struct str element;
    int count = 0;
    while (config_list_next(&value, &element)) {
        count++;
        if (!choice_ok(def, element)) {
            choice_explain(def, why, size);
            return false;
        }
    }
    if (count == 0 && def->not_empty) {
        snprintf(why, size, "must not be empty");
        return false;
    }
    return true;
}

bool
config_value_check(const struct config_def *def, struct str value, char *why, size_t size)
{
    bool flag;
    double real;
    switch (def->type) {
    case CONFIG_TYPE_BOOLEAN:
        if (config_parse_bool(value, &flag))
            return true;
        snprintf(why, size, "must be true or false");
        return false;
    case CONFIG_TYPE_INT:
    case CONFIG_TYPE_SHORT:
    case CONFIG_TYPE_LONG: return integer_check(def, value, why, size);
    case CONFIG_TYPE_DOUBLE:
        if (config_parse_f64(value, &real))
            return number_check(def, real, why, size);
        snprintf(why, size, "is not a number");
        return false;
    case CONFIG_TYPE_LIST: return list_check(def, value, why, size);
    case CONFIG_TYPE_STRING:
        value = config_trim(value);
        if (value.len == 0 && def->not_empty) {
            snprintf(why, size, "must not be empty");
            return false;
        }
        if (choice_ok(def, value))
            return true;
        choice_explain(def, why, size);
        return false;
    case CONFIG_TYPE_CLASS:
    case CONFIG_TYPE_PASSWORD:
    case CONFIG_TYPE_UNKNOWN: return true;
    }
    UNREACHABLE();
}
