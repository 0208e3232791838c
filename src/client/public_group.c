/* client/public_group.c - libmoldau's consumer as a member of a group: subscription, commits.
 *
 * Invariants: I1 consumer->commits has exactly the commits that were started and not ended.
 * Threads: the client's; the group's events come on its loop, inside a call of the program. */
#include "base/alloc.h"
#include "base/assert.h"
#include "client/consumer_priv.h"
#include "client/public_consumer_priv.h"
#include "proto/error_codes.h"

enum { TOPICS_MAX = 10000, OFFSETS_MAX = 100000, ASSIGNORS_MAX = 8 };

/* ---- events ---- */

static void
tell(struct moldau_consumer *consumer, enum moldau_rebalance event,
    const struct client_topic_partition *parts, int count)
{
    const struct moldau_options *options = consumer->options;
    struct moldau_topic_partition *list;
    struct arena arena;
    arena_init(&arena, CONSUMER_NAMES_MAX);
    list = arena_calloc(&arena, (size_t)count, sizeof *list);
    for (int i = 0; list != NULL && i < count; i++) {
        list[i].topic = arena_strndup(&arena, parts[i].topic.data, parts[i].topic.len);
        list[i].partition = parts[i].partition;
    }
    if (arena.exhausted)
        count = 0; /* the program still learns that something moved */
    consumer->client->callbacks++;
    options->on_rebalance(options->rebalance_ctx, consumer, event, list, (size_t)count);
    consumer->client->callbacks--;
    arena_fini(&arena);
}

static void
on_assigned(void *ctx, const struct client_topic_partition *parts, int count)
{
    tell(ctx, MOLDAU_REBALANCE_ASSIGNED, parts, count);
}

static void
on_revoked(void *ctx, const struct client_topic_partition *parts, int count)
{
    tell(ctx, MOLDAU_REBALANCE_REVOKED, parts, count);
}

static void
on_lost(void *ctx, const struct client_topic_partition *parts, int count)
{
    tell(ctx, MOLDAU_REBALANCE_LOST, parts, count);
}

/* ---- subscribing ---- */

static int
read_assignors(struct str text, enum client_assignor *out)
{
    int count = 0;
    while (text.len > 0 && count < ASSIGNORS_MAX) {
        const char *comma = memchr(text.data, ',', text.len);
        size_t len = comma == NULL ? text.len : (size_t)(comma - text.data);
        bool found = client_assignor_find((struct str){text.data, len}, &out[count]);
        ASSERT(found); /* checked when it was set */
        count++;
        len += comma != NULL;
        text = (struct str){text.data + len, text.len - len};
    }
    return count;
}

static enum moldau_err
join(struct moldau_consumer *consumer, const struct str *topics, int count)
{
    const struct moldau_options *options = consumer->options;
    const int64_t *numbers = options->numbers;
    enum client_assignor assignors[ASSIGNORS_MAX];
    struct client_group_opts opts = {
        .client = consumer->client->client,
        .consumer = consumer->consumer,
        .group_id = public_option_str(options, OPTION_GROUP_ID),
        .instance_id = public_option_str(options, OPTION_GROUP_INSTANCE_ID),
        .topics = topics,
        .topic_count = count,
        .assignors = assignors,
        .session_timeout_ms = (int32_t)numbers[OPTION_SESSION_TIMEOUT_MS],
        .rebalance_timeout_ms = (int32_t)numbers[OPTION_MAX_POLL_INTERVAL_MS],
        .heartbeat_interval_ms = (int32_t)numbers[OPTION_HEARTBEAT_INTERVAL_MS],
        .auto_commit_interval_ms =
            numbers[OPTION_ENABLE_AUTO_COMMIT] != 0 ? numbers[OPTION_AUTO_COMMIT_INTERVAL_MS] : 0,
        .metadata_max_age_ms = numbers[OPTION_METADATA_MAX_AGE_MS],
        .reset = numbers[OPTION_AUTO_OFFSET_RESET],
        .allow_auto_create = numbers[OPTION_ALLOW_AUTO_CREATE] != 0,
        .ctx = consumer,
    };
    opts.assignor_count =
        read_assignors(public_option_str(options, OPTION_ASSIGNMENT_STRATEGY), assignors);
    if (options->on_rebalance != NULL)
        opts.events = (struct client_group_events){on_assigned, on_revoked, on_lost};
    enum err err = client_group_new(&opts, &consumer->group);
    if (err == ERR_INVALID)
        return public_fail(consumer->client, MOLDAU_ERR_INVALID, 0,
            "the group's options contradict each other: assignors named twice, or "
            "heartbeat.interval.ms not below session.timeout.ms");
    return public_fail_err(consumer->client, err);
}

static enum moldau_err
check_subscription(struct moldau_consumer *consumer, const char *const *topics, size_t count)
{
    struct moldau_client *client = consumer->client;
    if (topics == NULL || count == 0 || count > TOPICS_MAX)
        return public_fail(
            client, MOLDAU_ERR_INVALID, 0, "a subscription has 1 to %d topics", TOPICS_MAX);
    for (size_t i = 0; i < count; i++) {
        enum moldau_err err = public_check_topic(client, topics[i]);
        if (err != MOLDAU_OK)
            return err;
    }
    if (str_is_null(public_option_str(consumer->options, OPTION_GROUP_ID)))
        return public_fail(client, MOLDAU_ERR_INVALID, 0, "group.id is not set");
    if (consumer->group == NULL && !list_empty(&consumer->consumer->parts))
        return public_fail(client, MOLDAU_ERR_STATE, 0, "partitions are assigned by hand");
    return MOLDAU_OK;
}

enum moldau_err
moldau_consumer_subscribe(struct moldau_consumer *consumer, const char *const *topics, size_t count)
{
    struct moldau_client *client = consumer == NULL ? NULL : consumer->client;
    enum moldau_err err = public_enter(client);
    if (err == MOLDAU_OK)
        err = check_subscription(consumer, topics, count);
    if (err != MOLDAU_OK)
        return err;
    struct str *names = mem_calloc(count, sizeof *names);
    if (names == NULL)
        return public_fail_err(client, ERR_NOMEM);
    for (size_t i = 0; i < count; i++)
        names[i] = str_of(topics[i]);
    if (consumer->group != NULL && client_group_state(consumer->group) == CLIENT_GROUP_FAILED)
        public_group_drop(consumer);
    if (consumer->group == NULL)
        err = join(consumer, names, (int)count);
    else
        err = public_fail_err(client, client_group_subscribe(consumer->group, names, (int)count));
    mem_free(names);
    return err;
}

enum moldau_err
public_group_failed(struct moldau_consumer *consumer)
{
    return public_fail(consumer->client, MOLDAU_ERR_STATE, client_group_error_code(consumer->group),
        "no member of the group any more: %s", client_group_error(consumer->group));
}

/* ---- leaving ---- */

static void
unassign_all(struct client_consumer *consumer)
{
    while (!list_empty(&consumer->parts)) {
        struct consumer_part *part = LIST_ENTRY(consumer->parts.next, struct consumer_part, link);
        client_consumer_unassign(consumer, str_of(part->topic), part->partition);
    }
}

enum moldau_err
moldau_consumer_unsubscribe(struct moldau_consumer *consumer, int64_t timeout_ms)
{
    struct moldau_client *client = consumer == NULL ? NULL : consumer->client;
    enum moldau_err err = public_enter(client);
    if (err != MOLDAU_OK || consumer->group == NULL)
        return err;
    if (client_group_state(consumer->group) != CLIENT_GROUP_FAILED) {
        int64_t wait_ms = public_end_ms(client, timeout_ms) - public_now_ms(client);
        err = public_fail_err(client, client_group_leave_wait(consumer->group, wait_ms));
    }
    public_group_drop(consumer);
    unassign_all(consumer->consumer);
    return err;
}

/* ---- commits ---- */

struct commit_note {
    struct client_group_commit commit;
    struct list link;
    struct moldau_consumer *consumer;
    moldau_commit_fn fn;
    void *ctx;
};

static void
end_commit(struct commit_note *note, enum moldau_err err, int16_t code)
{
    struct moldau_client *client = note->consumer->client;
    list_remove(&note->link);
    client->callbacks++;
    if (note->fn != NULL)
        note->fn(note->ctx, err, code);
    client->callbacks--;
    mem_free(note);
}

static void
on_committed(struct client_group_commit *commit, enum err err, int16_t code)
{
    struct commit_note *note = CONTAINER_OF(commit, struct commit_note, commit);
    enum moldau_err mapped = err != ERR_OK ? public_err_of(err)
                             : code != 0   ? MOLDAU_ERR_BROKER
                                           : MOLDAU_OK;
    end_commit(note, mapped, code);
}

void
public_group_drop(struct moldau_consumer *consumer)
{
    client_group_free(&consumer->group);
    while (!list_empty(&consumer->commits))
        end_commit(
            LIST_ENTRY(consumer->commits.next, struct commit_note, link), MOLDAU_ERR_CANCELED, 0);
}

/* The program's offsets as the group wants them; *out is owned by the caller. */
static enum moldau_err
take_offsets(struct moldau_consumer *consumer, const struct moldau_offset *offsets, size_t count,
    struct client_group_offset **out)
{
    struct moldau_client *client = consumer->client;
    *out = NULL;
    if (offsets == NULL)
        return MOLDAU_OK;
    if (count > OFFSETS_MAX)
        return public_fail(
            client, MOLDAU_ERR_INVALID, 0, "more than %d offsets at a time", OFFSETS_MAX);
    struct client_group_offset *list = mem_calloc(count + 1, sizeof *list);
    if (list == NULL)
        return public_fail_err(client, ERR_NOMEM);
    for (size_t i = 0; i < count; i++) {
        enum moldau_err err = public_check_topic(client, offsets[i].topic);
        if (err == MOLDAU_OK && (offsets[i].partition < 0 || offsets[i].offset < 0))
            err = public_fail(client, MOLDAU_ERR_INVALID, 0, "%s [%d]: offset %lld",
                offsets[i].topic, (int)offsets[i].partition, (long long)offsets[i].offset);
        if (err != MOLDAU_OK) {
            mem_free(list);
            return err;
        }
        list[i].topic = str_of(offsets[i].topic);
        list[i].partition = offsets[i].partition;
        list[i].offset = offsets[i].offset;
        list[i].leader_epoch = offsets[i].leader_epoch;
        list[i].metadata = str_of(offsets[i].metadata);
    }
    *out = list;
    return MOLDAU_OK;
}

enum moldau_err
moldau_consumer_commit_async(struct moldau_consumer *consumer, const struct moldau_offset *offsets,
    size_t count, moldau_commit_fn fn, void *ctx)
{
    struct client_group_offset *list;
    if (consumer == NULL)
        return MOLDAU_ERR_INVALID;
    if (consumer->group == NULL)
        return public_fail(consumer->client, MOLDAU_ERR_STATE, 0, "the consumer is not subscribed");
    enum moldau_err err = take_offsets(consumer, offsets, count, &list);
    if (err != MOLDAU_OK)
        return err;
    struct commit_note *note = mem_calloc(1, sizeof *note);
    if (note == NULL) {
        mem_free(list);
        return public_fail_err(consumer->client, ERR_NOMEM);
    }
    note->consumer = consumer;
    note->fn = fn;
    note->ctx = ctx;
    note->commit.done = on_committed;
    list_push(&consumer->commits, &note->link);
    client_group_commit(consumer->group, list, offsets == NULL ? -1 : (int)count, &note->commit);
    mem_free(list);
    return MOLDAU_OK;
}

/* Without a subscription: every assigned partition's position, as an administrator sets it. */
static enum moldau_err
commit_by_hand(struct moldau_consumer *consumer, int64_t timeout_ms)
{
    struct str group_id = public_option_str(consumer->options, OPTION_GROUP_ID);
    struct moldau_offset *offsets;
    size_t count = 0;
    LIST_FOREACH (&consumer->consumer->parts, node)
        count++;
    offsets = mem_calloc(count + 1, sizeof *offsets);
    if (offsets == NULL)
        return public_fail_err(consumer->client, ERR_NOMEM);
    count = 0;
    LIST_FOREACH (&consumer->consumer->parts, node) {
        const struct consumer_part *part = LIST_ENTRY(node, struct consumer_part, link);
        if (part->position < 0)
            continue;
        offsets[count++] = (struct moldau_offset){.topic = part->topic,
            .partition = part->partition,
            .leader_epoch = part->leader_epoch,
            .offset = part->position};
    }
    enum moldau_err err = MOLDAU_OK;
    if (count > 0)
        err =
            moldau_group_alter_offsets(consumer->client, group_id.data, offsets, count, timeout_ms);
    mem_free(offsets);
    return err;
}

enum moldau_err
moldau_consumer_commit(struct moldau_consumer *consumer, const struct moldau_offset *offsets,
    size_t count, int64_t timeout_ms)
{
    struct moldau_client *client = consumer == NULL ? NULL : consumer->client;
    struct client_group_offset *list;
    int16_t code = 0;
    enum moldau_err err = public_enter(client);
    if (err != MOLDAU_OK)
        return err;
    struct str group_id = public_option_str(consumer->options, OPTION_GROUP_ID);
    if (str_is_null(group_id))
        return public_fail(client, MOLDAU_ERR_INVALID, 0, "group.id is not set");
    if (consumer->group == NULL && offsets != NULL)
        return moldau_group_alter_offsets(client, group_id.data, offsets, count, timeout_ms);
    if (consumer->group == NULL)
        return commit_by_hand(consumer, timeout_ms);
    if (client_group_state(consumer->group) == CLIENT_GROUP_FAILED)
        return public_group_failed(consumer);
    err = take_offsets(consumer, offsets, count, &list);
    if (err != MOLDAU_OK)
        return err;
    int64_t wait_ms = public_end_ms(client, timeout_ms) - public_now_ms(client);
    enum err result = client_group_commit_wait(
        consumer->group, list, offsets == NULL ? -1 : (int)count, wait_ms, &code);
    mem_free(list);
    if (result == ERR_FAILED && code != 0)
        return public_fail_code(client, group_id.data, code, STR_NULL);
    return public_fail_err(client, result);
}
