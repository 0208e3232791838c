/* One line for each request type that is built, in order of keys. */
#include "broker/api_table.h"

#include <stddef.h>

#include "base/attr.h"

#define BROKER_APIS(X)                 \
    X(produce)                         \
    X(fetch)                           \
    X(list_offsets)                    \
    X(metadata)                        \
    X(offset_commit)                   \
    X(offset_fetch)                    \
    X(find_coordinator)                \
    X(join_group)                      \
    X(heartbeat)                       \
    X(leave_group)                     \
    X(sync_group)                      \
    X(describe_groups)                 \
    X(list_groups)                     \
    X(api_versions)                    \
    X(create_topics)                   \
    X(delete_topics)                   \
    X(delete_records)                  \
    X(init_producer_id)                \
    X(offset_for_leader_epoch)         \
    X(describe_configs)                \
    X(alter_configs)                   \
    X(alter_replica_log_dirs)          \
    X(describe_log_dirs)               \
    X(create_partitions)               \
    X(delete_groups)                   \
    X(elect_leaders)                   \
    X(incremental_alter_configs)       \
    X(alter_partition_reassignments)   \
    X(list_partition_reassignments)    \
    X(offset_delete)                   \
    X(describe_client_quotas)          \
    X(alter_client_quotas)             \
    X(describe_user_scram_credentials) \
    X(describe_quorum)                 \
    X(update_features)                 \
    X(describe_cluster)                \
    X(describe_producers)              \
    X(unregister_broker)               \
    X(list_config_resources)           \
    X(describe_topic_partitions)

#define X(name) extern const struct broker_api broker_api_##name;
BROKER_APIS(X)
#undef X

static const struct broker_api *const apis[] = {
#define X(name) &broker_api_##name,
    BROKER_APIS(X)
#undef X
};

const struct broker_api *
broker_api_at(int index)
{
    return index >= 0 && (size_t)index < COUNT_OF(apis) ? apis[index] : NULL;
}

const struct broker_api *
broker_api_find(int16_t key)
{
    /* Sorted, and short: a binary search touches half a dozen pointers. */
    size_t low = 0, high = COUNT_OF(apis);
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (apis[middle]->key == key)
            return apis[middle];
        if (apis[middle]->key < key)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}
