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
enum err meta_op_elect_leaders(struct meta_op *op, void *response);
enum err meta_op_list_reassignments(struct meta_op *op, void *response);

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
/* Kafka's rules for names; NULL or what is wrong. */
const char *meta_topic_name_problem(struct str name);

enum { META_BROKERS_MAX = 1024 };

#endif
