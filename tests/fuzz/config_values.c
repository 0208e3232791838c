/* Any bytes as the value of each configuration key of each scope: fine, or refused with a reason.
 * The first two bytes pick the key; with 255 first, all keys. */
#include "base/assert.h"
#include "base/buf.h"
#include "meta/config_def.h"
#include "meta/config_rules.h"

enum { WHY_MAX = 1 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static const int8_t resources[] = {META_RESOURCE_TOPIC, META_RESOURCE_BROKER, META_RESOURCE_GROUP,
    META_RESOURCE_CLIENT_METRICS, META_RESOURCE_BROKER_LOGGER};

static void
check(const struct config_def *def, struct str value)
{
    struct buf why;
    char text[64] = "";
    buf_init(&why, WHY_MAX);
    bool fine = config_value_check(def, value, text, sizeof text);
    ASSERT(fine || text[0] != '\0');
    ASSERT(memchr(text, 0, sizeof text) != NULL);
    ASSERT(config_value_explain(def, value, &why) == fine);
    ASSERT(fine || why.len > 0 || why.err != ERR_OK);
    buf_fini(&why);
}

static void
parse(struct str value)
{
    struct str rest = value, element;
    bool b;
    int64_t i;
    double d;
    size_t elements = 0;
    while (config_list_next(&rest, &element))
        ASSERT(++elements <= value.len + 1);
    (void)config_parse_bool(value, &b);
    (void)config_parse_i64(value, &i);
    (void)config_parse_f64(value, &d);
    for (int scope = 0; scope < CONFIG_SCOPE_COUNT; scope++) {
        (void)config_def_find((enum config_scope)scope, value);
        if (value.len < 40 && (value.len & 3) == 0) /* dear */
            (void)config_def_nearest((enum config_scope)scope, value);
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct meta_config_rules rules = meta_config_rules_make(NULL);
    if (len < 2)
        return 0;
    struct str value = {(const char *)data + 2, len - 2};
    enum config_scope scope = (enum config_scope)(data[0] % CONFIG_SCOPE_COUNT);
    size_t count;
    const struct config_def *defs = config_def_list(scope, &count);
    for (size_t i = 0; i < count; i++) {
        if (data[0] == 255)
            check(&defs[i], value);
        if (i == data[1] % count) {
            check(&defs[i], value);
            struct buf why;
            buf_init(&why, WHY_MAX);
            for (size_t r = 0; r < COUNT_OF(resources); r++)
                (void)rules.validate(rules.ctx, resources[r], str_of(defs[i].name), value, &why);
            buf_fini(&why);
        }
    }
    parse(value);
    return 0;
}
