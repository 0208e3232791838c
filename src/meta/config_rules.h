/* meta/config_rules.h - struct meta_config_rules over the table of keys and a node's static values.
 */
#ifndef META_CONFIG_RULES_H
#define META_CONFIG_RULES_H

#include "meta/config.h"

/* The node's configuration as written; STR_NULL when a key is not set. */
struct meta_config_static {
    struct str (*value)(void *ctx, struct str key);
    void *ctx;
};

/* The source must outlive the rules; NULL: nothing is set. */
struct meta_config_rules meta_config_rules_make(const struct meta_config_static *source);

#endif
