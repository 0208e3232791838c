/* meta/controller_topics.c - CreateTopics and CreatePartitions: from request to records.
 *
 * Topics of one request are judged one by one; those that are fine are made, the others answered
 * with their error. What the whole operation may add is bounded first. Pure. */
#include <string.h>

#include "base/assert.h"
#include "base/limits.h"
#include "meta/config_def.h"
#include "meta/controller_priv.h"
#include "proto/config_record.h"
#include "proto/create_partitions_request.h"
#include "proto/create_partitions_response.h"
#include "proto/create_topics_request.h"
#include "proto/create_topics_response.h"
#include "proto/topic_record.h"

static const char METADATA_TOPIC[] = "__cluster_metadata";

#define TOO_MANY "Excessively large number of partitions per request."

/* ---- create ---- */

/* What one topic will be, once it was found fine. */
struct plan {
    const struct proto_create_topics_request_creatable_topic *topic;
    struct proto_create_topics_response_creatable_topic_result *result;
    int32_t partition_count;
    int16_t replica_count;
    struct uuid id;
    /* by partition; NULL: placed by chance */
    const struct proto_create_topics_request_creatable_replica_assignment **assignments;
    struct meta_config_target configs;
};

static void
refuse(struct plan *plan, enum proto_error error, struct str message)
{
    plan->result->error_code = (int16_t)error;
    plan->result->error_message = message;
    plan->result->topic_id = UUID_ZERO;
    plan->result->configs.count = 0;
    plan->result->num_partitions = -1;
    plan->result->replication_factor = -1;
}

static bool
any_topic_begins(const struct meta_image *image, struct str prefix)
{
    const struct meta_topic *topic = meta_image_topic(image, prefix);
    if (topic == NULL)
        topic = meta_image_topic_after(image, prefix);
    return topic != NULL && topic->name.len >= prefix.len &&
           memcmp(topic->name.data, prefix.data, prefix.len) == 0;
}

/* Names that differ only in '.' and '_' would be one name in metrics. Tries both at each place from
 * `at` on, as far as topics begin so: steps follow the topics that are alike, not all topics. */
static const struct meta_topic *
find_collision(const struct meta_image *image, char *name, size_t len, size_t at)
{
    static const char marks[] = {'.', '_'};
    ASSERT(at <= len);
    while (at < len && name[at] != '.' && name[at] != '_')
        at++;
    if (at == len)
        return meta_image_topic(image, (struct str){name, len});
    for (size_t i = 0; i < COUNT_OF(marks); i++) {
        name[at] = marks[i];
        if (!any_topic_begins(image, (struct str){name, at + 1}))
            continue;
        const struct meta_topic *topic = find_collision(image, name, len, at + 1);
        if (topic != NULL)
            return topic;
    }
    name[at] = '.';
    return NULL;
}

static bool
check_name(struct meta_op *op, const struct meta_name *named, struct plan *plan)
{
    struct str name = plan->topic->name;
    struct str problem = meta_topic_name_problem(op->arena, name);
    char copy[LIMIT_TOPIC_NAME];
    if (named->times > 1) {
        refuse(plan, PROTO_ERROR_INVALID_REQUEST, STR("Duplicate topic name."));
    } else if (str_eq_z(name, METADATA_TOPIC)) {
        refuse(plan, PROTO_ERROR_INVALID_REQUEST,
            STR("Creation of internal topic __cluster_metadata is prohibited."));
    } else if (!str_is_null(problem)) {
        refuse(plan, PROTO_ERROR_INVALID_TOPIC_EXCEPTION, problem);
    } else if (meta_image_topic(op->image, name) != NULL) {
        refuse(plan, PROTO_ERROR_TOPIC_ALREADY_EXISTS,
            arena_printf(op->arena, "Topic '%.*s' already exists.", STR_FMT(name)));
    } else {
        memcpy(copy, name.data, name.len);
        const struct meta_topic *other = find_collision(op->image, copy, name.len, 0);
        if (other == NULL)
            return true;
        refuse(plan, PROTO_ERROR_INVALID_TOPIC_EXCEPTION,
            arena_printf(op->arena, "Topic '%.*s' collides with existing topic: %.*s",
                STR_FMT(name), STR_FMT(other->name)));
    }
    return false;
}

/* By partition, for a topic of `count` assignments; NULL with a refusal when they are not 0,
 * 1, 2... or one is not possible. */
static const struct proto_create_topics_request_creatable_replica_assignment **
check_assignments(struct meta_op *op, struct plan *plan, int32_t count)
{
    const struct proto_create_topics_request_creatable_replica_assignment **by_partition =
        arena_calloc(op->arena, (size_t)count, sizeof *by_partition);
    struct meta_name *marks;
    bool gap = false;
    if (by_partition == NULL || meta_names_new(op->arena, count, &marks) != ERR_OK) {
        refuse(plan, PROTO_ERROR_UNKNOWN_SERVER_ERROR, STR_NULL);
        return NULL;
    }
    for (int32_t i = 0; i < count; i++)
        marks[i] = (struct meta_name){
            .kind = plan->topic->assignments.items[i].partition_index, .name = STR(""), .index = i};
    meta_names_mark(marks, count);
    for (int32_t i = 0; i < count; i++) {
        const struct proto_create_topics_request_creatable_replica_assignment *one =
            &plan->topic->assignments.items[i];
        int32_t index = one->partition_index;
        struct str message = STR_NULL;
        bool inside = index >= 0 && index < count;
        if (marks[i].first != i) {
            refuse(plan, PROTO_ERROR_INVALID_REPLICA_ASSIGNMENT,
                arena_printf(op->arena,
                    "Found multiple manual partition assignments for partition %d", (int)index));
            return NULL;
        }
        enum proto_error error =
            meta_check_assignment(op, one->broker_ids.items, one->broker_ids.count,
                i == 0 ? -1 : plan->topic->assignments.items[0].broker_ids.count, &message);
        if (error == PROTO_ERROR_NONE)
            error =
                meta_check_alive(op, one->broker_ids.items, one->broker_ids.count, index, &message);
        if (error != PROTO_ERROR_NONE) {
            refuse(plan, error, message);
            return NULL;
        }
        gap = gap || !inside;
        if (inside)
            by_partition[index] = one;
    }
    if (!gap)
        return by_partition;
    refuse(plan, PROTO_ERROR_INVALID_REPLICA_ASSIGNMENT,
        STR("partitions should be a consecutive 0-based integer sequence"));
    return NULL;
}

static bool
check_manual(struct meta_op *op, struct plan *plan)
{
    const struct proto_create_topics_request_creatable_topic *topic = plan->topic;
    if (topic->replication_factor != -1) {
        refuse(plan, PROTO_ERROR_INVALID_REQUEST,
            STR("A manual partition assignment was specified, but replication factor was not set "
                "to -1."));
        return false;
    }
    if (topic->num_partitions != -1) {
        refuse(plan, PROTO_ERROR_INVALID_REQUEST,
            STR("A manual partition assignment was specified, but numPartitions was not set to "
                "-1."));
        return false;
    }
    plan->assignments = check_assignments(op, plan, topic->assignments.count);
    if (plan->assignments == NULL)
        return false;
    plan->partition_count = topic->assignments.count;
    plan->replica_count = (int16_t)topic->assignments.items[0].broker_ids.count;
    return true;
}

static int64_t
broker_number(const struct meta_op *op, const char *key, int64_t fallback)
{
    int64_t v = fallback;
    struct meta_config_value value =
        meta_config_broker(op->image, op->ctl->rules, op->ctl->node_id, str_of(key));
    if (!str_is_null(value.value))
        (void)config_parse_i64(value.value, &v);
    return v;
}

static bool
check_counts(struct meta_op *op, struct plan *plan)
{
    const struct proto_create_topics_request_creatable_topic *topic = plan->topic;
    int32_t alive[META_BROKERS_MAX];
    int32_t broker_count = meta_alive_brokers(op->image, alive, META_BROKERS_MAX);
    plan->partition_count = topic->num_partitions == -1
                                ? (int32_t)broker_number(op, "num.partitions", 1)
                                : topic->num_partitions;
    plan->replica_count = topic->replication_factor == -1
                              ? (int16_t)broker_number(op, "default.replication.factor", 1)
                              : topic->replication_factor;
    if (plan->replica_count <= 0) {
        refuse(plan, PROTO_ERROR_INVALID_REPLICATION_FACTOR,
            STR("Replication factor must be larger than 0, or -1 to use the default value."));
    } else if (plan->partition_count <= 0) {
        refuse(plan, PROTO_ERROR_INVALID_PARTITIONS,
            STR("Number of partitions was set to an invalid non-positive value."));
    } else if (plan->replica_count > broker_count) {
        refuse(plan, PROTO_ERROR_INVALID_REPLICATION_FACTOR,
            arena_printf(op->arena,
                "Unable to replicate the partition %d time(s): The target replication factor of "
                "%d cannot be reached because only %d broker(s) are registered or some "
                "brokers have all their log directories cordoned.",
                (int)plan->replica_count, (int)plan->replica_count, (int)broker_count));
    } else {
        return true;
    }
    return false;
}

/* Of a key given twice the last counts. */
static bool
check_configs(struct meta_op *op, struct plan *plan)
{
    const struct proto_create_topics_request_creatable_topic *topic = plan->topic;
    int32_t count = topic->configs.count;
    struct meta_config_target target = {META_RESOURCE_TOPIC, topic->name, 0,
        arena_calloc(op->arena, (size_t)count, sizeof *target.changes)};
    struct meta_name *names;
    if (target.changes == NULL || meta_names_new(op->arena, count, &names) != ERR_OK) {
        refuse(plan, PROTO_ERROR_UNKNOWN_SERVER_ERROR, STR_NULL);
        return false;
    }
    for (int32_t i = 0; i < count; i++)
        names[i] = (struct meta_name){.name = topic->configs.items[i].name, .index = i};
    meta_names_mark(names, count);
    for (int32_t i = 0; i < count; i++) {
        struct meta_config_change change = {
            .key = topic->configs.items[i].name, .result = topic->configs.items[i].value};
        if (str_is_null(change.result)) {
            refuse(plan, PROTO_ERROR_INVALID_CONFIG,
                arena_printf(op->arena, "Null value not supported for topic configs: %.*s",
                    STR_FMT(change.key)));
            return false;
        }
        if (names[i].first == i)
            names[i].times = target.count++;
        target.changes[names[names[i].first].times] = change;
    }
    struct meta_verdict verdict = meta_check_config_values(op, &target);
    plan->configs = target;
    if (verdict.error == PROTO_ERROR_NONE)
        return true;
    refuse(plan, verdict.error, verdict.message);
    return false;
}

static enum err
add_topic(struct meta_op *op, const struct plan *plan)
{
    const struct proto_create_topics_request_creatable_topic *topic = plan->topic;
    struct proto_topic_record record = {.name = topic->name, .topic_id = plan->id};
    uint32_t start;
    op->ctl->random(op->ctl->random_ctx, &start, sizeof start);
    meta_records_add(op->records, META_RECORD_TOPIC, 0, &proto_topic_record_schema, &record);
    for (int32_t i = 0; i < plan->configs.count; i++) {
        struct proto_config_record config = {.resource_type = META_RESOURCE_TOPIC,
            .resource_name = topic->name,
            .name = plan->configs.changes[i].key,
            .value = plan->configs.changes[i].result};
        meta_records_add(op->records, META_RECORD_CONFIG, 0, &proto_config_record_schema, &config);
    }
    for (int32_t i = 0; i < plan->partition_count; i++) {
        const int32_t *replicas = NULL;
        if (plan->assignments != NULL) {
            replicas = plan->assignments[i]->broker_ids.items;
        } else {
            enum err err = meta_place(op, start, i, plan->replica_count, &replicas);
            if (err != ERR_OK)
                return err;
        }
        meta_add_partition(op, plan->id, i, replicas, plan->replica_count);
    }
    return ERR_OK;
}

/* A broker key may be in another unit: log.retention.hours stands for retention.ms. */
static struct str
scaled(const struct meta_op *op, const struct config_def *def, struct meta_config_value value)
{
    int64_t number;
    for (int i = 0; i < CONFIG_SYNONYMS_MAX && def->synonyms[i].name != NULL; i++)
        if (def->synonyms[i].factor != 1 && str_eq_z(value.key, def->synonyms[i].name) &&
            config_parse_i64(value.value, &number))
            return arena_printf(op->arena, "%lld",
                (long long)(number < 0 ? number : number * def->synonyms[i].factor));
    return value.value;
}

typedef struct proto_create_topics_response_creatable_topic_configs config_out;

/* What is in force for a new topic that says nothing: worked out once for a request. */
struct defaults {
    config_out *items; /* sorted by name; NULL until needed */
    int32_t count;
};

static enum err
defaults_fill(struct meta_op *op, struct defaults *defaults)
{
    size_t count;
    const struct config_def *defs = config_def_list(CONFIG_SCOPE_TOPIC, &count);
    config_out *items = arena_calloc(op->arena, count, sizeof *items);
    if (items == NULL)
        return ERR_NOMEM;
    for (size_t i = 0; i < count; i++) {
        if (defs[i].internal)
            continue;
        struct meta_config_value value = meta_config_topic(
            op->image, op->ctl->rules, op->ctl->node_id, STR(""), str_of(defs[i].name));
        config_out *out = &items[defaults->count++];
        out->name = str_of(defs[i].name);
        out->value = str_is_null(value.value) ? STR_NULL : scaled(op, &defs[i], value);
        out->config_source = (int8_t)value.source;
    }
    defaults->items = items;
    return ERR_OK;
}

/* v5+: every key of the new topic, with the value that will be in force. */
static enum err
answer_configs(struct meta_op *op, const struct plan *plan, struct defaults *defaults)
{
    enum err err = defaults->items == NULL ? defaults_fill(op, defaults) : ERR_OK;
    if (err != ERR_OK)
        return err;
    plan->result->configs.items = defaults->items;
    plan->result->configs.count = defaults->count;
    if (plan->configs.count == 0)
        return ERR_OK;
    config_out *own = arena_calloc(op->arena, (size_t)defaults->count, sizeof *own);
    if (own == NULL)
        return ERR_NOMEM;
    memcpy(own, defaults->items, (size_t)defaults->count * sizeof *own);
    for (int32_t i = 0; i < defaults->count; i++)
        for (int32_t j = 0; j < plan->configs.count; j++)
            if (str_eq(plan->configs.changes[j].key, own[i].name)) {
                own[i].value = plan->configs.changes[j].result;
                own[i].config_source = META_CONFIG_SOURCE_TOPIC;
            }
    plan->result->configs.items = own;
    return ERR_OK;
}

static enum err
judge_topic(struct meta_op *op, const struct meta_name *named, bool too_many,
    struct defaults *defaults, struct plan *plan)
{
    plan->result->name = plan->topic->name;
    plan->result->configs.count = 0;
    if (too_many) {
        refuse(plan, PROTO_ERROR_POLICY_VIOLATION, STR(TOO_MANY));
        return ERR_OK;
    }
    bool fine =
        check_name(op, named, plan) && check_configs(op, plan) &&
        (plan->topic->assignments.count > 0 ? check_manual(op, plan) : check_counts(op, plan));
    if (!fine)
        return ERR_OK;
    uint8_t bytes[16];
    do {
        op->ctl->random(op->ctl->random_ctx, bytes, sizeof bytes);
        plan->id = uuid_from_random(bytes);
    } while (!uuid_is_usable(plan->id) || meta_image_topic_by_id(op->image, plan->id) != NULL);
    plan->result->topic_id = plan->id;
    plan->result->num_partitions = plan->partition_count;
    plan->result->replication_factor = plan->replica_count;
    return op->req->version >= 5 ? answer_configs(op, plan, defaults) : ERR_OK;
}

/* What all topics of a request add is bounded before the first is judged. */
static bool
too_many_partitions(const struct meta_op *op, const struct proto_create_topics_request *request)
{
    int64_t total = 0;
    for (int32_t i = 0; i < request->topics.count; i++) {
        const struct proto_create_topics_request_creatable_topic *topic = &request->topics.items[i];
        if (topic->assignments.count > 0)
            total += topic->assignments.count;
        else if (topic->num_partitions > 0)
            total += topic->num_partitions;
        else
            total += broker_number(op, "num.partitions", 1);
    }
    return total > META_RECORDS_MAX;
}

enum err
meta_op_create_topics(struct meta_op *op, void *response)
{
    const struct proto_create_topics_request *request = op->req->msg;
    struct proto_create_topics_response *answer = response;
    int32_t count = request->topics.count;
    bool too_many = too_many_partitions(op, request);
    struct defaults defaults = {NULL, 0};
    int64_t total = 0;
    struct meta_name *names;
    struct plan *plans = arena_calloc(op->arena, (size_t)count, sizeof *plans);
    answer->topics.items = arena_calloc(op->arena, (size_t)count, sizeof *answer->topics.items);
    if (plans == NULL || answer->topics.items == NULL ||
        meta_names_new(op->arena, count, &names) != ERR_OK)
        return ERR_NOMEM;
    for (int32_t i = 0; i < count; i++)
        names[i] = (struct meta_name){.name = request->topics.items[i].name, .index = i};
    meta_names_mark(names, count);
    for (int32_t i = 0; i < count; i++) {
        if (names[i].first != i)
            continue; /* answered once, as a duplicate */
        struct plan *plan = &plans[answer->topics.count];
        plan->topic = &request->topics.items[i];
        plan->result = &answer->topics.items[answer->topics.count++];
        enum err err = judge_topic(op, &names[i], too_many, &defaults, plan);
        if (err != ERR_OK)
            return err;
        /* One record each for the topic, its configurations and its partitions. */
        int64_t records = 1 + (int64_t)plan->partition_count + plan->configs.count;
        if (plan->result->error_code == 0)
            total += records;
        if (total > META_RECORDS_MAX && plan->result->error_code == 0) {
            total -= records;
            refuse(plan, PROTO_ERROR_POLICY_VIOLATION, STR(TOO_MANY));
        }
        if (plan->result->error_code == 0 && !meta_may_mutate(op, plan->partition_count)) {
            total -= records;
            refuse(plan, PROTO_ERROR_THROTTLING_QUOTA_EXCEEDED, STR(META_OVER_QUOTA));
        }
    }
    for (int32_t i = 0; i < answer->topics.count && !request->validate_only; i++) {
        enum err err = plans[i].result->error_code == 0 ? add_topic(op, &plans[i]) : ERR_OK;
        if (err != ERR_OK)
            return err;
    }
    return ERR_OK;
}

/* ---- more partitions ---- */

static enum err
grow_topic(struct meta_op *op,
    const struct proto_create_partitions_request_create_partitions_topic *wanted,
    struct proto_create_partitions_response_create_partitions_topic_result *result, bool apply,
    int64_t *total)
{
    const struct meta_topic *topic = meta_image_topic(op->image, wanted->name);
    struct str message = STR_NULL;
    enum proto_error error = PROTO_ERROR_NONE;
    /* A count below zero is any client's to send. */
    int32_t added = topic == NULL       ? 0
                    : wanted->count < 0 ? -1
                                        : wanted->count - topic->partition_count;
    int32_t replica_count =
        topic == NULL || topic->partition_count == 0 ? 1 : topic->partitions[0]->replicas.count;
    if (topic == NULL) {
        error = PROTO_ERROR_UNKNOWN_TOPIC_OR_PARTITION;
    } else if (added <= 0) {
        error = PROTO_ERROR_INVALID_PARTITIONS;
        message =
            added == 0
                ? arena_printf(op->arena, "Topic already has %d partition(s).", (int)wanted->count)
                : arena_printf(op->arena,
                      "The topic %.*s currently has %d partition(s); %d would not be an increase.",
                      STR_FMT(topic->name), (int)topic->partition_count, (int)wanted->count);
    } else if (wanted->assignments.count >= 0 && wanted->assignments.count != added) {
        error = PROTO_ERROR_INVALID_REPLICA_ASSIGNMENT;
        message = arena_printf(op->arena,
            "Attempted to add %d additional partition(s), but only %d assignment(s) were "
            "specified.",
            (int)added, (int)wanted->assignments.count);
    } else if (*total + added > LIMIT_PARTITIONS_PER_OPERATION) {
        error = PROTO_ERROR_INVALID_PARTITIONS;
        message = STR("Excessively large number of partitions per request.");
    }
    for (int32_t i = 0; error == PROTO_ERROR_NONE && i < wanted->assignments.count; i++)
        error = meta_check_assignment(op, wanted->assignments.items[i].broker_ids.items,
            wanted->assignments.items[i].broker_ids.count, replica_count, &message);
    for (int32_t i = 0; error == PROTO_ERROR_NONE && i < wanted->assignments.count; i++)
        error = meta_check_alive(op, wanted->assignments.items[i].broker_ids.items,
            wanted->assignments.items[i].broker_ids.count, topic->partition_count + i, &message);
    int32_t alive[META_BROKERS_MAX];
    if (error == PROTO_ERROR_NONE && wanted->assignments.count < 0 &&
        meta_alive_brokers(op->image, alive, META_BROKERS_MAX) < replica_count) {
        error = PROTO_ERROR_INVALID_REPLICATION_FACTOR;
        message = STR("Not enough brokers are alive for the topic's replication factor.");
    }
    if (error == PROTO_ERROR_NONE && !meta_may_mutate(op, added)) {
        error = PROTO_ERROR_THROTTLING_QUOTA_EXCEEDED;
        message = STR(META_OVER_QUOTA);
    }
    result->name = wanted->name;
    result->error_code = (int16_t)error;
    result->error_message = message;
    if (error != PROTO_ERROR_NONE || !apply)
        return ERR_OK;
    *total += added;
    for (int32_t i = 0; i < added; i++) {
        const int32_t *replicas =
            wanted->assignments.count >= 0 ? wanted->assignments.items[i].broker_ids.items : NULL;
        if (replicas == NULL) {
            enum err err =
                meta_place(op, 0, topic->partition_count + i, (int16_t)replica_count, &replicas);
            if (err != ERR_OK)
                return err;
        }
        meta_add_partition(op, topic->id, topic->partition_count + i, replicas, replica_count);
    }
    return ERR_OK;
}

enum err
meta_op_create_partitions(struct meta_op *op, void *response)
{
    const struct proto_create_partitions_request *request = op->req->msg;
    struct proto_create_partitions_response *answer = response;
    int32_t count = request->topics.count;
    int64_t total = 0;
    struct meta_name *names;
    answer->results.items = arena_calloc(op->arena, (size_t)count, sizeof *answer->results.items);
    if (answer->results.items == NULL || meta_names_new(op->arena, count, &names) != ERR_OK)
        return ERR_NOMEM;
    for (int32_t i = 0; i < count; i++)
        names[i] = (struct meta_name){.name = request->topics.items[i].name, .index = i};
    meta_names_mark(names, count);
    for (int32_t i = 0; i < count; i++) {
        if (names[i].first != i)
            continue; /* answered once, as a duplicate */
        struct proto_create_partitions_response_create_partitions_topic_result *result =
            &answer->results.items[answer->results.count++];
        if (names[i].times > 1) {
            result->name = names[i].name;
            result->error_code = PROTO_ERROR_INVALID_REQUEST;
            result->error_message = STR("Duplicate topic name.");
            continue;
        }
        enum err err =
            grow_topic(op, &request->topics.items[i], result, !request->validate_only, &total);
        if (err != ERR_OK)
            return err;
    }
    return ERR_OK;
}
