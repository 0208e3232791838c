/* meta/controller_place.c - names of topics, and where the replicas of partitions go. Pure. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/limits.h"
#include "meta/controller_priv.h"
#include "proto/partition_record.h"

enum { ELR_METADATA_VERSION = 23, DIRECTORIES_METADATA_VERSION = 17 };

struct str
meta_topic_name_problem(struct arena *arena, struct str name)
{
    if (name.len == 0)
        return STR("Topic name is invalid: the empty string is not allowed");
    if (str_eq_z(name, ".") || str_eq_z(name, ".."))
        return arena_printf(arena, "Topic name is invalid: '%.*s' is not allowed", STR_FMT(name));
    if (name.len > LIMIT_TOPIC_NAME)
        return arena_printf(arena,
            "Topic name is invalid: the length of '%.*s' is longer than the max allowed length %d",
            STR_FMT(name), LIMIT_TOPIC_NAME);
    for (size_t i = 0; i < name.len; i++) {
        unsigned char c = (unsigned char)name.data[i];
        if (c >= 0x80 || !(isalnum(c) || c == '.' || c == '_' || c == '-'))
            return arena_printf(arena,
                "Topic name is invalid: '%.*s' contains one or more characters other than ASCII "
                "alphanumerics, '.', '_' and '-'",
                STR_FMT(name));
    }
    return STR_NULL;
}

int32_t
meta_alive_brokers(const struct meta_image *image, int32_t *out, int32_t max)
{
    int32_t count = 0;
    const struct meta_broker *broker = meta_image_broker_after(image, -1);
    for (; broker != NULL && count < max; broker = meta_image_broker_after(image, broker->id))
        if (!broker->fenced && !broker->in_controlled_shutdown)
            out[count++] = broker->id;
    return count;
}

enum err
meta_place(struct meta_op *op, uint32_t start, int32_t index, int16_t replica_count,
    const int32_t **replicas)
{
    int32_t alive[META_BROKERS_MAX];
    int32_t count = meta_alive_brokers(op->image, alive, META_BROKERS_MAX);
    int32_t *out = arena_calloc(op->arena, (size_t)replica_count, sizeof *out);
    ASSERT(replica_count > 0 && replica_count <= count);
    if (out == NULL)
        return ERR_NOMEM;
    /* Leaders go round; followers follow with a stride that grows each time round, so that the load
     * of a dead broker spreads over all others. */
    uint32_t leader = (start + (uint32_t)index) % (uint32_t)count;
    uint32_t stride = ((uint32_t)index / (uint32_t)count) % (uint32_t)(count > 1 ? count - 1 : 1);
    for (int16_t r = 0; r < replica_count; r++) {
        uint32_t at = r == 0 ? leader
                             : (leader + 1 + (stride + (uint32_t)r - 1) % (uint32_t)(count - 1)) %
                                   (uint32_t)count;
        out[r] = alive[at];
    }
    *replicas = out;
    return ERR_OK;
}

/* The directory when the broker has just one; otherwise the broker assigns and tells. */
struct uuid
meta_directory_of(const struct meta_image *image, int32_t broker_id)
{
    const struct meta_broker *broker = meta_image_broker(image, broker_id);
    if (broker != NULL && broker->log_dir_count == 1)
        return broker->log_dirs[0];
    return META_DIR_UNASSIGNED;
}

int16_t
meta_partition_record_version(const struct meta_image *image)
{
    int16_t level = meta_image_feature(image, STR("metadata.version"));
    return level >= ELR_METADATA_VERSION ? 2 : level >= DIRECTORIES_METADATA_VERSION;
}

void
meta_add_partition(struct meta_op *op, struct uuid topic_id, int32_t index, const int32_t *replicas,
    int32_t replica_count)
{
    struct proto_partition_record record;
    int16_t version = meta_partition_record_version(op->image);
    int32_t *isr = arena_calloc(op->arena, (size_t)replica_count, sizeof *isr);
    struct uuid *directories = arena_calloc(op->arena, (size_t)replica_count, sizeof *directories);
    if (isr == NULL || directories == NULL) {
        op->records->err = ERR_NOMEM;
        return;
    }
    proto_init(&proto_partition_record_schema, &record);
    record.partition_id = index;
    record.topic_id = topic_id;
    record.replicas.items = (int32_t *)(uintptr_t)replicas;
    record.replicas.count = replica_count;
    record.isr.items = isr;
    record.isr.count = 0;
    record.leader = -1;
    record.leader_epoch = 0;
    record.partition_epoch = 0;
    for (int32_t i = 0; i < replica_count; i++) {
        if (!meta_image_broker_is_alive(op->image, replicas[i]))
            continue;
        if (record.leader < 0)
            record.leader = replicas[i];
        isr[record.isr.count++] = replicas[i];
    }
    if (version >= 1) {
        for (int32_t i = 0; i < replica_count; i++)
            directories[i] = meta_directory_of(op->image, replicas[i]);
        record.directories.items = directories;
        record.directories.count = replica_count;
    }
    meta_records_add(
        op->records, META_RECORD_PARTITION, version, &proto_partition_record_schema, &record);
}

static int
by_number(const void *a, const void *b)
{
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return (x > y) - (x < y);
}

enum proto_error
meta_check_assignment(struct meta_op *op, const int32_t *replicas, int32_t count,
    int32_t count_wanted, struct str *message)
{
    if (count == 0) {
        *message = STR("The manual partition assignment includes an empty replica list.");
        return PROTO_ERROR_INVALID_REPLICA_ASSIGNMENT;
    }
    /* Sorted, so that a list of any length costs no more than sorting it. */
    int32_t *sorted = arena_alloc(op->arena, (size_t)count * sizeof *sorted);
    if (sorted == NULL) {
        *message = STR_NULL;
        return PROTO_ERROR_UNKNOWN_SERVER_ERROR;
    }
    memcpy(sorted, replicas, (size_t)count * sizeof *sorted);
    qsort(sorted, (size_t)count, sizeof *sorted, by_number);
    for (int32_t i = 0; i < count; i++) {
        if (meta_image_broker(op->image, sorted[i]) == NULL) {
            *message = arena_printf(op->arena,
                "The manual partition assignment includes broker %d, but no such broker is "
                "registered.",
                (int)sorted[i]);
            return PROTO_ERROR_INVALID_REPLICA_ASSIGNMENT;
        }
        if (i > 0 && sorted[i] == sorted[i - 1]) {
            *message = arena_printf(op->arena,
                "The manual partition assignment includes the broker %d more than once.",
                (int)sorted[i]);
            return PROTO_ERROR_INVALID_REPLICA_ASSIGNMENT;
        }
    }
    if (count_wanted >= 0 && count != count_wanted) {
        *message = arena_printf(op->arena,
            "The manual partition assignment includes a partition with %d replica(s), but this is "
            "not consistent with previous partitions, which have %d replica(s).",
            (int)count, (int)count_wanted);
        return PROTO_ERROR_INVALID_REPLICA_ASSIGNMENT;
    }
    return PROTO_ERROR_NONE;
}

enum proto_error
meta_check_alive(struct meta_op *op, const int32_t *replicas, int32_t count, int32_t partition,
    struct str *message)
{
    for (int32_t i = 0; i < count; i++)
        if (meta_image_broker_is_alive(op->image, replicas[i]))
            return PROTO_ERROR_NONE;
    *message = arena_printf(op->arena,
        "All brokers specified in the manual partition assignment for partition %d are fenced or "
        "in controlled shutdown.",
        (int)partition);
    return PROTO_ERROR_INVALID_REPLICA_ASSIGNMENT;
}
