/* DescribeConfigs (32): every key of a resource with its value, source, synonyms, type and text.
 *
 * All keys are listed, also those at their default: user interfaces break without (kafka.md 8.53).
 * Values of passwords are never given. Synonyms say where the value would come from next, in the
 * order of precedence. */
#include "base/assert.h"
#include "base/attr.h"
#include "base/limits.h"
#include "broker/broker.h"
#include "broker/cluster_view.h"
#include "broker/config_resource.h"
#include "meta/config_def.h"
#include "proto/api_keys.h"
#include "proto/describe_configs_request.h"
#include "proto/describe_configs_response.h"
#include "proto/error_codes.h"

/* Short names: the generated ones are longer than a line. */
typedef struct proto_describe_configs_response_describe_configs_result result_out;
typedef struct proto_describe_configs_response_describe_configs_resource_result entry_out;
typedef struct proto_describe_configs_response_describe_configs_synonym synonym_out;
typedef struct proto_describe_configs_request_describe_configs_resource resource_in;

enum { SYNONYMS_MAX = 4 * (CONFIG_SYNONYMS_MAX + 2) + 2 };

struct describe {
    struct broker_req *req;
    const resource_in *resource;
    result_out *out;
    int8_t type;
    enum config_scope scope;
    bool cluster_default; /* the resource is the default of all brokers */
    bool out_of_memory;
};

static bool
is_sensitive(const struct config_def *def)
{
    return def->type == CONFIG_TYPE_PASSWORD;
}

static struct str
shown(const struct config_def *def, struct str value)
{
    return is_sensitive(def) ? STR_NULL : value;
}

static void
synonym_add(synonym_out *list, int32_t *count, const struct config_def *def, struct str name,
    struct str value, enum meta_config_source source)
{
    ASSERT(*count < SYNONYMS_MAX);
    list[(*count)++] =
        (synonym_out){.name = name, .value = shown(def, value), .source = (int8_t)source};
}

/* The value of a synonym may be in another unit: log.retention.hours stands for retention.ms. */
static struct str
scaled(struct describe *d, struct str value, int64_t factor)
{
    int64_t n;
    if (factor == 1 || str_is_null(value) || !config_parse_i64(value, &n))
        return value;
    return arena_printf(d->req->arena, "%lld", (long long)(n < 0 ? n : n * factor));
}

/* The value of a broker key from one source; null when that has none. */
static struct str
value_from(const struct describe *d, enum meta_config_source source, struct str key)
{
    const struct broker_req *req = d->req;
    const struct meta_config_rules *rules = broker_rules(req->broker);
    char id[16];
    switch (source) {
    case META_CONFIG_SOURCE_DYNAMIC_BROKER:
        snprintf(id, sizeof id, "%d", (int)broker_config(req->broker)->node_id);
        return meta_image_config(req->image, META_RESOURCE_BROKER, str_of(id), key);
    case META_CONFIG_SOURCE_DYNAMIC_DEFAULT:
        return meta_image_config(req->image, META_RESOURCE_BROKER, STR(""), key);
    case META_CONFIG_SOURCE_STATIC: {
        struct str value = rules->static_value(rules->ctx, key);
        bool older_name = str_is_null(value) && str_eq_z(key, "broker.id");
        return older_name ? rules->static_value(rules->ctx, STR("node.id")) : value;
    }
    case META_CONFIG_SOURCE_DEFAULT:
        return rules->default_value(rules->ctx, META_RESOURCE_BROKER, key);
    case META_CONFIG_SOURCE_NONE:
    case META_CONFIG_SOURCE_TOPIC:
    case META_CONFIG_SOURCE_LOGGER:
    case META_CONFIG_SOURCE_CLIENT_METRICS:
    case META_CONFIG_SOURCE_GROUP: break;
    }
    UNREACHABLE();
}

/* The broker's values behind a key: source by source, in each the names in order of precedence;
 * unscaled, as Kafka shows them under the synonym's own name. What stands before the first of the
 * first name is left out, as Kafka does. */
static void
broker_keys_add(struct describe *d, const struct config_def *def, const struct str *names,
    int name_count, synonym_out *list, int32_t *count)
{
    static const enum meta_config_source sources[] = {META_CONFIG_SOURCE_DYNAMIC_BROKER,
        META_CONFIG_SOURCE_DYNAMIC_DEFAULT, META_CONFIG_SOURCE_STATIC, META_CONFIG_SOURCE_DEFAULT};
    bool begun = false;
    for (size_t s = 0; s < COUNT_OF(sources); s++) {
        if (d->cluster_default && sources[s] != META_CONFIG_SOURCE_DYNAMIC_DEFAULT)
            continue;
        /* Throttles and the like have a value only where one is set. */
        if (sources[s] == META_CONFIG_SOURCE_DEFAULT && def->scope == CONFIG_SCOPE_BROKER &&
            def->mode == CONFIG_MODE_DYNAMIC_ONLY)
            continue;
        for (int i = 0; i < name_count; i++) {
            struct str value = value_from(d, sources[s], names[i]);
            begun = begun || (i == 0 && !str_is_null(value));
            if (begun && !str_is_null(value))
                synonym_add(list, count, def, names[i], value, sources[s]);
        }
    }
}

/* A group's "consumer.session.timeout.ms" falls back to the broker's "group.consumer.session...".
 */
static const struct config_def *
group_synonym(struct describe *d, const struct config_def *def)
{
    struct str name = arena_printf(d->req->arena, "group.%s", def->name);
    return config_def_find(CONFIG_SCOPE_BROKER, name);
}

/* Broker keys that give a value to another one, in another unit. */
static const struct older {
    const char *key;
    const char *names[2];
} older_units[] = {
    {"log.flush.interval.ms", {"log.flush.scheduler.interval.ms"}},
    {"log.retention.ms", {"log.retention.minutes", "log.retention.hours"}},
    {"log.roll.jitter.ms", {"log.roll.jitter.hours"}},
    {"log.roll.ms", {"log.roll.hours"}},
};

static void
older_units_add(const struct config_def *def, struct str *names, int *count)
{
    for (size_t i = 0; i < COUNT_OF(older_units); i++)
        for (size_t j = 0; strcmp(def->name, older_units[i].key) == 0 && j < 2; j++)
            if (older_units[i].names[j] != NULL)
                names[(*count)++] = str_of(older_units[i].names[j]);
}

/* All values of a key in order of precedence; the first one is in force. */
static int32_t
synonyms_find(struct describe *d, const struct config_def *def, synonym_out *list)
{
    struct str names[2 + CONFIG_SYNONYMS_MAX];
    int name_count = 0;
    int32_t count = 0;
    if (def->scope == CONFIG_SCOPE_BROKER) {
        names[name_count++] = str_of(def->name);
        older_units_add(def, names, &name_count);
    } else {
        struct str key = str_of(def->name);
        struct str own = meta_image_config(d->req->image, d->type, d->resource->resource_name, key);
        enum meta_config_source source = def->scope == CONFIG_SCOPE_TOPIC ? META_CONFIG_SOURCE_TOPIC
                                         : def->scope == CONFIG_SCOPE_GROUP
                                             ? META_CONFIG_SOURCE_GROUP
                                             : META_CONFIG_SOURCE_CLIENT_METRICS;
        if (!str_is_null(own))
            synonym_add(list, &count, def, key, own, source);
    }
    if (def->scope == CONFIG_SCOPE_GROUP && group_synonym(d, def) != NULL)
        names[name_count++] = str_of(group_synonym(d, def)->name);
    for (int i = 0; i < CONFIG_SYNONYMS_MAX && def->synonyms[i].name != NULL; i++)
        names[name_count++] = str_of(def->synonyms[i].name);
    broker_keys_add(d, def, names, name_count, list, &count);
    /* A group's key that the broker knows by no name of its own has its own default. */
    if (def->scope == CONFIG_SCOPE_GROUP && name_count == 0 && def->default_value != NULL)
        synonym_add(list, &count, def, str_of(def->name), str_of(def->default_value),
            META_CONFIG_SOURCE_DEFAULT);
    return count;
}

static int64_t
factor_of(const struct config_def *def, struct str synonym)
{
    for (int i = 0; i < CONFIG_SYNONYMS_MAX && def->synonyms[i].name != NULL; i++)
        if (str_eq_z(synonym, def->synonyms[i].name))
            return def->synonyms[i].factor;
    return 1;
}

static bool
is_read_only(const struct describe *d, const struct config_def *def)
{
    if (def->scope != CONFIG_SCOPE_BROKER)
        return false;
    return def->mode == CONFIG_MODE_READ_ONLY ||
           (d->cluster_default && def->mode == CONFIG_MODE_PER_BROKER);
}

/* False: the key does not belong into this answer. */
static bool
entry_fill(struct describe *d, const struct config_def *def, entry_out *out)
{
    const struct proto_describe_configs_request *msg = d->req->msg;
    synonym_out list[SYNONYMS_MAX];
    int32_t count = synonyms_find(d, def, list);
    /* Of the default of all brokers only what is set; throttles and the like only when set. */
    bool set = count > 0 && list[0].source != META_CONFIG_SOURCE_DEFAULT;
    if (!set && (d->cluster_default ||
                    (def->scope == CONFIG_SCOPE_BROKER && def->mode == CONFIG_MODE_DYNAMIC_ONLY)))
        return false;
    proto_init(&proto_describe_configs_response_describe_configs_resource_result_schema, out);
    out->name = str_of(def->name);
    out->is_sensitive = is_sensitive(def);
    out->read_only = is_read_only(d, def);
    out->config_type = (int8_t)def->type;
    /* A built-in default is the key's own, in the key's own unit. */
    out->value = shown(def, str_of(def->default_value));
    if (!set && def->scope == CONFIG_SCOPE_TOPIC) {
        struct meta_config_value value =
            meta_config_topic(d->req->image, broker_rules(d->req->broker),
                broker_config(d->req->broker)->node_id, d->resource->resource_name, out->name);
        out->value = scaled(d, value.value, factor_of(def, value.key));
    }
    out->config_source = META_CONFIG_SOURCE_DEFAULT;
    if (set) {
        out->config_source = list[0].source;
        out->value = scaled(d, list[0].value, factor_of(def, list[0].name));
    }
    out->documentation = msg->include_documentation ? str_of(def->doc) : STR_NULL;
    if (!msg->include_synonyms || count == 0)
        return true;
    out->synonyms.items = arena_calloc(d->req->arena, (size_t)count, sizeof *list);
    if (out->synonyms.items == NULL) {
        d->out_of_memory = true;
        return true;
    }
    memcpy(out->synonyms.items, list, (size_t)count * sizeof *list);
    out->synonyms.count = count;
    return true;
}

/* Which keys of the table were asked for; null and empty both mean all. NULL out of memory. */
static const bool *
wanted_mark(struct describe *d, const struct config_def *defs, size_t total)
{
    bool all = d->resource->configuration_keys.count <= 0;
    bool *wanted = arena_calloc(d->req->arena, total, sizeof *wanted);
    for (size_t i = 0; wanted != NULL && i < total; i++)
        wanted[i] = all && !defs[i].internal;
    for (int32_t i = 0; wanted != NULL && i < d->resource->configuration_keys.count; i++) {
        const struct config_def *def =
            config_def_find(d->scope, d->resource->configuration_keys.items[i]);
        if (def != NULL)
            wanted[def - defs] = !def->internal;
    }
    return wanted;
}

static void
entries_fill(struct describe *d)
{
    size_t total;
    const struct config_def *defs = config_def_list(d->scope, &total);
    size_t cost = total * (sizeof(entry_out) + 4 * sizeof(synonym_out));
    if (d->req->arena->budget_bytes < LIMIT_REQUEST_ARENA_MAX)
        broker_req_budget_add(d->req, cost); /* a short question, a long answer */
    entry_out *outs = arena_calloc(d->req->arena, total, sizeof *outs);
    const bool *wanted = wanted_mark(d, defs, total);
    int32_t count = 0;
    d->out_of_memory |= outs == NULL || wanted == NULL;
    for (size_t i = 0; i < total && !d->out_of_memory; i++)
        if (wanted[i] && entry_fill(d, &defs[i], &outs[count]))
            count++;
    d->out->configs.items = outs;
    d->out->configs.count = count;
}

static void
refuse(struct describe *d, enum proto_error code, struct str text)
{
    d->out->error_code = (int16_t)code;
    d->out->error_message = text;
}

static void
describe_topic(struct describe *d)
{
    struct str name = d->resource->resource_name;
    if (!broker_topic_name_is_legal(name)) {
        refuse(
            d, PROTO_ERROR_INVALID_TOPIC_EXCEPTION, broker_topic_name_problem(d->req->arena, name));
    } else if (meta_image_topic(d->req->image, name) == NULL) {
        refuse(d, PROTO_ERROR_UNKNOWN_TOPIC_OR_PARTITION, STR(""));
    } else {
        d->scope = CONFIG_SCOPE_TOPIC;
        entries_fill(d);
    }
}

static void
describe_broker(struct describe *d)
{
    struct str why;
    if (!broker_resource_is_here(d->req, d->resource->resource_name, true, &why)) {
        refuse(d, PROTO_ERROR_INVALID_REQUEST, why);
        return;
    }
    d->scope = CONFIG_SCOPE_BROKER;
    d->cluster_default = d->resource->resource_name.len == 0;
    entries_fill(d);
}

/* One logger: the level of all diagnostics. */
static void
describe_logger(struct describe *d)
{
    struct str why;
    if (!broker_resource_is_here(d->req, d->resource->resource_name, false, &why)) {
        refuse(d, PROTO_ERROR_INVALID_REQUEST, why);
        return;
    }
    entry_out *out = arena_alloc(d->req->arena, sizeof *out);
    if (out == NULL) {
        d->out_of_memory = true;
        return;
    }
    enum diag_level level = diag_level_get(env_diag(broker_env(d->req->broker)));
    proto_init(&proto_describe_configs_response_describe_configs_resource_result_schema, out);
    out->name = STR("root");
    out->value = broker_logger_level_name(level);
    out->config_source = META_CONFIG_SOURCE_LOGGER;
    d->out->configs.items = out;
    d->out->configs.count = 1;
}

static void
describe_named(struct describe *d, enum config_scope scope, struct str when_empty)
{
    if (d->resource->resource_name.len == 0) {
        refuse(d, PROTO_ERROR_INVALID_REQUEST, when_empty);
        return;
    }
    d->scope = scope;
    entries_fill(d);
}

static void
describe_one(struct describe *d)
{
    switch ((enum meta_resource)d->type) {
    case META_RESOURCE_TOPIC: describe_topic(d); return;
    case META_RESOURCE_BROKER: describe_broker(d); return;
    case META_RESOURCE_BROKER_LOGGER: describe_logger(d); return;
    case META_RESOURCE_CLIENT_METRICS:
        describe_named(d, CONFIG_SCOPE_CLIENT_METRICS,
            STR("Client metrics subscription name must not be empty"));
        return;
    case META_RESOURCE_GROUP:
        describe_named(d, CONFIG_SCOPE_GROUP, STR("Group name must not be empty"));
        return;
    }
    refuse(d, PROTO_ERROR_INVALID_REQUEST,
        arena_printf(d->req->arena, "Unsupported resource type: %d", (int)d->type));
}

static void
handle(struct broker_req *req)
{
    const struct proto_describe_configs_request *msg = req->msg;
    struct proto_describe_configs_response response;
    proto_init(&proto_describe_configs_response_schema, &response);
    result_out *outs = arena_calloc(req->arena, (size_t)msg->resources.count, sizeof *outs);
    bool out_of_memory = outs == NULL;
    for (int32_t i = 0; i < msg->resources.count && !out_of_memory; i++) {
        struct describe d = {.req = req, .resource = &msg->resources.items[i], .out = &outs[i]};
        proto_init(&proto_describe_configs_response_describe_configs_result_schema, d.out);
        d.type = d.resource->resource_type;
        d.out->resource_type = d.type;
        d.out->resource_name = d.resource->resource_name;
        describe_one(&d);
        out_of_memory = d.out_of_memory;
    }
    if (out_of_memory) {
        broker_req_close(req, "out of memory");
        return;
    }
    response.results.items = outs;
    response.results.count = msg->resources.count;
    broker_req_reply(req, &response);
}

const struct broker_api broker_api_describe_configs = {
    .key = PROTO_API_DESCRIBE_CONFIGS,
    .version_min = PROTO_DESCRIBE_CONFIGS_REQUEST_VERSION_MIN,
    .version_max = PROTO_DESCRIBE_CONFIGS_REQUEST_VERSION_MAX,
    .handle = handle,
};
