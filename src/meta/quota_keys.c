#include "meta/quota_keys.h"

#include <stddef.h>

const struct meta_quota_key_def meta_quota_keys[META_QUOTA_KEY_COUNT] = {
    [META_QUOTA_PRODUCER_BYTE_RATE] = {"producer_byte_rate", META_QUOTA_LONG, false},
    [META_QUOTA_CONSUMER_BYTE_RATE] = {"consumer_byte_rate", META_QUOTA_LONG, false},
    [META_QUOTA_REQUEST_PERCENTAGE] = {"request_percentage", META_QUOTA_DOUBLE, false},
    [META_QUOTA_CONTROLLER_MUTATION_RATE] = {"controller_mutation_rate", META_QUOTA_DOUBLE, false},
    [META_QUOTA_CONNECTION_CREATION_RATE] = {"connection_creation_rate", META_QUOTA_INT, true},
};

const struct meta_quota_key_def *
meta_quota_key_find(struct str name)
{
    for (int i = 0; i < META_QUOTA_KEY_COUNT; i++)
        if (str_eq_z(name, meta_quota_keys[i].name))
            return &meta_quota_keys[i];
    return NULL;
}
