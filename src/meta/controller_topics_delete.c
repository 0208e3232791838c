/* meta/controller_topics_delete.c - DeleteTopics, by names and by ids. Pure.
 *
 * What is named twice, in whatever way, is refused once and kept. */
#include <string.h>

#include "base/assert.h"
#include "meta/config_def.h"
#include "meta/controller_priv.h"
#include "proto/delete_topics_request.h"
#include "proto/delete_topics_response.h"
#include "proto/remove_topic_record.h"

enum { BY_NAME, BY_ID, BY_NEITHER };

typedef struct proto_delete_topics_response_deletable_topic_result result_out;

static void
refuse(result_out *out, enum proto_error error, const char *message)
{
    out->error_code = (int16_t)error;
    out->error_message = str_of(message);
}

/* The topic meant, or NULL with the error in the result. */
static const struct meta_topic *
find_deletable(const struct meta_op *op, result_out *out)
{
    bool by_id = str_is_null(out->name);
    if (!by_id && !uuid_is_zero(out->topic_id)) {
        refuse(
            out, PROTO_ERROR_INVALID_REQUEST, "You may not specify both topic name and topic id.");
        return NULL;
    }
    if (by_id && uuid_is_zero(out->topic_id)) {
        refuse(out, PROTO_ERROR_INVALID_REQUEST, "Neither topic name nor id were specified.");
        return NULL;
    }
    const struct meta_topic *topic = by_id ? meta_image_topic_by_id(op->image, out->topic_id)
                                           : meta_image_topic(op->image, out->name);
    if (topic != NULL)
        return topic;
    if (by_id)
        refuse(out, PROTO_ERROR_UNKNOWN_TOPIC_ID, "This server does not host this topic ID.");
    else
        refuse(out, PROTO_ERROR_UNKNOWN_TOPIC_OR_PARTITION,
            "This server does not host this topic-partition.");
    return NULL;
}

static bool
deletion_enabled(const struct meta_op *op)
{
    bool enabled = true;
    struct meta_config_value value =
        meta_config_broker(op->image, op->ctl->rules, op->ctl->node_id, STR("delete.topic.enable"));
    if (!str_is_null(value.value))
        (void)config_parse_bool(value.value, &enabled);
    return enabled;
}

/* One result for each topic asked for. */
static enum err
list_wanted(const struct meta_op *op, result_out **items, int32_t *count)
{
    const struct proto_delete_topics_request *request = op->req->msg;
    bool by_state = op->req->version >= 6;
    int32_t n = by_state ? request->topics.count : request->topic_names.count;
    result_out *out = arena_calloc(op->arena, (size_t)n, sizeof *out);
    if (out == NULL)
        return ERR_NOMEM;
    for (int32_t i = 0; i < n; i++) {
        out[i].name = by_state ? request->topics.items[i].name : request->topic_names.items[i];
        out[i].topic_id = by_state ? request->topics.items[i].topic_id : UUID_ZERO;
        out[i].error_message = STR_NULL;
    }
    *items = out;
    *count = n;
    return ERR_OK;
}

/* Leaves out what was named before in the same way, refuses what was named again. */
static enum err
drop_twice(const struct meta_op *op, result_out *items, int32_t *count)
{
    struct meta_name *names;
    int32_t kept = 0;
    enum err err = meta_names_new(op->arena, *count, &names);
    if (err != ERR_OK)
        return err;
    for (int32_t i = 0; i < *count; i++) {
        bool by_id = str_is_null(items[i].name);
        bool odd = by_id == uuid_is_zero(items[i].topic_id);
        names[i] = (struct meta_name){.kind = odd     ? BY_NEITHER + i
                                              : by_id ? BY_ID
                                                      : BY_NAME,
            .name = by_id ? (struct str){(const char *)&items[i].topic_id, sizeof(struct uuid)}
                          : items[i].name,
            .index = i};
    }
    meta_names_mark(names, *count);
    /* The names point into items: marks are read before an item moves over another. */
    for (int32_t i = 0; i < *count; i++) {
        if (names[i].first != i)
            continue;
        items[kept] = items[i];
        if (names[i].times > 1)
            refuse(&items[kept], PROTO_ERROR_INVALID_REQUEST,
                names[i].kind == BY_ID ? "Duplicate topic id." : "Duplicate topic name.");
        kept++;
    }
    *count = kept;
    return ERR_OK;
}

/* A topic meant by its name and by its id as well: the name is answered, with a refusal. */
static enum err
drop_both(
    const struct meta_op *op, const struct meta_topic **topics, result_out *items, int32_t *count)
{
    struct meta_name *names;
    int32_t kept = 0;
    enum err err = meta_names_new(op->arena, *count, &names);
    if (err != ERR_OK)
        return err;
    for (int32_t i = 0; i < *count; i++)
        names[i] = (struct meta_name){.kind = topics[i] == NULL ? 1 + i : 0,
            .name = topics[i] == NULL ? STR("") : topics[i]->name,
            .index = i};
    meta_names_mark(names, *count);
    for (int32_t i = 0; i < *count; i++) {
        bool twice = names[i].times > 1;
        if (twice && str_is_null(items[i].name))
            continue;
        const struct meta_topic *topic = topics[i];
        items[kept] = items[i];
        if (topic != NULL) {
            items[kept].name = topic->name;
            items[kept].topic_id = topic->id;
        }
        if (twice)
            refuse(&items[kept], PROTO_ERROR_INVALID_REQUEST,
                "The provided topic name maps to an ID that was already supplied.");
        topics[kept++] = twice ? NULL : topic;
    }
    *count = kept;
    return ERR_OK;
}

enum err
meta_op_delete_topics(struct meta_op *op, void *response)
{
    struct proto_delete_topics_response *answer = response;
    int32_t count;
    result_out *items;
    enum err err = list_wanted(op, &items, &count);
    if (err != ERR_OK)
        return err;
    const struct meta_topic **topics = arena_calloc(op->arena, (size_t)count, sizeof *topics);
    if (topics == NULL)
        return ERR_NOMEM;
    bool enabled = deletion_enabled(op);
    if (enabled)
        err = drop_twice(op, items, &count);
    for (int32_t i = 0; err == ERR_OK && i < count; i++) {
        if (!enabled)
            refuse(&items[i],
                op->req->version < 3 ? PROTO_ERROR_INVALID_REQUEST
                                     : PROTO_ERROR_TOPIC_DELETION_DISABLED,
                NULL);
        else if (items[i].error_code == PROTO_ERROR_NONE)
            topics[i] = find_deletable(op, &items[i]);
    }
    if (err == ERR_OK && enabled)
        err = drop_both(op, topics, items, &count);
    if (err != ERR_OK)
        return err;
    for (int32_t i = 0; i < count; i++) {
        if (topics[i] == NULL)
            continue;
        if (!meta_may_mutate(op, topics[i]->partition_count)) {
            refuse(&items[i], PROTO_ERROR_THROTTLING_QUOTA_EXCEEDED, META_OVER_QUOTA);
            continue;
        }
        struct proto_remove_topic_record record = {.topic_id = topics[i]->id};
        meta_records_add(
            op->records, META_RECORD_REMOVE_TOPIC, 0, &proto_remove_topic_record_schema, &record);
    }
    answer->responses.items = items;
    answer->responses.count = count;
    return ERR_OK;
}
