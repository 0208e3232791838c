/* meta/controller_config_checks.c - what configuration a topic, a group or a subscription for
 * metrics may have: names, each value, and values that must fit each other. Pure. */
#include <string.h>

#include "base/assert.h"
#include "meta/config_def.h"
#include "meta/controller_priv.h"

enum { WHY_SIZE = 1024, INTERVAL_MS_MIN = 100, INTERVAL_MS_MAX = 3600000 };

static const struct meta_verdict FINE = {PROTO_ERROR_NONE, {NULL, 0}};

static struct meta_verdict
no(enum proto_error error, struct str message)
{
    return (struct meta_verdict){error, message};
}

/* ---- one value ---- */

struct meta_verdict
meta_check_config(const struct meta_op *op, int8_t type, struct str key, struct str value)
{
    const struct meta_config_rules *rules = op->ctl->rules;
    struct meta_verdict verdict = FINE;
    struct buf why;
    buf_init(&why, WHY_SIZE + key.len + value.len);
    enum err err = rules->validate(rules->ctx, type, key, value, &why);
    if (err == ERR_NOTFOUND && type == META_RESOURCE_CLIENT_METRICS)
        verdict = no(PROTO_ERROR_INVALID_REQUEST,
            arena_printf(op->arena, "Unknown client metrics configuration: %.*s", STR_FMT(key)));
    else if (err == ERR_NOTFOUND)
        verdict = no(PROTO_ERROR_INVALID_CONFIG,
            arena_printf(op->arena, "Unknown %s config name: %.*s",
                type == META_RESOURCE_TOPIC ? "topic" : "group", STR_FMT(key)));
    else if (err != ERR_OK)
        verdict = no(PROTO_ERROR_INVALID_CONFIG, arena_printf(op->arena, "%s", buf_z(&why)));
    buf_fini(&why);
    return verdict;
}

/* ---- values that must fit each other ---- */

/* What will be set for the key: by the change, or as it is; null when nothing. */
static struct str
override_of(const struct meta_op *op, const struct meta_config_target *target, const char *key)
{
    for (int32_t i = 0; i < target->count; i++)
        if (str_eq_z(target->changes[i].key, key))
            return target->changes[i].result;
    return meta_image_config(op->image, target->type, target->name, str_of(key));
}

/* What will be in force; false when that is no number. */
static bool
number_of(const struct meta_op *op, const struct meta_config_target *target, const char *key,
    int64_t *out)
{
    const struct meta_config_rules *rules = op->ctl->rules;
    int32_t node = op->ctl->node_id;
    struct str value = override_of(op, target, key);
    if (str_is_null(value) && target->type == META_RESOURCE_TOPIC)
        value = meta_config_topic(op->image, rules, node, STR(""), str_of(key)).value;
    else if (str_is_null(value))
        value = meta_config_group(op->image, rules, node, STR(""), str_of(key)).value;
    return !str_is_null(value) && config_parse_i64(value, out);
}

static struct meta_verdict
check_topic(const struct meta_op *op, const struct meta_config_target *target)
{
    int64_t min, max;
    bool remote = false;
    if (number_of(op, target, "min.compaction.lag.ms", &min) &&
        number_of(op, target, "max.compaction.lag.ms", &max) && min > max)
        return no(PROTO_ERROR_INVALID_CONFIG,
            arena_printf(op->arena,
                "conflict topic config setting min.compaction.lag.ms (%lld) > "
                "max.compaction.lag.ms (%lld)",
                (long long)min, (long long)max));
    struct str value = override_of(op, target, "remote.storage.enable");
    if (!str_is_null(value) && config_parse_bool(value, &remote) && remote)
        return no(PROTO_ERROR_INVALID_CONFIG,
            STR("Tiered Storage functionality is disabled in the broker. Topic cannot be "
                "configured with remote log storage."));
    return FINE;
}

/* A group's key between two keys of the broker; NULL: no such bound. */
struct bounds {
    const char *key, *low, *high;
};
static const struct bounds group_bounds[] = {
#define WITHIN(kind, key)                                                  \
    {                                                                      \
        kind "." key, "group." kind ".min." key, "group." kind ".max." key \
    }
    WITHIN("consumer", "heartbeat.interval.ms"),
    WITHIN("consumer", "session.timeout.ms"),
    WITHIN("share", "heartbeat.interval.ms"),
    WITHIN("share", "session.timeout.ms"),
    WITHIN("share", "record.lock.duration.ms"),
    {"share.delivery.count.limit", "group.share.min.delivery.count.limit",
        "group.share.max.delivery.count.limit"},
    {"share.partition.max.record.locks", "group.share.min.partition.max.record.locks",
        "group.share.max.partition.max.record.locks"},
    WITHIN("streams", "heartbeat.interval.ms"),
    WITHIN("streams", "session.timeout.ms"),
#undef WITHIN
    {"streams.num.standby.replicas", NULL, "group.streams.max.standby.replicas"},
};

static bool
broker_number(const struct meta_op *op, const char *key, int64_t *out)
{
    struct str value = STR_NULL;
    if (key != NULL)
        value = meta_config_broker(op->image, op->ctl->rules, op->ctl->node_id, str_of(key)).value;
    return !str_is_null(value) && config_parse_i64(value, out);
}

static struct meta_verdict
check_group(const struct meta_op *op, const struct meta_config_target *target)
{
    static const char *const kinds[] = {"consumer", "share", "streams"};
    int64_t value, low, high;
    for (size_t i = 0; i < COUNT_OF(group_bounds); i++) {
        const struct bounds *b = &group_bounds[i];
        if (!number_of(op, target, b->key, &value))
            continue;
        if (broker_number(op, b->low, &low) && value < low)
            return no(PROTO_ERROR_INVALID_CONFIG,
                arena_printf(op->arena, "%s must be greater than or equal to %s", b->key, b->low));
        if (broker_number(op, b->high, &high) && value > high)
            return no(PROTO_ERROR_INVALID_CONFIG,
                arena_printf(op->arena, "%s must be less than or equal to %s", b->key, b->high));
    }
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        struct str session = arena_printf(op->arena, "%s.session.timeout.ms", kinds[i]);
        struct str beat = arena_printf(op->arena, "%s.heartbeat.interval.ms", kinds[i]);
        if (!str_is_null(session) && !str_is_null(beat) &&
            number_of(op, target, session.data, &high) && number_of(op, target, beat.data, &low) &&
            high <= low)
            return no(PROTO_ERROR_INVALID_CONFIG,
                arena_printf(
                    op->arena, "%.*s must be greater than %.*s", STR_FMT(session), STR_FMT(beat)));
    }
    return FINE;
}

/* That groups and classes close, and that a quantifier has something before it. Not compiled: the
 * time and memory of that are in the hands of who wrote it. */
static bool
expression_ok(struct str text)
{
    int depth = 0;
    bool in_class = false, atom = false;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];
        if (c == '\\') {
            if (++i == text.len)
                return false;
        } else if (in_class) {
            in_class = c != ']';
        } else if (c == '[') {
            in_class = true;
        } else if (c == ')' && --depth < 0) {
            return false;
        } else if (c == '(') {
            depth++;
        } else if ((c == '*' || c == '+' || (c == '?' && !(i > 0 && text.data[i - 1] == '('))) &&
                   !atom) {
            return false;
        }
        atom = c != '(' && c != '|';
    }
    return depth == 0 && !in_class;
}

/* "client_id=REGEX": a label that a client has, and an expression. */
static bool
match_ok(struct str pattern)
{
    static const char *const labels[] = {"client_instance_id", "client_id", "client_software_name",
        "client_software_version", "client_source_address", "client_source_port"};
    const char *equals = memchr(pattern.data, '=', pattern.len);
    if (equals == NULL)
        return false;
    size_t len = (size_t)(equals - pattern.data);
    struct str label = config_trim((struct str){pattern.data, len});
    bool known = false;
    for (size_t i = 0; i < COUNT_OF(labels); i++)
        known = known || str_eq_z(label, labels[i]);
    return known && expression_ok((struct str){equals + 1, pattern.len - len - 1});
}

static struct meta_verdict
check_metrics(const struct meta_op *op, const struct meta_config_target *target)
{
    int64_t interval;
    struct str one, value = override_of(op, target, "interval.ms");
    if (!str_is_null(value) && config_parse_i64(value, &interval) &&
        (interval < INTERVAL_MS_MIN || interval > INTERVAL_MS_MAX))
        return no(PROTO_ERROR_INVALID_REQUEST,
            arena_printf(op->arena,
                "Invalid value %lld for interval.ms, interval must be between 100 and 3600000 (1 "
                "hour)",
                (long long)interval));
    value = override_of(op, target, "match");
    while (!str_is_null(value) && config_list_next(&value, &one))
        if (!match_ok(one))
            return no(PROTO_ERROR_INVALID_CONFIG,
                arena_printf(op->arena, "Illegal client matching pattern: %.*s", STR_FMT(one)));
    return FINE;
}

/* ---- a resource ---- */

static struct meta_verdict
check_name(const struct meta_op *op, const struct meta_config_target *target)
{
    int64_t id;
    switch (target->type) {
    case META_RESOURCE_TOPIC: {
        if (target->name.len == 0)
            return no(PROTO_ERROR_INVALID_REQUEST, STR("Default topic resources are not allowed."));
        struct str problem = meta_topic_name_problem(op->arena, target->name);
        if (!str_is_null(problem))
            return no(PROTO_ERROR_INVALID_TOPIC_EXCEPTION, problem);
        return FINE;
    }
    case META_RESOURCE_BROKER:
        if (target->name.len > 0 &&
            (!config_parse_i64(target->name, &id) || id < 0 || id > INT32_MAX))
            return no(PROTO_ERROR_INVALID_REQUEST,
                STR("Unable to parse broker name as a base 10 number."));
        return FINE;
    case META_RESOURCE_GROUP:
        if (target->name.len == 0)
            return no(PROTO_ERROR_INVALID_REQUEST, STR("Default group resources are not allowed."));
        return FINE;
    case META_RESOURCE_CLIENT_METRICS:
        if (target->name.len == 0)
            return no(PROTO_ERROR_INVALID_REQUEST, STR("Subscription name can't be empty"));
        return FINE;
    default:
        return no(PROTO_ERROR_INVALID_REQUEST,
            arena_printf(op->arena, "Unknown resource type %d", (int)target->type));
    }
}

struct meta_verdict
meta_check_config_values(const struct meta_op *op, const struct meta_config_target *target)
{
    struct meta_verdict verdict = FINE;
    ASSERT(target->count == 0 || target->changes != NULL);
    for (int32_t i = 0; verdict.error == PROTO_ERROR_NONE && i < target->count; i++)
        if (!str_is_null(target->changes[i].result))
            verdict = meta_check_config(
                op, target->type, target->changes[i].key, target->changes[i].result);
    if (verdict.error != PROTO_ERROR_NONE)
        return verdict;
    switch (target->type) {
    case META_RESOURCE_TOPIC: return check_topic(op, target);
    case META_RESOURCE_GROUP: return check_group(op, target);
    case META_RESOURCE_CLIENT_METRICS: return check_metrics(op, target);
    default: return FINE;
    }
}

struct meta_verdict
meta_check_configs(const struct meta_op *op, const struct meta_config_target *target)
{
    struct meta_verdict verdict = check_name(op, target);
    if (verdict.error == PROTO_ERROR_NONE && target->type != META_RESOURCE_BROKER)
        verdict = meta_check_config_values(op, target);
    if (verdict.error == PROTO_ERROR_NONE && target->type == META_RESOURCE_TOPIC &&
        meta_image_topic(op->image, target->name) == NULL)
        verdict = no(PROTO_ERROR_UNKNOWN_TOPIC_OR_PARTITION,
            arena_printf(op->arena, "The topic '%.*s' does not exist.", STR_FMT(target->name)));
    return verdict;
}
