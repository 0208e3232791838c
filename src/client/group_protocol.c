/* client/group_protocol.c - the consumer protocol's own messages inside JoinGroup and SyncGroup:
 * a version, then the struct. A newer version than ours is read as ours: fields are only added. */
#include <stdlib.h>

#include "base/assert.h"
#include "client/group_priv.h"
#include "proto/consumer_protocol_assignment.h"
#include "proto/consumer_protocol_subscription.h"
#include "wire/reader.h"
#include "wire/writer.h"

enum {
    VERSION = PROTO_CONSUMER_PROTOCOL_SUBSCRIPTION_VERSION_MAX,
    MESSAGE_BYTES_MAX = 64 << 20,
    STICKY_USER_DATA = 4, /* the generation, for readers of versions below 2 */
};

/* ---- lists by topic ---- */

static int
count_topics(const struct client_topic_partition *parts, int count)
{
    int topics = 0;
    for (int i = 0; i < count; i++)
        topics += i == 0 || !str_eq(parts[i].topic, parts[i - 1].topic);
    return topics;
}

/* The generated lists of both messages look alike: name and partitions. */
struct by_topic {
    struct str topic;
    struct {
        int32_t *items;
        int32_t count;
    } partitions;
};
_Static_assert(
    sizeof(struct by_topic) == sizeof(struct proto_consumer_protocol_assignment_topic_partition) &&
        sizeof(struct by_topic) ==
            sizeof(struct proto_consumer_protocol_subscription_topic_partition),
    "one layout");

static struct by_topic *
group_by_topic(const struct client_topic_partition *parts, int count, struct arena *arena, int *out)
{
    int topics = count_topics(parts, count), at = -1;
    struct by_topic *list = arena_calloc(arena, (size_t)topics + 1, sizeof *list);
    int32_t *numbers = arena_calloc(arena, (size_t)count + 1, sizeof *numbers);
    if (list == NULL || numbers == NULL)
        return NULL;
    for (int i = 0; i < count; i++) {
        numbers[i] = parts[i].partition;
        if (i == 0 || !str_eq(parts[i].topic, parts[i - 1].topic)) {
            list[++at].topic = parts[i].topic;
            list[at].partitions.items = &numbers[i];
        }
        list[at].partitions.count++;
    }
    ASSERT(at + 1 == topics);
    *out = topics;
    return list;
}

static enum err
write_message(
    const struct proto_schema *schema, const void *message, struct arena *arena, struct bytes *out)
{
    struct writer w;
    writer_init(&w, MESSAGE_BYTES_MAX);
    writer_i16(&w, VERSION);
    enum err err = proto_encode(schema, VERSION, message, &w);
    if (err == ERR_OK)
        err = w.buf.err;
    char *copy = NULL;
    if (err == ERR_OK) {
        copy = arena_strndup(arena, (const char *)w.buf.data, w.buf.len);
        err = copy == NULL ? ERR_NOMEM : ERR_OK;
    }
    if (err == ERR_OK)
        *out = (struct bytes){(const uint8_t *)copy, w.buf.len};
    writer_fini(&w);
    return err;
}

static enum err
read_message(
    const struct proto_schema *schema, struct bytes bytes, struct arena *arena, void *message)
{
    struct reader r;
    proto_init(schema, message);
    if (bytes.len < 2)
        return ERR_TRUNCATED;
    int16_t version = (int16_t)load_be16(bytes.data);
    if (version < 0)
        return ERR_CORRUPT;
    reader_init(&r, (struct bytes){bytes.data + 2, bytes.len - 2});
    return proto_decode(schema, version > VERSION ? VERSION : version, &r, arena, message);
}

/* ---- subscriptions ---- */

enum err
group_subscription_write(const struct client_group *group, enum client_assignor assignor,
    struct arena *arena, struct bytes *out)
{
    struct proto_consumer_protocol_subscription message;
    int topics = 0;
    proto_init(&proto_consumer_protocol_subscription_schema, &message);
    struct by_topic *owned = group_by_topic(group->parts, group->part_count, arena, &topics);
    if (owned == NULL)
        return ERR_NOMEM;
    message.topics.items = group->topics;
    message.topics.count = group->topic_count;
    message.owned_partitions.items = (void *)owned;
    message.owned_partitions.count = topics;
    message.generation_id = group->generation;
    if (assignor == CLIENT_ASSIGNOR_COOPERATIVE_STICKY) {
        uint8_t *data = arena_alloc(arena, STICKY_USER_DATA);
        if (data == NULL)
            return ERR_NOMEM;
        store_be32(data, (uint32_t)group->generation);
        message.user_data = (struct bytes){data, STICKY_USER_DATA};
    }
    return write_message(&proto_consumer_protocol_subscription_schema, &message, arena, out);
}

static enum err
flatten(const struct by_topic *lists, int count, struct arena *arena,
    struct client_topic_partition **out, int *out_count)
{
    int total = 0, at = 0;
    for (int i = 0; i < count; i++)
        total += lists[i].partitions.count > 0 ? lists[i].partitions.count : 0;
    struct client_topic_partition *parts = arena_calloc(arena, (size_t)total + 1, sizeof *parts);
    if (parts == NULL)
        return ERR_NOMEM;
    for (int i = 0; i < count; i++)
        for (int j = 0; j < lists[i].partitions.count; j++)
            parts[at++] =
                (struct client_topic_partition){lists[i].topic, lists[i].partitions.items[j]};
    *out = parts;
    *out_count = at;
    return ERR_OK;
}

enum err
group_subscription_read(struct bytes bytes, struct arena *arena, struct client_assignor_member *out)
{
    struct proto_consumer_protocol_subscription message;
    struct client_topic_partition *owned;
    out->generation = -1;
    enum err err =
        read_message(&proto_consumer_protocol_subscription_schema, bytes, arena, &message);
    if (err == ERR_NOMEM)
        return err;
    if (err != ERR_OK)
        return ERR_OK; /* its own harm: it gets nothing */
    out->topics = message.topics.items;
    out->topic_count = message.topics.count > 0 ? message.topics.count : 0;
    out->generation = message.generation_id;
    if (load_be16(bytes.data) < 2 && message.user_data.len == STICKY_USER_DATA)
        out->generation = (int32_t)load_be32(message.user_data.data);
    err = flatten((const struct by_topic *)(void *)message.owned_partitions.items,
        message.owned_partitions.count, arena, &owned, &out->owned_count);
    if (err == ERR_OK)
        out->owned = owned;
    return err;
}

/* ---- assignments ---- */

enum err
group_assignment_write(
    const struct client_topic_partition *parts, int count, struct arena *arena, struct bytes *out)
{
    struct proto_consumer_protocol_assignment message;
    int topics = 0;
    proto_init(&proto_consumer_protocol_assignment_schema, &message);
    struct by_topic *lists = group_by_topic(parts, count, arena, &topics);
    if (lists == NULL)
        return ERR_NOMEM;
    message.assigned_partitions.items = (void *)lists;
    message.assigned_partitions.count = topics;
    return write_message(&proto_consumer_protocol_assignment_schema, &message, arena, out);
}

enum err
group_assignment_read(
    struct bytes bytes, struct arena *arena, struct client_topic_partition **parts, int *count)
{
    struct proto_consumer_protocol_assignment message;
    int kept = 0;
    proto_init(&proto_consumer_protocol_assignment_schema, &message);
    if (bytes.len > 0) { /* nothing at all: the leader did not know this member */
        enum err err =
            read_message(&proto_consumer_protocol_assignment_schema, bytes, arena, &message);
        if (err != ERR_OK)
            return err;
    }
    enum err err = flatten((const struct by_topic *)(void *)message.assigned_partitions.items,
        message.assigned_partitions.count, arena, parts, count);
    if (err != ERR_OK)
        return err;
    struct client_topic_partition *p = *parts;
    qsort(p, (size_t)*count, sizeof *p, group_parts_order);
    for (int i = 0; i < *count; i++)
        if (p[i].partition >= 0 && (kept == 0 || group_parts_order(&p[i], &p[kept - 1]) != 0))
            p[kept++] = p[i];
    *count = kept;
    return ERR_OK;
}
