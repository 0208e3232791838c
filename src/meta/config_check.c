/* meta/config_check.c - whether a value may stand under a key, and what Kafka says when not.
 *
 * Constant data only; no state, any thread. */
#include <ctype.h>
#include <stdio.h>
#include <strings.h>

#include "base/assert.h"
#include "meta/config_def.h"

enum { TEXT_MAX = 256, REAL_MAX = 40, ELEMENTS_MAX = 1000 };

/* What is wrong. */
struct problem {
    char text[TEXT_MAX];
    bool whole; /* the text is a sentence already: it does not name the value before */
    enum { SHOWN_AS_IS, SHOWN_AS_REAL, SHOWN_AS_LIST } shown;
    struct str value; /* what was judged: the value, or an element of it */
    double real;
};

/* ---- choices ---- */

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
choice_explain(const struct config_def *def, struct problem *p)
{
    size_t used = (size_t)snprintf(p->text, sizeof p->text,
        "String must be one of%s:", def->choices_any_case ? " (case insensitive)" : "");
    for (int i = 0; i < CONFIG_CHOICES_MAX && def->choices[i] != NULL && used < sizeof p->text; i++)
        used += (size_t)snprintf(
            p->text + used, sizeof p->text - used, "%s %s", i == 0 ? "" : ",", def->choices[i]);
}

/* ---- numbers ---- */

static bool
number_check(const struct config_def *def, double v, struct problem *p)
{
    if (def->or_minus_one && v == -1)
        return true;
    bool low = def->has_min && v < def->min;
    bool high = def->has_max && v > def->max;
    if (!low && !high)
        return true;
    if (def->or_minus_one)
        snprintf(p->text, sizeof p->text, "Value must be between %.15g and %.15g or equal to -1",
            def->min, def->max);
    else if (low)
        snprintf(p->text, sizeof p->text, "Value must be at least %.15g", def->min);
    else
        snprintf(p->text, sizeof p->text, "Value must be no more than %.15g", def->max);
    return false;
}

static bool
number_refuse(const char *type, struct problem *p)
{
    snprintf(p->text, sizeof p->text, "Not a number of type %s", type);
    return false;
}

static bool
integer_check(const struct config_def *def, struct str value, struct problem *p)
{
    bool is_int = def->type == CONFIG_TYPE_INT;
    bool is_short = def->type == CONFIG_TYPE_SHORT;
    int64_t low = is_int ? INT32_MIN : is_short ? INT16_MIN : INT64_MIN;
    int64_t high = is_int ? INT32_MAX : is_short ? INT16_MAX : INT64_MAX;
    int64_t v;
    if (!config_parse_i64(value, &v) || v < low || v > high)
        return number_refuse(is_int ? "INT" : is_short ? "SHORT" : "LONG", p);
    return number_check(def, (double)v, p);
}

static bool
real_check(const struct config_def *def, struct str value, struct problem *p)
{
    if (!config_parse_f64(value, &p->real))
        return number_refuse("DOUBLE", p);
    p->shown = SHOWN_AS_REAL;
    return number_check(def, p->real, p);
}

/* ---- lists ---- */

/* The next element as Kafka splits: at commas, without the spaces around, empty ones too. */
static bool
split_next(struct str *rest, struct str *element)
{
    if (rest->data == NULL)
        return false;
    const char *comma = memchr(rest->data, ',', rest->len);
    size_t len = comma == NULL ? rest->len : (size_t)(comma - rest->data);
    *element = config_trim((struct str){rest->data, len});
    *rest = comma == NULL ? STR_NULL : (struct str){comma + 1, rest->len - len - 1};
    return true;
}

static bool
list_refuse(const struct config_def *def, const char *what, struct problem *p)
{
    p->whole = true;
    snprintf(p->text, sizeof p->text, "Configuration '%s' %s", def->name, what);
    return false;
}

static bool
has_too_many(struct str value)
{
    size_t count = 1;
    for (size_t i = 0; i < value.len; i++)
        count += value.data[i] == ',';
    return count > ELEMENTS_MAX;
}

/* Quadratic, which the number of elements bounds. */
static bool
has_twice(struct str value)
{
    struct str rest = value, one, other;
    while (split_next(&rest, &one)) {
        struct str behind = rest;
        while (split_next(&behind, &other))
            if (str_eq(one, other))
                return true;
    }
    return false;
}

/* No element twice for a broker, none empty, each one of the choices where there are such. */
static bool
elements_check(const struct config_def *def, struct str value, struct problem *p)
{
    struct str rest = value, one;
    if (has_too_many(value))
        return list_refuse(def, "has more than 1000 values.", p);
    /* A topic may name a policy twice; Kafka takes that too. */
    if (def->scope == CONFIG_SCOPE_BROKER && has_twice(value))
        return list_refuse(def, "values must not be duplicated.", p);
    while (split_next(&rest, &one)) {
        if (one.len == 0)
            return list_refuse(def, "values must not be empty.", p);
        if (!choice_ok(def, one)) {
            p->value = one;
            choice_explain(def, p);
            return false;
        }
    }
    return true;
}

static bool
is_replica(struct str text)
{
    size_t i = 0, colon;
    while (i < text.len && isdigit((unsigned char)text.data[i]))
        i++;
    colon = i;
    if (colon == 0 || colon == text.len || text.data[colon] != ':')
        return false;
    for (i = colon + 1; i < text.len; i++)
        if (!isdigit((unsigned char)text.data[i]))
            return false;
    return i > colon + 1;
}

/* "*", or partition:broker each. */
static bool
throttled_check(const struct config_def *def, struct str value, struct problem *p)
{
    struct str rest = value, one;
    while (!str_eq_z(value, "*") && split_next(&rest, &one)) {
        if (is_replica(one))
            continue;
        p->shown = SHOWN_AS_LIST;
        snprintf(p->text, sizeof p->text,
            "%s must be the literal '*' or a list of replicas in the following format: "
            "[partitionId]:[brokerId],[partitionId]:[brokerId],...",
            def->name);
        return false;
    }
    return true;
}

/* Rules that hold commas of their own, and voters, which are judged where they are read. */
static bool
is_free_form(const struct config_def *def)
{
    return strcmp(def->name, "sasl.kerberos.principal.to.local.rules") == 0 ||
           strncmp(def->name, "controller.quorum.", 18) == 0;
}

static bool
list_check(const struct config_def *def, struct str value, struct problem *p)
{
    value = config_trim(value);
    if (value.len == 0) {
        if (!def->not_empty)
            return true;
        return list_refuse(def, "must not be empty. Valid values include: any non-empty value", p);
    }
    if (strstr(def->name, "replication.throttled.replicas") != NULL)
        return throttled_check(def, value, p);
    return is_free_form(def) || elements_check(def, value, p);
}

/* ---- texts ---- */

/* P[nD][T[nH][nM][n[.n]S]], with a part at least. */
static bool
is_duration(struct str text)
{
    static const char units[] = "DHMS";
    size_t i = 1, unit = 0, parts = 0;
    if (text.len == 0 || toupper((unsigned char)text.data[0]) != 'P')
        return false;
    while (i < text.len) {
        if (toupper((unsigned char)text.data[i]) == 'T') {
            if (unit > 1)
                return false;
            unit = 1;
            i++;
        }
        size_t digits = i;
        while (i < text.len && (isdigit((unsigned char)text.data[i]) || text.data[i] == '.'))
            i++;
        if (i == digits || i == text.len)
            return false;
        const char *at = strchr(units + unit, toupper((unsigned char)text.data[i++]));
        if (at == NULL)
            return false;
        unit = (size_t)(at - units) + 1;
        parts++;
    }
    return parts > 0;
}

static bool
offset_reset_check(const struct config_def *def, struct str value, struct problem *p)
{
    static const char by_duration[] = "by_duration:";
    size_t len = sizeof by_duration - 1;
    if (str_eq_z(value, "latest") || str_eq_z(value, "earliest"))
        return true;
    if (value.len > len && memcmp(value.data, by_duration, len) == 0 &&
        is_duration((struct str){value.data + len, value.len - len}))
        return true;
    snprintf(p->text, sizeof p->text,
        "Invalid value `%.*s` for configuration %s. The value must be either 'earliest', 'latest' "
        "or of the format 'by_duration:<PnDTnHnMn.nS>'.",
        (int)(value.len > 64 ? 64 : value.len), value.data, def->name);
    return false;
}

static bool
text_check(const struct config_def *def, struct str value, struct problem *p)
{
    value = config_trim(value);
    if (strcmp(def->name, "share.auto.offset.reset") == 0)
        return offset_reset_check(def, value, p);
    if (value.len == 0 && def->not_empty) {
        snprintf(p->text, sizeof p->text, "String must be non-empty");
        return false;
    }
    if (choice_ok(def, value))
        return true;
    choice_explain(def, p);
    return false;
}

static bool
check(const struct config_def *def, struct str value, struct problem *p)
{
    bool flag;
    *p = (struct problem){.value = value};
    switch (def->type) {
    case CONFIG_TYPE_BOOLEAN:
        if (config_parse_bool(value, &flag))
            return true;
        snprintf(p->text, sizeof p->text, "Expected value to be either true or false");
        return false;
    case CONFIG_TYPE_INT:
    case CONFIG_TYPE_SHORT:
    case CONFIG_TYPE_LONG: return integer_check(def, value, p);
    case CONFIG_TYPE_DOUBLE: return real_check(def, value, p);
    case CONFIG_TYPE_LIST: return list_check(def, value, p);
    case CONFIG_TYPE_STRING: return text_check(def, value, p);
    case CONFIG_TYPE_CLASS:
    case CONFIG_TYPE_PASSWORD:
    case CONFIG_TYPE_UNKNOWN: return true;
    }
    UNREACHABLE();
}

bool
config_value_check(const struct config_def *def, struct str value, char *why, size_t size)
{
    struct problem p;
    ASSERT(size > 0);
    if (check(def, value, &p))
        return true;
    snprintf(why, size, "%s", p.text);
    return false;
}

static void
show(const struct problem *p, struct buf *why)
{
    struct str rest = p->value, one;
    char real[REAL_MAX];
    const char *comma = "";
    switch (p->shown) {
    case SHOWN_AS_IS: buf_append(why, p->value.data, p->value.len); return;
    case SHOWN_AS_REAL:
        snprintf(real, sizeof real, "%.15g", p->real);
        buf_append_z(why, real);
        if (strpbrk(real, ".e") == NULL)
            buf_append_z(why, ".0");
        return;
    case SHOWN_AS_LIST:
        buf_append_z(why, "[");
        while (split_next(&rest, &one)) {
            buf_append_z(why, comma);
            buf_append(why, one.data, one.len);
            comma = ", ";
        }
        buf_append_z(why, "]");
        return;
    }
    UNREACHABLE();
}

bool
config_value_explain(const struct config_def *def, struct str value, struct buf *why)
{
    struct problem p;
    ASSERT(def != NULL);
    if (check(def, value, &p))
        return true;
    if (!p.whole) {
        buf_append_z(why, "Invalid value ");
        show(&p, why);
        buf_append_z(why, " for configuration ");
        buf_append_z(why, def->name);
        buf_append_z(why, ": ");
    }
    buf_append_z(why, p.text);
    return false;
}
