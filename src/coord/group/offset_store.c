/* coord/group/offset_store.c - offsets by group, topic and partition.
 *
 * Invariants: I1 a topic has at least one entry, a group at least one topic. I2 entries are sorted
 * and unique by partition. I3 `count` is the number of all entries, `bytes` the sum of their sizes.
 * I4 a walk points at what is there, or is at its end. */
#include "coord/group/group_priv.h"

#include "base/alloc.h"
#include "base/assert.h"

enum { RECORD_BYTES = 80 }; /* of a record but for its texts */

static size_t
entry_bytes(struct str group, struct str topic, const struct offset_entry *entry)
{
    return RECORD_BYTES + group.len + topic.len + entry->metadata.len;
}

static void
entry_fini(struct offset_entry *entry)
{
    coord_str_free(&entry->metadata);
}

static void
topic_free(struct offset_topic *topic)
{
    for (int32_t i = 0; i < topic->count; i++)
        entry_fini(&topic->entries[i]);
    mem_free(topic->entries);
    coord_str_free(&topic->name);
    mem_free(topic);
}

static void
group_free(struct offset_group *group)
{
    struct offset_topic *topic, *next;
    HASH_ITER (hh, group->topics, topic, next) {
        HASH_DEL(group->topics, topic);
        topic_free(topic);
    }
    coord_str_free(&group->id);
    mem_free(group);
}

void
coord_offset_store_fini(struct offset_store *store)
{
    struct offset_group *group, *next;
    HASH_ITER (hh, store->groups, group, next) {
        HASH_DEL(store->groups, group);
        group_free(group);
    }
    store->count = 0;
    store->bytes = 0;
    store->walk = (struct offset_walk){0};
}

struct offset_group *
coord_offset_store_group(const struct offset_store *store, struct str group)
{
    struct offset_group *found = NULL;
    HASH_FIND(hh, store->groups, group.data, group.len, found);
    return found;
}

struct offset_topic *
coord_offset_group_topic(const struct offset_group *group, struct str topic)
{
    struct offset_topic *found = NULL;
    HASH_FIND(hh, group->topics, topic.data, topic.len, found);
    return found;
}

/* The first place whose partition is not below. */
static int32_t
lower_bound(const struct offset_topic *topic, int32_t partition)
{
    int32_t low = 0, high = topic->count;
    while (low < high) {
        int32_t mid = low + (high - low) / 2;
        if (topic->entries[mid].partition < partition)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

struct offset_entry *
coord_offset_store_get(
    const struct offset_store *store, struct str group, struct str topic, int32_t partition)
{
    struct offset_group *g = coord_offset_store_group(store, group);
    struct offset_topic *t = g == NULL ? NULL : coord_offset_group_topic(g, topic);
    if (t == NULL)
        return NULL;
    int32_t at = lower_bound(t, partition);
    return at < t->count && t->entries[at].partition == partition ? &t->entries[at] : NULL;
}

static struct offset_group *
group_make(struct offset_store *store, struct str id)
{
    struct offset_group *group = coord_offset_store_group(store, id);
    if (group != NULL)
        return group;
    group = mem_calloc(1, sizeof *group);
    if (group == NULL)
        return NULL;
    if (coord_str_dup(id, &group->id)) {
        HASH_ADD_KEYPTR(hh, store->groups, group->id.data, group->id.len, group);
        if (group->hh.tbl != NULL)
            return group;
    }
    group_free(group);
    return NULL;
}

static struct offset_topic *
topic_make(struct offset_group *group, struct str name)
{
    struct offset_topic *topic = coord_offset_group_topic(group, name);
    if (topic != NULL)
        return topic;
    topic = mem_calloc(1, sizeof *topic);
    if (topic == NULL)
        return NULL;
    if (coord_str_dup(name, &topic->name)) {
        HASH_ADD_KEYPTR(hh, group->topics, topic->name.data, topic->name.len, topic);
        if (topic->hh.tbl != NULL)
            return topic;
    }
    topic_free(topic);
    return NULL;
}

static bool
topic_grow(struct offset_topic *topic)
{
    if (topic->count < topic->capacity)
        return true;
    int32_t capacity = topic->capacity == 0 ? 1 : topic->capacity * 2;
    struct offset_entry *entries = mem_realloc(topic->entries, (size_t)capacity * sizeof *entries);
    if (entries == NULL)
        return false;
    topic->entries = entries;
    topic->capacity = capacity;
    return true;
}

static void
walk_enter(struct offset_walk *walk, struct offset_group *group)
{
    *walk = (struct offset_walk){group, group == NULL ? NULL : group->topics, INT32_MIN};
}

/* I1 after a failure or a removal; I4. */
static void
prune(struct offset_store *store, struct offset_group *group, struct offset_topic *topic)
{
    struct offset_walk *walk = &store->walk;
    if (topic != NULL && topic->count == 0) {
        if (walk->topic == topic)
            *walk = (struct offset_walk){group, topic->hh.next, INT32_MIN};
        HASH_DEL(group->topics, topic);
        topic_free(topic);
    }
    if (group->topics == NULL) {
        if (walk->group == group)
            walk_enter(walk, group->hh.next);
        HASH_DEL(store->groups, group);
        group_free(group);
    }
}

enum err
coord_offset_store_put(struct offset_store *store, struct str group, struct str topic,
    const struct offset_entry *entry)
{
    struct offset_entry copy = *entry;
    struct offset_group *g = group_make(store, group);
    if (g == NULL)
        return ERR_NOMEM;
    struct offset_topic *t = topic_make(g, topic);
    struct str metadata = entry->metadata.data == NULL ? STR("") : entry->metadata;
    if (t == NULL || !coord_str_dup(metadata, &copy.metadata)) {
        prune(store, g, t);
        return ERR_NOMEM;
    }
    int32_t at = lower_bound(t, entry->partition);
    if (at < t->count && t->entries[at].partition == entry->partition) {
        store->bytes -= entry_bytes(group, topic, &t->entries[at]);
        store->bytes += entry_bytes(group, topic, &copy);
        entry_fini(&t->entries[at]);
        t->entries[at] = copy;
        return ERR_OK;
    }
    if (!topic_grow(t)) {
        entry_fini(&copy);
        prune(store, g, t);
        return ERR_NOMEM;
    }
    memmove(&t->entries[at + 1], &t->entries[at], (size_t)(t->count - at) * sizeof copy);
    t->entries[at] = copy;
    t->count++;
    store->count++;
    store->bytes += entry_bytes(group, topic, &copy);
    ASSERT_SLOW(at == 0 || t->entries[at - 1].partition < copy.partition); /* I2 */
    return ERR_OK;
}

void
coord_offset_store_remove(
    struct offset_store *store, struct str group, struct str topic, int32_t partition)
{
    struct offset_group *g = coord_offset_store_group(store, group);
    struct offset_topic *t = g == NULL ? NULL : coord_offset_group_topic(g, topic);
    if (t == NULL)
        return;
    int32_t at = lower_bound(t, partition);
    if (at == t->count || t->entries[at].partition != partition)
        return;
    ASSERT(store->bytes >= entry_bytes(group, topic, &t->entries[at]));
    store->bytes -= entry_bytes(group, topic, &t->entries[at]);
    entry_fini(&t->entries[at]);
    t->count--;
    store->count--;
    memmove(&t->entries[at], &t->entries[at + 1], (size_t)(t->count - at) * sizeof t->entries[0]);
    ASSERT(store->count >= 0); /* I3 */
    prune(store, g, t);
}

void
coord_offset_store_walk(struct offset_store *store)
{
    walk_enter(&store->walk, store->groups);
}

struct offset_entry *
coord_offset_store_next(struct offset_store *store, struct str *group, struct str *topic)
{
    struct offset_walk *walk = &store->walk;
    while (walk->group != NULL) {
        struct offset_topic *t = walk->topic;
        if (t == NULL) {
            walk_enter(walk, walk->group->hh.next);
            continue;
        }
        int32_t at =
            walk->partition > INT32_MAX ? t->count : lower_bound(t, (int32_t)walk->partition);
        if (at < t->count) {
            walk->partition = (int64_t)t->entries[at].partition + 1;
            *group = walk->group->id;
            *topic = t->name;
            return &t->entries[at];
        }
        *walk = (struct offset_walk){walk->group, t->hh.next, INT32_MIN};
    }
    return NULL;
}
