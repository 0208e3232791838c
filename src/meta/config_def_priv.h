/* meta/config_def_priv.h - the generated tables that meta/config_def.c searches. */
#ifndef META_CONFIG_DEF_PRIV_H
#define META_CONFIG_DEF_PRIV_H

#include "meta/config_def.h"

struct config_table {
    const struct config_def *defs;
    size_t count;
};

extern const struct config_table config_tables[CONFIG_SCOPE_COUNT];

#endif
