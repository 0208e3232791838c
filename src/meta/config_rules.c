/* meta/config_rules.c - what the table says, in the shape that the controller asks. Pure. */
#include "meta/config_rules.h"

#include "meta/config_def.h"

static bool
scope_of(int8_t resource_type, enum config_scope *scope)
{
    switch (resource_type) {
    case META_RESOURCE_TOPIC: *scope = CONFIG_SCOPE_TOPIC; return true;
    case META_RESOURCE_BROKER: *scope = CONFIG_SCOPE_BROKER; return true;
    case META_RESOURCE_GROUP: *scope = CONFIG_SCOPE_GROUP; return true;
    case META_RESOURCE_CLIENT_METRICS: *scope = CONFIG_SCOPE_CLIENT_METRICS; return true;
    default: return false;
    }
}

static const struct config_def *
find(int8_t resource_type, struct str key)
{
    enum config_scope scope;
    return scope_of(resource_type, &scope) ? config_def_find(scope, key) : NULL;
}

static enum err
rules_validate(void *ctx, int8_t resource_type, struct str key, struct str value, struct buf *why)
{
    const struct config_def *def = find(resource_type, key);
    (void)ctx;
    if (def == NULL)
        /* Apache accepts any key of a broker that it does not know: plug-ins have their own. */
        return resource_type == META_RESOURCE_BROKER ? ERR_OK : ERR_NOTFOUND;
    if (resource_type == META_RESOURCE_BROKER && def->mode == CONFIG_MODE_READ_ONLY) {
        buf_append_z(why, "Cannot update these configs dynamically: [");
        buf_append_z(why, def->name);
        buf_append_z(why, "]");
        return ERR_INVALID;
    }
    return str_is_null(value) || config_value_explain(def, value, why) ? ERR_OK : ERR_INVALID;
}

static bool
rules_is_list(void *ctx, int8_t resource_type, struct str key)
{
    const struct config_def *def = find(resource_type, key);
    (void)ctx;
    return def != NULL && def->type == CONFIG_TYPE_LIST;
}

static struct str
rules_synonym(void *ctx, int8_t resource_type, struct str key, int32_t nth)
{
    const struct config_def *def = find(resource_type, key);
    (void)ctx;
    if (def == NULL || nth < 0 || nth >= CONFIG_SYNONYMS_MAX)
        return STR_NULL;
    return str_of(def->synonyms[nth].name);
}

static struct str
rules_static_value(void *ctx, struct str broker_key)
{
    const struct meta_config_static *source = ctx;
    return source == NULL ? STR_NULL : source->value(source->ctx, broker_key);
}

static struct str
rules_default_value(void *ctx, int8_t resource_type, struct str key)
{
    const struct config_def *def = find(resource_type, key);
    (void)ctx;
    return def == NULL ? STR_NULL : str_of(def->default_value);
}

struct meta_config_rules
meta_config_rules_make(const struct meta_config_static *source)
{
    return (struct meta_config_rules){
        .ctx = (void *)(uintptr_t)source,
        .validate = rules_validate,
        .is_list = rules_is_list,
        .synonym = rules_synonym,
        .static_value = rules_static_value,
        .default_value = rules_default_value,
    };
}
