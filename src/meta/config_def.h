/* meta/config_def.h - every configuration key: type, default, range, scope, how it may change, what
 * it is for.
 *
 * The table is generated from spec/configs.json by gen/configs.py; constant data, any thread. */
#ifndef META_CONFIG_DEF_H
#define META_CONFIG_DEF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/bytes.h"

/* Numbers are those of DescribeConfigs. */
enum config_type {
    CONFIG_TYPE_UNKNOWN,
    CONFIG_TYPE_BOOLEAN,
    CONFIG_TYPE_STRING,
    CONFIG_TYPE_INT,
    CONFIG_TYPE_SHORT,
    CONFIG_TYPE_LONG,
    CONFIG_TYPE_DOUBLE,
    CONFIG_TYPE_LIST,
    CONFIG_TYPE_CLASS,
    CONFIG_TYPE_PASSWORD,
};

enum config_scope {
    CONFIG_SCOPE_BROKER,
    CONFIG_SCOPE_TOPIC,
    CONFIG_SCOPE_GROUP,
    CONFIG_SCOPE_CLIENT_METRICS,
    CONFIG_SCOPE_COUNT,
};

/* How a broker key may change; other scopes are always dynamic. */
enum config_mode {
    CONFIG_MODE_READ_ONLY,    /* at start only */
    CONFIG_MODE_PER_BROKER,   /* for one broker, not as the cluster's default */
    CONFIG_MODE_CLUSTER_WIDE, /* for one broker or as the cluster's default */
    CONFIG_MODE_DYNAMIC_ONLY, /* as cluster-wide, and never in the file */
};

enum { CONFIG_SYNONYMS_MAX = 3, CONFIG_CHOICES_MAX = 8 };

/* The broker key that a topic key falls back to; its value times `factor` is the topic key's. */
struct config_synonym {
    const char *name;
    int64_t factor;
};

struct config_def {
    const char *name;
    const char *default_value; /* NULL: no default, or a null one */
    const char *doc;
    enum config_type type;
    enum config_scope scope;
    enum config_mode mode;
    bool required; /* no default at all */
    bool internal; /* hidden from DescribeConfigs */
    bool own;      /* Moldau's, unknown to Apache Kafka */
    bool has_min, has_max;
    double min, max;                         /* inclusive */
    bool or_minus_one;                       /* -1 is fine too, below min */
    bool not_empty;                          /* text or list */
    bool choices_any_case;                   /* choices compare without regard to case */
    const char *choices[CONFIG_CHOICES_MAX]; /* NULL-terminated; of a list, for each element */
    struct config_synonym synonyms[CONFIG_SYNONYMS_MAX]; /* in order of precedence */
};

/* Sorted by name. */
const struct config_def *config_def_list(enum config_scope scope, size_t *count);
/* NULL when the scope has no such key. */
const struct config_def *config_def_find(enum config_scope scope, struct str name);
/* The key of that scope whose name is most like this one, for "did you mean"; NULL when none is
 * near. */
const struct config_def *config_def_nearest(enum config_scope scope, struct str name);

const char *config_type_name(enum config_type type);

/* Checks a value's syntax and range. On false `why` has a text such as "Value must be at least 1"
 * (terminated, cut to size). */
bool config_value_check(const struct config_def *def, struct str value, char *why, size_t size);
/* The same; on false a whole sentence, as Kafka puts it, is added to `why`. */
bool config_value_explain(const struct config_def *def, struct str value, struct buf *why);

/* Strict parsers, spaces around the value allowed: false leaves *out untouched. */
bool config_parse_bool(struct str value, bool *out);
bool config_parse_i64(struct str value, int64_t *out);
bool config_parse_f64(struct str value, double *out);
/* Next element of a comma-separated list, trimmed; false at the end. *rest starts as the value. */
bool config_list_next(struct str *rest, struct str *element);
struct str config_trim(struct str value);

#endif
