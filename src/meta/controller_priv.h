/* meta/controller_priv.h - one handler per request type, for controller.c. */
#ifndef META_CONTROLLER_PRIV_H
#define META_CONTROLLER_PRIV_H

#include "meta/controller.h"
#include "proto/error_codes.h"

struct meta_op {
    const struct meta_controller *ctl;
    const struct meta_image *image;
    int64_t offset_next;
    const struct meta_request *req;
    struct arena *arena;
    struct meta_records *records;
};

/* Whether the asker's quota has room for as many changes of partitions. */
static inline bool
meta_may_mutate(const struct meta_op *op, int64_t partitions)
{
    const struct meta_mutation_quota *quota = &op->req->mutations;
    return quota->take == NULL || quota->take(quota->ctx, partitions);
}
#define META_OVER_QUOTA "The throttling quota has been exceeded."

enum err meta_op_create_topics(struct meta_op *op, void *response);
enum err meta_op_delete_topics(struct meta_op *op, void *response);
enum err meta_op_create_partitions(struct meta_op *op, void *response);
enum err meta_op_incremental_alter_configs(struct meta_op *op, void *response);
enum err meta_op_alter_configs(struct meta_op *op, void *response);
enum err meta_op_broker_registration(struct meta_op *op, void *response);
enum err meta_op_broker_heartbeat(struct meta_op *op, void *response);
enum err meta_op_unregister_broker(struct meta_op *op, void *response);
enum err meta_op_allocate_producer_ids(struct meta_op *op, void *response);
enum err meta_op_update_features(struct meta_op *op, void *response);
enum err meta_op_alter_client_quotas(struct meta_op *op, void *response);
enum err meta_op_elect_leaders(struct meta_op *op, void *response);
enum err meta_op_alter_reassignments(struct meta_op *op, void *response);
enum err meta_op_list_reassignments(struct meta_op *op, void *response);

/* controller_names.c: names that a request holds more than once, found in n log n steps whatever
 * they are. Allocate, set kind, name and index = position of each, then mark. */
struct meta_name {
    int32_t kind;
    struct str name;
    int32_t index;
    int32_t times; /* how often kind and name occur */
    int32_t first; /* where they occur first */
};
MUST_USE enum err meta_names_new(struct arena *arena, int32_t count, struct meta_name **out);
void meta_names_mark(struct meta_name *names, int32_t count);

/* ---- configuration: controller_configs.c and controller_config_checks.c ---- */

struct meta_verdict {
    enum proto_error error;
    struct str message;
};
struct meta_config_change {
    struct str key;
    int8_t op;
    struct str value;
    struct str result; /* the override that it makes; null: none */
};
struct meta_config_target {
    int8_t type;
    struct str name;
    int32_t count;
    struct meta_config_change *changes; /* no key twice */
};
/* One value on its own. */
struct meta_verdict meta_check_config(
    const struct meta_op *op, int8_t type, struct str key, struct str value);
/* All that will be set, on its own and together. */
struct meta_verdict meta_check_config_values(
    const struct meta_op *op, const struct meta_config_target *target);
/* The same, and that there is such a resource. */
struct meta_verdict meta_check_configs(
    const struct meta_op *op, const struct meta_config_target *target);

/* controller_elect.c */
/* Gives the partition a new leader. One that comes from outside the in-sync set (an eligible
 * leader, KIP-966) becomes the set; the eligible ones are then no longer needed. */
void meta_change_leader(struct meta_op *op, const struct meta_topic *topic,
    const struct meta_partition *partition, int32_t leader);
/* controller_fence.c */
enum { META_CHANGES_MAX = META_RECORDS_MAX - 100 }; /* of partitions in one operation */
/* The broker is in sync and leads nowhere any more. False: there is more than one operation holds;
 * when these changes are committed, ask again. */
MUST_USE bool meta_take_out_broker(struct meta_op *op, int32_t broker_id);
/* controller_place.c: where new partitions go. */
int32_t meta_alive_brokers(const struct meta_image *image, int32_t *out, int32_t max);
/* One PartitionRecord, its leader the first alive replica. */
void meta_add_partition(struct meta_op *op, struct uuid topic_id, int32_t index,
    const int32_t *replicas, int32_t replica_count);
/* replica_count brokers for the index-th partition, spread from a start chosen by chance. */
MUST_USE enum err meta_place(struct meta_op *op, uint32_t start, int32_t index,
    int16_t replica_count, const int32_t **replicas);
/* Checks a manual assignment; NONE or the error with a text. */
enum proto_error meta_check_assignment(struct meta_op *op, const int32_t *replicas, int32_t count,
    int32_t count_wanted, struct str *message);
/* That one of them can lead. */
enum proto_error meta_check_alive(struct meta_op *op, const int32_t *replicas, int32_t count,
    int32_t partition, struct str *message);
/* Kafka's rules for names; null, or what is wrong, as Kafka says it. */
struct str meta_topic_name_problem(struct arena *arena, struct str name);
/* The broker's directory when it has just one; otherwise the broker assigns and tells. */
struct uuid meta_directory_of(const struct meta_image *image, int32_t broker_id);
/* Of PartitionRecord and PartitionChangeRecord, as far as the cluster's features go. */
int16_t meta_partition_record_version(const struct meta_image *image);

enum { META_BROKERS_MAX = 1024 };

#endif
