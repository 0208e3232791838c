/* meta/quota_keys.h - the words of client quotas: types of entities, keys and what they may be. */
#ifndef META_QUOTA_KEYS_H
#define META_QUOTA_KEYS_H

#include <stdbool.h>

#include "base/bytes.h"

#define META_QUOTA_USER "user"
#define META_QUOTA_CLIENT_ID "client-id"
#define META_QUOTA_IP "ip"

enum meta_quota_kind { META_QUOTA_LONG, META_QUOTA_INT, META_QUOTA_DOUBLE };

enum meta_quota_key_id {
    META_QUOTA_PRODUCER_BYTE_RATE,
    META_QUOTA_CONSUMER_BYTE_RATE,
    META_QUOTA_REQUEST_PERCENTAGE,
    META_QUOTA_CONTROLLER_MUTATION_RATE,
    META_QUOTA_CONNECTION_CREATION_RATE,
    META_QUOTA_KEY_COUNT
};

struct meta_quota_key_def {
    const char *name;
    enum meta_quota_kind kind;
    bool of_ip; /* of addresses; otherwise of users and clients */
};
extern const struct meta_quota_key_def meta_quota_keys[META_QUOTA_KEY_COUNT];

/* NULL: no such key. */
const struct meta_quota_key_def *meta_quota_key_find(struct str name);

#endif
